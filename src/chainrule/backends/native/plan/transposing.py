"""Which nests are copies that transpose: what is contiguous in the source is scattered in the destination, and the reverse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from chainrule.backends.native.plan.kernels import Access, Apply, Load, Nest

_BLOCK = 64  # elements along an axis: what threads share out is a number of these
_SMALLEST = 4  # below so many elements along an axis transposing in registers does not pay


@dataclass(frozen=True)
class TransposedCopy:
    """A copy over `sizes`; along axis `first` the source is contiguous, along `last` the destination is."""

    sizes: tuple[int, ...]
    source: Access
    destination: Access
    first: int
    last: int

    @property
    def others(self) -> list[int]:
        """The remaining axes, the largest first."""
        rest = (a for a in range(len(self.sizes)) if a not in (self.first, self.last))
        return sorted(rest, key=lambda a: -self.sizes[a])


def transposed_copy_of(nest: Nest) -> TransposedCopy | None:
    """The nest as a transposing copy, if it is one."""
    loads = [v for v in nest.values if isinstance(v, Load)]
    copies_only = all(isinstance(v, Load) or (isinstance(v, Apply) and v.op == "copy") for v in nest.values)
    if len(loads) != 1 or len(nest.stores) != 1 or nest.reductions or not copies_only:
        return None
    source, destination = loads[0].access, nest.stores[0].access
    if (
        source.dynamic
        or destination.dynamic
        or nest.stores[0].add
        or source.dtype != destination.dtype
        or source.dtype.itemsize < 4
    ):
        return None
    first, last = (_contiguous_axis(a, nest.sizes) for a in (source, destination))
    if first is None or last is None or first == last:
        return None
    return _in_blocks(TransposedCopy(nest.sizes, source, destination, first, last))


def _in_blocks(copy: TransposedCopy) -> TransposedCopy:
    """A copy of a single matrix with the axis `first` cut in two, so that threads can share out blocks of rows."""
    size = copy.sizes[copy.first]
    if copy.others or size % _BLOCK or size == _BLOCK:
        return copy

    def cut(access: Access) -> Access:
        return replace(access, strides=(access.strides[copy.first] * _BLOCK, *access.strides))

    sizes = [size // _BLOCK, *copy.sizes]
    sizes[copy.first + 1] = _BLOCK
    return TransposedCopy(tuple(sizes), cut(copy.source), cut(copy.destination), copy.first + 1, copy.last + 1)


def _contiguous_axis(access: Access, sizes: Sequence[int]) -> int | None:
    return next((a for a, (s, n) in enumerate(zip(access.strides, sizes, strict=True)) if s == 1 and n >= _SMALLEST), None)


def split_axis(copy: TransposedCopy, threads: int) -> int | None:
    """The axis whose indices threads can share out, if there is one large enough."""
    return next((a for a in copy.others if copy.sizes[a] >= 4 * threads or copy.sizes[a] % threads == 0), None)
