"""Saving and loading models, and whole trainings that go on exactly where they were."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule import checks, nn, optim
from chainrule.errors import ModelFileError, message
from chainrule.fileio import parsing
from chainrule.ir import Array, constant
from chainrule.tensors import Tensor, random
from chainrule.train import files
from chainrule.train.history import History
from chainrule.train.metrics import Metric

if TYPE_CHECKING:
    from chainrule.train.trainer import Trainer

_MODEL, _OPTIMIZER, _CALLBACK = "model/", "optimizer/", "callback/"


def save_model(model: nn.Module, path: str | Path, extras: Mapping[str, Any] | None = None) -> None:
    """Write a model to one .safetensors file: weights, and its architecture as JSON.

    Args:
        model: made of layers that are in `nn.LAYERS`.
        path: the file; an earlier one is replaced in one move.
        extras: JSON-able things to keep with it, such as preprocessing and classes.

    Raises:
        ArgumentError: a layer that is not in `nn.LAYERS`, or extras that are not JSON-able.
        OutputError: the file cannot be written; an earlier one is unharmed.
    """
    fix = "Write cr.save_model(model, path)."
    checks.kind(model, nn.Module, "save_model got {} as the model", "it saves a Module", fix)
    files.write(path, _weights(model), _description("model", model, extras))


def load_model(path: str | Path) -> tuple[nn.Module, dict[str, Any]]:
    """Read a model, from a model file or a checkpoint, and the extras that were saved with it. It is in evaluation mode.

    Raises:
        ModelFileError: the file is missing, broken, altered, or from elsewhere.
    """
    arrays, description = files.read(path)
    model = _model(path, arrays, description)
    with _rebuilding("description", path, description):
        return model, dict(description.get("extras", {}))


def save_trainer(trainer: Trainer, path: str | Path, extras: Mapping[str, Any] | None = None) -> None:
    """Write a checkpoint: the model file, and what is needed to train on exactly. See `save_model` and `load_trainer`."""
    arrays = _weights(trainer.model) | _prefixed(_OPTIMIZER, trainer.optimizer.state_dict())
    callbacks = []
    for number, (callback, state) in enumerate(trainer.callback_states()):
        held = {name: value for name, value in state.items() if isinstance(value, np.ndarray)}
        arrays |= _prefixed(f"{_CALLBACK}{number}/", held)
        callbacks.append((callback, {name: value for name, value in state.items() if name not in held}))
    history = trainer.history.to_dict()
    arrays["step_loss"] = np.array(history.pop("step_loss"), dtype=np.float64)
    if trainer.random_state is not None:
        arrays["random"] = trainer.random_state
    training = {
        "loss": trainer.loss.config(),
        "optimizer": trainer.optimizer.config(),
        "parameters": _model_names(trainer),
        "frozen": [name for name, p in trainer.model.named_parameters() if not p.requires_grad],
        "metrics": [m.name for m in trainer.metrics],
        "backend": trainer.backend,
        "clip_norm": trainer.clipping.norm,
        "clip_value": trainer.clipping.value,
        "base_rates": trainer.base_rates,
        "epoch": trainer.epoch,
        "history": history,
        "callbacks": callbacks,
    }
    files.write(path, arrays, _description("checkpoint", trainer.model, extras) | {"training": training})


def load_trainer(path: str | Path, metrics: Sequence[Metric] = ()) -> Trainer:
    """Read a checkpoint and go on: `load_trainer(path).fit(X, y, epochs=5, …)` continues as if it had never stopped.

    Give `fit` the same data, settings and callbacks as before; the callbacks take over their state.

    Args:
        path: what `save_trainer` or `Checkpoint` wrote.
        metrics: the Metrics among those of the trainer that are not in `METRICS`.

    Raises:
        ModelFileError: the file is missing, broken, altered, from elsewhere, or a model without training state.
    """
    arrays, description = files.read(path)
    if "training" not in description:
        raise ModelFileError(
            message(
                f"{path} holds a model only",
                "to train on, the moments of the optimiser and more are needed",
                "Load it with load_model and start a new Trainer, or use a file that save_trainer wrote.",
            )
        )
    model = _model(path, arrays, description).train()
    with _rebuilding("training", path, description):
        return _trainer(model, arrays, description["training"], metrics)


def _trainer(model: nn.Module, arrays: Mapping[str, Array], training: Mapping[str, Any], metrics: Sequence[Metric]) -> Trainer:
    from chainrule.train.trainer import Trainer  # noqa: PLC0415 -- callbacks save trainers, and the trainer knows callbacks

    own = dict(model.named_parameters())
    for name in training["frozen"]:
        own[name].requires_grad = False
    given = {metric.name: metric for metric in metrics}
    trainer = Trainer(
        model,
        nn.loss_from_config(training["loss"]),
        optim.from_config(training["optimizer"], [(name, own[place]) for name, place in training["parameters"].items()]),
        metrics=[given.get(name, name) for name in training["metrics"]],
        backend=training["backend"],
        clip_norm=training["clip_norm"],
        clip_value=training["clip_value"],
    )
    trainer.optimizer.load_state_dict(_without(_OPTIMIZER, arrays))
    trainer.base_rates = [float(rate) for rate in training["base_rates"]]
    trainer.epoch = operator.index(training["epoch"])
    trainer.history = History.from_dict({"step_loss": arrays["step_loss"], **training["history"]})
    trainer.random_state = arrays.get("random")
    trainer.resumed_callbacks = [
        (name, {**state, **_without(f"{_CALLBACK}{number}/", arrays)})
        for number, (name, state) in enumerate(training["callbacks"])
    ]
    return trainer


def _model_names(trainer: Trainer) -> dict[str, str]:
    """For every parameter the optimiser's name and the model's."""
    place = {parameter: name for name, parameter in trainer.model.named_parameters()}
    return {name: place[p] for group in trainer.optimizer.groups for name, p in zip(group.names, group.params, strict=True)}


def _description(kind: str, model: nn.Module, extras: Mapping[str, Any] | None) -> dict[str, Any]:
    from chainrule import __version__  # noqa: PLC0415 -- the package imports this module while it defines its version

    found = {"version": __version__, "kind": kind, "model": nn.to_config(model), "extras": dict(extras or {})}
    tied = model.tied_names()
    return found | {"tied": tied} if tied else found


def _weights(model: nn.Module) -> dict[str, Array]:
    """Parameters and buffers as a file has them: each once."""
    tied = model.tied_names()
    return _prefixed(_MODEL, {name: array for name, array in model.state_dict().items() if name not in tied})


def _model(path: str | Path, arrays: Mapping[str, Array], description: Mapping[str, Any]) -> nn.Module:
    with _rebuilding("model", path, description):
        with _random_stream_kept(), nn.init.undrawn():  # a layer of any size takes no memory until its weights are there
            model = nn.from_config(description["model"])
        for name, first in description.get("tied", {}).items():
            model.tie(name, first)
        model.load_state_dict({name: Tensor(constant(array)) for name, array in _without(_MODEL, arrays).items()})
    return model.eval()


@contextmanager
def _random_stream_kept() -> Iterator[None]:
    """Layers of users may draw initial weights, only to have them replaced: nobody's random numbers may depend on that."""
    before = np.array(random.state.numpy())
    try:
        yield
    finally:
        random.state.assign(before)


def _rebuilding(what: str, path: str | Path, description: Mapping[str, Any]) -> AbstractContextManager[None]:
    """Within it a description is used that somebody may have made up; its digest may be right all the same."""
    return parsing(
        f"the {what} in {path}",
        "its description and arrays must fit this version of chainrule",
        f"Use chainrule {description.get('version', '?')}, which wrote it, or train again.",
        ModelFileError,
    )


def _prefixed(prefix: str, arrays: Mapping[str, Array]) -> dict[str, Array]:
    return {prefix + name: array for name, array in arrays.items()}


def _without(prefix: str, arrays: Mapping[str, Array]) -> dict[str, Array]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
