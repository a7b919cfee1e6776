"""Derivations for a terminal."""

from __future__ import annotations

import re
from collections.abc import Iterator

from chainrule.derivations.render.arrays import in_words, is_listed, rows_of
from chainrule.derivations.steps import Derived, Section, Step
from chainrule.derivations.symbols import Formula, number
from chainrule.derivations.words import phrase
from chainrule.language import Language

_COLUMNS = 110
_CLOSING = "[，。；：、）]*"  # no line begins with these


def to_text(derivation: Derived) -> str:
    """The whole derivation; see `Derived.to_text`."""
    lines = [derivation.title.text, "═" * _width(derivation.title.text)]
    for section in derivation.sections:
        lines += ["", *_section(section, derivation.language)]
    return "\n".join(lines) + "\n"


def _section(section: Section, language: Language) -> Iterator[str]:
    yield section.heading.text
    yield "─" * _width(section.heading.text)
    if section.remark:
        yield from _wrapped(section.remark.text)
    width = max((_width(s.symbol.text) for s in section.steps), default=0)
    for step in section.steps:
        if step.route is not None and step.note is not None:
            yield phrase("with-route", language, note=step.note.text, route=step.route.text)
        yield from _step(step, width, language)


def _step(step: Step, width: int, language: Language) -> Iterator[str]:
    sides = [e.text for e in step.equations]
    block: list[str] = []
    if step.value is not None and step.value.ndim and is_listed(step.value):
        block = _matrix(rows_of(step.value, step.digits))
        if len(block) == 1:
            sides.append(block.pop())
    elif step.value is not None:
        sides.append(
            number(step.value.item(), step.digits).text if step.value.ndim == 0 else in_words(step.value, language).text
        )
    indent = " " * (width + 1)
    head = step.symbol.text + " " * (width - _width(step.symbol.text))
    first = f"{head} = {sides[0]}" if sides else f"{head} ="
    note = "    " + phrase("aside", language, note=step.note.text) if step.note and step.route is None else ""
    short = " = ".join([first, *sides[1:]])
    if _width(short) <= _COLUMNS:
        yield f"{short}{' =' if block and sides else ''}{note}"
    else:
        yield first + note
        yield from (f"{indent}= {side}" for side in sides[1:])
    yield from (f"{indent}  {row}" for row in block)


def _matrix(rows: list[list[Formula]]) -> list[str]:
    texts = [[n.text for n in row] for row in rows]
    widths = [max(len(row[k]) for row in texts) for k in range(len(texts[0]))]
    return ["[ " + "  ".join(t.rjust(w) for t, w in zip(row, widths, strict=True)) + " ]" for row in texts]


def _wrapped(text: str) -> Iterator[str]:
    """Lines of at most 110 columns; Chinese may be broken anywhere but before closing marks, other text only between words."""
    line = ""
    for piece in re.findall(rf"（?[\u2e80-\uffef]{_CLOSING}|[^\s\u2e80-\uffef]+{_CLOSING}\s*|\s+", text):
        if line and _width(line + piece.rstrip()) > _COLUMNS:
            yield line.rstrip()
            line = ""
        line += piece
    yield line.rstrip()


def _width(text: str) -> int:
    """Columns on a terminal, where Chinese characters take two."""
    return sum(2 if "\u2e80" <= c <= "\uffef" else 1 for c in text)
