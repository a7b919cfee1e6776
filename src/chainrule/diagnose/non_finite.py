"""The first NaN or infinity of a calculation, traced to the node that makes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.explain.language import Language, index_of
from chainrule.ir import LEAVES, Array, Graph, Node, type_text
from chainrule.ops import formula, lookup

_GIVEN = ("{name} {type} is handed in with {value}", "传入的 {name} {type} 含有 {value}")
_MADE = ("{formula} gives {value} at {place}, from {inputs}", "{formula} 在 {place} 处得到 {value}, 其输入为 {inputs}")
_RANGE = ("{name} in [{low:.4g}, {high:.4g}]", "{name} ∈ [{low:.4g}, {high:.4g}]")


@dataclass(frozen=True)
class Range:
    """The finite values of an input of a node, from `low` to `high`; NaN if it has none."""

    name: str
    low: float
    high: float


@dataclass(frozen=True)
class NonFinite:
    """Where the first NaN or infinity came from.

    Attributes:
        node: the node that has it: a leaf that was handed in with it, or the first one that made it from finite values.
        op: its primitive; "input", "variable" or "constant" for a leaf.
        formula: how it was computed.
        value: what it became: "nan", "inf" or "-inf".
        place: index of the first such element.
        inputs: what it read.
    """

    node: Node
    op: str
    formula: str
    value: str
    place: tuple[int, ...]
    inputs: tuple[Range, ...]

    def text(self, language: Language = "en") -> str:
        """All of it in a sentence."""
        column = index_of(language)
        if self.op in LEAVES:
            return _GIVEN[column].format(name=self.node.name or self.op, type=type_text(self.node), value=self.value)
        inputs = ", ".join(_RANGE[column].format(name=r.name, low=r.low, high=r.high) for r in self.inputs)
        return _MADE[column].format(formula=self.formula, value=self.value, place=self.place, inputs=inputs)

    def to_dict(self) -> dict[str, Any]:
        """As data that JSON can hold."""
        return {
            "op": self.op,
            "name": self.node.name,
            "formula": self.formula,
            "value": self.value,
            "place": list(self.place),
            "inputs": [{"name": r.name, "low": _jsonable(r.low), "high": _jsonable(r.high)} for r in self.inputs],
        }

    def __str__(self) -> str:
        return self.text()


def first_non_finite(graph: Graph, inputs: Sequence[Array], state: Sequence[Array] = ()) -> NonFinite | None:
    """Run a graph node by node, with the primitives' own NumPy meaning, to the first value that is not finite.

    Blocks count as one node: inside them infinities may be meant. Leaves are looked at first, then what is computed, in order.

    Args:
        graph: for example a training step.
        inputs: a value per input of the graph.
        state: a value per variable of the graph; left as it is.

    Returns:
        Where it came from, or None if every value is finite.
    """
    values: dict[Node, Array] = dict(zip([*graph.inputs, *graph.state], [*inputs, *state], strict=True))
    for leaf, value in list(values.items()):
        if not _is_finite(value):
            return _found(leaf, value, {})
    for node in graph.nodes():
        if node.op in LEAVES:
            values.setdefault(node, node.value if node.value is not None else np.zeros(node.shape, node.dtype))
            continue
        leaves = tuple(Node("constant", (), {}, i.shape, i.dtype, i.name, values[i]) for i in node.inputs)
        values[node] = lookup(node.op).run(leaves, node.attributes)
        if not _is_finite(values[node]):
            return _found(node, values[node], values)
    return None


def _is_finite(value: Array) -> bool:
    return value.dtype.kind != "f" or bool(np.isfinite(value).all())


def _found(node: Node, value: Array, values: dict[Node, Array]) -> NonFinite:
    place = tuple(int(i) for i in np.argwhere(~np.isfinite(value))[0])
    ranges = tuple(_range(i, values[i], position) for position, i in enumerate(node.inputs))
    return NonFinite(node, node.op, _short_formula(node), str(value[place]), place, ranges)


def _range(node: Node, value: Array, position: int) -> Range:
    finite = value[np.isfinite(value)] if value.size else value
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (np.nan, np.nan)
    return Range(_input_name(node, position), low, high)


def _input_name(node: Node, position: int) -> str:
    return node.name or (f"{node.value.item():.6g}" if node.value is not None and node.size == 1 else f"u{position + 1}")


def _short_formula(node: Node) -> str:
    """The primitive's own notation, with its inputs by name, or as u₁, u₂, … in order."""
    if node.op in LEAVES:
        return node.name or node.op
    shown = tuple(Node("input", (), {}, i.shape, i.dtype, _input_name(i, k)) for k, i in enumerate(node.inputs))
    return formula(Node(node.op, shown, node.attributes, node.shape, node.dtype))


def _jsonable(number: float) -> float | str:
    return number if np.isfinite(number) else str(number)
