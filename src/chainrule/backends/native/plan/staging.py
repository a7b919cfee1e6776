"""Kernels in stages: what is made for one product alone is made piece by piece, and handed on in a cache.

A contraction that is `staged` (see `forms.contract`) takes along the nests that make its operands and the nest that reads its
result: together they run for one index of the outermost axes at a time, on pieces of memory that every thread has for itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from chainrule.backends.native.graph.views import stripped
from chainrule.backends.native.plan.kernels import (
    Access,
    Contraction,
    Nest,
    Piece,
    Staged,
    apart,
    map_accesses,
    simplified,
)
from chainrule.backends.native.plan.memory import ALIGNMENT
from chainrule.backends.native.plan.plans import Buffer, Step


def put_in_stages(made: list[list[Step]], group: int, threads: int) -> None:
    """Run the contraction of a group in stages, along with what makes its operands and what reads its result.

    Args:
        made: the steps of every group, in order; those that are taken along move to the last of them.
        group: whose last step is a contraction.
        threads: of the plan.
    """
    product = made[group].pop()
    kernel = product.kernel
    assert isinstance(kernel, Contraction) and kernel.c is not None
    sizes = _stages(kernel)
    own: dict[Buffer, _Own] = {}
    steps, goal = [product], group
    for access in (kernel.a, kernel.b):
        buffer = product.buffers[access.buffer]
        maker = _only_other_user(buffer, made)
        if maker is not None and _differs(access, kernel) and _makes(made[maker][-1], buffer, sizes):
            steps.insert(0, made[maker].pop())
            own[buffer] = _Own.of(access, kernel)
    result = product.buffers[kernel.c.buffer]
    reader = None if kernel.accumulate else _only_other_user(result, made)
    if reader is not None and reader > group and _runs_along(made[reader][-1], sizes):
        steps.append(made[reader].pop())
        own[result] = _Own.of(kernel.c, kernel)
        goal = reader
    if kernel.panel >= 0:
        own[product.buffers[kernel.panel]] = _Own(1, kernel.tile.panel(kernel.inner[-1]))
    made[goal].append(_together(steps, sizes, own, threads))


@dataclass(frozen=True)
class _Own:
    """Memory of a thread's own: so many rows of so many elements, which lie `padding` elements apart.

    A stage writes one element of every row at a time. Rows a multiple of 4096 bytes long would want the same place in the
    first-level cache for all of them.
    """

    rows: int
    length: int
    padding: int = 0

    @staticmethod
    def of(access: Access, kernel: Contraction) -> _Own:
        """A row for every matrix in a stage that a contraction reads or writes with an access."""
        return _Own(kernel.batch[-1], access.strides[len(kernel.batch) - 1], ALIGNMENT // access.dtype.itemsize)

    @property
    def size(self) -> int:
        """In elements."""
        return self.rows * (self.length + self.padding)

    def moved(self, access: Access) -> Access:
        """An access to rows without anything between."""

        def move(steps: int) -> int:
            return steps + steps // self.length * self.padding

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


def _only_other_user(buffer: Buffer, made: Sequence[Sequence[Step]]) -> int | None:
    """The group that uses a buffer in its last step, if it is the only one that uses it."""
    users = {number for number, steps in enumerate(made) for step in steps if buffer in step.buffers}
    return users.pop() if buffer.place == "arena" and not buffer.kept and len(users) == 1 else None


def _runs_along(step: Step, sizes: tuple[int, ...]) -> bool:
    """Whether a step is a nest that has the axes of stages first, and does something of its own for every stage."""
    kernel, count = step.kernel, len(sizes)
    if not isinstance(kernel, Nest) or kernel.sizes[:count] != sizes or any(kernel.reduced[:count]):
        return False
    return not any(s.add for s in kernel.stores) and not any(a.dynamic for a in kernel.accesses())


def _makes(step: Step, buffer: Buffer, sizes: tuple[int, ...]) -> bool:
    """Whether a step makes what is in a buffer, and nothing else."""
    if not _runs_along(step, sizes):
        return False
    assert isinstance(step.kernel, Nest)
    return not step.kernel.reductions and {step.buffers[s.access.buffer] for s in step.kernel.stores} == {buffer}


def _together(steps: Sequence[Step], sizes: tuple[int, ...], own: Mapping[Buffer, _Own], threads: int) -> Step:
    """Steps as one, run in stages; buffers of threads' own become as small as a stage needs."""
    small = {b: replace(b, size=o.size if threads == 1 else threads * apart(o.size, b.dtype)) for b, o in own.items()}
    pieces: list[Piece] = []
    buffers: list[Buffer] = []
    uses: list[list[int]] = []  # per part, the pieces that its own numbers stand for

    def number_of(buffer: Buffer, strides: tuple[int, ...]) -> int:
        used = small.get(buffer, buffer)
        if used not in buffers:
            buffers.append(used)
        size = own[buffer].size if buffer in own else 0
        piece = Piece(buffers.index(used), buffer.dtype, (0,) * len(sizes) if size else strides, size)
        if piece not in pieces:
            pieces.append(piece)
        if pieces.index(piece) not in uses[-1]:
            uses[-1].append(pieces.index(piece))
        return uses[-1].index(pieces.index(piece))

    def cut(step: Step) -> Nest | Contraction:
        count, kernel = len(sizes), step.kernel
        uses.append([])

        def change(access: Access, outer: Sequence[int], inner: Sequence[int]) -> Access:
            strides = tuple(access.strides[a] for a in outer)
            strides += (0,) * (count - len(strides))
            buffer = step.buffers[access.buffer]
            inside = replace(access, buffer=number_of(buffer, strides), strides=tuple(access.strides[a] for a in inner))
            return own[buffer].moved(inside) if buffer in own else inside

        if isinstance(kernel, Nest):
            axes = range(len(kernel.sizes))
            part = map_accesses(kernel, lambda access: change(access, axes[:count], axes[count:]))
            return simplified(replace(part, sizes=kernel.sizes[count:], reduced=kernel.reduced[count:]))
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
            panel=number_of(step.buffers[kernel.panel], ()) if kernel.panel >= 0 else -1,
        )

    parts = tuple(cut(step) for step in steps)
    return replace(
        steps[-1],
        kernel=Staged(sizes, parts, tuple(pieces), tuple(map(tuple, uses))),
        buffers=tuple(buffers),
        label="; ".join(step.label for step in steps),
    )
