"""Feature encoders: fitted on training rows, finite on anything, saved as plain JSON."""

import copy
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainrule.data import FeatureEncoder, Table, TargetEncoder, read_table, split_rows
from chainrule.errors import ArgumentError, DataError, ModelFileError

TITANIC = Path(__file__).resolve().parents[2] / "../shared/data/titanic/titanic.csv"

PEOPLE = {
    "user_id": np.arange(8),
    "age": [20, 30, None, 40, 50, 60, 70, 80],
    "town": ["Oslo", "Rome", "Oslo", None, "Rome", "Oslo", "Rome", "Lima"],
    "member": np.array([True, False] * 4),
    "name": list("abcdefgh"),
    "planet": ["Earth"] * 8,
    "y": [0, 1] * 4,
}


@pytest.fixture
def people() -> Table:
    return Table.from_columns(PEOPLE)


def test_names_treatments_and_values(people):
    encoder = FeatureEncoder.fit(people, "y")
    assert encoder.feature_names == [
        "age",
        "age: missing",
        "town=Oslo",
        "town=Rome",
        "town: rare",
        "town: missing",
        "member",
    ]
    assert {report.name: (report.kind, report.treatment, report.n_features) for report in encoder.describe()} == {
        "user_id": ("identifier", "left out: it identifies rows", 0),
        "age": ("numeric", "standardised; missing filled with the median and marked", 2),
        "town": ("categorical", "one-hot, 2 categories, 1 rare ones pooled; missing is a category", 4),
        "member": ("boolean", "0 or 1, standardised", 1),
        "name": ("text", "left out: it has too many different values", 0),
        "planet": ("constant", "left out: it has one value only", 0),
    }
    X = encoder.transform(people)
    assert (X.dtype, X.shape, X.flags.c_contiguous) == (np.float32, (8, 7), True)
    known = np.array([20, 30, 40, 50, 60, 70, 80], float)
    np.testing.assert_allclose(np.delete(X[:, 0], 2), (known - known.mean()) / known.std(), atol=1e-6)
    assert abs(X[2, 0]) < 1e-6
    assert X[:, 1].tolist() == [0, 0, 1, 0, 0, 0, 0, 0]
    assert X[:, 2:6].argmax(1).tolist() == [0, 1, 0, 3, 1, 0, 1, 2]
    assert X[:, 6].tolist() == [1, -1] * 4


def test_fitted_on_the_given_rows_only(people):
    encoder = FeatureEncoder.fit(people, "y", rows=[0, 1, 4, 6])
    assert "age: missing" not in encoder.feature_names
    X = encoder.transform(people, rows=[2, 7])
    assert X.shape == (2, len(encoder.feature_names))
    ages = np.array([20.0, 30, 50, 70])
    np.testing.assert_allclose(X[:, 0], (np.array([40, 80]) - ages.mean()) / ages.std(), rtol=1e-6)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([True, False] * 4, r"rows has shape \(8,\) and type bool.*numpy\.flatnonzero"),
        ([[0, 1]], r"rows has shape \(1, 2\)"),
        ([0, 8], "rows goes from 0 to 8; there are 8 rows"),
        ([-1], "rows goes from -1 to -1"),
    ],
)
def test_rows_are_positions(people, rows, message):
    with pytest.raises(ArgumentError, match=message):
        FeatureEncoder.fit(people, "y", rows=rows)
    with pytest.raises(ArgumentError, match=message):
        FeatureEncoder.fit(people, "y").transform(people, rows)
    with pytest.raises(ArgumentError, match=message):
        TargetEncoder.fit(people["y"], rows=rows)


def test_include_and_exclude(people):
    encoder = FeatureEncoder.fit(people, "y", include=["user_id", "planet"], exclude=["age", "town"])
    assert encoder.feature_names == ["user_id", "member", "planet=Earth"]
    assert next(report for report in encoder.describe() if report.name == "age").treatment == "left out: excluded"


def test_unseen_categories_and_late_missing_values(people):
    encoder = FeatureEncoder.fit(people, "y", rows=[0, 1, 2, 4])
    later = {**PEOPLE, "town": ["Paris", None] * 4, "extra": [1] * 8}
    X = encoder.transform(Table.from_columns({name: values for name, values in later.items() if name != "y"}))
    town = [encoder.feature_names.index(name) for name in ("town=Oslo", "town=Rome")]
    assert not X[:, town].any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"age": None}, "has no column 'age'; its columns are .*Add the column 'age', which the model needs"),
        ({"age": ["old"] * 8}, "column 'age' holds words, such as 'old'; the encoder was fitted on numeric"),
        ({"town": [1.0] * 8}, "column 'town' holds numbers; the encoder was fitted on words"),
        ({"member": ["maybe"] * 8}, "column 'member' holds words, such as 'maybe'; the encoder was fitted on boolean"),
        ({"age": np.array(["2020-01-01"] * 8, "datetime64[D]")}, "column 'age' holds dates; the encoder was fitted on numbers"),
    ],
)
def test_tables_that_do_not_fit(people, change, message):
    encoder = FeatureEncoder.fit(people, "y")
    columns = {name: values for name, values in {**PEOPLE, **change}.items() if values is not None}
    with pytest.raises(DataError, match=message):
        encoder.transform(Table.from_columns(columns))


