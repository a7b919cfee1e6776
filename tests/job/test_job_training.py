"""From data to a run folder: what is written, what is not, and what comes back."""

import errno
import json
import math
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import chainrule as cr
from chainrule import optim
from chainrule.data import Table, TargetEncoder
from chainrule.errors import ArgumentError, DataError, GradientError, GraphError, ModelFileError, NonFiniteLoss, OutputError
from chainrule.job import Config, Predictor, PreparedData, train
from chainrule.job.building import resolved
from chainrule.job.config import activations, schedules
from chainrule.job.folders import RUN_FILES, run_folder
from chainrule.job.measures import baseline, measure, measure_text, worse_than_constant

FAST = {"epochs": 2, "hidden": (8,), "backend": "reference"}  # where it does not matter what trains


def table(n=40, seed=0):
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=n), np.where(rng.uniform(size=n) < 0.5, "low", "high")
    y = np.where(a + (b == "high") > 0.5, "yes", "no")
    return Table.from_columns({"a": a, "b": b, "number": 3 * a + 100, "answer": y}, "the table")


def problem(target="answer", **settings):
    config = Config(target=target, **(FAST | settings))
    return PreparedData.of(table(), replace(config, target=target)), config


def run(tmp_path, name="run", target="answer", **settings):
    with run_folder(tmp_path / name, "x") as folder:
        return train(*problem(target, **settings), folder)


# ---------------------------------------------------------------------------------------- a run
@pytest.mark.usefixtures("needs_png")
def test_a_run_folder_holds_everything(tmp_path):
    result = run(tmp_path)
    folder = tmp_path / "run"
    assert {path.name for path in folder.iterdir()} == set(RUN_FILES)
    assert json.loads((folder / "metrics.json").read_text()) == {"held_out": result.metrics, "baseline": result.baseline}
    assert (folder / "history.csv").read_text() == result.history.to_csv()
    assert (folder / "learning-curves.png").read_bytes().startswith(b"\x89PNG")
    assert Config.from_toml(folder / "config.toml") == result.config


def test_without_resvg_there_is_no_picture_and_no_failure(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "resvg_py", None)
    run(tmp_path)
    assert {path.name for path in (tmp_path / "run").iterdir()} == {*RUN_FILES} - {"learning-curves.png"}


@pytest.mark.usefixtures("in_short")
def test_the_same_configuration_gives_the_same_model_bit_for_bit(tmp_path):
    first = run(tmp_path, "a", dropout=0.3, backend="native")
    again = Config.from_toml(tmp_path / "a" / "config.toml")
    with run_folder(tmp_path / "b", "x") as folder:
        train(PreparedData.of(table(), replace(again, target="answer")), again, folder)
    one, two = (tmp_path / name / "model.safetensors" for name in "ab")
    assert one.read_bytes() == two.read_bytes()
    third = run(tmp_path, "c", dropout=0.3, seed=1, backend="native")
    assert not np.array_equal(first.predictor.model.state_dict()["0.weight"], third.predictor.model.state_dict()["0.weight"])


@pytest.mark.usefixtures("in_short")
def test_the_saved_predictor_answers_as_the_trained_one(tmp_path):
    result = run(tmp_path, backend="native")
    loaded = Predictor.load(tmp_path / "run")
    ours, theirs = result.predictor.predict(table(seed=1)), loaded.predict(table(seed=1))
    np.testing.assert_array_equal(ours.values, theirs.values)
    np.testing.assert_array_equal(ours.probabilities, theirs.probabilities)
    assert theirs.classes == ("no", "yes")
    np.testing.assert_allclose(theirs.probabilities.sum(1), 1.0)
    assert loaded.evaluate(table(seed=1)) == result.predictor.evaluate(table(seed=1))


