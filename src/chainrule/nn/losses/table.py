"""The table of losses, and losses made from what a file says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from chainrule import checks, registry
from chainrule.errors import ModelFileError
from chainrule.nn import settings
from chainrule.nn.losses.base import Loss

L = TypeVar("L", bound=type[Loss])

LOSSES: dict[str, type[Loss]] = {}


def register_loss(cls: L) -> L:
    """Enter a Loss class into `LOSSES`, so that trainers with it can be saved and loaded. Use it as a decorator.

    The class must keep its constructor's arguments as attributes of the same names.

    Raises:
        ArgumentError: it is no such class, or its name, also that on the command line, is taken by another one.
    """
    checks.subclass(cls, Loss, "extend.loss")
    others = {other for other in losses_for(cls.task).values() if other.__name__ != cls.__name__} if cls.task else ()
    registry.check_commands("loss", [_command(cls)], map(_command, others))
    registry.enter(LOSSES, "loss", cls.__name__, cls, cls)
    return cls


def losses_for(task: str) -> dict[str, type[Loss]]:
    """The losses that `chainrule train` can use for a task, by their names on the command line; the usual one first."""
    return {_command(cls): cls for cls in LOSSES.values() if cls.task == task}


def _command(cls: type[Loss]) -> str:
    return cls.command or cls.__name__


def usual_loss(task: str) -> type[Loss]:
    """The usual loss of a task: "regression", "binary" or "multiclass"."""
    return next(iter(losses_for(task).values()))


def loss_from_config(config: Mapping[str, Any]) -> Loss:
    """The loss that `Loss.config` wrote.

    Raises:
        ModelFileError: an unknown loss, or settings that it does not take.
    """
    name = config.get("loss") if isinstance(config, Mapping) else None
    cls = LOSSES.get(name) if isinstance(name, str) else None
    if cls is None:
        raise ModelFileError(
            f"the model has the loss {name!r}",
            f"the losses known here are {', '.join(LOSSES)}",
            "Import the module that registers it (with @extend.loss) before loading, or name it with --extension.",
        )
    return settings.construct(cls, "loss", **{key: value for key, value in config.items() if key != "loss"})
