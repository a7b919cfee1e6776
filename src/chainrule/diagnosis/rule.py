"""What a rule of the diagnosis is, and what it finds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Literal

from chainrule.diagnosis.measuring import Measurements
from chainrule.diagnosis.remedies import Remedy

Interface = Literal["python", "command line"]
Text = tuple[str, str]  # English, Chinese; {names} are filled with the evidence
Value = float | int | str
Evidence = Mapping[str, Value]


class Urgency(IntEnum):
    """What is named first: what has to be put right before the rest can be judged."""

    BROKEN = 0  # nothing can be computed
    AIMLESS = 1  # what is asked for is not what is wanted
    DATA = 2  # the numbers that go in or should come out hamper learning
    NETWORK = 3  # the network as it is hampers learning
    SETTINGS = 4  # how it is trained hampers learning
    OUTCOME = 5  # it learns, but not what is wanted


@dataclass(frozen=True)
class Sign:
    """One case of what a rule looks for.

    Attributes:
        layer: name of the layer, or None.
        evidence: numbers (and names) by which it shows; they fill the texts.
        remedy: the change that helps, where it can be made mechanically.
    """

    layer: str | None = None
    evidence: Evidence = field(default_factory=dict)
    remedy: Remedy | None = None


@dataclass(frozen=True)
class Rule:
    """One ailment: how it shows, why, and what helps.

    Attributes:
        kind: slug, stable.
        urgency: see `Urgency`; within one, rules keep the order of their tables.
        examine: measurements to signs, worst first.
        what, why, change: texts; why is the derivation behind it.
        command: the change in options of `chainrule train`, where `change` speaks of Python; None: as `change`.
        alone: whether it is judged only where nothing more urgent was found, because anything else would look like it too.
    """

    kind: str
    urgency: Urgency
    examine: Callable[[Measurements], Iterable[Sign]]
    what: Text
    why: Text
    change: Text
    command: Text | None = None
    alone: bool = False

    def change_for(self, interface: Interface) -> Text:
        """What to change, in the words of an interface."""
        return self.command if self.command and interface == "command line" else self.change
