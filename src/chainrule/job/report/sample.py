"""The backward pass of one sample, derived step by step by `chainrule.explain`."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

import numpy as np

from chainrule import nn
from chainrule.data import FeatureEncoder
from chainrule.derivations import Derivation, explain
from chainrule.derivations.render.html import mixed, section_body
from chainrule.drawing.shapes import png_data
from chainrule.ir import Array
from chainrule.job.problem import Problem
from chainrule.job.report.forward import Run, largest, loss_of, run
from chainrule.job.report.pages import Part, attempt, in_both, paragraph
from chainrule.job.report.words import say
from chainrule.language import Language
from chainrule.tensors import Tensor, grad, tensor

if TYPE_CHECKING:
    from chainrule.job.training import Result

_PRECISION = 4
_MOST_TERMS = 6  # of a sum that are listed before the rest is summed
_MOST_INPUTS = 12
_MOST_LAYERS = 20  # of a network that is derived


def worst_row(result: Result, problem: Problem, outputs: Array) -> int:
    """The row of X_held with the least probable truth or the largest error: its gradients say most."""
    if problem.target.task == "regression":
        return int(np.abs(outputs[:, 0] - problem.y_held).argmax())
    probabilities = result.predictor.probabilities(outputs)
    assert probabilities is not None
    return int(probabilities[np.arange(len(outputs)), problem.y_held].argmin())


def sample_section(result: Result, problem: Problem, outputs: Array) -> Part:
    """What the sample is, the derivation of all gradients of its loss, and that of one weight."""
    row = worst_row(result, problem, outputs)
    X, y = problem.X_held[row : row + 1], problem.y_held[row : row + 1]
    which = "which" if problem.held_out else "which-training"
    said = paragraph(which, row=f"{row + 1:,}", count=f"{len(outputs):,}") + _said(result, problem, outputs, row)
    layers = sum(p.ndim > 1 for p in result.predictor.model.parameters())
    if layers > _MOST_LAYERS:
        derived = paragraph("too-deep", layers=layers)
    else:
        derived = attempt(lambda: _derived(result, problem, X, y), "math-core")
    return Part("sample", said + _read(problem, X[0]) + derived)


def _said(result: Result, problem: Problem, outputs: Array, row: int) -> str:
    target = problem.target
    answers = result.predictor.answers(outputs[row : row + 1])
    if answers.probabilities is None:
        truth = float(problem.y_held[row]) * target.std + target.mean
        return paragraph("said-number", truth=f"{truth:.6g}", answer=f"{float(answers.values[0]):.6g}")
    p = f"{answers.probabilities.max():.3g}"
    return paragraph("said-class", truth=target.classes[problem.y_held[row]], answer=answers.values[0], p=p)


def _read(problem: Problem, x: Array) -> str:
    """The inputs of the sample: the picture, or names and values, the largest if they are many."""
    if not isinstance(problem.features, FeatureEncoder):
        return picture(x) if x.shape[0] in (1, 3) else ""
    names = problem.features.feature_names
    chosen = np.sort(np.argsort(-np.abs(x), kind="stable")[:_MOST_INPUTS])
    items = "".join(f"<span>{html.escape(names[k])} = {x[k]:.4g}</span>" for k in chosen)
    all_of_them = len(chosen) == len(names)
    heading = say("network-reads") if all_of_them else say("network-reads-some", shown=len(chosen), count=len(names))
    return f'<h3>{heading}</h3><div class="given">{items}</div>'


def picture(pixels: Array) -> str:
    """A picture (channels, height, width) of one or three channels as an <img>, from black at its least value to white."""
    low, high = float(pixels.min()), float(pixels.max())
    grey = np.round((pixels - low) * (255.0 / ((high - low) or 1.0))).astype(np.uint8)
    return f'<img class="pixels" alt="" src="{png_data(np.moveaxis(grey, 0, -1))}">'


# -------------------------------------------------------------------------------------------- derivations
def _derived(result: Result, problem: Problem, X: Array, y: Array) -> str:
    """All gradients, then one weight; of a network with convolutions node by node, and one weight of its dense layers."""
    if problem.X.ndim == 2:
        sample = run(result, problem, X, y)
        weights = sample.model.parameters()
        everything = in_both(lambda language: _all_sections(_matrix(sample.loss, weights, language)))
        return paragraph("all-layers") + everything + _one_weight(sample.loss, sample.model, problem)
    sample = run(result, problem, X, y, named=True)
    weights = sample.model.parameters()
    everything = in_both(
        lambda language: _all_sections(explain(sample.loss, weights, detail="named", language=language, precision=_PRECISION))
    )
    head, loss = _head(result, problem, run(result, problem, X, y), y)
    return paragraph("all-layers") + everything + _one_weight(loss, head, problem)


def _head(result: Result, problem: Problem, sample: Run, y: Array) -> tuple[nn.Sequential, Tensor]:
    """The dense layers of a network with convolutions, and their loss for the feature maps of the sample."""
    assert sample.flattened is not None
    layers = list(sample.model)
    start = next(k for k, layer in enumerate(layers) if isinstance(layer, nn.Flatten)) + 1
    head = nn.Sequential(*layers[start:])
    output = head(tensor(sample.flattened.numpy()).named("f"))
    return head, loss_of(result, problem, head, output, y)


def _one_weight(loss: Tensor, model: nn.Sequential, problem: Problem) -> str:
    """The weight of the first layer of `model` whose gradient is largest."""
    weight = model.parameters()[0]
    unit, column = largest(grad(loss, [weight])[0].numpy())
    if isinstance(problem.features, FeatureEncoder):
        name = problem.features.feature_names[column]
        what = paragraph("weight-of-table", column=column, name=name, unit=unit)
    else:
        what = paragraph("weight-of-head", column=column, unit=unit)

    def element(language: Language) -> str:
        derivation = _matrix(loss, [weight[unit, column]], language)
        return "".join(section_body(s, derivation) for s in derivation.sections if s.kind == "element")

    return f"<h3>{say('one-weight')}</h3>{what}{in_both(element)}"


def _matrix(loss: Tensor, wrt: list[Tensor], language: Language) -> Derivation:
    return explain(loss, wrt, form="matrix", language=language, precision=_PRECISION, most=_MOST_TERMS)


def _all_sections(derivation: Derivation) -> str:
    return "".join(f"<h3>{mixed(s.heading.latex)}</h3>{section_body(s, derivation)}" for s in derivation.sections)
