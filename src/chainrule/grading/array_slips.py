"""Slips in whole arrays: turned about, off by a factor, or the same slip in every element."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from chainrule.derivations.calculations import Place
from chainrule.grading.constant_slips import constant_slips
from chainrule.grading.quantities import Quantity, World
from chainrule.grading.slip import Slip, Word, slip
from chainrule.ir import Array

_MOST_ELEMENTS = 16
_INDEX = re.compile(r"\[[\d, ]+\]")
SlipsOf = Callable[[World, Quantity], Iterator[Slip]]
_Key = tuple[object, ...]


def array_slips(world: World, quantity: Quantity, slips_of: SlipsOf) -> Iterator[Slip]:
    """Every slip that may have led to another array.

    Args:
        world: the calculation.
        quantity: an array of it.
        slips_of: gives the slips that can happen to one number.
    """
    yield from whole_array_slips(world, quantity)
    true = world.value(quantity)
    if true.size <= _MOST_ELEMENTS:
        yield from _in_every_element(world, quantity, slips_of, true.shape)


def whole_array_slips(world: World, quantity: Quantity) -> Iterator[Slip]:
    """Those that are seen without a look at every element."""
    true = world.value(quantity)
    yield slip("sign", "slip-sign", -true)
    yield from constant_slips(world, quantity)
    if true.ndim == 2:
        yield slip("transposed", "slip-array-transposed", true.T)
    for text, factor in (("2", 2.0), ("½", 0.5), (str(true.size), float(true.size)), (f"1/{true.size}", 1.0 / true.size)):
        yield slip("constant-factor", "slip-constant", factor * true, factor=text)


def _in_every_element(world: World, quantity: Quantity, slips_of: SlipsOf, shape: tuple[int, ...]) -> Iterator[Slip]:
    elements = [replace(quantity, place=Place(quantity.place.node, index)) for index in np.ndindex(*shape)]
    tables = [_by_wording(slips_of(world, element)) for element in elements]
    for key, first in tables[0].items():
        found = [table[key].value for table in tables if key in table]
        if len(found) == len(tables):
            alike = all(table[key].words == first.words for table in tables)
            yield _of_all(first, np.reshape(found, shape), alike)


def _of_all(first: Slip, values: Array, alike: bool) -> Slip:
    """The slip in the first element, said of all: with its indices only if it is `alike` in every element."""
    words = {name: _without_index(word) for name, word in first.words}
    if first.phrase == "slip-transposed":  # one element of a matrix in the place of another
        return slip("transposed", "slip-transposed-whole", values, matrix=words["right"])
    return slip(first.kind, first.phrase, values, **(dict(first.words) if alike else words))


def _by_wording(slips: Iterator[Slip]) -> dict[_Key, Slip]:
    """Slips by what they say without the indices of elements, and by how many said the same before."""
    found: dict[_Key, Slip] = {}
    counts: dict[_Key, int] = {}
    for each in slips:
        wording: _Key = (each.phrase, *(_without_index(word) for _, word in each.words))
        counts[wording] = counts.get(wording, -1) + 1
        found[(*wording, counts[wording])] = each
    return found


def _without_index(word: Word) -> Word:
    return _INDEX.sub("", word) if isinstance(word, str) else word