@pytest.mark.usefixtures("in_short")
def test_probabilities_are_computed_a_few_rows_at_a_time(tmp_path, monkeypatch):
    predictor = run(tmp_path).predictor
    outputs = np.random.default_rng(0).normal(size=(7, 1)).astype(np.float32)
    whole = predictor.probabilities(outputs)
    monkeypatch.setattr("chainrule.job.measures._NUMBERS_AT_ONCE", 5)
    np.testing.assert_array_equal(predictor.probabilities(outputs), whole)
    np.testing.assert_allclose(whole[:, 1], 1 / (1 + np.exp(-outputs[:, 0].astype(np.float64))), rtol=1e-12)


@pytest.mark.parametrize("optimizer", optim.commands())
def test_every_optimiser_trains(optimizer):
    result = train(*problem(optimizer=optimizer, epochs=1))
    assert len(result.history) == 1


@pytest.mark.parametrize("schedule", schedules())
def test_every_schedule_trains(schedule):
    rates = train(*problem(schedule=schedule, epochs=12, learning_rate=0.01)).history["lr"]
    assert all(0 <= rate <= 0.01 for rate in rates)
    assert (len(set(rates)) == 1) == (schedule in ("average", "constant", "plateau"))


@pytest.mark.parametrize(
    "settings, schedule",
    [
        ({"epochs": 20}, "average"),
        ({"epochs": 19}, "cosine"),
        ({"epochs": 20, "patience": 3}, "cosine"),
        ({"epochs": None}, "average"),
    ],
)
def test_weights_are_averaged_where_there_are_enough_epochs_and_none_is_chosen(settings, schedule):
    found, config = problem(**settings)
    assert resolved(config, found).schedule == schedule


@pytest.mark.usefixtures("in_short")
@pytest.mark.parametrize("settings, averaged", [({"epochs": 20}, True), ({"epochs": 19}, False)])
def test_the_report_says_that_weights_were_averaged(settings, averaged, tmp_path):
    config = Config(target="answer", **(FAST | settings))
    with run_folder(tmp_path / "run", "x") as folder:  # with too few rows to hold any out, so that none can choose an epoch
        result = train(PreparedData.of(table(19), replace(config, target="answer")), config, folder)
    assert result.averaged == averaged
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert ("weights were averaged at the end" in page) == averaged
    assert ("对后半程各轮的权重取了平均" in page) == averaged


@pytest.mark.parametrize("activation", activations())
def test_every_activation_trains(activation):
    assert len(train(*problem(activation=activation, epochs=1)).history) == 1


@pytest.mark.parametrize("hidden, dropout, layers", [((), 0.0, 1), ((4,), 0.0, 3), ((4, 3), 0.5, 7)])
def test_the_network_has_the_layers_asked_for(hidden, dropout, layers):
    model = train(*problem(hidden=hidden, dropout=dropout, epochs=1)).predictor.model
    assert len(list(model)) == layers


@pytest.mark.parametrize("rows, held_out", [(19, False), (20, True)])
def test_few_rows_are_not_held_out_and_have_no_validation_columns(rows, held_out):
    config = Config(**FAST, patience=5, schedule="plateau")
    found = PreparedData.of(table(rows), replace(config, target="number"))
    assert found.held_out == held_out
    columns = train(found, config).history.columns
    assert ("val_loss" in columns) == held_out


def test_many_small_classes_leave_nothing_to_hold_out():
    names = [f"c{k}" for k in range(12)] * 2
    words = Table.from_columns({"x": np.arange(24.0) ** 0.5, "y": names})
    found = PreparedData.of(words, Config(target="y"))
    assert not found.held_out
    assert len(found.X_held) == 24
    train(found, Config(**FAST))


def test_a_loss_of_another_task():
    with pytest.raises(ArgumentError) as error:
        train(*problem(loss="mse"))
    assert str(error.value) == (
        "the loss 'mse' was chosen for 'answer'; its task is binary, which has the losses bce. "
        "Choose one of them, or another --task."
    )


