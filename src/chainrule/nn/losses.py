"""Losses: how far outputs are from targets, as one number to make small.

A loss is computed in three stages: `elements`, PyTorch's unreduced loss with the weight that each element has in a mean;
`terms`, the same per sample; and the reduction, with sample weights s:

    mean    Σ s·loss / Σ s·weight          sum    Σ s·loss          none    the elements, times s
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, ClassVar, Literal

import numpy as np

from chainrule import checks, elsewhere, functional
from chainrule.errors import ArgumentError, DTypeError, ModelFileError, ShapeError, message
from chainrule.ir import Shape
from chainrule.nn import settings
from chainrule.ops.requirement import Limits, required
from chainrule.reads import Noted
from chainrule.tensors import Tensor, TensorLike, apply, result, tensor

_ROUNDING = 1e-6  # a probability computed in float32 can exceed 1 by this much
_trusted: ContextVar[frozenset[str]] = ContextVar("trusted", default=frozenset())


class Loss(Noted, elsewhere.Explaining):
    """Base of all losses. Subclasses define `elements`, and `check` if their targets are special.

    Args:
        reduction: "mean", "sum" or "none".

    Attributes:
        reductions: the values that `reduction` may have.
        sums_within: whether the axes after the first are summed even for "mean".
        threshold: what a single output must exceed to mean class 1: 0 for scores, ½ for probabilities.
        per_label: whether several outputs are as many yes/no answers (multi-label), not the scores of classes.
    """

    reductions: ClassVar[tuple[str, ...]] = ("mean", "sum", "none")
    sums_within: bool = False
    threshold: float = 0.5
    per_label: bool = False

    def __init__(self, reduction: str = "mean") -> None:
        if reduction not in self.reductions:
            name = type(self).__name__
            raise ArgumentError(
                message(f"{name} got reduction={reduction!r}", f"it takes {', '.join(self.reductions)}", "Choose one of them.")
            )
        self.reduction = reduction

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or hasattr(type(self), name):  # asked for by Python, or a property that failed
            return object.__getattribute__(self, name)
        raise elsewhere.missing(f"a {type(self).__name__}", name, dir(self), elsewhere.LOSS)

    def __call__(self, output: TensorLike, target: TensorLike, sample_weight: TensorLike = None) -> Tensor:
        """The loss.

        Args:
            output: what the network gave, samples along the first axis; floating.
            target: what was wanted.
            sample_weight: s, (n,), how much each sample counts; 1 each if left out.

        Returns:
            A scalar, or with reduction "none" a Tensor with the loss of every element. A mean over nothing, where all weights
            are 0 or all targets are ignored, is 0, and so is its gradient.

        Raises:
            ShapeError, DTypeError, ArgumentError: output, target or weights that do not fit.
        """
        losses, weights = self._elements(output, target)
        s = _sample_weights(sample_weight, losses)
        if self.reduction == "none":
            return losses if s is None else losses * s.reshape((-1, *(1,) * (losses.ndim - 1)))
        if s is None and self.reduction == "sum":
            return losses.sum()
        if s is None and weights is None and not self.sums_within:
            return losses.mean()
        return self._reduced(*self._per_sample(losses, weights), s)

    def terms(self, output: TensorLike, target: TensorLike) -> tuple[Tensor, Tensor]:
        """Loss (n,) and weight in a mean (n,) of every sample; axes after the first are averaged, or summed for "sum"."""
        losses, weights = self._per_sample(*self._elements(output, target))
        return losses, weights if weights is not None else tensor(np.ones(losses.shape, losses.dtype))

    def elements(self, output: Tensor, target: Tensor) -> Tensor | tuple[Tensor, Tensor | None]:
        """Losses before any reduction, samples along the first axis; or those and the weights that they have in a mean."""
        raise NotImplementedError(f"{type(self).__name__} defines elements(output, target)")

    def check(self, output_shape: Shape, target: TensorLike) -> None:
        """Check targets against the shape of outputs, first axes (samples) apart: once, for a whole target array.

        Raises:
            ShapeError, DTypeError, ArgumentError: targets that do not fit, or values out of range.
        """
        t = _as_tensor(target)
        if t.shape[1:] != tuple(output_shape[1:]) or t.ndim != len(output_shape):
            raise ShapeError(
                message(
                    f"{type(self).__name__} got outputs of shape {tuple(output_shape)} and targets of shape {t.shape}",
                    "both must have one shape",
                    "Reshape the targets, for example (n,) to (n, 1), or change the size of the last layer.",
                )
            )
        self._target_within_limits(t, output_shape)

    def target_limits(self, target: Tensor, output_shape: Shape) -> Limits | None:
        """What targets of this shape and dtype may be; None: any number."""
        return None

    def takes_classes(self, output_shape: Shape, target_shape: Shape) -> bool:
        """Whether targets of this shape are class numbers."""
        return False

    def shares(self, target: Tensor, dtype: Any) -> Tensor | None:
        """What each target counts in a mean, of the targets' shape and of `dtype`; None where all count 1."""
        return None

    def counted(self, target: Tensor) -> Tensor | None:
        """Which targets count at all, bool of their shape; None for all."""
        return None

    def config(self) -> dict[str, Any]:
        """Name and settings as JSON-able data, for `loss_from_config`."""
        return {"loss": type(self).__name__, **self._settings()}

    def _settings(self) -> dict[str, Any]:
        return settings.settings_of(self, settings.argument_names(type(self)))

    def __repr__(self) -> str:
        return settings.call_text(self, self._settings())

    # ---------------------------------------------------------------------------------------- stages
    def _elements(self, output: TensorLike, target: TensorLike) -> tuple[Tensor, Tensor | None]:
        found = self.elements(*self._checked(output, target))
        return found if isinstance(found, tuple) else (found, None)

    def _checked(self, output: TensorLike, target: TensorLike) -> tuple[Tensor, Tensor]:
        y, t = _as_tensor(output), _as_tensor(target)
        if y.dtype.kind != "f":
            raise DTypeError(
                message(f"{type(self).__name__} got outputs of dtype {y.dtype}", "they must be floating", "Use astype.")
            )
        self.check(y.shape, t)
        if t.node.value is None and "targets" not in _trusted.get():
            t = self._target_within_limits(t, y.shape)
        if y.shape[:1] != t.shape[:1]:
            raise ShapeError(
                message(
                    f"{type(self).__name__} got {y.shape[0]} outputs and {t.shape[0]} targets",
                    "each sample has one of both",
                    "Check the first axes.",
                )
            )
        return y, t

    def _target_within_limits(self, target: Tensor, output_shape: Shape) -> Tensor:
        limits = self.target_limits(target, output_shape)
        return target if limits is None else _within(target, limits)

    def _per_sample(self, losses: Tensor, weights: Tensor | None) -> tuple[Tensor, Tensor | None]:
        axes = tuple(range(1, losses.ndim))
        if not axes:
            return losses.reshape(-1), weights
        if self.sums_within or self.reduction == "sum":
            return losses.sum(axes), None if weights is None else weights.sum(axes)
        return losses.mean(axes), None if weights is None else weights.mean(axes)

    def _reduced(self, losses: Tensor, weights: Tensor | None, s: Tensor | None) -> Tensor:
        total = (losses if s is None else s * losses).sum()
        if self.reduction == "sum":
            return total
        if weights is None and s is None:
            return total / losses.size
        counted = s if weights is None else weights if s is None else s * weights
        assert counted is not None
        weight = counted.sum()
        if "weights" not in _trusted.get():
            weight = functional.where(weight == 0.0, 1.0, weight)  # what counts nothing adds up to 0, not to 0 / 0
        return total / weight


