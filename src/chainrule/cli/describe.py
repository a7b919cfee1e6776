"""The commands that measure and describe: evaluate, info."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from chainrule import nn
from chainrule.cli.choices import Place
from chainrule.cli.output import echo, show_notes
from chainrule.cli.reading import delimiter, encoding, how_to_read
from chainrule.cli.showing import count, show_listing, show_measures, show_table
from chainrule.job import Config, Predictor
from chainrule.job.folders import MODEL_FILE
from chainrule.job.inputs import Listing, encoder_for
from chainrule.job.measures import measure_text


@click.command(short_help="Measure a trained network on data with known answers.")
@click.argument("model", type=Place())
@click.argument("data", type=Place())
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
    show_notes(predictor.features.notes(read))
    metrics = predictor.evaluate(read)
    if as_json:
        echo(json.dumps(metrics, indent=2))
    else:
        show_table(("measure", "network"), [(name, measure_text(value)) for name, value in metrics.items()])


@click.command(short_help="Describe a model, a table, or a data set.")
@click.argument("source", metavar="MODEL|DATA", type=Place())
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
        _show_data(source, Config(kinds=kinds, missing=missing, **text))


def _show_model(predictor: Predictor) -> None:
    features = predictor.features
    if isinstance(described := features.description(), Listing):
        show_listing(described)
    echo(str(nn.summary(predictor.model, features.shape)))
    facts = predictor.facts
    trained = f"; trained for {count(facts['epochs'], 'epoch')} on {facts['rows']:,} rows of {facts['source']}" if facts else ""
    echo(f"\nPredicts '{predictor.target.name}' ({predictor.target.task}){trained}.")
    if "metrics" in facts:
        show_measures(facts["metrics"], facts["baseline"])


def _show_data(source: str, config: Config) -> None:
    kind = encoder_for(source)
    data = kind.read(source, config)
    for piece in kind.summary(data):
        if isinstance(piece, Listing):
            show_listing(piece)
        else:
            echo(piece)
    for note in kind.notes(data):
        echo(f"Note: {note}")