@pytest.mark.parametrize(
    "source, settings, text",
    [
        (
            "iris",
            {"delimiter": ";"},
            "the setting delimiter was given; iris is a built-in data set, to which it does not apply",
        ),
        ("p.npz", {"delimiter": ";"}, "the setting delimiter was given"),
        ("p.npz", {"exclude": ("a",)}, "the setting exclude was given"),
        ("p.npz", {"task": "regression"}, "the setting task was given"),
    ],
)
def test_settings_that_would_do_nothing(source, settings, text, tmp_path, monkeypatch):
    pytest.importorskip("sklearn", reason="holds iris")
    monkeypatch.chdir(tmp_path)
    np.savez("p.npz", X=np.zeros((4, 3, 3), np.uint8), y=np.array([0, 1, 0, 1]))
    with pytest.raises(ArgumentError) as error:
        PreparedData.load(source, Config(**settings))
    assert text in str(error.value)


# ---------------------------------------------------------------------------------------- measures
def test_measures_of_classes_by_hand():
    target = TargetEncoder("t", "multiclass", ("a", "b", "c"), 0.0, 1.0, "categorical")
    outputs = np.log([[0.5, 0.25, 0.25], [0.1, 0.6, 0.3], [0.8, 0.1, 0.1], [0.2, 0.2, 0.6]])
    y = np.array([0, 1, 1, 2])
    assert measure(target, outputs, y) == pytest.approx(
        {"accuracy": 0.75, "balanced_accuracy": (1 + 0.5 + 1) / 3, "log_loss": -np.log([0.5, 0.6, 0.1, 0.6]).mean()}
    )
    # Of 3 training rows one is of class a, two are of b, none of c: (1 + 1, 2 + 1, 0 + 1) / (3 + 3).
    frequencies = np.log([2 / 6, 3 / 6, 3 / 6, 1 / 6])
    assert baseline(target, np.array([1, 1, 0]), y) == pytest.approx(
        {"accuracy": 0.5, "balanced_accuracy": 1 / 3, "log_loss": -frequencies.mean()}
    )


def test_measures_of_numbers_by_hand():
    target = TargetEncoder("t", "regression", (), 10.0, 2.0, "numeric")
    outputs, y = np.array([[0.0], [1.0]]), np.array([1.0, 1.0])  # 10 and 12 where 12 and 12 are right
    assert measure(target, outputs, y) == {"mae": 1.0, "rmse": 2**0.5}
    assert measure(target, outputs, np.array([1.0, 0.0]))["r2"] == -3.0
    # Training targets 10, 10, 16 have the median 10 and the mean 12; the truth is 11 and 12.
    assert baseline(target, np.array([0.0, 0.0, 3.0]), np.array([0.5, 1.0])) == pytest.approx(
        {"mae": 1.5, "rmse": 0.5**0.5, "r2": -1.0}
    )


@pytest.mark.parametrize("std", [1e300, 1e-300])
def test_measures_of_very_large_and_very_small_numbers_are_right(std):
    target = TargetEncoder("y", "regression", (), 0.0, std, "numeric")
    y = np.array([1.0, 3.0], np.float32)
    found = measure(target, np.array([[2.0], [3.0]], np.float32), y)
    assert found == pytest.approx({"mae": 0.5 * std, "rmse": 0.5**0.5 * std, "r2": 0.5}, rel=1e-12)
    assert baseline(target, y, y) == pytest.approx({"mae": std, "rmse": std, "r2": 0.0}, rel=1e-12)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0.0000"), (0.99949, "0.9995"), (12345.6789, "12345.6789"), (2.5e-299, "2.5e-299"), (-1.1747e301, "-1.175e+301")],
)
def test_measures_are_written_so_that_they_can_be_read(value, text):
    assert measure_text(value) == text


def test_measures_in_which_a_constant_is_better():
    constant = {"accuracy": 0.9, "balanced_accuracy": 0.5, "log_loss": 0.3, "mae": 1.0, "rmse": 2.0, "r2": 0.0}
    assert worse_than_constant(constant, constant) == []
    better = {"accuracy": 0.91, "balanced_accuracy": 0.6, "log_loss": 0.2, "mae": 0.9, "rmse": 1.9, "r2": 0.1}
    assert worse_than_constant(better, constant) == []
    assert worse_than_constant(constant, better) == list(constant)
    assert worse_than_constant(dict.fromkeys(constant, math.nan), constant) == list(constant)


