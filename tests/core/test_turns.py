"""Compiled functions that share state, called from several threads."""

import os
import threading
import time

import numpy as np
import pytest

import chainrule as cr
from chainrule.states import State
from chainrule.turns import Turns


def counters():
    """Two counters, and functions that change one, the other, and both in either order."""
    a, b = cr.tensor(np.zeros(500)), cr.tensor(np.zeros(500))

    def add(*tensors):
        for t in tensors:
            t.assign(t + 1.0)

    return a, b, [cr.compile(lambda ts=ts: add(*ts), backend="reference") for ts in ((a,), (b,), (a, b), (b, a))]


def in_threads(*calls):
    errors = []

    def run(call):
        try:
            call()
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(call,), daemon=True) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
    assert not any(thread.is_alive() for thread in threads)
    assert not errors


@pytest.fixture
def slowly(monkeypatch):
    """Between reading its state and running, every call lets the others have their turn."""
    find = State.variables

    def variables(state):
        found = find(state)
        time.sleep(0.001)
        return found

    monkeypatch.setattr(State, "variables", variables)


def test_no_update_is_lost(slowly):
    a, b, functions = counters()

    def often(f):
        for _ in range(10):
            f()

    in_threads(*(lambda f=f: often(f) for f in functions))
    np.testing.assert_array_equal(a.numpy(), 30.0)
    np.testing.assert_array_equal(b.numpy(), 30.0)


def test_a_reader_never_sees_half_an_update():
    a, b, functions = counters()
    both = cr.compile(lambda: (a * 1.0, b * 1.0), backend="reference")
    seen = []

    def write():
        for _ in range(200):
            functions[2]()

    def read():
        for _ in range(200):
            x, y = both()
            seen.append((x.numpy() != y.numpy()).any())

    in_threads(write, read, read)
    assert not any(seen)


def test_a_lock_is_released_after_an_error():
    a = cr.tensor([0.0, 0.0])

    def put(i):
        a.assign(a + cr.one_hot(i, 2))

    f = cr.compile(put)
    f(0)
    for _ in range(2):
        with pytest.raises(cr.errors.ArgumentError):
            f(5)
    in_threads(lambda: f(1))
    assert a.tolist() == [1.0, 1.0]


def test_groups_that_meet_become_one():
    a, b, c = (cr.tensor(0.0) for _ in range(3))
    first, second = Turns([a, b]), Turns([c])
    taken, done = threading.Event(), threading.Event()
    order = []

    def hold():
        taken.set()
        done.wait(0.1)
        order.append("held")

    def join():
        taken.wait()
        Turns([b, c]).run(order.append, "joined")

    in_threads(lambda: second.run(hold), join)
    assert order == ["held", "joined"]
    assert first.group.now() is second.group.now() is a.group.now() is c.group.now()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("busy", ["running", "capturing"])
def test_a_fork_while_another_thread_has_its_turn(busy):
    a, _, functions = counters()
    functions[0]()
    taken, done = threading.Event(), threading.Event()

    def hold():
        taken.set()
        done.wait(300)

    def hold_making():
        with functions[0]._programs._making.lock:
            hold()

    thread = threading.Thread(target={"running": lambda: Turns([a]).run(hold), "capturing": hold_making}[busy])
    thread.start()
    taken.wait()
    child = os.fork()
    if child == 0:
        functions[0]()
        with cr.no_grad():
            functions[0]()  # another program
        os._exit(int(a.numpy()[0] != 3.0))
    for _ in range(6000):
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            break
        done.wait(0.05)
    else:
        os.kill(child, 9)
        os.waitpid(child, 0)
        pytest.fail("the child hangs")
    done.set()
    thread.join()
    assert status == 0
