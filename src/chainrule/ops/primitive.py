"""What a primitive is, the table of all of them, and how applying one makes a node.

A primitive is one record. It is *basic* when it has `evaluate`, its meaning in NumPy, which every backend must match; it is a
*block* when it has a `body`, its meaning as a graph of smaller primitives. Whoever can run the basic ones can run everything.

Derivatives are graph expressions in primitives. An elementwise primitive states its *partials* ∂y/∂xᵢ; any other one its
*pullback*, which takes the upstream gradient g = ∂E/∂y to ∂E/∂xᵢ. A block may leave out both: its body is differentiated.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypedDict

import numpy as np

from chainrule import ir, registry
from chainrule.errors import ArgumentError, ChainruleError, GraphError, ShapeError
from chainrule.ir import LEAVES, Array, Attributes, DType, Node, Scalar, Shape
from chainrule.ops.facts import NOTHING_MORE, Facts


@dataclass(frozen=True)
class Weak:
    """A Python number that is not known yet: the node that stands for it, whose dtype gives way as that of a number does."""

    node: Node


Operand = Node | Scalar | Weak
Inputs = tuple[Node, ...]
Partial = Callable[..., Node | float]
Pullback = Callable[[Node, Node, int], Node | None]


@dataclass(frozen=True)
class Case:
    """One valid application of a primitive, for tests: arrays and attributes."""

    inputs: tuple[Array, ...]
    attributes: Attributes = field(default_factory=dict)


@dataclass(frozen=True)
class Notation:
    """How a primitive is written: `#0` and `<0>` stand for an input, `#*` for all of them, `#name` for an attribute.

    Attributes:
        text: for a terminal.
        latex: for print.
        precedence: how tightly it binds; `<0>` puts an input that binds less in brackets (see `chainrule.ops.notation`).
        sign: its sign in a drawing; the name of the primitive if there is none.
    """

    text: str
    latex: str
    precedence: int = 100
    sign: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class Primitive:
    """One operation: everything that is known about it.

    Attributes:
        name: its name in graphs.
        summary: what it computes, in a sentence with the equation.
        infer: shape and dtype of the result, from the input nodes and the attributes; raises for inputs that do not fit.
        prepare: turns what a caller wrote (Python numbers, mixed dtypes, negative axes) into canonical inputs and attributes.
        evaluate: meaning in NumPy (basic primitives).
        body: meaning in smaller primitives (blocks); called with the input nodes and the attributes.
        partials: for an elementwise primitive, ∂y/∂xᵢ per input, as a function of (*inputs, y, **attributes).
            A float stands for a constant; 0.0 says that nothing flows to that input.
        pullback: for any other primitive, (g, node, i) ↦ the gradient that reaches input i, or None if nothing flows.
        not_differentiable: why no gradient passes, where asking for one is a mistake ("" otherwise).
        kinks: what the derivative is taken to be where it does not exist ("" if it exists wherever the value does).
        notation: how it is written.
        cases: makes a random valid application; the tests are generated from it.
        facts: what else is known of it.
    """

    name: str
    summary: str
    infer: Callable[[Inputs, Attributes], tuple[Shape, DType]]
    prepare: Callable[[tuple[Operand, ...], dict[str, Any]], tuple[Inputs, dict[str, Any]]]
    notation: Notation
    cases: Callable[[np.random.Generator], Case]
    evaluate: Callable[..., Any] | None = None
    body: Callable[..., Node] | None = None
    partials: tuple[Partial, ...] | None = None
    pullback: Pullback | None = None
    not_differentiable: str = ""
    kinks: str = ""
    facts: Facts = NOTHING_MORE

    @property
    def elementwise(self) -> bool:
        """Whether each element of the result depends only on the elements at its place (after broadcasting)."""
        return self.partials is not None

    def __call__(self, *operands: Any, **attributes: Any) -> Node:
        """Apply to nodes and numbers: a new node, with its value if all inputs have theirs.

        Moves take their settings by position too, as in `reshape(x, (2, 3))`.

        Raises:
            ShapeError, DTypeError, ArgumentError: operands or attributes that do not fit.
        """
        inputs, attributes = self.prepare(operands, attributes)
        shape, dtype = self.infer(inputs, attributes)
        value = self.run(inputs, attributes) if all(i.value is not None for i in inputs) else None
        if value is not None:
            self.expect(value, shape, dtype)
        return Node(self.name, inputs, attributes, shape, dtype, None, value)

    def run(self, inputs: Inputs, attributes: Attributes) -> Array:
        """The value for inputs whose values are known."""
        if self.evaluate is None:
            assert self.body is not None
            value = self._meaning(self.body(*(ir.constant(i.value) for i in inputs), **attributes)).value
            assert value is not None
            return value
        with np.errstate(all="ignore"):
            return np.asarray(self.evaluate(*(i.value for i in inputs), **attributes))

    def expand(self, node: Node) -> Node:
        """The node of a block, written as the graph of its body on the same inputs.

        Raises:
            GraphError: the body is no node, or has another shape or dtype than the block.
        """
        if self.body is None:
            raise ArgumentError(f"{self.name} cannot be expanded", "only blocks have a body", "Use it as it is.")
        meaning = self._meaning(self.body(*node.inputs, **node.attributes))
        self.expect(meaning, node.shape, node.dtype)
        return meaning

    def _meaning(self, body: Any) -> Node:
        """What a body gave, which must be a node."""
        if isinstance(body, Node):
            return body
        raise GraphError(
            f"the body of the primitive {self.name} gave {body!r}", "it gives a node", "Write a formula of the inputs."
        )

    def expect(self, found: Node | Array, shape: Shape, dtype: DType) -> None:
        """Refuse a body or value that is not what `infer` says: a program would read and write past the end of its arrays.

        Raises:
            GraphError: another shape or dtype.
        """
        if found.shape != shape or found.dtype != dtype:
            raise GraphError(
                f"the primitive {self.name} computes {found.dtype}{list(found.shape)}",
                f"its infer says {dtype}{list(shape)}",
                "Make its body or evaluate and its infer agree, for instance with cast.",
            )


class Meaning(TypedDict, total=False):
    """The fields of a `Primitive` that functions which define a family of them hand on as they are."""

    evaluate: Callable[..., Any]
    body: Callable[..., Node]
    pullback: Pullback
    kinks: str
    not_differentiable: str
    facts: Facts


PRIMITIVES: dict[str, Primitive] = {}


def define(primitive: Primitive, origin: Any = None) -> Primitive:
    """Enter a primitive into the table.

    Args:
        primitive: its record.
        origin: see `registry.enter`.

    Raises:
        ArgumentError: the name is taken, or the record does not have exactly one meaning, or no rule for its gradient.
    """
    if (primitive.evaluate is None) == (primitive.body is None):
        raise ArgumentError(f"the primitive {primitive.name} must have either evaluate (basic) or body (block), not both.")
    has_rule = primitive.partials or primitive.pullback or primitive.body or primitive.not_differentiable
    if not has_rule:
        raise ArgumentError(
            f"the primitive {primitive.name} says nothing of its gradient; give partials, pullback, or not_differentiable."
        )
    registry.enter(PRIMITIVES, "primitive", primitive.name, primitive, origin)
    return primitive


def lookup(name: str) -> Primitive:
    """The primitive of that name."""
    try:
        return PRIMITIVES[name]
    except KeyError:
        raise ChainruleError(f"there is no primitive named {name!r}; the table is chainrule.ops.PRIMITIVES.") from None


def facts(node: Node) -> Facts:
    """What is known of a node's primitive; nothing of a leaf, or of an instruction of a backend's own."""
    record = PRIMITIVES.get(node.op)
    return NOTHING_MORE if record is None else record.facts


def hands_on(node: Node) -> bool:
    """Whether a node hands on all elements of its only input: a move that leaves none out, or another dtype."""
    return len(node.inputs) == 1 and facts(node).moves in ("reshapes", "reorders", "repeats", "converts")


def handed_on(node: Node) -> Node:
    """The node whose elements a node hands on, through any number of moves; itself if it hands on none."""
    while hands_on(node):
        (node,) = node.inputs
    return node


def is_function(node: Node) -> bool:
    """Whether a node is a function of one floating value, element by element; copies and changes of sign do not count."""
    known = facts(node)
    one = node.op not in LEAVES and len(node.inputs) == 1 and node.inputs[0].dtype.kind == "f"
    return one and lookup(node.op).elementwise and not (known.exact and known.corner is None)


def infer(node: Node) -> tuple[Shape, DType]:
    """Shape and dtype that the rule of a node's primitive gives for its inputs."""
    return lookup(node.op).infer(node.inputs, node.attributes)


