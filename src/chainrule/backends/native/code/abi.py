"""How machine code is called: the words of a job, the slots of pointers, and the memory of the barrier.

`codegen` writes the side of the code, `run.program` and `run.thread_pool` that of the caller. The words of a job:

    slots     pointers that the kernels use: arena, constants, inputs, state, outputs, staging of gathered inputs; the code
              moves those of inputs and outputs on from step to step
    bases     per input and output, the pointer for step 0
    gathered  per input, 1 if its rows are to be gathered from a table, 0 if it has one value per step
    rows      row numbers (steps, batch)
    steps     how many to run
    until     the first output at which to stop; NaN: do not look at it at all
    status    where a failed check leaves the number of its kernel and the value that was refused
    clocks    per kernel, to which the ticks that it took are added; only in modules made for profiling
    thread    number of the calling thread; every one has its own slots and status
    threads   how many call; at most as many as the plan is for
    barrier   memory of the barrier where threads wait for each other
"""

from __future__ import annotations

import struct

from chainrule.ir import Graph

ENTRY = "run"  # the function of the machine code that is called, with the address of a job
JOB = struct.Struct("=5qd5q")  # what one thread is to do: the words above, in that order
BARRIER_WORDS = 16  # int64: how many have arrived, and, a cache line further, the generation of the barrier


def slot_numbers(graph: Graph, constants: int) -> dict[str, int]:
    """Where each kind of pointer starts in `slots`, an argument of the machine code; "end" is their number."""
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
