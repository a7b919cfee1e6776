"""The trained network run on rows of the data in evaluation mode, as a graph that can be differentiated and explained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from chainrule import nn
from chainrule.fitting.inputs import targets_array
from chainrule.ir import Array
from chainrule.job.problem import Problem
from chainrule.job.training import make_loss
from chainrule.nn.module import observing
from chainrule.nn.table import from_config, to_config
from chainrule.tensors import Tensor, tensor

if TYPE_CHECKING:
    from chainrule.job.training import Result


@dataclass(frozen=True)
class Run:
    """A network, and its loss on some rows.

    Attributes:
        model: a copy of the trained network, in evaluation mode.
        loss: L, the mean over the rows.
        flattened: the feature maps in a row per sample, of a network with convolutions.
    """

    model: nn.Sequential
    loss: Tensor
    flattened: Tensor | None


def run(result: Result, problem: Problem, X: Array, y: Array, *, named: bool = False) -> Run:
    """Run a copy of the trained network.

    Args:
        result: what was trained.
        problem: its data.
        X, y: rows of it, encoded.
        named: whether layers get names: z¹, a¹, p¹ (pooled), f (flattened), W¹, b¹, …
    """
    model = _copy(result.predictor.model)
    outputs: dict[nn.Module, Tensor] = {}
    with observing(outputs.__setitem__):
        output = model(tensor(X).named("x"))
    if named:
        _name(model, outputs)
    flattened = next((outputs[layer] for layer in model if isinstance(layer, nn.Flatten)), None)
    return Run(model, loss_of(result, problem, model, output, y), flattened)


def loss_of(result: Result, problem: Problem, model: nn.Module, output: Tensor, y: Array) -> Tensor:
    """The loss that was trained with, named L, of outputs (n, outputs) and encoded targets (n,)."""
    loss = make_loss(result.config, problem.target.task)
    target = tensor(targets_array(model, loss, output.shape, y, len(y))).named("y")
    found: Tensor = loss(output, target)
    return found.named("L")


def without_dropout(model: nn.Module) -> nn.Sequential:
    """A copy of the network that leaves no unit out, so that what is measured of it in training does not depend on chance."""
    copy = _copy(model)
    for _, layer in copy.named_modules():
        if isinstance(layer, nn.Dropout):
            layer.p = 0.0
    return copy


def _copy(model: nn.Module) -> nn.Sequential:
    copy = from_config(to_config(model)).eval()
    copy.load_state_dict(model.state_dict())
    assert isinstance(copy, nn.Sequential)
    return copy


def _name(model: nn.Sequential, outputs: dict[nn.Module, Tensor]) -> None:
    activations = nn.Activation
    number = 0
    for layer in model:
        if isinstance(layer, nn.Linear | nn.Conv2d):
            number += 1
            outputs[layer].named(f"z^{number}")
            layer.weight.named(f"W^{number}")
            if layer.bias is not None:
                layer.bias.named(f"b^{number}")
        elif isinstance(layer, activations):
            outputs[layer].named(f"a^{number}")
        elif isinstance(layer, nn.MaxPool2d):
            outputs[layer].named(f"p^{number}")
        elif isinstance(layer, nn.Flatten):
            outputs[layer].named("f")


def largest(gradient: Array) -> tuple[int, ...]:
    """The place of the element with the largest absolute value."""
    return tuple(int(k) for k in np.unravel_index(int(np.abs(gradient).argmax()), gradient.shape))
