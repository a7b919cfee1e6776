"""Reverse-mode differentiation, from graph to graph.

The gradient of a node is made of nodes, so it can be run, simplified, explained, and differentiated again. Every node on the
way is differentiated once, however many paths reach it: what arrives over several paths is added up first.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import numpy as np

from chainrule import ir
from chainrule.errors import GradientError, GraphError
from chainrule.ir import LEAVES, Node, is_zero, topological, type_text
from chainrule.ops.elementwise import masked, where
from chainrule.ops.primitive import Primitive, facts, lookup
from chainrule.ops.promotion import to_dtype
from chainrule.ops.reduction import sum_to


def gradient(output: Node, wrt: Sequence[Node], seed: Node | None = None) -> list[Node | None]:
    """∂output/∂w for every w in `wrt`, as nodes.

    Args:
        output: the node to differentiate, of a floating dtype; a scalar unless `seed` is given.
        wrt: nodes that it may depend on.
        seed: upstream gradient of the output's shape; 1 if left out.

    Returns:
        Per node of `wrt` its gradient, of its shape and dtype, or None where nothing flows to it (see `zero_or_error`).

    Raises:
        GradientError: the way leads through a primitive that has no derivative to learn from, such as step.
    """
    start = seed if seed is not None else ir.constant(np.ones(output.shape), output.dtype)
    return _backward(output, wrt, start, stop=lambda node: False)


def _backward(output: Node, wrt: Sequence[Node], seed: Node, stop: Callable[[Node], bool]) -> list[Node | None]:
    order = topological([output], stop)
    concerned = _descendants(order, wrt)
    upstream: dict[Node, Node] = {output: seed} if output in concerned else {}
    for node in reversed(order):
        g = upstream.get(node)
        if g is None or node.op in LEAVES or stop(node):
            continue
        for source, contribution in _contributions(node, g, concerned):
            known = upstream.get(source)
            upstream[source] = contribution if known is None else known + contribution
    return [upstream.get(w) for w in wrt]


def _descendants(order: Sequence[Node], roots: Collection[Node]) -> set[Node]:
    """The nodes of `order` that depend on any of `roots`, and the roots."""
    found = set(roots)
    for node in order:
        if any(i in found for i in node.inputs):
            found.add(node)
    return found


def _contributions(node: Node, g: Node, concerned: Collection[Node]) -> list[tuple[Node, Node]]:
    """What a node sends to each of its concerned inputs, given its upstream gradient g."""
    primitive = lookup(node.op)
    if primitive.not_differentiable:
        raise not_differentiable(primitive)
    places = [(k, i) for k, i in enumerate(node.inputs) if i in concerned and i.dtype.kind == "f"]
    if primitive.partials is None and primitive.pullback is None:
        return _through_body(primitive, node, g, [i for _, i in places])
    found = ((i, contribution(primitive, node, g, k)) for k, i in places)
    return [(i, c) for i, c in found if c is not None]


def _through_body(primitive: Primitive, node: Node, g: Node, sources: Sequence[Node]) -> list[tuple[Node, Node]]:
    unique = list(dict.fromkeys(sources))
    inside = set(node.inputs)
    found = _backward(primitive.expand(node), unique, g, stop=lambda n: n in inside)
    return [(i, c) for i, c in zip(unique, found, strict=True) if c is not None]


def contribution(primitive: Primitive, node: Node, g: Node, index: int) -> Node | None:
    """What reaches input `index` of a node: upstream gradient × local derivative, or the pullback of g; None for nothing."""
    source = node.inputs[index]
    if primitive.partials is None:
        assert primitive.pullback is not None
        return _gradient_of(
            source, primitive.pullback(g, node, index), f"the pullback of the primitive {primitive.name}", index
        )
    if len(primitive.partials) != len(node.inputs):
        raise _wrong_rule(
            f"the primitive {primitive.name} has {len(primitive.partials)} partials", f"it has {len(node.inputs)} inputs"
        )
    local = primitive.partials[index](*node.inputs, y=node, **node.attributes)
    if isinstance(local, Node):
        product = _times(g, local)
        if product.shape != node.shape:
            raise _wrong_rule(
                f"partial {index} of the primitive {primitive.name} gave {type_text(local)}",
                f"it gives a number, or a node that broadcasts to {node.dtype}{list(node.shape)}",
            )
    elif not isinstance(local, int | float):
        raise _wrong_rule(
            f"partial {index} of the primitive {primitive.name} gave {local!r}",
            "it gives a node, or a number that is the same everywhere",
        )
    elif local == 0.0:
        return None
    else:
        product = g if local == 1.0 else -g if local == -1.0 else g * local
    return to_dtype(sum_to(product, source.shape), source.dtype)


def _gradient_of(source: Node, found: Node | None, who: str, index: int) -> Node | None:
    """What a pullback gave for an input, which must be of its shape and dtype.

    Raises:
        GraphError: it is something else.
    """
    if found is None or (isinstance(found, Node) and found.shape == source.shape and found.dtype == source.dtype):
        return found
    given = type_text(found) if isinstance(found, Node) else repr(found)
    raise _wrong_rule(f"{who} gave {given} for input {index}", f"that is {type_text(source)}, and so must be its gradient")


def _wrong_rule(given: str, expected: str) -> GraphError:
    return GraphError(given, expected, "Correct the record of the primitive; cr.testing.check_primitive tests it.")


def _times(g: Node, local: Node) -> Node:
    """g · local; where a condition makes the local derivative 0, it is 0 even for an infinite g, whose product would be NaN."""
    if _is_mask(local):
        return masked(g, local.inputs[0])
    if local.op == "where" and any(_is_mask(branch) or is_zero(branch) for branch in local.inputs[1:]):
        condition, *branches = local.inputs
        return where(condition, *(branch if is_zero(branch) else _times(g, branch) for branch in branches))
    return g * local


def _is_mask(node: Node) -> bool:
    return facts(node).moves == "converts" and node.inputs[0].dtype == np.bool_


def in_the_way(output: Node, sources: Collection[Node]) -> GradientError | None:
    """The error for the first primitive without derivative between `sources` and `output`, if there is one."""
    order = topological([output])
    between = _descendants(order, sources)
    for node in order:
        if node in between and node.op not in LEAVES and lookup(node.op).not_differentiable:
            return not_differentiable(lookup(node.op))
    return None


def not_differentiable(primitive: Primitive) -> GradientError:
    """The error for a gradient asked through a primitive that has none."""
    return GradientError(
        f"no gradient passes through {primitive.name}: {primitive.not_differentiable}. "
        "Only the forward value can be computed with it."
    )


def zero_or_error(output: Node, source: Node, describe: Callable[[Node], str]) -> Node:
    """The gradient where `gradient` gave None: zeros if `output` depends on `source` in steps only.

    Raises:
        GradientError: `output` does not depend on `source`, or only through a primitive without derivative.
    """
    between = _descendants(topological([output]), [source])
    if output not in between:
        raise GradientError(
            f"the gradient of {describe(output)} with respect to {describe(source)} was asked for",
            "the first was not computed from the second, or the second was assigned a new value since",
            "Check the names, or compute the first again.",
        )
    error = in_the_way(output, [source])
    if error is not None:
        raise error
    return ir.constant(np.zeros(source.shape), source.dtype)
