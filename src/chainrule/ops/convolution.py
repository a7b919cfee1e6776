"""Convolution, for any number of spatial axes.

One primitive, `convolution`, is closed under differentiation: with a spacing put between input elements (`input_dilation`)
and between kernel elements (`kernel_dilation`), and padding that may be negative, both of its gradients, and the transposed
convolution, are convolutions again. Images are laid out as (batch, channels, *spatial), kernels as (out, in / groups,
*spatial).
"""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.errors import ArgumentError, ShapeError
from chainrule.ir import Array, Attributes, DType, Node, Shape
from chainrule.ops.elementwise import PRODUCT
from chainrule.ops.facts import AffinePart, Facts
from chainrule.ops.primitive import (
    Case,
    Inputs,
    Notation,
    Operand,
    Primitive,
    check_attributes,
    define,
    integer,
    integers,
)
from chainrule.ops.promotion import promote
from chainrule.ops.shape import flip, random_values, reshape, transpose

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
            f"{op} got {setting}={value}",
            f"it takes one integer ≥ {least}, or one per spatial axis ({axes})",
            "Check the setting.",
        )
    return values


def padding_pairs(value: int | Sequence[Any], axes: int, op: str, least: int | None = None) -> Pairs:
    """(before, after) per spatial axis, from one number, one number per axis, or one pair per axis, none below `least`."""
    sides = value if isinstance(value, Sequence | np.ndarray) and not isinstance(value, str) else (value,) * axes
    pairs = [integers(side, op, "padding") for side in sides]
    low = least is not None and any(n < least for pair in pairs for n in pair)
    if len(pairs) != axes or any(len(pair) > 2 or not pair for pair in pairs) or low:
        raise ArgumentError(
            f"{op} got padding={value}",
            f"it takes one integer{'' if least is None else f' ≥ {least}'}, or one, or a pair, per spatial axis ({axes})",
            "Check the setting.",
        )
    return tuple((pair[0], pair[-1]) for pair in pairs)


def spread(size: int, dilation: int) -> int:
    """Extent of `size` elements with `dilation` from each to the next."""
    return (size - 1) * dilation + 1 if size else 0


_CONVOLUTION_SETTINGS = ("stride", "padding", "input_dilation", "kernel_dilation", "groups")


