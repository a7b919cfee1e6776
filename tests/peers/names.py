"""What others call our operations, and how their arguments become ours: for the samples that PyTorch and ONNX test theirs with.

A function that is called with arguments it does not know raises TypeError, or Different where only their values differ: such
samples are of something that we do not have.
"""

import math

import chainrule as cr


class Different(Exception):
    """A sample of what is no part of our operation."""


def _only(condition):
    if not condition:
        raise Different


def _over(function):
    """A reduction over one axis, several or all."""

    def reduced(x, dim=None, keepdim=False):
        return function(x, axis=None if dim in ((), []) else dim, keepdims=keepdim)

    return reduced


def _var(x, dim=None, unbiased=None, correction=None, keepdim=False):
    _only(dim is None or not isinstance(dim, bool))
    freedom = (1 if unbiased is None else int(unbiased)) if correction is None else correction
    _only(freedom == int(freedom))
    return cr.var(x, axis=None if dim in ((), []) else dim, keepdims=keepdim, correction=int(freedom))


def _divided(a, b, rounding_mode=None):
    _only(rounding_mode is None)
    return cr.divide(a, b)


def _gelu(x, approximate="none"):
    _only(approximate == "none")
    return cr.gelu(x)


def _softplus(x, beta=1, threshold=20):
    return cr.where(x * beta > threshold, x, cr.softplus(x * beta) / beta)


def _clamp(x, min=None, max=None):
    y = x if min is None else cr.maximum(x, min)
    return y if max is None else cr.minimum(y, max)


def _permuted(x, *dims):
    return cr.permute(x, dims[0] if len(dims) == 1 and isinstance(dims[0], tuple | list) else dims)


def _joined(function):
    def joined(tensors, dim=0):
        _only(len({t.ndim for t in tensors}) == 1)  # PyTorch leaves out empty vectors
        return function(tensors, axis=dim)

    return joined


def _shaped(function):
    def shaped(x, *shape):
        return function(x, shape[0] if len(shape) == 1 and isinstance(shape[0], tuple | list) else shape)

    return shaped


