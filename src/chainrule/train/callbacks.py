"""What can be done between epochs. A callback is called with the trainer, whose model then holds the current values."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from chainrule import checks, elsewhere
from chainrule.errors import ArgumentError
from chainrule.fileio import unwritable, write_file
from chainrule.ir import Array
from chainrule.optim import Schedule, Scheduler
from chainrule.train.saving import save_trainer

if TYPE_CHECKING:
    from chainrule.train.trainer import Trainer


class Callback(elsewhere.Explaining):
    """Does nothing; subclass it and override what is needed. State that must survive a checkpoint goes into `state`.

    Attributes:
        saves: whether it writes the state of the other callbacks, and so is called after them.
    """

    saves: ClassVar[bool] = False

    def on_start(self, trainer: Trainer) -> None:
        """Before the first step of a fit."""

    def on_epoch(self, trainer: Trainer, row: Mapping[str, float]) -> None:
        """After an epoch, with its values; `trainer.stop(reason)` ends training."""

    def on_end(self, trainer: Trainer) -> None:
        """After the last step of a fit, also when it was interrupted."""

    def state(self) -> dict[str, Any]:
        """What a checkpoint must hold: JSON-able values and NumPy arrays by name."""
        return {}

    def load_state(self, trainer: Trainer, state: Mapping[str, Any]) -> None:
        """The inverse of `state`, called after `on_start` of the first fit of a trainer that was loaded."""


def check_callbacks(callbacks: Any) -> list[Callback]:
    """The callbacks. Raises ArgumentError for what is no list of them."""
    expected, fix = "it is a list of Callbacks", "Write callbacks=[cr.EarlyStopping(patience=5)]."
    return checks.each(callbacks, Callback, "fit got {} in callbacks", expected, fix)


def _monitored(row: Mapping[str, float], monitor: str, who: str) -> float:
    if monitor not in row:
        raise ArgumentError(
            f"{who} watches {monitor!r}",
            f"the values of an epoch are {', '.join(row)}",
            "Give validation data or the metric to fit, or watch another value.",
        )
    return row[monitor]


class _KeepsWeights(Callback):
    """Keeps weights for the end of a fit, by what they are, and the last ones, from which training goes on."""

    def _forget(self) -> None:
        self._weights: dict[str, dict[str, Array]] = {}

    def on_start(self, trainer: Trainer) -> None:
        """Begin afresh."""
        self._forget()

    def state(self) -> dict[str, Any]:
        """The weights, and after the end those that training goes on from."""
        return {f"{what} {name}": array for what, weights in self._weights.items() for name, array in weights.items()}

    def load_state(self, trainer: Trainer, state: Mapping[str, Any]) -> None:
        """The inverse of `state`; puts the weights back that training goes on from."""
        found: dict[str, dict[str, Array]] = {}
        for key, array in state.items():
            what, space, name = key.partition(" ")
            if space:
                found.setdefault(what, {})[name] = array
        last = found.pop("last", None)
        if last:
            trainer.model.load_state_dict(last)
        self._weights = found


class EarlyStopping(_KeepsWeights):
    """Stop when a value has not improved for `patience` epochs, and put the best weights back.

    Prechelt: Early stopping – but when? (1998).

    Args:
        patience: epochs without improvement to wait for.
        monitor: the value to watch: "val_loss", "loss", or a metric, with "val_" for validation.
        min_delta: by how much a value must be better to count as an improvement.
        mode: "min", "max", or "auto": by the metric.
        restore_best: whether to put the weights of the best epoch back at the end. A checkpoint that is saved afterwards still
            goes on from where training was.

    Attributes:
        best_value: the best value; None before the first epoch.
        best_epoch: its epoch.

    Raises:
        ArgumentError: patience below 1, or an unknown mode.
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
        if mode not in ("min", "max", "auto"):
            raise ArgumentError(f"EarlyStopping got mode={mode!r}", "it is min, max or auto", "Leave it out.")
        self.patience = checks.whole("EarlyStopping", "patience", patience, 1, "Write EarlyStopping(5, 'val_loss').")
        self.monitor = checks.kind(
            monitor, str, "EarlyStopping got {} to monitor", "it is the name of a value", "Write monitor='val_loss'."
        )
        self.min_delta = checks.real("EarlyStopping", "min_delta", min_delta)
        self.mode = mode
        self.restore_best = restore_best
        self._sign = 1.0
        self._forget()

    def _forget(self) -> None:
        super()._forget()
        self.best_value: float | None = None
        self.best_epoch = 0

    def on_start(self, trainer: Trainer) -> None:
        """Begin afresh."""
        super().on_start(trainer)
        name = self.monitor.removeprefix("val_")
        largest = any(m.larger_is_better for m in trainer.metrics if m.name == name)
        self._sign = -1.0 if self.mode == "max" or (self.mode == "auto" and largest) else 1.0

    def on_epoch(self, trainer: Trainer, row: Mapping[str, float]) -> None:
        """Note an improvement, or stop."""
        value = _monitored(row, self.monitor, "EarlyStopping")
        bound = np.inf if self.best_value is None else self._sign * self.best_value - self.min_delta
        if self._sign * value < bound:
            self.best_value, self.best_epoch = value, int(row["epoch"])
            if self.restore_best:
                self._weights["best"] = trainer.model.state_dict()
        elif row["epoch"] - self.best_epoch >= self.patience:
            trainer.stop(f"{self.monitor} did not improve for {self.patience} epochs; the best was epoch {self.best_epoch}")

    def on_end(self, trainer: Trainer) -> None:
        """Put the best weights back."""
        if "best" in self._weights:
            self._weights["last"] = trainer.model.state_dict()
            trainer.model.load_state_dict(self._weights["best"])

    def state(self) -> dict[str, Any]:
        """Best value, epoch and weights, and after the end the weights that training goes on from."""
        return {"best_value": self.best_value, "best_epoch": self.best_epoch, **super().state()}

    def load_state(self, trainer: Trainer, state: Mapping[str, Any]) -> None:
        """See the base."""
        super().load_state(trainer, state)
        self.best_value, self.best_epoch = state["best_value"], int(state["best_epoch"])


