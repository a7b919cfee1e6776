"""From a plan to an executable."""

from __future__ import annotations

from chainrule.backends.native.code import codegen
from chainrule.backends.native.code.object_code import object_code
from chainrule.backends.native.plan.kernels import Check
from chainrule.backends.native.plan.plans import Plan
from chainrule.backends.native.run.executable import Executable
from chainrule.backends.native.target import Target


def generate(plan: Plan, target: Target, *, profile: bool = False, checked: bool = False) -> Executable:
    """The machine code of a plan, and what it needs to run.

    With `profile` it takes the time of every kernel; if `checked`, it watches every access (see `codegen.module_of`).
    """
    code = object_code(plan, target, codegen.module_of(plan, target, profile=profile, checked=checked))
    checks = {k: call.kernel.limits for k, call in enumerate(plan.calls) if isinstance(call.kernel, Check)}
    return Executable(code, plan.threads, len(plan.calls), plan.arena_bytes, plan.constants, checks, checked)
