"""Pictures of a saved run: its network, learning curves, decision regions, gradient flow."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from chainrule.data.files import existing_file
from chainrule.drawing import Drawing, draw
from chainrule.drawing.dispatch import Kind
from chainrule.drawing.picture import Look, Theme
from chainrule.drawing.regions import Plane, plane_drawing, regions_drawing
from chainrule.errors import ArgumentError, DataError
from chainrule.ir import Array
from chainrule.job.building import make_loss
from chainrule.job.config import Config
from chainrule.job.folders import CONFIG_FILE, HISTORY_FILE
from chainrule.job.predictor import Predictor
from chainrule.language import Language
from chainrule.train import History

KINDS: tuple[Kind, ...] = ("network", "curves", "regions", "gradient-flow")
_OF_A_FOLDER = ("curves", "gradient-flow")


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
        raise ArgumentError(f"the kind {kind!r} was asked for", f"the kinds for a run are {', '.join(KINDS)}", "Choose one.")
    if kind in _OF_A_FOLDER and Path(run).is_file():
        raise ArgumentError(
            f"the picture {kind!r} was asked for of the file {run}",
            "it also needs the settings and the history of the run",
            f"Name the folder of the run: {Path(run).parent}",
        )
    predictor = Predictor.load(run)
    if kind == "network":
        return draw(predictor.model, _nothing(predictor), theme=theme, language=language)
    if kind == "curves":
        return draw(_history(Path(run), predictor), theme=theme, language=language)
    if data is None:
        raise ArgumentError(f"the picture {kind!r} was asked for without data", "it needs data", "Add --data DATA.")
    X, y = predictor.labelled(predictor.read(data, labelled=True))
    if kind == "regions":
        return draw_regions(predictor, X, y, Look(theme, language))
    config = Config.from_toml(existing_file(Path(run) / CONFIG_FILE))
    return draw(predictor.model, X, y, loss=make_loss(config, predictor.target.task), theme=theme, language=language)


def draw_regions(predictor: Predictor, X: Array, y: Array, look: Look) -> Drawing:
    """What a network of two columns answers all over their plane, in the units of the table.

    Where its two inputs are not two columns of numbers, the axes are these inputs.

    Args:
        predictor: the network with its preprocessing.
        X, y: encoded inputs and targets.
        look: see `draw`.

    Raises:
        ShapeError: it has another number of inputs.
        DataError: no row has both numbers.
    """
    classes = predictor.target.classes or None
    plane = plane_of(predictor, X, y)
    if plane is None:
        return regions_drawing(predictor.model, X, y, look, classes)
    if not len(plane.points):
        raise DataError("no row has a value in both columns", "a point needs both", "Give data with values in both columns.")
    return plane_drawing(predictor.model, plane, look, classes)


def plane_of(predictor: Predictor, X: Array, y: Array) -> Plane | None:
    """The plane of the two columns of numbers that a network reads, with the rows that have both; None if it reads others."""
    features, target = predictor.features, predictor.target
    scales = features.scales
    if scales is None or len(scales) != 2:
        return None
    points = features.to_numbers(X)
    whole = ~np.isnan(points).any(axis=1)
    first, second = scales
    return Plane(
        (first, second),
        points[whole],
        y[whole].astype(np.float64) * target.std + target.mean,
        features.from_numbers,
        target.decode,
        (scales[first], scales[second]),
    )


def _nothing(predictor: Predictor) -> Array:
    """Two samples of zeros, which tell the shape; of a single one the picture would show the values."""
    return np.zeros((2, *predictor.features.shape), np.float32)


def _history(folder: Path, predictor: Predictor) -> History:
    return History.read(existing_file(folder / HISTORY_FILE), str(predictor.facts.get("stopped", "")))
