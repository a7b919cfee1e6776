"""What an explanation prints on the left of =, `check` knows: in every form, for models and for typed formulas."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.derivations import explain, expression
from chainrule.derivations.derivation import Derivation
from chainrule.grading import check
from chainrule.tensors import Tensor

X = [[1.0, 2.0], [0.5, -1.0]]
ARRAYS = {"x": [1.0, 2.0], "W1": [[0.1, 0.2], [0.3, 0.4]], "W2": [[1.0, 2.0]], "b1": [0.1, 0.2], "t": [1.0]}


def scalars() -> tuple[Tensor, list[Tensor]]:
    formula = "x3 = x1*w13 + x2*w23; O3 = sigmoid(x3); E = 0.5*(O3 - t5)**2"
    weights = [cr.parameter(value, name=name) for name, value in (("w13", 0.1), ("w23", 0.8))]
    return expression(formula, x1=0.35, x2=0.9, t5=0.5, w13=weights[0], w23=weights[1]), weights


def named_layers() -> tuple[Tensor, list[Tensor]]:
    return expression("z1 = W1 @ x + b1; a1 = sigmoid(z1); z2 = W2 @ a1; L = sum((z2 - t)**2)", **ARRAYS), []


def other_names() -> tuple[Tensor, list[Tensor]]:
    """The weighted input of the first layer has no name of its own."""
    return expression("h = tanh(W1 @ x + b1); y = W2 @ h; L = sum((y - t)**2)", **ARRAYS), []


def no_names() -> tuple[Tensor, list[Tensor]]:
    return expression("sum((W2 @ tanh(W1 @ x + b1) - t)**2)", **ARRAYS), []


def of_model(*modules: nn.Module) -> tuple[Tensor, list[Tensor]]:
    cr.manual_seed(0)
    model = nn.Sequential(*modules)
    return (model(cr.tensor(X)) ** 2).sum().named("L"), list(model.parameters())


def perceptron() -> tuple[Tensor, list[Tensor]]:
    return of_model(nn.Linear(2, 3), nn.Sigmoid(), nn.Linear(3, 1))


def without_bias() -> tuple[Tensor, list[Tensor]]:
    return of_model(nn.Linear(2, 2, bias=False), nn.ReLU(), nn.Linear(2, 2), nn.Tanh(), nn.Linear(2, 1))


CALCULATIONS = (scalars, named_layers, other_names, no_names, perceptron, without_bias)


def printed(derivation: Derivation) -> dict[str, Any]:
    """The steps by what they print on the left.

    But not p₁, p₂: the contributions of single paths are no quantities of a calculation. Nor m of an optimiser of several
    parameters, whose sections are of one parameter each: m_w13 says of which. And e of an attribution is a heuristic.
    """
    steps = [s for s in derivation.steps() if not (s.kind == "path" and s.name.startswith("p"))]
    several = len(derivation.wrt) > 1
    return {s.symbol.text: s.value for s in steps if not (several and s.name.rstrip("'") in ("m", "v"))}


@pytest.mark.parametrize("form", ["graph", "path", "matrix", "update"])
@pytest.mark.parametrize("make", CALCULATIONS)
def test_check_knows_what_is_printed(make: Any, form: Any) -> None:
    output, parameters = make()
    optimizer = optim.Adam(parameters, lr=0.1) if parameters else None
    wrt = None if form != "path" else parameters[0] if parameters and parameters[0].size == 1 else None
    try:
        found = explain(output, wrt, form=form, optimizer=optimizer)
    except cr.errors.ArgumentError as error:
        assert any(reason in str(error) for reason in ("layers", "optimizer", "it is for one number")), error
        return
    claims = {name: np.asarray(value) for name, value in printed(found).items()}
    grading = check(output, claims, optimizer=optimizer)
    assert {name: f.verdict for name, f in grading.items()} == dict.fromkeys(claims, "right")


def test_layers_by_their_numbers() -> None:
    """Also where they have other names, and typed: z^1, z1, delta^2, delta2."""
    for make in (named_layers, other_names, no_names, perceptron):
        output, _ = make()
        values = {s.name: np.asarray(s.value) for s in explain(output, form="matrix").steps()}
        delta = next(v for n, v in values.items() if n in ("delta1", "delta^1"))
        claims = {
            "δ¹": delta,
            "delta^1": delta,
            "delta1": delta,
            "δ₁": delta,
            "δ¹[0]" if delta.ndim == 1 else "δ¹[0, 0]": delta.flat[0],
        }
        grading = check(output, claims)
        assert {f.verdict for f in grading.values()} == {"right"}, str(grading)


def test_formulas_in_the_names_of_layers() -> None:
    output, parameters = perceptron()
    claims = {
        "z¹": "x @ W¹ᵀ + b¹", "a¹": "σ(z¹)", "δ²": "2 · z²", "∂L/∂W²": "δ²ᵀ @ a¹", "δ¹": "(δ² @ W²) ⊙ a¹ ⊙ (1 - a¹)",
        "a^1[0, 1]": "sigmoid(z^1[0, 1])", "W²′": "W² - η·∂L/∂W²", "0.bias'": "0.bias - η*dL/d0.bias",
    }  # fmt: skip
    grading = check(output, claims, optimizer=optim.SGD(parameters, lr=0.1))
    assert {f.verdict for f in grading.values()} == {"right"}, str(grading)
    circular = check(output, {"a¹": "a¹ + 0", "δ¹": "δ¹"})
    assert {f.verdict for f in circular.values()} == {"not-graded"}


def test_the_answers_say_what_was_claimed() -> None:
    output, _ = perceptron()
    assert check(output, {"δ²": [[7.0], [8.0]]})["δ²"].message.startswith("δ² is [")
    assert check(output, {"z^1": 1.0})["z^1"].message.endswith("Its shape is that of a single number, and must be 2×3.")


def test_a_square_beside_a_name_is_a_square() -> None:
    output = expression("a = tanh(W1 @ x); y = W2 @ a; L = sum(y**2)", W1=ARRAYS["W1"], x=ARRAYS["x"], W2=ARRAYS["W2"])
    assert check(output, {"L": "sum(y²)", "dL/dW2[0, 0]": "2*y[0]*a[0]"}).correct
    assert check(output, {"L": "sum((W2 @ a)²)"}).correct