class BestEpoch(_KeepsWeights):
    """Train to the end, then go back to the epoch with the lowest held-out loss if the weights at the end are clearly worse.

    With dᵢ the loss of held-out sample i at the end less its loss after the best epoch, they are where

        mean(d) > errors · standard deviation(d) / √n

    with means over the samples, weighted by s: mean(d) = Σ s d / Σ s, and the error on the right is
    √(n / (n − 1) · Σ s² (d − mean(d))²) / Σ s.

    So a run that overfits is undone, and one that merely wobbled keeps its last (or averaged) weights. Put it after
    `WeightAveraging`.

    Args:
        X, y: the held-out samples, as given to `fit` for validation.
        errors: by how many standard errors the end must be worse.
        sample_weight: (samples,), s: how much each held-out sample counts; None for all alike.

    Attributes:
        best_epoch: the epoch with the lowest held-out loss so far.
        kept: the epoch whose weights the model was given at the end; None where it kept its own.
    """

    def __init__(self, X: Any, y: Any, errors: float = 1.0, *, sample_weight: Any = None) -> None:
        self._data = (X, y)
        self._sample_weight = sample_weight
        self.errors = errors
        self._forget()

    def _forget(self) -> None:
        super()._forget()
        self._best_value = np.inf
        self.best_epoch = 0
        self.kept: int | None = None

    def on_epoch(self, trainer: Trainer, row: Mapping[str, float]) -> None:
        """Note the weights of a better epoch."""
        value = _monitored(row, "val_loss", "BestEpoch")
        if value < self._best_value:
            self._best_value, self.best_epoch = value, int(row["epoch"])
            self._weights["best"] = trainer.model.state_dict()

    def on_end(self, trainer: Trainer) -> None:
        """Put the best weights back where the present ones are worse."""
        if "best" not in self._weights:
            return
        present = trainer.model.state_dict()
        now = trainer.losses(*self._data).astype(np.float64)
        trainer.model.load_state_dict(self._weights["best"])
        lost = now - trainer.losses(*self._data)
        mean, error = _mean_and_error(lost, self._sample_weight)
        if mean > self.errors * error or not np.isfinite(now).all():
            self.kept, self._weights["last"] = self.best_epoch, present
        else:
            trainer.model.load_state_dict(present)

    def state(self) -> dict[str, Any]:
        """Best value, epoch and weights, and after the end the weights that training goes on from."""
        return {"best_value": float(self._best_value), "best_epoch": self.best_epoch, **super().state()}

    def load_state(self, trainer: Trainer, state: Mapping[str, Any]) -> None:
        """See the base."""
        super().load_state(trainer, state)
        self._best_value, self.best_epoch = state["best_value"], int(state["best_epoch"])


def _mean_and_error(values: Array, weights: Any) -> tuple[float, float]:
    """The mean of values (n,) with weights (n,), and its standard error; infinite for one value."""
    n = len(values)
    if weights is None:
        return float(values.mean()), float(values.std(ddof=1) / np.sqrt(n)) if n > 1 else np.inf
    shares = np.asarray(weights, np.float64) / np.sum(weights, dtype=np.float64)
    mean = float(shares @ values)
    error = np.sqrt(n / (n - 1) * np.sum((shares * (values - mean)) ** 2)) if n > 1 else np.inf
    return mean, float(error)


