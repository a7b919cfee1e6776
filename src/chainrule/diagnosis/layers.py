"""Finding the layers of a network in its graph, so that any forward method is understood, built of Modules or not.

A layer is a product of something computed from the data with something learnt. In the usual notation

    zˡ = Wˡ aˡ⁻¹ + bˡ    weighted input: the product, with the bias if one is added
    aˡ = σ(zˡ)           activation: the first activation function behind it, else zˡ itself
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from chainrule.ir import Node, topological

PRODUCTS = ("affine", "matmul", "convolution", "conv_transpose")
# What σ′ is at most, per activation; None for those that are taken over several units at once.
STEEPEST: Mapping[str, float | None] = {
    "sigmoid": 0.25,
    "tanh": 1.0,
    "relu": 1.0,
    "leaky_relu": 1.0,
    "elu": 1.0,
    "gelu": 1.13,
    "silu": 1.1,
    "softplus": 1.0,
    "softmax": None,
    "log_softmax": None,
}


@dataclass(frozen=True)
class Layer:
    """One layer, as nodes of the graph.

    Attributes:
        name: path of the Module that holds the weight ("0", "encoder.2"), or the weight's own name.
        product: the node that multiplies with the weight.
        weight, bias: leaves; the bias may be missing.
        inputs_first: whether the weight is laid out (in, out), not (out, in, *kernel).
        source: aˡ⁻¹, what the weight is multiplied with.
        z: the weighted input.
        a: the activation; z itself where no activation function follows.
        activation: name of the primitive that gives a, or None.
    """

    name: str
    product: Node
    weight: Node
    bias: Node | None
    inputs_first: bool
    source: Node
    z: Node
    a: Node
    activation: str | None

    @property
    def convolutional(self) -> bool:
        """Whether units are channels, on axis 1."""
        return self.product.op in ("convolution", "conv_transpose")


def find_layers(output: Node, x: Node, names: Mapping[Node, str]) -> list[Layer]:
    """The layers on the way from the input `x` to `output`, in the order in which they are computed.

    Args:
        output: what the network gives.
        x: its input.
        names: qualified name of every parameter's leaf.
    """
    order = topological([output])
    from_data = {x}
    readers: dict[Node, list[Node]] = {}
    for node in order:
        for source in set(node.inputs):
            readers.setdefault(source, []).append(node)
        if any(i in from_data for i in node.inputs):
            from_data.add(node)
    found = []
    for node in order:
        sources = [i for i in node.inputs if i in from_data]
        learnt = [leaf for i in node.inputs if i not in from_data for leaf in topological([i]) if leaf in names]
        if node.op in PRODUCTS and len(sources) == 1 and learnt:
            z, bias = _with_bias(node, learnt[1:], readers, from_data, names)
            a = _activation_behind(z, readers)
            name = names[learnt[0]].removesuffix("weight").rstrip(".") or names[learnt[0]]
            inputs_first = node.op in ("affine", "matmul") and learnt[0] is node.inputs[1]
            found.append(Layer(name, node, learnt[0], bias, inputs_first, sources[0], z, a or z, a.op if a else None))
    return found


def _with_bias(
    product: Node,
    inside: list[Node],
    readers: Mapping[Node, list[Node]],
    from_data: Collection[Node],
    names: Mapping[Node, str],
) -> tuple[Node, Node | None]:
    """The product with the bias that is added to it, and the leaf of that bias."""
    if inside:
        return product, inside[0]
    following = readers.get(product, [])
    if len(following) == 1 and following[0].op == "add":
        added = [i for i in following[0].inputs if i not in from_data]
        learnt = [leaf for i in added for leaf in topological([i]) if leaf in names]
        if learnt:
            return following[0], learnt[0]
    return product, None


def _activation_behind(z: Node, readers: Mapping[Node, list[Node]]) -> Node | None:
    """The first activation function on the ways onward from z, before the next product."""
    waiting, seen = [z], {z}
    while waiting:
        node = waiting.pop(0)
        for reader in readers.get(node, []):
            if reader.op in STEEPEST:
                return reader
            if reader.op not in PRODUCTS and reader not in seen:
                seen.add(reader)
                waiting.append(reader)
    return None


def final_activation(output: Node) -> Node | None:
    """The activation function that the output comes out of, looking through changes of shape."""
    node = output
    while node.op in ("reshape", "transpose", "squeeze", "expand_dims", "cast", "slice"):
        node = node.inputs[0]
    return node if node.op in STEEPEST or node.op == "step" else None
