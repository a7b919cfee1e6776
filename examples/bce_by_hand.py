"""Two layers with binary cross-entropy, the gradients by hand and by the graph (M11).

    L = −(y ln ŷ + (1 − y) ln(1 − ŷ)),  ŷ = a² = σ(z²)

    dz² = a² − y       dW² = dz² a¹ᵀ       db² = dz²
    dz¹ = W²ᵀ dz² ⊙ σ'(z¹)       dW¹ = dz¹ xᵀ       db¹ = dz¹

The logarithm and σ together leave only the difference a² − y: no division that could go wrong where ŷ is near 0 or 1.
"""

import numpy as np

import chainrule as cr


def main() -> dict[str, float]:
    x, y = np.array([[0.5], [-1.2]]), 1.0
    W1, b1 = cr.parameter([[0.1, 0.4], [-0.3, 0.8], [0.6, -0.5]], name="W1"), cr.parameter(np.zeros((3, 1)), name="b1")
    W2, b2 = cr.parameter([[0.7, -0.2, 0.3]], name="W2"), cr.parameter([[0.1]], name="b2")

    a1 = cr.sigmoid(W1 @ x + b1)
    a2 = cr.sigmoid(W2 @ a1 + b2)
    loss = -(y * cr.log(a2) + (1 - y) * cr.log(1 - a2)).sum()
    loss.backward()

    hidden, output = a1.numpy(), a2.numpy()
    dz2 = output - y
    dz1 = W2.numpy().T @ dz2 * hidden * (1 - hidden)
    by_hand = {"W2": dz2 @ hidden.T, "b2": dz2, "W1": dz1 @ x.T, "b1": dz1}

    print(f"ŷ = {output.item():.6f}, L = {loss.item():.6f}, dz² = a² − y = {dz2.item():.6f}")
    worst = 0.0
    for parameter in (W2, b2, W1, b1):
        difference = float(np.abs(parameter.grad.numpy() - by_hand[parameter.name]).max())
        worst = max(worst, difference)
        print(f"d{parameter.name} = {by_hand[parameter.name].round(6).tolist()}   differs by at most {difference:.1e}")
    return {"loss": loss.item(), "dz2": dz2.item(), "largest difference": worst}


if __name__ == "__main__":
    main()
