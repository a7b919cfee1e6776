"""What users' functions mention is followed, wherever these run: compiled, in a fit, an evaluation, a prediction."""

import functools
import types

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.errors import CaptureError
from chainrule.fitting.metrics import Metric

X = np.random.default_rng(0).normal(size=(6, 2)).astype("float32")
Y = np.ones((6, 1), np.float32)
factor = 1.0


class Held:
    """A class of a user that keeps a factor."""

    k = 1.0

    def __init__(self, k=1.0):
        self.own, self.inner = k, types.SimpleNamespace(k=k)

    @property
    def twice(self):
        return 2 * self.own

    def scale(self, x):
        return x * self.own

    def __call__(self, x):
        return x * self.own

    def __getitem__(self, k):
        return factor


class Made:
    def __init__(self):
        self.k = factor


class Called(nn.Module):
    def __call__(self, x):
        return x * factor


class Holder:
    k = 1.0


def helper(x):
    return x * factor


def decorated(function):
    @functools.wraps(function)
    def wrapper(*args):
        return function(*args)

    return wrapper


def as_global():
    return (lambda x: x * factor), functools.partial(globals().__setitem__, "factor")


def as_helper():
    return (lambda x: 1.0 * helper(x)), as_global()[1]


def as_decorated():
    return decorated(helper), as_global()[1]


def as_item():
    held = Held()
    return (lambda x: x * held[0]), as_global()[1]


def as_made_object():
    return (lambda x: x * Made().k), as_global()[1]


def as_called_module():
    layers = nn.Sequential(nn.Identity(), Called())
    return (lambda x: 1.0 * layers(x)), as_global()[1]


def as_partial():
    held = [1.0]
    return functools.partial(lambda held, x: x * held[0], held), functools.partial(held.__setitem__, 0)


def as_default():
    held = np.ones(1)

    def scaled(x, by=held):
        return x * by[0].item()

    return scaled, functools.partial(held.__setitem__, 0)


def as_list():
    held = [1.0]
    return (lambda x: x * held[0]), functools.partial(held.__setitem__, 0)


def as_dict():
    held = {"k": [1.0]}
    return (lambda x: x * held["k"][0]), functools.partial(held["k"].__setitem__, 0)


def as_array():
    held = np.ones((), np.float32)
    return (lambda x: x * held), held.fill


def as_function_in_a_list():
    function, put = as_list()
    functions = [function]
    return (lambda x: 1.0 * functions[0](x)), put


def as_object():
    held = Held()
    return (lambda x: x * held.own), functools.partial(setattr, held, "own")


def as_inner_object():
    held = Held()
    return (lambda x: x * held.inner.k), functools.partial(setattr, held.inner, "k")


def as_property():
    held = Held()
    return (lambda x: x * held.twice), functools.partial(setattr, held, "own")


def as_method():
    held = Held()
    return (lambda x: 1.0 * held.scale(x)), functools.partial(setattr, held, "own")


def as_callable():
    held = Held()
    return (lambda x: 1.0 * held(x)), functools.partial(setattr, held, "own")


def as_object_in_a_list():
    held = [Held()]
    return (lambda x: x * held[0].own), functools.partial(setattr, held[0], "own")


def as_class():
    return (lambda x: x * Holder.k), functools.partial(setattr, Holder, "k")


def as_module():
    module = types.ModuleType("settings_of_a_user")
    module.k = 1.0
    return (lambda x: x * module.k), functools.partial(setattr, module, "k")


# Each gives a function that multiplies by something, 1 at first, and a function that makes it something else.
PLACES = {make.__name__: make for make in (
    as_global, as_helper, as_decorated, as_partial, as_default, as_list, as_dict, as_array, as_function_in_a_list, as_object,
    as_inner_object, as_property, as_method, as_callable, as_object_in_a_list, as_class, as_module,
    as_item, as_made_object, as_called_module,
)}  # fmt: skip


@pytest.fixture(params=PLACES)
def place(request):
    function, put = PLACES[request.param]()
    put(1.0)
    yield function, put
    put(1.0)


class Scaled(nn.Module):
    """A layer whose forward calls a function that it holds, through a method of its base class."""

    def __init__(self, function):
        self.inner = nn.Linear(2, 1, init=0.5, bias_init=0.1)
        self.function = function

    def forward(self, x):
        return self.scaled(self.inner(x))

    def scaled(self, x):
        return self.function(x)


