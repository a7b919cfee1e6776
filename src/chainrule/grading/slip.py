"""What a slip is, and which of several that explain a number is named."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import filterfalse, groupby
from typing import Any

from chainrule.derivations.symbols import symbol
from chainrule.grading.quantities import Quantity, leads_to
from chainrule.grading.words import phrase
from chainrule.grading.written import Written
from chainrule.language import Language

NAMED = 1 / 20  # the chance of an invented number to be explained, up to which a slip is named
POSSIBLE = 1 / 4  # up to which it is mentioned as a possibility

Word = str | tuple[str, ...]


@dataclass(frozen=True)
class Slip:
    """A slip and the number that it leads to.

    Attributes:
        kind: the slug of `Finding.kind`.
        phrase: key of the sentence that describes it.
        words: what to fill into the sentence: a text, or a list of keys of phrases.
        value: the number, or the array, that comes out.
    """

    kind: str
    phrase: str
    words: tuple[tuple[str, Word], ...]
    value: Any

    def said(self, language: Language) -> str:
        """The sentence."""
        text = phrase(self.phrase, language, **{name: _listed(word, language) for name, word in self.words})
        return text[0].upper() + text[1:] if any(isinstance(word, tuple) for _, word in self.words) else text


def _listed(word: Word, language: Language) -> str:
    if isinstance(word, str):
        return word
    *firsts, last = (phrase(key, language) for key in word)
    return phrase("statistic-and", language, first=", ".join(firsts), last=last) if firsts else last


def slip(kind: str, phrase: str, value: Any, /, **words: Word) -> Slip:
    """A slip; see `Slip`."""
    return Slip(kind, phrase, tuple(words.items()), value)


_BEFORE_OTHERS = frozenset([
    "slip-sign", "slip-missing", "slip-missing-everywhere", "slip-no-rate", "slip-uphill",
    "slip-statistic", "slip-statistics", "slip-statistic-inside", "slip-statistics-inside",
])  # fmt: skip


def in_order(slips: Iterable[Slip], others: Iterable[Sequence[Slip]], quantity: Quantity) -> Iterator[Sequence[Slip]]:
    """Slips that may have happened to a quantity, in groups of equally likely ones, the likeliest first.

    In gradients a missing factor, a wrong sign or a statistic that was held constant comes first, although the number may be
    that of another quantity (without σ′ it is the upstream gradient); then `others`, the quantities that this one may have been
    taken for; then all other slips.
    """

    def comes_first(group: Sequence[Slip]) -> bool:
        return quantity.kind != "value" and group[0].phrase in _BEFORE_OTHERS

    groups, later = alike(slips), []
    for group in groups:  # one by one: to look for all that follow takes time
        if not comes_first(group):
            later.append(group)
            break
        yield group
    later += groups
    yield from filter(comes_first, later)
    yield from others
    yield from filterfalse(comes_first, later)


def without_path(quantity: Quantity) -> Slip | None:
    """Why a gradient is 0 whose output was not calculated from what it is taken by; else None."""
    if quantity.output is None or leads_to(quantity.place.node, quantity.output):
        return None
    words = {"target": symbol(quantity.place.name).text, "output": symbol(quantity.output.name or "").text}
    return slip("no-path", "slip-no-path", 0.0, **words)


def alike(slips: Iterable[Slip]) -> Iterator[Sequence[Slip]]:
    """Slips that follow one another and are of one kind, in groups."""
    for _, group in groupby(slips, key=lambda s: (s.kind, s.phrase)):
        yield list(group)


def explanation(groups: Iterable[Sequence[Slip]], given: Written) -> tuple[Slip, float] | None:
    """The likeliest slip that gives a number, or an array, and how easily it would do so by chance.

    Args:
        groups: the slips that may have happened, the likeliest first.
        given: the number as it was written.

    Returns:
        The slip, and the share of all numbers with as many digits, of the same sign and decade, that this slip or one as likely
        explains: the chance that an invented number would have been explained, too. None if no slip gives the number.
    """
    tried: list[Slip] = []
    for group in groups:
        tried += group
        found = next((s for s in group if given.agrees(s.value)), None)
        if found is not None and found.phrase == "slip-sign":
            return found, 0.0  # with the right digits and the wrong sign, the sign is wrong, wherever the number comes from
        if found is not None:
            explained = {given.beside(s.value) for s in tried} - {None}
            return found, len(explained) / given.possibilities
    return None
