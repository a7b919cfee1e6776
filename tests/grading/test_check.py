"""Grading hand calculations: verdicts, kinds of slips, and messages in both languages."""

from __future__ import annotations

import json
import re
import string
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

import chainrule as cr
from chainrule import ir
from chainrule.derivations import expression, words
from chainrule.derivations.expressions import names_in
from chainrule.errors import ArgumentError
from chainrule.grading import check, read_homework
from chainrule.grading.homework import TEMPLATE
from chainrule.grading.result import _COLOURS, KINDS
from chainrule.grading.words import PHRASES
from chainrule.grading.written import written
from chainrule.language import LANGUAGES, Phrase
from chainrule.optim import SGD
from chainrule.tensors import Tensor
from worked_network import FORMULA, FORWARD, GIVEN, GRADIENTS, STEP, worked_network


def finding(name: str, given: Any) -> Any:
    output, optimizer = worked_network()
    return check(output, {name: given}, optimizer=optimizer)[name]


# -------------------------------------------------------------------------------------------- precision
@pytest.mark.parametrize(
    ("given", "true", "agrees", "digits"),
    [
        ("0.69", 0.6903, True, 2),
        ("0.690", 0.6903, True, 3),
        ("0.6900", 0.6903, False, 4),
        (0.027, 0.0407, False, 2),
        ("1.5e-3", 0.00154, True, 2),
        ("1.5 × 10^-3", 0.00154, True, 2),
        ("-0,5".replace(",", "."), -0.53, True, 1),
        (110, 110.4, True, 3),
        ("0.000929", 0.0009290712, True, 3),
    ],
)
def test_the_digits_written_are_the_precision(given: Any, true: float, agrees: bool, digits: int) -> None:
    found = written(given)
    assert found is not None
    assert (found.agrees(true), found.digits) == (agrees, digits)


def test_no_number_is_right_for_what_is_not_finite() -> None:
    output = expression("y = log(x)", x=0.0)
    for given in (1.0, -1e300):
        assert check(output, {"y": given})["y"].verdict == "wrong"
    assert check(output, {"dy/dx": 3})["dy/dx"].verdict == "wrong"
    assert check(output, {"y": 1.0}).to_dict()["claims"]["y"]["true"] == "-inf"  # JSON has no infinities


def test_formulas_are_no_numbers() -> None:
    assert written("x1*w13") is None
    assert written("1/x") is None


# -------------------------------------------------------------------------------------------- right
def test_every_number_of_m6_is_right() -> None:
    output, optimizer = worked_network()
    claims = {**FORWARD, **{f"dE/d{n}": v for n, v in GRADIENTS.items()}, **{f"{n}'": v for n, v in STEP.items()}}
    claims |= {"delta5": 0.0406811251, "O5'": 0.6820185833, "E'": 0.0165653823}
    grading = check(output, claims, optimizer=optimizer)
    assert {f.verdict for f in grading.values()} == {"right"}
    assert grading.correct
    assert grading.first_wrong is None


def test_rounding_carried_forward_is_not_wrong() -> None:
    output, _ = worked_network()
    # O3 and O4 rounded to two digits, and everything later from the rounded values.
    x5 = 0.3 * 0.68 + 0.9 * 0.66
    grading = check(output, {"O3": "0.68", "O4": "0.66", "x5": f"{x5:.4f}"})
    assert [f.verdict for f in grading.values()] == ["right", "right", "rounded"]
    assert "rounding" in grading["x5"].message
    assert finding("O5", "0.6902").verdict == "rounded"  # cut off instead of rounded


def test_rounding_carried_forward_in_arrays_is_not_wrong() -> None:
    """z2 from values of a1 that were rounded on the way and not claimed."""
    output = matrices()
    z2 = np.array([[0.3, 0.9], [-0.2, 0.5]]) @ np.round(_value(output, "a1"), 3)
    assert np.abs(z2 - _value(output, "z2")).max() > 0.0001
    assert check(output, {"z2": np.round(z2, 4)})["z2"].verdict == "rounded"
    assert check(output, {"z2": np.round(z2 + 0.01, 4)})["z2"].verdict == "wrong"


