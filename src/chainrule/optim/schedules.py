"""Learning rates that change: a schedule says the rate at each index, a `Scheduler` gives it to an optimiser.

A schedule is a value. `schedule.value(t, base)` is the rate η at index t = 0, 1, … for the rate `base` that the optimiser was
made with; its attribute `interval` says whether t counts epochs or steps. Names, defaults and values are PyTorch's.
"""

from __future__ import annotations

import inspect
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, asdict, dataclass, fields, replace
from typing import Any, ClassVar, Literal, TypeVar

from chainrule import checks, elsewhere, registry
from chainrule.errors import ArgumentError
from chainrule.optim.optimizer import Optimizer
from chainrule.tensors import Tensor

Interval = Literal["epoch", "step"]


# By annotation; it is a text where annotations are not evaluated.
_CHECKS: dict[Any, Callable[[str, str, Any], float]] = {
    **dict.fromkeys((int, "int"), checks.index),
    **dict.fromkeys((float, "float"), checks.real),
}


def _require(schedule: object, holds: bool, name: str, expected: str) -> None:
    if not holds:
        kind, value = type(schedule).__name__, getattr(schedule, name)
        raise ArgumentError(f"{kind} got {name}={value!r}", f"it must be {expected}", "Choose another value.")


@dataclass(frozen=True)
class Schedule(ABC):
    """A learning rate as a function of the epoch or step.

    Attributes:
        interval: what the index counts, "epoch" or "step".
        command: its name on the command line, if it can be laid out over a run.
        watches: whether it goes by a value of the history, as `ReduceLROnPlateau` does, and not by the index.
    """

    command: ClassVar[str] = ""
    watches: ClassVar[bool] = False
    _: KW_ONLY
    interval: Interval = "epoch"

    def __new__(cls, *args: Any, **settings: Any) -> Schedule:
        """A schedule; refuses an optimiser, which PyTorch's schedules take first."""
        if any(isinstance(a, Optimizer) for a in (*args, *settings.values())):
            name = cls.__name__
            raise ArgumentError(
                f"{name} got an optimiser",
                "a schedule only gives the rate, and takes no optimiser",
                f"Write optim.Scheduler(optimizer, optim.{name}(…)), or cr.LearningRate(optim.{name}(…)) in callbacks.",
            )
        return super().__new__(cls)

    def __post_init__(self) -> None:
        for field in fields(self):
            check = _CHECKS.get(field.type)
            if check is not None:
                check(type(self).__name__, field.name, getattr(self, field.name))
        _require(self, self.interval in ("epoch", "step"), "interval", "'epoch' or 'step'")

    @classmethod
    def over_run(cls, steps: int, rate: float) -> Schedule:
        """The schedule as `chainrule train` lays it out over a run of so many steps with this learning rate: by steps."""
        return cls(interval="step")

    @abstractmethod
    def value(self, t: int, base_lr: float) -> float:
        """The learning rate at index t = 0, 1, …, in float64."""

    def config(self) -> dict[str, Any]:
        """Name and settings, as JSON can hold them: `SCHEDULES[name](**settings)` is equal to this."""
        return {"name": type(self).__name__, **asdict(self)}


SCHEDULES: dict[str, type[Schedule]] = {}
AVERAGE, CONSTANT = "average", "constant"  # what the command line calls a rate that stays, with and without averaged weights
S = TypeVar("S", bound=type[Schedule])


def register_schedule(cls: S) -> S:
    """Enter a Schedule class into `SCHEDULES`. Use it as a decorator, above `@dataclass(frozen=True)`.

    One with a `command` can be chosen on the command line; `over_run` says with which settings.

    Raises:
        ArgumentError: it is no such class, or its name, also that on the command line, is taken by another one.
    """
    checks.subclass(cls, Schedule, "extend.schedule")
    name = cls.__name__
    if "__dataclass_fields__" not in vars(cls) or inspect.isabstract(cls):
        expected = "it is a dataclass that defines value(t, base_lr)"
        raise ArgumentError(f"the schedule {name} is none", expected, "Write @dataclass(frozen=True) above the class.")
    others = (other.command for other in SCHEDULES.values() if other.__name__ != name)
    registry.check_commands("schedule", [cls.command], (command for command in (*others, AVERAGE, CONSTANT) if command))
    registry.enter(SCHEDULES, "schedule", name, cls, cls)
    elsewhere.explain_calls_of_methods(cls)
    return cls


