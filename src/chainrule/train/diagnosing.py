"""Diagnosing around a fit: once before the first step, once after the last, whatever ended it."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from chainrule.diagnosis import Diagnosis, Problem, diagnose_problem
from chainrule.errors import NonFiniteLoss
from chainrule.ir import Array

if TYPE_CHECKING:
    from chainrule.train.trainer import Trainer


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

    def look(epoch: int, when: str) -> None:
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
        found = trainer.diagnoses[epoch] = diagnose_problem(problem, seed=seed)
        if show:
            print(_report(found, earlier, when, time.perf_counter() - started), file=sys.stderr)

    look(trainer.epoch, f"after epoch {trainer.epoch}" if trainer.epoch else "before training")
    try:
        yield
    except NonFiniteLoss:
        broken = trainer.epoch + 1
        look(broken, f"before the step of epoch {broken} that failed")
        raise
    look(trainer.epoch, f"after epoch {trainer.epoch}")


def _report(found: Diagnosis, earlier: Diagnosis | None, when: str, seconds: float) -> str:
    """A line per finding; those that were there before by name only."""
    known = {(f.kind, f.layer) for f in earlier or ()}
    old = [f.kind for f in found if (f.kind, f.layer) in known]
    new = [f.brief() for f in found if (f.kind, f.layer) not in known]
    heading = f"diagnosis {when} ({seconds:.1f} s): "
    if found.healthy:
        return f"{heading}nothing found"
    lines = [f"{heading}{len(found)} found", *(f"  {line}" for line in new)]
    return "\n".join(lines + ([f"  as before: {', '.join(old)}"] if old else []))
