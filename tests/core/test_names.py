"""What a user of PyTorch or NumPy types first is there, or an error of ours says how it is written here."""

import re

import numpy as np
import pytest

import chainrule as cr
from chainrule import elsewhere, nn, optim
from chainrule.errors import ArgumentError, CallError, ChainruleError, DataError, DTypeError, GradientError, MissingName


def _model():
    return nn.Linear(3, 2)


def _optimizer():
    return optim.SGD(_model().parameters(), lr=0.1)


def _trainer():
    model = _model()
    return cr.Trainer(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.1))


OWNERS = {
    "tensor": (lambda: cr.tensor([1.0]), elsewhere.TENSOR),
    "module": (_model, elsewhere.MODULE),
    "optimizer": (_optimizer, elsewhere.OPTIMIZER),
    "trainer": (_trainer, elsewhere.TRAINER),
    "loss": (nn.MSELoss, elsewhere.LOSS),
    "data": (lambda: cr.data, elsewhere.DATA),
    "package": (lambda: cr, elsewhere.FUNCTIONS),
    "functional": (lambda: cr.functional, elsewhere.FUNCTIONS),
    "nn": (lambda: nn, elsewhere.LAYERS),
    "optim": (lambda: optim, elsewhere.OPTIMIZERS),
}


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, (_, table) in OWNERS.items() for name in sorted(table)])
def test_names_from_elsewhere_are_translated(kind, name):
    make, table = OWNERS[kind]
    owner = make()
    assert not hasattr(owner, name), "what is there needs no translation"
    with pytest.raises(MissingName, match=re.escape(table[name])):
        getattr(owner, name)


@pytest.mark.parametrize("table", [table for _, table in OWNERS.values()], ids=OWNERS)
def test_translations_name_what_is_there(table):
    places = {"cr": cr, "nn": nn, "optim": optim, "np": np}
    for text in table.values():
        for place, name in re.findall(r"\b(cr|nn|optim|np)\.(\w+)", text):
            assert hasattr(places[place], name), text
        for name in re.findall(r"\bx\.(\w+)", text):
            assert hasattr(cr.Tensor, name) or name == "requires_grad", text


def test_the_size_is_a_number():
    size = cr.tensor([[1.0, 2.0, 3.0]]).size
    assert size == 3
    assert isinstance(size, int)
    assert repr(size) == "3"
    assert type(size + 1) is int


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: cr.tensor([1.0]).gather([0]), "Write cr.gather(x)."),
        (lambda: cr.tensor([1.0]).cumsum(0), "Write np.tri(n) @ x."),
        (lambda: cr.tensor([1.0]).repeat(2), "Write x.tile(repeats) for PyTorch's repeat"),
        (lambda: cr.tensor([1.0]).shpae, "Did you mean shape?"),
        (lambda: cr.cumsum([1.0]), "Write np.tri(n) @ x."),
        (lambda: cr.Tanh, "Did you mean tanh?"),
        (lambda: nn.Conv2D, "Did you mean Conv2d?"),
        (lambda: optim.Adma, "Did you mean Adam?"),
        (lambda: cr.functional.softmx, "Did you mean softmax?"),
        (lambda: _model().to("cuda"), "memory of this machine"),
        (lambda: _optimizer().param_groups, "optimizer.lr = 0.1"),
    ],
)
def test_missing_names(call, text):
    with pytest.raises(MissingName) as caught:
        call()
    assert text in str(caught.value)
    assert isinstance(caught.value, AttributeError)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: cr.tensor([[1.0]]).var(1, unbiased=True), CallError, "Write correction= in place of unbiased=."),
        (lambda: cr.tensor([[1.0]]).mean(1, dim=1), CallError, "it takes axis, keepdims"),
        (lambda: cr.tensor([[1.0]]).mean(axis=1, dim=1), CallError, "it takes axis, keepdims"),
        (lambda: cr.softmax([1.0], dimension=-1), CallError, "softmax was called wrongly"),
        (lambda: cr.max([1.0], 0, 1, 2), CallError, "it takes x, axis, keepdims"),
        (cr.relu, CallError, "it takes x"),
        (lambda: cr.tensor([1.0]).size(), CallError, "Write x.shape for the lengths of all axes"),
        (lambda: cr.tensor([1.0]).size(0), CallError, "x.size is its number of elements"),
        (lambda: nn.Linear(3, 2, device="cpu"), CallError, "Linear was called wrongly"),
        (lambda: nn.ReLU(inplace=True), CallError, "ReLU got inplace=True; it takes no arguments"),
        (lambda: nn.ReLU()([1.0], [2.0]), CallError, "ReLU was called wrongly (too many positional arguments); it takes x"),
        (lambda: _model()(x=[1.0]), CallError, "it takes inputs"),
        (lambda: nn.MSELoss()([1.0]), CallError, "it takes output, target, sample_weight"),
        (lambda: nn.CrossEntropyLoss(wieght=[1.0]), CallError, "CrossEntropyLoss was called wrongly"),
        (lambda: _model().state_dict(keep_vars=True), CallError, "it takes no arguments"),
        (lambda: optim.Adam(_model().parameters(), foreach=True), CallError, "it takes params, lr, betas"),
        (lambda: cr.tensor([1.0], device="cpu"), CallError, "it takes data, dtype, name, requires_grad. Arrays live in"),
        (
            lambda: cr.zeros((2,), requires_grad=True),
            CallError,
            "Write cr.tensor(data, requires_grad=True), or cr.parameter(data)",
        ),
        (lambda: cr.zeros(2, 3), DTypeError, "Give a shape as one tuple, such as (2, 3)."),
        (
            lambda: (cr.parameter(1.0) * 2.0).backward(retain_graph=True),
            CallError,
            "graphs are kept, and backward can be called",
        ),
        (lambda: (cr.parameter(1.0) * 2.0).backward(create_graph=True), CallError, "gradients of cr.grad are graphs"),
        (lambda: _model()([[1.0, 2.0, 3.0]]).backward(), GradientError, "Reduce it with .sum() or .mean()"),
        (lambda: optim.SGD(_model().parameters(), learning_rate=0.1), CallError, "Write lr= in place of learning_rate=."),
        (lambda: format(cr.tensor([1.0, 2.0]), ".2f"), CallError, "it must hold one element"),
        (lambda: divmod(cr.tensor([1.0]), 2.0), CallError, "cr.floor(a / b)"),
        (lambda: cr.tensor([True]) ^ True, CallError, "a != b"),
        (lambda: _optimizer().zero_grad(set_to_none=True), CallError, "Leave it out: zero_grad sets gradients to None."),
        (lambda: _trainer().fit(np.ones((2, 3)), np.ones((2, 2)), num_epochs=3), CallError, "epochs"),
        (lambda: cr.tensor(np.ones((2, 3))).transpose(0, 1), ArgumentError, "Write x.T for the transpose."),
        (lambda: optim.StepLR(_optimizer(), step_size=2), ArgumentError, "optim.Scheduler(optimizer, optim.StepLR(…))"),
        (lambda: optim.CosineAnnealingLR(_optimizer(), 10), ArgumentError, "cr.LearningRate(optim.CosineAnnealingLR(…))"),
        (
            lambda: _trainer().fit((np.ones((4, 3)), np.ones((4, 1))), np.ones((4, 2))),
            DataError,
            "np.concatenate((a, b), axis=1)",
        ),
    ],
)
def test_wrong_calls(call, error, text):
    with pytest.raises(error) as caught:
        call()
    assert isinstance(caught.value, ChainruleError)
    assert text in str(caught.value)


