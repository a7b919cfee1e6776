"""What a loss should be before anything is learnt, and what it is for the best constant prediction."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from chainrule.ir import Array, Shape
from chainrule.nn import Loss

REGRESSION = ("MSELoss", "HalfSquaredError", "L1Loss", "HuberLoss")


@dataclass(frozen=True)
class Expected:
    """Values of a loss, as means over samples.

    Attributes:
        formula: how `start` is computed.
        start: for a network that does not know anything yet: even probabilities, or outputs of 0.
        constant: for the best prediction that is the same for every sample; what is below it was learnt from the inputs.
    """

    formula: str
    start: float
    constant: float


def expected_loss(loss: Loss, output: Shape, t: Array) -> Expected | None:
    """What `loss` should be for targets t; None where it is not known for this loss.

    Args:
        loss: the loss.
        output: shape of the network's output.
        t: targets as the loss takes them.
    """
    rule = _RULES.get(type(loss).__name__)
    return rule(loss, output, t.astype(np.float64) if t.dtype.kind == "f" else t) if rule else None


def entropy(shares: Array) -> float:
    """−Σ p ln p."""
    p = shares[shares > 0]
    return float(-(p * np.log(p)).sum())


def _many_classes(loss: Loss, output: Shape, t: Array) -> Expected:
    classes = output[1]
    shares = np.bincount(np.maximum(t, 0).ravel(), minlength=classes) / t.size if t.dtype.kind in "iu" else t.mean(axis=0)
    return Expected(f"ln {classes}", math.log(classes), entropy(np.asarray(shares)))


def _two_classes(loss: Loss, output: Shape, t: Array) -> Expected:
    shares = t.reshape(len(t), -1).mean(axis=0)
    constant = float(np.mean([entropy(np.array([p, 1.0 - p])) for p in shares]))
    return Expected("ln 2", math.log(2.0), constant)


def _squares(loss: Loss, output: Shape, t: Array) -> Expected:
    scale = 0.5 * t[0].size if type(loss).__name__ == "HalfSquaredError" else 1.0
    factor = "½ Σ " if scale != 1.0 else ""
    return Expected(f"{factor}(var(y) + mean(y)²)", scale * float((t**2).mean()), scale * float(t.var(axis=0).mean()))


def _sizes(loss: Loss, output: Shape, t: Array) -> Expected:
    away = np.abs(t - np.median(t, axis=0))
    return Expected("mean |y|", _huber(loss, np.abs(t)), _huber(loss, away))


def _huber(loss: Loss, sizes: Array) -> float:
    delta = getattr(loss, "delta", None)
    if delta is None:
        return float(sizes.mean())
    return float(np.where(sizes <= delta, 0.5 * sizes**2, delta * (sizes - 0.5 * delta)).mean())


_RULES: dict[str, Callable[[Loss, Shape, Array], Expected]] = {
    "CrossEntropyLoss": _many_classes,
    "NLLLoss": _many_classes,
    "BCELoss": _two_classes,
    "BCEWithLogitsLoss": _two_classes,
    "MSELoss": _squares,
    "HalfSquaredError": _squares,
    "L1Loss": _sizes,
    "HuberLoss": _sizes,
}
