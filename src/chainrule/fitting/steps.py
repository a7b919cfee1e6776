"""The training step and the evaluation of a model as graphs, and running them over rows of a data set.

    training     (x, t, s, lr) ↦ loss, Σ s·c, Σ s·mᵢ per metric; parameters, buffers, moments and random stream as state
    evaluation   (x, t, s) ↦ Σ s·loss, Σ s·weight, Σ s·c, Σ s·mᵢ per metric

x, t, s are a batch of inputs, targets and sample weights, c is the share of a sample's targets that the loss counts, lr are the
learning rates of the groups. Each graph is captured once per batch size; all run on the same values, as do those that run
the model forward (`chainrule.nn.forward`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule import checks, optim
from chainrule.capture import Capture, Compiled
from chainrule.fitting.metrics import Metric, share
from chainrule.ir import Array, Shape
from chainrule.nn import Loss, Module
from chainrule.nn.forward import EVALUATION_BATCH, Forward, batch_signature
from chainrule.nn.losses import trusting
from chainrule.recording import no_grad
from chainrule.states import Values
from chainrule.tensors import Tensor


@dataclass(frozen=True)
class Clipping:
    """How gradients are limited before the update: their total norm, or each element; None for not at all."""

    norm: float | None = None
    value: float | None = None

    def __post_init__(self) -> None:
        for name, limit in (("clip_norm", self.norm), ("clip_value", self.value)):
            if limit is not None:
                checks.real("Trainer", name, limit)


@dataclass(frozen=True)
class FailedStep:
    """A step whose loss, or after which a parameter, is not finite.

    Attributes:
        index: its number in the steps that were looked at, from 0.
        rows: (batch,), the samples that it takes.
        rates: (groups,), its learning rates.
        loss: its loss.
    """

    index: int
    rows: Array
    rates: Array
    loss: float


class Steps(Forward):
    """Programs that train and judge a model, for one loss and one optimiser."""

    def __init__(
        self,
        model: Module,
        values: Values,
        *,
        loss: Loss,
        optimizer: optim.Optimizer,
        metrics: Sequence[Metric],
        clipping: Clipping,
        threads: int | None = None,
    ) -> None:
        super().__init__(model, values, threads)
        self.loss = loss
        self.optimizer = optimizer
        self.metrics = metrics
        self.clipping = clipping

    def train(
        self, data: Sequence[Array], rows: Array, rates: Array, until: float | None, counting: Array | None = None
    ) -> list[Array]:
        """Run a training step per row of `rows`.

        Args:
            data: inputs, targets and sample weights of the whole data set.
            rows: int64 (steps, batch).
            rates: float64 (steps, groups), learning rates.
            until: see `Program.run_steps`.
            counting: bool, per sample of the data set whether it counts; None: all do. No step is taken on a batch in which
                none counts; its values are 0.

        Returns:
            Loss, Σ s·c with c the share of a sample's targets that counts, and Σ s·mᵢ per metric, each (steps,).
        """
        step = self.step_program(data, rows.shape[1], rates.shape[1])
        taken = np.ones(len(rows), bool) if counting is None else np.asarray(counting[rows].any(axis=1))
        if taken.all():
            return step.run_steps(data, rows, [rates], until)
        outputs = step.run_steps(data, rows[taken], [rates[taken]], until)
        ran = len(outputs[0])
        done = len(rows) if ran == taken.sum() else int(np.flatnonzero(taken)[ran - 1]) + 1
        return [_spread(values, taken[:done]) for values in outputs]

    def first_failed(
        self,
        data: Sequence[Array],
        rows: Array,
        rates: Array,
        parameters: Sequence[Tensor],
        counting: Array | None = None,
    ) -> FailedStep | None:
        """Take the steps one by one to the first that fails; the state is then the one before it, else that after all steps.

        Args:
            data, rows, rates, counting: see `train`.
            parameters: what must stay finite beside the loss.
        """
        self.step_program(data, rows.shape[1], rates.shape[1])  # from now on it is known what a step changes
        for index in range(len(rows)):
            before = self.values.copy()
            loss = float(self.train(data, rows[index : index + 1], rates[index : index + 1], None, counting)[0][0])
            finite = self.values.is_finite(parameters)
            if not (finite and math.isfinite(loss)):
                self.values.restore(before)
                return FailedStep(index, rows[index], rates[index], loss)
        return None

    def step_program(self, data: Sequence[Array], size: int, groups: int) -> Compiled:
        """A training step on batches of this size, for so many groups of parameters."""
        return self.program("train", self._training_step, _signature(data, size, groups))

    def capture_step(self, data: Sequence[Array], size: int, groups: int) -> Capture:
        """The graph of a training step on batches of this size, captured anew."""
        return self._capture(self._training_step, _signature(data, size, groups), training=True)

    def evaluate(self, data: Sequence[Array]) -> list[float]:
        """Σ s·loss, Σ s·weight, Σ s·c and Σ s·mᵢ over a data set, with c the share of a sample's targets that counts."""
        totals = [0.0] * (3 + len(self.metrics))
        for first in range(0, len(data[0]), EVALUATION_BATCH):
            part = [a[first : first + EVALUATION_BATCH] for a in data]
            outputs = self.program("evaluate", self._evaluation, batch_signature(part, len(part[0]))).run(part)
            totals = [total + float(value) for total, value in zip(totals, outputs, strict=True)]
        return totals

    def measures(self, data: Sequence[Array]) -> dict[str, float]:
        """The loss and the metrics over a data set, by name."""
        loss, weight, total, *sums = self.evaluate(data)
        found = {"loss": loss if self.loss.reduction == "sum" else loss / weight}
        return found | {m.name: m.finish(value / total) for m, value in zip(self.metrics, sums, strict=True)}

    def _training_step(self, x: Tensor, t: Tensor, s: Tensor, lr: Tensor) -> list[Tensor]:
        for position, group in enumerate(self.optimizer.groups):
            group.lr.assign(lr[position])
        self.optimizer.zero_grad()
        output = self.model(x)
        with trusting("targets", "weights"):  # both were looked at for the whole data set
            value = self.loss(output, t, s)
        value.backward()
        parameters = [p for group in self.optimizer.groups for p in group.params]
        if self.clipping.norm is not None:
            optim.clip_grad_norm_(parameters, self.clipping.norm)
        if self.clipping.value is not None:
            optim.clip_grad_value_(parameters, self.clipping.value)
        self.optimizer.step()
        with no_grad():
            return [value, *self._metric_sums(output, t, s)]

    def _evaluation(self, x: Tensor, t: Tensor, s: Tensor) -> list[Tensor]:
        with no_grad():
            output = self.model(x)
            with trusting("targets"):
                losses, weights = self.loss.terms(output, t)
            return [(s * losses).sum(), (s * weights).sum(), *self._metric_sums(output, t, s)]

    def _metric_sums(self, output: Tensor, t: Tensor, s: Tensor) -> list[Tensor]:
        """Σ s·c and Σ s·mᵢ, with c the share of a sample's targets that counts."""
        counted = self.loss.counted(t)
        s = s.astype("float64")  # as the metrics are: else a quotient of two sums need not be 1 where both are the same
        total = s.sum() if counted is None else (s * share(counted)).sum()
        return [total, *((s * m.per_sample(output, t, self.loss)).sum() for m in self.metrics)]


def _spread(values: Array, taken: Array) -> Array:
    """The values in the places of the steps taken, and zeros in the others."""
    spread = np.zeros((len(taken), *values.shape[1:]), values.dtype)
    spread[taken] = values
    return spread


def _signature(data: Sequence[Array], size: int, groups: int) -> list[tuple[Shape, Any]]:
    """Shape and dtype of a step's arguments: a batch of each array, and the rates."""
    return [*batch_signature(data, size), ((groups,), np.float64)]
