"""Slips in a gradient of which only a part was seen.

One output counted, the diagonal of a Jacobian for all of it, and a path that is forgotten. What a path goes over has a name, or
the path is told by its ends: a number is no place.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from chainrule.derivations.elements import Edge, Elements, Key
from chainrule.derivations.formulas import write
from chainrule.derivations.paths import key_name
from chainrule.derivations.symbols import symbol
from chainrule.grading.functions import of_several_units
from chainrule.grading.slip import Slip, slip

if TYPE_CHECKING:
    from chainrule.grading.gradient_slips import GradientSlips


def partial_slips(slips: GradientSlips) -> Iterator[Slip]:
    """Slips in which a kind of contribution is left out."""
    yield from _diagonals(slips)
    yield from _only_outputs(slips)


def _diagonals(slips: GradientSlips) -> Iterator[Slip]:
    for node in dict.fromkeys(e.source[0] for e in slips.edges if of_several_units(e.source[0])):
        beside = {id(e): 0.0 for e in slips.edges if e.source[0] is node and e.source[1] != e.target[1]}
        if beside:
            yield slip("missing-path", "slip-diagonal", slips.with_edges(beside), function=node.op)


def _only_outputs(slips: GradientSlips) -> Iterator[Slip]:
    """One element of the last array before the output counted, and the others forgotten."""
    seen: set[Key] = set()
    for key in slips.order:
        is_array = bool(key[0].name) and key[0].size > 1 and key != slips.target
        if is_array and key not in seen:
            only = slips.above.get(key, 0.0) * slips.below.get(key, 0.0)
            if only and abs(only - slips.value) > 1e-12 * abs(slips.value):
                yield slip("missing-path", "slip-only-output", only, output=symbol(key_name(key)).text)
        if is_array or key in seen:
            seen.update(e.target for e in slips.web.below[key])


# -------------------------------------------------------------------------------------------- single paths
def path_slips(slips: GradientSlips) -> Iterator[Slip]:
    """Slips in which one local derivative is left out, or is all that is counted."""
    for edge in slips.edges:
        only = slips.above[edge.source] * edge.value * slips.below[edge.target]
        left = slips.with_edge(edge, 0.0)
        way, words = _way(slips, edge, only)
        if abs(left) > 1e-12 * abs(slips.value) and abs(left - slips.value) > 1e-15 * abs(slips.value):
            yield slip("missing-path", f"slip-{way}", left, **words)
        if abs(only - slips.value) > 1e-12 * abs(slips.value):
            yield slip("missing-path", f"slip-only-{way}", only, **words)


def _way(slips: GradientSlips, edge: Edge, contribution: float) -> tuple[str, dict[str, str]]:
    """What a path goes over: the nearest named element below, or else a formula; a direct path has only its two ends."""
    below = edge.target
    while not below[0].name and slips.web.below[below]:
        below = slips.web.below[below][0].target
    if below != slips.target and below[0].name:
        return "path", {"path": _written(below)}
    if edge.target != slips.target:
        return "path", {"path": _written(edge.target)}
    whole = slips.above[edge.source] * slips.below[edge.source]
    if edge.source != slips.web.top and np.isclose(whole, contribution, rtol=1e-9, atol=0.0):
        return "path", {"path": _written(edge.source)}
    return "direct-path", {"target": _written(slips.target), "output": _written(edge.source)}


def _written(key: Key) -> str:
    """An element by its name, or by its formula if it has none."""
    return symbol(key_name(key)).text if key[0].name else write(Elements().of(*key)).text
