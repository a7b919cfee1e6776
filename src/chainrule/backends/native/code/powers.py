"""Powers: exp(b ln a), with ln a in two floating numbers, since an error of it is an error of the power times b.

    float64      at most 1 ulp over the whole range; powers that are floating numbers come out exactly
    float32      the plain functions of float64, rounded: at most 1 ulp
    −2 … 4       by products where that is known when code is made: at most 2 ulp

Products of two numbers are exact where both have at most 26 bits, half of a float64; so high parts are cut off there, and
what was cut off is kept beside them. That needs no multiply-add in one rounding.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Context, Decimal, localcontext

from llvmlite import ir

from chainrule.backends.native.code.floats import horner, in_double, integers, is_double
from chainrule.backends.native.code.scalar import (
    Builder,
    Value,
    fill,
    intrinsic,
    is_integer,
    is_unsigned,
    known_number,
    magnitude,
    muladd,
)
from chainrule.backends.native.code.series import (
    LN2_HIGH,
    LN2_LOW,
    exp,
    exponential_tail,
    floor,
    log,
    multiple_of_ln2,
    split,
    two_powers,
)

_SMALL = 64  # whole exponents up to here are products where products are exact enough
_CUT = 27  # bits
_FAR = 2.0**64  # an exponent that takes every number but 1 to 0 or ∞


def power(b: Builder, a: Value, exponent: Value) -> Value:
    """a to the power of an exponent, by products where that is a small whole number known now."""
    known = known_number(exponent)
    if is_integer(a):
        return _whole_power(b, a, int(known)) if known and 0 < known <= _SMALL else _integer_power(b, a, exponent)
    if known in (1, 2, 3, 4):
        return _whole_power(b, a, int(known))
    if known in (-1, -2):
        return _whole_power(b, b.fdiv(fill(a.type, 1.0), a), -int(known))
    if known == 0.5:
        return intrinsic(b, "llvm.sqrt", a)  # as NumPy does
    return _power_by_logarithm(b, a, exponent)


def _power_by_logarithm(b: Builder, a: Value, exponent: Value) -> Value:
    base, known = known_number(a), known_number(exponent)
    if base is not None and base > 0 and base != 1:
        return _power_of_known(base)(b, exponent)
    if is_double(a.type):
        return _power_in_two_parts(b, a, exponent)
    if known and known == int(known) and abs(known) <= _SMALL:
        return _power_by_products(int(known))(b, a)
    return _power_in_double(b, a, exponent)


# ------------------------------------------------------------------------------------------------ by products
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


def _power_by_products(n: int) -> Callable[[Builder, Value], Value]:
    """aⁿ for a whole number n ≠ 0 and float32 a, in float64."""

    def rule(b: Builder, a: Value) -> Value:
        y = _whole_power(b, a, abs(n))
        return y if n > 0 else b.fdiv(fill(a.type, 1.0), y)

    return in_double(rule)


def _integer_power(b: Builder, a: Value, exponent: Value) -> Value:
    """aᵇ modulo the size of the type, for b ≥ 0, one bit of the exponent after the other."""
    result = fill(a.type, 1)
    width = (a.type.element if isinstance(a.type, ir.VectorType) else a.type).width
    for bit in range(width if is_unsigned(a) else width - 1):
        chosen = b.icmp_signed("!=", b.and_(exponent, fill(a.type, 1 << bit)), fill(a.type, 0))
        result = b.select(chosen, b.mul(result, a), result)
        a = b.mul(a, a)
    return result


# ------------------------------------------------------------------------------------------------ by logarithms
def _general(of_size: Callable[[Builder, Value, Value], Value]) -> Callable[[Builder, Value, Value], Value]:
    """aᵇ from |a|ᵇ for finite b and finite |a| > 0: everything else as C and NumPy have it."""

    def rule(b: Builder, a: Value, exponent: Value) -> Value:
        type = a.type
        zero, one, infinity, nan = (fill(type, number) for number in (0.0, 1.0, math.inf, math.nan))
        size = magnitude(b, a)
        whole = b.fcmp_ordered("==", floor(b, exponent), exponent)
        half = b.fmul(exponent, fill(type, 0.5))
        odd = b.and_(whole, b.fcmp_unordered("!=", floor(b, half), half))
        y = of_size(b, size, exponent)
        grows = b.not_(b.xor(b.fcmp_ordered(">", size, one), b.fcmp_ordered(">", exponent, zero)))
        extreme = b.or_(b.fcmp_ordered("==", size, zero), b.fcmp_ordered("==", size, infinity))
        extreme = b.or_(extreme, b.fcmp_ordered("==", magnitude(b, exponent), infinity))
        y = b.select(extreme, b.select(grows, infinity, zero), y)
        y = b.select(b.fcmp_ordered("==", size, one), one, y)
        negative = b.fcmp_ordered("<", a, zero)
        undefined = b.and_(b.and_(negative, b.not_(whole)), b.fcmp_ordered("<", size, infinity))
        y = b.select(b.or_(undefined, b.fcmp_unordered("uno", a, exponent)), nan, y)
        # The sign of a, that of −0 too, goes over to odd powers.
        bits = integers(type)
        sign = b.and_(b.bitcast(a, bits), b.bitcast(fill(type, -0.0), bits))
        y = b.select(odd, b.bitcast(b.or_(b.bitcast(y, bits), sign), type), y)
        return b.select(b.or_(b.fcmp_ordered("==", a, one), b.fcmp_ordered("==", exponent, zero)), one, y)

    return rule


def _plainly(b: Builder, size: Value, exponent: Value) -> Value:
    """For float32 in float64: its error of 1e-16 · |b ln a| is nothing there."""
    return exp(b, b.fmul(exponent, log(b, size)))


def _in_two_parts(b: Builder, size: Value, exponent: Value) -> Value:
    """exp(b (high + low)) with high + low = ln |a|."""
    return _exponential_of_product(b, exponent, *_logarithm(b, size))


def _power_of_known(base: float) -> Callable[[Builder, Value], Value]:
    """aᵇ for a number a > 0 that is known when code is made, and so is its logarithm."""
    with localcontext(Context(prec=50)):
        logarithm = Decimal(base).ln()
        fraction, power = math.frexp(logarithm)
        high = math.ldexp(round(fraction * 2**26), power - 26)  # its first 26 bits
        low = float(logarithm - Decimal(high))

    def rule(b: Builder, exponent: Value) -> Value:
        return _exponential_of_product(b, exponent, fill(exponent.type, high), fill(exponent.type, low))

    return in_double(rule)


def _exponential_of_product(b: Builder, exponent: Value, high: Value, low: Value) -> Value:
    """exp(b (high + low)), where high has 26 bits."""
    far = fill(exponent.type, _FAR)
    exponent = b.select(b.fcmp_ordered(">", exponent, far), far, exponent)
    exponent = b.select(b.fcmp_ordered("<", exponent, fill(far.type, -_FAR)), fill(far.type, -_FAR), exponent)
    cut = _cut(b, exponent)
    product = b.fmul(cut, high)
    rest = b.fadd(b.fmul(exponent, low), b.fmul(b.fsub(exponent, cut), high))
    total = b.fadd(product, rest)
    return _exponential(b, total, b.fsub(rest, b.fsub(total, product)))


def _logarithm(b: Builder, x: Value) -> tuple[Value, Value]:
    """ln x = high + low for finite x > 0, to some 66 bits; high has 26 bits.

    ln x = n ln 2 + ⅔ s (3 + s² + r) with s = (m − 1) / (m + 1) and r = Σ_{k≥2} 3 s^{2k} / (2k + 1), as in fdlibm. s and the sum
    in the brackets are in two parts.
    """
    f, n = split(b, x)
    one, three = fill(x.type, 1.0), fill(x.type, 3.0)
    divisor = b.fadd(f, fill(x.type, 2.0))
    divisor_high = _cut(b, divisor)
    divisor_low = b.fsub(b.fadd(f, one), b.fsub(divisor_high, one))
    inverse = b.fdiv(one, divisor)
    s = b.fmul(f, inverse)
    s_high = _cut(b, s)
    left = b.fsub(b.fsub(f, b.fmul(s_high, divisor_high)), b.fmul(s_high, divisor_low))
    s_low = b.fmul(left, inverse)
    s = b.fadd(s_high, s_low)
    z = b.fmul(s, s)
    square = b.fmul(s_high, s_high)
    series = b.fmul(b.fmul(z, z), horner(b, z, [3.0 / (2 * k + 1) for k in range(2, 15)]))
    r = b.fadd(series, b.fmul(s_low, b.fadd(s_high, s)))
    bracket = _cut(b, b.fadd(b.fadd(three, square), r))
    bracket_low = b.fsub(r, b.fsub(b.fsub(bracket, three), square))
    product = b.fmul(s_high, bracket)
    product_low = b.fadd(b.fmul(s_low, bracket), b.fmul(bracket_low, s))
    high = _cut(b, b.fadd(product, product_low))
    low = b.fsub(product_low, b.fsub(high, product))
    two_thirds = 2.0 / 3.0
    thirds_high = math.ldexp(math.floor(math.ldexp(two_thirds, 26)), -26)
    thirds_low = 2.0 / 3.0 * math.ldexp(1.0, -26)  # ⅔ = 0.1010…₂: what follows 26 bits is the same again
    scaled = b.fmul(high, fill(x.type, thirds_high))
    scaled_low = b.fadd(b.fmul(high, fill(x.type, thirds_low)), b.fmul(low, fill(x.type, two_thirds)))
    twos = b.fmul(n, fill(x.type, LN2_HIGH[True]))
    total = b.fadd(twos, scaled)
    total_low = b.fadd(b.fadd(b.fsub(twos, total), scaled), muladd(b, n, fill(x.type, LN2_LOW[True]), scaled_low))
    high = _cut(b, b.fadd(total, total_low))
    return high, b.fsub(total_low, b.fsub(high, total))


def _exponential(b: Builder, x: Value, low: Value) -> Value:
    """e^(x + low), for low below half a unit in the last place of x."""
    type = x.type
    low = b.select(b.fcmp_ordered("<", magnitude(b, x), fill(type, 1024.0)), low, fill(type, 0.0))
    x, multiple, n = multiple_of_ln2(b, x)
    r = muladd(b, multiple, fill(type, -LN2_HIGH[True]), x)
    low = muladd(b, multiple, fill(type, -LN2_LOW[True]), low)
    rounded = b.fadd(r, low)
    low = b.fsub(low, b.fsub(rounded, r))
    one = fill(type, 1.0)
    y = b.fadd(one, rounded)
    lost = b.fadd(b.fsub(rounded, b.fsub(y, one)), b.fmul(low, y))
    y = b.fadd(y, muladd(b, b.fmul(rounded, rounded), exponential_tail(b, rounded), lost))
    first, second = two_powers(b, n, type)
    return b.fmul(b.fmul(y, first), second)


def _cut(b: Builder, x: Value) -> Value:
    """A float64 without the last bits of its mantissa."""
    bits = integers(x.type)
    return b.bitcast(b.and_(b.bitcast(x, bits), fill(bits, -(1 << _CUT))), x.type)


_power_in_two_parts = _general(_in_two_parts)
_power_in_double = in_double(_general(_plainly))
