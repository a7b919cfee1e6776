"""From names to mathematical symbols, and from numbers to digits.

A name such as "w13" is written w₁₃ in a terminal and w_{13} in LaTeX; "delta^2" is δ², "dE/dw13" is ∂E/∂w₁₃, "w13'" is w₁₃′,
and "W1[0, 1]" keeps its index. What is not of this kind stays a word.
"""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from chainrule.ops.written import Style, superscript

_GREEK = {
    "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "epsilon": "ε", "zeta": "ζ", "eta": "η", "theta": "θ", "kappa": "κ",
    "lambda": "λ", "lam": "λ", "mu": "μ", "nu": "ν", "xi": "ξ", "pi": "π", "rho": "ρ", "sigma": "σ", "tau": "τ", "phi": "φ",
    "chi": "χ", "psi": "ψ", "omega": "ω",
}  # fmt: skip
_COMMANDS = {letter: f"\\{name}" for name, letter in _GREEK.items() if name != "lam"}
_COMMANDS |= {"ε": r"\varepsilon", "φ": r"\varphi"}  # \epsilon and \phi are other letters, ϵ and ϕ
_SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
_DERIVATIVE = re.compile(r"d(\(.+\)|[^/()]+)/d(.+)")
_NAME = re.compile(r"([^\W\d_]+)_?([^\W_]*)(?:\^(\w+))?(?:#(\d+))?((?:\[[^\]]*\])?)('*)")
_LARGEST_DENOMINATOR = 10_000
_ROOTS = {
    2 / math.sqrt(math.pi): ("2/√π", r"\frac{2}{\sqrt{\pi}}"),
    1 / math.sqrt(2 * math.pi): ("1/√(2π)", r"\frac{1}{\sqrt{2\pi}}"),
    math.sqrt(0.5): ("1/√2", r"\frac{1}{\sqrt{2}}"),
    math.sqrt(2.0): ("√2", r"\sqrt{2}"),
    math.pi: ("π", r"\pi"),
}  # the constants of gelu and erf, and what their derivatives make of them
_TYPED = 12  # digits of a number that somebody may have typed
# What is printed, or written on paper, as it is typed.
_TYPED_AS = {"∂": "d", "′": "'", "’": "'", "‘": "'", "ʹ": "'", "″": "''", "\N{MINUS SIGN}": "-"}
_TYPED_AS |= dict(zip("₀₁₂₃₄₅₆₇₈₉ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ", "0123456789aehijklmnoprstuvx", strict=True))
_AS_TYPED = str.maketrans(_TYPED_AS)
_RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺", "0123456789-+")
_RAISED_RUN = re.compile("(⁽)?([⁻⁺]?[⁰¹²³⁴⁵⁶⁷⁸⁹]+)⁾?")
_ESCAPES = {c: "\\" + c for c in "_#%&${}"}
_IN_FORMULA = str.maketrans(_ESCAPES | {"\\": r"\backslash ", "^": r"\wedge ", "~": r"\sim "})
_IN_TEXT = str.maketrans(_ESCAPES | {"\\": r"\textbackslash{}", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}"})


@dataclass(frozen=True)
class Formula:
    """A piece of mathematics, as `text` for a terminal and as `latex`."""

    text: str
    latex: str

    def style(self, style: Style) -> str:
        """The writing of that style."""
        return self.text if style == "text" else self.latex


def symbol(name: str) -> Formula:
    """The mathematical symbol for a name (see the top of this module)."""
    return Formula(_symbol(name, "text"), _symbol(name, "latex"))


def typed(printed: str) -> str:
    """What is printed, as it is typed: "∂E/∂w₃₅" is "dE/dw35", "w₁₃′" is "w13'", "δ²" is "δ^2", and "h⁽²⁾" is "h#2"."""
    return _RAISED_RUN.sub(_lowered, printed).translate(_AS_TYPED)


def _lowered(raised: re.Match[str]) -> str:
    return ("#" if raised[1] else "^") + raised[2].translate(_RAISED)


def derivative_name(output: str, variable: str) -> str:
    """The name of ∂output/∂variable: "dE/dw13"; a derivative that is differentiated again is put in brackets."""
    return f"d{f'({output})' if '/' in output else output}/d{variable}"


def natural_order(name: str) -> list[tuple[int, int, str]]:
    """A key that sorts names as a reader would: w2 before w10."""
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.findall(r"\d+|\D+", name)]


def _symbol(name: str, style: Style) -> str:
    derivative = _DERIVATIVE.fullmatch(name)
    if derivative:
        above, below = (_bracketed(part, style) for part in derivative.groups())
        return f"∂{above}/∂{below}" if style == "text" else rf"\frac{{\partial {above}}}{{\partial {below}}}"
    parts = _NAME.fullmatch(name)
    if parts is None:
        return name if style == "text" else _word(name)
    head, below, above, version, index, primes = parts.groups()
    above = above or (f"({version})" if version else "")
    return _in_text(head, below, above, index, primes) if style == "text" else _in_latex(head, below, above, index, primes)


def _bracketed(name: str, style: Style) -> str:
    if not name.startswith("("):
        return _symbol(name, style)
    inner = _symbol(name[1:-1], style)
    return f"({inner})" if style == "text" else rf"\left({inner}\right)"


def _in_text(head: str, below: str, above: str, index: str, primes: str) -> str:
    below = below.translate(_SUBSCRIPTS) if below.isdigit() else f"_{below}" if below else ""
    raised = superscript(above.strip("()"))
    if raised is not None:
        above = f"⁽{raised}⁾" if above.startswith("(") else raised
    elif above:
        above = f"^{above}"
    return f"{_GREEK.get(head, head)}{below}{above}{index}{'′' * len(primes)}"


