"""A loss or parameter that is not finite stops training at its step; the message names the operation, what it read, and why."""

import importlib.util
import json
import subprocess
import sys

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.errors import DataError, NonFiniteLoss

BACKENDS = ["reference", *(["native"] if importlib.util.find_spec("llvmlite") else [])]
X = np.random.default_rng(0).normal(size=(64, 3)).astype(np.float32)
WITH_ZEROS = X.copy()
WITH_ZEROS[37] = 0.0
KEPT = "; it must be finite; the model keeps the values that it had before this step. "


class Network(nn.Module):
    """A layer, and something made of its output and the input."""

    def __init__(self, after):
        self.lin = nn.Linear(3, 2)
        self.after = after

    def forward(self, x):
        return self.after(self.lin(x), x)


def trainer(after, backend="reference", rule=optim.SGD, loss=None, **settings):
    cr.manual_seed(0)
    model = Network(after)
    return cr.Trainer(model, loss or nn.MSELoss(), rule(model.parameters(), **{"lr": 0.01, **settings}), backend=backend)


def failure(found, inputs=X, targets=None, **settings):
    targets = np.zeros((len(inputs), 2)) if targets is None else targets
    with pytest.raises(NonFiniteLoss) as error:
        found.fit(inputs, targets, **{"epochs": 300, "batch_size": 16, "progress": False, **settings})
    return error.value


CASES = {
    "log of 0": (
        lambda h, x: h * cr.log(abs(x[:, :2])),
        {"lr": 0.0},
        "the loss became inf in epoch 1, step 2: in the forward pass for sample 37, log(|x[:, 0:2]|) gives -inf at (2, 0), "
        f"where |x[:, 0:2]| = 0 (the logarithm of 0 is −∞){KEPT}Keep that value away from 0",
    ),
    "0 by 0": (
        lambda h, x: h * (x[:, 2:] / x[:, 2:]),
        {"lr": 0.0},
        "the loss became nan in epoch 1, step 2: in the forward pass for sample 37, x[:, 2] / x[:, 2] gives nan at (2, 0), "
        f"where x[:, 2] = 0 (0 / 0 is not defined){KEPT}Add a small constant to the denominator.",
    ),
    "exp": (
        lambda h, x: cr.exp(1000.0 * h),
        {},
        "the loss became inf in epoch 1, step 1: in the forward pass for sample 16, exp(1000 · out[lin]) gives inf at (0, 0), "
        f"where 1000 · out[lin] = 484.351 (e^x is larger than 3.4e+38 from x = 88.72 on){KEPT}Make its argument smaller",
    ),
    "root of a negative number": (
        lambda h, x: cr.sqrt(h - 50.0),
        {},
        "the loss became nan in epoch 1, step 1: in the forward pass for sample 16, sqrt(out[lin] - 50) gives nan at (0, 0), "
        "where out[lin] - 50 = ",
    ),
    "the derivative of a root": (
        lambda h, x: cr.sqrt(h - h) + h,
        {},
        "a parameter became NaN or infinite in epoch 1, step 1: on the way back to lin.weight for sample 16, "
        "0.5 / sqrt(out[lin] - out[lin]) gives inf at (0, 0), where sqrt(out[lin] - out[lin]) = 0 (division by 0)" + KEPT,
    ),
    "a learning rate of 1e10": (
        lambda h, x: h,
        {"lr": 1e10},
        "the loss became inf in epoch 1, step 3: in the loss for sample 0, (out[lin] - t)² gives inf at (0, 1), "
        "where out[lin] - t = 3.87",
    ),
    "a learning rate of 3": (
        lambda h, x: h,
        {"lr": 3.0},
        "the loss became inf in epoch ",
    ),
    "an update that overflows": (
        lambda h, x: 1e10 * h,
        {"lr": 1e30},
        "a parameter became NaN or infinite in epoch 1, step 1: on the way back to lin.weight, ",
    ),
}  # fmt: skip


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", CASES)
def test_the_message_names_step_operation_operands_and_reason(name, backend):
    after, settings, text = CASES[name]
    found = trainer(after, backend, **settings)
    error = failure(found, WITH_ZEROS if settings.get("lr") == 0.0 else X)
    assert str(error).startswith(text)
    if "rate" in name or "update" in name:
        assert str(error).endswith(
            f"The learning rate {settings['lr']:.3g} is too high: use a smaller one, or limit the gradients with clip_norm=1.0."
        )
    if "rate" in name:
        assert "(larger than 3.4e+38, the largest number of this dtype); the weights have blown up: the largest is " in str(
            error
        )
    assert np.isfinite(error.breakdown.weight)
    assert json.dumps(error.breakdown.to_dict(), allow_nan=False)
    chinese = error.breakdown.text("zh") + error.breakdown.advice("zh")
    assert "{" not in chinese and "处得到" in chinese


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("rule", [optim.SGD, optim.Adam])
def test_model_optimiser_and_random_stream_are_those_before_the_step(backend, rule):
    """Also where the step that made a parameter infinite is followed by others in the same slice."""

    def after(h, x):
        return nn.Dropout(0.5)(h) + cr.sqrt(abs(h) - abs(h) + 1.0 - x[:, :1])  # infinite derivative, finite value, at x = 1

    inputs = np.minimum(X, 0.5)
    inputs[-1] = 1.0
    runs = [trainer(after, backend, rule, lr=1e-3) for _ in range(2)]
    error = failure(runs[0], inputs, shuffle=False, seed=5)
    assert (error.breakdown.epoch, error.breakdown.step) == (1, 4)
    assert len(runs[0].history.step_loss) == 4
    twin = runs[1]
    twin.fit(inputs[:48], np.zeros((48, 2)), epochs=1, batch_size=16, shuffle=False, seed=5, progress=False)
    for kept, expected in ((runs[0].model, twin.model), (runs[0].optimizer, twin.optimizer)):
        for key, array in expected.state_dict().items():
            np.testing.assert_array_equal(kept.state_dict()[key], array, err_msg=key)
    np.testing.assert_array_equal(runs[0].random_state, twin.random_state)
    assert runs[0].history.step_loss[:3] == twin.history.step_loss


