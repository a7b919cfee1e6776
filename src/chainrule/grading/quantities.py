"""The quantities of a calculation by name, in the world as it is and in worlds where some were got differently.

"O5" is a forward value, "h[0]" an element, "dE/dw13" a gradient, "w13'" a parameter after one step of an optimiser, "O5'" a
forward value after that step, "delta5" the error term ∂E/∂x5 (or z5, net5), and "m'" what the optimiser keeps of its parameter
after that step ("m_w13'" where it has several). All may be written as they are printed: ∂E/∂w₁₃, w₁₃′, δ₅, m′.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from chainrule import autodiff, ir
from chainrule.derivations.backward import cut_out, whole_gradient
from chainrule.derivations.calculations import Calculation, Place, place_named
from chainrule.derivations.matrix import is_named_by_user, layer_notation
from chainrule.derivations.paths import Web, web
from chainrule.derivations.symbols import Formula, symbol, typed
from chainrule.derivations.update import moments, step_inputs, stepped
from chainrule.errors import ChainruleError
from chainrule.grading.inner_statistics import Held, with_held_statistics
from chainrule.ir import LEAVES, Array, Node, topological
from chainrule.ops.primitive import lookup

_DERIVATIVE = re.compile(r"d([^/]+)/\s*d(.+)")
_ERROR_TERM = re.compile(r"(?:delta|δ)[_^#]?(\w+(?:\[[^\]]*\])?)")
_PRIMED_ARRAY = re.compile(r"(?<![^/])([^/]+)'(\[[^\]]*\])")  # W'[0, 1], an element of the new W, is W[0, 1]'
_MOMENT = re.compile(r"(?P<state>\w+?)(?:_(?P<of>[\w.^#]+))?(?P<index>\[[^\]]*\])?")


@dataclass(frozen=True)
class Quantity:
    """Something that a name stands for. Two names of one thing, δ₅ and ∂E/∂x₅, are equal.

    Attributes:
        name: as it is typed.
        kind: "value", "gradient", "updated" (a parameter after a step), "after" (a forward value after a step), "moment"
            (what the optimiser keeps of a parameter, after a step) or "step" (what the step begins with: the moment before it,
            the learning rate, the number of the step).
        place: the node or element; of a gradient, what is differentiated by; of a moment, the parameter.
        output: of a gradient, what is differentiated.
        said: how it is written in place of its name, which was made up: z¹ for v3.
        moment: of a moment, and of what a step begins with, its symbol before the step: "m".
    """

    name: str = field(compare=False)
    kind: str
    place: Place
    output: Node | None = None
    moment: str | None = None
    said: str | None = field(default=None, compare=False)

    @property
    def symbol(self) -> Formula:
        """How it is written."""
        if self.said is not None:
            return symbol(self.said)
        if self.kind == "gradient":
            assert self.output is not None
            return symbol(f"d{self.output.name}/d{self.place.name}")
        return symbol(self.name)


def find_quantity(name: str, calc: Calculation, optimizer: Any) -> Quantity | None:
    """The quantity of that name, or None. The name may be written as it is printed, with ∂, ′, raised and lowered digits."""
    text = _PRIMED_ARRAY.sub(r"\1\2'", typed(name.strip()))
    found = _named(text, calc, optimizer)
    if found is None or is_named_by_user(calc, found.place.node) or found.place.node in calc.variables:
        return found
    return found if found.symbol == symbol(text) else replace(found, said=text)


def _named(text: str, calc: Calculation, optimizer: Any) -> Quantity | None:
    derivative = _DERIVATIVE.fullmatch(text)
    if derivative:
        output, place = (_place(part.strip(), calc) for part in derivative.groups())
        if output is None or place is None or output.index is not None:
            return None
        return Quantity(text, "gradient", place, output.node)
    if text.endswith("'"):
        return _after_step(text, calc, optimizer)
    place = _place(text, calc)
    if place is not None:
        return Quantity(place.name, "value", place)
    below = _error_term(text, calc)
    return Quantity(text, "gradient", below, calc.output) if below else _before_step(text, calc, optimizer)


def _after_step(text: str, calc: Calculation, optimizer: Any) -> Quantity | None:
    if optimizer is None:
        return None
    place = _place(text[:-1], calc)
    if place is not None:
        return Quantity(f"{place.name}'", "updated" if is_held(place.node, calc, optimizer) else "after", place)
    state, place = _of_step(text[:-1], calc, optimizer)
    known = () if place is None else _states(place.node, calc, optimizer)
    return Quantity(text, "moment", place, moment=state) if place is not None and state in known else None


def _before_step(text: str, calc: Calculation, optimizer: Any) -> Quantity | None:
    """What a step begins with: η, t, m."""
    if optimizer is None:
        return None
    state, place = _of_step(text, calc, optimizer)
    held = parameters(calc, optimizer)
    if place is None and held and symbol(text) in (symbol("eta"), symbol("t")):
        place = Place(held[0])  # the same for all
    known = {} if place is None else step_inputs(calc, Place(place.node), optimizer)
    found = next((name for name in known if symbol(name) == symbol(state)), None)
    return Quantity(text, "step", place, moment=found) if place is not None and found is not None else None


def _of_step(text: str, calc: Calculation, optimizer: Any) -> tuple[str, Place | None]:
    """The symbol and the parameter of what an optimiser keeps: m of the only one, m_w13."""
    parts, held = _MOMENT.fullmatch(text), parameters(calc, optimizer)
    if parts is None:
        return text, None
    index = parts["index"] or ""
    place = None
    if parts["of"]:
        place = _place(parts["of"] + index, calc)
    elif len(held) == 1:
        place = _place(f"{held[0].name}{index}", calc)
    return parts["state"], place if place is not None and place.node in held else None


def _error_term(text: str, calc: Calculation) -> Place | None:
    """What δ belongs to: the weighted input of a layer, or else x5, z5, … for δ₅."""
    _, terms = layer_notation(calc)
    base, bracket, index = text.partition("[")
    found = next((n for name, n in terms.items() if symbol(name) == symbol(base)), None)
    if found is not None:
        return _place(f"{found.name}{bracket}{index}", calc)
    term = _ERROR_TERM.fullmatch(text)
    below = (_place(letter + term[1], calc) for letter in ("x", "z", "net", "s", "in")) if term else iter(())
    return next((p for p in below if p is not None), None)


def _place(name: str, calc: Calculation) -> Place | None:
    """The place of that name, or the only one that is printed in the same way (w_13 is w13), or a part of a layer (z¹)."""
    base, bracket, index = name.partition("[")
    same = [n.name for n in calc.nodes if n.name and symbol(typed(n.name)) == symbol(base)]
    if not same:
        same = [n.name for layer_name, n in layer_notation(calc)[0].items() if n.name and layer_name == base]
    for candidate in (name, *(f"{found}{bracket}{index}" for found in same if len(same) == 1)):
        try:
            return place_named(candidate, calc)
        except ChainruleError:
            continue
    return None


def names_here(calc: Calculation, optimizer: Any) -> list[str]:
    """The names that can be claimed, as they are typed: forward values, and what a step gives; arrays as wholes."""
    held = parameters(calc, optimizer)
    found = [n.name for n in calc.nodes if n in calc.shown and n.name and n.dtype.kind == "f"]
    for p in held:
        of = "" if len(held) == 1 else f"_{p.name}"
        found += [f"{p.name}'", *(f"{state}{of}'" for state in _states(p, calc, optimizer))]
    return found


def _states(parameter: Node, calc: Calculation, optimizer: Any) -> Collection[str]:
    """The symbols of what an optimiser keeps of a parameter; no gradient needs to exist."""
    return moments(calc, Place(parameter), optimizer, np.zeros(parameter.shape, parameter.dtype))


def is_held(node: Node, calc: Calculation, optimizer: Any) -> bool:
    """Whether an optimiser holds the parameter that a node of the calculation stands for."""
    return node in parameters(calc, optimizer)


def parameters(calc: Calculation, optimizer: Any) -> list[Node]:
    """The nodes that stand for an optimiser's parameters."""
    if optimizer is None:
        return []
    return [calc.copies[p.node] for group in optimizer.groups for p in group.params if p.node in calc.copies]


