"""Convolution and pooling equal PyTorch's for random geometry, gradients included."""

import warnings

import hypothesis
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import chainrule as cr
from chainrule.backends import available
from chainrule.errors import ArgumentError, ShapeError

torch = pytest.importorskip("torch", reason="PyTorch is the independent system that convolutions are compared with")
F = torch.nn.functional


def _compare(ours, theirs, arrays):
    tensors = [cr.tensor(a) for a in arrays]
    copies = [torch.tensor(a, requires_grad=True) for a in arrays]
    y, z = ours(*tensors), theirs(*copies)
    assert y.shape == tuple(z.shape)
    np.testing.assert_allclose(y.numpy(), z.detach().numpy(), rtol=1e-10, atol=1e-10)
    u = np.random.default_rng(1).normal(size=y.shape)
    expected = torch.autograd.grad(z, copies, torch.tensor(u))
    for a, b in zip(cr.grad(y, tensors, u), expected, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-10, atol=1e-10)


@st.composite
def _geometry(draw, spatial):
    def per_axis(low, high):
        return tuple(draw(st.integers(low, high)) for _ in range(spatial))

    geometry = {"stride": per_axis(1, 3), "padding": per_axis(0, 3), "dilation": per_axis(1, 3)}
    groups, batch, inner, outer = (draw(st.integers(1, n)) for n in (3, 2, 2, 2))
    size, kernel = per_axis(1, 6), per_axis(1, 3)
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    x = rng.normal(size=(batch, groups * inner, *size))
    w = rng.normal(size=(groups * outer, inner, *kernel))
    return x, w, rng.normal(size=groups * outer), {**geometry, "groups": groups}


def _fits(x, w, settings):
    geometry = zip(x.shape[2:], w.shape[2:], settings["padding"], settings["dilation"], strict=True)
    return all(n + 2 * p >= (k - 1) * d + 1 for n, k, p, d in geometry)


@pytest.mark.parametrize("spatial", [1, 2])
@hypothesis.settings(max_examples=50)
@given(st.data())
def test_convolution(spatial, data):
    x, w, bias, settings = data.draw(_geometry(spatial))
    ours, theirs = ((cr.conv1d, F.conv1d), (cr.conv2d, F.conv2d))[spatial - 1]
    if not _fits(x, w, settings):
        with pytest.raises(ShapeError, match="the kernel with its dilation must fit into the padded input"):
            ours(x, w, bias, **settings)
        return
    _compare(lambda *t: ours(*t, **settings), lambda *t: theirs(*t, **settings), [x, w, bias])


@hypothesis.settings(max_examples=50)
@given(st.data())
def test_transposed_convolution(data):
    _, w, _, settings = data.draw(_geometry(2))
    rng = np.random.default_rng(0)
    inner = w.shape[0]
    x = rng.normal(size=(2, inner, *data.draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))))
    extra = tuple(
        data.draw(st.integers(0, max(s, d) - 1)) for s, d in zip(settings["stride"], settings["dilation"], strict=True)
    )
    sizes = [
        (n - 1) * s - 2 * p + d * (k - 1) + e + 1
        for n, s, p, d, k, e in zip(
            x.shape[2:], settings["stride"], settings["padding"], settings["dilation"], w.shape[2:], extra, strict=True
        )
    ]
    settings["output_padding"] = extra
    if min(sizes) < 1:
        with pytest.raises(ShapeError, match="conv_transpose would give the spatial shape"):
            cr.conv_transpose2d(x, w, **settings)
        return
    bias = rng.normal(size=w.shape[1] * settings["groups"])
    _compare(lambda *t: cr.conv_transpose2d(*t, **settings), lambda *t: F.conv_transpose2d(*t, **settings), [x, w, bias])


