"""`chainrule predict`: answers as CSV, one line per row or picture, with what names it."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import click

from chainrule.cli.choices import Place
from chainrule.cli.output import echo, show_notes
from chainrule.cli.reading import delimiter, encoding
from chainrule.data.delimited import is_number
from chainrule.fileio import is_stream, write_file
from chainrule.job import Predictions, Predictor
from chainrule.job.outputs import refuse_overwriting

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")  # the full-width ones are read alike in East Asia


@click.command(short_help="Predict with a trained network on new data.")
@click.argument("model", type=Place())
@click.argument("data", type=Place())
@click.option("--keep", multiple=True, metavar="COLUMN", help="Copy a column of DATA into the answers. May be repeated.")
@delimiter
@encoding
@click.option(
    "--escape-formulas", is_flag=True, help="Put an apostrophe before text that a spreadsheet would run as a formula."
)
@click.option("--out", "-o", type=Place(), help="CSV file to write; standard output by default.")
def predict(model: str, data: str, keep: tuple[str, ...], escape_formulas: bool, out: str | None, **how: Any) -> None:
    """Write one line per row of DATA, in its order: the answer of MODEL, and for classes the probability of each.

    What identifies a row comes first: the columns that the model knows as identifiers, those of --keep, or the file names of
    pictures.

    Text is written as it was read. A spreadsheet runs text that begins with = + - or @ as a formula, whoever wrote it;
    --escape-formulas puts an apostrophe before it. Numbers stay as they are.

    MODEL is a run folder or a model.safetensors file. DATA needs the columns that the model was trained on, but no target.

    \b
    Examples:
      chainrule predict runs/titanic-1 new.csv
      chainrule predict runs/titanic-1 new.csv --keep Name --out answers.csv
      chainrule predict runs/flowers-1 folder_of_pictures --out answers.csv
    """
    if out is not None:
        refuse_overwriting(out, model, data)
    predictor = Predictor.load(model)
    read = predictor.read(data, labelled=False, keep=keep, **how)
    show_notes(predictor.features.notes(read))
    names = predictor.row_names(read, keep)
    found = predictor.predict(read)
    header = _header(names, [predictor.target.name, *(f"p({label})" for label in found.classes)])
    columns = [*names.values(), *_answers(found)]
    if escape_formulas:
        header, columns = _escaped(header), [_escaped(column) for column in columns]
    text = _csv(header, columns)
    if out is not None:
        write_file(out, text.encode(errors="surrogateescape"))  # names of files as the system has them
        echo(f"{len(found.values):,} answers written to {out}.", err=is_stream(out) or not Path(out).is_file())
    elif sys.stdout.isatty():
        echo(text, nl=False)
    else:
        sys.stdout.write(text)


def _header(names: Iterable[str], answers: Iterable[str]) -> list[str]:
    """Names of the columns: an answer gets another name where a column that is copied has its own."""
    header = dict.fromkeys(names)
    for answer in answers:
        name = answer
        while name in header:
            name = f"predicted {name}"
        header[name] = None
    return list(header)


def _answers(found: Predictions) -> list[list[str]]:
    """Columns: numbers, or classes and the probabilities of each."""
    if found.probabilities is None:
        return [[repr(value) for value in found.values.tolist()]]
    return [found.values.tolist(), *([f"{p:.6f}" for p in column] for column in found.probabilities.T.tolist())]


def _escaped(texts: Sequence[str]) -> list[str]:
    """With an apostrophe before what a spreadsheet would run as a formula."""
    return [f"'{text}" if text.startswith(_FORMULA) and not is_number(text) else text for text in texts]


def _csv(header: Sequence[str], columns: Sequence[Sequence[str]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(zip(*columns, strict=True))
    return text.getvalue()
