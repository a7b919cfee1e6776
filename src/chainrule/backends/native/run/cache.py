"""Machine code kept on disk, so that the second run of a program starts at once.

A file is named after all that the code depends on (see `digest`), and holds a checksum of its name and contents. A broken
file is ignored and written again; files are put in place whole, so that any number of processes may read and write at the same
time.

The folder is `CHAINRULE_CACHE`, or else chainrule/native in the user's cache folder; `CHAINRULE_CACHE=off` keeps nothing. What
is in it is run as machine code. So folders and files count only if they belong to the user and nobody else may write to them.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import stat
import sys
import tempfile
import time
import warnings
from pathlib import Path

_MAGIC = b"chainrule executable 1\n"
_DIGEST_BYTES = 32
_SUFFIX = ".chainrule"
_MOST_FILES = 2000
_UNFINISHED = ".new-"  # files that are being written begin so
_ABANDONED_AFTER = 3600.0  # seconds


def folder() -> Path | None:
    """Where code is kept; None for nowhere.

    With `CHAINRULE_CACHE` unset or empty that is below the user's cache folder: `XDG_CACHE_HOME` if it is an absolute path, as
    the XDG specification says, and else .cache at home; for a user without a home it is nowhere.
    """
    chosen = os.environ.get("CHAINRULE_CACHE", "")
    if chosen == "off":
        return None
    try:
        directory = Path(chosen).expanduser() if chosen else _base() / "chainrule" / "native"
    except RuntimeError:  # there is no home
        directory = Path(chosen)
    if directory.is_absolute():
        return directory
    if chosen:
        _warn(f"CHAINRULE_CACHE is {chosen!r}, which is not an absolute path, so compiled code is not kept.")
    return None


def _base() -> Path:
    """The user's cache folder."""
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    given = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return given if given.is_absolute() else Path.home() / ".cache"


def load(name: str | None) -> bytes | None:
    """What was kept under that name, if it is there, whole and the user's own; None for what has no name."""
    directory = folder()
    if directory is None or name is None:
        return None
    path = directory / (name + _SUFFIX)
    try:
        if not _is_own(directory, directory.stat()):
            return None
        # Of what is found here a link is not followed, and a pipe not waited for.
        handle = os.open(
            path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        )
        with os.fdopen(handle, "rb") as file:
            found = os.fstat(handle)
            if not stat.S_ISREG(found.st_mode) or not _is_own(path, found):
                return None
            data = file.read()
    except OSError:
        return None
    start = len(_MAGIC) + _DIGEST_BYTES
    contents = data[start:]
    return contents if data[:start] == _head(name, contents) else None


def save(name: str | None, contents: bytes) -> None:
    """Keep code under a name, if it has one.

    Where that is not possible (a full disk, no permission) nothing happens.
    """
    directory = folder()
    if directory is None or name is None:
        return
    with contextlib.suppress(OSError):
        _make(directory)
        if not _is_own(directory, directory.stat()):
            return
        handle, temporary = tempfile.mkstemp(dir=directory, prefix=_UNFINISHED, suffix=_SUFFIX)
        try:
            with os.fdopen(handle, "wb") as file:
                Path(temporary).chmod(0o600)  # whatever the umask
                file.write(_head(name, contents) + contents)
            Path(temporary).replace(directory / (name + _SUFFIX))
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        _tidy(directory)


def _head(name: str, contents: bytes) -> bytes:
    """How the file of that name and with these contents begins."""
    return _MAGIC + hashlib.sha256(name.encode() + contents).digest()


def _make(directory: Path) -> None:
    """Make a folder, and those that it lies in, for the user alone, whatever the umask."""
    if not directory.exists():
        _make(directory.parent)
        directory.mkdir(mode=0o700, exist_ok=True)
        directory.chmod(0o700)


def _is_own(path: Path, found: os.stat_result) -> bool:
    """Whether something belongs to the user, and nobody else may write to it. If not, one warning says so."""
    if os.name != "posix":
        return True
    if found.st_uid != os.geteuid():
        why = "belongs to another user"
    elif found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        why = "may be written by other users"
    else:
        return True
    _warn(
        f"{path} {why}, so the compiled code in it is not used. "
        "Make it your own (chown, chmod go-w), or set CHAINRULE_CACHE to another folder, or to 'off'."
    )
    return False


_warned: set[str] = set()


def _warn(text: str) -> None:
    if text not in _warned:
        _warned.add(text)
        warnings.warn(text, stacklevel=2)


def _tidy(directory: Path) -> None:
    """Delete the oldest files if there are too many, and what processes that were killed left; only what this module wrote."""
    names = [name for name in os.listdir(directory) if name.endswith(_SUFFIX)]  # noqa: PTH208 -- names are all that is needed
    kept = [directory / name for name in names if re.fullmatch(r"[0-9a-f]{64}", name.removesuffix(_SUFFIX))]
    if len(kept) > _MOST_FILES:
        kept.sort(key=_modified)
        for path in kept[: len(kept) - _MOST_FILES]:
            path.unlink(missing_ok=True)
    for name in names:
        if name.startswith(_UNFINISHED) and _modified(directory / name) < time.time() - _ABANDONED_AFTER:
            (directory / name).unlink(missing_ok=True)


def _modified(path: Path) -> float:
    """When a file was written; long ago if another process deleted it meanwhile."""
    try:
        return path.lstat().st_mtime
    except OSError:
        return 0.0
