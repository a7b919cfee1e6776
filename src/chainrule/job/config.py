"""What can be chosen about a training run, as one flat record that a TOML file can hold."""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, get_args

from chainrule import nn, optim
from chainrule.data.columns import check_kind
from chainrule.data.files import did_you_mean
from chainrule.data.targets import TASKS, Task
from chainrule.errors import ArgumentError
from chainrule.fileio import parsing
from chainrule.optim.schedules import AVERAGE, CONSTANT

CLASS_WEIGHTS = ("balanced",)


def activations() -> dict[str, type[nn.Activation]]:
    """The activation functions that can be chosen, as layers: leaky-relu is that of the primitive leaky_relu."""
    return {function.replace("_", "-"): layer for function, layer in nn.activation_layers().items()}


def losses() -> list[str]:
    """The losses that can be chosen, for any task."""
    return [name for task in get_args(Task) for name in nn.losses_for(task)]


def schedules() -> dict[str, type[optim.Schedule] | None]:
    """The schedules that can be chosen; None for a rate that stays, without and with weights averaged at the end."""
    return {AVERAGE: None, **{cls.command: cls for cls in optim.SCHEDULES.values() if cls.command}, CONSTANT: None}


@dataclass(frozen=True)
class Config:
    """Settings of a run; None lets chainrule choose from the data (`resolved` says what).

    Attributes:
        target: column to predict; None for pictures and built-in sets.
        task: "auto", "regression" or "classification".
        include, exclude: columns to use although they would be left out, and to leave out.
        kinds: how columns are to be read, as texts COLUMN=KIND with a kind of `chainrule.data.read_table`.
        missing: words that stand for missing values, beside those that are known.
        delimiter: between the fields of a text table; None to find out.
        encoding: of a text table, such as "gb18030"; None for UTF-8, or what a byte order mark tells.
        image_size: height and width that pictures are stretched to; None to choose from them.
        hidden: units per hidden layer; empty for none.
        activation: of the hidden layers, a key of `activations()`.
        dropout: share of hidden units that is left out in each step.
        loss: one of `losses()` that fits the task; None for the usual one.
        optimizer: a key of `optim.commands()`.
        learning_rate: its learning rate.
        schedule: how it changes, one of `schedules()`; "average" keeps it, and takes the mean of the last epochs' weights.
        l2: weight decay: L2 penalty, for adamw decoupled.
        batch_size: samples per step.
        epochs: times through the training rows.
        validation: share of the rows that is held out.
        class_weight: "balanced" for classes that count alike however rare they are; None for rows that do.
        patience: epochs without improvement on the held-out rows after which to stop; None to train to the end.
        seed: of everything random.
        backend: what runs the graph.
    """

    target: str | None = None
    task: str = "auto"
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    delimiter: str | None = None
    encoding: str | None = None
    image_size: tuple[int, ...] | None = None
    hidden: tuple[int, ...] | None = None
    activation: str = "relu"
    dropout: float | None = None
    loss: str | None = None
    optimizer: str = "adamw"
    learning_rate: float | None = None
    schedule: str | None = None
    l2: float | None = None
    batch_size: int | None = None
    epochs: int | None = None
    validation: float = 0.2
    class_weight: str | None = None
    patience: int | None = None
    seed: int = 0
    backend: str = "auto"

    def __post_init__(self) -> None:
        """Refuse values out of range.

        Raises:
            ArgumentError: naming the setting, its value and what it may be.
        """
        for name, allowed in (("activation", activations()), ("optimizer", optim.commands()), ("task", TASKS)):
            _one_of(name, getattr(self, name), allowed)
        if self.schedule is not None:
            _one_of("schedule", self.schedule, schedules())
        if self.class_weight is not None:
            _one_of("class_weight", self.class_weight, CLASS_WEIGHTS)
        if self.loss is not None:
            _one_of("loss", self.loss, losses())
        _require(self.hidden is None or all(n >= 1 for n in self.hidden), "hidden", self.hidden, "numbers of units ≥ 1")
        size = self.image_size
        _require(size is None or (len(size) == 2 and all(1 <= n < 2**15 for n in size)), "image_size", size, "height and width")
        _require(self.dropout is None or 0 <= self.dropout < 1, "dropout", self.dropout, "from 0 up to but not including 1")
        _require(
            self.learning_rate is None or 0 < self.learning_rate < math.inf, "learning_rate", self.learning_rate, "above 0"
        )
        _require(self.l2 is None or 0 <= self.l2 < math.inf, "l2", self.l2, "at least 0")
        _require(0 < self.validation < 1, "validation", self.validation, "a share between 0 and 1")
        _require(0 <= self.seed < 2**63, "seed", self.seed, "a whole number from 0")
        for name in ("batch_size", "epochs", "patience"):
            value = getattr(self, name)
            _require(value is None or value >= 1, name, value, "at least 1")
            _require(value is None or value < 2**31, name, value, "below 2³¹")
        _require(
            self.patience is None or self.schedule != AVERAGE,
            "patience",
            self.patience,
            'left out with the schedule "average": weights are either those of the best epoch or a mean',
        )
        self.kind_of_columns()
        both = sorted({*self.include} & {*self.exclude})
        _require(not both, "exclude", list(self.exclude), f"without {both[0]!r}, which include asks for" if both else "")
        _require(self.target not in self.exclude, "exclude", list(self.exclude), "without the target")

    def kind_of_columns(self) -> dict[str, str]:
        """The setting `kinds` by column.

        Raises:
            ArgumentError: an entry is not COLUMN=KIND, or names a kind that does not exist.
        """
        found = {}
        for entry in self.kinds:
            column, equals, kind = entry.rpartition("=")
            _require(bool(equals and column and kind), "kinds", repr(entry), "COLUMN=KIND, such as zip=categorical")
            check_kind(column, kind)
            found[column] = kind
        return found

    @staticmethod
    def from_toml(path: str | Path) -> Config:
        """Read the settings in a TOML file.

        Raises:
            ArgumentError: the file is missing or not TOML; a setting is unknown, of the wrong type, or out of range.
        """
        with parsing(f"the configuration {path}", "it must be a TOML file", "Check it.", ArgumentError):
            values = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        return Config().updated(values)

    def updated(self, values: Mapping[str, Any]) -> Config:
        """With some settings replaced.

        Raises:
            ArgumentError: a setting is unknown, of the wrong type, or out of range.
        """
        known = [f.name for f in fields(self)]
        for name in values:
            if name not in known:
                raise ArgumentError(
                    f"there is no setting {name!r}",
                    f"the settings are {', '.join(known)}",
                    did_you_mean(name, known, "Check the spelling."),
                )
        return replace(self, **{name: _typed(name, value) for name, value in values.items()})

    def to_toml(self) -> str:
        """As TOML; settings that are None are left out."""
        # What JSON writes is TOML as well, but for the character DEL, which TOML wants escaped.
        lines = [
            f"{name} = {json.dumps(value, ensure_ascii=False)}".replace("\x7f", "\\u007f")
            for name, value in asdict(self).items()
            if value is not None
        ]
        return "\n".join(lines) + "\n"


