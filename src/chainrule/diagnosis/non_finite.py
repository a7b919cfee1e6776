"""The first NaN or infinity of a calculation, traced to the node that makes it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from chainrule.diagnosis.reasons import REASONS, Reason, limits, reason_for
from chainrule.ir import LEAVES, Array, Graph, Node, topological, type_text
from chainrule.language import Language, index_of
from chainrule.ops import formula as plain_formula
from chainrule.ops import lookup

_GIVEN = ("{name} {type} is handed in with {value}{at}", "传入的 {name} {type}{at}为 {value}")
_MADE = (
    "{formula}{inside} gives {value}{at}{inputs} ({reason})",
    "{formula}{inside}{at}得到 {value}{inputs}（{reason}）",
)
_AT = ((" at {place}", ""), (" 在 {place} 处", " "))  # of an array, of a number
_INSIDE = (" inside {block}", "（{block} 内部）")
_THERE = (", where {inputs}", "，此处 {inputs}")
_RANGES = (", from {inputs}", "，其输入为 {inputs}")
_SHORT = 40  # characters of a formula that stands for its value
_RANGE = ("{name} in [{low:.4g}, {high:.4g}]", "{name} ∈ [{low:.4g}, {high:.4g}]")


@dataclass(frozen=True)
class Operand:
    """What a node read.

    Attributes:
        shown: how the formula shows it, as a node: by its name, number or formula if that is short, else as u₁, u₂, …
        low, high: ends of the range of its finite values; NaN if it has none.
        there: its value at the place of the result, where the operation is elementwise; else None.
    """

    shown: Node
    low: float
    high: float
    there: float | None

    @property
    def name(self) -> str:
        """How the formula calls it."""
        return plain_formula(self.shown)


@dataclass(frozen=True)
class NonFinite:
    """Where the first NaN or infinity came from.

    Attributes:
        node: the node of the graph that has it: a leaf that was handed in with it, or the first one that made it.
        op: the primitive that made it, inside a block that of the block's body; "input", "variable" or "constant" for a leaf.
        shown: how it was computed, as a node of what its operands show.
        value: what it became: "nan", "inf" or "-inf".
        place: index of the first such element.
        inputs: what it read.
        block: name of the block inside which it lies, or "".
        reason: why, a key of `chainrule.diagnosis.reasons.REASONS`.
    """

    node: Node
    op: str
    shown: Node
    value: str
    place: tuple[int, ...]
    inputs: tuple[Operand, ...]
    block: str
    reason: str

    @property
    def formula(self) -> str:
        """How it was computed."""
        return (self.shown.name or self.op) if self.op in LEAVES else plain_formula(self.shown)

    def text(self, language: Language = "en", write: Callable[[Node], str] = plain_formula) -> str:
        """All of it in a sentence.

        Args:
            language: "en" or "zh".
            write: how nodes are written in it.
        """
        column = index_of(language)
        at = _AT[column][0 if self.place else 1].format(place=self.place)
        if self.op in LEAVES:
            name = self.node.name or self.op
            return _GIVEN[column].format(name=name, type=type_text(self.node), value=self.value, at=at)
        return _MADE[column].format(
            formula=write(self.shown),
            inside=_INSIDE[column].format(block=self.block) if self.block else "",
            value=self.value,
            at=at,
            inputs=self._inputs_text(column, write),
            reason=self.why.text[column].format(**limits(self.node.dtype)),
        )

    def _inputs_text(self, column: int, write: Callable[[Node], str]) -> str:
        if all(o.there is not None for o in self.inputs):
            there = (f"{write(o.shown)} = {o.there:.6g}" for o in self.inputs if o.name != f"{o.there:.6g}")
            texts = ", ".join(dict.fromkeys(there))
            return _THERE[column].format(inputs=texts).removesuffix(", where ").removesuffix("，此处 ")
        ranges = (_RANGE[column].format(name=write(o.shown), low=o.low, high=o.high) for o in self.inputs)
        return _RANGES[column].format(inputs=", ".join(ranges))

    @property
    def why(self) -> Reason:
        """What happened, and what helps."""
        return REASONS[self.reason]

    def to_dict(self) -> dict[str, Any]:
        """As data that JSON can hold."""
        return {
            "op": self.op,
            "name": self.node.name,
            "formula": self.formula,
            "value": self.value,
            "place": list(self.place),
            "inputs": [
                {"name": o.name, "low": _jsonable(o.low), "high": _jsonable(o.high), "there": _jsonable(o.there)}
                for o in self.inputs
            ],
            "block": self.block,
            "reason": self.reason,
        }

    def __str__(self) -> str:
        return self.text()


def first_non_finite(
    graph: Graph, inputs: Sequence[Array], state: Sequence[Array] = (), *, results: Sequence[Node] | None = None
) -> NonFinite | None:
    """Run a graph node by node on the reference backend, and find where the NaN or infinity in its results comes from.

    An infinity that reaches no result, such as the −∞ of a masked score, is meant, and passed over. Blocks are looked into.

    Args:
        graph: for example a training step.
        inputs: a value per input of the graph.
        state: a value per variable of the graph; left as it is.
        results: nodes of the graph that should be finite; all its results if left out.

    Returns:
        Where it came from, or None if these results are finite.
    """
    wanted = graph.results if results is None else results
    given = dict(zip([*graph.inputs, *graph.state], [*inputs, *state], strict=True))
    return _first(list(wanted), given, block="")


def first_of_calculation(results: Sequence[Node]) -> NonFinite | None:
    """As `first_non_finite`, of a calculation that ran: its leaves have their values."""
    return _first(results, {}, block="")


def _first(results: Sequence[Node], given: Mapping[Node, Array], block: str) -> NonFinite | None:
    """The first maker of something that is not finite among the ancestors of these nodes, up to those that are given."""
    order = topological(results, stop=lambda n: n in given)
    values = _values(order, given)
    spoilt = {node for node in order if not _is_finite(values[node])}
    chain = _reaching(results, spoilt)
    makers = [node for node in order if node in chain and _makes(node, values, spoilt)]
    if not makers:
        return None
    # A constant is meant; it is only to blame where nothing else is.
    node = next((n for n in makers if n.op != "constant"), makers[0])
    inside = _inside(node, values) if node.op not in LEAVES and lookup(node.op).body else None
    return replace(inside, node=node) if inside else _found(node, values, block)


def _values(order: Sequence[Node], given: Mapping[Node, Array]) -> dict[Node, Array]:
    values = dict(given)
    for node in order:
        if node in values:
            continue
        if node.op in LEAVES:
            values[node] = node.value if node.value is not None else np.zeros(node.shape, node.dtype)
            continue
        leaves = tuple(Node("constant", (), {}, i.shape, i.dtype, i.name, values[i]) for i in node.inputs)
        values[node] = lookup(node.op).run(leaves, node.attributes)
    return values


def _reaching(results: Sequence[Node], spoilt: Collection[Node]) -> set[Node]:
    """Nodes that are not finite, from which a result is reached through nodes that are not."""
    waiting, found = [n for n in results if n in spoilt], set[Node]()
    while waiting:
        node = waiting.pop()
        if node not in found:
            found.add(node)
            waiting += [i for i in node.inputs if i in spoilt]
    return found


def _makes(node: Node, values: Mapping[Node, Array], spoilt: Collection[Node]) -> bool:
    """Whether it reads nothing that is spoilt, or makes NaN of infinities."""
    read = [values[i] for i in node.inputs if i in spoilt]
    return not read or (bool(np.isnan(values[node]).any()) and not any(np.isnan(v).any() for v in read))


def _inside(node: Node, values: Mapping[Node, Array]) -> NonFinite | None:
    """The maker within the body of a block; None if the body, run in small steps, stays finite."""
    leaves = tuple(Node("variable", (), {}, i.shape, i.dtype, _input_name(i, k)) for k, i in enumerate(node.inputs))
    body = lookup(node.op).expand(Node(node.op, leaves, node.attributes, node.shape, node.dtype))
    return _first([body], dict(zip(leaves, (values[i] for i in node.inputs), strict=True)), node.op)


def _is_finite(value: Array) -> bool:
    return value.dtype.kind != "f" or bool(np.isfinite(value).all())


def _found(node: Node, values: Mapping[Node, Array], block: str) -> NonFinite:
    value = values[node]
    bad = ~np.isfinite(value)
    if node.op not in LEAVES and np.isnan(value).any():
        bad = np.isnan(value)
    place = tuple(int(i) for i in np.argwhere(bad)[0])
    operands = tuple(_operand(node, values[i], position, place) for position, i in enumerate(node.inputs))
    read = [o.there for o in operands if o.there is not None]
    reason = "handed-in" if node.op in LEAVES else reason_for(node.op, float(value[place]), read or None)
    return NonFinite(node, node.op, _short(node), str(value[place]), place, operands, block, reason)


def _operand(node: Node, value: Array, position: int, place: tuple[int, ...]) -> Operand:
    finite = value[np.isfinite(value)] if value.dtype.kind == "f" else value
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (np.nan, np.nan)
    there = float(np.broadcast_to(value, node.shape)[place]) if lookup(node.op).elementwise else None
    return Operand(_shown(node.inputs[position], position), low, high, there)


def _input_name(node: Node, position: int) -> str:
    """Its name, number or formula if that is short, else u₁, u₂, …"""
    return plain_formula(_shown(node, position))


def _shown(node: Node, position: int) -> Node:
    """What stands for an input in a formula: the node itself if that is short, else u₁, u₂, …"""
    if node.name:
        return Node("input", (), {}, node.shape, node.dtype, node.name)
    known = node.op not in LEAVES or (node.value is not None and node.size == 1)
    short = known and len(plain_formula(node)) <= _SHORT
    return node if short else Node("input", (), {}, node.shape, node.dtype, f"u{position + 1}")


def _short(node: Node) -> Node:
    """The node without its name, of inputs as `_shown`."""
    if node.op in LEAVES:
        return node
    shown = tuple(_shown(i, k) for k, i in enumerate(node.inputs))
    return Node(node.op, shown, node.attributes, node.shape, node.dtype)


def _jsonable(number: float | None) -> float | str | None:
    return number if number is None or np.isfinite(number) else str(number)
