"""What a written number claims, how it may be named, and that wrong numbers are not accepted."""

from __future__ import annotations

import json
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bench.grading import measure_false, measure_right

import chainrule as cr
from chainrule import optim
from chainrule.derivations import expression
from chainrule.errors import ArgumentError
from chainrule.grading import check, read_homework
from chainrule.grading.homework import TEMPLATE
from chainrule.grading.result import Grading
from chainrule.grading.written import written
from chainrule.language import LANGUAGES
from chainrule.tensors import Tensor
from worked_network import FORWARD, worked_network

ACCEPTED = ("right", "rounded")


LAYERED = "z = W @ x; h = tanh(z); y = V @ h; E = 0.5*sum((y - t)**2)"


def line() -> Tensor:
    """y = 6.2, E = 1.44, dE/dy = 2.4, dE/dw = 7.44."""
    return expression("y = w*x; E = (y - t)**2", w=2.0, x=3.1, t=5.0)


def verdicts(grading: Grading) -> list[str]:
    return [f.verdict for f in grading.values()]


# -------------------------------------------------------------------------------------------- digits
@pytest.mark.parametrize(
    ("given", "unit"),
    [
        ("2", 1.0), ("2.0", 0.1), ("+2.0", 0.1), ("−5.0", 0.1), ("2.00", 0.01), ("110", 1.0), ("1e2", 100.0), ("1e-3", 1e-3),
        ("2.50e-3", 1e-5), ("2.5×10⁻³", 1e-4), ("1 × 10^-8", 1e-8), ("1_000.5", 0.1), (2, 1.0), (2.0, 0.1), (1e-05, 1e-5),
        (np.float64(0.25), 0.01), (np.float32(0.69), 0.01), (np.int64(7), 1.0), (Decimal("2.40"), 0.01), ("1/3", 0.0),
        (Fraction(2, 3), 0.0), (np.array(0.5), 0.1),
    ],
)  # fmt: skip
def test_a_number_claims_its_last_written_digit(given: Any, unit: float) -> None:
    found = written(given)
    assert found is not None
    assert float(found.unit) == pytest.approx(unit)
    half = 0.5 * unit
    assert found.agrees(found.value + 0.99 * half)
    assert not found.agrees(found.value + 1.01 * half + 1e-9)


def test_float32_claims_no_more_than_it_can_tell() -> None:
    true = 1 / 3
    assert all(written(v).agrees(true) for v in (np.float32(true), np.asarray(true, np.float32), np.float16(true)))  # type: ignore[union-attr]
    assert not written(float(np.float32(true))).agrees(true)  # type: ignore[union-attr]


@pytest.mark.parametrize("given", [["2.40", "0.50"], np.array(["2.40", "0.50"]), (Decimal("2.40"), "0.50")])
def test_every_element_keeps_its_digits(given: Any) -> None:
    found = written(given)
    assert found is not None
    np.testing.assert_allclose(found.unit, 0.01)


@pytest.mark.parametrize("given", ["1e999", 10**400, 10**5000, Decimal("inf"), "nan", np.float32("inf")], ids=list("abcdef"))
def test_numbers_that_are_not_finite_are_refused(given: Any) -> None:
    with pytest.raises(ArgumentError, match="a claim is a finite number"):
        written(given)


CLAIMS = {"y": "6.0", "E": "1.0", "dE/dy": "2.0", "dE/dw": "7.0"}
RIGHT = {"y": "6.2", "E": "1.4", "dE/dy": "2.40", "dE/dw": "7.44"}


@pytest.mark.parametrize("name", CLAIMS)
@pytest.mark.parametrize("kind", [str, float, Decimal, np.float64, np.float32])
def test_a_zero_that_was_written_counts(name: str, kind: Any) -> None:
    assert check(line(), {name: kind(CLAIMS[name])})[name].verdict == "wrong"
    assert check(line(), {name: kind(RIGHT[name])})[name].verdict == "right"
    assert check(line(), {name: round(float(RIGHT[name]))})[name].verdict == "right"  # without decimals


