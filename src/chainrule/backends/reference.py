"""The reference backend: every primitive's NumPy meaning, one after the other. Slow and plain; it defines what is right."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from chainrule import ops
from chainrule.backends.host import PLACE, HostVariable
from chainrule.ir import Array, Graph, Node, verify
from chainrule.passes import expand_blocks, simplify


@dataclass(frozen=True)
class Instruction:
    """One evaluation: read slots, compute, write a slot, and let go of slots that nobody reads later."""

    compute: Callable[..., Any]
    reads: tuple[int, ...]
    writes: int
    done_with: tuple[int, ...]


class ReferenceProgram:
    """A graph as a list of instructions over numbered slots. Its state are `HostVariable`s."""

    def __init__(self, graph: Graph) -> None:
        verify(graph, ops.infer)
        graph = simplify(expand_blocks(graph))
        nodes = graph.nodes()
        leaves = [*graph.inputs, *graph.state]
        self._slot = {node: k for k, node in enumerate(dict.fromkeys([*leaves, *nodes]))}
        self._inputs = [self._slot[n] for n in graph.inputs]
        self._state = [self._slot[n] for n in graph.state]
        self._outputs = [self._slot[n] for n in graph.outputs]
        self._updates = [
            (k, self._slot[u]) for k, (n, u) in enumerate(zip(graph.state, graph.updates, strict=True)) if n is not u
        ]
        self._result_types = [(n.shape, n.dtype) for n in graph.outputs]
        self._start: list[Array | None] = [None] * len(self._slot)
        for node in nodes:
            if node.op == "constant":
                self._start[self._slot[node]] = node.value
        self._instructions = self._schedule([n for n in nodes if n.inputs], graph)

    def _schedule(self, nodes: Sequence[Node], graph: Graph) -> list[Instruction]:
        last_reader = {i: node for node in nodes for i in node.inputs}
        for kept in graph.results:
            last_reader.pop(kept, None)
        found = []
        for node in nodes:
            evaluate = ops.lookup(node.op).evaluate
            assert evaluate is not None
            found.append(
                Instruction(
                    partial(evaluate, **node.attributes),
                    tuple(self._slot[i] for i in node.inputs),
                    self._slot[node],
                    tuple(self._slot[i] for i in set(node.inputs) if i.inputs and last_reader.get(i) is node),
                )
            )
        return found

    def run(self, inputs: Sequence[Array], state: Sequence[Any]) -> list[Array]:
        """See `Program.run`."""
        slots = self._evaluate(inputs, state)
        results = self._results(slots)  # before the state changes, which an output may be a view of
        self._commit(slots, state)
        return results

    def run_steps(
        self,
        tables: Sequence[Array],
        rows: Array,
        per_step: Sequence[Array],
        state: Sequence[Any],
        until: float | None = None,
    ) -> list[Array]:
        """See `Program.run_steps`."""
        found: list[list[Array]] = []
        for step, chosen in enumerate(rows):
            slots = self._evaluate([*(t[chosen] for t in tables), *(v[step] for v in per_step)], state)
            found.append(self._results(slots))
            watched = found[-1][0]
            if not np.isfinite(watched) or (until is not None and watched <= until):
                break
            self._commit(slots, state)
        return [
            np.array([results[k] for results in found], dtype).reshape(len(found), *shape)
            for k, (shape, dtype) in enumerate(self._result_types)
        ]

    def _evaluate(self, inputs: Sequence[Array], state: Sequence[Any]) -> list[Any]:
        slots: list[Any] = self._start.copy()
        for slot, array in zip([*self._inputs, *self._state], [*inputs, *(v.array for v in state)], strict=True):
            slots[slot] = array
        with np.errstate(all="ignore"):
            for instruction in self._instructions:
                slots[instruction.writes] = instruction.compute(*(slots[k] for k in instruction.reads))
                for k in instruction.done_with:
                    slots[k] = None
        return slots

    def _commit(self, slots: Sequence[Any], state: Sequence[Any]) -> None:
        # An update may be a view of another Variable's memory (an exchange of two, say), so all are copied before any is put.
        values = [(k, np.array(slots[slot], order="C")) for k, slot in self._updates]
        for k, value in values:
            state[k].put(value)

    def _results(self, slots: Sequence[Any]) -> list[Array]:
        return [np.array(slots[k]) for k in self._outputs]


class ReferenceBackend:
    """Runs graphs with NumPy."""

    name = "reference"
    place = PLACE

    def hold(self, value: Array) -> HostVariable:
        """See `Backend.hold`."""
        return HostVariable(value)

    def compile(self, graph: Graph, threads: int | None = None) -> ReferenceProgram:
        """See `Backend.compile`. There is one thread."""
        return ReferenceProgram(graph)


REFERENCE = ReferenceBackend()
