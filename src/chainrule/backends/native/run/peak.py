"""How many float32 operations per second this processor can do at most: multiply-adds on registers, with no memory in the way.

As many independent sums as there are registers for hide the latency of the multiply-add, on the widest vectors of the target.
"""

from __future__ import annotations

import ctypes
import time
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir

from chainrule.backends.native.code import scalar
from chainrule.backends.native.code.bounds import Builder
from chainrule.backends.native.code.loops import INDEX, loop
from chainrule.backends.native.run import engine
from chainrule.backends.native.run.executable import ENTRY
from chainrule.backends.native.target import Target

_SECONDS = 0.05  # of one measurement
_FEW = 2**16  # turns of the loop, to see how fast it is
_SPARE = 4  # registers that are not sums: two factors, and two that the compiler may want
_DTYPE = np.dtype(np.float32)


def flops_per_second(target: Target, threads: int) -> float:
    """Operations per second of so many threads at once; a multiply-add counts as two."""
    code, sums = _kernel(target)
    numbers = np.zeros((threads, sums + 2), np.float32)
    numbers[:, -2:] = 0.5, 1.0  # the factor and the term: with these all sums stay finite

    def work(thread: int, turns: int) -> None:
        code.run(numbers[thread].ctypes.data, turns)  # gives the interpreter's lock back meanwhile

    start = time.perf_counter()
    work(0, _FEW)
    turns = max(1, int(_FEW * _SECONDS / (time.perf_counter() - start)))
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, range(threads), [1] * threads))  # now the threads have started
        start = time.perf_counter()
        list(pool.map(work, range(threads), [turns] * threads))
        return 2.0 * threads * turns * sums / (time.perf_counter() - start)


@cache
def _kernel(target: Target) -> tuple[engine.Code, int]:
    """Code of the function (numbers, turns), and how many sums it works on at once: the factor and the term come after them."""
    vectors, lanes = target.registers - _SPARE, target.lanes(_DTYPE)
    code = target.machine().emit_object(llvm.parse_assembly(str(_module(target, vectors, lanes))))
    return engine.Code(code, ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)), vectors * lanes


def _module(target: Target, vectors: int, lanes: int) -> ir.Module:
    module = ir.Module("peak")
    module.triple = target.triple
    number, vector = ir.FloatType(), ir.VectorType(ir.FloatType(), lanes)
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [ir.PointerType(), INDEX]), ENTRY)
    numbers, turns = function.args
    b = Builder(function.append_basic_block("entry"))
    places = [b.gep(numbers, [INDEX(k)], source_etype=vector) for k in range(vectors)]
    others = [b.gep(numbers, [INDEX(vectors * lanes + k)], source_etype=number) for k in range(2)]
    factor, term = (scalar.splat(b, b.load(place, typ=number, align=4), lanes) for place in others)

    def turn(_: ir.Value, sums: list[ir.Value]) -> list[ir.Value]:
        return [scalar.muladd(b, value, factor, term) for value in sums]

    # Every sum starts from memory: LLVM would compute equal ones once.
    starts = [b.load(place, typ=vector, align=4) for place in places]
    for value, place in zip(loop(b, (INDEX(0), turns, 1), starts, turn), places, strict=True):
        b.store(value, place, align=4)
    b.ret_void()
    return module
