"""Measures of how good predictions are.

A metric gives one number per sample, as a graph, so that it is computed in the same program as the loss; its value over a data
set is the mean over samples, weighted by the sample weights, passed through `finish`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from chainrule import functional
from chainrule.errors import ArgumentError, explain
from chainrule.tensor import Tensor


@dataclass(frozen=True)
class Metric:
    """A measure.

    Attributes:
        name: its column in the history.
        per_sample: (output, target, threshold) to one number per sample, shape (n,). `threshold` is what a single output must
            exceed to mean class 1: 0 where the output is a score, ½ where it is a probability.
        larger_is_better: which direction is an improvement.
        finish: applied to the mean.
    """

    name: str
    per_sample: Callable[[Tensor, Tensor, float], Tensor]
    larger_is_better: bool = False
    finish: Callable[[float], float] = float


def _over_features(values: Tensor) -> Tensor:
    """Mean over all axes but the first."""
    return values if values.ndim == 1 else values.reshape(values.shape[0], -1).mean(axis=1)


def decide(output: Tensor, threshold: float) -> Tensor:
    """The class that outputs mean: the largest of several, or whether a single one exceeds the threshold; int64 (n, …)."""
    if output.ndim > 1 and output.shape[1] > 1:
        return output.argmax(axis=1)
    return (output > threshold).astype("int64").reshape(output.shape[0])


def is_right(output: Tensor, target: Tensor, threshold: float) -> Tensor:
    """Whether the class that outputs mean is that of the targets: class numbers, or one number per output; bool (n, …)."""
    several = output.ndim > 1 and output.shape[1] > 1
    if several and target.shape == output.shape:
        target = target.argmax(axis=1)
    # Two classes may be 0 and 1, or −1 and 1 (hinge loss).
    wanted = target if several else (target > 0.5).reshape(output.shape[0])
    return decide(output, threshold) == wanted.astype("int64")


def _accuracy(output: Tensor, target: Tensor, threshold: float) -> Tensor:
    return _over_features(is_right(output, target, threshold).astype("float64"))


def _absolute(output: Tensor, target: Tensor, threshold: float) -> Tensor:
    return _over_features(abs(output - target).astype("float64"))


def _squared(output: Tensor, target: Tensor, threshold: float) -> Tensor:
    return _over_features(functional.square(output - target).astype("float64"))


METRICS = {
    m.name: m
    for m in (
        Metric("accuracy", _accuracy, larger_is_better=True),
        Metric("mae", _absolute),
        Metric("mse", _squared),
        Metric("rmse", _squared, finish=math.sqrt),
    )
}


def resolve(metrics: Sequence[str | Metric]) -> list[Metric]:
    """Metrics by name or as they are.

    Raises:
        ArgumentError: an unknown name.
    """
    unknown = [m for m in metrics if isinstance(m, str) and m not in METRICS]
    if unknown:
        raise ArgumentError(
            explain(f"the metric {unknown[0]!r} was asked for", f"there are {', '.join(METRICS)}", "Or pass a Metric.")
        )
    return [METRICS[m] if isinstance(m, str) else m for m in metrics]
