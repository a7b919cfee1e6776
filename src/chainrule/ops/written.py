"""Pieces of written formulas, that `chainrule.ops.notation` and `chainrule.ops.array_notation` share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from chainrule.ir import Node
from chainrule.ops.elementwise import PRODUCT

Style = Literal["text", "latex"]
Written = tuple[str, int]  # a formula, and how tightly its outermost operator binds
Special = Callable[[Node, Mapping[Node, Written], Style], Written | None]

ATOM = 100
MATMUL = PRODUCT - 1  # so that it gets brackets in products element by element
FRACTION = PRODUCT + 1
ONES: dict[Style, str] = {"text": "𝟏", "latex": r"\mathbf{1}"}  # an array of them
_AXES = "ijklmnop"  # what the axes of an array are called, in order
_LOW = str.maketrans("0123456789×ijklmnop", "₀₁₂₃₄₅₆₇₈₉ₓᵢⱼₖₗₘₙₒₚ")
_HIGH = str.maketrans("0123456789-ijklmnop", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻ⁱʲᵏˡᵐⁿᵒᵖ")


def brackets(inner: str, style: Style) -> str:
    """(inner)"""
    return f"({inner})" if style == "text" else rf"\left({inner}\right)"


def called(name: str, sub: str, inner: str, style: Style) -> Written:
    """name(inner), where a name of several letters is upright in print."""
    return (f"{name}{sub}({inner})" if style == "text" else rf"\operatorname{{{name}}}{sub}\left({inner}\right)"), ATOM


def superscript(text: str) -> str | None:
    """A whole number in raised digits."""
    return text.translate(_HIGH) if text.removeprefix("-").isdigit() else None


def below(text: str, style: Style) -> str:
    """A subscript: an axis, or a shape such as 2×3."""
    if not text:
        return ""
    return text.translate(_LOW) if style == "text" else "_{" + text.replace("×", r" \times ") + "}"


def sizes(shape: Sequence[int]) -> str:
    """ "2×3"."""
    return "×".join(map(str, shape))


def axis_letters(axes: Sequence[int]) -> str:
    """The names of axes: i, j, k, …, from the first one."""
    return "".join(_AXES[a] if a < len(_AXES) else str(a) for a in axes)


def bare(written: Written, style: Style) -> str:
    """In brackets, unless it needs none anywhere."""
    text, level = written
    return text if level >= ATOM else brackets(text, style)


def transposed(inner: Written, style: Style, axes: str = "") -> str:
    """xᵀ; of arrays with more axes, with their new order behind it."""
    base = bare(inner, style)
    if style == "text":
        return f"{base}ᵀ{f'⁽{axes.translate(_HIGH)}⁾' if axes else ''}"
    return rf"{{{base}}}^{{\top{f'({axes})' if axes else ''}}}"


def matrix(rows: Sequence[Sequence[str]], style: Style) -> str:
    """A matrix of formulas, or one row of them."""
    if style == "text":
        return f"[{'; '.join(', '.join(row) for row in rows)}]"
    body = r" \\ ".join(" & ".join(row) for row in rows)
    return rf"\begin{{pmatrix}} {body} \end{{pmatrix}}"
