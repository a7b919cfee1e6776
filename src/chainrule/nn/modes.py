"""Modes of Modules: training or evaluation. Within `in_mode` a thread has modes of its own, which no other thread sees."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Self, overload

from chainrule.reads import attributes

if TYPE_CHECKING:
    from chainrule.nn.module import Module

_own: ContextVar[dict[int, bool] | None] = ContextVar("modes", default=None)  # by the id of a Module


class Mode:
    """The attribute `training`: the Module's value, or within `in_mode` the thread's.

    Args:
        default: the value of Modules that were not given one.
    """

    def __init__(self, *, default: bool) -> None:
        self._default = default

    @overload
    def __get__(self, module: None, owner: type) -> Self: ...
    @overload
    def __get__(self, module: object, owner: type) -> bool: ...
    def __get__(self, module: object | None, owner: type) -> Self | bool:
        if module is None:
            return self
        own = _own.get()
        if own is not None and id(module) in own:
            return own[id(module)]
        stored: bool = attributes(module).get("training", self._default)
        return stored

    def __set__(self, module: Any, value: bool) -> None:
        own = _own.get()
        if own is not None and id(module) in own:
            own[id(module)] = value
        else:
            attributes(module)["training"] = value


@contextmanager
def in_mode(model: Module, *, training: bool) -> Iterator[None]:
    """Within it all Modules of a model have this mode, in this thread alone; what is set within it is gone afterwards."""
    modules = [module for _, module in model.named_modules()]  # kept, so that no other object gets the same id
    token = _own.set({**(_own.get() or {}), **dict.fromkeys(map(id, modules), training)})
    try:
        yield
    finally:
        _own.reset(token)
