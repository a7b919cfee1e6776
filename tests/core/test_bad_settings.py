"""Settings of layers, training, schedules, callbacks and checks that mean nothing are refused in a sentence."""

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.errors import ArgumentError, CallError, ShapeError

X, Y = np.ones((4, 2)), np.ones((4, 1))
P = cr.parameter([1.0, 2.0])


def _trainer():
    model = nn.Sequential(nn.Linear(2, 1))
    return cr.Trainer(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.1))


def _scheduler(schedule=None, **state):
    scheduler = optim.Scheduler(optim.SGD([cr.parameter([1.0])], lr=0.1), schedule or optim.StepLR(3))
    scheduler.load_state_dict({**scheduler.state_dict(), **state})
    return scheduler


def _plateau(**changed):
    return {"best": None, "bad": 0, "cooldown": 0, "reductions": 0, **changed}


SQUARE = cr.square
CASES = {
    "validation_split text": (lambda: _trainer().fit(X, Y, validation_split="a"), "validation_split='a'; it must be a number"),
    "validation_split NaN": (lambda: _trainer().fit(X, Y, validation_split=np.nan), "validation_split=nan .* at least one"),
    "validation_split infinite": (lambda: _trainer().fit(X, Y, validation_split=np.inf), "validation_split=inf"),
    "until_loss": (lambda: _trainer().fit(X, Y, until_loss="a"), "until_loss='a'; it must be a number"),
    "profile batch_size": (lambda: _trainer().profile(X, Y, batch_size="a"), "profile got batch_size='a'"),
    "profile steps": (lambda: _trainer().profile(X, Y, steps=0), "profile got steps=0; it must be an integer ≥ 1"),
    "Flatten start": (lambda: nn.Flatten("a"), "Flatten got start_dim='a'; it must be an integer"),
    "Flatten end": (lambda: nn.Flatten(1, 1.5), "Flatten got end_dim=1.5; it must be an integer"),
    "Softmax": (lambda: nn.Softmax("a"), "Softmax got dim='a'; it must be an integer"),
    "LogSoftmax": (lambda: nn.LogSoftmax(0.5), "LogSoftmax got dim=0.5; it must be an integer"),
    "LayerNorm": (lambda: nn.LayerNorm(1.5), r"LayerNorm got 1.5; it takes sizes. Write LayerNorm\(64\)"),
    "metric": (lambda: _scheduler(optim.ReduceLROnPlateau()).step("a"), "metric='a'; it must be a number"),
    "metrics": (lambda: _scheduler(optim.ReduceLROnPlateau()).step(P), "it must hold one element"),
    "step of a Scheduler": (lambda: _scheduler().step(1.0, 2.0), "step was called wrongly .* it takes metric"),
    "state 3": (lambda: _scheduler().load_state_dict(3), "a state that is 3; it needs t, plateau, and base_lrs for 1 groups"),
    "state of nothing": (lambda: _scheduler().load_state_dict({}), "a state with nothing; it needs"),
    "state, t": (lambda: _scheduler(t="a"), "t='a'; it must be an integer ≥ 0"),
    "state, rates": (lambda: _scheduler(base_lrs=3), "base_lrs=3; it needs"),
    "state, rate": (lambda: _scheduler(base_lrs=["a"]), "base_lrs='a'; it must be a number"),
    "state, two rates": (lambda: _scheduler(base_lrs=[0.1, 0.2]), r"base_lrs=\[0.1, 0.2\] .* for 1 groups"),
    "state, plateau": (lambda: _scheduler(plateau=3), "plateau=3; it needs"),
    "state, other plateau": (lambda: _scheduler(plateau={"best": 1.0}), r"plateau=\{'best': 1.0\}; it needs"),
    "state, best": (lambda: _scheduler(plateau=_plateau(best="a")), "best='a'; it must be a number"),
    "state, bad": (lambda: _scheduler(plateau=_plateau(bad=-1)), "bad=-1; it must be an integer ≥ 0"),
    "norm_type": (lambda: optim.clip_grad_norm_([P], 1.0, norm_type=2.0), "Leave it out: the norm is the Euclidean one"),
    "norm_type by position": (lambda: optim.clip_grad_norm_([P], 1.0, 2.0), "too many .* it takes params, max_norm"),
    "error_if_nonfinite": (lambda: optim.clip_grad_norm_([P], 1.0, error_if_nonfinite=True), "look at the norm"),
    "clip_by_norm": (lambda: optim.clip_by_norm([P], 1.0, 2.0), "it takes gradients, max_norm"),
    "clip_grad_value_": (lambda: optim.clip_grad_value_([P]), "missing .* it takes params, clip_value"),
    "WeightAveraging": (lambda: cr.WeightAveraging(start="a"), "WeightAveraging was called wrongly .* it takes after"),
    "EarlyStopping": (lambda: cr.EarlyStopping(wait=3), "EarlyStopping was called wrongly .* it takes patience"),
    "var": (lambda: cr.var(P, correction="a"), "var got correction='a'; it takes a number here"),
    "std": (lambda: P.std(correction=None), "var got correction=None; it takes a number here"),
    "elu": (lambda: cr.elu(P, None), "elu got alpha=None; it takes a number here"),
    "leaky_relu": (lambda: cr.leaky_relu(P, None), "leaky_relu got slope=None; it takes a number here"),
    "layer_norm": (lambda: cr.layer_norm(P, P, P, eps=None), "layer_norm got eps=None; it takes a number here"),
    "batch_norm": (lambda: cr.batch_norm(X, P, P, P, P, eps="a"), "batch_norm got eps='a'; it takes a number here"),
    "gradcheck of 3": (lambda: cr.testing.gradcheck(3, [1.0]), "gradcheck got 3; it takes a function"),
    "gradcheck at 3": (lambda: cr.testing.gradcheck(SQUARE, 3), "gradcheck got 3 as its inputs; it takes a list"),
    "gradcheck of a number": (lambda: cr.testing.gradcheck(lambda x: 3, [1.0]), "a function that gives 3; it gives a Tensor"),
    "gradcheck of two": (lambda: cr.testing.gradcheck(lambda x, y: x, [1.0]), "called wrongly .* it takes x, y"),
    "gradcheck order": (lambda: cr.testing.gradcheck(SQUARE, [1.0], order=3), "order=3; .* of order 1 and 2"),
    "gradcheck directions": (lambda: cr.testing.gradcheck(SQUARE, [1.0], directions=0), "directions=0; .* ≥ 1"),
    "gradcheck tolerance": (lambda: cr.testing.gradcheck(SQUARE, [1.0], tolerance="a"), "tolerance='a'; it must be a number"),
    "gradcheck seed": (lambda: cr.testing.gradcheck(SQUARE, [1.0], seed="a"), "the seed 'a'"),
    "StepLR": (lambda: optim.StepLR(1.5), "StepLR got step_size=1.5; it must be an integer"),
    "StepLR of nothing": (optim.StepLR, "StepLR was called wrongly .* it takes step_size, gamma, interval"),
    "CosineAnnealingLR": (lambda: optim.CosineAnnealingLR(1.5), "T_max=1.5; it must be an integer"),
    "LinearLR": (lambda: optim.LinearLR(total_iters=2.5), "total_iters=2.5; it must be an integer"),
    "OneCycleLR": (lambda: optim.OneCycleLR(0.1, 2.5), "total_steps=2.5; it must be an integer"),
    "ReduceLROnPlateau": (lambda: optim.ReduceLROnPlateau(patience=1.5), "patience=1.5; it must be an integer"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_means_nothing_is_refused(case):
    call, text = CASES[case]
    with pytest.raises((ArgumentError, CallError, ShapeError), match=text):
        call()


def test_a_metric_may_be_a_tensor():
    scheduler = _scheduler(optim.ReduceLROnPlateau(patience=0))
    for _ in range(3):
        scheduler.step(cr.tensor(0.5))
    assert scheduler.state_dict()["plateau"] == _plateau(best=0.5, reductions=2)


def test_a_state_that_is_refused_changes_nothing():
    scheduler = _scheduler()
    before = scheduler.state_dict()
    with pytest.raises(ArgumentError):
        scheduler.load_state_dict({**before, "t": 5, "plateau": _plateau(bad="a")})
    assert scheduler.state_dict() == before
