"""What is done with one column of a table on its way into the float32 matrix that a network reads.

A plan is fitted on training rows only, and is plain data: it is saved inside the model and applied to any later table.

    numbers, dates,   z = (g((x − centre) / spread) − mean) / std, clipped to ±10; g is arsinh in a column with heavy tails, and
    booleans (0, 1)   the identity in others; centre, the median, replaces missing values, which one more column marks with 1
    dates, too        hour of day, weekday and month, as far as they vary; see Moment
    words             one column per category, one for rare and unseen ones, one for missing; 1 in one of them, 0 in the others

A column for rare or missing values exists when the training rows have such values. Without it, an unseen category is all zeros.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, cast

import numpy as np
from numpy.typing import NDArray

from chainrule.data.columns import MAX_CATEGORIES, READINGS, TIME_OF_DAY, Column, in_unit
from chainrule.data.moments import CYCLES, varying
from chainrule.data.records import (
    Check,
    broken,
    is_count,
    is_distinct_texts,
    is_finite,
    is_flag,
    is_positive,
    is_text,
    one_of,
    read_record,
)
from chainrule.errors import DataError

CLIP = 10.0
_HEAVY_TAILS = 10.0  # mean of z⁴ above which arsinh is applied: 3 for a normal distribution, 9 for an exponential one
_RARE = 2  # a category seen in fewer rows has no column of its own
_HUGE = 1e150  # its square is finite
_ROUNDING = 8 * float(np.finfo(np.float64).eps)  # relative differences up to this are no differences
_TRUE_WORDS = {"true": 1.0, "yes": 1.0, "false": 0.0, "no": 0.0}
_REASONS = {
    "identifier": "it identifies rows",
    "text": "it has too many different values",
    "constant": "it has one value only",
    "empty": "it has no values",
}
Floats = NDArray[np.float64]
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Plan:
    """What every plan knows of its column: name, kind, how `read_table` reads it (kind, unit, words for gaps), missing training
    rows, and a remark.
    """

    name: str
    kind: str
    reading: str
    unit: str
    gaps: tuple[str, ...]
    missing: int
    note: str

    fields: ClassVar[dict[str, Check]] = {
        "name": is_text,
        "kind": is_text,
        "reading": one_of(*READINGS),
        "unit": is_text,
        "gaps": is_distinct_texts,
        "missing": is_count,
        "note": is_text,
    }

    @classmethod
    def facts(cls, column: Column, missing: int) -> dict[str, Any]:
        """What a plan of this column knows, whatever it does with it."""
        return {
            "name": column.name,
            "kind": column.kind,
            "reading": column.reading,
            "unit": column.unit,
            "gaps": tuple(column.gaps),
            "missing": missing,
            "note": column.remark,
        }

    @property
    def feature_names(self) -> list[str]:
        """One name per column of the matrix."""
        return []

    def treatment(self) -> str:
        """What is done with the column, in words."""
        raise NotImplementedError

    def to_dict(self) -> dict[str, Any]:
        """The plan as plain JSON data, which `read_plan` reads."""
        values = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}
        return {"plan": _NAMES[type(self)], **values}

    def fill(self, out: NDArray[np.float32], column: Column, rows: Rows) -> None:
        """Write the features of these rows of `column` to `out` (n, number of features)."""
        raise NotImplementedError


@dataclass(frozen=True)
class LeaveOut(Plan):
    """The column is not used."""

    reason: str

    fields: ClassVar[dict[str, Check]] = {**Plan.fields, "reason": is_text}

    def treatment(self) -> str:
        """See `Plan`."""
        return f"left out: {self.reason}"


@dataclass(frozen=True)
class Scale(Plan):
    """Numbers, dates and booleans: standardised, after arsinh where the tails are heavy."""

    centre: float
    spread: float
    heavy_tails: bool
    mean: float
    std: float

    fields: ClassVar[dict[str, Check]] = {
        **Plan.fields,
        "centre": is_finite,
        "spread": is_positive,
        "heavy_tails": is_flag,
        "mean": is_finite,
        "std": is_positive,
    }

    @classmethod
    def fit(cls, column: Column, rows: Rows) -> Scale:
        """Measure the values of the rows, of which at least one must be present."""
        numbers = _numbers(column, column.reading, column.unit, rows)
        present = numbers[~np.isnan(numbers)]
        centre = 2.0 * float(np.median(present / 2.0))  # the mean of the middle two must not overflow
        spread = _spread(present, centre)
        scaled = _scaled(present, centre, spread)
        heavy_tails = _mean_fourth_power(scaled) > _HEAVY_TAILS
        if heavy_tails:
            scaled = np.arcsinh(scaled)
        facts = cls.facts(column, len(numbers) - len(present))
        mean, std = float(scaled.mean()), float(scaled.std())
        std = std if std > _ROUNDING else 1.0
        return cls(**facts, centre=centre, spread=spread, heavy_tails=heavy_tails, mean=mean, std=std)

    @property
    def feature_names(self) -> list[str]:
        """See `Plan`."""
        return [self.name, f"{self.name}: missing"] if self.missing else [self.name]

    def treatment(self) -> str:
        """See `Plan`."""
        words = {
            "date": "days since 1970-01-01, standardised",
            f"date:{TIME_OF_DAY}": "time of day, standardised",
            "boolean": "0 or 1, standardised",
        }.get(self.reading if self.reading.endswith(TIME_OF_DAY) else self.reading.partition(":")[0], "standardised")
        if self.heavy_tails:
            words += " after arsinh (heavy tails)"
        return f"{words}; missing filled with the median and marked" if self.missing else words

    def fill(self, out: NDArray[np.float32], column: Column, rows: Rows) -> None:
        """See `Plan`."""
        self.write(out, _numbers(column, self.reading, self.unit, rows))

    def write(self, out: NDArray[np.float32], numbers: Floats) -> None:
        """Write the features of numbers (n,), NaN where missing, to `out` (n, number of features)."""
        missing = np.isnan(numbers)
        scaled = _scaled(np.where(missing, self.centre, numbers), self.centre, self.spread)
        if self.heavy_tails:
            scaled = np.arcsinh(scaled)
        with np.errstate(over="ignore"):
            out[:, 0] = np.clip((scaled - self.mean) / self.std, -CLIP, CLIP)
        if self.missing:
            out[:, 1] = missing

    def read(self, features: NDArray[np.float32]) -> Floats:
        """The numbers (n,) that features (n, number of features) stand for, NaN where missing."""
        scaled = features[:, 0].astype(np.float64) * self.std + self.mean
        with np.errstate(over="ignore"):
            numbers: Floats = (np.sinh(scaled) if self.heavy_tails else scaled) * self.spread + self.centre
        if self.missing:
            numbers[features[:, 1] > 0] = np.nan
        return numbers


@dataclass(frozen=True)
class Moment(Scale):
    """A date: the time elapsed as a number, and those cycles (`moments.CYCLES`) that vary in training."""

    parts: tuple[str, ...]

    fields: ClassVar[dict[str, Check]] = {
        **Scale.fields,
        "parts": lambda value: is_distinct_texts(value) and set(cast(list[str], value)) <= set(CYCLES),
    }

    @classmethod
    def fit(cls, column: Column, rows: Rows) -> Moment:
        """Measure the values of the rows, of which at least one must be present."""
        plain = Scale.fit(column, rows)
        days = column.values[rows]
        parts = varying(days[~np.isnan(days)])
        return cls(**{name: getattr(plain, name) for name in Scale.fields}, parts=parts)

    @property
    def feature_names(self) -> list[str]:
        """See `Plan`."""
        return [*super().feature_names, *(f"{self.name}: {name}" for cycle in self.parts for name in CYCLES[cycle].names)]

    def treatment(self) -> str:
        """See `Plan`."""
        return "; beside it ".join(filter(None, [super().treatment(), ", ".join(self.parts)]))

    def write(self, out: NDArray[np.float32], numbers: Floats) -> None:
        """See `Scale`; the cycles follow it, 0 where the date is missing."""
        first = len(super().feature_names)
        super().write(out[:, :first], numbers)
        known = ~np.isnan(numbers)
        out[:, first:] = 0
        for cycle in (CYCLES[name] for name in self.parts):
            width = len(cycle.names)
            out[known, first : first + width] = cycle.features(cycle.number(numbers[known]))
            first += width


@dataclass(frozen=True)
class OneHot(Plan):
    """Words: a column of the matrix per category."""

    categories: tuple[str, ...]
    rare: int

    fields: ClassVar[dict[str, Check]] = {**Plan.fields, "categories": is_distinct_texts, "rare": is_count}

    @classmethod
    def fit(cls, column: Column, rows: Rows) -> OneHot:
        """Count the categories of the rows; the most frequent get columns of their own."""
        codes = column.values[rows]
        words = cast(tuple[str, ...], column.categories)
        counts = np.bincount(codes[codes >= 0], minlength=len(words))
        frequent = np.argsort(-counts, kind="stable")[:MAX_CATEGORIES]
        kept = sorted(int(code) for code in frequent if counts[code] >= _RARE)
        categories = tuple(words[code] for code in kept)
        rare = int(np.count_nonzero(counts)) - len(kept)
        return cls(**cls.facts(column, int(np.count_nonzero(codes < 0))), categories=categories, rare=rare)

    @property
    def feature_names(self) -> list[str]:
        """See `Plan`."""
        names = [f"{self.name}={category}" for category in self.categories]
        return names + [f"{self.name}: rare"] * bool(self.rare) + [f"{self.name}: missing"] * bool(self.missing)

    def treatment(self) -> str:
        """See `Plan`."""
        words = f"one-hot, {len(self.categories)} categories"
        if self.rare:
            words += f", {self.rare} rare ones pooled"
        return f"{words}; missing is a category" if self.missing else words

    def fill(self, out: NDArray[np.float32], column: Column, rows: Rows) -> None:
        """See `Plan`."""
        if column.categories is None and not column.missing.all():
            raise _mismatch(column, "numbers", "words")
        nowhere = out.shape[1]
        own = {category: position for position, category in enumerate(self.categories)}
        unseen = len(own) if self.rare else nowhere
        positions = [own.get(word, unseen) for word in column.categories or ()]
        positions.append(nowhere - 1 if self.missing else nowhere)
        codes = column.values[rows] if column.categories is not None else np.full(len(out), -1)
        target = np.array(positions)[codes.astype(np.int64)]
        out[:] = 0
        hit = np.flatnonzero(target < nowhere)
        out[hit, target[hit]] = 1


PLANS: dict[str, type[Plan]] = {
    "leave out": LeaveOut,
    "scale": Scale,
    "moment": Moment,
    "one-hot": OneHot,
}
_NAMES = {plan: name for name, plan in PLANS.items()}


def plan_for(column: Column, rows: Rows, include: Sequence[str], exclude: Sequence[str]) -> Plan:
    """The plan for a column, fitted on the rows; see `FeatureEncoder.fit`."""
    missing = int(np.count_nonzero(column.missing[rows]))
    reason = "excluded" if column.name in exclude else _REASONS.get(column.kind, "")
    if column.name in include and column.kind != "empty":
        reason = ""
    if not reason and missing == len(rows):
        reason = "it has no values in the training rows"
    if reason:
        facts = LeaveOut.facts(column, missing)
        if column.kind == "text" and column.note and column.name not in exclude:
            facts["note"], reason = "", column.note
        return LeaveOut(**facts, reason=reason)
    plan = OneHot if column.reading == "categorical" else Moment if column.date_order else Scale
    return plan.fit(column, rows)


def _numbers(column: Column, reading: str, unit: str, rows: Rows) -> Floats:
    """A new array of the rows' numbers, NaN where missing; booleans as 0 and 1."""
    if column.missing.all():
        return np.full(len(rows), np.nan)
    if column.unit != unit:
        raise DataError(
            f"column '{column.name}' holds numbers {in_unit(column.unit)}",
            f"the encoder was fitted on numbers {in_unit(unit)}",
            "Write them in the same unit.",
        )
    if column.categories is None:
        if bool(column.date_order) != reading.startswith("date"):
            raise _mismatch(column, *(("dates", "numbers") if column.date_order else ("numbers", "dates")))
        return cast(Floats, column.values[rows])
    numbers = [_TRUE_WORDS.get(word.lower()) for word in column.categories]
    if reading != "boolean" or None in numbers:
        raise _mismatch(column, "words", reading.partition(":")[0])
    return np.array([*numbers, np.nan], np.float64).take(column.values[rows], mode="wrap")


