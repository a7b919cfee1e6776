"""Module: registration, names, state, modes, configuration, summary."""

from __future__ import annotations

import copy
import json
import operator
import pickle
import re
from contextlib import nullcontext

import numpy as np
import pytest

import chainrule as cr
from chainrule import extend, nn, optim
from chainrule.errors import ArgumentError, DTypeError


class Scaled(nn.Module):
    """A layer of a user: parameters, a buffer, a child that it makes itself."""

    def __init__(self, features: int, scale: float = 2.0) -> None:
        self.features, self.scale = features, scale
        self.gain = cr.parameter(np.ones(features))
        self.seen = cr.tensor(np.zeros(()))
        self.inner = nn.Linear(features, features, dtype="float64")

    def forward(self, x: cr.Tensor) -> cr.Tensor:
        return self.inner(x) * self.gain * self.scale


class Pair(nn.Module):
    """A layer of a user that is given its children."""

    def __init__(self, left: nn.Module, right: nn.Module) -> None:
        self.left, self.right = left, right

    def forward(self, x: cr.Tensor) -> cr.Tensor:
        return self.left(x) + self.right(x)


@pytest.fixture
def registered():
    extend.layer(Scaled)
    extend.layer(Pair)
    yield
    del nn.LAYERS["Scaled"], nn.LAYERS["Pair"]


def test_attributes_are_registered_in_order():
    model = nn.Sequential(Scaled(3), nn.ReLU(), nn.BatchNorm1d(3))
    assert [name for name, _ in model.named_parameters()] == [
        "0.gain",
        "0.inner.weight",
        "0.inner.bias",
        "2.weight",
        "2.bias",
    ]
    assert [name for name, _ in model.named_buffers()] == ["0.seen", "2.running_mean", "2.running_var"]
    assert [name for name, _ in model.named_modules()] == ["", "0", "0.inner", "1", "2"]
    assert list(model.state_dict()) == [
        "0.gain",
        "0.seen",
        "0.inner.weight",
        "0.inner.bias",
        "2.weight",
        "2.bias",
        "2.running_mean",
        "2.running_var",
    ]
    assert all(p.requires_grad for p in model.parameters()) and len(model.parameters()) == 5
    assert not any(b.requires_grad for b in model.buffers()) and len(model.buffers()) == 3


def test_parameters_are_named_by_their_path():
    model = nn.Sequential(nn.Sequential(nn.Linear(2, 2)), nn.Linear(2, 1))
    assert [p.name for p in model.parameters()] == ["0.0.weight", "0.0.bias", "1.weight", "1.bias"]
    model[1].weight.assign(np.zeros((1, 2)))
    assert model[1].weight.name == "1.weight"


def test_a_part_put_in_later_is_named_on_request():
    model = nn.Sequential(nn.Residual(nn.Identity()))
    model[0].inner = nn.Linear(2, 2)
    model.name_parameters()
    assert [p.name for p in model.parameters()] == ["0.inner.weight", "0.inner.bias"]


def test_names_of_the_user_stay():
    layer = nn.Linear(2, 2)
    layer.weight.named("W1")
    shared = cr.parameter([1.0], name="b")
    layer.bias = shared
    model = nn.Sequential(nn.Sequential(layer))
    assert [p.name for p in model.parameters()] == ["W1", "b"]
    assert [name for name, _ in model.named_parameters()] == ["0.0.weight", "0.0.bias"]


def test_shared_parameters_are_listed_once():
    first, second = nn.Linear(2, 2), nn.Linear(2, 2)
    second.weight = first.weight
    layer = nn.ReLU()
    model = nn.Sequential(first, layer, second, layer)
    assert [name for name, _ in model.named_parameters()] == ["0.weight", "0.bias", "2.bias"]
    assert [name for name, _ in model.named_modules()] == ["", "0", "1", "2"]


