"""Reading table files with pyarrow, in two passes over blocks of rows.

The first pass surveys every column: it counts how many of its cells each *parser* (numbers, dates in some order, two words)
reads, and remembers the first cell that each does not. The second pass converts cells with the parser that read them all. No
pass holds more than one block of text, so memory is that of the converted columns.

Only `tables.read_table` imports this module, when it is called: pyarrow is optional.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from chainrule.data import delimited
from chainrule.data.files import is_gzip
from chainrule.data.parsing import BOOLEANS, MISSING_WORDS, PARSERS, Array, as_plain_numbers, candidates, clean, parse_present
from chainrule.data.tables import (
    Column,
    boolean_column,
    number_column,
    with_kind,
    word_column,
)
from chainrule.errors import DataError, explain

# A column of which at least this share, but not all, reads as numbers or dates is taken for a column with wrong cells.
MOSTLY = 0.9

_BLOCK_BYTES = 4 << 20
_PARQUET_ROWS = 65_536

Block = list[Array]  # one array per column, in the order of the file


def read_columns(path: Path, delimiter: str | None, kinds: Mapping[str, str]) -> dict[str, Column]:
    """The columns of a file by name, each with its kind; see `tables.read_table`."""
    source: _Source = _ParquetSource(path) if _is_parquet(path) else _DelimitedSource(path, delimiter)
    surveys = [_Survey(name, kinds.get(name), source.decimal_commas) for name in source.names]
    n_rows = _survey(source, surveys)
    if n_rows == 0:
        raise DataError(explain(f"{path} has a header and no rows", "at least one row is needed", "Add rows."))
    conversions = [survey.decide(source) for survey in surveys]
    _refuse_two_decimal_marks(source, conversions)
    stores = [_store(conversion, n_rows) for conversion in conversions]
    first_row = 0
    for block in source.blocks():
        for store, cells in zip(stores, block, strict=True):
            store.put(first_row, cells, source)
        first_row += len(block[0])
    return {store.conversion.name: store.column(kinds.get(store.conversion.name)) for store in stores}


# Where cells come from


class _Source(Protocol):
    path: Path
    names: tuple[str, ...]
    decimal_commas: bool

    def blocks(self) -> Iterator[Block]:
        """Every row of the file, block by block."""

    def place(self, row: int) -> str:
        """What a message calls data row `row`, counted from 0."""


class _DelimitedSource:
    def __init__(self, path: Path, delimiter: str | None) -> None:
        self._layout = delimited.inspect(path, delimiter)
        self.path = path
        self.names = self._layout.names
        self.decimal_commas = self._layout.delimiter == ";"

    def blocks(self) -> Iterator[Block]:
        raw_names = [f"column {position}" for position in range(len(self.names))]
        try:
            with (
                pa.input_stream(str(self.path), compression="gzip" if is_gzip(self.path) else None) as stream,
                pyarrow.csv.open_csv(
                    stream,
                    pyarrow.csv.ReadOptions(block_size=_BLOCK_BYTES, column_names=raw_names, skip_rows_after_names=0),
                    pyarrow.csv.ParseOptions(delimiter=self._layout.delimiter, newlines_in_values=True),
                    pyarrow.csv.ConvertOptions(
                        column_types=dict.fromkeys(raw_names, pa.string()),
                        null_values=MISSING_WORDS,
                        strings_can_be_null=True,
                    ),
                ) as reader,
            ):
                yield from _without_header(batch.columns for batch in reader)
        except pa.ArrowInvalid as error:
            delimited.check_records(self._layout)
            raise DataError(
                explain(
                    f"{self.path} cannot be read ({error})", "a regular delimited file was expected", "Write the file again."
                )
            ) from error

    def place(self, row: int) -> str:
        return f"line {delimited.line_of_row(self._layout, row)}"


def _without_header(blocks: Iterator[Block]) -> Iterator[Block]:
    for position, block in enumerate(blocks):
        yield [cells[1:] for cells in block] if position == 0 else block


class _ParquetSource:
    decimal_commas = False

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            schema = pyarrow.parquet.read_schema(path)
        except pa.ArrowInvalid as error:
            raise self._broken(error) from error
        self.names = tuple(schema.names)
        delimited.check_names(path, self.names)
        for column in schema:
            if not _is_readable(column.type):
                raise DataError(
                    explain(
                        f"{path}, column '{column.name}' has the type {column.type}",
                        "a column holds numbers, booleans, dates or strings",
                        "Convert or drop it.",
                    )
                )

    def _broken(self, error: Exception) -> DataError:
        return DataError(
            explain(f"{self.path} is not a whole Parquet file ({error})", "a Parquet file was expected", "Write it again.")
        )

    def blocks(self) -> Iterator[Block]:
        try:
            with pyarrow.parquet.ParquetFile(self.path) as file:
                for batch in file.iter_batches(_PARQUET_ROWS):
                    yield [cells if _is_number(cells.type) else _as_words(cells) for cells in batch.columns]
        except (pa.ArrowInvalid, OSError) as error:
            raise self._broken(error) from error

    def place(self, row: int) -> str:
        return f"row {row + 1}"


def _is_parquet(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(4) == b"PAR1"


def _is_readable(kind: Any) -> bool:
    types = pa.types
    if types.is_dictionary(kind):
        kind = kind.value_type
    texts = (types.is_string, types.is_large_string, types.is_string_view)
    others = (types.is_boolean, types.is_date, types.is_timestamp, types.is_null)
    return _is_number(kind) or any(test(kind) for test in texts + others)


def _is_number(kind: Any) -> bool:
    return any(test(kind) for test in (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal))


def _as_words(cells: Array) -> Array:
    return pc.cast(cells.dictionary_decode() if pa.types.is_dictionary(cells.type) else cells, pa.string())


# First pass


@dataclass
class _Trial:
    """How one parser fares on one column: cells read, and row and text of the first cell that it does not read."""

    read: int = 0
    failure: tuple[int, str] | None = None


class _Conversion(NamedTuple):
    """What the second pass does with a column: the parser that reads its cells (None keeps words), and a remark."""

    name: str
    parser: str | None
    note: str = ""
    decimal_points: bool = False


@dataclass
class _Survey:
    """What is known of one column while the first pass goes on."""

    name: str
    kind: str | None
    decimal_commas: bool
    present: int = 0
    trials: dict[str, _Trial] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.trials = {parser: _Trial() for parser in candidates(self.kind, self.decimal_commas)}

    def observe(self, first_row: int, cells: Array) -> None:
        """Take one block of the column into account."""
        if self.kind in ("categorical", "text"):
            return
        if not self.decimal_commas and "numeric" in self.trials and as_plain_numbers(cells) is not None:
            self._observe_numbers(first_row, cells)
        elif self.trials:
            self._observe_words(first_row, clean(cells))
        if self.kind is None:
            self.trials = {name: trial for name, trial in self.trials.items() if trial.read >= MOSTLY * self.present}

    def _observe_numbers(self, first_row: int, cells: Array) -> None:
        count = len(cells) - cells.null_count
        if not count:
            return
        self.present += count
        for name, trial in self.trials.items():
            if name == "numeric":
                trial.read += count
            elif trial.failure is None:
                row = pc.index(cells.is_valid(), True).as_py()
                trial.failure = (first_row + row, str(cells[row]))

    def _observe_words(self, first_row: int, words: Array) -> None:
        words_and_counts = pc.value_counts(words.drop_null())
        distinct = words_and_counts.field("values")
        counts = np.asarray(words_and_counts.field("counts"))
        self.present += int(counts.sum())
        for name, trial in self.trials.items():
            failed = np.isnan(PARSERS[name](distinct))
            trial.read += int(counts[~failed].sum())
            if failed.any() and trial.failure is None:
                word = distinct[int(np.argmax(failed))]
                trial.failure = (first_row + pc.index(words, word).as_py(), word.as_py())

    def decide(self, source: _Source) -> _Conversion:
        """How to convert the column; DataError when a few of its cells, or any of a column that must parse, do not."""
        complete = [name for name, trial in self.trials.items() if trial.read == self.present]
        if self.present and {"date:month/day/year", "date:day/month/year"} <= set(complete):
            note = "dates that could be day/month/year or month/day/year: name the order with the kind 'date:day/month/year'"
            return _Conversion(self.name, None, note)
        if complete:
            return _Conversion(self.name, complete[0], decimal_points="numeric with commas" not in complete)
        suspects = {name: trial for name, trial in self.trials.items() if self.kind or name not in BOOLEANS}
        if suspects:
            raise self._wrong_cell(source, *max(suspects.items(), key=lambda item: item[1].read))
        return _Conversion(self.name, None)

    def _wrong_cell(self, source: _Source, parser: str, trial: _Trial) -> DataError:
        row, word = trial.failure or (0, "")
        expected = "a date" if parser.startswith("date") else " or ".join(BOOLEANS.get(parser, ("a number",)))
        return DataError(
            explain(
                f"{source.path}, {source.place(row)}, column '{self.name}': '{word}' is not {expected}",
                f"{trial.read} of the {self.present} cells with a value are",
                "Correct the cell, or empty it to make it missing; or read the column as words with the kind 'categorical' or "
                "'text'.",
            )
        )


def _survey(source: _Source, surveys: list[_Survey]) -> int:
    """Show every block to every survey; the number of rows."""
    n_rows = 0
    for block in source.blocks():
        for survey, cells in zip(surveys, block, strict=True):
            survey.observe(n_rows, cells)
        n_rows += len(block[0])
    return n_rows


def _refuse_two_decimal_marks(source: _Source, conversions: list[_Conversion]) -> None:
    commas = [conversion.name for conversion in conversions if conversion.parser == "numeric with commas"]
    points = [conversion.name for conversion in conversions if conversion.parser == "numeric" and conversion.decimal_points]
    if source.decimal_commas and commas and points:
        raise DataError(
            explain(
                f"{source.path}: column '{commas[0]}' has decimal commas and column '{points[0]}' has points",
                "in one file a point is either a decimal mark or a thousands separator",
                "Write all numbers with the same decimal mark and no thousands separators.",
            )
        )


# Second pass


class _Numbers:
    """float64 values of a column of numbers, dates or two words, filled block by block."""

    def __init__(self, conversion: _Conversion, parser: str, n_rows: int) -> None:
        self.conversion = conversion
        self._parser = parser
        self._values = np.empty(n_rows)

    def put(self, first_row: int, cells: Array, source: _Source) -> None:
        numbers = as_plain_numbers(cells) if self._parser == "numeric" else None
        if numbers is None:
            numbers = parse_present(clean(cells), PARSERS[self._parser])
        infinite = np.flatnonzero(np.isinf(numbers))
        if infinite.size:
            place = f"{source.path}, {source.place(first_row + int(infinite[0]))}"
            raise DataError(
                explain(
                    f"{place}, column '{self.conversion.name}': the number is infinite ({cells[int(infinite[0])]})",
                    "numbers must be finite",
                    "Correct the cell, or empty it to make it missing.",
                )
            )
        self._values[first_row : first_row + len(numbers)] = numbers

    def column(self, kind: str | None) -> Column:
        name = self.conversion.name
        if self._parser in BOOLEANS:
            codes = np.where(np.isnan(self._values), -1, self._values).astype(np.int32)
            column = boolean_column(name, codes, BOOLEANS[self._parser])
        else:
            column = number_column(name, self._values, self._parser.removeprefix("date:") if "date:" in self._parser else "")
        return with_kind(column, kind) if kind else column


class _Words:
    """int32 positions in the distinct words of a column, filled block by block."""

    def __init__(self, conversion: _Conversion, n_rows: int) -> None:
        self.conversion = conversion
        self._codes = np.empty(n_rows, np.int32)
        self._known: dict[str, int] = {}

    def put(self, first_row: int, cells: Array, source: _Source) -> None:
        encoded = clean(cells).dictionary_encode()
        codes = [self._known.setdefault(word, len(self._known)) for word in encoded.dictionary.to_pylist()]
        positions = np.asarray(pc.fill_null(encoded.indices, -1))
        self._codes[first_row : first_row + len(cells)] = np.array([*codes, -1], np.int32)[positions]

    def column(self, kind: str | None) -> Column:
        column = replace(word_column(self.conversion.name, self._codes, list(self._known)), note=self.conversion.note)
        return with_kind(column, kind) if kind else column


def _store(conversion: _Conversion, n_rows: int) -> _Numbers | _Words:
    return _Words(conversion, n_rows) if conversion.parser is None else _Numbers(conversion, conversion.parser, n_rows)
