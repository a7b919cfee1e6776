"""Measures of a network's answers, beside those of the best constant answer."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from chainrule.data import TargetEncoder
from chainrule.fitting.metrics import METRICS
from chainrule.functional import sigmoid, softmax
from chainrule.ir import Array
from chainrule.job.building import make_loss
from chainrule.job.config import Config
from chainrule.nn import Loss
from chainrule.tensors import tensor

_NUMBERS_AT_ONCE = 2**20  # for which probabilities are computed: of many rows and classes intermediate results take memory


def probabilities(target: TargetEncoder, outputs: Array) -> Array | None:
    """Probabilities (n, classes): softmax of the outputs (n, outputs), σ of a single one; None for numbers."""
    if target.task == "regression":
        return None
    found = np.empty((len(outputs), len(target.classes)))
    at_once = max(1, _NUMBERS_AT_ONCE // found.shape[1])
    for first in range(0, len(outputs), at_once):
        scores = tensor(outputs[first : first + at_once], dtype=np.float64)
        part = found[first : first + at_once]
        if target.task == "multiclass":
            part[:] = softmax(scores).numpy()
        else:
            part[:, 1:] = sigmoid(scores).numpy()
            part[:, 0] = 1.0 - part[:, 1]
    return found


def measure(target: TargetEncoder, outputs: Array, y: Array) -> dict[str, float]:
    """How good outputs are.

    Args:
        target: says what outputs mean.
        outputs: (n, outputs) of a network.
        y: (n,) encoded targets.

    Returns:
        For classes: accuracy, balanced accuracy (mean recall of the classes that occur), and log loss −mean ln p(true class).
        For numbers, in the target's own unit: mae, rmse, and, unless all y are equal, r2 = 1 − Σ(error²) / Σ(y − mean y)².
    """
    loss = make_loss(Config(), target.task)
    if target.task == "regression":
        # From standardised numbers: the squares of others can be too large or too small.
        answers, truth = outputs.reshape(-1).astype(np.float64), y.astype(np.float64)
        return {name: _mean(name, answers, truth, loss) * target.std for name in ("mae", "rmse")} | _r2(answers - truth, truth)
    found = probabilities(target, outputs)
    assert found is not None
    hits = found.argmax(axis=1) == y
    likely = np.maximum(found[np.arange(len(y)), y], 1e-15)
    return {
        "accuracy": _mean("accuracy", outputs, y, loss),
        "balanced_accuracy": float(np.mean([hits[y == c].mean() for c in np.unique(y)])),
        "log_loss": float(-np.log(likely).mean()),
    }


def _mean(name: str, outputs: Array, targets: Array, loss: Loss) -> float:
    """A metric of training over all rows."""
    metric = METRICS[name]
    return metric.finish(float(metric.per_sample(tensor(outputs), tensor(targets), loss).numpy().mean()))


def _r2(error: Array, truth: Array) -> dict[str, float]:
    """1 − Σ(error²) / Σ(truth − mean truth)²; nothing where all truths are equal."""
    spread = float(np.mean((truth - truth.mean()) ** 2))
    return {"r2": 1.0 - float(np.mean(error**2)) / spread} if spread else {}


def baseline(target: TargetEncoder, y: Array, y_held: Array) -> dict[str, float]:
    """The measures of the best constant answer, chosen on the training rows for each measure.

    Args:
        target: says what the targets mean.
        y: (n,) encoded targets of the training rows, from which the answers are chosen.
        y_held: (m,) encoded targets that are answered.

    Returns:
        The measures of `measure`. For classes: accuracy of the most frequent class; balanced accuracy of any one class, 1 / the
        number of those that occur; log loss of the frequencies (n_c + 1) / (n + classes), Laplace's rule of succession. For
        numbers, in the target's own unit: mae of the median; rmse and r2 of the mean.
    """
    if target.task == "regression":
        of_mean = measure(target, np.full(len(y_held), y.mean(dtype=np.float64)), y_held)
        of_median = measure(target, np.full(len(y_held), np.median(y)), y_held)
        return of_mean | {"mae": of_median["mae"]}
    counts = np.bincount(y, minlength=len(target.classes))
    scores = np.log((counts + 1.0) / (len(y) + len(target.classes)))
    answer = scores if target.task == "multiclass" else scores[1:] - scores[:1]
    found = measure(target, np.broadcast_to(answer, (len(y_held), len(answer))), y_held)
    return found | {"balanced_accuracy": 1.0 / len(np.unique(y_held))}


def measure_text(value: float) -> str:
    """A measure with four decimals; very small and very large ones with an exponent."""
    usual = value == 0 or 1e-3 <= abs(value) < 1e9
    return f"{value:.4f}" if usual else f"{value:.4g}"


def worse_than_constant(metrics: Mapping[str, float], constant: Mapping[str, float]) -> list[str]:
    """The measures in which a constant answer is better than the network."""
    larger_is_better = {"balanced_accuracy", "r2", *(m.name for m in METRICS.values() if m.larger_is_better)}
    return [
        name
        for name, value in constant.items()
        if not (metrics[name] >= value if name in larger_is_better else metrics[name] <= value)
    ]
