"""The options of Trainer.fit, evaluate and predict, and what happens when they or the data are wrong."""

import warnings

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.errors import ArgumentError, DataError, NonFiniteLoss, ShapeError
from chainrule.train import METRICS, Callback, History, Metric

rng = np.random.default_rng(0)
X = rng.normal(size=(30, 2))
LABELS = (X[:, 0] > 0).astype(int)


# Options of a fit are the same on every backend; where steps and values are what is tested, the tests ask for the fastest one.
def classifier(lr=0.1, outputs=2, backend="reference"):
    cr.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 8, dtype="float64"), nn.Tanh(), nn.Linear(8, outputs, dtype="float64"))
    adam = optim.Adam(model.parameters(), lr=lr)
    return cr.Trainer(model, nn.CrossEntropyLoss(), adam, metrics=["accuracy"], backend=backend)


def regressor(loss=None, lr=0.05, backend="reference"):
    cr.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 1, dtype="float64"))
    sgd = optim.SGD(model.parameters(), lr=lr)
    return cr.Trainer(model, loss or nn.MSELoss(), sgd, metrics=["mae", "mse", "rmse"], backend=backend)


def quiet(trainer, *args, **settings):
    return trainer.fit(*args, progress=False, **settings)


def message(kind, function, *args, **settings):
    with pytest.raises(kind) as error:
        function(*args, **settings)
    return str(error.value)


# ---------------------------------------------------------------------------------------- options
def test_history_has_values_per_step_and_per_epoch():
    history = quiet(classifier(backend="auto"), X, LABELS, epochs=3, batch_size=8, validation_data=(X[:7], LABELS[:7]))
    assert len(history.step_loss) == 12
    assert history.columns == ["epoch", "loss", "accuracy", "lr", "seconds", "val_loss", "val_accuracy"]
    assert history["epoch"] == [1, 2, 3]
    sizes = np.array([8, 8, 8, 6])
    for k in range(3):
        steps = np.array(history.step_loss[4 * k : 4 * k + 4])
        assert history["loss"][k] == pytest.approx((steps * sizes).sum() / 30, rel=1e-12)
    assert history["lr"] == [0.1] * 3
    assert history.stopped == ""
    assert History.from_dict(history.to_dict()) == history
    assert repr(history).startswith(f"<History of 3 epochs; last: loss {history['loss'][2]:.4g}, accuracy ")
    assert repr(History()) == "<History of 0 epochs>"


def test_lr_is_the_rate_of_the_epoch_itself():
    schedule = cr.LearningRate(optim.ExponentialLR(gamma=0.5))
    history = quiet(classifier(lr=0.4), X, LABELS, epochs=3, callbacks=[schedule])
    assert history["lr"] == [0.4, 0.2, 0.1]


def test_evaluate_and_predict_by_hand():
    trainer = regressor(backend="auto")
    y = X @ [1.0, -2.0]
    quiet(trainer, X, y, epochs=5)
    outputs = trainer.predict(X)
    W, b = (p.numpy() for p in trainer.model.parameters())
    np.testing.assert_allclose(outputs, X @ W.T + b, rtol=1e-12)
    error = outputs[:, 0] - y
    expected = {"loss": (error**2).mean(), "mae": abs(error).mean(), "mse": (error**2).mean(), "rmse": (error**2).mean() ** 0.5}
    assert trainer.evaluate(X, y) == pytest.approx(expected, rel=1e-12)


def test_evaluate_weighs_samples():
    trainer, s = classifier(backend="auto"), rng.uniform(size=30)
    z = trainer.predict(X)
    losses = np.log(np.exp(z).sum(1)) - z[np.arange(30), LABELS]
    hits = z.argmax(1) == LABELS
    found = trainer.evaluate(X, LABELS, s)
    assert found == pytest.approx({"loss": (s * losses).sum() / s.sum(), "accuracy": (s * hits).sum() / s.sum()}, rel=1e-12)


def test_many_samples_are_evaluated_in_parts():
    trainer, many = classifier(backend="auto"), np.tile(X, (90, 1))
    assert len(many) > 2 * 1024
    np.testing.assert_allclose(trainer.predict(many), np.tile(trainer.predict(X), (90, 1)), rtol=1e-12)
    expected = trainer.evaluate(X, LABELS)
    assert trainer.evaluate(many, np.tile(LABELS, 90)) == pytest.approx(expected, rel=1e-12)


