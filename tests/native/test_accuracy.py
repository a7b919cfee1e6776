"""Functions that are evaluated as polynomials, powers and long sums: errors in units in the last place, and special values."""

import math

import numpy as np
import pytest
from comparing import compiled

from chainrule import ir, ops
from chainrule.backends.native.code import object_code

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


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_special_values(dtype):
    with np.errstate(all="ignore"):
        x = np.array(SPECIAL).astype(dtype)
        leaf = ir.placeholder("input", x.shape, x.dtype)
        values = compiled(ir.Graph((leaf,), tuple(ops.lookup(name)(leaf) for name in FUNCTIONS))).run([x], [])
        exact = [_exact(name, x).astype(dtype) for name in FUNCTIONS]
    for name, found, wanted in zip(FUNCTIONS, values, exact, strict=True):
        np.testing.assert_array_equal(np.isnan(found), np.isnan(wanted), err_msg=name)
        np.testing.assert_allclose(found, wanted, rtol=3e-6 if dtype == np.float32 else 1e-14, atol=0.0, err_msg=name)
        zero = wanted == 0
        np.testing.assert_array_equal(np.signbit(found[zero]), np.signbit(wanted[zero]), err_msg=name)


def _ulps(found, exact):
    """The largest error in units in the last place."""
    with np.errstate(over="ignore"):
        rounded = exact.astype(found.dtype)
    usual = np.isfinite(rounded)
    np.testing.assert_array_equal(found[~usual], rounded[~usual])
    error = np.abs(found[usual].astype(np.longdouble) - exact[usual]) / np.spacing(np.abs(rounded[usual]))
    return float(error.max(initial=0))


