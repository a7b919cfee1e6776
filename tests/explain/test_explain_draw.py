"""Pictures: what they show, and that they are well-formed."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from itertools import pairwise

import numpy as np
import pytest
from test_explain_missions import m6
from test_explain_primitives import scalar_of

import chainrule as cr
from chainrule import ops
from chainrule.errors import ArgumentError
from chainrule.explain import draw, expression

pytest.importorskip("graphlay", reason="pictures of graphs are laid out by graphlay")
SVG = "{http://www.w3.org/2000/svg}"


def texts(svg: str) -> list[str]:
    return [e.text or "" for e in ET.fromstring(svg).iter(f"{SVG}text")]


def test_the_shop_shows_every_value_and_gradient() -> None:
    total = expression("price = apple*n + orange*m; total = price*tax", apple=100.0, n=2.0, orange=150.0, m=3.0, tax=1.1)
    found = texts(draw(total).to_svg())
    assert found.count("×") == 3
    assert {"2.2", "110", "3.3", "165", "650", "1.1", "total = 715"} <= set(found)


def test_named_values_only() -> None:
    output, _ = m6()
    found = texts(draw(output, detail="named").to_svg())
    assert {"x₃", "O₃", "x₁ · w₁₃ + x₂ · w₂₃", "0.1903"} <= set(found)
    assert "×" not in found
    assert not any(t.startswith("0.1903") for t in texts(draw(output, detail="named", gradients=False).to_svg()))


def test_parallel_edges_have_gradients_of_their_own() -> None:
    x = cr.tensor(3.0, name="x")
    found = texts(draw(x * x).to_svg())
    assert found.count("3") == 5  # the leaf, and value and gradient of two edges


@pytest.mark.parametrize("blocks", ["whole", "expanded"])
@pytest.mark.parametrize("name", sorted(ops.PRIMITIVES))
def test_every_primitive_can_be_drawn(name: str, blocks: str) -> None:
    output, _ = scalar_of(name, seed=4)
    svg = draw(output, blocks=blocks).to_svg()
    root = ET.fromstring(svg)
    assert float(root.get("width", "0")) > 50
    assert not any("nan" in v for e in root.iter() for v in e.attrib.values())


@pytest.mark.parametrize("theme", ["auto", "light", "dark"])
def test_themes(theme: str) -> None:
    output, _ = m6()
    svg = draw(output, theme=theme).to_svg()
    assert ("prefers-color-scheme" in svg) == (theme == "auto")
    assert ("#15181c" in svg) == (theme != "light")
    assert "http://" not in svg.replace("http://www.w3.org/2000/svg", "")


def network(sizes: list[int]) -> cr.Tensor:
    rng = np.random.default_rng(0)
    a = cr.tensor(rng.normal(size=sizes[0]), name="x")
    for into, out in pairwise(sizes):
        a = cr.sigmoid(cr.parameter(rng.normal(size=(out, into))) @ a)
    return (a**2).sum()


def test_networks_small_and_large() -> None:
    small = draw(network([2, 3, 2]), kind="network").to_svg()
    assert len(list(ET.fromstring(small).iter(f"{SVG}rect"))) == 1 + 7
    large = texts(draw(network([784, 128, 10]), kind="network").to_svg())
    assert {"784 units", "128 units", "10 units", "W 128×784"} <= set(large)


def test_large_graphs_fold() -> None:
    x = cr.tensor(1.0, name="x")
    y = x
    for k in range(400):
        y = cr.sin(y)
        if k % 100 == 50:
            y = y.named(f"h{k}")
    found = texts(draw(y.named("y")).to_svg())
    assert {"x", "h₅₀", "h₁₅₀", "h₂₅₀", "h₃₅₀", "y"} <= set(found)
    every = x
    for k in range(400):
        every = cr.sin(every).named(f"s{k}")
    with pytest.raises(ArgumentError, match="300 stay readable"):
        draw(every)


def test_files_and_notebooks(tmp_path) -> None:
    output, _ = m6()
    drawing = draw(output)
    drawing.save(tmp_path / "graph.svg")
    drawing.save(tmp_path / "graph.html")
    assert (tmp_path / "graph.svg").read_text(encoding="utf-8").startswith("<svg")
    assert drawing._repr_html_().startswith('<img alt="Graph of E" src="data:image/svg+xml;base64,')
    with pytest.raises(ArgumentError, match=r"\.svg or \.html"):
        drawing.save(tmp_path / "graph.png")


def test_wrong_use() -> None:
    x = cr.tensor(1.0, name="x")
    with pytest.raises(ArgumentError, match="the kind 'poem'"):
        draw(x * 2.0, kind="poem")
    with pytest.raises(ArgumentError, match="the theme 'pink'"):
        draw(x * 2.0, theme="pink")
    with pytest.raises(ArgumentError, match="takes a Tensor"):
        draw(3.0)
    with pytest.raises(ArgumentError, match="without layers"):
        draw(x * 2.0, kind="network")
