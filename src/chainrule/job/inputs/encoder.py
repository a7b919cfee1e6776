"""What the job asks of a kind of input, such as tables or pictures.

One class answers all of it: which sources are of this kind, how they are read, how rows become arrays, how a network that reads
them begins, and what people are told. The classes stand in one table, `chainrule.job.inputs.ENCODERS`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from chainrule import nn
from chainrule.data import TargetEncoder
from chainrule.data.targets import TASKS, Target
from chainrule.errors import DataError
from chainrule.frames import DataSource
from chainrule.ir import Array
from chainrule.job.config import Config
from chainrule.language import Phrase

MOST_LINES = 30  # columns that are listed one by one

Activation = Callable[[], nn.Module]


@dataclass(frozen=True)
class Listing:
    """What is known of the columns of a table, a line each.

    Attributes:
        heads: what stands in a line; the first is the name of the column.
        rows: a text for each head.
        alike: the heads by which columns are put together where they are many.
    """

    heads: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    alike: tuple[str, ...]

    def shortened(self) -> Listing:
        """The same where there are few columns; else a line for all that are alike, with their number and some names."""
        if len(self.rows) <= MOST_LINES:
            return self
        found: dict[tuple[str, ...], list[str]] = {}
        for name, *cells in self.rows:
            told = dict(zip(self.heads[1:], cells, strict=True))
            found.setdefault(tuple(told[head] for head in self.alike), []).append(name)
        rows = [(str(len(names)), _few(names), *what) for what, names in found.items()]
        return Listing(("number", "columns", *self.alike), rows, ())


def _few(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 4 else f"{names[0]}, {names[1]}, …, {names[-1]}"


@dataclass(frozen=True)
class Sample:
    """One encoded row, as it is shown to people.

    Attributes:
        values: what a network reads, by name; empty for a picture.
        picture: (channels, height, width), to be shown from its least value to its largest; None where it is none.
    """

    values: Sequence[tuple[str, float]] = ()
    picture: Array | None = None


Data = TypeVar("Data")


class Encoder(ABC, Generic[Data]):
    """A kind of input. An instance is fitted on training rows, and turns data of this kind into arrays.

    `Data` is the type that `read` returns; only the class itself looks inside.

    Attributes:
        kind: its key in ENCODERS, and its name in model files.
        data: `Data`.
        noun: for messages: "the model was trained on <noun>".
        examples: for messages: "Give it <examples>."
        settings: fields of `Config` on reading data that this kind uses. One that some kind uses is refused for all others.
        tasks: the values of the setting `task` that this kind allows.
        suffixes: of the files that are read from a folder; answers are not written over them.
        begins_with: a name for what `layers` returns; empty where that is nothing.
    """

    kind: ClassVar[str]
    data: ClassVar[type]
    noun: ClassVar[str]
    examples: ClassVar[str]
    settings: ClassVar[frozenset[str]] = frozenset()
    tasks: ClassVar[tuple[str, ...]] = TASKS
    suffixes: ClassVar[frozenset[str]] = frozenset()
    begins_with: ClassVar[str] = ""

    # ------------------------------------------------------------------------------------ data to learn from
    @classmethod
    @abstractmethod
    def recognises(cls, path: Path) -> bool:
        """Whether the file or folder, which exists, is of this kind."""

    @classmethod
    @abstractmethod
    def read(cls, source: DataSource, config: Config) -> Data:
        """The data in a source, as the settings say.

        Raises:
            DataError, ArgumentError, MissingDependency: it cannot be read.
        """

    @classmethod
    @abstractmethod
    def summary(cls, data: Data) -> list[str | Listing]:
        """What is in the data, for `chainrule info`."""

    @classmethod
    def notes(cls, data: Data) -> tuple[str, ...]:
        """Sentences on what was not read, or read in another way than it stands there."""
        return ()

    @classmethod
    def called(cls, data: Data) -> str:
        """A noun for this data, in the message on a setting that it does not use."""
        return cls.noun

    @classmethod
    def used(cls, data: Data) -> frozenset[str]:
        """Those of `settings` that this data uses."""
        return cls.settings

    @classmethod
    @abstractmethod
    def fit_target(cls, data: Data, config: Config, source: str, rows: Array | None = None) -> TargetEncoder:
        """The encoder of what is to be predicted.

        Args:
            data: from `read`.
            config: settings.
            source: what messages call the data.
            rows: positions to fit on, int (n,); None for all.

        Raises:
            DataError, ArgumentError: there is nothing to predict, or it cannot be learnt.
        """

    @classmethod
    @abstractmethod
    def truth(cls, data: Data, target: TargetEncoder) -> tuple[Array, Array]:
        """Positions (n,) of the rows that have a target, and the encoded targets (n,).

        Raises:
            DataError: no row has one, or one that is not known.
        """

    @classmethod
    @abstractmethod
    def count(cls, data: Data) -> int:
        """How many rows there are, those without a target included."""

    @classmethod
    @abstractmethod
    def fit_inputs(cls, data: Data, target: TargetEncoder, rows: Array, config: Config) -> Self:
        """An encoder fitted on the training rows, int (n,)."""

    # ------------------------------------------------------------------------------------ data to answer for
    @abstractmethod
    def read_again(
        self,
        source: DataSource,
        target: TargetEncoder | None,
        keep: Sequence[str],
        said: Mapping[str, str],
        facts: Mapping[str, Any],
    ) -> Data:
        """Read data as the training data was read.

        Args:
            source: data of this kind.
            target: what is to be read beside the inputs; None where only answers are wanted.
            keep: columns that `row_names` is to give.
            said: settings on reading that were given now.
            facts: of the training, among them such settings (`Predictor.facts`).

        Raises:
            DataError: it cannot be read, or lacks the target.
        """

    @abstractmethod
    def row_names(self, data: Data, keep: Sequence[str] = ()) -> dict[str, list[str]]:
        """What tells one row from another, and the columns to keep, as columns of text.

        Raises:
            DataError: a column to keep that is not there.
        """

    @abstractmethod
    def transform(self, data: Data, rows: ArrayLike | None = None) -> Array:
        """What a network reads, float32 (n, …); of all rows for None.

        Raises:
            DataError: the data is not like that which the encoder was fitted on.
        """

    # ------------------------------------------------------------------------------------ the network
    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Of one encoded row."""

    def layers(self, activation: Activation) -> tuple[list[nn.Module], int]:
        """The first layers of a network that reads encoded rows, and the number of values per row that they give."""
        return [nn.Flatten()] if len(self.shape) > 1 else [], math.prod(self.shape)

    def used_settings(self, target: Target) -> dict[str, Any]:
        """Settings that were found out from the data."""
        return {}

    # ------------------------------------------------------------------------------------ for people
    @property
    def feature_names(self) -> Sequence[str]:
        """Names of what a network reads, where encoded rows are (n, features); empty where they have none."""
        return ()

    @abstractmethod
    def description(self) -> Listing | Phrase:
        """What became of every column; of data without columns, what every row is, in English and Chinese."""

    def line(self) -> str:
        """What every row is, on a terminal, where that is not the English of `description`."""
        return ""

    def sample(self, row: Array) -> Sample:
        """An encoded row."""
        names = self.feature_names or [f"x[{k}]" for k in range(row.size)]
        return Sample(list(zip(names, row.ravel().tolist(), strict=True)))

    @property
    def scales(self) -> dict[str, bool] | None:
        """The columns of numbers that `to_numbers` gives, and whether each has heavy tails; None where there is no way back."""
        return None

    def to_numbers(self, features: Array) -> Array:
        """From encoded rows to numbers (n, columns) in their own units, where `scales` is not None."""
        raise NotImplementedError

    def from_numbers(self, numbers: Array) -> Array:
        """From numbers (n, columns) to encoded rows, where `scales` is not None."""
        raise NotImplementedError

    # ------------------------------------------------------------------------------------ model files
    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """The encoder as plain JSON data."""

    @classmethod
    @abstractmethod
    def from_dict(cls, data: object) -> Self:
        """The encoder that `to_dict` wrote; ModelFileError when `data` is anything else."""


