"""Boxes and arrows, laid out by graphlay, as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chainrule.drawing.picture import Drawing, Look
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
    """An edge: what goes forward, what comes back."""

    source: Node
    target: Node
    forward: str
    gradient: str = ""

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


def drawn(scene: Scene, title: str, look: Look) -> Drawing:
    """The scene as a picture, inputs on the left.

    Raises:
        MissingDependency: graphlay, which lays it out, is not installed.
    """
    layout = _layout(scene)
    left, top, width, height = _bounds(layout)
    routes = [[(p["x"] - left, p["y"] - top) for p in e["points"]] for e in layout.edges]
    centres = [(n["center"]["x"] - left, n["center"]["y"] - top) for n in layout.nodes]
    count = len(scene.boxes)
    lines, labels = [], []
    for k, (arrow, centre) in enumerate(zip(scene.arrows, centres[count:], strict=True)):
        route, height_of_label = _joined(routes[2 * k], routes[2 * k + 1])
        lines.append(line(route))
        labels += _labels(arrow, (centre[0], height_of_label))
    boxes = [s for found, centre in zip(scene.boxes.values(), centres[:count], strict=True) for s in _box_shapes(found, centre)]
    width = max(width, _NARROWEST if scene.legend else 0.0)
    legend, room = legend_shapes(scene.legend, _MARGIN, height + 4.0, width - _MARGIN)
    height += room
    return Drawing(width, height, (*lines, *labels, *boxes, *legend), title, look.theme, look.language)


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
    for arrow in scene.arrows:
        # The label is a node of its own in the middle of its edge, so that the layout keeps room for it.
        label = graph.node(object(), width=arrow.width, height=_LABEL_HEIGHT)
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


def _bounds(layout: Any) -> tuple[float, float, float, float]:
    """Left, top, width and height of everything, with a margin."""
    points = [p for e in layout.edges for p in e["points"]]
    for node in layout.nodes:
        c, s = node["center"], node["size"]
        points += [{"x": c["x"] + k * s["width"] / 2, "y": c["y"] + k * s["height"] / 2} for k in (-1, 1)]
    xs, ys = [p["x"] for p in points], [p["y"] for p in points]
    left, top = min(xs) - _MARGIN, min(ys) - _MARGIN
    return left, top, max(xs) - left + _MARGIN, max(ys) - top + _MARGIN


# -------------------------------------------------------------------------------------------- shapes
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
