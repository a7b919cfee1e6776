"""NumPy's functions on Tensors, by NumPy's array-function protocol (NEP 18).

A function that takes a Tensor is one of three things, so that a gradient is never cut in silence:

    OURS    has a counterpart here, with NumPy's arguments: gradients pass
    READS   answers with positions, truth values, texts or types, which have no gradient: it reads the values
    any other refuses a floating Tensor, and says what to write
"""

from __future__ import annotations

import difflib
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from chainrule import checks, composites, creation
from chainrule import functional as F
from chainrule.errors import ArgumentError, ShapeError
from chainrule.ops.primitive import integer, integers, normalise_axes, normalise_axis
from chainrule.ops.requirement import Limits, required
from chainrule.tensors import Tensor, TensorLike, result, root, set_numpy_functions, tensor_of

C = TypeVar("C", bound=Callable[..., Any])
Axis = int | Sequence[int] | None

OURS: dict[Callable[..., Any], Callable[..., Any]] = {
    np.amax: F.max,
    np.amin: F.min,
    np.argmax: F.argmax,
    np.argmin: F.argmin,
    np.broadcast_to: F.broadcast_to,
    np.copy: composites.clone,
    np.expand_dims: F.expand_dims,
    np.flip: F.flip,
    np.linalg.matmul: F.matmul,
    np.max: F.max,
    np.mean: F.mean,
    np.meshgrid: composites.meshgrid,
    np.min: F.min,
    np.ones_like: creation.ones_like,
    np.outer: F.outer,
    np.permute_dims: F.transpose,
    np.prod: F.prod,
    np.repeat: composites.repeat,
    np.reshape: F.reshape,
    np.squeeze: F.squeeze,
    np.stack: F.stack,
    np.sum: F.sum,
    np.swapaxes: composites.swapaxes,
    np.take_along_axis: composites.take_along_axis,
    np.tile: composites.tile,
    np.transpose: F.transpose,
    np.zeros_like: creation.zeros_like,
}

READS: frozenset[Callable[..., Any]] = frozenset(
    [
        np.all, np.allclose, np.any, np.argsort, np.argwhere, np.array2string, np.array_equal, np.array_equiv, np.array_repr,
        np.array_str, np.can_cast, np.common_type, np.count_nonzero, np.flatnonzero, np.isclose, np.iscomplexobj, np.isneginf,
        np.isposinf, np.isrealobj, np.may_share_memory, np.min_scalar_type, np.ndim, np.nonzero, np.result_type, np.save,
        np.savetxt, np.savez, np.savez_compressed, np.shape, np.shares_memory, np.size,
    ]
)  # fmt: skip

# What to write in place of a function that refuses.
_INSTEAD = {
    "append": "cr.concatenate",
    "insert": "cr.concatenate",
    "block": "cr.concatenate",
    "copyto": "x.assign(values), or a new Tensor",
    "put": "cr.where, or a new Tensor",
    "place": "cr.where, or a new Tensor",
    "putmask": "cr.where, or a new Tensor",
    "select": "cr.where",
    "piecewise": "cr.where",
    "nansum": "cr.where(cr.isfinite(x), x, 0.0).sum()",
    "compress": "x[mask]",
    "extract": "x[mask]",
    "cumsum": "a product with a triangle of ones, np.tri(n) @ x",
    "delete": "x[kept]",
}


