"""Values, gradients and second derivatives in float64 compared with PyTorch's, wherever PyTorch has the operation."""

import numpy as np
import pytest

import chainrule as cr
from chainrule import ops
from chainrule.tensors import apply

torch = pytest.importorskip("torch", reason="PyTorch is the independent system that values are compared with")
F = torch.nn.functional


def _axes(axis, x):
    if axis is None:
        return tuple(range(x.ndim))
    return (axis,) if isinstance(axis, int) else tuple(axis)


def _prod(x, axis=None, keepdims=False):
    for a in sorted((a % x.ndim for a in _axes(axis, x)), reverse=True):
        x = torch.prod(x, dim=a, keepdim=keepdims)
    return x


def _slice(x, start, stop, step):
    return x[tuple(slice(int(a), int(b), int(s)) for a, b, s in zip(start, stop, step, strict=True))]


def _pad(x, widths, value, interior):
    """PyTorch pads around only: gaps between neighbours are written into a larger array."""
    sizes = [n + max(n - 1, 0) * i for n, i in zip(x.shape, interior, strict=True)]
    spread = torch.full(sizes, value, dtype=x.dtype)
    rows = [torch.arange(n) * (i + 1) for n, i in zip(x.shape, interior, strict=True)]
    spread = spread.index_put(tuple(torch.meshgrid(*rows, indexing="ij")), x)
    return F.pad(spread, [n for pair in reversed(widths) for n in pair], value=value)


def _argument(find):
    return lambda x, axis=None, keepdims=False: find(x, dim=axis, keepdim=keepdims)


def _convolution(x, w, stride, padding, input_dilation, kernel_dilation, groups):
    x = _pad(x, ((0, 0), (0, 0), *((max(a, 0), max(b, 0)) for a, b in padding)), 0.0, (0, 0, *(d - 1 for d in input_dilation)))
    crop = [(max(-a, 0), n - max(-b, 0)) for (a, b), n in zip(padding, x.shape[2:], strict=True)]
    x = x[(..., *(slice(a, b) for a, b in crop))]
    convolve = F.conv1d if x.ndim == 3 else F.conv2d
    return convolve(x, w, stride=stride, dilation=kernel_dilation, groups=groups)


def _conv_transpose(x, w, **settings):
    return (F.conv_transpose1d if x.ndim == 3 else F.conv_transpose2d)(x, w, **settings)


def _windows(x, size, stride, dilation):
    for axis, (k, s, d) in enumerate(zip(size, stride, dilation, strict=True), start=x.ndim - len(size)):
        x = x.unfold(axis, (k - 1) * d + 1, s)[..., ::d]
    return x


def _scatter_add(values, index, shape, axes):
    assert axes == (1,)
    rows = torch.zeros(shape[::-1], dtype=values.dtype)
    return rows.index_add(0, (index % shape[1]).flatten(), values.reshape(-1, shape[0])).T


def _gather(x, *indices, axes):
    moved = torch.movedim(x, axes, tuple(range(len(axes))))
    return moved[tuple(indices)]


def _pool(function):
    return lambda x, window, stride=None, padding=0, dilation=1: function(x, window, stride, padding)


