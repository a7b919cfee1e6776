"""Reverse-mode differentiation: each node once, any order, and clear words where there is no derivative."""

from dataclasses import replace

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ArgumentError, ChainruleError, GradientError, ShapeError
from chainrule.ops.primitive import PRIMITIVES


def test_a_chain_of_twenty_thousand_nodes():
    x = cr.parameter(1.0)
    y = x
    for _ in range(20_000):
        y = y + 1e-4
    y.backward()
    assert x.grad.item() == 1.0
    assert y.item() == pytest.approx(3.0)
    assert len(y.formula()) < 5000
    del y


def test_a_node_is_differentiated_once_however_many_paths(monkeypatch):
    calls = []
    tanh = PRIMITIVES["tanh"]

    def counted(x, y):
        calls.append(x)
        return tanh.partials[0](x, y)

    monkeypatch.setitem(PRIMITIVES, "tanh", replace(tanh, partials=(counted,)))
    x = cr.parameter(0.3)
    h = cr.tanh(x)
    y = h * h + cr.sin(h) * h + (h + h)
    y.backward()
    assert len(calls) == 1
    t = np.tanh(0.3)
    assert x.grad.item() == pytest.approx((2 * t + np.cos(t) * t + np.sin(t) + 2) * (1 - t * t))


def test_diamonds_with_exponentially_many_paths():
    x = cr.parameter(1.0)
    y = x
    for _ in range(200):
        y = 0.5 * (y + y)
    y.backward()
    assert x.grad.item() == 1.0


def test_gradient_by_every_intermediate():
    x, y = cr.tensor(2.0), cr.tensor(3.0)
    p = x * y
    q = p + x
    e = q * q
    found = [g.item() for g in cr.grad(e, [e, q, p, x, y])]
    assert found == [1.0, 16.0, 16.0, 64.0, 32.0]


def test_third_order():
    x = cr.tensor(0.7)
    y = cr.sin(x) * cr.exp(x)
    for _ in range(3):
        (y,) = cr.grad(y, [x])
    assert y.item() == pytest.approx(2 * np.exp(0.7) * (np.cos(0.7) - np.sin(0.7)))


def test_gradient_of_a_gradient_norm():
    w = cr.parameter([0.5, -1.0])
    (g,) = cr.grad((w**3).sum(), [w])
    (g * g).sum().backward()
    np.testing.assert_allclose(w.grad.numpy(), 36 * w.numpy() ** 3)


def test_jacobian_and_hessian_equal_torchs():
    torch = pytest.importorskip("torch", reason="PyTorch is the independent system to compare with")
    rng = np.random.default_rng(0)
    a, x = rng.normal(size=(3, 4)), rng.normal(size=4)

    def ours(v):
        return cr.tanh(cr.matmul(a, v)) * cr.sin(v[:3])

    def theirs(v):
        return torch.tanh(torch.tensor(a) @ v) * torch.sin(v[:3])

    point = torch.tensor(x)
    np.testing.assert_allclose(cr.jacobian(ours, x).numpy(), torch.func.jacrev(theirs)(point).numpy(), atol=1e-12)
    found = cr.hessian(lambda v: ours(v).sum(), x)
    expected = torch.func.jacrev(torch.func.jacrev(lambda v: theirs(v).sum()))(point)
    np.testing.assert_allclose(found.numpy(), expected.numpy(), atol=1e-12)
    nested = cr.jacobian(lambda v: cr.jacobian(ours, v), x)
    np.testing.assert_allclose(nested.numpy(), torch.func.jacrev(torch.func.jacrev(theirs))(point).numpy(), atol=1e-12)


def test_jacobian_shapes():
    assert cr.jacobian(lambda x: x.reshape(3, 2), np.ones((2, 3))).shape == (3, 2, 2, 3)
    assert cr.jacobian(cr.sum, np.ones(2)).shape == (2,)
    assert cr.hessian(lambda x: (x * 2.0).sum(), np.ones((2, 2))).shape == (2, 2, 2, 2)
    np.testing.assert_array_equal(cr.jacobian(lambda x: x * x, [1, 2]).numpy(), [[2.0, 0.0], [0.0, 4.0]])
    with pytest.raises(ShapeError, match="the jacobian of a function without elements"):
        cr.jacobian(lambda x: x[:0], np.ones(2))


def test_value_and_grad():
    value, (gx, gy) = cr.value_and_grad(lambda x, y: x * x * y)(3, 2.0)
    assert (value.item(), gx.item(), gy.item()) == (18.0, 12.0, 9.0)


def test_gradients_accumulate_until_cleared():
    w = cr.parameter([1.0, 2.0], name="w")
    for _ in range(2):
        (w * w).sum().backward()
    np.testing.assert_array_equal(w.grad.numpy(), [4.0, 8.0])
    w.grad = None
    (w * 3.0).sum().backward()
    np.testing.assert_array_equal(w.grad.numpy(), [3.0, 3.0])


