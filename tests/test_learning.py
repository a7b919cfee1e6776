"""Networks, problems and learning: what a course on backpropagation asks a library to do."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.ir import Array

MNIST = Path(__file__).resolve().parents[2] / "shared" / "data" / "mnist-10k" / "t10k-images-idx3-ubyte.gz"
TRUTH = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])


def real_set(name: str) -> tuple[Array, Array, Array, Array]:
    """A built-in real set, scaled by its training rows: X and y to train on, X and y held out."""
    data = cr.data.builtin(name)
    train, held_out = cr.data.split_rows(len(data.X), 0.25, seed=0, stratify=None if data.classes is None else data.y)
    X = (data.X - data.X[train].mean(axis=0)) / data.X[train].std(axis=0)
    return X[train], data.y[train], X[held_out], data.y[held_out]


def layers(sizes: Sequence[int], activation: type[nn.Module] = nn.Tanh, dtype: str = "float32") -> nn.Sequential:
    """Affine layers of these sizes with an activation between them, from seed 0."""
    cr.manual_seed(0)
    found: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        found += [nn.Linear(inputs, outputs, dtype=dtype), activation()]
    return nn.Sequential(*found[:-1])


# -------------------------------------------------------------------------------------------- regression and classification
def test_regression_beats_the_mean() -> None:
    X, y, X_held, y_held = real_set("diabetes")
    mean, scale = y.mean(), y.std()
    model = layers([10, 16, 1])
    trainer = cr.Trainer(model, nn.MSELoss(), cr.optim.Adam(model.parameters(), lr=0.005, weight_decay=0.02), metrics=["rmse"])
    trainer.fit(X, (y - mean) / scale, epochs=60, progress=False)
    error = trainer.evaluate(X_held, (y_held - mean) / scale)["rmse"] * scale
    assert error < 0.8 * np.sqrt(np.mean((y_held - mean) ** 2))


def test_two_classes_by_the_threshold_one_half() -> None:
    X, y, X_held, y_held = real_set("breast_cancer")
    model = nn.Sequential(layers([30, 16, 1]), nn.Sigmoid())
    trainer = cr.Trainer(model, nn.BCELoss(), cr.optim.Adam(model.parameters(), lr=0.01), metrics=["accuracy"])
    trainer.fit(X, y, epochs=20, progress=False)
    probability = trainer.predict(X_held)[:, 0]
    accuracy = np.mean((probability > 0.5) == y_held)
    assert accuracy > 0.95 > np.mean(y_held)
    assert trainer.evaluate(X_held, y_held)["accuracy"] == pytest.approx(accuracy)


def test_several_classes_by_softmax() -> None:
    X, y, X_held, y_held = real_set("wine")
    model = layers([13, 16, 3])
    trainer = cr.Trainer(model, nn.CrossEntropyLoss(), cr.optim.Adam(model.parameters(), lr=0.01), metrics=["accuracy"])
    trainer.fit(X, y, epochs=30, progress=False)
    probabilities = cr.softmax(trainer.predict(X_held)).numpy()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, rtol=1e-6)
    accuracy = np.mean(probabilities.argmax(axis=1) == y_held)
    assert accuracy > 0.95
    assert trainer.evaluate(X_held, y_held)["accuracy"] == pytest.approx(accuracy)


def test_sigmoid_and_its_derivative() -> None:
    x = cr.parameter(np.linspace(-8, 8, 33))
    y = cr.sigmoid(x)
    np.testing.assert_allclose(y.numpy(), 1 / (1 + np.exp(-x.numpy())), rtol=1e-14)
    (slope,) = cr.grad(y.sum(), [x])
    np.testing.assert_allclose(slope.numpy(), y.numpy() * (1 - y.numpy()), rtol=1e-14)


def test_the_step_function_decides_and_cannot_be_trained() -> None:
    assert cr.step([-2.0, 0.0, 3.0]).tolist() == [0.0, 0.5, 1.0]
    model = nn.Sequential(nn.Linear(2, 1), nn.Step())
    message = "no gradient passes through step: its derivative is 0 everywhere.*use sigmoid"
    with pytest.raises(cr.errors.GradientError, match=message):
        (model(TRUTH) ** 2).sum().backward()
    with pytest.raises(cr.errors.GradientError, match=message):
        cr.Trainer(model, nn.MSELoss(), cr.optim.SGD(model.parameters())).fit(TRUTH, [0, 1, 1, 1], progress=False)


# -------------------------------------------------------------------------------------------- neurons and layers
ACTIVATIONS: dict[type[nn.Module], Callable[[Array], Array]] = {
    nn.Sigmoid: lambda z: 1 / (1 + np.exp(-z)),
    nn.Tanh: np.tanh,
    nn.ReLU: lambda z: np.maximum(z, 0),
    nn.Identity: lambda z: z,
    nn.Step: lambda z: np.heaviside(z, 0.5),
}


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_neuron_is_a_weighted_sum_plus_bias_and_an_activation(activation: type[nn.Module]) -> None:
    w, b, x = [0.5, -2.0, 1.5], 0.25, [1.0, 2.0, -3.0]
    neuron = nn.Sequential(nn.Linear(3, 1, init=[w], bias_init=[b], dtype="float64"), activation())
    z = 0.5 * 1.0 - 2.0 * 2.0 + 1.5 * -3.0 + 0.25
    assert neuron(x).item() == pytest.approx(float(ACTIVATIONS[activation](np.array(z))), rel=1e-14)


@pytest.mark.parametrize("sizes", [(3, 1), (2, 3, 1), (5, 4, 3, 2), (1, 7, 7, 7, 4)])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_k_layers_of_n_k_units(sizes: tuple[int, ...], activation: type[nn.Module]) -> None:
    model = layers(sizes, activation, "float64")
    affine = [layer for layer in model if isinstance(layer, nn.Linear)]
    assert [(layer.weight.shape, layer.bias.shape) for layer in affine] == [((n, m), (n,)) for m, n in pairwise(sizes)]
    a = x = np.random.default_rng(0).normal(size=(6, sizes[0]))
    for layer in affine:
        z = a @ layer.weight.numpy().T + layer.bias.numpy()
        a = ACTIVATIONS[activation](z)
    np.testing.assert_allclose(model(x).numpy(), z, rtol=1e-12)


def test_a_bias_is_a_weight_on_a_constant_input_of_1() -> None:
    with_bias = nn.Linear(2, 3, dtype="float64")
    joined = np.concatenate([with_bias.weight.numpy(), with_bias.bias.numpy()[:, None]], axis=1)
    without = nn.Linear(3, 3, bias=False, init=joined, dtype="float64")
    x, t = np.random.default_rng(1).normal(size=(5, 2)), np.zeros((5, 3))
    x_and_1 = np.concatenate([x, np.ones((5, 1))], axis=1)
    for layer, inputs in ((with_bias, x), (without, x_and_1)):
        trainer = cr.Trainer(layer, nn.HalfSquaredError(), cr.optim.SGD(layer.parameters(), lr=0.05))
        trainer.fit(inputs, t, epochs=5, batch_size=None, progress=False)
    learnt = np.concatenate([with_bias.weight.numpy(), with_bias.bias.numpy()[:, None]], axis=1)
    assert np.abs(learnt - joined).max() > 0.01
    np.testing.assert_allclose(without.weight.numpy(), learnt, rtol=1e-12, atol=1e-14)


# -------------------------------------------------------------------------------------------- gates
GIVEN = {"AND": ([20.0, 20.0], -30.0), "NOR": ([-20.0, -20.0], 10.0), "OR": ([20.0, 20.0], -10.0)}


def gate(name: str) -> nn.Linear:
    weight, bias = GIVEN[name]
    return nn.Linear(2, 1, init=[weight], bias_init=[bias], dtype="float64")


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("AND", [0.0, 0.00005, 0.00005, 0.99995]),
        ("NOR", [0.99995, 0.00005, 0.00005, 0.0]),
        ("OR", [0.00005, 0.99995, 0.99995, 1.0]),
    ],
)
def test_given_gates(name: str, wanted: list[float]) -> None:
    assert cr.sigmoid(gate(name)(TRUTH)).numpy()[:, 0].round(5).tolist() == wanted


def test_given_xnor_is_or_of_and_and_nor() -> None:
    hidden = cr.concatenate([cr.sigmoid(gate("AND")(TRUTH)), cr.sigmoid(gate("NOR")(TRUTH))], axis=1)
    xnor = cr.sigmoid(gate("OR")(hidden)).numpy()[:, 0]
    assert xnor.round(5).tolist() == [0.99995, 0.00005, 0.00005, 0.99995]


def learn_gate(name: str, model: nn.Sequential) -> dict[str, float]:
    table = cr.data.builtin(name)
    optimizer = cr.optim.Adam(model.parameters(), lr=0.1)
    trainer = cr.Trainer(model, nn.BCEWithLogitsLoss(), optimizer, metrics=["accuracy"])
    trainer.fit(table.X, table.y, epochs=1000, batch_size=None, until_loss=0.01, progress=False)
    return trainer.evaluate(table.X, table.y)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", ["xor", "xnor"])
def test_xor_and_xnor_are_learnt_from_random_weights(name: str, seed: int) -> None:
    cr.manual_seed(seed)
    found = learn_gate(name, nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1)))
    assert found["accuracy"] == 1.0
    assert found["loss"] <= 0.01


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", ["xor", "xnor"])
def test_a_single_layer_learns_neither(name: str, seed: int) -> None:
    cr.manual_seed(seed)
    found = learn_gate(name, nn.Sequential(nn.Linear(2, 1)))
    # The mean of the losses is convex in the weights, with its minimum, ln 2, where all of them are 0.
    assert math.log(2) - 1e-6 <= found["loss"] < math.log(2) + 1e-3
    assert found["accuracy"] <= 0.75


@pytest.mark.parametrize("name", ["and", "or", "nand", "nor"])
def test_a_single_layer_learns_the_other_gates(name: str) -> None:
    cr.manual_seed(0)
    assert learn_gate(name, nn.Sequential(nn.Linear(2, 1)))["accuracy"] == 1.0


# -------------------------------------------------------------------------------------------- quadrants
def test_quadrants() -> None:
    train, held_out = cr.data.builtin("quadrants", seed=0), cr.data.builtin("quadrants", seed=1)
    model = layers([2, 32, 4], nn.ReLU)
    trainer = cr.Trainer(model, nn.CrossEntropyLoss(), cr.optim.Adam(model.parameters(), lr=0.02), metrics=["accuracy"])
    before = trainer.evaluate(held_out.X, held_out.y)["accuracy"]
    trainer.fit(train.X, train.y, epochs=60, progress=False)
    assert before < 0.6
    assert trainer.evaluate(held_out.X, held_out.y)["accuracy"] >= 0.97


# -------------------------------------------------------------------------------------------- convolution and pooling
def convolved(x: Array, w: Array, b: Array, stride: int, padding: int) -> Array:
    """The definition of a convolution layer, one output at a time."""
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    n, (outputs, _, k, _) = len(x), w.shape
    rows, columns = ((size - k) // stride + 1 for size in x.shape[2:])
    y = np.empty((n, outputs, rows, columns))
    for s, c, i, j in np.ndindex(y.shape):
        top, left = i * stride, j * stride
        y[s, c, i, j] = (x[s, :, top : top + k, left : left + k] * w[c]).sum() + b[c]
    return y


@pytest.mark.parametrize(("stride", "padding", "channels"), [(1, 0, 1), (1, 1, 2), (2, 0, 3), (2, 2, 2), (3, 1, 1)])
def test_convolution_forward_and_backward(stride: int, padding: int, channels: int) -> None:
    rng = np.random.default_rng(0)
    x, w, b = rng.normal(size=(2, channels, 6, 7)), rng.normal(size=(4, channels, 3, 3)), rng.normal(size=4)

    def layer(*tensors: cr.Tensor) -> cr.Tensor:
        return cr.conv2d(*tensors, stride=stride, padding=padding)

    np.testing.assert_allclose(layer(x, w, b).numpy(), convolved(x, w, b, stride, padding), rtol=1e-12, atol=1e-13)
    cr.testing.gradcheck(layer, [x, w, b])


def test_pooling_forward_and_backward() -> None:
    x = np.array([[[[1.0, 2.0, 5.0, 6.0], [4.0, 3.0, 8.0, 7.0]]]])
    for pool, values, gradient in (
        (nn.MaxPool2d(2), [4.0, 8.0], [[0.0, 0.0, 0.0, 0.0], [1.0, 0.0, 1.0, 0.0]]),
        (nn.AvgPool2d(2), [2.5, 6.5], [[0.25] * 4] * 2),
    ):
        picture = cr.parameter(x)
        pooled = pool(picture)
        pooled.sum().backward()
        assert pooled.numpy().ravel().tolist() == values
        assert picture.grad is not None
        assert picture.grad.numpy()[0, 0].tolist() == gradient


def cnn_accuracy(X: Array, y: Array, epochs: int) -> float:
    """Held-out accuracy of a network of two convolutions."""
    train, held_out = cr.data.split_rows(len(X), 0.2, seed=0, stratify=y)
    cr.manual_seed(0)
    model = nn.Sequential(
        *(nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(32 * (X.shape[2] // 4) * (X.shape[3] // 4), 10)),
    )
    trainer = cr.Trainer(model, nn.CrossEntropyLoss(), cr.optim.Adam(model.parameters(), lr=0.005), metrics=["accuracy"])
    falling = cr.LearningRate(cr.optim.CosineAnnealingLR(epochs))
    trainer.fit(X[train], y[train], epochs=epochs, batch_size=64, callbacks=[falling], progress=False)
    return trainer.evaluate(X[held_out], y[held_out])["accuracy"]


def test_cnn_reads_the_digits() -> None:
    digits = cr.data.builtin("digits")
    assert cnn_accuracy(digits.X.reshape(-1, 1, 8, 8), digits.y, epochs=8) >= 0.97


@pytest.mark.slow
@pytest.mark.skipif(not MNIST.exists(), reason="the MNIST pictures are not beside the checkout, in shared/data/mnist-10k")
def test_cnn_reads_mnist() -> None:
    images = cr.data.read_images(MNIST)
    assert images.y is not None
    assert cnn_accuracy(images.X / np.float32(255), images.y, epochs=4) >= 0.97


# -------------------------------------------------------------------------------------------- the training loop
def test_loop_equals_the_loop_by_hand() -> None:
    wanted, rate = 0.05, 0.2
    t = np.array([[0.0], [1.0], [1.0], [1.0]])
    model, twin = layers([2, 3, 1], nn.Sigmoid, "float64"), layers([2, 3, 1], nn.Sigmoid, "float64")

    losses = []
    for _ in range(5000):
        loss = nn.HalfSquaredError()(twin(TRUTH), t)
        losses.append(loss.item())
        if losses[-1] <= wanted:
            break
        for parameter, gradient in zip(twin.parameters(), cr.grad(loss, twin.parameters()), strict=True):
            parameter.assign(parameter.numpy() - rate * gradient.numpy())

    trainer = cr.Trainer(model, nn.HalfSquaredError(), cr.optim.SGD(model.parameters(), lr=rate))
    history = trainer.fit(TRUTH, t, epochs=5000, batch_size=None, until_loss=wanted, progress=False)
    assert 10 < len(losses) < 5000
    np.testing.assert_allclose(history.step_loss, losses, rtol=1e-10)
    assert history.step_loss[-2] > wanted >= history.step_loss[-1]
    assert "within the wanted range, at most 0.05" in history.stopped
    for learnt, by_hand in zip(model.parameters(), twin.parameters(), strict=True):
        np.testing.assert_allclose(learnt.numpy(), by_hand.numpy(), rtol=1e-10, atol=1e-12)


def test_nothing_is_updated_when_the_loss_is_in_range_at_once() -> None:
    model = layers([2, 3, 1])
    before = model.state_dict()
    trainer = cr.Trainer(model, nn.MSELoss(), cr.optim.SGD(model.parameters(), lr=0.5))
    history = trainer.fit(TRUTH, [0, 1, 1, 0], epochs=5, until_loss=100.0, progress=False)
    assert len(history.step_loss) == 1
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


# -------------------------------------------------------------------------------------------- L2
@pytest.mark.parametrize("on_biases", [False, True])
def test_l2_adds_reg_w_to_dw_and_is_the_gradient_of_the_penalty(on_biases: bool) -> None:
    reg, rate = 0.3, 0.1
    model = layers([3, 4, 2], dtype="float64")
    weights = [p for name, p in model.named_parameters() if name.endswith("weight")]
    biases = [p for name, p in model.named_parameters() if name.endswith("bias")]
    rng = np.random.default_rng(0)
    X, t = rng.normal(size=(5, 3)), rng.normal(size=(5, 2))

    penalised = [*weights, *biases] if on_biases else weights
    loss = nn.MSELoss()(model(X), t)
    penalty = 0.5 * reg * sum((p**2).sum() for p in penalised)
    plain = cr.grad(loss, weights + biases)
    with_penalty = cr.grad(loss + penalty, weights + biases)
    before = [p.numpy().copy() for p in weights + biases]

    groups = [{"params": weights, "weight_decay": reg}, {"params": biases, "weight_decay": reg if on_biases else 0.0}]
    trainer = cr.Trainer(model, nn.MSELoss(), cr.optim.SGD(groups, lr=rate))
    trainer.fit(X, t, epochs=1, batch_size=None, progress=False)
    for k, parameter in enumerate(weights + biases):
        share = reg if on_biases or k < len(weights) else 0.0
        by_rule = before[k] - rate * (plain[k].numpy() + share * before[k])
        np.testing.assert_allclose(parameter.numpy(), by_rule, rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(parameter.numpy(), before[k] - rate * with_penalty[k].numpy(), rtol=1e-12, atol=1e-14)


def test_l2_keeps_weights_small() -> None:
    X, y, _, _ = real_set("diabetes")
    norms = []
    for reg in (0.0, 0.1, 1.0):
        model = layers([10, 16, 1])
        trainer = cr.Trainer(model, nn.MSELoss(), cr.optim.SGD(model.parameters(), lr=0.05, weight_decay=reg))
        trainer.fit(X, (y - y.mean()) / y.std(), epochs=20, progress=False)
        norms.append(sum(float((p.numpy() ** 2).sum()) for p in model.parameters()))
    assert norms[0] > 2 * norms[1] > 4 * norms[2]


# -------------------------------------------------------------------------------------------- how much data a step takes
@pytest.mark.parametrize(("batch_size", "steps"), [(None, 1), (20, 20), (64, 7), (1, 400)])
def test_an_epoch_takes_every_sample_once(batch_size: int | None, steps: int) -> None:
    moons = cr.data.builtin("moons")
    model = layers([2, 4, 1])
    loss = nn.BCEWithLogitsLoss()
    # With a learning rate of 0 the weights stay, so that each step's loss tells which samples it took.
    trainer = cr.Trainer(model, loss, cr.optim.SGD(model.parameters(), lr=0.0))
    history = trainer.fit(moons.X, moons.y, epochs=2, batch_size=batch_size, progress=False)
    each = nn.BCEWithLogitsLoss("none")(model(moons.X), moons.y[:, None]).numpy()[:, 0]
    assert len(history.step_loss) == 2 * steps
    np.testing.assert_allclose(history["loss"], each.mean(), rtol=1e-5)
    if batch_size == 1:
        first, second = np.array(history.step_loss).reshape(2, -1)
        np.testing.assert_allclose(np.sort(first), np.sort(each), rtol=1e-5)
        np.testing.assert_allclose(np.sort(second), np.sort(each), rtol=1e-5)
        assert not np.allclose(first, second)


@pytest.mark.parametrize("batch_size", [None, 3, 1])
def test_a_step_follows_the_mean_gradient_of_its_samples(batch_size: int | None) -> None:
    rng = np.random.default_rng(0)
    X, t = rng.normal(size=(12, 2)), rng.normal(size=(12, 1))
    w = np.array([[0.4, -0.3]])
    model = nn.Linear(2, 1, bias=False, init=w, dtype="float64")
    trainer = cr.Trainer(model, nn.MSELoss(), cr.optim.SGD(model.parameters(), lr=0.1))
    trainer.fit(X, t, epochs=1, batch_size=batch_size, shuffle=False, progress=False)
    size = batch_size or 12
    for x, wanted in zip(X.reshape(-1, size, 2), t.reshape(-1, size, 1), strict=True):
        w = w - 0.1 * np.mean([2 * (w @ x[i] - wanted[i]) * x[i] for i in range(size)], axis=0)
    np.testing.assert_allclose(model.weight.numpy(), w, rtol=1e-12)


@pytest.mark.parametrize("batch_size", [None, 32, 1])
def test_each_batch_size_learns(batch_size: int | None) -> None:
    moons = cr.data.builtin("moons")
    model = layers([2, 8, 1])
    trainer = cr.Trainer(model, nn.BCEWithLogitsLoss(), cr.optim.SGD(model.parameters(), lr=0.1))
    before = trainer.evaluate(moons.X, moons.y)["loss"]
    trainer.fit(moons.X, moons.y, epochs=5, batch_size=batch_size, progress=False)
    assert trainer.evaluate(moons.X, moons.y)["loss"] < before


def separable(name: str) -> tuple[Array, Array]:
    """Iris setosa against the others (a plane divides them), or the moons (a curve does)."""
    data = cr.data.builtin(name)
    return (data.X - data.X.mean(axis=0)) / data.X.std(axis=0), (data.y == 0).astype(int)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("name", "sizes", "rate"), [("iris", [4, 1], 1.0), ("moons", [2, 16, 1], 0.1)])
def test_misclassified_samples_only_until_none_is_left(name: str, sizes: list[int], rate: float, seed: int) -> None:
    X, y = separable(name)
    model = layers(sizes)
    trainer = cr.Trainer(model, nn.BCEWithLogitsLoss(), cr.optim.SGD(model.parameters(), lr=rate), metrics=["accuracy"])
    assert trainer.evaluate(X, y)["accuracy"] < 0.9
    history = trainer.fit(X, y, epochs=50, sampler="misclassified", seed=seed, progress=False)
    assert history.stopped == "no sample is misclassified"
    assert trainer.evaluate(X, y)["accuracy"] == 1.0
    # A sample on the wrong side of ½ has a loss of at least ln 2, so no other one was taken.
    assert min(history.step_loss) >= math.log(2) - 1e-6


def test_misclassified_with_several_classes() -> None:
    X, y, _, _ = real_set("wine")
    model = layers([13, 3])
    trainer = cr.Trainer(model, nn.CrossEntropyLoss(), cr.optim.SGD(model.parameters(), lr=0.1), metrics=["accuracy"])
    history = trainer.fit(X, y, epochs=50, sampler="misclassified", progress=False)
    assert history.stopped == "no sample is misclassified"
    assert trainer.evaluate(X, y)["accuracy"] == 1.0


# -------------------------------------------------------------------------------------------- optimisers
OPTIMISERS: dict[str, Callable[[list[cr.Tensor]], cr.optim.Optimizer]] = {
    **cr.optim.OPTIMIZERS,
    "momentum": lambda p: cr.optim.SGD(p, momentum=0.9),
    "Nesterov": lambda p: cr.optim.SGD(p, momentum=0.9, nesterov=True),
}


@pytest.mark.parametrize("name", OPTIMISERS)
def test_optimisers_lower_the_loss(name: str) -> None:
    X, y, _, _ = real_set("wine")
    model = layers([13, 8, 3])
    trainer = cr.Trainer(model, nn.CrossEntropyLoss(), OPTIMISERS[name](model.parameters()), backend="reference")
    before = trainer.evaluate(X, y)["loss"]
    history = trainer.fit(X, y, epochs=20, progress=False)
    assert trainer.evaluate(X, y)["loss"] < 0.95 * before
    assert history["loss"][-1] < history["loss"][0]


@pytest.mark.parametrize("name", cr.optim.OPTIMIZERS)
def test_docstrings_hold_the_update_equations(name: str) -> None:
    text = cr.optim.OPTIMIZERS[name].__doc__ or ""
    assert "W ← W − " in text


def test_the_equations_of_momentum_and_adam() -> None:
    slopes = [3.0, -1.0, 0.5]
    w_momentum, w_adam = cr.parameter([2.0]), cr.parameter([2.0])
    momentum, adam = cr.optim.SGD([w_momentum], lr=0.1, momentum=0.9), cr.optim.Adam([w_adam], lr=0.1)
    w = [2.0, 2.0]
    velocity = m = v = 0.0
    for t, slope in enumerate(slopes, 1):
        for tensor, optimizer in ((w_momentum, momentum), (w_adam, adam)):
            optimizer.zero_grad()
            (slope * tensor).sum().backward()
            optimizer.step()
        velocity = 0.9 * velocity + slope
        m, v = 0.9 * m + 0.1 * slope, 0.999 * v + 0.001 * slope**2
        w[0] -= 0.1 * velocity
        w[1] -= 0.1 * (m / (1 - 0.9**t)) / (math.sqrt(v / (1 - 0.999**t)) + 1e-8)
    assert [w_momentum.item(), w_adam.item()] == pytest.approx(w, rel=1e-12)
