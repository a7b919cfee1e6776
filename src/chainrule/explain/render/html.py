"""Derivations as one HTML page that needs nothing else: formulas are MathML with an embedded font."""

from __future__ import annotations

import base64
import html
import re
from functools import cache
from importlib.resources import files
from typing import Any

from chainrule.errors import ChainruleError, missing_dependency
from chainrule.explain.derivation import Derivation, Section, Step
from chainrule.explain.language import Language, phrase
from chainrule.explain.render.latex import equation_sides, value_latex

_STYLE = """
@font-face { font-family: "chainrule-math"; src: url(data:font/woff2;base64,FONT) format("woff2"); }
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #ffffff; --soft: #59636e; --line: #d9dee3; --wash: #f5f7f9;
  --mark: #0a58a8; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8eaed; --paper: #15181c; --soft: #9aa4ae; --line: #363c43; --wash: #1d2126; --mark: #7ab7f5; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 60rem; padding: 1.5rem 1rem 4rem; color: var(--ink); background: var(--paper);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", "Noto Sans", "Noto Sans CJK SC",
    "PingFang SC", "Microsoft YaHei", sans-serif; }
math { font-family: "chainrule-math", "STIX Two Math", "Cambria Math", math; font-size: 1.08em; }
h1 { font-size: 1.5rem; line-height: 1.3; margin: 0 0 1rem; }
h2 { font-size: 1.1rem; margin: 2rem 0 .6rem; padding-bottom: .25rem; border-bottom: 1px solid var(--line); }
p.remark, .note { color: var(--soft); }
.note { font-size: .9rem; margin: 0 0 .15rem; }
table { border-collapse: collapse; }
.scroll { overflow-x: auto; }
td, th { text-align: left; padding: .3rem 1.2rem .3rem 0; border-bottom: 1px solid var(--line); vertical-align: middle; }
th { white-space: nowrap; font-weight: 600; color: var(--soft); font-size: .9rem; }
.given { display: flex; flex-wrap: wrap; gap: .4rem 1.6rem; align-items: center; }
.step { padding: .55rem .8rem; margin: .45rem 0; background: var(--wash); border-radius: 6px; overflow-x: auto; }
.step.last { border-left: 3px solid var(--mark); }
.eq { display: flex; flex-wrap: wrap; gap: .35rem .5rem; align-items: center; }
@media print {
  :root { --ink: #000; --paper: #fff; --soft: #444; --line: #bbb; --wash: #fff; --mark: #000; }
  body { max-width: none; padding: 0; font-size: 11pt; }
  .step { break-inside: avoid; border: 1px solid var(--line); }
  h2 { break-after: avoid; }
}
"""


@cache
def _converter() -> Any:
    try:
        from math_core import LatexToMathML  # noqa: PLC0415 -- an optional package
    except ImportError:
        raise missing_dependency("math-core", "an HTML page with formulas", "app") from None
    return LatexToMathML(fancy_error=False)


def math(latex: str, *, block: bool = False) -> str:
    """A formula as MathML. The only place that knows the package which does it.

    Raises:
        MissingDependency: math-core is not installed.
        ChainruleError: it does not understand the formula.
    """
    converter = _converter()
    try:
        found: str = converter.convert_with_local_state(latex, displaystyle=block)
    except Exception as error:
        raise ChainruleError(f"the formula {latex[:200]!r} could not be set as MathML: {error}") from error
    return found.replace('display="block"', 'displaystyle="true"') if block else found


def to_html(derivation: Derivation) -> str:
    """The whole derivation; see `Derivation.to_html`."""
    title = derivation.title.text
    body = [f"<h1>{mixed(derivation.title.latex)}</h1>", *(_section(s, derivation) for s in derivation.sections)]
    return page(title, "\n".join(body), derivation.language)


def page(title: str, body: str, language: Language) -> str:
    """A whole page around `body`, with the style and font of explanations."""
    return (
        f'<!doctype html>\n<html lang="{"zh-Hans" if language == "zh" else "en"}">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>{style()}</style>\n</head>\n<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


@cache
def style() -> str:
    """The style sheet, with the font inside."""
    font = files("chainrule.explain.render").joinpath("fonts/stix-two-math.woff2").read_bytes()
    return _STYLE.replace("FONT", base64.b64encode(font).decode("ascii"))


def mixed(text: str) -> str:
    """Text with formulas between $."""
    parts = re.split(r"(?<!\\)\$((?:[^$]|\\\$)*?)(?<!\\)\$", text)
    return "".join(math(p) if k % 2 else html.escape(p) for k, p in enumerate(parts))


def section_body(section: Section, derivation: Derivation) -> str:
    """The steps of a section, without its heading."""
    language = derivation.language
    if section.kind == "given":
        items = (f"<span>{math(' = '.join(equation_sides(step, language)))}</span>" for step in section.steps)
        return f'<div class="given">{"".join(items)}</div>'
    if section.kind in ("forward", "layers"):
        return _table(section, language)
    return "\n".join(_step(step, language, step is section.steps[-1]) for step in section.steps)


def _section(section: Section, derivation: Derivation) -> str:
    remark = f'<p class="remark">{html.escape(section.remark)}</p>' if section.remark else ""
    return f"<section>\n<h2>{html.escape(section.heading)}</h2>\n{remark}{section_body(section, derivation)}\n</section>"


def _table(section: Section, language: Language) -> str:
    heads = "".join(f"<th>{html.escape(phrase(key, language))}</th>" for key in ("symbol", "formula", "value"))
    rows = []
    for step in section.steps:
        sides = [math(e.latex if k == 0 else f"= {e.latex}") for k, e in enumerate(step.equations)]
        formula = f'<div class="eq">{"".join(f"<span>{s}</span>" for s in sides)}</div>'
        value = "" if step.value is None else math(value_latex(step.value, step.digits, language))
        rows.append(f"<tr><td>{math(step.symbol.latex)}</td><td>{formula}</td><td>{value}</td></tr>")
    return f'<div class="scroll"><table><thead><tr>{heads}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'


def _step(step: Step, language: Language, last: bool) -> str:
    route = "" if step.route is None else f": {math(step.route.latex)}"
    note = f'<p class="note">{html.escape(step.note)}{route}</p>' if step.note else ""
    first, *sides = equation_sides(step, language)
    pieces = [math(first, block=True), *(math(f"= {side}", block=True) for side in sides)]
    spans = "".join(f"<span>{p}</span>" for p in pieces)
    return f'<div class="step{" last" if last else ""}">{note}<div class="eq">{spans}</div></div>'
