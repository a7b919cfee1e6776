"""Which nodes of a large graph are shown: its layers, its named values, or, where there are neither, slices of it.

A layer is what lies between the first use of one Module's parameters and that of the next one's. Its parameters, and what is
made of them alone (a transposed weight), lie inside its box.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from chainrule.derivations import Calculation, find_layers, in_layer_notation, is_plain_constant
from chainrule.drawing.flowing import behind
from chainrule.errors import ArgumentError
from chainrule.ir import LEAVES, Node, topological
from chainrule.ops.primitive import facts

MOST_NODES = 300
_MOST_LEAVES = 40  # of a sliced graph
_MOST_SLICES = 12
_MOST_LAYERS = 24  # before several share a box


@dataclass(frozen=True)
class Folding:
    """A choice of nodes.

    Attributes:
        shown: every node that is a box.
        owners: the part of the network ("0", "encoder.2") that every parameter belongs to.
    """

    shown: frozenset[Node]
    owners: Mapping[Node, str]


def by_layers(calc: Calculation) -> Folding:
    """Layers as boxes.

    Raises:
        ArgumentError: nothing in the calculation looks like a layer.
    """
    owners = _owners(calc)
    if not owners:
        raise ArgumentError(
            "a drawing of layers was asked for a calculation without layers",
            "layers are Modules, or products of a weight matrix with activations, such as W @ x + b",
            "Draw it with detail='all', or give names to important values and draw with detail='named'.",
        )
    shown = shown_layers([calc.output], owners)
    return Folding(shown | _data(calc, owners), owners)


def folded(calc: Calculation) -> Folding:
    """A picture's worth of a graph that is too large: layers and named values; else named values; else slices."""
    owners = _owners(calc)
    named = {n for n in calc.nodes if n in calc.named_by_user and n.op not in LEAVES} | {calc.output}
    choices: list[Folding] = []
    if owners:
        layers = shown_layers([calc.output], owners) | _data(calc, owners)
        choices += [Folding(layers | named, owners), Folding(layers, owners)]
    if len(named) > 1:
        choices.append(Folding(frozenset(named) | _data(calc, owners), owners))
    for choice in choices:
        if len(choice.shown) <= MOST_NODES:
            return choice
    return _slices(calc, owners)


def _owners(calc: Calculation) -> dict[Node, str]:
    """The parameters of a calculation: leaves with the names that Modules give, and weights and biases of layers."""
    found = {n: (n.name or "").rpartition(".")[0] for n in calc.nodes if n.op == "variable" and "." in (n.name or "")}
    layers = find_layers(calc)
    dense = {leaf: str(layer.number) for layer in layers for leaf in (layer.weight, layer.bias) if leaf is not None}
    if dense and set(found) <= set(dense):
        in_layer_notation(calc, layers)  # zˡ and aˡ mean what they say only where all layers are dense
    return dense | found


def _data(calc: Calculation, owners: Collection[Node]) -> frozenset[Node]:
    """Leaves that are neither parameters nor the keys of random numbers."""
    keys = {i for n in calc.nodes if facts(n).random for i in n.inputs}
    return frozenset(n for n in calc.shown if n.op in LEAVES and n not in owners and n not in keys)


