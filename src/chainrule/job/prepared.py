"""Data as training takes it: read, split and encoded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from chainrule.data import TargetEncoder, split_rows
from chainrule.errors import ArgumentError, message
from chainrule.ir import Array
from chainrule.job.config import Config
from chainrule.job.inputs import ENCODERS, Encoder, encoder_for, encoder_of

_TOO_FEW_TO_HOLD_OUT = 20


@dataclass(frozen=True)
class PreparedData:
    """Arrays for training and for judging, and the encoders that made them.

    Attributes:
        source: where the data came from.
        features, target: encoders, fitted on the training rows (the names of classes on all rows).
        X, y: training data: float32 (n, …), and int64 classes or float32 standardised numbers (n,).
        X_held, y_held: held-out data of the same form; the training data itself where there are too few rows to hold any out.
        dropped: rows without a target, which are left out.
        held_out: whether X_held was really held out.
        notes: sentences on what was not read, or read in another way than it stands there.
    """

    source: str
    features: Encoder[Any]
    target: TargetEncoder
    X: Array
    y: Array
    X_held: Array
    y_held: Array
    dropped: int
    held_out: bool
    notes: tuple[str, ...] = ()

    @property
    def outputs(self) -> int:
        """Units of the last layer: one per class; one for two classes and for numbers."""
        return len(self.target.classes) if self.target.task == "multiclass" else 1

    @staticmethod
    def load(source: str | Path, config: Config) -> PreparedData:
        """Read a data set and prepare it as the configuration says.

        Raises:
            DataError, ArgumentError, MissingDependency: see `chainrule.data.load`, and a table without a target chosen.
        """
        data = encoder_for(source).read(source, config)
        _refuse_idle_settings(source, data, config)
        return PreparedData.of(data, config, str(source))

    @staticmethod
    def of(data: Any, config: Config, source: str = "the data", split: tuple[Array, Array] | None = None) -> PreparedData:
        """Prepare data that was read, to predict the target that the configuration names, or that the data brings.

        Args:
            data: what the class of a kind of input reads: a `Table`, an `ImageSet`, ….
            config: settings.
            source: what to call the data.
            split: positions, among the rows that have a target, to train on and to hold out; None: as the settings say.
        """
        kind = encoder_of(data)
        target = kind.fit_target(data, config, source)
        rows, y = kind.truth(data, target)
        train, held = split or _split(target, y, config)
        features = kind.fit_inputs(data, target, rows[train], config)
        if target.task == "regression":  # mean and deviation are those of the training rows
            target = kind.fit_target(data, config, source, rows[train])
            rows, y = kind.truth(data, target)
        return PreparedData(
            source,
            features,
            target,
            features.transform(data, rows[train]),
            y[train],
            features.transform(data, rows[held]),
            y[held],
            kind.count(data) - len(rows),
            train is not held,
            kind.notes(data),
        )


def _refuse_idle_settings(source: str | Path, data: Any, config: Config) -> None:
    """ArgumentError for a setting that has no effect on this data."""
    kind = encoder_of(data)
    idle = frozenset().union(*(encoder.settings for encoder in ENCODERS.values())) - kind.used(data)
    given = [name for name in sorted(idle) if getattr(config, name)]
    if config.task not in kind.tasks:
        given.append("task")
    for name in given:
        raise ArgumentError(
            message(
                f"the setting {name} was given", f"{source} is {kind.called(data)}, to which it does not apply", "Leave it out."
            )
        )


def _split(target: TargetEncoder, y: Array, config: Config) -> tuple[Array, Array]:
    """Positions of training and held-out rows; both all rows (the same array) where there are too few."""
    train, held = split_rows(len(y), config.validation, config.seed, y if target.classes else None)
    if len(y) < _TOO_FEW_TO_HOLD_OUT or not len(held):
        everything = np.arange(len(y))
        return everything, everything
    return train, held
