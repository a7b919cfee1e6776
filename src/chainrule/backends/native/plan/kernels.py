"""What a graph is lowered to: kernels, as data that can be printed, compared and made into machine code.

A `Nest` is a loop over every index of a domain. At each index it loads numbers, computes with them, stores results, and feeds
reductions. Every access is affine: element offset + Σ stride · index, plus, for gathers, index values loaded from elsewhere.
A `Contraction` is a sum of products of two operands, the matrix product being the common case. A `Draw` fills a buffer with
random numbers. Kernels name their buffers by number; the plan says which memory each number stands for.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from chainrule.backends.native.plan.tiling import Split, Tiling
from chainrule.ir import DType
from chainrule.ops.requirement import Limits

Strides = tuple[int, ...]
_PAGE_BYTES = 4096
SCRATCH = -1  # the buffer number of a contraction's sums in its epilogue


@dataclass(frozen=True)
class Access:
    """Elements of a buffer, one per index of a domain.

    Attributes:
        buffer: number of the kernel's argument.
        dtype: of the elements.
        offset: element at index 0.
        strides: elements to step per axis of the domain.
        dynamic: positions that are loaded, for gathers and scatters.
    """

    buffer: int
    dtype: DType
    offset: int
    strides: Strides
    dynamic: tuple[Dynamic, ...] = ()

    @property
    def axes(self) -> frozenset[int]:
        """The axes of the domain that the address depends on."""
        own = frozenset(a for a, s in enumerate(self.strides) if s)
        return own.union(*(d.position.axes for d in self.dynamic))


@dataclass(frozen=True)
class Dynamic:
    """An addend of an address: `stride` times an index that is loaded; negative ones count from the end of `size`."""

    position: Access
    stride: int
    size: int


@dataclass(frozen=True)
class Load:
    """A number from memory."""

    access: Access

    @property
    def dtype(self) -> DType:
        """Of the number."""
        return self.access.dtype


@dataclass(frozen=True)
class Immediate:
    """A number known now."""

    number: Any
    dtype: DType


@dataclass(frozen=True)
class Apply:
    """A scalar instruction on earlier values of the nest, by their numbers."""

    op: str
    arguments: tuple[int, ...]
    dtype: DType
    attributes: tuple[tuple[str, Any], ...] = ()


Instruction = Load | Immediate | Apply


@dataclass(frozen=True)
class Store:
    """Where a value goes; with `add`, it is added to what is there."""

    value: int
    access: Access
    add: bool = False


@dataclass(frozen=True)
class Reduction:
    """A value combined over the reduced axes; the access does not depend on them."""

    kind: Literal["sum", "prod", "max", "min", "argmax", "argmin"]
    value: int
    access: Access


@dataclass(frozen=True)
class Nest:
    """Loops over a domain.

    Attributes:
        sizes: of the domain's axes.
        reduced: per axis, whether the reductions run over it.
        values: what is computed at an index, operands first.
        stores: what is written at every index.
        reductions: what is combined over the reduced axes, and written once for each index of the others.
    """

    sizes: tuple[int, ...]
    reduced: tuple[bool, ...]
    values: tuple[Instruction, ...]
    stores: tuple[Store, ...] = ()
    reductions: tuple[Reduction, ...] = ()

    def accesses(self) -> Iterator[Access]:
        """Every access, those of positions included."""
        found = [v.access for v in self.values if isinstance(v, Load)]
        found += [s.access for s in self.stores] + [r.access for r in self.reductions]
        for access in found:
            yield access
            yield from (d.position for d in access.dynamic)


@dataclass(frozen=True)
class Contraction:
    """C[batch, m, n] = Σ_k A[batch, m, k] B[batch, k, n], then `epilogue` on every finished tile.

    Attributes:
        batch, rows, columns, inner: sizes; batch and inner may have several axes.
        a, b: accesses over the domain (*batch, m, n, *inner); A does not depend on n, nor B on m.
        tiling: how it is cut up.
        c: access over the domain (*batch, m, n) to where sums are put, if there is no epilogue.
        epilogue: a nest over (*batch, m, n), axes of size 1 left out, that finds sums in the buffer `SCRATCH`; or None.
        scratch: buffer for the sums of a block of rows, if there is an epilogue.
        panel: buffer for a packed strip of B, if the tiling says so.
        nonzero: buffer for the bits of A's elements that are not zero, if those that are zero are skipped.
        split: what threads share out, if there are several.
        transposed: the epilogue's memory is contiguous along the rows, so sums are transposed for it, which takes
            scratch memory twice as large.
        accumulate: sums are added to what is in c; the first of several inner axes is the outermost loop.
    """

    batch: tuple[int, ...]
    rows: int
    columns: int
    inner: tuple[int, ...]
    a: Access
    b: Access
    tiling: Tiling
    c: Access | None = None
    epilogue: Nest | None = None
    scratch: int = -1
    panel: int = -1
    nonzero: int = -1
    split: Split = "none"
    transposed: bool = False
    accumulate: bool = False

    @property
    def sums(self) -> int:
        """Elements of scratch memory for a block of sums."""
        return self.tiling.block * self.tiling.group * (1 + self.transposed)


@dataclass(frozen=True)
class Draw:
    """Uniform random numbers in [0, 1) from the Philox key in buffer 0, `count` of them, to buffer 1."""

    count: int
    dtype: DType


@dataclass(frozen=True)
class Check:
    """Refuse values outside limits: the first one found is reported."""

    sizes: tuple[int, ...]
    values: Access
    limits: Limits


@dataclass(frozen=True)
class StageBuffer:
    """What of a buffer belongs to a stage.

    Attributes:
        buffer: number of the kernel's argument.
        dtype: of its elements.
        strides: elements from one stage to the next along each axis of stages.
        private: if not 0, the buffer holds what one kernel of a stage leaves to the next, in so many elements, and every
            thread has its own.
    """

    buffer: int
    dtype: DType
    strides: Strides
    private: int = 0


@dataclass(frozen=True)
class Staged:
    """Kernels that run one after the other in each of many stages, so that what one leaves to the next is still in a cache.

    Attributes:
        sizes: of the axes of stages. Threads share out the first.
        kernels: of one stage, in order.
        buffers: what of the program's buffers belongs to a stage.
        uses: per kernel, which of `buffers` the numbers of its own buffers stand for.
    """

    sizes: tuple[int, ...]
    kernels: tuple[Nest | Contraction, ...]
    buffers: tuple[StageBuffer, ...]
    uses: tuple[tuple[int, ...], ...]


Kernel = Nest | Contraction | Staged | Draw | Check


def thread_stride(size: int, dtype: DType) -> int:
    """Elements from the private memory of one thread to that of the next.

    At least a page lies between: a processor prefetches what lies behind the memory that it reads, and should not fetch
    what another one writes.
    """
    page = _PAGE_BYTES // dtype.itemsize
    return (-(-size // page) + 1) * page


def work(kernel: Kernel) -> int:
    """Operations on single numbers: two for each product that is added up, and one for each instruction at each index."""
    if isinstance(kernel, Nest):
        instructions = sum(isinstance(v, Apply) for v in kernel.values)
        return math.prod(kernel.sizes) * (instructions + len(kernel.reductions))
    if isinstance(kernel, Staged):
        return math.prod(kernel.sizes) * sum(map(work, kernel.kernels))
    if isinstance(kernel, Contraction):
        products = math.prod((*kernel.batch, kernel.rows, kernel.columns, *kernel.inner))
        return 2 * products + (work(kernel.epilogue) if kernel.epilogue is not None else 0)
    return 40 * kernel.count if isinstance(kernel, Draw) else math.prod(kernel.sizes)


def traffic(kernel: Kernel) -> int:
    """Bytes loaded and stored, if every element of an operand were read once."""
    if isinstance(kernel, Nest):
        return sum(_bytes(a, kernel.sizes) for a in kernel.accesses())
    if isinstance(kernel, Staged):
        return math.prod(kernel.sizes) * sum(map(traffic, kernel.kernels))
    if isinstance(kernel, Contraction):
        sizes = (*kernel.batch, kernel.rows, kernel.columns, *kernel.inner)
        own = [kernel.a, kernel.b] + ([kernel.c] if kernel.c is not None else [])
        rest = traffic(kernel.epilogue) if kernel.epilogue is not None else 0
        return sum(_bytes(a, sizes) for a in own) + rest
    return kernel.count * kernel.dtype.itemsize if isinstance(kernel, Draw) else _bytes(kernel.values, kernel.sizes)


def _bytes(access: Access, sizes: Sequence[int]) -> int:
    """Bytes that an access reaches, each once."""
    return math.prod(n for n, s in zip(sizes, access.strides, strict=False) if s) * access.dtype.itemsize


def cycles(kernel: Kernel, lanes: int) -> float:
    """A rough estimate of the cycles, to decide whether threads pay."""
    if isinstance(kernel, Staged):
        return math.prod(kernel.sizes) * sum(cycles(inner, lanes) for inner in kernel.kernels)
    if isinstance(kernel, Contraction):
        rest = cycles(kernel.epilogue, lanes) if kernel.epilogue is not None else 0.0
        return kernel.tiling.cycles + rest
    return work(kernel) / lanes + traffic(kernel) / 32


# ------------------------------------------------------------------------------------------------ simplification
def simplified(nest: Nest) -> Nest:
    """The nest with fewer axes: those of size 1 dropped, neighbours merged where every access steps through both alike."""
    for axis in reversed(range(len(nest.sizes))):
        if nest.sizes[axis] == 1:
            nest = _without_axis(nest, axis)
    axis = 0
    while axis + 1 < len(nest.sizes):
        nest, merged = _merged(nest, axis)
        axis += not merged
    return nest


def _merged(nest: Nest, axis: int) -> tuple[Nest, bool]:
    inner = nest.sizes[axis + 1]
    if nest.reduced[axis] != nest.reduced[axis + 1] or any(
        a.strides[axis] != a.strides[axis + 1] * inner for a in nest.accesses()
    ):
        return nest, False
    sizes = (*nest.sizes[:axis], nest.sizes[axis] * inner, *nest.sizes[axis + 1 :])
    return replace(_without_axis(nest, axis), sizes=(*sizes[: axis + 1], *sizes[axis + 2 :])), True


def _without_axis(nest: Nest, axis: int) -> Nest:
    def drop(values: Sequence[Any]) -> tuple[Any, ...]:
        return (*values[:axis], *values[axis + 1 :])

    return map_accesses(replace(nest, sizes=drop(nest.sizes), reduced=drop(nest.reduced)), lambda a: _access_without(a, drop))


def _access_without(access: Access, drop: Any) -> Access:
    dynamic = tuple(replace(d, position=_access_without(d.position, drop)) for d in access.dynamic)
    return replace(access, strides=drop(access.strides), dynamic=dynamic)


def map_accesses(nest: Nest, change: Any) -> Nest:
    """The nest with every access replaced."""
    return replace(
        nest,
        values=tuple(Load(change(v.access)) if isinstance(v, Load) else v for v in nest.values),
        stores=tuple(replace(s, access=change(s.access)) for s in nest.stores),
        reductions=tuple(replace(r, access=change(r.access)) for r in nest.reductions),
    )


def reordered(nest: Nest, order: Sequence[int]) -> Nest:
    """The nest with its axes in another order."""

    def change(access: Access) -> Access:
        dynamic = tuple(replace(d, position=change(d.position)) for d in access.dynamic)
        return replace(access, strides=tuple(access.strides[a] for a in order), dynamic=dynamic)

    moved = replace(nest, sizes=tuple(nest.sizes[a] for a in order), reduced=tuple(nest.reduced[a] for a in order))
    return map_accesses(moved, change)
