"""Module: an object with parameters, buffers and child modules that computes something from them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, ClassVar, NamedTuple, Self, TypeVar

import numpy as np

from chainrule import backends, checks, elsewhere
from chainrule.backends import Backend
from chainrule.conversions import as_numpy
from chainrule.errors import ArgumentError, ChainruleError
from chainrule.ir import Array
from chainrule.nn import settings
from chainrule.nn.forward import Forward, inputs_array
from chainrule.nn.modes import Mode
from chainrule.reads import Noted, attributes
from chainrule.states import Values
from chainrule.tensors import Tensor, TensorLike, tensor
from chainrule.turns import Lock

T = TypeVar("T")
Observer = Callable[["Module", Tensor], None]

_SAVED_STATE = "Give what state_dict() of such a model returned, or the arrays of a file."
_first_prediction = Lock()
_observer: ContextVar[Observer | None] = ContextVar("observer", default=None)


def _forward_missing(self: Module, *inputs: Tensor) -> Tensor:
    """The output for the inputs; every subclass defines it."""
    name = type(self).__name__
    raise ArgumentError(
        f"{name} was called but does not define forward",
        "forward computes the output",
        f"Write def forward(self, x) in {name}.",
    )


class StateKeys(NamedTuple):
    """What did not fit when a state was loaded; both are empty unless it was loaded with `strict=False`.

    Attributes:
        missing_keys: names of the model that the state has no entry for.
        unexpected_keys: names of the state that the model does not have.
    """

    missing_keys: list[str]
    unexpected_keys: list[str]


class Module(Noted, elsewhere.Explaining):
    """A part of a network. Subclasses define `forward`; attributes are what they are made of:

    a Tensor made to be learnt (`cr.parameter`) is a parameter, also while it is frozen (`requires_grad = False`); any other
    Tensor is a buffer, a Module a child, in the order of assignment.

        class Perceptron(nn.Module):
            def __init__(self, features: int) -> None:
                self.features = features                   # kept, so that the model can be saved: see `config`
                self.affine = nn.Linear(features, 1)

            def forward(self, x):                          # (n, features) -> (n, 1)
                return cr.sigmoid(self.affine(x))

    Attributes:
        training: whether layers such as Dropout and BatchNorm behave as in training (`train`) or as in use (`eval`).
        symbol: what its output is called in formulas, with {} for the number of the layer; empty for nothing.
    """

    __slots__ = ("_forward",)  # by backend, where `predict` keeps its programs; not in `vars`, where parts and settings are
    _forward: dict[Backend, Forward]

    not_kept: ClassVar[frozenset[str]] = frozenset()  # entries of PyTorch's states that have no counterpart in this layer
    reads_positions: ClassVar[bool] = False  # whether its inputs are whole numbers that point into something, as for Embedding
    symbol: ClassVar[str] = ""
    training = Mode(default=True)
    forward: Callable[..., Tensor] = _forward_missing

    def __init_subclass__(cls, **settings: Any) -> None:
        super().__init_subclass__(**settings)
        mode = vars(cls).get("training")
        if isinstance(mode, bool):  # a default of its own
            cls.training = Mode(default=mode)

    def __call__(self, *inputs: TensorLike) -> Tensor:
        """The output of `forward`, for Tensors or anything that becomes one."""
        output = self.forward(*(x if isinstance(x, Tensor) else tensor(x) for x in inputs))
        observer = _observer.get()
        if observer is not None:
            observer(self, output)
        return output

    def predict(self, X: Any, *, backend: str = "auto") -> Array:
        """The outputs (samples, …) for inputs (samples, …), in evaluation mode, about a thousand samples at a time.

        The model is compiled once per number of samples and backend, and again when it or its settings have changed.

        Args:
            X: numbers; converted to the dtype of the parameters.
            backend: "auto", or the name of one.

        Raises:
            DataError, ShapeError: inputs that do not fit. ArgumentError: an unknown backend.
        """
        runs_on = backends.get(backend)
        with _first_prediction.lock:
            try:
                known = self._forward
            except AttributeError:
                known = {}
                object.__setattr__(self, "_forward", known)  # it is no setting
            if runs_on not in known:
                known[runs_on] = Forward(self, Values(runs_on))
        found = known[runs_on]
        found.refresh()
        return found.predict(inputs_array(self, X))

    def __getstate__(self) -> dict[str, Any]:
        """For copies and pickles: programs belong to this one, in this process."""
        return vars(self).copy()

    # ---------------------------------------------------------------------------------------- what it is made of
    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, list | tuple) and any(isinstance(v, Module) for v in value):
            raise ArgumentError(
                f"{type(self).__name__}.{name} was set to a {type(value).__name__} of layers",
                "parameters() and state_dict() do not see layers in lists",
                f"Write self.{name} = nn.ModuleList(layers), or nn.Sequential(*layers).",
            )
        held = attributes(self).get(name)
        learnt = isinstance(held, Tensor) and held.is_parameter
        keeps = value is None or (isinstance(value, Tensor) and (value.is_parameter or not learnt))
        if isinstance(held, Tensor) and not keeps:
            given = "Tensor that is no parameter" if isinstance(value, Tensor) else type(value).__name__
            raise ArgumentError(
                f"{type(self).__name__}.{name} was set to a {given}",
                f"it is a {'parameter' if learnt else 'Tensor'}, which would be lost for parameters() and state_dict()",
                f"Write .{name}.assign(values) for other values, or .{name} = cr.parameter(values) for another Tensor.",
            )
        super().__setattr__(name, value)
        self._name(name, value, "")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or hasattr(type(self), name):  # asked for by Python, or a property that failed
            return object.__getattribute__(self, name)
        raise elsewhere.missing(f"a {type(self).__name__}", name, dir(self), elsewhere.MODULE)

    def children(self) -> dict[str, Module]:
        """The Modules directly below, by attribute name."""
        return {name: value for name, value in vars(self).copy().items() if isinstance(value, Module)}

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Attribute name and Module of everything directly below."""
        return iter(self.children().items())

    def add_module(self, name: str, module: Module) -> None:
        """`self.name = module`, for a name that is computed."""
        setattr(self, name, checks.kind(module, Module, "add_module got {}", "it takes a Module", "Write nn.Linear(…), say."))

    def register_parameter(self, name: str, parameter: Tensor) -> None:
        """`self.name = parameter`, for a name that is computed."""
        self._register(name, parameter, learnt=True)

    def register_buffer(self, name: str, tensor: Tensor) -> None:
        """`self.name = tensor`: a Tensor that is saved with the model and not learnt."""
        self._register(name, tensor, learnt=False)

    def _register(self, name: str, tensor: Tensor, *, learnt: bool) -> None:
        if not isinstance(tensor, Tensor) or tensor.is_parameter != learnt:
            given = "a parameter" if isinstance(tensor, Tensor) and tensor.is_parameter else checks.described(tensor)
            raise ArgumentError(
                f"{type(self).__name__} was given {given} as {name!r}",
                "register_parameter takes a parameter, register_buffer another Tensor",
                "Write cr.parameter(data) for what is learnt, cr.tensor(data) for what is not.",
            )
        setattr(self, name, tensor)

    def own_tensors(self) -> dict[str, Tensor]:
        """The Tensors directly in it, by attribute name."""
        return {name: value for name, value in vars(self).copy().items() if isinstance(value, Tensor)}

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """This Module (named "") and all below it, each once, with qualified names such as "0.inner"."""
        yield from _once(self._walk(prefix))

    def modules(self) -> Iterator[Module]:
        """This Module and all below it, each once."""
        return (module for _, module in self.named_modules())

    def apply(self, function: Callable[[Module], object]) -> Self:
        """Call the function with every Module below and then with this one; returns itself.

        What the function returns is not looked at: it changes the Module, as by `nn.init.zeros_(module.bias)`.
        """
        for child in self.children().values():
            child.apply(function)
        function(self)
        return self

    def _walk(self, prefix: str) -> Iterator[tuple[str, Module]]:
        yield prefix, self
        for name, child in self.children().items():
            yield from child._walk(f"{prefix}.{name}" if prefix else name)

    def _named_tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Every parameter and buffer once, with its qualified name."""
        yield from _once(
            (f"{path}.{name}" if path else name, found)
            for path, module in self.named_modules()
            for name, found in module.own_tensors().items()
        )

    def named_parameters(self) -> Iterator[tuple[str, Tensor]]:
        """Qualified name, such as "0.weight", and Tensor of every parameter, frozen ones included, each once."""
        return ((name, t) for name, t in self._named_tensors() if t.is_parameter)

    def parameters(self) -> list[Tensor]:
        """Every parameter, frozen ones included, each once."""
        return [t for _, t in self.named_parameters()]

    def named_buffers(self) -> Iterator[tuple[str, Tensor]]:
        """Qualified name and Tensor of everything kept but not learnt, such as running statistics."""
        return ((name, t) for name, t in self._named_tensors() if not t.is_parameter)

    def buffers(self) -> list[Tensor]:
        """Every Tensor that is kept but not learnt, each once."""
        return [t for _, t in self.named_buffers()]

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Let every parameter be learnt, or freeze it if `requires_grad` is False; returns itself."""
        for parameter in self.parameters():
            parameter.requires_grad = requires_grad
        return self

    def zero_grad(self) -> None:
        """Set the gradient of every parameter to None."""
        for parameter in self.parameters():
            parameter.grad = None

    def name_parameters(self, prefix: str = "") -> None:
        """Name the nodes of parameters and buffers by their path from here ("0.weight"), for graphs and explanations.

        What is assigned is named at once; call it on the whole model after changing a part inside it. Names that the user
        gave (`Tensor.named`) are kept.
        """
        for name, value in list(vars(self).items()):
            self._name(name, value, prefix)

    def _name(self, attribute: str, value: Any, prefix: str) -> None:
        path = prefix + attribute
        if isinstance(value, Module):
            value.name_parameters(f"{path}.")
        elif isinstance(value, Tensor):
            given: dict[str, str] = attributes(self).setdefault("_given_names", {})
            if value.name is None or value.name == given.get(attribute):
                given[attribute] = path
                value.named(path)

    # ---------------------------------------------------------------------------------------- mode
    def train(self, mode: bool = True) -> Self:
        """Let this Module and all below behave as in training, or as in use if `mode` is False; returns itself."""
        for _, module in self.named_modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Let this Module and all below behave as in use: `train(False)`."""
        return self.train(False)

    # ---------------------------------------------------------------------------------------- state
    def state_dict(self) -> dict[str, Array]:
        """A copy of every parameter and buffer by qualified name; a tied weight stands under each of its names."""
        copies = {t: np.array(t.numpy()) for _, t in self._named_tensors()}
        return {name: copies[t] for name, t in self._all_names().items()}

    def tied_names(self) -> dict[str, str]:
        """For every further name of a parameter or buffer that stands in several places, its first name."""
        first = {t: name for name, t in self._named_tensors()}
        return {name: first[t] for name, t in self._all_names().items() if first[t] != name}

    def tie(self, name: str, first: str) -> None:
        """Let two qualified names stand for one parameter or buffer from now on, the one that `first` names.

        Raises:
            ArgumentError: there is no such name, or the two differ in shape or dtype.
        """
        own = self._all_names()
        fits = name in own and first in own and (own[name].shape, own[name].dtype) == (own[first].shape, own[first].dtype)
        if not fits:
            raise ArgumentError(
                f"{name!r} cannot be tied to {first!r}",
                f"both are names of one shape and dtype among {', '.join(own)}",
                "Check the names.",
            )
        path, _, attribute = name.rpartition(".")
        setattr(dict(self._walk(""))[path], attribute, own[first])

    def _all_names(self) -> dict[str, Tensor]:
        """Every parameter and buffer under all of its names."""
        return {
            f"{path}.{name}" if path else name: found
            for path, module in self._walk("")
            for name, found in module.own_tensors().items()
        }

    def load_state_dict(self, state: Mapping[str, TensorLike], *, strict: bool = True) -> StateKeys:
        """Assign every parameter and buffer; nothing is changed unless all fit.

        Args:
            state: an array or Tensor (PyTorch's too) per qualified name, as `state_dict` gives. Of tied weights one name is
                enough; `num_batches_tracked` of batch normalisation is not looked at.
            strict: whether names may neither be missing nor unexpected; False: what fits by name is assigned.

        Returns:
            Names that are missing or unexpected.

        Raises:
            ArgumentError: naming every entry that is missing, unexpected, of another shape or kind, or that differs from
                another entry for the same tied weight.
        """
        state = checks.kind(state, Mapping, "load_state_dict got {}", "it takes a mapping from names to arrays", _SAVED_STATE)
        own = self._all_names()
        given: dict[Tensor, tuple[str, Tensor | Array]] = {}
        problems = []
        for name in (n for n in own if n in state):
            value = _state_value(state[name])
            known, first = given.setdefault(own[name], (name, value))
            if first is not value and not _equal(first, value):
                problems.append(f"{name} differs from {known}, which is the same weight in this model")
        missing = [name for name, t in own.items() if t not in given]
        passed_over = {f"{path}.{n}" if path else n for path, module in self._walk("") for n in module.not_kept}
        unexpected = [name for name in state if name not in own and name not in passed_over]
        if strict:
            problems += [f"missing {name} {list(own[name].shape)}" for name in missing]
            problems += [f"unexpected {name}" for name in unexpected]
        for target, (name, value) in given.items():
            if value.shape != target.shape:
                problems.append(f"{name} has the shape {list(value.shape)} where the model has {list(target.shape)}")
            elif not np.can_cast(value.dtype, target.dtype, casting="same_kind"):
                problems.append(f"{name} has the dtype {value.dtype} where the model has {target.dtype}")
        if problems:
            raise ArgumentError(
                f"the state does not fit this {type(self).__name__}: {'; '.join(problems)}",
                "every parameter and buffer needs one entry of its shape",
                "Build the model with the settings that the state was saved with, or give strict=False to leave out names "
                "that are missing or unexpected. Nothing was loaded.",
            )
        for target, (_, value) in given.items():
            target.assign(value)
        return StateKeys(missing, unexpected)

    # ---------------------------------------------------------------------------------------- how it is made and written
    def config(self) -> dict[str, Any]:
        """The constructor's arguments, except Modules, as JSON-able values; `from_config` makes the layer from them.

        Arguments are read from the attributes of the same names. Override it where that does not fit.

        Raises:
            ArgumentError: an argument was not kept, or has no JSON-able value.
        """
        parts = self.parts()
        return settings.settings_of(self, [name for name in settings.argument_names(type(self)) if name not in parts])

    def parts(self) -> dict[str, Module]:
        """The children that were arguments of the constructor, by argument name; other children it makes by itself."""
        return {name: child for name in settings.argument_names(type(self)) if (child := self.children().get(name))}

    @classmethod
    def from_parts(cls, config: Mapping[str, Any], parts: Mapping[str, Module]) -> Module:
        """The Module whose `config()` and `parts()` these are.

        Raises:
            ModelFileError: the constructor does not take them.
        """
        return settings.construct(cls, "layer", **config, **parts)

    def __repr__(self) -> str:
        try:
            head = settings.call_text(self, self.config())
        except ChainruleError:  # a layer that cannot be written down can still be looked at
            head = f"{type(self).__name__}()"
        children = self.children()
        if not children:
            return head
        lines = [f"  ({name}): " + repr(child).replace("\n", "\n  ") for name, child in children.items()]
        return "\n".join([head[:-1], *lines, ")"])


elsewhere.explain_calls_of_methods(Module)


def _state_value(value: Any) -> Tensor | Array:
    """A Tensor as it is, anything else as an array; PyTorch's parameters are detached, as they refuse to become one."""
    if isinstance(value, Tensor):
        return value.detach()
    detached = value.detach().cpu() if hasattr(value, "detach") else value
    return as_numpy(detached)


def _equal(a: Tensor | Array, b: Tensor | Array) -> bool:
    x, y = (v.numpy() if isinstance(v, Tensor) else v for v in (a, b))
    return x.shape == y.shape and x.tobytes() == y.tobytes()


def _once(pairs: Iterator[tuple[str, T]]) -> Iterator[tuple[str, T]]:
    """Pairs whose second part did not come before; compared by identity, as == on Tensors is elementwise."""
    seen: set[int] = set()
    for name, thing in pairs:
        if id(thing) not in seen:
            seen.add(id(thing))
            yield name, thing


@contextmanager
def observing(observer: Observer) -> Iterator[None]:
    """Within it `observer(module, output)` is called after every Module's forward, inner Modules first."""
    token = _observer.set(observer)
    try:
        yield
    finally:
        _observer.reset(token)