TORCH = {
    "stop_gradient": lambda x: x.detach(),
    "cast": lambda x, dtype: x.to(torch.float64),
    "weighted": lambda t, x: torch.where(t == 0, torch.zeros_like(t), t * x),
    "masked": lambda x, c: torch.where(c, x, torch.zeros_like(x)),
    "add": torch.add, "subtract": torch.sub, "multiply": torch.mul, "divide": torch.div, "negative": torch.neg,
    "power": torch.pow, "equal": torch.eq, "not_equal": torch.ne, "less": torch.lt, "less_equal": torch.le,
    "greater": torch.gt, "greater_equal": torch.ge, "logical_and": torch.logical_and, "logical_or": torch.logical_or,
    "exceeds": torch.gt, "attains": torch.eq,
    "logical_not": torch.logical_not, "isfinite": torch.isfinite, "where": torch.where, "exp": torch.exp,
    "expm1": torch.expm1, "log": torch.log, "log1p": torch.log1p, "sqrt": torch.sqrt, "sin": torch.sin, "cos": torch.cos,
    "tanh": torch.tanh, "erf": torch.erf, "abs": torch.abs, "sign": torch.sign, "floor": torch.floor,
    "maximum": torch.maximum, "minimum": torch.minimum, "square": torch.square, "sigmoid": torch.sigmoid,
    "clip": lambda x: torch.clamp(x, -1.0, 1.0),
    "softplus": F.softplus, "relu": F.relu, "leaky_relu": F.leaky_relu, "elu": F.elu, "gelu": F.gelu, "silu": F.silu,
    "step": lambda x: torch.heaviside(x, torch.tensor(0.5, dtype=x.dtype)),
    "reshape": lambda x, shape: x.reshape(shape),
    "squeeze": lambda x, axis=None: torch.squeeze(x) if axis is None else torch.squeeze(x, axis),
    "expand_dims": lambda x, axis: x[None, :, :, None] if axis == (0, 3) else torch.unsqueeze(x, axis),
    "transpose": lambda x, axes: x.permute(axes),
    "slice": _slice, "pad": _pad,
    "flip": lambda x, axis=None: torch.flip(x, _axes(axis, x)),
    "concatenate": lambda *xs, axis: torch.cat(xs, axis), "stack": lambda *xs, axis: torch.stack(xs, axis),
    "broadcast_to": lambda x, shape: x.broadcast_to(shape),
    "sum": lambda x, axis=None, keepdims=False: torch.sum(x, _axes(axis, x), keepdim=keepdims),
    "max": lambda x, axis=None, keepdims=False: torch.amax(x, _axes(axis, x), keepdim=keepdims),
    "min": lambda x, axis=None, keepdims=False: torch.amin(x, _axes(axis, x), keepdim=keepdims),
    "prod": _prod,
    "mean": lambda x, axis=None, keepdims=False: torch.mean(x, _axes(axis, x), keepdim=keepdims),
    "var": lambda x, axis=None, keepdims=False: torch.var(x, _axes(axis, x), correction=0, keepdim=keepdims),
    "logsumexp": lambda x, axis=None, keepdims=False: torch.logsumexp(x, _axes(axis, x), keepdim=keepdims),
    "argmax": _argument(torch.argmax), "argmin": _argument(torch.argmin),
    "affine": lambda x, w, b: F.linear(x, w.T, b),
    "softmax": lambda x, axis: x.softmax(axis), "log_softmax": lambda x, axis: x.log_softmax(axis),
    "softmax_with_loss": lambda a, t, axis: F.cross_entropy(a, t, reduction="none"),
    "binary_cross_entropy": lambda p, t: F.binary_cross_entropy(*torch.broadcast_tensors(p, t), reduction="none"),
    "binary_cross_entropy_with_logits": lambda z, t: F.binary_cross_entropy_with_logits(
        *torch.broadcast_tensors(z, t), reduction="none"
    ),
    "layer_norm": lambda x, w, b: F.layer_norm(x, w.shape, w, b),
    "batch_norm": lambda x, mean, var, w, b: F.batch_norm(x, mean.detach(), var.detach(), w, b),
    "convolution": _convolution, "conv_transpose": _conv_transpose, "windows": _windows,
    "max_pool": _pool(F.max_pool2d), "avg_pool": _pool(F.avg_pool2d),
    "global_max_pool": lambda x: torch.amax(x, (2, 3)), "global_avg_pool": lambda x: torch.mean(x, (2, 3)),
    "gather": _gather, "scatter_add": _scatter_add,
    "one_hot": lambda i, count: F.one_hot(i, count).to(torch.float64), "embedding": F.embedding,
    "matmul": torch.matmul, "outer": torch.outer, "einsum": lambda *xs, equation: torch.einsum(equation, *xs),
}  # fmt: skip

