"""The Tensor as an array: what it shows, how it mixes with others, and what it keeps alive."""

import gc
import weakref

import numpy as np
import pytest
from hypothesis import given
from strategies import arrays

import chainrule as cr
from chainrule.errors import ChainruleError
from chainrule.ir import Node


@pytest.mark.parametrize(
    ("tensor", "text"),
    [
        (cr.tensor(0.5), "Tensor(0.5, dtype=float64)"),
        (cr.tensor([1, 2]), "Tensor([1, 2], dtype=int64)"),
        (cr.tensor([True]), "Tensor([ True], dtype=bool)"),
        (cr.parameter([0.5], name="w"), "Tensor([0.5], dtype=float64, name='w', requires_grad=True)"),
        (cr.tensor([[1.0, 2.0], [3.0, 4.0]]), "Tensor([[1., 2.],\n        [3., 4.]], dtype=float64)"),
    ],
)
def test_repr(tensor, text):
    assert repr(tensor) == text


def test_repr_of_a_large_tensor_tells_its_shape():
    assert "shape=(50, 50)" in repr(cr.zeros((50, 50)))
    assert len(repr(cr.zeros((500, 500)))) < 2000


@given(arrays())
def test_array_round_trip(array):
    t = cr.tensor(array)
    assert (t.shape, t.dtype, t.ndim, t.size) == (array.shape, array.dtype, array.ndim, array.size)
    np.testing.assert_array_equal(np.asarray(t), array)
    np.testing.assert_array_equal(t.tolist(), array.tolist())
    assert np.asarray(t, dtype=np.float64).dtype == np.float64


@given(arrays())
def test_dlpack_round_trip(array):
    np.testing.assert_array_equal(np.from_dlpack(cr.tensor(array)), array)
    np.testing.assert_array_equal(cr.from_dlpack(array).numpy(), array)


def test_dlpack_with_torch():
    torch = pytest.importorskip("torch", reason="PyTorch is the other end of the exchange")
    shared = torch.from_dlpack(cr.tensor([1.0, 2.0]))
    assert shared.tolist() == [1.0, 2.0]
    source = torch.tensor([3.0, 4.0])
    taken = cr.from_dlpack(source)
    source[0] = 9.0
    assert taken.tolist() == [3.0, 4.0]
    assert cr.tensor(source).dtype == np.float32


def test_values_cannot_be_changed_behind_the_graphs_back():
    data = np.ones(3)
    t = cr.tensor(data)
    data[0] = 7.0
    assert t.tolist() == [1.0, 1.0, 1.0]
    with pytest.raises(ValueError, match="read-only"):
        t.numpy()[0] = 7.0
    with pytest.raises(ValueError, match="read-only"):
        np.asarray(t)[0] = 7.0
    copy = np.array(t)
    copy[0] = 7.0
    np.from_dlpack(t).copy()[0] = 7.0
    assert t.tolist() == [1.0, 1.0, 1.0]


def test_python_numbers():
    t = cr.tensor(2)
    assert (t.item(), float(t), int(t), bool(t)) == (2, 2.0, 2, True)
    assert [10, 20, 30][t] == 30
    assert not cr.tensor(0.0)


def test_iteration_length_and_membership():
    t = cr.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert len(t) == 2
    assert [row.tolist() for row in t] == [[1.0, 2.0], [3.0, 4.0]]
    assert 3.0 in cr.tensor([1.0, 3.0])
    _, second = t
    assert second[0].item() == 3.0
    with pytest.raises(ChainruleError, match="has no length"):
        list(cr.tensor(1.0))


def test_comparison_is_elementwise_and_hash_is_identity():
    a, b = cr.tensor([1.0, 2.0]), cr.tensor([1.0, 3.0])
    assert (a == b).tolist() == [True, False]
    assert (a != b).tolist() == [False, True]
    assert (a < 2.0).tolist() == [True, False]
    assert len({a, b, a}) == 2
    assert {a: "a", b: "b"}[b] == "b"


def test_names():
    x = cr.tensor(2.0, name="x")
    h = (x * 3.0).named("h")
    assert h.name == "h"
    assert x.name == "x"
    assert (x * 3.0).name is None
    assert h.detach().name == "h"


def test_numpy_operands_on_the_left_ask_the_tensor():
    result = np.ones(2) + cr.tensor([1.0, 2.0])
    assert isinstance(result, cr.Tensor)
    assert isinstance(np.ones((2, 2)) @ cr.tensor([1.0, 2.0]), cr.Tensor)
    assert isinstance(np.float64(2.0) ** cr.tensor([1.0, 2.0]), cr.Tensor)


def test_methods_agree_with_functions():
    x = np.random.default_rng(0).normal(size=(2, 1, 3))
    t = cr.tensor(x)
    for name in ("sum", "mean", "var", "prod", "max", "min", "argmax", "argmin"):
        np.testing.assert_array_equal(getattr(t, name)(axis=-1).numpy(), getattr(cr, name)(x, -1).numpy())
    assert t.reshape(3, 2).shape == t.reshape((3, 2)).shape == (3, 2)
    assert t.transpose(2, 0, 1).shape == t.transpose((2, 0, 1)).shape == (3, 2, 1)
    assert t.squeeze(1).shape == t.squeeze().shape == (2, 3)
    assert abs(t).numpy().min() >= 0
    assert t.astype("float32").dtype == np.float32


def test_in_place_operators_make_a_new_tensor():
    w = cr.tensor(1.0)
    v = w
    v += 1.0
    assert w.item() == 1.0
    assert v.item() == 2.0


def test_assign_converts_within_a_kind():
    w = cr.parameter(np.ones(2, np.float32))
    w.assign(np.array([3.0, 4.0]))
    assert w.dtype == np.float32
    w.assign(cr.tensor([1, 2]))
    assert w.tolist() == [1.0, 2.0]


def test_intermediates_are_freed_when_no_tensor_refers_to_them():
    x = cr.parameter(np.ones(10))
    y = cr.exp(x)
    node = weakref.ref(y.node)
    z = y.sum()
    del y
    gc.collect()
    assert node() is not None  # z needs it for its gradient
    z.backward()
    del z
    gc.collect()
    assert node() is None


def test_a_long_graph_is_freed_without_recursion():
    x = cr.tensor(1.0)
    for _ in range(10_000):
        x = x + 1.0
    node = weakref.ref(x.node)
    del x
    assert node() is None


def test_a_training_loop_does_not_grow():
    w = cr.parameter(np.ones(4))

    def step():
        w.grad = None
        ((w * 0.5 - 1.0) ** 2).sum().backward()
        with cr.no_grad():
            w.assign(w - 0.1 * w.grad)

    def nodes():
        gc.collect()
        return sum(type(o) is Node for o in gc.get_objects())

    step()
    before = nodes()
    for _ in range(20):
        step()
    assert nodes() == before


def test_making_tensors():
    assert cr.zeros(3).tolist() == [0.0, 0.0, 0.0]
    assert cr.ones((1, 2), "float32").dtype == np.float32
    assert cr.parameter([1, 2]).dtype == np.float64
    assert cr.tensor(cr.parameter(1.0)).requires_grad is False
    assert cr.tensor([1, 2], dtype="float32").dtype == np.float32
