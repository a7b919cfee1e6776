"""Convolutions with three rows and columns in less arithmetic (Winograd; Lavin and Gray, 2016, "Fast Algorithms for
Convolutional Neural Networks").

Two by two neighbouring results need four by four inputs d. With constant matrices A, B and G

    Y = Aᵀ [ (G g Gᵀ) ⊙ (Bᵀ d B) ] A

takes 16 multiplications per input channel in place of 36. Channels are added up before the outer transformation, so for each of
the 16 places in a tile there is a matrix product over channels. The gradient by the weights is the same, read backwards:

    ∂C/∂g = Gᵀ [ (A ∂C/∂Y Aᵀ) ⊙ (Bᵀ d B) ] G,        added up over tiles and images.

Transformations are elementwise work on strided slices; the products are `staged` contractions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from chainrule.backends.native.forms import contract, copy, place
from chainrule.backends.native.views import contiguous
from chainrule.ir import Node, constant
from chainrule.ops import lookup

_TILE = 4  # rows and columns of inputs
_PLACES = _TILE**2

Grid = list[list[Node]]  # one array per place in a tile
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
    images, channels, *_ = padded.shape
    out = weights.shape[0]
    kernel = _stacked(_transformed(_KERNEL, _kernel_grid(weights)), lead=0)
    image = _stacked(_transformed(_INPUT, _grid(padded, 4, step=2)), lead=1)
    *_, rows, columns = image.shape
    kernel = _reshape(kernel, (1, _PLACES, out, 1, channels))
    image = _transpose(_reshape(image, (images, _PLACES, channels, rows * columns)), (0, 1, 3, 2))
    image = _reshape(image, (images, _PLACES, 1, rows * columns, channels))
    products = contract(kernel, image, 1, (0, 1, 2, 3), staged=True)
    parts = [_reshape(x, (images, out, rows, columns)) for x in _unstacked(products, axis=1)]
    results = _transformed(_OUTPUT, _squared(parts))
    return _interleaved(results)


def gradient(node: Node) -> Node:
    """A node of (n, in, height + 2, width + 2) and (n, out, height, width), the gradient by the weights (out, in, 3, 3)."""
    padded, upstream = node.inputs
    channels, out = padded.shape[1], upstream.shape[1]
    stages = _Stages.of(upstream, _PLACES * (channels + out) * padded.dtype.itemsize)
    image = _transformed(_INPUT, stages.cut_all(_grid(padded, 4, step=2)))
    change = _transformed(_turned(_OUTPUT), stages.cut_all(_grid(upstream, 2, step=2)))
    lead = len(stages.shape)
    a = stages.factor(_stacked(change, lead=lead), rows=True)
    b = stages.factor(_stacked(image, lead=lead), rows=False)
    sums = contract(a, b, lead, (0, 1, 2, 3), accumulate=True, staged=True)
    total = lookup("sum")(sums, axis=(0,))
    kernel = _stacked(_transformed(_turned(_KERNEL), _squared(_unstacked(total, axis=0))), lead=0)
    return copy(_transpose(_reshape(kernel, (3, 3, out, channels)), (2, 3, 0, 1)))


@dataclass(frozen=True)
class _Stages:
    """How many images, or how many rows of the tiles of one image, are transformed at a time.

    Attributes:
        shape: (parts that are summed apart, stages in each), and if an image takes several stages, how many.
        images: in a stage.
    """

    shape: tuple[int, ...]
    images: int

    @staticmethod
    def of(upstream: Node, bytes_per_tile: int) -> _Stages:
        """For images (n, out, height, width), each of whose tiles takes so many bytes."""
        images, _, height, width = upstream.shape
        tiles = height * width // 4
        fitting = max(1, _STAGE_BYTES // bytes_per_tile)
        parts = _largest_divisor(images, _MOST_PARTS)
        together = _largest_divisor(images // parts, fitting // tiles)
        cuts = height // 2 // _largest_divisor(height // 2, max(1, fitting // (width // 2)))
        return _Stages((parts, images // parts // together, *((cuts,) if cuts > 1 else ())), together)

    def cut_all(self, grid: Grid) -> Grid:
        """Arrays (n, channels, rows, columns) as (*shape, channels, images, rows, columns)."""
        return [[self._cut(x) for x in row] for row in grid]

    def _cut(self, x: Node) -> Node:
        _, channels, rows, columns = x.shape
        parts, stages, *cuts = self.shape
        if cuts:
            x = _reshape(x, (parts, stages, 1, channels, cuts[0], rows // cuts[0], columns))
            return _transpose(x, (0, 1, 4, 3, 2, 5, 6))
        return _transpose(_reshape(x, (parts, stages, self.images, channels, rows, columns)), (0, 1, 3, 2, 4, 5))

    def factor(self, x: Node, *, rows: bool) -> Node:
        """(*shape, place, channels, images, rows, columns) as a factor of a contraction: (part, place, m, n, *stages, tile)."""
        parts, *stages = self.shape
        channels = x.shape[len(self.shape) + 1]
        x = _reshape(x, (*self.shape, _PLACES, channels, -1))
        lead = len(self.shape)
        x = _transpose(x, (0, lead, lead + 1, *range(1, lead), lead + 2))
        pair = (channels, 1) if rows else (1, channels)
        return _reshape(x, (parts, _PLACES, *pair, *stages, x.shape[-1]))


def _largest_divisor(n: int, most: int) -> int:
    """The largest divisor of n that is at most `most`; 1 if there is none."""
    return next(d for d in range(max(1, min(n, most)), 0, -1) if n % d == 0)


# ------------------------------------------------------------------------------------------------ transformations
def _transformed(matrix: Matrix, grid: Grid) -> Grid:
    """M X Mᵀ."""
    return _turned_grid(_rows_combined(matrix, _turned_grid(_rows_combined(matrix, grid))))


def _rows_combined(matrix: Matrix, grid: Grid) -> Grid:
    return [[_combined(weights, column) for column in zip(*grid, strict=True)] for weights in matrix]


def _combined(weights: Sequence[float], terms: Sequence[Node]) -> Node:
    """Σ weight · term."""
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


def _turned(matrix: Matrix) -> Matrix:
    return tuple(zip(*matrix, strict=True))


def _turned_grid(grid: Grid) -> Grid:
    return [list(column) for column in zip(*grid, strict=True)]


# ------------------------------------------------------------------------------------------------ places in tiles
def _grid(x: Node, size: int, *, step: int) -> Grid:
    """Per place in a tile of `size` rows and columns, the elements of x (…, height, width) that lie there."""
    *lead, height, width = x.shape
    counts = [(n - size) // step + 1 for n in (height, width)]

    def at(place: tuple[int, int]) -> Node:
        start = (*(0,) * len(lead), *place)
        stop = (*lead, *(p + (n - 1) * step + 1 for p, n in zip(place, counts, strict=True)))
        return lookup("slice")(x, start, stop, (*(1,) * len(lead), step, step))

    return [[at((a, b)) for b in range(size)] for a in range(size)]


def _kernel_grid(weights: Node) -> Grid:
    """The same of a kernel (out, in, 3, 3), as (out, in) each: turned first, so that neighbours are neighbours in memory."""
    turned = copy(_transpose(weights, (2, 3, 0, 1)))
    return [_unstacked(row, axis=0) for row in _unstacked(turned, axis=0)]


def _stacked(grid: Grid, *, lead: int) -> Node:
    """All places in a tile in one array, along a new axis after the first `lead` ones."""
    parts = [x for row in grid for x in row]
    shape = parts[0].shape
    whole = (*shape[:lead], len(parts), *shape[lead:])
    steps = contiguous(whole)
    strides = (*steps[:lead], *steps[lead + 1 :])
    return place(parts, whole, [(i * steps[lead], strides) for i in range(len(parts))], None)


def _unstacked(x: Node, *, axis: int) -> list[Node]:
    """The way back: x at every index of an axis."""
    shape = (*x.shape[:axis], *x.shape[axis + 1 :])

    def at(i: int) -> Node:
        start = tuple(i if a == axis else 0 for a in range(x.ndim))
        stop = tuple(i + 1 if a == axis else n for a, n in enumerate(x.shape))
        return _reshape(lookup("slice")(x, start, stop), shape)

    return [at(i) for i in range(x.shape[axis])]


def _squared(parts: list[Node]) -> Grid:
    return [parts[i : i + _TILE] for i in range(0, len(parts), _TILE)]


def _interleaved(grid: Grid) -> Node:
    """Places in tiles (n, channels, rows, columns) where they belong in the image."""
    size = len(grid)
    *lead, rows, columns = grid[0][0].shape
    shape = (*lead, rows * size, columns * size)
    *steps, row, column = contiguous(shape)
    strides = (*steps, row * size, column * size)
    places = [(a * row + b * column, strides) for a in range(size) for b in range(size)]
    return place([x for line in grid for x in line], shape, places, None)


def _reshape(x: Node, shape: tuple[int, ...]) -> Node:
    return x if x.shape == shape else lookup("reshape")(x, shape=shape)


def _transpose(x: Node, axes: tuple[int, ...]) -> Node:
    return lookup("transpose")(x, axes=axes)
