"""From the columns of a table to the float32 matrix that a network reads.

A `FeatureEncoder` is fitted on training rows only and keeps a plan per column (`plans`): scale numbers, one-hot words, or leave
the column out and why.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from chainrule.data.columns import row_positions
from chainrule.data.plans import Floats, Plan, Scale, plan_for, read_plan
from chainrule.data.records import broken, read_record
from chainrule.data.tables import Table
from chainrule.errors import ArgumentError, DataError


@dataclass(frozen=True)
class ColumnReport:
    """What an encoder does with one column of the table that it was fitted on.

    Attributes:
        name: the column.
        kind: its kind in that table.
        treatment: what is done with it, in words.
        missing: how many training rows lack it.
        n_features: how many columns of the matrix it becomes; 0 when it is left out.
        note: how its cells were read, where that is worth knowing; usually empty.
    """

    name: str
    kind: str
    treatment: str
    missing: int
    n_features: int
    note: str = ""

    @property
    def told(self) -> str:
        """Treatment and note."""
        return "; ".join(filter(None, (self.treatment, self.note)))


@dataclass(frozen=True)
class FeatureEncoder:
    """Turns tables into float32 matrices in the way that was fitted on the training rows.

    Make one with `fit` or `from_dict`.
    """

    _plans: tuple[Plan, ...]

    @classmethod
    def fit(
        cls,
        table: Table,
        target: str | None,
        rows: ArrayLike | None = None,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
    ) -> Self:
        """Decide what to do with every column but the target, from the given rows.

        Args:
            table: the data.
            target: the column to predict, which is never a feature; None when all columns are features.
            rows: positions of the training rows, int (n,); None for all rows.
            include: columns to use although their kind (identifier, text, constant) would leave them out. Of a column of
                words with many values, the most frequent ones are used.
            exclude: columns to leave out.

        Raises:
            DataError: a name in `target`, `include` or `exclude` that is not a column, or no column is left to learn from.
            ArgumentError: a column both included and excluded, the target included, or rows that are not in the table.
        """
        for name in (*include, *exclude, *([target] if target is not None else [])):
            table[name]
        forbidden = set(include) & {*exclude, target}
        if forbidden:
            raise ArgumentError(
                f"the column '{min(map(str, forbidden))}' is to be included",
                "it is also excluded, or the target",
                "Remove it from one.",
            )
        chosen = row_positions(rows, table.n_rows)
        plans = [plan_for(column, chosen, include, exclude) for column in table if column.name != target]
        encoder = cls(tuple(plans))
        if not encoder.feature_names:
            reasons = "; ".join(f"{plan.name}: {plan.treatment()}" for plan in plans) or "there is no other column"
            raise DataError(
                f"no column of {table.source} can be used as a feature ({reasons})",
                "at least one feature is needed",
                "Name columns to include.",
            )
        return encoder

    def transform(self, table: Table, rows: ArrayLike | None = None) -> NDArray[np.float32]:
        """The features of a table, which may lack the target and have more columns than the encoder knows.

        Returns:
            float32 (n, number of features), C-contiguous; every value is finite and within ±10.

        Raises:
            DataError: a column that is missing, or holds words where numbers were learnt or the other way round.
            ArgumentError: rows that are not positions in the table.
        """
        chosen = row_positions(rows, table.n_rows)
        matrix = np.empty((len(chosen), len(self.feature_names)), np.float32)
        first = 0
        for plan in self._used():
            width = len(plan.feature_names)
            plan.fill(matrix[:, first : first + width], table.needed(plan.name), chosen)
            first += width
        return matrix

    @property
    def feature_names(self) -> list[str]:
        """Names of the columns of the matrix: `Age`, `Age: missing`, `Sex=male`, `Cabin: rare`, …."""
        return [name for plan in self._plans for name in plan.feature_names]

    @property
    def scales(self) -> dict[str, bool] | None:
        """The columns used, where all of them hold numbers, dates or booleans, and whether each has heavy tails; else None."""
        used = list(self._used())
        found = {plan.name: plan.heavy_tails for plan in used if isinstance(plan, Scale)}
        return found if len(found) == len(used) else None

    def to_numbers(self, features: NDArray[np.float32]) -> Floats:
        """The way back, where `scales` is not None: from features (n, number of features) to the numbers (n, columns used).

        NaN where one was missing; numbers too far away for the features, which end at ±10, come back at that end.
        """
        found, first = [], 0
        for plan in self._used():
            width = len(plan.feature_names)
            found.append(cast(Scale, plan).read(features[:, first : first + width]))
            first += width
        return np.stack(found, axis=1)

    def from_numbers(self, numbers: Floats) -> NDArray[np.float32]:
        """Features (n, number of features) of numbers (n, columns used), where `scales` is not None; NaN stands for missing."""
        matrix = np.empty((len(numbers), len(self.feature_names)), np.float32)
        first = 0
        for position, plan in enumerate(self._used()):
            width = len(plan.feature_names)
            cast(Scale, plan).write(matrix[:, first : first + width], numbers[:, position])
            first += width
        return matrix

    @property
    def kinds(self) -> dict[str, str]:
        """The columns used and how to read them: pass it as `kinds` to `read_table` for a table to predict from."""
        return {plan.name: plan.reading for plan in self._used()}

    @property
    def gaps(self) -> dict[str, tuple[str, ...]]:
        """The words that stood for gaps in the columns used: pass it as `missing` to `read_table` to predict."""
        return {plan.name: plan.gaps for plan in self._used() if plan.gaps}

    @property
    def identifiers(self) -> list[str]:
        """The columns that name rows, and are left out for that."""
        return [plan.name for plan in self._plans if plan.kind == "identifier" and not plan.feature_names]

    def describe(self) -> list[ColumnReport]:
        """One report per column of the table that the encoder was fitted on, without the target, in its order."""
        return [
            ColumnReport(plan.name, plan.kind, plan.treatment(), plan.missing, len(plan.feature_names), plan.note)
            for plan in self._plans
        ]

    def to_dict(self) -> dict[str, Any]:
        """The encoder as plain JSON data."""
        return {"columns": [plan.to_dict() for plan in self._plans]}

    @classmethod
    def from_dict(cls, data: object) -> Self:
        """The encoder that `to_dict` wrote; ModelFileError when `data` is anything else."""
        columns = read_record(data, {"columns": lambda value: isinstance(value, list)}, "feature encoder")["columns"]
        plans = tuple(read_plan(record) for record in cast(list[object], columns))
        if len({plan.name for plan in plans}) < len(plans):
            raise broken("feature encoder", "names a column twice")
        return cls(plans)

    def _used(self) -> Iterable[Plan]:
        return (plan for plan in self._plans if plan.feature_names)
