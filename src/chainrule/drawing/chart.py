"""Axes, curves and points."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from chainrule.derivations import number
from chainrule.drawing.picture import Drawing, Look
from chainrule.drawing.shapes import SMALL_SIZE, Point, dot, line, polyline, tag, text, text_width
from chainrule.ir import Array
from chainrule.ops.written import superscript

_SIZE = (400.0, 250.0)  # of one chart, with its words
_LEFT, _RIGHT, _TOP, _BOTTOM = 58.0, 14.0, 34.0, 40.0


@dataclass(frozen=True)
class Axis:
    """The numbers along one side of a chart, from low to high; by their logarithms if `log`."""

    low: float
    high: float
    log: bool = False

    def share(self, value: float) -> float:
        """Where a value lies, from 0 to 1."""
        low, high, v = (math.log10(n) for n in (self.low, self.high, value)) if self.log else (self.low, self.high, value)
        return (v - low) / (high - low)

    def values(self, shares: Array) -> Array:
        """The numbers that lie there, from 0 to 1."""
        if self.log:
            return 10.0 ** Axis(math.log10(self.low), math.log10(self.high)).values(shares)
        return self.low + shares * (self.high - self.low)

    def ticks(self, most: int = 5, *, whole: bool = False) -> list[float]:
        """Round numbers on it."""
        if not self.log:
            return ticks(self.low, self.high, most, whole=whole)
        powers = ticks(math.log10(self.low), math.log10(self.high), most, whole=True)
        if len(powers) > 2:
            return [10.0**p for p in powers]
        decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        steps = [k * 10.0**p for p in decades for k in (1, 2, 5)]
        return [s for s in steps if self.low <= s <= self.high]


@dataclass(frozen=True)
class Area:
    """The rectangle that a chart's data lie in, with its axes."""

    left: float
    top: float
    width: float
    height: float
    x: Axis
    y: Axis

    def place(self, point: Point) -> Point:
        """Where a point of the data is drawn."""
        return self.left + self.x.share(point[0]) * self.width, self.top + (1.0 - self.y.share(point[1])) * self.height

    def places(self, points: Iterable[Point]) -> list[Point]:
        """Where points are drawn."""
        return [self.place(p) for p in points]

    def grid(self, *, whole: bool = False, down: bool = False) -> list[str]:
        """Lines with numbers: across for y, and for x numbers alone, or lines down as well."""
        right, bottom, shapes = self.left + self.width, self.top + self.height, []
        for value in self.y.ticks():
            y = self.place((self.x.low, value))[1]
            shapes.append(line([(self.left, y), (right, y)], "grid", arrow=False))
            shapes.append(text(self.left - 7.0, y, label(value), "small soft end"))
        for value in self.x.ticks(whole=whole):
            x = self.place((value, self.y.low))[0]
            if down:
                shapes.append(line([(x, self.top), (x, bottom)], "grid", arrow=False))
            shapes.append(text(x, bottom + 13.0, label(value), "small soft"))
        return shapes


@dataclass(frozen=True)
class Line:
    """Points in one colour: "first" or "second"; joined, or apart."""

    points: Sequence[Point]
    kind: str
    joined: bool = True


