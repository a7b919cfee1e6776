"""What people pass, as arrays of NumPy's."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule import checks
from chainrule.errors import ArgumentError, DTypeError, ShapeError
from chainrule.ir import Array, DType, native

_NUMBERS = (bool, int, float)


def as_numpy(value: Any, dtype: DType | None = None) -> Array:
    """Data as an array of NumPy's, with the bytes in the machine's order; not copied where it is one.

    Raises:
        ShapeError, DTypeError: rows of different lengths; no numbers. ArgumentError: masked, or to be detached first.
    """
    if isinstance(value, np.ndarray) and type(value) is not np.ndarray and np.ma.is_masked(value):
        raise ArgumentError(
            "a masked array with masked values was given",
            "a Tensor has no mask",
            "Fill them, array.filled(value), or remove them.",
        )
    try:
        return native(np.asarray(value, dtype=dtype))
    except RuntimeError as error:  # of PyTorch
        raise foreign(value, error) from None
    except (ValueError, TypeError, OverflowError) as error:
        kind = ShapeError if "inhomogeneous" in str(error) else DTypeError
        raise kind(
            f"{type(value).__name__} data could not become an array ({error})",
            "it takes numbers that the dtype can hold, in rows of one length",
            "Check the data.",
        ) from None


def foreign(value: Any, error: Exception) -> ArgumentError:
    """The error for an array of another library that NumPy cannot read."""
    return ArgumentError(
        f"{checks.described(value)} could not become an array ({error})",
        "its values must be in the memory of this machine, and without a gradient",
        "Write cr.tensor(x.detach().cpu()) for a Tensor of PyTorch, and cr.tensor(data) for what has no DLPack.",
    )


def is_number(value: Any) -> bool:
    """Whether it is a Python number, which is weak; as in NumPy, numbers of NumPy's own are not."""
    return isinstance(value, _NUMBERS) and not isinstance(value, np.generic)
