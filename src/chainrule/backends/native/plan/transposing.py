"""Which nests are copies that transpose: what is contiguous in the source is scattered in the destination, and the reverse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from chainrule.backends.native.plan.kernels import Access, Apply, Load, Nest

_PIECE = 64  # elements along an axis, the smallest share of a thread
_SMALLEST = 4  # below so many elements along an axis there is nothing to turn


@dataclass(frozen=True)
class Turn:
    """A copy over `sizes`; along axis `first` the source is in one piece, along `last` the goal is."""

    sizes: tuple[int, ...]
    source: Access
    goal: Access
    first: int
    last: int

    @property
    def others(self) -> list[int]:
        """The remaining axes, the largest first."""
        rest = (a for a in range(len(self.sizes)) if a not in (self.first, self.last))
        return sorted(rest, key=lambda a: -self.sizes[a])


def turn_of(nest: Nest) -> Turn | None:
    """The nest as a turning copy, if it is one."""
    loads = [v for v in nest.values if isinstance(v, Load)]
    copies_only = all(isinstance(v, Load) or (isinstance(v, Apply) and v.op == "copy") for v in nest.values)
    if len(loads) != 1 or len(nest.stores) != 1 or nest.reductions or not copies_only:
        return None
    source, goal = loads[0].access, nest.stores[0].access
    if source.dynamic or goal.dynamic or nest.stores[0].add or source.dtype != goal.dtype or source.dtype.itemsize < 4:
        return None
    first, last = (_in_one_piece(a, nest.sizes) for a in (source, goal))
    if first is None or last is None or first == last:
        return None
    return _in_pieces(Turn(nest.sizes, source, goal, first, last))


def _in_pieces(turn: Turn) -> Turn:
    """A turn of a single matrix with the axis `first` cut in two, so that threads can share out its pieces."""
    size = turn.sizes[turn.first]
    if turn.others or size % _PIECE or size == _PIECE:
        return turn

    def cut(access: Access) -> Access:
        return replace(access, strides=(access.strides[turn.first] * _PIECE, *access.strides))

    sizes = [size // _PIECE, *turn.sizes]
    sizes[turn.first + 1] = _PIECE
    return Turn(tuple(sizes), cut(turn.source), cut(turn.goal), turn.first + 1, turn.last + 1)


def _in_one_piece(access: Access, sizes: Sequence[int]) -> int | None:
    return next((a for a, (s, n) in enumerate(zip(access.strides, sizes, strict=True)) if s == 1 and n >= _SMALLEST), None)


def split_axis(turn: Turn, threads: int) -> int | None:
    """The axis whose indices threads can share out, if there is one large enough."""
    return next((a for a in turn.others if turn.sizes[a] >= 4 * threads or turn.sizes[a] % threads == 0), None)
