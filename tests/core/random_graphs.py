"""Random graphs over the table of primitives, for tests of passes and backends."""

import numpy as np
from hypothesis import strategies as st

from chainrule import autodiff, ir, ops
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
