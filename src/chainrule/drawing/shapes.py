"""The few SVG shapes that pictures are made of. Colours are classes, which `picture` gives their meaning in light and dark."""

from __future__ import annotations

import base64
import html
import re
import struct
import zlib
from collections.abc import Iterable, Sequence

import numpy as np

from chainrule.ir import Array

Point = tuple[float, float]
TEXT_SIZE, SMALL_SIZE = 13.0, 11.0
_CHINESE = re.compile("[\u2e80-\u9fff\uff00-\uffef]")
_WIDTHS = {
    letter: width
    for letters, width in (
        ("iljI|'′.,:;", 0.31),
        (" tfr()[]/-⁻ˡ¹²³", 0.39),
        ("…@mWM—", 0.95),
        ("→×·+=−±<>∂wABCDGHNOQRUVXY", 0.75),
    )
    for letter in letters
}


def text(x: float, y: float, words: str, kind: str = "") -> str:
    """A line of text around a point; of the class "start" or "end", from it or up to it."""
    # Programs that choose one font for all of a text need to be told of Chinese.
    kinds = f"zh {kind}".strip() if _CHINESE.search(words) else kind
    return f'<text x="{x:.1f}" y="{y:.1f}"{_class(kinds)}>{html.escape(words)}</text>'


def tag(x: float, y: float, words: str, kind: str = "") -> str:
    """A small line of text on a patch of paper, which hides the lines below it."""
    return box((x, y), (text_width(words, SMALL_SIZE) + 2.0, SMALL_SIZE + 3.0), "paper", 2.0) + text(
        x, y, words, f"small {kind}"
    )


def box(centre: Point, size: Point, kind: str, radius: float = 7.0) -> str:
    """A box with round corners around a point."""
    (x, y), (width, height) = centre, size
    place = f'x="{x - width / 2:.1f}" y="{y - height / 2:.1f}" width="{width:.1f}" height="{height:.1f}"'
    return f'<rect class="{kind}" {place} rx="{radius:.1f}"/>'


def bar(left: float, y: float, width: float, height: float, kind: str) -> str:
    """A bar that begins at `left`, with y in its middle."""
    place = f'x="{left:.1f}" y="{y - height / 2:.1f}" width="{max(width, 1.0):.1f}" height="{height:.1f}"'
    return f'<rect class="{kind}" {place} rx="2"/>'


def dot(x: float, y: float, kind: str, radius: float = 3.0, fill: str | None = None) -> str:
    """A filled circle, in the colour `fill` or in that of its class."""
    colour = f' style="fill:{fill}"' if fill else ""
    return f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}"{colour}/>'


def line(points: Sequence[Point], kind: str = "edge", *, arrow: bool = True, width: float | None = None) -> str:
    """A line through points, with rounded corners."""
    end = ' marker-end="url(#arrow)"' if arrow else ""
    thick = f' style="stroke-width:{width:.2f}"' if width is not None else ""
    return f'<path class="{kind}" d="{" ".join(_rounded(points))}"{end}{thick}/>'


def polyline(points: Sequence[Point], kind: str) -> str:
    """A line through many points, with sharp corners."""
    return f'<polyline class="{kind}" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in points)}"/>'


def image(left: float, top: float, width: float, height: float, pixels: Array) -> str:
    """Pixels (height, width, 1, 3 or 4), uint8, stretched over a rectangle."""
    place = f'x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}"'
    return f'<image {place} preserveAspectRatio="none" href="{png_data(pixels)}"/>'


def png_data(pixels: Array) -> str:
    """A data address of a PNG picture.

    Args:
        pixels: uint8 (height, width, channels): grey, RGB, or RGB with opacity.
    """
    height, width, channels = pixels.shape
    rows = np.ascontiguousarray(pixels).reshape(height, width * channels)
    # A PNG row begins with the number of its filter, 0 for none.
    data = zlib.compress(np.concatenate([np.zeros((height, 1), np.uint8), rows], axis=1).tobytes(), 9)
    header = struct.pack(">IIBBBBB", width, height, 8, {1: 0, 3: 2, 4: 6}[channels], 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(k, c) for k, c in ((b"IHDR", header), (b"IDAT", data), (b"IEND", b"")))
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _class(kind: str) -> str:
    return f' class="{kind}"' if kind else ""


def _rounded(points: Sequence[Point], radius: float = 6.0) -> Iterable[str]:
    yield f"M{points[0][0]:.1f},{points[0][1]:.1f}"
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        a, b = _towards(corner, before, radius), _towards(corner, after, radius)
        yield f"L{a[0]:.1f},{a[1]:.1f} Q{corner[0]:.1f},{corner[1]:.1f} {b[0]:.1f},{b[1]:.1f}"
    yield f"L{points[-1][0]:.1f},{points[-1][1]:.1f}"


def _towards(start: Point, end: Point, distance: float) -> Point:
    dx, dy = end[0] - start[0], end[1] - start[1]
    length = (dx * dx + dy * dy) ** 0.5 or 1.0
    share = min(distance, length / 2) / length
    return start[0] + dx * share, start[1] + dy * share


def text_width(words: str, size: float = TEXT_SIZE) -> float:
    """About how wide a line of text is; Chinese characters are as wide as high."""
    return size * sum(1.0 if "\u2e80" <= c <= "\uffef" else _WIDTHS.get(c, 0.63) for c in words)
