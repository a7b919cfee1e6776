"""Reductions over axes, and broadcasting, which a sum undoes.

`axis` is an int, a tuple, or None for all; `keepdims` keeps reduced axes with size 1.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Sequence
from typing import Any, Literal, Unpack

import numpy as np

from chainrule.errors import ArgumentError, ShapeError
from chainrule.ir import Attributes, DType, Node, Shape
from chainrule.ops.elementwise import OPEN, attains, exp, isfinite, log, masked, square, stop_gradient, where
from chainrule.ops.facts import Facts
from chainrule.ops.primitive import (
    Case,
    Inputs,
    Meaning,
    Notation,
    Operand,
    Primitive,
    as_node,
    as_shape,
    check_attributes,
    check_number,
    define,
    normalise_axes,
    pullbacks,
)
from chainrule.ops.promotion import promote, to_dtype
from chainrule.ops.shape import movement, operator, random_values, reshape, transpose

Result = Literal["same", "number", "float", "index"]


def reduced_shape(shape: Shape, axes: tuple[int, ...], keepdims: bool) -> Shape:
    """The shape left after reducing `axes`."""
    if keepdims:
        return tuple(1 if a in axes else n for a, n in enumerate(shape))
    return tuple(n for a, n in enumerate(shape) if a not in axes)


# ------------------------------------------------------------------------------------------------ broadcasting
def _prepare_broadcast(x: Node, shape: Sequence[int]) -> dict[str, Any]:
    target = as_shape(shape, "broadcast_to")
    try:
        fits = np.broadcast_shapes(x.shape, target) == target
    except ValueError:
        fits = False
    if not fits:
        raise ShapeError(
            f"broadcast_to got the shape {x.shape} and the target {target}",
            "from the last axis backwards, each size must be the target's or 1",
            "Reshape the input first.",
        )
    return {"shape": target}


def sum_to(g: Node, shape: Shape) -> Node:
    """Undo broadcasting: sum `g` over the axes along which a value of `shape` was repeated."""
    if g.shape == shape:
        return g
    lead = g.ndim - len(shape)
    repeated = tuple(range(lead)) + tuple(lead + a for a, n in enumerate(shape) if n == 1 and g.shape[lead + a] != 1)
    return reshape(sum(g, axis=repeated, keepdims=True), shape)


broadcast_to = movement(
    "broadcast_to",
    "y = x repeated along axes of size 1 or along new leading axes",
    notation=operator("broadcast_to"),
    prepare=_prepare_broadcast,
    shape=lambda old, shape: shape,
    evaluate=np.broadcast_to,
    pullback=pullbacks(lambda g, node: sum_to(g, node.inputs[0].shape)),
    cases=lambda rng: Case((random_values(rng, (3, 1)),), {"shape": [(3, 2), (2, 3, 4), (3, 1)][int(rng.integers(3))]}),
    facts=Facts(moves="repeats"),
)


def restore(y: Node, x: Node, axis: tuple[int, ...], keepdims: bool) -> Node:
    """A reduced value brought back to the shape of `x`, so that it lines up with it."""
    return broadcast_to(reshape(y, reduced_shape(x.shape, axis, keepdims=True)), x.shape)


def reduction(
    name: str,
    summary: str,
    notation: Notation,
    *,
    result: Result = "float",
    needs_elements: bool = False,
    settings: Attributes | None = None,
    **meaning: Unpack[Meaning],
) -> Primitive:
    """Define a reduction.

    Args:
        name, summary, notation, meaning: see `Primitive`.
        result: dtype of the result: "same" as x, "number" (booleans and integers become int64), "float", or "index" (int64).
        needs_elements: whether reducing nothing at all is an error.
        settings: attributes besides axis and keepdims, numbers, with their defaults.
    """
    defaults = {"axis": None, "keepdims": False, **(settings or {})}

    def prepare(operands: tuple[Operand, ...], attributes: dict[str, Any]) -> tuple[Inputs, dict[str, Any]]:
        check_attributes(name, attributes, list(defaults))
        attributes = defaults | attributes
        for key in settings or ():
            check_number(name, key, attributes[key])
        if not isinstance(attributes["keepdims"], int | np.integer | np.bool_):
            given = f"{name} got keepdims={attributes['keepdims']!r}"
            raise ArgumentError(given, "it is True or False", "Check the order of the arguments.")
        x = as_node(operands[0])
        if result == "float":
            (x,) = promote((x,), "float", name)
        elif result == "number" and x.dtype.kind != "f":
            x = to_dtype(x, np.int64)
        if result == "index" and attributes["axis"] is None:
            attributes["keepdims"] = attributes["keepdims"] and x.ndim > 0
            x, attributes["axis"] = reshape(x, (*(1,) * (x.ndim - 1 if attributes["keepdims"] else 0), x.size)), -1
        attributes["axis"] = normalise_axes(attributes["axis"], x.ndim, name)
        if result == "index" and len(attributes["axis"]) != 1:
            raise ArgumentError(
                f"{name} got axis {attributes['axis']}", "positions are along one axis", "Give one, or None for all."
            )
        return (x,), attributes

    def infer(inputs: Inputs, attributes: Attributes) -> tuple[Shape, DType]:
        (x,) = inputs
        axis = attributes["axis"]
        if needs_elements and any(x.shape[a] == 0 for a in axis):
            raise ShapeError(f"{name} got the shape {x.shape}", "it needs at least one element to reduce", "Check the data.")
        dtype = np.dtype(np.int64) if result == "index" else x.dtype
        return reduced_shape(x.shape, axis, attributes["keepdims"]), dtype

    def cases(rng: np.random.Generator) -> Case:
        shape = tuple(int(n) for n in rng.integers(1, 4, size=rng.integers(1, 4)))
        axes = tuple(a for a in range(len(shape)) if rng.random() < 0.6)
        axis: Any = int(rng.integers(0, len(shape))) if result == "index" else (axes or None)
        values = rng.permutation(np.linspace(0.4, 1.9, int(np.prod(shape)))).reshape(shape)
        return Case((values,), {"axis": axis, "keepdims": builtins.bool(rng.random() < 0.5)})

    return define(
        Primitive(
            name=name,
            summary=summary,
            notation=notation,
            prepare=prepare,
            infer=infer,
            cases=cases,
            **meaning,
        )
    )


def _over(text: str, latex: str) -> Notation:
    return Notation(f"{text}#_axis(#0)", rf"{latex}#_axis\left(#0\right)")


def _settings(node: Node) -> tuple[tuple[int, ...], bool]:
    return node.attributes["axis"], node.attributes["keepdims"]


sum = reduction(
    "sum",
    "y = Σ x",
    Notation("Σ#_axis <0>", r"\sum#_axis <0>", OPEN, "Σ"),
    evaluate=lambda x, axis, keepdims: np.sum(x, axis=axis, keepdims=keepdims, dtype=x.dtype),
    pullback=pullbacks(lambda g, node: restore(g, node.inputs[0], *_settings(node))),
    result="number",
    facts=Facts(sums=True, bound="sum"),
)


def _extreme_pullback(g: Node, node: Node) -> Node:
    (x,) = node.inputs
    axis, keepdims = _settings(node)
    chosen = attains(x, restore(node, x, axis, keepdims))
    count = sum(to_dtype(chosen, x.dtype), axis=axis, keepdims=keepdims)
    return masked(restore(g / count, x, axis, keepdims), chosen)


max = reduction(
    "max", "y = the largest x", _over("max", r"\max"), evaluate=np.max, pullback=pullbacks(_extreme_pullback),
    result="same", needs_elements=True, kinks="at ties: equal shares",
    facts=Facts(exact=True, corner="largest", ties="shared"),
)  # fmt: skip
min = reduction(
    "min", "y = the smallest x", _over("min", r"\min"), evaluate=np.min, pullback=pullbacks(_extreme_pullback),
    result="same", needs_elements=True, kinks="at ties: equal shares",
    facts=Facts(exact=True, corner="smallest", ties="shared"),
)  # fmt: skip


def _prod_pullback(g: Node, node: Node) -> Node:
    """The product of all other elements, without division, so that zeros are fine: row i of a square leaves element i out."""
    (x,) = node.inputs
    axis, keepdims = _settings(node)
    kept = tuple(a for a in range(x.ndim) if a not in axis)
    order = kept + axis
    lead = tuple(x.shape[a] for a in kept)
    count = int(np.prod([x.shape[a] for a in axis], dtype=np.int64))
    flat = reshape(transpose(x, order), (*lead, 1, count))
    others = prod(where(as_node(np.eye(count, dtype=bool)), 1.0, flat), axis=-1)
    back = reshape(others, (*lead, *(x.shape[a] for a in axis)))
    return restore(g, x, axis, keepdims) * transpose(back, tuple(int(a) for a in np.argsort(order)))


prod = reduction(
    "prod",
    "y = Π x",
    Notation("Π#_axis <0!>", r"\prod#_axis <0!>", OPEN, "Π"),
    evaluate=lambda x, axis, keepdims: np.prod(x, axis=axis, keepdims=keepdims, dtype=x.dtype),
    pullback=pullbacks(_prod_pullback),
    result="number",
)


def _count(x: Node, axis: tuple[int, ...]) -> int:
    return int(np.prod([x.shape[a] for a in axis], dtype=np.int64))


def _mean(x: Node, axis: tuple[int, ...], keepdims: bool) -> Node:
    return sum(x, axis=axis, keepdims=keepdims) * (1.0 / _count(x, axis))


mean = reduction(
    "mean",
    "y = (1/n) Σ x",
    _over("mean", r"\operatorname{mean}"),
    body=_mean,
    needs_elements=True,
    facts=Facts(statistic=True, bound="mean"),
)


def _var(x: Node, axis: tuple[int, ...], keepdims: bool, correction: int) -> Node:
    deviation = x - mean(x, axis=axis, keepdims=True)
    freedom = _count(x, axis) - correction
    if freedom <= 0:
        raise ShapeError(
            f"var got {_count(x, axis)} elements to reduce with correction={correction}",
            "it needs more elements than the correction",
            "Use correction=0, or more data.",
        )
    return sum(square(deviation), axis=axis, keepdims=keepdims) * (1.0 / freedom)


var = reduction(
    "var",
    "y = Σ (x − mean x)² / (n − correction)",
    _over("Var", r"\operatorname{Var}"),
    body=_var,
    needs_elements=True,
    settings={"correction": 0},
    facts=Facts(statistic=True),
)


def _shift(x: Node, axis: tuple[int, ...]) -> Node:
    """The largest x, which is taken off before exp, so that nothing overflows; 0 where that is infinite or NaN."""
    largest = max(x, axis=axis, keepdims=True)
    return where(isfinite(largest), largest, 0.0)


def _logsumexp(x: Node, axis: tuple[int, ...], keepdims: bool) -> Node:
    shift = _shift(x, axis)
    total = log(sum(exp(x - shift), axis=axis, keepdims=True)) + shift
    return total if keepdims else reshape(total, reduced_shape(x.shape, axis, keepdims=False))


def _logsumexp_pullback(g: Node, node: Node) -> Node:
    """The softmax of x. As exp(x − logsumexp x) it would lose the digits that x and its logsumexp share."""
    (x,) = node.inputs
    axis, keepdims = _settings(node)
    e = exp(x - stop_gradient(_shift(x, axis)))
    return restore(g, x, axis, keepdims) * (e / sum(e, axis=axis, keepdims=True))


logsumexp = reduction(
    "logsumexp", "y = ln Σ eˣ, shifted by the largest x so that nothing overflows",
    Notation("log Σ#_axis exp(#0)", r"\log \sum#_axis e^{#0}", OPEN),
    body=_logsumexp, pullback=pullbacks(_logsumexp_pullback), needs_elements=True, facts=Facts(logarithm=True),
)  # fmt: skip


def _position(find: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x, axis, keepdims: find(x, axis=axis[0], keepdims=keepdims)


_NO_POSITION = "a position changes in jumps, so its derivative is 0 or does not exist; use max or min, or softmax"
argmax = reduction(
    "argmax", "y = position of the largest x, the first one at ties", _over("argmax", r"\operatorname{argmax}"),
    evaluate=_position(np.argmax), result="index", needs_elements=True, not_differentiable=_NO_POSITION,
)  # fmt: skip
argmin = reduction(
    "argmin", "y = position of the smallest x, the first one at ties", _over("argmin", r"\operatorname{argmin}"),
    evaluate=_position(np.argmin), result="index", needs_elements=True, not_differentiable=_NO_POSITION,
)  # fmt: skip
