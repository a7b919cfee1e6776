"""Arrays of numbers in explanations: small ones whole, large ones in a sentence."""

from __future__ import annotations

from chainrule.derivations.symbols import Formula, number
from chainrule.derivations.words import sentence
from chainrule.ir import Array
from chainrule.language import Language

_MOST_ROWS, _MOST_COLUMNS = 8, 8


def is_listed(value: Array) -> bool:
    """Whether an array is small enough to be shown number by number."""
    if value.ndim == 0:
        return True
    rows = value.size // max(value.shape[-1], 1)
    return 0 < value.shape[-1] <= _MOST_COLUMNS and 0 < rows <= _MOST_ROWS and all(n == 1 for n in value.shape[:-2])


def rows_of(value: Array, digits: int) -> list[list[Formula]]:
    """The numbers of an array of one or two axes, row by row; axes of size 1 may stand before them."""
    return [[number(v, digits) for v in row] for row in value.reshape(-1, value.shape[-1]).tolist()]


def in_words(value: Array, language: Language) -> Formula:
    """Shape and extremes of an array that is too large to list; in its `latex`, formulas stand between $."""
    shape = Formula("×".join(map(str, value.shape)), r" \times ".join(map(str, value.shape)))
    if value.size == 0:
        return Formula(shape.text, f"${shape.latex}$")
    low, high = (number(v, 3) for v in (value.min().item(), value.max().item()))
    return sentence("numbers-in-array", language, shape=shape, low=low, high=high)
