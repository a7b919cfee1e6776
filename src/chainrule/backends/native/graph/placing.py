"""Graph to graph: small windows written out, and `place` for padding and what comes back from windows.

Pooling looks at few elements per window. Their axis is written out: work on an array of windows becomes the same work on one
strided slice of the image per element, and reductions over the elements become chains. The way back (`windows_sum`, where
windows do not overlap) and padding become `place` (see `forms.place`): values are stored directly where they belong.
"""

from __future__ import annotations

import itertools
import math
from functools import reduce

import numpy as np

from chainrule.backends.native.graph import forms
from chainrule.backends.native.graph.forms import INSTRUCTIONS
from chainrule.backends.native.graph.views import contiguous, window_strides
from chainrule.ir import LEAVES, Graph, Node, Shape, constant, topological
from chainrule.ops import lookup
from chainrule.passes import rewrite

_MOST_ELEMENTS = 9  # of a window that is written out
_MASKING = ("greater", "less", "less_equal", "logical_not", "cast")
_CHAINS = {"max": "maximum", "min": "minimum", "sum": "add", "prod": "multiply"}


def padded(node: Node) -> Node:
    """A `pad` as `place`."""
    a = node.attributes
    steps = contiguous(node.shape)
    offset = sum(low * s for (low, _), s in zip(a["widths"], steps, strict=True))
    strides = tuple(s * (gap + 1) for s, gap in zip(steps, a["interior"], strict=True))
    return forms.place(node.inputs, node.shape, [(offset, strides)], node.dtype.type(a["value"]).item())


def write_out_windows(graph: Graph) -> Graph:
    """The graph with the elements of small windows written out."""
    known: dict[Node, list[Node] | None] = {}

    def rule(node: Node) -> Node:
        if node.op in _CHAINS and node.attributes["axis"] == (node.inputs[0].ndim - 1,):
            return _chain(node, _parts(node.inputs[0], known))
        if node.op == "windows_sum":
            return _interleaved(node, known)
        if node.op == "sum" and node.inputs[0].op == "place":
            return _summed(node, node.inputs[0])
        return _before_placing(node) if node.op in INSTRUCTIONS else node

    return rewrite(graph, rule)


def _before_placing(node: Node) -> Node:
    """Elementwise work on values that were put in place, done to the parts before: they are in registers then."""
    places = [x for x in node.inputs if x.op == "place" and x.shape == node.shape]
    if len(places) != 1 or places[0].attributes["fill"] is not None:
        return node
    (place,) = places
    others = [x for x in node.inputs if x is not place]
    if any(x.shape != node.shape and x.size > 1 for x in others):
        return node
    parts = []
    for k, part in enumerate(place.inputs):
        inputs = [part if x is place else _part_of(x, place, k) for x in node.inputs]
        parts.append(Node(node.op, tuple(inputs), node.attributes, part.shape, node.dtype))
    return forms.place(parts, node.shape, place.attributes["places"], None)


def _part_of(x: Node, place: Node, part: int) -> Node:
    """What of x lies where a part of a `place` does; of a mask, the mask of what lies there."""
    if x.size == 1:
        return x
    if x.op not in _MASKING or any(i.shape != x.shape and i.size > 1 for i in x.inputs):
        return _taken_out(place, x, part)
    inputs = tuple(_part_of(i, place, part) for i in x.inputs)
    return Node(x.op, inputs, x.attributes, place.inputs[part].shape, x.dtype)


def _summed(node: Node, place: Node) -> Node:
    """The sum of what was put in place among nothing or zeros, over every axis that placing changed: the sum of the parts."""
    axes = node.attributes["axis"]
    changed = {a for a, (n, m) in enumerate(zip(place.shape, place.inputs[0].shape, strict=True)) if n != m}
    if place.attributes["fill"] not in (None, 0) or not changed.issubset(axes):
        return node
    sums = [lookup("sum")(part, axis=axes, keepdims=node.attributes["keepdims"]) for part in place.inputs]
    return reduce(lookup("add"), sums)


