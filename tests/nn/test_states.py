"""States of models: tied weights, PyTorch's states, what fits in part, and copies."""

import copy
import io
import json
import pickle
import tracemalloc

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.errors import ArgumentError, ModelFileError
from chainrule.fitting import files


def _tied():
    model = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Tanh(), nn.Linear(4, 4, bias=False))
    model[2].weight = model[0].weight
    return model


X = np.linspace(-1.0, 1.0, 12).reshape(3, 4).astype(np.float32)


# -------------------------------------------------------------------------------------------- tied weights
def test_a_tied_weight_stands_in_the_state_under_all_its_names():
    model = _tied()
    state = model.state_dict()
    assert list(state) == ["0.weight", "2.weight"]
    assert model.tied_names() == {"2.weight": "0.weight"}
    assert len(model.parameters()) == 1
    model[0].weight.assign(np.zeros((4, 4)))
    assert model.load_state_dict(state) == ([], [])
    np.testing.assert_array_equal(model[2].weight.numpy(), state["0.weight"])
    model.load_state_dict({"2.weight": np.ones((4, 4))})
    assert model[2].weight is model[0].weight
    np.testing.assert_array_equal(model[0].weight.numpy(), np.ones((4, 4)))


def test_two_values_for_one_weight_are_refused():
    model = _tied()
    before = model.state_dict()
    with pytest.raises(ArgumentError, match=r"2\.weight differs from 0\.weight, which is the same weight"):
        model.load_state_dict({"0.weight": np.zeros((4, 4)), "2.weight": np.ones((4, 4))})
    np.testing.assert_array_equal(model[0].weight.numpy(), before["0.weight"])


def test_files_keep_weights_tied(tmp_path):
    model = _tied()
    cr.save_model(model, tmp_path / "m.safetensors")
    arrays, description = files.read(tmp_path / "m.safetensors")
    assert list(arrays) == ["model/0.weight"]
    assert description["tied"] == {"2.weight": "0.weight"}
    again, _ = cr.load_model(tmp_path / "m.safetensors")
    assert again[0].weight is again[2].weight
    np.testing.assert_array_equal(again(X).numpy(), model(X).numpy())


def test_training_goes_on_with_tied_weights(tmp_path):
    def trainer():
        cr.manual_seed(1)
        model = _tied()
        return cr.Trainer(model, nn.MSELoss(), optim.Adam(model.named_parameters(), lr=0.1), backend="reference")

    whole, first = trainer(), trainer()
    whole.fit(X, X, epochs=2, progress=False)
    first.fit(X, X, epochs=1, progress=False)
    cr.save_trainer(first, tmp_path / "t.safetensors")
    second = cr.load_trainer(tmp_path / "t.safetensors")
    second.fit(X, X, epochs=1, progress=False)
    assert second.model[0].weight is second.model[2].weight
    np.testing.assert_array_equal(second.model[0].weight.numpy(), whole.model[0].weight.numpy())


@pytest.mark.parametrize("tied", [{"2.weight": "nothing"}, {"nothing": "0.weight"}, {"2.weight": 3}, ["2.weight"], "2.weight"])
def test_ties_that_somebody_made_up(tied, tmp_path):
    path = tmp_path / "m.safetensors"
    cr.save_model(_tied(), path)
    arrays, description = files.read(path)
    files.write(path, arrays, description | {"tied": tied})
    with pytest.raises(ModelFileError):
        cr.load_model(path)