@register_schedule
@dataclass(frozen=True)
class StepLR(Schedule):
    """η = base · gammaᵏ with k = ⌊t / step_size⌋.

    Raises:
        ArgumentError: step_size below 1, or a negative gamma.
    """

    command = "step"
    step_size: int
    gamma: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        _require(self, self.step_size >= 1, "step_size", "at least 1")
        _require(self, self.gamma >= 0, "gamma", "at least 0")

    @classmethod
    def over_run(cls, steps: int, rate: float) -> StepLR:
        """See `Schedule.over_run`."""
        return cls(step_size=max(1, steps // 3), gamma=0.1, interval="step")

    def value(self, t: int, base_lr: float) -> float:
        """See `Schedule.value`."""
        return base_lr * self.gamma ** (t // self.step_size)


@register_schedule
@dataclass(frozen=True)
class ExponentialLR(Schedule):
    """η = base · gammaᵗ.

    Raises:
        ArgumentError: a negative gamma.
    """

    command = "exponential"
    gamma: float

    def __post_init__(self) -> None:
        super().__post_init__()
        _require(self, self.gamma >= 0, "gamma", "at least 0")

    @classmethod
    def over_run(cls, steps: int, rate: float) -> ExponentialLR:
        """See `Schedule.over_run`."""
        return cls(gamma=0.01 ** (1 / steps), interval="step")

    def value(self, t: int, base_lr: float) -> float:
        """See `Schedule.value`."""
        return float(base_lr * self.gamma**t)


@register_schedule
@dataclass(frozen=True)
class CosineAnnealingLR(Schedule):
    """η = eta_min + (base − eta_min) (1 + cos(π t / T_max)) / 2: from base at 0 down to eta_min at T_max, and up again.

    Loshchilov, Hutter: SGDR: stochastic gradient descent with warm restarts (2017), without the restarts.

    Raises:
        ArgumentError: T_max below 1, or a negative eta_min.
    """

    command = "cosine"
    T_max: int
    eta_min: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _require(self, self.T_max >= 1, "T_max", "at least 1")
        _require(self, self.eta_min >= 0, "eta_min", "at least 0")

    @classmethod
    def over_run(cls, steps: int, rate: float) -> CosineAnnealingLR:
        """See `Schedule.over_run`."""
        return cls(T_max=steps, interval="step")

    def value(self, t: int, base_lr: float) -> float:
        """See `Schedule.value`."""
        return self.eta_min + (base_lr - self.eta_min) * (1.0 + math.cos(math.pi * t / self.T_max)) / 2.0


@register_schedule
@dataclass(frozen=True)
class LinearLR(Schedule):
    """Warm-up: η = base · f, with f on a straight line from start_factor at 0 to end_factor at total_iters, then constant.

    Raises:
        ArgumentError: start_factor not above 0 and up to 1, end_factor not from 0 to 1, or total_iters below 1.
    """

    command = "warm-up"
    start_factor: float = 1.0 / 3.0
    end_factor: float = 1.0
    total_iters: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        _require(self, 0 < self.start_factor <= 1, "start_factor", "above 0 and at most 1")
        _require(self, 0 <= self.end_factor <= 1, "end_factor", "from 0 to 1")
        _require(self, self.total_iters >= 1, "total_iters", "at least 1")

    @classmethod
    def over_run(cls, steps: int, rate: float) -> LinearLR:
        """See `Schedule.over_run`."""
        return cls(start_factor=0.01, total_iters=max(1, steps // 10), interval="step")

    def value(self, t: int, base_lr: float) -> float:
        """See `Schedule.value`."""
        done = min(t, self.total_iters) / self.total_iters
        return base_lr * (self.start_factor + (self.end_factor - self.start_factor) * done)


@register_schedule
@dataclass(frozen=True)
class OneCycleLR(Schedule):
    """Up from max_lr / div_factor to max_lr, then down to max_lr / (div_factor · final_div_factor); base_lr plays no part.

    With n = total_steps the peak is at t = pct_start · n − 1 and the end at t = n − 1; later the rate stays. On the way from
    a to b, with p from 0 to 1, η = b + (a − b)(1 + cos π p) / 2 ("cos") or η = a + (b − a) p ("linear"). Momentum is not
    cycled.

    Smith, Topin: Super-convergence: very fast training of neural networks using large learning rates (2019).

    Raises:
        ArgumentError: max_lr, div_factor or final_div_factor not above 0, total_steps below 1, pct_start not from 0 to 1, or an
            unknown anneal_strategy.
    """

    command = "one-cycle"
    max_lr: float
    total_steps: int
    pct_start: float = 0.3
    anneal_strategy: Literal["cos", "linear"] = "cos"
    div_factor: float = 25.0
    final_div_factor: float = 1e4
    _: KW_ONLY
    interval: Interval = "step"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("max_lr", "div_factor", "final_div_factor"):
            _require(self, getattr(self, name) > 0, name, "above 0")
        _require(self, self.total_steps >= 1, "total_steps", "at least 1")
        _require(self, 0 <= self.pct_start <= 1, "pct_start", "from 0 to 1")
        _require(self, self.anneal_strategy in ("cos", "linear"), "anneal_strategy", "'cos' or 'linear'")

    @classmethod
    def over_run(cls, steps: int, rate: float) -> OneCycleLR:
        """See `Schedule.over_run`."""
        return cls(max_lr=rate, total_steps=steps)

    def value(self, t: int, base_lr: float) -> float:
        """See `Schedule.value`."""
        first = self.max_lr / self.div_factor
        peak, end = self.pct_start * self.total_steps - 1.0, self.total_steps - 1.0
        now = min(float(t), end)
        if now <= peak:
            return self._between(first, self.max_lr, now, 0.0, peak)
        return self._between(self.max_lr, first / self.final_div_factor, now, peak, end)

    def _between(self, a: float, b: float, t: float, start: float, end: float) -> float:
        p = (t - start) / (end - start) if end > start else 1.0
        if self.anneal_strategy == "linear":
            return a + (b - a) * p
        return b + (a - b) * (1.0 + math.cos(math.pi * p)) / 2.0


@dataclass(frozen=True)
class Plateau:
    """What `ReduceLROnPlateau` remembers.

    Attributes:
        best: the best metric so far; None before the first.
        bad: how many times in a row it has not become better.
        cooldown: for how many more times that is not counted.
        reductions: how often the rate was reduced.
    """

    best: float | None = None
    bad: int = 0
    cooldown: int = 0
    reductions: int = 0

    def __post_init__(self) -> None:
        if self.best is not None:
            checks.real("Plateau", "best", self.best)
        for name in ("bad", "cooldown", "reductions"):
            checks.whole("Plateau", name, getattr(self, name), 0)


@register_schedule
@dataclass(frozen=True)
class ReduceLROnPlateau(Schedule):
    """η ← max(factor · η, min_lr) when a metric has not become better for more than `patience` times in a row.

    Better is, for mode "min", below best · (1 − threshold) ("rel") or best − threshold ("abs"); for mode "max", above
    best · (1 + threshold) or best + threshold. After a reduction, `cooldown` times are not counted. A reduction by no more than
    `eps` is left out. NaN is never better. Here the index of `value` is the number of reductions.

    Raises:
        ArgumentError: factor not from 0 up to 1, an unknown mode or threshold_mode, or a negative number.
    """

    command = "plateau"
    watches = True
    factor: float = 0.1
    patience: int = 10
    threshold: float = 1e-4
    threshold_mode: Literal["rel", "abs"] = "rel"
    cooldown: int = 0
    min_lr: float = 0.0
    mode: Literal["min", "max"] = "min"
    eps: float = 1e-8

    def __post_init__(self) -> None:
        super().__post_init__()
        _require(self, 0 <= self.factor < 1, "factor", "from 0 up to but not including 1")
        _require(self, self.mode in ("min", "max"), "mode", "'min' or 'max'")
        _require(self, self.threshold_mode in ("rel", "abs"), "threshold_mode", "'rel' or 'abs'")
        for name in ("patience", "threshold", "cooldown", "min_lr", "eps"):
            _require(self, getattr(self, name) >= 0, name, "at least 0")

    @classmethod
    def over_run(cls, steps: int, rate: float) -> ReduceLROnPlateau:
        """See `Schedule.over_run`."""
        return cls(factor=0.5, patience=5)

    def value(self, t: int, base_lr: float) -> float:
        """The learning rate after t reductions."""
        lr = base_lr
        for _ in range(t):
            lower = max(lr * self.factor, self.min_lr)
            if lr - lower <= self.eps:
                break
            lr = lower
        return lr

    def observe(self, plateau: Plateau, metric: float) -> Plateau:
        """What is remembered after one more metric."""
        better = self._is_better(metric, plateau.best)
        bad = 0 if better or plateau.cooldown > 0 else plateau.bad + 1
        seen = replace(plateau, best=metric if better else plateau.best, bad=bad, cooldown=max(plateau.cooldown - 1, 0))
        if bad <= self.patience:
            return seen
        return replace(seen, bad=0, cooldown=self.cooldown, reductions=plateau.reductions + 1)

    def _is_better(self, metric: float, best: float | None) -> bool:
        sign = 1.0 if self.mode == "min" else -1.0
        if best is None:
            return sign * metric < math.inf
        bound = best * (1.0 - sign * self.threshold) if self.threshold_mode == "rel" else best - sign * self.threshold
        return sign * metric < sign * bound


class Scheduler:
    """Gives an optimiser the learning rates of a schedule: at once the first, and with every `step` the next.

    The rates that the groups have when it is made are the base rates.

    Attributes:
        optimizer, schedule: as given.
        t: how many times `step` was called.
    """

    def __init__(self, optimizer: Optimizer, schedule: Schedule) -> None:
        fix = "Write optim.Scheduler(optimizer, optim.StepLR(step_size=10))."
        self.optimizer = checks.kind(optimizer, Optimizer, "Scheduler got {}", "it takes an optimiser first", fix)
        self.schedule = checks.kind(schedule, Schedule, "Scheduler got {}", "it takes a schedule second", fix)
        self.t = 0
        self._base = [float(group.lr.item()) for group in optimizer.groups]
        self._plateau = Plateau()
        self._apply()

    def step(self, metric: float | Tensor | None = None) -> None:
        """Go on by one epoch or step, whichever the schedule counts.

        Args:
            metric: what `ReduceLROnPlateau` watches; the other schedules do not look at it.

        Raises:
            ArgumentError: `ReduceLROnPlateau` without a metric, or with one that is no number.
        """
        if isinstance(self.schedule, ReduceLROnPlateau):
            if metric is None:
                raise ArgumentError(
                    "ReduceLROnPlateau got no metric for its step", "it needs the metric that it watches", "Write step(metric)."
                )
            value = metric.item() if isinstance(metric, Tensor) else metric
            self._plateau = self.schedule.observe(self._plateau, checks.real("Scheduler.step", "metric", value))
        self.t += 1
        self._apply()

    def _apply(self) -> None:
        index = self._plateau.reductions if isinstance(self.schedule, ReduceLROnPlateau) else self.t
        for group, base in zip(self.optimizer.groups, self._base, strict=True):
            group.lr.assign(self.schedule.value(index, base))

    def state_dict(self) -> dict[str, Any]:
        """Position, base rates and what a plateau remembers, as JSON can hold them; the schedule itself is in its `config`."""
        return {"t": self.t, "base_lrs": list(self._base), "plateau": asdict(self._plateau)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where a `state_dict` was taken.

        Raises:
            ArgumentError: it belongs to an optimiser with another number of groups, or is not a state of a Scheduler.
        """
        given, fix = "a Scheduler was given a state with {}", "Give what Scheduler.state_dict returned, of the same groups."
        expected = f"it needs t, plateau, and base_lrs for {len(self._base)} groups"
        parts = checks.kind(state, Mapping, given.replace("with", "that is"), expected, fix)
        if set(parts) != {"t", "base_lrs", "plateau"}:
            raise ArgumentError(given.format(", ".join(map(str, parts)) or "nothing"), expected, fix)
        rates = checks.listed(parts["base_lrs"], given.format("base_lrs={}"), expected, fix)
        plateau = checks.kind(parts["plateau"], Mapping, given.format("plateau={}"), expected, fix)
        if len(rates) != len(self._base) or set(plateau) != {field.name for field in fields(Plateau)}:
            raise ArgumentError(given.format(f"base_lrs={rates} and plateau={dict(plateau)}"), expected, fix)
        base = [checks.real("the state of a Scheduler", "base_lrs", rate) for rate in rates]
        t = checks.whole("the state of a Scheduler", "t", parts["t"], 0)
        self.t, self._base, self._plateau = t, base, Plateau(**plateau)
        self._apply()


elsewhere.explain_calls_of_methods(Scheduler)
