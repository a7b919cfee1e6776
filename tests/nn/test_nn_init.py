"""Initialisers: distributions, reproducibility, and what init= of layers takes."""

from __future__ import annotations

import math

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.nn import init

SHAPE = (150, 40, 3, 2)
FAN_IN, FAN_OUT = 240, 900
UNIFORM = {
    "fan_in_uniform": 1 / math.sqrt(FAN_IN),
    "xavier_uniform": math.sqrt(6 / (FAN_IN + FAN_OUT)),
    "he_uniform": math.sqrt(6 / FAN_IN),
    "lecun_uniform": math.sqrt(3 / FAN_IN),
}
NORMAL = {
    "normal": 1.0,
    "xavier_normal": math.sqrt(2 / (FAN_IN + FAN_OUT)),
    "he_normal": math.sqrt(2 / FAN_IN),
    "lecun_normal": math.sqrt(1 / FAN_IN),
}


def test_every_initialiser_is_tested():
    assert set(init.INITIALISERS) == {*UNIFORM, *NORMAL, "zeros", "ones", "orthogonal"}


def test_fans():
    assert init.fans(SHAPE) == (FAN_IN, FAN_OUT)


# 36,000 draws from a fixed seed; a mean is off by 4.5 standard errors, or a variance by 3 %, for one seed in 10,000.
@pytest.mark.parametrize(("name", "bound"), UNIFORM.items())
def test_uniform(name: str, bound: float):
    w = init.INITIALISERS[name](SHAPE, 1, np.dtype("float64"))
    assert np.abs(w).max() <= bound and w.max() > 0.999 * bound and w.min() < -0.999 * bound
    assert w.var() == pytest.approx(bound**2 / 3, rel=0.03)
    assert abs(w.mean()) < 4.5 * bound / math.sqrt(3 * w.size)


@pytest.mark.parametrize(("name", "deviation"), NORMAL.items())
def test_normal(name: str, deviation: float):
    w = init.INITIALISERS[name](SHAPE, 1, np.dtype("float64"))
    assert w.var() == pytest.approx(deviation**2, rel=0.03)
    assert abs(w.mean()) < 4.5 * deviation / math.sqrt(w.size)
    assert np.mean(np.abs(w) < deviation) == pytest.approx(0.6827, abs=0.01)


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (4, 4), (6, 2, 2, 3)], ids=str)
def test_orthogonal(shape: tuple[int, ...]):
    w = init.orthogonal(shape, 0, "float64", gain=2.0).reshape(shape[0], -1)
    rows, columns = w.shape
    product = w @ w.T if rows <= columns else w.T @ w
    np.testing.assert_allclose(product, 4.0 * np.eye(min(rows, columns)), atol=1e-12)
    assert init.orthogonal(shape).shape == shape


@pytest.mark.parametrize("name", sorted(init.INITIALISERS))
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_seeds_and_dtypes(name: str, dtype: str):
    function = init.INITIALISERS[name]
    w = function((4, 3), 5, np.dtype(dtype))
    assert w.dtype == dtype and w.shape == (4, 3)
    np.testing.assert_array_equal(w, function((4, 3), cr.Generator(5), np.dtype(dtype)))
    cr.manual_seed(5)
    np.testing.assert_array_equal(w, function((4, 3), None, np.dtype(dtype)))
    if name not in ("zeros", "ones"):
        assert not np.array_equal(w, function((4, 3), None, np.dtype(dtype)))


def test_manual_seed_makes_models_reproducible():
    def weights() -> list[np.ndarray]:
        cr.manual_seed(0)
        model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 4), nn.Embedding(3, 2))
        return list(model.state_dict().values())

    for a, b in zip(weights(), weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("make", [lambda: nn.Linear(100, 50), lambda: nn.Conv2d(4, 20, 5), lambda: nn.ConvTranspose2d(9, 4, 5)])
def test_defaults_have_torch_distribution(make):
    cr.manual_seed(0)
    layer = make()
    bound = 1 / math.sqrt(100)
    assert 0.95 * bound < np.abs(layer.weight.numpy()).max() <= bound
    assert 0.5 * bound < np.abs(layer.bias.numpy()).max() <= bound


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("ones", np.ones((2, 3))),
        (0.25, np.full((2, 3), 0.25)),
        (init.constant(3.0), np.full((2, 3), 3.0)),
        ([[1, 2, 3], [4, 5, 6]], np.arange(1.0, 7.0).reshape(2, 3)),
        (cr.tensor(np.eye(2, 3)), np.eye(2, 3)),
        (lambda shape, rng, dtype: np.arange(6).reshape(shape), np.arange(6.0).reshape(2, 3)),
    ],
    ids=["name", "number", "constant", "list", "tensor", "function"],
)
def test_what_init_takes(given, expected):
    layer = nn.Linear(3, 2, init=given, bias_init="zeros")
    assert layer.weight.dtype == np.float32
    np.testing.assert_array_equal(layer.weight.numpy(), expected)
    np.testing.assert_array_equal(layer.bias.numpy(), [0.0, 0.0])


def test_uniform_within_a_bound():
    w = init.uniform(0.1)((1000,), 0, "float64")
    assert 0.09 < np.abs(w).max() <= 0.1


def test_a_vector_has_no_fans():
    with pytest.raises(cr.errors.ShapeError, match=r"got the shape \(3,\); it takes weights \(out, in, \*kernel\)"):
        nn.Linear(2, 3, bias_init="he_normal")
