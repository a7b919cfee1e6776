"""What a slip is, and which of several that explain a number is named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from chainrule.grading.quantities import Quantity


@dataclass(frozen=True)
class Slip:
    """A slip and the number that it leads to.

    Attributes:
        kind: the slug of `Finding.kind`.
        phrase: key of the sentence that describes it, in `language`.
        words: what to fill into the sentence.
        value: the number, or the array, that comes out.
    """

    kind: str
    phrase: str
    words: tuple[tuple[str, str], ...]
    value: Any


def slip(kind: str, phrase: str, value: Any, /, **words: str) -> Slip:
    """A slip; see `Slip`."""
    return Slip(kind, phrase, tuple(words.items()), value)


_BEFORE_OTHERS = ("slip-sign", "slip-missing", "slip-missing-everywhere", "slip-no-rate", "slip-uphill")


def likeliest(matching: Sequence[Slip], other: Slip | None, quantity: Quantity) -> Slip | None:
    """Of slips that lead to the number given, the one to name.

    In gradients a missing factor or sign comes first, although the number may be that of another quantity (without σ′ it is the
    upstream gradient); then `other`, the quantity of the same kind whose number it is; then the other slips in their order.
    """
    first = [s for s in matching if quantity.kind != "value" and s.phrase in _BEFORE_OTHERS]
    return next(iter([*first, *([other] if other is not None else []), *matching]), None)
