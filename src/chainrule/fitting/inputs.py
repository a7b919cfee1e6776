"""From what a user hands in to the arrays that a training step reads: checked once, before anything runs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from chainrule import checks
from chainrule.errors import ArgumentError, DataError, ShapeError
from chainrule.generators import check_seed
from chainrule.ir import Array, Shape
from chainrule.nn import Loss, Module
from chainrule.nn.forward import check_finite, converted, model_dtype, numbers
from chainrule.nn.function_loss import FunctionLoss
from chainrule.tensors import tensor

ClassWeight = Mapping[int, float] | str | None


def targets_array(model: Module, loss: Loss, output: Shape, data: Any, samples: int) -> Array:
    """The targets as the loss takes them: int64 class numbers, or floats in the model's dtype and the output's shape.

    Raises:
        ShapeError: another number of targets than samples, or a shape that does not fit the output.
        DataError: NaN or infinities, class numbers that are not whole, or out of range.
    """
    array = numbers(data, "y")
    if array.ndim < 1 or len(array) != samples:
        raise ShapeError(
            f"X has {samples} samples and y has the shape {array.shape}", "both need one row per sample", "Check the data."
        )
    check_finite(array, "y")
    if loss.takes_classes(output, array.shape):
        with np.errstate(invalid="ignore"):
            whole = array.astype(np.int64)
        if not np.array_equal(whole, array):
            raise DataError(
                f"y holds {array[whole != array].flat[0]}",
                f"{type(loss).__name__} takes class numbers 0, 1, …",
                "Encode the classes, or use a loss for numbers such as MSELoss.",
            )
        array = whole
    else:
        array = converted(array, model_dtype(model), "y")
        if array.ndim == 1 and output[1:] == (1,):
            array = array[:, None]
    loss.check(output, array)
    return np.ascontiguousarray(array)


def weights_array(sample_weight: Any, class_weight: ClassWeight, y: Array, loss: Loss, dtype: Any) -> Array:
    """One weight per sample: its own times that of its class; targets that the loss ignores have no class.

    Raises:
        ShapeError, ArgumentError: not one finite weight ≥ 0 per sample; class weights for targets that are not classes, or
            that leave out a class.
    """
    weights = np.ones(len(y)) if sample_weight is None else numbers(sample_weight, "sample_weight").astype(np.float64)
    if weights.shape != (len(y),):
        raise ShapeError(f"sample_weight has the shape {weights.shape}", f"it must be ({len(y)},), one per sample", "Check it.")
    if not np.isfinite(weights).all() or (weights < 0).any() or not weights.any():
        raise ArgumentError(
            "sample_weight holds a negative number, NaN or an infinity, or only zeros",
            "weights are finite and at least 0",
            "Check them.",
        )
    if class_weight is not None:
        counted = loss.counted(tensor(y))
        weights = weights * _class_factors(class_weight, y, np.ones(y.shape, bool) if counted is None else counted.numpy())
    return np.ascontiguousarray(weights, dtype=dtype)


def check_weights(loss: Loss, data: Sequence[Array], output: Shape) -> None:
    """Refuse weights that a loss cannot heed, and targets of which none counts.

    Args:
        loss: the loss.
        data: inputs, targets and weights.
        output: the shape of the outputs.

    Raises:
        ArgumentError: different weights with a function that gives one number per batch; no sample counts.
    """
    _, y, weights = data
    weighted = bool((weights != weights[0]).any())
    if weighted and isinstance(loss, FunctionLoss) and not loss.weighs_samples((1, *output[1:]), weights.dtype, y[:1]):
        raise ArgumentError(
            f"weights of samples or classes were given with the loss {loss!r}",
            "it gives one number for a whole batch",
            "Let it return one loss per sample, without .mean().",
        )
    counting = counting_samples(loss, data)
    if counting is not None and not counting.any():
        raise ArgumentError(
            "every target is ignored or has the weight 0", "at least one sample must count", "Check ignore_index."
        )


def counting_samples(loss: Loss, data: Sequence[Array]) -> Array | None:
    """Whether each sample has a weight and a target that counts, bool (n,); None if all have."""
    _, y, weights = data
    shares = loss.shares(tensor(y), weights.dtype)
    counting = weights > 0
    if shares is not None:
        counting &= (shares.numpy().reshape(len(y), -1) > 0).any(axis=1)
    return None if counting.all() else counting


def _class_factors(class_weight: ClassWeight, y: Array, counted: Array) -> Array:
    classes = y.reshape(len(y), -1)[:, 0]
    if y.size != len(y) or not np.array_equal(classes, np.round(classes)):
        raise ArgumentError(
            "class_weight was given for targets that are not one class per sample",
            "it needs class numbers (n,)",
            "Use sample_weight, or the weights that the loss takes (weight=, pos_weight=).",
        )
    factors = np.ones(len(y))
    has_class = counted.reshape(-1)
    factors[has_class] = _factors(class_weight, classes[has_class].astype(np.int64))
    return factors


def _factors(class_weight: ClassWeight, classes: Array) -> Array:
    """The weight of each sample's class."""
    found, place, counts = np.unique(classes, return_inverse=True, return_counts=True)
    if class_weight == "balanced":
        return (len(classes) / (len(found) * counts))[place]
    if not isinstance(class_weight, Mapping):
        raise ArgumentError(
            f"class_weight={class_weight!r} was given",
            "it is 'balanced' or a mapping from class number to weight",
            "Write for example {0: 1.0, 1: 5.0}.",
        )
    missing = [int(c) for c in found if c not in class_weight]
    if missing:
        raise ArgumentError(
            f"class_weight has no entry for class {missing[0]}", "it needs every class", "Add it, perhaps with 1.0."
        )
    factors = np.array([float(class_weight[int(c)]) for c in found])
    if not np.isfinite(factors).all() or (factors < 0).any() or not factors.any():
        raise ArgumentError(
            f"class_weight={dict(class_weight)} was given", "weights are finite, ≥ 0 and not all 0", "Check them."
        )
    return factors[place]


