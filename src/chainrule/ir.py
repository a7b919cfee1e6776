"""The intermediate representation: typed, immutable nodes and the graphs they form.

A node says which primitive is applied to which other nodes, and what shape and dtype result. What a primitive *means* is
written in `chainrule.ops`; nothing here knows any primitive by name except the three leaves:

    input      a value handed in at every run
    variable   a value that lives between runs: a parameter, a moment of an optimiser, the random counter
    constant   a value fixed when the graph was built

All walks are iterative, so that a chain of any length is fine.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from chainrule.errors import CaptureError, DTypeError, GraphError

Shape = tuple[int, ...]
DType = np.dtype[Any]
Array = np.ndarray[Any, DType]
Attributes = Mapping[str, Any]
Scalar = bool | int | float

LEAVES = ("input", "variable", "constant")
DTYPES = tuple(np.dtype(d) for d in ("bool", "uint8", "int32", "int64", "float32", "float64"))
_COMPUTED_WITH = frozenset(DTYPES)
_NO_ATTRIBUTES: Attributes = MappingProxyType({})


def as_dtype(dtype: Any) -> DType:
    """The NumPy dtype that `dtype` names, if chainrule computes with it.

    Raises:
        DTypeError: for anything but bool, uint8, int32, int64, float32, float64.
    """
    if isinstance(dtype, np.dtype) and dtype in _COMPUTED_WITH:
        return dtype
    try:
        found: DType = np.dtype(dtype)
    except (TypeError, ValueError):
        found = np.dtype(object)
    if found not in DTYPES:
        names = ", ".join(d.name for d in DTYPES)
        sizes = isinstance(dtype, int)  # as in zeros(2, 3)
        fix = "Give a shape as one tuple, such as (2, 3)." if sizes else "Convert the data with astype first."
        raise DTypeError(f"the dtype {dtype} was given", f"chainrule computes with {names}", fix)
    return found


def native(array: Array) -> Array:
    """The array with its bytes in the machine's order."""
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def _operator(op: str) -> Callable[[Node, Node | Scalar], Node]:
    return lambda self, other: _build(op, self, other)


def _reflected(op: str) -> Callable[[Node, Scalar], Node]:
    return lambda self, other: _build(op, other, self)


class Node:
    """One value in a graph: a primitive applied to nodes.

    Its structure never changes. `name` is a label and may be set later (`Tensor.named`).

    Attributes:
        op: name of the primitive, or one of the leaves "input", "variable", "constant".
        inputs: the nodes it reads.
        attributes: settings of the primitive (axis, stride, …); hashable values.
        shape, dtype: of the value.
        name: what the user calls it, or None.
        value: the array, where it is known: constants, and every node that ran eagerly. None in a graph still to be run.
    """

    __slots__ = ("__weakref__", "attributes", "dtype", "inputs", "name", "op", "shape", "value")

    def __init__(  # noqa: PLR0917 -- the fields of a record, in the order of its printed form
        self,
        op: str,
        inputs: tuple[Node, ...],
        attributes: Attributes,
        shape: Shape,
        dtype: DType,
        name: str | None = None,
        value: Array | None = None,
    ) -> None:
        self.op = op
        self.inputs = inputs
        self.attributes = MappingProxyType(dict(attributes)) if attributes else _NO_ATTRIBUTES
        self.shape = shape
        self.dtype = dtype
        self.name = name
        self.value = value

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    def __repr__(self) -> str:
        label = f" {self.name!r}" if self.name else ""
        return f"<{self.op}{label} {type_text(self)}>"

    def __bool__(self) -> bool:
        raise CaptureError(
            f"the value of {self!r} was asked for, as by if, and, or, max or while",
            "a graph has no values yet, so Python cannot decide by them",
            "Use where(condition, a, b) of chainrule.ops.elementwise in place of if, and maximum in place of max.",
        )

    def __eq__(self, other: object) -> bool:
        """Whether it is the same node, so that lists can be searched. `chainrule.ops.elementwise.equal` compares values.

        Raises:
            CaptureError: a comparison with a number or an array; within `formula`, with another node, too.
        """
        if self is other:
            return True
        if other is None or (isinstance(other, Node) and not _in_formula.get()):
            return False
        raise CaptureError(
            f"{self!r} was compared with {other!r} by == or !=",
            "that would ask whether they are the same object, not where their values are equal",
            "Write equal(a, b) or not_equal(a, b) of chainrule.ops.elementwise.",
        )

    __hash__ = object.__hash__

    # NumPy leaves operators to nodes: np.float64(2.0) * x is x.__rmul__. Its functions refuse nodes.
    __array_ufunc__ = None

    # Operators let the rules of primitives read as formulas. What they build is the business of `chainrule.ops`.
    __add__, __radd__ = _operator("add"), _reflected("add")
    __sub__, __rsub__ = _operator("subtract"), _reflected("subtract")
    __mul__, __rmul__ = _operator("multiply"), _reflected("multiply")
    __truediv__, __rtruediv__ = _operator("divide"), _reflected("divide")
    __pow__ = _operator("power")
    __matmul__ = _operator("matmul")
    __gt__ = _operator("greater")
    __ge__ = _operator("greater_equal")
    __lt__ = _operator("less")
    __le__ = _operator("less_equal")

    def __neg__(self) -> Node:
        return _build("negative", self)


