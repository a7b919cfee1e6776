"""Backends run graphs. `get` finds one by name."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

from chainrule.backends.contract import Backend, Program, Variable
from chainrule.errors import ArgumentError, message

# Name: module, the object in it, and the package that it needs (chainrule itself: none). Fastest first; loaded when asked for.
BACKENDS = {
    "native": ("chainrule.backends.native", "NATIVE", "llvmlite"),
    "reference": ("chainrule.backends.reference", "REFERENCE", "chainrule"),
}

__all__ = ["BACKENDS", "Backend", "Program", "Variable", "available", "check_threads", "get"]


def available() -> list[str]:
    """Names of the backends whose packages are installed, the fastest first."""
    return [name for name, (_, _, package) in BACKENDS.items() if find_spec(package) is not None]


def check_threads(threads: int | None) -> int | None:
    """The number of threads as it was given.

    Raises:
        ArgumentError: it is neither None nor a whole number from 1 on.
    """
    if threads is not None and (isinstance(threads, bool) or not isinstance(threads, int) or threads < 1):
        raise ArgumentError(
            message(f"threads={threads!r} was given", "it is a whole number from 1 on, or None", "Leave it out to use all.")
        )
    return threads


def get(name: str = "auto") -> Backend:
    """The backend of that name; "auto" takes the fastest one that is there.

    Raises:
        ArgumentError: there is no such backend.
        MissingDependency: the package that it needs is not installed.
    """
    if name == "auto":
        name = available()[0]
    if name not in BACKENDS:
        raise ArgumentError(
            message(f"the backend {name!r} was asked for", f"there are {', '.join(BACKENDS)}", "Use one of these, or 'auto'.")
        )
    module, attribute, _ = BACKENDS[name]
    backend: Backend = getattr(import_module(module), attribute)
    return backend
