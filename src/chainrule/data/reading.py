"""Reading tables with pyarrow, in two passes over blocks of rows.

The first pass surveys every column (`surveying`), and `deciding` finds the rule by which it is read. The second pass converts
cells by that rule. No pass holds more than one block of text, so memory is that of the converted columns.

Only `tables.read_table` imports this module, when it is called: pyarrow is optional.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast, overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from chainrule.data.blocks import Array, Source, opened
from chainrule.data.columns import LARGEST_EXACT, Column, Words, boolean_column, number_column, with_kind, word_column
from chainrule.data.deciding import Rule, decide
from chainrule.data.gaps import EVERYWHERE
from chainrule.data.parsing import (
    BOOLEANS,
    PARSERS,
    PLAIN,
    as_plain_numbers,
    beside_numbers,
    parse_present,
    trimmed,
)
from chainrule.data.surveying import Survey
from chainrule.errors import DataError
from chainrule.frames import Frame

_TWO_CAPITALS = re.compile(r"[A-Z]{2}")


@dataclass(frozen=True)
class How:
    """How a table is to be read; see `tables.read_table`."""

    kinds: Mapping[str, str]
    missing: Sequence[str] | Mapping[str, Sequence[str]]
    verbatim: Collection[str]

    def missing_in(self, name: str) -> tuple[str, ...]:
        """The words that were said to stand for gaps in a column."""
        words = self.missing.get(name, ()) if isinstance(self.missing, Mapping) else self.missing
        return tuple(dict.fromkeys(word.strip() for word in words))


def read_columns(place: Path | Frame, delimiter: str | None, encoding: str | None, how: How) -> dict[str, Column]:
    """The columns of a table by name, each with its kind; see `tables.read_table`."""
    source = opened(place, delimiter, encoding)
    before = source.state()
    how = replace(how, kinds={**source.kinds, **how.kinds})
    surveys = [Survey(name, how.kinds.get(name), how.missing_in(name)) for name in source.names]
    n_rows = _survey(source, surveys)
    if n_rows == 0:
        raise DataError(f"{source.path} has a header and no rows", "at least one row is needed", "Add rows.")
    stores = [_store(rule, n_rows) for rule in decide(surveys, source)]
    written = {name: _Written() for name in source.names if name in how.verbatim}
    first_row = 0
    for block in source.blocks():
        if first_row + len(block[0]) > n_rows:
            raise _changed(source.path)
        for store, cells in zip(stores, block, strict=True):
            store.put(first_row, cells, source)
            if store.rule.name in written:
                written[store.rule.name].put(cells)
        first_row += len(block[0])
    if first_row < n_rows or source.state() != before:
        raise _changed(source.path)
    columns = {store.rule.name: store.column(how.kinds.get(store.rule.name)) for store in stores}
    return columns | {name: replace(columns[name], written=store.words()) for name, store in written.items()}


def _survey(source: Source, surveys: list[Survey]) -> int:
    """Show every block to every survey; the number of rows."""
    n_rows = 0
    for block in source.blocks():
        for survey, cells in zip(surveys, block, strict=True):
            survey.observe(n_rows, cells)
        n_rows += len(block[0])
    return n_rows


def _changed(path: Path | str) -> DataError:
    return DataError(
        f"{path} changed while it was read", "the file must not change while it is read", "Read it again when it is complete."
    )


# Second pass


class _Numbers:
    """float64 values of a column of numbers, dates or two words, filled block by block."""

    def __init__(self, rule: Rule, parser: str, n_rows: int) -> None:
        self.rule = rule
        self._parser = parser
        self._values = np.empty(n_rows)
        self._first: str | None = None  # see `Column.first`

    def put(self, first_row: int, cells: Array, source: Source) -> None:
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
                f"{place}, column '{self.rule.name}': the number is infinite ({cells[int(infinite[0])]})",
                "numbers must be finite",
                "Correct the cell, or empty it to make it missing.",
            )
        self._values[first_row : first_row + len(numbers)] = numbers
        if self._first is None and len(present := np.flatnonzero(~np.isnan(numbers))):
            self._first = str(cells[int(present[0])]) if abs(numbers[present[0]]) >= LARGEST_EXACT else ""

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
            number_format=self._parser.partition(":")[2] if self._parser.startswith("numeric:") else "",
            unit=rule.unit,
            gaps=rule.gaps,
            first=self._first or "",
            note="; ".join(filter(None, [rule.note, column.note])),
        )
        return with_kind(found, kind) if kind else found


class _Words:
    """int32 positions in the distinct words of a column, filled block by block."""

    def __init__(self, rule: Rule, n_rows: int) -> None:
        self.rule = rule
        self._codes = np.empty(n_rows, np.int32)
        self._known: dict[str, int] = {}

    def put(self, first_row: int, cells: Array, source: Source) -> None:
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
