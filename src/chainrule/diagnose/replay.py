"""A training run replayed on copies, to the step in which something stops being finite."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.backends.contract import Program
from chainrule.backends.reference import REFERENCE
from chainrule.compile import Capture, capture
from chainrule.diagnose.non_finite import NonFinite, first_non_finite
from chainrule.diagnose.problem import Problem, arrays, modes_kept
from chainrule.errors import ArgumentError, explain
from chainrule.ir import Array, Shape
from chainrule.nn.forward import batch_signature
from chainrule.tensor import Tensor
from chainrule.train.batches import Batches


@dataclass(frozen=True)
class Breakdown:
    """The first step of a run that is not finite.

    Attributes:
        epoch, step: where it is, counted from 1 as the trainer's messages do.
        cause: the node that made the first NaN or infinity in it.
    """

    epoch: int
    step: int
    cause: NonFinite

    def to_dict(self) -> dict[str, Any]:
        """As data that JSON can hold."""
        return {"epoch": self.epoch, "step": self.step, "cause": self.cause.to_dict()}

    def __str__(self) -> str:
        return f"epoch {self.epoch}, step {self.step}: {self.cause}"


def first_breakdown(problem: Problem, *, epochs: int = 10, seed: int = 0) -> Breakdown | None:
    """Train on copies, in the order that `Trainer.fit` takes with this seed, until a value of the step is not finite.

    Model, optimiser and random stream are left as they are.

    Args:
        problem: with an optimiser.
        epochs: how often to go through the data at most.
        seed: of the order of the samples.

    Returns:
        Where and why, or None if all stays finite.

    Raises:
        ArgumentError: no optimiser was given.
        DataError, ShapeError: data that does not fit.
    """
    optimizer, model = problem.optimizer, problem.model
    if optimizer is None:
        raise ArgumentError(
            explain("a run was to be replayed without an optimiser", "its steps are the optimiser's", "Give Problem one.")
        )
    data = arrays(problem)

    def step(x: Tensor, t: Tensor) -> Tensor:
        optimizer.zero_grad()
        value = problem.loss(model(x), t)
        value.backward()
        optimizer.step()
        return value

    batches = Batches(len(data[0]), problem.batch_size, shuffle=True, seed=seed)
    state: dict[Tensor, Array] = {}
    programs: dict[int, tuple[Capture, Program]] = {}
    for epoch in range(epochs):
        steps = (rows for part in batches.rows(epoch, 1) for rows in part)
        for number, rows in enumerate(steps, 1):
            if len(rows) not in programs:
                programs[len(rows)] = _captured(problem, step, batch_signature(data, len(rows)))
            found, program = programs[len(rows)]
            values = [state.setdefault(owner, np.array(owner.numpy())) for owner in found.state]
            batch, before = [a[rows] for a in data], [np.array(v) for v in values]
            (loss,) = program.run(batch, values)
            if not (np.isfinite(loss) and all(np.isfinite(v).all() for v in values)):
                cause = first_non_finite(found.graph, batch, before)
                assert cause is not None
                return Breakdown(epoch + 1, number, cause)
    return None


def _captured(problem: Problem, step: Callable[..., Tensor], signature: list[tuple[Shape, Any]]) -> tuple[Capture, Program]:
    arguments = [(shape, dtype, name) for (shape, dtype), name in zip(signature, "xt", strict=True)]
    with modes_kept(problem.model):
        problem.model.train()
        found = capture(step, arguments)
    return found, REFERENCE.compile(found.graph)
