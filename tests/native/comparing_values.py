"""Values of single nodes from native code beside what the reference makes of the same operands; refusals beside refusals."""

import warnings

import numpy as np
from comparing import compiled

from chainrule import ir
from chainrule.backends.native import NATIVE
from chainrule.backends.reference import REFERENCE
from chainrule.errors import ChainruleError

EXACT = {
    *("stop_gradient", "negative", "equal", "not_equal", "less", "less_equal", "greater", "greater_equal", "logical_and"),
    *("logical_or", "logical_not", "isfinite", "abs", "sign", "floor", "maximum", "minimum", "clip", "relu", "step", "where"),
    *("cast", "reshape", "transpose", "flip", "slice", "broadcast_to", "concatenate", "pad", "gather", "argmax", "argmin"),
}
# NumPy's own functions may be 2 units in the last place off as well.
IN_ULPS = {"exp", "expm1", "log", "log1p", "sqrt", "sin", "cos", "tanh", "erf", "power", "divide", "multiply"}


def run(compile, graph, arrays):
    """The outputs and no refusal, or none and the refusal."""
    try:
        return compile(graph).run(arrays, []), None
    except ChainruleError as error:
        return None, f"{type(error).__name__}: {error}"


def native(graph):
    """As machine code; without elements, on the reference backend."""
    return compiled(graph) if all(n.size for n in graph.nodes()) else NATIVE.compile(graph)


def differences(graphs):
    """What is wrong with graphs, every node of each being an output: a list of texts.

    Those with arrays of no elements run as one program, and all others as another; those that the reference refuses run alone.

    Args:
        graphs: inputs, nodes and arrays of each, as `extreme_graph` gives them.
    """
    found, full, empty = [], [], []
    for inputs, nodes, arrays in graphs:
        graph = ir.Graph(tuple(inputs), tuple(nodes))
        refusal = run(REFERENCE.compile, graph, arrays)[1]
        if refusal is None:
            (full if all(n.size for n in graph.nodes()) else empty).append((inputs, nodes, arrays))
        elif (ours := run(native, graph, arrays)[1]) != refusal:
            found.append(f"refused with {refusal!r} by the reference, with {ours!r} by native code")
    return found + _differences(full) + _differences(empty)


def _differences(graphs):
    if not graphs:
        return []
    inputs, nodes, arrays = ([x for graph in graphs for x in graph[part]] for part in range(3))
    results, refusal = run(native, ir.Graph(tuple(inputs), tuple(nodes)), arrays)
    if refusal is not None:
        return [f"not refused by the reference: {refusal!r}"]
    values = dict(zip(nodes, results, strict=True))
    return [text for n in nodes if n.inputs for text in [_difference(n, values)] if text]


def _value(node, values):
    """The value of a node that may be no output."""
    if node.op == "constant":
        return node.value
    return values[node] if node in values else _meaning(node, [_value(i, values) for i in node.inputs])


def _meaning(node, inputs):
    leaves = tuple(ir.placeholder("input", v.shape, v.dtype) for v in inputs)
    alone = ir.Node(node.op, leaves, node.attributes, node.shape, node.dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return REFERENCE.compile(ir.Graph(leaves, (alone,))).run(inputs, [])[0]


def _difference(node, values):
    """Where a node's value is not what it should be for the values of its operands; "" if it is."""
    inputs = [_value(i, values) for i in node.inputs]
    found, wanted = values[node], _meaning(node, inputs)
    if (found.dtype, found.shape) != (wanted.dtype, wanted.shape):
        return f"{node.op}: {found.dtype}{found.shape} for {wanted.dtype}{wanted.shape}"
    same = found == wanted
    if found.dtype.kind == "f":
        if node.op in EXACT | IN_ULPS:
            same &= np.signbit(found) == np.signbit(wanted)
        same |= np.isnan(found) & np.isnan(wanted)
        with np.errstate(all="ignore"):
            if node.op not in EXACT:
                tolerance = _tolerance(node, wanted, inputs)
                same |= (np.isfinite(wanted) & (np.abs(found - wanted) <= tolerance)) | np.isinf(tolerance)
    if np.all(same):
        return ""
    k = int(np.argmin(same))
    alike = [
        np.broadcast_to(v, found.shape).flat[k] if np.ndim(v) <= found.ndim and v.size in (1, found.size) else v for v in inputs
    ]
    return f"{node.op} {dict(node.attributes)} of {alike!r} is {found.flat[k]!r}, not {wanted.flat[k]!r}"


def _tolerance(node, wanted, inputs):
    """Of functions, units in the last place; of sums and of what is made of many steps, relative to what goes in.

    It is infinite where some order of the additions overflows on the way, and others do not.
    """
    epsilon = np.finfo(wanted.dtype).eps
    if node.op in IN_ULPS:
        return 4 * np.spacing(np.abs(wanted))
    if node.op == "prod":  # in some order it may be 0 or ∞ on the way
        return np.inf if _leaves_the_range(inputs[0]) else 1e3 * epsilon * np.abs(wanted)
    if node.op in ("add", "subtract"):  # of products perhaps, in one rounding
        return 2 * epsilon * np.maximum(*(np.abs(np.broadcast_to(v, wanted.shape)) for v in inputs))
    sizes = [float(np.abs(v[np.isfinite(v)], dtype=np.float64).max(initial=0)) for v in inputs if v.dtype.kind == "f"]
    scale = np.prod(sizes) if node.op == "matmul" else max(sizes, default=1.0)
    total = max(scale, 1e-30) * max(v.size for v in inputs)
    if total > np.finfo(wanted.dtype).max or (node.op == "var" and scale * total > np.finfo(wanted.dtype).max):
        return np.inf
    return (4 if node.op in ("sum", "mean", "matmul") else 256) * epsilon * (total + np.abs(wanted))


def _leaves_the_range(x):
    """Whether a product of some of the elements may over- or underflow."""
    logarithms = np.log2(np.abs(x[np.isfinite(x) & (x != 0)], dtype=np.float64))
    limit = np.finfo(x.dtype).maxexp - 2
    return bool(logarithms[logarithms > 0].sum() > limit or logarithms[logarithms < 0].sum() < -limit)