@pytest.mark.parametrize("suffix", [".toml", ".json"])
def test_files_keep_the_digits(tmp_path: Path, suffix: str) -> None:
    def grading(claims: dict[str, str]) -> Grading:
        file = tmp_path / f"homework{suffix}"
        if suffix == ".json":
            numbers = ", ".join(f"{json.dumps(name)}: {text}" for name, text in claims.items())
            given = '{"formula": "y = w*x; E = (y - t)**2", "given": {"w": 2, "x": 3.1, "t": 5}, "claims": {%s}}'
            file.write_text(given % numbers, encoding="utf-8")
        else:
            numbers = "\n".join(f'"{name}" = {text}' for name, text in claims.items())
            given = 'formula = "y = w*x; E = (y - t)**2"\n[given]\nw = 2\nx = 3.1\nt = 5\n[claims]\n'
            file.write_text(given + numbers, encoding="utf-8")
        return read_homework(file).grade()

    assert not set(verdicts(grading(CLAIMS))) & set(ACCEPTED)
    assert set(verdicts(grading(RIGHT))) == {"right"}
    assert grading({"dE/dy": "2.400", "y": "6.20", "dE/dw": "7.440e0"}).correct
    assert not grading({"y": "6.20", "E": "1.440", "dE/dw": "7.45"}).correct


@pytest.mark.parametrize(
    ("text", "message"), [("[1]", "holds [1]"), ("{", "must be JSON"), ('{"claims": {"y": 1}}', "no 'given'")]
)
def test_broken_json(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "homework.json"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ArgumentError) as caught:
        read_homework(file)
    assert message in str(caught.value)


def test_a_fraction_is_exact() -> None:
    output = expression("y = x/3", x=2.0)
    assert check(output, {"y": "2/3"}).correct
    assert check(output, {"y": Fraction(2, 3), "dy/dx": "1/3"}).correct
    assert not check(output, {"y": "667/1000"}).correct
    assert check(output, {"y": "2*sqrt(1)/3"}).correct  # without a name: a number


# -------------------------------------------------------------------------------------------- zeros
ZEROS = ["0", "-0", "0.0", "0.000", "0.000000", "0e0", "0/7", 0, 0.0, -0.0, Decimal("0.00")]


@pytest.mark.parametrize("zero", ZEROS, ids=lambda z: f"{type(z).__name__} {z}")
def test_a_sheet_of_zeros_is_wrong(zero: Any) -> None:
    output, optimizer = worked_network()
    names = ["O3", "x5", "E", "dE/dx5", "dE/dw35", "dE/dw13", "w13'"]
    assert set(verdicts(check(output, dict.fromkeys(names, zero), optimizer=optimizer))) == {"wrong"}
    assert {check(output, {name: zero}, optimizer=optimizer)[name].verdict for name in names} == {"wrong"}


def test_a_sheet_of_arrays_of_zeros_is_wrong() -> None:
    output = expression(
        "z = W@x; a = sigmoid(z); E = 0.5*sum((a - t)**2)", W=[[0.1, 0.2], [0.3, 0.4]], x=[1.0, 2.0], t=[0.0, 1.0]
    )
    claims = {"a": [0, 0], "dE/dz": np.zeros(2), "dE/dW": [[0, 0], ["0.000", 0.0]]}
    assert set(verdicts(check(output, claims))) == {"wrong"}


def test_the_template_with_zeros_fails(tmp_path: Path) -> None:
    claims = TEMPLATE[TEMPLATE.index("[claims]") :].splitlines()[1:]
    for zero in ("0", "0.0", "0.000000"):
        file = tmp_path / "zeros.toml"
        lines = "\n".join(f"{line.split('=')[0]} = {zero}" for line in claims)
        file.write_text(TEMPLATE[: TEMPLATE.index("[claims]")] + "[claims]\n" + lines, encoding="utf-8")
        assert set(verdicts(read_homework(file).grade())) == {"wrong"}


def test_a_zero_is_rounded_as_the_rest_of_the_sheet() -> None:
    """∂E/∂w₁₃ = 0.00093 is 0 in three decimals no more than in four; in two it is."""
    output, _ = worked_network()
    for beside, right in (("0.68", True), ("0.680", False), ("0.6803", False)):
        for zero in (0, "0", "0.0"):
            assert (check(output, {"O3": beside, "dE/dw13": zero})["dE/dw13"].verdict == "right") == right, (beside, zero)
    assert not check(output, {"O3": "0.68", "dE/dw13": "0.000"}).correct  # its own zeros count as well