_HABITS: dict[str, Callable[[Any], Any]] = {
    "in full": np.asarray,
    "four decimals": lambda v: np.round(v, 4),
    "four digits": np.vectorize(lambda u: float(f"{u:.4g}")),
}


@pytest.mark.parametrize("habit", _HABITS)
@pytest.mark.parametrize("seed", range(12))
def test_no_right_calculation_with_matrices_is_called_wrong(habit: str, seed: int) -> None:
    """Worked out here in NumPy, every step rounded as the habit says, some of the steps claimed."""
    rng, kept = np.random.default_rng(seed), _HABITS[habit]
    inputs, hidden, outputs = rng.integers(2, 5, 3)
    w1, w2 = np.round(rng.normal(size=(hidden, inputs)), 2), np.round(rng.normal(size=(outputs, hidden)), 2)
    x, t = np.round(rng.uniform(-1, 1, inputs), 2), np.round(rng.uniform(0, 1, outputs), 2)
    z1 = kept(w1 @ x)
    a1 = kept(1 / (1 + np.exp(-z1)))
    z2 = kept(w2 @ a1)
    a2 = kept(1 / (1 + np.exp(-z2)))
    d2 = kept((a2 - t) * a2 * (1 - a2))
    d1 = kept((w2.T @ d2) * a1 * (1 - a1))
    claims = {"z1": z1, "a1": a1, "z2": z2, "a2": a2, "dE/dz2": d2, "dE/dW2": kept(np.outer(d2, a1)), "dE/dz1": d1}
    claims["dE/dW1"] = kept(np.outer(d1, x))
    output = expression(
        "z1 = W1@x; a1 = sigmoid(z1); z2 = W2@a1; a2 = sigmoid(z2); E = 0.5*sum((a2 - t)**2)", W1=w1, W2=w2, x=x, t=t
    )
    grading = check(output, {name: value for name, value in claims.items() if seed % 2 or rng.random() < 0.5})
    assert {f.verdict for f in grading.values()} <= {"right", "rounded"}, str(grading)


def test_follow_on_errors_are_separated_from_the_first() -> None:
    output, _ = worked_network()
    o3 = 0.69
    x5 = 0.3 * o3 + 0.9 * 0.6637386974
    o5 = 1 / (1 + np.exp(-x5))
    grading = check(output, {"O3": o3, "O4": 0.6637387, "x5": f"{x5:.7f}", "O5": f"{o5:.7f}", "dE/dO5": f"{o5 - 0.5:.7f}"})
    assert [f.verdict for f in grading.values()] == ["wrong", "right", "follow-on", "follow-on", "follow-on"]
    assert grading.first_wrong == "O3"
    assert not grading.correct


def test_a_wrong_gradient_carries_on_too() -> None:
    output, optimizer = worked_network()
    grading = check(output, {"dE/dx5": "0.190283", "dE/dw35": f"{0.190283 * 0.6802671967:.6f}"}, optimizer=optimizer)
    assert [f.verdict for f in grading.values()] == ["wrong", "follow-on"]


# -------------------------------------------------------------------------------------------- slips
def slope(z: float) -> float:
    """σ′."""
    s = 1 / (1 + np.exp(-z))
    return float(s * (1 - s))


