"""What is written and printed: pipes and links written through, nothing needed overwritten, names as text, closed streams."""

import os
import shlex
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from cli_data import FAST, TRAINING, chainrule, write_pictures, write_table

from chainrule import nn
from chainrule.cli.output import shown
from chainrule.errors import OutputError
from chainrule.fileio import write_file
from chainrule.job.folders import run_folder, run_lock
from chainrule.job.locking import locked
from chainrule.train import load_model, save_model

pytest.importorskip("pyarrow", reason="tables are read with pyarrow")


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    """A folder with a table t.csv and a run on it."""
    folder = tmp_path_factory.mktemp("run")
    write_table(folder / "t.csv")
    arguments = [
        "train",
        folder / "t.csv",
        "-t",
        "answer",
        *FAST,
        "--out",
        folder / "run",
        "--no-progress",
    ]
    assert chainrule(*arguments).exit_code == 0
    return folder


# -------------------------------------------------------------------------------------------- files
def test_a_pipe_is_written_to_and_stays_one(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    got = []
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
    reader.start()
    write_file(pipe, b"answers")
    reader.join()
    assert got == [b"answers"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_links_stay_links(tmp_path):
    target, link, hard = tmp_path / "target", tmp_path / "link", tmp_path / "hard"
    target.write_bytes(b"old")
    link.symlink_to(target)
    write_file(link, b"new")
    assert (link.is_symlink(), target.read_bytes()) == (True, b"new")
    hard.hardlink_to(target)
    write_file(hard, b"newer")
    assert (target.read_bytes(), target.stat().st_nlink) == (b"newer", 2)


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664])
def test_a_file_that_is_replaced_keeps_its_permissions(tmp_path, mode):
    path = tmp_path / "a"
    path.write_bytes(b"old")
    path.chmod(mode)
    write_file(path, b"new")
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"new", mode)
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_file_that_may_not_be_written_to_is_left_alone(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"old")
    path.chmod(0o400)
    with pytest.raises(OutputError, match="Permission denied"):
        write_file(path, b"new")


@pytest.mark.parametrize(
    ("out", "what"),
    [
        ("t.csv", "what is read"),
        ("run/model.safetensors", "a model"),
        ("run/config.toml", "a file of a run"),
        ("link", "what is read"),
    ],
)
def test_answers_are_not_written_over_what_is_needed(run, out, what):
    if out == "link" and not (run / "link").exists():
        (run / "link").symlink_to(run / "t.csv")
    before = (run / out).read_bytes()
    result = chainrule("predict", run / "run", run / "t.csv", "--out", run / out)
    assert result.exit_code == 2
    assert f"Error: {run / out} is {what}; the output must not overwrite it. Choose another name." in result.stderr
    assert (run / out).read_bytes() == before


def test_a_second_run_in_a_folder_is_refused(tmp_path):
    with run_folder(tmp_path / "run", "x") as folder:
        with pytest.raises(OutputError, match=r"another run is training in the folder .*; a folder takes one run at a time"):
            run_folder(folder, "x").__enter__()
        with pytest.raises(OutputError, match="another run is training"):
            run_lock(folder).__enter__()
    assert not list(folder.iterdir())


KILLED = """
import os, sys, pathlib
from chainrule.job.locking import locked
with locked(pathlib.Path(sys.argv[1])):
    os.kill(os.getpid(), 9)
"""


def test_a_run_that_was_killed_leaves_no_lock_and_no_temporary_files(tmp_path):
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    assert (tmp_path / ".lock").exists()
    (tmp_path / ".model.safetensors.0123abcd").touch()
    (tmp_path / ".mine.0123abcd").touch()
    with run_lock(tmp_path), pytest.raises(OutputError), locked(tmp_path):
        pass
    assert [path.name for path in tmp_path.iterdir()] == [".mine.0123abcd"]


# -------------------------------------------------------------------------------------------- names
def test_control_characters_are_shown():
    assert shown("a\x1b]0;x\x07\x9b2J\u202eb\r\tc\n是") == "a\\u001b]0;x\\u0007\\u009b2J\\u202eb\\u000d\tc\n是"


def test_names_reach_the_terminal_as_text(tmp_path):
    evil = "a\x1b]0;PWNED\x1b\\"
    (tmp_path / "esc.csv").write_text(f"{evil},y\n1,2\n3,4\n", encoding="utf-8")
    for arguments in (["info", "esc.csv"], ["train", "esc.csv"], ["train", "esc.csv", "-t", "\x1b[2J"], [evil], ["info", evil]):
        result = chainrule(*(tmp_path / a if a == "esc.csv" else a for a in arguments))
        assert "\x1b" not in result.output
        assert "1b" in result.output


