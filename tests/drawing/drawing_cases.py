"""A picture of every kind, and what tests read from pictures."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable
from itertools import pairwise

import numpy as np

import chainrule as cr
from chainrule import nn
from chainrule.drawing import Drawing, draw

SVG = "{http://www.w3.org/2000/svg}"
WORKED_NETWORK = (
    "x3 = x1*w13 + x2*w23; x4 = x1*w14 + x2*w24; O3 = sigmoid(x3); O4 = sigmoid(x4); "
    "x5 = w35*O3 + w45*O4; O5 = sigmoid(x5); E = 0.5*(O5 - t5)**2"
)
GIVEN = {"x1": 0.35, "x2": 0.9, "w13": 0.1, "w14": 0.4, "w23": 0.8, "w24": 0.6, "w35": 0.3, "w45": 0.9, "t5": 0.5}


def worked_network() -> cr.Tensor:
    return cr.expression(WORKED_NETWORK, **GIVEN)


def dense(*sizes: int, activation: type[nn.Module] = nn.Tanh) -> nn.Sequential:
    cr.manual_seed(0)
    layers: list[nn.Module] = []
    for into, out in pairwise(sizes):
        layers += [nn.Linear(into, out), activation()]
    return nn.Sequential(*layers[:-1])


def convolutional() -> nn.Sequential:
    cr.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(64, 10),
    )


def loss_of(model: nn.Module, *shape: int) -> cr.Tensor:
    x = cr.tensor(np.random.default_rng(0).normal(size=(4, *shape)).astype(np.float32), name="x")
    return nn.CrossEntropyLoss()(model(x), cr.tensor(np.array([1, 0, 2, 2]))).named("L")


def history(stopped: str = "val_loss did not improve for 4 epochs; the best was epoch 6") -> cr.History:
    epochs = range(1, 11)
    rows = [
        {
            "epoch": e,
            "loss": 1.0 / e,
            "accuracy": 1 - 0.5 / e,
            "lr": 0.01 / e,
            "seconds": 0.1,
            "val_loss": 0.2 + abs(e - 6) / 10,
        }
        for e in epochs
    ]
    return cr.History([], rows, stopped)


def points() -> tuple[np.ndarray, np.ndarray]:
    X = np.random.default_rng(0).uniform(-1, 1, (60, 2))
    return X, (X[:, 0] * X[:, 1] > 0).astype(int)


CASES: dict[str, Callable[..., Drawing]] = {
    "graph": lambda **look: draw(worked_network(), **look),
    "named": lambda **look: draw(worked_network(), detail="named", **look),
    "layers": lambda **look: draw(loss_of(convolutional(), 1, 8, 8), detail="layers", **look),
    "network": lambda **look: draw(dense(2, 3, 1), **look),
    "values": lambda **look: draw(dense(4, 8, 6, 3), np.array([[0.3, -1.0, 2.0, 0.4]]), **look),
    "large-network": lambda **look: draw(dense(784, 128, 10), **look),
    "convolutions": lambda **look: draw(convolutional(), np.zeros((1, 1, 8, 8)), **look),
    "curves": lambda **look: draw(history(), **look),
    "regions": lambda **look: draw(dense(2, 8, 2), *points(), **look),
    "gradient-flow": lambda **look: draw(dense(2, 8, 8, 2), *points(), loss=nn.CrossEntropyLoss(), **look),
}


def texts(picture: Drawing) -> list[str]:
    return ["".join(e.itertext()) for e in ET.fromstring(picture.to_svg()).iter(f"{SVG}text")]


def count(picture: Drawing, tag: str, kind: str = "") -> int:
    """How many elements of a tag have a class."""
    return sum(kind in e.get("class", "").split() or not kind for e in ET.fromstring(picture.to_svg()).iter(SVG + tag))
