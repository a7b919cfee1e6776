"""The functions that are evaluated as polynomials: errors in units in the last place, and special values."""

import math

import numpy as np
import pytest
from comparing import compiled

from chainrule import ir, ops

# name: the exact function in higher precision, the range, and the promised errors (float32, float64) in ulp.
FUNCTIONS = {
    "exp": (np.exp, (-80.0, 80.0), (2, 2)),
    "expm1": (np.expm1, (-20.0, 20.0), (2, 2)),
    "log": (np.log, (1e-30, 1e30), (2, 2)),
    "log1p": (np.log1p, (-0.99, 1e3), (2, 2)),
    "tanh": (np.tanh, (-12.0, 12.0), (2, 2)),
    "sin": (np.sin, (-1e4, 1e4), (2, 2)),
    "cos": (np.cos, (-1e4, 1e4), (2, 2)),
    "erf": (None, (-7.0, 7.0), (2, 2)),
    "sqrt": (np.sqrt, (0.0, 1e6), (1, 1)),
}
SPECIAL = [0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 1e-300, -1e-300, 5e-324, 1e-40, 1e-45, 1e5, -1e5, 710.0, -746.0, 89.0]


def _points(low, high, dtype):
    rng = np.random.default_rng(0)
    if low > 0:
        spread = np.exp(rng.uniform(np.log(low), np.log(high), 20_000))
        return np.concatenate([spread, rng.uniform(0.5, 2.0, 20_000)]).astype(dtype)
    small = rng.uniform(-1, 1, 20_000) * 10.0 ** rng.uniform(-8, 0, 20_000)
    found = np.concatenate([rng.uniform(low, high, 20_000), small]).astype(dtype)
    return found[(found >= low) & (found <= high)]


def _exact(name, x):
    exact = FUNCTIONS[name][0]
    if exact is None:
        return np.array([math.erf(v) for v in x.astype(np.float64).tolist()], np.longdouble)
    return exact(x.astype(np.longdouble))


def _run(name, x):
    leaf = ir.placeholder("input", x.shape, x.dtype)
    with np.errstate(all="ignore"):
        return compiled(ir.Graph((leaf,), (ops.lookup(name)(leaf),))).run([x], [])[0]


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_error_in_ulp(name, dtype, level):
    _, (low, high), bounds = FUNCTIONS[name]
    x = _points(low, high, dtype)
    wanted = _exact(name, x)
    error = np.abs(_run(name, x).astype(np.longdouble) - wanted) / np.spacing(np.abs(wanted.astype(dtype)))
    worst = int(np.argmax(error))
    assert error[worst] <= bounds[dtype == np.float64] + 0.01, f"{float(error[worst]):.2f} ulp at {x[worst]!r}"


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_special_values(name, dtype):
    with np.errstate(all="ignore"):
        x = np.array(SPECIAL).astype(dtype)
        if name in ("sin", "cos"):
            x[~(np.abs(x) <= 1e6)] = np.nan  # infinite and huge angles are outside what is promised
        wanted = _exact(name, x).astype(dtype)
        found = _run(name, x)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(wanted))
    np.testing.assert_allclose(found, wanted, rtol=3e-6 if dtype == np.float32 else 1e-14, atol=0.0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_powers(dtype, level):
    rng = np.random.default_rng(0)
    a = np.concatenate([rng.uniform(-3, 3, 200), [0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 2.0, -2.0]]).astype(dtype)
    b = rng.choice([-3.0, -1.0, -0.5, 0.0, 0.3, 0.5, 1.0, 2.0, 3.0, 7.0], a.size).astype(dtype)
    x, y = ir.placeholder("input", a.shape, dtype), ir.placeholder("input", a.shape, dtype)
    power = ops.lookup("power")
    fixed = (-2.0, -1.0, 0.0, 0.5, 1.0, 2.0, 3.0, 5.0, 0.7)
    outputs = (power(x, y), *(power(x, k) for k in fixed))
    with np.errstate(all="ignore"):
        wanted = [np.power(a, b), *(np.power(a, dtype(k)) for k in fixed)]
    for found, exact in zip(compiled(ir.Graph((x, y), outputs)).run([a, b], []), wanted, strict=True):
        np.testing.assert_allclose(found, exact, rtol=2e-6 if dtype == np.float32 else 1e-13)


def test_floor_at_every_size(level):
    x = np.array([0.5, -0.5, 1.5, -1.5, 2.0**22 + 0.5, -(2.0**22) - 0.5, 2.0**23 - 0.5, 2.0**24, 1e30, -1e30, 0.0, -3.0])
    for dtype in (np.float32, np.float64):
        np.testing.assert_array_equal(_run("floor", x.astype(dtype)), np.floor(x.astype(dtype)))
