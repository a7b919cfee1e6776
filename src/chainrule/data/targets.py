"""From the column to predict to what a loss compares with, and back from outputs to answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from chainrule.data.records import broken, is_distinct_texts, is_finite, is_positive, is_text, one_of, read_record
from chainrule.data.tables import READINGS, Column, row_positions
from chainrule.errors import ArgumentError, DataError, ShapeError, explain

Task = Literal["regression", "binary", "multiclass"]
TASKS = ("auto", "regression", "classification")

_MAX_INTEGER_CLASSES = 20
_FEW_CLASSES = 10  # so few may differ in every row


@dataclass(frozen=True)
class TargetEncoder:
    """Class indices or standardised numbers for a target column, and the way back. Make one with `fit` or `from_dict`.

    Attributes:
        name: the target column.
        task: regression, binary (two classes) or multiclass.
        classes: the class labels in the order of their indices, as text; empty for regression.
        mean: mean of the training targets; 0 for classes.
        std: their standard deviation; 1 for classes.
        reading: how `read_table` reads the column: pass `{name: reading}` in `kinds` for a table to evaluate on.
    """

    name: str
    task: Task
    classes: tuple[str, ...]
    mean: float
    std: float
    reading: str

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
            raise ArgumentError(explain(f"task is '{task}'", f"it must be one of {', '.join(TASKS)}", "Choose one."))
        values = column.values[row_positions(rows, len(column))]
        present = values[~np.isnan(values)] if column.categories is None else values[values >= 0]
        _check_learnable(column, present)
        if task == "regression" or (task == "auto" and _is_continuous(column, present)):
            return cls._for_numbers(column, present)
        return cls._for_classes(column, present)

    @classmethod
    def _for_numbers(cls, column: Column, present: NDArray[np.float64]) -> TargetEncoder:
        if column.categories is not None:
            raise DataError(
                explain(
                    f"the target '{column.name}' holds words, such as '{column.categories[0]}'",
                    "regression predicts numbers",
                    "Choose another target, or the task classification.",
                )
            )
        largest = float(np.abs(present).max())
        mean, std = float(np.mean(present / largest)) * largest, float(np.std(present / largest)) * largest
        return cls(column.name, "regression", (), mean, std or 1.0, column.reading)

    @classmethod
    def _for_classes(cls, column: Column, present: NDArray[Any]) -> TargetEncoder:
        labels = _labels(column)
        classes = tuple(labels(value) for value in np.unique(present))
        if len(classes) > max(len(present) // 2, _FEW_CLASSES):
            raise DataError(
                explain(
                    f"the target '{column.name}' has {len(classes)} different values in {len(present)} rows",
                    "a class is learnt from several examples",
                    "Choose another target, or the task regression if it holds numbers.",
                )
            )
        return cls(column.name, "binary" if len(classes) == 2 else "multiclass", classes, 0.0, 1.0, column.reading)

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
                explain(
                    f"the target '{column.name}' is missing in {empty.size} of {index.size} rows, first in row {empty[0]}",
                    "every row used must have one",
                    "Leave those rows out: `column.present_rows` gives the others.",
                )
            )
        if self.task == "regression":
            return self._encode_numbers(column, index)
        return self._encode_classes(column, index)

    def _encode_numbers(self, column: Column, index: NDArray[np.int64]) -> NDArray[np.float32]:
        if column.categories is not None:
            raise DataError(
                explain(
                    f"the target '{column.name}' holds words, such as '{column.categories[0]}'",
                    "the model learnt numbers",
                    "Use a table with the same target.",
                )
            )
        return ((column.values[index] - self.mean) / self.std).astype(np.float32)

    def _encode_classes(self, column: Column, index: NDArray[np.int64]) -> NDArray[np.int64]:
        known = {label: position for position, label in enumerate(self.classes)}
        distinct, inverse = np.unique(column.values[index], return_inverse=True)
        labels = _labels(column)
        unseen = [label for label in map(labels, distinct) if label not in known]
        if unseen:
            raise DataError(
                explain(
                    f"the target '{column.name}' has the class '{unseen[0]}'"
                    + (f" and {len(unseen) - 1} more that were" if len(unseen) > 1 else ", which was")
                    + " not there in training",
                    f"the model knows {', '.join(self.classes[:10])}{', …' if len(self.classes) > 10 else ''}",
                    "Correct the labels, or train again with such rows.",
                )
            )
        return np.array([known[labels(value)] for value in distinct], np.int64)[inverse]

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
        scores = np.asarray(outputs, np.float64)
        single = scores.ndim == 1 or (scores.ndim == 2 and scores.shape[1] == 1)
        if self.task == "regression" and single:
            numbers: NDArray[np.float64] = scores.reshape(-1) * self.std + self.mean
            return numbers
        if self.task == "binary" and single:
            return self._named(scores.reshape(-1) > 0)
        if self.classes and scores.ndim == 2 and scores.shape[1] == len(self.classes):
            return self._named(scores.argmax(axis=1))
        width = len(self.classes) or 1
        raise ShapeError(
            explain(
                f"outputs for '{self.name}' have shape {scores.shape}",
                f"the task {self.task} needs (n, {width})",
                f"Give the last layer {width} outputs.",
            )
        )

    def _named(self, positions: NDArray[Any]) -> NDArray[Any]:
        labels: NDArray[Any] = np.array(self.classes)[positions.astype(np.int64)]
        return labels

    def to_dict(self) -> dict[str, Any]:
        """The encoder as plain JSON data."""
        return {**asdict(self), "classes": list(self.classes)}

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
        }
        record: dict[str, Any] = read_record(data, fields, "target encoder")
        expected = {"regression": record["classes"] == [], "binary": len(record["classes"]) == 2}
        if not expected.get(record["task"], len(record["classes"]) > 2):
            raise broken("target encoder", f"has the task {record['task']} and {len(record['classes'])} classes")
        return cls(**{**record, "classes": tuple(record["classes"])})


def _check_learnable(column: Column, present: NDArray[Any]) -> None:
    fault = ""
    if column.date_order:
        fault = "holds dates"
    elif not present.size:
        fault = "has no values"
    elif np.all(present == present[0]):
        fault = f"has one value only, '{_labels(column)(present[0])}'"
    if fault:
        raise DataError(
            explain(
                f"the target '{column.name}' {fault}",
                "a target holds numbers, or at least two classes",
                "Choose another target or add rows.",
            )
        )


def _is_continuous(column: Column, present: NDArray[Any]) -> bool:
    if column.categories is not None:
        return False
    distinct = np.unique(present)
    few = distinct.size <= min(_MAX_INTEGER_CLASSES, max(present.size // 2, 2))
    return not (few and bool(np.all(distinct == np.floor(distinct))))


def _labels(column: Column) -> Any:
    """A function from a value of the column to its text: the word, or the number as short as it goes (1, not 1.0)."""
    words = cast(Sequence[str], column.categories)
    return _number_label if column.categories is None else lambda code: words[int(code)]


def _number_label(number: float) -> str:
    return str(int(number)) if number == int(number) and abs(number) < 1e15 else repr(float(number))