def _chain(node: Node, parts: list[Node] | None) -> Node:
    if parts is None:
        return node
    if node.op == "sum" and node.dtype.kind == "f":  # of −0 alone it is 0
        parts = [lookup("add")(parts[0], 0.0), *parts[1:]]
    return _shaped(reduce(lookup(_CHAINS[node.op]), parts), node.shape)


def _shaped(x: Node, shape: Shape) -> Node:
    return x if x.shape == shape else lookup("reshape")(x, shape=shape)


def _parts(node: Node, known: dict[Node, list[Node] | None]) -> list[Node] | None:
    """One node per index of the last axis, if that is the axis of a small window's elements."""
    if node not in known:
        known[node] = _find_parts(node, known) if node.ndim and 1 < node.shape[-1] <= _MOST_ELEMENTS else None
    return known[node]


def _find_parts(node: Node, known: dict[Node, list[Node] | None]) -> list[Node] | None:
    source = node.inputs[0] if node.op == "reshape" else node
    if source.op == "windows" and node.ndim == source.ndim - len(source.attributes["size"]) + 1:
        return [_shaped(x, node.shape[:-1]) for x in _slices(source)]
    if node.op == "broadcast_to" and node.inputs[0].ndim == node.ndim and node.inputs[0].shape[-1] == 1:
        (x,) = node.inputs
        part = _shaped(x, x.shape[:-1])
        return [part if part.shape == node.shape[:-1] else lookup("broadcast_to")(part, shape=node.shape[:-1])] * node.shape[-1]
    if node.op not in INSTRUCTIONS:
        return None
    found = _is_first(node, known) if node.op == "equal" else None
    return found or _elementwise_parts(node, known)


def _slices(node: Node) -> list[Node]:
    """Per element of a window, the image's elements that come to lie there: (…, *positions)."""
    (x,) = node.inputs
    a = node.attributes
    axes = len(a["size"])
    lead = x.ndim - axes
    positions = node.shape[lead : lead + axes]
    found = []
    for element in np.ndindex(*a["size"]):
        start = (0,) * lead + tuple(e * d for e, d in zip(element, a["dilation"], strict=True))
        step = (1,) * lead + a["stride"]
        counts = (*x.shape[:lead], *positions)
        stop = tuple(low + (n - 1) * s + 1 for low, n, s in zip(start, counts, step, strict=True))
        found.append(lookup("slice")(x, start, stop, step))
    return found


def _elementwise_parts(node: Node, known: dict[Node, list[Node] | None]) -> list[Node] | None:
    columns = [_operand_parts(i, node, known) for i in node.inputs]
    if any(c is None for c in columns) or all(_parts(i, known) is None for i in node.inputs):
        return None
    parts = []
    for inputs in zip(*(c for c in columns if c is not None), strict=True):
        shape = np.broadcast_shapes(*(i.shape for i in inputs))
        parts.append(Node(node.op, tuple(inputs), node.attributes, shape, node.dtype))
    return parts


def _operand_parts(x: Node, reader: Node, known: dict[Node, list[Node] | None]) -> list[Node] | None:
    """What each part of a reader reads of an operand: its part, or the whole of what is the same for all elements."""
    count = reader.shape[-1]
    if x.ndim == 0:
        return [x] * count
    if x.shape[-1] == 1:
        return [_shaped(x, x.shape[:-1])] * count
    if x.op == "constant" and x.value is not None:
        return [constant(x.value[..., k], x.dtype) for k in range(count)]
    return _parts(x, known)


