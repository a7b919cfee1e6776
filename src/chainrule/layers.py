"""Finding the layers of a network in its graph, so that any calculation is understood, built of Modules or not.

A layer is a product of something computed from the data with something learnt. In the usual notation

    zˡ = Wˡ aˡ⁻¹ + bˡ    weighted input: the product, with the bias if one is added
    aˡ = σ(zˡ)           activation: what an activation function makes of it, else zˡ itself
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from chainrule.ir import LEAVES, Node, topological
from chainrule.ops.primitive import facts, handed_on, is_function

Readers = Mapping[Node, Sequence[Node]]


@dataclass(frozen=True, eq=False)
class Layer:
    """One layer, as nodes of a graph.

    Attributes:
        number: 1, 2, …, from the input.
        product: the node that multiplies with the weight.
        source: aˡ⁻¹, what the weight is multiplied with.
        matrix: the weight as it enters the product: the leaf itself, or what is made of it, such as Wᵀ.
        weight, bias: leaves; the bias may be missing.
        z: the weighted input.
        activation: the node of σ(z), where an activation function follows.
    """

    number: int
    product: Node
    source: Node
    matrix: Node
    weight: Node
    bias: Node | None
    z: Node
    activation: Node | None

    @property
    def a(self) -> Node:
        """The activation; z itself where no activation function follows."""
        return self.z if self.activation is None else self.activation

    @property
    def function(self) -> str | None:
        """The name of the activation function."""
        return self.activation.op if self.activation is not None else None

    @property
    def channels(self) -> bool:
        """Whether the units are channels, on axis 1, as behind a convolution."""
        return _units(self.product) == 1

    @property
    def matrix_on_the_left(self) -> bool:
        """Whether the product is W a, not a W."""
        return not self.channels and self.product.inputs[0] is self.matrix

    @property
    def inputs_first(self) -> bool:
        """Whether the weight itself is laid out (in, out), not (out, in, *kernel)."""
        return not self.channels and self.weight is self.product.inputs[1]


def _units(product: Node) -> int:
    affine = facts(product).affine
    assert affine is not None
    return affine.units


def layers_of_network(output: Node, x: Node, parameters: Collection[Node]) -> list[Layer]:
    """The layers on the way from a network's input to its output, in the order in which they are computed.

    Args:
        output: what the network gives, before any loss.
        x: its input.
        parameters: the leaves that are learnt; a weight may be computed from one in any way.
    """
    order = topological([output])
    from_data = {x}
    for node in order:
        if any(i in from_data for i in node.inputs):
            from_data.add(node)
    readers = _readers(order)
    found: list[Layer] = []
    for node in order:
        if not is_affine(node):
            continue
        sources = [i for i in node.inputs if i in from_data]
        learnt = [(i, leaf) for i in node.inputs if i not in from_data for leaf in topological([i]) if leaf in parameters]
        if len(sources) == 1 and learnt:
            (matrix, weight), *inside = learnt
            z, bias = (node, inside[0][1]) if inside else _with_bias(node, readers, from_data, parameters)
            found.append(Layer(len(found) + 1, node, sources[0], matrix, weight, bias, z, _activation_behind(z, readers)))
    return found


def layers_of_calculation(order: Sequence[Node], learnt: Collection[Node]) -> list[Layer]:
    """The layers in a calculation of which nobody has said what is data and where the network ends and the loss begins.

    So only what is plain to see counts: weights and biases are leaves that enter as they are, or transposed, and an activation
    is the only reader of its z. Units lie along the last axis: convolutions are left out.

    Args:
        order: the nodes of the calculation, inputs before readers.
        learnt: leaves known to be parameters, where there are any.
    """
    readers = _readers(order)
    found: list[Layer] = []
    for node in order:
        affine = facts(node).affine
        if affine is None or affine.units != -1:
            continue
        candidates = [(k, leaf) for k, i in enumerate(node.inputs[:2]) if (leaf := _leaf(i)) is not None]
        if not candidates:
            continue
        # Of two leaves multiplied with each other the first layer's input is one: the weight is learnt, or has more axes.
        k, weight = max(candidates, key=lambda c: (c[0] == affine.weight, c[1] in learnt, c[1].ndim))
        z, bias = (node, _leaf(node.inputs[affine.bias])) if affine.bias is not None else _with_leaf(node, readers)
        found.append(Layer(len(found) + 1, node, node.inputs[1 - k], node.inputs[k], weight, bias, z, _only_reader(z, readers)))
    return found


def is_affine(node: Node) -> bool:
    """Whether a node can be the product of a layer."""
    return facts(node).affine is not None


def final_activation(output: Node) -> Node | None:
    """The activation function that the output comes out of, looking through moves of its elements."""
    node = output
    while facts(node).moves is not None and len(node.inputs) == 1:
        node = node.inputs[0]
    return node if facts(node).activation is not None else None


def _readers(order: Sequence[Node]) -> Readers:
    found: dict[Node, list[Node]] = {}
    for node in order:
        for source in dict.fromkeys(node.inputs):
            found.setdefault(source, []).append(node)
    return found


def _with_bias(
    product: Node, readers: Readers, from_data: Collection[Node], parameters: Collection[Node]
) -> tuple[Node, Node | None]:
    """The product with the bias that is added to it, and the leaf of that bias."""
    following = readers.get(product, ())
    if len(following) == 1 and _adds(following[0]):
        added = [i for i in following[0].inputs if i not in from_data]
        learnt = [leaf for i in added for leaf in topological([i]) if leaf in parameters]
        if learnt:
            return following[0], learnt[0]
    return product, None


def _with_leaf(product: Node, readers: Readers) -> tuple[Node, Node | None]:
    """The same, where the bias is a leaf."""
    for reader in readers.get(product, ()):
        if _adds(reader):
            bias = _leaf(reader.inputs[1] if reader.inputs[0] is product else reader.inputs[0])
            if bias is not None:
                return reader, bias
    return product, None


def _adds(node: Node) -> bool:
    return node.op == "add"


def _leaf(node: Node) -> Node | None:
    """The floating leaf that a node hands on, if it is no constant."""
    node = handed_on(node)
    return node if node.op in LEAVES and node.op != "constant" and node.dtype.kind == "f" else None


def _activation_behind(z: Node, readers: Readers) -> Node | None:
    """The first activation function on the ways onward from z, before the next product."""
    waiting, seen = [z], {z}
    while waiting:
        node = waiting.pop(0)
        for reader in readers.get(node, ()):
            if facts(reader).activation is not None:
                return reader
            if not is_affine(reader) and reader not in seen:
                seen.add(reader)
                waiting.append(reader)
    return None


def _only_reader(z: Node, readers: Readers) -> Node | None:
    """σ(z), if a function of one value is the only reader of z, and no square, which is a loss's."""
    found = readers.get(z, ())
    if len(found) != 1 or len(found[0].inputs) != 1 or found[0].size == 1 != z.size:
        return None
    known = facts(found[0])
    return found[0] if known.activation is not None or (is_function(found[0]) and not known.bound) else None
