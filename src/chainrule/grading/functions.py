"""Functions of one value as a hand calculation knows them: what they are called, and which are taken for one another."""

from __future__ import annotations

import math

from chainrule.ir import Node
from chainrule.ops.primitive import PRIMITIVES, Primitive, facts, lookup

# Logarithms to other bases, by ln of their base: what is a natural logarithm is divided by that.
LOGARITHMS = {"log₁₀": math.log(10.0), "log₂": math.log(2.0)}


def written_name(function: Primitive) -> str:
    """What a function is called in formulas, as σ; its name where it is written otherwise, as √x is."""
    text = function.notation.text
    return text.removesuffix("(#0)") if text.endswith("(#0)") else function.name


def function_name(node: Node) -> str:
    """What the function of a node is called in formulas."""
    return written_name(lookup(node.op))


def is_classic(node: Node) -> bool:
    """Whether a node is an activation function that may be taken for another, or another for it."""
    activation = facts(node).activation
    return activation is not None and activation.classic


def classic_activations() -> list[Primitive]:
    """The activation functions that are taken for one another."""
    return [p for p in PRIMITIVES.values() if p.facts.activation is not None and p.facts.activation.classic]


def of_several_units(node: Node) -> bool:
    """Whether a node is an activation function of several units at once, such as softmax."""
    activation = facts(node).activation
    return activation is not None and activation.steepest is None
