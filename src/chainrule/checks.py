"""Checks of arguments that several parts share, one per kind. Each raises ArgumentError and says what to write."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import numpy as np

from chainrule.errors import ArgumentError

T = TypeVar("T")


def described(value: Any) -> str:
    """What was given, for an error: a plain value itself, a class by its name, anything else by its kind."""
    if value is None or isinstance(value, bool | int | float | str | np.generic):
        return repr(value)
    if isinstance(value, type):
        return f"the class {value.__name__}"
    name, origin = type(value).__name__, type(value).__module__.partition(".")[0]
    article = "an" if name[0] in "AEIOUaeiou" else "a"
    return f"{article} {name} of PyTorch" if origin == "torch" else f"{article} {name}"


def kind(value: Any, wanted: type[T] | tuple[type[T], ...], who: str, expected: str, fix: str) -> T:
    """The value, which must be of a class.

    Args:
        value: what was given.
        wanted: the class.
        who: got it, and as what ("Trainer got {} as its model", with {} for what was given).
        expected, fix: see `errors.ChainruleError`.
    """
    if isinstance(value, wanted):
        return value
    raise ArgumentError(who.format(described(value)), expected, fix)


def subclass(value: Any, base: type, who: str) -> None:
    """Refuse what is not a class with this base."""
    if not (isinstance(value, type) and issubclass(value, base)):
        fix = f"Write class Mine({base.__module__.split('.')[1]}.{base.__name__}): …, and give the class itself."
        raise ArgumentError(f"{who} got {described(value)}", f"it takes a subclass of {base.__name__}", fix)


def listed(values: Any, who: str, expected: str, fix: str) -> list[Any]:
    """What is given as several values: a list, or anything else that `for` goes through, except texts and mappings."""
    if isinstance(values, Iterable) and not isinstance(values, str | Mapping) and getattr(values, "shape", None) != ():
        return list(values)
    raise ArgumentError(who.format(described(values)), expected, fix)


def within(value: Any, outer: tuple[Any, ...], what: str) -> tuple[Any, ...]:
    """The containers around the parts of `value`, for a walk through nested ones: those around it, and it.

    Args:
        value: a list, tuple or mapping.
        outer: what this gave for the container around it; () for the outermost.
        what: is walked through, for the error.

    Raises:
        ArgumentError: it contains itself, so the walk would not end.
    """
    if any(value is container for container in outer):
        kind = type(value).__name__
        raise ArgumentError(f"{what} holds a {kind} that contains itself", "its parts have no end", "Take it out of itself.")
    return (*outer, value)


def each(values: Any, wanted: type[T], who: str, expected: str, fix: str) -> list[T]:
    """The values, which must be several of a class. See `kind`."""
    return [kind(value, wanted, who, expected, fix) for value in listed(values, who, expected, fix)]


def index(owner: str, name: str, value: Any) -> int:
    """A setting that is an integer of any sign."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise ArgumentError(f"{owner} got {name}={value!r}", "it must be an integer", "Check the setting.")
    return int(value)


def whole(owner: str, name: str, value: Any, least: int, fix: str = "Check the setting.") -> int:
    """A setting that is an integer, at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise ArgumentError(f"{owner} got {name}={value!r}", f"it must be an integer ≥ {least}", fix)
    return int(value)


def real(owner: str, name: str, value: Any) -> float:
    """A setting that is a number."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise ArgumentError(f"{owner} got {name}={value!r}", "it must be a number", "Check the setting.")
    return float(value)


def path(value: Any, what: str) -> Any:
    """A path, which is a text or a path object; files that are open, and numbers of them, are none."""
    if isinstance(value, str | os.PathLike):
        return value
    raise ArgumentError(f"{what} is {described(value)}", "it is a path on disk", "Give a text or a pathlib.Path.")


def function(value: Any, owner: str, fix: str) -> None:
    """Refuse what cannot be called."""
    if not callable(value):
        raise ArgumentError(f"{owner} got {described(value)}", "it takes a function", fix)


def takes(called: Callable[..., Any], arguments: tuple[str, ...], what: str) -> None:
    """Refuse a function that cannot be called with these arguments by position."""
    try:
        inspect.signature(called).bind(*arguments)
    except ValueError:  # written in C, without a signature
        return
    except TypeError as error:
        names = ", ".join(arguments)
        raise ArgumentError(
            f"{what} cannot be called with ({names}) ({error})", "it must accept these arguments", f"Write def f({names}): …"
        ) from None
