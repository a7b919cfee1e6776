"""New Tensors of a shape, filled by a rule."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule import checks, elsewhere, ir, ops
from chainrule.errors import ArgumentError
from chainrule.ir import Array, Shape
from chainrule.tensors import Tensor, TensorLike, tensor, tensor_of


def zeros(shape: int | Shape, dtype: Any = np.float64) -> Tensor:
    """Zeros of a shape and dtype."""
    return tensor(np.zeros(ops.primitive.as_shape(shape, "zeros"), ir.as_dtype(dtype)))


def ones(shape: int | Shape, dtype: Any = np.float64) -> Tensor:
    """Ones of a shape and dtype."""
    return tensor(np.ones(ops.primitive.as_shape(shape, "ones"), ir.as_dtype(dtype)))


def full(shape: int | Shape, value: float, dtype: Any = np.float64) -> Tensor:
    """`value` everywhere."""
    size, kind = ops.primitive.as_shape(shape, "full"), ir.as_dtype(dtype)
    if value is None:  # NumPy makes it NaN
        raise ArgumentError("full got the value None", "it takes a number", "Write 0.0, or float('nan').")
    return tensor(_made("full", (shape, value), "the value is a number", lambda: np.full(size, value, kind)))


def eye(rows: int, columns: int | None = None, dtype: Any = np.float64) -> Tensor:
    """1 on the diagonal and 0 elsewhere: (rows, columns), square if `columns` is None."""
    size, kind = ops.primitive.as_shape((rows, rows if columns is None else columns), "eye"), ir.as_dtype(dtype)
    return tensor(np.eye(*size, dtype=kind))


def arange(start: float, stop: float | None = None, step: float = 1, dtype: Any = None) -> Tensor:
    """start, start + step, … before stop; 0, 1, … before start if stop is None. Integers are int64."""
    given = (start, stop, step)
    return tensor(
        _made(
            "arange",
            given,
            "start, stop and step are numbers, the step not 0",
            lambda: np.arange(start, step=step) if stop is None else np.arange(*given),
        ),
        dtype,
    )


def linspace(start: float, stop: float, count: int = 50, dtype: Any = np.float64) -> Tensor:
    """`count` numbers at equal distances, from start to stop."""
    given = (start, stop, checks.whole("linspace", "count", count, 0))
    return tensor(_made("linspace", given, "start and stop are numbers", lambda: np.linspace(*given)), dtype)


def _made(name: str, given: tuple[Any, ...], expected: str, make: Callable[[], Array]) -> Array:
    """An array of NumPy's making, of which the size and the numbers are the user's."""
    try:
        return make()
    except (TypeError, ValueError, ArithmeticError, MemoryError) as error:
        raise ArgumentError(
            f"{name}({', '.join(map(repr, given))}) cannot be made ({error})", expected, "Check the arguments."
        ) from None


def zeros_like(x: TensorLike) -> Tensor:
    """Zeros of the shape and dtype of x."""
    return full_like(x, 0)


def ones_like(x: TensorLike) -> Tensor:
    """Ones of the shape and dtype of x."""
    return full_like(x, 1)


def full_like(x: TensorLike, value: float) -> Tensor:
    """`value` everywhere, in the shape and dtype of x."""
    found = tensor_of(x)
    return full(found.shape, value, found.dtype)


for _name, _function in list(globals().items()):
    if getattr(_function, "__module__", "") == __name__ and not _name.startswith("_"):
        globals()[_name] = elsewhere.explaining_calls(_function)
