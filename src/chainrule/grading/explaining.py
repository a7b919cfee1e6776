"""Which slip explains a wrong number: all that can have happened to a quantity, and the other quantities it may be."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property

from chainrule.derivations.calculations import Place
from chainrule.derivations.symbols import number
from chainrule.errors import ChainruleError
from chainrule.grading.array_slips import array_slips, whole_array_slips
from chainrule.grading.forward_slips import forward_slips
from chainrule.grading.gradient_slips import gradient_slips
from chainrule.grading.quantities import Quantity, World, all_arrays, all_quantities
from chainrule.grading.slip import Slip, alike, explanation, in_order, slip
from chainrule.grading.update_slips import stale_updates, update_slips
from chainrule.grading.written import Written
from chainrule.ir import Array


class Explainer:
    """Explains wrong numbers of one calculation."""

    def __init__(self, world: World) -> None:
        self.world = world

    def slip(self, quantity: Quantity, given: Written, kept: Mapping[Quantity, Array]) -> tuple[Slip, float] | None:
        """The likeliest slip that gives a number, or an array, and how easily it would by chance; see `explanation`.

        Args:
            quantity: what the number was given for.
            given: the number.
            kept: earlier results as they were written, with which the calculation may have gone on.
        """
        true = self.world.value(quantity)
        if true.size == 1 == given.value.size:
            return explanation(self._of_number(_as_number(quantity), given.as_number(), kept), given.as_number())
        if true.size == 0:
            return None
        slips = (slips_of if given.value.shape == true.shape else whole_array_slips)(self.world, quantity)
        return explanation(in_order(slips, [list(self._arrays(quantity))], quantity), given)

    def other(self, given: Written) -> tuple[Slip, float] | None:
        """The quantity of the calculation that a number is, whatever it was given for."""
        return explanation([self._others(self._named_values, given)], given)

    # ---------------------------------------------------------------------------------------- numbers
    def _of_number(self, quantity: Quantity, given: Written, kept: Mapping[Quantity, Array]) -> Iterator[Sequence[Slip]]:
        *likely, unlike = self._by_likeness(quantity, given)
        yield from in_order(slips_of(self.world, quantity), likely, quantity)
        yield unlike
        there = self.world.with_values(kept)
        try:
            yield from alike(list(slips_of(there, there.here(quantity, self.world))) if kept else [])
        except ChainruleError:  # what was written lies where the calculation does not exist
            return

    def _by_likeness(self, quantity: Quantity, given: Written) -> list[Sequence[Slip]]:
        """Other quantities: those of the same kind and by the same operation, others of the same kind, and all others."""
        true = float(self.world.value(quantity))
        known = (quantity.place, quantity.kind)
        groups: list[list[tuple[Quantity, float]]] = [[], [], []]
        for other, value in self._named_values:
            if (other.place, other.kind) == known or math.isclose(value, true):
                continue
            unlike = 2 if other.kind != quantity.kind else int(other.place.node.op != quantity.place.node.op)
            groups[unlike].append((other, value))
        return [self._others(group, given, true) for group in groups]

    def _others(self, quantities: Sequence[tuple[Quantity, float]], given: Written, true: float = 0.0) -> list[Slip]:
        """Quantities as slips, the nearest to the number first."""
        nearest = sorted(quantities, key=lambda q: abs(q[1] - float(given.value)))
        # Only the nearest is ever named, if at all; of the others only the value counts.
        count = int(bool(nearest) and given.agrees(nearest[0][1]))
        named = [self._other(other, value, true) for other, value in nearest[:count]]
        return named + [slip("equals-other-quantity", "slip-other", value) for _, value in nearest[count:]]

    def _other(self, other: Quantity, value: float, true: float) -> Slip:
        words = {"other": other.symbol.text, "value": number(value, 6).text}
        factor = self._factor_between(value / true) if true else None
        if factor is not None:
            return slip("equals-other-quantity", f"slip-other-{factor[0]}", value, factor=factor[1], **words)
        return slip("equals-other-quantity", "slip-other", value, **words)

    def _factor_between(self, ratio: float) -> tuple[str, str] | None:
        """A forward value by which two quantities differ: one too many, or one missing."""
        for q, value in self._named_values:
            if q.kind == "value" and value not in (0.0, 1.0):
                if math.isclose(ratio, value):
                    return "extra", q.symbol.text
                if math.isclose(ratio * value, 1.0):
                    return "missing", q.symbol.text
        return None

    @cached_property
    def _named_values(self) -> list[tuple[Quantity, float]]:
        return [(q, float(self.world.value(q))) for q in all_quantities(self.world)]

    # ---------------------------------------------------------------------------------------- arrays
    def _arrays(self, quantity: Quantity) -> Iterator[Slip]:
        for other in all_arrays(self.world):
            if (other.place, other.kind) != (quantity.place, quantity.kind):
                yield slip("equals-other-quantity", "slip-other-formula", self.world.value(other), other=other.symbol.text)


def _as_number(quantity: Quantity) -> Quantity:
    """The only element of an array of one."""
    place = quantity.place
    return replace(quantity, place=Place(place.node, place.index or (0,) * place.node.ndim or None))


def slips_of(world: World, quantity: Quantity) -> Iterator[Slip]:
    """Every slip that can happen to a quantity, the likely ones first."""
    if quantity.place.index is None and quantity.place.node.size > 1:
        yield from array_slips(world, quantity, slips_of)
    elif quantity.kind in ("updated", "moment"):
        yield from update_slips(world, quantity)
    elif quantity.kind == "gradient":
        yield from gradient_slips(world, quantity)
    elif quantity.kind == "value":
        yield from forward_slips(world, quantity)
    elif quantity.kind == "after":
        yield from _after_slips(world, quantity)


def _after_slips(world: World, quantity: Quantity) -> Iterator[Slip]:
    """A forward value after the step: parameters updated one layer after another, with gradients that see the new ones."""
    for weights, values in stale_updates(world):
        there = world.with_updates(values)
        found = there.value(replace(there.here(quantity, world), kind="value"))
        yield slip("stale-weight", "slip-stale-step", float(found), weight=weights)
