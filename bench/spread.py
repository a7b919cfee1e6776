"""Several measurements of one thing in a few numbers."""

from __future__ import annotations

import statistics
from collections.abc import Sequence


def quartiles(values: Sequence[float]) -> list[float]:
    """The first and the third."""
    if len(values) == 1:
        return [values[0], values[0]]
    first, _, third = statistics.quantiles(values, n=4, method="inclusive")
    return [first, third]


def text(values: Sequence[float], digits: int) -> str:
    """The median, and the quartiles in brackets."""
    low, high = quartiles(values)
    return f"{statistics.median(values):,.{digits}f} ({low:,.{digits}f}–{high:,.{digits}f})"
