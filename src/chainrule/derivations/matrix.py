"""Matrix form: a layered network as z, a, δ and the gradients of W and b, with shapes; and one weight of a large one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from chainrule.derivations.backward import Gradient, backward, local_derivative
from chainrule.derivations.calculations import Calculation, Place
from chainrule.derivations.derivation import Derivation
from chainrule.derivations.elements import Elements, addends, index_of
from chainrule.derivations.forms import finished
from chainrule.derivations.formulas import Product, product, write
from chainrule.derivations.lines import added, given_step, gradient_step, sum_of_products, value_step, without_repeats
from chainrule.derivations.render.arrays import is_listed
from chainrule.derivations.request import Request
from chainrule.derivations.steps import Factor, Part, Section, Step
from chainrule.derivations.symbols import Formula, constant, derivative_name, natural_order, symbol, total
from chainrule.derivations.words import phrase, sentence
from chainrule.errors import ArgumentError
from chainrule.ir import LEAVES, Node, topological
from chainrule.language import Language
from chainrule.layers import Layer, layers_of_calculation

# ℓ stands for any layer in the sentence that tells the rule.
_GENERAL = {
    "delta": Formula("δˡ", r"\delta^{l}"),
    "above": Formula("δˡ⁺¹", r"\delta^{l+1}"),
    "slope": Formula("σ′(zˡ)", r"\sigma'(z^{l})"),
}


def find_layers(calc: Calculation) -> list[Layer]:
    """The layers of a calculation: matrix products and affine blocks with a parameter, in order."""
    return layers_of_calculation(calc.nodes, calc.learnt)


# -------------------------------------------------------------------------------------------- the form
def matrix_form(request: Request) -> Derivation:
    """Layers, error terms and gradients in matrix notation.

    Raises:
        ArgumentError: the calculation has no layers.
    """
    layers = find_layers(request.calc)
    if not layers:
        raise ArgumentError(
            "the matrix form was asked for a calculation without layers",
            "it needs products of a weight matrix with activations, such as W @ x + b or affine(x, W, b)",
            "Use form='graph' or form='path'.",
        )
    request = replace(request, calc=in_layer_notation(request.calc, layers))
    if not request.chosen:
        request = replace(request, places=tuple(sorted(request.places, key=lambda p: natural_order(p.name))))
    stops = [layer.z for layer in layers]
    names = {layer.z: error_term(layer) for layer in layers}
    gradients = backward(request.calc, [p.node for p in request.places], stops, names)
    sections = [*_forward(request, layers), _backward(request, layers, gradients)]
    by_node = {g.node: g for g in gradients}
    sections += [_element(request, place, by_node) for place in request.places if place.index is not None]
    results = {p.name: by_node[p.node].value[p.index or ...] for p in request.places}
    return finished(request, "matrix", sections, results)


def in_layer_notation(calc: Calculation, layers: Sequence[Layer]) -> Calculation:
    """z¹, a¹, W¹, b¹, … for what the user gave no name (or only a module did, such as 0.weight).

    Python variables count as names where every layer has one for the same part: a loop leaves a `w` for the last layer only.
    """
    replaceable = {n for n in calc.nodes if not is_named_by_user(calc, n)}
    taken = {n.name for n in calc.nodes}
    shown = set(calc.shown)
    for letter, members in _roles(layers).items():
        if all(n in calc.variables for n in members.values()):
            replaceable -= set(members.values())
        for layer, node in members.items():
            name = f"{letter}^{layer}"
            if node in replaceable and name not in taken:
                node.name = name
            shown.add(node)
    data = layers[0].source
    if data in replaceable and data.op in LEAVES and "x" not in taken:
        data.name = "x"
        shown.add(data)
    keep = {n for n in shown if n.op in LEAVES or n is calc.output or any(n in (la.z, la.activation) for la in layers)}
    for node in shown - keep:
        node.name = None if node in replaceable else node.name
    return replace(calc, shown=frozenset(keep | {n for n in shown if n.name}))


def is_named_by_user(calc: Calculation, node: Node) -> bool:
    """Whether the name of a node is the user's: not made up, nor only that of a place in a module, 0.weight."""
    return node in calc.named_by_user and "." not in (node.name or "")


