"""Tables and counts as the command line prints them."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from chainrule.cli.output import echo, shown
from chainrule.job.inputs import Encoder, Listing
from chainrule.job.measures import measure_text


def count(number: int, what: str) -> str:
    """`1 row`, `2 rows`."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def show_inputs(features: Encoder[Any]) -> None:
    """What became of every column, or what every row is."""
    described = features.description()
    if isinstance(described, Listing):
        show_listing(described)
    else:
        echo(features.line() or described[0])


def show_listing(listing: Listing) -> None:
    """Columns one by one where they are few, else those that are alike together."""
    shortened = listing.shortened()
    show_table(shortened.heads, shortened.rows)


def show_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table as wide as the terminal, or 140 characters."""
    table = Table(*header, box=SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        table.add_row(*(Text(shown(cell)) for cell in row))  # as Text, so that [brackets] in names are not taken for markup
    console = Console(width=None if sys.stdout.isatty() else 140)
    with console.capture() as text:  # rich by itself ends the program where nobody reads any more
        console.print(table)
    click.echo(text.get(), nl=False)  # what stands in it is shown already, and rich's own colours stay


def show_measures(metrics: Mapping[str, float], baseline: Mapping[str, float]) -> None:
    """Measures of a network beside those of the best constant answer."""
    rows = [
        (name, measure_text(value), measure_text(baseline[name]) if name in baseline else "") for name, value in metrics.items()
    ]
    show_table(("measure", "network", "baseline"), rows)
