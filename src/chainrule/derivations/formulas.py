"""Formulas as a person would write them: simplified, with the symbols of explanations.

`tidy` simplifies a formula without changing its value: constants are multiplied out (½·2 cancels), a sign moves to the front,
moves that move nothing disappear. `write` gives text and LaTeX, by `chainrule.ops.notation`. Both stop at named nodes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from chainrule import ir
from chainrule.derivations.symbols import Formula, constant, symbol
from chainrule.ir import LEAVES, Node, topological
from chainrule.ops import notation
from chainrule.ops.primitive import facts, lookup
from chainrule.ops.written import Style, matrix, sizes

Symbols = Callable[[Node], Formula]
_MOST_TERMS = 8  # of a sum in which like terms are looked for
_STYLES: tuple[Style, Style] = ("text", "latex")


def is_atom(node: Node) -> bool:
    """Whether a formula stops at this node: it has a name or is a leaf."""
    return node.name is not None or node.op in LEAVES


def uniform(node: Node) -> float | None:
    """The number that an unnamed constant holds in every element, if it is one."""
    if node.op != "constant" or node.name is not None or node.value is None or node.size == 0:
        return None
    first = node.value.flat[0]
    return float(first) if node.dtype.kind != "b" and bool(np.all(node.value == first)) else None


# -------------------------------------------------------------------------------------------- simplification
@dataclass(frozen=True)
class Product:
    """coefficient · factor · factor …"""

    coefficient: float
    factors: tuple[Node, ...] = ()

    def node(self) -> Node:
        """The product as a node."""
        if self.coefficient == 0.0 or not self.factors:
            return ir.constant(self.coefficient)
        result = self.factors[0]
        for factor in self.factors[1:]:
            result = result * factor
        if self.coefficient == 1.0:
            return result
        if len(self.factors) == 1 and (below := _inverted(self)) is not None:
            return self.coefficient / below
        return -result if self.coefficient == -1.0 else self.coefficient * result

    def __mul__(self, other: Product) -> Product:
        return Product(self.coefficient * other.coefficient, self.factors + other.factors)


def tidy(node: Node) -> Node:
    """The same value in a simpler formula. Every node must have its value; named nodes are left as they are."""
    if is_atom(node):
        return node
    simpler = _whole(node, product(node))
    return simpler if is_atom(simpler) else _valued(simpler, node)


def _valued(formula: Node, node: Node) -> Node:
    """A formula with the value that ran, to the last bit: 1 - s - s and 1 - 2s are rounded in different ways."""
    return Node(formula.op, formula.inputs, formula.attributes, node.shape, node.dtype, None, node.value)


def product(node: Node) -> Product:
    """A formula as a coefficient and simplified factors, squares gathered."""
    found: dict[Node, Product] = {}
    for each in topological([node], stop=is_atom):
        found[each] = _simplified(each, found)
    result = found[node]
    return Product(result.coefficient, _gather_squares(result.factors))


def _simplified(node: Node, found: Mapping[Node, Product]) -> Product:
    if is_atom(node):
        known = uniform(node)
        return Product(1.0, (node,)) if known is None else Product(known)
    inputs = [found[i] for i in node.inputs]
    if moves_nothing(node):
        return _stretched(inputs[0], node)
    each = lookup(node.op).elementwise
    if each and node.shape:
        inputs = [_unstretched(p) for p in inputs]
    rule = _RULES.get(node.op, _linear if _is_linear(node) else None)
    simpler = rule(node, *inputs) if rule is not None else None
    if simpler is None and all(not p.factors for p in inputs) and (known := _same_everywhere(node)) is not None:
        simpler = Product(known)
    if simpler is None:
        whole = [_gathered(p) if each else _whole(i, p) for i, p in zip(node.inputs, inputs, strict=True)]
        simpler = Product(1.0, (_rebuilt(node, whole),))
    if simpler.coefficient == 0.0 and not np.any(node.value):
        return Product(0.0)
    return _stretched(simpler, node) if node.shape or not each else simpler


def _whole(node: Node, p: Product) -> Node:
    """The product that a node is, with the node's shape: a number stands in every element."""
    if p.factors and p.coefficient != 0.0:
        return p.node()
    return ir.constant(np.full(node.shape, p.coefficient), node.dtype)


def _unstretched(p: Product) -> Product:
    """Without repetitions of numbers and rows: operations element by element repeat them themselves."""
    return Product(p.coefficient, tuple(f.inputs[0] if repeats_a_number(f) or _repeats(f) else f for f in p.factors))


def _repeats(node: Node) -> bool:
    return node.name is None and node.op == "broadcast_to"


def repeats_a_number(node: Node) -> bool:
    """Whether a node is one number, in every element of its shape."""
    return node.name is None and node.op in ("broadcast_to", "reshape") and node.inputs[0].size == 1


