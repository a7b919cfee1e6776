"""What must hold of a delimited text file before its cells are read, and where it does not.

The checks run on raw bytes and on records of the standard csv module, so that a message can name the line.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from chainrule.data.files import open_bytes
from chainrule.errors import ArgumentError, DataError, explain

DELIMITERS = (",", ";", "\t", "|")
_SNIFFED_RECORDS = 50
_MAX_CELL = 1 << 27
_SIGNATURES = {b"PK\x03\x04": "an Excel workbook or a zip archive", b"\x89PNG": "a picture", b"%PDF": "a PDF document"}


@dataclass(frozen=True)
class Layout:
    """How a delimited file is laid out: its delimiter and its column names, without surrounding blanks."""

    path: Path
    delimiter: str
    names: tuple[str, ...]


def inspect(path: Path, delimiter: str | None) -> Layout:
    """Check the bytes, header and quotes of a delimited file; DataError names the first line at fault."""
    if delimiter is not None and (len(delimiter) != 1 or delimiter in '"\r\n'):
        raise ArgumentError(explain(f"the delimiter is {delimiter!r}", "it must be one character", "Pass ',' or '\\t'."))
    suspicious = _check_bytes(path)
    delimiter = delimiter or _sniff(path)
    layout = Layout(path, delimiter, _header(path, delimiter))
    if suspicious:
        check_records(layout)
    return layout


def line_of_row(layout: Layout, row: int) -> int:
    """The line of the file on which data row `row`, counted from 0, starts."""
    with _records(layout.path, layout.delimiter) as records:
        return next(islice(records, row + 1, None))[0]


def check_records(layout: Layout) -> None:
    """Read every record strictly; DataError for a ragged row, an unclosed quote, or text after a closing quote."""
    line = 0
    with _records(layout.path, layout.delimiter) as records:
        try:
            for line, record in records:
                if len(record) != len(layout.names):
                    raise _ragged(layout, line, record)
        except csv.Error as error:
            raise DataError(
                explain(
                    f'{layout.path}, in a record after line {line}: a quote (") is not closed properly ({error})',
                    "a quoted cell ends with a quote before the next delimiter, and quotes inside it are doubled",
                    "Close or remove the quote.",
                )
            ) from error


def _ragged(layout: Layout, line: int, record: list[str]) -> DataError:
    return DataError(
        explain(
            f"{layout.path}, line {line}: {len(record)} fields {_shorten(record)}",
            f"the header has {len(layout.names)}",
            f"Correct the line; a cell that contains {layout.delimiter!r} must be in double quotes.",
        )
    )


def _shorten(record: list[str]) -> str:
    shown = ", ".join(repr(cell[:20]) for cell in record[:3])
    return f"({shown}{', …' if len(record) > 3 else ''})"


def _check_bytes(path: Path) -> bool:
    """Reject bytes that are not UTF-8 text; true when a line has an odd number of quotes, which strict reading must judge."""
    odd_quotes = False
    with open_bytes(path) as stream:
        try:
            for number, line in enumerate(stream, 1):
                if number == 1:
                    _check_signature(path, line)
                if b"\0" in line:
                    raise _not_text(path, f"a zero byte on line {number}")
                _check_utf8(path, number, line)
                odd_quotes |= line.count(b'"') % 2 == 1
        except (EOFError, OSError) as error:
            raise DataError(
                explain(f"{path} cannot be read ({error})", "a whole file was expected", "Copy it again.")
            ) from error
    return odd_quotes


def _check_signature(path: Path, line: bytes) -> None:
    if line[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise DataError(explain(f"{path} is UTF-16 text", "tables are read as UTF-8", "Save it again as UTF-8."))
    for signature, name in _SIGNATURES.items():
        if line.startswith(signature):
            raise _not_text(path, f"it starts like {name}")


def _not_text(path: Path, reason: str) -> DataError:
    return DataError(
        explain(
            f"{path} is not a text file ({reason})", "CSV, TSV or Parquet was expected", "Export the table as CSV in UTF-8."
        )
    )


def _check_utf8(path: Path, number: int, line: bytes) -> None:
    try:
        line.decode()
    except UnicodeDecodeError as error:
        raise DataError(
            explain(
                f"{path}, line {number}, byte {error.start + 1}: 0x{line[error.start]:02x} is not UTF-8",
                "tables are read as UTF-8; this one may be Latin-1 or Windows-1252",
                "Convert it: iconv -f WINDOWS-1252 -t UTF-8 OLD > NEW",
            )
        ) from error


@contextmanager
def _records(path: Path, delimiter: str) -> Iterator[Iterator[tuple[int, list[str]]]]:
    """(line, cells) of every record that is not blank, the header included."""
    csv.field_size_limit(_MAX_CELL)
    with open_bytes(path) as raw, io.TextIOWrapper(raw, encoding="utf-8-sig", newline="") as text:
        yield _numbered(csv.reader(text, delimiter=delimiter, strict=True))


def _numbered(reader: Iterator[list[str]]) -> Iterator[tuple[int, list[str]]]:
    start = 1
    for record in reader:
        if record:
            yield start, record
        start = reader.line_num + 1  # type: ignore[attr-defined]


def _sniff(path: Path) -> str:
    """The delimiter that gives the most records as many fields as the header, then the most fields; comma if none does."""
    return max(DELIMITERS, key=lambda delimiter: _fit(path, delimiter))


def _fit(path: Path, delimiter: str) -> tuple[float, int]:
    widths: list[int] = []
    with _records(path, delimiter) as records:
        try:
            widths.extend(len(record) for _, record in islice(records, _SNIFFED_RECORDS))
        except csv.Error:
            if not widths:
                return (0.0, 0)
    if not widths or widths[0] == 1:
        return (0.0, 0)
    return (widths.count(widths[0]) / len(widths), widths[0])


def _header(path: Path, delimiter: str) -> tuple[str, ...]:
    with _records(path, delimiter) as records:
        try:
            _, cells = next(records, (1, []))
        except csv.Error as error:
            raise DataError(
                explain(f"{path}, line 1: the header cannot be read ({error})", "names were expected", "Correct its quotes.")
            ) from error
    names = tuple(cell.strip() for cell in cells)
    check_names(path, names)
    if all(_is_number(name) for name in names) and names not in _countings(len(names)):
        raise DataError(
            explain(
                f"{path}, line 1: every name is a number ({', '.join(names[:5])}), so the header seems to be missing",
                "the first line names the columns",
                "Add a first line with names.",
            )
        )
    return names


def check_names(path: Path, names: tuple[str, ...]) -> None:
    """DataError when there are no columns, or one has no name, or two have the same."""
    if not names:
        raise DataError(explain(f"{path} has no columns", "a table was expected", "Write the file again."))
    for position, name in enumerate(names, 1):
        if not name:
            raise DataError(
                explain(
                    f"{path}: column {position} of {len(names)} has no name",
                    "every column needs one",
                    "Name it in the first line (an index written by pandas is left out with index=False).",
                )
            )
        first = names.index(name) + 1
        if first < position:
            raise DataError(
                explain(
                    f"{path}: columns {first} and {position} are both called '{name}'",
                    "names must differ",
                    "Rename one of them.",
                )
            )


def _countings(n: int) -> tuple[tuple[str, ...], ...]:
    return tuple(map(str, range(n))), tuple(map(str, range(1, n + 1)))


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
