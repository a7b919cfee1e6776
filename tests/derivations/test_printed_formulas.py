"""What is printed can be typed: the formulas of every operation, read again, have the value that stands behind them."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

import chainrule as cr
from chainrule import ops
from chainrule.derivations import explain, expression
from chainrule.derivations.derivation import Derivation
from chainrule.derivations.steps import Step
from chainrule.errors import GradientError
from chainrule.grading import check
from chainrule.tensors import Tensor, apply

# What is not read, and why. Every other formula is.
UNREAD = {
    r"𝟏": "an array of ones whose shape the other arrays tell",
    r"[Σₐ-ₜΠ]+[ᵢⱼₖₗ]|(max|min|Var|flip|stack|softmax)[ᵢⱼₖₗ]": "axes by letters: what stands beside tells whether they are kept",
    r"[ΣΠ]\[|Πᵢ": "a sum or product over letters",
    r"⋆|⊗|patches|rot₁₈₀|Pool₂ₓ₂|Unpool": "convolutions and windows, with settings in the sign",
    r"reshape|scatter|onehot|pad\(|\[[^]]*[:;]|ᵀ⁽|^y = \[x₀, x₁|x₁\[x₀\]": "moves of elements, and arrays put together",
    r"∞": "infinity, which no formula may hold",
}


def printed(derivation: Derivation) -> list[Step]:
    return [s for s in derivation.steps() if s.equations]


def steps_of(name: str) -> tuple[list[Step], dict[str, np.ndarray]]:
    """The derivation of one operation, and the values of the names in it."""
    case = ops.PRIMITIVES[name].cases(np.random.default_rng(1))
    inputs = [cr.tensor(a, name=f"x{k}") for k, a in enumerate(case.inputs)]
    y = apply(name, *inputs, **case.attributes)
    y = (y if y.dtype.kind == "f" else y.astype(np.float64)).named("y")
    try:
        derivation = explain(y, [x for x in inputs if x.dtype.kind == "f"])
    except (GradientError, cr.errors.ArgumentError):
        return [], {}
    return printed(derivation), {s.symbol.text: np.asarray(s.value) for s in derivation.steps()}


def in_other_names(formula: str, values: dict[str, np.ndarray]) -> tuple[str, dict[str, np.ndarray]]:
    """A derivative such as ∂y/∂x₀ is no name in a typed formula, and conditions are given as numbers."""
    given = {}
    for k, name in enumerate(sorted(values, key=len, reverse=True)):
        pattern = rf"(?<!\w){re.escape(name)}(?![A-Za-z_₀-₉])"
        if re.search(pattern, formula):
            formula = re.sub(pattern, f"q{k}", formula)
            given[f"q{k}"] = values[name]
    return formula, given


@pytest.mark.parametrize("name", sorted(ops.SHIPPED))
def test_formulas_of_operations_are_read_again(name: str) -> None:
    steps, values = steps_of(name)
    for step in steps:
        formula = f"{step.symbol.text} = {step.equations[0].text}"
        if any(re.search(pattern, formula) for pattern in UNREAD):
            continue
        text, given = in_other_names(step.equations[0].text, values)
        read = expression(text, **given).numpy()
        # A number stands for an array of it, and axes of size 1 are not written.
        shape = np.shape(step.value)
        read = read.reshape(shape) if read.size == np.size(step.value) else np.broadcast_to(read, shape)
        np.testing.assert_allclose(read, step.value, rtol=1e-9, err_msg=formula)


def test_no_more_is_unread_than_is_listed() -> None:
    """Every reason is one for some formula, and the others are most."""
    formulas = [f"{s.symbol.text} = {s.equations[0].text}" for name in ops.SHIPPED for s in steps_of(name)[0]]
    assert [pattern for pattern in UNREAD if not any(re.search(pattern, f) for f in formulas)] == []
    unread = [f for f in formulas if any(re.search(pattern, f) for pattern in UNREAD)]
    assert len(unread) < len(formulas) / 3


@pytest.mark.parametrize(
    ("formula", "value"),
    [
        ("1/√2", 1 / math.sqrt(2)),
        ("√π", math.sqrt(math.pi)),
        ("2/√π", 2 / math.sqrt(math.pi)),
        ("√(2π)", math.sqrt(2 * math.pi)),
        ("1/√(2π) · x", 2 / math.sqrt(2 * math.pi)),
        ("-√2", -math.sqrt(2)),
        ("2π + ½", 2 * math.pi + 0.5),
        ("⅓ · x²", 4 / 3),
        ("x⁻¹", 0.5),
        ("2√x", 2 * math.sqrt(2)),
        ("0.5(1 + x)", 1.5),
        ("x(1 - x)", -2.0),
        ("x(1 - x)²", 2.0),
        ("(1 + x)(1 - x)", -3.0),
        ("|1 - x|", 1.0),
        ("[x > 0]", 1.0),
        ("[x = 2] + [x ≠ 2]", 1.0),
        ("[x ≥ -1 ∧ x ≤ 1]", 0.0),
        ("[x < 0 ∨ ¬(x > 3)]", 1.0),
        ("{1 if x > 0, else {2 if x > -1, else 3}}", 1.0),
        ("h = x·x; y = h(1 - h)", -12.0),
        ("Σ [x, 2 · x(1 + x), -1] + 1", 14.0),
        ("3 · Σ [x, 1] ⊙ [x, 1] - 1", 14.0),
        ("1.5×10⁻³", 0.0015),
    ],
)
def test_mathematics_as_it_is_written(formula: str, value: float) -> None:
    given: dict[str, Tensor | float] = {"x": 2.0} if re.search(r"(?<![a-z])x(?![a-z])", formula) else {}
    np.testing.assert_allclose(expression(formula, **given).item(), value, rtol=1e-12)


def test_a_value_may_be_called_pi() -> None:
    assert expression("2*π", π=3.0).item() == 6.0


def test_claims_in_constants_as_they_are_printed() -> None:
    output = expression("y = gelu(x); E = erf(y)", x=0.5)
    claims = {"dy/dx": "0.5(1 + erf(1/√2 · x)) + 1/√(2π) · x · exp(-0.5 · x²)", "dE/dy": "2/√π · exp(-y²)", "x": "½"}
    assert check(output, claims).correct
    wrong = check(output, {"dE/dy": "1/√π · exp(-y²)"})["dE/dy"]
    assert "constant factor" in wrong.message
