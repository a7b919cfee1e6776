"""The regressor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils.validation import check_array, column_or_1d

from chainrule import elsewhere
from chainrule.estimators.base import NetworkEstimator, Truth
from chainrule.estimators.targets import Targets
from chainrule.ir import Array


class NetworkRegressor(RegressorMixin, NetworkEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A network that predicts numbers: `chainrule train` as an estimator of scikit-learn.

    With the same data, settings and seed it is the same network, bit for bit. Columns of numbers are standardised, words become
    one column each, gaps are filled and marked, all fitted on the training rows (docs/tables.md). So is the target: the network
    learns z = (y − mean) / std, and answers mean + std · z, in the unit of y. Several targets are learnt by one network with an
    output each. Parameters have the names of the options of `chainrule train`; None lets chainrule choose from the data, and
    `settings_` says what was chosen.

    Args:
        hidden: units per hidden layer, such as (128, 128), the default; () for none.
        activation: of the hidden layers, as in `chainrule train --activation`: "relu", "tanh", "gelu", ….
        dropout: share of hidden units that is left out in each step; 0.1 by default.
        loss: a loss for numbers, as in `chainrule train --loss`; the mean squared error by default.
        optimizer: "adamw", "adam", "sgd", …, as in `chainrule train --optimizer`.
        learning_rate: its learning rate; for adamw 0.002 by default.
        schedule: how the learning rate changes, as in `chainrule train --schedule`.
        l2: weight decay λ: an L2 penalty, for adamw decoupled. By default it is chosen from inputs per row.
        batch_size: rows per step; about √rows by default, 16 to 256.
        epochs: times through the training rows; by default as many as give 30 √rows steps, at least 600.
        validation: share of the rows that is held out to choose the epoch whose weights are kept; 0 holds out none, and so do
            tables of less than 20 rows.
        patience: epochs without improvement on the held-out rows after which to stop; None trains to the end.
        random_state: of everything random. None draws from NumPy's stream, so that no two fits are alike.
        warm_start: whether `fit` goes on from the weights of the last fit. Preprocessing and layers then stay.
        verbose: whether to show progress.
        backend: what runs the network: "auto", "native" or "reference".

    Attributes:
        n_features_in_, feature_names_in_: number and names of the columns given to fit; names only of a DataFrame.
        loss_curve_: mean training loss of each epoch, of standardised targets; best_loss_: the least of them.
        validation_scores_: R² = 1 − Σ(error²) / Σ((y − mean y)²) on the held-out rows after each epoch, of several targets
            over all of them, standardised; None without such rows.
        n_iter_: epochs trained.
        settings_: every setting as used.
        predictor_: the network with its preprocessing, which `chainrule predict` reads when it is saved.

    Examples:
        >>> from sklearn.datasets import load_diabetes
        >>> from chainrule.estimators import NetworkRegressor
        >>> X, y = load_diabetes(return_X_y=True)
        >>> network = NetworkRegressor(hidden=(16,)).fit(X, y)
        >>> bool(network.score(X, y) > 0.3)
        True
        >>> network.predict(X[:2]).shape
        (2,)
    """

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
        self.random_state = random_state
        self.warm_start = warm_start
        self.verbose = verbose
        self.backend = backend

    __init__ = elsewhere.explaining_calls(__init__, elsewhere.ESTIMATOR)

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train one epoch on these rows, with a constant learning rate; nothing is held out.

        The first call fits the preprocessing, and the scale of y, on its rows, so they should be many and typical.

        Args:
            X, y, sample_weight: see `fit`.

        Returns:
            The estimator itself.
        """
        return self._fit_part(X, y, sample_weight)

    def predict(self, X: Any) -> Array:
        """Answers in the unit of y, float64 (rows,), or (rows, targets) for several."""
        outputs = self._outputs(X)
        return self._fitted.targets.numbers(outputs)

    # ------------------------------------------------------------------------------------ targets
    def _truth(self, y: Any, *, going_on: bool) -> Truth:
        values = check_array(y, ensure_2d=False, dtype=np.float64, input_name="y")
        if values.ndim == 2 and values.shape[1] == 1:
            values = column_or_1d(values, warn=True)
        names = ["y"] if values.ndim == 1 else [f"y{n}" for n in range(values.shape[1])]
        return Truth(values, lambda rows: Targets.for_numbers(list(rows.reshape(len(rows), -1).T), names))

    def _encoded(self, targets: Targets, values: Array) -> Array:
        return targets.standardised(values)

    def __sklearn_tags__(self) -> Any:
        """Several targets are learnt, too."""
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
