"""The update rules against PyTorch's trajectories and closed forms by hand, and the comparison against planted mistakes."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.optim import OPTIMIZERS, RULES, Optimizer, Rule

VARIANTS: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {}),
    ("SGD", {"lr": 0.1, "weight_decay": 0.05}),
    ("SGD", {"lr": 0.1, "momentum": 0.9}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.4, "weight_decay": 0.05}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.05}),
    ("RMSprop", {}),
    ("RMSprop", {"alpha": 0.8, "eps": 1e-3, "weight_decay": 0.05}),
    ("RMSprop", {"momentum": 0.7, "weight_decay": 0.05}),
    ("RMSprop", {"centered": True}),
    ("RMSprop", {"centered": True, "momentum": 0.7, "weight_decay": 0.05}),
    ("Adam", {}),
    ("Adam", {"lr": 0.05, "betas": (0.7, 0.9), "eps": 1e-4, "weight_decay": 0.05}),
    ("Adam", {"lr": 0.05, "amsgrad": True}),
    ("Adam", {"lr": 0.05, "betas": (0.5, 0.5), "amsgrad": True, "weight_decay": 0.05}),
    ("AdamW", {}),
    ("AdamW", {"lr": 0.05, "weight_decay": 0.0}),
    ("AdamW", {"lr": 0.05, "betas": (0.5, 0.5), "amsgrad": True, "weight_decay": 0.1}),
    ("Adagrad", {}),
    ("Adagrad", {"lr": 0.1, "lr_decay": 0.3, "weight_decay": 0.05}),
    ("Adagrad", {"lr": 0.1, "initial_accumulator_value": 0.5, "eps": 1e-3}),
    ("Adadelta", {}),
    ("Adadelta", {"lr": 0.5, "rho": 0.6, "eps": 1e-3, "weight_decay": 0.05}),
]
STEPS = 10
SHAPES = ((3, 2), (2,), ())

variants = pytest.mark.parametrize(("name", "settings"), VARIANTS, ids=lambda v: v if isinstance(v, str) else ",".join(v))


def starts() -> list[np.ndarray]:
    """Values of the parameters before the first step."""
    rng = np.random.default_rng(1)
    return [rng.normal(size=shape) for shape in SHAPES]


def gradient(value: np.ndarray, step: int, k: int) -> np.ndarray:
    """A gradient that depends on the parameter, changes from step to step, and is sometimes 0."""
    noise = np.random.default_rng((step, k)).normal(size=value.shape) if step % 4 else np.zeros(value.shape)
    return (0.3 * value + noise).astype(value.dtype)


def make(name: str, params: list[cr.Tensor], settings: Mapping[str, Any], mutate: Callable[[Rule], Rule]) -> Optimizer:
    """The optimiser with its rule replaced by what `mutate` makes of it."""
    found = OPTIMIZERS[name](params, **settings)
    found.rule = mutate(found.rule)
    return found


def trajectory(
    name: str, settings: Mapping[str, Any], dtype: str = "float64", mutate: Callable[[Rule], Rule] = lambda rule: rule
) -> list[np.ndarray]:
    """All parameters in a row, after every step."""
    params = [cr.parameter(a.astype(dtype)) for a in starts()]
    optimizer = make(name, params, settings, mutate)
    found = []
    for step in range(STEPS):
        for k, p in enumerate(params):
            p.grad = cr.tensor(gradient(p.numpy(), step, k))
        optimizer.step()
        found.append(np.concatenate([p.numpy().ravel() for p in params]))
    return found


def torch_trajectory(name: str, settings: Mapping[str, Any], dtype: str = "float64") -> list[np.ndarray]:
    """The same with PyTorch."""
    torch = pytest.importorskip("torch", reason="the trajectories are compared with PyTorch's")
    params = [torch.tensor(a.astype(dtype), requires_grad=True) for a in starts()]
    optimizer = getattr(torch.optim, name)(params, foreach=False, **settings)
    found = []
    for step in range(STEPS):
        for k, p in enumerate(params):
            p.grad = torch.tensor(gradient(p.detach().numpy(), step, k))
        optimizer.step()
        found.append(np.concatenate([p.detach().numpy().ravel() for p in params]))
    return found


def compare(ours: list[np.ndarray], theirs: list[np.ndarray], tolerance: float) -> None:
    for step, (a, b) in enumerate(zip(ours, theirs, strict=True), start=1):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance, err_msg=f"after step {step}")


def test_every_rule_has_an_optimizer_and_a_variant():
    assert set(RULES) == set(OPTIMIZERS) == {name for name, _ in VARIANTS}


@variants
def test_ten_steps_equal_pytorch_in_float64(name: str, settings: dict[str, Any]):
    compare(trajectory(name, settings), torch_trajectory(name, settings), 1e-12)


@variants
def test_ten_steps_equal_pytorch_in_float32(name: str, settings: dict[str, Any]):
    compare(trajectory(name, settings, "float32"), torch_trajectory(name, settings, "float32"), 1e-6)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_defaults_are_those_of_pytorch(name: str):
    torch = pytest.importorskip("torch", reason="the defaults are compared with PyTorch's")
    (ours,) = OPTIMIZERS[name]([cr.parameter([1.0])]).config()["groups"]
    theirs = getattr(torch.optim, name)([torch.zeros(1, requires_grad=True)]).defaults
    for key in ours.keys() - {"params"}:
        assert ours[key] == (list(theirs[key]) if isinstance(theirs[key], tuple) else theirs[key]), key


# ------------------------------------------------------------------------------------------------ the comparison itself
def with_settings(change: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> Callable[[Rule], Rule]:
    """A mutation: the rule sees other settings."""
    return lambda rule: replace(rule, update=lambda g, state, W, s, t: rule.update(g, state, W, {**s, **change(s)}, t))


MISTAKES: dict[str, tuple[tuple[str, dict[str, Any]], Callable[[Rule], Rule]]] = {
    f"{name}: rate 1e-9 too large": ((name, {"lr": 0.1}), with_settings(lambda s: {"lr": s["lr"] * (1.0 + 1e-9)}))
    for name in RULES
}
MISTAKES |= {
    f"{name}: eps doubled": ((name, {"lr": 0.1}), with_settings(lambda s: {"eps": 2.0 * s["eps"]}))
    for name in RULES
    if "eps" in RULES[name].settings
}
MISTAKES |= {
    f"{name}: step counted from 0": (
        (name, settings),
        lambda rule: replace(rule, update=lambda g, state, W, s, t: rule.update(g, state, W, s, t - 1.0 + 1e-3)),
    )
    for name, settings in [
        ("SGD", {"momentum": 0.9, "dampening": 0.5}),
        ("Adam", {}),
        ("AdamW", {}),
        ("Adagrad", {"lr_decay": 0.1}),
    ]
}
MISTAKES |= {
    "Adam: decay decoupled": (("Adam", {"weight_decay": 0.1}), lambda rule: RULES["AdamW"]),
    "AdamW: decay through the moments": (("AdamW", {"weight_decay": 0.1}), lambda rule: RULES["Adam"]),
    "Adam: betas exchanged": (("Adam", {}), with_settings(lambda s: {"betas": s["betas"][::-1]})),
    "SGD: Nesterov forgotten": (("SGD", {"momentum": 0.9, "nesterov": True}), with_settings(lambda s: {"nesterov": False})),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_planted_mistake_is_caught(mistake: str):
    (name, settings), mutate = MISTAKES[mistake]
    expected = torch_trajectory(name, settings)
    with pytest.raises(AssertionError, match="after step"):
        compare(trajectory(name, settings, mutate=mutate), expected, 1e-12)


# ------------------------------------------------------------------------------------------------ by hand
LR, REG, EPS, MU, RHO = 0.1, 0.01, 1e-3, 0.9, 0.8

# With one and the same gradient g at every step the equations have closed forms: the change of W after two steps.
TWO_EQUAL_STEPS: list[tuple[str, dict[str, Any], Callable[[np.ndarray], np.ndarray]]] = [
    ("SGD", {}, lambda g: -LR * 2 * g),
    ("SGD", {"momentum": MU}, lambda g: -LR * (g + (1 + MU) * g)),
    ("SGD", {"momentum": MU, "dampening": 0.5}, lambda g: -LR * (g + (MU + 0.5) * g)),
    ("SGD", {"momentum": MU, "nesterov": True}, lambda g: -LR * ((1 + MU) * g + (1 + MU * (1 + MU)) * g)),
    ("RMSprop", {"alpha": RHO, "eps": EPS}, lambda g: -LR * sum(g / (abs(g) * np.sqrt(1 - RHO**t) + EPS) for t in (1, 2))),
    (
        "RMSprop",
        {"alpha": RHO, "eps": EPS, "centered": True},
        lambda g: -LR * sum(g / (abs(g) * np.sqrt((1 - RHO**t) * RHO**t) + EPS) for t in (1, 2)),
    ),
    ("Adam", {"eps": EPS}, lambda g: -LR * 2 * g / (abs(g) + EPS)),
    ("Adam", {"eps": EPS, "amsgrad": True}, lambda g: -LR * 2 * g / (abs(g) + EPS)),
    ("AdamW", {"eps": EPS, "weight_decay": 0.0}, lambda g: -LR * 2 * g / (abs(g) + EPS)),
    ("Adagrad", {"eps": EPS}, lambda g: -LR * sum(g / (abs(g) * np.sqrt(t) + EPS) for t in (1, 2))),
    (
        "Adagrad",
        {"eps": EPS, "lr_decay": 0.5},
        lambda g: -LR * (g / (abs(g) + EPS) + g / (abs(g) * np.sqrt(2) + EPS) / 1.5),
    ),
]


@pytest.mark.parametrize(("name", "settings", "change"), TWO_EQUAL_STEPS)
def test_two_equal_gradients_by_hand(name: str, settings: dict[str, Any], change: Callable[[np.ndarray], np.ndarray]):
    start, g = np.array([1.0, -2.0, 0.5]), np.array([0.3, -4.0, 0.0])
    W = cr.parameter(start)
    optimizer = OPTIMIZERS[name]([W], lr=LR, **settings)
    for _ in range(2):
        W.grad = cr.tensor(g)
        optimizer.step()
    np.testing.assert_allclose(W.numpy(), start + change(g), rtol=1e-13)


def test_first_step_of_adadelta_by_hand():
    start, g = np.array([1.0, -2.0]), np.array([0.3, -4.0])
    W = cr.parameter(start)
    W.grad = cr.tensor(g)
    OPTIMIZERS["Adadelta"]([W], rho=RHO, eps=EPS).step()
    np.testing.assert_allclose(W.numpy(), start - np.sqrt(EPS) / np.sqrt((1 - RHO) * g**2 + EPS) * g, rtol=1e-14)


def test_first_step_of_adamw_shrinks_the_weights_by_rate_times_decay():
    W = cr.parameter([1.0, -2.0])
    W.grad = cr.tensor([0.0, 0.0])
    OPTIMIZERS["AdamW"]([W], lr=LR, weight_decay=REG).step()
    np.testing.assert_allclose(W.numpy(), np.array([1.0, -2.0]) * (1 - LR * REG), rtol=1e-15)


def test_centered_rmsprop_stays_finite_when_gradients_never_change():
    W = cr.parameter([0.0, 0.0], dtype="float32")
    optimizer = OPTIMIZERS["RMSprop"]([W], alpha=0.5, centered=True, lr=1e-9)
    for _ in range(200):
        W.grad = cr.tensor([0.3, 0.7], dtype="float32")
        optimizer.step()
    assert np.all(np.isfinite(W.numpy()))


def test_rules_do_not_change_their_arguments():
    settings = OPTIMIZERS["Adam"]([cr.parameter([1.0])]).groups[0].settings
    W, g, rule = cr.parameter([1.0]), cr.tensor([0.5]), RULES["Adam"]
    state = rule.init(W, settings)
    value, new = rule.update(g, state, W, settings, cr.tensor(1.0))
    assert (W.tolist(), g.tolist(), state["exp_avg"].tolist()) == ([1.0], [0.5], [0.0])
    assert value.tolist() != [1.0]
    np.testing.assert_allclose(new["exp_avg"].numpy(), [0.05])
