"""Graph to graph, before kernels are made: every operation in the few forms that kernels have.

    matmul        a contraction of two stacks of matrices; or products and a sum where a matrix is a vector
    convolution   padding, and a contraction of the windows of the padded image, which are views, with the weights
    windows       of pooling: written out, and put together again by `place` (see `placing`)
    copy          put in where a view would not do

The operations of `forms`, and `winograd` and `winograd_gradient`, are known to this backend only.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

import numpy as np

from chainrule.backends.native import winograd
from chainrule.backends.native.forms import contract, copy
from chainrule.backends.native.placing import padded, read_where_placed, write_out_windows
from chainrule.backends.native.target import Target
from chainrule.backends.native.views import view_of
from chainrule.ir import LEAVES, Graph, Node, constant
from chainrule.ops import lookup
from chainrule.passes import expand_blocks, rewrite, simplify

_IN_STEPS = ("sum", "max", "min", "prod")
_WORTH_A_STEP = 16  # elements in the last axes


def prepare(graph: Graph, target: Target) -> Graph:
    """The graph in basic operations that `lower` has kernels for."""
    graph = write_out_windows(_with_masks_from_outputs(simplify(expand_blocks(graph))))
    # From here on there are operations that only this backend knows, which cannot be folded.
    graph = simplify(rewrite(graph, lambda node: _in_simpler_terms(node, target)), disable=("fold",))
    graph = simplify(read_where_placed(graph), disable=("fold",))
    graph = rewrite(_with_turned_products(graph), _with_contractions)
    return _with_safe_updates(rewrite(graph, _with_copies))


def _with_contractions(node: Node) -> Node:
    """What stands for many nodes is written out last, so that all that comes before has little to look at."""
    makers = {"matmul": _product, "winograd": winograd.convolution, "winograd_gradient": winograd.gradient}
    return makers[node.op](node) if node.op in makers else node


def _in_simpler_terms(node: Node, target: Target) -> Node:
    if node.op == "matmul":
        return _matmul(node)
    if node.op == "pad":
        return padded(node)
    if node.op in ("argmax", "argmin") and node.inputs[0].shape[node.attributes["axis"][0]] == 1:
        return constant(np.zeros(node.shape), node.dtype)
    if node.op == "divide" and node.dtype.kind == "f" and node.inputs[1].size == 1 < node.size:
        return _times_reciprocal(node)
    if node.op in _IN_STEPS:
        return _reduced_in_order(node)
    return _convolution(node, target) if node.op == "convolution" else node


def _reduced_in_order(node: Node) -> Node:
    """A reduction over axes on both sides of those that are kept, last axes first: so memory is read in its order."""
    (x,) = node.inputs
    axes = node.attributes["axis"]
    last = tuple(a for a in axes if all(k in axes for k in range(a, x.ndim)))
    first = tuple(a for a in axes if a not in last)
    between = [x.shape[a] for a in range(max(first, default=0), x.ndim) if a not in axes]
    if not first or math.prod(between) == 1 or math.prod(x.shape[a] for a in last) < _WORTH_A_STEP:
        return node
    reduction = lookup(node.op)
    return _reshape(reduction(reduction(x, axis=last), axis=first), node.shape)


def _with_masks_from_outputs(graph: Graph) -> Graph:
    """x > 0 as max(x, 0) > 0 where that maximum is computed anyway: it is kept for the backward pass, and x need not be."""
    nodes = graph.nodes()
    outputs = {node.inputs[0]: node for node in nodes if node.op == "maximum" and _is_zero(node.inputs[1])}
    masks = {node: outputs[node.inputs[0]] for node in nodes if _is_mask(node) and node.inputs[0] in outputs}
    rebuilt: dict[Node, Node] = {}
    originals = iter(nodes)

    def rule(node: Node) -> Node:
        original = next(originals)
        if original in masks:
            node = _replaced(node, (rebuilt[masks[original]], node.inputs[1]))
        rebuilt[original] = node
        return node

    return rewrite(graph, rule) if masks else graph


def _is_mask(node: Node) -> bool:
    return node.op == "greater" and _is_zero(node.inputs[1])


def _is_zero(node: Node) -> bool:
    return node.op == "constant" and node.value is not None and not node.value.any()


def _times_reciprocal(node: Node) -> Node:
    """x / c as x (1/c) for a single number c: one division in place of many, and half a unit in the last place off."""
    x, c = node.inputs
    return lookup("multiply")(x, lookup("divide")(1.0, c))


def _reshape(x: Node, shape: tuple[int, ...]) -> Node:
    return x if x.shape == shape else lookup("reshape")(x, shape=shape)


def _transpose(x: Node, axes: tuple[int, ...]) -> Node:
    return lookup("transpose")(x, axes=axes)


def _sum_of_products(a: Node, b: Node, axes: int) -> Node:
    """Σ a b over the last `axes` axes."""
    product = a * b
    return lookup("sum")(product, axis=tuple(range(product.ndim - axes, product.ndim)))


# ------------------------------------------------------------------------------------------------ matrix products
def _matmul(node: Node) -> Node:
    a, b = node.inputs
    a = _reshape(a, (1, *a.shape)) if a.ndim == 1 else a
    b = _reshape(b, (*b.shape, 1)) if b.ndim == 1 else b
    if b.ndim == 2 and a.ndim > 2:
        a = _reshape(a, (int(np.prod(a.shape[:-1], dtype=np.int64)), a.shape[-1]))
    rows, columns = a.shape[-2], b.shape[-1]
    if node.dtype.kind == "f" and min(rows, columns) > 1:
        batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        a, b = (lookup("broadcast_to")(x, shape=(*batch, *x.shape[-2:])) for x in (a, b))
        return _reshape(Node("matmul", (a, b), {}, (*batch, rows, columns), node.dtype), node.shape)
    left = _reshape(a, (*a.shape[:-1], 1, a.shape[-1]))
    right = _transpose(b, (*range(b.ndim - 2), b.ndim - 1, b.ndim - 2))
    right = _reshape(right, (*right.shape[:-2], 1, *right.shape[-2:]))
    return _reshape(_sum_of_products(left, right, 1), node.shape)


def _with_turned_products(graph: Graph) -> Graph:
    """(A B)ᵀ = Bᵀ Aᵀ wherever A B itself is not needed: the product comes out as it is read, and turning A and B is free."""
    readers = Counter(i for node in graph.nodes() for i in node.inputs) + Counter(graph.results)
    originals = iter(graph.nodes())

    def rule(node: Node) -> Node:
        product = next(originals).inputs[:1]
        last = (*range(node.ndim - 2), node.ndim - 1, node.ndim - 2)
        if node.op != "transpose" or node.attributes["axes"] != last:
            return node
        if product[0].op != "matmul" or readers[product[0]] > 1:
            return node
        a, b = node.inputs[0].inputs
        return Node("matmul", (_transpose(b, last), _transpose(a, last)), {}, node.shape, node.dtype)

    return simplify(rewrite(graph, rule), disable=("fold",))


# ------------------------------------------------------------------------------------------------ contractions
def _product(node: Node) -> Node:
    """A matmul that is left as one contraction."""
    a, b = node.inputs
    right = _transpose(b, (*range(b.ndim - 2), b.ndim - 1, b.ndim - 2))
    left = _reshape(a, (*a.shape[:-1], 1, a.shape[-1]))
    return contract(left, _reshape(right, (*right.shape[:-2], 1, *right.shape[-2:])), 1, tuple(range(node.ndim)))


# ------------------------------------------------------------------------------------------------ convolution
@dataclass(frozen=True)
class _Patches:
    """The factors of a convolution: windows (batch, groups, in, *places, *kernel) and weights (groups, out, in, *kernel)."""

    windows: Node
    weights: Node
    axes: int

    @property
    def places(self) -> tuple[int, ...]:
        """Spatial sizes of the result."""
        return self.windows.shape[3 : 3 + self.axes]

    @property
    def result(self) -> tuple[int, ...]:
        """(batch, groups, out, *places)."""
        return (*self.windows.shape[:2], self.weights.shape[1], *self.places)


def _convolution(node: Node, target: Target) -> Node:
    x, w = node.inputs
    a = node.attributes
    groups, axes = a["groups"], x.ndim - 2
    out, inner, *kernel = w.shape
    padded = _padded(x, a["padding"], a["input_dilation"])
    plain = groups == 1 and not any(n > 1 for n in (*a["stride"], *a["kernel_dilation"]))
    if plain and node.dtype.kind == "f":
        if tuple(kernel) == (3, 3) and winograd.fits(x.shape[0], inner, out, node.shape[2:]):
            return Node("winograd", (padded, w), {}, node.shape, node.dtype)
        if node.shape[2:] == (3, 3) and winograd.fits(inner, x.shape[0], out, kernel):
            images, upstream = (_transpose(y, (1, 0, 2, 3)) for y in (padded, w))
            gradient = Node("winograd_gradient", (images, upstream), {}, (out, x.shape[0], 3, 3), node.dtype)
            return _transpose(gradient, (1, 0, 2, 3))
    windows = lookup("windows")(padded, size=tuple(kernel), stride=a["stride"], dilation=a["kernel_dilation"])
    windows = _reshape(windows, (x.shape[0], groups, inner, *windows.shape[2:]))
    patches = _Patches(windows, _reshape(w, (groups, out // groups, inner, *kernel)), axes)
    return _reshape(_convolved(patches, target.lanes(node.dtype)), node.shape)


def _convolved(p: _Patches, lanes: int) -> Node:
    """The result of a convolution, by the contraction whose vectors have the fewest idle lanes.

    Columns are output channels or neighbouring places; rows the other ones. A convolution with a kernel as large as the image
    is a gradient by weights: few places, a long sum over images; its rows are the images, which there stand for channels.
    """
    batch, _, out, *places = p.result
    kernel = p.weights.shape[3:]
    if math.prod(kernel) > math.prod(places):
        return _weight_gradient(p) if out > 1 and max(batch, places[-1]) > 1 else _plain_convolution(p)
    if out == 1 or places[-1] == 1:
        return _plain_convolution(p)
    last = p.windows.ndim - len(kernel) - 1
    neighbours = view_strides(p.windows)[last] == 1
    if neighbours and _busy(places[-1], lanes) >= 0.8 * _busy(out, lanes):
        return contract(_weights_for(p, rows=True), _windows_for(p, rows=False), 1 + p.axes, _order(p, rows_are_places=False))
    return contract(_windows_for(p, rows=True), _weights_for(p, rows=False), 1 + p.axes, _order(p, rows_are_places=True))


def view_strides(node: Node) -> tuple[int, ...]:
    """The strides of a node that is a view; zeros if it is none, and will be copied."""
    found = view_of(node)
    return (0,) * node.ndim if found is None else found.strides


def _busy(size: int, lanes: int) -> float:
    """The share of lanes that do useful work."""
    return size / (-(-size // lanes) * lanes)


def _windows_for(p: _Patches, *, rows: bool) -> Node:
    """Windows as (batch, groups, *places but the last, m, n, in, *kernel): the last place is m (rows) or n, the other 1."""
    ndim = p.windows.ndim
    view = _transpose(p.windows, (0, 1, *range(3, 3 + p.axes), 2, *range(3 + p.axes, ndim)))
    cut = 2 + p.axes
    return _reshape(
        view, (*view.shape[:cut], 1, *view.shape[cut:]) if rows else (*view.shape[: cut - 1], 1, *view.shape[cut - 1 :])
    )


def _weights_for(p: _Patches, *, rows: bool) -> Node:
    """Weights as (1, groups, 1, …, m, n, in, *kernel), where output channels are m (rows) or n, the other 1."""
    w = p.weights
    groups, out, *inner = w.shape
    pair = (out, 1) if rows else (1, out)
    return _reshape(w if rows else _channels_last(w), (1, groups, *(1,) * (p.axes - 1), *pair, *inner))


def _channels_last(w: Node) -> Node:
    """Weights (groups, out, …) copied so that neighbours along `out` are neighbours in memory."""
    last = copy(_transpose(w, (0, *range(2, w.ndim), 1)))
    return _transpose(last, (0, w.ndim - 1, *range(1, w.ndim - 1)))


def _order(p: _Patches, *, rows_are_places: bool) -> tuple[int, ...]:
    """Where (batch, groups, *places but the last, m, n) lie in (batch, groups, out, *places)."""
    last = 2 + p.axes
    return (0, 1, *range(3, last), *((last, 2) if rows_are_places else (2, last)))


def _weight_gradient(p: _Patches) -> Node:
    """The result as (groups, *places, batch, out), summed image by image, and turned to its usual order."""
    batch, groups, _, *places = p.result
    if batch < places[-1] <= 4:
        return contract(_windows_for(p, rows=True), _weights_for(p, rows=False), 1 + p.axes, _order(p, rows_are_places=True))
    ndim = p.windows.ndim
    rows = _transpose(p.windows, (1, *range(3, 3 + p.axes), 0, 2, *range(3 + p.axes, ndim)))
    rows = _reshape(rows, (*rows.shape[: 2 + p.axes], 1, *rows.shape[2 + p.axes :]))
    columns = _reshape(_channels_last(p.weights), (groups, *(1,) * p.axes, 1, *p.weights.shape[1:]))
    total = contract(rows, columns, 1 + p.axes, tuple(range(3 + p.axes)), accumulate=True)
    return copy(_transpose(total, (1 + p.axes, 0, 2 + p.axes, *range(1, 1 + p.axes))))


def _plain_convolution(p: _Patches) -> Node:
    """Products and a sum, for shapes with nothing to put into rows and columns."""
    groups, out, *inner = p.weights.shape
    batch = p.windows.shape[0]
    view = _transpose(p.windows, (0, 1, *range(3, 3 + p.axes), 2, *range(3 + p.axes, p.windows.ndim)))
    view = _reshape(view, (batch, groups, 1, *p.places, *inner))
    weights = _reshape(p.weights, (1, groups, out, *(1,) * p.axes, *inner))
    return _sum_of_products(view, weights, 1 + p.axes)


def _padded(x: Node, padding: tuple[tuple[int, int], ...], spacing: tuple[int, ...]) -> Node:
    """x with gaps between neighbours and zeros around it; negative padding cuts off.

    What is padded and then turned can often be shared with the forward pass, which pads the same image.
    """
    if x.op == "transpose" and x.attributes["axes"] == (1, 0, *range(2, x.ndim)):
        return _transpose(_padded(x.inputs[0], padding, spacing), x.attributes["axes"])
    widths = ((0, 0), (0, 0), *((max(low, 0), max(high, 0)) for low, high in padding))
    y = x
    if any(n for pair in widths for n in pair) or any(n > 1 for n in spacing):
        y = padded(lookup("pad")(x, widths, interior=(0, 0, *(n - 1 for n in spacing))))
    start = (0, 0, *(max(-low, 0) for low, _ in padding))
    stop = (*y.shape[:2], *(n - max(-high, 0) for n, (_, high) in zip(y.shape[2:], padding, strict=True)))
    return y if y.shape == stop and not any(start) else lookup("slice")(y, start, stop)


# ------------------------------------------------------------------------------------------------ copies
def _with_copies(node: Node) -> Node:
    """Copies before moves that no view can express, and before operands that a contraction cannot take as they are."""
    if node.op in LEAVES or not node.inputs:
        return node
    if node.op == "reshape" and view_of(node) is None:
        return _replaced(node, (copy(node.inputs[0]),))
    if node.op == "uniform":
        view = view_of(node.inputs[0])
        return node if view is not None and view.plain else _replaced(node, (copy(node.inputs[0]),))
    return node


def _replaced(node: Node, inputs: tuple[Node, ...]) -> Node:
    return Node(node.op, inputs, node.attributes, node.shape, node.dtype, node.name)


def _with_safe_updates(graph: Graph) -> Graph:
    """An update that is another state, or a part of one, is copied first, since that one may be overwritten before."""
    state = set(graph.state)

    def safe(leaf: Node, update: Node) -> Node:
        view = view_of(update)
        assert view is not None
        return copy(update) if update is not leaf and view.base in state else update

    updates = tuple(safe(s, u) for s, u in zip(graph.state, graph.updates, strict=True))
    return Graph(graph.inputs, graph.outputs, graph.state, updates)
