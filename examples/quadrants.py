"""Which quadrant of the plane is a point in? Four classes, two layers, trained from scratch, its regions drawn (M15).

    affine ──► ReLU ──► affine ──► softmax-with-loss

The network is shown 400 points and never told where the axes are. The picture shows where it has put them.
"""

import sys
from pathlib import Path

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

import chainrule as cr

COLOURS = ["#4477aa", "#ee6677", "#228833", "#ccbb44"]


def draw(trainer: cr.Trainer, points: cr.data.Dataset, path: Path) -> None:
    """The class that the network gives to every place, and the held-out points in the colours of their true classes."""
    side = np.linspace(-1, 1, 300)
    places = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    regions = trainer.predict(places).argmax(axis=1).reshape(300, 300)

    figure = Figure(figsize=(6.4, 5), layout="constrained")
    axes = figure.subplots()
    style = {"cmap": ListedColormap(COLOURS), "vmin": 0, "vmax": 3, "alpha": 0.35, "interpolation": "nearest"}
    axes.imshow(regions, extent=(-1, 1, -1, 1), origin="lower", **style)
    for k, name in enumerate(points.classes or []):
        chosen = points.X[points.y == k]
        axes.scatter(chosen[:, 0], chosen[:, 1], s=14, color=COLOURS[k], edgecolor="white", linewidth=0.4, label=name)
    axes.axhline(0, color="black", linewidth=0.8, linestyle="--")
    axes.axvline(0, color="black", linewidth=0.8, linestyle="--")
    axes.set(title="Quadrants: learnt regions and held-out points", xlabel="$x_1$", ylabel="$x_2$")
    figure.legend(loc="outside right upper")
    figure.savefig(path, dpi=110)


def main(picture: str = "quadrants.png") -> dict[str, float]:
    train, held_out = cr.data.builtin("quadrants", seed=0), cr.data.builtin("quadrants", seed=1)
    cr.manual_seed(0)
    model = cr.nn.Sequential(cr.nn.Linear(2, 32), cr.nn.ReLU(), cr.nn.Linear(32, 4))
    print(cr.summary(model, (2,)))

    # CrossEntropyLoss is softmax and cross-entropy in one block, whose gradient is y − t.
    optimizer = cr.optim.Adam(model.parameters(), lr=0.02)
    trainer = cr.Trainer(model, cr.nn.CrossEntropyLoss(), optimizer, metrics=["accuracy"])
    history = trainer.fit(train.X, train.y, epochs=60, batch_size=32, validation_data=(held_out.X, held_out.y), progress=False)
    for row in history.epochs[::10]:
        print(f"epoch {row['epoch']:3.0f}: loss {row['loss']:.4f}, held-out accuracy {row['val_accuracy']:.3f}")

    result = trainer.evaluate(held_out.X, held_out.y)
    draw(trainer, held_out, Path(picture))
    print(f"Held-out accuracy {result['accuracy']:.3f}; the regions are drawn in {picture}.")
    return result


if __name__ == "__main__":
    main(*sys.argv[1:])
