"""Formulas without what only a computer needs: shifts against overflow, and steps that hand a value on."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr

X = [0.3, -1.2, 2.0]


def test_the_gradient_of_logsumexp_is_written_as_softmax() -> None:
    x = cr.tensor(X, name="x")
    output = cr.logsumexp(x).named("L")
    path, graph = cr.explain(output, "x[0]", form="path"), cr.explain(output, "x")
    assert "∂L/∂x[0] = exp(x[0]) / (exp(x[0]) + exp(x[1]) + exp(x[2])) = 0.149319" in str(path)
    assert "∂L/∂x = exp(x) / (Σ exp(x)) = [ 0.149319  0.0333175  0.817364 ]" in str(graph)
    assert r"\mathrm{stop}" not in graph.to_latex()
    expected = np.exp(X) / np.sum(np.exp(X))
    np.testing.assert_allclose(path.results["x[0]"], expected[0], rtol=1e-14)
    np.testing.assert_allclose(graph.results["x"], expected, rtol=1e-14)


@pytest.mark.parametrize(
    ("axis", "formula"), [(1, "exp(X) / (Σⱼ exp(X))"), ((0, 1), "exp(X) / (Σ exp(X))"), (0, "exp(X) / (Σᵢ exp(X))")]
)
@pytest.mark.parametrize("keepdims", [False, True])
def test_over_any_axes(axis: int | tuple[int, ...], formula: str, keepdims: bool) -> None:
    table = cr.tensor([X, [1.0, 2.0, 3.0]], name="X")
    output = cr.sum(cr.logsumexp(table, axis=axis, keepdims=keepdims) * 2.0).named("L")
    found = cr.explain(output, "X")
    assert formula in str(found)
    assert "stop" not in str(found)
    power = np.exp(table.numpy())
    np.testing.assert_allclose(found.results["X"], 2.0 * power / np.sum(power, axis=axis, keepdims=True), rtol=1e-14)


@pytest.mark.parametrize("x", [[1000.0, 1001.0], [-1000.0, -1001.0]])
def test_where_it_does_overflow_the_shift_stays(x: list[float]) -> None:
    found = cr.explain(cr.logsumexp(cr.tensor(x, name="x")).named("L"), "x[0]", form="path")
    assert "stop(" in str(found)
    assert "nan" not in str(found)
    assert found.results["x[0]"] == pytest.approx(1 / (1 + np.exp(x[1] - x[0])), rel=1e-12)


def test_steps_that_hand_a_value_on_vanish() -> None:
    y = cr.tensor([[1.0, 2.0], [3.0, 4.0]], name="y")
    output = cr.sum(cr.reshape(y[:, :] * 2.0, (2, 2))[:]).named("L")
    for form, wrt in (("graph", "y"), ("path", "y[0, 1]")):
        found = cr.explain(output, wrt, form=form)  # type: ignore[arg-type]
        text = str(found)
        assert "v₁ = y · 2 =" in text, text
        assert "L  = Σ v₁ = 20" in text, text
        assert "v₂" not in text, text
        assert np.all(found.results[wrt] == 2.0)


@pytest.mark.parametrize("index", [np.s_[::-1], np.s_[[2, 1, 0]], np.s_[1:]])
def test_what_moves_elements_does_not(index: object) -> None:
    x = cr.tensor(X, name="x")
    assert "v₁ =" in str(cr.explain(cr.sum(x[index] * cr.tensor(1.0, name="w")).named("L"), "x", detail="all"))


def test_a_part_that_is_asked_for_or_named_stays() -> None:
    x = cr.tensor(X, name="x")
    parts = [x[:]]
    output = cr.sum(parts[0] * x).named("L")
    np.testing.assert_allclose(cr.explain(output, parts[0]).to_dict()["results"]["v1"], X)
    y = x[:].named("y")
    found = cr.explain(cr.sum(y * x).named("L"), y)
    assert "\ny = x =" in str(found)
    np.testing.assert_allclose(found.results["y"], X)


def test_what_stands_in_a_frame_under_no_name_names_nothing() -> None:
    """pytest keeps intermediate results of an assertion in the frame, as @py_assert1."""
    x = cr.tensor(X, name="x")
    assert "@" not in str(cr.explain(cr.sum(cr.exp(x * 2.0)), x))
