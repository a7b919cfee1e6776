"""Derivations as LaTeX and Markdown."""

from __future__ import annotations

import re

from chainrule.explain.derivation import Derivation, Section, Step
from chainrule.explain.language import Language, phrase
from chainrule.explain.render.arrays import in_words, is_listed, rows_of
from chainrule.explain.symbols import Formula, number
from chainrule.ir import Array

_TEXT_SPECIAL = str.maketrans({c: "\\" + c for c in "_#%&{}"})


def to_latex(derivation: Derivation) -> str:
    """The whole derivation; see `Derivation.to_latex`."""
    lines = [rf"\section*{{{derivation.title.latex}}}"]
    for section in derivation.sections:
        lines += ["", rf"\subsection*{{{escaped(section.heading)}}}"]
        if section.remark:
            lines.append(escaped(section.remark) + r"\par")
        if section.steps:
            rows = [_row(step, derivation.language) for step in section.steps]
            lines += [r"\begin{align*}", " \\\\\n".join(rows), r"\end{align*}"]
    return "\n".join(lines) + "\n"


def _row(step: Step, language: Language) -> str:
    note = f" && {noted(step)}" if step.note else ""
    symbol, *sides = equation_sides(step, language)
    return rf"{symbol} &{' = '.join(['', *sides])}{note}".replace("& =", "&=")


def to_markdown(derivation: Derivation) -> str:
    """The whole derivation; see `Derivation.to_markdown`."""
    lines = [f"# {derivation.title.latex}"]
    for section in derivation.sections:
        lines += ["", f"## {section.heading}", ""]
        if section.remark:
            lines += [section.remark, ""]
        lines += _table(section, derivation) if section.kind in ("given", "forward") else _equations(section, derivation)
    return "\n".join(lines) + "\n"


def _table(section: Section, derivation: Derivation) -> list[str]:
    language = derivation.language
    rows = [f"| {phrase('symbol', language)} | {phrase('formula', language)} | {phrase('value', language)} |", "|---|---|---|"]
    for step in section.steps:
        formulas = " = ".join(e.latex for e in step.equations)
        shown = f"${formulas}$" if formulas else ""
        rows.append(f"| ${step.symbol.latex}$ | {shown} | {_value_cell(step, language)} |")
    return rows


def _value_cell(step: Step, language: Language) -> str:
    return "" if step.value is None else f"${value_latex(step.value, step.digits, language)}$"


def _equations(section: Section, derivation: Derivation) -> list[str]:
    lines: list[str] = []
    for step in section.steps:
        if step.note:
            lines += [step.note if step.route is None else f"{step.note}: ${step.route.latex}$", ""]
        lines += [f"$$ {' = '.join(equation_sides(step, derivation.language))} $$", ""]
    return lines


# -------------------------------------------------------------------------------------------- pieces
def noted(step: Step) -> str:
    """The note of a step, with the names along a path."""
    text = rf"\text{{{escaped(step.note)}}}"
    return text if step.route is None else rf"{text}: {step.route.latex}"


def equation_sides(step: Step, language: Language) -> list[str]:
    """The symbol, the right-hand sides, and the value, in LaTeX."""
    sides = [step.symbol.latex, *(e.latex for e in step.equations)]
    if step.value is not None:
        sides.append(value_latex(step.value, step.digits, language))
    return sides


def value_latex(value: Array, digits: int, language: Language) -> str:
    """A number, a matrix, or a sentence on a large array."""
    if value.ndim == 0:
        return number(value.item(), digits).latex
    if not is_listed(value):
        return rf"\text{{{escaped(in_words(value, language))}}}"
    return matrix_latex(rows_of(value, digits))


def matrix_latex(rows: list[list[Formula]]) -> str:
    """A matrix in round brackets."""
    body = r" \\ ".join(" & ".join(n.latex for n in row) for row in rows)
    return rf"\begin{{pmatrix}} {body} \end{{pmatrix}}"


def escaped(text: str) -> str:
    """Plain text for LaTeX; formulas between $ are left alone."""
    parts = re.split(r"((?<!\\)\$.*?(?<!\\)\$)", text)
    return "".join(p if p.startswith("$") else p.translate(_TEXT_SPECIAL) for p in parts)
