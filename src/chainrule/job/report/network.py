"""What the network is made of, a drawing of it, and how large gradients are in each of its layers."""

from __future__ import annotations

import html
from dataclasses import asdict

from chainrule import nn
from chainrule.diagnosis import Problem
from chainrule.diagnosis.measuring import Measurements
from chainrule.drawing import draw
from chainrule.drawing.flow import flow_drawing
from chainrule.drawing.picture import Look
from chainrule.ir import Array
from chainrule.job.building import make_loss
from chainrule.job.prepared import PreparedData
from chainrule.job.report.forward import without_dropout
from chainrule.job.report.pages import ReportSection, attempt, drawn, paragraph, table
from chainrule.job.report.sample import worst_row
from chainrule.job.report.words import say
from chainrule.job.results import Result

_MOST_ROWS = 256  # in the batch for which gradients are measured
_MOST_NUMBERS = 1_000_000  # in it: convolutions of large pictures take memory


def network_section(result: Result, prepared: PreparedData, outputs: Array) -> ReportSection:
    """Layers with shapes and numbers of parameters, and a drawing for the sample that is explained."""
    summary = nn.summary(result.predictor.model, prepared.X.shape[1:])
    rows = [
        (f"<code>{html.escape(f'{r.path} {r.layer}')}</code>", _shape(r.output_shape[1:]), f"{r.parameters:,}")
        for r in summary.rows
    ]
    listed = table([say("layer"), say("shape"), say("parameters")], rows, ("", "n", "n"))
    total = paragraph("all-parameters", count=f"{summary.parameters:,}")
    return ReportSection("network", listed + total + attempt(lambda: _drawing(result, prepared, outputs), "graphlay"))


def _shape(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape))


def _drawing(result: Result, prepared: PreparedData, outputs: Array) -> str:
    row = worst_row(result, prepared, outputs)
    model, sample = result.predictor.model, prepared.X_held[row : row + 1]
    return drawn(lambda language: draw(model, sample, language=language)) + paragraph("drawing-network")


def flow_section(result: Result, prepared: PreparedData) -> ReportSection:
    """Size of the weights and of the gradients of the loss by them in every layer, for one batch."""
    count = min(_MOST_ROWS, max(1, _MOST_NUMBERS // prepared.X[0].size), len(prepared.X))
    X, y, loss = prepared.X[:count], prepared.y[:count], make_loss(result.config, prepared.target.task)
    measured = Measurements(Problem(without_dropout(result.predictor.model), loss, X, y), seed=0)
    layers = [asdict(layer) for layer in measured.layers]
    picture = drawn(lambda language: flow_drawing(layers, Look(language=language)))
    return ReportSection("flow", paragraph("flow-what", count=count) + picture)
