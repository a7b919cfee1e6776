"""The table of primitives. Importing this package fills it; `PRIMITIVES` maps each name to its record.

promotion     one dtype and shape for several operands
elementwise   scalar instructions, comparisons
activations   sigmoid, ReLU, …
reduction     sums, extremes, positions; broadcasting
shape         moving elements without changing them
linear        matrix products, einsum
convolution   convolution and its transpose
pooling       windows, pooling
indexing      gather, scatter, one-hot, embedding
requirement   refusing values
random        counter-based random numbers
blocks        affine, softmax and losses, normalisation
"""

from collections.abc import Mapping
from types import MappingProxyType

from chainrule.ops import (
    activations,
    blocks,
    convolution,
    elementwise,
    indexing,
    linear,
    pooling,
    promotion,
    random,
    reduction,
    requirement,
    shape,
)
from chainrule.ops.facts import ActivationFacts, AffinePart, Facts
from chainrule.ops.notation import formula
from chainrule.ops.primitive import PRIMITIVES, Case, Notation, Primitive, define, infer, lookup

# The primitives that come with chainrule; `define` adds others to `PRIMITIVES`.
SHIPPED: Mapping[str, Primitive] = MappingProxyType(dict(PRIMITIVES))

__all__ = [
    "PRIMITIVES",
    "SHIPPED",
    "ActivationFacts",
    "AffinePart",
    "Case",
    "Facts",
    "Notation",
    "Primitive",
    "activations",
    "blocks",
    "convolution",
    "define",
    "elementwise",
    "formula",
    "indexing",
    "infer",
    "linear",
    "lookup",
    "pooling",
    "promotion",
    "random",
    "reduction",
    "requirement",
    "shape",
]
