"""Machine code for contractions, C[m, n] = Σ_k A[m, k] B[k, n]: tiles of sums in registers.

How C is cut up (`plan.tiling` chooses the sizes; L is the number of lanes of a vector, v of vectors in a tile):

                   columns n of C
            │◄──────────────── group: so many strips ───────────────►│
            │◄─── strip: v·L columns ──►│◄──────── strip ─────────►│ …
         ┌──┼───────────────────────────┼───────────────────────────┼──
    rows │  │ ┌───────────────────────┐ │                           │    ▲
    m of │  │ │ tile: a few rows × v·L│ │                           │    │ block: rows whose sums wait in
     C   │  │ ├───────────────────────┤ │                           │    │ the L1 cache for their epilogue
         │  │ │ next tile             │ │                           │    ▼
         ├──┼─┴───────────────────────┴─┼───────────────────────────┼──
         │  │   next block              │                           │

The loops, outermost first. Threads share out one of those that are marked, as `Contraction.split` says:

    for each matrix of the stack                                               (split "batch")
        for each group of columns                                              (split "columns")
            pack the panels of B that belong to the group, if the tiling says so
            for each block of rows                                             (split "rows")
                pack the rows of A that belong to the block, if the tiling says so
                for each strip in the group
                    for each tile in the block
                        for each k:                          the kernel of a tile
                            load v vectors of B              v loads
                            for each row m of the tile:      one broadcast of A[m, k], v multiply-adds
                        write the sums: to C, or to scratch memory if there is an epilogue
                run the epilogue over the block

So a panel of B (depth · v·L elements) is read once per tile and stays in a cache while all blocks of rows pass over it, and the
rows of A that a tile reads are read again for the next strip.

A packed panel holds v·L elements of B for each k, one k after the other, so a tile reads it as one stream. Packed rows of A are
laid out in the same way, after all panels of the group:

    panel[strip][k][n]    at (strip · depth + k) · v·L + n
    rows[tile][k][m]      at (tile · depth + k) · rows + m

Every sum adds its products in the order of k, whoever computes it: so results do not depend on the number of threads.
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
    Chunk,
    Share,
    chunks_of,
    element_at,
    load_vector,
    loop,
    repeat,
    share_of,
    store_vector,
    sum_of,
)
from chainrule.backends.native.plan.kernels import SCRATCH, Access, Contraction, Nest, map_accesses, simplified, thread_stride
from chainrule.backends.native.plan.transposing import TransposedCopy
from chainrule.backends.native.target import Target
from chainrule.ir import DType

# Adding n products one after the other is off by up to n roundings. So at most so many are added in registers; then the sum is
# added to one in memory, and a new one begins.
_LONGEST = 2048
_LONGEST_IN_SLABS = 64 * _LONGEST  # the same where a sum goes on from slab to slab, through memory anyway
_UNROLLED = 3  # the last inner axis is written out up to this size: that of the usual kernels of convolutions


def emit(b: Builder, kernel: Contraction, pointers: Sequence[ir.Value], target: Target, share: Share | None = None) -> None:
    """Write the code of a contraction at the builder's position.

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
    read: list[Chunk]
    written: list[Chunk]


