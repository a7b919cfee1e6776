"""Showing the progress of training: a bar on a terminal, one line per epoch elsewhere, or nothing."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Protocol


class Progress(Protocol):
    """What the trainer reports to."""

    def start(self, first: int, last: int, steps: int) -> None:
        """Training begins: the epochs from `first` to `last`, of so many steps each."""
        ...

    def steps(self, epoch: int, done: int, loss: float) -> None:
        """Steps `done` of this epoch are behind us; the last loss."""
        ...

    def epoch(self, row: Mapping[str, float]) -> None:
        """An epoch ended, with these values."""
        ...

    def stop(self) -> None:
        """Training ended."""
        ...


def choose(show: bool) -> Progress:
    """The progress that suits where the output goes."""
    if not show or sys.stderr is None:
        return Silent()
    return Bar() if sys.stderr.isatty() else Lines()


class Silent:
    """No output."""

    def start(self, first: int, last: int, steps: int) -> None:
        """See `Progress`."""

    def steps(self, epoch: int, done: int, loss: float) -> None:
        """See `Progress`."""

    def epoch(self, row: Mapping[str, float]) -> None:
        """See `Progress`."""

    def stop(self) -> None:
        """See `Progress`."""


class Lines(Silent):
    """One plain line per epoch, on standard error; of many epochs about twenty lines."""

    def start(self, first: int, last: int, steps: int) -> None:
        """See `Progress`."""
        self._first, self._last = first, last
        self._every = max(1, -(-(last - first + 1) // 20))

    def epoch(self, row: Mapping[str, float]) -> None:
        """See `Progress`."""
        number = int(row["epoch"])
        if number % self._every == 0 or number in (self._first, self._last):
            with suppress(OSError):  # training goes on where nobody reads
                print(f"epoch {number}/{self._last}  {values_text(row)}", file=sys.stderr, flush=True)


class Bar(Silent):
    """A bar with loss, metrics, rate and time left."""

    def start(self, first: int, last: int, steps: int) -> None:
        """See `Progress`."""
        from rich.console import Console  # noqa: PLC0415 -- 30 ms that only a terminal needs
        from rich.progress import BarColumn, TextColumn, TimeRemainingColumn  # noqa: PLC0415
        from rich.progress import Progress as RichProgress  # noqa: PLC0415
        from rich.table import Column  # noqa: PLC0415

        self._steps = steps
        self._first = first
        self._last = last
        self._started = time.perf_counter()
        self._text = ""
        self._bar: Any = RichProgress(
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(bar_width=16, table_column=Column(no_wrap=True)),
            TextColumn("{task.fields[values]}", table_column=Column()),  # the one that wraps where there is little room
            TextColumn("{task.fields[rate]} steps/s"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._bar.start()
        total = (last - first + 1) * steps
        self._task = self._bar.add_task("training", total=total, epoch=f"{first}/{last}", values="", rate="…")

    def steps(self, epoch: int, done: int, loss: float) -> None:
        """See `Progress`."""
        total = (epoch - self._first) * self._steps + done
        rate = total / max(time.perf_counter() - self._started, 1e-9)
        self._bar.update(
            self._task,
            completed=total,
            epoch=f"{epoch}/{self._last}",
            values=self._text or f"loss {loss:.4f}",
            rate=f"{rate:,.0f}",
        )

    def epoch(self, row: Mapping[str, float]) -> None:
        """See `Progress`."""
        self._text = values_text(row)
        self.steps(int(row["epoch"]), self._steps, row["loss"])

    def stop(self) -> None:
        """See `Progress`."""
        self._bar.stop()


def values_text(row: Mapping[str, float]) -> str:
    """The values of an epoch as text: `loss 0.1234  accuracy 0.9876  val_loss …`."""
    return "  ".join(f"{name} {value:.4f}" for name, value in row.items() if name not in ("epoch", "lr", "seconds"))
