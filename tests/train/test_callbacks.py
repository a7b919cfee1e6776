"""Early stopping, checkpoints, learning rates, the CSV log, and the order of it all."""

import csv
import errno
import os
from pathlib import Path

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.errors import ArgumentError, OutputError
from chainrule.train import Callback


class Scripted(Callback):
    """Puts a given value into the row of each epoch."""

    def __init__(self, values, name="score"):
        self.values = list(values)
        self.name = name
        self.weights = []

    def on_epoch(self, trainer, row):
        row[self.name] = self.values[int(row["epoch"]) - 1]
        self.weights.append(trainer.model.state_dict())


def trainer(metrics=()):
    cr.manual_seed(0)
    model = nn.Sequential(nn.Linear(1, 1))
    return cr.Trainer(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.1), metrics=metrics)


def fit(t, callbacks, epochs=10, **settings):
    return t.fit([[1.0], [2.0]], [1.0, -2.0], epochs=epochs, callbacks=callbacks, progress=False, **settings)


def same(a, b):
    return all(np.array_equal(a[name], b[name]) for name in b)


@pytest.mark.parametrize(
    "values, settings, stopped, best",
    [
        ([5, 4, 3, 4, 5, 6, 1, 1, 1, 1], {"patience": 3}, 6, 3),
        ([5, 4, 3, 4, 5, 6, 1, 1, 1, 1], {"patience": 4}, 10, 7),
        ([1, 2, 3, 2, 1, 9, 9, 9, 9, 9], {"patience": 2, "mode": "max"}, 5, 3),
        ([5, 4.95, 4.9, 4.85, 4.8, 4, 3, 2, 1, 0], {"patience": 3, "min_delta": 1.0}, 4, 1),
        ([5, float("nan"), float("nan"), 4, 1, 1, 1, 1, 1, 1], {"patience": 2}, 3, 1),
        ([3, 3, 3, 3, 3, 3, 3, 3, 3, 3], {"patience": 9}, 10, 1),
    ],
)
def test_early_stopping(values, settings, stopped, best):
    scripted, stopping, t = Scripted(values), cr.EarlyStopping(monitor="score", **settings), trainer()
    history = fit(t, [scripted, stopping])
    assert len(history) == stopped
    assert (stopping.best_epoch, stopping.best_value) == (best, values[best - 1])
    assert same(t.model.state_dict(), scripted.weights[best - 1])
    if stopped < 10:
        assert history.stopped == f"score did not improve for {settings['patience']} epochs; the best was epoch {best}"


def test_early_stopping_without_restoring():
    scripted, t = Scripted([1, 2, 3, 4]), trainer()
    fit(t, [scripted, cr.EarlyStopping(2, "score", restore_best=False)])
    assert same(t.model.state_dict(), scripted.weights[-1])


@pytest.mark.parametrize("own", [False, True])
def test_early_stopping_knows_the_direction_of_a_metric(own):
    from chainrule.train import Metric

    metric = Metric("score", lambda o, t, threshold: o.reshape(-1), larger_is_better=True) if own else "accuracy"
    name = "score" if own else "accuracy"
    scripted, stopping = Scripted([1, 2, 3, 2, 1, 0], name), cr.EarlyStopping(2, name)
    assert len(fit(trainer([metric]), [scripted, stopping])) == 5
    assert stopping.best_epoch == 3


def test_early_stopping_begins_afresh_in_a_second_fit():
    stopping, t = cr.EarlyStopping(2, "score"), trainer()
    fit(t, [Scripted([1, 2, 3]), stopping])
    fit(t, [Scripted([0] * 3 + [5, 4, 3]), stopping], epochs=3)
    assert (stopping.best_epoch, stopping.best_value) == (6, 3)


@pytest.mark.parametrize(
    ("settings", "text"),
    [({"patience": 0}, "patience=0; it must be an integer ≥ 1"), ({"mode": "up"}, "mode='up'; it is min, max or auto")],
    ids=["patience", "mode"],
)
def test_early_stopping_settings(settings, text):
    with pytest.raises(ArgumentError, match=text):
        cr.EarlyStopping(**settings)


def test_a_plateau_lowers_the_rate():
    schedule = cr.LearningRate(optim.ReduceLROnPlateau(factor=0.5, patience=1), monitor="score")
    history = fit(trainer(), [Scripted([5, 5, 5, 5, 5, 4, 4, 4, 4, 4]), schedule])
    assert history["lr"] == pytest.approx([0.1, 0.1, 0.1, 0.05, 0.05, 0.025, 0.025, 0.025, 0.0125, 0.0125])