def test_a_sample_of_weight_two_counts_as_two_samples():
    s = np.ones(30)
    s[:10] = 2.0
    one, two = regressor(), regressor()
    y = X @ [1.0, -2.0]
    quiet(one, X, y, epochs=3, batch_size=None, sample_weight=s)
    quiet(two, np.concatenate([X, X[:10]]), np.concatenate([y, y[:10]]), epochs=3, batch_size=None)
    np.testing.assert_allclose(one.predict(X), two.predict(X), rtol=1e-12)


@pytest.mark.parametrize("class_weight", ["balanced", {0: 30 / (2 * 12), 1: 30 / (2 * 18)}])
def test_class_weight(class_weight):
    labels = np.array([0] * 12 + [1] * 18)
    s = np.where(labels == 0, 30 / (2 * 12), 30 / (2 * 18))
    one, two = classifier(), classifier()
    a = quiet(one, X, labels, epochs=3, batch_size=7, class_weight=class_weight)
    b = quiet(two, X, labels, epochs=3, batch_size=7, sample_weight=s)
    assert a.step_loss == b.step_loss
    assert a.step_loss != quiet(classifier(), X, labels, epochs=3, batch_size=7).step_loss


def test_validation_split_keeps_the_held_out_samples_out_of_training():
    trainer = regressor()
    marked = X.copy()
    history = quiet(trainer, marked, X @ [1.0, 2.0], epochs=2, batch_size=1, validation_split=0.3, seed=4)
    assert len(history.step_loss) == 2 * 21
    assert len(history["val_loss"]) == 2
    order = np.random.default_rng([4, 0]).permutation(30)
    kept, held = np.sort(order[9:]), np.sort(order[:9])
    twin = regressor()
    other = quiet(
        twin, X[kept], X[kept] @ [1.0, 2.0], epochs=2, batch_size=1, validation_data=(X[held], X[held] @ [1.0, 2.0]), seed=4
    )
    assert other.step_loss == history.step_loss
    assert other["val_loss"] == history["val_loss"]


def test_without_shuffle_the_samples_come_in_order():
    history = quiet(regressor(lr=0.0, backend="auto"), X, np.zeros(30), epochs=2, batch_size=1, shuffle=False)
    expected = regressor().predict(X)[:, 0] ** 2
    np.testing.assert_allclose(history.step_loss, np.tile(expected, 2), rtol=1e-12)


def test_with_shuffle_every_epoch_takes_every_sample_once_in_its_own_order():
    history = quiet(regressor(lr=0.0), X, np.zeros(30), epochs=2, batch_size=1)
    first, second = history.step_loss[:30], history.step_loss[30:]
    assert first != second
    np.testing.assert_allclose(np.sort(first), np.sort(second), rtol=1e-12)
    again = quiet(regressor(lr=0.0), X, np.zeros(30), epochs=1, batch_size=1, seed=1)
    assert again.step_loss != first


def test_a_second_fit_goes_on():
    one, two = (classifier(backend="auto") for _ in range(2))
    quiet(one, X, LABELS, epochs=6, batch_size=8)
    quiet(two, X, LABELS, epochs=2, batch_size=8)
    quiet(two, X, LABELS, epochs=4, batch_size=8)
    assert one.history.step_loss == two.history.step_loss
    assert two.history["epoch"] == [1, 2, 3, 4, 5, 6]


def test_weights_that_the_user_changes_between_fits_are_used():
    trainer = regressor(lr=0.0, backend="auto")
    quiet(trainer, X, np.zeros(30), epochs=1)
    trainer.model[0].weight.assign(np.zeros((1, 2)))
    trainer.model[0].bias.assign([3.0])
    assert trainer.evaluate(X, np.zeros(30))["loss"] == 9.0
    assert quiet(trainer, X, np.zeros(30), epochs=1)["loss"][-1] == pytest.approx(9.0, rel=1e-12)