def _as_tensor(value: TensorLike) -> Tensor:
    return value if isinstance(value, Tensor) else tensor(value)


def _sample_weights(weights: TensorLike, losses: Tensor) -> Tensor | None:
    if weights is None:
        return None
    s = _as_tensor(weights)
    if losses.ndim == 0 or s.shape != losses.shape[:1]:
        raise ShapeError(
            message(
                f"sample_weight has the shape {s.shape} for losses of shape {losses.shape}",
                "it holds one number per sample",
                "Give an array of shape (n,).",
            )
        )
    return s.astype(losses.dtype)


def _from_to(loss: Loss, what: str, low: float, high: float, fix: str) -> Limits:
    """Limits that a value may miss by rounding."""
    given, expected = f"{type(loss).__name__} got {what} such as {{}}", f"they must be from {low:g} to {high:g}"
    return Limits(low - _ROUNDING, high + _ROUNDING, None, given, expected, fix)


def _within(values: Tensor, limits: Limits) -> Tensor:
    """The values, of which none is outside; those not known yet are looked at when the graph runs."""
    return result(required(values.node, values.node, limits))


@contextmanager
def trusting(*what: Literal["targets", "outputs", "weights"]) -> Iterator[None]:
    """Within it losses take values that are not known yet as they come: targets that `Loss.check` has seen, outputs too, or
    weights of which not all are 0.
    """
    token = _trusted.set(_trusted.get().union(what))
    try:
        yield
    finally:
        _trusted.reset(token)