def _stretched(p: Product, node: Node) -> Product:
    """With the shape of the node that it stands for: the w of w · [1, 1, 1] is repeated three times."""
    if not p.factors or np.broadcast_shapes(*{f.shape for f in p.factors}) == node.shape:
        return p
    found = Product(1.0, p.factors).node()
    if found.ndim > node.ndim:  # axes of size 1 before the others
        found = _apply("reshape", found, found.shape[found.ndim - node.ndim :])
    return Product(p.coefficient, (found if found.shape == node.shape else _apply("broadcast_to", found, node.shape),))


def _times(node: Node, a: Product, b: Product) -> Product:
    """a · (1 / b) is a / b."""
    for one, other in ((a, b), (b, a)):
        below = _inverted(other)
        if below is not None and one.factors and below.shape == node.shape:
            quotient = _apply("divide", Product(1.0, one.factors).node(), below)
            return Product(one.coefficient * other.coefficient, (quotient,))
    return a * b


def _masked(node: Node, value: Product, _condition: Product) -> Product:
    """x · [the condition holds], a product like any other."""
    return value * Product(1.0, (_apply("cast", node.inputs[1], dtype=node.dtype),))


def _inverted(p: Product) -> Node | None:
    """b, of 1 / b."""
    if len(p.factors) != 1 or p.factors[0].op != "divide" or p.factors[0].name is not None:
        return None
    above, below = p.factors[0].inputs
    return below if uniform(above) == 1.0 else None


def unshifted(node: Node) -> Node | None:
    """exp(x) / Σ exp(x), of such a quotient in which a constant is taken off x so that nothing overflows: it cancels.

    None of anything else, and where exp(x) does overflow, or all of it is 0.
    """
    if node.op != "divide" or node.name is not None:
        return None
    above, below = node.inputs
    (shifted,) = above.inputs if above.op == "exp" and above.name is None else (node,)
    if below.op != "sum" or below.name is not None or below.inputs != (above,) or shifted.op != "subtract":
        return None
    x, shift = shifted.inputs
    if shifted.name is not None or shift.name is not None or shift.op != "stop_gradient":
        return None
    with np.errstate(over="ignore"):
        powers = _apply("exp", x)
        sums = _apply("sum", powers, **below.attributes)
    if powers.shape != above.shape or not np.all(np.isfinite(np.asarray(sums.value)) & (np.asarray(sums.value) > 0.0)):
        return None
    return _rebuilt(node, (powers, sums))


def _quotient(node: Node, a: Product, b: Product) -> Product | None:
    simpler = unshifted(node)
    if simpler is not None:
        return product(simpler)
    if b.coefficient == 0.0:
        return None
    scale = Product(a.coefficient / b.coefficient)
    if not b.factors:
        return scale * Product(1.0, a.factors)
    return scale * Product(1.0, (_apply("divide", Product(1.0, a.factors).node(), Product(1.0, b.factors).node()),))


def _linear(node: Node, inner: Product) -> Product | None:
    """A coefficient moves out of a sum or a move; a number that is repeated n times has the sum n · x."""
    if not inner.factors or inner.coefficient == 0.0:
        return None
    source = Product(1.0, inner.factors).node()
    if node.op == "sum" and node.size and (repeats_a_number(source) or _repeats(source)):
        return Product(inner.coefficient) * _sum_of_repetitions(node, source)
    if node.op == "transpose" and node.ndim == 2:
        return Product(inner.coefficient) * _transposed_product(node, source)
    if inner.coefficient == 1.0:
        return None
    value = lookup(node.op).run((source,), node.attributes)
    rest = Node(node.op, (source,), node.attributes, node.shape, node.dtype, None, value)
    return Product(inner.coefficient, (rest,))


def _sum_of_repetitions(node: Node, source: Node) -> Product:
    """The sum of an array that is repeated: along axes of repetition it is multiplied, along the others added up."""
    (x,) = source.inputs
    axes, keepdims = node.attributes["axis"], node.attributes["keepdims"]
    if x.size == 1:
        return Product(source.size / node.size, (x,))
    shape = (*(1,) * (source.ndim - x.ndim), *x.shape)
    times = math.prod(n for a, n in enumerate(source.shape) if a in axes and shape[a] == 1)
    rest = _apply("sum", _apply("reshape", x, shape) if x.shape != shape else x, axis=axes, keepdims=keepdims)
    return Product(float(times), (rest,))


