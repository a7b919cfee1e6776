"""A compiled function, and a second fit, follow what was changed since the first: modes, flags, settings, parts, names."""

import gc
import threading
import weakref

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.errors import ArgumentError, CaptureError, GradientError
from chainrule.train.callbacks import Callback

X = np.random.default_rng(0).normal(size=(6, 4)).astype("float32")
Y = np.arange(6) % 3


class Scaled(nn.Module):
    """A layer of a user, with a plain setting, one in a dictionary, one of its class, and a function."""

    offset = 0.0

    def __init__(self) -> None:
        self.scale = 2.0
        self.more = {"factors": [1.0, 1.0]}
        self.function = cr.tanh
        self.unused = 0

    def forward(self, x):
        return self.function(x) * self.scale * self.more["factors"][0] + self.offset


def model():
    cr.manual_seed(1)
    return nn.Sequential(
        nn.Linear(4, 5),
        nn.BatchNorm1d(5),
        nn.LeakyReLU(),
        Scaled(),
        nn.Dropout(0.5),
        nn.Sequential(nn.Linear(5, 3)),
        nn.Identity(),
    )


def set_item(container, key, value):
    container[key] = value


# What is changed between calls. (The random stream is started anew before every call.)
CHANGES = {
    "eval": lambda m: m.eval(),
    "eval of a part": lambda m: m[1].eval(),
    "momentum": lambda m: setattr(m[1], "momentum", 0.7),
    "eps": lambda m: setattr(m[1], "eps", 0.1),
    "slope": lambda m: setattr(m[2], "negative_slope", 0.5),
    "rate": lambda m: setattr(m[4], "p", 0.1),
    "setting": lambda m: setattr(m[3], "scale", 3.0),
    "setting within": lambda m: set_item(m[3].more["factors"], 0, 3.0),
    "setting of a class": lambda m: setattr(m[3], "offset", 1.0),
    "function": lambda m: setattr(m[3], "function", cr.sin),
    "sign of zero": lambda m: setattr(m[3], "scale", -0.0),
    "frozen": lambda m: setattr(m[0].weight, "requires_grad", False),
    "another weight": lambda m: setattr(m[0], "weight", cr.parameter(np.ones((5, 4), np.float32))),
    "no bias": lambda m: setattr(m[0], "bias", None),
    "another layer": lambda m: setattr(m, "6", nn.Tanh()),
    "one layer more": lambda m: setattr(m, "7", nn.Tanh()),
    "one layer less": lambda m: delattr(m, "6"),
}  # fmt: skip


NATIVE = ("eval", "frozen")  # always; the others with -m slow, as the keys are the same for every backend
BOTH = [(change, "reference") for change in CHANGES]
BOTH += [pytest.param(change, "native", marks=() if change in NATIVE else pytest.mark.slow) for change in CHANGES]


def step_of(m, loss, optimizer):
    def step(x, y):
        cr.manual_seed(3)
        optimizer.zero_grad()
        value = loss(m(x), y)
        value.backward()
        optimizer.step()
        return value

    return step


@pytest.mark.parametrize("change, backend", BOTH)
def test_a_compiled_step_follows_changes_of_the_model(change, backend):
    found = []
    for compiled in (False, True):
        m, loss = model(), nn.CrossEntropyLoss()
        step = step_of(m, loss, optim.SGD(m.parameters(), lr=0.1, momentum=0.9))
        run = cr.compile(step, backend=backend) if compiled else step
        values = [run(cr.tensor(X), cr.tensor(Y)).item()]
        CHANGES[change](m)
        values += [run(cr.tensor(X), cr.tensor(Y)).item() for _ in range(2)]
        found.append([np.array(values), *m.state_dict().values()])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(b, a, rtol=2e-5, atol=1e-6)


SETTINGS = {
    "smoothing": lambda loss, optimizer: setattr(loss, "label_smoothing", 0.5),
    "reduction": lambda loss, optimizer: setattr(loss, "reduction", "sum"),
    "weight": lambda loss, optimizer: setattr(loss, "weight", [1.0, 2.0, 3.0]),
    "weight of a class": lambda loss, optimizer: set_item(loss.weight, 1, 5.0),
    "momentum": lambda loss, optimizer: set_item(optimizer.groups[0].settings, "momentum", 0.1),
    "decay": lambda loss, optimizer: set_item(optimizer.groups[0].settings, "weight_decay", 0.5),
    "rate": lambda loss, optimizer: setattr(optimizer, "lr", 0.5),
}


@pytest.mark.parametrize("change", SETTINGS)
@pytest.mark.parametrize("way", ["compiled", "fit"])
def test_settings_of_loss_and_optimiser_are_followed(change, way):
    def run(compiled):
        m = nn.Sequential(nn.Linear(4, 3, init=0.1, bias_init=0.0))
        loss = nn.CrossEntropyLoss(weight=[1.0, 1.0, 1.0])
        optimizer = optim.SGD(m.parameters(), lr=0.1, momentum=0.9)
        step = step_of(m, loss, optimizer)
        trainer = cr.Trainer(m, loss, optimizer, backend="reference")
        for k in range(3):
            if compiled and way == "fit":
                trainer.fit(X, Y, epochs=1, batch_size=None, progress=False)
            else:
                (cr.compile(step, backend="reference") if k == 0 and compiled else step)(cr.tensor(X), cr.tensor(Y))
            if k == 0:
                SETTINGS[change](loss, optimizer)
        return m[0].weight.numpy()

    np.testing.assert_allclose(run(True), run(False), rtol=1e-6)


