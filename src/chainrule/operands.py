"""What operations take, as nodes: Tensors, arrays, numbers, and nested lists of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule import checks, ir, ops
from chainrule.conversions import as_numpy, is_number
from chainrule.errors import ArgumentError
from chainrule.ir import Array, Node, Scalar
from chainrule.recording import Recorder, current_recorder, is_capturing, is_recording
from chainrule.states import Holder

_MOST_AXES = 64  # of an array of NumPy


class Recorded(Holder):
    """A Tensor as far as operations take it: by the node that stands for it where it is used."""

    __slots__ = ("_home",)

    _home: Recorder[Any] | None  # who captured the function in which it was made

    @property
    def node(self) -> Node:
        """The node in the graph that this Tensor stands for."""
        recorder = current_recorder()
        return self._own_node() if recorder is None or self._home is recorder else recorder.read(self)

    def _operand(self) -> ops.primitive.Operand:
        return self.node

    def _setting(self) -> Any:
        return self


def as_operand(value: Any) -> ops.primitive.Operand:
    """A Tensor's node; numbers as they are, as they are weak; a constant of an array; Tensors in lists are stacked."""
    if isinstance(value, Recorded):
        return value._operand()
    if holds_tensors(value):
        return kept(ops.shape.stack(*map(as_operand, value)))
    if is_number(value):
        number: Scalar = ops.promotion.plain(value)
        return number
    return ir.constant(as_array(value))


def setting(value: Any) -> Any:
    """A setting of an operation. It has to be known: asking a number for its value that has none yet says what to do."""
    return value._setting() if isinstance(value, Recorded) else value


def as_array(value: Any, dtype: Any = None) -> Array:
    """A copy of the data, so that writing into the original later changes no graph."""
    if holds_tensors(value):
        raise ArgumentError(
            "a list with Tensors in it cannot become an array",
            "an array does not remember how they were computed, so no gradient would pass",
            "Write cr.stack(list), or take their values with .item() or .numpy().",
        )
    array = np.array(as_numpy(value, None if dtype is None else ir.as_dtype(dtype)))
    ir.as_dtype(array.dtype)
    return array


def holds_tensors(value: Any, outer: tuple[Any, ...] = ()) -> bool:
    """Whether there are Tensors in nested lists; deeper than arrays have axes, nothing is looked for."""
    if not isinstance(value, list | tuple) or len(outer) > _MOST_AXES:
        return False
    kinds = set(map(type, value))
    if any(issubclass(k, Recorded) for k in kinds):
        return True
    if not kinds & {list, tuple}:
        return False
    outer = checks.within(value, outer, "nested data")
    return any(holds_tensors(part, outer) for part in value)


def kept(node: Node) -> Node:
    """What an operation gave; without its history within `no_grad`."""
    return node if is_recording() else without_history(node)


def without_history(node: Node) -> Node:
    """The same value, through which no gradient passes."""
    return ops.elementwise.stop_gradient(node) if node.value is None else ir.constant(node.value, name=node.name)


def leaf(array: Array, name: str | None) -> Node:
    """A leaf with a value. What is made within a captured function is no state of it, but part of the graph."""
    return ir.constant(array, name=name) if is_capturing() else ir.variable(array, name=name)


def fresh(node: Node, name: str | None) -> Node:
    """A node with the value of another and no history: what a Tensor stands for after `assign`."""
    if node.value is not None:
        return leaf(np.asarray(node.value, order="C"), name)  # nobody writes into values, so they can be shared
    found = ops.elementwise.stop_gradient(node)
    found.name = name
    return found
