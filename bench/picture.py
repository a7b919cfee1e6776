"""The results of `bench.training` as a picture: time per step beside the limit, ratios, and memory; a line per network.

python -m bench.picture bench/results/training.json training.png
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, FuncFormatter, LogLocator, NullLocator

OURS = "chainrule"
# Colours that people with colour-blindness can tell apart (Okabe and Ito), and shapes beside them.
_LOOK = {
    OURS: ("#D55E00", "D"),
    "PyTorch": ("#0072B2", "o"),
    "torch.compile": ("#56B4E9", "s"),
    "scikit-learn": ("#009E73", "^"),
    "JAX jit": ("#CC79A7", "v"),
    "JAX scan": ("#7B3F8C", "P"),
}
_GREY = "#666666"


def draw(found: dict[str, Any], path: Path) -> None:
    """Write the picture of what `bench.training` found."""
    jobs = found["jobs"]
    names = [name for name in _LOOK if any(name in job["systems"] for job in jobs)]
    figure = Figure(figsize=(15, 1.9 + 0.55 * len(jobs)), layout="constrained")
    times, ratios, memory = figure.subplots(1, 3, sharey=True, width_ratios=(4, 4, 2.5))
    _prepare(times, "time per training step (bars: quartiles)", LogLocator(10, numticks=12))
    times.xaxis.set_major_formatter(EngFormatter("s"))
    _prepare(ratios, "time relative to chainrule", LogLocator(10, (1, 2, 5)))
    _prepare(memory, "most memory of the process, MB", LogLocator(10, (1, 2, 5)))
    ratios.axvline(1, color=_LOOK[OURS][0], linewidth=1)
    for row, job in enumerate(jobs):
        _draw_job(row, {name: job["systems"][name] for name in names if name in job["systems"]}, (times, ratios, memory))
        limit = job["flops"] / max(found["peak_flops"].values())
        times.vlines(limit, row - 0.3, row + 0.3, color=_GREY, linewidth=2)
        if "ratio" in job:
            best = job["systems"][job["best_other"]]["median"] / job["systems"][OURS]["median"]
            ratios.annotate(f"{job['ratio']:.2f}×", (best, row), (2, 7), textcoords="offset points", size=9)
    times.set_yticks(range(len(jobs)), [job["job"] for job in jobs])
    times.invert_yaxis()
    keys = [_key(name, *_LOOK[name], _size(name)) for name in names]
    figure.legend(
        handles=[*keys, _key("arithmetic as defined, at the peak", _GREY, "|", 12)],
        loc="outside upper center",
        ncols=len(keys) + 1,
        frameon=False,
    )
    peaks = [f"{rate / 1e9:,.0f} GFLOP/s on {_threads(count)}" for count, rate in found["peak_flops"].items()]
    note = f"{found['machine']['processor']}; measured multiply-add peak {', '.join(peaks)}; float32, Adam"
    figure.supxlabel(note, size=9, color=_GREY)
    figure.savefig(path, dpi=130)


def _prepare(axes: Axes, title: str, ticks: LogLocator) -> None:
    axes.set_title(title, loc="left", size=11)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(ticks)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axes.tick_params(length=0, labelsize=9)
    axes.grid(axis="x", color="#dddddd")
    axes.grid(axis="y", color="#eeeeee")
    axes.set_axisbelow(True)
    axes.spines[["top", "left", "right"]].set_visible(False)


def _draw_job(row: int, systems: dict[str, Any], panels: tuple[Axes, Axes, Axes]) -> None:
    times, ratios, memory = panels
    _dots(times, row, {name: found["median"] for name, found in systems.items()})
    for name, found in systems.items():
        low, high = found["quartiles"]
        times.hlines(row, low, high, color=_LOOK[name][0], linewidth=5, alpha=0.4)
    _dots(memory, row, {name: found["peak_bytes"] / 1e6 for name, found in systems.items()})
    if OURS in systems:
        _dots(ratios, row, {name: found["median"] / systems[OURS]["median"] for name, found in systems.items()})


def _key(label: str, colour: str, marker: str, size: int) -> Line2D:
    return Line2D([], [], color=colour, marker=marker, linestyle="", markersize=size, markeredgewidth=2, label=label)


def _threads(count: int | str) -> str:
    return "1 thread" if int(count) == 1 else f"{count} threads"


def _size(name: str) -> int:
    return 8 if name == OURS else 6


def _dots(axes: Axes, row: int, values: dict[str, float]) -> None:
    axes.hlines(row, min(values.values()), max(values.values()), color="#cccccc", linewidth=1)
    for name, value in values.items():
        colour, shape = _LOOK[name]
        axes.plot(value, row, color=colour, marker=shape, markersize=_size(name), zorder=4 if name == OURS else 3)


def main() -> None:
    source, target = map(Path, sys.argv[1:])
    draw(json.loads(source.read_text(encoding="utf-8")), target)


if __name__ == "__main__":
    main()
