"""`Drawing`: a picture as SVG, PNG or a page, in light and dark."""

from __future__ import annotations

import base64
import html
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

from chainrule.drawing.shapes import SMALL_SIZE, TEXT_SIZE
from chainrule.errors import ArgumentError, MissingDependency, missing_dependency
from chainrule.fileio import write_file
from chainrule.language import Language

Theme = Literal["auto", "light", "dark"]


@dataclass(frozen=True)
class Look:
    """What every picture has to know: its colours, its language, and the significant digits of its numbers."""

    theme: Theme = "auto"
    language: Language = "en"
    precision: int = 4


_LIGHT = {
    "paper": "#ffffff", "ink": "#1b1f24", "soft": "#59636e", "line": "#8c959f", "grid": "#e3e7eb", "leaf": "#eef4fb",
    "leaf-line": "#5b8fc9", "op": "#f5f7f9", "op-line": "#8c959f", "out": "#fdf3e4", "out-line": "#c98a2b", "blue": "#0a58a8",
    "red": "#b4371f",
}  # fmt: skip
_DARK = {
    "paper": "#15181c", "ink": "#e8eaed", "soft": "#9aa4ae", "line": "#6b7580", "grid": "#2b3138", "leaf": "#1b2a3a",
    "leaf-line": "#5b8fc9", "op": "#22272e", "op-line": "#6b7580", "out": "#33291a", "out-line": "#c98a2b", "blue": "#7ab7f5",
    "red": "#ff9a85",
}  # fmt: skip
# The renderer of PNG pictures takes "sans-serif" for Arial, so fonts that come with Linux are named.
_FONT = '"DejaVu Sans","Noto Sans","Liberation Sans",system-ui,"Noto Sans CJK SC",sans-serif'
_CHINESE_FONT = (
    '"PingFang SC","Microsoft YaHei","Noto Sans CJK SC","Noto Sans SC","WenQuanYi Micro Hei",'
    '"DejaVu Sans","Liberation Sans",sans-serif'
)
_SIZES_AND_LINES = (
    f"text {{ font: {TEXT_SIZE:.0f}px {_FONT}; text-anchor: middle; dominant-baseline: central; }} "
    f".zh {{ font-family: {_CHINESE_FONT}; }} "
    f".small {{ font-size: {SMALL_SIZE:.0f}px; }} .strong {{ font-weight: 600; }} "
    ".start { text-anchor: start; } .end { text-anchor: end; } "
    ".edge, .curve, .mark, .grid, .frame { fill: none; } .edge { stroke-width: 1.3; } .grid, .frame { stroke-width: 1; } "
    ".curve { stroke-width: 2; stroke-linejoin: round; } .curve.second { stroke-dasharray: 5 3; } "
    ".mark { stroke-width: 1; stroke-dasharray: 2 3; } .leaf, .op, .out { stroke-width: 1.3; } "
    ".halo { paint-order: stroke; stroke-width: 4px; stroke-linejoin: round; } "
    ".point { stroke-width: 0.8; } .point.wrong { stroke-width: 1.8; }"
)
_MOST_PIXELS = 32_000  # along one side of a PNG; many programs refuse more
_UNASSIGNED = "\U0010fffd"  # for private use: no font has it


@dataclass(frozen=True)
class Drawing:
    """A picture; a notebook shows it by itself.

    Attributes:
        width, height: in pixels.
        shapes: SVG elements.
        title: read out in place of the picture.
        theme: "auto" follows the reader's light or dark setting.
        language: of the words in it.
    """

    width: float
    height: float
    shapes: tuple[str, ...] = field(repr=False)
    title: str
    theme: Theme = "auto"
    language: Language = "en"

    def to_svg(self) -> str:
        """As an SVG document that needs nothing else."""
        size = f'width="{self.width:.0f}" height="{self.height:.0f}" viewBox="0 0 {self.width:.0f} {self.height:.0f}"'
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" lang="{self._tag()}">\n'
            f"<title>{html.escape(self.title)}</title>\n<style>{_style(self.theme)}</style>\n"
            '<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
            '<path class="head" d="M0,0.8 L7.2,4 L0,7.2 z"/></marker></defs>\n'
            f'<rect class="paper" width="100%" height="100%"/>\n{chr(10).join(self.shapes)}\n</svg>\n'
        )

    def to_png(self, scale: float = 2.0) -> bytes:
        """As a PNG picture; light, if the theme is "auto".

        Args:
            scale: pixels of the PNG per pixel of the drawing; 2 is sharp on most screens and in print. It is less where a side
                would have more than 32,000 pixels.

        Raises:
            MissingDependency: resvg-py, which renders it, is not installed, or no font that has the letters.
            ArgumentError: a scale that leaves no pixel.
        """
        if not min(self.width, self.height) * scale >= 1.0:
            raise ArgumentError(f"the scale {scale:g} was given", "at that scale the picture has no pixels", "Use 1, 2 or 3.")
        zoom = min(scale, _MOST_PIXELS / max(self.width, self.height))
        renderer = _resvg()
        svg = replace(self, theme="light" if self.theme == "auto" else self.theme).to_svg()
        _check_fonts(chinese='class="zh' in svg)
        rendered: bytes = renderer.svg_to_bytes(svg_string=svg, zoom=zoom, languages=[self._tag()])
        return rendered

    def to_html(self) -> str:
        """As a page that shows it."""
        return (
            f'<!doctype html>\n<html lang="{self._tag()}">\n<head>\n<meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f"<title>{html.escape(self.title)}</title>\n"
            f"<style>body {{ margin: 0; }} svg {{ display: block; }} {_themed(self.theme, _ground)}</style>\n</head>\n"
            f"<body>{self.to_svg()}</body>\n</html>\n"
        )

    def save(self, path: str | Path) -> None:
        """Write to a .svg, .png or .html file.

        Raises:
            ArgumentError: another ending.
            OutputError: the file cannot be written.
            MissingDependency: see `to_png`.
        """
        formats: dict[str, Callable[[], str | bytes]] = {".svg": self.to_svg, ".png": self.to_png, ".html": self.to_html}
        ending, name = Path(path).suffix.lower(), Path(path).name
        if ending not in formats:
            raise ArgumentError(
                f"the file {name!r} was named", "pictures are written as .svg, .png or .html", "Change the ending."
            )
        content = formats[ending]()
        write_file(path, content.encode() if isinstance(content, str) else content)

    def to_img(self, kind: str = "") -> str:
        """As an HTML element that holds the picture: its style sheet stays inside, and pages that strip SVG let it pass.

        Args:
            kind: the class of the element.
        """
        data = base64.b64encode(self.to_svg().encode()).decode("ascii")
        name = f' class="{kind}"' if kind else ""
        size = f'width="{self.width:.0f}" height="{self.height:.0f}"'
        return f'<img{name} alt="{html.escape(self.title)}" {size} src="data:image/svg+xml;base64,{data}">'

    def _repr_html_(self) -> str:
        # Notebooks strip inline SVG from pages they do not trust; an image with the data inside passes.
        return f'<div style="overflow-x: auto">{self.to_img()}</div>'

    def _tag(self) -> str:
        return "zh-Hans" if self.language == "zh" else "en"