def test_an_upstream_gradient():
    x = cr.parameter([1.0, 2.0])
    (x * x).backward([10.0, 100.0])
    np.testing.assert_array_equal(x.grad.numpy(), [20.0, 400.0])
    with pytest.raises(ShapeError, match=r"an upstream gradient of shape \(3,\) was given for a Tensor of shape \(2,\)"):
        (x * x).backward(np.ones(3))


def test_the_old_graph_keeps_its_values_after_assign():
    w = cr.parameter(2.0, name="w")
    old = w * w
    w.assign(5.0)
    assert old.item() == 4.0
    assert (w * w).item() == 25.0
    assert w.name == "w"
    with pytest.raises(GradientError, match="was assigned a new value since"):
        cr.grad(old, [w])
    (w * w).backward()
    assert w.grad.item() == 10.0


def test_writing_into_an_array_does_not_change_a_graph_that_used_it():
    batch = np.array([1.0, 2.0])
    w = cr.parameter([1.0, 1.0])
    loss = (w * batch).sum()
    batch[:] = 100.0
    loss.backward()
    np.testing.assert_array_equal(w.grad.numpy(), [1.0, 2.0])


def test_no_grad_records_nothing():
    w = cr.parameter([1.0, 2.0])
    with cr.no_grad():
        y = (w * w).sum()
    assert not y.node.inputs
    with pytest.raises(GradientError, match=r"inside cr.no_grad nothing is recorded"):
        y.backward()
    z = (w * w).sum()
    z.backward()
    assert w.grad is not None


def test_detach_and_stop_gradient():
    x = cr.parameter(3.0)
    (x * x.detach() + x * cr.stop_gradient(x)).backward()
    assert x.grad.item() == 6.0


def test_gradients_are_of_the_parameters_dtype():
    w = cr.parameter(np.ones(2, np.float32))
    (w * np.ones(2)).sum().backward()
    assert w.grad.dtype == np.float32


ERRORS = {
    "independent": (
        lambda: cr.grad(cr.tensor(1.0, name="E") * 2.0, [cr.tensor(1.0, name="w")]),
        GradientError,
        "with respect to 'w' was asked for; the first was not computed from the second",
    ),
    "step": (
        lambda: cr.grad(cr.step(x := cr.tensor([1.0])).sum(), [x]),
        GradientError,
        "no gradient passes through step: its derivative is 0 everywhere, so nothing can be learnt through it; use sigmoid",
    ),
    "step of what nobody holds": (
        lambda: cr.step(cr.parameter([1.0])).sum().backward(),
        GradientError,
        "no gradient passes through step",
    ),
    "argmax": (
        lambda: cr.grad(cr.argmax(x := cr.tensor([1.0, 2.0])) * 1.0, [x]),
        GradientError,
        "no gradient passes through argmax: a position changes in jumps",
    ),
    "integers": (
        lambda: cr.grad(cr.tensor(1.0), [cr.tensor(1)]),
        GradientError,
        "with respect to a Tensor of dtype int64 was asked for",
    ),
    "no list": (lambda: cr.grad(cr.tensor(1.0), cr.tensor(1.0)), ArgumentError, r"Write cr.grad\(E, \[w\]\)"),
    "nothing to learn": (
        (cr.tensor(1.0) * 2.0).backward,
        GradientError,
        "nothing that it was computed from asks for a gradient. Make the inputs with cr.parameter",
    ),
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors(case):
    call, error, text = ERRORS[case]
    with pytest.raises(error, match=text):
        call()


def test_a_derivative_that_is_zero_everywhere_is_zeros_where_asked_for():
    x = cr.tensor([1.5, -0.5])
    (g,) = cr.grad(cr.floor(x).sum(), [x])
    np.testing.assert_array_equal(g.numpy(), [0.0, 0.0])


def test_an_error_leaves_recording_as_it_was():
    w = cr.parameter(1.0)
    with pytest.raises(ChainruleError), cr.no_grad():
        cr.step(w).reshape(5)
    (w * 2.0).backward()
    assert w.grad.item() == 2.0


@pytest.mark.parametrize("function", [cr.std, np.linalg.norm, lambda x: x.std()], ids=["std", "norm", "x.std"])
@pytest.mark.parametrize("compiled", [False, True])
def test_a_root_of_squares_that_are_0_has_the_gradient_0(function, compiled):
    def gradient(x):
        return cr.grad(function(x), [x])[0]

    found = (cr.compile(gradient) if compiled else gradient)(cr.tensor(np.zeros(3)))
    assert found.tolist() == [0.0, 0.0, 0.0]
