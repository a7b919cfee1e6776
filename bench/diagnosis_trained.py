"""Problems that `diagnose` is judged on after training: planted ailments, and healthy networks of many kinds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

import chainrule as cr
from bench.diagnosis_cases import (
    Case,
    cancer,
    changed,
    constant_column,
    data,
    decayed,
    diabetes,
    digits,
    dropout_net,
    fill,
    held_out,
    iris,
    lone_class,
    mlp,
    poisoned,
    problem,
    scaled_column,
    shuffled,
    trained,
    without_bias,
)
from chainrule import nn, optim
from chainrule.diagnosis import Problem


# -------------------------------------------------------------------------------------------- ailments, seen after training
def numbered_otherwise(seed: int) -> Problem:
    found = trained(held_out(iris(seed), seed), 30)
    return changed(found, y=lambda y: (y + 1) % 3, validation_data=None)


def shuffled_and_learnt(seed: int) -> Problem:
    return trained(held_out(changed(digits(seed, 3e-3), y=shuffled(seed)), seed), 60)


def poisoned_later(seed: int) -> Problem:
    return poisoned(trained(digits(seed, 1e-3), 3))


def after(name: str, kind: str, build: Callable[[int], Problem], epochs: int = 10) -> Case:
    return Case(f"{name}, after training", kind, lambda s: trained(build(s), epochs, seed=s))


AFTER_TRAINING = (
    after("vanishing sigmoid stack", "vanishing-gradient",
          lambda s: problem("digits", mlp([64, *[32] * 12, 10], nn.Sigmoid, s), s), epochs=5),
    after("zero initialisation", "zero-initialisation",
          lambda s: fill(problem("wine", mlp([13, 32, 3], nn.Tanh, s), s), p0_weight=0, p0_bias=0, p2_weight=0, p2_bias=0)),
    after("symmetric initialisation", "symmetric-units",
          lambda s: fill(problem("wine", mlp([13, 32, 3], nn.Tanh, s), s), p0_weight=0.1, p0_bias=0, p2_weight=0.1, p2_bias=0)),
    after("dead ReLU", "dead-units", lambda s: fill(digits(s), p0_bias=-10.0)),
    after("learning rate × 1000", "learning-rate-too-high",
          lambda s: problem("digits", mlp([64, 64, 10], nn.LeakyReLU, s), s, rate=10.0)),
    after("learning rate ÷ 10000", "learning-rate-too-low", lambda s: digits(s, 1e-6)),
    after("learning rate ÷ 10000, SGD", "learning-rate-too-low",
          lambda s: problem("wine", mlp([13, 32, 3], seed=s), s, rate=1e-5, rule=optim.SGD)),
    after("a feature × 1000", "unscaled-inputs", lambda s: changed(iris(s), X=scaled_column(2, 1000.0))),
    after("a constant feature of 100", "constant-feature", lambda s: changed(iris(s), X=constant_column(1, 100.0))),
    after("huge targets", "unscaled-targets", lambda s: changed(diabetes(s), y=lambda y: 1000 * y + 20000)),
    after("softmax before CrossEntropyLoss", "loss-output-mismatch",
          lambda s: problem("digits", mlp([64, 64, 10], nn.ReLU, s, nn.Softmax()), s)),
    after("scores into NLLLoss", "loss-output-mismatch",
          lambda s: problem("iris", mlp([4, 16, 3], nn.Tanh, s), s, nn.NLLLoss())),
    after("MSE on class numbers", "classes-as-numbers",
          lambda s: changed(problem("digits", mlp([64, 64, 1], seed=s), s, nn.MSELoss()), y=lambda y: y.astype(np.float32))),
    after("sigmoid output for numbers", "targets-out-of-reach", lambda s: diabetes(s, nn.Sigmoid())),
    after("labels constant", "constant-labels", lambda s: changed(iris(s), y=lambda y: 0 * y)),
    after("labels shuffled", "unrelated-labels", lambda s: held_out(changed(cancer(s), y=shuffled(s)), s)),
    Case("labels shuffled and learnt by heart", "unrelated-labels", shuffled_and_learnt),
    after("a single overwhelming class", "imbalanced-labels", lone_class),
    after("no bias, targets around 4", "missing-bias", without_bias),
    after("dropout of 0.95", "dropout-too-strong", lambda s: problem("digits", dropout_net(0.95, s), s, rate=1e-3)),
    after("weight decay of 1", "weight-decay-too-strong", decayed),
    Case("a weight became NaN after training", "non-finite-parameter", poisoned_later),
    Case("classes numbered otherwise than in training", "other-data", numbered_otherwise),
)  # fmt: skip


# -------------------------------------------------------------------------------------------- healthy, after training
def normalised(ends: Sequence[int], seed: int) -> nn.Module:
    cr.manual_seed(seed)
    first = [nn.Linear(ends[0], 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Dropout(0.2)]
    return nn.Sequential(*first, nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, ends[1]))


ARCHITECTURES: dict[str, Callable[[list[int], int], nn.Module]] = {
    "8 ReLU": lambda ends, s: mlp([ends[0], 8, ends[1]], nn.ReLU, s),
    "32 tanh": lambda ends, s: mlp([ends[0], 32, ends[1]], nn.Tanh, s),
    "32 sigmoid": lambda ends, s: mlp([ends[0], 32, ends[1]], nn.Sigmoid, s),
    "128 ReLU": lambda ends, s: mlp([ends[0], 128, ends[1]], nn.ReLU, s),
    "16-16 tanh": lambda ends, s: mlp([ends[0], 16, 16, ends[1]], nn.Tanh, s),
    "64-64 GELU": lambda ends, s: mlp([ends[0], 64, 64, ends[1]], nn.GELU, s),
    "64-64 sigmoid, Glorot": lambda ends, s: mlp([ends[0], 64, 64, ends[1]], nn.Sigmoid, s, init="xavier_uniform"),
    "128-128 ReLU": lambda ends, s: mlp([ends[0], 128, 128, ends[1]], nn.ReLU, s),
    "32-16-8 ELU": lambda ends, s: mlp([ends[0], 32, 16, 8, ends[1]], nn.ELU, s),
    "48-48-48 leaky ReLU, He": lambda ends, s: mlp([ends[0], *[48] * 3, ends[1]], nn.LeakyReLU, s, init="he_normal"),
    "48 × 5 ReLU, He": lambda ends, s: mlp([ends[0], *[48] * 5, ends[1]], nn.ReLU, s, init="he_normal"),
    "64 batch norm ReLU dropout 32": normalised,
}


class NotLearntError(Exception):
    """An architecture does not learn a set in the steps that it is given, so that nothing is to be said of its health."""


def healthy_and_trained(name: str, architecture: str, seed: int) -> Problem:
    """A built-in set learnt by an architecture, with the first of five seeds with which it learnt well."""
    for attempt in range(5):
        found = _trained_usually(name, architecture, seed + 1000 * attempt)
        t = np.asarray(found.y)
        expected = found.loss.untrained((len(t), int(t.max()) + 1), t.reshape(-1, 1) if _binary(found) else t)
        if expected is not None and found.history is not None and found.history["loss"][-1] < 0.6 * expected.constant:
            return found
    raise NotLearntError


def _binary(found: Problem) -> bool:
    return isinstance(found.loss, nn.BCEWithLogitsLoss)


def _trained_usually(name: str, architecture: str, seed: int) -> Problem:
    """Trained with a usual optimiser and schedule, until held-out rows stop getting better."""
    rng = np.random.default_rng([seed, len(name), *map(ord, architecture)])
    X, y = data(name, seed)
    outputs = 1 if y.dtype.kind == "f" else int(y.max()) + 1
    loss: nn.Loss = nn.MSELoss() if outputs == 1 else nn.CrossEntropyLoss()
    if outputs == 2 and rng.random() < 0.5:
        outputs, loss = 1, nn.BCEWithLogitsLoss()
    model = ARCHITECTURES[architecture]([X.shape[1], outputs], seed)
    rule, rate, settings = USUAL[rng.integers(len(USUAL))]
    optimizer = rule(model.parameters(), lr=rate, **settings)
    found = Problem(model, loss, X, y, optimizer)
    if len(X) < 50:
        return trained(found, 400, seed=seed)
    found = held_out(found, seed)
    epochs = max(10, 800 * found.batch_size // len(found.X))
    schedule = cr.LearningRate(optim.CosineAnnealingLR(T_max=epochs))
    return trained(found, epochs, seed=seed, callbacks=[schedule, cr.EarlyStopping(patience=20)])


USUAL: tuple[tuple[type[optim.Optimizer], float, dict[str, float]], ...] = (
    (optim.Adam, 1e-2, {}),
    (optim.SGD, 0.1, {"momentum": 0.9}),
    (optim.AdamW, 1e-2, {"weight_decay": 0.01}),
)
TRAINED = tuple(
    Case(f"{name}, {architecture}, trained", None, partial(healthy_and_trained, name, architecture))
    for name in cr.data.BUILTIN
    for architecture in ARCHITECTURES
)
