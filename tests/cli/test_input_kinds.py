"""A new kind of input is one class and one entry in a table: every command takes it."""

import csv
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pytest
from cli_data import FAST, chainrule, write_idx, write_table

from chainrule import nn
from chainrule.data import read_images
from chainrule.data.records import is_count, is_positive, read_record
from chainrule.errors import DataError
from chainrule.job import Config, PreparedData, train
from chainrule.job.inputs import ENCODERS, LabelledEncoder, encoder_for


@dataclass
class Recordings:
    X: np.ndarray
    y: np.ndarray
    classes: list
    files: tuple
    notes: tuple = ("One recording is short.",)


@dataclass(frozen=True)
class SeriesEncoder(LabelledEncoder[Recordings]):
    """Files of class,number,number,…: series of one length, read by a convolution along time."""

    length: int
    scale: float

    kind, data, noun, examples = "series", Recordings, "series", "a file that ends in .series"
    begins_with = "convolution in time"

    @classmethod
    def recognises(cls, path):
        return path.suffix == ".series"

    @classmethod
    def read(cls, source, config):
        lines = [line.split(",") for line in Path(source).read_text().splitlines()]
        classes, y = np.unique([label for label, *_ in lines], return_inverse=True)
        return Recordings(np.array([numbers for _, *numbers in lines], np.float32), y, classes.tolist(), ())

    @classmethod
    def fit_inputs(cls, data, target, rows, config):
        return cls(data.X.shape[1], float(np.abs(data.X[rows]).max()))

    def read_again(self, source, target, keep, said, facts):
        return self.read(source, Config())

    def transform(self, data, rows=None):
        return (data.X if rows is None else data.X[rows])[:, None, None] / np.float32(self.scale)

    @property
    def shape(self):
        return 1, 1, self.length

    def layers(self, activation):
        return [nn.Conv2d(1, 2, (1, 3)), activation(), nn.Flatten()], 2 * (self.length - 2)

    def description(self):
        return f"Every row is a series of {self.length} numbers.", f"每行是 {self.length} 个数的序列。"

    def to_dict(self):
        return asdict(self)

    @classmethod
    def from_dict(cls, data):
        return cls(**read_record(data, {"length": is_count, "scale": is_positive}, "series encoder"))


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def series(monkeypatch):
    """A file of rising and falling series, whose kind is known."""
    monkeypatch.setitem(ENCODERS, SeriesEncoder.kind, SeriesEncoder)
    noise = np.random.default_rng(0).normal(0, 0.5, (40, 6))
    slopes = np.where(np.arange(40) % 2, 1, -1)[:, None] * np.arange(6)
    lines = (",".join([("fall", "rise")[k % 2], *map(str, row.round(3))]) for k, row in enumerate(slopes + noise))
    Path("s.series").write_text("\n".join(lines))
    return "s.series"


def output(*arguments, code=0):
    result = chainrule(*arguments)
    assert result.exit_code == code, result.output
    return result.output


@pytest.mark.usefixtures("in_full")
def test_every_command_takes_a_new_kind(series):
    said = output("train", series, *FAST, "--epochs", "20", "--lr", "0.02", "--out", "run", "--no-progress")
    assert "Every row is a series of 6 numbers." in said
    assert "Note: One recording is short." in said
    assert "1 × 1 × 6 inputs → convolution in time → 8 → 1 output" in said
    page = Path("run/report.html").read_text(encoding="utf-8")
    assert "Every row is a series of 6 numbers." in page
    assert "每行是 6 个数的序列。" in page
    assert "x[0] = " in page  # the sample
    assert "40 series." in output("info", series)
    assert "Conv2d" in output("info", "run")
    assert json.loads(chainrule("evaluate", "run", series, "--json").stdout)["accuracy"] > 0.9
    output("predict", "run", series, "--out", "answers.csv")
    rows = list(csv.reader(Path("answers.csv").read_text().splitlines()))
    assert rows[0] == ["class", "p(fall)", "p(rise)"]
    assert [row[0] for row in rows[1:]].count("rise") == pytest.approx(20, abs=2)
    assert "Continuing after epoch 20 of 22." in output("resume", "run", "--epochs", "22", "--no-progress")
    assert json.loads(chainrule("diagnose", "run", series, "--json", "-").stdout)["schema"] == "chainrule/diagnosis/1"
    for kind in ("network", "gradient-flow"):
        output("draw", "run", "--kind", kind, "--data", series, "--out", f"{kind}.svg")


def test_what_does_not_fit_a_new_kind_is_told(series):
    config = Config(epochs=1, hidden=(4,), backend="reference")
    train(PreparedData.load(series, config), config).predictor.save("m.safetensors")
    write_table(Path("t.csv"))
    squares = write_idx(Path("idx"))
    for source, holds in (("t.csv", "t.csv does not hold series"), (squares, f"{squares} holds pictures")):
        said = output("predict", "m.safetensors", source, code=2)
        assert said == f"Error: {holds}; the model was trained on series. Give it a file that ends in .series.\n"
    said = output("train", series, "--delimiter", ";", code=2)
    assert "the setting delimiter was given; s.series is series with classes, to which it does not apply" in said
    assert "the setting task was given" in output("train", series, "--task", "regression", code=2)
    assert "series have no columns" in output("predict", "m.safetensors", series, "--keep", "a", code=2)


@pytest.mark.parametrize("kind", ENCODERS)
def test_the_table_knows_a_kind_by_its_name_and_settings(kind):
    encoder = ENCODERS[kind]
    assert encoder.kind == kind
    assert encoder.settings <= set(vars(Config()))
    assert sum(other.data is encoder.data for other in ENCODERS.values()) == 1


def test_a_source_has_one_kind(series):
    write_table(Path("t.csv"))
    kinds = [encoder_for(source).kind for source in ("t.csv", "iris", "nothing", write_idx(Path("idx")), Path("idx"), series)]
    assert kinds == ["table", "table", "table", "pixels", "pixels", "series"]
    assert PreparedData.load(series, Config()).features.shape == (1, 1, 6)


def test_data_of_another_kind_is_refused_in_python(series):
    config = Config(epochs=1, hidden=(4,), backend="reference")
    predictor = train(PreparedData.load(series, config), config).predictor
    pictures = read_images(write_idx(Path("idx")))
    for use in (predictor.predict, predictor.evaluate, predictor.row_names):
        with pytest.raises(DataError, match="the data holds pictures; the model was trained on series"):
            use(pictures)
        with pytest.raises(DataError, match="the data is of the type int; it must be one of Table, ImageSet, Recordings"):
            use(3)
