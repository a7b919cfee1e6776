"""Programs of the native backend: arrays in, machine code, arrays out."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Sequence
from threading import RLock
from typing import TYPE_CHECKING
from weakref import WeakSet

import numpy as np

from chainrule.backends.native.code.abi import BARRIER_WORDS, JOB
from chainrule.backends.native.run import engine
from chainrule.backends.native.run.executable import Executable
from chainrule.backends.native.run.thread_pool import POOL
from chainrule.backends.native.run.threads import Choice
from chainrule.backends.native.target import CACHE_LINE, Target
from chainrule.errors import GraphError, ShapeError, message
from chainrule.ir import Array, Graph, Node, Shape
from chainrule.ops.requirement import positions as allowed

if TYPE_CHECKING:
    from chainrule.backends.native.plan.plans import Plan


class NativeProgram:
    """A graph as machine code. See `chainrule.backends.contract.Program`.

    Args:
        graph: what it computes.
        target: the processor that it is for.
        threads: how many may be used at most.
        executable: made from the graph for that processor and number of threads.
    """

    def __init__(self, graph: Graph, target: Target, threads: int, executable: Executable) -> None:
        self._graph = graph
        self._target = target
        self._most_threads = threads
        self._executable = executable
        self._slots = executable.slots(graph)
        self._code = executable.link()
        self._arena = _aligned_bytes(executable.arena_bytes)
        self._staging: list[Array] | None = None
        # One arena: calls from several Python threads take turns. A signal handler may call what it interrupted, since handlers
        # run before or after the machine code.
        self._busy = RLock()
        self._plan: Plan | None = None
        self._choice = Choice(executable.threads)
        self.clocks = np.zeros((executable.threads, executable.calls), np.int64)
        _PROGRAMS.add(self)

    @property
    def plan(self) -> Plan:
        """The kernels, in order, and the memory they use: made from the graph when it is first looked at."""
        with engine.lock():
            from chainrule.backends.native.plan.lower import plan_of  # noqa: PLC0415 -- running a program found on disk does not need it

            if self._plan is None:
                self._plan = plan_of(self._graph, self._target, self._most_threads)
            return self._plan

    @property
    def memory(self) -> int:
        """Bytes that the program uses beside the arrays it is given: intermediate results, constants and gathered batches."""
        staging = sum(n.size * n.dtype.itemsize for n in self._graph.inputs)
        return self._executable.arena_bytes + staging + sum(c.nbytes for c in self._executable.constants)

    def explain(self) -> str:
        """The kernels in order: loops and vectors (`784/16`: in vectors of 16; `32↓`: reduced), tiles, operations, bytes, and
        the cycles that the cost model expects."""
        from chainrule.backends.native.plan import report  # noqa: PLC0415 -- as above

        return report.describe(self.plan, self._target)

    def profile(self, inputs: Sequence[Array], state: Sequence[Array], steps: int = 20) -> str:
        """As `explain`, with the time that each kernel takes on average over `steps` steps, beside the most that the processor
        can do. State is left as it is."""
        from chainrule.backends.native.plan import report  # noqa: PLC0415 -- as above
        from chainrule.backends.native.run import peak  # noqa: PLC0415 -- as above
        from chainrule.backends.native.run.generate import generate  # noqa: PLC0415 -- as above

        executable = generate(self.plan, self._target, profile=True)
        timed = NativeProgram(self._graph, self._target, self._most_threads, executable)
        repeated = [np.repeat(_ready(a, n)[None], steps, axis=0) for a, n in zip(inputs, self._graph.inputs, strict=True)]
        outputs = [np.empty((steps, *n.shape), n.dtype) for n in self._graph.outputs]
        for _ in range(2):  # the first time is for the caches
            timed.clocks[:] = 0
            start, ticks = time.perf_counter(), engine.ticks()
            timed._call(repeated, [np.array(s) for s in state], outputs, steps=steps)
            second = (engine.ticks() - ticks) / (time.perf_counter() - start)
        seconds = (timed.clocks[0] / (second * steps)).tolist()
        best = max(peak.flops_per_second(self._target, executable.threads) for _ in range(3))
        return report.describe(self.plan, self._target, report.Measured(seconds, best))

    def run(self, inputs: Sequence[Array], state: Sequence[Array]) -> list[Array]:
        """See `Program.run`."""
        outputs = [np.empty((1, *n.shape), n.dtype) for n in self._graph.outputs]
        self._call([_ready(a, n) for a, n in zip(inputs, self._graph.inputs, strict=True)], state, outputs)
        return [o[0] for o in outputs]

    def run_steps(
        self,
        tables: Sequence[Array],
        rows: Array,
        per_step: Sequence[Array],
        state: Sequence[Array],
        until: float | None = None,
    ) -> list[Array]:
        """See `Program.run_steps`."""
        steps = len(rows)
        outputs = [np.empty((steps, *n.shape), n.dtype) for n in self._graph.outputs]
        if steps == 0:
            return outputs
        leaves = self._graph.inputs
        count = len(tables)
        arrays = [_ready(t, n, (len(t), *n.shape[1:])) for t, n in zip(tables, leaves, strict=False)]
        arrays += [_ready(v[:steps], n, (steps, *n.shape)) for v, n in zip(per_step, leaves[count:], strict=True)]
        positions = np.ascontiguousarray(rows, dtype=np.int64)
        for node in leaves[:count]:
            _ready(positions, node, (steps, node.shape[0]))
        for table in arrays[:count]:
            if positions.size and (positions.min() < 0 or positions.max() >= len(table)):
                allowed("run_steps", len(table)).check(positions)
                positions = np.where(positions < 0, positions + len(table), positions)
        stop = -math.inf if until is None else until
        done = 0
        while done < steps:
            threads_used, some = self._choice.next(steps - done)
            begun = time.perf_counter()
            ran = self._call(
                [*arrays[:count], *(a[done:] for a in arrays[count:])],
                state,
                [o[done:] for o in outputs],
                steps=some,
                gathered=count,
                rows=positions[done:],
                until=stop,
                threads_used=threads_used,
            )
            self._choice.note(threads_used, ran, time.perf_counter() - begun)
            done += ran
            if ran < some or self._ends(outputs, done - 1, stop):
                break
        return [o[:done] for o in outputs]

    def _ends(self, outputs: Sequence[Array], step: int, until: float) -> bool:
        """Whether the machine code stopped after a step because of its first output."""
        if not outputs or self._graph.outputs[0].size != 1:
            return False
        value = outputs[0][step].item()
        return not (math.isfinite(value) and value > until)

    def _call(
        self,
        inputs: Sequence[Array],
        state: Sequence[Array],
        outputs: Sequence[Array],
        *,
        steps: int = 1,
        gathered: int = 0,
        rows: Array | None = None,
        until: float = math.nan,
        threads_used: int | None = None,
    ) -> int:
        """Run the machine code on so many threads, or all of the plan; gives the number of steps run. The first `gathered`
        inputs are tables.

        Raises:
            ArgumentError: a value outside its limits, such as a position outside what it points into.
            GraphError: an access outside its buffer, found by `CHAINRULE_CHECK_BOUNDS=1`.
        """
        state_arrays = [_writable(a, n) for a, n in zip(state, self._graph.state, strict=True)]
        slots = np.zeros((self._executable.threads, self._slots["end"]), np.int64)
        slots[:, 0] = self._arena.ctypes.data
        self._set(slots, "constant", self._executable.constants)
        self._set(slots, "state", state_arrays)
        if gathered:
            if self._staging is None:
                self._staging = [_aligned_bytes(n.size * n.dtype.itemsize) for n in self._graph.inputs]
            self._set(slots, "staging", self._staging)
        bases = np.array([a.ctypes.data for a in (*inputs, *outputs)], np.int64)
        flags = np.array([k < gathered for k in range(len(inputs))], np.int64)
        count = POOL.start(threads_used or self._executable.threads)
        status = np.zeros((self._executable.threads, 2), np.int64)
        barrier = _aligned_bytes(8 * BARRIER_WORDS)
        common = bases.ctypes.data, flags.ctypes.data, 0 if rows is None else rows.ctypes.data, steps, until
        jobs = [
            JOB.pack(slot, *common, said, clock, thread, count, barrier.ctypes.data)
            for thread, (slot, said, clock) in enumerate(zip(*map(_rows, (slots, status, self.clocks)), strict=False))
        ][:count]
        with self._busy:
            done = self._code.run(jobs[0]) if count == 1 else POOL.run(self._code.address, jobs)
        if self._code.outside.value:
            call = self.plan.calls[self._code.outside.value - 1]
            raise GraphError(f"{call.label} reaches outside its buffers: this is a defect of chainrule; please report it.")
        for given, used in zip(state, state_arrays, strict=True):
            if used is not given:
                np.copyto(given, used)
        if done < 0:
            limits = self._executable.checks[int(status[0, 0])]
            floating = isinstance(limits.low, float)
            raise limits.error((status[0, 1:].view(np.float64) if floating else status[0, 1:]).item())
        return done

    def _set(self, slots: Array, place: str, arrays: Sequence[Array]) -> None:
        first = self._slots[place]
        slots[:, first : first + len(arrays)] = [a.ctypes.data for a in arrays]


_PROGRAMS: WeakSet[NativeProgram] = WeakSet()


def _free_all() -> None:
    """After a fork: the child does not have the threads that were running programs."""
    for program in _PROGRAMS:
        program._busy = RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_free_all)


def _ready(array: Array, node: Node, shape: Shape | None = None) -> Array:
    """The array as the machine code reads it: in C order, of the node's dtype.

    Raises:
        ShapeError: it has not the shape given, or else the node's; machine code would read beyond it.
    """
    wanted = node.shape if shape is None else shape
    if np.shape(array) != wanted:
        raise ShapeError(
            message(
                f"a program got an array of shape {np.shape(array)} for {node.name or node.op}",
                f"it was compiled for {wanted}",
                "Compile the graph for the new shape.",
            )
        )
    return np.asarray(array, dtype=node.dtype, order="C")


def _writable(array: Array, node: Node) -> Array:
    """The array itself if machine code can write to it, else a copy."""
    _ready(array, node)
    fits = array.flags.c_contiguous and array.flags.aligned and array.dtype == node.dtype
    return array if fits else np.array(array, dtype=node.dtype, order="C")


def _rows(array: Array) -> range:
    """The addresses of the rows of an array."""
    start, step = array.ctypes.data, max(array.strides[0], 1)  # 0 where rows hold nothing
    return range(start, start + step * len(array), step)


def _aligned_bytes(size: int) -> Array:
    """Bytes that begin at a cache line."""
    raw = np.zeros(size + CACHE_LINE, np.uint8)
    start = -raw.ctypes.data % CACHE_LINE
    return raw[start : start + size]