def test_a_compiled_function_follows_what_it_mentions(place):
    function, put = place
    m = Scaled(function)
    ways = [cr.compile(f, backend="reference") for f in (function, lambda x: 1.0 * function(x), m, lambda x: 1.0 * m(x))]
    for k in (1.0, 3.0, 0.0, 1.0):
        put(k)
        for way in ways:
            eager = m(X) if way(X).shape == (6, 1) else function(cr.tensor(X))
            np.testing.assert_allclose(way(X).numpy(), eager.numpy(), rtol=1e-6)


def test_a_trainer_follows_what_loss_metric_and_layers_mention(place):
    function, put = place

    def loss(output, target):
        return function(((output - target) ** 2).mean())

    def distance(output, target):
        return function(abs(output - target))

    metrics = [distance, Metric("other", lambda output, target, loss: function(output))]
    m, layers = nn.Linear(2, 1, init=0.5, bias_init=0.1), Scaled(function)
    trainer = cr.Trainer(m, loss, optim.SGD(m.parameters(), lr=0.1), metrics=metrics, backend="reference")
    predictor = cr.Trainer(layers, nn.MSELoss(), optim.SGD(layers.parameters(), lr=0.1), backend="reference")
    for k in (1.0, 3.0, 0.0):
        put(k)
        output = m(X)
        expected = {
            "loss": loss(output, Y).item(),
            "distance": distance(output, Y).mean().item(),
            "other": function(output).mean().item(),
        }
        assert trainer.evaluate(X, Y) == pytest.approx(expected, rel=1e-5, abs=1e-7)
        before = m.weight.numpy().copy()
        trainer.fit(X, Y, epochs=1, batch_size=None, progress=False)
        assert (m.weight.numpy() == before).all() == (k == 0)
        np.testing.assert_allclose(predictor.predict(X), layers(X).numpy(), rtol=1e-5, atol=1e-7)


def test_forward_and_inherited_methods_of_layers_are_followed(monkeypatch):
    class Base(nn.Module):
        def forward(self, x):
            return x * factor

    class Derived(Base):
        @property
        def half(self):
            return factor / 2

        def forward(self, x):
            return super().forward(x) + self.half

    m = Derived()
    by_function = cr.compile(lambda x: 1.0 * m(x), backend="reference")
    for k in (1.0, 2.0):
        monkeypatch.setitem(globals(), "factor", k)
        np.testing.assert_allclose(by_function(X).numpy(), X * k + k / 2, rtol=1e-6)


def test_a_loss_of_a_user_is_followed(monkeypatch):
    class Own(nn.Loss):
        def elements(self, output, target):
            return (output - target) ** 2 * factor

    m = nn.Linear(2, 1)
    trainer = cr.Trainer(m, Own(), optim.SGD(m.parameters(), lr=0.1), backend="reference")
    assert trainer.evaluate(X, Y)["loss"] > 0
    monkeypatch.setitem(globals(), "factor", 0.0)
    assert trainer.evaluate(X, Y)["loss"] == 0


def test_a_small_array_of_a_layer_is_compared_by_its_content():
    class Shifted(nn.Module):
        def __init__(self):
            self.array = np.zeros(2, np.float32)
            self.arrays = [np.zeros(2, np.float32)]

        def forward(self, x):
            return x + self.array + self.arrays[0]

    m = Shifted()
    f = cr.compile(lambda x: 1.0 * m(x), backend="reference")
    program = f.program(X)
    assert f.program(X) is program
    m.array[1] = 3.0
    np.testing.assert_array_equal(f(X).numpy(), m(X).numpy())
    m.arrays[0][0] = 2.0
    np.testing.assert_array_equal(f(X).numpy(), m(X).numpy())


def test_a_log_that_a_function_keeps_is_not_something_it_reads():
    log, seen, held = [], {}, Held()

    def f(x):
        log.append(x.shape)
        seen[x.shape] = True
        held.last = x
        return x + 1.0

    compiled = cr.compile(f, backend="reference")
    for rows in (6, 3, 6, 3):
        compiled(X[:rows])
    assert log == [(6, 2), (3, 2)]


def test_functions_of_libraries_cost_nothing():
    deep = nn.Sequential(*(nn.Linear(2, 2) for _ in range(4)), nn.Dropout(0.1))
    f = cr.compile(lambda x: np.sqrt(1.0) * cr.tanh(deep(x)), backend="reference")
    found = f._compiled([X], [X]).capture
    assert sorted(name for _, name in found.reads._names) == ["", "cr", "np"]


def test_an_object_that_a_function_changes_is_refused():
    held = Held()

    def counting(x):
        held.own += 1
        return x * held.own

    with pytest.raises(CaptureError, match="changed own, which it reads"):
        cr.compile(counting, backend="reference")(X)
