"""Numbers as the messages of a grading show them: without what float64 leaves behind, such as 0.30000000000000004 for 0.3."""

from __future__ import annotations

import re

import numpy as np

from chainrule.derivations.symbols import number
from chainrule.grading.written import Written, without_noise, written
from chainrule.ir import Array

_ENTRY = re.compile(r"[^\[\],\s](?:[^\[\],]*[^\[\],\s])?")
_MOST_DIGITS = 15  # that float64 can tell
_MOST_ELEMENTS = 12


def shown(value: Array, digits: int) -> str:
    """A value with so many significant digits; of a large array its shape."""
    if value.size == 1:
        return number(value.item(), min(digits, _MOST_DIGITS)).text
    if value.size > _MOST_ELEMENTS:
        return "×".join(map(str, value.shape))
    return "[" + ", ".join(shown(np.asarray(v), digits) for v in value) + "]"


def as_given(given: Written) -> str:
    """A claim as it was written."""
    entries = _ENTRY.findall(given.text)
    if len(entries) != given.value.size:
        return given.text
    values = iter(given.value.flat)
    return _ENTRY.sub(lambda entry: _entry(entry[0], float(next(values))), given.text)


def _entry(text: str, value: float) -> str:
    """A number that was written; what was noise has been made 0."""
    given = written(text)
    return "0" if value == 0.0 and given is not None and not given.zeros else without_noise(text)
