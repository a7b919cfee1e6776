"""Learning curves, decision regions, gradient flow."""

from __future__ import annotations

import base64
import io
import math
import re

import numpy as np
import pytest
from drawing_cases import count, dense, history, points, texts

import chainrule as cr
from chainrule import nn
from chainrule.drawing import draw
from chainrule.drawing.chart import Axis, label, ticks
from chainrule.drawing.flow import flow_drawing
from chainrule.drawing.picture import Look
from chainrule.errors import ArgumentError, DataError, ShapeError


# ---------------------------------------------------------------------------------------- learning curves
def test_a_chart_for_loss_metrics_and_a_learning_rate_that_changes() -> None:
    found = draw(history())
    assert {"Loss", "Accuracy", "Learning rate", "training", "validation", "best: epoch 6"} <= set(texts(found))
    assert "Stopped early: val_loss did not improve for 4 epochs." in texts(found)
    assert count(found, "polyline") == 4
    steady = cr.History([], [row | {"lr": 0.1} for row in history().epochs])
    assert "Learning rate" not in texts(draw(steady))


def test_without_early_stopping_the_smallest_validation_loss_is_marked() -> None:
    assert "best: epoch 6" in texts(draw(history("")))
    unvalidated = cr.History([], [{"epoch": e, "loss": 1.0 / e} for e in (1, 2, 3)])
    assert not [t for t in texts(draw(unvalidated)) if t.startswith("best")]
    one = cr.History([], [{"epoch": 1, "loss": 1.0, "val_loss": 1.0}])
    assert not [t for t in texts(draw(one)) if t.startswith("best")]
    assert "Interrupted." in texts(draw(history("interrupted")))
    assert "Stopped: the loss is small enough." in texts(draw(history("the loss is small enough")))


def test_points_lie_where_the_numbers_say() -> None:
    three = cr.History([], [{"epoch": e, "loss": v} for e, v in ((1, 3.0), (2, 1.0), (3, 2.0))])
    (line,) = re.findall(r'points="([\d., ]+)"', draw(three).to_svg())
    x, y = np.array([[float(n) for n in p.split(",")] for p in line.split()]).T
    assert x[1] - x[0] == pytest.approx(x[2] - x[1], abs=0.2)
    assert (y[1] - y[2]) * 2 == pytest.approx(y[1] - y[0], abs=0.3)
    assert y[0] < y[2] < y[1]  # upwards is towards smaller y


def test_a_loss_that_falls_far_is_drawn_by_its_logarithm() -> None:
    far = cr.History([], [{"epoch": e, "loss": 10.0 ** (3 - e)} for e in range(1, 7)])
    assert {"100", "10", "1", "0.1", "0.01", "0.001"} & set(texts(draw(far))) >= {"100", "1", "0.01"}


def test_values_that_are_not_finite_are_left_out() -> None:
    rows = [{"epoch": 1, "loss": 2.0, "val_loss": math.nan}, {"epoch": 2, "loss": math.inf, "val_loss": 1.0}]
    found = draw(cr.History([], rows))
    assert count(found, "polyline") == 0
    assert count(found, "circle") == 2
    with pytest.raises(ArgumentError, match="has no finite value to draw"):
        draw(cr.History([], [{"epoch": 1, "loss": math.nan}]))
    with pytest.raises(ArgumentError, match="Train first"):
        draw(cr.History())


def test_a_history_comes_back_from_its_csv() -> None:
    saved = history()
    again = cr.History.from_csv(saved.to_csv(), saved.stopped)
    assert (again.epochs, again.stopped) == (saved.epochs, saved.stopped)
    uneven = cr.History([], [{"epoch": 1.0, "loss": 0.5}, {"epoch": 2.0, "loss": 0.25, "val_loss": 1.0}])
    assert cr.History.from_csv(uneven.to_csv()).epochs == uneven.epochs
    with pytest.raises(DataError, match="must hold numbers"):
        cr.History.from_csv("epoch,loss\n1,much\n")
    for cut in ("epoch,loss\n1,0.5\n2\n", "epoch,loss\n1,0.5\n2,0.4,7\n"):
        with pytest.raises(DataError, match="line 3 of a history is incomplete; it has a value, or nothing between commas"):
            cr.History.from_csv(cut)


