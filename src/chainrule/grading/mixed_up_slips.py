"""Slips in a gradient where one thing was taken for another.

The error term of another layer, the derivative of another function, z for its activation, and log₁₀ for ln.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from chainrule import ir
from chainrule.derivations.elements import Edge
from chainrule.derivations.symbols import derivative_name, symbol
from chainrule.errors import ChainruleError
from chainrule.grading.functions import (
    LOGARITHMS,
    classic_activations,
    function_name,
    is_classic,
    written_name,
)
from chainrule.grading.slip import Slip, slip
from chainrule.ir import LEAVES, Node
from chainrule.layers import is_affine
from chainrule.ops.primitive import Primitive, facts, lookup

if TYPE_CHECKING:
    from chainrule.grading.gradient_slips import GradientSlips

Slope = Callable[[float], float]


def mixed_up_slips(slips: GradientSlips) -> Iterator[Slip]:
    """Slips in a gradient where one thing stands in the place of another."""
    groups = [[e] for e in slips.edges] + [group for _, group in slips.by_operation()]
    for group in groups:
        yield from _other_functions(slips, group)
    yield from _other_logarithms(slips)
    yield from _other_error_terms(slips)


def _ends(edge: Edge) -> tuple[float, float]:
    """Input and output of a function of one value."""
    (node, position), (source, place) = edge.source, edge.target
    assert node.value is not None and source.value is not None
    return float(source.value.flat[place]), float(node.value.flat[position])


def _other_functions(slips: GradientSlips, group: Sequence[Edge]) -> Iterator[Slip]:
    node = group[0].source[0]
    if not is_classic(node):
        return
    record, right = lookup(node.op), function_name(node)

    def taken(slope: Slope, end: int) -> float:
        return slips.with_edges({id(e): slope(_ends(e)[end]) for e in group})

    for other in classic_activations():
        if other is not record:
            for value in (taken(partial(_slope, other), 0), taken(partial(_slope_of_output, other), 1)):
                yield slip("other-function", "slip-other-derivative", value, given=written_name(other), right=right)
    source, target = node.name, group[0].target[0].name
    bends = record.facts.corner is None
    if source and target and bends and len({e.source[0] for e in group}) == 1:
        words = {"given": symbol(target).text, "right": symbol(source).text}
        yield slip("missing-factor", "slip-replaced", taken(partial(_slope_of_output, record), 0), **words)


def _slope(function: Primitive, z: float) -> float:
    """The derivative at the input z."""
    x = ir.variable(np.asarray(z))
    return _number(function, x, function(x))


def _slope_of_output(function: Primitive, a: float) -> float:
    """The derivative as it is written in terms of the output a, such as a(1 - a)."""
    y = ir.variable(np.asarray(a))
    return _number(function, y, y)


def _number(function: Primitive, x: Node, y: Node) -> float:
    assert function.partials is not None
    found = function.partials[0](x, y=y)
    if not isinstance(found, Node):
        return found
    assert found.value is not None
    return float(found.value)


def _other_logarithms(slips: GradientSlips) -> Iterator[Slip]:
    """Another base in one step of the calculation, or in all."""
    steps: dict[Node, list[Edge]] = {}
    for edge in slips.edges:
        if facts(edge.source[0]).logarithm:
            steps.setdefault(edge.source[0], []).append(edge)
    groups = list(steps.values())
    for group in [*groups, [e for g in groups for e in g]] if len(groups) > 1 else groups:
        for given, base in LOGARITHMS.items():
            value = slips.with_edges({id(e): e.value / base for e in group})
            yield slip("other-function", "slip-logarithm", value, given=given)


def _through(slips: GradientSlips, node: Node) -> float:
    """What all paths over a node contribute."""
    keys = [(node, p) for p in range(node.size)]
    return sum(slips.above.get(k, 0.0) * slips.below.get(k, 0.0) for k in keys)


def _other_error_terms(slips: GradientSlips) -> Iterator[Slip]:
    """∂E/∂z of another layer or unit in the place of the right one."""
    output, target = slips.world.calc.output, slips.target[0]
    terms = [n for n in slips.world.calc.nodes if n.name and _is_weighted_input(n) and n not in (output, target)]
    for node in terms if slips.quantity.output is output else ():
        below = {p: slips.below[node, p] for p in range(node.size) if slips.below.get((node, p)) and (node, p) in slips.above}
        for other in terms if below else ():
            try:
                gradient = slips.world.gradient(output, other)
            except ChainruleError:
                continue
            # Of arrays of one shape all elements; otherwise the element at the same place.
            if other is not node and (other.shape == node.shape or (len(below) == 1 and max(below) < other.size)):
                instead = sum(float(gradient.flat[p]) * b for p, b in below.items())
                value = slips.value - _through(slips, node) + instead
                words = {"given": _term(output, other), "right": _term(output, node)}
                yield slip("other-error-term", "slip-replaced", value, **words)


def _is_weighted_input(node: Node) -> bool:
    """Whether a node can be a weighted input: a product, or a sum or a product of numbers."""
    return is_affine(node) or (
        node.op not in LEAVES and lookup(node.op).elementwise and facts(node).bound != "" and len(node.inputs) == 2
    )


def _term(output: Node, node: Node) -> str:
    return symbol(derivative_name(output.name or "", node.name or "")).text
