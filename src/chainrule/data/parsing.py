"""Words to numbers: one parser per way in which a column of a text file can be written.

Only `reading` imports this module: pyarrow is optional.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from chainrule.data.tables import BOOLEAN_WORDS, DATE_ORDERS

Array = Any  # a pyarrow Array: pyarrow has no types
Parse = Callable[[Array], NDArray[np.float64]]  # text without nulls -> numbers, NaN where a cell does not parse

MISSING_WORDS = ("", "NA", "N/A", "n/a", "NaN", "nan", "NAN", "null", "NULL", "Null", "?", "-")

_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$|^[+-]?(?i:inf|infinity)$"
_COMMA_NUMBER = r"^[+-]?(\d+,?\d*|,\d+)([eE][+-]?\d+)?$"
_TIME = r"(?:[T ](?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:\.\d+)?)?Z?)?$"
_DATES = {
    "year-month-day": r"^(?P<year>\d{4})[-/](?P<month>\d{1,2})[-/](?P<day>\d{1,2})" + _TIME,
    "day.month.year": r"^(?P<day>\d{1,2})\.(?P<month>\d{1,2})\.(?P<year>\d{4})" + _TIME,
    "month/day/year": r"^(?P<month>\d{1,2})[-/](?P<day>\d{1,2})[-/](?P<year>\d{4})" + _TIME,
    "day/month/year": r"^(?P<day>\d{1,2})[-/](?P<month>\d{1,2})[-/](?P<year>\d{4})" + _TIME,
}


def _parse_numbers(words: Array) -> NDArray[np.float64]:
    matches = pc.match_substring_regex(words, _NUMBER)
    return _floats(pc.cast(pc.if_else(matches, words, None), pa.float64()))


def _parse_comma_numbers(words: Array) -> NDArray[np.float64]:
    matches = pc.match_substring_regex(words, _COMMA_NUMBER)
    points = pc.replace_substring(words, ",", ".")
    return _floats(pc.cast(pc.if_else(matches, points, None), pa.float64()))


def _date_parser(order: str) -> Parse:
    def parse(words: Array) -> NDArray[np.float64]:
        parts = pc.extract_regex(words, _DATES[order])
        part = {name: _part(parts, name) for name in ("year", "month", "day", "hour", "minute", "second")}
        months = (part["year"] - 1970) * 12 + part["month"] - 1
        days = months.astype("datetime64[M]").astype("datetime64[D]") + (part["day"] - 1)
        valid = (part["month"] >= 1) & (part["month"] <= 12) & (part["day"] >= 1)
        valid &= days.astype("datetime64[M]").astype(np.int64) == months
        valid &= (part["hour"] < 24) & (part["minute"] < 60) & (part["second"] < 60)
        seconds = (part["hour"] * 60 + part["minute"]) * 60 + part["second"]
        return np.where(valid, days.astype(np.int64) + seconds / 86_400, np.nan)

    return parse


def _part(parts: Array, name: str) -> NDArray[np.int64]:
    """One group of a date: 0 where the word is no date or the group is absent, so that the date is not valid or has no time."""
    digits = pc.struct_field(parts, name)
    digits = pc.if_else(pc.equal(digits, ""), "0", digits)
    return np.asarray(pc.fill_null(pc.cast(digits, pa.int64()), 0))


def _two_words(words: tuple[str, str]) -> Parse:
    def parse(text: Array) -> NDArray[np.float64]:
        return _floats(pc.cast(pc.index_in(pc.utf8_lower(text), value_set=pa.array(words)), pa.float64()))

    return parse


def _floats(numbers: Array) -> NDArray[np.float64]:
    return np.asarray(pc.fill_null(numbers, np.nan), np.float64)


PARSERS: dict[str, Parse] = {
    "numeric": _parse_numbers,
    "numeric with commas": _parse_comma_numbers,
    **{"/".join(words): _two_words(words) for words in BOOLEAN_WORDS},
    **{f"date:{order}": _date_parser(order) for order in DATE_ORDERS},
}
BOOLEANS = {"/".join(words): words for words in BOOLEAN_WORDS}


def candidates(kind: str | None, decimal_commas: bool) -> list[str]:
    """The parsers to try for a column that must be of `kind`, or that may be anything."""
    numbers = ["numeric", "numeric with commas"] if decimal_commas else ["numeric"]
    dates = [f"date:{order}" for order in DATE_ORDERS]
    by_kind = {
        None: [*numbers, *BOOLEANS, *dates],
        "numeric": numbers,
        "boolean": list(BOOLEANS),
        "date": dates,
        "categorical": [],
        "text": [],
    }
    return by_kind[kind] if kind in by_kind else [str(kind)]


def clean(cells: Array) -> Array:
    """Words without surrounding blanks, null where missing."""
    words = pc.utf8_trim_whitespace(pc.cast(cells, pa.string()))
    return pc.if_else(pc.is_in(words, value_set=pa.array(MISSING_WORDS)), None, words)


def as_plain_numbers(cells: Array) -> NDArray[np.float64] | None:
    """The fast way for blocks in which every cell is a number or missing; None when one is not."""
    try:
        return _floats(pc.cast(cells, pa.float64()))
    except pa.ArrowInvalid:
        return None


def parse_present(words: Array, parse: Parse) -> NDArray[np.float64]:
    """Parse the words that are there; NaN where one is missing."""
    values = np.full(len(words), np.nan)
    values[np.asarray(words.is_valid())] = parse(words.drop_null())
    return values
