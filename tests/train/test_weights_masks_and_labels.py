"""Every loss and metric with weights, ignored targets, smoothing, several labels and several outputs; beside PyTorch and
scikit-learn."""

import itertools

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.errors import ArgumentError, DTypeError, ShapeError
from chainrule.train import METRICS, Metric

RNG = np.random.default_rng(0)
SCORES, LABELS = RNG.normal(size=(6, 4)), np.array([0, 3, -1, 2, -1, 1])
MAPS, PLACES = RNG.normal(size=(3, 4, 2, 2)), RNG.integers(-1, 4, size=(3, 2, 2))
MIXED = RNG.dirichlet(np.ones(4), size=6)
WEIGHT = [1.0, 0.5, 0.0, 2.0]


def _torch_value_and_gradient(make, output, target):
    torch = pytest.importorskip("torch", reason="values are compared with PyTorch's")
    scores = torch.tensor(output, requires_grad=True)
    value = make(torch)(scores, torch.tensor(target))
    value.sum().backward()
    return value.detach().numpy(), scores.grad.numpy()


@pytest.mark.parametrize(
    ("reduction", "weight", "smoothing", "data"),
    [*itertools.product(["mean", "sum", "none"], [None, WEIGHT], [0.0, 0.2], ["rows", "maps", "distributions"])],
)
def test_cross_entropy_in_every_combination_equals_torch(reduction, weight, smoothing, data):
    output, target = {"rows": (SCORES, LABELS), "maps": (MAPS, PLACES), "distributions": (SCORES, MIXED)}[data]

    def make(torch):
        own = None if weight is None else torch.tensor(weight, dtype=torch.float64)
        return torch.nn.CrossEntropyLoss(own, ignore_index=-1, reduction=reduction, label_smoothing=smoothing)

    expected, gradient = _torch_value_and_gradient(make, output, target)
    scores = cr.parameter(output)
    value = nn.CrossEntropyLoss(weight, None if data == "distributions" else -1, reduction, smoothing)(scores, target)
    value.sum().backward()
    np.testing.assert_allclose(value.numpy(), expected, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(scores.grad.numpy(), gradient, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("loss", [nn.CrossEntropyLoss(ignore_index=-1), nn.NLLLoss(ignore_index=-1)], ids=repr)
@pytest.mark.parametrize("compiled", [False, True])
def test_the_mean_over_ignored_targets_alone_is_0(loss, compiled):
    def value_and_gradient(scores):
        value = loss(scores, np.array([-1, -1]))
        return value, cr.grad(value, [scores])[0]

    value, gradient = (cr.compile(value_and_gradient) if compiled else value_and_gradient)(cr.tensor(np.ones((2, 3))))
    assert value.item() == 0.0
    assert gradient.tolist() == [[0.0] * 3] * 2


@pytest.mark.parametrize("name", nn.LOSSES)
def test_the_mean_with_weights_of_0_alone_is_0(name):
    loss = nn.LOSSES[name]()
    classes = loss.takes_classes((2, 3), (2,))
    target = np.array([0, 2]) if classes else np.ones((2, 3))
    output = cr.parameter(np.full((2, 3), 0.5))
    value = loss(output, target, np.zeros(2))
    value.backward()
    assert value.item() == 0.0
    assert not output.grad.numpy().any()


# ---------------------------------------------------------------------------------------- batches that count nothing
def trainer(loss, outputs=1, metrics=(), optimizer=optim.SGD, **settings):
    cr.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, outputs, dtype="float64"))
    settings = settings or {"lr": 0.1}
    return cr.Trainer(model, loss, optimizer(model.parameters(), **settings), metrics=metrics, backend="reference")


X = RNG.normal(size=(32, 2))
FIRST_IGNORED = np.r_[[-1] * 8, [0, 1, 2] * 8]


@pytest.mark.parametrize("backend", ["reference", "native"])
@pytest.mark.parametrize("kind", ["weights", "ignored", "class weights"])
def test_a_batch_that_counts_nothing_takes_no_step(kind, backend):
    """Momentum and weight decay would move the weights in a step with a gradient of 0."""
    weights, labels, weight, ignored = np.ones(32), FIRST_IGNORED, None, -1
    if kind == "weights":
        weights, labels = (FIRST_IGNORED != -1).astype(float), np.maximum(FIRST_IGNORED, 0)
    elif kind == "class weights":
        labels, weight, ignored = FIRST_IGNORED + 1, [0.0, 1.0, 1.0, 1.0], None

    def fit(rows):
        cr.manual_seed(0)
        model = nn.Sequential(nn.Linear(2, 4, dtype="float64"))
        optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)
        loss = nn.CrossEntropyLoss(weight, ignored)
        t = cr.Trainer(model, loss, optimizer, metrics=["accuracy"], backend=backend)
        settings = {"batch_size": 8, "shuffle": False, "progress": False, "sample_weight": weights[rows]}
        t.fit(X[rows], labels[rows], epochs=2, **settings)
        return t

    whole, counting = fit(np.arange(32)), fit(np.arange(8, 32))
    assert [loss == 0 for loss in whole.history.step_loss] == [True, False, False, False] * 2
    np.testing.assert_array_equal(whole.model[0].weight.numpy(), counting.model[0].weight.numpy())
    if kind != "class weights":
        assert whole.history["loss"] == pytest.approx(counting.history["loss"], rel=1e-12)
        assert whole.history["accuracy"] == pytest.approx(counting.history["accuracy"], rel=1e-12)


