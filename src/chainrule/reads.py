"""What a function reads while it is captured, besides Tensors: the Python values that its graph depends on.

A graph holds for as long as these are what they were. Watched are the attributes of modules, losses and optimisers (`Noted`),
and what users' functions mention by name: the captured one, methods of a `Noted` that are called, and functions that these
mention in turn. A name leads to the variable of the module or closure, the content of a list, dict, set or small array, and
attributes of objects, classes and modules that are mentioned too. Functions of libraries, this one and all that are installed
included, are not watched, but what others registered as operations is (`Primitive`).
"""

from __future__ import annotations

import dis
import inspect
import sys
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, cached_property, partial
from itertools import chain
from operator import attrgetter, is_, methodcaller
from pathlib import PurePath
from types import CodeType, FunctionType, MappingProxyType, MemberDescriptorType, MethodType, ModuleType
from typing import Any
from weakref import ReferenceType

import numpy as np

from chainrule.contents import (
    CONTAINERS,
    MOST_ELEMENTS,
    PLAIN,
    alike,
    copied,
    elements_of,
    flat,
    has_content,
    holds,
    is_large_array,
)
from chainrule.ops.primitive import Primitive
from chainrule.tensors import Tensor

_reads: ContextVar[Reads | None] = ContextVar("reads", default=None)
_OURS = frozenset({"chainrule", "numpy"})
_INSTALLED = frozenset({"site-packages", "dist-packages"})  # folders into which pip and Debian install
_MAKING = frozenset(
    {"__init__", "__new__", "__post_init__", "__class_getitem__"}
)  # methods that run without a mention where a class is called;
_SILENT = frozenset({"__repr__", "__str__", "__module__"})  # others run for an object, as x[i] does, but for these
_EVERY = frozenset({"vars", "dir", "__dict__"})  # who mentions these may read any attribute
_VARIABLE = "a variable of its closure"
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
        self._classes: dict[tuple[int, str], tuple[type, str, Any]] = {}
        self._contents: list[tuple[str, Any, Callable[[Any], Any], Any, list[Any]]] = []
        self._named_contents: list[tuple[str, Any, Callable[[Any], Any], Any, list[Any]]] = []
        self._filled: list[tuple[str, Any, Any]] = []
        self._settled: set[tuple[int, str]] = set()
        self._mentions: set[str] = set()
        self._functions: list[CodeType] = []  # that mention them
        self._followed: dict[int, Any] = {}  # kept, so that no other object gets the same id
        self._waiting: deque[tuple[Any, str]] = deque()
        self._having: defaultdict[str, list[Any]] = defaultdict(list)  # per name, the objects with such an attribute
        self._keys: dict[int, tuple[Any, set[str]]] = {}  # dicts of variables and attributes, and the names that were there
        self._same: _Same | None = None

    # ---------------------------------------------------------------------------------------- noting
    def note(self, owner: Any, name: str, value: Any) -> None:
        """An attribute was read. Of methods and properties the function is noted, and what they read by itself."""
        key = (id(owner), name)
        if key in self._noted or key in self._settled:
            return
        if name == "__dict__":
            self._noted[key] = (owner, name, value)
            self._contents.append((_label(owner, name), value, _parts, _parts(value), [*value, *value.values()]))
            self._follow_elements([*value.values()])
        elif name.startswith("__"):
            return
        elif _is_of_class(owner, name, value):
            self._settled.add(key)
            if isinstance(value, MethodType) and not (name.startswith("_") and _package(value) in _OURS):
                self._note_own(owner, name)  # one of its own would hide that of its class; no property can be hidden
            self._note_class(type(owner), name)
        elif isinstance(value, Tensor) and not value.is_known:
            return  # made while the function ran
        else:
            self._noted[key] = (owner, name, value)
            if isinstance(value, CONTAINERS) and not is_large_array(value):
                self._contents.append((_label(owner, name), value, copied, copied(value), elements_of(value)))
                self._follow_elements(value)
            else:
                self.follow(value, name)

    def written(self, owner: Any, name: str) -> None:
        """An attribute was set: what is read there later does not come from outside."""
        self._settled.add((id(owner), name))

    def follow(self, value: Any, name: str = "") -> None:
        """Note what a value from outside leads to: what a function mentions, what is in a container or an object."""
        self._waiting.append((value, name))
        if len(self._waiting) > 1:
            return  # the loop below is at work: one loop, so that a long chain of functions needs no deep recursion
        while self._waiting:
            self._follow(*self._waiting[0])
            self._waiting.popleft()

    def _follow(self, value: Any, name: str) -> None:
        if isinstance(value, (*PLAIN, Tensor)) or value is None or id(value) in self._followed:
            return
        self._followed[id(value)] = value
        for inner in _behind(value):
            self.follow(inner, name)
        if isinstance(value, Noted):
            self._note_class(type(value), "__call__")  # which Python looks up in the class, so that it is not noted
        elif isinstance(value, attrgetter | methodcaller):
            self._mention(_words(value.__reduce__()[1]))
        elif isinstance(value, FunctionType):
            self._follow_function(value)
        elif isinstance(value, CONTAINERS):
            if (value.size if isinstance(value, np.ndarray) else len(value)) <= MOST_ELEMENTS:
                self._named_contents.append((name, value, copied, copied(value), elements_of(value)))
                self._follow_elements(value)
            if not _is_of_library(type(value)):
                self._open(value)
        elif _package(value if isinstance(value, type | ModuleType) else type(value)) not in _OURS:
            self._open(value)

    def _open(self, thing: Any) -> None:
        """Note those attributes of an object, a class or a module that functions mention, now or later."""
        names = _attribute_names(thing)
        for place in _dicts(thing):
            self._note_keys(place)
        for name in names:
            self._having[name].append(thing)
        for name in sorted(names):
            if name in self._mentions or _is_special(thing, name):
                self._look_at(thing, name)

    def _follow_elements(self, container: Any) -> None:
        if not isinstance(container, np.ndarray):
            for value in flat(container):
                self.follow(value)

    def _follow_function(self, function: FunctionType) -> None:
        of_library = _is_of_library(function)
        for name in ("__defaults__", "__kwdefaults__"):
            defaults = getattr(function, name)
            if defaults and of_library:
                self._follow_elements(defaults)
            elif defaults:
                self._note_name(function, partial(getattr, function), name)
        for cell in function.__closure__ or ():
            if of_library:  # a decorator's wrapper: it does not change, what it wraps may
                self.follow(_content(cell, "", None))
            else:
                self._note_name(cell, partial(_content, cell), "")
        if of_library:
            return
        self._note_keys(function.__globals__)
        for name in sorted(_names(function.__code__) & function.__globals__.keys()):
            self._note_name(function.__globals__, function.__globals__.get, name)
        self._functions.append(function.__code__)
        self._mention(_names(function.__code__) | _words(_constants(function.__code__)))

    def _mention(self, names: set[str]) -> None:
        """Attributes of these names are read of any object."""
        for name in sorted(names - self._mentions):
            self._mentions.add(name)
            for thing in self._having[name]:
                self._look_at(thing, name)

    def _look_at(self, thing: Any, name: str) -> None:
        """Note an attribute; of methods and properties, what the classes have and their functions mention."""
        static = inspect.getattr_static(thing, name, None)
        special = _is_special(thing, name)
        if special and not isinstance(static, FunctionType | property | staticmethod | classmethod):
            return
        for cls in (thing, type(thing)) if isinstance(thing, type) else (type(thing),):
            self._note_class(cls, name)
        if special or isinstance(static, property):
            return  # nothing of its own can hide that
        if hasattr(static, "__get__") and not isinstance(static, MemberDescriptorType):
            self._note_own(thing, name)
        else:
            self._note_name(thing, partial(getattr, thing), name)

    def _note_keys(self, place: Any) -> None:
        """Note which names there are: one that a function mentions may be put there later."""
        if id(place) not in self._keys:
            self._keys[id(place)] = place, {*place}

    def _note_own(self, thing: Any, name: str) -> None:
        """Note a name in the dict of an object or a module, where it need not be."""
        own = _own(thing)
        if own is not None:
            self._note_name(own, own.get, name)

    def _note_class(self, cls: type, name: str) -> None:
        """Note what a class has under a name, and what its base classes have, which `super()` finds."""
        if not any(name in vars(base) for base in cls.__mro__):
            return
        for base in cls.__mro__:
            if (id(base), name) in self._classes:
                continue
            static = vars(base).get(name)
            if not _is_of_library(base):
                self._classes[id(base), name] = (base, name, static)
            self._follow_static(static)

    def _follow_static(self, static: Any) -> None:
        """Follow the function of an attribute as its class has it."""
        if isinstance(static, property):
            self.follow(static.fget)
        elif isinstance(static, staticmethod | classmethod):
            self.follow(static.__func__)
        elif isinstance(static, cached_property):
            self.follow(static.func)
        else:
            self.follow(static)

    def _note_name(self, place: Any, get: Callable[[str, Any], Any], name: str) -> None:
        value = get(name, _ABSENT)
        if (id(place), name) in self._names or (isinstance(value, Tensor) and not value.is_known):
            return
        self._names[id(place), name] = (place, get, name, value)
        if value is not _ABSENT:
            self.follow(value, name)

    def finish(self) -> None:
        """The function has run. A container to which it only added, such as a cache or a log, may get more, but keeps that."""
        while self._named_contents:
            entry = self._named_contents.pop()
            label, container, _, copy, _ = entry
            if has_content(*entry[1:]) or not holds(container, copy):
                self._contents.append(entry)
            else:
                self._filled.append((label, container, copied(container)))
                self._follow_elements(container)

    # ---------------------------------------------------------------------------------------- looking again
    def changed(self) -> str | None:
        """What is another value now, in words; None if nothing is. It takes about a tenth of a microsecond per value."""
        same = self._same  # another thread may look, too
        if same is not None and same.holds():
            return None
        changed = self._changed()
        if changed is None:
            containers = [c[1] for c in chain(self._contents, self._filled)]
            places = [place for place, _ in self._keys.values()]
            self._same = _Same(self._noted.values(), self._names.values(), self._classes.values(), containers, places)
        else:
            self._same = None
        return changed

    def _changed(self) -> str | None:
        return next(chain(self._other_values(), self._other_names(), self._other_contents()), None)

    def _other_values(self) -> Iterator[str]:
        for owner, name, value in self._noted.values():
            found = _get(owner, name) if _has(owner, name) else _ABSENT
            if found is not value and not alike(found, value):
                yield _label(owner, name)
        for _, get, name, value in self._names.values():
            found = get(name, _ABSENT)
            if found is not value and not alike(found, value):
                yield name or _VARIABLE
        for cls, name, static in self._classes.values():
            found = vars(cls).get(name)
            if found is not static and not alike(found, static):
                yield f"{cls.__name__}.{name}"

    def _other_names(self) -> Iterator[str]:
        """Names that were mentioned, and are there now or no longer."""
        every = not self._mentions.isdisjoint(_EVERY)
        for place, names in self._keys.values():
            other = names ^ place.keys()
            read = other if every else other & self._mentions
            if not every:  # a name to which functions only assign is none that they read
                read = {name for name in read if any(_reads_name(code, name) for code in self._functions)}
            yield from sorted(read)
            names.symmetric_difference_update(other)

    def _other_contents(self) -> Iterator[str]:
        for label, *content in self._contents:
            if not has_content(*content):
                yield label or _VARIABLE
        for label, container, copy in self._filled:
            if not holds(container, copy):
                yield label or _VARIABLE


