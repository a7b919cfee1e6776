"""Calls that read and change the same values take turns.

Tensors that are the state of one function belong to one group, with one lock; where two functions share a Tensor, their groups
become one. So nobody holds two locks, and there is no order in which they could wait for each other.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from threading import RLock
from typing import ParamSpec, Protocol, TypeVar
from weakref import WeakSet

P = ParamSpec("P")
R = TypeVar("R")
_locks: WeakSet[Lock] = WeakSet()


class Lock:
    """A lock that a thread may take again; in a forked process it is free."""

    def __init__(self) -> None:
        self.lock = RLock()  # a handler of signals may call what it interrupted
        _locks.add(self)


class Group(Lock):
    """What is read and changed together; `joined` is the group that it belongs to now, if that is another one."""

    def __init__(self) -> None:
        super().__init__()
        self.joined: Group | None = None

    def now(self) -> Group:
        """The group that this one has become."""
        group = self
        while group.joined is not None:
            group = group.joined
        return group


class Member(Protocol):
    """What belongs to a group."""

    group: Group | None


_joining = Lock()


class Turns:
    """The turns of a function with this state."""

    def __init__(self, state: Sequence[Member]) -> None:
        with _joining.lock, ExitStack() as held:
            before = list(dict.fromkeys(t.group.now() for t in state if t.group is not None))
            for group in before[1:]:
                held.enter_context(group.lock)  # who is at it has its turn first
            self.group = before[0] if before else Group()
            for group in before[1:]:
                group.joined = self.group
            for member in state:
                member.group = self.group

    def run(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call a function. Meanwhile nobody else reads or changes the state."""
        group = self.group
        while True:
            with group.lock:
                if group.joined is None:
                    return function(*args, **kwargs)
            group = self.group = group.now()


def in_turn(member: Member, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a function. Meanwhile nobody else reads or changes this one."""
    while (group := member.group) is not None:
        group = group.now()
        with group.lock:
            if group.joined is None:
                return function(*args, **kwargs)
    return function(*args, **kwargs)


def _after_fork() -> None:
    """Threads that held a lock are not there any more."""
    for lock in list(_locks):
        lock.lock = RLock()


if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
    os.register_at_fork(after_in_child=_after_fork)