def test_classes_of_numbers_cannot_be_weighted(tmp_path):
    with pytest.raises(ArgumentError, match="class_weight='balanced' was given, and 'number' holds numbers"):
        run(tmp_path, target="number", class_weight="balanced")


def test_balanced_weights_find_a_rare_class():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 2))
    rare = 2 * X[:, 0] + rng.normal(size=400) > 3.2
    data = Table.from_columns({"a": X[:, 0], "y": np.where(rare, "yes", "no")}, "the table")
    configs = [Config(target="y", hidden=(8,), class_weight=weight) for weight in (None, "balanced")]
    plain, weighted = (train(PreparedData.of(data, replace(config, target="y")), config).metrics for config in configs)
    assert weighted["balanced_accuracy"] > plain["balanced_accuracy"] + 0.1


def test_noise_is_not_learnt_in_silence(tmp_path):
    """A run whose held-out loss rises goes back to its best epoch, and says what is wrong in words of the command line."""
    rng = np.random.default_rng(1)
    columns = {f"c{k}": rng.normal(size=300) for k in range(8)}
    data = Table.from_columns({**columns, "y": np.where(rng.normal(size=300) > 1.5, "yes", "no")}, "the table")
    config = Config(target="y")
    with run_folder(tmp_path / "run", "x") as folder:
        result = train(PreparedData.of(data, replace(config, target="y")), config, folder)
    assert result.best_epoch == int(np.argmin(result.history["val_loss"])) + 1
    assert not result.averaged
    assert result.diagnosis is not None
    assert "--" in " ".join(finding.change for finding in result.diagnosis)
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert f"those of epoch {result.best_epoch}" in page
    assert ("A constant answer beats" in page) == bool(worse_than_constant(result.metrics, result.baseline))


@pytest.mark.parametrize("kind", [ArgumentError, GradientError, GraphError])
def test_a_network_that_cannot_be_diagnosed_is_saved_and_the_reason_is_told(tmp_path, monkeypatch, kind):
    """Only what `diagnose` is documented to raise is a reason; anything else is a defect, shown after the model is saved."""

    def refused(*args, **kwargs):
        raise kind("planted <reason>")

    monkeypatch.setattr("chainrule.job.writing.diagnose_run", refused)
    with run_folder(tmp_path / "run", "x") as folder:
        if kind is GraphError:
            with pytest.raises(GraphError, match="planted"):
                train(*problem(epochs=1), folder)
        else:
            result = train(*problem(epochs=1), folder)
            assert result.diagnosis is None
            assert isinstance(result.not_diagnosed, kind)
            assert "planted &lt;reason&gt;" in (folder / "report.html").read_text(encoding="utf-8")
    Predictor.load(tmp_path / "run")


# ---------------------------------------------------------------------------------------- failures
def test_data_that_diverges_at_once_leaves_no_folder(tmp_path):
    with pytest.raises(NonFiniteLoss, match=r"in epoch 1, step \d: in layer .* the model keeps the values that it had before"):
        run(tmp_path, "new/run", optimizer="sgd", learning_rate=1e18, schedule="constant", batch_size=4)
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("in_short")
def test_what_was_learnt_before_the_loss_became_nan_is_kept(tmp_path, monkeypatch):
    class Spoil(cr.train.Callback):
        def on_epoch(self, trainer, row):
            if row["epoch"] == 2:
                trainer.model[0].weight.assign(np.full_like(trainer.model[0].weight.numpy(), 1e38))

    with pytest.raises(NonFiniteLoss) as error, run_folder(tmp_path / "run", "x") as folder:
        train(*problem(epochs=5), folder, callbacks=[Spoil()])
    assert str(error.value).endswith(f"The network as it was before that is saved in {tmp_path / 'run'}.")
    assert len((tmp_path / "run" / "history.csv").read_text().splitlines()) == 3
    Predictor.load(tmp_path / "run")


