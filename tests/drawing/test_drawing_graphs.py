"""Graphs: every value and gradient, blocks folded and unfolded, large graphs folded by themselves."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from itertools import combinations, pairwise

import numpy as np
import pytest
from drawing_cases import SVG, convolutional, count, dense, loss_of, texts, worked_network

import chainrule as cr
from chainrule import nn, ops
from chainrule.derivations import expression
from chainrule.drawing import Drawing, draw
from chainrule.drawing.shapes import SMALL_SIZE, TEXT_SIZE, text_width
from chainrule.errors import ArgumentError
from primitive_scalars import scalar_of

pytest.importorskip("graphlay", reason="pictures of graphs are laid out by graphlay")


def test_the_shop_shows_every_value_and_gradient() -> None:
    total = expression("price = apple*n + orange*m; total = price*tax", apple=100.0, n=2.0, orange=150.0, m=3.0, tax=1.1)
    found = texts(draw(total))
    assert found.count("×") == 3
    assert {"2.2", "110", "3.3", "165", "650", "1.1", "total = 715"} <= set(found)


def test_the_gradients_are_those_that_ran() -> None:
    cr.manual_seed(0)
    rng = np.random.default_rng(0)
    W = cr.parameter(rng.normal(size=(3, 4)), name="W")
    x = cr.parameter(rng.normal(size=4), name="x")
    y = cr.tanh(W @ x)
    E = (y * y + y).sum().named("E")
    gW, gx = cr.grad(E, [W, x])
    for detail in ("all", "named"):
        found = texts(draw(E, detail=detail, precision=5))
        for g in (gW, gx):
            assert f"‖·‖ {np.linalg.norm(g.numpy()):.3g}" in found


def test_named_values_only() -> None:
    found = texts(draw(worked_network(), detail="named"))
    assert {"x₃", "O₃", "x₁ · w₁₃ + x₂ · w₂₃", "0.1903", "E = 0.0181"} <= set(found)
    assert "×" not in found
    assert not any(t.startswith("0.1903") for t in texts(draw(worked_network(), detail="named", gradients=False)))
    assert not any(t.startswith("below") for t in texts(draw(worked_network(), gradients=False)))


def test_parallel_edges_have_gradients_of_their_own() -> None:
    x = cr.tensor(3.0, name="x")
    assert texts(draw(x * x)).count("3") == 5  # the leaf, and value and gradient of two edges


def test_blocks_fold_and_unfold() -> None:
    logits = cr.parameter([0.3, 2.9, 4.0], name="a")
    L = cr.softmax_with_loss(logits, cr.tensor([0.0, 0.0, 1.0], name="t"))
    assert "softmax_with_loss" in texts(draw(L))
    unfolded = texts(draw(L, blocks="expanded"))
    assert "softmax_with_loss" not in unfolded
    assert {"exp", "log"} & set(unfolded)
    assert len(texts(draw(L, blocks=["softmax_with_loss"]))) > len(texts(draw(L)))


@pytest.mark.parametrize("blocks", ["whole", "expanded"])
@pytest.mark.parametrize("name", sorted(ops.PRIMITIVES))
def test_every_primitive_can_be_drawn(name: str, blocks: str) -> None:
    output, _ = scalar_of(name, seed=4)
    root = ET.fromstring(draw(output, blocks=blocks).to_svg())
    assert float(root.get("width", "0")) > 50
    assert not any("nan" in v for e in root.iter() for v in e.attrib.values())


# ---------------------------------------------------------------------------------------- legible
def patches(picture: Drawing) -> list[tuple[float, float, float, float]]:
    """The rectangles that lines of text take: left, top, right, bottom."""
    found = []
    for e in ET.fromstring(picture.to_svg()).iter(f"{SVG}text"):
        kinds, words = e.get("class", "").split(), "".join(e.itertext())
        size = SMALL_SIZE if "small" in kinds else TEXT_SIZE
        width, x, y = text_width(words, size), float(e.get("x", 0)), float(e.get("y", 0))
        left = x if "start" in kinds else x - width if "end" in kinds else x - width / 2
        found.append((left + 1, y - size / 2 + 1, left + width - 1, y + size / 2 - 1))
    return found


def overlapping(picture: Drawing) -> int:
    return sum(a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3] for a, b in combinations(patches(picture), 2))


def random_graph(seed: int, nodes: int) -> cr.Tensor:
    rng = np.random.default_rng(seed)
    values = [cr.parameter(float(v), name=f"x{k}") for k, v in enumerate(rng.normal(size=4))]
    for _ in range(nodes):
        a, b = (values[-1 - int(rng.integers(min(6, len(values))))] for _ in range(2))
        values.append([cr.sin(a), a * b, a + b, cr.tanh(a - b)][int(rng.integers(4))])
    return cr.stack(values[4:]).sum().named("E")


@pytest.mark.parametrize("seed", range(8))
def test_no_text_lies_on_another(seed: int) -> None:
    assert overlapping(draw(random_graph(seed, 12))) == 0


def test_the_test_for_overlapping_text_can_fail() -> None:
    one, other = '<text x="10" y="10" class="small">word</text>', '<text x="15" y="12" class="small">word</text>'
    assert overlapping(Drawing(50, 50, (one, other), "")) == 1


# ---------------------------------------------------------------------------------------- large graphs
def chain(length: int) -> cr.Tensor:
    y = cr.tensor(1.0, name="x")
    for _ in range(length):
        y = cr.sin(y)
    return y.named("y")


def boxes(picture: Drawing) -> int:
    return sum(count(picture, "rect", kind) for kind in ("leaf", "op", "out"))


def test_up_to_300_nodes_are_all_drawn_and_more_are_folded() -> None:
    whole = draw(chain(299))
    assert boxes(whole) == 300
    assert texts(whole).count("sin") == 299
    assert overlapping(whole) == 0
    folded = draw(chain(300))
    assert boxes(folded) == 13
    shown = texts(folded)
    assert sum(int(re.fullmatch(r"sin \((\d+)×\)", t)[1]) for t in shown if t.startswith("sin")) == 300
    x = cr.parameter(1.0, name="x")
    y = x
    for _ in range(300):
        y = cr.sin(y)
    (slope,) = cr.grad(y, [x])
    shown = [float(t) for t in texts(draw(y)) if re.fullmatch(r"[\d.]+", t)]
    assert min(shown) == pytest.approx(slope.item(), rel=1e-3)


def test_named_values_of_a_large_graph_are_kept() -> None:
    y = cr.tensor(1.0, name="x")
    for k in range(400):
        y = cr.sin(y)
        if k % 100 == 50:
            y = y.named(f"h{k}")
    assert {"x", "h₅₀", "h₁₅₀", "h₂₅₀", "h₃₅₀"} <= set(texts(draw(y)))
    every = cr.tensor(1.0, name="x")
    for k in range(400):
        every = cr.sin(every).named(f"s{k}")
    assert boxes(draw(every)) == 13  # too many names: slices


def test_scalar_networks_of_any_size_can_be_drawn() -> None:
    rng = np.random.default_rng(0)
    a = [cr.tensor(float(v)) for v in rng.normal(size=6)]
    for units in (10, 10, 1):
        weights = [[cr.parameter(float(w)) for w in rng.normal(size=len(a))] for _ in range(units)]
        a = [cr.tanh(sum((w * x for w, x in zip(row[1:], a[1:], strict=True)), start=row[0] * a[0])) for row in weights]
    assert 1 < boxes(draw(a[0].named("y"))) <= 300


def test_a_deep_network_folds_into_its_layers() -> None:
    def block() -> nn.Module:
        return nn.Residual(nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8)))

    model = nn.Sequential(nn.Linear(20, 8), *[block() for _ in range(40)], nn.Linear(8, 10))
    loss = loss_of(model, 20)
    picture = draw(loss)
    assert 5 < boxes(picture) < 40
    assert overlapping(picture) == 0
    counts = [int(t.split()[0].replace(",", "")) for t in texts(picture) if t.endswith(" parameters")]
    assert sum(counts) == sum(p.size for p in model.parameters())
    squares = [float(t.split("= ")[1]) ** 2 for t in texts(picture) if t.startswith("‖∂L/∂θ‖")]
    expected = sum(float((g.numpy() ** 2).sum()) for g in cr.grad(loss, model.parameters()))
    assert sum(squares) == pytest.approx(expected, rel=0.02)


# ---------------------------------------------------------------------------------------- layers
def test_a_dense_network_in_layers() -> None:
    found = texts(draw(loss_of(dense(784, 128, 10, activation=nn.ReLU), 784), detail="layers"))
    assert {"a¹", "affine → ReLU", "100,480 parameters", "z²", "affine", "1,290 parameters", "4×128", "4×10"} <= set(found)
    assert any(t.startswith("L = ") for t in found)
    assert "θ: the parameters in a box" in found


def test_layers_are_the_same_with_blocks_unfolded() -> None:
    """There, data and weight are two matrices that are multiplied: the named one is the weight."""
    L = loss_of(dense(10, 10, 10), 10)
    whole, unfolded = (texts(draw(L, detail="layers", blocks=blocks)) for blocks in ("whole", "expanded"))
    assert boxes(draw(L, detail="layers", blocks="expanded")) == boxes(draw(L, detail="layers")) == 5
    for found in (whole, unfolded):
        assert found.count("110 parameters") == 2
        assert {"x", "4×10"} <= set(found)


def test_normalisation_belongs_to_the_layer_before_it_and_masks_to_the_layer_that_reads_them() -> None:
    picture = draw(loss_of(convolutional(), 1, 8, 8), detail="layers")
    assert boxes(picture) == 5  # x, targets, convolution, dense layer, loss
    assert {"48 parameters", "650 parameters"} <= set(texts(picture))


def test_layers_of_what_has_none() -> None:
    with pytest.raises(ArgumentError, match=r"a drawing of layers was asked for a calculation without layers.*detail='named'"):
        draw(worked_network(), detail="layers")


def test_networks_of_a_calculation_small_and_large() -> None:
    def network(*sizes: int) -> cr.Tensor:
        rng = np.random.default_rng(0)
        a = cr.tensor(rng.normal(size=sizes[0]), name="x")
        for into, out in pairwise(sizes):
            a = cr.sigmoid(cr.parameter(rng.normal(size=(out, into))) @ a)
        return (a**2).sum()

    small = draw(network(2, 3, 2), kind="network")
    assert boxes(small) == 7
    assert {"x", "a¹ = σ(z¹)", "a² = σ(z²)", "— positive weight"} <= set(texts(small))
    large = texts(draw(network(784, 128, 10), kind="network"))
    assert {"a¹", "@ → sigmoid", "100,352 parameters", "1,280 parameters", "784", "128"} <= {
        t.replace("σ", "sigmoid") for t in large
    }
    with pytest.raises(ArgumentError, match="without layers"):
        draw(worked_network(), kind="network")
