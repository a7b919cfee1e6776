"""A captured training step gives the numbers of an eager loop that is written by hand."""

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.generators import random
from chainrule.tensors import tensor

F8 = "float64"
N = 23  # with batches of 8 the last one holds 7


def _dense():
    return nn.Sequential(nn.Linear(4, 6, dtype=F8), nn.Tanh(), nn.Linear(6, 3, dtype=F8))


def _dropout():
    return nn.Sequential(nn.Linear(4, 6, dtype=F8), nn.ReLU(), nn.Dropout(0.4), nn.Linear(6, 3, dtype=F8), nn.Dropout(0.2))


def _batch_norm():
    return nn.Sequential(nn.Linear(4, 6, dtype=F8), nn.BatchNorm1d(6, dtype=F8), nn.ReLU(), nn.Linear(6, 3, dtype=F8))


def _convolution():
    return nn.Sequential(
        nn.Conv2d(1, 2, 3, padding=1, dtype=F8), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(2, 3, dtype=F8)
    )


MODELS = {"dense": _dense, "dropout": _dropout, "batch norm": _batch_norm, "convolution": _convolution}
LOSSES = {
    "cross-entropy": nn.CrossEntropyLoss,
    "class weights": lambda: nn.CrossEntropyLoss(weight=[1.0, 3.0, 0.5]),
    "sum": lambda: nn.CrossEntropyLoss(reduction="sum", label_smoothing=0.1),
}
OPTIMIZERS = {
    "momentum": lambda p: optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True, weight_decay=0.01),
    "adamw": lambda p: optim.AdamW(p, lr=0.01),
}
SCHEDULES = {
    "no schedule": None,
    "cosine by step": optim.CosineAnnealingLR(T_max=9, interval="step"),
    "exponential by epoch": optim.ExponentialLR(gamma=0.5),
    "one-cycle": optim.OneCycleLR(max_lr=0.1, total_steps=9),
}


def data(model_name):
    rng = np.random.default_rng(1)
    X = rng.normal(size=(N, 1, 2, 2) if model_name == "convolution" else (N, 4))
    return X, rng.integers(0, 3, N), rng.uniform(0.5, 2.0, N)


