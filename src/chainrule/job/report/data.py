"""The data of a run, and its settings."""

from __future__ import annotations

import html
from collections.abc import Callable
from dataclasses import asdict
from typing import NamedTuple

from chainrule.job.config import Config
from chainrule.job.inputs import Listing
from chainrule.job.prepared import PreparedData
from chainrule.job.report.pages import ReportSection, paragraph, table
from chainrule.job.report.words import both, kind, say, setting, translated

_MOST_CLASSES = 20


class _Column(NamedTuple):
    """How a column of a listing is shown: its heading in `words`, from a text to HTML, its style."""

    words: str
    cell: Callable[[str], str]
    style: str


_COLUMNS = {
    "column": _Column("column", html.escape, "name"),
    "columns": _Column("columns", html.escape, "name"),
    "number": _Column("number-of", html.escape, "n"),
    "kind": _Column("kind", kind, "kind"),
    "missing": _Column("missing", html.escape, "n"),
    "inputs": _Column("inputs", html.escape, "n"),
    "treatment": _Column("treatment", translated, "wide"),
}


def data_section(prepared: PreparedData) -> ReportSection:
    """Rows, target, and what became of every column."""
    train, held = f"{len(prepared.X):,}", f"{len(prepared.X_held):,}"
    body = [paragraph("rows", train=train, held=held) if prepared.held_out else paragraph("rows-all", train=train)]
    if prepared.dropped:
        body.append(paragraph("dropped", count=f"{prepared.dropped:,}"))
    return ReportSection("data", "\n".join([*body, _target(prepared), _inputs(prepared)]))


def _target(prepared: PreparedData) -> str:
    target = prepared.target
    if not target.classes:
        return paragraph("number", target=target.name, mean=f"{target.mean:.6g}", std=f"{target.std:.6g}")
    listed = ", ".join(target.classes[:_MOST_CLASSES]) + (", …" if len(target.classes) > _MOST_CLASSES else "")
    return paragraph("classes", target=target.name, count=len(target.classes), classes=listed)


def _inputs(prepared: PreparedData) -> str:
    described = prepared.features.description()
    if isinstance(described, Listing):
        return _columns(described.shortened())
    return f"<p>{both(*map(html.escape, described))}</p>"


def _columns(listing: Listing) -> str:
    """A line per column, or per treatment where there are many columns."""
    rows = ([_COLUMNS[head].cell(cell) for head, cell in zip(listing.heads, row, strict=True)] for row in listing.rows)
    heads = [_COLUMNS[head] for head in listing.heads]
    return table([say(head.words) for head in heads], rows, [head.style for head in heads])


def settings_section(config: Config) -> ReportSection:
    """Every setting as used; those that were left open and stayed so are not listed."""
    items = (
        f"<div><dt>{setting(name)}</dt><dd>{_value(value)}</dd></div>"
        for name, value in asdict(config).items()
        if value is not None and (value != () or name == "hidden")
    )
    return ReportSection("settings", f'<dl class="settings">{"".join(items)}</dl>')


def _value(value: object) -> str:
    if isinstance(value, tuple | list):
        return html.escape(", ".join(map(str, value))) or say("none")
    return html.escape(f"{value:g}" if isinstance(value, float) else repr(value) if value in ("\t", " ") else str(value))
