"""Seconds from command to saved model: `chainrule train`, and scripts that do the same with scikit-learn and PyTorch.

    python -m bench.wall
    python -m bench.wall --rounds 3 --jobs digits,iris --out /tmp/wall.json

All read the data, scale it, train a network of two hidden layers of 128 units with batches of the same size for as many epochs,
judge it on held-out rows and save it; imports count. chainrule runs with its defaults, cold (no compiled code on the disk) and
warm (as from the second run on); it also writes learning curves and a report. The scripts are in bench/scripts. All take turns.
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from bench import spread
from bench.environment import machine, variables
from chainrule.data import builtin

RESULTS = Path(__file__).parent / "results" / "wall.json"
TITANIC = Path(__file__).resolve().parents[2] / "shared" / "data" / "titanic" / "titanic.csv"
_TARGET = "target"


@dataclass(frozen=True)
class Run:
    """One run of one system.

    Attributes:
        seconds: from start to end of the process.
        processor_seconds: of all its threads.
        peak_bytes: the most memory that it used.
        accuracy: on the held-out rows.
    """

    seconds: float
    processor_seconds: float
    peak_bytes: int
    accuracy: float


def timed(command: list[str], environment: dict[str, str], accuracy: Callable[[str], float]) -> Run:
    """Run a command to its end; `accuracy` finds it in what was printed.

    Raises:
        RuntimeError: the command failed.
    """
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment) as process:
        assert process.stdout is not None
        printed = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)  # with what the process used
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{printed}")
    unit = 1 if sys.platform == "darwin" else 1024
    return Run(seconds, used.ru_utime + used.ru_stime, unit * used.ru_maxrss, accuracy(printed))


def ours(data: str, target: str, folder: Path, cache: Path) -> Run:
    """`chainrule train` with its defaults."""
    chosen = ["--target", target] if data.endswith(".csv") else []
    command = [sys.executable, "-m", "chainrule", "train", data, *chosen, "--no-progress", "--out", str(folder)]
    return timed(
        command,
        variables(CHAINRULE_CACHE=str(cache)),
        lambda _: float(json.loads((folder / "metrics.json").read_text())["held_out"]["accuracy"]),
    )


def theirs(script: str, data: str, target: str, settings: dict[str, Any], out: Path) -> Run:
    """A script of bench/scripts, with the epochs and batches that chainrule chose."""
    command = [sys.executable, "-m", f"bench.scripts.{script}", data, "--target", target, "--out", str(out)]
    command += ["--epochs", str(settings["epochs"]), "--batch-size", str(settings["batch_size"])]
    return timed(command, variables(), lambda printed: float(json.loads(printed.splitlines()[-1])["accuracy"]))


SCRIPTS = {"scikit-learn": ("sklearn", "sklearn_mlp"), "PyTorch": ("torch", "torch_mlp")}


def measure(data: str, target: str, rounds: int) -> dict[str, list[Run]]:
    """Every system, in turns."""
    peers = {name: script for name, (module, script) in SCRIPTS.items() if importlib.util.find_spec(module)}
    runs: dict[str, list[Run]] = {name: [] for name in ("chainrule, cold", "chainrule, warm", *peers)}
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        warm = place / "warm"
        ours(data, target, place / "first", warm)
        settings = tomllib.loads((place / "first" / "config.toml").read_text(encoding="utf-8"))
        for turn in range(rounds):
            runs["chainrule, cold"].append(ours(data, target, place / f"cold-{turn}", place / f"cache-{turn}"))
            runs["chainrule, warm"].append(ours(data, target, place / f"warm-{turn}", warm))
            for name, script in peers.items():
                runs[name].append(theirs(script, data, target, settings, place / f"{script}-{turn}"))
    return runs


def as_csv(name: str, path: Path) -> None:
    """Write a built-in data set as a CSV file."""
    data = builtin(name)
    assert data.classes is not None
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*data.feature_names, _TARGET])
        writer.writerows([*map(float, row), data.classes[k]] for row, k in zip(data.X, data.y, strict=True))


def table(results: dict[str, dict[str, list[Run]]]) -> str:
    """Medians (and quartiles) as a Markdown table, a line per data set and system."""
    lines = [
        "| data | system | seconds | times chainrule warm | processor seconds | MB | accuracy |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, runs in results.items():
        warm = median(run.seconds for run in runs["chainrule, warm"])
        for system, found in runs.items():
            seconds = [run.seconds for run in found]
            cells = (
                name,
                system,
                spread.text(seconds, 2),
                f"{median(seconds) / warm:.2f}",
                f"{median(run.processor_seconds for run in found):.2f}",
                f"{median(run.peak_bytes for run in found) / 1e6:,.0f}",
                f"{median(run.accuracy for run in found):.3f}",
            )
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=lambda text: text.split(","), default=["digits", "iris", "digits.csv", "titanic.csv"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--titanic", type=Path, default=TITANIC, help="the passenger list of the Titanic as a CSV file")
    parser.add_argument("--out", type=Path, default=RESULTS, help="the JSON file to write")
    arguments = parser.parse_args()
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        for job in arguments.jobs:
            data, target = job, _TARGET
            if job == "titanic.csv":
                data, target = str(arguments.titanic), "Survived"
                if not arguments.titanic.exists():
                    print(f"{job} is left out: there is no {data}; name the file with --titanic.")
                    continue
            elif job.endswith(".csv"):
                data = str(Path(folder, job))
                as_csv(job.removesuffix(".csv"), Path(data))
            results[job] = measure(data, target, arguments.rounds)
            print(table({job: results[job]}), flush=True)
    print(f"\n{table(results)}")
    found = {name: {system: [vars(run) for run in runs] for system, runs in by.items()} for name, by in results.items()}
    arguments.out.write_text(json.dumps({"machine": machine(), "runs": found}, indent=1) + "\n", encoding="utf-8")
    print(f"Written: {arguments.out}")


if __name__ == "__main__":
    main()
