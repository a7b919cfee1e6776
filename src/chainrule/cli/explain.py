"""The commands explain, check and draw. Added to the command line in `chainrule.cli`."""

# ruff: noqa: PLC0415 -- a command loads what it needs when it is called, so that the others start quickly
from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from chainrule.cli.choices import OneOf, Place
from chainrule.cli.output import echo
from chainrule.derivations.forms import Form
from chainrule.errors import ArgumentError
from chainrule.language import LANGUAGES
from chainrule.optim import OPTIMIZERS

if TYPE_CHECKING:
    from chainrule.drawing import Drawing
    from chainrule.grading import Homework

FORMS = get_args(Form)
PICTURES = ("graph", "network", "curves", "regions", "gradient-flow")
WRONG_CLAIMS, NOT_GRADED = 1, 3
_NEGATIVE_FORMULA = re.compile(r"-(?!o)[\w(.].")  # no option has one minus and several letters but -oFILE
_RUN = re.compile(r"[\w.-]*[A-Za-z_][\w.-]*(/[\w.-]+)+/?")  # a path, where no values are given for a formula


def _calculation(formula: str, givens: Sequence[str]) -> Homework:
    """What a typed formula, or a homework file, calculates.

    Args:
        formula: the formula, or the name of a .toml file.
        givens: NAME=NUMBER; they come before the numbers of a file.

    Raises:
        ArgumentError: a value that is not NAME=NUMBER, a name that is given twice, or a file that cannot be read.
    """
    from chainrule.grading import Homework, read_homework

    homework = read_homework(formula) if formula.endswith(".toml") else Homework(formula, {})
    values: dict[str, Any] = {}
    for text in givens:
        name, number = _given(text)
        if name in values:
            raise ArgumentError(
                f"{name} was given twice, as {values[name]} and {number}", "a name has one value", "Leave one out."
            )
        values[name] = number
    return replace(homework, given={**homework.given, **values})


def _with_optimizer(homework: Homework, name: str | None, lr: float | None, l2: float | None, wrt: Sequence[str]) -> Homework:
    """With an optimiser as the options say; else as the file says; else SGD with learning rate 1."""
    # The file's settings are those of its own optimiser.
    own = dict(homework.optimizer) if name is None else {k: v for k, v in homework.optimizer.items() if k == "parameters"}
    said = {"name": name, "lr": lr, "weight_decay": l2, "parameters": [w.partition("[")[0] for w in wrt] or None}
    chosen = {key: value for key, value in said.items() if value is not None}
    return replace(homework, optimizer={"lr": 1.0, **own, **chosen})


