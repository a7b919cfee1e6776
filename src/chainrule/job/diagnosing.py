"""Diagnosing what the main job trains: a run that has just ended, or a saved network with data."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from chainrule.diagnosis import Diagnosis, Problem, diagnose_problem
from chainrule.job.building import make_loss, make_optimizer
from chainrule.job.config import Config
from chainrule.job.folders import CONFIG_FILE, HISTORY_FILE, MODEL_FILE
from chainrule.job.predictor import Predictor
from chainrule.job.prepared import PreparedData
from chainrule.job.results import Result
from chainrule.language import Language
from chainrule.train import History


def diagnose_run(result: Result, prepared: PreparedData) -> Diagnosis:
    """What is wrong with the network of a run, seen on its training data, the held-out data, and its history.

    Args:
        result: the run; its network and optimiser are not changed.
        prepared: the data that it was trained and judged on.
    """
    config = result.config
    studied = Problem(
        result.predictor.model,
        make_loss(config, prepared.target.task),
        prepared.X,
        prepared.y,
        result.optimizer,
        (prepared.X_held, prepared.y_held) if prepared.held_out else None,
        result.history,
        config.batch_size or len(prepared.X),
        trained=True,
        feature_names=tuple(result.predictor.features.feature_names),
        class_names=prepared.target.classes,
    )
    return diagnose_problem(studied, seed=config.seed).for_interface("command line")


def diagnose_saved(path: str | Path, source: str | Path, language: Language = "en") -> Diagnosis:
    """What is wrong with a saved network, seen on data with known answers.

    In a run folder the settings and the history of the run are read, too: without them learning rate and overfitting cannot be
    judged.

    Args:
        path: run folder or model file.
        source: data as `chainrule evaluate` takes it.
        language: of the findings.

    Raises:
        ModelFileError, DataError: a model or data that cannot be read, or that do not go together.
        ArgumentError: a broken configuration in the run folder.
    """
    predictor = Predictor.load(path)
    X, y = predictor.labelled(predictor.read(source, labelled=True))
    loss = make_loss(Config(), predictor.target.task)
    names, classes = tuple(predictor.features.feature_names), predictor.target.classes
    studied = Problem(predictor.model, loss, X, y, trained=True, feature_names=names, class_names=classes)
    folder = Path(path) if Path(path).is_dir() else Path(path).parent
    if (folder / MODEL_FILE).exists() and (folder / CONFIG_FILE).exists():
        config = Config.from_toml(folder / CONFIG_FILE)
        studied = replace(
            studied,
            loss=make_loss(config, predictor.target.task),
            optimizer=make_optimizer(config, predictor.model) if config.learning_rate else None,
            history=History.read(history) if (history := folder / HISTORY_FILE).exists() else None,
            batch_size=config.batch_size or studied.batch_size,
        )
    return diagnose_problem(studied, language=language).for_interface("command line")
