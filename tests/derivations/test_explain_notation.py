"""Formulas are mathematics as a textbook prints it, and no calls of functions."""

from __future__ import annotations

import re

import numpy as np
import pytest

import chainrule as cr
from chainrule import ops
from chainrule.derivations import explain, expression
from chainrule.derivations.symbols import constant
from chainrule.errors import ChainruleError
from chainrule.tensors import apply

SMALL = {
    "z": [1.0, 2.0, 3.0], "v": [1.0, 2.0], "W": [[1.0, 2.0], [3.0, 4.0]], "w": 2.0, "X": [[[[1.0, 2.0], [3.0, 4.0]]]],
    "K": [[[[1.0, 0.5], [0.0, -1.0]]]], "Y": [[[[1.0, 2.0], [3.0, 4.0]]] * 2] * 2,
}  # fmt: skip


@pytest.mark.parametrize(
    ("formula", "wrt", "text", "latex"),
    [
        ("y = softmax(z); E = -log(y[0])", "y", "[-1 / y[0], 0, 0]", r"\begin{pmatrix} -\frac{1}{y[0]} & 0 & 0 \end{pmatrix}"),
        ("E = W[0, 1]*w", "W", "[0, w; 0, 0]", r"\begin{pmatrix} 0 & w \\ 0 & 0 \end{pmatrix}"),
        ("E = sum(z[1] * v)", "z", "[0, Σ v, 0]", r"\begin{pmatrix} 0 & \sum v & 0 \end{pmatrix}"),
        ("E = mean(z)", "z", "1/3", r"\frac{1}{3}"),
        ("E = mean(z * w)", "w", "1/3 · Σ z", r"\frac{1}{3} \cdot \sum z"),
        ("Z = conv2d(X, K); E = sum(Z)", "K", "X ⋆ ∂E/∂Z", r"X \star \frac{\partial E}{\partial Z}"),
        ("Z = conv2d(X, K, padding=1); E = sum(Z)", "X", "∂E/∂Z ⋆ rot₁₈₀(K)", None),
        ("Z = conv_transpose2d(X, K); E = sum(Z)", "X", "∂E/∂Z ⋆ K", None),
        ("Z = max_pool(X, 2); E = sum(Z)", "X", "MaxUnpool₂ₓ₂(∂E/∂Z, argmax X)", None),
        ("Z = max_pool(X, 2, padding=1); E = sum(Z*w)", "X", "MaxUnpool₂ₓ₂(∂E/∂Z, argmax X)", None),
        ("Z = avg_pool(X, 2); E = sum(Z)", "X", "0.25 · Unpool₂ₓ₂(∂E/∂Z)", None),
        ("Z = avg_pool(X, 2, padding=1); E = sum(Z)", "X", "0.25 · Unpool₂ₓ₂(∂E/∂Z)", None),
        ("E = prod(z)", "z", "Π[j≠i] z[j]", r"\prod_{j \ne i} {z}_{j}"),
        ("E = prod(W)", "W", "Π[(k, l) ≠ (i, j)] W[k, l]", r"\prod_{(k, l) \ne (i, j)} {W}_{k,l}"),
        ("h = prod(W, axis=0); E = sum(h)", "W", "(∂E/∂h)ᵀ ⊙ Π[k≠i] W[k, j]", None),
        ("h = prod(W, axis=1); E = sum(h)", "W", "∂E/∂h ⊙ Π[k≠j] W[i, k]", None),
        ("E = gelu(w)", "w", "0.5(1 + erf(1/√2 · w)) + 1/√(2π) · w · exp(-0.5 · w²)", None),
        ("E = erf(w)", "w", "2/√π · exp(-w²)", r"\frac{2}{\sqrt{\pi}} \cdot e^{-{w}^{2}}"),
        ("E = sqrt(w)", "w", "0.5 / E", r"\frac{0.5}{E}"),
        ("E = sum(leaky_relu(v))", "v", "{1 if v > 0, else 0.01}", None),
        ("h = sum(W, axis=1); E = sum(h*v)", "W", "∂E/∂h ⊙ 𝟏₂ₓ₂", None),
        ("h = sum(W, axis=0, keepdims=True) * W; E = sum(h)", "W", "∂E/∂h ⊙ Σᵢ W + Σᵢ ∂E/∂h ⊙ W", None),
    ],
)
def test_gradients_as_in_a_textbook(formula: str, wrt: str, text: str, latex: str | None) -> None:
    used = {n: v for n, v in SMALL.items() if re.search(rf"\b{n}\b", formula.replace("Z", ""))}
    found = explain(expression(formula, **used), wrt, detail="named")
    (step,) = [s for s in found.steps() if s.name == f"dE/d{wrt}"]
    assert step.equations[0].text == text
    if latex is not None:
        assert step.equations[0].latex == latex