_in_formula: ContextVar[bool] = ContextVar("in_formula", default=False)


@contextmanager
def formula() -> Iterator[None]:
    """Within it a formula of a user is tried, in which `==` between nodes is meant for their values, and refused."""
    token = _in_formula.set(True)
    try:
        yield
    finally:
        _in_formula.reset(token)


_builder: Callable[..., Node] | None = None


def set_builder(builder: Callable[..., Node]) -> None:
    """Tell nodes how `a + b` becomes a node: `builder(op, *operands)`. Called once, by `chainrule.ops`."""
    global _builder  # noqa: PLW0603 -- the one hook by which ir, the lowest layer, reaches the table of primitives above it
    _builder = builder


def _build(op: str, *operands: Node | Scalar) -> Node:
    assert _builder is not None, "chainrule.ops sets the builder when it is imported"
    # A float of NumPy in a formula is a number like any other: it takes the dtype of the nodes.
    return _builder(op, *(float(o) if isinstance(o, np.floating) else o for o in operands))


def constant(value: Any, dtype: Any = None, name: str | None = None) -> Node:
    """A leaf with a fixed value."""
    return _concrete_leaf("constant", value, dtype, name)


def variable(value: Any, dtype: Any = None, name: str | None = None) -> Node:
    """A leaf with a value that can be another one in the next run."""
    return _concrete_leaf("variable", value, dtype, name)


def _concrete_leaf(op: str, value: Any, dtype: Any, name: str | None) -> Node:
    array = np.asarray(value, dtype=None if dtype is None else as_dtype(dtype))
    return Node(op, (), {}, array.shape, as_dtype(array.dtype), name, array)


def is_zero(node: Node) -> bool:
    """Whether it is a constant of zeros."""
    return node.op == "constant" and node.value is not None and not node.value.any()


def placeholder(op: str, shape: Shape, dtype: Any, name: str | None = None) -> Node:
    """A leaf ("input" or "variable") whose value is not known while the graph is built."""
    return Node(op, (), {}, tuple(shape), as_dtype(dtype), name)


def topological(outputs: Iterable[Node], stop: Callable[[Node], bool] = lambda node: False) -> list[Node]:
    """Every node that `outputs` depend on, inputs before the nodes that read them, each once.

    Nodes for which `stop` holds are listed, but what they read is not followed.
    """
    order: list[Node] = []
    seen: set[Node] = set()
    for root in outputs:
        if root in seen:
            continue
        seen.add(root)
        stack: list[tuple[Node, Iterator[Node]]] = [(root, iter(() if stop(root) else root.inputs))]
        while stack:
            node, pending = stack[-1]
            for child in pending:
                if child not in seen:
                    seen.add(child)
                    stack.append((child, iter(() if stop(child) else child.inputs)))
                    break
            else:
                order.append(node)
                stack.pop()
    return order


