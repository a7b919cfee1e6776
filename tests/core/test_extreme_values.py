"""Scores far from 0, infinities and NaN: values and gradients, eager and on every backend, as PyTorch has them or better."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.backends import available

INF, NAN = np.inf, np.nan


def _everywhere(function, *arrays):
    """What a function of Tensors gives, eager and compiled: lists of arrays."""
    for found in (function(*map(cr.tensor, arrays)), *(cr.compile(function, backend=b)(*arrays) for b in available())):
        yield [t.numpy() for t in found]


def _with_gradient(function):
    """The value of a function, and the gradient of its sum by the first argument."""

    def both(x, *others):
        y = function(x, *others)
        return y, *cr.grad(y.sum(), [x])

    return both


# -------------------------------------------------------------------------------------------- digits
LOGARITHMS = {
    "log_softmax": lambda x, t: cr.log_softmax(x),
    "log_softmax, weighted": lambda x, t: t * cr.log_softmax(x),
    "logsumexp": lambda x, t: cr.logsumexp(x, axis=-1),
    "softmax_with_loss": cr.softmax_with_loss,
}


@pytest.mark.parametrize("size", [1e4, 1e6])
@pytest.mark.parametrize("name", LOGARITHMS)
def test_scores_far_from_0_lose_no_digits(name, size):
    """In float32, beside float64 for the same scores: x − logsumexp x would be off by 1/2000 for scores of 10,000."""
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(20, 10)) * 3.0 + size).astype(np.float32)
    t = np.eye(10, dtype=np.float32)[rng.integers(0, 10, 20)]
    run = _with_gradient(LOGARITHMS[name])
    wanted = [v.numpy() for v in run(cr.tensor(x.astype(np.float64)), cr.tensor(t.astype(np.float64)))]
    for found in _everywhere(run, x, t):
        for array, exact in zip(found, wanted, strict=True):
            np.testing.assert_allclose(array, exact, rtol=2e-6, atol=1e-6 * np.abs(exact).max())


# -------------------------------------------------------------------------------------------- infinities
SOFTMAX_OF_1_AND_2 = [0.2689414213699951, 0.7310585786300049]
LOG_SOFTMAX_OF_1_AND_2 = [-1.3132616875182228, -0.3132616875182228]
# The function, its arguments, its value, and the gradient of its sum by the first argument.
INFINITE = {
    "binary_cross_entropy_with_logits": (
        cr.binary_cross_entropy_with_logits,
        ([INF, -INF, INF, -INF, NAN, 800.0], [0.0, 0.0, 1.0, 1.0, 0.5, 0.5]),
        [INF, 0.0, 0.0, INF, NAN, 400.0],
        [1.0, 0.0, 0.0, -1.0, NAN, 0.5],
    ),
    "softplus": (cr.softplus, ([INF, -INF, NAN, 800.0],), [INF, 0.0, NAN, 800.0], [1.0, 0.0, NAN, 1.0]),
    "logsumexp of −∞": (cr.logsumexp, ([-INF, 1.0, 2.0],), 2.313261687518223, [0.0, *SOFTMAX_OF_1_AND_2]),
    "logsumexp of ∞": (cr.logsumexp, ([INF, 1.0, 2.0],), INF, [NAN, 0.0, 0.0]),
    "logsumexp of −∞ alone": (cr.logsumexp, ([-INF, -INF],), -INF, [NAN, NAN]),
    "log_softmax of −∞": (
        cr.log_softmax,
        ([-INF, 1.0, 2.0],),
        [-INF, *LOG_SOFTMAX_OF_1_AND_2],
        [1.0, 1.0 - 3.0 * SOFTMAX_OF_1_AND_2[0], 1.0 - 3.0 * SOFTMAX_OF_1_AND_2[1]],
    ),
    "log_softmax of ∞": (cr.log_softmax, ([INF, 1.0],), [NAN, NAN], [NAN, NAN]),
    "log_softmax of −∞ alone": (cr.log_softmax, ([-INF, -INF],), [NAN, NAN], [NAN, NAN]),
    "softmax_with_loss, a class left out": (
        cr.softmax_with_loss,
        ([-INF, 1.0, 2.0], [0.0, 0.0, 1.0]),
        -LOG_SOFTMAX_OF_1_AND_2[1],
        [0.0, SOFTMAX_OF_1_AND_2[0], SOFTMAX_OF_1_AND_2[1] - 1.0],
    ),
}


@pytest.mark.parametrize("name", INFINITE)
def test_infinite_arguments(name):
    function, arguments, value, gradient = INFINITE[name]
    for found in _everywhere(_with_gradient(function), *map(np.array, arguments)):
        np.testing.assert_allclose(found[0], value, rtol=1e-12)
        np.testing.assert_allclose(found[1], gradient, rtol=1e-12, atol=1e-15)


# -------------------------------------------------------------------------------------------- NaN
NOT_A_NUMBER = {
    "relu": (cr.relu, ([NAN, -1.0, 2.0],), [1.0, 0.0, 1.0]),
    "leaky_relu": (cr.leaky_relu, ([NAN, -1.0, 2.0],), [0.01, 0.01, 1.0]),
    "clip": (lambda x: cr.clip(x, -1.5, 1.5), ([NAN, -1.0, 2.0],), [0.0, 1.0, 0.0]),
    "where": (lambda x: cr.where(x > 0.0, x, 0.0), ([NAN, -1.0, 2.0],), [0.0, 0.0, 1.0]),
    "max": (cr.max, ([NAN, 1.0, 2.0],), [1.0, 0.0, 0.0]),
    "min": (cr.min, ([1.0, NAN, NAN, 2.0],), [0.0, 0.5, 0.5, 0.0]),
    "max of one row": (lambda x: cr.max(x, axis=1), ([[NAN, 1.0], [3.0, 3.0]],), [[1.0, 0.0], [0.5, 0.5]]),
    "max_pool": (lambda x: cr.max_pool(x.reshape(1, 1, -1), 2), ([1.0, NAN, 2.0, 1.0],), [0.0, 1.0, 1.0, 0.0]),
    "global_max_pool": (lambda x: cr.global_max_pool(x.reshape(1, 1, -1)), ([1.0, NAN, 2.0],), [0.0, 1.0, 0.0]),
    **{
        name: (function, ([NAN, 1.0, NAN, INF, 2.0], [1.0, NAN, NAN, INF, 2.0]), [1.0, 1.0, 1.0, 0.5, 0.5])
        for name, function in {
            "maximum": cr.maximum,
            "maximum, the other one": lambda a, b: cr.maximum(b, a),
            "minimum": cr.minimum,
            "minimum, the other one": lambda a, b: cr.minimum(b, a),
        }.items()
    },
}


@pytest.mark.parametrize("name", NOT_A_NUMBER)
def test_gradients_at_nan(name):
    """What lets a NaN through in the forward pass lets its gradient through; what is outside the bounds of clip gets none."""
    function, arguments, gradient = NOT_A_NUMBER[name]
    for _, derivative in _everywhere(_with_gradient(function), *map(np.array, arguments)):
        np.testing.assert_array_equal(derivative, gradient)


# -------------------------------------------------------------------------------------------- −0
@pytest.mark.parametrize("settings", [(2,), (2, 1), (4,), (3, 1, 1), (1,)])
def test_the_mean_over_windows_of_minus_0_is_0(settings):
    """As a sum that starts from 0 has it, and so NumPy's."""
    for (found,) in _everywhere(lambda x: [cr.avg_pool(x, *settings)], np.full((1, 2, 4), -0.0)):
        assert not np.signbit(found).any()
