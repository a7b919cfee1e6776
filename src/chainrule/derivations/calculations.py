"""The graph to be explained: a copy in which every node has its value and every node that is shown has a name."""

from __future__ import annotations

import re
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from typing import Any, Literal

import numpy as np

from chainrule import autodiff, checks, ir
from chainrule.derivations.formulas import uniform
from chainrule.derivations.noise import leaf_sizes, sizes_of_terms, without_noise
from chainrule.derivations.symbols import symbol
from chainrule.errors import ArgumentError, GradientError, ShapeError
from chainrule.ir import LEAVES, Array, Node, topological
from chainrule.learnable import asks_for_gradient
from chainrule.ops.primitive import Primitive, facts, lookup
from chainrule.tensors import Tensor, tensor

Blocks = Literal["whole", "expanded"] | Collection[str]
Detail = Literal["auto", "named", "all"]
At = Mapping[Any, Any]


@dataclass(frozen=True, eq=False)
class Calculation:
    """A graph whose nodes all have values.

    Attributes:
        output: the node that is explained.
        nodes: all nodes, inputs before readers.
        shown: those that appear by name; the others only inside formulas.
        copies: the node here that stands for a node of the graph that was handed in.
        named_by_user: those whose name comes from name= or named().
        variables: those whose name is that of a Python variable. The other names were made up.
        learnt: parameters, not data: leaves that ask for a gradient, or named by a Module, which may be gone by now.
    """

    output: Node
    nodes: tuple[Node, ...]
    shown: frozenset[Node]
    copies: Mapping[Node, Node]
    named_by_user: frozenset[Node] = frozenset()
    variables: frozenset[Node] = frozenset()
    learnt: frozenset[Node] = frozenset()

    @cached_property
    def values(self) -> Mapping[Node, Array]:
        """The values that are shown in another way: 0 where only rounding is left of terms that cancel, and what follows.

        Empty if something is divided by such a 0.
        """
        sizes = sizes_of_terms(self.nodes, leaf_sizes(self.nodes))
        found: dict[Node, Array] = {}
        for node in self.nodes:
            if node.value is None or node.dtype.kind != "f" or node not in sizes:
                continue
            value = node.value
            if any(i in found for i in node.inputs):
                inputs = tuple(ir.constant(found.get(i, i.value), i.dtype) for i in node.inputs)
                value = lookup(node.op).run(inputs, node.attributes)
                if not np.array_equal(np.isfinite(value), np.isfinite(node.value)):
                    return {}
            value = without_noise(value, sizes[node])
            if not np.array_equal(value, node.value, equal_nan=True):
                found[node] = value
        return found

    def named(self, name: str) -> Node:
        """The node of that name.

        Raises:
            ArgumentError: there is none.
        """
        for node in self.nodes:
            if node.name == name:
                return node
        names = [n.name for n in self.nodes if n.name is not None]
        raise ArgumentError(
            f"the name {name!r} was given",
            f"this calculation has {', '.join(names[:20])}{' …' if len(names) > 20 else ''}",
            "Check the spelling, or name a Tensor with .named(...).",
        )


@dataclass(frozen=True)
class Place:
    """A node, or one element of it."""

    node: Node
    index: tuple[int, ...] | None = None

    @property
    def name(self) -> str:
        """The node's name, with the index of the element if it is one."""
        assert self.node.name is not None
        return element_name(self.node.name, self.index or ())


def element_name(name: str, index: tuple[int, ...]) -> str:
    """ "W1" and (0, 1) give "W1[0, 1]"."""
    return f"{name}[{', '.join(map(str, index))}]" if index else name


def calculation(
    output: Node,
    *,
    at: At | None = None,
    blocks: Blocks = "whole",
    detail: Detail = "auto",
    variables: Mapping[Node, str] | None = None,
    keep: Collection[Node] = (),
) -> Calculation:
    """Copy a graph, with values and names.

    Args:
        output: what is calculated.
        at: values for leaves, by name or by Tensor; in place of those that they have.
        blocks: "whole" shows blocks as one node, "expanded" as the graph of their bodies; or the names of those to expand.
        detail: "all" shows every node, "named" those with a name, "auto" the named ones if any are intermediate results.
        variables: names for nodes that have none.
        keep: nodes that are shown in any case.

    Raises:
        ArgumentError: a leaf without value, or a value for a name that does not exist.
    """
    order = topological([output])
    values = _values_at(order, {} if at is None else at, variables or {})
    names = _Names(order, variables or {})
    copies: dict[Node, Node] = {}
    for node in order:
        name = names.given(node)
        plain = _without_factor_of_one(node, copies)
        if not name and node is not output and node not in keep and _takes_everything(node):
            plain = copies[node.inputs[0]]
        if plain is not None and (name or node is output) and (plain.name or plain.op in LEAVES):
            plain = _handed_on(plain)  # a node of its own, which can be named
        copies[node] = _copy(node, copies, values, blocks) if plain is None else plain
        copies[node].name = name or copies[node].name
    result = copies[output]
    nodes = tuple(topological([result]))
    if result.name is None:
        result.name = names.fresh(["E", "y", "result"] if result.size == 1 else ["Y", "y", "result"])
    inner = [n for n in nodes if n.op not in LEAVES and n is not result]
    every = detail == "all" or (detail == "auto" and not any(n.name for n in inner))
    shown = {n for n in nodes if n.op not in LEAVES and (every or n.name)} | {copies[n] for n in keep if n in copies}
    shown |= {n for n in nodes if n.op in LEAVES and (n.op != "constant" or n.name or n.size > 1)} | {result}
    for node in nodes:
        if node in shown and node.name is None:
            node.name = names.numbered("u" if node.op in LEAVES else "v")
    by_user = frozenset(copies[n] for n in order if n.name)
    by_variable = frozenset(copies[n] for n in order if n in (variables or {})) - by_user
    learnt = frozenset(copies[n] for n in order if n.op in LEAVES and (asks_for_gradient(n) or "." in (n.name or "")))
    return Calculation(result, nodes, frozenset(shown), copies, by_user, by_variable, learnt)