def _given(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    try:
        number = ast.literal_eval(value.strip())
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        number = None
    if not equals or not name.strip().isidentifier() or not _is_numeric(number):
        raise ArgumentError(
            f"the value {text!r} was given",
            "a value is NAME=NUMBER or NAME=[NUMBERS]",
            "For example: x1=0.35 W='[[1,2],[3,4]]'.",
        )
    return name.strip(), number


def _refuse_overwriting(out: str, *inputs: str | None) -> None:
    if Path(out).exists():  # what knows of runs is loaded only then
        from chainrule.job.outputs import refuse_overwriting

        refuse_overwriting(out, *inputs)


def _is_numeric(value: object) -> bool:
    if isinstance(value, list):
        return all(map(_is_numeric, value))
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < float("inf")


class _OfFormula(click.Command):
    """A command whose first argument may begin with a minus: -log(y) is a formula and no option."""

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        """As `click.Command.parse_args`."""
        # A blank before it says so to click, and nothing to a formula.
        return super().parse_args(context, [f" {a}" if _NEGATIVE_FORMULA.match(a) else a for a in args])


@click.command(cls=_OfFormula, short_help="Derive a gradient of a typed formula, step by step.")
@click.argument("formula")
@click.argument("given", nargs=-1, metavar="[NAME=NUMBER]…")
@click.option(
    "--wrt",
    multiple=True,
    metavar="NAME",
    help="Differentiate with respect to this name; all given names by default. May be repeated.",
)
@click.option("--form", type=click.Choice(FORMS), default="graph", show_default=True, help="Form of the derivation.")
@click.option("--language", type=click.Choice(LANGUAGES), default="en", show_default=True)
@click.option("--precision", type=click.IntRange(1, 17), default=6, show_default=True, help="Significant digits shown.")
@click.option("--expand", is_flag=True, help="Show the bodies of blocks such as softmax.")
@click.option(
    "--optimizer", type=OneOf(lambda: OPTIMIZERS, case_sensitive=False), help="Optimiser for --form update. [default: SGD]"
)
@click.option("--lr", type=float, help="Its learning rate. [default: 1]")
@click.option("--l2", type=float, help="Its L2 penalty on the parameters (decoupled weight decay for AdamW).")
@click.option("--out", "-o", type=Place(), help="Write to this .html, .md, .tex, .txt or .json file instead of printing.")
def explain(formula: str, given: tuple[str, ...], out: str | None, **options: Any) -> None:
    """Derive the gradient of FORMULA step by step, with symbols and numbers.

    FORMULA is one line, or parts separated by ';' that give names to intermediate results, or a homework file (.toml) of
    `check`. --form update takes a step for the names of --wrt, or else for the parameters that a file names, or else for
    all names that begin with w, W or b.

    \b
    Examples:
      chainrule explain "price * tax * count" price=20 tax=1.1 count=2
      chainrule explain "h = sigmoid(w1*x); E = 0.5*(sigmoid(w2*h) - t)**2" x=0.35 w1=0.1 w2=0.3 t=0.5 --wrt w1 --form path
      chainrule explain "max(0, w*x + b)" w=2 x=-1 b=0.5 --language zh
      chainrule explain "(w*x - t)**2" w=2 x=3 t=5 --form update --optimizer adam --lr 0.1
      chainrule explain homework.toml --wrt w13 --form path -o w13.html
    """
    from chainrule.derivations import explain as derive

    if out is not None:
        _refuse_overwriting(out, formula)
    homework = _calculation(formula, given)
    if options["form"] == "update":
        homework = _with_optimizer(homework, options["optimizer"], options["lr"], options["l2"], options["wrt"])
    # Not in a variable of its own: the explanation would call it by that name.
    built = homework.build()
    derivation = derive(
        built[0],
        list(options["wrt"]) or None,
        form=options["form"],
        language=options["language"],
        precision=options["precision"],
        blocks="expanded" if options["expand"] else "whole",
        optimizer=built[1],
    )
    if out is None:
        echo(str(derivation))
    else:
        derivation.save(out)
        echo(f"Written to {out}.")


@click.command(short_help="Grade a calculation made by hand, and name the slip.")
@click.argument("homework", type=Place(), required=False)
@click.option("--new", is_flag=True, help="Print a file to start from.")
@click.option("--language", type=click.Choice(LANGUAGES), help="Language of the answers; the file's by default.")
@click.option("--json", "as_json", is_flag=True, help="Print the grading as JSON.")
@click.pass_context
def check(context: click.Context, homework: str | None, new: bool, language: Any, as_json: bool) -> None:
    """Compare the claims in a HOMEWORK file with the true calculation, and say which slip explains a wrong number.

    The exit code is 0 if every claim is right (or right but for rounding), 1 if one is wrong or follows from a wrong one, and 3
    if all are right but those whose names are not in the calculation, which are not graded.

    \b
    Examples:
      chainrule check --new > homework.toml
      chainrule check homework.toml
      chainrule check homework.toml --json --language zh
    """
    from chainrule.grading import read_homework
    from chainrule.grading.homework import TEMPLATE

    if new and homework is not None:
        raise ArgumentError(
            f"check got --new and the file {homework}",
            "--new prints a file to start from, and grades none",
            f"Write: chainrule check --new > {homework}, or leave --new out.",
        )
    if new:
        echo(TEMPLATE, nl=False)
        return
    if homework is None:
        raise ArgumentError("check got no file", "it grades a TOML file", "Start with: chainrule check --new > homework.toml")
    grading = read_homework(homework).grade(language)
    echo(json.dumps(grading.to_dict(), indent=2, ensure_ascii=False) if as_json else str(grading))
    if not grading.correct:
        wrong = any(f.verdict in ("wrong", "follow-on") for f in grading.values())
        context.exit(WRONG_CLAIMS if wrong else NOT_GRADED)


@click.command(cls=_OfFormula, short_help="Draw a formula, or the network and training of a run, as SVG or PNG.")
@click.argument("source", metavar="FORMULA|RUN")
@click.argument("given", nargs=-1, metavar="[NAME=NUMBER]…")
@click.option("--out", "-o", type=Place(), help="File to write: .svg, .png or .html. [default: KIND.svg]")
@click.option("--kind", type=click.Choice(PICTURES), help="What is drawn. [default: graph of a formula, network of a run]")
@click.option(
    "--data", type=Place(), help="For regions and gradient-flow: a table, pictures or a built-in set, with the target."
)
@click.option("--theme", type=click.Choice(("auto", "light", "dark")), default="auto", show_default=True)
@click.option("--language", type=click.Choice(LANGUAGES), default="en", show_default=True)
@click.option(
    "--detail",
    type=click.Choice(("all", "named", "auto", "layers")),
    default="all",
    show_default=True,
    help="What a graph shows.",
)
@click.option("--expand", is_flag=True, help="Unfold blocks such as softmax in a graph.")
def draw(source: str, given: tuple[str, ...], **options: Any) -> None:
    """Draw a FORMULA as a graph, or what a RUN of `chainrule train` (its folder, or model.safetensors) has learnt.

    \b
    Of a formula:
      graph          operations, forward values above the lines, gradients below   (default)
      network        units and weights, of a calculation in layers
    Of a run:
      network        units and weights of small networks, layers with shapes of large ones   (default)
      curves         learning curves, with the best epoch marked
      regions        of a network of two inputs: its answers over the plane, with the points of --data
      gradient-flow  sizes of weights and gradients in every layer, for --data

    \b
    Examples:
      chainrule draw "price * tax * count" price=20 tax=1.1 count=2 --out car.svg
      chainrule draw "h = tanh(W1 @ x); y = sigmoid(W2 @ h)" x=[1,2] "W1=[[1,2],[3,4]]" "W2=[[0.5,-0.5]]" --kind network
      chainrule draw runs/iris-1 --out network.png --theme dark
      chainrule draw runs/iris-1 --kind curves --language zh
      chainrule draw runs/moons-1 --kind regions --data moons --out moons.png
      chainrule draw runs/iris-1 --kind gradient-flow --data iris
    """
    is_path = Path(source).exists() or source.endswith(".safetensors") or (not given and _RUN.fullmatch(source) is not None)
    of_run = is_path and not source.endswith(".toml")
    out = options["out"] or f"{options['kind'] or ('network' if of_run else 'graph')}.svg"
    _refuse_overwriting(out, source, options["data"])
    (_picture_of_run if of_run else _picture_of_formula)(source, given, options).save(out)
    echo(f"Drawn to {Path(out)}.")


def _picture_of_run(run: str, given: Sequence[str], options: Mapping[str, Any]) -> Drawing:
    from chainrule.job.pictures import draw_run

    if given:
        raise ArgumentError(f"{given[0]!r} was given beside the run {run}", "a run has its values", "Leave it out.")
    return draw_run(run, options["kind"] or "network", options["data"], options["theme"], options["language"])


def _picture_of_formula(formula: str, given: Sequence[str], options: Mapping[str, Any]) -> Drawing:
    from chainrule.drawing import draw as drawing

    output = _calculation(formula, given).build()[0]
    shown = {name: options[name] for name in ("kind", "detail", "theme", "language")}
    return drawing(output, blocks="expanded" if options["expand"] else "whole", **shown)