@pytest.mark.parametrize("schedule", [optim.StepLR(2), optim.CosineAnnealingLR(4, interval="step"), optim.LinearLR()])
def test_a_schedule_is_followed_and_taken_back(schedule):
    t = trainer()
    history = fit(t, [cr.LearningRate(schedule)], epochs=4, batch_size=None)
    assert history["lr"] == pytest.approx([schedule.value(k, 0.1) for k in range(4)])
    assert t.schedule is None
    assert float(t.optimizer.groups[0].lr) == pytest.approx(schedule.value(3, 0.1))


def test_checkpoints_every_n_epochs_and_into_one_file(tmp_path):
    fit(trainer(), [cr.Checkpoint(tmp_path / "e{epoch}.safetensors", every=4), cr.Checkpoint(tmp_path / "last.safetensors")])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["e4.safetensors", "e8.safetensors", "last.safetensors"]
    assert cr.load_trainer(tmp_path / "e4.safetensors").epoch == 4
    assert cr.load_trainer(tmp_path / "last.safetensors").epoch == 10
    with pytest.raises(ArgumentError, match="Checkpoint got every=0; it must be an integer ≥ 1"):
        cr.Checkpoint(tmp_path / "x", every=0)


def test_callbacks_run_in_order_and_savers_last():
    calls = []

    class Note(Callback):
        def __init__(self, name):
            self.name = name

        def on_start(self, trainer):
            calls.append(("start", self.name))

        def on_epoch(self, trainer, row):
            calls.append((int(row["epoch"]), self.name))

        def on_end(self, trainer):
            calls.append(("end", self.name))

    class Saver(Note):
        saves = True

    fit(trainer(), [Saver("s"), Note("a"), Note("b")], epochs=2)
    assert calls == [(when, name) for when in ("start", 1, 2, "end") for name in "abs"]


def test_a_callback_may_stop_evaluate_and_change_weights():
    class Meddler(Callback):
        def on_epoch(self, trainer, row):
            trainer.model[0].weight.assign([[0.0]])
            trainer.model[0].bias.assign([0.0])
            assert trainer.evaluate([[1.0]], [3.0])["loss"] == 9.0
            if row["epoch"] == 3:
                trainer.stop("enough")

    history = fit(trainer(), [Meddler()], batch_size=None)
    assert len(history) == 3
    assert history.stopped == "enough"
    assert history.step_loss[1:].tolist() == [2.5, 2.5]


