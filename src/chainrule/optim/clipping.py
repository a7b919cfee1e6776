"""Clipping gradients before a step, by their norm or by value; PyTorch's rules."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import reduce
from operator import add

from chainrule import checks, elsewhere
from chainrule.errors import ArgumentError
from chainrule.functional import clip, minimum, sqrt, square
from chainrule.recording import no_grad
from chainrule.tensors import Tensor, tensor

_ROOM = 1e-6  # keeps the scale finite at a norm of 0, as in PyTorch


@elsewhere.explaining_calls
def clip_by_norm(gradients: Sequence[Tensor], max_norm: float) -> tuple[list[Tensor], Tensor]:
    """Scale gradients together so that their norm is at most `max_norm`.

        N = √(Σ g²) over all elements of all gradients,   g ← g · min(1, max_norm / (N + 10⁻⁶))

    Args:
        gradients: floating Tensors.
        max_norm: above 0; infinity only measures.

    Returns:
        The scaled gradients, and N before scaling, of shape () and the gradients' dtype.

    Raises:
        ArgumentError: a `max_norm` that is not above 0.

    Pascanu, Mikolov, Bengio: On the difficulty of training recurrent neural networks (2013).
    """
    _check_positive("clip_grad_norm_", "max_norm", max_norm)
    if not gradients:
        return [], tensor(0.0)
    norm = sqrt(reduce(add, (square(g).sum() for g in gradients)))
    scale = minimum(max_norm / (norm + _ROOM), 1.0)
    return [g * scale.astype(g.dtype) for g in gradients], norm


@elsewhere.explaining_calls
def clip_by_value(gradients: Sequence[Tensor], clip_value: float) -> list[Tensor]:
    """g ← min(max(g, −clip_value), clip_value), element by element.

    Raises:
        ArgumentError: a `clip_value` that is not above 0.
    """
    _check_positive("clip_grad_value_", "clip_value", clip_value)
    return [clip(g, -clip_value, clip_value) for g in gradients]


@elsewhere.explaining_calls
def clip_grad_norm_(params: Tensor | Iterable[Tensor], max_norm: float) -> Tensor:
    """Apply `clip_by_norm` to the gradients of parameters, in place; those without a gradient are passed over.

    Works inside a compiled function as well.

    Returns:
        The norm before clipping, of shape (); 0 if there are no gradients.

    Raises:
        ArgumentError: see `clip_by_norm`.
    """
    concerned, gradients = _with_gradients(params)
    with no_grad():
        clipped, norm = clip_by_norm(gradients, max_norm)
    _set_gradients(concerned, clipped)
    return norm


@elsewhere.explaining_calls
def clip_grad_value_(params: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Apply `clip_by_value` to the gradients of parameters, in place; those without a gradient are passed over.

    Works inside a compiled function as well.

    Raises:
        ArgumentError: see `clip_by_value`.
    """
    concerned, gradients = _with_gradients(params)
    with no_grad():
        clipped = clip_by_value(gradients, clip_value)
    _set_gradients(concerned, clipped)


def _with_gradients(params: Tensor | Iterable[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    several = [params] if isinstance(params, Tensor) else params
    given, fix = "clipping got {} among its parameters", "Write model.parameters()."
    pairs = [(p, p.grad) for p in checks.each(several, Tensor, given, "it takes Tensors", fix)]
    return [p for p, g in pairs if g is not None], [g for _, g in pairs if g is not None]


def _set_gradients(params: Sequence[Tensor], gradients: Sequence[Tensor]) -> None:
    for param, gradient in zip(params, gradients, strict=True):
        param.grad = gradient


def _check_positive(function: str, name: str, value: float) -> None:
    if not checks.real(function, name, value) > 0.0:
        raise ArgumentError(f"{function} got {name}={value}", "it must be above 0", "A usual choice is 1.0.")
