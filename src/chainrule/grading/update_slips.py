"""Slips in one step of an optimiser: a wrong gradient, a wrong direction, the rate left out, parameters updated too early."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import numpy as np

from chainrule.derivations.calculations import Place
from chainrule.derivations.symbols import symbol
from chainrule.derivations.update import moments, stepped
from chainrule.grading.gradient_slips import gradient_slips
from chainrule.grading.quantities import Quantity, World, changed, parameters
from chainrule.grading.slip import Slip, slip
from chainrule.ir import Array, Node

_MOST_SLIPS = 400
_LATE = 1e6  # a step at which nothing is left of the start of moving means at 0


def update_slips(world: World, quantity: Quantity) -> Iterator[Slip]:
    """Every slip that may have led to another new value of a parameter, or of what the optimiser keeps of it."""
    place = quantity.place
    gradient = world.gradient(world.calc.output, place.node)

    def after(g: Array, rate: float | None = None, count: float | None = None) -> float:
        if quantity.kind == "moment":
            return float(np.asarray(moments(world.calc, place, world.optimizer, g)[quantity.moment or ""].value))
        return float(stepped(world.calc, place, world.optimizer, g, rate=rate, count=count).numpy())

    if quantity.kind == "moment":
        yield slip("sign", "slip-sign", after(-gradient))
        before, own = after(np.zeros_like(gradient)), float(gradient[place.index or ...])
        for whole in (own, own**2):
            yield slip("missing-factor", "slip-missing", before + whole, factor="1 - β")
    else:
        yield slip("sign", "slip-uphill", after(-gradient))
        yield slip("missing-factor", "slip-no-rate", after(gradient, 1.0))
        if world.optimizer.rule.corrected:
            value = after(gradient, count=_LATE)
            yield slip("no-bias-correction", "slip-no-bias-correction", value, optimizer=world.optimizer.rule.name)
    assert world.calc.output.name is not None
    of_gradient = Quantity(f"d{world.calc.output.name}/d{place.name}", "gradient", place, world.calc.output)
    for each in islice(gradient_slips(world, of_gradient), _MOST_SLIPS):
        if each.phrase != "slip-sign" and np.isfinite(each.value):
            changed_gradient = np.array(gradient)
            changed_gradient[place.index or ...] = each.value
            yield Slip(each.kind, each.phrase, each.words, after(changed_gradient))


def stale_updates(world: World) -> Iterator[tuple[str, dict[Node, Array]]]:
    """All parameters after a step in which some were updated before the gradients of the others were taken.

    Yields:
        Which were updated first, and the new value of every parameter.
    """
    held = parameters(world.calc, world.optimizer)
    depth = _depths(world)
    for cut in sorted(set(depth.values()))[:-1]:
        early = [p for p in held if depth[p] <= cut]
        late = [p for p in held if depth[p] > cut]
        names = ", ".join(symbol(p.name or "").text for p in early)
        fresh = dict(world.updated)
        for only_backward in (False, True):
            yield names, fresh | _late_updates(world, early, late, only_backward)


def _late_updates(world: World, early: list[Node], late: list[Node], only_backward: bool) -> dict[Node, Array]:
    """New values of `late` parameters, their gradients taken with the new values of `early` ones.

    With `only_backward` the forward values stay as they were, and the new ones are used in the products of the backward pass.
    """
    there = (
        _with_stale_products(world, early)
        if only_backward
        else World(changed(world.calc, {p: world.updated[p] for p in early}), world.optimizer)
    )
    found = {}
    for p in late:
        here = there.calc.copies[p]
        gradient = there.gradient(there.calc.output, here)
        found[p] = stepped(world.calc, Place(p), world.optimizer, gradient).numpy()
    return found


def _with_stale_products(world: World, early: list[Node]) -> World:
    """New parameters beside old forward values: the leaves change, everything computed keeps its value."""
    keep = {n: n.value for n in world.calc.nodes if n.inputs and n.value is not None}
    return World(changed(world.calc, keep | {p: world.updated[p] for p in early}), world.optimizer)


def _depths(world: World) -> dict[Node, int]:
    """How many parameters at most lie between each parameter and the output: 0 for the last layer."""
    held = parameters(world.calc, world.optimizer)
    readers: dict[Node, list[Node]] = {}
    for node in world.calc.nodes:
        for source in node.inputs:
            readers.setdefault(source, []).append(node)
    depth: dict[Node, int] = {}
    for node in reversed(world.calc.nodes):
        below = [depth[r] + _weighs(r, held, node) for r in readers.get(node, []) if r in depth]
        depth[node] = max(below, default=0)
    return {p: depth[p] for p in held}


def _weighs(reader: Node, held: list[Node], source: Node) -> int:
    """1 if `source` meets a parameter in `reader`."""
    return int(source not in held and any(i in held for i in reader.inputs))