def test_an_entirely_missing_column_is_imputed(people):
    encoder = FeatureEncoder.fit(people, "y")
    X = encoder.transform(Table.from_columns({**PEOPLE, "age": [None] * 8, "town": [None] * 8}))
    assert X[:, 1].tolist() == [1] * 8
    assert X[:, encoder.feature_names.index("town: missing")].tolist() == [1] * 8


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"target": "yy"}, DataError, r"no column 'yy'.*Did you mean 'y'"),
        ({"target": "y", "include": ["nam"]}, DataError, "Did you mean 'name'"),
        ({"target": "y", "include": ["y"]}, ArgumentError, "'y' is to be included; it is also excluded, or the target"),
        ({"target": "y", "include": ["age"], "exclude": ["age"]}, ArgumentError, "'age' is to be included"),
        (
            {"target": "y", "exclude": ["age", "town", "member"]},
            DataError,
            r"no column of the table can be used as a feature \(user_id: left out: it identifies rows; age: left out: excluded",
        ),
    ],
)
def test_fit_errors(people, arguments, error, message):
    with pytest.raises(error, match=message):
        FeatureEncoder.fit(people, **arguments)


def test_prediction_files_are_read_as_in_training(tmp_path):
    train, new = tmp_path / "train.csv", tmp_path / "new.csv"
    train.write_text("code,when,ok,v\n" + "007,13/02/2020,yes,1\nA1,01/03/2020,no,2\n" * 4)
    new.write_text("v,ok,when,code,note\n1.5,no,01/02/2020,007,hello\n")
    encoder = FeatureEncoder.fit(read_table(train), None)
    assert encoder.kinds == {"code": "categorical", "when": "date:day/month/year", "ok": "boolean", "v": "numeric"}
    X = encoder.transform(read_table(new, kinds=encoder.kinds))
    assert X[0, :2].tolist() == [1, 0]
    assert X[0, 2] < -1, "the first of February comes before both dates of training"
    new.write_text("v,ok,when,code\nbad,no,01/02/2020,007\n")
    with pytest.raises(DataError, match="line 2, column 'v': 'bad' is not a number"):
        read_table(new, kinds=encoder.kinds)


def test_heavy_tails_are_shortened_and_others_are_not():
    random = np.random.default_rng(0)
    table = Table.from_columns({"income": np.exp(2 * random.normal(size=2000)), "height": random.normal(size=2000)})
    encoder = FeatureEncoder.fit(table, None)
    assert [report.treatment for report in encoder.describe()] == [
        "standardised after arsinh (heavy tails)",
        "standardised",
    ]
    assert np.abs(encoder.transform(table)).max() < 6


@pytest.mark.parametrize("scale", [1e-300, 1e-30, 1.0, 1e30, 1e300])
def test_every_scale_is_standardised(scale):
    values = np.random.default_rng(0).normal(size=200) * scale
    X = FeatureEncoder.fit(Table.from_columns({"v": values}), None).transform(Table.from_columns({"v": values}))
    np.testing.assert_allclose([X.mean(), X.std()], [0, 1], atol=1e-3 if scale < 1e200 else 1.1)


def test_a_column_that_varies_by_rounding_only_is_flat():
    table = Table.from_columns({"v": [0.3, 0.1 + 0.2, 0.3], "w": [1, 2, 3]})
    assert np.abs(FeatureEncoder.fit(table, None).transform(table)[:, 0]).max() < 1e-6


def test_the_middle_of_the_largest_numbers_is_finite():
    column = Table.from_columns({"x": np.array([8.988465674311579e307, 8.98846567431158e307])})
    assert np.isfinite(FeatureEncoder.fit(column, None).transform(column)).all()


numbers = st.floats(allow_nan=False, allow_infinity=False) | st.none()
words = st.sampled_from(["a", "b", "c", "rare", None])


