"""Random small networks, worked out in NumPy and as graphs: what `bench.grading` has hand calculations of."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

import chainrule as cr
from chainrule.derivations import expression
from chainrule.optim import SGD

Values = dict[str, float]


@dataclass(frozen=True)
class Network:
    """A random network and its numbers, worked out in NumPy.

    Attributes:
        sizes: units per layer, inputs first.
        tanh: the activation is tanh, else σ.
        matrix: written with matrices.
        x, t: input and target.
        W, b: weights (out, in) per layer; biases, or None.
        rate: learning rate of one step of gradient descent.
    """

    sizes: tuple[int, ...]
    tanh: bool
    matrix: bool
    x: np.ndarray
    t: np.ndarray
    W: tuple[np.ndarray, ...]
    b: tuple[np.ndarray, ...] | None
    rate: float

    @property
    def depth(self) -> int:
        """Number of layers with weights."""
        return len(self.W)

    def act(self, z: np.ndarray) -> np.ndarray:
        """The activation."""
        return np.tanh(z) if self.tanh else 1.0 / (1.0 + np.exp(-z))

    def slope(self, z: np.ndarray) -> np.ndarray:
        """The derivative of the activation at z."""
        a = self.act(z)
        return 1.0 - a * a if self.tanh else a * (1.0 - a)

    def forward(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Weighted inputs and activations; the input is activation 0."""
        zs, activations = [np.zeros(0)], [self.x]
        for layer, W in enumerate(self.W):
            zs.append(W @ activations[-1] + (self.b[layer] if self.b is not None else 0.0))
            activations.append(self.act(zs[-1]))
        return zs, activations

    def deltas(self, W: tuple[np.ndarray, ...] | None = None, slopes: list[np.ndarray] | None = None) -> list[np.ndarray]:
        """Error terms δˡ = (Wˡ⁺¹)ᵀ δˡ⁺¹ ⊙ σ′(zˡ), with other weights or slopes if wished."""
        zs, activations = self.forward()
        W = self.W if W is None else W
        slopes = [np.zeros(0), *(self.slope(z) for z in zs[1:])] if slopes is None else slopes
        found = [np.zeros(0)] * (self.depth + 1)
        found[-1] = (activations[-1] - self.t) * slopes[-1]
        for layer in range(self.depth - 1, 0, -1):
            found[layer] = (W[layer].T @ found[layer + 1]) * slopes[layer]
        return found

    # ---------------------------------------------------------------------------------------- names
    def name(self, kind: str, layer: int, *index: int) -> str:
        """W1[0, 1] in matrix writing, W1_21 or so in scalar writing."""
        if self.matrix:
            return f"{kind}{layer}[{', '.join(map(str, index))}]"
        return f"{kind}{layer}_" + "".join(str(i + 1) for i in index)

    def formula(self) -> str:
        """The network as text for `expression`."""
        lines = []
        f = "tanh" if self.tanh else "sigmoid"
        for layer in range(1, self.depth + 1):
            source = "x" if layer == 1 else f"a{layer - 1}"
            if self.matrix:
                lines.append(f"z{layer} = W{layer} @ {source}" + (f" + b{layer}" if self.b is not None else ""))
                lines.append(f"a{layer} = {f}(z{layer})")
                continue
            for j in range(self.sizes[layer]):
                inputs = [f"x{i + 1}" if layer == 1 else f"a{layer - 1}_{i + 1}" for i in range(self.sizes[layer - 1])]
                terms = [f"{self.name('W', layer, j, i)}*{s}" for i, s in enumerate(inputs)]
                terms += [self.name("b", layer, j)] if self.b is not None else []
                lines += [
                    f"{self.name('z', layer, j)} = {' + '.join(terms)}",
                    f"{self.name('a', layer, j)} = {f}({self.name('z', layer, j)})",
                ]
        return "\n".join([*lines, self._loss()])

    def _loss(self) -> str:
        if self.matrix:
            return f"E = 0.5*sum((a{self.depth} - t)**2)"
        return "E = " + " + ".join(f"0.5*(a{self.depth}_{k + 1} - t{k + 1})**2" for k in range(self.sizes[-1]))

    def given(self) -> dict[str, Any]:
        """The given numbers by name."""
        found: dict[str, Any] = {}
        for kind, arrays, first in (("x", [self.x], None), ("t", [self.t], None), ("W", self.W, 1), ("b", self.b or (), 1)):
            for k, array in enumerate(arrays):
                if self.matrix:
                    found[kind if first is None else f"{kind}{k + 1}"] = array
                else:
                    for index in np.ndindex(*array.shape):
                        found[f"{kind}{index[0] + 1}" if first is None else self.name(kind, k + 1, *index)] = float(
                            array[index]
                        )
        return found

    def build(self) -> tuple[cr.Tensor, SGD]:
        """The loss as a graph, and an optimiser of all weights."""
        leaves = {name: cr.parameter(value, name=name) for name, value in self.given().items()}
        optimizer = SGD([p for name, p in leaves.items() if name[0] in "Wb"], lr=self.rate)
        return expression(self.formula(), **leaves), optimizer

    def quantities(self) -> Values:
        """Every named number, in the order in which it is worked out."""
        zs, activations = self.forward()
        deltas = self.deltas()
        found: Values = {}
        for layer in range(1, self.depth + 1):
            for j in range(self.sizes[layer]):
                found[self.name("z", layer, j)] = float(zs[layer][j])
                found[self.name("a", layer, j)] = float(activations[layer][j])
        found["E"] = float(0.5 * np.sum((activations[-1] - self.t) ** 2))
        for layer in range(self.depth, 0, -1):
            for j in range(self.sizes[layer]):
                found[f"dE/d{self.name('z', layer, j)}"] = float(deltas[layer][j])
                for i in range(self.sizes[layer - 1]):
                    found[f"dE/d{self.name('W', layer, j, i)}"] = float(deltas[layer][j] * activations[layer - 1][i])
        return found


def random_network(rng: np.random.Generator, **fixed: Any) -> Network:
    sizes = (int(rng.integers(1, 4)), *(int(n) for n in rng.integers(1, 4, size=rng.integers(1, 3))), int(rng.integers(1, 3)))
    sizes = fixed.get("sizes", sizes)

    def numbers(*shape: int) -> np.ndarray:
        return np.round(rng.uniform(0.1, 0.95, shape) * rng.choice([-1.0, 1.0, 1.0], shape), 3)

    weights = tuple(numbers(o, i) for i, o in pairwise(sizes))
    return Network(
        sizes,
        bool(rng.random() < 0.3),
        fixed.get("matrix", bool(rng.random() < 0.35)),
        numbers(sizes[0]),
        np.round(rng.uniform(0.01, 0.99, sizes[-1]), 3),
        weights,
        tuple(numbers(o) for o in sizes[1:]) if rng.random() < 0.5 else None,
        float(rng.choice([0.1, 0.5, 1.0])),
    )
