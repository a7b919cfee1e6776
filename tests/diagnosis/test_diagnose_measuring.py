"""What is measured is right, and nothing of what is diagnosed is changed."""

import math
import tracemalloc
from itertools import pairwise

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.diagnosis import Problem, diagnose
from chainrule.diagnosis.layer_numbers import _participation
from chainrule.diagnosis.measuring import Measurements
from chainrule.diagnosis.relation import related
from chainrule.diagnosis.remedies import remedy
from chainrule.errors import ArgumentError, DataError, GradientError


def blobs(n=120, features=5, classes=3, seed=0):
    rng = np.random.default_rng(seed)
    y = np.arange(n) % classes
    centres = 2 * rng.normal(size=(classes, features))
    return (centres[y] + 0.5 * rng.normal(size=(n, features))).astype(np.float32), y


def network(*sizes, activation=nn.Sigmoid, dtype="float64", seed=0):
    cr.manual_seed(seed)
    layers = []
    for inputs, outputs in pairwise(sizes[:-1]):
        layers += [nn.Linear(inputs, outputs, dtype=dtype), activation()]
    return nn.Sequential(*layers, nn.Linear(sizes[-2], sizes[-1], dtype=dtype))


def by_hand(model, X, y):
    """δ and ∂C/∂a of every layer of a sigmoid network with cross-entropy, in plain NumPy."""
    W = [np.asarray(layer.weight.numpy()) for layer in model if isinstance(layer, nn.Linear)]
    b = [np.asarray(layer.bias.numpy()) for layer in model if isinstance(layer, nn.Linear)]
    a, zs = [X.astype(np.float64)], []
    for layer, (w, bias) in enumerate(zip(W, b, strict=True)):
        zs.append(a[-1] @ w.T + bias)
        a.append(1 / (1 + np.exp(-zs[-1])) if layer < len(W) - 1 else zs[-1])
    p = np.exp(a[-1]) / np.exp(a[-1]).sum(axis=1, keepdims=True)
    deltas, carried = [(p - np.eye(p.shape[1])[y]) / len(X)], [None]
    for layer in range(len(W) - 2, -1, -1):
        carried.insert(0, deltas[0] @ W[layer + 1])
        deltas.insert(0, carried[0] * a[layer + 1] * (1 - a[layer + 1]))
    return zs, a, deltas, carried


def test_the_numbers_of_each_layer_are_those_of_the_matrix_equations():
    X, y = blobs()
    model = network(5, 7, 6, 3)
    optimizer = optim.SGD(model.parameters(), lr=0.5)
    measured = Measurements(Problem(model, nn.CrossEntropyLoss(), X, y, optimizer), 0)
    zs, a, deltas, carried = by_hand(model, X, y)
    norm = np.linalg.norm
    for k, n in enumerate(measured.layers):
        assert n.name == str(2 * k)
        assert n.activation == ("sigmoid" if k < 2 else None)
        assert n.z == pytest.approx(np.sqrt((zs[k] ** 2).mean()), rel=1e-9)
        assert n.delta == pytest.approx(norm(deltas[k]), rel=1e-9)
        dW = deltas[k].T @ a[k]
        assert n.gradient == pytest.approx(np.sqrt((dW**2).mean()), rel=1e-9)
        assert n.update == pytest.approx(0.5 * norm(dW) / norm(model[2 * k].weight.numpy()), rel=1e-9)
        if k < 2:
            assert n.slope_factor == pytest.approx(norm(deltas[k]) / norm(carried[k]), rel=1e-9)
            assert n.weight_factor * n.slope_factor == pytest.approx(norm(deltas[k]) / norm(deltas[k + 1]), rel=1e-9)
    assert math.isnan(measured.layers[-1].weight_factor)


@pytest.mark.parametrize("activation, value, share", [(nn.Tanh, 20.0, 1.0), (nn.Sigmoid, -20.0, 1.0), (nn.Tanh, 0.0, 0.0)])
def test_saturated_values_are_counted(activation, value, share):
    X, y = blobs()
    model = network(5, 8, 3, activation=activation)
    model[0].weight.assign(0 * model[0].weight.numpy())
    model[0].bias.assign(np.full(8, value))
    assert Measurements(Problem(model, nn.CrossEntropyLoss(), X, y), 0).layers[0].saturated == share


def test_dead_units_are_counted():
    X, y = blobs()
    model = network(5, 8, 3, activation=nn.ReLU)
    model[0].bias.assign(np.array([-100.0] * 3 + [100.0] * 5))
    assert Measurements(Problem(model, nn.CrossEntropyLoss(), X, y), 0).layers[0].dead == 3 / 8


def test_the_rank_counts_directions():
    X = np.random.default_rng(0).normal(size=(250, 6))
    model = network(6, 6, 3)
    model[0].weight.assign(np.diag([1.0, 1.0, 1.0, 0, 0, 0]))
    rank = Measurements(Problem(model, nn.CrossEntropyLoss(), X, np.arange(250) % 3), 0).layers[0].rank
    assert rank == pytest.approx(3.0, abs=0.2)


