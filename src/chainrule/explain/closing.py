"""What a derivation says at its end, where there is something to say: kinks that it meets, and numbers that are not finite."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from chainrule import autodiff, ir
from chainrule.explain.calculation import element_name
from chainrule.explain.derivation import Section
from chainrule.explain.elements import index_of
from chainrule.explain.formulas import tidy, uniform, write
from chainrule.explain.language import Language, sentence
from chainrule.explain.request import Request
from chainrule.explain.symbols import Formula, number, symbol
from chainrule.ir import LEAVES, Array, Node
from chainrule.ops.primitive import Partial, lookup

_NEAR = 1e-7
_JUMP = 1e-3  # of a derivative from one side to the other, that is a kink
_MOST_KINKS = 3


def closing_sections(request: Request, results: Mapping[str, Array]) -> list[Section]:
    """The sections that end a derivation; mostly none."""
    return [*_kinks(request), *_not_finite(request, results)]


# -------------------------------------------------------------------------------------------- kinks
def _kinks(request: Request) -> list[Section]:
    """Where a function on the way has no derivative, and what is taken in its place."""
    remarks = [remark for _, remark in zip(range(_MOST_KINKS), _kinks_met(request), strict=False)]
    if not remarks:
        return []
    remark = Formula(" ".join(r.text for r in remarks), " ".join(r.latex for r in remarks))
    return [Section("kinks", sentence("kinks", request.language), (), remark)]


def _kinks_met(request: Request) -> Iterator[Formula]:
    concerned = {p.node for p in request.places}
    for node in request.calc.nodes:
        if node.op in LEAVES or not any(i in concerned for i in node.inputs):
            continue
        concerned.add(node)
        record = lookup(node.op)
        if not record.kinks or record.partials is None or node.dtype.kind != "f":
            continue
        for k, source in enumerate(node.inputs):
            if source in concerned:
                yield from _kinks_of(node, k, record.partials[k], request.language)


def _kinks_of(node: Node, k: int, partial: Partial, language: Language) -> Iterator[Formula]:
    above, here, below = (_slope(node, k, partial, step) for step in (_NEAR, 0.0, -_NEAR))
    with np.errstate(all="ignore"):
        jumps = np.abs(above - below) > _JUMP
    for position in np.flatnonzero(jumps & np.isfinite(above) & np.isfinite(below))[:_MOST_KINKS]:
        yield sentence(
            "kink",
            language,
            function=write(node, whole=True),
            place=_place(node, k, int(position)),
            slope=number(float(here.flat[position]), 6),
        )


def _slope(node: Node, k: int, partial: Partial, step: float) -> Array:
    """The partial derivative, with input k moved a little."""
    inputs = [ir.constant(i.value) for i in node.inputs]
    moved = node.inputs[k].value
    assert moved is not None
    inputs[k] = ir.constant(moved + step * np.maximum(1.0, np.abs(moved)), node.inputs[k].dtype)
    found = partial(*inputs, y=lookup(node.op)(*inputs, **node.attributes), **node.attributes)
    if not isinstance(found, Node):
        return np.full(node.shape, float(found))
    assert found.value is not None
    return np.broadcast_to(found.value, node.shape)


def _place(node: Node, k: int, position: int) -> Formula:
    """ "z[1] = 0", or "a = b" where two values meet."""
    source = node.inputs[k]
    others = [i for i in node.inputs if i is not source and uniform(i) is None]
    if others:
        left, right = write(source), write(others[0])
    else:
        shared = source.shape == node.shape and source.name is not None
        left = symbol(element_name(source.name or "", index_of(node, position))) if shared else write(source)
        assert source.value is not None
        value = np.broadcast_to(source.value, node.shape).flat[position]
        right = number(float(value), 6)
    return Formula(f"{left.text} = {right.text}", f"{left.latex} = {right.latex}")


# -------------------------------------------------------------------------------------------- no finite numbers
def _not_finite(request: Request, results: Mapping[str, Array]) -> list[Section]:
    """The operation that left its domain, or gave more than there are numbers, and what it read."""
    output = request.calc.output
    if output.value is not None and all(np.isfinite(v).all() for v in (output.value, *results.values())):
        return []
    from chainrule.diagnose.non_finite import first_of_calculation  # noqa: PLC0415 -- rarely needed

    cause = first_of_calculation([output])
    if cause is None:
        seed = ir.constant(np.ones(output.shape), output.dtype)
        gradients = autodiff.gradient(output, [p.node for p in request.places], seed)
        cause = first_of_calculation([g for g in gradients if g is not None])
    if cause is None:
        return []
    text = cause.text(request.language, lambda node: write(tidy(node)).text)
    latex = cause.text(request.language, lambda node: f"${write(tidy(node)).latex}$")
    remark = Formula(text, latex.replace("e^x", "$e^x$").replace("−∞", r"$-\infty$"))
    return [Section("not-finite", sentence("not-finite", request.language), (), remark)]
