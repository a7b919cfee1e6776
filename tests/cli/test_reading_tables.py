"""How a table is read can be said on the command line, and a model reads other tables in the same way."""

import csv
import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from cli_data import FAST, chainrule

from chainrule import nn
from chainrule.data import load
from chainrule.job import Config, Predictor, PreparedData


def train(*arguments):
    result = chainrule("train", *arguments, "--no-progress", "--out", "run")
    assert result.exit_code == 0, result.stderr
    return result.stdout


def untrained(path, target, **settings):
    """A run folder with a network that has learnt nothing, for what is read and written around it."""
    problem = PreparedData.load(path, Config(target=target, **settings))
    network = nn.Linear(problem.X.shape[1], problem.target.outputs)
    Path("run").mkdir()
    Predictor(network, problem.features, problem.target, {}).save("run/model.safetensors")
    return problem


def line(text: str, word: str) -> str:
    return next(line for line in text.splitlines() if line.split()[:1] == [word])


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def zips(here):
    """y is a function of the code, which looks like a number."""
    r = np.random.default_rng(1)
    codes, labels, rows = r.permutation(90000)[:40] + 10000, r.integers(0, 2, 40), r.integers(0, 40, 800)
    (here / "z.csv").write_text("zip,y\n" + "".join(f"{codes[k]},{'ab'[labels[k]]}\n" for k in rows))
    return here / "z.csv"


def test_a_code_that_is_said_to_be_one(zips):
    assert "which may be codes: --kind 'zip=categorical' reads words" in " ".join(chainrule("info", zips).stdout.split())
    problem = untrained(zips, "y", kinds=("zip=categorical",))
    assert problem.X.shape[1] == 40
    assert chainrule("evaluate", "run", zips).exit_code == 0


@pytest.mark.slow
def test_a_code_can_be_said_to_be_one(zips):
    out = train(zips, "-t", "y", "--kind", "zip=categorical", "--epochs", "5")
    assert line(out, "zip").split()[1:3] == ["categorical", "40"]
    assert line(out, "accuracy").split()[1] == "1.0000"
    assert Config.from_toml("run/config.toml").kinds == ("zip=categorical",)
    answers = chainrule("predict", "run", zips).stdout.splitlines()[1:]
    truth = [row.split(",")[1] for row in zips.read_text().splitlines()[1:]]
    assert [answer[0] for answer in answers] == truth


def test_an_order_of_dates_can_be_said(here):
    (here / "d.csv").write_text("d,y\n" + "".join(f"0{1 + k % 9}/0{1 + k % 7}/2024,{k}.5\n" for k in range(60)))
    assert "--kind 'd=date:day/month/year'" in " ".join(chainrule("info", "d.csv").stdout.split())
    for order, last in (("day/month/year", "2024-04-06"), ("month/day/year", "2024-06-04")):
        assert line(chainrule("info", "d.csv", "--kind", f"d=date:{order}").stdout, "d").split()[1:3] == ["date", "2024-01-01"]
        problem = PreparedData.load("d.csv", Config(target="y", kinds=(f"d=date:{order}",)))
        assert last in load("d.csv", kinds={"d": f"date:{order}"})["d"].texts()
        assert problem.features.kinds == {"d": f"date:{order}"}
    untrained("d.csv", "y", kinds=("d=date:day/month/year",))
    assert chainrule("evaluate", "run", "d.csv").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--kind", "zop=categorical"], "z.csv has no column 'zop'; its columns are zip, y. Did you mean 'zip'?"),
        (
            ["--kind", "zip=categoric"],
            "the kind of the column 'zip' is 'categoric'; the kinds are numeric, boolean, categorical",
        ),
        (["--kind", "zip"], "the setting kinds is 'zip'; it must be COLUMN=KIND, such as zip=categorical"),
        (["--kind", "y=numeric"], "column 'y': 'a' is not a number"),
        (["--encoding", "gbx"], "the encoding is 'gbx'; it must be one that Python knows, such as utf-8, gb18030"),
        (["--encoding", "ascii", "--delimiter", ",,"], "the delimiter is ',,'; it must be one character"),
    ],
)
@pytest.mark.parametrize("command", ["train", "info"])
def test_what_is_said_wrongly(zips, command, arguments, message):
    result = chainrule(command, "z.csv", *(["-t", "y"] if command == "train" else []), *arguments)
    assert result.exit_code == 2
    assert message in result.stderr


def test_two_targets_are_refused(zips):
    result = chainrule("train", "z.csv", "-t", "y", "-t", "zip")
    assert result.exit_code == 2
    assert "'y', 'zip' were given; a network predicts one column. Train a network for each of them." in result.stderr


