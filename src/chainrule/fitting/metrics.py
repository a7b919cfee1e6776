"""Measures of how good predictions are.

A metric gives one number per target or per sample, as a graph, so that it is computed in the same program as the loss. Its
value over a data set is the mean, weighted by the sample weights and without targets that the loss ignores, through `finish`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from chainrule import checks, functional, registry
from chainrule.errors import ArgumentError, ShapeError
from chainrule.nn import Loss
from chainrule.nn.losses import refuse_mixed_samples
from chainrule.reads import Noted
from chainrule.tensors import Tensor


@dataclass(frozen=True)
class Metric(Noted):
    """A measure.

    Attributes:
        name: its column in the history.
        elements: (output, target, loss) to numbers: one per sample (n,), or several (n, …), such as one per target. The loss
            says what outputs and targets mean.
        larger_is_better: which direction is an improvement.
        finish: applied to the mean.
        title: what it is called in English and in Chinese; its name if there is nothing else to say.
        task: what `chainrule train` reports it for, "classification" or "regression"; "" for nothing.
    """

    name: str
    elements: Callable[[Tensor, Tensor, Loss], Tensor]
    larger_is_better: bool = False
    finish: Callable[[float], float] = float
    title: tuple[str, str] | None = None
    task: Literal["", "classification", "regression"] = ""

    def per_sample(self, output: Tensor, target: Tensor, loss: Loss) -> Tensor:
        """The numbers (n,) whose weighted sum, divided by that of the samples' shares, is the mean.

        Raises:
            ArgumentError: `elements` gives no Tensor. ShapeError: not a number per sample, or samples are mixed (see
                `nn.losses.pairing`).
        """
        found = checks.kind(
            self.elements(output, target, loss),
            Tensor,
            f"the metric {self.name} returned {{}}",
            "it gives a Tensor",
            "Return what operations of chainrule give, such as abs(output - target).",
        )
        refuse_mixed_samples(found, output, target, f"the metric {self.name}")
        values, counted = found.astype("float64"), loss.counted(target)
        if values.shape[:1] != output.shape[:1]:
            raise ShapeError(
                f"the metric {self.name} returned the shape {values.shape} for outputs of shape {output.shape}",
                "it gives a number per sample or per target, whose mean over all samples is taken",
                "Leave out mean(), max() or sum() over the samples.",
            )
        if counted is None:
            return _over_features(values)
        if values.shape == counted.shape:
            return _over_features(functional.where(counted, values, 0.0))
        return _over_features(values) * share(counted)


def share(counted: Tensor) -> Tensor:
    """Which share of each sample's targets counts, (n,)."""
    return _over_features(counted.astype("float64"))


def _over_features(values: Tensor) -> Tensor:
    """Mean over all axes but the first."""
    return values if values.ndim == 1 else values.reshape(values.shape[0], -1).mean(axis=1)


def is_right(output: Tensor, target: Tensor, loss: Loss) -> Tensor:
    """Whether outputs mean what the targets say.

    Returns:
        bool: of one output per sample, and of several that are as many yes/no answers (`Loss.per_label`), of each, in the shape
        of the outputs; of the scores of classes, of the largest, (n, …).
    """
    if loss.per_label or output.ndim < 2 or output.shape[1] == 1:
        # Two classes may be 0 and 1, or −1 and 1 (hinge loss).
        return (output > loss.threshold) == (target.reshape(output.shape) > 0.5)
    wanted = target.argmax(axis=1) if target.shape == output.shape else target
    return output.argmax(axis=1) == wanted.astype("int64")


def _difference(output: Tensor, target: Tensor, loss: Loss) -> Tensor:
    if loss.takes_classes(output.shape, target.shape):
        raise ArgumentError(
            f"mae, mse or rmse was asked for with {type(loss).__name__}",
            "they compare numbers, and the targets are class numbers",
            f"Use the metric {metrics_for('classification')[0]!r}.",
        )
    return output - target


def _absolute(output: Tensor, target: Tensor, loss: Loss) -> Tensor:
    return abs(_difference(output, target, loss))


def _squared(output: Tensor, target: Tensor, loss: Loss) -> Tensor:
    return functional.square(_difference(output, target, loss))


METRICS: dict[str, Metric] = {}


def register_metric(metric: Metric) -> Metric:
    """Enter a metric into `METRICS`, so that it can be asked for by name and trainers with it can be loaded.

    Raises:
        ArgumentError: it is no Metric, or the name is taken.
    """
    checks.kind(metric, Metric, "extend.metric got {}", "it takes a Metric", "Write Metric(name, elements).")
    registry.enter(METRICS, "metric", metric.name, metric, metric.elements)
    return metric


def metrics_for(task: str) -> list[str]:
    """The names of the metrics that `chainrule train` reports for a task: that of a target, or "classification"."""
    wanted = "regression" if task == "regression" else "classification"
    return [metric.name for metric in METRICS.values() if metric.task == wanted]


register_metric(Metric("accuracy", is_right, larger_is_better=True, title=("accuracy", "准确率"), task="classification"))
register_metric(Metric("mae", _absolute, title=("mean absolute error", "平均绝对误差")))
register_metric(Metric("mse", _squared, title=("mean squared error", "均方误差")))
_RMSE = ("root mean squared error", "均方根误差")
register_metric(Metric("rmse", _squared, finish=math.sqrt, title=_RMSE, task="regression"))


def resolve(metrics: Sequence[str | Metric | Callable[[Tensor, Tensor], Tensor]]) -> list[Metric]:
    """Metrics by name, as they are, or from plain functions (output, target), named after these.

    A function gives one number per target or per sample. It is thought to be the better the smaller; say otherwise with a
    `Metric`.

    Raises:
        ArgumentError: an unknown name, something that is no metric, or two of one name.
    """
    expected, fix = "it is a list of names, functions and Metrics", "Write metrics=['accuracy']."
    found = [_resolved(metric) for metric in checks.listed(metrics, "Trainer got {} as its metrics", expected, fix)]
    names = [metric.name for metric in found]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ArgumentError(
            f"two metrics are called {twice!r}",
            "each needs a column of its own in the history",
            "Give one another name: Metric(name, elements), or def instead of lambda.",
        )
    return found


def _for_each(found: Tensor, output: Tensor) -> Tensor:
    """What a function gives; one number for a whole batch counts for each of its samples, so that batches are averaged."""
    whole = isinstance(found, Tensor) and found.ndim == 0
    return functional.broadcast_to(found, output.shape[:1]) if whole else found


def _resolved(metric: str | Metric | Callable[[Tensor, Tensor], Tensor]) -> Metric:
    if isinstance(metric, Metric):
        return metric
    if callable(metric) and not isinstance(metric, type):
        name = getattr(metric, "__name__", type(metric).__name__).strip("<>")  # of a lambda
        checks.takes(metric, ("output", "target"), f"the metric {name}")
        return Metric(name, lambda output, target, loss: _for_each(metric(output, target), output))
    if not isinstance(metric, str) or metric not in METRICS:
        raise ArgumentError(
            f"the metric {metric!r} was asked for",
            f"there are {', '.join(METRICS)}",
            "Or pass a function (output, target), or a Metric.",
        )
    return METRICS[metric]
