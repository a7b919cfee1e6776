"""Short training runs on copies: what would happen at other learning rates, with other labels, weights, or penalties.

The runs are those of the trainer (`chainrule.fitting.steps`), on the reference backend; of large networks on the fastest one.
What they cost is bounded whatever the network and its data: those of large ones take fewer and smaller steps. Programs work on
values of their own, so the model, its optimiser and the random stream stay as they are, bit for bit.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from chainrule import backends
from chainrule.backends.reference import REFERENCE
from chainrule.diagnosis.problem import rebuilt
from chainrule.fitting.inputs import counting_samples
from chainrule.fitting.steps import Clipping, Steps
from chainrule.generators import Generator, random
from chainrule.ir import Array
from chainrule.nn import Loss, Module
from chainrule.nn.dense import dropouts
from chainrule.optim import Optimizer
from chainrule.states import ValuesApart
from chainrule.tensors import Tensor

Values = Mapping[Tensor, Array]  # of parameters

_MOST_STEPS, _FEWEST_STEPS = 100, 20
_PRODUCTS_PER_RUN = 6e7  # about how many multiplications a run may take, so that all of them together stay under two seconds
_MOST_PRODUCTS = 3e9  # of a run that cannot do with so few; its steps then take fewer samples
_SMALLEST_BATCH = 16
_REFERENCE_PRODUCTS = 6e8  # of a run from which on compiling pays
_DEEP = 40  # layers; each takes time of its own, however small it is


@dataclass(frozen=True)
class Trial:
    """A short run.

    Attributes:
        rate: learning rate of the first group.
        steps: number of updates.
        start, end: the loss in evaluation mode before and after; infinite if it is not finite.
    """

    rate: float
    steps: int
    start: float
    end: float


class Trials:
    """Short runs of one model, each from the state in which the model is.

    Args:
        model, loss, optimizer: as the trainer takes them.
        rate: learning rate of the first group; those of the others keep their proportion to it.
        data: inputs, targets and sample weights.
        batch_size: samples per step.
        judged: samples on which the loss is taken before and after.
        seed: of the order of the samples, the same in every run.
        products: multiplications per sample forward, which decide how many steps a run can afford.
        layers: their number, which does, too.
    """

    def __init__(
        self,
        model: Module,
        loss: Loss,
        optimizer: Optimizer,
        data: tuple[Array, Array, Array],
        *,
        rate: float,
        batch_size: int,
        judged: int,
        seed: int,
        products: float,
        layers: int,
    ) -> None:
        self._model, self._loss, self.optimizer, self._data = model, loss, optimizer, data
        samples, per_sample = len(data[0]), 3 * max(products, 1.0)
        size = max(_SMALLEST_BATCH, int(_MOST_PRODUCTS / (_FEWEST_STEPS * per_sample)))
        size = min(size, batch_size, samples)
        most_steps = max(_FEWEST_STEPS, _MOST_STEPS * _DEEP // max(layers, _DEEP))
        self.steps = int(np.clip(_PRODUCTS_PER_RUN / (size * per_sample), _FEWEST_STEPS, most_steps))
        self._backend = REFERENCE if self.steps * size * per_sample <= _REFERENCE_PRODUCTS else backends.get()
        rng = np.random.default_rng([seed, 1])
        epochs = -(-self.steps * size // samples)
        order = np.concatenate([rng.permutation(samples) for _ in range(epochs)])
        self._rows = order[: self.steps * size].reshape(self.steps, size)
        self._judged = rng.permutation(samples)[:judged]
        self._seed = seed
        self.rate = rate
        self._values = ValuesApart(self._backend)
        self._programs = self._new(optimizer)
        self._sweep: dict[float, Trial] = {}

    @cached_property
    def start(self) -> float:
        """The loss before any step, in evaluation mode; infinite if it is not finite."""
        return self.evaluate(self._data[0][self._judged], self._data[1][self._judged])

    def at(self, factor: float) -> Trial:
        """A run at `factor` times the learning rate; computed once."""
        if factor not in self._sweep:
            self._sweep[factor] = self._run(self._programs, factor, self._data[1])
        return self._sweep[factor]

    def best(self, exponents: Iterable[int]) -> Trial:
        """The run that ends lowest, among learning rates 10ᵏ times the given one."""
        return min((self.at(10.0**k) for k in exponents), key=lambda trial: trial.end)

    def with_permuted_labels(self, factor: float, times: int, drawn: Values | None = None) -> list[Trial]:
        """Runs in which the targets are dealt out to the samples at random, with the weights as they are or as `drawn`."""
        t = self._data[1]
        orders = [np.random.default_rng([self._seed, 2, k]).permutation(len(t)) for k in range(times)]
        return [self._run(self._programs, factor, t[order], drawn=drawn) for order in orders]

    def with_weights(self, drawn: Values, factor: float = 1.0, model: Module | None = None) -> Trial:
        """A run that begins with other values of some parameters, and with an optimiser that has not taken a step.

        Args:
            drawn: the values.
            factor: of the learning rate.
            model: another model of the same parameters, to take instead.
        """
        return self._run(self._new(rebuilt(self.optimizer), model), factor, self._data[1], drawn=drawn)

    def with_optimizer(self, optimizer: Optimizer, drawn: Values | None = None) -> Trial:
        """A run with another optimiser for the same parameters, from the weights as they are or as `drawn`."""
        return self._run(self._new(optimizer), 1.0, self._data[1], drawn=drawn)

    def without_dropout(self, drawn: Values | None = None) -> Trial:
        """A run in which no unit is dropped, from the weights as they are or as `drawn`."""
        programs = self._new(rebuilt(self.optimizer), kind=_WithoutDropout)
        return self._run(programs, 1.0, self._data[1], drawn=drawn)

    def evaluate(self, x: Array, t: Array) -> float:
        """The loss of the model as it is, in evaluation mode; infinite if it is not finite."""
        self._values.begin({})
        return self._mean_loss(self._programs, x, t)

    def _new(self, optimizer: Optimizer, model: Module | None = None, kind: type[Steps] = Steps) -> Steps:
        return kind(model or self._model, self._values, loss=self._loss, optimizer=optimizer, metrics=[], clipping=Clipping())

    def _rates(self, steps: int, factor: float) -> Array:
        rates = np.array([float(group.lr.item()) for group in self.optimizer.groups])
        shares = rates / rates[0] if rates[0] > 0 else np.ones(len(rates))
        return np.tile(shares * self.rate * factor, (steps, 1))

    def _run(self, programs: Steps, factor: float, t: Array, *, drawn: Values | None = None) -> Trial:
        x, _, s = self._data
        as_it_is = programs is self._programs and t is self._data[1] and not drawn
        start = self.start if as_it_is else math.inf
        self._values.begin({random.state: Generator(self._seed).state.numpy(), **(drawn or {})})
        if not as_it_is:
            start = self._judged_loss(programs, t)
        counting = counting_samples(programs.loss, (x, t, s))
        losses, *_ = programs.train((x, t, s), self._rows, self._rates(self.steps, factor), None, counting)
        finite = len(losses) == self.steps and bool(np.isfinite(losses).all())
        end = self._judged_loss(programs, t) if finite else math.inf
        return Trial(self.rate * factor, self.steps, start, end)

    def _judged_loss(self, programs: Steps, t: Array) -> float:
        return self._mean_loss(programs, self._data[0][self._judged], t[self._judged])

    def _mean_loss(self, programs: Steps, x: Array, t: Array) -> float:
        """Mean loss of the programs' present state, in evaluation mode."""
        total = weight = 0.0
        size = len(self._judged)  # always the same, so that there is one program for all
        for first in range(0, len(x), size):
            part = x[first : first + size]
            losses, weights, *_ = programs.evaluate([part, t[first : first + size], np.ones(len(part), np.float32)])
            total, weight = total + losses, weight + weights
        loss = total / weight if weight else math.inf
        return loss if math.isfinite(loss) else math.inf


class _WithoutDropout(Steps):
    """Training steps that drop no unit."""

    def _training_step(self, x: Tensor, t: Tensor, s: Tensor, lr: Tensor) -> list[Tensor]:
        for layer in dropouts(self.model):
            layer.training = False  # while this is captured: see `in_mode`
        return super()._training_step(x, t, s, lr)
