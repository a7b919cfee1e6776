"""Slips in a gradient where one thing was taken for another.

The error term of another layer, the derivative of another function, z for its activation, and log₁₀ for ln.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from chainrule.derivations.elements import Edge
from chainrule.derivations.symbols import derivative_name, symbol
from chainrule.errors import ChainruleError
from chainrule.grading.slip import Slip, slip
from chainrule.ir import Node

if TYPE_CHECKING:
    from chainrule.grading.gradient_slips import GradientSlips

# Per activation its derivative at the input z, and as it is written in terms of the output a.
Slope = Callable[[float], float]
SLOPES: dict[str, tuple[str, Slope, Slope]] = {
    "sigmoid": ("σ", lambda z: 0.25 / math.cosh(0.5 * min(abs(z), 700.0)) ** 2, lambda a: a * (1.0 - a)),
    "tanh": ("tanh", lambda z: 1.0 - math.tanh(z) ** 2, lambda a: 1.0 - a * a),
    "relu": ("relu", lambda z: float(z > 0.0), lambda a: float(a > 0.0)),
}
# Other logarithms, by ln of their base, and the functions that are logarithms of something: with another base they are divided.
LOGARITHMS = {"log₁₀": math.log(10.0), "log₂": math.log(2.0)}
LOGARITHMIC = (
    "log", "log1p", "logsumexp", "log_softmax", "softplus", "softmax_with_loss", "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
)  # fmt: skip
_LINEAR = ("add", "subtract", "multiply", "matmul", "affine")


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
    op = group[0].source[0].op
    if op not in SLOPES:
        return
    right, _, own = SLOPES[op]

    def taken(slope: Slope, end: int) -> float:
        return slips.with_edges({id(e): slope(_ends(e)[end]) for e in group})

    for given, at_input, of_output in (found for name, found in SLOPES.items() if name != op):
        for value in (taken(at_input, 0), taken(of_output, 1)):
            yield slip("other-function", "slip-other-derivative", value, given=given, right=right)
    source, target = group[0].source[0].name, group[0].target[0].name
    if source and target and op != "relu" and len({e.source[0] for e in group}) == 1:
        words = {"given": symbol(target).text, "right": symbol(source).text}
        yield slip("missing-factor", "slip-replaced", taken(own, 0), **words)


def _other_logarithms(slips: GradientSlips) -> Iterator[Slip]:
    """Another base in one step of the calculation, or in all."""
    steps: dict[Node, list[Edge]] = {}
    for edge in slips.edges:
        if edge.source[0].op in LOGARITHMIC:
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
    terms = [n for n in slips.world.calc.nodes if n.name and n.op in _LINEAR and n not in (output, target)]
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


def _term(output: Node, node: Node) -> str:
    return symbol(derivative_name(output.name or "", node.name or "")).text