def as_node(operand: Operand | Array, dtype: DType | None = None) -> Node:
    """The operand itself if it is a node, else a constant."""
    if isinstance(operand, Weak):
        return operand.node
    return operand if isinstance(operand, Node) else ir.constant(operand, dtype)


def pullbacks(*rules: Callable[[Node, Node], Node | None]) -> Pullback:
    """A pullback from one rule (g, node) per input."""

    def pullback(g: Node, node: Node, index: int) -> Node | None:
        if len(rules) != len(node.inputs):
            raise GraphError(
                f"the primitive {node.op} has {len(rules)} rules in its pullbacks",
                f"it has {len(node.inputs)} inputs",
                "Give one rule per input.",
            )
        return rules[index](g, node)

    return pullback


def integer(value: Any, op: str, setting: str) -> int:
    """A setting that must be an integer, as a Python int.

    Raises:
        ArgumentError: it is something else, a float such as 2.0 or a truth value included.
    """
    try:
        if not isinstance(value, bool):  # as in sum(x, True), where keepdims was meant
            return operator.index(value)
    except TypeError:
        pass
    raise ArgumentError(
        f"{op} got {setting}={value!r}", "it takes integers here", "Check the setting, or convert it with int()."
    )


def check_number(op: str, setting: str, value: Any) -> None:
    """Refuse a setting that is no number."""
    if not isinstance(value, int | float | np.number):
        raise ArgumentError(f"{op} got {setting}={value!r}", "it takes a number here", "Check the setting.")


