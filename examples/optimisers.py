"""Optimisers compared on one problem, from the same initial weights (M20).

Two spirals wound around each other, a network with two hidden layers, 100 epochs. The update equations are in each optimiser's
docstring: help(cr.optim.Adam).
"""

import chainrule as cr

OPTIMISERS = {
    "SGD": lambda p: cr.optim.SGD(p, lr=0.1),
    "momentum": lambda p: cr.optim.SGD(p, lr=0.1, momentum=0.9),
    "Nesterov": lambda p: cr.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
    "RMSprop": lambda p: cr.optim.RMSprop(p, lr=0.003),
    "Adam": lambda p: cr.optim.Adam(p, lr=0.01),
    "AdamW": lambda p: cr.optim.AdamW(p, lr=0.01),
    "Adagrad": lambda p: cr.optim.Adagrad(p, lr=0.05),
    "Adadelta": lambda p: cr.optim.Adadelta(p, lr=1.0),
}


def main() -> dict[str, float]:
    spirals = cr.data.builtin("spirals")
    found = {}
    print("optimiser     loss before    after 10 epochs    after 100    accuracy")
    for name, make in OPTIMISERS.items():
        cr.manual_seed(0)
        nn = cr.nn
        model = nn.Sequential(nn.Linear(2, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 1))
        trainer = cr.Trainer(model, nn.BCEWithLogitsLoss(), make(model.parameters()), metrics=["accuracy"])
        before = trainer.evaluate(spirals.X, spirals.y)["loss"]
        history = trainer.fit(spirals.X, spirals.y, epochs=100, batch_size=32, progress=False)
        after = trainer.evaluate(spirals.X, spirals.y)
        print(f"{name:<10} {before:>14.4f} {history['loss'][9]:>18.4f} {after['loss']:>12.4f} {after['accuracy']:>11.3f}")
        found |= {f"{name} before": before, f"{name} after": after["loss"]}
    return found


if __name__ == "__main__":
    main()