class _Names:
    """Unique names: a second node of one name is called name#2."""

    def __init__(self, order: Sequence[Node], variables: Mapping[Node, str]) -> None:
        self._variables = variables
        self._taken: dict[str, int] = {}
        self._counts: dict[str, Iterator[int]] = {}
        self._reserved = {n.name or variables.get(n) for n in order}

    def given(self, node: Node) -> str | None:
        name = node.name or self._variables.get(node)
        if name is None:
            return None
        version = self._taken[name] = self._taken.get(name, 0) + 1
        return name if version == 1 else f"{name}#{version}"

    def fresh(self, candidates: Sequence[str]) -> str:
        """The first candidate that is free, or else a numbered name."""
        for name in candidates:
            if name not in self._reserved:
                self._reserved.add(name)
                return name
        return self.numbered(candidates[0])

    def numbered(self, letter: str) -> str:
        """A letter and the next number that is free."""
        while True:
            name = f"{letter}{next(self._counts.setdefault(letter, count(1)))}"
            if name not in self._reserved:
                return name


def is_plain_constant(node: Node) -> bool:
    """Whether a node holds fixed numbers that the user gave no name: its elements are written as numbers."""
    return node.op == "constant" and (node.name is None or re.fullmatch(r"u\d+", node.name) is not None)


def _values_at(order: Sequence[Node], at: At, variables: Mapping[Node, str]) -> dict[Node, Array]:
    found: dict[Node, Array] = {}
    if not isinstance(at, Mapping):
        given = f"values were given as {checks.described(at)}"
        raise ArgumentError(given, "at is a mapping from names or Tensors to values", 'Write at={"w": 0.5}.')
    names = {n: n.name or variables.get(n) for n in order if n.op in LEAVES}
    for key, value in at.items():
        matches = [n for n, name in names.items() if (n is key.node if isinstance(key, Tensor) else name == key)]
        if not matches:
            given = [name for name in names.values() if name]
            raise ArgumentError(
                f"a value was given for {key!r}",
                f"values can be given for the leaves of this calculation: {', '.join(given) or 'none has a name'}",
                "Check the name.",
            )
        for node in matches:
            array = tensor(value).numpy().astype(node.dtype)
            if array.shape != node.shape:
                raise ShapeError(
                    f"the value for {key!r} has the shape {array.shape}", f"it must be {node.shape}", "Reshape it."
                )
            found[node] = array
    return found


def _without_factor_of_one(node: Node, copies: Mapping[Node, Node]) -> Node | None:
    """x for 1 · x and -x for -1 · x: gradient graphs begin with them, nobody writes them, and the value is the same."""
    if node.op != "multiply":
        return None
    a, b = (copies[i] for i in node.inputs)
    fitting = [(uniform(one), x) for one, x in ((a, b), (b, a)) if (x.shape, x.dtype) == (node.shape, node.dtype)]
    for known, x in sorted(fitting, key=lambda pair: pair[0] != 1.0):
        if known in (1.0, -1.0):
            return x if known == 1.0 else lookup("negative")(x)
    return None


def _takes_everything(node: Node) -> bool:
    """Whether a node is its only input as it is, such as y[:, :]."""
    if facts(node).moves is None or len(node.inputs) != 1:
        return False
    (source,) = node.inputs
    if (source.shape, source.dtype) != (node.shape, node.dtype):
        return False
    positions = np.arange(node.size).reshape(node.shape)
    return np.array_equal(lookup(node.op).run((ir.constant(positions),), node.attributes), positions)


def _handed_on(node: Node) -> Node:
    return lookup("cast")(node, dtype=node.dtype)


