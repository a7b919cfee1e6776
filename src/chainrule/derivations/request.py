"""What `explain` was asked for."""

from __future__ import annotations

from dataclasses import dataclass

from chainrule.derivations.calculations import Calculation, Place
from chainrule.language import Language


@dataclass(frozen=True, eq=False)
class Request:
    """What was asked for, resolved against the calculation.

    Attributes:
        calc: the calculation.
        places: the nodes or elements to differentiate by.
        chosen: whether these were asked for; else they are all that can be.
        language, precision: of the answer.
        most: how many paths or terms are listed before the rest is summed.
    """

    calc: Calculation
    places: tuple[Place, ...]
    chosen: bool
    language: Language
    precision: int
    most: int