@pytest.mark.parametrize(
    ("formula", "text"),
    [
        ("mean(W, axis=1)", "1/2 Σⱼ W"),
        ("mean(W)", "1/4 Σ W"),
        ("sum(W, axis=0)", "Σᵢ W"),
        ("sum(v)*w", "(Σ v) · w"),
        ("w*sum(v)", "w · Σ v"),
        ("sum(v*w)", "Σ v · w"),
        ("sum(v)/w", "(Σ v) / w"),
        ("-sum(v)", "-Σ v"),
        ("max(W, axis=1)", "maxⱼ(W)"),
        ("logsumexp(W, axis=0)", "log Σᵢ exp(W)"),
        ("softmax(W, axis=0)", "softmaxᵢ(W)"),
        ("log_softmax(v)", "log softmax(v)"),
        ("reshape(W, 4)", "vec(W)"),
        ("reshape(z, (3, 1))", "z"),
        ("flip(v)", "flip(v)"),
        ("concatenate([v, z])", "[v, z]"),
        ("[w, w]", "[w, w]"),
        ("transpose(Y)", "Yᵀ⁽ˡᵏʲⁱ⁾"),
        ("conv2d(X, K, stride=2, padding=1)", "X ⋆(s=2, p=1) K"),
        ("max_pool(X, 2)", "MaxPool₂ₓ₂(X)"),
        ("clip(v, 0, 1)", "min(max(v, 0), 1)"),
        ("v > 1", "[v > 1]"),
        ("layer_norm(v, v, v)", "LayerNorm(v, v, v)"),
    ],
)
def test_values_as_in_a_textbook(formula: str, text: str) -> None:
    used = {n: v for n, v in SMALL.items() if re.search(rf"\b{n}\b", formula)}
    assert expression(formula, **used).formula() == text


@pytest.mark.parametrize("name", sorted(ops.PRIMITIVES))
def test_no_primitive_is_written_as_a_call_in_python(name: str) -> None:
    """No settings with =, no tuples of tuples, no underscores, neither in its value nor in its gradients."""
    case = ops.PRIMITIVES[name].cases(np.random.default_rng(1))
    inputs = [cr.tensor(a, name="abcdefgh"[k]) for k, a in enumerate(case.inputs)]
    y = apply(name, *inputs, **case.attributes).named("y")
    formulas = [y.formula("text"), y.formula("latex")]
    floating = [x for x in inputs if x.dtype.kind == "f"]
    if floating and y.dtype.kind == "f":
        try:
            steps = explain(y, floating).steps()
            formulas += [f for s in steps for e in s.equations for f in (e.text, e.latex)]
        except ChainruleError:
            pass
    for formula in formulas:
        assert not re.search(r"axis=|keepdims|None|[a-z]_[a-z]|\\_|broadcast|\bnumbers\b|\(\(\d+, \d+\),", formula), formula


@pytest.mark.parametrize(
    ("value", "text", "latex"),
    [
        (1 / 3, "1/3", r"\frac{1}{3}"),
        (-2 / 7, "-2/7", r"-\frac{2}{7}"),
        (1 / 784, "1/784", r"\frac{1}{784}"),
        (float(np.float32(1 / 3)), "1/3", r"\frac{1}{3}"),
        (0.125, "0.125", "0.125"),
        (1 - 1 / 3, "2/3", r"\frac{2}{3}"),
        (float(np.sqrt(0.5)), "1/√2", r"\frac{1}{\sqrt{2}}"),
        (-2 / float(np.sqrt(np.pi)), "-2/√π", r"-\frac{2}{\sqrt{\pi}}"),
        (float(np.float32(1 / np.sqrt(2 * np.pi))), "1/√(2π)", r"\frac{1}{\sqrt{2\pi}}"),
        (0.707, "0.707", "0.707"),
        (0.1 + 0.2, "0.3", "0.3"),
    ],
)
def test_quotients_are_written_as_such(value: float, text: str, latex: str) -> None:
    assert (constant(value, 6).text, constant(value, 6).latex) == (text, latex)


def test_a_local_derivative_that_is_too_long_to_be_written_is_a_symbol() -> None:
    found = explain(
        expression("E = sum(layer_norm(z, w, b)*[1, 2, 3])", z=SMALL["z"], w=[1.0] * 3, b=[0.0] * 3), "z[0]", form="path"
    )
    formulas = [s.equations[0].text for s in found.steps() if s.kind == "path"]
    assert formulas == [f"u₁[{k}] · ∂v₁[{k}]/∂z[0]" for k in range(3)]


def test_a_product_is_taken_apart_along_paths() -> None:
    found = explain(expression("E = prod(z)", z=[2.0, 3.0, 4.0]), "z[1]", form="path")
    assert "∂E/∂z[1] = z[0] · z[2] = 8" in found.to_text()


def test_a_case_that_did_not_occur_is_not_written() -> None:
    assert "log(x) gives nan" in explain(expression("E = x**y", x=-2.0, y=2.0), "y").to_text()


def test_a_single_picture_is_listed_as_a_matrix() -> None:
    found = explain(expression("Z = conv2d(X, K); E = sum(Z)", X=SMALL["X"], K=[[[[1.0]]]]), "K").to_text()
    assert "∂E/∂K = X ⋆ ∂E/∂Z = [ 10 ]" in found
    assert re.search(r"Z += X ⋆ K =\n +\[ 1  2 \]\n +\[ 3  4 \]", found)
