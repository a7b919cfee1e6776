"""The remarks at the end of a derivation: kinks that it meets, and numbers that are not finite."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from chainrule import autodiff, ir
from chainrule.derivations.calculations import element_name
from chainrule.derivations.elements import index_of
from chainrule.derivations.formulas import tidy, uniform, write
from chainrule.derivations.request import Request
from chainrule.derivations.steps import Section
from chainrule.derivations.symbols import Formula, number, symbol
from chainrule.derivations.words import sentence
from chainrule.ir import LEAVES, Array, Node
from chainrule.language import Language
from chainrule.ops.primitive import Partial, facts, lookup

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
        if record.facts.ties is not None and node.dtype.kind == "f":
            yield from _ties_of(node, request.language)
        elif node.op == "power" and node.inputs[1] in concerned:
            yield from _power_of_nought(node, request.language)
        if not record.kinks or record.partials is None or node.dtype.kind != "f" or len({*node.inputs}) < len(node.inputs):
            continue  # max(x, x) is x, and has a derivative
        for k, source in enumerate(node.inputs):
            if source in concerned:
                yield from _kinks_of(node, k, record.partials[k], request.language)


def _ties_of(node: Node, language: Language) -> Iterator[Formula]:
    """Where the largest or smallest element occurs several times."""
    extreme = node if lookup(node.op).body is None else lookup(node.op).expand(node)
    axis = extreme.attributes["axis"]
    value, elements = extreme.value, extreme.inputs[0].value
    assert value is not None and elements is not None
    around = value if extreme.attributes["keepdims"] else np.expand_dims(value, axis)
    several = np.sum(elements == around, axis=axis).reshape(-1) > 1
    for position in np.flatnonzero(several)[:_MOST_KINKS]:
        place = symbol(element_name(node.name, index_of(node, int(position)))) if node.name else write(node, whole=True)
        found = number(float(value.flat[position]), 6)
        key = f"tie-{facts(node).ties}"
        yield sentence(key, language, function=write(node, whole=True), place=place, value=found)


def _power_of_nought(node: Node, language: Language) -> Iterator[Formula]:
    """0⁰ by its exponent: 0 to any power above 0 is 0, but 0⁰ is 1."""
    base, exponent = node.inputs
    if not np.any((base.value == 0.0) & (exponent.value == 0.0)):
        return
    names = [write(i) for i in dict.fromkeys((base, exponent)) if uniform(i) is None]
    place = Formula(" = ".join([*(n.text for n in names), "0"]), " = ".join([*(n.latex for n in names), "0"]))
    yield sentence("kink", language, function=write(node, whole=True), place=place, slope=number(0.0, 6))


def _kinks_of(node: Node, k: int, partial: Partial, language: Language) -> Iterator[Formula]:
    above, here, below = (_slope(node, k, partial, step) for step in (_NEAR, 0.0, -_NEAR))
    with np.errstate(all="ignore"):
        jumps = np.abs(above - below) > _JUMP
    if facts(node).jumps:
        jumps = _steps(node)
    for position in np.flatnonzero(jumps & np.isfinite(above) & np.isfinite(below))[:_MOST_KINKS]:
        yield sentence(
            "kink",
            language,
            function=write(node, whole=True),
            place=_place(node, k, int(position)),
            slope=number(float(here.flat[position]), 6),
        )


def _steps(node: Node) -> Array:
    """Where the value of a function jumps."""
    (x,) = (i.value for i in node.inputs)
    assert x is not None
    beside = (np.nextafter(x, np.asarray(end, x.dtype)) for end in (np.inf, -np.inf))
    above, below = (lookup(node.op).run((ir.constant(moved),), node.attributes) for moved in beside)
    return np.asarray(above != below)


def _slope(node: Node, k: int, partial: Partial, step: float) -> Array:
    """The partial derivative, with input k moved a little."""
    inputs = [ir.constant(i.value) for i in node.inputs]
    moved = node.inputs[k].value
    assert moved is not None
    with np.errstate(invalid="ignore"):  # an infinite value stays where it is, or is none
        moved = moved + step * np.maximum(1.0, np.abs(moved))
    inputs[k] = ir.constant(moved, node.inputs[k].dtype)
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
    from chainrule.diagnosis.non_finite import first_of_calculation  # noqa: PLC0415 -- rarely needed

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
