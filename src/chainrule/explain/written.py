"""Numbers as somebody wrote them down: with the precision that the digits show."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

import numpy as np

from chainrule.errors import ArgumentError, explain
from chainrule.ir import Array
from chainrule.tensor import Tensor

_POWER = re.compile(r"\s*[×x*·]\s*10\s*(?:\^|\*\*)\s*\(?([+-]?\d+)\)?")
_ROUNDING = 1e-12  # of calculations in float64, relative


@dataclass(frozen=True)
class Written:
    """A number, or an array of numbers, as it was written.

    Attributes:
        text: the writing.
        value: what it says.
        unit: one unit in the last place that was written, per number.
    """

    text: str
    value: Array
    unit: Array

    def agrees(self, true: Array | float) -> bool:
        """Whether the true value, rounded to the digits that were written, is this."""
        true = np.asarray(true, np.float64)
        if true.shape != self.value.shape or not np.all(np.isfinite(true)):
            return False
        allowed = 0.5 * self.unit * (1.0 + 1e-9) + _ROUNDING * np.abs(true)
        return bool(np.all(np.abs(self.value - true) <= allowed))

    def cuts_off(self, true: Array | float) -> bool:
        """Whether the true value, with the digits after these cut off, is this."""
        true = np.asarray(true, np.float64)
        if true.shape != self.value.shape:
            return False
        beyond = np.abs(true) - np.abs(self.value)
        return bool(np.all((beyond >= 0) & (beyond < self.unit) & (np.sign(true) * np.sign(self.value) >= 0)))

    @property
    def digits(self) -> int:
        """Significant digits that were written, of the number with the most."""
        size = np.abs(self.value[self.value != 0.0])
        if not size.size:
            return 1
        units = np.broadcast_to(self.unit, self.value.shape)[self.value != 0.0]
        return max(1, int(np.max(np.floor(np.log10(size)) - np.round(np.log10(units)))) + 1)


def written(given: Any) -> Written | None:
    """A number or array that was written; None for text that is a formula.

    Raises:
        ArgumentError: neither.
    """
    if isinstance(given, str):
        return _parsed(given)
    if isinstance(given, Tensor | np.ndarray):
        given = np.asarray(given).tolist()
    if isinstance(given, bool) or not isinstance(given, int | float | list | tuple | np.number):
        raise ArgumentError(
            explain(
                f"the claim {given!r} was made", "a claim is a number, a list of numbers, or a formula as text", "Change it."
            )
        )
    if isinstance(given, list | tuple):
        return _array(given)
    return _parsed(repr(float(given)) if isinstance(given, float | np.floating) else str(int(given)))


def _parsed(text: str) -> Written | None:
    plain = _POWER.sub(r"e\1", text.strip()).replace("−", "-").replace(" ", "")
    if re.fullmatch(r"[+-]?\d+/\d+", plain):
        return None
    try:
        number = Decimal(plain)
    except InvalidOperation:
        return None
    if not number.is_finite():
        raise ArgumentError(explain(f"the claim {text!r} was made", "a claim is a finite number", "Check the calculation."))
    exponent = number.as_tuple().exponent
    assert isinstance(exponent, int)
    # Python writes 110.0 and 0.5 for numbers that may be exact; the digits that stand there are what counts.
    unit = 10.0 ** (0 if plain.endswith(".0") else exponent)
    return Written(text.strip(), np.asarray(float(number)), np.asarray(unit))


def _array(given: list[Any] | tuple[Any, ...]) -> Written:
    parts = [written(g) for g in given]
    if any(p is None for p in parts) or len({p.value.shape for p in parts if p is not None}) > 1:
        raise ArgumentError(explain(f"the claim {given!r} was made", "rows must be equally long lists of numbers", "Check it."))
    found = [p for p in parts if p is not None]
    return Written(
        str([p.text for p in found]).replace("'", ""), np.array([p.value for p in found]), np.array([p.unit for p in found])
    )
