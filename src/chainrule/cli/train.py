"""The commands that train: train, resume."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click

from chainrule import optim
from chainrule.cli.choices import OneOf, Place
from chainrule.cli.output import echo, read_or_not
from chainrule.cli.reading import how_to_read
from chainrule.cli.showing import count, show_inputs, show_measures
from chainrule.data.columns import in_unit
from chainrule.data.targets import TASKS
from chainrule.job import Config, PreparedData, Result
from chainrule.job import train as run
from chainrule.job.building import resolved
from chainrule.job.config import CLASS_WEIGHTS, activations, losses, schedules
from chainrule.job.folders import CHECKPOINT_FILE, CURVES_FILE, REPORT_FILE, run_folder, run_lock
from chainrule.job.measures import worse_than_constant
from chainrule.job.resuming import load_run
from chainrule.job.training import train_on
from chainrule.optim.schedules import AVERAGE
from chainrule_command import INTERRUPTED


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


@click.command(short_help="Train a network on a table, pictures, or a built-in data set.")
@click.argument("data", type=Place())
@click.option("--target", "-t", multiple=True, callback=_only_one, metavar="COLUMN", help="Column to predict.")
@_choice("--task", lambda: TASKS, "Whether the target is a number or a class; by default decided from the column.")
@click.option("--include", multiple=True, metavar="COLUMN", help="Use a column that would be left out. May be repeated.")
@click.option("--exclude", multiple=True, metavar="COLUMN", help="Leave a column out. May be repeated.")
@how_to_read
@click.option(
    "--image-size", callback=_size, metavar="HxW", help="Height and width that pictures are stretched to, e.g. 64x64."
)
@click.option("--hidden", callback=_numbers, metavar="N,N,…", help="Units per hidden layer, e.g. 128,64; '' for none.")
@_choice("--activation", activations, "Activation function of the hidden layers. [default: relu]")
@click.option("--dropout", type=float, help="Share of the hidden units that each step leaves out.")
@_choice("--loss", losses, "Loss to minimise; must fit the task.")
@_choice("--optimizer", optim.commands, "Optimiser. [default: adamw]")
@click.option("--learning-rate", "--lr", type=float, help="Learning rate; the largest one of a schedule.")
@_choice("--schedule", schedules, "How the learning rate changes. [default: average]")
@click.option("--l2", type=float, help="L2 penalty on weights (decoupled weight decay for adamw).")
@click.option("--batch-size", type=int, help="Samples per step.")
@click.option("--epochs", type=int, help="Passes through the data.")
@click.option("--validation", type=float, help="Share of the rows to hold out. [default: 0.2]")
@_choice("--class-weight", lambda: CLASS_WEIGHTS, "Let rare classes count as much as frequent ones.")
@click.option("--patience", type=int, help="Stop early after this many epochs without improvement on the held-out rows.")
@click.option("--seed", type=int, help="Seed of all random numbers. [default: 0]")
@click.option("--backend", help="Backend that runs the graph. [default: auto]")
@click.option("--config", "config_file", type=Place(), help="TOML file with these settings; options override it.")
@click.option("--out", "-o", type=Place(), help="Folder for the run. [default: runs/NAME-NUMBER]")
@click.option("--progress/--no-progress", default=True, help="Show a progress bar (lines where there is no terminal).")
def train(data: str, config_file: str | None, out: str | None, progress: bool, **options: Any) -> None:
    """Learn to predict a column of DATA, and write a run folder.

    DATA is a table (CSV, TSV or Parquet), pictures (a folder with a folder per class, an IDX file, or .npz), or the name of a
    built-in data set: digits, iris, wine, breast_cancer, diabetes, xor, moons, circles, spirals, quadrants, …

    Pictures are PNG, JPEG, WebP, BMP, TIFF or GIF (its first frame), also in folders below that of their class. Hidden files
    and files of the operating system (Thumbs.db, __MACOSX) are ignored; other files that are not read are counted and named.
    All pictures are stretched to one size: --image-size, or the size of more than half of them, or else the median, with sides
    of at most 256 pixels.

    The output shows how every column is read and which network is trained. It ends with how good the network is on rows that
    were held out, beside a baseline that does not use the inputs.

    The run folder gets the model with its preprocessing (model.safetensors), every setting as used (config.toml), history.csv,
    metrics.json, learning-curves.png, and report.html, a page that shows all of it and derives the backward pass of one row.
    Ctrl-C ends training early and keeps what was learnt; `chainrule resume` continues.

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
    prepared = PreparedData.load(data, config)
    config = resolved(config, prepared)
    with run_folder(out, data) as folder:
        with read_or_not(sys.stdout):
            _show_prepared(prepared)
            _show_plan(prepared, config)
        result = run(prepared, config, folder, progress=progress)
    _finish(result, prepared, folder)


@click.command(short_help="Continue a run that was interrupted, or train it for longer.")
@click.argument("folder", metavar="RUN", type=Place())
@click.option("--epochs", type=click.IntRange(min=1), help="Passes through the data in total, including those already done.")
@click.option("--data", type=Place(), help="Where the data is now, if it has moved.")
@click.option("--progress/--no-progress", default=True, help="Show a progress bar (lines where there is no terminal).")
def resume(folder: str, epochs: int | None, data: str | None, progress: bool) -> None:
    """Continue the run in the folder RUN after its last complete epoch, and write the results there.

    A run that was interrupted or killed ends as if it had never stopped, bit for bit. With --epochs a run trains for longer
    than planned; its learning rate then continues as in a run of the new length.

    \b
    Examples:
      chainrule resume runs/titanic-1
      chainrule resume runs/titanic-1 --epochs 100
    """
    with run_lock(Path(folder)):
        trainer, prepared, config = load_run(folder, epochs, data)
        with read_or_not(sys.stdout):
            echo(f"Continuing after epoch {trainer.epoch} of {config.epochs}.")
            _show_plan(prepared, config)
        result = train_on(trainer, prepared, config, Path(folder), progress=progress)
    _finish(result, prepared, Path(folder))


