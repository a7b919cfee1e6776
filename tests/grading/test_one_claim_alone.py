"""A claim that cannot be graded, or whose answer is unusual, concerns itself alone: the others are graded."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from chainrule import functional
from chainrule.derivations import expression
from chainrule.grading import check
from chainrule.grading.result import Finding
from chainrule.language import LANGUAGES, Language
from chainrule.tensors import Tensor, tensor

TWO = "O3 = sigmoid(w*x); O4 = sigmoid(v*x); E = 0.5*(O3 + O4 - 1)**2"
NETWORK = "z1 = w1*x; h = tanh(z1); z2 = w2*h; y = sigmoid(z2); L = 0.5*(y - t)**2"


def network() -> Tensor:
    return expression(NETWORK, x=0.35, w1=0.7, w2=0.4, t=1.0)


def among_others(name: str, given: Any, language: Language = "en") -> Finding:
    """What is found of one claim on a sheet; the others have to be right."""
    grading = check(expression(TWO, x=0.35, w=0.1, v=0.3), {"O3": "0.509", name: given, "E": "0.0006"}, language=language)
    assert all(f.verdict == "right" for claim, f in grading.items() if claim != name), str(grading)
    return grading[name]


# -------------------------------------------------------------------------------------------- no path
WITHOUT_PATH = {"dO3/dO4": ("O₄", "O₃"), "dO3/dv": ("v", "O₃"), "dw/dE": ("E", "w")}


@pytest.mark.parametrize("given", ["0", 0, "0.00", "w - w"])
@pytest.mark.parametrize("name", WITHOUT_PATH)
def test_without_a_path_the_derivative_is_zero(name: str, given: Any) -> None:
    assert among_others(name, given).verdict == "right"


@pytest.mark.parametrize("given", ["1", "-0.25", "[0]", "v*x", "x"])
@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", WITHOUT_PATH)
def test_another_number_is_told_that_no_path_leads_there(name: str, language: Language, given: str) -> None:
    found = among_others(name, given, language)
    target, output = WITHOUT_PATH[name]
    said = {"en": f"No path leads from {target} to {output}", "zh": f"没有从 {target} 到 {output} 的路径"}[language]
    assert (found.verdict, found.kind, said in found.message) == ("wrong", "no-path", True), found.message


def test_a_gradient_that_does_not_exist_is_not_graded() -> None:
    x = tensor([0.3, 0.9], name="x")
    q = functional.argmax(x).astype(float).named("q")
    output = (functional.sum(x * 2.0).named("s") + q).named("y")
    for given in ("2", "[2, 2]", "2*x/x"):
        grading = check(output, {"s": "2.4", "dq/dx": given, "y": "3.4"})
        assert [f.verdict for f in grading.values()] == ["right", "not-graded", "right"], str(grading)
        assert "no gradient passes through argmax" in grading["dq/dx"].message


# -------------------------------------------------------------------------------------------- values of another kind
NOT_FINITE = [
    "1e400",
    "nan",
    "-inf",
    float("inf"),
    float("nan"),
    np.float32("inf"),
    10**400,
    Decimal("inf"),
    "[nan, 1]",
    [10**5000],
]
NO_NUMBERS = [None, True, {"a": 1}, b"0.5", [[1.0], [1.0, 2.0]], ["0.5", "a"], {0.5}, [None]]


@pytest.mark.parametrize("given", NOT_FINITE, ids=[f"not_finite_{k}" for k in range(len(NOT_FINITE))])
def test_a_number_that_is_not_finite_is_wrong(given: Any) -> None:
    found = among_others("O4", given)
    assert (found.verdict, found.kind) == ("wrong", "unexplained")
    assert found.message.startswith("O₄ is 0.5262259, not ")
    assert found.message.endswith("The number given is infinite, undefined or too large for float64.")
    assert among_others("O9", given).verdict == "not-graded"


def test_of_a_value_that_is_not_finite_such_a_number_is_not_graded() -> None:
    with np.errstate(divide="ignore"):
        grading = check(expression("a = 2*x; y = a - log(x)", x=0.0), {"y": "inf", "a": "0"})
    assert [f.verdict for f in grading.values()] == ["not-graded", "right"], str(grading)
    assert "a claim is a finite number" in grading["y"].message


@pytest.mark.parametrize("given", NO_NUMBERS, ids=[f"no_number_{k}" for k in range(len(NO_NUMBERS))])
def test_what_is_no_number_is_not_graded(given: Any) -> None:
    for name, printed in (("O4", "O₄"), ("dE/dO4", "∂E/∂O₄"), ("O9", "O₉")):
        found = among_others(name, given)
        assert (found.verdict, found.kind) == ("not-graded", None)
        assert found.message.startswith(f"{printed} was not graded: the claim ")
        assert among_others(name, given, "zh").message.startswith(f"{printed} 没有评分：")


def test_a_list_that_contains_itself_is_not_graded() -> None:
    itself: list[Any] = [1.0]
    itself.append(itself)
    found = among_others("O4", itself)
    assert found.verdict == "not-graded"
    assert "a claim holds a list that contains itself" in found.message


def test_deep_lists_are_not_graded() -> None:
    deep: Any = 1.0
    for _ in range(3000):
        deep = [deep]
    for given, words in (
        (deep, "more than 32 nested lists"),
        ("[" * 5000, "could not be read"),
    ):
        found = among_others("O4", given)
        assert (found.verdict, words in found.message) == ("not-graded", True), found.message
    assert among_others("O4", "[" * 5000 + "1" + "]" * 5000).verdict == "not-graded"


# -------------------------------------------------------------------------------------------- formulas
@pytest.mark.parametrize(
    ("formula", "words"),
    [
        ("1/(1 + q*x)", "There is no q in this calculation."),
        (
            "softmx(x)",
            "O₄ was not graded: the formula has the function 'softmx'; there is none of that name (did you mean softmax?)",
        ),
        ("x*w +", "O₄ was not graded: the formula could not be read near 'x*w +'"),
        ("sin x", "O₄ was not graded: the formula could not be read near 'sin x'"),
        ("", "O₄ was not graded: the formula has nothing in it"),
        ("2**9**9*x", "O₄ was not graded: the formula has '2 ** 9 ** 9', which is inf"),
        ("x if w else v", "O₄ was not graded: the formula has"),
        ("[[1, 2], [3]]", "O₄ was not graded: the formula has '[[1, 2], [3]]'; rows must be equally long lists of numbers."),
    ],
)
def test_a_formula_that_cannot_be_read_is_not_graded(formula: str, words: str) -> None:
    found = among_others("O4", formula)
    assert (found.verdict, found.kind) == ("not-graded", None)
    assert found.message.startswith(words), found.message


@pytest.mark.parametrize(
    ("name", "formula"),
    [
        ("y", "1/(1+e^-z2)"), ("y", "1/(1 + e**(-z2))"), ("h", "(e^z1 - e^-z1)/(e^z1 + e^-z1)"), ("h", "sinh(z1)/cosh(z1)"),
        ("dL/dz1", "(y-t)*y*(1-y)*w2/cosh(z1)**2"), ("dL/dz2", "(y - t)*e^-z2/(1 + e^-z2)²"), ("L", "(y - t)**2*e/(2*e)"),
        ("z1", "log10(10^(w1*x))"), ("z1", "log₂(2^(w1*x))"), ("h", "tan(x)*tanh(z1)*cos(x)/sin(x)"),
    ],
)  # fmt: skip
def test_formulas_as_people_write_them(name: str, formula: str) -> None:
    found = check(network(), {name: formula})[name]
    assert found.verdict == "right", found.message


def test_a_formula_of_constants_is_a_number() -> None:
    output = expression("y = a*x; z = y*2", a=np.pi, x=0.5)
    assert check(output, {"y": "π/2"})["y"].verdict == "right"
    assert check(output, {"y": "e/2"})["y"].verdict == "wrong"


def test_the_values_of_the_calculation_come_before_constants() -> None:
    output = expression("e = t - y; E = e**2/2", t=1.0, y=0.2)
    grading = check(output, {"e": "0.8", "E": "e*e/2", "dE/de": "e"})
    assert grading.correct, str(grading)


@pytest.mark.parametrize(
    ("name", "formula", "kind", "message"),
    [
        ("h", "z1", "missing-factor", "h is not z1. tanh was not applied to z₁."),
        ("h", " z₁ ", "missing-factor", "h is not z₁. tanh was not applied to z₁."),
        ("L", "y", "unexplained", "L is not y; no single slip explains it."),
        ("dL/dw2", "dL/dz2", "missing-factor", "∂L/∂w₂ is not dL/dz2. The factor h is missing."),
        ("h", "w1*x", "equals-other-quantity", "h is not w1*x. That is z₁."),
    ],
)
def test_a_name_is_not_explained_by_itself(name: str, formula: str, kind: str, message: str) -> None:
    found = check(network(), {name: formula})[name]
    assert (found.kind, found.message) == (kind, message)


# -------------------------------------------------------------------------------------------- shapes
@pytest.mark.parametrize(
    ("given", "shape"), [("[0.69]", "1"), ([0.69], "1"), ("[[0.690]]", "1×1"), ("[0.6899]", "1"), (np.array([0.6899745]), "1")]
)
def test_a_right_number_in_another_shape_is_told_its_shape(given: Any, shape: str) -> None:
    found = check(expression("z = w*x; y = sigmoid(z)", w=0.8, x=1.0), {"y": given})["y"]
    assert (found.verdict, found.kind) == ("wrong", "unexplained")
    assert found.message.endswith(f"Its shape is {shape}, and must be that of a single number."), found.message
