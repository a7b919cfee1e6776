"""Graphs from typed formulas: what is read, and what is refused with words."""

from __future__ import annotations

import contextlib
import math
import re
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import chainrule as cr
from chainrule.derivations import explain, expression
from chainrule.derivations.expressions import names_in
from chainrule.derivations.functions import FUNCTIONS
from chainrule.errors import ArgumentError, ChainruleError


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
        ("sigmoid(w, x)", "sigmoid takes x"),
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


PICTURE = [[[[1.0, 2.0, 0.0], [3.0, 4.0, -1.0], [0.0, 1.0, 2.0]]]]


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        ("sum(conv2d(X, K)) + conv2d(X, [[[[1, 0], [0, 1]]]])[0, 0, 0, 0]", 12 + 5),
        ("sum(max_pool(X, 2, 1))", 4 + 4 + 4 + 4),
        ("sum(avg_pool2d(X, window=3))", 12 / 9),
        ("sum(layer_norm(v, [1, 1], [0.5, 0.25]))", 0.75),
        ("cross_entropy(v, [0, 1])", math.log(1 + math.exp(-1))),
        ("binary_cross_entropy([0.5, 0.5], [0, 1])", math.log(2)),
        ("mse(v, [0, 0]) + mae(v, [0, 0])", 2.5 + 1.5),
        ("norm([3, 4]) + dot(v, v)", 10),
        ("sum(leaky_relu([-1, 2], 0.5)) + sum(leaky_relu([-1, 2], slope=0.1))", 1.5 + 1.9),
        ("sum(W, axis=0)[1] + mean(W, 1)[0] + max(W) + max(2, 3)", 6 + 1.5 + 4 + 3),
        ("std([1, 3]) + var([1, 3])", 2),
        ("W.T[0, 1] + Wᵀ[0, 1] + transpose(W)[0, 1]", 9),
        ("[v[0], 2*v[1]] @ v", 9),
        ("sum(concatenate([v, v])) + sum(stack([v, v], axis=1)) + flatten(W)[3]", 16),
        ("√(v₁) · v₁² ⊙ ⅓ + ∑(v) ÷ ¾ + Σ(v)", 9 / 3 * math.sqrt(3) + 4 + 3),
        ("v₁³ + v₁⁻¹", 27 + 1 / 3),
        ("(v[0] ≤ 1) + (v[0] ≥ 2)", 1),
        ("sum(clip(v, 0, 1.5)) + sum(gelu([0]) + silu([0]) + softplus([0]))", 2.5 + math.log(2)),
    ],
)
def test_functions_by_the_names_that_people_try(formula: str, expected: float) -> None:
    values = {"X": PICTURE, "K": [[[[1.0]]]], "v": [1.0, 2.0], "W": [[1.0, 2.0], [3.0, 4.0]], "v1": 3.0}
    given = {n: v for n, v in values.items() if n in names_in(formula)}
    assert expression(formula, **given).item() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("formula", "words"),
    [
        ("sigmod(x)", "the function 'sigmod'; there is none of that name (did you mean sigmoid?)"),
        ("Softmax(x)", "(did you mean softmax?)"),
        ("crossentropy(x, x)", "(did you mean cross_entropy?)"),
        ("zzz(x)", "there is none of that name. There are abs, affine"),
        ("conv2d(x)", "conv2d takes x, weight, bias and the settings stride=1, padding=0"),
        ("max(x, x, x, x)", "max takes x and the settings axis=None, keepdims=False or two values"),
        ("leaky_relu(x, slope=x)", "slope is a number up to 1000 or several, such as 2 or (1, 2)"),
        ("pad(x, 123456789)", "widths is a number up to 1000"),
        ("leaky_relu(x, slope=(1, 2))", "leaky_relu got slope=(1, 2); it takes a number here"),
        ("leaky_relu(x, 1, slope=2)", "leaky_relu takes x and the settings slope=0.01"),
        ("relu(x, size=2)", "relu takes x"),
        ("relu(**x)", "relu takes x"),
        ("stack(x)", "tensors is a list, such as [a, b]"),
        ("sum(x, axis=7)", "got axis 7"),
    ],
)
def test_functions_that_are_refused(formula: str, words: str) -> None:
    with pytest.raises(ChainruleError, match=re.escape(words)):
        expression(formula, x=1.0)


def test_every_function_says_what_it_takes() -> None:
    for name, function in FUNCTIONS.items():
        with pytest.raises(ArgumentError, match=re.escape(f"{name} takes {function.takes()}")):
            expression(f"{name}(no=1)")
