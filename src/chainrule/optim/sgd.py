"""Gradient descent, with momentum."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from chainrule.errors import ArgumentError
from chainrule.functional import where
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
    with_l2,
    zeros_like,
)
from chainrule.tensors import Tensor


def _init(W: Tensor, settings: Settings) -> State:
    return zeros_like(W, "momentum_buffer") if settings["momentum"] else {}


def _update(dW: Tensor, state: State, W: Tensor, settings: Settings, step: Tensor) -> tuple[Tensor, State]:
    momentum, dampening = settings["momentum"], settings["dampening"]
    g = with_l2(dW, W, settings)
    if momentum:
        v = momentum * state["momentum_buffer"] + (1.0 - dampening) * g
        if dampening:
            v = where(step == 1.0, g, v)  # PyTorch does not dampen the first gradient
        state = {"momentum_buffer": v}
        g = g + momentum * v if settings["nesterov"] else v
    return W - like(settings["lr"], W) * g, state


def _check(settings: Settings) -> None:
    if settings["nesterov"] and (not settings["momentum"] or settings["dampening"]):
        raise ArgumentError(
            f"SGD got nesterov=True with momentum={settings['momentum']} and dampening={settings['dampening']}",
            "Nesterov's method needs a momentum and no dampening",
            "Give a momentum above 0, such as 0.9, and leave dampening at 0.",
        )


_SGD = Rule("SGD", EVERY | {"momentum": NON_NEGATIVE, "dampening": FRACTION, "nesterov": FLAG}, _init, _update, _check)


@register_optimizer(_SGD)
class SGD(Optimizer):
    """Gradient descent, with momentum if wanted.

        g ← dW + reg · W
        W ← W − η g                                    without momentum

        v ← μ v + (1 − dampening) g                    with momentum μ; v = g at the first step
        W ← W − η v                                    or, with nesterov,  W ← W − η (g + μ v)

    State: momentum_buffer v.

    Robbins, Monro: A stochastic approximation method (1951). Polyak: Some methods of speeding up the convergence of iteration
    methods (1964). Nesterov (1983), in the form of Sutskever et al.: On the importance of initialization and momentum (2013).

    Raises: see `Optimizer`; nesterov needs momentum and no dampening.
    """

    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "momentum": {"momentum": 0.9},
        "nesterov": {"momentum": 0.9, "nesterov": True},
    }

    def __init__(
        self,
        params: Parameters,
        lr: float = 1e-3,
        *,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        super().__init__(
            params,
            _SGD,
            lr=lr,
            momentum=momentum,
            dampening=dampening,
            weight_decay=weight_decay,
            nesterov=nesterov,
        )
