"""What the two estimators have in common: settings, fitting, going on, pickling."""

from __future__ import annotations

import math
import numbers
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from chainrule import elsewhere
from chainrule.data import Table
from chainrule.errors import ArgumentError, DataError, MissingName
from chainrule.estimators.fitted import Fitted, Preprocessing
from chainrule.estimators.inputs import read_inputs
from chainrule.estimators.targets import Targets
from chainrule.fitting.inputs import weights_array
from chainrule.ir import Array
from chainrule.job.building import make_loss, make_trainer, resolved
from chainrule.job.config import Config
from chainrule.job.inputs.tables import TableEncoder
from chainrule.job.predictor import Predictor
from chainrule.job.prepared import Samples, hold_out
from chainrule.job.training import fit, own_callbacks
from chainrule.optim.schedules import CONSTANT
from chainrule.train import metrics_for

_OWN = {field.name for field in fields(Config)}
_LARGEST_SEED = 2**31 - 1


@dataclass(frozen=True)
class Truth:
    """What was given as y.

    Attributes:
        values: (n, …), encoded as far as that does not depend on which rows are trained on.
        fit: makes targets of the values of the training rows.
        classes: (n,) class numbers, whose shares are kept in what is held out; None for anything else.
    """

    values: Array
    fit: Callable[[Array], Targets]
    classes: Array | None = None