class Labelled(Protocol):
    """Data with a class per row.

    Attributes:
        y: (n,) int64 positions in `classes`; None where it was read without labels.
        classes: class labels.
        files: (n,) the files that rows come from; empty where they come from one.
        notes: see `Encoder.notes`.
    """

    @property
    def y(self) -> Array | None:
        """See the class."""

    @property
    def classes(self) -> Sequence[str]:
        """See the class."""

    @property
    def files(self) -> Sequence[str]:
        """See the class."""

    @property
    def notes(self) -> tuple[str, ...]:
        """See the class."""


LabelledData = TypeVar("LabelledData", bound=Labelled)


class LabelledEncoder(Encoder[LabelledData]):
    """Inputs that come with a class each, as files in folders named after their classes do."""

    tasks: ClassVar[tuple[str, ...]] = ("auto", "classification")

    @classmethod
    def notes(cls, data: LabelledData) -> tuple[str, ...]:
        """See `Encoder`."""
        return data.notes

    @classmethod
    def summary(cls, data: LabelledData) -> list[str | Listing]:
        """See `Encoder`."""
        return [f"{cls.count(data):,} {cls.noun}.", f"Classes: {', '.join(data.classes)}."]

    @classmethod
    def called(cls, data: LabelledData) -> str:
        """See `Encoder`."""
        return f"{cls.noun} with classes"

    @classmethod
    def count(cls, data: LabelledData) -> int:
        """See `Encoder`."""
        return 0 if data.y is None else len(data.y)

    @classmethod
    def fit_target(cls, data: LabelledData, config: Config, source: str, rows: Array | None = None) -> TargetEncoder:
        """See `Encoder`."""
        classes = tuple(data.classes)
        if len(classes) < 2:
            raise DataError(
                f"{source} has {len(classes)} class(es)",
                "at least two are needed",
                " ".join([*data.notes, f"Add {cls.noun} of another class."]),
            )
        return TargetEncoder("class", "binary" if len(classes) == 2 else "multiclass", classes, 0.0, 1.0, "categorical")

    @classmethod
    def truth(cls, data: LabelledData, target: TargetEncoder) -> tuple[Array, Array]:
        """See `Encoder`."""
        assert data.y is not None
        own = {label: position for position, label in enumerate(target.classes)}
        unknown = [label for label in data.classes if label not in own]
        if unknown:
            raise DataError(
                f"the {cls.noun} have the class{'es' if len(unknown) > 1 else ''} {_quoted(unknown)}",
                f"the model knows {_quoted(target.classes)}",
                "Leave them out, rename their folders, or train again.",
            )
        return np.arange(len(data.y)), np.array([own[label] for label in data.classes])[data.y]

    def row_names(self, data: LabelledData, keep: Sequence[str] = ()) -> dict[str, list[str]]:
        """See `Encoder`: the files."""
        if keep:
            raise DataError(f"the column {keep[0]!r} is to be kept", f"{self.noun} have no columns", "Leave it out.")
        return {"file": list(data.files)} if data.files else {}


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:20])) + (", …" if len(names) > 20 else "")