def test_a_frozen_parameter_is_a_parameter_still():
    layer = nn.BatchNorm1d(2)
    layer.weight.requires_grad = False
    assert [name for name, _ in layer.named_parameters()] == ["weight", "bias"]
    assert [name for name, _ in layer.named_buffers()] == ["running_mean", "running_var"]
    assert list(layer.state_dict()) == ["weight", "bias", "running_mean", "running_var"]
    text = str(nn.summary(nn.Sequential(layer), (2,)))
    assert text.endswith("4 parameters, 2 of them frozen, 4 in buffers; 32 bytes")
    assert "0 BatchNorm1d  (1, 2)                 4" in text


def test_freezing_stops_the_gradient_and_releasing_brings_it_back():
    layer, x = nn.Linear(2, 1), np.ones((3, 2), np.float32)
    layer.weight.requires_grad = False
    layer(x).sum().backward()
    assert layer.weight.grad is None and layer.bias.grad is not None
    layer.weight.assign(np.zeros((1, 2)))
    layer.weight.requires_grad = True
    layer(x).sum().backward()
    assert layer.weight.grad.tolist() == [[3.0, 3.0]]
    layer.weight.requires_grad = False  # what backward left before is no reason to move it
    before = layer.weight.numpy()
    optim.SGD(layer.parameters(), lr=0.1, weight_decay=0.1).step()
    np.testing.assert_array_equal(layer.weight.numpy(), before)


def test_integers_cannot_ask_for_a_gradient():
    with pytest.raises(DTypeError, match="a gradient was asked for a Tensor of dtype int64; only floating Tensors"):
        cr.tensor([1]).requires_grad = True


@pytest.mark.parametrize("value", [np.ones((2, 2)), [[1.0, 2.0], [3.0, 4.0]], 0.5], ids=["array", "list", "number"])
@pytest.mark.parametrize("layer, name", [("Linear", "weight"), ("BatchNorm1d", "running_mean")])
def test_a_tensor_is_not_replaced_by_something_else(layer, name, value):
    module = getattr(nn, layer)(*[2] * (1 + (layer == "Linear")))
    before = list(module.state_dict())
    with pytest.raises(ArgumentError, match=rf"{layer}.{name} was set to a .*Write .{name}.assign\(values\)"):
        setattr(module, name, value)
    assert list(module.state_dict()) == before
    setattr(module, name, cr.parameter(np.ones(2)))
    setattr(module, name, None)


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("recorded", [False, True])
@pytest.mark.parametrize(
    "make", [lambda w: w * 0.1, lambda w: cr.tensor(w.numpy()), lambda w: w.detach()], ids=["product", "copy", "detached"]
)
def test_a_parameter_is_not_replaced_by_a_tensor_that_is_not_learnt(make, recorded, frozen):
    layer = nn.Linear(2, 1)
    layer.weight.requires_grad = not frozen
    text = r"Linear.weight was set to a Tensor that is no parameter; it is a parameter, .*Write .weight.assign\(values\)"
    with nullcontext() if recorded else cr.no_grad(), pytest.raises(ArgumentError, match=text):
        layer.weight = make(layer.weight)
    assert [name for name, _ in layer.named_parameters()] == ["weight", "bias"]
    layer.weight = cr.parameter(make(layer.weight))
    assert [name for name, _ in layer.named_parameters()] == ["weight", "bias"]


def test_a_buffer_is_replaced_by_any_tensor():
    layer = nn.BatchNorm1d(2)
    layer.running_mean = layer.running_mean + 1.0
    layer.running_mean = cr.parameter(np.ones(2))


IN_PLACE = {
    "+": operator.iadd,
    "-": operator.isub,
    "*": operator.imul,
    "/": operator.itruediv,
    "**": operator.ipow,
    "@": operator.imatmul,
}


@pytest.mark.parametrize("sign", IN_PLACE)
@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("recorded", [False, True])
def test_a_parameter_is_not_rebound_in_place(sign, frozen, recorded):
    w = cr.parameter([1.0, 2.0], name="w")
    w.requires_grad = not frozen
    message = re.escape(f"w {sign}= … was written for the Tensor 'w', a parameter") + r".*Write w.assign\(w " + re.escape(sign)
    with nullcontext() if recorded else cr.no_grad(), pytest.raises(ArgumentError, match=message):
        IN_PLACE[sign](w, np.ones(2))
    assert w.tolist() == [1.0, 2.0]


