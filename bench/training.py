"""Microseconds per training step (forward, loss, backward, Adam; float32) and peak memory, beside other systems, in one run.

    python -m bench.training                     every network, every installed system
    python -m bench.training --jobs 0-4 --systems chainrule,PyTorch --rounds 3 --out /tmp/speed

All systems are measured in turns, several times, so that other work on the machine hits all alike; the medians count, with the
quartiles beside them. In the same turns the machine's float32 multiply-add peak is measured (see `bench.peak`): the last column
says how much of it chainrule's steps use, by the arithmetic of their definition (`Job.flops`).

Memory is the largest resident size of the process, compilation and data included, and in brackets what of it was not there yet
when the system's packages had been imported.

Writes OUT.json with every measurement and OUT.png, the picture. On a machine that others use, too, a network can be measured
again: `--jobs 4 --keep` leaves the results of the others as they are.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import peak, spread
from bench.environment import machine, variables
from bench.jobs import JOBS, numbers
from bench.peers import installed
from chainrule.backends.native.run import threads
from chainrule.backends.native.target import host

OURS = "chainrule"
RESULTS = Path(__file__).parent / "results" / "training"
_SECONDS = 0.25  # of one measurement, about
_STEPS = 32  # in it, so that what a call costs once counts for little
_LONG = 2.0  # seconds from which on fewer steps will do
_PAUSE = 0.1  # before each, so that the threads of the one before have gone to sleep


class System:
    """One system at work on one job, in a process of its own.

    Attributes:
        imported_bytes: memory that its packages take.
        peak_bytes: the most that it has used so far.
        count: steps that take about `_SECONDS`; 0 if the system cannot do the job.
    """

    def __init__(self, name: str, number: int, cache: str) -> None:
        command = [sys.executable, "-m", "bench.peers", name, str(number)]
        # Empty folders for compiled code: everybody's memory is measured with compilation.
        environment = variables(CHAINRULE_CACHE=f"{cache}/chainrule", TORCHINDUCTOR_CACHE_DIR=f"{cache}/torch")
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True, env=environment
        )
        self._command = " ".join(command[1:])
        self.imported_bytes = self.peak_bytes = int(self._answer()["imported_bytes"])
        self.count = self._find_count()

    def _find_count(self) -> int:
        """Ask for more and more steps, until they take long enough; all the while the system warms up."""
        if self._run(1) is None:
            return 0
        count = 1
        while (found := self._run(count)) is not None:
            seconds, steps = found
            if seconds > _SECONDS / 2 and (steps >= _STEPS or seconds > _LONG):
                return count
            count = 4 * max(count, steps)  # whole epochs can be more than was asked for
        return 0

    def time(self) -> float:
        """Seconds per step, over `count` steps or as many as whole epochs have."""
        found = self._run(self.count)
        assert found is not None
        seconds, steps = found
        return seconds / steps

    def _run(self, steps: int) -> tuple[float, int] | None:
        """Seconds, and steps done; None if the system cannot do the job."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{steps}\n")
        self._process.stdin.flush()
        found = self._answer()
        if found is None:
            return None
        self.peak_bytes = int(found["peak_bytes"])
        return float(found["seconds"]), int(found["steps"])

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"no answer from python {self._command!r}; run it by hand to see why")
        return json.loads(line)

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()


# ------------------------------------------------------------------------------------------------ measuring
def measure(number: int, names: Sequence[str], rounds: int) -> dict[str, Any]:
    """Every measurement of a job: seconds per step and bytes per system, and the machine's peak by number of threads."""
    job = JOBS[number]
    counts = sorted({1, threads.available()})
    with tempfile.TemporaryDirectory() as cache:
        systems = {name: System(name, number, cache) for name in names}
        able = [name for name in names if systems[name].count]
        times: dict[str, list[float]] = {name: [] for name in able}
        peaks: dict[int, list[float]] = {count: [] for count in counts}
        try:
            for _ in range(rounds):
                for count in counts:
                    time.sleep(_PAUSE)
                    peaks[count].append(peak.flops_per_second(count))
                for name in able:
                    time.sleep(_PAUSE)
                    times[name].append(systems[name].time())
        finally:
            for system in systems.values():
                system.close()
    measured = {
        name: {
            "seconds_per_step": times[name],
            "median": statistics.median(times[name]),
            "quartiles": spread.quartiles(times[name]),
            "imported_bytes": systems[name].imported_bytes,
            "peak_bytes": systems[name].peak_bytes,
        }
        for name in able
    }
    data_bytes = sum(a.nbytes for a in job.data())
    return {"job": job.name, "flops": job.flops, "data_bytes": data_bytes, "peak_flops": peaks, "systems": measured}


