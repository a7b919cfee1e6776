"""Training steps: networks against the reference backend, and what programs promise about state, stops and errors."""

from itertools import pairwise

import numpy as np
import pytest
from comparing import assert_close, compiled, held, held_by, values

import chainrule as cr
from chainrule import ir, nn, ops, optim
from chainrule.backends.native import NATIVE
from chainrule.backends.reference import REFERENCE
from chainrule.capture import capture
from chainrule.errors import ArgumentError, ShapeError


def _capture(model, loss, optimizer, batch, features, target):
    """A training step (x, t, lr) ↦ loss."""

    def step(x, t, lr):
        optimizer.groups[0].lr.assign(lr)
        optimizer.zero_grad()
        value = loss(model(x), t)
        value.backward()
        optimizer.step()
        return value

    dtype = next(iter(model.parameters())).dtype
    return capture(step, [((batch, *features), dtype, "x"), ((batch, *target[0]), target[1], "t"), ((), np.float64, "lr")])


def _train_on_both(found, tables, rows, tolerance):
    rates = np.full(len(rows), 0.01)
    ours, theirs = held_by(found), held_by(found)
    losses = compiled(found.graph).run_steps(tables, rows, [rates], ours)[0]
    wanted = REFERENCE.compile(found.graph).run_steps(tables, rows, [rates], theirs)[0]
    np.testing.assert_allclose(losses, wanted, rtol=tolerance)
    for mine, other in zip(values(ours), values(theirs), strict=True):
        np.testing.assert_allclose(mine, other, rtol=tolerance, atol=tolerance)


ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "gelu": nn.GELU}


def _network(sizes, activation, dtype):
    cr.manual_seed(0)
    layers = []
    for k, (a, b) in enumerate(pairwise(sizes)):
        layers += [nn.Linear(a, b, dtype=dtype)] + ([ACTIVATIONS[activation]()] if k < len(sizes) - 2 else [])
    return nn.Sequential(*layers)


@pytest.mark.parametrize("optimizer", optim.OPTIMIZERS)
def test_every_optimiser(optimizer):
    model = _network((5, 7, 3), "tanh", np.float64)
    found = _capture(
        model, nn.CrossEntropyLoss(), optim.OPTIMIZERS[optimizer](model.parameters(), lr=0.01), 6, (5,), ((), np.int64)
    )
    rng = np.random.default_rng(0)
    tables = [rng.normal(size=(20, 5)), rng.integers(0, 3, 20)]
    _train_on_both(found, tables, rng.integers(0, 20, (5, 6)), 1e-9)


