"""Functions that processors do not have, evaluated as polynomials whose coefficients are computed here from their series.

    exp, expm1   x = n ln 2 + r, |r| ≤ ½ ln 2; Taylor series of eʳ − 1; times 2ⁿ by the exponent bits        ≤ 2 ulp
    log, log1p   x = 2ⁿ m, √½ ≤ m < √2; atanh series in (m − 1) / (m + 1) (as in fdlibm)                       ≤ 2 ulp
    tanh         Taylor series for |x| < 0.55; beyond, 1 − 2 / (exp(2|x|) + 1)                                  ≤ 2 ulp
    erf          Taylor series for |x| < 1; beyond, 1 − t exp(P(t) − x²) with t = 2 / (2 + |x|), P fitted       ≤ 2 ulp

Sines and cosines are in `angles`, powers in `powers`. Nothing here calls a library, at any vector length.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from functools import cache

import numpy as np
from llvmlite import ir

from chainrule.backends.native.code.floats import (
    bias,
    horner,
    integers,
    is_double,
    mantissa_bits,
    nearest,
    power_of_two,
    rounder,
)
from chainrule.backends.native.code.scalar import Builder, Value, copysign, fill, is_integer, magnitude, muladd

# ------------------------------------------------------------------------------------------------ exponential and logarithm
LN2_HIGH = {False: 0.693359375, True: 6.93147180369123816490e-01}  # ends in zeros: n times this is exact
LN2_LOW = {False: -2.12194440054690583e-4, True: 1.90821492927058770002e-10}


def multiple_of_ln2(b: Builder, x: Value) -> tuple[Value, Value, Value]:
    """(x within what has a finite exponential, n = x / ln 2 rounded, n as an integer)."""
    low, high = (-745.2, 709.8) if is_double(x.type) else (-104.0, 88.8)
    x = b.select(b.fcmp_ordered("<", x, fill(x.type, low)), fill(x.type, low), x)
    x = b.select(b.fcmp_ordered(">", x, fill(x.type, high)), fill(x.type, high), x)
    return x, *nearest(b, b.fmul(x, fill(x.type, 1.0 / math.log(2.0))))


def exponential_tail(b: Builder, r: Value) -> Value:
    """(eʳ − 1 − r) / r² for |r| ≤ ½ ln 2."""
    return horner(b, r, [1.0 / math.factorial(k) for k in range(2, 14 if is_double(r.type) else 8)])


def two_powers(b: Builder, n: Value, type: ir.Type) -> tuple[Value, Value]:
    """2^a and 2^c with a + c = n: two factors, so that neither over- nor underflows on its own."""
    half = b.ashr(n, fill(n.type, 1))
    return power_of_two(b, half, type), power_of_two(b, b.sub(n, half), type)


def _reduced_exponential(b: Builder, x: Value) -> tuple[Value, Value, Value]:
    """(eʳ − 1, 2^a, 2^c) with x = (a + c) ln 2 + r."""
    double = is_double(x.type)
    x, multiple, n = multiple_of_ln2(b, x)
    r = muladd(b, multiple, fill(x.type, -LN2_HIGH[double]), x)
    r = muladd(b, multiple, fill(x.type, -LN2_LOW[double]), r)
    less_one = muladd(b, b.fmul(r, r), exponential_tail(b, r), r)
    return less_one, *two_powers(b, n, x.type)


def exp(b: Builder, x: Value) -> Value:
    """eˣ."""
    e, first, second = _reduced_exponential(b, x)
    return b.fmul(b.fmul(b.fadd(e, fill(x.type, 1.0)), first), second)


def expm1(b: Builder, x: Value) -> Value:
    """eˣ − 1 = 2^c (2^a (eʳ − 1) + (2^a − 2^−c)); tiny x come back unchanged, with their sign."""
    e, first, second = _reduced_exponential(b, x)
    inverse = b.fdiv(fill(x.type, 1.0), second)
    y = b.fmul(muladd(b, first, e, b.fsub(first, inverse)), second)
    return b.select(b.fcmp_ordered("==", x, fill(x.type, 0.0)), x, y)


def split(b: Builder, x: Value) -> tuple[Value, Value]:
    """(m − 1, n) with x = 2ⁿ m and √½ ≤ m < √2, for finite x > 0; n as a floating number."""
    double = is_double(x.type)
    bits = integers(x.type)
    mantissa = mantissa_bits(x.type)
    tiny = b.fcmp_ordered("<", x, fill(x.type, 2.0 ** (1 - bias(x.type))))
    scaled = b.select(tiny, b.fmul(x, fill(x.type, 2.0 ** (mantissa + 2))), x)
    # Taking the bits of √½ off moves the cut between exponents from 1 to √½, so that the mantissa ends up in [√½, √2).
    root = np.array(math.sqrt(0.5), np.float64 if double else np.float32)
    root_bits = int(root.view(np.int64 if double else np.int32))
    raw = b.sub(b.bitcast(scaled, bits), fill(bits, root_bits))
    exponent = b.ashr(raw, fill(bits, mantissa))
    m = b.bitcast(b.add(b.and_(raw, fill(bits, (1 << mantissa) - 1)), fill(bits, root_bits)), x.type)
    n = b.sub(exponent, b.select(tiny, fill(bits, mantissa + 2), fill(bits, 0)))
    return b.fsub(m, fill(x.type, 1.0)), _float_of_small(b, n, x.type)


def log(b: Builder, x: Value) -> Value:
    """ln x; −∞ at 0, NaN below."""
    y = _log_of_mantissa(b, *split(b, x))
    y = b.select(b.fcmp_ordered("==", x, fill(x.type, 0.0)), fill(x.type, -math.inf), y)
    y = b.select(b.fcmp_ordered("==", x, fill(x.type, math.inf)), x, y)
    return b.select(b.fcmp_unordered("<", x, fill(x.type, 0.0)), fill(x.type, math.nan), y)


def _log_of_mantissa(b: Builder, f: Value, n: Value) -> Value:
    """n ln 2 + ln(1 + f): ln(1 + f) = f − f²/2 + s (f²/2 + R), s = f / (2 + f), R = Σ_{k≥1} 2 s^{2k} / (2k + 1)."""
    double = is_double(f.type)
    s = b.fdiv(f, b.fadd(f, fill(f.type, 2.0)))
    z = b.fmul(s, s)
    series = b.fmul(z, horner(b, z, [2.0 / (2 * k + 1) for k in range(1, 12 if double else 6)]))
    half_square = b.fmul(b.fmul(f, f), fill(f.type, 0.5))
    low = muladd(b, n, fill(f.type, LN2_LOW[double]), b.fmul(s, b.fadd(half_square, series)))
    return muladd(b, n, fill(f.type, LN2_HIGH[double]), b.fsub(f, b.fsub(half_square, low)))


def _float_of_small(b: Builder, n: Value, type: ir.Type) -> Value:
    """An integer below 2²² as a float, by the bits of the rounding constant (AVX2 has no conversion from 64-bit integers)."""
    magic = fill(type, rounder(type))
    return b.fsub(b.bitcast(b.add(n, b.bitcast(magic, n.type)), type), magic)


def log1p(b: Builder, x: Value) -> Value:
    """ln(1 + x) = ln u + (x − (u − 1)) / u, with u the rounded 1 + x."""
    u = b.fadd(x, fill(x.type, 1.0))
    lost = b.fdiv(b.fsub(x, b.fsub(u, fill(x.type, 1.0))), u)
    harmless = b.fcmp_ordered("<", magnitude(b, lost), fill(x.type, math.inf))
    y = b.fadd(log(b, u), b.select(harmless, lost, fill(x.type, 0.0)))
    return b.select(b.fcmp_ordered("==", x, fill(x.type, 0.0)), x, y)


_TANH_LIMIT = 0.55


@cache
def _tanh_series(double: bool) -> tuple[float, ...]:
    """Coefficients of (tanh x / x − 1) / x² in x², for |x| up to the limit, where tanh x = x + x³ P(x²) loses nothing."""
    terms = 18 if double else 8
    bernoulli = [Fraction(1)]
    for m in range(1, 2 * terms + 3):
        bernoulli.append(-sum((math.comb(m + 1, k) * bernoulli[k] for k in range(m)), Fraction(0)) / (m + 1))
    even = ((n, bernoulli[2 * n]) for n in range(2, terms + 2))
    return tuple(float(4**n * (4**n - 1) * number / math.factorial(2 * n)) for n, number in even)


def tanh(b: Builder, x: Value) -> Value:
    """tanh x."""
    square = b.fmul(x, x)
    near = muladd(b, b.fmul(x, square), horner(b, square, _tanh_series(is_double(x.type))), x)
    size = magnitude(b, x)
    one = fill(x.type, 1.0)
    e = exp(b, b.fadd(size, size))
    far = b.fsub(one, b.fdiv(fill(x.type, 2.0), b.fadd(e, one)))
    return copysign(b, b.select(b.fcmp_ordered("<", size, fill(x.type, _TANH_LIMIT)), near, far), x)  # of −0 too


# ------------------------------------------------------------------------------------------------ erf
_ERF_LIMIT = {False: 4.0, True: 6.0}  # beyond, erf rounds to 1


@cache
def _erf_tail(double: bool) -> tuple[float, ...]:
    """Chebyshev coefficients of P(t) = ln(erfc(x) / t) + x² in t = 2 / (2 + x), for x from 0.9 to the limit."""
    low, high = _erf_range(double)
    nodes = np.polynomial.chebyshev.chebpts1(64)
    t = 0.5 * (high - low) * nodes + 0.5 * (high + low)
    x = 2.0 / t - 2.0
    values = [math.log(math.erfc(v) / s) + v * v for v, s in zip(x.tolist(), t.tolist(), strict=True)]
    return tuple(np.polynomial.chebyshev.chebfit(nodes, values, 24 if double else 10).tolist())


def _erf_range(double: bool) -> tuple[float, float]:
    return 2.0 / (2.0 + _ERF_LIMIT[double]), 2.0 / 2.9


def _clenshaw(b: Builder, x: Value, coefficients: Sequence[float]) -> Value:
    """Σ c_k T_k(x)."""
    double_x = b.fadd(x, x)
    later, last = fill(x.type, 0.0), fill(x.type, 0.0)
    for c in reversed(coefficients[1:]):
        later, last = b.fsub(muladd(b, double_x, later, fill(x.type, c)), last), later
    return b.fsub(muladd(b, x, later, fill(x.type, coefficients[0])), last)


def erf(b: Builder, x: Value) -> Value:
    """2/√π ∫₀ˣ e^(−t²) dt."""
    double = is_double(x.type)
    square = b.fmul(x, x)
    series = [2.0 / math.sqrt(math.pi) * (-1) ** k / (math.factorial(k) * (2 * k + 1)) for k in range(20 if double else 11)]
    near = muladd(b, x, horner(b, square, [series[0] - 1.0, *series[1:]]), x)
    size = magnitude(b, x)
    limit = fill(x.type, _ERF_LIMIT[double])
    cut = b.select(b.fcmp_ordered(">", size, limit), limit, size)
    t = b.fdiv(fill(x.type, 2.0), b.fadd(cut, fill(x.type, 2.0)))
    low, high = _erf_range(double)
    place = muladd(b, t, fill(x.type, 2.0 / (high - low)), fill(x.type, -(high + low) / (high - low)))
    exponent = b.fsub(_clenshaw(b, place, _erf_tail(double)), b.fmul(cut, cut))
    far = b.fsub(fill(x.type, 1.0), b.fmul(t, exp(b, exponent)))
    return b.select(b.fcmp_ordered(">=", size, fill(x.type, 1.0)), copysign(b, far, x), near)


# ------------------------------------------------------------------------------------------------ rounding
def floor(b: Builder, x: Value) -> Value:
    """The largest integer ≤ x."""
    if is_integer(x):
        return x
    limit = fill(x.type, 2.0 ** mantissa_bits(x.type))  # from here on every number is whole
    size = magnitude(b, x)
    nearest = copysign(b, b.fsub(b.fadd(size, limit), limit), x)
    down = b.select(b.fcmp_ordered(">", nearest, x), b.fsub(nearest, fill(x.type, 1.0)), nearest)
    return b.select(b.fcmp_ordered("<", size, limit), down, x)