class _Same:
    """All that was read, object by object: as long as each is the same one, nothing has changed.

    This is looked at in every call, so that the loops are those of C. Where an object is another one, it may still be equal.
    """

    def __init__(
        self,
        noted: Collection[Any],
        names: Collection[Any],
        classes: Collection[Any],
        containers: Collection[Any],
        places: Collection[Any],
    ) -> None:
        found = [(owner, name) for owner, name, _ in noted if _has(owner, name)]
        self._absent = [(owner, name) for owner, name, _ in noted if not _has(owner, name)]
        self._iterated: list[Any] = []
        self._sized: list[Any] = []
        self._arrays: list[Any] = []
        opened: set[int] = set()
        for container in containers:
            self._open(container, opened)
        variables = [(place, name) for place, _, name, _ in names if isinstance(place, dict)]
        # Most attributes are in the dict of their object, where C finds them fastest.
        variables += [(attributes(owner), name) for owner, name in found if _in_dict(owner, name)]
        variables = [(place, name) for place, name in variables if id(place) not in opened]
        found = [(owner, name) for owner, name in found if not _in_dict(owner, name)]
        others = [(place, name or "cell_contents") for place, _, name, _ in names if not isinstance(place, dict)]
        classes = [(vars(cls), name) for cls, name, _ in classes]
        self._sized += places
        self._sizes = [*map(len, self._sized)]
        self._elements = [*chain.from_iterable(self._iterated)]
        self._bytes = [*map(copied, self._arrays)]
        places = (dict.get, variables), (_get, found), (getattr, others), (MappingProxyType.get, classes)
        self._checks: list[Callable[[], bool]] = [_Read(get, pairs).same for get, pairs in places if pairs]
        self._checks += [self._same_containers] if self._sized else []
        self._checks += [self._same_arrays] if self._arrays else []
        self._checks += [self._still_absent] if self._absent else []

    def _open(self, container: Any, opened: set[int]) -> None:
        if id(container) in opened:
            return
        opened.add(id(container))
        if isinstance(container, np.ndarray):
            self._arrays.append(container)
            return
        parts: list[Any] = [container.keys(), container.values()] if isinstance(container, Mapping) else [container]
        if not isinstance(container, tuple | frozenset):  # which cannot change, but for what is in what they hold
            self._iterated += parts
            self._sized.append(container)
        for value in chain.from_iterable(parts):
            if isinstance(value, CONTAINERS):
                self._open(value, opened)

    def holds(self) -> bool:
        """Whether every object is the same one."""
        try:
            for same in self._checks:
                if not same():
                    return False
        except (AttributeError, ValueError, RuntimeError):  # deleted, a closure's empty variable, changed by another thread
            return False
        return True

    def _same_containers(self) -> bool:
        same_sizes = [*map(len, self._sized)] == self._sizes
        return same_sizes and all(map(is_, chain.from_iterable(self._iterated), self._elements))

    def _same_arrays(self) -> bool:
        return [*map(copied, self._arrays)] == self._bytes

    def _still_absent(self) -> bool:
        return not any(_has(owner, name) for owner, name in self._absent)


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
        return all(map(is_, map(self._function, self._first, self._second), self._values))