def test_a_last_batch_that_counts_nothing_does_not_reach_the_wanted_loss():
    t = trainer(nn.MSELoss())
    s = np.r_[np.ones(24), np.zeros(8)]
    t.fit(X, X[:, 0] + 5, epochs=2, batch_size=8, shuffle=False, sample_weight=s, until_loss=1e-9, progress=False)
    assert len(t.history.step_loss) == 8
    assert not t.history.stopped


def test_a_breakdown_after_a_batch_that_counts_nothing_names_its_step():
    t = trainer(nn.MSELoss(), lr=1e200)
    s = np.r_[np.zeros(8), np.ones(24)]
    with pytest.raises(cr.errors.NonFiniteLoss, match="in epoch 1, step 3"):
        t.fit(X, X[:, 0], epochs=2, batch_size=8, shuffle=False, sample_weight=s, progress=False)


def test_targets_of_which_none_counts_are_refused():
    with pytest.raises(ArgumentError, match="every target is ignored or has the weight 0; at least one sample must count"):
        trainer(nn.CrossEntropyLoss(ignore_index=-1), 3).fit(X, np.full(32, -1), progress=False)
    with pytest.raises(ArgumentError, match="every target is ignored"):
        trainer(nn.CrossEntropyLoss(ignore_index=-1), 3).evaluate(X, np.full(32, -1))


def test_the_misclassified_sampler_leaves_out_what_counts_nothing():
    t = trainer(nn.CrossEntropyLoss(ignore_index=-1), 3)
    t.fit(X, FIRST_IGNORED, epochs=1, sampler="misclassified", progress=False)
    assert all(loss > 0 for loss in t.history.step_loss)


# ---------------------------------------------------------------------------------------- metrics
def identity(outputs, loss, metrics):
    model = nn.Sequential(nn.Linear(outputs, outputs, bias=False, init=np.eye(outputs), dtype="float64"))
    return cr.Trainer(model, loss, optim.SGD(model.parameters()), metrics=metrics, backend="reference")


@pytest.mark.parametrize("weighted", [False, True])
def test_accuracy_and_loss_leave_ignored_targets_out(weighted):
    metrics = pytest.importorskip("sklearn.metrics", reason="measures are compared with scikit-learn's")
    s = RNG.uniform(0.5, 2.0, 6) if weighted else np.ones(6)
    kept = LABELS != -1
    found = identity(4, nn.CrossEntropyLoss(ignore_index=-1), ["accuracy"]).evaluate(SCORES, LABELS, s)
    p = np.exp(SCORES) / np.exp(SCORES).sum(axis=1, keepdims=True)
    guesses = SCORES.argmax(axis=1)
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(LABELS[kept], guesses[kept], sample_weight=s[kept]))
    expected = metrics.log_loss(LABELS[kept], p[kept], sample_weight=s[kept], labels=range(4))
    assert found["loss"] == pytest.approx(expected, rel=1e-12)


def test_accuracy_of_maps_counts_every_place_that_is_not_ignored():
    kept = PLACES != -1
    right = (MAPS.argmax(axis=1) == PLACES)[kept]
    model = nn.Sequential(nn.Conv2d(4, 4, 1, bias=False, dtype="float64"))
    model[0].weight.assign(np.eye(4).reshape(4, 4, 1, 1))
    t = cr.Trainer(model, nn.CrossEntropyLoss(ignore_index=-1), optim.SGD(model.parameters()), metrics=["accuracy"])
    assert t.evaluate(MAPS, PLACES)["accuracy"] == pytest.approx(right.mean())