def _copy(node: Node, copies: Mapping[Node, Node], values: Mapping[Node, Array], blocks: Blocks) -> Node:
    if node.op in LEAVES:
        value = values.get(node, node.value)
        if value is None:
            raise ArgumentError(
                f"the input {node.name or repr(node)} has no value",
                "an explanation needs a number for every input",
                "Give it with at={name: value}.",
            )
        return Node(node.op, (), {}, node.shape, node.dtype, None, value)
    primitive = lookup(node.op)
    inputs = tuple(copies[i] for i in node.inputs)
    whole = blocks == "whole" or (blocks != "expanded" and node.op not in blocks)
    # A block that refuses gradients is not expanded: its body could have one, which training would not use.
    if primitive.body is None or whole or primitive.not_differentiable or _bends_another_way(primitive, inputs, node):
        return Node(node.op, inputs, node.attributes, node.shape, node.dtype, None, primitive.run(inputs, node.attributes))
    inside: dict[Node, Node] = {i: i for i in inputs}
    body = primitive.body(*inputs, **node.attributes)
    for each in topological([body], stop=lambda n: n in inside):
        if each not in inside:
            inside[each] = _copy(each, inside, {}, blocks)
    top = inside[body]
    # A block that hands its input on, or returns a constant, still gets a node of its own, which can be named.
    return top if top not in inputs else _handed_on(top)


def _bends_another_way(primitive: Primitive, inputs: tuple[Node, ...], node: Node) -> bool:
    """Whether the body of a block has another derivative here than the block: at a kink, where max(x, 0) gives ½ and relu 0."""
    if not primitive.kinks:
        return False
    leaves = [Node("variable", (), {}, i.shape, i.dtype, None, i.value) for i in inputs]
    floating = [leaf for leaf in leaves if leaf.dtype.kind == "f"]
    whole = Node(node.op, tuple(leaves), node.attributes, node.shape, node.dtype)
    whole.value = primitive.run(whole.inputs, node.attributes)
    seed = ir.constant(1.0 + np.arange(node.size).reshape(node.shape), node.dtype)
    ours, bodys = (autodiff.gradient(top, floating, seed) for top in (whole, primitive.expand(whole)))
    return not all(np.allclose(_value(a), _value(b), equal_nan=True) for a, b in zip(ours, bodys, strict=True))


def _value(node: Node | None) -> Array:
    return np.zeros(()) if node is None or node.value is None else node.value


# -------------------------------------------------------------------------------------------- names of Python variables
def caller_variables(depth: int) -> dict[Node, str]:
    """The names of Tensors in the Python variables of a caller, `depth` frames above the function that calls this one."""
    frame = sys._getframe(depth + 1)
    found: dict[Node, str] = {}
    for scope in (frame.f_locals, frame.f_globals):
        for name, value in list(scope.items()):
            if isinstance(value, Tensor) and name.isidentifier() and not name.startswith("_"):
                found.setdefault(value.node, name)
    return found


# -------------------------------------------------------------------------------------------- elements
def place_of(node: Node, order: Collection[Node], describe: str) -> Place:
    """The node, or the element of a node, of a calculation that `node` stands for: itself, or `w` and (0, 1) for `w[0, 1]`.

    Raises:
        GradientError: it is no part of the calculation.
    """
    position = np.arange(node.size).reshape(node.shape)
    here = node
    moves: list[Node] = []
    while here not in order:
        if facts(here).moves is None or len(here.inputs) != 1:
            raise GradientError(
                f"{describe} is not part of the calculation that is explained",
                "it must be one of its Tensors, an element of one such as w[0, 1], or a name",
                "Check that the output was computed from it, and that it was not assigned a new value since.",
            )
        moves.append(here)
        here = here.inputs[0]
    if here is node:
        return Place(node)
    position = np.arange(here.size).reshape(here.shape)
    for move in reversed(moves):
        position = lookup(move.op).run((ir.constant(position),), move.attributes)
    if position.size != 1:
        raise ArgumentError(
            f"{describe} is a part with {position.size} elements", "it may be one element or the whole", "Index further."
        )
    return Place(here, tuple(int(i) for i in np.unravel_index(int(position.item()), here.shape)))


def place_named(name: str, calc: Calculation) -> Place:
    """The place that "w13" or "W1[0, 1]" names.

    Raises:
        ArgumentError: no such node, or no such element.
    """
    if any(n.name == name for n in calc.nodes) or not name.endswith("]"):
        return Place(calc.named(name))
    base, _, index = name[:-1].partition("[")
    node = calc.named(base)
    try:
        found = tuple(int(i) for i in index.split(","))
        np.zeros(node.shape, dtype=bool)[found]
    except (ValueError, IndexError):
        found = ()
    if len(found) != node.ndim or not found:
        raise ArgumentError(
            f"the element {name!r} was given",
            f"{base} has the shape {node.shape}",
            f"Write {node.ndim} indices in range." if node.ndim else f"It is one number: write {base}.",
        )
    return Place(node, tuple(i % n for i, n in zip(found, node.shape, strict=True)))


def label(node: Node) -> str:
    """The symbol of a shown node, as text."""
    assert node.name is not None
    return symbol(node.name).text
