"""Update rules of optimisers, as pure functions on Tensors.

A rule is a pair: `init` gives the state that goes with a parameter, `update` takes a gradient, the state and the parameter to
their new values. Both are written in Tensor operations, so that they run eagerly and inside `chainrule.compile` alike, where
they become part of the training step's graph. The equations stand in the docstrings of the classes in `optimizer`; here

    W, dW      parameter and its gradient ∂C/∂W
    settings   the hyperparameters by PyTorch's names; numbers, except `lr` (η), a Tensor float64[] that may change
    step       t = 1, 2, …, a Tensor float64[]

Scalars are computed in float64 and then converted once to the parameter's dtype.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.errors import ArgumentError, message
from chainrule.functional import maximum, sqrt, square, where, zeros
from chainrule.tensors import Tensor, tensor

Settings = Mapping[str, Any]
State = dict[str, Tensor]


@dataclass(frozen=True)
class Setting:
    """What a hyperparameter may be.

    Attributes:
        expected: in words, for messages.
        accepts: whether a value is allowed.
        convert: brings an allowed value to the Python type that rules and configurations hold.
    """

    expected: str
    accepts: Callable[[Any], bool]
    convert: Callable[[Any], Any] = float


def _is_number(value: Any, low: float, high: float) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool) and bool(low <= value <= high)


def _is_decay(value: Any) -> bool:
    return _is_number(value, 0.0, 1.0) and value < 1.0


NON_NEGATIVE = Setting("a finite number of at least 0", lambda v: _is_number(v, 0.0, sys.float_info.max))
FRACTION = Setting("a number from 0 to 1", lambda v: _is_number(v, 0.0, 1.0))
FLAG = Setting("True or False", lambda v: isinstance(v, bool | np.bool_), bool)
BETAS = Setting(
    "a pair of numbers from 0 up to but not including 1",
    lambda v: isinstance(v, tuple | list) and len(v) == 2 and all(map(_is_decay, v)),
    lambda v: tuple(map(float, v)),
)


def _anything_goes(settings: Settings) -> None:
    """Accept every combination of settings that are right one by one."""


@dataclass(frozen=True)
class Rule:
    """An optimiser without its object.

    Attributes:
        name: PyTorch's name of it.
        settings: what each hyperparameter may be.
        init: (W, settings) ↦ the state that goes with W, by PyTorch's names.
        update: (dW, state, W, settings, step) ↦ new W and new state; the arguments are not changed.
        check: raises ArgumentError for settings that do not go together.
    """

    name: str
    settings: Mapping[str, Setting]
    init: Callable[[Tensor, Settings], State]
    update: Callable[[Tensor, State, Tensor, Settings, Tensor], tuple[Tensor, State]]
    check: Callable[[Settings], None] = _anything_goes

    def __reduce__(self) -> Any:
        """For copies and pickles: the rule of the table by its name."""
        return (_known_rule, (self.name,)) if RULES.get(self.name) is self else object.__reduce_ex__(self, 2)

    def value(self, name: str, value: Any) -> Any:
        """One setting in the type that `update` expects.

        Raises:
            ArgumentError: the rule has no such setting, or does not allow the value.
        """
        if name not in self.settings:
            known = ", ".join(self.settings)
            raise ArgumentError(message(f"{self.name} got the setting {name!r}", f"it takes {known}", "Check the spelling."))
        setting = self.settings[name]
        if not setting.accepts(value):
            raise ArgumentError(
                message(f"{self.name} got {name}={value!r}", f"it must be {setting.expected}", "Choose another value.")
            )
        return setting.convert(value)

    def checked(self, settings: Settings) -> dict[str, Any]:
        """All settings in the types that `update` expects.

        Raises:
            ArgumentError: one is unknown, missing, out of its range, or does not go with another.
        """
        found = {name: self.value(name, value) for name, value in settings.items()}
        missing = [name for name in self.settings if name not in found]
        if missing:
            raise ArgumentError(
                message(f"{self.name} was not given {', '.join(missing)}", "the rule needs every setting", "Add them.")
            )
        self.check(found)
        return found


def _like(scalar: Tensor, W: Tensor) -> Tensor:
    """A scalar in the parameter's dtype."""
    return scalar.astype(W.dtype)


def _with_l2(dW: Tensor, W: Tensor, settings: Settings) -> Tensor:
    """The gradient of C + ½ reg‖W‖², where reg is `weight_decay`."""
    reg = settings["weight_decay"]
    return dW + reg * W if reg else dW


def _zeros(W: Tensor, *names: str) -> State:
    return {name: zeros(W.shape, W.dtype) for name in names}


def _mean(old: Tensor, new: Tensor, decay: float) -> Tensor:
    """Exponential moving average."""
    return decay * old + (1.0 - decay) * new


# -------------------------------------------------------------------------------------------- SGD
def _init_sgd(W: Tensor, settings: Settings) -> State:
    return _zeros(W, "momentum_buffer") if settings["momentum"] else {}


def _update_sgd(dW: Tensor, state: State, W: Tensor, settings: Settings, step: Tensor) -> tuple[Tensor, State]:
    momentum, dampening = settings["momentum"], settings["dampening"]
    g = _with_l2(dW, W, settings)
    if momentum:
        v = momentum * state["momentum_buffer"] + (1.0 - dampening) * g
        if dampening:
            v = where(step == 1.0, g, v)  # PyTorch does not dampen the first gradient
        state = {"momentum_buffer": v}
        g = g + momentum * v if settings["nesterov"] else v
    return W - _like(settings["lr"], W) * g, state


