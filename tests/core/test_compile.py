"""A compiled function does what the function does, state and random stream included."""

import functools
from collections import namedtuple

import numpy as np
import pytest

import chainrule as cr
from chainrule.backends import get
from chainrule.capture import capture
from chainrule.errors import ArgumentError, CaptureError
from chainrule.generators import Generator

rng = np.random.default_rng(0)
X, T = rng.normal(size=(8, 3)), rng.normal(size=(8, 2))


class Model:
    """Weights, a momentum each, a step counter and a random stream: everything that a training step may keep."""

    def __init__(self):
        start = np.random.default_rng(1)
        self.w = cr.parameter(start.normal(size=(3, 2)), name="W")
        self.b = cr.parameter(np.zeros(2), name="b")
        self.velocity = [cr.tensor(np.zeros(p.shape)) for p in self.parameters()]
        self.count = cr.tensor(0)
        self.random = Generator(3)

    def parameters(self):
        return [self.w, self.b]

    def step(self, x, t):
        for p in self.parameters():
            p.grad = None
        mask = self.random.dropout_mask(x.shape, 0.3)
        loss = cr.square(cr.tanh((x * mask) @ self.w + self.b) - t).mean()
        loss.backward()
        with cr.no_grad():
            self.count.assign(self.count + 1)
            for p, v in zip(self.parameters(), self.velocity, strict=True):
                v.assign(0.9 * v + p.grad)
                p.assign(p - 0.1 / self.count.astype("float64") * v)
        return loss

    def values(self):
        return [t.numpy().copy() for t in (self.w, self.b, *self.velocity, self.count, self.random.state)]


def test_a_training_step_equals_eager_code_exactly():
    eager, compiled = Model(), Model()
    step = cr.compile(compiled.step)
    for _ in range(5):
        a = eager.step(cr.tensor(X), cr.tensor(T))
        b = step(X, T)
        np.testing.assert_allclose(a.item(), b.item(), rtol=1e-14)
    for a, b in zip(eager.values(), compiled.values(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-13, atol=1e-15)
    assert compiled.random.state.tolist() == [3, 5]
    assert compiled.count.item() == 5
    assert compiled.w.grad is None  # gradients computed inside stay inside


def test_the_random_stream_continues_where_compiled_code_left_it():
    def draw(x):
        return x + cr.random.normal(3)

    cr.manual_seed(7)
    eager = [draw(cr.zeros(3)).tolist() for _ in range(4)]
    cr.manual_seed(7)
    compiled = cr.compile(draw)
    mixed = [f(cr.zeros(3)).tolist() for f in (compiled, draw, compiled, compiled)]
    np.testing.assert_allclose(mixed, eager, rtol=1e-15)


def test_values_assigned_outside_are_read_at_the_next_call():
    w = cr.parameter(2.0)
    f = cr.compile(lambda x: x * w)
    assert f(3.0).item() == 6.0
    w.assign(10.0)
    assert f(3.0).item() == 30.0


def test_an_output_keeps_the_value_from_before_the_update():
    w = cr.parameter([1.0, 2.0])

    def old_and_new():
        old = w * 1.0
        w.assign(w + 1.0)
        return old, w

    old, new = cr.compile(old_and_new)()
    assert old.tolist() == [1.0, 2.0]
    assert new.tolist() == [2.0, 3.0]
    assert w.tolist() == [2.0, 3.0]


def test_two_steps_in_one_call_equal_two_eager_ones():
    def two_steps(w, hidden):
        for _ in range(2):
            w.grad = None
            (w**3 + hidden * w).sum().backward()
            hidden.assign(hidden + w * 2.0)
            w.assign(w - 0.01 * w.grad)
        return w * hidden

    eager, compiled = ((cr.parameter([1.0, 2.0]), cr.tensor([0.5, 0.5])) for _ in range(2))
    expected = two_steps(*eager)
    found = cr.compile(lambda: two_steps(*compiled))()
    np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-14)
    for a, b in zip(eager, compiled, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-14)


def test_two_states_can_be_exchanged():
    a, b = cr.tensor([1.0]), cr.tensor([2.0])

    def swap():
        first = a * 1.0
        a.assign(b)
        b.assign(first)

    run = cr.compile(swap)
    assert run() is None
    assert (a.item(), b.item()) == (2.0, 1.0)
    run()
    assert (a.item(), b.item()) == (1.0, 2.0)


Pair = namedtuple("Pair", ["left", "right"])


def test_nested_results_keep_their_structure():
    f = cr.compile(lambda x: {"a": (x + 1.0, [x * 2.0]), "b": Pair(x, None)})
    found = f(np.array([1.0]))
    assert list(found) == ["a", "b"]
    assert found["a"][0].item() == 2.0
    assert isinstance(found["a"][1], list)
    assert found["a"][1][0].item() == 2.0
    assert isinstance(found["b"], Pair)
    assert found["b"].left.item() == 1.0
    assert found["b"].right is None


def test_one_program_per_signature():
    calls = []

    def double(x):
        calls.append(x.shape)
        return x * 2

    f = cr.compile(double)
    assert f([1.0, 2.0]).tolist() == [2.0, 4.0]
    f([3.0, 4.0])
    f(np.ones((2, 2)))
    f(np.ones(2, np.float32))
    f(np.ones(2))
    assert calls == [(2,), (2, 2), (2,)]
    assert f.__name__ == "double"


