"""Backpropagation in matrix form for a network of any depth (M9 and M10), written out in NumPy and compared with the graph's.

δᴸ = ∂C/∂aᴸ ⊙ σ'(zᴸ)        δˡ = (Wˡ⁺¹)ᵀ δˡ⁺¹ ⊙ σ'(zˡ)        ∂C/∂Wˡ = δˡ (aˡ⁻¹)ᵀ        ∂C/∂bˡ = δˡ
"""

from itertools import pairwise

import numpy as np

import chainrule as cr

SIZES = [3, 5, 4, 2]  # units per layer: the input, two hidden layers, the output


def main() -> dict[str, float]:
    rng = np.random.default_rng(0)
    W = [cr.parameter(rng.normal(size=(n, m)), name=f"W{k}") for k, (m, n) in enumerate(pairwise(SIZES), 1)]
    b = [cr.parameter(rng.normal(size=n), name=f"b{k}") for k, n in enumerate(SIZES[1:], 1)]
    target = np.array([0.0, 1.0])

    # Forward: zˡ = Wˡ aˡ⁻¹ + bˡ, aˡ = σ(zˡ), C = ½ Σ (aᴸ − t)².
    a, z = [cr.tensor([0.2, -0.4, 0.7])], []
    for weight, bias in zip(W, b, strict=True):
        z.append(weight @ a[-1] + bias)
        a.append(cr.sigmoid(z[-1]))
    cost = 0.5 * ((a[-1] - target) ** 2).sum()

    # Backward by the formulas, from the last layer to the first; σ'(z) = a (1 − a).
    slopes = [act.numpy() * (1 - act.numpy()) for act in a[1:]]
    delta = (a[-1].numpy() - target) * slopes[-1]
    by_formula = [delta]
    for weight, slope in zip(reversed(W[1:]), reversed(slopes[:-1]), strict=True):
        by_formula.insert(0, weight.numpy().T @ by_formula[0] * slope)

    by_graph = cr.grad(cost, z)
    cost.backward()
    worst = 0.0
    print("layer        W          a        δ = ∂C/∂z    ∂C/∂W     largest difference between formula and graph")
    for k, (weight, bias, delta, found) in enumerate(zip(W, b, by_formula, by_graph, strict=True)):
        difference = max(
            np.abs(found.numpy() - delta).max(),
            np.abs(weight.grad.numpy() - np.outer(delta, a[k].numpy())).max(),
            np.abs(bias.grad.numpy() - delta).max(),
        )
        worst = max(worst, float(difference))
        shapes = [str(shape) for shape in (weight.shape, a[k + 1].shape, delta.shape, weight.grad.shape)]
        print(f"{k + 1:>5}   " + "   ".join(f"{shape:>7}" for shape in shapes) + f"      {difference:.1e}")
    return {"cost": cost.item(), "largest difference": worst}


if __name__ == "__main__":
    main()
