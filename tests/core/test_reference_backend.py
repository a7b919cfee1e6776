"""Programs of every backend: state, many steps in one call, and when they stop."""

import numpy as np
import pytest

from chainrule import ir
from chainrule.backends import available, get
from chainrule.errors import ArgumentError, GraphError
from chainrule.ir import Graph, placeholder
from chainrule.ops.elementwise import log, square
from chainrule.ops.reduction import mean, sum

EVERY_BACKEND = pytest.mark.parametrize("backend", [get(name) for name in available()], ids=available())


def _regression():
    """One step of w ← w − rate · ∂E/∂w for E = mean (x·w − t)²: batches x and t, the rate per step, the state w."""
    x, t = placeholder("input", (2, 3), np.float64, "x"), placeholder("input", (2,), np.float64, "t")
    rate, w = placeholder("input", (), np.float64, "rate"), placeholder("variable", (3,), np.float64, "w")
    error = x @ w - t
    loss = mean(square(error))
    gradient = sum(x * _column(error), axis=0)
    return Graph((x, t, rate), (loss, error), (w,), (w - rate * gradient,))


def _column(error):
    return ir.Node("reshape", (error,), {"shape": (2, 1)}, (2, 1), error.dtype)


rng = np.random.default_rng(0)
X, T = rng.normal(size=(7, 3)), rng.normal(size=7)
ROWS = np.array([[0, 3], [6, 6], [2, 1], [5, 4]])
RATES = np.array([0.1, 0.2, 0.05, 0.3])


def _by_hand(steps):
    w, losses, errors = np.zeros(3), [], []
    for rows, rate in list(zip(ROWS, RATES, strict=True))[:steps]:
        error = X[rows] @ w - T[rows]
        losses.append(np.mean(error**2))
        errors.append(error)
        w = w - rate * (X[rows] * error[:, None]).sum(axis=0)
    return w, np.array(losses), np.array(errors)


@EVERY_BACKEND
def test_many_steps_gather_their_rows_and_take_their_settings(backend):
    w = backend.hold(np.zeros(3))
    losses, errors = backend.compile(_regression()).run_steps([X, T], ROWS, [RATES], [w])
    expected = _by_hand(4)
    for found, wanted in zip((w.read(), losses, errors), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-12)


@EVERY_BACKEND
def test_many_steps_equal_single_runs(backend):
    program = backend.compile(_regression())
    many, one = backend.hold(np.zeros(3)), backend.hold(np.zeros(3))
    losses, _ = program.run_steps([X, T], ROWS, [RATES], [many])
    single = [program.run([X[r], T[r], np.array(rate)], [one])[0] for r, rate in zip(ROWS, RATES, strict=True)]
    np.testing.assert_array_equal(losses, single)
    np.testing.assert_array_equal(many.read(), one.read())


@EVERY_BACKEND
def test_it_stops_before_the_update_once_the_loss_is_within_the_wanted_range(backend):
    reached = T.copy()
    reached[ROWS[2]] = X[ROWS[2]] @ _by_hand(2)[0] + 0.01  # so that the third loss is 0.0001
    w = backend.hold(np.zeros(3))
    losses, errors = backend.compile(_regression()).run_steps([X, reached], ROWS, [RATES], [w], until=0.001)
    assert losses.shape == (3,)
    assert errors.shape == (3, 2)
    np.testing.assert_allclose(w.read(), _by_hand(2)[0], rtol=1e-12)


@EVERY_BACKEND
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_it_stops_before_the_update_at_a_loss_that_is_not_finite(backend, bad):
    spoilt = T.copy()
    spoilt[2] = bad
    w = backend.hold(np.zeros(3))
    losses, _ = backend.compile(_regression()).run_steps([X, spoilt], ROWS, [RATES], [w])
    assert losses.shape == (3,)
    assert not np.isfinite(losses[-1])
    np.testing.assert_allclose(w.read(), _by_hand(2)[0], rtol=1e-12)


@EVERY_BACKEND
def test_no_steps_give_no_values(backend):
    w = backend.hold(np.ones(3))
    losses, errors = backend.compile(_regression()).run_steps([X, T], ROWS[:0], [RATES[:0]], [w])
    assert losses.shape == (0,)
    assert errors.shape == (0, 2)
    np.testing.assert_array_equal(w.read(), np.ones(3))


@EVERY_BACKEND
def test_states_are_exchanged_at_once(backend):
    a, b = (placeholder("variable", (2,), np.float64) for _ in range(2))
    program = backend.compile(Graph((), (a, b), (a, b), (b, a)))
    state = backend.hold(np.array([1.0, 2.0])), backend.hold(np.array([3.0, 4.0]))
    first, second = program.run([], state)
    assert [s.read().tolist() for s in state] == [[3.0, 4.0], [1.0, 2.0]]
    assert [first.tolist(), second.tolist()] == [[1.0, 2.0], [3.0, 4.0]]


@EVERY_BACKEND
def test_outputs_are_new_arrays(backend):
    x = placeholder("input", (2,), np.float64)
    program = backend.compile(Graph((x,), (x, x * 1.0)))
    array = np.array([1.0, 2.0])
    outputs = program.run([array], [])
    outputs[0][0] = 9.0
    assert array[0] == 1.0
    assert outputs[1][0] == 1.0


@EVERY_BACKEND
def test_state_that_stays_is_not_written(backend):
    w = placeholder("variable", (2,), np.float64)
    state = np.array([1.0, 2.0])
    state.flags.writeable = False
    (y,) = backend.compile(Graph((), (w * 2.0,), (w,), (w,))).run([], [backend.hold(state)])
    assert y.tolist() == [2.0, 4.0]


@EVERY_BACKEND
def test_unused_inputs_are_fine(backend):
    x, y = (placeholder("input", (2,), np.float64) for _ in range(2))
    (found,) = backend.compile(Graph((x, y), (x * 2.0,))).run([np.ones(2), np.ones(2)], [])
    assert found.tolist() == [2.0, 2.0]


@EVERY_BACKEND
def test_a_broken_graph_is_refused(backend):
    x = placeholder("input", (2,), np.float64)
    with pytest.raises(GraphError, match="is read but is neither an input nor state"):
        backend.compile(Graph((), (log(x),)))


@EVERY_BACKEND
def test_nothing_warns_of_infinities(backend):
    x = placeholder("input", (2,), np.float64)
    (found,) = backend.compile(Graph((x,), (log(x),))).run([np.array([0.0, -1.0])], [])
    assert found[0] == -np.inf
    assert np.isnan(found[1])


def test_an_unknown_backend():
    with pytest.raises(ArgumentError, match=r"the backend 'xla' was asked for; there are native, reference.* or 'auto'"):
        get("xla")
