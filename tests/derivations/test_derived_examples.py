"""The worked examples of the founding tutorials, derived: every number, in symbols too."""

from __future__ import annotations

import numpy as np
import pytest
from derivation_checks import re_evaluated

import chainrule as cr
from chainrule.derivations import explain, expression
from chainrule.grading import check
from chainrule.tensors import Tensor
from worked_network import FORWARD, GRADIENTS, STEP, worked_network


def words(text: str) -> str:
    """Text with single spaces, whatever its columns."""
    return " ".join(text.split())


def test_the_car() -> None:
    total = expression("taxed = price*tax; total = taxed*count", price=20.0, tax=1.1, count=2.0)
    found = explain(total, ["price", "tax", "count"])
    assert [s.value.item() for s in found.steps() if s.kind in ("seed", "gradient")][:3] == [1.0, 22.0, 2.0]
    assert {n: float(v) for n, v in found.results.items()} == pytest.approx({"price": 2.2, "tax": 40.0, "count": 22.0})
    assert "∂total/∂price = ∂total/∂taxed · tax = 2 · 1.1 = 2.2" in found.to_text()


def test_node_rules() -> None:
    rng = np.random.default_rng(0)
    x, w, b = (cr.tensor(rng.normal(size=s), name=n) for n, s in (("X", (4, 3)), ("W", (3, 2)), ("b", (2,))))
    h = cr.affine(x, w, b).named("H")
    cost = (cr.relu(h) ** 2).sum().named("C")
    text = words(explain(cost, [x, w, b], detail="named").to_text())
    assert "∂C/∂X = ∂C/∂H @ Wᵀ" in text
    assert "∂C/∂W = Xᵀ @ ∂C/∂H" in text
    assert "∂C/∂b = Σᵢ ∂C/∂H" in text
    added = expression("z = a*b; y = z + c; E = y*d", a=2.0, b=3.0, c=4.0, d=5.0)
    rules = words(explain(added, ["a", "b", "c"]).to_text())
    assert "∂E/∂c = ∂E/∂y = 5" in rules
    assert "∂E/∂a = ∂E/∂z · b = 5 · 3 = 15" in rules
    assert "∂E/∂b = ∂E/∂z · a = 5 · 2 = 10" in rules


@pytest.mark.parametrize("blocks", ["whole", "expanded"])
def test_softmax_with_loss_whole_and_expanded(blocks: str) -> None:
    a = cr.tensor([0.3, 2.9, 4.0], name="a")
    loss = cr.softmax_with_loss(a, [0.0, 0.0, 1.0]).named("L")
    found = explain(loss, a, blocks=blocks)
    np.testing.assert_allclose(found.value, [0.0182112733, 0.2451918129, -0.2634030862], atol=1e-10)
    assert loss.item() == pytest.approx(0.3057144648, abs=1e-10)
    re_evaluated(found)
    assert len(list(found.steps())) > (10 if blocks == "expanded" else 3)


def test_every_number_of_the_graph_form() -> None:
    output, _ = worked_network()
    found = explain(output)
    values = {s.name: s.value.item() for s in found.steps()}
    assert {n: values[n] for n in FORWARD} == pytest.approx(FORWARD, abs=6e-11)
    assert {n: values[f"dE/d{n}"] for n in GRADIENTS} == pytest.approx(GRADIENTS, abs=6e-11)


@pytest.mark.parametrize("name", sorted(GRADIENTS))
def test_path_form(name: str) -> None:
    output, _ = worked_network()
    found = explain(output, name, form="path")
    assert float(found.value) == pytest.approx(GRADIENTS[name], abs=6e-11)
    re_evaluated(found)


def test_the_path_as_the_tutorial_writes_it() -> None:
    output, _ = worked_network()
    text = explain(output, "w13", form="path").to_text()
    assert "∂E/∂w₁₃ = (O₅ - t₅) · O₅(1 - O₅) · w₃₅ · O₃(1 - O₃) · x₁" in text
    assert "= 0.190283 · 0.213792 · 0.3 · 0.217504 · 0.35" in text
    assert "= 0.00092907\n" in text


