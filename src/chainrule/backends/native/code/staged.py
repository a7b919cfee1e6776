"""Machine code for kernels in stages: a loop over the stages, in each of which the kernels run one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from llvmlite import ir

from chainrule.backends.native.code import scalar
from chainrule.backends.native.code.bounds import Builder
from chainrule.backends.native.code.loops import INDEX, Share, element_at, repeat, share_of
from chainrule.backends.native.plan.kernels import Contraction, Nest, Piece, Staged, apart


def emit(
    b: Builder,
    kernel: Staged,
    pointers: Sequence[ir.Value],
    run: Callable[[Nest | Contraction, Sequence[ir.Value]], None],
    share: Share | None,
) -> None:
    """Write the code of all stages at the builder's place.

    Args:
        b: where to.
        kernel: what.
        pointers: its buffers by number.
        run: writes the code that runs a part on the places of its pieces.
        share: if given, only this thread's share of the stages is computed.
    """

    def start_of(piece: Piece) -> ir.Value:
        """A thread's own memory, or the whole buffer."""
        if not piece.own or share is None:
            return pointers[piece.buffer]
        place = b.mul(share.number, INDEX(apart(piece.own, piece.dtype)))
        return b.gep(pointers[piece.buffer], [place], source_etype=scalar.memory_type(piece.dtype))

    starts = [start_of(piece) for piece in kernel.pieces]

    def in_stage(number: int, index: Sequence[ir.Value]) -> ir.Value:
        piece = kernel.pieces[number]
        if not any(piece.strides):
            return starts[number]
        place = element_at(b, 0, index, piece.strides)
        return b.gep(starts[number], [place], source_etype=scalar.memory_type(piece.dtype))

    def stages(index: list[ir.Value]) -> None:
        if len(index) == len(kernel.sizes):
            places = [in_stage(number, index) for number in range(len(kernel.pieces))]
            for part, numbers in zip(kernel.parts, kernel.uses, strict=True):
                run(part, [places[n] for n in numbers])
            return
        first, after = share_of(b, kernel.sizes[len(index)], None if index else share)
        with b.if_then(b.icmp_signed("<", first, after)):
            repeat(b, (first, after, 1), lambda i: stages([*index, i]))

    stages([])
