"""Lines of a derivation: symbol = formula = formula with numbers = value, with digits that agree."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from chainrule import ir
from chainrule.derivations.backward import Gradient, Term, cut_out
from chainrule.derivations.calculations import Calculation
from chainrule.derivations.formulas import Product, named_symbol, repeats_a_number, tidy, uniform, write
from chainrule.derivations.steps import Factor, Part, Step
from chainrule.derivations.symbols import Formula, agreeing_digits, derivative_name, is_short, number, symbol, total
from chainrule.derivations.words import sentence
from chainrule.ir import LEAVES, Array, Node, topological
from chainrule.language import Language
from chainrule.ops.primitive import lookup


def evaluate(top: Node, values: Mapping[Node, float | Array]) -> Array:
    """The value of a formula for other values of some of its leaves."""
    found: dict[Node, Node] = {}
    for node in topological([top]):
        if node in values:
            value = np.asarray(values[node], node.dtype).reshape(node.shape)
        elif node.op in LEAVES:
            found[node] = node
            continue
        else:
            value = lookup(node.op).run(tuple(found[i] for i in node.inputs), node.attributes)
        found[node] = Node("constant", (), {}, node.shape, node.dtype, None, value)
    result = found[top].value
    assert result is not None
    return result


def given_step(node: Node, precision: int, note: Formula | None = None) -> Step:
    """A leaf and its value."""
    assert node.name is not None
    return Step("given", node.name, symbol(node.name), (), node.value, precision, note)


def value_step(calc: Calculation, node: Node, precision: int, note: Formula | None = None, *, simplify: bool = False) -> Step:
    """A node, its formula in the shown nodes (simplified, if wished), and its value."""
    assert node.name is not None and node.value is not None
    top, cuts, _ = cut_out(node, calc.shown)
    if simplify:
        top.name = None
        top = tidy(top)
    equations = [write(top, precision, whole=True)]
    digits, value = precision, calc.values.get(node, node.value)
    leaves = [*cuts.values(), *_long_constants(top)]
    known = {cut: calc.values.get(original, original.value) for original, cut in cuts.items()}
    numbers = {leaf: float(np.asarray(known.get(leaf, leaf.value)).item()) for leaf in leaves if leaf.size == 1}
    if node.size == 1 and node.dtype.kind == "f" and leaves and len(numbers) == len(leaves):
        parts_digits, digits = agreeing_digits(
            list(numbers.values()),
            lambda values: float(evaluate(top, dict(zip(leaves, values, strict=True))).item()),
            float(value.item()),
            precision,
        )
        shown = {leaf: number(known_value, parts_digits) for leaf, known_value in numbers.items()}
        equations.append(write(top, symbols=lambda n: shown[n] if n in shown else named_symbol(n), whole=True))
    return Step("value", node.name, symbol(node.name), without_repeats(equations, value, digits), value, digits, note)


def _long_constants(top: Node) -> list[Node]:
    """Numbers in a formula that are rounded when they are shown, such as 1/3."""
    found = (n for n in topological([top]) if n.op == "constant" and n.name is None and n.size == 1 and n.value is not None)
    return [n for n in found if not is_short(_float(n))]


def _float(node: Node) -> float:
    assert node.value is not None
    return float(node.value.item())


def without_repeats(equations: Sequence[Formula], value: Array, digits: int) -> tuple[Formula, ...]:
    """Leave out a right-hand side that only repeats the one before it, or the value itself."""
    kept: list[Formula] = []
    for equation in equations:
        if not kept or equation != kept[-1]:
            kept.append(equation)
    if kept and value.size == 1 and kept[-1] == number(value.item(), digits):
        kept.pop()
    return tuple(kept)


# -------------------------------------------------------------------------------------------- gradients
def gradient_step(
    calc: Calculation, gradient: Gradient, language: Language, precision: int, note: Formula | None = None
) -> Step:
    """The gradient at a node: the sum of what its readers send back, each upstream gradient × local derivative."""
    assert calc.output.name is not None and gradient.node.name is not None
    output = symbol(calc.output.name)
    if not gradient.terms:
        note = sentence("seed", language, output=output) if np.any(gradient.value) else sentence("no-flow", language)
        return Step("seed", gradient.name, symbol(gradient.name), (), gradient.value, precision, note)
    parts = [_part(term, precision) for term in gradient.terms]
    equations = [added([p.formula for p in parts])]
    digits = precision
    if all(p.rule == "product" and p.value.size == 1 for p in parts):
        terms = [[f.value.item() for f in p.factors] for p in parts]
        numbers, digits = sum_of_products(terms, float(gradient.value.item()), precision)
        equations.append(numbers)
    if plainer := _with_sums_of_one(gradient, precision):
        equations.append(plainer[1])
        note = note or sentence("sums-to-one", language, sum=plainer[0])
    if note is None and len(parts) > 1:
        parents = [symbol(name) for part in parts for name in part.via]
        note = sentence("several", language, symbol=symbol(gradient.node.name), output=output, parents=parents)
    shown = without_repeats(equations, gradient.value, digits)
    return Step("gradient", gradient.name, symbol(gradient.name), shown, gradient.value, digits, note, tuple(parts))


def _with_sums_of_one(gradient: Gradient, precision: int) -> tuple[Formula, Formula] | None:
    """Of a gradient with a sum over given values that is 1, as of targets: this sum, and the formula without it."""
    expressions = [term.expression for term in gradient.terms]
    ones = [n for e in expressions for n in topological([e]) if _is_sum_of_one(n)]
    if not ones:
        return None
    replaced: dict[Node, Node] = {}
    for node in topological(expressions):
        inputs = tuple(replaced[i] for i in node.inputs)
        one = ir.constant(np.ones(node.shape), node.dtype)
        same = inputs == node.inputs
        kept = node if same else Node(node.op, inputs, node.attributes, node.shape, node.dtype, node.name, node.value)
        replaced[node] = one if node in ones else kept
    return write(ones[0]), added([write(tidy(replaced[e]), precision) for e in expressions])


def _is_sum_of_one(node: Node) -> bool:
    source = node.inputs[0] if node.op == "sum" and node.name is None else None
    given = source is not None and ((source.op in LEAVES and source.name is not None) or source.op == "one_hot")
    return given and bool(np.all(_array(node) == 1.0))


def _part(term: Term, precision: int) -> Part:
    assert term.parent.name is not None
    upstream = Factor(named_symbol(term.upstream), _array(term.upstream))
    from_output = term.upstream.name == derivative_name(term.parent.name, term.parent.name)
    if term.local is None:
        return Part("pullback", (term.parent.name,), (upstream,), write(term.expression, precision), term.value)
    local = np.broadcast_to(_array(term.local), term.value.shape)
    factors: tuple[Factor, ...] = (upstream, Factor(write(term.local, precision), local))
    if from_output:
        return Part("product", (term.parent.name,), (factors[1],), write(term.local, precision), term.value)
    joined = term.upstream * (term.local.inputs[0] if repeats_a_number(term.local) else term.local)
    plain = uniform(term.local)
    if plain in (1.0, -1.0):
        joined = tidy(joined)
        factors = factors[:1] if plain == 1.0 else factors
    return Part("product", (term.parent.name,), factors, write(joined, precision), term.value)


def _array(node: Node) -> Array:
    assert node.value is not None
    return node.value


# -------------------------------------------------------------------------------------------- sums and products
def added(formulas: Sequence[Formula]) -> Formula:
    """Formulas joined by + and, where one begins with a minus, −."""
    return Formula(_joined([f.text for f in formulas]), _joined([f.latex for f in formulas]))


def _joined(terms: Sequence[str]) -> str:
    text = terms[0]
    for term in terms[1:]:
        text += f" - {term[1:]}" if term.startswith("-") else f" + {term}"
    return text


def multiplied(numbers: Sequence[Formula]) -> Formula:
    """Numbers joined by dots, negative ones after the first in brackets."""
    texts = [n.text if k == 0 or not n.text.startswith("-") else f"({n.text})" for k, n in enumerate(numbers)]
    latexes = [n.latex if k == 0 or not n.latex.startswith("-") else f"({n.latex})" for k, n in enumerate(numbers)]
    return Formula(" · ".join(texts), r" \cdot ".join(latexes))


def sum_of_products(terms: Sequence[Sequence[float]], value: float, precision: int) -> tuple[Formula, int]:
    """Σ Π with numbers, shown so that they give the shown total; and the digits of the total."""
    sizes = [len(t) for t in terms]
    flat = [v for t in terms for v in t]

    def calculate(values: Sequence[float]) -> float:
        rest = iter(values)
        return total(math.prod(next(rest) for _ in range(n)) for n in sizes)

    digits, shown = agreeing_digits(flat, calculate, value, precision)
    return added([multiplied([number(v, digits) for v in t]) for t in terms]), shown


def product_formula(coefficient: float, groups: Sequence[Node], precision: int) -> Formula:
    """coefficient · group · group …; each group is one factor, itself perhaps a product."""
    return write(Product(coefficient, tuple(groups)).node(), precision)