class Own(nn.Module):
    """A layer of a user, whose class is changed."""

    def __init__(self):
        self.inner = nn.Linear(4, 2)

    def forward(self, x):
        return self.inner(x)


class Plainer(nn.Sequential):
    """One that inherits its forward."""


@pytest.mark.parametrize(
    "make, where",
    [
        pytest.param(Own, lambda m: m, id="instance"),
        pytest.param(Own, type, id="class"),
        pytest.param(lambda: Plainer(nn.Linear(4, 2)), type, id="class that inherits"),
        pytest.param(lambda: nn.Linear(4, 2), lambda m: m, id="instance of ours"),
        pytest.param(lambda: nn.Sequential(Own()), lambda m: m[0], id="instance within"),
    ],
)
def test_another_forward_is_followed(make, where, monkeypatch):
    m, other = make(), nn.Linear(4, 2)
    place = where(m)
    trainer = cr.Trainer(m, nn.MSELoss(), optim.SGD(m.parameters(), lr=0.1), backend="reference")
    compiled = cr.compile(lambda x: 1.0 * m(x), backend="reference")

    def agree():
        for rows in (6, 3):
            for way in (m.predict, trainer.predict, lambda x: compiled(x).numpy()):
                np.testing.assert_allclose(way(X[:rows]), m(X[:rows]).numpy(), rtol=1e-6)

    agree()
    for forward in (lambda *x: x[-1] * 5.0, lambda *x: x[-1] * 7.0, other.forward, nn.Linear(4, 2).forward):
        if isinstance(place, type) and hasattr(forward, "__self__"):
            continue
        monkeypatch.setattr(place, "forward", forward)
        agree()
    monkeypatch.undo()
    agree()


def test_what_was_captured_serves_again():
    """Going to and fro between modes compiles twice; a change of what is not read, not at all."""
    m, runs = model(), []

    def forward(x):
        runs.append(m.training)
        return m(x)

    f = cr.compile(forward, backend="reference")
    for mode in (True, False, True, False):
        m.train(mode)
        f(X)
    m[3].unused += 1
    f(X)
    assert runs == [True, False]
    with cr.no_grad():
        f(X)
    assert runs == [True, False, False]


def test_gradients_are_asked_for_within_no_grad_or_not():
    w = cr.parameter([1.0, 2.0])

    def gradient():
        (w * w).sum().backward()
        return w.grad

    f = cr.compile(gradient, backend="reference")
    assert f().tolist() == [2.0, 4.0]
    with cr.no_grad(), pytest.raises(GradientError):
        f()
    assert f().tolist() == [2.0, 4.0]


RATE = 2.0


class Plain:
    def __init__(self):
        self.rate, self.calls = 2.0, 0

    def step(self, x):
        return x * self.rate


def test_names_that_a_function_mentions_are_followed(monkeypatch):
    rate, w = 2.0, cr.parameter(1.0)
    plain = Plain()
    by_closure, by_module, by_object = (
        cr.compile(lambda x: x * rate * w),
        cr.compile(lambda x: x * RATE),
        cr.compile(plain.step),
    )
    assert [f(1.0).item() for f in (by_closure, by_module, by_object)] == [2.0, 2.0, 2.0]
    rate, w, plain.rate = 3.0, cr.parameter(2.0), 4.0
    monkeypatch.setitem(globals(), "RATE", 5.0)
    assert [f(1.0).item() for f in (by_closure, by_module, by_object)] == [6.0, 5.0, 4.0]
    program = by_object.program(1.0)
    plain.calls += 1
    assert by_object.program(1.0) is program


def test_a_function_that_changes_what_it_reads_is_refused():
    class Counting(nn.Module):
        def __init__(self):
            self.calls, self.table = 0, None

        def forward(self, x):
            if self.table is None:  # set up once, which is fine
                self.table = np.ones(4, np.float32)
            self.seen = x  # nor is this read
            return x * self.table

    counting = Counting()
    f = cr.compile(counting)
    np.testing.assert_array_equal(f(X).numpy(), X)

    class Worse(Counting):
        def forward(self, x):
            self.calls += 1
            return x * self.calls

    worse = Worse()
    with pytest.raises(CaptureError, match=r"changed Worse.calls, which it reads; its Python code runs once.*count.assign"):
        cr.compile(worse)(X)


def test_not_all_that_was_captured_is_kept():
    m = nn.Sequential(nn.Dropout(0.5))
    f = cr.compile(m, backend="reference")
    first = weakref.ref(f.program(X))
    for k in range(20):
        m[0].p = 0.01 * k
        f(X)
    gc.collect()
    assert first() is None


