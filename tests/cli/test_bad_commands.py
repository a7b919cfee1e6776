"""Wrong use and bad input: one clear message, exit code 2, no traceback, and nothing left behind or lost."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from cli_data import FAST, chainrule, write_idx, write_npz, write_table

pytest.importorskip("pyarrow", reason="tables are read with pyarrow")


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write(name, content):
    Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())


def failure(*arguments):
    """The one message of a command that fails, which leaves the folder as it was."""
    before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    result = chainrule(*arguments)
    assert result.exit_code == 2, result.output
    assert {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()} == before
    assert not Path("runs").exists()
    lines = result.stderr.strip().splitlines()
    assert sum(line.startswith("Error: ") for line in lines) == 1
    assert "Traceback" not in result.output
    return lines[-1]


TABLES = [
    ("empty", "", "Error: t.csv is empty (0 bytes); a file with data was expected. Write the file again."),
    ("header only", "a,y\n", "Error: t.csv has a header and no rows; at least one row is needed. Add rows."),
    ("binary junk", bytes(range(200, 256)) * 40, "is not UTF-8; tables are read as UTF-8"),
    ("zeros", bytes(500), "t.csv is not a text file (a zero byte on line 1); CSV, TSV or Parquet was expected."),
    ("ragged", "a,y\n1,2\n3\n", "Error: t.csv, line 3: 1 fields ('3'); the header has 2. Correct the line;"),
    ("no such target", "a,yy\n1,2\n3,4\n", "Error: t.csv has no column 'y'; its columns are a, yy. Did you mean 'yy'?"),
    ("empty target", "a,y\n1,\n2,\n", "Error: the target 'y' has no values; a target holds numbers, or at least two classes."),
    ("one class", "a,y\n1,k\n2,k\n", "Error: the target 'y' has one value only, 'k'; a target holds numbers, or at least two"),
    ("infinity", "a,y\n1,2\ninf,3\n4,5\n", "t.csv, line 3, column 'a': the number is infinite (inf); numbers must be finite."),
    (
        "only a target",
        "y\n1\n2\n",
        "no column of t.csv can be used as a feature (there is no other column); at least one feature",
    ),
    ("words and numbers", "a,y\n" + "1,2\n" * 30 + "x,3\n", "'x' is not a number"),
    ("repeated heading", "a,a,y\n1,2,3\n4,5,6\n", "t.csv: columns 1 and 2 are both called 'a'; names must differ."),
]


@pytest.mark.parametrize("content, text", [t[1:] for t in TABLES], ids=[t[0] for t in TABLES])
def test_tables_that_cannot_be_learnt_from(content, text):
    write("t.csv", content)
    assert text in failure("train", "t.csv", "--target", "y")


def test_a_file_that_is_not_there():
    write("titanic.csv", "a,y\n1,2\n")
    assert failure("train", "titanc.csv", "-t", "y") == (
        "Error: titanc.csv does not exist; a file was expected. Did you mean 'titanic.csv'?"
    )
    assert failure("train", "digit").endswith("Did you mean 'digits'?")


def test_a_table_without_a_target_chosen():
    write_table(Path("t.csv"))
    assert failure("train", "t.csv") == (
        "Error: t.csv is a table, and no column to predict was chosen; its columns are id, a, town, day, number, answer. "
        "Add --target, for example --target 'answer'."
    )


OPTIONS = [
    (["--epoch", "3"], "Error: No such option '--epoch'. Did you mean '--epochs'?"),
    (
        ["--optimizer", "adma"],
        "Error: Invalid value for '--optimizer': 'adma' is not one of 'adadelta', 'adagrad', 'adamw', 'adam',",
    ),
    (["--epochs", "many"], "Error: Invalid value for '--epochs': 'many' is not a valid integer."),
    (["--epochs", "0"], "Error: the setting epochs is 0; it must be at least 1. Correct it."),
    (["--hidden", "a,b"], "Error: Invalid value for '--hidden': 'a,b' is not a list of whole numbers such as 128,64."),
    (["--hidden", "8,0"], "Error: the setting hidden is (8, 0); it must be numbers of units ≥ 1. Correct it."),
    (["--lr", "-1"], "Error: the setting learning_rate is -1.0; it must be above 0. Correct it."),
    (["--dropout", "1"], "Error: the setting dropout is 1.0; it must be from 0 up to but not including 1. Correct it."),
    (["--validation", "2"], "Error: the setting validation is 2.0; it must be a share between 0 and 1. Correct it."),
    (["--backend", "gpu"], "Error: the backend 'gpu' was asked for; there are native, reference"),
    (["--loss", "mse"], "Error: the loss 'mse' was chosen for 'answer'; its task is binary, which has the losses bce."),
    (["--task", "regression"], "Error: the target 'answer' holds words, such as 'no'; regression predicts numbers."),
    (["--delimiter", "ab"], "Error: the delimiter is 'ab'; it must be one character. Pass ','"),
    (["--delimiter", ";"], "Error: t.csv"),
    (["--include", "a", "--exclude", "a"], "it must be without 'a', which include asks for. Correct it."),
    (["--exclude", "answer"], "Error: the setting exclude is ['answer']; it must be without the target. Correct it."),
    (["--exclude", "aa"], "Error: t.csv has no column 'aa'"),
    (
        ["--config", "no.toml"],
        "Error: the configuration no.toml could not be read (No such file or directory); it must be a TOML",
    ),
    (["--config", "t.csv"], "Error: the configuration t.csv could not be read (Expected"),
    (
        ["--out", "t.csv"],
        "Error: the output folder t.csv cannot be used (File exists); it must be a folder that you may write to.",
    ),
    (["--out", "t.csv/run"], "Error: the output folder t.csv/run cannot be used (Not a directory); it must be a folder that"),
    (["extra"], "Error: Got unexpected extra argument (extra)"),
]


@pytest.mark.parametrize("options, text", OPTIONS, ids=[" ".join(o) for o, _ in OPTIONS])
def test_wrong_options(options, text):
    write_table(Path("t.csv"))
    assert text in failure("train", "t.csv", "-t", "answer", "--no-progress", *options)


@pytest.mark.parametrize(
    "content, text",
    [
        ("epoch = 3", "Error: there is no setting 'epoch'; the settings are target, task,"),
        ("epochs = 'x'", "Error: the setting epochs is 'x'; it must be a whole number. Correct it."),
        ("optimizer = 'adma'", "Error: the setting optimizer is 'adma'; it must be one of adadelta, adagrad, adamw, adam,"),
        ("epochs 3", "Error: the configuration c.toml could not be read (Expected '=' after a key"),
    ],
)
def test_wrong_configurations(content, text):
    write_table(Path("t.csv"))
    write("c.toml", content)
    assert text in failure("train", "t.csv", "-t", "answer", "--config", "c.toml")


def test_wrong_commands():
    assert failure("tain") == "Error: No such command 'tain'. Did you mean 'train'?"
    assert "Missing argument 'DATA'" in failure("train")


def test_a_target_for_what_has_none():
    pytest.importorskip("sklearn", reason="holds iris")
    assert "a built-in data set has the target 'target'" in failure("train", "iris", "-t", "species")
    assert "pictures have labels, not columns" in failure("train", write_npz(Path("p.npz")), "-t", "y")
    assert "the setting delimiter was given; iris is a built-in data set" in failure("train", "iris", "--delimiter", ";")


PICTURES = [
    ({"X": np.zeros((6, 4), np.uint8), "y": np.arange(6) % 2}, "the array X of p.npz has shape (6, 4); pictures are (N, H, W)"),
    ({"X": np.zeros((6, 2, 2), complex), "y": np.arange(6) % 2}, "the array X of p.npz is complex128 or not finite"),
    ({"X": np.full((6, 2, 2), np.inf), "y": np.arange(6) % 2}, "the array X of p.npz is float32 or not finite"),
    (
        {"X": np.zeros((6, 2, 2), np.uint8), "y": np.arange(5)},
        "p.npz has 6 pictures and 5 labels; each picture needs one label",
    ),
    ({"X": np.zeros((6, 2, 2), np.uint8), "y": np.zeros(6)}, "p.npz has 1 class(es); at least two are needed"),
    ({"data": np.zeros(6)}, "p.npz has the keys data; one pair is needed of X and y"),
]


@pytest.mark.parametrize("arrays, text", PICTURES, ids=[text[:40] for _, text in PICTURES])
def test_arrays_of_wrong_shapes_and_dtypes(arrays, text):
    np.savez("p.npz", **arrays)
    assert text in failure("train", "p.npz")


def test_pictures_that_are_cut_short():
    path = write_idx(Path("idx"))
    path.write_bytes(path.read_bytes()[:-5])
    assert "its header promises 40 × 6 × 6 = 1440" in failure("train", path)


def test_a_loss_that_becomes_nan():
    write_table(Path("t.csv"))
    found = failure(
        "train", "t.csv", "-t", "answer", "--lr", "1e18", "--optimizer", "sgd", "--schedule", "constant", "--no-progress"
    )
    assert found.startswith("Error: the loss became ")
    assert "in epoch 1, step " in found
    assert found.endswith("The learning rate 1e+18 is too high: use a smaller one, or limit the gradients with clip_norm=1.0.")


@pytest.mark.usefixtures("run")
def test_an_output_folder_that_holds_a_run():
    assert failure("train", "t.csv", "-t", "answer", "--out", "run") == (
        "Error: the folder run holds model.safetensors already; a run has a folder of its own. Choose another --out."
    )


def full_disk(*arguments, **settings):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_while_training(monkeypatch):
    write_table(Path("t.csv"))
    monkeypatch.setattr(os, "fsync", full_disk)
    found = failure("train", "t.csv", "-t", "answer", *FAST, "--no-progress")
    assert found == (
        "Error: runs/t-1/history.csv could not be written (No space left on device); its folder must exist, be writable and "
        "have free space. Choose another place, or free some space; an earlier file of that name is unharmed."
    )


@pytest.fixture
def model(run):
    return Path("run/model.safetensors")


def test_a_full_disk_while_predicting(model, monkeypatch):
    write("answers.csv", "earlier")
    monkeypatch.setattr(os, "fsync", full_disk)
    assert "answers.csv could not be written (No space left on device)" in failure(
        "predict", model, "t.csv", "-o", "answers.csv"
    )


def test_answers_into_a_folder_that_is_not_there(model):
    assert "none/answers.csv could not be written (No such file or directory)" in failure(
        "predict", model, "t.csv", "-o", "none/answers.csv"
    )


@pytest.mark.parametrize("command", [("predict", "run", "t.csv"), ("evaluate", "run", "t.csv"), ("info", "run")])
def test_broken_model_files(command, model):
    whole = model.read_bytes()
    model.write_bytes(whole[:-7])
    assert "run/model.safetensors could not be read" in failure(*command)
    model.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert failure(*command) == (
        "Error: run/model.safetensors was altered after it was written; its digest must match its content. "
        "Use the original file."
    )


def test_a_model_that_is_not_there():
    write_table(Path("t.csv"))
    assert failure("predict", "run", "t.csv").startswith("Error: the model file run could not be read (No such file or dir")
    assert "t.csv could not be read" in failure("predict", "t.csv", "t.csv")


def test_data_without_the_columns_of_the_model(model):
    write("new.csv", "id,town\n1,Oslo\n2,Rome\n")
    found = failure("predict", model, "new.csv")
    assert "'a'" in found
    write("new.csv", "id,a,town,day,number\n1,2,Oslo,2024-01-01,5\n")
    assert "new.csv has no column 'answer'" in failure("evaluate", model, "new.csv")
    write("new.csv", "id,a,town,day,number\n1,big,Oslo,2024-01-01,5\n")
    assert "'big' is not a number" in failure("predict", model, "new.csv")


def test_labels_that_the_model_does_not_know(model):
    write("new.csv", "id,a,town,day,number,answer\n1,2,Oslo,2024-01-01,5,maybe\n2,2,Oslo,2024-01-01,5,yes\n")
    assert "new.csv, line 2, column 'answer': 'maybe' is not no or yes" in failure("evaluate", model, "new.csv")
    write("new.csv", "id,a,town,day,number,answer\n1,2,Oslo,2024-01-01,5,\n")
    assert "the target 'answer' has no values in new.csv; answers are compared with it" in failure("evaluate", model, "new.csv")


@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_pictures_given_to_a_model_of_tables_and_the_other_way(command, model):
    pictures = write_npz(Path("p.npz"))
    assert failure(command, model, pictures) == (
        "Error: p.npz holds pictures; the model was trained on a table. Give it a table."
    )
    assert chainrule("train", pictures, *FAST, "--out", "seen").exit_code == 0
    for table in ("t.csv", "xor"):
        assert failure(command, "seen", table) == (
            f"Error: {table} does not hold pictures; the model was trained on pictures. "
            "Give it a folder of pictures, an IDX file or an .npz file."
        )
    np.savez("small.npz", X=np.zeros((4, 3, 3), np.uint8), y=np.arange(4) % 2)
    assert "the model was trained on 3 × 5 × 5. Resize them." in failure(command, "seen", "small.npz")


def test_a_defect_of_the_system_is_told_in_one_line(monkeypatch):
    write_table(Path("t.csv"))
    for error, text in (
        (PermissionError(13, "Permission denied", "t.csv"), "t.csv could not be used (Permission denied)"),
        (MemoryError(), "there is not enough memory"),
    ):

        def fail(*arguments, error=error, **settings):
            raise error

        monkeypatch.setattr("chainrule.job.PreparedData.load", fail)
        assert text in failure("train", "t.csv", "-t", "answer")


@pytest.mark.parametrize(
    "arguments",
    [
        ("train", "iris", "--out", ""),
        ("train", "iris", "--config", ""),
        ("train", ""),
        ("info", ""),
        ("predict", "run", "iris", "-o", ""),
        ("predict", "run", ""),
        ("evaluate", "", "iris"),
        ("diagnose", "run", "iris", "--json", ""),
        ("resume", ""),
        ("resume", "run", "--data", ""),
        ("explain", "x*x", "x=2", "-o", ""),
        ("draw", "x*x", "x=2", "-o", ""),
        ("draw", "run", "--data", ""),
        ("check", ""),
    ],
    ids=" ".join,
)
def test_an_empty_name_is_no_place(arguments):
    assert failure(*arguments).endswith(": the name is empty; give the name of a file or folder.")


def test_what_would_be_passed_over_is_refused():
    assert failure("explain", "x*y", "x=1", "y=2", "y=3") == (
        "Error: y was given twice, as 2 and 3; a name has one value. Leave one out."
    )
    assert failure("draw", "x*y", "x=1", "y=2", "x=1").startswith("Error: x was given twice")
    write("hw.toml", "")
    assert failure("check", "--new", "hw.toml") == (
        "Error: check got --new and the file hw.toml; --new prints a file to start from, and grades none. "
        "Write: chainrule check --new > hw.toml, or leave --new out."
    )
    write("model.safetensors", "")
    assert failure("resume", "model.safetensors") == (
        "Error: model.safetensors is a file; a run is resumed from its folder. Name the folder: chainrule resume ."
    )
