"""How well `diagnose` names what is wrong: planted ailments, and healthy runs in which nothing is.

    python -m bench.diagnosis [--seeds 3] [--drawn 100] [--only TEXT]

Each planted case is a problem that would learn well, made ill in one way. Counted is how often the first finding names that
ailment, on how many healthy problems anything is found, and whether the suggested change, applied, helps: whether after the
same number of steps the loss is lower, in units of the best constant prediction's loss, so that other targets can be compared
(the error rate, where the loss itself is changed). Cases drawn at random, on which no threshold was chosen, are counted apart.
The figures go to `bench/results/diagnosis.json`.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

import chainrule as cr
from chainrule import nn, optim
from chainrule.diagnose import Problem, diagnose_problem
from chainrule.diagnose.expected import expected_loss
from chainrule.train import Trainer
from chainrule.train.metrics import is_right

Array = np.ndarray
STEPS = 60


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
    trainer = Trainer(found.model, found.loss, found.optimizer)
    history = trainer.fit(found.X, found.y, epochs=epochs, batch_size=found.batch_size, progress=False, **settings)
    return replace(found, history=history)


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
    return trained(found, 200, validation_data=found.validation_data)


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
    Case("learning rate ÷ 10000", "learning-rate-too-low", lambda s: digits(s, 1e-6)),
    Case("learning rate ÷ 10000, SGD", "learning-rate-too-low",
         lambda s: problem("wine", mlp([13, 32, 3], seed=s), s, rate=1e-5, rule=optim.SGD)),
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


# -------------------------------------------------------------------------------------------- drawn at random
SETS = ("iris", "wine", "digits", "breast_cancer", "diabetes", "moons", "circles", "quadrants", "gaussians")


def random_healthy(seed: int) -> Problem:
    """A problem with a random set, architecture, optimiser and usual rate, the first from this seed on that learns well."""
    for attempt in range(100):
        rng = np.random.default_rng([seed, attempt])
        draw = [int(n) for n in rng.integers(0, 2**31, 2)]
        if relative_loss(_random_problem(np.random.default_rng(draw))) < 0.6:
            return _random_problem(np.random.default_rng(draw))
    raise RuntimeError("no random problem learnt well")


def _random_problem(rng: np.random.Generator) -> Problem:
    name, seed = str(rng.choice(SETS)), int(rng.integers(1000))
    X, y = data(name, seed)
    outputs = 1 if y.dtype.kind == "f" else int(y.max()) + 1
    loss: nn.Loss = nn.MSELoss() if outputs == 1 else nn.CrossEntropyLoss()
    if outputs == 2 and rng.random() < 0.5:
        outputs, loss = 1, nn.BCEWithLogitsLoss()
    hidden = [int(rng.choice([12, 24, 48])) for _ in range(rng.integers(1, 4))]
    activation = [nn.ReLU, nn.Tanh, nn.GELU, nn.ELU][rng.integers(4)]
    init = [None, "he_normal", "xavier_uniform"][rng.integers(3)]
    model = mlp([X.shape[1], *hidden, outputs], activation, seed, init=init)
    rule, low, high = [
        (optim.SGD, 0.02, 0.2),
        (optim.Adam, 1e-3, 2e-2),
        (optim.AdamW, 1e-3, 2e-2),
        (optim.RMSprop, 1e-3, 1e-2),
    ][rng.integers(4)]
    rate = float(np.exp(rng.uniform(np.log(low), np.log(high))))
    return Problem(model, loss, X, y, rule(model.parameters(), lr=rate), batch_size=int(rng.choice([16, 32, 64])))


def _rate_times(factor: float) -> Callable[[Problem], Problem]:
    def change(found: Problem) -> Problem:
        assert found.optimizer is not None
        found.optimizer.lr *= factor
        return found

    return change


def _first_weight_nan(found: Problem) -> Problem:
    W = np.array(found.model.state_dict()["0.weight"])
    W[0, 0] = np.nan
    return fill(found, p0_weight=W)


def _all_zero(found: Problem) -> Problem:
    return fill(found, **{f"p{name.replace('.', '_')}": 0 for name, _ in found.model.named_parameters()})


def _all_equal(found: Problem) -> Problem:
    return fill(found, **{f"p{name.replace('.', '_')}": 0.1 for name, _ in found.model.named_parameters()})


PLANTS: tuple[tuple[str, Callable[[Problem], Problem]], ...] = (
    ("learning-rate-too-high", _rate_times(1000.0)),
    ("learning-rate-too-low", _rate_times(1e-4)),
    ("unscaled-inputs", lambda p: changed(p, X=scaled_column(1, 1000.0))),
    ("constant-feature", lambda p: changed(p, X=constant_column(0, 30.0))),
    ("unrelated-labels", lambda p: changed(p, y=shuffled(1))),
    ("symmetric-units", _all_equal),
    ("zero-initialisation", _all_zero),
    ("non-finite-parameter", _first_weight_nan),
)


def harmed(plant: Callable[[Problem], Problem], seed: int) -> Problem:
    """A random problem with the ailment, the first from this seed on that it really harms: a network may learn at any rate."""
    for offset in range(0, 100_000, 1000):
        if relative_loss(plant(random_healthy(seed + offset))) > relative_loss(random_healthy(seed + offset)) + 0.05:
            return plant(random_healthy(seed + offset))
    raise RuntimeError("the ailment harms no problem")


def drawn_cases(count: int) -> tuple[list[Case], list[Case]]:
    """As many random problems with one ailment each, and random healthy ones."""
    ill = []
    for k in range(count):
        kind, plant = PLANTS[k % len(PLANTS)]
        ill.append(Case(f"random {k}", kind, lambda s, k=k, plant=plant: harmed(plant, 700_000 + k)))
    return ill, [Case(f"random {k}", None, lambda s, k=k: random_healthy(300_000 + k)) for k in range(count)]


# -------------------------------------------------------------------------------------------- measuring
def after_training(found: Problem) -> Trainer | None:
    """The problem trained for `STEPS` steps; None if the loss became infinite."""
    trainer = Trainer(found.model, found.loss, found.optimizer or optim.Adam(found.model.parameters()))
    epochs = max(1, round(STEPS * found.batch_size / len(found.X)))
    try:
        trainer.fit(found.X, found.y, epochs=epochs, batch_size=found.batch_size, progress=False)
    except cr.errors.TrainingError:
        return None
    return trainer


def relative_loss(found: Problem) -> float:
    """The loss after training, by that of the best constant prediction."""
    trainer = after_training(found)
    if trainer is None:
        return float("inf")
    output = trainer.predict(found.X)
    y = np.asarray(found.y).reshape(output.shape) if np.size(found.y) == output.size else np.asarray(found.y)
    expected = expected_loss(found.loss, output.shape, y)
    return trainer.evaluate(found.X, found.y)["loss"] / expected.constant if expected else float("inf")


def error_rate(found: Problem) -> float:
    """The share of samples that are given the wrong class after training."""
    trainer = after_training(found)
    if trainer is None:
        return 1.0
    output, y = trainer.predict(found.X), np.asarray(found.y)
    right = is_right(cr.tensor(output), cr.tensor(y if y.ndim > 1 or output.shape[1] > 1 else y[:, None]), found.loss.threshold)
    return 1.0 - float(right.numpy().mean())


def helps(case: Case, seed: int) -> tuple[str, float, float] | None:
    """What is compared, and its value without and with the suggested change; None where there is none to make.

    It is the relative loss, or the error rate where the change is one of the loss.
    """
    ill = case.build(seed)
    diagnosis = diagnose_problem(ill, seed=seed)
    if not diagnosis or diagnosis[0].remedy is None:
        return None
    cured = diagnosis[0].remedy.apply(ill)
    other_loss = type(cured.loss) is not type(ill.loss)
    measure = error_rate if other_loss else relative_loss
    return "error rate" if other_loss else "relative loss", measure(case.build(seed)), measure(cured)


def measure(case: Case, seed: int) -> dict[str, Any]:
    found = case.build(seed)
    start = time.perf_counter()
    diagnosis = diagnose_problem(found, seed=seed)
    seconds = time.perf_counter() - start
    kinds = [finding.kind for finding in diagnosis]
    right = (kinds[0] if kinds else None) == case.kind
    return {"seed": seed, "right": right, "found": kinds, "seconds": round(seconds, 3)}


def report(cases: Sequence[Case], seeds: int, *, remedies: bool) -> list[dict[str, Any]]:
    rows = []
    for case in cases:
        runs = [measure(case, seed) for seed in range(seeds)]
        right = sum(run["right"] for run in runs)
        row: dict[str, Any] = {"case": case.name, "planted": case.kind, "right": right, "of": seeds, "runs": runs}
        found = "; ".join(", ".join(run["found"][:3]) or "-" for run in runs)
        text = f"{right}/{seeds}  {case.name:<42} {case.kind or '-':<24} {found}"
        if remedies and (effect := helps(case, 0)):
            row["compared"], row["without"], row["with"] = effect
            row["helps"] = row["with"] < row["without"]
            verdict = "" if row["helps"] else "  DOES NOT HELP"
            text += f"  | {effect[0]}: {effect[1]:.3g} → {effect[2]:.3g}{verdict}"
        print(text, f"({max(run['seconds'] for run in runs):.2f} s)", flush=True)
        rows.append(row)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--drawn", type=int, default=100, help="random healthy problems, and as many random ailments")
    parser.add_argument("--only", default="", help="cases whose name has this in it")
    options = parser.parse_args()
    ill, well = (
        report([case for case in table if options.only in case.name], options.seeds, remedies=table is AILMENTS)
        for table in (AILMENTS, HEALTHY)
    )
    drawn_ill, drawn_well = (report(cases, 1, remedies=False) for cases in drawn_cases(options.drawn))
    changes = [row for row in ill if "helps" in row]
    result = {
        "ailments": len(ill),
        "named_first": sum(row["right"] for row in ill),
        "of": options.seeds * len(ill),
        "healthy": len(well),
        "false_alarms": options.seeds * len(well) - sum(row["right"] for row in well),
        "drawn_ailments": len(drawn_ill),
        "drawn_named_first": sum(row["right"] for row in drawn_ill),
        "drawn_healthy": len(drawn_well),
        "drawn_false_alarms": sum(not row["right"] for row in drawn_well),
        "changes": len(changes),
        "changes_that_help": sum(row["helps"] for row in changes),
        "slowest_seconds": max((run["seconds"] for row in [*ill, *well] for run in row["runs"]), default=0.0),
    }
    print(json.dumps(result, indent=2))
    if not options.only:
        target = Path(__file__).parent / "results" / "diagnosis.json"
        target.parent.mkdir(exist_ok=True)
        full = {**result, "cases": [*ill, *well], "drawn": [*drawn_ill, *drawn_well]}
        target.write_text(json.dumps(full, indent=1, ensure_ascii=False).replace("Infinity", '"inf"') + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