# -------------------------------------------------------------------------------------------- layers
def shown_layers(outputs: Sequence[Node], owners: Mapping[Node, str]) -> frozenset[Node]:
    """The last nodes of every layer; where there are very many, of parts of the network, or of neighbours together."""
    order = topological(outputs)
    for depth in (99, 3, 2, 1):
        stages = _stages(order, {leaf: ".".join(path.split(".")[:depth]) for leaf, path in owners.items()})
        shown = _last_of_each(order, outputs, stages)
        if len(shown) <= _MOST_LAYERS:
            return shown
    count = max(stages.values()) + 1
    return _last_of_each(order, outputs, {node: stage * _MOST_LAYERS // count for node, stage in stages.items()})


def _stages(order: Sequence[Node], owners: Mapping[Node, str]) -> dict[Node, int]:
    """The number of the layer that a node is computed in: it never falls on the way to the output.

    Where all parameters of a Module are vectors (a normalisation), it belongs to the layer before it. What no parameter has a
    part in (a mask) belongs to the first layer that reads it. What reads data that no layer reads (targets) comes after all.
    """
    inside = made_of(order, owners)
    matrices = {owners[leaf] for leaf in owners if leaf.ndim > 1} or set(owners.values())
    numbers: dict[str, int] = {}
    found: dict[Node, int] = {}
    learns: list[Node] = []
    for node in order:
        if node in inside or node.op in LEAVES:
            continue
        own = [owners[leaf] for i in node.inputs if i in inside for leaf in topological([i]) if leaf in owners]
        learns += [node] if own else []
        before = max((found.get(i, 0) for i in node.inputs), default=0)
        found[node] = max([before, *(numbers.setdefault(path, len(numbers) + 1) for path in own if path in matrices)])
    read = set(topological(learns))
    for node in order:
        if (
            node in found
            and node not in read
            and (_reads_data(node, read) or any(found.get(i, 0) > len(numbers) for i in node.inputs))
        ):
            found[node] = len(numbers) + 1
    _pull(order, found)
    return found


def _reads_data(node: Node, read: Collection[Node]) -> bool:
    """Whether a node reads data that no layer reads."""
    return any(i.op in LEAVES and i not in read and not is_plain_constant(i) for i in node.inputs) and not facts(node).random


def _pull(order: Sequence[Node], stages: dict[Node, int]) -> None:
    """Move what lies before all layers to the first that reads it."""
    first: dict[Node, int] = {}
    for node in reversed(order):
        if stages.get(node) == 0 and node in first:
            stages[node] = first[node]
        if node in stages:
            for i in node.inputs:
                first[i] = min(stages[node], first.get(i, stages[node]))


def made_of(order: Iterable[Node], parameters: Collection[Node]) -> set[Node]:
    """Parameters, and what is computed from parameters and constants alone."""
    found: set[Node] = set()
    for node in order:
        if node in parameters or (
            node.inputs and all(i in found or i.op == "constant" for i in node.inputs) and any(i in found for i in node.inputs)
        ):
            found.add(node)
    return found


def _last_of_each(order: Sequence[Node], outputs: Sequence[Node], stages: Mapping[Node, int]) -> frozenset[Node]:
    """Nodes that a later stage reads, and the outputs."""
    read = {i for n in order if n in stages for i in n.inputs if i in stages and stages[i] < stages[n]}
    return frozenset(read | set(outputs))


# -------------------------------------------------------------------------------------------- slices
def _slices(calc: Calculation, owners: Mapping[Node, str]) -> Folding:
    """The graph cut into slices of equal depth, as many as stay readable."""
    depth: dict[Node, int] = {}
    for node in calc.nodes:
        depth[node] = 1 + max((depth[i] for i in node.inputs), default=-1)
    deepest = max(depth.values()) or 1
    data = _data(calc, owners)
    leaves = data if len(data) <= _MOST_LEAVES else frozenset()
    for count in range(_MOST_SLICES, 0, -1):
        stages = {n: d * count // (deepest + 1) for n, d in depth.items() if n.op not in LEAVES}
        shown = _last_of_each(calc.nodes, [calc.output], stages) | leaves
        if len(shown) <= MOST_NODES and _arrows(shown) <= MOST_NODES:
            return Folding(shown, owners)
    return Folding(frozenset({calc.output}), owners)


def _arrows(shown: frozenset[Node]) -> int:
    return sum(len({i for n in behind(node, shown) for i in n.inputs if i in shown}) for node in shown if node.inputs)


# -------------------------------------------------------------------------------------------- what is in a box
def summary(inside: Iterable[Node], sign: Callable[[Node], str], longest: int) -> str | None:
    """The operations in a box in order, "× → + → σ", equal ones together; None if that is too long."""
    runs: list[tuple[str, int]] = []
    for name in map(sign, inside):
        if runs and runs[-1][0] == name:
            runs[-1] = (name, runs[-1][1] + 1)
        else:
            runs.append((name, 1))
    said = " → ".join(name if count == 1 else f"{name} ({count}×)" for name, count in runs)
    return said if said and len(said) <= longest else None
