"""Checks of a delimited text file before its cells are read: encoding, header, quotes, length of rows.

The checks run on lines of text and on records of the standard csv module, so that a message can name the line.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path

import numpy as np

from chainrule.data import encodings
from chainrule.data.files import open_bytes
from chainrule.errors import ArgumentError, DataError

DELIMITERS = (",", ";", "\t", "|")
_SNIFFED_RECORDS = 50
_CHUNK = 1 << 20
_NEWLINE, _QUOTE = b'\n"'
_SHIFTED = b"\x1b$"  # what switches ISO-2022-JP to Japanese characters, in bytes of ASCII
_LOOKED_AT = 100_000  # lines, for the encoding
_MAX_CELL = 1 << 27
UTF8 = "utf-8-sig"
_MOST_BYTES = 4  # of a character in UTF-8; a quote that is doubled counts as two characters
END_OF_FILE = "\x1a"  # of CP/M and DOS, which some programs still write
_EXCEL_DELIMITER = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)  # the first line by which Excel is told the delimiter
_MARKUP = re.compile(rb"\s*(?:(<(?:!doctype|html|\?xml|table))|(\{\s*[\"}]|\[\s*[{\[]))", re.IGNORECASE)
_SIGNATURES = {b"PK\x03\x04": "an Excel workbook or a zip archive", b"\x89PNG": "a picture", b"%PDF": "a PDF document"}


@dataclass(frozen=True)
class Layout:
    """How a delimited file is laid out.

    Attributes:
        path: the file.
        encoding: of its text; a byte order mark is not part of it.
        delimiter: between cells.
        names: of the columns, without surrounding blanks.
        longest: bytes in UTF-8 that the longest record takes, at most.
        skipped: lines before the header.
    """

    path: Path
    encoding: str
    delimiter: str
    names: tuple[str, ...]
    longest: int
    skipped: int

    @property
    def blank_rows(self) -> bool:
        """Whether a blank line is a row: in a table of one column it is an empty cell."""
        return len(self.names) == 1


def inspect(path: Path, delimiter: str | None = None, encoding: str | None = None) -> Layout:
    """Check the text, header and quotes of a delimited file; DataError names the first line at fault.

    Args:
        path: the file.
        delimiter: between cells; None finds it.
        encoding: of the text; None takes what the first bytes tell, and UTF-8 where they tell nothing.
    """
    if delimiter is not None and (len(delimiter) != 1 or delimiter in '"\r\n'):
        raise ArgumentError(f"the delimiter is {delimiter!r}", "it must be one character", "Pass ',' or '\\t'.")
    encoding = _encoding(path, encoding)
    odd_quotes, longest = _check_lines(path, encoding)
    delimiter = delimiter or _said_delimiter(path, encoding) or _sniff(path, encoding)
    line, names = _header(path, delimiter, encoding)
    layout = Layout(path, encoding, delimiter, names, longest, line - 1)
    return replace(layout, longest=check_records(layout)) if odd_quotes else layout


def line_of_row(layout: Layout, row: int) -> int:
    """The line of the file on which data row `row`, counted from 0, starts."""
    with _records(layout.path, layout.delimiter, layout.encoding, strict=False, blank_rows=layout.blank_rows) as records:
        return next(islice(records, row + 1, None), (0, []))[0]


def check_records(layout: Layout) -> int:
    """Read every record strictly, and say how many bytes the longest one takes, at most.

    Raises:
        DataError: a ragged row, an unclosed quote, or text after a closing quote.
    """
    line = longest = 0
    with _records(layout.path, layout.delimiter, layout.encoding) as records:
        try:
            for line, record in records:
                if len(record) != len(layout.names):
                    raise _ragged(layout, line, record)
                longest = max(longest, _MOST_BYTES * sum(map(len, record)) + 3 * len(record))
        except csv.Error as error:
            raise DataError(
                f'{layout.path}, in a record after line {line}: a quote (") is not closed properly ({error})',
                "a quoted cell ends with a quote before the next delimiter, and quotes inside it are doubled",
                "Close or remove the quote.",
            ) from error
    return longest


def _ragged(layout: Layout, line: int, record: list[str]) -> DataError:
    return DataError(
        f"{layout.path}, line {line}: {len(record)} fields {_shorten(record)}",
        f"the header has {len(layout.names)}",
        f"Correct the line; a cell that contains {layout.delimiter!r} must be in double quotes.",
    )


def _shorten(record: list[str]) -> str:
    shown = ", ".join(repr(cell[:20]) for cell in record[:3])
    return f"({shown}{', …' if len(record) > 3 else ''})"


def _encoding(path: Path, said: str | None) -> str:
    """The encoding to read with: a byte order mark comes before what was said, and that before UTF-8."""
    with open_bytes(path) as stream, _whole_file(path):
        start = stream.read(4096)
    for signature, name in _SIGNATURES.items():
        if start.startswith(signature):
            raise _not_text(path, f"it starts like {name}")
    if markup := _MARKUP.match(start.removeprefix(codecs.BOM_UTF8)):
        raise DataError(
            f"{path} holds {'HTML or XML' if markup[1] else 'JSON'}, not a table",
            "CSV, TSV or Parquet was expected",
            "Export the table as CSV in UTF-8.",
        )
    found = encodings.marked(start) or (encodings.checked(said) if said else encodings.unmarked_utf16(start))
    return UTF8 if found in (None, "utf-8") else found


@contextmanager
def _whole_file(path: Path) -> Iterator[None]:
    try:
        yield
    except (EOFError, OSError, zlib.error) as error:
        raise DataError(f"{path} cannot be read ({error})", "a whole file was expected", "Copy it again.") from error


def _check_lines(path: Path, encoding: str) -> tuple[bool, int]:
    """Check that the file is text. Whether a line has an odd number of quotes, which strict reading must judge, and how many
    bytes the longest line takes in UTF-8, at most.
    """
    if encoding != UTF8:
        return _check_text(path, encoding)
    odd_quotes, longest = False, 0
    decoder = codecs.getincrementaldecoder("utf-8")()
    length = quotes = 0  # of the line that the chunk before ended in
    with open_bytes(path) as stream, _whole_file(path):
        while chunk := stream.read(_CHUNK):
            try:
                decoder.decode(chunk)
            except UnicodeDecodeError:
                raise _first_fault(path) from None
            if b"\0" in chunk:
                raise _first_fault(path)
            if _SHIFTED in chunk:
                raise _shifted(path)
            characters = np.frombuffer(chunk, np.uint8)
            ends = np.flatnonzero(characters == _NEWLINE)
            before = np.searchsorted(np.flatnonzero(characters == _QUOTE), np.append(ends, len(chunk)))
            counts = np.diff(before, prepend=-quotes)
            lengths = np.diff(np.append(ends, len(chunk)), prepend=-length)
            odd_quotes = odd_quotes or bool(np.any(counts[:-1] % 2))
            longest = max(longest, int(lengths.max()))
            quotes, length = int(counts[-1]), int(lengths[-1])
        try:
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            raise _first_fault(path) from None
    return odd_quotes or quotes % 2 == 1, longest


def _first_fault(path: Path) -> DataError:
    """The error for the first line that holds a zero byte or is not UTF-8; there must be one."""
    with open_bytes(path) as stream:
        for number, line in enumerate(stream, 1):
            if b"\0" in line:
                return _not_text(path, f"a zero byte on line {number}")
            try:
                line.decode()
            except UnicodeDecodeError as error:
                place = f"{path}, line {number}, byte {error.start + 1}: 0x{line[error.start]:02x} is not UTF-8"
                return _other_encoding(path, place)
    return DataError(f"{path} is not UTF-8", "tables are read as UTF-8", "Copy it again.")


def _shifted(path: Path) -> DataError:
    with open_bytes(path) as stream:
        line = next((line for line in stream if _SHIFTED in line), _SHIFTED)
    return DataError(
        f"{path} holds the bytes ESC $, which begin Japanese text in ISO-2022-JP",
        f"tables are read as UTF-8; as ISO-2022-JP it reads {line.decode('iso2022_jp', 'replace').strip()[:20]!r}",
        "Name the encoding with --encoding iso2022_jp (in Python encoding=…).",
    )


def _check_text(path: Path, encoding: str) -> tuple[bool, int]:
    odd_quotes, longest, number = False, 0, 0
    with open_bytes(path) as raw, io.TextIOWrapper(raw, encoding=encoding) as text, _whole_file(path):
        try:
            for number, line in enumerate(text, 1):
                if "\0" in line:
                    raise _not_text(path, f"a zero character on line {number}")
                odd_quotes |= line.count('"') % 2 == 1
                longest = max(longest, _MOST_BYTES * len(line))
        except UnicodeError as error:
            raise DataError(
                f"{path}, after line {number}: there are bytes that are not {encoding} ({error})",
                f"the file is read as {encoding}",
                "Name another encoding with --encoding (in Python encoding=…).",
            ) from error
    return odd_quotes, longest


def _not_text(path: Path, reason: str) -> DataError:
    return DataError(
        f"{path} is not a text file ({reason})", "CSV, TSV or Parquet was expected", "Export the table as CSV in UTF-8."
    )


def _other_encoding(path: Path, place: str) -> DataError:
    """The error for text that is not UTF-8: how it would read in the encodings in which it makes sense."""
    with open_bytes(path) as stream:
        lines = [line for line in islice(stream, _LOOKED_AT) if not line.isascii()]
    likely = encodings.plausible(lines)
    if not likely:
        return DataError(
            place, "tables are read as UTF-8", "Name the encoding of the file with --encoding (in Python encoding=…)."
        )
    read = [
        f"as {encodings.CALLED.get(name, name)} it reads {lines[0].decode(name, 'replace').strip()[:20]!r} (--encoding {name})"
        for name in likely
    ]
    return DataError(
        place, f"tables are read as UTF-8; {', '.join(read)}", "Name the encoding that reads right (in Python encoding=…)."
    )


@contextmanager
def _records(
    path: Path, delimiter: str, encoding: str, *, strict: bool = True, blank_rows: bool = False
) -> Iterator[Iterator[tuple[int, list[str]]]]:
    """(line, cells) of the header and of every record after it that is not blank, or of all with `blank_rows`."""
    csv.field_size_limit(_MAX_CELL)
    with open_bytes(path) as raw, io.TextIOWrapper(raw, encoding=encoding, newline="") as text:
        first = text.readline()
        skipped = int(_EXCEL_DELIMITER.fullmatch(first) is not None)
        lines = text if skipped else chain([first], text)
        yield _numbered(csv.reader(lines, delimiter=delimiter, strict=strict), skipped, blank_rows)


def _numbered(reader: Iterator[list[str]], skipped: int, blank_rows: bool) -> Iterator[tuple[int, list[str]]]:
    start, has_header = skipped + 1, False
    for record in reader:
        if (record or (blank_rows and has_header)) and record != [END_OF_FILE]:
            yield start, record
            has_header = True
        start = skipped + reader.line_num + 1  # type: ignore[attr-defined]


def _said_delimiter(path: Path, encoding: str) -> str | None:
    """The delimiter that a first line such as sep=; says; None where there is no such line."""
    with open_bytes(path) as raw, io.TextIOWrapper(raw, encoding=encoding, newline="") as text:
        said = _EXCEL_DELIMITER.fullmatch(text.readline())
    return said[1] if said else None


def _sniff(path: Path, encoding: str) -> str:
    """The delimiter that gives the most records as many fields as the header, then the most fields; comma if none does."""
    return max(DELIMITERS, key=lambda delimiter: _fit(path, delimiter, encoding))


def _fit(path: Path, delimiter: str, encoding: str) -> tuple[float, int]:
    widths: list[int] = []
    with _records(path, delimiter, encoding) as records:
        try:
            widths.extend(len(record) for _, record in islice(records, _SNIFFED_RECORDS))
        except csv.Error:
            if not widths:
                return (0.0, 0)
    if not widths or widths[0] == 1:
        return (0.0, 0)
    return (widths.count(widths[0]) / len(widths), widths[0])


def _header(path: Path, delimiter: str, encoding: str) -> tuple[int, tuple[str, ...]]:
    """The line of the header, and its names."""
    with _records(path, delimiter, encoding) as records:
        try:
            line, cells = next(records, (1, []))
        except csv.Error as error:
            raise DataError(
                f"{path}, line 1: the header cannot be read ({error})", "names were expected", "Correct its quotes."
            ) from error
    names = tuple(cell.strip() for cell in cells)
    check_names(path, names)
    if all(is_number(name) for name in names) and names not in _countings(len(names)):
        raise DataError(
            f"{path}, line 1: every name is a number ({', '.join(names[:5])}), so the header seems to be missing",
            "the first line names the columns",
            "Add a first line with names.",
        )
    return line, names


def check_names(path: Path | str, names: tuple[str, ...]) -> None:
    """DataError when there are no columns, or one has no name, or two have the same."""
    if not names:
        raise DataError(f"{path} has no columns", "a table was expected", "Write the file again.")
    first: dict[str, int] = {}
    for position, name in enumerate(names, 1):
        if not name:
            index = " (an index written by pandas is left out with index=False)" if position == 1 else ""
            raise DataError(
                f"{path}: column {position} of {len(names)} has no name",
                "every column needs one",
                f"Name it in the first line{index}.",
            )
        if first.setdefault(name, position) < position:
            raise DataError(
                f"{path}: columns {first[name]} and {position} are both called '{name}'",
                "names must differ",
                "Rename one of them.",
            )


def _countings(n: int) -> tuple[tuple[str, ...], ...]:
    return tuple(map(str, range(n))), tuple(map(str, range(1, n + 1)))


def is_number(word: str) -> bool:
    """Whether Python reads the word as a number."""
    try:
        float(word)
    except ValueError:
        return False
    return True