# -------------------------------------------------------------------------------------------- regression
class HalfSquaredError(Loss):
    """E = ½ Σ (O − t)² (the founding examples' error); its gradient is O − t.

    With reduction "mean" the mean over samples of each one's sum.
    """

    sums_within = True

    def __init__(self, reduction: str = "sum") -> None:
        super().__init__(reduction)

    def elements(self, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor | None]:
        """½ (O − t)² per element."""
        return 0.5 * (output - target.astype(output.dtype)) ** 2, None


class MSELoss(Loss):
    """Mean of (O − t)² over all elements."""

    def elements(self, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor | None]:
        """(O − t)² per element."""
        return (output - target.astype(output.dtype)) ** 2, None


class L1Loss(Loss):
    """Mean of |O − t| over all elements; where O = t the derivative is taken to be 0."""

    def elements(self, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor | None]:
        """|O − t| per element."""
        return abs(output - target.astype(output.dtype)), None


class HuberLoss(Loss):
    """½ d² where |d| ≤ delta, else delta (|d| − ½ delta), with d = O − t (Huber 1964).

    Args:
        reduction: "mean" over all elements, "sum" or "none".
        delta: where the square ends, > 0.
    """

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction)
        self.delta = checks.real("HuberLoss", "delta", delta)
        if not self.delta > 0:
            raise ArgumentError(message(f"HuberLoss got delta={delta}", "it must be > 0", "Try delta=1.0."))

    def elements(self, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor | None]:
        """The loss per element."""
        size = abs(output - target.astype(output.dtype))
        within = functional.clip(size, 0.0, self.delta)
        return within * (size - 0.5 * within), None


# -------------------------------------------------------------------------------------------- two classes
class BCELoss(Loss):
    """−(t ln O + (1 − t) ln(1 − O)) for probabilities O and targets from 0 to 1; logarithms are at least −100, as in PyTorch.

    BCEWithLogitsLoss is exact where probabilities round to 0 or 1, and learns there; prefer it.
    """

    per_label = True

    def elements(self, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor | None]:
        """The loss per element."""
        # Where time counts, as in a training step, what is a probability by its making is not looked at.
        trusted = {"targets"} if output.node.op in ("sigmoid", "softmax") else {"outputs"}
        if not trusted & _trusted.get():
            output = _within(output, _from_to(self, "outputs", 0, 1, "Put nn.Sigmoid() last, or use BCEWithLogitsLoss."))
        t = target.astype(output.dtype)
        return functional.binary_cross_entropy(output, t), None

    def target_limits(self, target: Tensor, output_shape: Shape) -> Limits:
        """From 0 to 1."""
        return _from_to(self, "targets", 0, 1, "Encode the two classes as 0 and 1.")


