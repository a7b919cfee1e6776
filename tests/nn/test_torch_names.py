"""PyTorch's names for networks: functions of nn.functional, initialisers in place, lists of layers, schedulers, walks."""

import re

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.errors import ArgumentError, CallError, MissingName
from kept_tables import kept_tables

rng = np.random.default_rng(2)
X, W, BIAS = rng.normal(size=(5, 4)), rng.normal(size=(3, 4)), rng.normal(size=3)
IMAGES, KERNELS = rng.normal(size=(2, 3, 6, 6)), rng.normal(size=(4, 3, 3, 3))
SIGNAL, FILTERS = rng.normal(size=(2, 3, 8)), rng.normal(size=(4, 3, 3))
CLASSES, TARGET = np.array([0, 3, 1, 2, 2]), rng.normal(size=(5, 4))
SHARES = rng.uniform(0.1, 0.9, size=(5, 4))
ROWS = SHARES / SHARES.sum(1, keepdims=True)

CALLS = {
    "avg_pool1d": (lambda F, x: F.avg_pool1d(x, 2), SIGNAL),
    "avg_pool2d": (lambda F, x: F.avg_pool2d(x, 2, padding=1), IMAGES),
    "binary_cross_entropy": (lambda F, x, t: F.binary_cross_entropy(x, t), SHARES, ROWS),
    "binary_cross_entropy_with_logits": (lambda F, x, t: F.binary_cross_entropy_with_logits(x, t), X, SHARES),
    "conv1d": (lambda F, x, w: F.conv1d(x, w, padding=1), SIGNAL, FILTERS),
    "conv2d": (lambda F, x, w: F.conv2d(x, w, stride=2), IMAGES, KERNELS),
    "conv_transpose2d": (lambda F, x, w: F.conv_transpose2d(x, w, stride=2), IMAGES, KERNELS.swapaxes(0, 1)),
    "cross_entropy": (lambda F, x, t: F.cross_entropy(x, t, label_smoothing=0.1), X, CLASSES),
    "dropout": (lambda F, x: F.dropout(x, 0.5, training=False), X),
    "elu": (lambda F, x: F.elu(x, alpha=0.5), X),
    "embedding": (lambda F, w, i: F.embedding(i, w), X, CLASSES),
    "gelu": (lambda F, x: F.gelu(x), X),
    "huber_loss": (lambda F, x, t: F.huber_loss(x, t, delta=0.7), X, TARGET),
    "kl_div": (lambda F, x, t: F.kl_div(x, t, reduction="batchmean"), np.log(ROWS), ROWS[::-1].copy()),
    "l1_loss": (lambda F, x, t: F.l1_loss(x, t), X, TARGET),
    "leaky_relu": (lambda F, x: F.leaky_relu(x, negative_slope=0.2), X),
    "linear": (lambda F, x, w, b: F.linear(x, w, b), X, W, BIAS),
    "log_softmax": (lambda F, x: F.log_softmax(x, dim=1), X),
    "max_pool1d": (lambda F, x: F.max_pool1d(x, 2), SIGNAL),
    "max_pool2d": (lambda F, x: F.max_pool2d(x, 2, 2), IMAGES),
    "mse_loss": (lambda F, x, t: F.mse_loss(x, t, reduction="sum"), X, TARGET),
    "nll_loss": (lambda F, x, t: F.nll_loss(x, t), np.log(ROWS), CLASSES),
    "relu": (lambda F, x: F.relu(x), X),
    "sigmoid": (lambda F, x: F.sigmoid(x), X),
    "silu": (lambda F, x: F.silu(x), X),
    "softmax": (lambda F, x: F.softmax(x, dim=-1), X),
    "softplus": (lambda F, x: F.softplus(x), X),
    "tanh": (lambda F, x: F.tanh(x), X),
}


def test_every_function_is_tried():
    assert set(CALLS) == set(nn.functional.FUNCTIONS)
    assert dir(nn.functional) == sorted(CALLS)