WITHOUT_COUNTERPART = {
    "windows_sum": "torch.fold takes one layout only; it is checked as the adjoint of windows by finite differences",
    "uniform": "PyTorch's stream of random numbers is another one",
    "normal": "PyTorch's stream of random numbers is another one",
    "dropout_mask": "PyTorch's stream of random numbers is another one",
    "require": "PyTorch refuses values within its functions",
}

# PyTorch's batch_norm does not differentiate by the statistics, and its embedding and gather not by integers.
NO_TORCH_GRADIENT = {"batch_norm": (1, 2)}


def test_every_primitive_is_compared_or_excused():
    assert set(TORCH) | set(WITHOUT_COUNTERPART) == set(ops.PRIMITIVES)
    assert not set(TORCH) & set(WITHOUT_COUNTERPART)


def _agree(ours, theirs, what):
    np.testing.assert_allclose(ours.numpy(), theirs.detach().numpy(force=True), rtol=1e-10, atol=1e-10, err_msg=what)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", TORCH)
def test_value_and_two_orders_of_gradients(name, seed):
    rng = np.random.default_rng(seed)
    case = ops.PRIMITIVES[name].cases(rng)
    places = [k for k, a in enumerate(case.inputs) if a.dtype.kind == "f" and k not in NO_TORCH_GRADIENT.get(name, ())]
    ours = [cr.tensor(a) for a in case.inputs]
    theirs = [torch.tensor(a, requires_grad=k in places) for k, a in enumerate(case.inputs)]
    y = apply(name, *ours, **case.attributes)
    z = TORCH[name](*theirs, **case.attributes)
    assert y.shape == tuple(z.shape)
    assert str(y.dtype) == str(z.dtype).removeprefix("torch.")
    _agree(y, z, "value")
    if not z.requires_grad or ops.PRIMITIVES[name].not_differentiable:
        return
    u, v = rng.normal(size=y.shape), [rng.normal(size=case.inputs[k].shape) for k in places]
    our_slopes = cr.grad((y * u).sum(), [ours[k] for k in places])
    their_slopes = torch.autograd.grad((z * torch.tensor(u)).sum(), [theirs[k] for k in places], create_graph=True)
    for k, (a, b) in enumerate(zip(our_slopes, their_slopes, strict=True)):
        _agree(a, b, f"gradient {k}")
    along = sum((b * torch.tensor(d)).sum() for b, d in zip(their_slopes, v, strict=True))
    if not along.requires_grad:
        return
    bends = torch.autograd.grad(along, [theirs[k] for k in places], allow_unused=True)
    total = sum(((a * d).sum() for a, d in zip(our_slopes, v, strict=True)), cr.tensor(0.0))
    total = total + sum((0.0 * ours[k]).sum() for k in places)
    for k, (a, b) in enumerate(zip(cr.grad(total, [ours[k] for k in places]), bends, strict=True)):
        _agree(a, torch.zeros(a.shape, dtype=torch.float64) if b is None else b, f"second derivative {k}")


def _ours(name, *values, **settings):
    tensors = [cr.tensor(v) for v in values]
    return [g.numpy() for g in cr.grad(apply(name, *tensors, **settings).sum(), tensors)]


def _theirs(name, *values, **settings):
    tensors = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in values]
    return [g.numpy() for g in torch.autograd.grad(TORCH[name](*tensors, **settings).sum(), tensors)]


ZERO = np.zeros(2)
POOL = np.zeros((1, 1, 2, 2))

