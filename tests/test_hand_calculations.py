"""Graphs, derivatives and networks worked out by hand in tutorials: every number that they print."""

from itertools import pairwise

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import GradientError
from chainrule.functional import error_attribution


def numbers(*tensors):
    return [t.item() for t in tensors]


def printed(value):
    """Equal to a number printed with ten decimals."""
    return pytest.approx(value, abs=5.1e-11)


# ------------------------------------------------------------------------------------------------ A. graphs
def test_scalar_graphs():
    x, y, z = cr.tensor(-2.0, name="x"), cr.tensor(5.0, name="y"), cr.tensor(-4.0, name="z")
    q = (x + y).named("q")
    f = q * z
    assert numbers(q, f) == [3.0, -12.0]
    assert numbers(*cr.grad(f, [f, q, x, y, z])) == [1.0, -4.0, -4.0, -4.0, 3.0]


def test_every_kind_of_node():
    x, y = 0.7, 1.9
    a, b = cr.tensor(x), cr.tensor(y)
    f = cr.exp(a) / b + cr.log(b) ** 2 - cr.sigmoid(a * b) * cr.tanh(a) + cr.relu(a - b) + cr.maximum(a, b)
    s, t = 1 / (1 + np.exp(-x * y)), np.tanh(x)
    assert f.item() == pytest.approx(np.exp(x) / y + np.log(y) ** 2 - s * t + y)
    fx, fy = numbers(*cr.grad(f, [a, b]))
    assert fx == pytest.approx(np.exp(x) / y - s * (1 - s) * y * t - s * (1 - t * t))
    assert fy == pytest.approx(-np.exp(x) / y**2 + 2 * np.log(y) / y - s * (1 - s) * x * t + 1)


def test_the_car():
    price, tax, count = (cr.tensor(v, name=n) for v, n in ((20.0, "price"), (1.1, "tax factor"), (2.0, "count")))
    taxed = price * tax
    total = taxed * count
    assert numbers(taxed, total) == pytest.approx([22.0, 44.0])
    cars = price * count
    other = cars * tax
    assert numbers(cars, other) == pytest.approx([40.0, 44.0])
    # From right to left: the local derivatives are 1, then 1.1 and 2, in either order.
    assert numbers(*cr.grad(other, [other, cars, price])) == pytest.approx([1.0, 1.1, 2.2])
    assert numbers(*cr.grad(cars, [price])) == [2.0]
    assert numbers(*cr.grad(total, [total, taxed, price])) == pytest.approx([1.0, 2.0, 2.2])
    assert numbers(*cr.grad(taxed, [price])) == [1.1]
    assert (cr.tensor(200_000.0) * 1.1 * 2.0).item() == pytest.approx(440_000.0)


def test_node_rules():
    rng = np.random.default_rng(0)
    a, b, g = (rng.normal(size=3) for _ in range(3))
    x, y = cr.tensor(a), cr.tensor(b)
    assert [d.tolist() for d in cr.grad(x + y, [x, y], g)] == [g.tolist(), g.tolist()]
    assert [d.tolist() for d in cr.grad(x * y, [x, y], g)] == [(g * b).tolist(), (g * a).tolist()]
    data, weights, upstream = rng.normal(size=(4, 3)), rng.normal(size=(3, 2)), rng.normal(size=(4, 2))
    for affine in (cr.affine, lambda p, q, r: p @ q + r):
        X, W, c = cr.tensor(data), cr.tensor(weights), cr.tensor(np.zeros(2))
        dX, dW, db = cr.grad(affine(X, W, c), [X, W, c], upstream)
        np.testing.assert_allclose(dX.numpy(), upstream @ weights.T)
        np.testing.assert_allclose(dW.numpy(), data.T @ upstream)
        np.testing.assert_allclose(db.numpy(), upstream.sum(axis=0))
    r = cr.tensor([-1.0, 0.0, 2.0])
    assert cr.grad(cr.relu(r), [r], g)[0].tolist() == [0.0, 0.0, g[2]]


