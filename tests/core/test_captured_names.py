"""What users' functions mention is followed, wherever these run: compiled, in a fit, an evaluation, a prediction."""

import array
import collections
import functools
import importlib
import operator
import types
import weakref

import numpy as np
import pytest

import chainrule as cr
from chainrule import extend, nn, optim
from chainrule.errors import CaptureError
from chainrule.fitting.metrics import Metric
from kept_tables import kept_tables

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


class Inheriting(Held):
    k = 5.0

    def scale(self, x):
        return super().scale(x) * super().k

    def helped(self, x):
        return self.hidden * x

    @functools.cached_property
    def once(self):
        return self.hidden


class Calling(Inheriting):
    def helped(self, x):
        return super().helped(x)


def as_inherited_method():
    held = Calling()
    return (lambda x: 1.0 * held.helped(x)), functools.partial(setattr, held, "hidden")


def as_inherited_attribute():
    held = Inheriting()
    return (lambda x: 1.0 * held.scale(x)), functools.partial(setattr, Held, "k")


def as_own_method():
    held = Held()
    return (lambda x: 1.0 * held.scale(x)), lambda k: setattr(held, "scale", lambda x: x * k)


def as_other_method():
    class Other(Held):
        pass

    held = Other()
    return (lambda x: 1.0 * held.scale(x)), lambda k: setattr(Other, "scale", lambda self, x: x * k)


def as_other_property():
    class Other(Held):
        pass

    held = Other()
    return (lambda x: x * held.twice), lambda k: setattr(Other, "twice", property(lambda self: k))


def as_other_function_of_a_module():
    module = types.ModuleType("functions_of_a_user")
    return (lambda x: 1.0 * module.scaled(x)), lambda k: setattr(module, "scaled", lambda x: x * k)


def as_other_defaults():
    def scaled(x, by=1.0):
        return x * by

    return scaled, lambda k: setattr(scaled, "__defaults__", (k,))


def as_cached_property():
    held = Inheriting()

    def put(k):
        held.hidden = k
        vars(held).pop("once", None)

    return (lambda x: x * held.once), put


def as_descriptor():
    class Factor:
        def __get__(self, held, cls=None):
            return held.hidden

    class Other(Held):
        factor = Factor()

    held = Other()
    return (lambda x: x * held.factor), functools.partial(setattr, held, "hidden")


def as_attribute_of_a_list():
    held = type("Values", (list,), {})([1.0])
    return (lambda x: x * held.k), functools.partial(setattr, held, "k")


def as_metaclass():
    meta = type("Meta", (type,), {"k": 1.0})
    cls = meta("Plain", (), {})
    return (lambda x: x * cls.k), functools.partial(setattr, meta, "k")


def as_view():
    held = {"k": 1.0}
    view = held.values()
    return (lambda x: x * sum(view)), functools.partial(held.__setitem__, "k")


def as_attrgetter():
    held, inner = Held(), operator.attrgetter("inner.k")

    def put(k):
        held.k, held.inner.k = k / 2, k / 2

    return (lambda x: x * (inner(held) + operator.attrgetter("k")(held))), put


def as_cached_function():
    held = {"k": 1.0}

    @functools.lru_cache
    def value():
        return held["k"]

    def put(k):
        held["k"] = k
        value.cache_clear()

    return (lambda x: x * value()), put


def as_weak_reference():
    held = Held()
    reference = weakref.ref(held)
    return (lambda x: x * reference().k), functools.partial(setattr, held, "k")


def as_indexed_class():
    class Indexed:
        def __class_getitem__(cls, name):
            return held[name]

    held = {"k": 1.0}
    return (lambda x: x * Indexed["k"]), functools.partial(held.__setitem__, "k")


def as_array_of_python():
    values = array.array("d", [1.0])
    return (lambda x: x * values[0]), functools.partial(values.__setitem__, 0)


def as_absent_attribute():
    held = Held()
    return (lambda x: x * getattr(held, "late", 1.0)), functools.partial(setattr, held, "late")


def as_absent_attribute_of_a_class():
    class Plain:
        pass

    held = Plain()
    return (lambda x: x * (held.late if hasattr(held, "late") else 1.0)), functools.partial(setattr, Plain, "late")


def as_absent_name():
    place = {}
    exec("def scaled(x):\n try:\n  return x * late\n except NameError:\n  return x * 1.0", place)
    return place["scaled"], functools.partial(place.__setitem__, "late")


