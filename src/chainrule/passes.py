"""Graph to graph: expanding blocks, and simplification.

Every pass of `simplify` has a name in `PASSES` and can be switched off; none changes what a graph computes beyond the rounding
of reordered constants.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

from chainrule import ir
from chainrule.ir import LEAVES, Graph, Node
from chainrule.ops.primitive import facts, lookup

Rule = Callable[[Node], Node]
_LARGEST_FOLDED = 4096


def rewrite(graph: Graph, rule: Rule) -> Graph:
    """Rebuild a graph from its leaves, with `rule` applied to every node after its inputs were rebuilt."""
    new: dict[Node, Node] = {}
    for node in graph.nodes():
        inputs = tuple(new[i] for i in node.inputs)
        same = all(a is b for a, b in zip(inputs, node.inputs, strict=True))
        new[node] = rule(node if same else Node(node.op, inputs, node.attributes, node.shape, node.dtype, node.name))
    return replace(
        graph,
        outputs=tuple(new[n] for n in graph.outputs),
        updates=tuple(new[n] for n in graph.updates),
    )


def expand_blocks(graph: Graph, keep: Callable[[Node], bool] = lambda node: False) -> Graph:
    """Replace blocks by their bodies, down to basic primitives, except those that `keep` holds for."""

    def rule(node: Node) -> Node:
        return node if node.op in LEAVES or keep(node) else _expanded(node, keep)

    return rewrite(graph, rule)


def _expanded(node: Node, keep: Callable[[Node], bool]) -> Node:
    primitive = lookup(node.op)
    if primitive.body is None:
        return node
    outside = set(node.inputs)
    body = primitive.expand(node)
    done: dict[Node, Node] = {n: n for n in outside}
    for inner in ir.topological([body], stop=lambda n: n in outside):
        if inner in done:
            continue
        inputs = tuple(done[i] for i in inner.inputs)
        rebuilt = Node(inner.op, inputs, inner.attributes, inner.shape, inner.dtype, inner.name, inner.value)
        done[inner] = rebuilt if inner.op in LEAVES or keep(rebuilt) else _expanded(rebuilt, keep)
    return done[body]


def share() -> Rule:
    """Compute equal things once: nodes with the same primitive, inputs and attributes become one."""
    seen: dict[Any, Node] = {}

    def rule(node: Node) -> Node:
        if node.op in ("input", "variable"):
            return node
        if node.op == "constant":
            assert node.value is not None
            key: Any = ("constant", node.dtype, node.shape, node.value.tobytes())
        else:
            key = (node.op, node.inputs, tuple(sorted(node.attributes.items(), key=lambda item: item[0])))
        return seen.setdefault(key, node)

    return rule


def fold() -> Rule:
    """Compute now what depends on constants only, where the result is small."""

    def rule(node: Node) -> Node:
        if node.op in LEAVES or node.size > _LARGEST_FOLDED or any(i.op != "constant" for i in node.inputs):
            return node
        primitive = lookup(node.op)
        value = ir.constant(primitive.run(node.inputs, node.attributes), name=node.name)
        primitive.expect(value, node.shape, node.dtype)
        return value

    return rule


def identities() -> Rule:
    """Leave out what does nothing: x − 0, x · 1, x / 1, x¹, −(−x), moves that move nothing, and stops of gradients.

    A graph is differentiated first and simplified then, as a stop of a gradient does nothing to values only.
    """
    return _without_effect


def _without_effect(node: Node) -> Node:
    if node.op in LEAVES:
        return node
    known = facts(node)
    if known.redundant is not None:
        same = known.redundant(node)
        return node if same is None else same
    unmoved = known.moves not in (None, "reorders") and len(node.inputs) == 1 and _same_type(node.inputs[0], node)
    return node.inputs[0] if unmoved else node


def _same_type(a: Node, b: Node) -> bool:
    return a.shape == b.shape and a.dtype == b.dtype


PASSES: dict[str, Callable[[], Rule]] = {"fold": fold, "identities": identities, "share": share}


def simplify(graph: Graph, disable: Collection[str] = ()) -> Graph:
    """Apply every pass of `PASSES` that is not in `disable`, in one walk. Nodes that nothing needs drop out by themselves."""
    rules = [make() for name, make in PASSES.items() if name not in disable]

    def rule(node: Node) -> Node:
        for apply in rules:
            node = apply(node)
        return node

    return rewrite(graph, rule)
