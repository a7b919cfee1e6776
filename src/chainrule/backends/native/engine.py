"""From an LLVM module to machine code in memory."""

from __future__ import annotations

import ctypes
import functools
import itertools
from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir

from chainrule.backends.native import bounds, cache, codegen
from chainrule.backends.native.kernels import work
from chainrule.backends.native.lower import Plan
from chainrule.backends.native.target import Target, host

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

_SMALL = 30_000  # operations on numbers in a step


def object_code(plan: Plan, target: Target, *, profile: bool = False, checked: bool = False) -> bytes:
    """The machine code of a plan, as an object file, from the cache if it is there.

    Code that takes the time of every kernel, or watches every access (see `codegen.module_of`), is not kept.
    """
    if profile or checked:
        return _compiled(plan, target, codegen.module_of(plan, target, profile=profile, checked=checked))
    name = cache.key(plan, target)
    code = cache.load(name)
    if code is None:
        code = _compiled(plan, target, codegen.module_of(plan, target))
        cache.save(name, code)
    return code


def _compiled(plan: Plan, target: Target, written: ir.Module) -> bytes:
    machine = target.machine()
    module = llvm.parse_assembly(str(written))
    options = llvm.create_pipeline_tuning_options(speed_level=2)
    options.loop_vectorization = False  # the loops are vectors already
    options.slp_vectorization = False
    builder = llvm.create_pass_builder(machine, options)
    # All of LLVM's passes, unrolling above all, pay where a whole step takes a microsecond. What they find in larger steps is
    # what the emitters did not hoist or fold themselves: next to nothing, in most of the time that compilation would take.
    small = sum(work(step.kernel) for step in plan.steps) < _SMALL
    passes = builder.getModulePassManager() if small else _few_passes()
    passes.run(module, builder)
    code: bytes = machine.emit_object(module)
    return code


def _few_passes() -> Any:
    """Combine instructions, compute equal things once, and tidy up the branches."""
    passes = llvm.create_new_module_pass_manager()
    passes.add_instruction_combine_pass()
    passes.add_new_gvn_pass()
    passes.add_simplify_cfg_pass()
    return passes


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
        builder = llvm.JITLibraryBuilder().add_object_img(code).add_current_process().export_symbol(codegen.ENTRY)
        if checked:
            builder = builder.export_symbol(bounds.FOUND)
        self._library = builder.link(_linker(), f"program {next(_numbers)}")
        self.run: Callable[..., int] = signature(self._library[codegen.ENTRY])
        self.outside = ctypes.c_int64.from_address(self._library[bounds.FOUND]) if checked else ctypes.c_int64()


@functools.cache
def _clock() -> Code:
    target = host()
    module = ir.Module("clock")
    module.triple = target.triple
    type = ir.FunctionType(ir.IntType(64), [])
    b = ir.IRBuilder(ir.Function(module, type, codegen.ENTRY).append_basic_block("entry"))
    b.ret(b.call(ir.Function(module, type, "llvm.readcyclecounter"), []))
    return Code(target.machine().emit_object(llvm.parse_assembly(str(module))), ctypes.CFUNCTYPE(ctypes.c_int64))


def ticks() -> int:
    """The processor's counter that profiled code reads."""
    return _clock().run()
