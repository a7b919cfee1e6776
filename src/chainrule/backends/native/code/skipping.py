"""Machine code for products that do not multiply zeros of their left factor.

Behind a ReLU half of all numbers are zero, and so are the gradients that come back through it. Of every row of A the bits of
what is not zero are noted once. Then

    for each strip of columns:                       (the panel of B that goes with it is packed first)
        for each block of rows, for each `WORD_BITS` indices k of the inner axis:
            for each two rows: for each k whose bits are set in both: multiply-add a row of B to the sums of both
                               for each of them, for each k whose bit is set in it alone: to its own sums

The piece of B for so many k stays in the first-level cache while all rows of the block go over it. For one row alone there is a
load for each multiply-add, which processors just about do in the same time; without zeros, two rows at once are as fast as a
tile of more.

The results are those of the whole product but for the order of its sums, and do not depend on the number of threads: rows are
paired from the first one on. To add 0 · b for a finite b changes nothing; where a group of columns of B has an infinity or a
NaN in it, nothing is skipped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from llvmlite import ir

from chainrule.backends.native.code import scalar
from chainrule.backends.native.code.bounds import Builder
from chainrule.backends.native.code.contraction import Emitter, Place, Strip
from chainrule.backends.native.code.loops import (
    INDEX,
    Part,
    Share,
    element_at,
    load_vector,
    loop,
    over_bits,
    parts_of,
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
    """Write the code of a contraction that skips zeros at the builder's place; for the arguments see `contraction.emit`."""
    _Skipping(b, kernel, pointers, target, share).run()


class _Skipping(Emitter):
    def run(self) -> None:
        """Write the whole of it."""
        self.words = self.tile.words(self.kernel.inner[-1])
        self._own(self.kernel.nonzero, self.kernel.rows * self.words, _BITS)
        super().run()

    def _strips(self) -> None:
        self._cut(self.kernel.rows, self.tile.block, self._note_bits, shared=self.kernel.split == "rows")
        super()._strips()

    def _pack_group(self, column: ir.Value, width: int) -> None:
        super()._pack_group(column, width)
        self.everything = self._bits_if_not_finite(width)

    # ---------------------------------------------------------------------------------------- bits
    def _note_bits(self, row: ir.Value, height: int) -> None:
        """For every row of a block, which elements are not zero."""
        whole, rest = divmod(self.kernel.inner[-1], WORD_BITS)

        def note(i: ir.Value, word: ir.Value, count: int) -> None:
            self.b.store(self._bits_of(i, word, count), self._place_of_word(i, word), align=_BITS.itemsize)

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
        for part in parts_of(count, self.target.lanes(self.dtype), self.target.masks):
            place = b.gep(start, [INDEX(part.offset)], source_etype=self.element)
            vector = load_vector(b, place, self.dtype, part.lanes, part.active)
            found = b.fcmp_unordered("!=", vector, scalar.fill(vector.type, 0.0))
            bits = b.or_(bits, b.shl(self._as_integer(found), INDEX(part.offset)))
        return bits

    def _as_integer(self, found: ir.Value) -> ir.Value:
        """The lanes of a comparison as bits."""
        lanes = scalar.lanes_of(found)
        together = self.b.bitcast(found, ir.IntType(lanes)) if lanes > 1 else found
        return together if lanes == INDEX.width else self.b.zext(together, INDEX)

    def _place_of_word(self, row: ir.Value, word: ir.Value) -> ir.Value:
        number = element_at(self.b, 0, [row, word], [self.words, 1])
        return self.b.gep(self.pointers[self.kernel.nonzero], [number], source_etype=INDEX)

    def _bits_if_not_finite(self, width: int) -> ir.Value:
        """All bits if something in the panels of a group is not finite, else none: 0 · x is 0 for finite numbers only."""
        b = self.b
        columns = self.tile.columns
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
        for part, total in zip(strip.written, self._products_with_zero(strip), strict=True):
            bits = self._as_integer(self.b.fcmp_unordered("uno", total, total))
            found = self.b.or_(found, self.b.and_(bits, INDEX((1 << part.active) - 1)))
        return found

    def _products_with_zero(self, strip: Strip) -> list[ir.Value]:
        """Per vector of a strip, the sum of 0 · b over the panel: NaN in the lanes where something is not finite."""
        zeros = [scalar.fill(scalar.widened(self.element, p.lanes), 0.0) for p in strip.read]

        def add(k: ir.Value, sums: list[ir.Value]) -> list[ir.Value]:
            factors = (self._factor([k], strip, part) for part in strip.read)
            return [scalar.muladd(self.b, zero, f, s) for zero, f, s in zip(zeros, factors, sums, strict=True)]

        return loop(self.b, (INDEX(0), INDEX(self.kernel.inner[-1]), 1), zeros, add)

    # ---------------------------------------------------------------------------------------- sums
    def _tiles(self, strip: Strip, row: ir.Value, height: int) -> None:
        """All rows of a block over the pieces of B that belong to one word of bits after the other."""
        b = self.b
        sums = self._out(Place(strip, row, INDEX(0), 1), 0, 0)
        step = self.tile.group if self.kernel.c is None else self.kernel.c.strides[0]
        shape = _Shape(self.dtype, tuple(strip.read), tuple(strip.written), self.tile.columns)

        def sweep(word: ir.Value) -> None:
            start = b.mul(word, INDEX(WORD_BITS))
            factors = self._at(self.kernel.a, [row, INDEX(0), start])
            panel = self._in_panel(strip, start, INDEX(0))
            bits = self._place_of_word(row, word)
            first = b.icmp_signed("==", word, INDEX(0))
            steps = INDEX(self.kernel.a.strides[0]), INDEX(self.words), INDEX(step)
            arguments = [INDEX(height), factors, bits, panel, sums, *steps, self._within(word), first]
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
class _Shape:
    """What the code of a sweep depends on.

    Attributes:
        dtype: of the elements.
        read, written: the vectors of a row of B and of sums.
        columns: elements from one row of packed B to the next.
    """

    dtype: DType
    read: tuple[Part, ...]
    written: tuple[Part, ...]
    columns: int

    @property
    def name(self) -> str:
        """Of the function that all products share which have the same strips."""
        parts = "".join(f"_{part.active}" for part in self.written)
        return f"sweep_{self.dtype}_{self.columns}{parts}"


