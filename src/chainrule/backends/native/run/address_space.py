"""Whether there is address space left. LLVM ends the process where it gets no memory, so we look before we call it."""

from __future__ import annotations

import mmap
import os


class OutOfAddressSpace(Exception):
    """The process may not have the address space that something needs."""


def require(size: int) -> None:
    """Make sure that so many bytes of address space can be had (`ulimit -v` may leave less).

    Raises:
        OutOfAddressSpace: they can not.
    """
    if os.name != "posix":
        return
    try:
        mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=mmap.PROT_READ).close()
    except (OSError, MemoryError):
        raise OutOfAddressSpace from None
