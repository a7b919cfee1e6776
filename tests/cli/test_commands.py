"""Every command and option, as a user would type them."""

import csv
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from cli_data import FAST, SHORT, chainrule, write_idx, write_npz, write_pictures, write_table

from chainrule import __version__
from chainrule.cli import main
from chainrule.errors import GradientError
from chainrule.job import Config
from chainrule.job.folders import CURVES_FILE, RUN_FILES

pytest.importorskip("pyarrow", reason="tables are read with pyarrow")


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def read_csv(text):
    return list(csv.reader(io.StringIO(text)))


# ---------------------------------------------------------------------------------------- help
@pytest.mark.parametrize("command", [None, *main.commands])
def test_help_teaches_with_examples(command):
    text = chainrule(*([command] if command else []), "--help").output
    assert "Examples:" in text or command is None
    assert f"  chainrule {command or 'train'} " in text
    assert chainrule(*([command] if command else []), "-h").output == text
    options = [] if command is None else [o for p in main.commands[command].params for o in p.opts if o.startswith("--")]
    for option in options:
        assert option in text


def test_every_setting_has_an_option():
    options = {parameter.name for parameter in main.commands["train"].params}
    assert set(Config.__dataclass_fields__) <= options


def test_version():
    assert chainrule("--version").output == f"chainrule, version {__version__}\n"


# ---------------------------------------------------------------------------------------- train
@pytest.mark.usefixtures("in_full")
def test_train_says_what_it_understood_and_what_came_out(tmp_path):
    write_table(tmp_path / "t.csv")
    result = chainrule("train", "t.csv", "--target", "answer", *SHORT)
    assert result.exit_code == 0
    squeezed = re.sub(r" +", " ", result.stdout)
    for line in (
        " id identifier – left out: it identifies rows",
        " town categorical 3 one-hot, 3 categories",
        "Target 'answer': 2 classes (no, yes).",
        "Rows: 48 to train on, 12 held out.",
        "→ 8 → 1 output; relu,",
        "Training: adamw, learning rate",
        "3 epochs in ",
        "On the 12 held-out rows:",
        " measure network baseline",
        " accuracy 0.",
        "The baseline is the best constant answer, chosen on the training rows.",
        "Saved to runs/t-1. Next:\n chainrule predict runs/t-1 NEW_DATA\n chainrule info runs/t-1\n",
    ):
        assert line in squeezed, line
    assert result.stderr.splitlines()[0].startswith("epoch 1/3  loss ")
    written = {path.name for path in (tmp_path / "runs" / "t-1").iterdir()}
    assert written | {CURVES_FILE} == set(RUN_FILES)  # the picture needs a font


@pytest.mark.usefixtures("in_full")
def test_train_on_numbers(tmp_path):
    write_table(tmp_path / "t.csv")
    out = chainrule("train", "t.csv", "-t", "number", *FAST, "--no-progress", "--patience", "2")
    assert out.exit_code == 0
    assert out.stderr == ""
    assert "Target 'number': a number, mean " in out.stdout
    assert re.search(r"mae +[\d.]+ +[\d.]+ *\n rmse +[\d.]+ +[\d.]+ *\n r2 +-?[\d.]+", out.stdout)
    assert "(which also chose the epoch, so a little optimistic)" in out.stdout
    assert "The baseline is the best constant answer, chosen on the training rows." in out.stdout


def test_a_network_that_cannot_be_diagnosed_says_why(tmp_path, monkeypatch):
    def refused(*args, **kwargs):
        raise GradientError("no gradient passes")

    monkeypatch.setattr("chainrule.job.writing.diagnose_run", refused)
    write_table(tmp_path / "t.csv")
    out = chainrule("train", "t.csv", "-t", "number", *FAST)
    assert out.exit_code == 0
    assert "The network could not be diagnosed: no gradient passes\n" in out.stdout


@pytest.mark.parametrize("name", ["digits", "xor", "iris", "diabetes", "moons"])
def test_train_on_built_in_sets(name, tmp_path):
    pytest.importorskip("sklearn", reason="holds some of the sets")
    out = chainrule("train", name, *FAST)
    assert out.exit_code == 0, out.output
    assert (tmp_path / "runs" / f"{name}-1" / "model.safetensors").exists()
    assert ("too few to hold any out" in out.output) == (name == "xor")


