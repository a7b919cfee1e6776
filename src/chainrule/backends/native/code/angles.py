"""Sine and cosine: x = n π/2 + r with |r| ≤ π/4, in float64, then Taylor series. At most 2 ulp for every finite x.

Up to 10⁶, n times π/2 in three parts is taken off. Beyond, n and r come from the bits of 2/π that matter for the exponent of x
(Payne and Hanek 1983), one number after the other: such angles are rare, and a vector without them only has to ask.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from itertools import pairwise

from llvmlite import ir

from chainrule.backends.native.code.floats import horner, in_double, nearest
from chainrule.backends.native.code.scalar import Builder, Value, declared, fill, lanes_of, magnitude, muladd

# π/2 in three parts: the first two end in zeros, so that their products with small integers are exact.
_HALF_PI = (1.57079632673412561417e00, 6.07710050630396597660e-11, 2.02226624879595063154e-21)
_LARGE = 1e6
_WORD, _WIDE = ir.IntType(64), ir.IntType(128)
_PADDING = 64  # zero bits before those of 2/π, which are there for the smallest exponents of large angles
_REDUCED = ir.LiteralStructType([ir.DoubleType(), ir.DoubleType(), _WORD])


def _trigonometric(quarter: int) -> Callable[..., Value]:
    """sin(x + quarter · π/2)."""

    def rule(b: Builder, x: Value) -> Value:
        r, low, n = _reduced(b, x)
        square = b.fmul(r, r)
        odd = horner(b, square, [(-1) ** k / math.factorial(2 * k + 1) for k in range(1, 9)])
        cosine = horner(b, square, [(-1) ** k / math.factorial(2 * k) for k in range(10)])
        sine = b.fadd(r, muladd(b, b.fmul(r, square), odd, b.fmul(low, cosine)))
        cosine = b.fsub(cosine, b.fmul(low, r))
        n = b.add(n, fill(n.type, quarter))
        one = fill(n.type, 1)
        swapped = b.icmp_signed("!=", b.and_(n, one), fill(n.type, 0))
        y = b.select(swapped, cosine, sine)
        sign = b.shl(b.and_(b.lshr(n, one), one), fill(n.type, 63))
        y = b.bitcast(b.xor(b.bitcast(y, n.type), sign), x.type)
        return y if quarter else b.select(b.fcmp_ordered("==", x, fill(x.type, 0.0)), x, y)  # −0 stays

    return in_double(rule)


sin = _trigonometric(0)
cos = _trigonometric(1)


def _reduced(b: Builder, x: Value) -> tuple[Value, ...]:
    """(r, low, n) with x = n π/2 + r + low, where low is below half a unit in the last place of r; of n, two bits are right."""
    turns, n = nearest(b, b.fmul(x, fill(x.type, 2.0 / math.pi)))
    first, second, third = _HALF_PI
    above = muladd(b, turns, fill(x.type, -first), x)
    r = muladd(b, turns, fill(x.type, -second), above)
    lost = muladd(b, turns, fill(x.type, -second), b.fsub(above, r))
    plain = r, muladd(b, turns, fill(x.type, -third), lost), n
    large = b.fcmp_ordered(">", magnitude(b, x), fill(x.type, _LARGE))
    lanes = lanes_of(x)
    any_large = large if lanes == 1 else b.icmp_unsigned("!=", b.bitcast(large, ir.IntType(lanes)), ir.IntType(lanes)(0))
    before = b.block
    with b.if_then(any_large, likely=False):
        exact = _one_by_one(b, x, large, plain)
        inside = b.block
    merged = []
    for usual, rare in zip(plain, exact, strict=True):
        merged.append(b.phi(usual.type))
        merged[-1].add_incoming(usual, before)
        merged[-1].add_incoming(rare, inside)
    return tuple(merged)


def _one_by_one(b: Builder, x: Value, large: Value, plain: tuple[Value, ...]) -> list[Value]:
    """`plain` with the lanes that are large reduced one by one."""
    lanes = lanes_of(x)
    found = list(plain)
    for k in range(lanes):
        lane = ir.IntType(32)(k)
        reduced = b.call(_reduction(b), [x if lanes == 1 else b.extract_element(x, lane)])
        for item in range(3):
            number = b.extract_value(reduced, item)
            found[item] = number if lanes == 1 else b.insert_element(found[item], number, lane)
    return [b.select(large, exact, usual) for exact, usual in zip(found, plain, strict=True)]


def _reduction(b: Builder) -> ir.Function:
    """The function that reduces one large angle x = M 2ᴱ, M of 53 bits: all in integers.

    The bits of 2/π worth 4 and more, times x, add up to whole turns, and are left out. M times the next 192 bits, modulo 2¹⁹²,
    is x · 2/π modulo 4: two bits before the point and 190 after it, of which the last 53 may be wrong. No float64 is closer to
    a multiple of π/2 than some 2⁻⁶², so 75 bits are left for r.
    """
    name = "reduce_large_angle"
    if name in b.module.globals:
        return b.module.globals[name]
    function = ir.Function(b.module, ir.FunctionType(_REDUCED, [ir.DoubleType()]), name)
    function.linkage = "internal"
    function.attributes.add("nounwind")
    function.attributes.add("noinline")
    _write_reduction(Builder(function.append_basic_block("entry")), function.args[0])
    return function


def _write_reduction(b: Builder, x: Value) -> None:
    bits = b.bitcast(magnitude(b, x), _WORD)
    # What is not large, or not finite, is not looked up; any number that is will do in its place.
    least = b.bitcast(fill(x.type, _LARGE), _WORD)
    known = b.icmp_unsigned("<", b.sub(bits, least), b.sub(_WORD(0x7FF << 52), least))
    bits = b.select(known, bits, least)
    mantissa = b.or_(b.and_(bits, _WORD((1 << 52) - 1)), _WORD(1 << 52))
    exponent = b.sub(b.lshr(bits, _WORD(52)), _WORD(1075))
    words = _three_words(b, b.add(exponent, _WORD(_PADDING - 2)))
    # The product modulo 2¹⁹², as its top 128 bits and the word below them.
    products = [b.mul(b.zext(mantissa, _WIDE), b.zext(word, _WIDE)) for word in words]
    last = b.trunc(products[2], _WORD)
    top = b.add(b.shl(products[0], _WIDE(64)), b.add(products[1], b.lshr(products[2], _WIDE(64))))
    n = b.trunc(b.lshr(top, _WIDE(126)), _WORD)
    # The fraction of a quarter turn, as a signed number: from ½ on, it is counted from the next quarter turn.
    fraction = b.or_(b.shl(top, _WIDE(2)), b.zext(b.lshr(last, _WORD(62)), _WIDE))
    down = b.icmp_signed("<", fraction, _WIDE(0))
    n = b.add(n, b.zext(down, _WORD))
    size = b.select(down, b.neg(fraction), fraction)
    leading = _leading_zeros(b, size)
    digits = b.trunc(b.lshr(b.shl(size, leading), _WIDE(64)), _WORD)
    product = b.mul(b.zext(digits, _WIDE), b.zext(_WORD(_half_pi_bits()), _WIDE))
    # 63 bits of r: as many as a float64 takes, and the rest.
    whole = b.trunc(b.lshr(product, _WIDE(65)), _WORD)
    high = b.sitofp(whole, ir.DoubleType())
    low = b.sitofp(b.sub(whole, b.fptosi(high, _WORD)), ir.DoubleType())
    scale = b.bitcast(b.shl(b.sub(_WORD(1023 - 62), b.trunc(leading, _WORD)), _WORD(52)), ir.DoubleType())
    negative = b.icmp_signed("<", b.bitcast(x, _WORD), _WORD(0))
    scale = b.select(b.xor(down, negative), b.fneg(scale), scale)
    pair = b.insert_value(ir.Constant(_REDUCED, ir.Undefined), b.fadd(b.fmul(high, scale), b.fsub(x, x)), 0)  # NaN for ∞
    pair = b.insert_value(pair, b.fmul(low, scale), 1)
    b.ret(b.insert_value(pair, b.select(negative, b.neg(n), n), 2))


def _three_words(b: Builder, start: Value) -> list[Value]:
    """192 bits of the table from a bit on, the highest first."""
    table = _table(b)
    first, shift = b.lshr(start, _WORD(6)), b.and_(start, _WORD(63))
    loaded = []
    for k in range(4):
        pointer = b.gep(table, [_WORD(0), b.add(first, _WORD(k))], source_etype=table.value_type)
        loaded.append(ir.IRBuilder.load(b, pointer, typ=_WORD, align=8))
    funnel = declared(b, "llvm.fshl.i64", ir.FunctionType(_WORD, [_WORD] * 3))
    return [b.call(funnel, [high, low, shift]) for high, low in pairwise(loaded)]


def _leading_zeros(b: Builder, x: Value) -> Value:
    bit = ir.IntType(1)
    counter = declared(b, f"llvm.ctlz.i{x.type.width}", ir.FunctionType(x.type, [x.type, bit]))
    return b.call(counter, [x, bit(0)])


def _table(b: Builder) -> ir.GlobalVariable:
    name = "two_over_pi"
    if name not in b.module.globals:
        type = ir.ArrayType(_WORD, len(_two_over_pi()))
        variable = ir.GlobalVariable(b.module, type, name)
        variable.initializer = ir.Constant(type, list(_two_over_pi()))
        variable.linkage = "internal"
        variable.global_constant = True
    return b.module.globals[name]


def _half_pi_bits() -> int:
    """π/2 in 64 bits."""
    return _pi(128) >> 66


@cache
def _two_over_pi() -> tuple[int, ...]:
    """Words of 64 bits: padding, then the bits of 2/π after the point, as many as the largest exponent needs."""
    words = 21
    digits = 64 * words + 64
    bits = (2 << (digits + 64 * words - _PADDING)) // _pi(digits)
    return tuple((bits >> (64 * (words - 1 - k))) & ((1 << 64) - 1) for k in range(words))


def _pi(digits: int) -> int:
    """π = 16 arctan(1/5) − 4 arctan(1/239) (Machin), in units of 2^−digits."""
    return 16 * _arctangent(5, digits) - 4 * _arctangent(239, digits)


def _arctangent(inverse: int, digits: int) -> int:
    """arctan(1 / inverse) in units of 2^−digits, by its series."""
    power = (1 << digits) // inverse
    total, k = 0, 1
    while power:
        total += power // k if k % 4 == 1 else -(power // k)
        power //= inverse * inverse
        k += 2
    return total
