"""Refusing outputs and targets that broadcast so that samples mix: from (n, 1) and (n,) comes (n, n)."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from itertools import product

from chainrule.errors import ShapeError
from chainrule.ir import LEAVES, Node, topological
from chainrule.ops import lookup
from chainrule.tensors import Tensor


def refuse_mixed_samples(found: Tensor, output: Tensor, target: Tensor, who: str) -> None:
    """Refuse a loss or metric in which every output met the targets of other samples.

    Args:
        found: what was computed, perhaps a mean, of
        output, target: samples along the first axis.
        who: computed it, for the message.

    Raises:
        ShapeError: an elementwise operation in it took something of the outputs and something of the targets that have as many
            samples, but another number of axes; broadcasting paired their samples with other axes.
    """
    of_output, of_target = {output.node}, {target.node}
    for node in topological([found.node], stop=lambda n: n is output.node or n is target.node):
        if node.op in LEAVES or node in of_output or node in of_target:
            continue
        first, second = _only_from(node, of_output), _only_from(node, of_target)
        for one, other in product(first, second):
            _refuse_mixed(node, one, other, who)
        if (first or second) and node.shape[:1] == output.shape[:1]:
            (of_output if first else of_target).add(node)


def _only_from(node: Node, origin: AbstractSet[Node]) -> list[Node]:
    return [i for i in node.inputs if i in origin]


def _refuse_mixed(node: Node, output: Node, target: Node, who: str) -> None:
    apart = node.shape not in (output.shape, target.shape) and output.ndim != target.ndim
    if apart and output.shape[:1] == target.shape[:1] and lookup(node.op).elementwise:
        raise ShapeError(
            f"{who} combined outputs of shape {output.shape} and targets of shape {target.shape} to {node.shape}",
            "that pairs the outputs of each sample with the targets of others",
            "Give both one shape, for example with target.reshape(output.shape).",
        )