@dataclass(frozen=True)
class _Row:
    """Where a row's factors begin, and its vectors of sums."""

    factors: ir.Value
    sums: list[ir.Value]


class _Sweep:
    """Writes a sweep: all rows of a block over the piece of B that belongs to a word of bits.

    Args:
        b: where to.
        shape: see there.
        arguments: number of rows; pointers to their first factor, bits, row of B and sums; elements from one row to the next
            for factors, bits and sums; bits that are set in any case; whether sums begin here, with zeros.
    """

    def __init__(self, b: Builder, shape: _Shape, arguments: Sequence[ir.Value]) -> None:
        self.b = b
        self.shape = shape
        self.element = scalar.element_type(shape.dtype)
        self.height, self.factors, self.bits, self.panel, self.sums, *rest = arguments
        self.step, self.words, self.row, self.every, self.first = rest

    def run(self) -> None:
        """Write the whole of it."""
        b = self.b
        paired = b.and_(self.height, INDEX(-2))
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
        rows = self._place(i), self._place(following)
        sums = self._add_products(rows, both, [total for row in rows for total in self._sums_before(row)])
        count = len(self.shape.read)
        for row, bits, part in ((rows[0], first, sums[:count]), (rows[1], second, sums[count:])):
            self._store(row, self._add_products([row], b.xor(bits, both), part))

    def _row(self, i: ir.Value) -> None:
        row = self._place(i)
        self._store(row, self._add_products([row], self._bits_of(i), self._sums_before(row)))

    def _place(self, i: ir.Value) -> _Row:
        sums = self._moved(self.sums, self.b.mul(i, self.row))
        places = [self._moved(sums, INDEX(part.offset)) for part in self.shape.written]
        return _Row(self._moved(self.factors, self.b.mul(i, self.step)), places)

    def _bits_of(self, i: ir.Value) -> ir.Value:
        place = self.b.gep(self.bits, [self.b.mul(i, self.words)], source_etype=INDEX)
        return self.b.or_(self.b.load(place, typ=INDEX, align=_BITS.itemsize), self.every)

    def _add_products(self, rows: Sequence[_Row], bits: ir.Value, sums: list[ir.Value]) -> list[ir.Value]:
        """sums + A[rows, k] · B[k, :] for every k whose bit is set."""

        def step(k: ir.Value, sums: list[ir.Value]) -> list[ir.Value]:
            return self._add_step([self._moved(row.factors, k) for row in rows], k, sums)

        return over_bits(self.b, bits, sums, step)

    def _store(self, row: _Row, sums: Sequence[ir.Value]) -> None:
        for place, part, total in zip(row.sums, self.shape.written, sums, strict=True):
            store_vector(self.b, total, place, self.shape.dtype, part.active)

    def _moved(self, pointer: ir.Value, elements: ir.Value) -> ir.Value:
        return self.b.gep(pointer, [elements], source_etype=self.element)

    def _sums_before(self, row: _Row) -> list[ir.Value]:
        """Zeros at first, then what is there."""
        b, parts = self.b, self.shape.written
        start = b.block
        with b.if_then(b.not_(self.first)):
            found = [
                load_vector(b, p, self.shape.dtype, part.lanes, part.active) for p, part in zip(row.sums, parts, strict=True)
            ]
            loaded = b.block
        phis = [b.phi(total.type) for total in found]
        for phi, total in zip(phis, found, strict=True):
            phi.add_incoming(scalar.fill(total.type, 0.0), start)
            phi.add_incoming(total, loaded)
        return phis

    def _add_step(self, factors: Sequence[ir.Value], k: ir.Value, sums: list[ir.Value]) -> list[ir.Value]:
        b, align, parts = self.b, self.shape.dtype.itemsize, self.shape.read
        row = self._moved(self.panel, b.mul(k, INDEX(self.shape.columns)))
        numbers = [b.load(place, typ=self.element, align=align) for place in factors]
        found = list(sums)
        for n, part in enumerate(parts):
            vector = b.load(self._moved(row, INDEX(part.offset)), typ=scalar.widened(self.element, part.lanes), align=align)
            for j, number in enumerate(numbers):
                at = j * len(parts) + n
                found[at] = scalar.muladd(b, scalar.splat(b, number, part.lanes), vector, sums[at])
        return found
