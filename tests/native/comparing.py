"""Running one graph on both backends."""

from itertools import product

import numpy as np
from checked_plans import check_plan

from chainrule import ir, ops
from chainrule.backends.native import NATIVE, available, host
from chainrule.backends.native.plan.lower import plan_of
from chainrule.backends.reference import REFERENCE

# Relative to the largest element: float64 as promised; float32 allows for sums in another order.
TOLERANCE = {np.dtype(np.float64): 1e-10, np.dtype(np.float32): 2e-5}


def assert_close(found, wanted, what=""):
    """Equal dtype and shape, and equal values up to the tolerance of the dtype."""
    assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape), what
    if wanted.dtype.kind != "f":
        np.testing.assert_array_equal(found, wanted, err_msg=what)
        return
    tolerance = TOLERANCE[wanted.dtype]
    finite = np.abs(wanted[np.isfinite(wanted)])
    scale = float(finite.max()) if finite.size else 1.0
    np.testing.assert_allclose(found, wanted, rtol=tolerance, atol=tolerance * max(scale, 1e-30), err_msg=what)


def planned(graph):
    """The plan of the graph, checked, where nothing is to be run: LLVM takes most of the time that compiling takes."""
    plan = plan_of(graph, host(), available())
    check_plan(plan)
    return plan


def compiled(graph):
    """The graph as machine code, after the same check: every access of the plan stays inside its buffer."""
    program = NATIVE.compile(graph)
    check_plan(program.plan)
    return program


def in_groups(names, count):
    """Names in so many lists, whose members become one program: most of what a program costs, it costs once."""
    return [list(names)[k::count] for k in range(count)]


def of_primitives(names, seeds, dtypes=(np.float64,)):
    """A graph with an output for each primitive, seed and dtype, by the cases of the records; and its inputs."""
    inputs, outputs, arrays = [], [], []
    for name, seed, dtype in product(names, seeds, dtypes):
        case = ops.PRIMITIVES[name].cases(np.random.default_rng(seed))
        own = [a.astype(dtype) if a.dtype.kind == "f" else a for a in case.inputs]
        leaves = [ir.placeholder("input", a.shape, a.dtype) for a in own]
        outputs.append(ops.PRIMITIVES[name](*leaves, **case.attributes))
        inputs += leaves
        arrays += own
    return ir.Graph(tuple(inputs), tuple(outputs)), arrays


def held(*arrays):
    """Variables with these values."""
    return tuple(map(NATIVE.hold, arrays))


def held_by(found):
    """Variables with the present values of a captured function's state."""
    return held(*(t.numpy() for t in found.state))


def values(state):
    """The values of Variables."""
    return [variable.read() for variable in state]


def assert_same_run(graph, arrays, state=()):
    """Both backends give the same outputs and the same state."""
    ours, theirs = held(*state), held(*state)
    found = compiled(graph).run(arrays, ours)
    wanted = REFERENCE.compile(graph).run(arrays, theirs)
    results = zip(graph.results, [*found, *values(ours)], [*wanted, *values(theirs)], strict=True)
    for k, (node, f, w) in enumerate(results):
        assert_close(f, w, f"result {k}, {node.op}")
