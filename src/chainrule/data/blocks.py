"""Where the cells of a table come from: a delimited or a Parquet file, or a table in memory, as blocks of rows.

Only `reading` imports this module: pyarrow is optional.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from chainrule.data import delimited
from chainrule.data.files import is_gzip
from chainrule.errors import ArgumentError, DataError
from chainrule.fileio import parsing
from chainrule.frames import Frame, arrow_table, source_name

Array = Any  # a pyarrow Array: pyarrow has no types
Block = list[Array]  # one array per column, in the order of the file

_BLOCK_BYTES = 4 << 20
_ROWS = 65_536


def opened(place: Path | Frame, delimiter: str | None, encoding: str | None) -> Source:
    """The table as a source of blocks; see `tables.read_table`."""
    if isinstance(place, Frame):
        for name, value in (("delimiter", delimiter), ("encoding", encoding)):
            if value is not None:
                raise ArgumentError(
                    f"{name}={value!r} was given with {source_name(place)}", "only text files have one", "Leave it out."
                )
        return ArrowSource(place)
    with place.open("rb") as stream:
        is_parquet = stream.read(4) == b"PAR1"
    return ParquetSource(place) if is_parquet else DelimitedSource(place, delimiter, encoding)


class Source(Protocol):
    """A table in a file or in memory.

    Attributes:
        names: of the columns.
        delimiter: between cells; empty where cells have types.
        kinds: how the types of columns say that they are to be read, by name; see `tables.read_table`.
    """

    names: tuple[str, ...]
    delimiter: str
    kinds: Mapping[str, str]

    @property
    def path(self) -> Path | str:
        """The file, or what messages call the table."""

    def blocks(self) -> Iterator[Block]:
        """Every row of the table, block by block."""

    def place(self, row: int) -> str:
        """What a message calls data row `row`, counted from 0."""

    def state(self) -> object:
        """What is another when the table has been written to."""


def _state_of(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


class DelimitedSource:
    """A `Source` of delimited text, checked by `delimited.inspect`."""

    def __init__(self, path: Path, delimiter: str | None, encoding: str | None) -> None:
        self._layout = delimited.inspect(path, delimiter, encoding)
        self.path = path
        self.names = self._layout.names
        self.delimiter = self._layout.delimiter
        self.kinds: Mapping[str, str] = {}

    def blocks(self) -> Iterator[Block]:
        """See `Source`."""
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
                        delimiter=self._layout.delimiter,
                        newlines_in_values=True,
                        ignore_empty_lines=not self._layout.blank_rows,
                        invalid_row_handler=_unless_end_of_file,
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
                f"{self.path} cannot be read ({error})", "a regular delimited file was expected", "Write the file again."
            ) from error

    def place(self, row: int) -> str:
        """See `Source`."""
        return f"line {delimited.line_of_row(self._layout, row)}"

    def state(self) -> object:
        """See `Source`."""
        return _state_of(self.path)


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


class ParquetSource:
    """A `Source` in the format Parquet."""

    delimiter = ""

    def __init__(self, path: Path) -> None:
        self.path = path
        with _parquet(path), path.open("rb") as file:
            schema = pyarrow.parquet.read_schema(file)
        self.names, self.kinds = _checked(path, schema)

    def blocks(self) -> Iterator[Block]:
        """See `Source`."""
        with _parquet(self.path), self.path.open("rb") as opened, pyarrow.parquet.ParquetFile(opened) as file:
            for batch in file.iter_batches(_ROWS):
                batch.validate(full=True)  # text that is not UTF-8
                yield _cells(batch)

    def place(self, row: int) -> str:
        """See `Source`."""
        return f"row {row + 1}"

    def state(self) -> object:
        """See `Source`."""
        return _state_of(self.path)


class ArrowSource:
    """A `Source` in memory."""

    delimiter = ""

    def __init__(self, frame: Frame) -> None:
        self.path = source_name(frame)
        self._table = arrow_table(frame)
        self.names, self.kinds = _checked(self.path, self._table.schema)

    def blocks(self) -> Iterator[Block]:
        """See `Source`."""
        return (_cells(batch) for batch in self._table.to_batches(_ROWS))

    def place(self, row: int) -> str:
        """See `Source`."""
        return f"row {row}"

    def state(self) -> object:
        """See `Source`: Arrow's tables do not change."""
        return None


def _checked(path: Path | str, schema: Any) -> tuple[tuple[str, ...], Mapping[str, str]]:
    """The names of the columns, and the kinds that their types tell: numbers that were made categories are no amounts.

    Raises:
        DataError: names that are missing or come twice, or a type that is not read.
    """
    names = tuple(schema.names)
    delimited.check_names(path, names)
    for column in schema:
        if not _is_readable(column.type):
            raise DataError(
                f"{path}, column '{column.name}' has the type {column.type}",
                "a column holds numbers, booleans, dates or strings",
                "Convert or drop it.",
            )
    kinds = {
        column.name: "categorical"
        for column in schema
        if pa.types.is_dictionary(column.type) and _is_number(column.type.value_type)
    }
    return names, kinds


def _cells(batch: Any) -> Block:
    """The columns of a record batch, as numbers or words."""
    return [_without_nan(cells) if _is_number(cells.type) else _as_words(cells) for cells in batch.columns]


def _parquet(path: Path) -> AbstractContextManager[None]:
    return parsing(path, "a whole Parquet file was expected", "Write it again.")


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
    if pa.types.is_dictionary(cells.type):
        return pc.take(pc.cast(cells.dictionary, pa.string()), cells.indices)
    return pc.cast(cells, pa.string())
