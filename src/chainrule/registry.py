"""The tables of what can be chosen by name: one way to enter a thing."""

from __future__ import annotations

from typing import Any

from chainrule.errors import ArgumentError, message


def enter(table: dict[str, Any], what: str, name: str, thing: Any, origin: Any) -> None:
    """Enter a thing into a table.

    Args:
        table: by name.
        what: what the table holds, for messages: "layer".
        name: of the thing.
        thing: the thing.
        origin: the class or function that makes it what it is. Defined again, in a notebook cell or by a reload, it takes its
            own place.

    Raises:
        ArgumentError: the name is taken by something else.
    """
    known = ORIGINS.get((id(table), name))
    if name in table and known != _home(origin):
        owner = "chainrule itself" if known is None else ".".join(known)
        raise ArgumentError(
            message(f"a second {what} named {name} was registered", f"the name belongs to {owner}", "Choose another name.")
        )
    ORIGINS[id(table), name] = _home(origin)
    table[name] = thing


# Where each entry was defined.
ORIGINS: dict[tuple[int, str], tuple[str, str]] = {}


def _home(origin: Any) -> tuple[str, str]:
    return origin.__module__, origin.__qualname__
