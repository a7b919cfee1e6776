"""The backward pass of one sample, derived step by step by `chainrule.explain`."""

from __future__ import annotations

import html
from collections.abc import Sequence

import numpy as np

from chainrule import nn
from chainrule.derivations import Derivation, explain
from chainrule.derivations.render.html import mixed, section_body
from chainrule.drawing.shapes import png_data
from chainrule.gradients import grad
from chainrule.ir import Array
from chainrule.job.building import from_layer
from chainrule.job.prepared import PreparedData
from chainrule.job.report.forward import Run, first_layers, largest, loss_of, run
from chainrule.job.report.pages import ReportSection, attempt, in_both, paragraph
from chainrule.job.report.words import say
from chainrule.job.results import Result
from chainrule.language import Language
from chainrule.tensors import Tensor, tensor

_PRECISION = 4
_MOST_TERMS = 6  # of a sum that are listed before the rest is summed
_MOST_INPUTS = 12
_MOST_LAYERS = 20  # of a network that is derived


def worst_row(result: Result, prepared: PreparedData, outputs: Array) -> int:
    """The row of X_held with the least probable truth or the largest error: its gradients say most."""
    if prepared.target.task == "regression":
        return int(np.abs(outputs[:, 0] - prepared.y_held).argmax())
    probabilities = result.predictor.probabilities(outputs)
    assert probabilities is not None
    return int(probabilities[np.arange(len(outputs)), prepared.y_held].argmin())


def sample_section(result: Result, prepared: PreparedData, outputs: Array) -> ReportSection:
    """What the sample is, the derivation of all gradients of its loss, and that of one weight."""
    row = worst_row(result, prepared, outputs)
    X, y = prepared.X_held[row : row + 1], prepared.y_held[row : row + 1]
    which = "which" if prepared.held_out else "which-training"
    said = paragraph(which, row=f"{row + 1:,}", count=f"{len(outputs):,}") + _said(result, prepared, outputs, row)
    layers = sum(p.ndim > 1 for p in result.predictor.model.parameters())
    if layers > _MOST_LAYERS:
        derived = paragraph("too-deep", layers=layers)
    else:
        derived = attempt(lambda: _derived(result, prepared, X, y), "math-core")
    return ReportSection("sample", said + _read(prepared, X[0]) + derived)


def _said(result: Result, prepared: PreparedData, outputs: Array, row: int) -> str:
    target = prepared.target
    answers = result.predictor.answers(outputs[row : row + 1])
    if answers.probabilities is None:
        truth = float(target.decode(prepared.y_held[row : row + 1])[0])
        return paragraph("said-number", truth=f"{truth:.6g}", answer=f"{float(answers.values[0]):.6g}")
    p = f"{answers.probabilities.max():.3g}"
    return paragraph("said-class", truth=target.classes[prepared.y_held[row]], answer=answers.values[0], p=p)


def _read(prepared: PreparedData, x: Array) -> str:
    """The inputs of the sample: the picture, or names and values, the largest if they are many."""
    sample = prepared.features.sample(x)
    if sample.picture is not None:
        return picture(sample.picture) if sample.picture.shape[0] in (1, 3) else ""
    names, values = zip(*sample.values, strict=True)
    chosen = np.sort(np.argsort(-np.abs(values), kind="stable")[:_MOST_INPUTS])
    items = "".join(f"<span>{html.escape(names[k])} = {values[k]:.4g}</span>" for k in chosen)
    all_of_them = len(chosen) == len(names)
    heading = say("network-reads") if all_of_them else say("network-reads-some", shown=len(chosen), count=len(names))
    return f'<h3>{heading}</h3><div class="given">{items}</div>'


def picture(pixels: Array) -> str:
    """A picture (channels, height, width) of one or three channels as an <img>, from black at its least value to white."""
    low, high = float(pixels.min()), float(pixels.max())
    grey = np.round((pixels - low) * (255.0 / ((high - low) or 1.0))).astype(np.uint8)
    return f'<img class="pixels" alt="" src="{png_data(np.moveaxis(grey, 0, -1))}">'


# -------------------------------------------------------------------------------------------- derivations
def _derived(result: Result, prepared: PreparedData, X: Array, y: Array) -> str:
    """All gradients, then one weight; of a network that begins with layers of its kind of input, such as convolutions, node by
    node, and one weight of its dense layers.
    """
    if not first_layers(result, prepared):
        sample = run(result, prepared, X, y)
        weights = sample.model.parameters()
        everything = in_both(lambda language: _all_sections(_matrix(sample.loss, weights, language)))
        names = [name for name, _ in prepared.features.sample(X[0]).values]
        return paragraph("all-layers") + everything + _one_weight(sample.loss, sample.model, names)
    sample = run(result, prepared, X, y, named=True)
    weights = sample.model.parameters()
    everything = in_both(
        lambda language: _all_sections(explain(sample.loss, weights, detail="named", language=language, precision=_PRECISION))
    )
    head, loss = _head(result, prepared, run(result, prepared, X, y), y)
    return paragraph("all-layers") + everything + _one_weight(loss, head)


def _head(result: Result, prepared: PreparedData, sample: Run, y: Array) -> tuple[nn.Module, Tensor]:
    """The dense layers of a network that begins with others, and their loss for what those make of the sample."""
    assert sample.read is not None
    head = from_layer(sample.model, first_layers(result, prepared))
    output = head(tensor(sample.read.numpy()).named("f"))
    return head, loss_of(result, prepared, head, output, y)


def _one_weight(loss: Tensor, model: nn.Module, names: Sequence[str] | None = None) -> str:
    """The weight of the first layer of `model` whose gradient is largest; `names` are those of its inputs."""
    weight = model.parameters()[0]
    unit, column = largest(grad(loss, [weight])[0].numpy())
    if names is None:
        what = paragraph("weight-of-head", column=column, unit=unit)
    else:
        what = paragraph("weight-of-table", column=column, name=names[column], unit=unit)

    def element(language: Language) -> str:
        derivation = _matrix(loss, [weight[unit, column]], language)
        return "".join(section_body(s, derivation) for s in derivation.sections if s.kind == "element")

    return f"<h3>{say('one-weight')}</h3>{what}{in_both(element)}"


def _matrix(loss: Tensor, wrt: list[Tensor], language: Language) -> Derivation:
    return explain(loss, wrt, form="matrix", language=language, precision=_PRECISION, most=_MOST_TERMS)


def _all_sections(derivation: Derivation) -> str:
    return "".join(f"<h3>{mixed(s.heading.latex)}</h3>{section_body(s, derivation)}" for s in derivation.sections)
