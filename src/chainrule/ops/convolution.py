"""Convolution and pooling, for any number of spatial axes.

One primitive, `convolution`, is closed under differentiation: with a spacing put between input elements (`input_dilation`)
and between kernel elements (`kernel_dilation`), and padding that may be negative, both of its gradients, and the transposed
convolution, are convolutions again. Images are laid out as (batch, channels, *spatial), kernels as (out, in / groups,
*spatial).
"""

from __future__ import annotations

import builtins
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.errors import ArgumentError, ShapeError, message
from chainrule.ir import Array, Attributes, DType, Node, Shape
from chainrule.ops.elementwise import PRODUCT, equal, masked, promote
from chainrule.ops.facts import AffinePart, Facts
from chainrule.ops.primitive import (
    Case,
    Inputs,
    Notation,
    Operand,
    Primitive,
    as_node,
    check_attributes,
    define,
    integer,
    integers,
)
from chainrule.ops.reduction import argmax, max, mean
from chainrule.ops.shape import expand_dims, flip, movement, operator, pad, random_values, reshape, slice, transpose

Pairs = tuple[tuple[int, int], ...]


def per_axis(value: int | Sequence[int], axes: int, op: str, setting: str, least: int = 1) -> Shape:
    """One number per spatial axis: a single one stands for all.

    Raises:
        ArgumentError: another count of numbers, or one below `least`.
    """
    values = integers(value, op, setting)
    values = values if isinstance(value, Sequence | np.ndarray) else values * axes
    if len(values) != axes or any(v < least for v in values):
        raise ArgumentError(
            message(
                f"{op} got {setting}={value}",
                f"it takes one integer ≥ {least}, or one per spatial axis ({axes})",
                "Check the setting.",
            )
        )
    return values


def padding_pairs(value: int | Sequence[Any], axes: int, op: str, least: int | None = None) -> Pairs:
    """(before, after) per spatial axis, from one number, one number per axis, or one pair per axis, none below `least`."""
    sides = value if isinstance(value, Sequence | np.ndarray) and not isinstance(value, str) else (value,) * axes
    pairs = [integers(side, op, "padding") for side in sides]
    low = least is not None and any(n < least for pair in pairs for n in pair)
    if len(pairs) != axes or any(len(pair) > 2 or not pair for pair in pairs) or low:
        raise ArgumentError(
            message(
                f"{op} got padding={value}",
                f"it takes one integer{'' if least is None else f' ≥ {least}'}, or one, or a pair, per spatial axis ({axes})",
                "Check the setting.",
            )
        )
    return tuple((pair[0], pair[-1]) for pair in pairs)


def _spread(size: int, dilation: int) -> int:
    """Extent of `size` elements with `dilation` from each to the next."""
    return (size - 1) * dilation + 1 if size else 0


_CONVOLUTION_SETTINGS = ("stride", "padding", "input_dilation", "kernel_dilation", "groups")


def _prepare_convolution(operands: tuple[Operand, ...], attributes: dict[str, Any]) -> tuple[Inputs, dict[str, Any]]:
    check_attributes("convolution", attributes, _CONVOLUTION_SETTINGS)
    if len(operands) != 2:
        raise ArgumentError(
            message(f"convolution got {len(operands)} inputs", "it takes an input and a kernel", "Check the call.")
        )
    x, w = promote(operands, "float", "convolution")
    if x.ndim < 3 or w.ndim != x.ndim:
        raise ShapeError(
            message(
                f"convolution got the input shape {x.shape} and the kernel shape {w.shape}",
                "it takes (batch, channels, *spatial) and (out, in / groups, *spatial) with as many spatial axes",
                "Add missing axes with expand_dims.",
            )
        )
    axes = x.ndim - 2
    settings = {
        name: per_axis(attributes.get(name, 1), axes, "convolution", name)
        for name in ("stride", "input_dilation", "kernel_dilation")
    }
    settings["padding"] = padding_pairs(attributes.get("padding", 0), axes, "convolution")  # type: ignore[assignment]
    return (x, w), {**settings, "groups": integer(attributes.get("groups", 1), "convolution", "groups")}


