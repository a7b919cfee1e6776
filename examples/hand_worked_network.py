"""Two networks that textbooks work out by hand, computed and checked (M6 and M7).

The first has two hidden sigmoid units and no bias. Its printed solution has mistakes, which are named here.
The second has two outputs and biases: the gradient of one output's error is not that of the total error.
"""

import numpy as np

import chainrule as cr

PRINTED_O3, PRINTED_DELTA5 = 0.69, 0.027


def forward(w: dict[str, cr.Tensor]) -> dict[str, cr.Tensor]:
    """x₁ = 0.35 and x₂ = 0.9 through the units 3 and 4 to the unit 5, with E = ½ (O₅ − 0.5)²."""
    x1, x2, t5 = 0.35, 0.9, 0.5
    x3, x4 = w["w13"] * x1 + w["w23"] * x2, w["w14"] * x1 + w["w24"] * x2
    o3, o4 = cr.sigmoid(x3), cr.sigmoid(x4)
    x5 = w["w35"] * o3 + w["w45"] * o4
    o5 = cr.sigmoid(x5)
    return {"x3": x3, "x4": x4, "O3": o3, "O4": o4, "x5": x5, "O5": o5, "E": 0.5 * (o5 - t5) ** 2}


def two_hidden_units() -> dict[str, float]:
    values = {"w13": 0.1, "w14": 0.4, "w23": 0.8, "w24": 0.6, "w35": 0.3, "w45": 0.9}
    w = {name: cr.parameter(value, name=name) for name, value in values.items()}
    nodes = forward(w)
    d5, d3, d4 = cr.grad(nodes["E"], [nodes["x5"], nodes["x3"], nodes["x4"]])
    nodes["E"].backward()
    found = {name: node.item() for name, node in nodes.items()}
    found |= {"δ5": d5.item(), "δ3": d3.item(), "δ4": d4.item()}
    found |= {f"∂E/∂{name}": weight.grad.item() for name, weight in w.items()}

    # One step with α = 1. The gradients of all weights are known before the first of them changes.
    for weight in w.values():
        weight.assign(weight.detach() - 1.0 * weight.grad)
    after = forward(w)
    found |= {f"new {name}": weight.item() for name, weight in w.items()}
    return found | {"new O5": after["O5"].item(), "new E": after["E"].item()}


def two_outputs() -> dict[str, float]:
    """∂/∂w¹₁₁ of the first output's error, of the second's, and of their sum; numbers of M. Mazur's example."""
    a1 = np.array([0.05, 0.1])
    w1, b1 = cr.parameter([[0.15, 0.2], [0.25, 0.3]], name="W1"), cr.parameter([0.35, 0.35], name="b1")
    w2, b2 = cr.parameter([[0.4, 0.45], [0.5, 0.55]], name="W2"), cr.parameter([0.6, 0.6], name="b2")
    a2 = cr.sigmoid(w1 @ a1 + b1)
    a3 = cr.sigmoid(w2 @ a2 + b2)
    errors = 0.5 * (a3 - np.array([0.01, 0.99])) ** 2
    first, second, total = (cr.grad(e, [w1])[0][0, 0].item() for e in (errors[0], errors[1], errors.sum()))
    return {"first output": first, "second output": second, "total": total}


def main() -> dict[str, float]:
    found = two_hidden_units()
    for name, value in found.items():
        print(f"{name:>8} = {value:.10f}")
    print(f"O3 was printed as {PRINTED_O3}; it is {found['O3']:.3f}.")
    print(f"∂E/∂x5 was printed as {PRINTED_DELTA5}; it is {found['δ5']:.4f}.")
    print(f"With an O4 too many it is ∂E/∂w45 = {found['∂E/∂w45']:.3f}.")

    outputs = two_outputs()
    print(f"∂e/∂w¹₁₁: of output 1 {outputs['first output']:.9f}, of output 2 {outputs['second output']:.9f}.")
    print(f"Of the total error it is their sum, {outputs['total']:.9f}: both outputs were computed with w¹₁₁.")
    return found | outputs


if __name__ == "__main__":
    main()