def test_no_epochs():
    trainer = classifier()
    before = trainer.model.state_dict()
    assert len(quiet(trainer, X, LABELS, epochs=0)) == 0
    for name, array in trainer.model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def test_lists_tensors_and_other_dtypes_are_taken():
    history = quiet(classifier(), X, LABELS, epochs=2)
    for inputs, targets in ((X.tolist(), LABELS.tolist()), (cr.tensor(X), cr.tensor(LABELS)), (X, LABELS.astype(float))):
        assert quiet(classifier(), inputs, targets, epochs=2).step_loss == history.step_loss


def test_one_hot_targets_and_class_numbers_are_the_same():
    one_hot = np.eye(2)[LABELS]
    a, b = classifier(), classifier()
    quiet(a, X, LABELS, epochs=3)
    quiet(b, X, one_hot, epochs=3)
    np.testing.assert_allclose(a.history["loss"], b.history["loss"], rtol=1e-12)
    assert a.history["accuracy"] == b.history["accuracy"]


def test_embeddings_take_integers():
    cr.manual_seed(0)
    model = nn.Sequential(nn.Embedding(5, 4), nn.Flatten(), nn.Linear(8, 2))
    trainer = cr.Trainer(model, nn.CrossEntropyLoss(), optim.Adam(model.parameters(), lr=0.1), backend="reference")
    tokens = rng.integers(0, 5, (40, 2))
    history = quiet(trainer, tokens, (tokens[:, 0] > 2).astype(int), epochs=20)
    assert history["loss"][-1] < 0.1 * history["loss"][0]


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_can_be_asked_for(name):
    model = nn.Sequential(nn.Linear(2, 1))
    trainer = cr.Trainer(model, nn.BCEWithLogitsLoss(), optim.SGD(model.parameters()), metrics=[name], backend="reference")
    assert quiet(trainer, X, LABELS, epochs=1, validation_data=(X, LABELS)).columns[2] == name


def test_a_metric_of_ones_own():
    worst = Metric("worst", lambda output, target, loss: abs(output - target).max(axis=1))
    model = nn.Sequential(nn.Linear(2, 1, dtype="float64"))
    trainer = cr.Trainer(model, nn.MSELoss(), optim.SGD(model.parameters()), metrics=[worst])
    assert trainer.evaluate(X, np.zeros(30))["worst"] == pytest.approx(abs(trainer.predict(X)).mean(), rel=1e-12)


# ---------------------------------------------------------------------------------------- NaN and infinity
def diverging():
    cr.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 4, dtype="float64"), nn.Linear(4, 1, dtype="float64"))
    return cr.Trainer(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=1e3))


@pytest.mark.parametrize("batch_size, callbacks", [(None, []), (10, []), (10, [Callback()])])
def test_a_loss_that_is_not_finite_names_epoch_and_step_and_keeps_the_last_good_weights(batch_size, callbacks):
    trainer = diverging()
    found = message(NonFiniteLoss, quiet, trainer, X, X[:, 0], epochs=500, batch_size=batch_size, callbacks=callbacks)
    steps = len(trainer.history.step_loss)
    per_epoch = 1 if batch_size is None else 3
    assert found.startswith(
        f"the loss became inf in epoch {(steps - 1) // per_epoch + 1}, step {(steps - 1) % per_epoch + 1}: "
    )
    assert "the weights have blown up: the largest is" in found
    assert found.endswith("The learning rate 1e+03 is too high: use a smaller one, or limit the gradients with clip_norm=1.0.")
    assert np.isfinite(trainer.history.step_loss[:-1]).all()
    assert len(trainer.history) == (steps - 1) // per_epoch or not callbacks
    kept = trainer.model.state_dict()
    assert all(np.isfinite(a).all() for a in kept.values())
    twin = diverging()
    with pytest.raises(NonFiniteLoss):
        quiet(twin, X, X[:, 0], epochs=500, batch_size=batch_size, until_loss=-1.0, validation_data=(X, X[:, 0]))
    for name, array in twin.model.state_dict().items():
        np.testing.assert_array_equal(array, kept[name])


class RootOfNothing(nn.Module):
    """√(w − w): finite, with a derivative that is not."""

    def __init__(self):
        self.w = cr.parameter([1.0])
        self.other = cr.parameter([1.0])

    def forward(self, x):
        return x * self.other + cr.sqrt(self.w - 1.0)


