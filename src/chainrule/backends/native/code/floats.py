"""What the series of functions are made of: bits of floating numbers, polynomials, and more digits where they are needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from llvmlite import ir

from chainrule.backends.native.code.scalar import Builder, Value, fill, lanes_of, muladd, widened


def is_double(type: ir.Type) -> bool:
    """Whether numbers of a type are float64; they are float32 if not."""
    element = type.element if isinstance(type, ir.VectorType) else type
    return isinstance(element, ir.DoubleType)


def integers(type: ir.Type) -> ir.Type:
    """The integer type of the same length."""
    bits = ir.IntType(64 if is_double(type) else 32)
    return ir.VectorType(bits, type.count) if isinstance(type, ir.VectorType) else bits


def mantissa_bits(type: ir.Type) -> int:
    """How many bits the mantissa has in memory."""
    return 52 if is_double(type) else 23


def bias(type: ir.Type) -> int:
    """What is added to an exponent in memory."""
    return 1023 if is_double(type) else 127


def rounder(type: ir.Type) -> float:
    """Added to a number, it pushes the fraction out of the mantissa: what is left is rounded to the nearest integer."""
    return float(1.5 * 2.0 ** mantissa_bits(type))


def nearest(b: Builder, x: Value) -> tuple[Value, Value]:
    """x rounded to the nearest integer, as a float and as an integer; for |x| < 2²² (float32) or 2⁵¹ (float64)."""
    magic = fill(x.type, rounder(x.type))
    shifted = b.fadd(x, magic)
    bits = integers(x.type)
    return b.fsub(shifted, magic), b.sub(b.bitcast(shifted, bits), b.bitcast(magic, bits))


def power_of_two(b: Builder, n: Value, type: ir.Type) -> Value:
    """2ⁿ for an integer n within the normal exponents."""
    biased = b.add(n, fill(n.type, bias(type)))
    return b.bitcast(b.shl(biased, fill(n.type, mantissa_bits(type))), type)


def horner(b: Builder, x: Value, coefficients: Sequence[float]) -> Value:
    """c₀ + c₁ x + c₂ x² + …"""
    y = fill(x.type, coefficients[-1])
    for c in reversed(coefficients[:-1]):
        y = muladd(b, y, x, fill(x.type, c))
    return y


def in_double(rule: Callable[..., Value]) -> Callable[..., Value]:
    """Evaluate in float64 and round, where float32 would lose too much on the way."""

    def both(b: Builder, *arguments: Value) -> Value:
        type = arguments[0].type
        if is_double(type):
            return rule(b, *arguments)
        wide = widened(ir.DoubleType(), lanes_of(arguments[0]))
        return b.fptrunc(rule(b, *(b.fpext(a, wide) for a in arguments)), type)

    return both
