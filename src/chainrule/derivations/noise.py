"""What rounding leaves of terms that cancel: 0.1 + 0.2 - 0.3 is 5.6×10⁻¹⁷ in float64, and 0 on paper."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from chainrule import ir
from chainrule.ir import LEAVES, Array, Node
from chainrule.ops.primitive import facts, lookup


def without_noise(value: Array, size: Array) -> Array:
    """A sum, with 0 where only rounding is left of terms that cancel: 0.3 - 0.9/3 is 0, not 5.6×10⁻¹⁷."""
    noise = np.isfinite(size) & (np.abs(value) <= 8 * np.finfo(value.dtype).eps * size)
    return np.where(noise, np.zeros((), value.dtype), value)


def sizes_of_terms(order: Iterable[Node], given: Mapping[Node, Array]) -> dict[Node, Array]:
    """How large the terms are that values are made of: they are calculated without any sign.

    Args:
        order: the nodes of a graph, inputs before readers.
        given: sizes of some of them.

    Returns:
        The sizes of these and of all that depends on them. What does not counts with the size of its value.
    """
    found = dict(given)
    with np.errstate(all="ignore"):
        for node in order:
            if node in found or not any(i in found for i in node.inputs):
                continue
            known = facts(node)
            bound = node.op if known.moves is not None else known.bound
            if not bound:
                found[node] = np.abs(_array(node))
                continue
            inputs = tuple(ir.constant(found[i] if i in found else _unsigned(_array(i))) for i in node.inputs)
            found[node] = np.abs(lookup(bound).run(inputs, node.attributes))
    return found


def leaf_sizes(order: Iterable[Node]) -> dict[Node, Array]:
    """The sizes of what is given: the floating leaves."""
    return {n: np.abs(_array(n)) for n in order if n.op in LEAVES and n.dtype.kind == "f"}


def _array(node: Node) -> Array:
    assert node.value is not None
    return node.value


def _unsigned(array: Array) -> Array:
    """The sizes of numbers. Integers are positions, whose signs mean something."""
    return np.abs(array) if array.dtype.kind == "f" else array
