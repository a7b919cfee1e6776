"""Machine code for products that do not multiply zeros of their left factor.

Behind a ReLU half of all numbers are zero, and so are the gradients that come back through it. A tile of many rows cannot skip
anything, since each row has its zeros elsewhere. So rows are taken in pairs, by way of bits that are noted once for each row
of A:

    word   0                        1                 …        one bit per k, 64 k in a word: set where A[m, k] is not zero
    row m  1 0 1 1 0 … 0 1          0 0 1 …
    row n  1 1 0 1 0 … 0 0          1 0 1 …
           both: 1 0 0 1 …          first alone: 0 0 1 0 …     second alone: 0 1 0 0 …

    for each group of columns:                                 (its panels of B are packed first: see `contraction`)
        for each block of up to 256 rows:
            for each strip of columns in the group:
                for each word (64 k):                          one sweep: a function of its own
                    for each pair of rows in the block:
                        for each k in both:                    load v vectors of B, 2·v multiply-adds
                        for each k in the first alone:         load v vectors of B, v multiply-adds
                        for each k in the second alone:        the same
            epilogue over the block

The 64 rows of a panel that a word stands for stay in the L1 cache while all rows of the block pass over them; the sums of the
block go to memory and back between two words, and stay in the L2 cache. For one row alone there is a load for each
multiply-add, which processors just about do in the same time; without any zeros, two rows at once are as fast as a tile of
more.

The results are those of the whole product but for the order of its sums, and do not depend on the number of threads: rows are
paired from the first one on, as every block has an even number of them. To add 0 · b for a finite b changes nothing; where a
group of columns of B has an infinity or a NaN in it, nothing is skipped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from llvmlite import ir

from chainrule.backends.native.code import scalar
from chainrule.backends.native.code.bounds import Builder
from chainrule.backends.native.code.contraction import Emitter, Strip, Tile
from chainrule.backends.native.code.loops import (
    INDEX,
    Chunk,
    Share,
    chunks_of,
    element_at,
    load_vector,
    loop,
    over_bits,
    repeat,
    store_vector,
    sum_of,
)
from chainrule.backends.native.costs import WORD_BITS
from chainrule.backends.native.plan.kernels import Contraction
from chainrule.backends.native.target import Target
from chainrule.ir import DType

_BITS = np.dtype(np.int64)


def emit(b: Builder, kernel: Contraction, pointers: Sequence[ir.Value], target: Target, share: Share | None = None) -> None:
    """Write the code of a contraction that skips zeros at the builder's position; for the arguments see `contraction.emit`."""
    _Skipping(b, kernel, pointers, target, share).run()


