"""Saving and loading models, and whole trainings that can resume exactly where they stopped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule import checks, nn
from chainrule.errors import ModelFileError
from chainrule.fileio import parsing
from chainrule.fitting import files
from chainrule.generators import random
from chainrule.ir import Array, constant
from chainrule.tensors import Tensor
from chainrule.version import __version__

if TYPE_CHECKING:
    from chainrule.train.trainer import Trainer

MODEL, OPTIMIZER, CALLBACK = "model/", "optimizer/", "callback/"


def save_model(model: nn.Module, path: files.File, extras: Mapping[str, Any] | None = None) -> None:
    """Write a model to one .safetensors file: weights, and its architecture as JSON.

    Args:
        model: made of layers that are in `nn.LAYERS`.
        path: the file; an earlier one is replaced in one move. An io.BytesIO takes its content instead.
        extras: JSON-able things to keep with it, such as preprocessing and classes.

    Raises:
        ArgumentError: a layer that is not in `nn.LAYERS`, or extras that are not JSON-able.
        OutputError: the file cannot be written; an earlier one is unharmed.
    """
    fix = "Write cr.save_model(model, path)."
    checks.kind(model, nn.Module, "save_model got {} as the model", "it saves a Module", fix)
    files.write(path, _weights(model), _description("model", model, extras))


def load_model(path: files.File) -> tuple[nn.Module, dict[str, Any]]:
    """Read a model, from a model file or a checkpoint, and the extras that were saved with it. It is in evaluation mode.

    Raises:
        ModelFileError: the file is missing, broken, altered, or from elsewhere.
    """
    arrays, description = files.read(path)
    model = model_from(path, arrays, description)
    with rebuilding("description", path, description):
        return model, dict(description.get("extras", {}))


def save_trainer(trainer: Trainer, path: files.File, extras: Mapping[str, Any] | None = None) -> None:
    """Write a checkpoint: the model file, and what is needed to train on exactly. See `save_model` and `load_trainer`."""
    arrays = _weights(trainer.model) | _prefixed(OPTIMIZER, trainer.optimizer.state_dict())
    callbacks = []
    for number, (callback, state) in enumerate(trainer.callback_states()):
        held = {name: value for name, value in state.items() if isinstance(value, np.ndarray)}
        arrays |= _prefixed(f"{CALLBACK}{number}/", held)
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


def _model_names(trainer: Trainer) -> dict[str, str]:
    """For every parameter the optimiser's name and the model's."""
    place = {parameter: name for name, parameter in trainer.model.named_parameters()}
    return {name: place[p] for group in trainer.optimizer.groups for name, p in zip(group.names, group.params, strict=True)}


def _description(kind: str, model: nn.Module, extras: Mapping[str, Any] | None) -> dict[str, Any]:
    found = {"version": __version__, "kind": kind, "model": nn.to_config(model), "extras": dict(extras or {})}
    tied = model.tied_names()
    return found | {"tied": tied} if tied else found


def _weights(model: nn.Module) -> dict[str, Array]:
    """Parameters and buffers as a file has them: each once."""
    tied = model.tied_names()
    return _prefixed(MODEL, {name: array for name, array in model.state_dict().items() if name not in tied})


def model_from(path: files.File, arrays: Mapping[str, Array], description: Mapping[str, Any]) -> nn.Module:
    """The model of a file, in evaluation mode."""
    with rebuilding("model", path, description):
        with _random_stream_kept(), nn.init.undrawn():  # a layer of any size takes no memory until its weights are there
            model = nn.from_config(description["model"])
        for name, first in description.get("tied", {}).items():
            model.tie(name, first)
        model.load_state_dict({name: Tensor(constant(array)) for name, array in without(MODEL, arrays).items()})
    return model.eval()


@contextmanager
def _random_stream_kept() -> Iterator[None]:
    """Layers of users may draw initial weights, only to have them replaced: nobody's random numbers may depend on that."""
    before = np.array(random.state.numpy())
    try:
        yield
    finally:
        random.state.assign(before)


def rebuilding(what: str, path: files.File, description: Mapping[str, Any]) -> AbstractContextManager[None]:
    """Within it a description is used that somebody may have made up; its digest may be right all the same."""
    return parsing(
        f"the {what} in {files.called(path)}",
        "its description and arrays must fit this version of chainrule",
        f"Use chainrule {description.get('version', '?')}, which wrote it, or train again.",
        ModelFileError,
    )


def _prefixed(prefix: str, arrays: Mapping[str, Array]) -> dict[str, Array]:
    return {prefix + name: array for name, array in arrays.items()}


def without(prefix: str, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """The arrays whose names begin with `prefix`, by the rest of their names."""
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
