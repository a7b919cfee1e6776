"""Activation functions, blocks of elementwise primitives: each is one record here, and nothing elsewhere.

What diagnoses, drawings and initialisers ask of them stands in `Facts.activation`.
"""

from __future__ import annotations

import math

from chainrule.ir import Node
from chainrule.ops.elementwise import abs as absolute
from chainrule.ops.elementwise import (
    elementwise,
    erf,
    exceeds,
    exp,
    expm1,
    from_zero,
    function,
    log1p,
    maximum,
    minimum,
    nothing,
    where,
)
from chainrule.ops.facts import ActivationFacts, Facts
from chainrule.ops.primitive import as_node
from chainrule.ops.promotion import to_dtype

_POSITIVE = (0.0, math.inf)


def one_like(x: Node) -> Node:
    """The number 1 in the dtype of `x`."""
    return as_node(1.0, x.dtype)


sigmoid = elementwise(
    "sigmoid",
    "y = 1 / (1 + e⁻ˣ)",
    function("σ", r"\sigma", sign="σ"),
    body=lambda x: 1.0 / (1.0 + exp(-x)),
    partials=(lambda x, y: y * (1.0 - y),),
    facts=Facts(activation=ActivationFacts(steepest=0.25, range=(0.0, 1.0), saturates=True, classic=True)),
)
softplus = elementwise(
    "softplus",
    "y = ln(1 + eˣ)",
    function("softplus", r"\operatorname{softplus}"),
    body=lambda x: maximum(x, 0.0) + log1p(exp(-absolute(x))),
    partials=(lambda x, y: sigmoid(x),),
    facts=Facts(logarithm=True, activation=ActivationFacts(range=_POSITIVE)),
)
relu = elementwise(
    "relu", "y = max(x, 0)", function("relu", r"\operatorname{ReLU}", sign="ReLU"), body=lambda x: maximum(x, 0),
    partials=(lambda x, y: to_dtype(exceeds(x, 0.0), x.dtype),), result="number", kinks="at 0: 0", kink_distance=from_zero,
    facts=Facts(exact=True, corner="zero", activation=ActivationFacts(range=_POSITIVE, dies=True, classic=True)),
)  # fmt: skip
leaky_relu = elementwise(
    "leaky_relu", "y = x where x > 0, else slope · x", function("LeakyReLU", r"\operatorname{LeakyReLU}"),
    body=lambda x, slope: where(x > 0.0, x, slope * x), partials=(lambda x, y, slope: where(x > 0.0, one_like(x), slope),),
    settings={"slope": 0.01}, kinks="at 0: slope", kink_distance=from_zero,
    facts=Facts(corner="zero", activation=ActivationFacts()),
)  # fmt: skip
elu = elementwise(
    "elu", "y = x where x > 0, else alpha (eˣ − 1)", function("elu", r"\operatorname{ELU}"),
    body=lambda x, alpha: where(x > 0.0, x, alpha * expm1(minimum(x, 0.0))),
    partials=(lambda x, y, alpha: where(x > 0.0, one_like(x), alpha * exp(minimum(x, 0.0))),),
    settings={"alpha": 1.0}, kinks="at 0: alpha", kink_distance=from_zero, facts=Facts(activation=ActivationFacts()),
)  # fmt: skip
gelu = elementwise(
    "gelu", "y = x Φ(x), Φ the normal distribution function (Hendrycks and Gimpel 2016)",
    function("gelu", r"\operatorname{GELU}"),
    body=lambda x: 0.5 * x * (1.0 + erf(x * math.sqrt(0.5))),
    partials=(
        lambda x, y: 0.5 * (1.0 + erf(x * math.sqrt(0.5))) + x * exp(-0.5 * x * x) * (1.0 / math.sqrt(2.0 * math.pi)),
    ),
    facts=Facts(activation=ActivationFacts(steepest=1.13, range=(-0.17, math.inf))),
)  # fmt: skip


def _silu_partial(x: Node, y: Node) -> Node:
    s = sigmoid(x)
    return s * (1.0 + x * (1.0 - s))


silu = elementwise(
    "silu", "y = x σ(x)", function("silu", r"\operatorname{SiLU}"), body=lambda x: x * sigmoid(x), partials=(_silu_partial,),
    facts=Facts(activation=ActivationFacts(steepest=1.1, range=(-0.2785, math.inf))),
)  # fmt: skip
step = elementwise(
    "step", "y = 0, ½ or 1 for x < 0, x = 0, x > 0", function("step", r"\operatorname{step}"),
    body=lambda x: where(x > 0.0, one_like(x), where(x < 0.0, 0.0, 0.5 * one_like(x))),
    partials=(nothing,), kink_distance=from_zero, facts=Facts(activation=ActivationFacts(steepest=0.0, range=(0.0, 1.0))),
    not_differentiable=(
        "its derivative is 0 everywhere, so nothing can be learnt through it; use sigmoid, or tanh, in its place"
    ),
)  # fmt: skip
