"""Optimisers as pure rules and as objects, learning-rate schedules, and gradient clipping. Names and defaults are PyTorch's."""

from typing import Any

from chainrule import elsewhere
from chainrule.optim import lr_scheduler
from chainrule.optim.adadelta import Adadelta
from chainrule.optim.adagrad import Adagrad
from chainrule.optim.adam import Adam, AdamW
from chainrule.optim.clipping import clip_by_norm, clip_by_value, clip_grad_norm_, clip_grad_value_
from chainrule.optim.optimizer import OPTIMIZERS, Group, Optimizer, commands, from_config
from chainrule.optim.rmsprop import RMSprop
from chainrule.optim.rules import RULES, Rule, Setting
from chainrule.optim.schedules import (
    SCHEDULES,
    CosineAnnealingLR,
    ExponentialLR,
    LinearLR,
    OneCycleLR,
    Plateau,
    ReduceLROnPlateau,
    Schedule,
    Scheduler,
    StepLR,
)
from chainrule.optim.sgd import SGD


def __getattr__(name: str) -> Any:
    raise elsewhere.missing("chainrule.optim", name, __all__, elsewhere.OPTIMIZERS)


__all__ = [
    "OPTIMIZERS",
    "RULES",
    "SCHEDULES",
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "CosineAnnealingLR",
    "ExponentialLR",
    "Group",
    "LinearLR",
    "OneCycleLR",
    "Optimizer",
    "Plateau",
    "RMSprop",
    "ReduceLROnPlateau",
    "Rule",
    "Schedule",
    "Scheduler",
    "Setting",
    "StepLR",
    "clip_by_norm",
    "clip_by_value",
    "clip_grad_norm_",
    "clip_grad_value_",
    "commands",
    "from_config",
    "lr_scheduler",
]