@pytest.mark.parametrize(
    ("sizes", "batch", "activation"),
    [((2, 4, 2), 4, "sigmoid"), ((2, 8, 8, 3), 32, "relu"), ((64, 64, 10), 32, "relu"), ((20, 33, 30, 10), 17, "gelu")],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_networks(sizes, batch, activation, dtype, level):
    model = _network(sizes, activation, dtype)
    found = _capture(model, nn.CrossEntropyLoss(), optim.Adam(model.parameters()), batch, sizes[:1], ((), np.int64))
    rng = np.random.default_rng(0)
    tables = [rng.normal(size=(50, sizes[0])).astype(dtype), rng.integers(0, sizes[-1], 50)]
    _train_on_both(found, tables, rng.integers(0, 50, (4, batch)), 1e-9 if dtype == np.float64 else 2e-3)


def test_convolutional_network(level):
    cr.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(2, 5, 3, padding=1), nn.BatchNorm2d(5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(5, 4, 3, stride=2),
        nn.ReLU(), nn.Flatten(), nn.Dropout(0.3), nn.Linear(16, 3),
    )  # fmt: skip
    # Plain gradient descent: the bias before the normalisation has a gradient of pure rounding, which Adam would blow up.
    found = _capture(model, nn.CrossEntropyLoss(), optim.SGD(model.parameters()), 6, (2, 10, 10), ((), np.int64))
    rng = np.random.default_rng(0)
    tables = [rng.normal(size=(20, 2, 10, 10)).astype(np.float32), rng.integers(0, 3, 20)]
    _train_on_both(found, tables, rng.integers(0, 20, (3, 6)), 2e-3)


# ------------------------------------------------------------------------------------------------ state
def _leaf(kind, shape=(3,), dtype=np.float64):
    return ir.placeholder(kind, shape, dtype)


def test_state_that_is_exchanged():
    a, b, c = (_leaf("variable", (2, 2)) for _ in range(3))
    total = ops.lookup("sum")(a)
    updates = (b, ops.lookup("transpose")(a, axes=(1, 0)), ops.lookup("reshape")(b, shape=(2, 2)))
    graph = ir.Graph((), (total,), (a, b, c), updates)
    old = [np.array([[1.0, 2], [3, 4]]), np.array([[5.0, 6], [7, 8]]), np.zeros((2, 2))]
    state = held(*old)
    compiled(graph).run([], state)
    for found, wanted in zip(values(state), (old[1], old[0].T, old[1]), strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_state_read_in_every_way_beside_its_update():
    """The old value is read transposed, as a factor, and broadcast, whatever the order of the kernels is."""
    w = _leaf("variable", (4, 4))
    transposed = ops.lookup("transpose")(w, axes=(1, 0))
    product = ops.lookup("matmul")(w, transposed)
    update = product * 0.1 + transposed + ops.lookup("sum")(w, axis=0)
    graph = ir.Graph((), (ops.lookup("sum")(transposed * w), w), (w,), (update,))
    start = np.random.default_rng(0).normal(size=(4, 4))
    state, theirs = held(start), held(start)
    found, wanted = compiled(graph).run([], state), REFERENCE.compile(graph).run([], theirs)
    for f, r in zip([*found, *values(state)], [*wanted, *values(theirs)], strict=True):
        assert_close(f, r)


def test_an_output_may_be_an_update_or_an_input():
    x, w = _leaf("input"), _leaf("variable")
    new = w + x
    graph = ir.Graph((x,), (ops.lookup("sum")(new), new, x, w), (w,), (new,))
    state = held(np.ones(3))
    total, now, given, before = compiled(graph).run([np.arange(3.0)], state)
    assert total == 6.0
    np.testing.assert_array_equal(now, [1, 2, 3])
    np.testing.assert_array_equal(given, [0, 1, 2])
    np.testing.assert_array_equal(before, [1, 1, 1])
    np.testing.assert_array_equal(state[0].read(), [1, 2, 3])


def test_arrays_in_any_order():
    x, w = _leaf("input", (3, 2)), _leaf("variable", (3, 2))
    graph = ir.Graph((x,), (ops.lookup("sum")(x * w),), (w,), (w + x,))
    state = held(np.zeros((3, 4))[:, ::2])
    given = np.arange(6.0).reshape(2, 3).T
    compiled(graph).run([given], state)
    np.testing.assert_array_equal(state[0].read(), given)


# ------------------------------------------------------------------------------------------------ stops
def _countdown():
    """Outputs w; w ← w − x."""
    x, w = _leaf("input", ()), _leaf("variable", ())
    return ir.Graph((x,), (w, w * 2.0), (w,), (w - x,))


def test_stops_when_the_first_output_is_low_enough():
    state = held(np.array(5.0))
    values, doubles = compiled(_countdown()).run_steps([], np.zeros((9, 0), np.int64), [np.ones(9)], state, until=3.0)
    np.testing.assert_array_equal(values, [5, 4, 3])
    np.testing.assert_array_equal(doubles, [10, 8, 6])
    assert state[0].read() == 3.0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_stops_when_the_first_output_is_not_finite(bad):
    steps = np.array([1.0, bad, 1.0])
    x, w = _leaf("input", ()), _leaf("variable", ())
    graph = ir.Graph((x,), (w * x,), (w,), (w + x,))
    state = held(np.array(1.0))
    (values,) = compiled(graph).run_steps([], np.zeros((3, 0), np.int64), [steps], state)
    np.testing.assert_array_equal(values, [1.0, 2.0 * bad])
    assert state[0].read() == 2.0


def test_a_single_run_always_updates():
    state = held(np.array(np.nan))
    compiled(_countdown()).run([np.array(1.0)], state)
    assert np.isnan(state[0].read())


def test_no_steps_at_all():
    (values, doubles) = compiled(_countdown()).run_steps([], np.zeros((0, 0), np.int64), [np.ones(0)], held(np.array(5.0)))
    assert values.shape == doubles.shape == (0,)


# ------------------------------------------------------------------------------------------------ positions
def _gathering():
    x, i, w = _leaf("input", (2,)), _leaf("input", (2,), np.int64), _leaf("variable", (4,))
    taken = ops.lookup("gather")(w, i, axes=(0,))
    spread = ops.lookup("scatter_add")(x, i, shape=(4,), axes=(0,))
    return ir.Graph((x, i), (ops.lookup("sum")(taken * x),), (w,), (w + spread,))


@pytest.mark.parametrize("position", [4, -5, 2**40])
def test_positions_outside_are_refused_and_change_nothing(position):
    graph = _gathering()
    arrays = [np.ones(2), np.array([1, position])]
    state = held(np.arange(4.0))
    with pytest.raises(ArgumentError) as ours:
        compiled(graph).run(arrays, state)
    with pytest.raises(ArgumentError) as theirs:
        REFERENCE.compile(graph).run(arrays, held(np.arange(4.0)))
    assert str(ours.value) == str(theirs.value)
    np.testing.assert_array_equal(state[0].read(), np.arange(4.0))


def test_a_position_outside_in_a_later_step_leaves_the_steps_before():
    state = held(np.zeros(4))
    tables = [np.ones((3, 1)).reshape(3), np.array([0, 1, 9])]
    with pytest.raises(ArgumentError, match="index 9 for an axis of size 4"):
        compiled(_gathering()).run_steps(tables, np.array([[0, 1], [1, 1], [0, 2]]), [], state)
    np.testing.assert_array_equal(state[0].read(), [1, 3, 0, 0])


def test_positions_count_from_the_end_and_repeat():
    state = held(np.arange(4.0))
    (total,) = compiled(_gathering()).run([np.array([1.0, 2.0]), np.array([-1, 3])], state)
    assert total == 9.0
    np.testing.assert_array_equal(state[0].read(), [0, 1, 2, 6])


def test_rows_count_from_the_end_and_are_checked():
    x, w = _leaf("input", (2,)), _leaf("variable", ())
    graph = ir.Graph((x,), (ops.lookup("sum")(x),), (w,), (w + 1.0,))
    program = compiled(graph)
    table = np.array([1.0, 2.0, 4.0])
    (values,) = program.run_steps([table], np.array([[-1, 0]]), [], held(np.array(0.0)))
    np.testing.assert_array_equal(values, [5.0])
    with pytest.raises(ArgumentError, match="index 3 for an axis of size 3"):
        program.run_steps([table], np.array([[0, 3]]), [], held(np.array(0.0)))


# ------------------------------------------------------------------------------------------------ arrays that do not fit
def test_arrays_of_another_shape_are_refused():
    program = compiled(_gathering())
    with pytest.raises(ShapeError, match=r"array of shape \(3,\) for input; it was compiled for \(2,\)"):
        program.run([np.ones(3), np.array([0, 1])], held(np.zeros(4)))
    with pytest.raises(ShapeError, match=r"variable float64\[5\] as state; it was compiled for float64\[4\]"):
        program.run([np.ones(2), np.array([0, 1])], held(np.zeros(5)))
    tables = [np.ones(3), np.array([0, 1, 2])]
    with pytest.raises(ShapeError, match=r"shape \(1, 3\) for input; it was compiled for \(1, 2\)"):
        program.run_steps(tables, np.array([[0, 1, 2]]), [], held(np.zeros(4)))
    with pytest.raises(ShapeError, match="Compile the graph for the new shape"):
        compiled(_countdown()).run_steps([], np.zeros((3, 0), np.int64), [np.ones(2)], held(np.array(1.0)))


# ------------------------------------------------------------------------------------------------ what it cannot compile
def test_an_unknown_operation_runs_on_the_reference_with_one_warning(monkeypatch):
    new = ops.Primitive(
        name="cube", summary="", notation=ops.Notation("#0", "#0"), prepare=ops.lookup("exp").prepare,
        infer=ops.lookup("exp").infer, cases=ops.lookup("exp").cases, evaluate=lambda x: x**3, partials=(),
    )  # fmt: skip
    monkeypatch.setitem(ops.PRIMITIVES, "cube", new)
    x = _leaf("input")
    graph = ir.Graph((x,), (new(x),))
    with pytest.warns(UserWarning, match="cannot compile cube; graphs with it run on the slow reference backend"):
        program = NATIVE.compile(graph)
    np.testing.assert_array_equal(program.run([np.arange(3.0)], [])[0], [0, 1, 8])
    NATIVE.compile(graph)  # no second warning, which would be an error here


def test_arrays_without_elements():
    x = _leaf("input", (0, 3))
    graph = ir.Graph((x,), (ops.lookup("sum")(x, axis=0), x))
    total, same = NATIVE.compile(graph).run([np.zeros((0, 3))], [])
    np.testing.assert_array_equal(total, np.zeros(3))
    assert same.shape == (0, 3)


def test_a_profile_has_a_line_per_kernel_and_leaves_state_alone():
    w = _leaf("variable", (40, 30))
    x = _leaf("input", (20, 40))
    graph = ir.Graph((x,), (ops.lookup("sum")(ops.lookup("matmul")(x, w)),), (w,), (w * 0.5,))
    program, state = compiled(graph), held(np.ones((40, 30)))
    text = program.profile([np.ones((20, 40))], state, steps=3)
    np.testing.assert_array_equal(state[0].read(), 1.0)
    assert "multiply-adds on registers reach" in text
    kernels = [line for line in text.splitlines() if line[:4].strip().isdigit()]
    assert len(kernels) == len(program.plan.calls) == sum(line[:4].strip().isdigit() for line in program.explain().splitlines())
    assert all("%" in line for line in kernels)


def test_a_trainer_says_where_its_time_goes_and_trains_nothing():
    model = _network((6, 5, 3), "relu", np.float32)
    trainer = cr.Trainer(model, nn.CrossEntropyLoss(), optim.Adam(model.parameters()), backend="native")
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(20, 6)).astype(np.float32), rng.integers(0, 3, 20)
    before = {name: np.array(value) for name, value in model.state_dict().items()}
    text = trainer.profile(X, y, batch_size=8, steps=3)
    for sort in ("products", "products that update state", "everything else"):
        assert f"of the time in {sort}\n" in f"{text}\n"
    assert "product [8 × 5] over 6" in text
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[name])
    assert trainer.epoch == 0
    assert not trainer.history.step_loss


