"""Training 10 epochs equals training 5, saving, loading in a new process and training 5 more, bit for bit."""

import subprocess
import sys

import numpy as np
import pytest
import resumed_training
from resumed_training import X, go_on, new_trainer, y

import chainrule as cr
from chainrule import nn, optim


def assert_same(a, b):
    for name, array in a.model.state_dict().items():
        np.testing.assert_array_equal(array, b.model.state_dict()[name], err_msg=name)
    other = b.optimizer.state_dict()
    for name, array in a.optimizer.state_dict().items():
        assert array.tobytes() == other[name].tobytes(), name
    np.testing.assert_array_equal(a.random_state, b.random_state)
    assert a.history.step_loss == b.history.step_loss
    drop = [[{k: v for k, v in row.items() if k != "seconds"} for row in t.history.epochs] for t in (a, b)]
    assert drop[0] == drop[1]
    assert (a.epoch, a.history.stopped, a.base_rates) == (b.epoch, b.history.stopped, b.base_rates)
    for (name, state), (other_name, other_state) in zip(a.callback_states(), b.callback_states(), strict=True):
        assert name == other_name
        assert state.keys() == other_state.keys()
        for key, value in state.items():
            np.testing.assert_array_equal(value, other_state[key], err_msg=f"{name} {key}")


# What a rule keeps is the same on every backend.
CASES = [*((name, "plateau", "reference") for name in optim.OPTIMIZERS), ("SGD", "cosine", "auto"), ("AdamW", "cosine", "auto")]


@pytest.fixture(scope="module")
def resumed(tmp_path_factory):
    """The cases, trained for five epochs here and for five more in one new process."""
    folder, arguments = tmp_path_factory.mktemp("resumed"), []
    for number, (name, kind, backend) in enumerate(CASES):
        half, end = (folder / f"{number}-{part}.safetensors" for part in ("half", "end"))
        cr.save_trainer(go_on(new_trainer(name, backend), 5, kind), half)
        arguments += [half, end, kind]
    subprocess.run([sys.executable, "-W", "error", resumed_training.__file__, *arguments], check=True, timeout=500)
    return dict(zip(CASES, map(cr.load_trainer, arguments[1::3]), strict=True))


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_five_epochs_and_five_in_a_new_process_are_ten(case, resumed):
    name, kind, backend = case
    whole = go_on(new_trainer(name, backend), 10, kind)
    assert len(whole.history) == 10, "early stopping must not hide the second half"
    assert len(set(whole.history["lr"])) > 1, "the schedule must do something"
    assert_same(whole, resumed[case])


def test_a_checkpoint_within_training_resumes_exactly_wherever_it_stands_among_the_callbacks(tmp_path):
    path = tmp_path / "at-{epoch}.safetensors"
    whole = go_on(new_trainer("Adam"), 10, "plateau", extra=[cr.Checkpoint(path, every=3)])
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"at-{n}.safetensors" for n in (3, 6, 9)]
    for epoch in (3, 6, 9):
        resumed = cr.load_trainer(tmp_path / f"at-{epoch}.safetensors")
        assert len(resumed.history) == epoch
        go_on(resumed, 10 - epoch, "plateau", extra=[cr.Checkpoint(path, every=3)])
        assert_same(whole, resumed)


def test_a_checkpoint_with_an_early_stop_after_it_stops_at_the_same_epoch(tmp_path):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(30, 4)), rng.normal(size=30)

    def trainer():
        cr.manual_seed(1)
        model = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 1))
        return cr.Trainer(model, nn.MSELoss(), optim.Adam(model.parameters(), lr=0.003))

    def go(t, epochs):
        t.fit(X[:20], y[:20], epochs=epochs, validation_data=(X[20:], y[20:]), progress=False, callbacks=[cr.EarlyStopping(3)])
        return t

    whole = go(trainer(), 40)
    stopped = len(whole.history)
    assert 5 < stopped < 40
    assert "did not improve for 3 epochs" in whole.history.stopped
    cr.save_trainer(go(trainer(), stopped - 2), tmp_path / "half.safetensors")
    resumed = go(cr.load_trainer(tmp_path / "half.safetensors"), 42 - stopped)
    assert_same(whole, resumed)


