"""One process at a time in a run folder."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from chainrule.errors import OutputError

if sys.platform == "win32":
    import msvcrt

    def _lock(handle: int) -> None:
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


LOCK_FILE = ".lock"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a run folder. The system gives it back when the process ends, however it ends.

    A folder that is not there needs none.

    Raises:
        OutputError: another process, or another part of this one, trains in the folder; or it may not be written to.
    """
    if not folder.is_dir():
        yield
        return
    path = folder / LOCK_FILE
    try:
        handle = _taken(path)
    except OSError as error:
        raise unusable(folder, error) from None
    if handle is None:
        raise OutputError(
            f"another run is training in the folder {folder}",
            "a folder takes one run at a time",
            "Wait until it ends, or choose another folder with --out.",
        )
    try:
        yield
    finally:
        # The file goes first: after that nobody can find it and believe to have locked the folder.
        with suppress(OSError):
            path.unlink()
        os.close(handle)


def unusable(folder: Path, error: OSError) -> OutputError:
    """The error for a folder that the system does not let us make or write to."""
    return OutputError(
        f"the output folder {folder} cannot be used ({error.strerror})",
        "it must be a folder that you may write to",
        "Choose another one with --out.",
    )


def _taken(path: Path) -> int | None:
    """A handle that holds the lock; None if somebody else does."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        if not _try_lock(handle):
            os.close(handle)
            return None
        with suppress(FileNotFoundError):
            if os.path.samestat(path.stat(), os.fstat(handle)):
                return handle
        os.close(handle)  # its owner took the file away between our two steps


def _try_lock(handle: int) -> bool:
    try:
        _lock(handle)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:
        return True  # a file system without locks: there is no telling
    return True
