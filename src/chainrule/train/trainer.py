"""The training loop: forward pass, loss, stop when it is small enough, else backward pass and update; repeat."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule import backends, optim
from chainrule.errors import ArgumentError, NonFiniteLoss, explain
from chainrule.ir import Array
from chainrule.nn import Loss, Module
from chainrule.tensor import random, tensor
from chainrule.train import inputs
from chainrule.train.batches import Batches
from chainrule.train.callbacks import Callback
from chainrule.train.history import History
from chainrule.train.interrupt import Interrupt
from chainrule.train.metrics import Metric, decide, resolve
from chainrule.train.progress import Progress, choose
from chainrule.train.steps import Clipping, Steps

_SLICE_SECONDS = 0.1  # how long a program runs before progress is shown and Ctrl-C is heeded


class Trainer:
    """Trains a model: one graph holds forward pass, loss, gradients and update, and a backend runs it step after step.

    Args:
        model: the network.
        loss: from `chainrule.nn`.
        optimizer: from `chainrule.optim`, over the model's parameters.
        metrics: names ("accuracy", "mae", "mse", "rmse") or `Metric`s to report beside the loss.
        backend: "auto", or the name of one.
        clip_norm: largest total norm of the gradients; None for no limit.
        clip_value: largest size of an element of the gradients; None for no limit.

    Attributes:
        history: what happened so far, over all calls of `fit`.
        epoch: number of epochs behind us.
        schedule: sets the learning rates; None: they stay as the optimiser has them.
        base_rates: the learning rate per group that schedules start from.
        random_state: of the random stream, where training left it; None before.
        resumed_callbacks: states that the callbacks of the next fit take over.
    """

    def __init__(
        self,
        model: Module,
        loss: Loss,
        optimizer: optim.Optimizer,
        *,
        metrics: Sequence[str | Metric] = (),
        backend: str = "auto",
        clip_norm: float | None = None,
        clip_value: float | None = None,
    ) -> None:
        self.model = model
        self.loss = loss
        self.optimizer = optimizer
        self.metrics = resolve(metrics)
        self.backend = backend
        self.clipping = Clipping(clip_norm, clip_value)
        self.schedule: optim.Schedule | None = None
        self.history = History()
        self.epoch = 0
        self.base_rates = [float(group.lr) for group in optimizer.groups]
        self.random_state: Array | None = None
        self.resumed_callbacks: list[dict[str, Any]] = []
        self._callbacks: list[Callback] = []
        self._steps = Steps(model, loss, optimizer, self.metrics, self.clipping, backends.get(backend))
        self._slice = 8

    # ---------------------------------------------------------------------------------------- what users call
    def fit(
        self,
        X: Any,
        y: Any,
        *,
        epochs: int = 10,
        batch_size: int | None = 32,
        shuffle: bool = True,
        seed: int = 0,
        validation_data: tuple[Any, ...] | None = None,
        validation_split: float = 0.0,
        sample_weight: Any = None,
        class_weight: inputs.ClassWeight = None,
        sampler: str = "all",
        until_loss: float | None = None,
        callbacks: Sequence[Callback] = (),
        progress: bool = True,
    ) -> History:
        """Train for some epochs more.

        Ctrl-C ends training after the steps at hand and keeps what was learnt (a second one stops at once).

        Args:
            X: inputs (samples, …), numbers; converted to the model's dtype.
            y: targets (samples,) or (samples, …), as the loss takes them.
            epochs: how often to go through the data.
            batch_size: samples per step: None for all of them (batch gradient descent), 1 for stochastic.
            shuffle: whether each epoch takes the samples in a new random order.
            seed: of that order, of the validation split, and of dropout.
            validation_data: (X, y) or (X, y, sample_weight) to evaluate after each epoch.
            validation_split: share of the samples to set aside for that instead.
            sample_weight: (samples,), how much each sample counts.
            class_weight: weight per class number, or "balanced" for n / (classes · count).
            sampler: "all", or "misclassified": each step takes one sample at random from those that are still misclassified,
                until none is left; an epoch is then as many steps as there are samples.
            until_loss: stop before the update of the first step whose loss is at most this.
            callbacks: see `chainrule.train.callbacks`.
            progress: whether to show a bar (on a terminal) or lines (elsewhere).

        Returns:
            The history of the trainer.

        Raises:
            NonFiniteLoss: the loss became NaN or infinite; the model keeps the values from before that step.
            DataError, ShapeError, ArgumentError: data or settings that do not fit, before anything is changed.
        """
        if epochs < 0 or sampler not in ("all", "misclassified"):
            raise ArgumentError(
                explain(
                    f"epochs={epochs} and sampler={sampler!r} were given",
                    "epochs is at least 0, and sampler 'all' or 'misclassified'",
                    "Check them.",
                )
            )
        if validation_split:
            if validation_data is not None:
                raise ArgumentError("validation_data and validation_split were both given; give one of them.")
            kept, held = inputs.split_off(validation_split, len(X), seed)
            validation_data = tuple(inputs.take([X, y, sample_weight], held))
            X, y, sample_weight = inputs.take([X, y, sample_weight], kept)
        data = self._data(X, y, sample_weight, class_weight)
        held_out = None if validation_data is None else self._data(*validation_data)
        batches = Batches(len(data[0]), 1 if sampler == "misclassified" else batch_size, shuffle=shuffle, seed=seed)
        shown = choose(progress)
        self._begin(callbacks, seed)
        shown.start(epochs, batches.steps)
        try:
            with Interrupt() as interrupt:
                self._run(_Job(data, held_out, batches, epochs, sampler, seed, until_loss, shown, interrupt))
        finally:
            shown.stop()
            self._end()
        return self.history

    def evaluate(self, X: Any, y: Any, sample_weight: Any = None) -> dict[str, float]:
        """The loss and metrics on data, in evaluation mode (no dropout, running statistics).

        Raises:
            DataError, ShapeError, ArgumentError: data that does not fit.
        """
        data = self._data(X, y, sample_weight)
        self._steps.state.read_again()
        return self._evaluate(data)

    def predict(self, X: Any) -> Array:
        """The model's outputs (samples, …), in evaluation mode.

        Raises:
            DataError, ShapeError: data that does not fit.
        """
        self._steps.state.read_again()
        return self._steps.predict(inputs.inputs_array(self.model, X))

    def stop(self, reason: str) -> None:
        """End training after this epoch; for callbacks."""
        self.history.stopped = reason

    def callback_states(self) -> list[dict[str, Any]]:
        """The state of each callback of the running or last fit, for checkpoints."""
        return [callback.state() for callback in self._callbacks]

    # ---------------------------------------------------------------------------------------- the loop
    def _data(self, X: Any, y: Any, sample_weight: Any = None, class_weight: inputs.ClassWeight = None) -> list[Array]:
        """Inputs, targets and weights as the programs read them."""
        x = inputs.inputs_array(self.model, X)
        output = self._steps.output_shape(x[:1])
        t = inputs.targets_array(self.model, self.loss, (len(x), *output[1:]), y, len(x))
        return [x, t, inputs.weights_array(sample_weight, class_weight, t, inputs.model_dtype(self.model))]

    def _begin(self, callbacks: Sequence[Callback], seed: int) -> None:
        self._callbacks = list(callbacks)
        self.history.stopped = ""
        if self.random_state is None:
            random.seed(seed)
        else:
            random.state.assign(self.random_state)
        self._steps.state.read_again()
        for callback in self._callbacks:
            callback.on_start(self)
        for callback, state in zip(self._callbacks, self.resumed_callbacks, strict=False):
            callback.load_state(state)
        self.resumed_callbacks = []

    def _end(self) -> None:
        self._publish()
        for callback in self._callbacks:
            callback.on_end(self)

    def _publish(self) -> None:
        """Let the model, the optimiser and the random stream show what the programs have computed."""
        self._steps.state.write_back()
        self.random_state = np.array(random.state.numpy())

    def _run(self, job: _Job) -> None:
        last = self.epoch + job.epochs
        watched = bool(self._callbacks) or job.held_out is not None or not job.batches.uniform
        while self.epoch < last and not self.history.stopped:
            at_once = 1 if watched else max(1, min(last - self.epoch, self._slice // job.batches.steps))
            started = time.perf_counter()
            outputs = self._steps_of(job, at_once)
            if not outputs:
                return
            starts = range(0, len(outputs[0]), job.batches.steps)
            seconds = (time.perf_counter() - started) / len(starts)
            for first in starts:
                row = self._row([values[first : first + job.batches.steps] for values in outputs])
                self._finish_epoch(job, row | {"seconds": seconds})

    def _steps_of(self, job: _Job, epochs: int) -> list[Array]:
        """Run the steps of some epochs, or fewer where training is to stop; per output of the step one value per step run."""
        found: list[list[Array]] = []
        done = 0
        for rows in self._rows(job, epochs):
            for part in self._slices(rows):
                outputs = self._steps.train(job.data, part, self._rates(done, len(part), job.batches.steps), job.until)
                found.append(outputs)
                done += len(outputs[0])
                self.history.step_loss.extend(outputs[0].tolist())
                self._judge(float(outputs[0][-1]), done, job)
                if self.history.stopped:
                    return _joined(found)
        return _joined(found)

    def _rows(self, job: _Job, epochs: int) -> Iterator[Array]:
        """The rows of each step; with the sampler "misclassified", one that the model gets wrong now, while there is any."""
        if job.sampler == "all":
            yield from job.batches.rows(self.epoch, epochs)
            return
        rng = np.random.default_rng([job.seed, self.epoch])
        for _ in range(len(job.data[0])):
            found = decide(tensor(self._steps.predict(job.data[0])), self.loss.threshold).numpy()
            wrong = np.flatnonzero(found != _classes(job.data[1]))
            if not wrong.size:
                self.stop("no sample is misclassified")
                return
            yield rng.choice(wrong, size=(1, 1))

    def _slices(self, rows: Array) -> Iterator[Array]:
        """Parts of the steps that take about as long as the user may wait for a sign of life."""
        first = 0
        while first < len(rows):
            part = rows[first : first + self._slice]
            started = time.perf_counter()
            yield part
            pace = len(part) / max(time.perf_counter() - started, 1e-9)
            self._slice = max(1, min(int(pace * _SLICE_SECONDS), 4 * self._slice))
            first += len(part)

    def _rates(self, done: int, steps: int, steps_per_epoch: int) -> Array:
        """Learning rates (steps, groups)."""
        if self.schedule is None:
            return np.tile([float(group.lr) for group in self.optimizer.groups], (steps, 1))
        schedule = self.schedule
        first = self.epoch * steps_per_epoch + done
        times = range(first, first + steps)
        if schedule.interval == "epoch":
            times = [t // steps_per_epoch for t in times]  # type: ignore[assignment]
        return np.array([[schedule.value(t, base) for base in self.base_rates] for t in times])

    def _judge(self, loss: float, done: int, job: _Job) -> None:
        """After a slice: show it, and see whether training is to stop."""
        epoch, step = self.epoch + 1 + (done - 1) // job.batches.steps, (done - 1) % job.batches.steps + 1
        if not math.isfinite(loss):
            raise NonFiniteLoss(
                explain(
                    f"the loss became {loss} in epoch {epoch}, step {step}",
                    "it must be finite; the model keeps the values from before that step",
                    "Use a smaller learning rate, limit the gradients with clip_norm=1.0, or check the scale of the data.",
                )
            )
        job.progress.steps(epoch, step, loss)
        if job.until is not None and loss <= job.until:
            self.stop(f"the loss {loss:.6g} is within the wanted range, at most {job.until:g}")
        elif job.interrupt.requested:
            self.stop("interrupted")

    def _row(self, outputs: Sequence[Array]) -> dict[str, float]:
        """The values of an epoch from those of its steps: loss, Σ s, Σ s·mᵢ."""
        losses, weights, *sums = outputs
        total = float(weights.sum())
        mean = float((losses * weights).sum()) / total if total else float(losses.mean())
        row = {"epoch": self.epoch + 1.0, "loss": float(losses.sum()) if self.loss.reduction == "sum" else mean}
        for metric, values in zip(self.metrics, sums, strict=True):
            row[metric.name] = metric.finish(float(values.sum()) / total) if total else math.nan
        return row | {"lr": float(self.optimizer.groups[0].lr)}

    def _finish_epoch(self, job: _Job, row: dict[str, float]) -> None:
        if job.held_out is not None:
            row |= {f"val_{name}": value for name, value in self._evaluate(job.held_out).items()}
        self.history.epochs.append(row)
        self.epoch += 1
        job.progress.epoch(row)
        if self._callbacks:
            self._publish()
            for callback in self._callbacks:
                callback.on_epoch(self, row)
            self._steps.state.read_again()

    def _evaluate(self, data: Sequence[Array]) -> dict[str, float]:
        loss, weight, *sums = self._steps.evaluate(data)
        total = float(data[2].sum())
        found = {"loss": loss if self.loss.reduction == "sum" else loss / weight}
        return found | {m.name: m.finish(value / total) for m, value in zip(self.metrics, sums, strict=True)}


@dataclass
class _Job:
    """What one call of `fit` asks for."""

    data: list[Array]
    held_out: list[Array] | None
    batches: Batches
    epochs: int
    sampler: str
    seed: int
    until: float | None
    progress: Progress
    interrupt: Interrupt


def _joined(parts: Sequence[list[Array]]) -> list[Array]:
    return [np.concatenate(values) for values in zip(*parts, strict=True)]


def _classes(targets: Array) -> Array:
    """Class numbers (n,) from class numbers or rows of a distribution."""
    if targets.ndim > 1 and targets.shape[1] > 1:
        return np.argmax(targets, axis=1)
    return targets.reshape(-1).astype(np.int64)
