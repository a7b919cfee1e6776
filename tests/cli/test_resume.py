"""`chainrule resume`: a run that was stopped goes on as if it had not been."""

import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest
from cli_data import FAST, TRAINING, chainrule, write_npz, write_table

from chainrule import fileio
from chainrule.errors import OutputError
from chainrule.fitting import files
from chainrule.job import Predictor
from chainrule.job.checkpoint import RunCheckpoint
from chainrule.train import callbacks

pa = pytest.importorskip("pyarrow", reason="tables are read with pyarrow")
SLOW = ["--no-progress", "--hidden", "8", "--batch-size", "8"]


class Killed(BaseException):
    """What ends a process at once."""


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def every_epoch(monkeypatch):
    """A checkpoint after every epoch, however long writing takes."""
    monkeypatch.setattr("chainrule.job.checkpoint._PAUSE", 0.0)


@pytest.fixture
def killed(every_epoch, monkeypatch):
    """Trains until the process dies in the sixth epoch, before that epoch is saved."""

    def train(*arguments):
        own = RunCheckpoint.on_epoch

        def save_or_die(self, trainer, row):
            if row["epoch"] == 6:
                raise Killed
            own(self, trainer, row)

        with monkeypatch.context() as patch:
            patch.setattr(RunCheckpoint, "on_epoch", save_or_die)
            with pytest.raises(Killed):
                chainrule("train", *arguments)

    return train


def history(folder):
    """The lines of the history without the seconds."""
    lines = [line.split(",") for line in (Path(folder) / "history.csv").read_text(encoding="utf-8").splitlines()]
    left_out = lines[0].index("seconds")
    return [[cell for n, cell in enumerate(line) if n != left_out] for line in lines]


def assert_same_runs(a, b):
    assert history(a) == history(b)
    one, other = Predictor.load(a), Predictor.load(b)
    for name, array in one.model.state_dict().items():
        np.testing.assert_array_equal(array, other.model.state_dict()[name], err_msg=name)
    assert one.facts == other.facts
    for name in ("config.toml", "metrics.json"):
        assert (Path(a) / name).read_bytes() == (Path(b) / name).read_bytes()


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--schedule", "plateau", "--optimizer", "nesterov", "--backend", "reference"],
        ["--patience", "30", "--schedule", "one-cycle", "--backend", "reference"],
    ],
    ids=["defaults", "plateau", "patience"],
)
def test_a_run_that_was_killed_ends_as_if_it_had_not_been(options, killed):
    write_table(Path("t.csv"))
    arguments = ["t.csv", "-t", "answer", *SLOW, "--epochs", "12", *options]
    assert chainrule("train", *arguments, "--out", "whole").exit_code == 0
    killed(*arguments, "--out", "half")
    assert not Path("half/model.safetensors").exists()
    out = chainrule("resume", "half", "--no-progress")
    assert out.exit_code == 0, out.output
    assert out.output.startswith("Continuing after epoch 5 of 12.\n")
    assert_same_runs("whole", "half")


def test_pictures_are_resumed_too(killed):
    arguments = [write_npz(Path("p.npz")), *SLOW, "--epochs", "7", "--backend", "reference"]
    assert chainrule("train", *arguments, "--out", "whole").exit_code == 0
    killed(*arguments, "--out", "half")
    assert chainrule("resume", "half").exit_code == 0
    assert_same_runs("whole", "half")


def test_a_finished_run_trains_for_longer_as_if_it_had_been_asked_to_at_once():
    write_table(Path("t.csv"))
    arguments = ["train", "t.csv", "-t", "number", *SLOW, "--schedule", "constant", "--l2", "0.1", "--backend", "reference"]
    assert chainrule(*arguments, "--epochs", "9", "--out", "whole").exit_code == 0
    assert chainrule(*arguments, "--epochs", "4", "--out", "more").exit_code == 0
    out = chainrule("resume", "more", "--epochs", "9", "--no-progress")
    assert out.exit_code == 0, out.output
    assert out.output.startswith("Continuing after epoch 4 of 9.\n")
    assert_same_runs("whole", "more")


