"""From Python functions of Tensors to graphs and programs.

`capture` runs a function once on Tensors without values. What it does to Tensors becomes a `Graph`: arguments are its inputs;
Tensors from outside (parameters, moments of an optimiser, the random stream) are its state; what they are assigned is the
update.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, MutableMapping, Sequence
from dataclasses import dataclass
from functools import cached_property, update_wrapper
from typing import Any, Generic, ParamSpec, TypeVar

import numpy as np

from chainrule import autodiff, backends, checks, elsewhere, ir
from chainrule.backends.contract import Backend, Program
from chainrule.errors import ArgumentError, CaptureError, ShapeError, message
from chainrule.ir import Array, Graph, Node, Shape
from chainrule.ops.elementwise import stop_gradient
from chainrule.reads import Reads, noted
from chainrule.tensors import (
    Number,
    Tensor,
    TensorLike,
    apply,
    differentiated,
    grad,
    is_number,
    is_recording,
    parameter,
    recording_by,
    tensor,
)
from chainrule.turns import Turns

P = ParamSpec("P")
R = TypeVar("R")
_MOST_PER_KEY = 8  # programs that are kept for one signature; the oldest goes first


@dataclass(frozen=True)
class Capture:
    """A captured function.

    Attributes:
        graph: what it computes.
        state: the Tensors from outside that it reads or assigns, in the order of `graph.state`.
        result: what it returned, with Tensors in the order of `graph.outputs` (see `_flatten`).
        reads: the Python values that it read.
        asking: which of the state asked for gradients.
    """

    graph: Graph
    state: tuple[Tensor, ...]
    result: Any
    reads: Reads
    asking: tuple[bool, ...]

    def changed(self) -> str | None:
        """What of all that the graph depends on is not what it was, in words; None if it would come out the same again."""
        if self.asking != tuple(t.requires_grad for t in self.state):
            return "requires_grad of a Tensor"
        return self.reads.changed()

    @cached_property
    def _turns(self) -> Turns:
        return Turns(self.state)

    def run(self, program: Program, arrays: Sequence[Array]) -> list[Array]:
        """Run its program on the state as it is, and assign the state. Calls that share state do so one after the other."""
        if not self.state:
            return program.run(arrays, [])
        if self.graph.state == self.graph.updates:
            with self._turns.mine():
                state = self.state_arrays()
            return program.run(arrays, state)
        with self._turns.mine():
            state = self.state_arrays()
            outputs = program.run(arrays, state)
            self.write_back(state)
        return outputs

    def state_arrays(self) -> list[Array]:
        """Fresh arrays with the current values of the state, for a program to change in place."""
        return [np.array(t.numpy(), order="C") for t in self.state]

    def write_back(self, arrays: Sequence[Array]) -> None:
        """Give the state Tensors that the graph updates their values from arrays."""
        for leaf, update, target, array in zip(self.graph.state, self.graph.updates, self.state, arrays, strict=True):
            if leaf is not update:
                target.assign(array)


class _Recording:
    """Reads and writes of Tensors from outside while a function runs (see `chainrule.tensors.Recorder`)."""

    def __init__(self) -> None:
        self.gradients: MutableMapping[Tensor, Tensor] = {}
        self.leaves: dict[Tensor, Node] = {}
        self.current: dict[Tensor, Node] = {}
        self.updates: dict[Tensor, Node] = {}
        self._owners: dict[Node, Tensor] = {}

    def read(self, tensor: Tensor) -> Node:
        if tensor not in self.current:
            leaf = ir.placeholder("variable", tensor.shape, tensor.dtype, tensor.name)
            self.leaves[tensor] = self.current[tensor] = leaf
            self._owners[leaf] = tensor
        return self.current[tensor]

    def write(self, tensor: Tensor, node: Node) -> None:
        self.read(tensor)
        self.updates[tensor] = node
        fresh = stop_gradient(node)  # as in eager code, what is computed from the new value starts afresh from it
        fresh.name = tensor.name
        self.current[tensor] = fresh
        self._owners[fresh] = tensor

    def owner(self, leaf: Node) -> Tensor | None:
        return self._owners.get(leaf)


def capture(
    function: Callable[..., Any], arguments: Sequence[tuple[Shape, Any, str | None]], numbers: Collection[int] = ()
) -> Capture:
    """Run `function` once on Tensors without values.

    Args:
        function: takes as many Tensors as there are arguments; returns a Tensor, or Tensors in tuples, lists and dicts.
        arguments: shape, dtype and name of each.
        numbers: the positions of those that are Python numbers.

    Raises:
        CaptureError: it looked at a value, or returned something else than Tensors.
    """
    recording = _Recording()
    inputs = tuple(ir.placeholder("input", shape, dtype, name) for shape, dtype, name in arguments)
    with recording_by(recording), noted(function) as reads:
        result = elsewhere.called(function, *(Number(node) if k in numbers else Tensor(node) for k, node in enumerate(inputs)))
        outputs = tuple(t.node for t in _flatten(result))
    state = tuple(recording.leaves)
    updates = tuple(recording.updates.get(t, leaf) for t, leaf in recording.leaves.items())
    graph = Graph(inputs, outputs, tuple(recording.leaves.values()), updates)
    return Capture(graph, state, result, reads, tuple(t.requires_grad for t in state))


class Programs:
    """Captured functions with their programs, several per key: each serves as long as what it read is what it was.

    Args:
        backend: makes the programs.
        threads: see `compile`.
    """

    def __init__(self, backend: Backend, threads: int | None) -> None:
        self._backend = backend
        self._threads = threads
        self._made: dict[Any, tuple[tuple[Capture, Program], ...]] = {}

    def get(self, key: Any, make: Callable[[], Capture]) -> tuple[Capture, Program]:
        """The program under this key that holds now; where there is none, `make` captures it.

        Raises:
            CaptureError: the function changes what it reads, so that every call would need another program.
        """
        made = self._made.get(key, ())
        for known in made:
            if known[0].changed() is None:
                return known
        found = make()
        if found.changed() is not None:  # it may have set up something that it needs only once
            found = make()
        changed = found.changed()
        if changed is not None:
            raise CaptureError(
                message(
                    f"a compiled function changed {changed}, which it reads",
                    "its Python code runs once, and not in every call",
                    "Keep what changes in a Tensor, count = cr.tensor(0), and change it with count.assign(count + 1).",
                )
            )
        new = found, self._backend.compile(found.graph, self._threads)
        self._made[key] = (new, *made[: _MOST_PER_KEY - 1])
        return new


def _flatten(result: Any) -> list[Tensor]:
    """The Tensors in a result, in order."""
    if isinstance(result, Tensor):
        return [result]
    if isinstance(result, tuple | list):
        return [t for part in result for t in _flatten(part)]
    if isinstance(result, dict):
        return [t for part in result.values() for t in _flatten(part)]
    if result is None:
        return []
    raise CaptureError(
        message(
            f"a compiled function returned a {type(result).__name__}",
            "it may return Tensors, and tuples, lists and dicts of them",
            "Return the Tensor itself and look at its value outside.",
        )
    )


def _rebuild(result: Any, values: list[Tensor]) -> Any:
    """`result` with its Tensors replaced by `values`, taken from the front."""
    if isinstance(result, Tensor):
        return values.pop(0)
    if isinstance(result, tuple | list):
        parts = [_rebuild(part, values) for part in result]
        return type(result)(*parts) if hasattr(result, "_fields") else type(result)(parts)  # a named tuple, or a plain one
    if isinstance(result, dict):
        return {key: _rebuild(part, values) for key, part in result.items()}
    return result


class CompiledFunction(Generic[P, R]):
    """A function that is captured once per signature (shapes and dtypes of its arguments) and then runs as a program.

    It is captured again when something else that it read has changed: see `compile`.
    """

    def __init__(self, function: Callable[P, R], backend: Backend, threads: int | None) -> None:
        self._function = function
        self._programs = Programs(backend, threads)
        update_wrapper(self, function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run on Tensors, arrays or numbers. Gradients computed inside stay inside: `.grad` is not touched.

        Raises:
            ArgumentError: keyword arguments, or arguments that are not numbers.
            CaptureError: see `capture`.
        """
        if kwargs:
            raise ArgumentError(
                message(
                    f"a compiled function got the keyword {next(iter(kwargs))!r}",
                    "its arguments are Tensors given by position",
                    "Bind other settings with functools.partial before compiling.",
                )
            )
        arrays = [_argument(a) for a in args]
        found, program = self._compiled(args, arrays)
        outputs = found.run(program, arrays)
        result: R = _rebuild(found.result, [tensor(value) for value in outputs])
        return result

    def __reduce__(self) -> Any:
        raise ArgumentError(
            message(
                "a compiled function was to be copied or pickled",
                "its programs belong to this process",
                "Copy or pickle the function that was compiled, and compile it again.",
            )
        )

    def graph(self, *args: TensorLike) -> Graph:
        """The graph that runs for arguments like these."""
        return self._compiled(args, [_argument(a) for a in args])[0].graph

    def program(self, *args: TensorLike) -> Program:
        """The program that runs for arguments like these; a native one can `explain` itself."""
        return self._compiled(args, [_argument(a) for a in args])[1]

    def _compiled(self, args: Sequence[TensorLike], arrays: Sequence[Array]) -> tuple[Capture, Program]:
        signature = tuple((a.shape, a.dtype) for a in arrays)
        numbers = tuple(k for k, a in enumerate(args) if is_number(a))
        key = signature, numbers, is_recording()
        return self._programs.get(key, lambda: capture(self._function, [(*leaf, None) for leaf in signature], numbers))