@pytest.mark.parametrize(
    "low, high, whole, expected",
    [
        (0.0, 1.0, False, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (1.0, 3.0, True, [1.0, 2.0, 3.0]),
        (0.5, 1.5, True, [1.0]),
        (-130.0, 95.0, False, [-100.0, -50.0, 0.0, 50.0]),
        (2e-7, 6e-7, False, [2e-7, 3e-7, 4e-7, 5e-7, 6e-7]),
    ],
)
def test_ticks_are_round_numbers_inside_the_range(low, high, whole, expected) -> None:
    assert ticks(low, high, whole=whole) == pytest.approx(expected)


def test_ticks_of_logarithms() -> None:
    assert Axis(0.5e-3, 20.0, log=True).ticks() == pytest.approx([1e-3, 1e-2, 1e-1, 1.0, 10.0])
    assert Axis(0.9, 21.0, log=True).ticks() == pytest.approx([1.0, 2.0, 5.0, 10.0, 20.0])


def test_numbers_beside_an_axis() -> None:
    assert [label(v) for v in (0.0, 0.5, -2.0, 1000.0, 1e-6, 2.5e-5, 1e-4)] == [
        "0",
        "0.5",
        "−2",
        "1000",
        "10⁻⁶",
        "2.5×10⁻⁵",
        "0.0001",
    ]


# ---------------------------------------------------------------------------------------- decision regions
def linear(weight, bias) -> nn.Sequential:
    model = nn.Sequential(nn.Linear(2, len(weight)))
    model.load_state_dict({"0.weight": weight, "0.bias": bias})
    return model


def pixels(picture) -> np.ndarray:
    image = pytest.importorskip("PIL.Image", reason="Pillow reads the picture")
    data = re.search(r'href="data:image/png;base64,([\w+/=]+)"', picture.to_svg())[1]
    with image.open(io.BytesIO(base64.b64decode(data))) as read:
        return np.asarray(read.convert("RGBA")).astype(int)


def test_regions_lie_where_the_network_says() -> None:
    X, _ = points()
    y = (X[:, 0] > 0).astype(int)
    right = draw(linear([[-4.0, 0.0], [4.0, 0.0]], [0.0, 0.0]), X, y, classes=["left", "right"])
    assert {"left", "right", "wrong: 0"} <= set(texts(right))
    found = pixels(right)
    assert tuple(found[100, 20, :3]) == (0x44, 0x77, 0xAA)
    assert tuple(found[100, -20, :3]) == (0xEE, 0x66, 0x77)
    assert found[100, 20, 3] > found[100, 178, 3]  # surer far from the boundary
    upper = pixels(draw(linear([[0.0, -4.0], [0.0, 4.0]], [0.0, 0.0]), X, y))
    assert tuple(upper[20, 100, :3]) == (0xEE, 0x66, 0x77)  # x₂ points upwards


def test_points_on_the_wrong_side_are_marked() -> None:
    X, _ = points()
    y = (X[:, 0] > 0).astype(int)
    swapped = draw(linear([[4.0, 0.0], [-4.0, 0.0]], [0.0, 0.0]), X, y)
    assert f"wrong: {len(X)}" in texts(swapped)
    assert count(swapped, "circle", "wrong") == len(X) + 1  # and one in the legend


@pytest.mark.parametrize("ending", [[], [nn.Sigmoid()]])
def test_one_output_is_a_logit_or_a_probability(ending) -> None:
    X, _ = points()
    y = (X[:, 0] > 0).astype(int)
    model = nn.Sequential(*linear([[4.0, 0.0]], [0.0]), *ending)
    assert "wrong: 0" in texts(draw(model, X, y))
    assert "wrong: 0" in texts(draw(model, X, y[:, None].astype(float)))


def test_numbers_are_drawn_as_heat() -> None:
    X, _ = points()
    found = draw(linear([[3.0, 0.0]], [10.0]), X, 3 * X[:, 0] + 10)
    assert "Predictions" in found.title
    assert {"8", "10", "12"} <= set(texts(found))
    assert "wrong" not in " ".join(texts(found))
    heat = pixels(found)
    assert tuple(heat[5, 2, :3]) == (0x44, 0x77, 0xAA)
    assert tuple(heat[5, -2, :3]) == (0xEE, 0x66, 0x77)
    draw(linear([[0.0, 0.0]], [2.5]), X, np.full(len(X), 2.5))  # a constant


def test_regions_of_what_has_none() -> None:
    X, y = points()
    with pytest.raises(ShapeError, match=r"inputs of shape \(60, 3\); a plane has two axes: X must be \(n, 2\)"):
        draw(dense(3, 2), np.zeros((60, 3)), y)
    with pytest.raises(ShapeError, match="X has 60 samples"):
        draw(dense(2, 2), X, y[:5])
    with pytest.raises(DataError, match="y holds 7; the network tells classes 0 to 1 apart"):
        draw(dense(2, 2), X, np.full(60, 7))


# ---------------------------------------------------------------------------------------- gradient flow
def test_the_numbers_are_those_of_diagnose() -> None:
    X, y = points()
    model, loss = dense(2, 8, 8, 2, activation=nn.Sigmoid), nn.CrossEntropyLoss()
    diagnosis = cr.diagnose(model, loss, X, y)
    found = draw(model, X, y, loss=loss)
    assert texts(found) == texts(draw(diagnosis))
    for layer in diagnosis.layers:
        assert label(layer["gradient"], 3) in texts(found)
        assert label(layer["weight"], 3) in texts(found)
    first, last = diagnosis.layers[0], diagnosis.layers[1]
    (ratio,) = (t for t in texts(found) if t.startswith(label(first["delta"] / last["delta"], 3)))
    assert ratio == f"{ratio.split()[0]} = {label(first['weight_factor'], 3)} × {label(first['slope_factor'], 3)}"


def test_gradients_that_are_zero_have_no_bar() -> None:
    X, y = points()
    model = dense(2, 4, 2, activation=nn.ReLU)
    model.load_state_dict({name: np.zeros_like(value) for name, value in model.state_dict().items()})
    found = draw(model, X, y, loss=nn.CrossEntropyLoss())
    assert texts(found).count("0") >= 3
    with pytest.raises(ArgumentError, match="without layers"):
        flow_drawing([], Look())
