"""What `lower` decides, as plain data: the kernels of a program in order, and the buffers that they name."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from chainrule.backends.native.plan.kernels import Kernel
from chainrule.ir import Array, DType, Graph

Storage = Literal["input", "state", "output", "constant", "arena"]


@dataclass(eq=False)
class Buffer:
    """A piece of memory that kernels name.

    Attributes:
        storage: where it lies: an array of the caller, a constant of the program, or the arena.
        number: which input, state, output or constant; for the arena its byte offset.
        dtype, size: of its elements.
        label: for people.
        kept: whether its bytes in the arena are its own for good. They are zero at first, and what no kernel writes stays so.
    """

    storage: Storage
    number: int
    dtype: DType
    size: int
    label: str
    kept: bool = False

    @property
    def bytes(self) -> int:
        """Its length."""
        return self.size * self.dtype.itemsize


@dataclass(frozen=True)
class KernelCall:
    """A kernel with the buffers that its numbers stand for. If `parallel`, threads share it, else one thread runs it."""

    kernel: Kernel
    buffers: tuple[Buffer, ...]
    label: str
    parallel: bool = False


@dataclass
class Plan:
    """A program before machine code.

    Attributes:
        graph: what was planned, in its prepared form.
        threads: how many run it.
        calls: of its kernels, in the order in which they run.
        first_writer: how many of the calls come before any state is written.
        constants: arrays that the kernels read.
        arena_bytes: memory for everything in between.
    """

    graph: Graph
    threads: int = 1
    calls: list[KernelCall] = field(default_factory=list)
    first_writer: int = 0
    constants: list[Array] = field(default_factory=list)
    arena_bytes: int = 0