def test_tensors_made_inside_are_part_of_the_graph():
    def f(x):
        w = cr.parameter(np.array([1.0, 2.0]))
        (x * w + cr.zeros(2)).sum().backward()
        w.assign(w + 1.0)
        return w.grad, w

    grad, w = cr.compile(f)(np.array([5.0, 6.0]))
    assert grad.tolist() == [5.0, 6.0]
    assert w.tolist() == [2.0, 3.0]


def test_grad_inside_and_second_order():
    def f(x):
        (g,) = cr.grad((x**3).sum(), [x])
        (h,) = cr.grad(g.sum(), [x])
        return g, h

    g, h = cr.compile(f)(np.array([2.0]))
    assert (g.item(), h.item()) == (12.0, 12.0)


def test_graph_shows_what_runs():
    w = cr.parameter(2.0, name="w")
    graph = cr.compile(lambda x: x * w).graph(1.0)
    assert [n.name for n in graph.state] == ["w"]
    assert len(graph.inputs) == 1
    assert "multiply" in str(graph)


def test_capture_names_its_arguments():
    found = capture(lambda x, y: x + y, [((2,), "float64", "x"), ((2,), "float64", "y")])
    assert [n.name for n in found.graph.inputs] == ["x", "y"]
    assert found.state == ()


def _branching(x):
    return x if x.sum() > 0 else -x


def _leaking(kept):
    def f(x):
        kept.append(x * 2.0)
        return x

    return f


ERRORS = {
    "if": (lambda: cr.compile(_branching)(np.ones(2)), CaptureError, r"cannot look at values.*Use where\(condition, a, b\)"),
    "item": (lambda: cr.compile(lambda x: x * x.item())(1.0), CaptureError, "asked for while its function is being compiled"),
    "numpy": (lambda: cr.compile(lambda x: np.sin(np.asarray(x)))(np.ones(2)), CaptureError, "compute this part outside"),
    "mask": (lambda: cr.compile(lambda x: x[x > 0])(np.ones(2)), CaptureError, "indexes with a boolean mask"),
    "result": (lambda: cr.compile(lambda x: 3)(1.0), CaptureError, "a compiled function returned a int"),
    "keyword": (lambda: cr.compile(lambda x: x)(x=1.0), ArgumentError, "got the keyword 'x'.*functools.partial"),
    "backend": (lambda: cr.compile(lambda x: x, backend="magic"), ArgumentError, "backend 'magic' was asked for; there are"),
    "ragged": (lambda: cr.compile(lambda x: x)([[1], [1, 2]]), ValueError, "in rows of one length"),
    "dtype": (lambda: cr.compile(lambda x: x)("a"), TypeError, "chainrule computes with"),
}  # fmt: skip


@pytest.mark.parametrize("case", ERRORS)
def test_errors(case):
    call, error, text = ERRORS[case]
    with pytest.raises(error, match=text):
        call()


# What needs the value of a number that is an argument, and what the message says to write in place of it.
OF_A_NUMBER = {
    "bound": (lambda x, v: cr.clip(x, 0, v), lambda x, v: cr.minimum(cr.maximum(x, 0), v)),
    "bound of a method": (lambda x, v: x.clip(high=v), cr.minimum),
    "made of it": (lambda x, v: cr.clip(x, 0, 2 * v), lambda x, v: cr.minimum(cr.maximum(x, 0), 2 * v)),
    "if": (lambda x, v: x if v > 0 else -x, lambda x, v: cr.where(v > 0, x, -x)),
    "float": (lambda x, v: x * float(v), lambda x, v: x * v),
}


@pytest.mark.parametrize("kind", OF_A_NUMBER)
def test_a_number_that_is_an_argument_has_no_value_yet(kind):
    refused, instead = OF_A_NUMBER[kind]
    text = r"the value of a number that is an argument was asked for .*minimum\(maximum\(x, low\), high\) in place of clip"
    with pytest.raises(CaptureError, match=text):
        cr.compile(refused, backend="reference")(X, 0.5)
    expected = refused(cr.tensor(X), 0.5).numpy()
    np.testing.assert_allclose(cr.compile(instead, backend="reference")(X, 0.5).numpy(), expected)
    bound = cr.compile(functools.partial(refused, v=0.5), backend="reference")
    np.testing.assert_allclose(bound(X).numpy(), expected)


def test_a_failed_capture_leaves_eager_code_working():
    w = cr.parameter(2.0)
    with pytest.raises(CaptureError):
        cr.compile(lambda x: x * w if w > 0 else x)(1.0)
    (w * 3.0).backward()
    assert w.grad.item() == 3.0


def test_a_tensor_that_leaks_out_of_a_capture_says_so():
    kept = []
    cr.compile(_leaking(kept))(1.0)
    assert repr(kept[0]) == "Tensor(<to be computed>, shape=(), dtype=float64)"
    with pytest.raises(CaptureError, match="was asked for while its function is being compiled"):
        kept[0].numpy()


def test_backends_by_name():
    assert get("reference").name == "reference"
    assert cr.compile(lambda x: x + 1.0, backend="reference")(1.0).item() == 2.0


def test_the_program_and_its_threads():
    f = cr.compile(lambda x: x * 2.0, threads=1)
    np.testing.assert_array_equal(f.program(X).run([X], [])[0], 2 * X)
    with pytest.raises(ArgumentError, match=r"threads=0 was given; it must be a whole number ≥ 1, or None\. Leave it out"):
        cr.compile(lambda x: x, threads=0)
