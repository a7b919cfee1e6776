"""Random numbers from a counter: same key, same numbers, in every backend, in any order, on any number of threads.

The generator is Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011). A key is an int64 vector
(seed, draw): the seed is Philox's 64-bit key, the draw the upper half of its 128-bit counter, and the lower half numbers the
blocks of four 32-bit words within one draw. Whoever draws adds 1 to the draw (`chainrule.generators.Generator`).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from chainrule.errors import ArgumentError, ShapeError
from chainrule.ir import Array, DType, Node, Shape, as_dtype
from chainrule.ops.elementwise import cos, log, sqrt
from chainrule.ops.facts import Facts
from chainrule.ops.primitive import Case, Inputs, Notation, Operand, Primitive, as_node, as_shape, check_attributes, define
from chainrule.ops.promotion import to_dtype
from chainrule.ops.shape import reshape, take_range

_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_WEYL = (0x9E3779B9, 0xBB67AE85)
_WORD = np.uint64(0xFFFFFFFF)
_SHIFT = np.uint64(32)


def philox(key: int, draw: int, words: int) -> Array:
    """The first `words` 32-bit words of a draw, as uint64."""
    return philox_blocks(key, draw, np.arange(-(-words // 4), dtype=np.uint64)).reshape(-1)[:words]


def philox_blocks(key: int, draw: int, blocks: Array) -> Array:
    """The four 32-bit words of each of the given blocks (uint64) of a draw, as uint64 (blocks, 4).

    The counter's words are c₀, c₁ = low and high half of the block, c₂, c₃ = those of the draw; the key's are k₀, k₁ = those of
    the seed. Ten rounds: (c₀, c₁, c₂, c₃) ↦ (hi(M₁c₂) ⊕ c₁ ⊕ k₀, lo(M₁c₂), hi(M₀c₀) ⊕ c₃ ⊕ k₁, lo(M₀c₀)), the key raised
    between rounds.
    """
    c0, c1 = blocks & _WORD, blocks >> _SHIFT
    c2, c3 = np.full_like(blocks, draw & 0xFFFFFFFF), np.full_like(blocks, (draw >> 32) & 0xFFFFFFFF)
    k0, k1 = key & 0xFFFFFFFF, (key >> 32) & 0xFFFFFFFF
    for _ in range(10):
        p0, p1 = _MULTIPLIERS[0] * c0, _MULTIPLIERS[1] * c2
        c0, c1, c2, c3 = (p1 >> _SHIFT) ^ c1 ^ np.uint64(k0), p1 & _WORD, (p0 >> _SHIFT) ^ c3 ^ np.uint64(k1), p0 & _WORD
        k0, k1 = (k0 + _WEYL[0]) & 0xFFFFFFFF, (k1 + _WEYL[1]) & 0xFFFFFFFF
    return np.stack([c0, c1, c2, c3], axis=-1)


def _uniform(key: Array, shape: Shape, dtype: DType) -> Array:
    """24 bits per float32, 53 per float64."""
    count = int(np.prod(shape, dtype=np.int64))
    seed, draw = int(key[0]), int(key[1])
    if dtype == np.float32:
        return ((philox(seed, draw, count) >> np.uint64(8)).astype(np.float32) * np.float32(2.0**-24)).reshape(shape)
    pairs = philox(seed, draw, 2 * count).reshape(-1, 2)
    bits = (pairs[:, 0] >> np.uint64(5)) * np.uint64(2**26) + (pairs[:, 1] >> np.uint64(6))
    return (bits.astype(np.float64) * 2.0**-53).reshape(shape)


def _prepare_draw(op: str, settings: dict[str, Any]) -> Any:
    def prepare(operands: tuple[Operand, ...], attributes: dict[str, Any]) -> tuple[Inputs, dict[str, Any]]:
        allowed: dict[str, Any] = {"shape": (), "dtype": np.float64} | settings
        check_attributes(op, attributes, list(allowed))
        found: dict[str, Any] = allowed | attributes
        key = as_node(operands[0])
        if key.shape != (2,) or key.dtype != np.int64:
            raise ShapeError(
                f"{op} got a key {key.dtype}{list(key.shape)}", "a key is int64[2]: (seed, draw)", "Use cr.random."
            )
        dtype = as_dtype(found["dtype"])
        if dtype.kind != "f":
            raise ArgumentError(f"{op} got dtype={dtype}", "it draws float32 or float64", "Convert with astype.")
        if not 0.0 <= found.get("rate", 0.0) < 1.0:
            raise ArgumentError(f"{op} got rate={found['rate']}", "0 ≤ rate < 1", "Choose the share to drop.")
        return (key,), found | {"shape": as_shape(found["shape"], op), "dtype": dtype}

    return prepare


def _draw(op: str, summary: str, notation: Notation, settings: dict[str, Any], **meaning: Any) -> Primitive:
    return define(
        Primitive(
            name=op,
            summary=summary,
            notation=notation,
            prepare=_prepare_draw(op, settings),
            infer=lambda inputs, attributes: (attributes["shape"], attributes["dtype"]),
            not_differentiable="random numbers do not depend on anything that can be learnt",
            cases=lambda rng: Case((np.array([int(rng.integers(2**62)), 5]),), {"shape": (2, 3)} | settings),
            facts=Facts(random=True),
            **meaning,
        )
    )


uniform = _draw("uniform", "y ~ U[0, 1)", Notation("U#_shape[0, 1)", r"\mathcal{U}#_shape[0, 1)"), {}, evaluate=_uniform)


def _normal(key: Node, shape: Shape, dtype: DType) -> Node:
    """Box and Muller (1958): √(−2 ln u₁) cos 2πu₂, with u₁ in (0, 1]."""
    pair = uniform(key, shape=(2, *shape), dtype=dtype)
    u1, u2 = (reshape(take_range(pair, 0, i, i + 1), shape) for i in (0, 1))
    return sqrt(-2.0 * log(1.0 - u1)) * cos(2.0 * math.pi * u2)


normal = _draw("normal", "y ~ N(0, 1)", Notation("N#_shape(0, 1)", r"\mathcal{N}#_shape\left(0, 1\right)"), {}, body=_normal)
dropout_mask = _draw(
    "dropout_mask",
    "y = 1 / (1 − rate) with probability 1 − rate, else 0 (inverted dropout; Srivastava et al. 2014)",
    Notation("Bernoulli#_shape", r"\operatorname{Bernoulli}#_shape"),
    {"rate": 0.5},
    body=lambda key, shape, dtype, rate: to_dtype(uniform(key, shape=shape, dtype=dtype) >= rate, dtype) * (1.0 / (1.0 - rate)),
)
