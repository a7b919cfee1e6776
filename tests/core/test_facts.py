"""What records say of themselves is true, entry by entry of every table."""

import numpy as np
import pytest

import chainrule as cr
from chainrule import ir, nn, ops
from chainrule.fitting.metrics import METRICS
from chainrule.ir import Node
from chainrule.ops.primitive import lookup

SEEDS = range(4)
GRID = np.concatenate([np.linspace(-40.0, 40.0, 4001), np.linspace(-3.0, 3.0, 1000)])


def _with(fact):
    return [name for name, record in ops.SHIPPED.items() if getattr(record.facts, fact)]


def _case(name, seed):
    case = ops.SHIPPED[name].cases(np.random.default_rng(seed))
    return tuple(ir.constant(a) for a in case.inputs), case.attributes


def _slope(name, x):
    """The partial derivative of a function of one value."""
    record, at = lookup(name), ir.constant(x)
    y = record(at)
    found = record.partials[0](at, y=y, **y.attributes)
    return np.broadcast_to(found.value if isinstance(found, Node) else found, x.shape)


@pytest.mark.parametrize("name", _with("activation"))
def test_an_activation_function_is_as_its_record_says(name):
    record, known = ops.SHIPPED[name], ops.SHIPPED[name].facts.activation
    x = GRID if record.elementwise else GRID.reshape(-1, 1) * np.array([1.0, -0.5, 0.1])
    y = record(ir.constant(x)).value
    low, high = known.range
    assert np.all((y >= low) & (y <= high))
    assert np.all(np.isfinite(known.range) <= (np.abs(np.array([y.min(), y.max()]) - known.range) < 0.01)), (
        "no wider than it is"
    )
    assert record.elementwise == (known.steepest is not None)
    if known.steepest is not None:
        slopes = np.abs(_slope(name, GRID))
        assert 0.99 * known.steepest <= slopes.max() <= known.steepest
        flat = [np.all(np.abs(_slope(name, side * np.linspace(30.0, 40.0))) < 1e-8) for side in (1.0, -1.0)]
        assert known.saturates == (all(flat) and known.steepest > 0.0)
        negative = -np.linspace(0.01, 40.0)
        assert known.dies == (known.steepest > 0.0 and not np.any(record(ir.constant(negative)).value))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", _with("moves"))
def test_a_move_hands_on_elements_as_they_are(name, seed):
    inputs, attributes = _case(name, seed)
    node = lookup(name)(*inputs, **attributes)
    elements = np.concatenate([i.value.ravel() for i in inputs if i.value.dtype.kind == "f"])
    padding = [node.attributes["value"]] if "value" in node.attributes else []
    assert np.isin(node.value, [*elements, *padding]).all()
    if lookup(name).facts.moves in ("converts", "reshapes"):
        assert np.array_equal(node.value.ravel(), elements)
    if lookup(name).facts.moves == "reorders":
        assert np.array_equal(np.sort(node.value.ravel()), np.sort(elements))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", _with("bound"))
def test_a_bound_is_one(name, seed):
    inputs, attributes = _case(name, seed)
    node = lookup(name)(*inputs, **attributes)
    bound = lookup(lookup(name).facts.bound).run(tuple(ir.constant(np.abs(i.value)) for i in node.inputs), node.attributes)
    assert np.all(np.abs(node.value) <= bound * (1.0 + 1e-12))


@pytest.mark.parametrize("name", [n for n in _with("corner") if ops.SHIPPED[n].facts.corner == "zero"])
def test_the_slopes_on_both_sides_of_a_corner_differ(name):
    left, right = _slope(name, np.array([-1e-9, 1e-9]))
    assert abs(left - right) > 0.5


@pytest.mark.parametrize("name", _with("undefined"))
def test_what_an_operation_fails_with_has_a_reason(name):
    from chainrule.diagnosis.reasons import REASONS

    count = len(_case(name, 0)[0])
    for read in ((0.0, 0.0), (1.0, 0.0), (-1.0, 0.5), (0.0, -1.0), (1e300, 1e-300)):
        assert ops.SHIPPED[name].facts.undefined(read[:count]) in REASONS


@pytest.mark.parametrize("name", nn.LOSSES)
def test_a_loss_is_not_below_0(name):
    rng = np.random.default_rng(0)
    loss = nn.LOSSES[name](reduction="none")
    output = cr.tensor(rng.normal(size=(50, 3)))
    made = {"probabilities": cr.sigmoid, "log-probabilities": cr.log_softmax}.get(loss.outputs, lambda y: y)(output)
    target = rng.integers(0, 3, 50) if loss.takes_classes((50, 3), (50,)) else rng.integers(0, 2, (50, 3)).astype(float)
    values = loss(made, 2.0 * target - 1.0 if loss.outputs == "margins" else target).numpy()
    assert np.all((values >= 0.0) & (values < np.inf))


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_says_what_it_is(name):
    metric = METRICS[name]
    rng = np.random.default_rng(0)
    output, target = cr.tensor(rng.normal(size=(50, 1))), cr.tensor(rng.integers(0, 2, (50, 1)).astype(float))
    found = metric.finish(float(metric.per_sample(output, target, nn.MSELoss()).mean().item()))
    right = metric.finish(float(metric.per_sample(target, target, nn.MSELoss()).mean().item()))
    assert right == (1.0 if metric.larger_is_better else 0.0)
    assert right > found if metric.larger_is_better else right < found
    assert metric.title