SLIPS = [
    ("dE/dx5", 0.027, "equals-other-quantity", "That is ∂E/∂w₄₅ = 0.0270016: a factor O₄ too many."),
    ("dE/dx5", 0.190283, "missing-factor", "The factor O₅(1 - O₅) is missing."),
    ("dE/dw13", 0.0026544890, "missing-factor", "The factor x₁ is missing."),
    ("dE/dw13", 0.0761263, "missing-factor", "The upstream gradient ∂E/∂O₃ is left out."),
    ("dE/dw35", -0.0276740349, "sign", "The sign is wrong."),
    ("dE/dw14", "0.00143004", "constant-factor", "It is off by the constant factor ½."),
    ("dE/dx1", 0.00326866, "missing-path", "The path over O₃ is forgotten."),
    ("dE/dw13", f"{0.0406811251 * 0.2723259651 * 0.2175037376 * 0.35:.9f}", "stale-weight", "w₃₅"),
    ("dE/dw35", f"{0.0276740349 / 0.2137921922 * slope(0.6902834929):.6f}", "derivative-at-output", "O₅"),
    ("dE/dw13", f"{0.0009290712 * 0.3:.9f}", "extra-factor", "There is a factor w₃₅ too many."),
    ("w35'", 0.3276740349, "sign", "The step goes the wrong way"),
    ("O3", 0.69, "equals-other-quantity", "That is O₅ = 0.690283"),
    ("O5", f"{1 / (1 + np.exp(0.8014449867)):.6f}", "sign", "x₅ has the wrong sign."),
    ("x5", f"{0.9 * 0.6637386974:.6f}", "missing-path", "The term w₃₅ · O₃ is left out."),
    ("E", 0.0362078, "constant-factor", "The constant factor 0.5 is missing."),
    ("dE/dw13", f"{0.0406811251 * 0.35:.9f}", "other-error-term", "∂E/∂x₅ stands in the place of ∂E/∂x₃."),
    ("dE/dx5", f"{0.1902834929 * (1 - 0.6902834929**2):.9f}", "other-function", "The derivative of tanh was taken in place"),
    ("dE/dx5", f"{0.1902834929 / np.cosh(0.8014449867) ** 2:.9f}", "other-function", "The derivative of tanh"),
    ("O3", f"{np.tanh(0.755):.6f}", "other-function", "tanh was applied in place of σ."),
    ("dE/dw35", f"{0.0406811251 * 0.755:.9f}", "missing-factor", "x₃ stands in the place of O₃."),
    ("dE/dx5", f"{0.1902834929 * 0.8014449867 * (1 - 0.8014449867):.9f}", "missing-factor", "x₅ stands in the place of O₅."),
    ("dE/dw13", 0.00131313, "unexplained", "no single slip explains it"),
    # Its first five digits are those of ∂E/∂w₄₅ = 0.0270016370.
    ("dE/dx5", "0.0270016999", "unexplained", "no single slip explains it"),
]


@pytest.mark.parametrize(("name", "given", "kind", "words"), SLIPS)
def test_the_slip_is_named(name: str, given: Any, kind: str, words: str) -> None:
    found = finding(name, given)
    assert (found.verdict, found.kind) == ("wrong", kind), found.message
    assert words in found.message


def test_every_kind_has_a_case() -> None:
    assert set(KINDS) == {kind for _, _, kind, _ in SLIPS} | {"transposed", "no-bias-correction", "no-path"}


def test_errata() -> None:
    output, optimizer = worked_network()
    grading = check(output, {"O3": 0.69, "dE/dx5": 0.027, "dE/db": 0.00093, "w44'": 0.873}, optimizer=optimizer)
    assert [f.kind for f in grading.values()] == ["equals-other-quantity"] * 4
    assert "That is O₅" in grading["O3"].message
    assert "That is ∂E/∂w₄₅ = 0.0270016: a factor O₄ too many." in grading["dE/dx5"].message
    assert "There is no dE/db in this calculation. The number 0.00093 is ∂E/∂w₁₃ = 0.000929071." in grading["dE/db"].message
    assert "There is no w44' in this calculation. The number 0.873 is w₄₅′ = 0.872998." in grading["w44'"].message


def test_updated_weights_used_too_early_are_found_in_the_new_error() -> None:
    names = ["w1", "w2", "w3", "w4", "w5", "w6", "w7", "w8", "b1", "b2", "x1", "x2", "t1", "t2"]
    numbers = [0.15, 0.2, 0.25, 0.3, 0.4, 0.45, 0.5, 0.55, 0.35, 0.6, 0.05, 0.1, 0.01, 0.99]
    leaves = {n: cr.parameter(v, name=n) for n, v in zip(names, numbers, strict=True)}
    output = expression(
        """
        n1 = w1*x1 + w2*x2 + b1; n2 = w3*x1 + w4*x2 + b1; h1 = sigmoid(n1); h2 = sigmoid(n2)
        m1 = w5*h1 + w6*h2 + b2; m2 = w7*h1 + w8*h2 + b2; o1 = sigmoid(m1); o2 = sigmoid(m2)
        E = 0.5*(t1 - o1)**2 + 0.5*(t2 - o2)**2
        """,
        **leaves,
    )
    optimizer = SGD([leaves[f"w{k}"] for k in range(1, 9)], lr=0.5)
    claims = {"E": 0.298371109, "dE/dw5": 0.082167041, "w5'": "0.358916480", "dE/dw1": 0.000438568, "w1'": 0.149780716}
    grading = check(output, claims | {"E'": 0.291027924}, optimizer=optimizer)
    assert [f.verdict for f in grading.values()] == ["right"] * 5 + ["wrong"]
    assert grading["E'"].kind == "stale-weight"
    assert "w₅, w₆, w₇, w₈ were updated before" in grading["E'"].message
    assert check(output, {"E'": 0.29102777369}, optimizer=optimizer).correct