def test_zeros_that_are_right() -> None:
    output = expression("a = relu(W @ x); E = sum(a)", W=[[1.0, -1.0], [0.5, 0.5]], x=[1.0, 2.0])
    claims = {"a": [0, 1.5], "E": "1.5", "dE/dW": [[0, 0], [1, 2]], "dE/dW[0, 0]": 0, "a[0]": "0.00"}
    assert set(verdicts(check(output, claims))) == {"right"}
    assert check(output, {"a[0]": 0}).correct
    almost = expression("y = 0.1*x + 0.2 - 0.3*x", x=1.0)  # 2.8e-17 in float64
    assert check(almost, {"y": 0}).correct


def test_a_zero_of_numbers_that_are_cut_off() -> None:
    output = expression("y = 0.00017*x; z = 0.00006*x; E = y + z", x=1.0)
    assert verdicts(check(output, {"y": "0.0001", "z": "0.0000"})) == ["rounded", "rounded"]
    assert verdicts(check(output, {"y": "0.0002", "z": "0.0000"})) == ["right", "wrong"]


def test_a_zero_that_is_left_of_terms_that_cancel() -> None:
    """0.6503 - 0.65 is 0 where every number is rounded to three digits; 0.00065 is no such difference."""
    output = expression("a = 0.65032*x; d = a - 0.65; s = 0.001*a; E = d + s", x=1.0)
    sheet = {"a": "0.650", "d": "0.000", "s": "0.000650"}
    assert verdicts(check(output, sheet)) == ["right", "rounded", "right"]
    assert verdicts(check(output, sheet | {"s": "0.000"})) == ["right", "right", "wrong"]
    assert verdicts(check(output, {"d": "0.000", "a": "0.65032"})) == ["wrong", "right"]


@pytest.mark.parametrize(("p", "q", "left"), [(0.6004, 0.5998, "0.000"), (0.60051, 0.6001, "0.00100")])
def test_what_is_left_where_terms_cancel_is_rounding(p: float, q: float, left: str) -> None:
    """Rounded to three digits, the difference is as large as its error, and the rest of the sheet shows that."""
    output = expression("p = a*x; q = b*x; d = p - q; s = 0.00123*x; E = d + s", a=p, b=q, x=1.0)
    sheet = {"d": left, "p": f"{p:.3f}", "q": f"{q:.3f}", "s": "0.00123"}
    assert verdicts(check(output, sheet)) == ["rounded", "right", "right", "right"]
    assert check(output, {"d": left})["d"].verdict == "wrong"
    assert check(output, sheet | {"d": "0.00200"})["d"].verdict == "wrong"


def test_a_zero_is_compared_with_the_terms_it_is_made_of() -> None:
    """How large other numbers of the calculation are does not matter."""
    output = expression("rate = cases / population; E = (rate - t)**2", cases=2000.0, population=1e9, t=1e-6)
    assert set(verdicts(check(output, dict.fromkeys(["rate", "E", "dE/drate", "dE/dcases"], 0)))) == {"wrong"}
    assert verdicts(check(expression("y = w*x; E = y**2", w=3e8, x=2e7), {"y": "0e17"})) == ["wrong"]
    assert verdicts(check(output, {"E": "0*t", "dE/dcases": "0*cases"})) == ["wrong", "wrong"]
    cancelling = expression("y = a - b; E = y*c", a=0.1 + 0.2, b=0.3, c=1e9)  # y is 5.6e-17
    assert check(cancelling, {"y": 0, "E": 0}).correct


def test_a_zero_inside_an_array_is_a_zero() -> None:
    output = expression("y = W@x", W=[[0.97, 0.0], [0.0, 1.0]], x=[1.0, 2.0])
    for claim in ([0, 2], ["0", "2.0"], ["0.0", "2.00"]):
        assert verdicts(check(output, {"y": claim})) == ["wrong"]
    assert verdicts(check(output, {"y": ["0.9", "2.0"]})) == ["rounded"]
    assert verdicts(check(expression("y = a*x", a=[0.00017, 0.00006], x=1.0), {"y": ["0.0001", "0.0000"]})) == ["rounded"]


# -------------------------------------------------------------------------------------------- rounding and what follows
def test_rounding_never_explains_a_difference_of_the_size_of_the_value() -> None:
    """O₅ = 1 is right to no decimals, and 0 is what then comes out for ∂E/∂x₅ = 0.0407."""
    output, _ = worked_network()
    assert verdicts(check(output, {"O5": "1", "dE/dx5": "0.000", "E": "0.125"})) == ["right", "wrong", "wrong"]


