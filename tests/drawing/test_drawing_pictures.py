"""Every kind of picture in every theme and language: well-formed, in its colours, in its words; as SVG, PNG and page."""

from __future__ import annotations

import base64
import re
import struct
import sys
import xml.etree.ElementTree as ET

import pytest
from drawing_cases import CASES, dense, history, texts, worked_network

import chainrule as cr
from chainrule.drawing import Drawing, draw, picture, words
from chainrule.errors import ArgumentError, MissingDependency, OutputError

pytest.importorskip("graphlay", reason="pictures of graphs are laid out by graphlay")
THEMES, LANGUAGES = ("auto", "light", "dark"), ("en", "zh")


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("kind", CASES)
def test_every_picture_in_every_theme_and_language(kind: str, theme: str, language: str) -> None:
    found = CASES[kind](theme=theme, language=language)
    svg = found.to_svg()
    root = ET.fromstring(svg)
    assert (float(root.get("width", 0)), float(root.get("height", 0))) == (round(found.width), round(found.height))
    assert not any(re.search(r"nan|inf\b", v) for e in root.iter() for k, v in e.attrib.items() if k != "href")
    assert ("prefers-color-scheme" in svg) == (theme == "auto")
    assert ("#15181c" in svg) == (theme != "light")
    assert ("#ffffff" in svg) == (theme != "dark")
    assert "var(" not in svg  # programs that know no variables would draw everything black
    assert not re.search(r"(https?:)?//(?!www\.w3\.org/2000/svg)\w+\.\w", re.sub(r"base64,[\w+/=]+", "", svg))
    said = " ".join([found.title, *texts(found)])
    assert bool(re.search("[一-鿿]", said)) == (language == "zh")
    english = {text[0] for key, text in words.PHRASES.items() if "{" not in text[0] and len(text[0]) > 5}
    assert language == "en" or not english & set(texts(found))


@pytest.mark.parametrize("kind", CASES)
def test_everything_lies_inside_the_picture(kind: str) -> None:
    found = CASES[kind]()
    for e in ET.fromstring(found.to_svg()).iter():
        x, y = (float(e.get(n, e.get("c" + n, "0")).removesuffix("%")) for n in "xy")
        assert 0 <= x <= found.width
        assert 0 <= y <= found.height


def test_both_languages_have_every_phrase_with_the_same_blanks() -> None:
    for english, chinese in words.PHRASES.values():
        assert set(re.findall(r"\{\w+\}", english)) == set(re.findall(r"\{\w+\}", chinese))
        assert re.search("[一-鿿]", chinese)


# ---------------------------------------------------------------------------------------- PNG
@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", ["graph", "network", "curves", "regions", "gradient-flow"])
def test_a_png_has_the_size_of_the_picture(kind: str, language: str, needs_png) -> None:
    needs_png(chinese=language == "zh")
    found = CASES[kind](language=language)
    for scale in (1.0, 2.0):
        png = found.to_png(scale)
        assert png.startswith(b"\x89PNG\r\n\x1a\n")
        size = struct.unpack(">II", png[16:24])
        assert size == pytest.approx((found.width * scale, found.height * scale), abs=scale + 1)


@pytest.mark.usefixtures("needs_png")
def test_a_png_has_the_colours_of_its_theme() -> None:
    image = pytest.importorskip("PIL.Image", reason="Pillow reads the picture")
    import io

    for theme, paper in (("auto", (255, 255, 255)), ("light", (255, 255, 255)), ("dark", (0x15, 0x18, 0x1C))):
        with image.open(io.BytesIO(draw(worked_network(), theme=theme).to_png(1.0))) as read:
            assert read.convert("RGB").getpixel((2, 2)) == paper


@pytest.mark.usefixtures("needs_png")
def test_a_very_long_picture_becomes_a_png_at_a_smaller_scale() -> None:
    png = Drawing(40_000.0, 10.0, (), "long").to_png()
    assert struct.unpack(">II", png[16:24]) == (32_000, 8)


