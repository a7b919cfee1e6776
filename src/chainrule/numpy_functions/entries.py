"""The table of counterparts of NumPy's functions, and what they share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from chainrule.ops.primitive import integers, normalise_axes, normalise_axis
from chainrule.tensors import Tensor

C = TypeVar("C", bound=Callable[..., Any])
Axis = int | Sequence[int] | None

OURS: dict[Callable[..., Any], Callable[..., Any]] = {}


def ours(*functions: Callable[..., Any]) -> Callable[[C], C]:
    """Enter the counterpart of one function of NumPy, or of several names of it."""

    def enter(counterpart: C) -> C:
        OURS.update(dict.fromkeys(functions, counterpart))
        return counterpart

    return enter


def arrays_in(argument: Any) -> Any:
    """Arguments with arrays in place of Tensors."""
    if isinstance(argument, Tensor):
        return argument.numpy()
    if isinstance(argument, list | tuple):
        return type(argument)(arrays_in(a) for a in argument)
    return argument


def axes_in_order(axes: int | Sequence[int], ndim: int, name: str) -> tuple[int, ...]:
    """Non-negative axes in the order given, each once."""
    normalise_axes(axes, ndim, name)
    return tuple(normalise_axis(axis, ndim, name) for axis in integers(axes, name, "axis"))
