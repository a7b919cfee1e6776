"""Kinks: places such as relu(0), where a function has a derivative from the left and another from the right.

What is taken for its derivative there is a convention: relu′(0) is 0 here, while max(0, z), the same function, shares the
gradient between its equal arguments. A hand calculation may take either side, or the middle.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from chainrule.explain.calculation import Calculation
from chainrule.explain.formulas import write
from chainrule.explain.quantities import Quantity, World, changed
from chainrule.ir import Array, Node

_ONE_VALUE = ("relu", "leaky_relu", "abs")
_TWO_VALUES = ("maximum", "minimum")


def kinks(calc: Calculation) -> dict[Node, Array]:
    """The functions that are at a kink in some elements of a calculation, and in which."""
    found = {}
    for node in calc.nodes:
        if node.op in (*_ONE_VALUE, *_TWO_VALUES) and node.dtype.kind == "f":
            other = node.inputs[1].value if node.op in _TWO_VALUES else 0.0
            there = np.broadcast_to(np.asarray(node.inputs[0].value == other), node.shape)
            if np.any(there):
                found[node] = there
    return found


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
    """The arguments moved off their kinks, by so little that no value changes."""
    values: dict[Node, Array] = {}
    for node, there in found.items():
        source = node.inputs[int(node.op in _TWO_VALUES and node.inputs[0].op == "constant")]
        value = values.get(source, np.asarray(source.value))
        if source.shape == node.shape:
            step = sign * np.maximum(np.spacing(np.abs(value)), np.finfo(source.dtype).tiny)
            values[source] = np.where(there, value + step, value)
    return values