def test_the_reference_backend_has_no_kernels_to_time():
    model = _network((6, 5, 3), "relu", np.float32)
    trainer = cr.Trainer(model, nn.CrossEntropyLoss(), optim.Adam(model.parameters()), backend="reference")
    with pytest.raises(ArgumentError) as error:
        trainer.profile(np.zeros((4, 6), np.float32), np.zeros(4, np.int64))
    assert str(error.value) == (
        "a profile was asked for on the backend 'reference'; only the native backend has kernels to time. "
        'Give Trainer backend="native".'
    )


def test_a_trainer_with_a_mask_before_its_relu():
    class Gate(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = nn.Linear(3, 5), nn.Linear(5, 2)

        def forward(self, x):
            h = self.first(x)
            return self.last((h > 0.0) * cr.relu(h))

    x, y = np.random.default_rng(0).normal(size=(12, 3)), np.arange(12) % 2
    losses = []
    for backend in ("native", "reference"):
        cr.manual_seed(0)
        model = Gate()
        trainer = cr.Trainer(model, nn.CrossEntropyLoss(), optim.SGD(model.parameters(), lr=0.1), backend=backend)
        losses.append([e["loss"] for e in trainer.fit(x, y, epochs=3, batch_size=5, progress=False).epochs])
    np.testing.assert_allclose(*losses, rtol=1e-5)


def test_a_program_without_kernels():
    assert NATIVE.compile(ir.Graph((), ())).run([], []) == []