@pytest.mark.parametrize("name", ["sin", "cos"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_large_angles(name, dtype, level):
    """Over all magnitudes, close to multiples of π/2, and those of a vector that has small ones beside them."""
    rng = np.random.default_rng(0)
    largest = 38.4 if dtype == np.float32 else 308.2
    spread = rng.choice([-1.0, 1.0], 4000) * 10.0 ** rng.uniform(-3, largest, 4000)
    near = np.round(10.0 ** rng.uniform(0, 9, 2000)) * (np.pi / 2)
    worst = 6381956970095103.0 * 2.0 ** np.arange(70 if dtype == np.float32 else 960)
    x = np.concatenate([spread, near, worst]).astype(dtype)
    assert _ulps(_run(name, x), _exact(name, x)) <= 2


def _power(a, b):
    x, y = (ir.placeholder("input", v.shape, v.dtype) for v in (a, b))
    return compiled(ir.Graph((x, y), (ops.lookup("power")(x, y),))).run([a, b], [])[0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_powers_over_the_whole_range(dtype, level):
    rng = np.random.default_rng(0)
    limits = np.log([float(np.finfo(dtype).smallest_subnormal), float(np.finfo(dtype).max)])
    with np.errstate(all="ignore"):
        anywhere = np.exp(rng.uniform(*limits, 3000))
        near_one = 1 + rng.normal(size=3000) * 2.0 ** -rng.uniform(2, 50 if dtype == np.float64 else 22, 3000)
        a = np.concatenate([anywhere, np.abs(near_one)]).astype(dtype)
        b = (rng.uniform(*limits, a.size) / np.log(a.astype(np.float64))).astype(dtype)
        exact = np.power(a.astype(np.longdouble), b.astype(np.longdouble))
    assert _ulps(_power(a, b), exact) <= 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_powers_of_whole_numbers_are_exact(dtype):
    largest = 2 ** (np.finfo(dtype).nmant + 1)
    pairs = [(a, n) for a in range(-60, 61) for n in range(40) if abs(a) ** n <= largest]
    a, n = np.array(pairs, dtype).T.copy()
    np.testing.assert_array_equal(_power(a, n), np.array([a**n for a, n in pairs], dtype))
    n = np.arange(-120, 121, dtype=dtype)
    np.testing.assert_array_equal(_power(np.full_like(n, 2), n), np.ldexp(dtype(1), n.astype(int)))


POWERS = [0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 2.0, -2.0, 0.5, -0.5, 3.0, -3.0, 5e-324, -1e-310, 1e308, -1e308]
POWERS += [2.0**53 + 2.0, -(2.0**53) + 1.0, 1e-38, 3e38]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_powers_of_special_numbers(dtype, level):
    """As C has them, signs of zeros included; with an exponent or a base that is known when code is made, too."""
    with np.errstate(all="ignore"):
        special = np.array(POWERS).astype(dtype)
        a, b = (v.ravel() for v in np.meshgrid(special, special))
        wanted = [np.power(a, b)]
        x, y = (ir.placeholder("input", v.shape, dtype) for v in (a, b))
        power = ops.lookup("power")
        outputs = [power(x, y)]
        for number in (-3.0, -2.0, -1.0, 0.0, 2.0, 3.0, 4.0, 5.0, 7.0, -64.0, 0.7, 2.0**60):
            outputs += [power(x, number), power(number, y)]
            wanted += [np.power(a, np.full_like(a, number)), np.power(np.full_like(b, number), b)]
    for found, exact in zip(compiled(ir.Graph((x, y), tuple(outputs))).run([a, b], []), wanted, strict=True):
        np.testing.assert_allclose(found, exact, rtol=2e-6 if dtype == np.float32 else 1e-14, atol=0)
        zero = exact == 0
        np.testing.assert_array_equal(np.signbit(found[zero]), np.signbit(exact[zero]))


@pytest.mark.parametrize(
    "small", [0, pytest.param(object_code._SMALL, marks=pytest.mark.slow)], ids=["few passes", "all passes"]
)
@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64"])
def test_powers_of_integers_wrap_as_in_numpy(dtype, small, monkeypatch):
    monkeypatch.setattr(object_code, "_SMALL", small)
    limits = np.iinfo(dtype)
    numbers = np.array([0, 1, 2, 3, 7, 10, limits.max, limits.max - 1, limits.min], dtype)
    exponents = np.array([0, 1, 2, 3, 31, 63, 64, 128 % (limits.max + 1), limits.max, limits.max - 1], dtype)
    a, n = (v.ravel() for v in np.meshgrid(numbers, exponents))
    np.testing.assert_array_equal(_power(a, n), np.power(a, n))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ["maximum", "minimum"])
def test_the_second_of_two_zeros_is_taken(name, dtype, level):
    zeros = np.array([0.0, -0.0] * 20, dtype)
    x, y = (ir.placeholder("input", zeros.shape, dtype) for _ in range(2))
    extreme = ops.lookup(name)
    outputs = (extreme(x, y), extreme(x, 0.0), extreme(x, -0.0), extreme(0.0, x), extreme(-0.0, x))
    found = compiled(ir.Graph((x, y), outputs)).run([zeros, -zeros], [])
    wanted = (-zeros, 0 * zeros**2, -(zeros**2), zeros, zeros)
    for ours, numbers in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(np.signbit(ours), np.signbit(numbers))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("shape", "axis"), [((1_000_000,), 0), ((999_983,), 0), ((200_000, 3), 0), ((40, 25_000), (0, 1)), ((5000, 2, 50), (0, 2))],
    ids=str,
)  # fmt: skip
def test_long_sums(shape, axis, dtype, level):
    """Of equal numbers, whose roundings all go one way; within 8 units of the last place."""
    x = np.full(shape, 0.1, dtype)
    leaf = ir.placeholder("input", shape, dtype)
    (found,) = compiled(ir.Graph((leaf,), (ops.lookup("sum")(leaf, axis=axis),))).run([x], [])
    count = x.size // found.size
    exact = np.longdouble(dtype(0.1)) * count
    assert np.abs(found - exact).max() <= 16 * np.finfo(dtype).eps * exact


@pytest.mark.parametrize("shape", [(133, 7, 40), (5, 19, 140), (3, 270, 41), (700, 3, 3)], ids=str)
def test_long_sums_over_axes_that_do_not_merge(shape, level):
    """A part of an array, transposed, so that its axes are loops of their own, with remainders everywhere."""
    x = np.random.default_rng(0).normal(size=shape)
    leaf = ir.placeholder("input", shape, x.dtype)
    part = ops.lookup("slice")(leaf, (1, 1, 1), shape, (1, 1, 1))
    transposed = ops.lookup("transpose")(part, axes=(2, 0, 1))
    outputs = [ops.lookup("sum")(y * y, axis=a) for y in (part, transposed) for a in (None, 0, (0, 1), (1, 2), (0, 2))]
    values = x[1:, 1:, 1:]
    wanted = [(y * y).sum(axis=a) for y in (values, values.transpose(2, 0, 1)) for a in (None, 0, (0, 1), (1, 2), (0, 2))]
    for found, exact in zip(compiled(ir.Graph((leaf,), tuple(outputs))).run([x], []), wanted, strict=True):
        np.testing.assert_allclose(found, exact, rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rows", [1, 3])
def test_long_products(rows, dtype, level):
    depth = 300_001
    a, b = np.full((rows, depth), 0.1, dtype), np.full((depth, rows), 0.7, dtype)
    leaves = [ir.placeholder("input", v.shape, dtype) for v in (a, b)]
    (found,) = compiled(ir.Graph(tuple(leaves), (ops.lookup("matmul")(*leaves),))).run([a, b], [])
    exact = np.longdouble(dtype(0.1)) * np.longdouble(dtype(0.7)) * depth
    assert np.abs(found - exact).max() <= 500 * np.finfo(dtype).eps * exact


def test_floor_at_every_size(level):
    x = np.array([0.5, -0.5, 1.5, -1.5, 2.0**22 + 0.5, -(2.0**22) - 0.5, 2.0**23 - 0.5, 2.0**24, 1e30, -1e30, 0.0, -3.0])
    for dtype in (np.float32, np.float64):
        np.testing.assert_array_equal(_run("floor", x.astype(dtype)), np.floor(x.astype(dtype)))
