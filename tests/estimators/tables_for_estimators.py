"""Small tables and small networks for the tests of the estimators."""

import numpy as np

# Few units and epochs, and nothing to compile.
SMALL = {"hidden": (8,), "epochs": 3, "backend": "reference"}

WORDS = ("low", "middle", "high")


def columns(n=60, seed=0):
    """Numbers with gaps, words with gaps, two words, dates, an identifier, and three targets."""
    rng = np.random.default_rng(seed)
    size = rng.normal(size=n)
    colour = rng.choice(["red", "green", "blue"], n)
    score = size + (colour == "red") + 0.3 * rng.normal(size=n)
    return {
        "id": [f"row {k}" for k in range(n)],
        "size": [None if k % 11 == 3 else round(float(v), 6) for k, v in enumerate(size)],
        "colour": [None if k % 13 == 5 else str(v) for k, v in enumerate(colour)],
        "paid": rng.choice(["yes", "no"], n).tolist(),
        "day": (np.datetime64("2024-01-01") + rng.integers(0, 300, n)).astype(str).tolist(),
        "two": np.where(score > 0.3, "good", "bad").tolist(),
        "three": np.array(WORDS)[np.digitize(score, (-0.2, 0.8))].tolist(),
        "number": [round(float(v), 6) for v in 100 + 3 * score],
    }


TARGETS = ("two", "three", "number")


def inputs(n=60, seed=0):
    """The columns to learn from."""
    return {name: values for name, values in columns(n, seed).items() if name not in TARGETS}
