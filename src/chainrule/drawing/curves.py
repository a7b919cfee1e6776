"""Learning curves: what happened in training, epoch by epoch."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from chainrule.drawing.chart import Line, Panel, panels_drawing
from chainrule.drawing.picture import Drawing, Look
from chainrule.drawing.words import PHRASES, phrase
from chainrule.errors import ArgumentError
from chainrule.fitting.history import History
from chainrule.fitting.metrics import METRICS
from chainrule.language import Language, index_of

_NEVER = ("epoch", "seconds")
_STOPPED = re.compile(r"(?P<monitor>\w+) did not improve for (?P<patience>\d+) epochs; the best was epoch (?P<best>\d+)")
_MOST_ORDERS = 50.0  # how many times larger a loss may be than the smallest before it is drawn by its logarithm


def history_drawing(history: History, look: Look) -> Drawing:
    """Draw a chart per column: loss, metrics, and the learning rate if it changed; training beside validation.

    The best epoch is marked: the one that early stopping went back to, else the one of the smallest validation loss.

    Raises:
        ArgumentError: no epoch has been trained, or nothing in the history is finite.
    """
    panels = [panel for name in _columns(history) if (panel := _panel(history, name, look.language))]
    if not panels:
        raise ArgumentError(
            "the history has no finite value to draw",
            "curves need a trained epoch",
            "Train first; cr.diagnose says why a loss is not finite.",
        )
    return panels_drawing(panels, phrase("curves", look.language), look, note=_ending(history, look.language))


def curve_drawings(history: History, look: Look) -> list[Drawing]:
    """The charts of `history_drawing`, each as a picture of its own."""
    panels = [panel for name in _columns(history) if (panel := _panel(history, name, look.language))]
    return [panels_drawing([panel], panel.title, look) for panel in panels]


def _columns(history: History) -> list[str]:
    found = [c for c in history.columns if c not in _NEVER and not c.startswith("val_")]
    constant = "lr" in found and len(set(history["lr"])) == 1
    return [c for c in found if c != "lr"] + (["lr"] if "lr" in found and not constant else [])


def _panel(history: History, name: str, language: Language) -> Panel | None:
    both = [(c, key, kind) for c, key, kind in ((name, "training", "first"), (f"val_{name}", "validation", "second"))]
    found = [(c, key, kind) for c, key, kind in both if c in history.columns]
    lines = [Line([(row["epoch"], row[c]) for row in history.epochs if c in row], kind) for c, _, kind in found]
    values = [y for line in lines for _, y in line.points if math.isfinite(y)]
    if not values:
        return None
    keys = [(phrase(key, language), kind) for _, key, kind in found] if len(found) > 1 else []
    title = phrase(name, language) if name in PHRASES else _title(name, language)
    return Panel(lines, title, phrase("epoch", language), True, keys, _best(history, name, language), _wide(name, values))


def _wide(name: str, values: Sequence[float]) -> bool:
    return name == "loss" and min(values) > 0.0 and max(values) > _MOST_ORDERS * min(values)


def _title(metric: str, language: Language) -> str:
    """What a metric is called."""
    known = METRICS.get(metric)
    if known is None or known.title is None:
        return metric
    words = known.title[index_of(language)]
    return words[0].upper() + words[1:]


def _best(history: History, name: str, language: Language) -> tuple[float, str] | None:
    """The epoch to mark in the chart of a column, and what to write there: a word in one chart is enough."""
    stopped = _STOPPED.fullmatch(history.stopped)
    if stopped:
        epoch, monitor = int(stopped["best"]), stopped["monitor"].removeprefix("val_")
    else:
        losses = [(row["val_loss"], row["epoch"]) for row in history.epochs if math.isfinite(row.get("val_loss", math.nan))]
        if len(losses) < 2 or name != "loss":
            return None
        epoch, monitor = int(min(losses)[1]), "loss"
    return epoch, phrase("best", language, epoch=epoch) if name == monitor else ""


def _ending(history: History, language: Language) -> str:
    """Why training ended early."""
    stopped = _STOPPED.fullmatch(history.stopped)
    if stopped:
        return phrase("stopped-early", language, monitor=stopped["monitor"], patience=stopped["patience"])
    if history.stopped == "interrupted":
        return phrase("interrupted", language)
    return phrase("stopped", language, reason=history.stopped) if history.stopped else ""
