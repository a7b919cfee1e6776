"""Where the values of Tensors are: nodes, Variables, and who sees what when."""

import copy
import os
import pickle
import threading

import numpy as np
import pytest

import chainrule as cr
from chainrule import backends, nn, optim
from chainrule.backends.host import HostVariable
from chainrule.backends.reference import ReferenceBackend
from chainrule.states import Values, ValuesApart


class Device(HostVariable):
    """A Variable elsewhere: its memory is never NumPy's of this side."""

    place = "device"
    fetched = 0

    def __init__(self, value):
        super().__init__(np.array(value))

    def read(self):
        Device.fetched += 1
        return self.array.copy()

    def copy(self):
        return Device(self.array)


class DeviceBackend(ReferenceBackend):
    name, place = "device", "device"

    def hold(self, value):
        return Device(value)


@pytest.fixture(params=[*backends.available(), "device"])
def backend(request, monkeypatch):
    """Every backend, and one whose values are elsewhere, by name."""
    find = backends.get
    device = DeviceBackend()
    monkeypatch.setattr(backends, "get", lambda name="auto": device if name == "device" else find(name))
    return request.param


def counter(start, backend):
    w = cr.parameter(np.array(start, np.float64), name="w")

    def add(x):
        w.assign(w + x)
        return w.sum()

    return w, cr.compile(add, backend=backend)


# ------------------------------------------------------------------------------------------------ who sees what
def test_what_was_taken_before_a_run_stays(backend):
    w, add = counter([1.0, 2.0], backend)
    first, graph = w.numpy(), (w * w).sum()
    add(1.0)
    second = w.numpy()
    add(1.0)
    assert [first.tolist(), second.tolist(), w.tolist()] == [[1.0, 2.0], [2.0, 3.0], [3.0, 4.0]]
    graph.backward()
    assert w.grad.tolist() == [2.0, 4.0]


def test_the_array_that_a_tensor_was_made_from_is_not_written(backend):
    given = np.ones(3)
    w, add = counter(given, backend)
    other = cr.parameter(np.zeros(3))
    other.assign(w)  # shares the memory
    add(1.0)
    add(1.0)
    assert [given.tolist(), other.tolist(), w.tolist()] == [[1.0] * 3, [1.0] * 3, [3.0] * 3]


def test_an_assigned_value_is_seen_by_the_next_run(backend):
    w, add = counter([0.0, 0.0], backend)
    add(1.0)
    for value in (np.arange(4.0)[::2], np.array([1, 2], np.float32), [5.0, 6.0]):
        w.assign(value)
        assert add(1.0).item() == np.sum(value) + 2.0
        assert w.tolist() == (np.asarray(value) + 1.0).tolist()
    frozen = np.array([7.0, 8.0])
    frozen.flags.writeable = False
    w.assign(frozen)
    add(1.0)
    assert [frozen.tolist(), w.tolist()] == [[7.0, 8.0], [8.0, 9.0]]


def test_loaded_states_and_tied_weights(backend):
    cr.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model.tie("1.weight", "0.weight")
    saved = model.state_dict()

    def double():
        for p in model.parameters():
            p.assign(p * 2.0)

    f = cr.compile(double, backend=backend)
    f()
    f()
    np.testing.assert_array_equal(model[1].weight.numpy(), 4.0 * saved["0.weight"])
    assert model[0].weight is model[1].weight
    model.load_state_dict(saved)
    f()
    np.testing.assert_array_equal(model[0].weight.numpy(), 2.0 * saved["0.weight"])


def test_gradients_pass_through_a_parameter_that_a_program_has_read(backend):
    w = cr.parameter([1.0, 2.0])
    E = (w * w).sum()
    double = cr.compile(lambda: w * 2.0, backend=backend)
    assert double().tolist() == [2.0, 4.0]
    assert [g.tolist() for g in cr.grad(E, [w])] == [[2.0, 4.0]]


def test_a_new_value_asks_for_gradients_like_the_old_one(backend):
    w, add = counter([1.0, 2.0], backend)
    add(1.0)
    (w * w).sum().backward()
    assert w.grad.tolist() == [4.0, 6.0]


