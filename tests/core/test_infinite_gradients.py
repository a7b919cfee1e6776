"""An infinite gradient that arrives at an element that was not taken is 0 there, and not 0 · ∞ = NaN."""

from math import factorial

import numpy as np
import pytest

import chainrule as cr
from chainrule.backends import available

X = np.array([-4.0, -1.0, 4.0])


def _windows(x):
    """A window per element of x, with a 0 in it."""
    return cr.stack([x, cr.zeros(x.shape)], axis=-1).reshape(1, 1, -1)


# Every way to take x where it is positive and 0 elsewhere.
TAKEN = {
    "relu": cr.relu,
    "clip": lambda x: cr.clip(x, 0.0, 9.0),
    "clip from below": lambda x: cr.clip(x, 0.0),
    "where": lambda x: cr.where(x > 0.0, x, 0.0),
    "where not": lambda x: cr.where(x <= 0.0, 0.0, x),
    "maximum": lambda x: cr.maximum(x, 0.0),
    "maximum of zeros": lambda x: cr.maximum(np.zeros(3), x),
    "minimum": lambda x: -cr.minimum(-x, 0.0),
    "max": lambda x: cr.stack([x, cr.zeros(x.shape)]).max(axis=0),
    "min": lambda x: -cr.stack([-x, cr.zeros(x.shape)]).min(axis=0),
    "max_pool": lambda x: cr.max_pool(_windows(x), 2).reshape(-1),
    "global_max_pool": lambda x: cr.global_max_pool(_windows(x).reshape(1, 3, 2)).reshape(-1),
    "leaky_relu": lambda x: cr.leaky_relu(x, slope=0.0),
    "relu twice": lambda x: cr.relu(cr.relu(x)),
}
# f, f′ and f″, of which the latter two are infinite at 0.
OUTER = {
    "sqrt": (cr.sqrt, lambda x: 0.5 * x**-0.5, lambda x: -0.25 * x**-1.5),
    "log": (cr.log, lambda x: 1 / x, lambda x: -1 / x**2),
    "power": (lambda y: y**0.3, lambda x: 0.3 * x**-0.7, lambda x: -0.21 * x**-1.7),
    "power of arrays": (lambda y: y ** np.full(3, 0.3), lambda x: 0.3 * x**-0.7, lambda x: -0.21 * x**-1.7),
}


@pytest.mark.parametrize("taken", TAKEN)
def test_an_infinite_gradient_stops_where_nothing_was_taken(taken):
    def derivatives(x):
        found = {}
        for name, (function, _, _) in OUTER.items():
            (g,) = cr.grad(function(TAKEN[taken](x)).sum(), [x])
            found[name] = [g, *cr.grad(g.sum(), [x])]
        return found

    for found in (derivatives(cr.tensor(X)), *(cr.compile(derivatives, backend=name)(X) for name in available())):
        for name, (_, first, second) in OUTER.items():
            for derivative, formula in zip(found[name], (first, second), strict=True):
                np.testing.assert_allclose(derivative.numpy(), [0.0, 0.0, formula(4.0)], rtol=1e-12, err_msg=name)


@pytest.mark.parametrize("name", ["relu", "maximum", "max_pool"])
def test_finite_gradients_of_a_training_step_in_float32_stay_what_they_were(name):
    x = np.array([-1.0, 0.5, 2.0], np.float32)
    (g,) = cr.grad(((3.0 * TAKEN[name](w := cr.parameter(x))) ** 2).sum(), [w])
    assert g.dtype == np.float32
    np.testing.assert_array_equal(g.numpy(), np.array([0.0, 9.0, 36.0], np.float32))


def test_the_larger_of_two_gets_all_and_both_get_half_at_a_tie():
    a, b = cr.parameter([1.0, 2.0, 3.0]), cr.parameter([2.0, 2.0, 2.0])
    for function, shares in ((cr.maximum, [0.0, 0.5, 1.0]), (cr.minimum, [1.0, 0.5, 0.0])):
        (da, db) = cr.grad(function(a, b).sum(), [a, b])
        assert da.tolist() == shares
        assert db.tolist() == shares[::-1]


@pytest.mark.parametrize("exponent", [0.0, 1.0, 2.0, 3.0, 4.0])
def test_powers_with_array_exponents_have_their_derivatives_at_0(exponent):
    """d^k/dx^k xⁿ at 0 is n! where k = n, else 0."""

    def derivatives(x, n):
        found = [x**n]
        for _ in range(3):
            (y,) = cr.grad(found[-1].sum(), [x])
            found.append(y + 0.0 * x)  # a constant has a derivative, too
        return found[1:]

    wanted = [[float(factorial(order)) if order == exponent else 0.0] * 2 for order in (1, 2, 3)]
    n = np.full(2, exponent)
    for run in (derivatives, *(cr.compile(derivatives, backend=name) for name in available())):
        assert [y.tolist() for y in run(cr.tensor(np.zeros(2)), n)] == wanted


def test_the_mixed_derivative_of_a_power_at_exponent_0():
    """∂²(aᵇ)/∂a∂b = 1/a at b = 0, in either order."""
    a, b = cr.parameter([2.0, 0.5]), cr.parameter([0.0, 0.0])
    for first, second in ((a, b), (b, a)):
        (g,) = cr.grad((a**b).sum(), [first])
        assert cr.grad(g.sum(), [second])[0].tolist() == [0.5, 2.0]
