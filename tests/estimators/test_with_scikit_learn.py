"""The estimators within scikit-learn's tools: searches, pipelines, cross-validation, copies, weights, several targets."""

import copy
import pickle
import warnings

import joblib
import numpy as np
import pyarrow as pa
import pytest
import sklearn
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.ensemble import StackingClassifier
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils.validation import check_is_fitted
from tables_for_estimators import SMALL, columns, inputs

import chainrule as cr
from chainrule.errors import ArgumentError, CallError, DataError, DTypeError, MissingName, ModelFileError
from chainrule.estimators import NetworkClassifier, NetworkRegressor
from streaming_frames import Streaming


def classifier(**settings):
    return NetworkClassifier(**{**SMALL, **settings})


def regressor(**settings):
    return NetworkRegressor(**{**SMALL, **settings})


def data(n=60, classes=2, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 3))
    return X, np.digitize(X[:, 0] + X[:, 1], np.linspace(-1, 1, classes + 1)[1:-1])


LABELS = {
    "words": np.array(["no", "yes"]),
    "objects": np.array(["no", "yes"], object),
    "whole numbers": np.array([-3, 40]),
    "flags": np.array([False, True]),
    "floats": np.array([1.0, 2.0]),
    "three words": np.array(["b", "a", "c"]),
}


@pytest.mark.parametrize("kind", LABELS)
def test_answers_have_the_type_of_y(kind):
    labels = LABELS[kind]
    X, y = data(classes=len(labels))
    network = classifier(epochs=12, learning_rate=0.05).fit(X, labels[y])
    np.testing.assert_array_equal(network.classes_, np.unique(labels))
    answers = network.predict(X)
    assert answers.dtype == network.classes_.dtype
    assert np.mean(answers == labels[y]) > 0.8
    likely = network.predict_proba(X)
    assert likely.shape == (60, len(labels))
    np.testing.assert_allclose(likely.sum(axis=1), 1.0)
    np.testing.assert_array_equal(network.classes_[likely.argmax(axis=1)], answers)
    np.testing.assert_allclose(np.exp(network.predict_log_proba(X)), likely)


def test_what_fitting_leaves():
    X, y = data()
    network = classifier(epochs=5).fit(X, y)
    assert network.n_features_in_ == 3
    assert not hasattr(network, "feature_names_in_")
    assert network.n_iter_ == len(network.loss_curve_) == len(network.validation_scores_) == 5
    assert network.best_loss_ == min(network.loss_curve_)
    assert network.settings_["hidden"] == (8,)
    assert classifier(validation=0).fit(X, y).validation_scores_ is None
    assert classifier(validation=None).fit(X, y).validation_scores_ is None
    framed = classifier().fit(pa.table(inputs()), columns()["two"])
    assert list(framed.feature_names_in_) == list(inputs())
    assert repr(NetworkClassifier((8,), epochs=3)) == "NetworkClassifier(epochs=3, hidden=(8,))"


def test_validation_scores_are_those_of_the_rows_held_out():
    X, y = data(100)
    numbers = X @ [1.0, 2.0, 3.0]
    # The last epoch's weights are those that are kept: an epoch is chosen only where it is clearly better.
    network = regressor(epochs=4, schedule="constant").fit(X, numbers)
    held = np.setdiff1d(np.arange(100), cr.data.split_rows(100, 0.2, 0)[0])
    assert network.validation_scores_[-1] == pytest.approx(network.score(X[held], numbers[held]), abs=1e-5)
    network = classifier(epochs=4, schedule="constant").fit(X, y)
    held = cr.data.split_rows(100, 0.2, 0, y)[1]
    assert network.validation_scores_[-1] == pytest.approx(network.score(X[held], y[held]))


# ---------------------------------------------------------------------------------------- tools
def test_pipelines_and_columns():
    table = pytest.importorskip("pandas").DataFrame(inputs())
    prepare = ColumnTransformer([("numbers", StandardScaler(), ["size"]), ("words", OneHotEncoder(), ["colour", "paid"])])
    model = make_pipeline(prepare.set_output(transform="default"), classifier(epochs=12, learning_rate=0.05))
    assert model.fit(table, columns()["two"]).score(table, columns()["two"]) > 0.7
    scaler = StandardScaler().set_output(transform="pandas")
    model = make_pipeline(scaler, classifier()).fit(table[["size"]], columns()["two"])
    assert list(model[-1].feature_names_in_) == ["size"]
    with_polars = make_pipeline(StandardScaler().set_output(transform="polars"), regressor()).fit(*data())
    assert list(with_polars[-1].feature_names_in_) == ["x0", "x1", "x2"]


