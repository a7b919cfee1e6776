"""Durations as people and programs write them, to float64 hours.

    36:15:00, 36:15:00.5           hours, minutes, seconds; 36:15 alone could be minutes and seconds, and is not read
    1 day, 02:03:04                days before them; -1 day, 23:00:00 is minus one hour, as Python writes it
    P1DT2H, PT90M, P2W             ISO 8601; years and months have no fixed length, and are not read
    1d 2h, 1h30m, 2 hours 5 min    numbers with their units, the larger one first; also 1天2小时, 3分钟20秒. (2d and 3D alone
                                   are no durations: films are, too.)
    0                              is the same in every unit

Only `reading` imports this module: pyarrow is optional.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from chainrule.data.blocks import Array
from chainrule.data.numbers import Numbers, matches_any, normalised

UNIT = "h"
_HOURS = {"weeks": 168.0, "days": 24.0, "hours": 1.0, "minutes": 1 / 60, "seconds": 1 / 3600}


def _part(name: str, ending: str) -> str:
    return rf"(?:(?P<{name}>\d+(?:[.,]\d+)?){ending})?"


_LETTERS = "".join(
    _part(name, ending)
    for name, ending in (
        ("days", r"\s*(?i:days?|d|天|日)[,\s]*"),
        ("hours", r"\s*(?i:hours?|hrs?|h|小时|小時|时|時)[,\s]*"),
        ("minutes", r"\s*(?i:minutes?|mins?|m|分钟|分鐘|分)[,\s]*"),
        ("seconds", r"\s*(?i:seconds?|secs?|s|秒钟?)"),
    )
)
_ALONE = r"^[+-]?\d+\s*[dD]$"
_ZERO = r"^[+-]?0+(?:[.,]0+)?$"
_PATTERNS = (
    # The sign of the days is theirs alone; without days it is that of the whole.
    r"^(?:(?P<days>[+-]?\d+)(?:\s*(?i:days?|d|天|日),?\s*|\s+))?(?P<sign>[+-])?"
    r"(?P<hours>\d{1,6}):(?P<minutes>[0-5]\d):(?P<seconds>[0-5]\d(?:[.,]\d+)?)$",
    rf"^(?P<sign>[+-])?P{_part('weeks', 'W')}{_part('days', 'D')}"
    rf"(?:T{_part('hours', 'H')}{_part('minutes', 'M')}{_part('seconds', 'S')})?$",
    rf"^(?P<sign>[+-])?{_LETTERS}$",
)


def parse_durations(words: Array) -> Numbers:
    """Hours, NaN where a word is no duration."""
    words = pc.replace_substring_regex(normalised(words), "^[−‒–]", "-")
    words = pc.replace_substring_regex(words, _ALONE, "")
    hours = np.where(np.asarray(pc.fill_null(pc.match_substring_regex(words, _ZERO), False)), 0.0, np.nan)
    for pattern in _PATTERNS:
        if matches_any(words, pattern):
            found = _parse(words, pattern)
            hours = np.where(np.isnan(hours), found, hours)
    return Numbers(hours, None if np.isnan(hours).all() else pa.repeat(UNIT, len(words)))


def _parse(words: Array, pattern: str) -> NDArray[np.float64]:
    parts = pc.extract_regex(words, pattern)
    names = [parts.type.field(k).name for k in range(parts.type.num_fields)]
    said = {name: _numbers(pc.struct_field(parts, name)) for name in names if name != "sign"}
    minus = np.asarray(pc.fill_null(pc.equal(pc.struct_field(parts, "sign"), "-"), False))
    own_sign = pattern is _PATTERNS[0]
    total = sum(
        np.nan_to_num(number) * _HOURS[name] * np.where(minus & ~((name == "days") & own_sign), -1.0, 1.0)
        for name, number in said.items()
    )
    nothing = np.all([np.isnan(number) for number in said.values()], axis=0)
    return np.where(nothing, np.nan, total)


def _numbers(digits: Array) -> NDArray[np.float64]:
    """NaN where there are none."""
    digits = pc.replace_substring(pc.if_else(pc.equal(digits, ""), None, digits), ",", ".")
    digits = pc.utf8_ltrim(digits, "+")
    return np.asarray(pc.fill_null(pc.cast(digits, pa.float64()), np.nan), np.float64)
