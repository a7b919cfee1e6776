"""From groups of nodes to kernels over numbered buffers: the plan of a program.

This decides which values are in memory and where, what every kernel reads and writes, and in which order they run. `Plan` is
plain data.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from chainrule.backends.native.graph import rewrite
from chainrule.backends.native.graph.forms import INSTRUCTIONS
from chainrule.backends.native.graph.grouping import REDUCTIONS, Group, Groups, element_by_element, group_graph, view
from chainrule.backends.native.graph.views import View, contiguous, stripped, whole, window_strides
from chainrule.backends.native.plan import memory, staging, tiling
from chainrule.backends.native.plan.kernels import (
    SCRATCH,
    Access,
    Apply,
    Check,
    Contraction,
    Draw,
    Dynamic,
    Immediate,
    Instruction,
    Kernel,
    Load,
    Nest,
    Reduction,
    Staged,
    Store,
    cycles,
    reordered,
    simplified,
    thread_stride,
)
from chainrule.backends.native.plan.plans import Buffer, KernelCall, Plan
from chainrule.backends.native.plan.schedule import split_axis
from chainrule.backends.native.plan.tiling import Tiling
from chainrule.backends.native.target import Target
from chainrule.ir import DType, Graph, Node, Shape

_WORTH_SHARING = 6_000  # cycles: threads share kernels that take longer
_WORTH_THREADS = 40_000  # cycles: a step in which such kernels take less runs on one thread


def plan_of(graph: Graph, target: Target, threads: int) -> Plan:
    """The plan of a graph, where only that is wanted: the first three stages of `compiler.compile_graph`."""
    return lower(group_graph(rewrite.prepare(graph, target)), target, threads)


def lower(groups: Groups, target: Target, threads: int = 1) -> Plan:
    """Plan groups of nodes for a processor, for so many threads, or one if they do not pay."""
    plan = _Lowering(groups, target, threads).run()
    shared = sum(cycles(s.kernel, target.vector_bytes // 4) for s in plan.calls if s.parallel)
    return plan if threads == 1 or shared >= _WORTH_THREADS else _Lowering(groups, target, 1).run()


class _Lowering:
    def __init__(self, groups: Groups, target: Target, threads: int) -> None:
        graph = groups.graph
        self.target = target
        self.threads = threads
        self.plan = Plan(graph, threads)
        self.groups, self.before_state = groups.groups, groups.before_state
        self.group_of: dict[Node, int] = {n: g for g, group in enumerate(self.groups) for n in group.nodes}
        self.buffers: dict[Node, Buffer] = {}
        self.external: dict[tuple[str, int], Buffer] = {}
        self.stored: set[Node] = set()
        for storage, leaves in (("input", graph.inputs), ("state", graph.state)):
            for k, leaf in enumerate(leaves):
                self.buffers.setdefault(leaf, self._callers_array(storage, k, leaf))
        for k, node in enumerate(graph.outputs):
            self._callers_array("output", k, node)

    def _callers_array(self, storage: Any, number: int, node: Node) -> Buffer:
        found = Buffer(storage, number, node.dtype, node.size, node.name or f"{storage} {number}")
        self.external[storage, number] = found
        return found

    def run(self) -> Plan:
        self._find_stored()
        made = [_KernelsOf(self, number, group).make() for number, group in enumerate(self.groups)]
        for number, group in enumerate(self.groups):
            if group.nodes and group.nodes[0].attributes.get("staged"):
                staging.put_in_stages(made, number, self.threads)
        self.plan.first_writer = sum(len(calls) for calls in made[: self.before_state])
        self.plan.calls = [self._finished(call) for calls in made for call in calls]
        self.plan.arena_bytes = memory.lay_out([call.buffers for call in self.plan.calls])
        return self.plan

    def _finished(self, call: KernelCall) -> KernelCall:
        kernel = simplified(call.kernel) if isinstance(call.kernel, Nest) else call.kernel
        return replace(call, kernel=kernel, parallel=self._pays(kernel))

    def _pays(self, kernel: Kernel) -> bool:
        """Whether threads share a kernel: it takes longer than a barrier, and there is something to share."""
        if self.threads == 1 or cycles(kernel, self.target.vector_bytes // 4) < _WORTH_SHARING:
            return False
        if isinstance(kernel, Contraction):
            return kernel.split != "none"
        if isinstance(kernel, Staged):
            return kernel.sizes[:1] >= (self.threads,)
        return isinstance(kernel, Nest) and split_axis(kernel, self.target, self.threads) is not None

    def _find_stored(self) -> None:
        """The nodes that are read from outside their group, or not element by element, and so need memory."""
        for number, group in enumerate(self.groups):
            readers = [(n, i) for n in group.nodes for i in n.inputs]
            readers += [(Node("copy", (n,), {}, n.shape, n.dtype), n) for n, _ in group.sinks]
            if group.check is not None:
                index = group.check[0]
                readers.append((Node("check", (index,), {}, index.shape, index.dtype), index))
            for reader, operand in readers:
                base = view(operand).base
                if base in self.group_of and not self.in_register(reader, operand, number):
                    self.stored.add(base)

    def in_register(self, reader: Node, operand: Node, group: int) -> bool:
        """Whether a node computed in a group finds its operand there."""
        found = view(operand)
        if self.group_of.get(found.base) != group or found.base.op in REDUCTIONS or found.base.op == "place":
            return False
        return element_by_element(reader, found)

    def buffer(self, node: Node) -> Buffer:
        """The memory of a leaf or of a stored node."""
        if node not in self.buffers:
            if node.op == "constant":
                assert node.value is not None
                self.plan.constants.append(np.ascontiguousarray(node.value))
                found = Buffer("constant", len(self.plan.constants) - 1, node.dtype, node.size, "constant")
            else:
                kept = node.op == "place" and node.attributes["fill"] == 0
                found = Buffer("arena", 0, node.dtype, node.size, node.name or node.op, kept)
            self.buffers[node] = found
        return self.buffers[node]


class _KernelsOf:
    """The kernels of one group."""

    def __init__(self, lowering: _Lowering, number: int, group: Group) -> None:
        self.all = lowering
        self.number = number
        self.group = group
        self.used: list[Buffer] = []
        self.values: list[Instruction] = []
        self.known: dict[Any, int] = {}

    def make(self) -> list[KernelCall]:
        makers = {
            "nest": self._nest_call,
            "contraction": self._contraction_call,
            "draw": self._draw_call,
            "check": self._check_call,
            "assembly": self._assembly_calls,
        }
        fills = [self._filled(n, n.attributes["fill"]) for n in self.group.nodes if n.op == "place" and n.attributes["fill"]]
        self._restart()
        return fills + makers[self.group.kind]()

    def _call(self, kernel: Kernel) -> KernelCall:
        return KernelCall(kernel, tuple(self.used), ", ".join(n.name or n.op for n in self.group.nodes) or "copy")

    # ---------------------------------------------------------------------------------------- accesses
    def _argument(self, buffer: Buffer) -> int:
        if buffer not in self.used:
            self.used.append(buffer)
        return self.used.index(buffer)

    def _access(self, found: View, shape: Shape, buffer: Buffer | None = None) -> Access:
        """A view broadcast to `shape`, over the axes of `shape` that are not of size 1."""
        strides = found.broadcast(shape)
        kept = tuple(s for s, n in zip(strides, shape, strict=True) if n != 1)
        target = buffer or self.all.buffer(found.base)
        return Access(self._argument(target), found.base.dtype, found.offset, kept)

    # ---------------------------------------------------------------------------------------- values
    def _emit(self, key: Any, value: Instruction) -> int:
        if key not in self.known:
            self.values.append(value)
            self.known[key] = len(self.values) - 1
        return self.known[key]

    def _operand(self, reader: Node, operand: Node, shape: Shape) -> int:
        """The place of an operand among the values: computed here, a number, or loaded."""
        found = view(operand)
        base = found.base
        if self.all.in_register(reader, operand, self.number):
            return self.known[base]
        number = _uniform_number(base)
        if number is not None:
            return self._emit(("immediate", base.dtype, repr(number)), Immediate(number, base.dtype))
        access = self._access(found, shape)
        return self._emit(("load", access), Load(access))

    def _compute(self) -> list[Reduction]:
        reductions = []
        for node in self.group.nodes:
            if node.op in REDUCTIONS:
                reductions.append(self._reduction(node))
            elif node.op == "gather":
                access = self._gathered(node)
                self.known[node] = self._emit(("load", access), Load(access))
            elif node.op in INSTRUCTIONS:
                arguments = tuple(self._operand(node, i, node.shape) for i in node.inputs)
                attributes = tuple(node.attributes.items())
                self._emit(node, Apply(node.op, arguments, node.dtype, attributes))
        return reductions

    def _stores(self) -> list[Store]:
        stores = [
            Store(self.known[n], self._access(whole(n), n.shape))
            for n in self.group.nodes
            if n in self.all.stored and n.op not in REDUCTIONS and n.op != "place"
        ]
        stores += [store for n in self.group.nodes if n.op == "place" for store in self._placements(n)]
        for node, target in self.group.sinks:
            value = self._operand(Node("copy", (node,), {}, node.shape, node.dtype), node, node.shape)
            stores.append(Store(value, self._access(whole(node), node.shape, self.all.external[target])))
        return stores

    def _placements(self, node: Node) -> list[Store]:
        """The stores that put the inputs of a `place` where they belong."""
        return [
            Store(self._operand(node, x, x.shape), self._access(View(node, offset, x.shape, strides), x.shape))
            for x, (offset, strides) in zip(node.inputs, node.attributes["places"], strict=True)
        ]

    def _reduction(self, node: Node) -> Reduction:
        (x,) = node.inputs
        value = self._operand(node, x, x.shape)
        axes = node.attributes["axis"]
        kept = tuple(1 if a in axes else n for a, n in enumerate(x.shape))
        out = View(node, 0, kept, contiguous(kept))
        return Reduction(node.op, value, self._access(out, x.shape))  # type: ignore[arg-type]

    def _gathered(self, node: Node) -> Access:
        """x[index…] with the index axes first: their part of the address is loaded."""
        x, *indices = node.inputs
        found = view(x)
        axes = node.attributes["axes"]
        rest = tuple(s for a, s in enumerate(found.strides) if a not in axes)
        return self._indexed(found, indices, axes, rest, node.shape)

    def _indexed(
        self, found: View, indices: Sequence[Node], axes: Sequence[int], rest: tuple[int, ...], shape: Shape
    ) -> Access:
        lead = len(shape) - len(rest)
        base = View(found.base, found.offset, shape, (*(0,) * lead, *rest))
        dynamic = []
        for index, axis in zip(indices, axes, strict=True):
            position = view(index)
            strides = (*position.broadcast(shape[:lead]), *(0,) * len(rest))
            access = self._access(View(position.base, position.offset, shape, strides), shape)
            dynamic.append(Dynamic(access, found.strides[axis], found.shape[axis]))
        plain = self._access(base, shape)
        return Access(plain.buffer, plain.dtype, plain.offset, plain.strides, tuple(dynamic))

    # ---------------------------------------------------------------------------------------- kernels
    def _nest_call(self) -> list[KernelCall]:
        return [self._call(self._nest(self._compute()))]

    def _nest(self, reductions: list[Reduction]) -> Nest:
        domain = self.group.domain
        reduced = tuple(a in (self.group.reduced or ()) for a in range(len(domain)))
        stores = tuple(self._stores())  # which may load what is only passed on
        return Nest(domain, reduced, tuple(self.values), stores, tuple(reductions))

    def _contraction_call(self) -> list[KernelCall]:
        """A contraction, and what is done to its elements; plain sums that are read elsewhere are one of the stores."""
        node = self.group.nodes[0]
        order = node.attributes["axes"]
        alone = len(self.group.nodes) == 1 and not self.group.sinks and contiguous(node.shape)[order[-1]] == 1
        product = self._contraction(node, epilogue=not alone)
        if alone:
            return [self._call(product)]
        sums = Access(SCRATCH, node.dtype, 0, (0,) * len(self.group.domain))
        self.known[node] = self._emit(node, Load(sums))
        self._compute()
        stores = tuple(self._stores())
        epilogue = Nest(self.group.domain, (False,) * len(self.group.domain), tuple(self.values), stores)
        kept = [a for a, n in enumerate(node.shape) if n != 1]
        epilogue = reordered(epilogue, [kept.index(a) for a in order if node.shape[a] != 1])
        scratch = self._temporary("block of sums", product.sums, node.dtype)
        return [self._call(replace(product, epilogue=epilogue, scratch=scratch))]

    def _contraction(self, node: Node, *, epilogue: bool, accumulate: bool = False) -> Contraction:
        a, b = (view(i) for i in node.inputs)
        order, count = node.attributes["axes"], node.attributes["inner"]
        *batch, rows, columns = (node.shape[a] for a in order)
        inner = a.shape[-count:]
        domain = (*batch, rows, columns, *inner)
        left, right = self._factor(a, domain), self._factor(b, domain)
        transposed = node.attributes["skipping"] and order[-1] < order[-2]
        updates = any(kind == "state" for _, (kind, _) in self.group.sinks) and not transposed
        cut = self._tiling(node, left, right, domain, epilogue=epilogue, updates=updates)
        threads = 1 if node.attributes["staged"] else self.all.threads
        cut, split = tiling.share_out(cut, math.prod(batch), rows, columns, threads, updates=updates)
        strides = contiguous(node.shape)
        c = (
            Access(self._argument(self.all.buffer(node)), node.dtype, 0, tuple(strides[a] for a in order))
            if not epilogue
            else None
        )
        sizes = tuple(batch), rows, columns, inner
        found = Contraction(*sizes, left, right, cut, c, split=split, transposed=transposed, accumulate=accumulate)
        packed, words = cut.panel(inner[-1]), rows * cut.words(inner[-1])
        panel = self._temporary("packed panel", packed, node.dtype) if packed else -1
        nonzero = self._temporary("bits of what is not zero", words, np.dtype(np.int64)) if words else -1
        return replace(found, panel=panel, nonzero=nonzero)

    def _tiling(self, node: Node, left: Access, right: Access, domain: Shape, *, epilogue: bool, updates: bool) -> Tiling:
        """How a contraction over (*batch, m, n, *inner) is cut up."""
        count, staged = node.attributes["inner"], node.attributes["staged"]
        *batch, rows, columns = domain[:-count]
        inner, lead = domain[-count:], len(batch)
        summed = count - 1 if staged else 0  # axes that are loops around the product
        strides_of_b = (right.strides[lead + 1], *right.strides[lead + 2 + summed :])
        dtype, target = node.dtype, self.all.target
        if node.attributes["skipping"]:
            return tiling.choose_skipping(rows, columns, inner[0], strides_of_b, dtype=dtype, target=target, updates=updates)
        return tiling.choose(
            rows,
            columns,
            inner[summed:],
            (left.strides[lead], *left.strides[lead + 2 + summed :]),
            strides_of_b,
            dtype=dtype,
            target=target,
            epilogue=epilogue,
            updates=updates,
            repeats=batch[-1] if staged else math.prod(batch),
        )

    def _accumulate(self, node: Node) -> list[KernelCall]:
        first = self._filled(node, 0)
        self._restart()
        return [first, self._call(self._contraction(node, epilogue=False, accumulate=True))]

    def _temporary(self, label: str, size: int, dtype: DType) -> int:
        """Memory for this kernel alone, the same amount for every thread."""
        threads = self.all.threads
        return self._argument(Buffer("arena", 0, dtype, size if threads == 1 else threads * thread_stride(size, dtype), label))

    def _factor(self, found: View, domain: Shape) -> Access:
        """A factor of a contraction over its whole domain, axes of size 1 included."""
        return Access(self._argument(self.all.buffer(found.base)), found.base.dtype, found.offset, found.broadcast(domain))

    def _draw_call(self) -> list[KernelCall]:
        (node,) = self.group.nodes
        key = view(node.inputs[0])
        key_buffer = self._access(key, key.shape)
        out = self._access(whole(node), node.shape)
        assert (key_buffer.buffer, key_buffer.offset, out.buffer) == (0, 0, 1), "rewrite.prepare copies other keys"
        return [self._call(Draw(node.size, node.dtype))]

    def _check_call(self) -> list[KernelCall]:
        assert self.group.check is not None
        values, limits = self.group.check
        return [self._call(Check(self.group.domain, self._access(view(values), values.shape), limits))]

    def _assembly_calls(self) -> list[KernelCall]:
        (node,) = self.group.nodes
        return {
            "concatenate": self._concatenate,
            "windows_sum": self._windows_sum,
            "scatter_add": self._scatter_add,
            "accumulate": self._accumulate,
        }[node.op](node)

    def _concatenate(self, node: Node) -> list[KernelCall]:
        axis = node.attributes["axis"]
        out = contiguous(node.shape)
        calls, start = [], 0
        for x in node.inputs:
            calls.append(self._placed(x, View(node, start * out[axis], x.shape, out)))
            start += x.shape[axis]
        return calls

    def _windows_sum(self, node: Node) -> list[KernelCall]:
        x = node.inputs[0]
        target = View(node, 0, x.shape, window_strides(contiguous(node.shape), node.attributes))
        return [self._filled(node, 0), self._placed(x, target, add=True)]

    def _scatter_add(self, node: Node) -> list[KernelCall]:
        values, *indices = node.inputs
        axes = node.attributes["axes"]
        out = whole(node)
        rest = tuple(s for a, s in enumerate(out.strides) if a not in axes)
        first = self._filled(node, 0)
        self._restart()
        value = self._emit("value", Load(self._access(view(values), values.shape)))
        target = self._indexed(out, indices, axes, rest, values.shape)
        domain = stripped(values.shape)
        adding = Nest(domain, (False,) * len(domain), tuple(self.values), (Store(value, target, add=True),))
        return [first, self._call(adding)]

    def _restart(self) -> None:
        self.used, self.values, self.known = [], [], {}

    def _filled(self, node: Node, number: Any) -> KernelCall:
        self._restart()
        access = self._access(whole(node), node.shape)
        domain = stripped(node.shape)
        value = Immediate(node.dtype.type(number).item(), node.dtype)
        return self._call(Nest(domain, (False,) * len(domain), (value,), (Store(0, access),)))

    def _placed(self, x: Node, target: View, *, add: bool = False) -> KernelCall:
        """x written to, or added to, where a view of another buffer says."""
        self._restart()
        value = self._operand(Node("copy", (x,), {}, x.shape, x.dtype), x, x.shape)
        domain = stripped(x.shape)
        access = self._access(target, x.shape)
        return self._call(Nest(domain, (False,) * len(domain), tuple(self.values), (Store(value, access, add=add),)))


def _uniform_number(node: Node) -> Any:
    """The number that all elements of a constant are, if they are."""
    if node.op != "constant" or node.value is None or node.size == 0:
        return None
    flat = node.value.reshape(-1)
    same = np.array_equal(flat, np.full_like(flat, flat[0]), equal_nan=node.dtype.kind == "f")
    return flat[0].item() if same else None
