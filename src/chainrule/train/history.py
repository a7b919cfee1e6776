"""What happened during training, as numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chainrule.errors import missing_dependency


@dataclass
class History:
    """Values per step and per epoch.

    Attributes:
        step_loss: the loss of every step, before its update.
        epochs: one mapping per epoch: "epoch", "loss", the metrics, their "val_" twins where there was validation data, "lr",
            and "seconds".
        stopped: why training ended before its last epoch ("" if it did not).
    """

    step_loss: list[float] = field(default_factory=list)
    epochs: list[dict[str, float]] = field(default_factory=list)
    stopped: str = ""

    def __len__(self) -> int:
        return len(self.epochs)

    def __getitem__(self, name: str) -> list[float]:
        """The values of one column per epoch, where they exist."""
        return [row[name] for row in self.epochs if name in row]

    @property
    def columns(self) -> list[str]:
        """Names of the values, in the order in which they first came."""
        return list(dict.fromkeys(name for row in self.epochs for name in row))

    def rows(self) -> Iterator[list[Any]]:
        """One row per epoch, in the order of `columns`; an empty text where a value is missing."""
        return ([row.get(name, "") for name in self.columns] for row in self.epochs)

    def best(self, name: str, *, largest: bool) -> Mapping[str, float]:
        """The epoch with the best value of a column."""
        having = [row for row in self.epochs if name in row]
        return (max if largest else min)(having, key=lambda row: row[name])

    def to_dict(self) -> dict[str, Any]:
        """As JSON-able data."""
        return {"step_loss": self.step_loss, "epochs": self.epochs, "stopped": self.stopped}

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> History:
        """The inverse of `to_dict`."""
        return History(list(data["step_loss"]), [dict(row) for row in data["epochs"]], str(data["stopped"]))

    def plot(self, path: str | Path | None = None, names: Sequence[str] | None = None) -> Any:
        """Draw learning curves with matplotlib: one panel for the loss, one per metric, training beside validation.

        Args:
            path: file to write (its suffix chooses the format); None writes none.
            names: columns to draw without their "val_" twins; the loss and all metrics if None.

        Returns:
            The matplotlib figure.

        Raises:
            MissingDependency: matplotlib is not installed.
        """
        try:
            from matplotlib.figure import Figure  # noqa: PLC0415 -- optional and heavy
        except ImportError:
            raise missing_dependency("matplotlib", "drawing learning curves", "app") from None
        skipped = ("epoch", "lr", "seconds")
        found = names or [c for c in self.columns if c not in skipped and not c.startswith("val_")]
        figure = Figure(figsize=(5.5 * len(found), 3.8), layout="constrained")
        for axes, name in zip(figure.subplots(1, len(found), squeeze=False)[0], found, strict=True):
            for column, label in ((name, "training"), (f"val_{name}", "validation")):
                points = [(row["epoch"], row[column]) for row in self.epochs if column in row]
                if points:
                    axes.plot(*zip(*points, strict=True), label=label, marker="o" if len(points) == 1 else "")
            axes.set(title=name, xlabel="epoch")
            axes.grid(alpha=0.3)
            axes.legend()
        if path is not None:
            figure.savefig(path, dpi=120)
        return figure
