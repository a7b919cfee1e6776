"""Wrong shapes, axes and settings give a chainrule error that says what to do, never another exception."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import arrays, shapes

import chainrule as cr
from chainrule.errors import ArgumentError, ChainruleError, GradientError, ShapeError

axis = st.one_of(st.integers(-6, 6), st.floats(), st.none(), st.text(max_size=2), st.lists(st.integers(-5, 5), max_size=3))
size = st.one_of(st.integers(-3, 30), st.lists(st.integers(-3, 6), max_size=4), st.floats(), st.text(max_size=2))

# Anything at all may be handed to these; the worst that may happen is a ChainruleError.
CALLS = {
    "sum": lambda x, y, axis, size: cr.sum(x, axis),
    "max": lambda x, y, axis, size: cr.max(x, axis),
    "argmax": lambda x, y, axis, size: cr.argmax(x, axis),
    "var": lambda x, y, axis, size: cr.var(x, axis, correction=3),
    "softmax": lambda x, y, axis, size: cr.softmax(x, axis),
    "reshape": lambda x, y, axis, size: cr.reshape(x, size),
    "broadcast_to": lambda x, y, axis, size: cr.broadcast_to(x, size),
    "transpose": lambda x, y, axis, size: cr.transpose(x, axis),
    "squeeze": lambda x, y, axis, size: cr.squeeze(x, axis),
    "expand_dims": lambda x, y, axis, size: cr.expand_dims(x, axis),
    "flip": lambda x, y, axis, size: cr.flip(x, axis),
    "concatenate": lambda x, y, axis, size: cr.concatenate([x, y], axis),
    "stack": lambda x, y, axis, size: cr.stack([x, y], axis),
    "split": lambda x, y, axis, size: cr.split(x, size, axis),
    "pad": lambda x, y, axis, size: cr.pad(x, size),
    "add": lambda x, y, axis, size: cr.add(x, y),
    "where": lambda x, y, axis, size: cr.where(x, y, x),
    "power": lambda x, y, axis, size: cr.power(x, y),
    "matmul": lambda x, y, axis, size: cr.matmul(x, y),
    "outer": lambda x, y, axis, size: cr.outer(x, y),
    "einsum": lambda x, y, axis, size: cr.einsum(f"{axis}", x, y),
    "affine": lambda x, y, axis, size: cr.affine(x, y, y),
    "conv1d": lambda x, y, axis, size: cr.conv1d(x, y, stride=axis, padding=size),
    "conv2d": lambda x, y, axis, size: cr.conv2d(x, y, padding=axis, dilation=size),
    "conv_transpose2d": lambda x, y, axis, size: cr.conv_transpose2d(x, y, stride=size),
    "max_pool": lambda x, y, axis, size: cr.max_pool(x, size, axis),
    "avg_pool": lambda x, y, axis, size: cr.avg_pool(x, size),
    "gather": lambda x, y, axis, size: cr.gather(x, y),
    "scatter_add": lambda x, y, axis, size: cr.scatter_add(x, y, shape=size),
    "one_hot": lambda x, y, axis, size: cr.one_hot(x, size),
    "embedding": lambda x, y, axis, size: cr.embedding(x, y),
    "layer_norm": lambda x, y, axis, size: cr.layer_norm(x, y, y),
    "batch_norm": lambda x, y, axis, size: cr.batch_norm(x, y, y, y, y),
    "softmax_with_loss": lambda x, y, axis, size: cr.softmax_with_loss(x, y, axis),
    "index": lambda x, y, axis, size: cr.tensor(x)[axis, size],
    "zeros": lambda x, y, axis, size: cr.zeros(size),
    "uniform": lambda x, y, axis, size: cr.random.uniform(size),
    "tensor": lambda x, y, axis, size: cr.tensor([x, y, size]),
}


@settings(max_examples=150)
@given(x=arrays(), y=arrays(), axis=axis, size=size)
def test_anything_gives_a_result_or_a_chainrule_error(x, y, axis, size):
    """Drawing takes most of the time, so what is drawn is handed to all of them."""
    for name, call in CALLS.items():
        try:
            call(x, y, axis, size)
        except ChainruleError as error:
            assert len(str(error)) > 20, name
        except Exception as error:
            error.add_note(f"from {name}")
            raise


@given(a=shapes, b=shapes)
def test_shapes_that_do_not_broadcast(a, b):
    try:
        expected = np.broadcast_shapes(a, b)
    except ValueError:
        with pytest.raises(ShapeError, match=r"add got the shapes .* sizes must be equal or 1"):
            cr.add(np.ones(a), np.ones(b))
    else:
        assert cr.add(np.ones(a), np.ones(b)).shape == expected


M = np.ones((2, 3))
MESSAGES = {
    "matmul": (lambda: cr.matmul(M, M), ShapeError,
               r"matmul got the shapes \(2, 3\) and \(2, 3\); the last axis of the first, 3, must equal the second last axis "
               r"of the second, 2, and leading axes must broadcast. Transpose or reshape one of them."),
    "matmul of scalars": (lambda: cr.matmul(2.0, M), ShapeError, r"both need at least one axis. Use \* for scalars"),
    "affine": (lambda: cr.affine(M, M, np.ones(3)), ShapeError, r"affine got X \(2, 3\), W \(2, 3\) and b \(3,\)"),
    "axis": (lambda: cr.sum(M, 2), ArgumentError, "sum got axis 2; its input has 2 axes. Give an axis from -2 to 1."),
    "axis twice": (lambda: cr.sum(M, (0, 0)), ArgumentError, "each axis can be named once"),
    "float axis": (lambda: cr.sum(M, 0.5), ArgumentError, "sum got axis=0.5; it takes integers here"),
    "reshape": (lambda: cr.reshape(M, (4, 2)), ShapeError, r"the shape \(2, 3\) and the target \(4, 2\); .* 6 elements"),
    "reshape to negative": (lambda: cr.reshape(M, (-2, -3)), ShapeError, "the target must hold 6 elements"),
    "broadcast_to": (lambda: cr.broadcast_to(M, (2, 2)), ShapeError, "each size must be the target's or 1"),
    "transpose": (lambda: cr.transpose(M, (0, 0)), ArgumentError, "each axis must occur once. Give a permutation"),
    "squeeze": (lambda: cr.squeeze(M, 0), ShapeError, "squeeze got the shape .* it removes axes of size 1"),
    "concatenate": (lambda: cr.concatenate([M, np.ones((3, 2))]), ShapeError, "they may differ only along axis 0"),
    "concatenate nothing": (lambda: cr.concatenate([]), ArgumentError, "concatenate got nothing to join"),
    "stack": (lambda: cr.stack([M, M[0]]), ShapeError, "stack got the shapes .* they must be equal"),
    "split": (lambda: cr.split(cr.tensor(M), 2, 1), ShapeError, "the size 3 must be a multiple of the sections"),
    "pad": (lambda: cr.pad(M, [(1, 1)]), ArgumentError, r"one pair \(before, after\) of counts ≥ 0 per axis"),
    "pad with a half": (lambda: cr.pad(np.arange(3), 1, 0.5), ChainruleError, "pad got value=0.5 for int64"),
    "max of nothing": (lambda: cr.max(np.ones((0, 2)), 0), ShapeError, "max got the shape .* at least one element"),
    "variance of one": (lambda: cr.var([1.0], correction=1), ShapeError, "it needs more elements than the correction"),
    "einsum letters": (lambda: cr.einsum("ij,jk", M), ArgumentError, "einsum got the equation 'ij,jk' for 1 arrays"),
    "einsum sizes": (lambda: cr.einsum("ij,ij->i", M, M.T), ShapeError, "a letter has one size"),
    "einsum result": (lambda: cr.einsum("ij->ik", M), ArgumentError, "einsum got the result 'ik'"),
    "layer_norm": (lambda: cr.layer_norm(M, np.ones(2), np.ones(2)), ShapeError, "the shape of the last axes of x"),
    "batch_norm": (lambda: cr.batch_norm(M, *[np.ones(2)] * 4), ShapeError, "x is .batch, channels"),
    "loss": (lambda: cr.softmax_with_loss(M, np.ones(3)), ShapeError, "Turn class numbers into rows with one_hot"),
    "setting": (lambda: cr.ops.lookup("elu")(cr.tensor(1.0).node, slope=1.0), ArgumentError,
                "elu got the setting 'slope'; it takes alpha. Check the spelling"),
    "inputs": (lambda: cr.ops.lookup("add")(1.0), ArgumentError, "add got 1 inputs; it takes 2"),
    "rate": (lambda: cr.random.dropout_mask(3, 1.0), ArgumentError, "dropout_mask got rate=1.0; 0 ≤ rate < 1"),
    "seed": (lambda: cr.manual_seed(-1), ArgumentError, "the seed -1 was given; it must be an integer from 0"),
    "float seed": (lambda: cr.manual_seed(0.5), ArgumentError, "the seed 0.5 was given"),
    "integer noise": (lambda: cr.random.uniform(3, "int64"), ArgumentError, "it draws float32 or float64"),
    "item": (lambda: cr.tensor(M).item(), ShapeError, r"item was called on a Tensor of shape \(2, 3\).* Index it first"),
    "truth": (lambda: bool(cr.tensor(M) > 0), ShapeError, "it must hold one element"),
    "length": (lambda: len(cr.tensor(1.0)), ShapeError, "a Tensor without axes has no length"),
    "index": (lambda: [1, 2][cr.tensor(0.5)], ChainruleError, "an index is an integer"),
    "assign shape": (lambda: cr.parameter(M, name="W").assign(M.T), ShapeError,
                     r"a value of shape \(3, 2\) was assigned to the Tensor 'W' of shape \(2, 3\)"),
    "assign kind": (lambda: cr.tensor([1]).assign([0.5]), ChainruleError, "float64 was assigned to a Tensor of dtype int64"),
    "integer gradient": (lambda: cr.tensor([1], requires_grad=True), ChainruleError, "Write the numbers with a decimal point"),
    "backward of a vector": (lambda: cr.parameter(M).backward(), GradientError, r"shape \(2, 3\).*Reduce it with .sum"),
    "backward of a count": (lambda: cr.tensor(1).backward(), GradientError, "dtype int64 was asked for; it must be floating"),
}  # fmt: skip


@pytest.mark.parametrize("case", MESSAGES)
def test_messages(case):
    call, error, text = MESSAGES[case]
    with pytest.raises(error, match=text):
        call()
