"""Graphs from typed formulas: what is read, and what is refused with words."""

from __future__ import annotations

import contextlib
import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import chainrule as cr
from chainrule.errors import ArgumentError, ChainruleError
from chainrule.explain import explain, expression
from chainrule.explain.expression import names_in


@pytest.mark.parametrize(
    ("formula", "value"),
    [
        ("0.5*(sigmoid(w*x) - t)**2", 0.5 * (1 / (1 + math.exp(-0.7)) - 0.1) ** 2),
        ("w^2 + x/t - -x", 0.49 + 10 + 1),
        ("max(w, x) + min(w, x)", 1.7),
        ("ln(exp(w)) + σ(0)", 0.7 + 0.5),
        ("h = w*x\ny = h*h; y + t", 0.49 + 0.1),
        ("a = w; b = a*2; b", 1.4),
        ("where(w > x, 1.0, 2.0) * (w <= x)", 2.0),
        ("sum([1, 2, 3] * w)", 4.2),
        ("[[1, 2], [3, 4]][1, 0] * w", 2.1),
        ("+w", 0.7),
        ("½·(w − t)² + x×w³", 0.5 * 0.36 + 0.343),
    ],
)
def test_values(formula: str, value: float) -> None:
    given = {name: v for name, v in {"w": 0.7, "x": 1.0, "t": 0.1}.items() if name in names_in(formula)}
    assert expression(formula, **given).item() == pytest.approx(value)


def test_names_become_tensors_and_gradients_flow() -> None:
    y = expression("h = sigmoid(w*x); y = h*h", w=0.5, x=2.0)
    assert y.name == "y"
    s = 1 / (1 + math.exp(-1.0))
    assert float(explain(y, "w").value) == pytest.approx(2 * s * s * (1 - s) * 2.0)
    assert (
        "∂y/∂h = h + h" in explain(y, "w", form="graph").to_text().replace("  ", " ") or float(explain(y, "h").value) == 2 * s
    )


def test_a_sum_of_any_length() -> None:
    assert expression("+".join(["w"] * 1000), w=0.5).item() == pytest.approx(500.0)


def test_numbers_are_reckoned_as_on_paper() -> None:
    """Never as integers of 64 bits, which overflow without a word and have no powers of -1."""
    assert expression("9**30 * w", w=1.0).item() == pytest.approx(9.0**30)
    assert expression("w * 2**-1", w=1.0).item() == 0.5
    assert expression("[1, 2] * w", w=3.0).numpy().tolist() == [3.0, 6.0]
    # A number that was reckoned is one number in the formulas, too.
    assert "∂y/∂w = 0.5 · w^(-0.5) = 0.25" in explain(expression("y = w**(1/2)", w=4.0), "w").to_text()


def test_given_tensors_are_used_as_they_are() -> None:
    w = cr.parameter(0.5, name="w")
    y = expression("y = w*x", w=w, x=2.0)
    y.backward()
    assert w.grad is not None
    assert w.grad.item() == 2.0


def test_arrays() -> None:
    y = expression("h = sigmoid(W @ x + b); E = 0.5*sum((h - t)**2)", W=np.eye(2), x=[0.1, 0.2], b=[0.0, 0.1], t=[1.0, 0.0])
    assert y.shape == ()


@pytest.mark.parametrize(
    ("formula", "words"),
    [
        ("", "nothing"),
        ("w*(x", "could not be read"),
        ("w*y", "'y', which has no value"),
        ("open('f')", "the function 'open'"),
        ("__import__('os')", "the function '__import__'"),
        ("w.__class__", "'w.__class__'"),
        ("(lambda: w)()", "it may have"),
        ("[w for w in x]", "it may have"),
        ("w if x else w", "it may have"),
        ("'text'", "it may have"),
        ("True", "it may have"),
        ("w = 3", "a second value for 'w'"),
        ("w, x = 1, 2", "each line is a formula"),
        ("import os", "'import os'"),
        ("sigmoid(w, x)", "sigmoid with 2 arguments"),
        ("W = [1, 2]; W[w]", "whole numbers"),
        ("w & x", "it may have"),
        ("-" * 3000 + "w", "could not be read"),
        ("sin(" * 150 + "w" + ")" * 150, "nested operations"),
        ("-(" * 60 + "sin(" * 60 + "w" + ")" * 120, "nested operations"),
        ("1e999*w", "it may have"),
        ("1/0*w", "'1 / 0', which is inf; its numbers must be finite"),
        ("(-8)**0.5*w", "which is nan"),
        ("99999**99999999*w", "which is inf"),
        ("9**9**9**9*w", "which is inf"),
        ("(2 @ 3)*w", "@ multiplies arrays"),
    ],
)
def test_what_is_no_formula_is_refused(formula: str, words: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        expression(formula, w=0.5, x=2.0)
    assert words in str(caught.value)


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="wxsigmoidexp()[]+-*/@,.;=0123456789eE_'\"{}:<>\n σ·²", max_size=40))
def test_any_text_is_a_formula_or_refused(text: str) -> None:
    with warnings.catch_warnings(), contextlib.suppress(ChainruleError):
        warnings.simplefilter("ignore")  # of numbers that overflow
        expression(text, **{name: 0.5 for name in ("w", "x") if name in _names(text)})


def _names(text: str) -> set[str]:
    try:
        return names_in(text)
    except ChainruleError:
        return set()


def test_an_unused_value_is_a_mistake() -> None:
    with pytest.raises(ArgumentError, match="'v'; the formula does not use"):
        expression("w*2", w=1.0, v=2.0)