def matrices() -> Tensor:
    w1 = cr.parameter([[0.1, 0.8], [0.4, 0.6]], name="W1")
    w2 = cr.parameter([[0.3, 0.9], [-0.2, 0.5]], name="W2")
    x, t = cr.tensor([0.35, 0.9], name="x"), cr.tensor([0.2, 0.7], name="t")
    h = cr.sigmoid((w1 @ x).named("z1")).named("a1")
    o = cr.sigmoid((w2 @ h).named("z2")).named("a2")
    return (0.5 * ((o - t) ** 2).sum()).named("C")


def test_matrices_and_their_elements() -> None:
    output = matrices()
    w1 = next(n for n in _nodes(output) if n.name == "W1")
    (gradient,) = cr.grad(output, [Tensor(w1)])
    g = gradient.numpy()
    claims = {"dC/dW1": np.round(g, 6), "dC/dW1[0, 1]": round(float(g[0, 1]), 6), "a1": [0.680267, 0.663739]}
    assert check(output, claims).correct
    for given, kind in ((g.T, "transposed"), (-g, "sign"), (2 * g, "constant-factor"), (g + 0.01, "unexplained")):
        assert check(output, {"dC/dW1": np.round(given, 6)})["dC/dW1"].kind == kind
    delta2 = (_value(output, "a2") - [0.2, 0.7]) * _value(output, "a2") * (1 - _value(output, "a2"))
    a1 = _value(output, "a1")
    wrong = float(np.array([[0.3, 0.9], [-0.2, 0.5]])[0] @ delta2 * a1[0] * (1 - a1[0]) * 0.35)
    found = check(output, {"dC/dW1[0, 0]": f"{wrong:.8f}"})["dC/dW1[0, 0]"]
    assert (found.kind, "W₂" in found.message) == ("transposed", True)


@pytest.mark.parametrize(
    ("name", "formula", "kind", "words"),
    [
        ("dC/dz1", "(transpose(W2) @ dC/dz2) * a1*(1 - a1)", None, "right"),
        ("dC/dz1", "(W2 @ dC/dz2) * a1*(1 - a1)", "transposed", "W₂ is transposed."),
        ("dC/dW1", "outer((W2 @ dC/dz2) * a1*(1 - a1), x)", "transposed", "W₂ is transposed."),
        ("dC/dW2", "outer(a1, dC/dz2)", "transposed", "It is the transpose of the right matrix."),
        ("dC/dz1", "transpose(W2) @ dC/dz2", "missing-factor", "The factor a₁(1 - a₁) is missing."),
        ("dC/dz2", "a2 - t", "missing-factor", "The factor a₂(1 - a₂) is missing."),
        ("dC/dz2", "(t - a2)*a2*(1 - a2)", "sign", "The sign is wrong."),
        ("dC/dz2", "2*(a2 - t)*a2*(1 - a2)", "constant-factor", "It is off by the constant factor 2."),
        ("dC/dW2", "outer(dC/dz1, x)", "equals-other-quantity", "That is ∂C/∂W₁."),
        ("a1", "sigmoid(transpose(W1) @ x)", "transposed", "W₁ is transposed."),
        ("dC/dz2", "a2 + 1", "unexplained", "no single slip explains it"),
    ],
)
def test_slips_in_whole_arrays(name: str, formula: str, kind: str | None, words: str) -> None:
    """As a formula, and as the numbers that it gives."""
    output = matrices()
    found = check(output, {name: formula})[name]
    assert (found.kind, words in found.message) == (kind, True), found.message
    values = {n.name: cr.tensor(n.value) for n in _nodes(output) if n.name}
    values |= {f"dC_d{n}": cr.grad(output, [Tensor(node)])[0] for n, node in zip(*_named(output), strict=True)}
    typed = formula.replace("dC/d", "dC_d")
    numbers = expression(typed, **{n: v for n, v in values.items() if n in names_in(typed)}).numpy()
    found = check(output, {name: np.round(numbers, 8)})[name]
    assert (found.kind, words in found.message) == (kind, True), found.message


