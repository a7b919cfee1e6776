"""Diagnosing around a fit, and networks that have been trained."""

import json
import subprocess
import sys

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.diagnosis import Problem, diagnose_problem
from chainrule.diagnosis.measuring import Measurements
from chainrule.errors import NonFiniteLoss
from chainrule.train import History


def blobs(n=200, classes=2, seed=0):
    rng = np.random.default_rng(seed)
    y = np.arange(n) % classes
    return (3 * np.eye(classes, 4)[y] + 0.5 * rng.normal(size=(n, 4))).astype(np.float32), y


def trainer(*hidden, lr=1e-2, activation=nn.ReLU, classes=2, **settings):
    cr.manual_seed(0)
    sizes = (4, *hidden)
    layers = [part for k in range(len(hidden)) for part in (nn.Linear(sizes[k], sizes[k + 1]), activation())]
    model = nn.Sequential(*layers, nn.Linear(sizes[-1], classes))
    return cr.Trainer(
        model, nn.CrossEntropyLoss(), optim.Adam(model.parameters(), lr=lr), backend="reference", diagnose=True, **settings
    )


# ---------------------------------------------------------------------------------------- around a fit
def test_findings_are_kept_and_said_before_and_after(capsys):
    X, y = blobs()
    found = trainer(16)
    assert found.diagnosis is None
    found.fit(X * np.array([1, 1, 1, 1000], np.float32), y, epochs=3)
    assert sorted(found.diagnoses) == [0, 3]
    assert found.diagnosis is found.diagnoses[3]
    assert [d[0].kind for d in found.diagnoses.values()] == ["unscaled-inputs"] * 2
    said = capsys.readouterr().err
    assert "diagnosis before training (" in said
    assert "\n  unscaled-inputs: Feature 3 has the size " in said
    assert said.index("diagnosis before") < said.index("epoch 1/3") < said.index("diagnosis after epoch 3 (")
    assert "as before: unscaled-inputs" in said
    assert said.count("Standardise every feature") == 1


def test_a_network_that_learns_gets_one_line(capsys):
    X, y = blobs()
    found = trainer(16)
    found.fit(X, y, epochs=5)
    assert found.diagnosis.healthy
    assert capsys.readouterr().err.rstrip().endswith("s): nothing found")
    found.fit(X, y, epochs=2, progress=False)
    assert capsys.readouterr().err == ""
    assert sorted(found.diagnoses) == [0, 5, 7]


def test_training_is_the_same_with_and_without():
    X, y = blobs()
    runs = []
    for diagnose in (False, True):
        found = trainer(16)
        found.diagnose = diagnose
        found.fit(X, y, epochs=3, progress=False, seed=4)
        runs.append(found)
    a, b = runs
    assert a.diagnosis is None
    assert a.history.step_loss == b.history.step_loss
    for name, array in a.model.state_dict().items():
        np.testing.assert_array_equal(array, b.model.state_dict()[name])
    np.testing.assert_array_equal(a.random_state, b.random_state)


def test_a_run_that_breaks_down_is_diagnosed_too(capsys):
    X, y = blobs()
    found = trainer(16, lr=1e25)
    with pytest.raises(NonFiniteLoss):
        found.fit(X, y, epochs=5)
    assert sorted(found.diagnoses) == [0, 1]
    assert not found.diagnosis.healthy
    said = capsys.readouterr().err
    assert said.index("diagnosis before training (") < said.index("diagnosis before the step of epoch 1 that failed (")


def test_it_is_loaded_only_where_asked_for():
    script = "import sys, chainrule; assert not [n for n in sys.modules if n.startswith('chainrule.diagnosis')]"
    subprocess.run([sys.executable, "-c", script], check=True)


# ---------------------------------------------------------------------------------------- trained networks
def problem_after(found, X, y, epochs=40, **settings):
    found.fit(X, y, epochs=epochs, progress=False, **settings)
    return Problem(found.model, found.loss, X, y, found.optimizer, history=found.history)


