"""The training loop: forward pass, loss, stop when it is small enough, else backward pass and update; repeat."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule import backends, checks, elsewhere, optim
from chainrule.errors import ArgumentError, NonFiniteLoss, message
from chainrule.fitting import inputs
from chainrule.fitting.batches import Batches
from chainrule.fitting.history import History
from chainrule.fitting.metrics import Metric, is_right, resolve
from chainrule.fitting.steps import Clipping, FailedStep, Steps
from chainrule.ir import Array
from chainrule.nn import Loss, Module
from chainrule.nn.forward import inputs_array, model_dtype
from chainrule.nn.function_loss import as_loss
from chainrule.states import Values
from chainrule.tensors import Generator, Tensor, drawing_from, tensor
from chainrule.train.callbacks import Callback, check_callbacks
from chainrule.train.interrupt import Interrupt
from chainrule.train.progress import Progress, choose

if TYPE_CHECKING:
    from chainrule.diagnosis.findings import Diagnosis

_SLICE_SECONDS = 0.1  # how long a program runs before progress is shown and Ctrl-C is heeded
_SHARE_OF_SAVING = 0.01  # of the time goes into looking at the parameters and keeping values to go back to


class Trainer:
    """Trains a model: one graph holds forward pass, loss, gradients and update, and a backend runs it step after step.

    Args:
        model: the network.
        loss: from `chainrule.nn`.
        optimizer: from `chainrule.optim`, over the model's parameters.
        metrics: names ("accuracy", "mae", "mse", "rmse") or `Metric`s to report beside the loss.
        backend: "auto", or the name of one.
        threads: how many may run a step; None: as many as there are processors, or as `CHAINRULE_THREADS` says. Results do not
            depend on it.
        clip_norm: largest total norm of the gradients; None for no limit.
        clip_value: largest size of an element of the gradients; None for no limit.
        diagnose: whether `fit` diagnoses the network before its first step and after its last (see `chainrule.diagnose`), and
            says what it found where it shows progress. Each takes up to a second or two; steps are not slowed down.

    Attributes:
        diagnoses: what was found, by the number of epochs behind us (0: before training); where a step failed, by its epoch.
        history: what happened so far, over all calls of `fit`.
        epoch: number of epochs behind us.
        schedule: sets the learning rates; None: they stay as the optimiser has them.
        base_rates: the learning rate per group that schedules start from.
        random_state: of the random stream, where training left it; None before.
        resumed_callbacks: class name and state of each callback that the next fit must have, and that takes this state over.

    Raises:
        ArgumentError: an unknown metric or backend, a number of threads below 1, or an optimiser
            that learns something else than this model's parameters.
    """

    def __init__(
        self,
        model: Module,
        loss: Loss | Callable[[Tensor, Tensor], Tensor],
        optimizer: optim.Optimizer,
        *,
        metrics: Sequence[str | Metric | Callable[[Tensor, Tensor], Tensor]] = (),
        backend: str = "auto",
        threads: int | None = None,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        diagnose: bool = False,
    ) -> None:
        self.model = checks.kind(
            model, Module, "Trainer got {} as its model", "it trains a Module", "Write nn.Sequential(nn.Linear(3, 1)), say."
        )
        self.loss = as_loss(loss)
        self.optimizer = checks.kind(
            optimizer,
            optim.Optimizer,
            "Trainer got {} as its optimizer",
            "it takes an optimiser of chainrule.optim",
            "Write optim.Adam(model.parameters()).",
        )
        self.metrics = resolve(metrics)
        self.backend = backend
        self.clipping = Clipping(clip_norm, clip_value)
        self.diagnose = diagnose
        self.diagnoses: dict[int, Diagnosis] = {}
        self.schedule: optim.Schedule | None = None
        self.history = History()
        self.epoch = 0
        self.base_rates = [float(group.lr) for group in optimizer.groups]
        self.random_state: Array | None = None
        self.resumed_callbacks: list[tuple[str, dict[str, Any]]] = []
        self._parameters = _learnt(model, optimizer)
        self._callbacks: list[Callback] = []
        self._steps = Steps(
            model,
            Values(backends.get(backend)),
            loss=self.loss,
            optimizer=optimizer,
            metrics=self.metrics,
            clipping=self.clipping,
            threads=backends.check_threads(threads),
        )
        self._stream = Generator()
        self._slice = 8
        self._unsaved: list[tuple[Array, Array]] = []  # rows and rates of the steps since values were last kept
        self._saved_at = self._saving_seconds = 0.0

    def __reduce__(self) -> Any:
        raise ArgumentError(
            message(
                "a Trainer was to be copied or pickled",
                "its programs belong to this process",
                "Use cr.save_trainer and cr.load_trainer, or copy trainer.model.",
            )
        )

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        raise elsewhere.missing("a Trainer", name, dir(self), elsewhere.TRAINER)

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

        Ctrl-C ends training after the steps at hand and keeps what was learnt (a second one stops at once). A second call goes
        on with the weights, the moments, the count of epochs and the random stream; callbacks begin afresh. What was changed in
        between counts: frozen parameters, modes, settings of layers, loss and optimiser.

        Every trainer has a random stream of its own, so that what it draws does not depend on others; within a fit, `cr.random`
        is that stream.

        Args:
            X: inputs (samples, …), numbers; converted to the model's dtype.
            y: targets (samples,) or (samples, …), as the loss takes them.
            epochs: how often to go through the data in this call.
            batch_size: samples per step: None for all of them (batch gradient descent), 1 for stochastic.
            shuffle: whether each epoch takes the samples in a new random order.
            seed: of that order, of the validation split, and, in the first call, of dropout.
            validation_data: (X, y) or (X, y, sample_weight) to evaluate after each epoch.
            validation_split: share of the samples to set aside at random for that instead.
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
            NonFiniteLoss: the loss or a parameter became NaN or infinite. It names the step, the operation that made the first
                of them, what that read, and why; the model and the optimiser are as they were before that step.
            DataError, ShapeError, ArgumentError: data or settings that do not fit, before anything is changed.
        """
        inputs.check_settings(epochs, sampler, until_loss)
        callbacks = check_callbacks(callbacks)
        if validation_split:
            if validation_data is not None:
                raise ArgumentError(
                    message("validation_data and validation_split were both given", "one of them is enough", "Leave one out.")
                )
            kept, held = inputs.split_off(validation_split, len(np.atleast_1d(X)), seed)
            validation_data = tuple(inputs.take([X, y, sample_weight], held))
            X, y, sample_weight = inputs.take([X, y, sample_weight], kept)
        self._parameters = _learnt(self.model, self.optimizer)
        data = self._data(X, y, sample_weight, class_weight)
        held_out = None if validation_data is None else self._data(*inputs.validation_pair(validation_data))
        if sampler == "misclassified":
            inputs.check_classes(data[1])
        batches = Batches(len(data[0]), 1 if sampler == "misclassified" else batch_size, shuffle=shuffle, seed=seed)
        counting = inputs.counting_samples(self.loss, data)
        shown = choose(progress)
        with drawing_from(self._stream):
            self._begin(callbacks, seed)
            with self._diagnosed(data, held_out, batch_size, seed, progress):
                shown.start(self.epoch + 1, self.epoch + epochs, batches.steps)
                try:
                    with Interrupt() as interrupt:
                        self._run(_Job(data, counting, held_out, batches, epochs, sampler, seed, until_loss, shown, interrupt))
                finally:
                    shown.stop()
                    self._end()
        return self.history

    @property
    def diagnosis(self) -> Diagnosis | None:
        """What was found last, with `diagnose=True`; None before the first fit."""
        return self.diagnoses[max(self.diagnoses)] if self.diagnoses else None

    def evaluate(self, X: Any, y: Any, sample_weight: Any = None) -> dict[str, float]:
        """The loss and metrics on data, in evaluation mode (no dropout, running statistics).

        Raises:
            DataError, ShapeError, ArgumentError: data that does not fit.
        """
        with drawing_from(self._stream):
            data = self._data(X, y, sample_weight)
            self._refresh()
            return self._evaluate(data)

    def predict(self, X: Any) -> Array:
        """The model's outputs (samples, …), in evaluation mode.

        Raises:
            DataError, ShapeError: data that does not fit.
        """
        with drawing_from(self._stream):
            self._refresh()
            return self._steps.predict(inputs_array(self.model, X))

    def losses(self, X: Any, y: Any) -> Array:
        """The loss of every sample (samples,), in evaluation mode: which samples the model gets wrong, and by how much.

        Raises:
            DataError, ShapeError, ArgumentError: data that does not fit.
        """
        x, t, _ = self._data(X, y)
        return self.loss.terms(tensor(self._steps.predict(x)), tensor(t))[0].numpy()

    def profile(self, X: Any, y: Any, *, batch_size: int = 32, steps: int = 20) -> str:
        """Where the time of a training step goes: the kernels of its program in order, with the time that each takes.

        Nothing is trained: the model and the optimiser stay as they are.

        Args:
            X, y: see `fit`; the first batch is used.
            batch_size: samples in a step.
            steps: how many are timed.

        Returns:
            A line per kernel with its microseconds a step and its share of the processor's peak; then one per sort of kernels.
            Where zeros are skipped they count as multiplied, so a share may pass 100 %.

        Raises:
            ArgumentError: the backend has no kernels to time.
            DataError, ShapeError: data that does not fit.
        """
        data = self._data(X, y)
        batch = [a[:batch_size] for a in data]
        rates = np.array([float(group.lr) for group in self.optimizer.groups])
        with drawing_from(self._stream):
            self._refresh()
            text = self._steps.step_program(data, len(batch[0]), len(rates)).profile([*batch, rates], steps)
        if text is None:
            raise ArgumentError(
                message(
                    f"a profile was asked for on the backend {self.backend!r}",
                    "only the native backend has kernels to time",
                    'Give Trainer backend="native".',
                )
            )
        return text

    def stop(self, reason: str) -> None:
        """End training after this epoch; for callbacks."""
        self.history.stopped = reason

    def callback_states(self) -> list[tuple[str, dict[str, Any]]]:
        """Class name and state of each callback of the running or last fit, for checkpoints."""
        return self.resumed_callbacks or [(type(callback).__name__, callback.state()) for callback in self._callbacks]

    def _diagnosed(
        self, data: list[Array], held_out: list[Array] | None, batch_size: int | None, seed: int, show: bool
    ) -> AbstractContextManager[None]:
        """Diagnoses before and after what is done within it, if that was asked for."""
        if not self.diagnose:
            return nullcontext()
        from chainrule.train.diagnosing import diagnosed  # noqa: PLC0415 -- loaded where it was asked for

        return diagnosed(self, data, held_out, batch_size=batch_size, seed=seed, show=show)

    # ---------------------------------------------------------------------------------------- the loop
    def _data(self, X: Any, y: Any, sample_weight: Any = None, class_weight: inputs.ClassWeight = None) -> list[Array]:
        """Inputs, targets and weights as the programs read them."""
        x = inputs_array(self.model, X)
        output = self._steps.output_shape(x[:1])
        t = inputs.targets_array(self.model, self.loss, (len(x), *output[1:]), y, len(x))
        s = inputs.weights_array(sample_weight, class_weight, t, self.loss, model_dtype(self.model))
        data = [x, t, s]
        inputs.check_weights(self.loss, data, output)
        return data

    def _begin(self, callbacks: Sequence[Callback], seed: int) -> None:
        self._callbacks = sorted(callbacks, key=lambda callback: callback.saves)
        given = [type(callback).__name__ for callback in self._callbacks]
        states = self.resumed_callbacks or [(name, {}) for name in given]
        if [name for name, _ in states] != given:
            raise ArgumentError(
                message(
                    f"fit got the callbacks {', '.join(given) or 'none'}",
                    f"the checkpoint was written with {', '.join(name for name, _ in states)}",
                    "Give the same ones, or set trainer.resumed_callbacks = [] to begin with new ones.",
                )
            )
        if self.random_state is None:
            self._stream.seed(seed)
        else:
            self._stream.state.assign(self.random_state)
        self.history.stopped = ""
        for callback in self._callbacks:
            callback.on_start(self)
        if self.resumed_callbacks:  # the last to change the weights at the end is the first to put them back
            for callback, (_, state) in reversed([*zip(self._callbacks, states, strict=True)]):
                callback.load_state(self, state)
        self.resumed_callbacks = []
        self._refresh()
        self._keep()
        self._saved_at = time.perf_counter()

    def _refresh(self) -> None:
        """Let the programs take over what has been changed since they last ran."""
        self._steps.model, self._steps.loss, self._steps.optimizer = self.model, self.loss, self.optimizer
        self._steps.metrics, self._steps.clipping = self.metrics, self.clipping
        self._steps.refresh()

    def _end(self) -> None:
        self._steps.values.forget()
        self._note_random_state()
        for callback in self._callbacks:
            callback.on_end(self)

    def _note_random_state(self) -> None:
        self.random_state = np.array(self._stream.state.numpy())

    def _keep(self) -> None:
        """Keep the present values, to go back to."""
        self._unsaved = []
        self._steps.values.keep()

    def _run(self, job: _Job) -> None:
        last = self.epoch + job.epochs
        watched = bool(self._callbacks) or job.held_out is not None or not job.batches.uniform
        while self.epoch < last and not self.history.stopped:
            at_once = 1 if watched else max(1, min(last - self.epoch, self._slice // job.batches.steps))
            started = time.perf_counter()
            parts: list[list[Array]] = []
            try:
                for part in self._steps_of(job, at_once):
                    parts.append(part)  # noqa: PERF402 -- those before an error are needed
            except NonFiniteLoss as error:  # the epochs before that of the step that failed are done
                whole = (error.breakdown.epoch - self.epoch - 1) * job.batches.steps
                self._finish_epochs(job, [values[:whole] for values in _joined(parts)], started)
                raise
            if not parts:
                return
            self._finish_epochs(job, _joined(parts), started)

    def _finish_epochs(self, job: _Job, outputs: Sequence[Array], started: float) -> None:
        """Enter epochs, of which the last may be cut short, given the outputs of their steps."""
        starts = range(0, len(outputs[0]), job.batches.steps)
        seconds = (time.perf_counter() - started) / max(len(starts), 1)
        for first in starts:
            row = self._row([values[first : first + job.batches.steps] for values in outputs])
            self._finish_epoch(job, row | {"seconds": seconds})

    def _steps_of(self, job: _Job, epochs: int) -> Iterator[list[Array]]:
        """Run the steps of some epochs, or fewer where training is to stop.

        Yields:
            For each slice of steps, per output of the step, and last for the rate of the first group, one value per step run.
        """
        done = 0
        for rows in self._rows(job, epochs):
            for part in self._slices(rows):
                rates = self._rates(done, len(part), job.batches.steps)
                outputs = self._steps.train(job.data, part, rates, job.until, job.counting)
                done += len(outputs[0])
                self.history.step_loss.frombytes(outputs[0].astype(np.float64).tobytes())
                loss = float(outputs[0][-1])
                self._unsaved.append((part[: len(outputs[0])], rates[: len(outputs[0])]))
                yield [*outputs, rates[: len(outputs[0]), 0]]
                if not math.isfinite(loss):
                    raise self._broken_down(job, loss, done)
                self._save(job, loss, done)
                counts = job.counting is None or bool(job.counting[part[len(outputs[0]) - 1]].any())
                self._judge(loss, done, job, counts=counts)
                if self.history.stopped:
                    self._check_parameters(job, loss, done)
                    return
        if done:
            self._check_parameters(job, loss, done)

    def _rows(self, job: _Job, epochs: int) -> Iterator[Array]:
        """The rows of each step; with the sampler "misclassified", one that the model gets wrong now, while there is any."""
        if job.sampler == "all":
            yield from job.batches.rows(self.epoch, epochs)
            return
        rng = np.random.default_rng([job.seed, self.epoch])
        for _ in range(len(job.data[0])):
            outputs, targets = tensor(self._steps.predict(job.data[0])), tensor(job.data[1])
            right = is_right(outputs, targets, self.loss).numpy().reshape(len(outputs), -1).all(axis=1)
            wrong = np.flatnonzero(~right if job.counting is None else ~right & job.counting)
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

    def _judge(self, loss: float, done: int, job: _Job, *, counts: bool) -> None:
        """After a slice: show it, and see whether training is to stop; a last batch that counts nothing has no say."""
        epoch, step = self._number(done, job)
        job.progress.steps(epoch, step, loss)
        if counts and job.until is not None and loss <= job.until:
            self.stop(f"the loss {loss:.6g} is within the wanted range, at most {job.until:g}")
        elif job.interrupt.requested:
            self.stop("interrupted")

    def _check_parameters(self, job: _Job, loss: float, done: int) -> None:
        if not self._steps.values.is_finite(self._parameters):
            raise self._broken_down(job, loss, done)

    def _save(self, job: _Job, loss: float, done: int) -> None:
        """Check the parameters and keep the values, if that was not done for long compared with the time that it takes."""
        start = time.perf_counter()
        if start - self._saved_at > self._saving_seconds / _SHARE_OF_SAVING:
            self._check_parameters(job, loss, done)
            self._keep()
            self._saved_at = time.perf_counter()
            self._saving_seconds = self._saved_at - start

    def _broken_down(self, job: _Job, loss: float, done: int) -> NonFiniteLoss:
        """Go back to the state before the step that failed, one of those since the last saving; the error that says why."""
        rows, rates = self._unsaved[-1]
        failed, later = FailedStep(len(rows) - 1, rows[-1], rates[-1], loss), 0
        if not self._steps.values.is_finite(self._parameters):
            self._steps.values.go_back()  # to the values kept last, from which the steps are taken again
            failed, later = self._first_failed(job) or (failed, later)
        del self.history.step_loss[len(self.history.step_loss) - later :]
        epoch, step = self._number(done - later, job)
        from chainrule.diagnosis.breakdown import broken_down  # noqa: PLC0415 -- only a run that fails needs it

        found = broken_down(self._steps, job.data, failed, epoch=epoch, step=step)
        finite = math.isfinite(failed.loss)
        what = "a parameter became NaN or infinite" if finite else f"the loss became {failed.loss}"
        kept = "it must be finite; the model keeps the values that it had before this step"
        return NonFiniteLoss(message(f"{what} in epoch {epoch}, step {step}: {found.text()}", kept, found.advice()), found)

    def _first_failed(self, job: _Job) -> tuple[FailedStep, int] | None:
        """The first step since the last saving that fails, and how many steps were taken after it."""
        later = sum(len(rows) for rows, _ in self._unsaved)
        for rows, rates in self._unsaved:
            failed = self._steps.first_failed(job.data, rows, rates, self._parameters, job.counting)
            if failed is not None:
                return failed, later - failed.index - 1
            later -= len(rows)
        return None

    def _number(self, done: int, job: _Job) -> tuple[int, int]:
        """Epoch and step, from 1, of the last of `done` steps since the last whole epoch."""
        return self.epoch + 1 + (done - 1) // job.batches.steps, (done - 1) % job.batches.steps + 1

    def _row(self, outputs: Sequence[Array]) -> dict[str, float]:
        """The values of an epoch from those of its steps: loss, Σ s·c, Σ s·mᵢ, learning rate."""
        losses, weights, *sums, rates = (values.astype(np.float64) for values in outputs)  # sums of float32 may overflow
        total = float(weights.sum())
        mean = float((losses * weights).sum()) / total if total else float(losses.mean())
        row = {"epoch": self.epoch + 1, "loss": float(losses.sum()) if self.loss.reduction == "sum" else mean}
        for metric, values in zip(self.metrics, sums, strict=True):
            row[metric.name] = metric.finish(float(values.sum()) / total) if total else math.nan
        return row | {"lr": float(rates[-1])}

    def _finish_epoch(self, job: _Job, row: dict[str, float]) -> None:
        if job.held_out is not None:
            row |= {f"val_{name}": value for name, value in self._evaluate(job.held_out).items()}
        self.history.epochs.append(row)
        self.epoch += 1
        job.progress.epoch(row)
        if self._callbacks:
            self._note_random_state()
            for callback in self._callbacks:
                callback.on_epoch(self, row)
            self._refresh()
            self._keep()

    def _evaluate(self, data: Sequence[Array]) -> dict[str, float]:
        loss, weight, total, *sums = self._steps.evaluate(data)
        found = {"loss": loss if self.loss.reduction == "sum" else loss / weight}
        return found | {m.name: m.finish(value / total) for m, value in zip(self.metrics, sums, strict=True)}


elsewhere.explain_calls_of_methods(Trainer)


@dataclass
class _Job:
    """What one call of `fit` asks for."""

    data: list[Array]
    counting: Array | None
    held_out: list[Array] | None
    batches: Batches
    epochs: int
    sampler: str
    seed: int
    until: float | None
    progress: Progress
    interrupt: Interrupt


def _joined(parts: Sequence[list[Array]]) -> list[Array]:
    """Outputs of slices of steps, put together per output."""
    return [np.concatenate(values) for values in zip(*parts, strict=True)]


def _learnt(model: Module, optimizer: optim.Optimizer) -> list[Tensor]:
    """The parameters that the optimiser learns, which are the model's."""
    own = {id(parameter) for parameter in model.parameters()}
    found = [parameter for group in optimizer.groups for parameter in group.params]
    strangers = [p for p in found if id(p) not in own]
    if strangers:
        raise ArgumentError(
            message(
                f"the optimiser learns {len(strangers)} parameters that the model does not have",
                "a trainer learns its own model",
                "Make the optimiser from model.parameters(), after the last change of the model.",
            )
        )
    return found