def _behind(value: Any) -> tuple[Any, ...]:
    """What something calls, or stands for, that is not found by looking at it."""
    if isinstance(value, MethodType):
        return value.__self__, value.__func__
    if isinstance(value, partial):
        return value.func, *value.args, *value.keywords.values()
    if isinstance(value, Primitive):
        return value.body, value.evaluate, value.pullback, *(value.partials or ())
    if isinstance(value, ReferenceType):
        return (value(),)
    if hasattr(type(value), "__get__"):  # a function, or a decorator's, such as that of functools.cache
        return (getattr(value, "__wrapped__", None),)
    return ()


def _own(thing: Any) -> dict[str, Any] | None:
    """The dict of an object or a module; None for a class, and for an object without one."""
    try:
        own = _get(thing, "__dict__")
    except AttributeError:
        return None
    return own if isinstance(own, dict) and not isinstance(thing, type) else None


def _dicts(thing: Any) -> list[Any]:
    """Where the attributes of an object, a class or a module are, but for those that are of a library."""
    if isinstance(thing, ModuleType):
        return [] if _is_of_library(thing) else [vars(thing)]
    own = _own(thing)
    classes = thing.__mro__ if isinstance(thing, type) else type(thing).__mro__
    return [*([] if own is None else [own]), *(vars(c) for c in classes if not _is_of_library(c))]


