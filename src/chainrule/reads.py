"""What a function reads while it is captured, besides Tensors: the Python values that its graph depends on.

A graph holds for as long as these are what they were. Watched are the attributes of modules, losses and optimisers (`Noted`),
and what users' functions mention by name: the captured one, methods of a `Noted` that are called, and functions that these
mention in turn. A name leads to the variable of the module or closure, the content of a list, dict, set or small array, and
attributes of objects, classes and modules that are mentioned too. Functions of libraries, this one included, are not watched.
"""

from __future__ import annotations

import inspect
import sys
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from itertools import chain
from operator import is_
from types import CodeType, FunctionType, MemberDescriptorType, MethodType, ModuleType
from typing import Any

import numpy as np

from chainrule.tensors import Tensor

_reads: ContextVar[Reads | None] = ContextVar("reads", default=None)
_PLAIN = (bool, int, float, complex, str, bytes)
_CONTAINERS = (list, tuple, dict, set, frozenset, deque, bytearray, Mapping, np.ndarray)
_MOST_ELEMENTS = 1000  # of a container whose content is compared; a larger one is known by its identity
_OURS = frozenset({"chainrule", "numpy"})
_LIBRARIES = _OURS | sys.stdlib_module_names
_MAKING = frozenset({"__init__", "__new__", "__post_init__"})  # methods that run without a mention where a class is called;
_SILENT = frozenset({"__repr__", "__str__", "__module__"})  # others run for an object, as x[i] does, but for these
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
        self._names: dict[tuple[int, str], tuple[Any, Callable[[str, Any], Any], str, Any]] = {}
        self._contents: list[tuple[str, Any, Callable[[Any], Any], Any, list[Any]]] = []
        self._named_contents: list[tuple[str, Any, Callable[[Any], Any], Any, list[Any]]] = []
        self._settled: set[tuple[int, str]] = set()
        self._mentions: set[str] = set()
        self._followed: dict[int, Any] = {}  # kept, so that no other object gets the same id
        self._objects: list[Any] = []
        self._same: _Same | None = None

    # ---------------------------------------------------------------------------------------- noting
    def note(self, owner: Any, name: str, value: Any) -> None:
        """An attribute was read. Methods and properties are none: what they read is noted itself."""
        key = (id(owner), name)
        if key in self._noted or key in self._settled:
            return
        if name == "__dict__":
            self._noted[key] = (owner, name, value)
            self._contents.append((_label(owner, name), value, _parts, _parts(value), [*value, *value.values()]))
            self._follow_elements([*value.values()])
        elif name.startswith("__"):
            return
        elif isinstance(value, MethodType) or isinstance(getattr(type(owner), name, None), property):
            self._settled.add(key)
            self._follow_method(type(owner), name)
        elif isinstance(value, Tensor) and not value.is_known:
            return  # made while the function ran
        else:
            self._noted[key] = (owner, name, value)
            if isinstance(value, _CONTAINERS) and not _is_large_array(value):
                self._contents.append((_label(owner, name), value, _copied, _copied(value), _elements(value)))
                self._follow_elements(value)
            else:
                self.follow(value, name)

    def written(self, owner: Any, name: str) -> None:
        """An attribute was set: what is read there later does not come from outside."""
        self._settled.add((id(owner), name))

    def follow(self, value: Any, name: str = "") -> None:
        """Note what a value from outside leads to: what a function mentions, what is in a container or an object."""
        if isinstance(value, MethodType):
            self.follow(value.__self__, name)
            self.follow(value.__func__, name)
        if isinstance(value, (*_PLAIN, MethodType, Tensor)) or value is None or id(value) in self._followed:
            return
        self._followed[id(value)] = value
        if isinstance(value, Noted):
            self._follow_method(type(value), "__call__")  # which Python looks up in the class, so that it is not noted
        elif isinstance(value, partial):
            self._follow_elements((value.func, *value.args, *value.keywords.values()))
        elif isinstance(value, FunctionType):
            self._follow_function(value)
        elif isinstance(value, _CONTAINERS):
            if (value.size if isinstance(value, np.ndarray) else len(value)) <= _MOST_ELEMENTS:
                self._named_contents.append((name, value, _copied, _copied(value), _elements(value)))
                self._follow_elements(value)
        elif not _is_of(value if isinstance(value, type | ModuleType) else type(value), _OURS):
            self._objects.append(value)
            self._look_into(value)

    def _follow_method(self, cls: type, name: str) -> None:
        """Follow a method or property, those of base classes too, which `super()` calls."""
        for base in cls.__mro__:
            self._follow_static(vars(base).get(name))

    def _follow_elements(self, container: Any) -> None:
        if not isinstance(container, np.ndarray):
            for value in _flat(container):
                self.follow(value)

    def _follow_function(self, function: FunctionType) -> None:
        self._follow_elements((*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()))
        self.follow(inspect.unwrap(function))
        of_library = _is_of(function, _LIBRARIES)
        for cell in function.__closure__ or ():
            if of_library:  # a decorator's wrapper: it does not change, what it wraps may
                self.follow(_content(cell, "", None))
            else:
                self._note_name(cell, partial(_content, cell), "")
        if of_library:
            return
        mentioned = _mentioned(function.__code__)
        self._mentions |= mentioned
        for name in sorted(mentioned & function.__globals__.keys()):
            self._note_name(function.__globals__, function.__globals__.get, name)
        for known in [*self._objects]:
            self._look_into(known)

    def _look_into(self, thing: Any) -> None:
        """Note the attributes of an object, a class or a module that functions mention, and follow its methods."""
        for name in sorted(_attribute_names(thing)):
            special = name.startswith("__") and name not in _SILENT and (name in _MAKING) == isinstance(thing, type)
            if name not in self._mentions and not special:
                continue
            static = inspect.getattr_static(thing, name, None)
            if isinstance(static, FunctionType | property | staticmethod | classmethod):
                self._follow_static(static)
            elif not special and (isinstance(static, MemberDescriptorType) or not hasattr(static, "__get__")):
                self._note_name(thing, partial(getattr, thing), name)

    def _follow_static(self, static: Any) -> None:
        """Follow the function of an attribute as its class has it."""
        if isinstance(static, property):
            self.follow(static.fget)
        elif isinstance(static, staticmethod | classmethod):
            self.follow(static.__func__)
        else:
            self.follow(static)

    def _note_name(self, place: Any, get: Callable[[str, Any], Any], name: str) -> None:
        value = get(name, _ABSENT)
        if (id(place), name) in self._names or (isinstance(value, Tensor) and not value.is_known):
            return
        self._names[id(place), name] = (place, get, name, value)
        self.follow(value, name)

    def finish(self) -> None:
        """The function has run. What it put into containers that it names, such as a log, it does not read."""
        self._contents += [c for c in self._named_contents if _has_content(*c[1:])]
        self._named_contents.clear()

    # ---------------------------------------------------------------------------------------- looking again
    def changed(self) -> str | None:
        """What is another value now, in words; None if nothing is. It takes about a tenth of a microsecond per value."""
        same = self._same  # another thread may look, too
        if same is not None and same.holds():
            return None
        changed = self._changed()
        self._same = None if changed else _Same(self._noted.values(), self._names.values(), [c[1] for c in self._contents])
        return changed

    def _changed(self) -> str | None:
        for owner, name, value in self._noted.values():
            try:
                found = _get(owner, name)
            except AttributeError:
                found = _ABSENT
            if found is not value and not _alike(found, value):
                return _label(owner, name)
        for _, get, name, value in self._names.values():
            found = get(name, _ABSENT)
            if found is not value and not _alike(found, value):
                return name or "a variable of its closure"
        for label, *content in self._contents:
            if not _has_content(*content):
                return label or "a variable of its closure"
        return None


