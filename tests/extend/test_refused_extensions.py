"""What is registered is tried at once: what cannot work is refused by name, and nothing is registered by halves."""

from dataclasses import dataclass

import numpy as np
import pytest

import chainrule as cr
from chainrule import extend, nn, ops, optim
from chainrule.errors import ArgumentError, CaptureError, GraphError, ShapeError
from chainrule.ir import Graph, Node, constant
from chainrule.nn.activations import activation_layers
from chainrule.ops import elementwise, reduction
from chainrule.ops.activations import step
from chainrule.optim.rules import NON_NEGATIVE
from chainrule.passes import simplify
from chainrule.tensors import apply
from chainrule.train import METRICS, Metric
from kept_tables import TABLES, kept_tables

X = np.linspace(-2.0, 2.0, 6, dtype=np.float32).reshape(3, 2)
BACKENDS = ("native", "reference")


@pytest.fixture(autouse=True)
def _tables():
    with kept_tables():
        yield


# ------------------------------------------------------------------------------------------------ bodies of activations
NUMPY_NUMBERS = {
    "scalar on the right": (lambda x: x * np.float64(2.0), lambda x: 2.0 * x),
    "scalar on the left": (lambda x: np.float64(2.0) * x, lambda x: 2.0 * x),
    "scalar of float32": (lambda x: x - np.float32(0.5), lambda x: x - 0.5),
    "array of one": (lambda x: x * np.array(2.0), lambda x: 2.0 * x),
    "argument": (lambda x: elementwise.maximum(x, np.float64(0.25)), lambda x: np.maximum(x, 0.25)),
    "gelu": (
        lambda x: 0.5 * x * (1.0 + elementwise.tanh(np.sqrt(2.0 / np.pi) * (x + 0.044715 * x**3))),
        lambda x: 0.5 * x * (1.0 + np.tanh(np.sqrt(2.0 / np.pi) * (x + 0.044715 * x**3))),
    ),
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("case", NUMPY_NUMBERS)
def test_numbers_of_numpy_take_the_dtype_of_x(case, backend):
    body, expected = NUMPY_NUMBERS[case]
    act = extend.activation("act", body)()
    for x in (X, X.astype(np.float64), np.float32(0.3)):
        found = cr.compile(act.forward, backend=backend)(x).numpy()
        assert (found.shape, found.dtype) == (x.shape, x.dtype)
        assert np.allclose(found, expected(x), atol=1e-6)
        assert np.array_equal(act(cr.tensor(x)).numpy().dtype, x.dtype)
    w = cr.parameter(X)
    act(w).sum().backward()
    assert w.grad.dtype == np.float32


def test_a_float_of_numpy_computes_in_the_dtype_of_the_node():
    x = cr.tensor(X).node
    nodes = (x * np.float64(2.0), np.float64(2.0) * x, x > np.float64(0.0), np.sqrt(2.0) / x)
    assert {i.dtype for node in nodes for i in node.inputs} == {np.dtype(np.float32)}


BODIES = {
    "sum": (reduction.sum, r"the body of the activation act gave float32\[\] for float32\[3\]"),
    "more axes": (lambda x: x * np.ones(3), r"the body of the activation act gave float64\[3\] for float32\[\]"),
    "number": (lambda x: 1.0, "the body of the activation act gave 1.0"),
    "nothing": (lambda x: None, "the body of the activation act gave None"),
    "condition": (lambda x: x > 0.0, r"the body of the activation act gave bool\[\]"),
    "if": (lambda x: x if x > 0 else -x, r"the value of <greater bool\[\]> was asked for.*Use where\(condition, a, b\)"),
    "equal": (lambda x: elementwise.where(x == 0.0, x, x), r"was compared with 0\.0 by == or !=.*Write equal\(a, b\)"),
    "not equal": (lambda x: elementwise.where(x != 0, x, x), "was compared with 0 by == or !=.*not_equal"),
    "array": (lambda x: elementwise.where(x == np.ones(3), x, x), "was compared with array.*Write equal"),
    "equal nodes": (lambda x: elementwise.where(x == elementwise.abs(x), x, x), "was compared with <abs.*Write equal"),
    "max": (lambda x: max(x, 0.0), "the value of <(less|greater) .*and maximum in place of max"),
    "ufunc": (np.tanh, "the activation act cannot be applied to float32.*Write it in operators and operations"),
    "np.where": (lambda x: np.where(x > 0.0, x, 0.0), "the activation act cannot be applied to float32"),
    "method": (lambda x: x.sum(), "the activation act cannot be applied to float32.*has no attribute 'sum'"),
    "two inputs": (lambda x, y: x, "the activation act cannot be applied to float32"),
    "no function": (3, r"extend.activation\('act'\) as its body got 3; it takes a function"),
}


@pytest.mark.parametrize("case", BODIES)
def test_a_body_that_is_no_formula_is_refused(case):
    body, text = BODIES[case]
    before = [dict(table) for table in TABLES]
    with pytest.raises(ArgumentError, match=text):
        extend.activation("act", body)
    assert [dict(table) for table in TABLES] == before


PARTIALS = {
    "shape": (lambda x, y: reduction.sum(x) * np.ones(3), "the partial of the activation act gave float64"),
    "nothing": (lambda x, y: None, "the partial of the activation act gave None"),
    "fails": (lambda x, y: np.cos(x), r"the activation act cannot be differentiated for float32\[\]"),
    "names": (lambda a: a, r"the activation act cannot be differentiated for float32\[\]"),
}


@pytest.mark.parametrize("case", PARTIALS)
def test_a_partial_that_is_none_is_refused(case):
    partial, text = PARTIALS[case]
    with pytest.raises(ArgumentError, match=text):
        extend.activation("act", lambda x: x * 2.0, partial=partial)


def test_a_body_without_a_derivative_needs_a_partial():
    with pytest.raises(ArgumentError, match=r"cannot be differentiated for float32\[\] \(GradientError.*Give it as partial="):
        extend.activation("act", lambda x: step(x) * 2.0)
    act = extend.activation("act", lambda x: step(x) * 2.0, partial=lambda x, y: 1.0)()
    w = cr.parameter(X)
    act(w).sum().backward()
    assert np.array_equal(w.grad.numpy(), np.ones_like(X))


def test_a_layer_of_that_name_leaves_no_primitive_behind():
    with pytest.raises(ArgumentError, match="a second layer named Linear was registered"):
        extend.activation("linear", lambda x: x * 1.0)
    assert "linear" not in ops.PRIMITIVES


def test_nodes_have_no_truth():
    with pytest.raises(CaptureError, match=r"the value of <variable float64\[\]> was asked for, as by if.*Use where"):
        bool(cr.tensor(1.0, dtype="float64").node)


# ------------------------------------------------------------------------------------------------ operations
def _op(**meaning):
    record = {
        "name": "mine",
        "summary": "y = 2 x",
        "notation": elementwise.function("mine"),
        "infer": lambda inputs, attributes: (inputs[0].shape, inputs[0].dtype),
        "prepare": lambda operands, attributes: ((ops.primitive.as_node(operands[0]),), attributes),
        "cases": lambda rng: ops.primitive.Case((rng.normal(size=3),)),
        "partials": (lambda x, y: 2.0,),
    }
    return ops.Primitive(**{**record, **meaning})


LYING = {
    "body of another dtype": {"body": lambda x: elementwise.to_dtype(x, np.float64) * 2.0},
    "body of another shape": {"body": reduction.sum},
    "body that is no node": {"body": lambda x: 1.0},
    "evaluate of another dtype": {"evaluate": lambda x: x.astype(np.float64)},
    "evaluate of another shape": {"evaluate": lambda x: x.sum()},
}


@pytest.mark.parametrize("case", LYING)
def test_an_operation_computes_what_its_infer_says(case):
    extend.op(_op(**LYING[case]))
    with pytest.raises(GraphError, match="the primitive mine"):
        apply("mine", cr.tensor(X))
    if "body" in case:
        for backend in BACKENDS:
            with pytest.raises(GraphError, match="the primitive mine"):
                cr.compile(lambda x: apply("mine", x), backend=backend)(X)


def test_folding_keeps_to_what_infer_says():
    extend.op(_op(evaluate=lambda x: x.astype(np.float64)))
    node = Node("mine", (constant(X),), {}, X.shape, X.dtype)
    with pytest.raises(GraphError, match=r"the primitive mine computes float64\[3, 2\]; its infer says float32\[3, 2\]"):
        simplify(Graph((), (node,)))


RULES_FOR_GRADIENTS = {
    "pullback of another shape": (
        {"pullback": lambda g, node, i: reduction.sum(g)},
        r"gave float32\[\] for input 0; that is float32\[3, 2\]",
    ),
    "pullback of another dtype": (
        {"pullback": lambda g, node, i: elementwise.to_dtype(g, np.float64)},
        r"gave float64\[3, 2\] for input 0",
    ),
    "pullback that gives a list": (
        {"pullback": lambda g, node, i: [g]},
        r"the pullback of the primitive mine gave \[<.*>\] for input 0",
    ),
    "pullback that gives a number": ({"pullback": lambda g, node, i: 2.0}, r"gave 2\.0 for input 0"),
    "too few rules in pullbacks": (
        {"pullback": ops.primitive.pullbacks()},
        "the primitive mine has 0 rules in its pullbacks; it has 1 inputs",
    ),
    "two partials": ({"partials": (lambda x, y: 2.0, lambda x, y: 2.0)}, "the primitive mine has 2 partials; it has 1 inputs"),
    "partial of more axes": (
        {"partials": (lambda x, y: constant(np.ones((4, 3, 2), np.float32)),)},
        r"partial 0 of the primitive mine gave float32\[4, 3, 2\]",
    ),
    "partial that gives nothing": ({"partials": (lambda x, y: None,)}, "partial 0 of the primitive mine gave None"),
}


@pytest.mark.parametrize("case", RULES_FOR_GRADIENTS)
def test_a_gradient_has_the_shape_of_its_input(case):
    rules, text = RULES_FOR_GRADIENTS[case]
    extend.op(_op(evaluate=lambda x: 2.0 * x, **{"partials": None, **rules}))
    w = cr.parameter(X)
    with pytest.raises(GraphError, match=text):
        apply("mine", w).sum().backward()
    with pytest.raises(GraphError, match=text):
        cr.compile(lambda: cr.grad(apply("mine", w).sum(), [w]), backend="reference")()
    with pytest.raises(GraphError, match=text):
        cr.explain(apply("mine", w).sum())


# ------------------------------------------------------------------------------------------------ other things
def _rule(update=None, init=None, name="Mine"):
    return optim.Rule(
        name,
        {"lr": NON_NEGATIVE},
        init or (lambda W, settings: {"m": cr.zeros(W.shape, W.dtype)}),
        update or (lambda dW, state, W, settings, step: (W - dW, state)),
    )


def _one(shape, rng, dtype):
    return np.ones(1)


def _named(name, function):
    function.__name__ = name
    return function


class _Flat(optim.Schedule):
    def value(self, t, base_lr):
        return base_lr


@dataclass(frozen=True)
class _Power(_Flat):
    power: float = 0.5


@classmethod
def _no_run(cls, steps, rate):
    return cls()


def _schedule(command):
    return dataclass(frozen=True)(type("S", (_Flat,), {"command": command}))


THINGS = {
    "backend": (
        lambda: extend.backend("zz", None),
        "the backend zz is None; it is an object with the methods",
    ),
    "class of a backend": (
        lambda: extend.backend("zz", type(cr.backends.get("reference"))),
        "the backend zz is the class ReferenceBackend",
    ),
    "backend's name": (lambda: extend.backend(3, cr.backends.get("reference")), "extend.backend got 3 as a name"),
    "layer": (lambda: extend.layer(int), "extend.layer got the class int; it takes a subclass of Module"),
    "layer's object": (lambda: extend.layer(nn.ReLU()), "extend.layer got a ReLU; it takes a subclass of Module"),
    "metric": (lambda: extend.metric("x"), "extend.metric got 'x'; it takes a Metric"),
    "loss": (lambda: extend.loss(nn.MSELoss()), "extend.loss got a MSELoss; it takes a subclass of Loss"),
    "op": (lambda: extend.op(3), "extend.op got 3; it takes the record of one"),
    "initialiser": (lambda: extend.initialiser(3), "extend.initialiser got 3; it takes a function"),
    "initialiser's name": (lambda: extend.initialiser(lambda shape, rng, dtype: np.ones(shape)), "named '<lambda>' was reg"),
    "initialiser's shape": (
        lambda: extend.initialiser(_one),
        r"the initialiser _one failed for a weight float32\[3, 2\] \(ShapeError: init gave an array of shape \(1,\)",
    ),
    "our initialiser": (
        lambda: extend.initialiser(_named("zeros", lambda shape, rng, dtype: np.ones(shape))),
        "a second initialiser named zeros was registered; the name belongs to chainrule",
    ),
    "schedule's setting": (lambda: _Power("x"), "_Power got power='x'; it must be a number"),
    "schedule": (lambda: extend.schedule(int), r"extend.schedule got the class int.*Write class Mine\(optim.Schedule\)"),
    "schedule without value": (
        lambda: extend.schedule(dataclass(frozen=True)(type("S", (optim.Schedule,), {}))),
        "the schedule S is none",
    ),
    "schedule that is no dataclass": (
        lambda: extend.schedule(type("S", (optim.StepLR,), {})),
        "it is a dataclass that defines",
    ),
    "schedule's command": (
        lambda: extend.schedule(_schedule("cosine")),
        "a second schedule with the name cosine on the command",
    ),
    "constant schedule": (lambda: extend.schedule(_schedule("constant")), "a second schedule with the name constant on the"),
    "schedule over no run": (
        lambda: extend.schedule(dataclass(frozen=True)(type("S", (optim.StepLR,), {"command": "flat", "over_run": _no_run}))),
        "the schedule S failed for a run of 100 steps",
    ),
    "activation's name": (lambda: extend.activation(3, lambda x: x), "an activation named 3 was registered"),
    "optimiser": (lambda: extend.optimizer(3, lr=0.1), "extend.optimizer got 3; it takes a rule"),
    "rule without rate": (
        lambda: extend.optimizer(optim.Rule("Mine", {}, lambda W, s: {}, lambda dW, state, W, s, t: (W, state))),
        "the rule Mine has no setting lr",
    ),
    "no pair": (
        lambda: extend.optimizer(_rule(lambda dW, state, W, settings, step: W - dW), lr=0.1),
        "update of the rule Mine gave a Tensor; it must return the new parameter and its new state, a dict with m",
    ),
    "lost key": (
        lambda: extend.optimizer(_rule(lambda dW, state, W, settings, step: (W - dW, {})), lr=0.1),
        "update of the rule Mine gave a pair with other names",
    ),
    "new key": (
        lambda: extend.optimizer(_rule(lambda dW, state, W, settings, step: (W - dW, {**state, "v": dW})), lr=0.1),
        "update of the rule Mine gave a pair with other names",
    ),
    "another shape": (
        lambda: extend.optimizer(_rule(lambda dW, state, W, settings, step: (W.sum(), state)), lr=0.1),
        r"the rule Mine failed on a parameter float32\[3, 2\] \(ShapeError",
    ),
    "no state": (lambda: extend.optimizer(_rule(init=lambda W, s: None), lr=0.1), "init of the rule Mine gave None"),
    "failing rule": (
        lambda: extend.optimizer(_rule(lambda dW, state, W, settings, step: (W - state["v"], state)), lr=0.1),
        r"the rule Mine failed on a parameter float32\[3, 2\] \(KeyError",
    ),
}


@pytest.mark.parametrize("case", THINGS)
def test_what_is_something_else_is_refused(case):
    register, text = THINGS[case]
    before = [dict(table) for table in TABLES]
    with pytest.raises(ArgumentError, match=text):
        register()
    assert [dict(table) for table in TABLES] == before


# ------------------------------------------------------------------------------------------------ names
def _defined_again(name, place="cell", **parts):
    """A class as a cell of a notebook makes it, anew each time that it runs."""
    (base,) = (parts.pop("base"),)
    return type(name, (base,), {"__module__": place, "__qualname__": name, **parts})


def test_a_name_on_the_command_line_belongs_to_one_loss():
    before = nn.losses_for("regression")["mse"]
    loss = _defined_again("Mine", base=nn.MSELoss, command="mse")
    with pytest.raises(ArgumentError, match="a second loss with the name mse on the command line was registered"):
        extend.loss(loss)
    assert nn.losses_for("regression")["mse"] is before
    assert "Mine" not in nn.LOSSES


def test_a_name_on_the_command_line_belongs_to_one_optimiser():
    before = optim.commands()["adam"]
    with pytest.raises(ArgumentError, match="a second optimiser with the name adam on the command line was registered"):
        extend.optimizer(_rule(name="ADAM"), lr=0.1)
    assert optim.commands()["adam"] == before
    assert "ADAM" not in optim.RULES


def test_a_subclass_of_an_activation_does_not_take_its_place_on_the_command_line():
    extend.layer(_defined_again("Mine", base=nn.ReLU))
    assert activation_layers()["relu"] is nn.ReLU


def _cell(place, factor):
    """Runs a cell of a notebook that registers one of each."""
    space = {"__name__": place, "cr": cr, "extend": extend, "nn": nn, "Metric": Metric, "factor": factor, "op": _op}
    source = """
class Half(nn.Loss):
    command, task = "half", "regression"
    def elements(self, output, target): return factor * (output - target)
def far(output, target, loss): return factor * abs(output - target)
def body(x): return x * factor
made = (extend.activation("act", body), extend.loss(Half), extend.metric(Metric("far", far)), extend.op(op(body=body)))
"""
    exec(source, space)
    return space["made"]


def test_a_cell_that_runs_again_replaces_what_it_registered():
    _cell("cell", 2.0)
    act, loss, metric, mine = _cell("cell", 3.0)
    assert np.array_equal(act()(cr.tensor(X)).numpy(), X * np.float32(3.0))
    assert (nn.LAYERS["Act"], nn.LOSSES["Half"], METRICS["far"], ops.PRIMITIVES["mine"]) == (act, loss, metric, mine)


OTHERS = {
    "activation": lambda: extend.activation("act", lambda x: x),
    "loss": lambda: extend.loss(_defined_again("Half", "elsewhere", base=nn.Loss)),
    "metric": lambda: extend.metric(Metric("far", lambda output, target, loss: output)),
    "op": lambda: extend.op(_op(body=lambda x: x)),
}


@pytest.mark.parametrize("what", OTHERS)
def test_what_another_module_registered_stays(what):
    _cell("cell", 2.0)
    with pytest.raises(ArgumentError, match=r"a second \w+ named \w+ was registered; the name belongs to cell\."):
        OTHERS[what]()


def test_what_comes_with_chainrule_stays():
    with pytest.raises(ArgumentError, match="a second metric named mae was registered"):
        extend.metric(Metric("mae", METRICS["mae"].elements))
    with pytest.raises(ArgumentError, match=r"a second primitive named add was registered; .* to chainrule itself"):
        extend.op(_op(name="add", evaluate=np.add))


# ------------------------------------------------------------------------------------------------ metrics
METRICS_OF_OTHER_SHAPES = {
    "scalar": (lambda output, target: abs(output - target).max(), r"\(\)"),
    "one": (lambda output, target: abs(output - target).max(axis=0), r"\(1,\)"),
    "rows left out": (lambda output, target: (output - target)[1:], r"\(7, 1\)"),
}


@pytest.mark.parametrize("case", METRICS_OF_OTHER_SHAPES)
def test_a_metric_gives_a_number_per_sample(case):
    function, shape = METRICS_OF_OTHER_SHAPES[case]
    metric = Metric("m", lambda output, target, loss: function(output, target))
    model = nn.Sequential(nn.Linear(2, 1))
    trainer = cr.Trainer(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.1), metrics=[metric])
    with pytest.raises(ShapeError, match=rf"the metric m returned the shape {shape} for outputs of shape \(8, 1\); it gives"):
        trainer.fit(np.ones((8, 2), np.float32), np.ones((8, 1), np.float32), epochs=1, batch_size=8, progress=False)


def test_the_mean_of_a_metric_does_not_depend_on_the_batches():
    x = np.random.default_rng(0).normal(size=(10, 2)).astype(np.float32)
    cr.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 1))
    near = Metric("near", lambda output, target, loss: abs(output - target) < 0.5)
    trainer = cr.Trainer(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.0), metrics=[near])
    found = {trainer.fit(x, x[:, :1], epochs=1, batch_size=n, progress=False)["near"][-1] for n in (1, 3, 10)}
    assert len({round(value, 12) for value in found}) == 1
