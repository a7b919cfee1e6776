"""How well a network learnt, and what it answers on the held-out rows."""

from __future__ import annotations

import html
from collections.abc import Sequence

import numpy as np

from chainrule.drawing import Drawing
from chainrule.drawing.chart import Line, Panel, panels_drawing
from chainrule.drawing.curves import curve_drawings
from chainrule.drawing.picture import Look
from chainrule.drawing.regions import plane_drawing
from chainrule.drawing.shapes import Point
from chainrule.ir import Array
from chainrule.job.measures import measure_text, worse_than_constant
from chainrule.job.pictures import plane_of
from chainrule.job.prepared import PreparedData
from chainrule.job.report.pages import ReportSection, in_both, paragraph, table
from chainrule.job.report.words import say, translated
from chainrule.job.results import Result
from chainrule.language import Language
from chainrule.train import History, metrics_for

_MOST_CLASSES = 20  # in a confusion matrix
_MOST_PAIRS = 20
_MOST_POINTS = 1000


def curves_section(history: History) -> ReportSection:
    """Loss, metric and learning rate by epoch."""
    count, seconds = len(history), f"{sum(history['seconds']):.1f}"
    said = paragraph("one-epoch", seconds=seconds) if count == 1 else paragraph("epochs", count=f"{count:,}", seconds=seconds)
    if history.stopped:
        said += f"<p>{say('stopped')} {translated(history.stopped)}</p>"
    if {*metrics_for("regression")} & {*history.columns}:
        said += paragraph("standardised")
    figures = in_both(lambda language: _figures(curve_drawings(history, Look(language=language))))
    return ReportSection("curves", said + figures)


def _figures(drawings: Sequence[Drawing]) -> str:
    figures = "".join(f"<figure>{each.to_img('chart')}</figure>" for each in drawings)
    return f'<div class="charts">{figures}</div>'


def quality_section(result: Result, prepared: PreparedData, outputs: Array) -> ReportSection:
    """Measures beside the baseline; for classes the confusion matrix, for numbers the residuals.

    Args:
        result: the run.
        prepared: its data.
        outputs: (n, outputs) of the network for `prepared.X_held`.
    """
    count = f"{len(prepared.X_held):,}"
    body = [paragraph("judged" if prepared.held_out else "judged-training", count=count)]
    rows = [
        (say(name), measure_text(value), measure_text(result.baseline[name]) if name in result.baseline else "")
        for name, value in result.metrics.items()
    ]
    body.append(table([say("measure"), say("of-network"), say("baseline")], rows, ("", "n", "n")))
    numbers = prepared.target.task == "regression"
    body.append(paragraph("baseline-mean" if numbers else "baseline-class"))
    if result.config.patience and prepared.held_out:
        body.append(paragraph("chose"))
    if result.averaged:
        body.append(paragraph("averaged"))
    if result.best_epoch is not None:
        body.append(paragraph("best-epoch", epoch=str(result.best_epoch)))
    worse = worse_than_constant(result.metrics, result.baseline)
    if worse:
        body.append(f"<p><strong>{say('worse')}</strong> {', '.join(map(say, worse))}.</p>")
    body.append(_residuals(prepared, outputs) if numbers else _confusion(result, prepared, outputs))
    body.append(_regions(result, prepared))
    return ReportSection("quality", "\n".join(body))


def _regions(result: Result, prepared: PreparedData) -> str:
    """The answers all over the plane, of a network that reads two columns of numbers and has not too many classes to tell."""
    if len(prepared.target.classes) > _MOST_CLASSES:
        return ""
    plane = plane_of(result.predictor, prepared.X_held, prepared.y_held)
    if plane is None or not len(plane.points):
        return ""

    def figure(language: Language) -> str:
        drawing = plane_drawing(result.predictor.model, plane, Look(language=language), prepared.target.classes or None)
        return f"<figure>{drawing.to_img('chart')}</figure>"

    return f"<h3>{say('regions')}</h3>{paragraph('regions-what')}{in_both(figure)}"