@pytest.mark.parametrize("claim", [{"O5": "1e2"}, {"x3": "1e3"}, {"dE/dx5": "1e6"}, {"E": "1"}, {"dE/dx5": "0.1"}])
@pytest.mark.parametrize("beside", [{}, {"O3": "0.680267", "O4": "0.663739"}], ids=["alone", "in a sheet"])
def test_a_coarse_number_is_right_only_as_it_is_rounded(claim: dict[str, str], beside: dict[str, str]) -> None:
    """How large the unit of its last digit is excuses no difference."""
    assert check(worked_network()[0], beside | claim)[next(iter(claim))].verdict == "wrong"


@pytest.mark.parametrize("number", ["1", "0.1", "0.01"])
def test_a_sheet_of_one_number_is_right_only_where_it_is_rounded(number: str) -> None:
    names = ["x3", "O3", "x5", "O5", "E", "dE/dx5", "dE/dx3", "dE/dx4", "dE/dw35", "dE/dw45", "dE/dw23", "dE/dw24"]
    for finding in check(worked_network()[0], dict.fromkeys(names, number)).values():
        assert finding.true is not None
        is_near = abs(float(number) - finding.true) <= 0.5 * max(float(number), abs(finding.true))
        assert is_near or finding.verdict in ("wrong", "follow-on"), finding.message


def test_a_coarse_number_of_an_array_or_for_0() -> None:
    output = expression("y = a*x; E = sum(y)", a=[0.55, 1.21], x=[1.0, 1.0])
    assert verdicts(check(output, {"y": ["1e1", "1e1"]})) == ["wrong"]
    output = expression("y = a*b; E = y**2 + c", a=0.0, b=3.0, c=1.0)
    assert verdicts(check(output, {"dE/da": "1"})) == verdicts(check(output, {"dE/da": "1e3"})) == ["wrong"]


@pytest.mark.parametrize("decimals", [4, 5, 6])
def test_digits_that_are_cut_off_at_every_step(decimals: int) -> None:
    def cut(value: float) -> float:
        return np.floor(value * 10**decimals + 1e-9) / 10**decimals

    found = {"O3": cut(1 / (1 + np.exp(-0.755))), "O4": cut(1 / (1 + np.exp(-0.68)))}
    found["x5"] = cut(0.3 * found["O3"] + 0.9 * found["O4"])
    found["O5"] = cut(1 / (1 + np.exp(-found["x5"])))
    found["E"] = cut(0.5 * (found["O5"] - 0.5) ** 2)
    found["dE/dx5"] = cut((found["O5"] - 0.5) * found["O5"] * (1 - found["O5"]))
    found["dE/dw35"] = cut(found["dE/dx5"] * found["O3"])
    found["dE/dx3"] = cut(found["dE/dx5"] * 0.3 * found["O3"] * (1 - found["O3"]))
    found["dE/dw13"] = cut(found["dE/dx3"] * 0.35)
    grading = check(worked_network()[0], {name: f"{value:.{decimals}f}" for name, value in found.items()})
    assert grading.correct, str(grading)


def test_one_digit_names_no_slip_by_chance() -> None:
    """x₂ = 0.9 is 1 when it is rounded, as many numbers are."""
    found = check(worked_network()[0], {"O3": "0.680267", "E": "1"})["E"]
    assert (found.verdict, found.kind) == ("wrong", "unexplained")
    output = expression("y = x**2", x=2.0)
    found = check(output, {"dy/dx": "2"})["dy/dx"]
    assert (found.kind, "it may be chance" in found.message) == ("unexplained", True), found.message
    assert "The factor x is missing." in found.message
    assert check(output, {"dy/dx": "2.00"})["dy/dx"].kind == "missing-factor"
    assert check(output, {"dy/dx": "-4"})["dy/dx"].kind == "sign"  # its digit is the right one


