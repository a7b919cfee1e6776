"""What happened during training, as numbers."""

from __future__ import annotations

import csv
import difflib
import io
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chainrule.errors import ArgumentError, DataError, missing_dependency
from chainrule.fileio import parsing, write_file

_NOT_DRAWN = ("epoch", "lr", "seconds")


@dataclass
class History:
    """Values per step and per epoch.

    Attributes:
        step_loss: float64, the loss of every step, before its update. There can be millions; each takes 8 bytes.
        epochs: one mapping per epoch: "epoch", "loss", the metrics, "lr" (of the first group, in the last step), "seconds", and
            the "val_" twins of loss and metrics where there was validation data. An epoch that was cut short counts as one.
        stopped: why training ended before its last epoch ("" if it did not).
    """

    step_loss: array[float] = field(default_factory=lambda: array("d"))
    epochs: list[dict[str, float]] = field(default_factory=list)
    stopped: str = ""

    def __post_init__(self) -> None:
        self.step_loss = array("d", self.step_loss)

    def __repr__(self) -> str:
        last = self.epochs[-1] if self.epochs else {}
        values = ", ".join(f"{name} {value:.4g}" for name, value in last.items() if name not in _NOT_DRAWN)
        return f"<History of {len(self)} epochs{f'; last: {values}' if values else ''}>"

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
                f"the history has no column {name!r}",
                f"its columns are {', '.join(self.columns)}" if self.epochs else "no epoch has been trained",
                f"Did you mean {near[0]!r}?" if near else "Ask fit for the metric or for validation.",
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
            DataError: a field is not a number, or a line is cut off.
        """
        with parsing("a history", "it has a header and a line per epoch", "Train again."):
            reader = csv.DictReader(io.StringIO(text))
            lines, names = list(reader), list(reader.fieldnames or ())
        if text and (not {"epoch", "loss"} <= set(names) or len(set(names)) < len(names)):
            raise DataError(
                f"a history has the columns {', '.join(names)[:200]}",
                "the columns must be epoch, loss and others, each once",
                "Train again.",
            )
        for number, line in enumerate(lines, 2):
            if None in line or None in line.values():  # more or fewer values than columns
                raise DataError(
                    f"line {number} of a history is incomplete",
                    "it has a value, or nothing between commas, for every column",
                    "Train again, or take that line out.",
                )
        try:
            rows = [{name: float(value) for name, value in line.items() if value} for line in lines]
        except (TypeError, ValueError) as error:
            raise DataError(
                f"a history must hold numbers ({error})", "it has a header and a line per epoch", "Train again."
            ) from None
        for number, row in enumerate(rows, 2):
            if not {"epoch", "loss"} <= set(row):
                raise DataError(
                    f"line {number} of a history lacks the epoch or the loss", "every line has both", "Train again."
                )
        return History(epochs=rows, stopped=stopped)

    @staticmethod
    def read(path: str | Path, stopped: str = "") -> History:
        """The history in a file that `to_csv` or `CSVLog` wrote. Raises DataError, as `from_csv` does."""
        with parsing(path, "a history in UTF-8 was expected", "Train again, or take it out of the folder."):
            return History.from_csv(Path(path).read_text(encoding="utf-8"), stopped)

    def to_dict(self) -> dict[str, Any]:
        """As JSON-able data."""
        return {"step_loss": self.step_loss.tolist(), "epochs": self.epochs, "stopped": self.stopped}

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> History:
        """The inverse of `to_dict`."""
        return History(data["step_loss"], [dict(row) for row in data["epochs"]], str(data["stopped"]))

    def plot(self, path: str | Path | None = None, names: Sequence[str] | None = None) -> Any:
        """Learning curves as a matplotlib figure, to be changed further; `cr.draw(history)` makes a finished picture.

        One panel for the loss, one per metric, training beside validation.

        Args:
            path: file to write; its suffix (.png, .svg, .pdf) chooses the format. None writes none.
            names: columns to draw without their "val_" twins; the loss and all metrics if None.

        Returns:
            The matplotlib figure.

        Raises:
            MissingDependency: matplotlib is not installed.
            ArgumentError: a column that is not there, no epoch at all, or a suffix that matplotlib does not know.
            OutputError: the file cannot be written.
        """
        try:
            from matplotlib.figure import Figure  # noqa: PLC0415 -- optional and heavy
        except ImportError:
            raise missing_dependency("matplotlib", "drawing learning curves", "plot") from None
        self["loss"]  # there is something to draw
        found = names or [c for c in self.columns if c not in _NOT_DRAWN and not c.startswith("val_")]
        figure = Figure(figsize=(5.5 * len(found), 3.8), layout="constrained")
        for axes, name in zip(figure.subplots(1, len(found), squeeze=False)[0], found, strict=True):
            self._draw(axes, name)
        if path is not None:
            _save(figure, Path(path))
        return figure

    def _draw(self, axes: Any, name: str) -> None:
        self[name]  # a misspelt column is an error
        for column, label in ((name, "training"), (f"val_{name}", "validation")):
            points = [(row["epoch"], row[column]) for row in self.epochs if column in row]
            if points:
                axes.plot(*zip(*points, strict=True), label=label, marker="o" if len(points) == 1 else "")
        axes.set(title=name, xlabel="epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        # Curves that rise leave the lower corner free. To let matplotlib look for a free place is slow with many points.
        axes.legend(loc="lower right" if self[name][-1] > self[name][0] else "upper right")


def _save(figure: Any, path: Path) -> None:
    content = io.BytesIO()
    try:
        figure.savefig(content, dpi=120, format=path.suffix.removeprefix(".") or "png")
    except ValueError as error:
        raise ArgumentError(
            f"the picture cannot be written to {path} ({error})", "the suffix chooses the format", "Use .png or .svg."
        ) from None
    write_file(path, content.getvalue())
