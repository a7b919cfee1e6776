"""Random graphs over the table of primitives, for tests of passes and backends: ordinary ones with their gradients, and extreme
ones, with zero sizes, −0, NaN, ∞, extreme magnitudes, integers and booleans."""

from functools import partial

import numpy as np
from hypothesis import strategies as st

from chainrule import autodiff, ir, ops
from chainrule.errors import ChainruleError
from chainrule.ops import elementwise
from chainrule.ops.elementwise import multiply, negative, sin
from chainrule.ops.reduction import broadcast_to, sum

CHOICES = [p for p in ops.PRIMITIVES.values() if not p.not_differentiable and p.name != "stop_gradient"]


@st.composite
def random_graph(draw, gradients=True):
    """A graph of some random primitives that read each other, with its input arrays; does some useless things, too.

    Every primitive gets the inputs of a case from its record, each moved a little by a node that is there already, so that they
    stay in its domain and away from kinks.
    """
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    inputs, arrays, made = [], [], []
    for primitive in draw(st.lists(st.sampled_from(CHOICES), min_size=1, max_size=5)):
        case = primitive.cases(rng)
        operands = []
        for array in case.inputs:
            leaf = ir.placeholder("input", array.shape, array.dtype)
            inputs.append(leaf)
            arrays.append(array)
            operands.append(_moved(leaf, made, rng) if array.dtype.kind == "f" else leaf)
        node = primitive(*operands, **case.attributes)
        if node.dtype.kind == "f":
            made.append(_with_useless_steps(node, rng))
    total = made[0] * 0.0 if made else ir.constant(0.0)
    for node in made:
        total = sum(total) + sum(node * node)
    outputs = [sum(total), *made]
    if gradients and made:
        wrt = [leaf for leaf in inputs if leaf.dtype.kind == "f"]
        outputs += [g for g in autodiff.gradient(outputs[0], wrt) if g is not None]
    return ir.Graph(tuple(inputs), tuple(outputs)), arrays


def _moved(leaf, made, rng):
    if not made or rng.random() < 0.3:
        return leaf
    source = made[int(rng.integers(len(made)))]
    return leaf + broadcast_to(0.005 * sin(sum(source)), leaf.shape)


def _with_useless_steps(node, rng):
    useless = [lambda x: x * 1.0, lambda x: x + 0.0, lambda x: negative(negative(x)), lambda x: multiply(1.0, x) / 1.0]
    if rng.random() < 0.5:
        node = useless[int(rng.integers(len(useless)))](node)
    return node


def evaluate(graph, arrays):
    """The outputs of a graph, by running its nodes one after the other: no pass, no backend."""
    values = dict(zip(graph.inputs, arrays, strict=True))
    for node in graph.nodes():
        if node.op == "constant":
            values[node] = node.value
        elif node not in values:
            concrete = tuple(ir.constant(values[i]) for i in node.inputs)
            values[node] = ops.lookup(node.op).run(concrete, node.attributes)
    return [values[n] for n in graph.outputs]


# ------------------------------------------------------------------------------------------------ extreme graphs
FLOATS = [0.0, -0.0, 1.0, -1.0, 0.5, -2.0, 3.0, np.inf, -np.inf, np.nan, 5e-324, -1e-310, 1e-40, 1e-30, -1e30, 1e38, 3.5e38]
FLOATS += [1e300, -1.7e308, 2.0**53, 1e7, np.pi / 2, -22.0, 709.5, -745.0]
SIZES = [(), (1,), (3,), (17,), (2, 3), (3, 1), (2, 1, 5), (1, 4), (40,), (0,), (2, 0), (0, 3), (7, 19, 41), (700, 11)]
DTYPES = ["float64", "float32", "int64", "int32", "uint8", "bool"]
CHANCES = [0.35, 0.3, 0.12, 0.08, 0.05, 0.1]


def extreme_array(rng, shape, dtype):
    """Special numbers and ordinary ones in turn."""
    dtype = np.dtype(dtype)
    if dtype == np.bool_:
        return rng.random(shape) < 0.5
    ordinary = rng.normal(size=shape) * 10.0 ** rng.integers(-3, 4, shape)
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            return np.where(rng.random(shape) < 0.4, rng.choice(FLOATS, shape), ordinary).astype(dtype)
    limits = np.iinfo(dtype)
    special = rng.choice(np.array([0, 1, 2, 7, limits.min, limits.max, limits.max - 1], dtype), shape)
    small = np.clip(ordinary, -9 if limits.min else 0, 9).astype(dtype)
    return np.where(rng.random(shape) < 0.3, special, small)


