"""Curves and points as SVG that takes its colours from the page, and pixels as a picture."""

from __future__ import annotations

import base64
import math
import struct
import zlib
from collections.abc import Sequence

import numpy as np

from chainrule.ir import Array

Point = tuple[float, float]
Range = tuple[float, float]
_WIDTH, _HEIGHT = 300.0, 190.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 50.0, 12.0, 10.0, 26.0


def curves(lines: Sequence[Sequence[Point]], *, whole: bool = True) -> str:
    """Up to two lines over a common axis; points that are not finite are left out.

    Args:
        lines: (x, y) of each line, of which at least one is finite.
        whole: whether x is a whole number.
    """
    finite = [[p for p in line if math.isfinite(p[1])] for line in lines]
    points = [p for line in finite for p in line]
    xs, ys = _spread([p[0] for p in points], 0.0), _spread([p[1] for p in points], 0.04)
    shapes = []
    for line, kind in zip(finite, ("first", "second"), strict=False):
        places = [_place(p, xs, ys) for p in line]
        if len(places) == 1:
            shapes.append(f'<circle class="{kind} dot" cx="{places[0][0]:.1f}" cy="{places[0][1]:.1f}" r="4"/>')
        elif places:
            shapes.append(f'<polyline class="{kind}" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in places)}"/>')
    return _chart(xs, ys, shapes, whole=whole)


def scatter(points: Sequence[Point], guide: Sequence[Point]) -> str:
    """Points, and a dashed line to compare them with."""
    both = [*points, *guide]
    xs, ys = _spread([p[0] for p in both], 0.03), _spread([p[1] for p in both], 0.03)
    places = [_place(p, xs, ys) for p in points]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in (_place(p, xs, ys) for p in guide))
    dots = "".join(f'<circle class="point" cx="{x:.1f}" cy="{y:.1f}" r="3"/>' for x, y in places)
    return _chart(xs, ys, [f'<polyline class="second" points="{line}"/>', dots], whole=False)


def _spread(values: Sequence[float], margin: float) -> Range:
    low, high = min(values), max(values)
    if low == high:
        half = abs(low) / 2 or 0.5
        return low - half, high + half
    return low - margin * (high - low), high + margin * (high - low)


def _place(point: Point, xs: Range, ys: Range) -> Point:
    across = (point[0] - xs[0]) / (xs[1] - xs[0])
    up = (point[1] - ys[0]) / (ys[1] - ys[0])
    return _LEFT + across * (_WIDTH - _LEFT - _RIGHT), _HEIGHT - _BOTTOM - up * (_HEIGHT - _TOP - _BOTTOM)


def ticks(low: float, high: float, most: int = 5, *, whole: bool = False) -> list[float]:
    """Round numbers from low to high, at most `most` steps apart from each other by 1, 2 or 5 times a power of ten."""
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * k for k in (1, 2, 5, 10) if power * k >= rough * (1 - 1e-9))
    step = max(step, 1.0) if whole else step
    first = math.ceil(low / step - 1e-9)
    return [k * step for k in range(first, math.floor(high / step + 1e-9) + 1)]


def _chart(xs: Range, ys: Range, shapes: Sequence[str], *, whole: bool) -> str:
    grid = []
    for value in ticks(*ys):
        y = _place((xs[0], value), xs, ys)[1]
        grid.append(f'<line class="axis" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        grid.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{_label(value)}</text>')
    for value in ticks(*xs, whole=whole):
        x = _place((value, ys[0]), xs, ys)[0]
        grid.append(f'<text x="{x:.1f}" y="{_HEIGHT - 8}" text-anchor="middle">{_label(value)}</text>')
    return (
        f'<svg class="chart" viewBox="0 0 {_WIDTH:.0f} {_HEIGHT:.0f}" role="img" aria-hidden="true">'
        f"{''.join(grid)}{''.join(shapes)}</svg>"
    )


def _label(value: float) -> str:
    return f"{value:.4g}".replace("e+0", "e").replace("e-0", "e-").replace("-", "−")


def picture(pixels: Array) -> str:
    """A picture (channels, height, width) of one or three channels as an <img>, from black at its least value to white."""
    low, high = float(pixels.min()), float(pixels.max())
    grey = np.round((pixels - low) * (255.0 / ((high - low) or 1.0))).astype(np.uint8)
    channels, height, width = grey.shape
    rows = np.moveaxis(grey, 0, -1).reshape(height, width * channels)
    # A PNG row begins with the number of its filter, 0 for none.
    data = zlib.compress(np.concatenate([np.zeros((height, 1), np.uint8), rows], axis=1).tobytes())
    header = struct.pack(">IIBBBBB", width, height, 8, 0 if channels == 1 else 2, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(k, c) for k, c in ((b"IHDR", header), (b"IDAT", data), (b"IEND", b"")))
    return f'<img class="pixels" alt="" src="data:image/png;base64,{base64.b64encode(png).decode("ascii")}">'


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