def integers(value: Any, op: str, setting: str) -> tuple[int, ...]:
    """A setting that must be one integer or a sequence of them, as a tuple.

    Raises:
        ArgumentError: it is something else.
    """
    many = (
        value.ndim > 0 if isinstance(value, np.ndarray) else isinstance(value, Sequence) and not isinstance(value, str | bytes)
    )
    return tuple(integer(v, op, setting) for v in (value if many else (value,)))


def as_shape(value: Any, op: str) -> Shape:
    """A shape: one size or several, none negative.

    Raises:
        ArgumentError: sizes that are not integers. ShapeError: negative ones.
    """
    sizes = integers(value, op, "shape")
    if any(n < 0 for n in sizes):
        raise ShapeError(f"{op} got the shape {sizes}", "no size may be negative", "Check the sizes.")
    return sizes


def normalise_axis(axis: int, ndim: int, op: str) -> int:
    """A non-negative axis.

    Raises:
        ArgumentError: there is no such axis.
    """
    axis = integer(axis, op, "axis")
    if not -ndim <= axis < ndim:
        fix = f"Give an axis from {-ndim} to {ndim - 1}." if ndim else "Leave it out."
        raise ArgumentError(f"{op} got axis {axis}", f"its input has {ndim} axes", fix)
    return axis % ndim


def normalise_axes(axis: int | Sequence[int] | None, ndim: int, op: str) -> tuple[int, ...]:
    """Non-negative axes in order; None stands for all.

    Raises:
        ArgumentError: an axis that does not exist or comes twice.
    """
    if axis is None:
        return tuple(range(ndim))
    found = tuple(sorted(normalise_axis(a, ndim, op) for a in integers(axis, op, "axis")))
    if len(set(found)) < len(found):
        raise ArgumentError(f"{op} got axis {axis}", "each axis can be named once", "Leave out the repeated one.")
    return found


def check_attributes(op: str, attributes: Mapping[str, Any], allowed: Sequence[str]) -> None:
    """Refuse settings that a primitive does not have."""
    unknown = sorted(set(attributes) - set(allowed))
    if unknown:
        raise ArgumentError(
            f"{op} got the setting {unknown[0]!r}", f"it takes {', '.join(allowed) or 'none'}", "Check the spelling."
        )


ir.set_builder(lambda op, *operands: lookup(op)(*operands))
