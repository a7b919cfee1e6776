"""`chainrule predict`: answers as CSV, one line per row or picture, with what names it."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Sequence
from typing import TextIO

import click

from chainrule.fileio import write_file
from chainrule.job import Predictions, Predictor


@click.command(short_help="Answers of a trained network for new data.")
@click.argument("model", type=click.Path())
@click.argument("data")
@click.option("--keep", multiple=True, metavar="COLUMN", help="Copy a column of DATA into the answers. May be repeated.")
@click.option("--out", "-o", type=click.Path(), help="CSV file to write; standard output by default.")
def predict(model: str, data: str, keep: tuple[str, ...], out: str | None) -> None:
    """Write one line per row of DATA, in its order: the answer of MODEL, and for classes the probability of each.

    What names a row comes first: the columns that the model knows as identifiers, those of --keep, the files of a folder of
    pictures.

    MODEL is a run folder or a model.safetensors file. DATA needs the columns that the model was trained on, but no target.

    \b
    Examples:
      chainrule predict runs/titanic-1 new.csv
      chainrule predict runs/titanic-1 new.csv --keep Name --out answers.csv
      chainrule predict runs/flowers-1 folder_of_pictures --out answers.csv
    """
    predictor = Predictor.load(model)
    read = predictor.read(data, labelled=False, keep=keep)
    names = predictor.row_names(read, keep)
    found = predictor.predict(read)
    answer = predictor.target.name
    header = [*names, f"predicted {answer}" if answer in names else answer, *(f"p({label})" for label in found.classes)]
    columns = [*names.values(), *_answers(found)]
    if out is None:
        _write_csv(sys.stdout, header, columns)
        return
    text = io.StringIO()
    _write_csv(text, header, columns)
    write_file(out, text.getvalue().encode())
    click.echo(f"{len(found.values):,} answers written to {out}.")


def _answers(found: Predictions) -> list[list[str]]:
    """Columns: numbers, or classes and the probabilities of each."""
    if found.probabilities is None:
        return [[repr(value) for value in found.values.tolist()]]
    return [found.values.tolist(), *([f"{p:.6f}" for p in column] for column in found.probabilities.T.tolist())]


def _write_csv(file: TextIO, header: Sequence[str], columns: Sequence[Sequence[str]]) -> None:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(zip(*columns, strict=True))
