"""Convolutions with three rows and columns in less arithmetic (Winograd; Lavin and Gray, 2016, "Fast Algorithms for
Convolutional Neural Networks").

Two by two neighbouring results need four by four inputs d. With constant matrices A, B and G

    Y = Aᵀ [ (G g Gᵀ) ⊙ (Bᵀ d B) ] A

takes 16 multiplications per input channel instead of 36. Channels are added up before the outer transformation, so for each of
the 16 positions in a tile there is a matrix product over channels. The gradient by the weights is the same, read backwards:

    ∂C/∂g = Gᵀ [ (A ∂C/∂Y Aᵀ) ⊙ (Bᵀ d B) ] G,        added up over tiles and images.

With o results and c input channels, one tile of an image goes this way. Every box is one array per position in the 4 × 4 tile:

    image            Bᵀ d B             products over channels             Aᵀ … A          result
    4 × 4 inputs  ►  16 arrays (c)  ►   16 × [o × c] · [c × tiles]  ►  16 arrays (o)  ►  2 × 2 results
      ↕ overlap by 2                            ▲                                         side by side
                              weights  ►  G g Gᵀ: 16 × [o × c], once for all tiles

Neighbouring tiles lie 2 apart and overlap by 2, so that transformed images take four times the memory of the images. They are
never all there: `staged` contractions run image by image (or by a few, or some rows of one), so that a stage stays in the L2
cache. Transformations are elementwise work on strided slices: position (a, b) of all tiles is the slice [a::2, b::2].
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from chainrule.backends.native.graph.forms import contract, copy, place, reshape, transpose
from chainrule.backends.native.graph.views import contiguous
from chainrule.ir import Node, constant
from chainrule.ops import lookup

# Tiles of 6 × 6 inputs would save more, but their matrices hold numbers up to 8, and round worse.
_TILE = 4  # rows and columns of inputs
_POSITIONS = _TILE**2

Grid = list[list[Node]]  # one array per position in a tile
Matrix = tuple[tuple[float, ...], ...]

_INPUT: Matrix = ((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1))  # Bᵀ
_KERNEL: Matrix = ((1, 0, 0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0, 0, 1))  # G
_OUTPUT: Matrix = ((1, 1, 1, 0), (0, 1, -1, -1))  # Aᵀ

_LEAST_CHANNELS = 16  # with fewer, transformations take more than the products save
_LEAST_TILES = 16  # in an image
_MOST_PARTS = 8  # sums of images that are kept apart in the gradient by the weights, so that as many threads can share them
_STAGE_BYTES = 512 * 1024  # of transformed images, which are to stay in the second-level cache


def fits(images: int, channels: int, out: int, size: Sequence[int]) -> bool:
    """Whether a convolution of `images` images with `channels` channels to `out` channels of so many rows and columns, by
    three rows and columns of weights, is done here."""
    even = len(size) == 2 and not any(n % 2 for n in size)
    return even and images > 0 and min(channels, out) >= _LEAST_CHANNELS and math.prod(size) >= 4 * _LEAST_TILES


def convolution(node: Node) -> Node:
    """A node of (n, in, height + 2, width + 2) and (out, in, 3, 3), (n, out, height, width), written out."""
    padded, weights = node.inputs
    images, out, height, width = node.shape
    channels = padded.shape[1]
    stages = _Stages((images,), 1, _cuts(height // 2, width // 2, channels + out, padded.dtype.itemsize))
    kernel = _stacked(_transformed(_KERNEL, _kernel_grid(weights)), lead=0)  # once a step: it has no axes of stages
    image = _stacked(_transformed(_INPUT, stages.cut_all(_grid(padded, 4, step=2))), lead=stages.axes)
    kernel = reshape(kernel, (*(1,) * stages.axes, _POSITIONS, out, 1, channels))
    image = reshape(image, (*image.shape[: stages.axes + 2], -1))
    # The contraction takes (…, 1, n, k): its columns n are the tiles, which stay contiguous in memory.
    image = _expanded(_swapped(image), stages.axes + 1)
    products = contract(kernel, image, 1, tuple(range(stages.axes + 3)), staged=True)
    tiles = (*stages.shape, out, height // 2 // stages.cuts, width // 2)
    parts = [reshape(x, tiles) for x in _unstacked(products, axis=stages.axes)]
    return stages.put_together(_transformed(_OUTPUT, _squared(parts)), node)


def gradient(node: Node) -> Node:
    """A node of (n, in, height + 2, width + 2) and (n, out, height, width), the gradient by the weights (out, in, 3, 3)."""
    padded, upstream = node.inputs
    out, channels = node.shape[:2]
    stages = _Stages.with_images_together(upstream, channels + out)
    image = _transformed(_INPUT, stages.cut_all(_grid(padded, 4, step=2)))
    change = _transformed(_transposed(_OUTPUT), stages.cut_all(_grid(upstream, 2, step=2)))
    a = stages.factor(_stacked(change, lead=stages.axes), rows=True)
    b = stages.factor(_stacked(image, lead=stages.axes), rows=False)
    sums = contract(a, b, stages.axes, (0, 1, 2, 3), accumulate=True, staged=True)
    # The parts of the batch were summed apart, always the same ones, so that the bits do not depend on the number of threads.
    total = lookup("sum")(sums, axis=(0,))
    kernel = _stacked(_transformed(_transposed(_KERNEL), _squared(_unstacked(total, axis=0))), lead=0)
    return copy(transpose(reshape(kernel, (3, 3, out, channels)), (2, 3, 0, 1)))


@dataclass(frozen=True)
class _Stages:
    """How many images, or how many rows of the tiles of one image, are transformed at a time.

    Attributes:
        groups: numbers of groups of images, outermost first.
        images: in a group of the last kind.
        cuts: of an image; 1 if there are several images.
    """

    groups: tuple[int, ...]
    images: int
    cuts: int

    @staticmethod
    def with_images_together(upstream: Node, channels: int) -> _Stages:
        """For images (n, out, height, width), in up to `_MOST_PARTS` parts that are summed apart."""
        images, _, height, width = upstream.shape
        cuts = _cuts(height // 2, width // 2, channels, upstream.dtype.itemsize)
        parts = _largest_divisor(images, _MOST_PARTS)
        fitting = _fitting_tiles(channels, upstream.dtype.itemsize) // (height * width // 4)
        # Small images are taken together until a stage is full; a large one is cut instead.
        together = _largest_divisor(images // parts, fitting) if cuts == 1 else 1
        return _Stages((parts, images // parts // together), together, cuts)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the axes of stages."""
        return (*self.groups, *((self.cuts,) if self.cuts > 1 else ()))

    @property
    def axes(self) -> int:
        """How many these are."""
        return len(self.shape)

    def cut_all(self, grid: Grid) -> Grid:
        """Arrays (n, channels, rows, columns) as (*stages, channels, images, rows, columns), without images if it is one."""
        return [[self._cut(x) for x in row] for row in grid]

    def _cut(self, x: Node) -> Node:
        # A reshape and a transpose that a view can express: nothing is copied.
        _, channels, rows, columns = x.shape
        count = len(self.groups)
        if self.cuts == self.images == 1:
            return reshape(x, (*self.groups, channels, rows, columns))
        pair = (channels, self.cuts, rows // self.cuts) if self.cuts > 1 else (self.images, channels, rows)
        x = reshape(x, (*self.groups, *pair, columns))
        return transpose(x, (*range(count), count + 1, count, count + 2, count + 3))

    def factor(self, x: Node, *, rows: bool) -> Node:
        """(*stages, position, channels, …) as a factor of a contraction: (part, position, m, n, *other stages, tile)."""
        x = reshape(x, (*x.shape[: self.axes + 2], -1))
        x = transpose(x, (0, self.axes, self.axes + 1, *range(1, self.axes), self.axes + 2))
        return _expanded(x, 3 if rows else 2)

    def put_together(self, grid: Grid, node: Node) -> Node:
        """Results by their positions in tiles, (*stages, channels, rows, columns) each, where they belong in a node's value."""
        # Result (a, b) of tile (i, j) lies at (2 i + a, 2 j + b). The 2 × 2 arrays interleave, so that stores of two
        # neighbours become one store of alternating lanes (`loops.store_alternating`).
        size = len(grid)
        image, channel, row, column = contiguous(node.shape)
        rows = grid[0][0].shape[-2]
        steps = (image, *((rows * size * row,) if self.cuts > 1 else ()), channel, row * size, column * size)
        places = [(a * row + b * column, steps) for a in range(size) for b in range(size)]
        return place([x for line in grid for x in line], node.shape, places, None)


def _fitting_tiles(channels: int, itemsize: int) -> int:
    """Tiles of so many channels, before and after the products, that a stage can hold."""
    return max(1, _STAGE_BYTES // (_POSITIONS * channels * itemsize))


def _cuts(rows: int, columns: int, channels: int, itemsize: int) -> int:
    """Into how many equal pieces the rows of tiles of an image are cut: few that fit, with enough tiles in each to pay."""
    fitting = _fitting_tiles(channels, itemsize)
    possible = [n for n in range(1, rows + 1) if rows % n == 0 and rows // n * columns >= _LEAST_TILES]
    return next((n for n in possible if rows // n * columns <= fitting), possible[-1])


def _largest_divisor(n: int, most: int) -> int:
    """The largest divisor of n that is at most `most`; 1 if there is none."""
    return next(d for d in range(max(1, min(n, most)), 0, -1) if n % d == 0)


# ------------------------------------------------------------------------------------------------ transformations
def _transformed(matrix: Matrix, grid: Grid) -> Grid:
    """M X Mᵀ."""
    # Rows first, then columns: for Bᵀ that takes 32 additions for the 16 positions, both at once would take 48.
    return _transposed_grid(_rows_combined(matrix, _transposed_grid(_rows_combined(matrix, grid))))


def _rows_combined(matrix: Matrix, grid: Grid) -> Grid:
    return [[_combined(weights, column) for column in zip(*grid, strict=True)] for weights in matrix]


def _combined(weights: Sequence[float], terms: Sequence[Node]) -> Node:
    """Σ weight · term."""
    # Nodes are made directly: all shapes and dtypes are equal, so there is nothing for `ops` to prepare.
    total: Node | None = None
    for weight, term in sorted(zip(weights, terms, strict=True), key=lambda pair: -pair[0]):  # those with a minus come last
        if weight == 0:
            continue
        scaled = term if abs(weight) == 1 else _instruction("multiply", term, constant(abs(weight), term.dtype))
        if total is None:
            total = scaled if weight > 0 else _instruction("negative", scaled)
        else:
            total = _instruction("add" if weight > 0 else "subtract", total, scaled)
    assert total is not None
    return total


def _instruction(op: str, x: Node, *others: Node) -> Node:
    """Elementwise work on arrays of one dtype, and of the shape of the first."""
    return Node(op, (x, *others), {}, x.shape, x.dtype)


def _transposed(matrix: Matrix) -> Matrix:
    return tuple(zip(*matrix, strict=True))


def _transposed_grid(grid: Grid) -> Grid:
    return [list(column) for column in zip(*grid, strict=True)]


# ------------------------------------------------------------------------------------------------ positions in tiles
def _grid(x: Node, size: int, *, step: int) -> Grid:
    """Per position in a tile of `size` rows and columns, the elements of x (…, height, width) that lie there."""
    *lead, height, width = x.shape
    counts = [(n - size) // step + 1 for n in (height, width)]

    def at(position: tuple[int, int]) -> Node:
        start = (*(0,) * len(lead), *position)
        stop = (*lead, *(p + (n - 1) * step + 1 for p, n in zip(position, counts, strict=True)))
        return lookup("slice")(x, start, stop, (*(1,) * len(lead), step, step))

    return [[at((a, b)) for b in range(size)] for a in range(size)]


def _kernel_grid(weights: Node) -> Grid:
    """The same of a kernel (out, in, 3, 3), as (out, in) each: copied first, so that (out, in) is contiguous."""
    moved = copy(transpose(weights, (2, 3, 0, 1)))
    return [_unstacked(row, axis=0) for row in _unstacked(moved, axis=0)]


def _stacked(grid: Grid, *, lead: int) -> Node:
    """All positions in a tile in one array, along a new axis after the first `lead` ones, which are those of stages."""
    parts = [x for row in grid for x in row]
    shape = parts[0].shape
    whole = (*shape[:lead], len(parts), *shape[lead:])
    steps = contiguous(whole)
    strides = (*steps[:lead], *steps[lead + 1 :])
    return place(parts, whole, [(i * steps[lead], strides) for i in range(len(parts))], None, staged=lead > 0)


def _unstacked(x: Node, *, axis: int) -> list[Node]:
    """The way back: x at every index of an axis."""
    shape = (*x.shape[:axis], *x.shape[axis + 1 :])

    def at(i: int) -> Node:
        start = tuple(i if a == axis else 0 for a in range(x.ndim))
        stop = tuple(i + 1 if a == axis else n for a, n in enumerate(x.shape))
        return reshape(lookup("slice")(x, start, stop), shape)

    return [at(i) for i in range(x.shape[axis])]


def _squared(parts: list[Node]) -> Grid:
    return [parts[i : i + _TILE] for i in range(0, len(parts), _TILE)]


def _swapped(x: Node) -> Node:
    """x with its last two axes exchanged."""
    return transpose(x, (*range(x.ndim - 2), x.ndim - 1, x.ndim - 2))


def _expanded(x: Node, axis: int) -> Node:
    """x with a new axis of size 1."""
    return reshape(x, (*x.shape[:axis], 1, *x.shape[axis:]))