@dataclass(frozen=True)
class World:
    """A calculation in which some quantities have other values than they should.

    Attributes:
        calc: the calculation, with those forward values in place.
        optimizer: takes the step, if one is asked for.
        gradients: gradients of the output that are taken as given, by node.
    """

    calc: Calculation
    optimizer: Any = None
    gradients: Mapping[Node, Array] = field(default_factory=dict)

    def value(self, quantity: Quantity) -> Array:
        """The value of a quantity of this world's calculation.

        Raises:
            GradientError: a gradient that does not exist.
        """
        index: Any = ... if quantity.place.index is None else quantity.place.index
        return np.asarray(self._whole(quantity)[index])

    def _whole(self, quantity: Quantity) -> Array:
        node = quantity.place.node
        if quantity.kind == "value":
            assert node.value is not None
            return node.value
        if quantity.kind == "gradient":
            assert quantity.output is not None
            return self.gradient(quantity.output, node)
        if quantity.kind == "updated":
            return self.updated[node]
        if quantity.kind == "moment":
            assert quantity.moment is not None
            gradient = self.gradient(self.calc.output, node)
            return np.asarray(moments(self.calc, Place(node), self.optimizer, gradient)[quantity.moment].value)
        if quantity.kind == "step":
            value = np.asarray(step_inputs(self.calc, Place(node), self.optimizer)[quantity.moment or ""].value, node.dtype)
            return np.broadcast_to(value, node.shape) if quantity.place.index else value
        after = changed(self.calc, dict(self.updated))
        found = after.copies[node].value
        assert found is not None
        return found

    def gradient(self, output: Node, node: Node) -> Array:
        """∂output/∂node; zeros where no path leads from the node to the output.

        Raises:
            GradientError: a primitive without a derivative is on a path.
        """
        if output is self.calc.output and self.gradients:
            return _backward_with(self.calc, node, self.gradients)
        if output is self.calc.output and node in self._of_output:
            return self._of_output[node]
        if not leads_to(node, output):
            return np.zeros(node.shape, node.dtype)
        return whole_gradient(output, node)

    @cached_property
    def _of_output(self) -> dict[Node, Array]:
        """The gradients of the output, all at once; none if one of them does not exist."""
        nodes = [n for n in self.calc.nodes if n.dtype.kind == "f"]
        seed = ir.constant(np.ones(self.calc.output.shape), self.calc.output.dtype)
        try:
            found = autodiff.gradient(self.calc.output, nodes, seed)
        except ChainruleError:
            return {}
        return {n: g.value for n, g in zip(nodes, found, strict=True) if g is not None and g.value is not None}

    @property
    def reached(self) -> Collection[Node]:
        """The floating nodes with a gradient of the output."""
        return self._of_output.keys()

    @cached_property
    def updated(self) -> dict[Node, Array]:
        """Every parameter of the optimiser after one step."""
        found = {}
        for node in parameters(self.calc, self.optimizer):
            found[node] = stepped(self.calc, Place(node), self.optimizer, self.gradient(self.calc.output, node)).numpy()
        return found

    def with_values(self, values: Mapping[Quantity, Array]) -> World:
        """The world in which these forward values and gradients were found instead; everything later follows from them."""
        forward: dict[Node, Array] = {}
        back: dict[Node, Array] = {}
        for quantity, value in values.items():
            if quantity.kind == "value":
                _put(forward, quantity.place, value, quantity.place.node.value)
            elif quantity.kind == "gradient" and quantity.output is self.calc.output:
                _put(back, quantity.place, value, self.gradient(self.calc.output, quantity.place.node))
        calc = changed(self.calc, forward)
        return World(calc, self.optimizer, {calc.copies[n]: v for n, v in back.items()})

    def web(self, output: Node, node: Node) -> Web:
        """The local derivatives between an output and a node, of every element.

        Raises:
            ArgumentError: there are too many.
            GradientError: one does not exist.
        """
        if (output, node) not in self._webs:
            self._webs[output, node] = web(replace(self.calc, output=output), [node])
        return self._webs[output, node]

    @cached_property
    def _webs(self) -> dict[tuple[Node, Node], Web]:
        return {}

    @cached_property
    def with_constants(self) -> list[tuple[Held, World]]:
        """The worlds in which inner statistics, such as the mean of a layer norm, are constants."""
        found = []
        for held in with_held_statistics(self.calc):
            copies = held.calc.copies
            gradients = {copies[n]: g for n, g in self.gradients.items() if n in copies}
            found.append((held, World(held.calc, self.optimizer, gradients)))
        return found

    def with_updates(self, values: Mapping[Node, Array]) -> World:
        """The world after a step that gave the parameters these values."""
        return World(changed(self.calc, values), self.optimizer)

    def here(self, quantity: Quantity, other: World) -> Quantity:
        """A quantity of another world's calculation, from which this one was changed, in this one."""
        copies = self.calc.copies
        place = Place(copies.get(quantity.place.node, quantity.place.node), quantity.place.index)
        output = quantity.output
        return replace(quantity, place=place, output=None if output is None else copies.get(output, output))


