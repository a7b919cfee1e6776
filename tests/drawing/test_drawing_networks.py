"""Modules: units and weights of small ones, layers with shapes and parameters of large ones."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest
from drawing_cases import convolutional, count, dense, texts

import chainrule as cr
from chainrule import nn
from chainrule.drawing import draw
from chainrule.errors import ArgumentError, DataError, ShapeError


def test_units_weights_and_biases() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Sigmoid(), nn.Linear(2, 1))
    model.load_state_dict({
        "0.weight": [[20.0, -30.0], [10.0, 5.0]], "0.bias": [1.5, -2.5], "2.weight": [[0.25, -0.75]], "2.bias": [0.5],
    })  # fmt: skip
    found = draw(model)
    assert {"20", "-30", "10", "5", "0.25", "-0.75", "b 1.5", "b -2.5", "b 0.5", "x₁", "x₂", "a¹ = σ(z¹)", "z²"} <= set(
        texts(found)
    )
    assert count(found, "path", "positive") == 4
    assert count(found, "path", "negative") == 2


def test_units_show_the_values_of_a_single_sample_only() -> None:
    model = dense(2, 2, 1)
    a1 = np.tanh(np.array([[0.5, -2.0]]) @ model[0].weight.numpy().T + model[0].bias.numpy())
    one = texts(draw(model, [[0.5, -2.0]]))
    assert {"0.50", "-2.00", *(f"{v:.2f}" for v in a1[0])} <= set(one)
    assert {"x₁", "x₂"} <= set(texts(draw(model, [[0.5, -2.0], [1.0, 1.0]])))


def test_numbers_stand_beside_few_weights_only() -> None:
    crowded = draw(dense(4, 8, 3))
    assert not [t for t in texts(crowded) if t.startswith("b ")]
    assert count(crowded, "path", "edge") == 4 * 8 + 8 * 3


@pytest.mark.parametrize("widths", [(3, 4, 3), (4, 3, 4), (2, 6, 2), (12, 1), (1, 12, 1)])
def test_weights_do_not_cover_each_other(widths) -> None:
    cr.manual_seed(1)
    svg = draw(dense(*widths)).to_svg()
    patches = np.array(
        re.findall(r'<rect class="paper" x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="([\d.]+)" rx="2', svg), float
    )
    assert len(patches) == sum(a * b for a, b in itertools.pairwise(widths))
    for (x, y, width, height), (u, v, other, _) in itertools.combinations(patches, 2):
        assert x + width <= u or u + other <= x or y + height <= v or v + height <= y


def test_large_networks_as_layers() -> None:
    pytest.importorskip("graphlay", reason="layers are laid out by graphlay")
    found = texts(draw(dense(784, 128, 10)))
    assert {"input", "0 · Linear", "1 · Tanh", "100,480 parameters", "2 · Linear", "1,290 parameters", "output 10"} <= set(
        found
    )
    pictures = texts(draw(convolutional(), np.zeros((3, 1, 8, 8))))
    assert {"1×8×8", "0 · Conv2d 3×3", "3 · MaxPool2d 2×2", "5 · Dropout", "64", "6 · Linear"} <= set(pictures)


def test_what_is_not_a_chain_of_dense_layers_is_drawn_as_layers() -> None:
    pytest.importorskip("graphlay", reason="layers are laid out by graphlay")
    residual = nn.Sequential(nn.Linear(4, 4), nn.Residual(nn.Sequential(nn.Linear(4, 4), nn.ReLU())), nn.Linear(4, 1))
    assert "1.inner.0 · Linear" in texts(draw(residual))
    normalised = nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4), nn.Linear(4, 1))
    assert "1 · LayerNorm" in texts(draw(normalised))
    without = draw(nn.Sequential(nn.Flatten(), nn.ReLU()), np.zeros((2, 3)))
    assert "output 3" in texts(without)


def test_a_module_of_its_own() -> None:
    class Perceptron(nn.Module):
        def __init__(self) -> None:
            self.W = cr.parameter([[1.0, 2.0]])

        def forward(self, x: cr.Tensor) -> cr.Tensor:
            return cr.sigmoid(x @ self.W.T)

    assert {"1", "2", "a¹ = σ(z¹)"} <= set(texts(draw(Perceptron(), [[1.0, 1.0]])))


def test_a_network_is_left_as_it_was() -> None:
    model = convolutional().train()
    before, key = model.state_dict(), cr.random.state.numpy()
    pytest.importorskip("graphlay", reason="layers are laid out by graphlay")
    draw(model, np.zeros((2, 1, 8, 8)))
    assert all(module.training for _, module in model.named_modules())
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[name])
    np.testing.assert_array_equal(cr.random.state.numpy(), key)


def test_wrong_inputs() -> None:
    with pytest.raises(ArgumentError, match=r"begins with Conv2d; .* Give some inputs: draw\(model, X=X\[:1\]\)"):
        draw(convolutional())
    with pytest.raises(ArgumentError, match="begins with no layer"):
        draw(nn.Sequential(nn.ReLU()))
    with pytest.raises(ShapeError):
        draw(dense(2, 3, 1), [[1.0, 2.0, 3.0]])
    with pytest.raises(DataError, match="it must hold numbers"):
        draw(dense(2, 3, 1), [["a", "b"]])
