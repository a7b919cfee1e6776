"""Pictures of layered networks: units and weights of small ones, layers with shapes of large ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from chainrule.errors import ArgumentError, explain
from chainrule.explain.calculation import Calculation
from chainrule.explain.drawing import Drawing, Theme, box, line, text, text_width
from chainrule.explain.matrix import Layer, find_layers, in_layer_notation, operands
from chainrule.explain.symbols import number, symbol
from chainrule.ir import Array, Node

_MOST_UNITS = 16
_MOST_LABELS = 12
_COLUMN, _ROW, _RADIUS = 170.0, 62.0, 20.0


@dataclass(frozen=True)
class _Column:
    """Units of one layer: name, values where they are for one sample, and the weights that lead to them (out, in)."""

    title: str
    name: str
    values: Array | None
    units: int
    weights: Array | None


def network_drawing(calc: Calculation, precision: int, theme: Theme) -> Drawing:
    """Draw the layers of a calculation.

    Raises:
        ArgumentError: it has none.
    """
    layers = find_layers(calc)
    if not layers:
        raise ArgumentError(
            explain(
                "a network was to be drawn of a calculation without layers",
                "it needs products of a weight matrix with activations, such as W @ x + b or affine(x, W, b)",
                "Draw it with kind='graph'.",
            )
        )
    calc = in_layer_notation(calc, layers)
    columns = [_input(layers[0]), *(_column(layer) for layer in layers)]
    if max(c.units for c in columns) > _MOST_UNITS:
        return _blocks(columns, theme)
    return _units(columns, precision, theme)


def _input(layer: Layer) -> _Column:
    source, _, left = operands(layer)
    units = source.shape[0] if left and source.ndim > 1 else source.shape[-1]
    return _Column("", source.name or "x", _one_sample(source.value, units), units, None)


def _column(layer: Layer) -> _Column:
    _, matrix, left = operands(layer)
    assert matrix.value is not None
    weights = matrix.value if left else matrix.value.T
    node = layer.activation or layer.weighted
    title = "" if layer.activation is None else _activation(layer.activation)
    return _Column(
        title, node.name or f"a^{layer.number}", _one_sample(node.value, weights.shape[0]), weights.shape[0], weights
    )


def _activation(node: Node) -> str:
    return {"sigmoid": "σ", "relu": "ReLU"}.get(node.op, node.op)


def _one_sample(value: Array | None, units: int) -> Array | None:
    return value.reshape(-1) if value is not None and value.size == units else None


def _units(columns: Sequence[_Column], precision: int, theme: Theme) -> Drawing:
    height = max(c.units for c in columns) * _ROW + 76.0
    width = (len(columns) - 1) * _COLUMN + 150.0
    where = [[(75.0 + k * _COLUMN, _height(j, c.units, height)) for j in range(c.units)] for k, c in enumerate(columns)]
    shapes: list[str] = []
    labels: list[str] = []
    for k, column in enumerate(columns[1:], start=1):
        assert column.weights is not None
        largest = float(np.max(np.abs(column.weights))) or 1.0
        for j in range(column.units):
            for i in range(columns[k - 1].units):
                w = float(column.weights[j, i])
                start, end = where[k - 1][i], where[k][j]
                kind = f"edge {'positive' if w >= 0 else 'negative'}"
                shapes.append(line([start, end], kind, arrow=False, width=0.4 + 2.6 * abs(w) / largest))
                if column.weights.size <= _MOST_LABELS:
                    share = 0.28 + 0.4 * i / max(columns[k - 1].units - 1, 1)
                    x, y = (start[n] + (end[n] - start[n]) * share for n in (0, 1))
                    labels.append(text(x, y, number(w, min(precision, 3)).text, "small halo"))
    for column, places in zip(columns, where, strict=True):
        shapes_of_column = _column_shapes(column, places, precision, last=column is columns[-1])
        labels += shapes_of_column
    return Drawing(width, height, tuple(shapes + labels), "Network", theme)


def _height(j: int, units: int, height: float) -> float:
    return height / 2 + 12.0 + (j - (units - 1) / 2) * _ROW


def _column_shapes(column: _Column, places: Sequence[tuple[float, float]], precision: int, *, last: bool) -> list[str]:
    name = symbol(column.name).text
    found = [text(places[0][0], 18, f"{name} = {column.title}" if column.title else name, "soft")]
    kind = "leaf" if column.weights is None else "out" if last else "op"
    for j, (x, y) in enumerate(places):
        found.append(box((x, y), (2 * _RADIUS, 2 * _RADIUS), kind, _RADIUS))
        if column.values is None:
            found.append(text(x, y, f"{j + 1}", "small"))
        else:
            found.append(text(x, y, number(float(column.values[j]), 2).text, "small"))
    return found


def _blocks(columns: Sequence[_Column], theme: Theme) -> Drawing:
    """One box per layer, with its size and number of weights."""
    lines = [(symbol(c.name).text + (f" = {c.title}" if c.title else ""), f"{c.units} units", _count(c)) for c in columns]
    widths = [max(90.0, *(text_width(t) + 24 for t in each)) for each in lines]
    shapes: list[str] = []
    x = 16.0
    for k, (each, width) in enumerate(zip(lines, widths, strict=True)):
        kind = "leaf" if k == 0 else "out" if k == len(lines) - 1 else "op"
        shapes += [box((x + width / 2, 60), (width, 78), kind)]
        shapes += [text(x + width / 2, 38 + 21 * n, t, "" if n == 0 else "small soft") for n, t in enumerate(each) if t]
        if k < len(lines) - 1:
            shapes.append(line([(x + width, 60), (x + width + 44, 60)]))
        x += width + 44
    return Drawing(x - 44 + 16, 120, tuple(shapes), "Network", theme)


def _count(column: _Column) -> str:
    if column.weights is None:
        return ""
    out, into = column.weights.shape
    return f"W {out}×{into}"
