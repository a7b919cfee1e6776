"""Types of options and arguments: choices among names that extensions may add to, and names of files."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    Base = click.ParamType[str]
else:
    Base = click.ParamType  # no generic class before click 8.3


class OneOf(Base):
    """One of some names, which are looked up when they are needed, not when the option is defined."""

    name = "choice"

    def __init__(self, allowed: Callable[[], Iterable[str]], *, case_sensitive: bool = True) -> None:
        self._allowed = allowed
        self._case_sensitive = case_sensitive

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The name; refused with the list of those that there are."""
        return click.Choice(list(self._allowed()), case_sensitive=self._case_sensitive).convert(value, param, ctx)

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        """The names, for the help."""
        return f"[{'|'.join(self._allowed())}]"


class Place(click.Path):
    """The name of a file, folder or data set. An empty one, as of an unset variable of a script, would be this folder."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The name; refused where it is empty."""
        if value == "":
            self.fail("the name is empty; give the name of a file or folder.", param, ctx)
        return super().convert(value, param, ctx)
