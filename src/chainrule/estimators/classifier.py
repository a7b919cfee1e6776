"""The classifier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import check_array, column_or_1d

from chainrule import elsewhere
from chainrule.errors import ArgumentError, DataError
from chainrule.estimators.base import NetworkEstimator, Truth
from chainrule.estimators.targets import Targets, called
from chainrule.ir import Array


class NetworkClassifier(ClassifierMixin, NetworkEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A network that tells classes apart: `chainrule train` as an estimator of scikit-learn.

    With the same data, settings and seed it is the same network, bit for bit. Columns of numbers are standardised, words become
    one column each, gaps are filled and marked, all fitted on the training rows (docs/tables.md). Parameters have the names of
    the options of `chainrule train`; None lets chainrule choose from the data, and `settings_` says what was chosen.

    The probability of class k is softmax(z)ₖ = exp zₖ / Σⱼ exp zⱼ for the outputs z of the network, and σ(z) = 1 / (1 + exp −z)
    for the second of two classes. In a y of several columns of 0 and 1 each is a label of its own, with the probability σ(zₖ).

    Args:
        hidden: units per hidden layer, such as (128, 128), the default; () for none.
        activation: of the hidden layers, as in `chainrule train --activation`: "relu", "tanh", "gelu", ….
        dropout: share of hidden units that is left out in each step; 0.1 by default.
        loss: a loss for classes, as in `chainrule train --loss`; cross-entropy by default.
        optimizer: "adamw", "adam", "sgd", …, as in `chainrule train --optimizer`.
        learning_rate: its learning rate; for adamw 0.002 by default.
        schedule: how the learning rate changes, as in `chainrule train --schedule`.
        l2: weight decay λ: an L2 penalty, for adamw decoupled. By default it is chosen from inputs per row.
        batch_size: rows per step; about √rows by default, 16 to 256.
        epochs: times through the training rows; by default as many as give 30 √rows steps, at least 600.
        validation: share of the rows that is held out to choose the epoch whose weights are kept; 0 holds out none, and so do
            tables of less than 20 rows.
        patience: epochs without improvement on the held-out rows after which to stop; None trains to the end.
        class_weight: "balanced", or a weight per class; classes that are not named have 1.
        random_state: of everything random. None draws from NumPy's stream, so that no two fits are alike.
        warm_start: whether `fit` goes on from the weights of the last fit. Preprocessing, layers and classes then stay.
        verbose: whether to show progress.
        backend: what runs the network: "auto", "native" or "reference".

    Attributes:
        classes_: the classes, sorted (k,).
        n_features_in_, feature_names_in_: number and names of the columns given to fit; names only of a DataFrame.
        loss_curve_: mean training loss of each epoch; best_loss_: the least of them.
        validation_scores_: share of right answers on the held-out rows after each epoch; None without such rows.
        n_iter_: epochs trained.
        settings_: every setting as used.
        predictor_: the network with its preprocessing, which `chainrule predict` reads when it is saved.

    Examples:
        >>> from sklearn.datasets import load_iris
        >>> from chainrule.estimators import NetworkClassifier
        >>> X, y = load_iris(return_X_y=True)
        >>> network = NetworkClassifier(hidden=(16,)).fit(X, y)
        >>> bool(network.score(X, y) > 0.9)
        True
        >>> network.predict(X[:2])
        array([0, 0])
        >>> network.predict_proba(X).shape
        (150, 3)
    """

    classes_: Array

    def __init__(
        self,
        hidden: Sequence[int] | None = None,
        *,
        activation: str = "relu",
        dropout: float | None = None,
        loss: str | None = None,
        optimizer: str = "adamw",
        learning_rate: float | None = None,
        schedule: str | None = None,
        l2: float | None = None,
        batch_size: int | None = None,
        epochs: int | None = None,
        validation: float = 0.2,
        patience: int | None = None,
        class_weight: str | Mapping[Any, float] | None = None,
        random_state: Any = 0,
        warm_start: bool = False,
        verbose: bool = False,
        backend: str = "auto",
    ) -> None:
        self.hidden = hidden
        self.activation = activation
        self.dropout = dropout
        self.loss = loss
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.l2 = l2
        self.batch_size = batch_size
        self.epochs = epochs
        self.validation = validation
        self.patience = patience
        self.class_weight = class_weight
        self.random_state = random_state
        self.warm_start = warm_start
        self.verbose = verbose
        self.backend = backend

    __init__ = elsewhere.explaining_calls(__init__, elsewhere.ESTIMATOR)

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """Train one epoch on these rows, with a constant learning rate; nothing is held out.

        The first call fits the preprocessing on its rows, so they should be many and typical.

        Args:
            X, y, sample_weight: see `fit`.
            classes: all classes that will come; needed in the first call only.

        Returns:
            The estimator itself.

        Raises:
            ArgumentError: no classes in the first call, others later, or class_weight="balanced", which needs all rows.
            DataError: a class that is not one of them.
        """
        if self.class_weight == "balanced":
            raise ArgumentError(
                'partial_fit was called with class_weight="balanced"',
                "how often classes occur is not known from a part of the rows",
                "Give a weight per class.",
            )
        if type_of_target(y) != "multilabel-indicator":
            self._take_classes(classes)
        return self._fit_part(X, y, sample_weight)

    def _take_classes(self, classes: Any) -> None:
        """Keep the classes of the first call of `partial_fit`; later ones must have the same, or none."""
        if not hasattr(self, "_fitted"):
            if classes is None:
                raise ArgumentError(
                    "partial_fit was first called without classes",
                    "the network has an output for each class that will come",
                    "Write partial_fit(X, y, classes=np.unique(all_y)).",
                )
            self.classes_ = np.unique(classes)
        elif classes is not None and not np.array_equal(self.classes_, np.unique(classes)):
            raise ArgumentError(
                f"partial_fit got the classes {called(np.unique(classes))}",
                f"the network has an output for each of {called(self.classes_)}",
                "Leave classes out after the first call.",
            )

    def predict(self, X: Any) -> Array:
        """The most likely class of each row (rows,), of the type that y had; for several labels 0 or 1 (rows, labels)."""
        outputs = self._outputs(X)
        positions = self._fitted.targets.positions(outputs)
        answers: Array = self.classes_[positions] if positions.ndim == 1 else positions.astype(self._label_dtype)
        return answers

    def predict_proba(self, X: Any) -> Array:
        """Probabilities of the classes in the order of `classes_` (rows, classes); of several labels that each is 1."""
        outputs = self._outputs(X)
        return self._fitted.targets.probabilities(outputs)

    def predict_log_proba(self, X: Any) -> Array:
        """Natural logarithms of `predict_proba`; −∞ where a probability is 0."""
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    # ------------------------------------------------------------------------------------ targets
    def _truth(self, y: Any, *, going_on: bool) -> Truth:
        try:
            if type_of_target(y, input_name="y", raise_unknown=True) == "multilabel-indicator":
                return self._labels(y)
            values = _one_class_each(y)
            classes = np.unique(values)
        except TypeError as error:
            raise DataError(
                f"y cannot be sorted ({error})", "labels are of one type, and every row has one", "Correct y."
            ) from None
        if going_on:
            _check_known(classes, self.classes_)
        elif len(classes) < 2:
            raise DataError(
                f"y has one class only, {called(classes)}",
                "a classifier tells at least two classes apart",
                "Add rows of another class.",
            )
        else:
            self.classes_ = classes
        positions = np.asarray(np.searchsorted(self.classes_, values))
        targets = Targets.for_classes(self.classes_, "y")
        return Truth(positions, lambda _: targets, positions)

    def _labels(self, y: Any) -> Truth:
        values = y.toarray() if hasattr(y, "toarray") else check_array(y, input_name="y")
        self.classes_ = np.arange(values.shape[1])
        self._label_dtype = values.dtype
        targets = Targets.for_labels([f"y{n}" for n in range(values.shape[1])])
        return Truth(values.astype(np.float32), lambda _: targets)

    def _encoded(self, targets: Targets, values: Array) -> Array:
        return values

    def _class_weights(self) -> Mapping[int, float] | None:
        if not isinstance(self.class_weight, Mapping):
            return None
        unknown = [label for label in self.class_weight if label not in self.classes_.tolist()]
        if unknown:
            raise ArgumentError(
                f"class_weight has the class {unknown[0]!r}", f"y has the classes {called(self.classes_)}", "Correct it."
            )
        return {n: float(self.class_weight.get(label, 1.0)) for n, label in enumerate(self.classes_.tolist())}

    def __sklearn_tags__(self) -> Any:
        """Several labels are learnt, too."""
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


def _one_class_each(y: Any) -> Array:
    """The class of each row (n,)."""
    if type_of_target(y) == "multiclass-multioutput":
        raise DataError(
            "y has several columns of classes",
            "a network learns one class per row, or several labels that are 0 or 1",
            "Learn a network for each column: use sklearn.multioutput.MultiOutputClassifier.",
        )
    check_classification_targets(y)
    values: Array = column_or_1d(y, warn=True)
    if values.dtype.kind == "f":
        check_array(values, ensure_2d=False, input_name="y")
    return values


def _check_known(classes: Array, known: Array) -> None:
    unknown = [label for label in classes.tolist() if label not in known.tolist()]
    if unknown:
        raise DataError(
            f"y has the class {unknown[0]!r}",
            f"the network was made for {called(known)}",
            "Give partial_fit all classes in its first call; with warm_start=True, fit a new estimator.",
        )