@pytest.mark.parametrize("word", ["NULL", "None", "na", "#N/A", "无"])
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_words_for_gaps_mean_the_same_all(here, word, kind):
    r = np.random.default_rng(0)
    x, z = r.normal(size=200), r.normal(size=200)
    text = "x,z,y\n" + "".join(f"{word if k % 6 == 0 else round(x[k], 4)},{z[k]:.4f},{3 * x[k]:.4f}\n" for k in range(200))
    (here / "t.csv").write_text(text, encoding="utf-8")
    if kind == "parquet":
        columns = list(zip(*csv.reader(text.splitlines()), strict=True))
        pa.parquet.write_table(
            pa.table({c[0]: pa.array([v if c[0] == "x" else float(v) for v in c[1:]]) for c in columns}), "t.parquet"
        )
    problem = PreparedData.load(f"t.{kind}", Config(target="y"))
    report = problem.features.describe()[0]
    assert (report.kind, report.missing, report.note) == ("numeric", 23, f"34 cells say '{word}'")
    (here / "e.csv").write_text(text.replace(f"{word},", ","), encoding="utf-8")
    empty = PreparedData.load("e.csv", Config(target="y"))
    np.testing.assert_array_equal(problem.X, empty.X)
    np.testing.assert_allclose(problem.y, empty.y)


def test_a_said_word_is_saved_with_the_model(here):
    rows = "".join(f"{-1 if k % 6 == 0 else k * 0.7:.1f},{'xy'[k % 2] if k % 5 else 'unknown'},{k}\n" for k in range(90))
    (here / "t.csv").write_text("a,w,y\n" + rows)
    told = chainrule("info", "t.csv", "--missing", "-1.0", "--missing", "unknown").stdout
    assert "15 cells say '-1.0'" in line(told, "a")
    assert "18 cells say 'unknown'" in line(told, "w")
    untrained("t.csv", "y", missing=("-1.0", "unknown"))
    predictor = Predictor.load("run")
    (here / "new.csv").write_text("a,w\n-1.0,unknown\n1.5,x\n")
    X = predictor.inputs(predictor.read("new.csv", labelled=False))
    names = predictor.features.feature_names
    assert [X[:, names.index(f"{name}: missing")].tolist() for name in ("a", "w")] == [[1, 0], [1, 0]]
    assert "15 cells say '-1.0'" in line(chainrule("info", "run").stdout, "a")


@pytest.mark.slow
def test_numbers_with_signs_as_inputs_and_as_target(here):
    x = np.random.default_rng(0).normal(size=200)
    lines = [f'"{20000 + 5000 * v:,.0f}",{v * 9 + 50:.1f}%,{v:.3f}' for v in x]
    (here / "m.csv").write_text("income,rate,y\n" + "\n".join(lines) + "\n")
    out = train("m.csv", "-t", "income", "--epochs", "40")
    assert "in '%'" in line(out, "rate")
    assert float(line(out, "r2").split()[1]) > 0.99
    answers = chainrule("predict", "run", "m.csv").stdout.splitlines()
    assert answers[0] == "income"
    np.testing.assert_allclose(np.array(answers[1:], float), 20000 + 5000 * x, atol=1500)
    evaluated = chainrule("evaluate", "run", "m.csv").stdout
    assert float(line(evaluated, "r2").split()[1]) > 0.99


def test_numbers_with_signs_are_understood_on_both_sides(here):
    (here / "m.csv").write_text("income,rate,y\n" + "".join(f'"{20000 + 50 * k:,}",{k / 2:.1f}%,{k}\n' for k in range(60)))
    problem = untrained("m.csv", "income")
    assert problem.target.task == "regression"
    assert 20000 < problem.target.mean < 23000
    assert problem.features.describe()[0].note == "in '%'"
    answers = chainrule("predict", "run", "m.csv").stdout.splitlines()
    assert answers[0] == "income"
    assert np.isfinite(np.array(answers[1:], float)).all()
    assert chainrule("evaluate", "run", "m.csv").exit_code == 0
    assert [r.kind for r in PreparedData.load("m.csv", Config(target="y")).features.describe()] == ["numeric", "numeric"]


def test_copied_columns_are_as_they_were_written(here):
    text = "store,day,v,y\n" + "".join(f"{k % 7:04d},{1 + k % 28:02d}.03.2024,{k * 0.5:.2f},{'ab'[k % 2]}\n" for k in range(60))
    (here / "k.csv").write_text(text)
    untrained("k.csv", "y")
    keep = ["--keep", "store", "--keep", "day", "--keep", "v"]
    for file in ("k.csv", "k.parquet"):
        if file == "k.parquet":
            whole = pa.csv.read_csv(
                "k.csv", convert_options=pa.csv.ConvertOptions(column_types=dict.fromkeys(["store", "day", "v"], pa.string()))
            )
            pa.parquet.write_table(whole, file)
        copied = [row[:3] for row in csv.reader(io.StringIO(chainrule("predict", "run", file, *keep).stdout))]
        assert copied == [row[:3] for row in csv.reader(io.StringIO(text))]