class _Same:
    """All that was read, object by object: as long as each is the same one, nothing has changed.

    This is looked at in every call, so that the loops are those of C. Where an object is another one, it may still be equal.
    """

    def __init__(self, noted: Collection[Any], names: Collection[Any], containers: Collection[Any]) -> None:
        found = [(owner, name) for owner, name, _ in noted if _has(owner, name)]
        self._absent = [(owner, name) for owner, name, _ in noted if not _has(owner, name)]
        variables = [(place, name) for place, _, name, _ in names if isinstance(place, dict)]
        # Most attributes are in the dict of their object, where C finds them fastest.
        variables += [(attributes(owner), name) for owner, name in found if _in_dict(owner, name)]
        found = [(owner, name) for owner, name in found if not _in_dict(owner, name)]
        others = [(place, name or "cell_contents") for place, _, name, _ in names if not isinstance(place, dict)]
        self._noted = _Read(_get, found)
        self._variables = _Read(dict.get, variables)
        self._others = _Read(getattr, others)
        self._iterated: list[Any] = []
        self._sized: list[Any] = []
        self._arrays: list[Any] = []
        for container in containers:
            self._open(container)
        self._sizes = [*map(len, self._sized)]
        self._elements = [*chain.from_iterable(self._iterated)]
        self._bytes = [*map(_copied, self._arrays)]

    def _open(self, container: Any) -> None:
        if isinstance(container, np.ndarray):
            self._arrays.append(container)
            return
        parts: list[Any] = [container.keys(), container.values()] if isinstance(container, Mapping) else [container]
        if not isinstance(container, tuple | frozenset):  # which cannot change, but for what is in what they hold
            self._iterated += parts
            self._sized.append(container)
        for value in chain.from_iterable(parts):
            if isinstance(value, _CONTAINERS):
                self._open(value)

    def holds(self) -> bool:
        """Whether every object is the same one."""
        try:
            return (
                self._noted.same()
                and self._variables.same()
                and self._others.same()
                and [*map(len, self._sized)] == self._sizes
                and all(map(is_, chain.from_iterable(self._iterated), self._elements))
                and not (self._absent and any(_has(owner, name) for owner, name in self._absent))
                and not (self._arrays and [*map(_copied, self._arrays)] != self._bytes)
            )
        except (AttributeError, ValueError, RuntimeError):  # deleted, a closure's empty variable, changed by another thread
            return False


