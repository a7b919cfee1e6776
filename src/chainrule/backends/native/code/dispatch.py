"""Machine code that hands work to threads and waits for it: `dispatch` for the caller, `work` for every worker.

A caller and its workers need each other: whoever is missing at a barrier is waited for. Python code may be interrupted between
any two instructions, by Ctrl-C or by whatever else a signal handler raises. So work is handed out, done and waited for within
one call of machine code, which no exception can interrupt. Workers wait in machine code too, and wake up without Python's
global lock.
"""

from __future__ import annotations

from llvmlite import ir

from chainrule.backends.native.code import barrier, scalar
from chainrule.backends.native.target import Target

DISPATCH, WORK = "dispatch", "work"
# The words of a mailbox, where one worker waits: a lock that is released to wake it, which function to call with which job, the
# number to raise when that is done, and the mailbox after this one.
WAKE, _FUNCTION, _JOB, _FINISHED, NEXT, MAILBOX_WORDS = range(6)
PYTHON_LOCKS = _ACQUIRE, _RELEASE = "PyThread_acquire_lock", "PyThread_release_lock"  # there on every platform
_INDEX, _POINTER, _VOID = ir.IntType(64), ir.PointerType(), ir.VoidType()
_CODE = ir.PointerType(ir.FunctionType(_INDEX, [_POINTER]))  # the builder asks a pointer what it calls


def module_of(target: Target) -> ir.Module:
    """The module with both functions."""
    module = ir.Module("dispatch")
    module.triple = target.triple
    _write_dispatch(module, target)
    _write_work(module)
    return module


def _write_dispatch(module: ir.Module, target: Target) -> None:
    """A function (first mailbox, function, jobs, bytes of a job, number of jobs): see `ThreadPool.run`. There are at least two
    jobs."""
    outer = ir.Function(module, ir.FunctionType(_INDEX, [_POINTER, _CODE, _POINTER, _INDEX, _INDEX]), DISPATCH)
    first, function, jobs, size, count = outer.args
    entry, wake, begin = (outer.append_basic_block(n) for n in ("entry", "wake", "begin"))
    b = ir.IRBuilder(entry)
    finished = b.alloca(_INDEX)
    b.store(_INDEX(0), finished)
    b.branch(wake)
    b.position_at_end(wake)
    mailbox, number = b.phi(_POINTER), b.phi(_INDEX)
    mailbox.add_incoming(first, entry)
    number.add_incoming(_INDEX(1), entry)
    job = b.gep(jobs, [b.mul(number, size)], source_etype=ir.IntType(8))
    for word, value in ((_FUNCTION, function), (_JOB, job), (_FINISHED, finished)):
        b.store(value, _word(b, mailbox, word), align=8)
    # Releasing the lock publishes what was stored before it.
    b.call(scalar.declared(b, _RELEASE, ir.FunctionType(_VOID, [_POINTER])), [_read(b, mailbox, WAKE)])
    following = b.add(number, _INDEX(1))
    mailbox.add_incoming(_read(b, mailbox, NEXT), wake)
    number.add_incoming(following, wake)
    b.cbranch(b.icmp_signed("<", following, count), wake, begin)
    b.position_at_end(begin)
    done = b.call(function, [jobs])
    # `finished` is on this stack: every worker must have raised it before this frame may go.
    barrier.wait_until(b, target, finished, lambda others: b.icmp_signed("==", others, b.sub(count, _INDEX(1))))
    b.ret(done)


def _write_work(module: ir.Module) -> None:
    """A function (mailbox) that waits for work, does it, and never returns."""
    outer = ir.Function(module, ir.FunctionType(_VOID, [_POINTER]), WORK)
    (mailbox,) = outer.args
    entry, wait = outer.append_basic_block("entry"), outer.append_basic_block("wait")
    b = ir.IRBuilder(entry)
    b.branch(wait)
    b.position_at_end(wait)
    acquire = scalar.declared(b, _ACQUIRE, ir.FunctionType(ir.IntType(32), [_POINTER, ir.IntType(32)]))
    b.call(acquire, [_read(b, mailbox, WAKE), ir.IntType(32)(1)])
    finished = _read(b, mailbox, _FINISHED)
    b.call(_read(b, mailbox, _FUNCTION, _CODE), [_read(b, mailbox, _JOB)])
    b.atomic_rmw("add", finished, _INDEX(1), "release")  # from here on the caller's frame may be gone
    b.branch(wait)


def _word(b: ir.IRBuilder, mailbox: ir.Value, number: int) -> ir.Value:
    return b.gep(mailbox, [_INDEX(number)], source_etype=_INDEX)


def _read(b: ir.IRBuilder, mailbox: ir.Value, number: int, type: ir.Type = _POINTER) -> ir.Value:
    return b.load(_word(b, mailbox, number), typ=type, align=8)
