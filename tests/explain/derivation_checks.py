"""Checks of derivations that several tests share."""

from __future__ import annotations

import re
from math import cos, exp, log, log1p, sin, sqrt, tanh

import numpy as np

from chainrule.explain import Derivation
from chainrule.explain.derivation import Step
from chainrule.explain.symbols import number


def re_evaluated(derivation: Derivation) -> None:
    """Every step's number follows from the numbers that it shows."""
    for step in derivation.steps():
        for part in step.parts:
            if part.rule == "product":
                product = np.asarray(1.0)
                for factor in part.factors:
                    product = product * factor.value
                np.testing.assert_allclose(np.broadcast_to(product, part.value.shape), part.value, rtol=1e-12, atol=1e-16)
        if step.parts and step.kind in ("gradient", "sum", "path", "element"):
            assert step.value is not None
            total = sum(part.value for part in step.parts)
            np.testing.assert_allclose(total, step.value, rtol=1e-12, atol=1e-15)


_DIGITS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_FUNCTIONS = {
    "σ": lambda x: 1.0 / (1.0 + exp(-x)), "softplus": lambda x: log1p(exp(x)), "relu": lambda x: max(x, 0.0),
    "cos": cos, "exp": exp, "log": log, "sin": sin, "sqrt": sqrt, "tanh": tanh, "max": max, "min": min,
}  # fmt: skip
_NAMES = re.compile(rf"\b(?:{'|'.join(_FUNCTIONS)})\b")
_SHOWN = ("value", "gradient", "path", "sum", "element")


def shown_numbers_give_the_shown_result(derivation: Derivation) -> int:
    """Reckon with the numbers as displayed: they give the displayed result. Returns how many steps could be reckoned."""
    return sum(_reckoned(step) for step in derivation.steps() if step.kind in _SHOWN)


def _reckoned(step: Step) -> bool:
    if not step.equations or step.value is None or step.value.size != 1 or not np.isfinite(step.value.item()):
        return False
    text = re.sub(r"×10([⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)", lambda m: f"e{m[1].translate(_DIGITS)}", step.equations[-1].text)
    text = re.sub(r"([⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)", lambda m: f"**{m[1].translate(_DIGITS)}", text)
    text = re.sub(r"(?<=[\d)])\(", "*(", text.replace("·", "*"))  # 0.5(1 - 0.2)
    if re.search(r"[^-+*/(),\d.e ]", _NAMES.sub("", text)):
        return False  # names of quantities are left in it
    found = eval(text, _FUNCTIONS)  # of numbers, operators and these functions alone
    shown = number(step.value.item(), step.digits).text
    assert number(found, step.digits).text == shown, f"{step.name} = {step.equations[-1].text} = {shown}, but gives {found!r}"
    return True
