"""From an object file to machine code in memory."""

from __future__ import annotations

import ctypes
import functools
import itertools
from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir

from chainrule.backends.native import bounds
from chainrule.backends.native.executable import ENTRY
from chainrule.backends.native.target import host

_SIGNATURE = ctypes.CFUNCTYPE(
    ctypes.c_int64,
    ctypes.c_void_p,
    ctypes.c_void_p,
    ctypes.c_void_p,
    ctypes.c_void_p,
    ctypes.c_int64,
    ctypes.c_double,
    ctypes.c_void_p,
    ctypes.c_void_p,
    ctypes.c_int64,
    ctypes.c_int64,
    ctypes.c_void_p,
)


@functools.cache
def _linker() -> Any:
    """What brings object files into memory. It keeps the parts of each together, within reach of a jump (LLVM's JITLink)."""
    return llvm.create_lljit_compiler(host().machine(), use_jit_link=True)


_numbers = itertools.count()


class Code:
    """Machine code that can be called. It lives as long as this object.

    Attributes:
        run: the function `run` of the code, as `signature` says (see `codegen`).
        outside: for code that watches every access, the number in memory where it notes one outside (see `bounds`).
    """

    def __init__(self, code: bytes, signature: Any = _SIGNATURE, *, checked: bool = False) -> None:
        builder = llvm.JITLibraryBuilder().add_object_img(code).add_current_process().export_symbol(ENTRY)
        if checked:
            builder = builder.export_symbol(bounds.FOUND)
        self._library = builder.link(_linker(), f"program {next(_numbers)}")
        self.run: Callable[..., int] = signature(self._library[ENTRY])
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
