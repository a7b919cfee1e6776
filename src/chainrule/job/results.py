"""The result of a run, in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chainrule import optim
from chainrule.errors import ChainruleError
from chainrule.job.building import epochs_not_averaged
from chainrule.job.config import Config
from chainrule.job.predictor import Predictor
from chainrule.optim.schedules import AVERAGE
from chainrule.train import History

if TYPE_CHECKING:
    from chainrule.diagnosis import Diagnosis


@dataclass(frozen=True)
class Result:
    """A finished run.

    Attributes:
        predictor: the trained network with its preprocessing.
        history: values per epoch.
        metrics: measures on the held-out data (see `measure`).
        baseline: the same measures of the best constant answer (see `baseline`).
        config: every setting, as used.
        optimizer: as training left it.
        interrupted: whether Ctrl-C ended training early.
        best_epoch: the epoch whose weights were taken, as they are clearly better on the held-out rows; None for those at the
            end.
        diagnosis: what is wrong with the network, if anything; None where it was not diagnosed.
        not_diagnosed: why it cannot be diagnosed; None where it was, or where nobody asked.
    """

    predictor: Predictor
    history: History
    metrics: dict[str, float]
    baseline: dict[str, float]
    config: Config
    optimizer: optim.Optimizer
    interrupted: bool
    best_epoch: int | None = None
    diagnosis: Diagnosis | None = None
    not_diagnosed: ChainruleError | None = None

    @property
    def averaged(self) -> bool:
        """Whether the weights are the mean over the second half of the epochs."""
        return (
            self.best_epoch is None and self.config.schedule == AVERAGE and len(self.history) > epochs_not_averaged(self.config)
        )
