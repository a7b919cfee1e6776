"""Types and values of LLVM IR, for one number or for a vector of numbers alike."""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np
from llvmlite import ir

from chainrule.ir import DType

Builder: TypeAlias = ir.IRBuilder
Value: TypeAlias = ir.Value

_ELEMENTS = {
    "bool": ir.IntType(1),
    "uint8": ir.IntType(8),
    "int32": ir.IntType(32),
    "int64": ir.IntType(64),
    "float32": ir.FloatType(),
    "float64": ir.DoubleType(),
}
FLOAT64 = np.dtype(np.float64)
CONTRACT = ("contract",)


def element_type(dtype: DType) -> ir.Type:
    """The LLVM type of one number in a register; bool is a bit."""
    return _ELEMENTS[dtype.name]


def memory_type(dtype: DType) -> ir.Type:
    """The LLVM type of one number in memory; bool is a byte."""
    return ir.IntType(8) if dtype == np.bool_ else element_type(dtype)


def widened(element: ir.Type, lanes: int) -> ir.Type:
    """A vector of `lanes` elements; the element itself for one lane."""
    return element if lanes == 1 else ir.VectorType(element, lanes)


def lanes_of(value: Value) -> int:
    """How many numbers a value holds."""
    return value.type.count if isinstance(value.type, ir.VectorType) else 1


class _Same(ir.Constant):  # type: ignore[misc]  # llvmlite has no types
    """A vector with one constant in every lane, written once; llvmlite would write every lane, and LLVM read them."""

    def __init__(self, type: ir.VectorType, one: ir.Constant) -> None:
        super().__init__(type, [one] * type.count)
        self._text = f"splat ({one.type} {one.get_reference()})"

    def _get_reference(self) -> str:
        return self._text


class _Nothing(ir.Constant):  # type: ignore[misc]
    """A vector whose lanes do not matter."""

    def __init__(self, type: ir.VectorType) -> None:
        super().__init__(type, ir.Undefined)

    def _get_reference(self) -> str:
        return "poison"


def fill(type: ir.Type, number: Any) -> ir.Constant:
    """A constant with `number` in every lane."""
    if isinstance(type, ir.VectorType):
        return _Same(type, fill(type.element, number))
    if isinstance(type, ir.IntType):
        return ir.Constant(type, int(number))
    return ir.Constant(type, float(np.float32(number)) if isinstance(type, ir.FloatType) else float(number))


def splat(b: Builder, value: Value, lanes: int) -> Value:
    """A vector with `value` in every lane."""
    if lanes == 1 or isinstance(value.type, ir.VectorType):
        return value
    vector = ir.VectorType(value.type, lanes)
    if isinstance(value, ir.Constant):
        return _Same(vector, value)
    first = b.insert_element(_Nothing(vector), value, ir.IntType(32)(0))
    return b.shuffle_vector(first, _Nothing(vector), fill(ir.VectorType(ir.IntType(32), lanes), 0))


def intrinsic(b: Builder, name: str, *arguments: Value) -> Value:
    """Call an LLVM intrinsic that takes and gives one type, overloaded on it."""
    type = arguments[0].type
    function = declared(b, f"{name}.{type_suffix(type)}", ir.FunctionType(type, [a.type for a in arguments]))
    return b.call(function, arguments)


def type_suffix(type: ir.Type) -> str:
    """What the name of an intrinsic calls a type."""
    if isinstance(type, ir.VectorType):
        return f"v{type.count}{type_suffix(type.element)}"
    return {ir.FloatType: "f32", ir.DoubleType: "f64"}.get(builtin_type(type)) or f"i{type.width}"


def builtin_type(value: Any) -> Any:
    """`type(value)`, where the name `type` is taken."""
    return value.__class__


def declared(b: Builder, name: str, type: ir.FunctionType) -> ir.Function:
    """The function of that name in the module, declared if it is new."""
    found = b.module.globals.get(name)
    return found if found is not None else ir.Function(b.module, type, name)


def muladd(b: Builder, x: Value, y: Value, z: Value) -> Value:
    """x y + z, in one rounding where the processor can."""
    return intrinsic(b, "llvm.fmuladd", x, y, z)


def is_integer(value: Value) -> bool:
    """Whether it is whole numbers, bits included."""
    element = value.type.element if isinstance(value.type, ir.VectorType) else value.type
    return isinstance(element, ir.IntType)


def is_bit(value: Value) -> bool:
    """Whether it is truth values."""
    element = value.type.element if isinstance(value.type, ir.VectorType) else value.type
    return isinstance(element, ir.IntType) and element.width == 1


def is_unsigned(value: Value) -> bool:
    """uint8 is the only 8-bit type, and bits are unsigned."""
    element = value.type.element if isinstance(value.type, ir.VectorType) else value.type
    return isinstance(element, ir.IntType) and element.width <= 8


def magnitude(b: Builder, x: Value) -> Value:
    """|x| of a floating number."""
    return intrinsic(b, "llvm.fabs", x)


def copysign(b: Builder, size: Value, sign: Value) -> Value:
    """The magnitude of one floating number with the sign of another."""
    return intrinsic(b, "llvm.copysign", size, sign)


def known_number(value: Value) -> float | None:
    """The number in every lane of a constant."""
    if not isinstance(value, ir.Constant):
        return None
    numbers = value.constant if isinstance(value.constant, list | tuple) else [value.constant]
    plain = {n.constant if isinstance(n, ir.Constant) else n for n in numbers}
    found = plain.pop() if len(plain) == 1 else None
    return float(found) if isinstance(found, int | float) and math.isfinite(found) else None
