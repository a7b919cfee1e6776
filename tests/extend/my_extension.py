"""One of each: what a user adds to chainrule, in a module that `chainrule --extension my_extension` imports."""

from dataclasses import dataclass

import numpy as np

import chainrule as cr
from chainrule import extend, nn, optim
from chainrule.backends.reference import REFERENCE
from chainrule.ops.activations import softplus
from chainrule.ops.elementwise import tanh
from chainrule.optim.rules import NON_NEGATIVE
from chainrule.train import Metric

Mish = extend.activation("mish", lambda x: x * tanh(softplus(x)), summary="y = x tanh(ln(1 + eˣ)) (Misra 2019)")


@extend.layer
class Scale(nn.Module):
    def __init__(self, features: int) -> None:
        self.features = features
        self.weight = cr.parameter(np.ones(features, np.float32))

    def forward(self, x: cr.Tensor) -> cr.Tensor:
        return x * self.weight


@extend.initialiser
def small(shape, rng=None, dtype=np.float32):
    return 0.5 * nn.init.he_normal(shape, rng, dtype)


@extend.loss
class LogCosh(nn.Loss):
    outputs, task, command = "numbers", "regression", "log-cosh"

    def elements(self, output, target):
        d = output - target.astype(output.dtype)
        return d + cr.softplus(-2.0 * d) - float(np.log(2.0))


close = extend.metric(Metric("close", lambda output, target, loss: abs(output - target) < 0.1, True, task="regression"))

RULE = optim.Rule(
    "SignDescent",
    {"lr": NON_NEGATIVE},
    lambda W, settings: {},
    lambda dW, state, W, settings, step: (W - settings["lr"].astype(W.dtype) * cr.sign(dW), state),
)
SignDescent = extend.optimizer(RULE, usual_lr=0.01, lr=0.01)


@extend.schedule
@dataclass(frozen=True)
class InverseRootLR(optim.Schedule):
    command = "inverse-root"

    def value(self, t, base_lr):
        return base_lr / (1 + t) ** 0.5


class Counting:
    name, place, compiled = "counting", REFERENCE.place, 0

    def compile(self, graph, threads=None):
        self.compiled += 1
        return REFERENCE.compile(graph, threads)

    def hold(self, value):
        return REFERENCE.hold(value)


counting = extend.backend("counting", Counting())