def called(function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """What a function of NumPy gives for arguments with a Tensor among them.

    Raises:
        ArgumentError: it has no counterpart here, or not with these arguments.
    """
    ours = OURS.get(function)
    if function in READS or (ours is None and not any(map(_has_gradients, [*args, *kwargs.values()]))):
        return function(*map(_values, args), **{key: _values(value) for key, value in kwargs.items()})
    if ours is None:
        raise _refusal(function)
    try:
        inspect.signature(ours).bind(*args, **kwargs)
    except TypeError as error:
        takes = ", ".join(inspect.signature(ours).parameters)
        raise ArgumentError(
            f"np.{_name(function)} was called with a Tensor and arguments that it takes of arrays only ({error})",
            f"with Tensors it takes {takes}",
            "Leave out the others, or use tensor.numpy() where no gradient is needed.",
        ) from None
    return ours(*args, **kwargs)


def _name(function: Callable[..., Any]) -> str:
    module = getattr(function, "__module__", "").removeprefix("numpy")
    return f"{module[1:]}.{function.__name__}" if module in (".linalg", ".fft") else function.__name__


def _refusal(function: Callable[..., Any]) -> ArgumentError:
    name = _name(function)
    known = sorted({f.__name__ for f in OURS})
    near = difflib.get_close_matches(function.__name__, known, n=1, cutoff=0.75)
    instead = _INSTEAD.get(name) or (f"np.{near[0]}" if near else "the functions of chainrule (cr.…)")
    return ArgumentError(
        f"np.{name} was called with a Tensor",
        "chainrule has no counterpart, and in an array the gradient would be lost",
        f"Use {instead}, or give it tensor.numpy() where no gradient is needed.",
    )


def _has_gradients(argument: Any, outer: tuple[Any, ...] = ()) -> bool:
    """Whether there are floating Tensors in an argument; integers and truth values have no gradients to lose."""
    if isinstance(argument, list | tuple):
        outer = checks.within(argument, outer, "an argument")
        return any(_has_gradients(part, outer) for part in argument)
    return isinstance(argument, Tensor) and argument.dtype.kind == "f"


def _values(argument: Any) -> Any:
    """Arguments with arrays in place of Tensors."""
    if isinstance(argument, Tensor):
        return argument.numpy()
    if isinstance(argument, list | tuple):
        return type(argument)(_values(a) for a in argument)
    return argument


def _ours(*functions: Callable[..., Any]) -> Callable[[C], C]:
    """Enter the counterpart of one function of NumPy, or of several names of it."""

    def enter(counterpart: C) -> C:
        OURS.update(dict.fromkeys(functions, counterpart))
        return counterpart

    return enter


# -------------------------------------------------------------------------------------------- reductions
@_ours(np.average)
def _average(a: TensorLike, axis: Axis = None, weights: TensorLike = None) -> Tensor:
    """Σ w x / Σ w; the weights are one per element, or one per position along the axis."""
    if weights is None:
        return F.mean(a, axis)
    x, w = tensor_of(a), tensor_of(weights)
    if w.shape != x.shape:
        w = F.broadcast_to(_along(w, axis, x), x.shape)
    total = F.sum(w, axis)
    limits = Limits(0, 0, None, "np.average got weights that sum to 0", "it divides by their sum", "Check the weights.")
    weighted = F.sum(F.multiply(x, w), axis)
    return result(required(weighted.node, F.equal(total, 0).astype(np.int64).node, limits)) / total


def _along(weights: Tensor, axis: Axis, x: Tensor) -> Tensor:
    """Weights of an axis, lined up with x."""
    axes = normalise_axes(axis, x.ndim, "np.average")
    if len(axes) == 1 and weights.shape == (x.shape[axes[0]],):
        return F.reshape(weights, [-1 if k in axes else 1 for k in range(x.ndim)])
    raise ShapeError(
        f"np.average got weights of shape {weights.shape} for the shape {x.shape} and axis={axis}",
        "it takes one weight per element, or a vector with one per position along a single axis",
        "Broadcast the weights.",
    )


@_ours(np.var)
def _var(
    a: TensorLike, axis: Axis = None, *, ddof: int | None = None, correction: int | None = None, keepdims: bool = False
) -> Tensor:
    return F.var(a, axis, keepdims=keepdims, correction=_correction("np.var", ddof, correction))


@_ours(np.std)
def _std(
    a: TensorLike, axis: Axis = None, *, ddof: int | None = None, correction: int | None = None, keepdims: bool = False
) -> Tensor:
    return F.std(a, axis, keepdims=keepdims, correction=_correction("np.std", ddof, correction))


def _correction(name: str, ddof: int | None, correction: int | None) -> int:
    """What is subtracted from the number of elements."""
    if ddof is not None and correction is not None:
        given = f"{name} got ddof={ddof!r} and correction={correction!r}"
        raise ArgumentError(given, "they are two names of one setting", "Give one of them.")
    return next((c for c in (ddof, correction) if c is not None), 0)


# -------------------------------------------------------------------------------------------- elementwise
@_ours(np.where)
def _where(condition: TensorLike, *values: TensorLike) -> Any:
    """With the condition alone, the positions where it holds."""
    if values:
        return F.where(condition, *values)
    known = tensor_of(condition)
    if known.ndim == 0:
        raise ShapeError("np.where got a condition without axes, alone", "it gives positions", "Give two values as well.")
    return np.nonzero(known.numpy())


@_ours(np.clip)
def _clip(
    a: TensorLike,
    a_min: TensorLike = None,
    a_max: TensorLike = None,
    *,
    min: TensorLike = None,
    max: TensorLike = None,
) -> Tensor:
    if not (min is None and max is None) and not (a_min is None and a_max is None):
        raise ArgumentError("np.clip got a_min or a_max, and min or max", "they are the same bounds", "Give min and max.")
    low, high = (a_min if min is None else min), (a_max if max is None else max)
    if all(bound is None or isinstance(bound, int | float) for bound in (low, high)):
        return F.clip(a, low, high)
    y = tensor_of(a) if low is None else F.maximum(a, low)
    return y if high is None else F.minimum(y, high)


@_ours(np.full_like)
def _full_like(a: TensorLike, fill_value: TensorLike, dtype: Any = None) -> Tensor:
    return F.broadcast_to(tensor_of(fill_value).astype(tensor_of(a).dtype if dtype is None else dtype), tensor_of(a).shape)


@_ours(np.nan_to_num)
def _nan_to_num(
    x: TensorLike, copy: bool = True, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None
) -> Tensor:
    """With NumPy's `copy`, which makes no difference here."""
    return composites.nan_to_num(x, nan, posinf, neginf)


@_ours(np.tril)
def _tril(m: TensorLike, k: int = 0) -> Tensor:
    """A vector is repeated as the rows of a square."""
    x = tensor_of(m)
    return F.where(_triangle("np.tril", x, k), x, x.dtype.type(0))


@_ours(np.triu)
def _triu(m: TensorLike, k: int = 0) -> Tensor:
    """See `_tril`."""
    x = tensor_of(m)
    return F.where(_triangle("np.triu", x, integer(k, "np.triu", "k") - 1), x.dtype.type(0), x)


def _triangle(name: str, x: Tensor, k: int) -> Any:
    """True on and below the k-th diagonal of the last two axes."""
    if x.ndim == 0:
        raise ShapeError(f"{name} got a Tensor without axes", "it takes at least one", "Give a matrix.")
    rows, columns = (x.shape if x.ndim > 1 else x.shape * 2)[-2:]
    return np.tri(rows, columns, integer(k, name, "k"), dtype=bool)


def _logaddexp(a: TensorLike, b: TensorLike, unit: float = 1.0) -> Tensor:
    """u ln(exp(a/u) + exp(b/u)) for the unit u.

    As h + u softplus((l − h)/u), where h is the higher and l the lower one. Comparing chooses between two smooth formulas that
    agree at a tie, so all derivatives are right there; maximum and abs would have kinks. Equal infinities share the gradient.
    """
    larger = F.greater(a, b)
    same = F.logical_and(F.equal(a, b), F.logical_not(F.isfinite(F.where(larger, a, b))))
    high = F.where(same, F.maximum(a, b), F.where(larger, a, b))
    gap = F.where(same, 0.0, F.where(larger, F.subtract(b, a), F.subtract(a, b)))
    return high + (F.softplus(gap) if unit == 1.0 else F.softplus(gap / unit) * unit)


def _hypot(a: TensorLike, b: TensorLike) -> Tensor:
    """√(a² + b²), scaled by the larger one so that no square overflows or vanishes; at 0 the gradient is taken to be 0."""
    first = np.array([True, False]).reshape(2, *(1,) * max(np.ndim(_values(a)), np.ndim(_values(b))))
    pair = F.where(first, a, b) / 1.0  # of one floating dtype
    limits = np.finfo(pair.dtype)
    scale = F.stop_gradient(F.clip(F.max(F.abs(pair), 0), float(limits.tiny), float(limits.max)))
    return scale * root(F.sum(F.square(pair / scale), 0))


# -------------------------------------------------------------------------------------------- shapes
@_ours(np.moveaxis)
def _moveaxis(a: TensorLike, source: int | Sequence[int], destination: int | Sequence[int]) -> Tensor:
    x = tensor_of(a)
    places = [_axes(axes, x.ndim, "np.moveaxis") for axes in (source, destination)]
    if len(places[0]) != len(places[1]):
        given = f"np.moveaxis got source={source} and destination={destination}"
        raise ArgumentError(given, "there is one place for each axis", "Give as many of the one as of the other.")
    return _moved(x, *places)


def _axes(axes: int | Sequence[int], ndim: int, name: str) -> tuple[int, ...]:
    """Non-negative axes in the order given, each once."""
    normalise_axes(axes, ndim, name)
    return tuple(normalise_axis(axis, ndim, name) for axis in integers(axes, name, "axis"))


def _moved(x: Tensor, source: tuple[int, ...], destination: tuple[int, ...]) -> Tensor:
    """The axes at new places, the others in order around them."""
    order = [axis for axis in range(x.ndim) if axis not in source]
    for place, axis in sorted(zip(destination, source, strict=True)):
        order.insert(place, axis)
    return F.transpose(x, order)


def _unstack(x: TensorLike, /, *, axis: int = 0) -> tuple[Tensor, ...]:
    return tuple(_moved(tensor_of(x), (normalise_axis(axis, tensor_of(x).ndim, "np.unstack"),), (0,)))


@_ours(np.concatenate, np.concat)
def _concatenate(arrays: Sequence[TensorLike], /, axis: int | None = 0) -> Tensor:
    if axis is None:
        return F.concatenate([F.reshape(a, -1) for a in arrays])
    return F.concatenate(arrays, axis)


@_ours(np.hstack)
def _hstack(tup: Sequence[TensorLike]) -> Tensor:
    parts = [_atleast_1d(a) for a in tup]
    return F.concatenate(parts, 0 if not parts or parts[0].ndim == 1 else 1)


@_ours(np.column_stack)
def _column_stack(tup: Sequence[TensorLike]) -> Tensor:
    return F.concatenate([F.transpose(_atleast_2d(a)) if tensor_of(a).ndim < 2 else a for a in tup], 1)


@_ours(np.atleast_1d)
def _atleast_1d(a: TensorLike, /) -> Tensor:
    x = tensor_of(a)
    return x.reshape(1) if x.ndim == 0 else x


@_ours(np.atleast_2d)
def _atleast_2d(a: TensorLike, /) -> Tensor:
    x = tensor_of(a)
    return x.reshape(1, -1) if x.ndim < 2 else x


@_ours(np.pad)
def _pad(array: TensorLike, pad_width: Any, mode: str = "constant", *, constant_values: float = 0.0) -> Tensor:
    if not (isinstance(mode, str) and mode == "constant" and isinstance(constant_values, int | float)):
        raise ArgumentError(f"np.pad got mode={mode!r}", "Tensors are padded with one number", "Use cr.concatenate or cr.flip.")
    x = tensor_of(array)
    try:
        widths = np.broadcast_to(np.asarray(pad_width), (x.ndim, 2))
    except ValueError:
        given = f"np.pad got pad_width={pad_width!r} for the shape {x.shape}"
        raise ArgumentError(
            given, "it takes a count, a pair (before, after), or one pair per axis", "Give ((before, after), …)."
        ) from None
    return F.pad(x, widths.tolist(), constant_values)


@_ours(np.take)
def _take(a: TensorLike, indices: TensorLike, axis: int | None = None) -> Tensor:
    if axis is None:
        return _taken(F.reshape(a, -1), _values(indices), 0)
    return _taken(tensor_of(a), _values(indices), normalise_axis(axis, tensor_of(a).ndim, "np.take"))


def _taken(x: Tensor, indices: Any, axis: int) -> Tensor:
    """The elements at the indices along an axis; the axes of the indices take its place."""
    found = F.gather(x, indices, axes=(axis,))
    count = np.ndim(indices)
    return _moved(found, tuple(range(count)), tuple(range(axis, axis + count)))


@_ours(np.roll)
def _roll(a: TensorLike, shift: int | Sequence[int], axis: int | Sequence[int] | None = None) -> Tensor:
    x = tensor_of(a)
    if axis is None:
        return F.reshape(_roll(F.reshape(x, -1), shift, 0), x.shape)
    shifts, axes = integers(shift, "np.roll", "shift"), integers(axis, "np.roll", "axis")
    if len(shifts) != len(axes) and 1 not in (len(shifts), len(axes)):
        given = f"np.roll got shift={shift} and axis={axis}"
        raise ArgumentError(given, "there is one shift for each axis", "Give as many shifts as axes, or a single one.")
    for places, k in np.broadcast(shifts, axes):
        along = normalise_axis(k, x.ndim, "np.roll")
        x = _taken(x, np.roll(np.arange(x.shape[along]), places), along)
    return x


@_ours(np.diff)
def _diff(a: TensorLike, n: int = 1, axis: int = -1) -> Tensor:
    x, count = tensor_of(a), integer(n, "np.diff", "n")
    along = normalise_axis(axis, x.ndim, "np.diff")
    if count < 0:
        raise ArgumentError(f"np.diff got n={n}", "it is how many times differences are taken, ≥ 0", "Give 1 or more.")
    difference = F.not_equal if x.dtype == np.bool_ else F.subtract
    for _ in range(count):
        places = np.arange(x.shape[along])
        x = difference(_taken(x, places[1:], along), _taken(x, places[:-1], along))
    return x


@_ours(np.diagonal)
def _diagonal(a: TensorLike, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    x, k = tensor_of(a), integer(offset, "np.diagonal", "offset")
    x = _moved(x, _axes((axis1, axis2), x.ndim, "np.diagonal"), (0, 1))
    rows, columns = x.shape[:2]
    count = max(min(rows, columns - k) if k >= 0 else min(rows + k, columns), 0)
    places = np.arange(count)
    found = F.gather(x, places + max(-k, 0), places + max(k, 0))
    return _moved(found, (0,), (found.ndim - 1,))


# -------------------------------------------------------------------------------------------- products
@_ours(np.dot)
def _dot(a: TensorLike, b: TensorLike) -> Tensor:
    """Σ over the last axis of a and the second last of b, for every pair of the other axes."""
    x, y = tensor_of(a), tensor_of(b)
    if x.ndim == 0 or y.ndim == 0:
        return x * y
    return F.matmul(x, y) if max(x.ndim, y.ndim) <= 2 else _tensordot(x, y, ([x.ndim - 1], [max(y.ndim - 2, 0)]))


@_ours(np.inner)
def _inner(a: TensorLike, b: TensorLike, /) -> Tensor:
    x, y = tensor_of(a), tensor_of(b)
    return x * y if x.ndim == 0 or y.ndim == 0 else _tensordot(x, y, ([x.ndim - 1], [y.ndim - 1]))


@_ours(np.tensordot)
def _tensordot(a: TensorLike, b: TensorLike, axes: Any = 2) -> Tensor:
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
        found = [_axes(part, t.ndim, "np.tensordot") for part, t in zip(pairs, (x, y), strict=True)]
        sizes = [[t.shape[k] for k in part] for part, t in zip(found, (x, y), strict=True)]
        if sizes[0] == sizes[1]:
            return found
    raise ShapeError(
        f"np.tensordot got the shapes {x.shape} and {y.shape} and axes={axes}",
        "it sums over the last axes of the first and the first axes of the second, or over pairs of axes, of equal sizes",
        "Give their number, or ([axes of the first], [axes of the second]).",
    )


@_ours(np.einsum)
def _einsum(subscripts: str, *operands: TensorLike) -> Tensor:
    if not isinstance(subscripts, str):
        raise ArgumentError("np.einsum got index lists", "it takes a text such as 'ij,jk->ik'", "Write the text.")
    return F.einsum(subscripts, *operands)


@_ours(np.linalg.norm)
def _norm(x: TensorLike, ord: Any = None, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
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


@_ours(np.linalg.vector_norm)
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


@_ours(np.linalg.vecdot)
def _vecdot(x1: TensorLike, x2: TensorLike, /, *, axis: int = -1) -> Tensor:
    x, y = tensor_of(x1), tensor_of(x2)
    if x.shape[normalise_axis(axis, x.ndim, "np.linalg.vecdot")] != y.shape[normalise_axis(axis, y.ndim, "np.linalg.vecdot")]:
        raise ShapeError(f"a dot product got the shapes {x.shape} and {y.shape}", "both vectors are of one size", "Check them.")
    products = F.multiply(x, y)
    return F.sum(products, axis).astype(products.dtype)


@_ours(np.linalg.outer)
def _outer(x1: TensorLike, x2: TensorLike, /) -> Tensor:
    x, y = tensor_of(x1), tensor_of(x2)
    if (x.ndim, y.ndim) != (1, 1):
        raise ShapeError(
            f"np.linalg.outer got the shapes {x.shape} and {y.shape}",
            "it takes two vectors",
            "np.outer flattens its arguments.",
        )
    return F.outer(x, y)


@_ours(np.linalg.multi_dot)
def _multi_dot(arrays: Sequence[TensorLike]) -> Tensor:
    if len(arrays) < 2:
        raise ArgumentError(f"np.linalg.multi_dot got {len(arrays)} arrays", "it takes two or more", "Add the others.")
    product = tensor_of(arrays[0])
    for factor in arrays[1:]:
        product = F.matmul(product, factor)
    return product


OURS |= {
    np.fliplr: lambda m: F.flip(m, 1),
    np.flipud: lambda m: F.flip(m, 0),
    np.linalg.diagonal: lambda x, *, offset=0: _diagonal(x, offset, -2, -1),
    np.linalg.matrix_norm: lambda x, *, keepdims=False, ord="fro": _norm(x, ord, (-2, -1), keepdims=keepdims),
    np.linalg.matrix_transpose: lambda x: tensor_of(x).mT,
    np.linalg.tensordot: lambda x1, x2, *, axes=2: _tensordot(x1, x2, axes),
    np.linalg.trace: lambda x, *, offset=0: F.sum(_diagonal(x, offset, -2, -1), -1),
    np.matrix_transpose: lambda x: tensor_of(x).mT,
    np.ptp: lambda a, axis=None, *, keepdims=False: F.max(a, axis, keepdims=keepdims) - F.min(a, axis, keepdims=keepdims),
    np.ravel: lambda a: F.reshape(a, -1),
    np.split: lambda ary, indices_or_sections, axis=0: list(F.split(ary, indices_or_sections, axis)),
    np.trace: lambda a, offset=0, axis1=0, axis2=1: F.sum(_diagonal(a, offset, axis1, axis2), -1),
    np.vdot: lambda a, b: _vecdot(F.reshape(a, -1), F.reshape(b, -1)),
    np.vstack: lambda tup: F.concatenate([_atleast_2d(a) for a in tup]),
}
if hasattr(np, "astype"):  # from NumPy 2.1 on
    OURS |= {np.astype: lambda x, dtype: tensor_of(x).astype(dtype), np.unstack: _unstack}


# -------------------------------------------------------------------------------------------- universal functions
# Those without a primitive of their name, in terms of primitives; and what `np.add.reduce` and the like are.
UNIVERSAL: Mapping[str, Callable[..., Tensor]] = {
    "positive": tensor_of,
    "reciprocal": lambda x: F.divide(1.0, x),
    "fabs": F.abs,
    "float_power": lambda a, b: F.power(tensor_of(a).astype(np.float64), b),
    "log2": lambda x: F.log(x) * (1.0 / math.log(2.0)),
    "log10": lambda x: F.log(x) * (1.0 / math.log(10.0)),
    "exp2": lambda x: F.power(2.0, x),
    "tan": lambda x: F.sin(x) / F.cos(x),
    "sinh": lambda x: 0.5 * (F.expm1(x) - F.expm1(-tensor_of(x))),
    "cosh": lambda x: 0.5 * (F.exp(x) + F.exp(-tensor_of(x))),
    "hypot": _hypot,
    "logaddexp": _logaddexp,
    "logaddexp2": lambda a, b: _logaddexp(a, b, 1.0 / math.log(2.0)),
    "ceil": lambda x: -F.floor(-tensor_of(x)),
    "isinf": composites.isinf,
    "isnan": composites.isnan,
    "deg2rad": lambda x: F.multiply(x, math.pi / 180.0),
    "radians": lambda x: F.multiply(x, math.pi / 180.0),
    "rad2deg": lambda x: F.multiply(x, 180.0 / math.pi),
    "degrees": lambda x: F.multiply(x, 180.0 / math.pi),
    "add.reduce": lambda x, axis=0, **keepdims: F.sum(x, axis, **keepdims),
    "multiply.reduce": lambda x, axis=0, **keepdims: F.prod(x, axis, **keepdims),
    "maximum.reduce": lambda x, axis=0, **keepdims: F.max(x, axis, **keepdims),
    "minimum.reduce": lambda x, axis=0, **keepdims: F.min(x, axis, **keepdims),
    "logaddexp.reduce": lambda x, axis=0, **keepdims: F.logsumexp(x, axis, **keepdims),
}

set_numpy_functions(called, UNIVERSAL)
