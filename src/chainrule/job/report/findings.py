"""What a diagnosis finds in the trained network, and what it measured in each of its layers."""

from __future__ import annotations

import html
import math

from chainrule.diagnosis import Diagnosis, Finding
from chainrule.diagnosis.rule import Value
from chainrule.drawing.chart import label
from chainrule.job.diagnosing import diagnose_run
from chainrule.job.prepared import PreparedData
from chainrule.job.report.pages import ReportSection, attempt, paragraph, table
from chainrule.job.report.words import both, say
from chainrule.job.results import Result

_COLUMNS = ("rms-z", "rms-dw", "update", "delta", "weight-factor", "slope-factor", "dead", "saturated", "rank")
_NUMBERS = ("z", "gradient", "update", "delta", "weight_factor", "slope_factor", "dead", "saturated", "rank")
_SHARES = ("dead", "saturated")


def diagnosis_section(result: Result, prepared: PreparedData) -> ReportSection:
    """The findings, worst first, and the numbers of every layer."""
    return ReportSection("diagnosis", attempt(lambda: _body(_diagnosis(result, prepared)), ""))


def _diagnosis(result: Result, prepared: PreparedData) -> Diagnosis:
    """The diagnosis of the run, made now if it was not; raises what stood in its way."""
    if result.not_diagnosed is not None:
        raise result.not_diagnosed
    return diagnose_run(result, prepared) if result.diagnosis is None else result.diagnosis


def _body(diagnosis: Diagnosis) -> str:
    key = "diagnosis-healthy" if diagnosis.healthy else "diagnosis-found"
    said = paragraph(key, count=diagnosis.measured.rules, found=len(diagnosis))
    chinese = diagnosis.in_language("zh")
    said += "".join(_finding(*pair) for pair in zip(diagnosis, chinese, strict=True))
    said += f"<p>{_both([diagnosis.in_language('en').loss_line(), chinese.loss_line()])}</p>"
    return said + _layers(diagnosis) if diagnosis.layers else said


def _finding(english: Finding, chinese: Finding) -> str:
    pair = (english, chinese)
    layer = f" · {say('in-layer', layer=english.layer)}" if english.layer else ""
    parts = (
        ("why", [f.why for f in pair]),
        ("change", [f.change for f in pair]),
        ("evidence", [_evidence(f) for f in pair]),
    )
    lines = "".join(f"<dt>{say(key)}</dt><dd>{_both(texts)}</dd>" for key, texts in parts)
    head = f"<h3><code>{html.escape(english.kind)}</code>{layer}</h3>"
    return f'<div class="finding">{head}<p>{_both([f.what for f in pair])}</p><dl>{lines}</dl></div>'


def _both(texts: list[str]) -> str:
    english, chinese = map(html.escape, texts)
    return both(english, chinese)


def _evidence(finding: Finding) -> str:
    return ", ".join(f"{name} = {_shown(value)}" for name, value in finding.evidence.items())


def _layers(diagnosis: Diagnosis) -> str:
    heads = [say("layer"), say("activation"), *(say(key) for key in _COLUMNS)]
    rows = (
        (
            f"<code>{html.escape(layer['name'])}</code>",
            html.escape(layer["activation"] or "–"),
            *(f"{layer[n]:.0%}" if n in _SHARES else _shown(layer[n]) for n in _NUMBERS),
        )
        for layer in diagnosis.layers
    )
    kinds = ("wrap", "wrap", *("n wrap" for _ in _NUMBERS))
    return f"<h3>{say('layer-numbers')}</h3>{table(heads, rows, kinds)}{paragraph('layer-numbers-what')}"


def _shown(value: Value) -> str:
    if isinstance(value, float):
        return "–" if math.isnan(value) else label(value, 3)
    return str(value)
