"""Where the time of a training step goes, kernel by kernel, beside the peak of the machine.

    python -m bench.profile --jobs 4-6

prints `Trainer.profile` for networks of `bench.jobs` that have been trained a little, so that as many numbers behind a ReLU
are zero as while training. At its end stand the sorts of kernels: their time, the share of the peak that they reach, and their
share of the step. What a step would take with every product at the peak says how far it could go.
"""

from __future__ import annotations

import argparse

from bench.jobs import JOBS, numbers
from bench.peers import chainrule_data, chainrule_trainer

_EPOCHS = 2


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.profile", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--jobs", default=f"0-{len(JOBS) - 1}", help="numbers of networks, such as 0-4 [default: all]")
    parser.add_argument("--steps", type=int, default=20, help="steps to time [default: 20]")
    options = parser.parse_args()
    for job in (JOBS[n] for n in numbers(options.jobs)):
        x, y = chainrule_data(job)
        trainer = chainrule_trainer(job)
        trainer.fit(x, y, epochs=_EPOCHS, batch_size=job.batch, progress=False)
        print(f"{job.name}\n{trainer.profile(x, y, batch_size=job.batch, steps=options.steps)}\n", flush=True)


if __name__ == "__main__":
    main()
