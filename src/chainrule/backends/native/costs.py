"""What products are expected to cost on a processor: a rough model that counts loads and multiply-adds.

A tile of m rows and v vectors of columns keeps m · v sums in registers. Per step of the inner axis it needs v loads of B, m
broadcasts of A, and m · v multiply-adds; processors do two of each kind per cycle, and a sum can take its next term only four
cycles after the last.

The rewriter asks whether it pays to skip zeros, the planner which tile is best; so this lies below both.
"""

from __future__ import annotations

import math

from chainrule.backends.native.target import Target
from chainrule.ir import DType

WORD_BITS = 64  # indices of the inner axis whose zeros are noted in one integer
MOST_NONZERO = 0.5  # share of elements that are not zero, up to which zeros are skipped
L1_BYTES = 32 * 1024
_DEEPEST_SKIPPING = 8192  # products of a sum: skipping adds them up one after the other
_LATENCY = 4.0  # cycles until a sum can take its next term


def skipping_pays(rows: int, columns: int, depth: int, *, share: float, dtype: DType, target: Target) -> bool:
    """Whether a product is faster without multiplying zeros of A, of which `share` is expected not to be zero."""
    if share > MOST_NONZERO or min(rows, columns, depth) == 0 or depth > _DEEPEST_SKIPPING:
        return False
    skipping, _ = fewest_cycles_skipping(rows, columns, depth, share, dtype=dtype, target=target)
    dense, _, _ = fewest_cycles(rows, math.ceil(columns / lanes_for(columns, dtype, target)), depth, target)
    return skipping < dense


def fewest_cycles_skipping(
    rows: int, columns: int, depth: int, share: float, *, dtype: DType, target: Target
) -> tuple[float, int]:
    """The expected time of a product that skips zeros, packing of B included, and the vectors of its strips."""
    total = math.ceil(columns / lanes_for(columns, dtype, target))
    # Sums of two rows in registers; and `WORD_BITS` rows of a strip's panel in the L1 cache, where all rows of a block read
    # them.
    most = min(total, (target.registers - 4) // 2, L1_BYTES // (WORD_BITS * target.vector_bytes))
    packing = 3.0 * depth * total  # a load, a store, and what transposing takes, for each vector of B

    def strip(v: int) -> float:
        # For each k: one vector of B serves both rows if both have a factor, else every multiply-add has a load of its own.
        both, alone = (max(_LATENCY, work / target.rate) for work in (2 * v, v + 1))
        per_step = share * share * both / 2 + share * (1 - share) * alone
        return depth * per_step + math.ceil(depth / WORD_BITS) * (15 + 3 * v)  # sums go to memory and back for every word

    def cycles(v: int) -> float:
        whole, rest = divmod(total, v)
        return rows * (whole * strip(v) + (strip(rest) if rest else 0.0)) + packing

    vectors = min(range(1, most + 1), key=lambda v: (cycles(v), -v))
    return cycles(vectors), vectors


def fewest_cycles(rows: int, vectors: int, depth: int, target: Target, most_rows: int = 14) -> tuple[float, int, int]:
    """The expected time of a product by the best tile, and the rows and vectors of that."""
    # m · v sums, v vectors of B, and two registers for broadcasts must fit.
    shapes = (
        (m, v)
        for v in range(1, min(vectors, 6) + 1)
        for m in range(1, min(rows, (target.registers - 2 - v) // v, most_rows) + 1)
    )
    return min(((_cycles(rows, vectors, depth, m, v, rate=target.rate), m, v) for m, v in shapes), key=lambda found: found[0])


def _cycles(rows: int, vectors: int, depth: int, m: int, v: int, *, rate: int) -> float:
    """The expected time with tiles of m rows and v vectors, the smaller ones at both edges included."""
    total = 0.0
    for count_m, tile_m in ((rows // m, m), (1, rows % m)):
        for count_v, tile_v in ((vectors // v, v), (1, vectors % v)):
            if count_m and count_v and tile_m and tile_v:
                # Limited by the latency of a sum's multiply-adds, by their number, or by loads and broadcasts.
                per_step = max(_LATENCY, tile_m * tile_v / rate, (tile_m + tile_v) / rate)
                total += count_m * count_v * (depth * per_step + 10 + 2 * tile_m * tile_v)
    return total


def lanes_for(columns: int, dtype: DType, target: Target) -> int:
    """Elements of the vectors that so many columns are cut into."""
    return min(target.lanes(dtype), max(1, 1 << (columns - 1).bit_length()))