@pytest.mark.parametrize("whole", [True, False], ids=["block", "body"])
def test_softmax_with_loss(whole):
    a, t = cr.tensor([0.3, 2.9, 4.0]), cr.tensor([0.0, 0.0, 1.0])
    y = cr.softmax(a)
    loss = cr.softmax_with_loss(a, t) if whole else -(t * cr.log(y)).sum()
    (da,) = cr.grad(loss, [a])
    assert y.tolist() == [printed(0.0182112733), printed(0.2451918129), printed(0.7365969138)]
    assert loss.item() == printed(0.3057144648)
    assert da.tolist() == [printed(0.0182112733), printed(0.2451918129), printed(-0.2634030862)]
    np.testing.assert_allclose(da.numpy(), (y - t).numpy(), atol=1e-15)


BLOCKS = {
    "sigmoid": (cr.sigmoid, lambda x: 1.0 / (1.0 + cr.exp(-x)), [(2, 3)]),
    "affine": (cr.affine, lambda x, w, b: x @ w + b, [(2, 3), (3, 4), (4,)]),
    "softmax": (cr.softmax, lambda x: cr.exp(x) / cr.exp(x).sum(-1, keepdims=True), [(2, 3)]),
    "softmax with loss": (
        lambda x: cr.softmax_with_loss(x, np.eye(3)[[0, 2]]),
        lambda x: -cr.log(cr.exp(x) / cr.exp(x).sum(-1, keepdims=True))[[0, 1], [0, 2]],
        [(2, 3)],
    ),
}


@pytest.mark.parametrize("name", BLOCKS)
def test_blocks(name):
    block, expanded, shapes = BLOCKS[name]
    rng = np.random.default_rng(0)
    inputs = [cr.tensor(rng.normal(size=s)) for s in shapes]
    y, z = block(*inputs), expanded(*inputs)
    np.testing.assert_allclose(y.numpy(), z.numpy(), rtol=1e-12)
    g = rng.normal(size=y.shape)
    for a, b in zip(cr.grad(y, inputs, g), cr.grad(z, inputs, g), strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-10, atol=1e-14)


# ------------------------------------------------------------------------------------------------ B. hand-worked networks
WEIGHTS = {"w13": 0.1, "w14": 0.4, "w23": 0.8, "w24": 0.6, "w35": 0.3, "w45": 0.9}


def m6_network(weights):
    """Every named quantity of the network with two hidden sigmoid units, from its weights."""
    w = {name: cr.parameter(value, name=name) for name, value in weights.items()}
    x1, x2, t5 = cr.tensor(0.35, name="x1"), cr.tensor(0.9, name="x2"), 0.5
    x3, x4 = w["w13"] * x1 + w["w23"] * x2, w["w14"] * x1 + w["w24"] * x2
    o3, o4 = cr.sigmoid(x3), cr.sigmoid(x4)
    x5 = w["w35"] * o3 + w["w45"] * o4
    o5 = cr.sigmoid(x5)
    return w | {"x3": x3, "x4": x4, "O3": o3, "O4": o4, "x5": x5, "O5": o5, "E": 0.5 * (o5 - t5) ** 2}


FORWARD = {
    "x3": 0.755, "x4": 0.68, "O3": 0.6802671967, "O4": 0.6637386974, "x5": 0.8014449867, "O5": 0.6902834929, "E": 0.0181039038,
}  # fmt: skip
BACKWARD = {
    "x5": 0.0406811251, "x3": 0.0026544890, "x4": 0.0081716451, "w35": 0.0276740349, "w45": 0.0270016370,
    "w13": 0.0009290712, "w23": 0.0023890401, "w14": 0.0028600758, "w24": 0.0073544806,
}  # fmt: skip
STEPPED = {
    "w13": 0.0990709288, "w14": 0.3971399242, "w23": 0.7976109599, "w24": 0.5926455194, "w35": 0.2723259651,
    "w45": 0.8729983630,
}  # fmt: skip