def compare(result: dict[str, Any], limit: float) -> None:
    """Add to a job's measurements how chainrule compares with the best other system, and with the peak of the machine."""
    systems = result["systems"]
    result["share_of_peak"] = {name: result["flops"] / found["median"] / limit for name, found in systems.items()}
    others = {name: found["median"] for name, found in systems.items() if name != OURS}
    if OURS not in systems or not others:
        return
    best = min(others, key=lambda name: others[name])
    # Round by round, since what slows the machine down slows both.
    pairs = zip(systems[best]["seconds_per_step"], systems[OURS]["seconds_per_step"], strict=True)
    ratios = [theirs / ours for theirs, ours in pairs]
    result |= {"best_other": best, "ratio": statistics.median(ratios), "ratios": ratios}


# ------------------------------------------------------------------------------------------------ tables
def speed_table(results: Sequence[dict[str, Any]], names: Sequence[str]) -> str:
    """Microseconds per step as a Markdown table: medians, and the quartiles in brackets."""
    lines = [
        f"| network, batch | {' | '.join(names)} | best other / chainrule | chainrule: % of peak |",
        f"|---|{'---|' * (len(names) + 2)}",
    ]
    for result in results:
        cells = [_microseconds(result["systems"].get(name)) for name in names]
        ratio = "–"
        if "ratio" in result:
            ratio = f"{spread.text(result['ratios'], 2)}, {result['best_other']}"
        share = result["share_of_peak"].get(OURS)
        lines.append(f"| {result['job']} | {' | '.join(cells)} | {ratio} | {'–' if share is None else f'{share:.1%}'} |")
    return "\n".join(lines)


def _microseconds(found: dict[str, Any] | None) -> str:
    if found is None:
        return "–"
    digits = 2 if found["median"] < 1e-5 else 1 if found["median"] < 1e-4 else 0
    return spread.text([1e6 * seconds for seconds in found["seconds_per_step"]], digits)


def memory_table(results: Sequence[dict[str, Any]], names: Sequence[str]) -> str:
    """Megabytes as a Markdown table: the most used, and in brackets how much more that is than after the imports."""
    lines = [f"| network, batch | data | {' | '.join(names)} |", f"|---|{'---|' * (len(names) + 1)}"]
    for result in results:
        cells = [_megabytes(result["systems"].get(name)) for name in names]
        lines.append(f"| {result['job']} | {result['data_bytes'] / 1e6:,.0f} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _megabytes(found: dict[str, Any] | None) -> str:
    if found is None:
        return "–"
    return f"{found['peak_bytes'] / 1e6:,.0f} ({(found['peak_bytes'] - found['imported_bytes']) / 1e6:,.0f})"


def kept(path: Path, measured: Sequence[int]) -> list[dict[str, Any]]:
    """The results in a file for networks that are not measured again."""
    again = {JOBS[number].name for number in measured}
    results = [r for r in json.loads(path.read_text(encoding="utf-8"))["jobs"] if r["job"] not in again]
    for result in results:
        result["peak_flops"] = {int(count): rates for count, rates in result["peak_flops"].items()}
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=numbers, default=list(range(len(JOBS))), help="numbers of networks, such as 0-4")
    parser.add_argument("--systems", type=lambda text: text.split(","), default=installed())
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=RESULTS, help="name of the files to write, without .json and .png")
    parser.add_argument("--keep", action="store_true", help="keep the results of other networks in OUT.json")
    arguments = parser.parse_args()
    names = arguments.systems
    results = kept(arguments.out.with_suffix(".json"), arguments.jobs) if arguments.keep else []
    for number in arguments.jobs:
        results.append(measure(number, names, arguments.rounds))
        # The highest seen so far: a peak that another program disturbed is none.
        limits = {count: max(max(r["peak_flops"][count]) for r in results) for count in results[0]["peak_flops"]}
        for result in results:
            compare(result, max(limits.values()))
        print(speed_table(results[-1:], names).splitlines()[-1], flush=True)
    order = [job.name for job in JOBS]
    results.sort(key=lambda result: order.index(result["job"]))
    found = {"machine": {"processor": host().cpu, **machine()}, "peak_flops": limits, "jobs": results}
    print(f"\n{peak.describe(limits)}\n\nµs per step\n\n{speed_table(results, names)}")
    print(f"\nMB at most (more than after the imports)\n\n{memory_table(results, names)}")
    arguments.out.with_suffix(".json").write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    from bench.picture import draw  # noqa: PLC0415 -- matplotlib is not wanted in the way of the measurements

    draw(found, arguments.out.with_suffix(".png"))
    print(f"\nWritten: {arguments.out}.json, {arguments.out}.png")


if __name__ == "__main__":
    main()
