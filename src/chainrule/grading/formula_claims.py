"""Claims that are formulas: compared by value at many random points, never by text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule import autodiff
from chainrule.derivations.expressions import CONSTANTS, FormulaError, expression, names_in
from chainrule.derivations.matrix import layer_notation
from chainrule.derivations.symbols import symbol, typed
from chainrule.errors import ChainruleError, GradientError
from chainrule.grading.array_slips import SlipsOf
from chainrule.grading.kinks import kinks
from chainrule.grading.quantities import Quantity, World, all_arrays, all_quantities, changed, find_quantity, names_here
from chainrule.grading.result import Finding
from chainrule.grading.rounding import noise
from chainrule.grading.slip import Slip, in_order, slip, without_path
from chainrule.grading.words import phrase
from chainrule.ir import LEAVES, Array, Node, topological
from chainrule.language import Language

_POINTS = 6
_MOST_NAMES = 25  # that are listed
_DERIVATIVE = re.compile(r"\bd(\w+)\s*/\s*d(\w+)")
_INDEXED = re.compile(r"\b([^\W\d]\w*)(\[[\d,\s]+\])?")


@dataclass(frozen=True)
class FormulaClaim:
    """A formula and what it is claimed to be: a name, and the quantity of that name, or None if there is none."""

    name: str
    quantity: Quantity | None
    text: str


def grade_formula(world: World, claim: FormulaClaim, slips_of: SlipsOf, language: Language) -> Finding:
    """The verdict on a formula in the names of the calculation.

    Args:
        world: the calculation.
        claim: the formula.
        slips_of: gives the slips that can happen to a quantity in a world.
        language: of the message.
    """
    quantity = claim.quantity
    if quantity is None:
        return _unknown(world, claim, language)
    words = {"symbol": quantity.symbol.text, "given": claim.text}
    try:
        why_not = _why_not(world, claim.text, quantity, language)
        if why_not is not None:
            return Finding("not-graded", None, claim.text, None, why_not)
        worlds = _points(world, claim.text)
        true = [w.value(w.here(quantity, world)) for w in worlds]
        claimed = [_value(claim.text, w) for w in worlds]
    except (FormulaError, GradientError) as error:
        said = phrase("verdict-refused", language, name=quantity.symbol.text, reason=str(error))
        return Finding("not-graded", None, claim.text, None, said)
    except ChainruleError as error:  # it can be read, but its values do not fit
        said = phrase("verdict-formula-wrong", language, reason=str(error), **words)
        return Finding("wrong", "unexplained", claim.text, None, said)
    if all(_is_equal(w, w.here(quantity, world), c, t) for w, c, t in zip(worlds, claimed, true, strict=True)):
        return Finding("right", None, claim.text, None, phrase("verdict-formula-right", language, **words))
    found = without_path(quantity) or _explaining(worlds, world, claim, claimed, slips_of)
    if found is None:
        said = phrase("verdict-formula-unexplained", language, **words)
    else:
        said = phrase("verdict-formula-wrong", language, reason=found.said(language), **words)
    return Finding("wrong", "unexplained" if found is None else found.kind, claim.text, None, said)


def _why_not(world: World, text: str, claimed: Quantity, language: Language) -> str | None:
    """Why a formula is not graded: it says nothing of what it is claimed for, or a name in it stands for nothing."""
    circular = next((q for q in _mentioned(text, world) if _is_through(q, claimed)), None)
    if circular is not None:
        words = {"symbol": claimed.symbol.text, "given": text, "other": circular.symbol.text}
        return phrase("verdict-formula-circular", language, **words)
    strange = _strange_names(text, world)
    return f"{phrase('verdict-unknown', language, name=strange[0])} {not_graded(world, language)}" if strange else None


def _points(world: World, formula: str) -> list[World]:
    """The given point, and random ones; a formula without names is a number, which is claimed of the given point alone.

    At a kink of the given point the derivative is a convention, and only the others count.
    """
    if not _read(formula, world).quantities:
        return [world]
    return [*([] if kinks(world.calc) else [world]), *(_elsewhere(world, k) for k in range(_POINTS))]


def _elsewhere(world: World, seed: int) -> World:
    """The calculation at a random point near the given one: every leaf a little different, signs kept."""
    rng = np.random.default_rng(seed)
    values = {}
    for node in world.calc.nodes:
        if node.op in LEAVES and node.dtype.kind == "f" and (node.op != "constant" or node.name):
            scale = rng.uniform(0.5, 1.5, size=node.shape)
            assert node.value is not None
            values[node] = np.where(node.value == 0.0, rng.uniform(0.1, 1.0, size=node.shape), node.value * scale)
    return World(changed(world.calc, values), world.optimizer)


@dataclass(frozen=True)
class _Read:
    """A formula with an identifier for every quantity that it is written with, and these quantities."""

    text: str
    quantities: Mapping[str, Quantity]


def _read(text: str, world: World) -> _Read:
    """A formula, typed or as formulas are printed: (O₅ - t₅) · O₅(1 - O₅), σ(z¹), m′ / (1 - 0.9ᵗ)."""
    found: dict[str, Quantity] = {}

    def named(match: re.Match[str]) -> str:
        return keyed(match[0], f"name_{len(found)}_")

    def derivative(match: re.Match[str]) -> str:
        above, below = (found[part].name if part in found else part for part in match.groups())
        return keyed(f"d{above}/d{below}", f"derivative_{len(found)}_") or match[0]

    def keyed(name: str, key: str) -> str:
        quantity = find_quantity(name, world.calc, world.optimizer)
        if quantity is not None:
            found[key] = quantity
        return "" if quantity is None else key

    odd = [re.escape(name) for name in _no_identifiers(world)]
    plain = re.sub(rf"(?:(?<!\w)|(?<=/d))({'|'.join(odd)})(?![^\Wᵀ]|[⁰¹²³⁴⁵⁶⁷⁸⁹⁻])", named, text) if odd else text
    formula = _DERIVATIVE.sub(derivative, typed(plain))
    for name in names_in(formula) - set(found):
        quantity = find_quantity(name, world.calc, world.optimizer)
        if quantity is not None:
            found[name] = quantity
    return _Read(formula, {name: found[name] for name in names_in(formula) if name in found})


def _no_identifiers(world: World) -> list[str]:
    """The names, typed and printed, that a formula cannot hold as they are: z¹, w₁₃′, h⁽²⁾, 0.weight; the longest first.

    Beside a name a, a² is its square.
    """
    here = names_here(world.calc, world.optimizer)
    parts = {name for part in layer_notation(world.calc) for name in part if name.partition("^")[0] not in here}
    written = {w for name in (*here, *parts) for w in (name, symbol(name).text) if not typed(w).isidentifier()}
    return sorted(written, key=lambda name: (-len(name), name))


def _value(text: str, world: World) -> Array:
    """The formula's value in a world.

    Raises:
        FormulaError: it cannot be read, or uses a name that is not there.
        ChainruleError: its values do not fit.
    """
    read = _read(text, world)
    return expression(read.text, **{key: world.value(quantity) for key, quantity in read.quantities.items()}).numpy()


def _strange_names(text: str, world: World) -> list[str]:
    """The names in a formula that stand for nothing; what is called as a function is left to the reader of formulas."""
    read = _read(text, world)
    unknown = names_in(read.text) - set(read.quantities) - set(CONSTANTS)
    return sorted(name for name in unknown if not re.search(rf"\b{re.escape(name)}\s*\(", read.text))


def _mentioned(text: str, world: World) -> list[Quantity]:
    """The quantities that a formula is written with, elements of arrays where these are written."""
    read = _read(text, world)
    found = []
    for key, index in _INDEXED.findall(read.text):
        if key in read.quantities:
            quantity = read.quantities[key]
            element = find_quantity(f"{quantity.name}{index}", world.calc, world.optimizer) if index else None
            found.append(element or quantity)
    return found


def _is_through(mentioned: Quantity, claimed: Quantity) -> bool:
    """Whether a quantity is the claimed one or calculated from it: a formula with it says nothing of the claimed one."""
    here, of = mentioned.place, claimed.place
    if mentioned.kind == claimed.kind and here.node is of.node and mentioned.output is claimed.output:
        return here.index is None or of.index is None or here.index == of.index
    if claimed.kind == "value":
        return of.node in _sources(mentioned)
    # A gradient is calculated from those of what follows: ∂E/∂w from ∂E/∂z where z = w·x.
    is_same_output = mentioned.kind == claimed.kind == "gradient" and mentioned.output is claimed.output
    return is_same_output and here.node in topological([of.node])


def _sources(quantity: Quantity) -> list[Node]:
    """All that a quantity is calculated from."""
    node: Node | None = quantity.place.node
    if quantity.kind == "gradient" and quantity.output is not None:
        (node,) = autodiff.gradient(quantity.output, [quantity.place.node])
    return [] if node is None else topological([node])


def _is_equal(world: World, quantity: Quantity, claimed: Array, true: Array) -> bool:
    """Whether a formula has the value of a quantity, but for what its dtype does to it."""
    if claimed.shape != true.shape:
        return False
    rounding = max(1e-9, 100.0 * float(np.finfo(true.dtype).eps))
    different = ~np.isclose(claimed, true, rtol=rounding, atol=0.0)
    return not np.any(different) or bool(
        np.all(np.abs(claimed - true)[different] <= noise(world, quantity, different)[different])
    )


def _same(a: Array, b: Array) -> bool:
    return a.shape == b.shape and bool(np.allclose(a, b, rtol=1e-9, atol=1e-12))


def _explaining(
    worlds: list[World], origin: World, claim: FormulaClaim, claimed: list[Array], slips_of: SlipsOf
) -> Slip | None:
    """The likeliest slip that gives the formula's value at every point."""
    quantity = claim.quantity
    assert quantity is not None
    matching: dict[tuple[Any, ...], Slip] | None = None
    for w, c in zip(worlds, claimed, strict=True):
        if matching != {}:  # no slip is left to be looked for
            table = _table(w, w.here(quantity, origin), slips_of)
            fitting = {key: s for key, s in table.items() if _same(np.asarray(s.value), c)}
            matching = fitting if matching is None else {key: s for key, s in matching.items() if key in fitting}
    other = _other(worlds, origin, claimed, claim.text)
    likely = in_order((matching or {}).values(), [] if other is None else [[other]], quantity)
    return next((s for group in likely for s in group), None)