def _prepare_convolution(operands: tuple[Operand, ...], attributes: dict[str, Any]) -> tuple[Inputs, dict[str, Any]]:
    check_attributes("convolution", attributes, _CONVOLUTION_SETTINGS)
    if len(operands) != 2:
        raise ArgumentError(f"convolution got {len(operands)} inputs", "it takes an input and a kernel", "Check the call.")
    x, w = promote(operands, "float", "convolution")
    if x.ndim < 3 or w.ndim != x.ndim:
        raise ShapeError(
            f"convolution got the input shape {x.shape} and the kernel shape {w.shape}",
            "it takes (batch, channels, *spatial) and (out, in / groups, *spatial) with as many spatial axes",
            "Add missing axes with expand_dims.",
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
            f"convolution got an input with {x.shape[1]} channels and a kernel of shape {w.shape} with groups={groups}",
            "channels must be the kernel's second axis × groups, and its first axis a multiple of groups",
            "Check in_channels, out_channels and groups.",
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
        room = spread(n, spacing) + low + high - spread(k, dilation)
        if room < 0:
            raise ShapeError(
                f"convolution got the input shape {x.shape} and the kernel shape {w.shape}",
                f"the kernel with its dilation must fit into the padded input, and misses by {-room}",
                "Use a smaller kernel or more padding.",
            )
        sizes.append(room // stride + 1)
    return (x.shape[0], w.shape[0], *sizes), x.dtype


def _place(x: Array, padding: Pairs, spacing: Shape) -> Array:
    """`x` with gaps between neighbours and zeros around it; negative padding cuts off."""
    lead = x.ndim - len(spacing)
    sizes = [spread(n, s) + a + b for n, s, (a, b) in zip(x.shape[lead:], spacing, padding, strict=True)]
    y = np.zeros((*x.shape[:lead], *sizes), dtype=x.dtype)
    target, source = [builtins.slice(None)] * lead, [builtins.slice(None)] * lead
    for n, s, (a, _), size in zip(x.shape[lead:], spacing, padding, sizes, strict=True):
        first = -(a // s) if a < 0 else 0
        kept = len(range(a + first * s, builtins.min(size, a + spread(n, s)), s))
        target.append(builtins.slice(a + first * s, a + first * s + spread(kept, s), s))
        source.append(builtins.slice(first, first + kept))
    y[tuple(target)] = x[tuple(source)]
    return y


def window_view(x: Array, size: Shape, stride: Shape, dilation: Shape) -> Array:
    """A view of `x` (…, *S) as (…, *S', *K): the window that starts at each position."""
    axes = tuple(range(x.ndim - len(size), x.ndim))
    extent = tuple(spread(k, d) for k, d in zip(size, dilation, strict=True))
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


def spatial_axes(x: Node) -> tuple[int, ...]:
    """The axes of images or kernels after the first two."""
    return tuple(range(2, x.ndim))


def _convolution_pullback(g: Node, node: Node, index: int) -> Node:
    return _kernel_gradient(g, node) if index else _input_gradient(g, node)


def _input_gradient(g: Node, node: Node) -> Node:
    """Each input element collects from the outputs that it reached: a convolution of g with the flipped kernel."""
    w = node.inputs[1]
    a = node.attributes
    padding = []
    for n, k, o, stride, (low, _), spacing, dilation in _geometry(node, g):
        before = spread(k, dilation) - 1 - low
        after = spread(n, spacing) + spread(k, dilation) - 1 - spread(o, stride) - before
        padding.append((before, after))
    return convolution(
        g,
        flip(swap_channels(w, a["groups"]), spatial_axes(w)),
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
        padding.append((low, spread(k, dilation) - 1 + spread(o, stride) - spread(n, spacing) - low))
    batch, channels, *spatial = x.shape
    by_channel = transpose(x, (1, 0, *spatial_axes(x)))
    if groups > 1:
        split = reshape(x, (batch, groups, channels // groups, *spatial))
        turned = transpose(split, (2, 1, 0, *range(3, split.ndim)))
        by_channel = reshape(turned, (channels // groups, groups * batch, *spatial))
    result = convolution(
        by_channel,
        transpose(g, (1, 0, *spatial_axes(g))),
        stride=a["kernel_dilation"],
        padding=padding,
        input_dilation=a["input_dilation"],
        kernel_dilation=a["stride"],
        groups=groups,
    )
    return transpose(result, (1, 0, *spatial_axes(w)))


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
            f"conv_transpose got the input shape {x.shape} and the kernel shape {w.shape}",
            "it takes (batch, channels, *spatial) and (in, out / groups, *spatial) with as many spatial axes",
            "Add missing axes with expand_dims.",
        )
    axes = x.ndim - 2
    settings: dict[str, Any] = {
        name: per_axis(attributes.get(name, default), axes, "conv_transpose", name, default)
        for name, default in (("stride", 1), ("dilation", 1), ("padding", 0), ("output_padding", 0))
    }
    groups = integer(attributes.get("groups", 1), "conv_transpose", "groups")
    if groups < 1 or x.shape[1] != w.shape[0] or w.shape[0] % groups:
        raise ShapeError(
            f"conv_transpose got an input with {x.shape[1]} channels and a kernel of shape {w.shape} with groups={groups}",
            "channels must equal the kernel's first axis, and that be a multiple of groups",
            "Check in_channels and groups.",
        )
    return (x, w), {**settings, "groups": groups}


def _conv_transpose(
    x: Node, w: Node, *, stride: Shape, padding: Shape, output_padding: Shape, dilation: Shape, groups: int
) -> Node:
    extent = [spread(k, d) - 1 for k, d in zip(w.shape[2:], dilation, strict=True)]
    around = [(e - p, e - p + extra) for e, p, extra in zip(extent, padding, output_padding, strict=True)]
    kernel = flip(swap_channels(w, groups), spatial_axes(w))
    return convolution(x, kernel, padding=around, input_dilation=stride, kernel_dilation=dilation, groups=groups)


def _infer_transposed(inputs: Inputs, attributes: Attributes) -> tuple[Shape, DType]:
    x, w = inputs
    a = attributes
    sizes = tuple(
        (n - 1) * s - 2 * p + spread(k, d) + extra
        for n, k, s, p, extra, d in zip(
            x.shape[2:], w.shape[2:], a["stride"], a["padding"], a["output_padding"], a["dilation"], strict=True
        )
    )
    if any(n < 1 for n in sizes):
        raise ShapeError(f"conv_transpose would give the spatial shape {sizes}", "it must be positive", "Use less padding.")
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