def check_theme(theme: str) -> None:
    """Refuse an unknown theme.

    Raises:
        ArgumentError: naming the known ones.
    """
    if theme not in get_args(Theme):
        raise ArgumentError(
            f"the theme {theme!r} was asked for", f"there are {', '.join(get_args(Theme))}", "Choose one of them."
        )


# -------------------------------------------------------------------------------------------- colours
def _style(theme: Theme) -> str:
    """The style sheet. Colours are written out, as many programs that show SVG know no variables."""
    return f"{_SIZES_AND_LINES} {_themed(theme, _colours)}"


def _themed(theme: Theme, rules: Callable[[Mapping[str, str]], str]) -> str:
    """Rules in light, in dark, or in what the reader has set."""
    if theme != "auto":
        return rules(_LIGHT if theme == "light" else _DARK)
    return f"{rules(_LIGHT)} @media (prefers-color-scheme: dark) {{ {rules(_DARK)} }}"


def _ground(c: Mapping[str, str]) -> str:
    return f"html {{ background: {c['paper']}; }}"


def _colours(c: Mapping[str, str]) -> str:
    filled = {
        "text": "ink", ".soft": "soft", ".forward": "blue", ".gradient": "red", ".paper": "paper", ".head": "line",
        ".first": "blue", ".second": "red", ".leaf": "leaf", ".op": "op", ".out": "out",
    }  # fmt: skip
    drawn = {
        ".edge": "line", ".edge.positive": "blue", ".edge.negative": "red", ".halo": "paper", ".grid": "grid", ".frame": "line",
        ".mark": "soft", ".curve.first": "blue", ".curve.second": "red", ".leaf": "leaf-line", ".op": "op-line",
        ".out": "out-line", ".point": "paper", ".point.wrong": "ink",
    }  # fmt: skip
    rules = [f"{selector} {{ fill: {c[name]}; }}" for selector, name in filled.items()]
    rules += [f"{selector} {{ stroke: {c[name]}; }}" for selector, name in drawn.items()]
    return " ".join([*rules, ".curve, .hollow { fill: none; }"])


# -------------------------------------------------------------------------------------------- PNG
def _resvg() -> Any:
    try:
        import resvg_py  # noqa: PLC0415 -- an optional package
    except ImportError:
        raise missing_dependency("resvg-py", "a picture as PNG", "app") from None
    return resvg_py


@cache
def _check_fonts(*, chinese: bool) -> None:
    """Refuse to write a picture without its letters.

    Raises:
        MissingDependency: no font is installed, or none with Chinese characters.
    """
    nothing = _glyph(_UNASSIGNED)
    if _glyph("x") == _glyph(" "):
        what, package = "no font is installed on this machine", "fonts-dejavu-core"
    elif chinese and _glyph("中") == nothing:
        what, package = "no font on this machine has Chinese characters", "fonts-noto-cjk"
    else:
        return
    raise MissingDependency(
        what, "a PNG needs a font to draw its text", f"Install one (Debian, Ubuntu: {package}), or save it as .svg."
    )


def _glyph(character: str) -> bytes:
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" width="24" height="24"><style>{_SIZES_AND_LINES}</style>'
    found: bytes = _resvg().svg_to_bytes(svg_string=f'{svg}<text class="zh" x="12" y="12">{character}</text></svg>')
    return found
