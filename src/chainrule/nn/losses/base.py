"""Losses: how far outputs are from targets, as one number to minimise.

A loss is computed in three stages: `elements`, PyTorch's unreduced loss with the weight that each element has in a mean;
`terms`, the same per sample; and the reduction, with sample weights s:

    mean    Σ s·loss / Σ s·weight          sum    Σ s·loss          none    the elements, times s
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from chainrule import elsewhere, functional
from chainrule.errors import ArgumentError, DTypeError, ShapeError
from chainrule.ir import Array, Shape
from chainrule.nn import settings
from chainrule.ops.requirement import Limits, required
from chainrule.reads import Noted
from chainrule.tensors import Tensor, TensorLike, result, tensor, tensor_of

Outputs = Literal["anything", "numbers", "scores", "margins", "probabilities", "log-probabilities"]
Task = Literal["", "regression", "binary", "multiclass"]

_ROUNDING = 1e-6  # a probability computed in float32 can exceed 1 by this much
_trusted: ContextVar[frozenset[str]] = ContextVar("trusted", default=frozenset())


def trusted() -> frozenset[str]:
    """What values are taken as they come (see `trusting`)."""
    return _trusted.get()


@dataclass(frozen=True)
class Untrained:
    """Values of a loss, as means over samples, of a network that has not learnt anything from its inputs.

    Attributes:
        formula: how `start` is computed.
        start: for a network that does not know anything yet: even probabilities, or outputs of 0.
        constant: for the best prediction that is the same for every sample; what is below it was learnt from the inputs.
    """

    formula: str
    start: float
    constant: float


def entropy(shares: Array) -> float:
    """−Σ p ln p."""
    p = shares[shares > 0]
    return float(-(p * np.log(p)).sum())


class Loss(Noted, elsewhere.Explaining):
    """Base of all losses. Subclasses define `elements`, and `check` if their targets are special.

    Args:
        reduction: "mean", "sum" or "none".

    Attributes:
        reductions: the values that `reduction` may have.
        sums_within: whether the axes after the first are summed even for "mean".
        threshold: what a single output must exceed to mean class 1: 0 for scores, ½ for probabilities.
        per_label: whether several outputs are as many yes/no answers (multi-label), not the scores of classes.
        outputs: what it takes the outputs for; "anything" if it does not say.
        on_scores: the loss that is the same one on scores, if outputs are probabilities or their logarithms.
        task: what `chainrule train` can use it for, with a last layer that gives numbers or scores; "" for nothing.
        command: its name on the command line; its own if it has none.
    """

    reductions: ClassVar[tuple[str, ...]] = ("mean", "sum", "none")
    outputs: ClassVar[Outputs] = "anything"
    on_scores: ClassVar[type[Loss] | None] = None
    task: ClassVar[Task] = ""
    command: ClassVar[str] = ""
    sums_within: bool = False
    threshold: float = 0.5
    per_label: bool = False

    def __init__(self, reduction: str = "mean") -> None:
        if reduction not in self.reductions:
            name = type(self).__name__
            raise ArgumentError(
                f"{name} got reduction={reduction!r}", f"it takes {', '.join(self.reductions)}", "Choose one of them."
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
        t = tensor_of(target)
        if t.shape[1:] != tuple(output_shape[1:]) or t.ndim != len(output_shape):
            raise ShapeError(
                f"{type(self).__name__} got outputs of shape {tuple(output_shape)} and targets of shape {t.shape}",
                "both must have one shape",
                "Reshape the targets, for example (n,) to (n, 1), or change the size of the last layer.",
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

    def untrained(self, output_shape: Shape, target: Array) -> Untrained | None:
        """What the loss should be before anything is learnt; None where it is not known.

        Args:
            output_shape: of the network's output.
            target: targets as the loss takes them, class numbers or float64.
        """
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
        y, t = tensor_of(output), tensor_of(target)
        if y.dtype.kind != "f":
            raise DTypeError(f"{type(self).__name__} got outputs of dtype {y.dtype}", "they must be floating", "Use astype.")
        self.check(y.shape, t)
        if t.node.value is None and "targets" not in trusted():
            t = self._target_within_limits(t, y.shape)
        if y.shape[:1] != t.shape[:1]:
            raise ShapeError(
                f"{type(self).__name__} got {y.shape[0]} outputs and {t.shape[0]} targets",
                "each sample needs one of each",
                "Check the first axes.",
            )
        return y, t

    def _target_within_limits(self, target: Tensor, output_shape: Shape) -> Tensor:
        limits = self.target_limits(target, output_shape)
        return target if limits is None else within(target, limits)

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
        if "weights" not in trusted():
            weight = functional.where(weight == 0.0, 1.0, weight)  # what counts nothing adds up to 0, not to 0 / 0
        return total / weight


def _sample_weights(weights: TensorLike, losses: Tensor) -> Tensor | None:
    if weights is None:
        return None
    s = tensor_of(weights)
    if losses.ndim == 0 or s.shape != losses.shape[:1]:
        raise ShapeError(
            f"sample_weight has the shape {s.shape} for losses of shape {losses.shape}",
            "it holds one number per sample",
            "Give an array of shape (n,).",
        )
    return s.astype(losses.dtype)


def from_to(loss: Loss, what: str, low: float, high: float, fix: str) -> Limits:
    """Limits that a value may miss by rounding."""
    given, expected = f"{type(loss).__name__} got {what} such as {{}}", f"they must be from {low:g} to {high:g}"
    return Limits(low - _ROUNDING, high + _ROUNDING, None, given, expected, fix)


def within(values: Tensor, limits: Limits) -> Tensor:
    """The values, of which none is outside; those not known yet are looked at when the graph runs."""
    return result(required(values.node, values.node, limits))


@contextmanager
def trusting(*what: Literal["targets", "outputs", "weights"]) -> Iterator[None]:
    """Within it losses take values that are not known yet as they come: targets that `Loss.check` has seen, outputs too, or
    weights of which not all are 0.
    """
    token = _trusted.set(trusted().union(what))
    try:
        yield
    finally:
        _trusted.reset(token)


def weights_as_list(loss: Loss, name: str, value: Any, axes: tuple[int, ...]) -> Any:
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
            f"{type(loss).__name__} got {name}={value!r}", "it is a list of numbers ≥ 0", "Give one number per class."
        )
    return array.tolist()
