"""The page of a report: its style, its sections and tables, and what stands where a part could not be made."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from chainrule.derivations.render.html import style
from chainrule.drawing import Drawing
from chainrule.errors import ChainruleError, MissingDependency
from chainrule.job.report.words import divided, say
from chainrule.language import LANGUAGES, Language

_STYLE = """
:root { --second: #b4581f; --shade: #b9c1ca; --blend: darken; }
@media (prefers-color-scheme: dark) { :root { --second: #ffae7a; --shade: #59636e; --blend: lighten; } }
.choice { position: absolute; opacity: 0; pointer-events: none; }
#en:checked ~ * [lang="zh-Hans"], #zh:checked ~ * [lang="en"] { display: none; }
.switch { display: flex; justify-content: flex-end; gap: .35rem; font-size: .9rem; }
.switch label { padding: .3rem .8rem; border: 1px solid var(--line); border-radius: 1rem; cursor: pointer; color: var(--soft); }
#en:checked ~ header [for="en"], #zh:checked ~ header [for="zh"] { color: var(--paper); background: var(--mark);
  border-color: var(--mark); }
#en:focus-visible ~ header [for="en"], #zh:focus-visible ~ header [for="zh"] {
  outline: 2px solid var(--mark); outline-offset: 2px; }
.settings { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(46%, 11rem), 1fr));
  gap: .6rem 1.2rem; margin: 0; }
.settings dt { color: var(--soft); font-size: .9rem; } .settings dd { margin: 0; overflow-wrap: anywhere; }
.contents { display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; font-size: .95rem; }
a { color: var(--mark); text-decoration: none; } a:hover { text-decoration: underline; }
h1 { overflow-wrap: anywhere; margin-top: .6rem; }
h2 { font-size: 1.25rem; margin-top: 2.6rem; } h3 { font-size: 1rem; margin: 1.4rem 0 .5rem; }
p { margin: .5rem 0; max-width: 46rem; }
th, td { vertical-align: top; }
td.n, th.n { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
th { word-break: keep-all; } th.wrap { white-space: normal; vertical-align: bottom; }
td.kind { white-space: nowrap; }
td.name { min-width: 8rem; max-width: 18rem; overflow-wrap: anywhere; } td.wide { min-width: 13rem; }
.confusion td, .confusion th { padding: .25rem .55rem; text-align: center; border: 1px solid var(--line); max-width: 9rem;
  font-variant-numeric: tabular-nums; }
.confusion td { white-space: nowrap; } .confusion th { min-width: 2.2rem; white-space: normal; overflow-wrap: break-word; }
.confusion th.corner { white-space: nowrap; max-width: none; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 23rem), 1fr)); gap: 1rem; }
figure { margin: 0; min-width: 0; display: flex; flex-direction: column; justify-content: space-between; }
figcaption { font-size: .9rem; color: var(--soft); }
img.chart { width: 100%; height: auto; max-width: 26rem; display: block; }
.drawing img { max-width: none; display: block; mix-blend-mode: var(--blend); }
.finding { margin: 1rem 0; padding: .2rem .9rem .6rem; border: 1px solid var(--line); border-left: 4px solid var(--second);
  border-radius: 6px; max-width: 46rem; }
.finding h3 { margin: .5rem 0 .3rem; } .finding dl { margin: .4rem 0 0; }
.finding dt { color: var(--soft); font-size: .9rem; margin-top: .4rem; } .finding dd { margin: 0; overflow-wrap: anywhere; }
img.pixels { image-rendering: pixelated; width: 7rem; height: auto; display: block; margin: .6rem 0;
  border: 1px solid var(--line); }
