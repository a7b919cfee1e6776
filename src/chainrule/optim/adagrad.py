"""Adagrad."""

from __future__ import annotations

import numpy as np

from chainrule.functional import sqrt, square
from chainrule.optim.optimizer import Optimizer, Parameters, register_optimizer
from chainrule.optim.rules import (
    EVERY,
    NON_NEGATIVE,
    Rule,
    Settings,
    State,
    like,
    with_l2,
)
from chainrule.tensors import Tensor, tensor


def _init(W: Tensor, settings: Settings) -> State:
    return {"sum": tensor(np.full(W.shape, settings["initial_accumulator_value"], W.dtype))}


def _update(dW: Tensor, state: State, W: Tensor, settings: Settings, step: Tensor) -> tuple[Tensor, State]:
    g = with_l2(dW, W, settings)
    s = state["sum"] + square(g)
    rate = settings["lr"] / (1.0 + (step - 1.0) * settings["lr_decay"])
    return W - like(rate, W) * g / (sqrt(s) + settings["eps"]), {"sum": s}


_ADAGRAD = Rule(
    "Adagrad",
    EVERY | {"lr_decay": NON_NEGATIVE, "initial_accumulator_value": NON_NEGATIVE, "eps": NON_NEGATIVE},
    _init,
    _update,
)


@register_optimizer(_ADAGRAD)
class Adagrad(Optimizer):
    """Steps divided by the root of the sum of all squared gradients.

        g ← dW + reg · W
        s ← s + g²                                     from initial_accumulator_value
        W ← W − η / (1 + (t − 1) lr_decay) · g / (√s + eps)

    State: sum s.

    Duchi, Hazan, Singer: Adaptive subgradient methods for online learning and stochastic optimization (2011).

    Raises: see `Optimizer`.
    """

    def __init__(
        self,
        params: Parameters,
        lr: float = 1e-2,
        *,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
    ) -> None:
        super().__init__(
            params,
            _ADAGRAD,
            lr=lr,
            lr_decay=lr_decay,
            weight_decay=weight_decay,
            initial_accumulator_value=initial_accumulator_value,
            eps=eps,
        )