class _Skipping(Emitter):
    def run(self) -> None:
        """Write the whole of it."""
        self.words = self.tiling.words(self.kernel.inner[-1])
        self._private(self.kernel.nonzero, self.kernel.rows * self.words, _BITS)
        super().run()

    def _strips(self) -> None:
        # Bits are noted once for each matrix, not once for each group of columns. Every thread notes those of the rows that it
        # computes, in memory of its own, so no barrier is needed; if columns are split, that is all rows.
        self._cut(self.kernel.rows, self.tiling.block, self._note_bits, shared=self.kernel.split == "rows")
        super()._strips()

    def _pack_group(self, column: ir.Value, width: int) -> None:
        super()._pack_group(column, width)
        # One multiply-add for each k and vector of the panels, against one for each k, vector and row of the product.
        self.everything = self._bits_if_not_finite(width)

    # ---------------------------------------------------------------------------------------- bits
    def _note_bits(self, row: ir.Value, height: int) -> None:
        """For every row of a block, which elements are not zero."""
        whole, rest = divmod(self.kernel.inner[-1], WORD_BITS)

        def note(i: ir.Value, word: ir.Value, count: int) -> None:
            self.b.store(self._bits_of(i, word, count), self._word_at(i, word), align=_BITS.itemsize)

        def each(i: ir.Value) -> None:
            i = sum_of(self.b, row, i)
            self._for(0, whole, 1, lambda word: note(i, word, WORD_BITS))
            if rest:
                note(i, INDEX(whole), rest)

        self._for(0, height, 1, each)

    def _bits_of(self, row: ir.Value, word: ir.Value, count: int) -> ir.Value:
        b = self.b
        start = self._at(self.kernel.a, [row, INDEX(0), b.mul(word, INDEX(WORD_BITS))])
        bits: ir.Value = INDEX(0)
        for chunk in chunks_of(count, self.target.lanes(self.dtype), self.target.masks):
            pointer = b.gep(start, [INDEX(chunk.offset)], source_etype=self.element)
            vector = load_vector(b, pointer, self.dtype, chunk.lanes, chunk.active)
            # Unordered: a NaN counts as not zero. Lanes beyond `active` are loaded as zeros, so their bits are not set.
            found = b.fcmp_unordered("!=", vector, scalar.fill(vector.type, 0.0))
            bits = b.or_(bits, b.shl(self._as_integer(found), INDEX(chunk.offset)))
        return bits

    def _as_integer(self, found: ir.Value) -> ir.Value:
        """The lanes of a comparison as bits."""
        lanes = scalar.lanes_of(found)
        together = self.b.bitcast(found, ir.IntType(lanes)) if lanes > 1 else found
        return together if lanes == INDEX.width else self.b.zext(together, INDEX)

    def _word_at(self, row: ir.Value, word: ir.Value) -> ir.Value:
        number = element_at(self.b, 0, [row, word], [self.words, 1])
        return self.b.gep(self.pointers[self.kernel.nonzero], [number], source_etype=INDEX)

    def _bits_if_not_finite(self, width: int) -> ir.Value:
        """All bits if something in the panels of a group is not finite, else none: 0 · x is 0 for finite numbers only."""
        b = self.b
        columns = self.tiling.columns
        whole = width // columns * columns
        found: ir.Value = INDEX(0)
        if whole:
            (found,) = loop(
                b, (INDEX(0), INDEX(whole), columns), [found], lambda at, bits: [b.or_(bits[0], self._not_finite(at, columns))]
            )
        if width > whole:
            found = b.or_(found, self._not_finite(INDEX(whole), width - whole))
        return b.select(b.icmp_signed("!=", found, INDEX(0)), INDEX(-1), INDEX(0))

    def _not_finite(self, at: ir.Value, width: int) -> ir.Value:
        """Bits of lanes in which the panel of a strip holds something that is not finite."""
        strip = self._strip(INDEX(0), at, width)
        found: ir.Value = INDEX(0)
        for chunk, total in zip(strip.written, self._products_with_zero(strip), strict=True):
            bits = self._as_integer(self.b.fcmp_unordered("uno", total, total))
            # Lanes beyond the width of the strip hold nothing of meaning, NaN perhaps.
            found = self.b.or_(found, self.b.and_(bits, INDEX((1 << chunk.active) - 1)))
        return found

    def _products_with_zero(self, strip: Strip) -> list[ir.Value]:
        """Per vector of a strip, the sum of 0 · b over the panel: NaN in the lanes where something is not finite."""
        # 0 · ∞ and 0 · NaN are NaN, and stay so in the sum: a single test at the end is enough.
        zeros = [scalar.fill(scalar.widened(self.element, p.lanes), 0.0) for p in strip.read]

        def add(k: ir.Value, sums: list[ir.Value]) -> list[ir.Value]:
            factors = (self._factor([k], strip, chunk) for chunk in strip.read)
            return [scalar.muladd(self.b, zero, f, s) for zero, f, s in zip(zeros, factors, sums, strict=True)]

        return loop(self.b, (INDEX(0), INDEX(self.kernel.inner[-1]), 1), zeros, add)

    # ---------------------------------------------------------------------------------------- sums
    def _tiles(self, strip: Strip, row: ir.Value, height: int) -> None:
        """All rows of a block over the rows of a panel, 64 at a time."""
        b = self.b
        sums = self._out(Tile(strip, row, INDEX(0), 1), 0, 0)
        stride = self.tiling.group if self.kernel.c is None else self.kernel.c.strides[0]
        shape = _Strips(self.dtype, tuple(strip.read), tuple(strip.written), self.tiling.columns)

        def sweep(word: ir.Value) -> None:
            start = b.mul(word, INDEX(WORD_BITS))
            factors = self._at(self.kernel.a, [row, INDEX(0), start])
            panel = self._in_panel(strip, start, INDEX(0))
            bits = self._word_at(row, word)
            first = b.icmp_signed("==", word, INDEX(0))
            strides = INDEX(self.kernel.a.strides[0]), INDEX(self.words), INDEX(stride)
            arguments = [INDEX(height), factors, bits, panel, sums, *strides, self._within(word), first]
            # A function for all products whose strips are alike: written into every kernel, sweeps took half of the compile
            # time.
            b.shared(shape.name, lambda inside, values: _Sweep(inside, shape, values).run(), arguments)

        self._for(0, self.words, 1, sweep)

    def _within(self, word: ir.Value) -> ir.Value:
        """If nothing is to be skipped, all bits of a word that stand for an element; else none."""
        rest = self.kernel.inner[-1] % WORD_BITS
        if not rest:
            return self.everything
        last = self.b.icmp_signed("==", word, INDEX(self.words - 1))
        return self.b.and_(self.everything, self.b.select(last, INDEX((1 << rest) - 1), INDEX(-1)))


