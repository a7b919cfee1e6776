"""`check`: a hand calculation graded, with the slip that explains each wrong number."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import numpy as np

from chainrule import checks
from chainrule.derivations.arguments import check_optimizer
from chainrule.derivations.calculations import calculation, caller_variables
from chainrule.derivations.matrix import name_layers
from chainrule.derivations.symbols import symbol
from chainrule.errors import ArgumentError, ChainruleError
from chainrule.grading.explaining import Explainer, slips_of
from chainrule.grading.formula_claims import FormulaClaim, grade_formula, not_graded
from chainrule.grading.kinks import at_kinks
from chainrule.grading.printed import as_given, shown
from chainrule.grading.quantities import Quantity, World, find_quantity
from chainrule.grading.result import Finding, Grading, Verdict
from chainrule.grading.rounding import Precision, carried, noise
from chainrule.grading.slip import NAMED, POSSIBLE, slip, without_path
from chainrule.grading.words import phrase
from chainrule.grading.written import NotFinite, Written, finest_unit, written
from chainrule.ir import Array
from chainrule.language import Language, index_of
from chainrule.tensors import Tensor

_MOST_ELEMENTS = 16  # of an array in which rounding is followed
_UNDOUBTED = 0.4  # of the largest rounding error: what a right calculation hardly ever exceeds
_SUBTLE = ("stale-weight", "derivative-at-output")
_SHARP = 3  # significant digits from which a coincidence of numbers is no accident
_TINY = 1e-6  # beside the largest value of a calculation: what may be rounding, in float32 too
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
        A `Grading`, from claim to `Finding`. Not graded are a name that is not in the calculation, a claim that is neither a
        number nor a formula, and a formula that cannot be read.

    Raises:
        ArgumentError: no claims, no Tensor, no optimiser, or a name that is no text.
    """
    index_of(language)
    checks.kind(output, Tensor, "check got {}", "it takes a Tensor", "Pass the last Tensor of the calculation.")
    check_optimizer(optimizer, "check")
    if not isinstance(claims, Mapping) or not claims:
        raise ArgumentError("check got no claims", "it takes a mapping from names to numbers", 'Write {"O5": 0.69}.')
    nameless = next((name for name in claims if not isinstance(name, str)), None)
    if nameless is not None:
        given = f"check got a claim on {nameless!r}"
        raise ArgumentError(given, "names are text", 'Write {"O5": 0.69}.')
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
        self.explainer = Explainer(world)
        values = [np.abs(n.value) for n in world.calc.nodes if n.value is not None and n.dtype.kind == "f" and n.size]
        self._largest = max((float(np.max(v, where=np.isfinite(v), initial=0.0)) for v in values), default=0.0)

    def grade(self, claims: Mapping[str, Any]) -> Grading:
        quantities = {name: find_quantity(name, self.world.calc, self.world.optimizer) for name in claims}
        numbers: dict[str, Written | None] = {}
        todo: dict[str, _Claim] = {}
        refused: dict[str, Finding] = {}
        for name, quantity in quantities.items():
            try:
                numbers[name] = number_given = written(claims[name])
                if number_given is not None and quantity is not None:
                    todo[name] = self._without_noise(_Claim(quantity, number_given, self.world.value(quantity)))
                    numbers[name] = todo[name].written
            except ChainruleError as error:
                numbers[name] = None
                refused[name] = self._refused(name, quantity, claims[name], error)
        unit = finest_unit(w for w in numbers.values() if w is not None)
        todo = {name: self._with_zeros(claim, unit) for name, claim in todo.items()}
        self.sheet = list(todo.values())
        found = {}
        for name, given in claims.items():
            number_given = numbers[name]
            if name in refused:
                found[name] = refused[name]
            elif name in todo:
                found[name] = self._number(todo[name])
            elif number_given is None:
                claim = FormulaClaim(name, quantities[name], str(given).strip())
                found[name] = grade_formula(self.world, claim, slips_of, self.language)
            else:
                found[name] = self._unknown(name, number_given)
        return Grading(found)

    def _without_noise(self, claim: _Claim) -> _Claim:
        """What float64 leaves of a difference that is 0 on paper is 0, where it is claimed to be that."""
        given, true = claim.written, claim.true
        if given.value.shape != true.shape:
            return claim
        noisy = self._is_noise(claim.quantity, given.value)
        return replace(claim, written=given.without(noisy & ((true == 0.0) | self._is_noise(claim.quantity, true))))

    def _with_zeros(self, claim: _Claim, unit: float) -> _Claim:
        """A 0 is rounded as the rest of the sheet is; it is right for what float64 leaves of terms that cancel on paper."""
        given, noisy = claim.written, np.zeros(())
        if given.value.shape == claim.true.shape:
            noisy = noise(self.world, claim.quantity, given.zeros & ~given.with_zeros_to(unit).agreeing(claim.true))
        return replace(claim, written=given.with_zeros_to(np.maximum(unit, 2.0 * noisy)))

    def _is_noise(self, quantity: Quantity, value: Array) -> Array:
        """Which numbers are so small beside the terms that a quantity is made of that float64 cannot tell them from 0."""
        tiny = (value != 0.0) & (np.abs(value) <= _TINY * self._largest)
        return np.asarray(tiny & (np.abs(value) <= 2.0 * noise(self.world, quantity, tiny)))

    def _refused(self, name: str, quantity: Quantity | None, given: Any, error: ChainruleError) -> Finding:
        """A claim that cannot be compared: wrong if it is no finite number while the true value is; else not graded."""
        text = _as_text(given)
        if isinstance(error, NotFinite) and quantity is not None:
            with suppress(ChainruleError):
                true = self.world.value(quantity)
                if np.all(np.isfinite(true)):
                    words = {"symbol": quantity.symbol.text, "given": text, "true": shown(true, 7)}
                    reason = phrase("slip-not-finite", self.language)
                    said = phrase("verdict-wrong", self.language, reason=reason, **words)
                    return Finding("wrong", "unexplained", text, true, said)
        said = phrase("verdict-refused", self.language, name=symbol(name).text, reason=str(error))
        return Finding("not-graded", None, text, None, said)

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
            said = ", ".join(f"{c.quantity.symbol.text} = {as_given(c.written)}" for c in causes)
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
        kept = {c.quantity: c.written.value for c in self.earlier if not c.wrong and c.quantity != quantity}
        pathless = without_path(quantity)
        if pathless is not None:
            found, chance = pathless, 0.0
        elif _has_other_shape_alone(given, true):
            found, chance = None, 1.0
        else:
            found, chance = (self.explainer.slip(quantity, given, kept) if given.digits else None) or (None, 1.0)
        if found is None and given.value.shape != true.shape:
            turned = given.value.ndim > 1 and given.value.shape == true.shape[::-1]
            shapes = {"given": _shape(given.value, self.language), "right": _shape(true, self.language)}
            found, chance = slip("transposed" if turned else "unexplained", "slip-shape", true, **shapes), 0.0
        kind = found.kind if found is not None and chance <= NAMED else "unexplained"
        wording = "unexplained" if found is None or chance > POSSIBLE else "wrong" if chance <= NAMED else "possible"
        reason = "" if found is None else found.said(self.language)
        return Finding("wrong", kind, given.text, true, self._say(wording, quantity, given, true, reason=reason))

    def _unknown(self, name: str, given: Written) -> Finding:
        """A name that stands for nothing here; perhaps its number is that of something else."""
        is_number = given.value.size == 1 and given.digits > 0
        other, chance = (self.explainer.other(given.as_number()) if is_number else None) or (None, 1.0)
        said = [phrase("verdict-unknown", self.language, name=name)]
        if other is not None and chance <= NAMED:
            said.append(phrase("slip-unknown-is", self.language, given=as_given(given), **dict(other.words)))
        said.append(not_graded(self.world, self.language))
        kind = other.kind if other is not None and chance <= NAMED else None
        return Finding("not-graded", kind, given.text, None, " ".join(said))

    def _say(self, verdict: str, quantity: Quantity, given: Written, true: Array, **words: str) -> str:
        # With one digit more than was written, the difference shows.
        true = np.where(self._is_noise(quantity, true), 0.0, true)
        words |= {"symbol": quantity.symbol.text, "given": as_given(given), "true": shown(true, max(7, given.digits + 1))}
        return phrase(f"verdict-{verdict}", self.language, **words)


def _has_other_shape_alone(given: Written, true: Array) -> bool:
    """Whether the numbers are right, though not their shape: [0.69] for 0.69."""
    if given.value.shape == true.shape or given.value.size != true.size:
        return False
    numbers = given.shaped(true.shape)
    return numbers.agrees(true) or bool(np.all(numbers.cutting(true)))


def _as_text(given: Any) -> str:
    if isinstance(given, str | float | np.floating | Decimal):
        return str(given)
    try:
        return reprlib.repr(given)
    except ValueError:  # an integer of more digits than Python writes
        return type(given).__name__


def _shape(value: Array, language: Language) -> str:
    return "×".join(map(str, value.shape)) or phrase("shape-of-number", language)