class NetworkEstimator(BaseEstimator, ABC):  # type: ignore[misc]  # scikit-learn has no types
    """Base of `NetworkClassifier` and `NetworkRegressor`."""

    loss_curve_: list[float]
    validation_scores_: list[float] | None
    _fitted: Fitted
    _rows: int  # that were trained on last

    # ------------------------------------------------------------------------------------ what the two differ in
    @abstractmethod
    def _truth(self, y: Any, *, going_on: bool) -> Truth:
        """Check y, and set what is known of it; `going_on` where that is known from an earlier call."""

    @abstractmethod
    def _encoded(self, targets: Targets, values: Array) -> Array:
        """Targets as a loss compares with them."""

    def _class_weights(self) -> Mapping[int, float] | None:
        """Weights by class number, where they were given."""
        return None

    # ------------------------------------------------------------------------------------ fitting
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train a network as `chainrule train` does.

        Args:
            X: (rows, columns): a DataFrame or an array; numbers, words, dates and gaps.
            y: (rows,) answers, or (rows, targets) for several; every row has one.
            sample_weight: (rows,), how much each row counts, in training and in the held-out loss; rows with 0 are left out.

        Returns:
            The estimator itself.

        Raises:
            DataError, DTypeError: data that cannot be learnt from.
            ArgumentError: a setting out of range.
            NonFiniteLoss: the loss became NaN or infinite.
        """
        known = self.__dict__.pop("_fitted", None)  # until this fit has ended well, there are no answers
        known = known if self.warm_start else None
        config = self._config()
        samples, preprocessing = self._samples(X, y, sample_weight, config, known)
        config = resolved(config, samples)
        trainer = make_trainer(config, samples, None if known is None else known.model)
        fit(trainer, samples, config, own_callbacks(config, samples), progress=bool(self.verbose))
        self._note(trainer.history.epochs, samples, before=0 if known is None else self.n_iter_)
        self._take(Fitted(trainer.model, preprocessing), config, samples)
        return self

    def _fit_part(self, X: Any, y: Any, sample_weight: Any) -> Self:
        """One epoch on these rows, which are all trained on."""
        known: Fitted | None = getattr(self, "_fitted", None)
        config = replace(self._config(), schedule=CONSTANT, patience=None)
        samples, preprocessing = self._samples(X, y, sample_weight, config, known, part=True)
        config = resolved(config, samples)
        trainer = None if known is None else known.trainer
        if trainer is None:
            trainer = make_trainer(config, samples, None if known is None else known.model)
        else:  # its optimiser stays as it is
            config = replace(Config(), **self.settings_)
        fit(trainer, samples, replace(config, epochs=trainer.epoch + 1), (), progress=bool(self.verbose))
        self._note(trainer.history.epochs[-1:], samples, before=0 if known is None else self.n_iter_)
        self._take(Fitted(trainer.model, preprocessing, trainer), config, samples)
        return self

    def _config(self) -> Config:
        """The settings of `chainrule train` that the parameters are."""
        given = {name: _plain(value) for name, value in self.get_params(deep=False).items() if name in _OWN}
        chosen = {name: value for name, value in given.items() if value is not None and not isinstance(value, Mapping)}
        if isinstance(chosen.get("hidden"), int):
            chosen["hidden"] = [chosen["hidden"]]
        if not self.validation:
            chosen.pop("validation", None)  # see _samples
        return Config().updated(chosen | {"seed": self._seed()})

    def _seed(self) -> int:
        if isinstance(self.random_state, numbers.Integral):
            return int(self.random_state)
        return int(check_random_state(self.random_state).randint(_LARGEST_SEED))

    def _samples(
        self, X: Any, y: Any, sample_weight: Any, config: Config, known: Fitted | None, *, part: bool = False
    ) -> tuple[Samples, Preprocessing]:
        """Rows to train on and to hold out, encoded, and what encoded them: that of an earlier fit, if it is known.

        Of a `part` of the data nothing is held out.
        """
        if y is None:
            given = f"this {type(self).__name__} requires y to be passed, but the target y is None"
            raise DataError(given, "a network learns from known answers", "Pass them.")
        table = self._table(X, known)
        truth = self._truth(y, going_on=part or known is not None)
        if len(truth.values) != table.n_rows:
            given = f"X has {table.n_rows} rows, and y has {len(truth.values)}"
            raise DataError(given, "every row has an answer", "Leave out what has no counterpart.")
        weights, rows = self._weighted(sample_weight, truth)
        classes = None if truth.classes is None else truth.classes[rows]
        everything = np.arange(len(rows))
        train, held = hold_out(len(rows), config, classes) if self.validation and not part else (everything, everything)
        held_out = train is not held
        train, held = rows[train], rows[held]
        made = known.preprocessing if known is not None else None
        if made is None:
            made = Preprocessing(TableEncoder.fit(table, None, train), truth.fit(truth.values[train]), table.names)
        features, values = made.features, self._encoded(made.targets, truth.values)
        samples = Samples(
            features=features,
            target=made.targets,
            X=features.transform(table, train),
            y=values[train],
            X_held=features.transform(table, held),
            y_held=values[held],
            held_out=held_out,
            weights=None if weights is None else weights[train],
            weights_held=None if weights is None else weights[held],
        )
        return samples, made

    def _weighted(self, sample_weight: Any, truth: Truth) -> tuple[Array | None, Array]:
        """Weights of all rows, None for 1 each, and the positions of the rows that have one."""
        by_class = self._class_weights()
        if sample_weight is None and by_class is None:
            return None, np.arange(len(truth.values))
        loss = make_loss(Config(), "multiclass")
        weights = weights_array(sample_weight, by_class, truth.values, loss, np.float64)
        return weights, np.flatnonzero(weights)

    def _table(self, X: Any, known: Fitted | None) -> Table:
        made = None if known is None else known.preprocessing
        return read_inputs(self, X) if made is None else read_inputs(self, X, made.features, made.names)

    # ------------------------------------------------------------------------------------ what fitting leaves
    def _take(self, fitted: Fitted, config: Config, samples: Samples) -> None:
        self._fitted = fitted
        self._rows = len(samples.X)
        self.settings_ = {field.name: getattr(config, field.name) for field in fields(config) if field.name != "target"}

    def _note(self, epochs: Sequence[Mapping[str, float]], samples: Samples, *, before: int) -> None:
        """Enter what happened into the curves; `before` epochs were trained by earlier calls."""
        scores = _scores(epochs, samples) if samples.held_out else None
        self.loss_curve_ = [*(self.loss_curve_ if before else []), *(epoch["loss"] for epoch in epochs)]
        earlier = self.validation_scores_ if before else None
        self.validation_scores_ = earlier if scores is None else [*(earlier or []), *scores]
        self.best_loss_ = min(self.loss_curve_)
        self.n_iter_ = len(self.loss_curve_)

    def _outputs(self, X: Any) -> Array:
        """What the network gives, (rows, outputs)."""
        check_is_fitted(self)
        return self._fitted.outputs(self._table(X, self._fitted))

    @property
    def predictor_(self) -> Predictor:
        """The network with its preprocessing, as `chainrule train` saves it: `predictor_.save("model.safetensors")` writes a
        file for `chainrule predict`, and `predictor_.model` is for `cr.summary`, `cr.draw` and the rest.

        Raises:
            NotFittedError: before `fit`. MissingName: with several targets; a model file has one.
        """
        check_is_fitted(self)
        fitted = self._fitted
        if len(fitted.targets.encoders) > 1:
            raise MissingName(
                f"an estimator with {len(fitted.targets.encoders)} targets has no predictor_",
                "a model file of `chainrule train` has one target",
                "Pickle the estimator.",
            )
        facts = {"source": type(self).__name__, "rows": self._rows, "epochs": self.n_iter_, "stopped": ""}
        return Predictor(fitted.model, fitted.preprocessing.features, fitted.targets.encoders[0], facts)

    # ------------------------------------------------------------------------------------ for scikit-learn
    def set_params(self, **params: Any) -> Self:
        """Set parameters by name, as searches do. Raises ValueError for unknown ones, which says ours for `MLPClassifier`'s."""
        for name in params:
            if name in elsewhere.ESTIMATOR:
                given = f"{type(self).__name__} was given the parameter {name!r}"
                fix = f"Write {elsewhere.ESTIMATOR[name]!r} in place of {name!r}."
                raise ArgumentError(given, "parameters are called like the options of `chainrule train`", fix)
        super().set_params(**params)
        return self

    def __sklearn_is_fitted__(self) -> bool:
        """Whether there is a network; not after a fit that failed."""
        return hasattr(self, "_fitted")

    def __sklearn_tags__(self) -> Any:
        """Gaps and words are taken, sparse matrices are not."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        return tags

    def __getstate__(self) -> dict[str, Any]:
        """Parameters and curves, and the network as the bytes of a model file."""
        state = dict(super().__getstate__())
        if "_fitted" in state:
            fitted: Fitted = state.pop("_fitted")
            state["_model_file"] = (fitted.to_bytes(), fitted.trainer is not None)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """The inverse. Raises ModelFileError for a model file that is broken."""
        state = dict(state)
        model_file = state.pop("_model_file", None)
        super().__setstate__(state)
        if model_file is not None:
            self._fitted = Fitted.from_bytes(model_file[0], with_trainer=model_file[1])


def _scores(epochs: Sequence[Mapping[str, float]], samples: Samples) -> list[float]:
    """Accuracy of classes, or R² of numbers, on the held-out rows after each epoch."""
    (name,) = metrics_for(samples.target.task)
    found = [epoch[f"val_{name}"] for epoch in epochs]
    if samples.target.task != "regression":
        return found
    y = samples.y_held.reshape(len(samples.y_held), -1).astype(np.float64)
    deviations = (y - np.average(y, axis=0, weights=samples.weights_held)) ** 2
    spread = float(np.average(deviations.mean(axis=1), weights=samples.weights_held))
    return [1.0 - error**2 / spread if spread else math.nan for error in found]


def _plain(value: Any) -> Any:
    """Python's own numbers and lists for NumPy's, which searches over grids give."""
    return value.tolist() if isinstance(value, np.generic | np.ndarray) else value
