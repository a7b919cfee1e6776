"""The threads that run programs together with the thread that calls them.

All execute the same code, each on its share, and wait for each other at barriers. `code.dispatch` has the machine code that
hands work to them, and says why that is machine code.
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

from chainrule.backends.native.code import dispatch
from chainrule.backends.native.run import address_space, cache, digest, engine
from chainrule.backends.native.target import host
from chainrule.ir import Array

_COMPILER_BYTES = 2**25  # address space for compiling `dispatch`


class ThreadPool:
    """Worker threads that wait for work as long as the process lives. They start when first needed."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Start over: after a fork, the child has none of the threads."""
        self._mailboxes: list[Array] = []
        self._busy = threading.RLock()

    def start(self, threads: int) -> int:
        """How many threads can work, the caller among them: so many, or fewer where the process may start no more."""
        if len(self._mailboxes) < threads - 1:
            with self._busy:
                while len(self._mailboxes) < threads - 1 and self._start_worker():
                    pass
        return min(threads, len(self._mailboxes) + 1)

    def run(self, function: int, jobs: Sequence[bytes]) -> int:
        """Call function(job) for every job at the same time, the first one here; gives what the first one gave.

        Args:
            function: address of machine code.
            jobs: all of one size, at least two, and at most as many as `start` said.
        """
        with self._busy:
            done: int = _dispatcher()[0](self._mailboxes[0].ctypes.data, function, b"".join(jobs), len(jobs[0]), len(jobs))
            return done

    def _start_worker(self) -> bool:
        try:
            work = _dispatcher()[1]
        except address_space.OutOfAddressSpace:
            return False
        mailbox = np.zeros(dispatch.MAILBOX_WORDS, np.int64)
        mailbox[dispatch.WAKE] = lock = ctypes.pythonapi.PyThread_allocate_lock()
        ctypes.pythonapi.PyThread_acquire_lock(lock, 1)
        try:
            # The lowest level: an exception finds the thread started, or not at all. It holds its mailbox as long as it lives.
            _thread.start_new_thread(_work, (work, mailbox))
        except RuntimeError:
            ctypes.pythonapi.PyThread_free_lock(lock)
            return False
        if self._mailboxes:
            self._mailboxes[-1][dispatch.NEXT] = mailbox.ctypes.data
        self._mailboxes.append(mailbox)
        return True


ctypes.pythonapi.PyThread_allocate_lock.restype = ctypes.c_void_p
ctypes.pythonapi.PyThread_acquire_lock.argtypes = [ctypes.c_void_p, ctypes.c_int]
ctypes.pythonapi.PyThread_free_lock.argtypes = [ctypes.c_void_p]
ctypes.pythonapi.PyThread_free_lock.restype = None


def _work(work: Any, mailbox: Array) -> None:
    work(mailbox.ctypes.data)


POOL = ThreadPool()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=POOL.forget)


@functools.cache
def _dispatcher() -> tuple[Any, Any, Any]:
    """The functions `dispatch` and `work` of `code.dispatch`, and what keeps them in memory."""
    address_space.require(_COMPILER_BYTES)
    target = host()
    symbols = {name: ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p).value or 0 for name in dispatch.PYTHON_LOCKS}
    name = None if cache.folder() is None else digest.key_of("dispatch", target)
    code = cache.load(name)
    if code is None:
        code = target.machine().emit_object(llvm.parse_assembly(str(dispatch.module_of(target)), llvm.create_context()))
        cache.save(name, code)
    library = engine.Library(code, (dispatch.DISPATCH, dispatch.WORK), symbols)
    word, address = ctypes.c_int64, ctypes.c_void_p
    run = ctypes.CFUNCTYPE(word, address, address, address, word, word)(library[dispatch.DISPATCH])
    return run, ctypes.CFUNCTYPE(None, address)(library[dispatch.WORK]), library
