"""Who asks for gradients: the Tensors with `requires_grad`, and the points at which functions are differentiated."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from chainrule import autodiff, checks, ir, ops
from chainrule.errors import DTypeError, GradientError, ShapeError
from chainrule.ir import DType, Node
from chainrule.operands import Recorded, as_operand, without_history
from chainrule.ops.primitive import as_node, facts
from chainrule.recording import current_recorder


class _Asking:
    """Tells those who remember which Tensors ask for gradients that some Tensor may do otherwise."""

    last: object = None


def asking() -> object:
    """Another object whenever `requires_grad` of some Tensor has been set."""
    return _Asking.last


class Learnable(Recorded):
    """A Tensor as far as gradients go: whether it asks for one, and the one that was left in it."""

    __slots__ = ("__weakref__", "_grad", "_is_parameter", "_requires_grad")

    _grad: Any  # a Tensor, or None
    _is_parameter: bool
    _requires_grad: bool

    @property
    def requires_grad(self) -> bool:
        """Whether `backward` leaves a gradient in `grad`. False freezes a parameter: it gets none, and no optimiser moves it.

        Raises (when set to True):
            DTypeError: the Tensor is not floating.
        """
        recorder = current_recorder()
        if recorder is not None and self._home is not recorder:
            recorder.asked(self)
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        checks.kind(
            value, (bool, np.bool_), "requires_grad was set to {}", "it is True or False", "Write x.requires_grad = True."
        )
        if value:
            check_floating(self._node.dtype)
        self._requires_grad = bool(value)
        _Asking.last = object()
        self._is_parameter |= self._requires_grad
        self._note_owner()

    @property
    def is_parameter(self) -> bool:
        """Whether it is there to be learnt: it asks for a gradient, or did so before it was frozen."""
        return self._is_parameter

    def _note_owner(self) -> None:
        """Let the node tell who asks for its gradient."""
        if self._requires_grad:
            _owners[self._node] = weakref.ref(self)

    def _set_node(self, node: Node) -> None:
        self._node = node
        self._note_owner()


_owners: weakref.WeakKeyDictionary[Node, weakref.ref[Learnable]] = weakref.WeakKeyDictionary()


def check_floating(dtype: DType) -> None:
    """Raise DTypeError for a dtype whose Tensors have no gradients."""
    if dtype.kind != "f":
        raise DTypeError(
            f"a gradient was asked for a Tensor of dtype {dtype}",
            "only floating Tensors have gradients",
            "Write the numbers with a decimal point, or give dtype='float64'.",
        )


def _owner(leaf: Node) -> Any:
    """The Tensor that a leaf is the value of, if it asks for a gradient, or None."""
    recorder = current_recorder()
    if recorder is not None:
        found = recorder.owner(leaf)
        if found is not None:
            return found if found._requires_grad else None  # it is part of the state, which is looked at anyhow
    reference = _owners.get(leaf)
    owner = reference() if reference is not None else None
    return owner if owner is not None and owner.requires_grad else None


def asks_for_gradient(leaf: Node) -> bool:
    """Whether a leaf is the value of a Tensor with `requires_grad`, as parameters are."""
    return _owner(leaf) is not None


_differentiated: ContextVar[frozenset[Node]] = ContextVar("differentiated", default=frozenset())


@contextmanager
def differentiated(points: Sequence[Recorded]) -> Iterator[None]:
    """Within it a function of these points runs, whose gradients by them will be asked for."""
    token = _differentiated.set(_differentiated.get().union(p.node for p in points))
    try:
        yield
    finally:
        _differentiated.reset(token)


def takes_part(node: Node) -> bool:
    """Whether a gradient may pass through it: to what asks for one, or to a point at which a function is differentiated."""
    if node.dtype.kind != "f":
        return False
    points = _differentiated.get()
    return any(n in points or asks_for_gradient(n) for n in _way(node))


def _way(output: Node) -> list[Node]:
    """What a node was computed from, as far back as gradients go."""
    return ir.topological([output], stop=lambda n: facts(n).cuts)


def gradients_of_owners(output: Recorded, gradient: Any) -> list[tuple[Any, Node]]:
    """The Tensors that ask for a gradient of `output`, and their gradients, without history.

    Raises:
        GradientError: not a scalar and no upstream `gradient` given; nobody asks; a way without derivative.
    """
    node = output.node
    seed = seed_of(node, gradient)
    starts = (n for n in _way(node) if not n.inputs or facts(n).cuts)
    leaves = [(n, owner) for n in starts if (owner := _owner(n)) is not None]
    if not leaves:
        # A parameter that nobody holds any longer does not ask either; step in its way is the better reason.
        variables = [n for n in ir.topological([node]) if n.op == "variable"]
        raise autodiff.in_the_way(node, variables) or GradientError(
            f"backward was called on {output!r}",
            "nothing that it was computed from asks for a gradient",
            "Make the inputs with cr.parameter(...) or cr.tensor(..., requires_grad=True); "
            "inside cr.no_grad nothing is recorded.",
        )
    found = autodiff.gradient(node, [leaf for leaf, _ in leaves], seed)
    return [(owner, without_history(g)) for (_, owner), g in zip(leaves, found, strict=True) if g is not None]


def seed_of(output: Node, gradient: Any) -> Node | None:
    """The upstream gradient of `output` that was given, as a node; None for the 1 of a scalar.

    Raises:
        GradientError, ShapeError: it cannot be differentiated, or not without an upstream gradient, or not with this one.
    """
    if output.dtype.kind != "f":
        raise GradientError(
            f"the gradient of a Tensor of dtype {output.dtype} was asked for", "it must be floating", "Use astype."
        )
    if gradient is None:
        if output.size != 1:
            raise GradientError(
                f"the gradient of a Tensor of shape {output.shape} was asked for",
                "it must be a scalar unless the upstream gradient is given",
                "Reduce it with .sum() or .mean(), or pass gradient= of the same shape.",
            )
        return None
    seed = ops.promotion.to_dtype(as_node(as_operand(gradient)), output.dtype)
    if seed.shape != output.shape:
        raise ShapeError(
            f"an upstream gradient of shape {seed.shape} was given for a Tensor of shape {output.shape}",
            "both must have one shape",
            "Broadcast or reshape it.",
        )
    return seed