@settings(max_examples=80, deadline=None)
@given(
    train=st.lists(st.tuples(numbers, words, st.booleans()), min_size=2, max_size=12),
    later=st.lists(st.tuples(numbers, words | st.text(max_size=3), st.booleans()), min_size=1, max_size=5),
)
def test_features_are_finite_and_encoders_survive_json(train, later):
    def table(rows) -> Table:
        number, word, flag = zip(*rows, strict=True)
        position = np.arange(len(rows)) / 7
        return Table.from_columns({"number": number, "word": word, "flag": np.array(flag), "position": position})

    encoder = FeatureEncoder.fit(table(train), None)
    again = FeatureEncoder.from_dict(json.loads(json.dumps(encoder.to_dict(), allow_nan=False)))
    assert again == encoder
    for rows in (train, later):
        X = encoder.transform(table([row if row[1] != "" else (row[0], None, row[2]) for row in rows]))
        assert np.isfinite(X).all()
        assert np.abs(X).max() <= 10
        np.testing.assert_array_equal(again.transform(table(rows)), X)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: [], "the saved feature encoder is list, not a record"),
        (lambda data: {}, "has the fields"),
        (lambda data: data["columns"][1].pop("std"), "plan of a column .scale. has the fields"),
        (lambda data: data["columns"][1].update(std=0.0), "has std = 0.0"),
        (lambda data: data["columns"][1].update(mean=float("nan")), "has mean = nan"),
        (lambda data: data["columns"][1].update(heavy_tails=1), "has heavy_tails = 1"),
        (lambda data: data["columns"][2].update(categories=["a", "a"]), "has categories"),
        (lambda data: data["columns"][0].update(plan="run"), "has a column with the plan 'run'"),
        (lambda data: data["columns"][0].update(reading="run"), "has reading = 'run'"),
        (lambda data: data["columns"].append(data["columns"][0]), "names a column twice"),
    ],
)
def test_damaged_records_are_refused(people, damage, message):
    data = copy.deepcopy(FeatureEncoder.fit(people, "y").to_dict())
    replaced = damage(data)
    with pytest.raises(ModelFileError, match=message):
        FeatureEncoder.from_dict(replaced if isinstance(replaced, list | dict) and replaced in ([], {}) else data)


@pytest.mark.parametrize("seed", [0, 1])
def test_split_is_stratified_deterministic_and_complete(seed):
    classes = np.array([0] * 80 + [1] * 15 + [2] * 4 + [3])
    train, validation = split_rows(100, 0.25, seed, classes)
    assert sorted([*train, *validation]) == list(range(100))
    assert np.bincount(classes[validation], minlength=4).tolist() == [20, 4, 1, 0]
    np.testing.assert_array_equal(split_rows(100, 0.25, seed, classes)[0], train)
    assert [len(part) for part in split_rows(10, 0.3, seed)] == [7, 3]


@pytest.mark.parametrize(
    ("arguments", "message"), [((10, 1.0), "validation_share is 1.0"), ((3, 0.2, 0, [0]), r"shape \(1,\)")]
)
def test_split_errors(arguments, message):
    with pytest.raises(ArgumentError, match=message):
        split_rows(*arguments)


@pytest.mark.skipif(not TITANIC.exists(), reason="the Titanic table is not there")
def test_titanic_features():
    table = read_table(TITANIC)
    encoder = FeatureEncoder.fit(table, "Survived")
    assert encoder.feature_names == [
        "Pclass",
        "Sex=female",
        "Sex=male",
        "Age",
        "Age: missing",
        "SibSp",
        "Parch",
        "Fare",
        "Embarked=C",
        "Embarked=Q",
        "Embarked=S",
        "Embarked: missing",
    ]
    assert np.isfinite(encoder.transform(table)).all()


# ---------------------------------------------------------------------------------------- the way back
def test_from_features_back_to_numbers_and_again_to_features():
    rng = np.random.default_rng(0)
    columns = {
        "height": rng.normal(170.0, 10.0, 60),
        "income": np.exp(rng.normal(10.0, 2.0, 60)),
        "age": [None if k % 7 == 0 else 20 + k / 3 for k in range(60)],
        "member": [k % 3 == 0 for k in range(60)],
    }
    table = Table.from_columns(columns)
    encoder = FeatureEncoder.fit(table, None)
    assert encoder.scales == {"height": False, "income": True, "age": False, "member": False}
    X = encoder.transform(table)
    numbers = encoder.to_numbers(X)
    for k, column in enumerate(columns.values()):
        np.testing.assert_allclose(numbers[:, k], np.array(column, float), rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(encoder.from_numbers(numbers), X, atol=1e-5)


def test_words_have_no_way_back(people):
    assert FeatureEncoder.fit(people, "y").scales is None
