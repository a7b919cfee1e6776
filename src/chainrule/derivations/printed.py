"""Formulas as they are printed, in the grammar of typed ones: 1/√(2π) · x² is 1/sqrt(2*π) * x**2, and |x| is abs(x)."""

from __future__ import annotations

import re
from collections.abc import Collection

from chainrule.derivations.functions import function_named

_SIGNS = {
    "^": "**", "·": "*", "×": "*", "⋅": "*", "⊙": "*", "÷": "/", "−": "-", "≤": "<=", "≥": ">=", "≠": "!=", "∧": " and ",
    "∨": " or ", "¬": " not ", "√": "sqrt", "∑": "sum", "ᵀ": ".T", "½": "0.5", "¼": "0.25", "¾": "0.75", "⅓": "(1/3)",
    "⅔": "(2/3)", "log softmax": "log_softmax",
}  # fmt: skip
_RAISED = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+")
_AS_DIGITS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻₀₁₂₃₄₅₆₇₈₉", "0123456789-0123456789")
_CASES = re.compile(r"\{([^{}]*) if ([^{}]*), else ([^{}]*)\}")
_SIZE = re.compile(r"\|([^|]+)\|")
_ROOT = re.compile(r"√\s*([\w.]+)")
_TIMES_PI = re.compile(r"(?<=[\d)])\s*(π|√)")
_CONDITION = re.compile(r"\[[^\[\]]*\]")
_EQUAL = re.compile(r"(?<![<>=!])=(?!=)")
_BEFORE_BRACKET = re.compile(r"(?:(?<![\w.])([^\W\d]\w*)|(?<![\w.])(\d[\w.]*)|\))\s*\(")
_OPENING, _CLOSING = "([{", ")]}"


def as_typed(formula: str, names: Collection[str] = ()) -> str:
    """A formula with signs, raised digits and brackets as they are typed.

    A number, a bracket, or one of `names` before a bracket is a factor: 0.5(x + 1), a(1 - a). A name of a function calls it.
    """
    text = formula
    while (found := _CASES.sub(r"where(\2, \1, \3)", text)) != text:
        text = found
    text = _SIZE.sub(r"abs(\1)", text)
    text = _CONDITION.sub(lambda condition: _EQUAL.sub("==", condition[0]), _sums(text))
    text = _ROOT.sub(r"√(\1)", _TIMES_PI.sub(r"*\1", text))
    for sign, typed in _SIGNS.items():
        text = text.replace(sign, typed)
    text = _RAISED.sub(lambda power: f"**{power[0].translate(_AS_DIGITS)}", text).translate(_AS_DIGITS)

    def times(match: re.Match[str]) -> str:
        is_factor = match[1] is None or (match[1] in names and function_named(match[1]) is None)
        return f"{match[0][:-1]}*(" if is_factor else match[0]

    return _BEFORE_BRACKET.sub(times, text)


def _sums(text: str) -> str:
    """Σ x · y as sum(x · y): a sum over all reaches up to the next + or −, or the end of its bracket."""
    while "Σ " in text:
        start = text.rindex("Σ ")
        depth, end = 0, len(text)
        for k in range(start + 2, len(text)):
            depth += (text[k] in _OPENING) - (text[k] in _CLOSING)
            if depth < 0 or (depth == 0 and (text[k] in ",;\n" or text[k - 1 : k + 2] in (" + ", " - "))):
                end = k
                break
        text = f"{text[:start]}sum({text[start + 2 : end].rstrip()}) {text[end:]}"
    return text
