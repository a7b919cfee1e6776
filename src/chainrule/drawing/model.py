"""A Module as a picture: units and weights of small dense ones, else its layers with shapes and parameters."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np

from chainrule import ir
from chainrule.capture import capture
from chainrule.derivations import calculation, find_layers
from chainrule.drawing.flowing import behind
from chainrule.drawing.folding import made_of, shown_layers, summary
from chainrule.drawing.graph import sign, title_of
from chainrule.drawing.network import MOST_UNITS, is_chain, units_drawing
from chainrule.drawing.picture import Drawing, Look
from chainrule.drawing.scene import Arrow, Box, Scene, drawn
from chainrule.drawing.words import parameters, phrase
from chainrule.errors import ArgumentError
from chainrule.ir import LEAVES, Array, Node, topological
from chainrule.language import Language
from chainrule.nn import Module
from chainrule.nn.forward import inputs_array, model_dtype
from chainrule.nn.modes import in_mode
from chainrule.nn.module import observing
from chainrule.ops.primitive import hands_on
from chainrule.tensors import Tensor

_MOST_LINES = 7  # layers that share a box and are listed in it
_LONGEST = 34
_WIDEST = (880.0, 890.0)  # of a row: that of a report


def model_drawing(model: Module, X: Any, look: Look) -> Drawing:
    """Draw a network.

    Args:
        model: any Module of one input.
        X: inputs (samples, …), for the shapes of pictures and sequences; of a single sample units show their values.
        look: see `draw`.

    Raises:
        ArgumentError: the shape of the inputs must be known, and is not.
        DataError, ShapeError: inputs that do not fit the model.
        MissingDependency: it is large, and graphlay is not installed.
    """
    x = np.zeros((1, *_input_shape(model)), model_dtype(model)) if X is None else inputs_array(model, X)
    with in_mode(model, training=False):
        return _units(model, x, look, values=X is not None and len(x) == 1) or _layers(model, x, look)


def _input_shape(model: Module) -> tuple[int, ...]:
    """The shape of one sample, where the first layer tells.

    Raises:
        ArgumentError: it does not.
    """
    first = next((m for _, m in model.named_modules() if m.own_tensors()), None)
    size = getattr(first, "in_features", None)
    if isinstance(size, int):
        return (size,)
    raise ArgumentError(
        f"a drawing was asked for a network that begins with {type(first).__name__ if first else 'no layer'}",
        "the shapes in it depend on the shape of its inputs",
        "Give some inputs: draw(model, X=X[:1]).",
    )


# -------------------------------------------------------------------------------------------- units
def _units(model: Module, x: Array, look: Look, *, values: bool) -> Drawing | None:
    """Units and weights, of a small network of dense layers one after another; else None."""
    sizes = [n for p in model.parameters() for n in p.shape] + list(x.shape[1:])
    if not sizes or max(sizes) > MOST_UNITS or x.ndim != 2:
        return None
    calc = calculation(model(Tensor(ir.constant(x[:1], name="x"))).node, detail="all")
    layers = find_layers(calc)
    weights = {leaf for layer in layers for leaf in (layer.weight, layer.bias) if leaf is not None}
    others = [n for n in calc.nodes if n.op == "variable" and n not in weights]
    if not layers or others or not is_chain(layers):
        return None
    return units_drawing(calc, layers, look, values=values)


# -------------------------------------------------------------------------------------------- layers
def _layers(model: Module, x: Array, look: Look) -> Drawing:
    """A box per layer, the shape of one sample above every arrow."""
    network = _Network(model, x, look.language)
    shown = shown_layers([network.output], network.owners) | {network.x}
    boxes = {network.x: Box(phrase("input", look.language), (_shape(network.x),), "leaf")}
    arrows: list[Arrow] = []
    for node in topological([network.output]):
        if node in shown and node is not network.x:
            inside = behind(node, shown)
            boxes[node] = network.box(node, inside)
            sources = dict.fromkeys(i for n in inside for i in n.inputs if i in shown)
            arrows += [Arrow(source, node, _shape(source)) for source in sources]
    return drawn(Scene(boxes, arrows), phrase("network", look.language), look, _WIDEST)


class _Network:
    """The graph of a Module, run on shapes alone, with the Module and the parameter behind every node.

    Attributes:
        x, output: its ends.
        owners: the Module that every parameter's leaf belongs to, by path.
    """

    def __init__(self, model: Module, x: Array, language: Language) -> None:
        self._language = language
        ran: list[tuple[Module, Node]] = []
        with observing(lambda module, output: ran.append((module, output.node))):
            found = capture(model, [((1, *x.shape[1:]), x.dtype, "x")])
        (self.x,), (self.output,) = found.graph.inputs, found.graph.outputs
        paths = {id(p): name.rpartition(".")[0] for name, p in model.named_parameters()}
        self.owners = {n: paths[id(t)] for n, t in zip(found.graph.state, found.state, strict=True) if id(t) in paths}
        names = {id(module): path for path, module in model.named_modules()}
        self._ran = [
            (f"{names[id(m)]} · {_name(m)}".removeprefix(" · "), node) for m, node in ran if not m.children() and id(m) in names
        ]

    def box(self, node: Node, inside: Collection[Node]) -> Box:
        """A box for a node and all that is behind it: its Modules, or how many they are; its parameters."""
        learnt = [n for n in inside if n in self.owners]
        modules = [said for said, output in self._ran if output in inside]
        if 0 < len(modules) <= _MOST_LINES:
            label, *notes = modules
        else:
            telling = [n for n in inside if n.op not in LEAVES and not hands_on(n) and n not in made_of(inside, self.owners)]
            label = title_of(list(dict.fromkeys(self.owners[n] for n in learnt)), self._language) if learnt else sign(node)
            said = summary(telling, sign, _LONGEST) or phrase("operations", self._language, count=len(telling))
            notes = [phrase("layers", self._language, count=len(modules)) if modules else said]
        if learnt:
            notes.append(parameters(sum(n.size for n in learnt), self._language))
        if node is self.output:
            notes.append(phrase("output", self._language, shape=_shape(node)))
        return Box(label, tuple(n for n in notes if n != label), "out" if node is self.output else "op")


def _name(module: Module) -> str:
    """The class, with the size of a kernel."""
    size = getattr(module, "kernel_size", None)
    sizes = size if isinstance(size, tuple | list) else (size, size) if size is not None else ()
    return f"{type(module).__name__} {'×'.join(map(str, sizes))}".strip()


def _shape(node: Node) -> str:
    """The shape of one sample."""
    return "×".join(map(str, node.shape[1:])) or "1"
