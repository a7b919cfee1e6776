"""The graph itself: its rules, its printed form, its order."""

import numpy as np
import pytest

from chainrule import ir, ops
from chainrule.errors import DTypeError, GraphError
from chainrule.ir import Graph, Node, placeholder
from chainrule.ops.activations import sigmoid
from chainrule.ops.elementwise import exp
from chainrule.ops.linear import matmul

F8 = np.dtype(np.float64)


def _leaf(op="input", shape=(2,), name=None):
    return placeholder(op, shape, F8, name)


def _undeclared_input():
    return Graph((), (exp(_leaf()),))


def _undeclared_state():
    return Graph((), (exp(_leaf("variable")),))


def _constant_without_value():
    return Graph((), (Node("constant", (), {}, (2,), F8),))


def _wrong_shape():
    x = _leaf()
    return Graph((x,), (Node("exp", (x,), {}, (3,), F8),))


def _wrong_dtype():
    x = _leaf()
    return Graph((x,), (Node("exp", (x,), {}, (2,), np.dtype(np.float32)),))


def _missing_update():
    return Graph((), (), (_leaf("variable"),), ())


def _update_of_another_shape():
    w = _leaf("variable", name="w")
    return Graph((), (), (w,), (_leaf(shape=(3,)),))


BROKEN = {
    _undeclared_input: "is read but is neither an input nor state of the graph",
    _undeclared_state: "<variable float64.2.> is read but is neither an input nor state",
    _constant_without_value: "<constant float64.2.> has no value",
    _wrong_shape: "<exp float64.3.> should be float64.2. by the rule of exp",
    _wrong_dtype: "<exp float32.2.> should be float64.2. by the rule of exp",
    _missing_update: "the graph has 1 state leaves and 0 updates; each needs one",
    _update_of_another_shape: "the state <variable 'w' float64.2.> is updated by .* shape and dtype must stay the same",
}


@pytest.mark.parametrize("make", BROKEN, ids=lambda f: f.__name__)
def test_the_verifier_refuses_broken_graphs(make):
    with pytest.raises(GraphError, match=BROKEN[make]):
        ir.verify(make(), ops.infer)


def test_the_verifier_accepts_a_good_graph():
    x, w = _leaf(shape=(2, 3), name="x"), _leaf("variable", (3, 1), "W")
    ir.verify(Graph((x,), (sigmoid(matmul(x, w)),), (w,), (w * 0.5,)), ops.infer)


def test_an_unknown_primitive_is_named():
    x = _leaf()
    with pytest.raises(Exception, match="there is no primitive named 'frobnicate'"):
        ir.verify(Graph((x,), (Node("frobnicate", (x,), {}, (2,), F8),)), ops.infer)


def test_the_printed_form():
    x, w = _leaf(shape=(2, 3), name="x"), _leaf("variable", (3, 1), "W")
    h = sigmoid(matmul(x, w))
    h.name = "h"
    loss = ops.reduction.sum(h * 2.0, axis=0)
    graph = Graph((x,), (loss,), (w,), (w - 0.1 * w,))
    assert str(graph).splitlines() == [
        "graph(x: float64[2, 3]) state(W: float64[3, 1])",
        "  %2 = matmul(x, W) : float64[2, 1]",
        "  h = sigmoid(%2) : float64[2, 1]",
        "  %4 = constant 2.0 : float64[]",
        "  %5 = multiply(h, %4) : float64[2, 1]",
        "  %6 = sum(%5, axis=(0,), keepdims=False) : float64[1]",
        "  %7 = constant 0.1 : float64[]",
        "  %8 = multiply(%7, W) : float64[3, 1]",
        "  %9 = subtract(W, %8) : float64[3, 1]",
        "  W <- %9",
        "  return %6",
    ]


def test_equal_names_are_told_apart_in_print():
    a, b = _leaf(name="x"), _leaf(name="x")
    text = str(Graph((a, b), (a + b,)))
    assert "graph(x: float64[2], %1: float64[2])" in text
    assert "add(x, %1)" in text


def test_order_lists_inputs_before_readers_and_each_node_once():
    x = _leaf()
    a, b = exp(x), x * x
    y = a + b + a
    order = ir.topological([y, b])
    assert len(order) == len(set(order))
    assert all(order.index(i) < order.index(n) for n in order for i in n.inputs)
    assert ir.topological([y], stop=lambda n: n is a or n is b)[0] is a


def test_nodes_do_not_change_their_attributes():
    node = ops.lookup("sum")(_leaf(), axis=0)
    with pytest.raises(TypeError, match="does not support item assignment"):
        node.attributes["axis"] = (1,)


def test_node_properties_and_repr():
    node = _leaf(shape=(2, 3), name="x")
    assert (node.ndim, node.size) == (2, 6)
    assert repr(node) == "<input 'x' float64[2, 3]>"


@pytest.mark.parametrize("dtype", ["float16", "complex128", "int8", "uint64", "datetime64[s]", "U1", object])
def test_other_dtypes_are_refused(dtype):
    with pytest.raises(DTypeError, match="chainrule computes with bool, uint8, int32, int64, float32, float64"):
        ir.as_dtype(dtype)


def test_words_that_are_no_dtype_are_refused():
    with pytest.raises(DTypeError, match="the dtype floaty was given"):
        ir.as_dtype("floaty")