def leads_to(node: Node, output: Node) -> bool:
    """Whether a node is the output or what it is calculated from."""
    return node in topological([output])


def _put(found: dict[Node, Array], place: Place, value: Array, whole: Array | None) -> None:
    assert whole is not None
    base = np.array(found.get(place.node, whole), dtype=np.result_type(whole.dtype, np.float64))
    base[... if place.index is None else place.index] = value
    found[place.node] = base.astype(whole.dtype)


def changed(calc: Calculation, values: Mapping[Node, Array]) -> Calculation:
    """The calculation with other values for some nodes; what follows from them follows. `copies` maps old to new nodes too."""
    new = recalculated(calc.nodes, values)
    copies = {old: new[copy] for old, copy in calc.copies.items()} | new
    shown, named, learnt = (frozenset(new[n] for n in nodes) for nodes in (calc.shown, calc.named_by_user, calc.learnt))
    return Calculation(new[calc.output], tuple(new[n] for n in calc.nodes), shown, copies, named, learnt=learnt)


def recalculated(order: Sequence[Node], values: Mapping[Node, Array]) -> dict[Node, Node]:
    """Per node of a graph (inputs first) the node that stands for it where some have other values."""
    new: dict[Node, Node] = {}
    for node in order:
        inputs = tuple(new[i] for i in node.inputs)
        if node in values:
            value = np.asarray(values[node], node.dtype)
        elif node.op in LEAVES or all(a is b for a, b in zip(inputs, node.inputs, strict=True)):
            new[node] = node
            continue
        else:
            value = lookup(node.op).run(inputs, node.attributes)
        new[node] = Node(node.op, inputs, node.attributes, node.shape, node.dtype, node.name, value)
    return new