@dataclass(frozen=True)
class Graph:
    """A calculation: what goes in, what comes out, and what it keeps between runs.

    Attributes:
        inputs: "input" leaves, in the order their values are handed in.
        outputs: the nodes whose values are handed back.
        state: "variable" leaves, in the order of the arrays that hold them.
        updates: per state leaf, the node whose value it takes after the run (the leaf itself: it stays).
    """

    inputs: tuple[Node, ...]
    outputs: tuple[Node, ...]
    state: tuple[Node, ...] = ()
    updates: tuple[Node, ...] = ()

    @property
    def results(self) -> tuple[Node, ...]:
        """Outputs and updates: everything that has to be computed."""
        return self.outputs + self.updates

    def nodes(self) -> list[Node]:
        """Every node that has to be computed, inputs before readers."""
        return topological(self.results)

    def __str__(self) -> str:
        return graph_text(self)


def verify(graph: Graph, infer: Callable[[Node], tuple[Shape, DType]]) -> None:
    """Check that a graph keeps the rules of the IR.

    Args:
        graph: the graph to check.
        infer: gives the shape and dtype that a node's primitive has for its inputs (`chainrule.ops.infer`).

    Raises:
        GraphError: a leaf that is not declared, a constant without value, an update of another shape or dtype than its
            state, or a node whose shape or dtype is not what its primitive says.
    """
    declared = set(graph.inputs) | set(graph.state)
    if len(graph.state) != len(graph.updates):
        raise GraphError(f"the graph has {len(graph.state)} state leaves and {len(graph.updates)} updates; each needs one.")
    for leaf, update in zip(graph.state, graph.updates, strict=True):
        if (leaf.shape, leaf.dtype) != (update.shape, update.dtype):
            raise GraphError(f"the state {leaf!r} is updated by {update!r}; shape and dtype must stay the same.")
    for node in graph.nodes():
        if node.op in ("input", "variable"):
            if node not in declared:
                raise GraphError(f"{node!r} is read but is neither an input nor state of the graph.")
        elif node.op == "constant":
            if node.value is None:
                raise GraphError(f"{node!r} has no value.")
        elif infer(node) != (node.shape, node.dtype):
            shape, dtype = infer(node)
            raise GraphError(f"{node!r} should be {dtype}{list(shape)} by the rule of {node.op}.")


def type_text(node: Node) -> str:
    """Dtype and shape, as in `float32[64, 10]`."""
    return f"{node.dtype}{list(node.shape)}"


def graph_text(graph: Graph) -> str:
    """The graph as readable lines, one a node."""
    nodes = graph.nodes()
    labels: dict[Node, str] = {}
    taken: set[str] = set()
    for number, node in enumerate(dict.fromkeys([*nodes, *graph.inputs, *graph.state])):
        label = node.name if node.name and node.name not in taken else f"%{number}"
        taken.add(label)
        labels[node] = label
    lines = [f"graph({_leaf_list(graph.inputs, labels)}) state({_leaf_list(graph.state, labels)})"]
    for node in nodes:
        if node.op in ("input", "variable"):
            continue
        lines.append(f"  {labels[node]} = {_call_text(node, labels)} : {type_text(node)}")
    lines += [
        f"  {labels[leaf]} <- {labels[update]}"
        for leaf, update in zip(graph.state, graph.updates, strict=True)
        if leaf is not update
    ]
    lines.append(f"  return {', '.join(labels[node] for node in graph.outputs)}")
    return "\n".join(lines)


def _leaf_list(leaves: Sequence[Node], labels: Mapping[Node, str]) -> str:
    return ", ".join(f"{labels[leaf]}: {type_text(leaf)}" for leaf in leaves)


def _call_text(node: Node, labels: Mapping[Node, str]) -> str:
    if node.op == "constant":
        assert node.value is not None
        return f"constant {node.value.item()}" if node.size == 1 else "constant"
    arguments = [labels[i] for i in node.inputs] + [f"{k}={v}" for k, v in node.attributes.items()]
    return f"{node.op}({', '.join(arguments)})"
