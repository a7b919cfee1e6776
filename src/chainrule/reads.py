"""What a function reads while it is captured, besides Tensors: the Python values that its graph depends on.

A graph holds for as long as these are what they were. Watched are the attributes of modules, losses and optimisers (`Noted`),
and the names outside that the function itself mentions: of its closure, of its module, and of the object whose method it is.
What functions that it calls close over, and what is inside of lists and arrays that it names, cannot be seen.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from operator import is_
from types import CodeType, MethodType
from typing import Any

from chainrule.tensor import Tensor

_reads: ContextVar[Reads | None] = ContextVar("reads", default=None)
_PLAIN = (bool, int, float, complex, str, bytes)
_ABSENT = object()
_get = object.__getattribute__


class Noted:
    """Base of what has settings: while a function is captured, attributes that it reads are noted."""

    def __getattribute__(self, name: str) -> Any:
        reads = _reads.get()
        if reads is None:
            return _get(self, name)
        try:
            value = _get(self, name)
        except AttributeError:
            reads.note(self, name, _ABSENT)
            raise
        reads.note(self, name, value)
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)
        reads = _reads.get()
        if reads is not None:
            reads.written(self, name)


def attributes(owner: Any) -> dict[str, Any]:
    """`vars(owner)`, for who writes there: that is not noted."""
    found: dict[str, Any] = _get(owner, "__dict__")
    return found


class Reads:
    """The values that were read, each as it was at first."""

    def __init__(self) -> None:
        self._noted: dict[tuple[int, str], tuple[Any, str, Any]] = {}
        self._copies: list[tuple[Any, str, Any, list[Any]]] = []
        self._own: set[tuple[int, str]] = set()
        self._names: list[tuple[Callable[[str, Any], Any], str, Any]] = []

    # ---------------------------------------------------------------------------------------- noting
    def note(self, owner: Any, name: str, value: Any) -> None:
        """An attribute was read. Methods and properties are none: what they read is noted itself."""
        key = (id(owner), name)
        if key in self._noted or key in self._own:
            return
        if name == "__dict__":
            self._noted[key] = (owner, name, value)
            self._copies.append((owner, name, _parts(value), [*value, *value.values()]))
        elif name.startswith("__") or isinstance(value, MethodType) or isinstance(getattr(type(owner), name, None), property):
            return
        elif isinstance(value, Tensor) and not value.is_known:
            return  # made while the function ran
        elif isinstance(value, list | dict | set | Mapping):
            self._noted[key] = (owner, name, value)
            self._copies.append((owner, name, _copied(value), _elements(value)))
        else:
            self._noted[key] = (owner, name, value)

    def written(self, owner: Any, name: str) -> None:
        """An attribute was set: what is read there later does not come from outside."""
        self._own.add((id(owner), name))

    def note_names(self, function: Callable[..., Any]) -> None:
        """Note what a function mentions of its surroundings."""
        while isinstance(function, partial):
            function = function.func
        owner = getattr(function, "__self__", None)
        plain = inspect.unwrap(getattr(function, "__func__", function))
        if not hasattr(plain, "__code__"):
            return
        if not isinstance(owner, Noted):
            self._note_all(getattr(owner, "__dict__", {}), plain)
        self._note_all(plain.__globals__, plain)
        for cell in plain.__closure__ or ():
            self._note_name(partial(_content, cell), "")

    def _note_all(self, namespace: Mapping[str, Any], function: Any) -> None:
        for name in _mentioned(function.__code__):
            if name in namespace:
                self._note_name(namespace.get, name)

    def _note_name(self, get: Callable[[str, Any], Any], name: str) -> None:
        self._names.append((get, name, get(name, _ABSENT)))

    # ---------------------------------------------------------------------------------------- looking again
    def changed(self) -> str | None:
        """What is another value now, in words; None if nothing is. It takes about a microsecond per layer."""
        for owner, name, value in self._noted.values():
            try:
                found = _get(owner, name)
            except AttributeError:
                found = _ABSENT
            if found is not value and not _alike(found, value):
                return f"{type(owner).__name__}.{name}"
        for owner, name, copy, elements in self._copies:
            found = _get(owner, name)  # which is the same object still
            now = (*found, *found.values()) if isinstance(found, Mapping) else (*found,)
            if elements and len(now) == len(elements) and all(map(is_, now, elements)):
                continue
            if not _same_copy(_parts(found) if name == "__dict__" else _copied(found), copy):
                return f"{type(owner).__name__}.{name}"
        for get, name, value in self._names:
            found = get(name, _ABSENT)
            if found is not value and not _alike(found, value):
                return name or "a variable of its closure"
        return None


@contextmanager
def noted(function: Callable[..., Any]) -> Iterator[Reads]:
    """Within it, what is read is noted."""
    reads = Reads()
    reads.note_names(function)
    token = _reads.set(reads)
    try:
        yield reads
    finally:
        _reads.reset(token)


def _content(cell: Any, _: str, default: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not assigned yet
        return default


def _mentioned(code: CodeType) -> set[str]:
    """The names of a function, those of functions within it included."""
    inner = (c for c in code.co_consts if isinstance(c, CodeType))
    return set(code.co_names).union(*map(_mentioned, inner))


def _alike(a: Any, b: Any) -> bool:
    """Whether two plain values are the same; 0 and −0, 1 and True are not."""
    return type(a) is type(b) and isinstance(a, _PLAIN) and repr(a) == repr(b)


def _parts(attributes: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """The modules and Tensors among attributes."""
    return [(n, v) for n, v in attributes.items() if isinstance(v, Noted) or (isinstance(v, Tensor) and v.is_known)]


def _copied(value: Any) -> Any:
    """Containers, and what they contain, as they are now."""
    if isinstance(value, Mapping):
        return [(key, _copied(v)) for key, v in value.items()]
    if isinstance(value, list | tuple | set):
        return [_copied(v) for v in value]
    return value


def _elements(container: Any) -> list[Any]:
    """What is in it, if it is plain: the same elements are the same container then. Else nothing."""
    found = [*container, *container.values()] if isinstance(container, Mapping) else [*container]
    inside = any(isinstance(v, list | dict | set | tuple | Mapping) for v in found)
    return [] if inside or isinstance(container, set) else found


def _same_copy(a: Any, b: Any) -> bool:
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(map(_same_copy, a, b))
    return a is b or _alike(a, b)
