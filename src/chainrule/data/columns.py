"""Columns of a table, each with a kind that says how a network can use it; the kind is decided from the values.

numeric      numbers                                    date         days since 1970-01-01, or a time of day
boolean      true/false or yes/no                       categorical  text with few, repeated values
identifier   a row's name or number                     text         text with many values
constant     one value in every row                     empty        no value at all
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from chainrule.data.files import did_you_mean
from chainrule.errors import ArgumentError

Kind = Literal["numeric", "boolean", "categorical", "date", "identifier", "text", "constant", "empty"]
BOOLEAN_WORDS = (("false", "true"), ("no", "yes"))
TIME_OF_DAY = "hour:minute"
DATE_ORDERS = (
    *("year-month-day", "day.month.year", "month/day/year", "day/month/year", "year/month/day"),
    *("day month year", "month day year", "year-month", "month year", "yearmonthday", TIME_OF_DAY, "excel", "unix"),
)
NUMBER_FORMATS = ("1,234.5", "1.234,5")
DURATION = "duration"
READINGS = (
    *("numeric", "boolean", "categorical", "text", "identifier", "date"),
    *(f"numeric:{form}" for form in (*NUMBER_FORMATS, DURATION)),
    *(f"date:{order}" for order in DATE_ORDERS),
)
MAX_CATEGORIES = 100
LARGEST_EXACT = 2**53  # float64 holds every integer up to this; one that reads so may be the next, rounded
_SMALLEST_CODE = 1000
_SCATTERED = 20  # times as far apart as numbers in a row: codes, not years
_LOOKED_AT = 10_000  # rows
_MOST_GAPS = 5  # words that a remark lists
_IDENTIFIER_WORDS = {"id", "ids", "uuid", "guid", "index", "rowid", "identifier"}


@dataclass(frozen=True, eq=False)
class Words:
    """Text per row, as positions in the distinct words.

    Attributes:
        codes: int32 (n,) positions in `words`; -1 where there is none.
        words: the distinct words.
    """

    codes: NDArray[np.int32]
    words: Sequence[str]

    def texts(self) -> list[str]:
        """(n,) words, "" where there is none."""
        return [self.words[code] if code >= 0 else "" for code in self.codes.tolist()]


@dataclass(frozen=True, eq=False)
class Column:
    """One column of a table.

    Attributes:
        name: its heading.
        kind: how a network can use it.
        values: float64 (n,), NaN where missing, all others finite; or, when `categories` is given, int32 (n,) positions in
            it, -1 where missing.
        categories: the distinct words of a column of words, sorted; None for a column of numbers.
        date_order: the order of day, month and year that dates were read with; empty for other kinds.
        number_format: the format of NUMBER_FORMATS that numbers were read with, or DURATION; empty where they are plain.
        unit: the currency or unit that stands beside every number, such as "%" or "kg"; empty where none does.
        gaps: words that stand for missing values, and in how many cells; without the empty one.
        note: a remark on how the column was read; usually empty.
        first: the first number as it is in the file, where it has more digits than float64; else empty.
        written: the cells as they are in the file, where `read_table` was asked to keep them.
    """

    name: str
    kind: Kind
    values: NDArray[Any]
    categories: tuple[str, ...] | None = None
    date_order: str = ""
    number_format: str = ""
    unit: str = ""
    gaps: Mapping[str, int] = field(default_factory=dict)
    note: str = ""
    first: str = ""
    written: Words | None = None

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.values)

    @property
    def missing(self) -> NDArray[np.bool_]:
        """(n,) booleans, true where the value is missing."""
        return np.isnan(self.values) if self.categories is None else self.values < 0

    @property
    def present_rows(self) -> NDArray[np.int64]:
        """Positions of the rows that have a value, int64."""
        return np.flatnonzero(~self.missing)

    @property
    def reading(self) -> str:
        """The word that makes `read_table(…, kinds={name: reading})` read another file's column in the same way."""
        if self.date_order:
            return f"date:{self.date_order}"
        if self.categories is None:
            return f"numeric:{self.number_format}" if self.number_format else "numeric"
        return "boolean" if self.categories in BOOLEAN_WORDS else "categorical"

    @property
    def remark(self) -> str:
        """What a reader should know of how the column was read: words taken for gaps, and `note`; usually empty."""
        most = sorted(self.gaps.items(), key=lambda item: -item[1])
        said = [f"{count:,} {'cell says' if count == 1 else 'cells say'} '{word}'" for word, count in most[:_MOST_GAPS]]
        more = [f"{len(most) - _MOST_GAPS} more words mean missing"] if len(most) > _MOST_GAPS else []
        return "; ".join([*said, *more, *filter(None, [self.note])])

    def texts(self) -> list[str]:
        """(n,) cells as they were written, where that is known; else values as one would write them: words, dates as
        2024-01-31, times of day as 14:30:00, whole numbers without a point; "" where missing.
        """
        if self.written is not None:
            return self.written.texts()
        if self.categories is not None:
            return Words(self.values, self.categories).texts()
        write = {"": _number_text, TIME_OF_DAY: _time_text}.get(self.date_order, _date_text)
        return ["" if math.isnan(value) else write(value) for value in self.values.tolist()]


def check_kind(column: str, kind: str) -> None:
    """ArgumentError unless `kind` is one of READINGS."""
    if kind not in READINGS:
        raise ArgumentError(
            f"the kind of the column '{column}' is '{kind}'",
            f"the kinds are {', '.join(READINGS)}",
            did_you_mean(kind, READINGS),
        )


