"""Derivations as one HTML page that needs nothing else: formulas are MathML with an embedded font.

The page shows everything, or walks through it step by step. The walk is made of radio buttons and CSS: it needs no script, and
follows the arrow keys. Printed, the page always shows everything.
"""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Collection, Iterator, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from chainrule.derivations.render.latex import equation_sides, noted
from chainrule.derivations.steps import Derived, Section, Step
from chainrule.derivations.words import phrase
from chainrule.errors import ChainruleError, missing_dependency
from chainrule.language import Language

_STYLE = """
@font-face { font-family: "chainrule-math"; src: url(data:font/woff2;base64,FONT) format("woff2"); }
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #ffffff; --soft: #59636e; --line: #d9dee3; --wash: #f5f7f9;
  --mark: #0a58a8; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8eaed; --paper: #15181c; --soft: #9aa4ae; --line: #363c43; --wash: #1d2126; --mark: #7ab7f5; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 60rem; padding: 1.5rem 1rem 5rem; color: var(--ink); background: var(--paper);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", "Noto Sans", "Noto Sans CJK SC",
    "PingFang SC", "Microsoft YaHei", sans-serif; }
math { font-family: "chainrule-math", "STIX Two Math", "Cambria Math", math; font-size: 1.08em; }
h1 { font-size: 1.5rem; line-height: 1.3; margin: 0 0 1rem; }
h2 { font-size: 1.1rem; margin: 2rem 0 .6rem; padding-bottom: .25rem; border-bottom: 1px solid var(--line); }
p.remark, .note { color: var(--soft); }
p.remark { margin: .4rem 0 .8rem; max-width: 46rem; }
.note { font-size: .9rem; margin: 0 0 .15rem; }
.value > .note { margin: 0; }
table { border-collapse: collapse; }
.scroll { overflow-x: auto; }
td, th { text-align: left; padding: .3rem 1.2rem .3rem 0; border-bottom: 1px solid var(--line); vertical-align: middle; }
th { white-space: nowrap; font-weight: 600; color: var(--soft); font-size: .9rem; }
.given { display: flex; flex-wrap: wrap; gap: .4rem 1.6rem; align-items: center; }
.given > span { display: inline-flex; flex-direction: column; align-items: safe center; max-width: 100%; overflow-x: auto; }
.step { padding: .55rem .8rem; margin: .45rem 0; background: var(--wash); border-radius: 6px; overflow-x: auto; }
.step.last { border-left: 3px solid var(--mark); }
.step.value { padding: .3rem .8rem; margin: 0; background: none; border-radius: 0; border-bottom: 1px solid var(--line);
  display: flex; flex-wrap: wrap; justify-content: space-between; gap: 0 1.5rem; align-items: center; }
.eq { display: flex; flex-wrap: wrap; gap: .35rem .5rem; align-items: center; }
.side { display: inline-flex; flex-wrap: wrap; align-items: center; }
@media print {
  :root { --ink: #000; --paper: #fff; --soft: #444; --line: #bbb; --wash: #fff; --mark: #000; }
  body { max-width: none; padding: 0; font-size: 11pt; }
  .step { break-inside: avoid; border: 1px solid var(--line); overflow: visible; }
  .step.value { border-width: 0 0 1px; }
  h2, p.remark { break-after: avoid; }
}
"""

