"""Numbers as somebody wrote them down: a number claims its last written digit ± ½, and no more.

"0.690" claims 0.6895 to 0.6905: zeros that were written count. "1e-3" has its last digit in the third decimal, "2.50e-3" in
the fifth, "110" in the units. A fraction, "1/3", is exact. Text keeps every digit; so do the numbers of homework files, and
`Decimal`. A Python or NumPy number has no text: it counts with the shortest digits that give it, as `repr` shows them (of
float32, with no more than float32 can tell).

A 0 has no digit that says how exact it is. It claims that the value is 0 when it is rounded as the rest of the sheet is: to the
finest unit of the numbers beside it, or to its own written decimals if these are finer. Where no other number is, it is right
for 0 alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Context, Decimal, InvalidOperation
from fractions import Fraction
from typing import Any

import numpy as np

from chainrule import checks
from chainrule.derivations.symbols import typed
from chainrule.errors import ArgumentError
from chainrule.ir import Array
from chainrule.tensors import Tensor

_POWER = re.compile(r"\s*[×x*·]\s*10\s*(?:\^|\*\*)\s*\(?([+-]?\d+)\)?")
_ENTRY = re.compile(r"[^\[\],]+")
_FRACTION = re.compile(r"[+-]?\d+/0*[1-9]\d*")
_ROUNDING = 1e-12  # of calculations in float64, relative
_ALL_DIGITS = 17  # of an exact number
_DEEPEST = 32  # nested lists
_FLOAT_DIGITS = 15  # that float64 can tell


class NotFinite(ArgumentError):
    """A number that is infinite, undefined, or beyond what float64 holds."""


@dataclass(frozen=True)
class Written:
    """A number, or an array of numbers, as it was written.

    Attributes:
        text: the writing.
        value: what it says.
        unit: one unit in the last place that was written, per number; 0 for an exact fraction.
    """

    text: str
    value: Array
    unit: Array

    def agreeing(self, true: Array | float) -> Array:
        """Which true values, rounded to the digits that were written, are these; none of an array of another shape."""
        true = np.asarray(true, np.float64)
        if true.shape != self.value.shape or not np.all(np.isfinite(true)):
            return np.zeros(self.value.shape, bool)
        allowed = 0.5 * self.unit * (1.0 + 1e-9) + _ROUNDING * np.abs(true)
        return np.asarray(np.abs(self.value - true) <= allowed)

    def agrees(self, true: Array | float) -> bool:
        """Whether the true value, rounded to the digits that were written, is this."""
        return self.value.shape == np.shape(true) and bool(np.all(self.agreeing(true)))

    def cutting(self, true: Array | float) -> Array:
        """Which true values, with the digits after these cut off, are these; none of an array of another shape."""
        true = np.asarray(true, np.float64)
        if true.shape != self.value.shape:
            return np.zeros(self.value.shape, bool)
        # What is cut off may be 0.0300 calculated as 0.02999999…
        beyond = np.abs(true) * (1.0 + _ROUNDING) - np.abs(self.value)
        return np.asarray((beyond >= 0) & (beyond < self.unit) & (np.sign(true) * np.sign(self.value) >= 0))

    @property
    def zeros(self) -> Array:
        """Which of the numbers are 0."""
        return np.asarray(self.value == 0.0)

    def with_zeros_to(self, unit: Array | float) -> Written:
        """The same with zeros that are rounded to this unit, or to their own written decimals if these are finer."""
        return replace(self, unit=np.where(self.zeros, np.minimum(self.unit, unit), self.unit))

    def without(self, noise: Array) -> Written:
        """The same with 0, without decimals that were written, in place of the numbers that are noise."""
        return replace(self, value=np.where(noise, 0.0, self.value), unit=np.where(noise, np.inf, self.unit))

    def shaped(self, shape: tuple[int, ...]) -> Written:
        """The same numbers in another shape."""
        return replace(self, value=self.value.reshape(shape), unit=self.unit.reshape(shape))

    def as_number(self) -> Written:
        """The only number of an array of one."""
        return self.shaped(())

    @property
    def digits(self) -> int:
        """Significant digits that were written, of the number with the most; 0 if all are 0."""
        return int(np.max(self._digits, initial=0))

    @property
    def _digits(self) -> Array:
        """Significant digits per number; 0 of a 0."""
        with np.errstate(divide="ignore", invalid="ignore"):
            found = np.floor(np.log10(np.abs(self.value))) - np.round(np.log10(self.unit)) + 1
        found = np.where(self.unit > 0.0, np.maximum(1.0, found), _ALL_DIGITS)
        return np.where(self.zeros, 0, found).astype(int)

    @property
    def possibilities(self) -> float:
        """How many numbers, or arrays, could have been written with as many digits, of the same signs and decades."""
        return float(np.prod(np.where(self.zeros, 1.0, 9.0 * 10.0 ** (self._digits - 1))))

    def beside(self, other: Array | float) -> tuple[float, ...] | None:
        """Which of these possibilities another number or array is when it is rounded alike; None if it is none of them."""
        other = np.asarray(other, np.float64)
        if other.shape != self.value.shape or not np.all(np.isfinite(other)):
            return None
        units = np.round(np.abs(other) / np.where(self.unit > 0.0, self.unit, 1.0))
        least = np.where(self.zeros, 0.0, 10.0 ** (self._digits - 1.0))
        alike = (units >= least) & (units < np.where(self.zeros, 1.0, 10.0 * least))
        alike &= self.zeros | (np.sign(other) == np.sign(self.value))
        return tuple(map(float, units.flat)) if np.all(alike | (self.unit == 0.0)) else None


def finest_unit(numbers: Iterable[Written]) -> float:
    """The finest unit to which the numbers of a sheet are written; 0 if there is none but zeros and fractions."""
    units = [u for w in numbers for u in w.unit[(w.value != 0.0) & (w.unit > 0.0)].flat]
    return float(min(units, default=0.0))


def written(given: Any, outer: tuple[Any, ...] = ()) -> Written | None:
    """A number or array that was written; None for text that is a formula.

    Args:
        given: what was claimed.
        outer: the lists around it.

    Raises:
        NotFinite: it is, or holds, a number that is not finite in float64.
        ArgumentError: neither.
    """
    if isinstance(given, str):
        return _parsed(given)
    if isinstance(given, Tensor):
        given = given.numpy()
    if isinstance(given, np.ndarray):
        given = list(given) if given.ndim else given[()]
    if isinstance(given, list | tuple) and len(outer) >= _DEEPEST:
        raise ArgumentError(f"a claim has more than {_DEEPEST} nested lists", "no array has as many axes", "Take some away.")
    if isinstance(given, list | tuple):
        return _array(given, checks.within(given, outer, "a claim"))
    if isinstance(given, bool) or not isinstance(given, int | float | Decimal | Fraction | np.integer | np.floating | str):
        raise ArgumentError(
            f"the claim {given!r} was made", "a claim is a number, a list of numbers, or a formula as text", "Change it."
        )
    # Through Decimal, as str refuses integers of more than 4300 digits.
    found = _parsed(str(Decimal(given) if isinstance(given, int) else given))
    if found is not None and isinstance(given, np.float32 | np.float16):
        return replace(found, unit=np.asarray(np.maximum(found.unit, np.spacing(np.abs(given)))))
    return found


def _parsed(text: str) -> Written | None:
    plain = without_noise(_POWER.sub(r"e\1", typed(text.strip())).replace(" ", ""))
    if plain.startswith("["):
        return _listed(plain)
    try:
        number = Fraction(plain) if _FRACTION.fullmatch(plain) else Decimal(plain)
    except (InvalidOperation, ValueError):
        return None
    exponent = number.as_tuple().exponent if isinstance(number, Decimal) else None
    try:
        value = float(number)
    except (OverflowError, ValueError):  # a fraction beyond what float64 holds, a signalling NaN
        value = np.inf
    if not np.isfinite(value):
        given = f"the claim {text[:60]!r} was made"
        raise NotFinite(given, "a claim is a finite number in float64", "Check the calculation.")
    return Written(text.strip(), np.asarray(value), np.asarray(0.0 if exponent is None else float(f"1e{exponent}")))


def without_noise(text: str) -> str:
    """A number without the digits that float64 cannot tell: 0.3 for 0.30000000000000004. Zeros that were written stay."""
    try:
        number = Decimal(text)
        kept = Context(prec=_FLOAT_DIGITS).plus(number)
    except InvalidOperation:
        return text
    return text if not number.is_finite() or kept == number else str(kept.normalize())


def _listed(text: str) -> Written | None:
    """An array of numbers that was written as text, "[0.6, 1.2]"; None for a formula."""
    try:
        found = json.loads(_ENTRY.sub(r'"\g<0>"', text))
        parts = np.asarray(found, dtype=object)
    except (ValueError, RecursionError):
        return None
    is_numbers = all(isinstance(p, str) and p[0] != "[" and _parsed(p) is not None for p in parts.flat)
    return _array(found) if parts.size and is_numbers else None


def _array(given: list[Any] | tuple[Any, ...], outer: tuple[Any, ...] = ()) -> Written:
    parts = [written(g, outer) for g in given]
    if any(p is None for p in parts) or len({p.value.shape for p in parts if p is not None}) > 1:
        raise ArgumentError(f"the claim {given!r} was made", "rows must be equally long lists of numbers", "Check it.")
    found = [p for p in parts if p is not None]
    return Written(
        str([p.text for p in found]).replace("'", ""), np.array([p.value for p in found]), np.array([p.unit for p in found])
    )
