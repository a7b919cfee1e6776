"""The command line as processes of its own: exit codes, signals, pipes, limits, memory."""

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cli_data import FAST, TRAINING, chainrule, write_table

from chainrule.job import Predictor

pa = pytest.importorskip("pyarrow", reason="tables are read with pyarrow")
COMMAND = [sys.executable, "-W", "error::RuntimeWarning", "-m", "chainrule"]


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def run(*arguments, command=COMMAND, **settings):
    return subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=500, check=False, **settings)


def test_exit_codes_and_streams():
    write_table(Path("t.csv"))
    done = run("train", "t.csv", "-t", "answer", *FAST)
    assert done.returncode == 0, done.stderr
    assert "Saved to runs/t-1." in done.stdout
    assert done.stderr.startswith("epoch 1/3")
    bad = run("train", "t.csv", "-t", "answr")
    assert (bad.returncode, bad.stdout) == (2, "")
    assert bad.stderr.startswith("Error: t.csv has no column 'answr'")
    assert bad.stderr.count("\n") == 1


def wait_for_epoch(child):
    line = child.stderr.readline()
    assert line.startswith("epoch 1/"), line + child.stderr.read()


def test_ctrl_c_saves_what_was_learnt_and_exits_with_130():
    write_table(Path("t.csv"))
    command = [*COMMAND, "train", "t.csv", "-t", "answer", "--epochs", "1000000", "--hidden", "8"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        wait_for_epoch(child)
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=300)
    assert child.returncode == 130, err
    assert ": interrupted.\n" in out
    assert "Saved to runs/t-1." in out
    assert "Traceback" not in err
    assert set(Predictor.load("runs/t-1").predict(Predictor.load("runs/t-1").read("t.csv", labelled=False)).values) <= {
        "yes",
        "no",
    }
    assert chainrule("evaluate", "runs/t-1", "t.csv").exit_code == 0


SLOW_START = """
import sys, time
import chainrule.cli.commands as cli
from chainrule.job import PreparedData
def slow(*arguments, **settings):
    print("reading", flush=True)
    time.sleep(600)
PreparedData.load = slow
cli.main(["train", "iris"])
"""


def test_ctrl_c_before_training_saves_nothing_and_exits_with_130():
    with subprocess.Popen(
        [sys.executable, "-c", SLOW_START], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout.readline() == "reading\n"
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=300)
    assert (child.returncode, err) == (130, "Interrupted.\n")
    assert not list(Path().iterdir())


def test_ctrl_c_while_options_are_read(monkeypatch):
    def interrupted(*arguments, **settings):
        raise KeyboardInterrupt

    monkeypatch.setattr("click.Group.parse_args", interrupted)
    out = chainrule("info", "iris")
    assert (out.exit_code, out.stderr) == (130, "Interrupted.\n")


SLOW_IMPORT = """
import os, signal, sys
class Slow:
    def find_spec(self, name, path=None, target=None):
        if name == "numpy":
            print("importing", flush=True)
            sys.stdin.read()
            os._exit(7)
sys.meta_path.insert(0, Slow())
signal.signal(signal.SIGINT, signal.HANDLER)
from chainrule_command import main
main()
"""


@pytest.mark.parametrize(("handler", "code", "said"), [("default_int_handler", 130, "Interrupted.\n"), ("SIG_IGN", 7, "")])
def test_ctrl_c_while_the_program_starts(handler, code, said):
    """It is heeded unless it is ignored, as with nohup."""
    command = [sys.executable, "-c", SLOW_IMPORT.replace("HANDLER", handler)]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen(command, text=True, **pipes) as child:
        assert child.stdout.readline() == "importing\n"
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=300)  # ends its standard input
    assert (child.returncode, err) == (code, said)


def test_a_reader_that_has_seen_enough():
    write_table(Path("t.csv"), rows=20_000)
    assert chainrule("train", "t.csv", "-t", "answer", *FAST, "--epochs", "1", "--out", "run").exit_code == 0
    with subprocess.Popen([*COMMAND, "predict", "run", "t.csv"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdout.readline() == b"id,answer,p(no),p(yes)\n"
        child.stdout.close()
        err = child.stderr.read()
    assert (child.returncode, err) == (0, b"")


def test_a_run_is_not_lost_because_nobody_reads_what_it_says():
    write_table(Path("t.csv"))
    command = [*TRAINING, "train", "t.csv", "-t", "answer", *FAST, "--no-progress"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        child.stdout.close()
        err = child.stderr.read()
    assert (child.returncode, err) == (0, b"")
    assert Path("runs/t-1/model.safetensors").exists()


def limited():
    """A disk that holds 3000 bytes per file."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))


def test_a_disk_that_is_full():
    write_table(Path("t.csv"))
    failed = run("train", "t.csv", "-t", "answer", *FAST, "--hidden", "100", "--no-progress", preexec_fn=limited)
    assert failed.returncode == 2
    assert failed.stderr == (
        "Error: runs/t-1/checkpoint.safetensors could not be written (File too large); its folder must exist, be writable and "
        "have free space. Choose another place, or free some space; an earlier file of that name is unharmed.\n"
    )
    assert [path.name for path in Path().iterdir()] == ["t.csv"]


AS_NOBODY = """
import os
import numpy, safetensors.numpy
import chainrule as cr
from chainrule.job.folders import run_folder
os.setgid(65534)
os.setuid(65534)
for action in (lambda: run_folder(None, "t.csv").__enter__(), lambda: cr.save_model(cr.nn.Linear(1, 1), "m.safetensors")):
    try:
        action()
    except cr.errors.OutputError as error:
        print(error)
"""


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can become nobody")
def test_a_folder_that_may_not_be_written_to(tmp_path):
    tmp_path.chmod(0o755)
    done = subprocess.run([sys.executable, "-c", AS_NOBODY], capture_output=True, text=True, check=True)
    first, second = done.stdout.splitlines()
    assert first == (
        "the output folder runs cannot be used (Permission denied); it must be a folder that you may write to. "
        "Choose another one with --out."
    )
    assert second.startswith("m.safetensors could not be written (Permission denied); its folder must exist, be writable")
    assert not list(tmp_path.iterdir())


def test_a_terminal_that_knows_no_unicode():
    write_table(Path("t.csv"))
    ascii = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = run("train", "t.csv", "-t", "answer", *FAST, command=TRAINING, env=ascii)
    assert done.returncode == 0, done.stderr
    assert run("info", "t.csv", env=ascii).returncode == 0


MEASURE = """
import sys
import chainrule.cli.commands as cli
from bench.memory import peak_bytes
try:
    cli.main(sys.argv[1:])
except SystemExit as end:
    assert not end.code, end.code
print("peak MB", peak_bytes() / 2**20)
"""


@pytest.mark.slow
def test_a_million_rows_of_thirty_columns_train_in_less_than_four_gigabytes(tmp_path):
    n, random = 1_000_000, np.random.default_rng(0)
    columns = {f"x{k}": random.normal(size=n).astype(np.float32).round(4) for k in range(29)}
    columns["y"] = (columns["x0"] + columns["x1"] * columns["x2"] > 0).astype(np.int8)
    import pyarrow.csv

    pyarrow.csv.write_csv(pa.table(columns), "big.csv")
    del columns
    command = [sys.executable, "-c", MEASURE, "train", "big.csv", "--target", "y", "--epochs", "1"]
    root = Path(__file__).parents[2]  # where bench is
    paths = os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": paths}
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    peak = float(done.stdout.split()[-1])
    print(done.stdout)
    assert peak < 4000