def test_two_hidden_units():
    n = m6_network(WEIGHTS)
    assert {name: n[name].item() for name in FORWARD} == {k: printed(v) for k, v in FORWARD.items()}
    found = cr.grad(n["E"], [n[name] for name in BACKWARD])
    assert dict(zip(BACKWARD, numbers(*found), strict=True)) == {k: printed(v) for k, v in BACKWARD.items()}
    n["E"].backward()
    for name in WEIGHTS:
        assert n[name].grad.item() == printed(BACKWARD[name])
        n[name].assign(n[name] - 1.0 * n[name].grad)
    stepped = {name: n[name].item() for name in WEIGHTS}
    assert stepped == {k: printed(v) for k, v in STEPPED.items()}
    after = m6_network(stepped)
    assert numbers(after["O5"], after["E"]) == [printed(0.6820185833), printed(0.0165653823)]


def test_errata_in_print():
    n = m6_network(WEIGHTS)
    (delta5,) = cr.grad(n["E"], [n["x5"]])
    (dw45,) = cr.grad(n["E"], [n["w45"]])
    # O₃ was printed as 0.69, which is O₅; truly it is 0.680.
    assert round(n["O3"].item(), 2) == 0.68
    assert round(n["O5"].item(), 2) == 0.69
    # ∂E/∂x₅ was printed as 0.027, which is ∂E/∂w₄₅: a factor O₄ too many.
    assert round(delta5.item(), 3) == 0.041
    assert round(dw45.item(), 3) == 0.027
    assert dw45.item() == pytest.approx(delta5.item() * n["O4"].item())
    # The derivative by w₁₃ was printed as ∂E/∂b, but the network has no bias, and no weight w₄₄ either.
    assert not {"b", "w44"} & set(n)
    assert numbers(*cr.grad(n["E"], [n["w13"]])) == [printed(0.0009290712)]


def test_two_layers_two_outputs_with_biases():
    rng = np.random.default_rng(7)
    W1, b1, W2, b2, x, y = (cr.tensor(rng.normal(size=s)) for s in ((2, 2), 2, (2, 2), 2, 2, 2))
    z2 = W1 @ x + b1
    a2 = cr.sigmoid(z2)
    z3 = W2 @ a2 + b2
    a3 = cr.sigmoid(z3)
    errors = 0.5 * (a3 - y) ** 2

    def slope(z):
        return z.numpy() * (1 - z.numpy())

    delta3 = (a3 - y).numpy() * slope(a3)  # (a³ − y) σ'(z³)
    one = [g.numpy() for g in cr.grad(errors[0], [W2, b2, W1])]
    assert one[0][0, 0] == pytest.approx(delta3[0] * a2.numpy()[0])
    assert one[1][0] == pytest.approx(delta3[0])
    through_one = delta3[0] * W2.numpy()[0, 0] * slope(a2)[0] * x.numpy()[0]
    assert one[2][0, 0] == pytest.approx(through_one)
    total = cr.grad(errors.sum(), [W1])[0].numpy()[0, 0]
    through_two = delta3[1] * W2.numpy()[1, 0] * slope(a2)[0] * x.numpy()[0]
    assert total == pytest.approx(through_one + through_two)
    assert abs(total - through_one) > 1e-6  # the erratum: the formula of one output is not that of the total error


def test_error_attribution():
    w = np.array([[0.6, 0.2], [0.3, 0.8]])  # w_ij from hidden unit i to output j
    e = np.array([0.5, -0.1])
    shared = error_attribution(w, e)
    expected = [w[i, 0] / (w[0, 0] + w[1, 0]) * e[0] + w[i, 1] / (w[0, 1] + w[1, 1]) * e[1] for i in range(2)]
    assert shared.tolist() == pytest.approx(expected)
    assert shared.sum().item() == pytest.approx(e.sum())  # nothing of the error is lost
    plain = error_attribution(w, e, normalised=False)
    W = w.T  # (outputs, hidden), as the formula E_h = Wᵀ E_o writes it
    assert plain.tolist() == pytest.approx((W.T @ e).tolist())
    both = error_attribution(w, np.stack([e, 2 * e]))
    np.testing.assert_allclose(both.numpy(), np.stack([expected, 2 * np.array(expected)]))
    # Side by side with the true δ of the hidden units, which both miss.
    z = cr.tensor([0.4, -0.3])
    output = cr.sigmoid(cr.sigmoid(z) @ w)
    target = output.numpy() + e  # so that target − output is e
    (delta,) = cr.grad((0.5 * (output - target) ** 2).sum(), [z])
    assert not np.allclose(-delta.numpy(), shared.numpy(), rtol=0.1)
    assert not np.allclose(-delta.numpy(), plain.numpy(), rtol=0.1)
    assert "a heuristic, not the gradient" in error_attribution.__doc__