class WeightAveraging(_KeepsWeights):
    """At the end, put the mean of the weights after each of the last epochs into the model.

    A learning rate that stays large keeps weights moving around a minimum; their mean lies nearer to it than any of them
    (Polyak, Juditsky: Acceleration of stochastic approximation by averaging (1992); Izmailov et al.: Averaging weights leads to
    wider optima and better generalization (2018)). It takes the place of a learning rate that falls to 0.

    Args:
        after: epochs that do not count. If training ends before the next one, the weights stay as they are.

    A checkpoint that is saved afterwards still goes on from where training was; one that goes on with another `after` begins a
    new mean.

    Raises:
        ArgumentError: `after` below 0.
    """

    def __init__(self, after: int) -> None:
        self.after = checks.whole("WeightAveraging", "after", after, 0, "Half the epochs is usual.")
        self._forget()

    def _forget(self) -> None:
        super()._forget()
        self._count = 0

    def on_epoch(self, trainer: Trainer, row: Mapping[str, float]) -> None:
        """Take the weights into the mean."""
        if row["epoch"] <= self.after:
            return
        self._count += 1
        means = self._weights.setdefault("mean", {})
        for name, array in trainer.model.state_dict().items():
            mean = means.get(name, np.zeros(array.shape))
            means[name] = mean + (array - mean) / self._count

    def on_end(self, trainer: Trainer) -> None:
        """Put the mean into the model."""
        if "mean" in self._weights:
            means, last = self._weights["mean"], trainer.model.state_dict()
            self._weights["last"] = last
            trainer.model.load_state_dict({name: means[name].astype(array.dtype) for name, array in last.items()})

    def state(self) -> dict[str, Any]:
        """The mean and how many weights it is of, and after the end the weights that training goes on from."""
        return {"after": self.after, "count": self._count, **super().state()}

    def load_state(self, trainer: Trainer, state: Mapping[str, Any]) -> None:
        """See the base."""
        super().load_state(trainer, state)
        if state["after"] == self.after:
            self._count = int(state["count"])
        else:
            self._weights = {}


class Checkpoint(Callback):
    """Save the whole training every `every` epochs, so that it can be resumed exactly (`load_trainer`).

    Args:
        path: file to write; "{epoch}" in its name is replaced by the number of the epoch, else the file is replaced.
        every: epochs between two writes.

    Raises:
        ArgumentError: `every` below 1. OutputError (in training): the file cannot be written; an earlier one is unharmed.
    """

    saves = True

    def __init__(self, path: str | Path, every: int = 1) -> None:
        self.path = str(checks.path(path, "the path of a Checkpoint"))
        self.every = checks.whole("Checkpoint", "every", every, 1, "Use 1 for each epoch.")

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
        self.schedule = checks.kind(
            schedule,
            Schedule,
            "LearningRate got {}",
            "it takes a schedule of chainrule.optim",
            "Write cr.LearningRate(optim.StepLR(step_size=10)).",
        )
        self.monitor = monitor
        self._plateau: Scheduler | None = None

    def on_start(self, trainer: Trainer) -> None:
        """Hand the schedule to the trainer, which asks it before every step; a plateau sets the rate itself."""
        if self.schedule.watches:
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

    def load_state(self, trainer: Trainer, state: Mapping[str, Any]) -> None:
        """The inverse of `state`."""
        if self._plateau is not None:
            self._plateau.load_state_dict(dict(state))


class CSVLog(Callback):
    """Write the history to a CSV file as it comes: at first all epochs so far, then one line per epoch.

    Args:
        path: the file; an earlier one is replaced.

    Raises:
        OutputError (in training): the file cannot be written.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(checks.path(path, "the path of a CSVLog"))
        self._columns: list[str] = []

    def on_start(self, trainer: Trainer) -> None:
        """Begin a new file with the next epoch."""
        self._columns = []

    def on_epoch(self, trainer: Trainer, row: Mapping[str, float]) -> None:
        """Append a line; write the whole file where its columns change."""
        if set(row) <= set(self._columns):
            self._append(row)
        else:
            write_file(self.path, trainer.history.to_csv().encode())
            self._columns = trainer.history.columns

    def _append(self, row: Mapping[str, float]) -> None:
        try:
            with self.path.open("a", newline="", encoding="utf-8") as file:
                csv.DictWriter(file, self._columns, lineterminator="\n").writerow(row)
        except OSError as error:
            raise unwritable(self.path, error) from None