@pytest.mark.parametrize(("ours", "theirs"), [(cr.max_pool, F.max_pool2d), (cr.avg_pool, F.avg_pool2d)])
@hypothesis.settings(max_examples=50)
@given(st.data())
def test_pooling(ours, theirs, data):
    window = data.draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    stride = data.draw(st.one_of(st.none(), st.tuples(st.integers(1, 3), st.integers(1, 3))))
    padding = tuple(data.draw(st.integers(0, k // 2)) for k in window)
    shape = data.draw(st.tuples(st.integers(1, 2), st.integers(1, 2), st.integers(1, 6), st.integers(1, 6)))
    assume(all(n + 2 * p >= k for n, p, k in zip(shape[2:], padding, window, strict=True)))
    x = np.random.default_rng(0).normal(size=shape)
    _compare(lambda t: ours(t, window, stride, padding), lambda t: theirs(t, window, stride, padding), [x])


@pytest.mark.parametrize("dilation", [1, 2])
def test_dilated_max_pooling(dilation):
    x = np.random.default_rng(0).normal(size=(2, 3, 7, 8))
    _compare(lambda t: cr.max_pool(t, 3, 2, 1, dilation), lambda t: F.max_pool2d(t, 3, 2, 1, dilation), [x])


@pytest.mark.parametrize("dilation", [1, 2, 3])
@pytest.mark.parametrize("kernel", [(1, 2), (3, 4)])
def test_same_padding(kernel, dilation):
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(1, 2, 9, 9)), rng.normal(size=(3, 2, *kernel))
    settings = {"padding": "same", "dilation": dilation}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch warns that even kernels copy
        _compare(lambda *t: cr.conv2d(*t, **settings), lambda *t: F.conv2d(*t, **settings), [x, w])
    assert cr.conv2d(x, w, padding="valid").shape == cr.conv2d(x, w).shape


CONV = (np.ones((1, 2, 5, 5)), np.ones((4, 2, 3, 3)))
WRONG = {
    "axes": (lambda: cr.conv2d(CONV[0][0], CONV[1]), ShapeError, r"conv2d got .* \(batch, channels, height, width\)"),
    "axes of conv1d": (lambda: cr.conv1d(*CONV), ShapeError, r"conv1d got the shapes .* \(batch, channels, length\)"),
    "channels": (lambda: cr.conv2d(CONV[0], np.ones((4, 3, 3, 3))), ShapeError, "convolution got an input with 2 channels"),
    "groups": (lambda: cr.conv2d(*CONV, groups=2), ShapeError, "groups=2; channels must be the kernel's second axis × groups"),
    "no groups": (lambda: cr.conv2d(*CONV, groups=0), ShapeError, "groups=0"),
    "stride": (lambda: cr.conv2d(*CONV, stride=0), ArgumentError, "convolution got stride=0; it takes one integer ≥ 1"),
    "stride of three": (lambda: cr.conv2d(*CONV, stride=(1, 1, 1)), ArgumentError, "or one per spatial axis"),
    "float stride": (lambda: cr.conv2d(*CONV, stride=1.5), ArgumentError, "convolution got stride=1.5; it takes integers"),
    "float padding": (lambda: cr.conv2d(*CONV, padding=0.5), ArgumentError, "conv2d got padding=0.5; it takes integers"),
    "word": (lambda: cr.conv2d(*CONV, padding="some"), ArgumentError, "conv2d got padding='some'"),
    "same with stride": (lambda: cr.conv2d(*CONV, padding="same", stride=2), ArgumentError, "the stride must be 1"),
    "bias": (lambda: cr.conv2d(*CONV, np.ones(3)), ShapeError, r"conv2d got a bias of shape \(3,\); it takes .* \(4,\)"),
    "bias of one": (lambda: cr.conv2d(*CONV, np.ones(1)), ShapeError, "one number per output channel"),
    "transposed bias": (lambda: cr.conv_transpose2d(CONV[0], CONV[1][:2], np.ones(3)), ShapeError, "got a bias of shape"),
    "transposed channels": (lambda: cr.conv_transpose2d(*CONV), ShapeError, "channels must equal the kernel's first axis"),
    "pool axes": (lambda: cr.max_pool(np.ones((2, 3)), 2), ShapeError, r"pooling got the shape \(2, 3\)"),
    "pool window": (lambda: cr.max_pool(CONV[0], 6), ShapeError, "the window must fit into the padded spatial axes"),
    "pool padding": (lambda: cr.max_pool(CONV[0], 2, padding=2), ArgumentError, "padding may be at most half the window"),
    "global": (lambda: cr.global_avg_pool(np.ones((2, 3))), ShapeError, "it takes .batch, channels"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_wrong_settings(case):
    call, error, text = WRONG[case]
    with pytest.raises(error, match=text):
        call()


@pytest.mark.parametrize("backend", available())
@pytest.mark.parametrize("pool", [cr.max_pool, cr.avg_pool])
@pytest.mark.parametrize("shape", [(0, 3, 4, 4), (2, 0, 5, 4)])
def test_pooling_of_nothing(pool, shape, backend):
    """An empty batch, or no channels: windows of nothing, and a gradient of nothing."""

    def pooled(x):
        y = pool(x, 2, padding=1, stride=1)
        return y, *cr.grad(y.sum(), [x])

    x = np.zeros(shape)
    wanted = (*shape[:2], shape[2] + 1, shape[3] + 1)
    assert [t.shape for t in pooled(cr.tensor(x, requires_grad=True))] == [wanted, shape]
    assert [t.shape for t in cr.compile(pooled, backend=backend)(x)] == [wanted, shape]
