"""The trained network run on rows of the data in evaluation mode, as a graph that can be differentiated and explained."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from chainrule import nn
from chainrule.fitting.inputs import targets_array
from chainrule.ir import Array
from chainrule.job.building import activation_of, layers_of, make_loss
from chainrule.job.prepared import PreparedData
from chainrule.job.results import Result
from chainrule.nn.dense import Affine, dropouts
from chainrule.nn.module import observing
from chainrule.nn.table import from_config, to_config
from chainrule.tensors import Tensor, tensor


@dataclass(frozen=True)
class Run:
    """A network, and its loss on some rows.

    Attributes:
        model: a copy of the trained network, in evaluation mode.
        loss: L, the mean over the rows.
        read: what the dense layers read, of a network that begins with others; the feature maps of a picture in a row.
    """

    model: nn.Module
    loss: Tensor
    read: Tensor | None


def run(result: Result, prepared: PreparedData, X: Array, y: Array, *, named: bool = False) -> Run:
    """Run a copy of the trained network.

    Args:
        result: what was trained.
        prepared: its data.
        X, y: rows of it, encoded.
        named: whether layers get names: z¹, a¹, p¹ (pooled), f (flattened), W¹, b¹, …
    """
    model = _copy(result.predictor.model)
    outputs: dict[nn.Module, Tensor] = {}
    with observing(outputs.__setitem__):
        output = model(tensor(X).named("x"))
    if named:
        _name(outputs)
    count = first_layers(result, prepared)
    return Run(model, loss_of(result, prepared, model, output, y), outputs[layers_of(model)[count - 1]] if count else None)


def first_layers(result: Result, prepared: PreparedData) -> int:
    """How many layers a network begins with for its kind of input."""
    return len(prepared.features.layers(activation_of(result.config))[0])


def loss_of(result: Result, prepared: PreparedData, model: nn.Module, output: Tensor, y: Array) -> Tensor:
    """The loss that was trained with, named L, of outputs (n, outputs) and encoded targets (n,)."""
    loss = make_loss(result.config, prepared.target.task)
    target = tensor(targets_array(model, loss, output.shape, y, len(y))).named("y")
    found: Tensor = loss(output, target)
    return found.named("L")


def without_dropout(model: nn.Module) -> nn.Module:
    """A copy of the network that leaves no unit out, so that what is measured of it in training does not depend on chance."""
    copy = _copy(model)
    for layer in dropouts(copy):
        layer.p = 0.0
    return copy


def _copy(model: nn.Module) -> nn.Module:
    copy = from_config(to_config(model)).eval()
    copy.load_state_dict(model.state_dict())
    return copy


def _name(outputs: dict[nn.Module, Tensor]) -> None:
    """Name the outputs of the layers, and their weights."""
    number = 0
    for layer, output in outputs.items():
        if isinstance(layer, Affine):
            number += 1
            for name, own in layer.own_tensors().items():
                own.named(f"{'W' if name == 'weight' else 'b'}^{number}")
        if layer.symbol:
            output.named(layer.symbol.format(number))


def largest(gradient: Array) -> tuple[int, ...]:
    """The place of the element with the largest absolute value."""
    return tuple(int(k) for k in np.unravel_index(int(np.abs(gradient).argmax()), gradient.shape))