def test_a_module_in_two_places_has_its_state_under_both_names():
    layer = nn.Linear(2, 2)
    model = nn.Sequential(layer, nn.ReLU(), layer)
    assert list(model.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert model.load_state_dict(model.state_dict()) == ([], [])


# -------------------------------------------------------------------------------------------- other states
def test_a_state_that_fits_in_part():
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    found = model.load_state_dict({"0.weight": np.ones((3, 2)), "head": np.ones(3)}, strict=False)
    assert found.missing_keys == ["0.bias", "1.weight", "1.bias"]
    assert found.unexpected_keys == ["head"]
    np.testing.assert_array_equal(model[0].weight.numpy(), np.ones((3, 2)))
    with pytest.raises(ArgumentError, match=r"0\.weight has the shape \[2, 2\]"):
        model.load_state_dict({"0.weight": np.ones((2, 2))}, strict=False)
    with pytest.raises(ArgumentError, match="strict=False"):
        model.load_state_dict({})


def test_states_of_pytorch():
    torch = pytest.importorskip("torch")
    theirs = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.BatchNorm1d(3), torch.nn.Tanh(), torch.nn.Linear(3, 3))
    theirs(torch.tensor(X))  # moves the statistics
    ours = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Tanh(), nn.Linear(3, 3))
    theirs[3].bias = theirs[0].bias
    ours[3].bias = ours[0].bias
    expected = theirs.eval()(torch.tensor(X)).detach().numpy()
    for state in (theirs.state_dict(), dict([*theirs.named_parameters(), *theirs.named_buffers()])):
        assert ours.load_state_dict(state) == ([], [])
        np.testing.assert_allclose(ours.eval()(X).numpy(), expected, rtol=1e-5, atol=1e-6)
    with pytest.raises(ArgumentError, match="unexpected num_batches_tracked"):
        nn.Linear(1, 1).load_state_dict({"weight": [[1.0]], "bias": [1.0], "num_batches_tracked": 3})


# -------------------------------------------------------------------------------------------- copies
class Scaled(nn.Module):
    """A layer as users write them."""

    def __init__(self, features: int) -> None:
        self.features = features
        self.scale = cr.parameter(np.ones(features, np.float32))
        self.inner = nn.Linear(features, 2, init="xavier_uniform")

    def forward(self, x):
        return self.inner(x * self.scale)


def _pickled(thing):
    return pickle.loads(pickle.dumps(thing))


def _joblib(thing):
    joblib = pytest.importorskip("joblib")
    buffer = io.BytesIO()
    joblib.dump(thing, buffer)
    buffer.seek(0)
    return joblib.load(buffer)


WAYS = pytest.mark.parametrize("copied", [copy.deepcopy, _pickled, _joblib])


@WAYS
def test_models_are_copied(copied):
    model = nn.Sequential(Scaled(4), nn.BatchNorm1d(2), nn.Dropout(0.25), nn.Residual(nn.Linear(2, 2)), nn.GELU()).eval()
    model[0].inner.weight.requires_grad = False
    again = copied(model)
    assert not again[0].inner.weight.requires_grad
    assert repr(again) == repr(model)
    assert not again.training
    assert [n for n, _ in again.named_parameters()] == [n for n, _ in model.named_parameters()]
    assert again[0].scale.name == "0.scale"
    np.testing.assert_array_equal(again(X).numpy(), model(X).numpy())
    again[0].scale.assign(np.zeros(4))
    assert model[0].scale.tolist() == [1.0] * 4


@WAYS
def test_weights_stay_tied_and_the_optimiser_learns_the_copy(copied):
    model = _tied()
    optimizer = optim.Adam(model.parameters(), lr=0.1)
    model(X).sum().backward()
    optimizer.step()
    again, other = copied((model, optimizer))
    assert again[0].weight is again[2].weight is other.groups[0].params[0]
    assert other.rule is optimizer.rule
    np.testing.assert_array_equal(again[0].weight.grad.numpy(), model[0].weight.grad.numpy())
    for m, o in ((model, optimizer), (again, other)):
        m(X).sum().backward()
        o.step()
    np.testing.assert_array_equal(again[0].weight.numpy(), model[0].weight.numpy())


@WAYS
@pytest.mark.parametrize("name", sorted(nn.LOSSES))
def test_losses_are_copied(name, copied):
    loss = nn.LOSSES[name]()
    assert copied(loss).config() == loss.config()