def _show_prepared(prepared: PreparedData) -> None:
    for note in prepared.notes:
        echo(f"Note: {note}")
    show_inputs(prepared.features)
    target = prepared.target
    unit = f" {in_unit(target.unit)}" if target.unit else ""
    what = f"a number{unit}, mean {target.mean:.6g}, standard deviation {target.std:.6g}"
    if target.classes:
        what = f"{len(target.classes)} classes ({', '.join(target.classes[:10])}{', …' if len(target.classes) > 10 else ''})"
    echo(f"Target '{target.name}': {what}.")
    if prepared.dropped:
        echo(f"Rows without a target, which are left out: {prepared.dropped:,}.")
    held = f"{len(prepared.X_held):,} held out" if prepared.held_out else "too few to hold any out"
    echo(f"Rows: {len(prepared.X):,} to train on, {held}.")


def _show_plan(prepared: PreparedData, config: Config) -> None:
    inputs = " × ".join(str(n) for n in prepared.X.shape[1:])
    layers = [
        f"{inputs} input{'s' * (inputs != '1')}",
        *filter(None, [prepared.features.begins_with]),
        *map(str, config.hidden or ()),
    ]
    parts = [f"loss {config.loss}"]
    if len(layers) > 1:
        parts = [config.activation, *([f"dropout {config.dropout:g}"] if config.dropout else []), *parts]
    echo(f"Network: {' → '.join([*layers, count(prepared.target.outputs, 'output')])}; {', '.join(parts)}.")
    batch = min(config.batch_size or len(prepared.X), len(prepared.X))
    steps = -(-len(prepared.X) // batch)
    schedule = "constant; weights averaged at the end" if config.schedule == AVERAGE else config.schedule
    echo(
        f"Training: {config.optimizer}, learning rate {config.learning_rate:g} ({schedule}), L2 {config.l2:g}, "
        f"{count(config.epochs or 0, 'epoch')} of {count(steps, 'step')} with {count(batch, 'row')}.\n"
    )


def _finish(result: Result, prepared: PreparedData, folder: Path) -> None:
    with read_or_not(sys.stdout):
        _show_result(result, prepared, folder)
        if result.interrupted:
            can_go_on = (folder / CHECKPOINT_FILE).exists()
            echo(f"  chainrule resume {folder}" if can_go_on else "The run cannot be resumed: it has no checkpoint yet.")
    if result.interrupted:
        sys.exit(INTERRUPTED)


def _show_result(result: Result, prepared: PreparedData, folder: Path) -> None:
    history = result.history
    if history.stopped:
        echo(f"\nStopped {_progress(result, len(prepared.X))}: {history.stopped}.")
    rows = f"{len(prepared.X_held):,} {'held-out' if prepared.held_out else 'training'} rows"
    how = " (which also chose the epoch, so a little optimistic)" if result.config.patience and prepared.held_out else ""
    if result.averaged:
        how = ", with averaged weights"
    if result.best_epoch is not None:
        how = f", with the weights of epoch {result.best_epoch}"
    echo(f"\n{count(len(history), 'epoch')} in {sum(history['seconds']):.1f} s. On the {rows}{how}:")
    show_measures(result.metrics, result.baseline)
    echo("The baseline is the best constant answer, chosen on the training rows.")
    if result.best_epoch is not None:
        echo(
            "They were better on the held-out rows than those at the end, by more than the standard error. As these rows chose "
            "them, the measures are a little optimistic."
        )
    _show_what_is_wrong(result)
    if not (folder / CURVES_FILE).exists():
        echo(f'{CURVES_FILE} was not written: it needs a font, and resvg-py, which comes with pip install "chainrule[app]".')
    echo(f"Saved to {folder}. Next:\n  chainrule predict {folder} NEW_DATA\n  chainrule info {folder}")


def _progress(result: Result, rows: int) -> str:
    """How far training came; Ctrl-C may end it within an epoch."""
    epoch = len(result.history)
    steps = -(-rows // (result.config.batch_size or rows))
    done = len(result.history.step_loss) - (epoch - 1) * steps
    return f"after epoch {epoch}" if done == steps else f"in epoch {epoch}, after {done} of {count(steps, 'step')}"


def _show_what_is_wrong(result: Result) -> None:
    """Measures in which a constant answer is better, and what the diagnosis found, or why there is none."""
    worse = worse_than_constant(result.metrics, result.baseline)
    lines = [f"Warning: a constant answer is better than this network in {', '.join(worse)}."] if worse else []
    if result.diagnosis:
        lines += [f"Found in the trained network ({REPORT_FILE} has the reasons):"]
        lines += [f"  {finding.brief()}" for finding in result.diagnosis]
    if result.not_diagnosed is not None:
        lines.append(f"The network could not be diagnosed: {result.not_diagnosed}")
    if lines:
        echo("\n" + "\n".join(lines) + "\n")
