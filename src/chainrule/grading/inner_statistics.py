"""Inner statistics: what is taken over an array and then used beside its single elements.

The mean and the variance of a layer norm, the sum of a softmax, the length by which a vector is divided. Each of these depends
on every element, so gradients flow through it, too. Whoever takes it for a constant gets the gradient of a calculation in which
it is one. That calculation is made here: the statistic becomes a leaf with its value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from chainrule.derivations.calculations import Calculation
from chainrule.ir import LEAVES, Node, topological
from chainrule.ops.primitive import facts, lookup

_MOST_NODES = 3000


@dataclass(frozen=True)
class Held:
    """A calculation in which some inner statistics are constants.

    Attributes:
        calc: the calculation; its `copies` map the nodes of the one that it was made from.
        statistics: what is held constant, and would be named: not the largest element that softmax takes off before exp.
        block: the block that these are inside of, such as a layer norm; None if they stand in the calculation themselves.
    """

    calc: Calculation
    statistics: tuple[Node, ...]
    block: Node | None


def with_held_statistics(calc: Calculation) -> list[Held]:
    """The calculations in which all inner statistics are held constant, those of one block, or a single one."""
    if len(calc.nodes) > _MOST_NODES:
        return []
    opened = _Opened(calc)
    found = _inner(topological([opened.new[calc.output]]))
    shifts = [n for n in found if _is_shift(n)]
    statistics = [n for n in found if n not in shifts]
    blocks = dict.fromkeys(opened.block.get(n) for n in statistics)
    groups = [statistics, *([n for n in statistics if opened.block.get(n) is b] for b in blocks), *([n] for n in found)]
    held: dict[tuple[Node, ...], Held] = {}
    for group in filter(None, groups):
        inside = {opened.block.get(n) for n in group}
        block = next(iter(inside)) if len(inside) == 1 else None
        held.setdefault(tuple(group), Held(_with_leaves(calc, opened.new, {*group, *shifts}), tuple(group), block))
    return list(held.values())


def _is_reduction(node: Node) -> bool:
    """Whether a node takes one number over several elements of its only input: a sum, a mean, the largest."""
    return "keepdims" in node.attributes and node.dtype.kind == "f" and node.size < node.inputs[0].size


def _is_shift(node: Node) -> bool:
    """Whether a node is a largest or smallest element. Softmax takes it off before exp, and on paper nobody does."""
    return facts(node).corner in ("largest", "smallest")


def _inner(order: Sequence[Node]) -> list[Node]:
    """The reductions whose result is used beside elements that it depends on, as a mean that is subtracted from each."""
    readers: dict[Node, list[Node]] = {}
    for node in order:
        for source in dict.fromkeys(node.inputs):
            readers.setdefault(source, []).append(node)
    return [n for n in order if _is_reduction(n) and _is_used_beside(n, readers)]


def _is_used_beside(node: Node, readers: Mapping[Node, Sequence[Node]]) -> bool:
    stack, seen = [node], {node}
    while stack:
        here = stack.pop()
        for reader in readers.get(here, ()):
            if _spreads(reader, here) or _sets_beside(reader, here):
                return True
            if reader.size == here.size and reader not in seen:
                seen.add(reader)
                stack.append(reader)
    return False


def _spreads(reader: Node, source: Node) -> bool:
    """Whether a node uses each number of a smaller array for several of its elements."""
    record = lookup(reader.op)
    return reader.size > source.size and (record.elementwise or record.body is not None or record.facts.moves == "repeats")


def _sets_beside(reader: Node, source: Node) -> bool:
    """Whether a node, no sum, uses a number together with another that has an origin in common, as in e[0] / Σ e."""
    partials = lookup(reader.op).partials
    if partials is None or len(reader.inputs) < 2:
        return False
    place = next(k for k, i in enumerate(reader.inputs) if i is source)
    local = partials[place](*reader.inputs, y=reader, **reader.attributes)
    origins = {n for n in topological([source]) if n.op != "constant"}
    return isinstance(local, Node) and any(n in origins for i in reader.inputs if i is not source for n in topological([i]))


class _Opened:
    """A calculation with its blocks opened that take statistics inside, such as a layer norm.

    Attributes:
        new: the node that stands for each node of the calculation.
        block: of a node inside a block, the block as it stands in the calculation.
    """

    def __init__(self, calc: Calculation) -> None:
        self.new: dict[Node, Node] = {}
        self.block: dict[Node, Node] = {}
        for node in calc.nodes:
            self._add(node, None)

    def _add(self, node: Node, block: Node | None) -> None:
        inputs = tuple(self.new[i] for i in node.inputs)
        same = all(a is b for a, b in zip(inputs, node.inputs, strict=True))
        copy = node if same else Node(node.op, inputs, node.attributes, node.shape, node.dtype, node.name, node.value)
        body = self._body(copy)
        if body is None:
            self.new[node] = copy
            if block is not None:
                self.block[copy] = block
            return
        outside = set(copy.inputs)
        self.new |= {i: i for i in outside}
        for inner in topological([body], stop=lambda n: n in outside):
            if inner not in self.new:
                self._add(inner, node if block is None else block)
        self.new[node] = self.new[body]
        self.new[node].name = node.name

    def _body(self, node: Node) -> Node | None:
        """The body of a block with statistics inside; None if it is no such block, or was found with another value."""
        if node.op in LEAVES or _is_reduction(node):
            return None
        primitive = lookup(node.op)
        if primitive.body is None or primitive.elementwise or primitive.not_differentiable or primitive.kinks:
            return None
        body = primitive.expand(node)
        if body in set(node.inputs) or not _has_statistics(body, node) or body.value is None or node.value is None:
            return None
        return body if np.allclose(body.value, node.value, rtol=1e-6, atol=0.0, equal_nan=True) else None


def _has_statistics(body: Node, block: Node) -> bool:
    """Whether there are inner statistics in the body of a block, also in blocks inside it."""
    outside = set(block.inputs)
    order = [n for n in topological([body], stop=lambda n: n in outside) if n not in outside]
    if _inner(order):
        return True
    within = [n for n in order if n.op not in LEAVES and not _is_reduction(n) and not lookup(n.op).elementwise]
    return any(lookup(n.op).body is not None and _has_statistics(lookup(n.op).expand(n), n) for n in within)


def _with_leaves(calc: Calculation, opened: Mapping[Node, Node], held: set[Node]) -> Calculation:
    """The calculation with opened blocks and some of its nodes as leaves, all with the values that they have."""
    new: dict[Node, Node] = {}
    for node in topological([opened[calc.output]]):
        inputs = tuple(new[i] for i in node.inputs)
        if node in held:
            new[node] = Node("variable", (), {}, node.shape, node.dtype, node.name, node.value)
        elif all(a is b for a, b in zip(inputs, node.inputs, strict=True)):
            new[node] = node
        else:
            new[node] = Node(node.op, inputs, node.attributes, node.shape, node.dtype, node.name, node.value)
    copies = {node: new[there] for node, there in opened.items() if there in new}
    output = copies[calc.output]
    there = {old: copies[node] for old, node in calc.copies.items() if node in copies}
    shown = frozenset(copies[n] for n in calc.shown if n in copies)
    return Calculation(output, tuple(topological([output])), shown, there | copies)
