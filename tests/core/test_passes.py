"""Every pass can be switched off, and none changes what a graph computes."""

import numpy as np
import pytest
from hypothesis import given, settings

from chainrule import ir, ops
from chainrule.backends import available, get
from chainrule.ir import Graph, placeholder
from chainrule.ops.elementwise import divide, multiply, negative, power
from chainrule.ops.shape import reshape, transpose
from chainrule.passes import PASSES, expand_blocks, simplify
from random_graphs import evaluate, random_graph


def _agree(found, expected):
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)


@settings(max_examples=100)
@given(random_graph())
def test_passes_on_and_off_give_the_same(drawn):
    graph, arrays = drawn
    expected = evaluate(graph, arrays)
    for disable in [(), tuple(PASSES), *((name,) for name in PASSES)]:
        smaller = simplify(graph, disable)
        ir.verify(smaller, ops.infer)
        _agree(evaluate(smaller, arrays), expected)
    expanded = expand_blocks(graph)
    ir.verify(expanded, ops.infer)
    assert all(n.op in ir.LEAVES or ops.lookup(n.op).body is None for n in expanded.nodes())
    _agree(evaluate(expanded, arrays), expected)
    simplified = simplify(expanded)
    assert len(simplified.nodes()) <= len(expanded.nodes())
    _agree(evaluate(simplified, arrays), expected)


@pytest.mark.parametrize("backend", [get(name) for name in available()], ids=available())
@settings(max_examples=20)
@given(random_graph())
def test_backends_run_random_graphs(backend, drawn):
    graph, arrays = drawn
    _agree(backend.compile(graph).run(arrays, []), evaluate(graph, arrays))


def _x(shape=(2, 3)):
    return placeholder("input", shape, np.float64, "x")


NOTHING_TO_DO = {
    "x + (-0)": lambda x: x + -0.0,
    "-0 + x": lambda x: -0.0 + x,
    "x - 0": lambda x: x - 0.0,
    "x * 1": lambda x: x * 1.0,
    "1 * x": lambda x: 1.0 * x,
    "x / 1": lambda x: x / 1.0,
    "x ^ 1": lambda x: power(x, 1.0),
    "--x": lambda x: negative(negative(x)),
    "reshape": lambda x: reshape(x, x.shape),
    "transpose twice": lambda x: transpose(transpose(x)),
    "transpose to itself": lambda x: transpose(x, (0, 1)),
    "all at once": lambda x: negative(negative(multiply(1.0, x) / 1.0 - 0.0)),
}


@pytest.mark.parametrize("case", NOTHING_TO_DO)
def test_identities_leave_out_what_does_nothing(case):
    x = _x()
    graph = simplify(Graph((x,), (NOTHING_TO_DO[case](x),)))
    assert graph.outputs == (x,)
    kept = simplify(Graph((x,), (NOTHING_TO_DO[case](x),)), disable=["identities"])
    assert kept.outputs != (x,)


SOMETHING_TO_DO = {
    "0 - x": lambda x: 0.0 - x,
    "1 / x": lambda x: divide(1.0, x),
    "1 ^ x": lambda x: power(1.0, x),
    "larger": lambda x: x + np.zeros((2, 2, 3)).tolist()[0][0][0] * reshape(x, (1, 2, 3)),
    "transpose": transpose,
    "broadcast by + 0": lambda x: x + ir.constant(np.zeros((4, 2, 3))),
}


@pytest.mark.parametrize("case", SOMETHING_TO_DO)
def test_identities_keep_what_does_something(case):
    x = _x()
    graph = simplify(Graph((x,), (SOMETHING_TO_DO[case](x),)))
    assert graph.outputs != (x,)


def test_share_computes_equal_things_once():
    x = _x()
    graph = Graph((x,), (ops.lookup("exp")(x) * 2.0 + ops.lookup("exp")(x) * 2.0,))
    assert [n.op for n in simplify(graph).nodes()] == ["input", "exp", "constant", "multiply", "add"]
    assert [n.op for n in simplify(graph, ["share"]).nodes()].count("exp") == 2


def test_share_keeps_different_attributes_dtypes_and_signs_of_zero_apart():
    x = _x()
    total = ops.lookup("sum")
    kept = simplify(Graph((x,), (total(x, axis=0), total(x, axis=1)))).outputs
    assert kept[0] is not kept[1]
    zeros = Graph((), (ir.constant(0.0), ir.constant(-0.0), ir.constant(0.0, np.float32)))
    assert len(set(simplify(zeros).outputs)) == 3


def test_fold_computes_constants_beforehand_unless_they_are_large():
    x = _x(())
    small = ops.lookup("exp")(ir.Node("constant", (), {}, (), np.dtype(float), None, np.array(1.0)))
    (folded,) = simplify(Graph((x,), (x * small,))).outputs
    assert folded.inputs[1].op == "constant"
    assert folded.inputs[1].value == np.e
    large = ops.lookup("broadcast_to")(ir.constant(1.0), shape=(100, 100))
    assert simplify(Graph((), (large,))).outputs[0].op == "broadcast_to"


def test_what_nothing_needs_drops_out():
    x = _x()
    ops.lookup("exp")(x)
    graph = Graph((x,), (x * 2.0,))
    assert all(n.op != "exp" for n in simplify(graph).nodes())


def test_blocks_can_be_kept():
    x = _x()
    y = ops.lookup("softmax")(ops.lookup("gelu")(x), axis=-1)
    kept = expand_blocks(Graph((x,), (y,)), keep=lambda n: n.op == "gelu")
    found = {n.op for n in kept.nodes()}
    assert "gelu" in found
    assert "softmax" not in found


def test_passes_update_state_as_before():
    w = placeholder("variable", (2,), np.float64, "w")
    graph = simplify(Graph((), (w * 1.0,), (w,), (w - 0.0,)))
    assert graph.outputs == (w,)
    assert graph.updates == (w,)
