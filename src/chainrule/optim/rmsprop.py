"""RMSprop."""

from __future__ import annotations

from chainrule.functional import maximum, sqrt, square
from chainrule.optim.optimizer import Optimizer, Parameters, register_optimizer
from chainrule.optim.rules import (
    EVERY,
    FLAG,
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
    centered = ("grad_avg",) if settings["centered"] else ()
    momentum = ("momentum_buffer",) if settings["momentum"] else ()
    return zeros_like(W, "square_avg", *centered, *momentum)


def _update(dW: Tensor, state: State, W: Tensor, settings: Settings, step: Tensor) -> tuple[Tensor, State]:
    g = with_l2(dW, W, settings)
    v = moving_mean(state["square_avg"], square(g), settings["alpha"])
    new = {"square_avg": v}
    if settings["centered"]:
        m = new["grad_avg"] = moving_mean(state["grad_avg"], g, settings["alpha"])
        v = maximum(v - square(m), 0.0)  # a variance; rounding could make it negative once gradients stop changing
    change = g / (sqrt(v) + settings["eps"])
    if settings["momentum"]:
        change = new["momentum_buffer"] = settings["momentum"] * state["momentum_buffer"] + change
    return W - like(settings["lr"], W) * change, new


_RMSPROP = Rule(
    "RMSprop", EVERY | {"alpha": FRACTION, "eps": NON_NEGATIVE, "momentum": NON_NEGATIVE, "centered": FLAG}, _init, _update
)


@register_optimizer(_RMSPROP)
class RMSprop(Optimizer):
    """Steps divided by the root of the mean square of recent gradients.

        g ← dW + reg · W
        v ← alpha v + (1 − alpha) g²
        m ← alpha m + (1 − alpha) g                    centered only; then v − m² stands for v below
        W ← W − η g / (√v + eps)                       without momentum
        u ← μ u + g / (√v + eps),  W ← W − η u         with momentum μ

    State: square_avg v, grad_avg m, momentum_buffer u.

    Hinton: Neural networks for machine learning, lecture 6e (2012); centered: Graves: Generating sequences with recurrent
    neural networks (2013).

    Raises: see `Optimizer`.
    """

    usual_lr = 2e-3

    def __init__(
        self,
        params: Parameters,
        lr: float = 1e-2,
        *,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
    ) -> None:
        super().__init__(
            params,
            _RMSPROP,
            lr=lr,
            alpha=alpha,
            eps=eps,
            weight_decay=weight_decay,
            momentum=momentum,
            centered=centered,
        )
