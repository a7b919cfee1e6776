"""Several threads that use one model, or one Trainer."""

import sys
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.capture import Programs
from chainrule.nn.forward import Forward
from chainrule.nn.modes import in_mode
from chainrule.train import Callback

rng = np.random.default_rng(0)
X = rng.normal(size=(32, 4)).astype("float32")
Y = X[:, :1] - X[:, 1:2]


def network(*between):
    drawn = np.random.default_rng(1)
    model = nn.Sequential(nn.Linear(4, 6), *between, nn.Dropout(0.5), nn.Linear(6, 1))
    for parameter in model.parameters():
        parameter.assign(drawn.normal(size=parameter.shape).astype("float32") / 2)
    return model


def trainer(model, **settings):
    return cr.Trainer(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.01), **{"backend": "reference"} | settings)


def weights(model):
    return np.concatenate([parameter.numpy().ravel() for parameter in model.parameters()])


def elsewhere(*calls):
    """What the calls give in threads of their own."""
    found, errors = {}, []

    def run(number, call):
        try:
            found[number] = call()
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=pair, daemon=True) for pair in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
    assert not any(thread.is_alive() for thread in threads)
    assert not errors
    return [found[number] for number in range(len(calls))]


@pytest.fixture
def often():
    """Threads take turns after every few operations."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


hooks = SimpleNamespace(forward=lambda: None)


class Hooked(nn.Module):
    """The identity. It calls a hook, which is found in a way that a capture does not follow."""

    def forward(self, x):
        name = "forward"
        getattr(hooks, name)()
        return x


# -------------------------------------------------------------------------------------------- modes
USES = {
    "predict": lambda m: m.predict(X),
    "fit": lambda m: trainer(m).fit(X, Y, epochs=1, progress=False),
    "fit that diagnoses": lambda m: trainer(m, diagnose=True).fit(X, Y, epochs=1, progress=False),
    "Trainer.predict": lambda m: trainer(m).predict(X),
    "evaluate": lambda m: trainer(m).evaluate(X, Y),
    "summary": lambda m: cr.summary(m, 4),
    "draw": cr.draw,
    "diagnose": lambda m: cr.diagnose(m, nn.MSELoss(), X, Y),
}


@pytest.mark.parametrize("training", [True, False], ids=["training", "in-use"])
@pytest.mark.parametrize("use", USES)
def test_other_threads_do_not_see_the_modes_that_a_use_needs(monkeypatch, use, training):
    looks = []

    model = network(Hooked()).train(training)

    def look():
        return [module.training for _, module in model.named_modules()], model[2].p

    monkeypatch.setattr(hooks, "forward", lambda: looks.append(elsewhere(look)[0]))
    expected = look()
    USES[use](model)
    assert looks
    assert all(seen == expected for seen in looks)
    assert look() == expected


def test_a_run_without_dropout_leaves_the_rate_for_other_threads_to_see(monkeypatch):
    rates = set()

    model = network(Hooked())
    monkeypatch.setattr(hooks, "forward", lambda: rates.add(model[2].p))
    tried = diagnosis_trials(model)
    losses = [tried.with_optimizer(optim.SGD(model.parameters(), lr=0.01)).end, tried.without_dropout().end]
    assert rates == {0.5}
    assert losses[0] != losses[1]
    model[2].p = 0.0
    assert tried.with_optimizer(optim.SGD(model.parameters(), lr=0.01)).end == losses[1]


def diagnosis_trials(model):
    from chainrule.diagnosis.trials import Trials

    data = (X, Y, np.ones(len(X), np.float32))
    settings = {"rate": 0.01, "batch_size": 8, "judged": 32, "seed": 0, "products": 30.0, "layers": 2}
    return Trials(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.01), data, **settings)


def test_within_a_mode_a_thread_has_its_own():
    model = network()
    with in_mode(model, training=False):
        assert not model[1].training
        model.train()
        assert model[1].training
        with in_mode(model[1], training=False):
            assert not model[1].training
            assert model.training
        assert model[1].training
        model.eval()
        assert elsewhere(lambda: model[1].training) == [True]
    assert model[1].training


@pytest.mark.parametrize("mode", [True, False])
def test_a_class_may_have_a_mode_of_its_own_to_begin_with(mode):
    class Begins(nn.Module):
        training = mode

        def forward(self, x):
            return x

    model = Begins()
    assert model.training is mode
    with in_mode(model, training=not mode):
        assert model.training is not mode
    assert model.train(not mode).training is not mode


def test_training_learns_the_same_while_another_thread_predicts(often):
    def learnt(model, rounds=5):
        fitted = trainer(model)
        for number in range(rounds):  # each captures a step
            fitted.fit(X, Y, epochs=1, batch_size=8 + number, progress=False)
        return weights(model)

    alone = learnt(network())
    for _ in range(3):
        model = network()
        found, _ = elsewhere(lambda: learnt(model), lambda: [model.predict(X[:n], backend="reference") for n in range(1, 20)])  # noqa: B023
        np.testing.assert_array_equal(found, alone)


def test_eager_calls_drop_units_while_another_thread_predicts():
    inside, done = threading.Event(), threading.Event()
    model = network()

    def wait(module, output):
        inside.set()
        done.wait(60)

    def predict():
        with nn.observing(wait):
            return model.predict(X[:3], backend="reference")

    def call():
        inside.wait(60)
        cr.manual_seed(0)
        output = model(X[:3]).numpy()
        done.set()
        return output

    predicted, called = elsewhere(predict, call)
    cr.manual_seed(0)
    np.testing.assert_array_equal(called, model(X[:3]).numpy())
    np.testing.assert_allclose(predicted, model.eval()(X[:3]).numpy(), rtol=1e-6)


# -------------------------------------------------------------------------------------------- programs
@pytest.mark.parametrize("compiled", [False, True], ids=["predict", "compile"])
def test_threads_that_come_first_together_make_one_program(monkeypatch, compiled):
    ran = []

    model = network(Hooked()).eval()
    monkeypatch.setattr(hooks, "forward", lambda: (ran.append(1), time.sleep(0.05)))
    run = cr.compile(model, backend="reference") if compiled else lambda x: model.predict(x, backend="reference")
    together = threading.Barrier(3)

    def first():
        together.wait(60)
        return np.asarray(run(X))

    for found in elsewhere(first, first, first):
        np.testing.assert_array_equal(found, np.asarray(run(X)))
    assert len(ran) == 1


def test_a_program_of_before_a_change_does_not_come_after_it(monkeypatch):
    model = network(nn.LeakyReLU(0.1))
    model.predict(X, backend="reference")
    found, changed = threading.Event(), threading.Event()
    get, refresh = Programs.get, Forward.refresh
    other = threading.Thread(target=lambda: model.predict(X, backend="reference"), daemon=True)

    def slow_get(programs, *args):
        program = get(programs, *args)
        if threading.current_thread() is other:
            found.set()
            changed.wait(60)
        return program

    def slow_refresh(forward):
        refresh(forward)
        if threading.current_thread() is not other:
            changed.set()
            other.join(60)

    monkeypatch.setattr(Programs, "get", slow_get)
    monkeypatch.setattr(Forward, "refresh", slow_refresh)
    other.start()
    found.wait(60)
    model[1].negative_slope = 0.5
    after = model.predict(X, backend="reference")
    np.testing.assert_allclose(after, model.eval()(X).numpy(), rtol=1e-5, atol=1e-6)


# -------------------------------------------------------------------------------------------- one Trainer
def test_a_second_fit_of_a_trainer_is_refused_while_another_thread_fits():
    model = network()
    fitted = trainer(model)

    class Second(Callback):
        def on_epoch(self, trainer, row):
            with pytest.raises(cr.errors.ArgumentError, match=r"is fitting already, in another thread; .* Wait for"):
                elsewhere_raising(lambda: fitted.fit(X, Y, epochs=1, progress=False))

    fitted.fit(X, Y, epochs=3, callbacks=[Second()], progress=False)
    alone = trainer(network())
    alone.fit(X, Y, epochs=3, callbacks=[Callback()], progress=False)
    assert fitted.epoch == 3
    np.testing.assert_array_equal(weights(model), weights(alone.model))
    elsewhere(lambda: fitted.fit(X, Y, epochs=1, progress=False))
    assert fitted.epoch == 4


def elsewhere_raising(call):
    caught = []

    def run():
        try:
            call()
        except Exception as error:
            caught.append(error)

    elsewhere(run)
    for error in caught:
        raise error


def test_a_trainer_fits_again_after_an_error():
    fitted = trainer(network())

    class Fails(Callback):
        def on_epoch(self, trainer, row):
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fitted.fit(X, Y, epochs=1, callbacks=[Fails()], progress=False)
    elsewhere(lambda: fitted.fit(X, Y, epochs=1, progress=False))


def test_a_callback_may_fit():
    fitted = trainer(network())

    class Nested(Callback):
        def on_epoch(self, trainer, row):
            if trainer.epoch == 1:
                trainer.fit(X, Y, epochs=1, progress=False)

    fitted.fit(X, Y, epochs=3, callbacks=[Nested()], progress=False)
    assert fitted.epoch == 3
