"""Random Trainer settings on both backends: histories beside histories, and refusals beside refusals."""

import numpy as np
import pytest
from native_levels import LEVELS

import chainrule as cr
from chainrule import nn, optim
from chainrule.errors import ChainruleError

ACTIVATIONS = [nn.ReLU, nn.Tanh, nn.Sigmoid, nn.GELU, nn.LeakyReLU, nn.ELU, nn.SiLU, nn.Softplus]
LOSSES = [nn.CrossEntropyLoss, nn.MSELoss, nn.L1Loss, nn.HuberLoss, nn.BCEWithLogitsLoss]


def _network(rng, features, outputs, dtype):
    layers = []
    for _ in range(int(rng.integers(3))):
        width = int(rng.integers(1, 20))
        layers.append(nn.Linear(features, width, bias=bool(rng.random() < 0.8), dtype=dtype))
        if rng.random() < 0.3:
            layers.append(nn.BatchNorm1d(width, dtype=dtype) if rng.random() < 0.5 else nn.LayerNorm(width, dtype=dtype))
        layers.append(ACTIVATIONS[int(rng.integers(len(ACTIVATIONS)))]())
        if rng.random() < 0.3:
            layers.append(nn.Dropout(0.3))
        features = width
    return nn.Sequential(*layers, nn.Linear(features, outputs, dtype=dtype))


def _optimiser(rng, model):
    name = str(rng.choice(list(optim.OPTIMIZERS)))
    settings = {"weight_decay": float(rng.choice([0.0, 0.1]))}
    if name in ("SGD", "RMSprop"):
        settings["momentum"] = float(rng.choice([0.0, 0.9]))
    return optim.OPTIMIZERS[name](model.parameters(), lr=float(rng.choice([1e-3, 0.05])), **settings)


def _targets(rng, loss, rows, outputs, dtype):
    """Of which one in seven is outside what the loss takes."""
    wrong = rng.random() < 1 / 7
    if loss is nn.CrossEntropyLoss:
        labels = rng.integers(0, outputs, rows)
        labels[rows // 2] += outputs * wrong
        return labels
    y = (rng.random((rows, outputs)) < 0.5) if loss is nn.BCEWithLogitsLoss else rng.normal(size=(rows, outputs))
    y = y.astype(dtype)
    y[rows // 2] *= np.nan if wrong else 1
    return y


def _fit(seed, backend):
    """Losses of the epochs and the weights at the end, or the refusal."""
    rng = np.random.default_rng(seed)
    cr.manual_seed(seed)
    dtype, features, outputs, rows = (
        rng.choice(["float32", "float64"]),
        *map(int, rng.integers(1, 6, 2)),
        int(rng.integers(4, 20)),
    )
    loss = LOSSES[int(rng.integers(len(LOSSES)))]
    model = _network(rng, features, outputs, dtype)
    clip = float(rng.choice([0.0, 0.1])) or None
    X, y = rng.normal(size=(rows, features)), _targets(rng, loss, rows, outputs, dtype)
    X[rng.random(X.shape) < 0.1] = 0.0
    settings = {"batch_size": int(rng.integers(2, 9)), "sample_weight": rng.random(rows) if rng.random() < 0.3 else None}
    try:
        trainer = cr.Trainer(model, loss(), _optimiser(rng, model), backend=backend, clip_norm=clip)
        history = trainer.fit(X, y, epochs=2, progress=False, **settings)
    except ChainruleError as error:
        return f"{type(error).__name__}: {error}", None
    return [e["loss"] for e in history.epochs], [p.numpy() for p in model.parameters()]


def _same(seed):
    (found, ours), (wanted, theirs) = (_fit(seed, backend) for backend in ("native", "reference"))
    if ours is None or theirs is None:
        assert found == wanted
        return
    np.testing.assert_allclose(found, wanted, rtol=2e-3)
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine, other, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("seed", range(4))
def test_random_settings(seed, monkeypatch):
    monkeypatch.setenv("CHAINRULE_CPU", LEVELS[seed % len(LEVELS)])
    _same(seed)


@pytest.mark.slow
@pytest.mark.fuzz
@pytest.mark.parametrize("seed", range(100, 200))
def test_many_random_settings(seed, level):
    _same(seed)
