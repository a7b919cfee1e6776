"""From LLVM IR to an object file: which of LLVM's passes run, and LLVM's code generator."""

from __future__ import annotations

from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir

from chainrule.backends.native.plan.kernels import work
from chainrule.backends.native.plan.plans import Plan
from chainrule.backends.native.target import Target

_SMALL = 30_000  # operations on numbers in a step


def object_code(plan: Plan, target: Target, written: ir.Module) -> bytes:
    """An object file of the module written for a plan."""
    machine = target.machine()
    module = llvm.parse_assembly(str(written), llvm.create_context())  # the process's own context keeps all that it ever saw
    options = llvm.create_pipeline_tuning_options(speed_level=2)
    options.loop_vectorization = False  # the loops are vectors already
    options.slp_vectorization = False
    builder = llvm.create_pass_builder(machine, options)
    # All of LLVM's passes, unrolling above all, pay where a whole step takes a microsecond. What they find in larger steps is
    # what the emitters did not hoist or fold themselves: next to nothing, in most of the time that compilation would take.
    small = sum(work(call.kernel) for call in plan.calls) < _SMALL
    passes = builder.getModulePassManager() if small else _few_passes()
    passes.run(module, builder)
    llvm.newpassmanagers.NewPassManager._dispose(passes)  # llvmlite 0.50 does not do it: it finds another `_dispose` first
    passes.detach()
    code: bytes = machine.emit_object(module)
    return code


def _few_passes() -> Any:
    """Combine instructions, compute equal things once, and tidy up the branches."""
    passes = llvm.create_new_module_pass_manager()
    passes.add_instruction_combine_pass()
    passes.add_new_gvn_pass()
    passes.add_simplify_cfg_pass()
    return passes
