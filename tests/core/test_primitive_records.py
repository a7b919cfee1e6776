"""Every primitive's record, by table: what it says, what it does, and what its gradient is."""

import re
from itertools import product

import numpy as np
import pytest

import chainrule as cr
from chainrule import ops
from chainrule.backends import available, get
from chainrule.conformance import value_and_gradients
from chainrule.errors import ArgumentError, ChainruleError
from chainrule.ir import Graph, constant, placeholder
from chainrule.ops.elementwise import elementwise, function
from chainrule.tensors import apply
from chainrule.testing import check_primitive, check_primitive_on

SEEDS = range(6)
NAMES = list(ops.PRIMITIVES)

# The derivative jumps somewhere; what it is taken to be there must be written in the record.
KINKED = {
    "abs", "sign", "floor", "maximum", "minimum", "clip", "relu", "leaky_relu", "elu", "sqrt", "power", "max", "min",
    "max_pool", "global_max_pool", "equal", "not_equal", "less", "less_equal", "greater", "greater_equal",
}  # fmt: skip

# Random draws are written without their key, which nobody reads in a formula.
HIDDEN_KEY = {"uniform", "normal", "dropout_mask", "require"}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", NAMES)
def test_value_rule_and_derivatives(name, seed):
    check_primitive(ops.PRIMITIVES[name], seed)


@pytest.mark.parametrize("backend", [get(name) for name in available()], ids=available())
@pytest.mark.parametrize("names", [NAMES[k::8] for k in range(8)], ids=", ".join)
def test_backends_agree_with_eager_code(names, backend):
    """Several to a program, as most of the cost of a compiled one is there once; with -m slow each in one of its own."""
    leaves, arrays, outputs, expected = [], [], [], []
    for name, seed in product(names, SEEDS[:2]):
        case = ops.PRIMITIVES[name].cases(np.random.default_rng(seed))
        inputs = [placeholder("input", a.shape, a.dtype) for a in case.inputs]
        outputs += value_and_gradients(ops.PRIMITIVES[name], case, inputs, seed)
        wanted = value_and_gradients(ops.PRIMITIVES[name], case, [constant(a) for a in case.inputs], seed)
        expected += [(f"{name} {case}", node.value) for node in wanted]
        leaves += inputs
        arrays += case.inputs
    found = backend.compile(Graph(tuple(leaves), tuple(outputs))).run(arrays, ())
    for ours, (what, wanted) in zip(found, expected, strict=True):
        assert (ours.dtype, ours.shape) == (wanted.dtype, wanted.shape), what
        np.testing.assert_allclose(ours, wanted, rtol=1e-12, atol=1e-12, err_msg=what)


@pytest.mark.slow
@pytest.mark.parametrize("backend", [get(name) for name in available()], ids=available())
@pytest.mark.parametrize("name", NAMES)
def test_backends_agree_with_eager_code_on_more(name, backend):
    for seed in SEEDS[2:]:
        check_primitive_on(backend, ops.PRIMITIVES[name], seed)


@pytest.mark.parametrize("style", ["text", "latex"])
@pytest.mark.parametrize("name", NAMES)
def test_notation_names_inputs_and_attributes(name, style):
    record = ops.PRIMITIVES[name]
    case = record.cases(np.random.default_rng(0))
    inputs = [cr.tensor(a, name=f"v{k}") for k, a in enumerate(case.inputs)]
    result = apply(name, *inputs, **case.attributes)
    places = set(re.findall(r"<(\d)!?>|#_?(\d|\*|[a-z]+)", getattr(record.notation, style)))
    numbers = {position or plain for position, plain in places if (position or plain).isdigit()}
    others = {plain for _, plain in places if plain and not plain.isdigit()}
    if "*" in others:
        assert not numbers
        others.remove("*")
    elif name not in HIDDEN_KEY:
        assert numbers == {str(k) for k in range(len(result.node.inputs))}
    assert others <= set(result.node.attributes)
    written = result.formula(style)
    assert not re.search(r"#|<\d", written), written
    if name not in HIDDEN_KEY:
        assert all(f"v{k}" in written for k in range(len(inputs))), written
    assert written.count("{") == written.count("}")


@pytest.mark.parametrize("name", NAMES)
def test_record_is_complete(name):
    record = ops.PRIMITIVES[name]
    assert record.name == name
    assert record.summary
    assert (record.evaluate is None) != (record.body is None)
    assert (name in KINKED) == bool(record.kinks)


def test_formula_brackets_follow_precedence():
    a, b, c = (cr.tensor(float(n), name=name) for n, name in enumerate("abc", start=1))
    assert ((a + b) * c).formula() == "(a + b) · c"
    assert (a - (b - c)).formula() == "a - (b - c)"
    assert ((a - b) - c).formula() == "a - b - c"
    assert (a / (b * c)).formula() == "a / (b · c)"
    assert ((a + b) ** 2).formula() == "(a + b)²"
    assert (-(a**2)).formula() == "-a²"
    assert ((-a) ** 2).formula() == "(-a)²"
    assert (a / (b + c)).formula("latex") == r"\frac{a}{b + c}"
    assert cr.sigmoid(a * b).formula() == "σ(a · b)"


def test_formula_of_a_long_chain_is_cut():
    x = cr.tensor(1.0, name="x")
    y = x
    for _ in range(5000):
        y = y + x
    assert "…" in y.formula()
    assert len(y.formula()) <= 4100


def test_formula_stops_at_named_tensors():
    x = cr.tensor(2.0, name="x")
    h = (x * 3.0).named("h")
    assert (h + 1.0).formula() == "h + 1"
    assert h.formula() == "x · 3"


def _pretend(**meaning):
    empty = dict.fromkeys(["prepare", "infer", "cases"])
    return {"name": "sigmoid", "summary": "", "notation": function("f"), **empty, **meaning}


@pytest.mark.parametrize(
    ("record", "text"),
    [
        (_pretend(evaluate=np.exp, partials=(lambda x, y: y,)), "a second primitive named sigmoid was registered"),
        (_pretend(name="new", partials=(lambda x, y: y,)), "must have either evaluate"),
        (_pretend(name="new", evaluate=np.exp), "says nothing of its gradient"),
    ],
)
def test_define_refuses_incomplete_records(record, text):
    before = set(ops.PRIMITIVES)
    with pytest.raises(ArgumentError, match=text):
        ops.define(ops.Primitive(**record))
    assert set(ops.PRIMITIVES) == before


def test_lookup_of_an_unknown_name():
    with pytest.raises(ChainruleError, match="there is no primitive named 'sigmoyd'"):
        ops.lookup("sigmoyd")


def test_a_basic_primitive_has_no_body_to_expand():
    node = cr.exp(1.0).node
    with pytest.raises(ArgumentError, match="exp cannot be expanded; only blocks have a body"):
        ops.lookup("exp").expand(node)


def test_a_new_activation_is_one_record(monkeypatch):
    monkeypatch.setattr(ops.primitive, "PRIMITIVES", dict(ops.PRIMITIVES))
    tanh, sigmoid, softplus = (ops.PRIMITIVES[name] for name in ("tanh", "sigmoid", "softplus"))

    def partial(x, y):
        t = tanh(softplus(x))
        return t + x * (1.0 - t * t) * sigmoid(x)

    mish = elementwise(
        "mish", "y = x tanh(softplus x)", function("mish"), body=lambda x: x * tanh(softplus(x)), partials=(partial,)
    )
    check_primitive(mish, 0)
    check_primitive_on(get("reference"), mish, 0)
    assert apply("mish", cr.tensor(1.0, name="x")).formula() == "mish(x)"