def test_ctrl_c_keeps_what_was_learnt_and_resume_trains_the_epoch_again():
    write_table(Path("t.csv"))
    arguments = ["train", "t.csv", "-t", "answer", "--hidden", "8", "--epochs", "100000", "--schedule", "constant", "--l2", "0"]
    with subprocess.Popen(
        [*TRAINING, *arguments, "--out", "half"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        assert child.stderr.readline().startswith("epoch 1/")
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=300)
    assert child.returncode == 130, err
    assert out.endswith("  chainrule resume half\n")
    done = len(history("half"))
    going = chainrule("resume", "half", "--epochs", str(done + 3), "--no-progress")
    assert going.exit_code == 0, going.output
    whole = [*arguments, "--out", "whole", "--no-progress"]
    whole[whole.index("100000")] = str(done + 3)
    assert chainrule(*whole).exit_code == 0
    assert_same_runs("whole", "half")


def test_a_run_is_resumed_from_another_folder_and_with_data_that_was_moved(tmp_path, monkeypatch):
    write_table(Path("t.csv"))
    assert chainrule("train", "t.csv", "-t", "answer", *FAST, "--out", "run").exit_code == 0
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    for epochs in (4, 5):  # the second time from the checkpoint of a resumed run
        assert chainrule("resume", "../run", "--epochs", epochs).exit_code == 0
        assert Predictor.load("../run").facts["source"] == "t.csv"
    Path("../t.csv").rename("../u.csv")
    out = chainrule("resume", "../run", "--epochs", "6")
    assert (out.exit_code, out.stderr) == (
        2,
        f"Error: {tmp_path}/t.csv, which ../run was trained on, does not exist; a run is resumed with the same rows and "
        "columns. Name the data where it is now with --data.\n",
    )
    assert chainrule("resume", "../run", "--epochs", "6", "--data", "../u.csv").exit_code == 0
    assert chainrule("resume", "../run", "--epochs", "7").exit_code == 0  # it knows by now


def test_an_interruption_within_the_first_epoch_is_called_so(monkeypatch):
    write_table(Path("t.csv"))

    def stop(self, loss, done, *, counts):
        if done == 8:  # steps, which are the first slice
            self._trainer.stop("interrupted")

    monkeypatch.setattr("chainrule.train.loop.Loop._judge", stop)
    out = chainrule("train", "t.csv", "-t", "answer", "--backend", "reference", "--batch-size", "2", "--out", "run")
    assert out.exit_code == 130
    assert "\nStopped in epoch 1, after 8 of 24 steps: interrupted.\n" in out.stdout
    assert out.stdout.endswith("\nThe run cannot be resumed: it has no checkpoint yet.\n")
    assert "holds no checkpoint.safetensors" in chainrule("resume", "run").stderr


@pytest.mark.parametrize(
    "content",
    ["root:x:0:0\nsecret:x:1:1\n", *(pytest.param(text, marks=pytest.mark.slow) for text in ("a,secret\n1,2\n", "\0secret"))],
)
@pytest.mark.usefixtures("run")
def test_nothing_is_told_of_a_file_that_only_a_checkpoint_names(content):
    Path("private.csv").write_text(content)
    arrays, description = files.read(Path("run/checkpoint.safetensors"))
    description["extras"]["path"] = "private.csv"
    files.write(Path("run/checkpoint.safetensors"), arrays, {k: v for k, v in description.items() if k != "format"})
    out = chainrule("resume", "run", "--epochs", "4")
    assert (out.exit_code, out.stdout) == (2, "")
    assert out.stderr == (
        "Error: the data in private.csv is not what run was trained on; a run is resumed with the same rows and columns. "
        "Restore the data or name it with --data; to learn from other data, train a new network.\n"
    )
    assert chainrule("resume", "run", "--epochs", "4", "--data", "t.csv").exit_code == 0


@pytest.mark.usefixtures("run")
def test_what_cannot_be_resumed():
    before = {path.name: path.read_bytes() for path in Path("run").iterdir()}

    def refused(*arguments):
        out = chainrule("resume", *arguments)
        assert out.exit_code == 2
        assert out.stdout == ""
        return out.stderr

    assert refused("run") == (
        "Error: the run in run has trained 3 epochs, and 3 were asked for; --epochs counts all epochs of a run. "
        "Ask for more, for example --epochs 6.\n"
    )
    assert "has trained 3 epochs, and 2 were asked for" in refused("run", "--epochs", "2")
    assert "Invalid value for '--epochs': 0" in refused("run", "--epochs", "0")
    assert refused("nowhere") == (
        "Error: nowhere holds no checkpoint.safetensors; a run folder of `chainrule train` has one from the end of its first "
        "epoch on. Check the path, or train again.\n"
    )
    write_table(Path("other.csv"), seed=1)
    assert refused("run", "--epochs", "5", "--data", "other.csv") == (
        "Error: the data in other.csv is not what run was trained on; a run is resumed with the same rows and columns. "
        "Restore the data or name it with --data; to learn from other data, train a new network.\n"
    )
    Path("broken").mkdir()
    Path("broken/checkpoint.safetensors").write_bytes(before["checkpoint.safetensors"][:-9])
    assert "checkpoint.safetensors could not be read" in refused("broken")
    Path("broken/checkpoint.safetensors").write_bytes(before["model.safetensors"])
    assert "holds a model only" in refused("broken")
    assert {path.name: path.read_bytes() for path in Path("run").iterdir()} == before


def test_a_run_that_stopped_by_itself_is_finished():
    write_table(Path("t.csv"))
    arguments = ["train", "t.csv", "-t", "answer", *FAST, "--patience", "1", "--lr", "0.5", "--epochs", "90", "--out", "run"]
    assert "Stopped after epoch" in chainrule(*arguments).output
    out = chainrule("resume", "run")
    assert out.exit_code == 2
    assert out.stderr.startswith("Error: the run in run is finished: val_loss did not improve for 1 epochs")
    assert out.stderr.endswith("a run that stopped by itself cannot be resumed. Train again with a larger --patience.\n")


@pytest.mark.usefixtures("every_epoch")
def test_a_checkpoint_that_cannot_be_written_leaves_the_earlier_one(monkeypatch):
    write_table(Path("t.csv"))
    count = iter(range(100))

    def full_after_two(path, content, own=fileio.write_file):
        if next(count) >= 3:  # the history, then checkpoints
            raise OutputError("no room")
        own(path, content)

    with monkeypatch.context() as patch:
        for module in (files, callbacks):
            patch.setattr(module, "write_file", full_after_two)
        out = chainrule("train", "t.csv", "-t", "answer", *FAST, "--out", "run")
    assert (out.exit_code, out.stderr.splitlines()[-1]) == (2, "Error: no room")
    assert sorted(path.name for path in Path("run").iterdir()) == ["checkpoint.safetensors", "history.csv"]
    assert chainrule("resume", "run").output.startswith("Continuing after epoch 2 of 3.\n")
    assert chainrule("evaluate", "run", "t.csv").exit_code == 0
