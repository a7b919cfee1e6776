"""Where the values of Tensors are: in nodes, where Python reads them, or in Variables, where a backend computes.

A program runs on the Variables of the Tensors that are its state. They are made when a program first needs them and stay the
Tensors' own, so that all programs of a place share them and a call copies nothing:

    read      the value comes from the Variable to a node, and stays there until a program changes the Variable
    assigned  the node has the value; the next program that needs it makes a new Variable
    updated   by a program: the Variable has the value, and the node of before is left to those who hold it

Reading, assigning and running take turns (`chainrule.turns`). A `State` is what one program runs on; `Values` is what several
programs of a backend run on, which can be kept and gone back to; with `ValuesApart` the Tensors keep theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar

from chainrule import ir
from chainrule.backends.contract import Backend, Variable
from chainrule.ir import Array, Node
from chainrule.turns import Group, Turns, in_turn

P = ParamSpec("P")
R = TypeVar("R")


class _Changes:
    """Tells States that some Tensor may have another Variable, or a node with a value, than when they looked."""

    last: object = None


class Holder:
    """A Tensor as far as its value goes: with `_node`, with `_variable`, or, being the same, with both."""

    __slots__ = ("_node", "_variable", "group")

    _node: Node
    _variable: Variable | None
    group: Group | None  # see `chainrule.turns`

    def _own_node(self) -> Node:
        """The node, with the value if there is one."""
        node = self._node
        return node if node.value is not None or self.group is None else in_turn(self, self._fetched)

    def _fetched(self) -> Node:
        if self._node.value is None and self._variable is not None:
            self._set_node(ir.variable(self._variable.read(), name=self._node.name))
            _Changes.last = object()
        return self._node

    def _set_node(self, node: Node) -> None:
        self._node = node

    def _replace(self, node: Node) -> None:
        """Let another node have the value."""

        def replace() -> None:
            self._set_node(node)
            self._variable = None
            _Changes.last = object()

        in_turn(self, replace)


class Values:
    """The values that the programs of a backend run on: those of the Tensors themselves."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self._updated: dict[Holder, None] = {}
        self._kept: dict[Holder, Variable] | None = None

    def state(self, tensors: Sequence[Holder], updated: Sequence[Holder]) -> State:
        """What a program runs on that has these Tensors as its state, and updates some of them."""
        for tensor in updated:
            if tensor not in self._updated:
                self._updated[tensor] = None
                if self._kept is not None:
                    self._kept[tensor] = self._copied(tensor)
        return State(self, tensors, updated)

    def variable(self, tensor: Holder) -> Variable:
        """The Variable of a Tensor, made where it has none in the backend's place."""
        variable = tensor._variable
        return (
            variable if variable is not None and variable.place == self.backend.place else in_turn(tensor, self._hold, tensor)
        )

    def _hold(self, tensor: Holder) -> Variable:
        value = tensor._own_node().value
        assert value is not None
        tensor._variable = variable = self.backend.hold(value)
        _Changes.last = object()
        return variable

    def update(self, tensors: Iterable[Holder]) -> None:
        """Note that a program is about to update these Tensors, whose turn it is."""
        for tensor in tensors:
            _leave(tensor, self.variable(tensor))

    def copy(self) -> dict[Holder, Variable]:
        """The present values of all that programs made so far update, for `restore`."""
        return {tensor: self._copied(tensor) for tensor in [*self._updated]}

    def _copied(self, tensor: Holder) -> Variable:
        return in_turn(tensor, lambda: self.variable(tensor).copy())

    def restore(self, values: Mapping[Holder, Variable]) -> None:
        """Go back to what `copy` gave."""
        for tensor, variable in values.items():
            self._put(tensor, variable.copy())

    def _put(self, tensor: Holder, variable: Variable) -> None:
        in_turn(tensor, _leave, tensor, variable)
        _Changes.last = object()

    def keep(self) -> None:
        """Keep the present values, for `go_back`; of Tensors that only programs made later update, the values then."""
        self._kept = None  # makes room
        self._kept = self.copy()

    def go_back(self) -> None:
        """Go back to the values that were kept last."""
        self.restore(self._kept or {})

    def forget(self) -> None:
        """Keep nothing any longer."""
        self._kept = None

    def is_finite(self, tensors: Iterable[Holder]) -> bool:
        """Whether those of these Tensors that programs update hold neither NaN nor infinities."""
        return all(in_turn(t, lambda t: self.variable(t).is_finite(), t) for t in tensors if t in self._updated)

    def read(self, tensor: Holder) -> Array:
        """The value of a Tensor."""
        return in_turn(tensor, lambda: self.variable(tensor).read())


def _leave(tensor: Holder, variable: Variable) -> None:
    """Leave the value to a Variable alone."""
    node = tensor._node
    if node.value is not None:
        tensor._node = ir.placeholder("variable", node.shape, node.dtype, node.name)
    tensor._variable = variable


class ValuesApart(Values):
    """Values that begin as those of the Tensors, which keep theirs."""

    def __init__(self, backend: Backend) -> None:
        super().__init__(backend)
        self._variables: dict[Holder, Variable] = {}

    def variable(self, tensor: Holder) -> Variable:
        """See `Values.variable`."""
        if tensor not in self._variables:
            value = tensor._own_node().value
            assert value is not None
            self._variables[tensor] = self.backend.hold(value)
        return self._variables[tensor]

    def begin(self, values: Mapping[Any, Array]) -> None:
        """Take the values that the Tensors have now, but for these."""
        self._variables = {tensor: self.backend.hold(value) for tensor, value in values.items()}
        _Changes.last = object()

    def update(self, tensors: Iterable[Holder]) -> None:
        """See `Values.update`: the Tensors keep their values."""

    def _put(self, tensor: Holder, variable: Variable) -> None:
        self._variables[tensor] = variable
        _Changes.last = object()


class State:
    """The Variables that one program runs on. Made by `Values.state`."""

    def __init__(self, values: Values, tensors: Sequence[Holder], updated: Sequence[Holder]) -> None:
        self._values = values
        self._tensors = tensors
        self._updated = updated
        self._turns = Turns(tensors)
        self._variables: tuple[Variable, ...] = ()
        self._seen: object = self  # none of the changes

    def run(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call a function that runs the program. Calls that share Tensors take turns."""
        return self._turns.run(function, *args, **kwargs) if self._tensors else function(*args, **kwargs)

    def variables(self) -> tuple[Variable, ...]:
        """The Variables, in the order of the Tensors; the same tuple while they are the same. For `run`."""
        if self._seen is not _Changes.last:
            seen = _Changes.last
            found = tuple(map(self._values.variable, self._tensors))
            self._values.update(self._updated)
            if found != self._variables:
                self._variables = found
            self._seen = seen
        return self._variables