def test_a_loaded_trainer_saves_what_it_was_loaded_from(tmp_path):
    cr.save_trainer(go_on(new_trainer("Adam"), 3, "plateau"), tmp_path / "a.safetensors")
    cr.save_trainer(cr.load_trainer(tmp_path / "a.safetensors"), tmp_path / "b.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


def test_loading_does_not_touch_the_random_stream(tmp_path):
    cr.save_trainer(go_on(new_trainer("SGD"), 1, "cosine"), tmp_path / "a.safetensors")
    cr.manual_seed(4)
    expected = cr.random.uniform((3,)).numpy()
    cr.manual_seed(4)
    cr.load_trainer(tmp_path / "a.safetensors")
    cr.load_model(tmp_path / "a.safetensors")
    np.testing.assert_array_equal(cr.random.uniform((3,)).numpy(), expected)


def test_other_callbacks_than_those_of_the_checkpoint_are_refused(tmp_path):
    cr.save_trainer(go_on(new_trainer("SGD"), 1, "cosine"), tmp_path / "a.safetensors")
    trainer = cr.load_trainer(tmp_path / "a.safetensors")
    with pytest.raises(cr.errors.ArgumentError) as error:
        trainer.fit(X, y, epochs=1, progress=False)
    assert str(error.value) == (
        "fit got the callbacks none; the checkpoint was written with LearningRate, EarlyStopping. "
        "Give the same ones, or set trainer.resumed_callbacks = [] to begin with new ones."
    )
    trainer.resumed_callbacks = []
    assert len(trainer.fit(X, y, epochs=1, progress=False)) == 2


def test_a_checkpoint_is_a_model_file_too(tmp_path):
    trainer = go_on(new_trainer("Adam"), 4, "plateau")
    cr.save_trainer(trainer, tmp_path / "a.safetensors", {"note": "best"})
    model, extras = cr.load_model(tmp_path / "a.safetensors")
    assert extras == {"note": "best"}
    assert not model.training
    np.testing.assert_allclose(model(X.astype("float32")).numpy(), trainer.predict(X), rtol=1e-5, atol=1e-6)


def test_a_metric_of_ones_own_is_handed_in_again(tmp_path):
    from chainrule.train import Metric

    worst = Metric("worst", lambda output, target, threshold: abs(output - target).max(axis=1))
    model = nn.Sequential(nn.Linear(1, 1))
    trainer = cr.Trainer(model, nn.MSELoss(), optim.SGD(model.parameters()), metrics=[worst, "mae"])
    trainer.fit([[1.0]], [2.0], epochs=1, progress=False)
    cr.save_trainer(trainer, tmp_path / "a.safetensors")
    with pytest.raises(cr.errors.ModelFileError, match="the metric 'worst' was asked for"):
        cr.load_trainer(tmp_path / "a.safetensors")
    assert cr.load_trainer(tmp_path / "a.safetensors", [worst]).metrics == trainer.metrics


def test_a_model_file_cannot_be_trained_on(tmp_path):
    cr.save_model(nn.Linear(1, 1), tmp_path / "m.safetensors")
    with pytest.raises(cr.errors.ModelFileError, match="holds a model only; to train on, the moments"):
        cr.load_trainer(tmp_path / "m.safetensors")


def test_frozen_parameters_stay_frozen(tmp_path):
    X = np.random.default_rng(0).normal(size=(20, 3))
    y = X[:, 0]

    def trainer():
        cr.manual_seed(3)
        model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
        return cr.Trainer(model, nn.MSELoss(), optim.Adam(model.parameters(), lr=0.01))

    whole, first = trainer(), trainer()
    for t in (whole, first):
        t.model[0].weight.requires_grad = False
        t.fit(X, y, epochs=2, progress=False)
    cr.save_trainer(first, tmp_path / "half.safetensors")
    second = cr.load_trainer(tmp_path / "half.safetensors")
    assert [name for name, p in second.model.named_parameters() if not p.requires_grad] == ["0.weight"]
    for t in (whole, second):
        t.fit(X, y, epochs=2, progress=False)
    assert_same(whole, second)
