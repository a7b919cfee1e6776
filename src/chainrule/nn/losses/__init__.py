"""Losses: how far outputs are from targets, as one number to minimise.

base          stages, targets and weights: what all losses have in common
regression    numbers
two_classes   yes/no answers
classes       classes
pairing       outputs and targets that broadcast by mistake
table         all of them by name
"""

from chainrule.nn.losses.base import Loss, Untrained, trusting
from chainrule.nn.losses.classes import CrossEntropyLoss, KLDivLoss, NLLLoss
from chainrule.nn.losses.pairing import refuse_mixed_samples
from chainrule.nn.losses.regression import HalfSquaredError, HuberLoss, L1Loss, MSELoss
from chainrule.nn.losses.table import LOSSES, loss_from_config, losses_for, register_loss, usual_loss
from chainrule.nn.losses.two_classes import BCELoss, BCEWithLogitsLoss, HingeLoss

__all__ = [
    "LOSSES",
    "BCELoss",
    "BCEWithLogitsLoss",
    "CrossEntropyLoss",
    "HalfSquaredError",
    "HingeLoss",
    "HuberLoss",
    "KLDivLoss",
    "L1Loss",
    "Loss",
    "MSELoss",
    "NLLLoss",
    "Untrained",
    "loss_from_config",
    "losses_for",
    "refuse_mixed_samples",
    "register_loss",
    "trusting",
    "usual_loss",
]
