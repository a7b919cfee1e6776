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
from typing import Any

import numpy as np

from chainrule import checks, composites, creation
from chainrule import functional as F
from chainrule.errors import ArgumentError, ShapeError
from chainrule.numpy_functions.entries import OURS, Axis, arrays_in, ours
from chainrule.numpy_functions.products import norm, tensordot, vecdot
from chainrule.numpy_functions.shapes import atleast_2d, diagonal, unstack
from chainrule.ops.primitive import integer, normalise_axes
from chainrule.ops.requirement import Limits, required
from chainrule.tensors import Tensor, TensorLike, result, root, set_numpy_functions, tensor_of

__all__ = ["OURS", "READS", "UNIVERSAL", "called"]

OURS |= {
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
        return function(*map(arrays_in, args), **{key: arrays_in(value) for key, value in kwargs.items()})
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


# -------------------------------------------------------------------------------------------- reductions
@ours(np.average)
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


@ours(np.var)
def _var(
    a: TensorLike, axis: Axis = None, *, ddof: int | None = None, correction: int | None = None, keepdims: bool = False
) -> Tensor:
    return F.var(a, axis, keepdims=keepdims, correction=_correction("np.var", ddof, correction))


@ours(np.std)
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
@ours(np.where)
def _where(condition: TensorLike, *values: TensorLike) -> Any:
    """With the condition alone, the positions where it holds."""
    if values:
        return F.where(condition, *values)
    known = tensor_of(condition)
    if known.ndim == 0:
        raise ShapeError("np.where got a condition without axes, alone", "it gives positions", "Give two values as well.")
    return np.nonzero(known.numpy())


@ours(np.clip)
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


@ours(np.full_like)
def _full_like(a: TensorLike, fill_value: TensorLike, dtype: Any = None) -> Tensor:
    return F.broadcast_to(tensor_of(fill_value).astype(tensor_of(a).dtype if dtype is None else dtype), tensor_of(a).shape)


@ours(np.nan_to_num)
def _nan_to_num(
    x: TensorLike, copy: bool = True, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None
) -> Tensor:
    """With NumPy's `copy`, which makes no difference here."""
    return composites.nan_to_num(x, nan, posinf, neginf)


@ours(np.tril)
def _tril(m: TensorLike, k: int = 0) -> Tensor:
    """A vector is repeated as the rows of a square."""
    x = tensor_of(m)
    return F.where(_triangle("np.tril", x, k), x, x.dtype.type(0))


@ours(np.triu)
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
    first = np.array([True, False]).reshape(2, *(1,) * max(tensor_of(a).ndim, tensor_of(b).ndim))
    pair = F.where(first, a, b) / 1.0  # of one floating dtype
    limits = np.finfo(pair.dtype)
    scale = F.stop_gradient(F.clip(F.max(F.abs(pair), 0), float(limits.tiny), float(limits.max)))
    return scale * root(F.sum(F.square(pair / scale), 0))


# -------------------------------------------------------------------------------------------- the others
OURS |= {
    np.fliplr: lambda m: F.flip(m, 1),
    np.flipud: lambda m: F.flip(m, 0),
    np.linalg.diagonal: lambda x, *, offset=0: diagonal(x, offset, -2, -1),
    np.linalg.matrix_norm: lambda x, *, keepdims=False, ord="fro": norm(x, ord, (-2, -1), keepdims=keepdims),
    np.linalg.matrix_transpose: lambda x: tensor_of(x).mT,
    np.linalg.tensordot: lambda x1, x2, *, axes=2: tensordot(x1, x2, axes),
    np.linalg.trace: lambda x, *, offset=0: F.sum(diagonal(x, offset, -2, -1), -1),
    np.matrix_transpose: lambda x: tensor_of(x).mT,
    np.ptp: lambda a, axis=None, *, keepdims=False: F.max(a, axis, keepdims=keepdims) - F.min(a, axis, keepdims=keepdims),
    np.ravel: lambda a: F.reshape(a, -1),
    np.split: lambda ary, indices_or_sections, axis=0: list(F.split(ary, indices_or_sections, axis)),
    np.trace: lambda a, offset=0, axis1=0, axis2=1: F.sum(diagonal(a, offset, axis1, axis2), -1),
    np.vdot: lambda a, b: vecdot(F.reshape(a, -1), F.reshape(b, -1)),
    np.vstack: lambda tup: F.concatenate([atleast_2d(a) for a in tup]),
}
if hasattr(np, "astype"):  # from NumPy 2.1 on
    OURS |= {np.astype: lambda x, dtype: tensor_of(x).astype(dtype), np.unstack: unstack}


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
