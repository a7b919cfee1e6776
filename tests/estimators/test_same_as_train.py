"""An estimator is `chainrule train`: the same preprocessing, defaults, network and answers from the same data and seed."""

import csv
import inspect
from dataclasses import fields

import numpy as np
import pyarrow as pa
import pytest
from tables_for_estimators import SMALL, TARGETS, columns, inputs

from chainrule.estimators import NetworkClassifier, NetworkRegressor
from chainrule.job import Config, Predictor, PreparedData, train

ESTIMATORS = {"two": NetworkClassifier, "three": NetworkClassifier, "number": NetworkRegressor}
SETTINGS = {
    "averaged": {"epochs": 20},
    "early stopping": {"patience": 2, "schedule": "cosine", "epochs": 12},
    "another seed": {"seed": 7, "validation": 0.3, "activation": "tanh", "optimizer": "sgd", "learning_rate": 0.1},
    "defaults": {"hidden": None, "epochs": None, "backend": "auto"},
}
CASES = [
    pytest.param(target, settings, marks=[] if settings == "averaged" and target != "two" else pytest.mark.slow)
    for target in TARGETS
    for settings in SETTINGS
]


def written(tmp_path, table, name="table.csv"):
    path = tmp_path / name
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([list(table), *zip(*table.values(), strict=True)])
    return path


def trained(path, target, **settings):
    """What `chainrule train` makes of a file."""
    config = Config(target=target, exclude=tuple(name for name in TARGETS if name != target), **{**SMALL, **settings})
    return train(PreparedData.load(path, config), config)


def weights(model):
    return {name: array.copy() for name, array in model.state_dict().items()}


@pytest.mark.parametrize("target, settings", CASES)
def test_the_same_network_bit_for_bit(target, settings, tmp_path):
    chosen = SETTINGS[settings]
    result = trained(written(tmp_path, columns()), target, **chosen)
    own = {**SMALL, **chosen}
    own["random_state"] = own.pop("seed", 0)
    network = ESTIMATORS[target](**own).fit(pa.table(inputs()), columns()[target])

    ours, theirs = weights(network.predictor_.model), weights(result.predictor.model)
    assert list(ours) == list(theirs)
    for name in ours:
        np.testing.assert_array_equal(ours[name], theirs[name])
    assert network.loss_curve_ == result.history["loss"]
    left = {"target", "exclude", "seed"}
    used = {f.name: getattr(result.config, f.name) for f in fields(Config) if f.name not in left}
    assert {name: value for name, value in network.settings_.items() if name not in left} == used

    new = inputs(30, seed=1)
    answers = result.predictor.predict(result.predictor.read(written(tmp_path, new, "new.csv"), labelled=False))
    found = network.predictor_.predict(network.predictor_.read(pa.table(new), labelled=False))
    np.testing.assert_array_equal(found.values, answers.values)
    if target == "number":
        np.testing.assert_allclose(network.predict(pa.table(new)), answers.values, rtol=1e-6)
    else:
        np.testing.assert_array_equal(found.probabilities, answers.probabilities)
        assert tuple(network.classes_) == answers.classes
        np.testing.assert_array_equal(network.predict(pa.table(new)), answers.values)
        # The answers of estimators are computed in float64.
        np.testing.assert_allclose(network.predict_proba(pa.table(new)), answers.probabilities, rtol=1e-5)


@pytest.mark.parametrize("target", ["number", pytest.param("three", marks=pytest.mark.slow)])
def test_whole_numbers_and_arrays_are_the_same_too(target, tmp_path):
    rng = np.random.default_rng(3)
    X = np.stack([rng.normal(size=50), rng.integers(0, 9, 50), np.where(rng.uniform(size=50) < 0.1, np.nan, 1000.0)], axis=1)
    y = columns(50)[target]
    table = {f"x{n}": ["" if np.isnan(v) else repr(float(v)) for v in column] for n, column in enumerate(X.T)}
    config = Config(target="y", **SMALL)
    result = train(PreparedData.load(written(tmp_path, table | {"y": y}), config), config)
    network = ESTIMATORS[target](**SMALL).fit(X, y)
    for name, array in weights(result.predictor.model).items():
        np.testing.assert_array_equal(array, weights(network.predictor_.model)[name])


@pytest.mark.parametrize("estimator", [NetworkClassifier, NetworkRegressor])
def test_defaults_are_those_of_train(estimator):
    known = {f.name: f.default for f in fields(Config)}
    defaults = {name: p.default for name, p in inspect.signature(estimator).parameters.items()}
    own = {"random_state": 0, "warm_start": False, "verbose": False}
    assert defaults == {name: known[name] for name in defaults if name in known} | own
    reading = {"target", "task", "include", "exclude", "kinds", "missing", "delimiter", "encoding", "image_size", "seed"}
    left = set(known) - set(defaults) - reading
    assert left == ({"class_weight"} if estimator is NetworkRegressor else set()), "a new setting is a parameter as well"


SAVED = {
    "words": columns()["two"],
    "numbers": columns()["number"],
    "flags": [word == "good" for word in columns()["two"]],
    "floats": [float(word == "good") for word in columns()["two"]],
}


@pytest.mark.parametrize("kind", SAVED)
def test_what_is_saved_is_a_model_of_train(kind, tmp_path):
    estimator = NetworkRegressor if kind == "numbers" else NetworkClassifier
    network = estimator(**SMALL).fit(pa.table(inputs()), SAVED[kind])
    network.predictor_.save(tmp_path / "model.safetensors")
    loaded = Predictor.load(tmp_path / "model.safetensors")
    path = written(tmp_path, inputs() | {"y": SAVED[kind]})
    answers = loaded.predict(loaded.read(path, labelled=False))
    np.testing.assert_array_equal(answers.values, network.predictor_.predict(pa.table(inputs())).values)
    found = loaded.evaluate(loaded.read(path, labelled=True))
    measured = network.score(pa.table(inputs()), SAVED[kind])
    assert found["r2" if kind == "numbers" else "accuracy"] == pytest.approx(measured, abs=1e-6)
    assert loaded.facts == {"source": estimator.__name__, "rows": 48, "epochs": 3, "stopped": ""}