def test_one_step() -> None:
    output, optimizer = worked_network()
    found = explain(output, list(STEP), form="update", optimizer=optimizer)
    assert {n: float(found.results[f"{n}'"]) for n in STEP} == pytest.approx(STEP, abs=6e-11)
    assert "w₁₃′ = w₁₃ - η · ∂E/∂w₁₃" in words(found.to_text())
    assert check(output, {"O5'": 0.6820185833, "E'": 0.0165653823}, optimizer=optimizer).correct


def m7() -> Tensor:
    rng = np.random.default_rng(7)
    names = ["w111", "w112", "b11", "w121", "w122", "b12", "w211", "w212", "b21", "w221", "w222", "b22", "x1", "x2", "y1", "y2"]
    given = {name: float(v) for name, v in zip(names, np.round(rng.uniform(0.1, 0.9, len(names)), 3), strict=True)}
    return expression(
        """
        z11 = w111*x1 + w112*x2 + b11; z12 = w121*x1 + w122*x2 + b12; a11 = sigmoid(z11); a12 = sigmoid(z12)
        z21 = w211*a11 + w212*a12 + b21; z22 = w221*a11 + w222*a12 + b22; a21 = sigmoid(z21); a22 = sigmoid(z22)
        e1 = 0.5*(a21 - y1)**2; e2 = 0.5*(a22 - y2)**2; e = e1 + e2
        """,
        **given,
    )


def test_formulas_and_both_totals_can_be_asked_for() -> None:
    one = "(a21 - y1)*a21*(1 - a21)*w211*a11*(1 - a11)*x1"
    grading = check(
        m7(),
        {
            "de/dw211": "(a21 - y1)*a21*(1 - a21)*a11",
            "de/db21": "(a21 - y1)*a21*(1 - a21)",
            "de1/dw111": one,
            "de/dw111": one,
        },
    )
    assert [f.verdict for f in grading.values()] == ["right", "right", "right", "wrong"]
    assert grading["de/dw111"].kind == "missing-path"
    assert "e₁" in grading["de/dw111"].message
    assert len([s for s in explain(m7(), "w111", form="path").steps() if s.kind == "path"]) == 2


def test_error_attribution_beside_the_gradient() -> None:
    w = cr.parameter([[2.0, 3.0], [1.0, 4.0]], name="W2")  # (out, hidden)
    first = cr.parameter([[0.5, 0.2], [0.1, 0.7]], name="W1")
    h = cr.sigmoid(first @ cr.tensor([1.0, 0.5], name="x"))
    cost = 0.5 * (((w @ h) - cr.tensor([0.4, 1.2], name="t")) ** 2).sum()
    found = explain(cost, form="attribution")
    error = (w.numpy() @ h.numpy()) - [0.4, 1.2]
    np.testing.assert_allclose(found.results["e^2"], error)
    np.testing.assert_allclose(found.results["e^1"], [2 / 5 * error[0] + 1 / 5 * error[1], 3 / 5 * error[0] + 4 / 5 * error[1]])
    np.testing.assert_allclose(found.results["E^1"], w.numpy().T @ error)
    np.testing.assert_allclose(found.results["delta^1"], (w.numpy().T @ error) * h.numpy() * (1 - h.numpy()))
    assert "heuristic, not the gradient" in found.to_text()
    assert "启发式" in explain(cost, form="attribution", language="zh").to_text()


def test_general_sums_are_the_paths_added_up() -> None:
    output = m7()
    found = explain(output, "z11")
    step = next(s for s in found.steps() if s.name == "de/da11")
    assert step.equations[0].text == "∂e/∂z₂₁ · w₂₁₁ + ∂e/∂z₂₂ · w₂₂₁"
    re_evaluated(found)


