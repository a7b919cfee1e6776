"""Reading and writing at computed positions."""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np

from chainrule.errors import ArgumentError, CaptureError, DTypeError, ShapeError
from chainrule.ir import Array, Attributes, DType, Node, Shape, as_dtype, native
from chainrule.ops.elementwise import equal
from chainrule.ops.facts import Facts
from chainrule.ops.primitive import (
    Case,
    Inputs,
    Notation,
    Operand,
    Primitive,
    as_node,
    as_shape,
    define,
    integer,
    normalise_axis,
)
from chainrule.ops.promotion import to_dtype
from chainrule.ops.requirement import positions
from chainrule.ops.shape import expand_dims, flip, random_values, reshape, transpose
from chainrule.ops.shape import slice as take_slice


def _check_integers(op: str, indices: Inputs) -> None:
    for index in indices:
        if index.dtype.kind not in "iu":
            raise DTypeError(
                f"{op} got indices of dtype {index.dtype}", "indices must be integers", "Convert with astype('int64')."
            )


def _check_axes(op: str, axes: tuple[int, ...], count: int) -> None:
    if len(axes) != count or len(set(axes)) < len(axes) or not axes:
        raise ArgumentError(f"{op} got {count} index arrays for the axes {axes}", "it takes one per axis", "Check the call.")


def _index_shape(op: str, indices: Inputs) -> Shape:
    try:
        return np.broadcast_shapes(*(i.shape for i in indices))
    except ValueError:
        shapes = " and ".join(str(i.shape) for i in indices)
        raise ShapeError(f"{op} got index arrays of shapes {shapes}", "they must broadcast", "Reshape one of them.") from None


def _gathered(array: Array, indices: tuple[Array, ...], axes: tuple[int, ...], op: str) -> tuple[Array, tuple[Array, ...]]:
    for index, axis in zip(indices, axes, strict=True):
        positions(op, array.shape[axis]).check(index)
    return np.moveaxis(array, axes, range(len(axes))), np.broadcast_arrays(*indices)


def _prepare_gather(operands: tuple[Operand, ...], attributes: dict[str, Any]) -> tuple[Inputs, dict[str, Any]]:
    x, *indices = (as_node(o) for o in operands)
    axes = tuple(normalise_axis(a, x.ndim, "gather") for a in attributes.get("axes", range(len(indices))))
    _check_axes("gather", axes, len(indices))
    _check_integers("gather", tuple(indices))
    return (x, *indices), {"axes": axes}


def _infer_gather(inputs: Inputs, attributes: Attributes) -> tuple[Shape, DType]:
    x, *indices = inputs
    rest = tuple(n for a, n in enumerate(x.shape) if a not in attributes["axes"])
    return _index_shape("gather", tuple(indices)) + rest, x.dtype


def _gather(x: Array, *indices: Array, axes: tuple[int, ...]) -> Array:
    moved, places = _gathered(x, indices, axes, "gather")
    return moved[tuple(places)]


def _gather_pullback(g: Node, node: Node, index: int) -> Node | None:
    if index:
        return None
    x, *indices = node.inputs
    return scatter_add(g, *indices, shape=x.shape, axes=node.attributes["axes"])


def _gather_case(rng: np.random.Generator) -> Case:
    x = random_values(rng, (3, 2, 4))
    axes = [(0,), (1,), (2, 0), (0, 1, 2)][int(rng.integers(4))]
    return Case((x, *(rng.integers(-x.shape[a], x.shape[a], size=(2, 3)) for a in axes)), {"axes": axes})


gather = define(
    Primitive(
        name="gather",
        summary="y[i, r] = x[index₀[i], index₁[i], …, r]: elements of x at index arrays along `axes`; index axes come first",
        notation=Notation("gather(#*)", r"\operatorname{gather}\left(#*\right)"),
        prepare=_prepare_gather,
        infer=_infer_gather,
        evaluate=_gather,
        pullback=_gather_pullback,
        facts=Facts(moves="picks"),
        cases=_gather_case,
    )
)


def _prepare_scatter(operands: tuple[Operand, ...], attributes: dict[str, Any]) -> tuple[Inputs, dict[str, Any]]:
    values, *indices = (as_node(o) for o in operands)
    shape = as_shape(attributes["shape"], "scatter_add")
    axes = tuple(normalise_axis(a, len(shape), "scatter_add") for a in attributes.get("axes", range(len(indices))))
    _check_axes("scatter_add", axes, len(indices))
    _check_integers("scatter_add", tuple(indices))
    return (values, *indices), {"shape": shape, "axes": axes}