@pytest.mark.parametrize(
    ("scores", "labels", "expected"),
    [
        ([[3.0, 2, -1], [-1, 2, 3], [4, -2, 1], [1, 2, 3]], [[1, 1, 0], [0, 1, 1], [1, 0, 1], [1, 1, 1]], 1.0),
        ([[9.0, -8, -7], [-5, 9, -6]], [[1, 1, 1], [1, 1, 1]], 2 / 6),
    ],
)
def test_accuracy_of_several_labels_counts_each_label(scores, labels, expected):
    found = identity(3, nn.BCEWithLogitsLoss(), ["accuracy"]).evaluate(scores, labels)
    assert found["accuracy"] == pytest.approx(expected)
    signs = 2.0 * np.array(labels) - 1.0
    assert identity(3, nn.HingeLoss(), ["accuracy"]).evaluate(scores, signs)["accuracy"] == pytest.approx(expected)


def test_accuracy_of_distributions_is_that_of_their_largest_class():
    found = identity(4, nn.CrossEntropyLoss(), ["accuracy"]).evaluate(SCORES, MIXED)
    assert found["accuracy"] == np.mean(SCORES.argmax(axis=1) == MIXED.argmax(axis=1))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("outputs", [1, 3])
def test_measures_of_numbers_equal_scikit_learn(outputs, weighted):
    metrics = pytest.importorskip("sklearn.metrics", reason="measures are compared with scikit-learn's")
    output, target = RNG.normal(size=(2, 10, outputs))
    s = RNG.uniform(0.5, 2.0, 10) if weighted else None
    found = identity(outputs, nn.MSELoss(), ["mae", "mse", "rmse"]).evaluate(output, target, s)
    expected = metrics.mean_squared_error(target, output, sample_weight=s)
    assert found["mse"] == found["loss"] == pytest.approx(expected, rel=1e-12)
    assert found["rmse"] == pytest.approx(expected**0.5, rel=1e-12)  # of all outputs together, not the mean of one for each
    assert found["mae"] == pytest.approx(metrics.mean_absolute_error(target, output, sample_weight=s), rel=1e-12)


@pytest.mark.parametrize("name", [name for name in METRICS if name != "accuracy"])
def test_measures_of_numbers_refuse_class_numbers(name):
    with pytest.raises(ArgumentError, match=r"was asked for with CrossEntropyLoss; they compare numbers, .* 'accuracy'"):
        identity(4, nn.CrossEntropyLoss(), [name]).evaluate(SCORES, np.maximum(LABELS, 0))


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e6])
def test_the_accuracy_of_right_answers_is_1_whatever_their_weights(scale):
    s = scale * np.random.default_rng(2).random(11)
    found = identity(3, nn.BCEWithLogitsLoss(), ["accuracy"])
    found.model[0].weight.assign(np.eye(3))
    assert found.evaluate(np.ones((11, 3)), np.ones((11, 3)), s)["accuracy"] == 1.0


# ---------------------------------------------------------------------------------------- weights of classes
@pytest.mark.parametrize("class_weight", ["balanced", {0: 1.0, 1: 1.0, 2: 1.0}])
def test_class_weights_do_not_ask_for_the_ignored_class(class_weight):
    t, plain = (trainer(nn.CrossEntropyLoss(ignore_index=-1), 3) for _ in range(2))
    t.fit(X, FIRST_IGNORED, epochs=1, class_weight=class_weight, progress=False)
    plain.fit(X, FIRST_IGNORED, epochs=1, progress=False)  # each class occurs 8 times
    np.testing.assert_allclose(t.model[0].weight.numpy(), plain.model[0].weight.numpy(), rtol=1e-12)


# ---------------------------------------------------------------------------------------- plain functions
def quartic(output, target):
    return (output - target) ** 4


class Quartic(nn.Loss):
    """A loss whose elements have no weights."""

    def elements(self, output, target):
        """The fourth power."""
        return quartic(output, target)


def largest(output, target):
    return abs(output - target).max()


def test_a_function_is_a_loss_and_a_metric():
    functions = [quartic, lambda o, t: quartic(o, t).mean(), Quartic()]
    fits = [trainer(loss, metrics=[largest, "mae"], lr=0.001) for loss in functions]
    for t in fits:
        t.fit(X, X[:, 0], epochs=3, batch_size=5, progress=False)
        assert [*t.history.columns][:4] == ["epoch", "loss", "largest", "mae"]
        expected = quartic(t.predict(X)[:, 0], X[:, 0]).mean()
        assert t.evaluate(X, X[:, 0])["loss"] == pytest.approx(expected, rel=1e-12)
        assert t.evaluate(X, X[:, 0])["largest"] == pytest.approx(abs(t.predict(X)[:, 0] - X[:, 0]).max(), rel=1e-12)
    for t in fits[1:]:
        np.testing.assert_allclose(t.model[0].weight.numpy(), fits[0].model[0].weight.numpy(), rtol=1e-10)


