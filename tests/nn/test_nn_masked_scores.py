"""Scores of −∞ leave classes out: cross-entropy and its gradient are those of the classes that are left, as in PyTorch."""

import importlib.util

import numpy as np
import pytest

import chainrule as cr

BACKENDS = ["reference", *(["native"] if importlib.util.find_spec("llvmlite") else [])]
SCORES = np.array([[1.0, -np.inf, 2.0], [-np.inf, 0.3, -np.inf], [0.5, 1.5, -np.inf]])
LABELS = np.array([2, 1, 0])


def loss_and_gradient(backend, scores, targets, **settings):
    def both(a, t):
        value = cr.nn.CrossEntropyLoss(**settings)(a, t)
        return value, cr.grad(value, [a])[0]

    value, gradient = cr.compile(both, backend=backend)(scores, targets)
    return value.item(), gradient.numpy()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype, tolerance", [(np.float32, 1e-6), (np.float64, 1e-14)])
@pytest.mark.parametrize("as_distribution", [False, True])
def test_the_others_give_loss_and_gradient(backend, dtype, tolerance, as_distribution):
    targets = np.eye(3, dtype=dtype)[LABELS] if as_distribution else LABELS
    value, gradient = loss_and_gradient(backend, SCORES.astype(dtype), targets)
    e = np.exp(SCORES)
    y = e / e.sum(axis=1, keepdims=True)
    assert value == pytest.approx(-np.log(y[np.arange(3), LABELS]).mean(), rel=tolerance)
    np.testing.assert_allclose(gradient, (y - np.eye(3)[LABELS]) / 3, atol=tolerance)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_target_that_is_left_out_costs_infinitely_much(backend):
    value, gradient = loss_and_gradient(backend, SCORES[:1], np.array([1]))
    assert value == np.inf
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("settings", [{}, {"weight": [0.5, 1.0, 2.0]}, {"reduction": "sum"}, {"ignore_index": 2}])
def test_value_and_gradient_are_pytorchs(settings):
    torch = pytest.importorskip("torch", reason="the other opinion")
    weight = torch.tensor(settings["weight"], dtype=torch.float64) if "weight" in settings else None
    others = {key: value for key, value in settings.items() if key != "weight"}
    scores = torch.tensor(SCORES, requires_grad=True)
    expected = torch.nn.functional.cross_entropy(scores, torch.tensor(LABELS), weight, **others)
    expected.backward()
    value, gradient = loss_and_gradient("reference", SCORES, LABELS, **settings)
    assert value == pytest.approx(expected.item(), rel=1e-12)
    np.testing.assert_allclose(gradient, scores.grad.numpy(), atol=1e-14)


def test_expanded_blocks_agree():
    a, t = cr.parameter(SCORES), np.eye(3)[LABELS]
    whole = cr.grad(cr.softmax_with_loss(a, t).sum(), [a])[0].numpy()
    logs = cr.log_softmax(a)
    (expanded,) = cr.grad(-cr.Tensor(cr.ops.lookup("weighted")(cr.tensor(t).node, logs.node)).sum(), [a])
    np.testing.assert_allclose(expanded.numpy(), whole, atol=1e-14)


def test_a_network_with_masked_scores_learns():
    cr.manual_seed(0)

    class Masked(cr.nn.Module):
        def __init__(self):
            self.lin = cr.nn.Linear(2, 3)

        def forward(self, x):
            return self.lin(x) + np.array([0.0, 0.0, -np.inf], np.float32)

    X = np.random.default_rng(0).normal(size=(60, 2))
    y = (X[:, 0] > 0).astype(int)
    model = Masked()
    trainer = cr.Trainer(model, cr.nn.CrossEntropyLoss(), cr.optim.Adam(model.parameters(), lr=0.1), metrics=["accuracy"])
    assert trainer.fit(X, y, epochs=30, progress=False)["accuracy"][-1] > 0.95
