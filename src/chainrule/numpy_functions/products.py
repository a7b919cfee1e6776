"""Counterparts of NumPy's products and norms."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule import checks
from chainrule import functional as F
from chainrule.errors import ArgumentError, ShapeError
from chainrule.numpy_functions.entries import Axis, axes_in_order, ours
from chainrule.ops.primitive import integer, normalise_axes, normalise_axis
from chainrule.tensors import Tensor, TensorLike, root, tensor_of


@ours(np.dot)
def _dot(a: TensorLike, b: TensorLike) -> Tensor:
    """Σ over the last axis of a and the second last of b, for every pair of the other axes."""
    x, y = tensor_of(a), tensor_of(b)
    if x.ndim == 0 or y.ndim == 0:
        return x * y
    return F.matmul(x, y) if max(x.ndim, y.ndim) <= 2 else tensordot(x, y, ([x.ndim - 1], [max(y.ndim - 2, 0)]))


@ours(np.inner)
def _inner(a: TensorLike, b: TensorLike, /) -> Tensor:
    x, y = tensor_of(a), tensor_of(b)
    return x * y if x.ndim == 0 or y.ndim == 0 else tensordot(x, y, ([x.ndim - 1], [y.ndim - 1]))


@ours(np.tensordot)
def tensordot(a: TensorLike, b: TensorLike, axes: Any = 2) -> Tensor:
    """Σ over pairs of axes; the other axes of a come first."""
    x, y = tensor_of(a), tensor_of(b)
    left, right = _summed_axes(x, y, axes)
    letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    first, second = list(letters[: x.ndim]), list(letters[x.ndim : x.ndim + y.ndim])
    for p, q in zip(left, right, strict=True):
        second[q] = first[p]
    kept = [c for k, c in enumerate(first) if k not in left] + [c for k, c in enumerate(second) if k not in right]
    return F.einsum(f"{''.join(first)},{''.join(second)}->{''.join(kept)}", x, y)


def _summed_axes(x: Tensor, y: Tensor, axes: Any) -> list[tuple[int, ...]]:
    """The axes of both that `np.tensordot` sums over, in pairs."""
    if isinstance(axes, str) or not isinstance(axes, Sequence | np.ndarray):
        count = integer(axes, "np.tensordot", "axes")
        pairs = [range(x.ndim - count, x.ndim), range(count)] if 0 <= count <= min(x.ndim, y.ndim) else []
    else:
        pairs = list(axes)
    if len(pairs) == 2:
        found = [axes_in_order(part, t.ndim, "np.tensordot") for part, t in zip(pairs, (x, y), strict=True)]
        sizes = [[t.shape[k] for k in part] for part, t in zip(found, (x, y), strict=True)]
        if sizes[0] == sizes[1]:
            return found
    raise ShapeError(
        f"np.tensordot got the shapes {x.shape} and {y.shape} and axes={axes}",
        "it sums over the last axes of the first and the first axes of the second, or over pairs of axes, of equal sizes",
        "Give their number, or ([axes of the first], [axes of the second]).",
    )


@ours(np.einsum)
def _einsum(subscripts: str, *operands: TensorLike) -> Tensor:
    if not isinstance(subscripts, str):
        raise ArgumentError("np.einsum got index lists", "it takes a text such as 'ij,jk->ik'", "Write the text.")
    return F.einsum(subscripts, *operands)


@ours(np.linalg.norm)
def norm(x: TensorLike, ord: Any = None, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
    """Norms of vectors, and the Frobenius norm of matrices."""
    a = tensor_of(x)
    axes = normalise_axes(axis, a.ndim, "np.linalg.norm")
    if (ord is None and (axis is None or len(axes) in (1, 2))) or (
        len(axes) == 2 and isinstance(ord, str) and ord in ("fro", "f")
    ):
        return root(F.sum(F.square(a), axes, keepdims=keepdims))
    if len(axes) != 1:
        raise ArgumentError(
            f"np.linalg.norm got ord={ord!r} for {len(axes)} axes of a Tensor",
            "there it takes the Frobenius norm of matrices and the p-norms of vectors",
            "Give axis= one axis, or ord='fro'.",
        )
    return _vector_norm(a, axis=axes, ord=ord, keepdims=keepdims)


@ours(np.linalg.vector_norm)
def _vector_norm(x: TensorLike, /, *, axis: Axis = None, ord: float = 2, keepdims: bool = False) -> Tensor:
    """(Σ |x|ᵖ)^(1/p); the largest |x| for p = ∞, the smallest for −∞.

    The gradient is taken to be 0 where the norm is 0, and at elements that are 0.
    """
    p = checks.real("a vector norm of NumPy", "ord", ord)
    if p == 2:
        return root(F.sum(F.square(x), axis, keepdims=keepdims))
    if math.isinf(p):
        return (F.max if p > 0 else F.min)(F.abs(x), axis, keepdims=keepdims)
    if p == 0:
        raise ArgumentError(
            "a norm of a Tensor with ord=0 was asked for", "it counts elements, so it has no useful derivative", "Use ord=1."
        )
    return _power(F.sum(_power(F.abs(x), p), axis, keepdims=keepdims), 1.0 / p)


def _power(x: Tensor, p: float) -> Tensor:
    """xᵖ for x ≥ 0; at 0, where the derivative is infinite for p < 1, the gradient is taken to be 0. See `tensors.root`."""
    nothing = x == 0.0
    return F.where(nothing, 0.0 if p > 0 else math.inf, F.power(F.where(nothing, 1.0, x), p))


@ours(np.linalg.vecdot)
def vecdot(x1: TensorLike, x2: TensorLike, /, *, axis: int = -1) -> Tensor:
    """Σ x y along an axis of one size, in the dtype of the products."""
    x, y = tensor_of(x1), tensor_of(x2)
    if x.shape[normalise_axis(axis, x.ndim, "np.linalg.vecdot")] != y.shape[normalise_axis(axis, y.ndim, "np.linalg.vecdot")]:
        raise ShapeError(f"a dot product got the shapes {x.shape} and {y.shape}", "both vectors are of one size", "Check them.")
    products = F.multiply(x, y)
    return F.sum(products, axis).astype(products.dtype)


@ours(np.linalg.outer)
def _outer(x1: TensorLike, x2: TensorLike, /) -> Tensor:
    x, y = tensor_of(x1), tensor_of(x2)
    if (x.ndim, y.ndim) != (1, 1):
        raise ShapeError(
            f"np.linalg.outer got the shapes {x.shape} and {y.shape}",
            "it takes two vectors",
            "np.outer flattens its arguments.",
        )
    return F.outer(x, y)


@ours(np.linalg.multi_dot)
def _multi_dot(arrays: Sequence[TensorLike]) -> Tensor:
    if len(arrays) < 2:
        raise ArgumentError(f"np.linalg.multi_dot got {len(arrays)} arrays", "it takes two or more", "Add the others.")
    product = tensor_of(arrays[0])
    for factor in arrays[1:]:
        product = F.matmul(product, factor)
    return product
