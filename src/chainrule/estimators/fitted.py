"""What fitting leaves: a network with its preprocessing, which is pickled as the bytes of a model file."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.data import Table, TargetEncoder
from chainrule.errors import ModelFileError
from chainrule.estimators.targets import Targets
from chainrule.fileio import parsing
from chainrule.ir import Array
from chainrule.job.inputs import read_encoder
from chainrule.job.inputs.tables import TableEncoder
from chainrule.nn import Module
from chainrule.nn.modes import in_mode
from chainrule.recording import no_grad
from chainrule.tensors import tensor
from chainrule.train import Trainer, load_model, load_trainer, save_model, save_trainer

_ROWS = 4096  # that go through the network at once


@dataclass(frozen=True)
class Preprocessing:
    """What turns X into inputs of a network, and outputs into answers.

    Attributes:
        features: encoder of the inputs.
        targets: encoders of the targets.
        names: of the columns that were given, in order, those that are not used included.
    """

    features: TableEncoder
    targets: Targets
    names: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """As JSON data."""
        return {
            "features": {"kind": self.features.kind, "encoder": self.features.to_dict()},
            "targets": [encoder.to_dict() for encoder in self.targets.encoders],
            "names": list(self.names),
        }

    @staticmethod
    def from_dict(saved: Mapping[str, Any]) -> Preprocessing:
        """The inverse. Raises ModelFileError for anything else."""
        with parsing("a pickled estimator", "it holds a network with its preprocessing", "Fit it again.", ModelFileError):
            features = read_encoder(saved["features"])
            if not isinstance(features, TableEncoder):
                raise TypeError(f"its inputs are {features.noun}")
            targets = tuple(TargetEncoder.from_dict(one) for one in saved["targets"])
            return Preprocessing(features, Targets(targets), tuple(map(str, saved["names"])))


@dataclass(frozen=True)
class Fitted:
    """A network with its preprocessing.

    Attributes:
        model: gives (n, outputs) for encoded rows.
        preprocessing: what encodes them.
        trainer: of the model, with the moments of its optimiser, where `partial_fit` goes on; else None.
    """

    model: Module
    preprocessing: Preprocessing
    trainer: Trainer | None = None

    @property
    def targets(self) -> Targets:
        """Encoders of the targets."""
        return self.preprocessing.targets

    def outputs(self, table: Table) -> Array:
        """What the network gives for the rows of a table, float64 (n, outputs).

        They are computed in float64: scikit-learn asks for answers that do not depend on the rows beside them, and the order in
        which the native backend adds does. Nothing is compiled, however many rows there are.
        """
        X = self.preprocessing.features.transform(table).astype(np.float64)
        with in_mode(self.model, training=False), no_grad():
            parts = [self.model(tensor(X[n : n + _ROWS])).numpy() for n in range(0, len(X), _ROWS)]
        return np.concatenate(parts)

    def to_bytes(self) -> bytes:
        """A model file; with a trainer, a checkpoint."""
        content = io.BytesIO()
        if self.trainer is None:
            save_model(self.model, content, self.preprocessing.to_dict())
        else:
            save_trainer(self.trainer, content, self.preprocessing.to_dict())
        return content.getvalue()

    @staticmethod
    def from_bytes(content: bytes, *, with_trainer: bool) -> Fitted:
        """The inverse of `to_bytes`.

        Raises:
            ModelFileError: the content is broken, altered, or something else.
        """
        model, extras = load_model(io.BytesIO(content))
        preprocessing = Preprocessing.from_dict(extras)
        if not with_trainer:
            return Fitted(model, preprocessing)
        trainer = load_trainer(io.BytesIO(content))
        return Fitted(trainer.model, preprocessing, trainer)
