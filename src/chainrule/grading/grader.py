"""`check`: a hand calculation graded, with the slip that explains each wrong number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from chainrule.derivations.calculations import Place, calculation, caller_variables
from chainrule.derivations.matrix import name_layers
from chainrule.derivations.symbols import number
from chainrule.derivations.words import phrase
from chainrule.errors import ArgumentError, ChainruleError, message
from chainrule.grading.array_slips import array_slips
from chainrule.grading.formula_claims import FormulaClaim, grade_formula, not_graded
from chainrule.grading.forward_slips import forward_slips
from chainrule.grading.gradient_slips import GradientSlips
from chainrule.grading.kinks import at_kinks
from chainrule.grading.quantities import Quantity, World, all_arrays, all_quantities, find_quantity
from chainrule.grading.result import Finding, Grading, Verdict
from chainrule.grading.rounding import Precision, carried, noise
from chainrule.grading.slip import Slip, likeliest, slip
from chainrule.grading.update_slips import stale_updates, update_slips
from chainrule.grading.written import Written, finest_unit, written
from chainrule.ir import Array
from chainrule.language import Language, index_of
from chainrule.tensors import Tensor

_MOST_ELEMENTS = 16  # of an array in which rounding is followed
_UNDOUBTED = 0.4  # of the largest rounding error: what a right calculation hardly ever exceeds
_SUBTLE = ("stale-weight", "derivative-at-output")
_SHARP = 3  # significant digits from which a coincidence of numbers is no accident
_HARDLY_MORE = 0.55  # of a unit in the last digit: barely more than the rounding of the number itself


def check(output: Tensor, claims: Mapping[str, Any], *, optimizer: Any = None, language: Language = "en") -> Grading:
    """Grade a hand calculation.

    Args:
        output: the end of the calculation, the loss E, say.
        claims: in the order in which they were worked out, name to number. Names: "O5" (a forward value), "h[0]" (an element),
            "dE/dw13" (a gradient), "delta5" (an error term), "w13'" (a parameter after one step), "O5'" (a value after it),
            "m'" (what the optimiser keeps); or as they are printed, "∂E/∂w₁₃". A number claims its last written digit ± ½; as
            text, "0.0270", it keeps its zeros. A 0 is rounded as the rest of the claims are. A list of numbers is an array;
            other text is a formula, compared by value at random points.
        optimizer: takes the step, for names with '.
        language: of the messages, "en" or "zh".

    Returns:
        A `Grading`, from claim to `Finding`. A name that is not in the calculation is not graded.

    Raises:
        ArgumentError: no claims, or one that is neither a number nor a formula.
    """
    index_of(language)
    if not isinstance(output, Tensor):
        raise ArgumentError(
            message(f"check got a {type(output).__name__}", "it takes a Tensor", "Pass the end of the calculation.")
        )
    if not isinstance(claims, Mapping) or not claims:
        raise ArgumentError(message("check got no claims", "it takes a mapping from names to numbers", 'Write {"O5": 0.69}.'))
    calc = calculation(output.node, variables=caller_variables(1))
    if any(find_quantity(name, calc, optimizer) is None for name in claims):
        name_layers(calc)  # a claim may be on a part that has no name of its own
    return _Grader(World(calc, optimizer), language).grade(claims)


@dataclass(frozen=True)
class _Claim:
    """A claim on a number, beside the true value. `wrong` is known when it has been graded."""

    quantity: Quantity
    written: Written
    true: Array
    wrong: bool = False

    @property
    def is_exact(self) -> bool:
        """Whether it is right as it stands, or with its digits cut off, though no 0 is what is left of digits."""
        found = self.written.agreeing(self.true) | (self.written.cutting(self.true) & ~self.written.zeros)
        return bool(np.all(found))

    @property
    def shows_cutting(self) -> bool:
        """Whether it is right only with its digits cut off, in any of its numbers but zeros."""
        given = self.written
        return bool(np.any(given.cutting(self.true) & ~given.agreeing(self.true) & ~given.zeros))

    @property
    def evidence(self) -> int:
        """Digits that are right: what shows that the calculation was done."""
        return self.written.digits * int(np.count_nonzero(self.written.value)) if self.is_exact else 0


class _Grader:
    """Grades claims one after another, remembering the earlier ones."""

    def __init__(self, world: World, language: Language) -> None:
        self.world, self.language = world, language
        self.earlier: list[_Claim] = []
        self.sheet: list[_Claim] = []
        self._others: list[tuple[Quantity, float]] | None = None

    def grade(self, claims: Mapping[str, Any]) -> Grading:
        numbers = {name: written(given) for name, given in claims.items()}
        unit = finest_unit(w for w in numbers.values() if w is not None)
        quantities = {name: find_quantity(name, self.world.calc, self.world.optimizer) for name in claims}
        todo: dict[str, _Claim] = {}
        for name, number_given in numbers.items():
            quantity = quantities[name]
            if number_given is not None and quantity is not None:
                todo[name] = self._with_zeros(_Claim(quantity, number_given, self.world.value(quantity)), unit)
        self.sheet = list(todo.values())
        found = {}
        for name, given in claims.items():
            number_given = numbers[name]
            if name in todo:
                found[name] = self._number(todo[name])
            elif number_given is None:
                claim = FormulaClaim(name, quantities[name], str(given))
                found[name] = grade_formula(self.world, claim, slips_of, self.language)
            else:
                found[name] = self._unknown(name, number_given)
        return Grading(found)

    def _with_zeros(self, claim: _Claim, unit: float) -> _Claim:
        """A 0 is rounded as the rest of the sheet is; what float64 leaves of a difference that is 0 on paper is 0."""
        given = claim.written.with_zeros_to(unit)
        if given.value.shape == claim.true.shape and np.any(given.zeros):
            noisy = noise(self.world, claim.quantity, given.zeros & ~given.agreeing(claim.true))
            given = claim.written.with_zeros_to(np.maximum(unit, 2.0 * noisy))
        return replace(claim, written=given)

    # ---------------------------------------------------------------------------------------- verdicts
    def _number(self, claim: _Claim) -> Finding:
        finding = self._graded(claim)
        if claim.written.value.shape == claim.true.shape:
            self.earlier.append(replace(claim, wrong=finding.verdict not in ("right", "rounded")))
        return finding

    def _graded(self, claim: _Claim) -> Finding:
        kink = next(((name, v) for name, v in at_kinks(self.world, claim.quantity) if not np.allclose(v, claim.true)), None)
        if claim.written.agrees(claim.true) or (kink and self._agrees_at_kinks(claim)):
            found = self._found("right", "right", claim)
            return found if kink is None else self._with_convention(found, claim, kink[0])
        given, true = claim.written, claim.true
        if np.all(given.cutting(true)) and true.shape == given.value.shape and (claim.is_exact or self._cuts_digits_off):
            return self._found("rounded", "rounded-last", claim)
        share = self._share_of_rounding(claim)
        if share <= _UNDOUBTED:
            return self._found("rounded", "rounded", claim)
        causes = self._causes(claim)
        if causes:
            said = ", ".join(f"{c.quantity.symbol.text} = {c.written.text}" for c in causes)
            return self._found("follow-on", "follow-on", claim, causes=said)
        diagnosed = self._diagnosed(claim.quantity, given, true)
        # Near the limit of what rounding can do, a slip that changes little and gives this very number is the likelier reason.
        if share <= 1.0 and not (diagnosed.kind in _SUBTLE and claim.written.digits > _SHARP):
            return self._found("rounded", "rounded", claim)
        return diagnosed

    def _agrees_at_kinks(self, claim: _Claim) -> bool:
        return any(claim.written.agrees(value) for _, value in at_kinks(self.world, claim.quantity))

    def _with_convention(self, finding: Finding, claim: _Claim, function: str) -> Finding:
        true = shown(claim.true, max(7, claim.written.digits + 1))
        note = phrase("graded-at-kink", self.language, function=function, true=true)
        return replace(finding, message=f"{finding.message} {note}")

    def _found(self, verdict: Verdict, wording: str, claim: _Claim, **words: str) -> Finding:
        said = self._say(wording, claim.quantity, claim.written, claim.true, **words)
        return Finding(verdict, None, claim.written.text, claim.true, said)

    @property
    def _cuts_digits_off(self) -> bool:
        """Whether a number of the sheet shows that its writer cuts digits off: else a 0 is not what is left of digits."""
        return any(c.shows_cutting for c in self.sheet)

    def _causes(self, claim: _Claim) -> list[_Claim]:
        """The earlier wrong numbers from which this one follows; none if it does not.

        A 0 follows from nothing: whatever is multiplied by an earlier 0 is 0, so it shows no calculation.
        """
        before = [c for c in self.earlier if c.quantity != claim.quantity]
        wrong = [c for c in before if c.wrong]
        # One of several wrong numbers: with few digits something would fit by chance.
        single = [[c] for c in wrong] if claim.written.digits >= _SHARP else []
        for chosen in (before, wrong, *single) if wrong and claim.written.digits else ():
            if claim.written.agrees(self._from(chosen, claim.quantity)):
                value = self._from(chosen, claim.quantity)
                causes = [
                    c for c in chosen
                    if c.wrong and not np.array_equal(self._from([o for o in chosen if o is not c], claim.quantity), value)
                ]  # fmt: skip
                if causes:
                    return causes
        return []

    def _from(self, chosen: Sequence[_Claim], quantity: Quantity) -> Array:
        """What a quantity would be if these numbers were right; not a number where it does not exist then."""
        there = self.world.with_values({c.quantity: c.written.value for c in chosen})
        try:
            return there.value(there.here(quantity, self.world))
        except ChainruleError:
            return np.asarray(np.nan)

    # ---------------------------------------------------------------------------------------- rounding
    def _share_of_rounding(self, claim: _Claim) -> float:
        """The difference, measured by what rounding carried forward can explain at most; infinite if it explains nothing."""
        given, true = claim.written, claim.true
        if true.shape != given.value.shape or not np.isfinite(true).all() or true.size > _MOST_ELEMENTS:
            return np.inf
        precision, supported = self._precision(claim), self._is_supported(claim)
        kept = {c.quantity: c.written.value for c in self.earlier if not c.wrong and c.quantity != claim.quantity}
        found = carried(self.world, claim.quantity, kept, precision)
        if found is None:
            return np.inf
        value, bound = found
        follows = given.agreeing(value) | (given.cutting(value) if precision.cuts_off else False)
        difference = np.abs(given.value - true)
        # Never a difference of the size of the value itself, but for values below the last digit of the sheet. No digit of
        # a 0 shows that it is what rounding left.
        limit = 0.5 * np.abs(true) + np.where(
            supported | (follows & self._is_begun(claim)), np.minimum(given.unit, precision.unit), 0.0
        )
        beyond = (given.zeros | (difference > limit)) & ~given.agreeing(true)
        if np.any(beyond) and not (supported and self._cancels(claim, precision, beyond)):
            return np.inf
        share = 0.0 if np.all(follows | beyond) else self._share(claim, value, bound, precision, supported=supported)
        if supported and share <= 1.0:
            return 0.0  # the rest of the sheet speaks for it
        # Whoever keeps more digits than are written rounds a value near ½ up or down.
        near = bool(np.all(difference <= _HARDLY_MORE * given.unit))
        return 0.0 if near and given.digits else share

    def _precision(self, claim: _Claim) -> Precision:
        """What is kept of intermediate results, as this number and the right ones of the sheet show it."""
        right = [c for c in self.earlier if not c.wrong and c.quantity != claim.quantity]
        right += [c for c in self.sheet if c is not claim and c.is_exact and np.all(c.written.unit > 0.0)]
        # Trailing zeros may have been lost: the number with the most digits and the finest unit tell.
        numbers = [claim.written, *(c.written for c in right)]
        return Precision(max(w.digits for w in numbers), finest_unit(numbers), self._cuts_digits_off)

    def _is_supported(self, claim: _Claim) -> bool:
        """Whether the rest of the sheet shows, in numbers of enough digits, that the calculation was done."""
        return self._is_begun(claim) and self._precision(claim).digits >= _SHARP

    def _is_begun(self, claim: _Claim) -> bool:
        """Whether the rest of the sheet has enough digits that are right, in numbers however coarse."""
        return sum(c.evidence for c in self.sheet if c is not claim) >= _SHARP

    def _cancels(self, claim: _Claim, precision: Precision, where: Array) -> bool:
        """Whether a number is what rounding leaves of terms that cancel: as large as the true value, which is lost in it."""
        found = carried(self.world, claim.quantity, {}, precision)
        lost = np.maximum(np.abs(claim.true), np.abs(claim.written.value - claim.true))
        return found is not None and bool(np.all(lost[where] <= found[1][where]))

    def _share(self, claim: _Claim, value: Array, bound: Array, precision: Precision, *, supported: bool) -> float:
        given = claim.written
        # Cutting the last digits off makes a number smaller, never larger.
        last = np.where(np.abs(given.value) <= np.abs(value), precision.share, 0.5)
        bound = np.maximum(bound, last * given.unit)
        size = np.maximum(np.abs(claim.true), given.unit)
        # Where nothing else shows that the calculation was done, a number is not right within a range that is wider than one
        # unit in its last digit: no more numbers fit by chance than its digits let expect.
        by_chance = float(np.prod(np.minimum(1.0, bound / size)))
        if not supported and by_chance > np.min(given.unit / size):
            bound = np.minimum(bound, given.unit if given.digits >= _SHARP else 0.5 * given.unit)
        if not np.all(np.isfinite(bound) & (bound > 0.0)):
            return np.inf
        return float(np.max(np.abs(given.value - value) / bound, where=~given.zeros, initial=0.0))

    # ---------------------------------------------------------------------------------------- diagnosis
    def _diagnosed(self, quantity: Quantity, given: Written, true: Array) -> Finding:
        found: Slip | None = None
        if given.digits and true.size == 1 == given.value.size:
            found = self._slip(_as_number(quantity), given.as_number(), true.item())
        elif given.digits:  # a 0 shows no slip
            found = self._array_slip(quantity, given, true)
        if found is None:
            return Finding("wrong", "unexplained", given.text, true, self._say("unexplained", quantity, given, true))
        reason = phrase(found.phrase, self.language, **dict(found.words))
        return Finding("wrong", found.kind, given.text, true, f"{self._say('wrong', quantity, given, true)} {reason}")

    def _slip(self, quantity: Quantity, given: Written, true: float) -> Slip | None:
        """The likeliest slip that gives the number: a factor or sign before another quantity, that before all others."""
        matching = [s for s in slips_of(self.world, quantity) if _fits(given, s.value)]
        found = likeliest(matching, self._other_quantity(quantity, given, true, alike=True), quantity)
        # With one or two digits many numbers agree by chance: no quantity of another kind counts.
        if found is None and given.digits >= _SHARP:
            found = self._other_quantity(quantity, given, true)
        return self._slip_and_rounding(quantity, given) if found is None else found

    def _slip_and_rounding(self, quantity: Quantity, given: Written) -> Slip | None:
        """The first slip that gives the number in a calculation that goes on with earlier results as they were written."""
        kept = {c.quantity: c.written.value for c in self.earlier if not c.wrong and c.quantity != quantity}
        there = self.world.with_values(kept)
        try:
            slips = list(slips_of(there, there.here(quantity, self.world))) if kept else []
        except ChainruleError:
            return None
        return next((s for s in slips if _fits(given, s.value)), None)

    def _other_quantity(
        self, quantity: Quantity | None, given: Written, true: float | None, *, alike: bool = False
    ) -> Slip | None:
        """Another quantity of the calculation (of the same kind, if it must be `alike`) with this value, the nearest to it."""
        matches = [
            (abs(value - float(given.value)), q, value)
            for q, value in self._named_values()
            if _fits(given, value) and (quantity is None or (q.place, q.kind) != (quantity.place, quantity.kind))
            and (true is None or not np.isclose(value, true, rtol=1e-9, atol=0.0))
        ]  # fmt: skip
        if alike and quantity is not None:
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
            found = all_quantities(self.world)
            self._others = [(q, float(self.world.value(q))) for q in found]
        return self._others

    def _array_slip(self, quantity: Quantity, given: Written, true: Array) -> Slip | None:
        matching = [s for s in slips_of(self.world, quantity) if _fits(given, s.value)] if true.size > 1 else []
        found = likeliest(matching, self._other_array(quantity, given), quantity)
        if found is None and given.value.shape != true.shape:
            turned = given.value.ndim > 1 and given.value.shape == true.shape[::-1]
            shapes = {"given": _shape(given.value, self.language), "right": _shape(true, self.language)}
            return slip("transposed" if turned else "unexplained", "slip-shape", true, **shapes)
        return found

    def _other_array(self, quantity: Quantity, given: Written) -> Slip | None:
        """Another array of the calculation with these values."""
        for other in all_arrays(self.world):
            if (other.place, other.kind) != (quantity.place, quantity.kind) and _fits(given, self.world.value(other)):
                return slip("equals-other-quantity", "slip-other-formula", given.value, other=other.symbol.text)
        return None

    def _unknown(self, name: str, given: Written) -> Finding:
        """A name that stands for nothing here; perhaps its number is that of something else."""
        other = self._other_quantity(None, given.as_number(), None) if given.value.size == 1 else None
        said = [phrase("verdict-unknown", self.language, name=name)]
        if other is not None:
            said.append(phrase("slip-unknown-is", self.language, given=given.text, **dict(other.words)))
        said.append(not_graded(self.world, self.language))
        return Finding("not-graded", None if other is None else other.kind, given.text, None, " ".join(said))

    def _say(self, verdict: str, quantity: Quantity, given: Written, true: Array, **words: str) -> str:
        # With one digit more than was written, the difference shows.
        words |= {"symbol": quantity.symbol.text, "given": given.text, "true": shown(true, max(7, given.digits + 1))}
        return phrase(f"verdict-{verdict}", self.language, **words)


def _shape(value: Array, language: Language) -> str:
    return "×".join(map(str, value.shape)) or phrase("shape-of-number", language)


def _as_number(quantity: Quantity) -> Quantity:
    """The only element of an array of one."""
    place = quantity.place
    return replace(quantity, place=Place(place.node, place.index or (0,) * place.node.ndim or None))


def _fits(given: Written, value: Any) -> bool:
    """Whether a slip gives a number. One digit fits by chance: it has to be the very number."""
    return given.agrees(value) and (given.digits > 1 or bool(np.allclose(given.value, value, rtol=1e-9, atol=0.0)))


def slips_of(world: World, quantity: Quantity) -> Iterator[Slip]:
    """Every slip that can happen to a quantity, the likely ones first; none if the calculation is too large to take apart."""
    if quantity.place.index is None and quantity.place.node.size > 1:
        yield from array_slips(world, quantity, slips_of)
    elif quantity.kind in ("updated", "moment"):
        yield from update_slips(world, quantity)
    elif quantity.kind == "gradient":
        try:
            slips = GradientSlips(world, quantity)
        except ArgumentError:
            return
        yield from slips.all()
    elif quantity.kind == "value":
        yield from forward_slips(world, quantity)
    elif quantity.kind == "after":
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
