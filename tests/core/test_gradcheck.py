"""The tester is tested: planted wrong rules must be caught."""

from dataclasses import replace

import numpy as np
import pytest

import chainrule as cr
from chainrule import autodiff, ops
from chainrule.backends.reference import REFERENCE
from chainrule.errors import DTypeError, GraphError
from chainrule.ops.elementwise import stop_gradient
from chainrule.ops.primitive import PRIMITIVES, pullbacks
from chainrule.ops.reduction import broadcast_to
from chainrule.ops.shape import reshape, take_range
from chainrule.testing import GradientMismatch, check_primitive, check_primitive_on, gradcheck


def _times(factor, rule):
    return lambda *inputs, **settings: factor * rule(*inputs, **settings)


def _wrong_matmul(g, node, index):
    """dA = dY B in place of dY Bᵀ, for square matrices."""
    a, b = node.inputs
    return g @ b if index == 0 else a @ g


def _wrong_mean(g, node):
    """The whole g for every element: 1/n forgotten."""
    return broadcast_to(reshape(g, ()), node.inputs[0].shape)


def _case(*inputs, **attributes):
    return lambda rng: ops.Case(tuple(map(np.array, inputs)), attributes)


SQUARES = _case([[1.0, 2.0], [-0.5, 0.3]], [[0.2, -1.0], [1.5, 0.7]])

PLANTED = {
    "factor 2": ("tanh", {"partials": (_times(2.0, PRIMITIVES["tanh"].partials[0]),)}),
    "sign": ("sin", {"partials": (_times(-1.0, PRIMITIVES["sin"].partials[0]),)}),
    "partial of the other input": ("divide", {"partials": PRIMITIVES["divide"].partials[::-1]}),
    "forgotten": ("exp", {"partials": (lambda x, y: 0.0,)}),
    "one part in ten thousand": ("log", {"partials": (_times(1.0 + 1e-4, PRIMITIVES["log"].partials[0]),)}),
    "transposed": ("matmul", {"pullback": _wrong_matmul, "cases": SQUARES}),
    "not divided by n": ("mean", {"pullback": pullbacks(_wrong_mean), "cases": _case([0.4, 1.2], axis=None, keepdims=False)}),
    "wrong at second order only": ("sin", {"partials": (lambda x, y: ops.elementwise.cos(stop_gradient(x)),)}),
    "pullback unlike the body": ("softmax", {"pullback": pullbacks(lambda g, node: node * g)}),
    "body unlike the partial": ("gelu", {"body": lambda x: x * ops.activations.sigmoid(1.702 * x)}),
}


@pytest.mark.parametrize("planted", PLANTED)
def test_planted_wrong_rule_is_caught(planted, monkeypatch):
    name, changes = PLANTED[planted]
    wrong = replace(PRIMITIVES[name], **changes)
    monkeypatch.setitem(PRIMITIVES, name, wrong)
    with pytest.raises(GradientMismatch):
        for seed in range(3):
            check_primitive(wrong, seed)


def test_missing_broadcast_sum_is_caught(monkeypatch):
    def first_only(g, shape):
        return g if g.shape == shape else reshape(take_range(g, 0, 0, 1), shape)

    monkeypatch.setattr(autodiff, "sum_to", first_only)
    with pytest.raises(GradientMismatch, match="by input 1"):
        gradcheck(lambda a, b: a + b, [np.ones((2, 3)), np.ones(3)], order=1)


def test_a_gradient_through_stop_gradient_is_caught(monkeypatch):
    leaking = replace(PRIMITIVES["stop_gradient"], partials=(lambda x, y: 1.0,))
    monkeypatch.setitem(PRIMITIVES, "stop_gradient", leaking)
    with pytest.raises(GradientMismatch, match="stop_gradient let a gradient pass"):
        check_primitive(leaking, 0)


def test_a_wrong_dtype_rule_is_caught(monkeypatch):
    wrong = replace(PRIMITIVES["argmax"], infer=lambda inputs, a: (PRIMITIVES["max"].infer(inputs, a)[0], np.dtype(np.int32)))
    with pytest.raises(GraphError, match="the primitive argmax computes int64"):
        check_primitive(wrong, 0)


def test_float32_that_becomes_float64_is_caught(monkeypatch):
    wrong = replace(
        PRIMITIVES["tanh"],
        infer=lambda inputs, a: (inputs[0].shape, np.dtype(np.float64)),
        evaluate=lambda x: np.tanh(x.astype(np.float64)),
    )
    monkeypatch.setitem(PRIMITIVES, "tanh", wrong)
    with pytest.raises(AssertionError, match="tanh: float32 became"):
        check_primitive(wrong, 0)


def test_a_backend_that_computes_something_else_is_caught():
    class Wrong:
        name = "wrong"

        def compile(self, graph, threads=None):
            program = REFERENCE.compile(graph)

            class Halved:
                def run(self, inputs, state):
                    return [a * 0.5 for a in program.run(inputs, state)]

            return Halved()

    with pytest.raises(AssertionError, match="wrong: exp"):
        check_primitive_on(Wrong(), PRIMITIVES["exp"], 0)


def test_gradcheck_message_names_input_order_and_numbers():
    with pytest.raises(GradientMismatch) as caught:
        gradcheck(lambda a, b: a * cr.stop_gradient(b), [np.array([1.0, 2.0]), np.array([3.0, 0.5])])
    text = str(caught.value)
    assert "order 1 by input 1" in text
    assert "differences of forward values give" in text
    assert "not at a kink" in text


def test_gradcheck_refuses_float32():
    with pytest.raises(DTypeError, match="gradcheck got input 0 in float32; differences need float64"):
        gradcheck(cr.exp, [np.ones(2, np.float32)])


def test_gradcheck_passes_integers_on():
    gradcheck(lambda x, i: x[i] ** 2, [np.array([0.5, 1.5, -1.0]), np.array([2, 0, 2])])


def test_gradcheck_finds_a_kink():
    with pytest.raises(GradientMismatch):
        gradcheck(cr.abs, [np.array([1e-4])])


def test_gradcheck_of_a_linear_function():
    gradcheck(lambda x: 3.0 * x, [np.array([1.0, -2.0])])
