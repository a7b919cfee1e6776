"""Machine code for random numbers: Philox4x32-10, vectors of blocks at a time (see `chainrule.ops.random`)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from llvmlite import ir

from chainrule.backends.native.code import scalar
from chainrule.backends.native.code.bounds import Builder
from chainrule.backends.native.code.loops import INDEX, repeat
from chainrule.backends.native.plan.kernels import Draw
from chainrule.backends.native.target import Target

_WORD, _WIDE = ir.IntType(32), ir.IntType(64)
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)
_ROUNDS = 10


def emit(b: Builder, draw: Draw, pointers: Sequence[ir.Value], target: Target) -> None:
    """Fill buffer 1 with `draw.count` numbers from the key (seed, draw) in buffer 0.

    Whole vectors of blocks are followed by single blocks; what a last, partial block has too much is not written.
    """
    per_block = _per_block(draw)
    blocks = draw.count // per_block
    lanes = target.vector_bytes // 8
    whole = blocks // lanes * lanes
    words = partial(_philox, b, _key_words(b, pointers[0]))
    write = partial(_write, b, draw, pointers[1])
    if whole:
        repeat(b, (INDEX(0), INDEX(whole), lanes), lambda i: write(i, words(i, lanes), count=per_block))
    if blocks > whole:
        repeat(b, (INDEX(whole), INDEX(blocks), 1), lambda i: write(i, words(i, 1), count=per_block))
    if draw.count % per_block:
        write(INDEX(blocks), words(INDEX(blocks), 1), count=draw.count % per_block)


def _per_block(draw: Draw) -> int:
    """Numbers made of the four words of a block."""
    return 4 if draw.dtype == np.float32 else 2


def _key_words(b: Builder, pointer: ir.Value) -> list[ir.Value]:
    """Seed low, seed high, draw low, draw high."""
    words = []
    for k in range(2):
        whole = b.load(b.gep(pointer, [INDEX(k)], source_etype=_WIDE), typ=_WIDE, align=8)
        words += [b.trunc(whole, _WORD), b.trunc(b.lshr(whole, _WIDE(32)), _WORD)]
    return words


def _write(b: Builder, draw: Draw, out: ir.Value, first: ir.Value, words: list[ir.Value], *, count: int) -> None:
    """The first `count` numbers of every block from `first`, whose words are given."""
    singles = draw.dtype == np.float32
    numbers = [_single(b, w) for w in words] if singles else [_double(b, *words[:2]), _double(b, *words[2:])]
    start = b.mul(first, INDEX(_per_block(draw)))
    element = scalar.element_type(draw.dtype)
    if scalar.lanes_of(words[0]) > 1:
        b.store(_interleaved(b, numbers), b.gep(out, [start], source_etype=element), align=draw.dtype.itemsize)
        return
    for k in range(count):
        b.store(numbers[k], b.gep(out, [b.add(start, INDEX(k))], source_etype=element), align=draw.dtype.itemsize)


def _philox(b: Builder, key: Sequence[ir.Value], first: ir.Value, lanes: int) -> list[ir.Value]:
    wide, word = scalar.widened(_WIDE, lanes), scalar.widened(_WORD, lanes)
    numbers = scalar.splat(b, first, lanes)
    if lanes > 1:
        numbers = b.add(numbers, ir.Constant(wide, list(range(lanes))))
    c0, c1 = b.trunc(numbers, word), b.trunc(b.lshr(numbers, scalar.fill(wide, 32)), word)
    k0, k1, c2, c3 = (scalar.splat(b, k, lanes) for k in key)
    for _ in range(_ROUNDS):
        low0, high0 = _product(b, c0, _MULTIPLIERS[0], wide, word)
        low1, high1 = _product(b, c2, _MULTIPLIERS[1], wide, word)
        c0, c1, c2, c3 = b.xor(b.xor(high1, c1), k0), low1, b.xor(b.xor(high0, c3), k1), low0
        k0, k1 = b.add(k0, scalar.fill(word, _WEYL[0])), b.add(k1, scalar.fill(word, _WEYL[1]))
    return [c0, c1, c2, c3]


def _product(b: Builder, c: ir.Value, multiplier: int, wide: ir.Type, word: ir.Type) -> tuple[ir.Value, ir.Value]:
    """Low and high half of a product of words."""
    product = b.mul(b.zext(c, wide), scalar.fill(wide, multiplier))
    return b.trunc(product, word), b.trunc(b.lshr(product, scalar.fill(wide, 32)), word)


def _single(b: Builder, word: ir.Value) -> ir.Value:
    """24 bits as a float32 in [0, 1)."""
    bits = b.lshr(word, scalar.fill(word.type, 8))
    type = scalar.widened(ir.FloatType(), scalar.lanes_of(word))
    return b.fmul(b.sitofp(bits, type), scalar.fill(type, 2.0**-24))


def _double(b: Builder, first: ir.Value, second: ir.Value) -> ir.Value:
    """27 and 26 bits as a float64 in [0, 1); the halves are converted by themselves, as 32-bit integers."""
    type = scalar.widened(ir.DoubleType(), scalar.lanes_of(first))
    high = b.sitofp(b.lshr(first, scalar.fill(first.type, 5)), type)
    low = b.sitofp(b.lshr(second, scalar.fill(second.type, 6)), type)
    return b.fmul(scalar.muladd(b, high, scalar.fill(type, 2.0**26), low), scalar.fill(type, 2.0**-53))


def _interleaved(b: Builder, vectors: Sequence[ir.Value]) -> ir.Value:
    """v₀[0], v₁[0], …, v₀[1], v₁[1], …"""
    if len(vectors) == 1:
        return vectors[0]
    half = len(vectors) // 2
    # Interleaving evens with evens and odds with odds first leaves one interleaving of two vectors.
    left, right = _interleaved(b, vectors[0::2]), _interleaved(b, vectors[1::2])
    count = scalar.lanes_of(vectors[0]) * half
    order = [k // 2 + (k % 2) * count for k in range(2 * count)]
    return b.shuffle_vector(left, right, ir.Constant(ir.VectorType(_WORD, 2 * count), order))
