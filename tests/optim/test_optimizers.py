"""Optimisers as objects: groups, capture, checkpoints, L2, and messages."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import chainrule as cr
from chainrule import optim
from chainrule.errors import ArgumentError, DTypeError, ShapeError
from chainrule.optim import OPTIMIZERS, RULES, Optimizer

X = np.array([[0.5, -1.0, 2.0], [1.5, 0.3, -0.7], [0.1, 0.2, 0.9], [-0.4, 1.1, 0.6]])
Y = np.array([[1.0], [0.0], [0.5], [-1.0]])
FULLEST = {
    "SGD": {"momentum": 0.9, "dampening": 0.2, "weight_decay": 0.01},
    "RMSprop": {"momentum": 0.9, "centered": True},
    "Adam": {"amsgrad": True, "weight_decay": 0.01},
    "AdamW": {"amsgrad": True},
    "Adagrad": {"lr_decay": 0.1},
    "Adadelta": {"weight_decay": 0.01},
}

every_optimizer = pytest.mark.parametrize("name", OPTIMIZERS)
every_dtype = pytest.mark.parametrize("dtype", ["float32", "float64"])


def weights(dtype: str = "float64") -> tuple[cr.Tensor, cr.Tensor]:
    return cr.parameter(np.array([[0.1], [-0.2], [0.3]], dtype)), cr.parameter(np.array([0.05], dtype))


def error(W: cr.Tensor, b: cr.Tensor, x: cr.Tensor, y: cr.Tensor) -> cr.Tensor:
    return ((cr.tanh(x @ W + b) - y) ** 2).mean()


def train(optimizer: Optimizer, params: tuple[cr.Tensor, cr.Tensor], steps: int) -> None:
    x, y = cr.tensor(X, params[0].dtype), cr.tensor(Y, params[0].dtype)
    for _ in range(steps):
        optimizer.zero_grad()
        error(*params, x, y).backward()
        optimizer.step()


def test_every_optimizer_has_its_fullest_settings_here():
    assert set(FULLEST) == set(OPTIMIZERS)


@every_optimizer
def test_learns(name: str):
    params = weights()
    before = error(*params, cr.tensor(X), cr.tensor(Y)).item()
    train(OPTIMIZERS[name](params, lr=1.0 if name == "Adadelta" else 0.05), params, 60)
    assert error(*params, cr.tensor(X), cr.tensor(Y)).item() < 0.9 * before


# ------------------------------------------------------------------------------------------------ capture
@every_dtype
@every_optimizer
def test_a_captured_step_equals_an_eager_step(name: str, dtype: str):
    found = []
    for compiled in (False, True):
        params = weights(dtype)
        optimizer = OPTIMIZERS[name](params, **FULLEST[name])

        def step(x, y, params=params, optimizer=optimizer):
            optimizer.zero_grad()
            value = error(*params, x, y)
            value.backward()
            optim.clip_grad_norm_(params, 0.5)
            optim.clip_grad_value_(params, 0.4)
            optimizer.step()
            return value

        run = cr.compile(step, backend="reference") if compiled else step
        for _ in range(5):
            run(cr.tensor(X, dtype), cr.tensor(Y, dtype))
            optimizer.lr = 0.9 * optimizer.lr  # must not need another program
        found.append({**optimizer.state_dict(), "W": params[0].numpy(), "b": params[1].numpy()})
        if compiled:
            assert [len(made) for made in run._programs._made.values()] == [1]
    eager, captured = found
    assert eager.keys() == captured.keys()
    assert eager["step"] == 5.0
    for key in eager:
        assert eager[key].dtype == captured[key].dtype
        np.testing.assert_allclose(captured[key], eager[key], rtol=1e-6 if dtype == "float32" else 1e-14, err_msg=key)


def test_all_state_is_state_of_the_captured_graph():
    params = weights()
    optimizer = OPTIMIZERS["Adam"](params, amsgrad=True)

    def step(x, y):
        error(*params, x, y).backward()
        optimizer.step()

    graph = cr.compile(step, backend="reference").graph(X, Y)
    assert {leaf.name for leaf in graph.state if leaf.name} == set(optimizer.state_tensors())
    updated = {leaf.name for leaf, new in zip(graph.state, graph.updates, strict=True) if leaf is not new}
    assert updated == set(optimizer.state_tensors()) - {"lr.0"} | {None}


def test_the_rate_can_be_assigned_inside_a_compiled_function():
    W = cr.parameter([1.0])
    optimizer = OPTIMIZERS["SGD"]([W])

    def step(lr):
        optimizer.groups[0].lr.assign(lr)
        optimizer.zero_grad()
        (3.0 * W).sum().backward()
        optimizer.step()

    compiled = cr.compile(step, backend="reference")
    compiled(cr.tensor(0.1))
    compiled(cr.tensor(0.2))
    np.testing.assert_allclose(W.numpy(), [1.0 - 0.3 - 0.6])
    assert optimizer.lr == 0.2


# ------------------------------------------------------------------------------------------------ L2
@pytest.mark.parametrize("decay_biases", [False, True])
@given(reg=st.floats(0.0, 10.0), seed=st.integers(0, 10_000))
def test_l2_adds_reg_times_the_weights_to_the_gradient(decay_biases: bool, reg: float, seed: int):
    rng = np.random.default_rng(seed)
    start = rng.normal(size=(3, 1)), rng.normal(size=1)
    W, b = map(cr.parameter, start)
    groups = [{"params": [W], "weight_decay": reg}, {"params": [b], "weight_decay": reg if decay_biases else 0.0}]
    optimizer = OPTIMIZERS["SGD"](groups, lr=0.1)
    error(W, b, cr.tensor(X), cr.tensor(Y)).backward()
    dW, db = W.grad.numpy(), b.grad.numpy()
    optimizer.step()
    np.testing.assert_allclose(W.numpy(), start[0] - 0.1 * (dW + reg * start[0]), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(b.numpy(), start[1] - 0.1 * (db + reg * start[1] * decay_biases), rtol=1e-12, atol=1e-14)

    penalised_W, penalised_b = map(cr.parameter, start)
    penalty = 0.5 * reg * (penalised_W**2).sum()
    if decay_biases:
        penalty = penalty + 0.5 * reg * (penalised_b**2).sum()
    (error(penalised_W, penalised_b, cr.tensor(X), cr.tensor(Y)) + penalty).backward()
    OPTIMIZERS["SGD"]([penalised_W, penalised_b], lr=0.1).step()
    np.testing.assert_allclose(W.numpy(), penalised_W.numpy(), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(b.numpy(), penalised_b.numpy(), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", sorted(set(OPTIMIZERS) - {"AdamW"}))
def test_l2_is_part_of_the_gradient_in_every_rule_but_adamw(name: str):
    reg, params, penalised = 0.3, weights(), weights()
    decayed = OPTIMIZERS[name](params, weight_decay=reg)
    plain = OPTIMIZERS[name](penalised)
    train(decayed, params, 3)
    for _ in range(3):
        plain.zero_grad()
        penalty = 0.5 * reg * sum((p**2).sum() for p in penalised)
        (error(*penalised, cr.tensor(X), cr.tensor(Y)) + penalty).backward()
        plain.step()
    for p, q in zip(params, penalised, strict=True):
        np.testing.assert_allclose(p.numpy(), q.numpy(), rtol=1e-11)


# ------------------------------------------------------------------------------------------------ parameters and groups
def test_groups_override_settings():
    W, b = weights()
    optimizer = OPTIMIZERS["SGD"]([{"params": [("W", W)], "lr": 0.5, "momentum": 0.9}, {"params": b}], lr=0.1)
    assert [g.lr.item() for g in optimizer.groups] == [0.5, 0.1]
    assert optimizer.lr == 0.5
    assert [g.names for g in optimizer.groups] == [("W",), ("1",)]
    assert set(optimizer.state_tensors()) == {"step", "lr.0", "lr.1", "W.momentum_buffer"}
    W.grad, b.grad = cr.ones((3, 1)), cr.ones((1,))
    optimizer.step()
    np.testing.assert_allclose(W.numpy(), np.array([[0.1], [-0.2], [0.3]]) - 0.5)
    np.testing.assert_allclose(b.numpy(), [0.05 - 0.1])
    optimizer.lr = 0.25
    assert [g.lr.item() for g in optimizer.groups] == [0.25, 0.25]


def test_parameters_may_come_from_an_iterator():
    W, b = weights()
    assert OPTIMIZERS["Adam"](iter([W, b])).groups[0].params == (W, b)
    assert OPTIMIZERS["Adam"](iter([("W", W), ("b", b)])).groups[0].names == ("W", "b")


@every_optimizer
def test_a_parameter_without_gradient_is_left_alone(name: str):
    W, b = weights()
    optimizer = OPTIMIZERS[name]([("W", W), ("b", b)], **FULLEST[name])
    before = {key: a for key, a in optimizer.state_dict().items() if key.startswith("b.")}
    W.grad = cr.ones(W.shape)
    optimizer.step()
    after = optimizer.state_dict()
    assert b.tolist() == [0.05]
    assert all(np.array_equal(before[key], after[key]) for key in before)
    assert not np.array_equal(W.numpy(), [[0.1], [-0.2], [0.3]])


def test_a_step_without_any_gradient_does_nothing():
    optimizer = OPTIMIZERS["Adam"](weights())
    optimizer.step()
    assert optimizer.state_dict()["step"] == 0.0


def test_zero_grad_forgets_gradients():
    W, b = weights()
    W.grad, b.grad = cr.ones(W.shape), cr.ones(b.shape)
    OPTIMIZERS["SGD"]([W, b]).zero_grad()
    assert W.grad is None
    assert b.grad is None


def test_steps_are_not_recorded():
    W = cr.parameter([1.0])
    optimizer = OPTIMIZERS["SGD"]([W], lr=0.1)
    (W * W).sum().backward()
    optimizer.step()
    assert W.node.op == "variable"


def test_any_rule_can_be_given():
    def update(g, state, W, settings, step):
        return W - settings["lr"].astype(W.dtype) * cr.sign(g), state

    rule = optim.Rule("SignSGD", {"lr": RULES["SGD"].settings["lr"]}, lambda W, settings: {}, update)
    W = cr.parameter([1.0, 1.0])
    W.grad = cr.tensor([3.0, -0.1])
    Optimizer([W], rule, lr=0.5).step()
    assert W.tolist() == [0.5, 1.5]


# ------------------------------------------------------------------------------------------------ checkpoints
@every_dtype
@every_optimizer
def test_a_checkpoint_goes_on_bit_by_bit(name: str, dtype: str):
    straight, first = weights(dtype), weights(dtype)
    whole = OPTIMIZERS[name](straight, **FULLEST[name])
    train(whole, straight, 7)

    stopped = OPTIMIZERS[name](first, **FULLEST[name])
    stopped.lr = whole.lr
    train(stopped, first, 3)
    saved, config = stopped.state_dict(), json.loads(json.dumps(stopped.config()))
    train(stopped, first, 1)  # what was saved must not follow

    resumed = weights(dtype)
    again = weights(dtype)
    train(OPTIMIZERS[name](again, **FULLEST[name]), again, 3)
    for p, q in zip(resumed, again, strict=True):
        p.assign(q.numpy())
    loaded = optim.from_config(config, resumed)
    loaded.load_state_dict(saved)
    assert type(loaded) is OPTIMIZERS[name]
    assert loaded.config() == config
    train(loaded, resumed, 4)
    for p, q in zip(straight, resumed, strict=True):
        assert p.numpy().tobytes() == q.numpy().tobytes()
    for key, value in whole.state_dict().items():
        assert value.tobytes() == loaded.state_dict()[key].tobytes(), key


def test_a_configuration_keeps_groups_and_names():
    W, b = weights()
    optimizer = OPTIMIZERS["Adam"]([{"params": [("W", W)], "lr": 0.5}, {"params": [("b", b)], "betas": (0.5, 0.6)}])
    config = json.loads(json.dumps(optimizer.config()))
    assert [g["params"] for g in config["groups"]] == [["W"], ["b"]]
    made = optim.from_config(config, [("b", b), ("W", W)])
    assert made.config() == config
    assert made.groups[0].params == (W,)


BAD_STATES = {
    "missing": (lambda s: s.pop("W.exp_avg"), ArgumentError, "state given to Adam lacks 'W.exp_avg'"),
    "unknown": (lambda s: s.update(other=np.zeros(1)), ArgumentError, "state given to Adam has the unknown 'other'"),
    "shape": (
        lambda s: s.update({"W.exp_avg": np.zeros(2)}),
        ShapeError,
        r"'W.exp_avg' .* has shape \(2,\); it must have shape \(1,\)",
    ),
    "dtype": (
        lambda s: s.update({"W.exp_avg": np.zeros(1, np.float32)}),
        DTypeError,
        "has dtype float32; it must have dtype float64",
    ),
}


@pytest.mark.parametrize("case", BAD_STATES)
def test_a_state_that_does_not_fit_changes_nothing(case: str):
    spoil, kind, text = BAD_STATES[case]
    W = cr.parameter([1.0])
    optimizer = OPTIMIZERS["Adam"]([("W", W)])
    state = {key: value + 1.0 for key, value in optimizer.state_dict().items()}
    spoil(state)
    with pytest.raises(kind, match=text):
        optimizer.load_state_dict(state)
    assert optimizer.state_dict()["step"] == 0.0
    assert optimizer.lr == 1e-3


# ------------------------------------------------------------------------------------------------ messages
def adam(params: Any = None, **settings: Any) -> Optimizer:
    return OPTIMIZERS["Adam"]([cr.parameter([1.0])] if params is None else params, **settings)


W0 = cr.parameter([1.0])
MISTAKES = {
    "negative rate": (lambda: adam(lr=-1.0), "Adam got lr=-1.0; it must be a finite number of at least 0"),
    "rate NaN": (lambda: adam(lr=float("nan")), "Adam got lr=nan"),
    "rate infinite": (lambda: adam(lr=float("inf")), "Adam got lr=inf"),
    "rate text": (lambda: adam(lr="0.1"), "Adam got lr='0.1'"),
    "rate set": (lambda: setattr(adam(), "lr", -1.0), "Adam got lr=-1.0"),
    "rate true": (lambda: adam(lr=True), "Adam got lr=True"),
    "beta 1": (lambda: adam(betas=(0.9, 1.0)), r"Adam got betas=\(0.9, 1.0\); it must be a pair of numbers from 0 up to"),
    "one beta": (lambda: adam(betas=0.9), "Adam got betas=0.9"),
    "negative eps": (lambda: adam(eps=-1e-8), "Adam got eps=-1e-08"),
    "negative decay": (lambda: adam(weight_decay=-1), "Adam got weight_decay=-1"),
    "amsgrad text": (lambda: adam(amsgrad="yes"), "Adam got amsgrad='yes'; it must be True or False"),
    "alpha": (lambda: OPTIMIZERS["RMSprop"]([W0], alpha=1.5), "RMSprop got alpha=1.5; it must be a number from 0 to 1"),
    "rho": (lambda: OPTIMIZERS["Adadelta"]([W0], rho=-0.1), "Adadelta got rho=-0.1"),
    "momentum": (lambda: OPTIMIZERS["SGD"]([W0], momentum=-0.1), "SGD got momentum=-0.1"),
    "nesterov alone": (
        lambda: OPTIMIZERS["SGD"]([W0], nesterov=True),
        "SGD got nesterov=True with momentum=0.0 .* Give a momentum above 0",
    ),
    "nesterov in a group": (
        lambda: OPTIMIZERS["SGD"]([{"params": [W0], "dampening": 0.1}], nesterov=True, momentum=0.9),
        "SGD got nesterov=True with momentum=0.9 and dampening=0.1",
    ),
    "nothing": (lambda: adam([]), "Adam got no parameters; it needs at least one"),
    "empty group": (lambda: adam([{"params": [W0]}, {"params": []}]), "Adam got no parameters"),
    "no gradient": (lambda: adam([cr.tensor([1.0])]), r"Adam got a Tensor of shape \(1,\) with requires_grad=False"),
    "an array": (lambda: adam([np.ones(2)]), "Adam got a ndarray among its parameters"),
    "a Tensor alone": (lambda: adam(W0), r"Adam got a Tensor for its parameters; it takes a list"),
    "a number": (lambda: adam(3), "Adam got a int for its parameters"),
    "a number in a group": (lambda: adam([{"params": 3}]), "Adam got a int for its parameters"),
    "twice": (lambda: adam([W0, W0]), "Adam got the parameter '1' twice"),
    "twice in groups": (lambda: adam([{"params": [W0]}, {"params": [W0]}]), "Adam got the parameter '1' twice"),
    "a name twice": (lambda: adam([("W", W0), ("W", cr.parameter([1.0]))]), "Adam got the parameter 'W' twice"),
    "group without params": (lambda: adam([{"lr": 0.1}]), "Adam got a group without the key 'params'"),
    "mixed": (lambda: adam([{"params": [W0]}, cr.parameter([1.0])]), "Adam got a mixed list"),
    "group setting": (lambda: adam([{"params": [W0], "rate": 0.1}]), "Adam got the setting 'rate'; it takes lr, weight_decay"),
    "rule incomplete": (lambda: Optimizer([W0], RULES["SGD"], lr=0.1), "SGD was not given weight_decay, momentum"),
    "unknown in configuration": (
        lambda: optim.from_config({"name": "Newton", "groups": []}, [W0]),
        "the optimiser 'Newton' was asked for; there are Adadelta, Adagrad",
    ),
    "empty configuration": (lambda: optim.from_config({}, [W0]), "the optimiser None was asked for"),
    "other names in configuration": (
        lambda: optim.from_config(adam([("W", W0)]).config(), [("V", W0)]),
        "the parameters V were given with a configuration of Adam; it is for W",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_named(mistake: str):
    make, text = MISTAKES[mistake]
    with pytest.raises(ArgumentError, match=text):
        make()
