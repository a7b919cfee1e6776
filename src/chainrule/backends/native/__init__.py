"""The native backend: a whole training step as machine code.

    rewrite    graph to graph: every operation in the few forms that kernels have
    views      movement as another way to step through a buffer
    grouping   which nodes are computed together, and in which order
    lower      groups to kernels over buffers: the plan        (kernels: what kernels are; memory: where buffers lie)
    codegen    the plan as LLVM IR                              (nest, contraction, draw; loops, scalar)
    engine     LLVM IR to machine code in memory                (target: for which processor; cache: kept on disk)
    program    arrays in, machine code, arrays out

docs/native-backend.md goes the whole way with an example.
"""

from __future__ import annotations

import warnings

from chainrule import ops
from chainrule.backends.contract import Program
from chainrule.backends.reference import REFERENCE
from chainrule.errors import MissingDependency, explain
from chainrule.ir import Graph, verify
from chainrule.passes import expand_blocks

try:
    from chainrule.backends.native.grouping import KNOWN
    from chainrule.backends.native.program import NativeProgram
    from chainrule.backends.native.target import host
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] != "llvmlite":
        raise
    raise MissingDependency(
        explain(
            "the native backend needs the package llvmlite, which is not installed",
            "it is installed together with chainrule",
            "Install it with: pip install llvmlite, or use the backend 'reference'.",
        )
    ) from None


class NativeBackend:
    """Compiles graphs with LLVM for the processor at hand."""

    name = "native"

    def __init__(self) -> None:
        self._warned: set[str] = set()

    def compile(self, graph: Graph, threads: int | None = None) -> Program:
        """See `Backend.compile`.

        A graph with an operation that has no native form runs on the reference backend, with one warning per operation. One
        with arrays of no elements runs there as well: there is nothing to make fast.
        """
        verify(graph, ops.infer)
        nodes = expand_blocks(graph).nodes()
        unknown = {n.op for n in nodes} - KNOWN
        if unknown - self._warned:
            self._warned |= unknown
            warnings.warn(
                f"the native backend cannot compile {', '.join(sorted(unknown))}; "
                "graphs with it run on the slow reference backend.",
                stacklevel=2,
            )
        if unknown or any(n.size == 0 for n in nodes):
            return REFERENCE.compile(graph)
        return NativeProgram(graph, host(), threads=threads)


NATIVE = NativeBackend()