def test_a_type_error_from_within_is_not_taken_for_a_wrong_call():
    def broken(x):
        raise TypeError("from within")

    with pytest.raises(TypeError, match="from within") as caught:
        elsewhere.explaining_calls(broken)(1)
    assert not isinstance(caught.value, ChainruleError)


def test_a_property_that_fails_says_why():
    class Layer(nn.Module):
        @property
        def broken(self):
            raise AttributeError("the reason")

    with pytest.raises(AttributeError, match="the reason"):
        _ = Layer().broken


def test_names_that_came_from_numpy():
    x = cr.parameter([[3.0, 1.0], [2.0, 5.0]])
    np.testing.assert_array_equal(x.mT.numpy(), x.numpy().T)
    np.testing.assert_array_equal(x.swapaxes(0, -1).numpy(), x.numpy().T)
    assert x.flatten().tolist() == [3.0, 1.0, 2.0, 5.0]
    assert x.clip(2.0, 4.0).tolist() == [[3.0, 2.0], [2.0, 4.0]]
    assert x.std(correction=1).item() == pytest.approx(x.numpy().std(ddof=1))
    assert (+x) is x
    assert f"{x.sum():.2f} {cr.tensor([3]):d}" == "11.00 3"
    assert f"{x}" == str(x)
    for ours, theirs in (
        (cr.arange(3), np.arange(3)),
        (cr.arange(1.0, 2.0, 0.25), np.arange(1.0, 2.0, 0.25)),
        (cr.eye(2, 3), np.eye(2, 3)),
        (cr.full((2, 1), 7.0), np.full((2, 1), 7.0)),
        (cr.linspace(0.0, 1.0, 5), np.linspace(0.0, 1.0, 5)),
        (cr.zeros_like(x), np.zeros((2, 2))),
        (cr.ones_like([1, 2]), np.ones(2, int)),
        (cr.full_like(x, 3.0), np.full((2, 2), 3.0)),
        (cr.std(x, 0), np.std(x.numpy(), 0)),
    ):
        assert ours.dtype == theirs.dtype
        np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-15)


FACTOR = 2.0


class _Scaling(nn.Module):
    def forward(self, x):
        return x * FACTOR


def test_a_compiled_forward_still_follows_the_names_that_it_mentions(monkeypatch):
    compiled = cr.compile(_Scaling().forward, backend="reference")
    assert compiled([1.0]).tolist() == [2.0]
    monkeypatch.setitem(globals(), "FACTOR", 3.0)
    assert compiled([1.0]).tolist() == [3.0]
