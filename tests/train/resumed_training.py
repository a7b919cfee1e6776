"""A training that is interrupted and resumed; as a program the second half: SOURCE TARGET KIND, once or more often."""

import sys
from collections.abc import Sequence

import numpy as np

import chainrule as cr
from chainrule import nn, optim
from chainrule.train import Callback

rng = np.random.default_rng(0)
X, y = rng.normal(size=(45, 4)), rng.integers(0, 3, 45)


def new_trainer(name: str, backend: str = "auto") -> cr.Trainer:
    """With batch norm, dropout, two groups of parameters and clipping."""
    cr.manual_seed(3)
    model = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout(0.3), nn.Linear(6, 3))
    first, *others = model.parameters()
    groups = [{"params": [first]}, {"params": others, "lr": 0.02}]
    optimizer = optim.OPTIMIZERS[name](groups, lr=0.05, **({"momentum": 0.9} if name == "SGD" else {}))
    return cr.Trainer(model, nn.CrossEntropyLoss(), optimizer, metrics=["accuracy"], backend=backend, clip_norm=5.0)


def callbacks(kind: str) -> list[Callback]:
    """New ones, as a new process would make them."""
    stopping = cr.EarlyStopping(patience=10, monitor="val_accuracy")
    if kind == "plateau":
        return [cr.LearningRate(optim.ReduceLROnPlateau(factor=0.5, patience=0, threshold=0.1)), stopping]
    return [cr.LearningRate(optim.CosineAnnealingLR(T_max=30, interval="step")), stopping]


def go_on(trainer: cr.Trainer, epochs: int, kind: str, extra: Sequence[Callback] = ()) -> cr.Trainer:
    """Some epochs more."""
    trainer.fit(
        X,
        y,
        epochs=epochs,
        batch_size=16,
        seed=11,
        class_weight="balanced",
        validation_data=(X[:20], y[:20]),
        callbacks=[*extra, *callbacks(kind)],
        progress=False,
    )
    return trainer


if __name__ == "__main__":
    for source, target, kind in zip(*(sys.argv[k::3] for k in (1, 2, 3)), strict=True):
        cr.save_trainer(go_on(cr.load_trainer(source), 5, kind), target)
