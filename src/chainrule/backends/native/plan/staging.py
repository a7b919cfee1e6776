"""Kernels in stages: what is made for one product alone is made stage by stage, and handed on in a cache.

A contraction that is `staged` (see `forms.contract`) takes along the nests that make its operands and the nest that reads its
result: together they run for one index of the outermost axes at a time, on memory that is private to each thread.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from chainrule.backends.native.graph.views import stripped
from chainrule.backends.native.plan.kernels import (
    Access,
    Contraction,
    Nest,
    StageBuffer,
    Staged,
    map_accesses,
    simplified,
    thread_stride,
)
from chainrule.backends.native.plan.plans import Buffer, KernelCall
from chainrule.backends.native.target import CACHE_LINE


def put_in_stages(made: list[list[KernelCall]], group: int, threads: int) -> None:
    """Run the contraction of a group in stages, along with what makes its operands and what reads its result.

    Args:
        made: the calls of every group, in order; those that are taken along move to the last of them.
        group: whose last call is a contraction.
        threads: of the plan.
    """
    product = made[group].pop()
    kernel = product.kernel
    assert isinstance(kernel, Contraction) and kernel.c is not None
    sizes = _stages(kernel)
    private: dict[Buffer, _Private] = {}
    calls, last = [product], group
    for access in (kernel.a, kernel.b):
        buffer = product.buffers[access.buffer]
        maker = _only_other_user(buffer, made)
        if maker is not None and _differs(access, kernel) and _makes(made[maker][-1], buffer, sizes):
            calls.insert(0, made[maker].pop())
            private[buffer] = _Private.of(access, kernel)
    result = product.buffers[kernel.c.buffer]
    reader = None if kernel.accumulate else _only_other_user(result, made)
    if reader is not None and reader > group and _runs_along(made[reader][-1], sizes):
        calls.append(made[reader].pop())
        private[result] = _Private.of(kernel.c, kernel)
        last = reader
    if kernel.panel >= 0:
        private[product.buffers[kernel.panel]] = _Private(1, kernel.tiling.panel(kernel.inner[-1]))
    made[last].append(_together(calls, sizes, private, threads))


@dataclass(frozen=True)
class _Private:
    """Memory that is private to a thread: so many rows of so many elements, with `padding` elements between them.

    A stage writes one element of every row at a time. Rows a multiple of 4096 bytes long would want the same place in the
    first-level cache for all of them.
    """

    rows: int
    length: int
    padding: int = 0

    @staticmethod
    def of(access: Access, kernel: Contraction) -> _Private:
        """A row for every matrix in a stage that a contraction reads or writes with an access."""
        return _Private(kernel.batch[-1], access.strides[len(kernel.batch) - 1], CACHE_LINE // access.dtype.itemsize)

    @property
    def size(self) -> int:
        """In elements."""
        return self.rows * (self.length + self.padding)

    def moved(self, access: Access) -> Access:
        """An access to rows without anything between."""

        def move(stride: int) -> int:
            return stride + stride // self.length * self.padding

        return replace(access, offset=move(access.offset), strides=tuple(map(move, access.strides)))


def _stages(kernel: Contraction) -> tuple[int, ...]:
    """The axes of stages: all of the stack, and all that is summed over, but the last of each."""
    return stripped((*kernel.batch[:-1], *kernel.inner[:-1]))


def _outer_axes(kernel: Contraction) -> list[int]:
    """The axes of stages among the axes (*batch, m, n, *inner) of a contraction."""
    lead = len(kernel.batch)
    whole = (*kernel.batch, kernel.rows, kernel.columns, *kernel.inner)
    return [a for a in (*range(lead - 1), *range(lead + 2, len(whole) - 1)) if whole[a] != 1]


def _differs(access: Access, kernel: Contraction) -> bool:
    """Whether an operand is another one in every stage."""
    return all(access.strides[a] for a in _outer_axes(kernel))


def _only_other_user(buffer: Buffer, made: Sequence[Sequence[KernelCall]]) -> int | None:
    """The group that uses a buffer in its last call, if it is the only one that uses it."""
    users = {number for number, calls in enumerate(made) for call in calls if buffer in call.buffers}
    return users.pop() if buffer.storage == "arena" and not buffer.kept and len(users) == 1 else None


def _runs_along(call: KernelCall, sizes: tuple[int, ...]) -> bool:
    """Whether a call is a nest that has the axes of stages first, and does something else in every stage."""
    kernel, count = call.kernel, len(sizes)
    if not isinstance(kernel, Nest) or kernel.sizes[:count] != sizes or any(kernel.reduced[:count]):
        return False
    return not any(s.add for s in kernel.stores) and not any(a.dynamic for a in kernel.accesses())


def _makes(call: KernelCall, buffer: Buffer, sizes: tuple[int, ...]) -> bool:
    """Whether a call makes what is in a buffer, and nothing else."""
    if not _runs_along(call, sizes):
        return False
    assert isinstance(call.kernel, Nest)
    return not call.kernel.reductions and {call.buffers[s.access.buffer] for s in call.kernel.stores} == {buffer}


def _together(
    calls: Sequence[KernelCall], sizes: tuple[int, ...], private: Mapping[Buffer, _Private], threads: int
) -> KernelCall:
    """Several calls as one, run in stages; private buffers become as small as a stage needs."""
    small = {
        b: replace(b, size=o.size if threads == 1 else threads * thread_stride(o.size, b.dtype)) for b, o in private.items()
    }
    stage_buffers: list[StageBuffer] = []
    buffers: list[Buffer] = []
    uses: list[list[int]] = []  # per kernel, the stage buffers that its own numbers stand for

    def number_of(buffer: Buffer, strides: tuple[int, ...]) -> int:
        used = small.get(buffer, buffer)
        if used not in buffers:
            buffers.append(used)
        size = private[buffer].size if buffer in private else 0
        stage_buffer = StageBuffer(buffers.index(used), buffer.dtype, (0,) * len(sizes) if size else strides, size)
        if stage_buffer not in stage_buffers:
            stage_buffers.append(stage_buffer)
        if stage_buffers.index(stage_buffer) not in uses[-1]:
            uses[-1].append(stage_buffers.index(stage_buffer))
        return uses[-1].index(stage_buffers.index(stage_buffer))

    def cut(call: KernelCall) -> Nest | Contraction:
        count, kernel = len(sizes), call.kernel
        uses.append([])

        def change(access: Access, outer: Sequence[int], inner: Sequence[int]) -> Access:
            strides = tuple(access.strides[a] for a in outer)
            strides += (0,) * (count - len(strides))
            buffer = call.buffers[access.buffer]
            inside = replace(access, buffer=number_of(buffer, strides), strides=tuple(access.strides[a] for a in inner))
            return private[buffer].moved(inside) if buffer in private else inside

        if isinstance(kernel, Nest):
            axes = range(len(kernel.sizes))
            nest = map_accesses(kernel, lambda access: change(access, axes[:count], axes[count:]))
            return simplified(replace(nest, sizes=kernel.sizes[count:], reduced=kernel.reduced[count:]))
        assert isinstance(kernel, Contraction) and kernel.c is not None
        outer, lead = _outer_axes(kernel), len(kernel.batch)
        product = [lead - 1, lead, lead + 1]
        return replace(
            kernel,
            batch=kernel.batch[-1:],
            inner=kernel.inner[-1:],
            a=change(kernel.a, outer, [*product, len(kernel.a.strides) - 1]),
            b=change(kernel.b, outer, [*product, len(kernel.b.strides) - 1]),
            c=change(kernel.c, [a for a in outer if a < lead], product),
            panel=number_of(call.buffers[kernel.panel], ()) if kernel.panel >= 0 else -1,
        )

    kernels = tuple(cut(call) for call in calls)
    return replace(
        calls[-1],
        kernel=Staged(sizes, kernels, tuple(stage_buffers), tuple(map(tuple, uses))),
        buffers=tuple(buffers),
        label="; ".join(call.label for call in calls),
    )
