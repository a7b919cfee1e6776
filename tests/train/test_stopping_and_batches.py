"""The training loop: stop when the loss is in range, and how much data a step takes."""

import numpy as np
import pytest

import chainrule as cr

X = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
AND = np.array([0.0, 0.0, 0.0, 1.0])


def neuron(lr, loss):
    cr.manual_seed(0)
    model = cr.nn.Sequential(cr.nn.Linear(2, 1, dtype="float64"), *([] if loss.threshold == 0 else [cr.nn.Sigmoid()]))
    return cr.Trainer(model, loss, cr.optim.SGD(model.parameters(), lr=lr), metrics=["accuracy"])


def clusters(n=60):
    rng = np.random.default_rng(3)
    y = rng.integers(0, 2, n)
    return rng.normal(size=(n, 2)) + 6.0 * y[:, None] - 3.0, y.astype(float)


def test_update_by_hand():
    trainer = neuron(0.5, cr.nn.HalfSquaredError())
    W, b = (p.numpy().copy() for p in trainer.model.parameters())
    trainer.fit(X, AND, epochs=1, batch_size=None, shuffle=False, progress=False)
    a = 1 / (1 + np.exp(-(X @ W.T + b)))
    delta = (a - AND[:, None]) * a * (1 - a)
    new_W, new_b = (p.numpy() for p in trainer.model.parameters())
    np.testing.assert_allclose(new_W, W - 0.5 * (delta.T @ X), rtol=1e-12)
    np.testing.assert_allclose(new_b, b - 0.5 * delta.sum(0), rtol=1e-12)


@pytest.mark.parametrize("wanted", [0.6, 0.3, 0.1])
def test_stops_before_the_update_of_the_first_step_whose_loss_is_within_range(wanted):
    free = neuron(1.0, cr.nn.BCEWithLogitsLoss())
    losses = free.fit(X, AND, epochs=400, batch_size=None, progress=False).step_loss
    steps = next(k for k, loss in enumerate(losses) if loss <= wanted)

    trainer = neuron(1.0, cr.nn.BCEWithLogitsLoss())
    history = trainer.fit(X, AND, epochs=400, batch_size=None, until_loss=wanted, progress=False)
    assert history.step_loss == losses[: steps + 1]
    assert history.stopped == f"the loss {losses[steps]:.6g} is within the wanted range, at most {wanted:g}"

    before = neuron(1.0, cr.nn.BCEWithLogitsLoss())
    before.fit(X, AND, epochs=steps, batch_size=None, progress=False)
    for name, array in before.model.state_dict().items():
        np.testing.assert_array_equal(trainer.model.state_dict()[name], array)
    assert trainer.evaluate(X, AND)["loss"] == pytest.approx(losses[steps], rel=1e-12)


def test_until_loss_within_an_epoch_of_several_steps():
    trainer = neuron(1.0, cr.nn.BCEWithLogitsLoss())
    history = trainer.fit(X, AND, epochs=100, batch_size=1, until_loss=0.2, progress=False)
    assert history.step_loss[-1] <= 0.2 < min(history.step_loss[:-1])


@pytest.mark.parametrize("batch_size, steps", [(None, 1), (16, 4), (1, 60)], ids=["batch", "mini-batch", "stochastic"])
def test_batch_mini_batch_and_stochastic(batch_size, steps):
    X, y = clusters()
    trainer = neuron(0.1, cr.nn.BCEWithLogitsLoss())
    history = trainer.fit(X, y, epochs=10, batch_size=batch_size, progress=False)
    assert len(history.step_loss) == 10 * steps
    assert len(history) == 10
    assert history["loss"][-1] < history["loss"][0]
    assert trainer.evaluate(X, y)["accuracy"] == 1.0


@pytest.mark.parametrize(
    "loss, low",
    [(cr.nn.BCEWithLogitsLoss(), 0.0), (cr.nn.HalfSquaredError(), 0.0), (cr.nn.HingeLoss(), -1.0)],
    ids=["cross-entropy", "half squared error", "hinge"],
)
def test_misclassified(loss, low):
    """Each step takes one sample that is still wrong, until none is left: then every sample is right."""
    X, y = clusters()
    y = np.where(y == 1, 1.0, low)
    trainer = neuron(0.5, loss)
    assert trainer.evaluate(X, y)["accuracy"] < 1.0
    history = trainer.fit(X, y, epochs=50, sampler="misclassified", progress=False)
    assert history.stopped == "no sample is misclassified"
    assert trainer.evaluate(X, y)["accuracy"] == 1.0
    assert 0 < len(history.step_loss) < 50 * len(X)
    again = trainer.fit(X, y, epochs=5, sampler="misclassified", progress=False)
    assert again.step_loss == history.step_loss


def test_misclassified_takes_only_wrong_samples():
    """With one wrong sample among several, every step is a step on that one."""
    X, y = np.array([[-2.0], [-1.0], [2.0], [0.1]]), np.array([0, 0, 1, 1])
    model = cr.nn.Sequential(cr.nn.Linear(1, 2, dtype="float64"))
    model[0].weight.assign([[-1.0], [1.0]])
    model[0].bias.assign([0.3, -0.3])
    trainer = cr.Trainer(model, cr.nn.CrossEntropyLoss(), cr.optim.SGD(model.parameters(), lr=0.01))
    z = model(X).numpy()
    wrong_loss = np.log(np.exp(z[3]).sum()) - z[3, 1]
    history = trainer.fit(X, y, epochs=20, sampler="misclassified", progress=False)
    assert history.step_loss[0] == pytest.approx(wrong_loss, rel=1e-12)
    assert np.all(np.diff(history.step_loss) < 0)
    assert history.stopped == "no sample is misclassified"


def test_misclassified_needs_classes():
    trainer = neuron(0.1, cr.nn.MSELoss())
    with pytest.raises(cr.errors.ArgumentError, match=r"targets such as 2\.5; only classes can be misclassified"):
        trainer.fit(X, [0.0, 1.0, 2.5, 1.0], sampler="misclassified", progress=False)
