"""Clipping by norm and by value."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import chainrule as cr
from chainrule import optim
from chainrule.errors import ArgumentError

SHAPES = ((3, 2), (4,), ())


def parameters(scale: float, dtype: str = "float64", seed: int = 0) -> list[cr.Tensor]:
    """Parameters with gradients, and one without."""
    rng = np.random.default_rng(seed)
    found = [cr.parameter(np.zeros(shape, dtype)) for shape in SHAPES]
    for p in found:
        p.grad = cr.tensor((scale * rng.normal(size=p.shape)).astype(dtype))
    return [*found, cr.parameter(np.zeros(2, dtype))]


@given(scale=st.floats(1e-3, 1e3), max_norm=st.floats(1e-2, 1e2), seed=st.integers(0, 1000))
def test_the_norm_afterwards_is_at_most_the_bound(scale: float, max_norm: float, seed: int):
    params = parameters(scale, seed=seed)
    before = np.concatenate([p.grad.numpy().ravel() for p in params[:-1]])
    norm = optim.clip_grad_norm_(params, max_norm)
    after = np.concatenate([p.grad.numpy().ravel() for p in params[:-1]])
    np.testing.assert_allclose(norm.item(), np.linalg.norm(before), rtol=1e-13)
    np.testing.assert_allclose(after, before * min(1.0, max_norm / (np.linalg.norm(before) + 1e-6)), rtol=1e-13)
    assert np.linalg.norm(after) <= max_norm
    assert params[-1].grad is None


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-13), ("float32", 1e-6)])
@pytest.mark.parametrize("bound", [0.1, 1.0, 100.0, float("inf")])
def test_both_equal_pytorch(bound: float, dtype: str, tolerance: float):
    torch = pytest.importorskip("torch", reason="clipping is compared with PyTorch's")
    for name in ("clip_grad_norm_", "clip_grad_value_"):
        params = parameters(3.0, dtype)
        theirs = [torch.tensor(p.numpy().copy(), requires_grad=True) for p in params]
        for p, q in zip(params[:-1], theirs, strict=False):
            q.grad = torch.tensor(p.grad.numpy().copy())
        ours_returned = getattr(optim, name)(params, bound)
        returned = getattr(torch.nn.utils, name)(theirs, bound)
        if returned is not None:
            np.testing.assert_allclose(ours_returned.item(), returned.item(), rtol=tolerance)
        for p, q in zip(params[:-1], theirs, strict=False):
            assert p.grad.dtype == np.dtype(dtype)
            np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=tolerance)


def test_pure_functions_leave_the_gradients_alone():
    g = cr.tensor([3.0, -4.0])
    (scaled,), norm = optim.clip_by_norm([g], 1.0)
    (cut,) = optim.clip_by_value([g], 3.5)
    assert g.tolist() == [3.0, -4.0]
    assert norm.item() == 5.0
    np.testing.assert_allclose(scaled.numpy(), [0.6, -0.8], rtol=1e-6)
    assert cut.tolist() == [3.0, -3.5]


def test_one_parameter_may_come_alone():
    p = cr.parameter([0.0])
    p.grad = cr.tensor([2.0])
    optim.clip_grad_value_(p, 0.5)
    assert p.grad.tolist() == [0.5]


def test_without_gradients_the_norm_is_zero():
    assert optim.clip_grad_norm_([cr.parameter([1.0])], 1.0).item() == 0.0


@pytest.mark.parametrize("bound", [0.0, -1.0, float("nan")])
def test_bounds_must_be_above_zero(bound: float):
    with pytest.raises(ArgumentError, match=r"clip_grad_norm_ got max_norm=.*; it must be above 0"):
        optim.clip_grad_norm_(parameters(1.0), bound)
    with pytest.raises(ArgumentError, match=r"clip_grad_value_ got clip_value=.*; it must be above 0"):
        optim.clip_grad_value_(parameters(1.0), bound)