def _table(world: World, quantity: Quantity, slips_of: SlipsOf) -> dict[tuple[Any, ...], Slip]:
    found: dict[tuple[Any, ...], Slip] = {}
    for each in _safely(slips_of(world, quantity)):
        found.setdefault((each.phrase, each.words), each)
    return found


def _safely(slips: Iterator[Slip]) -> Iterator[Slip]:
    try:
        yield from slips
    except ChainruleError:
        return


def _other(worlds: list[World], origin: World, claimed: list[Array], text: str) -> Slip | None:
    """The quantity that a formula gives; a formula that is nothing but its name says that itself."""
    itself = find_quantity(text, origin.calc, origin.optimizer)
    for q in [*all_quantities(origin), *all_arrays(origin)]:
        if q != itself and all(_same(np.asarray(w.value(w.here(q, origin))), c) for w, c in zip(worlds, claimed, strict=True)):
            return slip("equals-other-quantity", "slip-other-formula", 0.0, other=q.symbol.text)
    return None


def _unknown(world: World, claim: FormulaClaim, language: Language) -> Finding:
    said = [phrase("verdict-unknown", language, name=symbol(claim.name).text)]
    kind = None
    try:
        worlds = _points(world, claim.text)
        found = _other(worlds, world, [_value(claim.text, w) for w in worlds], claim.text)
    except ChainruleError:
        found = None
    if found is not None:
        kind = found.kind
        said.append(found.said(language))
    said.append(not_graded(world, language))
    return Finding("not-graded", kind, claim.text, None, " ".join(said))


def not_graded(world: World, language: Language) -> str:
    """Which names there are, for a claim whose name is not among them."""
    names = names_here(world.calc, world.optimizer)
    shown = ", ".join(names[:_MOST_NAMES]) + (", …" if len(names) > _MOST_NAMES else "")
    gradient = f"d{world.calc.output.name}/d{names[0]}"
    return phrase("verdict-not-graded", language, names=shown, gradient=gradient)
