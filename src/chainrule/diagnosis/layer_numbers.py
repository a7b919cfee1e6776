"""What one pass shows at one layer.

In every layer l = 1 … L

    δˡ = ∂C/∂zˡ,   ‖δˡ‖ / ‖δˡ⁺¹‖ = (‖∂C/∂aˡ‖ / ‖δˡ⁺¹‖) · (‖δˡ‖ / ‖∂C/∂aˡ‖)
                                   weight factor            σ′ factor
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from chainrule import ir
from chainrule.diagnosis.one_pass import OnePass
from chainrule.ir import Array, Node
from chainrule.layers import Layer
from chainrule.ops.facts import ActivationFacts
from chainrule.ops.primitive import facts, lookup
from chainrule.optim import Optimizer
from chainrule.recording import no_grad
from chainrule.tensors import tensor

_FLAT = 0.05  # a unit is saturated where σ′ is below this share of its largest value


@dataclass(frozen=True)
class LayerNumbers:
    """What was measured at one layer.

    Attributes:
        name: see `Layer`.
        activation: name of the primitive, or None.
        units: number of units (channels).
        inputs: fan-in, how many products a unit adds up.
        source, z, a: root mean square of aˡ⁻¹, zˡ, aˡ.
        gradient: root mean square of ∂C/∂Wˡ.
        weight: root mean square of Wˡ.
        update: root mean square of what the next step adds to Wˡ, by that of Wˡ; NaN without an optimiser.
        delta: ‖δˡ‖, the Frobenius norm over the sample.
        weight_factor: ‖∂C/∂aˡ‖ / ‖δˡ⁺¹‖; NaN in the last layer.
        slope_factor: ‖δˡ‖ / ‖∂C/∂aˡ‖.
        dead: share of units that are 0 for every sample (ReLU).
        saturated: share of values where σ′ is below 5 % of its largest (σ, tanh).
        rank, source_rank: participation ratio of the centred zˡ, aˡ⁻¹: (Σ s²)² / Σ s⁴ over the singular values s.
        distinct: number of units that differ in weights, bias, or gradient.
        zero: whether all weights are 0.
    """

    name: str
    activation: str | None
    units: int
    inputs: int
    source: float
    z: float
    a: float
    gradient: float
    weight: float
    update: float
    delta: float
    weight_factor: float
    slope_factor: float
    dead: float
    saturated: float
    rank: float
    source_rank: float
    distinct: int
    zero: bool


def measured_layers(one: OnePass, optimizer: Optimizer | None, rate: float | None) -> list[LayerNumbers]:
    """The numbers of every layer, in order; updates at this learning rate of the first group."""
    with np.errstate(all="ignore"):
        return [
            _numbers(one, layer, following, optimizer, rate)
            for layer, following in zip(one.layers, [*one.layers[1:], None], strict=False)
        ]


def _numbers(
    one: OnePass, layer: Layer, following: Layer | None, optimizer: Optimizer | None, rate: float | None
) -> LayerNumbers:
    W, dW = one.value(layer.weight), one.gradient(layer.weight)
    delta, carried = one.gradient(layer.z), one.gradient(layer.a)
    onward = _norm(one.gradient(following.z)) if following else math.nan
    z, a = (_by_unit(one.value(n), layer) for n in (layer.z, layer.a))
    rows = [_rows(W, layer), _rows(dW, layer)]
    if layer.bias is not None and layer.bias.size == len(rows[0]):
        rows += [b.reshape(-1, 1) for b in (one.value(layer.bias), one.gradient(layer.bias))]
    return LayerNumbers(
        name=one.name(layer),
        activation=layer.function,
        units=z.shape[1],
        inputs=_rows(W, layer).shape[1],
        source=_rms(one.value(layer.source)),
        z=_rms(z),
        a=_rms(a),
        gradient=_rms(dW),
        weight=_rms(W),
        update=_update(one, layer, optimizer, rate),
        delta=_norm(delta),
        weight_factor=_ratio(_norm(carried), onward),
        slope_factor=_ratio(_norm(delta), _norm(carried)),
        dead=_dead_share(a) if _known(layer).dies else 0.0,
        saturated=_flat_share(one, layer),
        rank=_participation(z),
        source_rank=_participation(_by_unit(one.value(layer.source), layer)),
        distinct=_distinct(rows),
        zero=not W.any(),
    )


def _update(one: OnePass, layer: Layer, optimizer: Optimizer | None, rate: float | None) -> float:
    """rms(ΔW) / rms(W) of the next step, by the optimiser's own rule."""
    if optimizer is None:
        return math.nan
    owner, gradient = one.owners[layer.weight], tensor(one.gradient(layer.weight))
    share = rate / optimizer.lr if rate and optimizer.lr else 1.0
    step = tensor(optimizer.state_tensors()["step"].numpy() + 1.0)
    for group in optimizer.groups:
        for parameter, state in zip(group.params, group.states, strict=True):
            if parameter is owner:
                settings = {**group.settings, "lr": tensor(float(group.lr) * share or rate or 0.0)}
                with no_grad():
                    new, _ = optimizer.rule.step(gradient, state, parameter, settings, step)
                return _ratio(_rms(new.numpy() - parameter.numpy()), _rms(parameter.numpy()))
    return 0.0


