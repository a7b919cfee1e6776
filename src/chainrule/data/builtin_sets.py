"""Data sets that need no file: points in the plane, truth tables, and the sets that come with scikit-learn."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainrule.data.files import did_you_mean
from chainrule.data.shipped import SHIPPED
from chainrule.data.tables import Table
from chainrule.errors import DataError

TARGET = "target"


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set in memory.

    Attributes:
        X: (n, d) float32 features.
        y: (n,) int64 positions in `classes`, or float32 numbers for regression.
        feature_names: d names.
        classes: class labels, or None for regression.
        description: one sentence.
        image_shape: (C, H, W) when a row of X is a picture, else None.
    """

    X: NDArray[np.float32]
    y: NDArray[np.int64] | NDArray[np.float32]
    feature_names: list[str]
    classes: list[str] | None
    description: str
    image_shape: tuple[int, int, int] | None = None

    def to_table(self) -> Table:
        """The same data as a table whose last column, called `target`, holds class labels or numbers."""
        columns: dict[str, Any] = dict(zip(self.feature_names, self.X.T, strict=True))
        columns[TARGET] = self.y if self.classes is None else np.array(self.classes)[self.y]
        return replace(Table.from_columns(columns, "the data set"), target=TARGET, description=self.description)


def builtin(name: str, seed: int = 0) -> Dataset:
    """The built-in data set `name`, a key of BUILTIN; the same seed gives the same numbers.

    Raises:
        DataError: no such name.
        MissingDependency: the set comes with scikit-learn, which is not installed.
    """
    if name not in BUILTIN:
        raise DataError(f"there is no built-in data set '{name}'", "a known name is needed", did_you_mean(name, BUILTIN))
    return BUILTIN[name](seed)


# Truth tables: two inputs, 0 or 1, and the output of a logic gate


_GATES = {
    "and": (0, 0, 0, 1),
    "or": (0, 1, 1, 1),
    "xor": (0, 1, 1, 0),
    "nand": (1, 1, 1, 0),
    "nor": (1, 0, 0, 0),
    "xnor": (1, 0, 0, 1),
}


def _gate(name: str, _seed: int) -> Dataset:
    X = np.array([(0, 0), (0, 1), (1, 0), (1, 1)], np.float32)
    description = f"The truth table of the gate {name.upper()}: 4 rows, 2 inputs."
    return Dataset(X, np.array(_GATES[name], np.int64), ["x1", "x2"], ["0", "1"], description)


# Points in the plane; n points of K classes, class k = i mod K for point i


def _plane(points: NDArray[np.float64], y: NDArray[np.int64], classes: list[str], description: str) -> Dataset:
    return Dataset(points.astype(np.float32), y, ["x1", "x2"], classes, description)


def quadrants(seed: int = 0, n: int = 400) -> Dataset:
    """Points uniform in [−1, 1]², labelled with the quadrant they lie in.

    The class is I for x₁ ≥ 0, x₂ ≥ 0, then II, III, IV counter-clockwise.
    """
    points = np.random.default_rng(seed).uniform(-1, 1, (n, 2))
    right, upper = points[:, 0] >= 0, points[:, 1] >= 0
    y = np.where(upper, np.where(right, 0, 1), np.where(right, 3, 2)).astype(np.int64)
    return _plane(points, y, ["I", "II", "III", "IV"], f"{n} points of the plane by quadrant.")


def circles(seed: int = 0, n: int = 400, noise: float = 0.08) -> Dataset:
    """Two rings around one centre: x = r_k (cos θ, sin θ) + ε, with θ ~ U(0, 2π), r = 1 and 0.5, ε ~ N(0, noise²)."""
    random = np.random.default_rng(seed)
    y = np.arange(n) % 2
    radius, angle = np.array([1.0, 0.5])[y], random.uniform(0, 2 * math.pi, n)
    points = _polar(radius, angle) + random.normal(0, noise, (n, 2))
    return _plane(points, y, ["outer", "inner"], f"{n} points on two rings, one inside the other.")


def moons(seed: int = 0, n: int = 400, noise: float = 0.1) -> Dataset:
    """Two half circles that interlock, with θ ~ U(0, π) and ε ~ N(0, noise²).

    Class 0: x = (cos θ, sin θ) + ε; class 1: x = (1 − cos θ, ½ − sin θ) + ε.
    """
    random = np.random.default_rng(seed)
    y = np.arange(n) % 2
    upper = _polar(np.ones(n), random.uniform(0, math.pi, n))
    points = np.where(y[:, None] == 0, upper, np.array([1.0, 0.5]) - upper) + random.normal(0, noise, (n, 2))
    return _plane(points, y, ["upper", "lower"], f"{n} points on two half circles that interlock.")


def spirals(seed: int = 0, n: int = 400, noise: float = 0.02) -> Dataset:
    """Two arms wound around each other (after Lang and Witbrock, "Learning to tell two spirals apart", 1988).

    x = t (cos φ, sin φ) + ε with t ~ U(0.05, 1), φ = 3π t + π k for arm k, ε ~ N(0, noise²).
    """
    random = np.random.default_rng(seed)
    y = np.arange(n) % 2
    radius = random.uniform(0.05, 1, n)
    points = _polar(radius, 3 * math.pi * radius + math.pi * y) + random.normal(0, noise, (n, 2))
    return _plane(points, y, ["first", "second"], f"{n} points on two spirals wound around each other.")


def gaussians(seed: int = 0, n: int = 400, noise: float = 0.3) -> Dataset:
    """Three normal clouds around the corners of a triangle.

    x = (cos φ, sin φ) + ε with φ = 2π k / 3 for class k, ε ~ N(0, noise²).
    """
    random = np.random.default_rng(seed)
    y = np.arange(n) % 3
    points = _polar(np.ones(n), 2 * math.pi * y / 3) + random.normal(0, noise, (n, 2))
    return _plane(points, y, ["a", "b", "c"], f"{n} points in three normal clouds.")


def _polar(radius: NDArray[Any], angle: NDArray[Any]) -> NDArray[np.float64]:
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)


# The sets that come with scikit-learn


def _shipped(name: str, _seed: int) -> Dataset:
    table = SHIPPED[name]
    X, y = table.read()
    image_shape = None
    if name == "diabetes":
        # As scikit-learn hands them out: columns with mean 0 and sum of squares 1.
        X = (X - X.mean(axis=0)) / (X.std(axis=0) * math.sqrt(len(X)))
    elif name == "digits":
        X, image_shape = X / 16, (1, 8, 8)
    labels = y.astype(np.float32) if table.classes is None else y.astype(np.int64)
    return Dataset(X.astype(np.float32), labels, table.names, table.classes, table.description, image_shape)


BUILTIN: dict[str, Callable[[int], Dataset]] = {
    **{name: partial(_gate, name) for name in _GATES},
    "quadrants": quadrants,
    "circles": circles,
    "moons": moons,
    "spirals": spirals,
    "gaussians": gaussians,
    **{name: partial(_shipped, name) for name in SHIPPED},
}
"""Built-in data sets: name to a function of a seed. Truth tables and scikit-learn's sets are the same for every seed."""
