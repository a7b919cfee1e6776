"""Running one graph on both backends."""

import numpy as np
from checked_plans import check_plan

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
    """The plan of the graph, where nothing is to be run: LLVM takes most of the time that compiling takes."""
    return plan_of(graph, host(), available())


def compiled(graph):
    """The graph as machine code, after a check that every access of the plan stays inside its buffer."""
    program = NATIVE.compile(graph)
    check_plan(program.plan)
    return program


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
    for k, (f, w) in enumerate(zip([*found, *values(ours)], [*wanted, *values(theirs)], strict=True)):
        assert_close(f, w, f"result {k}")
