"""The training loop: forward pass, loss, stop when it is small enough, else backward pass and update; repeat."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from chainrule.errors import NonFiniteLoss
from chainrule.fitting.batches import Batches
from chainrule.fitting.metrics import is_right
from chainrule.fitting.steps import Steps
from chainrule.ir import Array
from chainrule.tensors import Tensor, tensor
from chainrule.train.going_back import Savepoint
from chainrule.train.interrupt import Interrupt
from chainrule.train.progress import Progress

if TYPE_CHECKING:
    from chainrule.train.trainer import Trainer

_SLICE_SECONDS = 0.1  # how long a program runs before progress is shown and Ctrl-C is heeded


@dataclass
class Job:
    """What one call of `Trainer.fit` asks for."""

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


class Pace:
    """How many steps take about as long as the user may wait for a sign of life.

    Attributes:
        steps: so many, as far as it is known.
    """

    def __init__(self) -> None:
        self.steps = 8

    def slices(self, rows: Array) -> Iterator[Array]:
        """Parts of the steps; how long the caller takes with each sets the size of the next."""
        first = 0
        while first < len(rows):
            part = rows[first : first + self.steps]
            started = time.perf_counter()
            yield part
            pace = len(part) / max(time.perf_counter() - started, 1e-9)
            self.steps = max(1, min(int(pace * _SLICE_SECONDS), 4 * self.steps))
            first += len(part)


class Loop:
    """The epochs of one call of `Trainer.fit`.

    Args:
        trainer: whose history and count of epochs go on.
        steps: the programs.
        job: what to do.
        parameters: what is learnt.
        pace: of the steps.
        call_back: called with the values of every epoch; it may change what is trained.
    """

    def __init__(
        self,
        trainer: Trainer,
        steps: Steps,
        job: Job,
        parameters: Sequence[Tensor],
        *,
        pace: Pace,
        call_back: Callable[[dict[str, float]], None] | None,
    ) -> None:
        self._trainer = trainer
        self._steps = steps
        self._job = job
        self._pace = pace
        self._call_back = call_back
        self._savepoint = Savepoint(steps, parameters, job.data, job.counting)

    def run(self) -> None:
        """Train for as many epochs as are asked for, or until something stops it.

        Raises:
            NonFiniteLoss: see `Trainer.fit`.
        """
        last = self._trainer.epoch + self._job.epochs
        watched = self._call_back is not None or self._job.held_out is not None or not self._job.batches.uniform
        while self._trainer.epoch < last and not self._trainer.history.stopped:
            at_once = 1 if watched else max(1, min(last - self._trainer.epoch, self._pace.steps // self._job.batches.steps))
            started = time.perf_counter()
            parts: list[list[Array]] = []
            try:
                for part in self._steps_of(at_once):
                    parts.append(part)  # noqa: PERF402 -- those before an error are needed
            except NonFiniteLoss as error:  # the epochs before that of the step that failed are done
                whole = (error.breakdown.epoch - self._trainer.epoch - 1) * self._job.batches.steps
                self._finish_epochs([values[:whole] for values in _joined(parts)], started)
                raise
            if not parts:
                return
            self._finish_epochs(_joined(parts), started)

    def _finish_epochs(self, outputs: Sequence[Array], started: float) -> None:
        """Enter epochs, of which the last may be cut short, given the outputs of their steps."""
        starts = range(0, len(outputs[0]), self._job.batches.steps)
        seconds = (time.perf_counter() - started) / max(len(starts), 1)
        for first in starts:
            row = self._row([values[first : first + self._job.batches.steps] for values in outputs])
            self._finish_epoch(row | {"seconds": seconds})

    def _steps_of(self, epochs: int) -> Iterator[list[Array]]:
        """Run the steps of some epochs, or fewer where training is to stop.

        Yields:
            For each slice of steps, per output of the step, and last for the rate of the first group, one value per step run.
        """
        done, loss = 0, math.nan
        for rows in self._rows(epochs):
            for part in self._pace.slices(rows):
                rates = self._rates(done, len(part), self._job.batches.steps)
                outputs = self._steps.train(self._job.data, part, rates, self._job.until, self._job.counting)
                done += len(outputs[0])
                self._trainer.history.step_loss.frombytes(outputs[0].astype(np.float64).tobytes())
                loss = float(outputs[0][-1])
                self._savepoint.note(part[: len(outputs[0])], rates[: len(outputs[0])])
                yield [*outputs, rates[: len(outputs[0]), 0]]
                if not math.isfinite(loss):
                    raise self._broken_down(loss, done)
                if not self._savepoint.look():
                    raise self._broken_down(loss, done)
                counts = self._job.counting is None or bool(self._job.counting[part[len(outputs[0]) - 1]].any())
                self._judge(loss, done, counts=counts)
                if self._trainer.history.stopped:
                    break
            if self._trainer.history.stopped:
                break
        if done and not self._savepoint.is_finite():
            raise self._broken_down(loss, done)

    def _rows(self, epochs: int) -> Iterator[Array]:
        """The rows of each step; with the sampler "misclassified", one that the model gets wrong now, while there is any."""
        if self._job.sampler == "all":
            yield from self._job.batches.rows(self._trainer.epoch, epochs)
            return
        rng = np.random.default_rng([self._job.seed, self._trainer.epoch])
        for _ in range(len(self._job.data[0])):
            outputs, targets = tensor(self._steps.predict(self._job.data[0])), tensor(self._job.data[1])
            right = is_right(outputs, targets, self._steps.loss).numpy().reshape(len(outputs), -1).all(axis=1)
            wrong = np.flatnonzero(~right if self._job.counting is None else ~right & self._job.counting)
            if not wrong.size:
                self._trainer.stop("no sample is misclassified")
                return
            yield rng.choice(wrong, size=(1, 1))

    def _rates(self, done: int, steps: int, steps_per_epoch: int) -> Array:
        """Learning rates (steps, groups)."""
        if self._trainer.schedule is None:
            return np.tile([float(group.lr) for group in self._trainer.optimizer.groups], (steps, 1))
        schedule = self._trainer.schedule
        first = self._trainer.epoch * steps_per_epoch + done
        times = range(first, first + steps)
        if schedule.interval == "epoch":
            times = [t // steps_per_epoch for t in times]  # type: ignore[assignment]
        return np.array([[schedule.value(t, base) for base in self._trainer.base_rates] for t in times])

    def _judge(self, loss: float, done: int, *, counts: bool) -> None:
        """After a slice: show it, and see whether training is to stop; a last batch that counts nothing has no say."""
        epoch, step = self._number(done)
        self._job.progress.steps(epoch, step, loss)
        if counts and self._job.until is not None and loss <= self._job.until:
            self._trainer.stop(f"the loss {loss:.6g} is within the wanted range, at most {self._job.until:g}")
        elif self._job.interrupt.requested:
            self._trainer.stop("interrupted")

    def _broken_down(self, loss: float, done: int) -> NonFiniteLoss:
        """Go back to the state before the step that failed, one of those since the last saving; the error that says why."""
        failed, later = self._savepoint.go_back(loss)
        del self._trainer.history.step_loss[len(self._trainer.history.step_loss) - later :]
        epoch, step = self._number(done - later)
        from chainrule.diagnosis.breakdown import broken_down  # noqa: PLC0415 -- only a run that fails needs it

        found = broken_down(self._steps, self._job.data, failed, epoch=epoch, step=step)
        finite = math.isfinite(failed.loss)
        what = "a parameter became NaN or infinite" if finite else f"the loss became {failed.loss}"
        kept = "it must be finite; the model keeps the values that it had before this step"
        said = f"{what} in epoch {epoch}, step {step}: {found.text()}"
        return NonFiniteLoss(said, kept, found.advice(), breakdown=found)

    def _number(self, done: int) -> tuple[int, int]:
        """Epoch and step, from 1, of the last of `done` steps since the last whole epoch."""
        return self._trainer.epoch + 1 + (done - 1) // self._job.batches.steps, (done - 1) % self._job.batches.steps + 1

    def _row(self, outputs: Sequence[Array]) -> dict[str, float]:
        """The values of an epoch from those of its steps: loss, Σ s·c, Σ s·mᵢ, learning rate."""
        losses, weights, *sums, rates = (values.astype(np.float64) for values in outputs)  # sums of float32 may overflow
        total = float(weights.sum())
        mean = float((losses * weights).sum()) / total if total else float(losses.mean())
        row = {"epoch": self._trainer.epoch + 1, "loss": float(losses.sum()) if self._steps.loss.reduction == "sum" else mean}
        for metric, values in zip(self._steps.metrics, sums, strict=True):
            row[metric.name] = metric.finish(float(values.sum()) / total) if total else math.nan
        return row | {"lr": float(rates[-1])}

    def _finish_epoch(self, row: dict[str, float]) -> None:
        if self._job.held_out is not None:
            row |= {f"val_{name}": value for name, value in self._steps.measures(self._job.held_out).items()}
        self._trainer.history.epochs.append(row)
        self._trainer.epoch += 1
        self._job.progress.epoch(row)
        if self._call_back is not None:
            self._call_back(row)
            self._savepoint.keep()


def _joined(parts: Sequence[list[Array]]) -> list[Array]:
    """Outputs of slices of steps, put together per output."""
    return [np.concatenate(values) for values in zip(*parts, strict=True)]
