"""The numbers that a diagnosis is based on; the rules judge them.

What one pass shows is measured at once; what goes on while learning is found in short runs on copies, made when a rule asks.
"""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np

from chainrule.diagnosis.layer_numbers import measured_layers
from chainrule.diagnosis.one_pass import OnePass
from chainrule.diagnosis.problem import Problem, arrays, targets_for
from chainrule.diagnosis.relation import Relation, related
from chainrule.diagnosis.remedies import Remedy, drawn, fitting_initialisers, replace_activations
from chainrule.diagnosis.trials import Trial, Trials
from chainrule.ir import Array
from chainrule.layers import Layer
from chainrule.nn.forward import inputs_array, model_dtype
from chainrule.optim import Adam
from chainrule.tensors import Tensor

_SAMPLES, _FEWEST = 256, 16
_NUMBERS = 1_000_000  # in the sample: convolutions of large pictures take memory
_LOOKED_AT, _NUMBERS_LOOKED_AT = 4096, 8_000_000
_HELD_OUT = 8  # times as many held-out samples as in the sample
_NEAR, _FURTHER = range(-4, 5), 10  # powers of 10 that are tried as learning rates, and how many more on one side
_LOWEST = 1e-12  # learning rate that powers of 10 are taken of; it stands for 0, too
_LEARNT, _NOT_BY_CHANCE = 0.9, 0.6  # of the best constant prediction's loss; random weights reach the former now and then