def test_layers_are_found_in_any_forward_and_in_convolutions():
    class Own(nn.Module):
        def __init__(self):
            self.first = cr.parameter(np.random.default_rng(0).normal(size=(5, 4)))
            self.last = nn.Linear(4, 3, dtype="float64")

        def forward(self, x):
            return self.last(cr.tanh(x @ self.first))

    X, y = blobs()
    own = Measurements(Problem(Own(), nn.CrossEntropyLoss(), X, y), 0).layers
    assert [(n.name, n.activation, n.units, n.inputs) for n in own] == [("first", "tanh", 4, 5), ("last", None, 3, 4)]
    cr.manual_seed(0)
    cnn = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Dropout(0.5), nn.Linear(36, 3, bias=False),
    )  # fmt: skip
    pictures = np.random.default_rng(0).random((40, 1, 8, 8), np.float32)
    found = Measurements(Problem(cnn, nn.CrossEntropyLoss(), pictures, np.arange(40) % 3), 0).layers
    assert [(n.name, n.activation, n.units, n.inputs) for n in found] == [("0", "relu", 4, 9), ("6", None, 3, 36)]


@pytest.mark.parametrize(
    "loss, output, t, start, constant",
    [
        (nn.CrossEntropyLoss(), (4, 3), np.array([0, 0, 1, 2]), math.log(3), 1.5 * math.log(2)),
        (nn.BCEWithLogitsLoss(), (4, 1), np.array([[0.0], [0], [0], [1]]), math.log(2), 0.5623351446188083),
        (nn.MSELoss(), (2, 1), np.array([[1.0], [3.0]]), 5.0, 1.0),
        (nn.HalfSquaredError(), (2, 2), np.array([[1.0, 0.0], [3.0, 0.0]]), 2.5, 0.5),
        (nn.L1Loss(), (3, 1), np.array([[1.0], [3.0], [8.0]]), 4.0, 7 / 3),
        (nn.HuberLoss(), (2, 1), np.array([[0.5], [3.0]]), (0.125 + 2.5) / 2, 0.75),
    ],
    ids=lambda value: type(value).__name__,
)
def test_expected_losses(loss, output, t, start, constant):
    found = loss.untrained(output, t)
    assert found.start == pytest.approx(start, rel=1e-12)
    assert found.constant == pytest.approx(constant, rel=1e-12)


@pytest.mark.parametrize("y_like", ["classes", "one-hot"])
def test_expected_loss_of_ignorance_is_the_loss_of_a_zero_network(y_like):
    X, y = blobs()
    t = y if y_like == "classes" else np.eye(3)[y]
    loss = nn.CrossEntropyLoss()
    assert loss.untrained((len(X), 3), t).start == pytest.approx(loss(np.zeros((len(X), 3)), t).item(), rel=1e-12)


def test_model_optimiser_modes_and_random_stream_are_left_as_they_are():
    X, y = blobs()
    cr.manual_seed(5)
    model = nn.Sequential(nn.Linear(5, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.9), nn.Linear(16, 3))
    model[3].eval()
    optimizer = optim.Adam(model.parameters(), lr=1.0, weight_decay=0.5)
    loss = nn.CrossEntropyLoss()
    loss(model(X[:8]), y[:8]).backward()
    optimizer.step()

    def state():
        gradients = {f"grad {name}": p.grad.numpy().tobytes() for name, p in model.named_parameters()}
        modes = [module.training for _, module in model.named_modules()]
        arrays = {**model.state_dict(), **optimizer.state_dict(), "random": cr.random.state.numpy(), "X": X, "y": y}
        return {name: a.tobytes() for name, a in arrays.items()}, gradients, modes, [model[3].p, optimizer.lr]

    before = state()
    assert diagnose(model, loss, X, y, optimizer=optimizer, validation_data=(X, y))
    assert state() == before


@pytest.mark.parametrize("mistake", ["xy", "short", "nan", "reduction", "language"])
def test_mistakes_of_the_caller_are_named(mistake):
    X, y = blobs()
    model, loss = network(5, 4, 3), nn.CrossEntropyLoss()
    if mistake == "xy":
        with pytest.raises(DataError, match="it must hold numbers"):
            diagnose(model, loss, np.array([["a"]]), y)
    elif mistake == "short":
        with pytest.raises(ValueError, match="both need one row per sample"):
            diagnose(model, loss, X, y[:-1])
    elif mistake == "nan":
        X[3, 1] = np.nan
        with pytest.raises(DataError, match=r"X holds nan at index \(3, 1\)"):
            diagnose(model, loss, X, y)
    elif mistake == "reduction":
        with pytest.raises(ArgumentError, match="the loss has reduction='none'"):
            diagnose(model, nn.MSELoss("none"), X, X)
    else:
        with pytest.raises(ArgumentError, match="the language 'fr' was given"):
            diagnose(model, loss, X, y, language="fr")


