"""Words to numbers: one parser per way in which a column of a text file can be written.

Only `reading` imports this module: pyarrow is optional.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from chainrule.data import dates
from chainrule.data.blocks import Array
from chainrule.data.columns import BOOLEAN_WORDS, DURATION, NUMBER_FORMATS
from chainrule.data.durations import parse_durations
from chainrule.data.gaps import BESIDE_NUMBERS
from chainrule.data.numbers import Numbers, floats, parse_format, parse_plain

Parse = Callable[[Array], Numbers]  # text without nulls -> numbers, NaN where a cell does not parse

PLAIN = "numeric"
FORMATS = {f"numeric:{form}": form for form in NUMBER_FORMATS}
POINT, COMMA = FORMATS
DURATIONS = f"numeric:{DURATION}"
BOOLEANS = {"/".join(words): words for words in BOOLEAN_WORDS}
# Orders that plain numbers can be read in, too: a column has them only where its kind says so.
_SAID_ONLY = ("excel", "unix")
_FOUND_DATES = [f"date:{order}" for order in dates.PARSERS if order not in _SAID_ONLY]
_BESIDE_NUMBERS = pa.array(BESIDE_NUMBERS)


def _without_units(parse: Callable[[Array], NDArray[np.float64]]) -> Parse:
    return lambda words: Numbers(parse(words), None)


def _format(form: str) -> Parse:
    return lambda words: parse_format(words, form)


def _two_words(words: tuple[str, str]) -> Parse:
    return lambda text: Numbers(
        floats(pc.cast(pc.index_in(pc.utf8_lower(text), value_set=pa.array(words)), pa.float64())), None
    )


PARSERS: dict[str, Parse] = {
    PLAIN: _without_units(parse_plain),
    **{name: _format(form) for name, form in FORMATS.items()},
    **{name: _two_words(words) for name, words in BOOLEANS.items()},
    **{f"date:{order}": _without_units(parse) for order, parse in dates.PARSERS.items()},
    DURATIONS: parse_durations,
}


def candidates(kind: str | None) -> list[str]:
    """The parsers to try for a column that must be of `kind`, or that may be anything; the simplest first."""
    by_kind = {
        None: [PLAIN, *FORMATS, *BOOLEANS, *_FOUND_DATES, DURATIONS],  # 07:45:00 is a time of day if no cell is more than one
        "numeric": [PLAIN, *FORMATS, DURATIONS],
        "boolean": list(BOOLEANS),
        "date": _FOUND_DATES,
        "categorical": [],
        "text": [],
        "identifier": [],
    }
    return by_kind[kind] if kind in by_kind else [str(kind)]


def trimmed(cells: Array) -> Array:
    """Words without surrounding blanks."""
    return pc.utf8_trim_whitespace(pc.cast(cells, pa.string()))


def beside_numbers(words: Array, more: Iterable[str]) -> Array:
    """Which words mean a gap in a column of numbers or dates: those of `gaps.BESIDE_NUMBERS`, and `more`."""
    found = pc.is_in(pc.utf8_lower(words), value_set=_BESIDE_NUMBERS)
    said = tuple(more)
    return pc.or_(found, pc.is_in(words, value_set=pa.array(said))) if said else found


def as_plain_numbers(cells: Array) -> NDArray[np.float64] | None:
    """The fast way for blocks in which every cell is a number or missing; None when one is not."""
    try:
        numbers = floats(pc.cast(cells, pa.float64()))
    except pa.ArrowInvalid:
        return None
    # The word "nan" is a gap to be counted; a NaN of Parquet is one already.
    return None if pa.types.is_string(cells.type) and np.count_nonzero(np.isnan(numbers)) > cells.null_count else numbers


def parse_present(words: Array, parse: Parse) -> NDArray[np.float64]:
    """Parse the words that are there; NaN where one is missing."""
    encoded = words.dictionary_encode()
    if len(encoded.dictionary) <= len(words) // 2:  # words that come again are parsed once
        numbers = np.append(parse(encoded.dictionary).values, np.nan)
        return np.take(numbers, np.asarray(pc.fill_null(encoded.indices, -1)))
    values = np.full(len(words), np.nan)
    values[np.asarray(words.is_valid())] = parse(words.drop_null()).values
    return values