@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_search_in_processes(jobs):
    X, y = data()
    grid = [{"hidden": [[8, 4]], "l2": np.array([0.1])}, {"hidden": [6, np.array([4])], "batch_size": np.array([16])}]
    search = GridSearchCV(classifier(epochs=1), grid, cv=2, n_jobs=jobs, error_score="raise").fit(X, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.predict(X).shape == (60,)


@pytest.mark.slow
def test_cross_validation_and_what_is_built_on_it():
    X, y = data()
    assert cross_val_predict(classifier(), X, y, cv=3, method="predict_proba").shape == (60, 2)
    assert len(cross_validate(regressor(), X.tolist(), y.astype(float), cv=3)["test_score"]) == 3
    assert CalibratedClassifierCV(classifier(epochs=10), cv=3).fit(X, y).predict_proba(X).shape == (60, 2)
    importance = permutation_importance(classifier(epochs=30).fit(X, y), X, y, n_repeats=2, random_state=0)
    assert importance.importances_mean[:2].min() > importance.importances_mean[2]
    stacked = StackingClassifier([("network", classifier())], LogisticRegression(), cv=2).fit(X, y)
    assert stacked.score(X, y) > 0.5
    assert TransformedTargetRegressor(regressor(), func=np.log, inverse_func=np.exp).fit(X, y + 1.0).predict(X).shape == (60,)


def test_weights_are_routed():
    X, y = data()
    weights = np.where(y == 1, 5.0, 1.0)
    with sklearn.config_context(enable_metadata_routing=True):
        network = classifier().set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        routed = GridSearchCV(network, {"hidden": [(4,)]}, cv=2, error_score="raise").fit(X, y, sample_weight=weights)
    direct = classifier(hidden=(4,)).fit(X, y, sample_weight=weights)
    np.testing.assert_array_equal(routed.predict_proba(X), direct.predict_proba(X))
    assert direct.predict_proba(X)[:, 1].mean() > classifier(hidden=(4,)).fit(X, y).predict_proba(X)[:, 1].mean()


# ---------------------------------------------------------------------------------------- weights
def test_rows_of_weight_0_are_left_out():
    X, y = data()
    counted = np.arange(60) % 4 > 0
    weighted = classifier().fit(X, y, sample_weight=counted)
    np.testing.assert_array_equal(weighted.predict_proba(X), classifier().fit(X[counted], y[counted]).predict_proba(X))


def test_weights_count_by_their_ratio():
    X, y = data()
    weights = np.random.default_rng(0).choice([0.5, 1.0, 2.0], 60)
    one, other = regressor().fit(X, y, sample_weight=weights), regressor().fit(X, y, sample_weight=8 * weights)
    np.testing.assert_array_equal(one.predict(X), other.predict(X))
    assert one.loss_curve_ != regressor().fit(X, y).loss_curve_


def test_class_weights_are_weights_of_rows():
    X, y = data()
    names = np.array(["rare", "usual"])[y]
    by_class = classifier(class_weight={"rare": 9.0}).fit(X, names)
    by_row = classifier().fit(X, names, sample_weight=np.where(names == "rare", 9.0, 1.0))
    np.testing.assert_array_equal(by_class.predict_proba(X), by_row.predict_proba(X))
    assert classifier(class_weight="balanced").fit(X, y).settings_["class_weight"] == "balanced"


def test_scores_of_weighted_rows_are_weighted():
    X, _ = data(100)
    numbers, weights = X @ [1.0, 2.0, 3.0], np.random.default_rng(0).uniform(0.1, 3.0, 100)
    network = regressor(epochs=4, schedule="constant").fit(X, numbers, sample_weight=weights)
    held = cr.data.split_rows(100, 0.2, 0)[1]
    expected = network.score(X[held], numbers[held], sample_weight=weights[held])
    assert network.validation_scores_[-1] == pytest.approx(expected, abs=1e-5)


# ---------------------------------------------------------------------------------------- several targets
def test_several_numbers():
    X, _ = data()
    Y = np.stack([X[:, 0] + X[:, 1], 1000 * X[:, 2]], axis=1)
    network = regressor(epochs=25, learning_rate=0.05).fit(X, Y)
    assert network.predict(X).shape == (60, 2)
    assert network.score(X, Y) > 0.8
    assert network.validation_scores_[-1] > 0.5
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(network)).predict(X), network.predict(X))
    with pytest.raises(MissingName, match="an estimator with 2 targets has no predictor_"):
        network.predictor_  # noqa: B018
    column = regressor().fit(X, Y[:, 0])
    with pytest.warns(sklearn.exceptions.DataConversionWarning):
        np.testing.assert_array_equal(regressor().fit(X, Y[:, :1]).predict(X), column.predict(X))


