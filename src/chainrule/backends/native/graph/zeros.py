"""How many elements of a node are probably not zero: what a ReLU or a dropout lets through, and gradients behind them.

A product can skip zeros (`code.skipping`). That pays if about half of a factor's elements are zero, whatever the data: behind
max(x, 0), and behind masks. About inputs and weights nothing is known when code is made.
"""

from __future__ import annotations

import numpy as np

from chainrule.ir import Node, is_zero

_HALF = 0.5  # the share that a mask or a ReLU is assumed to let through
_PASSED_ON = frozenset(["negative", "reshape", "transpose", "copy", "slice"])


def share_of_nonzeros(node: Node, known: dict[Node, float]) -> float:
    """The share of a node's elements that are expected not to be zero; 1 unless the node is made to have zeros.

    Args:
        node: of a graph in basic operations.
        known: what was found so far, by node; it is added to.
    """
    if node not in known:
        known[node] = _find(node, known)
    return known[node]


def _find(node: Node, known: dict[Node, float]) -> float:
    if node.op == "cast" and node.inputs[0].dtype == np.bool_:
        return _share_of_true(node.inputs[0])
    if node.op == "maximum" and any(map(is_zero, node.inputs)):
        return _HALF
    if node.op == "where" and any(map(is_zero, node.inputs[1:])):
        return min([_HALF, *(share_of_nonzeros(x, known) for x in node.inputs[1:] if not is_zero(x))])
    if node.op == "multiply":
        return min(share_of_nonzeros(x, known) for x in node.inputs)
    if node.op == "divide" or node.op in _PASSED_ON:
        return share_of_nonzeros(node.inputs[0], known)
    return 1.0


def _share_of_true(mask: Node) -> float:
    """Of uniform random numbers, those at or above a rate are kept; of any others, half."""
    if mask.op == "greater_equal" and mask.inputs[0].op == "uniform":
        rate = mask.inputs[1].value
        return 1.0 - float(rate.flat[0]) if rate is not None and rate.size == 1 else _HALF
    return _HALF