class _Read:
    """What a function gives for pairs, and whether it still gives the same objects."""

    __slots__ = ("_first", "_function", "_second", "_values")

    def __init__(self, function: Callable[[Any, str], Any], pairs: list[tuple[Any, str]]) -> None:
        self._function = function
        self._first = [first for first, _ in pairs]
        self._second = [second for _, second in pairs]
        self._values = [*map(function, self._first, self._second)]

    def same(self) -> bool:
        """Whether all are the same objects as at first."""
        return not self._first or all(map(is_, map(self._function, self._first, self._second), self._values))


def _in_dict(owner: Any, name: str) -> bool:
    """Whether an attribute is what the dict of its object holds, and not what a descriptor makes of that."""
    return name in attributes(owner) and not hasattr(getattr(type(owner), name, None), "__set__")


def _has(owner: Any, name: str) -> bool:
    try:
        _get(owner, name)
    except AttributeError:
        return False
    return True


@contextmanager
def noted(function: Callable[..., Any]) -> Iterator[Reads]:
    """Within it, what is read is noted."""
    reads = Reads()
    reads.follow(function)
    token = _reads.set(reads)
    try:
        yield reads
    finally:
        _reads.reset(token)
        reads.finish()


def _label(owner: Any, name: str) -> str:
    return f"{type(owner).__name__}.{name}"


def _is_of(thing: Any, packages: frozenset[str]) -> bool:
    """Whether a function, class or module is defined in one of these packages."""
    name = thing.__name__ if isinstance(thing, ModuleType) else getattr(thing, "__module__", None)
    return isinstance(name, str) and name.partition(".")[0] in packages


def _attribute_names(thing: Any) -> set[str]:
    """The names of the attributes of an object, a class or a module, without those that are of a library."""
    if isinstance(thing, ModuleType):
        return set() if _is_of(thing, _LIBRARIES) else set(vars(thing))
    classes = thing.__mro__ if isinstance(thing, type) else type(thing).__mro__
    own = {} if isinstance(thing, type) else getattr(thing, "__dict__", {})
    return set(own).union(*(vars(c) for c in classes if not _is_of(c, _LIBRARIES)))


def _is_large_array(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.size > _MOST_ELEMENTS


def _flat(container: Any) -> list[Any]:
    """The elements of a container, of a mapping the keys and the values."""
    return [*container, *container.values()] if isinstance(container, Mapping) else [*container]


def _has_content(container: Any, read: Callable[[Any], Any], copy: Any, elements: list[Any]) -> bool:
    """Whether a container holds what it held when it was copied."""
    if elements:
        now = _flat(container)
        if len(now) == len(elements) and all(map(is_, now, elements)):
            return True
    return _same_copy(read(container), copy)


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
    if isinstance(value, np.ndarray) and value.size <= _MOST_ELEMENTS:
        return [value.dtype.str, value.shape, value.tobytes()]
    if isinstance(value, _CONTAINERS) and not isinstance(value, np.ndarray):
        return [_copied(v) for v in value]
    return value


def _elements(container: Any) -> list[Any]:
    """What is in it, if it is plain: the same elements are the same container then. Else nothing."""
    if isinstance(container, set | frozenset | np.ndarray):
        return []
    found = _flat(container)
    return [] if any(isinstance(v, _CONTAINERS) for v in found) else found


def _same_copy(a: Any, b: Any) -> bool:
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(map(_same_copy, a, b))
    return a is b or _alike(a, b)
