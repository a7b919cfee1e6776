"""The name under which a program is kept on disk: a digest of all that its machine code depends on.

That is the graph, the processor, the number of threads, the versions of LLVM and NumPy (which folds constants), and the source
of this package and of what it builds on. Names that users give to nodes are no part of it: no code depends on them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import llvmlite
import llvmlite.binding as llvm
import numpy as np

from chainrule import ops
from chainrule.backends.native.target import Target
from chainrule.ir import Graph, Node

_PLAIN = frozenset({bool, int, float, str, type(None)})
# What graphs are lowered by, in the folder of chainrule.
_SOURCES = ("ir.py", "registry.py", "passes.py", "ops/*.py", "backends/native/**/*.py")


class _Opaque(Exception):
    """An attribute of which a digest could not tell whether it is the same in another process."""


def key(graph: Graph, target: Target, threads: int) -> str | None:
    """The name of a graph's program for a processor and for so many threads at most.

    Graphs have equal names only if they are the same: node by node, in the order of the walk from the results to the leaves,
    with equal operations, operands, attributes, shapes, dtypes and constants. A graph has no name if it has an operation that
    does not come with chainrule, whose meaning may change, or an attribute that is no plain data (a function, say).
    """
    order = dict.fromkeys((*graph.inputs, *graph.state, *graph.nodes()))
    if any(ops.PRIMITIVES.get(node.op) is not ops.SHIPPED.get(node.op) for node in order):
        return None
    numbers = {node: number for number, node in enumerate(order)}
    try:
        nodes = [_record(node, numbers) for node in order]
    except _Opaque:
        return None
    roots = [[numbers[n] for n in part] for part in (graph.inputs, graph.outputs, graph.state, graph.updates)]
    return key_of(nodes, roots, target, threads)


def key_of(*parts: Any) -> str:
    """The name of code that depends on these parts, whose texts say all of them, and on the versions and sources."""
    versions = (llvmlite.__version__, llvm.llvm_version_info, np.__version__, _source())
    return hashlib.sha256(repr((*parts, versions)).encode()).hexdigest()


def _record(node: Node, numbers: Mapping[Node, int]) -> tuple[Any, ...]:
    """All of a node but its name, as something whose text says all of it."""
    constant = None
    if node.op == "constant" and node.value is not None:  # the values of other nodes are no part of a graph
        constant = hashlib.sha256(node.value.tobytes()).digest()
    attributes = [(name, _described(value)) for name, value in node.attributes.items()]
    return node.op, [numbers[i] for i in node.inputs], attributes, node.shape, node.dtype.str, constant


def _described(value: Any) -> Any:
    """An attribute as something whose text says all of it: two of them are equal if their texts are."""
    if type(value) in _PLAIN:
        return value
    if type(value) is tuple:
        return tuple(map(_described, value))
    if isinstance(value, np.dtype):
        return {"dtype": value.str}
    if isinstance(value, np.generic):
        return {value.dtype.str: value.tobytes()}
    raise _Opaque


_PACKAGE = Path(__file__).parents[3]


@cache
def _source() -> str:
    """Digest of the source that makes the code."""
    digest = hashlib.sha256()
    for path in sources():
        digest.update(path.read_bytes())
    return digest.hexdigest()


def sources() -> list[Path]:
    """The files of which code is made."""
    return [path for pattern in _SOURCES for path in sorted(_PACKAGE.glob(pattern))]
