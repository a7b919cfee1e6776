"""Running a model forward over many samples as a program.

    prediction   x ↦ output

The graph is captured once per batch size, and again after a change of settings;
all programs run on the same values (of parameters, buffers, and the random stream).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.capture import Capture, Compiled, Programs, capture
from chainrule.errors import DataError
from chainrule.frames import Frame, matrix
from chainrule.ir import Array, Shape
from chainrule.nn.modes import in_mode
from chainrule.reads import Noted
from chainrule.recording import no_grad
from chainrule.states import Values
from chainrule.tensors import Tensor

if TYPE_CHECKING:
    from chainrule.nn.module import Module

EVALUATION_BATCH = 1024


class Forward(Noted):
    """Programs that run a model forward, on values that its training may share.

    Attributes:
        model: as given.
        values: what the programs run on, and their backend.
    """

    def __init__(self, model: Module, values: Values, threads: int | None = None) -> None:
        self.model = model
        self.values = values
        self._programs = Programs(values, threads)
        self._current: dict[tuple[Any, ...], Compiled] = {}

    def refresh(self) -> None:
        """Look again at modes and settings, which may need other programs."""
        self._current = {}  # another thread may be about to add a program to the former one that holds no longer

    def predict(self, x: Array) -> Array:
        """The model's outputs for all samples, in evaluation mode."""
        parts = []
        for first in range(0, len(x), EVALUATION_BATCH):
            part = x[first : first + EVALUATION_BATCH]
            parts += self.program("predict", self._prediction, batch_signature([part], len(part))).run([part])
        return np.concatenate(parts)

    def output_shape(self, x: Array) -> Shape:
        """The shape of the model's output for these inputs, found without computing it."""
        (output,) = self._capture(self._prediction, batch_signature([x], len(x)), training=False).graph.outputs
        return output.shape

    def program(self, kind: str, function: Callable[..., Any], arguments: list[tuple[Shape, Any]]) -> Compiled:
        """A function of the model, captured for arguments of these shapes and dtypes, and made ready to run.

        The `kind` names the function; of the kind "train" it is captured in training mode.
        """
        key = (kind, *arguments)
        current = self._current
        if key not in current:
            with in_mode(self.model, training=kind == "train"):
                current[key] = self._programs.get(key, lambda: _captured(function, arguments))
        return current[key]

    def _capture(self, function: Callable[..., Any], arguments: list[tuple[Shape, Any]], *, training: bool) -> Capture:
        with in_mode(self.model, training=training):
            return _captured(function, arguments)

    def _prediction(self, x: Tensor) -> list[Tensor]:
        with no_grad():
            return [self.model(x)]


def _captured(function: Callable[..., Any], arguments: list[tuple[Shape, Any]]) -> Capture:
    names = ("x", "t", "s", "lr")
    return capture(function, [(*argument, name) for argument, name in zip(arguments, names, strict=False)])


def model_dtype(model: Module) -> np.dtype[Any]:
    """The dtype of a model's parameters; float32 for a model without."""
    return next((p.dtype for _, p in model.named_parameters()), np.dtype(np.float32))


def inputs_array(model: Module, data: Any, name: str = "X") -> Array:
    """The inputs in the dtype that the model computes with; int64 for a model whose first layer reads positions.

    Raises:
        DataError: no samples, something that is not numbers, or NaN and infinities, with the place of the first.
    """
    array = numbers(data, name)
    if array.ndim < 1 or len(array) == 0:
        raise DataError(f"{name} has the shape {array.shape}", "it must hold at least one sample", "Check the data.")
    check_finite(array, name)
    if array.dtype.kind in "iu" and _reads_positions(model):
        return np.ascontiguousarray(array, dtype=np.int64)
    return converted(array, model_dtype(model), name)


def numbers(data: Any, name: str) -> Array:
    """The data as an array of numbers. Raises DataError, with `name`, for anything else."""
    try:
        array = data.numpy() if isinstance(data, Tensor) else np.asarray(data)
    except ValueError as error:  # rows of different lengths
        raise DataError(
            f"{name} is not an array ({error})",
            "all samples must have one shape, and a model takes one array",
            "Make all rows equally long; join several inputs with np.concatenate((a, b), axis=1).",
        ) from None
    if array.dtype.kind == "O" and isinstance(data, Frame):  # columns of different types
        array = matrix(data)
    if array.dtype.kind not in "biuf":
        raise DataError(
            f"{name} has the dtype {array.dtype}",
            "it must hold numbers",
            "Encode words with chainrule.data.FeatureEncoder, and make all rows equally long.",
        )
    return array


def converted(array: Array, dtype: np.dtype[Any], name: str) -> Array:
    """The array in another dtype, in which its values must still be finite."""
    with np.errstate(over="ignore"):
        converted = np.ascontiguousarray(array, dtype=dtype)
    if not np.isfinite(converted).all():
        raise DataError(
            f"{name} holds {array[~np.isfinite(converted)][0]}",
            f"the model computes in {dtype}, whose largest number is {np.finfo(dtype).max:.4g}",
            "Scale the data, or make the layers with dtype='float64'.",
        )
    return converted


def check_finite(array: Array, name: str) -> None:
    """Raise DataError with the place of the first NaN or infinity."""
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        place = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise DataError(
            f"{name} holds {array[place]} at index {place}",
            "every value must be finite",
            "Fill or leave out missing values (FeatureEncoder imputes them).",
        )


def _reads_positions(model: Module) -> bool:
    first = next((m for _, m in model.named_modules() if not m.children()), model)
    return first.reads_positions


def batch_signature(data: Sequence[Array], size: int) -> list[tuple[Shape, Any]]:
    """Shape and dtype of a batch of so many samples of each array."""
    return [((size, *a.shape[1:]), a.dtype) for a in data]