.missing { padding: .6rem .9rem; border: 1px dashed var(--line); border-radius: 6px; color: var(--soft); }
code { font-size: .92em; white-space: nowrap; }
/* What is wider than the page shows by a shadow that there is more; at the ends patches of paper cover it. */
@media screen { .scroll { background: no-repeat
  linear-gradient(to right, var(--paper) 1rem, transparent) 0 / 2rem 100% local,
  no-repeat linear-gradient(to left, var(--paper) 1rem, transparent) 100% / 2rem 100% local,
  no-repeat linear-gradient(to right, var(--shade), transparent) 0 / .8rem 100% scroll,
  no-repeat linear-gradient(to left, var(--shade), transparent) 100% / .8rem 100% scroll; } }
@media (max-width: 40rem) { td, th { padding-right: .8rem; } th.n { white-space: normal; } .step { padding: .5rem .6rem; }
  .confusion td, .confusion th { padding: .2rem .3rem; font-size: .85rem; } .confusion th { min-width: 1.7rem; }
  .confusion th.corner { white-space: normal; overflow-wrap: normal; } .eq { flex-wrap: wrap; } }
@media print { :root { --second: #777; } .switch, .contents { display: none; } .scroll, .step { overflow: visible; }
  .confusion td { background: none !important; }
  .drawing img { max-width: 100%; height: auto; } figure, tr { break-inside: avoid; } * { print-color-adjust: exact; } }
"""


@dataclass(frozen=True)
class ReportSection:
    """One section of a report.

    Attributes:
        key: its heading in `words`, and its anchor.
        body: HTML.
    """

    key: str
    body: str


def page(target: str, source: str, parts: Sequence[ReportSection]) -> str:
    """The whole page."""
    names = dict(zip(LANGUAGES, ("English", "中文"), strict=True))
    radios = "".join(
        f'<input class="choice" type="radio" name="language" id="{code}" aria-label="{name}"'
        f"{' checked' if code == 'en' else ''}>"
        for code, name in names.items()
    )
    labels = "".join(f'<label for="{code}" lang="und">{name}</label>' for code, name in names.items())
    contents = "".join(f'<a href="#{part.key}">{say(part.key)}</a>' for part in parts)
    sections = "\n".join(f'<section id="{part.key}">\n<h2>{say(part.key)}</h2>\n{part.body}\n</section>' for part in parts)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(f'{target} · {source} · chainrule')}</title>\n<style>{style()}{_STYLE}</style>\n</head>\n"
        f'<body>\n<main>\n{radios}\n<header>\n<div class="switch">{labels}</div>\n'
        f'<h1>{say("title", target=target, source=source)}</h1>\n<nav class="contents">{contents}</nav>\n</header>\n'
        f"{sections}\n</main>\n</body>\n</html>\n"
    )


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], kinds: Sequence[str] = ()) -> str:
    """A table of HTML cells; `kinds` are the classes of its columns, "n" for numbers."""
    classes = [f' class="{kind}"' if kind else "" for kind in kinds] or [""] * len(heads)
    head = "".join(f"<th{c}>{cell}</th>" for cell, c in zip(heads, classes, strict=True))
    lines = ("".join(f"<td{c}>{cell}</td>" for cell, c in zip(row, classes, strict=True)) for row in rows)
    body = "".join(f"<tr>{line}</tr>\n" for line in lines)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table></div>'


def paragraph(key: str, **values: object) -> str:
    """A paragraph in both languages."""
    return f"<p>{say(key, **values)}</p>"


def in_both(make: Callable[[Language], str]) -> str:
    """Blocks of HTML made once in each language."""
    english, chinese = (make(language) for language in LANGUAGES)
    return divided((english, chinese))


def drawn(make: Callable[[Language], Drawing]) -> str:
    """A picture made once in each language; it scrolls where it is wider than the page."""
    return in_both(lambda language: f'<div class="scroll drawing">{make(language).to_img()}</div>')


def attempt(make: Callable[[], str], package: str) -> str:
    """What `make` gives, or a sentence on why it is not there: `package` is not installed, or what chainrule says."""
    try:
        return make()
    except MissingDependency:
        return f'<p class="missing">{say("missing-package", package=package)}</p>'
    except ChainruleError as error:
        return f'<p class="missing">{say("not-made", error=error)}</p>'
