"""Learning from mistakes only, like Rosenblatt's perceptron (M19).

Each step takes at random one sample that the network still gets wrong, and learning ends when there is none left.
"""

import numpy as np

import chainrule as cr


def learn(title: str, X: np.ndarray, y: np.ndarray, model: cr.nn.Sequential, lr: float) -> dict[str, float]:
    """Train on misclassified samples until there are none."""
    optimizer = cr.optim.SGD(model.parameters(), lr=lr)
    trainer = cr.Trainer(model, cr.nn.BCEWithLogitsLoss(), optimizer, metrics=["accuracy"])
    before = trainer.evaluate(X, y)["accuracy"]
    history = trainer.fit(X, y, epochs=50, sampler="misclassified", progress=False)
    after = trainer.evaluate(X, y)["accuracy"]
    errors = [round((1 - a) * len(X)) for a in (before, after)]
    print(f"{title}: {errors[0]} of {len(X)} wrong before, {errors[1]} after {len(history.step_loss)} steps: {history.stopped}")
    return {"errors": errors[1], "steps": len(history.step_loss)}


def main() -> dict[str, float]:
    cr.manual_seed(0)
    # One neuron suffices where a plane divides the classes: iris setosa from the other two species.
    iris = cr.data.builtin("iris")
    X = (iris.X - iris.X.mean(axis=0)) / iris.X.std(axis=0)
    setosa = learn("setosa or not, one neuron", X, (iris.y == 0).astype(int), cr.nn.Sequential(cr.nn.Linear(4, 1)), lr=1.0)

    # Two half moons that interlock need a hidden layer.
    moons = cr.data.builtin("moons")
    hidden = cr.nn.Sequential(cr.nn.Linear(2, 16), cr.nn.Tanh(), cr.nn.Linear(16, 1))
    bent = learn("moons, a hidden layer", moons.X, moons.y, hidden, lr=0.1)
    return {
        "setosa errors": setosa["errors"],
        "setosa steps": setosa["steps"],
        "moons errors": bent["errors"],
        "moons steps": bent["steps"],
    }


if __name__ == "__main__":
    main()
