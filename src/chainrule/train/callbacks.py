"""What can be done between epochs. A callback is called with the trainer, whose model then holds the current values."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.errors import ArgumentError, explain
from chainrule.ir import Array
from chainrule.optim import ReduceLROnPlateau, Schedule, Scheduler
from chainrule.train.metrics import METRICS
from chainrule.train.saving import save_trainer

if TYPE_CHECKING:
    from chainrule.train.trainer import Trainer


class Callback:
    """Does nothing; subclass it and override what is needed. State that must survive a checkpoint goes into `state`."""

    def on_start(self, trainer: Trainer) -> None:
        """Before the first step of a fit."""

    def on_epoch(self, trainer: Trainer, row: Mapping[str, float]) -> None:
        """After an epoch, with its values; `trainer.stop(reason)` ends training."""

    def on_end(self, trainer: Trainer) -> None:
        """After the last step of a fit, also when it was interrupted."""

    def state(self) -> dict[str, Any]:
        """What a checkpoint must hold: JSON-able values and NumPy arrays by name."""
        return {}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """The inverse of `state`."""


def _larger_is_better(monitor: str, mode: str) -> bool:
    if mode != "auto":
        return mode == "max"
    metric = METRICS.get(monitor.removeprefix("val_"))
    return metric.larger_is_better if metric else False


def _monitored(row: Mapping[str, float], monitor: str, who: str) -> float:
    if monitor not in row:
        raise ArgumentError(
            explain(
                f"{who} watches {monitor!r}",
                f"an epoch has the values {', '.join(row)}",
                "Give validation data or the metric to fit, or watch another value.",
            )
        )
    return row[monitor]


class EarlyStopping(Callback):
    """Stop when a value has not improved for `patience` epochs, and put the best weights back.

    Args:
        patience: epochs without improvement to wait for.
        monitor: the value to watch: "val_loss", "loss", or a metric, with "val_" for validation.
        min_delta: by how much a value must be better to count as an improvement.
        mode: "min", "max", or "auto": by the metric.
        restore_best: whether to put the weights of the best epoch back at the end.
    """

    def __init__(
        self,
        patience: int = 10,
        monitor: str = "val_loss",
        *,
        min_delta: float = 0.0,
        mode: str = "auto",
        restore_best: bool = True,
    ) -> None:
        if patience < 1 or mode not in ("min", "max", "auto"):
            raise ArgumentError(
                explain(f"EarlyStopping got patience={patience}, mode={mode!r}", "patience ≥ 1, mode min, max or auto", "Check it.")
            )
        self.patience = patience
        self.monitor = monitor
        self.min_delta = min_delta
        self.restore_best = restore_best
        self._sign = -1.0 if _larger_is_better(monitor, mode) else 1.0
        self._forget()

    def _forget(self) -> None:
        self.best_value = float("inf")
        self.best_epoch = 0
        self._best_weights: dict[str, Array] | None = None

    def on_start(self, trainer: Trainer) -> None:
        """Begin afresh."""
        self._forget()

    def on_epoch(self, trainer: Trainer, row: Mapping[str, float]) -> None:
        """Note an improvement, or stop."""
        value = self._sign * _monitored(row, self.monitor, "EarlyStopping")
        if value < self.best_value - self.min_delta:
            self.best_value, self.best_epoch = value, int(row["epoch"])
            if self.restore_best:
                self._best_weights = {name: np.array(a) for name, a in trainer.model.state_dict().items()}
        elif row["epoch"] - self.best_epoch >= self.patience:
            trainer.stop(f"{self.monitor} did not improve for {self.patience} epochs; the best was epoch {self.best_epoch}")

    def on_end(self, trainer: Trainer) -> None:
        """Put the best weights back."""
        if self._best_weights is not None:
            trainer.model.load_state_dict(self._best_weights)

    def state(self) -> dict[str, Any]:
        """Best value, epoch and weights."""
        weights = {f"weight {name}": array for name, array in (self._best_weights or {}).items()}
        return {"best_value": self.best_value, "best_epoch": self.best_epoch, **weights}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """The inverse of `state`."""
        self.best_value, self.best_epoch = float(state["best_value"]), int(state["best_epoch"])
        weights = {name.removeprefix("weight "): array for name, array in state.items() if name.startswith("weight ")}
        self._best_weights = weights or None


class Checkpoint(Callback):
    """Save the whole training every `every` epochs, so that it can be resumed exactly (`load_trainer`).

    Args:
        path: file to write; "{epoch}" in its name is replaced by the number of the epoch, else the file is replaced.
        every: epochs between two writes.
    """

    def __init__(self, path: str | Path, every: int = 1) -> None:
        if every < 1:
            raise ArgumentError(explain(f"Checkpoint got every={every}", "it must be at least 1", "Use 1 for each epoch."))
        self.path = str(path)
        self.every = every

    def on_epoch(self, trainer: Trainer, row: Mapping[str, float]) -> None:
        """Save where it is due."""
        if int(row["epoch"]) % self.every == 0:
            save_trainer(trainer, self.path.replace("{epoch}", str(int(row["epoch"]))))


class LearningRate(Callback):
    """Let a schedule set the learning rate, by epoch or by step as its `interval` says.

    Args:
        schedule: a schedule of `chainrule.optim`.
        monitor: the value that ReduceLROnPlateau watches after each epoch; the other schedules watch nothing.
    """

    def __init__(self, schedule: Schedule, monitor: str = "val_loss") -> None:
        self.schedule = schedule
        self.monitor = monitor
        self._plateau: Scheduler | None = None

    def on_start(self, trainer: Trainer) -> None:
        """Hand the schedule to the trainer, which asks it before every step; a plateau sets the rate itself."""
        if isinstance(self.schedule, ReduceLROnPlateau):
            self._plateau = Scheduler(trainer.optimizer, self.schedule)
        else:
            trainer.schedule = self.schedule

    def on_epoch(self, trainer: Trainer, row: Mapping[str, float]) -> None:
        """Show the plateau rule the value of this epoch."""
        if self._plateau is not None:
            self._plateau.step(_monitored(row, self.monitor, "LearningRate"))

    def on_end(self, trainer: Trainer) -> None:
        """Take the schedule back: another fit may have another one."""
        trainer.schedule = None

    def state(self) -> dict[str, Any]:
        """What the plateau rule remembers."""
        return {} if self._plateau is None else self._plateau.state_dict()

    def load_state(self, state: Mapping[str, Any]) -> None:
        """The inverse of `state`."""
        if self._plateau is not None:
            self._plateau.load_state_dict(dict(state))


class CSVLog(Callback):
    """Write the values of every epoch to a CSV file as they come."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def on_epoch(self, trainer: Trainer, row: Mapping[str, float]) -> None:
        """Append a row, after a header at the first epoch."""
        first = int(row["epoch"]) == 1 or not self.path.exists()
        with self.path.open("w" if first else "a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, fieldnames=list(row))
            if first:
                writer.writeheader()
            writer.writerow(row)
