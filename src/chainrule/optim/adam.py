"""Adam, and AdamW with decoupled weight decay."""

from __future__ import annotations

from chainrule.functional import maximum, sqrt, square
from chainrule.optim.optimizer import Optimizer, Parameters, register_optimizer
from chainrule.optim.rules import (
    BETAS,
    EVERY,
    FLAG,
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
    return zeros_like(W, "exp_avg", "exp_avg_sq", *(("max_exp_avg_sq",) if settings["amsgrad"] else ()))


def _adam(g: Tensor, state: State, W: Tensor, settings: Settings, step: Tensor) -> tuple[Tensor, State]:
    beta1, beta2 = settings["betas"]
    m = moving_mean(state["exp_avg"], g, beta1)
    v = moving_mean(state["exp_avg_sq"], square(g), beta2)
    new = {"exp_avg": m, "exp_avg_sq": v}
    if settings["amsgrad"]:
        v = new["max_exp_avg_sq"] = maximum(state["max_exp_avg_sq"], v)
    rate = like(settings["lr"] / (1.0 - beta1**step), W)
    root = sqrt(v) * like(1.0 / sqrt(1.0 - beta2**step), W)  # one division in place of one per weight
    return W - rate * m / (root + settings["eps"]), new


def _update_adam(dW: Tensor, state: State, W: Tensor, settings: Settings, step: Tensor) -> tuple[Tensor, State]:
    return _adam(with_l2(dW, W, settings), state, W, settings, step)


def _update_adamw(dW: Tensor, state: State, W: Tensor, settings: Settings, step: Tensor) -> tuple[Tensor, State]:
    if settings["weight_decay"]:
        W = W * like(1.0 - settings["lr"] * settings["weight_decay"], W)
    return _adam(dW, state, W, settings, step)


_SETTINGS = EVERY | {"betas": BETAS, "eps": NON_NEGATIVE, "amsgrad": FLAG}


_ADAMW = Rule("AdamW", _SETTINGS, _init, _update_adamw, corrected=True, decoupled=True)


@register_optimizer(_ADAMW)
class AdamW(Optimizer):
    """Adam with weight decay that does not pass through the moments.

        W ← W − η reg W
        m ← β₁ m + (1 − β₁) dW
        v ← β₂ v + (1 − β₂) dW²
        W ← W − η / (1 − β₁ᵗ) · m / (√v / √(1 − β₂ᵗ) + eps)

    With amsgrad the largest v so far stands for v in the last line.

    State: exp_avg m, exp_avg_sq v, max_exp_avg_sq.

    Loshchilov, Hutter: Decoupled weight decay regularization (2019).

    Raises: see `Optimizer`.
    """

    usual_lr = 2e-3

    def __init__(
        self,
        params: Parameters,
        lr: float = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
    ) -> None:
        super().__init__(params, _ADAMW, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, amsgrad=amsgrad)


_ADAM = Rule("Adam", _SETTINGS, _init, _update_adam, corrected=True)


@register_optimizer(_ADAM)
class Adam(Optimizer):
    """Momentum, divided by the root of the mean square, both corrected for their start at 0.

        g ← dW + reg · W
        m ← β₁ m + (1 − β₁) g
        v ← β₂ v + (1 − β₂) g²
        W ← W − η / (1 − β₁ᵗ) · m / (√v / √(1 − β₂ᵗ) + eps)

    With amsgrad the largest v so far stands for v in the last line.

    State: exp_avg m, exp_avg_sq v, max_exp_avg_sq.

    Kingma, Ba: Adam: a method for stochastic optimization (2015). Reddi et al.: On the convergence of Adam and beyond (2018).

    Raises: see `Optimizer`.
    """

    usual_lr = 2e-3

    def __init__(
        self,
        params: Parameters,
        lr: float = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
    ) -> None:
        super().__init__(params, _ADAM, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, amsgrad=amsgrad)
