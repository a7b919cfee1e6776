"""What is diagnosed: a model, what it is to learn, and how."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from chainrule.capture import capture
from chainrule.errors import ArgumentError
from chainrule.fitting.history import History
from chainrule.fitting.inputs import targets_array
from chainrule.ir import Array
from chainrule.nn import Loss, Module
from chainrule.nn.forward import inputs_array
from chainrule.nn.modes import in_mode
from chainrule.optim import Optimizer


@dataclass(frozen=True)
class Problem:
    """Everything that takes part in training.

    Attributes:
        model: the network, in any state of its training.
        loss: from `chainrule.nn`.
        X: inputs (samples, …), numbers.
        y: targets (samples,) or (samples, …), as the loss takes them.
        optimizer: over the model's parameters; None if it is still to be chosen.
        validation_data: (X, y) that the model does not learn from, or None.
        history: of the training so far, or None.
        batch_size: samples per step.
        trained: whether the network is thought to have learnt already; a history with epochs says so, too.
        feature_names: of the columns of X, for findings; their numbers are said without them.
        class_names: of the class numbers in y, likewise.
    """

    model: Module
    loss: Loss
    X: Any
    y: Any
    optimizer: Optimizer | None = None
    validation_data: tuple[Any, Any] | None = None
    history: History | None = None
    batch_size: int = 32
    trained: bool = False
    feature_names: Sequence[str] = ()
    class_names: Sequence[str] = ()

    @property
    def epochs(self) -> list[dict[str, float]]:
        """The epochs of the history; none without one."""
        return self.history.epochs if self.history else []

    @property
    def rate(self) -> float | None:
        """The learning rate of the first group: the largest of the history, as schedules end near 0; None if not known."""
        rates = [row["lr"] for row in self.epochs if row.get("lr")]
        return max(rates) if rates else float(self.optimizer.lr) if self.optimizer else None


def arrays(problem: Problem) -> tuple[Array, Array]:
    """Inputs and targets as the training step reads them.

    Raises:
        DataError, ShapeError, ArgumentError: data that does not fit model and loss.
    """
    if problem.loss.reduction == "none":
        raise ArgumentError("the loss has reduction='none'", "training makes one number small", "Use reduction='mean'.")
    x = inputs_array(problem.model, problem.X)
    return x, targets_for(problem, x, problem.y)


def targets_for(problem: Problem, x: Array, y: Any) -> Array:
    """Targets for inputs x as the loss takes them. Raises as `arrays` does."""
    with in_mode(problem.model, training=False):
        found = capture(problem.model, [((1, *x.shape[1:]), x.dtype, "x")])
    shape = (len(x), *found.graph.outputs[0].shape[1:])
    return targets_array(problem.model, problem.loss, shape, y, len(x))


def rebuilt(optimizer: Optimizer, **changes: Any) -> Optimizer:
    """An optimiser with the same rule, parameters and settings but for `changes`, and with fresh state."""
    groups = [
        {
            "params": list(zip(group.names, group.params, strict=True)),
            **group.settings,
            "lr": float(group.lr.item()),
            **changes,
        }
        for group in optimizer.groups
    ]
    settings = {key: value for key, value in groups[0].items() if key != "params"}
    return Optimizer(groups, optimizer.rule, **settings)
