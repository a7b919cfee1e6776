"""Finding and opening data files, and suggesting the right spelling of a wrong name."""

from __future__ import annotations

import difflib
import gzip
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, cast

from chainrule.errors import DataError


def did_you_mean(word: str, known: Iterable[str], otherwise: str = "") -> str:
    """An instruction that names the known word nearest to `word`; where none is near `otherwise`, or the first few of them."""
    known = list(known)
    lower = {name.lower(): name for name in reversed(known)}
    near = difflib.get_close_matches(word.lower(), lower, n=1)
    if near:
        return f"Did you mean '{lower[near[0]]}'?"
    if otherwise:
        return otherwise
    shown = ", ".join(f"'{name}'" for name in known[:20])
    return f"Choose one of: {shown}{', …' if len(known) > 20 else ''}."


def existing_file(path: str | Path) -> Path:
    """`path` as a Path; DataError unless it is a readable file that holds at least one byte."""
    path = Path(path)
    if path.is_dir():
        raise DataError(f"{path} is a folder", "a file was expected", "Name one file inside it.")
    if path.exists() and not path.is_file():
        raise DataError(
            f"{path} is a pipe or a device",
            "a regular file was expected, as data is read more than once",
            "Write the data into a file, and name that.",
        )
    if not path.is_file():
        siblings = sorted(entry.name for entry in path.parent.iterdir()) if path.parent.is_dir() else []
        fix = did_you_mean(path.name, siblings) if siblings else "Check the spelling of the path."
        raise DataError(f"{path} does not exist", "a file was expected", fix)
    if path.stat().st_size == 0:
        raise DataError(f"{path} is empty (0 bytes)", "a file with data was expected", "Write the file again.")
    try:
        path.open("rb").close()
    except OSError as error:
        raise DataError(
            f"{path} cannot be opened ({error.strerror})", "a readable file was expected", "Check its permissions."
        ) from error
    return path


def is_gzip(path: Path) -> bool:
    """Whether the file starts with the two bytes that mark gzip."""
    with path.open("rb") as stream:
        return stream.read(2) == b"\x1f\x8b"


def open_bytes(path: Path) -> BinaryIO:
    """The bytes of the file, decompressed when it is gzip."""
    return cast(BinaryIO, gzip.open(path)) if is_gzip(path) else path.open("rb")