def split_off(share: float, samples: int, seed: int) -> tuple[Array, Array]:
    """Row numbers for training and validation, chosen at random.

    Raises:
        ArgumentError: a share that leaves one of them empty.
    """
    checks.real("fit", "validation_split", share)
    count = round(share * samples) if 0.0 < share < 1.0 else 0
    if not 0 < count < samples:
        raise ArgumentError(
            f"validation_split={share} was given for {samples} samples",
            "both parts must hold at least one",
            "Give a share between 0 and 1, or validation_data.",
        )
    order = np.random.default_rng([seed, 0]).permutation(samples)
    return np.sort(order[count:]), np.sort(order[:count])


def take(arrays: Sequence[Any], rows: Array) -> list[Any]:
    """These rows of every array; None stays None."""
    return [None if a is None else np.asarray(a)[rows] for a in arrays]


def check_settings(epochs: int, seed: int, sampler: str, until_loss: float | None) -> None:
    """Raise ArgumentError for settings of a fit that mean nothing."""
    checks.whole("fit", "epochs", epochs, 0, "Try 20.")
    check_seed(seed)
    if sampler not in ("all", "misclassified"):
        raise ArgumentError(
            f"sampler={sampler!r} was given", "it is 'all' or 'misclassified'", "Leave it out to take every sample."
        )
    if until_loss is not None and math.isnan(checks.real("fit", "until_loss", until_loss)):
        raise ArgumentError("until_loss is NaN", "it is the loss to reach", "Give a number, or None.")


def validation_pair(validation_data: Any) -> tuple[Any, ...]:
    """Inputs and targets to validate with, and weights perhaps. Raises ArgumentError for anything else."""
    if not isinstance(validation_data, tuple | list) or len(validation_data) not in (2, 3):
        what = f"{len(validation_data)} parts" if isinstance(validation_data, tuple | list) else type(validation_data).__name__
        raise ArgumentError(
            f"validation_data is {what}", "it is (X, y) or (X, y, sample_weight)", "Write validation_data=(Xv, yv)."
        )
    return tuple(validation_data)


def check_classes(targets: Array) -> None:
    """Raise ArgumentError where targets are not classes, which alone can be misclassified."""
    if targets.dtype.kind == "f" and not np.isin(targets, (-1.0, 0.0, 1.0)).all():
        raise ArgumentError(
            f"sampler='misclassified' was given with targets such as {targets[~np.isin(targets, (-1, 0, 1))][0]:g}",
            "only classes can be misclassified: class numbers, or 0 and 1 per output",
            "Use sampler='all' for numbers.",
        )