def _check_sgd(settings: Settings) -> None:
    if settings["nesterov"] and (not settings["momentum"] or settings["dampening"]):
        raise ArgumentError(
            message(
                f"SGD got nesterov=True with momentum={settings['momentum']} and dampening={settings['dampening']}",
                "Nesterov's method looks ahead along the momentum",
                "Give a momentum above 0, such as 0.9, and leave dampening at 0.",
            )
        )


# -------------------------------------------------------------------------------------------- RMSprop
def _init_rmsprop(W: Tensor, settings: Settings) -> State:
    centered = ("grad_avg",) if settings["centered"] else ()
    momentum = ("momentum_buffer",) if settings["momentum"] else ()
    return _zeros(W, "square_avg", *centered, *momentum)


def _update_rmsprop(dW: Tensor, state: State, W: Tensor, settings: Settings, step: Tensor) -> tuple[Tensor, State]:
    g = _with_l2(dW, W, settings)
    v = _mean(state["square_avg"], square(g), settings["alpha"])
    new = {"square_avg": v}
    if settings["centered"]:
        m = new["grad_avg"] = _mean(state["grad_avg"], g, settings["alpha"])
        v = maximum(v - square(m), 0.0)  # a variance; rounding could make it negative once gradients stop changing
    change = g / (sqrt(v) + settings["eps"])
    if settings["momentum"]:
        change = new["momentum_buffer"] = settings["momentum"] * state["momentum_buffer"] + change
    return W - _like(settings["lr"], W) * change, new


# -------------------------------------------------------------------------------------------- Adam and AdamW
def _init_adam(W: Tensor, settings: Settings) -> State:
    return _zeros(W, "exp_avg", "exp_avg_sq", *(("max_exp_avg_sq",) if settings["amsgrad"] else ()))


def _adam(g: Tensor, state: State, W: Tensor, settings: Settings, step: Tensor) -> tuple[Tensor, State]:
    beta1, beta2 = settings["betas"]
    m = _mean(state["exp_avg"], g, beta1)
    v = _mean(state["exp_avg_sq"], square(g), beta2)
    new = {"exp_avg": m, "exp_avg_sq": v}
    if settings["amsgrad"]:
        v = new["max_exp_avg_sq"] = maximum(state["max_exp_avg_sq"], v)
    rate = _like(settings["lr"] / (1.0 - beta1**step), W)
    root = sqrt(v) * _like(1.0 / sqrt(1.0 - beta2**step), W)  # one division in place of one per weight
    return W - rate * m / (root + settings["eps"]), new


def _update_adam(dW: Tensor, state: State, W: Tensor, settings: Settings, step: Tensor) -> tuple[Tensor, State]:
    return _adam(_with_l2(dW, W, settings), state, W, settings, step)


def _update_adamw(dW: Tensor, state: State, W: Tensor, settings: Settings, step: Tensor) -> tuple[Tensor, State]:
    if settings["weight_decay"]:
        W = W * _like(1.0 - settings["lr"] * settings["weight_decay"], W)
    return _adam(dW, state, W, settings, step)


# -------------------------------------------------------------------------------------------- Adagrad
def _init_adagrad(W: Tensor, settings: Settings) -> State:
    return {"sum": tensor(np.full(W.shape, settings["initial_accumulator_value"], W.dtype))}


def _update_adagrad(dW: Tensor, state: State, W: Tensor, settings: Settings, step: Tensor) -> tuple[Tensor, State]:
    g = _with_l2(dW, W, settings)
    s = state["sum"] + square(g)
    rate = settings["lr"] / (1.0 + (step - 1.0) * settings["lr_decay"])
    return W - _like(rate, W) * g / (sqrt(s) + settings["eps"]), {"sum": s}


# -------------------------------------------------------------------------------------------- Adadelta
def _init_adadelta(W: Tensor, settings: Settings) -> State:
    return _zeros(W, "square_avg", "acc_delta")


def _update_adadelta(dW: Tensor, state: State, W: Tensor, settings: Settings, step: Tensor) -> tuple[Tensor, State]:
    rho, eps = settings["rho"], settings["eps"]
    g = _with_l2(dW, W, settings)
    v = _mean(state["square_avg"], square(g), rho)
    change = sqrt(state["acc_delta"] + eps) / sqrt(v + eps) * g
    u = _mean(state["acc_delta"], square(change), rho)
    return W - _like(settings["lr"], W) * change, {"square_avg": v, "acc_delta": u}


_EVERY = {"lr": NON_NEGATIVE, "weight_decay": NON_NEGATIVE}
_SGD = {"momentum": NON_NEGATIVE, "dampening": FRACTION, "nesterov": FLAG}
_RMSPROP = {"alpha": FRACTION, "eps": NON_NEGATIVE, "momentum": NON_NEGATIVE, "centered": FLAG}
_ADAM = {"betas": BETAS, "eps": NON_NEGATIVE, "amsgrad": FLAG}
_ADAGRAD = {"lr_decay": NON_NEGATIVE, "initial_accumulator_value": NON_NEGATIVE, "eps": NON_NEGATIVE}
_ADADELTA = {"rho": FRACTION, "eps": NON_NEGATIVE}

RULES: dict[str, Rule] = {
    rule.name: rule
    for rule in (
        Rule("SGD", _EVERY | _SGD, _init_sgd, _update_sgd, _check_sgd),
        Rule("RMSprop", _EVERY | _RMSPROP, _init_rmsprop, _update_rmsprop),
        Rule("Adam", _EVERY | _ADAM, _init_adam, _update_adam),
        Rule("AdamW", _EVERY | _ADAM, _init_adam, _update_adamw),
        Rule("Adagrad", _EVERY | _ADAGRAD, _init_adagrad, _update_adagrad),
        Rule("Adadelta", _EVERY | _ADADELTA, _init_adadelta, _update_adadelta),
    )
}


def _known_rule(name: str) -> Rule:
    return RULES[name]
