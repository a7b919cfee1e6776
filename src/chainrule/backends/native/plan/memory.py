"""Where in the arena each buffer is: two buffers may share bytes if their lifetimes do not overlap."""

from __future__ import annotations

from collections.abc import Sequence

from chainrule.backends.native.plan.plans import Buffer
from chainrule.backends.native.target import CACHE_LINE


def lay_out(uses: Sequence[Sequence[Buffer]]) -> int:
    """Give every arena buffer an offset, by decreasing size, each at the lowest offset that is free during its lifetime.

    Args:
        uses: per call of a kernel, the buffers that it reads or writes.

    Returns:
        Bytes in all.
    """
    lives = lives_of(uses)
    order = sorted(lives, key=lambda b: (-b.bytes, lives[b]))
    placed: list[Buffer] = []
    total = 0
    for buffer in order:
        first, last = lives[buffer]
        busy = sorted(
            (other.number, other.number + aligned(other.bytes))
            for other in placed
            if lives[other][0] <= last and first <= lives[other][1]
        )
        offset = 0
        for start, stop in busy:
            if offset + aligned(buffer.bytes) <= start:
                break
            offset = max(offset, stop)
        buffer.number = offset
        placed.append(buffer)
        total = max(total, offset + aligned(buffer.bytes))
    return total


def lives_of(uses: Sequence[Sequence[Buffer]]) -> dict[Buffer, tuple[int, int]]:
    """The first and the last call in which each arena buffer is needed; all calls for those that are kept."""
    lives: dict[Buffer, tuple[int, int]] = {}
    for call, buffers in enumerate(uses):
        for buffer in buffers:
            if buffer.storage == "arena":
                first, _ = lives.get(buffer, (call, call))
                lives[buffer] = (0, len(uses)) if buffer.kept else (first, call)
    return lives


def aligned(size: int) -> int:
    """`size` rounded up to whole cache lines."""
    return -(-size // CACHE_LINE) * CACHE_LINE
