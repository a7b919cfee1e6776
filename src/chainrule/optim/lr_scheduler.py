"""Schedules as PyTorch writes them: `StepLR(optimizer, step_size=10)` is `Scheduler(optimizer, optim.StepLR(step_size=10))`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chainrule import elsewhere
from chainrule.optim.optimizer import Optimizer
from chainrule.optim.schedules import SCHEDULES, Schedule, Scheduler

__all__ = ["Scheduler"]


def _of_optimizer(schedule: type[Schedule]) -> Callable[..., Scheduler]:
    def function(optimizer: Optimizer, *args: Any, **settings: Any) -> Scheduler:
        return Scheduler(optimizer, schedule(*args, **settings))

    function.__name__ = function.__qualname__ = schedule.__name__
    function.__doc__ = f"A Scheduler of `optim.{schedule.__name__}` with the settings given after the optimiser."
    return function


def __dir__() -> list[str]:
    """The public names."""
    return sorted([*__all__, *SCHEDULES])


def __getattr__(name: str) -> Any:
    if name in SCHEDULES:  # those that were registered later too
        return _of_optimizer(SCHEDULES[name])
    raise elsewhere.missing("chainrule.optim.lr_scheduler", name, __dir__(), {})
