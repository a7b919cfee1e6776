"""Reading table files with pyarrow, in two passes over blocks of rows.

The first pass surveys every column (`surveying`) and decides the rule by which it is read. The second pass converts cells by
that rule. No pass holds more than one block of text, so memory is that of the converted columns.

Only `tables.read_table` imports this module, when it is called: pyarrow is optional.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, cast, overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from chainrule.data import delimited
from chainrule.data.files import is_gzip
from chainrule.data.gaps import EVERYWHERE
from chainrule.data.parsing import (
    BOOLEANS,
    FORMATS,
    PARSERS,
    PLAIN,
    Array,
    as_plain_numbers,
    beside_numbers,
    parse_present,
    trimmed,
)
from chainrule.data.surveying import Rule, Survey, decide
from chainrule.data.tables import Column, Words, boolean_column, number_column, with_kind, word_column
from chainrule.errors import DataError, message
from chainrule.fileio import parsing

_BLOCK_BYTES = 4 << 20
_PARQUET_ROWS = 65_536
_TWO_CAPITALS = re.compile(r"[A-Z]{2}")

Block = list[Array]  # one array per column, in the order of the file


@dataclass(frozen=True)
class How:
    """What was said about reading a file: see `tables.read_table`."""

    kinds: Mapping[str, str]
    missing: Sequence[str] | Mapping[str, Sequence[str]]
    verbatim: Collection[str]

    def missing_in(self, name: str) -> tuple[str, ...]:
        """The words that were said to stand for gaps in a column."""
        words = self.missing.get(name, ()) if isinstance(self.missing, Mapping) else self.missing
        return tuple(dict.fromkeys(word.strip() for word in words))


def read_columns(path: Path, delimiter: str | None, encoding: str | None, how: How) -> dict[str, Column]:
    """The columns of a file by name, each with its kind; see `tables.read_table`."""
    source: _Source = _ParquetSource(path) if _is_parquet(path) else _DelimitedSource(path, delimiter, encoding)
    before = _state(path)
    surveys = [Survey(name, how.kinds.get(name), how.missing_in(name)) for name in source.names]
    n_rows = _survey(source, surveys)
    if n_rows == 0:
        raise DataError(message(f"{path} has a header and no rows", "at least one row is needed", "Add rows."))
    stores = [_store(rule, n_rows) for rule in decide(surveys, source)]
    written = {name: _Written() for name in source.names if name in how.verbatim}
    first_row = 0
    for block in source.blocks():
        if first_row + len(block[0]) > n_rows:
            raise _changed(path)
        for store, cells in zip(stores, block, strict=True):
            store.put(first_row, cells, source)
            if store.rule.name in written:
                written[store.rule.name].put(cells)
        first_row += len(block[0])
    if first_row < n_rows or _state(path) != before:
        raise _changed(path)
    columns = {store.rule.name: store.column(how.kinds.get(store.rule.name)) for store in stores}
    return columns | {name: replace(columns[name], written=store.words()) for name, store in written.items()}


def _survey(source: _Source, surveys: list[Survey]) -> int:
    """Show every block to every survey; the number of rows."""
    n_rows = 0
    for block in source.blocks():
        for survey, cells in zip(surveys, block, strict=True):
            survey.observe(n_rows, cells)
        n_rows += len(block[0])
    return n_rows


def _state(path: Path) -> tuple[int, int, int]:
    """What is another when a file has been written to."""
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


def _changed(path: Path) -> DataError:
    return DataError(
        message(f"{path} changed while it was read", "a file that stays as it is was expected", "Read it when it is written.")
    )


# Where cells come from


class _Source(Protocol):
    path: Path
    names: tuple[str, ...]
    delimiter: str

    def blocks(self) -> Iterator[Block]:
        """Every row of the file, block by block."""

    def place(self, row: int) -> str:
        """What a message calls data row `row`, counted from 0."""


class _DelimitedSource:
    def __init__(self, path: Path, delimiter: str | None, encoding: str | None) -> None:
        self._layout = delimited.inspect(path, delimiter, encoding)
        self.path = path
        self.names = self._layout.names
        self.delimiter = self._layout.delimiter

    def blocks(self) -> Iterator[Block]:
        raw_names = [f"column {position}" for position in range(len(self.names))]
        try:
            with (
                self.path.open("rb") as file,  # pyarrow itself opens no names that are not UTF-8
                pa.input_stream(file, compression="gzip" if is_gzip(self.path) else None) as stream,
                pyarrow.csv.open_csv(
                    stream,
                    pyarrow.csv.ReadOptions(
                        block_size=max(_BLOCK_BYTES, 2 * self._layout.longest),  # a record must fit a block
                        column_names=raw_names,
                        skip_rows=self._layout.skipped,
                        encoding="utf8" if self._layout.encoding == delimited.UTF8 else self._layout.encoding,
                    ),
                    pyarrow.csv.ParseOptions(
                        delimiter=self._layout.delimiter, newlines_in_values=True, invalid_row_handler=_unless_end_of_file
                    ),
                    pyarrow.csv.ConvertOptions(
                        column_types=dict.fromkeys(raw_names, pa.string()),
                        null_values=["", delimited.END_OF_FILE],
                        strings_can_be_null=True,
                    ),
                ) as reader,
            ):
                yield from _without_empty_end(_without_header(batch.columns for batch in reader))
        except (pa.ArrowInvalid, UnicodeError) as error:
            delimited.check_records(self._layout)
            raise DataError(
                message(
                    f"{self.path} cannot be read ({error})", "a regular delimited file was expected", "Write the file again."
                )
            ) from error

    def place(self, row: int) -> str:
        return f"line {delimited.line_of_row(self._layout, row)}"


def _without_header(blocks: Iterator[Block]) -> Iterator[Block]:
    for position, block in enumerate(blocks):
        yield [cells[1:] for cells in block] if position == 0 else block


def _unless_end_of_file(row: Any) -> str:
    return "skip" if row.text == delimited.END_OF_FILE else "error"


def _without_empty_end(blocks: Iterator[Block]) -> Iterator[Block]:
    """The blocks without the rows at the end of the file in which every cell is empty: spreadsheets write such."""
    kept: list[Block] = []  # of rows that are the end unless another follows
    for block in blocks:
        filled = _filled(block)
        if filled:
            yield from kept
            kept = []
            yield [cells[:filled] for cells in block]
        if filled < len(block[0]):
            kept.append([cells[filled:] for cells in block])


def _filled(block: Block) -> int:
    """How many rows there are up to the last that has a cell."""
    n_rows = len(block[0])
    if not n_rows or any(cells[n_rows - 1].is_valid for cells in block):
        return n_rows
    return 1 + max(int(np.flatnonzero(cells.is_valid()).max(initial=-1)) for cells in block)


class _ParquetSource:
    delimiter = ""

    def __init__(self, path: Path) -> None:
        self.path = path
        with _parquet(path), path.open("rb") as file:
            schema = pyarrow.parquet.read_schema(file)
            self.names = tuple(schema.names)
        delimited.check_names(path, self.names)
        for column in schema:
            if not _is_readable(column.type):
                raise DataError(
                    message(
                        f"{path}, column '{column.name}' has the type {column.type}",
                        "a column holds numbers, booleans, dates or strings",
                        "Convert or drop it.",
                    )
                )

    def blocks(self) -> Iterator[Block]:
        with _parquet(self.path), self.path.open("rb") as opened, pyarrow.parquet.ParquetFile(opened) as file:
            for batch in file.iter_batches(_PARQUET_ROWS):
                batch.validate(full=True)  # text that is not UTF-8
                yield [_without_nan(cells) if _is_number(cells.type) else _as_words(cells) for cells in batch.columns]

    def place(self, row: int) -> str:
        return f"row {row + 1}"


def _parquet(path: Path) -> AbstractContextManager[None]:
    return parsing(path, "a whole Parquet file was expected", "Write it again.")


def _is_parquet(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(4) == b"PAR1"


def _is_readable(kind: Any) -> bool:
    types = pa.types
    if types.is_dictionary(kind):
        kind = kind.value_type
    texts = (types.is_string, types.is_large_string, types.is_string_view)
    others = (types.is_boolean, types.is_date, types.is_timestamp, types.is_time, types.is_null)
    return _is_number(kind) or any(test(kind) for test in texts + others)


def _is_number(kind: Any) -> bool:
    return any(test(kind) for test in (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal))


def _without_nan(cells: Array) -> Array:
    """Numbers with null for NaN, which pandas writes for a gap."""
    if not pa.types.is_floating(cells.type):
        return cells
    wide = pc.cast(cells, pa.float32()) if pa.types.is_float16(cells.type) else cells
    return pc.if_else(pc.is_nan(wide), None, wide) if pc.any(pc.is_nan(wide)).as_py() else wide


def _as_words(cells: Array) -> Array:
    return pc.cast(cells.dictionary_decode() if pa.types.is_dictionary(cells.type) else cells, pa.string())


# Second pass


class _Numbers:
    """float64 values of a column of numbers, dates or two words, filled block by block."""

    def __init__(self, rule: Rule, parser: str, n_rows: int) -> None:
        self.rule = rule
        self._parser = parser
        self._values = np.empty(n_rows)

    def put(self, first_row: int, cells: Array, source: _Source) -> None:
        numbers = as_plain_numbers(cells) if self._parser == PLAIN and not self.rule.missing else None
        if numbers is None:
            words = trimmed(cells)
            words = pc.if_else(beside_numbers(words, self.rule.missing), None, words)
            numbers = as_plain_numbers(words) if self._parser == PLAIN else None
            if numbers is None:
                numbers = parse_present(words, PARSERS[self._parser])
            if np.count_nonzero(np.isnan(numbers)) > words.null_count:  # each was read in the first pass
                raise _changed(source.path)
        infinite = np.flatnonzero(np.isinf(numbers))
        if infinite.size:
            place = f"{source.path}, {source.place(first_row + int(infinite[0]))}"
            raise DataError(
                message(
                    f"{place}, column '{self.rule.name}': the number is infinite ({cells[int(infinite[0])]})",
                    "numbers must be finite",
                    "Correct the cell, or empty it to make it missing.",
                )
            )
        self._values[first_row : first_row + len(numbers)] = numbers

    def column(self, kind: str | None) -> Column:
        rule = self.rule
        if self._parser in BOOLEANS:
            codes = np.where(np.isnan(self._values), -1, self._values).astype(np.int32)
            column = boolean_column(rule.name, codes, BOOLEANS[self._parser])
        else:
            column = number_column(
                rule.name, self._values, self._parser.removeprefix("date:") if "date:" in self._parser else ""
            )
        found = replace(
            column,
            number_format=FORMATS.get(self._parser, ""),
            unit=rule.unit,
            gaps=rule.gaps,
            note="; ".join(filter(None, [rule.note, column.note])),
        )
        return with_kind(found, kind) if kind else found


class _Words:
    """int32 positions in the distinct words of a column, filled block by block."""

    def __init__(self, rule: Rule, n_rows: int) -> None:
        self.rule = rule
        self._codes = np.empty(n_rows, np.int32)
        self._known: dict[str, int] = {}

    def put(self, first_row: int, cells: Array, source: _Source) -> None:
        encoded = trimmed(cells).dictionary_encode()
        codes = [self._known.setdefault(word, len(self._known)) for word in encoded.dictionary.to_pylist()]
        positions = np.asarray(pc.fill_null(encoded.indices, -1))
        self._codes[first_row : first_row + len(cells)] = np.array([*codes, -1], np.int32)[positions]

    def column(self, kind: str | None) -> Column:
        gaps = self._gaps()
        new = np.full(len(self._known) + 1, -1, np.int32)
        kept: list[str] = []
        for word, code in self._known.items():
            if word not in gaps:
                new[code] = len(kept)
                kept.append(word)
        counts = np.bincount(self._codes[self._codes >= 0], minlength=len(self._known))
        column = word_column(self.rule.name, new[self._codes], kept)
        found = replace(
            column,
            gaps={word: int(counts[self._known[word]]) for word in gaps if word},
            note=self.rule.note or (self.rule.doubt if column.kind == "text" else ""),
        )
        return with_kind(found, kind) if kind else found

    def _gaps(self) -> list[str]:
        """The words that stand for gaps. NA is a word of its own among others of two capitals: Namibia, North America."""
        gaps = [word for word in self._known if word in EVERYWHERE or word in self.rule.missing]
        others = [word for word in self._known if word not in gaps]
        if "NA" not in self.rule.missing and len(others) > 1 and all(map(_TWO_CAPITALS.fullmatch, others)):
            gaps = [word for word in gaps if word != "NA"]
        return gaps


class _Written:
    """The cells of a column as they are in the file."""

    def __init__(self) -> None:
        self._chunks: list[Array] = []

    def put(self, cells: Array) -> None:
        self._chunks.append(pc.cast(cells, pa.string()))

    def words(self) -> Words:
        encoded = pa.chunked_array(self._chunks, pa.string()).combine_chunks().dictionary_encode()
        return Words(np.asarray(pc.fill_null(encoded.indices, -1)), _Texts(encoded.dictionary))


class _Texts(Sequence[str]):
    """The texts of a pyarrow array, made into Python's one by one: as many as a column has rows would take much memory."""

    def __init__(self, array: Array) -> None:
        self._array = array

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        return cast(
            "str | list[str]", self._array[index].to_pylist() if isinstance(index, slice) else self._array[index].as_py()
        )

    def __len__(self) -> int:
        return len(self._array)


def _store(rule: Rule, n_rows: int) -> _Numbers | _Words:
    return _Words(rule, n_rows) if rule.parser is None else _Numbers(rule, rule.parser, n_rows)
