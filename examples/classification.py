"""Classification (M12): two classes with σ and the threshold ½, several with softmax.

And why the step function, which decides just as well, cannot be trained.
"""

import numpy as np

import chainrule as cr


def train(name: str, outputs: int, loss: cr.nn.Loss) -> tuple[cr.Trainer, np.ndarray, np.ndarray]:
    """A network with one hidden layer for a built-in set; the trainer, and the rows it has not seen."""
    data = cr.data.builtin(name)
    seen, held_out = cr.data.split_rows(len(data.X), 0.25, seed=0, stratify=data.y)
    X = (data.X - data.X[seen].mean(axis=0)) / data.X[seen].std(axis=0)
    cr.manual_seed(0)
    model = cr.nn.Sequential(cr.nn.Linear(X.shape[1], 16), cr.nn.ReLU(), cr.nn.Linear(16, outputs))
    optimizer = cr.optim.Adam(model.parameters(), lr=0.01, weight_decay=1e-3)
    trainer = cr.Trainer(model, loss, optimizer, metrics=["accuracy"])
    trainer.fit(X[seen], data.y[seen], epochs=30, progress=False)
    return trainer, X[held_out], data.y[held_out]


def main() -> dict[str, float]:
    # Two classes: one output z, the probability σ(z) of class 1, and class 1 where it exceeds ½.
    trainer, X, y = train("breast_cancer", 1, cr.nn.BCEWithLogitsLoss())
    probability = cr.sigmoid(trainer.predict(X)).numpy()[:, 0]
    binary = float(((probability > 0.5) == y).mean())
    print(f"breast_cancer: P(benign) = {probability[:4].round(3)} for {y[:4]}; held-out accuracy {binary:.3f}")

    # Several classes: one output per class, softmax makes them probabilities, and the largest wins.
    trainer, X, y = train("wine", 3, cr.nn.CrossEntropyLoss())
    probabilities = cr.softmax(trainer.predict(X)).numpy()
    several = float((probabilities.argmax(axis=1) == y).mean())
    print(f"wine: P = {probabilities[0].round(3)} for class {y[0]}; held-out accuracy {several:.3f}")

    # The step function decides just as well, but its derivative says nothing about which way to go.
    z = cr.parameter([-2.0, 0.0, 3.0], name="z")
    output = cr.step(z)
    print(f"step({z.tolist()}) = {output.tolist()}")
    try:
        output.sum().backward()
    except cr.ChainruleError as error:
        print(f"Training through it: {error}")
    x = np.linspace(-3, 3, 7)
    slope = cr.grad(cr.sigmoid(t := cr.parameter(x)).sum(), [t])[0].numpy()
    print(f"σ has the derivative σ(1 − σ), at −3 … 3: {slope.round(3)}")
    return {"binary accuracy": binary, "accuracy": several, "largest slope of σ": float(slope.max())}


if __name__ == "__main__":
    main()
