"""Backends run graphs. `get` finds one by name."""

from __future__ import annotations

from chainrule.backends.contract import Backend, Program
from chainrule.backends.reference import REFERENCE
from chainrule.errors import ArgumentError, explain

BACKENDS: dict[str, Backend] = {REFERENCE.name: REFERENCE}

__all__ = ["BACKENDS", "Backend", "Program", "get"]


def get(name: str = "auto") -> Backend:
    """The backend of that name; "auto" takes the fastest one that is there.

    Raises:
        ArgumentError: there is no such backend.
    """
    if name == "auto":
        return REFERENCE
    if name not in BACKENDS:
        raise ArgumentError(
            explain(f"the backend {name!r} was asked for", f"there are {', '.join(BACKENDS)}", "Use one of these, or 'auto'.")
        )
    return BACKENDS[name]