# ------------------------------------------------------------------------------------------------ trainers
BACKENDS = ["reference", pytest.param("native", marks=pytest.mark.slow)]


def fitted(**settings):
    cr.manual_seed(0)
    m = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Tanh(), nn.Dropout(0.5), nn.Linear(3, 3))
    t = cr.Trainer(m, nn.CrossEntropyLoss(), optim.Adam(m.parameters(), lr=0.1), **settings)
    t.fit(X, Y, epochs=1, progress=False)
    return m, t


@pytest.mark.parametrize("backend", ["reference", "native"])
def test_what_is_frozen_between_fits_does_not_move(backend):
    m, t = fitted(backend=backend)
    m[0].weight.requires_grad = False
    before, other = m[0].weight.numpy(), m[0].bias.numpy()
    t.fit(X, Y, epochs=2, progress=False)
    np.testing.assert_array_equal(m[0].weight.numpy(), before)
    assert (m[0].bias.numpy() != other).all()
    cr.Trainer(m, nn.CrossEntropyLoss(), t.optimizer, backend=backend).fit(X, Y, epochs=1, progress=False)
    np.testing.assert_array_equal(m[0].weight.numpy(), before)
    m[0].weight.requires_grad = True
    t.fit(X, Y, epochs=1, progress=False)
    assert (m[0].weight.numpy() != before).all()


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_a_callback_freezes_does_not_move(backend):
    m, t = fitted(backend=backend)

    class Freeze(Callback):
        def on_epoch(self, trainer, row):
            if row["epoch"] == 2:
                m[0].weight.requires_grad = False
                self.kept = m[0].weight.numpy()

    freeze = Freeze()
    t.fit(X, Y, epochs=3, progress=False, callbacks=[freeze])
    np.testing.assert_array_equal(m[0].weight.numpy(), freeze.kept)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_trainer_follows_changes_of_layers_and_of_its_loss(backend):
    m, t = fitted(backend=backend)
    m[3].p = 0.0
    t.fit(X, Y, epochs=1, progress=False)
    assert t.random_state.tolist() == [0, 1]  # the first fit drew once
    t.loss = nn.CrossEntropyLoss(reduction="sum")
    assert t.evaluate(X, Y)["loss"] == pytest.approx(
        6 * cr.Trainer(m, nn.CrossEntropyLoss(), t.optimizer, backend=backend).evaluate(X, Y)["loss"]
    )
    before = t.predict(X)
    setattr(m, "2", nn.Identity())
    assert np.abs(t.predict(X) - before).max() > 1e-3
    np.testing.assert_allclose(t.predict(X), m.predict(X), rtol=1e-6)
    m[0].weight = cr.parameter(np.zeros((3, 4), np.float32))
    with pytest.raises(ArgumentError, match="the optimiser learns 1 parameters that the model does not have"):
        t.fit(X, Y, epochs=1, progress=False)


@pytest.mark.parametrize("backend", BACKENDS)
def test_modes_of_parts_outlive_a_fit(backend):
    m, t = fitted(backend=backend)
    m[1].eval()
    t.fit(X, Y, epochs=1, progress=False)
    t.predict(X)
    assert [module.training for module in m] == [True, False, True, True, True]


# ------------------------------------------------------------------------------------------------ threads
@pytest.mark.parametrize("backend", ["reference", "native"])
def test_fits_in_threads_draw_as_they_do_alone(backend):
    def fit(seed, out):
        m = nn.Sequential(nn.Linear(4, 8, init=0.1, bias_init=0.0), nn.Dropout(0.5), nn.Linear(8, 3, init=0.1, bias_init=0.0))
        t = cr.Trainer(m, nn.CrossEntropyLoss(), optim.SGD(m.parameters(), lr=0.1), backend=backend)
        t.fit(X, Y, epochs=30, batch_size=2, progress=False, seed=seed, callbacks=[Yielding()])
        out[seed] = t.predict(X).tobytes()

    class Yielding(Callback):
        """Lets other threads have their turn."""

        def on_epoch(self, trainer, row):
            cr.random.uniform()
            if threads:
                together.wait()

    alone, found = {}, {}
    threads, together = [], threading.Barrier(3)
    for seed in range(3):
        fit(seed, alone)
    threads = [threading.Thread(target=fit, args=(seed, found)) for seed in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == alone


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_fit_leaves_the_stream_of_others_alone(backend):
    cr.manual_seed(9)
    before = cr.random.state.tolist()
    _, t = fitted(backend=backend)
    cr.manual_seed(9)
    t.fit(X, Y, epochs=1, progress=False)
    assert cr.random.state.tolist() == before


def test_who_looks_whether_a_tensor_asks_for_a_gradient_sees_a_change():
    w = cr.parameter([1.0, 1.0])
    f = cr.compile(lambda x: x * (2.0 if w.requires_grad else 1.0), backend="reference")
    assert f(1.0).item() == 2
    w.requires_grad = False
    assert f(1.0).item() == 1