def _moved_back(node: Node, inner: Product) -> Product | None:
    """Moves that undo one another, such as those of a kernel that is turned twice by 180°."""
    here, moves = Product(1.0, inner.factors).node(), [node]
    while here.op in ("flip", "reshape", "transpose") and here.name is None:
        moves.append(here)
        here = here.inputs[0]
        order = np.arange(node.size).reshape(here.shape)
        moved = order
        for move in reversed(moves):
            moved = lookup(move.op).run((ir.constant(moved),), move.attributes)
        if here.shape == node.shape and np.array_equal(moved, order):
            return Product(inner.coefficient, (here,))
    return None


def _same_everywhere(node: Node) -> float | None:
    if node.value is None or node.dtype.kind != "f" or node.size == 0:
        return None
    first = node.value.flat[0]
    return float(first) if bool(np.all(node.value == first)) else None


def _transposed_product(node: Node, source: Node) -> Product:
    """(Aᵀ)ᵀ = A and (A B)ᵀ = Bᵀ Aᵀ."""
    if source.name is None and source.op == "transpose" and source.ndim == 2:
        return Product(1.0, (source.inputs[0],))
    if source.name is None and source.op == "matmul" and all(i.ndim == 2 for i in source.inputs):
        a, b = (_flipped(i) for i in source.inputs)
        return Product(1.0, (_apply("matmul", b, a),))
    return Product(1.0, (_apply("transpose", source),))


def _flipped(node: Node) -> Node:
    if node.op == "transpose" and node.name is None:
        return node.inputs[0]
    return _apply("transpose", node)


def _sum(node: Node, a: Product, b: Product) -> Product:
    minus = node.op == "subtract"
    if b.coefficient == 0.0:
        return a
    if a.coefficient == 0.0:
        return Product(-1.0) * b if minus else b
    if not a.factors and not b.factors:
        return Product(a.coefficient - b.coefficient if minus else a.coefficient + b.coefficient)
    if b.factors and b.coefficient < 0.0:
        minus, b = not minus, Product(-b.coefficient, b.factors)
    gathered = _like_terms(node, a, Product(-1.0 if minus else 1.0) * b)
    if gathered is not None:
        return gathered
    if a.factors and a.coefficient == -1.0 and not minus:
        a, b, minus = b, Product(1.0, a.factors), True
    return Product(1.0, (_apply("subtract" if minus else "add", _gathered(a), _gathered(b)),))


def _like_terms(node: Node, a: Product, b: Product) -> Product | None:
    """a + b, if a term of b differs only in its coefficient from one of a: s + s is 2s, and 1 - s - s is 1 - 2s."""
    first, second = _terms(a), _terms(b)
    gathered: dict[object, tuple[float, Node]] = {}
    for coefficient, rest in first + second:
        known = gathered.get(_key(rest), (0.0, rest))
        gathered[_key(rest)] = (known[0] + coefficient, known[1])
    alike = len(gathered) < len(first) + len(second)
    return _added_up(node, [t for t in gathered.values() if t[0] != 0.0]) if alike else None


def _terms(p: Product) -> list[tuple[float, Node]]:
    """The terms of a sum, each with its coefficient; of a long sum, and of what is none, the whole."""
    if not p.factors:
        return [(p.coefficient, ir.constant(1.0))]
    top = Product(1.0, _gather_squares(p.factors)).node()
    found: list[tuple[float, Node]] = []
    rest = top
    while p.coefficient == 1.0 and rest.op in ("add", "subtract") and rest.name is None and len(found) < _MOST_TERMS:
        coefficient, term = _scaled(rest.inputs[1])
        found.append((-coefficient if rest.op == "subtract" else coefficient, term))
        rest = rest.inputs[0]
    return [_scaled(rest), *reversed(found)] if found and len(found) < _MOST_TERMS else [(p.coefficient, top)]


def _scaled(node: Node) -> tuple[float, Node]:
    """Coefficient and the rest of a term."""
    if node.op == "negative" and node.name is None:
        return -1.0, node.inputs[0]
    known = uniform(node.inputs[0]) if node.op == "multiply" and node.name is None else None
    if known is not None:
        return known, node.inputs[1]
    alone = uniform(node)
    return (1.0, node) if alone is None else (alone, ir.constant(1.0))


def _added_up(node: Node, terms: Sequence[tuple[float, Node]]) -> Product | None:
    """Terms as a sum with the value that ran."""
    products = [Product(c) if uniform(rest) == 1.0 else Product(c, (rest,)) for c, rest in terms]
    if not products:
        return None if np.any(node.value) else Product(0.0)  # what is left by rounding is not hidden
    if len(products) == 1:
        return products[0]
    total = products[0].node()
    for p in products[1:]:
        plus = p.coefficient > 0.0
        total = _apply("add" if plus else "subtract", total, Product(abs(p.coefficient), p.factors).node())
    return Product(1.0, (_valued(total, node),))


def _key(node: Node, depth: int = 6) -> object:
    """Equal for formulas that are the same."""
    if is_atom(node) or not depth:
        known = uniform(node)
        return node if known is None else known
    return (node.op, str(dict(node.attributes)), node.shape, *(_key(i, depth - 1) for i in node.inputs))