def test_a_failure_takes_away_only_what_the_run_wrote(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(KeyboardInterrupt), run_folder(tmp_path, "x") as folder:
        (folder / "history.csv").write_text("epoch\n")
        raise KeyboardInterrupt
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.usefixtures("in_short")
def test_a_failure_after_the_model_was_saved_keeps_it(tmp_path, monkeypatch):
    def full(self):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Config, "to_toml", full)
    with pytest.raises(OSError, match="No space left"):
        run(tmp_path)
    Predictor.load(tmp_path / "run")


@pytest.mark.parametrize("name", RUN_FILES)
def test_an_earlier_run_is_never_overwritten(name, tmp_path):
    (tmp_path / name).write_text("earlier")
    with pytest.raises(OutputError) as error, run_folder(tmp_path, "x"):
        pass
    assert str(error.value) == (
        f"the folder {tmp_path} holds {name} already; a run has a folder of its own. Choose another --out."
    )
    assert (tmp_path / name).read_text() == "earlier"


def test_runs_are_numbered(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for _ in range(3):
        with run_folder(None, "data/titanic.csv.gz"):
            pass
    assert sorted(path.name for path in Path("runs").iterdir()) == ["titanic-1", "titanic-2", "titanic-3"]
    (tmp_path / "runs" / "titanic-2").rmdir()
    with pytest.raises(ValueError, match="bad"), run_folder(None, "titanic.csv"):
        raise ValueError("bad")
    assert sorted(path.name for path in Path("runs").iterdir()) == ["titanic-1", "titanic-3"]


def test_a_failed_first_run_leaves_an_empty_place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="bad"), run_folder(None, "x.csv"):
        raise ValueError("bad")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("out", ["file", "file/below"])
def test_an_output_folder_that_cannot_be(out, tmp_path):
    (tmp_path / "file").touch()
    text = r"the output folder .* cannot be used \(.*\); it must be a folder that you may"
    with pytest.raises(OutputError, match=text), run_folder(tmp_path / out, "x"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


# ---------------------------------------------------------------------------------------- predictors and data that do not fit
def test_a_model_without_preprocessing(tmp_path):
    cr.save_model(cr.nn.Linear(1, 1), tmp_path / "m.safetensors")
    with pytest.raises(ModelFileError, match="holds a network without preprocessing; `chainrule train` saves both"):
        Predictor.load(tmp_path / "m.safetensors")


@pytest.mark.parametrize("features", [None, 3, {}, {"kind": "sound"}, {"kind": "table", "encoder": 3}, {"kind": "pixels"}])
def test_preprocessing_that_somebody_made_up(features, tmp_path):
    extras = {"features": features, "target": {}, "facts": {}}
    cr.save_model(cr.nn.Linear(1, 1), tmp_path / "m.safetensors", extras)
    with pytest.raises(ModelFileError):
        Predictor.load(tmp_path / "m.safetensors")


def test_a_predictor_without_facts_can_be_saved_and_loaded(tmp_path):
    found = train(*problem()).predictor
    Predictor(found.model, found.features, found.target, {}).save(tmp_path / "m.safetensors")
    assert Predictor.load(tmp_path / "m.safetensors").facts == {}


def test_evaluating_without_any_answer():
    predictor = train(*problem()).predictor
    rows = Table.from_columns({"a": [1.0, 2.0], "b": ["low", "high"], "number": [1.0, 2.0], "answer": np.array([None, None])})
    with pytest.raises(DataError, match=r"the target 'answer' has no values in the table; answers are compared with it"):
        predictor.evaluate(rows)


def test_rows_without_an_answer_are_left_out():
    predictor = train(*problem()).predictor
    whole = table(30, seed=2)
    answers = np.array([whole["answer"].categories[k] for k in whole["answer"].values], dtype=object)
    answers[10:] = None
    words = np.array([whole["b"].categories[k] for k in whole["b"].values])
    part = {"a": whole["a"].values, "b": words, "number": whole["number"].values}
    some = Table.from_columns({**part, "answer": answers})
    first = Table.from_columns({**{k: v[:10] for k, v in part.items()}, "answer": answers[:10]})
    assert predictor.evaluate(some) == predictor.evaluate(first)
