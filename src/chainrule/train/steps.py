"""The training step and the evaluation of a model as graphs, and running them over rows of a data set.

    training     (x, t, s, lr) ↦ loss, Σ s, Σ s·mᵢ per metric; parameters, buffers, moments and random stream as state
    evaluation   (x, t, s) ↦ Σ s·loss, Σ s·weight, Σ s·mᵢ per metric
    prediction   x ↦ output

x, t, s are a batch of inputs, targets and sample weights. Each graph is captured once per batch size; all share one set of state
arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule import optim
from chainrule.backends.contract import Backend, Program
from chainrule.compile import Capture, capture
from chainrule.ir import Array, Shape
from chainrule.nn import Loss, Module
from chainrule.tensor import Tensor, no_grad
from chainrule.train.metrics import Metric

EVALUATION_BATCH = 1024


@dataclass(frozen=True)
class Clipping:
    """How gradients are limited before the update: their total norm, or each element; None for not at all."""

    norm: float | None = None
    value: float | None = None


class StateArrays:
    """The arrays that programs work on, one per Tensor, filled from the Tensors when first needed."""

    def __init__(self) -> None:
        self._arrays: dict[Tensor, Array] = {}
        self._changed: set[Tensor] = set()

    def of(self, found: Capture) -> list[Array]:
        """The arrays for the state of a captured graph."""
        for tensor in found.state:
            if tensor not in self._arrays:
                self._arrays[tensor] = np.array(tensor.numpy())
        for tensor, leaf, update in zip(found.state, found.graph.state, found.graph.updates, strict=True):
            if leaf is not update:
                self._changed.add(tensor)
        return [self._arrays[tensor] for tensor in found.state]

    def write_back(self) -> None:
        """Give every Tensor that programs update its current value."""
        for tensor in self._changed:
            tensor.assign(self._arrays[tensor])

    def read_again(self) -> None:
        """Take over the values of all Tensors, which somebody may have changed."""
        for tensor, array in self._arrays.items():
            np.copyto(array, tensor.numpy())


class Forward:
    """Programs that run a model forward, and the state arrays that it and its training share."""

    def __init__(self, model: Module, backend: Backend) -> None:
        self._model = model
        self._backend = backend
        self._programs: dict[tuple[Any, ...], tuple[Capture, Program]] = {}
        self.state = StateArrays()

    def predict(self, x: Array) -> Array:
        """The model's outputs for all samples, in evaluation mode."""
        parts = []
        for first in range(0, len(x), EVALUATION_BATCH):
            part = x[first : first + EVALUATION_BATCH]
            found, program = self._program("predict", self._prediction, _batch([part], len(part)))
            parts += program.run([part], self.state.of(found))
        return np.concatenate(parts)

    def output_shape(self, x: Array) -> Shape:
        """The shape of the model's output for these inputs, found without computing it."""
        (output,) = self._capture(self._prediction, _batch([x], len(x)), training=False).graph.outputs
        return output.shape

    def _program(self, kind: str, function: Callable[..., Any], arguments: list[tuple[Shape, Any]]) -> tuple[Capture, Program]:
        key = (kind, *arguments)
        if key not in self._programs:
            found = self._capture(function, arguments, training=kind == "train")
            self._programs[key] = found, self._backend.compile(found.graph)
        return self._programs[key]

    def _capture(self, function: Callable[..., Any], arguments: list[tuple[Shape, Any]], *, training: bool) -> Capture:
        names = ("x", "t", "s", "lr")
        before = self._model.training
        self._model.train(training)
        try:
            return capture(function, [(shape, dtype, name) for (shape, dtype), name in zip(arguments, names, strict=False)])
        finally:
            self._model.train(before)

    def _prediction(self, x: Tensor) -> list[Tensor]:
        with no_grad():
            return [self._model(x)]


class Steps(Forward):
    """Programs that train and judge a model, for one loss and one optimiser."""

    def __init__(
        self,
        model: Module,
        loss: Loss,
        optimizer: optim.Optimizer,
        metrics: Sequence[Metric],
        clipping: Clipping,
        backend: Backend,
    ) -> None:
        super().__init__(model, backend)
        self._loss = loss
        self._optimizer = optimizer
        self._metrics = metrics
        self._clipping = clipping

    def train(self, data: Sequence[Array], rows: Array, rates: Array, until: float | None) -> list[Array]:
        """Run a training step per row of `rows`.

        Args:
            data: inputs, targets and sample weights of the whole data set.
            rows: int64 (steps, batch).
            rates: float64 (steps, groups), learning rates.
            until: see `Program.run_steps`.

        Returns:
            Loss, Σ s, and one array of Σ s·mᵢ per metric, each (steps,).
        """
        found, program = self._program("train", self._training_step, [*_batch(data, rows.shape[1]), (rates.shape[1:], np.float64)])
        return program.run_steps(data, rows, [rates], self.state.of(found), until)

    def evaluate(self, data: Sequence[Array]) -> list[float]:
        """Σ s·loss, Σ s·weight and Σ s·mᵢ over a data set."""
        totals = [0.0] * (2 + len(self._metrics))
        for first in range(0, len(data[0]), EVALUATION_BATCH):
            part = [a[first : first + EVALUATION_BATCH] for a in data]
            found, program = self._program("evaluate", self._evaluation, _batch(part, len(part[0])))
            outputs = program.run(part, self.state.of(found))
            totals = [total + float(value) for total, value in zip(totals, outputs, strict=True)]
        return totals

    def _training_step(self, x: Tensor, t: Tensor, s: Tensor, lr: Tensor) -> list[Tensor]:
        for position, group in enumerate(self._optimizer.groups):
            group.lr.assign(lr[position])
        self._optimizer.zero_grad()
        output = self._model(x)
        value = self._loss(output, t, s)
        value.backward()
        parameters = [p for group in self._optimizer.groups for p in group.params]
        if self._clipping.norm is not None:
            optim.clip_grad_norm_(parameters, self._clipping.norm)
        if self._clipping.value is not None:
            optim.clip_grad_value_(parameters, self._clipping.value)
        self._optimizer.step()
        with no_grad():
            return [value, s.sum(), *self._metric_sums(output, t, s)]

    def _evaluation(self, x: Tensor, t: Tensor, s: Tensor) -> list[Tensor]:
        with no_grad():
            output = self._model(x)
            losses, weights = self._loss.terms(output, t)
            return [(s * losses).sum(), (s * weights).sum(), *self._metric_sums(output, t, s)]

    def _metric_sums(self, output: Tensor, t: Tensor, s: Tensor) -> list[Tensor]:
        return [(s * m.per_sample(output, t, self._loss.threshold)).sum() for m in self._metrics]


def _batch(data: Sequence[Array], size: int) -> list[tuple[Shape, Any]]:
    return [((size, *a.shape[1:]), a.dtype) for a in data]
