"""The command line that the scripts of `bench.wall` share."""

from __future__ import annotations

import argparse


def options() -> argparse.Namespace:
    """What to train on, how long, and where to save."""
    parser = argparse.ArgumentParser()
    parser.add_argument("data", help="a CSV file, or the name of one of scikit-learn's data sets")
    parser.add_argument("--target", default="target")
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--batch-size", type=int, required=True)
    parser.add_argument("--out", required=True)
    return parser.parse_args()
