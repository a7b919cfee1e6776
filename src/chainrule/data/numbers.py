"""Numbers as people write them, to float64.

A *format* says which sign is the decimal mark. It is named by an example:

    1,234.5    a point is the decimal mark, a comma stands between thousands
    1.234,5    the other way round

In both, blanks, apostrophes and underscores may stand between thousands, digits may be of any script, a number may have an
exponent (1e3), a sign before or right behind it (a dash is a minus), or the brackets of an accountant, (12) for -12; and a
currency or unit may stand beside it: $1,200, 45%, 10 kg. The number is the one that is written: 45% is 45 in the unit %. A dash
in place of the decimals is none, as in prices: 5,- and 5.-- are 5.

Only `reading` imports this module: pyarrow is optional.
"""

from __future__ import annotations

import unicodedata
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from chainrule.data.blocks import Array
from chainrule.data.columns import NUMBER_FORMATS

POINT, COMMA = NUMBER_FORMATS

_PLAIN = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$|^[+-]?(?i:inf|infinity)$"

_CURRENCIES = (
    "USD|EUR|GBP|CNY|RMB|JPY|CHF|INR|KRW|AUD|CAD|HKD|TWD|NTD|SGD|NZD|BRL|RUB|SEK|NOK|DKK|PLN|CZK|HUF|TRY|ZAR|MXN|Rs|kr|zł|Kč|Ft"
)
# Letters that follow a number without a blank are a unit only if they are a usual one: 12A may be a room.
_UNITS = (
    "kgs?|mg|g|lbs?|oz|t|km|cm|mm|m|mi|ft|in|yd|ml|cl|dl|l|gal|secs?|s|ms|mins?|h|hrs?|wk|mo|yrs?|kwh?|mwh?|wh|mah|hp|kb|mb|gb|tb|px|"
    "pt|k|bn|mn|hz|khz|mhz|ghz|h?pa|kpa|bar|psi|kcal|cal|kj|m2|m3|km2|sqft|sqm|mph|km/?h|kph|rpm|cc|b|pp|bps|days?|months?|years?|x"
)
_BEFORE = rf"(?:[A-Z]{{0,3}}\p{{Sc}}|(?:{_CURRENCIES})\.?)"
_GLUED = rf"(?:[A-Z]{{0,3}}\p{{Sc}}|[%‰+]|°[CFK]?|(?i:{_CURRENCIES}|{_UNITS})\.?|\p{{Han}}+)"
_APART = r"(?:.+?)"  # checked by itself: classes such as \pL take long to compile
_NO_UNIT = r"[0-9,()].|^[!-/:-@\[-`{-~].*\w|^[\-−‒–—]+$"
_LONGEST_UNIT = 16
_MINUS = r"\-−‒–"  # hyphen, minus, figure dash, en dash
# What Excel takes for text, ="12" and '12; a zero in front says that it is a code.
_EXCEL_TEXT = r"""^(?:="(.*)"|'(.*))$"""
_EXCEL_CODE = r"""^(?:="|')[+-]?0\d"""
# Characters that NFKC turns into usual digits although they are none: of footnotes, lists and fractions, and words such as ㏩.
_NO_DIGIT = r"[\p{No}㋀-㋋㍘-㍰㏠-㏾]"
_NO_DIGIT_OF_A_UNIT = rf"(?:^|[^\pL\p{{No}}⁺⁻])[⁺⁻]?{_NO_DIGIT}"  # m² and s⁻¹ are units


def _pattern(thousands: str, decimal: str) -> str:
    grouped = rf"[1-9]\d{{0,2}}(?:{thousands}\d{{2,3}})*{thousands}\d{{3}}|[1-9]\d{{0,2}}(?:[ '’_]\d{{3}})+"
    core = rf"(?:{grouped}|\d+)(?:{decimal}(?:\d+|--|[\-–—])?)?|{decimal}\d+"
    return (
        rf"^(?P<open>\()?\s*(?P<sign>[+{_MINUS}]?)\s*(?P<before>{_BEFORE})?\s*(?P<inner>[+{_MINUS}]?)(?P<opened>\()?\s*"
        rf"(?P<core>{core})(?P<exponent>[eE][+-]?\d+)?(?P<trailing>-)?\s*(?P<close>\))?"
        rf"(?P<after>\s*{_GLUED}|\s+{_APART})?\s*(?P<closed>\))?$"
    )


_PATTERNS = {POINT: _pattern(",", r"\."), COMMA: _pattern(r"\.", ",")}


