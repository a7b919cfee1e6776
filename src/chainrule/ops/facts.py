"""Facts about a primitive besides its meaning and its gradient.

Code that needs to know whether an operation moves elements, saturates or draws random numbers reads it here, in the primitive's
own record, and keeps no list of names. So explanations, diagnoses and drawings know a new operation at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from chainrule.ir import Node

Moving = Literal["converts", "reshapes", "reorders", "repeats", "picks", "joins"]
Corner = Literal["zero", "meeting", "bounds", "largest", "smallest"]
Range = tuple[float, float]
REAL_LINE: Range = (-math.inf, math.inf)


@dataclass(frozen=True, kw_only=True)
class ActivationFacts:
    """What is known of an activation function σ.

    Attributes:
        steepest: the largest |σ′|; None for a function of several units at once, such as softmax.
        range: the interval that its values lie in, whatever its settings.
        saturates: whether σ′ tends to 0 on both sides.
        dies: whether σ and σ′ are 0 on a whole half-line, so that a unit can be 0 for every sample and stay so.
        classic: whether textbooks put it beside sigmoid, tanh and ReLU, so that a hand calculation may take one for another.
    """

    steepest: float | None = 1.0
    range: Range = REAL_LINE
    saturates: bool = False
    dies: bool = False
    classic: bool = False

    @property
    def gives_probabilities(self) -> bool:
        """Whether the values lie between 0 and 1."""
        return self.range == (0.0, 1.0)


@dataclass(frozen=True, kw_only=True)
class AffinePart:
    """How a primitive multiplies with the weight of a layer.

    Attributes:
        units: the axis of the result along which the units lie: the last, or the channels.
        weight: which input the weight is; None if it can be either.
        bias: which input the bias is; None if it is added afterwards.
    """

    units: int = -1
    weight: int | None = None
    bias: int | None = None


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is known of a primitive.

    Attributes:
        moves: how the elements of the result are those of the inputs (or padding); None if they are computed. "converts" gives
            them another dtype, "reshapes" keeps all in order, "reorders" all in another order, "repeats" uses some several
            times, "picks" leaves some out, and "joins" puts more beside them.
        sums: whether each element of the result is a sum of elements of the only input.
        statistic: whether the result is a mean or a variance.
        bound: the primitive that gives a bound of |y| when it is applied to the sizes |xᵢ|, with the same attributes; itself
            for sums, products and quotients; "" if there is none.
        exact: whether nothing is rounded, not even by hand: a choice between inputs, or a change of sign.
        redundant: the node that a node can be replaced by, where it does nothing, as in x · 1; else None.
        cuts: whether it is there to let no gradient pass, although its value changes with its input.
        random: whether it draws random numbers, from a key that is its first input.
        jumps: whether its value jumps somewhere, between places where its slope is 0.
        corner: where the slope from the left and that from the right differ: at 0, where the two inputs meet, at the attributes
            `low` and `high`, or where several elements are the largest or the smallest.
        ties: among equal elements, who gets the gradient.
        undefined: why finite inputs give a result that is not finite, as a key of `chainrule.diagnosis.reasons.REASONS`.
        logarithm: whether it is a natural logarithm of something: in another base it is divided by a number.
        activation: what is known of it as an activation function, if it is one.
        affine: how it is the affine part of a layer, if it is one.
    """

    moves: Moving | None = None
    sums: bool = False
    statistic: bool = False
    bound: str = ""
    exact: bool = False
    redundant: Callable[[Node], Node | None] | None = None
    cuts: bool = False
    random: bool = False
    jumps: bool = False
    corner: Corner | None = None
    ties: Literal["shared", "first"] | None = None
    undefined: Callable[[Sequence[float]], str] | None = None
    logarithm: bool = False
    activation: ActivationFacts | None = None
    affine: AffinePart | None = None


NOTHING_MORE = Facts()
