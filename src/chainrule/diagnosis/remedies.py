"""Changes that a diagnosis suggests, as data, and how each is made.

A remedy changes the model and the optimiser in place, as training does, and returns the problem with what is new in it (data,
loss, optimiser). A change that needs judgement, such as other labels, has no remedy: the finding says it in words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from chainrule import nn
from chainrule.diagnosis.problem import Problem, rebuilt
from chainrule.errors import ArgumentError
from chainrule.generators import Generator
from chainrule.ir import Array
from chainrule.nn.dense import dropouts
from chainrule.tensors import Tensor

Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Remedy:
    """One or more changes, made one after the other.

    Attributes:
        changes: (action, settings) pairs; actions are the keys of `ACTIONS`, settings are JSON-able.
    """

    changes: tuple[tuple[str, Settings], ...]

    def apply(self, problem: Problem) -> Problem:
        """Make the changes. The model and its parameters are changed in place; the rest is new in what is returned.

        Raises:
            ArgumentError: the problem lacks what is to be changed, an optimiser, say.
        """
        for action, settings in self.changes:
            problem = ACTIONS[action](problem, settings)
        return problem

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of all changes together."""
        return {key: value for _, settings in self.changes for key, value in settings.items()}

    def to_dict(self) -> list[dict[str, Any]]:
        """As data that JSON can hold."""
        return [{"action": action, **settings} for action, settings in self.changes]


def remedy(action: str, **settings: Any) -> Remedy:
    """A remedy of one change."""
    return Remedy(((action, settings),))


# -------------------------------------------------------------------------------------------- actions
def _set_learning_rate(problem: Problem, settings: Settings) -> Problem:
    _optimizer(problem).lr = settings["lr"]
    return problem


def _set_weight_decay(problem: Problem, settings: Settings) -> Problem:
    return replace(problem, optimizer=rebuilt(_optimizer(problem), weight_decay=settings["weight_decay"]))


def _optimizer(problem: Problem) -> Any:
    if problem.optimizer is None:
        raise ArgumentError(
            "this remedy changes a setting of the optimiser", "the problem has no optimiser", "Give diagnose one."
        )
    return problem.optimizer


def _reinitialise(problem: Problem, settings: Settings) -> Problem:
    """Draw parameters anew; the optimiser starts afresh."""
    for parameter, value in drawn(problem.model, settings["parameters"]).items():
        parameter.assign(value)
    return replace(problem, optimizer=problem.optimizer and rebuilt(problem.optimizer))


def drawn(model: nn.Module, initialisers: Mapping[str, str]) -> dict[Tensor, Array]:
    """New values for parameters, by qualified name and initialiser, from a stream of their own."""
    draws = Generator(0)
    parameters = dict(model.named_parameters())
    return {
        parameters[name]: nn.INITIALISERS[init](parameters[name].shape, draws, parameters[name].dtype)
        for name, init in initialisers.items()
    }


def _standardise_inputs(problem: Problem, settings: Settings) -> Problem:
    mean, scale = (np.asarray(settings[key]) for key in ("mean", "scale"))

    def changed(X: Any) -> Array:
        return np.asarray((np.asarray(X) - mean) / scale, np.float32)

    held = problem.validation_data
    return replace(problem, X=changed(problem.X), validation_data=held and (changed(held[0]), held[1]))


def _standardise_targets(problem: Problem, settings: Settings) -> Problem:
    def changed(y: Any) -> Array:
        return np.asarray((np.asarray(y) - settings["mean"]) / settings["scale"], np.float32)

    held = problem.validation_data
    return replace(problem, y=changed(problem.y), validation_data=held and (held[0], changed(held[1])))


def _replace_loss(problem: Problem, settings: Settings) -> Problem:
    return replace(problem, loss=nn.loss_from_config(settings))


def _drop_last_layer(problem: Problem, settings: Settings) -> Problem:
    return replace(problem, model=nn.Sequential(*_layers(problem.model)[:-1]))


def replace_activations(problem: Problem, settings: Settings) -> Problem:
    """Put another activation in the place of each; the layers with weights stay the same ones."""
    layers = _layers(problem.model)
    old, new = nn.LAYERS[settings["old"]], nn.LAYERS[settings["new"]]
    return replace(problem, model=nn.Sequential(*(new() if type(layer) is old else layer for layer in layers)))


def in_order(model: nn.Module) -> list[nn.Module]:
    """The layers of a model that applies them one after another; none where that is not known."""
    return list(model) if isinstance(model, nn.Sequential) else []


def _layers(model: nn.Module) -> list[nn.Module]:
    found = in_order(model)
    if not found:
        raise ArgumentError(
            f"this remedy changes a layer of a {type(model).__name__}",
            "it can replace layers of a Sequential only",
            "Change it in the code of the model.",
        )
    return found


def _set_dropout(problem: Problem, settings: Settings) -> Problem:
    for layer in dropouts(problem.model):
        layer.p = min(layer.p, settings["p"])
    return problem


ACTIONS: dict[str, Callable[[Problem, Settings], Problem]] = {
    "set-learning-rate": _set_learning_rate,
    "set-weight-decay": _set_weight_decay,
    "reinitialise": _reinitialise,
    "standardise-inputs": _standardise_inputs,
    "standardise-targets": _standardise_targets,
    "replace-loss": _replace_loss,
    "drop-last-layer": _drop_last_layer,
    "replace-activations": replace_activations,
    "set-dropout": _set_dropout,
}


def fitting_initialisers(layers: Iterable[tuple[str, str | None]], parameters: Iterable[str]) -> dict[str, str]:
    """Parameter name to initialiser: weights by what follows (see `nn.init.fitting`), biases 0.

    Args:
        layers: name and activation of each layer.
        parameters: qualified names of all parameters of the model.
    """
    known = list(parameters)
    found: dict[str, str] = {}
    for layer, activation in layers:
        prefix = f"{layer}." if f"{layer}.weight" in known else ""
        weight, bias = (f"{prefix}weight", f"{prefix}bias") if prefix else (layer, "")
        if weight in known:
            found[weight] = nn.init.fitting(activation)
        if bias in known:
            found[bias] = nn.init.zeros.__name__
    return found
