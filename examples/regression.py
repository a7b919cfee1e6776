"""Regression: numbers for targets (M12).

How far will a patient's diabetes go within a year? Ten measurements of 442 patients, a network with a continuous output, and
the mean squared error. A prediction is worth something only beside a trivial one: the mean of the patients seen.
"""

import numpy as np

import chainrule as cr


def main() -> dict[str, float]:
    data = cr.data.builtin("diabetes")
    train, held_out = cr.data.split_rows(len(data.X), 0.25, seed=0)

    # Networks learn best from numbers around 0 of size 1. The scales come from the training rows only.
    X = (data.X - data.X[train].mean(axis=0)) / data.X[train].std(axis=0)
    mean, scale = data.y[train].mean(), data.y[train].std()
    y = (data.y - mean) / scale

    cr.manual_seed(0)
    model = cr.nn.Sequential(cr.nn.Linear(10, 16), cr.nn.Tanh(), cr.nn.Linear(16, 1))
    optimizer = cr.optim.Adam(model.parameters(), lr=0.005, weight_decay=0.02)
    trainer = cr.Trainer(model, cr.nn.MSELoss(), optimizer)
    history = trainer.fit(X[train], y[train], epochs=60, batch_size=32, progress=False)
    print(f"training loss {history['loss'][0]:.3f} in the first epoch, {history['loss'][-1]:.3f} in the last")

    predicted = trainer.predict(X[held_out])[:, 0] * scale + mean
    wanted = data.y[held_out]
    error = float(np.sqrt(np.mean((predicted - wanted) ** 2)))
    baseline = float(np.sqrt(np.mean((mean - wanted) ** 2)))
    for p, t in zip(predicted[:5], wanted[:5], strict=True):
        print(f"predicted {p:6.1f}, measured {t:6.1f}")
    print(
        f"root mean square error on {len(held_out)} patients not seen: {error:.1f}; always answering the mean: {baseline:.1f}"
    )
    return {"error": error, "baseline": baseline}


if __name__ == "__main__":
    main()
