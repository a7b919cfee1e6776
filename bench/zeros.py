"""What zeros are worth: a product whose left factor comes out of a ReLU, beside the same product with everything multiplied.

    python -m bench.zeros

For every share of elements that are not zero it prints microseconds with zeros skipped and without, both in turns, medians with
the quartiles beside them; and writes bench/results/zeros.json.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import chainrule as cr
from bench import spread
from bench.environment import machine

RESULTS = Path(__file__).parent / "results" / "zeros.json"
SHARES = (0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
_ROWS, _COLUMNS, _DEPTH = 256, 1024, 1024


@cr.compile
def skipping(x: cr.Tensor, w: cr.Tensor) -> cr.Tensor:
    """ReLU(x) w: the factor is known to have zeros."""
    return cr.relu(x) @ w


@cr.compile
def whole(x: cr.Tensor, w: cr.Tensor) -> cr.Tensor:
    """x w: nothing is known of the factor."""
    return x @ w


def seconds(function: Callable[..., object], x: cr.Tensor, w: cr.Tensor) -> float:
    """Of one call."""
    start = time.perf_counter()
    function(x, w)
    return time.perf_counter() - start


def measure(share: float, rounds: int) -> dict[str, list[float]]:
    """Seconds of both ways, for a factor of which so many elements are positive and the others negative, or zero."""
    rng = np.random.default_rng(0)
    positive = rng.random((_ROWS, _DEPTH)) < share
    x = np.where(positive, rng.random((_ROWS, _DEPTH)) + 0.5, -1.0).astype(np.float32)
    w = cr.tensor(rng.standard_normal((_DEPTH, _COLUMNS), dtype=np.float32))
    signed, kept = cr.tensor(x), cr.tensor(np.maximum(x, 0.0))
    ways = {"skipping": (skipping, signed), "whole": (whole, kept)}
    for function, factor in ways.values():
        for _ in range(rounds // 4):
            function(factor, w)
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, (function, factor) in ways.items():
            found[name].append(seconds(function, factor, w))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--out", type=Path, default=RESULTS, help="the JSON file to write")
    arguments = parser.parse_args()
    print(f"[{_ROWS} × {_DEPTH}] [{_DEPTH} × {_COLUMNS}], float32\n")
    print("| not zero | µs, zeros skipped | µs, all multiplied | all / skipped |\n|---|---|---|---|")
    results: dict[str, dict[str, object]] = {}
    for share in SHARES:
        found = measure(share, arguments.rounds)
        ratio = statistics.median(found["whole"]) / statistics.median(found["skipping"])
        summary = {name: {"median": statistics.median(s), "quartiles": spread.quartiles(s)} for name, s in found.items()}
        results[f"{share:.2f}"] = summary | {"ratio": ratio}
        cells = [spread.text([1e6 * s for s in found[name]], 0) for name in ("skipping", "whole")]
        print(f"| {share:.0%} | {' | '.join(cells)} | {ratio:.2f} |", flush=True)
    arguments.out.write_text(json.dumps({"machine": machine(), "seconds": results}, indent=1) + "\n", encoding="utf-8")
    print(f"\nWritten: {arguments.out}")


if __name__ == "__main__":
    main()
