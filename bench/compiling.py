"""How long the native backend takes to compile a training step, and where the time goes: cold, and with the code on the disk.

    python -m bench.compiling                     every network of `bench.jobs`
    python -m bench.compiling --jobs 0-4 --rounds 5

Compiling is what the first `Trainer.fit` takes more than the fastest of the next ones, each over one batch, in a process of its
own; importing is not counted. Cold means an empty folder of compiled code; warm, one that the process before has filled. The
stages are those of docs/native-backend.md; "text" and "parse" hand LLVM its input, "optimise" and "emit" are LLVM's work. The
rest is mostly the arrays of the state, touched for the first time. Medians are printed, and written to
bench/results/compiling.json.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.environment import machine, variables
from bench.jobs import JOBS, numbers
from bench.peers import chainrule_data, chainrule_trainer

RESULTS = Path(__file__).parent / "results" / "compiling.json"
_LATER = 4  # fits after the first: some of them try the other number of threads
STAGES = ("capture", "key", "rewrite", "lower", "IR", "text", "parse", "optimise", "emit", "link")


class Stopwatch:
    """Adds up the seconds that functions take, without those of other watched functions that they call."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(STAGES, 0.0)
        self._inner: list[float] = []  # per watched function that runs now, the seconds of those that it called

    def watch(self, owner: Any, name: str, stage: str) -> None:
        """Count the calls of `owner.name` as a stage from now on."""
        function: Callable[..., Any] = getattr(owner, name)

        def watched(*args: Any, **kwargs: Any) -> Any:
            self._inner.append(0.0)
            start = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                seconds = time.perf_counter() - start
                self.seconds[stage] += seconds - self._inner.pop()
                if self._inner:
                    self._inner[-1] += seconds

        setattr(owner, name, watched)


def compile_once(number: int) -> dict[str, float]:
    """Seconds of each stage, and of the whole, for a job in this process, which has compiled nothing yet."""
    # Imported only in the process that is measured.
    import llvmlite.binding as llvm  # noqa: PLC0415
    from llvmlite import ir  # noqa: PLC0415

    from chainrule.backends.native import compiler  # noqa: PLC0415
    from chainrule.backends.native.code import codegen  # noqa: PLC0415
    from chainrule.backends.native.run import digest, engine  # noqa: PLC0415
    from chainrule.nn import forward  # noqa: PLC0415

    stopwatch = Stopwatch()
    stopwatch.watch(forward, "capture", "capture")
    stopwatch.watch(digest, "key", "key")
    stopwatch.watch(compiler.rewrite, "prepare", "rewrite")
    stopwatch.watch(compiler, "group_graph", "lower")
    stopwatch.watch(compiler, "lower", "lower")
    stopwatch.watch(codegen, "module_of", "IR")
    stopwatch.watch(ir.Module, "__str__", "text")
    stopwatch.watch(llvm, "parse_assembly", "parse")
    stopwatch.watch(llvm.ModulePassManager, "run", "optimise")
    stopwatch.watch(llvm.TargetMachine, "emit_object", "emit")
    stopwatch.watch(engine, "Code", "link")
    job = JOBS[number]
    trainer = chainrule_trainer(job)
    x, y = (array[: job.batch] for array in chainrule_data(job))

    def fit() -> float:
        start = time.perf_counter()
        trainer.fit(x, y, epochs=1, batch_size=job.batch, progress=False)
        return time.perf_counter() - start

    first = fit()
    stages = dict(stopwatch.seconds)
    return {**stages, "whole": first - min(fit() for _ in range(_LATER))}


def measure(number: int, rounds: int) -> dict[str, dict[str, float]]:
    """Median seconds of each stage, cold and warm."""
    found: dict[str, list[dict[str, float]]] = {"cold": [], "warm": []}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            for runs in found.values():  # the first run fills the folder for the second
                command = [sys.executable, "-m", "bench.compiling", "--one", str(number)]
                environment = variables(CHAINRULE_CACHE=folder)
                answer = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True, env=environment).stdout
                runs.append(json.loads(answer))
    return {t: {stage: statistics.median(run[stage] for run in runs) for stage in runs[0]} for t, runs in found.items()}


def table(results: dict[str, dict[str, dict[str, float]]]) -> str:
    """Milliseconds as a Markdown table, a line per network and temperature."""
    lines = [f"| network, batch | | whole | {' | '.join(STAGES)} | rest |", f"|---|---|{'---|' * (len(STAGES) + 2)}"]
    for name, by in results.items():
        for temperature, seconds in by.items():
            rest = seconds["whole"] - sum(seconds[stage] for stage in STAGES)
            cells = [f"{1e3 * value:,.0f}" for value in (seconds["whole"], *(seconds[stage] for stage in STAGES), rest)]
            lines.append(f"| {name} | {temperature} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=numbers, default=list(range(len(JOBS))), help="numbers of networks, such as 0-4")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=RESULTS, help="the JSON file to write")
    parser.add_argument("--one", type=int, help="measure this network in this process and print the seconds")
    arguments = parser.parse_args()
    if arguments.one is not None:
        print(json.dumps(compile_once(arguments.one)))
        return
    results = {}
    for number in arguments.jobs:
        results[JOBS[number].name] = measure(number, arguments.rounds)
        print("\n".join(table(results).splitlines()[-2:]), flush=True)
    print(f"\nms\n\n{table(results)}")
    arguments.out.write_text(
        json.dumps({"machine": machine(), "seconds": results}, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    print(f"Written: {arguments.out}")


if __name__ == "__main__":
    main()
