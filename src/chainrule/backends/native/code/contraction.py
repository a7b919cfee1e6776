"""Machine code for contractions: tiles of sums in registers.

for each group of strips of columns:             (the panels of B that go with them are packed first, if the tile says so)
    for each block of rows:
        for each strip, for each tile of rows in the block:
            for k: load v vectors of B; for each row: broadcast A and multiply-add to v sums
            write the sums: to C, or to scratch memory if there is an epilogue
        epilogue over the block
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from llvmlite import ir

from chainrule.backends.native.code import nest, scalar, transposing
from chainrule.backends.native.code.bounds import Builder
from chainrule.backends.native.code.loops import (
    INDEX,
    Part,
    Share,
    element_at,
    load_vector,
    loop,
    parts_of,
    repeat,
    share_of,
    store_vector,
    sum_of,
)
from chainrule.backends.native.plan.kernels import SCRATCH, Access, Contraction, Nest, apart, map_accesses, simplified
from chainrule.backends.native.plan.transposing import Turn
from chainrule.backends.native.target import Target
from chainrule.ir import DType

_LONGEST = 2048  # products that are added up one after the other, so that roundings do not pile up
_LONGEST_IN_SLABS = 64 * _LONGEST  # the same where a sum goes on from slab to slab
_UNROLLED = 3  # the last inner axis is written out up to this size: that of the usual kernels of convolutions


def emit(b: Builder, kernel: Contraction, pointers: Sequence[ir.Value], target: Target, share: Share | None = None) -> None:
    """Write the code of a contraction at the builder's place.

    Args:
        b: where to.
        kernel: what.
        pointers: its buffers by number; those for a thread's own use are cut into one piece per thread.
        target: the processor.
        share: if given, only this thread's share along `kernel.split` is computed.
    """
    Emitter(b, kernel, pointers, target, share).run()


@dataclass(frozen=True)
class Strip:
    """A strip of columns: where it begins, there and in its group, and its vectors as they are read from B and as they are
    written."""

    column: ir.Value
    in_group: ir.Value
    read: list[Part]
    written: list[Part]


@dataclass(frozen=True)
class Place:
    """Where a tile is: in which strip, its first row in the matrix and in the block, and how many rows it has."""

    strip: Strip
    row: ir.Value
    in_block: ir.Value
    height: int


class Emitter:
    """Writes one contraction; `skipping` changes how it sums."""

    def __init__(
        self, b: Builder, kernel: Contraction, pointers: Sequence[ir.Value], target: Target, share: Share | None
    ) -> None:
        self.b = b
        self.kernel = kernel
        self.share = share
        self.pointers = list(pointers)
        self.target = target
        self.tile = kernel.tile
        self.dtype: DType = kernel.a.dtype
        self.element = scalar.element_type(self.dtype)
        self.batch: list[ir.Value] = []
        self.bases: tuple[ir.Value, ir.Value]  # where A and B are for a tile, at the first inner index
        self.outer: list[ir.Value] = []  # index of the inner axis that is the outermost loop, if one is

    def run(self) -> None:
        """Write the whole of it."""
        self._own(self.kernel.scratch, self.kernel.sums, self.dtype)
        self._own(self.kernel.panel, self.tile.panel(self.kernel.inner[-1]), self.dtype)
        if not self.kernel.accumulate or len(self.kernel.inner) == 1:
            self._over_batch()
            return

        def slab(i: ir.Value) -> None:
            self.outer = [i]
            self._over_batch()

        self._for(0, self.kernel.inner[0], 1, slab)

    def _own(self, number: int, size: int, dtype: DType) -> None:
        """Move the pointer of a buffer for every thread's own use to this thread's piece."""
        if number >= 0 and self.share is not None:
            place = self.b.mul(self.share.number, INDEX(apart(size, dtype)))
            self.pointers[number] = self.b.gep(self.pointers[number], [place], source_etype=scalar.memory_type(dtype))

    def _over_batch(self) -> None:
        """All matrices of the stack, or this thread's."""
        count = math.prod(self.kernel.batch)

        def body(i: ir.Value) -> None:
            self.batch = []
            for size in reversed(self.kernel.batch):
                self.batch.insert(0, self.b.srem(i, INDEX(size)) if size > 1 else INDEX(0))
                i = self.b.sdiv(i, INDEX(size)) if size > 1 else i
            self._strips()

        self._cut(count, 1, lambda i, _: body(i), shared=self.kernel.split == "batch")

    def _for(self, start: int, stop: int, step: int, body: Callable[[ir.Value], None]) -> None:
        """A loop that may run once, or not at all."""
        if stop - start == step:
            body(INDEX(start))
        elif stop > start:
            repeat(self.b, (INDEX(start), INDEX(stop), step), body)

    def _cut(self, size: int, step: int, body: Callable[[ir.Value, int], None], *, shared: bool = False) -> None:
        """body(start, length) for whole steps, then for what is left; or this thread's share of that."""
        if shared and self.share is not None:
            self._cut_share(size, step, body)
            return
        whole = size // step * step
        self._for(0, whole, step, lambda i: body(i, step))
        if size > whole:
            body(INDEX(whole), size - whole)

    def _cut_share(self, size: int, step: int, body: Callable[[ir.Value, int], None]) -> None:
        b = self.b
        units, whole = -(-size // step), size // step
        first, after = share_of(b, units, self.share)
        if whole:
            last = b.select(b.icmp_signed("<", after, INDEX(whole)), after, INDEX(whole)) if units > whole else after
            with b.if_then(b.icmp_signed("<", first, last)):
                start, stop = b.mul(first, INDEX(step)), b.mul(last, INDEX(step))
                repeat(b, (start, stop, step), lambda i: body(i, step))
        if units > whole:
            with b.if_then(b.and_(b.icmp_signed("==", after, INDEX(units)), b.icmp_signed("<", first, after))):
                body(INDEX(whole * step), size - whole * step)

    # ---------------------------------------------------------------------------------------- strips, blocks, tiles
    def _strips(self) -> None:
        self._cut(self.kernel.columns, self.tile.group, self._group, shared=self.kernel.split == "columns")

    def _group(self, column: ir.Value, width: int) -> None:
        if self.tile.packing != "none":
            self._pack_group(column, width)

        def block(row: ir.Value, height: int) -> None:
            if self.tile.rows_packed:
                self._cut(height, self.tile.rows, lambda i, m: self._pack_a(sum_of(self.b, row, i), i, m))
            self._cut(width, self.tile.columns, lambda at, n: self._tiles(self._strip(column, at, n), row, height))
            if self.kernel.epilogue is not None:
                self._epilogue(row, height, column, width)

        self._cut(self.kernel.rows, self.tile.block, block, shared=self.kernel.split == "rows")

    def _pack_group(self, column: ir.Value, width: int) -> None:
        self._cut(width, self.tile.columns, lambda at, n: self._pack(self._strip(column, at, n), n))

    def _strip(self, column: ir.Value, at: ir.Value, width: int) -> Strip:
        """The strip of so many columns that begins at a place in the group that begins at a column."""
        read = written = parts_of(width, self.tile.lanes, self.target.masks)
        if self.tile.packing != "none":
            # The packed panel has room for whole vectors, so nothing needs masking there.
            read = parts_of(-(-width // self.tile.lanes) * self.tile.lanes, self.tile.lanes, True)
            written = [Part(p.offset, p.lanes, min(p.lanes, width - p.offset)) for p in read]
        return Strip(sum_of(self.b, column, at), at, read, written)

    def _tiles(self, strip: Strip, row: ir.Value, height: int) -> None:
        self._cut(height, self.tile.rows, lambda i, m: self._tile(Place(strip, sum_of(self.b, row, i), i, m)))

    def _tile(self, place: Place) -> None:
        self.bases = (
            self._in_rows(place.in_block) if self.tile.rows_packed else self._at(self.kernel.a, [*self.batch, place.row]),
            self._at(self.kernel.b, [*self.batch, INDEX(0), place.strip.column]),
        )
        in_slab = math.prod(self.kernel.inner[len(self.outer) :])
        if in_slab > _LONGEST or math.prod(self.kernel.inner) > _LONGEST_IN_SLABS:
            self._tile_by_runs(place)
        else:
            self._store(place, self._inner(list(self.outer), place, self._start(place)))

    def _store(self, place: Place, sums: Sequence[ir.Value]) -> None:
        found = iter(sums)
        for m in range(place.height):
            for part in place.strip.written:
                store_vector(self.b, next(found), self._out(place, m, part.offset), self.dtype, part.active)

    def _tile_by_runs(self, place: Place) -> None:
        """Add up at most `_LONGEST` products at a time in registers, and these sums in memory."""
        first, *rest = self.kernel.inner[len(self.outer) :]
        if not self.kernel.accumulate:
            self._store(place, self._zeros(place))

        def run(start: ir.Value, length: int) -> None:
            stop = element_at(self.b, length, [start], [1])
            sums = loop(self.b, (start, stop, 1), self._zeros(place), self._inner_body(list(self.outer), place))
            self._store(place, [self.b.fadd(s, before) for s, before in zip(sums, self._there(place), strict=True)])

        self._cut(first, min(first, max(1, _LONGEST // math.prod(rest))), run)

    def _start(self, place: Place) -> list[ir.Value]:
        """What the sums begin with: zeros, or what is there when they accumulate."""
        return self._there(place) if self.kernel.accumulate else self._zeros(place)

    def _zeros(self, place: Place) -> list[ir.Value]:
        return [scalar.fill(scalar.widened(self.element, p.lanes), 0.0) for _ in range(place.height) for p in place.strip.read]

    def _there(self, place: Place) -> list[ir.Value]:
        """The sums of a tile so far, from memory."""
        rows, parts = range(place.height), place.strip.written
        return [load_vector(self.b, self._out(place, m, p.offset), self.dtype, p.lanes, p.active) for m in rows for p in parts]

    def _out(self, place: Place, m: int, offset: int) -> ir.Value:
        """Where the sums of row m of a tile go, from a column of the strip on."""
        b = self.b
        if self.kernel.epilogue is not None:
            group = self.tile.group
            number = element_at(b, m * group + offset, [place.in_block, place.strip.in_group], [group, 1])
            return b.gep(self.pointers[self.kernel.scratch], [number], source_etype=self.element)
        assert self.kernel.c is not None, "without an epilogue, sums go to memory"
        row, column = self.kernel.c.strides[-2:]
        return self._at(self.kernel.c, [*self.batch, place.row, place.strip.column], m * row + offset * column)

    def _at(self, access: Access, index: Sequence[ir.Value], shift: int = 0) -> ir.Value:
        """Where an access is for an index of its first axes, and so many elements further."""
        place = element_at(self.b, access.offset + shift, index, access.strides)
        return self.b.gep(self.pointers[access.buffer], [place], source_etype=scalar.memory_type(access.dtype))

    # ---------------------------------------------------------------------------------------- the sums
    def _inner(self, index: list[ir.Value], place: Place, sums: list[ir.Value]) -> list[ir.Value]:
        """The loops over the inner axes that have no index yet."""
        if len(index) == len(self.kernel.inner):
            return self._multiply_add(index, place, sums)

        body = self._inner_body(index, place)
        size = self.kernel.inner[len(index)]
        if size > _UNROLLED or len(index) + 1 < len(self.kernel.inner):
            return loop(self.b, (INDEX(0), INDEX(size), 1), sums, body)
        for i in range(size):
            sums = body(INDEX(i), sums)
        return sums

    def _inner_body(self, index: list[ir.Value], place: Place) -> Callable[[ir.Value, list[ir.Value]], list[ir.Value]]:
        return lambda i, carried: self._inner([*index, i], place, carried)

    def _multiply_add(self, inner: list[ir.Value], place: Place, sums: list[ir.Value]) -> list[ir.Value]:
        b = self.b
        lead = len(self.kernel.batch) + 2
        factors = [self._factor(inner, place.strip, part) for part in place.strip.read]
        step, *steps = self.kernel.a.strides[lead - 2], *self.kernel.a.strides[lead:]
        if self.tile.rows_packed:
            step, steps = 1, [self.tile.rows]
        found = []
        for m in range(place.height):
            number = element_at(b, step * m, inner, steps)
            pointer = b.gep(self.bases[0], [number], source_etype=self.element)
            number = b.load(pointer, typ=self.element, align=self.dtype.itemsize)
            spread = {lanes: scalar.splat(b, number, lanes) for lanes in {scalar.lanes_of(f) for f in factors}}
            for k, factor in enumerate(factors):
                found.append(scalar.muladd(b, spread[scalar.lanes_of(factor)], factor, sums[m * len(factors) + k]))
        return found

    def _factor(self, inner: list[ir.Value], strip: Strip, part: Part) -> ir.Value:
        """A vector of B."""
        b = self.b
        if self.tile.packing == "none":
            lead = len(self.kernel.batch) + 2
            number = element_at(b, part.offset * self.kernel.b.strides[lead - 1], inner, self.kernel.b.strides[lead:])
            pointer = b.gep(self.bases[1], [number], source_etype=self.element)
            return load_vector(b, pointer, self.dtype, part.lanes, part.active)
        (k,) = inner
        place = self._in_panel(strip, k, INDEX(part.offset))
        return b.load(place, typ=scalar.widened(self.element, part.lanes), align=self.dtype.itemsize)

    def _in_panel(self, strip: Strip, k: ir.Value, column: ir.Value) -> ir.Value:
        """Where a row of a strip's packed panel is, from a column of the strip on."""
        depth = self.kernel.inner[-1]
        place = element_at(self.b, 0, [strip.in_group, k, column], [depth, self.tile.columns, 1])
        return self.b.gep(self.pointers[self.kernel.panel], [place], source_etype=self.element)

    # ---------------------------------------------------------------------------------------- packing
    def _pack(self, strip: Strip, width: int) -> None:
        if self.tile.packing == "straight":
            self._pack_rows(strip, width)
        else:
            self._pack_transposed(strip, width)

    def _in_rows(self, in_block: ir.Value) -> ir.Value:
        """Where the packed rows of A are, from a tile's first row in the block on: per step all rows of the tile."""
        depth = self.kernel.inner[-1]
        start = self.tile.panel(depth) - depth * self.tile.block
        place = element_at(self.b, start, [in_block], [depth])
        return self.b.gep(self.pointers[self.kernel.panel], [place], source_etype=self.element)

    def _pack_a(self, row: ir.Value, in_block: ir.Value, height: int) -> None:
        """Copy the rows of a tile, which are neighbours in memory."""
        goal = self._in_rows(in_block)
        depth = self.kernel.inner[-1]

        def step(k: ir.Value) -> None:
            for part in parts_of(height, self.tile.lanes, self.target.masks):
                source = self._at(self.kernel.a, [*self.batch, row, INDEX(0), k], part.offset)
                place = self.b.gep(goal, [element_at(self.b, part.offset, [k], [self.tile.rows])], source_etype=self.element)
                vector = load_vector(self.b, source, self.dtype, part.lanes, part.active)
                store_vector(self.b, vector, place, self.dtype, part.active)

        self._for(0, depth, 1, step)

    def _pack_rows(self, strip: Strip, width: int) -> None:
        """panel[k, :] = B[k, of the strip]."""
        parts = parts_of(width, self.tile.lanes, True)

        def row(k: ir.Value) -> None:
            for part in parts:
                pieces = [part] if self.target.masks else parts_of(part.active, part.lanes, False, part.offset)
                for piece in pieces:
                    source = self._at(self.kernel.b, [*self.batch, INDEX(0), strip.column, k], piece.offset)
                    vector = load_vector(self.b, source, self.dtype, piece.lanes, piece.active)
                    self.b.store(vector, self._in_panel(strip, k, INDEX(piece.offset)), align=self.dtype.itemsize)

        self._for(0, self.kernel.inner[0], 1, row)

    def _pack_transposed(self, strip: Strip, width: int) -> None:
        """The same where neighbours along k are neighbours in memory: square blocks, transposed in registers."""
        lanes = self.tile.lanes if self.kernel.b.strides[-1] == 1 else 1
        depth = self.kernel.inner[0]
        whole_k, whole_n = depth // lanes * lanes, width // lanes * lanes

        def square(k: ir.Value, n: ir.Value) -> None:
            step = self.kernel.b.strides[len(self.kernel.batch) + 1]
            goal = self._in_panel(strip, k, n), self.tile.columns
            transposing.turn_square(self.b, (self._along_k(strip, k, n), step), goal, self.dtype, lanes)

        def single(k: ir.Value, n: ir.Value) -> None:
            number = self.b.load(self._along_k(strip, k, n), typ=self.element, align=self.dtype.itemsize)
            self.b.store(number, self._in_panel(strip, k, n), align=self.dtype.itemsize)

        if whole_k and whole_n:
            self._for(0, whole_n, lanes, lambda n: self._for(0, whole_k, lanes, lambda k: square(k, n)))
        self._for(0, whole_n, 1, lambda n: self._for(whole_k, depth, 1, lambda k: single(k, n)))
        self._for(whole_n, width, 1, lambda n: self._for(0, depth, 1, lambda k: single(k, n)))

    def _along_k(self, strip: Strip, k: ir.Value, n: ir.Value) -> ir.Value:
        """Where B[k, n] is, for a column n of a strip."""
        return self._at(self.kernel.b, [*self.batch, INDEX(0), sum_of(self.b, strip.column, n), k])

    # ---------------------------------------------------------------------------------------- epilogue
    def _epilogue(self, row: ir.Value, height: int, column: ir.Value, width: int) -> None:
        """Run the epilogue over one block: the same nest over fewer indices, with each access moved to the block's place."""
        assert self.kernel.epilogue is not None
        sums, steps = self._turned(height, width) if self.kernel.turned else self._straight()
        pointers: list[ir.Value] = []
        known: dict[Access, int] = {}
        index = [*(i for i, n in zip(self.batch, self.kernel.batch, strict=True) if n != 1), row, column]

        def moved(access: Access) -> Access:
            base = replace(access, offset=0)
            scratch = access.buffer == SCRATCH
            if base not in known:
                known[base] = len(pointers)
                pointers.append(sums if scratch else self._at(base, index))
            strides = steps if scratch else access.strides[-2:]
            return Access(known[base], access.dtype, access.offset, strides)

        plain = map_accesses(self.kernel.epilogue, moved)
        part = Nest((height, width), (False, False), plain.values, plain.stores)
        nest.emit(self.b, simplified(part), pointers, self.target)

    def _straight(self) -> tuple[ir.Value, tuple[int, int]]:
        """Where the sums of a block are, and their strides."""
        return self.pointers[self.kernel.scratch], (self.tile.group, 1)

    def _turned(self, height: int, width: int) -> tuple[ir.Value, tuple[int, int]]:
        """The same after a copy in which neighbours along the rows lie side by side."""
        source, steps = self._straight()
        goal = self.b.gep(source, [INDEX(self.tile.block * self.tile.group)], source_etype=self.element)
        turned = (1, self.tile.block)
        places = Access(0, self.dtype, 0, steps), Access(1, self.dtype, 0, turned)
        transposing.emit(self.b, Turn((height, width), *places, first=1, last=0), (source, goal), self.target, None)
        return goal, turned