# -------------------------------------------------------------------------------------------- slips and chance
def test_a_slip_is_named_where_a_coincidence_is_unlikely() -> None:
    """One of 90 numbers with two digits is 0.80, but many others of them are values of this calculation, too."""
    output, _ = worked_network()
    for language, words in (("en", "it may be chance"), ("zh", "可能是巧合")):
        for given, kind, other in (
            ("0.80", "unexplained", "w₂₃ = 0.8"),
            ("0.801445", "equals-other-quantity", "x₅ = 0.801445"),
        ):
            found = check(output, {"E": given}, language=language)["E"]
            assert (found.verdict, found.kind) == ("wrong", kind), found.message
            assert (words in found.message) == (kind == "unexplained"), found.message
            assert other in found.message
    assert check(output, {"E": "8e-1"})["E"].message.endswith("no single slip explains it.")
    assert check(output, {"dE/dx5": "-0.04"})["dE/dx5"].kind == "sign"


@pytest.mark.parametrize(
    ("given", "possibilities"), [("0.3", 9), ("0.30", 90), ("-12.5", 900), (["0.3", "12"], 9 * 90), (["0", "1.00"], 900)]
)
def test_how_many_numbers_there_are_with_as_many_digits(given: Any, possibilities: int) -> None:
    found = written(given)
    assert found is not None
    assert found.possibilities == possibilities
    assert found.beside(found.value + 0.4 * np.where(found.zeros, 0.0, found.unit)) == found.beside(found.value)
    assert found.beside(-found.value) is None
    assert found.beside(10.0 * found.value) is None


@pytest.mark.slow
@pytest.mark.fuzz
@pytest.mark.parametrize("sheet", [False, True])
def test_how_rarely_invented_numbers_are_named_as_slips(sheet: bool) -> None:
    found = measure_false(1600, seed=4, verbose=False, sheet=sheet)
    for row in found["digits"].values():
        assert row["named"] <= row["numbers"] / 20 + 5


# -------------------------------------------------------------------------------------------- rounding
def test_rounding_needs_a_sheet_that_shows_it() -> None:
    """A number alone is right to one unit in its last digit; the rest of a sheet explains more, by what it was written with."""
    output, _ = worked_network()
    assert check(output, {"dE/dx5": "0.0406"}).correct  # cut off
    assert not check(output, {"dE/dx5": "0.0409"}).correct
    before = {"O3": "0.680", "O4": "0.664", "x5": "0.802", "O5": "0.690", "dE/dO5": "0.190"}
    assert check(output, before | {"dE/dx5": "0.0407"}).correct
    assert check(output, before | {"dE/dx5": "0.0409"})["dE/dx5"].verdict == "wrong"  # 0.19 · 0.2139 is 0.0406


def test_what_follows_names_the_earlier_wrong_value() -> None:
    output, _ = worked_network()
    message = check(output, {"dE/dx5": "0.190283", "dE/dw35": "0.129443"})["dE/dw35"].message
    assert "follows correctly from an earlier wrong value (∂E/∂x₅ = 0.190283)" in message
    # Nothing follows from itself under another name, nor from a wrong value that has no say in it.
    assert verdicts(check(output, {"dE/dx5": "0.190283", "δ₅": "0.190283"})) == ["wrong", "wrong"]
    grading = check(output, {"O4": "0.5", "x3": "0.755", "O3": "0.5"})
    assert verdicts(grading) == ["wrong", "right", "wrong"]


def test_rounding_is_no_larger_than_what_it_rounds() -> None:
    """-ln 0.0000017 cannot be calculated from 0.00, and is not 0.00: to first order rounding would explain 3,000."""
    output = expression("s = softmax(z); E = -log(s[0])", z=[-5.2, 8.1])
    assert 13 < output.item() < 14
    sheet = {"s": ["0.00", "1.00"], "dE/dz": ["-1.00", "1.00"]}
    for given in ("0.00", "1.00", "26.60"):
        assert check(output, sheet | {"E": given})["E"].verdict == "wrong", given


def test_not_every_rounding_error_points_the_same_way() -> None:
    """One element is off by 14 units in its last digit, and the others are right in theirs."""
    v, t = np.array([[0.7, -1.2, 0.4], [1.1, 0.3, -0.8]]), np.array([0.2, -0.4])
    output = expression(LAYERED, W=[[0.2, -0.4], [0.7, 0.1], [0.5, 0.3]], V=v, x=[1.5, -1.0], t=t)
    right = {n: np.round(np.asarray(check(output, {n: "1"})[n].true), 3) for n in ("h", "y", "dE/dz", "dE/dW")}
    assert check(output, right).correct
    for index in np.ndindex(3, 2):
        wrong = right["dE/dW"].copy()
        wrong[index] += 0.014
        assert check(output, right | {"dE/dW": wrong})["dE/dW"].verdict == "wrong", index


