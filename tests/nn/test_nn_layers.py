"""Every layer: gradients against differences, values and gradients against PyTorch, captured against eager."""

from __future__ import annotations

import inspect
import json
import re
from itertools import pairwise

import nn_cases
import numpy as np
import pytest
from nn_cases import F64, LAYER_CASES, LayerCase

import chainrule as cr
from chainrule import nn
from chainrule.testing import gradcheck

CASES = [pytest.param(c, id=f"{k}-{c.name}") for k, c in enumerate(LAYER_CASES)]
TRAINABLE = [p for p, c in zip(CASES, LAYER_CASES, strict=True) if c.name != "Step"]


def made(case: LayerCase) -> nn.Module:
    """The layer of a case with random parameters, those of normalisation included."""
    cr.manual_seed(3)
    layer = case.make()
    rng = np.random.default_rng(5)
    for p in layer.parameters():
        p.assign(p.numpy() + 0.1 * rng.normal(size=p.shape))
    return layer


def call_with(layer: nn.Module, x: cr.Tensor, values: dict[str, cr.Tensor]) -> cr.Tensor:
    """The layer's output with other Tensors in the place of its parameters."""
    modules = dict(layer.named_modules())
    places = [(modules[path], attribute) for path, _, attribute in (name.rpartition(".") for name in values)]
    old = [getattr(module, attribute) for module, attribute in places]
    try:
        for (module, attribute), value in zip(places, values.values(), strict=True):
            vars(module)[attribute] = value  # past the check that a parameter is not replaced by a plain Tensor
        cr.manual_seed(0)
        return layer(x)
    finally:
        for (module, attribute), value in zip(places, old, strict=True):
            vars(module)[attribute] = value  # past the check that a parameter is not replaced by a plain Tensor


def test_every_layer_has_a_case():
    assert {c.name for c in LAYER_CASES} == set(nn.LAYERS)
    without = {c.name for c in LAYER_CASES if c.torch is None}
    assert without == set(nn_cases.NO_LAYER_COUNTERPART)


def test_every_layer_is_exported():
    assert set(nn.LAYERS) <= set(nn.__all__)
    assert all(hasattr(nn, name) for name in nn.__all__)


@pytest.mark.parametrize("case", TRAINABLE)
@pytest.mark.parametrize("mode", [True, False], ids=["train", "eval"])
def test_gradcheck(case: LayerCase, mode: bool):
    layer = made(case).train(mode)
    names = [name for name, _ in layer.named_parameters()]

    def function(x: cr.Tensor, *values: cr.Tensor) -> cr.Tensor:
        return call_with(layer, x, dict(zip(names, values, strict=True))) * 1.0

    gradcheck(function, [case.input(), *(p.numpy() for p in layer.parameters())], order=2)


