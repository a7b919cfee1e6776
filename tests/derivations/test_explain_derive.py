"""What `explain` takes, refuses and shows."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from derivation_checks import re_evaluated

import chainrule as cr
from chainrule.derivations import Derivation, explain, expression
from chainrule.derivations.render.html import pieces
from chainrule.derivations.symbols import agreeing_digits, number, symbol
from chainrule.errors import ArgumentError, GradientError, ShapeError
from chainrule.language import LANGUAGES
from chainrule.optim import OPTIMIZERS


# -------------------------------------------------------------------------------------------- symbols and numbers
@pytest.mark.parametrize(
    ("name", "text", "latex"),
    [
        ("w13", "w₁₃", "w_{13}"),
        ("O5", "O₅", "O_{5}"),
        ("dE/dw13", "∂E/∂w₁₃", r"\frac{\partial E}{\partial w_{13}}"),
        ("d(dE/dx)/dx", "∂(∂E/∂x)/∂x", r"\frac{\partial \left(\frac{\partial E}{\partial x}\right)}{\partial x}"),
        ("delta^2", "δ²", r"\delta^{2}"),
        ("w13'", "w₁₃′", r"w_{13}^{\prime}"),
        ("W1[0, 1]", "W₁[0, 1]", "W_{1}[0, 1]"),
        ("price", "price", r"\mathrm{price}"),
        ("h#2", "h⁽²⁾", "h^{(2)}"),
        ("e_o1", "e_o1", r"e_{\mathrm{o1}}"),
        ("0.weight", "0.weight", r"\mathrm{0.weight}"),
        ("价格", "价格", r"\text{价格}"),
        ("my_very_long_name", "my_very_long_name", r"\mathrm{my\_very\_long\_name}"),
    ],
)
def test_symbols(name: str, text: str, latex: str) -> None:
    assert (symbol(name).text, symbol(name).latex) == (text, latex)


@pytest.mark.parametrize(
    ("value", "text", "latex"),
    [
        (0.19028349, "0.190283", "0.190283"),
        (440000.0, "440000", "440000"),
        (-0.0, "0", "0"),
        (9.8546e-9, "9.8546×10⁻⁹", r"9.8546 \times 10^{-9}"),
        (1.5e12, "1.5×10¹²", r"1.5 \times 10^{12}"),
        (12345678.9, "1.23457×10⁷", r"1.23457 \times 10^{7}"),
        (123456.7, "123457", "123457"),
        (math.inf, "∞", r"\infty"),
        (math.nan, "nan", r"\mathrm{nan}"),
        (True, "1", "1"),
    ],
)
def test_numbers(value: float, text: str, latex: str) -> None:
    assert (number(value, 6).text, number(value, 6).latex) == (text, latex)


def test_shown_parts_give_the_shown_result() -> None:
    rng = np.random.default_rng(0)
    for _ in range(300):
        parts = list(rng.uniform(-1, 1, size=rng.integers(2, 6)) * 10.0 ** rng.integers(-3, 3))
        for calculate in (math.prod, math.fsum):
            digits, shown = agreeing_digits(parts, calculate, calculate(parts), 6)
            displayed = [float(number(v, digits).text) for v in parts]
            assert number(calculate(displayed), shown) == number(calculate(parts), shown)
            assert shown >= 5


def test_terms_that_nearly_cancel_get_more_digits() -> None:
    digits, _ = agreeing_digits([1.23456789, -1.23456123], math.fsum, 1.23456789 - 1.23456123, 6)
    assert digits > 6


# -------------------------------------------------------------------------------------------- names
def test_python_variables_give_names() -> None:
    speed = cr.tensor(3.0)
    time = cr.tensor(2.0)
    distance = speed * time
    found = explain(distance, speed)
    assert (found.output, found.wrt) == ("distance", ("speed",))


def test_python_variables_name_layers_where_every_layer_has_one() -> None:
    x = cr.tensor([0.35, 0.9])
    first, second = cr.parameter([[0.1, 0.8], [0.4, 0.6]]), cr.parameter([[0.3, 0.9]])
    cost = (cr.sigmoid(second @ cr.sigmoid(first @ x)) ** 2).sum()
    assert explain(cost, form="matrix").wrt == ("first", "second", "x")
    a = x
    for w in (first, second):
        a = cr.sigmoid(w @ a)
    del first, second
    assert explain((a**2).sum(), form="matrix").wrt == ("W^1", "W^2", "x")


def test_weights_come_right_after_what_they_are_made_of() -> None:
    E = expression("h = sigmoid(w1*x); y = w2*h; E = (y - t)**2", w1=0.3, w2=0.5, x=2.0, t=1.0)
    names = [s.name for s in explain(E, ["w1", "w2"]).steps() if s.kind in ("seed", "gradient")]
    assert names == ["dE/dE", "dE/dy", "dE/dw2", "dE/dh", "dE/dw1"]


def test_a_sum_of_targets_that_is_one_is_left_out() -> None:
    a = cr.tensor([0.3, 2.9, 4.0], name="a")
    for target, formula in (([0.0, 0.0, 1.0], "softmax(a) - t"), ([0.0, 1.0, 1.0], "softmax(a) · Σ t - t")):
        loss = cr.softmax_with_loss(a, cr.tensor(target, name="t"))
        step = next(s for s in explain(loss, a).steps() if s.kind == "gradient")
        assert step.equations[-1].text == formula
    assert "since Σ t = 1" in explain(cr.softmax_with_loss(a, cr.tensor([1.0, 0.0, 0.0], name="t")), a).to_text()


def test_an_update_without_names_is_of_all_parameters_held() -> None:
    w, b, x = (cr.parameter(n, name=name) for n, name in ((0.4, "w"), (0.1, "b"), (2.0, "x")))
    found = explain((w * x + b) ** 2, form="update", optimizer=OPTIMIZERS["SGD"]([w, b], lr=0.5))
    assert set(found.results) == {"w'", "b'"}


def test_made_up_names_are_unique() -> None:
    values = [cr.tensor(float(k)) for k in range(3)]
    found = explain(values[0] * values[1] + cr.sigmoid(values[2]), detail="all")
    names = [s.name for s in found.steps() if s.kind in ("given", "value")]
    assert len(set(names)) == len(names) == 6
    one, other = cr.tensor(1.0, name="x"), cr.tensor(2.0, name="x")
    assert explain(one * other).wrt == ("x", "x#2")


def test_an_element_can_be_asked_for_in_three_ways() -> None:
    w = cr.parameter([[0.1, 0.8], [0.4, 0.6]], name="W")
    cost = ((w @ np.array([1.0, 2.0])) ** 2).sum()
    by_index = explain(cost, w[0, 1])
    by_name = explain(cost, "W[0, 1]")
    by_negative = explain(cost, w[0, -1])
    assert by_index.wrt == by_name.wrt == by_negative.wrt == ("W[0, 1]",)
    assert float(by_index.value) == float(by_name.value) == pytest.approx(2 * 1.7 * 2)
    assert float(explain(cost, "W[0, 1]", form="path").value) == pytest.approx(2 * 1.7 * 2)


def test_a_number_has_no_elements() -> None:
    y = expression("y = w*x", w=1.0, x=1.0)
    with pytest.raises(ArgumentError, match=r"w has the shape \(\). It is one number: write w."):
        explain(y, "w[0]")


def test_values_can_be_given() -> None:
    weight, other = cr.parameter(2.0), cr.tensor(3.0)
    assert float(explain(weight * other, weight, at={"other": 5.0}).value) == 5.0  # by the name of the Python variable
    y = expression("y = w*x**2", w=1.0, x=1.0)
    assert float(explain(y, "w", at={"x": 3.0}).value) == 9.0
    with pytest.raises(ArgumentError, match="leaves of this calculation"):
        explain(y, "w", at={"z": 3.0})
    with pytest.raises(ShapeError, match="it must be"):
        explain(y, "w", at={"x": [1.0, 2.0]})


# -------------------------------------------------------------------------------------------- as a person would write it
def shown(derivation: Derivation, name: str) -> str:
    """The right-hand sides of a step and its value, as text."""
    step = next(s for s in derivation.steps() if s.name == name)
    assert step.value is not None
    return " = ".join([*(e.text for e in step.equations), number(step.value.item(), step.digits).text])


def test_second_derivatives_are_written_plainly() -> None:
    """The gradient graph begins with factors 1 and -1, and repeats terms; nobody writes these."""
    a = cr.tensor(0.7)
    s = cr.sigmoid(a)
    (s1,) = cr.grad(s, [a])
    found = explain(s1, a)
    assert shown(found, "s1") == "s(1 - s) = 0.668188(1 - 0.668188) = 0.221713"
    assert shown(found, "ds1/ds") == "1 - 2 · s = -0.336376"
    (s2,) = cr.grad(s1, [a])
    assert shown(explain(s2, a), "s2").startswith("(1 - s - s) · s(1 - s) = ")
    assert shown(explain(s2, a), "ds2/ds").startswith("(1 - 2 · s)(1 - s) - (1 - 2 · s) · s - 2 · s(1 - s) = ")
    re_evaluated(explain(s2, a))
    (slope,) = cr.grad(a * 3.0, [a])  # 1 · 3
    assert shown(explain(slope * a, a), "slope") == "3"


@pytest.mark.parametrize(
    ("formula", "derivative"),
    [
        ("x + x", "2"),
        ("3*x - x - 2*x", "0"),
        ("x*x + x*x + x", "1 + 4 · x = 9"),
        ("exp(x) + exp(x)", "2 · exp(x)"),
        ("1*x*-1", "-1"),
        ("x**y", "y · x^(y - 1)"),
        ("2**x", "0.693147 · y₂"),
        ("where(x > 1, x, 0.5*x)", "[x > 1] + 0.5 · [¬(x > 1)] = 1"),
        ("x/3", "0.333333"),
        ("x*0.123456789", "0.123456789"),
        ("x*123456789", "123456789"),
    ],
)
def test_derivatives_are_written_plainly(formula: str, derivative: str) -> None:
    y = expression(f"y2 = {formula}", x=2.0, **({"y": 3.0} if "y" in formula else {}))
    assert derivative in shown(explain(y, "x", detail="named"), "dy2/dx"), shown(explain(y, "x", detail="named"), "dy2/dx")


def test_numbers_in_formulas_have_the_precision_asked_for() -> None:
    y = expression("y = x/3 * 0.123456789123", x=2.0)
    assert shown(explain(y, "x", precision=4, detail="named"), "dy/dx") == "0.04115"
    assert shown(explain(y, "x", precision=10, detail="named"), "dy/dx") == "0.04115226304"
    assert shown(explain(y, "x", precision=4, detail="named"), "y").startswith("x / 3 · 0.123456789123 = ")
    assert "1.2×10⁸" in explain(expression("y = x*w", x=123456789.0, w=1.0), "x", precision=2).to_text()


def test_what_happened_by_default_is_in_the_order_of_a_reader() -> None:
    y = expression("y = w10*x + w2*x", w10=1.0, w2=2.0, x=3.0)
    assert explain(y).title.text == "How y depends on w₂, w₁₀ and x"


# -------------------------------------------------------------------------------------------- forms and options
def test_paths_beyond_the_limit_are_summed() -> None:
    w = cr.parameter(np.linspace(0.1, 1.0, 9), name="w")
    x = cr.tensor(0.5, name="x")
    found = explain((cr.sin(w * x)).sum(), x, form="path", most=3)
    steps = list(found.steps())
    assert sum(s.kind == "path" for s in steps) == 3
    assert steps[-1].parts[-1].rule == "rest"
    assert "the other 6 paths together" in steps[-1].parts[-1].formula.text
    re_evaluated(found)


def test_large_sums_list_the_largest_terms() -> None:
    rng = np.random.default_rng(0)
    w1, w2 = cr.parameter(rng.normal(size=(20, 4))), cr.parameter(rng.normal(size=(30, 20)))
    x = cr.tensor(rng.normal(size=4), name="x")
    cost = ((w2 @ cr.tanh(w1 @ x)) ** 2).sum()
    found = explain(cost, w1[3, 2], form="matrix", most=5)
    delta = next(s for s in found.steps() if s.name == "delta^1[3]")
    assert [p.rule for p in delta.parts] == ["product"] * 5 + ["rest"]
    assert delta.note.text.startswith("the 5 largest of 30 terms")
    re_evaluated(found)
    assert float(found.value) == pytest.approx(cr.grad(cost, [w1])[0].numpy()[3, 2], rel=1e-12)


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_every_optimiser_is_explained_as_it_steps(name: str) -> None:
    w = cr.parameter([0.4, -0.3], name="w")
    b = cr.parameter(0.2, name="b")
    optimizer = OPTIMIZERS[name]([w, b], lr=0.1, weight_decay=0.01)
    for _ in range(3):
        cost = ((w * np.array([1.0, 2.0])).sum() * b - 1.0) ** 2
        found = explain(cost, [w, b, w[1]], form="update", optimizer=optimizer)
        assert found.to_latex()
        optimizer.zero_grad()
        cost.backward()
        optimizer.step()
        np.testing.assert_allclose(found.results["w'"], w.numpy(), rtol=1e-12)
        np.testing.assert_allclose(found.results["b'"], b.numpy(), rtol=1e-12)
        np.testing.assert_allclose(found.results["w[1]'"], w.numpy()[1], rtol=1e-12)


def test_float32_is_explained_as_it_ran() -> None:
    w = cr.parameter(np.float32([0.1, 0.2]), name="w")
    cost = cr.sigmoid(w).sum()
    found = explain(cost, w)
    assert found.value.dtype == np.float32
    np.testing.assert_array_equal(found.value, cr.grad(cost, [w])[0].numpy())


def test_a_chain_of_any_length() -> None:
    x = cr.tensor(0.3, name="x")
    y = x
    for _ in range(1200):
        y = cr.sin(y) + 0.001
    found = explain(y.named("y"), x, detail="named")
    assert float(found.value) == pytest.approx(cr.grad(y, [x])[0].item(), rel=1e-12)
    assert float(explain(y, x, form="path").value) == pytest.approx(float(found.value), rel=1e-9)


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"form": "poem"}, ArgumentError, "the form 'poem'"),
        ({"language": "fr"}, ArgumentError, "there are 'en' and 'zh'"),
        ({"precision": 0}, ArgumentError, "from 1 to 17"),
        ({"wrt": "v"}, ArgumentError, "this calculation has"),
        ({"wrt": "W[5, 0]"}, ArgumentError, "indices in range"),
        ({"wrt": "W", "form": "path"}, ArgumentError, "one number"),
        ({"form": "update"}, ArgumentError, "without an optimizer"),
        ({"form": "attribution"}, ArgumentError, "hidden layer"),
    ],
)
def test_wrong_use(settings: dict[str, object], error: type[Exception], words: str) -> None:
    w = cr.parameter([[0.1, 0.2]], name="W")
    cost = (w @ cr.tensor([1.0, 2.0], name="x")).sum()
    with pytest.raises(error) as caught:
        explain(cost, **settings)
    assert words in str(caught.value)


def test_more_wrong_use() -> None:
    x = cr.tensor(1.0, name="x")
    with pytest.raises(ArgumentError, match="takes a Tensor"):
        explain(3.0)
    with pytest.raises(GradientError, match="not part of the calculation"):
        explain(x * 2.0, cr.tensor(1.0, name="y"))
    with pytest.raises(GradientError, match="step"):
        explain(cr.step(x) * 2.0, x)
    with pytest.raises(ArgumentError, match="without layers"):
        explain(x * 2.0, form="matrix")
    with pytest.raises(ArgumentError, match="paths start at a scalar"):
        explain(cr.tensor([1.0, 2.0], name="v") * 2.0, "v[0]", form="path")
    with pytest.raises(GradientError, match="nothing to differentiate with respect to"):
        explain(cr.tensor([1, 2]).sum() * 1.0)
    with pytest.raises(GradientError, match="must be floating"):
        explain(cr.tensor([1, 2]).sum())


# -------------------------------------------------------------------------------------------- data and formats
def small() -> Derivation:
    return explain(expression("h = sigmoid(w*x); E = 0.5*(h - t)**2", w=0.5, x=2.0, t=0.25), "w", form="path")


def test_the_schema() -> None:
    data = json.loads(json.dumps(small().to_dict()))
    assert set(data) == {"schema", "form", "language", "title", "output", "wrt", "results", "sections"}
    assert (data["schema"], data["form"], data["output"], data["wrt"]) == ("chainrule/derivation/1", "path", "E", ["w"])
    assert [s["kind"] for s in data["sections"]] == ["given", "forward", "paths"]
    step = data["sections"][-1]["steps"][0]
    assert set(step) == {"kind", "name", "symbol", "equations", "value", "shape", "note", "parts"}
    assert step["name"] == "dE/dw"
    factors = step["parts"][0]["factors"]
    assert [f["text"] for f in factors] == ["h - t", "h(1 - h)", "x"]
    assert math.prod(f["value"] for f in factors) == pytest.approx(data["results"]["w"], rel=1e-12)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("ending", [".txt", ".md", ".tex", ".html", ".json"])
def test_files(tmp_path, ending: str, language: str) -> None:
    pytest.importorskip("math_core", reason="HTML needs math-core")
    file = tmp_path / f"derivation{ending}"
    explain(expression("y = w*x", w=1.0, x=2.0), "w", language=language).save(file)
    assert ("已知" in file.read_text(encoding="utf-8")) == (language == "zh")
    with pytest.raises(ArgumentError, match=r"written as .*\.json"):
        small().save(tmp_path / "derivation.doc")


def test_a_page_needs_nothing_from_outside() -> None:
    pytest.importorskip("math_core", reason="HTML needs math-core")
    page = small().to_html()
    assert "http://" not in page.replace("http://www.w3.org/1998/Math/MathML", "")
    assert "https://" not in page
    assert "<script" not in page
    assert page.count("<math") == page.count("</math>") > 10


def test_notebooks_get_markdown_with_formulas() -> None:
    text = small()._repr_markdown_()
    assert r"$$ \frac{\partial E}{\partial w} = (h - t) \cdot h(1 - h) \cdot x = " in text


@pytest.mark.parametrize("name", ["a$b", "50%", "x_{1}", "w & v", "价格_1", "a<b>", r"back\slash", "#1", "~", "^"])
def test_names_with_special_characters(name: str) -> None:
    pytest.importorskip("math_core", reason="HTML needs math-core")
    x = cr.tensor(2.0, name=name)
    found = explain(cr.sigmoid(x * x).named("y"), x)
    assert found.to_html().count("<math") > 5
    assert name in found.to_text() or symbol(name).text in found.to_text()
    assert found.to_latex()


def test_formulas_break_only_between_terms_and_factors() -> None:
    pytest.importorskip("math_core", reason="HTML needs math-core")
    assert pieces(r"= a[0, 1] \cdot \left( b + c \right) - x_{i + 1} + d") == [
        r"= a[0, 1] \cdot \left( b + c \right)",
        "{} - x_{i + 1}",
        "{} + d",
    ]
    assert pieces(r"= a \cdot \left( b + c \right)") == ["= a", r"{} \cdot \left( b + c \right)"]
    assert pieces(r"= - \begin{pmatrix} 1 + 2 & 3 \end{pmatrix} \odot y") == [
        r"= - \begin{pmatrix} 1 + 2 & 3 \end{pmatrix}",
        r"{} \odot y",
    ]


@pytest.mark.parametrize("blocks", ["whole", "expanded"])
def test_the_weight_of_a_layer_is_what_is_learnt_not_the_data_beside_it(blocks: str) -> None:
    rng = np.random.default_rng(0)
    X, W, V = (rng.normal(size=shape) for shape in ((3, 2), (2, 3), (3, 1)))
    data, w, v = cr.tensor(X, name="X"), cr.parameter(W, name="W"), cr.parameter(V, name="V")
    by_hand = ((cr.sigmoid(data @ w) @ v) ** 2).sum().named("E")
    model = cr.nn.Sequential(cr.nn.Linear(2, 3), cr.nn.Sigmoid(), cr.nn.Linear(3, 1))
    for output, weights in ((by_hand, {"W", "V"}), ((model(data) ** 2).sum().named("E"), {"W^1", "W^2"})):
        steps = cr.explain(output, form="matrix", blocks=blocks).steps()
        notes = {step.name: step.note.text for step in steps if step.note is not None and "weight of layer" in step.note.text}
        assert set(notes) == {f"dE/d{name}" for name in weights}
