"""A trained network with its preprocessing: from a table or pictures to answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from chainrule.data import (
    BUILTIN,
    Dataset,
    FeatureEncoder,
    ImageSet,
    PixelEncoder,
    Table,
    TargetEncoder,
    load,
    read_images,
)
from chainrule.data.builtin_sets import TARGET
from chainrule.data.encodings import is_utf8
from chainrule.data.files import existing_file
from chainrule.data.images import is_idx
from chainrule.data.records import is_count, is_text, read_record
from chainrule.errors import DataError, ModelFileError, message
from chainrule.functional import sigmoid, softmax
from chainrule.ir import Array
from chainrule.job.problem import Features
from chainrule.nn import Module
from chainrule.tensors import tensor
from chainrule.train import load_model, save_model

MODEL_FILE = "model.safetensors"
_NUMBERS_AT_ONCE = 2**20  # for which probabilities are computed: of many rows and classes intermediate results take memory


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
        model: takes float32 (n, features) or (n, channels, height, width); gives (n, outputs).
        features: fitted encoder of the inputs.
        target: fitted encoder of the targets.
        facts: JSON-able things worth knowing about how it was trained.
    """

    model: Module
    features: Features
    target: TargetEncoder
    facts: Mapping[str, Any]

    def save(self, path: str | Path) -> None:
        """Write model and preprocessing to one .safetensors file. Raises OutputError if that cannot be."""
        kind = "pixels" if isinstance(self.features, PixelEncoder) else "table"
        features = {"kind": kind, "encoder": self.features.to_dict()}
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
                message(
                    f"{file} holds a network without preprocessing",
                    "`chainrule train` saves both",
                    "Load it in Python with chainrule.train.load_model and prepare the inputs yourself.",
                )
            )
        facts = _facts(extras["facts"])
        return Predictor(model, _features(extras["features"]), TargetEncoder.from_dict(extras["target"]), facts)

    def read(
        self,
        source: str | Path,
        *,
        labelled: bool,
        keep: Sequence[str] = (),
        delimiter: str | None = None,
        encoding: str | None = None,
    ) -> Table | ImageSet:
        """Read data for this model: columns in the way they were read for training, and the target if `labelled`.

        Args:
            source: as in `chainrule.data.load`.
            labelled: whether the target, or the class of pictures, is needed.
            keep: columns for `row_names`.
            delimiter, encoding: of a text table, as in `read_table`; None takes those that training was told. (A file that is
                UTF-8 is read as such even where the training data was not.)

        Raises:
            DataError: it cannot be read, is of another kind, or lacks the target.
        """
        if isinstance(self.features, PixelEncoder):
            return _read_pictures(source, self.features, labelled=labelled)
        names = [*self.features.identifiers, *keep]
        kinds, missing = dict.fromkeys(names, "text") | self.features.kinds, self.features.gaps
        if labelled:
            names.append(self.target.name)
            kinds[self.target.name], missing[self.target.name] = self.target.reading, self.target.gaps
        delimiter = delimiter or self.facts.get("delimiter")
        if encoding is None and "encoding" in self.facts and not is_utf8(source):
            encoding = self.facts["encoding"]
        data = load(source, delimiter=delimiter, kinds=kinds, missing=missing, encoding=encoding, verbatim=names)
        if isinstance(data, ImageSet):
            raise _other_kind(source, pictures=True)
        table = data.to_table() if isinstance(data, Dataset) else data
        if labelled:
            table.needed(TARGET if isinstance(data, Dataset) else self.target.name)
        return table

    def _told(self, name: str) -> str | None:
        """A setting about reading the data that was given in training."""
        value = self.facts.get(name)
        return value if isinstance(value, str) else None

    def inputs(self, data: Table | ImageSet) -> Array:
        """What the network reads.

        Raises:
            DataError: a table where the model was trained on pictures, or the other way; columns or sizes that do not fit.
        """
        if isinstance(self.features, PixelEncoder) and isinstance(data, ImageSet):
            return self.features.transform(data)
        if isinstance(self.features, FeatureEncoder) and isinstance(data, Table):
            return self.features.transform(data)
        raise _other_kind(data.source if isinstance(data, Table) else "the data", pictures=isinstance(data, ImageSet))

    def row_names(self, data: Table | ImageSet, keep: Sequence[str] = ()) -> dict[str, list[str]]:
        """What tells one row from another, to put beside the answers: identifiers as they were in training, where `data` has
        them, and the columns to keep, both by name; for pictures from a folder "file".

        Args:
            data: from `read`.
            keep: columns of a table, as given to `read`.

        Raises:
            DataError: a column to keep that is not there.
        """
        if isinstance(data, ImageSet):
            if keep:
                raise DataError(message(f"the column {keep[0]!r} is to be kept", "pictures have no columns", "Leave it out."))
            return {"file": list(data.files)} if data.files else {}
        known = self.features.identifiers if isinstance(self.features, FeatureEncoder) else []
        return {name: data[name].texts() for name in [*(name for name in known if name in data), *keep]}

    def predict(self, data: Table | ImageSet) -> Predictions:
        """Answers for every row or picture."""
        return self.answers(self.outputs(self.inputs(data)))

    def outputs(self, inputs: Array) -> Array:
        """What the network gives for inputs, (n, outputs).

        Raises:
            ModelFileError: it gives another number of outputs than its target has.
        """
        found = self.model.predict(inputs)
        wanted = len(self.target.classes) if self.target.task == "multiclass" else 1
        if found.shape != (len(inputs), wanted):
            raise ModelFileError(
                message(
                    f"the network gives outputs of shape {found.shape[1:]}",
                    f"its target {self.target.name!r} needs {wanted}",
                    "Use the original file, or train again.",
                )
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
        if self.target.task == "regression":
            return None
        found = np.empty((len(outputs), len(self.target.classes)))
        at_once = max(1, _NUMBERS_AT_ONCE // found.shape[1])
        for first in range(0, len(outputs), at_once):
            scores = tensor(outputs[first : first + at_once], dtype=np.float64)
            part = found[first : first + at_once]
            if self.target.task == "multiclass":
                part[:] = softmax(scores).numpy()
            else:
                part[:, 1:] = sigmoid(scores).numpy()
                part[:, 0] = 1.0 - part[:, 1]
        return found

    def labelled(self, data: Table | ImageSet) -> tuple[Array, Array]:
        """What the network reads, and the encoded targets (n,); rows without a target are left out.

        Raises:
            DataError: data that does not fit, or has no target.
        """
        rows, truth = self._truth(data)
        return self.inputs(data)[rows], truth

    def evaluate(self, data: Table | ImageSet) -> dict[str, float]:
        """Measures of the answers against the targets in the data; rows without a target are left out. See `measure`."""
        inputs, truth = self.labelled(data)
        return measure(self, self.outputs(inputs), truth)

    def _truth(self, data: Table | ImageSet) -> tuple[Array, Array]:
        """Rows that have a target, and the encoded targets."""
        if isinstance(data, ImageSet):
            assert data.y is not None
            own = {label: position for position, label in enumerate(self.target.classes)}
            unknown = [label for label in data.classes if label not in own]
            if unknown:
                raise DataError(
                    message(
                        f"the pictures have the class{'es' if len(unknown) > 1 else ''} {_few(unknown)}",
                        f"the model knows {_few(self.target.classes)}",
                        "Leave them out, rename their folders, or train again.",
                    )
                )
            return np.arange(len(data.y)), np.array([own[label] for label in data.classes])[data.y]
        column = data[self.target.name]
        rows = column.present_rows
        if not len(rows):
            raise DataError(
                message(
                    f"the target '{column.name}' has no values in {data.source}",
                    "answers are compared with it",
                    "Use rows with known answers, or `chainrule predict`.",
                )
            )
        return rows, self.target.encode(column, rows)


def _few(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:20])) + (", …" if len(names) > 20 else "")


