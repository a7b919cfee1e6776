"""Machine code that does nothing but multiply-adds on registers, without any memory access: the peak of a processor.

As many independent sums as there are registers for hide the latency of the multiply-add.
"""

from __future__ import annotations

from llvmlite import ir

from chainrule.backends.native.code import scalar
from chainrule.backends.native.code.abi import ENTRY
from chainrule.backends.native.code.bounds import Builder
from chainrule.backends.native.code.loops import INDEX, loop
from chainrule.backends.native.target import Target


def module_of(target: Target, vectors: int, lanes: int) -> ir.Module:
    """A function `run` (numbers, iterations): so many vectors of sums, then the factor and the term of every multiply-add."""
    module = ir.Module("peak")
    module.triple = target.triple
    number, vector = ir.FloatType(), ir.VectorType(ir.FloatType(), lanes)
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [ir.PointerType(), INDEX]), ENTRY)
    numbers, iterations = function.args
    b = Builder(function.append_basic_block("entry"))
    pointers = [b.gep(numbers, [INDEX(k)], source_etype=vector) for k in range(vectors)]
    others = [b.gep(numbers, [INDEX(vectors * lanes + k)], source_etype=number) for k in range(2)]
    factor, term = (scalar.splat(b, b.load(pointer, typ=number, align=4), lanes) for pointer in others)

    def iteration(_: ir.Value, sums: list[ir.Value]) -> list[ir.Value]:
        return [scalar.muladd(b, value, factor, term) for value in sums]

    # Every sum starts from memory: LLVM would compute equal ones once.
    starts = [b.load(pointer, typ=vector, align=4) for pointer in pointers]
    for value, pointer in zip(loop(b, (INDEX(0), iterations, 1), starts, iteration), pointers, strict=True):
        b.store(value, pointer, align=4)
    b.ret_void()
    return module
