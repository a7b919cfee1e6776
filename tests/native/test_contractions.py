"""Matrix products of many shapes, transposed operands included, with and without something done to the result."""

import numpy as np
import pytest
from comparing import assert_same_run, planned
from hypothesis import given, settings
from hypothesis import strategies as st

from chainrule import ir, ops
from chainrule.backends.native.plan import lower, tiling
from chainrule.backends.native.plan.kernels import Contraction
from chainrule.backends.native.target import host

SHAPES = [(2, 2, 1), (2, 3, 5), (7, 17, 3), (33, 16, 20), (5, 100, 40), (64, 10, 33), (13, 65, 70), (130, 48, 300)]


def _factor(shape, dtype, transposed, rng):
    """A leaf with its array, and a node of the shape: the leaf itself or its transpose."""
    own = shape[::-1] if transposed else shape
    leaf = ir.placeholder("input", own, dtype)
    return leaf, rng.normal(size=own).astype(dtype), ops.lookup("transpose")(leaf, axes=(1, 0)) if transposed else leaf


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_products(shape, level):
    """A B, Aᵀ B, A Bᵀ and Aᵀ Bᵀ; plain, and with a bias, an activation and its mask."""
    rows, columns, depth = shape
    rng = np.random.default_rng(0)
    inputs, arrays, outputs = [], [], []
    for dtype in (np.float32, np.float64):
        bias = ir.placeholder("input", (columns,), dtype)
        inputs.append(bias)
        arrays.append(rng.normal(size=columns).astype(dtype))
        for turn_a, turn_b in ((False, False), (True, False), (False, True), (True, True)):
            a_leaf, a_array, a = _factor((rows, depth), dtype, turn_a, rng)
            b_leaf, b_array, b = _factor((depth, columns), dtype, turn_b, rng)
            inputs += [a_leaf, b_leaf]
            arrays += [a_array, b_array]
            product = a @ b
            outputs.append(product if turn_a else ops.lookup("maximum")(product + bias, 0.0))
    assert_same_run(ir.Graph(tuple(inputs), tuple(outputs)), arrays)


def test_stacks_of_matrices(level):
    rng = np.random.default_rng(0)
    shapes = [
        ((4, 5, 6), (4, 6, 7)),
        ((2, 1, 5, 6), (3, 6, 7)),
        ((4, 5, 6), (6, 7)),
        ((5, 6), (4, 6, 7)),
        ((3, 1, 6), (3, 6, 2)),
    ]
    inputs, arrays, outputs = [], [], []
    for pair in shapes:
        leaves = [ir.placeholder("input", s, np.float64) for s in pair]
        inputs += leaves
        arrays += [rng.normal(size=s) for s in pair]
        product = leaves[0] @ leaves[1]
        outputs += [product, ops.lookup("tanh")(product) * 2.0]
    assert_same_run(ir.Graph(tuple(inputs), tuple(outputs)), arrays)


def test_update_of_weights_happens_in_the_product_that_makes_the_gradient():
    x, g = (ir.placeholder("input", s, np.float32) for s in ((8, 20), (8, 30)))
    w, m = (ir.placeholder("variable", (20, 30), np.float32) for _ in range(2))
    gradient = ops.lookup("transpose")(x, axes=(1, 0)) @ g
    momentum = 0.9 * m + gradient
    graph = ir.Graph((x, g), (ops.lookup("sum")(x),), (w, m), (w - 0.1 * momentum, momentum))
    (product,) = (s.kernel for s in planned(graph).calls if isinstance(s.kernel, Contraction))
    assert len(product.epilogue.stores) == 2


def test_a_product_that_is_only_read_transposed_is_made_transposed():
    x, g = (ir.placeholder("input", s, np.float64) for s in ((8, 20), (8, 30)))
    transposed = ops.lookup("transpose")(ops.lookup("transpose")(x, axes=(1, 0)) @ g, axes=(1, 0))
    graph = ir.Graph((x, g), (transposed,))
    assert len(planned(graph).calls) == 1
    rng = np.random.default_rng(0)
    assert_same_run(graph, [rng.normal(size=(8, 20)), rng.normal(size=(8, 30))])


@given(
    rows=st.integers(2, 3000),
    columns=st.integers(2, 3000),
    depth=st.integers(1, 3000),
    dtype=st.sampled_from(["float32", "float64"]),
)
@settings(max_examples=60, deadline=None)
def test_tiles_fit_into_the_registers(rows, columns, depth, dtype):
    target = host()
    tile = tiling.choose(rows, columns, (depth,), (depth, 1), (1, columns), dtype=np.dtype(dtype), target=target, epilogue=True)
    assert tile.rows * tile.vectors + tile.vectors + 1 <= target.registers
    assert 1 <= tile.rows <= rows
    assert tile.block == rows or tile.block % tile.rows == 0
    assert tile.lanes * np.dtype(dtype).itemsize <= target.vector_bytes


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("shape", [(23, 600, 530), (300, 530, 777)], ids=str)
def test_update_of_a_large_matrix(shape, threads, level, monkeypatch):
    """Long pieces of rows, and packed rows of both factors."""
    monkeypatch.setattr(lower, "_WORTH_THREADS", 0)
    monkeypatch.setenv("CHAINRULE_THREADS", str(threads))
    batch, inputs, outputs = shape
    x, g = (ir.placeholder("input", (batch, n), np.float32) for n in (inputs, outputs))
    w, m = (ir.placeholder("variable", (inputs, outputs), np.float32) for _ in range(2))
    momentum = 0.9 * m + ops.lookup("transpose")(x, axes=(1, 0)) @ g
    graph = ir.Graph((x, g), (ops.lookup("sum")(x),), (w, m), (w - 0.1 * momentum, momentum))
    (product,) = (s.kernel for s in planned(graph).calls if isinstance(s.kernel, Contraction))
    assert product.tiling.strips > 1
    assert product.tiling.rows_packed
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=(batch, n)).astype(np.float32) for n in (inputs, outputs)]
    state = [rng.normal(size=(inputs, outputs)).astype(np.float32) for _ in range(2)]
    assert_same_run(graph, arrays, state)