class Measurements:
    """Everything measured of a problem. Nothing of the problem is changed.

    Args:
        problem: what is diagnosed.
        seed: of the sample and of the short runs.

    Attributes:
        problem: as given.
        x, t: inputs and targets as the training step reads them.
        features: the inputs of up to 4096 samples (fewer large ones), float64, a column per feature; a picture or a sequence
            counts as one.
        output: what the network gives for the sample, in training mode.
        loss: the loss of the sample.
        ending: name of the activation function that the output comes out of, or None.
        expected: what the loss should be at the start; None if that is not known.
        layers: see `LayerNumbers`.
        infected: names of the parameters that hold NaN or infinities.
        non_finite: where the first NaN or infinity of the training step came from, or None.

    Raises:
        DataError, ShapeError, ArgumentError: data that does not fit model and loss.
        GradientError: a loss that cannot be differentiated.
    """

    def __init__(self, problem: Problem, seed: int) -> None:
        self.problem, self._seed = problem, seed
        model, loss = problem.model, problem.loss
        self.x, self.t = arrays(problem)
        count = max(_FEWEST, min(_SAMPLES, _NUMBERS // max(self.x[0].size, 1)))
        sample = np.random.default_rng([seed, 0]).permutation(len(self.x))[:count]
        self._sampled = len(sample)
        looked_at = max(_FEWEST, min(_LOOKED_AT, _NUMBERS_LOOKED_AT // max(self.x[0].size, 1)))
        rows = self.x[:: -(-len(self.x) // looked_at)]
        self.features = (rows if rows.ndim == 2 else rows.reshape(-1, 1)).astype(np.float64)
        batch = [self.x[sample], self.t[sample], np.ones(len(sample), model_dtype(model))]
        one = OnePass(problem, batch, seed)
        self.output, self.loss, self.ending, self.non_finite = one.output, one.loss, one.ending, one.non_finite
        self.expected = loss.untrained(self.output.shape, self.t.astype(np.float64) if self.t.dtype.kind == "f" else self.t)
        self.infected = [name for name, p in model.named_parameters() if not np.isfinite(p.numpy()).all()]
        self.layers = measured_layers(one, problem.optimizer, problem.rate)
        self._products = sum(_products(layer) for layer in one.layers) / len(sample)

    # ---------------------------------------------------------------------------------------- short runs
    @property
    def can_learn(self) -> bool:
        """Whether a training step can be taken: parameters and loss are finite, and there is something to learn."""
        return bool(self.layers) and self.non_finite is None

    @cached_property
    def trials(self) -> Trials:
        """Short runs with the problem's optimiser, or with Adam at its default rate."""
        problem = self.problem
        optimizer = problem.optimizer or Adam(problem.model.parameters())
        s = np.ones(len(self.x), model_dtype(problem.model))
        return Trials(
            problem.model,
            problem.loss,
            optimizer,
            (self.x, self.t, s),
            rate=max(problem.rate or float(optimizer.lr), _LOWEST),
            batch_size=problem.batch_size,
            judged=self._sampled,
            seed=self._seed,
            products=self._products,
            layers=len(self.layers),
        )

    @cached_property
    def given(self) -> Trial:
        """The short run at the given learning rate."""
        return self.trials.at(1.0)

    @cached_property
    def best(self) -> Trial:
        """The short run at the best learning rate, in powers of 10 times the given one.

        Where the given one learns at least half of what can be learnt, in steps shorter than the weights, only the one below is
        tried. Where none near it learns, those further away are tried, too.
        """
        if self.problem.optimizer is None:
            return self.trials.best(range(-1, 3))
        learns = self.given.start - self.given.end > 0.5 * self.scale
        if learns and self.longest_update <= 1.0:
            return self.trials.best((-1, 0))
        found = self.trials.best(_NEAR)
        if found.start - found.end > 0.1 * self.scale:
            return found
        lowest, highest = (self.trials.at(10.0**k) for k in (_NEAR[0], _NEAR[-1]))
        if lowest.end > lowest.start + 0.1 * self.scale:  # even the lowest is far too high
            return self.trials.best((*_NEAR, *range(_NEAR[0] - _FURTHER, _NEAR[0])))
        if highest.end <= highest.start:
            return self.trials.best((*_NEAR, *range(_NEAR[-1] + 1, _NEAR[-1] + 1 + _FURTHER)))
        return found

    @property
    def trained(self) -> bool:
        """Whether the network has been trained."""
        return self.problem.trained or bool(self.problem.epochs)

    @property
    def has_learnt(self) -> bool:
        """Whether the network is clearly better than the best constant prediction, so that what it has learnt speaks for it."""
        return self.can_learn and self.trials.start < (_LEARNT if self.trained else _NOT_BY_CHANCE) * self.scale

    def stands_in_the_way(self, change: Remedy | None) -> bool:
        """Whether what a change would put right is an ailment: in a network that has learnt, only if the change helps.

        Collapsed ranks, saturated and dead units are what some tasks end in. So new weights are tried in a short run: they must
        end lower than the weights that are there.
        """
        if not self.has_learnt or change is None:
            return True
        settings, problem = change.settings, self.problem
        weights = drawn(problem.model, settings.get("parameters", {}))
        model = replace_activations(problem, settings).model if "new" in settings else problem.model
        factor = settings["lr"] / self.trials.rate if "lr" in settings and self.trials.rate else 1.0
        factors = (factor,) if problem.optimizer else (factor, 10.0 * factor)
        tried = min(self.trials.with_weights(weights, f, model).end for f in factors)
        return tried < min(self.given.end, self.trials.start) - 0.05 * self.scale

    @cached_property
    def fresh_start(self) -> dict[Tensor, Array] | None:
        """Where short runs begin that judge how it is trained: new weights, if training has led nowhere; None: where it is."""
        return self.drawn_anew() if self.trained and not self.has_learnt else None

    @cached_property
    def as_trained(self) -> Trial:
        """The short run with the settings as they are, from `fresh_start`."""
        return self.trials.with_weights(self.fresh_start) if self.fresh_start else self.given

    @cached_property
    def initialisers(self) -> dict[str, str]:
        """Parameter to initialiser, for the weights and biases of all layers."""
        layers = [(n.name, n.activation) for n in self.layers]
        return fitting_initialisers(layers, dict(self.problem.model.named_parameters()))

    def drawn_anew(self) -> dict[Tensor, Array]:
        """New values for the weights of all layers, as if nothing had been learnt."""
        return drawn(self.problem.model, self.initialisers)

    def begun_again(self, action: str, **settings: float) -> Remedy:
        """A change of a setting, after new weights where training has led nowhere."""
        again = [("reinitialise", {"parameters": self.initialisers})] if self.fresh_start else []
        return Remedy((*again, (action, settings)))

    @property
    def longest_update(self) -> float:
        """The largest rms(ΔW) / rms(W) of a layer in the next step; 0 without an optimiser."""
        return max((n.update for n in self.layers if math.isfinite(n.update)), default=0.0)

    @property
    def scale(self) -> float:
        """What can be learnt, as a loss: that of the best constant prediction, or where that is not known, of the start."""
        known = self.expected.constant if self.expected and self.expected.constant > 0 else None
        return known or max(abs(self.trials.start), 1e-12)

    @cached_property
    def held_out_loss(self) -> float | None:
        """The loss of the model as it is, in evaluation mode, on up to 2048 of the held-out samples; None without any."""
        if self.problem.validation_data is None:
            return None
        X, y = self.problem.validation_data[:2]
        x = inputs_array(self.problem.model, X)
        t = targets_for(self.problem, x, y)
        rows = np.random.default_rng([self._seed, 4]).permutation(len(x))[: _HELD_OUT * self._sampled]
        return self.trials.evaluate(x[rows], t[rows])

    @cached_property
    def relation(self) -> Relation:
        """How x and t are related, seen without the network."""
        return related(self.x, self.t, self._seed)


def _products(layer: Layer) -> float:
    return layer.z.size * layer.weight.size / max(layer.weight.shape[0] if layer.weight.shape else 1, 1)
