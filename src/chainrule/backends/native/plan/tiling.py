"""How a contraction is cut up: the tile that is held in registers, what is packed, and what threads share out."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

from chainrule.backends.native.costs import L1_BYTES, MOST_NONZERO, WORD_BITS, fewest_cycles, fewest_cycles_skipping, lanes_for
from chainrule.backends.native.target import Target
from chainrule.ir import DType

Packing = Literal["none", "straight", "transposed"]
Split = Literal["none", "batch", "columns", "rows"]
_BLOCK_BYTES = 4 * 1024  # sums of a block wait for their epilogue in the first-level cache
_LARGE_BYTES = 1024 * 1024  # of an updated matrix, whose rows then are read and written in long pieces
_PIECE_BYTES = 8 * 1024  # of such a piece, at most
_SKIPPING_PIECE_BYTES = 4 * 1024  # the same where zeros are skipped: many more rows wait there
_SCATTERED_BYTES = 1024  # from one row to the next, from which on rows are packed
_SKIPPING_BLOCK = 256  # rows for which a piece of B stays in the first-level cache, while their sums stay in the second
_ABOUT = 0.95  # shares that differ by less than this are taken as equal


@dataclass(frozen=True)
class Tiling:
    """A way to cut up a contraction.

    Attributes:
        rows, vectors: of a tile; a vector has `lanes` columns.
        lanes: elements in a vector.
        block: rows that are finished before the epilogue runs over them; a multiple of `rows`, or all.
        strips: of columns that are finished before the epilogue runs over them.
        skipping: whether zeros of A are not multiplied (see `skipping`).
        rows_packed: whether a block of rows of A is copied first, so that what a tile needs in a step lies in order.
        packing: how the panel of B that goes with a strip of columns is copied first, so that it lies in order.
        cycles: what the model expects.
    """

    rows: int
    vectors: int
    lanes: int
    block: int
    packing: Packing
    cycles: float
    strips: int = 1
    rows_packed: bool = False
    skipping: bool = False

    @property
    def columns(self) -> int:
        """Columns of a tile."""
        return self.vectors * self.lanes

    @property
    def group(self) -> int:
        """Columns that the epilogue runs over at a time."""
        return self.strips * self.columns

    def panel(self, depth: int) -> int:
        """Elements of packed rows of B, and after them of packed rows of A, for so many steps of the inner axis."""
        return depth * ((self.group if self.packing != "none" else 0) + (self.block if self.rows_packed else 0))

    def words(self, depth: int) -> int:
        """Integers per row of A whose bits say which of so many elements are not zero, if zeros are skipped."""
        return math.ceil(depth / WORD_BITS) if self.skipping else 0


def choose(
    rows: int,
    columns: int,
    inner: tuple[int, ...],
    strides_of_a: tuple[int, ...],
    strides_of_b: tuple[int, ...],
    *,
    dtype: DType,
    target: Target,
    epilogue: bool,
    updates: bool = False,
    repeats: int = 1,
) -> Tiling:
    """The tile with the least expected time.

    Args:
        rows, columns, inner: sizes.
        strides_of_a: elements from one row of A to the next, and from one index of each inner axis to the next.
        strides_of_b: elements from one column of B to the next, and from one index of each inner axis to the next.
        dtype: float32 or float64.
        target: the processor.
        epilogue: whether finished tiles are computed on.
        updates: whether that writes state: a matrix of weights and its moments.
        repeats: how many such products there are, one after the other.
    """
    depth = math.prod(inner)
    lanes = lanes_for(columns, dtype, target)
    total = math.ceil(columns / lanes)
    most = _rows_that_fit_the_cache(strides_of_a, dtype.itemsize)
    cycles, m, vectors = fewest_cycles(rows, total, depth, target, most)
    packing = _packing(rows // m, depth * vectors * lanes * dtype.itemsize, strides_of_b, dtype.itemsize)
    assert packing == "none" or len(inner) == 1, "only matrix products need packing; convolutions are given neighbours"
    block, strips = rows, 1
    if epilogue:
        width = vectors * lanes * dtype.itemsize
        block = min(rows, max(1, _BLOCK_BYTES // width // m) * m)
        if updates and rows * columns * dtype.itemsize > _LARGE_BYTES:
            strips = max(1, min(_PIECE_BYTES // width, math.ceil(total / vectors)))
    rows_packed = strips > 1 and strides_of_a[0] == 1 and strides_of_a[-1] * dtype.itemsize >= _SCATTERED_BYTES
    return Tiling(m, vectors, lanes, block, packing, cycles * repeats, strips, rows_packed)


def choose_skipping(
    rows: int, columns: int, depth: int, strides_of_b: tuple[int, ...], *, dtype: DType, target: Target, updates: bool = False
) -> Tiling:
    """The tile of a product that skips zeros: two rows, and columns of B that stay in the L1 cache for `WORD_BITS` indices.

    Args:
        rows, columns, depth: sizes.
        strides_of_b, dtype, target, updates: see `choose`.
    """
    lanes = lanes_for(columns, dtype, target)
    cycles, vectors = fewest_cycles_skipping(rows, columns, depth, MOST_NONZERO, dtype=dtype, target=target)
    strips = 1
    if updates and rows * columns * dtype.itemsize > _LARGE_BYTES:
        strips = max(1, min(_SKIPPING_PIECE_BYTES // (vectors * lanes * dtype.itemsize), math.ceil(columns / lanes / vectors)))
    packing: Packing = "straight" if strides_of_b[0] == 1 else "transposed"
    return Tiling(2, vectors, lanes, min(rows, _SKIPPING_BLOCK), packing, cycles, strips, skipping=True)


def _rows_that_fit_the_cache(strides_of_a: tuple[int, ...], itemsize: int) -> int:
    """Rows of A that can be read side by side. Those a multiple of 4096 bytes apart all want the same places in the first-level
    cache, of which there are 8 to 12."""
    return 8 if strides_of_a[-1] == 1 and strides_of_a[0] * itemsize % 4096 == 0 else 14


def _packing(tiles: int, panel_bytes: int, strides_of_b: tuple[int, ...], itemsize: int) -> Packing:
    """Packing costs a pass over B. It is needed where columns are not neighbours, and pays where a panel is read many times
    but is too scattered to stay in the first-level cache."""
    if strides_of_b[0] != 1:
        return "transposed"
    spread = strides_of_b[1] * itemsize
    alone = len(strides_of_b) == 2
    scattered = spread >= _SCATTERED_BYTES and (panel_bytes > L1_BYTES or spread % 4096 == 0)
    return "straight" if alone and tiles >= 8 and scattered else "none"


def share_out(
    tiling: Tiling, batch: int, rows: int, columns: int, threads: int, *, updates: bool = False
) -> tuple[Tiling, Split]:
    """What several threads share out, so that the one with the most has the least; splitting rows may need other blocks.

    Products that update a matrix are shared out by rows if that is about as good: then each thread writes the rows that it
    reads in the forward pass (the columns of the result there), and need not take them from another processor's cache.
    """
    if threads == 1:
        return tiling, "none"
    share = math.ceil(rows / threads / tiling.rows) * tiling.rows
    block = math.ceil(share / math.ceil(share / tiling.block) / tiling.rows) * tiling.rows
    largest: dict[Split, float] = {
        "batch": _largest_share(batch, 1, threads),
        "columns": _largest_share(columns, tiling.group, threads),
        "rows": _largest_share(rows, block, threads) * (_ABOUT if updates else 1.0),
    }
    best = min(largest, key=lambda name: largest[name])
    return (replace(tiling, block=block), "rows") if best == "rows" else (tiling, best)


def _largest_share(size: int, step: int, threads: int) -> float:
    """The part of the indices that the busiest thread has, where steps are dealt out in one run to each."""
    units = math.ceil(size / step)
    edges = [min(size, units * t // threads * step) for t in range(threads + 1)]
    return max(b - a for a, b in pairwise(edges)) / size
