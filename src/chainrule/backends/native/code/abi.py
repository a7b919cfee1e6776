"""How machine code is called: the words of a job, the slots of pointers, and the memory of the barrier.

`codegen` writes the side of the code, `run.program` and `run.thread_pool` that of the caller.
"""

from __future__ import annotations

import struct

from chainrule.ir import Graph

ENTRY = "run"  # the function of the machine code that is called, with the address of a job
JOB = struct.Struct("=5qd5q")
"""What one thread is to do, as the machine code reads it: slots, bases, gathered, rows, steps, until, status, clocks, thread,
threads, barrier; `codegen` says what they mean."""
BARRIER_WORDS = 16  # int64: how many have arrived, and, a cache line further, the generation of the barrier


def slot_numbers(graph: Graph, constants: int) -> dict[str, int]:
    """Where each sort of pointer starts in `slots`, an argument of the machine code; "end" is their number."""
    counts = {
        "arena": 1,
        "constant": constants,
        "input": len(graph.inputs),
        "state": len(graph.state),
        "output": len(graph.outputs),
        "staging": len(graph.inputs),
    }
    starts, total = {}, 0
    for name, count in counts.items():
        starts[name] = total
        total += count
    return {**starts, "end": total}