def _named(output: Tensor) -> tuple[list[str], list[Any]]:
    nodes = [n for n in _nodes(output) if n.name and n.name != "C"]
    return [n.name for n in nodes], nodes


def _nodes(output: Tensor) -> list[Any]:
    return ir.topological([output.node])


def _value(output: Tensor, name: str) -> Any:
    return next(n.value for n in _nodes(output) if n.name == name)


# -------------------------------------------------------------------------------------------- formulas
@pytest.mark.parametrize(
    ("name", "formula", "kind"),
    [
        ("dE/dw13", "(O5 - t5)*O5*(1 - O5)*w35*O3*(1 - O3)*x1", None),
        ("dE/dw13", "x1*w35*dE/dx5*O3*(1-O3)", None),
        ("dE/dw13", "(t5 - O5)*O5*(1 - O5)*w35*O3*(1 - O3)*x1", "sign"),
        ("dE/dw13", "(O5 - t5)*w35*O3*(1 - O3)*x1", "missing-factor"),
        ("dE/dw35", "(O5 - t5)*O5*(1 - O5)*O4", "equals-other-quantity"),
        ("O5", "sigmoid(w35*O3 + w45*O4)", None),
        ("O5", "sigmoid(w35*O3)", "missing-path"),
        ("E", "(O5 - t5)**2", "constant-factor"),
        ("E", "O5*w13 + 7", "unexplained"),
    ],
)
def test_formulas_are_compared_by_value(name: str, formula: str, kind: str | None) -> None:
    found = finding(name, formula)
    assert (found.verdict == "right", found.kind) == (kind is None, kind), found.message


# -------------------------------------------------------------------------------------------- answers
@pytest.mark.parametrize("language", LANGUAGES)
def test_messages_in_both_languages(language: str) -> None:
    output, optimizer = worked_network()
    grading = check(output, {"dE/dx5": 0.027, "O5": 0.6902834929, "dE/db": 0.1}, optimizer=optimizer, language=language)
    assert ("That is" in str(grading)) == (language == "en")
    assert ("多乘了" in str(grading)) == (language == "zh")


@pytest.mark.parametrize("phrases", [words.PHRASES, PHRASES], ids=["derivations", "grading"])
def test_phrases_have_the_same_blanks_in_both_languages(phrases: dict[str, Phrase]) -> None:
    for key, (en, zh) in phrases.items():
        blanks = [{name for _, name, _, _ in string.Formatter().parse(text) if name} for text in (en, zh)]
        assert blanks[0] == blanks[1], key
        assert en.strip()
        assert any(ord(c) > 0x2E80 for c in zh), key


def test_a_grading_is_a_mapping_and_json() -> None:
    output, _ = worked_network()
    grading = check(output, {"O5": 0.69, "dE/dx5": 0.027})
    assert list(grading) == ["O5", "dE/dx5"]
    assert len(grading) == 2
    data = json.loads(json.dumps(grading.to_dict()))
    assert data["schema"] == "chainrule/grading/1"
    assert data["first_wrong"] == "dE/dx5"
    assert data["counts"] == {"right": 1, "rounded": 0, "follow-on": 0, "wrong": 1, "not-graded": 0}
    assert data["claims"]["dE/dx5"]["kind"] == "equals-other-quantity"
    assert data["claims"]["dE/dx5"]["true"] == pytest.approx(0.0406811251)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_notebook_shows_a_grading(language: str) -> None:
    output, _ = worked_network()
    claims = {"O5": 0.69, "O4": "0.663", "dE/dx5": 0.027, "<b>&": 1.0}
    grading = check(output, claims, language=language)
    page = grading._repr_html_()
    table = ElementTree.fromstring(page)
    rows = [["".join(cell.itertext()) for cell in row] for row in table]
    assert rows == [[m, name, f.message] for m, (name, f) in zip("✓≈✗?", grading.items(), strict=True)]
    assert [row[0][0].get("title") for row in table][2] == "wrong: equals-other-quantity"
    # Nothing from outside, nothing that an untrusted notebook drops.
    assert not re.search("http|<style|<script|class=|url\\(", page)


