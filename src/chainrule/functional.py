"""Functions on Tensors: the primitives under their names, and composites of them.

At NaN the gradient is as in PyTorch: relu, maximum, minimum, max and min, which pass a NaN on, pass its gradient back (max and
min in equal shares to all that are NaN); for clip it is 0, as outside the bounds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np

from chainrule import checks, elsewhere, ops
from chainrule.errors import ArgumentError, ShapeError
from chainrule.ir import Shape
from chainrule.ops.requirement import Limits, required
from chainrule.tensors import Tensor, TensorLike, apply, result, root, tensor_of

Axis = int | Sequence[int] | None


# -------------------------------------------------------------------------------------------- elementwise
def _document(function: Callable[..., Tensor], name: str) -> None:
    record = ops.lookup(name)
    function.__name__ = function.__qualname__ = name
    kinks = f"\n\nDerivative where it does not exist: {record.kinks}." if record.kinks else ""
    refused = f"\n\nNot differentiable: {record.not_differentiable}." if record.not_differentiable else ""
    function.__doc__ = f"{record.summary}, elementwise.{kinks}{refused}"


def _unary(name: str) -> Callable[[TensorLike], Tensor]:
    def function(x: TensorLike) -> Tensor:
        return apply(name, x)

    _document(function, name)
    return function


def _binary(name: str) -> Callable[[TensorLike, TensorLike], Tensor]:
    def function(a: TensorLike, b: TensorLike) -> Tensor:
        return apply(name, a, b)

    _document(function, name)
    return function


add = _binary("add")
subtract = _binary("subtract")
multiply = _binary("multiply")
divide = _binary("divide")
power = _binary("power")
maximum = _binary("maximum")
minimum = _binary("minimum")
equal = _binary("equal")
not_equal = _binary("not_equal")
less = _binary("less")
less_equal = _binary("less_equal")
greater = _binary("greater")
greater_equal = _binary("greater_equal")
logical_and = _binary("logical_and")
logical_or = _binary("logical_or")

negative = _unary("negative")
abs = _unary("abs")
sign = _unary("sign")
floor = _unary("floor")
square = _unary("square")
sqrt = _unary("sqrt")
exp = _unary("exp")
expm1 = _unary("expm1")
log = _unary("log")
log1p = _unary("log1p")
sin = _unary("sin")
cos = _unary("cos")
tanh = _unary("tanh")
erf = _unary("erf")
sigmoid = _unary("sigmoid")
softplus = _unary("softplus")
relu = _unary("relu")
gelu = _unary("gelu")
silu = _unary("silu")
step = _unary("step")
isfinite = _unary("isfinite")
logical_not = _unary("logical_not")
stop_gradient = _unary("stop_gradient")


def leaky_relu(x: TensorLike, slope: float = 0.01) -> Tensor:
    """y = x where x > 0, else slope · x. At 0 the derivative is taken to be `slope`."""
    return apply("leaky_relu", x, slope=slope)


def elu(x: TensorLike, alpha: float = 1.0) -> Tensor:
    """y = x where x > 0, else alpha (eˣ − 1) (Clevert et al. 2016). At 0 the derivative is taken to be `alpha`."""
    return apply("elu", x, alpha=alpha)


def clip(x: TensorLike, low: float | None = None, high: float | None = None) -> Tensor:
    """y = min(max(x, low), high); None leaves that side open. At the bounds the derivative is taken to be 1."""
    return apply("clip", x, low=low, high=high)


def where(condition: TensorLike, a: TensorLike, b: TensorLike) -> Tensor:
    """y = a where the condition holds, else b; all three broadcast."""
    return apply("where", condition, a, b)


# -------------------------------------------------------------------------------------------- reductions
def sum(x: TensorLike, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
    """Σ x over `axis` (all axes if None); int64 for booleans and all integers, uint8 too, where NumPy gives uint64."""
    return apply("sum", x, axis=axis, keepdims=keepdims)


def mean(x: TensorLike, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
    """Mean over `axis` (all axes if None)."""
    return apply("mean", x, axis=axis, keepdims=keepdims)


def var(x: TensorLike, axis: Axis = None, *, keepdims: bool = False, correction: int = 0) -> Tensor:
    """Σ (x − mean)² / (n − correction) over `axis` (all axes if None)."""
    return apply("var", x, axis=axis, keepdims=keepdims, correction=correction)


def prod(x: TensorLike, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
    """Π x over `axis` (all axes if None); int64 for booleans and all integers, uint8 too, where NumPy gives uint64."""
    return apply("prod", x, axis=axis, keepdims=keepdims)


def max(x: TensorLike, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
    """Largest element over `axis` (all axes if None); ties share the gradient equally."""
    return apply("max", x, axis=axis, keepdims=keepdims)


def min(x: TensorLike, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
    """Smallest element over `axis` (all axes if None); ties share the gradient equally."""
    return apply("min", x, axis=axis, keepdims=keepdims)


def logsumexp(x: TensorLike, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
    """ln Σ eˣ over `axis` (all axes if None), without overflow."""
    return apply("logsumexp", x, axis=axis, keepdims=keepdims)


def argmax(x: TensorLike, axis: int | None = None, *, keepdims: bool = False) -> Tensor:
    """Position of the largest element along `axis` (in the flattened array if None), int64; the first one at ties."""
    return apply("argmax", x, axis=axis, keepdims=keepdims)


def argmin(x: TensorLike, axis: int | None = None, *, keepdims: bool = False) -> Tensor:
    """Position of the smallest element along `axis` (in the flattened array if None), int64; the first one at ties."""
    return apply("argmin", x, axis=axis, keepdims=keepdims)


# -------------------------------------------------------------------------------------------- shapes
def reshape(x: TensorLike, shape: int | Sequence[int]) -> Tensor:
    """The elements in order in another shape; one axis may be -1."""
    return apply("reshape", x, shape=shape)


def transpose(x: TensorLike, axes: Sequence[int] | None = None) -> Tensor:
    """The axes in another order; reversed if None."""
    return apply("transpose", x, axes=axes)


def permute(x: TensorLike, axes: Sequence[int]) -> Tensor:
    """The axes in the order given; another name of `transpose`."""
    return apply("transpose", x, axes=axes)


def broadcast_to(x: TensorLike, shape: Sequence[int]) -> Tensor:
    """Repeated along axes of size 1, and along new leading ones, up to `shape`."""
    return apply("broadcast_to", x, shape=shape)


def squeeze(x: TensorLike, axis: Axis = None) -> Tensor:
    """Without axes of size 1 (all of them if None)."""
    return apply("squeeze", x, axis=axis)


def expand_dims(x: TensorLike, axis: int | Sequence[int]) -> Tensor:
    """With new axes of size 1 at the given places of the result."""
    return apply("expand_dims", x, axis=axis)


def concatenate(tensors: Sequence[TensorLike], axis: int = 0) -> Tensor:
    """One after another along an axis."""
    return apply("concatenate", *_several("concatenate", tensors), axis=axis)


def stack(tensors: Sequence[TensorLike], axis: int = 0) -> Tensor:
    """Side by side along a new axis."""
    return apply("stack", *_several("stack", tensors), axis=axis)


def _several(name: str, tensors: Any) -> list[TensorLike]:
    return checks.listed(tensors, f"{name} got {{}}", "it takes a list of Tensors", f"Write cr.{name}([x, y]).")


def split(x: TensorLike, sections: int | Sequence[int], axis: int = 0) -> tuple[Tensor, ...]:
    """Parts along an axis: `sections` equal ones, or cut at the given positions (NumPy's array_split does not apply).

    Raises:
        ShapeError: the size is not a multiple of `sections`.
    """
    node = tensor_of(x).node
    return tuple(result(part) for part in ops.shape.split(node, sections, axis))


def pad(x: TensorLike, widths: int | Sequence[tuple[int, int]], value: float = 0.0) -> Tensor:
    """`value` put around x: one count for every side, or one pair (before, after) per axis."""
    node = tensor_of(x).node
    pairs = ((widths, widths),) * node.ndim if isinstance(widths, int) else widths
    return apply("pad", x, widths=pairs, value=value)


def flip(x: TensorLike, axis: Axis = None) -> Tensor:
    """The order along `axis` reversed (all axes if None)."""
    return apply("flip", x, axis=axis)


# -------------------------------------------------------------------------------------------- products
def matmul(a: TensorLike, b: TensorLike) -> Tensor:
    """A B, over leading axes as in NumPy; a vector is a row on the left and a column on the right."""
    return apply("matmul", a, b)


def outer(a: TensorLike, b: TensorLike) -> Tensor:
    """y_ij = a_i b_j, both flattened."""
    return apply("outer", a, b)


def einsum(equation: str, *tensors: TensorLike) -> Tensor:
    """Einstein's summation, as in NumPy: einsum("ij,jk->ik", a, b). No ellipsis."""
    return apply("einsum", *tensors, equation=equation)


def affine(x: TensorLike, w: TensorLike, b: TensorLike) -> Tensor:
    """H = X W + b with X (…, in), W (in, out), b (out,), as one block."""
    return apply("affine", x, w, b)


# -------------------------------------------------------------------------------------------- convolution and pooling
def _convolve(x: TensorLike, w: TensorLike, bias: TensorLike | None, spatial: int, **settings: Any) -> Tensor:
    name = f"conv{spatial}d"
    return _with_bias(name, apply("convolution", *_with_rank(name, spatial, x, w), **settings), bias)


def _with_bias(name: str, y: Tensor, bias: TensorLike | None) -> Tensor:
    """One number per channel added to y (batch, channels, *spatial)."""
    if bias is None:
        return y
    b = tensor_of(bias)
    if b.shape != y.shape[1:2]:
        raise ShapeError(
            f"{name} got a bias of shape {b.shape}",
            f"it takes one number per output channel: {y.shape[1:2]}",
            "Check out_channels, or give None.",
        )
    return y + reshape(b, (-1, *(1,) * (y.ndim - 2)))


def _with_rank(name: str, spatial: int, *tensors: TensorLike) -> list[Tensor]:
    found = [*map(tensor_of, tensors)]
    if any(t.ndim != spatial + 2 for t in found):
        shapes = " and ".join(str(t.shape) for t in found)
        raise ShapeError(
            f"{name} got the shapes {shapes}",
            f"it takes {spatial + 2} axes: (batch, channels, {'height, width' if spatial == 2 else 'length'})",
            "Add missing axes with expand_dims.",
        )
    return found


def _same_padding(padding: Any, w: TensorLike, *, stride: Any, dilation: Any, spatial: int, name: str) -> Any:
    """Pairs of numbers, none negative; "valid" and "same" become some."""
    if padding == "valid":
        return 0
    if padding != "same":
        return ops.convolution.padding_pairs(padding, spatial, name, least=0)
    strides = ops.convolution.per_axis(stride, spatial, name, "stride")
    if any(s != 1 for s in strides):
        raise ArgumentError(f"{name} got padding='same' with stride={stride}", "the stride must be 1", "Give numbers.")
    dilations = ops.convolution.per_axis(dilation, spatial, name, "dilation")
    sizes = w.shape[2:] if isinstance(w, Tensor) else np.shape(w)[2:]
    totals = [(k - 1) * d for k, d in zip(sizes, dilations, strict=True)]
    return [(total // 2, total - total // 2) for total in totals]


def conv1d(
    x: TensorLike,
    weight: TensorLike,
    bias: TensorLike | None = None,
    *,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[Any] | Literal["same", "valid"] = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Tensor:
    """Cross-correlation of x (batch, in, length) with weight (out, in / groups, size), plus bias (out,).

    The length becomes ⌊(length + padding − dilation (size − 1) − 1) / stride⌋ + 1, padding counted on both sides.

    Raises:
        ShapeError, ArgumentError: axes, channels, kernel or settings that do not fit.
    """
    pads = _same_padding(padding, weight, stride=stride, dilation=dilation, spatial=1, name="conv1d")
    return _convolve(x, weight, bias, 1, stride=stride, padding=pads, kernel_dilation=dilation, groups=groups)


def conv2d(
    x: TensorLike,
    weight: TensorLike,
    bias: TensorLike | None = None,
    *,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[Any] | Literal["same", "valid"] = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Tensor:
    """Cross-correlation of x (batch, in, height, width) with weight (out, in / groups, rows, columns), plus bias (out,).

    Each spatial size becomes ⌊(size + padding − dilation (kernel − 1) − 1) / stride⌋ + 1, padding counted on both sides.

    Raises:
        ShapeError, ArgumentError: axes, channels, kernel or settings that do not fit.
    """
    pads = _same_padding(padding, weight, stride=stride, dilation=dilation, spatial=2, name="conv2d")
    return _convolve(x, weight, bias, 2, stride=stride, padding=pads, kernel_dilation=dilation, groups=groups)


def conv_transpose2d(
    x: TensorLike,
    weight: TensorLike,
    bias: TensorLike | None = None,
    *,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    output_padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Tensor:
    """The adjoint of conv2d: x (batch, in, height, width), weight (in, out / groups, rows, columns), bias (out,).

    Each spatial size becomes (size − 1) stride − 2 padding + dilation (kernel − 1) + output_padding + 1.

    Raises:
        ShapeError, ArgumentError: axes, channels, kernel or settings that do not fit.
    """
    y = apply(
        "conv_transpose",
        *_with_rank("conv_transpose2d", 2, x, weight),
        stride=stride,
        padding=padding,
        output_padding=output_padding,
        dilation=dilation,
        groups=groups,
    )
    return _with_bias("conv_transpose2d", y, bias)


def max_pool(
    x: TensorLike,
    window: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
) -> Tensor:
    """Largest element of every window of x (batch, channels, *spatial); the stride is the window unless given.

    At ties the gradient goes to the first element of the window.
    """
    return apply("max_pool", x, window=window, stride=stride, padding=padding, dilation=dilation)


def avg_pool(
    x: TensorLike, window: int | Sequence[int], stride: int | Sequence[int] | None = None, padding: int | Sequence[int] = 0
) -> Tensor:
    """Mean of every window of x (batch, channels, *spatial); padding counts as zeros; the stride is the window unless given."""
    return apply("avg_pool", x, window=window, stride=stride, padding=padding)


def global_max_pool(x: TensorLike) -> Tensor:
    """Largest element per channel: (batch, channels, *spatial) to (batch, channels)."""
    return apply("global_max_pool", x)


def global_avg_pool(x: TensorLike) -> Tensor:
    """Mean per channel: (batch, channels, *spatial) to (batch, channels)."""
    return apply("global_avg_pool", x)


# -------------------------------------------------------------------------------------------- indexing
def gather(x: TensorLike, *indices: TensorLike, axes: Sequence[int] | None = None) -> Tensor:
    """Elements of x at integer index arrays along `axes` (the first ones if None); the axes of the index arrays come first.

    Raises:
        ArgumentError: an index outside its axis. DTypeError: indices that are not integers.
    """
    return apply("gather", x, *indices, axes=tuple(range(len(indices))) if axes is None else axes)


def scatter_add(values: TensorLike, *indices: TensorLike, shape: Shape, axes: Sequence[int] | None = None) -> Tensor:
    """Zeros of `shape` with every value added at its index: the adjoint of gather.

    Raises:
        ArgumentError: an index outside its axis. ShapeError: values that do not fit the indices.
    """
    return apply("scatter_add", values, *indices, shape=shape, axes=tuple(range(len(indices))) if axes is None else axes)


def one_hot(indices: TensorLike, count: int, dtype: Any = np.float64) -> Tensor:
    """1 at the index and 0 elsewhere along a new last axis of size `count`.

    Raises:
        ArgumentError: an index outside 0 … count − 1. DTypeError: indices that are not integers.
    """
    index = tensor_of(indices)
    if index.dtype.kind in "iu" and isinstance(count, int | np.integer):
        given, expected = f"one_hot got the index {{}} for {count} classes", f"indices go from 0 to {count - 1}"
        limits = Limits(0, int(count) - 1, None, given, expected, "Number the classes from 0, or give their number as count.")
        index = result(required(index.node, index.node, limits))
    return apply("one_hot", index, count=count, dtype=dtype)


def embedding(indices: TensorLike, weight: TensorLike) -> Tensor:
    """Row weight[index] for every index: (…,) and (entries, features) to (…, features).

    Raises:
        ArgumentError: an index outside the entries. DTypeError: indices that are not integers.
    """
    return apply("embedding", indices, weight)


# -------------------------------------------------------------------------------------------- blocks
def softmax(x: TensorLike, axis: int = -1) -> Tensor:
    """y_k = e^{x_k} / Σ_j e^{x_j} along `axis`, without overflow."""
    return apply("softmax", x, axis=axis)


def log_softmax(x: TensorLike, axis: int = -1) -> Tensor:
    """x_k − ln Σ_j e^{x_j} along `axis`, without overflow."""
    return apply("log_softmax", x, axis=axis)


def softmax_with_loss(scores: TensorLike, targets: TensorLike, axis: int = -1) -> Tensor:
    """L = −Σ_k t_k ln softmax(a)_k along `axis`, as one block whose gradient is y − t.

    Args:
        scores: a, of shape (…, classes).
        targets: t, of the same shape; each row a distribution (one-hot, say).

    Returns:
        One loss per row: the shape without `axis`.
    """
    return apply("softmax_with_loss", scores, targets, axis=axis)


def binary_cross_entropy(probabilities: TensorLike, targets: TensorLike) -> Tensor:
    """−(t ln p + (1 − t) ln(1 − p)) per element, logarithms at least −100; one block, with gradient (p − t) / (p (1 − p))."""
    return apply("binary_cross_entropy", probabilities, targets)


def binary_cross_entropy_with_logits(scores: TensorLike, targets: TensorLike) -> Tensor:
    """L = −(t ln σ(z) + (1 − t) ln(1 − σ(z))) per element, without overflow, as one block whose gradient is σ(z) − t."""
    return apply("binary_cross_entropy_with_logits", scores, targets)


def layer_norm(x: TensorLike, weight: TensorLike, bias: TensorLike, eps: float = 1e-5) -> Tensor:
    """(x − mean) / √(var + eps) · weight + bias over the last axes, as many as weight has (Ba, Kiros, Hinton 2016)."""
    return apply("layer_norm", x, weight, bias, eps=eps)


def batch_norm(  # noqa: PLR0917 -- PyTorch's order
    x: TensorLike, mean: TensorLike, var: TensorLike, weight: TensorLike, bias: TensorLike, eps: float = 1e-5
) -> Tensor:
    """(x − mean) / √(var + eps) · weight + bias per channel (axis 1) with the given statistics (Ioffe, Szegedy 2015)."""
    return apply("batch_norm", x, mean, var, weight, bias, eps=eps)


def error_attribution(weights: TensorLike, errors: TensorLike, *, normalised: bool = True) -> Tensor:
    """Output errors shared out among the hidden units in proportion to the weights: a heuristic, not the gradient.

    It leaves out the derivatives of the activations, and with `normalised` the size of the weights, so it only says who had how
    much influence. With w_ij from hidden unit i to output j:

        normalised        e_i = Σ_j w_ij / (Σ_k w_kj) · e_j    each output's error is shared out completely
        not normalised    e_i = Σ_j w_ij e_j                   (E_h = Wᵀ E_o where W is written (outputs, hidden))

    Args:
        weights: (hidden, outputs), as an affine layer has them; where normalised, no column may sum to 0.
        errors: (…, outputs).

    Returns:
        (…, hidden).

    Raises:
        ShapeError: shapes that do not fit.
    """
    w = tensor_of(weights)
    shares = w / sum(w, axis=0, keepdims=True) if normalised else w
    return matmul(errors, transpose(shares))


def std(x: TensorLike, axis: Axis = None, *, keepdims: bool = False, correction: int = 0) -> Tensor:
    """√(Σ (x − mean)² / (n − correction)) over `axis` (all axes if None); where it is 0 the gradient is taken to be 0."""
    return root(apply("var", x, axis=axis, keepdims=keepdims, correction=correction))


def __getattr__(name: str) -> Any:
    raise elsewhere.missing("chainrule.functional", name, globals(), elsewhere.FUNCTIONS)


for _name, _function in list(globals().items()):
    if getattr(_function, "__module__", "") == __name__ and not _name.startswith("_"):
        globals()[_name] = elsewhere.explaining_calls(_function)
