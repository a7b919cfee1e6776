"""Slips in which a gradient was taken as if an inner statistic, such as the mean of a layer norm, were a constant."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from chainrule.derivations.formulas import write
from chainrule.derivations.symbols import symbol
from chainrule.errors import ChainruleError
from chainrule.grading.inner_statistics import Held
from chainrule.grading.quantities import Quantity, World
from chainrule.grading.slip import Slip, Word, slip
from chainrule.grading.words import PHRASES
from chainrule.ir import Node


def constant_slips(world: World, quantity: Quantity) -> Iterator[Slip]:
    """The gradients, of one number or a whole array, that come out when inner statistics are taken as constants."""
    if quantity.kind != "gradient" or not world.with_constants:
        return
    true = world.value(quantity)
    for held, there in world.with_constants:
        try:
            value = there.value(there.here(quantity, world))
        except ChainruleError:  # without the way through the statistic there is none
            continue
        if not np.allclose(value, true, rtol=1e-9, atol=0.0):
            phrase, words = _said(held)
            yield slip("missing-path", phrase, value, **words, target=symbol(quantity.place.name).text)


def _said(held: Held) -> tuple[str, dict[str, Word]]:
    """The key of the sentence, and what to fill in: statistics of the calculation itself by their formulas, others by kind."""
    number = "statistic" if len(held.statistics) == 1 else "statistics"
    if held.block is not None:
        return f"slip-{number}-inside", {"statistics": _kinds(held), "block": write(held.block, whole=True).text}
    if any(n.name for n in held.statistics) or number == "statistic":
        return f"slip-{number}", {"statistics": ", ".join(write(n).text for n in held.statistics)}
    return "slip-statistics", {"statistics": _kinds(held)}


def _kinds(held: Held) -> tuple[str, ...]:
    return tuple(dict.fromkeys(map(_kind, held.statistics)))


def _kind(statistic: Node) -> str:
    """The key of the phrase for a kind of statistic."""
    key = f"statistic-{statistic.op}"
    return key if key in PHRASES else "statistic-other"