@pytest.mark.parametrize("background", [1.0, 0.0])
def test_marks_can_be_read_on_white_and_black(background: float) -> None:
    """By the ratio of contrast of WCAG, at least 3 for signs that are bold."""
    for colour in _COLOURS.values():
        channels = np.array([int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)])
        light = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722]
        darker, lighter = sorted((light, background))
        assert (lighter + 0.05) / (darker + 0.05) >= 3.0, colour


def test_wrong_use() -> None:
    output, _ = worked_network()
    with pytest.raises(ArgumentError, match="no claims"):
        check(output, {})
    with pytest.raises(ArgumentError, match="takes a Tensor"):
        check(3.0, {"E": 1})
    with pytest.raises(ArgumentError, match="'en' and 'zh'"):
        check(output, {"E": 1}, language="fr")
    assert "no O9" in check(output, {"O9": 0.123456})["O9"].message


# -------------------------------------------------------------------------------------------- homework
def test_the_template_is_right(tmp_path: Any) -> None:
    file = tmp_path / "homework.toml"
    file.write_text(TEMPLATE, encoding="utf-8")
    homework = read_homework(file)
    assert homework.formula.strip() == FORMULA.strip()
    assert homework.given == GIVEN
    assert homework.claims["O3"] == "0.680"
    assert homework.grade().correct
    assert "正确" in str(homework.grade(language="zh"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("formula = 'x'\n[given]\nx = 1", "check got no claims"),
        ("formula = 'x'\n[claims]\nx = 1", "has no 'given'"),
        ("[given]\nx = 1", "neither 'formula' nor 'network'"),
        ("formula = 'x'\n[network]\nactivations = ['tanh']\n[given]\nx = 1", "both 'formula' and 'network'"),
        ("[network]\nactivations = 'tanh'\n[given]\nx = 1", "a list with one name per layer"),
        ("[network]\nactivations = ['tanh']\nloss = 'cost'\n[given]\nx = 1", "half_squared_error"),
        ("formula = 'x'\nextra = 1", "'extra'"),
        ("formula = 3", "'formula'"),
        ("formula = 'x'\n[given]\nx = 'one'\n[claims]\nx = 1", "x = 'one'"),
        ("formula = 'x'\n[given]\nx = true\n[claims]\nx = 1", "x = True; a given value is a finite number"),
        ("formula = 'x'\n[given]\nx = inf\n[claims]\nx = 1", "x = 'inf'; a given value is a finite number"),
        ("formula = 'x'\n[given]\nx = [[1, 2], [3]]\n[claims]\nx = 1", "numbers in rows of one length"),
        ("formula = [", "it must be TOML, like the template"),
        ("formula = 'y = x'\n[given]\nx = 1\n[claims]\ny = 1\n[optimizer]\nname = 'Magic'", "'Magic'"),
        ("formula = 'y = x'\n[given]\nx = 1\n[claims]\ny = 1\n[optimizer]\nparameters = ['w']", "the parameter 'w'"),
        ("formula = 'y = x'\n[given]\nx = 1\n[claims]\ny = 1\n[optimizer]\nrate = 1", "'rate'; SGD has lr, momentum"),
    ],
)
def test_broken_homework(tmp_path: Any, text: str, message: str) -> None:
    file = tmp_path / "homework.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ArgumentError) as caught:
        read_homework(file).grade()
    assert message in str(caught.value)


def test_missing_homework(tmp_path: Any) -> None:
    with pytest.raises(ArgumentError, match="no such file"):
        read_homework(tmp_path / "nothing.toml")
