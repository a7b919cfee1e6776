"""Machine code for kernels in stages: a loop over the stages, in each of which the kernels run one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from llvmlite import ir

from chainrule.backends.native.code import scalar
from chainrule.backends.native.code.bounds import Builder
from chainrule.backends.native.code.loops import INDEX, Share, element_at, repeat, share_of
from chainrule.backends.native.plan.kernels import Contraction, Nest, StageBuffer, Staged, thread_stride


def emit(
    b: Builder,
    kernel: Staged,
    pointers: Sequence[ir.Value],
    run: Callable[[Nest | Contraction, Sequence[ir.Value]], None],
    share: Share | None,
) -> None:
    """Write the code of all stages at the builder's position.

    Args:
        b: where to.
        kernel: what.
        pointers: its buffers by number.
        run: writes the code that runs a kernel of a stage, given the pointers to its buffers.
        share: if given, only this thread's share of the stages is computed.
    """

    def start_of(buffer: StageBuffer) -> ir.Value:
        """A thread's own memory, or the whole buffer."""
        if not buffer.private or share is None:
            return pointers[buffer.buffer]
        offset = b.mul(share.number, INDEX(thread_stride(buffer.private, buffer.dtype)))
        return b.gep(pointers[buffer.buffer], [offset], source_etype=scalar.memory_type(buffer.dtype))

    starts = [start_of(buffer) for buffer in kernel.buffers]

    def in_stage(number: int, index: Sequence[ir.Value]) -> ir.Value:
        buffer = kernel.buffers[number]
        if not any(buffer.strides):
            return starts[number]
        offset = element_at(b, 0, index, buffer.strides)
        return b.gep(starts[number], [offset], source_etype=scalar.memory_type(buffer.dtype))

    def stages(index: list[ir.Value]) -> None:
        if len(index) == len(kernel.sizes):
            starts_here = [in_stage(number, index) for number in range(len(kernel.buffers))]
            for inner, numbers in zip(kernel.kernels, kernel.uses, strict=True):
                run(inner, [starts_here[n] for n in numbers])
            return
        first, after = share_of(b, kernel.sizes[len(index)], None if index else share)
        with b.if_then(b.icmp_signed("<", first, after)):
            repeat(b, (first, after, 1), lambda i: stages([*index, i]))

    stages([])
