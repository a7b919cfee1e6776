"""What a program needs to run, apart from the graph itself: object code, constants, and the sizes of its memory.

It can be written to bytes and read back, so that a program found on disk runs without being planned again (see `cache`). The
bytes are a line of JSON and then the arrays and the code, one after the other.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from functools import cached_property

import numpy as np

from chainrule.backends.native.code.abi import slot_numbers
from chainrule.backends.native.run import engine
from chainrule.backends.native.run.engine import Code
from chainrule.ir import Array, Graph
from chainrule.ops.requirement import Limits


@dataclass(frozen=True, eq=False)
class Executable:
    """A program without its graph.

    Attributes:
        code: an object file with the function `run`.
        threads: how many may run it.
        calls: how many kernels it calls.
        arena_bytes: memory for everything in between; zeros before the first run.
        constants: arrays that the kernels read.
        checks: per number of a kernel that checks values, their limits.
        checked: whether it watches every access (see `bounds`); such code is not kept on disk.
    """

    code: bytes
    threads: int
    calls: int
    arena_bytes: int
    constants: list[Array] = field(default_factory=list)
    checks: dict[int, Limits] = field(default_factory=dict)
    checked: bool = False

    def link(self) -> Code:
        """The machine code in this process: brought there once, and there as long as this object is.

        Raises:
            OutOfAddressSpace: there is too little of it.
        """
        return self._linked

    @cached_property
    def _linked(self) -> Code:
        return engine.Code(self.code, checked=self.checked)

    def slots(self, graph: Graph) -> dict[str, int]:
        """See `slot_numbers`."""
        return slot_numbers(graph, len(self.constants))

    def to_bytes(self) -> bytes:
        """Everything in one piece; `from_bytes` reads it."""
        header = {
            "threads": self.threads,
            "calls": self.calls,
            "arena_bytes": self.arena_bytes,
            "checks": [[number, asdict(limits)] for number, limits in self.checks.items()],
            "constants": [[array.dtype.str, array.shape] for array in self.constants],
        }
        return b"".join([json.dumps(header).encode(), b"\n", *(array.tobytes() for array in self.constants), self.code])

    @staticmethod
    def from_bytes(data: bytes) -> Executable:
        """What `to_bytes` gave."""
        line, _, rest = data.partition(b"\n")
        header = json.loads(line)
        constants, start = [], 0
        for dtype, shape in header["constants"]:
            array = np.ndarray(shape, dtype, rest, start).copy()  # where its elements are aligned
            constants.append(array)
            start += array.nbytes
        checks = {number: Limits(**limits) for number, limits in header["checks"]}
        return Executable(rest[start:], header["threads"], header["calls"], header["arena_bytes"], constants, checks)
