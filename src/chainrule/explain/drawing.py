"""A picture as SVG, and the few shapes that pictures of graphs are made of."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from chainrule.errors import ArgumentError, explain

Theme = Literal["auto", "light", "dark"]
Point = tuple[float, float]

_LIGHT = {
    "paper": "#ffffff", "ink": "#1b1f24", "soft": "#59636e", "line": "#8c959f", "leaf": "#eef4fb", "leaf-line": "#5b8fc9",
    "op": "#f5f7f9", "op-line": "#8c959f", "out": "#fdf3e4", "out-line": "#c98a2b", "forward": "#0a58a8", "gradient": "#b4371f",
    "positive": "#0a58a8", "negative": "#b4371f",
}  # fmt: skip
_DARK = {
    "paper": "#15181c", "ink": "#e8eaed", "soft": "#9aa4ae", "line": "#6b7580", "leaf": "#1b2a3a", "leaf-line": "#5b8fc9",
    "op": "#22272e", "op-line": "#6b7580", "out": "#33291a", "out-line": "#c98a2b", "forward": "#7ab7f5", "gradient": "#ff9a85",
    "positive": "#7ab7f5", "negative": "#ff9a85",
}  # fmt: skip
_FONT = '"Noto Sans","DejaVu Sans",system-ui,"PingFang SC","Microsoft YaHei","Noto Sans CJK SC",sans-serif'
TEXT_SIZE = 13.0


@dataclass(frozen=True)
class Drawing:
    """A picture; a notebook shows it by itself.

    Attributes:
        width, height: in pixels.
        shapes: SVG elements.
        title: read out in place of the picture.
        theme: "auto" follows the reader's light or dark setting.
    """

    width: float
    height: float
    shapes: tuple[str, ...]
    title: str
    theme: Theme = "auto"

    def to_svg(self) -> str:
        """As an SVG document that needs nothing else."""
        size = f'width="{self.width:.0f}" height="{self.height:.0f}" viewBox="0 0 {self.width:.0f} {self.height:.0f}"'
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">\n<title>{html.escape(self.title)}</title>\n'
            f"<style>{_style(self.theme)}</style>\n"
            '<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
            '<path class="head" d="M0,0.8 L7.2,4 L0,7.2 z"/></marker></defs>\n'
            f'<rect class="paper" width="100%" height="100%"/>\n{chr(10).join(self.shapes)}\n</svg>\n'
        )

    def save(self, path: str | Path) -> None:
        """Write to a .svg file, or to .html, a page that shows it.

        Raises:
            ArgumentError: another ending.
        """
        file = Path(path)
        if file.suffix not in (".svg", ".html"):
            raise ArgumentError(
                explain(f"the file {file.name!r} was named", "pictures are written as .svg or .html", "Change the ending.")
            )
        svg = self.to_svg()
        head = f'<!doctype html>\n<meta charset="utf-8">\n<title>{html.escape(self.title)}</title>\n'
        page = f'{head}<body style="margin: 0">{svg}</body>\n'
        file.write_text(svg if file.suffix == ".svg" else page, encoding="utf-8")

    def _repr_html_(self) -> str:
        # Notebooks strip inline SVG from pages they do not trust; an image with the data inside passes.
        data = base64.b64encode(self.to_svg().encode()).decode("ascii")
        return f'<img alt="{html.escape(self.title)}" src="data:image/svg+xml;base64,{data}">'


def check_theme(theme: str) -> None:
    """Refuse an unknown theme.

    Raises:
        ArgumentError: naming the known ones.
    """
    if theme not in get_args(Theme):
        raise ArgumentError(
            explain(f"the theme {theme!r} was asked for", f"there are {', '.join(get_args(Theme))}", "Choose one of them.")
        )


def _style(theme: Theme) -> str:
    colours = _DARK if theme == "dark" else _LIGHT
    rules = [_variables("svg", colours)]
    if theme == "auto":
        rules.append(f"@media (prefers-color-scheme: dark) {{ {_variables('svg', _DARK)} }}")
    rules += [
        f"text {{ font: {TEXT_SIZE:.0f}px {_FONT}; fill: var(--ink); text-anchor: middle; dominant-baseline: central; }}",
        ".small { font-size: 11px; } .soft { fill: var(--soft); } .start { text-anchor: start; } .end { text-anchor: end; }",
        ".forward { fill: var(--forward); } .gradient { fill: var(--gradient); } .paper { fill: var(--paper); }",
        ".edge { fill: none; stroke: var(--line); stroke-width: 1.3; } .head { fill: var(--line); }",
        ".positive { stroke: var(--positive); } .negative { stroke: var(--negative); }",
        ".halo { paint-order: stroke; stroke: var(--paper); stroke-width: 4px; stroke-linejoin: round; }",
    ]
    rules += [
        f".{kind} {{ fill: var(--{kind}); stroke: var(--{kind}-line); stroke-width: 1.3; }}" for kind in ("leaf", "op", "out")
    ]
    return " ".join(rules)


def _variables(selector: str, colours: dict[str, str]) -> str:
    return f"{selector} {{ {' '.join(f'--{k}: {v};' for k, v in colours.items())} }}"


# -------------------------------------------------------------------------------------------- shapes
def text(x: float, y: float, words: str, kind: str = "") -> str:
    """A line of text around a point."""
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}">{html.escape(words)}</text>'


def box(centre: Point, size: Point, kind: str, radius: float = 7.0) -> str:
    """A box with round corners around a point."""
    (x, y), (width, height) = centre, size
    place = f'x="{x - width / 2:.1f}" y="{y - height / 2:.1f}" width="{width:.1f}" height="{height:.1f}"'
    return f'<rect class="{kind}" {place} rx="{radius:.1f}"/>'


def line(points: Sequence[Point], kind: str = "edge", *, arrow: bool = True, width: float | None = None) -> str:
    """A line through points, with rounded corners."""
    end = ' marker-end="url(#arrow)"' if arrow else ""
    thick = f' style="stroke-width:{width:.2f}"' if width is not None else ""
    return f'<path class="{kind}" d="{" ".join(_rounded(points))}"{end}{thick}/>'


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
    return size * sum(1.0 if "\u2e80" <= c <= "\uffef" else 0.34 if c in "., ′'|()[]" else 0.6 for c in words)