def _infer_scatter(inputs: Inputs, attributes: Attributes) -> tuple[Shape, DType]:
    values, *indices = inputs
    shape, axes = attributes["shape"], attributes["axes"]
    expected = _index_shape("scatter_add", tuple(indices)) + tuple(n for a, n in enumerate(shape) if a not in axes)
    if values.shape != expected:
        raise ShapeError(
            f"scatter_add got values of shape {values.shape} for a target of shape {shape}",
            f"with these indices the values must have shape {expected}",
            "Broadcast or reshape the values.",
        )
    return shape, values.dtype


def _scatter_add(values: Array, *indices: Array, shape: Shape, axes: tuple[int, ...]) -> Array:
    y = np.zeros(shape, dtype=values.dtype)
    moved, places = _gathered(y, indices, axes, "scatter_add")
    np.add.at(moved, tuple(places), values)
    return y


def _scatter_pullback(g: Node, node: Node, index: int) -> Node | None:
    return None if index else gather(g, *node.inputs[1:], axes=node.attributes["axes"])


def _scatter_case(rng: np.random.Generator) -> Case:
    indices = rng.integers(-3, 3, size=(2, 2))
    return Case((random_values(rng, (2, 2, 4)), indices), {"shape": (4, 3), "axes": (1,)})


scatter_add = define(
    Primitive(
        name="scatter_add",
        summary="y = zeros of `shape`, to which every value is added at its index: the adjoint of gather",
        notation=Notation("scatter(#*)", r"\operatorname{scatter}\left(#*\right)"),
        prepare=_prepare_scatter,
        infer=_infer_scatter,
        evaluate=_scatter_add,
        pullback=_scatter_pullback,
        cases=_scatter_case,
    )
)


def _prepare_one_hot(operands: tuple[Operand, ...], attributes: dict[str, Any]) -> tuple[Inputs, dict[str, Any]]:
    indices = as_node(operands[0])
    _check_integers("one_hot", (indices,))
    count = integer(attributes["count"], "one_hot", "count")
    if count < 0:
        raise ArgumentError(f"one_hot got count={count}", "it must not be negative", "Give the number of classes.")
    return (indices,), {"count": count, "dtype": as_dtype(attributes.get("dtype", np.float64))}


one_hot = define(
    Primitive(
        name="one_hot",
        summary="y[…, c] = 1 where c is the index, else 0; all 0 for an index outside 0 … count − 1",
        notation=Notation("onehot(#0)", r"\operatorname{onehot}\left(#0\right)"),
        prepare=_prepare_one_hot,
        infer=lambda inputs, attributes: ((*inputs[0].shape, attributes["count"]), attributes["dtype"]),
        body=lambda i, count, dtype: to_dtype(equal(expand_dims(i, -1), as_node(np.arange(count))), dtype),
        not_differentiable="positions are integers, and no gradient reaches them; use embedding or a float input",
        cases=lambda rng: Case((rng.integers(0, 3, size=(2, 3)),), {"count": 3}),
    )
)


def _prepare_embedding(operands: tuple[Operand, ...], attributes: dict[str, Any]) -> tuple[Inputs, dict[str, Any]]:
    indices, weight = (as_node(o) for o in operands)
    _check_integers("embedding", (indices,))
    if weight.ndim != 2:
        raise ShapeError(
            f"embedding got a weight of shape {weight.shape}", "it must be (entries, features)", "Check the weight."
        )
    return (indices, weight), attributes


embedding = define(
    Primitive(
        name="embedding",
        summary="y[…, :] = weight[index[…], :]",
        notation=Notation("embedding(#0, #1)", r"\operatorname{embedding}\left(#0, #1\right)"),
        prepare=_prepare_embedding,
        infer=lambda inputs, attributes: (inputs[0].shape + inputs[1].shape[1:], inputs[1].dtype),
        body=lambda indices, weight: gather(weight, indices, axes=(0,)),
        facts=Facts(moves="picks"),
        cases=lambda rng: Case((rng.integers(0, 4, size=(2, 3)), random_values(rng, (4, 2)))),
    )
)


# ------------------------------------------------------------------------------------------------ x[key], as in Python
Key = Any  # int, slice, None, Ellipsis, an integer array or node, or a tuple of these