# -------------------------------------------------------------------------------------------- float noise
def test_what_float64_leaves_is_not_shown() -> None:
    output = expression("d = a - b; y = d*c; E = sum(y)", a=[0.3, 0.1, 0.7], b=[0.3, 0.3 - 0.2, 0.2], c=[1.0, 2.0, 3.0])
    claims = {"d": [0, -1.2e-17, 0.5], "y": ["0", "2.8e-17", "1.50"], "E": 1.5, "dE/dc": [0, 0, 0.1 + 0.2]}
    for language in LANGUAGES:
        grading = check(output, claims, language=language)
        assert verdicts(grading) == ["right", "right", "right", "wrong"], str(grading)
        assert "d = [0, 0, 0.5]" in grading["d"].message
        assert "y = [0, 0, 1.50]" in grading["y"].message
        assert "[0, 0, 0.5]" in grading["dE/dc"].message
        assert "[0, 0, 0.3]" in grading["dE/dc"].message
    assert check(output, {"d[1]": "0.1", "y[1]": 0.1})["d[1]"].message.startswith("d[1] is 0, not 0.1")
    line = expression("y = w*x", w=0.1, x=3.0)
    assert check(line, {"y": 0.1 + 0.2})["y"].message == "y = 0.3 is right."
    assert check(line, {"y": "0.70000000000000007"})["y"].message.startswith("y is 0.3, not 0.7;")


def test_digits_that_were_written_are_no_noise() -> None:
    assert [written(t).digits for t in ("0.30000000000000004", "0.300000000000000000", "0.333333333333333333")] == [1, 18, 15]  # type: ignore[union-attr]


def test_a_name_is_text() -> None:
    with pytest.raises(ArgumentError, match="a claim on 1; names are text"):
        check(line(), {1: 2})  # type: ignore[dict-item]


@pytest.mark.parametrize("given", [[], "0", ["0", "0", "0"]])
def test_another_shape_is_said_of_zeros_too(given: Any) -> None:
    found = check(expression("y = a*2; E = sum(y)", a=[1.0, 2.0]), {"y": given})["y"]
    assert "Its shape is" in found.message


@pytest.mark.parametrize("anywhere", [False, True])
def test_wrong_rates_are_no_higher_than_chance(anywhere: bool) -> None:
    found = measure_false(24, seed=1, verbose=False, sheet=False, anywhere=anywhere)
    assert found["accepted"] <= found["by_chance"]
    for digits, row in found["digits"].items():
        assert digits < 3 or row["accepted"] == 0


@pytest.mark.slow
@pytest.mark.fuzz
@pytest.mark.parametrize("anywhere", [False, True])
@pytest.mark.parametrize("sheet", [False, True])
def test_wrong_rates_are_no_higher_than_chance_in_many_calculations(sheet: bool, anywhere: bool) -> None:
    found = measure_false(4000, seed=2, verbose=False, sheet=sheet, anywhere=anywhere)
    assert found["accepted"] <= (2 if sheet else 1) * found["by_chance"]


@pytest.mark.slow
@pytest.mark.fuzz
def test_right_calculations_are_not_called_wrong() -> None:
    assert measure_right(500, seed=7, verbose=True)["called_wrong"] == 0


@pytest.mark.parametrize(
    ("formula", "values", "claims"),
    [
        ("E = 3*clip(z, 0, 1)", {"z": 0.0}, {"dE/dz": ["0.00", "1.50"]}),
        ("E = sum(clip(z, 0, 1))", {"z": [0.0, 1.0, 0.5]}, {"dE/dz": [["0.00", "0.00", "1.00"]]}),
        ("E = max(v)", {"v": [1.0, 1.0, 0.0]}, {"dE/dv": [["1.00", "0.00", "0.00"], ["0.00", "1.00", "0.00"]]}),
        ("E = min(v)", {"v": [1.0, 1.0, 2.0]}, {"dE/dv": [["1.00", "0.00", "0.00"], ["0.50", "0.50", "0.00"]]}),
        ("E = sum(max(v, axis=1))", {"v": [[3.0, 3.0], [1.0, 2.0]]}, {"dE/dv": [[["0.00", "1.00"], ["0.00", "1.00"]]]}),
    ],
)  # fmt: skip
def test_another_convention_at_a_kink_is_right(formula: str, values: dict[str, Any], claims: dict[str, list[Any]]) -> None:
    output = expression(formula, **values)
    for name, conventions in claims.items():
        for claim in conventions:
            found = check(output, {name: claim})[name]
            assert found.verdict == "right", found.message
            assert "convention" in found.message
        assert check(output, {name: np.full(np.shape(conventions[0]), 0.77)})[name].verdict == "wrong"