def _in_latex(head: str, below: str, above: str, index: str, primes: str) -> str:
    letter = _GREEK.get(head, head)
    base = _COMMANDS.get(letter, letter if len(letter) == 1 and letter.isascii() else _word(letter))
    below = f"_{{{below if below.isdigit() or len(below) == 1 else _word(below)}}}" if below else ""
    above = f"^{{{above}{chr(92) + 'prime' if primes else ''}}}" if above or primes else ""
    return f"{base}{below}{above}{index}"


def _word(word: str) -> str:
    if not word.isascii():
        return rf"\text{{{word.translate(_IN_TEXT)}}}"
    return rf"\mathrm{{{word.translate(_IN_FORMULA)}}}".replace(" ", r"\ ")


# -------------------------------------------------------------------------------------------- numbers
def number(value: float | int | bool, digits: int) -> Formula:
    """A number with `digits` significant digits: plain from 10⁻⁶ to 10⁹, otherwise with a power of ten.

    A large number that these digits do not reach to the dot gets a power of ten, too: 1234567 is 1.235×10⁶ with four.
    """
    if isinstance(value, bool | np.bool_):
        return Formula(str(int(value)), str(int(value)))
    if not np.isfinite(value):
        text = "nan" if np.isnan(value) else "∞" if value > 0 else "-∞"
        return Formula(text, rf"\mathrm{{{text}}}" if text == "nan" else text.replace("∞", r"\infty"))
    if value == 0:
        return Formula("0", "0")  # not -0
    shown = rounded(value, digits)
    if 1e-6 <= abs(value) < 1e9 and (abs(shown) < 10.0**digits or shown == value):
        plain = np.format_float_positional(float(value), precision=digits, fractional=False, trim="-", unique=False)
        return Formula(plain, plain)
    mantissa, exponent = f"{float(value):.{digits - 1}e}".split("e")
    mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
    power = str(int(exponent))
    return Formula(f"{mantissa}×10{superscript(power)}", rf"{mantissa} \times 10^{{{power}}}")


def constant(value: float | int | bool, digits: int) -> Formula:
    """A number that belongs to a formula: as it was typed, if it is short, since 0.123456789 is no result to be rounded.

    One that is the quotient of two whole numbers, as in a mean of three, is written as such: 1/3. So is 1/√2.
    """
    if is_short(value):
        return number(value, _TYPED)
    for root, (text, latex) in _ROOTS.items():
        if _is_rounded(root, abs(float(value))):
            return Formula(f"-{text}", f"-{latex}") if value < 0 else Formula(text, latex)
    quotient = Fraction(float(value)).limit_denominator(_LARGEST_DENOMINATOR)
    if not _is_nearest(quotient, float(value)) or abs(quotient.numerator) > _LARGEST_DENOMINATOR:
        return number(value, digits)
    if is_short(float(quotient)):
        return number(float(quotient), _TYPED)
    above, below = abs(quotient.numerator), quotient.denominator
    sign = "-" if value < 0 else ""
    return Formula(f"{sign}{above}/{below}", rf"{sign}\frac{{{above}}}{{{below}}}")


def _is_nearest(quotient: Fraction, value: float) -> bool:
    """Whether a number is the quotient, rounded. Of a large denominator every number is nearly a quotient."""
    exact = float(quotient)
    return exact == value or (quotient.denominator < 100 and _is_rounded(exact, value))


def _is_rounded(exact: float, value: float) -> bool:
    """Whether a float64 is a number but for its last bits, as 1 - 1/3 is 2/3, or a float32 what it is rounded to."""
    return abs(exact - value) <= 2 * math.ulp(exact) or float(np.float32(exact)) == value


def is_short(value: float | int | bool) -> bool:
    """Whether a number can have been typed: it is written in full with a few digits, unlike 1/3."""
    return not np.isfinite(value) or rounded(float(value), _TYPED) == value


def rounded(value: float, digits: int) -> float:
    """The number that `number` shows."""
    return float(f"{value:.{digits - 1}e}") if np.isfinite(value) else value


def total(values: Iterable[float]) -> float:
    """The sum, rounded once; infinities and NaN as in any addition, where `math.fsum` raises."""
    terms = list(values)
    if all(map(math.isfinite, terms)):
        with contextlib.suppress(OverflowError):
            return math.fsum(terms)
    return sum(terms)


def agreeing_digits(
    values: Sequence[float], calculate: Callable[[list[float]], float], result: float, precision: int
) -> tuple[int, int]:
    """How many digits to show of the parts and of the result of a calculation, so that the shown parts give the shown result.

    The parts get `precision` significant digits, and the result as many or one less; where rounding still shows (terms that
    nearly cancel, say) the parts get more.

    Args:
        values: the parts, in full.
        calculate: gives the result from the parts.
        result: the result, in full.
        precision: significant digits wanted.

    Returns:
        Digits of the parts, digits of the result.
    """
    if not np.isfinite(result):
        return precision, precision
    for digits in range(precision, 18):
        found = calculate([rounded(v, digits) for v in values])
        if result == 0.0 and abs(found) <= 1e-14 * max(map(abs, values), default=0.0):
            return digits, precision  # terms that cancel, but for rounding
        for shown in (precision, max(precision - 1, 1)):
            if rounded(found, shown) == rounded(result, shown):
                return digits, shown
    return 17, precision
