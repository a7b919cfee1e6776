"""The tables of what can be chosen by name, and the one way to register in them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from chainrule.errors import ArgumentError


def enter(table: dict[str, Any], what: str, name: str, thing: Any, origin: Any) -> None:
    """Enter a thing into a table. What comes with chainrule cannot be replaced.

    Args:
        table: by name.
        what: what the table holds, for messages: "layer".
        name: of the thing.
        thing: the thing.
        origin: the class or function that makes it what it is. Defined again, in a notebook cell or by a reload, it takes its
            own place. None: nothing takes its place.

    Raises:
        ArgumentError: the name is taken by something else.
    """
    check(table, what, name, thing, origin)
    if origin is not None:
        ORIGINS[id(table), name] = _home(origin)
    table[name] = thing


def check(table: dict[str, Any], what: str, name: str, thing: Any, origin: Any) -> None:
    """Raise what `enter` would raise."""
    if name not in table or table[name] is thing:
        return
    known = ORIGINS.get((id(table), name))
    if known is None or known != _home(origin) or known[0].startswith("chainrule."):
        owner = "chainrule itself" if known is None else ".".join(known)
        raise ArgumentError(
            f"a second {what} named {name} was registered", f"the name belongs to {owner}", "Choose another name."
        )


def check_commands(what: str, own: Iterable[str], taken: Iterable[str]) -> None:
    """Refuse a thing whose names on the command line are those of others.

    Raises:
        ArgumentError: one of them is taken.
    """
    for name in sorted({*own} & {*taken}):
        raise ArgumentError(
            f"a second {what} with the name {name} on the command line was registered",
            "there is one already, and each has a name of its own",
            "Choose another name.",
        )


# Where each entry was defined.
ORIGINS: dict[tuple[int, str], tuple[str, str]] = {}


def _home(origin: Any) -> tuple[str, str]:
    """Module and name of a class or function; of the class of anything else, such as an object that can be called."""
    kind = type(origin)
    return getattr(origin, "__module__", kind.__module__), getattr(origin, "__qualname__", kind.__qualname__)
