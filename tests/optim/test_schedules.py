"""Schedules as functions of the index, against PyTorch's schedulers, and the Scheduler that applies them."""

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import chainrule as cr
from chainrule.errors import ArgumentError
from chainrule.optim import SCHEDULES, SGD, Schedule, Scheduler

BASE = 0.3
CLOSED_FORMS: list[tuple[str, dict[str, Any]]] = [
    ("StepLR", {"step_size": 4}),
    ("StepLR", {"step_size": 1, "gamma": 0.5}),
    ("ExponentialLR", {"gamma": 0.9}),
    ("CosineAnnealingLR", {"T_max": 12}),
    ("CosineAnnealingLR", {"T_max": 24, "eta_min": 0.01}),
    ("LinearLR", {}),
    ("LinearLR", {"start_factor": 0.1, "end_factor": 0.7, "total_iters": 9}),
    ("OneCycleLR", {"max_lr": 0.5, "total_steps": 25}),
    ("OneCycleLR", {"max_lr": 0.5, "total_steps": 25, "pct_start": 0.45, "anneal_strategy": "linear"}),
    ("OneCycleLR", {"max_lr": 0.5, "total_steps": 25, "pct_start": 0.01, "div_factor": 10.0, "final_div_factor": 100.0}),
]
SETTINGS = {**dict(CLOSED_FORMS), "ReduceLROnPlateau": {"patience": 2}}

closed_forms = pytest.mark.parametrize(("name", "given_settings"), CLOSED_FORMS)


def torch_optimizer() -> Any:
    torch = pytest.importorskip("torch", reason="schedules are compared with PyTorch's")
    return torch, torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=BASE)


def test_every_schedule_is_tried_here():
    assert set(SCHEDULES) == set(SETTINGS)


@closed_forms
def test_values_equal_pytorch(name: str, given_settings: dict[str, Any]):
    torch, optimizer = torch_optimizer()
    extra = {"cycle_momentum": False} if name == "OneCycleLR" else {}
    theirs = getattr(torch.optim.lr_scheduler, name)(optimizer, **given_settings, **extra)
    ours = SCHEDULES[name](**given_settings)
    for t in range(25):
        assert ours.value(t, BASE) == pytest.approx(theirs.get_last_lr()[0], rel=1e-12, abs=1e-12), t
        if t < 24:
            optimizer.step()
            theirs.step()


@given(
    metrics=st.lists(st.sampled_from([3.0, 2.0, 1.9999, 1.0, 0.5, 0.0, -1.0, -1.00005, math.nan, math.inf]), max_size=30),
    given_settings=st.fixed_dictionaries(
        {
            "mode": st.sampled_from(["min", "max"]),
            "factor": st.sampled_from([0.1, 0.5]),
            "patience": st.integers(0, 3),
            "threshold": st.sampled_from([1e-4, 0.1]),
            "threshold_mode": st.sampled_from(["rel", "abs"]),
            "cooldown": st.integers(0, 3),
            "min_lr": st.sampled_from([0.0, 0.01]),
        }
    ),
)
@settings(max_examples=200)
def test_plateau_equals_pytorch(metrics: list[float], given_settings: dict[str, Any]):
    torch, optimizer = torch_optimizer()
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, **given_settings)
    ours = SGD([cr.parameter([0.0])], lr=BASE)
    scheduler = Scheduler(ours, SCHEDULES["ReduceLROnPlateau"](**given_settings))
    for metric in metrics:
        theirs.step(metric)
        scheduler.step(metric)
        assert ours.lr == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-12)


def test_plateau_by_hand():
    optimizer = SGD([cr.parameter([0.0])], lr=1.0)
    scheduler = Scheduler(optimizer, SCHEDULES["ReduceLROnPlateau"](factor=0.5, patience=1, cooldown=1))
    rates = []
    for metric in (3.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0):
        scheduler.step(metric)
        rates.append(optimizer.lr)
    assert rates == [1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.25]


BY_HAND: list[tuple[str, dict[str, Any], dict[int, float]]] = [
    ("StepLR", {"step_size": 2, "gamma": 0.5}, {0: 1.0, 1: 1.0, 2: 0.5, 5: 0.25}),
    ("ExponentialLR", {"gamma": 0.5}, {0: 1.0, 3: 0.125}),
    ("CosineAnnealingLR", {"T_max": 10, "eta_min": 0.2}, {0: 1.0, 5: 0.6, 10: 0.2, 20: 1.0}),
    ("LinearLR", {"start_factor": 0.5, "total_iters": 4}, {0: 0.5, 2: 0.75, 4: 1.0, 100: 1.0}),
    ("OneCycleLR", {"max_lr": 2.0, "total_steps": 10, "div_factor": 4.0}, {0: 0.5, 1: 1.25, 2: 2.0, 9: 5e-5, 99: 5e-5}),
    ("OneCycleLR", {"max_lr": 2.0, "total_steps": 10, "pct_start": 0.1}, {0: 2.0, 9: 8e-6}),
    ("OneCycleLR", {"max_lr": 2.0, "total_steps": 10, "pct_start": 1.0}, {0: 0.08, 9: 2.0, 20: 2.0}),
    ("OneCycleLR", {"max_lr": 2.0, "total_steps": 1}, {0: 8e-6, 1: 8e-6}),
    ("ReduceLROnPlateau", {"factor": 0.5, "min_lr": 0.2}, {0: 1.0, 1: 0.5, 2: 0.25, 3: 0.2, 1000: 0.2}),
]