# ---------------------------------------------------------------------------------------- CSV
def rows(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_csv_log_is_the_history(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("something older\n")
    t = trainer(["mae"])
    history = fit(t, [cr.CSVLog(path)], epochs=3)
    assert path.read_text() == history.to_csv()
    assert [{k: float(v) for k, v in row.items()} for row in rows(path)] == history.epochs
    assert path.read_text().splitlines()[1].startswith("1,")


def test_the_csv_log_of_a_second_fit_holds_the_first_one_and_new_columns(tmp_path):
    t = trainer()
    fit(t, [cr.CSVLog(tmp_path / "a.csv")], epochs=2)
    fit(t, [cr.CSVLog(tmp_path / "b.csv")], epochs=2, validation_data=([[1.0]], [1.0]))
    found = rows(tmp_path / "b.csv")
    assert [row["epoch"] for row in found] == ["1", "2", "3", "4"]
    assert [bool(row["val_loss"]) for row in found] == [False, False, True, True]


def test_the_csv_log_of_a_resumed_training_has_every_epoch_once(tmp_path):
    path, checkpoint = tmp_path / "log.csv", tmp_path / "c-{epoch}"
    fit(trainer(), [cr.CSVLog(path), cr.Checkpoint(checkpoint)], epochs=5)
    fit(cr.load_trainer(tmp_path / "c-3"), [cr.CSVLog(path), cr.Checkpoint(checkpoint)], epochs=4)
    assert [row["epoch"] for row in rows(path)] == ["1", "2", "3", "4", "5", "6", "7"]


def test_a_csv_log_that_cannot_be_begun(tmp_path):
    with pytest.raises(OutputError, match=r"none/log.csv could not be written \(No such file or directory\); its folder must"):
        fit(trainer(), [cr.CSVLog(tmp_path / "none" / "log.csv")])


def test_a_csv_log_that_cannot_be_continued(tmp_path, monkeypatch):
    path = tmp_path / "log.csv"
    log, real = cr.CSVLog(path), Path.open

    def full(self, mode="r", *args, **settings):
        if mode == "a":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(self, mode, *args, **settings)

    monkeypatch.setattr(Path, "open", full)
    t = trainer()
    with pytest.raises(OutputError, match=r"log.csv could not be written \(No space left on device\)"):
        fit(t, [log])
    assert [row["epoch"] for row in rows(path)] == ["1"]
    assert len(t.history) == 2


# ---------------------------------------------------------------------------------------- history
def test_an_unknown_column():
    history = fit(trainer(["mae"]), [], epochs=1)
    with pytest.raises(ArgumentError) as error:
        history["val_mae"]
    assert str(error.value) == (
        "the history has no column 'val_mae'; its columns are epoch, loss, mae, lr, seconds. Did you mean 'mae'?"
    )
    with pytest.raises(ArgumentError, match="no epoch has been trained"):
        cr.History()["loss"]


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_plot(suffix, tmp_path):
    pytest.importorskip("matplotlib", reason="draws with matplotlib")
    history = fit(trainer(["mae"]), [], epochs=3, validation_data=([[1.0]], [1.0]))
    figure = history.plot(tmp_path / f"curves.{suffix}")
    assert [axes.get_title() for axes in figure.axes] == ["loss", "mae"]
    for axes, name in zip(figure.axes, ("loss", "mae"), strict=True):
        training, validation = axes.get_lines()
        np.testing.assert_array_equal(training.get_ydata(), history[name])
        np.testing.assert_array_equal(validation.get_ydata(), history[f"val_{name}"])
        np.testing.assert_array_equal(training.get_xdata(), [1, 2, 3])
    assert (tmp_path / f"curves.{suffix}").stat().st_size > 1000
    assert len(history.plot(names=["mae"]).axes) == 1


def test_plot_of_what_is_not_there(tmp_path):
    pytest.importorskip("matplotlib", reason="draws with matplotlib")
    history = fit(trainer(), [], epochs=1)
    with pytest.raises(ArgumentError, match="the history has no column 'accuracy'"):
        history.plot(names=["accuracy"])
    with pytest.raises(ArgumentError, match="no epoch has been trained"):
        cr.History().plot()
    with pytest.raises(ArgumentError, match="the suffix chooses the format"):
        history.plot(tmp_path / "curves.txt.docx")
    with pytest.raises(OutputError, match="could not be written"):
        history.plot(tmp_path / "none" / "curves.png")
    assert not list(tmp_path.iterdir())


# ---------------------------------------------------------------------------------------- averaging
def test_the_mean_of_the_last_weights_is_left_in_the_model():
    scripted, t = Scripted(range(10)), trainer()
    fit(t, [scripted, cr.WeightAveraging(6)])
    for name, array in t.model.state_dict().items():
        assert array.dtype == np.float32
        np.testing.assert_allclose(array, np.mean([w[name] for w in scripted.weights[6:]], axis=0), rtol=1e-6)


def test_a_mean_lies_nearer_to_the_minimum_than_the_weights_that_move_around_it():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 1))
    y = 2 * x[:, 0] + rng.normal(size=400)
    best = float(x[:, 0] @ y / (x[:, 0] @ x[:, 0]))

    def error(callbacks):
        cr.manual_seed(0)
        model = nn.Sequential(nn.Linear(1, 1, bias=False))
        t = cr.Trainer(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.2))
        t.fit(x, y, epochs=40, batch_size=4, callbacks=callbacks, progress=False)
        return abs(float(model.state_dict()["0.weight"][0, 0]) - best)

    assert error([cr.WeightAveraging(20)]) < 0.5 * error([])


def test_a_training_that_ends_early_keeps_its_weights():
    scripted, t = Scripted(range(10)), trainer()
    fit(t, [scripted, cr.WeightAveraging(6)], epochs=6)
    assert same(t.model.state_dict(), scripted.weights[5])


@pytest.mark.parametrize("saved_at", [2, 8, 10])
def test_a_resumed_mean_is_that_of_a_whole_training(saved_at, tmp_path):
    whole = trainer()
    fit(whole, [cr.WeightAveraging(6)], epochs=12)
    part = trainer()
    fit(part, [cr.WeightAveraging(6)], epochs=saved_at)
    cr.save_trainer(part, tmp_path / "part.safetensors")
    resumed = cr.load_trainer(tmp_path / "part.safetensors")
    fit(resumed, [cr.WeightAveraging(6)], epochs=12 - saved_at)
    assert same(whole.model.state_dict(), resumed.model.state_dict())