def _backward_with(calc: Calculation, target: Node, given: Mapping[Node, Array]) -> Array:
    """∂output/∂target, with some gradients on the way taken as given."""
    upstream: dict[Node, Array] = {calc.output: np.ones(calc.output.shape, calc.output.dtype)}
    for node in reversed(calc.nodes):
        if node in given and node is not target:
            upstream[node] = np.asarray(given[node], node.dtype)
        if node is target:
            return upstream.get(node, np.zeros(node.shape, node.dtype))
        if node not in upstream or node.op in LEAVES:
            continue
        top, cuts, _ = cut_out(node, set(node.inputs))
        sources = [i for i in cuts if i.dtype.kind == "f"]
        found = autodiff.gradient(top, [cuts[i] for i in sources], ir.constant(upstream[node]))
        for source, g in zip(sources, found, strict=True):
            if g is not None and g.value is not None:
                upstream[source] = upstream.get(source, np.zeros(source.shape, source.dtype)) + g.value
    return np.zeros(target.shape, target.dtype)


def all_arrays(world: World) -> list[Quantity]:
    """Every array that has a name: forward values, and the output's gradients by them."""
    calc = world.calc
    arrays = [n for n in calc.nodes if n in calc.shown and n.dtype.kind == "f" and n.name and n.size > 1]
    return [Quantity(n.name or "", "value", Place(n)) for n in arrays] + [
        Quantity(f"d{calc.output.name}/d{n.name}", "gradient", Place(n), calc.output)
        for n in arrays
        if n in world.reached and n is not calc.output
    ]


def all_quantities(world: World, most: int = 400) -> list[Quantity]:
    """Every scalar that has a name: forward values and the output's gradients, element by element, and updated parameters."""
    calc = world.calc
    places = [
        Place(node, index)
        for node in calc.nodes
        if node in calc.shown and node.dtype.kind == "f" and node.name
        for index in (np.ndindex(*node.shape) if node.shape else [None])
    ][:most]
    assert calc.output.name is not None
    forward = [Quantity(p.name, "value", p) for p in places]
    gradients = [
        Quantity(f"d{calc.output.name}/d{p.name}", "gradient", p, calc.output)
        for p in places
        if p.node in world.reached and p.node is not calc.output
    ]
    held = set(parameters(calc, world.optimizer))
    updated = [Quantity(f"{p.name}'", "updated", p) for p in places if p.node in held]
    return forward + gradients + updated
