"""How a nest is run: the axis that becomes vectors, and the one that threads share, by a rough count of instructions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from chainrule.backends.native.plan import transposing
from chainrule.backends.native.plan.kernels import Access, Nest, Store
from chainrule.backends.native.target import Target

ACCUMULATORS = 4  # partial results side by side, to hide the latency of additions
_LANEWISE = 2.0  # cost of moving a single lane, relative to a whole vector
_ALTERNATING = 3.0  # cost of a vector of every second element: two loads and a shuffle


@dataclass(frozen=True)
class Schedule:
    """How a nest is run: the axis that becomes vectors (None: none does) and their length."""

    axis: int | None
    lanes: int


def schedule(nest: Nest, target: Target) -> Schedule:
    """The vector axis with the least estimated work."""
    lanes = _lanes(nest, target)
    allowed = [a for a in range(len(nest.sizes)) if _can_be_vector(nest, a)]
    best = min(allowed, key=lambda a: (_cost(nest, a, lanes), -a), default=None)
    if best is None or lanes == 1 or _cost_of_numbers(nest) < _cost(nest, best, lanes):
        return Schedule(None, 1)
    while lanes > 1 and lanes // 2 >= nest.sizes[best]:
        lanes //= 2
    return Schedule(best, lanes)


def _lanes(nest: Nest, target: Target) -> int:
    sizes = [a.dtype.itemsize for a in nest.accesses()] + [v.dtype.itemsize for v in nest.values]
    return target.vector_bytes // max(4, *sizes) if sizes else 1


def _can_be_vector(nest: Nest, axis: int) -> bool:
    if any(r.kind.startswith("arg") for r in nest.reductions) and nest.reduced[axis]:
        return False
    # If several lanes add to one address, all additions but one are lost.
    return not any(
        s.add and (not s.access.strides[axis] or any(axis in d.position.axes for d in s.access.dynamic)) for s in nest.stores
    )


def _cost(nest: Nest, axis: int, lanes: int) -> float:
    """Vector instructions, roughly, for the whole nest."""
    width = min(lanes, nest.sizes[axis])
    work = 0.5 * len(nest.values)
    for access in nest.accesses():
        if abs(access.strides[axis]) == 1 and not any(axis in d.position.axes for d in access.dynamic):
            work += 1.0
        elif alternates(access, axis):
            work += _ALTERNATING
        elif axis in access.axes:
            work += _LANEWISE * width
    trips = math.prod(n for a, n in enumerate(nest.sizes) if a != axis)
    across = 0.0
    if nest.reductions and nest.reduced[axis]:
        across = (
            2.0
            * math.log2(max(width, 2))
            * math.prod((n for a, n in enumerate(nest.sizes) if not nest.reduced[a]), start=len(nest.reductions))
        )
    return work * trips * math.ceil(nest.sizes[axis] / lanes) + across


def _cost_of_numbers(nest: Nest) -> float:
    """The same without vectors."""
    return (0.5 * len(nest.values) + len(list(nest.accesses()))) * math.prod(nest.sizes)


def alternates(access: Access, axis: int) -> bool:
    """Whether lanes along an axis are every second element of a piece of memory."""
    return access.strides[axis] == 2 and not any(axis in d.position.axes for d in access.dynamic)


def split_axis(nest: Nest, target: Target, threads: int) -> int | None:
    """The axis whose indices threads can share out; None if there is none that keeps them busy and out of each other's way."""
    copy = transposing.transposed_copy_of(nest)
    if copy is not None:
        return transposing.split_axis(copy, threads)
    vector = schedule(nest, target).axis
    kept = [a for a, reduced in enumerate(nest.reduced) if not reduced and a != vector]
    for axis in kept:
        size = nest.sizes[axis]
        if (size >= 4 * threads or size % threads == 0) and all(_disjoint(s, nest.sizes, axis) for s in nest.stores):
            return axis
    if vector is None or nest.reduced[vector] or any(s.add for s in nest.stores):
        return None
    return vector if nest.sizes[vector] >= 8 * threads * ACCUMULATORS * _lanes(nest, target) else None


def _disjoint(store: Store, sizes: Sequence[int], axis: int) -> bool:
    """Whether stores that add go to different elements for different indices of an axis: its stride spans all other axes."""
    if not store.add:
        return True
    strides = [abs(s) for s in store.access.strides]
    others = sum(s * (n - 1) for a, (s, n) in enumerate(zip(strides, sizes, strict=True)) if a != axis)
    return not store.access.dynamic and strides[axis] > others
