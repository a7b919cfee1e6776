"""A trained network with its preprocessing: from data to answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chainrule.data import TargetEncoder
from chainrule.data.records import is_count, is_text, read_record
from chainrule.errors import ModelFileError
from chainrule.frames import DataSource, Frame
from chainrule.ir import Array
from chainrule.job.folders import MODEL_FILE
from chainrule.job.inputs import Encoder, check_kind_of, encoder_of, other_kind, read_encoder
from chainrule.job.measures import measure, probabilities
from chainrule.nn import Module
from chainrule.train import load_model, save_model


@dataclass(frozen=True)
class Predictions:
    """Answers.

    Attributes:
        values: (n,) class labels (text), or float64 numbers in the target's own unit.
        probabilities: float64 (n, classes), or None for numbers.
        classes: labels in the order of the columns of `probabilities`.
    """

    values: Array
    probabilities: Array | None
    classes: tuple[str, ...]


@dataclass(frozen=True)
class Predictor:
    """A model, what turns data into its inputs, and what turns its outputs into answers.

    Attributes:
        model: takes what `features` makes of data, float32 (n, …); gives (n, outputs).
        features: fitted encoder of the inputs.
        target: fitted encoder of the targets.
        facts: about its training, as JSON data.
    """

    model: Module
    features: Encoder[Any]
    target: TargetEncoder
    facts: Mapping[str, Any]

    def save(self, path: str | Path) -> None:
        """Write model and preprocessing to one .safetensors file. Raises OutputError if that cannot be."""
        features = {"kind": self.features.kind, "encoder": self.features.to_dict()}
        save_model(self.model, path, {"features": features, "target": self.target.to_dict(), "facts": dict(self.facts)})

    @staticmethod
    def load(path: str | Path) -> Predictor:
        """Read what `save` wrote, from the file or from the run folder that holds it.

        Raises:
            ModelFileError: it is missing, broken, altered, or a model without preprocessing.
        """
        file = Path(path) / MODEL_FILE if Path(path).is_dir() else Path(path)
        model, extras = load_model(file)
        if not {"features", "target", "facts"} <= set(extras):
            raise ModelFileError(
                f"{file} holds a network without preprocessing",
                "`chainrule train` saves both",
                "Load it in Python with chainrule.train.load_model and prepare the inputs yourself.",
            )
        facts = _facts(extras["facts"])
        return Predictor(model, read_encoder(extras["features"]), TargetEncoder.from_dict(extras["target"]), facts)

    def read(
        self,
        source: DataSource,
        *,
        labelled: bool,
        keep: Sequence[str] = (),
        delimiter: str | None = None,
        encoding: str | None = None,
    ) -> Any:
        """Read data for this model, in the way the training data was read, and the target if `labelled`.

        Args:
            source: a file, a folder, a built-in data set or a DataFrame, of the kind that the model was trained on.
            labelled: whether the target is needed.
            keep: columns for `row_names`.
            delimiter, encoding: of a text table, as in `read_table`; None takes those that training was told. (A file that is
                UTF-8 is read as such even where the training data was not.)

        Raises:
            DataError: it cannot be read, is of another kind, or lacks the target.
        """
        check_kind_of(source, type(self.features))
        said = {name: value for name, value in (("delimiter", delimiter), ("encoding", encoding)) if value is not None}
        return self.features.read_again(source, self.target if labelled else None, keep, said, self.facts)

    def inputs(self, data: Any) -> Array:
        """What the network reads.

        Raises:
            DataError: data of another kind than the model was trained on; columns or sizes that do not fit.
        """
        self._check(data)
        return self.features.transform(data)

    def _check(self, data: Any) -> None:
        if not isinstance(data, self.features.data):
            raise other_kind(getattr(data, "source", "the data"), encoder_of(data), type(self.features))

    def row_names(self, data: Any, keep: Sequence[str] = ()) -> dict[str, list[str]]:
        """What tells one row from another, to put beside the answers: of a table the identifiers that it has, as they were in
        training, and the columns to keep; of files in a folder their names, as "file".

        Args:
            data: from `read`.
            keep: columns of a table, as given to `read`.

        Raises:
            DataError: a column to keep that is not there.
        """
        self._check(data)
        return self.features.row_names(data, keep)

    def predict(self, data: Any) -> Predictions:
        """Answers for every row of data from `read`, or of a DataFrame."""
        if isinstance(data, Frame):
            data = self.read(data, labelled=False)
        return self.answers(self.outputs(self.inputs(data)))

    def outputs(self, inputs: Array) -> Array:
        """What the network gives for inputs, (n, outputs).

        Raises:
            ModelFileError: it gives another number of outputs than its target has.
        """
        found = self.model.predict(inputs)
        if found.shape != (len(inputs), self.target.outputs):
            raise ModelFileError(
                f"the network gives outputs of shape {found.shape[1:]}",
                f"its target {self.target.name!r} needs {self.target.outputs}",
                "Use the original file, or train again.",
            )
        return found

    def answers(self, outputs: Array) -> Predictions:
        """What outputs of the network mean.

        Args:
            outputs: (n, outputs).
        """
        return Predictions(self.target.decode(outputs), self.probabilities(outputs), self.target.classes)

    def probabilities(self, outputs: Array) -> Array | None:
        """Probabilities (n, classes): softmax of the outputs, σ of a single one; None for numbers."""
        return probabilities(self.target, outputs)

    def labelled(self, data: Any) -> tuple[Array, Array]:
        """What the network reads, and the encoded targets (n,), of data from `read` or a DataFrame; rows without a target are
        left out.

        Raises:
            DataError: data that does not fit, or has no target.
        """
        if isinstance(data, Frame):
            data = self.read(data, labelled=True)
        self._check(data)
        rows, truth = self.features.truth(data, self.target)
        return self.inputs(data)[rows], truth

    def evaluate(self, data: Any) -> dict[str, float]:
        """Measures of the answers against the targets in the data; rows without a target are left out. See `measure`."""
        inputs, truth = self.labelled(data)
        return measure(self.target, self.outputs(inputs), truth)


def _facts(saved: Any) -> dict[str, Any]:
    """What a model file says about its training; {} if it says nothing."""
    if saved == {}:
        return {}
    fields = {"source": is_text, "rows": is_count, "epochs": is_count, "stopped": is_text}
    optional = {"metrics": _is_measures, "baseline": _is_measures, "delimiter": is_text, "encoding": is_text}
    given = {name: check for name, check in optional.items() if isinstance(saved, Mapping) and name in saved}
    return read_record(saved, fields | given, "facts of the training")


def _is_measures(value: object) -> bool:
    return isinstance(value, Mapping) and all(isinstance(number, float) for number in value.values())