def _argument(value: TensorLike) -> Array:
    if isinstance(value, Tensor):
        return value.numpy()
    if not isinstance(value, np.ndarray):
        return tensor(value).numpy()
    ir.as_dtype(value.dtype)
    return value


@elsewhere.explaining_calls
def compile(function: Callable[P, R], *, backend: str = "auto", threads: int | None = None) -> CompiledFunction[P, R]:
    """Compile a function of Tensors, `backward()` and `optimizer.step()` included, to one program per signature.

    The function must do the same for all values of its arguments: Python's `if` and `while` cannot look at them. Tensors from
    outside that it reads are read anew at every call; those that it assigns are assigned.

    Its Python code runs when it is captured, not in every call. It is captured again, for a program of its own, when it is
    called with other shapes or dtypes, within `no_grad` or without, or after a change of what it read: attributes of modules,
    losses and optimisers (`model.eval()`, a rate of dropout, a layer put in, a weight decay), `requires_grad` of Tensors, and
    what it, methods of modules and losses, and functions that these mention by name find under their names: variables of
    closures and of Python modules, the content of lists, dicts, sets and NumPy arrays, attributes of objects and classes.

    Not followed is what has no name there: an array of more than 1000 elements (or a list of as many) that is changed in place,
    what is reached by `getattr` or `eval`, functions of installed libraries, files, the time. Put into a Tensor what changes.

    A Python number given as an argument is weak, as in eager code: it takes the dtype of the Tensors that it meets. Another one
    of its kind runs the same program. NumPy's own numbers keep their dtype, as NumPy has it.

    Calls from several threads that share state take turns if one of them assigns it, so that no update is lost.

    Args:
        function: takes Tensors by position; returns Tensors, alone or in tuples, lists, dicts.
        backend: "auto", or the name of one.
        threads: how many may run it; None: as many as there are processors, or as `CHAINRULE_THREADS` says.

    Raises:
        ArgumentError: an unknown backend, or a number of threads below 1.
    """
    checks.function(function, "compile", "Write cr.compile(f), or use it as a decorator, @cr.compile.")
    return CompiledFunction(function, backends.get(backend), backends.check_threads(threads))