_TEXT = ("target", "task", "delimiter", "encoding", "activation", "loss", "optimizer", "schedule", "class_weight", "backend")
_WHOLE = ("batch_size", "epochs", "patience", "seed")
_NUMBERS = ("dropout", "learning_rate", "l2", "validation")
_EXPECTED = {
    **dict.fromkeys(_TEXT, "a text"),
    **dict.fromkeys(_WHOLE, "a whole number"),
    **dict.fromkeys(_NUMBERS, "a number"),
    "hidden": "a list of whole numbers",
    "image_size": "a list of two whole numbers, height and width",
    "include": "a list of column names",
    "exclude": "a list of column names",
    "kinds": "a list of texts COLUMN=KIND",
    "missing": "a list of words",
}


def _typed(name: str, value: Any) -> Any:
    """The value in the type of its setting."""
    if name in _TEXT and isinstance(value, str):
        return value
    if name in _WHOLE and isinstance(value, int) and not isinstance(value, bool):
        return value
    if name in _NUMBERS and isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 2**1023:
        return float(value)
    if name in ("hidden", "image_size") and _is_list_of(value, int):
        return tuple(value)
    if name in ("include", "exclude", "kinds", "missing") and _is_list_of(value, str):
        return tuple(value)
    raise ArgumentError(f"the setting {name} is {value!r}", f"it must be {_EXPECTED[name]}", "Correct it.")


def _is_list_of(value: Any, kind: type) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(v, kind) and not isinstance(v, bool) for v in value)


def _one_of(name: str, value: str, allowed: Any) -> None:
    if value not in allowed:
        raise ArgumentError(
            f"the setting {name} is {value!r}",
            f"it must be one of {', '.join(allowed)}",
            did_you_mean(value, allowed, "Choose one of them."),
        )


def _require(holds: bool, name: str, value: Any, expected: str) -> None:
    if not holds:
        raise ArgumentError(f"the setting {name} is {value}", f"it must be {expected}", "Correct it.")