class BCEWithLogitsLoss(Loss):
    """−(p t ln σ(z) + (1 − t) ln(1 − σ(z))) for scores z and targets from 0 to 1, without overflow.

    Without pos_weight it is one block, whose gradient is σ(z) − t.

    Args:
        reduction: "mean" over all elements, "sum" or "none".
        pos_weight: p, how much the class 1 counts: a number, or one per element of the last axis.
    """

    threshold = 0.0
    per_label = True

    def __init__(self, reduction: str = "mean", pos_weight: float | Sequence[float] | None = None) -> None:
        super().__init__(reduction)
        self.pos_weight = None if pos_weight is None else _weights(self, "pos_weight", pos_weight, axes=(0, 1))

    def elements(self, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor | None]:
        """The loss per element."""
        t = target.astype(output.dtype)
        if self.pos_weight is None:
            return functional.binary_cross_entropy_with_logits(output, t), None
        p = np.asarray(self.pos_weight, output.dtype)
        if p.size not in (1, *output.shape[-1:]):
            raise ShapeError(
                message(
                    f"BCEWithLogitsLoss has {p.size} pos_weights for outputs of shape {output.shape}",
                    "it takes one, or one per element of the last axis",
                    "Check pos_weight.",
                )
            )
        return (1.0 - t) * output + (1.0 + (p - 1.0) * t) * functional.softplus(-output), None

    def target_limits(self, target: Tensor, output_shape: Shape) -> Limits:
        """From 0 to 1."""
        return _from_to(self, "targets", 0, 1, "Encode the two classes as 0 and 1.")


class HingeLoss(Loss):
    """max(0, margin − t O) for targets t of −1 and 1 (Cortes, Vapnik 1995); at the kink the derivative is taken to be 0.

    Args:
        reduction: "mean" over all elements, "sum" or "none".
        margin: how far on the right side O must be, > 0.
    """

    threshold = 0.0
    per_label = True

    def __init__(self, reduction: str = "mean", margin: float = 1.0) -> None:
        super().__init__(reduction)
        self.margin = checks.real("HingeLoss", "margin", margin)
        if not self.margin > 0:
            raise ArgumentError(message(f"HingeLoss got margin={margin}", "it must be > 0", "Try margin=1.0."))

    def elements(self, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor | None]:
        """The loss per element."""
        return functional.relu(self.margin - target.astype(output.dtype) * output), None

    def target_limits(self, target: Tensor, output_shape: Shape) -> Limits:
        """−1 or 1."""
        return Limits(
            1, 1, -1, "HingeLoss got targets such as {}", "they must be −1 or 1", "Write 2 * t - 1 for targets of 0 and 1."
        )


# -------------------------------------------------------------------------------------------- many classes
class _ClassLoss(Loss):
    """What losses of class numbers have in common.

    Attributes:
        weight: how much each class counts, a list of C numbers or None.
        ignore_index: targets of this value count nothing.
    """

    def __init__(self, weight: Sequence[float] | None, ignore_index: int | None, reduction: str) -> None:
        super().__init__(reduction)
        self.weight = None if weight is None else _weights(self, "weight", weight, axes=(1,))
        self.ignore_index = None if ignore_index is None else checks.index(type(self).__name__, "ignore_index", ignore_index)

    def check(self, output_shape: Shape, target: TensorLike) -> None:
        """Class numbers are (n, …) for outputs (n, C, …), and from 0 to C − 1 or ignore_index."""
        name, t = type(self).__name__, _as_tensor(target)
        if len(output_shape) < 2:
            raise ShapeError(
                message(
                    f"{name} got outputs of shape {tuple(output_shape)}",
                    "they are (n, C, …): samples, then classes",
                    "Add a missing axis with expand_dims.",
                )
            )
        classes = output_shape[1]
        if self.weight is not None and len(self.weight) != classes:
            raise ShapeError(
                message(
                    f"{name} has {len(self.weight)} class weights for {classes} classes", "it takes one each", "Check weight."
                )
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
                message(
                    f"{name} got targets of dtype {t.dtype} and shape {t.shape}",
                    f"class numbers are integers from 0 to {classes - 1}",
                    "Convert them with astype('int64').",
                )
            )
        if t.ndim != len(output_shape) - 1 or t.shape[1:] != output_shape[2:]:
            raise ShapeError(
                message(
                    f"{name} got outputs of shape {output_shape} and class numbers of shape {t.shape}",
                    f"class numbers have the shape {('n', *output_shape[2:])}".replace("'", ""),
                    "Remove the class axis, for example with labels.reshape(-1).",
                )
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


class CrossEntropyLoss(_ClassLoss):
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
            raise ArgumentError(
                message(f"CrossEntropyLoss got label_smoothing={label_smoothing}", "it is from 0 to 1", "Try 0.1.")
            )

    def elements(self, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor | None]:
        """The loss (n, …) of scores (n, C, …)."""
        classes = output.shape[1]
        numbered = target.dtype.kind in "iu"
        # Where a target is ignored, the primitive gives a row of zeros.
        if numbered:
            t = _class_axis_second(apply("one_hot", target, count=classes, dtype=output.dtype))
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
                message(
                    f"CrossEntropyLoss(ignore_index={self.ignore_index}) got distributions as targets",
                    "only class numbers can be the one to ignore",
                    "Give class numbers, or leave out ignore_index and use sample_weight.",
                )
            )
        if t.shape[1:] != output_shape[1:]:
            raise ShapeError(
                message(
                    f"CrossEntropyLoss got outputs of shape {output_shape} and distributions of shape {t.shape}",
                    "both must have one shape",
                    "Give class numbers, or one probability per class.",
                )
            )

    def target_limits(self, target: Tensor, output_shape: Shape) -> Limits:
        """Class numbers, or probabilities from 0 to 1."""
        if target.dtype.kind != "f":
            return super().target_limits(target, output_shape)
        return _from_to(self, "distributions", 0, 1, "Give class numbers, or probabilities that sum to 1.")