def test_other_names_are_rebound_in_place():
    total = cr.tensor([1.0, 2.0])
    kept = total
    total += cr.parameter([1.0, 1.0]) * 2.0
    total -= 1.0
    total **= 2
    assert (total.tolist(), kept.tolist()) == ([4.0, 9.0], [1.0, 2.0])


def test_a_layers_parameter_is_not_changed_in_place():
    layer = nn.Sequential(nn.Linear(2, 1))
    with pytest.raises(ArgumentError, match=r"was written for the Tensor '0.weight', a parameter.*w.assign\(w - …\)"):
        layer[0].weight -= 0.1


def test_modes_reach_every_module():
    model = nn.Sequential(nn.Residual(nn.Dropout()), nn.Dropout())
    assert all(m.training for _, m in model.named_modules())
    assert model.eval() is model
    assert not any(m.training for _, m in model.named_modules())
    model.train()
    assert all(m.training for _, m in model.named_modules())


def test_calling_with_an_array():
    y = nn.Linear(2, 1, init=[[1.0, 2.0]], bias_init=0.5)(np.array([[3.0, 4.0]]))
    assert y.item() == 11.5


def test_sequential_is_a_sequence():
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    assert len(model) == 2 and isinstance(model[1], nn.ReLU) and model[-1] is model[1] and next(iter(model)) is model[0]
    x = np.ones((1, 2))
    np.testing.assert_array_equal(nn.Sequential()(x).numpy(), x)


def test_a_list_of_layers_is_refused():
    class Stack(nn.Module):
        def __init__(self) -> None:
            self.layers = [nn.ReLU()]

    with pytest.raises(
        cr.errors.ArgumentError, match=re.escape("Write self.layers = nn.ModuleList(layers), or nn.Sequential(*layers).")
    ):
        Stack()


def test_a_module_without_forward():
    class Empty(nn.Module):
        pass

    with pytest.raises(
        cr.errors.ArgumentError, match=r"Empty was called but does not define forward.*def forward\(self, x\) in Empty"
    ):
        Empty()(np.ones(2))


def test_repr_is_readable():
    model = nn.Sequential(
        nn.Linear(4, 3, bias=False), nn.Residual(nn.Sequential(nn.Conv2d(1, 1, (3, 1), padding="same"))), nn.ReLU()
    )
    assert repr(model) == (
        "Sequential(\n"
        "  (0): Linear(in_features=4, out_features=3, bias=False)\n"
        "  (1): Residual(\n"
        "    (inner): Sequential(\n"
        "      (0): Conv2d(in_channels=1, out_channels=1, kernel_size=[3, 1], padding='same')\n"
        "    )\n"
        "  )\n"
        "  (2): ReLU()\n"
        ")"
    )
    assert repr(Scaled(3)) == "Scaled(features=3\n  (inner): Linear(in_features=3, out_features=3, dtype='float64')\n)"


def test_repr_of_a_module_that_cannot_be_written_down():
    class Odd(nn.Module):
        def __init__(self, function) -> None:
            self.function = function

    assert repr(Odd(len)) == "Odd()"


# -------------------------------------------------------------------------------------------- state
def test_state_dict_round_trip_is_exact_and_a_copy():
    cr.manual_seed(0)
    first = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    second = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    first(np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32))
    state = first.state_dict()
    second.load_state_dict(state)
    for name, array in second.state_dict().items():
        np.testing.assert_array_equal(array, state[name])
    state["0.weight"][:] = 7.0
    assert not (first.state_dict()["0.weight"] == 7.0).any()
    assert not (second.state_dict()["0.weight"] == 7.0).any()