# -------------------------------------------------------------------------------------------- functions of functions
@elsewhere.explaining_calls
def value_and_grad(function: Callable[..., Tensor]) -> Callable[..., tuple[Tensor, tuple[Tensor, ...]]]:
    """A function that gives f(x, …) and its gradients by all arguments, which are taken as floating Tensors.

    Raises (when called):
        GradientError: f is not a scalar, or has no gradient by an argument.
    """

    checks.function(function, "value_and_grad", "Write cr.value_and_grad(f)(x).")

    def both(*arguments: TensorLike) -> tuple[Tensor, tuple[Tensor, ...]]:
        tensors = [_floating(a) for a in arguments]
        value = _value(function, *tensors)
        return value, grad(value, tensors)

    return both


def _value(function: Callable[..., Tensor], *points: Tensor) -> Tensor:
    """What a function gives that is to be differentiated."""
    with differentiated(points):
        found = elsewhere.called(function, *points)
    return checks.kind(found, Tensor, "the function returned {}", "it gives a Tensor", "Compute it from x with chainrule.")


def _floating(x: TensorLike) -> Tensor:
    """A point to differentiate at: a Tensor as it is, numbers as a new floating one."""
    return x if isinstance(x, Tensor) else parameter(x).detach()


@elsewhere.explaining_calls
def jacobian(function: Callable[[Tensor], Tensor], x: TensorLike) -> Tensor:
    """J[i, j] = ∂f_i/∂x_j, of shape f.shape + x.shape, by one backward pass per element of f.

    It can be differentiated again.

    Raises:
        GradientError: f does not depend on x, or only through something without a derivative.
        ShapeError: f has no elements.
    """
    checks.function(function, "jacobian", "Write cr.jacobian(f, x).")
    point = _floating(x)
    y = _value(function, point)
    rows = []
    for k in range(y.size):
        seed = ir.constant(np.eye(1, y.size, k).reshape(y.shape), y.dtype)
        (row,) = autodiff.gradient(y.node, [point.node], seed)
        rows.append(row if row is not None else autodiff.zero_or_error(y.node, point.node, repr))
    if not rows:
        raise ShapeError("the jacobian of a function without elements was asked for; check the shape that it returns.")
    return apply("stack", *map(Tensor, rows)).reshape(*y.shape, *point.shape)


@elsewhere.explaining_calls
def hessian(function: Callable[[Tensor], Tensor], x: TensorLike) -> Tensor:
    """H[i, j] = ∂²f/∂x_i∂x_j of a scalar function, of shape x.shape + x.shape: the jacobian of its gradient."""

    checks.function(function, "hessian", "Write cr.hessian(f, x).")

    def gradient_of(point: Tensor) -> Tensor:
        (g,) = grad(_value(function, point), [point])
        return g + 0.0 * point  # a gradient that does not depend on the point any more still has a derivative: zeros

    return jacobian(gradient_of, x)
