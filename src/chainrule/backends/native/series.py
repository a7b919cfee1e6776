"""Functions that processors do not have, evaluated as polynomials whose coefficients are computed here from their series.

    exp, expm1   x = n ln 2 + r, |r| ≤ ½ ln 2; Taylor series of eʳ − 1; times 2ⁿ by the exponent bits        ≤ 2 ulp
    log, log1p   x = 2ⁿ m, √½ ≤ m < √2; atanh series in (m − 1) / (m + 1) (as in fdlibm)                       ≤ 2 ulp
    tanh         Taylor series for |x| < 0.55; beyond, 1 − 2 / (exp(2|x|) + 1)                                  ≤ 2 ulp
    sin, cos     x = n π/2 + r, |r| ≤ π/4, in float64; Taylor series; for |x| ≤ 1e6                            ≤ 2 ulp
    erf          Taylor series for |x| < 1; beyond, 1 − t exp(P(t) − x²) with t = 2 / (2 + |x|), P fitted       ≤ 2 ulp
    power        exp(b ln a) in float64 (relative error 1e-16 · |b ln a|); small whole exponents by products

Nothing here calls a library, at any vector length.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import cache

import numpy as np
from llvmlite import ir

from chainrule.backends.native.scalar import (
    Builder,
    Value,
    copysign,
    fill,
    intrinsic,
    is_integer,
    known_number,
    lanes_of,
    magnitude,
    muladd,
    widened,
)


# ------------------------------------------------------------------------------------------------ bits of floating numbers
def _is_double(type: ir.Type) -> bool:
    element = type.element if isinstance(type, ir.VectorType) else type
    return isinstance(element, ir.DoubleType)


def _integers(type: ir.Type) -> ir.Type:
    """The integer type of the same length."""
    bits = ir.IntType(64 if _is_double(type) else 32)
    return ir.VectorType(bits, type.count) if isinstance(type, ir.VectorType) else bits


def _mantissa_bits(type: ir.Type) -> int:
    return 52 if _is_double(type) else 23


def _bias(type: ir.Type) -> int:
    return 1023 if _is_double(type) else 127


def _rounder(type: ir.Type) -> float:
    """Added to a number, it pushes the fraction out of the mantissa: what is left is rounded to the nearest integer."""
    return float(1.5 * 2.0 ** _mantissa_bits(type))


def _nearest(b: Builder, x: Value) -> tuple[Value, Value]:
    """x rounded to the nearest integer, as a float and as an integer; for |x| < 2²² (float32) or 2⁵¹ (float64)."""
    magic = fill(x.type, _rounder(x.type))
    shifted = b.fadd(x, magic)
    bits = _integers(x.type)
    return b.fsub(shifted, magic), b.sub(b.bitcast(shifted, bits), b.bitcast(magic, bits))


def _power_of_two(b: Builder, n: Value, type: ir.Type) -> Value:
    """2ⁿ for an integer n within the normal exponents."""
    biased = b.add(n, fill(n.type, _bias(type)))
    return b.bitcast(b.shl(biased, fill(n.type, _mantissa_bits(type))), type)


def _horner(b: Builder, x: Value, coefficients: Sequence[float]) -> Value:
    """c₀ + c₁ x + c₂ x² + …"""
    y = fill(x.type, coefficients[-1])
    for c in reversed(coefficients[:-1]):
        y = muladd(b, y, x, fill(x.type, c))
    return y


def _in_double(rule: Callable[..., Value]) -> Callable[..., Value]:
    """Evaluate in float64 and round, where float32 would lose too much on the way."""

    def both(b: Builder, *arguments: Value) -> Value:
        type = arguments[0].type
        if _is_double(type):
            return rule(b, *arguments)
        wide = widened(ir.DoubleType(), lanes_of(arguments[0]))
        return b.fptrunc(rule(b, *(b.fpext(a, wide) for a in arguments)), type)

    return both


# ------------------------------------------------------------------------------------------------ exponential and logarithm
_LN2_HIGH = {False: 0.693359375, True: 6.93147180369123816490e-01}
_LN2_LOW = {False: -2.12194440054690583e-4, True: 1.90821492927058770002e-10}


def _reduced_exponential(b: Builder, x: Value) -> tuple[Value, Value, Value]:
    """(eʳ − 1, 2^a, 2^c) with x = (a + c) ln 2 + r. Two factors, so that neither over- nor underflows on its own."""
    double = _is_double(x.type)
    low, high = (-745.2, 709.8) if double else (-104.0, 88.8)
    x = b.select(b.fcmp_ordered("<", x, fill(x.type, low)), fill(x.type, low), x)
    x = b.select(b.fcmp_ordered(">", x, fill(x.type, high)), fill(x.type, high), x)
    turns, n = _nearest(b, b.fmul(x, fill(x.type, 1.0 / math.log(2.0))))
    r = muladd(b, turns, fill(x.type, -_LN2_HIGH[double]), x)
    r = muladd(b, turns, fill(x.type, -_LN2_LOW[double]), r)
    degree = 13 if double else 7
    tail = _horner(b, r, [1.0 / math.factorial(k) for k in range(2, degree + 1)])
    less_one = muladd(b, b.fmul(r, r), tail, r)
    half = b.ashr(n, fill(n.type, 1))
    return less_one, _power_of_two(b, half, x.type), _power_of_two(b, b.sub(n, half), x.type)


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


def log(b: Builder, x: Value) -> Value:
    """ln x; −∞ at 0, NaN below."""
    double = _is_double(x.type)
    bits = _integers(x.type)
    mantissa = _mantissa_bits(x.type)
    tiny = b.fcmp_ordered("<", x, fill(x.type, 2.0 ** (1 - _bias(x.type))))
    scaled = b.select(tiny, b.fmul(x, fill(x.type, 2.0 ** (mantissa + 2))), x)
    # Taking the bits of √½ off moves the cut between exponents from 1 to √½, so that the mantissa ends up in [√½, √2).
    root = np.array(math.sqrt(0.5), np.float64 if double else np.float32)
    root_bits = int(root.view(np.int64 if double else np.int32))
    raw = b.sub(b.bitcast(scaled, bits), fill(bits, root_bits))
    exponent = b.ashr(raw, fill(bits, mantissa))
    m = b.bitcast(b.add(b.and_(raw, fill(bits, (1 << mantissa) - 1)), fill(bits, root_bits)), x.type)
    n = b.sub(exponent, b.select(tiny, fill(bits, mantissa + 2), fill(bits, 0)))
    y = _log_of_mantissa(b, b.fsub(m, fill(x.type, 1.0)), _float_of_small(b, n, x.type))
    y = b.select(b.fcmp_ordered("==", x, fill(x.type, 0.0)), fill(x.type, -math.inf), y)
    y = b.select(b.fcmp_ordered("==", x, fill(x.type, math.inf)), x, y)
    return b.select(b.fcmp_unordered("<", x, fill(x.type, 0.0)), fill(x.type, math.nan), y)


def _log_of_mantissa(b: Builder, f: Value, n: Value) -> Value:
    """n ln 2 + ln(1 + f): ln(1 + f) = f − f²/2 + s (f²/2 + R), s = f / (2 + f), R = Σ_{k≥1} 2 s^{2k} / (2k + 1)."""
    double = _is_double(f.type)
    s = b.fdiv(f, b.fadd(f, fill(f.type, 2.0)))
    z = b.fmul(s, s)
    series = b.fmul(z, _horner(b, z, [2.0 / (2 * k + 1) for k in range(1, 12 if double else 6)]))
    half_square = b.fmul(b.fmul(f, f), fill(f.type, 0.5))
    low = muladd(b, n, fill(f.type, _LN2_LOW[double]), b.fmul(s, b.fadd(half_square, series)))
    return muladd(b, n, fill(f.type, _LN2_HIGH[double]), b.fsub(f, b.fsub(half_square, low)))


def _float_of_small(b: Builder, n: Value, type: ir.Type) -> Value:
    """An integer below 2²² as a float, by the bits of the rounding constant (AVX2 has no conversion from 64-bit integers)."""
    magic = fill(type, _rounder(type))
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
    near = muladd(b, b.fmul(x, square), _horner(b, square, _tanh_series(_is_double(x.type))), x)
    size = magnitude(b, x)
    one = fill(x.type, 1.0)
    e = exp(b, b.fadd(size, size))
    far = b.fsub(one, b.fdiv(fill(x.type, 2.0), b.fadd(e, one)))
    return b.select(b.fcmp_ordered("<", size, fill(x.type, _TANH_LIMIT)), near, copysign(b, far, x))


# ------------------------------------------------------------------------------------------------ sine, cosine, erf
# π/2 in three parts: the first two end in zeros, so that their products with small integers are exact.
_HALF_PI = (1.57079632673412561417e00, 6.07710050630396597660e-11, 2.02226624879595063154e-21)


def _trigonometric(quarter: int) -> Callable[..., Value]:
    """sin(x + quarter · π/2)."""

    def rule(b: Builder, x: Value) -> Value:
        turns, n = _nearest(b, b.fmul(x, fill(x.type, 2.0 / math.pi)))
        r = x
        for part in _HALF_PI:
            r = muladd(b, turns, fill(x.type, -part), r)
        square = b.fmul(r, r)
        odd = _horner(b, square, [(-1) ** k / math.factorial(2 * k + 1) for k in range(1, 9)])
        sine = muladd(b, b.fmul(r, square), odd, r)
        cosine = _horner(b, square, [(-1) ** k / math.factorial(2 * k) for k in range(10)])
        n = b.add(n, fill(n.type, quarter))
        one = fill(n.type, 1)
        swapped = b.icmp_signed("!=", b.and_(n, one), fill(n.type, 0))
        y = b.select(swapped, cosine, sine)
        sign = b.shl(b.and_(b.lshr(n, one), one), fill(n.type, 63))
        return b.bitcast(b.xor(b.bitcast(y, n.type), sign), x.type)

    return _in_double(rule)


sin = _trigonometric(0)
cos = _trigonometric(1)

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
    double = _is_double(x.type)
    square = b.fmul(x, x)
    series = [2.0 / math.sqrt(math.pi) * (-1) ** k / (math.factorial(k) * (2 * k + 1)) for k in range(20 if double else 11)]
    near = muladd(b, x, _horner(b, square, [series[0] - 1.0, *series[1:]]), x)
    size = magnitude(b, x)
    limit = fill(x.type, _ERF_LIMIT[double])
    cut = b.select(b.fcmp_ordered(">", size, limit), limit, size)
    t = b.fdiv(fill(x.type, 2.0), b.fadd(cut, fill(x.type, 2.0)))
    low, high = _erf_range(double)
    place = muladd(b, t, fill(x.type, 2.0 / (high - low)), fill(x.type, -(high + low) / (high - low)))
    exponent = b.fsub(_clenshaw(b, place, _erf_tail(double)), b.fmul(cut, cut))
    far = b.fsub(fill(x.type, 1.0), b.fmul(t, exp(b, exponent)))
    return b.select(b.fcmp_ordered(">=", size, fill(x.type, 1.0)), copysign(b, far, x), near)


# ------------------------------------------------------------------------------------------------ powers
def _general_power(b: Builder, a: Value, exponent: Value) -> Value:
    """|a|ᵇ by logarithms, with the sign of odd whole exponents; NaN for finite negative a and exponents with a fraction."""
    type = a.type
    zero, one = fill(type, 0.0), fill(type, 1.0)
    size = magnitude(b, a)
    y = exp(b, b.fmul(exponent, log(b, size)))
    y = b.select(b.fcmp_ordered("==", size, one), one, y)
    whole = b.fcmp_ordered("==", floor(b, exponent), exponent)
    half = b.fmul(exponent, fill(type, 0.5))
    odd = b.and_(whole, b.fcmp_unordered("!=", floor(b, half), half))
    negative = b.fcmp_ordered("<", a, zero)
    y = b.select(b.and_(negative, odd), b.fneg(y), y)
    undefined = b.and_(b.and_(negative, b.not_(whole)), b.fcmp_ordered("<", size, fill(type, math.inf)))
    y = b.select(undefined, fill(type, math.nan), y)
    y = b.select(b.fcmp_ordered("==", a, one), one, y)
    return b.select(b.fcmp_ordered("==", exponent, zero), one, y)


_power_by_logarithm = _in_double(_general_power)


def _whole_power(b: Builder, x: Value, n: int) -> Value:
    """xⁿ for n ≥ 1, by squaring."""
    multiply = b.mul if is_integer(x) else b.fmul
    result: Value | None = None
    while n:
        if n & 1:
            result = x if result is None else multiply(result, x)
        n >>= 1
        x = multiply(x, x) if n else x
    assert result is not None
    return result


def _integer_power(b: Builder, a: Value, exponent: Value) -> Value:
    """aᵇ modulo the size of the type, for b ≥ 0, one bit of the exponent after the other."""
    result = fill(a.type, 1)
    width = (a.type.element if isinstance(a.type, ir.VectorType) else a.type).width
    for bit in range(width - 1):
        chosen = b.icmp_signed("!=", b.and_(exponent, fill(a.type, 1 << bit)), fill(a.type, 0))
        result = b.select(chosen, b.mul(result, a), result)
        a = b.mul(a, a)
    return result


def power(b: Builder, a: Value, exponent: Value) -> Value:
    """a to the power of an exponent, by products where that is a small whole number known now."""
    known = known_number(exponent)
    if is_integer(a):
        return _whole_power(b, a, int(known)) if known and known > 0 else _integer_power(b, a, exponent)
    if known is not None and known == int(known) and 1 <= abs(known) <= 64:
        y = _whole_power(b, a, abs(int(known)))
        return y if known > 0 else b.fdiv(fill(a.type, 1.0), y)
    if known == 0.5:
        return intrinsic(b, "llvm.sqrt", a)  # as NumPy does
    return _power_by_logarithm(b, a, exponent)


def floor(b: Builder, x: Value) -> Value:
    """The largest integer ≤ x."""
    if is_integer(x):
        return x
    limit = fill(x.type, 2.0 ** _mantissa_bits(x.type))  # from here on every number is whole
    size = magnitude(b, x)
    nearest = copysign(b, b.fsub(b.fadd(size, limit), limit), x)
    down = b.select(b.fcmp_ordered(">", nearest, x), b.fsub(nearest, fill(x.type, 1.0)), nearest)
    return b.select(b.fcmp_ordered("<", size, limit), down, x)
