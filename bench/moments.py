"""Ways to show a network the hour, weekday and month of a moment, compared on tables in which the answer depends on them.

    python -m bench.moments

R² on held-out rows with the default settings, mean over --repeats tables.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from chainrule.data import Table
from chainrule.job import Config, PreparedData, train

Floats = NDArray[np.float64]
Moments = Mapping[str, Floats]
TABLES = ((600, 28), (2000, 180), (6000, 730))  # rows, days


def moments(rows: int, days: int, smooth: bool, seed: int) -> tuple[Moments, Floats]:
    """Moments at a shop with rush hours (if smooth, a wave) on weekdays, a midday on weekends, and seasons; and its sales."""
    random = np.random.default_rng(seed)
    elapsed = np.sort(random.uniform(0, 24 * days, rows)).astype(int)
    hour, day = elapsed % 24, elapsed // 24
    weekday, month = (day + 4) % 7, (day % 365 / 30.5).astype(int) % 12
    wave = np.sin(2 * np.pi * (hour - 8) / 24) + 0.5 * np.sin(4 * np.pi * hour / 24)
    peaks = np.exp(-(((hour - 8) / 1.2) ** 2)) + 1.3 * np.exp(-(((hour - 17.5) / 1.5) ** 2)) - 0.5 * (hour < 6)
    sales = np.where(weekday < 5, 3 * (wave if smooth else peaks), 2 * np.exp(-(((hour - 14) / 3) ** 2)))
    sales = sales + np.sin(2 * np.pi * (month - 3) / 12) + 0.002 * day + 0.3 * random.normal(size=rows)
    return {"elapsed": elapsed / 24, "hour": hour, "weekday": weekday, "month": month}, sales


def one_of(name: str) -> Callable[[Moments], dict[str, object]]:
    return lambda m: {name: [f"{name} {value:02}" for value in m[name]]}


def circle(name: str, period: int, harmonics: int) -> Callable[[Moments], dict[str, object]]:
    waves = [(k, wave) for k in range(1, harmonics + 1) for wave in (np.sin, np.cos)]
    return lambda m: {f"{name} {k} {wave.__name__}": wave(2 * np.pi * k * m[name] / period) for k, wave in waves}


WAYS = {
    "time elapsed only": [],
    "one-hot hour, weekday, month": [one_of("hour"), one_of("weekday"), one_of("month")],
    "circles of one harmonic": [circle("hour", 24, 1), circle("weekday", 7, 1), circle("month", 12, 1)],
    "circles of two": [circle("hour", 24, 2), circle("weekday", 7, 2), circle("month", 12, 2)],
    "hour of three, one-hot weekday, month of one (ours)": [circle("hour", 24, 3), one_of("weekday"), circle("month", 12, 1)],
    "one-hot hour and weekday, month of one": [one_of("hour"), one_of("weekday"), circle("month", 12, 1)],
}


def score(way: str, moment: Moments, sales: Floats, seed: int) -> float:
    columns: dict[str, object] = {"elapsed": moment["elapsed"]}
    for part in WAYS[way]:
        columns |= part(moment)
    config = Config(seed=seed)
    return train(
        PreparedData.of(Table.from_columns({**columns, "sales": sales}), replace(config, target="sales")), config
    ).metrics["r2"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    repeats = range(parser.parse_args().repeats)
    cases = [(rows, days, smooth) for rows, days in TABLES for smooth in (True, False)]
    print("| | " + " | ".join(f"{r:,} rows, {d} days, {'smooth' if s else 'peaks'}" for r, d, s in cases) + " |")
    print("|---|" + "---|" * len(cases))
    for way in WAYS:
        found = [np.mean([score(way, *moments(*case, seed), seed) for seed in repeats]) for case in cases]
        print(f"| {way} | " + " | ".join(f"{value:.3f}" for value in found) + " |", flush=True)


if __name__ == "__main__":
    main()
