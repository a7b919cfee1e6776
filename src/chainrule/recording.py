"""Whether, and by whom, what happens to Tensors is recorded."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol, TypeVar

from chainrule.ir import Node

T = TypeVar("T")  # Tensor, which knows this module


class Recorder(Protocol[T]):
    """What stands between Tensors and their values while a function is captured."""

    def made(self, node: Node) -> None:
        """Note that a Tensor was made that stands for this node."""
        ...

    def read(self, tensor: T) -> Node:
        """The node that stands for a Tensor from outside the function."""
        ...

    def write(self, tensor: T, node: Node) -> None:
        """Note that the function gives a Tensor from outside a new value."""
        ...

    def asked(self, tensor: T) -> None:
        """Note that somebody looked whether a Tensor from outside asks for gradients."""
        ...

    def owner(self, leaf: Node) -> T | None:
        """The Tensor from outside that a leaf stands for."""
        ...

    gradients: MutableMapping[T, T]


_recording: ContextVar[bool] = ContextVar("recording", default=True)
_recorder: ContextVar[Recorder[Any] | None] = ContextVar("recorder", default=None)


@contextmanager
def no_grad() -> Iterator[None]:
    """Within it nothing is recorded: results have no history, and no gradient passes through them."""
    token = _recording.set(False)
    try:
        yield
    finally:
        _recording.reset(token)


def is_recording() -> bool:
    """Whether results remember how they were computed: False within `no_grad`."""
    return _recording.get()


def current_recorder() -> Recorder[Any] | None:
    """Who captures the function that is running, if it is captured."""
    return _recorder.get()


def is_capturing() -> bool:
    """Whether a function is being captured, so that Tensors from outside stand for their values."""
    return _recorder.get() is not None


@contextmanager
def recording_by(by: Recorder[Any]) -> Iterator[None]:
    """Within it Tensors from outside are read and written through `by`."""
    token = _recorder.set(by)
    try:
        yield
    finally:
        _recorder.reset(token)
