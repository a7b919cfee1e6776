"""From an object file to machine code in memory; and the lock around LLVM."""

from __future__ import annotations

import ctypes
import functools
import itertools
import os
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir

from chainrule.backends.native.code import bounds
from chainrule.backends.native.code.abi import ENTRY
from chainrule.backends.native.run import address_space
from chainrule.backends.native.target import host

_lock = threading.RLock()


def lock() -> AbstractContextManager[bool]:
    """The lock that is held while something is planned, compiled, linked or unloaded.

    A fork waits for it. Otherwise the child could find LLVM, or the import of a module, locked by a thread that is not there.
    """
    return _lock


def _before_fork() -> None:
    _lock.acquire()


def _after_fork_in_parent() -> None:
    with suppress(RuntimeError):  # an exception ended the waiting: Python reports it, and forks nevertheless
        _lock.release()


def _after_fork_in_child() -> None:
    global _lock  # noqa: PLW0603
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)

_SIGNATURE = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)


@functools.cache
def _linker() -> Any:
    """What brings object files into memory. It keeps the parts of each together, within reach of a jump (LLVM's JITLink)."""
    return llvm.create_lljit_compiler(host().machine(), use_jit_link=True)


_numbers = itertools.count()
_LINKER_BYTES = 2**24  # address space for linking


class Library:
    """An object file in memory. It lives as long as this object.

    Args:
        code: the object file.
        names: of its functions and variables whose addresses will be wanted.
        symbols: addresses of what it calls, where that is not found in the process by name.

    Raises:
        OutOfAddressSpace: there is too little of it.
    """

    def __init__(self, code: bytes, names: Sequence[str], symbols: Mapping[str, int] | None = None) -> None:
        address_space.require(_LINKER_BYTES + 2 * len(code))
        builder = llvm.JITLibraryBuilder().add_object_img(code).add_current_process()
        for name in names:
            builder.export_symbol(name)
        for name, address in (symbols or {}).items():
            builder.import_symbol(name, address)
        with lock():
            self._loaded = builder.link(_linker(), f"program {next(_numbers)}")

    def __getitem__(self, name: str) -> int:
        """The address of a name."""
        address: int = self._loaded[name]
        return address

    def __del__(self) -> None:
        if hasattr(self, "_loaded") and not sys.is_finalizing():
            with lock():
                self._loaded.close()


class Code:
    """Machine code that can be called. It lives as long as this object.

    Attributes:
        address: of the function `run` of the code.
        run: that function, as `signature` says.
        outside: for code that watches every access, the number in memory where it notes one outside (see `bounds`).
    """

    def __init__(self, code: bytes, signature: Any = _SIGNATURE, *, checked: bool = False) -> None:
        self._library = Library(code, [ENTRY, bounds.FOUND] if checked else [ENTRY])
        self.address = self._library[ENTRY]
        self.run: Callable[..., int] = signature(self.address)
        self.outside = ctypes.c_int64.from_address(self._library[bounds.FOUND]) if checked else ctypes.c_int64()


@functools.cache
def _clock() -> Code:
    target = host()
    module = ir.Module("clock")
    module.triple = target.triple
    type = ir.FunctionType(ir.IntType(64), [])
    b = ir.IRBuilder(ir.Function(module, type, ENTRY).append_basic_block("entry"))
    b.ret(b.call(ir.Function(module, type, "llvm.readcyclecounter"), []))
    return Code(target.machine().emit_object(llvm.parse_assembly(str(module))), ctypes.CFUNCTYPE(ctypes.c_int64))


def ticks() -> int:
    """The processor's counter that profiled code reads."""
    return _clock().run()
