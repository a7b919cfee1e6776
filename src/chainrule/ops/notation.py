"""Writing nodes as formulas, from the notation in each primitive's record.

Precedence says how tightly an operator binds: comparisons 10, sums 20, products 30, signs 35, powers 50, everything with its
own brackets 100. `<0>` in a notation puts input 0 in brackets if it binds less tightly than the whole, `<0!>` also if it binds
as tightly; `#0` never does. `#*` stands for all inputs, separated by commas, and `#name` for an attribute.
"""

from __future__ import annotations

import re
from typing import Literal

from chainrule.ir import LEAVES, Node, topological
from chainrule.ops.primitive import lookup

Style = Literal["text", "latex"]
_PLACEHOLDER = re.compile(r"<(\d)(!?)>|#(\d|\*|[a-z_]+)")
_LONGEST = 4000


def formula(node: Node, style: Style = "text") -> str:
    """The calculation of `node` from the nodes that have a name, as one line.

    Named nodes below the top are written as their name, unnamed constants as their number. A formula that would be longer than
    4,000 characters is cut off inside with "…".
    """
    written: dict[Node, tuple[str, int]] = {}
    for each in topological([node], stop=lambda n: n is not node and n.name is not None):
        written[each] = _write(each, style, written, top=each is node)
    return written[node][0]


def _write(node: Node, style: Style, written: dict[Node, tuple[str, int]], *, top: bool) -> tuple[str, int]:
    if node.op in LEAVES or (node.name and not top):
        return _leaf(node), 100
    notation = lookup(node.op).notation
    brackets = ("(", ")") if style == "text" else (r"\left(", r"\right)")

    def fill(match: re.Match[str]) -> str:
        position, strict, plain = match.groups()
        if position is None and plain == "*":
            return ", ".join(written[i][0] for i in node.inputs)
        if position is None and not plain.isdigit():
            return str(node.attributes.get(plain, f"#{plain}"))
        text, precedence = written[node.inputs[int(position or plain)]]
        needs = position is not None and (precedence < notation.precedence or (strict and precedence == notation.precedence))
        return f"{brackets[0]}{text}{brackets[1]}" if needs else text

    result = _PLACEHOLDER.sub(fill, notation.text if style == "text" else notation.latex)
    return (result, notation.precedence) if len(result) <= _LONGEST else ("…", 100)


def _leaf(node: Node) -> str:
    if node.name:
        return node.name
    if node.value is not None and node.size == 1:
        return f"{node.value.item():.6g}"
    return f"{node.op}{list(node.shape)}"
