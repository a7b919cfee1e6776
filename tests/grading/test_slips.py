"""Slips of whole layers, of blocks and at kinks, each worked out here in NumPy, and named in both languages."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, ops, optim
from chainrule.derivations import expression
from chainrule.derivations.calculations import calculation
from chainrule.grading import check
from chainrule.grading.grader import slips_of
from chainrule.grading.quantities import World, all_quantities
from chainrule.grading.result import Finding
from chainrule.tensors import Tensor, apply

X, T = np.array([0.5, -1.0]), np.array([1.0, 0.0])
W1, B1 = np.array([[0.2, -0.4], [0.7, 0.1]]), np.array([0.1, -0.2])
W2, B2 = np.array([[0.6, -0.3], [-0.5, 0.8]]), np.array([0.05, 0.0])


def sigmoid(z: Any) -> Any:
    return 1 / (1 + np.exp(-z))


Z1 = W1 @ X + B1
A1 = sigmoid(Z1)
Z2 = W2 @ A1 + B2
Y = sigmoid(Z2)
D2 = (Y - T) * Y * (1 - Y)
BACK = W2.T @ D2
D1 = BACK * A1 * (1 - A1)
LAYERS = "z1 = W1 @ x + b1; a1 = sigmoid(z1); z2 = W2 @ a1 + b2; y = sigmoid(z2); E = 0.5*sum((y - t)**2)"


def layers() -> Tensor:
    return expression(LAYERS, x=X, t=T, W1=W1, b1=B1, W2=W2, b2=B2)


def found(output: Tensor, name: str, given: Any, digits: int = 6, **settings: Any) -> Finding:
    return check(output, {name: np.round(given, digits)}, **settings)[name]


@pytest.mark.parametrize(
    ("name", "given", "kind", "words"),
    [
        ("dE/dW2", np.outer(D1, A1), "other-error-term", "∂E/∂z₁ stands in the place of ∂E/∂z₂."),
        ("dE/dW1", np.outer(D2, X), "other-error-term", "∂E/∂z₂ stands in the place of ∂E/∂z₁."),
        ("dE/dW1[1, 0]", D2[1] * X[0], "other-error-term", "∂E/∂z₂ stands in the place of ∂E/∂z₁."),
        ("dE/dW2", np.outer(D2, Z1), "missing-factor", "z₁ stands in the place of a₁."),
        ("dE/dW2", np.outer(D2, X), "missing-factor", "x stands in the place of a₁."),
        ("dE/dW1", np.outer(D1, A1), "missing-factor", "a₁ stands in the place of x."),
        ("dE/dz1", BACK * Z1 * (1 - Z1), "missing-factor", "z₁ stands in the place of a₁."),
        ("dE/dz1", BACK * sigmoid(A1) * (1 - sigmoid(A1)), "derivative-at-output", "at its output"),
        ("dE/dz1", BACK * (1 - A1**2), "other-function", "The derivative of tanh was taken in place of that of σ."),
        ("dE/dz2", (Y - T) / np.cosh(Z2) ** 2, "other-function", "The derivative of tanh was taken in place of that of σ."),
        ("a1", np.tanh(Z1), "other-function", "tanh was applied in place of σ."),
        ("z2", W2 @ Z1 + B2, "missing-factor", "was not applied to z₁."),
        ("z2", W2 @ X + B2, "missing-factor", "x stands in the place of a₁."),
        ("dE/dz1", W2[0] * D2[0] * A1 * (1 - A1), "missing-path", "Only the output y[0] is counted; the others are forgotten."),
        ("dE/dW1", np.outer(W2[1] * D2[1] * A1 * (1 - A1), X), "missing-path", "Only the output y[1] is counted"),
        ("dE/dW1[0, 1]", W2[1, 0] * D2[1] * A1[0] * (1 - A1[0]) * X[1], "missing-path", "Only the output y[1] is counted"),
    ],
)
def test_slips_of_layers(name: str, given: Any, kind: str, words: str) -> None:
    finding = found(layers(), name, given)
    assert (finding.verdict, finding.kind) == ("wrong", kind), finding.message
    assert words in finding.message


def test_the_sheet_of_a_network_with_slips() -> None:
    claims = {"delta1": [-0.0144, 0.0079], "dE/dW2": [[-0.0632, -0.0053], [0.0781, 0.0065]], "a1": [0.537, 0.05]}
    english, chinese = (check(layers(), claims, language=language) for language in ("en", "zh"))
    for name, words in (
        ("delta1", ("Only the output y[0] is counted", "只算了输出 y[0]，漏掉了其他输出。")),
        ("dE/dW2", ("z₁ stands in the place of a₁", "应为 a₁ 之处用了 z₁。")),
        ("a1", ("tanh was applied in place of σ", "应作用 σ，却用了 tanh。")),
    ):
        assert words[0] in english[name].message
        assert words[1] in chinese[name].message


SCORES = np.array([[0.1, 0.2], [0.3, -0.4], [0.5, 0.6]]) @ [1.0, 2.0]
P = np.exp(SCORES) / np.exp(SCORES).sum()
HOT = np.array([0.0, 1.0, 0.0])


@pytest.mark.parametrize(
    ("name", "given", "kind", "words"),
    [
        ("dL/dz", -HOT / P * P * (1 - P), "missing-path", "Only the diagonal of the Jacobian of softmax is counted"),
        ("dL/dz[1]", -(1 - P[1]), None, "is right"),  # the diagonal is all there is for the right class
        ("dL/dz", (P - HOT) / np.log(10), "other-function", "log₁₀ was taken in place of ln."),
        ("L", -np.log10(P[1]), "other-function", "log₁₀ was taken in place of ln."),
        ("L", -np.log2(P[1]), "other-function", "log₂ was taken in place of ln."),
    ],
)
def test_slips_of_softmax_and_logarithms(name: str, given: Any, kind: str | None, words: str) -> None:
    output = expression(
        "z = W @ x; p = softmax(z); L = -sum(t*log(p))", W=[[0.1, 0.2], [0.3, -0.4], [0.5, 0.6]], x=[1.0, 2.0], t=HOT
    )
    finding = found(output, name, given)
    assert words in finding.message
    assert finding.kind == kind


def test_log10_in_both_logarithms_of_a_cross_entropy() -> None:
    output = expression("y = sigmoid(z); L = -(t*log(y) + (1 - t)*log(1 - y))", z=0.7, t=0.3)
    y = sigmoid(0.7)
    finding = found(output, "L", -(0.3 * np.log10(y) + 0.7 * np.log10(1 - y)))
    assert (finding.kind, "log₁₀" in finding.message) == ("other-function", True)
    assert found(output, "dL/dy", (-0.3 / y + 0.7 / (1 - y)) / np.log(10)).kind == "other-function"


@pytest.mark.parametrize("name", [name for name, record in ops.SHIPPED.items() if record.facts.logarithm])
def test_log10_inside_of_blocks(name: str) -> None:
    """The value, the sum of several, and the gradients by every input."""
    rng = np.random.default_rng(3)
    case = ops.PRIMITIVES[name].cases(rng)
    inputs = [cr.parameter(a[..., :2], name=f"x{k}") for k, a in enumerate(case.inputs)]
    output = apply(name, *inputs, **case.attributes).sum().named("E")
    claims = [("E", output.item())]
    for x, gradient in zip(inputs, cr.grad(output, inputs), strict=True):
        claims.append((f"dE/d{x.name}", gradient.numpy()))
    for claim, value in claims:
        finding = found(output, claim, np.asarray(value) / np.log(10), digits=8)
        assert "log₁₀ was taken in place of ln." in finding.message, (claim, finding.message)


NO_LOGARITHMS = ("normal",)  # random numbers of the method of Box and Muller


@pytest.mark.parametrize("name", sorted(ops.SHIPPED))
def test_every_block_with_a_logarithm_is_known_as_one(name: str) -> None:
    case = ops.PRIMITIVES[name].cases(np.random.default_rng(0))
    node = apply(name, *(cr.tensor(a) for a in case.inputs), **case.attributes).node
    inside = {n.op for n in calculation(node, blocks="expanded").nodes}
    assert ops.PRIMITIVES[name].facts.logarithm == bool({"log", "log1p"} & inside) or name in NO_LOGARITHMS


@pytest.mark.parametrize(
    ("loss", "target"),
    [
        (nn.CrossEntropyLoss(), [0, 2, 1]),
        (nn.CrossEntropyLoss(label_smoothing=0.1), [0, 2, 1]),
        (nn.BCEWithLogitsLoss(), np.eye(3)),
    ],
)
def test_log10_in_losses_of_nn(loss: Any, target: Any) -> None:
    scores = cr.tensor([[0.3, 2.9, 4.0], [0.1, -1.2, 0.5], [2.0, 0.4, 0.6]]).named("z")
    output = loss(scores, cr.tensor(target)).named("L")
    assert "log₁₀ was taken in place of ln." in found(output, "L", output.item() / np.log(10)).message


def test_batch_norm_with_constant_mean_and_variance() -> None:
    x, w, upstream = np.array([1.0, 2.0, 4.0]), 1.5, np.array([0.3, -0.2, 0.5])
    formula = "mu = mean(x); v = mean((x - mu)**2); n = (x - mu)/sqrt(v + 0.001); E = sum(w*n*u)"
    constant = upstream * w / np.sqrt(x.var() + 0.001)
    finding = found(expression(formula, x=x, w=w, u=upstream), "dE/dx", constant)
    assert (finding.kind, "taken as constants" in finding.message) == ("missing-path", True), finding.message
    rows = cr.parameter(np.stack([x, x[::-1] ** 2], axis=1), name="X")
    normed = cr.batch_norm(rows, rows.mean(0), rows.var(0), cr.tensor([w, 1.0]), cr.tensor([0.0, 0.0]), eps=0.001)
    output = (normed * cr.tensor(np.stack([upstream, upstream], axis=1))).sum().named("E")
    finding = found(output, "dE/dX[0, 0]", constant[0])
    assert (finding.kind, "taken as constants" in finding.message) == ("missing-path", True), finding.message


NORMED = "Z = A @ W + b; m = mean(Z, axis=0); v = {variance}; Y = {normed}; E = 0.5*sum((Y - T)**2)"
WRITTEN_OUT = {"variance": "mean((Z - m)**2, axis=0)", "normed": "(Z - m)/sqrt(v + 0.00001)*g + c"}


@pytest.mark.parametrize(
    "parts", [{"variance": "var(Z, axis=0)", "normed": "batch_norm(Z, m, v, g, c)"}, WRITTEN_OUT], ids=["block", "written-out"]
)
@pytest.mark.parametrize(
    ("constant", "words"),
    [
        ("mv", ("m, v are taken as constants; they depend on W", "把 m, v 当成了常数；它们也依赖于 W")),
        ("m", ("m is taken as a constant; it depends on W", "把 m 当成了常数；它也依赖于 W")),
        ("v", ("v is taken as a constant; it depends on W", "把 v 当成了常数；它也依赖于 W")),
    ],
)
def test_the_weights_behind_a_batch_norm_with_constants(parts: dict[str, str], constant: str, words: tuple[str, str]) -> None:
    """Also where a value is the mean itself, so that the derivative of the variance is 0 there."""
    a = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 9.0]])
    w, t, g = np.array([[1.0, 0.5], [0.0, 0.3]]), np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]), np.array([1.5, 0.7])
    output = expression(NORMED.format(**parts), A=a, W=w, b=[0.1, 0.2], g=g, c=[0.0, 0.0], T=t)
    z = a @ w + [0.1, 0.2]
    s = np.sqrt(z.var(0) + 1e-5)
    h = (z - z.mean(0)) / s
    d = (h * g - t) * g
    by_mean, by_variance = d.mean(0), h * (d * h).mean(0)
    wrong = (d - (0.0 if "m" in constant else by_mean) - (0.0 if "v" in constant else by_variance)) / s
    english, chinese = found(output, "dE/dW", a.T @ wrong), found(output, "dE/dW[1, 0]", (a.T @ wrong)[1, 0], language="zh")
    for finding, said in zip((english, chinese), words, strict=True):
        assert (finding.kind, said in finding.message) == ("missing-path", True), finding.message


def test_what_rounding_leaves_behind_a_batch_norm_is_zero() -> None:
    """The bias before it does not count: its gradient is 0 on paper, and 10⁻¹⁶ in float64."""
    a, t = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 9.5]]), np.array([[1.0, 0.3], [0.7, 1.0], [1.0, 0.1]])
    output = expression(NORMED.format(**WRITTEN_OUT), A=a, W=np.eye(2) + 0.3, b=[0.1, 0.2], g=[1.5, 0.7], c=[0.0, 0.0], T=t)
    assert np.any(check(output, {"dE/db": [1.0, 1.0]})["dE/db"].true != 0.0)
    for zero in ([0, 0], ["0.000000", "0.000000"]):
        assert check(output, {"dE/db": zero})["dE/db"].verdict == "right"


PATHS = (
    "E = x + x**2",
    "y = x + tanh(x); E = 3*y**2",
    "h = v + relu(W @ v); E = sum(h*h) + v[0]",
    "m = mean(v); u = (v - m)/(1 + m*m); E = sum(u**3)",
    "E = (x + 1)*(x + 2) + 3*(x + x**2)",
)


@pytest.mark.parametrize("formula", PATHS)
def test_no_path_goes_over_a_number(formula: str) -> None:
    """It goes over something with a name, or a formula; a direct one is told by its ends."""
    names = {"x": 0.7, "v": [0.4, -1.2], "W": [[0.5, 0.2], [-0.3, 0.8]]}
    output = expression(formula, **{n: v for n, v in names.items() if re.search(rf"\b{n}\b", formula)})
    world = World(calculation(output.node))
    told = 0
    for quantity in all_quantities(world):
        for each in slips_of(world, quantity) if quantity.kind == "gradient" else ():
            words = dict(each.words)
            told += "path" in words
            assert re.search(r"[^\W\d_]", words.get("path", "x")), each
            assert re.search(r"[^\W\d_]", words.get("output", "x")), each
    assert told


def test_arrays_of_one_number() -> None:
    output = expression("y = w*x; E = sum(y*y)", w=[0.5], x=[2.0])
    assert [check(output, {"dE/dw": given})["dE/dw"].kind for given in ([4.0], ["-4.00"], ["1.23"])] == [
        None,
        "sign",
        "unexplained",
    ]


def test_a_direct_path() -> None:
    output = expression("y = x + tanh(w*x); E = 3*y**2", w=0.8, x=0.5)
    y = 0.5 + np.tanh(0.4)
    slope = 0.8 * (1 - np.tanh(0.4) ** 2)
    assert "The path on which x acts directly on y is forgotten." in found(output, "dE/dx", 6 * y * slope).message
    assert "漏掉了 x 直接作用于 y 的路径。" in found(output, "dE/dx", 6 * y * slope, language="zh").message
    output = expression("y = x*tanh(w*x); E = 3*y**2", w=0.8, x=0.5)
    finding = found(output, "dE/dx", 3 * np.tanh(0.4) ** 2)
    assert "Only the path on which x acts directly on y is counted; the others are forgotten." in finding.message


@pytest.mark.parametrize("make", [optim.Adam, optim.AdamW])
def test_adam_without_bias_correction(make: Any) -> None:
    w = cr.parameter(5.0, name="w")
    output = ((w - 3) ** 2).named("Q")
    optimizer = make([w], lr=0.1, weight_decay=0.0)
    finding = found(output, "w'", 5 - 0.1 * 0.4 / (np.sqrt(0.001 * 16) + 1e-8), optimizer=optimizer)
    assert (finding.kind, "bias correction" in finding.message) == ("no-bias-correction", True), finding.message
    assert found(output, "m'", -0.4, optimizer=optimizer).kind == "sign"


def test_many_digits_of_which_the_first_fit_a_slip() -> None:
    """Also after earlier numbers with fewer digits, from which the slip could have been calculated."""
    output = layers()
    slip = W2[0] * D2[0] * A1 * (1 - A1)
    for before in ({}, {"a1": np.round(A1, 3), "dE/dz2": np.round(D2, 3)}):
        grading = check(output, before | {"dE/dz1": np.round(slip, 5) + 3.3e-9})
        assert grading["dE/dz1"].kind == "unexplained", str(grading)


# -------------------------------------------------------------------------------------------- kinks
@pytest.mark.parametrize("function", ["relu(z)", "max(0, z)", "max(z, 0)", "maximum(z, 0)", "0.5*(z + abs(z))", "-min(0, -z)"])
@pytest.mark.parametrize("language", ["en", "zh"])
def test_at_a_kink_the_derivative_is_a_convention(function: str, language: Any) -> None:
    output = expression(f"z = w*x; a = {function}; E = 3*a", w=0.0, x=2.0)
    for given in ("6", "0", "3"):
        finding = check(output, {"dE/dw": given}, language=language)["dE/dw"]
        assert finding.verdict == "right", finding.message
        assert {"en": "convention", "zh": "约定"}[language] in finding.message
    assert check(output, {"dE/dw": "2"})["dE/dw"].verdict == "wrong"
    assert "convention" not in check(output, {"a": "0", "dE/dx": "0"})["dE/dx"].message
    beside = expression(f"z = w*x; a = {function}; E = 3*a", w=0.1, x=2.0)
    assert [f.verdict for f in check(beside, {"dE/dw": "0"}).values()] == ["wrong"]


def test_max_and_relu_are_one_function_as_formulas() -> None:
    for function in ("relu(z)", "max(0, z)"):
        output = expression(f"z = w*x; a = {function}; E = 3*a", w=0.0, x=2.0)
        for formula in ("3*x*(z > 0)", "3*x*step(z)"):
            assert check(output, {"dE/dw": formula}).correct
        assert check(output, {"a": "max(0, w*x)"}).correct
        assert check(output, {"a": "relu(z)"}).correct


# -------------------------------------------------------------------------------------------- formulas as printed
@pytest.mark.parametrize(
    "formula", ["(y - t) · y · (1 - y)", "(y − t) · y(1 − y)", "∂E/∂y · y(1 - y)", "∂E/∂y · y (1 - y)", "(y - t)(y - y²)"]
)
def test_formulas_may_be_written_as_they_are_printed(formula: str) -> None:
    finding = check(layers(), {"∂E/∂z₂": formula})["∂E/∂z₂"]
    assert finding.verdict == "right", finding.message


def test_names_in_formulas_may_be_written_as_they_are_printed() -> None:
    assert check(layers(), {"δ₁": "(transpose(W₂) @ ∂E/∂z₂) · a₁(1 - a₁)", "z₂": "W₂ @ a₁ + b₂"}).correct
    assert not check(layers(), {"δ₁": "(W₂ @ ∂E/∂z₂) · a₁(1 - a₁)"}).correct
