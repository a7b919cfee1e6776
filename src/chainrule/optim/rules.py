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

from chainrule.creation import zeros
from chainrule.errors import ArgumentError
from chainrule.tensors import Tensor

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
        corrected: whether moving means are corrected for their start at 0.
        decoupled: whether weight_decay pulls at weights directly, and not through the gradient.
    """

    name: str
    settings: Mapping[str, Setting]
    init: Callable[[Tensor, Settings], State]
    update: Callable[[Tensor, State, Tensor, Settings, Tensor], tuple[Tensor, State]]
    check: Callable[[Settings], None] = _anything_goes
    corrected: bool = False
    decoupled: bool = False

    def __reduce__(self) -> Any:
        """For copies and pickles: the rule of the table by its name."""
        return (_known_rule, (self.name,)) if RULES.get(self.name) is self else object.__reduce_ex__(self, 2)

    def begin(self, W: Tensor, settings: Settings) -> State:
        """The state that goes with a parameter.

        Raises:
            ArgumentError: `init` gives something else.
        """
        state = self.init(W, settings)
        if isinstance(state, dict) and all(isinstance(part, Tensor) for part in state.values()):
            return state
        raise ArgumentError(
            f"init of the rule {self.name} gave {state!r}",
            "it must return the state of a parameter, a dict from names to Tensors",
            "Return {} where nothing is kept.",
        )

    def step(self, dW: Tensor, state: State, W: Tensor, settings: Settings, step: Tensor) -> tuple[Tensor, State]:
        """What `update` gives.

        Raises:
            ArgumentError: it is no pair, or the new state has other names than the old one.
        """
        found = self.update(dW, state, W, settings, step)
        if isinstance(found, tuple) and len(found) == 2 and isinstance(found[1], dict) and found[1].keys() == state.keys():
            return found
        what = "pair with other names" if isinstance(found, tuple) and len(found) == 2 else type(found).__name__
        raise ArgumentError(
            f"update of the rule {self.name} gave a {what}",
            f"it must return the new parameter and its new state, a dict with {', '.join(state) or 'nothing in it'}",
            "Return value, {name: new moment, …}, with the names that init gave.",
        )

    def value(self, name: str, value: Any) -> Any:
        """One setting in the type that `update` expects.

        Raises:
            ArgumentError: the rule has no such setting, or does not allow the value.
        """
        if name not in self.settings:
            known = ", ".join(self.settings)
            raise ArgumentError(f"{self.name} got the setting {name!r}", f"it takes {known}", "Check the spelling.")
        setting = self.settings[name]
        if not setting.accepts(value):
            raise ArgumentError(f"{self.name} got {name}={value!r}", f"it must be {setting.expected}", "Choose another value.")
        return setting.convert(value)

    def checked(self, settings: Settings) -> dict[str, Any]:
        """All settings in the types that `update` expects.

        Raises:
            ArgumentError: one is unknown, missing, out of its range, or does not go with another.
        """
        found = {name: self.value(name, value) for name, value in settings.items()}
        missing = [name for name in self.settings if name not in found]
        if missing:
            raise ArgumentError(f"{self.name} was not given {', '.join(missing)}", "the rule needs every setting", "Add them.")
        self.check(found)
        return found


def like(scalar: Tensor, W: Tensor) -> Tensor:
    """A scalar in the parameter's dtype."""
    return scalar.astype(W.dtype)


def with_l2(dW: Tensor, W: Tensor, settings: Settings) -> Tensor:
    """The gradient of C + ½ reg‖W‖², where reg is `weight_decay`."""
    reg = settings["weight_decay"]
    return dW + reg * W if reg else dW


def zeros_like(W: Tensor, *names: str) -> State:
    """State of the shape and dtype of a parameter, under these names."""
    return {name: zeros(W.shape, W.dtype) for name in names}


def moving_mean(old: Tensor, new: Tensor, decay: float) -> Tensor:
    """Exponential moving average."""
    return decay * old + (1.0 - decay) * new


EVERY: dict[str, Setting] = {"lr": NON_NEGATIVE, "weight_decay": NON_NEGATIVE}

RULES: dict[str, Rule] = {}


def _known_rule(name: str) -> Rule:
    return RULES[name]