def test_labels_of_19_digits_stay_apart(here):
    labels = ["1234567890123456789", "1234567890123456790", "9234567890123456999"]
    (here / "c.csv").write_text("a,cat\n" + "".join(f"{k},{labels[k // 20]}\n" for k in range(60)))
    assert untrained("c.csv", "cat").target.classes == tuple(labels)
    header, *answers = chainrule("predict", "run", "c.csv").stdout.splitlines()
    assert header == "cat," + ",".join(f"p({label})" for label in labels)
    assert {answer.split(",")[0] for answer in answers} <= set(labels)
    assert chainrule("evaluate", "run", "c.csv").exit_code == 0


@pytest.mark.slow
@pytest.mark.usefixtures("in_full")
def test_an_encoding_is_remembered(here):
    text = "城市,v,y\n" + "".join(f"{('上海', '北京')[k % 2]},{k * 7 % 13},{'ab'[k % 2]}\n" for k in range(40))
    (here / "g.csv").write_bytes(text.encode("gbk"))
    (here / "u.csv").write_text(text, encoding="utf-8")
    refused = chainrule("train", "g.csv", "-t", "y")
    assert "as GB18030 (GBK) it reads '城市,v,y' (--encoding gb18030)" in refused.stderr
    assert "WINDOWS" not in refused.stderr.upper()
    assert "上海" in chainrule("info", "g.csv", "--encoding", "gb18030").stdout
    train("g.csv", "-t", "y", "--encoding", "gb18030", *FAST)
    assert Config.from_toml("run/config.toml").encoding == "gb18030"
    answers = chainrule("predict", "run", "g.csv").stdout
    assert (
        answers
        == chainrule("predict", "run", "u.csv").stdout
        == chainrule("predict", "run", "g.csv", "--encoding", "gbk").stdout
    )
    assert chainrule("evaluate", "run", "g.csv").exit_code == 0
    assert chainrule("diagnose", "run", "g.csv").exit_code in (0, 1)


@pytest.mark.slow
def test_the_hours_of_a_date_are_learnt(here):
    r = np.random.default_rng(0)
    hours = np.arange(np.datetime64("2023-01-02T00"), np.datetime64("2023-04-02T00"), np.timedelta64(3, "h"))
    hour, weekday = (hours.astype(int) % 24), (hours.astype("datetime64[D]").astype(int) + 3) % 7
    y = (
        3 * np.exp(-(((hour - 9) / 3) ** 2)) * (weekday < 5)
        + 2 * np.exp(-(((hour - 15) / 3) ** 2))
        + 0.1 * r.normal(size=len(hours))
    )
    (here / "bikes.csv").write_text("when,count\n" + "".join(f"{t}:00,{v:.4f}\n" for t, v in zip(hours, y, strict=True)))
    out = train("bikes.csv", "-t", "count", "--epochs", "30")
    assert float(line(out, "r2").split()[1]) > 0.9


def test_answers_never_share_a_name_with_columns_that_are_kept(here):
    """Nor with each other: the target may be called like a probability."""
    names = ["p(a)", "predicted p(a)", "p(b)", "x"]
    rows = [["ab"[k % 2], "1", "2", str(k)] for k in range(20)]
    Path("t.csv").write_text("\n".join(map(",".join, [names, *rows])) + "\n")
    untrained("t.csv", "p(a)", include=("predicted p(a)", "p(b)"))
    keep = [word for name in names for word in ("--keep", name)]
    header, first, *_ = csv.reader(io.StringIO(chainrule("predict", "run", "t.csv", *keep).stdout))
    assert header == [*names, *("predicted predicted p(a)", "predicted predicted predicted p(a)", "predicted p(b)")]
    assert first[:4] == rows[0]
    header, *_ = csv.reader(io.StringIO(chainrule("predict", "run", "t.csv").stdout))
    assert header == ["p(a)", "predicted p(a)", "p(b)"]


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        ("1234567890123456789", "1234567890123456789"),
        ("-1,234,567,890,123,456,789", "-1,234,567,890,123,456,789"),
        ("1234567890123.50", "1234567890123.5"),
    ],
)
def test_the_first_value_is_shown_in_all_its_digits(here, cell, shown):
    Path("t.csv").write_text(f'v,w\n,1\n"{cell}",2\n5,3\n7,4\n')
    assert shown in line(chainrule("info", "t.csv").stdout, "v").split()