def test_general_sums():
    rng = np.random.default_rng(9)
    sizes = (3, 4, 2)
    w1, w2 = (cr.tensor(rng.normal(size=s)) for s in ((sizes[0], sizes[1]), (sizes[1], sizes[2])))
    oi, t = rng.normal(size=sizes[0]), rng.uniform(size=sizes[2])
    xj = cr.tensor(oi) @ w1
    oj = cr.sigmoid(xj)
    xk = oj @ w2
    ok = cr.sigmoid(xk)
    e = 0.5 * ((ok - t) ** 2).sum()
    Ok, Oj = ok.numpy(), oj.numpy()
    dk = [(Ok[k] - t[k]) * Ok[k] * (1 - Ok[k]) for k in range(2)]
    dj = [Oj[j] * (1 - Oj[j]) * sum(dk[k] * w2.numpy()[j, k] for k in range(2)) for j in range(4)]
    gk, gj, g1, g2 = (g.numpy() for g in cr.grad(e, [xk, xj, w1, w2]))
    np.testing.assert_allclose(gk, dk)
    np.testing.assert_allclose(gj, dj)
    np.testing.assert_allclose(g1, [[oi[i] * dj[j] for j in range(4)] for i in range(3)])
    np.testing.assert_allclose(g2, [[Oj[j] * dk[k] for k in range(2)] for j in range(4)])


ACTIVATIONS = {
    "sigmoid": (cr.sigmoid, lambda z: 1 / (1 + np.exp(-z)) * (1 - 1 / (1 + np.exp(-z)))),
    "tanh": (cr.tanh, lambda z: 1 - np.tanh(z) ** 2),
    "relu": (cr.relu, lambda z: (z > 0).astype(float)),
    "softplus": (cr.softplus, lambda z: 1 / (1 + np.exp(-z))),
}
COSTS = {
    "half squared error": (lambda a, t: 0.5 * ((a - t) ** 2).sum(), lambda a, t: a - t),
    "sum of exponentials": (lambda a, t: cr.exp(a * t).sum(), lambda a, t: t * np.exp(a * t)),
    "log cosh": (lambda a, t: cr.log(cr.exp(a - t) + cr.exp(t - a)).sum(), lambda a, t: np.tanh(a - t)),
}