def index(x: Node, key: Key) -> Node:
    """`x[key]` with NumPy's rules for integers, slices, None, Ellipsis and integer arrays.

    Raises:
        ArgumentError: too many indices, a position out of range, a zero step, or a kind of key that is not known.
    """
    items = _full_key(x, key)
    starts, stops, steps, flipped, squeezed = [], [], [], [], []
    gathered: dict[int, Node] = {}
    axis = 0
    for item in items:
        if item is None:
            continue
        size = x.shape[axis]
        if isinstance(item, slice):
            start, stop, step = _forward_range(item, size)
            if (item.step or 1) < 0:
                flipped.append(axis)
        elif isinstance(item, Node):
            start, stop, step = 0, size, 1
            gathered[axis] = _positions(item, size) if item.dtype == np.bool_ else item
        else:
            positions("indexing", size).check(np.asarray([item]))
            start, stop, step = item % size, item % size + 1, 1
            squeezed.append(axis)
        starts.append(start)
        stops.append(stop)
        steps.append(step)
        axis += 1
    y = take_slice(x, starts, stops, steps)
    if flipped:
        y = flip(y, axis=flipped)
    return _arrange(y, items, squeezed, gathered)


def _full_key(x: Node, key: Key) -> list[Any]:
    """The key with one item per axis of x (and None for every new axis); lists become arrays, Ellipsis slices."""
    items = [_canonical_item(k) for k in (key if isinstance(key, tuple) else (key,))]
    taken = sum(1 for k in items if k is not None and k is not Ellipsis)
    if taken > x.ndim or sum(1 for k in items if k is Ellipsis) > 1:
        raise ArgumentError(
            f"indexing got {taken} indices for the shape {x.shape}",
            f"there are {x.ndim} axes, and at most one '...' may stand in the index",
            "Leave some out.",
        )
    place = next((n for n, k in enumerate(items) if k is Ellipsis), len(items))
    rest: list[Any] = [slice(None)] * (x.ndim - taken)
    items = items[:place] + rest + items[place + 1 :]
    if any(isinstance(k, Node) for k in items):  # beside an array, NumPy counts an integer as an array too
        items = [as_node(np.asarray(k)) if isinstance(k, int) else k for k in items]
    return items


def _canonical_item(item: Any) -> Any:
    if item is None or item is Ellipsis or isinstance(item, slice):
        return item
    if isinstance(item, bool | np.bool_):
        raise ArgumentError("indexing got a boolean", "it takes integers, slices, None, '...' and integer arrays", "Use where.")
    if isinstance(item, int | np.integer):
        return int(item)
    node = item if isinstance(item, Node) else as_node(_key_array(item))
    if node.dtype != np.bool_:
        _check_integers("indexing", (node,))
    return node


def _key_array(item: Any) -> Array:
    try:
        array = native(np.asarray(item))
    except ValueError:
        raise ArgumentError(f"indexing got {item!r}", "rows must be equally long", "Check the index.") from None
    return array if array.size else array.astype(np.int64)  # NumPy takes an empty list as an index, too


def _positions(mask: Node, size: int) -> Node:
    """Where a mask over an axis of `size` elements holds: known only when its value is."""
    if mask.value is None:
        raise CaptureError(
            "a compiled function indexes with a boolean mask",
            "the shape of the result would depend on the data, and a compiled graph has fixed shapes",
            "Use where(mask, x, 0), or index outside the compiled function.",
        )
    if mask.shape != (size,):
        raise ArgumentError(
            f"indexing got a mask of shape {mask.shape} for an axis of size {size}",
            "a mask has one element per position of its axis",
            "Use where, or flatten both.",
        )
    return as_node(np.flatnonzero(mask.value))


def _forward_range(item: slice, size: int) -> tuple[int, int, int]:
    """The positions of a slice, in rising order."""
    try:
        span = range(*item.indices(size))
    except (TypeError, ValueError) as error:
        raise ArgumentError(
            f"indexing got {item} ({error})", "bounds are integers or left out, and the step is not 0", "Check them."
        ) from None
    if not span:
        return 0, 0, 1
    low, high = min(span[0], span[-1]), max(span[0], span[-1])
    return low, high + 1, builtins.abs(span.step)


def _arrange(y: Node, items: list[Any], squeezed: list[int], gathered: dict[int, Node]) -> Node:
    """Drop the axes of integers, put in new ones, and gather along those with index arrays."""
    shape: list[int] = []
    places: dict[int, Node] = {}
    axis = 0
    for item in items:
        if item is None:
            shape.append(1)
            continue
        if axis in gathered:
            places[len(shape)] = gathered[axis]
        if axis not in squeezed:
            shape.append(y.shape[axis])
        axis += 1
    y = reshape(y, tuple(shape))
    if not places:
        return y
    axes = tuple(places)
    result = gather(y, *places.values(), axes=axes)
    if axes != tuple(range(axes[0], axes[0] + len(axes))):
        return result
    # Neighbouring index arrays leave their axes where they stood; gather has put them first.
    count = result.ndim - (y.ndim - len(axes))
    order = (*range(count, count + axes[0]), *range(count), *range(count + axes[0], result.ndim))
    return transpose(result, order)
