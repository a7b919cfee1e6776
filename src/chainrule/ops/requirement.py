"""Refusing values: what eager code checks by looking at an array, a graph has to check when it runs."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from chainrule.errors import ArgumentError
from chainrule.ir import Array, DType, Node
from chainrule.ops.primitive import Case, Inputs, Notation, Operand, Primitive, as_node, check_attributes, define


@dataclass(frozen=True)
class Limits:
    """Which values are taken, and what is said of others.

    Attributes:
        low, high: the least and the greatest value; floats for floating values, else integers. NaN is outside.
        also: one more value that is taken, or None.
        given: what was given, with `{}` for the first value outside.
        expected, fix: see `chainrule.errors.ChainruleError`.
    """

    low: float
    high: float
    also: float | None
    given: str
    expected: str
    fix: str

    def check(self, values: Array) -> None:
        """Raise ArgumentError if a value is outside."""
        outside = ~((values >= self.low) & (values <= self.high))
        if self.also is not None:
            outside &= values != self.also
        if outside.any():
            raise self.error(values[outside].flat[0].item())

    def error(self, value: float) -> ArgumentError:
        """The error for this value."""
        shown = f"{value:.6g}" if isinstance(value, float) else str(int(value))
        return ArgumentError(self.given.replace("{}", shown), self.expected, self.fix)


def _prepare(operands: tuple[Operand, ...], attributes: dict[str, Any]) -> tuple[Inputs, dict[str, Any]]:
    check_attributes("require", attributes, list(Limits.__dataclass_fields__))
    return tuple(map(as_node, operands)), attributes


def _evaluate(x: Array, values: Array, **limits: Any) -> Array:
    Limits(**limits).check(values)
    return x


def limits_of(node: Node) -> Limits:
    """The limits of a `require`."""
    return Limits(**node.attributes)


_EXAMPLE = asdict(Limits(0, 1, 2, "{} was given", "it is 0, 1 or 2", "Check it."))

require = define(
    Primitive(
        name="require",
        summary="y = x, where all elements of another value lie within limits; else the run is refused",
        notation=Notation("#0", "#0"),
        prepare=_prepare,
        infer=lambda inputs, attributes: (inputs[0].shape, inputs[0].dtype),
        evaluate=_evaluate,
        pullback=lambda g, node, index: None if index else g,
        cases=lambda rng: Case((rng.normal(size=(2, 3)), rng.integers(0, 3, size=(3, 2))), _EXAMPLE),
    )
)


def required(x: Node, values: Node, limits: Limits) -> Node:
    """x, if the values lie within the limits: known ones are looked at now, others when the graph runs.

    Raises:
        ArgumentError: a known value is outside.
    """
    if values.value is None:
        return require(x, values, **asdict(_of_kind(limits, values.dtype)))
    limits.check(values.value)
    return x


def _of_kind(limits: Limits, dtype: DType) -> Limits:
    """Limits of floats as floats, those of integers as integers."""

    def number(end: float) -> float:
        return float(end) if dtype.kind == "f" else int(max(end, -(2.0**63)))

    also = None if limits.also is None else number(limits.also)
    return replace(limits, low=number(limits.low), high=number(limits.high), also=also)


def positions(op: str, size: int) -> Limits:
    """The positions along an axis of `size` elements; negative ones count from its end."""
    return Limits(
        -size,
        size - 1,
        None,
        f"{op} got the index {{}} for an axis of size {size}",
        f"indices run from {-size} to {size - 1}",
        "Check the labels or indices, and the size they point into.",
    )
