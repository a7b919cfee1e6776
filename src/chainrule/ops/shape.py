"""Primitives that move elements without changing them."""

from __future__ import annotations

import builtins
import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, Literal, Unpack

import numpy as np

from chainrule.errors import ArgumentError, DTypeError, ShapeError
from chainrule.ir import Array, Attributes, DType, Node, Shape
from chainrule.ops.facts import Facts
from chainrule.ops.primitive import (
    Case,
    Inputs,
    Meaning,
    Notation,
    Operand,
    Primitive,
    define,
    integers,
    normalise_axes,
    normalise_axis,
    pullbacks,
)
from chainrule.ops.promotion import promote

Prepare = Callable[[tuple[Operand, ...], dict[str, Any]], tuple[Inputs, dict[str, Any]]]


def movement(
    name: str,
    summary: str,
    *,
    shape: Callable[..., Shape],
    prepare: Callable[..., dict[str, Any]],
    cases: Callable[[np.random.Generator], Case],
    notation: Notation,
    result: Literal["same", "float"] = "same",
    **meaning: Unpack[Meaning],
) -> Primitive:
    """Define a primitive of one input that keeps its dtype, or makes it floating where `result` is "float".

    `prepare(x, **attributes)` gives the canonical attributes; `shape(x_shape, **attributes)` the shape of the result.
    """

    def canonical(operands: tuple[Operand, ...], attributes: dict[str, Any]) -> tuple[Inputs, dict[str, Any]]:
        (x,) = promote(operands[:1], result, name)
        return (x,), prepare(x, *operands[1:], **attributes)

    return define(
        Primitive(
            name=name,
            summary=summary,
            notation=notation,
            prepare=canonical,
            infer=lambda inputs, attributes: (shape(inputs[0].shape, **attributes), inputs[0].dtype),
            cases=cases,
            **meaning,
        )
    )


def operator(name: str, sign: str = "") -> Notation:
    """Notation of an operation on an array: its name and brackets."""
    plain = name.replace("_", " ")
    return Notation(f"{plain}(#0)", rf"\operatorname{{{plain}}}\left(#0\right)", sign=sign)


def random_values(rng: np.random.Generator, shape: Shape) -> Array:
    """Numbers from [−2, 2), for test cases."""
    return rng.uniform(-2.0, 2.0, size=shape)