def _chosen(node: Node, *_: Product) -> Product | None:
    """A case that is kept apart, such as 0⁰, and that did not occur in any element: what remains is the formula itself."""
    condition, _special, _usual = node.inputs
    if condition.op not in _KEPT_APART or condition.name is not None or condition.value is None or condition.size == 0:
        return None
    occurred = condition.value.flat[0]
    branch = node.inputs[1 if occurred else 2]
    return product(branch) if bool(np.all(condition.value == occurred)) and branch.shape == node.shape else None


_KEPT_APART = ("equal", "logical_and")


def _power(node: Node, base: Product, power: Product) -> Product | None:
    exponent = power.coefficient
    if power.factors:
        return None
    if exponent == 1.0:
        return base
    if exponent == 0.0:
        return Product(1.0)
    return Product(1.0, (_rebuilt(node, [base.node(), ir.constant(exponent)]),))


_RULES: dict[str, Callable[..., Product | None]] = {
    "multiply": _times,
    "masked": _masked,
    "negative": lambda node, a: Product(-1.0) * a,
    "divide": _quotient,
    "add": _sum,
    "subtract": _sum,
    "power": _power,
    "where": _chosen,
    "flip": _moved_back,
}


def _is_linear(node: Node) -> bool:
    """Whether a coefficient of the only input is one of the result: a sum, or a move that puts nothing beside it."""
    known = facts(node)
    return len(node.inputs) == 1 and (known.sums or known.moves in ("reshapes", "reorders", "repeats", "picks"))


def _gathered(p: Product) -> Node:
    return Product(p.coefficient, _gather_squares(p.factors)).node()


def _gather_squares(factors: Sequence[Node]) -> tuple[Node, ...]:
    """Equal factors as one power."""
    unique = list(dict.fromkeys(factors))
    if len(unique) == len(factors):
        return tuple(factors)
    counts = [sum(f is u for f in factors) for u in unique]
    return tuple(u if n == 1 else _apply("power", u, ir.constant(float(n))) for u, n in zip(unique, counts, strict=True))


def _apply(op: str, *operands: Any, **attributes: Any) -> Node:
    return lookup(op)(*operands, **attributes)


def _rebuilt(node: Node, inputs: Sequence[Node]) -> Node:
    return Node(node.op, tuple(inputs), node.attributes, node.shape, node.dtype, None, node.value)


def moves_nothing(node: Node) -> bool:
    """Whether a node hands its input on as it is, for a reader: a move to the same shape, or a change of precision."""
    moves = facts(node).moves
    if moves is None or len(node.inputs) != 1:
        return False
    (source,) = node.inputs
    if moves == "reorders":
        return node.size == 1 or node.attributes.get("axes") == tuple(range(node.ndim))
    same_kind = (source.dtype.kind == "f") == (node.dtype.kind == "f")
    return same_kind and (source.shape == node.shape or (node.size == 1 and source.size == 1))


# -------------------------------------------------------------------------------------------- writing
def named_symbol(node: Node, precision: int = 6) -> Formula:
    """The symbol of a named node; the number or kind of an unnamed leaf."""
    if node.name is not None:
        return symbol(node.name)
    if node.value is not None and node.size == 1:
        return constant(node.value.item(), precision)
    known = uniform(node)
    return constant(known, precision) if known is not None else _array(node, precision)


def _array(node: Node, precision: int) -> Formula:
    """A short vector of numbers, I for the identity; else the shape of the array."""
    if node.value is not None and node.ndim == 1 and node.size <= _MOST_TERMS:
        items = [constant(v.item(), precision) for v in node.value]
        return Formula(*(matrix([[i.style(s) for i in items]], s) for s in _STYLES))
    if node.value is not None and node.ndim == 2 and np.array_equal(node.value, np.eye(node.shape[0], node.shape[1])):
        return Formula("I", "I")
    return Formula(f"[{sizes(node.shape)}]", rf"\left[{sizes(node.shape)}\right]".replace("×", r" \times "))


def write(node: Node, precision: int = 6, symbols: Symbols | None = None, *, whole: bool = False) -> Formula:
    """A node as a formula.

    Args:
        node: the top of the formula; its own name is not used if it is no leaf and `whole` is set.
        precision: significant digits of numbers such as 1/3 in it; those that were typed are written in full.
        symbols: what stands for the nodes at which the formula stops, if not their names and numbers.
        whole: write the calculation of `node` even if it has a name.
    """
    stands_for = symbols or partial(named_symbol, precision=precision)
    return Formula(*(notation.formula(node, s, lambda n, style: stands_for(n).style(style), whole=whole) for s in _STYLES))