# -------------------------------------------------------------------------------------------- arithmetic
def _rms(values: Array) -> float:
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64)))) if values.size else 0.0


def _norm(values: Array) -> float:
    return float(np.sqrt(np.sum(np.square(values, dtype=np.float64))))


def _ratio(a: float, b: float) -> float:
    return a / b if b else (math.nan if math.isnan(b) or not a else math.inf)


def _by_unit(values: Array, layer: Layer) -> Array:
    """(rows, units): behind a convolution every place is a row, and a channel a unit."""
    if layer.channels and values.ndim > 2:
        values = np.moveaxis(values, 1, -1)
    return values.reshape(-1, values.shape[-1]) if values.ndim else values.reshape(1, 1)


def _rows(weight: Array, layer: Layer) -> Array:
    """(units, inputs)."""
    if layer.inputs_first:
        weight = weight.T
    return weight.reshape(len(weight), -1) if weight.ndim else weight.reshape(1, 1)


def _dead_share(a: Array) -> float:
    return float((a <= 0).all(axis=0).mean())


def _flat_share(one: OnePass, layer: Layer) -> float:
    """The share of values at which σ′ is far below its largest value, of a function that is flat on both sides."""
    known = _known(layer)
    if layer.activation is None or not known.saturates or known.steepest is None:
        return 0.0
    y, (x,) = layer.activation, layer.activation.inputs
    partials = lookup(y.op).partials
    assert partials is not None
    slope = partials[0](ir.constant(one.value(x)), y=ir.constant(one.value(y)), **y.attributes)
    slopes = slope.value if isinstance(slope, Node) else slope
    return float(np.mean(np.asarray(slopes) < _FLAT * known.steepest))


def _known(layer: Layer) -> ActivationFacts:
    """What is known of the activation function of a layer; of none, that it neither saturates nor dies."""
    found = None if layer.activation is None else facts(layer.activation).activation
    return found or ActivationFacts()


def _participation(values: Array) -> float:
    """(Σ s²)² / Σ s⁴ of the centred rows: how many directions they spread in, from 1 to the number of units."""
    centred = values.astype(np.float64) - values.mean(axis=0)
    # Both products have the singular values s²; the smaller one takes less time and memory.
    squares = centred.T @ centred if centred.shape[1] <= len(centred) else centred @ centred.T
    total = float(np.trace(squares))
    return total**2 / float((squares**2).sum()) if total > 0 and np.isfinite(total) else 0.0


def _distinct(columns: Sequence[Array]) -> int:
    """How many rows differ, up to rounding, when the columns are put side by side."""
    scaled = [c / (np.abs(c).max() or 1.0) for c in columns]
    return len(np.unique(np.round(np.concatenate(scaled, axis=1), 5), axis=0))