def test_a_table_of_many_columns_is_summed_up():
    pytest.importorskip("sklearn", reason="holds digits")
    for out in (chainrule("train", "digits", *FAST, "--hidden", "").output, chainrule("info", "digits").output):
        assert len(out.splitlines()) < 40
        assert re.search(r"\d+ +pixel_0_2, pixel_0_3, …, pixel_7_6 +numeric", out) or "pixel_0_1, pixel_0_2, …" in out


PICTURES = {
    "folder": lambda: write_pictures(Path("pictures")),
    "idx": lambda: write_idx(Path("idx")),
    "idx.gz": lambda: write_idx(Path("idx"), compress=True),
    "npz": lambda: write_npz(Path("p.npz")),
}


@pytest.mark.parametrize("kind", PICTURES)
def test_pictures_from_training_to_answers(kind):
    pytest.importorskip("PIL", reason="reads picture files")
    source = PICTURES[kind]()
    backend = "native" if kind == "folder" else "reference"  # how pictures are read is what differs
    out = chainrule("train", source, *FAST, "--backend", backend, "--out", "run")
    assert out.exit_code == 0, out.output
    assert "inputs → convolutions → 8 → " in out.output
    assert chainrule("info", source).output.startswith(("24 pictures", "40 pictures", "30 pictures"))
    assert "Conv2d" in chainrule("info", "run").output
    assert "accuracy" in chainrule("evaluate", "run", source).output
    rows = read_csv(chainrule("predict", "run", source).stdout)
    assert len(rows) - 1 == {"folder": 24, "npz": 30}.get(kind, 40)
    if kind != "folder":
        assert rows[0][0] == "class"
        return
    assert rows[0] == ["file", "class", "p(cat)", "p(dog)"]
    assert [row[0] for row in rows[1:4]] == ["cat/0.png", "cat/1.png", "cat/10.png"]
    some = read_csv(chainrule("predict", "run", source / "dog").stdout)
    assert some[1][0] == "0.png"
    assert [row[1:] for row in some[1:]] == [row[1:] for row in rows[13:]]


ALL_OPTIONS = [
    *("--task", "classification", "--include", "id", "--exclude", "day", "--delimiter", ",", "--hidden", "5,4"),
    *("--activation", "tanh", "--dropout", "0.25", "--loss", "bce", "--optimizer", "nesterov", "--lr", "0.02"),
    *("--schedule", "one-cycle", "--l2", "0.001", "--batch-size", "7", "--epochs", "2", "--validation", "0.3"),
    *("--patience", "2", "--seed", "3", "--backend", "reference"),
]


def test_every_option_reaches_the_configuration_and_the_configuration_gives_the_same_model(tmp_path):
    write_table(tmp_path / "t.csv")
    out = chainrule("train", "t.csv", "-t", "answer", *ALL_OPTIONS, "--out", "a")
    assert out.exit_code == 0, out.output
    config = Config.from_toml("a/config.toml")
    assert config == Config(
        target="answer", task="classification", include=("id",), exclude=("day",), delimiter=",", hidden=(5, 4),
        activation="tanh", dropout=0.25, loss="bce", optimizer="nesterov", learning_rate=0.02, schedule="one-cycle", l2=0.001,
        batch_size=7, epochs=2, validation=0.3, patience=2, seed=3, backend="reference",
    )  # fmt: skip
    assert chainrule("train", "t.csv", "--config", "a/config.toml", "--out", "b").exit_code == 0
    assert (tmp_path / "a/model.safetensors").read_bytes() == (tmp_path / "b/model.safetensors").read_bytes()
    assert (tmp_path / "a/config.toml").read_text() == (tmp_path / "b/config.toml").read_text()
    assert chainrule("train", "t.csv", "--config", "a/config.toml", "--seed", "4", "--out", "c").exit_code == 0
    assert (tmp_path / "a/model.safetensors").read_bytes() != (tmp_path / "c/model.safetensors").read_bytes()
    assert Config.from_toml("c/config.toml").seed == 4


def test_the_configuration_of_defaults_gives_the_same_model(tmp_path):
    pytest.importorskip("sklearn", reason="holds iris")
    assert chainrule("train", "iris", *FAST, "--out", "a").exit_code == 0
    assert chainrule("train", "iris", "--config", "a/config.toml", "--out", "b").exit_code == 0
    assert (tmp_path / "a/model.safetensors").read_bytes() == (tmp_path / "b/model.safetensors").read_bytes()


