"""The networks that speed is measured on: their sizes, random data for them, and the arithmetic of a training step."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

Array = np.ndarray
KERNEL = 3  # height and width of every convolution's window
CLASSES = 10  # that a convolutional network tells apart


@dataclass(frozen=True)
class Job:
    """A network and a batch size.

    Attributes:
        name: for the table.
        sizes: of a dense network's layers, or of a convolutional one's channels.
        batch: samples per step.
        image: height and width if the network is convolutional; () if it is dense.
        pool_after: the convolutions that are followed by a 2×2 max pooling.
        activation: "relu", behind which chainrule does not multiply zeros, or "tanh", behind which there are none.
    """

    name: str
    sizes: tuple[int, ...]
    batch: int
    image: tuple[int, ...] = ()
    pool_after: tuple[int, ...] = ()
    activation: Literal["relu", "tanh"] = "relu"

    @property
    def binary(self) -> bool:
        """Whether it has one output, trained with binary cross-entropy."""
        return not self.image and self.sizes[-1] == 1

    @property
    def classes(self) -> int:
        """Classes of the targets."""
        return 2 if self.binary else CLASSES if self.image else self.sizes[-1]

    @property
    def flat(self) -> int:
        """Numbers per sample that come out of a convolutional network's last pooling."""
        return self.sizes[-1] * int(np.prod([n // 2 ** len(self.pool_after) for n in self.image]))

    @property
    def batches(self) -> int:
        """Batches in the data set: 8 megabytes of inputs, but no less than 8 and no more than 4096 batches."""
        size = 4 * self.batch * self.sizes[0] * int(np.prod(self.image))
        return min(max(2**23 // size, 8), 4096)

    @property
    def flops(self) -> int:
        """Additions and multiplications of a training step as products and convolutions are defined.

        A layer of w weights, each used p times per sample (once, or at every place of the picture), takes 2·w·p for its output,
        as much for the gradient by its weights, and, unless it is the first, as much for the gradient by its input.
        Elementwise work, pooling and the optimiser's update are not counted: beside the products they are little. Winograd's
        algorithm takes less for convolutions, and zeros behind a ReLU need no multiplication, so a step may be faster than the
        peak of the machine seems to allow.
        """
        products = []
        if self.image:
            places = int(np.prod(self.image))
            for k, (a, b) in enumerate(pairwise(self.sizes)):
                products.append(KERNEL**2 * a * b * places)
                places //= 4 if k in self.pool_after else 1
            products.append(self.flat * CLASSES)
        else:
            products = [a * b for a, b in pairwise(self.sizes)]
        return 2 * self.batch * (3 * sum(products) - products[0])

    def data(self) -> tuple[Array, Array]:
        """Random float32 inputs (n, features) or (n, channels, height, width), and int64 targets (n,)."""
        rng = np.random.default_rng(0)
        count = self.batches * self.batch
        x = rng.standard_normal((count, self.sizes[0], *self.image), dtype=np.float32)
        return x, rng.integers(0, self.classes, count)

    def rows(self, steps: int) -> Array:
        """Row numbers (steps, batch)."""
        return np.random.default_rng(1).integers(0, self.batches * self.batch, (steps, self.batch))


JOBS = [
    Job("2-4-2, 4", (2, 4, 2), 4),
    Job("2-8-8-1, 32", (2, 8, 8, 1), 32),
    Job("64-64-10, 32", (64, 64, 10), 32),
    Job("784-128-10, 64", (784, 128, 10), 64),
    Job("784-256-128-10, 128", (784, 256, 128, 10), 128),
    Job("1024×4, 256", (1024,) * 5, 256),
    Job("2048×4, 1024", (2048,) * 5, 1024),
    Job("784-256-128-10 tanh, 128", (784, 256, 128, 10), 128, activation="tanh"),
    Job("1024×4 tanh, 256", (1024,) * 5, 256, activation="tanh"),
    Job("2048×4 tanh, 1024", (2048,) * 5, 1024, activation="tanh"),
    Job("CNN 1→16→32, 28×28, 64", (1, 16, 32), 64, (28, 28), (0, 1)),
    Job("CNN 3→32→32→64→64→128→128, 32×32, 64", (3, 32, 32, 64, 64, 128, 128), 64, (32, 32), (1, 3, 5)),
]


def numbers(text: str) -> list[int]:
    """ "0-2,5" as [0, 1, 2, 5]: positions in JOBS."""
    parts = (part.partition("-") for part in text.split(","))
    return [n for low, _, high in parts for n in range(int(low), int(high or low) + 1)]