_WALK = """
.walk { position: absolute; opacity: 0; pointer-events: none; scroll-margin: 40vh 0; }
.start, .controls label { cursor: pointer; padding: .35rem .9rem; border: 1px solid var(--line); border-radius: 1.2rem;
  color: var(--mark); background: var(--paper); user-select: none; white-space: nowrap; }
.start { display: inline-block; margin: 0 0 .2rem; font-size: .95rem; }
.start:hover, .controls label:hover { border-color: var(--mark); }
.walk:focus-visible + .step { outline: 2px solid var(--mark); outline-offset: 1px; }
.controls { display: none; position: fixed; z-index: 1; left: 0; right: 0; bottom: 0; padding: .6rem 1rem;
  gap: .6rem; justify-content: center; align-items: center; background: var(--paper); border-top: 1px solid var(--line); }
.controls span { color: var(--soft); min-width: 4rem; white-space: nowrap; text-align: center; }
@media screen {
  /* Wherever the reader has scrolled to, the chosen step is in sight, above the controls. */
  .walk:checked + .step { position: sticky; bottom: 4.2rem; background: color-mix(in srgb, var(--mark) 14%, var(--paper)); }
  .walk:checked + .step + .controls { display: flex; }
  .walk:checked + .step + .controls ~ * { display: none; }
}
@media print { .start { display: none; } }
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


def to_html(derivation: Derived) -> str:
    """The whole derivation; see `Derived.to_html`."""
    language = derivation.language
    walk = _Walk(sum(step.kind != "given" for step in derivation.steps()), language)
    body = [f"<h1>{mixed(derivation.title.latex)}</h1>", walk.start()]
    for section in derivation.sections:
        given, steps = _given_and_steps(section, language)
        body += [*_heading(section), *given, *map(walk.through, steps)]
    return page(derivation.title.text, "\n".join(body), language)


def page(title: str, body: str, language: Language) -> str:
    """A whole page around `body`, with the style and font of explanations."""
    return (
        f'<!doctype html>\n<html lang="{"zh-Hans" if language == "zh" else "en"}">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>{style()}{_WALK}</style>\n</head>\n<body>\n<main>\n{body}\n</main>\n"
        "</body>\n</html>\n"
    )


@cache
def style() -> str:
    """The style sheet, with the font inside."""
    font = files("chainrule.derivations.render").joinpath("fonts/stix-two-math.woff2").read_bytes()
    return _STYLE.replace("FONT", base64.b64encode(font).decode("ascii"))


def mixed(text: str) -> str:
    """Text with formulas between $."""
    parts = re.split(r"(?<!\\)\$((?:[^$]|\\\$)*?)(?<!\\)\$", text)
    return "".join(math(p) if k % 2 else html.escape(p) for k, p in enumerate(parts))


class _Walk:
    """The walk through a page: a radio button before each step, and after it the controls that show while it is chosen.

    What follows the controls of the chosen step is hidden, so all steps, headings and remarks must be neighbours.
    """

    def __init__(self, count: int, language: Language) -> None:
        self._count, self._language, self._done = count, language, 0

    def start(self) -> str:
        """The button for everything, which is chosen at first, and the way into the walk."""
        label = html.escape(phrase("walk", self._language, count=self._count))
        whole = '<input class="walk" type="radio" name="walk" id="step-0" checked aria-hidden="true">'
        return f'{whole}<label class="start" for="step-1">{label}</label>'

    def through(self, step: str) -> str:
        """A step of the walk."""
        self._done += 1
        here = self._done
        title = html.escape(phrase("walk-step", self._language, number=here, count=self._count))
        labels = [("walk-back", here - 1)] if here > 1 else []
        labels += [("walk-next", here + 1)] if here < self._count else []
        links = [f'<label for="step-{to}">{html.escape(phrase(key, self._language))}</label>' for key, to in labels]
        links.insert(int(here > 1), f"<span>{here} / {self._count}</span>")
        links.append(f'<label for="step-0">{html.escape(phrase("walk-all", self._language))}</label>')
        button = f'<input class="walk" type="radio" name="walk" id="step-{here}" aria-label="{title}">'
        return f'{button}{step}<div class="controls">{"".join(links)}</div>'


def section_body(section: Section, derivation: Derived) -> str:
    """The steps of a section, without its heading."""
    given, steps = _given_and_steps(section, derivation.language)
    return "\n".join([*given, *steps])


def _heading(section: Section) -> Iterator[str]:
    yield f"<h2>{mixed(section.heading.latex)}</h2>"
    if section.remark:
        yield f'<p class="remark">{mixed(section.remark.latex)}</p>'


def _given_and_steps(section: Section, language: Language) -> tuple[list[str], list[str]]:
    """What a section starts from, side by side; and its steps."""
    given = [step for step in section.steps if step.kind == "given"]
    steps = [_step(step, section, language) for step in section.steps if step.kind != "given"]
    return [_given(given, language)] if given else [], steps


def _given(given: Sequence[Step], language: Language) -> str:
    items = []
    for step in given:
        note = "" if step.note is None else f'<small class="note">{mixed(step.note.latex)}</small>'
        items.append(f"<span>{math(' = '.join(equation_sides(step, language)))}{note}</span>")
    return f'<div class="given">{"".join(items)}</div>'


def _step(step: Step, section: Section, language: Language) -> str:
    """One step: its equation, which may be broken before = and between factors and terms, and what there is to say on it."""
    value = section.kind in ("forward", "layers")
    kind = " value" if value else " last" if step is section.steps[-1] else ""
    note = f'<p class="note">{mixed(noted(step, language))}</p>' if step.note else ""
    first, *sides = equation_sides(step, language)
    spans = "".join(_side(s, not value) for s in [first, *(f"= {side}" for side in sides)])
    equation = f'<div class="eq">{spans}</div>'
    return f'<div class="step{kind}">{equation + note if value else note + equation}</div>'


def _side(latex: str, block: bool) -> str:
    return f'<span class="side">{"".join(f"<span>{math(piece, block=block)}</span>" for piece in pieces(latex))}</span>'


def pieces(latex: str) -> list[str]:
    """A formula in parts, each with its sign, between which a line may be broken: a sum in its terms, else in its factors."""
    terms = _broken(latex, (" + ", " - "))
    return terms if len(terms) > 1 else _broken(latex, (r" \cdot ", r" \odot "))


def _broken(latex: str, signs: Collection[str]) -> list[str]:
    """Parts of a formula, broken before those signs that stand outside all brackets."""
    found, depth = [""], 0
    for token in re.split(r"( (?:[+-]|\\cdot|\\odot) |\\begin|\\end|\\left|\\right|[{}()\[\]])", latex):
        depth += (token in ("\\begin", "\\left", *"{([")) - (token in ("\\end", "\\right", *"})]"))
        if depth == 0 and token in signs and found[-1].strip(" ={}"):
            found.append("{}")  # something for the sign to stand after, as between two terms
        found[-1] += token
    return found
