"""Gradient flow: how large weights and gradients are in every layer, and what happens to δ between layers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from chainrule.drawing.chart import Axis, label, log_axis
from chainrule.drawing.picture import Drawing, Look
from chainrule.drawing.scene import legend_shapes
from chainrule.drawing.shapes import SMALL_SIZE, bar, line, text, text_width
from chainrule.drawing.words import phrase
from chainrule.errors import ArgumentError

_ROW, _BARS, _NUMBER = 48.0, 300.0, 66.0
_TOP, _MARGIN = 58.0, 18.0


def flow_drawing(layers: Sequence[Mapping[str, Any]], look: Look) -> Drawing:
    """Draw what `cr.diagnose` measured.

    Args:
        layers: the numbers of every layer, in order (see `chainrule.diagnosis.layer_numbers`).
        look: see `draw`.

    Raises:
        ArgumentError: there are no layers.
    """
    if not layers:
        raise ArgumentError(
            "the gradient flow was asked for a network without layers",
            "a layer multiplies a value computed from the data by a parameter",
            "Check that the network has layers such as nn.Linear.",
        )
    language = look.language
    names, factors = [_name(layer) for layer in layers], [_factor(layer) for layer in layers]
    left = _MARGIN + max(text_width(n) for n in (*names, phrase("layer", language))) + 16.0
    right = left + _BARS + _NUMBER + 16.0
    axis = _axis([layer[key] for layer in layers for key in ("weight", "gradient")])
    bottom = _TOP + _ROW * len(layers)
    legend = [(phrase("rms-weight", language), "forward"), (phrase("rms-gradient", language), "gradient")]
    legend.append((phrase("rms", language), "soft"))
    heads = ((_MARGIN, phrase("layer", language)), (right, phrase("factor", language)))
    shapes = [*legend_shapes(legend, _MARGIN, 16.0, 1e9)[0], *(text(x, 42.0, words, "small soft start") for x, words in heads)]
    shapes += _grid(axis, left, bottom)
    for k, (name, factor, layer) in enumerate(zip(names, factors, layers, strict=True)):
        y = _TOP + _ROW * (k + 0.5)
        shapes += [text(_MARGIN, y, name, "start"), text(right, y, factor, "small start")]
        shapes += [
            *_bar(axis, left, y - 8.0, layer["weight"], "first"),
            *_bar(axis, left, y + 8.0, layer["gradient"], "second"),
        ]
    widest = max(text_width(t, SMALL_SIZE) for t in (phrase("factor", language), *factors))
    return Drawing(right + widest + _MARGIN, bottom + 30.0, tuple(shapes), phrase("flow", language), look.theme, language)


def _name(layer: Mapping[str, Any]) -> str:
    return f"{layer['name']} · {layer['activation']}" if layer["activation"] else str(layer["name"])


def _axis(values: Sequence[float]) -> Axis:
    """Bars begin well below the smallest number, so that it has one, too."""
    positive = [v for v in values if 0.0 < v < math.inf]
    if not positive:
        return Axis(0.1, 1.0, log=True)
    axis = log_axis(positive)
    return Axis(10.0 ** math.floor(math.log10(axis.low) - 0.2), axis.high, log=True)


def _grid(axis: Axis, left: float, bottom: float) -> list[str]:
    shapes = []
    for value in axis.ticks():
        x = left + _BARS * axis.share(value)
        shapes += [line([(x, _TOP), (x, bottom)], "grid", arrow=False), text(x, bottom + 13.0, label(value), "small soft")]
    return shapes


def _bar(axis: Axis, left: float, y: float, value: float, kind: str) -> list[str]:
    end = _BARS * axis.share(value) if 0.0 < value < math.inf else 0.0
    return [bar(left, y, end, 11.0, kind), text(left + end + 6.0, y, label(value, 3), "small start halo")]


def _factor(layer: Mapping[str, Any]) -> str:
    """How δ changes from the layer after it to this one, as a product."""
    weight, slope = layer["weight_factor"], layer["slope_factor"]
    if math.isnan(weight):
        return "–"
    return f"{label(weight * slope, 3)} = {label(weight, 3)} × {label(slope, 3)}"