def test_a_png_says_what_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("resvg_py", reason="PNG pictures are rendered by resvg-py")
    with pytest.raises(ArgumentError, match="the scale 0 was given; at that scale the picture has no pixels"):
        Drawing(40.0, 10.0, (), "none").to_png(0.0)
    picture._check_fonts.cache_clear()
    monkeypatch.setattr(picture, "_glyph", lambda c: {"x": b"x", " ": b""}.get(c, b"box"))
    draw(history()).to_png()  # English needs no Chinese
    with pytest.raises(MissingDependency, match=r"no font on this machine has Chinese.*fonts-noto-cjk.*\.svg"):
        draw(history(), language="zh").to_png()
    picture._check_fonts.cache_clear()
    monkeypatch.setattr(picture, "_glyph", lambda character: b"")
    with pytest.raises(MissingDependency, match=r"no font is installed on this machine.*fonts-dejavu-core"):
        draw(history()).to_png()
    picture._check_fonts.cache_clear()
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    with pytest.raises(MissingDependency, match=r'resvg-py, which is not installed.*pip install "chainrule\[app\]"'):
        draw(history()).to_png()
    picture._check_fonts.cache_clear()


# ---------------------------------------------------------------------------------------- files and notebooks
def test_files_and_notebooks(tmp_path) -> None:
    drawing = draw(worked_network())
    drawing.save(tmp_path / "graph.svg")
    drawing.save(str(tmp_path / "graph.HTML"))
    assert (tmp_path / "graph.svg").read_text(encoding="utf-8") == drawing.to_svg()
    assert drawing.to_svg() in (tmp_path / "graph.HTML").read_text(encoding="utf-8")
    shown = drawing._repr_html_()
    assert shown.startswith('<div style="overflow-x: auto"><img alt="Graph of E" width="')
    assert "path" not in repr(drawing)
    assert base64.b64decode(shown.split("base64,")[1].split('"')[0]).decode() == drawing.to_svg()
    with pytest.raises(ArgumentError, match=r"'graph.pdf' was named; pictures are written as .svg, .png or .html"):
        drawing.save(tmp_path / "graph.pdf")
    with pytest.raises(OutputError, match="could not be written"):
        drawing.save(tmp_path / "none" / "graph.svg")


@pytest.mark.parametrize(
    ("theme", "grounds"), [("light", ["#ffffff"]), ("dark", ["#15181c"]), ("auto", ["#ffffff", "#15181c"])]
)
def test_a_page_has_the_ground_of_its_picture(theme, grounds) -> None:
    page = draw(worked_network(), theme=theme).to_html()
    assert re.findall(r"html \{ background: (#\w+); \}", page) == grounds
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in page


@pytest.mark.usefixtures("needs_png")
def test_a_png_file(tmp_path) -> None:
    draw(worked_network()).save(tmp_path / "graph.png")
    assert (tmp_path / "graph.png").read_bytes().startswith(b"\x89PNG")


# ---------------------------------------------------------------------------------------- wrong use
def test_wrong_use() -> None:
    x = cr.tensor(1.0, name="x")
    model = dense(2, 3, 2)
    with pytest.raises(ArgumentError, match="the kind 'poem' was asked for; the kinds for a Tensor are graph, network"):
        draw(x * 2.0, kind="poem")
    with pytest.raises(ArgumentError, match="the kinds for a Module are network, regions, gradient-flow"):
        draw(model, kind="graph")
    with pytest.raises(ArgumentError, match="the theme 'pink'"):
        draw(x * 2.0, theme="pink")
    with pytest.raises(ArgumentError, match="the detail 'some' was asked for; there are all, named, auto, layers"):
        draw(x * 2.0, detail="some")
    with pytest.raises(ArgumentError, match="the language 'fr'"):
        draw(x * 2.0, language="fr")
    with pytest.raises(ArgumentError, match="draw got a float; it takes a Tensor, a Module, a History or a Diagnosis"):
        draw(3.0)
    with pytest.raises(ArgumentError, match=r"'regions' was asked for without X and y; .* Write draw\(model, X, y\)"):
        draw(model, kind="regions")
    with pytest.raises(ArgumentError, match=r"without y; it needs all of them. Write draw\(model, X, y, loss=loss\)"):
        draw(model, [[1.0, 2.0]], loss=cr.nn.CrossEntropyLoss())


def test_graphs_need_graphlay_and_charts_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "graphlay", None)
    with pytest.raises(MissingDependency, match=r'graphlay, which is not installed.*pip install "chainrule\[app\]"'):
        draw(worked_network())
    for kind in ("network", "values", "curves", "regions", "gradient-flow"):
        CASES[kind]()
