"""What eager code refuses because of values, machine code refuses with the same words, before it changes any state."""

import numpy as np
import pytest
from comparing import held

import chainrule as cr
from chainrule import ir, ops
from chainrule.backends import available
from chainrule.backends.native import NATIVE
from chainrule.backends.native.code import object_code
from chainrule.errors import ArgumentError


@pytest.fixture(autouse=True)
def few_of_llvms_passes(monkeypatch):
    monkeypatch.setattr(object_code, "_SMALL", 0)


POWERS = {
    "as given": lambda x, y: x**y,
    "computed": lambda x, y: (x ** (2 * y)).sum(),
    "broadcast": lambda x, y: x ** cr.reshape(y, (-1, 1)),
    "in a mask": lambda x, y: cr.where(x > 100, x**y, 0),
    "of a single number": lambda x, y: x ** y[1],
    "constant": lambda x, y: x**-3,
    "several constants": lambda x, y: x ** np.array([1, -3]),
}


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
@pytest.mark.parametrize("function", POWERS.values(), ids=POWERS)
@pytest.mark.parametrize("backend", ["eager", *available()])
def test_negative_exponents_of_integers(function, dtype, backend):
    x, y = np.array([2, 3], dtype), np.array([1, -3], dtype)
    run = function if backend == "eager" else cr.compile(function, backend=backend)
    with pytest.raises(ArgumentError, match=r"the negative integer exponent -[36]; the result is no integer\. Use"):
        run(cr.tensor(x), cr.tensor(y))


@pytest.mark.parametrize("backend", available())
def test_other_exponents_of_integers(backend):
    x, y = np.array([2, -3, 5]), np.array([3, 0, 40])
    found = cr.compile(lambda a, b: (a**b, a**2, b ** abs(a)), backend=backend)(x, y)
    for ours, wanted in zip(found, (x**y, x**2, y ** abs(x)), strict=True):
        np.testing.assert_array_equal(ours.numpy(), wanted)


def test_a_refused_exponent_leaves_state_alone():
    """It is needed by the update only, and is in the third step of several."""
    n = ir.placeholder("input", (1,), np.int64)
    w = ir.placeholder("variable", (1,), np.int64)
    graph = ir.Graph((n,), (ops.lookup("sum")(n * 1.0),), (w,), (w + ops.lookup("power")(w, n),))
    state = held(np.array([2]))
    with pytest.raises(ArgumentError, match="negative integer exponent -1"):
        NATIVE.compile(graph).run_steps([np.array([3, 1, -1])], np.array([[0], [1], [2]]), [], state)
    np.testing.assert_array_equal(state[0].read(), [20])