def test_names_and_printing(backend):
    w, add = counter([1.0], backend)
    add(1.0)
    assert repr(w) == "Tensor([2.], dtype=float64, name='w', requires_grad=True)"
    add(1.0)
    assert w.is_known
    assert w.named("v").name == "v"
    add(1.0)
    assert (w.name, w.shape, w.dtype, w.item()) == ("v", (1,), np.float64, 4.0)


# ------------------------------------------------------------------------------------------------ several programs
def test_two_programs_on_one_state(backend):
    w, add = counter(np.zeros(3), backend)
    look = cr.compile(lambda: w * 1.0, backend=backend)
    for k in range(1, 4):
        add(1.0)
        assert look().tolist() == [k] * 3


@pytest.mark.parametrize("pair", [("native", "reference"), ("native", "device"), ("device", "reference")])
def test_two_backends_on_one_tensor(pair, monkeypatch):
    find, device = backends.get, DeviceBackend()
    monkeypatch.setattr(backends, "get", lambda name="auto": device if name == "device" else find(name))
    if not set(pair) <= {*backends.available(), "device"}:
        pytest.skip("the native backend is not installed")
    w = cr.parameter(np.zeros(2))
    first, second = (cr.compile(lambda x: w.assign(w + x), backend=name) for name in pair)
    for _ in range(3):
        first(1.0)
        second(10.0)
    second(10.0)
    assert w.tolist() == [43.0, 43.0]


def test_two_trainers_and_a_function_on_one_model(backend):
    cr.manual_seed(0)
    X, y = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32), np.zeros((20, 1), np.float32)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
    copied = copy.deepcopy(model)

    def trainers(m):
        made = (cr.Trainer(m, nn.MSELoss(), optim.SGD(m.parameters(), lr=0.01), backend=backend) for _ in range(2))
        return [*made, cr.compile(lambda: [p.assign(p * 0.5) for p in m.parameters()] and None, backend=backend)]

    a, b, halve = trainers(model)
    for _ in range(2):
        a.fit(X, y, epochs=1, progress=False)
        b.fit(X, y, epochs=1, progress=False)
        halve()
    # The same with a new state every time.
    wanted = trainers(copied)
    for _ in range(2):
        for part in wanted:
            part.fit(X, y, epochs=1, progress=False) if isinstance(part, cr.Trainer) else part()
            copied.load_state_dict(copied.state_dict())
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, copied.state_dict()[name])
    np.testing.assert_array_equal(model.predict(X), a.predict(X))


def test_a_device_keeps_its_values(monkeypatch):
    """Nothing comes over while nobody looks, whatever runs."""
    device = DeviceBackend()
    monkeypatch.setattr(backends, "get", lambda name="auto": device)
    cr.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 3), nn.Dropout(0.5), nn.Linear(3, 1))
    trainer = cr.Trainer(model, nn.MSELoss(), optim.Adam(model.parameters()))
    X, y = np.ones((8, 2), np.float32), np.zeros((8, 1), np.float32)
    trainer.fit(X, y, epochs=2, progress=False)
    predict = cr.compile(model.__call__, backend="device")
    predict(X)
    Device.fetched = 0
    for _ in range(3):
        model.predict(X)
        trainer.predict(X)
        predict(X)
    assert Device.fetched == 0
    model[0].weight.numpy()
    model[0].weight.numpy()
    assert Device.fetched == 1


# ------------------------------------------------------------------------------------------------ when something fails
def test_a_run_that_raises_leaves_the_value(backend):
    w = cr.tensor([0.0, 0.0])
    f = cr.compile(lambda i: w.assign(w + cr.one_hot(i, 2)), backend=backend)
    f(1)
    view = w.numpy()
    for _ in range(2):
        with pytest.raises(cr.errors.ArgumentError):
            f(2)
        assert w.tolist() == [0.0, 1.0]
    f(1)
    assert [view.tolist(), w.tolist()] == [[0.0, 1.0], [0.0, 2.0]]


