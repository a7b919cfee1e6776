"""How much data per step (M19): all of it, a mini-batch, or a single sample.

All three go through the same data equally often. A whole batch gives few steps in exactly the direction of the gradient; small
batches give many steps that are only right on average. So a single sample learns a lot in few epochs, and never comes to rest.
"""

import chainrule as cr

EPOCHS = 20


def main() -> dict[str, float]:
    data = cr.data.builtin("diabetes")
    X = data.X / data.X.std(axis=0)
    y = (data.y - data.y.mean()) / data.y.std()
    found = {}
    print(f"{EPOCHS} epochs of {len(X)} patients, SGD with learning rate 0.02")
    print("samples per step    steps    loss of all    largest loss of a step in the last epoch")
    for title, batch_size in (("all", None), ("32", 32), ("1", 1)):
        cr.manual_seed(0)  # the same initial weights for each
        model = cr.nn.Sequential(cr.nn.Linear(10, 16), cr.nn.Tanh(), cr.nn.Linear(16, 1))
        trainer = cr.Trainer(model, cr.nn.MSELoss(), cr.optim.SGD(model.parameters(), lr=0.02))
        history = trainer.fit(X, y, epochs=EPOCHS, batch_size=batch_size, progress=False)
        steps = len(history.step_loss)
        loss = trainer.evaluate(X, y)["loss"]
        largest = max(history.step_loss[-steps // EPOCHS :])
        print(f"{title:>16} {steps:>8} {loss:>14.4f} {largest:>43.4f}")
        found |= {f"{title} steps": steps, f"{title} loss": loss, f"{title} largest": largest}
    return found


if __name__ == "__main__":
    main()