# -------------------------------------------------------------------------------------------- formulas and arrays as text
@pytest.mark.parametrize(
    ("name", "formula"),
    [("O5", "O5"), ("O₅", "O5*1"), ("E", "E+0"), ("dE/dx5", "dE/dx5"), ("δ5", "∂E/∂x₅"), ("dE/dx5", "delta5"),
     ("O5", "dE/dO5 + t5"), ("O5", "sqrt(2*E) + t5"), ("dE/dx5", "dE/dw35/O3")],
)  # fmt: skip
def test_a_formula_with_its_own_name_claims_nothing(name: str, formula: str) -> None:
    found = check(worked_network()[0], {name: formula})[name]
    assert found.verdict == "not-graded", found.message
    assert "itself or is calculated from it" in found.message


@pytest.mark.parametrize(
    ("name", "formula"),
    [("O5", "sigmoid(x5)"), ("E", "0.5*(O5 - t5)**2"), ("E", "dE/dO5**2/2"), ("dE/dx5", "dE/dO5*O5*(1 - O5)"),
     ("dE/dw35", "delta5*O3"), ("dE/dx3", "dE/dx5*w35*O3*(1 - O3)")],
)  # fmt: skip
def test_a_formula_with_what_comes_before_is_graded(name: str, formula: str) -> None:
    assert check(worked_network()[0], {name: formula}).correct


def test_a_formula_with_other_elements_is_graded() -> None:
    output = expression("s = softmax(z); E = -log(s[0])", z=[0.1, 0.7])
    assert check(output, {"s[0]": "1 - s[1]", "dE/dz[0]": "-dE/dz[1]", "dE/dz[1]": "s[1]"}).correct
    for name, formula in {"s[0]": "s[0]", "s": "s[0] + 0*s", "dE/dz": "dE/dz", "dE/dz[1]": "dE/dz[1]"}.items():
        assert check(output, {name: formula})[name].verdict == "not-graded"


def test_an_array_as_text_is_an_array_of_numbers() -> None:
    output = expression("y = a*x; E = sum(y)", a=[0.55, 1.21], x=[1.0, 1.0])
    for claim, verdict in (
        ("[0.6, 1.2]", "right"),
        ("[ 0.55,1.210 ]", "right"),
        ("[0.60, 1.2]", "wrong"),
        ("[11/20, 1.2]", "right"),
    ):
        assert check(output, {"y": claim})["y"].verdict == verdict, claim
    assert check(output, {"y": "[a[0]*x[0], a[1]]"})["y"].verdict == "wrong"  # a formula: x[1] is 1 only here
    assert check(expression("y = W*2", W=[[1.0, 2.04]]), {"y": "[[2, 4.1]]"}).correct


# -------------------------------------------------------------------------------------------- names
@pytest.mark.parametrize(
    "name", ["dE/dw35", "∂E/∂w₃₅", "dE/dw₃₅", "∂E/∂w35", "∂E / ∂w₃₅", "dE/dw_35"]
)  # fmt: skip
def test_a_gradient_by_any_of_its_names(name: str) -> None:
    output, _ = worked_network()
    assert check(output, {name: "0.0277"})[name].verdict == "right"


@pytest.mark.parametrize("name", ["delta5", "delta_5", "δ5", "δ₅", "δ_5", "δ⁵", "δ^5"])
def test_an_error_term_by_any_of_its_names(name: str) -> None:
    output, _ = worked_network()
    assert check(output, {name: "0.0407"})[name].verdict == "right"


@pytest.mark.parametrize("name", ["w13'", "w₁₃′", "w₁₃'", "w13’", "w_13′"])
def test_a_new_value_by_any_of_its_names(name: str) -> None:
    output, optimizer = worked_network()
    assert check(output, {name: "0.09907"}, optimizer=optimizer)[name].verdict == "right"


