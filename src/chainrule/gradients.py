"""Gradients as functions: of a Tensor that was computed, or of a function of Tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from chainrule import autodiff, checks, elsewhere, ir, ops
from chainrule.errors import ArgumentError, GradientError, ShapeError
from chainrule.ir import Node
from chainrule.learnable import differentiated, seed_of
from chainrule.tensors import Tensor, TensorLike, parameter, result


def _describe(node: Node) -> str:
    return repr(node.name) if node.name else f"a Tensor of shape {node.shape}"


_DIFFERENTIATE = "Write cr.grad(E, [w]) with E = f(w), or cr.value_and_grad(f)(w) for a function."


@elsewhere.explaining_calls
def grad(output: Tensor, wrt: Sequence[Tensor], gradient: TensorLike = None) -> tuple[Tensor, ...]:
    """∂output/∂w for every Tensor w, each of w's shape and dtype; they can be differentiated again.

    Args:
        output: a floating Tensor; a scalar unless `gradient` is given.
        wrt: floating Tensors that `output` was computed from, at the start or on the way.
        gradient: upstream gradient of the output's shape.

    Raises:
        GradientError: `output` does not depend on one of them, or only through something without a derivative.
    """
    if isinstance(wrt, Tensor):
        raise ArgumentError("grad got one Tensor for wrt", "it takes a list of Tensors", "Write cr.grad(E, [w]).")
    checks.kind(output, Tensor, "grad got {} to differentiate", "it takes the Tensor that was computed", _DIFFERENTIATE)
    for w in checks.each(wrt, Tensor, "grad got {} for wrt", "it takes a list of Tensors", "Write cr.grad(E, [w])."):
        if w.dtype.kind != "f":
            raise GradientError(
                f"a gradient with respect to a Tensor of dtype {w.dtype} was asked for", "it must be floating", "Use astype."
            )
    sources = [w.node for w in wrt]
    found = autodiff.gradient(output.node, sources, seed_of(output.node, gradient))
    return tuple(
        Tensor(g if g is not None else autodiff.zero_or_error(output.node, source, _describe))
        for g, source in zip(found, sources, strict=True)
    )


@elsewhere.explaining_calls
def value_and_grad(function: Callable[..., Tensor]) -> Callable[..., tuple[Tensor, tuple[Tensor, ...]]]:
    """A function that gives f(x, …) and its gradients by all arguments, which are taken as floating Tensors.

    Raises (when called):
        GradientError: f is not a scalar, or has no gradient by an argument.
    """

    checks.function(function, "value_and_grad", "Write cr.value_and_grad(f)(x).")

    def both(*arguments: TensorLike) -> tuple[Tensor, tuple[Tensor, ...]]:
        tensors = [_floating(a) for a in arguments]
        value = _value(function, *tensors)
        return value, grad(value, tensors)

    return both


def _value(function: Callable[..., Tensor], *points: Tensor) -> Tensor:
    """What a function gives that is to be differentiated."""
    with differentiated(points):
        found = elsewhere.called(function, *points)
    return checks.kind(found, Tensor, "the function returned {}", "it gives a Tensor", "Compute it from x with chainrule.")


def _floating(x: TensorLike) -> Tensor:
    """A point to differentiate at: a Tensor as it is, numbers as a new floating one."""
    return x if isinstance(x, Tensor) else parameter(x).detach()


@elsewhere.explaining_calls
def jacobian(function: Callable[[Tensor], Tensor], x: TensorLike) -> Tensor:
    """J[i, j] = ∂f_i/∂x_j, of shape f.shape + x.shape, by one backward pass per element of f.

    It can be differentiated again.

    Raises:
        GradientError: f does not depend on x, or only through something without a derivative.
        ShapeError: f has no elements.
    """
    checks.function(function, "jacobian", "Write cr.jacobian(f, x).")
    point = _floating(x)
    y = _value(function, point)
    rows = []
    for k in range(y.size):
        seed = ir.constant(np.eye(1, y.size, k).reshape(y.shape), y.dtype)
        (row,) = autodiff.gradient(y.node, [point.node], seed)
        rows.append(row if row is not None else autodiff.zero_or_error(y.node, point.node, repr))
    if not rows:
        raise ShapeError("the jacobian of a function without elements was asked for; check the shape that it returns.")
    return result(ops.shape.stack(*rows)).reshape(*y.shape, *point.shape)


@elsewhere.explaining_calls
def hessian(function: Callable[[Tensor], Tensor], x: TensorLike) -> Tensor:
    """H[i, j] = ∂²f/∂x_i∂x_j of a scalar function, of shape x.shape + x.shape: the jacobian of its gradient."""

    checks.function(function, "hessian", "Write cr.hessian(f, x).")

    def gradient_of(point: Tensor) -> Tensor:
        (g,) = grad(_value(function, point), [point])
        return g + 0.0 * point  # a gradient that does not depend on the point any more still has a derivative: zeros

    return jacobian(gradient_of, x)
