"""Target encoders: the task inferred, targets encoded, outputs decoded."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainrule.data import Column, Table, TargetEncoder
from chainrule.errors import ArgumentError, DataError, ModelFileError, ShapeError


def column(values) -> Column:
    return Table.from_columns({"y": values})["y"]


@pytest.mark.parametrize(
    ("values", "task", "classes"),
    [
        ([0, 1, 1, 0], "binary", ("0", "1")),
        ([3, 1, 2, 1, 2, 3], "multiclass", ("1", "2", "3")),
        (["no", "yes", None, "no"], "binary", ("no", "yes")),
        ([True, False, True], "binary", ("false", "true")),
        (["a", "b", "c"], "multiclass", ("a", "b", "c")),
        ([0.5, 1.5, 0.5, 1.5], "regression", ()),
        (list(range(100)), "regression", ()),
        ([1, 2, 3, 4], "regression", ()),
        ([None, 1.25, 2.5], "regression", ()),
    ],
)
def test_the_task_is_inferred(values, task, classes):
    encoder = TargetEncoder.fit(column(values))
    assert (encoder.task, encoder.classes) == (task, classes)


def test_the_task_can_be_chosen():
    assert TargetEncoder.fit(column([0, 1, 1, 0]), "regression").task == "regression"
    assert TargetEncoder.fit(column([0.5, 1.5]), "classification").classes == ("0.5", "1.5")


@pytest.mark.parametrize(
    ("values", "task", "message"),
    [
        ([None, None], "auto", "the target 'y' has no values"),
        ([3, 3, 3], "auto", "has one value only, '3'"),
        (["a", "a"], "auto", "has one value only, 'a'"),
        (["a", "b"], "regression", "holds words, such as 'a'; regression predicts numbers"),
        ([f"w{row}" for row in range(30)], "auto", "has 30 different values in 30 rows"),
        (np.array(["2020-01-01", "2020-01-02"], "datetime64[D]"), "auto", "holds dates"),
    ],
)
def test_targets_that_cannot_be_learnt(values, task, message):
    with pytest.raises(DataError, match=message):
        TargetEncoder.fit(column(values), task)


def test_unknown_task():
    with pytest.raises(ArgumentError, match="task is 'classify'; it must be one of auto, regression, classification"):
        TargetEncoder.fit(column([0, 1]), "classify")


def test_infinite_targets_are_refused_by_the_table():
    with pytest.raises(DataError, match="column 'y' of the table holds -inf at row 1"):
        column([1.0, -np.inf])


def test_classes_are_encoded_and_decoded():
    values = ["b", "a", "c", "a"]
    encoder = TargetEncoder.fit(column(values))
    y = encoder.encode(column(values))
    assert (y.dtype, y.tolist()) == (np.int64, [1, 0, 2, 0])
    assert encoder.decode(np.eye(3)[y]).tolist() == values
    assert encoder.encode(column(values), rows=[2, 0]).tolist() == [2, 1]


@pytest.mark.parametrize("outputs", [[-0.5, 2.0], [[-0.5], [2.0]], [[0.9, 0.1], [0.2, 0.8]]])
def test_binary_outputs_have_three_forms(outputs):
    assert TargetEncoder.fit(column(["no", "yes"])).decode(outputs).tolist() == ["no", "yes"]


@given(values=st.lists(st.floats(-1e6, 1e6).map(lambda value: round(value, 3)), min_size=2, max_size=20, unique=True))
def test_numbers_are_standardised_and_restored(values):
    encoder = TargetEncoder.fit(column(values), "regression")
    y = encoder.encode(column(values))
    assert y.dtype == np.float32
    np.testing.assert_allclose([y.mean(), y.std()], [0, 1], atol=1e-3)
    np.testing.assert_allclose(encoder.decode(y), values, atol=2e-6 * np.abs(values).max())
    assert TargetEncoder.from_dict(json.loads(json.dumps(encoder.to_dict()))) == encoder


def test_regression_is_fitted_on_the_given_rows():
    encoder = TargetEncoder.fit(column([1.5, 2.5, 100.0]), rows=[0, 1])
    assert (encoder.mean, encoder.std) == (2.0, 0.5)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["a", "d", "b", "e"], "has the class 'd' and 1 more that were not there in training; the model knows a, b, c"),
        (["a", "d"], "has the class 'd', which was not there in training"),
        (["a", None, None], "is missing in 2 of 3 rows, first in row 1"),
    ],
)
def test_targets_that_do_not_fit(values, message):
    with pytest.raises(DataError, match=message):
        TargetEncoder.fit(column(["a", "b", "c"])).encode(column(values))


def test_words_where_numbers_were_learnt():
    with pytest.raises(DataError, match="the target 'y' holds words, such as 'high'; the model learnt numbers"):
        TargetEncoder.fit(column([0.5, 1.5])).encode(column(["high"]))


def test_outputs_of_the_wrong_shape():
    with pytest.raises(ShapeError, match=r"outputs for 'y' have shape \(1, 2\); the task multiclass needs \(n, 3\)"):
        TargetEncoder.fit(column(["a", "b", "c"])).decode([[1, 2]])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"task": "guess"}, "has task = 'guess'"),
        ({"task": "regression"}, "has the task regression and 2 classes"),
        ({"classes": ["a"]}, "has the task binary and 1 classes"),
        ({"std": 0}, "has std = 0"),
        ({"more": 1}, "has the fields"),
    ],
)
def test_damaged_records_are_refused(change, message):
    data = TargetEncoder.fit(column(["a", "b"])).to_dict()
    with pytest.raises(ModelFileError, match=message):
        TargetEncoder.from_dict({**data, **change})
