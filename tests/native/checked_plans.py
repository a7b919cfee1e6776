"""Checks of a plan: no kernel reaches beyond a buffer, and buffers that are in use at the same time do not overlap.

Addresses are affine in the loop counters, so the first and the last element that an access can reach are known without running.
Positions that are loaded are kept in their range by `Check` kernels, which run before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from chainrule.backends.native.plan.kernels import SCRATCH, Access, Check, Contraction, Draw, Kernel, Nest, Staged
from chainrule.backends.native.plan.memory import lives_of
from chainrule.backends.native.plan.plans import KernelCall, Plan
from chainrule.backends.native.target import CACHE_LINE
from chainrule.errors import GraphError


def check_plan(plan: Plan) -> None:
    """Check every access of every kernel, and the offsets in the arena.

    Raises:
        GraphError: an access outside its buffer, or two buffers that overlap: a defect of this package.
    """
    for call in plan.calls:
        for access, sizes in _accesses(call.kernel):
            _check_access(access, sizes, call)
    _check_offsets(plan)


def _accesses(kernel: Kernel) -> Iterator[tuple[Access, tuple[int, ...]]]:
    if isinstance(kernel, Staged):
        for inner, numbers in zip(kernel.kernels, kernel.uses, strict=True):
            for access, sizes in _accesses(inner):
                stage_buffer = kernel.buffers[numbers[access.buffer]]
                strides = (*stage_buffer.strides, *access.strides)
                yield replace(access, buffer=stage_buffer.buffer, strides=strides), (*kernel.sizes, *sizes)
    elif isinstance(kernel, Nest):
        yield from ((a, kernel.sizes) for a in kernel.accesses())
    elif isinstance(kernel, Check):
        yield kernel.values, kernel.sizes
    elif isinstance(kernel, Contraction):
        sizes = (*kernel.batch, kernel.rows, kernel.columns, *kernel.inner)
        yield kernel.a, sizes
        yield kernel.b, sizes
        if kernel.c is not None:
            yield kernel.c, sizes[: len(kernel.c.strides)]
        if kernel.epilogue is not None:
            yield from ((a, kernel.epilogue.sizes) for a in kernel.epilogue.accesses() if a.buffer != SCRATCH)
    else:
        assert isinstance(kernel, Draw)
        yield Access(1, kernel.dtype, 0, (1,)), (kernel.count,)


def _check_access(access: Access, sizes: Sequence[int], call: KernelCall) -> None:
    if not all(sizes):
        return
    reach = [s * (n - 1) for s, n in zip(access.strides, sizes, strict=True)]
    first = access.offset + sum(r for r in reach if r < 0)
    last = access.offset + sum(r for r in reach if r > 0) + sum(d.stride * (d.size - 1) for d in access.dynamic)
    buffer = call.buffers[access.buffer]
    private = {p.buffer: p.private for p in call.kernel.buffers if p.private} if isinstance(call.kernel, Staged) else {}
    size = private.get(access.buffer, buffer.size)
    if first < 0 or last >= size or access.dtype != buffer.dtype:
        raise GraphError(f"{call.label} reaches elements {first} … {last} of {buffer.label}, which has {size}.")


def _check_offsets(plan: Plan) -> None:
    lives = lives_of([call.buffers for call in plan.calls])
    found = sorted(lives, key=lambda b: b.number)
    for k, buffer in enumerate(found):
        if buffer.number % CACHE_LINE or buffer.number + buffer.bytes > plan.arena_bytes:
            raise GraphError(f"{buffer.label} lies at {buffer.number} in an arena of {plan.arena_bytes} bytes.")
        for other in found[k + 1 :]:
            together = lives[buffer][0] <= lives[other][1] and lives[other][0] <= lives[buffer][1]
            if together and other.number < buffer.number + buffer.bytes and buffer.number < other.number + other.bytes:
                raise GraphError(f"{buffer.label} and {other.label} are in use at the same time and share bytes.")