def test_several_labels():
    X, _ = data()
    Y = (np.stack([X[:, 0], X[:, 1] + X[:, 2], -X[:, 1]], axis=1) > 0).astype(np.int64)
    network = classifier(epochs=25, learning_rate=0.05).fit(X, Y)
    assert network.predict(X).shape == network.predict_proba(X).shape == (60, 3)
    assert network.score(X, Y) > 0.6
    np.testing.assert_array_equal(network.predict_proba(X).round(), network.predict(X))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(network)).predict_proba(X), network.predict_proba(X))


# ---------------------------------------------------------------------------------------- going on
def test_a_part_at_a_time():
    X, y = data(200)
    network = classifier(epochs=None, learning_rate=0.05)
    for first in range(0, 200, 50):
        network.partial_fit(X[first : first + 50], y[first : first + 50], classes=[0, 1] if first == 0 else None)
    assert network.n_iter_ == 4
    assert network.validation_scores_ is None
    copied = pickle.loads(pickle.dumps(network))
    for one in (network, copied):  # the moments of the optimiser are copied, too
        for _ in range(2):
            one.partial_fit(X, y)
    np.testing.assert_array_equal(network.predict_proba(X), copied.predict_proba(X))
    assert network.score(X, y) > 0.9
    numbers = regressor().partial_fit(X, X[:, 0]).partial_fit(X, X[:, 0])
    assert numbers.n_iter_ == 2
    fitted = regressor().fit(X, X[:, 0])
    before = fitted.loss_curve_[-1]
    assert fitted.partial_fit(X, X[:, 0]).loss_curve_[-1] < before


def test_after_a_fit_that_failed_there_are_no_answers():
    X, y = data()
    network = classifier().fit(X, y)
    with pytest.raises(ArgumentError, match="the setting l2 is -1"):
        network.set_params(l2=-1).fit(X, np.array(["no", "yes"])[y])
    with pytest.raises(sklearn.exceptions.NotFittedError):
        network.predict(X)
    network = classifier()
    with pytest.raises(DataError, match="y has the class 1"):
        network.partial_fit(X, y, classes=[0, 2])
    assert network.partial_fit(X, y, classes=[0, 1]).n_iter_ == 1


def test_settings_of_a_part_stay():
    X, y = data()
    network = classifier(learning_rate=0.5).partial_fit(X, y, classes=[0, 1])
    assert network.set_params(learning_rate=0.1).partial_fit(X, y).settings_["learning_rate"] == 0.5


def test_a_warm_start_goes_on():
    X, y = data(100)
    cold, warm = classifier(epochs=10, schedule="constant"), classifier(epochs=10, schedule="constant", warm_start=True)
    cold.fit(X, y).fit(X, y)
    warm.fit(X, y).fit(X, y)
    assert (cold.n_iter_, warm.n_iter_) == (10, 20)
    assert len(warm.validation_scores_) == 20
    assert warm.loss_curve_[:10] == cold.loss_curve_
    assert warm.loss_curve_[10] < warm.loss_curve_[5] < cold.loss_curve_[0]
    with pytest.raises(DataError, match=r"y has the class 2; the network was made for 0, 1\."):
        warm.fit(X, y + 1)


# ---------------------------------------------------------------------------------------- copies
COPIES = {
    "pickle": lambda network, _: pickle.loads(pickle.dumps(network)),
    "deepcopy": lambda network, _: copy.deepcopy(network),
    "joblib": lambda network, path: joblib.load(joblib.dump(network, path / "network.joblib")[0]),
}