@pytest.mark.parametrize("hidden, text", [("", " inputs → 1 output; loss bce."), ("6, 5", " inputs → 6 → 5 → 1 output; relu")])
def test_hidden_layers(hidden, text, tmp_path):
    write_table(tmp_path / "t.csv")
    out = chainrule("train", "t.csv", "-t", "answer", *FAST, "--hidden", hidden)
    assert text in out.output


def test_a_tab_can_be_typed(tmp_path):
    text = write_table(tmp_path / "t.csv").read_text(encoding="utf-8").replace(",", "\t")
    (tmp_path / "t.txt").write_text(text, encoding="utf-8")
    assert chainrule("train", "t.txt", "-t", "answer", *FAST, "--delimiter", r"\t").exit_code == 0
    assert "60 rows, 6 columns." in chainrule("info", "t.txt", "--delimiter", r"\t").output


def test_names_that_look_like_markup_are_shown_as_they_are(tmp_path):
    text = write_table(tmp_path / "t.csv").read_text(encoding="utf-8").replace("id,a,town", "id,[bold]a[/red],:smile:")
    (tmp_path / "t.csv").write_text(text, encoding="utf-8")
    out = chainrule("train", "t.csv", "-t", "answer", *FAST).output
    assert "[bold]a[/red]" in out
    assert ":smile:" in out


# ---------------------------------------------------------------------------------------- predict, evaluate, info
def test_predict_writes_a_line_per_row(run, tmp_path):
    write_table(tmp_path / "new.csv", rows=25, seed=1)
    header, *rows = read_csv(chainrule("predict", run, "new.csv").stdout)
    assert header == ["id", "answer", "p(no)", "p(yes)"]
    assert [row[0] for row in rows] == [str(1000 + k) for k in range(25)]
    for _, label, no, yes in rows:
        assert float(no) + float(yes) == pytest.approx(1.0, abs=2e-6)
        assert label == ("yes" if float(yes) > 0.5 else "no")


def test_predict_keeps_identifiers_and_the_columns_that_are_asked_for_as_they_are_written(run, tmp_path):
    (tmp_path / "new.csv").write_text(
        'who,a,town,day,number,id,answer\n"Lee, A.",.50,Rome,2024-01-03,07.10,007,yes\n,,,,,N-8,\n', encoding="utf-8"
    )
    keep = [option for name in ("who", "a", "town", "day", "answer") for option in ("--keep", name)]
    out = chainrule("predict", run, "new.csv", *keep)
    assert [row[:7] for row in read_csv(out.stdout)] == [
        ["id", "who", "a", "town", "day", "answer", "predicted answer"],
        ["007", "Lee, A.", ".50", "Rome", "2024-01-03", "yes", read_csv(out.stdout)[1][6]],
        ["N-8", "", "", "", "", "", read_csv(out.stdout)[2][6]],
    ]
    missing = chainrule("predict", run, "new.csv", "--keep", "whom")
    assert (missing.exit_code, missing.stdout) == (2, "")
    assert missing.stderr.endswith("Did you mean 'who'?\n")


def test_identifiers_of_parquet_tables_are_kept(run, tmp_path):
    import pyarrow.csv
    import pyarrow.parquet

    table = pyarrow.csv.read_csv("t.csv")
    pyarrow.parquet.write_table(table, tmp_path / "t.parquet")
    assert chainrule("predict", run, "t.parquet").stdout == chainrule("predict", run, "t.csv").stdout


