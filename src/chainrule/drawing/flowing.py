"""What flows along the arrows of a graph: values forward, gradients back."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from chainrule import autodiff, ir
from chainrule.derivations import Calculation, is_plain_constant
from chainrule.errors import ChainruleError
from chainrule.ir import LEAVES, Array, Node, topological

_MOST_PLACES = 3  # depths at which a leaf is read, before it is drawn at each of them


@dataclass(frozen=True)
class Flow:
    """An arrow between two shown nodes.

    Attributes:
        source, target: the target is computed from the source, through no other shown node.
        gradient: what comes back over this arrow; None where nothing does.
    """

    source: Node
    target: Node
    gradient: Array | None


def behind(node: Node, shown: Collection[Node]) -> list[Node]:
    """What a shown node is computed from through no other shown node: hidden nodes and itself, inputs before readers."""
    order = topological([node], stop=lambda n: n in shown and n is not node)
    return [n for n in order if n is node or n not in shown]


def flows(calc: Calculation, shown: Collection[Node], *, gradients: bool) -> tuple[list[Flow], dict[Node, Array]]:
    """All arrows between shown nodes, and the gradient of the output by every shown node and every leaf.

    The gradient is taken back operation by operation with the records that training uses. Parallel arrows (a·a) stay apart,
    each with its own part, unless hidden nodes lie between.
    """
    found: list[Flow] = []
    totals: dict[Node, Array] = {}
    if gradients and calc.output.dtype.kind == "f":
        totals[calc.output] = np.ones(calc.output.shape, calc.output.dtype)
    for target in reversed(calc.nodes):
        if target in shown and target.op not in LEAVES:
            found += _into(target, shown, totals)
    return found[::-1], totals


def _into(target: Node, shown: Collection[Node], totals: dict[Node, Array]) -> list[Flow]:
    """The arrows that end at a node; what comes back over them is added to `totals`."""
    inside = [n for n in behind(target, shown) if n.op not in LEAVES]
    local = {target: totals[target]} if target in totals else {}
    arrows: list[Flow] = []
    merged: dict[Node, Array | None] = {}
    for node in reversed(inside):
        for source, g in zip(node.inputs, _back(node, local.get(node)), strict=True):
            if source in shown or source.op in LEAVES:
                _add(totals, source, g)
            else:
                _add(local, source, g)
            if source in shown and len(inside) == 1:
                arrows.append(Flow(source, target, g))
            elif source in shown:
                merged[source] = g if merged.get(source) is None else merged[source] if g is None else merged[source] + g
    return arrows + [Flow(source, target, g) for source, g in merged.items()]


def _add(sums: dict[Node, Array], node: Node, g: Array | None) -> None:
    if g is not None:
        sums[node] = sums[node] + g if node in sums else g


def _back(node: Node, g: Array | None) -> list[Array | None]:
    """What each input of an operation gets back; None where nothing flows."""
    nothing: list[Array | None] = [None] * len(node.inputs)
    if g is None:
        return nothing
    leaves = tuple(
        i if is_plain_constant(i) else Node("variable", (), {}, i.shape, i.dtype, None, i.value) for i in node.inputs
    )
    local = Node(node.op, leaves, node.attributes, node.shape, node.dtype, None, node.value)
    wanted = [k for k, i in enumerate(leaves) if i.dtype.kind == "f" and not is_plain_constant(i)]
    try:
        found = autodiff.gradient(local, [leaves[k] for k in wanted], ir.constant(g))
    except ChainruleError:
        return nothing
    for k, each in zip(wanted, found, strict=True):
        nothing[k] = None if each is None else each.value
    return nothing


def repeated(arrows: Sequence[Flow]) -> tuple[list[Flow], dict[Node, Node]]:
    """Let leaves that are read at many places along a graph stand at each of them, instead of with arrows all along it.

    Args:
        arrows: inputs before readers.

    Returns:
        The arrows, and the copies with the leaves that they are of; of these the first place keeps the leaf itself.
    """
    depth: dict[Node, int] = {}
    readers: dict[Node, list[Flow]] = {}
    for arrow in arrows:
        depth[arrow.target] = max(depth.get(arrow.target, 0), depth.get(arrow.source, 0) + 1)
        if arrow.source.op in LEAVES:
            readers.setdefault(arrow.source, []).append(arrow)
    sources: dict[int, Node] = {}
    copies: dict[Node, Node] = {}
    for leaf, read in readers.items():
        places = sorted({depth[arrow.target] for arrow in read})
        for place in places[1:] if len(places) > _MOST_PLACES else ():
            copy = Node(leaf.op, (), {}, leaf.shape, leaf.dtype, leaf.name, leaf.value)
            copies[copy] = leaf
            sources |= {id(arrow): copy for arrow in read if depth[arrow.target] == place}
    return [replace(arrow, source=sources.get(id(arrow), arrow.source)) for arrow in arrows], copies
