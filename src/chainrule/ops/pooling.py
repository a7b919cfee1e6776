"""Windows that slide over the spatial axes, and pooling, which takes one number from each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.errors import ArgumentError, ShapeError
from chainrule.ir import Array, Attributes, Node, Shape
from chainrule.ops.convolution import per_axis, spatial_axes, spread, window_view
from chainrule.ops.elementwise import equal, masked
from chainrule.ops.facts import Facts
from chainrule.ops.primitive import Case, Notation, Primitive, as_node
from chainrule.ops.reduction import argmax, max, mean
from chainrule.ops.shape import expand_dims, movement, operator, pad, random_values, reshape, slice


def _prepare_windows(
    x: Node, size: Sequence[int], stride: int | Sequence[int] = 1, dilation: int | Sequence[int] = 1
) -> dict[str, Any]:
    axes = len(size)
    found = {
        "size": per_axis(size, axes, "windows", "size"),
        "stride": per_axis(stride, axes, "windows", "stride"),
        "dilation": per_axis(dilation, axes, "windows", "dilation"),
    }
    if x.ndim < axes or any(
        spread(k, d) > n for k, d, n in zip(found["size"], found["dilation"], x.shape[x.ndim - axes :], strict=True)
    ):
        raise ShapeError(
            f"a window of size {tuple(size)} does not fit the shape {x.shape}",
            "it must not be larger than the last axes",
            "Use a smaller window, less dilation, or more padding.",
        )
    return found


def _windowed(shape: Shape, size: Shape, stride: Shape, dilation: Shape) -> Shape:
    lead = len(shape) - len(size)
    counts = ((n - spread(k, d)) // s + 1 for n, k, s, d in zip(shape[lead:], size, stride, dilation, strict=True))
    return (*shape[:lead], *counts, *size)


def _windows_case(rng: np.random.Generator) -> Case:
    settings = {name: tuple(int(n) for n in rng.integers(1, 3, size=2)) for name in ("size", "stride", "dilation")}
    return Case((random_values(rng, (2, 4, 5)),), settings)


windows = movement(
    "windows",
    "y[…, p, k] = x[…, p·stride + k·dilation]: the window of x that starts at each position",
    notation=Notation("patches#_size(#0)", r"\operatorname{patches}#_size\left(#0\right)"),
    prepare=_prepare_windows,
    shape=_windowed,
    evaluate=window_view,
    pullback=lambda g, node, index: windows_sum(
        g,
        shape=node.inputs[0].shape[node.inputs[0].ndim - len(node.attributes["size"]) :],
        stride=node.attributes["stride"],
        dilation=node.attributes["dilation"],
    ),
    cases=_windows_case,
    facts=Facts(moves="picks"),
)


def _windows_sum(x: Array, shape: Shape, stride: Shape, dilation: Shape) -> Array:
    axes = len(shape)
    lead = x.ndim - 2 * axes
    y = np.zeros((*x.shape[:lead], *shape), dtype=x.dtype)
    for k in np.ndindex(*x.shape[lead + axes :]):
        places: tuple[Any, ...] = tuple(
            np.s_[i * d : i * d + (n - 1) * s + 1 : s]
            for i, d, s, n in zip(k, dilation, stride, x.shape[lead : lead + axes], strict=True)
        )
        y[..., *places] += x[..., *k]
    return y


windows_sum: Primitive = movement(
    "windows_sum",
    "the adjoint of windows: every window added up at its place",
    notation=Notation("patchesᵀ(#0)", r"\operatorname{patches}^{\top}\left(#0\right)"),
    prepare=lambda x, shape, stride, dilation: {"shape": shape, "stride": stride, "dilation": dilation},
    shape=lambda old, shape, stride, dilation: (*old[: len(old) - 2 * len(shape)], *shape),
    evaluate=_windows_sum,
    pullback=lambda g, node, index: windows(
        g,
        size=node.inputs[0].shape[node.inputs[0].ndim - len(node.attributes["shape"]) :],
        stride=node.attributes["stride"],
        dilation=node.attributes["dilation"],
    ),
    cases=lambda rng: Case((random_values(rng, (2, 2, 2, 2, 3)),), {"shape": (4, 7), "stride": (2, 2), "dilation": (1, 2)}),
    facts=Facts(sums=True, bound="windows_sum"),
)


def _prepare_pool(
    x: Node,
    window: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
) -> dict[str, Any]:
    axes = x.ndim - 2
    if axes < 1:
        raise ShapeError(
            f"pooling got the shape {x.shape}", "it takes (batch, channels, *spatial)", "Add axes with expand_dims."
        )
    size = per_axis(window, axes, "pooling", "window")
    pads = per_axis(padding, axes, "pooling", "padding", 0)
    if any(2 * p > k for p, k in zip(pads, size, strict=True)):
        raise ArgumentError(
            f"pooling got window={window} and padding={padding}", "padding may be at most half the window", "Use less padding."
        )
    return {
        "window": size,
        "stride": size if stride is None else per_axis(stride, axes, "pooling", "stride"),
        "padding": pads,
        "dilation": per_axis(dilation, axes, "pooling", "dilation"),
    }


def _pooled(shape: Shape, window: Shape, stride: Shape, padding: Shape, dilation: Shape) -> Shape:
    padded = tuple(n + 2 * p for n, p in zip(shape[2:], padding, strict=True))
    if any(n < spread(k, d) for n, k, d in zip(padded, window, dilation, strict=True)):
        raise ShapeError(
            f"pooling got the shape {shape} and the window {window}",
            "the window must fit into the padded spatial axes",
            "Use a smaller window.",
        )
    return _windowed((*shape[:2], *padded), window, stride, dilation)[: len(shape)]


def _pool_windows(x: Node, attributes: Attributes, fill: float) -> Node:
    """The windows of the padded input, each flattened: (batch, channels, *positions, elements)."""
    widths = ((0, 0), (0, 0), *((p, p) for p in attributes["padding"]))
    padded = pad(x, widths, value=fill) if any(attributes["padding"]) else x
    view = windows(padded, size=attributes["window"], stride=attributes["stride"], dilation=attributes["dilation"])
    return reshape(view, (*view.shape[: x.ndim], math.prod(attributes["window"])))


def _max_pool_pullback(g: Node, node: Node, index: int) -> Node:
    """All of g goes to the first largest element of each window."""
    (x,) = node.inputs
    a = node.attributes
    flat = _pool_windows(x, a, -np.inf)
    first = expand_dims(argmax(flat, axis=-1), -1)
    chosen = equal(first, as_node(np.arange(flat.shape[-1])))
    shares = reshape(masked(expand_dims(g, -1), chosen), (*g.shape, *a["window"]))
    padded = tuple(n + 2 * p for n, p in zip(x.shape[2:], a["padding"], strict=True))
    total = windows_sum(shares, shape=padded, stride=a["stride"], dilation=a["dilation"])
    start = (0, 0, *a["padding"])
    return slice(total, start, tuple(s + n for s, n in zip(start, x.shape, strict=True)))


def _pool_case(rng: np.random.Generator) -> Case:
    settings = {"window": 2, "stride": int(rng.integers(1, 3)), "padding": int(rng.integers(0, 2)), "dilation": 1}
    return Case((rng.permutation(np.linspace(-2, 2, 40)).reshape(1, 2, 4, 5),), settings)


max_pool = movement(
    "max_pool",
    "y[n, c, p] = the largest x[n, c, ·] in the window at p·stride − padding",
    notation=Notation("MaxPool#_window(#0)", r"\operatorname{MaxPool}#_window\left(#0\right)"),
    prepare=_prepare_pool,
    shape=_pooled,
    result="float",
    body=lambda x, **attributes: max(_pool_windows(x, attributes, -np.inf), axis=-1),
    pullback=_max_pool_pullback,
    cases=_pool_case,
    kinks="at ties: all to the first",
    facts=Facts(ties="first"),
)
avg_pool = movement(
    "avg_pool",
    "y[n, c, p] = the mean of x[n, c, ·] in the window at p·stride − padding; padding counts as zeros",
    notation=Notation("AvgPool#_window(#0)", r"\operatorname{AvgPool}#_window\left(#0\right)"),
    prepare=_prepare_pool,
    shape=_pooled,
    result="float",
    body=lambda x, **attributes: mean(_pool_windows(x, attributes, 0.0), axis=-1),
    cases=_pool_case,
)


def _prepare_global(x: Node) -> dict[str, Any]:
    if x.ndim < 3:
        raise ShapeError(
            f"pooling got the shape {x.shape}", "it takes (batch, channels, *spatial)", "Add axes with expand_dims."
        )
    return {}


global_max_pool = movement(
    "global_max_pool",
    "y[n, c] = the largest x[n, c, ·]",
    notation=operator("MaxPool"),
    prepare=_prepare_global,
    shape=lambda shape: shape[:2],
    body=lambda x: max(x, axis=spatial_axes(x)),
    cases=lambda rng: Case((rng.permutation(np.linspace(-2, 2, 36)).reshape(2, 2, 3, 3),)),
    kinks="at ties: equal shares",
    facts=Facts(ties="shared"),
)
global_avg_pool = movement(
    "global_avg_pool",
    "y[n, c] = the mean of x[n, c, ·]",
    notation=operator("AvgPool"),
    prepare=_prepare_global,
    shape=lambda shape: shape[:2],
    result="float",
    body=lambda x: mean(x, axis=spatial_axes(x)),
    cases=lambda rng: Case((random_values(rng, (2, 2, 3, 3)),)),
)