def _roles(layers: Sequence[Layer]) -> dict[str, dict[int, Node]]:
    """Per letter the nodes that play its part, by number of the layer."""
    parts: dict[str, list[Node | None]] = {
        "z": [layer.z for layer in layers],
        "a": [layer.activation for layer in layers],
        "W": [layer.weight for layer in layers],
        "b": [layer.bias for layer in layers],
    }
    return {letter: {k + 1: n for k, n in enumerate(nodes) if n is not None} for letter, nodes in parts.items()}


def error_term(layer: Layer) -> str:
    """The name of δ: with its number where the weighted input has its own, δ₁ beside z₁ and δ¹ beside z¹."""
    return f"delta{layer.number}" if layer.z.name == f"z{layer.number}" else f"delta^{layer.number}"


def layer_notation(calc: Calculation) -> tuple[dict[str, Node], dict[str, Node]]:
    """What the parts of layers are called: nodes by name (z^1 and z1, a^1, W^1, b^1, …, x), and what δ belongs to.

    Names of the calculation come first.
    """
    layers = find_layers(calc)
    names: dict[str, Node] = {}
    terms = {error_term(layer): layer.z for layer in layers}
    for layer in layers:
        terms.setdefault(f"delta^{layer.number}", layer.z)
    for letter, members in _roles(layers).items():
        for number, node in members.items():
            names |= {f"{letter}^{number}": node, f"{letter}{number}": node}
    data = layers[0].source if layers else None
    if data is not None and data.op in LEAVES:
        names["x"] = data
    return names, terms


def name_layers(calc: Calculation) -> None:
    """Give the parts of layers that have no name that of their role: z^1, a^1, ….

    Only the names change: what is shown stays as it is.
    """
    taken = {n.name for n in calc.nodes}
    for name, node in layer_notation(calc)[0].items():
        if node.name is None and name not in taken:
            node.name = name


def _forward(request: Request, layers: Sequence[Layer]) -> list[Section]:
    calc, language, precision = request.calc, request.language, request.precision
    leaves = sorted((n for n in calc.nodes if n in calc.shown and n.op in LEAVES), key=lambda n: natural_order(n.name or ""))
    notes = {layer.z: sentence("weighted-input", language, layer=layer.number) for layer in layers}
    notes |= {la.activation: sentence("activation", language, layer=la.number) for la in layers if la.activation is not None}
    inner = [n for n in calc.nodes if n in calc.shown and n.op not in LEAVES]
    return [
        Section("given", sentence("given", language), tuple(given_step(n, precision, _shape(n, language)) for n in leaves)),
        Section(
            "layers",
            sentence("layers", language),
            tuple(value_step(calc, n, precision, _shape(n, language, notes.get(n))) for n in inner),
        ),
    ]


def _backward(request: Request, layers: Sequence[Layer], gradients: Sequence[Gradient]) -> Section:
    language = request.language
    notes: dict[Node, Formula] = {}
    for layer in layers:
        notes[layer.z] = _error_term_note(layer, language)
        notes[layer.weight] = sentence("weight-gradient", language, layer=layer.number)
        if layer.bias is not None:
            notes[layer.bias] = sentence("bias-gradient", language, layer=layer.number)
    wanted = [g for g in gradients if g.terms]
    steps = tuple(
        gradient_step(request.calc, g, language, request.precision, _shape(g.node, language, notes.get(g.node))) for g in wanted
    )
    return Section("backward", sentence("backward", language), steps, sentence("error-terms", language, **_GENERAL))


def _error_term_note(layer: Layer, language: Language) -> Formula:
    """ "error term of layer 1, with σ′(z¹) = a¹ ⊙ (1 - a¹)"."""
    slope = None if layer.activation is None else local_derivative(layer.activation, layer.z)
    if slope is None or layer.activation is None:
        return sentence("error-term", language, layer=layer.number)
    function, local = write(layer.activation, whole=True), write(slope)
    prime = Formula(
        f"{function.text.replace('(', '′(', 1)} = {local.text}",
        f"{function.latex.replace('(', chr(39) + '(', 1)} = {local.latex}",
    )
    return sentence("error-term-with", language, layer=layer.number, slope=prime)


