"""Machine code of the barrier where threads wait for each other."""

from __future__ import annotations

import sys
from collections.abc import Callable

from llvmlite import ir

from chainrule.backends.native.code import scalar
from chainrule.backends.native.target import Target

_INDEX = ir.IntType(64)
_SPINS = 4000  # about 20 µs of waiting before the core is offered to other threads
_GENERATION = 8  # where the generation is in the memory of the barrier


def function_of(module: ir.Module, target: Target) -> ir.Function:
    """A function (barrier, threads) that returns when so many threads have called it.

    The last to arrive opens the way for all by raising the generation; the others watch it, at first
    without a pause, then offering their core to others in between.
    """
    name = "barrier"
    if name in module.globals:
        return module.globals[name]
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [ir.PointerType(), _INDEX]), name)
    function.linkage = "internal"
    function.attributes.add("noinline")
    counter, threads = function.args
    entry, last, others = (function.append_basic_block(n) for n in ("entry", "last", "others"))
    b = ir.IRBuilder(entry)
    generation = b.gep(counter, [_INDEX(_GENERATION)], source_etype=_INDEX)
    now = b.load_atomic(generation, "acquire", 8, typ=_INDEX)
    before = b.atomic_rmw("add", counter, _INDEX(1), "acq_rel")
    b.cbranch(b.icmp_signed("==", before, b.sub(threads, _INDEX(1))), last, others)
    b.position_at_end(last)
    # Exchanges, because llvmlite's atomic store does not take opaque pointers.
    b.atomic_rmw("xchg", counter, _INDEX(0), "monotonic")
    b.atomic_rmw("xchg", generation, b.add(now, _INDEX(1)), "release")
    b.ret_void()
    b.position_at_end(others)
    wait_until(b, target, generation, lambda number: b.icmp_signed("!=", number, now))
    b.ret_void()
    return function


def wait_until(b: ir.IRBuilder, target: Target, place: ir.Value, holds: Callable[[ir.Value], ir.Value]) -> None:
    """Look at an int64 that other threads change, until something holds for it; what they wrote before is then seen."""
    before = b.block
    wait, give_way, again, done = (b.append_basic_block(n) for n in ("wait", "yield", "again", "done"))
    b.branch(wait)
    b.position_at_end(wait)
    spins = b.phi(_INDEX)
    spins.add_incoming(_INDEX(0), before)
    _pause(b, target)
    patient = b.icmp_signed("<", spins, _INDEX(_SPINS))
    b.cbranch(patient, again, give_way)
    b.position_at_end(give_way)
    if sys.platform != "win32":
        b.call(scalar.declared(b, "sched_yield", ir.FunctionType(ir.IntType(32), [])), [])
    b.branch(again)
    b.position_at_end(again)
    spins.add_incoming(b.add(spins, _INDEX(1)), again)
    b.cbranch(holds(b.load_atomic(place, "acquire", 8, typ=_INDEX)), done, wait)
    b.position_at_end(done)


def _pause(b: ir.IRBuilder, target: Target) -> None:
    """Tell the processor that this is a waiting loop."""
    if target.level != "neon":
        b.call(scalar.declared(b, "llvm.x86.sse2.pause", ir.FunctionType(ir.VoidType(), [])), [])
