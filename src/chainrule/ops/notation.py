"""Writing nodes as formulas, from the notation in each primitive's record.

Precedence says how tightly an operator binds: comparisons 10, sums 20, products 30, signs 35, powers 50, everything with its
own brackets 100. `<0>` in a notation puts input 0 in brackets if it binds less tightly than the whole, `<0!>` also if it binds
as tightly; `#0` never does. `#*` stands for all inputs, separated by commas, and `#_name` for an attribute as a subscript: axes
by their letters (i, j, k, … from the first), unless all are meant or the usual one; shapes as 2×3. A few operations are written
in more than one way (a product with a dot, ⊙ or nothing at all): they have a function here, or in `array_notation`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from chainrule.ir import LEAVES, Node, topological
from chainrule.ops import array_notation
from chainrule.ops.elementwise import OPEN, POWER, PRODUCT, SIGN, SUM
from chainrule.ops.primitive import lookup
from chainrule.ops.written import (
    ATOM,
    FRACTION,
    MATMUL,
    ONES,
    Special,
    Style,
    Written,
    axis_letters,
    below,
    brackets,
    sizes,
    superscript,
)

Symbol = Callable[[Node, Style], str]
_PLACEHOLDER = re.compile(r"<(\d)(!?)>|#(\d|\*)|#_([a-z]+)")
_QUOTIENT = re.compile(r"\d+/(\d+|√2|√π|√\(2π\))|\\frac\{\d+\}\{(\d+|\\sqrt\{.+\})\}")
_TALL = (r"\frac", r"\sum", r"\prod", r"\begin", r"\underbrace", r"\left")
_LONGEST = 2000
_OF_CONVOLUTIONS = (
    ("s", "stride", 1), ("p", "padding", 0), ("u", "input_dilation", 1), ("d", "kernel_dilation", 1), ("d", "dilation", 1),
    ("o", "output_padding", 0), ("g", "groups", 1),
)  # fmt: skip


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
        written[each] = found if len(found[0]) <= _LONGEST else ("…", ATOM)
    text, level = written[node]
    if node.dtype == np.bool_ and level < ATOM:
        text = _iverson(text, style)  # so that it is not read on as a chain: [a > b] = 1
    return text if style == "text" else _fitted(text)


def _atom(text: str, style: Style) -> Written:
    fraction = style == "latex" and text.startswith(r"\frac{\partial")
    if text.startswith("-"):
        return text, SIGN
    if "×10" in text or r" \times 10" in text or _QUOTIENT.fullmatch(text):
        return text, PRODUCT  # (2×10⁹)², (1/3)²
    return text, FRACTION if "/" in text or fraction else ATOM


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


def _call(node: Node, written: Mapping[Node, Written], style: Style) -> Written:
    written = _with_ones(node, written, style)
    special = _SPECIAL.get(node.op)
    if special is not None:
        found = special(node, written, style)
        if found is not None:
            return found
    notation = lookup(node.op).notation

    def fill(match: re.Match[str]) -> str:
        position, strict, plain, attribute = match.groups()
        if attribute:
            return below(_subscript(node, attribute), style)
        if plain == "*":
            return ", ".join(written[i][0] for i in node.inputs)
        text, precedence = written[node.inputs[int(position or plain)]]
        needs = position is not None and (precedence < notation.precedence or (strict and precedence == notation.precedence))
        return brackets(text, style) if needs else text

    return _PLACEHOLDER.sub(fill, (notation.text if style == "text" else notation.latex)), notation.precedence


def _with_ones(node: Node, written: Mapping[Node, Written], style: Style) -> Mapping[Node, Written]:
    """What is not done element by element needs arrays: 𝟏, or 0.5 · 𝟏, for a number that stands in every element."""
    numbers = [] if lookup(node.op).elementwise else [i for i in node.inputs if _is_uniform(i)]
    if not numbers:
        return written
    dot = "·" if style == "text" else r"\cdot"
    arrays = {i: written[i] for i in node.inputs}
    for each in numbers:
        text = written[each][0]
        arrays[each] = (ONES[style], ATOM) if text == "1" else (f"{text} {dot} {ONES[style]}", PRODUCT)
    return arrays


def _is_uniform(node: Node) -> bool:
    array = node.value if node.op == "constant" and node.name is None and node.size > 1 else None
    return array is not None and array.dtype.kind == "f" and bool(np.all(array == array.flat[0]))


def _subscript(node: Node, attribute: str) -> str:
    value = node.attributes[attribute]
    if attribute != "axis":
        return sizes(value)
    count = node.inputs[0].ndim
    if isinstance(value, int):
        return "" if value % count == count - 1 else axis_letters([value % count])
    return "" if len(value) == count else axis_letters(value)


def _write_product(node: Node, written: Mapping[Node, Written], style: Style) -> Written:
    """Brackets stand side by side, arrays are joined by ⊙, and everything else by a dot."""
    left, right = (written[i] for i in node.inputs)
    a = left if left[1] >= PRODUCT else (brackets(left[0], style), ATOM)
    # A sum sign may stand at the end of a product.
    b = right if right[1] >= PRODUCT or right[1] == OPEN else (brackets(right[0], style), ATOM)
    negative = b[0].startswith("-")
    if negative or (style == "text" and node.inputs[1].op == "divide" and b[1] == PRODUCT):
        b = brackets(b[0], style), ATOM
    hadamard = min(i.size for i in node.inputs) > 1
    level = OPEN if b[1] == OPEN else PRODUCT
    if b[0].startswith(("(", r"\left(", r"{\left(")) and not (hadamard or negative or "∂" in a[0] or "/" in a[0]):
        return f"{a[0]}{b[0]}", level
    sign = ("⊙" if hadamard else "·") if style == "text" else (r"\odot" if hadamard else r"\cdot")
    return f"{a[0]} {sign} {b[0]}", level


def _write_sum_of_two(node: Node, written: Mapping[Node, Written], style: Style) -> Written | None:
    """a - b in place of a + -b, and brackets in a - (-b)."""
    (a, level_a), (b, level_b) = (written[i] for i in node.inputs)
    if not b.startswith("-") or level_b <= SUM:
        return None
    a = brackets(a, style) if level_a < SUM else a
    return (f"{a} - {b[1:]}" if node.op == "add" else f"{a} - {brackets(b, style)}"), SUM


def _write_quotient(node: Node, written: Mapping[Node, Written], style: Style) -> Written | None:
    """Brackets around a minus below the line, which is none in text: a / (-b · c)."""
    (a, level), (b, _) = (written[i] for i in node.inputs)
    if style == "latex" or not b.startswith("-"):
        return None
    return f"{brackets(a, style) if level < PRODUCT else a} / ({b})", PRODUCT


def _write_minus(node: Node, written: Mapping[Node, Written], style: Style) -> Written:
    text, precedence = written[node.inputs[0]]
    inner = text if precedence >= OPEN and not text.startswith("-") else brackets(text, style)
    return f"-{inner}", precedence if precedence in (OPEN, MATMUL) else SIGN


def _write_matmul(node: Node, written: Mapping[Node, Written], style: Style) -> Written:
    """Products element by element, and products of matrices on the right, need brackets inside a product of matrices."""
    return _between(" @ " if style == "text" else r" \, ", node, written, style)


def _write_convolution(node: Node, written: Mapping[Node, Written], style: Style) -> Written:
    """x ⋆ w, or x ⋆ᵀ w, with stride s, padding p, dilation of input u and of kernel d, and groups g where these are unusual."""
    settings = ", ".join(
        f"{letter}={_shortest(node.attributes[name])}"
        for letter, name, usual in _OF_CONVOLUTIONS
        if name in node.attributes and set(np.ravel(node.attributes[name])) != {usual}
    )
    turned = node.op == "conv_transpose"
    if style == "text":
        sign = f" ⋆{'ᵀ' if turned else ''}{f'({settings})' if settings else ''} "
    else:
        sign = rf" \star{'^{' + chr(92) + 'top}' if turned else ''}{f'_{{{settings}}}' if settings else ''} "
    return _between(sign, node, written, style)


def _shortest(value: Any) -> str:
    """A setting per axis as one number, where all are the same."""
    found = sorted({int(v) for v in np.ravel(value)})
    return str(found[0]) if len(found) == 1 else str(value).replace(" ", "")


def _between(sign: str, node: Node, written: Mapping[Node, Written], style: Style) -> Written:
    """Two arrays with the sign of a product that is none element by element."""
    bare = ((MATMUL, FRACTION, POWER, POWER + 1, ATOM), (FRACTION, POWER, POWER + 1, ATOM))
    pairs = zip((written[i] for i in node.inputs), bare, strict=True)
    a, b = (text if level in levels else brackets(text, style) for (text, level), levels in pairs)
    return f"{a}{sign}{b}", MATMUL


def _iverson(condition: str, style: Style) -> str:
    return f"[{condition}]" if style == "text" else rf"\left[{condition}\right]"


def _write_power(node: Node, written: Mapping[Node, Written], style: Style) -> Written | None:
    """x², with raised digits in text."""
    raised = superscript(written[node.inputs[1]][0]) if node.op == "power" else "²"
    if style == "latex" or raised is None:
        return None
    text, precedence = written[node.inputs[0]]
    return f"{text if precedence >= ATOM else brackets(text, style)}{raised}", POWER


def _write_cast(node: Node, written: Mapping[Node, Written], style: Style) -> Written | None:
    """A condition used as a number: 1 where it holds, else 0 (Iverson's bracket)."""
    if node.inputs[0].dtype.kind != "b":
        return None
    return _iverson(written[node.inputs[0]][0], style), ATOM


def _write_masked(node: Node, written: Mapping[Node, Written], style: Style) -> Written:
    value, condition = node.inputs
    held = _iverson(written[condition][0], style), ATOM
    return _write_product(node, {value: written[value], condition: held}, style)


def _write_clip(node: Node, written: Mapping[Node, Written], style: Style) -> Written:
    """min(max(x, low), high)."""
    text, level = written[node.inputs[0]]
    for name, bound in (("max", node.attributes["low"]), ("min", node.attributes["high"])):
        if bound is not None:
            text = f"{name}({text}, {bound:g})" if style == "text" else rf"\{name}\left({text}, {bound:g}\right)"
            level = ATOM
    return text, level


def _write_mask(node: Node, _written: Mapping[Node, Written], style: Style) -> Written:
    """A mask of dropout: 1 / (1 - rate) with the probability 1 - rate, else 0."""
    kept = f"{1 - node.attributes['rate']:g}"
    shape = below(sizes(node.shape), style)
    if style == "text":
        return f"Bernoulli{shape}({kept}) / {kept}", PRODUCT
    return rf"\frac{{\operatorname{{Bernoulli}}{shape}\left({kept}\right)}}{{{kept}}}", FRACTION


_SPECIAL: dict[str, Special] = {
    **array_notation.SPECIAL,
    "add": _write_sum_of_two,
    "subtract": _write_sum_of_two,
    "divide": _write_quotient,
    "multiply": _write_product,
    "masked": _write_masked,
    "negative": _write_minus,
    "matmul": _write_matmul,
    "convolution": _write_convolution,
    "conv_transpose": _write_convolution,
    "cast": _write_cast,
    "power": _write_power,
    "square": _write_power,
    "clip": _write_clip,
    "dropout_mask": _write_mask,
}
