"""Problems that `diagnose` is judged on: ailments planted one at a time, and healthy networks, as they are at their start."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

import chainrule as cr
from chainrule import nn, optim
from chainrule.diagnosis import Problem
from chainrule.train import Trainer

Array = np.ndarray


@dataclass(frozen=True)
class Case:
    """One problem.

    Attributes:
        name: what was planted, or which healthy run it is.
        kind: what the first finding must be; None for healthy.
        build: seed to problem.
    """

    name: str
    kind: str | None
    build: Callable[[int], Problem]


# -------------------------------------------------------------------------------------------- healthy parts
def data(name: str, seed: int, *, images: bool = False) -> tuple[Array, Array]:
    """A built-in set with standardised features (and targets, if they are numbers); pictures between 0 and 1."""
    found = cr.data.builtin(name, seed)
    X = found.X.astype(np.float64)
    if images:
        return X.reshape(-1, *(found.image_shape or ())).astype(np.float32), found.y
    deviation = X.std(axis=0)
    X = X if name == "digits" else (X - X.mean(axis=0)) / np.where(deviation > 0, deviation, 1.0)
    y = found.y if found.classes else ((found.y - found.y.mean()) / found.y.std()).astype(np.float32)
    return X.astype(np.float32), y


def mlp(
    sizes: Sequence[int], activation: type[nn.Module] = nn.ReLU, seed: int = 0, *ends: nn.Module, **settings: Any
) -> nn.Sequential:
    """Linear layers with activations between them; `settings` are those of the hidden Linear layers."""
    cr.manual_seed(seed)
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes[:-1]):
        layers += [nn.Linear(inputs, outputs, **settings), activation()]
    return nn.Sequential(*layers, nn.Linear(sizes[-2], sizes[-1]), *ends)


def cnn(seed: int) -> nn.Sequential:
    cr.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(64, 10),
    )  # fmt: skip


def problem(  # noqa: PLR0917 -- one call per case reads best without names
    name: str,
    model: nn.Module,
    seed: int,
    loss: nn.Loss | None = None,
    rate: float = 1e-2,
    rule: type[optim.Optimizer] = optim.Adam,
) -> Problem:
    X, y = data(name, seed)
    return Problem(model, loss or nn.CrossEntropyLoss(), X, y, rule(model.parameters(), lr=rate))


def digits(seed: int, rate: float = 1e-2) -> Problem:
    return problem("digits", mlp([64, 64, 10], seed=seed), seed, rate=rate)


def iris(seed: int) -> Problem:
    return problem("iris", mlp([4, 16, 3], nn.Tanh, seed), seed)


def cancer(seed: int, loss: nn.Loss | None = None, *ends: nn.Module) -> Problem:
    return problem("breast_cancer", mlp([30, 16, 1], nn.ReLU, seed, *ends), seed, loss or nn.BCEWithLogitsLoss())


def diabetes(seed: int, *ends: nn.Module) -> Problem:
    return problem("diabetes", mlp([10, 32, 1], nn.ReLU, seed, *ends), seed, nn.MSELoss())


def changed(found: Problem, **values: Any) -> Problem:
    """A problem with other parts; what is a function is applied to the part that is there."""
    return replace(found, **{key: value(getattr(found, key)) if callable(value) else value for key, value in values.items()})


def fill(found: Problem, **values: Any) -> Problem:
    """Give parameters of the model other values, by names with _ for dots after a leading p: p0_bias."""
    for name, value in values.items():
        parameter = dict(found.model.named_parameters())[name.removeprefix("p").replace("_", ".")]
        parameter.assign(np.broadcast_to(np.asarray(value, parameter.dtype), parameter.shape))
    return found


def trained(found: Problem, epochs: int, **settings: Any) -> Problem:
    """The problem after training, with its history; a run that breaks down keeps what it had before."""
    trainer = Trainer(found.model, found.loss, found.optimizer, backend="reference")
    settings.setdefault("validation_data", found.validation_data)
    with contextlib.suppress(cr.errors.NonFiniteLoss):
        trainer.fit(found.X, found.y, epochs=epochs, batch_size=found.batch_size, progress=False, **settings)
    return replace(found, history=trainer.history)


def held_out(found: Problem, seed: int) -> Problem:
    """The problem with a fifth of its samples set aside."""
    order = np.random.default_rng([seed, 9]).permutation(len(found.X))
    count = len(order) // 5
    (X, y), held = ((found.X[rows], found.y[rows]) for rows in (order[count:], order[:count]))
    return replace(found, X=X, y=y, validation_data=held)


# -------------------------------------------------------------------------------------------- ailments
def scaled_column(column: int, factor: float) -> Callable[[Array], Array]:
    def change(X: Array) -> Array:
        return np.concatenate([X[:, :column], X[:, column : column + 1] * factor, X[:, column + 1 :]], axis=1)

    return change


def constant_column(column: int, value: float) -> Callable[[Array], Array]:
    return lambda X: np.concatenate([X[:, :column], np.full_like(X[:, :1], value), X[:, column + 1 :]], axis=1)


def shuffled(seed: int) -> Callable[[Array], Array]:
    return lambda y: np.random.default_rng(seed + 7).permutation(y)


def one_hot(y: Array) -> Array:
    return np.eye(int(y.max()) + 1, dtype=np.float32)[y]


def poisoned(found: Problem) -> Problem:
    W = np.array(found.model.state_dict()["2.weight"])
    W[3, 5] = np.nan
    return fill(found, p2_weight=W)


def overflowing(seed: int) -> Problem:
    found = problem("wine", mlp([13, 32, 32, 3], seed=seed), seed)
    state = found.model.state_dict()
    return fill(found, p0_weight=state["0.weight"] * 1e20, p2_weight=state["2.weight"] * 1e25)


def broken_by_steps(seed: int) -> Problem:
    """ReLUs killed by what a few steps at a huge learning rate do: one step of the size of the weights, downwards."""
    found = problem("digits", mlp([64, 64, 10], seed=seed), seed, rate=3.0)
    return trained(changed(found, X=lambda X: X[:256], y=lambda y: y[:256]), 3, seed=seed)


def collapsed(seed: int) -> Problem:
    found = problem("digits", mlp([64, 48, 32, 10], seed=seed), seed)
    rng = np.random.default_rng(seed)
    return fill(found, p2_weight=np.outer(rng.normal(size=32), rng.normal(size=48)) / np.sqrt(48) + 0)


def lone_class(seed: int) -> Problem:
    found = iris(seed)
    rng = np.random.default_rng(seed)
    kept = np.concatenate(
        [np.tile(np.flatnonzero(found.y == 0), 20), rng.choice(np.flatnonzero(found.y > 0), 12, replace=False)]
    )
    return changed(found, X=lambda X: X[kept], y=lambda y: y[kept])


def memorised(seed: int) -> Problem:
    X, y = data("diabetes", seed)
    cr.manual_seed(seed)
    model = mlp([10, 128, 1], seed=seed)
    found = Problem(model, nn.MSELoss(), X[:60], y[:60], optim.Adam(model.parameters(), lr=1e-2), (X[60:], y[60:]))
    return trained(found, 200)


def memorised_without_history(seed: int) -> Problem:
    return replace(memorised(seed), history=None)


def dropout_net(p: float, seed: int) -> nn.Module:
    cr.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(64, 64), nn.ReLU(), nn.Dropout(p), nn.Linear(64, 64), nn.ReLU(), nn.Dropout(p), nn.Linear(64, 10)
    )


def without_bias(seed: int) -> Problem:
    cr.manual_seed(seed)
    X, y = data("diabetes", seed)
    model = nn.Sequential(nn.Linear(10, 8, bias=False), nn.Tanh(), nn.Linear(8, 1, bias=False))
    return Problem(model, nn.MSELoss(), X, y + 4, optim.Adam(model.parameters(), lr=1e-2))


def decayed(seed: int) -> Problem:
    model = mlp([64, 64, 10], seed=seed)
    X, y = data("digits", seed)
    return Problem(model, nn.CrossEntropyLoss(), X, y, optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1.0))


def wide_normal(shape: Any, rng: Any, dtype: Any) -> Array:
    return nn.init.normal(shape, rng, dtype, std=1.0)


def tiny_normal(shape: Any, rng: Any, dtype: Any) -> Array:
    return nn.init.normal(shape, rng, dtype, std=0.01)


AILMENTS = (
    Case("NaN in a weight", "non-finite-parameter", lambda s: poisoned(digits(s))),
    Case("weights so large that scores overflow", "non-finite-value", overflowing),
    Case("vanishing sigmoid stack", "vanishing-gradient",
         lambda s: problem("digits", mlp([64, *[32] * 8, 10], nn.Sigmoid, s), s)),
    Case("vanishing through tiny weights", "vanishing-gradient",
         lambda s: problem("digits", mlp([64, *[32] * 6, 10], nn.ReLU, s, init=tiny_normal), s)),
    Case("exploding initialisation", "exploding-signal",
         lambda s: problem("digits", mlp([64, *[48] * 4, 10], nn.ReLU, s, init=wide_normal), s)),
    Case("last layer 50 times too large", "loss-at-start",
         lambda s: fill(f := digits(s), p2_weight=50 * f.model.state_dict()["2.weight"])),
    Case("dead ReLU: biases of −10", "dead-units", lambda s: fill(digits(s), p0_bias=-10.0)),
    Case("dead ReLU: a huge learning rate before", "dead-units", broken_by_steps),
    Case("saturated tanh", "saturated-units", lambda s: problem("wine", mlp([13, 32, 32, 3], nn.Tanh, s, init=wide_normal), s)),
    Case("saturated sigmoid: weights × 40", "saturated-units",
         lambda s: fill(f := problem("iris", mlp([4, 16, 3], nn.Sigmoid, s), s),
                        p0_weight=40 * f.model.state_dict()["0.weight"])),
    Case("zero initialisation", "zero-initialisation",
         lambda s: fill(problem("wine", mlp([13, 32, 3], nn.ReLU, s), s), p0_weight=0, p0_bias=0, p2_weight=0, p2_bias=0)),
    Case("zero initialisation, tanh", "zero-initialisation",
         lambda s: fill(problem("wine", mlp([13, 32, 3], nn.Tanh, s), s), p0_weight=0, p0_bias=0, p2_weight=0, p2_bias=0)),
    Case("symmetric initialisation", "symmetric-units",
         lambda s: fill(problem("wine", mlp([13, 32, 3], nn.Tanh, s), s), p0_weight=0.1, p0_bias=0, p2_weight=0.1, p2_bias=0)),
    Case("rank-collapsed layer", "rank-collapse", collapsed),
    Case("learning rate × 1000", "learning-rate-too-high", lambda s: digits(s, 10.0)),
    Case("learning rate × 1000, SGD", "learning-rate-too-high",
         lambda s: problem("wine", mlp([13, 32, 3], seed=s), s, rate=100.0, rule=optim.SGD)),
    Case("learning rate × 10⁸", "learning-rate-too-high", lambda s: digits(s, 1e6)),
    Case("learning rate ÷ 10000", "learning-rate-too-low", lambda s: digits(s, 1e-6)),
    Case("learning rate ÷ 10000, SGD", "learning-rate-too-low",
         lambda s: problem("wine", mlp([13, 32, 3], seed=s), s, rate=1e-5, rule=optim.SGD)),
    Case("learning rate of 10⁻¹²", "learning-rate-too-low", lambda s: digits(s, 1e-12)),
    Case("learning rate of 0, SGD", "learning-rate-too-low",
         lambda s: problem("wine", mlp([13, 32, 3], seed=s), s, rate=0.0, rule=optim.SGD)),
    Case("a feature × 1000", "unscaled-inputs", lambda s: changed(iris(s), X=scaled_column(2, 1000.0))),
    Case("raw wine measurements", "unscaled-inputs", lambda s: changed(
        problem("wine", mlp([13, 32, 3], seed=s), s), X=lambda _: cr.data.builtin("wine").X)),
    Case("pixels from 0 to 255", "unscaled-inputs", lambda s: changed(digits(s), X=lambda X: X * 255)),
    Case("a constant feature of 7", "constant-feature", lambda s: changed(iris(s), X=constant_column(1, 7.0))),
    Case("a constant feature of 100", "constant-feature", lambda s: changed(iris(s), X=constant_column(1, 100.0))),
    Case("huge targets", "unscaled-targets", lambda s: changed(diabetes(s), y=lambda y: 1000 * y + 20000)),
    Case("softmax before CrossEntropyLoss", "loss-output-mismatch",
         lambda s: problem("digits", mlp([64, 64, 10], nn.ReLU, s, nn.Softmax()), s)),
    Case("sigmoid before BCEWithLogitsLoss", "loss-output-mismatch", lambda s: cancer(s, None, nn.Sigmoid())),
    Case("scores into NLLLoss", "loss-output-mismatch",
         lambda s: problem("iris", mlp([4, 16, 3], nn.Tanh, s), s, nn.NLLLoss())),
    Case("probabilities into NLLLoss", "loss-output-mismatch",
         lambda s: problem("iris", mlp([4, 16, 3], nn.Tanh, s, nn.Softmax()), s, nn.NLLLoss())),
    Case("scores into BCELoss", "loss-output-mismatch", lambda s: cancer(s, nn.BCELoss())),
    Case("softmax over one output", "loss-output-mismatch", lambda s: cancer(s, nn.BCELoss(), nn.Softmax())),
    Case("MSE on one-hot classes, softmax", "classes-as-numbers",
         lambda s: changed(problem("digits", mlp([64, 64, 10], nn.ReLU, s, nn.Softmax()), s, nn.MSELoss()), y=one_hot)),
    Case("MSE on one-hot classes, sigmoid", "classes-as-numbers",
         lambda s: changed(problem("digits", mlp([64, 64, 10], nn.ReLU, s, nn.Sigmoid()), s, nn.MSELoss()), y=one_hot)),
    Case("MSE on class numbers", "classes-as-numbers",
         lambda s: changed(problem("digits", mlp([64, 64, 1], seed=s), s, nn.MSELoss()), y=lambda y: y.astype(np.float32))),
    Case("sigmoid output for numbers", "targets-out-of-reach", lambda s: diabetes(s, nn.Sigmoid())),
    Case("labels shuffled", "unrelated-labels", lambda s: changed(digits(s), y=shuffled(s))),
    Case("labels shuffled, two classes", "unrelated-labels", lambda s: changed(cancer(s), y=shuffled(s))),
    Case("targets shuffled, regression", "unrelated-labels", lambda s: changed(diabetes(s), y=shuffled(s))),
    Case("labels constant", "constant-labels", lambda s: changed(iris(s), y=lambda y: 0 * y)),
    Case("a single overwhelming class", "imbalanced-labels", lone_class),
    Case("no bias, targets around 4", "missing-bias", without_bias),
    Case("dropout of 0.95", "dropout-too-strong", lambda s: problem("digits", dropout_net(0.95, s), s, rate=1e-3)),
    Case("weight decay of 1", "weight-decay-too-strong", decayed),
    Case("overfitting, seen in the history", "overfitting", memorised),
    Case("overfitting, seen on validation data", "overfitting", memorised_without_history),
)  # fmt: skip


def half_trained(seed: int) -> Problem:
    return trained(replace(digits(seed, 1e-3), history=None), 3, validation_split=0.2)


def small_cnn(seed: int) -> Problem:
    X, y = data("digits", seed, images=True)
    model = cnn(seed)
    return Problem(model, nn.CrossEntropyLoss(), X, y, optim.Adam(model.parameters(), lr=3e-3))


def normalised_net(seed: int) -> Problem:
    cr.manual_seed(seed)
    model = nn.Sequential(
        nn.Linear(64, 64, bias=False),
        nn.BatchNorm1d(64),
        nn.ReLU(),
        nn.Dropout(0.2),
        nn.Linear(64, 32),
        nn.GELU(),
        nn.Linear(32, 10),
    )
    return problem("digits", model, seed, rule=optim.AdamW, rate=3e-3)


HEALTHY = (
    Case("iris, tanh, Adam", None, iris),
    Case("wine, ReLU, SGD", None, lambda s: problem("wine", mlp([13, 32, 3], seed=s), s, rate=0.1, rule=optim.SGD)),
    Case("digits, ReLU, Adam", None, digits),
    Case("digits, default rate", None, lambda s: digits(s, 1e-3)),
    Case("breast cancer, one logit", None, cancer),
    Case("breast cancer, sigmoid and BCELoss", None, lambda s: cancer(s, nn.BCELoss(), nn.Sigmoid())),
    Case("diabetes, MSE", None, diabetes),
    Case("moons, 2-16-16-2", None, lambda s: problem("moons", mlp([2, 16, 16, 2], nn.Tanh, s), s)),
    Case("quadrants, ReLU", None, lambda s: problem("quadrants", mlp([2, 16, 4], seed=s), s)),
    Case("spirals, 2-32-32-2", None, lambda s: problem("spirals", mlp([2, 32, 32, 2], nn.Tanh, s), s)),
    Case("small CNN on digits", None, small_cnn),
    Case("digits, batch norm, dropout, GELU, AdamW", None, normalised_net),
    Case("digits, four sigmoid layers, Glorot", None,
         lambda s: problem("digits", mlp([64, 32, 32, 10], nn.Sigmoid, s, init="xavier_uniform"), s)),
    Case("digits, deep ReLU, He", None,
         lambda s: problem("digits", mlp([64, *[48] * 6, 10], nn.ReLU, s, init="he_normal"), s, rate=1e-3)),
    Case("digits, after three epochs", None, half_trained),
    Case("wine, logistic regression from 0", None,
         lambda s: fill(problem("wine", mlp([13, 3], seed=s), s, rate=0.1), p0_weight=0, p0_bias=0)),
    Case("digits, least squares on one-hot targets", None,
         lambda s: changed(problem("digits", mlp([64, 64, 10], seed=s), s, nn.MSELoss()), y=one_hot)),
    Case("iris, no optimiser given", None, lambda s: replace(iris(s), optimizer=None)),
)  # fmt: skip