def _is_of_class(owner: Any, name: str, value: Any) -> bool:
    """Whether this attribute is a property or a method that its class has."""
    if isinstance(getattr(type(owner), name, None), property):
        return True
    return isinstance(value, MethodType) and name not in attributes(owner)


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


def _package(thing: Any) -> str:
    """The package in which a function, class or module is defined; empty if it does not say."""
    name = thing.__name__ if isinstance(thing, ModuleType) else getattr(thing, "__module__", None)
    return name.partition(".")[0] if isinstance(name, str) else ""


def _is_of_library(thing: Any) -> bool:
    """Whether a function, class or module is one of Python's or of a package that is installed."""
    package = _package(thing)
    return package in _OURS or package in sys.stdlib_module_names or _is_installed(package)


@cache
def _is_installed(package: str) -> bool:
    module = sys.modules.get(package)
    places = [getattr(module, "__file__", None) or "", *getattr(module, "__path__", ())]
    return any(not _INSTALLED.isdisjoint(PurePath(place).parts) for place in places)


def _is_special(thing: Any, name: str) -> bool:
    """Whether a method runs without a mention: where a class is called, or for what an object does, as x[i]."""
    return name.startswith("__") and name not in _SILENT and (name in _MAKING) == isinstance(thing, type)


def _attribute_names(thing: Any) -> set[str]:
    """The names of the attributes of an object, a class or a module, without those that are of a library."""
    if isinstance(thing, ModuleType):
        return set() if _is_of_library(thing) else set(vars(thing))
    classes: tuple[type, ...] = type(thing).__mro__
    if isinstance(thing, type):
        classes = thing.__mro__ + classes
    own = {} if isinstance(thing, type) else getattr(thing, "__dict__", {})
    names = (name for c in classes if not _is_of_library(c) for name in vars(c))
    return {*own, *names}