@pytest.mark.parametrize(("name", "given_settings", "expected"), BY_HAND)
def test_values_by_hand(name: str, given_settings: dict[str, Any], expected: dict[int, float]):
    schedule = SCHEDULES[name](**given_settings)
    for t, value in expected.items():
        assert schedule.value(t, 1.0) == pytest.approx(value, rel=1e-12, abs=1e-15), t


@pytest.mark.parametrize("name", SCHEDULES)
def test_interval_and_configuration(name: str):
    schedule = SCHEDULES[name](**SETTINGS[name])
    assert schedule.interval == ("step" if name == "OneCycleLR" else "epoch")
    other = SCHEDULES[name](**SETTINGS[name], interval="step")
    assert other.interval == "step"
    config = json.loads(json.dumps(other.config()))
    assert config.pop("name") == name
    assert SCHEDULES[name](**config) == other


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_scheduler_goes_on_from_its_state(name: str):
    metrics = np.random.default_rng(0).normal(size=20)

    def start() -> tuple[SGD, Scheduler]:
        params = cr.parameter([0.0]), cr.parameter([0.0])
        optimizer = SGD([{"params": params[:1]}, {"params": params[1:], "lr": 0.1}], lr=BASE)
        return optimizer, Scheduler(optimizer, SCHEDULES[name](**SETTINGS[name]))

    whole, scheduler = start()
    rates, states = [], []
    for metric in metrics:
        scheduler.step(metric)
        rates.append([group.lr.item() for group in whole.groups])
        states.append(json.dumps(scheduler.state_dict()))
    resumed, again = start()
    again.load_state_dict(json.loads(states[9]))
    assert [group.lr.item() for group in resumed.groups] == rates[9]
    for metric, expected in zip(metrics[10:], rates[10:], strict=True):
        again.step(metric)
        assert [group.lr.item() for group in resumed.groups] == expected
    assert len({rate for rate, _ in rates}) > 1


def test_the_first_rate_holds_at_once():
    optimizer = SGD([cr.parameter([0.0])], lr=0.9)
    Scheduler(optimizer, SCHEDULES["LinearLR"](total_iters=4))
    assert optimizer.lr == pytest.approx(0.3)


def make(name: str, **given_settings: Any) -> Callable[[], Schedule]:
    return lambda: SCHEDULES[name](**given_settings)


def scheduler(name: str) -> Scheduler:
    return Scheduler(SGD([cr.parameter([0.0])]), SCHEDULES[name](**SETTINGS[name]))


MISTAKES = {
    "interval": (make("ExponentialLR", gamma=0.9, interval="day"), "ExponentialLR got interval='day'; it must be 'epoch' or"),
    "step_size": (make("StepLR", step_size=0), "StepLR got step_size=0; it must be at least 1"),
    "gamma": (make("StepLR", step_size=1, gamma=-1.0), "StepLR got gamma=-1.0; it must be at least 0"),
    "gamma of exponential": (make("ExponentialLR", gamma=-0.1), "ExponentialLR got gamma=-0.1"),
    "T_max": (make("CosineAnnealingLR", T_max=0), "CosineAnnealingLR got T_max=0; it must be at least 1"),
    "eta_min": (make("CosineAnnealingLR", T_max=1, eta_min=-1.0), "CosineAnnealingLR got eta_min=-1.0"),
    "start_factor": (make("LinearLR", start_factor=0.0), "LinearLR got start_factor=0.0; it must be above 0"),
    "end_factor": (make("LinearLR", end_factor=2.0), "LinearLR got end_factor=2.0; it must be from 0 to 1"),
    "total_iters": (make("LinearLR", total_iters=0), "LinearLR got total_iters=0"),
    "max_lr": (make("OneCycleLR", max_lr=0.0, total_steps=3), "OneCycleLR got max_lr=0.0; it must be above 0"),
    "total_steps": (make("OneCycleLR", max_lr=1.0, total_steps=0), "OneCycleLR got total_steps=0"),
    "pct_start": (make("OneCycleLR", max_lr=1.0, total_steps=3, pct_start=2.0), "OneCycleLR got pct_start=2.0"),
    "anneal_strategy": (
        make("OneCycleLR", max_lr=1.0, total_steps=3, anneal_strategy="sine"),
        "OneCycleLR got anneal_strategy='sine'; it must be 'cos' or 'linear'",
    ),
    "factor": (make("ReduceLROnPlateau", factor=1.0), "ReduceLROnPlateau got factor=1.0; it must be from 0 up to"),
    "mode": (make("ReduceLROnPlateau", mode="low"), "ReduceLROnPlateau got mode='low'; it must be 'min' or 'max'"),
    "threshold_mode": (make("ReduceLROnPlateau", threshold_mode="x"), "got threshold_mode='x'; it must be 'rel' or 'abs'"),
    "patience": (make("ReduceLROnPlateau", patience=-1), "ReduceLROnPlateau got patience=-1; it must be at least 0"),
    "no metric": (lambda: scheduler("ReduceLROnPlateau").step(), r"needs the metric that it watches. Write step\(metric\)"),
    "other state": (lambda: scheduler("StepLR").load_state_dict({"t": 1}), "a Scheduler was given a state with t"),
    "other groups": (
        lambda: scheduler("StepLR").load_state_dict({"t": 1, "base_lrs": [0.1, 0.2], "plateau": {}}),
        "base_lrs for 1 groups",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_named(mistake: str):
    act, text = MISTAKES[mistake]
    with pytest.raises(ArgumentError, match=text):
        act()