def _mismatch(column: Column, found: str, learnt: str) -> DataError:
    example = f", such as '{column.categories[0]}'" if column.categories else ""
    return DataError(
        f"column '{column.name}' holds {found}{example}",
        f"the encoder was fitted on {learnt}",
        "Pass the encoder's `kinds` to read_table, or correct the column.",
    )


def _spread(present: Floats, centre: float) -> float:
    """The range of the middle half, or the largest deviation where that is 0; for equal numbers, their size."""
    with np.errstate(over="ignore"):
        deviations = np.clip(present - centre, -_HUGE, _HUGE)
    largest, magnitude = float(np.abs(deviations).max()), float(np.abs(present).max())
    if largest <= _ROUNDING * magnitude:
        return magnitude or 1.0
    low, high = np.quantile(deviations, (0.25, 0.75))
    return float(high - low) or largest


def _scaled(numbers: Floats, centre: float, spread: float) -> Floats:
    with np.errstate(over="ignore"):
        return np.clip((numbers - centre) / spread, -_HUGE, _HUGE)


def _mean_fourth_power(scaled: Floats) -> float:
    """The kurtosis of scaled numbers; 0 when they do not vary."""
    deviations = scaled - scaled.mean()
    deviations /= np.abs(deviations).max() or 1.0
    squares = deviations * deviations
    return float(np.mean(squares * squares) / max(np.mean(squares) ** 2, np.finfo(np.float64).tiny))


def read_plan(record: object) -> Plan:
    """The plan that `Plan.to_dict` wrote; ModelFileError when `record` is anything else."""
    name = record.get("plan") if isinstance(record, dict) else None
    if not isinstance(name, str) or name not in PLANS:
        raise broken("feature encoder", f"has a column with the plan {name!r}")
    plan = PLANS[name]
    fields = read_record(record, {"plan": is_text, **plan.fields}, f"plan of a column ({name})")
    arguments = {key: tuple(value) if isinstance(value, list) else value for key, value in fields.items() if key != "plan"}
    return plan(**arguments)  # type: ignore[arg-type]