@pytest.mark.parametrize("way, target", list(zip(COPIES, ("three", "number", "number"), strict=True)))
def test_copies_answer_alike(way, target, tmp_path):
    network = (classifier() if target == "three" else regressor()).fit(pa.table(inputs()), columns()[target])
    copied = COPIES[way](network, tmp_path)
    new = pa.table(inputs(20, seed=1))
    np.testing.assert_array_equal(copied.predict(new), network.predict(new))
    assert copied.get_params() == network.get_params()
    assert copied.loss_curve_ == network.loss_curve_
    assert not hasattr(clone(network), "loss_curve_")


def test_a_pickle_is_a_model_file_and_an_altered_one_is_refused():
    network = classifier().fit(*data())
    state = network.__getstate__()
    kinds = {type(value) for value in state.values()}
    assert kinds <= {type(None), int, float, str, bool, tuple, list, dict, np.ndarray}, "nothing of ours is unpickled"
    content, _ = state["_model_file"]
    state["_model_file"] = (content[:-1] + bytes([content[-1] ^ 1]), False)
    with pytest.raises(ModelFileError, match="the buffer was altered after it was written"):
        classifier().__setstate__(state)
    pickle.loads(pickle.dumps(classifier()))


# ---------------------------------------------------------------------------------------- frames
FRAMES = {
    "pyarrow": pa.table,
    "stream": lambda table: Streaming(pa.table(table)),
    "pandas": lambda table: pytest.importorskip("pandas").DataFrame(table),
    "polars": lambda table: pytest.importorskip("polars").DataFrame(table),
}


@pytest.mark.parametrize("library", FRAMES)
def test_frames_of_any_library(library):
    network = classifier().fit(FRAMES[library](inputs()), columns()["three"])
    other = classifier().fit(pa.table(inputs()), columns()["three"])
    np.testing.assert_array_equal(
        network.predict_proba(FRAMES[library](inputs(9, seed=1))), other.predict_proba(pa.table(inputs(9, seed=1)))
    )
    assert list(network.feature_names_in_) == list(inputs())


def test_rows_of_a_pandas_frame_and_series_as_target():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(columns()).sample(frac=1, random_state=0)  # its index is no range
    one = classifier().fit(frame[list(inputs())], frame["three"])
    other = classifier().fit(frame[list(inputs())].reset_index(drop=True), frame["three"].to_numpy())
    np.testing.assert_array_equal(one.predict(frame[list(inputs())]), other.predict(frame[list(inputs())]))


def test_arrays_of_words_and_lists():
    words = np.array([["red", 1.0], ["blue", None], ["red", 3.0], [None, 2.5]] * 15, object)
    y = [0, 1, 0, 1] * 15
    one, other = classifier().fit(words, y), classifier().fit(words.tolist(), y)
    np.testing.assert_array_equal(one.predict_proba(words), other.predict_proba(words.tolist()))
    assert one.predictor_.features.feature_names[:2] == ["x0=blue", "x0=red"]


def test_columns_without_names_on_one_side_go_by_their_places():
    X, y = data()
    framed, plain = classifier().fit(pa.table({f"c{n}": X[:, n] for n in range(3)}), y), classifier().fit(X, y)
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        np.testing.assert_array_equal(framed.predict_proba(X), plain.predict_proba(X))
    with pytest.warns(UserWarning, match="X has feature names"):
        named = plain.predict_proba(pa.table({f"c{n}": X[:, n] for n in range(3)}))
    np.testing.assert_array_equal(named, plain.predict_proba(X))


# ---------------------------------------------------------------------------------------- what is refused
class Sparse:
    """As scipy has them, as far as it is looked at."""

    nnz, shape = 0, (60, 3)

    def toarray(self):
        return np.zeros((60, 3))


