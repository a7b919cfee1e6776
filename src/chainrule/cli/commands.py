"""The command line. Commands are thin: they read options, call the library, and print what it says.

Exit codes: 0 done, 1 something is wrong with what was checked or diagnosed, 2 wrong use or bad input, 130 interrupted.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import click

from chainrule import __version__, extend
from chainrule.cli.answers import predict
from chainrule.cli.describe import evaluate, info
from chainrule.cli.diagnose import diagnose
from chainrule.cli.explain import check, draw, explain
from chainrule.cli.output import discard, echo, messages_shown, open_standard_streams, read_or_not, use_utf8
from chainrule.cli.train import resume, train
from chainrule.errors import ChainruleError
from chainrule_command import INTERRUPTED

BAD_INPUT = 2


class _Commands(click.Group):
    """Turns everything that chainrule raises on purpose into one message on standard error and an exit code."""

    def main(self, *arguments: Any, **settings: Any) -> Any:
        """As `click.Group.main`, where standard streams may be closed, and the locale may know nothing but ASCII."""
        if not arguments and settings.get("args") is None:  # those of the process
            use_utf8()
        open_standard_streams()
        return super().main(*arguments, **settings)

    def make_context(self, *arguments: Any, **settings: Any) -> click.Context:
        """As `click.Group.make_context`; click by itself calls Ctrl-C "Aborted!"."""
        with _interruptible():
            return super().make_context(*arguments, **settings)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with messages_shown(), _interruptible():
                found = super().invoke(ctx)
            sys.stdout.flush()
        except ChainruleError as error:
            _fail(str(error))
        except BrokenPipeError:
            discard(sys.stdout)
            sys.exit(0)
        except OSError as error:
            if error.filename is None:
                discard(sys.stdout)  # what is left in its buffer would fail again
            _fail(f"{error.filename or 'a file'} could not be used ({error.strerror or error}). Check the path and the disk.")
        except MemoryError:
            _fail("there is not enough memory for this data and network. Use a smaller table, batch or network.")
        return found


@contextmanager
def _interruptible() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        with read_or_not(sys.stderr):
            echo("Interrupted.", err=True)
        sys.exit(INTERRUPTED)


def _fail(message: str) -> NoReturn:
    with read_or_not(sys.stderr):
        echo(f"Error: {message}", err=True)
    sys.exit(BAD_INPUT)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="chainrule")
@click.option(
    "--extension",
    "extensions",
    multiple=True,
    metavar="MODULE",
    envvar="CHAINRULE_EXTENSIONS",
    help="Import a Python module that registers layers, losses, … of your own (see chainrule.extend). May be repeated.",
)
def main(extensions: tuple[str, ...]) -> None:
    """Train neural networks by backpropagation, and show the work.

    \b
    chainrule train titanic.csv --target Survived    learn to predict a column of a table
    chainrule train digits                           a data set that needs no file
    chainrule resume runs/titanic-1                  continue a run that was interrupted
    chainrule predict runs/titanic-1 new.csv         predictions for new rows
    chainrule info titanic.csv                       how the columns of a table are read
    chainrule diagnose runs/titanic-1 titanic.csv    what is wrong with the network
    chainrule explain "(w*x - t)**2" w=2 x=3 t=5     a gradient, derived step by step
    chainrule check homework.toml                    a hand calculation, graded
    chainrule draw runs/titanic-1 --kind curves      a network, its learning curves, a formula: as SVG or PNG

    `chainrule COMMAND --help` shows the options of a command, with examples.
    """
    extend.load_installed()
    for module in extensions:
        extend.load(module)


for command in (train, resume, evaluate, info, predict, explain, check, diagnose, draw):
    main.add_command(command)
