"""Executables kept on disk, so that the second run of a program starts at once.

A file is named after all that the executable depends on (see `digest`), and holds a checksum of its name and contents. A broken
file is ignored and written anew; files are put in place whole, so that any number of processes may read and write at the same
time.

The folder is `CHAINRULE_CACHE`, or else chainrule/native in the user's cache folder; `CHAINRULE_CACHE=off` keeps nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import tempfile
from pathlib import Path

from chainrule.backends.native.executable import Executable

_MAGIC = b"chainrule executable 1\n"
_DIGEST_BYTES = 32
_MOST_FILES = 500


def folder() -> Path | None:
    """Where code is kept; None for nowhere."""
    chosen = os.environ.get("CHAINRULE_CACHE", "")
    if chosen == "off":
        return None
    if chosen:
        return Path(chosen)
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    return base / "chainrule" / "native"


def load(name: str | None) -> Executable | None:
    """The executable of that name, if it is there and whole; None for a graph without a name."""
    place = folder()
    if place is None or name is None:
        return None
    try:
        data = (place / name).read_bytes()
    except OSError:
        return None
    start = len(_MAGIC) + _DIGEST_BYTES
    contents = data[start:]
    return Executable.from_bytes(contents) if data[:start] == _head(name, contents) else None


def save(name: str | None, executable: Executable) -> None:
    """Keep an executable under a name, if it has one.

    Where that is not possible (a full disk, no permission) nothing happens.
    """
    place = folder()
    if place is None or name is None:
        return
    contents = executable.to_bytes()
    with contextlib.suppress(OSError):
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, temporary = tempfile.mkstemp(dir=place, prefix=".new-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(_head(name, contents) + contents)
            Path(temporary).replace(place / name)
        except OSError:
            Path(temporary).unlink(missing_ok=True)
        _drop_oldest(place)


def _head(name: str, contents: bytes) -> bytes:
    """How the file of that name and with these contents begins."""
    return _MAGIC + hashlib.sha256(name.encode() + contents).digest()


def _drop_oldest(place: Path) -> None:
    files = [p for p in place.iterdir() if p.is_file()]
    if len(files) > _MOST_FILES:
        for path in sorted(files, key=lambda p: p.stat().st_mtime)[: len(files) - _MOST_FILES]:
            path.unlink(missing_ok=True)