@pytest.mark.parametrize("validation", [None, (np.ones((2, 1)), np.ones(2))])
def test_a_parameter_that_is_not_finite_is_noticed_though_the_loss_is_fine(validation):
    model = RootOfNothing()
    trainer = cr.Trainer(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.1))
    found = message(NonFiniteLoss, quiet, trainer, np.ones((4, 1)), np.zeros(4), batch_size=None, validation_data=validation)
    assert found.startswith("a parameter became NaN or infinite in epoch 1, step 1: on the way back to w")
    assert "(division by 0); it must be finite" in found
    assert trainer.history.step_loss.tolist() == [1.0]
    assert model.w.numpy() == [1.0]
    assert model.other.numpy() == [1.0]


# ---------------------------------------------------------------------------------------- bad input
NOT_FINITE = X.copy()
NOT_FINITE[3, 1] = np.nan
BAD_DATA = [
    (DataError, NOT_FINITE, LABELS, "X holds nan at index (3, 1); every value must be finite. Fill or leave out"),
    (DataError, np.where(X > 1, np.inf, X), LABELS, "X holds inf at index"),
    (DataError, X[:0], LABELS[:0], "X has the shape (0, 2); it must hold at least one sample"),
    (DataError, 5.0, LABELS, "X has the shape (); it must hold at least one sample"),
    (DataError, X.astype(str), LABELS, "it must hold numbers. Encode words with chainrule.data.FeatureEncoder"),
    (DataError, [[1.0], [1.0, 2.0]], [0, 1], "X is not an array"),
    (ShapeError, X, LABELS[:-1], "X has 30 samples and y has the shape (29,); both need one row per sample"),
    (ShapeError, X, 1, "X has 30 samples and y has the shape ()"),
    (ShapeError, X[:, :1], LABELS, "(1, 1)"),
    (DataError, X, LABELS + 0.5, "y holds 1.5; CrossEntropyLoss takes class numbers 0, 1, …"),
    (DataError, X, np.where(LABELS, np.nan, 0), "y holds nan at index"),
    (
        ArgumentError,
        X,
        LABELS + 1,
        "CrossEntropyLoss got the class number 2 for outputs with 2 classes; class numbers go from 0 to 1",
    ),
    (ArgumentError, X, LABELS - 1, "CrossEntropyLoss got the class number -1"),
    (ShapeError, X, np.zeros((30, 3)), "CrossEntropyLoss got outputs of shape (30, 2) and class numbers of shape (30, 3)"),
]


@pytest.mark.parametrize("kind, inputs, targets, text", BAD_DATA)
def test_bad_data(kind, inputs, targets, text):
    trainer = classifier()
    assert text in message(kind, quiet, trainer, inputs, targets)
    assert text in message(kind, quiet, trainer, X, LABELS, validation_data=(inputs, targets))
    assert text in message(kind, trainer.evaluate, inputs, targets)
    assert not trainer.history.epochs


def test_numbers_too_large_for_the_model():
    model = nn.Sequential(nn.Linear(1, 1))
    trainer = cr.Trainer(model, nn.MSELoss(), optim.SGD(model.parameters()))
    assert message(DataError, quiet, trainer, [[1.0], [1e300]], [1.0, 1.0]) == (
        "X holds 1e+300; the model computes in float32, whose largest number is 3.403e+38. "
        "Scale the data, or make the layers with dtype='float64'."
    )
    assert message(DataError, quiet, trainer, [[1.0], [1.0]], [1.0, -1e39]).startswith("y holds -1e+39; the model computes")


