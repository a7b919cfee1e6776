"""The state of a run on disk, from which `chainrule resume` goes on exactly."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from chainrule.job.config import Config
from chainrule.job.folders import CHECKPOINT_FILE
from chainrule.job.prepared import PreparedData
from chainrule.train import Callback, save_trainer

if TYPE_CHECKING:
    from chainrule.train import Trainer

_PAUSE = 20.0  # times as long as the last write took: writing takes at most a twentieth of the run


class RunCheckpoint(Callback):
    """Keep a checkpoint of the last whole epoch in a run folder, written as often as costs next to nothing.

    Args:
        folder: of the run.
        prepared: what is trained on; a digest of it is kept, to know it again.
        config: resolved settings.
    """

    saves: ClassVar[bool] = True

    def __init__(self, folder: Path, prepared: PreparedData, config: Config) -> None:
        self.path = folder / CHECKPOINT_FILE
        self._extras = {
            "source": prepared.source,
            "path": str(prepared.path or prepared.source),  # the run may be resumed from another folder
            "config": _settings(config),
            "digest": digest(prepared),
        }
        self._due = 0.0

    def on_epoch(self, trainer: Trainer, row: Mapping[str, float]) -> None:
        """Save, unless that was done a short while ago or the epoch may have been cut short."""
        if time.monotonic() >= self._due and not trainer.history.stopped:
            self.save(trainer)

    def save(self, trainer: Trainer) -> None:
        """Write the checkpoint. Raises OutputError if that cannot be; an earlier one is unharmed."""
        started = time.monotonic()
        save_trainer(trainer, self.path, self._extras)
        finished = time.monotonic()
        self._due = finished + _PAUSE * (finished - started)


def digest(prepared: PreparedData) -> str:
    """A number that tells whether a run is given the data that it was trained on."""
    found = hashlib.sha256()
    for array in (prepared.X, prepared.y, prepared.X_held, prepared.y_held):
        found.update(f"{array.dtype}{array.shape}".encode())
        found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()


def _settings(config: Config) -> dict[str, object]:
    return {name: value for name, value in asdict(config).items() if value is not None}
