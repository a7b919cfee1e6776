"""From Python functions of Tensors to graphs and programs.

`capture` runs a function once on Tensors without values. What it does to Tensors becomes a `Graph`: arguments are its inputs;
Tensors from outside (parameters, moments of an optimiser, the random stream) are its state; what they are assigned is the
update.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, MutableMapping, Sequence
from dataclasses import dataclass, field
from functools import update_wrapper
from operator import attrgetter
from typing import Any, Generic, ParamSpec, TypeVar

import numpy as np

from chainrule import backends, checks, elsewhere, ir
from chainrule.backends.contract import Backend, Profiled, Program
from chainrule.conversions import is_number
from chainrule.errors import ArgumentError, CaptureError
from chainrule.ir import Array, Graph, Node, Shape, native
from chainrule.learnable import asking
from chainrule.ops.elementwise import stop_gradient
from chainrule.ops.primitive import lookup
from chainrule.reads import Reads, noted
from chainrule.recording import is_capturing, is_recording, recording_by
from chainrule.states import Values
from chainrule.tensors import Tensor, TensorLike, computed, tensor
from chainrule.turns import Lock
from chainrule.weak import Number

P = ParamSpec("P")
R = TypeVar("R")
_asks = attrgetter("_requires_grad")
_MOST_PER_KEY = 8  # programs that are kept for one signature; the oldest goes first


@dataclass(frozen=True)
class Capture:
    """A captured function.

    Attributes:
        graph: what it computes.
        state: the Tensors from outside that it reads or assigns, in the order of `graph.state`.
        result: what it returned, with Tensors in the order of `graph.outputs` (see `_flatten`).
        reads: the Python values that it read.
        asking: the Tensors that could ask for gradients, and whether they did.
    """

    graph: Graph
    state: tuple[Tensor, ...]
    result: Any
    reads: Reads
    asking: dict[Tensor, bool]
    _asked: list[object] = field(default_factory=lambda: [None])  # when `asking` was last found to be so

    def changed(self) -> str | None:
        """What of all that the graph depends on is not what it was, in words; None if it would come out the same again."""
        if self._asked[0] is not asking():
            now = asking()
            if [*self.asking.values()] != [*map(_asks, self.asking)]:
                return "requires_grad of a Tensor"
            self._asked[0] = now
        return self.reads.changed()

    @property
    def updated(self) -> list[Tensor]:
        """Those of the state that it assigns."""
        pairs = zip(self.state, self.graph.state, self.graph.updates, strict=True)
        return [tensor for tensor, leaf, update in pairs if leaf is not update]


class Compiled:
    """A captured function, ready to run on the values of its Tensors.

    Calls that share Tensors take turns, so that no update is lost, and none is seen by halves.

    Attributes:
        capture: the function.
        program: the backend's.
    """

    def __init__(self, capture: Capture, values: Values, threads: int | None) -> None:
        self.capture = capture
        self.program = values.backend.compile(capture.graph, threads)
        self._state = values.state(capture.state, capture.updated)

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """Run once; see `Program.run`."""
        return self._state.run(self._run, inputs)

    def _run(self, inputs: Sequence[Array]) -> list[Array]:
        return self.program.run(inputs, self._state.variables())

    def run_steps(
        self, tables: Sequence[Array], rows: Array, per_step: Sequence[Array], until: float | None = None
    ) -> list[Array]:
        """Run many steps; see `Program.run_steps`."""
        return self._state.run(lambda: self.program.run_steps(tables, rows, per_step, self._state.variables(), until))

    def profile(self, inputs: Sequence[Array], steps: int) -> str | None:
        """See `Profiled.profile`; None from a backend that cannot say."""
        program = self.program
        if not isinstance(program, Profiled):
            return None
        return self._state.run(lambda: program.profile(inputs, self._state.variables(), steps))


class _Recording:
    """Reads and writes of Tensors from outside while a function runs (see `chainrule.recording.Recorder`)."""

    def __init__(self) -> None:
        self.gradients: MutableMapping[Tensor, Tensor] = {}
        self.leaves: dict[Tensor, Node] = {}
        self.current: dict[Tensor, Node] = {}
        self.updates: dict[Tensor, Node] = {}
        self.nodes: list[Node] = []
        self.looked_at: list[Tensor] = []
        self._owners: dict[Node, Tensor] = {}

    def made(self, node: Node) -> None:
        self.nodes.append(node)

    def asked(self, tensor: Tensor) -> None:
        self.looked_at.append(tensor)

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
        updates = tuple(recording.updates.get(t, leaf) for t, leaf in recording.leaves.items())
        for op in {node.op for node in ir.topological(recording.nodes)}.difference(ir.LEAVES):
            reads.follow(lookup(op))  # bodies of blocks are put in later, when the program is made
    state = tuple(recording.leaves)
    graph = Graph(inputs, outputs, tuple(recording.leaves.values()), updates)
    return Capture(graph, state, result, reads, {tensor: _asks(tensor) for tensor in (*state, *recording.looked_at)})


class Programs:
    """Captured functions, ready to run, several per key: each serves as long as what it read is what it was.

    Args:
        values: what they run on, and the backend that makes them.
        threads: see `compile`.
    """

    def __init__(self, values: Values, threads: int | None) -> None:
        self._values = values
        self._threads = threads
        self._made: dict[Any, tuple[Compiled, ...]] = {}
        self._making = Lock()

    def get(self, key: Any, make: Callable[[], Capture]) -> Compiled:
        """The one under this key that holds now; where there is none, `make` captures it.

        Raises:
            CaptureError: the function changes what it reads, so that every call would need another program.
        """
        found = self._known(key)
        if found is None:
            with self._making.lock:  # who waited for it finds what the other thread has made
                found = self._known(key) or self._new(key, make)
        return found

    def _known(self, key: Any) -> Compiled | None:
        for known in self._made.get(key, ()):
            if known.capture.changed() is None:
                return known
        return None

    def _new(self, key: Any, make: Callable[[], Capture]) -> Compiled:
        found = make()
        if found.changed() is not None:  # it may have set up something that it needs only once
            found = make()
        changed = found.changed()
        if changed is not None:
            raise CaptureError(
                f"a compiled function changed {changed}, which it reads",
                "its Python code runs once, and not in every call",
                "Keep what changes in a Tensor, count = cr.tensor(0), and change it with count.assign(count + 1).",
            )
        new = Compiled(found, self._values, self._threads)
        self._made[key] = (new, *self._made.get(key, ())[: _MOST_PER_KEY - 1])
        return new


def _flatten(result: Any, outer: tuple[Any, ...] = ()) -> list[Tensor]:
    """The Tensors in a result, in order."""
    if isinstance(result, Tensor):
        return [result]
    if isinstance(result, tuple | list | dict):
        outer = checks.within(result, outer, "the result of a compiled function")
        parts = result.values() if isinstance(result, dict) else result
        return [t for part in parts for t in _flatten(part, outer)]
    if result is None:
        return []
    raise CaptureError(
        f"a compiled function returned a {type(result).__name__}",
        "it may return Tensors, and tuples, lists and dicts of them",
        "Return the Tensor itself and look at its value outside.",
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
        self._programs = Programs(Values(backend), threads)
        update_wrapper(self, function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run on Tensors, arrays or numbers.

        Raises:
            ArgumentError: keyword arguments, or arguments that are not numbers.
            CaptureError: see `capture`.
        """
        if kwargs:
            raise ArgumentError(
                f"a compiled function got the keyword {next(iter(kwargs))!r}",
                "its arguments are Tensors given by position",
                "Bind other settings with functools.partial before compiling.",
            )
        arrays = [a if type(a) is np.ndarray and a.dtype.isnative else _argument(a) for a in args]
        found = self._compiled(args, arrays)
        if is_capturing():
            for state in found.capture.state:
                state.numpy()  # says what is wrong with asking for a value here
        result: R = _rebuild(found.capture.result, [computed(value) for value in found.run(arrays)])
        return result

    def __reduce__(self) -> Any:
        raise ArgumentError(
            "a compiled function cannot be copied or pickled",
            "its programs belong to this process",
            "Copy or pickle the function that was compiled, and compile it again.",
        )

    def graph(self, *args: TensorLike) -> Graph:
        """The graph that runs for arguments like these."""
        return self._compiled(args, [_argument(a) for a in args]).capture.graph

    def program(self, *args: TensorLike) -> Program:
        """The program that runs for arguments like these; a native one can `explain` itself."""
        return self._compiled(args, [_argument(a) for a in args]).program

    def _compiled(self, args: Sequence[TensorLike], arrays: Sequence[Array]) -> Compiled:
        signature = [(a.shape, a.dtype) for a in arrays]
        numbers = [k for k, a in enumerate(args) if is_number(a)]
        key = *signature, *numbers, is_recording()
        return self._programs.get(key, lambda: capture(self._function, [(*leaf, None) for leaf in signature], numbers))


