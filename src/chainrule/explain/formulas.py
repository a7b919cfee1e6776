"""Writing nodes as a person would: simplified, with the notation of each primitive's record.

`tidy` simplifies a formula without changing its value: constants are multiplied out (½·2 cancels), a sign moves to the front,
moves that move nothing disappear. `write` gives the text or LaTeX. Both stop at nodes that have a name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from chainrule import ir
from chainrule.explain.symbols import Formula, number, superscript, symbol
from chainrule.ir import LEAVES, Node, topological
from chainrule.ops.elementwise import COMPARE, POWER, PRODUCT, SIGN
from chainrule.ops.notation import Style
from chainrule.ops.primitive import lookup

Symbols = Callable[[Node], Formula]
_PLACEHOLDER = re.compile(r"<(\d)(!?)>|#(\d|\*|[a-z_]+)")
_LONGEST = 2000
_ATOM = 100
_MATMUL = PRODUCT - 1  # so that it gets brackets in products element by element
_FRACTION = PRODUCT + 1


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
        return -result if self.coefficient == -1.0 else self.coefficient * result

    def __mul__(self, other: Product) -> Product:
        return Product(self.coefficient * other.coefficient, self.factors + other.factors)


def tidy(node: Node) -> Node:
    """The same value in a simpler formula. Every node must have its value; named nodes are left as they are."""
    return product(node).node() if not is_atom(node) else node


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
        return inputs[0]
    rule = _RULES.get(node.op)
    simpler = rule(node, *inputs) if rule is not None else None
    if simpler is None and all(not p.factors for p in inputs) and (known := _same_everywhere(node)) is not None:
        simpler = Product(known)
    return simpler if simpler is not None else Product(1.0, (_rebuilt(node, [p.node() for p in inputs]),))


def _quotient(node: Node, a: Product, b: Product) -> Product | None:
    if b.coefficient == 0.0:
        return None
    scale = Product(a.coefficient / b.coefficient)
    if not b.factors:
        return scale * Product(1.0, a.factors)
    return scale * Product(1.0, (_apply("divide", Product(1.0, a.factors).node(), Product(1.0, b.factors).node()),))


def _linear(node: Node, inner: Product) -> Product | None:
    """A coefficient moves out of a sum or a move."""
    if not inner.factors or inner.coefficient in (0.0, 1.0):
        return _transposed_product(node, inner) if node.op == "transpose" and node.ndim == 2 and inner.factors else None
    rest = _linear(node, Product(1.0, inner.factors)) or Product(1.0, (_rebuilt(node, [Product(1.0, inner.factors).node()]),))
    return Product(inner.coefficient) * rest


def _same_everywhere(node: Node) -> float | None:
    if node.value is None or node.dtype.kind != "f" or node.size == 0:
        return None
    first = node.value.flat[0]
    return float(first) if bool(np.all(node.value == first)) else None


def _transposed_product(node: Node, inner: Product) -> Product:
    """(Aᵀ)ᵀ = A and (A B)ᵀ = Bᵀ Aᵀ."""
    source = inner.node()
    if source.name is None and source.op == "transpose" and source.ndim == 2:
        return Product(1.0, (source.inputs[0],))
    if source.name is None and source.op == "matmul" and all(i.ndim == 2 for i in source.inputs):
        a, b = (_flipped(i) for i in source.inputs)
        return Product(1.0, (_apply("matmul", b, a),))
    return Product(1.0, (_rebuilt(node, [source]),))


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
    if a.factors and a.coefficient == -1.0 and not minus:
        a, b, minus = b, Product(1.0, a.factors), True
    return Product(1.0, (_apply("subtract" if minus else "add", _gathered(a), _gathered(b)),))


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
    "multiply": lambda node, a, b: a * b,
    "negative": lambda node, a: Product(-1.0) * a,
    "divide": _quotient,
    "add": _sum,
    "subtract": _sum,
    "power": _power,
    **dict.fromkeys(("sum", "reshape", "transpose", "broadcast_to", "squeeze", "expand_dims"), _linear),
}


def _gathered(p: Product) -> Node:
    return Product(p.coefficient, _gather_squares(p.factors)).node()


def _gather_squares(factors: Sequence[Node]) -> tuple[Node, ...]:
    """Equal factors as one power."""
    unique = list(dict.fromkeys(factors))
    if len(unique) == len(factors):
        return tuple(factors)
    counts = [sum(f is u for f in factors) for u in unique]
    return tuple(u if n == 1 else _apply("power", u, ir.constant(float(n))) for u, n in zip(unique, counts, strict=True))


def _apply(op: str, *inputs: Node) -> Node:
    return lookup(op)(*inputs)


def _rebuilt(node: Node, inputs: Sequence[Node]) -> Node:
    return Node(node.op, tuple(inputs), node.attributes, node.shape, node.dtype, None, node.value)


def moves_nothing(node: Node) -> bool:
    """Whether a node hands its input on as it is, for a reader: a move to the same shape, or a change of precision."""
    if node.op in ("reshape", "broadcast_to", "cast", "slice", "pad", "squeeze", "expand_dims"):
        source = node.inputs[0]
        same_kind = node.op != "cast" or (source.dtype.kind == "f") == (node.dtype.kind == "f")
        return same_kind and (source.shape == node.shape or (node.size == 1 and node.op != "slice"))
    if node.op == "transpose":
        return bool(node.attributes["axes"] == tuple(range(node.ndim))) or node.size == 1
    return False


# -------------------------------------------------------------------------------------------- writing
def named_symbol(node: Node) -> Formula:
    """The symbol of a named node; the number or kind of an unnamed leaf."""
    if node.name is not None:
        return symbol(node.name)
    if node.value is not None and node.size == 1:
        return number(node.value.item(), 6)
    known = uniform(node)
    return number(known, 6) if known is not None else Formula(f"[{node.size} numbers]", rf"\left[{node.size}\right]")


def write(node: Node, symbols: Symbols = named_symbol, *, whole: bool = False) -> Formula:
    """A node as a formula.

    Args:
        node: the top of the formula; its own name is not used if it is no leaf and `whole` is set.
        symbols: what stands for the nodes at which the formula stops.
        whole: write the calculation of `node` even if it has a name.
    """
    return Formula(_write(node, symbols, "text", whole), _write(node, symbols, "latex", whole))


def _write(node: Node, symbols: Symbols, style: Style, whole: bool) -> str:
    top = node if whole else None
    written: dict[Node, tuple[str, int]] = {}
    for each in topological([node], stop=lambda n: n is not top and is_atom(n)):
        stops = each.op in LEAVES or (each.name is not None and each is not top)
        found = _atom(each, symbols, style) if stops else _call(each, written, style)
        written[each] = found if len(found[0]) <= _LONGEST else ("…", _ATOM)
    return written[node][0]


def _atom(node: Node, symbols: Symbols, style: Style) -> tuple[str, int]:
    text = symbols(node).style(style)
    fraction = style == "latex" and text.startswith(r"\frac{\partial")
    return text, SIGN if text.startswith("-") else _FRACTION if "/" in text or fraction else _ATOM


def _brackets(inner: str, style: Style) -> str:
    return f"({inner})" if style == "text" else rf"\left({inner}\right)"


def _call(node: Node, written: Mapping[Node, tuple[str, int]], style: Style) -> tuple[str, int]:
    special = _SPECIAL.get(node.op)
    if special is not None:
        found = special(node, written, style)
        if found is not None:
            return found
    notation = lookup(node.op).notation

    def fill(match: re.Match[str]) -> str:
        position, strict, plain = match.groups()
        if position is None and plain == "*":
            return ", ".join(written[i][0] for i in node.inputs)
        if position is None and not plain.isdigit():
            return _attribute(node.attributes.get(plain), style)
        text, precedence = written[node.inputs[int(position or plain)]]
        needs = position is not None and (precedence < notation.precedence or (strict and precedence == notation.precedence))
        return _brackets(text, style) if needs else text

    return _PLACEHOLDER.sub(fill, (notation.text if style == "text" else notation.latex)), notation.precedence


def _attribute(value: object, style: Style) -> str:
    text = str(value)
    return text if style == "text" else text.replace("_", r"\_").replace("None", r"\text{none}")


Special = Callable[[Node, Mapping[Node, tuple[str, int]], Style], tuple[str, int] | None]


def _write_product(node: Node, written: Mapping[Node, tuple[str, int]], style: Style) -> tuple[str, int]:
    """Brackets stand side by side, arrays are joined by ⊙, and everything else by a dot."""
    pairs = (written[i] for i in node.inputs)
    a, b = ((_brackets(text, style), _ATOM) if level < PRODUCT else (text, level) for text, level in pairs)
    if b[0].startswith("-") or (style == "text" and node.inputs[1].op == "divide" and b[1] == PRODUCT):
        b = _brackets(b[0], style), _ATOM
    hadamard = min(i.size for i in node.inputs) > 1
    if b[0].startswith(("(", r"\left(")) and not hadamard and "∂" not in a[0]:
        return f"{a[0]}{b[0]}", PRODUCT
    sign = ("⊙" if hadamard else "·") if style == "text" else (r"\odot" if hadamard else r"\cdot")
    return f"{a[0]} {sign} {b[0]}", PRODUCT


def _write_minus(node: Node, written: Mapping[Node, tuple[str, int]], style: Style) -> tuple[str, int]:
    text, precedence = written[node.inputs[0]]
    return "-" + (_brackets(text, style) if precedence < PRODUCT or text.startswith("-") else text), SIGN


def _write_matmul(node: Node, written: Mapping[Node, tuple[str, int]], style: Style) -> tuple[str, int]:
    """Products element by element, and products of matrices on the right, need brackets inside a product of matrices."""
    sign = " @ " if style == "text" else r" \, "
    bare = ((_MATMUL, _FRACTION, POWER, POWER + 1, _ATOM), (_FRACTION, POWER, POWER + 1, _ATOM))
    pairs = zip((written[i] for i in node.inputs), bare, strict=True)
    a, b = (text if level in levels else _brackets(text, style) for (text, level), levels in pairs)
    return f"{a}{sign}{b}", _MATMUL


def _write_power(node: Node, written: Mapping[Node, tuple[str, int]], style: Style) -> tuple[str, int] | None:
    """x², with raised digits in text."""
    raised = superscript(written[node.inputs[1]][0]) if node.op == "power" else "²"
    if style == "latex" or raised is None:
        return None
    text, precedence = written[node.inputs[0]]
    return f"{text if precedence >= _ATOM else _brackets(text, style)}{raised}", POWER


def _write_cast(node: Node, written: Mapping[Node, tuple[str, int]], style: Style) -> tuple[str, int] | None:
    """A condition used as a number: 1 where it holds, else 0 (Iverson's bracket)."""
    if node.inputs[0].dtype.kind != "b":
        return None
    text = written[node.inputs[0]][0]
    return (f"[{text}]" if style == "text" else rf"\left[{text}\right]"), _ATOM


def _write_transpose(node: Node, written: Mapping[Node, tuple[str, int]], style: Style) -> tuple[str, int] | None:
    axes = tuple(node.attributes["axes"])
    count = len(axes)
    if count < 2 or axes != (*range(count - 2), count - 1, count - 2):
        return None
    source = node.inputs[0]
    if source.op == "reshape" and source.inputs[0].ndim == 1 and source.shape[0] == 1 and source.name is None:
        return written[source.inputs[0]]  # a row turned back into the column that it was made from
    return _transposed(written[source], style)


def _transposed(inner: tuple[str, int], style: Style) -> tuple[str, int]:
    text, precedence = inner
    base = text if precedence >= _ATOM else _brackets(text, style)
    return (f"{base}ᵀ" if style == "text" else f"{{{base}}}^{{\\top}}"), POWER + 1


def _write_reshape(node: Node, written: Mapping[Node, tuple[str, int]], style: Style) -> tuple[str, int] | None:
    """A vector is a column; as a row it is transposed. Axes of size 1 are not worth a word otherwise."""
    source = node.inputs[0]
    inner = written[source]
    if (source.ndim, node.ndim) in ((1, 2), (2, 1)) and source.size > 1:
        matrix = node if node.ndim == 2 else source
        if matrix.shape[1] == 1 or (source.op == "sum" and source.name is None):
            return inner
        return _transposed(inner, style) if matrix.shape[0] == 1 else None
    if [n for n in source.shape if n != 1] == [n for n in node.shape if n != 1]:
        return inner
    return None


def _write_broadcast(node: Node, written: Mapping[Node, tuple[str, int]], style: Style) -> tuple[str, int] | None:
    return written[node.inputs[0]] if node.inputs[0].size == 1 else None


def _write_sum(node: Node, written: Mapping[Node, tuple[str, int]], style: Style) -> tuple[str, int]:
    text, precedence = written[node.inputs[0]]
    inner = _brackets(text, style) if precedence < PRODUCT else text
    axes = node.attributes["axis"]
    every = len(axes) == node.inputs[0].ndim
    where = ",".join(map(str, axes))
    if style == "text":
        return f"Σ{'' if every else f'[{where}]'} {inner}", PRODUCT
    return rf"\sum{'' if every else f'_{{[{where}]}}'} {inner}", PRODUCT


def _write_equal(node: Node, written: Mapping[Node, tuple[str, int]], style: Style) -> tuple[str, int]:
    a, b = (_brackets(t, style) if p <= COMPARE else t for t, p in (written[i] for i in node.inputs))
    return (f"{a} == {b}" if style == "text" else f"{a} = {b}"), COMPARE


def _write_slice(node: Node, written: Mapping[Node, tuple[str, int]], style: Style) -> tuple[str, int]:
    """x[1, 0:2], as in Python."""
    text, precedence = written[node.inputs[0]]
    base = text if precedence >= _ATOM else _brackets(text, style)
    keys = [
        str(a) if b - a == 1 else ":" if (a, b, s) == (0, n, 1) else f"{a}:{b}" + (f":{s}" if s != 1 else "")
        for a, b, s, n in zip(*(node.attributes[k] for k in ("start", "stop", "step")), node.inputs[0].shape, strict=True)
    ]
    return f"{base}[{', '.join(keys)}]", _ATOM


_SPECIAL: dict[str, Special] = {
    "multiply": _write_product,
    "negative": _write_minus,
    "matmul": _write_matmul,
    "cast": _write_cast,
    "power": _write_power,
    "square": _write_power,
    "transpose": _write_transpose,
    "reshape": _write_reshape,
    "squeeze": _write_reshape,
    "expand_dims": _write_reshape,
    "broadcast_to": _write_broadcast,
    "sum": _write_sum,
    "equal": _write_equal,
    "slice": _write_slice,
}
