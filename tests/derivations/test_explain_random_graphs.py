"""Random graphs: the derivation of every one of them gives the gradient that ran."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import numpy as np
import pytest
from derivation_checks import formulas_give_the_values, re_evaluated, shown_numbers_give_the_shown_result
from hypothesis import given, settings
from hypothesis import strategies as st

import chainrule as cr
from chainrule.derivations import explain
from chainrule.tensors import Tensor

UNARY = ("sigmoid", "tanh", "sin", "exp", "square", "softplus", "relu", "negative")
BINARY = ("add", "subtract", "multiply", "divide", "maximum")


@st.composite
def scalar_graphs(draw: st.DrawFn) -> tuple[Tensor, list[Tensor]]:
    """A scalar calculation of 3 to 14 operations on 2 to 4 inputs, some steps named, values reused."""
    numbers = draw(st.lists(st.floats(0.2, 1.8), min_size=2, max_size=4, unique=True))
    leaves = [cr.tensor(v, name=f"x{k}") for k, v in enumerate(numbers)]
    values = list(leaves)
    for step in range(draw(st.integers(3, 14))):
        pick = [draw(st.sampled_from(values)) for _ in range(2)]
        scale = draw(st.sampled_from([0.5, 1 / 3, 0.123456789, -2.0]))
        if draw(st.booleans()):
            value = getattr(cr, draw(st.sampled_from(UNARY)))(pick[0] * scale)
        else:
            value = getattr(cr, draw(st.sampled_from(BINARY)))(pick[0], pick[1] * scale if draw(st.booleans()) else pick[1])
        values.append(value.named(f"h{step}") if draw(st.booleans()) else value)
    return values[-1] + 0.25 * sum(leaves, cr.tensor(0.0)), leaves


@settings(max_examples=40, deadline=None)
@given(scalar_graphs(), st.sampled_from(["auto", "named", "all"]), st.sampled_from(["whole", "expanded"]))
def test_random_scalar_graphs(graph: tuple[Tensor, list[Tensor]], detail: str, blocks: str) -> None:
    output, leaves = graph
    if not np.isfinite(output.item()):
        return
    expected = cr.grad(output, leaves)
    found = explain(output, leaves, detail=detail, blocks=blocks)
    paths = explain(output, leaves, form="path", detail=detail, blocks=blocks)
    for leaf, g in zip(leaves, expected, strict=True):
        assert leaf.name is not None
        scale = max(1.0, abs(g.item()))
        np.testing.assert_allclose(found.results[leaf.name], g.numpy(), rtol=1e-12, atol=1e-12 * scale)
        # Paths are summed in another order, and may cancel.
        np.testing.assert_allclose(paths.results[leaf.name], g.numpy(), rtol=1e-9, atol=1e-9 * scale)
    re_evaluated(found)
    assert found.to_text() and paths.to_latex()


@settings(max_examples=60, deadline=None)
@given(scalar_graphs(), st.sampled_from(["graph", "path"]), st.integers(2, 10))
def test_displayed_factors_multiplied_give_the_displayed_result(
    graph: tuple[Tensor, list[Tensor]], form: Literal["graph", "path"], precision: int
) -> None:
    output, leaves = graph
    if np.isfinite(output.item()):
        shown_numbers_give_the_shown_result(explain(output, leaves, form=form, precision=precision))


@settings(max_examples=60, deadline=None)
@given(scalar_graphs(), st.sampled_from(["graph", "path"]), st.sampled_from(["auto", "named", "all"]))
def test_formulas_as_written_give_the_values(graph: tuple[Tensor, list[Tensor]], form: str, detail: str) -> None:
    output, leaves = graph
    if np.isfinite(output.item()):
        formulas_give_the_values(explain(output, leaves, form=form, detail=detail, precision=17))


@settings(max_examples=30, deadline=None)
@given(scalar_graphs(), st.sampled_from(["auto", "all"]))
def test_second_derivatives_of_random_graphs(graph: tuple[Tensor, list[Tensor]], detail: str) -> None:
    output, leaves = graph
    gradient = cr.grad(output, leaves[:1])[0] + 0.5 * leaves[0]
    if not np.isfinite(gradient.item()):
        return
    (expected,) = cr.grad(gradient, leaves[:1])
    found = explain(gradient, leaves[0], detail=detail, precision=17)
    tolerance = 1e-12 * max(1.0, abs(expected.item()))
    np.testing.assert_allclose(found.value, expected.numpy(), rtol=1e-12, atol=tolerance)
    re_evaluated(found, atol=1e-13)
    formulas_give_the_values(found)


def test_displayed_factors_are_found() -> None:
    """The checks above do reckon."""
    w, x, v = (cr.tensor(n, name=name) for n, name in ((0.1234567, "w"), (1.9876543, "x"), (0.7654321, "v")))
    assert shown_numbers_give_the_shown_result(explain(cr.sigmoid(cr.sigmoid(w * x) * v), [w, x, v], form="path")) == 7
    assert shown_numbers_give_the_shown_result(explain(cr.sigmoid(cr.sigmoid(w * x) * v), [w, x, v])) == 9
    assert formulas_give_the_values(explain(cr.sigmoid(cr.sigmoid(w * x) * v), [w, x, v], precision=17)) == 10


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 4), min_size=3, max_size=4), st.integers(0, 10**6), st.booleans(), st.booleans())
def test_random_networks_in_matrix_form(sizes: list[int], seed: int, rows: bool, biases: bool) -> None:
    rng = np.random.default_rng(seed)
    a = cr.tensor(rng.normal(size=(2, sizes[0]) if rows else sizes[0]), name="x")
    parameters = []
    for into, out in pairwise(sizes):
        w = cr.parameter(rng.normal(size=(into, out) if rows else (out, into)))
        z = a @ w if rows else w @ a
        parameters.append(w)
        if biases:
            parameters.append(cr.parameter(rng.normal(size=out)))
            z = z + parameters[-1]
        a = cr.tanh(z)
    cost = 0.5 * ((a - 0.3) ** 2).sum()
    expected = cr.grad(cost, parameters)
    found = explain(cost, parameters, form="matrix")
    for value, g in zip(found.results.values(), expected, strict=True):
        np.testing.assert_allclose(value, g.numpy(), rtol=1e-12, atol=1e-14)
    weight = parameters[0]
    index = tuple(int(rng.integers(n)) for n in weight.shape)
    element = explain(cost, weight[index], form="matrix")
    assert element.value == pytest.approx(expected[0].numpy()[index], rel=1e-12)
    assert list(element.steps())[-1].value == pytest.approx(element.value, rel=1e-12)
    re_evaluated(element)
