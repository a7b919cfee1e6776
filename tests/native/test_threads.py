"""Several threads: the same bits as one, whatever is shared out."""

import numpy as np
import pytest
from comparing import compiled, held, held_by, planned, values

import chainrule as cr
from chainrule import ir, nn, ops, optim
from chainrule.backends.native.plan import lower
from chainrule.backends.native.run import threads
from chainrule.capture import capture
from chainrule.errors import ArgumentError

CONVOLUTIONAL = [
    nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 20, 3), nn.Tanh(), nn.Flatten(), nn.Linear(180, 4),
]  # fmt: skip
DENSE = [nn.Linear(70, 150), nn.ReLU(), nn.Dropout(0.2), nn.Linear(150, 33), nn.GELU(), nn.Linear(33, 4)]


@pytest.fixture
def share_everything(monkeypatch):
    monkeypatch.setattr(lower, "_WORTH_SHARING", 0)
    monkeypatch.setattr(lower, "_WORTH_THREADS", 0)


def training_step(layers, features):
    """One step of training with Adam, captured."""
    cr.manual_seed(0)
    model = nn.Sequential(*layers)
    loss, optimizer = nn.CrossEntropyLoss(), optim.Adam(model.parameters())

    def step(x, t):
        optimizer.zero_grad()
        value = loss(model(x), t)
        value.backward()
        optimizer.step()
        return value

    return capture(step, [((13, *features), np.float32, "x"), ((13,), np.int64, "t")])


@pytest.mark.parametrize(("layers", "features"), [(DENSE, (70,)), (CONVOLUTIONAL, (3, 10, 10))], ids=["dense", "convolutional"])
def test_same_bits_with_any_number_of_threads(layers, features, share_everything, monkeypatch):
    found = training_step(layers, features)
    rng = np.random.default_rng(0)
    tables = [rng.normal(size=(40, *features)).astype(np.float32), rng.integers(0, 4, 40)]
    rows = rng.integers(0, 40, (6, 13))
    results = []
    for count in (1, 2, 3, 4):
        monkeypatch.setenv("CHAINRULE_THREADS", str(count))
        monkeypatch.setattr(threads.Choice, "next", lambda self, steps, count=count: (count, steps))
        program = compiled(found.graph)
        assert program.plan.threads == count
        assert any(step.parallel for step in program.plan.calls) == (count > 1)
        state = held_by(found)
        results.append([*program.run_steps(tables, rows, [], state), *values(state)])
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_refused_position_ends_all_threads(share_everything, monkeypatch):
    monkeypatch.setenv("CHAINRULE_THREADS", "3")
    i, w = ir.placeholder("input", (2,), np.int64), ir.placeholder("variable", (40,), np.float64)
    graph = ir.Graph((i,), (ops.lookup("sum")(ops.lookup("gather")(w, i, axes=(0,))),), (w,), (w + 1.0,))
    program = compiled(graph)
    state = held(np.zeros(40))
    with pytest.raises(ArgumentError, match="index 40 for an axis of size 40"):
        program.run([np.array([0, 40])], state)
    program.run([np.array([0, 39])], state)
    np.testing.assert_array_equal(state[0].read(), np.ones(40))


def test_small_steps_stay_on_one_thread(monkeypatch):
    monkeypatch.setenv("CHAINRULE_THREADS", "4")
    assert planned(training_step([nn.Linear(4, 4)], (4,)).graph).threads == 1


@pytest.mark.parametrize("wrong", ["0", "two", "-1", "1.5"])
def test_a_wrong_number_of_threads(wrong, monkeypatch):
    monkeypatch.setenv("CHAINRULE_THREADS", wrong)
    with pytest.raises(
        ArgumentError, match=r"CHAINRULE_THREADS is .*; it must be a whole number ≥ 1\. Unset it, or set it to 1"
    ):
        threads.available()


def _steps_by_threads(choice, seconds, calls):
    """How many of 100 steps per call each number of threads is given, at so many seconds per step."""
    found = dict.fromkeys(seconds, 0)
    for _ in range(calls):
        left = 100
        while left:
            count, some = choice.next(left)
            choice.note(count, some, some * seconds[count])
            found[count] += some
            left -= some
    return found


def test_the_faster_number_of_threads_is_used_and_the_other_tried_for_a_small_share_of_the_time():
    choice = threads.Choice(4)
    first = _steps_by_threads(choice, {1: 2e-4, 4: 1e-4}, 200)
    assert 0 < first[1] * 2e-4 <= 0.03 * first[4] * 1e-4
    crowded = _steps_by_threads(choice, {1: 2e-4, 4: 9e-4}, 200)
    assert crowded[1] > 0.9 * 20_000
    again = _steps_by_threads(choice, {1: 2e-4, 4: 1e-4}, 400)
    assert again[4] > 0.9 * 40_000


def test_one_thread_is_not_a_choice():
    assert threads.Choice(1).next(7) == (1, 7)