def test_load_state_dict_names_every_problem_and_loads_nothing():
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    before = model.state_dict()
    state = model.state_dict() | {"0.weight": np.zeros((3, 2)), "1.weight": np.zeros((3, 1)), "2.weight": np.zeros(1)}
    state["1.bias"] = np.array([1j])
    del state["0.bias"]
    text = (
        "the state does not fit this Sequential: missing 0.bias [3]; unexpected 2.weight; 1.weight has the shape [3, 1] where "
        "the model has [1, 3]; 1.bias has the dtype complex128 where the model has float32; every parameter and buffer needs "
        "one entry of its shape."
    )
    with pytest.raises(cr.errors.ArgumentError, match=re.escape(text)):
        model.load_state_dict(state)
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


# -------------------------------------------------------------------------------------------- configuration
def test_registered_layers_of_a_user_round_trip(registered):
    model = nn.Sequential(Scaled(3, scale=0.5), Pair(nn.Linear(3, 2, dtype="float64"), Scaled(3)), nn.Flatten())
    model[1].right = nn.Linear(3, 2, dtype="float64")
    config = json.loads(json.dumps(nn.to_config(model)))
    assert config["children"]["0"] == {"layer": "Scaled", "features": 3, "scale": 0.5}
    again = nn.from_config(config)
    again.load_state_dict(model.state_dict())
    x = np.ones((2, 3))
    np.testing.assert_array_equal(again(x).numpy(), model(x).numpy())
    assert isinstance(again[1], Pair)


def test_a_layer_that_is_not_registered():
    with pytest.raises(
        cr.errors.ArgumentError,
        match=re.escape(
            "the layer Scaled is not known to chainrule; a saved model holds no code, so every layer in it must be in "
            "chainrule.nn.LAYERS. Decorate the class with @extend.layer, or load its state_dict into a Scaled built by "
            "your own code."
        ),
    ):
        nn.to_config(nn.Sequential(Scaled(3)))


def test_a_registered_layer_that_forgets_an_argument():
    class Forgetful(nn.Module):
        def __init__(self, size: int) -> None:
            pass

    extend.layer(Forgetful)
    try:
        with pytest.raises(cr.errors.ArgumentError, match=re.escape("Write self.size = size in Forgetful.__init__")):
            nn.to_config(Forgetful(3))
        layer = Forgetful(3)
        layer.size = len
        with pytest.raises(cr.errors.ArgumentError, match="the setting size of Forgetful is a builtin_function_or_method"):
            nn.to_config(layer)
    finally:
        del nn.LAYERS["Forgetful"]


def test_a_name_belongs_to_one_class():
    class Linear(nn.Module):
        pass

    with pytest.raises(
        cr.errors.ArgumentError, match=r"a second layer named Linear was registered; the name belongs to chainrule\.nn"
    ):
        extend.layer(Linear)
    assert nn.LAYERS["Linear"] is nn.Linear
    assert extend.layer(nn.Linear) is nn.Linear
    with pytest.raises(cr.errors.ArgumentError, match="the layer Linear is not known"):
        nn.to_config(Linear())


def test_shared_layers_cannot_be_written_down():
    layer = nn.Linear(2, 2)
    with pytest.raises(cr.errors.ArgumentError, match="the layer '1' occurs in two places of the model"):
        nn.to_config(nn.Sequential(layer, layer))


