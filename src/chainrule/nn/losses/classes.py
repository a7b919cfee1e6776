"""Losses for samples that have one class each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule import checks, functional
from chainrule.errors import ArgumentError, DTypeError, ShapeError
from chainrule.ir import Array, Shape
from chainrule.nn.losses.base import Loss, Untrained, entropy, from_to, weights_as_list
from chainrule.nn.losses.table import register_loss
from chainrule.ops.indexing import one_hot
from chainrule.ops.requirement import Limits
from chainrule.tensors import Tensor, TensorLike, result, tensor_of


class ClassLoss(Loss):
    """What losses of class numbers have in common.

    Attributes:
        weight: how much each class counts, a list of C numbers or None.
        ignore_index: targets of this value count nothing.
    """

    def __init__(self, weight: Sequence[float] | None, ignore_index: int | None, reduction: str) -> None:
        super().__init__(reduction)
        self.weight = None if weight is None else weights_as_list(self, "weight", weight, axes=(1,))
        self.ignore_index = None if ignore_index is None else checks.index(type(self).__name__, "ignore_index", ignore_index)

    def check(self, output_shape: Shape, target: TensorLike) -> None:
        """Class numbers are (n, …) for outputs (n, C, …), and from 0 to C − 1 or ignore_index."""
        name, t = type(self).__name__, tensor_of(target)
        if len(output_shape) < 2:
            raise ShapeError(
                f"{name} got outputs of shape {tuple(output_shape)}",
                "they are (n, C, …): samples, then classes",
                "Add a missing axis with expand_dims.",
            )
        classes = output_shape[1]
        if self.weight is not None and len(self.weight) != classes:
            raise ShapeError(
                f"{name} has {len(self.weight)} class weights for {classes} classes", "it takes one each", "Check weight."
            )
        self._check_target(tuple(output_shape), t)
        self._target_within_limits(t, tuple(output_shape))

    def target_limits(self, target: Tensor, output_shape: Shape) -> Limits:
        """Class numbers from 0 to C − 1, or ignore_index."""
        classes = output_shape[1]
        return Limits(
            0,
            classes - 1,
            self.ignore_index,
            f"{type(self).__name__} got the class number {{}} for outputs with {classes} classes",
            f"class numbers go from 0 to {classes - 1}",
            "Number the classes from 0, give the last layer more outputs, or set ignore_index.",
        )

    def takes_classes(self, output_shape: Shape, target_shape: Shape) -> bool:
        """Targets are class numbers, unless they have the shape of the outputs (distributions)."""
        return tuple(target_shape) != tuple(output_shape)

    def _check_target(self, output_shape: Shape, t: Tensor) -> None:
        name, classes = type(self).__name__, output_shape[1]
        if t.dtype.kind not in "iu":
            raise DTypeError(
                f"{name} got targets of dtype {t.dtype} and shape {t.shape}",
                f"class numbers are integers from 0 to {classes - 1}",
                "Convert them with astype('int64').",
            )
        if t.ndim != len(output_shape) - 1 or t.shape[1:] != output_shape[2:]:
            raise ShapeError(
                f"{name} got outputs of shape {output_shape} and class numbers of shape {t.shape}",
                f"class numbers have the shape {('n', *output_shape[2:])}".replace("'", ""),
                "Remove the class axis, for example with labels.reshape(-1).",
            )

    def shares(self, target: Tensor, dtype: Any) -> Tensor | None:
        """The weight of a target's class, or 0 if it is ignored; distributions count 1."""
        if target.dtype.kind not in "iu":
            return None
        counted = self.counted(target)
        if self.weight is None:
            return None if counted is None else counted.astype(dtype)
        weight = np.asarray(self.weight, dtype)
        shares = functional.gather(weight, target if counted is None else functional.where(counted, target, 0))
        return shares if counted is None else shares * counted

    def counted(self, target: Tensor) -> Tensor | None:
        """All but those of `ignore_index`."""
        return None if self.ignore_index is None or target.dtype.kind not in "iu" else target != self.ignore_index

    def untrained(self, output_shape: Shape, target: Array) -> Untrained:
        """Of probabilities: all equal, or the shares of the classes among the targets."""
        classes = output_shape[1]
        counts = np.bincount(np.maximum(target, 0).ravel(), minlength=classes) if target.dtype.kind in "iu" else None
        shares = target.mean(axis=0) if counts is None else counts / target.size
        return Untrained(f"ln {classes}", math.log(classes), entropy(np.asarray(shares)))


