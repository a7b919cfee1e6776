"""L2 regularisation: the penalty ½ reg ‖W‖² adds reg · W to dW, and keeps a network from learning noise (M18).

A network that is far too large for 40 noisy points of a sine curve is trained with and without it. The biases are left alone:
they shift the curve and do not make it wiggle.
"""

import numpy as np

import chainrule as cr


def samples(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """n points of y = sin 3x + ε on [−1, 1], with ε ~ N(0, 0.3²)."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, (n, 1))
    return x, np.sin(3 * x) + rng.normal(0, 0.3, (n, 1))


def train(reg: float) -> dict[str, float]:
    """Train with a penalty on the weights; the losses and the size of the weights."""
    cr.manual_seed(0)
    model = cr.nn.Sequential(
        cr.nn.Linear(1, 100, init="he_normal"),
        cr.nn.ReLU(),
        cr.nn.Linear(100, 100, init="he_normal"),
        cr.nn.ReLU(),
        cr.nn.Linear(100, 1),
    )
    weights = [p for name, p in model.named_parameters() if name.endswith("weight")]
    biases = [p for name, p in model.named_parameters() if name.endswith("bias")]
    optimizer = cr.optim.Adam([{"params": weights, "weight_decay": reg}, {"params": biases}], lr=0.003)
    trainer = cr.Trainer(model, cr.nn.MSELoss(), optimizer)
    trainer.fit(*samples(40, seed=0), epochs=600, batch_size=None, progress=False)
    return {
        "training loss": trainer.evaluate(*samples(40, seed=0))["loss"],
        "held-out loss": trainer.evaluate(*samples(1000, seed=1))["loss"],
        "norm": float(np.sqrt(sum((w.numpy() ** 2).sum() for w in weights))),
    }


def main() -> dict[str, float]:
    # The rule itself: one step of gradient descent with reg = 0.1 on a loss whose gradient is 3.
    w = cr.parameter([2.0])
    (3.0 * w).sum().backward()
    cr.optim.SGD([w], lr=1.0, weight_decay=0.1).step()
    print(f"W = 2, dW = 3, reg = 0.1, ε = 1: W ← 2 − (3 + 0.1 · 2) = {w.item():.1f}")

    found = {"step": w.item()}
    for reg in (0.0, 0.001, 0.01):
        result = train(reg)
        print(f"reg = {reg:<6} " + "    ".join(f"{name} {value:7.4f}" for name, value in result.items()))
        found |= {f"{name} {reg}": value for name, value in result.items()}
    print("The noise alone has a mean square of 0.09: a training loss below it is noise learnt by heart.")
    return found


if __name__ == "__main__":
    main()
