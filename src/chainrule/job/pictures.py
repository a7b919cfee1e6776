"""Pictures of a saved run: its network, learning curves, decision regions, gradient flow."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from chainrule import nn
from chainrule.data import FeatureEncoder
from chainrule.data.files import existing_file
from chainrule.drawing import Drawing, draw
from chainrule.drawing.dispatch import Kind
from chainrule.drawing.picture import Theme
from chainrule.errors import ArgumentError, explain
from chainrule.explain.language import Language
from chainrule.ir import Array
from chainrule.job.config import LOSSES, Config
from chainrule.job.predictor import Predictor
from chainrule.job.training import CONFIG_FILE, HISTORY_FILE
from chainrule.train import History

KINDS: tuple[Kind, ...] = ("network", "curves", "regions", "gradient-flow")


def draw_run(
    run: str | Path, kind: Kind = "network", data: str | None = None, theme: Theme = "auto", language: Language = "en"
) -> Drawing:
    """Draw what `chainrule train` saved.

    Args:
        run: a run folder; for the kinds "network" and "regions" also a model.safetensors file.
        kind: one of KINDS.
        data: for "regions" and "gradient-flow": a table, pictures or built-in set, with the target.
        theme, language: see `draw`.

    Raises:
        ArgumentError: another kind, or data that it needs and was not given.
        ModelFileError, DataError: a file that is missing, broken, or does not fit the model.
        MissingDependency: see `draw`.
    """
    if kind not in KINDS:
        raise ArgumentError(explain(f"the kind {kind!r} was asked for", f"of a run there is {', '.join(KINDS)}", "Choose one."))
    predictor = Predictor.load(run)
    if kind == "network":
        return draw(predictor.model, _nothing(predictor), theme=theme, language=language)
    if kind == "curves":
        return draw(_history(Path(run), predictor), theme=theme, language=language)
    if data is None:
        raise ArgumentError(
            explain(f"a picture of the kind {kind!r} was asked for without data", "it shows how data fares", "Add --data DATA.")
        )
    X, y = predictor.labelled(predictor.read(data, labelled=True))
    if kind == "regions":
        return draw(predictor.model, X, y, classes=predictor.target.classes or None, theme=theme, language=language)
    config = Config.from_toml(existing_file(Path(run) / CONFIG_FILE))
    assert config.loss is not None
    loss = getattr(nn, LOSSES[predictor.target.task][config.loss])()
    return draw(predictor.model, X, y, loss=loss, theme=theme, language=language)


def _nothing(predictor: Predictor) -> Array:
    """Two samples of zeros, which tell the shape; of a single one the picture would show the values."""
    features = predictor.features
    if isinstance(features, FeatureEncoder):
        return np.zeros((2, len(features.feature_names)), np.float32)
    return np.zeros((2, features.channels, features.height, features.width), np.float32)


def _history(folder: Path, predictor: Predictor) -> History:
    text = existing_file(folder / HISTORY_FILE).read_text(encoding="utf-8")
    return History.from_csv(text, str(predictor.facts.get("stopped", "")))