def number_column(name: str, values: NDArray[np.float64], date_order: str = "") -> Column:
    """A column of numbers or dates, its kind decided from its values."""
    present = values[~np.isnan(values)]
    kind: Kind = "date" if date_order else "numeric"
    if not present.size:
        kind = "empty"
    elif present.size == values.size and values.size > 1 and np.all(values == values[0]):
        # Longer integers that are the same once rounded may differ.
        kind = "constant" if abs(values[0]) < LARGEST_EXACT else "identifier"
    elif kind == "numeric" and _names_rows(name) and _mostly_distinct_integers(present):
        kind = "identifier"
    note = "" if date_order or kind != "numeric" else _codes(name, present)
    return Column(name, kind, values, date_order=date_order, note=note)


def in_unit(unit: str) -> str:
    """What a message says of numbers with this unit."""
    return f"in '{unit}'" if unit else "without a unit"


def _codes(name: str, present: NDArray[np.float64]) -> str:
    """A remark on numbers that may be codes, or dates, rather than amounts."""
    few = present[:_LOOKED_AT]
    if not (few.size and np.all(few == np.floor(few)) and np.abs(few).min() >= _SMALLEST_CODE):
        return ""
    if np.all((few >= 19000101) & (few <= 21001231) & (few % 100 >= 1) & (few % 100 <= 31) & (few // 100 % 100 <= 12)):
        return f"these may be dates: --kind '{name}=date:yearmonthday' reads them"
    distinct = np.unique(few)
    scattered = distinct[-1] - distinct[0] > _SCATTERED * distinct.size
    if distinct.size > 1 and distinct.size <= min(MAX_CATEGORIES, few.size // 2) and scattered:
        return f"few different large numbers, which may be codes: --kind '{name}=categorical' reads words"
    if np.abs(few).max() >= LARGEST_EXACT:
        return f"numbers of so many digits are rounded, and may be codes: --kind '{name}=identifier' leaves them out"
    return ""


def word_column(name: str, codes: NDArray[np.int32], categories: Sequence[str]) -> Column:
    """A column of words given by positions in distinct `categories`, its kind decided from its values."""
    order = sorted(range(len(categories)), key=categories.__getitem__)
    position = np.empty(len(categories) + 1, np.int32)
    position[order] = np.arange(len(categories), dtype=np.int32)
    position[-1] = -1
    words = tuple(categories[index] for index in order)
    return Column(name, _kind_of_words(name, codes, words), position[codes], words)


def boolean_column(name: str, codes: NDArray[np.int32], words: tuple[str, str]) -> Column:
    """A column of two words given by 0, 1 and, where missing, -1."""
    seen = np.unique(codes)
    kind: Kind = "boolean"
    if seen[-1] < 0:
        kind = "empty"
    elif len(seen) == 1 and len(codes) > 1:
        kind = "constant"
    return Column(name, kind, codes, words)


def with_kind(column: Column, reading: str) -> Column:
    """The column with the kind that `reading`, a value of `kinds` in `read_table`, asks for."""
    return replace(column, kind=cast(Kind, reading.partition(":")[0]))


def row_positions(rows: ArrayLike | None, n_rows: int) -> NDArray[np.int64]:
    """`rows` as positions below `n_rows`, int64; all positions for None; ArgumentError for masks and other things."""
    if rows is None:
        return np.arange(n_rows)
    positions = np.asarray(rows)
    if positions.ndim != 1 or (positions.size and positions.dtype.kind not in "iu"):
        raise ArgumentError(
            f"rows has shape {positions.shape} and type {positions.dtype}",
            "it must hold integer positions, one axis",
            "Turn a mask into positions with numpy.flatnonzero.",
        )
    if positions.size and not 0 <= positions.min() <= positions.max() < n_rows:
        raise ArgumentError(
            f"rows goes from {positions.min()} to {positions.max()}",
            f"there are {n_rows} rows",
            "Use positions from 0 to the number of rows − 1.",
        )
    return positions.astype(np.int64)


def _number_text(value: float) -> str:
    return np.format_float_positional(value, trim="-")


def _time_text(days: float) -> str:
    return str(np.datetime64(round(days * 86_400), "s")).partition("T")[2]


def _date_text(days: float) -> str:
    return str(np.datetime64(round(days * 86_400), "s")).removesuffix("T00:00:00")


def _kind_of_words(name: str, codes: NDArray[np.int32], words: tuple[str, ...]) -> Kind:
    present = int(np.count_nonzero(codes >= 0))
    if not present:
        return "empty"
    if len(words) == 1 and present == len(codes) > 1:
        return "constant"
    if len(words) <= min(MAX_CATEGORIES, max(present // 2, 1)):
        return "categorical"
    return "identifier" if len(words) == present and _names_rows(name) else "text"


def _names_rows(name: str) -> bool:
    """Whether a heading says that the column identifies rows: PassengerId, user_id, ID, Unnamed: 0."""
    pieces = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)
    return name.startswith("Unnamed: ") or any(piece.lower() in _IDENTIFIER_WORDS for piece in pieces)


def _mostly_distinct_integers(present: NDArray[np.float64]) -> bool:
    return bool(np.all(present == np.floor(present))) and np.unique(present).size > present.size / 2
