"""What the network is made of, a drawing of it, and how large gradients are in each of its layers."""

from __future__ import annotations

import base64
import html
import math
from typing import TYPE_CHECKING

import numpy as np

from chainrule import nn
from chainrule.explain import draw
from chainrule.ir import Array
from chainrule.job.problem import Problem
from chainrule.job.report.forward import run
from chainrule.job.report.page import Part, attempt, paragraph, table
from chainrule.job.report.sample import worst_row
from chainrule.job.report.words import say
from chainrule.tensor import grad

if TYPE_CHECKING:
    from chainrule.job.training import Result

_MOST_ROWS = 256  # in the batch for which gradients are measured
_MOST_NUMBERS = 1_000_000  # in it: convolutions of large pictures take memory


def network_section(result: Result, problem: Problem, outputs: Array) -> Part:
    """Layers with shapes and numbers of parameters, and a drawing for the sample that is explained."""
    summary = nn.summary(result.predictor.model, problem.X.shape[1:])
    rows = [
        (f"<code>{html.escape(f'{r.path} {r.layer}')}</code>", _shape(r.output_shape[1:]), f"{r.parameters:,}")
        for r in summary.rows
    ]
    listed = table([say("layer"), say("shape"), say("parameters")], rows, ("", "n", "n"))
    total = paragraph("all-parameters", count=f"{summary.parameters:,}")
    return Part("network", listed + total + attempt(lambda: _drawing(result, problem, outputs), "graphlay"))


def _shape(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape))


def _drawing(result: Result, problem: Problem, outputs: Array) -> str:
    row = worst_row(result, problem, outputs)
    pictures = problem.X.ndim == 4
    loss = run(result, problem, problem.X_held[row : row + 1], problem.y_held[row : row + 1], named=True).loss
    drawing = draw(loss, detail="named") if pictures else draw(loss, kind="network")
    # As a picture of its own, so that its style sheet and that of the page do not mix.
    data = base64.b64encode(drawing.to_svg().encode()).decode("ascii")
    size = f'width="{drawing.width:.0f}" height="{drawing.height:.0f}"'
    image = f'<div class="scroll drawing"><img alt="" {size} src="data:image/svg+xml;base64,{data}"></div>'
    return f"{image}{paragraph('drawing-graph' if pictures else 'drawing-network')}"


def flow_section(result: Result, problem: Problem) -> Part:
    """Root mean squares of weights and of the gradients of the loss by them, for one batch."""
    affordable = max(1, _MOST_NUMBERS // problem.X[0].size)
    count = min(result.config.batch_size or _MOST_ROWS, _MOST_ROWS, affordable, len(problem.X))
    batch = run(result, problem, problem.X[:count], problem.y[:count], named=True)
    weights = [p for p in batch.model.parameters() if p.ndim > 1]
    gradients = [_rms(g.numpy()) for g in grad(batch.loss, weights)]
    sizes = [_rms(w.numpy()) for w in weights]
    positive = [v for v in [*gradients, *sizes] if 0.0 < v < math.inf]
    if not positive:
        return Part("flow", paragraph("flow-zero"))
    # Bars begin well below the smallest number, so that it has one, too.
    low, high = math.floor(math.log10(min(positive)) - 0.3), math.ceil(math.log10(max(positive)))
    rows = [
        (_symbol(w.name or ""), _shape(w.shape), _bar(size, low, high, ""), _bar(gradient, low, high, " second"))
        for w, size, gradient in zip(weights, sizes, gradients, strict=True)
    ]
    heads = [say(key) for key in ("parameter", "size", "rms-weight", "rms-gradient")]
    what = paragraph("flow-what", count=count, low=_number(10.0**low), high=_number(10.0**high))
    return Part("flow", what + table(heads, rows, ("", "n", "bars", "bars")))


def _symbol(name: str) -> str:
    letter, _, number = name.partition("^")
    return f"<i>{html.escape(letter)}</i><sup>{html.escape(number)}</sup>"


def _rms(values: Array) -> float:
    return float(np.sqrt(np.mean(values.astype(np.float64) ** 2)))


def _bar(value: float, low: int, high: int, kind: str) -> str:
    share = (math.log10(value) - low) / (high - low) if 0.0 < value < math.inf else 0.0
    return f'{_number(value)}<span class="bar{kind}" style="width: {100 * share:.1f}%"></span>'


def _number(value: float) -> str:
    return f"{value:.3g}"
