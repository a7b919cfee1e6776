"""Slips in forward values: one operation of the calculation done wrongly, and what follows from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from chainrule.derivations.formulas import write
from chainrule.derivations.symbols import symbol
from chainrule.errors import ChainruleError
from chainrule.grading.functions import LOGARITHMS, classic_activations, function_name, is_classic, written_name
from chainrule.grading.quantities import Quantity, World, changed, parameters, recalculated
from chainrule.grading.slip import Slip, Word, slip
from chainrule.ir import LEAVES, Array, Node, topological
from chainrule.ops.primitive import Primitive, facts, is_function, lookup

_FIRST, _LAST = ("slip-sign-argument",), ("slip-replaced",)
_ORDER = ("sign", "constant-factor", "missing-factor", "missing-path", "other-function", "transposed", "stale-weight")


def forward_slips(world: World, quantity: Quantity) -> Iterator[Slip]:
    """Every slip that may have led to another forward value, the likely ones first."""
    yield from sorted(_all(world, quantity), key=lambda s: (_ORDER.index(s.kind), s.phrase in _LAST, s.phrase not in _FIRST))


def _all(world: World, quantity: Quantity) -> Iterator[Slip]:
    right = world.value(quantity)
    if right.size != 1:
        return
    value = float(right)
    yield slip("sign", "slip-sign", -value)
    above = [n for n in topological([quantity.place.node]) if n.op not in LEAVES]
    for node in reversed(above):  # a slip in the last operation is likelier than one further away
        for kind, phrase, changed_value, words in _mistakes(node, world):
            try:
                found = _with(quantity, {node: changed_value})
            except ChainruleError:
                continue
            yield slip(kind, phrase, found, **words)
    yield from _everywhere(world, quantity, above)
    for text, factor in (("2", 2.0), ("½", 0.5)):
        yield slip("constant-factor", "slip-constant", factor * value, factor=text)
    yield from _stale(world, quantity)


def _everywhere(world: World, quantity: Quantity, above: Sequence[Node]) -> Iterator[Slip]:
    """Another function in the place of one that stands in several places."""
    for family in dict.fromkeys(map(_family, above)):
        nodes = [n for n in above if _family(n) == family]
        for given, function in _others(nodes[0]).items() if len(nodes) > 1 else ():
            values: dict[Node, Array] = {}
            for node in nodes:  # inputs first
                values[node] = function(changed(world.calc, values).copies[node])
            yield _as_other_function(nodes[0], given, _with(quantity, values))


def _family(node: Node) -> str:
    """Functions that are mistaken in the same way."""
    return "logarithms" if facts(node).logarithm else node.op


def _others(node: Node) -> dict[str, Callable[[Node], Array]]:
    """What may be taken for a function, under the name that is said."""
    if facts(node).logarithm:
        return {given: partial(_divided, base) for given, base in LOGARITHMS.items()}
    if not is_classic(node):
        return {}
    record = lookup(node.op)
    return {written_name(other): partial(_applied, other) for other in classic_activations() if other is not record}


def _divided(base: float, node: Node) -> Array:
    return np.asarray(node.value) / base


def _applied(function: Primitive, node: Node) -> Array:
    return function.run(node.inputs, {})


def _as_other_function(node: Node, given: str, value: Any) -> Slip:
    if facts(node).logarithm:
        return slip("other-function", "slip-logarithm", value, given=given)
    return slip("other-function", "slip-other-function", value, given=given, right=function_name(node))


def _with(quantity: Quantity, values: Mapping[Node, Array]) -> float:
    node, index = quantity.place.node, quantity.place.index
    found = recalculated(topological([node]), values)[node].value
    assert found is not None
    return float(found[... if index is None else index])


Mistake = tuple[str, str, Array, Mapping[str, Word]]


def _mistakes(node: Node, world: World) -> Iterator[Mistake]:
    """What one operation may have given instead of its value."""
    inputs = [i.value for i in node.inputs]
    texts = [write(i).text for i in node.inputs]
    assert node.value is not None
    for given, function in _others(node).items():
        found = _as_other_function(node, given, function(node))
        yield found.kind, found.phrase, found.value, dict(found.words)
    if node.op in ("add", "subtract") and node.dtype.kind == "f":
        for k in (0, 1):
            kept = inputs[1 - k] if not (node.op == "subtract" and k == 0) else -np.asarray(inputs[1])
            yield "missing-path", "slip-term", _shaped(kept, node), {"term": texts[k]}
        sign = 1.0 if node.op == "subtract" else -1.0
        yield "sign", "slip-sign-term", np.asarray(inputs[0]) + sign * np.asarray(inputs[1]), {"term": texts[1]}
        yield "sign", "slip-sign-term", -np.asarray(inputs[0]) - sign * np.asarray(inputs[1]), {"term": texts[0]}
    elif node.op == "multiply":
        for k in (0, 1):
            constant = node.inputs[k].op == "constant" and node.inputs[k].name is None
            kind, phrase = ("constant-factor", "slip-constant-left") if constant else ("missing-factor", "slip-missing")
            yield kind, phrase, _shaped(inputs[1 - k], node), {"factor": texts[k]}
        yield from _other_operands(node, world)
    elif node.op == "matmul":
        yield from _transpositions(node)
        yield from _other_arrays(node, world)
    elif len(node.inputs) == 1 and lookup(node.op).elementwise and node.inputs[0].dtype.kind == "f":
        yield from _function_mistakes(node, texts[0])


def _shaped(value: Array | None, node: Node) -> Array:
    return np.array(np.broadcast_to(np.asarray(value), node.shape))


def _function_mistakes(node: Node, argument: str) -> Iterator[Mistake]:
    (source,) = node.inputs
    assert source.value is not None
    primitive = lookup(node.op)
    if is_function(node):
        yield "missing-factor", "slip-function", source.value, {"function": node.op, "argument": argument}
        flipped = Node("variable", (), {}, source.shape, source.dtype, None, -source.value)
        yield "sign", "slip-sign-argument", primitive.run((flipped,), node.attributes), {"term": argument}


def _other_operands(node: Node, world: World) -> Iterator[Mistake]:
    """Another leaf of the same shape in the place of one."""
    leaves = [n for n in world.calc.nodes if n.op in LEAVES and n.name and n.dtype.kind == "f"]
    for k, right in enumerate(node.inputs):
        if right.op not in LEAVES or right.name is None:
            continue
        for other in leaves:
            if other is not right and other.shape == right.shape and other is not node.inputs[1 - k]:
                value = np.asarray(node.inputs[1 - k].value) * np.asarray(other.value)
                words = {"given": symbol(other.name or "").text, "right": symbol(right.name).text}
                yield "missing-factor", "slip-replaced", value, words


def _other_arrays(node: Node, world: World) -> Iterator[Mistake]:
    """Another named array of the same shape in the place of one that is multiplied: z or x for a, a weight for another."""
    before = world.calc.nodes[: world.calc.nodes.index(node)]
    for k, right in enumerate(node.inputs):
        for other in before if right.name else ():
            if other.name and other is not right and other.shape == right.shape and other.dtype.kind == "f":
                factors = [np.asarray(i.value) for i in node.inputs]
                factors[k] = np.asarray(other.value)
                words = {"given": symbol(other.name).text, "right": symbol(right.name or "").text}
                yield "missing-factor", "slip-replaced", np.matmul(*factors), words


def _transpositions(node: Node) -> Iterator[Mistake]:
    a, b = (np.asarray(i.value) for i in node.inputs)
    for k, (left, right) in enumerate(
        ((np.swapaxes(a, -1, -2) if a.ndim > 1 else a, b), (a, np.swapaxes(b, -1, -2) if b.ndim > 1 else b))
    ):
        if node.inputs[k].ndim > 1 and left.shape[-1] == (right.shape[-2] if right.ndim > 1 else right.shape[0]):
            value = np.matmul(left, right)
            if value.shape == node.shape:
                yield "transposed", "slip-transposed-whole", value, {"matrix": write(node.inputs[k]).text}


def _stale(world: World, quantity: Quantity) -> Iterator[Slip]:
    held = parameters(world.calc, world.optimizer)
    for node in held:
        value = _with(quantity, {node: world.updated[node]})
        yield slip("stale-weight", "slip-stale", value, weight=symbol(node.name or "").text)
    if len(held) > 1:
        yield slip("stale-weight", "slip-stale-all", _with(quantity, world.updated))
