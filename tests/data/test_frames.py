"""Tables of other libraries in memory: what is read of them is what is read of the file that they would be written to."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.data import read_table
from chainrule.errors import ArgumentError, DataError
from chainrule.job import Config, Predictor, PreparedData, train
from streaming_frames import Streaming

COLUMNS = {
    "size": [1.5, None, 2.5, 4.0, 1.0, 7.5],
    "colour": ["red", "blue", None, "red", "blue", "red"],
    "paid": ["$1,200", "$3", "$45", None, "$7", "$8"],
    "ok": [True, False, None, True, True, False],
    "day": np.array(["2024-03-01", "2024-03-02", "2024-03-03", "NaT", "2024-03-05", "2024-03-06"], "datetime64[s]"),
    "count": [1, 2, 3, 4, 5, 6],
}


def pandas_frame(columns):
    pandas = pytest.importorskip("pandas")
    return pandas.DataFrame(columns)


def polars_frame(columns):
    polars = pytest.importorskip("polars")
    return polars.from_arrow(pa.table(columns))


FRAMES = {
    "pyarrow": pa.table,
    "pandas": pandas_frame,
    "polars": polars_frame,
    "stream": lambda columns: Streaming(pa.table(columns)),
}


def same(one, other):
    assert one.names == other.names
    for a, b in zip(one, other, strict=True):
        assert (a.kind, a.reading, a.unit, a.categories) == (b.kind, b.reading, b.unit, b.categories), a.name
        np.testing.assert_array_equal(a.values, b.values)


@pytest.fixture(scope="module")
def from_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("frames") / "t.parquet"
    pyarrow.parquet.write_table(pa.table(COLUMNS), path)
    return read_table(path)


@pytest.mark.parametrize("library", FRAMES)
def test_a_frame_is_read_as_its_parquet_file(library, from_file):
    table = cr.data.load(FRAMES[library](COLUMNS), "ok")
    same(table, from_file)
    assert table.source.startswith("the ")
    assert [c.kind for c in table] == ["numeric", "categorical", "numeric", "boolean", "date", "numeric"]


def test_the_index_of_pandas_is_no_column():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(COLUMNS)
    same(read_table(frame[["size"]].iloc[[4, 2, 0]]), read_table(frame[["size"]].iloc[[4, 2, 0]].reset_index(drop=True)))
    assert read_table(frame[["size", "ok"]].set_index("size")).names == ("ok",)


@pytest.mark.parametrize("library", ["pandas", "pyarrow"])
def test_numbers_that_were_made_categories_are_categories(library):
    if library == "pandas":
        frame = pytest.importorskip("pandas").DataFrame({"zone": [3, 1, 2, 1, 3, None]}).astype("category")
    else:
        frame = pa.table({"zone": pa.array([3, 1, 2, 1, 3, None]).dictionary_encode()})
    column = read_table(frame)["zone"]
    assert (column.kind, len(column.categories), int(column.missing.sum())) == ("categorical", 3, 1)
    assert read_table(frame, kinds={"zone": "numeric"})["zone"].kind == "numeric"


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_words_that_were_made_categories_are_words(library):
    words = ["red", "blue", None, "red", "blue", "red"]
    if library == "pandas":
        frame = pytest.importorskip("pandas").DataFrame({"colour": words}).astype("category")
    else:
        polars = pytest.importorskip("polars")
        frame = polars.DataFrame({"colour": polars.Series(words, dtype=polars.Categorical)})
    assert read_table(frame)["colour"].texts() == ["red", "blue", "", "red", "blue", "red"]


NUMBERS = {"a": [1.0, 2.0, 3.0, 4.0], "b": [True, False, True, True], "c": [1, 2, 3, 4]}


def trainer():
    model = nn.Sequential(nn.Linear(3, 1))
    return cr.Trainer(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.1), backend="reference")


@pytest.mark.parametrize("library", FRAMES)
@pytest.mark.parametrize("split", [0.0, 0.5])
def test_trainers_and_models_take_frames_of_numbers(library, split):
    frame, array = FRAMES[library](NUMBERS), np.stack([np.asarray(c, float) for c in NUMBERS.values()], axis=1)
    cr.manual_seed(0)
    one = trainer()
    cr.manual_seed(0)
    other = trainer()
    y = FRAMES[library]({"y": [1.0, 2.0, 3.0, 4.0]})
    one.fit(frame, y, epochs=2, validation_split=split, progress=False)
    other.fit(array, np.arange(1.0, 5.0), epochs=2, validation_split=split, progress=False)
    assert [row["loss"] for row in one.history.epochs] == [row["loss"] for row in other.history.epochs]
    np.testing.assert_array_equal(one.predict(frame), other.predict(array))
    np.testing.assert_array_equal(one.model.predict(frame), other.model.predict(array))


def test_whole_numbers_of_a_frame_stay_whole():
    model = nn.Sequential(nn.Embedding(5, 2), nn.Flatten(), nn.Linear(6, 1))
    frame = pa.table({"a": [0, 4], "b": pa.array([1, 2], pa.int8()), "c": [3, 3]})
    np.testing.assert_array_equal(model.predict(Streaming(frame)), model.predict(np.array([[0, 1, 3], [4, 2, 3]])))


def test_a_saved_network_takes_frames(tmp_path):
    table = {"a": [1.5, None, 2.5, 4.0] * 5, "b": ["x", "y", None, "x"] * 5, "t": ["no", "yes", "no", "no"] * 5}
    config = Config(target="t", epochs=1, hidden=(4,), backend="reference")
    predictor = train(PreparedData.load(pa.table(table), config), config).predictor
    predictor.save(tmp_path / "model.safetensors")
    pyarrow.parquet.write_table(pa.table(table), tmp_path / "t.parquet")
    loaded = Predictor.load(tmp_path / "model.safetensors")
    answers = loaded.predict(loaded.read(tmp_path / "t.parquet", labelled=False))
    np.testing.assert_array_equal(predictor.predict(Streaming(pa.table(table))).probabilities, answers.probabilities)
    assert loaded.evaluate(pa.table(table)) == loaded.evaluate(loaded.read(tmp_path / "t.parquet", labelled=True))
    assert loaded.facts["source"] == "the Table"


FAULTS = {
    "delimiter": (lambda: read_table(pa.table({"a": [1]}), ";"), ArgumentError, "delimiter=';' was given with the Table"),
    "encoding": (lambda: read_table(pa.table({"a": [1]}), encoding="big5"), ArgumentError, "only text files have one"),
    "no rows": (lambda: read_table(pa.table({"a": []})), DataError, "the Table has a header and no rows"),
    "no columns": (lambda: read_table(pa.table({})), DataError, "the Table has no columns"),
    "one column": (lambda: read_table(pa.chunked_array([[1, 2]])), DataError, "a table of named columns was expected"),
    "twice": (lambda: read_table(pa.table([[1], [2]], names=["a", "a"])), DataError, "both called 'a'"),
    "lists": (lambda: read_table(pa.table({"a": [[1], [2]]})), DataError, "column 'a' has the type list<"),
    "no such target": (lambda: cr.data.load(pa.table({"age": [1]}), "aeg"), DataError, "Did you mean 'age'?"),
    "words for a model": (
        lambda: trainer().predict(Streaming(pa.table({"a": [1.0], "b": ["x"], "c": [1]}))),
        DataError,
        "the column 'b' of the Streaming has the type string; a model reads numbers",
    ),
    "gaps for a model": (
        lambda: trainer().predict(pa.table({"a": [1, 2], "b": [None, True], "c": [1, 2]})),
        DataError,
        "X holds nan at index (0, 1)",
    ),
    "no columns for a model": (lambda: trainer().predict(Streaming(pa.table({}))), DataError, "the Streaming has no columns"),
    "pictures": (
        lambda: PreparedData.load(pa.table({"a": [1, 2], "t": [1.5, 2]}), Config(target="t", image_size=(8, 8))),
        ArgumentError,
        "the setting image_size was given; the Table is a table, to which it does not apply",
    ),
    "a wrong cell": (
        lambda: read_table(pa.table({"a": ["1", "x"]}), kinds={"a": "numeric"}),
        DataError,
        "the Table, row 1, column 'a': 'x' is not a number",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_wrong_with_a_frame_is_said(fault):
    make, error, said = FAULTS[fault]
    with pytest.raises(error) as caught:
        make()
    assert said in str(caught.value)
