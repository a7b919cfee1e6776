"""Which rows to train on and which to validate on."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from chainrule.errors import ArgumentError


def split_rows(
    n_rows: int, validation_share: float = 0.2, seed: int = 0, stratify: ArrayLike | None = None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Divide the positions 0 … n_rows − 1 at random.

    Args:
        n_rows: how many rows there are.
        validation_share: the share of rows, or of each class, to validate on, rounded; at least 0 and below 1.
        seed: the same seed gives the same rows.
        stratify: (n_rows,) class indices; every class then keeps its share, and at least one row to train on.

    Returns:
        Training and validation positions, int64, each in ascending order. With few rows there may be none to validate on.

    Raises:
        ArgumentError: a share outside [0, 1), or `stratify` of another length.
    """
    if not 0 <= validation_share < 1:
        raise ArgumentError(
            f"validation_share is {validation_share}", "it must be at least 0 and below 1", "Pass 0.2, for one row in five."
        )
    classes = np.zeros(n_rows, np.int64) if stratify is None else np.asarray(stratify)
    if classes.shape != (n_rows,):
        raise ArgumentError(f"stratify has shape {classes.shape}", f"it must be ({n_rows},)", "Pass one class index per row.")
    random = np.random.default_rng(seed)
    held_out = np.zeros(n_rows, bool)
    for value in np.unique(classes):
        members = random.permutation(np.flatnonzero(classes == value))
        held_out[members[: min(round(len(members) * validation_share), len(members) - 1)]] = True
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)
