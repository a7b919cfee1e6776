"""x[key] equals NumPy's for random keys, and its gradient puts every element back where it came from."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import full_shapes

import chainrule as cr
from chainrule.errors import ArgumentError, ChainruleError, DTypeError


@st.composite
def _item(draw, size):
    kind = draw(st.sampled_from(["int", "slice", "array", "mask"]))
    if kind == "int":
        return draw(st.integers(-size, size - 1))
    if kind == "slice":
        bound = st.one_of(st.none(), st.integers(-size - 2, size + 2))
        return slice(draw(bound), draw(bound), draw(st.sampled_from([None, 1, 2, 3, -1, -2])))
    if kind == "mask":
        return np.array(draw(st.lists(st.booleans(), min_size=size, max_size=size)))
    return np.array(draw(st.lists(st.integers(-size, size - 1), min_size=2, max_size=2)))


@st.composite
def _keyed(draw):
    shape = draw(full_shapes)
    items = [draw(_item(n)) for n in shape[: draw(st.integers(0, len(shape)))]]
    if sum(isinstance(i, np.ndarray) and i.dtype == bool for i in items) and sum(isinstance(i, np.ndarray) for i in items) > 1:
        items = [i if not isinstance(i, np.ndarray) else slice(None) for i in items]  # masks rarely fit other arrays
    if draw(st.booleans()):
        items.insert(draw(st.integers(0, len(items))), None)
    if draw(st.booleans()) and len([i for i in items if i is not None]) < len(shape):
        items.append(Ellipsis)
    array = np.arange(int(np.prod(shape)), dtype=np.float64).reshape(shape)
    return array, tuple(items)


@given(_keyed())
def test_indexing_and_its_gradient_equal_numpys(keyed):
    array, key = keyed
    expected = array[key]
    x = cr.tensor(array)
    found = x[key]
    assert found.shape == expected.shape
    np.testing.assert_array_equal(found.numpy(), expected)
    upstream = np.arange(1.0, expected.size + 1.0).reshape(expected.shape)
    into = np.zeros_like(array)
    np.add.at(into, key, upstream)
    (g,) = cr.grad(found, [x], upstream)
    np.testing.assert_array_equal(g.numpy(), into)


CUBE = np.arange(24.0).reshape(2, 3, 4)


@pytest.mark.parametrize(
    "key",
    [
        (0, slice(None), [1, 2]),
        ([0, 1], slice(None), [1, 2]),
        (slice(None), [0, 2], [1, 3]),
        ([0, 1], None, [0, 2]),
        ([[0], [1]], [0, 2]),
        (Ellipsis, [1, 1, 1]),
        ([], ),
        (slice(None), 1, [0, 3]),
        ([True, False],),
        (np.int64(1), np.array(2)),
        (slice(5, 1), 0),
        (slice(None, None, -2), slice(2, None, -1)),
        (),
    ],
)  # fmt: skip
def test_chosen_keys(key):
    expected = CUBE[key]
    found = cr.tensor(CUBE)[key]
    assert found.shape == expected.shape
    np.testing.assert_array_equal(found.numpy(), expected)


def test_indices_may_be_tensors():
    i = cr.tensor([2, 0])
    np.testing.assert_array_equal(cr.tensor(CUBE)[:, i].numpy(), CUBE[:, [2, 0]])
    assert cr.tensor(CUBE)[cr.tensor(1), 0, 0].item() == 12.0


def test_repeated_indices_add_their_gradients():
    x = cr.tensor([1.0, 2.0, 3.0])
    (g,) = cr.grad((x[[0, 0, 2]] * np.array([1.0, 10.0, 100.0])).sum(), [x])
    np.testing.assert_array_equal(g.numpy(), [11.0, 0.0, 100.0])


@given(st.data())
def test_gather_and_scatter_are_adjoint(data):
    shape = data.draw(full_shapes)
    axes = tuple(data.draw(st.permutations(range(len(shape)))))[: data.draw(st.integers(1, len(shape)))]
    indices = [np.array(data.draw(st.lists(st.integers(-shape[a], shape[a] - 1), min_size=3, max_size=3))) for a in axes]
    rng = np.random.default_rng(0)
    x = rng.normal(size=shape)
    taken = cr.gather(x, *indices, axes=axes)
    v = rng.normal(size=taken.shape)
    put = cr.scatter_add(v, *indices, shape=shape, axes=axes)
    assert put.shape == shape
    np.testing.assert_allclose((taken * v).sum().item(), (put * x).sum().item(), atol=1e-12)


def test_one_hot_and_embedding():
    np.testing.assert_array_equal(cr.one_hot([1, 0], 3).numpy(), [[0, 1, 0], [1, 0, 0]])
    assert cr.one_hot([1], 3, dtype="float32").dtype == np.float32
    weight = np.arange(6.0).reshape(3, 2)
    np.testing.assert_array_equal(cr.embedding([[2, 0]], weight).numpy(), weight[[[2, 0]]])


X = cr.tensor(CUBE)
WRONG = {
    "outside": (lambda: X[0, 3], ArgumentError, "the index 3 for an axis of size 3; indices run from -3 to 2"),
    "array outside": (lambda: X[[0, 5]], ArgumentError, "the index 5 for an axis of size 2"),
    "too many": (lambda: X[0, 0, 0, 0], ArgumentError, r"indexing got 4 indices for the shape \(2, 3, 4\)"),
    "two ellipses": (lambda: X[..., 0, ...], ArgumentError, "at most one '...'"),
    "float": (lambda: X[1.5], DTypeError, "indices must be integers"),
    "float array": (lambda: X[[0.5]], DTypeError, "indices must be integers"),
    "boolean": (lambda: X[True], ArgumentError, "indexing got a boolean"),
    "text": (lambda: X["a"], DTypeError, "chainrule computes with"),
    "step 0": (lambda: X[::0], ArgumentError, "the step is not 0"),
    "float slice": (lambda: X[0.5:], ArgumentError, "bounds are integers or left out"),
    "mask too long": (lambda: X[[True, False, True]], ArgumentError, r"a mask of shape \(3,\) for an axis of size 2"),
    "mask of two axes": (lambda: X[np.ones((2, 3), bool)], ArgumentError, "a mask has one element per position"),
    "ragged": (lambda: X[[[0], [0, 1]]], ArgumentError, "rows must be equally long"),
    "arrays that do not fit": (lambda: X[[0, 1], [0, 1, 2]], ChainruleError, "index arrays of shapes .* they must broadcast"),
    "gather axes": (lambda: cr.gather(X, [0], axes=(0, 1)), ArgumentError, "gather got 1 index arrays for the axes"),
    "scatter axes": (lambda: cr.scatter_add([1.0], [0], shape=(3,), axes=(0, 0)), ArgumentError, "scatter_add got 1 index"),
    "scatter values": (lambda: cr.scatter_add([1.0, 2.0], [0], shape=(3,)), ChainruleError, "the values must have shape"),
    "one_hot of floats": (lambda: cr.one_hot([0.5], 3), DTypeError, "one_hot got indices of dtype float64"),
    "one_hot above": (lambda: cr.one_hot([1, 7], 3), ArgumentError, "the index 7 for 3 classes; indices go from 0 to 2. "),
    "one_hot below": (lambda: cr.one_hot(-1, 3), ArgumentError, "one_hot got the index -1 for 3 classes"),
    "embedding outside": (lambda: cr.embedding([3], np.ones((3, 2))), ArgumentError, "the index 3 for an axis of size 3"),
    "embedding weight": (lambda: cr.embedding([0], np.ones(3)), ChainruleError, "embedding got a weight of shape"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_wrong_keys(case):
    call, error, text = WRONG[case]
    with pytest.raises(error, match=text):
        call()
