"""From what a user hands in to the arrays that a training step reads: checked once, before anything runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from chainrule.errors import ArgumentError, DataError, ShapeError, explain
from chainrule.ir import Array, Shape
from chainrule.nn import Embedding, Loss, Module
from chainrule.tensor import Tensor

ClassWeight = Mapping[int, float] | str | None


def model_dtype(model: Module) -> np.dtype[Any]:
    """The dtype of a model's parameters; float32 for a model without."""
    return next((p.dtype for p in model.parameters()), np.dtype(np.float32))


def inputs_array(model: Module, data: Any, name: str = "X") -> Array:
    """The inputs in the dtype that the model computes with; int64 for a model that starts with an embedding.

    Raises:
        DataError: no samples, something that is not numbers, or NaN and infinities, with the place of the first.
    """
    array = _numbers(data, name)
    if array.ndim < 1 or len(array) == 0:
        raise DataError(explain(f"{name} has the shape {array.shape}", "it must hold at least one sample", "Check the data."))
    if array.dtype.kind in "iu" and _starts_with_embedding(model):
        return np.ascontiguousarray(array, dtype=np.int64)
    converted = np.ascontiguousarray(array, dtype=model_dtype(model))
    _check_finite(converted, name)
    return converted


def _numbers(data: Any, name: str) -> Array:
    array = data.numpy() if isinstance(data, Tensor) else np.asarray(data)
    if array.dtype.kind not in "biuf":
        raise DataError(
            explain(
                f"{name} has the dtype {array.dtype}",
                "it must hold numbers",
                "Encode words with chainrule.data.FeatureEncoder, and make all rows equally long.",
            )
        )
    return array


def _check_finite(array: Array, name: str) -> None:
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        place = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise DataError(
            explain(
                f"{name} holds {array[place]} at index {place}",
                "every value must be finite",
                "Fill or leave out missing values (FeatureEncoder imputes them).",
            )
        )


def _starts_with_embedding(model: Module) -> bool:
    leaves = [m for _, m in model.named_modules() if not list(m.children())]
    return bool(leaves) and isinstance(leaves[0], Embedding)


def targets_array(model: Module, loss: Loss, output: Shape, data: Any, samples: int) -> Array:
    """The targets as the loss takes them: int64 class numbers, or floats in the model's dtype and the output's shape.

    Raises:
        ShapeError: another number of targets than samples, or a shape that does not fit the output.
        DataError: NaN or infinities, class numbers that are not whole, or out of range.
    """
    array = _numbers(data, "y")
    if len(array.shape) < 1 or len(array) != samples:
        raise ShapeError(
            explain(
                f"X has {samples} samples and y has the shape {array.shape}", "both need one row per sample", "Check the data."
            )
        )
    _check_finite(array, "y")
    if loss.takes_classes(output, array.shape):
        whole = array.astype(np.int64)
        if not np.array_equal(whole, array):
            raise DataError(
                explain(
                    f"y holds {array[whole != array].flat[0]}",
                    f"{type(loss).__name__} takes class numbers 0, 1, …",
                    "Encode the classes, or use a loss for numbers such as MSELoss.",
                )
            )
        array = whole
    else:
        array = array.astype(model_dtype(model))
        if array.ndim == 1 and output[1:] == (1,):
            array = array[:, None]
    loss.check(output, array)
    return np.ascontiguousarray(array)


def weights_array(sample_weight: Any, class_weight: ClassWeight, y: Array, dtype: Any) -> Array:
    """One weight per sample: its own times that of its class.

    Raises:
        ShapeError, ArgumentError: not one finite weight ≥ 0 per sample; class weights for targets that are not classes, or
            that leave out a class.
    """
    weights = np.ones(len(y)) if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
    if weights.shape != (len(y),):
        raise ShapeError(
            explain(f"sample_weight has the shape {weights.shape}", f"it must be ({len(y)},), one per sample", "Check it.")
        )
    if not np.isfinite(weights).all() or (weights < 0).any() or not weights.any():
        raise ArgumentError(
            explain("sample_weight holds a negative or infinite number, or only zeros", "weights are ≥ 0", "Check them.")
        )
    if class_weight is not None:
        weights = weights * _class_factors(class_weight, y)
    return np.ascontiguousarray(weights, dtype=dtype)


def _class_factors(class_weight: ClassWeight, y: Array) -> Array:
    classes = y.reshape(len(y), -1)[:, 0]
    if y.size != len(y) or not np.array_equal(classes, np.round(classes)):
        raise ArgumentError(
            explain("class_weight was given for targets that are not classes", "it needs class numbers", "Use sample_weight.")
        )
    found, place, counts = np.unique(classes.astype(np.int64), return_inverse=True, return_counts=True)
    if class_weight == "balanced":
        return (len(y) / (len(found) * counts))[place]
    if not isinstance(class_weight, Mapping):
        raise ArgumentError(
            explain(f"class_weight={class_weight!r} was given", "it is 'balanced' or a mapping from class to weight", "Check it.")
        )
    missing = [int(c) for c in found if c not in class_weight]
    if missing:
        raise ArgumentError(
            explain(f"class_weight says nothing of class {missing[0]}", "it needs every class", "Add it, with weight 1 perhaps.")
        )
    return np.array([float(class_weight[int(c)]) for c in found])[place]


def split_off(share: float, samples: int, seed: int) -> tuple[Array, Array]:
    """Row numbers for training and validation, chosen at random.

    Raises:
        ArgumentError: a share that leaves one of them empty.
    """
    count = round(share * samples)
    if not 0.0 < share < 1.0 or not 0 < count < samples:
        raise ArgumentError(
            explain(
                f"validation_split={share} was given for {samples} samples",
                "both parts must hold at least one",
                "Give a share between 0 and 1, or validation_data.",
            )
        )
    order = np.random.default_rng([seed, 0]).permutation(samples)
    return np.sort(order[count:]), np.sort(order[:count])


def take(arrays: Sequence[Any], rows: Array) -> list[Any]:
    """These rows of every array; None stays None."""
    return [None if a is None else np.asarray(a)[rows] for a in arrays]