# -------------------------------------------------------------------------------------------- classes
def _confusion(result: Result, prepared: PreparedData, outputs: Array) -> str:
    probabilities = result.predictor.probabilities(outputs)
    assert probabilities is not None
    classes = prepared.target.classes
    answers = probabilities.argmax(axis=1)
    if len(classes) > _MOST_CLASSES:
        return _pairs(prepared.y_held, answers, classes)
    counts = np.zeros((len(classes), len(classes)), np.int64)
    np.add.at(counts, (prepared.y_held, answers), 1)
    return _matrix(counts, classes)


def _matrix(counts: Array, classes: Sequence[str]) -> str:
    heads = "".join(f"<th>{html.escape(label)}</th>" for label in classes)
    totals = np.maximum(counts.sum(axis=1), 1)
    lines = []
    for i, label in enumerate(classes):
        cells = "".join(_cell(int(n), n / totals[i], "--mark" if i == j else "--second") for j, n in enumerate(counts[i]))
        lines.append(f"<tr><th>{html.escape(label)}</th>{cells}</tr>")
    corner = f'<th class="corner">{say("truth")} ↓ {say("answer")} →</th>'
    body = f"<thead><tr>{corner}{heads}</tr></thead><tbody>{''.join(lines)}</tbody>"
    return f'<h3>{say("confusion")}</h3><div class="scroll"><table class="confusion">{body}</table></div>'


def _cell(count: int, share: float, colour: str) -> str:
    """A count on a wash of colour, the stronger the larger its share of the row."""
    if not count:
        return "<td></td>"
    return f'<td style="background: color-mix(in srgb, var({colour}) {10 + 45 * share:.0f}%, transparent)">{count:,}</td>'


def _pairs(truth: Array, answers: Array, classes: Sequence[str]) -> str:
    """The classes that are confused most often."""
    wrong = truth != answers
    found, counts = np.unique(np.stack([truth[wrong], answers[wrong]], axis=1), axis=0, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:_MOST_PAIRS]
    rows = [(*(html.escape(classes[c]) for c in found[k]), f"{counts[k]:,}") for k in order]
    if not rows:
        return paragraph("no-mistake")
    return f"<h3>{say('confused')}</h3>" + table([say("truth"), say("answer"), say("count")], rows, ("name", "name", "n"))


# -------------------------------------------------------------------------------------------- numbers
def _residuals(prepared: PreparedData, outputs: Array) -> str:
    """Answers by truth, and residuals by answer, in the target's own unit."""
    answers = prepared.target.decode(outputs)
    truth = prepared.target.decode(prepared.y_held)
    finite = np.flatnonzero(np.isfinite(answers))
    shown = finite[:: -(-len(finite) // _MOST_POINTS) or 1]
    if not len(shown):
        return ""
    x, y = truth[shown], answers[shown]
    ends = float(min(x.min(), y.min())), float(max(x.max(), y.max()))
    figures = [
        _plot("answers-plot", _points(x, y), [(ends[0], ends[0]), (ends[1], ends[1])]),
        _plot("residuals-plot", _points(y, x - y), [(float(y.min()), 0.0), (float(y.max()), 0.0)]),
    ]
    thinned = paragraph("thinned", shown=f"{len(shown):,}", count=f"{len(truth):,}") if len(shown) < len(truth) else ""
    return f'<div class="charts">{"".join(figures)}</div>{thinned}'


def _points(x: Array, y: Array) -> list[Point]:
    return list(zip(x.tolist(), y.tolist(), strict=True))


def _plot(caption: str, points: Sequence[Point], guide: Sequence[Point]) -> str:
    panel = Panel([Line(points, "first", joined=False), Line(guide, "second")], "", "")
    drawing = panels_drawing([panel], "", Look())
    return f"<figure><figcaption>{say(caption)}</figcaption>{drawing.to_img('chart')}</figure>"