def test_a_step_function_is_reported_as_not_differentiable():
    X, y = blobs()
    with pytest.raises(GradientError, match="no gradient passes through step"):
        diagnose(network(5, 4, 3, activation=nn.Step), nn.CrossEntropyLoss(), X, y)


def test_remedies_that_cannot_be_made_say_why():
    X, y = blobs()
    problem = Problem(network(5, 4, 3), nn.CrossEntropyLoss(), X, y)
    with pytest.raises(ArgumentError, match="the problem has no optimiser"):
        remedy("set-learning-rate", lr=0.1).apply(problem)
    with pytest.raises(ArgumentError, match="layers of a Sequential only"):
        remedy("drop-last-layer").apply(Problem(nn.Linear(5, 3), nn.CrossEntropyLoss(), X, y))


def test_the_text_holds_the_numbers_and_the_table_the_layers():
    X, y = blobs()
    model = network(5, *[8] * 8, 3, dtype="float32")
    diagnosis = diagnose(model, nn.CrossEntropyLoss(), X, y)
    first = diagnosis[0]
    assert first.kind == "vanishing-gradient"
    assert first.evidence["ratio"] < 1e-3
    assert "σ' ≤ ¼" in first.why
    assert f"{first.evidence['slopes']:.3g}" in first.why
    assert str(diagnosis).startswith("1. vanishing-gradient (layer 0): ‖δ‖ of the first of 9 layers is")
    assert str(diagnosis.in_language("zh")).startswith("1. vanishing-gradient（第 0 层）：9 层中第一层的 ‖δ‖ 只有")
    said, _, *lines = diagnosis.layer_table().splitlines()
    numbers = diagnosis.to_dict()["loss"]
    assert (numbers["formula"], numbers["start"]) == ("ln 3", math.log(3))
    assert said == (
        f"The loss is {numbers['value']:.3g}; an uninformed network has ln 3 = 1.099, "
        f"and the best constant answer {numbers['constant']:.4g}."
    )
    assert diagnosis.in_language("zh").loss_line().startswith("损失为")
    assert len(lines) == 10
    assert lines[0].split()[:3] == ["layer", "activation", "units"]
    data = diagnosis.to_dict()
    assert data["schema"] == "chainrule/diagnosis/1"
    assert set(data) == {"schema", "language", "healthy", "findings", "loss", "layers"}
    assert set(data["findings"][0]) == {"kind", "layer", "what", "evidence", "why", "change", "remedy"}
    assert data["findings"][0]["remedy"][0] == {"action": "replace-activations", "old": "Sigmoid", "new": "ReLU"}


def test_a_model_without_anything_to_learn_is_no_obstacle():
    X, _ = blobs()
    assert diagnose(nn.Sequential(nn.ReLU()), nn.MSELoss(), X, X, optimizer=None).layers == ()


# -------------------------------------------------------------------------------------------- what it costs is bounded
def test_large_pictures_and_many_classes_take_little_memory():
    """The relation of inputs and targets is seen on part of the numbers of a picture, and on the frequent classes."""
    rng = np.random.default_rng(0)
    t = np.concatenate([np.arange(500), np.repeat(np.arange(2), 300)])
    brightness = np.where(t == 0, 5.0, rng.normal(size=len(t))).astype(np.float32)
    pictures = np.broadcast_to(brightness[:, None], (len(t), 40_000))  # takes no memory itself
    tracemalloc.start()
    found = related(pictures, t, 0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.shows
    assert peak < 100e6


@pytest.mark.parametrize("shape", [(6, 40), (40, 6), (8, 8)])
def test_the_number_of_directions_is_that_of_the_singular_values(shape):
    z = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    squares = np.linalg.svd(z - z.mean(axis=0), compute_uv=False) ** 2
    assert _participation(z) == pytest.approx(squares.sum() ** 2 / (squares**2).sum(), rel=1e-5)


def test_the_held_out_loss_of_many_samples_is_that_of_a_part_of_them():
    X, y = blobs(n=4000)
    model = network(5, 7, 3)
    counted = Measurements(Problem(model, nn.CrossEntropyLoss(), X, y, validation_data=(X[:300], y[:300])), 0).held_out_loss
    whole = nn.CrossEntropyLoss()(model(X[:300]), y[:300]).item()
    assert counted == pytest.approx(whole, rel=1e-6)
    part = Measurements(Problem(model, nn.CrossEntropyLoss(), X, y, validation_data=(X, y)), 0).held_out_loss
    whole = nn.CrossEntropyLoss()(model(X), y).item()
    assert part == pytest.approx(whole, rel=0.05)
    assert part != whole
    assert Measurements(Problem(model, nn.CrossEntropyLoss(), X, y), 0).held_out_loss is None