# Each gives a function that multiplies by something, 1 at first, and a function that makes it something else.
PLACES = {make.__name__: make for make in (
    as_global, as_helper, as_decorated, as_partial, as_default, as_list, as_dict, as_array, as_function_in_a_list, as_object,
    as_inner_object, as_property, as_method, as_callable, as_object_in_a_list, as_class, as_module,
    as_item, as_made_object, as_called_module, as_inherited_method, as_inherited_attribute, as_own_method, as_other_method,
    as_other_property, as_other_function_of_a_module, as_other_defaults, as_cached_property, as_descriptor,
    as_attribute_of_a_list, as_metaclass, as_view, as_attrgetter, as_cached_function, as_weak_reference, as_indexed_class,
    as_array_of_python, as_absent_attribute, as_absent_attribute_of_a_class, as_absent_name,
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


@pytest.mark.parametrize("kind", [dict, collections.defaultdict, collections.UserDict])
@pytest.mark.parametrize("nested", [False, True])
def test_a_cache_that_a_function_fills_is_followed(kind, nested):
    cache = kind()

    def f(x):
        if "k" not in cache:
            cache["k"] = [2.0] if nested else 2.0
        return x * (cache["k"][0] if nested else cache["k"])

    compiled = cr.compile(f, backend="reference")
    assert compiled(1.0).item() == 2
    program = compiled.program(1.0)
    cache["other"] = 3.0
    assert compiled.program(1.0) is program
    cache["k"] = [5.0] if nested else 5.0
    assert compiled(1.0).item() == 5
    if nested:
        cache["k"][0] = 7.0
        assert compiled(1.0).item() == 7
    del cache["k"]
    assert compiled(1.0).item() == 2


def test_a_list_and_a_set_that_a_function_fills_are_followed():
    held, seen = [], set()

    def f(x):
        if 2.0 not in seen:
            seen.add(2.0)
            held.append(2.0)
        return x * held[-1]

    compiled = cr.compile(f, backend="reference")
    assert compiled(1.0).item() == 2
    held[0] = 5.0
    assert compiled(1.0).item() == 5
    seen.clear()
    assert compiled(1.0).item() == 2
    assert held == [5.0, 2.0]


@pytest.mark.parametrize("make", [lambda: {"k": 2.0}, lambda: collections.UserDict(k=2.0)], ids=["dict", "mapping"])
@pytest.mark.parametrize("filled", [False, True])
def test_a_container_that_contains_itself_is_followed(make, filled):
    held = make()
    if not filled:
        held["self"] = [held]

    def f(x):
        held["self"] = held.get("self") or [held]
        return x * held["self"][0]["k"]

    compiled = cr.compile(f, backend="reference")
    assert compiled(1.0).item() == 2
    held["k"] = 5.0
    assert compiled(1.0).item() == 5


def test_a_long_chain_of_functions_is_followed():
    scale = [2.0]

    def calling(inner):
        return lambda x: inner(x) * scale[0]

    last = calling(None)
    for _ in range(3000):
        last = calling(last)
    compiled = cr.compile(lambda x: x * (scale[0] if last else 0.0), backend="reference")
    assert compiled(1.0).item() == 2
    scale[0] = 3.0
    assert compiled(1.0).item() == 3


def test_who_looks_at_all_attributes_sees_new_ones():
    held = types.SimpleNamespace()
    f = cr.compile(lambda x: x * (1.0 + len(vars(held))), backend="reference")
    assert f(1.0).item() == 1
    held.late = 0
    assert f(1.0).item() == 2


def test_functions_of_installed_packages_are_not_followed(tmp_path, monkeypatch):
    """However many there are, and whatever they mention."""
    folder = tmp_path / "site-packages"
    folder.mkdir()
    (folder / "installed_by_pip.py").write_text("SETTING = 1.0\ndef scaled(x):\n    return x * SETTING\n")
    monkeypatch.syspath_prepend(folder)
    installed = importlib.import_module("installed_by_pip")
    compiled = cr.compile(lambda x: 1.0 * installed.scaled(x), backend="reference")
    program = compiled.program(1.0)
    installed.SETTING = 2.0
    assert compiled.program(1.0) is program


def test_a_counter_in_a_list_is_refused():
    counts = [0]

    def counting(x):
        counts[0] += 1
        return x * counts[0]

    with pytest.raises(CaptureError, match="changed a variable of its closure, which it reads"):
        cr.compile(counting, backend="reference")(X)


def test_tensors_that_a_function_puts_aside_are_not_read():
    aside, seen = {}, []

    def f(x):
        aside["x"] = x
        seen.append(x.shape)
        return x + 1.0

    compiled = cr.compile(f, backend="reference")
    for rows in (6, 3, 6, 3):
        compiled(X[:rows])
    assert seen == [(6, 2), (3, 2)]


@pytest.mark.parametrize("backend", ["reference", "native"])
def test_formulas_of_extensions_are_followed(backend):
    slopes = {"k": 1.0}
    with kept_tables():
        inner = extend.activation("sloped", lambda x: x * slopes["k"])()
        twice = extend.activation("twice_sloped", lambda x: cr.ops.lookup("sloped")(x) + slopes["k"])()
        w = cr.parameter(X)

        def gradient(x):
            (inner(w) * x).sum().backward()
            found, w.grad = w.grad, None
            return found

        compiled = [cr.compile(f, backend=backend) for f in (inner, twice, gradient)]
        for k in (2.0, 3.0, 2.0):
            slopes["k"] = k
            for m in (inner, twice):
                np.testing.assert_allclose(m.predict(X, backend=backend), m(X).numpy(), rtol=1e-6)
            found = [f(X).numpy() for f in compiled]
            for a, b in zip(found, (X * k, X * k + k, X * k), strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-6)


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
    methods = {"children", "forward"}  # which an object may have of its own, in its dict
    assert {name for _, name in found.reads._names} - methods == {"", "cr", "np"}
    assert not found.reads._classes


def test_an_object_that_a_function_changes_is_refused():
    held = Held()

    def counting(x):
        held.own += 1
        return x * held.own

    with pytest.raises(CaptureError, match="changed own, which it reads"):
        cr.compile(counting, backend="reference")(X)
