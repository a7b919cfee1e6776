"""What the user sees while training runs, and Ctrl-C."""

import io
import os
import re
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.train.interrupt import Interrupt
from chainrule.train.progress import Bar, Lines, Silent, choose

X, Y = np.arange(8.0)[:, None] / 8, np.arange(8.0) / 8


def trainer():
    cr.manual_seed(0)
    model = nn.Sequential(nn.Linear(1, 1))
    return cr.Trainer(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.1), metrics=["mae"])


class Terminal(io.StringIO):
    def isatty(self):
        return True


def use_terminal(monkeypatch):
    """Called within the test, as pytest puts streams of its own in place after fixtures have run."""
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setenv("COLUMNS", "150")
    monkeypatch.setenv("TERM", "xterm")
    return sys.stderr


def test_nothing_when_it_is_not_wanted(capfd):
    trainer().fit(X, Y, epochs=3, progress=False)
    assert capfd.readouterr() == ("", "")
    assert isinstance(choose(False), Silent)


def test_lines_where_there_is_no_terminal(capsys):
    history = trainer().fit(X, Y, epochs=2, validation_data=(X, Y))
    out, err = capsys.readouterr()
    assert out == ""
    assert isinstance(choose(True), Lines)
    row = history.epochs[0]
    values = "  ".join(f"{name} {row[name]:.4f}" for name in ("loss", "mae", "val_loss", "val_mae"))
    assert err.splitlines()[0] == f"epoch 1/2  {values}"
    assert len(err.splitlines()) == 2


def test_epochs_are_counted_on_in_a_second_fit(capsys):
    t = trainer()
    t.fit(X, Y, epochs=2)
    t.fit(X, Y, epochs=2)
    starts = [line.split()[1] for line in capsys.readouterr().err.splitlines()]
    assert starts == ["1/2", "2/2", "3/4", "4/4"]


def test_of_many_epochs_about_twenty_lines(capsys):
    trainer().fit(X, Y, epochs=999)
    numbers = [int(line.split()[1].split("/")[0]) for line in capsys.readouterr().err.splitlines()]
    assert numbers[0] == 1
    assert numbers[-1] == 999
    assert 18 <= len(numbers) <= 22


def test_a_bar_on_a_terminal(monkeypatch):
    terminal = use_terminal(monkeypatch)
    assert isinstance(choose(True), Bar)
    t = trainer()
    t.fit(X, Y, epochs=3, batch_size=2)
    t.fit(X, Y, epochs=3, batch_size=2)
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.getvalue())
    last = [line for line in shown.replace("\r", "\n").splitlines() if line.strip()][-1]
    assert re.search(r"epoch 6/6 ━+ loss 0\.\d{4}  mae 0\.\d{4} [\d,]+ steps/s 0:00:00", last)


def test_the_bar_ends_when_training_fails(monkeypatch):
    terminal = use_terminal(monkeypatch)
    with pytest.raises(cr.errors.NonFiniteLoss):
        cr.Trainer(m := nn.Linear(1, 1), nn.MSELoss(), optim.SGD(m.parameters(), lr=1e30)).fit(X, Y, epochs=50)
    assert "epoch" in terminal.getvalue()
    assert terminal.getvalue().endswith("\x1b[?25h"), "the cursor is shown again"


# ---------------------------------------------------------------------------------------- Ctrl-C
def test_the_first_signal_asks_and_the_second_interrupts():
    with pytest.raises(KeyboardInterrupt), Interrupt() as interrupt:
        os.kill(os.getpid(), signal.SIGINT)
        assert interrupt.requested
        os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_training_in_another_thread_leaves_signals_alone():
    histories = []
    thread = threading.Thread(target=lambda: histories.append(trainer().fit(X, Y, epochs=2, progress=False)))
    thread.start()
    thread.join()
    assert len(histories[0]) == 2


INTERRUPTED = """
import sys
import numpy as np
import chainrule as cr

class Ready(cr.train.Callback):
    def on_epoch(self, trainer, row):
        if row["epoch"] == 3:
            print("ready", flush=True)

X = np.random.default_rng(0).normal(size=(64, 4))
model = cr.nn.Sequential(cr.nn.Linear(4, 1))
trainer = cr.Trainer(model, cr.nn.MSELoss(), cr.optim.SGD(model.parameters(), lr=0.01))
stopping = cr.EarlyStopping(10**9, "loss", restore_best=False)
history = trainer.fit(X, X[:, 0], epochs=10**9, batch_size=4, callbacks=[Ready(), stopping], progress=False)
cr.save_trainer(trainer, sys.argv[1])
print(history.stopped, len(history) >= 3)
"""


def test_ctrl_c_keeps_what_was_learnt(tmp_path):
    path = tmp_path / "t.safetensors"
    child = subprocess.Popen([sys.executable, "-c", INTERRUPTED, str(path)], stdout=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "ready\n"
    child.send_signal(signal.SIGINT)
    out, _ = child.communicate(timeout=300)
    assert (child.returncode, out) == (0, "interrupted True\n")
    t = cr.load_trainer(path)
    assert t.history["loss"][-1] < t.history["loss"][0]
    assert t.history.stopped == "interrupted"
    assert not np.array_equal(t.model[0].weight.numpy(), np.zeros((1, 4)))