def test_matrix_form_with_columns() -> None:
    rng = np.random.default_rng(1)
    x, t = cr.tensor(rng.normal(size=2), name="x"), cr.tensor(rng.normal(size=2), name="t")
    weights = [cr.parameter(rng.normal(size=s)) for s in ((3, 2), (4, 3), (2, 4))]
    biases = [cr.parameter(rng.normal(size=n)) for n in (3, 4, 2)]
    a = x
    for w, b in zip(weights, biases, strict=True):
        a = cr.sigmoid(w @ a + b)
    cost = (0.5 * ((a - t) ** 2).sum()).named("C")
    found = explain(cost, form="matrix", wrt=[*weights, *biases])
    text = words(found.to_text())
    assert "z² = W² @ a¹ + b²" in text
    assert "δ³ = (a³ - t) ⊙ a³ ⊙ (1 - a³)" in text
    assert "δ² = (W³ᵀ @ δ³) ⊙ a² ⊙ (1 - a²)" in text
    assert "∂C/∂W² = δ² @ a¹ᵀ" in text
    assert "∂C/∂b² = δ²" in text
    for p, g in zip([*weights, *biases], cr.grad(cost, [*weights, *biases]), strict=True):
        name = next(n for n, v in found.results.items() if v.shape == p.shape and np.allclose(v, g.numpy(), rtol=1e-12))
        assert name[0] in "Wb"


def test_binary_cross_entropy_gives_a_minus_y() -> None:
    rng = np.random.default_rng(2)
    x, y = cr.tensor(rng.normal(size=3), name="x"), cr.tensor([1.0], name="y")
    parameters = [cr.parameter(rng.normal(size=s)) for s in ((4, 3), (4,), (1, 4), (1,))]
    w1, b1, w2, b2 = range(4)  # places in the list, so that no Python variable gives a name
    top = parameters[w2] @ cr.sigmoid(parameters[w1] @ x + parameters[b1]) + parameters[b2]
    loss = cr.binary_cross_entropy_with_logits(top, y).sum().named("L")
    text = explain(loss, parameters, form="matrix").to_text()
    for line in (
        "δ² = σ(z²) - y",
        "∂L/∂W² = δ² @ a¹ᵀ",
        "∂L/∂b² = δ²",
        "δ¹ = (W²ᵀ @ δ²) ⊙ a¹ ⊙ (1 - a¹)",
        "∂L/∂W¹ = δ¹ @ xᵀ",
        "∂L/∂b¹ = δ¹",
    ):
        assert line in words(text)


def gates(x1: float, x2: float) -> Tensor:
    return expression(
        "AND = sigmoid(-30 + 20*x1 + 20*x2); NOR = sigmoid(10 - 20*x1 - 20*x2); XNOR = sigmoid(-10 + 20*AND + 20*NOR)",
        x1=x1,
        x2=x2,
    )


def test_gates_and_their_errata() -> None:
    outputs = [round(gates(a, b).item(), 5) for a, b in ((0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0))]
    assert outputs == [0.99995, 0.00005, 0.00005, 0.99995]
    grading = check(
        gates(1.0, 0.0),
        {
            "AND": "1/(1 + exp(30 - 20*x1 - 20*x2))",
            "NOR": "1/(1 + exp(10 - 20*x1 - 20*x2))",
            "XNOR": "1/(1 + exp(-10 + 20*AND + 20*NOR))",
            "XOR": "sigmoid(-10 + 20*AND + 20*NOR)",
        },
    )
    assert [f.kind for f in grading.values()] == [None, "sign", "sign", "equals-other-quantity"]
    assert "There is no XOR in this calculation. That is XNOR." in grading["XOR"].message


def test_second_derivatives() -> None:
    x = cr.tensor(0.7, name="x")
    (slope,) = cr.grad(cr.sigmoid(x).named("y"), [x])
    s = 1 / (1 + np.exp(-0.7))
    for form in ("graph", "path"):
        found = explain(slope.named("dy/dx"), x, form=form)
        assert float(found.value) == pytest.approx(s * (1 - s) * (1 - 2 * s), rel=1e-12)
    assert "∂(∂y/∂x)/∂x" in explain(slope, x).to_text()
