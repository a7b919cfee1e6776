"""Data as training takes it: read, split and encoded."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from chainrule.data import TargetEncoder, split_rows
from chainrule.data.targets import Target
from chainrule.errors import ArgumentError
from chainrule.frames import DataSource, Frame, source_name
from chainrule.ir import Array
from chainrule.job.config import Config
from chainrule.job.inputs import ENCODERS, Encoder, encoder_for, encoder_of

_TOO_FEW_TO_HOLD_OUT = 20


@dataclass(frozen=True, kw_only=True)
class Samples:
    """What a network is trained on.

    Attributes:
        features: encoder of the inputs, fitted on the training rows.
        target: what is to be learnt.
        X, y: training data: float32 (n, …), and targets as the loss takes them.
        X_held, y_held: held-out data of the same form; the training data itself where none is held out.
        held_out: whether X_held was really held out.
        weights, weights_held: how much each sample counts, (n,); None for all alike.
    """

    features: Encoder[Any]
    target: Target
    X: Array
    y: Array
    X_held: Array
    y_held: Array
    held_out: bool
    weights: Array | None = None
    weights_held: Array | None = None


@dataclass(frozen=True, kw_only=True)
class PreparedData(Samples):
    """Arrays for training and for judging, and the encoders that made them.

    Attributes:
        source: what the data was called where it was named.
        path: where it is; None for a built-in data set and for tables in memory.
        features, target: encoders, fitted on the training rows (the names of classes on all rows).
        y, y_held: int64 classes or float32 standardised numbers (n,).
        dropped: rows without a target, which are left out.
        notes: sentences on what was not read, or read in another way than it stands there.
    """

    source: str
    path: Path | None = None
    target: TargetEncoder
    dropped: int = 0
    notes: tuple[str, ...] = ()

    @staticmethod
    def load(source: DataSource, config: Config) -> PreparedData:
        """Read a data set and prepare it as the configuration says.

        Raises:
            DataError, ArgumentError, MissingDependency: see `chainrule.data.load`, and a table without a target chosen.
        """
        data = encoder_for(source).read(source, config)
        _refuse_idle_settings(source, data, config)
        path = None if isinstance(source, Frame) or not Path(source).exists() else Path(source).absolute()
        return replace(PreparedData.of(data, config, source_name(source)), path=path)

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
        train, held = split or hold_out(len(y), config, y if target.classes else None)
        features = kind.fit_inputs(data, target, rows[train], config)
        if target.task == "regression":  # mean and deviation are those of the training rows
            target = kind.fit_target(data, config, source, rows[train])
            rows, y = kind.truth(data, target)
        return PreparedData(
            source=source,
            features=features,
            target=target,
            X=features.transform(data, rows[train]),
            y=y[train],
            X_held=features.transform(data, rows[held]),
            y_held=y[held],
            dropped=kind.count(data) - len(rows),
            held_out=train is not held,
            notes=kind.notes(data),
        )


def _refuse_idle_settings(source: DataSource, data: Any, config: Config) -> None:
    """ArgumentError for a setting that has no effect on this data."""
    kind = encoder_of(data)
    idle = frozenset().union(*(encoder.settings for encoder in ENCODERS.values())) - kind.used(data)
    given = [name for name in sorted(idle) if getattr(config, name)]
    if config.task not in kind.tasks:
        given.append("task")
    for name in given:
        raise ArgumentError(
            f"the setting {name} was given",
            f"{source_name(source)} is {kind.called(data)}, to which it does not apply",
            "Leave it out.",
        )


def hold_out(rows: int, config: Config, classes: Array | None) -> tuple[Array, Array]:
    """Positions of training and held-out rows; both all rows (the same array) where there are too few.

    Args:
        rows: how many there are.
        config: says which share is held out, and the seed.
        classes: (rows,) class indices, whose shares are kept; None for numbers.
    """
    train, held = split_rows(rows, config.validation, config.seed, classes)
    if rows < _TOO_FEW_TO_HOLD_OUT or not len(held):
        everything = np.arange(rows)
        return everything, everything
    return train, held
