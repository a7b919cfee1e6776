"""How long an explanation of one weight of a 784-128-10 network takes, in every form, and the report of a run on the digits.

    python -m bench.explaining

Prints seconds (the median of five) and writes `bench/results/explaining.json`.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import chainrule as cr
from chainrule import nn
from chainrule.derivations import explain
from chainrule.job.config import Config
from chainrule.job.prepared import PreparedData
from chainrule.job.report import report_html
from chainrule.job.training import train


def median_seconds(action: Callable[[], object], repeats: int = 5) -> float:
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - start)
    return round(statistics.median(seconds), 4)


def digits_report() -> float:
    """Seconds for the report page of a finished run on scikit-learn's digits."""
    config = Config(epochs=2)
    problem = PreparedData.load("digits", config)
    result = train(problem, config)
    return median_seconds(lambda: report_html(result, problem), 3)


def main() -> None:
    rng = np.random.default_rng(0)
    model = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))
    images = rng.random((1, 784), dtype=np.float32)
    target = np.eye(10, dtype=np.float32)[[3]]
    loss = cr.softmax_with_loss(model(cr.tensor(images)), target).mean()
    weight = next(iter(model.parameters()))[5, 300]

    found = explain(loss, weight, form="matrix")
    result = {
        "network": "784-128-10, one sample, float32",
        "derive": median_seconds(lambda: explain(loss, weight, form="matrix")),
        "text": median_seconds(found.to_text),
        "latex": median_seconds(found.to_latex),
        "html": median_seconds(found.to_html),
        "report of a digits run": digits_report(),
    }
    print(json.dumps(result, indent=2))
    target_file = Path(__file__).parent / "results" / "explaining.json"
    target_file.parent.mkdir(exist_ok=True)
    target_file.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
