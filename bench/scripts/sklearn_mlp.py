"""Read a table, scale it, train a network of two hidden layers, judge it on held-out rows, save it: with scikit-learn."""

from __future__ import annotations

import json
import warnings

import joblib
import numpy as np
from sklearn import datasets
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from bench.scripts import table
from bench.scripts.options import options

given = options()
if given.data.endswith(".csv"):
    X, words, y = table.read(given.data, given.target)
else:
    X, y = getattr(datasets, f"load_{given.data}")(return_X_y=True)
    words = []

scale = StandardScaler()
if words or np.isnan(X).any():
    numbers = [n for n in range(X.shape[1]) if n not in words]
    scale = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), numbers),
            ("words", make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore")), words),
        ]
    )
network = MLPClassifier(
    (128, 128),
    batch_size=given.batch_size,
    learning_rate_init=0.002,
    max_iter=given.epochs,
    tol=0.0,
    n_iter_no_change=given.epochs,
    random_state=0,
)
model = make_pipeline(scale, network)
X_train, X_held, y_train, y_held = train_test_split(X, y, test_size=0.2, stratify=y, random_state=0)
with warnings.catch_warnings():
    warnings.simplefilter("ignore", ConvergenceWarning)
    model.fit(X_train, y_train)
print(json.dumps({"accuracy": float(model.score(X_held, y_held))}))
joblib.dump(model, given.out)
