"""Logic gates from neurons whose weights are given (M14).

    AND = σ(−30 + 20 x₁ + 20 x₂)      NOR = σ(10 − 20 x₁ − 20 x₂)      OR = σ(−10 + 20 x₁ + 20 x₂)

A neuron's output is near 0 or 1 because its weighted input is ±10 or further from 0. XNOR needs two layers: it is the OR of AND
and NOR. In print the signs of the exponents of NOR and OR are found reversed, and XNOR under the name of XOR.
"""

import numpy as np

import chainrule as cr

X = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])


def main() -> dict[str, float]:
    nn = cr.nn
    hidden = nn.Linear(2, 2, init=[[20.0, 20.0], [-20.0, -20.0]], bias_init=[-30.0, 10.0], dtype="float64")  # AND and NOR
    either = nn.Linear(2, 1, init=[[20.0, 20.0]], bias_init=[-10.0], dtype="float64")  # OR
    xnor = nn.Sequential(hidden, nn.Sigmoid(), either, nn.Sigmoid())

    gates = cr.sigmoid(hidden(X)).numpy()
    columns = {
        "AND": gates[:, 0],
        "NOR": gates[:, 1],
        "OR": cr.sigmoid(either(X)).numpy()[:, 0],
        "XNOR": xnor(X).numpy()[:, 0],
    }
    print("x1  x2   " + "      ".join(f"{name:>4}" for name in columns))
    for k, (x1, x2) in enumerate(X):
        print(f"{x1:.0f}   {x2:.0f}   " + "   ".join(f"{values[k]:.5f}" for values in columns.values()))
    return {f"{name} {x1:.0f}{x2:.0f}": float(values[k]) for name, values in columns.items() for k, (x1, x2) in enumerate(X)}


if __name__ == "__main__":
    main()
