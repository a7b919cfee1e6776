"""Calls that read and assign the same Tensors take turns.

Tensors that are the state of one function belong to one group, with one lock; where two functions share a Tensor, their groups
become one. So nobody holds two locks, and there is no order in which they could wait for each other.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from threading import RLock
from weakref import WeakSet

from chainrule.tensors import Tensor


class _Group:
    """Tensors that are read and assigned together; `joined` is the group that they belong to now, if it is another one."""

    def __init__(self) -> None:
        self.lock = RLock()  # a handler of signals may call what it interrupted
        self.joined: _Group | None = None
        _groups.add(self)

    def now(self) -> _Group:
        group = self
        while group.joined is not None:
            group = group.joined
        return group


_groups: WeakSet[_Group] = WeakSet()
_joining = RLock()


class Turns:
    """The turns of a function with this state."""

    def __init__(self, state: Sequence[Tensor]) -> None:
        with _joining, ExitStack() as held:
            before = list(dict.fromkeys(t.group.now() for t in state if isinstance(t.group, _Group)))
            for group in before[1:]:
                held.enter_context(group.lock)  # who is at it has its turn first
            self._group = before[0] if before else _Group()
            for group in before[1:]:
                group.joined = self._group
            for tensor in state:
                tensor.group = self._group

    @contextmanager
    def mine(self) -> Iterator[None]:
        """Within it nobody else reads or assigns the state."""
        while True:
            group = self._group = self._group.now()
            with group.lock:
                if group.joined is None:
                    yield
                    return


def _after_fork() -> None:
    """Threads that held a lock are not there any more."""
    global _joining  # noqa: PLW0603 -- a lock that cannot be released is replaced
    _joining = RLock()
    for group in list(_groups):
        group.lock = RLock()


if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
    os.register_at_fork(after_in_child=_after_fork)
