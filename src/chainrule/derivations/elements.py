"""Single elements: the formula of one element of an array, and the local derivatives between elements.

Moves (reshape, slice, gather, …) are followed by moving position numbers with the primitive itself, so their meaning is not
written a second time. Sums and matrix products become sums of scalars. What cannot be taken apart (a convolution, say) stays
one symbol with its value.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from chainrule import autodiff, ir
from chainrule.derivations.calculations import element_name, is_plain_constant
from chainrule.derivations.formulas import Product, product, uniform, unshifted
from chainrule.ir import LEAVES, Array, Node
from chainrule.ops.primitive import Primitive, facts, lookup

Key = tuple[Node, int]  # a node and the position of an element in it, counted in C order

_DEEPEST = 150  # nested operations without a name, below which a formula is not taken apart


def index_of(node: Node, position: int) -> tuple[int, ...]:
    """The index of an element, from its position."""
    return tuple(int(i) for i in np.unravel_index(position, node.shape)) if node.shape else ()


def _indexed(node: Node, position: int) -> Node:
    """An element that is not taken apart, written as the formula of the whole with an index."""
    index = index_of(node, position)
    part = lookup("slice")(node, index, tuple(i + 1 for i in index)) if index else node
    return lookup("reshape")(part, ()) if index else part


def scalar_leaf(node: Node, position: int) -> Node:
    """An element of a node as a leaf with its name and value."""
    assert node.value is not None
    name = node.name or f"{node.op}(…)"
    return Node("variable", (), {}, (), node.dtype, element_name(name, index_of(node, position)), node.value.flat[position])


@dataclass
class Elements:
    """Takes elements of formulas: `of(node, position)` is a scalar node.

    Named nodes become leaves such as `h[2]`, each once.

    Attributes:
        instead: nodes to be read in place of others.
    """

    instead: Mapping[Node, Node] = field(default_factory=dict)
    _known: dict[Key, Node] = field(default_factory=dict)
    _depth: int = 0

    def of(self, node: Node, position: int) -> Node:
        """One element of a node, as a formula in scalars."""
        node = self.instead.get(node, node)
        key = (node, position)
        if key not in self._known:
            self._depth += 1
            if node.name or node.op in LEAVES:
                self._known[key] = self._leaf(node, position)
            else:
                self._known[key] = self._taken_apart(node, position) if self._depth < _DEEPEST else _indexed(node, position)
            self._depth -= 1
        return self._known[key]

    def _leaf(self, node: Node, position: int) -> Node:
        if is_plain_constant(node):
            assert node.value is not None
            return ir.constant(node.value.flat[position])
        return scalar_leaf(node, position)

    def _taken_apart(self, node: Node, position: int) -> Node:
        primitive = lookup(node.op)
        if primitive.elementwise:
            simpler = unshifted(node)
            if simpler is not None:
                node = simpler
            return self._at_one_place(node, position)
        if facts(node).moves is not None and node.dtype.kind == "f":
            return self._moved(primitive, node, position)
        if node.op in ("sum", "prod", "matmul"):
            return self._reduced(node, position)
        if primitive.body is not None and primitive.pullback is None:
            return self.of(primitive.expand(node), position)
        return _indexed(node, position)

    def _at_one_place(self, node: Node, position: int) -> Node:
        keys = [(i, broadcast_position(i, node, position)) for i in node.inputs]
        if node.op == "where" and is_plain_constant(node.inputs[0]):
            condition, place = keys[0]
            assert condition.value is not None
            return self.of(*keys[1 if condition.value.flat[place] else 2])
        assert node.value is not None
        inputs = tuple(self.of(*key) for key in keys)
        return Node(node.op, inputs, node.attributes, (), node.dtype, None, node.value.flat[position])

    def _reduced(self, node: Node, position: int) -> Node:
        if node.op == "matmul":
            return _added([self.of(*left) * self.of(*right) for left, right in _products(node, position)])
        parts = [self.of(node.inputs[0], p) for p in _reduced_positions(node, position)]
        return _added(parts) if node.op == "sum" else _multiplied(parts)

    def _moved(self, primitive: Primitive, node: Node, position: int) -> Node:
        source, place = _origin(primitive, node, position)
        return ir.constant(np.asarray(node.attributes["value"], node.dtype)) if source is None else self.of(source, place)


def broadcast_position(source: Node, target: Node, position: int) -> int:
    """The position in `source` of the element that is used for an element of `target`."""
    if source.shape == target.shape:
        return position
    kept = source.shape[max(0, source.ndim - target.ndim) :]  # a simplified formula may have axes of size 1 before the others
    positions = np.broadcast_to(np.arange(source.size).reshape(kept), target.shape)
    return int(positions.flat[position])


def _origin(primitive: Primitive, node: Node, position: int) -> tuple[Node | None, int]:
    """Where a move takes an element from: run it on position numbers. None: it is padding."""
    numbered: list[Node] = []
    offset = 0
    offsets = []
    for each in node.inputs:
        offsets.append(offset)
        if each.dtype.kind == "f":
            numbered.append(ir.constant(np.arange(offset, offset + each.size).reshape(each.shape)))
            offset += each.size
        else:
            numbered.append(each)
    attributes = dict(node.attributes)
    if node.op == "pad":
        attributes["value"] = -1
    found = int(primitive.run(tuple(numbered), attributes).flat[position])
    if found < 0:
        return None, 0
    which = max(
        k for k, start in enumerate(offsets) if start <= found and node.inputs[k].dtype.kind == "f" and node.inputs[k].size
    )
    return node.inputs[which], found - offsets[which]


def _reduced_positions(node: Node, position: int) -> list[int]:
    (x,) = node.inputs
    axes = node.attributes["axis"]
    kept = tuple(a for a in range(x.ndim) if a not in axes)
    rows = np.transpose(np.arange(x.size).reshape(x.shape), (*kept, *axes)).reshape(node.size, -1)
    return [int(p) for p in rows[position]]


def _products(node: Node, position: int) -> list[tuple[Key, Key]]:
    """The pairs of elements whose products a matrix product adds up for one element."""
    a, b = node.inputs
    left, right = np.arange(a.size).reshape(a.shape), np.arange(b.size).reshape(b.shape)
    left = left[np.newaxis] if a.ndim == 1 else left
    right = right[:, np.newaxis] if b.ndim == 1 else right
    stacks = np.broadcast_shapes(left.shape[:-2], right.shape[:-2])
    left = np.broadcast_to(left, stacks + left.shape[-2:])
    right = np.broadcast_to(right, stacks + right.shape[-2:])
    stack, rest = divmod(position, left.shape[-2] * right.shape[-1])
    row, column = divmod(rest, right.shape[-1])
    rows = left.reshape(-1, *left.shape[-2:])[stack, row]
    columns = right.reshape(-1, *right.shape[-2:])[stack, :, column]
    return [((a, int(i)), (b, int(j))) for i, j in zip(rows, columns, strict=True)]


def _added(parts: Sequence[Node]) -> Node:
    """The sum of scalars; zeros that are known are left out."""
    terms = [p for p in parts if uniform(p) != 0.0 and not _is_zero_product(p)]
    if not terms:
        return ir.constant(np.zeros((), parts[0].dtype if parts else np.float64))
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


def _multiplied(parts: Sequence[Node]) -> Node:
    """The product of scalars; ones that are known are left out."""
    factors = [p for p in parts if uniform(p) != 1.0]
    if not factors:
        return ir.constant(np.ones((), parts[0].dtype if parts else np.float64))
    result = factors[0]
    for factor in factors[1:]:
        result = result * factor
    return result


def _is_zero_product(node: Node) -> bool:
    return node.op == "multiply" and node.name is None and any(uniform(i) == 0.0 for i in node.inputs)


def addends(node: Node) -> list[Node]:
    """The terms of a sum of scalars, in order."""
    found: list[Node] = []
    stack = [node]
    while stack:
        each = stack.pop()
        if each.op == "add" and each.name is None:
            stack += [each.inputs[1], each.inputs[0]]
        else:
            found.append(each)
    return found


# -------------------------------------------------------------------------------------------- local derivatives
@dataclass(frozen=True, eq=False)
class Edge:
    """The local derivative of one element by another that it is computed from.

    Attributes:
        source: the element of the result, ∂ above.
        target: the element of an input, ∂ below.
        formula: the derivative as coefficient and factors in scalars.
        value: the derivative, in full.
    """

    source: Key
    target: Key
    formula: Product
    value: float


def edges(node: Node, position: int, wanted: Mapping[Node, object] | set[Node]) -> Iterator[Edge]:
    """The local derivatives of one element of a node by those of `wanted` inputs; what is always 0 is left out.

    Raises:
        GradientError: the node's primitive has no derivative.
    """
    primitive = lookup(node.op)
    if primitive.not_differentiable:
        raise autodiff.not_differentiable(primitive)
    places = [k for k, i in enumerate(node.inputs) if i in wanted and i.dtype.kind == "f"]
    if primitive.partials is not None:
        for k in places:
            yield from _partial_edge(primitive, node, position, k)
    elif primitive.pullback is not None:
        for k in places:
            found = primitive.pullback(_unit(node, position), node, k)
            if found is not None:
                yield from _array_edges(node, position, node.inputs[k], found, Elements())
    else:
        yield from _body_edges(primitive, node, position, [node.inputs[k] for k in places])


def _partial_edge(primitive: Primitive, node: Node, position: int, k: int) -> Iterator[Edge]:
    assert primitive.partials is not None
    source = node.inputs[k]
    local = primitive.partials[k](*node.inputs, y=node, **node.attributes)
    target = (source, broadcast_position(source, node, position))
    if isinstance(local, Node):
        assert local.value is not None
        value = float(np.broadcast_to(local.value, node.shape).flat[position])
        formula = product(Elements().of(local, broadcast_position(local, node, position)))
        if formula.coefficient != 0.0:
            yield Edge((node, position), target, formula, value)
    elif local != 0.0:
        yield Edge((node, position), target, Product(float(local)), float(local))


def _unit(node: Node, position: int) -> Node:
    """An upstream gradient that is 1 at one element and 0 elsewhere."""
    seed: Array = np.zeros(node.shape, node.dtype)
    seed.flat[position] = 1.0
    return ir.constant(seed)


def _array_edges(node: Node, position: int, source: Node, derivative: Node, elements: Elements) -> Iterator[Edge]:
    assert derivative.value is not None
    for place in np.flatnonzero(derivative.value):
        formula = product(elements.of(derivative, int(place)))
        yield Edge((node, position), (source, int(place)), formula, float(derivative.value.flat[place]))


def _body_edges(primitive: Primitive, node: Node, position: int, sources: Sequence[Node]) -> Iterator[Edge]:
    """Through the body of a block, cut at its inputs, which may depend on one another."""
    assert primitive.body is not None
    cuts = {
        i: i if i.op == "constant" else Node("variable", (), {}, i.shape, i.dtype, None, i.value)
        for i in dict.fromkeys(node.inputs)
    }
    body = primitive.body(*(cuts[i] for i in node.inputs), **node.attributes)
    unique = list(dict.fromkeys(sources))
    found = autodiff.gradient(body, [cuts[i] for i in unique], _unit(node, position))
    elements = Elements({cut: original for original, cut in cuts.items()})
    for source, derivative in zip(unique, found, strict=True):
        if derivative is not None:
            yield from _array_edges(node, position, source, derivative, elements)