@pytest.mark.parametrize("backend", BACKENDS)
def test_whole_epochs_before_the_step_are_counted(backend):
    """Without callbacks many epochs are run at once: their count, rows and weights must still belong together."""

    def diverges():
        return trainer(lambda h, x: h, backend, lr=2.0)

    def fit(found, epochs):
        found.fit(X, np.zeros((64, 2)), epochs=epochs, batch_size=16, seed=3, progress=False)

    broken, twin = diverges(), diverges()
    with pytest.raises(NonFiniteLoss) as error:
        fit(broken, 300)
    whole = error.value.breakdown.epoch - 1
    assert whole > 1
    assert broken.epoch == len(broken.history) == whole
    fit(twin, whole)
    for row, expected in zip(broken.history.epochs, twin.history.epochs, strict=True):
        assert row | {"seconds": 0} == expected | {"seconds": 0}
    assert len(broken.history.step_loss) == 4 * whole + error.value.breakdown.step


def diverging(backend):
    cr.manual_seed(1)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    return cr.Trainer(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=1.5, momentum=0.9), backend=backend)


@pytest.mark.parametrize("backend", BACKENDS)
def test_after_resuming_the_message_is_the_same(backend, tmp_path):
    whole, half = diverging(backend), diverging(backend)
    said = str(failure(whole, targets=X[:, 0] * 3))
    assert "in epoch" in said and whole.history.step_loss
    half.fit(X, X[:, 0] * 3, epochs=2, batch_size=16, progress=False)
    cr.save_trainer(half, tmp_path / "half.safetensors")
    resumed = cr.load_trainer(tmp_path / "half.safetensors")
    assert str(failure(resumed, targets=X[:, 0] * 3)) == said
    for name, array in whole.model.state_dict().items():
        np.testing.assert_array_equal(resumed.model.state_dict()[name], array)


def test_nan_in_a_later_batch_is_refused_before_the_first_step():
    spoilt = X.copy()
    spoilt[50, 1] = np.nan
    found = trainer(lambda h, x: h)
    before = found.model.state_dict()
    with pytest.raises(DataError, match=r"X holds nan at index \(50, 1\); every value must be finite"):
        found.fit(spoilt, np.zeros((64, 2)), batch_size=16, progress=False)
    assert all((a == before[name]).all() for name, a in found.model.state_dict().items())
    assert not found.history.step_loss


def test_an_infinity_that_is_meant_is_not_blamed():
    mask = np.array([0.0, -np.inf], np.float32)
    found = trainer(lambda h, x: cr.softmax(h + mask) + cr.log(x[:, :1] - 5.0) * 0.0)
    said = str(failure(found))
    assert "for sample 16, log(x[:, 0] - 5) gives nan at (0, 0), where x[:, 0] - 5 = -" in said
    assert "(the logarithm of a negative number is not defined)" in said


def test_a_healthy_run_loads_nothing_of_this():
    script = (
        "import sys, numpy as np, chainrule as cr\n"
        "model = cr.nn.Linear(2, 1)\n"
        "trainer = cr.Trainer(model, cr.nn.MSELoss(), cr.optim.SGD(model.parameters(), lr=0.01), backend='reference')\n"
        "trainer.fit(np.ones((8, 2)), np.ones(8), progress=False)\n"
        "assert not [name for name in sys.modules if name.startswith('chainrule.diagnosis')]\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
