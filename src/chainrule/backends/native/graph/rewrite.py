"""Graph to graph, before kernels are made: every operation in the few forms that kernels have.

    matmul        a contraction of two stacks of matrices; or products and a sum where a matrix is a vector
    convolution   sums of products of windows and weights (see `convolution`)
    windows       of pooling: written out, and put together again by `place` (see `placing`)
    copy          put in where a view would not do

The operations of `forms`, and `winograd` and `winograd_gradient`, are known to this backend only.
"""

from __future__ import annotations

import math
from collections import Counter

import numpy as np

from chainrule.backends.native import costs
from chainrule.backends.native.graph import convolution, winograd
from chainrule.backends.native.graph.forms import contract, copy, reshape, sum_of_products, transpose
from chainrule.backends.native.graph.placing import padded, read_where_placed, write_out_windows
from chainrule.backends.native.graph.views import view_of
from chainrule.backends.native.graph.zeros import share_of_nonzeros
from chainrule.backends.native.target import Target
from chainrule.ir import LEAVES, Graph, Node, constant, is_zero
from chainrule.ops import lookup
from chainrule.passes import expand_blocks, rewrite, simplify

_IN_STEPS = ("sum", "max", "min", "prod")
_WORTH_A_STEP = 16  # elements in the last axes
_SIGNS = ("greater", "less_equal")  # comparisons with 0 in which max(x, 0) does for x, NaN included


def prepare(graph: Graph, target: Target) -> Graph:
    """The graph in basic operations that `lower` has kernels for."""
    graph = write_out_windows(_with_masks_from_outputs(simplify(expand_blocks(graph))))
    # From here on there are operations that only this backend knows, which cannot be folded.
    graph = simplify(rewrite(graph, lambda node: _in_simpler_terms(node, target)), disable=("fold",))
    graph = simplify(read_where_placed(graph), disable=("fold",))
    shares: dict[Node, float] = {}
    graph = rewrite(_with_transposed_products(graph), lambda node: _with_contractions(node, target, shares))
    return _with_safe_updates(rewrite(graph, _with_copies))


def _with_contractions(node: Node, target: Target, shares: dict[Node, float]) -> Node:
    """What stands for many nodes is written out last, so that all that comes before has little to look at."""
    if node.op == "matmul":
        return _product(node, target, shares)
    makers = {"winograd": winograd.convolution, "winograd_gradient": winograd.gradient}
    return makers[node.op](node) if node.op in makers else node


def _in_simpler_terms(node: Node, target: Target) -> Node:
    if node.op == "matmul":
        return _matmul(node)
    if node.op == "pad":
        return padded(node)
    if node.op in ("argmax", "argmin") and node.inputs[0].shape[node.attributes["axis"][0]] == 1:
        return constant(np.zeros(node.shape), node.dtype)
    if node.op == "divide" and node.size > 1 and _has_reciprocal(node.inputs[1]):
        return _times_reciprocal(node)
    if node.op in _IN_STEPS:
        return _reduced_in_order(node)
    return convolution.in_products(node, target) if node.op == "convolution" else node


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
    return reshape(reduction(reduction(x, axis=last), axis=first), node.shape)


def _with_masks_from_outputs(graph: Graph) -> Graph:
    """x > 0 as max(x, 0) > 0, and x ≤ 0 likewise, where that maximum is computed anyway: it is kept for the backward pass, and
    x need not be."""
    nodes = graph.nodes()
    outputs = {node.inputs[0]: node for node in nodes if node.op == "maximum" and _compares_with_zero(node)}
    maxima = set(outputs.values())
    originals = iter(nodes)
    made: dict[Node, Node] = {}

    def output(original: Node, x: Node) -> Node:
        """The maximum, made by whoever needs it first: a mask may come before it."""
        return made.setdefault(original, _replaced(original, (x, original.inputs[1])))

    def rule(node: Node) -> Node:
        original = next(originals)
        if original in maxima:
            return output(original, node.inputs[0])
        if original.op in _SIGNS and original.inputs[0] in outputs and _compares_with_zero(original):
            return _replaced(node, (output(outputs[original.inputs[0]], node.inputs[0]), node.inputs[1]))
        return node

    return rewrite(graph, rule) if outputs else graph


