"""`check`: a hand calculation graded, with the slip that explains each wrong number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from chainrule.errors import ArgumentError, ChainruleError, explain
from chainrule.explain.array_slips import array_slips
from chainrule.explain.calculation import Place, calculation, caller_variables
from chainrule.explain.formula_claims import FormulaClaim, grade_formula
from chainrule.explain.forward_slips import forward_slips
from chainrule.explain.gradient_slips import GradientSlips
from chainrule.explain.grading import Finding, Grading, Verdict
from chainrule.explain.language import Language, index_of, phrase
from chainrule.explain.quantities import Quantity, World, all_arrays, all_quantities, find_quantity
from chainrule.explain.rounding import rounding_bound
from chainrule.explain.slip import Slip, likeliest, slip
from chainrule.explain.symbols import number
from chainrule.explain.update_slips import stale_updates, update_slips
from chainrule.explain.written import Written, written
from chainrule.ir import Array
from chainrule.tensor import Tensor

_MOST_ELEMENTS = 16  # of an array in which rounding is followed
_UNDOUBTED = 0.4  # of the largest rounding error: what a right calculation hardly ever exceeds
_SUBTLE = ("stale-weight", "derivative-at-output")
_SHARP = 3  # significant digits from which a coincidence of numbers is no accident


def check(output: Tensor, claims: Mapping[str, Any], *, optimizer: Any = None, language: Language = "en") -> Grading:
    """Grade a hand calculation.

    Args:
        output: the end of the calculation, the loss E, say.
        claims: in the order in which they were worked out, name to number. Names: "O5" (a forward value), "h[0]" (an element),
            "dE/dw13" (a gradient), "delta5" (an error term), "w13'" (a parameter after one step), "O5'" (a value after it).
            A number may be text, "0.0270", so that its trailing zeros count; a list of numbers is an array; other text is a
            formula, compared by value at random points.
        optimizer: takes the step, for names with '.
        language: of the messages, "en" or "zh".

    Returns:
        A `Grading`, from claim to `Finding`.

    Raises:
        ArgumentError: no claims, or one that is neither a number nor a formula.
    """
    index_of(language)
    if not isinstance(output, Tensor):
        raise ArgumentError(
            explain(f"check got a {type(output).__name__}", "it takes a Tensor", "Pass the end of the calculation.")
        )
    if not isinstance(claims, Mapping) or not claims:
        raise ArgumentError(explain("check got no claims", "it takes a mapping from names to numbers", 'Write {"O5": 0.69}.'))
    calc = calculation(output.node, variables=caller_variables(1))
    return _Grader(World(calc, optimizer), language).grade(claims)


@dataclass(frozen=True)
class _Known:
    """A claim on a number that was graded already."""

    quantity: Quantity
    written: Written
    wrong: bool


class _Grader:
    """Grades claims one after another, remembering the earlier ones."""

    def __init__(self, world: World, language: Language) -> None:
        self.world, self.language = world, language
        self.earlier: list[_Known] = []
        self._others: list[tuple[Quantity, float]] | None = None

    def grade(self, claims: Mapping[str, Any]) -> Grading:
        return Grading({name: self._claim(name, given) for name, given in claims.items()})

    def _claim(self, name: str, given: Any) -> Finding:
        quantity = find_quantity(name, self.world.calc, self.world.optimizer)
        number_given = written(given)
        if number_given is None:
            return grade_formula(self.world, FormulaClaim(name, quantity, str(given)), slips_of, self.language)
        if quantity is None:
            return self._unknown(name, number_given)
        true = self.world.value(quantity)
        finding = self._number(name, quantity, number_given, true)
        wrong = finding.verdict in ("wrong", "follow-on")
        if number_given.value.shape == true.shape:
            self.earlier.append(_Known(quantity, number_given, wrong))
        return finding

    # ---------------------------------------------------------------------------------------- verdicts
    def _number(self, name: str, quantity: Quantity, given: Written, true: Array) -> Finding:
        if given.agrees(true):
            return Finding("right", None, given.text, true, self._say("right", quantity, given, true))
        if given.cuts_off(true):
            return Finding("rounded", None, given.text, true, self._say("rounded-last", quantity, given, true))
        carried = self._carried(quantity, given)
        if carried is not None:
            return Finding(carried, None, given.text, true, self._say(carried, quantity, given, true))
        doubt = self._share_of_rounding(quantity, given, true)
        # Near the limit of what rounding can do, a slip that changes little and gives this very number is the likelier reason.
        found = self._diagnosed(quantity, given, true) if doubt > _UNDOUBTED else None
        if doubt <= _UNDOUBTED or (
            doubt <= 1.0 and found is not None and not (found.kind in _SUBTLE and given.digits > _SHARP)
        ):
            return Finding("rounded", None, given.text, true, self._say("rounded", quantity, given, true))
        assert found is not None
        return found

    def _carried(self, quantity: Quantity, given: Written) -> Verdict | None:
        """ "rounded" or "follow-on", if this is right given what was found before; else None."""
        before = [k for k in self.earlier if k.quantity != quantity]
        wrong = [k for k in before if k.wrong]
        rounded = [k for k in before if not k.wrong]
        choices: list[tuple[Verdict, list[_Known]]] = [("rounded", rounded)] if rounded else []
        choices += [("follow-on", chosen) for chosen in (before, wrong, *([k] for k in wrong)) if any(k.wrong for k in chosen)]
        for verdict, chosen in choices:
            there = self.world.with_values({k.quantity: k.written.value for k in chosen})
            try:
                value = there.value(there.here(quantity, self.world))
            except ChainruleError:
                continue
            if given.agrees(value):
                return verdict
        return None

    def _share_of_rounding(self, quantity: Quantity, given: Written, true: Array) -> float:
        """The difference, measured by what intermediate results kept to the digits that were written can explain at most."""
        if true.shape != given.value.shape or not np.isfinite(true).all() or true.size > _MOST_ELEMENTS:
            return np.inf
        shares = []
        for index in np.ndindex(*true.shape):
            place = Place(quantity.place.node, index) if index else quantity.place
            bound = self._rounding(replace(quantity, place=place), given)
            shares.append(abs(given.value[index] - true[index]) / bound if np.isfinite(bound) and bound else np.inf)
        return float(max(shares))

    def _rounding(self, quantity: Quantity, given: Written) -> float:
        """What rounding of intermediate results, to the digits that were written so far, can change at most."""
        kept = [given, *self._right_numbers()]
        # In an array 0.4 may be 0.4000: the number with the most digits and that with the most decimals tell.
        units = {float(np.min(w.unit)) for w in kept}
        # Whoever writes everything with the same number of decimals has kept that many in between, too.
        unit = units.pop() if len(units) == 1 else 0.0
        return rounding_bound(self.world, quantity, min(w.digits for w in kept), unit)

    def _right_numbers(self) -> list[Written]:
        return [k.written for k in self.earlier if not k.wrong and k.written.value.size == 1]

    # ---------------------------------------------------------------------------------------- diagnosis
    def _diagnosed(self, quantity: Quantity, given: Written, true: Array) -> Finding:
        found = (
            self._slip(quantity, given, float(true))
            if true.size == 1 == given.value.size
            else self._array_slip(quantity, given, true)
        )
        if found is None:
            return Finding("wrong", "unexplained", given.text, true, self._say("unexplained", quantity, given, true))
        reason = phrase(found.phrase, self.language, **dict(found.words))
        return Finding("wrong", found.kind, given.text, true, f"{self._say('wrong', quantity, given, true)} {reason}")

    def _slip(self, quantity: Quantity, given: Written, true: float) -> Slip | None:
        """The likeliest slip that gives the number: a factor or sign before another quantity, that before all others."""
        slips = list(slips_of(self.world, quantity))
        matching = [s for s in slips if given.agrees(s.value)]
        found = likeliest(matching, self._other_quantity(quantity, given, true), quantity)
        return self._slip_and_rounding(slips, quantity, given, true) if found is None else found

    def _slip_and_rounding(self, slips: Sequence[Slip], quantity: Quantity, given: Written, true: float) -> Slip | None:
        """The nearest slip in a calculation that goes on with rounded results: earlier claims have fewer digits than this."""
        if min((w.digits for w in self._right_numbers()), default=given.digits) >= given.digits or true == 0.0:
            return None
        bound = _UNDOUBTED * self._rounding(quantity, given)
        found = min(slips, key=lambda s: abs(float(given.value) - s.value), default=None)
        near = found is not None and abs(float(given.value) - found.value) <= bound * max(1.0, abs(found.value / true))
        return found if near else None

    def _other_quantity(self, quantity: Quantity | None, given: Written, true: float | None) -> Slip | None:
        """Another quantity of the calculation with this value, the nearest to it."""
        matches = [
            (abs(value - float(given.value)), q, value)
            for q, value in self._named_values()
            if given.agrees(value) and (quantity is None or (q.place, q.kind) != (quantity.place, quantity.kind))
            and (true is None or not np.isclose(value, true, rtol=1e-9, atol=0.0))
        ]  # fmt: skip
        if quantity is not None and given.digits < _SHARP:
            # With one or two digits many numbers agree by chance: only the same kind of quantity counts.
            matches = [m for m in matches if m[1].kind == quantity.kind]
        if not matches or float(given.value) == 0.0:
            return None
        _, other, value = min(matches, key=lambda m: m[0])
        words = {"other": other.symbol.text, "value": number(value, 6).text}
        extra = None if true in (None, 0.0) else self._factor_between(value / float(true or 1.0))
        if extra is not None:
            return slip("equals-other-quantity", f"slip-other-{extra[0]}", value, factor=extra[1], **words)
        return slip("equals-other-quantity", "slip-other", value, **words)

    def _factor_between(self, ratio: float) -> tuple[str, str] | None:
        """A forward value by which two quantities differ: one too many, or one missing."""
        for q, value in self._named_values():
            if q.kind == "value" and value not in (0.0, 1.0):
                if np.isclose(ratio, value, rtol=1e-9):
                    return "extra", q.symbol.text
                if np.isclose(ratio * value, 1.0, rtol=1e-9):
                    return "missing", q.symbol.text
        return None

    def _named_values(self) -> list[tuple[Quantity, float]]:
        if self._others is None:
            found = all_quantities(self.world.calc, self.world.optimizer)
            self._others = [(q, float(self.world.value(q))) for q in found]
        return self._others

    def _array_slip(self, quantity: Quantity, given: Written, true: Array) -> Slip | None:
        matching = [s for s in slips_of(self.world, quantity) if given.agrees(s.value)] if true.size > 1 else []
        found = likeliest(matching, self._other_array(quantity, given), quantity)
        if found is None and given.value.shape != true.shape:
            shapes = {"given": "×".join(map(str, given.value.shape)), "right": "×".join(map(str, true.shape))}
            kind = "transposed" if given.value.shape == true.shape[::-1] else "unexplained"
            return slip(kind, "slip-shape", true, **shapes)
        return found

    def _other_array(self, quantity: Quantity, given: Written) -> Slip | None:
        """Another array of the calculation with these values."""
        for other in all_arrays(self.world.calc):
            if (other.place, other.kind) != (quantity.place, quantity.kind) and given.agrees(self.world.value(other)):
                return slip("equals-other-quantity", "slip-other-formula", given.value, other=other.symbol.text)
        return None

    def _unknown(self, name: str, given: Written) -> Finding:
        """A name that stands for nothing here; perhaps its number is that of something else."""
        other = self._other_quantity(None, given, None) if given.value.size == 1 else None
        text = phrase("verdict-unknown", self.language, name=name)
        if other is None:
            return Finding("wrong", "unexplained", given.text, None, text)
        reason = phrase("slip-unknown-is", self.language, given=given.text, **dict(other.words))
        return Finding("wrong", "equals-other-quantity", given.text, None, f"{text} {reason}")

    def _say(self, verdict: str, quantity: Quantity, given: Written, true: Array) -> str:
        # With one digit more than was written, the difference shows.
        words = {"symbol": quantity.symbol.text, "given": given.text, "true": shown(true, max(7, given.digits + 1))}
        return phrase(f"verdict-{verdict}", self.language, **words)


def slips_of(world: World, quantity: Quantity) -> Iterator[Slip]:
    """Every slip that can happen to a quantity, the likely ones first; none if the calculation is too large to take apart."""
    if quantity.place.index is None and quantity.place.node.size > 1:
        yield from array_slips(world, quantity, slips_of)
    elif quantity.kind == "updated":
        yield from update_slips(world, quantity)
    elif quantity.kind == "gradient":
        try:
            slips = GradientSlips(world, quantity)
        except ArgumentError:
            return
        yield from slips.all()
    elif quantity.kind == "value":
        yield from forward_slips(world, quantity)
    else:
        yield from _after_slips(world, quantity)


def _after_slips(world: World, quantity: Quantity) -> Iterator[Slip]:
    """A forward value after the step: parameters updated one layer after another, with gradients that see the new ones."""
    for weights, values in stale_updates(world):
        there = world.with_updates(values)
        found = there.value(replace(there.here(quantity, world), kind="value"))
        yield slip("stale-weight", "slip-stale-step", float(found), weight=weights)


def shown(value: Array, digits: int) -> str:
    """A true value in a message."""
    if value.size == 1:
        return number(value.item(), min(digits, 17)).text
    if value.size > 12:
        return "×".join(map(str, value.shape))
    return "[" + ", ".join(shown(np.asarray(v), digits) for v in value) + "]"
