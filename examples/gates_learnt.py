"""XOR and XNOR learnt from random weights, which a network of one layer cannot do (M14).

One layer divides the plane by a straight line, and no line has (0, 1) and (1, 0) on one side, (0, 0) and (1, 1) on the other.
The best that it can do is to answer ½ everywhere, a loss of ln 2. A hidden layer bends the line.
"""

import math

import chainrule as cr


def learn(gate: str, model: cr.nn.Sequential) -> tuple[cr.History, dict[str, float]]:
    """Train on the four rows of the truth table until the loss is at most 0.01."""
    table = cr.data.builtin(gate)
    optimizer = cr.optim.Adam(model.parameters(), lr=0.1)
    trainer = cr.Trainer(model, cr.nn.BCEWithLogitsLoss(), optimizer, metrics=["accuracy"])
    history = trainer.fit(table.X, table.y, epochs=1000, batch_size=None, until_loss=0.01, progress=False)
    probabilities = cr.sigmoid(trainer.predict(table.X)).numpy()[:, 0]
    print(f"  P(1) = {probabilities.round(3)} where {table.y} is wanted, after {len(history)} epochs")
    return history, trainer.evaluate(table.X, table.y)


def main() -> dict[str, float]:
    found = {}
    for gate in ("xor", "xnor"):
        cr.manual_seed(0)
        print(f"{gate.upper()} with a hidden layer of four units:")
        history, deep = learn(gate, cr.nn.Sequential(cr.nn.Linear(2, 4), cr.nn.Tanh(), cr.nn.Linear(4, 1)))
        print(f"  {history.stopped}")
        print(f"{gate.upper()} with one layer:")
        _, single = learn(gate, cr.nn.Sequential(cr.nn.Linear(2, 1)))
        print(f"  loss {single['loss']:.6f}, never below ln 2 = {math.log(2):.6f}; accuracy {single['accuracy']:.2f}")
        found |= {f"{gate} loss": deep["loss"], f"{gate} accuracy": deep["accuracy"]}
        found |= {f"{gate} one-layer loss": single["loss"], f"{gate} one-layer accuracy": single["accuracy"]}
    return found


if __name__ == "__main__":
    main()