# ------------------------------------------------------------------------------------------------ reshape and its blocks
def _prepare_reshape(x: Node, shape: int | Sequence[int]) -> dict[str, Any]:
    target = integers(shape, "reshape", "shape")
    known = math.prod(n for n in target if n != -1)
    if target.count(-1) == 1 and known and x.size % known == 0:
        target = tuple(x.size // known if n == -1 else n for n in target)
    if min(target, default=0) < 0 or math.prod(target) != x.size:
        raise ShapeError(
            f"reshape got the shape {x.shape} and the target {integers(shape, 'reshape', 'shape')}",
            f"the target must hold {x.size} elements (one axis may be -1)",
            "Check the sizes.",
        )
    return {"shape": target}


reshape: Primitive = movement(
    "reshape",
    "y = the elements of x in order, in another shape",
    notation=operator("reshape"),
    prepare=_prepare_reshape,
    shape=lambda old, shape: shape,
    evaluate=lambda x, shape: x.reshape(shape),
    pullback=pullbacks(lambda g, node: reshape(g, node.inputs[0].shape)),
    facts=Facts(moves="reshapes"),
    cases=lambda rng: Case(
        (random_values(rng, (2, 3, 2)),), {"shape": [(4, 3), (12,), (2, 1, 6), (3, -1)][int(rng.integers(4))]}
    ),
)


def _prepare_squeeze(x: Node, axis: int | Sequence[int] | None = None) -> dict[str, Any]:
    axes = tuple(a for a, n in enumerate(x.shape) if n == 1) if axis is None else normalise_axes(axis, x.ndim, "squeeze")
    if any(x.shape[a] != 1 for a in axes):
        raise ShapeError(
            f"squeeze got the shape {x.shape} and axis {axis}", "it removes axes of size 1", "Name only such axes."
        )
    return {"axis": axes}


def _squeezed(shape: Shape, axis: tuple[int, ...]) -> Shape:
    return tuple(n for a, n in enumerate(shape) if a not in axis)


squeeze = movement(
    "squeeze",
    "y = x without axes of size 1",
    notation=operator("squeeze"),
    prepare=_prepare_squeeze,
    shape=_squeezed,
    body=lambda x, axis: reshape(x, _squeezed(x.shape, axis)),
    facts=Facts(moves="reshapes"),
    cases=lambda rng: Case((random_values(rng, (2, 1, 3, 1)),), {"axis": [None, 1, -1, (1, 3)][int(rng.integers(4))]}),
)


def _prepare_expand_dims(x: Node, axis: int | Sequence[int]) -> dict[str, Any]:
    axes = integers(axis, "expand_dims", "axis")
    return {"axis": normalise_axes(axes, x.ndim + len(axes), "expand_dims")}


def _expanded(shape: Shape, axis: tuple[int, ...]) -> Shape:
    sizes = iter(shape)
    return tuple(1 if a in axis else next(sizes) for a in range(len(shape) + len(axis)))


expand_dims = movement(
    "expand_dims",
    "y = x with new axes of size 1",
    notation=operator("expand_dims"),
    prepare=_prepare_expand_dims,
    shape=_expanded,
    body=lambda x, axis: reshape(x, _expanded(x.shape, axis)),
    facts=Facts(moves="reshapes"),
    cases=lambda rng: Case((random_values(rng, (2, 3)),), {"axis": [0, -1, 1, (0, 3)][int(rng.integers(4))]}),
)


# ------------------------------------------------------------------------------------------------ transpose
def _prepare_transpose(x: Node, axes: Sequence[int] | None = None) -> dict[str, Any]:
    given = range(x.ndim)[::-1] if axes is None else integers(axes, "transpose", "axes")
    order = tuple(normalise_axis(a, x.ndim, "transpose") for a in given)
    if sorted(order) != list(range(x.ndim)):
        two = " To exchange two of them, write x.swapaxes(a, b)." if len(order) == 2 else ""
        raise ArgumentError(
            f"transpose got axes {axes} for the shape {x.shape}", "each axis must occur once", f"Give a permutation.{two}"
        )
    return {"axes": order}


def _inverse(axes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(int(a) for a in np.argsort(axes))


def _transposed_back(node: Node) -> Node | None:
    """x, of a transposition that leaves the order of axes, or of two that undo each other."""
    (x,), order = node.inputs, node.attributes["axes"]
    if order == tuple(range(node.ndim)):
        return x
    if x.op == node.op and tuple(x.attributes["axes"][a] for a in order) == tuple(range(node.ndim)):
        return x.inputs[0]
    return None


transpose: Primitive = movement(
    "transpose",
    "y = x with its axes in another order; reversed by default",
    notation=operator("transpose", sign="ᵀ"),
    prepare=_prepare_transpose,
    shape=lambda shape, axes: tuple(shape[a] for a in axes),
    evaluate=np.transpose,
    pullback=pullbacks(lambda g, node: transpose(g, _inverse(node.attributes["axes"]))),
    facts=Facts(moves="reorders", redundant=_transposed_back),
    cases=lambda rng: Case((random_values(rng, (2, 3, 4)),), {"axes": tuple(int(a) for a in rng.permutation(3))}),
)


# ------------------------------------------------------------------------------------------------ slice and pad
def _prepare_slice(x: Node, start: Sequence[int], stop: Sequence[int], step: Sequence[int] | None = None) -> dict[str, Any]:
    steps = tuple(int(n) for n in step) if step is not None else (1,) * x.ndim
    found = {"start": tuple(int(n) for n in start), "stop": tuple(int(n) for n in stop), "step": steps}
    inside = all(0 <= a <= b <= n and s >= 1 for a, b, s, n in zip(*found.values(), x.shape, strict=True))
    if not inside:
        raise ArgumentError(
            f"slice got {found} for the shape {x.shape}", "0 ≤ start ≤ stop ≤ size and step ≥ 1", "Check the bounds."
        )
    return found


def _sliced(shape: Shape, start: Shape, stop: Shape, step: Shape) -> Shape:
    return tuple(-(-(b - a) // s) for a, b, s in zip(start, stop, step, strict=True))


def _slice_pullback(g: Node, node: Node) -> Node:
    """Put the gradient back where the slice was taken, zeros elsewhere."""
    start, step = node.attributes["start"], node.attributes["step"]
    covered = [a + (n - 1) * s + 1 if n else a for a, n, s in zip(start, g.shape, step, strict=True)]
    high = tuple(size - end for size, end in zip(node.inputs[0].shape, covered, strict=True))
    return pad(g, tuple(zip(start, high, strict=True)), interior=tuple(s - 1 for s in step))


def _slice_case(rng: np.random.Generator) -> Case:
    start, step = rng.integers(0, 2, size=2), rng.integers(1, 4, size=2)
    return Case(
        (random_values(rng, (4, 5)),), {"start": tuple(start), "stop": (int(rng.integers(2, 5)), 5), "step": tuple(step)}
    )


slice = movement(
    "slice",
    "y = x[start:stop:step] along every axis",
    notation=operator("slice"),
    prepare=_prepare_slice,
    shape=_sliced,
    evaluate=lambda x, start, stop, step: x[tuple(map(builtins.slice, start, stop, step))],
    pullback=pullbacks(_slice_pullback),
    facts=Facts(moves="picks"),
    cases=_slice_case,
)


def _prepare_pad(
    x: Node, widths: Sequence[tuple[int, int]], value: float = 0.0, interior: Sequence[int] | None = None
) -> dict[str, Any]:
    pairs = tuple(integers(pair, "pad", "widths") for pair in widths) if isinstance(widths, Sequence | np.ndarray) else ()
    gaps = integers(interior, "pad", "interior") if interior is not None else (0,) * x.ndim
    counts = [n for pair in (*pairs, gaps) for n in pair]
    if len(pairs) != x.ndim or len(gaps) != x.ndim or any(len(p) != 2 for p in pairs) or min(counts, default=0) < 0:
        raise ArgumentError(
            f"pad got the widths {widths} for the shape {x.shape}",
            "it takes one pair (before, after) of counts ≥ 0 per axis",
            "Give (0, 0) for axes to leave as they are.",
        )
    if x.dtype.kind != "f" and not float(value).is_integer():
        raise DTypeError(f"pad got value={value} for {x.dtype}", "the dtype cannot hold it", "Convert with astype.")
    return {"widths": pairs, "value": float(value), "interior": gaps}


def _padded(shape: Shape, widths: tuple[tuple[int, int], ...], value: float, interior: Shape) -> Shape:
    return tuple(a + b + n + max(n - 1, 0) * i for n, (a, b), i in zip(shape, widths, interior, strict=True))


def _pad(x: Array, widths: tuple[tuple[int, int], ...], value: float, interior: Shape) -> Array:
    y = np.full(_padded(x.shape, widths, value, interior), value, dtype=x.dtype)
    y[_inner(x.shape, widths, interior)] = x
    return y


def _inner(shape: Shape, widths: tuple[tuple[int, int], ...], interior: Shape) -> tuple[Any, ...]:
    """Where the elements of the padded array that came from the input lie."""
    return tuple(
        builtins.slice(a, a + n + max(n - 1, 0) * i, i + 1) for n, (a, _), i in zip(shape, widths, interior, strict=True)
    )


def _pad_pullback(g: Node, node: Node) -> Node:
    inner = _inner(node.inputs[0].shape, node.attributes["widths"], node.attributes["interior"])
    return slice(g, [s.start for s in inner], [s.stop for s in inner], [s.step for s in inner])


pad = movement(
    "pad",
    "y = x with `widths` = (before, after) elements of `value` around it and `interior` of them between neighbours, per axis",
    notation=operator("pad"),
    prepare=_prepare_pad,
    shape=_padded,
    evaluate=_pad,
    pullback=pullbacks(_pad_pullback),
    facts=Facts(moves="joins"),
    cases=lambda rng: Case(
        (random_values(rng, (2, 3)),),
        {
            "widths": tuple((int(a), int(b)) for a, b in rng.integers(0, 3, size=(2, 2))),
            "value": float(rng.normal()),
            "interior": tuple(int(n) for n in rng.integers(0, 3, size=2)),
        },
    ),
)


# ------------------------------------------------------------------------------------------------ flip, concatenate, stack
def _prepare_flip(x: Node, axis: int | Sequence[int] | None = None) -> dict[str, Any]:
    return {"axis": normalise_axes(axis, x.ndim, "flip")}


flip: Primitive = movement(
    "flip",
    "y = x with the order along axes reversed",
    notation=operator("flip"),
    prepare=_prepare_flip,
    shape=lambda shape, axis: shape,
    evaluate=np.flip,
    pullback=pullbacks(lambda g, node: flip(g, node.attributes["axis"])),
    facts=Facts(moves="reorders"),
    cases=lambda rng: Case((random_values(rng, (2, 3)),), {"axis": [None, 0, -1, (0, 1)][int(rng.integers(4))]}),
)


def _prepare_join(op: str) -> Prepare:
    def prepare(operands: tuple[Operand, ...], attributes: dict[str, Any]) -> tuple[Inputs, dict[str, Any]]:
        if not operands:
            raise ArgumentError(f"{op} got nothing to join", "it takes one array or more", "Check the list.")
        inputs = promote(operands, "same", op)
        extra = 1 if op == "stack" else 0
        return inputs, {"axis": normalise_axis(attributes.get("axis", 0), inputs[0].ndim + extra, op)}

    return prepare


def _infer_concatenate(inputs: Inputs, attributes: Attributes) -> tuple[Shape, DType]:
    axis = attributes["axis"]
    first = inputs[0].shape
    if any(_without(i.shape, axis) != _without(first, axis) or i.ndim != len(first) for i in inputs):
        shapes = ", ".join(str(i.shape) for i in inputs)
        raise ShapeError(
            f"concatenate got the shapes {shapes}", f"they may differ only along axis {axis}", "Reshape or pad them."
        )
    total = sum(i.shape[axis] for i in inputs)
    return (*first[:axis], total, *first[axis + 1 :]), inputs[0].dtype


def _without(shape: Shape, axis: int) -> Shape:
    return shape[:axis] + shape[axis + 1 :]


def _concatenate_pullback(g: Node, node: Node, index: int) -> Node:
    axis = node.attributes["axis"]
    before = sum(i.shape[axis] for i in node.inputs[:index])
    return take_range(g, axis, before, before + node.inputs[index].shape[axis])


def take_range(x: Node, axis: int, start: int, stop: int) -> Node:
    """x[start:stop] along one axis."""
    first = [0] * x.ndim
    last = list(x.shape)
    first[axis], last[axis] = start, stop
    return slice(x, first, last)


concatenate = define(
    Primitive(
        name="concatenate",
        summary="y = the inputs one after another along an axis",
        notation=Notation("[#*]", r"\left[#*\right]"),
        prepare=_prepare_join("concatenate"),
        infer=_infer_concatenate,
        evaluate=lambda *arrays, axis: np.concatenate(arrays, axis=axis),
        pullback=_concatenate_pullback,
        facts=Facts(moves="joins"),
        cases=lambda rng: Case(tuple(random_values(rng, (2, int(n))) for n in rng.integers(1, 4, size=3)), {"axis": -1}),
    )
)


def _infer_stack(inputs: Inputs, attributes: Attributes) -> tuple[Shape, DType]:
    first = inputs[0].shape
    if any(i.shape != first for i in inputs):
        shapes = ", ".join(str(i.shape) for i in inputs)
        raise ShapeError(f"stack got the shapes {shapes}", "they must be equal", "Reshape or pad them.")
    axis = attributes["axis"]
    return (*first[:axis], len(inputs), *first[axis:]), inputs[0].dtype


stack = define(
    Primitive(
        name="stack",
        summary="y = the inputs side by side along a new axis",
        notation=Notation("stack(#*)", r"\operatorname{stack}\left(#*\right)"),
        prepare=_prepare_join("stack"),
        infer=_infer_stack,
        body=lambda *inputs, axis: concatenate(*(expand_dims(i, axis) for i in inputs), axis=axis),
        facts=Facts(moves="joins"),
        cases=lambda rng: Case(tuple(random_values(rng, (2, 3)) for _ in range(3)), {"axis": int(rng.integers(-3, 3))}),
    )
)


def split(x: Node, sections: int | Sequence[int], axis: int = 0) -> tuple[Node, ...]:
    """Parts of `x` along an axis: `sections` equal ones, or cut at the given positions. Each part is a slice.

    Raises:
        ShapeError: the size is not a multiple of `sections`.
    """
    axis = normalise_axis(axis, x.ndim, "split")
    size = x.shape[axis]
    cuts = integers(sections, "split", "sections")
    if not isinstance(sections, Sequence | np.ndarray):
        (count,) = cuts
        if count < 1 or size % count:
            raise ShapeError(
                f"split got the shape {x.shape} and {sections} sections along axis {axis}",
                f"the size {size} must be a multiple of the sections",
                "Give the cut positions as a list.",
            )
        edges = [size // count * k for k in range(count + 1)]
    else:
        edges = [0, *(min(max(c + size if c < 0 else c, 0), size) for c in cuts), size]
    return tuple(take_range(x, axis, a, max(a, b)) for a, b in pairwise(edges))