def _shape(node: Node, language: Language, note: Formula | None = None) -> Formula | None:
    """A note with the shape of a node's array; large arrays tell it themselves."""
    if node.value is None or not node.ndim or not is_listed(node.value):
        return note
    shape = sentence("shape", language, shape="×".join(map(str, node.shape)))
    return shape if note is None else Formula(f"{note.text}, {shape.text}", f"{note.latex}, {shape.latex}")


# -------------------------------------------------------------------------------------------- one weight
def _element(request: Request, place: Place, by_node: dict[Node, Gradient]) -> Section:
    """One element of a gradient, and the error terms that it is made of, with their largest contributions."""
    assert place.index is not None
    steps: list[Step] = []
    position = int(np.ravel_multi_index(place.index, place.node.shape))
    gradient = by_node[place.node]
    assert request.calc.output.name is not None
    last = _contributions(request, gradient, position, derivative_name(request.calc.output.name, place.name))
    for parent, unit in _error_terms(gradient, position):
        if parent in by_node and by_node[parent].terms:
            name = f"{by_node[parent].name}[{', '.join(map(str, index_of(parent, unit)))}]"
            steps.append(_contributions(request, by_node[parent], unit, name))
    steps = [*steps[: request.most], last]
    return Section("element", sentence("element", request.language, symbol=last.symbol), tuple(steps))


def _error_terms(gradient: Gradient, position: int) -> list[tuple[Node, int]]:
    """The elements of upstream gradients that one element of a gradient is made of."""
    found: dict[tuple[Node, int], None] = {}
    for term in gradient.terms:
        elements = Elements()
        read = set(topological([elements.of(term.expression, position)]))
        places = (p for p in range(term.upstream.size) if elements.of(term.upstream, p) in read)
        found |= dict.fromkeys((term.parent, p) for p in places)
    return list(found)


def _contributions(request: Request, gradient: Gradient, position: int, name: str) -> Step:
    """One element of a gradient as a sum of products, the largest listed, the others summed."""
    terms = [t for term in gradient.terms for t in _products(Elements().of(term.expression, position))]
    value = float(gradient.value.flat[position])
    ranked = sorted(terms, key=lambda t: -abs(_value(t)))
    count = min(request.most, max(1, sum(_value(t) != 0.0 for t in ranked)))
    listed, rest = ranked[:count], ranked[count:]
    parts = [_part(t, request.precision) for t in listed]
    note = None
    if rest:
        left = total(_value(t) for t in rest)
        parts.append(
            Part(
                "rest",
                (),
                (),
                Formula(phrase("rest", request.language), rf"\text{{{phrase('rest', request.language)}}}"),
                np.asarray(left),
            )
        )
        note = sentence("largest", request.language, shown=len(listed), count=len(terms), rest=len(rest))
    equations = []
    digits = request.precision
    if parts:
        equations.append(added([p.formula for p in parts]))
        products = [[f.value.item() for f in p.factors] or [p.value.item()] for p in parts]
        numbers, digits = sum_of_products(products, value, request.precision)
        equations.append(numbers)
    shown = without_repeats(equations, np.asarray(value), digits)
    return Step("element", name, symbol(name), shown, np.asarray(value), digits, note, tuple(parts))


def _products(node: Node) -> list[Product]:
    """A scalar formula as a sum of products: a factor before a sum is multiplied in."""
    outer = product(node)
    for k, factor in enumerate(outer.factors):
        terms = addends(factor)
        inner = [product(a) for a in terms] if len(terms) > 1 else []
        if inner and all(p.factors for p in inner):
            others = outer.factors[:k] + outer.factors[k + 1 :]
            return [Product(outer.coefficient * p.coefficient, p.factors + others) for p in inner]
    return [outer]


def _value(term: Product) -> float:
    node = term.node()
    assert node.value is not None
    return float(node.value.item())


def _part(term: Product, precision: int) -> Part:
    factors = (
        [Factor(constant(term.coefficient, precision), np.asarray(term.coefficient))]
        if term.coefficient != 1.0 or not term.factors
        else []
    )
    for factor in term.factors:
        assert factor.value is not None
        factors.append(Factor(write(factor, precision), factor.value))
    return Part("product", (), tuple(factors), write(term.node(), precision), np.asarray(_value(term)))
