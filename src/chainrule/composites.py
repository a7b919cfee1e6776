"""Functions of NumPy and PyTorch that are a few of our operations: each has their name, arguments and values.

What has NumPy's name follows NumPy. Gradients pass through all that give floating numbers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule import checks, elsewhere
from chainrule import functional as F
from chainrule.errors import ArgumentError, ShapeError
from chainrule.generators import random
from chainrule.ops.primitive import integers, normalise_axis
from chainrule.tensors import Tensor, TensorLike, tensor_of

Axis = int | Sequence[int] | None


# -------------------------------------------------------------------------------------------- truth values
def any(x: TensorLike, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
    """Whether an element is not 0, over `axis` (all axes if None); NaN is not 0."""
    return F.greater(F.sum(F.not_equal(x, 0).astype(np.int64), axis, keepdims=keepdims), 0)


def all(x: TensorLike, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
    """Whether no element is 0, over `axis` (all axes if None); NaN is not 0."""
    return F.equal(F.sum(F.equal(x, 0).astype(np.int64), axis, keepdims=keepdims), 0)


def isinf(x: TensorLike) -> Tensor:
    """Whether each element is ∞ or −∞."""
    return F.equal(F.abs(x), math.inf)


def isnan(x: TensorLike) -> Tensor:
    """Whether each element is NaN."""
    return F.not_equal(x, x)


def allclose(a: TensorLike, b: TensorLike, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> bool:
    """Whether |a − b| ≤ atol + rtol |b| for all elements. It looks at values, so it cannot stand in a compiled function."""
    return bool(np.allclose(tensor_of(a).numpy(), tensor_of(b).numpy(), rtol, atol, equal_nan))


# -------------------------------------------------------------------------------------------- elementwise
def nan_to_num(x: TensorLike, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None) -> Tensor:
    """x with numbers in place of NaN, ∞ and −∞; the largest and the least number of the dtype for an infinity unless given.

    Where an element is replaced the gradient is 0.
    """
    found = tensor_of(x)
    if found.dtype.kind != "f":
        return found
    limits = np.finfo(found.dtype)
    replacements = (
        (isnan(found), nan),
        (F.equal(found, math.inf), float(limits.max) if posinf is None else posinf),
        (F.equal(found, -math.inf), float(limits.min) if neginf is None else neginf),
    )
    for places, value in replacements:
        found = F.where(places, value, found)
    return found


def masked_fill(x: TensorLike, mask: TensorLike, value: TensorLike) -> Tensor:
    """`value` where the mask is True, else x."""
    return F.where(mask, value, x)


# -------------------------------------------------------------------------------------------- shapes
def flatten(x: TensorLike, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """The axes from `start_dim` to `end_dim`, both included, as one; all of them unless given."""
    found = tensor_of(x)
    if found.ndim == 0:
        return found.reshape(1)
    first, last = (normalise_axis(axis, found.ndim, "flatten") for axis in (start_dim, end_dim))
    if first > last:
        raise ArgumentError(
            f"flatten got start_dim={start_dim} and end_dim={end_dim} for {found.ndim} axes",
            "the first one must not come after the last",
            "Exchange them.",
        )
    return found.reshape((*found.shape[:first], math.prod(found.shape[first : last + 1]), *found.shape[last + 1 :]))


def tile(x: TensorLike, repeats: int | Sequence[int]) -> Tensor:
    """x laid side by side along every axis, as often as `repeats` says; new axes come first, as in NumPy."""
    found = tensor_of(x)
    counts = integers(repeats, "tile", "repeats")
    ndim = max(len(counts), found.ndim)
    counts = (1,) * (ndim - len(counts)) + counts
    shape = (1,) * (ndim - found.ndim) + found.shape
    apart = F.reshape(found, [size for each in shape for size in (1, each)])
    laid = F.broadcast_to(apart, [size for pair in zip(counts, shape, strict=True) for size in pair])
    return F.reshape(laid, [count * size for count, size in zip(counts, shape, strict=True)])


def repeat(x: TensorLike, repeats: int | Sequence[int], axis: int | None = None) -> Tensor:
    """Every element `repeats` times in a row along `axis` (of the flattened array if None): NumPy's repeat.

    PyTorch calls this repeat_interleave; what its Tensors call repeat is `tile`.
    """
    found = F.reshape(x, -1) if axis is None else tensor_of(x)
    along = 0 if axis is None else normalise_axis(axis, found.ndim, "repeat")
    counts = repeats.numpy() if isinstance(repeats, Tensor) else repeats
    try:
        places = np.repeat(np.arange(found.shape[along]), counts)
    except (TypeError, ValueError) as error:
        raise ArgumentError(
            f"repeat got repeats={repeats!r} for {found.shape[along]} elements ({error})",
            "it is an integer ≥ 0, or one for each element",
            "Check repeats and axis.",
        ) from None
    return index_select(found, along, places)


def meshgrid(*tensors: TensorLike, indexing: str = "xy") -> tuple[Tensor, ...]:
    """Coordinates of a grid, one Tensor for each axis: "xy" exchanges the first two axes, as in NumPy; "ij" does not.

    PyTorch's meshgrid is that with indexing="ij".
    """
    if not isinstance(indexing, str) or indexing not in ("xy", "ij"):
        raise ArgumentError(f"meshgrid got indexing={indexing!r}", "it is 'xy' or 'ij'", "Write indexing='ij'.")
    vectors = [F.reshape(t, -1) for t in tensors]
    shape = [v.size for v in vectors]
    grid = [
        F.broadcast_to(F.reshape(v, [-1 if k == axis else 1 for k in range(len(shape))]), shape)
        for axis, v in enumerate(vectors)
    ]
    return tuple(g.swapaxes(0, 1) for g in grid) if indexing == "xy" and len(grid) > 1 else tuple(grid)


# -------------------------------------------------------------------------------------------- indexing
def index_select(x: TensorLike, axis: int, index: TensorLike) -> Tensor:
    """The slices of x along `axis` that a vector of positions names, in its order.

    Raises:
        ShapeError: the positions are no vector.
    """
    found, places = tensor_of(x), tensor_of(index)
    along = normalise_axis(axis, found.ndim, "index_select")
    if places.ndim != 1:
        raise ShapeError(
            f"index_select got an index of shape {places.shape}", "it is a vector of positions", "Write cr.take for others."
        )
    picked = F.gather(found, places, axes=(along,))
    return F.transpose(picked, [*range(1, along + 1), 0, *range(along + 1, picked.ndim)])


def take_along_axis(x: TensorLike, indices: TensorLike, axis: int = -1) -> Tensor:
    """Elements of x along `axis` at positions given for every place of the other axes, with which both broadcast.

    PyTorch calls this gather(x, dim, index), for one shape.
    """
    found, places = tensor_of(x), tensor_of(indices)
    along = normalise_axis(axis, found.ndim, "take_along_axis")
    if places.ndim != found.ndim:
        raise ShapeError(
            f"take_along_axis got indices of shape {places.shape} for a Tensor of shape {found.shape}",
            "both have as many axes",
            "Add missing axes with expand_dims.",
        )
    others = [
        np.arange(size).reshape([-1 if k == axis else 1 for k in range(found.ndim)]) for axis, size in enumerate(found.shape)
    ]
    return F.gather(found, *(places if k == along else other for k, other in enumerate(others)))


def swapaxes(x: TensorLike, axis1: int, axis2: int) -> Tensor:
    """Two axes exchanged."""
    return tensor_of(x).swapaxes(axis1, axis2)


# -------------------------------------------------------------------------------------------- what PyTorch's Tensors can do
def clone(x: TensorLike) -> Tensor:
    """The value that x has now, through which gradients pass back to x; a later `x.assign` does not change it."""
    return Tensor(tensor_of(x).node)


def to(x: TensorLike, dtype: Any) -> Tensor:
    """x as another dtype, or as the dtype of another Tensor; "cpu" leaves it as it is."""
    if isinstance(dtype, str) and dtype == "cpu":
        return tensor_of(x)
    return tensor_of(x).astype(dtype.dtype if isinstance(dtype, Tensor) else dtype)


def double(x: TensorLike) -> Tensor:
    """x as float64."""
    return tensor_of(x).astype(np.float64)


def single(x: TensorLike) -> Tensor:
    """x as float32."""
    return tensor_of(x).astype(np.float32)


def long(x: TensorLike) -> Tensor:
    """x as int64."""
    return tensor_of(x).astype(np.int64)


def requires_grad_(x: Tensor, requires_grad: bool = True) -> Tensor:
    """Set `x.requires_grad`, and return x."""
    x.requires_grad = requires_grad
    return x


def view(x: Tensor, *shape: int | Sequence[int]) -> Tensor:
    """The elements in order in another shape, as `reshape` gives; one axis may be -1."""
    return x.reshape(*shape)


def view_as(x: Tensor, other: TensorLike) -> Tensor:
    """The elements in order in the shape of another Tensor."""
    return x.reshape(tensor_of(other).shape)


def permute(x: Tensor, *axes: int | Sequence[int]) -> Tensor:
    """The axes in the order given, as numbers or as one sequence."""
    return F.transpose(x, _sequence(axes))


def expand(x: Tensor, *shape: int | Sequence[int]) -> Tensor:
    """x repeated along axes of size 1, and along new leading ones, up to a shape; -1 keeps the size of an axis."""
    wanted = _sequence(shape)
    own = (-1,) * (len(wanted) - x.ndim) + x.shape
    return F.broadcast_to(x, [size if wish == -1 else wish for wish, size in zip(wanted, own, strict=False)])


def expand_as(x: Tensor, other: TensorLike) -> Tensor:
    """x repeated up to the shape of another Tensor."""
    return F.broadcast_to(x, tensor_of(other).shape)


def t(x: TensorLike) -> Tensor:
    """The transpose of a matrix; a vector or a scalar as it is.

    Raises:
        ShapeError: more than two axes.
    """
    found = tensor_of(x)
    if found.ndim > 2:
        raise ShapeError(f"t got the shape {found.shape}", "it takes at most two axes", "Write x.mT, or x.transpose(axes).")
    return found.T


def dim(x: TensorLike) -> int:
    """Number of axes."""
    return tensor_of(x).ndim


def numel(x: TensorLike) -> int:
    """Number of elements."""
    return int(tensor_of(x).size)


def unbind(x: TensorLike, axis: int = 0) -> tuple[Tensor, ...]:
    """The parts along an axis, without it."""
    found = tensor_of(x)
    along = normalise_axis(axis, found.ndim, "unbind")
    return tuple(found[(slice(None),) * along + (k,)] for k in range(found.shape[along]))


def chunk(x: TensorLike, chunks: int, axis: int = 0) -> tuple[Tensor, ...]:
    """At most `chunks` parts along an axis, of equal sizes but for the last, which may be smaller."""
    found = tensor_of(x)
    size = found.shape[normalise_axis(axis, found.ndim, "chunk")]
    step = max(-(-size // checks.whole("chunk", "chunks", chunks, 1)), 1)
    return F.split(found, list(range(step, size, step)), axis)


def _sequence(given: Sequence[Any]) -> Sequence[int]:
    """Numbers that were given one after another, or as one sequence."""
    return given[0] if len(given) == 1 and not isinstance(given[0], int | np.integer) else given


# -------------------------------------------------------------------------------------------- random numbers
def rand(*shape: int | Sequence[int], dtype: Any = np.float64) -> Tensor:
    """Numbers from [0, 1), from the stream `cr.random`, which `cr.manual_seed` starts afresh."""
    return random.uniform(_sequence(shape), dtype)


def randn(*shape: int | Sequence[int], dtype: Any = np.float64) -> Tensor:
    """Numbers from the standard normal distribution, from the stream `cr.random`."""
    return random.normal(_sequence(shape), dtype)


def randint(low: int, high: int | None = None, size: int | Sequence[int] = ()) -> Tensor:
    """Integers from low to high − 1, int64, from the stream `cr.random`.

    With one limit they go from 0 to it: randint(10), or randint(10, (2, 3)) as in PyTorch.
    """
    if isinstance(high, list | tuple):
        return random.integers(low, None, high)
    return random.integers(low, high, size)


def randperm(n: int) -> Tensor:
    """The integers from 0 to n − 1 in random order, int64, from the stream `cr.random`."""
    return random.permutation(n)


# -------------------------------------------------------------------------------------------- pooling
def max_pool1d(x: TensorLike, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1) -> Tensor:
    """`max_pool` of x (batch, channels, length)."""
    (found,) = F._with_rank("max_pool1d", 1, x)
    return F.max_pool(found, kernel_size, stride, padding, dilation)


def max_pool2d(x: TensorLike, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1) -> Tensor:
    """`max_pool` of x (batch, channels, height, width)."""
    (found,) = F._with_rank("max_pool2d", 2, x)
    return F.max_pool(found, kernel_size, stride, padding, dilation)


def avg_pool1d(x: TensorLike, kernel_size: Any, stride: Any = None, padding: Any = 0) -> Tensor:
    """`avg_pool` of x (batch, channels, length)."""
    (found,) = F._with_rank("avg_pool1d", 1, x)
    return F.avg_pool(found, kernel_size, stride, padding)


def avg_pool2d(x: TensorLike, kernel_size: Any, stride: Any = None, padding: Any = 0) -> Tensor:
    """`avg_pool` of x (batch, channels, height, width)."""
    (found,) = F._with_rank("avg_pool2d", 2, x)
    return F.avg_pool(found, kernel_size, stride, padding)


for _name, _function in list(globals().items()):
    if getattr(_function, "__module__", "") == __name__ and not _name.startswith("_"):
        globals()[_name] = elsewhere.explaining_calls(_function)
