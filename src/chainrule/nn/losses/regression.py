"""Losses for targets that are numbers."""

from __future__ import annotations

import numpy as np

from chainrule import checks, functional
from chainrule.errors import ArgumentError
from chainrule.ir import Array, Shape
from chainrule.nn.losses.base import Loss, Untrained
from chainrule.nn.losses.table import register_loss
from chainrule.tensors import Tensor


class RegressionLoss(Loss):
    """What losses of numbers have in common."""

    outputs = "numbers"
    task = "regression"


def _squared(target: Array, scale: float = 1.0, factor: str = "") -> Untrained:
    """Of squares: 0 as the output has the mean square of the targets, their mean the variance."""
    constant = float(target.var(axis=0).mean())
    return Untrained(f"{factor}(var(y) + mean(y)²)", scale * float((target**2).mean()), scale * constant)


@register_loss
class MSELoss(RegressionLoss):
    """Mean of (O − t)² over all elements."""

    command = "mse"

    def elements(self, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor | None]:
        """(O − t)² per element."""
        return (output - target.astype(output.dtype)) ** 2, None

    def untrained(self, output_shape: Shape, target: Array) -> Untrained:
        """See `Loss.untrained`."""
        return _squared(target)


@register_loss
class L1Loss(RegressionLoss):
    """Mean of |O − t| over all elements; where O = t the derivative is taken to be 0."""

    command = "l1"

    def elements(self, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor | None]:
        """|O − t| per element."""
        return abs(output - target.astype(output.dtype)), None

    def untrained(self, output_shape: Shape, target: Array) -> Untrained:
        """See `Loss.untrained`."""
        away = np.abs(target - np.median(target, axis=0))
        return Untrained("mean |y|", float(np.abs(target).mean()), float(away.mean()))


@register_loss
class HuberLoss(RegressionLoss):
    """½ d² where |d| ≤ delta, else delta (|d| − ½ delta), with d = O − t (Huber 1964).

    Args:
        reduction: "mean" over all elements, "sum" or "none".
        delta: where the square ends, > 0.
    """

    command = "huber"

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction)
        self.delta = checks.real("HuberLoss", "delta", delta)
        if not self.delta > 0:
            raise ArgumentError(f"HuberLoss got delta={delta}", "it must be > 0", "Try delta=1.0.")

    def elements(self, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor | None]:
        """The loss per element."""
        size = abs(output - target.astype(output.dtype))
        within = functional.clip(size, 0.0, self.delta)
        return within * (size - 0.5 * within), None

    def untrained(self, output_shape: Shape, target: Array) -> Untrained:
        """See `Loss.untrained`."""
        away = np.abs(target - np.median(target, axis=0))
        return Untrained("mean |y|", self._mean(np.abs(target)), self._mean(away))

    def _mean(self, sizes: Array) -> float:
        losses = np.where(sizes <= self.delta, 0.5 * sizes**2, self.delta * (sizes - 0.5 * self.delta))
        return float(losses.mean())


@register_loss
class HalfSquaredError(RegressionLoss):
    """E = ½ Σ (O − t)² (the founding examples' error); its gradient is O − t.

    With reduction "mean" the mean over samples of each one's sum.
    """

    command = "half-squared-error"
    sums_within = True

    def __init__(self, reduction: str = "sum") -> None:
        super().__init__(reduction)

    def elements(self, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor | None]:
        """½ (O − t)² per element."""
        return 0.5 * (output - target.astype(output.dtype)) ** 2, None

    def untrained(self, output_shape: Shape, target: Array) -> Untrained:
        """See `Loss.untrained`."""
        return _squared(target, 0.5 * target[0].size, "½ Σ ")
