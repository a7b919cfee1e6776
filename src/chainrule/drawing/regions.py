"""What a network of two inputs answers all over the plane, with the data that it learns from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.backends.reference import REFERENCE
from chainrule.capture import capture
from chainrule.drawing.chart import Area, Axis, label, log_axis, spread
from chainrule.drawing.picture import Drawing, Look
from chainrule.drawing.shapes import SMALL_SIZE, box, dot, image, text, text_width
from chainrule.drawing.words import phrase
from chainrule.errors import DataError, ShapeError
from chainrule.ir import Array
from chainrule.language import Language
from chainrule.layers import final_activation
from chainrule.nn import Module
from chainrule.nn.forward import Forward, inputs_array, numbers
from chainrule.ops.primitive import facts
from chainrule.states import Values

# Paul Tol's "bright" colours, which people with any colour vision tell apart; grey only when they are used up.
CLASS_COLOURS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#bbbbbb")
_LOW, _HIGH = (0x44, 0x77, 0xAA), (0xEE, 0x66, 0x77)
_SIDE = 360.0
_PIXELS = 360
_LEFT, _TOP, _BOTTOM = 46.0, 32.0, 44.0
_MOST_POINTS = 1000
_MOST_CLASSES = 20
_AT_ONCE = 8192  # points


@dataclass(frozen=True)
class _Answers:
    """What a network says at some places.

    Attributes:
        classes: (n,) its class, or None where it gives numbers.
        strengths: (n,) from 0, no surer than chance, to 1; or the numbers.
        count: of classes; 0 for numbers.
    """

    classes: Array | None
    strengths: Array
    count: int


@dataclass(frozen=True)
class Plane:
    """What decision regions are drawn over: points in units of their own, and how a network reads and answers them.

    Attributes:
        names: of the two axes.
        points: (n, 2).
        targets: (n,), class numbers, or numbers in the unit of the answers.
        inputs: from points (n, 2) to what the network reads.
        numbers: from outputs (n,) of a network that gives numbers to their unit.
        log: whether an axis is logarithmic.
    """

    names: tuple[str, str]
    points: Array
    targets: Array
    inputs: Callable[[Array], Array] = lambda points: points
    numbers: Callable[[Array], Array] = lambda outputs: outputs
    log: tuple[bool, bool] = (False, False)


def regions_drawing(model: Module, X: Any, y: Any, look: Look, classes: Sequence[str] | None = None) -> Drawing:
    """Draw the class that a network gives to every place, the stronger the surer, or its number; and the data.

    Args:
        model: takes (n, 2). Of one output it gives a probability (after a sigmoid) or its logit if all y are 0 or 1, else a
            number; of several the class is the largest.
        X: (n, 2).
        y: (n,) or (n, 1): classes 0, 1, …, or numbers.
        classes: names of the classes.
        look: see `draw`.

    Raises:
        ShapeError, DataError: data that does not fit.
    """
    x, t = _data(model, X, y)
    return plane_drawing(model, Plane(("x₁", "x₂"), x, t), look, classes)


def plane_drawing(model: Module, plane: Plane, look: Look, classes: Sequence[str] | None = None) -> Drawing:
    """As `regions_drawing`, for points in other units than those that the network reads.

    Raises:
        DataError: targets that are not classes of the network.
    """
    x, t = plane.points, plane.targets
    xs, ys = (_axis(x[:, k], log=plane.log[k]) for k in (0, 1))
    places = _places(xs, ys).astype(x.dtype)
    binary = bool(np.isin(t, (0.0, 1.0)).all())
    everywhere, here = (_answers(model, plane, points, binary) for points in (places, x))
    area = Area(_left(ys), _TOP, _SIDE, _SIDE, xs, ys)
    right, bottom = area.left + _SIDE, _TOP + _SIDE
    chosen = np.arange(len(x))[:: -(-len(x) // _MOST_POINTS)]
    if everywhere.classes is None:
        limits = _limits(everywhere.strengths, t)
        pixels, (legend, width) = _heat(everywhere.strengths, limits), _scale(limits, right + 22.0)
        dots = [_point(area, x[k], _mixed(_where(t[k], limits)), wrong=False) for k in chosen]
        title = phrase("predictions", look.language)
    else:
        _check_classes(t, everywhere.count)
        assert here.classes is not None
        wrong = here.classes != t
        pixels = _coloured(everywhere.classes, everywhere.strengths)
        dots = [_point(area, x[k], _colour(int(t[k])), wrong=bool(wrong[k])) for k in chosen]
        names = classes or [phrase("class", look.language, number=k) for k in range(everywhere.count)]
        legend, width = _legend(names[:_MOST_CLASSES], int(wrong.sum()), right + 22.0, look.language)
        title = phrase("regions", look.language)
    frame = box((area.left + _SIDE / 2, _TOP + _SIDE / 2), (_SIDE, _SIDE), "frame", 0.0)
    across = text(area.left + _SIDE / 2, bottom + 30.0, plane.names[0], "soft")
    upwards = text(area.left, _TOP - 16.0, plane.names[1], "soft start")
    background = image(area.left, _TOP, _SIDE, _SIDE, pixels.reshape(_PIXELS, _PIXELS, 4))
    shapes = (*area.grid(down=True), background, frame, *dots, *legend, across, upwards)
    return Drawing(right + width + 34.0, bottom + _BOTTOM, shapes, title, look.theme, look.language)


def _axis(values: Array, *, log: bool) -> Axis:
    numbers = values.tolist()
    return log_axis(numbers) if log and min(numbers) > 0.0 else spread(numbers, 0.08)


def _left(axis: Axis) -> float:
    """Room for the numbers on the left."""
    return max(_LEFT, 22.0 + max((text_width(label(value), SMALL_SIZE) for value in axis.ticks()), default=0.0))


def _data(model: Module, X: Any, y: Any) -> tuple[Array, Array]:
    x = inputs_array(model, X)
    if x.ndim != 2 or x.shape[1] != 2:
        raise ShapeError(
            f"decision regions were asked for inputs of shape {x.shape}",
            "a plane has two axes: X must be (n, 2)",
            "Draw the network with draw(model), or train one on two inputs.",
        )
    t = numbers(y, "y").astype(np.float64)
    if t.size != len(x):
        raise ShapeError(f"y has the shape {t.shape}", f"X has {len(x)} samples", "Give one target per sample.")
    return x, t.reshape(-1)


def _check_classes(t: Array, count: int) -> None:
    outside = t[(t < 0) | (t >= count) | (t != np.floor(t))]
    if len(outside):
        raise DataError(f"y holds {outside[0]:g}", f"the network tells classes 0 to {count - 1} apart", "Encode the classes.")


def _places(xs: Axis, ys: Axis) -> Array:
    """The middles of all pixels, row by row from the top."""
    middles = (np.arange(_PIXELS) + 0.5) / _PIXELS
    across, down = np.meshgrid(xs.values(middles), ys.values(1.0 - middles))
    return np.stack([across, down], axis=-1).reshape(-1, 2)


def _answers(model: Module, plane: Plane, points: Array, binary: bool) -> _Answers:
    """What the network says at the points; a part of them at a time, as each has an output per class."""
    network = Forward(model, Values(REFERENCE))
    parts = [_answers_of(network, plane, points[k : k + _AT_ONCE], binary) for k in range(0, len(points), _AT_ONCE)]
    classes = None if parts[0].classes is None else np.concatenate([part.classes for part in parts])
    return _Answers(classes, np.concatenate([part.strengths for part in parts]), parts[0].count)


def _answers_of(network: Forward, plane: Plane, points: Array, binary: bool) -> _Answers:
    inputs = inputs_array(network.model, plane.inputs(points))
    outputs = network.predict(inputs).reshape(len(points), -1).astype(np.float64)
    probabilities = _gives_probabilities(network.model, inputs)
    if outputs.shape[1] == 1 and not binary:
        return _Answers(None, plane.numbers(outputs[:, 0]), 0)
    with np.errstate(over="ignore"):
        if outputs.shape[1] == 1:
            p = outputs[:, 0] if probabilities else 1.0 / (1.0 + np.exp(-outputs[:, 0]))
            return _Answers((p > 0.5).astype(int), np.abs(2.0 * p - 1.0), 2)
        shifted = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    shares = outputs if probabilities else shifted / shifted.sum(axis=1, keepdims=True)
    count = outputs.shape[1]
    return _Answers(outputs.argmax(axis=1), np.clip((shares.max(axis=1) * count - 1.0) / (count - 1.0), 0.0, 1.0), count)


def _gives_probabilities(model: Module, inputs: Array) -> bool:
    last = final_activation(capture(model, [((1, *inputs.shape[1:]), inputs.dtype, "x")]).graph.outputs[0])
    activation = None if last is None else facts(last).activation
    return activation is not None and activation.gives_probabilities


# -------------------------------------------------------------------------------------------- colours
def _colour(k: int) -> str:
    return CLASS_COLOURS[k % len(CLASS_COLOURS)]


def _coloured(classes: Array, strengths: Array) -> Array:
    """RGB and opacity: the colour of the class, the stronger the surer."""
    table = np.array([[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in CLASS_COLOURS], np.uint8)
    opacity = np.round(255 * (0.2 + 0.3 * strengths))
    return np.concatenate([table[classes % len(table)], opacity[:, None].astype(np.uint8)], axis=1)


def _limits(values: Array, t: Array) -> tuple[float, float]:
    both = np.concatenate([values[np.isfinite(values)], t])
    low, high = float(both.min()), float(both.max())
    return (low, high) if low < high else (low - 0.5, high + 0.5)


def _where(value: float, limits: tuple[float, float]) -> float:
    return float(np.clip((value - limits[0]) / (limits[1] - limits[0]), 0.0, 1.0))


def _heat(values: Array, limits: tuple[float, float]) -> Array:
    """Blue for low, red for high, nothing between: RGB and opacity."""
    share = np.clip((np.nan_to_num(values) - limits[0]) / (limits[1] - limits[0]), 0.0, 1.0)
    colours = np.where((share < 0.5)[:, None], np.array(_LOW, np.uint8), np.array(_HIGH, np.uint8))
    opacity = np.round(255 * 0.85 * np.abs(2.0 * share - 1.0))
    return np.concatenate([colours, opacity[:, None]], axis=1).astype(np.uint8)


def _mixed(share: float) -> str:
    """From blue over light grey to red."""
    end, middle = _LOW if share < 0.5 else _HIGH, 0xD8
    weight = abs(2.0 * share - 1.0)
    return "#" + "".join(f"{round(middle + weight * (c - middle)):02x}" for c in end)


# -------------------------------------------------------------------------------------------- shapes
def _point(area: Area, x: Array, colour: str, *, wrong: bool) -> str:
    across, up = area.place((float(x[0]), float(x[1])))
    return dot(across, up, "point wrong" if wrong else "point", 3.6, colour)


def _legend(names: Sequence[str], wrong: int, left: float, language: Language) -> tuple[list[str], float]:
    """A dot and a name per class, and how many points lie in the region of another; and how wide that is."""
    shapes = []
    for k, name in enumerate(names):
        y = _TOP + 10.0 + 20.0 * k
        shapes += [dot(left, y, "point", 5.0, _colour(k)), text(left + 12.0, y, name, "small start")]
    said = phrase("misclassified", language, count=wrong)
    y = _TOP + 18.0 + 20.0 * len(names)
    shapes += [dot(left, y, "point wrong hollow", 4.2), text(left + 12.0, y, said, "small start")]
    return shapes, 34.0 + max(text_width(n, SMALL_SIZE) for n in (*names, said))


def _scale(limits: tuple[float, float], left: float) -> tuple[list[str], float]:
    """The colours of the numbers from high to low; and how wide that is."""
    column = _heat(np.linspace(limits[1], limits[0], 128), limits).reshape(128, 1, 4)
    shapes = [image(left, _TOP, 14.0, _SIDE, column)]
    values = Axis(*limits).ticks()
    for value in values:
        y = _TOP + _SIDE * (1.0 - _where(value, limits))
        shapes.append(text(left + 20.0, y, label(value), "small soft start"))
    return shapes, 22.0 + max(text_width(label(value), SMALL_SIZE) for value in values)
