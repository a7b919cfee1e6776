"""Views: reshape, transpose, slice and the like as another way to step through the same buffer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from typing import Any
from weakref import WeakKeyDictionary

from chainrule.ir import Node, Shape

Strides = tuple[int, ...]


@dataclass(frozen=True)
class View:
    """The elements of a buffer that a node stands for.

    Attributes:
        base: the node whose value is in the buffer, in C order.
        offset: element at index 0.
        shape: of the node viewed.
        strides: elements to step per axis.
    """

    base: Node
    offset: int
    shape: Shape
    strides: Strides

    @property
    def plain(self) -> bool:
        """Whether it is the whole buffer in order; the shape may differ."""
        return self.offset == 0 and all(
            n == 1 or s == c for n, s, c in zip(self.shape, self.strides, contiguous(self.shape), strict=True)
        )

    def broadcast(self, shape: Shape) -> Strides:
        """Strides for a shape that this one broadcasts to."""
        lead = len(shape) - len(self.shape)
        own = (0 if n == 1 and m != 1 else s for n, s, m in zip(self.shape, self.strides, shape[lead:], strict=True))
        return (0,) * lead + tuple(own)


@lru_cache(1024)
def contiguous(shape: Shape) -> Strides:
    """Strides of an array in C order."""
    strides = []
    step = 1
    for n in reversed(shape):
        strides.append(step)
        step *= n
    return tuple(reversed(strides))


@lru_cache(1024)
def stripped(shape: Shape) -> Shape:
    """The shape without axes of size 1."""
    return tuple(n for n in shape if n != 1)


def whole(node: Node) -> View:
    """A node as a view of its own buffer."""
    return View(node, 0, node.shape, contiguous(node.shape))


_KNOWN: WeakKeyDictionary[Node, View | None] = WeakKeyDictionary()  # of movements; their views hold nodes before them only


def view_of(node: Node) -> View | None:
    """A node as a view of the buffer of some node before it, or of its own; None where only a copy could be one."""
    moves: list[Node] = []
    while node.op in MOVES and node not in _KNOWN:
        moves.append(node)
        node = node.inputs[0]
    view = _KNOWN[node] if node in _KNOWN else whole(node)
    for move in reversed(moves):
        view = _KNOWN[move] = None if view is None else MOVES[move.op](view, move)
    return view


def _reshape(view: View, node: Node) -> View | None:
    strides = _reshaped_strides(view.shape, view.strides, node.shape)
    return None if strides is None else replace(view, shape=node.shape, strides=strides)


def _reshaped_strides(old: Shape, strides: Strides, new: Shape) -> Strides | None:
    """Strides that give the same elements in another shape, if there are any: group by group of axes with equal products."""
    axes = [(n, s) for n, s in zip(old, strides, strict=True) if n != 1]
    found = []
    used = 0
    pending: list[tuple[int, int]] = []
    todo = [n for n in new if n != 1]
    at = 0
    while at < len(todo):
        count, pending = 1, []
        new_group = [todo[at]]
        product = todo[at]
        at += 1
        while count != product:
            if count < product:
                if used == len(axes):
                    return None
                pending.append(axes[used])
                count *= axes[used][0]
                used += 1
            else:
                if at == len(todo):
                    return None
                new_group.append(todo[at])
                product *= todo[at]
                at += 1
        if any(s != m * t for (_, s), (m, t) in pairwise(pending)):
            return None
        found += [c * pending[-1][1] for c in contiguous(tuple(new_group))]
    steps = iter(found)
    return tuple(next(steps) if n != 1 else 0 for n in new)


def _transpose(view: View, node: Node) -> View:
    axes = node.attributes["axes"]
    return replace(view, shape=node.shape, strides=tuple(view.strides[a] for a in axes))


def _broadcast(view: View, node: Node) -> View:
    return replace(view, shape=node.shape, strides=view.broadcast(node.shape))


def _slice(view: View, node: Node) -> View:
    start, step = node.attributes["start"], node.attributes["step"]
    offset = view.offset + sum(a * s for a, s in zip(start, view.strides, strict=True))
    return replace(view, offset=offset, shape=node.shape, strides=tuple(s * n for s, n in zip(view.strides, step, strict=True)))


def _flip(view: View, node: Node) -> View:
    axes = node.attributes["axis"]
    offset = view.offset + sum((view.shape[a] - 1) * view.strides[a] for a in axes)
    return replace(view, offset=offset, strides=tuple(-s if a in axes else s for a, s in enumerate(view.strides)))


def _windows(view: View, node: Node) -> View:
    return replace(view, shape=node.shape, strides=window_strides(view.strides, node.attributes))


def window_strides(strides: Strides, attributes: Any) -> Strides:
    """Strides of (…, *positions, *elements) for an array whose last axes windows slide over."""
    stride, dilation = attributes["stride"], attributes["dilation"]
    lead = len(strides) - len(stride)
    positions = tuple(s * n for s, n in zip(strides[lead:], stride, strict=True))
    elements = tuple(s * n for s, n in zip(strides[lead:], dilation, strict=True))
    return (*strides[:lead], *positions, *elements)


MOVES: dict[str, Callable[[View, Node], View | None]] = {
    "reshape": _reshape,
    "transpose": _transpose,
    "broadcast_to": _broadcast,
    "slice": _slice,
    "flip": _flip,
    "windows": _windows,
    "stop_gradient": lambda view, node: view,
    "require": lambda view, node: view,
}