def _arity(primitive):
    """How many operands an elementwise primitive takes; 0 for all others."""
    cases = primitive.cases
    return len(cases.args[0]) if isinstance(cases, partial) and cases.func is elementwise._random_case else 0


ELEMENTWISE = {name: _arity(p) for name, p in ops.SHIPPED.items() if _arity(p)}
REDUCTIONS = ["sum", "prod", "max", "min", "mean", "var", "logsumexp", "argmax", "argmin"]
NORMALISING = ["softmax", "log_softmax"]


def _axis(rng, node):
    return int(rng.integers(node.ndim))


def _reduced(rng, x):
    axis = None if rng.random() < 0.3 else _axis(rng, x)
    return ops.lookup(str(rng.choice(REDUCTIONS)))(x, axis=axis, keepdims=bool(rng.random() < 0.5))


def _movement(rng, x):
    kind = rng.choice(["reshape", "transpose", "flip", "slice", "broadcast_to", "concatenate", "pad"])
    if kind == "reshape":
        return ops.lookup("reshape")(x, shape=(x.size,) if rng.random() < 0.5 else (*x.shape, 1))
    if kind == "transpose":
        return ops.lookup("transpose")(x, axes=tuple(int(a) for a in rng.permutation(x.ndim)))
    if kind == "flip":
        return ops.lookup("flip")(x, axis=_axis(rng, x))
    if kind == "slice":
        start = [int(rng.integers(n + 1)) for n in x.shape]
        return ops.lookup("slice")(x, start, x.shape, [int(s) for s in rng.integers(1, 3, x.ndim)])
    if kind == "broadcast_to":
        return ops.lookup("broadcast_to")(x, shape=(2, *x.shape))
    if kind == "concatenate":
        return ops.lookup("concatenate")(x, x, axis=_axis(rng, x))
    return ops.lookup("pad")(x, [(1, int(rng.integers(3)))] * x.ndim)


def _cast(rng, x):
    return ops.lookup("cast")(x, dtype=np.dtype(str(rng.choice(DTYPES))))


def _product(rng, x):
    return ops.lookup("matmul")(x, ops.lookup("transpose")(x)) if x.ndim == 2 else ops.lookup("matmul")(x, x)


def _picked(rng, x):
    """Rows by positions, of which some may be outside."""
    beyond = 1 if rng.random() < 0.2 else 0
    rows = rng.integers(-x.shape[0] - beyond, x.shape[0] + beyond, 3)
    return ops.lookup("gather")(x, ir.constant(rows))


def _normalised(rng, x):
    return ops.lookup(str(rng.choice(NORMALISING)))(x, axis=_axis(rng, x))


def _chosen(rng, x):
    return ops.lookup("where")(ops.lookup("greater")(x, 0.0), x, float(rng.choice(FLOATS[:7])))


OTHERS = [_reduced, _reduced, _movement, _movement, _cast, _product, _picked, _normalised, _chosen]


def _step(rng, nodes):
    """One more node, or None where the draw makes no sense."""
    x = nodes[int(rng.integers(len(nodes)))]
    try:
        if rng.random() < 0.35:
            return OTHERS[int(rng.integers(len(OTHERS)))](rng, x)
        name = str(rng.choice(list(ELEMENTWISE)))
        operands = [x]
        for _ in range(ELEMENTWISE[name] - 1):
            constant = rng.random() < 0.3
            operands.append(_number(rng, x.dtype) if constant else nodes[int(rng.integers(len(nodes)))])
        if rng.random() < 0.3:
            operands.reverse()
        return ops.lookup(name)(*operands)
    except (ChainruleError, ValueError, IndexError):  # of the last two, the draw of an axis where there is none
        return None


def _number(rng, dtype):
    """A Python number, as in `x ** 3`."""
    return float(rng.choice([*FLOATS[:7], 2.0, 5.0, -3.0])) if dtype.kind == "f" else int(rng.integers(-1, 8))


def extreme_graph(rng, steps=5):
    """A graph with the values of all its nodes as outputs, and its input arrays."""
    inputs, arrays = [], []
    shape = SIZES[int(rng.integers(len(SIZES)))]
    for _ in range(int(rng.integers(1, 4))):
        own = shape if rng.random() < 0.7 else SIZES[int(rng.integers(len(SIZES)))]
        arrays.append(extreme_array(rng, own, str(rng.choice(DTYPES, p=CHANCES))))
        inputs.append(ir.placeholder("input", own, arrays[-1].dtype))
    nodes = list(inputs)
    for _ in range(4 * steps):
        node = _step(rng, nodes)
        if node is not None and node.size <= 20_000:
            nodes.append(node)
        if len(nodes) >= len(inputs) + steps:
            break
    return inputs, nodes, arrays