def _largest(axes):
    def pooled(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
        _only(x.ndim == axes + 2 and not ceil_mode and not return_indices)
        return cr.max_pool(x, kernel_size, stride or None, padding, dilation)

    return pooled


def _average(axes):
    def pooled(x, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None):
        _only(x.ndim == axes + 2 and not ceil_mode and count_include_pad and divisor_override is None)
        _only(x.dtype.kind == "f")  # PyTorch divides integers as integers
        return cr.avg_pool(x, kernel_size, stride or None, padding)

    return pooled


def _convolved(function):
    def convolved(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
        _only(x.ndim == weight.ndim)
        return function(x, weight, bias, stride=stride, padding=padding, dilation=dilation, groups=groups)

    return convolved


def _linear(x, weight, bias=None):
    y = cr.matmul(x, cr.transpose(weight)) if weight.ndim == 2 else cr.matmul(x, weight)
    return y if bias is None else y + bias


def _layer_norm(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    _only(len(normalized_shape) == 1 and weight is not None and bias is not None)
    return cr.layer_norm(x, weight, bias, eps)


def _scaled(function):
    def scaled(a, b, alpha=1):
        return function(a, b if alpha == 1 else b * alpha)

    return scaled


def _arg(function):
    return lambda x, dim=None, keepdim=False: function(x, axis=dim, keepdims=keepdim)


SAME = ["abs", "cos", "erf", "exp", "expm1", "floor", "isfinite", "log", "log1p", "logical_and", "logical_not", "logical_or"]
SAME += ["matmul", "maximum", "minimum", "outer", "sigmoid", "sign", "sin", "sqrt", "square", "tanh"]

# PyTorch's name: our operation, called as PyTorch's is.
TORCH = {name: getattr(cr, name) for name in SAME} | {
    "add": _scaled(cr.add),
    "amax": _over(cr.max),
    "amin": _over(cr.min),
    "argmax": _arg(cr.argmax),
    "argmin": _arg(cr.argmin),
    "bmm": cr.matmul,
    "broadcast_to": cr.broadcast_to,
    "cat": _joined(cr.concatenate),
    "clamp": _clamp,
    "div": _divided,
    "dot": cr.matmul,
    "einsum": lambda tensors, equation: cr.einsum(equation, *tensors),
    "eq": cr.equal,
    "flip": lambda x, dims: cr.flip(x, axis=dims),
    "ge": cr.greater_equal,
    "gt": cr.greater,
    "le": cr.less_equal,
    "log_softmax": lambda x, dim: cr.log_softmax(x, axis=dim),
    "logsumexp": _over(cr.logsumexp),
    "lt": cr.less,
    "mean": _over(cr.mean),
    "mm": cr.matmul,
    "mul": cr.multiply,
    "mv": cr.matmul,
    "ne": cr.not_equal,
    "neg": cr.negative,
    "nn.functional.avg_pool1d": _average(1),
    "nn.functional.avg_pool2d": _average(2),
    "nn.functional.conv1d": _convolved(cr.conv1d),
    "nn.functional.conv2d": _convolved(cr.conv2d),
    "nn.functional.elu": lambda x, alpha=1.0: cr.elu(x, alpha),
    "nn.functional.gelu": _gelu,
    "nn.functional.layer_norm": _layer_norm,
    "nn.functional.leaky_relu": lambda x, negative_slope=0.01: cr.leaky_relu(x, negative_slope),
    "nn.functional.linear": _linear,
    "nn.functional.max_pool1d": _largest(1),
    "nn.functional.max_pool2d": _largest(2),
    "nn.functional.relu": cr.relu,
    "nn.functional.silu": cr.silu,
    "nn.functional.softplus": _softplus,
    "permute": _permuted,
    "pow": cr.power,
    "prod": _over(cr.prod),
    "reshape": _shaped(cr.reshape),
    "softmax": lambda x, dim: cr.softmax(x, axis=dim),
    "squeeze": lambda x, dim=None: cr.squeeze(x, dim),
    "stack": _joined(cr.stack),
    "sub": _scaled(cr.subtract),
    "sum": _over(cr.sum),
    "true_divide": _divided,
    "unsqueeze": cr.expand_dims,
    "var": _var,
    "where": lambda x, condition, y: cr.where(condition, x, y),
}


# ------------------------------------------------------------------------------------------------ ONNX
def _axes(values, attributes):
    """Axes are an attribute in old versions of ONNX, and an input in new ones."""
    if values and values[0] is not None and values[0].size:
        return tuple(int(a) for a in values[0])
    return attributes.pop("axes", None)


def _onnx_reduced(function):
    def reduced(x, *axes, keepdims=1, noop_with_empty_axes=0, **attributes):
        given = _axes(axes, attributes)
        if given is None and noop_with_empty_axes:
            return cr.tensor(x)
        return function(x, axis=given and tuple(given), keepdims=bool(keepdims))

    return reduced


def _onnx_arg(function):
    def found(x, axis=0, keepdims=1, select_last_index=0):
        _only(not select_last_index)
        return function(x, axis=axis, keepdims=bool(keepdims))

    return found


def _folded(function):
    """An operation of any number of inputs."""

    def folded(*values):
        total = cr.tensor(values[0])
        for value in values[1:]:
            total = function(total, value)
        return total

    return folded


def _onnx_gelu(x, approximate=b"none"):
    _only(approximate == b"none")
    return cr.gelu(x)


def _gemm(a, b, c=None, alpha=1.0, beta=1.0, transA=0, transB=0):
    y = alpha * cr.matmul(cr.transpose(a) if transA else a, cr.transpose(b) if transB else b)
    return y if c is None else y + beta * c


def _onnx_conv(x, w, b=None, kernel_shape=None, strides=1, pads=(), dilations=1, group=1, auto_pad=b"NOTSET"):
    _only(x.ndim in (3, 4) and auto_pad == b"NOTSET")
    half = len(pads) // 2
    _only(tuple(pads[:half]) == tuple(pads[half:]))
    convolve = cr.conv1d if x.ndim == 3 else cr.conv2d
    return convolve(x, w, b, stride=strides, padding=tuple(pads[:half]) or 0, dilation=dilations, groups=group)


def _globally(function):
    """A pooling that keeps the spatial axes, of size 1."""
    return lambda x: cr.reshape(function(x), (*x.shape[:2], *(1,) * (x.ndim - 2)))


def _same_shape(x, shape, allowzero=0):
    _only(not allowzero)
    return cr.reshape(x, tuple(x.shape[k] if n == 0 else int(n) for k, n in enumerate(shape)))


def _onnx_clip(x, low=None, high=None):
    return cr.clip(x, None if low is None else low.item(), None if high is None else high.item())


# ONNX's name: our operation, called with the node's inputs and attributes.
ONNX = {
    "Abs": cr.abs, "And": cr.logical_and, "Cos": cr.cos, "Equal": cr.equal, "Erf": cr.erf, "Exp": cr.exp, "Floor": cr.floor,
    "Greater": cr.greater, "GreaterOrEqual": cr.greater_equal, "Less": cr.less, "LessOrEqual": cr.less_equal, "Log": cr.log,
    "MatMul": cr.matmul, "Mul": cr.multiply, "Neg": cr.negative, "Not": cr.logical_not, "Or": cr.logical_or, "Relu": cr.relu,
    "Sigmoid": cr.sigmoid, "Sign": cr.sign, "Sin": cr.sin, "Softplus": cr.softplus, "Sqrt": cr.sqrt, "Sub": cr.subtract,
    "Tanh": cr.tanh, "Where": cr.where, "Add": cr.add,
    "ArgMax": _onnx_arg(cr.argmax), "ArgMin": _onnx_arg(cr.argmin), "Clip": _onnx_clip,
    "Concat": lambda *values, axis: cr.concatenate(values, axis=axis),
    "Conv": _onnx_conv,
    "Elu": lambda x, alpha=1.0: cr.elu(x, alpha),
    "Expand": lambda x, shape: cr.broadcast_to(x, tuple(int(n) for n in (cr.tensor(x) + 0 * cr.ones(tuple(shape))).shape)),
    "Flatten": lambda x, axis=1: cr.reshape(x, (math.prod(x.shape[:axis]), -1)),
    "Gelu": _onnx_gelu, "Gemm": _gemm,
    "GlobalAveragePool": _globally(cr.global_avg_pool), "GlobalMaxPool": _globally(cr.global_max_pool),
    "LeakyRelu": lambda x, alpha=0.01: cr.leaky_relu(x, alpha),
    "LogSoftmax": lambda x, axis=-1: cr.log_softmax(x, axis),
    "Max": _folded(cr.maximum), "Min": _folded(cr.minimum), "Sum": _folded(cr.add),
    "Pow": cr.power,
    "Reciprocal": lambda x: cr.divide(1.0, x),
    "ReduceL2": _onnx_reduced(lambda x, axis, keepdims: cr.sqrt(cr.sum(cr.square(x), axis, keepdims=keepdims))),
    "ReduceLogSumExp": _onnx_reduced(cr.logsumexp), "ReduceMax": _onnx_reduced(cr.max), "ReduceMean": _onnx_reduced(cr.mean),
    "ReduceMin": _onnx_reduced(cr.min), "ReduceProd": _onnx_reduced(cr.prod), "ReduceSum": _onnx_reduced(cr.sum),
    "ReduceSumSquare": _onnx_reduced(lambda x, axis, keepdims: cr.sum(cr.square(x), axis, keepdims=keepdims)),
    "Reshape": _same_shape,
    "Softmax": lambda x, axis=-1: cr.softmax(x, axis),
    "Squeeze": lambda x, *axes, **attributes: cr.squeeze(x, _axes(axes, attributes)),
    "Transpose": lambda x, perm=None: cr.transpose(x, perm),
    "Unsqueeze": lambda x, *axes, **attributes: cr.expand_dims(x, _axes(axes, attributes)),
}  # fmt: skip
