"""One forward and one backward pass over a batch, with the value of every node and its gradient at hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from chainrule import autodiff, ir
from chainrule.backends.reference import REFERENCE
from chainrule.capture import capture
from chainrule.diagnosis.non_finite import NonFinite, first_non_finite
from chainrule.diagnosis.problem import Problem
from chainrule.generators import Generator, random
from chainrule.ir import Array, Graph, Node
from chainrule.layers import Layer, final_activation, layers_of_network
from chainrule.nn.forward import batch_signature
from chainrule.nn.modes import in_mode
from chainrule.tensors import Tensor


class OnePass:
    """A pass in training mode. The graph is that of the training step; its gradients are those that `autodiff` builds from it.

    Args:
        problem: what is diagnosed.
        batch: inputs, targets and sample weights.
        seed: of dropout.

    Attributes:
        layers: the layers on the way to the output.
        output: what the network gives.
        loss: the loss of the batch.
        ending: name of the activation function that the output comes out of, or None.
        owners: the parameter or buffer behind each leaf.
        non_finite: where the first NaN or infinity came from, or None.

    Raises:
        GradientError: a loss that cannot be differentiated.
    """

    def __init__(self, problem: Problem, batch: Sequence[Array], seed: int) -> None:
        model = problem.model
        kept: dict[str, Node] = {}

        def forward(x: Tensor, t: Tensor, s: Tensor) -> Tensor:
            output = model(x)
            kept.update(x=x.node, output=output.node)
            return problem.loss(output, t, s)

        signature = batch_signature(batch, len(batch[0]))
        with in_mode(model, training=True):
            found = capture(forward, [(shape, dtype, name) for (shape, dtype), name in zip(signature, "xts", strict=True)])
        self.owners = dict(zip(found.graph.state, found.state, strict=True))
        paths = {id(p): name for name, p in model.named_parameters()}
        self._names = {leaf: paths[id(owner)] for leaf, owner in self.owners.items() if id(owner) in paths}
        self.layers = layers_of_network(kept["output"], kept["x"], self._names)
        (value,) = found.graph.outputs
        self._gradients = _gradients(value, self.layers)
        wanted = [n for layer in self.layers for n in (layer.source, layer.z, layer.a, *_arguments(layer))]
        results = tuple(dict.fromkeys([*wanted, kept["output"], value, *self._gradients.values()]))
        graph = Graph(found.graph.inputs, results, found.graph.state, found.graph.state)
        stream = Generator(seed).state.numpy()
        state = [stream if owner is random.state else owner.numpy() for owner in found.state]
        self._values = {leaf: owner.numpy() for leaf, owner in self.owners.items()}
        self._values |= dict(zip(results, REFERENCE.compile(graph).run(batch, [*map(REFERENCE.hold, state)]), strict=True))
        self.output, self.loss = self._values[kept["output"]], float(self._values[value])
        last = final_activation(kept["output"])
        self.ending = None if last is None else last.op
        self.non_finite: NonFinite | None = first_non_finite(graph, batch, state, results=[value, *self._gradients.values()])

    def name(self, layer: Layer) -> str:
        """The path of the Module that holds a layer's weight ("0", "encoder.2"), or the weight's own name."""
        name = self._names[layer.weight]
        return name.removesuffix("weight").rstrip(".") or name

    def value(self, node: Node) -> Array:
        """The value of a leaf, or of the source, z or a of a layer, or of what its activation function reads."""
        return self._values[node]

    def gradient(self, node: Node) -> Array:
        """∂C/∂node, for the weight, bias, z or a of a layer."""
        return self._values[self._gradients[node]]


def _arguments(layer: Layer) -> tuple[Node, ...]:
    """What the activation function of a layer reads: z, or what a normalisation makes of it."""
    return () if layer.activation is None else layer.activation.inputs


def _gradients(value: Node, layers: Sequence[Layer]) -> dict[Node, Node]:
    """The gradient's node for each node of interest; zeros where nothing flows."""
    by = list(dict.fromkeys(n for layer in layers for n in (layer.weight, layer.bias, layer.z, layer.a) if n is not None))
    found = autodiff.gradient(value, by)
    return {n: ir.constant(np.zeros(n.shape), n.dtype) if g is None else g for n, g in zip(by, found, strict=True)}
