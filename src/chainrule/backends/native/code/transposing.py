"""Machine code for copies that transpose: what is contiguous in the source is scattered in the destination, and the reverse.

Square blocks are read as vectors, transposed in registers, and written as vectors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from llvmlite import ir

from chainrule.backends.native.code import scalar
from chainrule.backends.native.code.bounds import Builder
from chainrule.backends.native.code.loops import INDEX, Share, element_at, load_vector, repeat, share_of, store_vector
from chainrule.backends.native.plan.kernels import Access
from chainrule.backends.native.plan.transposing import TransposedCopy, split_axis
from chainrule.backends.native.target import Target
from chainrule.ir import DType

Square = tuple[ir.Value, int]


def emit(b: Builder, copy: TransposedCopy, pointers: Sequence[ir.Value], target: Target, share: Share | None) -> None:
    """Write the code of a transposing copy at the builder's position: all of it, or this thread's share along `split_axis`."""
    lanes = target.lanes(copy.source.dtype)
    dtype = copy.source.dtype
    element = scalar.memory_type(dtype)

    def pointer(access: Access, index: dict[int, ir.Value]) -> ir.Value:
        total = element_at(b, access.offset, list(index.values()), [access.strides[axis] for axis in index])
        return b.gep(pointers[access.buffer], [total], source_etype=element)

    def block(index: dict[int, ir.Value], heights: tuple[int, int]) -> None:
        """Copy one block, of so many elements along `first` and `last`: whole vectors, or the lanes that are left."""
        across, along = heights
        if heights == (lanes, lanes):
            source, destination = pointer(copy.source, index), pointer(copy.destination, index)
            strides = copy.source.strides[copy.last], copy.destination.strides[copy.first]
            transpose_square(b, (source, strides[0]), (destination, strides[1]), dtype, lanes)
            return
        width = lanes if max(heights) > 1 else 1
        rows = []
        for k in range(width):
            moved = index | {copy.last: b.add(index[copy.last], INDEX(k))}
            empty = scalar.fill(scalar.widened(element, width), 0)
            rows.append(load_vector(b, pointer(copy.source, moved), dtype, width, across) if k < along else empty)
        for k, vector in enumerate(transposed(b, rows)[:across]):
            moved = index | {copy.first: b.add(index[copy.first], INDEX(k))}
            store_vector(b, vector, pointer(copy.destination, moved), dtype, along)

    def cut(size: int, body: Callable[[ir.Value, int], None]) -> None:
        """Whole vectors, then what is left: masked, or one by one."""
        whole = size // lanes * lanes
        if whole:
            repeat(b, (INDEX(0), INDEX(whole), lanes), lambda i: body(i, lanes))
        if size > whole and target.masks:
            body(INDEX(whole), size - whole)

    def blocks(index: dict[int, ir.Value]) -> None:
        n, m = copy.sizes[copy.first], copy.sizes[copy.last]
        cut(m, lambda j, width: cut(n, lambda i, height: block(index | {copy.first: i, copy.last: j}, (height, width))))
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
        repeat(b, (i0, i1, 1), lambda i: repeat(b, (j0, j1, 1), lambda j: block(index | {copy.first: i, copy.last: j}, one)))

    def over(axes: Sequence[int], index: dict[int, ir.Value]) -> None:
        if not axes:
            blocks(index)
            return
        repeat(b, (INDEX(0), INDEX(copy.sizes[axes[0]]), 1), lambda i: over(axes[1:], index | {axes[0]: i}))

    shared = None if share is None else split_axis(copy, share.most)
    if shared is None:
        over(copy.others, {})
        return
    start, stop = share_of(b, copy.sizes[shared], share)
    rest = [a for a in copy.others if a != shared]
    with b.if_then(b.icmp_signed("<", start, stop)):
        repeat(b, (start, stop, 1), lambda i: over(rest, {shared: i}))


def transpose_square(b: Builder, source: Square, destination: Square, dtype: DType, lanes: int) -> None:
    """Copy a square of so many rows and columns, rows to columns; each is a pointer and the elements from row to row."""

    def write(b: Builder, values: Sequence[ir.Value]) -> None:
        element = scalar.memory_type(dtype)

        def row(start: ir.Value, stride: ir.Value, k: int) -> ir.Value:
            return b.gep(start, [b.mul(stride, INDEX(k))], source_etype=element)

        rows = [load_vector(b, row(values[0], values[1], k), dtype, lanes, lanes) for k in range(lanes)]
        for k, vector in enumerate(transposed(b, rows)):
            store_vector(b, vector, row(values[2], values[3], k), dtype, lanes)

    b.shared(f"transpose_{dtype}_{lanes}", write, [source[0], INDEX(source[1]), destination[0], INDEX(destination[1])])


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