@pytest.mark.parametrize("layers", [1, 2, 5])
@pytest.mark.parametrize("cost", COSTS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_matrix_form(activation, cost, layers):
    (f, slope), (loss, loss_slope) = ACTIVATIONS[activation], COSTS[cost]
    rng = np.random.default_rng(layers)
    sizes = [3, 4, 2, 5, 3, 2][: layers + 1]
    W = [cr.tensor(rng.normal(size=(n, m))) for m, n in pairwise(sizes)]
    b = [cr.tensor(rng.normal(size=(n, 1))) for n in sizes[1:]]
    t = rng.uniform(size=(sizes[-1], 1))
    a, z = [cr.tensor(rng.normal(size=(sizes[0], 1)))], []
    for w, c in zip(W, b, strict=True):
        z.append(w @ a[-1] + c)
        a.append(f(z[-1]))
    delta = loss_slope(a[-1].numpy(), t) * slope(z[-1].numpy())
    C = loss(a[-1], t)
    for k in reversed(range(layers)):
        dz, dW, db = (g.numpy() for g in cr.grad(C, [z[k], W[k], b[k]]))
        np.testing.assert_allclose(dz, delta, rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(dW, delta @ a[k].numpy().T, rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(db, delta, rtol=1e-10, atol=1e-12)
        if k:
            delta = W[k].numpy().T @ delta * slope(z[k - 1].numpy())


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_two_layers_with_binary_cross_entropy(label):
    rng = np.random.default_rng(11)
    W1, b1, W2, b2, x = (cr.tensor(rng.normal(size=s)) for s in ((4, 3), (4, 1), (1, 4), (1, 1), (3, 1)))
    z1 = W1 @ x + b1
    a1 = cr.sigmoid(z1)
    z2 = W2 @ a1 + b2
    y = cr.sigmoid(z2)
    by_hand = -(label * cr.log(y) + (1.0 - label) * cr.log(1.0 - y)).sum()
    block = cr.binary_cross_entropy_with_logits(z2, np.full((1, 1), label)).sum()
    assert by_hand.item() == pytest.approx(block.item())
    for loss in (by_hand, block):
        dz2, dW2, db2, dz1, dW1, db1 = (g.numpy() for g in cr.grad(loss, [z2, W2, b2, z1, W1, b1]))
        np.testing.assert_allclose(dz2, y.numpy() - label)
        np.testing.assert_allclose(dW2, dz2 @ a1.numpy().T)
        np.testing.assert_allclose(db2, dz2)
        np.testing.assert_allclose(dz1, W2.numpy().T @ dz2 * (a1.numpy() * (1 - a1.numpy())))
        np.testing.assert_allclose(dW1, dz1 @ x.numpy().T)
        np.testing.assert_allclose(db1, dz1)


# ------------------------------------------------------------------------------------------------ C. networks
def test_sigmoid_and_step():
    values = np.array([-3.0, -0.5, 0.0, 0.5, 3.0])
    x = cr.tensor(values)
    s = cr.sigmoid(x)
    np.testing.assert_allclose(s.numpy(), 1 / (1 + np.exp(-values)), rtol=1e-15)
    np.testing.assert_allclose(cr.grad(s.sum(), [x])[0].numpy(), (s * (1.0 - s)).numpy())
    assert (s >= 0.5).tolist() == [False, False, True, True, True]  # the threshold of a binary classifier
    assert cr.step(x).tolist() == [0.0, 0.0, 0.5, 1.0, 1.0]
    w = cr.parameter([1.0, -1.0])
    neuron = cr.step((w * np.array([2.0, 1.0])).sum() + 0.5)
    assert neuron.item() == 1.0
    with pytest.raises(GradientError, match=r"step: its derivative is 0 everywhere, so nothing can be learnt.*use sigmoid"):
        neuron.backward()


CORNERS = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])


def gate(bias, w1, w2, inputs=CORNERS):
    return cr.sigmoid(cr.matmul(inputs, np.array([float(w1), float(w2)])) + bias)


def test_gates_given():
    both, neither = gate(-30, 20, 20), gate(10, -20, -20)
    either = gate(-10, 20, 20)
    assert np.round(both.numpy(), 3).tolist() == [0.0, 0.0, 0.0, 1.0]
    assert np.round(neither.numpy(), 3).tolist() == [1.0, 0.0, 0.0, 0.0]
    assert np.round(either.numpy(), 3).tolist() == [0.0, 1.0, 1.0, 1.0]
    xnor = gate(-10, 20, 20, cr.stack([both, neither], axis=1))
    assert np.round(xnor.numpy(), 5).tolist() == [0.99995, 0.00005, 0.00005, 0.99995]
    # The errata: with the printed signs of the exponents the gates say the opposite, and this is XNOR, not XOR.
    assert np.round(gate(-10, 20, 20).numpy() + gate(10, -20, -20).numpy(), 9).tolist() == [1.0, 1.0, 1.0, 1.0]
    assert (xnor > 0.5).tolist() == [bool(a == b) for a, b in CORNERS]
