"""Counterparts of NumPy's functions that move elements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule import functional as F
from chainrule.errors import ArgumentError
from chainrule.numpy_functions.entries import arrays_in, axes_in_order, ours
from chainrule.ops.primitive import integer, integers, normalise_axis
from chainrule.tensors import Tensor, TensorLike, tensor_of


@ours(np.moveaxis)
def _moveaxis(a: TensorLike, source: int | Sequence[int], destination: int | Sequence[int]) -> Tensor:
    x = tensor_of(a)
    places = [axes_in_order(axes, x.ndim, "np.moveaxis") for axes in (source, destination)]
    if len(places[0]) != len(places[1]):
        given = f"np.moveaxis got source={source} and destination={destination}"
        raise ArgumentError(given, "there is one place for each axis", "Give as many of the one as of the other.")
    return moved(x, *places)


def moved(x: Tensor, source: tuple[int, ...], destination: tuple[int, ...]) -> Tensor:
    """The axes at new places, the others in order around them."""
    order = [axis for axis in range(x.ndim) if axis not in source]
    for place, axis in sorted(zip(destination, source, strict=True)):
        order.insert(place, axis)
    return F.transpose(x, order)


def unstack(x: TensorLike, /, *, axis: int = 0) -> tuple[Tensor, ...]:
    """The parts along an axis, without it."""
    return tuple(moved(tensor_of(x), (normalise_axis(axis, tensor_of(x).ndim, "np.unstack"),), (0,)))


@ours(np.concatenate, np.concat)
def _concatenate(arrays: Sequence[TensorLike], /, axis: int | None = 0) -> Tensor:
    if axis is None:
        return F.concatenate([F.reshape(a, -1) for a in arrays])
    return F.concatenate(arrays, axis)


@ours(np.hstack)
def _hstack(tup: Sequence[TensorLike]) -> Tensor:
    parts = [_atleast_1d(a) for a in tup]
    return F.concatenate(parts, 0 if not parts or parts[0].ndim == 1 else 1)


@ours(np.column_stack)
def _column_stack(tup: Sequence[TensorLike]) -> Tensor:
    return F.concatenate([F.transpose(atleast_2d(a)) if tensor_of(a).ndim < 2 else a for a in tup], 1)


@ours(np.atleast_1d)
def _atleast_1d(a: TensorLike, /) -> Tensor:
    x = tensor_of(a)
    return x.reshape(1) if x.ndim == 0 else x


@ours(np.atleast_2d)
def atleast_2d(a: TensorLike, /) -> Tensor:
    """With axes of size 1 in front up to two axes."""
    x = tensor_of(a)
    return x.reshape(1, -1) if x.ndim < 2 else x


@ours(np.pad)
def _pad(array: TensorLike, pad_width: Any, mode: str = "constant", *, constant_values: float = 0.0) -> Tensor:
    if not (isinstance(mode, str) and mode == "constant" and isinstance(constant_values, int | float)):
        raise ArgumentError(f"np.pad got mode={mode!r}", "Tensors are padded with one number", "Use cr.concatenate or cr.flip.")
    x = tensor_of(array)
    try:
        widths = np.broadcast_to(np.asarray(pad_width), (x.ndim, 2))
    except ValueError:
        given = f"np.pad got pad_width={pad_width!r} for the shape {x.shape}"
        raise ArgumentError(
            given, "it takes a count, a pair (before, after), or one pair per axis", "Give ((before, after), …)."
        ) from None
    return F.pad(x, widths.tolist(), constant_values)


@ours(np.take)
def _take(a: TensorLike, indices: TensorLike, axis: int | None = None) -> Tensor:
    if axis is None:
        return _taken(F.reshape(a, -1), arrays_in(indices), 0)
    return _taken(tensor_of(a), arrays_in(indices), normalise_axis(axis, tensor_of(a).ndim, "np.take"))


def _taken(x: Tensor, indices: Any, axis: int) -> Tensor:
    """The elements at the indices along an axis; the axes of the indices take its place."""
    found = F.gather(x, indices, axes=(axis,))
    count = np.ndim(indices)
    return moved(found, tuple(range(count)), tuple(range(axis, axis + count)))


@ours(np.roll)
def _roll(a: TensorLike, shift: int | Sequence[int], axis: int | Sequence[int] | None = None) -> Tensor:
    x = tensor_of(a)
    if axis is None:
        return F.reshape(_roll(F.reshape(x, -1), shift, 0), x.shape)
    shifts, axes = integers(shift, "np.roll", "shift"), integers(axis, "np.roll", "axis")
    if len(shifts) != len(axes) and 1 not in (len(shifts), len(axes)):
        given = f"np.roll got shift={shift} and axis={axis}"
        raise ArgumentError(given, "there is one shift for each axis", "Give as many shifts as axes, or a single one.")
    for places, k in np.broadcast(shifts, axes):
        along = normalise_axis(k, x.ndim, "np.roll")
        x = _taken(x, np.roll(np.arange(x.shape[along]), places), along)
    return x


@ours(np.diff)
def _diff(a: TensorLike, n: int = 1, axis: int = -1) -> Tensor:
    x, count = tensor_of(a), integer(n, "np.diff", "n")
    along = normalise_axis(axis, x.ndim, "np.diff")
    if count < 0:
        raise ArgumentError(f"np.diff got n={n}", "it is how many times differences are taken, ≥ 0", "Give 1 or more.")
    difference = F.not_equal if x.dtype == np.bool_ else F.subtract
    for _ in range(count):
        places = np.arange(x.shape[along])
        x = difference(_taken(x, places[1:], along), _taken(x, places[:-1], along))
    return x


@ours(np.diagonal)
def diagonal(a: TensorLike, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """The elements whose positions along two axes differ by the offset, along a new last axis."""
    x, k = tensor_of(a), integer(offset, "np.diagonal", "offset")
    x = moved(x, axes_in_order((axis1, axis2), x.ndim, "np.diagonal"), (0, 1))
    rows, columns = x.shape[:2]
    count = max(min(rows, columns - k) if k >= 0 else min(rows + k, columns), 0)
    places = np.arange(count)
    found = F.gather(x, places + max(-k, 0), places + max(k, 0))
    return moved(found, (0,), (found.ndim - 1,))