def _features(saved: Any) -> Features:
    """The encoder in a model file."""
    if isinstance(saved, Mapping) and saved.get("kind") == "pixels":
        return PixelEncoder.from_dict(saved.get("encoder"))
    if isinstance(saved, Mapping) and saved.get("kind") == "table":
        return FeatureEncoder.from_dict(saved.get("encoder"))
    raise ModelFileError(
        message("the preprocessing in the model file is of no known kind", "it is for a table or pictures", "Train again.")
    )


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


def _read_pictures(source: str | Path, features: PixelEncoder, *, labelled: bool) -> ImageSet:
    path = Path(source)
    if not path.exists() and str(source) in BUILTIN:
        raise _other_kind(source, pictures=False)
    if not path.is_dir() and path.suffix != ".npz" and not is_idx(existing_file(path)):
        raise _other_kind(source, pictures=False)
    size = (features.height, features.width) if path.is_dir() else None
    return read_images(path, size, channels=features.channels, labelled=labelled)


def _other_kind(source: str | Path, *, pictures: bool) -> DataError:
    """The error for pictures given to a model of tables, or the other way."""
    if pictures:
        return DataError(message(f"{source} holds pictures", "the model was trained on a table", "Give it a table."))
    return DataError(
        message(
            f"{source} does not hold pictures",
            "the model was trained on pictures",
            "Give it a folder of pictures, an IDX file or an .npz file.",
        )
    )


