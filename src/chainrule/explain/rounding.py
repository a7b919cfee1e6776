"""How far a right calculation can be off because intermediate results were rounded.

The gradient is a graph, and so is everything else that can be claimed; a first-order bound follows from differentiating the
claimed node by every node it was computed from:  |Δq| ≤ Σ |∂q/∂v| · ½ unit(v)  with the unit of v in the last digit kept.
"""

from __future__ import annotations

import numpy as np

from chainrule import autodiff
from chainrule.errors import ChainruleError
from chainrule.explain.calculation import Place
from chainrule.explain.quantities import Quantity, World, parameters
from chainrule.explain.update import stepped
from chainrule.ir import LEAVES, Array, Node, topological
from chainrule.ops.indexing import index as take

_MOST_NODES = 3000


def rounding_bound(world: World, quantity: Quantity, digits: int, unit: float = 0.0) -> float:
    """The largest error of a quantity when every intermediate result is rounded, to first order.

    Args:
        world, quantity: what is calculated.
        digits: significant digits that are kept.
        unit: what is kept at least, in units (0.01 for two decimals); the coarser of both counts.
    """
    node = _node_of(world, quantity)
    order = topological([node]) if node is not None else []
    if node is None or len(order) > _MOST_NODES:
        return 0.0
    inner = [n for n in order if n.op not in LEAVES and n.dtype.kind == "f" and n.value is not None]
    try:
        found = autodiff.gradient(node, inner)
    except ChainruleError:
        return 0.0
    bound = 0.0
    for each, g in zip(inner, found, strict=True):
        if g is not None and g.value is not None and each.value is not None:
            bound += float(np.sum(np.abs(g.value) * _own_error(each, digits, unit)))
    return bound


def _own_error(node: Node, digits: int, unit: float) -> Array:
    """Half a unit in the last digit kept of a node's value, and of the products and partial sums that it adds up."""
    assert node.value is not None
    error = 0.5 * np.maximum(_last_digit(np.abs(node.value), digits), unit)
    if node.op == "matmul":
        a, b = (np.abs(np.asarray(i.value)) for i in node.inputs)
        terms = b.shape[-2] if b.ndim > 1 else b.shape[0]
        error = error + 0.5 * terms * np.maximum(2.0 * _last_digit(np.matmul(a, b), digits), 2.0 * unit)
    elif node.op == "sum":
        (x,) = node.inputs
        terms = x.size // max(node.size, 1)
        error = error + 0.5 * terms * np.maximum(_last_digit(np.abs(node.value), digits), unit)
    return np.asarray(error)


def _last_digit(size: Array, digits: int) -> Array:
    """One unit in the last of so many significant digits."""
    return np.where(size > 0, 10.0 ** (np.floor(np.log10(np.where(size > 0, size, 1.0))) - digits + 1), 0.0)


def _node_of(world: World, quantity: Quantity) -> Node | None:
    """The scalar node that computes a quantity, with its whole history."""
    index = quantity.place.index
    node: Node | None = quantity.place.node
    if quantity.kind == "gradient":
        assert quantity.output is not None
        (node,) = autodiff.gradient(quantity.output, [quantity.place.node])
    elif quantity.kind != "value":
        return _stepped_node(world, quantity)
    if node is None:
        return None
    return _element(node, index)


def _stepped_node(world: World, quantity: Quantity) -> Node | None:
    if quantity.place.node not in parameters(world.calc, world.optimizer):
        return None
    return stepped(world.calc, Place(quantity.place.node, quantity.place.index), world.optimizer).node


def _element(node: Node, index: tuple[int, ...] | None) -> Node:
    return take(node, index) if index else node