@pytest.mark.parametrize("name", ["W[1]'", "W'[1]", "W′[1]", "W₁′[1]", "W'[-1]"])
def test_an_element_of_a_new_array_by_any_of_its_names(name: str) -> None:
    weights = cr.parameter([2.0, 3.0], name="W1" if "₁" in name else "W")
    output = (weights * cr.tensor([1.0, 4.0])).sum().named("E")
    assert check(output, {name: "2.60"}, optimizer=optim.SGD([weights], lr=0.1))[name].verdict == "right"
    assert check(output, {name: "3.00"}, optimizer=optim.SGD([weights], lr=0.1))[name].verdict == "wrong"


def test_elements_and_error_terms_of_vectors_as_printed() -> None:
    output = expression("z1 = W1 @ x; a1 = sigmoid(z1); E = sum(a1)", W1=[[0.5], [0.25]], x=[2.0])
    names = {"W₁[1, 0]": "0.25", "z₁[1]": "0.5", "δ₁[1]": "0.2350", "δ¹": ["0.1966", "0.2350"], "∂E/∂W₁[1, 0]": "0.4700"}
    assert set(verdicts(check(output, names))) == {"right"}


def test_every_name_that_explain_prints_is_read() -> None:
    output, optimizer = worked_network()
    for form, kwargs in (("graph", {}), ("update", {"optimizer": optimizer})):
        derivation = cr.explain(output, ["w13", "w35"], form=form, **kwargs)
        steps = [s for section in derivation.sections for s in section.steps if s.value is not None]
        claims = {s.symbol.text: float(s.value) for s in steps if s.symbol.text not in ("η", "t")}
        grading = check(output, claims, optimizer=optimizer)
        assert set(verdicts(grading)) == {"right"}, str(grading)


def test_moments_of_adam() -> None:
    w = cr.parameter(5.0, name="w")
    output = (w**2).named("Q")
    claims = {"dQ/dw": 10, "m'": 1, "v'": "0.1", "m′": "1.0", "v′": "0.100", "m_w'": 1, "w'": "4.9", "w′": "4.900"}
    assert set(verdicts(check(output, claims, optimizer=optim.Adam([w], lr=0.1)))) == {"right"}
    grading = check(output, {"m'": "10.0", "v'": "100.0"}, optimizer=optim.Adam([w], lr=0.1))
    assert [(f.verdict, f.kind) for f in grading.values()] == [("wrong", "missing-factor")] * 2
    assert "The factor 1 - β is missing." in grading["v'"].message
    assert check(output, {"m'": 1})["m'"].verdict == "not-graded"  # no optimiser


def test_moments_of_several_parameters_carry_their_names() -> None:
    output, plain = worked_network()
    optimizer = optim.SGD(plain.groups[0].params, lr=1.0, momentum=0.9)
    grading = check(output, {"v_w35'": "0.0277", "v_{w13}'": 1, "v'": 1}, optimizer=optimizer)
    assert verdicts(grading) == ["right", "not-graded", "not-graded"]
    assert "v_w13'" in grading["v'"].message


def test_a_name_of_two_that_print_alike_is_the_one_that_was_typed() -> None:
    output = expression("E = w13*x + w_13", w13=1.0, w_13=2.0, x=3.0)
    assert verdicts(check(output, {"w13": "1", "w_13": "2", "w₁₃": "1"})) == ["right", "right", "right"]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("given", ["0.123456", "O5 + 1"])
def test_a_name_that_is_not_there_is_not_graded(language: Any, given: str) -> None:
    output, optimizer = worked_network()
    grading = check(output, {"O9": given, "O5": "0.690"}, optimizer=optimizer, language=language)
    found = grading["O9"]
    assert (found.verdict, found.kind, found.true) == ("not-graded", None, None)
    for word in ("x5", "dE/d", "w13'", {"en": "It was not graded", "zh": "没有评分"}[language]):
        assert word in found.message
    assert (grading.correct, grading.first_wrong) == (False, None)
    assert grading.to_dict()["counts"] == {"right": 1, "rounded": 0, "follow-on": 0, "wrong": 0, "not-graded": 1}


def test_right_numbers_in_full_are_right() -> None:
    output, _ = worked_network()
    values = {n: f"{v:.4f}" for n, v in FORWARD.items()}
    assert check(output, values).correct
