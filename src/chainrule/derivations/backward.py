"""The backward pass of a calculation, kept term by term.

Between two shown nodes lies a piece of graph. What flows back through it is built by `chainrule.autodiff` from the records of
the primitives, exactly as in training; here each piece is only cut out and kept apart, so that it can be written down.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule import autodiff, ir
from chainrule.derivations.calculations import Calculation
from chainrule.derivations.formulas import tidy
from chainrule.derivations.noise import sizes_of_terms, without_noise
from chainrule.derivations.symbols import derivative_name, natural_order
from chainrule.ir import LEAVES, Array, Node, topological
from chainrule.ops.primitive import facts, lookup


def whole_gradient(output: Node, node: Node) -> Array:
    """∂output/∂node; an output of several elements has the upstream gradient 1 in each. Zeros where it depends in steps only.

    Raises:
        GradientError: it does not exist.
    """
    (found,) = autodiff.gradient(output, [node], ir.constant(np.ones(output.shape), output.dtype))
    if found is None:
        found = autodiff.zero_or_error(output, node, lambda n: repr(n.name) if n.name else repr(n))
    assert found.value is not None
    return found.value


@dataclass(frozen=True, eq=False)
class Term:
    """What one reader of a node sends back to it.

    Attributes:
        parent: the reader.
        upstream: the gradient at the reader, as a leaf with its name and value.
        local: the local derivative ∂parent/∂node, where the term is upstream × local element by element; else None.
        expression: the whole term as a formula in `upstream` and named nodes.
        value: of the term.
        size: of what was added up for it, without signs: beside this, rounding is small.
    """

    parent: Node
    upstream: Node
    local: Node | None
    expression: Node
    value: Array
    size: Array


@dataclass(frozen=True, eq=False)
class Gradient:
    """The gradient at a node: its terms and their sum. The output has no terms and the gradient 1 (or what was given)."""

    node: Node
    name: str
    terms: tuple[Term, ...]
    value: Array


def backward(
    calc: Calculation, targets: Collection[Node], stops: Collection[Node] | None = None, names: Mapping[Node, str] | None = None
) -> list[Gradient]:
    """The gradient of the output at every stop on the way to `targets`, from the output downwards.

    Args:
        calc: the calculation; its output is differentiated, with upstream gradient 1 in every element.
        targets: where to go.
        stops: the nodes at which gradients are written down; all shown nodes if left out.
        names: of gradients that are not called ∂output/∂node (δ, say).

    Raises:
        GradientError: the way leads through a primitive that has no derivative.
    """
    between = _between(calc, targets)
    allowed = calc.shown if stops is None else frozenset(stops)
    halts = {n for n in between if n in allowed or n in targets or n is calc.output}
    assert calc.output.name is not None
    terms: dict[Node, list[Term]] = {}
    found: list[Gradient] = []
    leaves: dict[Node, Node] = {}
    for node in reversed(calc.nodes):
        if node not in halts:
            continue
        own = tuple(reversed(terms.get(node, ())))  # in the order of the forward pass
        value = np.ones(node.shape, node.dtype) if node is calc.output else _total(own, node)
        name = (names or {}).get(node) or derivative_name(calc.output.name, node.name or "?")
        found.append(Gradient(node, name, own, value))
        leaves[node] = Node("variable", (), {}, node.shape, node.dtype, name, value)
        if node.op not in LEAVES:
            # The output's upstream gradient 1 is left out of formulas.
            seed = ir.constant(value) if node is calc.output else leaves[node]
            for child, term in _terms_of(node, leaves[node], seed, halts):
                terms.setdefault(child, []).append(term)
    return _as_worked_out(found)


def _as_worked_out(found: Sequence[Gradient]) -> list[Gradient]:
    """From the output downwards, the gradient of a leaf (a weight) right after the last one that it is made of."""
    position = {g.node: k for k, g in enumerate(found)}

    def key(gradient: Gradient) -> tuple[int, bool, Any]:
        own = position[gradient.node]
        if gradient.node.op not in LEAVES or not gradient.terms:
            return own, False, ()
        return max(position[t.parent] for t in gradient.terms), True, natural_order(gradient.node.name or "")

    return sorted(found, key=key)


def _between(calc: Calculation, targets: Collection[Node]) -> set[Node]:
    """The floating nodes that depend on a target."""
    found = set(targets)
    for node in calc.nodes:
        if node.dtype.kind == "f" and any(i in found for i in node.inputs):
            found.add(node)
    return found


def _total(terms: Sequence[Term], node: Node) -> Array:
    total = np.zeros(node.shape, node.dtype)
    with np.errstate(all="ignore"):  # ∞ - ∞ is NaN, which the derivation shows
        for term in terms:
            total = total + term.value
        return without_noise(total, np.asarray(sum(term.size for term in terms)))


def _array(node: Node) -> Array:
    assert node.value is not None
    return node.value


def _terms_of(parent: Node, upstream: Node, seed: Node, halts: Collection[Node]) -> list[tuple[Node, Term]]:
    top, cuts, interior = cut_out(parent, halts)
    below = [c for c in cuts if c in halts]
    gradients = autodiff.gradient(top, [cuts[c] for c in below], seed)
    found = []
    for child, gradient in zip(below, gradients, strict=True):
        if gradient is None:
            continue
        assert gradient.value is not None
        local = _local(top, cuts[child], interior)
        sizes = sizes_of_terms(topological([gradient]), {seed: np.abs(_array(seed))})
        size = sizes.get(gradient, np.abs(gradient.value))
        found.append((child, Term(parent, upstream, local, tidy(gradient), without_noise(gradient.value, size), size)))
    return found


def cut_out(parent: Node, halts: Collection[Node]) -> tuple[Node, dict[Node, Node], list[Node]]:
    """A copy of the calculation of `parent` from the nodes of `halts` and leaves, which become leaves of their name and value.

    Returns:
        The copy of `parent`; the leaf per node at which the copy was cut; the nodes above the leaves.
    """
    copies: dict[Node, Node] = {}
    cuts: dict[Node, Node] = {}
    interior = []
    for node in topological([parent], stop=lambda n: n is not parent and n in halts):
        if node.op in LEAVES or (node in halts and node is not parent):
            if node.op == "constant" and node.name is None:
                copies[node] = node
                continue
            copies[node] = cuts[node] = Node("variable", (), {}, node.shape, node.dtype, node.name, node.value)
            continue
        inputs = tuple(copies[i] for i in node.inputs)
        copies[node] = Node(node.op, inputs, node.attributes, node.shape, node.dtype, node.name, node.value)
        interior.append(copies[node])
    return copies[parent], cuts, interior


def local_derivative(node: Node, source: Node) -> Node | None:
    """∂node/∂source, if it is an array of the shape of both that is multiplied in element by element."""
    top, cuts, interior = cut_out(node, {source})
    return _local(top, cuts[source], interior)


def _keeps_order(node: Node) -> bool:
    """Whether a node hands on its input element by element, where the shapes are the same."""
    return facts(node).moves in ("reshapes", "repeats")


def _local(top: Node, child: Node, interior: Sequence[Node]) -> Node | None:
    """The local derivative, if the elements of `child` reach only the elements at their place."""
    reached = {child}
    for node in interior:
        if any(i in reached for i in node.inputs):
            if node.shape != child.shape or not (lookup(node.op).elementwise or _keeps_order(node)):
                return None
            reached.add(node)
    seed = ir.constant(np.ones(top.shape), top.dtype)
    (found,) = autodiff.gradient(top, [child], seed)
    return None if found is None else tidy(found)
