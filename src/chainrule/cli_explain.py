"""Commands that show the work: explain, check, draw. Added to the command line in `chainrule.cli`."""

# ruff: noqa: PLC0415 -- a command loads what it needs when it is called, so that the others start quickly
from __future__ import annotations

import ast
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from chainrule.errors import ArgumentError, OutputError
from chainrule.errors import explain as message
from chainrule.tensor import Tensor, parameter

FORMS = ("graph", "path", "matrix", "update", "attribution")
LANGUAGES = ("en", "zh")
WRONG_CLAIMS = 1


def _calculation(formula: str, givens: Sequence[str]) -> tuple[Tensor, list[Tensor]]:
    """The graph of a typed formula, and the Tensors of its given values.

    Raises:
        ArgumentError: a value that is not NAME=NUMBER, or a formula that cannot be read.
    """
    from chainrule.explain import expression

    leaves = {name: parameter(value, name=name) for name, value in map(_given, givens)}
    return expression(formula, **leaves), list(leaves.values())


def _given(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    try:
        number = ast.literal_eval(value.strip())
    except (ValueError, SyntaxError):
        number = None
    if not equals or not name.strip().isidentifier() or not isinstance(number, int | float | list):
        raise ArgumentError(
            message(
                f"the value {text!r} was given",
                "a value is NAME=NUMBER or NAME=[NUMBERS]",
                "For example: x1=0.35 W='[[1,2],[3,4]]'.",
            )
        )
    return name.strip(), number


@click.command(short_help="Derive a gradient of a typed formula, step by step.")
@click.argument("formula")
@click.argument("given", nargs=-1, metavar="[NAME=NUMBER]…")
@click.option(
    "--wrt", multiple=True, metavar="NAME", help="Derive by this name; by all given ones if left out. May be repeated."
)
@click.option("--form", type=click.Choice(FORMS), default="graph", show_default=True, help="How it is derived.")
@click.option("--language", type=click.Choice(LANGUAGES), default="en", show_default=True)
@click.option("--precision", type=click.IntRange(1, 17), default=6, show_default=True, help="Significant digits shown.")
@click.option("--expand", is_flag=True, help="Show blocks such as softmax through their bodies.")
@click.option("--lr", type=float, default=1.0, show_default=True, help="Learning rate, for --form update (SGD).")
@click.option("--out", "-o", type=click.Path(), help="Write .html, .md, .tex, .txt or .json in place of printing.")
def explain(formula: str, given: tuple[str, ...], out: str | None, **options: Any) -> None:
    """Show how the gradient of FORMULA comes about, with symbols and numbers.

    FORMULA is one line, or parts separated by ';' that give names to intermediate results.

    \b
    Examples:
      chainrule explain "price * tax * count" price=20 tax=1.1 count=2
      chainrule explain "h = sigmoid(w1*x); E = 0.5*(sigmoid(w2*h) - t)**2" x=0.35 w1=0.1 w2=0.3 t=0.5 --wrt w1 --form path
      chainrule explain "max(0, w*x + b)" w=2 x=-1 b=0.5 --language zh
    """
    from chainrule.explain import explain as derive
    from chainrule.optim import SGD

    output, leaves = _calculation(formula, given)
    derivation = derive(
        output,
        list(options["wrt"]) or None,
        form=options["form"],
        language=options["language"],
        precision=options["precision"],
        blocks="expanded" if options["expand"] else "whole",
        optimizer=SGD(leaves, lr=options["lr"]) if options["form"] == "update" else None,
    )
    if out is None:
        click.echo(str(derivation))
    else:
        derivation.save(out)
        click.echo(f"Written to {out}.")


@click.command(short_help="Grade a calculation made by hand, and name the slip.")
@click.argument("homework", type=click.Path(), required=False)
@click.option("--new", is_flag=True, help="Print a file to start from.")
@click.option("--language", type=click.Choice(LANGUAGES), help="Language of the answers; the file's by default.")
@click.option("--json", "as_json", is_flag=True, help="Print the grading as JSON.")
@click.pass_context
def check(context: click.Context, homework: str | None, new: bool, language: Any, as_json: bool) -> None:
    """Compare the claims in a HOMEWORK file with the true calculation, and say which slip explains a wrong number.

    The exit code is 0 if every claim is right (or right but for rounding), 1 if not.

    \b
    Examples:
      chainrule check --new > homework.toml
      chainrule check homework.toml
      chainrule check homework.toml --json --language zh
    """
    from chainrule.explain import read_homework
    from chainrule.explain.homework import TEMPLATE

    if new:
        click.echo(TEMPLATE, nl=False)
        return
    if homework is None:
        raise ArgumentError(
            message("check got no file", "it grades a TOML file", "Start with: chainrule check --new > homework.toml")
        )
    grading = read_homework(homework).grade(language)
    click.echo(json.dumps(grading.to_dict(), indent=2, ensure_ascii=False) if as_json else str(grading))
    if not grading.correct:
        context.exit(WRONG_CLAIMS)


@click.command(short_help="Draw the graph of a typed formula, with values and gradients.")
@click.argument("formula")
@click.argument("given", nargs=-1, metavar="[NAME=NUMBER]…")
@click.option("--out", "-o", type=click.Path(), default="graph.svg", show_default=True, help="File to write: .svg or .html.")
@click.option("--kind", type=click.Choice(("graph", "network")), default="graph", show_default=True)
@click.option("--theme", type=click.Choice(("auto", "light", "dark")), default="auto", show_default=True)
@click.option("--expand", is_flag=True, help="Unfold blocks such as softmax.")
def draw(formula: str, given: tuple[str, ...], out: str, **options: Any) -> None:
    """Draw FORMULA as a graph: forward values above the edges, gradients below.

    \b
    Examples:
      chainrule draw "price * tax * count" price=20 tax=1.1 count=2 --out car.svg
      chainrule draw "h = tanh(W1 @ x); y = sigmoid(W2 @ h)" x=[1,2] "W1=[[1,2],[3,4]]" "W2=[[0.5,-0.5]]" --kind network
    """
    from chainrule.explain import draw as drawing

    output, _ = _calculation(formula, given)
    blocks = "expanded" if options["expand"] else "whole"
    picture = drawing(output, kind=options["kind"], theme=options["theme"], blocks=blocks)
    try:
        picture.save(out)
    except OSError as error:
        raise OutputError(
            message(f"{out} could not be written ({error.strerror})", "its folder must exist and have room", "Choose another.")
        ) from None
    click.echo(f"Drawn to {Path(out)}.")
