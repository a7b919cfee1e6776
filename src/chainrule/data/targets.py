"""From the column to predict to what a loss compares with, and back from outputs to answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from chainrule.data.columns import LARGEST_EXACT, READINGS, Column, in_unit, row_positions
from chainrule.data.records import broken, is_distinct_texts, is_finite, is_positive, is_text, one_of, read_record
from chainrule.errors import ArgumentError, DataError, ShapeError

Task = Literal["regression", "binary", "multiclass"]
TASKS = ("auto", "regression", "classification")

_MAX_INTEGER_CLASSES = 20
_MOST_LABELS = 10_000  # different ways of writing; a target that has more is no class
_FEW_CLASSES = 10  # so few may differ in every row


class Target(Protocol):
    """What is to be learnt, as far as building a network depends on it."""

    @property
    def name(self) -> str:
        """What messages call it."""

    @property
    def task(self) -> Task:
        """Which losses fit it."""

    @property
    def outputs(self) -> int:
        """Units of the last layer."""


@dataclass(frozen=True)
class TargetEncoder:
    """Class indices or standardised numbers for a target column, and the way back. Make one with `fit` or `from_dict`.

    Attributes:
        name: the target column.
        task: regression, binary (two classes) or multiclass.
        classes: the class labels in the order of their indices, as they are written; empty for regression.
        mean: mean of the training targets; 0 for classes.
        std: their standard deviation; 1 for classes.
        reading: how `read_table` reads the column: pass `{name: reading}` in `kinds` for a table to evaluate on.
        keys: what the classes are recognised by, however they are written: 7 for 007 and 7.0; empty where it is the labels.
        unit: that numbers, and so the answers, are in; empty where they have none.
        gaps: words that stood for missing targets: pass `{name: gaps}` in `missing` for a table to evaluate on.
    """

    name: str
    task: Task
    classes: tuple[str, ...]
    mean: float
    std: float
    reading: str
    keys: tuple[str, ...] = ()
    unit: str = ""
    gaps: tuple[str, ...] = ()

    @property
    def outputs(self) -> int:
        """Units of the last layer of a network: one per class; one for two classes and for numbers."""
        return len(self.classes) if self.task == "multiclass" else 1

    @classmethod
    def fit(cls, column: Column, task: str = "auto", rows: ArrayLike | None = None) -> TargetEncoder:
        """Decide what kind of answer the column asks for.

        Args:
            column: the target. Rows without a value play no part.
            task: "regression" or "classification"; "auto" takes words, booleans and at most 20 different integers, each
                repeated on average, for classes, and other numbers for regression.
            rows: positions to fit on, int (n,); None for all rows.

        Raises:
            DataError: no value at all, one value only, dates, regression on words, or nearly as many classes as rows.
            ArgumentError: an unknown task, or rows that are not positions in the column.
        """
        if task not in TASKS:
            raise ArgumentError(f"task is '{task}'", f"it must be one of {', '.join(TASKS)}", "Choose one.")
        index = row_positions(rows, len(column))
        index = index[~column.missing[index]]
        present = column.values[index]
        _check_learnable(column, index)
        if task == "regression" or (task == "auto" and _is_continuous(column, present)):
            return cls._for_numbers(column, present)
        return cls._for_classes(column, index)

    @classmethod
    def _for_numbers(cls, column: Column, present: NDArray[np.float64]) -> TargetEncoder:
        if column.categories is not None:
            raise DataError(
                f"the target '{column.name}' holds words, such as '{column.categories[0]}'",
                "regression predicts numbers",
                "Choose another target, or the task classification.",
            )
        scale = standard_scale(present)
        return cls(column.name, "regression", (), *scale, column.reading, (), column.unit, tuple(column.gaps))

    @classmethod
    def _for_classes(cls, column: Column, index: NDArray[np.int64]) -> TargetEncoder:
        classes = Classes.of(column, index)
        if len(classes.keys) > max(len(index) // 2, _FEW_CLASSES):
            raise DataError(
                f"the target '{column.name}' has {len(classes.keys)} different values in {len(index)} rows",
                "a class is learnt from several examples",
                "Choose another target, or the task regression if it holds numbers.",
            )
        task: Task = "binary" if len(classes.keys) == 2 else "multiclass"
        labels = classes.labels()
        keys = () if labels == classes.keys else classes.keys
        return cls(column.name, task, labels, 0.0, 1.0, column.reading, keys, column.unit, tuple(column.gaps))

    def encode(self, column: Column, rows: ArrayLike | None = None) -> NDArray[np.int64] | NDArray[np.float32]:
        """Targets for the loss.

        Returns:
            (n,) int64 class indices, or (n,) float32 standardised numbers.

        Raises:
            DataError: a row without a value, a class that was not there in training, words where numbers were learnt.
        """
        index = row_positions(rows, len(column))
        empty = index[column.missing[index]]
        if empty.size:
            raise DataError(
                f"the target '{column.name}' is missing in {empty.size} of {index.size} rows, first in row {empty[0]}",
                "every row used must have one",
                "Leave those rows out: `column.present_rows` gives the others.",
            )
        if self.task == "regression":
            return self._encode_numbers(column, index)
        return self._encode_classes(column, index)

    def _encode_numbers(self, column: Column, index: NDArray[np.int64]) -> NDArray[np.float32]:
        if column.categories is not None:
            raise DataError(
                f"the target '{column.name}' holds words, such as '{column.categories[0]}'",
                "the model learnt numbers",
                "Use a table with the same target.",
            )
        self._check_unit(column)
        return self.standardised(column.values[index])

    def standardised(self, numbers: NDArray[np.float64]) -> NDArray[np.float32]:
        """(x − mean) / std, as the loss of a regression compares with."""
        return ((numbers - self.mean) / self.std).astype(np.float32)

    def _check_unit(self, column: Column) -> None:
        if column.unit != self.unit:
            raise DataError(
                f"the target '{column.name}' is {in_unit(column.unit)}",
                f"the model learnt it {in_unit(self.unit)}",
                "Write it in the same unit.",
            )

    def _encode_classes(self, column: Column, index: NDArray[np.int64]) -> NDArray[np.int64]:
        self._check_unit(column)
        known = {key: position for position, key in enumerate(self.keys or self.classes)}
        found = Classes.of(column, index)
        unseen = [key for key in found.keys if key not in known]
        if unseen:
            raise DataError(
                f"the target '{column.name}' has the class '{unseen[0]}'"
                + (f" and {len(unseen) - 1} more that were" if len(unseen) > 1 else ", which was")
                + " not there in training",
                f"the model knows {', '.join(self.classes[:10])}{', …' if len(self.classes) > 10 else ''}",
                "Correct the labels, or train again with such rows.",
            )
        return np.array([known[key] for key in found.keys], np.int64)[found.positions]

    def decode(self, outputs: ArrayLike) -> NDArray[Any]:
        """Answers from outputs of a network.

        Args:
            outputs: (n, number of classes) scores, logits or probabilities: the largest wins; for two classes also (n,) or
                (n, 1) logits: above 0 is the second class; for regression (n,) or (n, 1) standardised numbers.

        Returns:
            (n,) class labels (a NumPy array of strings), or (n,) float64 numbers in the target's own unit.

        Raises:
            ShapeError: outputs of any other shape.
        """
        if self.classes:
            labels: NDArray[Any] = np.array(self.classes)[self.positions(outputs)]
            return labels
        scores = np.asarray(outputs, np.float64)
        if not _is_single(scores):
            raise self._wrong_outputs(scores)
        numbers: NDArray[np.float64] = scores.reshape(-1) * self.std + self.mean
        return numbers

    def positions(self, outputs: ArrayLike) -> NDArray[np.int64]:
        """Positions (n,) in `classes` of the answers that outputs mean; see `decode`."""
        scores = np.asarray(outputs, np.float64)
        if self.task == "binary" and _is_single(scores):
            return (scores.reshape(-1) > 0).astype(np.int64)
        if self.classes and scores.ndim == 2 and scores.shape[1] == len(self.classes):
            found: NDArray[np.int64] = scores.argmax(axis=1)
            return found
        raise self._wrong_outputs(scores)

    def _wrong_outputs(self, scores: NDArray[np.float64]) -> ShapeError:
        width = len(self.classes) or 1
        return ShapeError(
            f"outputs for '{self.name}' have shape {scores.shape}",
            f"the task {self.task} needs (n, {width})",
            f"Give the last layer {width} outputs.",
        )

    def to_dict(self) -> dict[str, Any]:
        """The encoder as plain JSON data."""
        return {**asdict(self), "classes": list(self.classes), "keys": list(self.keys), "gaps": list(self.gaps)}

    @classmethod
    def from_dict(cls, data: object) -> TargetEncoder:
        """The encoder that `to_dict` wrote; ModelFileError when `data` is anything else."""
        fields = {
            "name": is_text,
            "task": one_of("regression", "binary", "multiclass"),
            "classes": is_distinct_texts,
            "mean": is_finite,
            "std": is_positive,
            "reading": one_of(*READINGS),
            "keys": is_distinct_texts,
            "unit": is_text,
            "gaps": is_distinct_texts,
        }
        record: dict[str, Any] = read_record(data, fields, "target encoder")
        expected = {"regression": record["classes"] == [], "binary": len(record["classes"]) == 2}
        if not expected.get(record["task"], len(record["classes"]) > 2):
            raise broken("target encoder", f"has the task {record['task']} and {len(record['classes'])} classes")
        if len(record["keys"]) not in (0, len(record["classes"])):
            raise broken("target encoder", f"has {len(record['classes'])} classes and {len(record['keys'])} keys")
        texts = {name: tuple(record[name]) for name in ("classes", "keys", "gaps")}
        return cls(**{**record, **texts})


def _is_single(scores: NDArray[np.float64]) -> bool:
    """Whether there is one output per row."""
    return scores.ndim == 1 or (scores.ndim == 2 and scores.shape[1] == 1)


def standard_scale(numbers: NDArray[np.float64]) -> tuple[float, float]:
    """Mean and standard deviation; 1 for a standard deviation of 0."""
    largest = float(np.abs(numbers).max()) or 1.0
    return float(np.mean(numbers / largest)) * largest, float(np.std(numbers / largest)) * largest or 1.0


def _check_learnable(column: Column, index: NDArray[np.int64]) -> None:
    fault = ""
    if column.date_order:
        fault = "holds dates"
    elif not index.size:
        fault = "has no values"
    elif np.all(column.values[index] == column.values[index[0]]) and len(classes := Classes.of(column, index).labels()) == 1:
        fault = f"has one value only, '{classes[0]}'"
    if fault:
        raise DataError(
            f"the target '{column.name}' {fault}",
            "a target holds numbers, or at least two classes",
            "Choose another target or add rows.",
        )


def _is_continuous(column: Column, present: NDArray[Any]) -> bool:
    if column.categories is not None:
        return False
    distinct = np.unique(present)
    few = distinct.size <= min(_MAX_INTEGER_CLASSES, max(present.size // 2, 2))
    return not (few and bool(np.all(distinct == np.floor(distinct))))


@dataclass(frozen=True, eq=False)
class Classes:
    """The different values of some rows of a column.

    Attributes:
        positions: (n,) positions in `keys`.
        keys: one text per value, the same however it is written: the word; false or true; the number as short as it goes (7 for
            007 and 7.0), or, where float64 does not hold it exactly, its digits.
        written: (n,) the cells as they are written; None where that is not known.
    """

    positions: NDArray[np.int64]
    keys: tuple[str, ...]
    written: tuple[str, ...] | None

    @classmethod
    def of(cls, column: Column, index: NDArray[np.int64]) -> Classes:
        """The values of the rows `index`, each of which has one."""
        values = column.values[index]
        written = None
        if column.written is not None:
            words, codes = column.written.words, column.written.codes[index]
            own = np.unique(codes)
            texts = {code: words[code].strip() for code in own.tolist()}
            if column.categories is None and np.abs(values).max(initial=0.0) >= LARGEST_EXACT:
                return cls._by_text([texts[code] for code in codes.tolist()])
            written = tuple(texts[code] for code in codes.tolist()) if own.size <= _MOST_LABELS else None
        distinct, positions = np.unique(values, return_inverse=True)
        name = _number_label if column.categories is None else lambda code: cast(Sequence[str], column.categories)[int(code)]
        return cls(positions, tuple(map(name, distinct)), written if column.reading != "categorical" else None)

    @classmethod
    def _by_text(cls, texts: list[str]) -> Classes:
        distinct = sorted(set(texts), key=lambda text: (len(text), text))
        own = {text: position for position, text in enumerate(distinct)}
        return cls(np.array([own[text] for text in texts], np.int64), tuple(distinct), None)

    def labels(self) -> tuple[str, ...]:
        """How each value is written most often; its key where that is not known."""
        if self.written is None:
            return self.keys
        counts: list[Counter[str]] = [Counter() for _ in self.keys]
        for position, word in zip(self.positions.tolist(), self.written, strict=True):
            counts[position][word] += 1
        return tuple(max(found, key=lambda word: (found[word], word)) for found in counts)


def _number_label(number: float) -> str:
    return str(int(number)) if number == int(number) and abs(number) < 1e15 else repr(float(number))