# (primitive, inputs at the kink, settings, gradients by the policy in the record, a word of the policy, as PyTorch)
KINKS = [
    ("abs", [ZERO], {}, [[0, 0]], "at 0: 0", True),
    ("sign", [ZERO], {}, [[0, 0]], "0 everywhere", True),
    ("floor", [np.array([1.0, -2.0])], {}, [[0, 0]], "0 everywhere", True),
    ("relu", [ZERO], {}, [[0, 0]], "at 0: 0", True),
    ("leaky_relu", [ZERO], {}, [[0.01, 0.01]], "slope", True),
    ("elu", [ZERO], {}, [[1, 1]], "alpha", True),
    ("maximum", [np.ones(2), np.ones(2)], {}, [[0.5, 0.5], [0.5, 0.5]], "½ to each", True),
    ("minimum", [np.ones(2), np.ones(2)], {}, [[0.5, 0.5], [0.5, 0.5]], "½ to each", True),
    ("clip", [np.array([-1.0, 1.0])], {}, [[1, 1]], "at low and high: 1", True),
    ("sqrt", [ZERO], {}, [[np.inf, np.inf]], "infinite", True),
    ("max", [np.array([3.0, 1.0, 3.0])], {}, [[0.5, 0, 0.5]], "equal shares", True),
    ("min", [np.array([1.0, 1.0, 3.0])], {}, [[0.5, 0.5, 0]], "equal shares", True),
    ("max_pool", [POOL], {"window": 2}, [[[[[1, 0], [0, 0]]]]], "first", True),
    ("global_max_pool", [POOL], {}, [[[[[0.25, 0.25], [0.25, 0.25]]]]], "equal shares", True),
    ("power", [np.array([0.0, 2.0]), np.array([0.0, 0.0])], {}, [[0, 0], [0, np.log(2.0)]], "0", False),
    ("power", [np.array([0.0]), np.array([2.0])], {}, [[0], [0]], "by b where a = 0 and b ≥ 0: 0", True),
    ("power", [np.array([2.0]), np.array([0.0])], {}, [[0], [np.log(2.0)]], "", True),
    ("power", [np.array([0.0]), np.array([-1.0])], {}, [[-np.inf], [-np.inf]], "", True),
]  # fmt: skip


@pytest.mark.parametrize(("name", "values", "settings", "expected", "policy", "as_torch"), KINKS)
def test_kinks_follow_their_policy(name, values, settings, expected, policy, as_torch):
    assert policy in ops.PRIMITIVES[name].kinks
    found = _ours(name, *values, **settings)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b)
    if as_torch:
        for a, b in zip(found, _theirs(name, *values, **settings), strict=True):
            np.testing.assert_allclose(a, b)


def test_every_kink_is_tried():
    comparisons = {"equal", "not_equal", "less", "less_equal", "greater", "greater_equal"}  # their result is boolean
    assert {name for name, *_ in KINKS} | comparisons == {p.name for p in ops.PRIMITIVES.values() if p.kinks}


EXTREME = np.array([-1e4, -800.0, -40.0, -1e-300, 0.0, 1e-300, 40.0, 800.0, 1e4])


@pytest.mark.parametrize("name", ["sigmoid", "softplus", "tanh", "elu", "gelu", "silu", "relu", "exp", "expm1", "erf"])
def test_large_inputs_do_not_overflow(name):
    value = TORCH[name](torch.tensor(EXTREME))
    np.testing.assert_allclose(apply(name, EXTREME).numpy(), value.numpy(), rtol=1e-12, atol=1e-300)
    ours, theirs = _ours(name, EXTREME)[0], _theirs(name, EXTREME)[0]
    np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "logsumexp"])
def test_large_scores_do_not_overflow(name):
    for row in ([1e4, -1e4, 0.0], [-1e4, -1e4 + 1, -1e4]):
        values = np.array(row)
        expected = TORCH[name](torch.tensor(values), -1).numpy()
        np.testing.assert_allclose(apply(name, values, axis=-1).numpy(), expected, rtol=1e-12)


def test_large_logits_have_finite_losses():
    z, t = np.array([-1e4, 1e4, 1e4, -1e4]), np.array([0.0, 1.0, 0.0, 1.0])
    np.testing.assert_allclose(cr.binary_cross_entropy_with_logits(z, t).numpy(), [0.0, 0.0, 1e4, 1e4])
    scores, target = np.array([[1e4, 0.0, -1e4]]), np.array([[0.0, 1.0, 0.0]])
    np.testing.assert_allclose(cr.softmax_with_loss(scores, target).numpy(), [1e4])


def test_logsumexp_of_infinities():
    assert cr.logsumexp([-np.inf, -np.inf]).item() == -np.inf
    assert cr.logsumexp([np.inf, 0.0]).item() == np.inf