# ------------------------------------------------------------------------------------------------ sums of a block
@dataclass(frozen=True)
class _Strips:
    """What the code of a sweep depends on.

    Attributes:
        dtype: of the elements.
        read, written: the vectors of a row of B and of sums.
        columns: elements from one row of packed B to the next.
    """

    dtype: DType
    read: tuple[Chunk, ...]
    written: tuple[Chunk, ...]
    columns: int

    @property
    def name(self) -> str:
        """Of the function that all products share which have the same strips."""
        chunks = "".join(f"_{chunk.active}" for chunk in self.written)
        return f"sweep_{self.dtype}_{self.columns}{chunks}"


@dataclass(frozen=True)
class _Row:
    """Where a row's factors begin, and its vectors of sums."""

    factors: ir.Value
    sums: list[ir.Value]


class _Sweep:
    """Writes a sweep: all rows of a block over the 64 rows of a panel that a word of bits stands for.

    Args:
        b: where to.
        shape: see there.
        arguments: number of rows; pointers to their first factor, bits, row of B and sums; elements from one row to the next
            for factors, bits and sums; bits that are set in any case (all, if B is not finite); whether sums begin here, with
            zeros.
    """

    def __init__(self, b: Builder, shape: _Strips, arguments: Sequence[ir.Value]) -> None:
        self.b = b
        self.shape = shape
        self.element = scalar.element_type(shape.dtype)
        self.height, self.factors, self.bits, self.panel, self.sums, *rest = arguments
        self.factor_stride, self.words, self.sum_stride, self.forced, self.first = rest

    def run(self) -> None:
        """Write the whole of it."""
        b = self.b
        paired = b.and_(self.height, INDEX(-2))  # all rows but the last one of an odd number
        with b.if_then(b.icmp_signed(">", paired, INDEX(0))):
            repeat(b, (INDEX(0), paired, 2), self._rows)
        with b.if_then(b.icmp_signed("<", paired, self.height)):
            self._row(paired)

    def _rows(self, i: ir.Value) -> None:
        """Two rows: where both have a factor, together, so that a vector of B is loaded once; then what only one has."""
        b = self.b
        following = b.add(i, INDEX(1))
        first, second = self._bits_of(i), self._bits_of(following)
        both = b.and_(first, second)
        rows = self._row_at(i), self._row_at(following)
        # The sums of both rows are in registers until the end: 2·v sums, a vector of B at a time and two broadcasts. That is
        # why a strip has at most (registers − 4) / 2 vectors (`costs.fewest_cycles_skipping`).
        sums = self._add_products(rows, both, [total for row in rows for total in self._sums_before(row)])
        count = len(self.shape.read)
        for row, bits, begun in ((rows[0], first, sums[:count]), (rows[1], second, sums[count:])):
            self._store(row, self._add_products([row], b.xor(bits, both), begun))

    def _row(self, i: ir.Value) -> None:
        row = self._row_at(i)
        self._store(row, self._add_products([row], self._bits_of(i), self._sums_before(row)))

    def _row_at(self, i: ir.Value) -> _Row:
        sums = self._moved(self.sums, self.b.mul(i, self.sum_stride))
        pointers = [self._moved(sums, INDEX(chunk.offset)) for chunk in self.shape.written]
        return _Row(self._moved(self.factors, self.b.mul(i, self.factor_stride)), pointers)

    def _bits_of(self, i: ir.Value) -> ir.Value:
        pointer = self.b.gep(self.bits, [self.b.mul(i, self.words)], source_etype=INDEX)
        return self.b.or_(self.b.load(pointer, typ=INDEX, align=_BITS.itemsize), self.forced)

    def _add_products(self, rows: Sequence[_Row], bits: ir.Value, sums: list[ir.Value]) -> list[ir.Value]:
        """sums + A[rows, k] · B[k, :] for every k whose bit is set."""

        def step(k: ir.Value, sums: list[ir.Value]) -> list[ir.Value]:
            return self._add_step([self._moved(row.factors, k) for row in rows], k, sums)

        return over_bits(self.b, bits, sums, step)

    def _store(self, row: _Row, sums: Sequence[ir.Value]) -> None:
        for pointer, chunk, total in zip(row.sums, self.shape.written, sums, strict=True):
            store_vector(self.b, total, pointer, self.shape.dtype, chunk.active)

    def _moved(self, pointer: ir.Value, elements: ir.Value) -> ir.Value:
        return self.b.gep(pointer, [elements], source_etype=self.element)

    def _sums_before(self, row: _Row) -> list[ir.Value]:
        """Zeros at first, then what is there."""
        b, chunks = self.b, self.shape.written
        # The sums of a block do not fit the registers, so they are in memory between two words. What is there before the first
        # word is not read: it need not be cleared, and a NaN in it does no harm.
        start = b.block
        with b.if_then(b.not_(self.first)):
            found = [load_vector(b, p, self.shape.dtype, c.lanes, c.active) for p, c in zip(row.sums, chunks, strict=True)]
            loaded = b.block
        phis = [b.phi(total.type) for total in found]
        for phi, total in zip(phis, found, strict=True):
            phi.add_incoming(scalar.fill(total.type, 0.0), start)
            phi.add_incoming(total, loaded)
        return phis

    def _add_step(self, factors: Sequence[ir.Value], k: ir.Value, sums: list[ir.Value]) -> list[ir.Value]:
        b, align, chunks = self.b, self.shape.dtype.itemsize, self.shape.read
        row = self._moved(self.panel, b.mul(k, INDEX(self.shape.columns)))
        numbers = [b.load(pointer, typ=self.element, align=align) for pointer in factors]
        found = list(sums)
        # A vector of B is loaded once and used by both rows, which saves half of the loads: those are what limits one row
        # alone.
        for n, chunk in enumerate(chunks):
            vector = b.load(self._moved(row, INDEX(chunk.offset)), typ=scalar.widened(self.element, chunk.lanes), align=align)
            for j, number in enumerate(numbers):
                at = j * len(chunks) + n
                found[at] = scalar.muladd(b, scalar.splat(b, number, chunk.lanes), vector, sums[at])
        return found