def test_a_bad_step_leaves_model_moments_statistics_and_random_stream_as_before(backend):
    def trained(bad):
        cr.manual_seed(0)
        model = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 1))
        optimizer = optim.Adam(model.parameters(), lr=0.01)
        trainer = cr.Trainer(model, nn.MSELoss(), optimizer, backend=backend)
        rng = np.random.default_rng(0)
        X, y = rng.normal(size=(12, 2)).astype(np.float32), rng.normal(size=(12, 1)).astype(np.float32)
        if bad:
            y[8] = 3e38  # the loss of the third step is infinite
        if bad:
            with pytest.raises(cr.errors.NonFiniteLoss):
                trainer.fit(X, y, epochs=1, batch_size=4, shuffle=False, progress=False)
        else:
            trainer.fit(X[:8], y[:8], epochs=1, batch_size=4, shuffle=False, progress=False)
        return {**model.state_dict(), **optimizer.state_dict(), "random": trainer.random_state}

    found, wanted = trained(True), trained(False)
    for name, value in wanted.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


def test_a_compiled_function_within_another_is_refused(backend):
    w, add = counter([0.0], backend)
    add(1.0)
    inner = cr.compile(lambda: w * 1.0, backend=backend)
    inner()
    with pytest.raises(cr.errors.CaptureError, match="the value of"):
        cr.compile(lambda: inner() + 1.0, backend=backend)()


# ------------------------------------------------------------------------------------------------ copies, threads, processes
def test_copies_and_pickles_of_a_model_in_use(backend):
    cr.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 1))
    trainer = cr.Trainer(model, nn.MSELoss(), optim.Adam(model.parameters()), backend=backend)
    X, y = np.ones((6, 2), np.float32), np.zeros((6, 1), np.float32)
    trainer.fit(X, y, epochs=1, progress=False)
    before = model.predict(X)
    others = copy.deepcopy(model), copy.copy(model), pickle.loads(pickle.dumps(model))
    trainer.fit(X, y, epochs=1, progress=False)
    assert not np.array_equal(model.predict(X), before)
    for other, shares in zip(others, (False, True, False), strict=True):
        np.testing.assert_array_equal(other.predict(X), model.predict(X) if shares else before)


def test_a_reader_in_another_thread_sees_whole_values(backend):
    w, add = counter(np.zeros(2000), backend)
    seen = []

    def read():
        for _ in range(100):
            values = w.numpy()
            seen.append((values == values[0]).all() and values[0])

    thread = threading.Thread(target=read)
    thread.start()
    for _ in range(100):
        add(1.0)
    thread.join()
    assert not any(value is np.False_ for value in seen)
    assert sorted(seen) == seen
    assert w.numpy()[0] == 100.0


def test_an_assignment_in_another_thread_is_not_lost():
    w, add = counter(np.zeros(2000), "reference")
    stop = threading.Event()

    def run():
        while not stop.is_set():
            add(0.0)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        for k in range(100):
            w.assign(np.full(2000, float(k)))
            assert (w.numpy() == k).all()
    finally:
        stop.set()
        thread.join()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_has_values_of_its_own():
    w, add = counter(np.zeros(3), "reference")
    add(1.0)
    child = os.fork()
    if child == 0:
        add(5.0)
        os._exit(int(w.tolist() != [6.0] * 3))
    _, status = os.waitpid(child, 0)
    assert status == 0
    add(1.0)
    assert w.tolist() == [2.0] * 3


# ------------------------------------------------------------------------------------------------ keeping and going back
def test_values_are_kept_and_gone_back_to():
    values = Values(backends.get("reference"))
    a, b = cr.tensor([1.0]), cr.tensor([2.0])
    program = cr.capture.Compiled(cr.capture.capture(lambda: a.assign(a + b), []), values, None)
    values.keep()
    program.run([])
    later = cr.capture.Compiled(cr.capture.capture(lambda: b.assign(b * 2.0), []), values, None)
    later.run([])
    assert (a.tolist(), b.tolist()) == ([3.0], [4.0])
    values.go_back()
    assert (a.tolist(), b.tolist()) == ([1.0], [2.0])
    values.forget()
    program.run([])
    values.go_back()
    assert a.tolist() == [3.0]


def test_values_apart_leave_the_tensors_alone():
    values = ValuesApart(backends.get("reference"))
    a = cr.tensor([1.0])
    program = cr.capture.Compiled(cr.capture.capture(lambda: [a.assign(a + 1.0), a][1:], []), values, None)
    assert [program.run([])[0].item() for _ in range(3)] == [2.0, 3.0, 4.0]
    assert a.tolist() == [1.0]
    values.begin({a: np.array([10.0])})
    assert program.run([])[0].item() == 11.0
    values.begin({})
    a.assign([5.0])
    assert program.run([])[0].item() == 6.0