class Numbers(NamedTuple):
    """What cells of one format say.

    Attributes:
        values: float64 (n,), NaN where a cell is no number in this format.
        units: (n,) text in the singular, "" where a number has none; None where no cell has one.
    """

    values: NDArray[np.float64]
    units: Array | None


def parse_plain(words: Array) -> NDArray[np.float64]:
    """Numbers as programs write them, such as -1.5e3; float64, NaN where a word is something else."""
    matches = pc.match_substring_regex(words, _PLAIN)
    return floats(pc.cast(pc.if_else(matches, words, None), pa.float64()))


def parse_format(words: Array, form: str) -> Numbers:
    """Numbers in one of NUMBER_FORMATS, with their units."""
    words = normalised(words, _NO_DIGIT_OF_A_UNIT)
    if not matches_any(words, _PATTERNS[form]):
        return Numbers(np.full(len(words), np.nan), None)
    parts = pc.extract_regex(words, _PATTERNS[form])

    def part(name: str) -> Array:
        return pc.struct_field(parts, name)

    digits = pc.replace_substring_regex(part("core"), r"[ '’_,\-–—]" if form == POINT else r"[ '’_.\-–—]", "")
    digits = pc.binary_join_element_wise(
        digits if form == POINT else pc.replace_substring(digits, ",", "."), part("exponent"), ""
    )
    values = floats(pc.cast(digits, pa.float64()))
    opened, closed = _marks(part("open")) + _marks(part("opened")), _marks(part("close")) + _marks(part("closed"))
    minus = sum((_marks(part(name), "-", *_MINUS[2:]) for name in ("sign", "inner", "trailing")), opened)
    wrong = (opened != closed) | (minus > 1) | (_marks(part("sign"), "+") & (minus > 0))
    wrong |= _marks(part("trailing")) & ~np.asarray(pc.fill_null(pc.match_substring_regex(part("core"), r"\d$"), True))
    units = pc.fill_null(pc.utf8_trim_whitespace(pc.binary_join_element_wise(part("before"), part("after"), "")), "")
    wrong |= np.asarray(pc.greater(pc.utf8_length(units), _LONGEST_UNIT)) | np.asarray(
        pc.match_substring_regex(units, _NO_UNIT)
    )
    values = np.where(wrong, np.nan, np.where(minus > 0, -values, values))
    units = pc.replace_substring_regex(units, r"^(\pL{3,})s$|\.$", r"\1")  # 1 month, 2 months; Rs 5, Rs. 5
    return Numbers(values, units if pc.any(pc.not_equal(units, "")).as_py() else None)


def floats(numbers: Array) -> NDArray[np.float64]:
    """A pyarrow array as float64, NaN for null."""
    return np.asarray(pc.fill_null(numbers, np.nan), np.float64)


def matches_any(words: Array, pattern: str) -> bool:
    """Whether any word matches: much faster than extracting the groups of a pattern."""
    return bool(pc.any(pc.match_substring_regex(words, pattern)).as_py())


def normalised(words: Array, unreadable: str = _NO_DIGIT) -> Array:
    """Words with digits of every script and full-width signs as usual ones, every kind of blank as a blank, and without what
    makes Excel take a cell for text; empty where `unreadable` is found, since 5¹ is not 51.
    """
    if matches_any(words, _EXCEL_TEXT):
        code = pc.match_substring_regex(words, _EXCEL_CODE)
        words = pc.if_else(code, words, pc.replace_substring_regex(words, _EXCEL_TEXT, r"\1\2"))
    if pc.all(pc.string_is_ascii(words)).as_py() is not False:
        return words
    words = pc.if_else(pc.match_substring_regex(words, unreadable), "", words)
    words = pc.utf8_trim_whitespace(pc.utf8_normalize(words, "NFKC"))
    if not matches_any(words, r"[^\x00-\x7f\PN]"):
        return words
    return pa.array([None if word is None else _with_usual_digits(word) for word in words.to_pylist()], pa.string())


def _with_usual_digits(word: str) -> str:
    return "".join(str(unicodedata.decimal(character, character)) for character in word)


def _marks(part: Array, *signs: str) -> NDArray[np.int64]:
    """1 where the part is there (and one of `signs`, if any are given)."""
    found = pc.is_in(part, value_set=pa.array(signs)) if signs else pc.not_equal(part, "")
    return np.asarray(pc.fill_null(pc.cast(found, pa.int64()), 0))
