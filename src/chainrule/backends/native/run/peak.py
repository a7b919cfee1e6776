"""How many float32 operations per second this processor can do at most: `code.peak_loop`, timed."""

from __future__ import annotations

import ctypes
import time
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import llvmlite.binding as llvm
import numpy as np

from chainrule.backends.native.code import peak_loop
from chainrule.backends.native.run import engine
from chainrule.backends.native.target import Target

_SECONDS = 0.05  # of one measurement
_FEW = 2**16  # iterations, to see how fast it is
_SPARE = 4  # registers that are not sums: two factors, and two that the compiler may want
_DTYPE = np.dtype(np.float32)


def flops_per_second(target: Target, threads: int) -> float:
    """Operations per second of so many threads at once; a multiply-add counts as two."""
    code, sums = _kernel(target)
    numbers = np.zeros((threads, sums + 2), np.float32)
    numbers[:, -2:] = 0.5, 1.0  # the factor and the term: with these all sums stay finite

    def work(thread: int, iterations: int) -> None:
        code.run(numbers[thread].ctypes.data, iterations)  # gives the interpreter's lock back meanwhile

    start = time.perf_counter()
    work(0, _FEW)
    iterations = max(1, int(_FEW * _SECONDS / (time.perf_counter() - start)))
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, range(threads), [1] * threads))  # now the threads have started
        start = time.perf_counter()
        list(pool.map(work, range(threads), [iterations] * threads))
        return 2.0 * threads * iterations * sums / (time.perf_counter() - start)


@cache
def _kernel(target: Target) -> tuple[engine.Code, int]:
    """Code of the function (numbers, iterations), and how many sums it works on at once; factor and term follow them."""
    vectors, lanes = target.registers - _SPARE, target.lanes(_DTYPE)
    code = target.machine().emit_object(llvm.parse_assembly(str(peak_loop.module_of(target, vectors, lanes))))
    return engine.Code(code, ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)), vectors * lanes
