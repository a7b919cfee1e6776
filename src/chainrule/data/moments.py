"""Cycles in time: hour of day, weekday, month.

Hour and month are points on a circle, so that December is near January; three harmonics of the hour can show two rush hours. A
weekday is one of seven. Which is best was measured: docs/tables.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Cycle:
    """Something in a date that repeats.

    Attributes:
        names: of its features.
        number: from days since 1970-01-01 (n,) to a number (n,).
        features: from these numbers to features (n, len(names)).
    """

    names: tuple[str, ...]
    number: Callable[[Floats], Floats]
    features: Callable[[Floats], Floats]


def varying(days: Floats) -> tuple[str, ...]:
    """The cycles, keys of CYCLES, that take more than one value in these dates (n,)."""
    found = [name for name, cycle in CYCLES.items() if np.ptp(cycle.number(days)) > 0]
    if np.ptp(_day_of_month(days)) == 0:  # dates that are months have no weekday
        found = [name for name in found if name != "weekday"]
    return tuple(found)


def _hour(days: Floats) -> Floats:
    seconds: Floats = np.mod(np.round(days * 86_400), 86_400)
    return seconds / 3600


def _weekday(days: Floats) -> Floats:
    """0 for Monday."""
    number: Floats = np.mod(np.floor(days) + 3, 7)
    return number


def _month(days: Floats) -> Floats:
    """0 for January."""
    months = _dates(days).astype("datetime64[M]").astype(np.int64)
    return np.asarray(months % 12, np.float64)


def _day_of_month(days: Floats) -> Floats:
    dates = _dates(days)
    first: NDArray[np.datetime64] = dates.astype("datetime64[M]").astype("datetime64[D]")
    return np.asarray(dates - first, np.float64)


def _dates(days: Floats) -> NDArray[np.datetime64]:
    return np.floor(days).astype(np.int64).astype("datetime64[D]")


def _circle(period: float, harmonics: int) -> Callable[[Floats], Floats]:
    def features(number: Floats) -> Floats:
        angles = 2 * np.pi / period * np.arange(1, harmonics + 1) * number[:, None]
        return np.stack([np.sin(angles), np.cos(angles)], axis=2).reshape(len(number), 2 * harmonics)

    return features


def _one_of(count: int) -> Callable[[Floats], Floats]:
    return lambda number: np.eye(count)[number.astype(np.int64)]


def _circle_names(what: str, harmonics: int) -> tuple[str, ...]:
    return tuple(f"{wave} {k} {what}".replace(" 1 ", " ") for k in range(1, harmonics + 1) for wave in ("sin", "cos"))


CYCLES: dict[str, Cycle] = {
    "hour": Cycle(_circle_names("hour", 3), _hour, _circle(24, 3)),
    "weekday": Cycle(("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"), _weekday, _one_of(7)),
    "month": Cycle(_circle_names("month", 1), _month, _circle(12, 1)),
}
