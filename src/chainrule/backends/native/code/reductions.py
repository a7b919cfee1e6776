"""Reductions of numbers and vectors: what they begin with, and how one more value is taken in.

A kind is "sum", "prod", "max" or "min"; "argmax" and "argmin" carry the position along with the value.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from llvmlite import ir

from chainrule.backends.native.code import instructions, scalar
from chainrule.backends.native.code.bounds import Builder
from chainrule.backends.native.code.loops import INDEX
from chainrule.ir import DType

_INSTRUCTIONS = {"sum": "add", "prod": "multiply", "max": "maximum", "min": "minimum"}


def width(kind: str) -> int:
    """Numbers carried along: the value, and for positions the position."""
    return 2 if kind.startswith("arg") else 1


def identity(kind: str, dtype: DType, lanes: int) -> list[ir.Value]:
    """What a reduction begins with in each lane."""
    type = scalar.widened(scalar.element_type(dtype), lanes)
    start = [scalar.fill(type, _neutral(kind, dtype))]
    return [*start, scalar.fill(scalar.widened(INDEX, lanes), 0)] if width(kind) == 2 else start


def _neutral(kind: str, dtype: DType) -> Any:
    if kind in ("sum", "prod"):
        return 0 if kind == "sum" else 1
    low = kind in ("max", "argmax")
    if dtype.kind == "f":
        return -math.inf if low else math.inf
    if dtype == np.bool_:
        return int(not low)
    return np.iinfo(dtype).min if low else np.iinfo(dtype).max


def combined(b: Builder, kind: str, total: ir.Value, value: ir.Value) -> ir.Value:
    """The total with one more value."""
    return instructions.apply(b, _INSTRUCTIONS[kind], (total, value), {})


def with_position(b: Builder, kind: str, total: list[ir.Value], value: ir.Value, here: ir.Value) -> list[ir.Value]:
    """The first position of the extreme so far; the first NaN wins over everything, as in NumPy."""
    best, position = total
    op = "greater" if kind == "argmax" else "less"
    better = instructions.apply(b, op, (value, best), {})
    if not scalar.is_integer(value):
        is_nan = b.fcmp_unordered("uno", value, value)
        better = b.or_(better, b.and_(is_nan, b.fcmp_ordered("ord", best, best)))
    # The neutral start may be as good as the first element, which must still be taken.
    first = scalar.splat(b, b.icmp_signed("==", here, INDEX(0)), scalar.lanes_of(value))
    better = b.or_(better, first)
    spread = scalar.splat(b, here, scalar.lanes_of(value))
    return [b.select(better, value, best), b.select(better, spread, position)]


def across(b: Builder, kind: str, vector: ir.Value) -> ir.Value:
    """All lanes of a vector combined, by halves."""
    # log₂ L steps, and a sum by halves rounds less than one lane after the other.
    while (lanes := scalar.lanes_of(vector)) > 1:
        low, high = (_lanes_from(b, vector, start, lanes // 2) for start in (0, lanes // 2))
        vector = combined(b, kind, low, high)
    return vector


def _lanes_from(b: Builder, vector: ir.Value, start: int, count: int) -> ir.Value:
    if count == 1:
        return b.extract_element(vector, ir.IntType(32)(start))
    mask = ir.Constant(ir.VectorType(ir.IntType(32), count), list(range(start, start + count)))
    return b.shuffle_vector(vector, ir.Constant(vector.type, ir.Undefined), mask)
