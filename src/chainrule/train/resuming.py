"""Resuming a training from a checkpoint, exactly where it stopped."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from typing import Any

from chainrule import nn, optim
from chainrule.errors import ModelFileError
from chainrule.fitting import files
from chainrule.fitting.history import History
from chainrule.fitting.metrics import Metric
from chainrule.ir import Array
from chainrule.train.saving import CALLBACK, OPTIMIZER, model_from, rebuilding, without
from chainrule.train.trainer import Trainer


def load_trainer(path: files.File, metrics: Sequence[Metric] = ()) -> Trainer:
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
            f"{files.called(path)} holds a model only",
            "to train on, the moments of the optimiser and more are needed",
            "Load it with load_model and start a new Trainer, or use a file that save_trainer wrote.",
        )
    model = model_from(path, arrays, description).train()
    with rebuilding("training", path, description):
        return _trainer(model, arrays, description["training"], metrics)


def _trainer(model: nn.Module, arrays: Mapping[str, Array], training: Mapping[str, Any], metrics: Sequence[Metric]) -> Trainer:
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
    trainer.optimizer.load_state_dict(without(OPTIMIZER, arrays))
    trainer.base_rates = [float(rate) for rate in training["base_rates"]]
    trainer.epoch = operator.index(training["epoch"])
    trainer.history = History.from_dict({"step_loss": arrays["step_loss"], **training["history"]})
    trainer.random_state = arrays.get("random")
    trainer.resumed_callbacks = [
        (name, {**state, **without(f"{CALLBACK}{number}/", arrays)})
        for number, (name, state) in enumerate(training["callbacks"])
    ]
    return trainer
