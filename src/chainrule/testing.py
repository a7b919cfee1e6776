"""Checks of derivatives against forward values, for chainrule's own tests and for extensions.

Derivatives are compared with differences of forward values in float64 along random directions, never with another formula:

    first order    Σ g·v  with  (s(−2h) − 8 s(−h) + 8 s(h) − s(2h)) / 12h                            (error h⁴)
    second order   v·H v  with  (−s(−2h) + 16 s(−h) − 30 s(0) + 16 s(h) − s(2h)) / 12h²               (error h⁴)

where s(ε) = Σ u·f(x + ε v) for a fixed random u, and v has largest element 1 (Abramowitz and Stegun, table 25.2).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from chainrule import checks, elsewhere, ir, ops
from chainrule.conformance import (
    BackendMismatch,
    check_backend,
    check_primitive_on,
    gradients,
    is_differentiable,
    value_and_gradients,
)
from chainrule.errors import ArgumentError, ChainruleError, DTypeError
from chainrule.generators import check_seed
from chainrule.gradients import grad
from chainrule.ir import Array
from chainrule.ops.primitive import Case, Primitive
from chainrule.tensors import Tensor, TensorLike, apply, tensor

__all__ = ["BackendMismatch", "GradientMismatch", "check_backend", "check_primitive", "check_primitive_on", "gradcheck"]

_STEP = 1e-3
_FIRST = np.array([1.0, -8.0, 0.0, 8.0, -1.0]) / 12.0
_SECOND = np.array([-1.0, 16.0, -30.0, 16.0, -1.0]) / 12.0
_OFFSETS = (-2.0, -1.0, 0.0, 1.0, 2.0)


class GradientMismatch(ChainruleError, AssertionError):
    """A derivative that disagrees with the differences of forward values."""


def gradcheck(
    function: Callable[..., Tensor],
    inputs: Sequence[TensorLike],
    *,
    order: int = 2,
    directions: int = 2,
    tolerance: float = 1e-6,
    seed: int = 0,
) -> None:
    """Compare the derivatives of a function with differences of its values.

    Args:
        function: takes as many Tensors as there are inputs and returns one floating Tensor; smooth within 0.002 of the inputs.
        inputs: float64 arrays to differentiate by; arrays of integers and booleans are passed on and left alone.
        order: 1 for gradients only, 2 for second derivatives as well.
        directions: random directions to try per input and order.
        tolerance: largest difference allowed, relative to the larger of 1 and the size of the terms summed.
        seed: of the random directions.

    Raises:
        GradientMismatch: naming the input, the order and both numbers.
        DTypeError: a float32 input, whose differences would drown in rounding.
        ArgumentError, CallError: no function of so many Tensors that gives a Tensor, or settings that are not as above.
    """
    checks.function(function, "gradcheck", "Give the function itself: cr.testing.gradcheck(f, [x]).")
    given = checks.listed(inputs, "gradcheck got {} as its inputs", "it takes a list of arrays", "Write gradcheck(f, [x]).")
    if checks.whole("gradcheck", "order", order, 1) > 2:
        raise ArgumentError(f"gradcheck got order={order}", "it checks derivatives of order 1 and 2", "Give 1 or 2.")
    checks.whole("gradcheck", "directions", directions, 1)
    checks.real("gradcheck", "tolerance", tolerance)
    check_seed(seed)
    rng = np.random.default_rng(seed)
    arrays = [np.asarray(x.numpy() if isinstance(x, Tensor) else x) for x in given]
    places = [k for k, a in enumerate(arrays) if a.dtype.kind == "f"]
    for k in places:
        if arrays[k].dtype != np.float64:
            raise DTypeError(
                f"gradcheck got input {k} in {arrays[k].dtype}", "differences need float64", "Convert it with astype."
            )
    value = elsewhere.called(function, *map(tensor, arrays))
    fix = "Return one, such as y.sum()."
    upstream = rng.normal(
        size=checks.kind(value, Tensor, "gradcheck got a function that gives {}", "it gives a Tensor", fix).shape
    )

    def scalar(points: Sequence[Tensor]) -> Tensor:
        return (function(*points) * upstream).sum()

    for k in places:
        for _ in range(directions):
            _compare(scalar, arrays, _direction(rng, arrays, [k]), [k], order=1, tolerance=tolerance)
    for _ in range(directions if order > 1 and places else 0):
        _compare(scalar, arrays, _direction(rng, arrays, places), places, order=2, tolerance=tolerance)


def _direction(rng: np.random.Generator, arrays: Sequence[Array], places: Sequence[int]) -> list[Array | None]:
    """A random direction in the inputs at `places`, with largest element 1; None for inputs that stay."""
    found: list[Array | None] = [None] * len(arrays)
    for k in places:
        v = rng.normal(size=arrays[k].shape)
        found[k] = v / max(np.max(np.abs(v), initial=0.0), 1e-12)
    return found


def _compare(
    scalar: Callable[[Sequence[Tensor]], Tensor],
    arrays: Sequence[Array],
    direction: Sequence[Array | None],
    places: Sequence[int],
    *,
    order: int,
    tolerance: float,
) -> None:
    samples = np.array(
        [
            scalar([tensor(a if v is None else a + e * _STEP * v) for a, v in zip(arrays, direction, strict=True)]).item()
            for e in _OFFSETS
        ]
    )
    terms = (_FIRST if order == 1 else _SECOND) * samples / _STEP**order
    numeric = float(terms.sum())

    points = [tensor(a) for a in arrays]
    wrt = [points[k] for k in places]
    slope = _along(grad(scalar(points), wrt), direction, places)
    exact = slope if order == 1 else _along(_grad_or_zero(slope, wrt), direction, places)
    error = abs(exact.item() - numeric)
    # Differences carry rounding of about 1e-15 of the largest term; the tolerance is for the derivative itself.
    allowed = tolerance * max(1.0, abs(numeric)) + 1e-14 * float(np.max(np.abs(terms)))
    if not error <= allowed:
        raise GradientMismatch(
            f"the derivative of order {order} by input {' and '.join(map(str, places))} is {exact.item():.10g} along a "
            f"random direction, but differences of forward values give {numeric:.10g} (difference {error:.3g}, allowed "
            f"{allowed:.3g}). "
            "Check the partial or pullback of the operations used, and that the inputs are not at a kink."
        )


def _along(gradients: Sequence[Tensor], direction: Sequence[Array | None], places: Sequence[int]) -> Tensor:
    """Σ g·v over the inputs at `places`."""
    total = tensor(0.0)
    for g, k in zip(gradients, places, strict=True):
        total = total + (g * direction[k]).sum()
    return total


def _grad_or_zero(slope: Tensor, wrt: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """The gradient of a slope, which is constant, and so has none, where the function was linear."""
    return grad(slope + sum(((0.0 * w).sum() for w in wrt), tensor(0.0)), wrt)


def check_primitive(primitive: Primitive, seed: int) -> None:
    """Check one primitive on one random case from its record.

    That is: the shape and dtype rule; float32 in, float32 out; first and second derivatives against forward values; and for a
    block, that its body gives the same value and the same gradients.

    Raises:
        GradientMismatch, AssertionError: what the record says and what it does differ.
    """
    case = primitive.cases(np.random.default_rng(seed))
    _check_rule(primitive, case)
    _check_float32(primitive, case)
    if primitive.body is not None:
        _check_body(primitive, case, seed)
    if primitive.facts.cuts:
        _check_no_gradient(primitive, case)
    elif is_differentiable(primitive, case):
        gradcheck(lambda *points: apply(primitive.name, *points, **case.attributes) * 1.0, case.inputs, seed=seed)


def _check_rule(primitive: Primitive, case: Case) -> None:
    """The shape and dtype that the rule gives without values are those of the value."""
    symbolic = primitive(*(ir.placeholder("input", a.shape, a.dtype) for a in case.inputs), **case.attributes)
    concrete = primitive(*map(ir.constant, case.inputs), **case.attributes)
    assert concrete.value is not None
    found = (concrete.value.shape, concrete.value.dtype)
    expected = (symbolic.shape, symbolic.dtype)
    assert found == expected, f"{primitive.name}: the rule says {expected}, the value is {found} for {case}"
    assert ops.infer(symbolic) == expected, f"{primitive.name}: the rule says two things for {case}"


def _check_float32(primitive: Primitive, case: Case) -> None:
    """From float32 comes float32, with gradients in float32, unless a setting names the dtype."""
    exact = primitive(*map(ir.constant, case.inputs), **case.attributes)
    if "dtype" in exact.attributes or not any(a.dtype.kind == "f" for a in case.inputs):
        return
    inputs = [ir.constant(a.astype(np.float32) if a.dtype.kind == "f" else a) for a in case.inputs]
    found = value_and_gradients(primitive, case, inputs, seed=0)
    for node in found:
        assert node.value is not None
        assert exact.value is not None
        dtypes = {node.dtype, node.value.dtype}
        expected = {np.dtype(np.float32)} if exact.dtype.kind == "f" else {exact.dtype}
        assert dtypes == expected, f"{primitive.name}: float32 became {dtypes} for {case}"
        if node is found[0]:
            np.testing.assert_allclose(node.value, exact.value, rtol=1e-3, atol=1e-3, err_msg=primitive.name)


def _check_body(primitive: Primitive, case: Case, seed: int) -> None:
    """The block and its body have the same value and the same gradients."""
    inputs = [ir.constant(a) for a in case.inputs]
    block = primitive(*inputs, **case.attributes)
    body = primitive.expand(block)
    pairs = [(block, body)]
    if is_differentiable(primitive, case):
        pairs += zip(gradients(block, inputs, seed), gradients(body, inputs, seed), strict=True)
    for whole, expanded in pairs:
        assert whole.value is not None
        assert expanded.value is not None
        if not np.allclose(whole.value, expanded.value, rtol=1e-10, atol=1e-10):
            raise GradientMismatch(
                f"the block {primitive.name} and its body differ for {case}. Check its partials or pullback."
            )


def _check_no_gradient(primitive: Primitive, case: Case) -> None:
    """What cuts the way of gradients has a derivative of 0 although the value changes: that is what it is for."""
    inputs = [ir.constant(a) for a in case.inputs]
    if gradients(primitive(*inputs, **case.attributes), inputs, seed=0):
        raise GradientMismatch(f"{primitive.name} let a gradient pass; it is there to stop it.")