def _infer_convolution(inputs: Inputs, attributes: Attributes) -> tuple[Shape, DType]:
    x, w = inputs
    groups = attributes["groups"]
    if groups < 1 or x.shape[1] != w.shape[1] * groups or w.shape[0] % groups:
        raise ShapeError(
            message(
                f"convolution got an input with {x.shape[1]} channels and a kernel of shape {w.shape} with groups={groups}",
                "channels must be the kernel's second axis × groups, and its first axis a multiple of groups",
                "Check in_channels, out_channels and groups.",
            )
        )
    sizes = []
    for n, k, stride, (low, high), spacing, dilation in zip(
        x.shape[2:],
        w.shape[2:],
        attributes["stride"],
        attributes["padding"],
        attributes["input_dilation"],
        attributes["kernel_dilation"],
        strict=True,
    ):
        room = _spread(n, spacing) + low + high - _spread(k, dilation)
        if room < 0:
            raise ShapeError(
                message(
                    f"convolution got the input shape {x.shape} and the kernel shape {w.shape}",
                    f"the kernel with its dilation must fit into the padded input, and misses by {-room}",
                    "Use a smaller kernel or more padding.",
                )
            )
        sizes.append(room // stride + 1)
    return (x.shape[0], w.shape[0], *sizes), x.dtype


def _place(x: Array, padding: Pairs, spacing: Shape) -> Array:
    """`x` with gaps between neighbours and zeros around it; negative padding cuts off."""
    lead = x.ndim - len(spacing)
    sizes = [_spread(n, s) + a + b for n, s, (a, b) in zip(x.shape[lead:], spacing, padding, strict=True)]
    y = np.zeros((*x.shape[:lead], *sizes), dtype=x.dtype)
    target, source = [builtins.slice(None)] * lead, [builtins.slice(None)] * lead
    for n, s, (a, _), size in zip(x.shape[lead:], spacing, padding, sizes, strict=True):
        first = -(a // s) if a < 0 else 0
        kept = len(range(a + first * s, builtins.min(size, a + _spread(n, s)), s))
        target.append(builtins.slice(a + first * s, a + first * s + _spread(kept, s), s))
        source.append(builtins.slice(first, first + kept))
    y[tuple(target)] = x[tuple(source)]
    return y


def window_view(x: Array, size: Shape, stride: Shape, dilation: Shape) -> Array:
    """A view of `x` (…, *S) as (…, *S', *K): the window that starts at each position."""
    axes = tuple(range(x.ndim - len(size), x.ndim))
    extent = tuple(_spread(k, d) for k, d in zip(size, dilation, strict=True))
    view = np.lib.stride_tricks.sliding_window_view(x, extent, axis=axes)
    steps: tuple[Any, ...] = (..., *(np.s_[::s] for s in stride), *(np.s_[::d] for d in dilation))
    windowed: Array = view[steps]
    return windowed


def _convolve(
    x: Array, w: Array, *, stride: Shape, padding: Pairs, input_dilation: Shape, kernel_dilation: Shape, groups: int
) -> Array:
    """Patches as rows, kernels as columns, one matrix product per group."""
    batch, out, inner = x.shape[0], w.shape[0], int(np.prod(w.shape[1:]))
    patches = window_view(_place(x, padding, input_dilation), w.shape[2:], stride, kernel_dilation)
    axes = w.ndim - 2
    spatial = patches.shape[2 : 2 + axes]
    patches = patches.reshape(batch, groups, w.shape[1], *spatial, *w.shape[2:])
    order = (1, 0, *range(3, 3 + axes), 2, *range(3 + axes, 3 + 2 * axes))
    rows = patches.transpose(order).reshape(groups, batch * int(np.prod(spatial)), inner)
    columns = w.reshape(groups, out // groups, inner).transpose(0, 2, 1)
    y = (rows @ columns).reshape(groups, batch, *spatial, out // groups)
    return np.moveaxis(np.moveaxis(y, -1, 2), 0, 1).reshape(batch, out, *spatial)


def swap_channels(w: Node, groups: int) -> Node:
    """A kernel with its output and input channels exchanged, group by group."""
    out, inner, *spatial = w.shape
    split = reshape(w, (groups, out // groups, inner, *spatial))
    swapped = transpose(split, (0, 2, 1, *range(3, split.ndim)))
    return reshape(swapped, (groups * inner, out // groups, *spatial))


def _spatial_axes(x: Node) -> tuple[int, ...]:
    return tuple(range(2, x.ndim))


def _convolution_pullback(g: Node, node: Node, index: int) -> Node:
    return _kernel_gradient(g, node) if index else _input_gradient(g, node)


def _input_gradient(g: Node, node: Node) -> Node:
    """Each input element collects from the outputs that it reached: a convolution of g with the flipped kernel."""
    w = node.inputs[1]
    a = node.attributes
    padding = []
    for n, k, o, stride, (low, _), spacing, dilation in _geometry(node, g):
        before = _spread(k, dilation) - 1 - low
        after = _spread(n, spacing) + _spread(k, dilation) - 1 - _spread(o, stride) - before
        padding.append((before, after))
    return convolution(
        g,
        flip(swap_channels(w, a["groups"]), _spatial_axes(w)),
        stride=a["input_dilation"],
        padding=padding,
        input_dilation=a["stride"],
        kernel_dilation=a["kernel_dilation"],
        groups=a["groups"],
    )


def _kernel_gradient(g: Node, node: Node) -> Node:
    """Each kernel element collects over batch and positions: a convolution of x with g, batch and channels exchanged."""
    x, w = node.inputs
    a, groups = node.attributes, node.attributes["groups"]
    padding = []
    for n, k, o, stride, (low, _), spacing, dilation in _geometry(node, g):
        padding.append((low, _spread(k, dilation) - 1 + _spread(o, stride) - _spread(n, spacing) - low))
    batch, channels, *spatial = x.shape
    by_channel = transpose(x, (1, 0, *_spatial_axes(x)))
    if groups > 1:
        split = reshape(x, (batch, groups, channels // groups, *spatial))
        turned = transpose(split, (2, 1, 0, *range(3, split.ndim)))
        by_channel = reshape(turned, (channels // groups, groups * batch, *spatial))
    result = convolution(
        by_channel,
        transpose(g, (1, 0, *_spatial_axes(g))),
        stride=a["kernel_dilation"],
        padding=padding,
        input_dilation=a["input_dilation"],
        kernel_dilation=a["stride"],
        groups=groups,
    )
    return transpose(result, (1, 0, *_spatial_axes(w)))


def _geometry(node: Node, g: Node) -> Any:
    x, w = node.inputs
    a = node.attributes
    return zip(
        x.shape[2:],
        w.shape[2:],
        g.shape[2:],
        a["stride"],
        a["padding"],
        a["input_dilation"],
        a["kernel_dilation"],
        strict=True,
    )


def _convolution_case(rng: np.random.Generator) -> Case:
    groups = int(rng.integers(1, 3))
    axes = int(rng.integers(1, 3))
    settings = {
        "stride": tuple(int(n) for n in rng.integers(1, 3, size=axes)),
        "padding": tuple((int(a), int(b)) for a, b in rng.integers(-1, 3, size=(axes, 2))),
        "input_dilation": tuple(int(n) for n in rng.integers(1, 3, size=axes)),
        "kernel_dilation": tuple(int(n) for n in rng.integers(1, 3, size=axes)),
        "groups": groups,
    }
    x = random_values(rng, (2, 2 * groups, *(int(n) for n in rng.integers(5, 7, size=axes))))
    w = random_values(rng, (groups * int(rng.integers(1, 3)), 2, *(int(n) for n in rng.integers(1, 3, size=axes))))
    return Case((x, w), settings)


convolution = define(
    Primitive(
        name="convolution",
        summary="y[n, o, p] = Σ_{c, k} x[n, c, p·stride + k·kernel_dilation − padding] w[o, c, k], channels c within o's group",
        notation=Notation("<0> ⋆ <1!>", r"<0> \star <1!>", PRODUCT),
        prepare=_prepare_convolution,
        infer=_infer_convolution,
        evaluate=_convolve,
        pullback=_convolution_pullback,
        facts=Facts(bound="convolution", affine=AffinePart(units=1, weight=1)),
        cases=_convolution_case,
    )
)


# ------------------------------------------------------------------------------------------------ transposed convolution
def _prepare_transposed(operands: tuple[Operand, ...], attributes: dict[str, Any]) -> tuple[Inputs, dict[str, Any]]:
    check_attributes("conv_transpose", attributes, ("stride", "padding", "output_padding", "dilation", "groups"))
    x, w = promote(operands, "float", "conv_transpose")
    if x.ndim < 3 or w.ndim != x.ndim:
        raise ShapeError(
            message(
                f"conv_transpose got the input shape {x.shape} and the kernel shape {w.shape}",
                "it takes (batch, channels, *spatial) and (in, out / groups, *spatial) with as many spatial axes",
                "Add missing axes with expand_dims.",
            )
        )
    axes = x.ndim - 2
    settings: dict[str, Any] = {
        name: per_axis(attributes.get(name, default), axes, "conv_transpose", name, default)
        for name, default in (("stride", 1), ("dilation", 1), ("padding", 0), ("output_padding", 0))
    }
    groups = integer(attributes.get("groups", 1), "conv_transpose", "groups")
    if groups < 1 or x.shape[1] != w.shape[0] or w.shape[0] % groups:
        raise ShapeError(
            message(
                f"conv_transpose got an input with {x.shape[1]} channels and a kernel of shape {w.shape} with groups={groups}",
                "channels must equal the kernel's first axis, and that be a multiple of groups",
                "Check in_channels and groups.",
            )
        )
    return (x, w), {**settings, "groups": groups}


def _conv_transpose(
    x: Node, w: Node, *, stride: Shape, padding: Shape, output_padding: Shape, dilation: Shape, groups: int
) -> Node:
    extent = [_spread(k, d) - 1 for k, d in zip(w.shape[2:], dilation, strict=True)]
    around = [(e - p, e - p + extra) for e, p, extra in zip(extent, padding, output_padding, strict=True)]
    kernel = flip(swap_channels(w, groups), _spatial_axes(w))
    return convolution(x, kernel, padding=around, input_dilation=stride, kernel_dilation=dilation, groups=groups)


def _infer_transposed(inputs: Inputs, attributes: Attributes) -> tuple[Shape, DType]:
    x, w = inputs
    a = attributes
    sizes = tuple(
        (n - 1) * s - 2 * p + _spread(k, d) + extra
        for n, k, s, p, extra, d in zip(
            x.shape[2:], w.shape[2:], a["stride"], a["padding"], a["output_padding"], a["dilation"], strict=True
        )
    )
    if any(n < 1 for n in sizes):
        raise ShapeError(
            message(f"conv_transpose would give the spatial shape {sizes}", "it must be positive", "Use less padding.")
        )
    return (x.shape[0], w.shape[1] * a["groups"], *sizes), x.dtype


def _transposed_case(rng: np.random.Generator) -> Case:
    groups, axes = int(rng.integers(1, 3)), int(rng.integers(1, 3))
    settings = {
        "stride": tuple(int(n) for n in rng.integers(1, 4, size=axes)),
        "padding": tuple(int(n) for n in rng.integers(0, 2, size=axes)),
        "dilation": tuple(int(n) for n in rng.integers(1, 3, size=axes)),
        "groups": groups,
    }
    return Case(
        (random_values(rng, (2, 2 * groups, *(3,) * axes)), random_values(rng, (2 * groups, 2, *(2,) * axes))), settings
    )


conv_transpose = define(
    Primitive(
        name="conv_transpose",
        summary="the adjoint of convolution: y[n, o, p·stride + k·dilation − padding] collects x[n, c, p] w[c, o, k]",
        notation=Notation("<0> ⋆ᵀ <1!>", r"<0> \star^{\top} <1!>", PRODUCT),
        prepare=_prepare_transposed,
        infer=_infer_transposed,
        body=_conv_transpose,
        facts=Facts(affine=AffinePart(units=1, weight=1)),
        cases=_transposed_case,
    )
)


# ------------------------------------------------------------------------------------------------ windows and pooling
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
        _spread(k, d) > n for k, d, n in zip(found["size"], found["dilation"], x.shape[x.ndim - axes :], strict=True)
    ):
        raise ShapeError(
            message(
                f"a window of size {tuple(size)} does not fit the shape {x.shape}",
                "it must not be larger than the last axes",
                "Use a smaller window, less dilation, or more padding.",
            )
        )
    return found


def _windowed(shape: Shape, size: Shape, stride: Shape, dilation: Shape) -> Shape:
    lead = len(shape) - len(size)
    counts = ((n - _spread(k, d)) // s + 1 for n, k, s, d in zip(shape[lead:], size, stride, dilation, strict=True))
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
            message(f"pooling got the shape {x.shape}", "it takes (batch, channels, *spatial)", "Add axes with expand_dims.")
        )
    size = per_axis(window, axes, "pooling", "window")
    pads = per_axis(padding, axes, "pooling", "padding", 0)
    if any(2 * p > k for p, k in zip(pads, size, strict=True)):
        raise ArgumentError(
            message(
                f"pooling got window={window} and padding={padding}",
                "padding may be at most half the window",
                "Use less padding.",
            )
        )
    return {
        "window": size,
        "stride": size if stride is None else per_axis(stride, axes, "pooling", "stride"),
        "padding": pads,
        "dilation": per_axis(dilation, axes, "pooling", "dilation"),
    }


def _pooled(shape: Shape, window: Shape, stride: Shape, padding: Shape, dilation: Shape) -> Shape:
    padded = tuple(n + 2 * p for n, p in zip(shape[2:], padding, strict=True))
    if any(n < _spread(k, d) for n, k, d in zip(padded, window, dilation, strict=True)):
        raise ShapeError(
            message(
                f"pooling got the shape {shape} and the window {window}",
                "the window must fit into the padded spatial axes",
                "Use a smaller window.",
            )
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
            message(f"pooling got the shape {x.shape}", "it takes (batch, channels, *spatial)", "Add axes with expand_dims.")
        )
    return {}


global_max_pool = movement(
    "global_max_pool",
    "y[n, c] = the largest x[n, c, ·]",
    notation=operator("MaxPool"),
    prepare=_prepare_global,
    shape=lambda shape: shape[:2],
    body=lambda x: max(x, axis=_spatial_axes(x)),
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
    body=lambda x: mean(x, axis=_spatial_axes(x)),
    cases=lambda rng: Case((random_values(rng, (2, 2, 3, 3)),)),
)
