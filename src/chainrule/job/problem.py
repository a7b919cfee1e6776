"""What is to be learnt from what: data understood, split, and encoded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from chainrule.data import Dataset, FeatureEncoder, ImageSet, PixelEncoder, Table, TargetEncoder, load, split_rows
from chainrule.data.builtin_sets import TARGET
from chainrule.errors import ArgumentError, DataError, message
from chainrule.ir import Array
from chainrule.job.config import Config

Features = FeatureEncoder | PixelEncoder
_TOO_FEW_TO_HOLD_OUT = 20


@dataclass(frozen=True)
class Problem:
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
    features: Features
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
    def load(source: str | Path, config: Config) -> Problem:
        """Read a data set and prepare it as the configuration says.

        Raises:
            DataError, ArgumentError, MissingDependency: see `chainrule.data.load`, and a table without a target chosen.
        """
        said = config.kind_of_columns()
        size = None if config.image_size is None else (config.image_size[0], config.image_size[1])
        data = load(
            source,
            config.target,
            config.delimiter,
            dict.fromkeys(config.exclude, "text") | said,
            config.seed,
            image_size=size,
            missing=config.missing,
            encoding=config.encoding,
            verbatim=() if config.target is None else (config.target,),
        )
        _refuse_idle_settings(source, data, config)
        if isinstance(data, Table):
            for name in said:
                data[name]
        if isinstance(data, ImageSet):
            return Problem.from_images(data, config, str(source))
        table = data.to_table() if isinstance(data, Dataset) else data
        target = TARGET if isinstance(data, Dataset) else config.target
        if target is None:
            raise ArgumentError(
                message(
                    f"{source} is a table, and no column to predict was chosen",
                    f"its columns are {', '.join(table.names[:30])}{', …' if len(table.names) > 30 else ''}",
                    f"Add --target, for example --target {table.names[-1]!r}.",
                )
            )
        return Problem.from_table(table, target, config, str(source))

    @staticmethod
    def from_table(
        table: Table, target: str, config: Config, source: str = "the table", split: tuple[Array, Array] | None = None
    ) -> Problem:
        """Prepare a table to predict one of its columns.

        Args:
            table: the data.
            target: the column.
            config: settings.
            source: what to call the data.
            split: positions, among the rows that have a target, to train on and to hold out; None: as the settings say.
        """
        column = table[target]
        rows = column.present_rows
        encoder = TargetEncoder.fit(column, config.task)
        train, held = split or _split(encoder, encoder.encode(column, rows), config)
        features = FeatureEncoder.fit(table, target, rows[train], config.include, config.exclude)
        if encoder.task == "regression":
            encoder = TargetEncoder.fit(column, config.task, rows[train])
        return Problem(
            source,
            features,
            encoder,
            features.transform(table, rows[train]),
            encoder.encode(column, rows[train]),
            features.transform(table, rows[held]),
            encoder.encode(column, rows[held]),
            table.n_rows - len(rows),
            train is not held,
        )

    @staticmethod
    def from_images(pictures: ImageSet, config: Config, source: str = "the pictures") -> Problem:
        """Prepare labelled pictures to predict their class."""
        assert pictures.y is not None
        classes = tuple(pictures.classes)
        if len(classes) < 2:
            raise DataError(
                message(
                    f"{source} has {len(classes)} class(es)",
                    "at least two are needed to tell apart",
                    " ".join([*pictures.notes, "Add pictures of another class."]),
                )
            )
        encoder = TargetEncoder("class", "binary" if len(classes) == 2 else "multiclass", classes, 0.0, 1.0, "categorical")
        train, held = _split(encoder, pictures.y, config)
        features = PixelEncoder.fit(pictures, train)
        return Problem(
            source,
            features,
            encoder,
            features.transform(pictures, train),
            pictures.y[train],
            features.transform(pictures, held),
            pictures.y[held],
            0,
            train is not held,
            pictures.notes,
        )


def _refuse_idle_settings(source: str | Path, data: Table | ImageSet | Dataset, config: Config) -> None:
    """Settings that would change nothing are mistakes."""
    idle: dict[str, object] = {}
    if isinstance(data, Dataset | ImageSet):
        idle |= {name: getattr(config, name) for name in ("delimiter", "encoding", "kinds", "missing")}
    if isinstance(data, ImageSet):
        idle |= {"include": config.include, "exclude": config.exclude}
        idle["task"] = config.task if config.task == "regression" else None
    else:
        idle["image_size"] = config.image_size
    kinds = {Dataset: "a built-in data set", ImageSet: "pictures with classes", Table: "a table"}
    what = kinds[type(data)]
    for name, value in idle.items():
        if value:
            raise ArgumentError(
                message(f"the setting {name} was given", f"{source} is {what}, where it has no use", "Leave it out.")
            )


def _split(target: TargetEncoder, y: Array, config: Config) -> tuple[Array, Array]:
    """Positions of training and held-out rows; both all rows (the same array) where there are too few."""
    train, held = split_rows(len(y), config.validation, config.seed, y if target.classes else None)
    if len(y) < _TOO_FEW_TO_HOLD_OUT or not len(held):
        everything = np.arange(len(y))
        return everything, everything
    return train, held
