"""Checks of derivations that several tests share."""

from __future__ import annotations

import re

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


def shown_numbers_give_the_shown_result(derivation: Derivation) -> int:
    """Reckon with the numbers as displayed: they give the displayed result. Returns how many steps could be reckoned."""
    return sum(_reckoned(step) for step in derivation.steps() if step.kind in ("gradient", "path", "sum", "element"))


def _reckoned(step: Step) -> bool:
    if not step.equations or step.value is None or step.value.size != 1 or not np.isfinite(step.value.item()):
        return False
    text = re.sub(r"×10([⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)", lambda m: f"e{m[1].translate(_DIGITS)}", step.equations[-1].text)
    if re.search(r"[^-+·()\d.e ]", text):  # names, or functions
        return False
    found = eval(text.replace("·", "*"))  # of digits, dots and brackets alone
    shown = number(step.value.item(), step.digits).text
    assert number(found, step.digits).text == shown, f"{step.name} = {step.equations[-1].text} = {shown}, but gives {found!r}"
    return True
