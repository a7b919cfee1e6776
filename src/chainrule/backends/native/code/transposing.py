"""Machine code for copies that turn axes: what is in one piece in the source is scattered in the goal, and the other way round.

Square blocks are read as vectors, turned in registers, and written as vectors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from llvmlite import ir

from chainrule.backends.native.code import scalar
from chainrule.backends.native.code.bounds import Builder
from chainrule.backends.native.code.loops import INDEX, Share, element_at, load_vector, repeat, share_of, store_vector
from chainrule.backends.native.plan.kernels import Access, Apply, Load, Nest
from chainrule.backends.native.target import Target
from chainrule.ir import DType

Square = tuple[ir.Value, int]
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


def emit(b: Builder, turn: Turn, pointers: Sequence[ir.Value], target: Target, share: Share | None) -> None:
    """Write the code of a turning copy at the builder's place; with `share`, of this thread's share along `split_axis`."""
    lanes = target.lanes(turn.source.dtype)
    dtype = turn.source.dtype
    element = scalar.memory_type(dtype)

    def place(access: Access, index: dict[int, ir.Value]) -> ir.Value:
        total = element_at(b, access.offset, list(index.values()), [access.strides[axis] for axis in index])
        return b.gep(pointers[access.buffer], [total], source_etype=element)

    def block(index: dict[int, ir.Value], heights: tuple[int, int]) -> None:
        """Turn one block, of so many elements along `first` and `last`: whole vectors, or the lanes that are left."""
        across, along = heights
        if heights == (lanes, lanes):
            places = place(turn.source, index), place(turn.goal, index)
            steps = turn.source.strides[turn.last], turn.goal.strides[turn.first]
            turn_square(b, (places[0], steps[0]), (places[1], steps[1]), dtype, lanes)
            return
        width = lanes if max(heights) > 1 else 1
        rows = []
        for k in range(width):
            moved = index | {turn.last: b.add(index[turn.last], INDEX(k))}
            empty = scalar.fill(scalar.widened(element, width), 0)
            rows.append(load_vector(b, place(turn.source, moved), dtype, width, across) if k < along else empty)
        for k, vector in enumerate(transposed(b, rows)[:across]):
            moved = index | {turn.first: b.add(index[turn.first], INDEX(k))}
            store_vector(b, vector, place(turn.goal, moved), dtype, along)

    def cut(size: int, body: Callable[[ir.Value, int], None]) -> None:
        """Whole vectors, then what is left: masked, or one by one."""
        whole = size // lanes * lanes
        if whole:
            repeat(b, (INDEX(0), INDEX(whole), lanes), lambda i: body(i, lanes))
        if size > whole and target.masks:
            body(INDEX(whole), size - whole)

    def blocks(index: dict[int, ir.Value]) -> None:
        n, m = turn.sizes[turn.first], turn.sizes[turn.last]
        cut(m, lambda j, width: cut(n, lambda i, height: block(index | {turn.first: i, turn.last: j}, (height, width))))
        if target.masks:
            return
        whole_n, whole_m = n // lanes * lanes, m // lanes * lanes
        for rows, columns in (((whole_n, n), (0, m)), ((0, whole_n), (whole_m, m))):
            singles(index, rows, columns)

    def singles(index: dict[int, ir.Value], rows: tuple[int, int], columns: tuple[int, int]) -> None:
        if rows[0] == rows[1] or columns[0] == columns[1]:
            return
        (i0, i1), (j0, j1) = ((INDEX(low), INDEX(high)) for low, high in (rows, columns))
        one = (1, 1)
        repeat(b, (i0, i1, 1), lambda i: repeat(b, (j0, j1, 1), lambda j: block(index | {turn.first: i, turn.last: j}, one)))

    def over(axes: Sequence[int], index: dict[int, ir.Value]) -> None:
        if not axes:
            blocks(index)
            return
        repeat(b, (INDEX(0), INDEX(turn.sizes[axes[0]]), 1), lambda i: over(axes[1:], index | {axes[0]: i}))

    shared = None if share is None else split_axis(turn, share.most)
    if shared is None:
        over(turn.others, {})
        return
    start, stop = share_of(b, turn.sizes[shared], share)
    rest = [a for a in turn.others if a != shared]
    with b.if_then(b.icmp_signed("<", start, stop)):
        repeat(b, (start, stop, 1), lambda i: over(rest, {shared: i}))


def turn_square(b: Builder, source: Square, goal: Square, dtype: DType, lanes: int) -> None:
    """Copy a square of so many rows and columns, rows to columns; each place is a pointer and the elements from row to row."""

    def write(b: Builder, values: Sequence[ir.Value]) -> None:
        element = scalar.memory_type(dtype)

        def row(place: ir.Value, step: ir.Value, k: int) -> ir.Value:
            return b.gep(place, [b.mul(step, INDEX(k))], source_etype=element)

        rows = [load_vector(b, row(values[0], values[1], k), dtype, lanes, lanes) for k in range(lanes)]
        for k, vector in enumerate(transposed(b, rows)):
            store_vector(b, vector, row(values[2], values[3], k), dtype, lanes)

    b.shared(f"turn_{dtype}_{lanes}", write, [source[0], INDEX(source[1]), goal[0], INDEX(goal[1])])


def transposed(b: Builder, rows: list[ir.Value]) -> list[ir.Value]:
    """The columns of a square matrix given as rows, by exchanging blocks of half the size, then of a quarter, and so on."""
    size = len(rows)
    if size == 1:
        return rows
    distance = size // 2
    while distance:
        swapped = list(rows)
        for i in range(size):
            if i & distance:
                continue
            first, second = rows[i], rows[i + distance]
            low = [k if not k & distance else size + k - distance for k in range(size)]
            high = [k + distance if not k & distance else size + k for k in range(size)]
            swapped[i] = _shuffled(b, first, second, low)
            swapped[i + distance] = _shuffled(b, first, second, high)
        rows = swapped
        distance //= 2
    return rows


def _shuffled(b: Builder, first: ir.Value, second: ir.Value, order: list[int]) -> ir.Value:
    return b.shuffle_vector(first, second, ir.Constant(ir.VectorType(ir.IntType(32), len(order)), order))
