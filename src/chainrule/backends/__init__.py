"""Backends run graphs. `get` finds one by name."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

from chainrule import checks, registry
from chainrule.backends.contract import Backend, Program, Variable
from chainrule.errors import ArgumentError

# Name: module, the object in it, and the package that it needs (chainrule itself: none). Fastest first; loaded when asked for.
BACKENDS = {
    "native": ("chainrule.backends.native", "NATIVE", "llvmlite"),
    "reference": ("chainrule.backends.reference", "REFERENCE", "chainrule"),
}

# Registered by `register_backend`.
OTHERS: dict[str, Backend] = {}

__all__ = ["BACKENDS", "OTHERS", "Backend", "Program", "Variable", "available", "check_threads", "get", "register_backend"]


def available() -> list[str]:
    """Names of the backends whose packages are installed, the fastest first; then those that were registered."""
    return [*(name for name, (_, _, package) in BACKENDS.items() if find_spec(package) is not None), *OTHERS]


def check_threads(threads: int | None) -> int | None:
    """The number of threads as it was given.

    Raises:
        ArgumentError: it is neither None nor a whole number from 1 on.
    """
    if threads is not None and (isinstance(threads, bool) or not isinstance(threads, int) or threads < 1):
        raise ArgumentError(
            f"threads={threads!r} was given", "it must be a whole number ≥ 1, or None", "Leave it out to use all."
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
    if name in OTHERS:
        return OTHERS[name]
    if name not in BACKENDS:
        known = ", ".join([*BACKENDS, *OTHERS])
        raise ArgumentError(f"the backend {name!r} was asked for", f"there are {known}", "Use one of these, or 'auto'.")
    module, attribute, _ = BACKENDS[name]
    backend: Backend = getattr(import_module(module), attribute)
    return backend


def register_backend(name: str, backend: Backend) -> Backend:
    """Enter a backend into the table, so that it can be chosen by name wherever ours can. "auto" does not take it.

    Raises:
        ArgumentError: it is no backend, or the name is taken.
    """
    checks.kind(name, str, "extend.backend got {} as a name", "it takes a text", "Write extend.backend('mine', Mine()).")
    if isinstance(backend, type) or not all(callable(getattr(backend, method, None)) for method in ("compile", "hold")):
        raise ArgumentError(
            f"the backend {name} is {checks.described(backend)}",
            "it is an object with the methods compile and hold",
            "See chainrule.backends.Backend.",
        )
    if name in (*BACKENDS, "auto"):
        raise ArgumentError(f"a backend named {name} was registered", "chainrule has one", "Choose another name.")
    registry.enter(OTHERS, "backend", name, backend, type(backend))
    return backend
