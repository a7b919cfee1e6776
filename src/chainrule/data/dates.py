"""Dates and times as people write them, to float64 days since 1970-01-01.

One *order* per column says which part stands where; the orders are keys of PARSERS. Years of two digits are 1969 to 2068. A
time may follow a date: 14:30, 2:30 pm, 14:30:05.25; an offset (Z, +02:00) is taken off, so that the moment is in UTC.

Only `reading` imports this module: pyarrow is optional.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from chainrule.data.blocks import Array
from chainrule.data.columns import TIME_OF_DAY
from chainrule.data.numbers import matches_any, normalised, parse_plain

_CLOCK = (
    r"(?P<part>上午|下午)?(?P<hour>\d{1,2})[:时點点](?P<minute>\d{2})(?:[:分](?:(?P<second>\d{2})(?:[.,](?P<fraction>\d+))?秒?)?)?"
    r"\s*(?P<half>(?i:[ap]\.?m\.?))?"
)
_CLOCK_AFTER_DATE = _CLOCK.replace("[:时點点]", "[:.时點点]")  # alone, 13.27 is a number
_ZONE = r"\s*(?P<zone>Z|UTC|GMT|[+-]\d{2}:?\d{2}|[+-]\d{2})?"
_THEN = rf"(?:(?:T|\s+(?:at\s+)?|,\s*|:){_CLOCK_AFTER_DATE}{_ZONE})?$"
_NAMES = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_MONTH = r"(?P<name>(?i:jan|feb|mar|apr|may|jun|jul|aug|sept?|oct|nov|dec)(?i:uary|ruary|ch|il|e|y|ust|tember|ober|ember)?)\.?"
_WEEKDAY = r"(?:(?i:mon|tue|wed|thu|fri|sat|sun)[a-z]*\.?,?\s+)?"
_CHINESE_WEEKDAY = r"(?:\s*\(?(?:星期|[周週])[一二三四五六日天]\)?)?"
_DAY, _ORDINAL = r"(?P<day>\d{1,2})", r"(?P<day>\d{1,2})(?i:st|nd|rd|th)?"
_YEAR, _ANY_YEAR = r"(?P<year>\d{4})", r"(?P<year>\d{4}|\d{2})"

# Each order by the patterns that it may be written in.
_ORDERS = {
    "year-month-day": (
        rf"^{_YEAR}[-/.年]\s*(?P<month>\d{{1,2}})[-/.月]\s*{_DAY}[日号]?{_CHINESE_WEEKDAY}{_THEN}",
        rf"^{_YEAR}[-/](?P<month>\d{{1,2}})[-/]{_DAY}[T\s](?P<hour>\d{{1,2}})$",
    ),
    "day.month.year": (rf"^{_DAY}\.\s*(?P<month>\d{{1,2}})\.\s*{_ANY_YEAR}{_THEN}",),
    "month/day/year": (rf"^(?P<month>\d{{1,2}})[-/]{_DAY}[-/]{_ANY_YEAR}{_THEN}",),
    "day/month/year": (rf"^{_DAY}[-/](?P<month>\d{{1,2}})[-/]{_ANY_YEAR}{_THEN}",),
    "year/month/day": (rf"^(?P<year>\d{{2}})[-/](?P<month>\d{{1,2}})[-/]{_DAY}{_THEN}",),
    "day month year": (rf"^{_WEEKDAY}{_ORDINAL}[-\s./]*(?:of\s+)?{_MONTH},?[-\s./]*{_ANY_YEAR}{_THEN}",),
    "month day year": (
        rf"^{_WEEKDAY}{_MONTH}[-\s./]+{_ORDINAL}(?:,\s*|[-\s./]+){_ANY_YEAR}{_THEN}",
        rf"^{_WEEKDAY}{_MONTH}\s+{_DAY}\s+{_CLOCK}{_ZONE}\s+{_YEAR}$",
    ),
    "year-month": (rf"^{_YEAR}[-/年](?P<month>\d{{1,2}})月?$",),
    "month year": (rf"^{_MONTH},?[-\s./]+{_YEAR}$", rf"^(?P<month>\d{{1,2}})[-/]{_YEAR}$"),
    "yearmonthday": (
        rf"^{_YEAR}(?P<month>\d{{2}})(?P<day>\d{{2}})"
        r"(?:T(?P<hour>\d{2}):?(?P<minute>\d{2})(?::?(?P<second>\d{2})(?:[.,](?P<fraction>\d+))?)?(?P<zone>Z|[+-]\d{2}:?\d{2})?)?$",
    ),
    TIME_OF_DAY: (rf"^{_CLOCK}$",),
}
_EXCEL_EPOCH = -25_569.0  # 1899-12-30, day 0 of Excel, in days since 1970-01-01
_FIRST_DAY, _LAST_DAY = -719_162.0, 2_932_896.0  # 0001-01-01 and 9999-12-31
_MILLISECONDS = 1e11  # seconds since 1970 above this are milliseconds: they would be after the year 5138


def _parse(words: Array, patterns: Sequence[str]) -> NDArray[np.float64]:
    words = normalised(words)
    days = _parse_one(words, patterns[0])
    for pattern in patterns[1:]:
        rest = np.flatnonzero(np.isnan(days))
        if rest.size:
            days[rest] = _parse_one(words.take(pa.array(rest)), pattern)
    return days


def _parse_one(words: Array, pattern: str) -> NDArray[np.float64]:
    if not matches_any(words, pattern):
        return np.full(len(words), np.nan)
    parts = pc.extract_regex(words, pattern)
    groups = {parts.type.field(k).name for k in range(parts.type.num_fields)}
    found = np.asarray(parts.is_valid())

    def number(name: str, absent: int = 0) -> NDArray[np.int64]:
        if name not in groups:
            return np.full(len(words), absent)
        return _whole(pc.struct_field(parts, name), absent)

    year, month, day = number("year", 1970), number("month", 1), number("day", 1)
    if "year" in groups:
        short = np.asarray(pc.fill_null(pc.equal(pc.utf8_length(pc.struct_field(parts, "year")), 2), False))
        year = np.where(short, year + np.where(year < 69, 2000, 1900), year)
    if "name" in groups:
        names = pc.utf8_slice_codeunits(pc.utf8_lower(pc.struct_field(parts, "name")), 0, 3)
        month = np.asarray(pc.fill_null(pc.index_in(names, value_set=pa.array(_NAMES)), -1), np.int64) + 1
    months = (year - 1970) * 12 + month - 1
    days = months.astype("datetime64[M]").astype("datetime64[D]") + (day - 1)
    found &= (month >= 1) & (month <= 12) & (day >= 1) & (days.astype("datetime64[M]").astype(np.int64) == months)
    seconds = np.zeros(len(words))
    if "hour" in groups:
        hour, minute, second = number("hour"), number("minute"), number("second")
        if "half" in groups:
            hour = _on_the_24_hour_clock(hour, pc.struct_field(parts, "half"), pc.struct_field(parts, "part"))
        seconds += (hour * 60 + minute) * 60 + second
        if "fraction" in groups:
            seconds += _fraction(pc.struct_field(parts, "fraction"))
        midnight = (seconds == 86_400) & (hour == 24) & ("year" in groups)  # 24:00 ends a day
        found &= (hour >= 0) & ((hour < 24) | midnight) & (minute < 60) & (second < 60)
    if "zone" in groups:
        seconds -= _offset(pc.struct_field(parts, "zone"))
    return np.where(found, days.astype(np.int64) + seconds / 86_400, np.nan)


def _whole(digits: Array, absent: int) -> NDArray[np.int64]:
    digits = pc.if_else(pc.equal(digits, ""), None, digits)
    return np.asarray(pc.fill_null(pc.cast(digits, pa.int64()), absent))


def _fraction(digits: Array) -> NDArray[np.float64]:
    text = pc.binary_join_element_wise("0.", pc.fill_null(digits, ""), "0", "")
    return np.asarray(pc.cast(text, pa.float64()))


def _on_the_24_hour_clock(hour: NDArray[np.int64], half: Array, part: Array) -> NDArray[np.int64]:
    """Hours said with am, pm (`half`), 上午 or 下午 (`part`); -1 for one such as 14 pm."""
    morning = _starts(half, "a", "A") | _starts(part, "上")
    evening = _starts(half, "p", "P") | _starts(part, "下")
    said = np.where((hour >= 1) & (hour <= 12), hour % 12 + 12 * evening, -1)
    return np.where(morning | evening, said, hour)


def _starts(text: Array, *letters: str) -> NDArray[np.bool_]:
    first = pc.utf8_slice_codeunits(text, 0, 1)
    return np.asarray(pc.fill_null(pc.is_in(first, value_set=pa.array(letters)), False))


def _offset(zone: Array) -> NDArray[np.float64]:
    """Seconds by which local time is ahead of UTC."""
    parts = pc.extract_regex(pc.fill_null(zone, ""), r"^(?P<sign>[+-])(?P<hours>\d{2}):?(?P<minutes>\d{2})?$")
    sign = np.where(np.asarray(pc.fill_null(pc.equal(pc.struct_field(parts, "sign"), "-"), False)), -1.0, 1.0)
    hours, minutes = (_whole(pc.struct_field(parts, name), 0) for name in ("hours", "minutes"))
    seconds: NDArray[np.float64] = sign * (hours * 3600 + minutes * 60)
    return seconds


def _excel(words: Array) -> NDArray[np.float64]:
    return _within_reach(parse_plain(words) + _EXCEL_EPOCH)


def _unix(words: Array) -> NDArray[np.float64]:
    seconds = parse_plain(words)
    return _within_reach(np.where(np.abs(seconds) >= _MILLISECONDS, seconds / 1000, seconds) / 86_400)


def _within_reach(days: NDArray[np.float64]) -> NDArray[np.float64]:
    """Days, NaN where they are not between the years 1 and 9999."""
    return np.where((days >= _FIRST_DAY) & (days <= _LAST_DAY), days, np.nan)


def _parser(patterns: Sequence[str]) -> Callable[[Array], NDArray[np.float64]]:
    return lambda words: _parse(words, patterns)


PARSERS: dict[str, Callable[[Array], NDArray[np.float64]]] = {
    **{order: _parser(patterns) for order, patterns in _ORDERS.items()},
    "excel": _excel,
    "unix": _unix,
}
