"""A mean, a variance, a sum or a length taken as a constant: worked out here in NumPy, and named in both languages."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.derivations import expression
from chainrule.derivations.expressions import names_in
from chainrule.grading import check
from chainrule.language import LANGUAGES
from chainrule.tensors import Tensor

X = np.array([0.5, -1.2, 0.9, 2.0])
U = np.array([0.3, -0.7, 1.1, 0.4])
G = np.array([1.5, 0.7, -0.4, 1.1])
PICTURE = np.arange(8.0).reshape(1, 2, 2, 2) ** 1.5 / 7.0
WEIGHTS = np.cos(np.arange(8.0)).reshape(1, 2, 2, 2)
P = np.exp(X) / np.exp(X).sum()
NORM = "y = (x - m)/sqrt(v + 0.001)*g; E = sum(y*u)"


@dataclass(frozen=True)
class Case:
    """A calculation, ∂E/∂x as it comes out when a statistic is held constant, and how that is said."""

    formula: str
    given: Any
    words: dict[str, str]
    more: dict[str, Any] = field(default_factory=dict)

    def build(self) -> Tensor:
        values = {"x": X, "u": U, "g": G, "c": np.zeros(4)} | self.more
        return expression(self.formula, **{n: v for n, v in values.items() if n in names_in(self.formula)})


def scale(x: Any, eps: float = 0.001) -> Any:
    return np.sqrt(x.var() + eps)


CENTRED = (X - X.mean()) / scale(X)
MEAN_CONSTANT = (U * G - CENTRED * (U * G * CENTRED).mean()) / scale(X)
VARIANCE_CONSTANT = (U * G - (U * G).mean()) / scale(X)
NORMED = "y = layer_norm(x, g, c, eps=0.001); E = sum(y*u)"
IN_NORM = "LayerNorm(x, g, c)"


def one(english: str, chinese: str | None = None) -> dict[str, str]:
    """How it is said that a statistic was taken as a constant."""
    return {
        "en": f"{english} is taken as a constant; it depends on x",
        "zh": f"把 {chinese or english} 当成了常数；它也依赖于 x",
    }


def inside(english: str, chinese: str, block: str) -> dict[str, str]:
    """The same of a statistic inside a block."""
    return {
        "en": f"{english} inside {block} is taken as a constant; it depends on x",
        "zh": f"把 {block} 中的{chinese}当成了常数；它也依赖于 x",
    }


BOTH = {
    "en": f"The mean and the variance inside {IN_NORM} are taken as constants; they depend on x",
    "zh": f"把 {IN_NORM} 中的均值和方差当成了常数；它们也依赖于 x",
}
TWO = {"en": "m, v are taken as constants; they depend on x", "zh": "把 m, v 当成了常数；它们也依赖于 x"}
PICTURES = {"x": PICTURE, "u": WEIGHTS}
CASES = {
    "layer-norm": Case(NORMED, U * G / scale(X), BOTH),
    "its-mean": Case(NORMED, MEAN_CONSTANT, inside("The mean", "均值", IN_NORM)),
    "its-variance": Case(NORMED, VARIANCE_CONSTANT, inside("The variance", "方差", IN_NORM)),
    "written-out": Case(f"m = mean(x); v = mean((x - m)**2); {NORM}", U * G / scale(X), TWO),
    "variance": Case(f"m = mean(x); v = var(x); {NORM}", VARIANCE_CONSTANT, one("v")),
    "softmax": Case("p = softmax(x); E = 0.5*sum((p - u)**2)", (P - U) * P, inside("The sum", "总和", "softmax(x)")),
    "softmax-written-out": Case("e = exp(x); s = sum(e); p = e/s; E = 0.5*sum((p - u)**2)", (P - U) * P, one("s")),
    "shifted-softmax": Case("e = exp(x - max(x)); p = e/sum(e); E = 0.5*sum((p - u)**2)", (P - U) * P, one("Σ e")),
    "one-of-a-softmax": Case("e = exp(x); p = e[1]/sum(e); E = -log(p)", np.array([0.0, -1.0, 0.0, 0.0]), one("Σ e")),
    "log-softmax": Case("l = log_softmax(x); E = sum(l*u)", U, inside("The sum", "总和", "log softmax(x)")),
    "cross-entropy": Case(
        "E = softmax_with_loss(x, t)", -P[::-1], inside("The sum", "总和", "CE(softmax(x), t)"), {"t": P[::-1]}
    ),
    "root-mean-square": Case(
        "r = sqrt(mean(x**2) + 0.001); y = x/r*g; E = sum(y*u)", U * G / np.sqrt((X**2).mean() + 0.001), one("1/4 Σ x²")
    ),
    "standard-deviation": Case("y = x/std(x); E = sum(y*u)", U / X.std(), one("Var(x)")),
    "length": Case("y = x/norm(x); E = sum(y*u)", U / np.sqrt((X**2).sum()), one("Σ x²")),
    "largest": Case("y = flip(x, 0)/max(x); E = sum(y*u)", U[::-1] / 2.0, one("max(x)"), {"x": X[[0, 3, 2, 1]]}),
    "instance-norm": Case(
        "m = mean(x, axis=(2, 3), keepdims=True); v = var(x, axis=(2, 3), keepdims=True); y = (x - m)/sqrt(v + 0.001); "
        "E = sum(y*u)",
        WEIGHTS / np.sqrt(PICTURE.var((2, 3), keepdims=True) + 0.001),
        TWO,
        PICTURES,
    ),
    "group-norm": Case(
        "r = reshape(x, (1, 1, 8)); m = mean(r, axis=2, keepdims=True); v = var(r, axis=2, keepdims=True); "
        "n = (r - m)/sqrt(v + 0.001); y = reshape(n, (1, 2, 2, 2)); E = sum(y*u)",
        WEIGHTS / scale(PICTURE),
        TWO,
        PICTURES,
    ),
}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("case", CASES)
def test_a_statistic_held_constant_is_named(case: str, language: Any) -> None:
    """For the whole array, and for one of its numbers."""
    here = CASES[case]
    output, index = here.build(), (0,) * (here.given.ndim - 1) + (1,)
    claims = {"dE/dx": np.vectorize("{:.6f}".format)(here.given).tolist(), f"dE/dx{list(index)}": f"{here.given[index]:.6f}"}
    for finding in check(output, claims, language=language).values():
        assert (finding.verdict, finding.kind) == ("wrong", "missing-path"), finding.message
        assert here.words[language] in finding.message


def test_behind_a_layer_norm_with_constants() -> None:
    """A layer before it and one behind it: the weights of the first get the wrong gradient, those of the last the right one."""
    w, v = np.cos(np.arange(12.0)).reshape(4, 3), np.sin(np.arange(8.0)).reshape(2, 4)
    a, t = np.array([0.4, -0.9, 1.3]), np.array([0.2, -0.5])
    output = expression(
        "z = W @ a; n = layer_norm(z, g, c); y = tanh(V @ n); E = 0.5*sum((y - t)**2)", W=w, V=v, a=a, t=t, g=G, c=np.zeros(4)
    )
    z = w @ a
    n = (z - z.mean()) / scale(z, 1e-5) * G
    y = np.tanh(v @ n)
    d = (y - t) * (1 - y**2)
    wrong = np.outer((v.T @ d) * G / scale(z, 1e-5), a)
    grading = check(
        output, {"dE/dV": np.round(np.outer(d, n), 6), "dE/dW": np.round(wrong, 6), "dE/dW[3, 1]": f"{wrong[3, 1]:.6f}"}
    )
    assert [f.verdict for f in grading.values()] == ["right", "wrong", "wrong"]
    for name, depends in (("dE/dW", "W"), ("dE/dW[3, 1]", "W[3, 1]")):
        assert f"inside LayerNorm(z, g, c) are taken as constants; they depend on {depends}, too." in grading[name].message


@pytest.mark.parametrize(
    "layer", [nn.LayerNorm(3, dtype="float64"), nn.BatchNorm1d(3, dtype="float64")], ids=["layer", "batch"]
)
def test_in_a_model_of_layers(layer: Any) -> None:
    cr.manual_seed(1)
    model = nn.Sequential(nn.Linear(2, 3, dtype="float64"), layer, nn.Tanh(), nn.Linear(3, 1, dtype="float64"))
    x = np.array([[1.0, 0.3], [-0.4, 0.8], [0.2, -1.5], [0.9, 0.7]])
    output = (model(cr.tensor(x)) ** 2).mean().named("E")
    w1, b1, w2, b2 = (np.asarray(p.numpy()) for p in (*model[0].parameters(), *model[3].parameters()))
    z = x @ w1.T + b1
    axis = 1 if isinstance(layer, nn.LayerNorm) else 0
    s = np.sqrt(z.var(axis, keepdims=True) + 1e-5)
    h = np.tanh((z - z.mean(axis, keepdims=True)) / s)
    d = (2 * (h @ w2.T + b2) / 4) @ w2 * (1 - h**2) / s
    finding = check(output, {"dE/d0.weight": np.round(d.T @ x, 6)})["dE/d0.weight"]
    assert finding.kind == "missing-path"
    assert "as constants; they depend on 0.weight, too." in finding.message


def test_a_loss_is_no_inner_statistic() -> None:
    """A mean that nothing else stands beside, and a sum of squares that is added to a loss."""
    output = expression("y = W @ x; E = mean((y - 1)**2) + 0.1*sum(W**2)", W=np.cos(np.arange(8.0)).reshape(2, 4), x=X)
    w = np.cos(np.arange(8.0)).reshape(2, 4)
    finding = check(output, {"dE/dW": np.round(np.outer(w @ X - 1, X), 6)})["dE/dW"]
    assert "constant" not in finding.message