def test_one_direction_is_enough_for_two_classes_that_have_been_learnt():
    X = np.random.default_rng(0).normal(size=(200, 4)).astype(np.float32)
    y = (X[:, 0] > 0).astype(int)
    found = trainer(32, 32, activation=nn.Tanh)
    found.diagnose = False
    problem = problem_after(found, X, y, epochs=100)
    collapsed = Measurements(problem, 0).layers[1]
    assert collapsed.rank < 1.1 and collapsed.source_rank > 1.5, "the case must look like a collapse"
    assert diagnose_problem(problem).healthy


def test_a_collapse_that_costs_something_is_still_named():
    X, y = blobs(classes=4)
    found = trainer(16, 16, classes=4)
    found.diagnose = False
    problem = problem_after(found, X, y, epochs=10)
    rng = np.random.default_rng(0)
    problem.model[2].weight.assign(np.outer(rng.normal(size=16), rng.normal(size=16)) / 4)
    problem.model[2].bias.assign(np.zeros(16))
    assert diagnose_problem(problem)[0].kind == "rank-collapse"


def test_rates_are_those_of_the_run_not_of_the_end_of_its_schedule():
    X, y = blobs()
    found = trainer(16)
    found.diagnose = False
    problem = problem_after(found, X, y, 10, callbacks=[cr.LearningRate(optim.CosineAnnealingLR(T_max=10))])
    assert problem.optimizer.lr < 1e-3
    assert problem.rate == pytest.approx(1e-2)
    measured = Measurements(problem, 0)
    assert measured.trials.rate == problem.rate
    assert measured.layers[0].update > 1e-4


@pytest.mark.parametrize(
    "held, restored, kinds",
    [
        ([0.5, 0.4, 0.3, 0.31, 0.30, 0.9], False, []),  # one bad epoch
        ([0.5, 0.3, 0.5, 0.7, 0.8, 0.9], False, ["overfitting"]),
        ([0.5, 0.3, 0.5, 0.7, 0.8, 0.9], True, []),  # early stopping went back to the best weights
    ],
)
def test_overfitting_needs_more_than_one_bad_epoch(held, restored, kinds):
    X, y = blobs()
    found = trainer(16)
    found.diagnose = False
    found.fit(X, y, epochs=20, progress=False)
    rows = [{"epoch": k + 1, "loss": 0.5 / (k + 1), "val_loss": v, "lr": 0.01} for k, v in enumerate(held)]
    validation = (X, y) if restored else None
    problem = Problem(found.model, found.loss, X, y, found.optimizer, validation, History(epochs=rows))
    assert [f.kind for f in diagnose_problem(problem)] == kinds


def small_and_overfitted():
    """Few noisy samples of many features, learnt by heart."""
    rng = np.random.default_rng(1)
    X = rng.normal(size=(60, 30)).astype(np.float32)
    y = (X[:, 0] + 1.5 * rng.normal(size=60) > 0).astype(int)
    cr.manual_seed(0)
    model = nn.Sequential(nn.Linear(30, 64), nn.ReLU(), nn.Linear(64, 2))
    found = cr.Trainer(model, nn.CrossEntropyLoss(), optim.Adam(model.parameters(), lr=1e-2), backend="reference")
    found.fit(X[:48], y[:48], epochs=60, progress=False, validation_data=(X[48:], y[48:]))
    return found, X, y


def test_labels_that_any_network_could_learn_by_heart_prove_nothing():
    found, X, y = small_and_overfitted()
    problem = Problem(found.model, found.loss, X[:48], y[:48], found.optimizer, (X[48:], y[48:]), found.history)
    assert [f.kind for f in diagnose_problem(problem)] == ["overfitting"]


def test_an_overfitted_network_is_not_taken_for_one_on_other_data():
    found, X, y = small_and_overfitted()
    everything = Problem(found.model, found.loss, X[40:], y[40:], found.optimizer, history=found.history)
    assert Measurements(everything, 0).trials.start > 1.2 * np.log(2)
    assert "other-data" not in [f.kind for f in diagnose_problem(everything)]


def test_features_are_called_by_name():
    X, y = blobs()
    found = trainer(8)
    X[:, 2] = 7.0
    problem = Problem(found.model, found.loss, X, y, feature_names=["a", "b", "age", "d"])
    finding = diagnose_problem(problem)[0]
    assert "feature “age” is always 7" in finding.what
    assert json.dumps(finding.to_dict())
