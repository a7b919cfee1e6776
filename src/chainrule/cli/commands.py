"""The command line. Commands are thin: they read options, call the library, and print what it says.

Exit codes: 0 done, 1 something is wrong with what was checked or diagnosed, 2 wrong use or bad input, 130 interrupted.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from chainrule import __version__, extend, nn, optim
from chainrule.cli.answers import predict
from chainrule.cli.choices import OneOf
from chainrule.cli.diagnose import diagnose
from chainrule.cli.explain import check, draw, explain
from chainrule.cli.output import discard, echo, messages_shown, open_standard_streams, read_or_not, show_notes, shown, use_utf8
from chainrule.cli.reading import delimiter, encoding, how_to_read
from chainrule.data import Column, Dataset, FeatureEncoder, ImageSet, Table, load
from chainrule.data.columns import in_unit
from chainrule.errors import ChainruleError
from chainrule.job import Config, Predictor, Problem, Result
from chainrule.job import train as run
from chainrule.job.checkpoint import CHECKPOINT_FILE
from chainrule.job.config import CLASS_WEIGHTS, TASKS, activations, losses, schedules
from chainrule.job.predictor import MODEL_FILE, measure_text, worse_than_constant
from chainrule.job.resuming import load_run
from chainrule.job.training import CURVES_FILE, REPORT_FILE, resolved, run_folder, run_lock, train_on

BAD_INPUT, INTERRUPTED = 2, 130
_MOST_LINES = 30  # columns of a table that are shown one by one


class _Commands(click.Group):
    """Turns everything that chainrule raises on purpose into one message on standard error and an exit code."""

    def main(self, *arguments: Any, **settings: Any) -> Any:
        """As `click.Group.main`, where standard streams may be closed, and the locale may know nothing but ASCII."""
        if not arguments and settings.get("args") is None:  # those of the process
            use_utf8()
        open_standard_streams()
        return super().main(*arguments, **settings)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with messages_shown():
                found = super().invoke(ctx)
            sys.stdout.flush()
        except ChainruleError as error:
            _fail(str(error))
        except KeyboardInterrupt:
            with read_or_not(sys.stderr):
                echo("Interrupted.", err=True)
            sys.exit(INTERRUPTED)
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
    """Train neural networks by backpropagation, and see the work.

    \b
    chainrule train titanic.csv --target Survived    learn to predict a column of a table
    chainrule train digits                           a data set that needs no file
    chainrule resume runs/titanic-1                  go on with a run that was interrupted
    chainrule predict runs/titanic-1 new.csv         answers for new rows
    chainrule info titanic.csv                       what is in the table
    chainrule diagnose runs/titanic-1 titanic.csv    what is wrong with the network
    chainrule explain "(w*x - t)**2" w=2 x=3 t=5     a gradient, derived step by step
    chainrule check homework.toml                    a hand calculation, graded
    chainrule draw runs/titanic-1 --kind curves      a network, its learning curves, a formula: as SVG or PNG

    `chainrule COMMAND --help` shows the options of a command, with examples.
    """
    extend.load_installed()
    for module in extensions:
        extend.load(module)


# -------------------------------------------------------------------------------------------- train
def _numbers(context: click.Context, parameter: click.Parameter, value: str | None) -> tuple[int, ...] | None:
    """`128,64` as numbers; an empty text for none."""
    if value is None:
        return None
    try:
        return tuple(int(part) for part in value.replace(" ", "").split(",") if part)
    except ValueError:
        raise click.BadParameter(f"{value!r} is not a list of whole numbers such as 128,64.") from None


def _size(context: click.Context, parameter: click.Parameter, value: str | None) -> tuple[int, ...] | None:
    """`64x48` as height and width."""
    if value is None:
        return None
    found = re.fullmatch(r"(\d{1,5})[xX×](\d{1,5})", value.replace(" ", ""))
    if found is None:
        raise click.BadParameter(f"{value!r} is not a height and a width such as 64x48.")
    return int(found[1]), int(found[2])


def _choice(name: str, allowed: Callable[[], Iterable[str]], text: str) -> Callable[..., Any]:
    return click.option(name, type=OneOf(allowed), help=text)


def _only_one(context: click.Context, parameter: click.Parameter, value: tuple[str, ...]) -> str | None:
    """The target; click by itself would take the last of several without a word."""
    if len(value) > 1:
        named = ", ".join(map(repr, value))
        raise click.BadParameter(f"{named} were given; a network predicts one column. Train a network for each of them.")
    return value[0] if value else None


@main.command(short_help="Train a network on a table, pictures, or a built-in data set.")
@click.argument("data")
@click.option("--target", "-t", multiple=True, callback=_only_one, metavar="COLUMN", help="Column to predict.")
@_choice("--task", lambda: TASKS, "Whether the target is a number or a class; found out from the column by default.")
@click.option("--include", multiple=True, metavar="COLUMN", help="Use a column that would be left out. May be repeated.")
@click.option("--exclude", multiple=True, metavar="COLUMN", help="Leave a column out. May be repeated.")
@how_to_read
@click.option(
    "--image-size", callback=_size, metavar="HxW", help="Height and width that pictures are stretched to, e.g. 64x64."
)
@click.option("--hidden", callback=_numbers, metavar="N,N,…", help="Units per hidden layer, e.g. 128,64; '' for none.")
@_choice("--activation", activations, "Of the hidden layers. [default: relu]")
@click.option("--dropout", type=float, help="Share of hidden units left out in each step.")
@_choice("--loss", losses, "What is made small; must fit the task.")
@_choice("--optimizer", optim.commands, "[default: adamw]")
@click.option("--learning-rate", "--lr", type=float, help="Learning rate; the largest one of a schedule.")
@_choice("--schedule", schedules, "How the learning rate changes. [default: average]")
@click.option("--l2", type=float, help="L2 penalty on weights (decoupled weight decay for adamw).")
@click.option("--batch-size", type=int, help="Samples per step.")
@click.option("--epochs", type=int, help="Times through the data.")
@click.option("--validation", type=float, help="Share of the rows that is held out. [default: 0.2]")
@_choice("--class-weight", lambda: CLASS_WEIGHTS, "Let rare classes count as much as frequent ones.")
@click.option("--patience", type=int, help="Stop early after so many epochs without improvement on the held-out rows.")
@click.option("--seed", type=int, help="Of everything random. [default: 0]")
@click.option("--backend", help="What runs the graph. [default: auto]")
@click.option("--config", "config_file", type=click.Path(), help="TOML file with these settings; options go before it.")
@click.option("--out", "-o", type=click.Path(), help="Folder for the run. [default: runs/NAME-NUMBER]")
@click.option("--progress/--no-progress", default=True, help="Show a progress bar (lines where there is no terminal).")
def train(data: str, config_file: str | None, out: str | None, progress: bool, **options: Any) -> None:
    """Learn to predict a column of DATA, and write a run folder.

    DATA is a table (CSV, TSV or Parquet), pictures (a folder with a folder per class, an IDX file, or .npz), or the name of a
    built-in data set: digits, iris, wine, breast_cancer, diabetes, xor, moons, circles, spirals, quadrants, …

    Pictures are PNG, JPEG, WebP, BMP, TIFF or GIF (its first frame), also in folders below that of their class. Hidden files
    and what systems leave behind (Thumbs.db, __MACOSX) are passed over; other files that are not read are counted and named.
    All are stretched to one size: that of more than half of them, else the median, with sides of at most 256 pixels; or
    --image-size.

    It says what it understood of every column and which network it trains, and ends with how good the network is on rows that
    were held out, beside a baseline that does not look at the inputs.

    The run folder gets the model with its preprocessing (model.safetensors), every setting as used (config.toml), history.csv,
    metrics.json, learning-curves.png, and report.html, a page that shows all of it and derives the backward pass of one row.
    Ctrl-C ends training early and keeps what was learnt; `chainrule resume` goes on.

    \b
    Examples:
      chainrule train titanic.csv --target Survived
      chainrule train houses.parquet --target price --hidden 256,128 --patience 20
      chainrule train digits --epochs 20 --optimizer nesterov --lr 0.05
      chainrule train t10k-images-idx3-ubyte.gz
      chainrule train titanic.csv --config runs/titanic-1/config.toml
    """
    config = Config.from_toml(config_file) if config_file else Config()
    given = {name: value for name, value in options.items() if value is not None}
    # Options that may be repeated are empty when they are left out.
    config = config.updated({k: v for k, v in given.items() if v or k not in ("include", "exclude", "kinds", "missing")})
    problem = Problem.load(data, config)
    config = resolved(config, problem)
    with run_folder(out, data) as folder:
        with read_or_not(sys.stdout):
            _show_problem(problem)
            _show_plan(problem, config)
        result = run(problem, config, folder, progress=progress)
    _finish(result, problem, folder)


@main.command(short_help="Go on with a run that was interrupted, or train it for longer.")
@click.argument("folder", metavar="RUN", type=click.Path())
@click.option("--epochs", type=click.IntRange(min=1), help="Times through the data in all, those behind it included.")
@click.option("--data", help="Where the data is now, if it was moved.")
@click.option("--progress/--no-progress", default=True, help="Show a progress bar (lines where there is no terminal).")
def resume(folder: str, epochs: int | None, data: str | None, progress: bool) -> None:
    """Go on with the run in the folder RUN, after its last whole epoch, and write the results there.

    A run that was interrupted or killed ends as if it had never stopped, bit for bit. With --epochs a run trains for longer
    than it was to: its learning rate then goes on as in a run of the new length.

    \b
    Examples:
      chainrule resume runs/titanic-1
      chainrule resume runs/titanic-1 --epochs 100
    """
    with run_lock(Path(folder)):
        trainer, problem, config = load_run(folder, epochs, data)
        with read_or_not(sys.stdout):
            echo(f"Going on after epoch {trainer.epoch} of {config.epochs}.")
            _show_plan(problem, config)
        result = train_on(trainer, problem, config, Path(folder), progress=progress)
    _finish(result, problem, Path(folder))


def _show_problem(problem: Problem) -> None:
    for note in problem.notes:
        echo(f"Note: {note}")
    if isinstance(problem.features, FeatureEncoder):
        _show_columns(problem.features)
    else:
        features = problem.features
        colour = "grey" if features.channels == 1 else "colour" if features.channels == 3 else f"{features.channels} channels"
        echo(f"Pictures: {features.height} × {features.width} (height × width), {colour}.")
    target = problem.target
    unit = f" {in_unit(target.unit)}" if target.unit else ""
    what = f"a number{unit}, mean {target.mean:.6g}, standard deviation {target.std:.6g}"
    if target.classes:
        what = f"{len(target.classes)} classes ({', '.join(target.classes[:10])}{', …' if len(target.classes) > 10 else ''})"
    echo(f"Target '{target.name}': {what}.")
    if problem.dropped:
        echo(f"Rows without a target, which are left out: {problem.dropped:,}.")
    held = f"{len(problem.X_held):,} held out" if problem.held_out else "too few to hold any out"
    echo(f"Rows: {len(problem.X):,} to train on, {held}.")


def _show_plan(problem: Problem, config: Config) -> None:
    inputs = " × ".join(str(n) for n in problem.X.shape[1:])
    layers = [
        f"{inputs} input{'s' * (inputs != '1')}",
        *(["convolutions"] if problem.X.ndim == 4 else []),
        *map(str, config.hidden or ()),
    ]
    parts = [f"loss {config.loss}"]
    if len(layers) > 1:
        parts = [config.activation, *([f"dropout {config.dropout:g}"] if config.dropout else []), *parts]
    echo(f"Network: {' → '.join([*layers, _count(problem.outputs, 'output')])}; {', '.join(parts)}.")
    batch = min(config.batch_size or len(problem.X), len(problem.X))
    steps = -(-len(problem.X) // batch)
    schedule = "constant; weights averaged at the end" if config.schedule == "average" else config.schedule
    echo(
        f"Training: {config.optimizer}, learning rate {config.learning_rate:g} ({schedule}), L2 {config.l2:g}, "
        f"{_count(config.epochs or 0, 'epoch')} of {_count(steps, 'step')} with {_count(batch, 'row')}.\n"
    )


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def _show_columns(features: FeatureEncoder) -> None:
    reports = features.describe()
    if len(reports) <= _MOST_LINES:
        rows = [
            (r.name, r.kind, f"{r.missing:,}" if r.missing else "", str(r.n_features) if r.n_features else "–", r.told)
            for r in reports
        ]
        _show_table(("column", "kind", "missing", "inputs", "treatment"), rows)
        return
    grouped = _grouped([(r.name, (r.kind, r.told)) for r in reports])
    _show_table(("number", "columns", "kind", "treatment"), [(str(len(names)), _few(names), *what) for what, names in grouped])


def _grouped(pairs: Iterable[tuple[str, tuple[str, ...]]]) -> Iterator[tuple[tuple[str, ...], list[str]]]:
    """The names that share a description, for tables of many columns; in the order in which the descriptions come."""
    found: dict[tuple[str, ...], list[str]] = {}
    for name, what in pairs:
        found.setdefault(what, []).append(name)
    yield from found.items()


def _few(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 4 else f"{names[0]}, {names[1]}, …, {names[-1]}"


def _show_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    table = RichTable(*header, box=SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        table.add_row(*(Text(shown(cell)) for cell in row))  # as Text, so that [brackets] in names are not taken for markup
    console = Console(width=None if sys.stdout.isatty() else 140)
    with console.capture() as text:  # rich by itself ends the program where nobody reads any more
        console.print(table)
    click.echo(text.get(), nl=False)  # what stands in it is shown already, and rich's own colours stay


def _finish(result: Result, problem: Problem, folder: Path) -> None:
    with read_or_not(sys.stdout):
        _show_result(result, problem, folder)
        if result.interrupted and (folder / CHECKPOINT_FILE).exists():
            echo(f"  chainrule resume {folder}")
    if result.interrupted:
        sys.exit(INTERRUPTED)


def _show_result(result: Result, problem: Problem, folder: Path) -> None:
    history = result.history
    if history.stopped:
        echo(f"\nStopped after epoch {len(history)}: {history.stopped}.")
    rows = f"{len(problem.X_held):,} {'held-out' if problem.held_out else 'training'} rows"
    how = " (which also chose the epoch, so a little optimistic)" if result.config.patience and problem.held_out else ""
    if result.averaged:
        how = ", with averaged weights"
    if result.best_epoch is not None:
        how = f", with the weights of epoch {result.best_epoch}"
    echo(f"\n{_count(len(history), 'epoch')} in {sum(history['seconds']):.1f} s. On the {rows}{how}:")
    _show_measures(result.metrics, result.baseline)
    echo("The baseline is the best constant answer, chosen on the training rows.")
    if result.best_epoch is not None:
        echo(
            "They were better on the held-out rows than those at the end, by more than the standard error. As these rows chose "
            "them, the measures are a little optimistic."
        )
    _show_what_is_wrong(result)
    if not (folder / CURVES_FILE).exists():
        echo(f'There is no {CURVES_FILE}: it takes a font, and resvg-py, which comes with pip install "chainrule[app]".')
    echo(f"Saved to {folder}. Next:\n  chainrule predict {folder} NEW_DATA\n  chainrule info {folder}")


def _show_what_is_wrong(result: Result) -> None:
    """Measures in which a constant answer is better, and the findings of the diagnosis with what to change."""
    worse = worse_than_constant(result.metrics, result.baseline)
    lines = [f"Warning: a constant answer is better than this network in {', '.join(worse)}."] if worse else []
    if result.diagnosis:
        lines += [f"Found in the trained network ({REPORT_FILE} has the reasons):"]
        lines += [f"  {finding.brief()}" for finding in result.diagnosis]
    if lines:
        echo("\n" + "\n".join(lines) + "\n")


def _show_measures(metrics: Mapping[str, float], baseline: Mapping[str, float]) -> None:
    rows = [
        (name, measure_text(value), measure_text(baseline[name]) if name in baseline else "") for name, value in metrics.items()
    ]
    _show_table(("measure", "network", "baseline"), rows)


# -------------------------------------------------------------------------------------------- evaluate, info
@main.command(short_help="Measure a trained network on data with known answers.")
@click.argument("model", type=click.Path())
@click.argument("data")
@delimiter
@encoding
@click.option("--json", "as_json", is_flag=True, help="Print the measures as JSON.")
def evaluate(model: str, data: str, as_json: bool, **text: Any) -> None:
    """Compare the answers of MODEL with the target column in DATA.

    \b
    Examples:
      chainrule evaluate runs/titanic-1 test.csv
      chainrule evaluate runs/digits-1 digits --json
    """
    predictor = Predictor.load(model)
    read = predictor.read(data, labelled=True, **text)
    show_notes(read)
    metrics = predictor.evaluate(read)
    if as_json:
        echo(json.dumps(metrics, indent=2))
    else:
        _show_table(("measure", "network"), [(name, measure_text(value)) for name, value in metrics.items()])


@main.command(short_help="What is in a model, a table, or a data set.")
@click.argument("source", metavar="MODEL|DATA")
@how_to_read
def info(source: str, kinds: tuple[str, ...], missing: tuple[str, ...], **text: Any) -> None:
    """Describe a trained network (run folder or model file) or data (table, pictures, or the name of a built-in set).

    \b
    Examples:
      chainrule info runs/titanic-1
      chainrule info titanic.csv
      chainrule info orders.csv --kind zip=categorical --missing unknown
      chainrule info digits
    """
    path = Path(source)
    if path.suffix == ".safetensors" or (path / MODEL_FILE).exists():
        _show_model(Predictor.load(source))
    else:
        said = Config(kinds=kinds).kind_of_columns()
        data = load(source, kinds=said, missing=missing, **text)
        if isinstance(data, Table):
            for name in said:
                data[name]
        _show_data(data)


def _show_model(predictor: Predictor) -> None:
    features = predictor.features
    if isinstance(features, FeatureEncoder):
        _show_columns(features)
        shape: tuple[int, ...] = (len(features.feature_names),)
    else:
        shape = (features.channels, features.height, features.width)
    echo(str(nn.summary(predictor.model, shape)))
    facts = predictor.facts
    trained = (
        f"; trained for {_count(facts['epochs'], 'epoch')} on {facts['rows']:,} rows of {facts['source']}" if facts else ""
    )
    echo(f"\nPredicts '{predictor.target.name}' ({predictor.target.task}){trained}.")
    if "metrics" in facts:
        _show_measures(facts["metrics"], facts["baseline"])


def _show_data(data: Table | ImageSet | Dataset) -> None:
    if isinstance(data, ImageSet):
        count, *size = data.X.shape
        echo(f"{count:,} pictures of {' × '.join(map(str, size))} (channels, height, width).")
        if data.classes:
            echo(f"Classes: {', '.join(data.classes)}.")
        for note in data.notes:
            echo(f"Note: {note}")
        return
    if isinstance(data, Dataset):
        echo(data.description)
    table = data.to_table() if isinstance(data, Dataset) else data
    if len(table.names) <= _MOST_LINES:
        rows = [(c.name, c.kind, f"{c.missing.sum():,}" if c.missing.any() else "", _example(c), c.remark) for c in table]
        _show_table(("column", "kind", "missing", "first value", "note"), rows)
    else:
        grouped = _grouped([(c.name, (c.kind, c.remark)) for c in table])
        _show_table(("number", "columns", "kind", "note"), [(str(len(names)), _few(names), *what) for what, names in grouped])
    echo(f"{table.n_rows:,} rows, {len(table.names)} columns.")


def _example(column: Column) -> str:
    """The first value that is there."""
    return next((text for text in column.texts() if text), "")


for command in (predict, explain, check, diagnose, draw):
    main.add_command(command)
