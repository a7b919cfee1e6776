"""What a call of a compiled function costs beside its program, and what it costs to predict one row.

    python -m bench.calls
    python -m bench.calls --sizes 1024,1048576 --rounds 5

A call looks whether anything has changed that the function read, finds the program and the state, takes its turn, and makes
Tensors of the outputs. That is measured by a call whose program gives ready-made outputs at once; "program" is the real one by
itself, on the native backend with one thread. "read" reads four elements of one float32 parameter of so many bytes, "update"
assigns all of it, "Adam" is a training step of a network 64-64-10. Of many short measurements the fastest counts, as what else
the machine does only adds. Medians over the rounds are printed, and written to bench/results/calls.json.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

import chainrule as cr
from bench.environment import machine
from chainrule import nn, optim

RESULTS = Path(__file__).parent / "results" / "calls.json"
SIZES = [2**10, 2**15, 2**20, 2**25]
_CALLS, _MEASUREMENTS = 15, 200
_SECONDS = 0.5  # at most, for one figure
_NETWORK = (64, 64, 10)


def fastest(function: Callable[[], object]) -> float:
    """Seconds of a call: the fastest of many short measurements."""
    function()
    best, end = float("inf"), time.perf_counter() + _SECONDS
    for _ in range(_MEASUREMENTS):
        start = time.perf_counter()
        for _ in range(_CALLS):
            function()
        now = time.perf_counter()
        best = min(best, (now - start) / _CALLS)
        if now > end:
            break
    return best


def of_call(function: Callable[..., Any], *arguments: Any) -> dict[str, float]:
    """Seconds of a call beside its program, and of the program alone."""
    compiled = cr.compile(function, backend="native", threads=1)
    compiled(*arguments)
    found = compiled._compiled(arguments, list(arguments))
    program, outputs = found.program, found.run(arguments)
    variables = found._state.variables()
    seconds = {"program": fastest(lambda: program.run(arguments, variables))}
    found.program = SimpleNamespace(run=lambda inputs, state: outputs)
    return {"call": fastest(lambda: compiled(*arguments)), **seconds}


def reading(size: int) -> dict[str, float]:
    """A function that reads a little of a parameter of so many bytes."""
    w = cr.parameter(np.ones(size // 4, np.float32))
    return of_call(lambda x: (w[:4] * x).sum(), np.ones((), np.float32))


def updating(size: int) -> dict[str, float]:
    """A function that assigns a parameter of so many bytes."""
    w = cr.parameter(np.ones(size // 4, np.float32))
    return of_call(lambda x: w.assign(w * x), np.ones((), np.float32))


def network() -> nn.Module:
    """The network that is trained and predicts."""
    cr.manual_seed(0)
    inputs, hidden, classes = _NETWORK
    return nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, classes))


def training() -> dict[str, float]:
    """A step with Adam."""
    model, loss = network(), nn.CrossEntropyLoss()
    optimizer = optim.Adam(model.parameters())

    def step(x: cr.Tensor, t: cr.Tensor) -> cr.Tensor:
        optimizer.zero_grad()
        value = loss(model(x), t)
        value.backward()
        optimizer.step()
        return value

    return of_call(step, np.ones((32, _NETWORK[0]), np.float32), np.zeros(32, np.int64))


def predicting() -> dict[str, float]:
    """Seconds to predict one row."""
    model = network()
    trainer = cr.Trainer(model, nn.CrossEntropyLoss(), optim.Adam(model.parameters()), threads=1)
    x = np.ones((1, _NETWORK[0]), np.float32)
    return {"Module.predict": fastest(lambda: model.predict(x)), "Trainer.predict": fastest(lambda: trainer.predict(x))}


def measure(sizes: list[int]) -> dict[str, dict[str, float]]:
    """Every figure once."""
    found = {f"read, {size:,} bytes": reading(size) for size in sizes}
    found |= {f"update, {size:,} bytes": updating(size) for size in sizes}
    return found | {"Adam, 64-64-10, 32 rows": training(), "one row, 64-64-10": predicting()}


def table(results: dict[str, dict[str, float]]) -> str:
    """Microseconds as a Markdown table."""
    lines = ["| function | beside the program | program |", "|---|---|---|"]
    for name, seconds in results.items():
        if "call" in seconds:
            lines.append(f"| {name} | {1e6 * seconds['call']:.1f} | {1e6 * seconds['program']:,.1f} |")
    lines += ["", "| one row | all of the call |", "|---|---|"]
    return "\n".join([*lines, *(f"| {n} | {1e6 * s:,.0f} |" for n, s in results["one row, 64-64-10"].items())])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=lambda text: [int(n) for n in text.split(",")], default=SIZES, help="bytes")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=RESULTS, help="the JSON file to write")
    arguments = parser.parse_args()
    rounds = [measure(arguments.sizes) for _ in range(arguments.rounds)]
    results = {
        name: {part: statistics.median(found[name][part] for found in rounds) for part in seconds}
        for name, seconds in rounds[0].items()
    }
    print(f"µs\n\n{table(results)}")
    text = json.dumps({"machine": machine(), "seconds": results}, indent=1, ensure_ascii=False)
    arguments.out.write_text(text + "\n", encoding="utf-8")
    print(f"Written: {arguments.out}")


if __name__ == "__main__":
    main()
