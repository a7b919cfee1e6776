"""Programs of the native backend: arrays in, machine code, arrays out."""

from __future__ import annotations

import math
import os
import time
from array import array
from collections.abc import Sequence
from threading import RLock
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import numpy as np

from chainrule.backends import host
from chainrule.backends.host import HostVariable
from chainrule.backends.native.code.abi import BARRIER_WORDS, JOB
from chainrule.backends.native.run import engine
from chainrule.backends.native.run.executable import Executable
from chainrule.backends.native.run.thread_pool import POOL
from chainrule.backends.native.run.threads import Choice
from chainrule.backends.native.target import CACHE_LINE, Target
from chainrule.errors import GraphError, ShapeError
from chainrule.ir import Array, Graph, Node, Shape
from chainrule.ops.requirement import positions as allowed

if TYPE_CHECKING:
    from chainrule.backends.native.plan.plans import Plan


class NativeProgram:
    """A graph as machine code. See `chainrule.backends.contract.Program`; its state are `HostVariable`s.

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
        self._pointers = np.zeros((executable.threads, self._slots["end"]), np.int64)
        self._pointers[:, 0] = self._arena.ctypes.data
        self._set("constant", executable.constants)
        self._status = np.zeros((executable.threads, 2), np.int64)
        self._barrier = _aligned_bytes(8 * BARRIER_WORDS)
        self._places = list(zip(*map(_rows, (self._pointers, self._status, self.clocks)), strict=False))
        self._updated = [leaf is not update for leaf, update in zip(graph.state, graph.updates, strict=True)]
        self._set_for: tuple[Any, object] = (None, None)  # the state whose addresses are in the table
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

    def profile(self, inputs: Sequence[Array], state: Sequence[Any], steps: int = 20) -> str:
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
            timed._call(repeated, [variable.copy() for variable in state], outputs, steps=steps)
            second = (engine.ticks() - ticks) / (time.perf_counter() - start)
        seconds = (timed.clocks[0] / (second * steps)).tolist()
        best = max(peak.flops_per_second(self._target, executable.threads) for _ in range(3))
        return report.describe(self.plan, self._target, report.Measured(seconds, best))

    def run(self, inputs: Sequence[Array], state: Sequence[Any]) -> list[Array]:
        """See `Program.run`."""
        outputs = [np.empty(n.shape, n.dtype) for n in self._graph.outputs]
        self._call([_ready(a, n) for a, n in zip(inputs, self._graph.inputs, strict=True)], state, outputs)
        return outputs

    def run_steps(
        self,
        tables: Sequence[Array],
        rows: Array,
        per_step: Sequence[Array],
        state: Sequence[Any],
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
        state: Sequence[Any],
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
        addresses = array("q", [_address(a) for a in (*inputs, *outputs)])
        flags = array("q", [k < gathered for k in range(len(inputs))])
        common = (addresses.buffer_info()[0], flags.buffer_info()[0], 0 if rows is None else _address(rows), steps, until)
        count = POOL.start(threads_used or self._executable.threads)
        with self._busy:
            if gathered and self._staging is None:
                self._staging = [_aligned_bytes(n.size * n.dtype.itemsize) for n in self._graph.inputs]
                self._set("staging", self._staging)
            self._set_state(state)
            jobs = [
                JOB.pack(slot, *common, said, clock, thread, count, self._barrier.ctypes.data)
                for thread, (slot, said, clock) in enumerate(self._places[:count])
            ]
            done = self._code.run(jobs[0]) if count == 1 else POOL.run(self._code.address, jobs)
            status = self._status[0].copy()
        if self._code.outside.value:
            call = self.plan.calls[self._code.outside.value - 1]
            raise GraphError(f"{call.label} reaches outside its buffers: this is a defect of chainrule; please report it.")
        if done < 0:
            limits = self._executable.checks[int(status[0])]
            floating = isinstance(limits.low, float)
            raise limits.error((status[1:].view(np.float64) if floating else status[1:]).item())
        return done

    def _set_state(self, state: Sequence[HostVariable]) -> None:
        """Enter where the state lies. Nobody else has the memory of what is updated."""
        if (state, host.moves()) == self._set_for:
            return
        for variable, node, updated in zip(state, self._graph.state, self._updated, strict=True):
            _check_state(variable, node)
            if updated:
                variable.own()
        self._set("state", [variable.array for variable in state])
        # A list may hold other Variables in the next call, and a tuple only the same.
        self._set_for = (state if isinstance(state, tuple) else None, host.moves())

    def _set(self, place: str, arrays: Sequence[Array]) -> None:
        first = self._slots[place]
        self._pointers[:, first : first + len(arrays)] = [a.ctypes.data for a in arrays]


_PROGRAMS: WeakSet[NativeProgram] = WeakSet()


def _free_all() -> None:
    """After a fork: the child does not have the threads that were running programs, and some of which may wait at barriers."""
    for program in _PROGRAMS:
        program._busy = RLock()
        program._barrier[:] = 0


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
            f"a program got an array of shape {np.shape(array)} for {node.name or node.op}",
            f"it was compiled for {wanted}",
            "Compile the graph for the new shape.",
        )
    return np.asarray(array, dtype=node.dtype, order="C")


def _check_state(variable: HostVariable, node: Node) -> None:
    """Raise ShapeError for a Variable of another shape or dtype than the node: machine code would go beyond it."""
    value = variable.array
    if value.shape != node.shape or value.dtype != node.dtype:
        raise ShapeError(
            f"a program got {node.name or node.op} {value.dtype}{list(value.shape)} as state",
            f"it was compiled for {node.dtype}{list(node.shape)}",
            "Compile the graph for the new shape.",
        )


def _address(array: Array) -> int:
    address: int = array.__array_interface__["data"][0]
    return address


def _rows(array: Array) -> range:
    """The addresses of the rows of an array."""
    start, step = array.ctypes.data, max(array.strides[0], 1)  # 0 where rows hold nothing
    return range(start, start + step * len(array), step)


def _aligned_bytes(size: int) -> Array:
    """Bytes that begin at a cache line."""
    raw = np.zeros(size + CACHE_LINE, np.uint8)
    start = -raw.ctypes.data % CACHE_LINE
    return raw[start : start + size]
