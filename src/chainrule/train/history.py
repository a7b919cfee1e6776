"""What happened during training, as numbers."""

from __future__ import annotations

import csv
import difflib
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from chainrule.errors import ArgumentError, DataError, explain


@dataclass
class History:
    """Values per step and per epoch.

    Attributes:
        step_loss: the loss of every step, before its update.
        epochs: one mapping per epoch: "epoch", "loss", the metrics, "lr" (of the first group, in the last step), "seconds", and
            the "val_" twins of loss and metrics where there was validation data. An epoch that was cut short counts as one.
        stopped: why training ended before its last epoch ("" if it did not).
    """

    step_loss: list[float] = field(default_factory=list)
    epochs: list[dict[str, float]] = field(default_factory=list)
    stopped: str = ""

    def __len__(self) -> int:
        return len(self.epochs)

    def __getitem__(self, name: str) -> list[float]:
        """The values of one column, of the epochs that have it.

        Raises:
            ArgumentError: no epoch has it.
        """
        if name not in self.columns:
            near = difflib.get_close_matches(name, self.columns, 1)
            raise ArgumentError(
                explain(
                    f"the history has no column {name!r}",
                    f"its columns are {', '.join(self.columns)}" if self.epochs else "no epoch has been trained",
                    f"Did you mean {near[0]!r}?" if near else "Ask fit for the metric or for validation.",
                )
            )
        return [row[name] for row in self.epochs if name in row]

    @property
    def columns(self) -> list[str]:
        """Names of the values, in the order in which they first came."""
        return list(dict.fromkeys(name for row in self.epochs for name in row))

    def to_csv(self) -> str:
        """A header and a line per epoch; empty where an epoch lacks a value."""
        text = io.StringIO()
        writer = csv.DictWriter(text, self.columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.epochs)
        return text.getvalue()

    @staticmethod
    def from_csv(text: str, stopped: str = "") -> History:
        """The inverse of `to_csv`; steps are not in it.

        Args:
            text: a header and a line per epoch.
            stopped: see `History`.

        Raises:
            DataError: a field is not a number.
        """
        try:
            rows = [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(io.StringIO(text))]
        except (TypeError, ValueError) as error:
            raise DataError(
                explain(
                    f"a history holds something else than numbers ({error})",
                    "it has a header and a line per epoch",
                    "Train again.",
                )
            ) from None
        return History([], rows, stopped)

    def to_dict(self) -> dict[str, Any]:
        """As JSON-able data."""
        return {"step_loss": self.step_loss, "epochs": self.epochs, "stopped": self.stopped}

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> History:
        """The inverse of `to_dict`."""
        return History(list(data["step_loss"]), [dict(row) for row in data["epochs"]], str(data["stopped"]))