@WAYS
def test_tensors_are_copied(copied):
    w = cr.parameter([1.0, 2.0], name="w")
    again = copied(w)
    assert (again.name, again.requires_grad, again.grad, again.tolist()) == ("w", True, None, [1.0, 2.0])
    (again * again).sum().backward()
    assert again.grad.tolist() == [2.0, 4.0]
    assert copied(cr.tensor([1, 2])).dtype == np.int64
    with pytest.raises(ArgumentError, match=r"copy x\.detach\(\)"):
        copied(w * 2.0)
    assert copied((w * 2.0).detach()).tolist() == [2.0, 4.0]


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, _pickled])
def test_what_holds_programs_is_not_copied(copied):
    model = _tied()
    trainer = cr.Trainer(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.1), backend="reference")
    with pytest.raises(ArgumentError, match=r"cr\.save_trainer and cr\.load_trainer"):
        copied(trainer)
    with pytest.raises(ArgumentError, match="compile it again"):
        copied(cr.compile(cr.exp))


# -------------------------------------------------------------------------------------------- memory
HUGE = 10**9
BOMBS = {
    "Linear": {"in_features": HUGE, "out_features": HUGE, "bias": True},
    "Embedding": {"num_embeddings": HUGE, "embedding_dim": 1000},
    "Conv2d": {"in_channels": 10**6, "out_channels": 10**6, "kernel_size": 3},
    "ConvTranspose2d": {"in_channels": 10**6, "out_channels": 10**6, "kernel_size": 3},
    "BatchNorm1d": {"num_features": HUGE},
    "LayerNorm": {"normalized_shape": [10**6, 10**3]},
}


@pytest.mark.parametrize("name", BOMBS)
def test_shapes_are_compared_before_memory_is_taken(name, tmp_path):
    path = tmp_path / "bomb.safetensors"
    description = {"version": "0.1.0", "kind": "model", "model": {"layer": name, **BOMBS[name]}, "extras": {}}
    for arrays in ({}, {"model/weight": np.zeros((2, 2), np.float32)}):
        files.write(path, arrays, description)
        tracemalloc.start()
        try:
            with pytest.raises(ModelFileError):
                cr.load_model(path)
            assert tracemalloc.get_traced_memory()[1] < 2**22
        finally:
            tracemalloc.stop()


def test_a_model_takes_little_more_memory_than_its_file(tmp_path):
    path = tmp_path / "m.safetensors"
    cr.save_model(nn.Linear(1000, 1000), path)
    size = path.stat().st_size
    cr.load_model(path)  # imports what it needs
    tracemalloc.start()
    try:
        model, _ = cr.load_model(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert size < peak < 1.3 * size
    assert model.weight.numpy().flags.aligned


def test_arrays_lie_one_after_another(tmp_path):
    """Entries that overlap, leave gaps, or do not fit their place are refused."""
    path = tmp_path / "m.safetensors"
    files.write(path, {"a": np.arange(2.0), "b": np.zeros((0, 3), np.int32), "c": np.array(True)}, {})
    arrays, _ = files.read(path)
    assert (arrays["a"].tolist(), arrays["b"].shape, arrays["c"].item()) == ([0.0, 1.0], (0, 3), True)
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    for changes in (
        {"shape": [3]},
        {"shape": [-2]},
        {"shape": [2.0]},
        {"dtype": "F99"},
        {"dtype": "F32"},
        {"data_offsets": [8, 24]},
        {"data_offsets": [0, 8]},
        {"data_offsets": "no"},
    ):
        altered = json.dumps(header | {"a": header["a"] | changes}).encode()
        path.write_bytes(len(altered).to_bytes(8, "little") + altered + content[8 + length :])
        with pytest.raises(ModelFileError, match="a whole safetensors file was expected"):
            files.read(path)


def test_constructors_can_be_read_on_every_python():
    """Up to Python 3.11.3, inspect.signature takes a `__new__` for the constructor of a class that inherits both."""
    for cls in (*nn.LAYERS.values(), *nn.LOSSES.values(), *optim.OPTIMIZERS.values()):
        assert cls.__new__ is object.__new__, cls
