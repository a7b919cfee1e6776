"""Tables: named columns of one length.

`read_table` reads a delimited text file, a Parquet file or a DataFrame; `Table.from_columns` takes arrays and lists. Both
recognise missing values and decide a kind per column (`columns`).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from chainrule.data.columns import (
    BOOLEAN_WORDS,
    DATE_ORDERS,
    LARGEST_EXACT,
    Column,
    Words,
    boolean_column,
    check_kind,
    number_column,
    word_column,
)
from chainrule.data.files import did_you_mean, existing_file
from chainrule.errors import DataError, missing_dependency
from chainrule.frames import DataSource, Frame, source_name


@dataclass(frozen=True, eq=False)
class Table:
    """Columns by name, in order, all of one length.

    Attributes:
        columns: the columns; their keys are their names.
        source: where the table came from, for messages.
        target: the column to predict, where the data itself says which; None where that is to be chosen.
        description: a sentence on the data, where it brings one.
    """

    columns: Mapping[str, Column]
    source: str
    target: str | None = None
    description: str = ""

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return len(next(iter(self.columns.values())))

    @property
    def names(self) -> tuple[str, ...]:
        """Column names in order."""
        return tuple(self.columns)

    def __iter__(self) -> Iterator[Column]:
        """The columns in order."""
        return iter(self.columns.values())

    def __contains__(self, name: object) -> bool:
        """Whether there is a column called `name`."""
        return name in self.columns

    def __getitem__(self, name: str) -> Column:
        """The column called `name`; DataError that names the nearest column when there is none."""
        return self._column(name)

    def needed(self, name: str) -> Column:
        """The column called `name`, which a model needs; DataError that names the nearest column, or says to add it."""
        return self._column(name, f"Add the column '{name}', which the model needs.")

    def _column(self, name: str, otherwise: str = "") -> Column:
        if name not in self.columns:
            raise DataError(
                f"{self.source} has no column '{name}'",
                f"its columns are {', '.join(self.names)}",
                did_you_mean(name, self.names, otherwise),
            )
        return self.columns[name]

    @classmethod
    def from_columns(cls, columns: Mapping[str, ArrayLike], source: str = "the table") -> Table:
        """A table from arrays or lists.

        Args:
            columns: name to values of shape (n,): numbers (NaN or None is missing), booleans, datetime64, or strings (None or
                "" is missing; strings are kept as they are, never parsed).
            source: what messages call the table.

        Raises:
            DataError: no columns, no rows, lengths that differ, a column that is not one-dimensional, mixes numbers with
                other things, or holds an infinity.
        """
        read = {name: _column(name, values, source) for name, values in columns.items()}
        lengths = {name: len(column) for name, column in read.items()}
        if not lengths or not any(lengths.values()):
            raise DataError(f"{source} is empty", "at least one column and one row are needed", "Pass some data.")
        if len(set(lengths.values())) > 1:
            raise DataError(f"{source} has columns of lengths {lengths}", "all must be equal", "Cut or fill them.")
        return cls(read, source)


def read_table(
    source: DataSource,
    delimiter: str | None = None,
    kinds: Mapping[str, str] | None = None,
    *,
    missing: Sequence[str] | Mapping[str, Sequence[str]] = (),
    encoding: str | None = None,
    verbatim: Collection[str] = (),
) -> Table:
    """Read a CSV, TSV or otherwise delimited text file (plain or gzip, header line first), a Parquet file, or a DataFrame.

    Every column is read by one rule, decided from all its cells (docs/tables.md): numbers with their thousands separators,
    units and signs, dates in one order, two words, or words. Empty cells, NA, N/A, NaN and null are missing; so is a word such
    as None, - or ? in a column that otherwise holds numbers or dates. Memory stays near 8 bytes a cell for numbers and dates
    and 4 for words, whatever the size of the file. A DataFrame is read as the Parquet file that it would be written to, without
    its index.

    Args:
        source: the file, or a table in memory that has `__arrow_c_stream__`: a DataFrame of pandas ≥ 2.2 or polars, a table of
            pyarrow.
        delimiter: one character; None finds it among comma, semicolon, tab and |.
        kinds: column name to one of READINGS: "numeric", "boolean", "categorical", "text", "identifier", "date", "date:ORDER"
            with an order such as day/month/year, or "numeric:1.234,5" for decimal commas. A column named here is read in that
            way or not at all; the others are recognised. Names that the file lacks are ignored.
        missing: more words that stand for missing values, in every column, or by column name.
        encoding: of a text file, such as "gb18030"; None takes what a byte order mark tells, and UTF-8 without one.
        verbatim: columns whose cells are also kept as they are written (`Column.written`).

    Raises:
        DataError: a file that is missing, a folder, empty, without rows, not a table, or in another encoding; a header with
            unnamed or repeated names; ragged rows; unclosed quotes; infinities; a column of numbers or dates in which a few
            cells are something else; a file that changes while it is read. The message names the file and, where there is one,
            the line, column and cell.
        ArgumentError: a kind, delimiter or encoding that does not exist, or has no use.
        MissingDependency: pyarrow is not installed.
    """
    for name, kind in (kinds or {}).items():
        check_kind(name, kind)
    source = source if isinstance(source, Frame) else existing_file(source)
    try:
        from chainrule.data import reading  # noqa: PLC0415 - pyarrow is optional
    except ModuleNotFoundError as error:
        raise missing_dependency("pyarrow", "Reading tables", "app") from error
    how = reading.How(kinds or {}, missing, verbatim)
    columns = reading.read_columns(source, delimiter, encoding, how)
    return Table(columns, source_name(source))


def encode_words(values: Iterable[str | None]) -> tuple[NDArray[np.int32], list[str]]:
    """Positions (n,) int32 in the list of distinct words, in order of appearance; -1 for None."""
    known: dict[str, int] = {}
    codes = [-1 if value is None else known.setdefault(value, len(known)) for value in values]
    return np.array(codes, np.int32), list(known)


def _column(name: str, values: ArrayLike, source: str) -> Column:
    try:
        array = np.asarray(values)
    except (ValueError, TypeError) as error:
        given = f"column '{name}' of {source} could not become an array ({error})"
        raise DataError(given, "a column has one value per row", "Check its values.") from None
    if array.ndim != 1:
        raise DataError(
            f"column '{name}' of {source} has shape {array.shape}", "a column has one axis", "Pass one array per column."
        )
    if array.dtype == bool:
        return boolean_column(name, array.astype(np.int32), BOOLEAN_WORDS[0])
    if array.dtype.kind == "M":
        return number_column(name, days_since_epoch(array), DATE_ORDERS[0])
    if array.dtype.kind in "iuf":
        return replace(number_column(name, _finite(name, array.astype(np.float64), source)), written=_long_integers(array))
    present = [value for value in array.tolist() if not _is_missing(value)]
    if all(isinstance(value, bool) for value in present) and present:
        codes = [-1 if _is_missing(value) else int(value) for value in array.tolist()]
        return boolean_column(name, np.array(codes, np.int32), BOOLEAN_WORDS[0])
    if all(isinstance(value, int | float) for value in present):
        numbers = [np.nan if _is_missing(value) else float(value) for value in array.tolist()]
        return number_column(name, _finite(name, np.array(numbers), source))
    strange = [value for value in present if not isinstance(value, str)]
    if strange:
        raise DataError(
            f"column '{name}' of {source} holds {strange[0]!r} ({type(strange[0]).__name__}) among other values",
            "a column holds numbers, booleans, datetime64 or strings",
            "Convert it to one of them.",
        )
    return word_column(name, *encode_words(None if _is_missing(value) else value for value in array.tolist()))


def _long_integers(array: NDArray[Any]) -> Words | None:
    """The texts of integers that float64 cannot hold; None where it holds all."""
    if array.dtype.kind == "f" or not array.size or max(abs(int(array.min())), abs(int(array.max()))) <= LARGEST_EXACT:
        return None
    distinct, codes = np.unique(array, return_inverse=True)
    return Words(codes.astype(np.int32), tuple(map(str, distinct.tolist())))


def days_since_epoch(moments: NDArray[np.datetime64]) -> NDArray[np.float64]:
    """datetime64 (n,) as float64 days since 1970-01-01, NaN for NaT."""
    milliseconds = moments.astype("datetime64[ms]")
    days = milliseconds.astype(np.int64) / 86_400_000
    days[np.isnat(milliseconds)] = np.nan
    return days


def _is_missing(value: object) -> bool:
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))


def _finite(name: str, values: NDArray[np.float64], source: str) -> NDArray[np.float64]:
    infinite = np.flatnonzero(np.isinf(values))
    if infinite.size:
        raise DataError(
            f"column '{name}' of {source} holds {values[infinite[0]]} at row {infinite[0]}",
            "numbers must be finite",
            "Replace it, or make it NaN to treat it as missing.",
        )
    return values
