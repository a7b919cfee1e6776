"""Numbers that a derivation once printed wrong, or did not print at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from derivation_checks import re_evaluated

import chainrule as cr
from chainrule.derivations import explain, expression
from chainrule.derivations.forms import Form
from chainrule.derivations.formulas import tidy, write

DOUBLED = "a=x+x; b=a+a; c=b+b; d=c+c"


@pytest.mark.parametrize("most", [1, 5, 12, 15, 16])
def test_equal_paths_are_different_paths(most: int) -> None:
    """Sixteen paths, each of value 1, of which `most` are listed."""
    found = explain(expression(DOUBLED, x=1.0), "x", form="path", most=most)
    *_, total = found.steps()
    assert total.value == 16
    assert [p.value for p in total.parts if p.rule == "product"] == [1.0] * most
    assert [p.value for p in total.parts if p.rule == "rest"] == [16.0 - most] * (most < 16)
    re_evaluated(found)


def test_the_formula_of_a_sum_of_sums_keeps_every_term() -> None:
    """(a₁ - t) + (a₂ - t) has both a₁ and a₂."""
    y = expression("z = x @ W; E = 0.5*sum((z - t)**2)", x=[[1.0], [2.0]], W=[[3.0]], t=[0.5])
    found = explain(y, "t[0]", form="matrix")
    *_, last = found.steps()
    assert "z[0, 0]" in last.equations[0].text
    assert "z[1, 0]" in last.equations[0].text
    assert last.value == -8.0
    re_evaluated(found)


@pytest.mark.parametrize("blocks", ["whole", "expanded"])
@pytest.mark.parametrize("form", ["graph", "path"])
@pytest.mark.parametrize(
    "formula",
    [
        "h = W[0, 1]*v; E = sum(3 + h)",
        "E = sum(v*W[1, 1] + W[0, 0])",
        "h = transpose(W)*W[0, 1]; E = sum(h @ v)",
        "E = sum(W[0, 1]*v)**2",
        "E = sum(W*v[1])*W[1, 0]",
        "E = mean(softmax(v*W[0, 0]))*v[0]",
        "E = sum((W - W[1, 1]) @ (v + v[0]))",
    ],
)
def test_one_number_of_an_array_among_arrays(formula: str, form: Literal["graph", "path"], blocks: str) -> None:
    given = {"W": cr.parameter([[1.0, 2.0], [3.0, 4.0]]), "v": cr.parameter([1.0, 2.0])}
    y = expression(formula, **given)
    for name, index in (("W", (0, 1)), ("W", (1, 0)), ("v", (1,))):
        (gradient,) = cr.grad(y, [given[name]])
        found = explain(y, f"{name}{list(index)}", form=form, blocks=blocks)
        np.testing.assert_allclose(found.value, gradient.numpy()[index], rtol=1e-12, atol=1e-14)
        re_evaluated(found)


def test_a_number_repeated_is_multiplied_by_how_often() -> None:
    """Where the ones of w · [1, 1, 1] go, their number stays."""
    w = cr.tensor(2.0, name="w")
    assert write(tidy(cr.sum(w * np.ones(3)).node)).text == "3 · w"


def test_a_step_where_no_gradient_flows_says_so() -> None:
    w = cr.parameter(0.5)
    y = expression("E = floor(w)", w=w)
    found = explain(y, form="update", optimizer=cr.optim.SGD([w], lr=0.1))
    assert "∂E/∂w = 0    (no gradient flows back" in found.to_text()
    assert float(found.value) == 0.5


def test_a_block_at_a_kink_has_the_derivative_that_training_uses() -> None:
    """The body of relu is max(x, 0), whose derivative at 0 is ½."""
    y = expression("E = sum(relu(z)) + sum(leaky_relu(z))", z=[0.0, 1.0])
    for blocks in ("whole", "expanded"):
        np.testing.assert_allclose(explain(y, "z", blocks=blocks).value, [0.01, 2.0])


@pytest.mark.parametrize(("formula", "word"), [("log(w)", "inf"), ("1/w", "-inf"), ("w/w", "nan"), ("sum([1, 2]/w)", "-inf")])
def test_numbers_that_json_does_not_have_are_words(formula: str, word: str, tmp_path: Path) -> None:
    found = explain(expression(f"E = {formula}", w=0.0), "w")
    found.save(tmp_path / "x.json")
    read = json.loads((tmp_path / "x.json").read_text(), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert read["results"]["w"] == word
    np.testing.assert_equal(float(read["results"]["w"]), found.value.item())


def test_paths_that_add_up_to_nan() -> None:
    found = explain(expression("E = log(v) - log(v)", v=0.0), "v", form="path")
    assert np.isnan(found.value)


@pytest.mark.parametrize("form", ["graph", "path", "update"])
@pytest.mark.parametrize(
    ("formula", "w", "english", "chinese"),
    [
        (
            "E = sqrt(w)",
            -1.0,
            "sqrt(w) gives nan, where w = -1 (the root of a negative number is not defined)",
            "负数的平方根没有定义",
        ),
        ("E = log(w)", 0.0, "log(w) gives -inf, where w = 0 (the logarithm of 0 is −∞)", "0 的对数是 −∞"),
        (
            "E = w*w + log(w - 3)",
            1.0,
            "log(w - 3) gives nan, where w - 3 = -2 (the logarithm of a negative",
            "负数的对数没有定义",
        ),
        ("E = 1/w", 0.0, "1 / w gives inf, where w = 0 (division by 0)", "1 / w 得到 inf，此处 w = 0（除以 0）"),
        ("E = exp(w)", 1000.0, "exp(w) gives inf, where w = 1000 (e^x is larger than 1.8e+308", "e^x 就超过 1.8e+308"),
        ("E = sqrt(w)", 0.0, "0.5 / E gives inf, where E = 0 (division by 0)", "0.5 / E 得到 inf，此处 E = 0（除以 0）"),
        (
            "E = w*w",
            1e200,
            "w · w gives inf, where w = 1e+200 (larger than 1.8e+308, the largest number",
            "超过了该类型的最大数",
        ),
    ],
)
def test_what_is_no_finite_number_is_traced_to_its_operation(
    formula: str, w: float, english: str, chinese: str, form: Form
) -> None:
    p = cr.parameter(w)
    y = expression(formula, w=p)
    optimizer = cr.optim.SGD([p], lr=0.1) if form == "update" else None
    for language, words in (("en", english), ("zh", chinese)):
        found = explain(y, "w", form=form, language=language, optimizer=optimizer, detail="named")
        assert found.sections[-1].kind == "not-finite"
        assert words in found.sections[-1].remark.text  # type: ignore[union-attr]
        assert words[-10:] in found.to_text().replace("\n", " ")


def test_an_infinity_that_is_masked_is_no_fault() -> None:
    found = explain(expression("E = where(w > 0, w, log(w))*0 + where(w > 0, log(w), w)", w=0.0), "w", detail="named")
    assert "Not a finite number" in found.to_text()  # 0 · ∞ reaches E
    finite = explain(expression("E = where(w >= 0, w, 1/w)", w=2.0), "w")
    assert "Not a finite" not in finite.to_text()


def test_what_is_no_finite_number_is_set_in_print() -> None:
    latex = explain(expression("E = log(w_1)", w_1=0.0)).to_latex()
    assert r"$\log(w_{1})$ gives -inf, where $w_{1}$ = 0 (the logarithm of 0 is $-\infty$)\par" in latex


@pytest.mark.parametrize(
    ("formula", "english", "chinese"),
    [
        (
            "E = relu(z)",
            "relu(z) has no derivative at z = 0: by convention the derivative there is taken to be 0.",
            "导数取 0。",
        ),
        (
            "E = max(0, z)",
            "max(0, z) has no derivative at z = 0: by convention the derivative there is taken to be 0.5.",
            "导数取 0.5。",
        ),
        ("E = abs(z)", "|z| has no derivative at z = 0: by convention", "|z| 在 z = 0 处不可导：按约定，此处的导数取 0。"),
        ("h = z*2; E = max(h, z)", "max(h, z) has no derivative at h = z: by convention", "max(h, z) 在 h = z 处不可导"),
    ],
)
def test_a_kink_is_said_to_be_one(formula: str, english: str, chinese: str) -> None:
    for language, words in (("en", english), ("zh", chinese)):
        found = explain(expression(formula, z=0.0), "z", language=language, form="path")
        assert words in found.to_text().replace("\n", " ")


@pytest.mark.parametrize(
    "formula", ["E = relu(z)", "E = elu(z - 1)", "E = softplus(z - 1)", "E = sqrt(z)", "E = clip(z, 0, 2)"]
)
def test_elsewhere_there_is_no_kink(formula: str) -> None:
    assert "convention" not in explain(expression(formula, z=1.0), "z").to_text()


@pytest.mark.parametrize(
    ("formula", "values", "remark"),
    [
        ("E = max(v)", {"v": [1.0, 1.0, 0.0]}, "reach E = 1 at once, where max(v) has no derivative: by convention they share"),
        ("E = min(v)", {"v": [1.0, 1.0, 2.0]}, "reach E = 1 at once, where min(v) has no derivative: by convention they share"),
        (
            "h = max(v, axis=1); E = sum(h)",
            {"v": [[1.0, 2.0], [3.0, 3.0]]},
            "reach h[1] = 3 at once, where maxⱼ(v) has no derivative",
        ),
        (
            "Z = max_pool(v, 2); E = sum(Z)",
            {"v": [[[[3.0, 3.0], [1.0, 2.0]]]]},
            "reach Z[0, 0, 0, 0] = 3 at once, where MaxPool₂ₓ₂(v) has no derivative: by convention the first of them",
        ),
        ("E = x**x", {"x": 0.0}, "x^x has no derivative at x = 0: by convention the derivative there is taken to be 0."),
        ("E = x**y", {"x": 0.0, "y": 0.0}, "x^y has no derivative at x = y = 0: by convention"),
        ("E = sum(sign(v)*v)", {"v": [0.0, 1.0]}, "sign(v) has no derivative at v[0] = 0: by convention"),
        ("E = floor(x)*x", {"x": 2.0}, "floor(x) has no derivative at x = 2: by convention"),
    ],
)
def test_a_derivative_taken_by_convention_is_stated(formula: str, values: dict[str, Any], remark: str) -> None:
    assert remark in " ".join(explain(expression(formula, **values)).to_text().split())
    assert "按约定" in explain(expression(formula, **values), language="zh").to_text()


@pytest.mark.parametrize(
    ("formula", "values"),
    [
        ("E = maximum(x, x)", {"x": 3.0}),
        ("E = max(v)", {"v": [1.0, 1.0, 2.0]}),
        ("E = sum(max_pool(v, 2))", {"v": [[[[1.0, 1.0], [1.0, 2.0]]]]}),
        ("E = x**x", {"x": 1.0}),
        ("E = floor(x)*x", {"x": 2.5}),
    ],
)
def test_where_there_is_a_derivative_no_convention_is_stated(formula: str, values: dict[str, Any]) -> None:
    assert "convention" not in explain(expression(formula, **values)).to_text()


@pytest.mark.parametrize(
    ("formula", "values", "wrt"),
    [
        ("m = mean(x); d = x - m; E = sum(d*0.3)", {"x": [0.1, 0.2, 0.7]}, "x"),
        ("E = sum(layer_norm(x, w, b))", {"x": [0.1, 0.2, 0.7], "w": [1.0] * 3, "b": [0.0] * 3}, "x"),
        ("E = sum(softmax(x))", {"x": [0.3, 2.9, 4.1]}, "x"),
        ("a = 0.1*x; b = 0.2*x; c = 0.3*x; E = a + b - c", {"x": 1.0}, "x"),
    ],
)
@pytest.mark.parametrize("form", ["graph", "path"])
def test_what_rounding_leaves_of_terms_that_cancel_is_0(formula: str, values: dict[str, Any], wrt: str, form: Form) -> None:
    element = f"{wrt}[0]" if form == "path" and np.ndim(values[wrt]) else wrt
    found = explain(expression(formula, **values), element, form=form)
    assert not np.any(found.value)
    (*_, last) = (s for s in found.steps() if s.name == f"dE/d{element}")
    assert last.value is not None and not np.any(last.value)
    assert not any("×10⁻¹" in e.text for e in last.equations)


@pytest.mark.parametrize(
    ("formula", "values"),
    [("E = sigmoid(x)", {"x": 36.0}), ("E = x*1e-30", {"x": 1.0}), ("E = x - x*0.9999999999", {"x": 1.0})],
)
def test_a_small_gradient_that_is_no_rounding_is_shown(formula: str, values: dict[str, Any]) -> None:
    assert explain(expression(formula, **values)).value > 0.0


def test_a_kink_is_looked_for_beside_an_infinite_value_without_a_warning() -> None:
    assert "Not a finite number" in explain(expression("a = log(x); E = abs(a)", x=0.0)).to_text()


@pytest.mark.parametrize(
    ("formula", "lines"),
    [
        ("y = a + b - c; E = y*2", ["y = a + b - c = 0.1 + 0.2 - 0.3 = 0", "E = y · 2 = 0 · 2 = 0"]),
        ("y = a + b - c; E = y**2", ["E = y² = 0² = 0"]),
        ("y = a + b - c; E = 1/y", ["E = 1 / y = 1 / (5.55112×10⁻¹⁷) = 1.80144×10¹⁶"]),  # not 1 / 0
        ("y = a + b; E = y - c - 1e-10", ["E = y - c - 1×10⁻¹⁰ = 0.3 - 0.3 - 1×10⁻¹⁰ = -1×10⁻¹⁰"]),
    ],
)
def test_what_rounding_leaves_of_a_value_is_shown_as_zero(formula: str, lines: list[str]) -> None:
    text = str(explain(expression(formula, a=0.1, b=0.2, c=0.3)))
    for line in lines:
        assert line in text, text


def test_the_sum_of_what_a_batch_norm_gives_is_zero() -> None:
    formula = "m = mean(X, axis=0); v = var(X, axis=0); Y = batch_norm(X, m, v, g, b); E = sum(Y)"
    output = expression(formula, X=[[1.0, 2.0], [3.0, 4.0], [5.0, 9.5]], g=[1.5, 0.7], b=[0.0, 0.0])
    assert output.item() != 0.0
    assert "E = Σ Y = 0" in str(explain(output, "X"))