def test_predict_needs_no_target_and_takes_other_columns_in_any_order(run, tmp_path):
    write_table(tmp_path / "new.csv", rows=25, seed=1)
    expected = chainrule("predict", run, "new.csv").stdout
    rows = read_csv((tmp_path / "new.csv").read_text(encoding="utf-8"))
    with Path("other.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([*row[4::-1], "extra"] for row in rows)
    assert chainrule("predict", run, "other.csv").stdout == expected


def test_predict_to_a_file(run, tmp_path):
    out = chainrule("predict", run / "model.safetensors", "t.csv", "--out", "answers.csv")
    assert (out.exit_code, out.output) == (0, "60 answers written to answers.csv.\n")
    assert (tmp_path / "answers.csv").read_text(encoding="utf-8") == chainrule("predict", run, "t.csv").stdout


def test_predict_numbers(tmp_path):
    write_table(tmp_path / "t.csv")
    chainrule("train", "t.csv", "-t", "number", *FAST, "--out", "run")
    header, *rows = read_csv(chainrule("predict", "run", "t.csv").stdout)
    assert header == ["id", "number"]
    assert np.isfinite([float(value) for _, value in rows]).all()


def test_unseen_categories_and_missing_cells_are_answered(run, tmp_path):
    (tmp_path / "new.csv").write_text("id,a,town,day,number\n1,,Lima,,\n2,0.5,,2024-02-02,51\n")
    out = chainrule("predict", run, "new.csv")
    assert out.exit_code == 0, out.output
    assert len(read_csv(out.stdout)) == 3


def test_evaluate(run):
    found = json.loads(chainrule("evaluate", run, "t.csv", "--json").stdout)
    assert list(found) == ["accuracy", "balanced_accuracy", "log_loss"]
    answers = [row[1] for row in read_csv(chainrule("predict", run, "t.csv").stdout)[1:]]
    truth = [row[-1] for row in read_csv(Path("t.csv").read_text(encoding="utf-8"))[1:]]
    assert found["accuracy"] == np.mean([a == t for a, t in zip(answers, truth, strict=True)])
    assert f"accuracy            {found['accuracy']:.4f}" in chainrule("evaluate", run, "t.csv").output


def test_info_of_a_model(run):
    for source in (run, run / "model.safetensors"):
        out = chainrule("info", source).output
        assert re.search(r"town +categorical +3 +one-hot", out)
        assert "0 Linear" in out
        assert "Predicts 'answer' (binary); trained for 3 epochs on 48 rows of t.csv." in out
        assert "baseline" in out


def test_info_of_a_table(tmp_path):
    write_table(tmp_path / "t.csv")
    out = chainrule("info", "t.csv").output
    assert "60 rows, 6 columns." in out
    assert re.search(r"day +date +2024-01-01", out)
    assert re.search(r"a +numeric +5 +0\.12573", out)
    assert re.search(r"id +identifier +1000", out)


def test_info_of_a_built_in_set():
    pytest.importorskip("sklearn", reason="holds iris")
    out = chainrule("info", "iris").output
    assert "150 rows, 5 columns." in out


# ---------------------------------------------------------------------------------------- diagnose
@pytest.mark.usefixtures("in_full")
def test_diagnose_reads_run_folder_and_data(run):
    found = chainrule("diagnose", "run", "t.csv")
    assert found.exit_code in (0, 1)
    assert "layer  activation  units" in found.output
    assert ("Nothing found" in found.output) == (found.exit_code == 0)
    chinese = chainrule("diagnose", "run", "t.csv", "--language", "zh")
    assert chinese.exit_code == found.exit_code
    assert "激活函数" in chinese.output


@pytest.mark.usefixtures("in_full")
def test_diagnose_takes_a_model_file_alone(run, tmp_path):
    (run / "model.safetensors").rename(tmp_path / "alone.safetensors")
    found = chainrule("diagnose", "alone.safetensors", "t.csv")
    assert found.exit_code in (0, 1)
    assert "activation" in found.output


@pytest.mark.usefixtures("in_full")
def test_diagnose_writes_json_and_says_by_its_exit_code_that_something_is_wrong(run, tmp_path):
    rng = np.random.default_rng(0)
    lines = (tmp_path / "t.csv").read_text("utf-8").splitlines()
    swapped = [line.replace(",yes", ",?").replace(",no", ",yes").replace(",?", ",no") for line in lines[1:]]
    rng.shuffle(swapped)
    (tmp_path / "swapped.csv").write_text("\n".join([lines[0], *swapped]) + "\n", "utf-8")
    chainrule("train", "t.csv", "-t", "answer", *FAST, "--epochs", "60", "--out", "learnt")
    found = chainrule("diagnose", "learnt", "swapped.csv", "--json", "found.json")
    assert found.exit_code == 1
    assert found.output.startswith("1. other-data: The trained network has the loss ")
    data = json.loads((tmp_path / "found.json").read_text("utf-8"))
    assert data["findings"][0]["kind"] == "other-data"
    assert json.loads(chainrule("diagnose", "learnt", "swapped.csv", "--json", "-").output) == data


def test_diagnose_refuses_what_it_cannot_use(run, tmp_path):
    assert chainrule("diagnose", "nowhere", "t.csv").exit_code == 2
    assert chainrule("diagnose", "run", "nowhere.csv").exit_code == 2
    assert chainrule("diagnose", "run", "t.csv", "--language", "fr").exit_code == 2
    (run / "history.csv").write_text("epoch,loss\n1,high\n", "utf-8")
    found = chainrule("diagnose", "run", "t.csv")
    assert found.exit_code == 2
    assert "history.csv could not be read (a history must hold numbers" in found.output
