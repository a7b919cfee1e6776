"""The first NaN or infinity is traced to the node that makes it."""

import json

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.capture import capture
from chainrule.diagnosis import Problem, first_breakdown, first_non_finite
from chainrule.errors import ArgumentError, NonFiniteLoss
from chainrule.train import Trainer


def graph_of(function, *values):
    arrays = [np.asarray(v, np.float64) for v in values]
    names = ["x", "y", "z"]
    found = capture(function, [(a.shape, a.dtype, n) for a, n in zip(arrays, names, strict=False)])
    return found.graph, arrays


@pytest.mark.parametrize(
    "function, values, op, value, place",
    [
        (lambda x: cr.exp(-cr.log(x)) + 1.0, [[1.0, 0.0, 3.0]], "log", "-inf", (1,)),
        (lambda x, y: (x + 1.0) / y, [[1.0, 2.0], [1.0, 0.0]], "divide", "inf", (1,)),
        (lambda x: cr.sqrt(x - 2.0) * 0.0, [[[4.0, 1.0]]], "sqrt", "nan", (0, 1)),
        (lambda x: cr.exp(x * 100.0).sum(), [[1.0, 9.0]], "exp", "inf", (1,)),
    ],
    ids=["log", "divide", "sqrt", "exp"],
)
def test_the_node_is_named_with_what_it_read(function, values, op, value, place):
    graph, arrays = graph_of(function, *values)
    found = first_non_finite(graph, arrays)
    assert (found.op, found.value, found.place) == (op, value, place)
    assert all(np.isfinite([r.low, r.high]).all() for r in found.inputs)
    assert value in str(found) and value in found.text("zh")
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["op"] == op


def test_ranges_and_formula_are_those_of_the_inputs():
    graph, arrays = graph_of(lambda x, y: x / y, [1.0, 2.0], [0.0, 4.0])
    found = first_non_finite(graph, arrays)
    assert found.formula == "x / y"
    assert [(r.name, r.low, r.high) for r in found.inputs] == [("x", 1.0, 2.0), ("y", 0.0, 4.0)]
    assert str(found) == "x / y gives inf at (0,), where x = 1, y = 0 (division by 0)"


def test_a_leaf_that_is_handed_in_broken_is_named():
    graph, arrays = graph_of(lambda x, y: x + y, [1.0], [np.nan])
    found = first_non_finite(graph, arrays)
    assert (found.op, found.node.name) == ("input", "y")
    assert str(found) == "y float64[1] is handed in with nan at (0,)"


def test_a_finite_graph_gives_none():
    graph, arrays = graph_of(cr.log, [1.0, 2.0])
    assert first_non_finite(graph, arrays) is None


def breaking():
    cr.manual_seed(0)
    X = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
    return Problem(model, nn.MSELoss(), X, X[:, :1] * 2, optim.SGD(model.parameters(), lr=1e8), batch_size=16)


def test_a_run_is_replayed_to_the_step_in_which_the_trainer_stops():
    problem = breaking()
    before = problem.model.state_dict()
    found = first_breakdown(problem, seed=3)
    assert found is not None
    assert all((a == before[name]).all() for name, a in problem.model.state_dict().items())
    trainer = Trainer(problem.model, problem.loss, problem.optimizer)
    with pytest.raises(NonFiniteLoss, match="in epoch"):
        trainer.fit(problem.X, problem.y, epochs=10, batch_size=16, seed=3, progress=False)
    assert found.epoch == 1
    assert all(np.isfinite([r.low, r.high]).all() for r in found.cause.inputs)
    assert json.dumps(found.to_dict(), allow_nan=False)


def test_a_run_that_stays_finite_gives_none():
    problem = breaking()
    problem.optimizer.lr = 0.01
    assert first_breakdown(problem, epochs=2) is None


def test_a_replay_needs_an_optimiser():
    problem = breaking()
    with pytest.raises(ArgumentError, match="without an optimiser"):
        first_breakdown(Problem(problem.model, problem.loss, problem.X, problem.y))
