"""Layers and losses over generated shapes and settings: shapes by their formulas, gradients by differences."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import chainrule as cr
from chainrule import nn
from chainrule.testing import gradcheck

EXAMPLES = settings(max_examples=25, deadline=None)
SIZE = st.integers(1, 4)
SEED = st.integers(0, 2**16)


def normal(seed: int, shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


@EXAMPLES
@given(lead=st.lists(SIZE, max_size=3), inputs=SIZE, outputs=SIZE, bias=st.booleans(), seed=SEED)
def test_linear(lead: list[int], inputs: int, outputs: int, bias: bool, seed: int):
    layer = nn.Linear(inputs, outputs, bias, dtype="float64")
    x = normal(seed, (*lead, inputs))
    expected = x @ layer.weight.numpy().T + (layer.bias.numpy() if bias else 0.0)
    np.testing.assert_allclose(layer(x).numpy(), expected, atol=1e-14)
    gradcheck(layer, [x])


@EXAMPLES
@given(
    groups=st.integers(1, 2),
    channels=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    size=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    stride=st.integers(1, 3),
    padding=st.integers(0, 2),
    dilation=st.integers(1, 2),
    seed=SEED,
)
def test_conv2d(groups, channels, size, kernel, stride, padding, dilation, seed):
    sizes = [(n + 2 * padding - dilation * (k - 1) - 1) // stride + 1 for n, k in zip(size, kernel, strict=True)]
    a, b = (c * groups for c in channels)
    layer = nn.Conv2d(a, b, kernel, stride, padding, dilation, groups, dtype="float64")
    x = normal(seed, (2, a, *size))
    if any(n + 2 * padding < dilation * (k - 1) + 1 for n, k in zip(size, kernel, strict=True)):
        with pytest.raises(cr.errors.ShapeError, match="must fit into the padded input"):
            layer(x)
        return
    assert layer(x).shape == (2, b, *sizes)
    gradcheck(layer, [x], directions=1)


@EXAMPLES
@given(n=st.integers(2, 5), channels=SIZE, spatial=st.lists(st.integers(1, 3), max_size=1), seed=SEED)
def test_batch_norm_output_is_standardised(n: int, channels: int, spatial: list[int], seed: int):
    layer = nn.BatchNorm1d(channels, eps=1e-12, dtype="float64")
    x = normal(seed, (n, channels, *spatial))
    axes = (0, *range(2, x.ndim))
    assume(x.var(axes).min() > 1e-3)
    y = layer(x).numpy()
    np.testing.assert_allclose(y.mean(axes), 0.0, atol=1e-10)
    np.testing.assert_allclose(y.var(axes), 1.0, atol=1e-6)


@EXAMPLES
@given(
    name=st.sampled_from(["HalfSquaredError", "MSELoss", "BCEWithLogitsLoss"]),
    shape=st.lists(SIZE, min_size=1, max_size=4),
    seed=SEED,
)
def test_losses_of_any_shape(name: str, shape: list[int], seed: int):
    loss = nn.LOSSES[name]()
    output, target = normal(seed, tuple(shape)), np.random.default_rng(seed).uniform(size=shape)
    losses, weights = loss.terms(output, target)
    assert losses.shape == weights.shape == (shape[0],)
    gradcheck(lambda y: loss(y, target), [output], directions=1)


@EXAMPLES
@given(n=SIZE, classes=st.integers(1, 5), rest=st.lists(SIZE, max_size=2), smoothing=st.sampled_from([0.0, 0.3]), seed=SEED)
def test_cross_entropy_of_any_shape(n: int, classes: int, rest: list[int], smoothing: float, seed: int):
    """Against the definition, written out in NumPy."""
    rng = np.random.default_rng(seed)
    output, labels = rng.normal(size=(n, classes, *rest)), rng.integers(0, classes, size=(n, *rest))
    weight = rng.uniform(0.5, 2.0, size=classes)
    loss = nn.CrossEntropyLoss(weight.tolist(), label_smoothing=smoothing)

    logs = np.moveaxis(output, 1, -1) - np.log(np.exp(np.moveaxis(output, 1, -1)).sum(-1, keepdims=True))
    t = (1 - smoothing) * np.eye(classes)[labels] + smoothing / classes
    expected = -(t * weight * logs).sum() / weight[labels].sum()
    assert loss(output, labels).item() == pytest.approx(expected, rel=1e-12)
    gradcheck(lambda y: loss(y, labels), [output], directions=1)
