"""`draw`: the graph of a calculation as a picture, with forward values above its edges and gradients below."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from chainrule import autodiff, ir
from chainrule.errors import ArgumentError, ChainruleError, explain, missing_dependency
from chainrule.explain.backward import backward
from chainrule.explain.calculation import At, Blocks, Calculation, Detail, calculation, caller_variables, is_plain_constant
from chainrule.explain.drawing import Drawing, Point, Theme, box, check_theme, line, text, text_width
from chainrule.explain.formulas import write
from chainrule.explain.matrix import find_layers, in_layer_notation
from chainrule.explain.symbols import number, symbol
from chainrule.ir import LEAVES, Array, Node
from chainrule.ops.primitive import lookup
from chainrule.tensor import Tensor

Kind = Literal["graph", "network"]
_MOST_NODES = 300
_SIGNS = {
    "add": "+", "subtract": "−", "multiply": "×", "divide": "÷", "power": "xʸ", "negative": "−x", "matmul": "@", "square": "x²",
    "sigmoid": "σ", "sum": "Σ", "prod": "Π", "sqrt": "√", "abs": "|x|", "transpose": "ᵀ",
}  # fmt: skip
_MARGIN = 16.0
_LABEL_HEIGHT = 32.0  # two lines of small text, the edge between them


def draw(
    output: Tensor,
    *,
    kind: Kind = "graph",
    detail: Detail = "all",
    blocks: Blocks = "whole",
    at: At | None = None,
    gradients: bool = True,
    precision: int = 4,
    theme: Theme = "auto",
) -> Drawing:
    """Draw the calculation of a Tensor.

    Args:
        output: the end of the calculation.
        kind: "graph" draws operations and edges; "network" draws the units and weights of a layered network.
        detail: "all" draws every operation, "named" only the named values, "auto" the named ones if there are any. A graph with
            more than 300 nodes is folded to its named values, or to its layers.
        blocks: "whole" draws blocks such as affine as one node, "expanded" unfolds them; or the names of those to unfold.
        at: values for leaves, as in `explain`.
        gradients: whether ∂output/∂… is written below the edges.
        precision: significant digits of the numbers.
        theme: "light", "dark", or "auto", which follows the reader's setting.

    Raises:
        ArgumentError: an unknown option, or a graph that cannot be folded to 300 nodes.
        MissingDependency: graphlay, which lays out graphs, is not installed.
    """
    check_theme(theme)
    if not isinstance(output, Tensor):
        raise ArgumentError(
            explain(f"draw got a {type(output).__name__}", "it takes a Tensor", "Pass the end of the calculation.")
        )
    if kind not in get_args(Kind):
        raise ArgumentError(
            explain(f"the kind {kind!r} was asked for", f"there are {', '.join(get_args(Kind))}", "Choose one of them.")
        )
    calc = calculation(output.node, at=at, blocks=blocks, detail=detail, variables=caller_variables(1))
    if kind == "network":
        from chainrule.explain.network import network_drawing  # noqa: PLC0415 -- it uses the shapes of this module

        return network_drawing(calc, precision, theme)
    scene = _scene(_folded(calc), gradients, precision)
    return _drawing(scene, theme, calc)


# -------------------------------------------------------------------------------------------- what is drawn
@dataclass(frozen=True)
class _Box:
    """A node of the picture: its label, a second line, and what it is."""

    label: str
    below: str
    kind: str

    @property
    def width(self) -> float:
        return max(30.0, text_width(self.label) + 20.0, text_width(self.below, 11.0) + 16.0)

    @property
    def height(self) -> float:
        return 44.0 if self.below else 30.0


@dataclass(frozen=True)
class _Arrow:
    """An edge: the value that goes forward, the gradient that comes back."""

    source: Node
    target: Node
    forward: str
    gradient: str

    @property
    def width(self) -> float:
        return max(text_width(self.forward, 11.0), text_width(self.gradient, 11.0)) + 10.0


@dataclass(frozen=True)
class _Scene:
    boxes: Mapping[Node, _Box]
    arrows: tuple[_Arrow, ...]


def _folded(calc: Calculation) -> Calculation:
    """The calculation, with fewer shown nodes if there are too many for a picture.

    Raises:
        ArgumentError: too many remain.
    """
    if len(calc.shown) <= _MOST_NODES:
        return calc
    layers = find_layers(calc)
    named = {n for n in calc.nodes if n.name and not (n.name[0] in "uv" and n.name[1:].isdigit())} | {calc.output}
    found = in_layer_notation(calc, layers) if layers else Calculation(calc.output, calc.nodes, frozenset(named), calc.copies)
    if len(found.shown) > _MOST_NODES:
        raise ArgumentError(
            explain(
                f"the graph has {len(found.shown)} values to draw",
                f"up to {_MOST_NODES} stay readable",
                "Give names to the important ones and draw with detail='named', or draw a part of it.",
            )
        )
    return found


def _scene(calc: Calculation, gradients: bool, precision: int) -> _Scene:
    whole = all(n in calc.shown or n.op in LEAVES for n in calc.nodes)
    arrows = _every_edge(calc, gradients, precision) if whole else _named_edges(calc, gradients, precision)
    boxes = {n: _box(n, calc, precision, whole) for n in calc.nodes if n in calc.shown}
    for arrow in arrows:
        boxes.setdefault(arrow.source, _box(arrow.source, calc, precision, whole))
    return _Scene(boxes, tuple(arrows))


def _box(node: Node, calc: Calculation, precision: int, whole: bool) -> _Box:
    value = _value(node.value, precision)
    if node.op in LEAVES:
        if is_plain_constant(node):
            return _Box(value, "", "leaf")
        return _Box(symbol(node.name or node.op).text, value, "leaf")
    named = "" if _is_numbered(node) else symbol(node.name or "").text
    kind = "out" if node is calc.output else "op"
    if not whole:
        formula = write(node, whole=True).text if node.name else node.op
        return _Box(symbol(node.name or node.op).text, formula if len(formula) <= 34 else lookup(node.op).name, kind)
    sign = _SIGNS.get(node.op, node.op)
    return _Box(sign, f"{named} = {value}" if node is calc.output and named else named, kind)


def _is_numbered(node: Node) -> bool:
    """Whether a node has only a number for a name, which a picture does not need."""
    return node.name is None or (node.name[0] in "uv" and node.name[1:].isdigit())


def _value(value: Array | None, precision: int) -> str:
    if value is None:
        return ""
    if value.size == 1:
        return number(value.item(), precision).text
    if value.ndim == 1 and value.size <= 3 and value.dtype.kind == "f":
        return f"[{', '.join(number(v, min(precision, 3)).text for v in value.tolist())}]"
    return "×".join(map(str, value.shape))


def _gradient_text(value: Array | None, precision: int) -> str:
    if value is None or value.size == 1 or (value.ndim == 1 and value.size <= 3):
        return _value(value, precision)
    return f"‖·‖ {number(float(np.linalg.norm(value)), min(precision, 3)).text}"


def _every_edge(calc: Calculation, gradients: bool, precision: int) -> list[_Arrow]:
    """One edge per input of every operation; parallel ones (a·a) each with its own gradient."""
    found: list[_Arrow] = []
    upstream: dict[Node, Array] = {}
    if gradients and calc.output.dtype.kind == "f":
        upstream[calc.output] = np.ones(calc.output.shape, calc.output.dtype)
    for node in reversed(calc.nodes):
        if node.op in LEAVES:
            continue
        back = _back(node, upstream.get(node))
        for source, g in zip(node.inputs, back, strict=True):
            found.append(_Arrow(source, node, _value(source.value, precision), _gradient_text(g, precision)))
            if g is not None:
                upstream[source] = upstream[source] + g if source in upstream else g
    return found[::-1]


def _back(node: Node, g: Array | None) -> list[Array | None]:
    """What each input of an operation gets back; None where nothing flows."""
    nothing: list[Array | None] = [None] * len(node.inputs)
    if g is None:
        return nothing
    leaves = tuple(
        i if is_plain_constant(i) else Node("variable", (), {}, i.shape, i.dtype, None, i.value) for i in node.inputs
    )
    local = Node(node.op, leaves, node.attributes, node.shape, node.dtype, None, node.value)
    wanted = [k for k, i in enumerate(leaves) if i.dtype.kind == "f" and not is_plain_constant(i)]
    try:
        found = autodiff.gradient(local, [leaves[k] for k in wanted], ir.constant(g))
    except ChainruleError:
        return nothing
    for k, each in zip(wanted, found, strict=True):
        nothing[k] = None if each is None else each.value
    return nothing


def _named_edges(calc: Calculation, gradients: bool, precision: int) -> list[_Arrow]:
    """One edge from every shown value to those that are computed from it through values that are not shown."""
    back: dict[tuple[Node, Node], Array] = {}
    if gradients and calc.output.dtype.kind == "f":
        targets = [n for n in calc.nodes if n in calc.shown and n.op in LEAVES and n.dtype.kind == "f"]
        try:
            for g in backward(calc, targets, calc.shown):
                back |= {(g.node, t.parent): t.value for t in g.terms}
        except ChainruleError:
            back = {}
    found = []
    for node in calc.nodes:
        if node in calc.shown and node.op not in LEAVES:
            for source in _shown_below(node, calc.shown):
                gradient = _gradient_text(back.get((source, node)), precision)
                found.append(_Arrow(source, node, _value(source.value, precision), gradient))
    return found


def _shown_below(node: Node, shown: Collection[Node]) -> list[Node]:
    found: dict[Node, None] = {}
    stack = list(node.inputs)[::-1]
    seen: set[Node] = set()
    while stack:
        each = stack.pop()
        if each in seen:
            continue
        seen.add(each)
        if each in shown:
            found[each] = None
        else:
            stack += list(each.inputs)[::-1]
    return list(found)


# -------------------------------------------------------------------------------------------- where it goes
def _layout(scene: _Scene) -> Any:
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


def _drawing(scene: _Scene, theme: Theme, calc: Calculation) -> Drawing:
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
    title = f"Graph of {symbol(calc.output.name or 'the calculation').text}"
    return Drawing(width, height, (*lines, *labels, *boxes), title, theme)


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


def _labels(arrow: _Arrow, centre: tuple[float, float]) -> list[str]:
    """The forward value above an edge, and the gradient below it."""
    x, y = centre
    found = [text(x, y - 9, arrow.forward, "small forward")]
    return [*found, text(x, y + 10, arrow.gradient, "small gradient")] if arrow.gradient else found


def _box_shapes(found: _Box, centre: tuple[float, float]) -> list[str]:
    x, y = centre
    shapes = [box(centre, (found.width, found.height), found.kind, 15.0 if found.kind == "leaf" else 7.0)]
    if not found.below:
        return [*shapes, text(x, y, found.label)]
    return [*shapes, text(x, y - 9, found.label), text(x, y + 10, found.below, "small soft")]