@dataclass(frozen=True)
class Tile:
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
        self.tiling = kernel.tiling
        self.dtype: DType = kernel.a.dtype
        self.element = scalar.element_type(self.dtype)
        self.batch: list[ir.Value] = []
        self.bases: tuple[ir.Value, ir.Value]  # where A and B are for a tile, at the first inner index
        self.outer: list[ir.Value] = []  # index of the inner axis that is the outermost loop, if one is

    def run(self) -> None:
        """Write the whole of it."""
        self._private(self.kernel.scratch, self.kernel.sums, self.dtype)
        self._private(self.kernel.panel, self.tiling.panel(self.kernel.inner[-1]), self.dtype)
        # The first inner axis outermost: a slab (an image of a batch, say) is read once and stays in a cache for all tiles, at
        # the price of loading and storing every sum once per slab. It pays where C is small and the sum is long.
        if not self.kernel.accumulate or len(self.kernel.inner) == 1:
            self._over_batch()
            return

        def slab(i: ir.Value) -> None:
            self.outer = [i]
            self._over_batch()

        self._for(0, self.kernel.inner[0], 1, slab)

    def _private(self, number: int, size: int, dtype: DType) -> None:
        """Move the pointer of a buffer that is private to every thread to this thread's part of it."""
        if number >= 0 and self.share is not None:
            position = self.b.mul(self.share.number, INDEX(thread_stride(size, dtype)))
            self.pointers[number] = self.b.gep(self.pointers[number], [position], source_etype=scalar.memory_type(dtype))

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
        # Only the thread that has the last unit has the shorter rest; which one that is, is known when the code runs. So the
        # rest is written once more behind the loop over whole steps.
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
        self._cut(self.kernel.columns, self.tiling.group, self._group, shared=self.kernel.split == "columns")

    def _group(self, column: ir.Value, width: int) -> None:
        if self.tiling.packing != "none":
            self._pack_group(column, width)

        def block(row: ir.Value, height: int) -> None:
            if self.tiling.rows_packed:  # once per block, for all strips of the group
                self._cut(height, self.tiling.rows, lambda i, m: self._pack_a(sum_of(self.b, row, i), i, m))
            self._cut(width, self.tiling.columns, lambda at, n: self._tiles(self._strip(column, at, n), row, height))
            if self.kernel.epilogue is not None:
                self._epilogue(row, height, column, width)

        self._cut(self.kernel.rows, self.tiling.block, block, shared=self.kernel.split == "rows")

    def _pack_group(self, column: ir.Value, width: int) -> None:
        self._cut(width, self.tiling.columns, lambda at, n: self._pack(self._strip(column, at, n), n))

    def _strip(self, column: ir.Value, at: ir.Value, width: int) -> Strip:
        """The strip of so many columns that begins at a position in the group that begins at a column."""
        read = written = chunks_of(width, self.tiling.lanes, self.target.masks)
        if self.tiling.packing != "none":
            # The packed panel has room for whole vectors, so nothing needs masking there. Lanes beyond the width hold nothing
            # of meaning; their sums are never stored.
            read = chunks_of(-(-width // self.tiling.lanes) * self.tiling.lanes, self.tiling.lanes, True)
            written = [Chunk(p.offset, p.lanes, min(p.lanes, width - p.offset)) for p in read]
        return Strip(sum_of(self.b, column, at), at, read, written)

    def _tiles(self, strip: Strip, row: ir.Value, height: int) -> None:
        self._cut(height, self.tiling.rows, lambda i, m: self._tile(Tile(strip, sum_of(self.b, row, i), i, m)))

    def _tile(self, tile: Tile) -> None:
        # Computed once for a tile: inside the loops over k only the part of an address that depends on k is added.
        self.bases = (
            self._in_rows(tile.in_block) if self.tiling.rows_packed else self._at(self.kernel.a, [*self.batch, tile.row]),
            self._at(self.kernel.b, [*self.batch, INDEX(0), tile.strip.column]),
        )
        in_slab = math.prod(self.kernel.inner[len(self.outer) :])
        if in_slab > _LONGEST or math.prod(self.kernel.inner) > _LONGEST_IN_SLABS:
            self._tile_in_runs(tile)
        else:
            self._store(tile, self._inner(list(self.outer), tile, self._start(tile)))

    def _store(self, tile: Tile, sums: Sequence[ir.Value]) -> None:
        found = iter(sums)
        for m in range(tile.height):
            for chunk in tile.strip.written:
                store_vector(self.b, next(found), self._out(tile, m, chunk.offset), self.dtype, chunk.active)

    def _tile_in_runs(self, tile: Tile) -> None:
        """Add up at most `_LONGEST` products at a time in registers, and these sums in memory."""
        first, *rest = self.kernel.inner[len(self.outer) :]
        if not self.kernel.accumulate:
            self._store(tile, self._zeros(tile))  # every run adds to what is there, the first one too

        def run(start: ir.Value, length: int) -> None:
            stop = element_at(self.b, length, [start], [1])
            sums = loop(self.b, (start, stop, 1), self._zeros(tile), self._inner_body(list(self.outer), tile))
            self._store(tile, [self.b.fadd(s, before) for s, before in zip(sums, self._there(tile), strict=True)])

        self._cut(first, min(first, max(1, _LONGEST // math.prod(rest))), run)

    def _start(self, tile: Tile) -> list[ir.Value]:
        """What the sums begin with: zeros, or what is there when they accumulate."""
        return self._there(tile) if self.kernel.accumulate else self._zeros(tile)

    def _zeros(self, tile: Tile) -> list[ir.Value]:
        return [scalar.fill(scalar.widened(self.element, p.lanes), 0.0) for _ in range(tile.height) for p in tile.strip.read]

    def _there(self, tile: Tile) -> list[ir.Value]:
        """The sums of a tile so far, from memory."""
        rows, chunks = range(tile.height), tile.strip.written
        return [load_vector(self.b, self._out(tile, m, p.offset), self.dtype, p.lanes, p.active) for m in rows for p in chunks]

    def _out(self, tile: Tile, m: int, offset: int) -> ir.Value:
        """Where the sums of row m of a tile go, from a column of the strip on."""
        b = self.b
        if self.kernel.epilogue is not None:
            group = self.tiling.group
            number = element_at(b, m * group + offset, [tile.in_block, tile.strip.in_group], [group, 1])
            return b.gep(self.pointers[self.kernel.scratch], [number], source_etype=self.element)
        assert self.kernel.c is not None, "without an epilogue, sums go to memory"
        row, column = self.kernel.c.strides[-2:]
        return self._at(self.kernel.c, [*self.batch, tile.row, tile.strip.column], m * row + offset * column)

    def _at(self, access: Access, index: Sequence[ir.Value], shift: int = 0) -> ir.Value:
        """Where an access is for an index of its first axes, and so many elements further."""
        position = element_at(self.b, access.offset + shift, index, access.strides)
        return self.b.gep(self.pointers[access.buffer], [position], source_etype=scalar.memory_type(access.dtype))

    # ---------------------------------------------------------------------------------------- the sums
    def _inner(self, index: list[ir.Value], tile: Tile, sums: list[ir.Value]) -> list[ir.Value]:
        """The loops over the inner axes that have no index yet."""
        if len(index) == len(self.kernel.inner):
            return self._multiply_add(index, tile, sums)

        body = self._inner_body(index, tile)
        size = self.kernel.inner[len(index)]
        # Three by three weights: unrolled, the three multiply-adds need no counter, and their addresses are constants.
        if size > _UNROLLED or len(index) + 1 < len(self.kernel.inner):
            return loop(self.b, (INDEX(0), INDEX(size), 1), sums, body)
        for i in range(size):
            sums = body(INDEX(i), sums)
        return sums

    def _inner_body(self, index: list[ir.Value], tile: Tile) -> Callable[[ir.Value, list[ir.Value]], list[ir.Value]]:
        return lambda i, carried: self._inner([*index, i], tile, carried)

    def _multiply_add(self, inner: list[ir.Value], tile: Tile, sums: list[ir.Value]) -> list[ir.Value]:
        b = self.b
        lead = len(self.kernel.batch) + 2
        # v vectors of B are loaded once and used by every row of the tile; each number of A is loaded once and used by v
        # vectors. The tile is chosen so that its sums, these vectors and one broadcast fit the registers.
        factors = [self._factor(inner, tile.strip, chunk) for chunk in tile.strip.read]
        stride, *strides = self.kernel.a.strides[lead - 2], *self.kernel.a.strides[lead:]
        if self.tiling.rows_packed:
            stride, strides = 1, [self.tiling.rows]  # the rows of a tile lie side by side for each k
        found = []
        for m in range(tile.height):
            number = element_at(b, stride * m, inner, strides)
            pointer = b.gep(self.bases[0], [number], source_etype=self.element)
            number = b.load(pointer, typ=self.element, align=self.dtype.itemsize)
            spread = {lanes: scalar.splat(b, number, lanes) for lanes in {scalar.lanes_of(f) for f in factors}}
            for k, factor in enumerate(factors):
                found.append(scalar.muladd(b, spread[scalar.lanes_of(factor)], factor, sums[m * len(factors) + k]))
        return found

    def _factor(self, inner: list[ir.Value], strip: Strip, chunk: Chunk) -> ir.Value:
        """A vector of B."""
        b = self.b
        if self.tiling.packing == "none":
            lead = len(self.kernel.batch) + 2
            number = element_at(b, chunk.offset * self.kernel.b.strides[lead - 1], inner, self.kernel.b.strides[lead:])
            pointer = b.gep(self.bases[1], [number], source_etype=self.element)
            return load_vector(b, pointer, self.dtype, chunk.lanes, chunk.active)
        (k,) = inner
        pointer = self._in_panel(strip, k, INDEX(chunk.offset))
        return b.load(pointer, typ=scalar.widened(self.element, chunk.lanes), align=self.dtype.itemsize)

    def _in_panel(self, strip: Strip, k: ir.Value, column: ir.Value) -> ir.Value:
        """Where a row of a strip's packed panel is, from a column of the strip on."""
        depth = self.kernel.inner[-1]
        position = element_at(self.b, 0, [strip.in_group, k, column], [depth, self.tiling.columns, 1])
        return self.b.gep(self.pointers[self.kernel.panel], [position], source_etype=self.element)

    # ---------------------------------------------------------------------------------------- packing
    def _pack(self, strip: Strip, width: int) -> None:
        if self.tiling.packing == "straight":
            self._pack_rows(strip, width)
        else:
            self._pack_transposed(strip, width)

    def _in_rows(self, in_block: ir.Value) -> ir.Value:
        """Where the packed rows of A are, from a tile's first row in the block on: all rows of the tile for each k."""
        depth = self.kernel.inner[-1]
        start = self.tiling.panel(depth) - depth * self.tiling.block
        position = element_at(self.b, start, [in_block], [depth])
        return self.b.gep(self.pointers[self.kernel.panel], [position], source_etype=self.element)

    def _pack_a(self, row: ir.Value, in_block: ir.Value, height: int) -> None:
        """Copy the rows of a tile, which are contiguous in memory."""
        destination = self._in_rows(in_block)
        depth = self.kernel.inner[-1]

        def step(k: ir.Value) -> None:
            for chunk in chunks_of(height, self.tiling.lanes, self.target.masks):
                source = self._at(self.kernel.a, [*self.batch, row, INDEX(0), k], chunk.offset)
                pointer = self.b.gep(
                    destination, [element_at(self.b, chunk.offset, [k], [self.tiling.rows])], source_etype=self.element
                )
                vector = load_vector(self.b, source, self.dtype, chunk.lanes, chunk.active)
                store_vector(self.b, vector, pointer, self.dtype, chunk.active)

        self._for(0, depth, 1, step)

    def _pack_rows(self, strip: Strip, width: int) -> None:
        """panel[k, :] = B[k, of the strip]."""
        chunks = chunks_of(width, self.tiling.lanes, True)

        def row(k: ir.Value) -> None:
            for chunk in chunks:
                # What lies behind the last column is no part of B: without masks, it is read in shorter vectors.
                narrow = [chunk] if self.target.masks else chunks_of(chunk.active, chunk.lanes, False, chunk.offset)
                for p in narrow:
                    source = self._at(self.kernel.b, [*self.batch, INDEX(0), strip.column, k], p.offset)
                    vector = load_vector(self.b, source, self.dtype, p.lanes, p.active)
                    self.b.store(vector, self._in_panel(strip, k, INDEX(p.offset)), align=self.dtype.itemsize)

        self._for(0, self.kernel.inner[0], 1, row)

    def _pack_transposed(self, strip: Strip, width: int) -> None:
        """The same where B is contiguous along k: square blocks, transposed in registers."""
        # Squares of lanes × lanes are read along k, where B is contiguous, and written along n. If it is contiguous along
        # neither, every number is moved by itself.
        lanes = self.tiling.lanes if self.kernel.b.strides[-1] == 1 else 1
        depth = self.kernel.inner[0]
        whole_k, whole_n = depth // lanes * lanes, width // lanes * lanes

        def square(k: ir.Value, n: ir.Value) -> None:
            stride = self.kernel.b.strides[len(self.kernel.batch) + 1]
            destination = self._in_panel(strip, k, n), self.tiling.columns
            transposing.transpose_square(self.b, (self._along_k(strip, k, n), stride), destination, self.dtype, lanes)

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
        """Run the epilogue over one block: the same nest over fewer indices, with each access moved to the block's position."""
        assert self.kernel.epilogue is not None
        sums, strides_of_sums = self._transposed_sums(height, width) if self.kernel.transposed else self._sums_in_scratch()
        pointers: list[ir.Value] = []
        known: dict[Access, int] = {}  # one pointer for all accesses that differ in their offset only: fewer live registers
        index = [*(i for i, n in zip(self.batch, self.kernel.batch, strict=True) if n != 1), row, column]

        def moved(access: Access) -> Access:
            base = replace(access, offset=0)
            scratch = access.buffer == SCRATCH
            if base not in known:
                known[base] = len(pointers)
                pointers.append(sums if scratch else self._at(base, index))
            strides = strides_of_sums if scratch else access.strides[-2:]
            return Access(known[base], access.dtype, access.offset, strides)

        plain = map_accesses(self.kernel.epilogue, moved)
        block = Nest((height, width), (False, False), plain.values, plain.stores)
        nest.emit(self.b, simplified(block), pointers, self.target)

    def _sums_in_scratch(self) -> tuple[ir.Value, tuple[int, int]]:
        """Where the sums of a block are, and their strides."""
        return self.pointers[self.kernel.scratch], (self.tiling.group, 1)

    def _transposed_sums(self, height: int, width: int) -> tuple[ir.Value, tuple[int, int]]:
        """The same after a copy that is contiguous along the rows."""
        # The copy stays in the L1 cache. Without it every load of sums, or every access to state, would hop from row to row.
        source, strides = self._sums_in_scratch()
        destination = self.b.gep(source, [INDEX(self.tiling.block * self.tiling.group)], source_etype=self.element)
        transposed = (1, self.tiling.block)
        accesses = Access(0, self.dtype, 0, strides), Access(1, self.dtype, 0, transposed)
        transposing.emit(
            self.b, TransposedCopy((height, width), *accesses, first=1, last=0), (source, destination), self.target, None
        )
        return destination, transposed
