"""Losses for yes/no answers, one per output."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from chainrule import checks, functional
from chainrule.errors import ArgumentError, ShapeError
from chainrule.ir import Array, Shape
from chainrule.nn.losses.base import Loss, Untrained, entropy, from_to, trusted, weights_as_list, within
from chainrule.nn.losses.table import register_loss
from chainrule.ops.primitive import facts
from chainrule.ops.requirement import Limits
from chainrule.tensors import Tensor


class BinaryCrossEntropy(Loss):
    """Base of the losses that take targets from 0 to 1 for probabilities."""

    per_label = True

    def target_limits(self, target: Tensor, output_shape: Shape) -> Limits:
        """From 0 to 1."""
        return from_to(self, "targets", 0, 1, "Encode the two classes as 0 and 1.")

    def untrained(self, output_shape: Shape, target: Array) -> Untrained:
        """Of even probabilities, ½ each, and of the share of the class 1 among the targets."""
        shares = target.reshape(len(target), -1).mean(axis=0)
        return Untrained("ln 2", math.log(2.0), float(np.mean([entropy(np.array([p, 1.0 - p])) for p in shares])))


@register_loss
class BCEWithLogitsLoss(BinaryCrossEntropy):
    """−(p t ln σ(z) + (1 − t) ln(1 − σ(z))) for scores z and targets from 0 to 1, without overflow.

    Without pos_weight it is one block, whose gradient is σ(z) − t.

    Args:
        reduction: "mean" over all elements, "sum" or "none".
        pos_weight: p, how much the class 1 counts: a number, or one per element of the last axis.
    """

    outputs = "scores"
    task = "binary"
    command = "bce"
    threshold = 0.0

    def __init__(self, reduction: str = "mean", pos_weight: float | Sequence[float] | None = None) -> None:
        super().__init__(reduction)
        self.pos_weight = None if pos_weight is None else weights_as_list(self, "pos_weight", pos_weight, axes=(0, 1))

    def elements(self, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor | None]:
        """The loss per element."""
        t = target.astype(output.dtype)
        if self.pos_weight is None:
            return functional.binary_cross_entropy_with_logits(output, t), None
        p = np.asarray(self.pos_weight, output.dtype)
        if p.size not in (1, *output.shape[-1:]):
            raise ShapeError(
                f"BCEWithLogitsLoss has {p.size} pos_weights for outputs of shape {output.shape}",
                "it takes one, or one per element of the last axis",
                "Check pos_weight.",
            )
        return (1.0 - t) * output + (1.0 + (p - 1.0) * t) * functional.softplus(-output), None


@register_loss
class BCELoss(BinaryCrossEntropy):
    """−(t ln O + (1 − t) ln(1 − O)) for probabilities O and targets from 0 to 1; logarithms are at least −100, as in PyTorch.

    BCEWithLogitsLoss is exact where probabilities round to 0 or 1, and learns there; prefer it.
    """

    outputs = "probabilities"
    on_scores = BCEWithLogitsLoss

    def elements(self, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor | None]:
        """The loss per element."""
        # Where time counts, as in a training step, what is a probability by its making is not looked at.
        made = facts(output.node).activation
        enough = {"targets"} if made is not None and made.gives_probabilities else {"outputs"}
        if not enough & trusted():
            output = within(output, from_to(self, "outputs", 0, 1, "Put nn.Sigmoid() last, or use BCEWithLogitsLoss."))
        t = target.astype(output.dtype)
        return functional.binary_cross_entropy(output, t), None


@register_loss
class HingeLoss(Loss):
    """max(0, margin − t O) for targets t of −1 and 1 (Cortes, Vapnik 1995); at the kink the derivative is taken to be 0.

    Args:
        reduction: "mean" over all elements, "sum" or "none".
        margin: how far on the right side O must be, > 0.
    """

    outputs = "margins"
    threshold = 0.0
    per_label = True

    def __init__(self, reduction: str = "mean", margin: float = 1.0) -> None:
        super().__init__(reduction)
        self.margin = checks.real("HingeLoss", "margin", margin)
        if not self.margin > 0:
            raise ArgumentError(f"HingeLoss got margin={margin}", "it must be > 0", "Try margin=1.0.")

    def elements(self, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor | None]:
        """The loss per element."""
        return functional.relu(self.margin - target.astype(output.dtype) * output), None

    def target_limits(self, target: Tensor, output_shape: Shape) -> Limits:
        """−1 or 1."""
        return Limits(
            1, 1, -1, "HingeLoss got targets such as {}", "they must be −1 or 1", "Write 2 * t - 1 for targets of 0 and 1."
        )