@register_loss
class CrossEntropyLoss(ClassLoss):
    """−Σ_c t_c ln softmax(a)_c for scores a, as the block softmax-with-loss, whose gradient is y − t.

    Targets are class numbers (n, …), or distributions (n, C, …), for scores (n, C, …). With class numbers a mean is divided by
    the weights of the targets, as in PyTorch.

    Args:
        weight: how much each class counts, C numbers; 1 each if left out.
        ignore_index: class number of targets that count nothing. None, the default, refuses numbers out of range, where
            PyTorch would silently skip −100.
        reduction: "mean", "sum" or "none".
        label_smoothing: ε, with which t becomes (1 − ε) t + ε / C (Szegedy et al. 2016).
    """

    outputs = "scores"
    task = "multiclass"
    command = "cross-entropy"

    def __init__(
        self,
        weight: Sequence[float] | None = None,
        ignore_index: int | None = None,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(weight, ignore_index, reduction)
        self.label_smoothing = checks.real("CrossEntropyLoss", "label_smoothing", label_smoothing)
        if not 0.0 <= self.label_smoothing <= 1.0:
            raise ArgumentError(f"CrossEntropyLoss got label_smoothing={label_smoothing}", "it is from 0 to 1", "Try 0.1.")

    def elements(self, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor | None]:
        """The loss (n, …) of scores (n, C, …)."""
        classes = output.shape[1]
        numbered = target.dtype.kind in "iu"
        # Where a target is ignored, the primitive gives a row of zeros.
        if numbered:
            t = _class_axis_second(result(one_hot(target.node, count=classes, dtype=output.dtype)))
        else:
            t = target.astype(output.dtype)
        if self.label_smoothing:
            t = (1.0 - self.label_smoothing) * t + self.label_smoothing / classes
        if self.weight is not None:
            t = t * np.asarray(self.weight, output.dtype).reshape(-1, *(1,) * (output.ndim - 2))
        counted = self.counted(target)
        if counted is not None:
            t = t * functional.expand_dims(counted, 1)
        return functional.softmax_with_loss(output, t, axis=1), self.shares(target, output.dtype)

    def _check_target(self, output_shape: Shape, t: Tensor) -> None:
        if t.dtype.kind != "f" or t.ndim != len(output_shape):
            super()._check_target(output_shape, t)
            return
        if self.ignore_index is not None:
            raise ArgumentError(
                f"CrossEntropyLoss(ignore_index={self.ignore_index}) got distributions as targets",
                "only class numbers can be the one to ignore",
                "Give class numbers, or leave out ignore_index and use sample_weight.",
            )
        if t.shape[1:] != output_shape[1:]:
            raise ShapeError(
                f"CrossEntropyLoss got outputs of shape {output_shape} and distributions of shape {t.shape}",
                "both must have one shape",
                "Give class numbers, or one probability per class.",
            )

    def target_limits(self, target: Tensor, output_shape: Shape) -> Limits:
        """Class numbers, or probabilities from 0 to 1."""
        if target.dtype.kind != "f":
            return super().target_limits(target, output_shape)
        return from_to(self, "distributions", 0, 1, "Give class numbers, or probabilities that sum to 1.")


def _class_axis_second(x: Tensor) -> Tensor:
    """(n, …, C) to (n, C, …)."""
    return x if x.ndim == 2 else x.transpose((0, x.ndim - 1, *range(1, x.ndim - 1)))


@register_loss
class NLLLoss(ClassLoss):
    """−o_t for log-probabilities o (n, C, …), as LogSoftmax gives them, and class numbers t (n, …).

    CrossEntropyLoss does both in one block. A mean is divided by the weights of the targets.

    Args:
        weight: how much each class counts, C numbers; 1 each if left out.
        ignore_index: class number of targets that count nothing; None refuses numbers out of range.
        reduction: "mean", "sum" or "none".
    """

    outputs = "log-probabilities"
    on_scores = CrossEntropyLoss

    def __init__(self, weight: Sequence[float] | None = None, ignore_index: int | None = None, reduction: str = "mean") -> None:
        super().__init__(weight, ignore_index, reduction)

    def elements(self, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor | None]:
        """The loss (n, …)."""
        counted = self.counted(target)
        labels = target if counted is None else functional.where(counted, target, 0)
        rows = output.transpose((0, *range(2, output.ndim), 1)).reshape((-1, output.shape[1]))
        chosen = functional.gather(rows, np.arange(rows.shape[0]), labels.reshape(-1)).reshape(target.shape)
        shares = self.shares(target, output.dtype)
        if shares is None:
            return -chosen, None
        # An ignored log-probability may be −∞, and 0 · ∞ would be NaN.
        return functional.where(shares == 0, 0.0, -shares * chosen), shares


@register_loss
class KLDivLoss(Loss):
    """Σ t (ln t − o) for log-probabilities o and probabilities t: the divergence KL(t ‖ eᵒ) (Kullback, Leibler 1951).

    Args:
        reduction: "batchmean" is the divergence per sample, "mean" divides by the number of elements, as in PyTorch; or
            "sum" or "none".
        log_target: whether targets are log-probabilities too.
    """

    outputs = "log-probabilities"
    reductions = ("mean", "batchmean", "sum", "none")

    def __init__(self, reduction: str = "mean", log_target: bool = False) -> None:
        super().__init__(reduction)
        self.sums_within = reduction == "batchmean"
        self.log_target = bool(log_target)

    def elements(self, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor | None]:
        """t (ln t − o) per element; 0 where t is 0."""
        t = target.astype(output.dtype)
        if self.log_target:
            return functional.exp(t) * (t - output), None
        absent = t == 0.0
        return functional.where(absent, 0.0, t * (functional.log(functional.where(absent, 1.0, t)) - output)), None

    def target_limits(self, target: Tensor, output_shape: Shape) -> Limits:
        """Probabilities, from 0 to 1, or logarithms of such, at most 0."""
        low, high = (-np.inf, 0) if self.log_target else (0, 1)
        return from_to(self, "targets", low, high, "Check log_target, and apply softmax to scores.")
