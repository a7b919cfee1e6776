"""The worked network of a founding tutorial: two hidden sigmoid units, one step of gradient descent, every number by hand."""

from __future__ import annotations

import chainrule as cr
from chainrule.derivations import expression
from chainrule.optim import SGD
from chainrule.tensors import Tensor

GIVEN = {
    "x1": 0.35,
    "x2": 0.9,
    "w13": 0.1,
    "w14": 0.4,
    "w23": 0.8,
    "w24": 0.6,
    "w35": 0.3,
    "w45": 0.9,
    "t5": 0.5,
}
FORMULA = """
x3 = x1*w13 + x2*w23
x4 = x1*w14 + x2*w24
O3 = sigmoid(x3)
O4 = sigmoid(x4)
x5 = w35*O3 + w45*O4
O5 = sigmoid(x5)
E = 0.5*(O5 - t5)**2
"""
FORWARD = {
    "x3": 0.755,
    "x4": 0.68,
    "O3": 0.6802671967,
    "O4": 0.6637386974,
    "x5": 0.8014449867,
    "O5": 0.6902834929,
    "E": 0.0181039038,
}
GRADIENTS = {
    "x5": 0.0406811251,
    "x3": 0.0026544890,
    "x4": 0.0081716451,
    "w35": 0.0276740349,
    "w45": 0.0270016370,
    "w13": 0.0009290712,
    "w23": 0.0023890401,
    "w14": 0.0028600758,
    "w24": 0.0073544806,
}
STEP = {
    "w13": 0.0990709288,
    "w14": 0.3971399242,
    "w23": 0.7976109599,
    "w24": 0.5926455194,
    "w35": 0.2723259651,
    "w45": 0.8729983630,
}


def worked_network() -> tuple[Tensor, SGD]:
    leaves = {name: cr.parameter(value, name=name) for name, value in GIVEN.items()}
    weights = [leaf for name, leaf in leaves.items() if name.startswith("w")]
    return expression(FORMULA, **leaves), SGD(weights, lr=1.0)