def test_a_function_of_class_numbers_is_a_loss():
    def cross_entropy(scores, labels):
        return cr.softmax_with_loss(scores, cr.one_hot(labels, 3, scores.dtype), axis=1)

    labels = np.maximum(FIRST_IGNORED, 0)
    own, ours = trainer(cross_entropy, 3, ["accuracy"]), trainer(nn.CrossEntropyLoss(), 3, ["accuracy"])
    for t in (own, ours):
        t.fit(X, labels, epochs=2, sample_weight=np.arange(1.0, 33.0), progress=False)
    assert own.history["loss"] == pytest.approx(ours.history["loss"], rel=1e-12)
    assert own.history["accuracy"] == ours.history["accuracy"]


class Flat(nn.Module):
    """Outputs (n,)."""

    def __init__(self):
        self.layer = nn.Linear(X.shape[1], 1, dtype="float64")

    def forward(self, x):
        """Without the last axis."""
        return self.layer(x).reshape(-1)


MIXING = {
    "loss": (lambda o, t: ((o - t) ** 2).mean(), [], "the loss <lambda>"),
    "loss per sample": (lambda o, t: ((o - t) ** 2).mean(axis=1), [], "the loss <lambda>"),
    "loss after a function of both": (lambda o, t: (cr.tanh(o) * t.astype("float32")).sum(), [], "the loss <lambda>"),
    "metric": (lambda o, t: quartic(o, t.reshape(-1)), [largest], "the metric largest"),
    "Metric": (lambda o, t: quartic(o, t.reshape(-1)), [Metric("own", lambda o, t, loss: quartic(o, t))], "the metric own"),
    "metric of ours": (lambda o, t: quartic(o, t.reshape(-1)), ["rmse"], "the metric rmse"),
}


@pytest.mark.parametrize("case", MIXING)
def test_outputs_that_meet_the_targets_of_other_samples_are_refused(case):
    loss, metrics, who = MIXING[case]
    model = Flat()
    fit = cr.Trainer(model, loss, optim.SGD(model.parameters(), lr=0.1), metrics=metrics)
    with pytest.raises(
        ShapeError, match=rf"{who} combined outputs of shape \(32,\) and targets of shape \(32, 1\) to \(32, 32\)"
    ):
        fit.fit(X, X[:, :1], epochs=1, batch_size=32, progress=False)


def test_pairs_of_samples_that_are_meant_are_a_loss():
    """Every output with every other, where samples have equal targets; and one number per class."""

    def contrast(output, target):
        column = target.reshape((-1, 1))
        return (abs(output - output.T) * (column == target.reshape((1, -1))).astype(output.dtype)).mean()

    for loss in (contrast, lambda o, t: (o - t.mean(axis=0)) ** 2, lambda o, t: (o.reshape(-1) - t.reshape(-1)) ** 2):
        trainer(loss).fit(X, X[:, 0], epochs=1, batch_size=8, progress=False)


def test_what_a_function_cannot_do(tmp_path):
    mean = trainer(lambda output, target: quartic(output, target).mean())
    with pytest.raises(ArgumentError, match=r"gives one number for a whole batch\. Let it return one loss per sample"):
        mean.fit(X, X[:, 0], sample_weight=np.arange(1.0, 33.0), progress=False)
    with pytest.raises(ArgumentError, match=r"the loss quartic is a function, which cannot be saved; .* Use save_model"):
        cr.save_trainer(trainer(quartic), tmp_path / "t.safetensors")
    with pytest.raises(DTypeError, match=r"the loss <lambda> returned a float; it gives a floating Tensor"):
        trainer(lambda output, target: 1.0).fit(X, X[:, 0], progress=False)
    with pytest.raises(ShapeError, match=r"the loss <lambda> returned the shape \(1,\) for 32 samples"):
        trainer(lambda output, target: quartic(output, target).mean(axis=0)).fit(X, X[:, 0], progress=False)
    with pytest.raises(ArgumentError, match=r"the class MSELoss was given as the loss; .* Write MSELoss\(\)"):
        trainer(nn.MSELoss)
    with pytest.raises(ArgumentError, match=r"'mse' was given as the loss; .* Write nn.MSELoss\(\)"):
        trainer("mse")


def test_metrics_that_are_none():
    with pytest.raises(ArgumentError, match=r"two metrics are called 'largest'; each needs a column of its own"):
        trainer(nn.MSELoss(), metrics=[largest, Metric("largest", lambda output, target, loss: output)])
    with pytest.raises(ArgumentError, match=r"the metric 'auc' was asked for; there are accuracy, mae, mse, rmse"):
        trainer(nn.MSELoss(), metrics=["auc"])
