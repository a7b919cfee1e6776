"""A layered network as units and weights, in the notation of the matrix form; large ones as layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from chainrule.derivations import Calculation, find_layers, in_layer_notation, number, symbol
from chainrule.drawing.graph import graph_drawing, sign
from chainrule.drawing.picture import Drawing, Look
from chainrule.drawing.scene import legend_shapes
from chainrule.drawing.shapes import SMALL_SIZE, Point, box, line, tag, text, text_width
from chainrule.drawing.words import phrase
from chainrule.errors import ArgumentError
from chainrule.ir import Array, Node
from chainrule.language import Language
from chainrule.layers import Layer
from chainrule.ops.primitive import handed_on

MOST_UNITS = 16
_MOST_LABELS = 12  # weights between two layers that are written beside their lines
_COLUMN, _ROW, _RADIUS = 170.0, 66.0, 20.0
_LABELLED = 220.0  # between columns, where weights are written
_TOP, _SIDE = 40.0, 75.0
# Where on its line a label may be, the best place first.
_SHARES = sorted(np.linspace(0.24, 0.76, 27).tolist(), key=lambda share: abs(share - 0.5))


@dataclass(frozen=True)
class _Column:
    """Units of one layer.

    Attributes:
        heading: "a¹ = σ(z¹)".
        names: of the units, where they have no values.
        values: of one sample, or None.
        weights: (units, inputs) that lead to them, or None.
        biases: (units,) or None.
    """

    heading: str
    names: tuple[str, ...]
    values: Array | None
    weights: Array | None = None
    biases: Array | None = None

    @property
    def units(self) -> int:
        return len(self.names)

    @property
    def shows_numbers(self) -> bool:
        """Whether there is room for its weights and biases as numbers."""
        return self.weights is not None and self.weights.size <= _MOST_LABELS


def network_drawing(calc: Calculation, look: Look) -> Drawing:
    """Draw the layers of a calculation.

    Raises:
        ArgumentError: it has none.
        MissingDependency: it is large, and graphlay is not installed.
    """
    layers = find_layers(calc)
    if not layers:
        raise ArgumentError(
            "a drawing of a network was asked for a calculation without layers",
            "it needs products of a weight matrix with activations, such as W @ x + b or affine(x, W, b)",
            "Draw it with kind='graph'.",
        )
    if not is_chain(layers) or max(max(la.weight.shape) for la in layers) > MOST_UNITS:
        return graph_drawing(calc, look, layers=True, gradients=False)
    return units_drawing(calc, layers, look, values=True)


def is_chain(layers: Sequence[Layer]) -> bool:
    """Whether every layer has a matrix, and reads what the one before it gives."""
    for before, layer in zip([None, *layers], layers, strict=False):
        source = handed_on(layer.source)
        if layer.weight.ndim != 2 or (before is not None and source not in (before.activation, before.z)):
            return False
    return True


def units_drawing(calc: Calculation, layers: Sequence[Layer], look: Look, *, values: bool) -> Drawing:
    """Units as circles, weights as lines: thicker where larger, blue where positive, red where negative.

    Args:
        calc: a calculation.
        layers: its layers, each of up to 16 units.
        look: see `draw`.
        values: whether units hold what they are for this sample, if it is one.
    """
    calc = in_layer_notation(calc, layers)
    columns = [_input(layers[0], values), *(_column(layer, values) for layer in layers)]
    height = max(c.units for c in columns) * _ROW + _TOP + 16.0
    across = _LABELLED if any(c.shows_numbers for c in columns) else _COLUMN
    width = (len(columns) - 1) * across + 2 * _SIDE
    places = [
        [(_SIDE + k * across, _TOP + (height - _TOP) / 2 + (j - (c.units - 1) / 2) * _ROW - 8.0) for j in range(c.units)]
        for k, c in enumerate(columns)
    ]
    lines, labels, circles = [], [], []
    for k, column in enumerate(columns):
        if k:
            lines += _weight_lines(column, places[k - 1], places[k])
            labels += _weight_labels(column, places[k - 1], places[k], look.precision)
        circles += _circles(column, places[k], look.precision, "leaf" if k == 0 else "out" if k == len(columns) - 1 else "op")
    legend = _legend(columns, look.language)
    keys, room = legend_shapes(legend, 16.0, height + 8.0, width)
    shapes = (*lines, *labels, *circles, *keys)
    return Drawing(width, height + room, shapes, phrase("network", look.language), look.theme, look.language)


def _legend(columns: Sequence[_Column], language: Language) -> list[tuple[str, str]]:
    found = [(phrase("positive-weight", language), "forward"), (phrase("negative-weight", language), "gradient")]
    found.append((phrase("width", language), "soft"))
    return (
        [*found, (phrase("bias", language), "soft")]
        if any(c.shows_numbers and c.biases is not None for c in columns)
        else found
    )


# -------------------------------------------------------------------------------------------- columns
def _input(layer: Layer, values: bool) -> _Column:
    shape, source = layer.source.shape, handed_on(layer.source)
    units = shape[0] if layer.matrix_on_the_left and len(shape) > 1 else shape[-1]
    name = source.name if source.name and source.name.isalpha() else "x"
    names = tuple(symbol(f"{name}{k + 1}").text for k in range(units))
    return _Column(symbol(source.name or "x").text, names, _one_sample(source, units) if values else None)


def _column(layer: Layer, values: bool) -> _Column:
    matrix, node = layer.matrix.value, layer.a
    assert matrix is not None
    weights = matrix if layer.matrix_on_the_left else matrix.T
    units = weights.shape[0]
    name = symbol(node.name or f"a^{layer.number}").text
    heading = name
    if layer.activation is not None:
        heading += f" = {sign(layer.activation)}({symbol(layer.z.name or 'z').text})"
    bias = None if layer.bias is None else layer.bias.value
    biases = bias.reshape(-1) if bias is not None and bias.size == units else None
    numbers = tuple(map(str, range(1, units + 1)))
    return _Column(heading, numbers, _one_sample(node, units) if values else None, weights, biases)


def _short(value: float) -> str:
    """A number that fits into a circle."""
    return f"{value:.2f}" if abs(value) < 10.0 else f"{value:.0f}" if abs(value) < 1e5 else f"{value:.0e}".replace("e+0", "e")


def _one_sample(node: Node, units: int) -> Array | None:
    return node.value.reshape(-1) if node.value is not None and node.value.size == units else None


# -------------------------------------------------------------------------------------------- shapes
def _weight_lines(column: _Column, starts: Sequence[Point], ends: Sequence[Point]) -> list[str]:
    assert column.weights is not None
    largest = float(np.max(np.abs(column.weights))) or 1.0
    found = []
    for j, i in np.ndindex(*column.weights.shape):
        w = float(column.weights[j, i])
        kind = f"edge {'positive' if w >= 0 else 'negative'}"
        found.append(line([starts[i], ends[j]], kind, arrow=False, width=0.4 + 2.8 * abs(w) / largest))
    return found


def _weight_labels(column: _Column, starts: Sequence[Point], ends: Sequence[Point], precision: int) -> list[str]:
    """Weights on their lines, where they cover least of each other and of other lines, near the middle if there is a choice."""
    assert column.weights is not None
    if not column.shows_numbers:
        return []
    found: list[str] = []
    taken: list[tuple[Point, float]] = []
    lines = {(j, i): (starts[i], ends[j]) for j, i in np.ndindex(*column.weights.shape)}
    for (j, i), own in lines.items():
        w = float(column.weights[j, i])
        words = number(w, min(precision, 3)).text
        width = text_width(words, SMALL_SIZE) + 4.0
        others = [each for key, each in lines.items() if key != (j, i)]
        costs = [(_covered(_along(own, s), width, taken), _crossings(_along(own, s), others)) for s in _SHARES]
        x, y = _along(own, _SHARES[costs.index(min(costs))])
        taken.append(((x, y), width))
        found.append(tag(x, y, words, "forward" if w >= 0 else "gradient"))
    return found


def _along(ends: tuple[Point, Point], share: float) -> Point:
    (x1, y1), (x2, y2) = ends
    return x1 + (x2 - x1) * share, y1 + (y2 - y1) * share


def _covered(place: Point, width: float, taken: Sequence[tuple[Point, float]]) -> float:
    """The area that a label would share with labels that are there."""
    height, total = SMALL_SIZE + 4.0, 0.0
    for (x, y), other in taken:
        across, down = (width + other) / 2 - abs(place[0] - x), height - abs(place[1] - y)
        total += min(max(across, 0.0), width, other) * min(max(down, 0.0), height)
    return total


def _crossings(place: Point, lines: Sequence[tuple[Point, Point]]) -> int:
    """How many lines pass through the middle of a label."""
    shares = [(place[0] - start[0]) / (end[0] - start[0]) for start, end in lines]
    return sum(abs(_along(each, share)[1] - place[1]) < SMALL_SIZE for each, share in zip(lines, shares, strict=True))


def _circles(column: _Column, places: Sequence[Point], precision: int, kind: str) -> list[str]:
    found = [text(places[0][0], 20, column.heading)]
    for j, (x, y) in enumerate(places):
        found.append(box((x, y), (2 * _RADIUS, 2 * _RADIUS), kind, _RADIUS))
        inside = column.names[j] if column.values is None else _short(float(column.values[j]))
        found.append(text(x, y, inside, "small"))
        if column.shows_numbers and column.biases is not None:
            bias = number(float(column.biases[j]), min(precision, 3)).text
            found.append(text(x, y + _RADIUS + 9.0, f"b {bias}", "small soft halo"))
    return found