@pytest.mark.parametrize("name", CALLS)
def test_values_and_gradients_are_pytorchs(name):
    torch = pytest.importorskip("torch")
    call, first, *others = CALLS[name]
    x, theirs = cr.parameter(first), torch.tensor(first, requires_grad=True)
    y, z = call(nn.functional, x, *others), call(torch.nn.functional, theirs, *map(torch.tensor, others))
    np.testing.assert_allclose(y.numpy(), z.detach().numpy(), rtol=1e-12, atol=1e-14)
    (g,) = cr.grad((y * y).sum(), [x])
    (z * z).sum().backward()
    np.testing.assert_allclose(g.numpy(), theirs.grad.numpy(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", [name for name in CALLS if name not in ("embedding", "nll_loss", "cross_entropy")])
def test_gradients_pass(name):
    call, *arrays = CALLS[name]
    arrays = arrays[:1] if name.endswith(("loss", "div")) or "cross" in name else arrays
    rest = CALLS[name][1 + len(arrays) :]
    cr.testing.gradcheck(lambda *tensors: call(nn.functional, *tensors, *rest), arrays, order=1)


def test_dropout_in_training_leaves_out_and_scales():
    cr.manual_seed(0)
    y = nn.functional.dropout(np.ones((100, 10)), 0.25).numpy()
    assert set(np.unique(y)) == {0.0, 1.0 / 0.75}


# ------------------------------------------------------------------------------------------------ initialisers
W_SHAPE = (6, 8, 3, 3)
FILLED = {
    "constant_": (0.5,),
    "kaiming_normal_": (),
    "kaiming_uniform_": (5**0.5,),
    "normal_": (1.0, 0.1),
    "ones_": (),
    "orthogonal_": (2.0,),
    "uniform_": (-1.0, 3.0),
    "xavier_normal_": (2.0,),
    "xavier_uniform_": (),
    "zeros_": (),
}


@pytest.mark.parametrize("name", FILLED)
def test_initialisers_in_place_have_pytorchs_distributions(name):
    torch = pytest.importorskip("torch")
    cr.manual_seed(4)
    torch.manual_seed(4)
    w = cr.parameter(np.full((60, 80, 3, 3), 9.0, np.float32))
    assert getattr(nn.init, name)(w, *FILLED[name]) is w
    theirs = getattr(torch.nn.init, name)(torch.empty(60, 80, 3, 3), *FILLED[name]).numpy()
    ours = w.numpy()
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours.mean(), theirs.mean(), atol=0.05 * theirs.std() + 1e-7)
    np.testing.assert_allclose(ours.std(), theirs.std(), rtol=0.03, atol=1e-7)
    if "normal" not in name:
        np.testing.assert_allclose([ours.min(), ours.max()], [theirs.min(), theirs.max()], rtol=0.5, atol=1e-7)


def test_modes_of_kaiming_initialisers():
    w = cr.parameter(np.zeros(W_SHAPE))
    nn.init.kaiming_uniform_(w, mode="fan_out", nonlinearity="relu")
    bound = (6.0 / (6 * 9)) ** 0.5
    assert 0.95 * bound < np.abs(w.numpy()).max() <= bound
    with pytest.raises(ArgumentError, match="the modes are fan_in and fan_out, the nonlinearities leaky_relu, linear, relu"):
        nn.init.kaiming_normal_(w, nonlinearity="selu")


# ------------------------------------------------------------------------------------------------ modules
class _Blocks(nn.Module):
    def __init__(self, count=2):
        self.count = count
        self.layers = nn.ModuleList([nn.Linear(3, 3, dtype="float64") for _ in range(count)])
        self.heads = nn.ModuleDict({"a": nn.Linear(3, 1, dtype="float64"), "b": nn.Linear(3, 2, dtype="float64")})

    def forward(self, x):
        for layer in self.layers:
            x = cr.tanh(layer(x))
        return self.heads["b"](x)


def test_lists_and_dicts_of_layers_are_parts():
    model = _Blocks()
    names = [name for name, _ in model.named_parameters()]
    assert names == [f"{n}.{k}" for n in ("layers.0", "layers.1", "heads.a", "heads.b") for k in ("weight", "bias")]
    other = _Blocks()
    other.load_state_dict(model.state_dict())
    np.testing.assert_array_equal(other(X[:, :3]).numpy(), model(X[:, :3]).numpy())
    np.testing.assert_allclose(model.predict(X[:, :3], backend="reference"), model(X[:, :3]).numpy(), rtol=1e-12)
    model.eval()
    assert not any(module.training for module in model.modules())


def test_a_model_with_lists_of_layers_is_saved_and_loaded(tmp_path):
    with kept_tables():
        cr.extend.layer(_Blocks)
        model = _Blocks(3)
        cr.save_model(model, tmp_path / "model")
        loaded, _ = cr.load_model(tmp_path / "model")
    assert len(loaded.layers) == 3
    np.testing.assert_array_equal(loaded(X[:, :3]).numpy(), model(X[:, :3]).numpy())
    assert "layers.2" in str(cr.summary(model, (3,)))


def test_a_list_of_layers_is_a_list():
    first, second, third = nn.Linear(2, 2), nn.ReLU(), nn.Tanh()
    layers = nn.ModuleList([first])
    assert layers.append(second).extend([third]) is layers
    assert (len(layers), list(layers), layers[-1], layers[1:]) == (3, [first, second, third], third, [second, third])
    layers[0] = third
    assert layers[0] is third
    with pytest.raises(CallError, match=re.escape("Write nn.ModuleList([layer for layer in layers if …]).")):
        del layers[0]
    with pytest.raises(ArgumentError, match="layer 3 of a ModuleList was asked for; it has 3"):
        _ = layers[3]
    with pytest.raises(ArgumentError, match="it is made of Modules"):
        layers.append(3)
    with pytest.raises(ArgumentError, match="it takes a list of Modules"):
        nn.ModuleList(3)
    with pytest.raises(CallError, match="a ModuleList was called"):
        layers([1.0])


def test_a_dict_of_layers_is_a_dict():
    relu, tanh = nn.ReLU(), nn.Tanh()
    layers = nn.ModuleDict({"relu": relu})
    layers["tanh"] = tanh
    assert (list(layers), layers.keys(), layers.values(), layers.items()) == (
        ["relu", "tanh"],
        ["relu", "tanh"],
        [relu, tanh],
        [("relu", relu), ("tanh", tanh)],
    )
    assert "tanh" in layers
    assert "gelu" not in layers
    assert len(layers) == 2
    with pytest.raises(ArgumentError, match="the layer 'gelu' of a ModuleDict was asked for; its layers are relu, tanh"):
        _ = layers["gelu"]
    for name in ("forward", "a.b", 3, "keys"):
        with pytest.raises(ArgumentError, match="its name is an identifier"):
            layers[name] = relu
    with pytest.raises(ArgumentError, match="it takes a dict of Modules"):
        nn.ModuleDict([relu])
    with pytest.raises(CallError, match="a ModuleDict was called"):
        layers([1.0])


def test_walks_through_a_model():
    model = nn.Sequential(nn.Linear(3, 2), nn.Sequential(nn.ReLU()))
    assert list(model.modules()) == [module for _, module in model.named_modules()]
    assert dict(model.named_children()) == model.children()
    seen = []
    assert model.apply(seen.append) is model
    assert seen == [model[0], model[1][0], model[1], model]
    model.apply(lambda m: nn.init.ones_(m.weight) if isinstance(m, nn.Linear) else None)
    assert set(np.unique(model[0].weight.numpy())) == {1.0}


def test_gradients_and_freezing():
    model = nn.Linear(3, 2)
    model(X[:, :3].astype(np.float32)).sum().backward()
    model.zero_grad()
    assert [p.grad for p in model.parameters()] == [None, None]
    assert model.requires_grad_(False) is model
    assert [p.requires_grad for p in model.parameters()] == [False, False]
    assert [p.requires_grad for p in model.requires_grad_().parameters()] == [True, True]


def test_registering():
    model = nn.Module()
    model.register_parameter("scale", nn.Parameter([1.0]))
    model.register_buffer("shift", cr.tensor([0.0]))
    model.add_module("layer", nn.Linear(1, 1))
    assert sorted(model.state_dict()) == ["layer.bias", "layer.weight", "scale", "shift"]
    assert [name for name, _ in model.named_buffers()] == ["shift"]
    with pytest.raises(ArgumentError, match="register_parameter takes a parameter, register_buffer another Tensor"):
        model.register_buffer("b", cr.parameter([1.0]))
    with pytest.raises(ArgumentError, match="was given a list as 'c'"):
        model.register_parameter("c", [1.0])
    with pytest.raises(ArgumentError, match="add_module got"):
        model.add_module("d", cr.tensor([1.0]))


# ------------------------------------------------------------------------------------------------ schedules
@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("StepLR", {"step_size": 2, "gamma": 0.5}),
        ("ExponentialLR", {"gamma": 0.9}),
        ("CosineAnnealingLR", {"T_max": 6}),
    ],
)
def test_schedulers_are_written_as_in_pytorch(name, settings):
    torch = pytest.importorskip("torch")
    ours = optim.SGD(nn.Linear(1, 1).parameters(), lr=0.3)
    theirs = torch.optim.SGD(torch.nn.Linear(1, 1).parameters(), lr=0.3)
    schedulers = (
        getattr(optim.lr_scheduler, name)(ours, **settings),
        getattr(torch.optim.lr_scheduler, name)(theirs, **settings),
    )
    for _ in range(5):
        np.testing.assert_allclose(ours.lr, theirs.param_groups[0]["lr"], rtol=1e-6)
        theirs.step()
        for scheduler in schedulers:
            scheduler.step()


def test_schedulers_that_there_are():
    assert set(dir(optim.lr_scheduler)) == {*optim.SCHEDULES, "Scheduler"}
    with pytest.raises(MissingName, match=re.escape("Did you mean StepLR?")):
        _ = optim.lr_scheduler.StpLR
