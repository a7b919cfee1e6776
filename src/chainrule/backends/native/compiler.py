"""The whole way from a graph to machine code. A program found on disk does not need it, and so does not import it."""

from __future__ import annotations

from chainrule.backends.native.graph import rewrite
from chainrule.backends.native.graph.grouping import group_graph
from chainrule.backends.native.plan.lower import lower
from chainrule.backends.native.run.executable import Executable
from chainrule.backends.native.run.generate import generate
from chainrule.backends.native.target import Target
from chainrule.ir import Graph


def compile_graph(graph: Graph, target: Target, threads: int, *, checked: bool = False) -> Executable:
    """Compile a graph for a processor, and link it into this process.

    Args:
        graph: what to compile.
        target: the processor.
        threads: how many may run it; one does if more do not pay.
        checked: whether it watches every access (see `bounds`).
    """
    simple = rewrite.prepare(graph, target)  # few forms: products, views, elementwise nodes, reductions
    groups = group_graph(simple)  # which nodes are computed together, and in which order
    plan = lower(groups, target, threads)  # kernels over buffers
    executable = generate(plan, target, checked=checked)  # LLVM IR, and an object file from it
    executable.link()
    return executable
