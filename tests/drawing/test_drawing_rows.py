"""Wide graphs are broken into rows, and nothing gets lost."""

from __future__ import annotations

import re
from itertools import combinations, pairwise

import numpy as np
import pytest
from drawing_cases import count, dense, loss_of, texts

import chainrule as cr
from chainrule import nn
from chainrule.drawing import draw
from chainrule.drawing.rows import Route, in_rows

pytest.importorskip("graphlay", reason="pictures of graphs are laid out by graphlay")


def chain(length: int) -> cr.Tensor:
    """A value that goes through many functions, with one weight in all of them."""
    w, h = cr.tensor(0.2, name="w"), cr.tensor(0.35, name="x")
    for k in range(length):
        h = cr.sin(h * w) if k % 4 == 0 else cr.tanh(h)
    return h.named("E")


def rectangles(svg: str) -> list[tuple[float, ...]]:
    found = re.findall(r'<rect class="(?:leaf|op|out)" x="([\d.-]+)" y="([\d.-]+)" width="([\d.]+)" height="([\d.]+)"', svg)
    return [tuple(map(float, each)) for each in found]


@pytest.mark.parametrize("length", [3, 30, 90])
def test_every_box_and_arrow_is_there_and_none_cover_each_other(length) -> None:
    picture = draw(chain(length))
    assert picture.width < 1600
    assert (picture.height < 400) == (length == 3)
    found = rectangles(picture.to_svg())
    products = -(-length // 4)
    weights = products if products > 3 else 1  # drawn beside each product once they are many
    assert len(found) == 1 + weights + length + products
    assert picture.to_svg().count("marker-end") == length + 2 * products
    for (x, y, width, height), (u, v, other, high) in combinations(found, 2):
        assert x + width < u or u + other < x or y + height < v or v + high < y
    for x, y, width, height in found:
        assert 0 < x < x + width < picture.width
        assert 0 < y < y + height < picture.height


def test_lines_that_go_on_are_dotted_and_named() -> None:
    one, several = draw(chain(3)), draw(chain(30))
    assert count(one, "path", "mark") == 0
    assert count(several, "path", "mark") >= 4
    assert count(several, "path", "mark") % 2 == 0
    first = cr.tanh(cr.tensor(0.5, name="x")).named("first")
    last = first
    for _ in range(30):
        last = cr.sin(last)
    over_all_rows = draw(first * last)
    starts = count(over_all_rows, "path", "mark") // 2 // 2  # two lines are cut at the end of every row
    assert starts > 2
    assert texts(over_all_rows).count("first") == 1 + starts


def test_a_deep_network_has_rows_as_wide_as_a_report() -> None:
    picture = draw(nn.Sequential(*[layer for _ in range(20) for layer in (nn.Linear(64, 64), nn.ReLU())]))
    assert picture.width < 928
    assert len({round(y + height / 2) for _, y, _, height in rectangles(picture.to_svg())}) == 5


def test_a_picture_of_moderate_width_is_one_row() -> None:
    assert 1000 < draw(loss_of(dense(64, 32, 10), 64)).width < 1500


def test_cuts_lie_where_few_arrows_are_cut() -> None:
    # Boxes of width 20 every 100, each read by the next; every third gap is crossed by three more arrows.
    solids = [((100.0 * k, 0.0), 20.0, 20.0) for k in range(40)]
    routes = [Route([(100.0 * k + 10, 0.0), (100.0 * (k + 1) - 10, 0.0)], "") for k in range(39)]
    for k in range(39):
        if k % 3:
            routes += [Route([(100.0 * k + 10, y), (100.0 * (k + 1) - 10, y)], "") for y in (50.0, 60.0, 70.0)]
    rows, width, height = in_rows(solids, routes, (1000.0, 1500.0))
    assert sorted(k for row in rows for k in row.places) == list(range(40))
    assert [row.places[0] % 3 for row in rows[1:]] == [1] * (len(rows) - 1)
    assert all(len(row.places) <= 11 for row in rows)
    assert width < 1100
    assert height > 20 * len(rows)
    for before, after in pairwise(rows):
        (cut,) = [r for r in before.routes if not r.ends]
        (rest,) = [r for r in after.routes if not r.begins]
        assert cut.points[-1] == rest.points[0]


def test_where_many_arrows_run_along_nothing_is_cut() -> None:
    solids = [((100.0 * k, 0.0), 20.0, 20.0) for k in range(40)]
    routes = [Route([(10.0, float(y)), (3890.0, float(y))], "") for y in range(40)]
    (row,), width, _ = in_rows(solids, routes, (1000.0, 1500.0))
    assert width == 3920.0
    np.testing.assert_array_equal(row.places, range(40))


def test_the_same_graph_is_drawn_in_the_same_way() -> None:
    assert len({draw(chain(6)).to_svg() for _ in range(8)}) == 1
