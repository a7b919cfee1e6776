"""Slips that people make when they work out a gradient by hand, and the number that each leads to.

A gradient is a sum over paths of products of local derivatives. A slip changes one of these (a factor left out, another in
its place, a sign, σ′ taken at the output) or leaves out a path. What it leads to is computed from the same local derivatives.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule import ir
from chainrule.derivations.elements import Edge, Key, edges, scalar_leaf
from chainrule.derivations.formulas import Product, write
from chainrule.derivations.paths import Web, key_name
from chainrule.derivations.symbols import derivative_name, number, symbol
from chainrule.errors import ArgumentError, ChainruleError
from chainrule.grading.constant_slips import constant_slips
from chainrule.grading.functions import function_name
from chainrule.grading.mixed_up_slips import mixed_up_slips
from chainrule.grading.partial_slips import partial_slips, path_slips
from chainrule.grading.quantities import Quantity, World, changed, parameters
from chainrule.grading.slip import Slip, slip
from chainrule.ir import LEAVES, Array, Node
from chainrule.ops.primitive import facts, is_function, lookup

_MOST_FACTORS = 60


@dataclass(frozen=True)
class _Factor:
    """A factor of a local derivative, as it can be left out or replaced.

    Attributes:
        edge: the local derivative.
        node: the factor.
    """

    edge: Edge
    node: Node

    @property
    def value(self) -> float:
        assert self.node.value is not None
        return float(self.node.value.item())

    def others(self) -> float:
        """The local derivative without this factor."""
        rest = tuple(f for f in self.edge.formula.factors if f is not self.node)
        found = Product(self.edge.formula.coefficient, rest).node().value
        assert found is not None
        return float(found.item())


def gradient_slips(world: World, quantity: Quantity) -> Iterator[Slip]:
    """Every slip that can happen to a gradient of one number, the likely ones first.

    Of a calculation that is too large to be taken apart into single numbers only those in which a statistic is held constant.
    """
    yield from constant_slips(world, quantity)
    try:
        slips = GradientSlips(world, quantity)
    except ChainruleError:
        return
    yield from slips.all()


class GradientSlips:
    """The slips that can happen to one gradient.

    Args:
        world: the calculation.
        quantity: a gradient of a scalar by a scalar.

    Raises:
        ArgumentError: the calculation is too large to be taken apart into single numbers.
    """

    def __init__(self, world: World, quantity: Quantity) -> None:
        assert quantity.output is not None
        self.world, self.quantity = world, quantity
        place = quantity.place
        position = int(np.ravel_multi_index(place.index, place.node.shape)) if place.index else 0
        if place.node.size != 1 and place.index is None:
            raise ArgumentError("slips are looked for in single numbers, and an array was given; give its elements one by one.")
        self.target: Key = (place.node, position)
        given = world.gradients if quantity.output is world.calc.output else {}
        self.web: Web = _with_given(
            world.web(quantity.output, place.node), {n: g for n, g in given.items() if n is not place.node}
        )
        order = _order(self.web)
        self.below = _below(self.web, order, self.target, {})
        self.above = _above(self.web, order)
        self.order = order
        self._layer = _layers(self.web, order)
        self.edges = [e for k in order for e in self.web.below[k] if self.below.get(e.target) and k != self.target]
        self.edges = [e for e in self.edges if e.source in self.above]
        self.value = self.below.get(self.web.top, 0.0)

    # ---------------------------------------------------------------------------------------- what can go wrong
    def all(self) -> Iterator[Slip]:
        """Every slip, the likely ones first."""
        yield slip("sign", "slip-sign", -self.value)
        yield from self._left_out()
        yield from self._upstream_left_out()
        yield from self._transposed()
        yield from self._at_output()
        yield from partial_slips(self)
        yield from self._signs_inside()
        yield from self._constants()
        yield from path_slips(self)
        yield from self._partly_left_out()
        yield from mixed_up_slips(self)
        yield from self._stale()
        yield from self._extra()
        yield from self._replaced()

    def with_edge(self, edge: Edge, value: float) -> float:
        """The gradient if one local derivative had this value."""
        return self.value + self.above[edge.source] * (value - edge.value) * self.below[edge.target]

    def with_edges(self, values: Mapping[int, float]) -> float:
        """The gradient if the local derivatives with these identities had these values."""
        return _below(self.web, self.order, self.target, values).get(self.web.top, 0.0)

    def _factors(self) -> list[_Factor]:
        return [_Factor(e, f) for e in self.edges for f in e.formula.factors if f.size == 1]

    def _left_out(self) -> Iterator[Slip]:
        for edge in self.edges:
            if edge.formula.factors:
                name = write(Product(1.0, edge.formula.factors).node()).text
                yield slip("missing-factor", "slip-missing", self.with_edge(edge, edge.formula.coefficient), factor=name)
        for op, group in self.by_operation():
            value = self.with_edges({id(e): e.formula.coefficient for e in group})
            yield slip("missing-factor", "slip-missing-everywhere", value, factor=f"{op}′")

    def _partly_left_out(self) -> Iterator[Slip]:
        for factor in self._factors():
            factors = factor.edge.formula.factors
            if len(factors) > 1:
                words = {"factor": write(factor.node).text, "whole": write(Product(1.0, factors).node()).text}
                yield slip("missing-factor", "slip-missing-part", self.with_edge(factor.edge, factor.others()), **words)

    def by_operation(self) -> list[tuple[str, list[Edge]]]:
        """Local derivatives of one function, in one layer or everywhere, where there are several: slips come in groups."""
        layers: dict[tuple[str, int], list[Edge]] = {}
        everywhere: dict[str, list[Edge]] = {}
        for edge in self.edges:
            if is_function(edge.source[0]) and edge.formula.factors:
                label = function_name(edge.source[0])
                layers.setdefault((label, self._layer[edge.source]), []).append(edge)
                everywhere.setdefault(label, []).append(edge)
        found = [(label, group) for (label, _), group in layers.items() if len(group) > 1]
        return found + [
            (label, group) for label, group in everywhere.items() if group not in [g for _, g in found] and len(group) > 1
        ]

    def _upstream_left_out(self) -> Iterator[Slip]:
        output = self.web.top[0].name or "E"
        for key in self.order:
            above = self.above.get(key, 1.0)
            if key not in (self.web.top, self.target) and self.below.get(key) and key[0].name and above != 1.0:
                name = symbol(derivative_name(output, key_name(key))).text
                yield slip("missing-factor", "slip-no-upstream", self.below[key], factor=name)

    def _at_output(self) -> Iterator[Slip]:
        there = {id(e): v for e in self.edges if is_function(e.source[0]) and (v := _derivative_at_output(e)) is not None}
        for edge in self.edges:
            if id(edge) in there:
                function = function_name(edge.source[0])
                output = symbol(key_name(edge.source)).text if edge.source[0].name else function
                value = self.with_edge(edge, there[id(edge)])
                yield slip("derivative-at-output", "slip-at-output", value, function=function, output=output)
        for op, group in self.by_operation():
            values = {id(e): there[id(e)] for e in group if id(e) in there}
            yield slip("derivative-at-output", "slip-at-output-everywhere", self.with_edges(values), function=op)

    def _signs_inside(self) -> Iterator[Slip]:
        for edge in self.edges:
            value = self.with_edge(edge, -edge.value)
            if not np.isclose(value, -self.value, rtol=1e-12):
                yield slip("sign", "slip-sign-inside", value, factor=_edge_name(edge))

    def _constants(self) -> Iterator[Slip]:
        sizes = {int(i.size // n.size) for n in self.world.calc.nodes if _adds_up(n) for i in n.inputs if n.size}
        factors = {"2": 2.0, "½": 0.5, "4": 4.0, "¼": 0.25} | {str(n): float(n) for n in sizes if n > 2}
        factors |= {f"1/{n}": 1.0 / n for n in sizes if n > 2}
        for edge in self.edges:
            c = edge.formula.coefficient
            if c not in (1.0, -1.0, 0.0):
                factors.setdefault(number(1.0 / c, 6).text, 1.0 / c)
        for text, value in factors.items():
            yield slip("constant-factor", "slip-constant", value * self.value, factor=text)

    def _transposed(self) -> Iterator[Slip]:
        for factor in self._matrix_factors():
            whole, position = factor
            row, column = divmod(position, whole.shape[1])
            if row == column or row >= whole.shape[1] or column >= whole.shape[0]:
                continue
            for edge in self.edges:
                for f in edge.formula.factors:
                    if f.name == key_name((whole, position)):
                        swapped = scalar_leaf(whole, column * whole.shape[1] + row)
                        yield slip(
                            "transposed", "slip-transposed", self.with_edge(edge, _Factor(edge, f).others() * _number(swapped)),
                            given=symbol(swapped.name or "").text, right=symbol(f.name or "").text,
                        )  # fmt: skip
        yield from self._all_transposed()

    def _all_transposed(self) -> Iterator[Slip]:
        for whole in {w for w, _ in self._matrix_factors() if w.shape[0] == w.shape[1]}:
            values = {}
            for edge in self.edges:
                for f in edge.formula.factors:
                    for position in range(whole.size):
                        if f.name == key_name((whole, position)):
                            row, column = divmod(position, whole.shape[1])
                            other = scalar_leaf(whole, column * whole.shape[1] + row)
                            values[id(edge)] = _Factor(edge, f).others() * _number(other)
            assert whole.name is not None
            yield slip("transposed", "slip-transposed-whole", self.with_edges(values), matrix=symbol(whole.name).text)

    def _matrix_factors(self) -> list[Key]:
        names = {f.name for e in self.edges for f in e.formula.factors}
        matrices = [n for n in self.world.calc.nodes if n.op in LEAVES and n.ndim == 2 and n.name]
        return [(m, k) for m in matrices if m.size <= 400 for k in range(m.size) if key_name((m, k)) in names]

    def _stale(self) -> Iterator[Slip]:
        """An already updated parameter, in one place or all, in the backward pass only or from the start."""
        held = parameters(self.world.calc, self.world.optimizer)
        if not held:
            return
        updated = self.world.updated
        values: dict[int, float] = {}
        layers: dict[int, dict[int, float]] = {}
        for edge in self.edges:
            for f in edge.formula.factors:
                new = _updated_value(f.name, updated)
                if new is not None:
                    values[id(edge)] = _Factor(edge, f).others() * new
                    layers.setdefault(self._layer[edge.source], {})[id(edge)] = values[id(edge)]
                    yield slip(
                        "stale-weight", "slip-stale", self.with_edge(edge, values[id(edge)]), weight=symbol(f.name or "").text
                    )
        for group in [*layers.values(), values]:
            if len(group) > 1:
                yield slip("stale-weight", "slip-stale-all", self.with_edges(group))
        choices = [[p] for p in held] + [[p for p in held if p is not self.target[0]], held]
        for chosen in choices:
            yield from self._stale_from_start([p for p in chosen if p in updated])

    def _stale_from_start(self, chosen: Sequence[Node]) -> Iterator[Slip]:
        calc = changed(self.world.calc, {p: self.world.updated[p] for p in chosen})
        there = World(calc, self.world.optimizer)
        value = float(there.value(there.here(self.quantity, self.world)))
        if len(chosen) == 1:
            yield slip("stale-weight", "slip-stale", value, weight=symbol(chosen[0].name or "").text)
        else:
            yield slip("stale-weight", "slip-stale-all", value)

    def _extra(self) -> Iterator[Slip]:
        for node, text in self._candidates():
            yield slip("extra-factor", "slip-extra", self.value * _number(node), factor=text)
        for edge in self._nearby():
            if edge.formula.factors:
                yield slip("extra-factor", "slip-extra", self.value * edge.value, factor=_edge_name(edge))
                for f in edge.formula.factors:
                    if f.size == 1:
                        yield slip("extra-factor", "slip-extra", self.value * _number(f), factor=write(f).text)

    def _nearby(self) -> list[Edge]:
        """Local derivatives of the calculation, on the way or beside it and below."""
        found = [e for es in self.web.below.values() for e in es]
        node, position = self.target
        if node.op not in LEAVES:
            found += list(edges(node, position, {i for i in node.inputs if i.dtype.kind == "f"}))
        return found[: 4 * _MOST_FACTORS]

    def _replaced(self) -> Iterator[Slip]:
        """Another weight in the place of a weight, another value in the place of a value."""
        candidates = self._candidates()
        weights = {p.name for p in parameters(self.world.calc, self.world.optimizer)}
        for factor in self._factors():
            if factor.node.op not in LEAVES:
                continue
            # In arrays the element at the same place comes first: a whole array was taken for another.
            place = _index_of(factor.node)
            for other, text in sorted(candidates, key=lambda c: _index_of(c[0]) != place):
                alike = (_array_name(other) in weights) == (_array_name(factor.node) in weights)
                if alike and other.name != factor.node.name:
                    value = self.with_edge(factor.edge, factor.others() * _number(other))
                    yield slip("missing-factor", "slip-replaced", value, given=text, right=write(factor.node).text)

    def _candidates(self) -> list[tuple[Node, str]]:
        """Every named number of the calculation."""
        found = []
        for node in self.world.calc.nodes:
            if node.name and node.dtype.kind == "f" and node in self.world.calc.shown:
                for position in range(min(node.size, _MOST_FACTORS)):
                    leaf = scalar_leaf(node, position)
                    assert leaf.name is not None
                    found.append((leaf, symbol(leaf.name).text))
        return found[: 4 * _MOST_FACTORS]


def _with_given(net: Web, gradients: Mapping[Node, Array]) -> Web:
    """The local derivatives where some gradients are taken as given: each is one step down from the top."""
    if not any(node in gradients for node, _ in net.below):
        return net
    below = {key: [e for e in found if e.target[0] not in gradients] for key, found in net.below.items()}
    for key in net.below:
        if key[0] in gradients and key != net.top:
            value = float(gradients[key[0]].flat[key[1]])
            below[net.top] = [*below[net.top], Edge(net.top, key, Product(value), value)]
    return Web(net.top, below)


def _order(net: Web) -> list[Key]:
    """Every element of the web, readers before what they read."""
    found: list[Key] = []
    seen: set[Key] = set()
    stack: list[tuple[Key, bool]] = [(net.top, False)]
    while stack:
        key, done = stack.pop()
        if done:
            found.append(key)
        elif key not in seen:
            seen.add(key)
            stack.append((key, True))
            stack += [(e.target, False) for e in net.below[key]]
    return found[::-1]


def _below(net: Web, order: Sequence[Key], target: Key, values: Mapping[int, float]) -> dict[Key, float]:
    """Per element ∂element/∂target; `values` replaces local derivatives, by the identity of the edge."""
    found: dict[Key, float] = {target: 1.0}
    for key in reversed(order):
        if key != target:
            terms = [values.get(id(e), e.value) * found[e.target] for e in net.below[key] if e.target in found]
            if terms:
                found[key] = float(sum(terms))
    return found


def _above(net: Web, order: Sequence[Key]) -> dict[Key, float]:
    """Per element ∂top/∂element."""
    found: dict[Key, float] = {net.top: 1.0}
    for key in order:
        for edge in net.below[key]:
            found[edge.target] = found.get(edge.target, 0.0) + found.get(key, 0.0) * edge.value
    return found


def _layers(net: Web, order: Sequence[Key]) -> dict[Key, int]:
    """Per element how many functions of one value (activations) lie between it and the top, at most."""
    found = dict.fromkeys(order, 0)
    for key in order:
        for edge in net.below[key]:
            found[edge.target] = max(found.get(edge.target, 0), found[key] + int(is_function(edge.source[0])))
    return found


def _adds_up(node: Node) -> bool:
    """Whether a node is a sum or a mean, so that the number of elements may be forgotten."""
    return facts(node).statistic or (facts(node).sums and "axis" in node.attributes)


def _edge_name(edge: Edge) -> str:
    """∂O₅/∂x₅, or the formula of the local derivative where its ends have no names."""
    source, target = edge.source[0], edge.target[0]
    if source.name and target.name:
        return symbol(derivative_name(key_name(edge.source), key_name(edge.target))).text
    return write(edge.formula.node()).text


def _derivative_at_output(edge: Edge) -> float | None:
    """f′(f(x)) in place of f′(x)."""
    node, position = edge.source
    primitive = lookup(node.op)
    if primitive.partials is None or node.value is None or node.op == "square":
        return None
    y = ir.variable(node.value.flat[position])
    try:
        local = primitive.partials[0](y, y=primitive(y, **node.attributes), **node.attributes)
    except ChainruleError:
        return None
    value = float(local.value.item()) if isinstance(local, Node) and local.value is not None else None
    return None if value is None or not np.isfinite(value) else value


def _array_name(element: Node) -> str:
    return (element.name or "").partition("[")[0]


def _index_of(element: Node) -> str:
    return (element.name or "").partition("[")[2]


def _updated_value(name: str | None, updated: Mapping[Node, Any]) -> float | None:
    for node, value in updated.items():
        for position in range(min(node.size, 400)):
            if name == key_name((node, position)):
                return float(value.flat[position])
    return None


def _number(node: Node) -> float:
    assert node.value is not None
    return float(node.value.item())