X, Y = data()
REFUSED = {
    "sparse": (lambda: classifier().fit(Sparse(), Y), DTypeError, "X is sparse (Sparse); a network reads every column"),
    "one class": (lambda: classifier().fit(X, np.zeros(60)), DataError, "y has one class only, 0.0"),
    "several classes": (
        lambda: classifier().fit(X, np.stack([Y, Y + 1], axis=1)),
        DataError,
        "use sklearn.multioutput.MultiOutputClassifier",
    ),
    "rows without an answer": (lambda: regressor().fit(X, Y[:50]), DataError, "X has 60 rows, and y has 50"),
    "a label that is missing": (
        lambda: classifier().fit(X, np.where(Y > 0, "a", None)[np.argsort(-Y)]),
        DataError,
        "labels are of one type, and every row has one",
    ),
    "no y": (lambda: regressor().fit(X, None), DataError, "requires y to be passed, but the target y is None"),
    "infinite": (lambda: regressor().fit(np.where(X > 1, np.inf, X), Y), DataError, "column 'x0' of X holds inf at row"),
    "a strange cell": (lambda: classifier().fit([[{}]] * 60, Y), DTypeError, "X holds {} (dict)"),
    "setting": (lambda: classifier(l2=-1.0).fit(X, Y), ArgumentError, "the setting l2 is -1.0; it must be at least 0"),
    "mlp's schedule": (lambda: classifier(learning_rate="adaptive").fit(X, Y), ArgumentError, "learning_rate is 'adaptive'"),
    "loss": (lambda: regressor(loss="cross-entropy").fit(X, Y), ArgumentError, "its task is regression"),
    "weight of no class": (lambda: classifier(class_weight={7: 1.0}).fit(X, Y), ArgumentError, "class_weight has the class 7"),
    "weights": (lambda: classifier().fit(X, Y, sample_weight=-Y), ArgumentError, "sample_weight holds a negative number"),
    "no classes": (lambda: classifier().partial_fit(X, Y), ArgumentError, "partial_fit was first called without classes"),
    "balance of a part": (
        lambda: classifier(class_weight="balanced").partial_fit(X, Y, classes=[0, 1]),
        ArgumentError,
        "Give a weight per class.",
    ),
    "other classes": (
        lambda: classifier().partial_fit(X, Y, classes=[0, 1]).partial_fit(X, Y, classes=[1, 2]),
        ArgumentError,
        "partial_fit got the classes 1, 2; the network has an output for each of 0, 1",
    ),
    "an unknown class": (lambda: classifier().partial_fit(X, Y + 1, classes=[0, 1]), DataError, "y has the class 2"),
    "MLPClassifier's names": (
        lambda: NetworkClassifier(hidden_layer_sizes=(8,)),
        CallError,
        "Write hidden= in place of hidden_layer_sizes=.",
    ),
    "MLPRegressor's names": (lambda: NetworkRegressor(max_iter=9), CallError, "Write epochs= in place of max_iter=."),
    "MLPClassifier's names in a search": (
        lambda: GridSearchCV(classifier(), {"alpha": [0.1]}, cv=2, error_score="raise").fit(X, Y),
        ArgumentError,
        "Write 'l2' in place of 'alpha'.",
    ),
    "no predictor": (lambda: classifier().predictor_, sklearn.exceptions.NotFittedError, "is not fitted yet"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_is_said(case):
    do, error, said = REFUSED[case]
    with pytest.raises(error) as caught:
        do()
    assert said in str(caught.value)


def test_scipys_sparse_matrices_are_refused():
    scipy = pytest.importorskip("scipy.sparse")
    for make in (scipy.csr_array, scipy.csc_matrix, scipy.coo_array):
        with pytest.raises(DTypeError, match=r"Give X.toarray\(\)"):
            classifier().fit(make(X), Y)
    labels = classifier().fit(X, scipy.csr_matrix(np.stack([Y, 1 - Y], axis=1)))
    assert labels.predict(X).shape == (60, 2)


# ---------------------------------------------------------------------------------------- the rest
def test_no_random_state_and_instances_of_it():
    np.random.seed(0)  # noqa: NPY002 -- what random_state=None draws from
    one, two = (classifier(random_state=None).fit(X, Y).predict_proba(X) for _ in range(2))
    assert not np.array_equal(one, two)
    shared = np.random.RandomState(0)
    one, two = (classifier(random_state=shared).fit(X, Y).predict_proba(X) for _ in range(2))
    assert not np.array_equal(one, two)
    before = np.array(cr.random.state.numpy())
    classifier(random_state=5).fit(X, Y)
    np.testing.assert_array_equal(cr.random.state.numpy(), before)


def test_fitting_warns_of_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_is_fitted(classifier().fit(X, Y))


def test_progress_is_shown_where_asked_for(capfd):
    classifier(verbose=True).fit(X, Y)
    assert "loss" in "".join(capfd.readouterr())
    classifier().fit(X, Y)
    assert not "".join(capfd.readouterr())
