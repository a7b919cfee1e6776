"""Operations that only this backend has, as nodes; and short names for those that it uses often.

A graph that was prepared for kernels may have

    copy        x in a buffer of its own
    contract    a sum of products over a common index space
    accumulate  the same, added up slab by slab
    place       arrays put where they belong in a larger one
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from chainrule.ir import Node, Shape
from chainrule.ops import SHIPPED, lookup
from chainrule.ops.promotion import to_dtype

# What code computes on the numbers at one index: `code.instructions` has a rule for each. A primitive that a user
# defines is not among them, even if it is elementwise.
INSTRUCTIONS = frozenset(name for name, p in SHIPPED.items() if p.elementwise and p.evaluate is not None) | {"copy"}


def reshape(x: Node, shape: Shape) -> Node:
    """x in another shape; x itself if it has it."""
    return x if x.shape == shape else lookup("reshape")(x, shape=shape)


def transpose(x: Node, axes: tuple[int, ...]) -> Node:
    """x with its axes in another order."""
    return lookup("transpose")(x, axes=axes)


def sum_of_products(a: Node, b: Node, axes: int) -> Node:
    """Σ a b over the last `axes` axes, for shapes that are no product of matrices; of the dtype of a and b."""
    product = a * b
    total = lookup("sum")(product, axis=tuple(range(product.ndim - axes, product.ndim)))
    return to_dtype(total, product.dtype)  # sums of small integers are int64


def copy(x: Node) -> Node:
    """x in a buffer of its own."""
    return Node("copy", (x,), {}, x.shape, x.dtype)


def contract(
    a: Node,
    b: Node,
    inner: int,
    axes: tuple[int, ...],
    *,
    accumulate: bool = False,
    staged: bool = False,
    skipping: bool = False,
) -> Node:
    """Σ over the last `inner` axes of a b, as an operation of its own.

    a is of shape (*batch, m, 1, *inner) and b of (*batch, 1, n, *inner), where batch axes may be 1; the result has its axes
    (*batch, m, n) at the places `axes`. With `accumulate` the first inner axis is the outermost loop, so that what
    belongs to one of its indices stays in the cache. If `staged`, the operands are made for this product alone, and should be
    made stage by stage: for one index of all batch axes but the last (and of all inner axes but the last) at a time.
    With `skipping`, zeros of a are not multiplied.
    """
    domain = np.broadcast_shapes(a.shape, b.shape)[: a.ndim - inner]
    shape = [0] * len(domain)
    for axis, size in zip(axes, domain, strict=True):
        shape[axis] = size
    attributes = {"inner": inner, "axes": axes, "staged": staged, "skipping": skipping}
    return Node("accumulate" if accumulate else "contract", (a, b), attributes, tuple(shape), a.dtype)


def place(
    parts: Sequence[Node],
    shape: Shape,
    places: Sequence[tuple[int, tuple[int, ...]]],
    fill: float | None,
    *,
    staged: bool = False,
) -> Node:
    """An array in which part i is at element offset + Σ stride · index, and `fill` wherever none of them is.

    Args:
        parts: all of one shape.
        shape: of the whole.
        places: (offset, strides) per part.
        fill: None if the parts cover everything. Zeros are there from the start, as nobody else writes to the memory of such
            an array.
        staged: whether it is made for a staged contraction, and nothing else is to be computed along with it.
    """
    attributes = {"places": tuple(places), "fill": fill, "staged": staged}
    return Node("place", tuple(parts), attributes, shape, parts[0].dtype)
