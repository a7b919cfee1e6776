"""Microseconds per training step (forward, loss, backward, Adam; float32), beside other systems, in one run.

    python -m bench.training                     every network, every installed system
    python -m bench.training --jobs 0-4 --systems chainrule,PyTorch --rounds 5 --json results.json

All systems are measured in turns, several times; the median of each counts, so that other work on the machine hits all alike.
The last column is the best other system's time over chainrule's.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.peers import JOBS, installed

_SECONDS = 0.25  # of one measurement


class System:
    """One system at work on one job, in a process of its own.

    Attributes:
        count: steps that take about `_SECONDS`; 0 if the system cannot do the job.
    """

    def __init__(self, name: str, number: int) -> None:
        command = [sys.executable, "-m", "bench.peers", name, str(number)]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True)
        self.count = 0
        count, seconds = 1, self.time(1)
        while seconds is not None and self.count == 0:
            # The first calls with a number of steps are the warming up.
            seconds = self.time(count) and self.time(count)
            if seconds is not None and (seconds * count > _SECONDS / 2 or count >= 2**20):
                self.count = max(1, min(count, int(_SECONDS / seconds)))
            count *= 4

    def time(self, steps: int) -> float | None:
        """Seconds per step; None if the system cannot do the job."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(f"{steps}\n")
            self._process.stdin.flush()
        answer = self._process.stdout.readline().strip()
        return None if answer in ("", "none") else float(answer)

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()


def measure(number: int, names: Sequence[str], rounds: int) -> dict[str, float]:
    """Median seconds per step of every system that can do the job."""
    systems = {name: System(name, number) for name in names}
    try:
        found: dict[str, list[float]] = {name: [] for name, system in systems.items() if system.count}
        for _ in range(rounds):
            for name, times in found.items():
                seconds = systems[name].time(systems[name].count)
                if seconds is not None:
                    times.append(seconds)
    finally:
        for system in systems.values():
            system.close()
    return {name: statistics.median(times) for name, times in found.items()}


def table(results: dict[str, dict[str, float]], systems: Sequence[str]) -> str:
    """The results as a Markdown table, in microseconds."""
    lines = [f"| network, batch | {' | '.join(systems)} | best other / chainrule |", f"|---|{'---|' * (len(systems) + 1)}"]
    for job, times in results.items():
        cells = [f"{times[s] * 1e6:,.{2 if times[s] < 1e-4 else 0}f}" if s in times else "–" for s in systems]
        others = [t for s, t in times.items() if s != "chainrule"]
        ratio = f"{min(others) / times['chainrule']:.2f}" if others and "chainrule" in times else "–"
        lines.append(f"| {job} | {' | '.join(cells)} | {ratio} |")
    return "\n".join(lines)


def _numbers(text: str) -> list[int]:
    """ "0-2,5" as [0, 1, 2, 5]."""
    parts = (part.partition("-") for part in text.split(","))
    return [n for low, _, high in parts for n in range(int(low), int(high or low) + 1)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=_numbers, default=list(range(len(JOBS))), help="numbers of networks, such as 0-4")
    parser.add_argument("--systems", type=lambda text: text.split(","), default=installed())
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="where to write the results")
    arguments = parser.parse_args()
    results = {}
    for number in arguments.jobs:
        job = JOBS[number]
        results[job.name] = measure(number, arguments.systems, arguments.rounds)
        print(table({job.name: results[job.name]}, arguments.systems).splitlines()[-1], flush=True)
    print(table(results, arguments.systems))
    if arguments.json:
        machine = {"processors": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version()}
        arguments.json.write_text(json.dumps({"machine": machine, "seconds_per_step": results}, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
