"""Writing nodes as formulas, from the notation in each primitive's record.

Precedence says how tightly an operator binds: comparisons 10, sums 20, products 30, signs 35, powers 50, everything with its
own brackets 100. `<0>` in a notation puts input 0 in brackets if it binds less tightly than the whole, `<0!>` also if it binds
as tightly; `#0` never does. `#*` stands for all inputs, separated by commas, and `#name` for an attribute. A few operations are
written in more than one way (a product with a dot, ⊙ or nothing at all): they have a function here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Literal

from chainrule.ir import LEAVES, Node, topological
from chainrule.ops.elementwise import COMPARE, POWER, PRODUCT, SIGN, SUM
from chainrule.ops.primitive import lookup

Style = Literal["text", "latex"]
Symbol = Callable[[Node, Style], str]
Written = tuple[str, int]
_PLACEHOLDER = re.compile(r"<(\d)(!?)>|#(\d|\*|[a-z_]+)")
_SUPERSCRIPTS = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
_TALL = (r"\frac", r"\sum", r"\prod", r"\begin", r"\underbrace", r"\left")
_LONGEST = 2000
_ATOM = 100
_MATMUL = PRODUCT - 1  # so that it gets brackets in products element by element
_FRACTION = PRODUCT + 1


def plain_symbol(node: Node, style: Style) -> str:
    """The name of a node as it is, or the number that it holds, or its kind and shape."""
    if node.name:
        return node.name
    if node.value is not None and node.size == 1:
        return f"{node.value.item():.6g}"
    return f"{node.op}{list(node.shape)}"


def formula(node: Node, style: Style = "text", symbol: Symbol = plain_symbol, *, whole: bool = True) -> str:
    """The calculation of `node` from the nodes that have a name, as one line.

    A formula that would be longer than 2,000 characters is cut off inside with "…".

    Args:
        node: the end of the calculation.
        style: "text" or "latex".
        symbol: what stands for the leaves and the named nodes, at which the formula stops.
        whole: write the calculation of `node` even if it has a name.
    """
    top = node if whole else None
    written: dict[Node, Written] = {}
    for each in topological([node], stop=lambda n: n is not top and n.name is not None):
        stops = each.op in LEAVES or (each.name is not None and each is not top)
        found = _atom(symbol(each, style), style) if stops else _call(each, written, style)
        written[each] = found if len(found[0]) <= _LONGEST else ("…", _ATOM)
    text = written[node][0]
    return text if style == "text" else _fitted(text)


def superscript(text: str) -> str | None:
    """A whole number in raised digits."""
    return text.translate(_SUPERSCRIPTS) if text.removeprefix("-").isdigit() else None


def _atom(text: str, style: Style) -> Written:
    fraction = style == "latex" and text.startswith(r"\frac{\partial")
    if text.startswith("-"):
        return text, SIGN
    if "×10" in text or r" \times 10" in text:
        return text, PRODUCT  # (2×10⁹)²
    return text, _FRACTION if "/" in text or fraction else _ATOM


def _fitted(latex: str) -> str:
    """Brackets that grow only around what is tall: growing ones leave a gap before them."""
    pieces = re.split(r"(\\left\(|\\right\))", latex)
    opened: list[int] = []
    tall = [False]
    for k, piece in enumerate(pieces):
        if piece == r"\left(":
            opened.append(k)
            tall.append(False)
        elif piece == r"\right)":
            start = opened.pop()
            if tall.pop():
                tall[-1] = True
            else:
                pieces[start], pieces[k] = "(", ")"
        elif any(command in piece for command in _TALL):
            tall[-1] = True
    return "".join(pieces)


def _brackets(inner: str, style: Style) -> str:
    return f"({inner})" if style == "text" else rf"\left({inner}\right)"


def _call(node: Node, written: Mapping[Node, Written], style: Style) -> Written:
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


Special = Callable[[Node, Mapping[Node, Written], Style], Written | None]


def _write_product(node: Node, written: Mapping[Node, Written], style: Style) -> Written:
    """Brackets stand side by side, arrays are joined by ⊙, and everything else by a dot."""
    pairs = (written[i] for i in node.inputs)
    a, b = ((_brackets(text, style), _ATOM) if level < PRODUCT else (text, level) for text, level in pairs)
    negative = b[0].startswith("-")
    if negative or (style == "text" and node.inputs[1].op == "divide" and b[1] == PRODUCT):
        b = _brackets(b[0], style), _ATOM
    hadamard = min(i.size for i in node.inputs) > 1
    if b[0].startswith(("(", r"\left(", r"{\left(")) and not (hadamard or negative or "∂" in a[0]):
        return f"{a[0]}{b[0]}", PRODUCT
    sign = ("⊙" if hadamard else "·") if style == "text" else (r"\odot" if hadamard else r"\cdot")
    return f"{a[0]} {sign} {b[0]}", PRODUCT


def _write_sum_of_two(node: Node, written: Mapping[Node, Written], style: Style) -> Written | None:
    """a - b in place of a + -b, and brackets in a - (-b)."""
    (a, level_a), (b, level_b) = (written[i] for i in node.inputs)
    if not b.startswith("-") or level_b <= SUM:
        return None
    a = _brackets(a, style) if level_a < SUM else a
    return (f"{a} - {b[1:]}" if node.op == "add" else f"{a} - {_brackets(b, style)}"), SUM


def _write_quotient(node: Node, written: Mapping[Node, Written], style: Style) -> Written | None:
    """Brackets around a minus below the line, which is none in text: a / (-b · c)."""
    (a, level), (b, _) = (written[i] for i in node.inputs)
    if style == "latex" or not b.startswith("-"):
        return None
    return f"{_brackets(a, style) if level < PRODUCT else a} / ({b})", PRODUCT


def _write_minus(node: Node, written: Mapping[Node, Written], style: Style) -> Written:
    text, precedence = written[node.inputs[0]]
    return "-" + (_brackets(text, style) if precedence < PRODUCT or text.startswith("-") else text), SIGN


def _write_matmul(node: Node, written: Mapping[Node, Written], style: Style) -> Written:
    """Products element by element, and products of matrices on the right, need brackets inside a product of matrices."""
    sign = " @ " if style == "text" else r" \, "
    bare = ((_MATMUL, _FRACTION, POWER, POWER + 1, _ATOM), (_FRACTION, POWER, POWER + 1, _ATOM))
    pairs = zip((written[i] for i in node.inputs), bare, strict=True)
    a, b = (text if level in levels else _brackets(text, style) for (text, level), levels in pairs)
    return f"{a}{sign}{b}", _MATMUL


def _write_power(node: Node, written: Mapping[Node, Written], style: Style) -> Written | None:
    """x², with raised digits in text."""
    raised = superscript(written[node.inputs[1]][0]) if node.op == "power" else "²"
    if style == "latex" or raised is None:
        return None
    text, precedence = written[node.inputs[0]]
    return f"{text if precedence >= _ATOM else _brackets(text, style)}{raised}", POWER


def _write_cast(node: Node, written: Mapping[Node, Written], style: Style) -> Written | None:
    """A condition used as a number: 1 where it holds, else 0 (Iverson's bracket)."""
    if node.inputs[0].dtype.kind != "b":
        return None
    return _iverson(written[node.inputs[0]], style)


def _iverson(condition: Written, style: Style) -> Written:
    return (f"[{condition[0]}]" if style == "text" else rf"\left[{condition[0]}\right]"), _ATOM


def _write_masked(node: Node, written: Mapping[Node, Written], style: Style) -> Written:
    value, condition = node.inputs
    return _write_product(node, {value: written[value], condition: _iverson(written[condition], style)}, style)


def _write_transpose(node: Node, written: Mapping[Node, Written], style: Style) -> Written | None:
    axes = tuple(node.attributes["axes"])
    count = len(axes)
    if count < 2 or axes != (*range(count - 2), count - 1, count - 2):
        return None
    source = node.inputs[0]
    if source.op == "reshape" and source.inputs[0].ndim == 1 and source.shape[0] == 1 and source.name is None:
        return written[source.inputs[0]]  # a row turned back into the column that it was made from
    return _transposed(written[source], style)


def _transposed(inner: Written, style: Style) -> Written:
    text, precedence = inner
    base = text if precedence >= _ATOM else _brackets(text, style)
    return (f"{base}ᵀ" if style == "text" else f"{{{base}}}^{{\\top}}"), POWER + 1


def _write_reshape(node: Node, written: Mapping[Node, Written], style: Style) -> Written | None:
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


def _write_broadcast(node: Node, written: Mapping[Node, Written], style: Style) -> Written | None:
    return written[node.inputs[0]] if node.inputs[0].size == 1 else None


def _write_sum(node: Node, written: Mapping[Node, Written], style: Style) -> Written:
    text, precedence = written[node.inputs[0]]
    inner = _brackets(text, style) if precedence < PRODUCT else text
    axes = node.attributes["axis"]
    every = len(axes) == node.inputs[0].ndim
    where = ",".join(map(str, axes))
    if style == "text":
        return f"Σ{'' if every else f'[{where}]'} {inner}", PRODUCT
    return rf"\sum{'' if every else f'_{{[{where}]}}'} {inner}", PRODUCT


def _write_equal(node: Node, written: Mapping[Node, Written], style: Style) -> Written:
    a, b = (_brackets(t, style) if p <= COMPARE else t for t, p in (written[i] for i in node.inputs))
    return (f"{a} == {b}" if style == "text" else f"{a} = {b}"), COMPARE


def _write_slice(node: Node, written: Mapping[Node, Written], style: Style) -> Written:
    """x[1, 0:2], as in Python."""
    text, precedence = written[node.inputs[0]]
    base = text if precedence >= _ATOM else _brackets(text, style)
    keys = [
        str(a) if b - a == 1 else ":" if (a, b, s) == (0, n, 1) else f"{a}:{b}" + (f":{s}" if s != 1 else "")
        for a, b, s, n in zip(*(node.attributes[k] for k in ("start", "stop", "step")), node.inputs[0].shape, strict=True)
    ]
    return f"{base}[{', '.join(keys)}]", _ATOM


_SPECIAL: dict[str, Special] = {
    "add": _write_sum_of_two,
    "subtract": _write_sum_of_two,
    "divide": _write_quotient,
    "multiply": _write_product,
    "masked": _write_masked,
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