def outputs_and_gradients(layer: nn.Module, x: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
    point = cr.tensor(x, requires_grad=x.dtype.kind == "f")
    y = layer(point)
    (y * upstream(y.shape)).sum().backward()
    wrt = [point, *layer.parameters()] if point.requires_grad else layer.parameters()
    return y.numpy(), [w.grad.numpy() for w in wrt]


def upstream(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(1).normal(size=shape)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths:UserWarning")
@pytest.mark.parametrize("case", [p for p, c in zip(CASES, LAYER_CASES, strict=True) if c.torch is not None])
@pytest.mark.parametrize("mode", [True, False], ids=["train", "eval"])
def test_equals_torch(case: LayerCase, mode: bool):
    torch = pytest.importorskip("torch", reason="values are compared with PyTorch's")
    layer, other = made(case).train(mode), case.torch(torch).train(mode)
    missing, unexpected = other.load_state_dict({k: torch.tensor(v) for k, v in layer.state_dict().items()}, strict=False)
    assert not unexpected and all(name.endswith("num_batches_tracked") for name in missing)

    x = torch.tensor(case.input(), requires_grad=case.integers is None)
    y = other(x)
    (y * torch.tensor(upstream(tuple(y.shape)))).sum().backward()
    wrt = [x, *other.parameters()] if x.requires_grad else list(other.parameters())

    value, gradients = outputs_and_gradients(layer, case.input())
    np.testing.assert_allclose(value, y.detach().numpy(), rtol=1e-10, atol=1e-10)
    for ours, theirs in zip(gradients, wrt, strict=True):
        np.testing.assert_allclose(ours, theirs.grad.numpy(), rtol=1e-10, atol=1e-10)
    for name, buffer in layer.named_buffers():
        np.testing.assert_allclose(buffer.numpy(), dict(other.named_buffers())[name].numpy(), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", sorted(nn.LAYERS))
def test_settings_have_torch_defaults(name: str):
    """Settings that PyTorch's layer of the same name has too have its defaults."""
    torch = pytest.importorskip("torch", reason="defaults are compared with PyTorch's")
    other = getattr(torch.nn, name, None)
    if other is None or name in ("Softmax", "LogSoftmax"):  # there dim=None is deprecated, and gives a warning
        return
    theirs = {k: p.default for k, p in inspect.signature(other).parameters.items()}
    for setting, parameter in inspect.signature(nn.LAYERS[name]).parameters.items():
        if setting in theirs and setting not in ("dtype", "layers"):
            assert parameter.default == theirs[setting], setting


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("mode", [True, False], ids=["train", "eval"])
def test_captured_equals_eager(case: LayerCase, mode: bool):
    eager, captured = made(case).train(mode), made(case).train(mode)
    learns = bool(eager.parameters())

    def run(layer: nn.Module, x: cr.Tensor) -> list[cr.Tensor]:
        y = layer(x)
        if not learns:
            return [y]
        (y * upstream(y.shape)).sum().backward()
        return [y, *(p.grad for p in layer.parameters())]

    x = case.input()
    compiled = cr.compile(lambda t: run(captured, t))
    for _ in range(2):  # twice, so that state that moved on is seen
        cr.manual_seed(9)
        for p in eager.parameters():
            p.grad = None
        expected = [t.numpy() for t in run(eager, cr.tensor(x))]
        cr.manual_seed(9)
        for a, b in zip(compiled(x), expected, strict=True):
            np.testing.assert_allclose(a.numpy(), b, rtol=1e-12, atol=1e-12)
    for a, b in zip(captured.buffers(), eager.buffers(), strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_config_and_state_round_trip(case: LayerCase):
    layer = made(case)
    config = json.loads(json.dumps(nn.to_config(layer)))
    again = nn.from_config(config)
    again.load_state_dict(layer.state_dict())
    assert repr(again) == repr(layer)
    assert nn.to_config(again) == config
    x = case.input()
    np.testing.assert_array_equal(again.eval()(x).numpy(), layer.eval()(x).numpy())


@pytest.mark.parametrize("case", CASES)
def test_float32_stays_float32(case: LayerCase):
    config = json.loads(json.dumps(nn.to_config(case.make())).replace("float64", "float32"))
    x = case.input()
    layer = nn.from_config(config)
    y = layer(x if case.integers else x.astype(np.float32))
    assert y.dtype == np.float32
    assert all(t.dtype == np.float32 for t in [*layer.parameters(), *layer.buffers()])


# -------------------------------------------------------------------------------------------- layers of their own kind
def test_step_is_heaviside_and_cannot_be_trained():
    model = nn.Sequential(nn.Linear(2, 1), nn.Step())
    x = cr.tensor([[-1.0, 0.0, 2.0]])
    np.testing.assert_array_equal(nn.Step()(x).numpy(), [[0.0, 0.5, 1.0]])
    with pytest.raises(cr.errors.GradientError, match=r"no gradient passes through step: .*sigmoid"):
        model(np.ones((1, 2), np.float32)).sum().backward()


def test_batch_norm_running_statistics_equal_torch():
    torch = pytest.importorskip("torch", reason="running statistics are compared with PyTorch's")
    rng = np.random.default_rng(0)
    ours, theirs = nn.BatchNorm1d(3, momentum=0.2, **F64), torch.nn.BatchNorm1d(3, momentum=0.2).double()
    for _ in range(5):
        x = rng.normal(2.0, 3.0, size=(7, 3))
        ours(x)
        theirs(torch.tensor(x))
    np.testing.assert_allclose(ours.running_mean.numpy(), theirs.running_mean.numpy(), rtol=1e-12)
    np.testing.assert_allclose(ours.running_var.numpy(), theirs.running_var.numpy(), rtol=1e-12)
    before = ours.state_dict()
    x = rng.normal(size=(1, 3))
    np.testing.assert_allclose(ours.eval()(x).numpy(), theirs.eval()(torch.tensor(x)).detach().numpy(), rtol=1e-12)
    np.testing.assert_array_equal(ours.state_dict()["running_mean"], before["running_mean"])


def test_batch_norm_statistics_are_state_of_a_compiled_function():
    layer = nn.BatchNorm1d(2, **F64)
    compiled = cr.compile(layer)
    x = np.array([[1.0, 2.0], [3.0, 6.0]])
    compiled(x)
    np.testing.assert_allclose(layer.running_mean.numpy(), [0.2, 0.4])
    np.testing.assert_allclose(layer.running_var.numpy(), [0.9 + 0.2, 0.9 + 0.8])
    compiled(x)
    np.testing.assert_allclose(layer.running_mean.numpy(), [0.38, 0.76])


def test_dropout_statistics_and_eval():
    cr.manual_seed(0)
    layer = nn.Dropout(0.3)
    x = np.ones((400, 100))
    y = layer(x).numpy()
    assert set(np.unique(y)) == {0.0, 1.0 / 0.7}
    # 40,000 draws: the share of zeros has a standard deviation of 0.0023.
    assert abs(np.mean(y == 0.0) - 0.3) < 0.01
    assert not np.array_equal(layer(x).numpy(), y)
    np.testing.assert_array_equal(layer.eval()(x).numpy(), x)
    np.testing.assert_array_equal(nn.Dropout(0.0)(x).numpy(), x)


def test_dropout_gradient_passes_where_kept():
    x = cr.tensor(np.ones(1000), requires_grad=True)
    y = nn.Dropout(0.5)(x)
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), y.numpy())


def test_dropout_follows_the_seed():
    def draw() -> np.ndarray:
        cr.manual_seed(4)
        return nn.Dropout()(np.ones(50)).numpy()

    np.testing.assert_array_equal(draw(), draw())


def test_linear_runs_as_the_affine_block():
    y = nn.Linear(3, 2)(np.ones((4, 3), np.float32))
    assert y.node.op == "affine"


@pytest.mark.parametrize("name", ["ReLU", "LeakyReLU", "ELU", "GELU", "SiLU", "Sigmoid", "Tanh", "Softplus", "Softmax"])
@pytest.mark.parametrize("units", [(3,), (4, 2), (5, 3, 2)], ids=str)
def test_bias_is_a_weight_on_a_constant_input(name: str, units: tuple[int, ...]):
    """K layers with N_k units, any activation: with the biases, or with one more weight on an input that is always 1."""
    rng = np.random.default_rng(len(units))
    sizes = (4, *units)
    layers = [nn.Linear(a, b, **F64) for a, b in pairwise(sizes)]
    joined = [cr.parameter(np.column_stack([layer.weight.numpy(), layer.bias.numpy()])) for layer in layers]
    activation = getattr(nn, name)()
    x = cr.tensor(rng.normal(size=(6, 4)))

    model = nn.Sequential(*(m for layer in layers for m in (layer, activation)))
    y = model(x)
    a = x
    for W in joined:
        a = activation(cr.concatenate([a, np.ones((6, 1))], axis=1) @ W.T)
    assert y.shape == (6, units[-1])
    np.testing.assert_allclose(y.numpy(), a.numpy(), rtol=1e-13)

    (y**2).sum().backward()
    (a**2).sum().backward()
    for layer, W in zip(layers, joined, strict=True):
        np.testing.assert_allclose(layer.weight.grad.numpy(), W.grad.numpy()[:, :-1], rtol=1e-10, atol=1e-13)
        np.testing.assert_allclose(layer.bias.grad.numpy(), W.grad.numpy()[:, -1], rtol=1e-10, atol=1e-13)


# -------------------------------------------------------------------------------------------- wrong use
X = np.ones((2, 5), np.float32)
IMAGE = np.ones((2, 3, 8, 8), np.float32)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (
            lambda: nn.Linear(4, 2)(X),
            cr.errors.ShapeError,
            "Linear(in_features=4, out_features=2) got an input of shape (2, 5); "
            "its last axis must have in_features = 4 elements. Check the number of features, or put nn.Flatten() before it.",
        ),
        (lambda: nn.Linear(0, 2), cr.errors.ArgumentError, "Linear got in_features=0; it must be an integer ≥ 1."),
        (lambda: nn.Linear(2.5, 2), cr.errors.ArgumentError, "Linear got in_features=2.5; it must be an integer ≥ 1."),
        (
            lambda: nn.Linear(2, 2, dtype="int64"),
            cr.errors.DTypeError,
            "Linear got dtype=int64; parameters are float32 or float64.",
        ),
        (lambda: nn.Linear(2, 2, init="hee"), cr.errors.ArgumentError, "init='hee' was given; the initialisers are zeros, "),
        (
            lambda: nn.Linear(2, 3, init=np.ones((2, 3))),
            cr.errors.ShapeError,
            "init gave an array of shape (2, 3); the parameter has the shape (3, 2).",
        ),
        (
            lambda: nn.Conv2d(1, 4, 3)(IMAGE),
            cr.errors.ShapeError,
            "got an input of shape (2, 3, 8, 8); it takes (batch, channels, height, width) with in_channels = 1 channels.",
        ),
        (lambda: nn.Conv1d(3, 4, 3)(IMAGE), cr.errors.ShapeError, "it takes (batch, channels, length) with in_channels = 3"),
        (
            lambda: nn.Conv2d(3, 4, 9)(IMAGE),
            cr.errors.ShapeError,
            "the kernel with its dilation must fit into the padded input",
        ),
        (lambda: nn.Conv2d(3, 4, 3, groups=2), cr.errors.ArgumentError, "both channels must be multiples of groups"),
        (lambda: nn.Conv2d(3, 4, (3, 3, 3)), cr.errors.ArgumentError, "Conv2d got kernel_size=(3, 3, 3)"),
        (
            lambda: nn.Conv2d(3, 4, "3"),
            cr.errors.ArgumentError,
            "Conv2d got kernel_size='3'; it takes an integer, or one per spatial axis.",
        ),
        (
            lambda: nn.Conv2d(3, 4, 3, padding="full"),
            cr.errors.ArgumentError,
            "padding='full'; it takes numbers, 'same' or 'valid'.",
        ),
        (
            lambda: nn.Conv2d(3, 4, 3, stride=2, padding="same"),
            cr.errors.ArgumentError,
            "padding='same' with stride=2; the stride must be 1.",
        ),
        (lambda: nn.MaxPool2d(2, padding=2), cr.errors.ArgumentError, "padding may be at most half the window"),
        (
            lambda: nn.MaxPool1d(2)(IMAGE),
            cr.errors.ShapeError,
            "MaxPool1d(kernel_size=2) got an input of shape (2, 3, 8, 8); it takes (batch, channels, length).",
        ),
        (
            lambda: nn.BatchNorm1d(4)(X),
            cr.errors.ShapeError,
            "it takes (n, channels) or (n, channels, length) with num_features = 4 channels.",
        ),
        (
            lambda: nn.BatchNorm1d(5)(X[:1]),
            cr.errors.ShapeError,
            "the variance needs more than one value per channel.",
        ),
        (lambda: nn.BatchNorm2d(5, eps=0.0), cr.errors.ArgumentError, "BatchNorm2d got eps=0.0 and momentum=0.1"),
        (
            lambda: nn.LayerNorm(4)(X),
            cr.errors.ShapeError,
            "LayerNorm(normalized_shape=[4]) got an input of shape (2, 5); its last axes must be (4,).",
        ),
        (lambda: nn.LayerNorm((2, 3, 5))(X), cr.errors.ShapeError, "its last axes must be (2, 3, 5)"),
        (lambda: nn.LayerNorm(()), cr.errors.ArgumentError, "it takes at least one axis"),
        (lambda: nn.Embedding(4, 2)(X), cr.errors.DTypeError, "integer"),
        (lambda: nn.Embedding(4, 2)(np.array([4])), cr.errors.ArgumentError, "4"),
        (lambda: nn.Flatten()(np.ones(3)), cr.errors.ShapeError, "Flatten() got an input of shape (3,)"),
        (lambda: nn.Dropout("half"), cr.errors.ArgumentError, "Dropout got p='half'; it must be a number."),
        (lambda: nn.LeakyReLU(None), cr.errors.ArgumentError, "LeakyReLU got negative_slope=None; it must be a number."),
        (lambda: nn.Linear(1, 1, init=[["a"]]), cr.errors.ArgumentError, "init=[['a']] was given; it is a name, a function, "),
        (lambda: nn.Dropout(1.0), cr.errors.ArgumentError, "Dropout got p=1.0; it is a probability with 0 ≤ p < 1."),
        (
            lambda: nn.Residual(nn.Linear(5, 2))(X),
            cr.errors.ShapeError,
            "Residual got (2, 2) from its inner Module and (2, 5) past it",
        ),
        (lambda: nn.Sequential(nn.Linear(2, 2), nn.ReLU), cr.errors.ArgumentError, "Write nn.ReLU(...) with its settings."),
        (lambda: nn.Sequential([nn.ReLU()]), cr.errors.ArgumentError, "it is made of Modules"),
    ],
)
def test_wrong_use(call, error, text):
    with pytest.raises(error, match=re.escape(text)):
        call()
