"""From what scikit-learn's users give as y to what a loss compares with, and back from outputs to answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from chainrule.data import Table, TargetEncoder
from chainrule.data.targets import Classes, Task, standard_scale
from chainrule.ir import Array
from chainrule.job.measures import probabilities


@dataclass(frozen=True)
class Targets:
    """One target, or several of one kind, each with an output of its own: numbers, or labels that are there or not.

    Attributes:
        encoders: one per target.
    """

    encoders: tuple[TargetEncoder, ...]

    @staticmethod
    def for_classes(labels: Array, name: str) -> Targets:
        """One target that is one of these classes (k,), which are sorted."""
        column = Table.from_columns({name: labels}, "y")[name]
        texts = Classes.of(column, np.arange(len(labels))).labels()
        task: Task = "binary" if len(texts) == 2 else "multiclass"
        return Targets((TargetEncoder(name, task, texts, 0.0, 1.0, column.reading),))

    @staticmethod
    def for_labels(names: Sequence[str]) -> Targets:
        """Several targets that are 0 or 1."""
        return Targets(tuple(TargetEncoder(name, "binary", ("0", "1"), 0.0, 1.0, "numeric") for name in names))

    @staticmethod
    def for_numbers(columns: Sequence[Array], names: Sequence[str]) -> Targets:
        """Numbers, each target with mean and deviation of its training rows (n,)."""
        scaled = zip(names, columns, strict=True)
        return Targets(tuple(TargetEncoder(name, "regression", (), *standard_scale(c), "numeric") for name, c in scaled))

    @property
    def name(self) -> str:
        """What messages call them."""
        return ", ".join(encoder.name for encoder in self.encoders)

    @property
    def task(self) -> Task:
        """That of each."""
        return self.encoders[0].task

    @property
    def outputs(self) -> int:
        """Units of the last layer."""
        return self.encoders[0].outputs if len(self.encoders) == 1 else len(self.encoders)

    def standardised(self, numbers: Array) -> Array:
        """Numbers (n,) or (n, targets) as a loss compares with them, float32."""
        columns = numbers.reshape(len(numbers), -1).T
        scaled = [encoder.standardised(column) for encoder, column in zip(self.encoders, columns, strict=True)]
        return np.stack(scaled, axis=1).reshape(numbers.shape)

    def numbers(self, outputs: Array) -> Array:
        """Answers in the unit of the targets, float64 (n,) or (n, targets)."""
        columns = [encoder.decode(column) for encoder, column in zip(self.encoders, outputs.T, strict=True)]
        return columns[0] if len(columns) == 1 else np.stack(columns, axis=1)

    def positions(self, outputs: Array) -> Array:
        """Positions of the answers among the classes (n,); for several targets 0 or 1 (n, targets)."""
        if len(self.encoders) == 1:
            return self.encoders[0].positions(outputs)
        return (outputs > 0).astype(np.int64)

    def probabilities(self, outputs: Array) -> Array:
        """Probabilities of the classes (n, classes); for several targets those of 1 (n, targets)."""
        if len(self.encoders) == 1:
            return np.asarray(probabilities(self.encoders[0], outputs))
        found = [probabilities(encoder, column) for encoder, column in zip(self.encoders, outputs.T[..., None], strict=True)]
        return np.stack([np.asarray(p)[:, 1] for p in found], axis=1)


def called(classes: Array) -> str:
    """What messages call classes."""
    shown = ", ".join(map(repr, classes[:10].tolist()))
    return f"{shown}, …" if len(classes) > 10 else shown
