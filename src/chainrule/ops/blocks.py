"""Blocks: well-known combinations as one node, with their own gradient where it is simpler than their body's.

They can be run, differentiated and explained whole, or through their bodies; both agree.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Unpack

import numpy as np

from chainrule.errors import ArgumentError, ShapeError
from chainrule.ir import Attributes, DType, Node, Shape
from chainrule.ops.activations import sigmoid
from chainrule.ops.elementwise import SUM, elementwise, exp, less, log, log1p, maximum, sqrt, weighted, where
from chainrule.ops.elementwise import abs as absolute
from chainrule.ops.facts import ActivationFacts, AffinePart, Facts
from chainrule.ops.primitive import (
    Case,
    Inputs,
    Meaning,
    Notation,
    Operand,
    Primitive,
    check_attributes,
    check_number,
    define,
    normalise_axis,
    pullbacks,
)
from chainrule.ops.promotion import promote
from chainrule.ops.reduction import max, mean, sum, var
from chainrule.ops.shape import expand_dims, random_values, reshape


def _block(
    name: str,
    summary: str,
    notation: Notation,
    *,
    arity: int,
    infer: Callable[[Inputs, Attributes], tuple[Shape, DType]],
    cases: Callable[[np.random.Generator], Case],
    settings: Attributes | None = None,
    **meaning: Unpack[Meaning],
) -> Primitive:
    """Define a block of `arity` float inputs. A setting called axis is made non-negative; eps is a number."""
    defaults = dict(settings or {})

    def prepare(operands: tuple[Operand, ...], attributes: dict[str, Any]) -> tuple[Inputs, dict[str, Any]]:
        check_attributes(name, attributes, list(defaults))
        if len(operands) != arity:
            raise ArgumentError(f"{name} got {len(operands)} inputs", f"it takes {arity}", "Check the call.")
        inputs = promote(operands, "float", name)
        found = defaults | attributes
        if "axis" in found:
            found["axis"] = normalise_axis(found["axis"], inputs[0].ndim, name)
        if "eps" in found:
            check_number(name, "eps", found["eps"])
        return inputs, found

    return define(
        Primitive(
            name=name,
            summary=summary,
            notation=notation,
            prepare=prepare,
            infer=infer,
            cases=cases,
            **meaning,
        )
    )


# ------------------------------------------------------------------------------------------------ affine
def _infer_affine(inputs: Inputs, attributes: Attributes) -> tuple[Shape, DType]:
    x, w, b = inputs
    if x.ndim < 1 or w.ndim != 2 or x.shape[-1] != w.shape[0] or b.shape != w.shape[1:]:
        raise ShapeError(
            f"affine got X {x.shape}, W {w.shape} and b {b.shape}",
            "it takes X (…, in), W (in, out) and b (out,)",
            "Check the number of input features.",
        )
    return (*x.shape[:-1], w.shape[1]), x.dtype


affine = _block(
    "affine",
    "H = X W + b",
    Notation("<0> @ <1!> + <2>", "<0> <1!> + <2>", SUM),
    arity=3,
    infer=_infer_affine,
    body=lambda x, w, b: x @ w + b,
    facts=Facts(affine=AffinePart(weight=1, bias=2)),
    cases=lambda rng: Case((random_values(rng, (4, 3)), random_values(rng, (3, 2)), random_values(rng, (2,)))),
)


# ------------------------------------------------------------------------------------------------ softmax
def _like_first(inputs: Inputs, attributes: Attributes) -> tuple[Shape, DType]:
    return inputs[0].shape, inputs[0].dtype


def _axis_case(rng: np.random.Generator) -> Case:
    return Case((random_values(rng, (2, 3, 4)),), {"axis": int(rng.integers(-3, 3))})


def _softmax(x: Node, axis: int) -> Node:
    e = exp(x - max(x, axis=axis, keepdims=True))
    return e / sum(e, axis=axis, keepdims=True)


def _softmax_pullback(g: Node, node: Node) -> Node:
    return node * (g - sum(g * node, axis=node.attributes["axis"], keepdims=True))


softmax = _block(
    "softmax",
    "y_k = e^{a_k} / Σ_j e^{a_j}, shifted by the largest a so that nothing overflows",
    Notation("softmax#_axis(#0)", r"\operatorname{softmax}#_axis\left(#0\right)"),
    arity=1,
    infer=_like_first,
    body=_softmax,
    pullback=pullbacks(_softmax_pullback),
    facts=Facts(activation=ActivationFacts(steepest=None, range=(0.0, 1.0))),
    settings={"axis": -1},
    cases=_axis_case,
)


def _log_softmax(x: Node, axis: int) -> Node:
    """The largest x is taken off first: x − logsumexp x would lose the digits that the two share."""
    shifted = x - max(x, axis=axis, keepdims=True)
    return shifted - log(sum(exp(shifted), axis=axis, keepdims=True))


def _log_softmax_pullback(g: Node, node: Node) -> Node:
    return g - exp(node) * sum(g, axis=node.attributes["axis"], keepdims=True)


log_softmax = _block(
    "log_softmax",
    "y_k = a_k − ln Σ_j e^{a_j}",
    Notation("log softmax#_axis(#0)", r"\log\operatorname{softmax}#_axis\left(#0\right)"),
    arity=1,
    infer=_like_first,
    body=_log_softmax,
    pullback=pullbacks(_log_softmax_pullback),
    facts=Facts(logarithm=True, activation=ActivationFacts(steepest=None, range=(-math.inf, 0.0))),
    settings={"axis": -1},
    cases=_axis_case,
)


def _infer_loss(inputs: Inputs, attributes: Attributes) -> tuple[Shape, DType]:
    a, t = inputs
    if a.shape != t.shape or a.ndim < 1:
        raise ShapeError(
            f"softmax_with_loss got scores {a.shape} and targets {t.shape}",
            "it takes two arrays of one shape (…, classes)",
            "Turn class numbers into rows with one_hot.",
        )
    axis = attributes["axis"]
    return (*a.shape[:axis], *a.shape[axis + 1 :]), a.dtype


def _loss_gradient_scores(g: Node, node: Node) -> Node:
    """y − t, where the targets sum to 1; y Σt − t in general."""
    a, t = node.inputs
    axis = node.attributes["axis"]
    return expand_dims(g, axis) * (softmax(a, axis=axis) * sum(t, axis=axis, keepdims=True) - t)


def _loss_gradient_targets(g: Node, node: Node) -> Node:
    axis = node.attributes["axis"]
    return expand_dims(-g, axis) * log_softmax(node.inputs[0], axis=axis)


def _softmax_with_loss(a: Node, t: Node, axis: int) -> Node:
    # A score of −∞ leaves a class out: its logarithm is −∞ too, and counts nothing where its target is 0.
    return -sum(weighted(t, log_softmax(a, axis=axis)), axis=axis)


def _loss_case(rng: np.random.Generator) -> Case:
    return Case((random_values(rng, (3, 4)), rng.uniform(0.1, 1.0, size=(3, 4))), {"axis": -1})


softmax_with_loss = _block(
    "softmax_with_loss",
    "L = −Σ_k t_k ln y_k with y = softmax(a); its gradient is y − t",
    Notation("CE(softmax(#0), #1)", r"\operatorname{CE}\left(\operatorname{softmax}\left(#0\right), #1\right)"),
    arity=2,
    infer=_infer_loss,
    body=_softmax_with_loss,
    pullback=pullbacks(_loss_gradient_scores, _loss_gradient_targets),
    settings={"axis": -1},
    cases=_loss_case,
    facts=Facts(logarithm=True),
)


def _clamped_log(p: Node) -> Node:
    """ln p, but at least −100; NaN stays NaN."""
    vanishing = less(p, float(np.finfo(p.dtype).tiny))
    return maximum(where(vanishing, -100.0, log(where(vanishing, 1.0, p))), -100.0)


binary_cross_entropy = elementwise(
    "binary_cross_entropy",
    "L = −(t ln p + (1 − t) ln(1 − p)), logarithms at least −100; its gradient is (p − t) / max(p (1 − p), 10⁻¹²)",
    Notation("BCE(#0, #1)", r"\operatorname{BCE}\left(#0, #1\right)"),
    body=lambda p, t: -(t * _clamped_log(p) + (1.0 - t) * _clamped_log(1.0 - p)),
    # Also where a logarithm is cut off, so that an answer that is wrong with certainty is unlearnt (as in PyTorch).
    partials=(
        lambda p, t, y: (p - t) / maximum(p * (1.0 - p), 1e-12),
        lambda p, t, y: _clamped_log(1.0 - p) - _clamped_log(p),
    ),
    domain=((0.1, 0.9), (0.0, 1.0)),
    facts=Facts(logarithm=True),
)


def _logits_loss(z: Node, t: Node) -> Node:
    """(1 − t) max(z, 0) + t max(−z, 0) + ln(1 + e^−|z|): an answer that is right with certainty, z = ±∞, has the loss 0."""
    return weighted(1.0 - t, maximum(z, 0.0)) + weighted(t, maximum(-z, 0.0)) + log1p(exp(-absolute(z)))


binary_cross_entropy_with_logits = elementwise(
    "binary_cross_entropy_with_logits",
    "L = −(t ln σ(z) + (1 − t) ln(1 − σ(z))); its gradient is σ(z) − t",
    Notation("BCE(σ(#0), #1)", r"\operatorname{BCE}\left(\sigma\left(#0\right), #1\right)"),
    body=_logits_loss,
    partials=(lambda z, t, y: sigmoid(z) - t, lambda z, t, y: -z),
    domain=((-2.0, 2.0), (0.0, 1.0)),
    facts=Facts(logarithm=True),
)


# ------------------------------------------------------------------------------------------------ normalisation
def _layer_norm(x: Node, weight: Node, bias: Node, eps: float) -> Node:
    axes = tuple(range(x.ndim - weight.ndim, x.ndim))
    centred = x - mean(x, axis=axes, keepdims=True)
    return centred / sqrt(var(x, axis=axes, keepdims=True) + eps) * weight + bias


def _infer_layer_norm(inputs: Inputs, attributes: Attributes) -> tuple[Shape, DType]:
    x, weight, bias = inputs
    if weight.ndim < 1 or x.shape[x.ndim - weight.ndim :] != weight.shape or bias.shape != weight.shape:
        raise ShapeError(
            f"layer_norm got x {x.shape}, weight {weight.shape} and bias {bias.shape}",
            "weight and bias must have the shape of the last axes of x",
            "Check normalized_shape.",
        )
    return x.shape, x.dtype


layer_norm = _block(
    "layer_norm",
    "y = (x − mean) / √(var + eps) · weight + bias, over the last axes (Ba, Kiros, Hinton 2016)",
    Notation("LayerNorm(#*)", r"\operatorname{LayerNorm}\left(#*\right)"),
    arity=3,
    infer=_infer_layer_norm,
    body=_layer_norm,
    settings={"eps": 1e-5},
    cases=lambda rng: Case((random_values(rng, (2, 4)), random_values(rng, (4,)), random_values(rng, (4,)))),
)


def _per_channel(x: Node, v: Node) -> Node:
    return reshape(v, (1, v.size, *(1,) * (x.ndim - 2)))


def _batch_norm(x: Node, mean: Node, var: Node, weight: Node, bias: Node, *, eps: float) -> Node:
    scale = weight / sqrt(var + eps)
    return (x - _per_channel(x, mean)) * _per_channel(x, scale) + _per_channel(x, bias)


def _infer_batch_norm(inputs: Inputs, attributes: Attributes) -> tuple[Shape, DType]:
    x, *vectors = inputs
    if x.ndim < 2 or any(v.shape != x.shape[1:2] for v in vectors):
        shapes = ", ".join(str(v.shape) for v in vectors)
        raise ShapeError(
            f"batch_norm got x {x.shape} and mean, var, weight, bias of shapes {shapes}",
            "x is (batch, channels, …) and the others (channels,)",
            "Check num_features.",
        )
    return x.shape, x.dtype


batch_norm = _block(
    "batch_norm",
    "y = (x − mean) / √(var + eps) · weight + bias, per channel (Ioffe, Szegedy 2015)",
    Notation("BatchNorm(#*)", r"\operatorname{BatchNorm}\left(#*\right)"),
    arity=5,
    infer=_infer_batch_norm,
    body=_batch_norm,
    settings={"eps": 1e-5},
    cases=lambda rng: Case(
        (
            random_values(rng, (3, 2, 2)),
            random_values(rng, (2,)),
            rng.uniform(0.5, 2, 2),
            random_values(rng, (2,)),
            random_values(rng, (2,)),
        )
    ),
)