def test_a_training_that_is_made_longer_begins_a_new_mean(tmp_path):
    part = trainer()
    fit(part, [cr.WeightAveraging(6)], epochs=8)
    cr.save_trainer(part, tmp_path / "part.safetensors")
    resumed, scripted = cr.load_trainer(tmp_path / "part.safetensors"), Scripted(range(12))
    resumed.resumed_callbacks = [("Scripted", {}), *resumed.resumed_callbacks]
    fit(resumed, [scripted, cr.WeightAveraging(7)], epochs=4)
    for name, array in resumed.model.state_dict().items():
        np.testing.assert_allclose(array, np.mean([w[name] for w in scripted.weights], axis=0), rtol=1e-6)


def test_averaging_needs_a_number_of_epochs():
    with pytest.raises(ArgumentError) as error:
        cr.WeightAveraging(-1)
    assert str(error.value) == "WeightAveraging got after=-1; it must be an integer ≥ 0. Half the epochs is usual."


# ---------------------------------------------------------------------------------------- the best epoch
def noisy(seed=0, samples=60):
    """Labels that have next to nothing to do with the inputs, so that a large network soon overfits."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(samples, 10)), rng.normal(size=samples)


def wide_trainer():
    cr.manual_seed(0)
    model = nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Linear(32, 1))
    return cr.Trainer(model, nn.MSELoss(), optim.Adam(model.parameters(), lr=0.01), backend="reference")


def fit_noise(t, callbacks, epochs=30):
    return t.fit(*noisy(), epochs=epochs, validation_data=noisy(1), callbacks=callbacks, progress=False)


@pytest.mark.parametrize("averaging", [[], [20]])
def test_a_run_that_overfits_goes_back_to_its_best_epoch(averaging):
    scripted, best, t = Scripted(range(30)), cr.BestEpoch(*noisy(1)), wide_trainer()
    history = fit_noise(t, [scripted, *map(cr.WeightAveraging, averaging), best])
    lowest = int(np.argmin(history["val_loss"])) + 1
    assert lowest < 15
    assert best.kept == best.best_epoch == lowest
    assert same(t.model.state_dict(), scripted.weights[lowest - 1])


def test_a_run_that_learns_keeps_its_weights_at_the_end():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 10))
    scripted, best, t = Scripted(range(30)), cr.BestEpoch(X[40:], X[40:, 0]), wide_trainer()
    history = t.fit(
        X[:40], X[:40, 0], epochs=20, validation_data=(X[40:], X[40:, 0]), callbacks=[scripted, best], progress=False
    )
    assert history["val_loss"][-1] < 0.5 * history["val_loss"][0]
    assert best.kept is None
    assert same(t.model.state_dict(), scripted.weights[-1])


def test_weights_say_which_held_out_samples_choose_the_epoch():
    def kept(weights):
        best = cr.BestEpoch(*noisy(1), sample_weight=weights)
        fit_noise(wide_trainer(), [best])
        return best.kept

    plain, t = cr.BestEpoch(*noisy(1)), wide_trainer()
    scripted = Scripted(range(30))
    fit_noise(t, [scripted, plain])
    assert kept(np.full(60, 3.0)) == plain.kept is not None
    now = wide_trainer()
    losses = []
    for weights in (scripted.weights[-1], scripted.weights[plain.kept - 1]):
        now.model.load_state_dict(weights)
        losses.append(now.losses(*noisy(1)))
    lost = losses[0] - losses[1]
    assert kept(np.arange(60) == lost.argmax()) == plain.kept
    assert kept(np.arange(60) == lost.argmin()) is None


@pytest.mark.parametrize("saved_at", [2, 25, pytest.param(30, marks=pytest.mark.slow)])
@pytest.mark.parametrize("averaging", [[], [20]])
def test_a_resumed_run_goes_back_to_the_same_epoch(saved_at, averaging, tmp_path):
    def callbacks():
        return [*map(cr.WeightAveraging, averaging), cr.BestEpoch(*noisy(1))]

    whole, part = wide_trainer(), wide_trainer()
    fit_noise(whole, callbacks(), 36)
    fit_noise(part, callbacks(), saved_at)
    cr.save_trainer(part, tmp_path / "part.safetensors")
    resumed = cr.load_trainer(tmp_path / "part.safetensors")
    fit_noise(resumed, callbacks(), 36 - saved_at)
    assert resumed.history["loss"] == whole.history["loss"]
    assert same(whole.model.state_dict(), resumed.model.state_dict())


def test_losses_of_single_samples():
    t = wide_trainer()
    X, y = noisy()
    np.testing.assert_allclose(t.losses(X, y), (t.predict(X)[:, 0] - y) ** 2, rtol=1e-5)
    assert t.losses(X, y).mean() == pytest.approx(t.evaluate(X, y)["loss"], rel=1e-6)
