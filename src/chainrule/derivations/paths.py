"""Path form: the gradient of a scalar by a scalar as one product per path, then their sum."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from chainrule.derivations.calculations import Calculation, Place, element_name
from chainrule.derivations.elements import Edge, Key, edges, index_of
from chainrule.derivations.formulas import Product, write
from chainrule.derivations.lines import added, product_formula, sum_of_products
from chainrule.derivations.noise import without_noise
from chainrule.derivations.request import Request
from chainrule.derivations.steps import Factor, Part, Section, Step
from chainrule.derivations.symbols import Formula, agreeing_digits, constant, derivative_name, number, symbol, total
from chainrule.derivations.words import phrase, sentence
from chainrule.errors import ArgumentError
from chainrule.ir import Node

_MOST_EDGES = 20_000
_MOST_PATHS = 50_000


@dataclass(frozen=True, eq=False)
class Path:
    """One way from the output to the variable, as its local derivatives. Two ways can look alike: x + x has two paths to x."""

    edges: tuple[Edge, ...]

    @property
    def value(self) -> float:
        """Their product."""
        return math.prod(e.value for e in self.edges)

    def product(self) -> Product:
        """As a coefficient and one factor per local derivative that is no plain number."""
        locals_ = [_readable(e) for e in self.edges]
        coefficient = math.prod(p.coefficient for p in locals_)
        return Product(coefficient, tuple(Product(1.0, p.factors).node() for p in locals_ if p.factors))

    def route(self, shown: Collection[Node]) -> tuple[str, ...]:
        """The names of the shown elements on the way."""
        keys = [self.edges[0].source, *(e.target for e in self.edges)] if self.edges else []
        return tuple(key_name(k) for k in keys if k[0] in shown)


def _readable(edge: Edge) -> Product:
    """The local derivative; one that is too long to be written stays a symbol, ∂h[0]/∂x[1]."""
    if not edge.formula.factors or "…" not in write(Product(1.0, edge.formula.factors).node()).text:
        return edge.formula
    name = derivative_name(key_name(edge.source), key_name(edge.target))
    return Product(1.0, (Node("variable", (), {}, (), np.dtype(np.float64), name, np.asarray(edge.value)),))


def key_name(key: Key) -> str:
    """The name of an element."""
    node, position = key
    return element_name(node.name or node.op, index_of(node, position))


@dataclass(frozen=True, eq=False)
class Web:
    """The local derivatives between all elements that lie between an output and some variables.

    Attributes:
        top: the element of the output.
        below: per element the edges to the elements it is computed from.
    """

    top: Key
    below: dict[Key, list[Edge]]


def web(calc: Calculation, targets: Collection[Node]) -> Web:
    """Every local derivative between the output, which must be a scalar, and the nodes of `targets`.

    Raises:
        ArgumentError: the output is no scalar, or there are too many elements to be taken one by one.
        GradientError: a primitive on the way has no derivative.
    """
    if calc.output.size != 1:
        raise ArgumentError(
            f"the path form was asked for an output of shape {calc.output.shape}",
            "paths start at a scalar",
            "Explain one element of it, or use form='graph'.",
        )
    concerned = set(targets)
    for node in calc.nodes:
        if node.dtype.kind == "f" and any(i in concerned for i in node.inputs):
            concerned.add(node)
    top = (calc.output, 0)
    below: dict[Key, list[Edge]] = {}
    stack = [top]
    count = 0
    while stack:
        key = stack.pop()
        if key in below:
            continue
        node, position = key
        below[key] = [] if node not in concerned or not node.inputs else list(edges(node, position, concerned))
        count += len(below[key])
        if count > _MOST_EDGES:
            raise ArgumentError(
                f"this calculation has more than {_MOST_EDGES} local derivatives between single elements",
                "the path form is for calculations that fit on paper",
                "Use form='matrix' for one weight of a large network, or form='graph'.",
            )
        stack += [e.target for e in below[key]]
    return Web(top, below)


def paths_to(net: Web, target: Key) -> list[Path]:
    """Every path to one element.

    Raises:
        ArgumentError: there are too many.
    """
    leads = _leading_to(net, target)
    if leads.get(net.top, 0) > _MOST_PATHS:
        raise ArgumentError(
            f"there are {leads[net.top]} paths from the output to {key_name(target)}",
            f"at most {_MOST_PATHS} can be written down",
            "Use form='graph' or form='matrix', where paths that meet are added up on the way.",
        )
    return [Path(way) for way in _walk(net, target, leads)]


def _leading_to(net: Web, target: Key) -> dict[Key, int]:
    """Per element the number of paths from it to the target."""
    counts: dict[Key, int] = {}
    stack: list[tuple[Key, bool]] = [(net.top, False)]
    while stack:
        key, done = stack.pop()
        if key in counts:
            continue
        if key == target:
            counts[key] = 1
        elif done:
            counts[key] = sum(counts[e.target] for e in net.below[key])
        else:
            stack.append((key, True))
            stack += [(e.target, False) for e in net.below[key] if e.target not in counts]
    return counts


def _walk(net: Web, target: Key, leads: dict[Key, int]) -> Iterator[tuple[Edge, ...]]:
    if not leads.get(net.top):
        return
    stack: list[tuple[Key, tuple[Edge, ...]]] = [(net.top, ())]
    while stack:
        key, way = stack.pop()
        if key == target:
            yield way
            continue
        stack += [(e.target, (*way, e)) for e in reversed(net.below[key]) if leads.get(e.target)]


# -------------------------------------------------------------------------------------------- as steps
def path_section(request: Request, place: Place) -> tuple[Section, float]:
    """The paths to one scalar, and the sum of their products.

    Raises:
        ArgumentError: see `web` and `paths_to`.
    """
    calc, most = request.calc, request.most
    assert calc.output.name is not None
    position = int(np.ravel_multi_index(place.index, place.node.shape)) if place.index else 0
    if place.index is None and place.node.size != 1:
        raise ArgumentError(
            f"the path form was asked for {place.name} of shape {place.node.shape}",
            "it is for one number",
            f"Name one element, such as {place.name}[{', '.join('0' * place.node.ndim)}], or use form='graph'.",
        )
    name = derivative_name(calc.output.name, place.name)
    found = paths_to(web(calc, [place.node]), (place.node, position))
    sizes = np.asarray(total(abs(p.value) for p in found))
    value = float(without_noise(np.asarray(total(p.value for p in found)), sizes))
    ranked = found if len(found) <= most else sorted(found, key=lambda p: -abs(p.value))
    listed, rest = ranked[:most], ranked[most:]
    names = [name] if len(found) == 1 else [f"p{k + 1}" for k in range(len(listed))]
    steps = [_path_step(p, request, n, k + 1) for k, (p, n) in enumerate(zip(listed, names, strict=True))]
    if len(found) != 1:
        steps.append(_sum_step(listed, rest, name, value, request))
    return Section("paths", sentence("paths", request.language, symbol=symbol(name)), tuple(steps)), value


def _path_step(path: Path, request: Request, name: str, order: int) -> Step:
    precision = request.precision
    part = _path_part(path, request)
    values = [f.value.item() for f in part.factors]
    equations = [part.formula]
    digits = precision
    if len(values) > 1:
        numbers, digits = sum_of_products([values], path.value, precision)
        equations.append(numbers)
    note = sentence("route", request.language, number=order)
    return Step("path", name, symbol(name), tuple(equations), np.asarray(path.value), digits, note, (part,))


def _path_part(path: Path, request: Request) -> Part:
    product = path.product()
    if product.coefficient == 0.0:
        product = Product(0.0)
    coefficient = [] if product.coefficient in (1.0, -1.0) and product.factors else [product.coefficient]
    factors = [Factor(constant(c, request.precision), np.asarray(c)) for c in coefficient]
    sign = product.coefficient if not coefficient else 1.0
    for k, group in enumerate(product.factors):
        assert group.value is not None
        flip = sign if k == 0 else 1.0
        factors.append(
            Factor(write(-group if flip < 0 else group, request.precision), np.asarray(flip * float(group.value.item())))
        )
    return Part(
        "product",
        path.route(request.calc.shown),
        tuple(factors),
        product_formula(product.coefficient, product.factors, request.precision),
        np.asarray(path.value),
    )


def _sum_step(listed: Sequence[Path], rest: Sequence[Path], name: str, value: float, request: Request) -> Step:
    language, precision = request.language, request.precision
    values = [p.value for p in listed]
    symbols = [symbol(f"p{k + 1}") for k in range(len(listed))]
    parts = [_path_part(p, request) for p in listed]
    if rest:
        values.append(total(p.value for p in rest))
        label = phrase("paths-rest", language, count=len(rest))
        symbols.append(Formula(f"({label})", rf"\text{{({label})}}"))
        parts.append(Part("rest", (), (), symbols[-1], np.asarray(values[-1])))
    equations = []
    digits = precision
    if values:
        parts_digits, digits = agreeing_digits(values, total, value, precision)
        equations = [added(symbols), added([number(v, parts_digits) for v in values])]
    return Step(
        "sum",
        name,
        symbol(name),
        tuple(equations),
        np.asarray(value),
        digits,
        sentence("paths-sum", language, count=len(listed) + len(rest)),
        tuple(parts),
    )