def eager_loop(model, loss, optimizer, X, y, s, *, epochs, batch, seed, schedule, clip_norm, clip_value):
    random.seed(seed)
    base = [float(group.lr) for group in optimizer.groups]
    losses, steps_per_epoch = [], -(-N // batch)
    model.train()
    for epoch in range(epochs):
        order = np.random.default_rng([seed, epoch]).permutation(N)
        for k in range(steps_per_epoch):
            rows = order[k * batch : (k + 1) * batch]
            if schedule is not None:
                t = epoch if schedule.interval == "epoch" else epoch * steps_per_epoch + k
                for group, rate in zip(optimizer.groups, base, strict=True):
                    group.lr.assign(schedule.value(t, rate))
            optimizer.zero_grad()
            value = loss(model(tensor(X[rows])), tensor(y[rows]), tensor(s[rows]))
            value.backward()
            if clip_norm is not None:
                optim.clip_grad_norm_(model.parameters(), clip_norm)
            if clip_value is not None:
                optim.clip_grad_value_(model.parameters(), clip_value)
            optimizer.step()
            losses.append(float(value))
    return losses


CASES = [
    *((m, "cross-entropy", "adamw", "no schedule", None, None) for m in MODELS),
    *(("dropout", loss, "momentum", "no schedule", None, None) for loss in LOSSES),
    *(("dense", "cross-entropy", "momentum", schedule, None, None) for schedule in SCHEDULES),
    ("batch norm", "class weights", "momentum", "cosine by step", 0.3, None),
    ("dense", "sum", "adamw", "one-cycle", None, 0.05),
    ("dropout", "cross-entropy", "adamw", "cosine by step", 0.3, 0.05),
]


@pytest.mark.parametrize("model_name, loss_name, optimizer_name, schedule_name, clip_norm, clip_value", CASES)
def test_fit_equals_an_eager_loop(model_name, loss_name, optimizer_name, schedule_name, clip_norm, clip_value):
    X, y, s = data(model_name)
    models, optimizers = [], []
    for _ in range(2):
        cr.manual_seed(5)
        models.append(MODELS[model_name]())
        optimizers.append(OPTIMIZERS[optimizer_name](models[-1].parameters()))
    schedule, loss = SCHEDULES[schedule_name], LOSSES[loss_name]()
    # The reference backend rounds as eager code does. A gradient that is 0 but for rounding, as of a bias before batch
    # normalisation, is made large by Adam, so that other backends may differ in it.
    trainer = cr.Trainer(
        models[0],
        loss,
        optimizers[0],
        metrics=["accuracy"],
        backend="reference",
        clip_norm=clip_norm,
        clip_value=clip_value,
    )
    trainer.fit(
        X,
        y,
        sample_weight=s,
        epochs=3,
        batch_size=8,
        seed=7,
        progress=False,
        validation_data=(X, y),
        callbacks=[cr.LearningRate(schedule)] if schedule else [],
    )
    losses = eager_loop(
        models[1],
        loss,
        optimizers[1],
        X,
        y,
        s,
        epochs=3,
        batch=8,
        seed=7,
        schedule=schedule,
        clip_norm=clip_norm,
        clip_value=clip_value,
    )
    assert len(trainer.history.step_loss) == 9
    np.testing.assert_allclose(trainer.history.step_loss, losses, rtol=1e-12)
    for captured, eager in ((models[0], models[1]), (optimizers[0], optimizers[1])):
        expected = eager.state_dict()
        for name, array in captured.state_dict().items():
            np.testing.assert_allclose(array, expected[name], rtol=1e-12, atol=1e-14, err_msg=name)
    np.testing.assert_array_equal(trainer.random_state, random.state.numpy())


def test_the_cases_differ():
    """Clipping, dropout and class weights do something: else the comparison above would not notice that they are left out."""
    found = set()
    for clip_norm, clip_value, loss_name in (
        (None, None, "cross-entropy"),
        (0.3, None, "cross-entropy"),
        (None, 0.05, "cross-entropy"),
        (None, None, "class weights"),
    ):
        X, y, s = data("dense")
        cr.manual_seed(5)
        model = MODELS["dense"]()
        trainer = cr.Trainer(
            model,
            LOSSES[loss_name](),
            OPTIMIZERS["momentum"](model.parameters()),
            backend="reference",
            clip_norm=clip_norm,
            clip_value=clip_value,
        )
        found.add(trainer.fit(X, y, sample_weight=s, epochs=3, batch_size=8, progress=False).step_loss[-1])
    assert len(found) == 4


@pytest.mark.parametrize("validation", [False, True])
@pytest.mark.parametrize("slow", [False, True])
def test_how_the_steps_are_sliced_changes_nothing(validation, slow, monkeypatch):
    """Epochs run many at once, one by one, or in small slices, as speed and callbacks ask; the numbers are the same."""
    monkeypatch.setattr("chainrule.train.loop._SLICE_SECONDS", 0.0 if slow else 0.1)
    X, y, _ = data("dropout")
    X, y = X[:16], y[:16]
    cr.manual_seed(5)
    model = MODELS["dropout"]()
    trainer = cr.Trainer(model, nn.CrossEntropyLoss(), OPTIMIZERS["adamw"](model.parameters()))
    history = trainer.fit(X, y, epochs=12, batch_size=8, progress=False, validation_data=(X, y) if validation else None)
    cr.manual_seed(5)
    twin = MODELS["dropout"]()
    reference = cr.Trainer(twin, nn.CrossEntropyLoss(), OPTIMIZERS["adamw"](twin.parameters()))
    for _ in range(12):
        reference.fit(X, y, epochs=1, batch_size=8, progress=False)
    assert history.step_loss == reference.history.step_loss
    assert [row["loss"] for row in history.epochs] == reference.history["loss"]
