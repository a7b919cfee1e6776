"""Whether there is memory to compile in. LLVM ends the process where it gets none, so that is found out before it is called."""

from __future__ import annotations

import mmap
import os


class NoRoom(Exception):
    """The process may not have the address space that something needs."""


def need(size: int) -> None:
    """See to it that so many bytes of address space can be had (`ulimit -v` may leave less).

    Raises:
        NoRoom: they can not.
    """
    if os.name != "posix":
        return
    try:
        mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=mmap.PROT_READ).close()
    except (OSError, MemoryError):
        raise NoRoom from None