@dataclass(frozen=True)
class Panel:
    """A chart.

    Attributes:
        lines: of which at least one has a point that is finite; others are left out.
        title: above it, on the left.
        across: what x is.
        whole: whether x is a whole number.
        keys: what the lines are, with their kinds.
        mark: an x to be marked, with what to write there.
        log: whether y is drawn by its logarithm.
    """

    lines: Sequence[Line]
    title: str
    across: str
    whole: bool = False
    keys: Sequence[tuple[str, str]] = ()
    mark: tuple[float, str] | None = None
    log: bool = False

    def shapes(self, left: float, top: float, width: float, height: float) -> list[str]:
        """The chart in a rectangle."""
        lines = [[p for p in each.points if math.isfinite(p[0]) and math.isfinite(p[1])] for each in self.lines]
        every = [p for each in lines for p in each]
        x = spread([p[0] for p in every], 0.0 if self.whole else 0.03)
        y = log_axis([p[1] for p in every]) if self.log else spread([p[1] for p in every], 0.04)
        area = Area(left + _LEFT, top + _TOP, width - _LEFT - _RIGHT, height - _TOP - _BOTTOM, x, y)
        middle = area.left + area.width / 2
        shapes = [*area.grid(whole=self.whole), text(area.left, top + 15.0, self.title, "start strong")]
        shapes.append(text(middle, top + height - 12.0, self.across, "small soft"))
        shapes += self._keys(area.left + area.width, top + 15.0)
        if self.mark is not None:
            shapes += _mark(area, *self.mark)
        for each, points in zip(self.lines, lines, strict=True):
            places = area.places(points)
            if not each.joined:
                shapes += [dot(*p, f"{each.kind} point scattered") for p in places]
            elif len(places) == 1:
                shapes.append(dot(*places[0], f"{each.kind} point", 4.0))
            elif places:
                shapes.append(polyline(places, f"curve {each.kind}"))
        return shapes

    def _keys(self, right: float, y: float) -> list[str]:
        shapes: list[str] = []
        for words, kind in reversed(self.keys):
            shapes.append(text(right, y, words, "small soft end"))
            right -= text_width(words, SMALL_SIZE)
            shapes.append(line([(right - 26.0, y), (right - 6.0, y)], f"curve {kind}", arrow=False))
            right -= 40.0
        return shapes


def panels_drawing(panels: Sequence[Panel], title: str, look: Look, note: str = "") -> Drawing:
    """Charts side by side, two to a row, with a line of text below them."""
    across = min(len(panels), 2)
    width, height = _SIZE
    shapes: list[str] = []
    for k, panel in enumerate(panels):
        shapes += panel.shapes(8.0 + (k % across) * width, 6.0 + (k // across) * height, width - 8.0, height)
    bottom = -(-len(panels) // across) * height + 10.0
    if note:
        shapes.append(text(8.0 + _LEFT, bottom + 8.0, note, "small soft start"))
    return Drawing(across * width + 8.0, bottom + (24.0 if note else 0.0), tuple(shapes), title, look.theme, look.language)


def _mark(area: Area, x: float, words: str) -> list[str]:
    """A dotted line at an x, with words on the side that has more room."""
    across = area.place((x, area.y.low))[0]
    room = text_width(words, SMALL_SIZE) / 2 + 6.0
    said = tag(across + (room if area.x.share(x) < 0.5 else -room), area.top + 8.0, words, "soft")
    return [line([(across, area.top), (across, area.top + area.height)], "mark", arrow=False), *([said] if words else [])]


# -------------------------------------------------------------------------------------------- numbers along an axis
def spread(values: Sequence[float], margin: float) -> Axis:
    """An axis that holds the values, with a share of their range as margin on both sides."""
    low, high = min(values), max(values)
    if low == high:
        half = abs(low) / 2 or 0.5
        return Axis(low - half, high + half)
    return Axis(low - margin * (high - low), high + margin * (high - low))


def log_axis(values: Sequence[float]) -> Axis:
    """A logarithmic axis that holds the positive ones of the values, and a little more."""
    positive = [v for v in values if 0.0 < v < math.inf]
    low, high = math.log10(min(positive)), math.log10(max(positive))
    margin = 0.05 * (high - low) or 0.3
    return Axis(10.0 ** (low - margin), 10.0 ** (high + margin), log=True)


def ticks(low: float, high: float, most: int = 5, *, whole: bool = False) -> list[float]:
    """Round numbers from low to high, at most `most` steps apart from each other by 1, 2 or 5 times a power of ten."""
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * k for k in (1, 2, 5, 10) if power * k >= rough * (1 - 1e-9))
    step = max(step, 1.0) if whole else step
    first = math.ceil(low / step - 1e-9)
    return [k * step for k in range(first, math.floor(high / step + 1e-9) + 1)]


def label(value: float, digits: int = 4) -> str:
    """A number beside an axis or a bar: small ones with a power of ten."""
    if 0.0 < abs(value) < 1e-4:
        exponent = math.floor(math.log10(abs(value)) + 1e-9)
        mantissa = number(value / 10.0**exponent, digits).text
        text = f"{mantissa}×10{superscript(str(exponent))}".removeprefix("1×")
    else:
        text = number(value, digits).text
    return text.replace("-", "−")
