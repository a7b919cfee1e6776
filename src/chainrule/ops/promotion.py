"""One dtype and one shape for the operands of an operation, by NumPy's rules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from chainrule.errors import ArgumentError, DTypeError, ShapeError
from chainrule.ir import DType, Node, Scalar, Shape, as_dtype
from chainrule.ops.facts import Facts
from chainrule.ops.primitive import Case, Inputs, Notation, Operand, Primitive, Weak, as_node, define
from chainrule.ops.requirement import Limits, required

Result = Literal["same", "number", "float", "bool"]


def promote(operands: tuple[Operand, ...], result: Result, op: str, settings: Sequence[Scalar] = ()) -> Inputs:
    """Bring operands to one dtype by NumPy's rules, where Python numbers, those among the settings included, are weak.

    Raises:
        DTypeError: booleans for an operation on numbers.
        ArgumentError: a Python number that the dtype cannot hold.
    """
    dtype = _common([*operands, *settings])
    if dtype is None:
        dtype = np.result_type(*(o.dtype if isinstance(o, Node) else _example(o) for o in operands), *settings)
    if result == "number" and dtype == np.bool_:
        raise DTypeError(f"{op} got booleans", "it takes numbers", "Convert with astype, or use logical_not.")
    if result == "float" and dtype.kind != "f":
        dtype = np.dtype(np.float64)
    dtype = as_dtype(dtype)
    try:
        return tuple(to_dtype(_held(o, dtype, op), dtype) for o in operands)
    except OverflowError as error:
        raise ArgumentError(
            f"{op} got a number that {dtype} cannot hold ({error})", "numbers take the Tensor's dtype", "Use astype."
        ) from None


def _common(values: Sequence[Operand]) -> DType | None:
    """The dtype of all nodes, where Python numbers do not change it: in most eager operations, which take microseconds.

    NumPy's `result_type` answers for the others.
    """
    dtypes = {v.dtype for v in values if isinstance(v, Node)}
    if len(dtypes) != 1:
        return None
    (dtype,) = dtypes
    weak = (int, float) if dtype.kind == "f" else ()
    return dtype if all(isinstance(v, Node) or type(v) in weak for v in values) else None


def plain(number: Scalar) -> Scalar:
    """A Python number for one of a class derived from Python's, such as a member of an enumeration: NumPy has no weak ones
    of those. Numbers of NumPy's own stay."""
    if type(number) in (bool, int, float) or isinstance(number, np.generic):
        return number
    return int(number) if isinstance(number, int) else float(number)


def _example(number: Scalar | Weak) -> Scalar:
    """A number of that kind."""
    return {"b": False, "i": 0, "f": 0.0}[number.node.dtype.kind] if isinstance(number, Weak) else number


def _held(operand: Operand, dtype: DType, op: str) -> Node:
    """An operand as a node; a number that is not known yet must fit the integers that it becomes."""
    if isinstance(operand, Node):
        return operand
    if isinstance(operand, Weak) and operand.node.dtype.kind == "i" and dtype.kind in "iu":
        ends, given = (
            np.iinfo(dtype),
            f"{op} got a number that {dtype} cannot hold (Python integer {{}} out of bounds for {dtype})",
        )
        limits = Limits(int(ends.min), int(ends.max), None, given, "numbers take the Tensor's dtype", "Use astype.")
        return operand.node if dtype == np.int64 else required(operand.node, operand.node, limits)
    return as_node(operand, dtype)


def broadcast_shape(op: str, inputs: Inputs) -> Shape:
    """The shape that the inputs have together.

    Raises:
        ShapeError: they do not broadcast.
    """
    shapes = {i.shape for i in inputs if i.shape}
    if len(shapes) <= 1:
        return shapes.pop() if shapes else ()
    try:
        return np.broadcast_shapes(*(i.shape for i in inputs))
    except ValueError:
        given = " and ".join(str(i.shape) for i in inputs)
        raise ShapeError(
            f"{op} got the shapes {given}",
            "from the last axis backwards, sizes must be equal or 1",
            "Reshape one of them, or add an axis with expand_dims.",
        ) from None


def to_dtype(x: Node, dtype: Any) -> Node:
    """The same values as another dtype; `x` itself if it has it already."""
    return x if x.dtype == dtype else cast(x, dtype=as_dtype(dtype))


def _prepare_cast(operands: tuple[Operand, ...], attributes: dict[str, Any]) -> tuple[Inputs, dict[str, Any]]:
    return (as_node(operands[0]),), {"dtype": as_dtype(attributes["dtype"])}


cast = define(
    Primitive(
        name="cast",
        summary="y = x as another dtype; towards integers by cutting off the fraction.",
        notation=Notation("#0", "#0"),
        prepare=_prepare_cast,
        infer=lambda inputs, attributes: (inputs[0].shape, attributes["dtype"]),
        evaluate=lambda x, dtype: x.astype(dtype),
        partials=(lambda x, y, dtype: 1.0,),
        facts=Facts(moves="converts", bound="cast", exact=True),
        cases=lambda rng: Case((rng.uniform(-2, 2, size=(2, 3)),), {"dtype": np.dtype(np.float64)}),
    )
)
