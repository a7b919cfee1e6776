"""Options of the command line that say how a table is read; the same for every command that reads one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click


def _character(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """A tab is hard to type: `\\t` stands for one."""
    return "\t" if value == "\\t" else value


delimiter = click.option(
    "--delimiter", callback=_character, help="Character between the fields of a text table; detected by default."
)
encoding = click.option("--encoding", help="Encoding of a text table, e.g. gb18030, big5, shift_jis. [default: utf-8]")
kinds = click.option(
    "--kind",
    "kinds",
    multiple=True,
    metavar="COLUMN=KIND",
    help="How to read a column, e.g. zip=categorical, day=date:day/month/year. May be repeated.",
)
missing = click.option(
    "--missing",
    multiple=True,
    metavar="WORD",
    help="A word that stands for a missing value, in addition to the known ones. May be repeated.",
)


def how_to_read(command: Callable[..., Any]) -> Callable[..., Any]:
    """All four options."""
    return kinds(missing(delimiter(encoding(command))))
