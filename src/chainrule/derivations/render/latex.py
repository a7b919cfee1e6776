"""Derivations as LaTeX and Markdown."""

from __future__ import annotations

import re

from chainrule.derivations.render.arrays import in_words, is_listed, rows_of
from chainrule.derivations.steps import Derived, Section, Step
from chainrule.derivations.symbols import Formula, number
from chainrule.derivations.words import phrase
from chainrule.ir import Array
from chainrule.language import Language

_LINE = 80  # characters, as text, that fit on a line of a page
_TEXT_SPECIAL = str.maketrans({c: "\\" + c for c in "_#%&{}"})


def to_latex(derivation: Derived) -> str:
    """The whole derivation; see `Derived.to_latex`."""
    lines = [rf"\section*{{{derivation.title.latex}}}"]
    for section in derivation.sections:
        lines += ["", rf"\subsection*{{{escaped(section.heading.latex)}}}"]
        if section.remark:
            lines.append(escaped(section.remark.latex) + r"\par")
        lines += _aligned(section, derivation.language)
    return "\n".join(lines) + "\n"


def _aligned(section: Section, language: Language) -> list[str]:
    """The steps, aligned at =. What there is to say on a long one stands before it, on a short one beside it."""
    lines: list[str] = []
    rows: list[str] = []
    for step in section.steps:
        symbol, *sides = equation_sides(step, language)
        wide = sum(len(e.text) for e in (step.symbol, *step.equations)) > _LINE
        row = rf"{symbol} &= " + (" \\\\\n&= " if wide else " = ").join(sides)
        if step.note and (wide or step.route):
            lines += [*_block(rows), escaped(noted(step, language)) + r"\par"]
            rows = []
        elif step.note:
            row += rf" && \text{{{escaped(step.note.latex)}}}"
        rows.append(row)
    return lines + _block(rows)


def _block(rows: list[str]) -> list[str]:
    return [r"\begin{align*}", " \\\\\n".join(rows), r"\end{align*}"] if rows else []


def to_markdown(derivation: Derived) -> str:
    """The whole derivation; see `Derived.to_markdown`."""
    lines = [f"# {derivation.title.latex}"]
    for section in derivation.sections:
        lines += ["", f"## {section.heading.latex}", ""]
        if section.remark:
            lines += [section.remark.latex, ""]
        lines += _table(section, derivation) if section.kind in ("given", "forward") else _equations(section, derivation)
    return "\n".join(lines) + "\n"


def _table(section: Section, derivation: Derived) -> list[str]:
    language = derivation.language
    rows = [f"| {phrase('symbol', language)} | {phrase('formula', language)} | {phrase('value', language)} |", "|---|---|---|"]
    for step in section.steps:
        formulas = " = ".join(e.latex for e in step.equations)
        shown = f"${formulas}$" if formulas else ""
        rows.append(f"| ${step.symbol.latex}$ | {shown} | {_value_cell(step, language)} |")
    return rows


def _value_cell(step: Step, language: Language) -> str:
    return "" if step.value is None else f"${value_latex(step.value, step.digits, language)}$"


def _equations(section: Section, derivation: Derived) -> list[str]:
    lines: list[str] = []
    for step in section.steps:
        if step.note:
            lines += [noted(step, derivation.language), ""]
        lines += [f"$$ {' = '.join(equation_sides(step, derivation.language))} $$", ""]
    return lines


# -------------------------------------------------------------------------------------------- pieces
def noted(step: Step, language: Language) -> str:
    """The note of a step, with the names along a path; formulas stand between $."""
    note = "" if step.note is None else step.note.latex
    return note if step.route is None else phrase("with-route", language, note=note, route=f"${step.route.latex}$")


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
        return _words_in_formula(in_words(value, language).latex)
    return matrix_latex(rows_of(value, digits))


def _words_in_formula(text: str) -> str:
    """Text with formulas between $ as one formula."""
    pieces = text.split("$")
    return "".join(piece if k % 2 else rf"\text{{{escaped(piece)}}}" for k, piece in enumerate(pieces) if piece)


def matrix_latex(rows: list[list[Formula]]) -> str:
    """A matrix in round brackets."""
    body = r" \\ ".join(" & ".join(n.latex for n in row) for row in rows)
    return rf"\begin{{pmatrix}} {body} \end{{pmatrix}}"


def escaped(text: str) -> str:
    """Plain text for LaTeX; formulas between $ are left alone."""
    parts = re.split(r"((?<!\\)\$.*?(?<!\\)\$)", text)
    return "".join(p if p.startswith("$") else p.translate(_TEXT_SPECIAL) for p in parts)