def measure(predictor: Predictor, outputs: Array, y: Array) -> dict[str, float]:
    """How good outputs are.

    Args:
        predictor: says what outputs mean.
        outputs: (n, outputs) of its network.
        y: (n,) encoded targets.

    Returns:
        For classes: accuracy, balanced accuracy (mean recall of the classes that occur), and log loss −mean ln p(true class).
        For numbers, in the target's own unit: mae, rmse, and, unless all y are equal, r2 = 1 − Σ(error²) / Σ(y − mean y)².
    """
    target = predictor.target
    if target.task == "regression":
        truth = y.astype(np.float64)
        error = outputs.reshape(-1).astype(np.float64) - truth
        return _of_numbers(error, error, truth, target.std)
    probabilities = predictor.probabilities(outputs)
    assert probabilities is not None
    hits = probabilities.argmax(axis=1) == y
    recalls = [hits[y == c].mean() for c in np.unique(y)]
    likely = np.maximum(probabilities[np.arange(len(y)), y], 1e-15)
    return {
        "accuracy": float(hits.mean()),
        "balanced_accuracy": float(np.mean(recalls)),
        "log_loss": float(-np.log(likely).mean()),
    }


def baseline(target: TargetEncoder, y: Array, y_held: Array) -> dict[str, float]:
    """What the best constant answer reaches: for each measure, the one that the training rows suggest.

    Args:
        target: says what the targets mean.
        y: (n,) encoded targets of the training rows, from which the answers are chosen.
        y_held: (m,) encoded targets that are answered.

    Returns:
        The measures of `measure`. For classes: accuracy of the most frequent class; balanced accuracy of any one class, 1 / the
        number of those that occur; log loss of the frequencies (n_c + 1) / (n + classes), Laplace's rule of succession. For
        numbers, in the target's own unit: mae of the median; rmse and r2 of the mean.
    """
    if target.task != "regression":
        counts = np.bincount(y, minlength=len(target.classes))
        frequencies = (counts + 1.0) / (len(y) + len(target.classes))
        return {
            "accuracy": float(np.mean(y_held == counts.argmax())),
            "balanced_accuracy": 1.0 / len(np.unique(y_held)),
            "log_loss": float(-np.log(frequencies[y_held]).mean()),
        }
    truth = y_held.astype(np.float64)
    return _of_numbers(truth - float(np.median(y)), truth - float(y.mean(dtype=np.float64)), truth, target.std)


def _of_numbers(error: Array, squared_error: Array, truth: Array, std: float) -> dict[str, float]:
    """Measures in the target's own unit, from standardised numbers: the squares of others can be too large or too small."""
    spread, squared = float(np.mean((truth - truth.mean()) ** 2)), float(np.mean(squared_error**2))
    found = {"mae": float(np.mean(np.abs(error))) * std, "rmse": squared**0.5 * std}
    return found | {"r2": 1.0 - squared / spread} if spread else found


def measure_text(value: float) -> str:
    """A measure with four decimals; very small and very large ones with an exponent."""
    usual = value == 0 or 1e-3 <= abs(value) < 1e9
    return f"{value:.4f}" if usual else f"{value:.4g}"


def worse_than_constant(metrics: Mapping[str, float], constant: Mapping[str, float]) -> list[str]:
    """The measures in which a constant answer is better than the network."""
    larger_is_better = ("accuracy", "balanced_accuracy", "r2")
    return [
        name
        for name, value in constant.items()
        if not (metrics[name] >= value if name in larger_is_better else metrics[name] <= value)
    ]
