"""Adadelta."""

from __future__ import annotations

from chainrule.functional import sqrt, square
from chainrule.optim.optimizer import Optimizer, Parameters, register_optimizer
from chainrule.optim.rules import (
    EVERY,
    FRACTION,
    NON_NEGATIVE,
    Rule,
    Settings,
    State,
    like,
    moving_mean,
    with_l2,
    zeros_like,
)
from chainrule.tensors import Tensor


def _init(W: Tensor, settings: Settings) -> State:
    return zeros_like(W, "square_avg", "acc_delta")


def _update(dW: Tensor, state: State, W: Tensor, settings: Settings, step: Tensor) -> tuple[Tensor, State]:
    rho, eps = settings["rho"], settings["eps"]
    g = with_l2(dW, W, settings)
    v = moving_mean(state["square_avg"], square(g), rho)
    change = sqrt(state["acc_delta"] + eps) / sqrt(v + eps) * g
    u = moving_mean(state["acc_delta"], square(change), rho)
    return W - like(settings["lr"], W) * change, {"square_avg": v, "acc_delta": u}


_ADADELTA = Rule("Adadelta", EVERY | {"rho": FRACTION, "eps": NON_NEGATIVE}, _init, _update)


@register_optimizer(_ADADELTA)
class Adadelta(Optimizer):
    """Steps in the units of the parameter: gradients times the ratio of recent changes to recent gradients.

        g ← dW + reg · W
        v ← rho v + (1 − rho) g²
        Δ ← √(u + eps) / √(v + eps) · g
        u ← rho u + (1 − rho) Δ²
        W ← W − η Δ

    State: square_avg v, acc_delta u.

    Zeiler: ADADELTA: an adaptive learning rate method (2012).

    Raises: see `Optimizer`.
    """

    usual_lr = 1.0

    def __init__(
        self,
        params: Parameters,
        lr: float = 1.0,
        *,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, _ADADELTA, lr=lr, rho=rho, eps=eps, weight_decay=weight_decay)
