"""Moves, matrix products and einsum equal NumPy's for random shapes, and their gradients are adjoint to them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from strategies import float_array, full_shapes

import chainrule as cr
from chainrule.testing import gradcheck


def _same(ours, theirs):
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-12, atol=1e-12)


@given(float_array(), st.data())
def test_reshape(x, data):
    sizes = [x.size] if data.draw(st.booleans()) else list(data.draw(st.permutations(x.shape)))
    if data.draw(st.booleans()):
        sizes[data.draw(st.integers(0, len(sizes) - 1))] = -1
    _same(cr.reshape(x, sizes), np.reshape(x, sizes))
    _same(cr.tensor(x).reshape(*sizes), np.reshape(x, sizes))


@given(float_array(), st.data())
def test_transpose_flip_and_axes(x, data):
    axes = data.draw(st.permutations(range(-x.ndim, 0)))
    _same(cr.transpose(x, axes), np.transpose(x, axes))
    _same(cr.permute(x, axes), np.transpose(x, axes))
    _same(cr.tensor(x).T, x.T)
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    _same(cr.flip(x, axis), np.flip(x, axis))
    place = data.draw(st.integers(-x.ndim - 1, x.ndim))
    _same(cr.expand_dims(x, place), np.expand_dims(x, place))
    _same(cr.squeeze(cr.expand_dims(x, place), place), x)
    _same(cr.squeeze(x), np.squeeze(x))


@given(hnp.mutually_broadcastable_shapes(num_shapes=1, base_shape=(2, 3, 2)), st.integers(0, 9))
def test_broadcast_to(shapes, seed):
    x = np.random.default_rng(seed).normal(size=shapes.input_shapes[0])
    _same(cr.broadcast_to(x, shapes.result_shape), np.broadcast_to(x, shapes.result_shape))
    gradcheck(lambda t: cr.broadcast_to(t, shapes.result_shape), [x], order=1, directions=1)


@given(full_shapes, st.data())
def test_concatenate_stack_and_split(shape, data):
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    rng = np.random.default_rng(0)
    sizes = data.draw(st.lists(st.integers(0, 3), min_size=1, max_size=3))
    parts = [rng.normal(size=(*shape[: axis % len(shape)], n, *shape[axis % len(shape) + 1 :])) for n in sizes]
    joined = np.concatenate(parts, axis)
    _same(cr.concatenate(parts, axis), joined)
    _same(cr.stack([joined, joined], axis), np.stack([joined, joined], axis))
    cuts = data.draw(st.lists(st.integers(-4, 6), max_size=3))
    for ours, theirs in zip(cr.split(cr.tensor(joined), cuts, axis), np.split(joined, cuts, axis), strict=True):
        _same(ours, theirs)
    for ours, part in zip(cr.split(joined, list(np.cumsum(sizes)[:-1]), axis), parts, strict=True):
        _same(ours, part)
    for ours, theirs in zip(cr.split(cr.tensor(joined), 1, axis), np.split(joined, 1, axis), strict=True):
        _same(ours, theirs)


@given(float_array(), st.data(), st.integers(-3, 3))
def test_pad(x, data, value):
    widths = [data.draw(st.tuples(st.integers(0, 2), st.integers(0, 2))) for _ in x.shape]
    _same(cr.pad(x, widths, value), np.pad(x, widths, constant_values=value))
    _same(cr.pad(x, 1), np.pad(x, 1))


def test_split_into_equal_parts():
    x = np.arange(6.0)
    for ours, theirs in zip(cr.split(cr.tensor(x), 3), np.split(x, 3), strict=True):
        _same(ours, theirs)


def test_split_is_not_recorded_within_no_grad():
    w = cr.parameter([1.0, 2.0])
    with cr.no_grad():
        first, _ = cr.split(w, 2)
    with pytest.raises(cr.ChainruleError, match="nothing that it was computed from asks for a gradient"):
        first.sum().backward()


@st.composite
def _matrices(draw):
    rows, inner, columns = (draw(st.integers(1, 3)) for _ in range(3))
    batch = draw(hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=2, max_side=3))
    left, right = ((*b, *m) for b, m in zip(batch.input_shapes, ((rows, inner), (inner, columns)), strict=True))
    kind = draw(st.sampled_from(["matrices", "vector left", "vector right", "vectors"]))
    if kind in {"vector left", "vectors"}:
        left = (inner,)
    if kind in {"vector right", "vectors"}:
        right = (inner,)
    return draw(float_array(left)), draw(float_array(right))


@given(_matrices())
def test_matmul(pair):
    a, b = pair
    _same(cr.tensor(a) @ cr.tensor(b), a @ b)
    _same(a @ cr.tensor(b), a @ b)
    gradcheck(cr.matmul, [a, b], order=1, directions=1)


@given(st.data())
def test_einsum(data):
    sizes = {"a": 2, "b": 3, "c": 1, "d": 2}
    terms = data.draw(st.lists(st.text("abcd", min_size=0, max_size=3), min_size=1, max_size=3))
    letters = sorted(set("".join(terms)))
    result = "".join(data.draw(st.permutations(letters)))[: data.draw(st.integers(0, len(letters)))]
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=[sizes[c] for c in term]) for term in terms]
    equation = f"{','.join(terms)}->{result}"
    _same(cr.einsum(equation, *arrays), np.asarray(np.einsum(equation, *arrays)))
    if data.draw(st.booleans()):
        implicit = equation.split("->", maxsplit=1)[0]
        _same(cr.einsum(implicit, *arrays), np.asarray(np.einsum(implicit, *arrays)))
    gradcheck(lambda *xs: cr.einsum(equation, *xs), arrays, order=1, directions=1)


@given(float_array(), float_array())
def test_outer(a, b):
    _same(cr.outer(a, b), np.outer(a, b))


def test_empty_arrays():
    nothing = np.zeros((0, 3))
    assert cr.sum(nothing).item() == 0.0
    assert cr.matmul(nothing, np.ones((3, 2))).shape == (0, 2)
    assert cr.concatenate([nothing, np.ones((1, 3))]).shape == (1, 3)
    assert cr.softmax(nothing).shape == (0, 3)
    x = cr.parameter(nothing)
    cr.exp(x).sum().backward()
    assert x.grad.shape == (0, 3)
