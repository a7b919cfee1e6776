"""Whether inputs say anything of targets, seen without a network: compared with targets dealt out at random."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from chainrule.ir import Array

_COMPARED, _CORRELATED = 512, 4096  # samples
_FEATURES, _CLASSES = 1024, 32  # of pictures every k-th number is looked at, and of many classes the most frequent
_DEALS = 20


@dataclass(frozen=True)
class Relation:
    """Two measures, each for the targets as they are, and mean and deviation of it for targets dealt out at random.

    Attributes:
        neighbours: how much the targets of nearest neighbours differ: classes by 0 or 1, numbers by their squared distance.
        correlation: the largest |r| of a feature and a target (for classes: of being in a class).
    """

    neighbours: tuple[float, float, float]
    correlation: tuple[float, float, float]

    @property
    def shows(self) -> bool:
        """Whether either lies clearly outside of what chance gives."""
        near, near_mean, near_deviation = self.neighbours
        r, r_mean, r_deviation = self.correlation
        return near < near_mean - 3.0 * near_deviation or r > r_mean + 5.0 * r_deviation


def related(x: Array, t: Array, seed: int) -> Relation:
    """Measure inputs (samples, …) and targets (samples, …)."""
    rng = np.random.default_rng([seed, 3])
    order = rng.permutation(len(x))
    x = x.reshape(len(x), -1)
    x = x[:, :: -(-x.shape[1] // _FEATURES) or 1]
    few, many = order[:_COMPARED], order[:_CORRELATED]
    nearest = _nearest(_standardised(x[few]))
    flat = t[few].reshape(len(few), -1)

    def differ(t: Array) -> float:
        return float((t != t[nearest]).mean() if t.dtype.kind != "f" else ((t - t[nearest]) ** 2).mean())

    features, targets = _standardised(x[many]), _standardised(_indicators(t[many]))

    def correlation(t: Array) -> float:
        return float(np.abs(features.T @ t).max()) / len(t)

    return Relation(_against_chance(differ, flat, rng), _against_chance(correlation, targets, rng))


def _against_chance(measure: Callable[[Array], float], t: Array, rng: np.random.Generator) -> tuple[float, float, float]:
    dealt = [measure(t[rng.permutation(len(t))]) for _ in range(_DEALS)]
    return measure(t), float(np.mean(dealt)), float(np.std(dealt))


def _standardised(values: Array) -> Array:
    flat = values.reshape(len(values), -1).astype(np.float64)
    deviation = flat.std(axis=0)
    return np.asarray((flat - flat.mean(axis=0)) / np.where(deviation > 0, deviation, 1.0))


def _indicators(t: Array) -> Array:
    """A column per class for class numbers, of the most frequent ones; other targets as they are."""
    if t.dtype.kind == "f":
        return t
    classes, counts = np.unique(t, return_counts=True)
    frequent = np.sort(np.argsort(-counts, kind="stable")[:_CLASSES])
    return np.asarray((t.reshape(-1, 1) == classes[frequent]).reshape(len(t), -1))


def _nearest(x: Array) -> Array:
    """The row that is nearest to each row, other than itself."""
    squares = (x**2).sum(axis=1)
    distance = squares[:, None] + squares - 2.0 * x @ x.T
    np.fill_diagonal(distance, np.inf)
    return np.asarray(distance.argmin(axis=1))
