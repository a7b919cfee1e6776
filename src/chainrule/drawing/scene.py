"""Boxes and arrows, laid out by graphlay, as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chainrule.drawing.picture import Drawing, Look
from chainrule.drawing.rows import TAIL, Route, in_rows
from chainrule.drawing.shapes import SMALL_SIZE, Point, box, line, text, text_width
from chainrule.errors import missing_dependency
from chainrule.ir import Node

_MARGIN = 16.0
_LABEL_HEIGHT = 32.0  # two lines of small text, the edge between them
_LINE, _NOTE = 22.0, 17.0  # heights of the first line in a box, and of the others
_NARROWEST = 240.0  # where there is a legend
_ROW = 18.0  # of a legend


@dataclass(frozen=True)
class Box:
    """A node of the picture: its label, smaller lines below, and what it is: "leaf", "op" or "out"."""

    label: str
    notes: tuple[str, ...]
    kind: str

    @property
    def width(self) -> float:
        """Room for the longest line."""
        return max(30.0, text_width(self.label) + 20.0, *(text_width(n, SMALL_SIZE) + 18.0 for n in self.notes))

    @property
    def height(self) -> float:
        """Room for all lines."""
        return 30.0 + (_NOTE * len(self.notes) - 3.0 if self.notes else 0.0)


@dataclass(frozen=True)
class Arrow:
    """An edge: what goes forward, what comes back; and the name of what it carries, if it has one."""

    source: Node
    target: Node
    forward: str
    gradient: str = ""
    name: str = ""

    @property
    def width(self) -> float:
        """Room for both texts."""
        return max(text_width(self.forward, SMALL_SIZE), text_width(self.gradient, SMALL_SIZE)) + 10.0


@dataclass(frozen=True)
class Scene:
    """What is drawn: a box for every node, arrows between them, and the lines of a legend with their classes."""

    boxes: Mapping[Node, Box]
    arrows: Sequence[Arrow]
    legend: Sequence[tuple[str, str]] = ()


def drawn(scene: Scene, title: str, look: Look, widest: tuple[float, float] = (1000.0, 1500.0)) -> Drawing:
    """The scene as a picture, inputs on the left; a wide one in rows.

    Args:
        scene: boxes and arrows.
        title: of the picture.
        look: see `draw`.
        widest: see `chainrule.drawing.rows.in_rows`.

    Raises:
        MissingDependency: graphlay, which lays it out, is not installed.
    """
    layout = _layout(scene)
    ends = [[(p["x"], p["y"]) for p in e["points"]] for e in layout.edges]
    centres = [(n["center"]["x"], n["center"]["y"]) for n in layout.nodes]
    boxes, count = list(scene.boxes.values()), len(scene.boxes)
    routes: list[Route] = []
    for k, arrow in enumerate(scene.arrows):
        route, height_of_label = _joined(ends[2 * k], ends[2 * k + 1])
        routes.append(Route(route, arrow.name))
        centres[count + k] = centres[count + k][0], height_of_label
    sizes = [*((b.width, b.height) for b in boxes), *((a.width, _LABEL_HEIGHT) for a in scene.arrows)]
    solids = [(centre, *size) for centre, size in zip(centres, sizes, strict=True)]
    rows, width, height = in_rows(solids, routes, widest)
    lines, solid = [], []
    for row in rows:
        across, down = row.across + _MARGIN, row.down + _MARGIN
        lines += [shape for route in row.routes for shape in _line_shapes(route, across, down)]
        for k in row.places:
            place = centres[k][0] + across, centres[k][1] + down
            solid += _box_shapes(boxes[k], place) if k < count else _labels(scene.arrows[k - count], place)
    width, height = width + 2 * _MARGIN, height + 2 * _MARGIN
    width = max(width, _NARROWEST if scene.legend else 0.0)
    legend, room = legend_shapes(scene.legend, _MARGIN, height + 4.0, width - _MARGIN)
    return Drawing(width, height + room, (*lines, *solid, *legend), title, look.theme, look.language)


# -------------------------------------------------------------------------------------------- where it goes
def _layout(scene: Scene) -> Any:
    """Positions of boxes and routes of arrows. The only place that knows the package that lays out graphs.

    Raises:
        MissingDependency: it is not installed.
    """
    try:
        import graphlay  # noqa: PLC0415 -- an optional package
    except ImportError:
        raise missing_dependency("graphlay", "a picture of a graph", "app") from None
    graph = graphlay.Graph()
    places = {node: graph.node(k, width=b.width, height=b.height) for k, (node, b) in enumerate(scene.boxes.items())}
    for k, arrow in enumerate(scene.arrows, len(places)):
        # The label is a node of its own in the middle of its edge, so that the layout keeps room for it.
        label = graph.node(k, width=arrow.width, height=_LABEL_HEIGHT)
        graph.edge(places[arrow.source], label)
        graph.edge(label, places[arrow.target])
    spacing = {"layer_gap": 18.0, "node_gap": 16.0, "dummy_gap": 14.0, "port_gap": 14.0, "stub": 7.0}
    routing = {"bundle_parallel": False, "port_sides": "facing_only", "centre_ports": "all"}
    return graphlay.layout(graph, options={"spacing": spacing, "routing": routing})


def _joined(first: list[Point], second: list[Point]) -> tuple[list[Point], float]:
    """The two halves of an edge as one line that is level at the label between them, and the height of the label."""
    y = second[0][1] if len(second) == 2 else first[-1][1]
    return [*_ending_at(first, y), *_ending_at(second[::-1], y)[::-1]], y


def _ending_at(route: list[Point], y: float) -> list[Point]:
    """A route whose last piece is level at this height."""
    (x1, y1), (x2, y2) = route[-2], route[-1]
    if y2 == y:
        return route
    if len(route) > 2 and y1 == y2:
        return [*route[:-2], (x1, y), (x2, y)]
    bend = x2 + (8.0 if x1 > x2 else -8.0)
    return [*route[:-1], (bend, y2), (bend, y), (x2, y)]


# -------------------------------------------------------------------------------------------- shapes
def _line_shapes(route: Route, across: float, down: float) -> list[str]:
    """An arrow, or a part of one, dotted where it goes on in another row."""
    points = [(x + across, y + down) for x, y in route.points]
    shapes = [line(points, arrow=route.ends)]
    (x1, y1), (x2, y2) = points[0], points[-1]
    if not route.begins:
        shapes.append(line([(x1 - TAIL, y1), (x1, y1)], "mark", arrow=False))
        shapes += [text(x1 - TAIL - 4.0, y1, route.name, "small soft end")] if route.name else []
    if not route.ends:
        shapes.append(line([(x2, y2), (x2 + TAIL, y2)], "mark", arrow=False))
    return shapes


def _labels(arrow: Arrow, centre: Point) -> list[str]:
    """The forward value above an edge, and the gradient below it."""
    x, y = centre
    both = ((arrow.forward, y - 9, "small forward"), (arrow.gradient, y + 10, "small gradient"))
    return [text(x, height, words, kind) for words, height, kind in both if words]


def _box_shapes(found: Box, centre: Point) -> list[str]:
    x, y = centre
    shapes = [box(centre, (found.width, found.height), found.kind, 15.0 if found.kind == "leaf" else 7.0)]
    if not found.notes:
        return [*shapes, text(x, y, found.label)]
    top = y - found.height / 2 + _LINE / 2 + 2.0
    notes = [text(x, top + _LINE / 2 + _NOTE * (k + 0.5), note, "small soft") for k, note in enumerate(found.notes)]
    return [*shapes, text(x, top, found.label), *notes]


def legend_shapes(legend: Sequence[tuple[str, str]], left: float, y: float, width: float) -> tuple[list[str], float]:
    """The lines of a legend side by side, each in the colour of its class, in as many rows as it takes; and their height."""
    found, x, row = [], left, 0
    for words, kind in legend:
        room = text_width(words, SMALL_SIZE)
        if x > left and x + room > width:
            x, row = left, row + 1
        found.append(text(x, y + _ROW * row, words, f"small start {kind}"))
        x += room + 16.0
    return found, _ROW * (row + 1) + 8.0 if legend else 0.0
