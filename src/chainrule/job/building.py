"""How a configuration becomes a network, a loss, an optimiser and a schedule."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from chainrule import nn, optim
from chainrule.errors import ArgumentError
from chainrule.generators import Generator, drawing_from
from chainrule.job.config import Config, activations, schedules
from chainrule.job.prepared import Samples
from chainrule.optim.schedules import AVERAGE
from chainrule.train import Trainer, metrics_for

# The reasons for these, with measurements: docs/decisions/0003-training-defaults.md.
_HIDDEN = (128, 128)
_DROPOUT = 0.1
_LEAST_BATCH, _MOST_BATCH = 16, 256  # √rows between these
_LEAST_STEPS, _STEPS_PER_ROOT_ROW = 600, 30
_SHRINKAGE, _MOST_SHRINKAGE = 80.0, 4.0  # see _weight_decay
_OTHER_L2 = 1e-4
_LEAST_EPOCHS_TO_AVERAGE = 20


def resolved(config: Config, samples: Samples) -> Config:
    """The configuration with every open setting chosen from the data."""
    rows = len(samples.X)
    batch = config.batch_size or max(_LEAST_BATCH, min(_MOST_BATCH, 2 ** round(math.log2(math.sqrt(rows)))))
    steps_per_epoch = -(-rows // batch)
    steps = max(_LEAST_STEPS, _STEPS_PER_ROOT_ROW * math.sqrt(rows))
    epochs = config.epochs or max(1, round(steps / steps_per_epoch))
    optimizer, _ = optim.commands()[config.optimizer]
    rate = config.learning_rate or optimizer.usual_lr
    decay = _OTHER_L2 if _decays(optimizer) else 0.0
    if optim.RULES[optimizer.__name__].decoupled:
        decay = _weight_decay(samples, rate, epochs * steps_per_epoch)
    enough = epochs >= _LEAST_EPOCHS_TO_AVERAGE and not config.patience
    chosen = {
        **samples.features.used_settings(samples.target),
        "hidden": _HIDDEN if config.hidden is None else config.hidden,
        "dropout": _DROPOUT if config.dropout is None else config.dropout,
        "schedule": config.schedule or (AVERAGE if enough else optim.CosineAnnealingLR.command),
        "loss": config.loss or next(iter(nn.losses_for(samples.target.task))),
        "learning_rate": rate,
        "l2": decay if config.l2 is None else config.l2,
        "batch_size": batch,
        "epochs": epochs,
    }
    return replace(config, **chosen)


def _decays(optimizer: type[optim.Optimizer]) -> bool:
    """Whether an optimiser has weight decay."""
    return "weight_decay" in optim.RULES[optimizer.__name__].settings


def _weight_decay(samples: Samples, rate: float, steps: int) -> float:
    """The λ of AdamW with which a run pulls weights towards 0 the more, the more inputs there are per row.

    AdamW multiplies weights by 1 − ηλ in each step: what counts is ηλ · steps (Wang, Aitchison 2024, "How to set AdamW's weight
    decay as you scale model and dataset size"). It is 80 · inputs / rows, but at most 4.
    """
    shrinkage = min(_SHRINKAGE * samples.X[0].size / len(samples.X), _MOST_SHRINKAGE)
    # A run of a few steps must not pull so hard that weights change sign.
    return float(f"{shrinkage / (rate * max(steps, _LEAST_STEPS)):.3g}")


def build(config: Config, samples: Samples) -> nn.Module:
    """The network for a resolved configuration: what the kind of input begins with, then dense layers."""
    assert config.hidden is not None and config.dropout is not None
    activation = activation_of(config)
    layers, width = samples.features.layers(activation)
    for units in config.hidden:
        layers += [nn.Linear(width, units), activation()]
        if config.dropout:
            layers.append(nn.Dropout(config.dropout))
        width = units
    return nn.Sequential(*layers, nn.Linear(width, samples.target.outputs))


def layers_of(model: nn.Module) -> list[nn.Module]:
    """The layers of a network from `build`."""
    return list(model.children().values())


def from_layer(model: nn.Module, first: int) -> nn.Module:
    """The layers of a network from `build` after the `first` ones, as a network."""
    return nn.Sequential(*layers_of(model)[first:])


def activation_of(config: Config) -> type[nn.Activation]:
    """What makes the activations of the hidden layers."""
    return activations()[config.activation]


def make_trainer(config: Config, samples: Samples, model: nn.Module | None = None) -> Trainer:
    """Loss, optimiser and a new model for a resolved configuration, or the model to go on with."""
    if model is None:
        with drawing_from(Generator(config.seed)):
            model = build(config, samples)
    task = samples.target.task
    if config.loss not in nn.losses_for(task):
        raise ArgumentError(
            f"the loss {config.loss!r} was chosen for {samples.target.name!r}",
            f"its task is {task}, which has the losses {', '.join(nn.losses_for(task))}",
            "Choose one of them, or another --task.",
        )
    if config.class_weight and task == "regression":
        raise ArgumentError(
            f"class_weight={config.class_weight!r} was given, and {samples.target.name!r} holds numbers",
            "only classes can be weighted",
            "Leave it out, or learn classes with --task classification.",
        )
    return Trainer(
        model, make_loss(config, task), make_optimizer(config, model), metrics=metrics_for(task), backend=config.backend
    )


def make_loss(config: Config, task: str) -> nn.Loss:
    """The loss that a configuration names; the usual one of the task if it names none."""
    return nn.losses_for(task)[config.loss]() if config.loss else nn.usual_loss(task)()


def make_optimizer(config: Config, model: nn.Module) -> optim.Optimizer:
    """L2 acts on weights; biases and normalisation are left alone."""
    decayed = [(name, p) for name, p in model.named_parameters() if p.ndim > 1]
    others = [(name, p) for name, p in model.named_parameters() if p.ndim <= 1]
    cls, settings = optim.commands()[config.optimizer]
    make: Callable[..., optim.Optimizer] = cls
    if not config.l2 and not _decays(cls):
        return make(decayed + others, lr=config.learning_rate, **settings)
    groups = [{"params": decayed, "weight_decay": config.l2}, {"params": others, "weight_decay": 0.0}]
    return make(groups, lr=config.learning_rate, **settings)


def make_schedule(config: Config, steps: int) -> optim.Schedule | None:
    """The schedule over all steps of the run."""
    assert config.learning_rate is not None
    kind = schedules()[config.schedule or AVERAGE]
    return None if kind is None else kind.over_run(steps, config.learning_rate)


def epochs_not_averaged(config: Config) -> int:
    """How many epochs there are before those whose weights are averaged, with the schedule "average"."""
    return (config.epochs or 0) // 2