@pytest.mark.parametrize(
    ("config", "text"),
    [
        ({"layer": "Magic"}, "the model has a layer 'Magic'; the layers known here are AvgPool1d, "),
        (
            {"layer": "Linear", "in_features": 3},
            "the layer Linear cannot be made from the settings in the model file (missing a required",
        ),
        ({"layer": "Linear", "in_features": 3, "out_features": -1}, "(Linear got out_features=-1; it must be an integer ≥ 1."),
        ({"layer": "Linear", "in_features": "x", "out_features": 1}, "the layer Linear cannot be made"),
        ({"layer": "Conv2d", "in_channels": 1, "out_channels": 1, "kernel_size": {}}, "the layer Conv2d cannot be made"),
        ({"layer": "Dropout", "p": "much"}, "the layer Dropout cannot be made"),
        ({"layer": "Dropout", "q": 0.5}, "got an unexpected keyword argument 'q'"),
        ({"layer": "Sequential", "x": 1}, "Sequential has the settings ['x']; it takes none."),
        ({"layer": "Sequential", "children": [1]}, "the children of Sequential are [1]; they must be an object."),
        ({"layer": "Sequential", "children": {"0": {"layer": "Magic"}}}, "the model has a layer 'Magic'"),
        ({"layer": "ReLU", "children": {"0": {"layer": "ReLU"}}}, "the layer ReLU cannot be made"),
        (
            {"layer": ["Linear"]},
            "a layer is described by {'layer': ['Linear']}; it must be an object with the name of the layer",
        ),
        ([], "a layer is described by []"),
        ({}, "a layer is described by {}"),
    ],
)
def test_broken_configurations(config, text):
    with pytest.raises(cr.errors.ModelFileError, match=re.escape(text)):
        nn.from_config(config)


# -------------------------------------------------------------------------------------------- summary
def test_summary_counts_without_computing():
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding="same"),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(),
        nn.Linear(64, 10),
    )
    before = model.state_dict()
    cr.manual_seed(5)
    found = nn.summary(model, (1, 8, 8), batch=2)
    assert [r.output_shape for r in found.rows] == [
        (2, 4, 8, 8),
        (2, 4, 8, 8),
        (2, 4, 8, 8),
        (2, 4, 4, 4),
        (2, 64),
        (2, 64),
        (2, 10),
    ]
    assert [r.parameters for r in found.rows] == [40, 8, 0, 0, 0, 0, 650]
    assert (found.parameters, found.buffers, found.bytes) == (698, 8, 4 * 706)
    text = str(found)
    assert text.splitlines()[0].split() == ["Layer", "Output", "shape", "Parameters"]
    assert "6 Linear" in text and "(2, 10)" in text and text.endswith("698 parameters, 8 in buffers; 2,824 bytes")
    assert all(m.training for _, m in model.named_modules())
    assert cr.random.state.tolist() == [5, 0]
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def test_summary_of_parameters_beside_children_and_of_integers():
    found = nn.summary(Scaled(3), (3,), dtype="float64")
    assert [(r.path, r.layer, r.parameters) for r in found.rows] == [("inner", "Linear", 12), ("", "Scaled", 3)]
    assert nn.summary(nn.Sequential(nn.Embedding(9, 4), nn.Flatten()), (5,), dtype="int64").rows[-1].output_shape == (1, 20)


def test_summary_of_one_sample_through_batch_norm():
    model = nn.Sequential(nn.BatchNorm1d(3))
    assert nn.summary(model, (3,)).rows[0].output_shape == (1, 3)
    assert model.training


def test_summary_of_a_model_that_does_not_fit():
    model = nn.Sequential(nn.Linear(4, 3), nn.Linear(4, 1)).eval()
    with pytest.raises(
        cr.errors.ShapeError, match=re.escape("Linear(in_features=4, out_features=1) got an input of shape (1, 3)")
    ):
        nn.summary(model, (4,))
    assert not model.training


def test_observing_sees_inner_modules_first():
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    seen = []
    with nn.observing(lambda module, output: seen.append((module, output.shape))):
        model(np.ones((4, 2)))
    model(np.ones((4, 2)))
    assert seen == [(model[0], (4, 3)), (model[1], (4, 3)), (model, (4, 3))]


COPIES = {"copy": copy.copy, "deepcopy": copy.deepcopy, "pickle": lambda model: pickle.loads(pickle.dumps(model))}


@pytest.mark.parametrize("copied", COPIES)
def test_a_copy_has_the_modes_of_the_model(copied):
    model = nn.Sequential(nn.Dropout(0.5), nn.Dropout(0.2)).eval()
    model[1].train()
    assert [m.training for _, m in COPIES[copied](model).named_modules()] == [False, False, True]
