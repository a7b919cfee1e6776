"""The command that diagnoses a saved network. Added to the command line in `chainrule.cli`."""

# ruff: noqa: PLC0415 -- a command loads what it needs when it is called, so that the others start quickly
from __future__ import annotations

import json
from typing import Any

import click

from chainrule.cli.choices import Place
from chainrule.cli.output import echo
from chainrule.language import LANGUAGES

FOUND = 1


@click.command(short_help="Find what is wrong with a trained network, in numbers.")
@click.argument("model", type=Place())
@click.argument("data", type=Place())
@click.option("--language", type=click.Choice(LANGUAGES), default="en", show_default=True)
@click.option("--json", "json_file", type=Place(), metavar="FILE", help="Write findings and numbers as JSON; - to print it.")
@click.pass_context
def diagnose(context: click.Context, model: str, data: str, language: Any, json_file: str | None) -> None:
    """Look for what keeps MODEL from learning, on DATA with known answers: what is wrong, the numbers that show it, the
    derivation behind it, and what to change.

    MODEL is a run folder or a model.safetensors file; a run folder also has the settings and the history of the run,
    which are needed to judge the learning rate and overfitting. DATA is a table, pictures, or a built-in set, as for
    `chainrule evaluate`.
    Layers are numbered as `chainrule info` does.

    The exit code is 0 if nothing is found, 1 if something is, and 2 for wrong use or bad input.

    \b
    Examples:
      chainrule diagnose runs/titanic-1 titanic.csv
      chainrule diagnose runs/digits-1 digits --language zh
      chainrule diagnose runs/digits-1 digits --json findings.json
    """
    from chainrule.fileio import write_file
    from chainrule.job.diagnosing import diagnose_saved
    from chainrule.job.outputs import refuse_overwriting

    if json_file not in (None, "-"):
        refuse_overwriting(str(json_file), model, data)
    found = diagnose_saved(model, data, language)
    content = json.dumps(found.to_dict(), indent=2, ensure_ascii=False)
    if json_file == "-":
        echo(content)
    else:
        echo(f"{found}\n\n{found.layer_table()}")
    if json_file not in (None, "-"):
        write_file(str(json_file), (content + "\n").encode(errors="backslashreplace"))
        echo(f"\nWritten to {json_file}.")
    if found:
        context.exit(FOUND)
