"""Convolutions in the forms that kernels have: padding, and contractions of windows of the padded image with the weights.

Windows are views with more axes than the image, so patches are never copied into a matrix. Which axes are rows of the product
and which are columns depends on the shape. Some convolutions need fewer multiplications (`winograd`).
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

from chainrule.backends.native.graph import winograd
from chainrule.backends.native.graph.forms import contract, copy, place, reshape, sum_of_products, transpose
from chainrule.backends.native.graph.placing import padded
from chainrule.backends.native.graph.views import contiguous, view_of
from chainrule.backends.native.target import Target
from chainrule.ir import Node
from chainrule.ops import lookup


def in_products(node: Node, target: Target) -> Node:
    """A `convolution` as padding and contractions, or by Winograd's algorithm."""
    x, w = node.inputs
    a = node.attributes
    groups, axes = a["groups"], x.ndim - 2
    dense = not any(n > 1 for n in (*a["stride"], *a["kernel_dilation"]))
    if dense and any(n > 1 for n in a["input_dilation"]):
        phases = _by_phases(node, target)
        if phases is not None:
            return phases
    image = _padded(x, a["padding"], a["input_dilation"])
    if dense and groups == 1 and node.dtype.kind == "f":
        short = _with_fewer_products(node, image)
        if short is not None:
            return short
    out, inner, *kernel = w.shape
    windows = lookup("windows")(image, size=tuple(kernel), stride=a["stride"], dilation=a["kernel_dilation"])
    windows = reshape(windows, (x.shape[0], groups, inner, *windows.shape[2:]))
    patches = _Patches(windows, reshape(w, (groups, out // groups, inner, *kernel)), axes)
    return reshape(_convolved(patches, target.lanes(node.dtype)), node.shape)


def _with_fewer_products(node: Node, image: Node) -> Node | None:
    """A convolution by three rows and columns of weights, or the gradient by such weights, where `winograd` does it."""
    x, w = node.inputs
    out, inner, *kernel = w.shape
    if tuple(kernel) == (3, 3) and winograd.fits(x.shape[0], inner, out, node.shape[2:]):
        return Node("winograd", (image, w), {}, node.shape, node.dtype)
    if node.shape[2:] == (3, 3) and winograd.fits(inner, x.shape[0], out, kernel):
        images, upstream = (transpose(y, (1, 0, 2, 3)) for y in (image, w))
        gradient = Node("winograd_gradient", (images, upstream), {}, (out, x.shape[0], 3, 3), node.dtype)
        return transpose(gradient, (1, 0, 2, 3))
    return None


def _by_phases(node: Node, target: Target) -> Node | None:
    """A convolution of an image with zeros between its elements, without these: the way back from strides.

    Of d neighbouring results along an axis, each meets other weights, every d-th one: y[p + d i] = Σ_j w[k + d j] x[i + j + s]
    with k ≡ padding − p (mod d). So every phase p is a convolution of its own, and all are put in place. None if phases differ
    in size.
    """
    x, w = node.inputs
    a = node.attributes
    spacing = a["input_dilation"]
    if any(n % d for n, d in zip(node.shape[2:], spacing, strict=True)):
        return None
    steps = contiguous(node.shape)
    parts, places = [], []
    for phase in itertools.product(*map(range, spacing)):
        first = [(low - p) % d for p, d, (low, _) in zip(phase, spacing, a["padding"], strict=True)]
        if any(k >= n for k, n in zip(first, w.shape[2:], strict=True)):
            continue  # in this phase all weights are multiplied by zeros
        taps = lookup("slice")(w, (0, 0, *first), w.shape, (1, 1, *spacing))
        padding = []
        for axis, (p, k, d) in enumerate(zip(phase, first, spacing, strict=True), 2):
            low = (a["padding"][axis - 2][0] - p - k) // d
            padding.append((low, node.shape[axis] // d + taps.shape[axis] - 1 - x.shape[axis] - low))
        result = lookup("convolution")(x, taps, padding=tuple(padding), groups=a["groups"])
        parts.append(in_products(result, target))
        strides = (*steps[:2], *(s * d for s, d in zip(steps[2:], spacing, strict=True)))
        places.append((sum(p * s for p, s in zip(phase, steps[2:], strict=True)), strides))
    return place(parts, node.shape, places, None if len(parts) == math.prod(spacing) else 0) if parts else None


@dataclass(frozen=True)
class _Patches:
    """The factors of a convolution: windows (batch, groups, in, *positions, *kernel) and weights (groups, out, in, *kernel)."""

    windows: Node
    weights: Node
    axes: int

    @property
    def positions(self) -> tuple[int, ...]:
        """Spatial sizes of the result."""
        return self.windows.shape[3 : 3 + self.axes]

    @property
    def result(self) -> tuple[int, ...]:
        """(batch, groups, out, *positions)."""
        return (*self.windows.shape[:2], self.weights.shape[1], *self.positions)


def _convolved(p: _Patches, lanes: int) -> Node:
    """The result of a convolution, by the contraction whose vectors have the fewest idle lanes.

    Columns are output channels or neighbouring positions; rows are the other ones. A convolution with a kernel as large as the
    image is a gradient by weights: few positions, and a long sum over images. Its batch axis holds the channels, and is its
    rows.
    """
    batch, _, out, *positions = p.result
    kernel = p.weights.shape[3:]
    if math.prod(kernel) > math.prod(positions):
        return _weight_gradient(p) if out > 1 and max(batch, positions[-1]) > 1 else _plain_convolution(p)
    if out == 1 or positions[-1] == 1:
        return _plain_convolution(p)
    last = p.windows.ndim - len(kernel) - 1
    neighbours = _view_strides(p.windows)[last] == 1
    if neighbours and _busy(positions[-1], lanes) >= 0.8 * _busy(out, lanes):
        return contract(
            _weights_for(p, rows=True), _windows_for(p, rows=False), 1 + p.axes, _order(p, rows_are_positions=False)
        )
    return contract(_windows_for(p, rows=True), _weights_for(p, rows=False), 1 + p.axes, _order(p, rows_are_positions=True))


def _view_strides(node: Node) -> tuple[int, ...]:
    """The strides of a node that is a view; zeros if it is none, and will be copied."""
    found = view_of(node)
    return (0,) * node.ndim if found is None else found.strides


def _busy(size: int, lanes: int) -> float:
    """The share of lanes that do useful work."""
    return size / (-(-size // lanes) * lanes)


def _windows_for(p: _Patches, *, rows: bool) -> Node:
    """Windows as (batch, groups, *positions but the last, m, n, in, *kernel): the last one is m (rows) or n, the other is 1."""
    ndim = p.windows.ndim
    view = transpose(p.windows, (0, 1, *range(3, 3 + p.axes), 2, *range(3 + p.axes, ndim)))
    cut = 2 + p.axes
    return reshape(
        view, (*view.shape[:cut], 1, *view.shape[cut:]) if rows else (*view.shape[: cut - 1], 1, *view.shape[cut - 1 :])
    )


def _weights_for(p: _Patches, *, rows: bool) -> Node:
    """Weights as (1, groups, 1, …, m, n, in, *kernel), where output channels are m (rows) or n, the other 1."""
    w = p.weights
    groups, out, *inner = w.shape
    pair = (out, 1) if rows else (1, out)
    return reshape(w if rows else _channels_last(w), (1, groups, *(1,) * (p.axes - 1), *pair, *inner))


def _channels_last(w: Node) -> Node:
    """Weights (groups, out, …) copied so that neighbours along `out` are neighbours in memory."""
    last = copy(transpose(w, (0, *range(2, w.ndim), 1)))
    return transpose(last, (0, w.ndim - 1, *range(1, w.ndim - 1)))


def _order(p: _Patches, *, rows_are_positions: bool) -> tuple[int, ...]:
    """Where (batch, groups, *positions but the last, m, n) lie in (batch, groups, out, *positions)."""
    last = 2 + p.axes
    return (0, 1, *range(3, last), *((last, 2) if rows_are_positions else (2, last)))


def _weight_gradient(p: _Patches) -> Node:
    """The result as (groups, *positions, batch, out), summed image by image, and transposed to its usual order."""
    batch, groups, _, *positions = p.result
    if batch < positions[-1] <= 4:
        return contract(_windows_for(p, rows=True), _weights_for(p, rows=False), 1 + p.axes, _order(p, rows_are_positions=True))
    ndim = p.windows.ndim
    rows = transpose(p.windows, (1, *range(3, 3 + p.axes), 0, 2, *range(3 + p.axes, ndim)))
    rows = reshape(rows, (*rows.shape[: 2 + p.axes], 1, *rows.shape[2 + p.axes :]))
    columns = reshape(_channels_last(p.weights), (groups, *(1,) * p.axes, 1, *p.weights.shape[1:]))
    total = contract(rows, columns, 1 + p.axes, tuple(range(3 + p.axes)), accumulate=True)
    return copy(transpose(total, (1 + p.axes, 0, 2 + p.axes, *range(1, 1 + p.axes))))


def _plain_convolution(p: _Patches) -> Node:
    """Products and a sum, for shapes with nothing to put into rows and columns."""
    groups, out, *inner = p.weights.shape
    batch = p.windows.shape[0]
    view = transpose(p.windows, (0, 1, *range(3, 3 + p.axes), 2, *range(3 + p.axes, p.windows.ndim)))
    view = reshape(view, (batch, groups, 1, *p.positions, *inner))
    weights = reshape(p.weights, (1, groups, out, *(1,) * p.axes, *inner))
    return sum_of_products(view, weights, 1 + p.axes)


def _padded(x: Node, padding: tuple[tuple[int, int], ...], spacing: tuple[int, ...]) -> Node:
    """x with gaps between neighbours and zeros around it; negative padding cuts off.

    What is padded and then transposed can often be shared with the forward pass, which pads the same image.
    """
    if x.op == "transpose" and x.attributes["axes"] == (1, 0, *range(2, x.ndim)):
        return transpose(_padded(x.inputs[0], padding, spacing), x.attributes["axes"])
    widths = ((0, 0), (0, 0), *((max(low, 0), max(high, 0)) for low, high in padding))
    y = x
    if any(n for pair in widths for n in pair) or any(n > 1 for n in spacing):
        y = padded(lookup("pad")(x, widths, interior=(0, 0, *(n - 1 for n in spacing))))
    start = (0, 0, *(max(-low, 0) for low, _ in padding))
    stop = (*y.shape[:2], *(n - max(-high, 0) for n, (_, high) in zip(y.shape[2:], padding, strict=True)))
    return y if y.shape == stop and not any(start) else lookup("slice")(y, start, stop)
