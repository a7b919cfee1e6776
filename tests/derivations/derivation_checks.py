"""Checks of derivations that several tests share."""

from __future__ import annotations

import re
from math import cos, erf, exp, log, log1p, pi, sin, sqrt, tanh

import numpy as np

from chainrule.derivations import Derivation
from chainrule.derivations.steps import Step
from chainrule.derivations.symbols import rounded


def re_evaluated(derivation: Derivation, *, atol: float = 1e-16) -> None:
    """Every step's number follows from the numbers that it shows, but for `atol` where these cancel."""
    for step in derivation.steps():
        for part in step.parts:
            if part.rule == "product":
                product, largest = np.asarray(1.0), 1.0
                for factor in part.factors:
                    product = product * factor.value
                    largest = max(largest, float(np.max(np.abs(factor.value), initial=0.0)))
                # Where terms cancelled, what was left of them by rounding is shown as 0.
                allowed = np.where(part.value == 0.0, max(atol, 1e-14 * largest), atol)
                close = np.isclose(product, part.value, rtol=1e-12, atol=allowed, equal_nan=True)
                assert np.all(close), (step.name, product, part.value)
        if step.parts and step.kind in ("gradient", "sum", "path", "element"):
            assert step.value is not None
            total = sum(part.value for part in step.parts)
            rounding = 1e-14 * max(float(np.max(np.abs(part.value), initial=0.0)) for part in step.parts)
            np.testing.assert_allclose(total, step.value, rtol=1e-12, atol=max(10 * atol, rounding))


_DIGITS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_FUNCTIONS = {
    "σ": lambda x: 1.0 / (1.0 + exp(-x)), "softplus": lambda x: log1p(exp(x)), "relu": lambda x: max(x, 0.0),
    "cos": cos, "erf": erf, "exp": exp, "log": log, "sin": sin, "sqrt": sqrt, "tanh": tanh,
    "max": lambda *x: max(x), "min": lambda *x: min(x),
}  # fmt: skip
_ROOT = re.compile(r"√(\d|π|\(2π\))")
_NAMES = re.compile(rf"\b(?:{'|'.join(_FUNCTIONS)}|if|else|and|not)\b")
_SIGNS = {
    "·": "*", "^": "**", "≥": ">=", "≤": "<=", "≠": "!=", " = ": " == ", "∧": " and ", "¬": " not ",
    "{": "(", ", else": " else", "}": ")",
}  # fmt: skip
_BESIDE = re.compile(r"(?<=[\d)])(?=\()")  # 0.5(1 - 0.2)
_SHOWN = ("value", "gradient", "path", "sum", "element")


def shown_numbers_give_the_shown_result(derivation: Derivation) -> int:
    """Reckon with the numbers as displayed: they give the displayed result. Returns how many steps could be reckoned."""
    return sum(_reckoned(step) for step in derivation.steps() if step.kind in _SHOWN)


def _reckoned(step: Step) -> bool:
    found = _evaluated(step.equations[-1].text) if step.equations and _is_number(step) else None
    if found is None:
        return False
    assert step.value is not None
    shown = rounded(step.value.item(), step.digits)
    if shown == 0.0:  # terms that cancel: what is left of numbers that were cut off somewhere is their rounding
        largest = max(float(number) for number in re.findall(r"\d+\.?\d*", step.equations[-1].text))
        assert abs(found) <= 1e-12 * max(1.0, largest), f"{step.name} = {step.equations[-1].text} = 0, but gives {found!r}"
        return True
    assert rounded(found, step.digits) == shown, f"{step.name} = {step.equations[-1].text} = {shown}, but gives {found!r}"
    return True


def formulas_give_the_values(derivation: Derivation) -> int:
    """Put numbers in full into the formulas as written: each gives the value of its step. Returns how many were evaluated."""
    known: dict[str, float] = {}
    count = 0
    for step in derivation.steps():
        if step.value is None or step.value.size != 1:
            continue
        if step.kind in _SHOWN and step.equations and np.isfinite(step.value.item()):
            symbols = re.compile("|".join(map(re.escape, sorted(known, key=len, reverse=True))) or "(?!)")
            found = _evaluated(symbols.sub(lambda m: f"({known[m[0]]!r})", step.equations[0].text))
            if found is not None:
                count += 1
                scale = max([1e-3, abs(step.value.item()), *(abs(p.value.item()) for p in step.parts)])
                error = abs(found - step.value.item())
                assert error <= 1e-9 * scale, f"{step.name} = {step.equations[0].text} = {step.value}, but gives {found!r}"
        known[step.symbol.text] = step.value.item()
    return count


def _is_number(step: Step) -> bool:
    return step.value is not None and step.value.size == 1 and bool(np.isfinite(step.value.item()))


def _evaluated(text: str) -> float | None:
    """The value of a formula that is written with numbers; None if names are left in it."""
    text = re.sub(r"×10([⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)", lambda m: f"e{m[1].translate(_DIGITS)}", text)
    text = re.sub(r"([⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)", lambda m: f"**{m[1].translate(_DIGITS)}", text)
    text = _ROOT.sub(r"sqrt(\1)", text).replace("2π", repr(2 * pi)).replace("π", repr(pi))
    for sign, typed in _SIGNS.items():
        text = text.replace(sign, typed)
    text = re.sub(r"\[([^\[\]]*[<>=][^\[\]]*)\]", r"(1.0*(\1))", text)  # [x > 0] is 1 where it holds, else 0
    text = _BESIDE.sub("*", text)
    if re.search(r"[^-+*/(),<>=!\d.e ]", _NAMES.sub("", text)):
        return None
    return float(eval(text, dict(_FUNCTIONS)))  # of numbers, operators and these functions alone