def _is_first(node: Node, known: dict[Node, list[Node] | None]) -> list[Node] | None:
    """`argmax(x) == (0, 1, …)` as one mask per element: it beats all before it, and none after it beats it.

    As for the reduction itself, the first NaN beats everything. All is said of pairs of elements, so that nothing but the
    image itself has to be kept for it.
    """
    position, numbers = node.inputs
    position = position.inputs[0] if position.op == "reshape" else position
    if position.op != "argmax" or position.attributes["axis"] != (position.inputs[0].ndim - 1,):
        return None
    values = _parts(position.inputs[0], known)
    if values is None or numbers.op != "constant" or numbers.value is None:
        return None
    if not np.array_equal(numbers.value, np.arange(len(values))):
        return None
    count = range(len(values))
    beats = {(k, j): _beats(values[k], values[j]) for k in count for j in range(k)}
    masks = []
    for k in count:
        won = [beats[k, j] for j in range(k)]
        held = [lookup("logical_not")(beats[later, k]) for later in count[k + 1 :]]
        masks.append(reduce(lookup("logical_and"), [*won, *held]))
    return masks


def _beats(later: Node, earlier: Node) -> Node:
    """Whether an element is larger than one before it, or the first NaN."""
    larger = lookup("logical_not")(lookup("less_equal")(later, earlier))
    return lookup("logical_and")(larger, lookup("equal")(earlier, earlier))


def _interleaved(node: Node, known: dict[Node, list[Node] | None]) -> Node:
    """`windows_sum` of windows that do not overlap: every element has its place."""
    (x,) = node.inputs
    a = node.attributes
    axes = len(a["shape"])
    size = x.shape[x.ndim - axes :]
    extents = [(k - 1) * d + 1 for k, d in zip(size, a["dilation"], strict=True)]
    if any(e > s for e, s in zip(extents, a["stride"], strict=True)):
        return node
    flat = x.inputs[0] if x.op == "reshape" and axes > 1 else x
    parts = _parts(flat, known) if flat.shape == (*x.shape[: x.ndim - axes], math.prod(size)) else None
    if parts is None:
        return node
    lead = node.ndim - axes
    strides = window_strides(contiguous(node.shape), a)
    inside, element = strides[: lead + axes], strides[lead + axes :]
    elements = itertools.product(*map(range, size))
    places = [(sum(e * s for e, s in zip(index, element, strict=True)), inside) for index in elements]
    covered = x.size == node.size  # as windows do not overlap
    return forms.place(parts, node.shape, places, None if covered else 0)


def read_where_placed(graph: Graph) -> Graph:
    """The graph in which the backward pass reads what was padded from there, so that it is not kept a second time."""
    forward = set(topological(graph.outputs))
    homes = {n.inputs[0]: n for n in graph.nodes() if n.op == "place" and len(n.inputs) == 1 and n.inputs[0].op not in LEAVES}
    built: dict[Node, Node] = {}
    originals = iter(graph.nodes())

    def at_home(original: Node, x: Node) -> Node:
        home = homes.get(original)
        if home is None:
            return x
        place = built.setdefault(home, Node("place", (x,), home.attributes, home.shape, home.dtype, home.name))
        return _taken_out(place, place)

    def rule(node: Node) -> Node:
        original = next(originals)
        if original.op == "place":
            return built.setdefault(original, node)
        if original.op in INSTRUCTIONS and original not in forward:
            inputs = tuple(map(at_home, original.inputs, node.inputs))
            return Node(node.op, inputs, node.attributes, node.shape, node.dtype, node.name)
        return node

    return rewrite(graph, rule)


def _taken_out(place: Node, x: Node, part: int = 0) -> Node:
    """What of an array shaped like a `place` lies where a part of it does."""
    offset, strides = place.attributes["places"][part]
    step = [s // own for s, own in zip(strides, contiguous(place.shape), strict=True)]
    start = [int(i) for i in np.unravel_index(offset, place.shape)]
    counts = place.inputs[part].shape
    stop = [low + (n - 1) * s + 1 for low, n, s in zip(start, counts, step, strict=True)]
    return lookup("slice")(x, start, stop, step)
