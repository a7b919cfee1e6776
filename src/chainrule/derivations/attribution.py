"""Error attribution: two well-known heuristics for hidden units' errors, beside the true gradient.

Both are the pullback of a layer's weighted input without the derivative of the activation, so they are read from the graph:

    unnormalised   E_h = Wᵀ E_o
    normalised     e_h = Wᵀ (E_o / s),   s_k = Σ_j w_kj: each output's error is shared out among the weights that feed it

with E_o = ∂C/∂aᴸ, which is O − t for the half squared error.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from chainrule import autodiff, ir
from chainrule.derivations.backward import backward, cut_out
from chainrule.derivations.calculations import Calculation
from chainrule.derivations.derivation import Derivation
from chainrule.derivations.forms import finished
from chainrule.derivations.lines import evaluate
from chainrule.derivations.matrix import error_term, find_layers, in_layer_notation
from chainrule.derivations.request import Request
from chainrule.derivations.steps import Section, Step
from chainrule.derivations.symbols import Formula, symbol
from chainrule.derivations.words import sentence
from chainrule.errors import ArgumentError
from chainrule.ir import Array, Node
from chainrule.layers import Layer


def attribution_form(request: Request) -> Derivation:
    """Both heuristics and δ for every hidden layer.

    Raises:
        ArgumentError: the calculation has fewer than two layers.
    """
    layers = find_layers(request.calc)
    if len(layers) < 2 or any(layer.activation is None for layer in layers[:-1]):
        raise ArgumentError(
            f"error attribution was asked for a calculation with {len(layers)} layer(s)",
            "it distributes an output's error among hidden units, so it needs a hidden layer with an activation",
            "Use form='graph'.",
        )
    request = replace(request, calc=in_layer_notation(request.calc, layers))
    calc = request.calc
    top = layers[-1].a
    stops = [top, *(layer.z for layer in layers)]
    names = {layer.z: error_term(layer) for layer in layers}
    true = {g.node: g.value for g in backward(calc, [layers[0].weight], stops, names)}
    error = true[top]
    steps = [_step(f"e^{layers[-1].number}", derivative_symbol(calc, top), error, request, None)]
    shares = plain = error
    for layer, above in zip(reversed(layers[:-1]), reversed(layers[1:]), strict=True):
        shares, plain = _normalised(layer, above, shares), _back(layer, above, plain)
        steps += _layer_steps(layer, above, layers[-1], (shares, plain, true[layer.z]), request)
    section = Section(
        "attribution",
        sentence("attribution", request.language),
        tuple(steps),
        sentence("heuristic", request.language, delta=symbol("delta")),
    )
    assert calc.output.name is not None
    title = sentence("title-attribution", request.language, output=symbol(calc.output.name))
    results = {s.name: s.value for s in steps if s.value is not None}
    return replace(finished(request, "attribution", [section], results), title=title)


def derivative_symbol(calc: Calculation, node: Node) -> Formula:
    """∂C/∂a."""
    return symbol(f"d{calc.output.name}/d{node.name}")


def _layer_steps(layer: Layer, above: Layer, top: Layer, values: tuple[Array, Array, Array], request: Request) -> list[Step]:
    n, language = layer.number, request.language
    shares, plain, true = values
    weights = symbol(above.weight.name or "W")
    name_above = "e" if above is top else "E"
    w = Formula(f"{weights.text}ᵀ", rf"{{{weights.latex}}}^{{\top}}")
    shared, plainly = symbol(f"e^{n + 1}"), symbol(f"{name_above}^{n + 1}")
    normalised = Formula(f"{w.text} ({shared.text} / Σ w)", rf"{w.latex} \left({shared.latex} \oslash \sum w\right)")
    unnormalised = Formula(f"{w.text} {plainly.text}", rf"{w.latex} {plainly.latex}")
    return [
        _step(f"e^{n}", normalised, shares, request, sentence("normalised", language)),
        _step(f"E^{n}", unnormalised, plain, request, sentence("unnormalised", language)),
        _step(error_term(layer), None, true, request, sentence("true-gradient", language)),
    ]


def _step(name: str, formula: Formula | None, value: Array, request: Request, note: Formula | None) -> Step:
    equations = () if formula is None else (formula,)
    return Step("value", name, symbol(name), equations, value, request.precision, note)


def _back(layer: Layer, above: Layer, error: Array) -> Array:
    """The pullback of the weighted input above."""
    assert layer.activation is not None
    top, cuts, _ = cut_out(above.z, {layer.activation})
    (found,) = autodiff.gradient(top, [cuts[layer.activation]], ir.constant(error))
    assert found is not None and found.value is not None
    return found.value


def _normalised(layer: Layer, above: Layer, error: Array) -> Array:
    assert layer.activation is not None
    top, cuts, _ = cut_out(above.z, {layer.activation})
    source = cuts[layer.activation]
    sums = evaluate(top, {source: np.ones(source.shape)}) - evaluate(top, {source: np.zeros(source.shape)})
    if np.any(sums == 0.0):
        raise ArgumentError(
            "the weights that feed an output add up to 0",
            "shares in proportion to the weights need a sum other than 0",
            "Look at the gradient itself: form='graph'.",
        )
    return _back(layer, above, error / sums)
