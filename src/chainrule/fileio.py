"""The one way to read files that may hold anything, and the one way to write files."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from chainrule.errors import ChainruleError, DataError, MissingDependency, OutputError

_MOST_REASON = 200  # characters of what a parser says
_MOST_DEFLATED = 1032  # times: deflate cannot make data smaller than that
_LARGE = 2**28  # bytes from which on compressed data is looked at with suspicion
_MOST_PACKED = 100  # times that pictures and tables become smaller


@contextmanager
def parsing(source: object, expected: str, fix: str, error: type[ChainruleError] = DataError) -> Iterator[None]:
    """Turn whatever a parser raises within into one message.

    Parsers of other people's files raise what they like: besides errors of their own also IndexError, struct.error,
    RecursionError and more. Own checks of what was read come after the block, as everything raised in it is wrapped.

    Args:
        source: what is read, as a message calls it: a path, "the model in m.safetensors".
        expected: what it should have been.
        fix: what the reader of the message can do.
        error: its class.

    Raises:
        ChainruleError: of the class `error`, for every exception but MissingDependency.
    """
    try:
        yield
    except MissingDependency:
        raise
    except Exception as problem:
        raise error(f"{source} could not be read ({_reason(problem)})", expected, fix) from problem


def _reason(problem: Exception) -> str:
    if isinstance(problem, KeyError):
        return f"it lacks {problem}"
    if isinstance(problem, ChainruleError):
        return str(problem)
    said = problem.strerror if isinstance(problem, OSError) and problem.strerror else str(problem)
    line = " ".join(said.split()) or type(problem).__name__
    return line if len(line) <= _MOST_REASON else f"{line[:_MOST_REASON]}…"


def check_expansion(source: object, packed: int, unpacked: int) -> None:
    """Refuse compressed data whose header promises more than it can hold, or far more than data of any use does.

    Args:
        source: what the message calls it.
        packed, unpacked: bytes before and after decompression.

    Raises:
        DataError: it is more than 1,032 times as large, the most that deflate can do; or above 256 MB and 100 times.
    """
    if unpacked > _MOST_DEFLATED * (packed + 1) or (unpacked > _LARGE and unpacked > _MOST_PACKED * packed):
        raise DataError(
            f"{source} promises {unpacked:,} bytes of data in {packed:,} compressed bytes",
            f"data becomes at most {_MOST_PACKED} times smaller",
            "The file is broken, or was made to exhaust the memory; if you trust it, decompress it first.",
        )


# -------------------------------------------------------------------------------------------- writing
def write_file(path: str | Path, content: bytes | bytearray) -> None:
    """Write a file. Where a regular file is or comes to be, this is done in one move: a crash leaves the earlier one whole.

    Links stay links, and devices and pipes what they are: they are written to. A file that is replaced keeps its permissions
    and its owner; one that may not be written to is left alone.

    Raises:
        OutputError: the folder is missing or not writable, or the disk is full; what was at `path` is still there.
    """
    try:
        earlier = _state(path)
        if is_stream(path) or (earlier is not None and (not stat.S_ISREG(earlier.st_mode) or earlier.st_nlink > 1)):
            _write_through(path, content)
        else:
            _replace(path, content, earlier)
    except OSError as error:
        raise unwritable(path, error) from None


def unwritable(path: str | Path, error: OSError) -> OutputError:
    """The error for a file that the system refused to write."""
    if is_stream(path):
        return OutputError(
            f"{path} could not be written ({error.strerror or error})",
            "a device or stream must be open and take what is written",
            "Name a file, or another device.",
        )
    return OutputError(
        f"{path} could not be written ({error.strerror or error})",
        "its folder must exist, be writable and have free space",
        "Choose another place, or free some space; an earlier file of that name is unharmed.",
    )


def remove_leftovers(folder: Path, names: Iterable[str]) -> None:
    """Remove what `write_file` left in a folder when its process was killed. Nobody else may be writing these files."""
    of_these = re.compile(rf"\.({'|'.join(map(re.escape, names))})\.[0-9a-f]{{8}}")
    for path in folder.iterdir():
        if of_these.fullmatch(path.name):
            path.unlink(missing_ok=True)


def _state(path: str | Path) -> os.stat_result | None:
    try:
        return os.stat(path)  # noqa: PTH116 -- for /dev/stdout and the like, which Path.resolve loses
    except FileNotFoundError:
        return None


def is_stream(path: str | Path) -> bool:
    """Whether the path names an open file of a process (/dev/stdout, /dev/fd/3), which is not to be replaced."""
    return Path(os.path.abspath(path)).parts[1:2] in (("dev",), ("proc",))  # noqa: PTH100 -- links are not to be followed


def _write_through(path: str | Path, content: bytes | bytearray) -> None:
    # Standard output by its own handle: what is printed later then comes behind, and not over it.
    handle = _standard_handle(path) if is_stream(path) else None
    with Path(path).open("wb") if handle is None else os.fdopen(os.dup(handle), "wb") as file:
        file.write(content)


def _standard_handle(path: str | Path) -> int | None:
    """The handle of standard output or error, if the path is another name of it."""
    for handle in (1, 2):
        try:
            if os.path.samestat(os.stat(path), os.fstat(handle)):  # noqa: PTH116 -- see _state
                return handle
        except OSError:
            continue  # it is closed
    return None


def _replace(path: str | Path, content: bytes | bytearray, earlier: os.stat_result | None) -> None:
    target = Path(os.path.realpath(path))
    if earlier is not None and not os.access(target, os.W_OK):
        raise PermissionError(None, "Permission denied")
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        # Nobody may read in the meantime what was not for them.
        mode = 0o666 if earlier is None else 0o600
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), mode)
        with os.fdopen(handle, "wb") as file:
            if earlier is not None and not _take_over(target, temporary, earlier):
                temporary.unlink()
                _write_through(target, content)
                return
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def _take_over(target: Path, temporary: Path, earlier: os.stat_result) -> bool:
    """Give the new file owner, group and permissions of the earlier one; false where that is not possible."""
    try:
        if hasattr(os, "chown"):
            os.chown(temporary, earlier.st_uid, earlier.st_gid)
        shutil.copystat(target, temporary)
    except PermissionError:
        return False
    return True
