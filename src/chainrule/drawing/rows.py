"""A long picture of boxes and arrows broken into rows, as a text is into lines.

It is cut where few arrows cross. What is cut goes on in the next row, in the same order from top to bottom, after the name of
what it carries.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from chainrule.drawing.shapes import SMALL_SIZE, Point, text_width

_SHORTEST = 320.0  # of a row
_FEW, _MOST = 2, 32  # arrows that are cut: where a row may end early, and anywhere
TAIL = 16.0  # how far a line is drawn on beyond a cut
_GAP = 26.0  # between rows


@dataclass(frozen=True)
class Route:
    """The way of an arrow, or a part of it.

    Attributes:
        points: from left to right.
        name: of what it carries.
        begins, ends: whether its first and last points are those of the arrow.
    """

    points: list[Point]
    name: str
    begins: bool = True
    ends: bool = True


@dataclass(frozen=True)
class Row:
    """A part of the picture, and where it goes.

    Attributes:
        places: positions, in the sequence that was given, of what stands in it.
        routes: pieces of the arrows, in coordinates of the whole picture.
        across, down: what to add to coordinates of the whole picture.
    """

    places: list[int]
    routes: list[Route]
    across: float
    down: float


def in_rows(
    solids: Sequence[tuple[Point, float, float]], routes: Sequence[Route], widest: tuple[float, float]
) -> tuple[list[Row], float, float]:
    """Break a picture into rows.

    Args:
        solids: centre, width and height of boxes and labels, which are not cut.
        routes: of the arrows.
        widest: how wide a row may be where few arrows are cut, and where many are; a picture no wider than the latter is
            one row.

    Returns:
        The rows, and width and height of all of them.
    """
    cuts = list(_cuts(solids, routes, widest))
    rows: list[Row] = []
    width = down = 0.0
    for start, end in zip([-float("inf"), *cuts], [*cuts, float("inf")], strict=True):
        places = [k for k, ((x, _), _, _) in enumerate(solids) if start <= x < end]
        pieces = [piece for route in routes if (piece := _between(route, start, end))]
        left, top, right, bottom = _bounds([solids[k] for k in places], pieces)
        lead = max((TAIL + text_width(p.name, SMALL_SIZE) + 6.0 for p in pieces if not p.begins), default=0.0)
        tail = TAIL if any(not p.ends for p in pieces) else 0.0
        rows.append(Row(places, pieces, lead - left, down - top))
        width, down = max(width, lead + right - left + tail), down + bottom - top + _GAP
    return rows, width, down - _GAP


def _cuts(
    solids: Sequence[tuple[Point, float, float]], routes: Sequence[Route], widest: tuple[float, float]
) -> Iterator[float]:
    """Where rows end."""
    start = min(x - width / 2 for (x, _), width, _ in solids)
    last = max(x + width / 2 for (x, _), width, _ in solids)
    if last - start <= widest[1]:
        return
    gaps = [(x, sum(r.points[0][0] < x < r.points[-1][0] for r in routes)) for x in _gaps(solids)]
    while last - start > widest[0]:
        ahead = [(x, crossed) for x, crossed in gaps if x - start > _SHORTEST and last - x > _SHORTEST / 2]
        easy = [x for x, crossed in ahead if x - start <= widest[0] and crossed <= _FEW]
        hard = [(crossed, -x) for x, crossed in ahead if x - start <= widest[1] and crossed <= _MOST]
        later = [x for x, crossed in ahead if crossed <= _MOST]
        if easy:
            start = easy[-1]
        elif last - start <= widest[1] or not later:
            return
        else:
            start = -min(hard)[1] if hard else later[0]
        yield start


def _gaps(solids: Sequence[tuple[Point, float, float]]) -> Iterator[float]:
    """Places just after boxes and labels, where lines are level, in stripes in which nothing stands."""
    spans = sorted((x - width / 2, x + width / 2) for (x, _), width, _ in solids)
    reached = spans[0][1]
    for left, right in spans:
        if left > reached:
            yield reached + min(2.0, (left - reached) / 2)
        reached = max(reached, right)


def _between(route: Route, start: float, end: float) -> Route | None:
    """The part of a route between two cuts."""
    points = route.points
    if points[-1][0] <= start or points[0][0] >= end:
        return None
    begins, ends = points[0][0] >= start, points[-1][0] <= end
    inside = [p for p in points if start <= p[0] <= end]
    first = [] if begins else [_at(points, start)]
    last = [] if ends else [_at(points, end)]
    return replace(route, points=[*first, *inside, *last], begins=begins, ends=ends)


def _at(points: Sequence[Point], x: float) -> Point:
    """Where a route passes an x."""
    for (x1, y1), (x2, y2) in pairwise(points):
        if x1 <= x <= x2 and x1 < x2:
            return x, y1 + (y2 - y1) * (x - x1) / (x2 - x1)
    return x, points[-1][1]


def _bounds(solids: Sequence[tuple[Point, float, float]], routes: Sequence[Route]) -> tuple[float, float, float, float]:
    """Left, top, right and bottom."""
    spans = [(x - width / 2, y - height / 2, x + width / 2, y + height / 2) for (x, y), width, height in solids]
    spans += [(x, y, x, y) for route in routes for x, y in route.points]
    lefts, tops, rights, bottoms = zip(*spans, strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)