def _compares_with_zero(node: Node) -> bool:
    """Whether every element of the first operand is compared with 0, and nothing is broadcast to more."""
    return is_zero(node.inputs[1]) and node.inputs[0].shape == node.shape


def _has_reciprocal(node: Node) -> bool:
    """Whether it is one known number whose reciprocal is neither infinite nor short of digits."""
    if node.op != "constant" or node.value is None or node.size != 1 or node.dtype.kind != "f":
        return False
    with np.errstate(all="ignore"):
        reciprocal = np.abs(1 / node.value).item()
    return bool(np.finfo(node.dtype).tiny <= reciprocal < np.inf)


def _times_reciprocal(node: Node) -> Node:
    """x / c as x (1/c) for a known number c: one division in place of many, and half a unit in the last place off."""
    x, c = node.inputs
    return lookup("multiply")(x, lookup("divide")(1.0, c))


# ------------------------------------------------------------------------------------------------ matrix products
def _matmul(node: Node) -> Node:
    a, b = node.inputs
    a = reshape(a, (1, *a.shape)) if a.ndim == 1 else a
    b = reshape(b, (*b.shape, 1)) if b.ndim == 1 else b
    if b.ndim == 2 and a.ndim > 2:
        a = reshape(a, (int(np.prod(a.shape[:-1], dtype=np.int64)), a.shape[-1]))
    rows, columns = a.shape[-2], b.shape[-1]
    if node.dtype.kind == "f" and min(rows, columns) > 1:
        batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        a, b = (lookup("broadcast_to")(x, shape=(*batch, *x.shape[-2:])) for x in (a, b))
        return reshape(Node("matmul", (a, b), {}, (*batch, rows, columns), node.dtype), node.shape)
    left = reshape(a, (*a.shape[:-1], 1, a.shape[-1]))
    right = transpose(b, (*range(b.ndim - 2), b.ndim - 1, b.ndim - 2))
    right = reshape(right, (*right.shape[:-2], 1, *right.shape[-2:]))
    return reshape(sum_of_products(left, right, 1), node.shape)


def _with_transposed_products(graph: Graph) -> Graph:
    """(A B)ᵀ = Bᵀ Aᵀ wherever A B itself is not needed: it comes out as it is read, and transposed A and B are views."""
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
        return Node("matmul", (transpose(b, last), transpose(a, last)), {}, node.shape, node.dtype)

    return simplify(rewrite(graph, rule), disable=("fold",))


# ------------------------------------------------------------------------------------------------ contractions
def _product(node: Node, target: Target, shares: dict[Node, float]) -> Node:
    """A matmul that is left as one contraction, which skips zeros of a factor if that is expected to pay."""
    a, b = node.inputs
    right = transpose(b, (*range(b.ndim - 2), b.ndim - 1, b.ndim - 2))
    axes = tuple(range(node.ndim))
    if _skips(a, right, target, shares):
        return _contracted(_in_order(a), right, axes, skipping=True)
    if _skips(right, a, target, shares):
        return _contracted(_in_order(right), a, axes[::-1], skipping=True)
    return _contracted(a, right, axes, skipping=False)


def _skips(a: Node, b: Node, target: Target, shares: dict[Node, float]) -> bool:
    """Whether Σ_k a[m, k] b[n, k] is expected to take less time without multiplying zeros of a."""
    if a.ndim != 2 or a.dtype.kind != "f":
        return False
    share = share_of_nonzeros(a, shares)
    return costs.skipping_pays(a.shape[0], b.shape[0], a.shape[1], share=share, dtype=a.dtype, target=target)


def _contracted(a: Node, b: Node, axes: tuple[int, ...], *, skipping: bool) -> Node:
    """Σ_k a[…, m, k] b[…, n, k]."""
    left = reshape(a, (*a.shape[:-1], 1, a.shape[-1]))
    return contract(left, reshape(b, (*b.shape[:-2], 1, *b.shape[-2:])), 1, axes, skipping=skipping)


def _in_order(x: Node) -> Node:
    """x, copied unless neighbours along its last axis are neighbours in memory."""
    found = view_of(x)
    return x if found is not None and found.strides[-1] == 1 else copy(x)


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
