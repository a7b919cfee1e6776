"""Kinks: places such as relu(0), where a function has a derivative from the left and another from the right.

What is taken for its derivative there is a convention: relu′(0) is 0 here, while max(0, z), the same function, shares the
gradient between its equal arguments, as the largest of an array does between ties. A hand calculation may take either side, or
the middle.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from chainrule.derivations.calculations import Calculation
from chainrule.derivations.formulas import write
from chainrule.grading.quantities import Quantity, World, changed
from chainrule.ir import Array, Node
from chainrule.ops.primitive import facts

_TOWARDS = {"largest": 1.0, "smallest": -1.0}  # where an element has to move to be the only one


def kinks(calc: Calculation) -> dict[Node, Array]:
    """The functions that are at a kink in some elements of a calculation, and in which: of a maximum, those that are tied."""
    there = {node: _at_kink(node) for node in calc.nodes if facts(node).corner is not None and node.dtype.kind == "f"}
    return {node: where for node, where in there.items() if np.any(where)}


def _at_kink(node: Node) -> Array:
    x, corner = np.asarray(node.inputs[0].value), facts(node).corner
    if corner in _TOWARDS:
        tied = x == _restored(node)
        return np.asarray(tied & (np.sum(tied, axis=_axes(node), keepdims=True) > 1))
    if corner == "bounds":
        return np.asarray((x == node.attributes["low"]) | (x == node.attributes["high"]))
    other = node.inputs[1].value if corner == "meeting" else 0.0
    return np.broadcast_to(np.asarray(x == other), node.shape)


def _axes(node: Node) -> tuple[int, ...]:
    """The axes over which a maximum is taken."""
    axis, ndim = node.attributes["axis"], node.inputs[0].ndim
    return tuple(range(ndim)) if axis is None else tuple(a % ndim for a in ((axis,) if isinstance(axis, int) else axis))


def _restored(node: Node) -> Array:
    """The largest or smallest values, with the axes that were reduced."""
    extreme = np.max if facts(node).corner == "largest" else np.min
    return np.asarray(extreme(np.asarray(node.inputs[0].value), axis=_axes(node), keepdims=True))


def at_kinks(world: World, quantity: Quantity) -> Iterator[tuple[str, Array]]:
    """What a quantity is with the other conventions at a kink: the slopes from the right, from the left, and half of both.

    Yields:
        The function at its kink, and the value.
    """
    found = kinks(world.calc)
    if not found or quantity.kind == "value":
        return
    name = write(next(iter(found)), whole=True).text
    sides = []
    for sign in (1.0, -1.0):
        there = World(changed(world.calc, _nudged(found, sign)), world.optimizer)
        sides.append(there.value(there.here(quantity, world)))
    for value in (*sides, 0.5 * (sides[0] + sides[1])):
        yield name, value


def _nudged(found: dict[Node, Array], sign: float) -> dict[Node, Array]:
    """The arguments moved off their kinks, by so little that no value changes; of tied ones, the first or the last."""
    values: dict[Node, Array] = {}
    for node, there in found.items():
        source = node.inputs[int(facts(node).corner == "meeting" and node.inputs[0].op == "constant")]
        value = values.get(source, np.asarray(source.value))
        if source.shape == there.shape:
            step = _direction(node, there, sign) * np.maximum(np.spacing(np.abs(value)), np.finfo(source.dtype).tiny)
            values[source] = np.where(there, value + step, value)
    return values


def _direction(node: Node, there: Array, sign: float) -> Array | float:
    """Towards which the elements at a kink move."""
    corner = facts(node).corner
    if corner == "bounds":  # into the range at both ends, or out of it
        return np.where(np.asarray(node.inputs[0].value) == node.attributes["low"], sign, -sign)
    if corner not in _TOWARDS:
        return sign
    axes = _axes(node)
    last = np.moveaxis(there, axes, range(there.ndim - len(axes), there.ndim))
    flat = last.reshape(*last.shape[: there.ndim - len(axes)], -1)
    flat = flat if sign > 0.0 else flat[..., ::-1]
    chosen = flat & (np.cumsum(flat, axis=-1) == 1)
    chosen = (chosen if sign > 0.0 else chosen[..., ::-1]).reshape(last.shape)
    return np.asarray(_TOWARDS[corner] * np.moveaxis(chosen, range(there.ndim - len(axes), there.ndim), axes))
