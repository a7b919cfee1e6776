"""Resuming a run that was interrupted, or training it for longer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from chainrule.errors import ArgumentError, DataError, ModelFileError
from chainrule.fileio import parsing
from chainrule.job.checkpoint import digest
from chainrule.job.config import Config
from chainrule.job.folders import CHECKPOINT_FILE
from chainrule.job.prepared import PreparedData
from chainrule.train import Trainer, load_model, load_trainer


def load_run(
    folder: str | Path, epochs: int | None = None, data: str | Path | None = None
) -> tuple[Trainer, PreparedData, Config]:
    """The training in a run folder as it was after its last whole epoch that was saved; `train_on` goes on with it.

    Args:
        folder: of the run.
        epochs: how many to train in all, those behind us included; None for as many as the run was to have.
        data: where the data is now; None for where it was.

    Raises:
        ModelFileError: a file in place of the folder, no checkpoint in it, or a broken one.
        ArgumentError: nothing is left to train.
        DataError: the data cannot be read, or is not what the run was trained on. Of a file that only the checkpoint names no
            more than that is said: a checkpoint may come from anybody and name any file.
    """
    if Path(folder).is_file():
        raise ModelFileError(
            f"{folder} is a file",
            "a run is resumed from its folder",
            f"Name the folder: chainrule resume {Path(folder).parent}",
        )
    path = Path(folder) / CHECKPOINT_FILE
    if not path.exists():
        raise ModelFileError(
            f"{folder} holds no {CHECKPOINT_FILE}",
            "a run folder of `chainrule train` has one from the end of its first epoch on",
            "Check the path, or train again.",
        )
    trainer = load_trainer(path)
    extras = load_model(path)[1]
    if not {"source", "path", "config", "digest"} <= set(extras):
        raise ModelFileError(
            f"{path} was not written by `chainrule train`", "only its runs can be resumed", "Use load_trainer in Python."
        )
    with parsing(f"the settings in {path}", "they must be those of a run", "Use the original file.", ModelFileError):
        config = Config().updated(extras["config"])
        source, place = str(extras["source"]), Path(extras["path"])
    _check_unfinished(folder, trainer, config, epochs)
    try:
        prepared = PreparedData.load(data or str(place), config)
    except (DataError, ArgumentError):
        if data is None:
            raise _other_data(place, folder) if place.exists() else _moved(place, folder) from None
        raise
    if digest(prepared) != extras["digest"]:
        raise _other_data(prepared.source, folder)
    prepared = prepared if data else replace(prepared, source=source)
    return trainer, prepared, replace(config, epochs=epochs or config.epochs)


def _moved(place: Path, folder: str | Path) -> DataError:
    return DataError(
        f"{place}, which {folder} was trained on, does not exist",
        "a run is resumed with the same rows and columns",
        "Name the data where it is now with --data.",
    )


def _other_data(source: str | Path, folder: str | Path) -> DataError:
    return DataError(
        f"the data in {source} is not what {folder} was trained on",
        "a run is resumed with the same rows and columns",
        "Restore the data or name it with --data; to learn from other data, train a new network.",
    )


def _check_unfinished(folder: str | Path, trainer: Trainer, config: Config, epochs: int | None) -> None:
    if trainer.history.stopped:
        raise ArgumentError(
            f"the run in {folder} is finished: {trainer.history.stopped}",
            "a run that stopped by itself cannot be resumed",
            "Train again with a larger --patience.",
        )
    wanted = epochs or config.epochs or 0
    if wanted <= trainer.epoch:
        raise ArgumentError(
            f"the run in {folder} has trained {trainer.epoch} epochs, and {wanted} were asked for",
            "--epochs counts all epochs of a run",
            f"Ask for more, for example --epochs {2 * trainer.epoch}.",
        )
