"""The graph of a calculation as a picture: forward values above its arrows, gradients below."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from chainrule.derivations import Calculation, is_plain_constant, number, symbol, write
from chainrule.drawing.flowing import behind, flows, repeated
from chainrule.drawing.folding import MOST_NODES, Folding, by_layers, folded, made_of, summary
from chainrule.drawing.picture import Drawing, Look
from chainrule.drawing.scene import Arrow, Box, Scene, drawn
from chainrule.drawing.words import parameters, phrase
from chainrule.ir import LEAVES, Array, Node
from chainrule.language import Language
from chainrule.ops.primitive import hands_on, lookup

_LONGEST = 34  # letters of a formula in a box
_MOST_IN_FORMULA = 12  # operations of one


def graph_drawing(calc: Calculation, look: Look, *, layers: bool = False, gradients: bool = True) -> Drawing:
    """Draw the nodes that a calculation shows, folded if they are too many.

    Args:
        calc: from `calculation`.
        look: see `draw`.
        layers: whether to draw layers in any case.
        gradients: see `draw`.

    Raises:
        ArgumentError: layers were asked for, and there are none.
        MissingDependency: graphlay is not installed.
    """
    everything = all(n in calc.shown or n.op in LEAVES for n in calc.nodes)
    shown = frozenset(calc.nodes) if everything else calc.shown
    folding: Folding | None = None
    if layers or len(shown) > MOST_NODES:
        folding = by_layers(calc) if layers else folded(calc)
        shown, everything = folding.shown, False
    arrows, totals = flows(calc, shown, gradients=gradients)
    scale = _Scale(calc, look)
    boxes = {n: scale.leaf(n) for n in calc.nodes if n in shown and n.op in LEAVES}
    for node in calc.nodes:
        if node in shown and node.op not in LEAVES:
            if everything:
                boxes[node] = scale.operation(node)
            else:
                boxes[node] = scale.several(node, behind(node, shown), folding.owners if folding else {}, totals)
    read = {a.source for a in arrows}
    boxes = {n: b for n, b in boxes.items() if n in read or n.op not in LEAVES or n is calc.output}
    arrows, copies = repeated(arrows)
    boxes |= {copy: boxes[leaf] for copy, leaf in copies.items()}
    found = [
        Arrow(a.source, a.target, scale.value(a.source.value), scale.gradient(a.gradient), scale.name(a.source)) for a in arrows
    ]
    scene = Scene(
        boxes,
        found,
        _legend(calc, found, look.language, parameters=any(n in totals for n in folding.owners) if folding else False),
    )
    return drawn(scene, phrase("graph-of", look.language, output=symbol(calc.output.name or "…").text), look)


def _legend(calc: Calculation, arrows: Collection[Arrow], language: Language, *, parameters: bool) -> list[tuple[str, str]]:
    output = symbol(calc.output.name or "").text
    found = [(phrase("value", language), "forward")] if arrows else []
    if any(a.gradient for a in arrows):
        key = "gradient-norm" if any(a.gradient.startswith("‖") for a in arrows) else "gradient"
        found.append((phrase(key, language, output=output), "gradient"))
    return [*found, (phrase("theta", language), "soft")] if parameters else found


class _Scale:
    """Writes nodes into boxes and numbers beside arrows, to one precision and in one language."""

    def __init__(self, calc: Calculation, look: Look) -> None:
        self._output, self._named = calc.output, calc.named_by_user
        self._precision, self._language = look.precision, look.language

    def leaf(self, node: Node) -> Box:
        value = self.value(node.value)
        name = "" if is_plain_constant(node) else self.name(node)
        if not name and node.size == 1:
            return Box(value, (), "leaf")
        return Box(name or phrase("data", self._language), (value,), "leaf")

    def operation(self, node: Node) -> Box:
        """One operation."""
        name = self.name(node)
        if node is self._output and name and node.size == 1:
            name = f"{name} = {self.value(node.value)}"
        return Box(sign(node), (name,) if name else (), self._kind(node))

    def several(self, node: Node, inside: Collection[Node], owners: Mapping[Node, str], totals: Mapping[Node, Array]) -> Box:
        """A named value or a layer, with all the operations behind it."""
        learnt = [n for n in inside if n in owners]
        hidden = made_of(inside, owners)
        operations = [n for n in inside if n.op not in LEAVES and n not in hidden]
        paths = list(dict.fromkeys(owners[n] for n in learnt if not owners[n].isdigit() or "." in (n.name or "")))
        said = self._summary(operations)
        label = self.name(node) or (title_of(paths, self._language) if paths else sign(node) if len(operations) == 1 else said)
        notes = [said if owners else self._formula(node, operations)]
        if node is self._output and node.size == 1:
            label = f"{label} = {self.value(node.value)}"
        if learnt:
            notes.append(parameters(sum(n.size for n in learnt), self._language))
            gradients = [totals[n] for n in learnt if n in totals]
            if gradients:
                norm = math.hypot(*(float(np.linalg.norm(g)) for g in gradients))
                notes.append(f"‖∂{symbol(self._output.name or '').text}/∂θ‖ = {number(norm, min(self._precision, 3)).text}")
        return Box(label, tuple(n for n in notes if n and n != label), self._kind(node))

    def _formula(self, node: Node, operations: Collection[Node]) -> str:
        if node.name and len(operations) <= _MOST_IN_FORMULA:
            formula = write(node, whole=True).text
            return formula if len(formula) <= _LONGEST else lookup(node.op).name
        return self._summary(operations)

    def _summary(self, operations: Collection[Node]) -> str:
        telling = [n for n in operations if not hands_on(n)]
        return summary(telling, sign, _LONGEST) or phrase("operations", self._language, count=len(operations))

    def name(self, node: Node) -> str:
        """The symbol of a node that has more than a number for a name."""
        numbered = node.name is None or (node not in self._named and node.name[0] in "uv" and node.name[1:].isdigit())
        return "" if numbered else symbol(node.name or "").text

    def _kind(self, node: Node) -> str:
        return "out" if node is self._output else "op"

    def value(self, value: Array | None) -> str:
        """A number, three of them, or a shape."""
        if value is None:
            return ""
        if value.size == 1:
            return number(value.item(), self._precision).text
        if value.ndim == 1 and value.size <= 3 and value.dtype.kind == "f":
            return f"[{', '.join(number(v, min(self._precision, 3)).text for v in value.tolist())}]"
        return "×".join(map(str, value.shape))

    def gradient(self, value: Array | None) -> str:
        """A gradient, of an array its norm."""
        if value is None or value.size == 1 or (value.ndim == 1 and value.size <= 3):
            return self.value(value)
        return f"‖·‖ {number(float(np.linalg.norm(value)), min(self._precision, 3)).text}"


def sign(node: Node) -> str:
    """How an operation is written in a box."""
    return lookup(node.op).notation.sign or node.op


def title_of(paths: Sequence[str], language: Language) -> str:
    """The name of a layer, or of the part of a network that several layers are in."""
    first, *others = paths
    parts = first.split(".")
    while parts and not all(p.split(".")[: len(parts)] == parts for p in others):
        parts.pop()
    title = ".".join(parts) or f"{first} … {others[-1]}"
    return phrase("layer-path", language, path=title) if title[0].isdigit() else title