def _content(cell: Any, _: str, default: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not assigned yet
        return default


def _codes(code: CodeType) -> list[CodeType]:
    """The code of a function, and of those within it."""
    return [code, *(c for inner in code.co_consts if isinstance(inner, CodeType) for c in _codes(inner))]


def _names(code: CodeType) -> set[str]:
    return {name for c in _codes(code) for name in c.co_names}


def _reads_name(code: CodeType, name: str) -> bool:
    """Whether a function reads what is under a name, and does not only put something there."""
    if name in _names(code):
        found = (i for c in _codes(code) for i in dis.get_instructions(c) if i.opcode in dis.hasname and i.argval == name)
        if any(not i.opname.startswith("STORE_") for i in found):
            return True
    return name in _words(_constants(code))


def _constants(code: CodeType) -> list[Any]:
    return [value for c in _codes(code) for value in c.co_consts]


def _words(values: Collection[Any]) -> set[str]:
    """The names in texts such as those given to `getattr` and `attrgetter`."""
    return {word for value in values if isinstance(value, str) for word in value.split(".") if word.isidentifier()}


def _parts(attributes: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """The modules and Tensors among attributes."""
    return [(n, v) for n, v in attributes.items() if isinstance(v, Noted) or (isinstance(v, Tensor) and v.is_known)]
