"""The scalar instructions as LLVM IR: what an elementwise node does to one number, or to a vector of numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from llvmlite import ir

from chainrule.backends.native.code.angles import cos, sin
from chainrule.backends.native.code.powers import power
from chainrule.backends.native.code.scalar import (
    CONTRACT,
    FLOAT64,
    Builder,
    Value,
    declared,
    element_type,
    fill,
    intrinsic,
    is_bit,
    is_integer,
    is_unsigned,
    known_number,
    lanes_of,
    magnitude,
    type_suffix,
    widened,
)
from chainrule.backends.native.code.series import erf, exp, expm1, floor, log, log1p, tanh
from chainrule.ir import DType


def _arithmetic(on_floats: str, on_integers: str, on_bits: str) -> Callable[..., Value]:
    def rule(b: Builder, x: Value, y: Value) -> Value:
        if is_bit(x):
            return getattr(b, on_bits)(x, y)
        if is_integer(x):
            return getattr(b, on_integers)(x, y)
        return getattr(b, on_floats)(x, y, flags=CONTRACT)

    return rule


def _comparison(sign: str) -> Callable[..., Value]:
    def rule(b: Builder, x: Value, y: Value) -> Value:
        if is_integer(x):
            return (b.icmp_unsigned if is_unsigned(x) else b.icmp_signed)(sign, x, y)
        return (b.fcmp_unordered if sign == "!=" else b.fcmp_ordered)(sign, x, y)

    return rule


def _extreme(sign: str) -> Callable[..., Value]:
    """The larger or smaller one; the second of equal ones, as 0 and −0 are; NaN if either is."""

    def rule(b: Builder, x: Value, y: Value) -> Value:
        if is_integer(x):
            return b.select((b.icmp_unsigned if is_unsigned(x) else b.icmp_signed)(sign, x, y), x, y)
        limit = known_number(y)
        if limit == 0:
            return b.select(b.fcmp_ordered({">": "<=", "<": ">="}[sign], x, y), y, x)
        if limit is not None:
            return b.select(b.fcmp_ordered(sign, y, x), y, x)  # a NaN in x stays, as every comparison with it fails
        chosen = b.select(b.fcmp_ordered(sign, x, y), x, y)
        return chosen if known_number(x) is not None else b.select(b.fcmp_unordered("uno", x, x), x, chosen)

    return rule


def _negative(b: Builder, x: Value) -> Value:
    return b.neg(x) if is_integer(x) else b.fneg(x)


def _absolute(b: Builder, x: Value) -> Value:
    if is_unsigned(x):
        return x
    return b.select(b.icmp_signed("<", x, fill(x.type, 0)), b.neg(x), x) if is_integer(x) else magnitude(b, x)


def _sign(b: Builder, x: Value) -> Value:
    positive = _comparison(">")(b, x, fill(x.type, 0))
    if is_unsigned(x):
        return b.select(positive, fill(x.type, 1), fill(x.type, 0))
    negative = _comparison("<")(b, x, fill(x.type, 0))
    neither = x if is_integer(x) else magnitude(b, x)  # 0 for −0, and NaN stays
    return b.select(positive, fill(x.type, 1), b.select(negative, fill(x.type, -1), neither))


def convert(b: Builder, x: Value, dtype: DType) -> Value:
    """x as another dtype; towards integers by cutting off the fraction."""
    lanes = lanes_of(x)
    type = widened(element_type(dtype), lanes)
    if x.type == type:
        return x
    if dtype == np.bool_:
        return _comparison("!=")(b, x, fill(x.type, 0))
    if is_integer(x):
        return _convert_integer(b, x, dtype, type)
    if dtype.kind == "f":
        return b.fpext(x, type) if dtype == FLOAT64 else b.fptrunc(x, type)
    return b.trunc(_whole(b, x, 32), type) if dtype.itemsize == 1 else _whole(b, x, 8 * dtype.itemsize)


def _whole(b: Builder, x: Value, bits: int) -> Value:
    """A floating number without its fraction. What an integer cannot hold becomes what the processor and NumPy make of it.

    LLVM knows no such result, and would think that it cannot happen.
    """
    type = widened(ir.IntType(bits), lanes_of(x))
    if not b.module.triple.startswith("x86"):  # the nearest integer, 0 for NaN
        name = f"llvm.fptosi.sat.{type_suffix(type)}.{type_suffix(x.type)}"
        return b.call(declared(b, name, ir.FunctionType(type, [x.type])), [x])
    inside = b.fcmp_ordered("<", magnitude(b, x), fill(x.type, 2.0 ** (bits - 1)))
    whole = b.fptosi(b.select(inside, x, fill(x.type, 0.0)), type)
    return b.select(inside, whole, fill(type, -(2 ** (bits - 1))))


def _convert_integer(b: Builder, x: Value, dtype: DType, type: ir.Type) -> Value:
    if dtype.kind == "f":
        return (b.uitofp if is_unsigned(x) else b.sitofp)(x, type)
    source = x.type.element if isinstance(x.type, ir.VectorType) else x.type
    if dtype.itemsize * 8 < source.width:
        return b.trunc(x, type)
    return (b.zext if is_unsigned(x) else b.sext)(x, type)


def _isfinite(b: Builder, x: Value) -> Value:
    if is_integer(x):
        return fill(widened(ir.IntType(1), lanes_of(x)), 1)
    return b.fcmp_ordered("<", magnitude(b, x), fill(x.type, math.inf))


def _as_bit(b: Builder, x: Value) -> Value:
    return x if is_bit(x) else _comparison("!=")(b, x, fill(x.type, 0))


# One rule for every name in `forms.INSTRUCTIONS`; `cast` takes its dtype from the attributes.
RULES: dict[str, Callable[..., Value]] = {
    "add": _arithmetic("fadd", "add", "or_"),
    "subtract": _arithmetic("fsub", "sub", "xor"),
    "multiply": _arithmetic("fmul", "mul", "and_"),
    "divide": lambda b, x, y: b.fdiv(x, y),
    "negative": _negative,
    "power": power,
    "equal": _comparison("=="),
    "not_equal": _comparison("!="),
    "less": _comparison("<"),
    "less_equal": _comparison("<="),
    "greater": _comparison(">"),
    "greater_equal": _comparison(">="),
    "logical_and": lambda b, x, y: b.and_(_as_bit(b, x), _as_bit(b, y)),
    "logical_or": lambda b, x, y: b.or_(_as_bit(b, x), _as_bit(b, y)),
    "logical_not": lambda b, x: b.not_(_as_bit(b, x)),
    "isfinite": _isfinite,
    "where": lambda b, c, x, y: b.select(c, x, y),
    "exp": exp,
    "expm1": expm1,
    "log": log,
    "log1p": log1p,
    "sqrt": lambda b, x: intrinsic(b, "llvm.sqrt", x),
    "sin": sin,
    "cos": cos,
    "tanh": tanh,
    "erf": erf,
    "abs": _absolute,
    "sign": _sign,
    "floor": floor,
    "maximum": _extreme(">"),
    "minimum": _extreme("<"),
    "stop_gradient": lambda b, x: x,
    "copy": lambda b, x: x,
    "cast": convert,
}


def apply(b: Builder, op: str, arguments: Sequence[Value], attributes: Mapping[str, Any]) -> Value:
    """Emit one elementwise instruction on arguments of one length."""
    return RULES[op](b, *arguments, **attributes)