BAD_SETTINGS = [
    ({"epochs": -1}, "fit got epochs=-1; it must be an integer ≥ 0"),
    ({"epochs": 2.5}, "fit got epochs=2.5"),
    ({"batch_size": 0}, "fit got batch_size=0; it must be an integer ≥ 1"),
    ({"sampler": "wrong"}, "sampler='wrong' was given; it is 'all' or 'misclassified'"),
    ({"until_loss": float("nan")}, "until_loss is NaN; it is the loss to reach"),
    ({"seed": -1}, "the seed -1 was given"),
    ({"validation_split": 1.0}, "validation_split=1.0 was given for 30 samples; both parts must hold at least one"),
    ({"validation_split": 0.001}, "validation_split=0.001 was given"),
    ({"validation_split": -0.5}, "validation_split=-0.5 was given"),
    ({"validation_split": 0.5, "validation_data": (X, LABELS)}, "validation_data and validation_split were both given"),
    ({"validation_data": (X,)}, "validation_data is 1 parts; it is (X, y) or (X, y, sample_weight)"),
    ({"validation_data": X}, "validation_data is ndarray"),
    ({"class_weight": "even"}, "class_weight='even' was given; it is 'balanced' or a mapping"),
    ({"class_weight": {0: 1.0}}, "class_weight has no entry for class 1; it needs every class"),
    ({"class_weight": {0: 1.0, 1: -2.0}}, "weights are finite, ≥ 0 and not all 0"),
    ({"sample_weight": -np.ones(30)}, "sample_weight holds a negative number, NaN or an infinity, or only zeros"),
    ({"sample_weight": np.zeros(30)}, "or only zeros"),
    ({"sample_weight": np.ones(3)}, "sample_weight has the shape (3,); it must be (30,), one per sample"),
    ({"sample_weight": ["a"] * 30}, "sample_weight has the dtype <U1; it must hold numbers"),
    (
        {"callbacks": [cr.EarlyStopping()]},
        "EarlyStopping watches 'val_loss'; the values of an epoch are epoch, loss, accuracy, lr",
    ),
]


@pytest.fixture(scope="module")
def fitted():
    trainer = classifier(backend="reference")
    quiet(trainer, X, LABELS, epochs=1)
    return trainer


@pytest.mark.parametrize("settings, text", BAD_SETTINGS, ids=[str(s)[:40] for s, _ in BAD_SETTINGS])
def test_bad_settings(settings, text, fitted):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for trainer in (classifier(), fitted):
            assert text in message((ArgumentError, ShapeError, DataError), quiet, trainer, X, LABELS, **settings)


def test_a_bad_seed_of_a_split():
    assert "the seed -1 was given" in message(ArgumentError, quiet, classifier(), X, LABELS, validation_split=0.2, seed=-1)


def test_the_backend_of_a_trainer_stays():
    trainer = classifier(backend="native")
    with pytest.raises(ArgumentError) as caught:
        trainer.backend = "reference"
    assert str(caught.value) == (
        "the backend of a Trainer was set to 'reference'; its programs are compiled for 'native'. Make a Trainer with "
        "backend='reference'; with the same model and optimizer it continues from their values."
    )
    assert trainer.backend == "native"


def test_class_weight_for_numbers():
    assert "class_weight was given for targets that are not one class per sample" in message(
        ArgumentError, quiet, regressor(), X, X[:, 0], class_weight="balanced"
    )


def test_an_unknown_metric_backend_or_optimiser_of_another_model():
    model, other = nn.Linear(2, 1), nn.Linear(2, 1)
    sgd = optim.SGD(model.parameters())
    text = message(ArgumentError, cr.Trainer, model, nn.MSELoss(), sgd, metrics=["acuracy"])
    assert text == (
        "the metric 'acuracy' was asked for; there are accuracy, mae, mse, rmse. "
        "Or pass a function (output, target), or a Metric."
    )
    assert "the backend 'gpu' was asked for" in message(ArgumentError, cr.Trainer, model, nn.MSELoss(), sgd, backend="gpu")
    assert "threads=0 was given; it must be a whole number" in message(
        ArgumentError, cr.Trainer, model, nn.MSELoss(), sgd, threads=0
    )
    assert message(ArgumentError, cr.Trainer, other, nn.MSELoss(), sgd) == (
        "the optimiser learns 2 parameters that the model does not have; a trainer learns its own model. "
        "Make the optimiser from model.parameters(), after the last change of the model."
    )


def test_a_failed_fit_changes_nothing():
    trainer = classifier()
    before = trainer.model.state_dict()
    message(DataError, quiet, trainer, NOT_FINITE, LABELS)
    for name, array in trainer.model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])
    quiet(trainer, X, LABELS, epochs=1)
    assert trainer.history.step_loss == quiet(classifier(), X, LABELS, epochs=1).step_loss