def _argument(value: TensorLike) -> Array:
    if isinstance(value, Tensor):
        return value.numpy()
    return native(value) if isinstance(value, np.ndarray) else tensor(value).numpy()


@elsewhere.explaining_calls
def compile(function: Callable[P, R], *, backend: str = "auto", threads: int | None = None) -> CompiledFunction[P, R]:
    """Compile a function of Tensors, `backward()` and `optimizer.step()` included, to one program per signature.

    The function must do the same for all values of its arguments: Python's `if` and `while` cannot look at them. Tensors from
    outside that it reads are read anew at every call; those that it assigns are assigned.

    Its Python code runs when it is captured, not in every call. It is captured again, for a program of its own, when it is
    called with other shapes or dtypes, within `no_grad` or without, or after a change of what it read: attributes of modules,
    losses and optimisers (`model.eval()`, a rate of dropout, a layer put in, a weight decay), `requires_grad` of Tensors, and
    what it, methods of modules and losses, and functions that these mention by name find under their names: variables of
    closures and of Python modules, the content of lists, dicts, sets and NumPy arrays, attributes and methods of objects and
    classes, inherited ones too, values of defaults, and the formulas of operations registered with `chainrule.extend`.

    Not followed is what has no name there: an array of more than 1000 elements (or a list of as many) that is changed in place,
    what is reached by `eval`, `globals()`, or `getattr` with a name that is computed, functions of installed libraries (nor is
    another one put in their place), an object's `__class__`, a function's `__code__`, context variables, the environment,
    files, the time. Put into a Tensor what changes.

    A function may add to a container that it mentions, such as a cache or a log. It is captured again when what was in it then
    is changed or taken out, but not when more is added. One that changes what it reads in every call is refused.

    A Python number given as an argument is weak, as in eager code: it takes the dtype of the Tensors that it meets. Another one
    of its kind runs the same program. NumPy's own numbers keep their dtype, as NumPy has it.

    Gradients that `backward` computes inside stay inside, for an optimiser's step there: `grad` of Tensors from outside is not
    set, and read as None.

    Nothing of the state is copied in a call. Calls from several threads that share state take turns, so that no update is lost.

    Args:
        function: takes Tensors by position; returns Tensors, alone or in tuples, lists, dicts.
        backend: "auto", or the name of one.
        threads: how many may run it; None: as many as there are processors, or as `CHAINRULE_THREADS` says.

    Raises:
        ArgumentError: an unknown backend, or a number of threads below 1.
    """
    checks.function(function, "compile", "Write cr.compile(f), or use it as a decorator, @cr.compile.")
    return CompiledFunction(function, backends.get(backend), backends.check_threads(threads))
