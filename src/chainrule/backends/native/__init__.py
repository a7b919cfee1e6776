"""The native backend: a whole training step as machine code.

`compiler.compile_graph` is the whole way in five lines. Its stages are folders; each knows only the ones above it here:

    target, costs   the processor that code is made for, and what products cost on it
    graph           rewrite: every operation in the few forms that kernels have  (placing, convolution, winograd, zeros)
                    grouping: which nodes are computed together, in which order  (views: data movement as strides)
    plan            lower: groups as kernels over buffers                        (kernels, plans: what these are)
                    tiling, schedule, staging, transposing, memory: how kernels are run, and where buffers lie
    code            codegen: a plan as LLVM IR                                   (nest, contraction, skipping, staged, philox)
                    instructions: what is done to one number                     (series, angles, powers)
                    object_code: LLVM IR as an object file
    run             executable, engine: object code, and its way into memory     (cache, digest: kept on disk)
                    program: arrays in, machine code, arrays out                 (threads, thread_pool)

docs/native-backend.md goes the whole way with an example.
"""

from __future__ import annotations

import warnings

from chainrule import ops
from chainrule.backends.contract import Program
from chainrule.backends.host import PLACE, HostVariable
from chainrule.backends.reference import REFERENCE
from chainrule.errors import MissingDependency
from chainrule.ir import Array, Graph, verify
from chainrule.passes import expand_blocks

try:
    from chainrule.backends.native.code import bounds
    from chainrule.backends.native.run import address_space, cache, digest, engine
    from chainrule.backends.native.run.executable import Executable
    from chainrule.backends.native.run.program import NativeProgram
    from chainrule.backends.native.run.threads import available
    from chainrule.backends.native.target import host
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] != "llvmlite":
        raise
    raise MissingDependency(
        "the native backend needs the package llvmlite, which is not installed",
        "it is installed together with chainrule",
        "Install it with: pip install llvmlite, or use the backend 'reference'.",
    ) from None
except OSError as error:  # llvmlite is there, and its library is not, or cannot be loaded
    raise MissingDependency(
        f"the native backend cannot load llvmlite ({error})",
        "it needs about 200 MB of address space for it",
        "Raise the limit (ulimit -v), reinstall llvmlite if there is no limit, or use the backend 'reference'.",
    ) from None

# Bytes for compiling: twice what training steps of 10 to 1,400 nodes were seen to take.
_COMPILER_BYTES, _COMPILER_BYTES_PER_NODE = 2**26, 2**16


class NativeBackend:
    """Compiles graphs with LLVM for the processor at hand."""

    name = "native"
    place = PLACE

    def __init__(self) -> None:
        self._warned: set[str] = set()

    def hold(self, value: Array) -> HostVariable:
        """See `Backend.hold`. The reference backend, which runs some of the graphs, works on the same Variables."""
        return HostVariable(value)

    def compile(self, graph: Graph, threads: int | None = None) -> Program:
        """See `Backend.compile`.

        A graph with an operation that has no native form runs on the reference backend, with one warning per operation. So does
        one for which there is not enough memory to compile it, with one warning. One with arrays of no elements runs there as
        well: there is nothing to make fast.
        """
        try:
            return self._program(graph, threads)
        except (address_space.OutOfAddressSpace, MemoryError):
            self._warn(
                {"memory"},
                "there is too little memory to compile (a limit of the address space, ulimit -v, may be set); "
                "graphs run on the slow reference backend.",
            )
            return REFERENCE.compile(graph)

    def _program(self, graph: Graph, threads: int | None) -> Program:
        with engine.lock():
            target = host()
            most = available() if threads is None else threads
            checked = bounds.wanted()
            name = None if checked or cache.folder() is None else digest.key(graph, target, most)
            kept = cache.load(name)  # it was found right when it was made
            if kept is not None:
                executable = Executable.from_bytes(kept)
            else:
                verify(graph, ops.infer)
                address_space.require(_COMPILER_BYTES + _COMPILER_BYTES_PER_NODE * len(graph.nodes()))
                if not self._compiles(graph):
                    return REFERENCE.compile(graph)
                from chainrule.backends.native import compiler  # noqa: PLC0415 -- not needed for what is on the disk

                executable = compiler.compile_graph(graph, target, most, checked=checked)
                cache.save(name, executable.to_bytes())
            return NativeProgram(graph, target, most, executable)

    def _compiles(self, graph: Graph) -> bool:
        """Whether there is machine code for all of a graph; warns if not."""
        from chainrule.backends.native.graph.grouping import KNOWN  # noqa: PLC0415 -- as above

        nodes = expand_blocks(graph).nodes()
        unknown = {n.op for n in nodes} - KNOWN
        if unknown:
            names = ", ".join(sorted(unknown))
            self._warn(unknown, f"the native backend cannot compile {names}; graphs with it run on the slow reference backend.")
        return not unknown and all(n.size for n in nodes)

    def _warn(self, about: set[str], text: str) -> None:
        """Warn, once about each thing."""
        if about - self._warned:
            self._warned |= about
            warnings.warn(text, stacklevel=5)


NATIVE = NativeBackend()
