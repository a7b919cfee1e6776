"""Diagnosing around a fit: once before the first step, once after the last, whatever ended it."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from chainrule.diagnose.diagnosing import diagnose_problem
from chainrule.diagnose.findings import Diagnosis
from chainrule.diagnose.problem import Problem
from chainrule.errors import NonFiniteLoss
from chainrule.ir import Array

if TYPE_CHECKING:
    from chainrule.train import Trainer


@contextmanager
def diagnosed(
    trainer: Trainer, data: list[Array], held_out: list[Array] | None, *, batch_size: int | None, seed: int, show: bool
) -> Iterator[None]:
    """Enter what is found before and after into `trainer.diagnoses`, and say it on standard error if `show`.

    Args:
        trainer: about to train.
        data, held_out: inputs, targets and sample weights (which the diagnosis leaves out).
        batch_size: samples per step; None for all.
        seed: of sample and short runs.
        show: whether to print.
    """

    def look() -> None:
        problem = Problem(
            trainer.model,
            trainer.loss,
            data[0],
            data[1],
            trainer.optimizer,
            None if held_out is None else (held_out[0], held_out[1]),
            trainer.history if len(trainer.history) else None,
            batch_size or len(data[0]),
        )
        started = time.perf_counter()
        earlier = trainer.diagnosis
        found = trainer.diagnoses[trainer.epoch] = diagnose_problem(problem, seed=seed)
        if show:
            print(_report(found, earlier, trainer.epoch, time.perf_counter() - started), file=sys.stderr)

    look()
    try:
        yield
    except NonFiniteLoss:
        look()
        raise
    look()


def _report(found: Diagnosis, earlier: Diagnosis | None, epoch: int, seconds: float) -> str:
    """A line per finding; those that were there before by name only."""
    when = f"after epoch {epoch}" if epoch else "before training"
    known = {(f.kind, f.layer) for f in earlier or ()}
    old = [f.kind for f in found if (f.kind, f.layer) in known]
    new = [f.brief() for f in found if (f.kind, f.layer) not in known]
    heading = f"diagnosis {when} ({seconds:.1f} s): "
    if found.healthy:
        return f"{heading}nothing found"
    lines = [f"{heading}{len(found)} found", *(f"  {line}" for line in new)]
    return "\n".join(lines + ([f"  as before: {', '.join(old)}"] if old else []))
