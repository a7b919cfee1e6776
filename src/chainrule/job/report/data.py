"""What was learnt from, and with which settings."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import asdict

from chainrule.data import PixelEncoder
from chainrule.data.features import ColumnReport
from chainrule.job.config import Config
from chainrule.job.problem import Problem
from chainrule.job.report.pages import Part, paragraph, table
from chainrule.job.report.words import kind, say, setting, translated

_MOST_COLUMNS = 30  # that are listed one by one
_MOST_CLASSES = 20


def data_section(problem: Problem) -> Part:
    """Rows, target, and what became of every column."""
    train, held = f"{len(problem.X):,}", f"{len(problem.X_held):,}"
    body = [paragraph("rows", train=train, held=held) if problem.held_out else paragraph("rows-all", train=train)]
    if problem.dropped:
        body.append(paragraph("dropped", count=f"{problem.dropped:,}"))
    return Part("data", "\n".join([*body, _target(problem), _inputs(problem)]))


def _target(problem: Problem) -> str:
    target = problem.target
    if not target.classes:
        return paragraph("number", target=target.name, mean=f"{target.mean:.6g}", std=f"{target.std:.6g}")
    listed = ", ".join(target.classes[:_MOST_CLASSES]) + (", …" if len(target.classes) > _MOST_CLASSES else "")
    return paragraph("classes", target=target.name, count=len(target.classes), classes=listed)


def _inputs(problem: Problem) -> str:
    features = problem.features
    if isinstance(features, PixelEncoder):
        return paragraph("pixels", channels=features.channels, height=features.height, width=features.width)
    reports = features.describe()
    return _columns(reports) if len(reports) <= _MOST_COLUMNS else _groups(reports)


def _columns(reports: Sequence[ColumnReport]) -> str:
    rows = (
        (
            html.escape(r.name),
            kind(r.kind),
            f"{r.missing:,}" if r.missing else "",
            str(r.n_features) if r.n_features else "–",
            translated(r.told),
        )
        for r in reports
    )
    heads = [say(key) for key in ("column", "kind", "missing", "inputs", "treatment")]
    return table(heads, rows, ("name", "kind", "n", "n", "wide"))


def _groups(reports: Sequence[ColumnReport]) -> str:
    """Columns with one treatment together, for tables of many."""
    found: dict[tuple[str, str], list[str]] = {}
    for r in reports:
        found.setdefault((r.kind, r.told), []).append(r.name)
    rows = (
        (str(len(names)), html.escape(_few(names)), kind(of_kind), translated(treatment))
        for (of_kind, treatment), names in found.items()
    )
    heads = [say(key) for key in ("number-of", "columns", "kind", "treatment")]
    return table(heads, rows, ("n", "name", "kind", "wide"))


def _few(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 4 else f"{names[0]}, {names[1]}, …, {names[-1]}"


def settings_section(config: Config) -> Part:
    """Every setting as used; those that were left open and stayed so are not listed."""
    items = (
        f"<div><dt>{setting(name)}</dt><dd>{_value(value)}</dd></div>"
        for name, value in asdict(config).items()
        if value is not None and (value != () or name == "hidden")
    )
    return Part("settings", f'<dl class="settings">{"".join(items)}</dl>')


def _value(value: object) -> str:
    if isinstance(value, tuple | list):
        return html.escape(", ".join(map(str, value))) or say("none")
    return html.escape(f"{value:g}" if isinstance(value, float) else repr(value) if value in ("\t", " ") else str(value))