def test_formulas_in_answers_are_escaped_on_request(run):
    (run / "f.csv").write_text('id,a,town,day,number,note\n1,0.5,Oslo,2024-01-02,3,"=cmd()"\n2,0.5,Oslo,2024-01-02,3,-5\n')
    command = ["predict", run / "run", run / "f.csv", "--keep", "note"]
    assert chainrule(*command).stdout.splitlines()[1].split(",")[1] == "=cmd()"
    rows = [line.split(",") for line in chainrule(*command, "--escape-formulas").stdout.splitlines()]
    assert [row[1] for row in rows] == ["note", "'=cmd()", "-5"]


# -------------------------------------------------------------------------------------------- streams
@pytest.mark.parametrize(
    "closed", [">&- 2>&-", "> /dev/full", *(pytest.param(c, marks=pytest.mark.slow) for c in (">&-", "2>&-"))]
)
def test_streams_that_are_closed_are_no_reason_not_to_train(tmp_path, closed):
    write_table(tmp_path / "t.csv")
    command = f"{shlex.join([*TRAINING, 'train', 't.csv', '-t', 'answer', *FAST, '--out', 'r'])} {closed}"
    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert (tmp_path / "r" / "report.html").exists()


# -------------------------------------------------------------------------------------------- pictures
def test_pictures_of_one_class_are_evaluated_and_strange_classes_named(tmp_path):
    pytest.importorskip("PIL")
    write_pictures(tmp_path / "p")
    (tmp_path / "p" / "cat" / "x.xyz").touch()
    settings = ["--epochs", "1", "--hidden", "4", "--backend", "reference", "--no-progress", "--image-size", "8x6"]
    trained = chainrule("train", tmp_path / "p", "--out", tmp_path / "r", *settings)
    assert f"Note: 1 file in {tmp_path / 'p' / 'cat'} (.xyz) is not read.\n" in trained.stdout
    assert "Pictures: 8 × 6 (height × width), grey.\n" in trained.stdout
    assert "image_size = [8, 6]\n" in (tmp_path / "r" / "config.toml").read_text()
    (tmp_path / "test").mkdir()
    (tmp_path / "p" / "cat").rename(tmp_path / "test" / "cat")
    result = chainrule("evaluate", tmp_path / "r", tmp_path / "test", "--json")
    assert (result.exit_code, "accuracy" in result.stdout) == (0, True)
    assert "(.xyz) is not read." in result.stderr
    (tmp_path / "test" / "cat").rename(tmp_path / "test" / "lynx")
    result = chainrule("evaluate", tmp_path / "r", tmp_path / "test")
    assert "Error: the pictures have the class 'lynx'; the model knows 'cat', 'dog'." in result.stderr
    assert Path(tmp_path / "test").exists()


ANSWERS = """
import sys
from chainrule.cli.output import echo, open_standard_streams
open_standard_streams()
sys.stdout.write("na\\u00efve \\u0451\\u0436 \\udcff.png\\n")
echo("\\u0451 \\udcff \\ud800", err=True)
"""


def test_answers_are_utf_8_in_every_locale():
    c_locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run([sys.executable, "-c", ANSWERS], env=c_locale, capture_output=True, check=True)
    assert done.stdout == "na\u00efve \u0451\u0436 ".encode() + b"\xff.png\n"
    assert done.stderr == "\u0451 ".encode() + b"\xff \\ud800\n"


@pytest.mark.parametrize("coding", ["ascii", pytest.param("latin-1:strict", marks=pytest.mark.slow)])
def test_arguments_and_file_names_are_utf_8_in_the_c_locale(coding, tmp_path):
    rows = [f"{k},{'甲' if k % 2 else '乙'},{k % 2}" for k in range(30)]
    (tmp_path / "表.csv").write_text("\n".join(["a,naïve,b", *rows]), encoding="utf-8")
    environment = {
        "LC_ALL": "C",
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
        "HOME": str(tmp_path),
        "PYTHONIOENCODING": coding,
    }

    def run(*arguments, command=(sys.executable, "-m", "chainrule")):
        done = subprocess.run([*command, *arguments], env=environment, cwd=tmp_path, capture_output=True, check=False)
        return done.returncode, done.stdout.decode() + done.stderr.decode()

    code, said = run("train", "表.csv", "-t", "naïve", *FAST, "--out", "行", "--no-progress", command=TRAINING)
    assert code == 0, said
    assert "Target 'naïve': 2 classes (乙, 甲)." in said
    assert run("predict", "行", "表.csv", "--keep", "naïve")[1].startswith("naïve,")
    assert "链式法则" in run("explain", "σ = w*x; σ**2", "w=2", "x=3", "--language", "zh")[1]


def test_a_model_remembers_a_name_that_is_not_utf_8(tmp_path):
    save_model(nn.Linear(1, 1), tmp_path / "m.safetensors", {"source": "\udcff.csv"})
    assert load_model(tmp_path / "m.safetensors")[1] == {"source": "\udcff.csv"}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no such device")
def test_a_device_that_takes_nothing():
    with pytest.raises(OutputError) as caught:
        write_file("/dev/full", b"x")
    assert str(caught.value) == (
        "/dev/full could not be written (No space left on device); a device or stream must be open and take what is written. "
        "Name a file, or another device."
    )