def _class_axis_second(x: Tensor) -> Tensor:
    """(n, …, C) to (n, C, …)."""
    return x if x.ndim == 2 else x.transpose((0, x.ndim - 1, *range(1, x.ndim - 1)))


class NLLLoss(_ClassLoss):
    """−o_t for log-probabilities o (n, C, …), as LogSoftmax gives them, and class numbers t (n, …).

    CrossEntropyLoss does both in one block. A mean is divided by the weights of the targets.

    Args:
        weight: how much each class counts, C numbers; 1 each if left out.
        ignore_index: class number of targets that count nothing; None refuses numbers out of range.
        reduction: "mean", "sum" or "none".
    """

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


class KLDivLoss(Loss):
    """Σ t (ln t − o) for log-probabilities o and probabilities t: the divergence KL(t ‖ eᵒ) (Kullback, Leibler 1951).

    Args:
        reduction: "batchmean" is the divergence per sample, "mean" divides by the number of elements, as in PyTorch; or
            "sum" or "none".
        log_target: whether targets are log-probabilities too.
    """

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
        return _from_to(self, "targets", low, high, "Check log_target, and apply softmax to scores.")


def _weights(loss: Loss, name: str, value: Any, axes: tuple[int, ...]) -> Any:
    """Weights as a list of numbers, or as one number if they may have no axis.

    Raises:
        ArgumentError: negative or infinite weights, or another number of axes.
    """
    try:
        array = np.asarray(value, np.float64)
    except (TypeError, ValueError):
        array = np.asarray(np.nan)
    if array.ndim not in axes or not np.all(np.isfinite(array) & (array >= 0)):
        raise ArgumentError(
            message(f"{type(loss).__name__} got {name}={value!r}", "it is a list of numbers ≥ 0", "Give one number per class.")
        )
    return array.tolist()


LOSSES: dict[str, type[Loss]] = {
    cls.__name__: cls
    for cls in (
        HalfSquaredError,
        MSELoss,
        L1Loss,
        HuberLoss,
        BCELoss,
        BCEWithLogitsLoss,
        CrossEntropyLoss,
        NLLLoss,
        KLDivLoss,
        HingeLoss,
    )
}


def loss_from_config(config: Mapping[str, Any]) -> Loss:
    """The loss that `Loss.config` wrote.

    Raises:
        ModelFileError: an unknown loss, or settings that it does not take.
    """
    name = config.get("loss") if isinstance(config, Mapping) else None
    cls = LOSSES.get(name) if isinstance(name, str) else None
    if cls is None:
        raise ModelFileError(
            message(f"the model has the loss {name!r}", f"the losses known here are {', '.join(LOSSES)}", "Update chainrule.")
        )
    return settings.construct(cls, "loss", **{key: value for key, value in config.items() if key != "loss"})
