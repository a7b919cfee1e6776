"""The commands of docs/explain.md run as they stand there and print the numbers of the founding tutorials.

Every command of the page has its numbers here: a command that is added without them fails.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from chainrule.cli import main

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "explain.md").read_text(encoding="utf-8")
SECTION = PAGE.split("## Worked examples, one command each")[1].split("\n## ")[0]
COMMANDS = [line for block in re.findall(r"```sh\n(.*?)```", SECTION, re.DOTALL) for line in block.splitlines()]


def run(command: str, monkeypatch: pytest.MonkeyPatch, code: int = 0) -> str:
    monkeypatch.chdir(ROOT)
    program, *arguments = shlex.split(command)
    assert program == "chainrule"
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == code, result.output
    return result.output


def value(text: str, symbol: str) -> list[float]:
    """The numbers after the last = of the line of a symbol, without what stands in brackets behind."""
    lines = text.splitlines()
    at = next(k for k, line in enumerate(lines) if line.split(" =")[0].strip() == symbol)
    shown = lines[at].split("    (")[0].split(" = ")[-1]
    for line in lines[at + 1 :]:  # the rows of a matrix, or the further sides of a long equation
        if not line.startswith(" "):
            break
        shown = line.split(" = ")[-1] if "=" in line else shown + line
    return [float(n) for n in re.findall(r"-?\d+(?:\.\d+)?(?:e-?\d+)?", re.sub(r"×10(⁻?)(\S+)", _power, shown))]


def _power(match: re.Match[str]) -> str:
    digits = match[2].translate(str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789"))
    return f"e{'-' if match[1] else ''}{digits}"


S = lambda z: 1 / (1 + np.exp(-z))  # noqa: E731 -- the numbers below are worked out with it, apart from chainrule

CAR = {"subtotal": 40, "total": 44, "∂total/∂total": 1, "∂total/∂subtotal": 1.1, "∂total/∂price": 2.2}
NODES = {"∂E/∂y": 5, "∂E/∂z": 5, "∂E/∂c": 5, "∂E/∂a": 15, "∂E/∂b": 10}
X, W, B, G = np.array([[1, 2], [3, 4.0]]), np.array([[1, -1], [2, 0.5]]), np.array([0.5, -2]), np.array([[1, 2], [3, 4.0]])
DH = G * (X @ W + B > 0)
BATCH = {"∂C/∂X": DH @ W.T, "∂C/∂W": X.T @ DH, "∂C/∂b": DH.sum(0)}
SOFTMAX = {"L": 0.3057144648, "∂L/∂a": (0.0182112733, 0.2451918129, -0.2634030862)}
TWO_SIGMOID_UNITS = {
    "x₃": 0.755, "x₄": 0.68, "O₃": 0.6802671967, "O₄": 0.6637386974, "x₅": 0.8014449867, "O₅": 0.6902834929, "E": 0.0181039038,
    "∂E/∂x₅": 0.0406811251, "∂E/∂x₃": 0.0026544890, "∂E/∂x₄": 0.0081716451, "∂E/∂w₃₅": 0.0276740349, "∂E/∂w₄₅": 0.0270016370,
    "∂E/∂w₁₃": 0.0009290712, "∂E/∂w₂₃": 0.0023890401, "∂E/∂w₁₄": 0.0028600758, "∂E/∂w₂₄": 0.0073544806,
}  # fmt: skip
STEP = {
    "w₁₃′": 0.0990709288, "w₁₄′": 0.3971399242, "w₂₃′": 0.7976109599, "w₂₄′": 0.5926455194, "w₃₅′": 0.2723259651,
    "w₄₅′": 0.8729983630,
}  # fmt: skip
W1, W2, V = np.array([[0.5, 0.2], [0.1, 0.7]]), np.array([[2, 3], [1, 4.0]]), np.array([1, 0.5])
HIDDEN = S(W1 @ V)
ERROR = W2 @ HIDDEN - [0.4, 1.2]
SHARES = {
    "e²": ERROR,
    "e¹": [2 / 5 * ERROR[0] + 1 / 5 * ERROR[1], 3 / 5 * ERROR[0] + 4 / 5 * ERROR[1]],
    "E¹": W2.T @ ERROR,
    "δ¹": W2.T @ ERROR * HIDDEN * (1 - HIDDEN),
}
A1 = S(W1 @ V + [0, 0.1])
DZ2 = S(np.array([[2, 3.0]]) @ A1 - 0.3) - 1
DZ1 = np.array([2, 3.0]) * DZ2 * A1 * (1 - A1)
ENTROPY = {
    "δ₂": DZ2, "∂L/∂W₂": DZ2[:, None] * A1, "∂L/∂b₂": DZ2, "δ₁": DZ1, "∂L/∂W₁": np.outer(DZ1, V), "∂L/∂b₁": DZ1,
}  # fmt: skip
GATES = {"XNOR": (0.99995, 0.00005, 0.00005, 0.99995)}

# Of every explanation: words of its command, the numbers, and how exact they are.
NUMBERS = [
    ("subtotal = price*count", CAR, 1e-9),
    ("z = a*b", NODES, 1e-9),
    ("affine(X, W, b)", BATCH, 1e-9),
    ("--wrt a --precision 10", SOFTMAX, 6e-11),
    ("--precision 10 --expand", SOFTMAX, 6e-10),
    ("two-sigmoid-units.toml --precision 11", TWO_SIGMOID_UNITS, 6e-11),
    ("two-sigmoid-units.toml --wrt w13 --form path", {"∂E/∂w₁₃": 0.00092907}, 6e-9),
    ("--form update", STEP, 6e-11),
    ("--form attribution", SHARES, 6e-5),
    ("binary_cross_entropy_with_logits", ENTROPY, 6e-7),
    ("x1=[0,0,1,1]", GATES, 6e-6),
]
# Of every explanation without numbers of a tutorial, and of every check: lines that it prints. A check that has ✗ exits with 1.
LINES = [
    ("two-outputs.toml --wrt w111 --form path", ["path 1: e → e₁ → a₂₁ → z₂₁ → a₁₁ → z₁₁ → w₁₁₁", "the sum of the 2 paths"]),
    ("two-outputs.toml --wrt z11", ["∂e/∂a₁₁ = ∂e/∂z₂₁ · w₂₁₁ + ∂e/∂z₂₂ · w₂₂₁", "∂e/∂z₁₁ = ∂e/∂a₁₁ · a₁₁(1 - a₁₁)"]),
    (
        "three-layers.toml --form matrix",
        [
            "δ₃ = (a₃ - t) ⊙ a₃ ⊙ (1 - a₃) = (error term of layer 3, with σ′(z₃) = a₃ ⊙ (1 - a₃), shape 2×1)",
            "δ₂ = (W₃ᵀ @ δ₃) ⊙ [z₂ > 0] =",
            "∂E/∂W₂ = δ₂ @ a₁ᵀ = (gradient of the weight of layer 2, shape 2×3)",
            "∂E/∂b₂ = δ₂ =",
        ],
    ),
    ("check examples/homework/two-sigmoid-units.toml", ["E′ = 0.0165653823 is right."]),
    (
        "two-sigmoid-units-as-printed.toml",
        [
            "✗ O3 O₃ is 0.6802672, not 0.69. That is O₅ = 0.690283.",
            "✗ dE/dx5 ∂E/∂x₅ is 0.04068113, not 0.027. That is ∂E/∂w₄₅ = 0.0270016: a factor O₄ too many.",
            "? dE/db There is no dE/db in this calculation. The number 0.00093 is ∂E/∂w₁₃ = 0.000929071.",
            "? w44' There is no w44' in this calculation. The number 0.873 is w₄₅′ = 0.872998.",
        ],
    ),
    ("check examples/homework/two-outputs.toml", ["✓ de1/dw111", "✗ de/dw111", "Only the path over e₁ is counted"]),
    ("check examples/homework/three-layers.toml", ["✓ dE/dz1", "✓ dE/dW1", "✓ dE/db1"]),
    ("check examples/homework/binary-cross-entropy.toml", ["✓ dE/dz2 ∂E/∂z₂ = a2 - t is right", "✓ dE/db1"]),
    (
        "check examples/homework/logic-gates.toml",
        [
            "✓ AND",
            "✗ NOR NOR is not 1/(1 + exp(10 - 20*x1 - 20*x2)). 10 - 20 · x₁ - 20 · x₂ has the wrong sign.",
            "✗ XNOR XNOR is not 1/(1 + exp(-10 + 20*AND + 20*NOR)). -10 + 20 · AND + 20 · NOR has the wrong sign.",
            "? XOR There is no XOR in this calculation. That is XNOR.",
        ],
    ),
    (
        "check examples/homework/two-two-two.toml",
        [
            "✓ w1'",
            "✗ E' E′ is 0.2910277737, not 0.291027924. w₅, w₆, w₇, w₈ were updated before the other gradients were taken",
        ],
    ),
    (
        "check examples/homework/comment-in-a-test.toml",
        [
            "✗ dE/dw31 ∂E/∂w₃₁ is 0.06167517, not 0.060002. x₁ stands in the place of x₃.",
            "✗ dE/dw32 ∂E/∂w₃₂ is 0.02619696, not 0.02244. x₁ stands in the place of x₃.",
        ],
    ),
    ("check examples/homework/shop.toml", ["✓ price price = 715", "✓ dprice/dapple", "✓ dprice/dtax ∂price/∂tax = 650"]),
]


def command_with(words: str) -> str:
    (found,) = [
        c for c in COMMANDS if c.endswith(words) or (words in c and not any(c.endswith(w) for w, *_ in [*NUMBERS, *LINES]))
    ]
    return found


@pytest.mark.parametrize(("words", "numbers", "exact"), NUMBERS, ids=[words for words, *_ in NUMBERS])
def test_the_numbers_of_a_command(
    words: str, numbers: dict[str, object], exact: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = run(command_with(words), monkeypatch)
    for symbol, expected in numbers.items():
        np.testing.assert_allclose(value(text, symbol), np.ravel(expected), atol=exact, rtol=0, err_msg=symbol)


@pytest.mark.parametrize(("words", "lines"), LINES, ids=[words for words, _ in LINES])
def test_the_lines_of_a_command(words: str, lines: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = any(line.startswith("✗") for line in lines)
    text = " ".join(run(command_with(words), monkeypatch, code=int(wrong)).split())
    for line in lines:
        assert line in text
    assert wrong == ("✗" in text)


def test_every_command_of_the_page_is_among_them() -> None:
    assert sorted(COMMANDS) == sorted(command_with(words) for words, *_ in [*NUMBERS, *LINES])


def test_every_homework_file_is_on_the_page() -> None:
    for file in (ROOT / "examples" / "homework").glob("*.toml"):
        assert f"chainrule check examples/homework/{file.name}" in COMMANDS
