"""Threads that run one program together: all execute the same code, each on its share, and meet at barriers.

A caller and its crew need each other: whoever is missing at a barrier is waited for. Python code may be left between any two
instructions, by Ctrl-C or whatever else a signal handler raises. So the work is handed out, done and waited for within one call
of machine code, `lead`, which no exception can part. The crew waits in machine code too: it wakes without Python's global lock.
"""

from __future__ import annotations

import _thread
import ctypes
import functools
import os
import threading
from collections.abc import Sequence
from typing import Any

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir

from chainrule.backends.native.code import barrier, scalar
from chainrule.backends.native.run import address_space, engine
from chainrule.backends.native.target import Target, host
from chainrule.ir import Array

_INDEX, _POINTER, _VOID = ir.IntType(64), ir.PointerType(), ir.VoidType()
_CODE = ir.PointerType(ir.FunctionType(_INDEX, [_POINTER]))  # the builder asks a pointer what it calls
# The words of a desk, where one thread waits: a lock that is released to wake it, what to call with which job, the number to
# raise when that is done, and the desk after this one.
_BELL, _FUNCTION, _WORK, _FINISHED, _NEXT, _DESK_WORDS = range(6)
_ROOM = 2**25  # bytes for compiling it
_ACQUIRE, _RELEASE = "PyThread_acquire_lock", "PyThread_release_lock"  # Python's own locks: there on every platform


class Crew:
    """Threads that wait for work, for as long as the process lives. They start when first needed."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Start anew: after a fork, the child has none of the threads."""
        self._desks: list[Array] = []
        self._busy = threading.RLock()

    def hire(self, threads: int) -> int:
        """How many threads can work, the caller among them: so many, or fewer where the process may start no more."""
        if len(self._desks) < threads - 1:
            with self._busy:
                while len(self._desks) < threads - 1 and self._start():
                    pass
        return min(threads, len(self._desks) + 1)

    def run(self, function: int, jobs: Sequence[bytes]) -> int:
        """Call function(job) for every job at the same time, the first one here; gives what the first one gave.

        Args:
            function: address of machine code.
            jobs: all of one size, at least two, and at most as many as `hire` said.
        """
        with self._busy:
            done: int = _machinery()[0](self._desks[0].ctypes.data, function, b"".join(jobs), len(jobs[0]), len(jobs))
            return done

    def _start(self) -> bool:
        try:
            follow = _machinery()[1]
        except address_space.NoRoom:
            return False
        desk = np.zeros(_DESK_WORDS, np.int64)
        desk[_BELL] = lock = ctypes.pythonapi.PyThread_allocate_lock()
        ctypes.pythonapi.PyThread_acquire_lock(lock, 1)
        try:
            # The lowest level: an exception finds the thread started, or not at all. It holds its desk as long as it lives.
            _thread.start_new_thread(_work, (follow, desk))
        except RuntimeError:
            ctypes.pythonapi.PyThread_free_lock(lock)
            return False
        if self._desks:
            self._desks[-1][_NEXT] = desk.ctypes.data
        self._desks.append(desk)
        return True


ctypes.pythonapi.PyThread_allocate_lock.restype = ctypes.c_void_p
ctypes.pythonapi.PyThread_acquire_lock.argtypes = [ctypes.c_void_p, ctypes.c_int]
ctypes.pythonapi.PyThread_free_lock.argtypes = [ctypes.c_void_p]
ctypes.pythonapi.PyThread_free_lock.restype = None


def _work(follow: Any, desk: Array) -> None:
    follow(desk.ctypes.data)


CREW = Crew()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=CREW.forget)


# -------------------------------------------------------------------------------------------- machine code
@functools.cache
def _machinery() -> tuple[Any, Any, Any]:
    """The functions `lead` and `follow`, and what keeps them in memory."""
    address_space.need(_ROOM)
    target = host()
    module = ir.Module("crew")
    module.triple = target.triple
    _lead(module, target)
    _follow(module)
    symbols = {name: ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p).value or 0 for name in (_ACQUIRE, _RELEASE)}
    code = target.machine().emit_object(llvm.parse_assembly(str(module), llvm.create_context()))
    library = engine.Library(code, ("lead", "follow"), symbols)
    word, address = ctypes.c_int64, ctypes.c_void_p
    lead = ctypes.CFUNCTYPE(word, address, address, address, word, word)(library["lead"])
    return lead, ctypes.CFUNCTYPE(None, address)(library["follow"]), library


def _lead(module: ir.Module, target: Target) -> None:
    """A function (first desk, function, jobs, bytes of a job, number of jobs): see `Crew.run`. There are at least two jobs."""
    function = ir.Function(module, ir.FunctionType(_INDEX, [_POINTER, _CODE, _POINTER, _INDEX, _INDEX]), "lead")
    first, work, jobs, size, count = function.args
    entry, wake, begin = (function.append_basic_block(n) for n in ("entry", "wake", "begin"))
    b = ir.IRBuilder(entry)
    finished = b.alloca(_INDEX)
    b.store(_INDEX(0), finished)
    b.branch(wake)
    b.position_at_end(wake)
    desk, number = b.phi(_POINTER), b.phi(_INDEX)
    desk.add_incoming(first, entry)
    number.add_incoming(_INDEX(1), entry)
    job = b.gep(jobs, [b.mul(number, size)], source_etype=ir.IntType(8))
    for word, value in ((_FUNCTION, work), (_WORK, job), (_FINISHED, finished)):
        b.store(value, _word(b, desk, word), align=8)
    b.call(scalar.declared(b, _RELEASE, ir.FunctionType(_VOID, [_POINTER])), [_read(b, desk, _BELL)])
    following = b.add(number, _INDEX(1))
    desk.add_incoming(_read(b, desk, _NEXT), wake)
    number.add_incoming(following, wake)
    b.cbranch(b.icmp_signed("<", following, count), wake, begin)
    b.position_at_end(begin)
    done = b.call(work, [jobs])
    barrier.wait_until(b, target, finished, lambda others: b.icmp_signed("==", others, b.sub(count, _INDEX(1))))
    b.ret(done)


def _follow(module: ir.Module) -> None:
    """A function (desk) that waits for work, does it, and never returns."""
    function = ir.Function(module, ir.FunctionType(_VOID, [_POINTER]), "follow")
    (desk,) = function.args
    entry, wait = function.append_basic_block("entry"), function.append_basic_block("wait")
    b = ir.IRBuilder(entry)
    b.branch(wait)
    b.position_at_end(wait)
    acquire = scalar.declared(b, _ACQUIRE, ir.FunctionType(ir.IntType(32), [_POINTER, ir.IntType(32)]))
    b.call(acquire, [_read(b, desk, _BELL), ir.IntType(32)(1)])
    finished = _read(b, desk, _FINISHED)
    b.call(_read(b, desk, _FUNCTION, _CODE), [_read(b, desk, _WORK)])
    b.atomic_rmw("add", finished, _INDEX(1), "release")  # from here on the caller may be gone
    b.branch(wait)


def _word(b: ir.IRBuilder, desk: ir.Value, number: int) -> ir.Value:
    return b.gep(desk, [_INDEX(number)], source_etype=_INDEX)


def _read(b: ir.IRBuilder, desk: ir.Value, number: int, type: ir.Type = _POINTER) -> ir.Value:
    return b.load(_word(b, desk, number), typ=type, align=8)
