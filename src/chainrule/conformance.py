"""What a backend has to do, as checks that its author runs (`chainrule.testing.check_backend`).

Every check is a sentence of `chainrule.backends.contract`. What is right is what the reference backend does, which is NumPy.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np

from chainrule import autodiff, ir, ops
from chainrule.backends.contract import Backend, Variable
from chainrule.capture import CompiledFunction
from chainrule.errors import ArgumentError, ChainruleError, GraphError
from chainrule.ir import Array, Graph, Node, placeholder
from chainrule.ops.elementwise import log, square
from chainrule.ops.primitive import Case, Primitive
from chainrule.ops.reduction import mean, sum
from chainrule.tensors import parameter


class BackendMismatch(ChainruleError, AssertionError):
    """A backend that does not do what the contract says."""


def check_backend(backend: Backend, primitives: Collection[str] | None = None, tolerance: float = 1e-9) -> None:
    """Check that a backend does what `chainrule.backends.contract` says.

    That is: how it keeps values, what a run and many steps read, give and leave behind, also when they stop or fail; that
    Tensors and compiled functions see what it does; and every primitive's value and gradients on a random case.

    Args:
        backend: what to check.
        primitives: names of those to check; None: all.
        tolerance: relative and absolute, in float64.

    Raises:
        BackendMismatch: naming the backend, the first check that fails, and what was found.
    """
    for check in _CHECKS:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", RuntimeWarning)
                check(backend, tolerance)
        except Exception as error:
            raise BackendMismatch(f"{backend.name}: {check.__name__.strip('_').replace('_', ' ')}: {error}") from error
    for name in ops.PRIMITIVES if primitives is None else primitives:
        check_primitive_on(backend, ops.PRIMITIVES[name], 0, tolerance)


def check_primitive_on(backend: Backend, primitive: Primitive, seed: int, tolerance: float = 1e-12) -> None:
    """Check that a backend gives the value and gradients of one primitive, on a random case, as eager code does.

    Raises:
        BackendMismatch: it does not.
    """
    case = primitive.cases(np.random.default_rng(seed))
    expected = value_and_gradients(primitive, case, [ir.constant(a) for a in case.inputs], seed)
    inputs = [placeholder("input", a.shape, a.dtype) for a in case.inputs]
    outputs = value_and_gradients(primitive, case, inputs, seed)
    found = backend.compile(Graph(tuple(inputs), tuple(outputs))).run(case.inputs, ())
    for array, node in zip(found, expected, strict=True):
        try:
            _equal(array, node.value, tolerance)
        except AssertionError as error:
            raise BackendMismatch(f"{backend.name}: {primitive.name} {case}: {error}") from None


def value_and_gradients(primitive: Primitive, case: Case, inputs: Sequence[Node], seed: int) -> list[Node]:
    """The value of a primitive, and its gradients where it has any."""
    node = primitive(*inputs, **case.attributes)
    return [node, *gradients(node, inputs, seed)] if is_differentiable(primitive, case) else [node]


def is_differentiable(primitive: Primitive, case: Case) -> bool:
    """Whether a primitive has gradients in a case."""
    floating = any(a.dtype.kind == "f" for a in case.inputs)
    value = primitive(*map(ir.constant, case.inputs), **case.attributes)
    return floating and value.dtype.kind == "f" and not primitive.not_differentiable


def gradients(output: Node, inputs: Sequence[Node], seed: int) -> list[Node]:
    """The gradients of Σ u·output for a random u, by the inputs that any flows to."""
    upstream = ir.constant(np.random.default_rng(seed).normal(size=output.shape), output.dtype)
    return [g for g in autodiff.gradient(output, inputs, upstream) if g is not None]


# -------------------------------------------------------------------------------------------- what is compared
def _equal(found: Any, wanted: Any, tolerance: float = 0.0, what: str = "the value") -> None:
    found, wanted = np.asarray(found), np.asarray(wanted)
    same = found.dtype == wanted.dtype and found.shape == wanted.shape
    if not same or not np.allclose(found, wanted, tolerance, tolerance, equal_nan=True):
        raise AssertionError(f"{what} is {_described(found)}; expected {_described(wanted)}")


def _described(array: Array) -> str:
    return f"{array.dtype}{list(array.shape)} {np.array2string(array, threshold=20, precision=17)}"


def _refuses(expected: type[Exception], function: Callable[[], object]) -> None:
    try:
        function()
    except expected:
        return
    raise AssertionError(f"there was no {expected.__name__}")


# -------------------------------------------------------------------------------------------- graphs to run
def _leaf(op: str, *shape: int, dtype: Any = np.float64) -> Node:
    return placeholder(op, shape, dtype)


def _adding() -> Graph:
    """w ↦ sum(w x), w ← w + x."""
    x, w = _leaf("input", 3, 2), _leaf("variable", 3, 2)
    return Graph((x,), (sum(w * x), w), (w,), (w + x,))


def _regression(batch: int) -> Graph:
    """One step of w ← w − rate · ∂E/∂w for E = mean (x·w − t)²."""
    x, t, rate, w = _leaf("input", batch, 3), _leaf("input", batch), _leaf("input"), _leaf("variable", 3)
    error = x @ w - t
    loss = mean(square(error))
    (gradient,) = autodiff.gradient(loss, [w], ir.constant(1.0))
    assert gradient is not None
    return Graph((x, t, rate), (loss, error), (w,), (w - rate * gradient,))


def _counting(*shape: int) -> Graph:
    """Positions i ↦ how often each was taken so far: n ← n + 1 at i."""
    i, n = _leaf("input", *shape, dtype=np.int64), _leaf("variable", 4)
    one = ir.constant(np.ones(shape))
    taken = ops.indexing.scatter_add(one, i, shape=(4,), axes=(0,))
    return Graph((i,), (sum(n) + 1.0,), (n,), (n + taken,))


_RNG = np.random.default_rng(0)
_X, _T = _RNG.normal(size=(7, 3)), _RNG.normal(size=7)
_ROWS, _RATES = np.array([[0, 3], [6, 6], [2, 1], [5, 4]]), np.array([0.1, 0.2, 0.05, 0.3])


def _by_hand(steps: int) -> tuple[Array, list[float], list[Array]]:
    w, losses, errors = np.zeros(3), [], []
    for rows, rate in zip(_ROWS[:steps], _RATES[:steps], strict=True):
        error = _X[rows] @ w - _T[rows]
        losses.append(float(np.mean(error**2)))
        errors.append(error)
        w = w - rate * (2.0 / len(rows)) * (_X[rows] * error[:, None]).sum(axis=0)
    return w, losses, errors


# -------------------------------------------------------------------------------------------- how it keeps values
def _a_held_value_is_read_as_it_was_given(backend: Backend, tolerance: float) -> None:
    big = np.arange(24).reshape(4, 6)
    for dtype in ir.DTYPES:
        for value in (big[1:3], big.T[::-2], big[:0], big[2, 3], np.broadcast_to(big[0], (2, 6))):
            given = np.asarray(value).astype(dtype, order="K")
            given.flags.writeable = False
            variable = backend.hold(given)
            _equal(variable.read(), given)
            if not variable.read().flags.c_contiguous:
                raise AssertionError("the array that was read is not in C order")
            if variable.place != backend.place:
                raise AssertionError(f"the Variable is in {variable.place!r}; the backend is in {backend.place!r}")


def _what_was_given_and_what_was_read_stays_as_it_is(backend: Backend, tolerance: float) -> None:
    given = np.ones((3, 2))
    state = (backend.hold(given),)
    program = backend.compile(_adding())
    x = np.full((3, 2), 0.5)
    program.run([x], state)
    first = state[0].read()
    _equal(given, np.ones((3, 2)), what="the array that was given")
    program.run([x], state)
    _equal(first, np.full((3, 2), 1.5), what="the array that was read before a run")
    _equal(state[0].read(), np.full((3, 2), 2.0))
    _equal(x, np.full((3, 2), 0.5), what="the input")


def _a_copy_goes_its_own_way(backend: Backend, tolerance: float) -> None:
    program = backend.compile(_adding())
    first = backend.hold(np.zeros((3, 2)))
    second = first.copy()
    program.run([np.ones((3, 2))], (first,))
    _equal(second.read(), np.zeros((3, 2)), what="the copy of a Variable that was updated")
    program.run([np.full((3, 2), 5.0)], (second,))
    _equal(first.read(), np.ones((3, 2)), what="a Variable whose copy was updated")
    if second.place != backend.place:
        raise AssertionError("a copy is in another place")


def _it_knows_what_is_finite(backend: Backend, tolerance: float) -> None:
    for value in (np.array([1.0, np.nan]), np.array([[np.inf]]), np.array(-np.inf, np.float32)):
        if backend.hold(value).is_finite():
            raise AssertionError(f"{value} was called finite")
    for value in (np.ones(3), np.arange(3), np.array(True), np.zeros((0, 2))):
        if not backend.hold(value).is_finite():
            raise AssertionError(f"{value} was called not finite")


# -------------------------------------------------------------------------------------------- a run
def _a_run_gives_outputs_and_leaves_updates(backend: Backend, tolerance: float) -> None:
    program = backend.compile(_adding())
    state = (backend.hold(np.ones((3, 2))),)
    x = np.arange(6.0).reshape(2, 3).T  # in any order
    total, before = program.run([x], state)
    _equal(total, np.float64(15.0), tolerance)
    _equal(before, np.ones((3, 2)), what="an output that is the state before the update")
    _equal(state[0].read(), 1.0 + x)
    other = (backend.hold(np.zeros((3, 2))),)
    program.run([x], other)
    _equal(other[0].read(), np.ascontiguousarray(x), what="the second state of one program")
    _equal(state[0].read(), 1.0 + x, what="the state of a program that ran on another one")


def _outputs_are_arrays_of_their_own(backend: Backend, tolerance: float) -> None:
    x, w = _leaf("input", 2), _leaf("variable", 2)
    program = backend.compile(Graph((x,), (x, w, x + w), (w,), (w,)))
    given, state = np.array([1.0, 2.0]), (backend.hold(np.zeros(2)),)
    kept = program.run([given], state)
    for output in kept:
        output[0] = 9.0
    _equal(given, np.array([1.0, 2.0]), what="an input after its output was written to")
    _equal(state[0].read(), np.zeros(2), what="state after its output was written to")
    later = program.run([given], state)
    _equal(kept[2], np.array([9.0, 2.0]), what="an output of an earlier run")
    _equal(later[2], given)


def _state_is_exchanged_at_once(backend: Backend, tolerance: float) -> None:
    a, b = _leaf("variable", 2, 2), _leaf("variable", 2, 2)
    transposed = ops.shape.transpose(a, axes=(1, 0))
    state = backend.hold(np.array([[1.0, 2.0], [3.0, 4.0]])), backend.hold(np.zeros((2, 2)))
    program = backend.compile(Graph((), (), (a, b), (b, transposed)))
    program.run([], state)
    program.run([], state)  # now on memory that is all its own
    _equal(state[0].read(), np.array([[1.0, 3.0], [2.0, 4.0]]))
    _equal(state[1].read(), np.zeros((2, 2)))


def _programs_share_their_state(backend: Backend, tolerance: float) -> None:
    w = (backend.hold(np.zeros(3)),)
    two, one = backend.compile(_regression(2)), backend.compile(_regression(1))
    w_now = np.zeros(3)
    for program, rows in ((two, [0, 3]), (one, [5]), (two, [2, 1])):
        error = _X[rows] @ w_now - _T[rows]
        w_now = w_now - 0.1 * (2.0 / len(rows)) * (_X[rows] * error[:, None]).sum(axis=0)
        program.run([_X[rows], _T[rows], np.array(0.1)], w)
        _equal(w[0].read(), w_now, tolerance)


def _a_run_that_fails_changes_nothing(backend: Backend, tolerance: float) -> None:
    program, state = backend.compile(_counting(2)), (backend.hold(np.zeros(4)),)
    for position in (4, -5):
        _refuses(ArgumentError, lambda position=position: program.run([np.array([1, position])], state))  # type: ignore[misc]
        _equal(state[0].read(), np.zeros(4), what="state after a run that failed")
    program.run([np.array([1, 1])], state)
    _equal(state[0].read(), np.array([0.0, 2.0, 0.0, 0.0]), what="state after a run that follows one that failed")


def _infinities_are_values_like_others(backend: Backend, tolerance: float) -> None:
    x = _leaf("input", 3)
    (found,) = backend.compile(Graph((x,), (log(x),))).run([np.array([0.0, -1.0, 1.0])], ())
    _equal(found, np.array([-np.inf, np.nan, 0.0]))


def _a_broken_graph_is_refused(backend: Backend, tolerance: float) -> None:
    _refuses(GraphError, lambda: backend.compile(Graph((), (log(_leaf("input", 2)),))))


def _threads_change_no_bit(backend: Backend, tolerance: float) -> None:
    found = []
    for threads in (1, 2, None):
        state = (backend.hold(np.zeros(3)),)
        outputs = backend.compile(_regression(2), threads).run_steps([_X, _T], _ROWS, [_RATES], state)
        found.append([*outputs, state[0].read()])
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            _equal(a, b, what="a result with another number of threads")


# -------------------------------------------------------------------------------------------- many steps
def _steps(backend: Backend, T: Array, until: float | None = None, count: int = 4) -> tuple[Array, Array, Array]:
    w: Variable = backend.hold(np.zeros(3))
    losses, errors = backend.compile(_regression(2)).run_steps([_X, T], _ROWS[:count], [_RATES[:count]], (w,), until)
    return w.read(), losses, errors


def _steps_gather_their_rows_and_take_their_settings(backend: Backend, tolerance: float) -> None:
    for found, wanted in zip(_steps(backend, _T), _by_hand(4), strict=True):
        _equal(found, np.array(wanted), tolerance)
    values = backend.compile(_regression(2)).run_steps([_X, _T], _ROWS[:0], [_RATES[:0]], (backend.hold(np.zeros(3)),))
    _equal(values[1], np.zeros((0, 2)), what="the outputs of no steps")


def _steps_stop_before_the_update_where_the_loss_is_reached(backend: Backend, tolerance: float) -> None:
    reached = _T.copy()
    reached[_ROWS[2]] = _X[_ROWS[2]] @ _by_hand(2)[0] + 0.01  # so that the third loss is 0.0001
    w, losses, errors = _steps(backend, reached, until=0.001)
    _equal(np.array(errors.shape), np.array([3, 2]), what="the shape of the outputs")
    _equal(losses[2], np.float64(0.0001), 1e-6)
    _equal(w, _by_hand(2)[0], tolerance, "state before the step that stopped")


def _steps_stop_before_the_update_where_the_loss_is_not_finite(backend: Backend, tolerance: float) -> None:
    for bad in (np.nan, np.inf):
        spoilt = _T.copy()
        spoilt[2] = bad
        w, losses, _ = _steps(backend, spoilt)
        _equal(np.array(losses.shape), np.array([3]), what="the number of steps")
        _equal(w, _by_hand(2)[0], tolerance, "state before the step whose loss is not finite")


def _a_step_that_fails_leaves_those_before(backend: Backend, tolerance: float) -> None:
    program, state = backend.compile(_counting(1)), (backend.hold(np.zeros(4)),)
    rows = np.array([[0], [1], [2], [3]])
    _refuses(ArgumentError, lambda: program.run_steps([np.array([2, 1, 9, 0])], rows, [], state))
    _equal(state[0].read(), np.array([0.0, 1.0, 1.0, 0.0]), what="state after a step that failed")


# -------------------------------------------------------------------------------------------- Tensors
def _tensors_and_programs_see_each_other(backend: Backend, tolerance: float) -> None:
    w = parameter(np.zeros(3), name="w")
    view = w.numpy()

    def add(x: Any) -> Any:
        w.assign(w + x)
        return w * 1.0

    def look() -> Any:
        return w * 2.0

    adding, looking = (CompiledFunction(f, backend, None) for f in (add, look))
    adding(np.ones(3))
    _equal(looking().numpy(), np.full(3, 2.0), what="what another compiled function reads")
    _equal(view, np.zeros(3), what="an array of a Tensor that was taken before a run")
    _equal(w.numpy(), np.ones(3), what="a Tensor after a run")
    w.assign([1.0, 2.0, 3.0])
    _equal(adding(np.ones(3)).numpy(), np.array([2.0, 3.0, 4.0]), what="a result after a Tensor was assigned")
    _equal(w.numpy(), np.array([2.0, 3.0, 4.0]))


_CHECKS = (
    _a_held_value_is_read_as_it_was_given,
    _what_was_given_and_what_was_read_stays_as_it_is,
    _a_copy_goes_its_own_way,
    _it_knows_what_is_finite,
    _a_run_gives_outputs_and_leaves_updates,
    _outputs_are_arrays_of_their_own,
    _state_is_exchanged_at_once,
    _programs_share_their_state,
    _a_run_that_fails_changes_nothing,
    _infinities_are_values_like_others,
    _a_broken_graph_is_refused,
    _threads_change_no_bit,
    _steps_gather_their_rows_and_take_their_settings,
    _steps_stop_before_the_update_where_the_loss_is_reached,
    _steps_stop_before_the_update_where_the_loss_is_not_finite,
    _a_step_that_fails_leaves_those_before,
    _tensors_and_programs_see_each_other,
)
