"""Running a model forward over many samples."""

from __future__ import annotations

from typing import Any

from chainrule import backends
from chainrule.ir import Array
from chainrule.nn import Module
from chainrule.train.inputs import inputs_array
from chainrule.train.steps import Forward


def predict(model: Module, X: Any, backend: str = "auto") -> Array:
    """The model's outputs (samples, …) for inputs (samples, …), in evaluation mode, some at a time.

    Raises:
        DataError, ShapeError: inputs that do not fit. ArgumentError: an unknown backend.
    """
    return Forward(model, backends.get(backend)).predict(inputs_array(model, X))
