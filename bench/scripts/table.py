"""A CSV file as columns of numbers and words, in plain Python and NumPy, for the scripts of `bench.wall`."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

_MOST_WORDS = 20  # a column with more different ones is left out


def read(path: str, target: str) -> tuple[np.ndarray, list[int], np.ndarray]:
    """Features (n, d) float64, which of their columns hold codes of words, and classes (n,) int64; NaN where a cell is empty.

    Columns of names, texts and serial numbers are left out.
    """
    with Path(path).open(newline="", encoding="utf-8") as file:
        header, *lines = csv.reader(file)
    columns = dict(zip(header, zip(*lines, strict=True), strict=True))
    _, y = np.unique(columns.pop(target), return_inverse=True)
    features, words = [], []
    for cells in columns.values():
        numbers = _numbers(cells)
        if numbers is None:
            known = sorted(set(cells) - {""})
            if len(known) > _MOST_WORDS:
                continue
            words.append(len(features))
            numbers = np.array([known.index(cell) if cell else np.nan for cell in cells])
        elif len(set(cells)) == len(cells) and all(cell.isdigit() for cell in cells):
            continue
        features.append(numbers)
    return np.stack(features, axis=1), words, y


def _numbers(cells: tuple[str, ...]) -> np.ndarray | None:
    try:
        return np.array([float(cell) if cell else np.nan for cell in cells])
    except ValueError:
        return None
