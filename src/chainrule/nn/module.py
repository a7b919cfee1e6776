"""Module: what has parameters, buffers and child modules, and computes something from them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Self, TypeVar

import numpy as np

from chainrule import backends
from chainrule.errors import ArgumentError, ChainruleError, explain
from chainrule.ir import Array
from chainrule.nn import settings
from chainrule.reads import Noted, attributes
from chainrule.tensor import Tensor, TensorLike, tensor

T = TypeVar("T")
Observer = Callable[["Module", Tensor], None]

_observer: ContextVar[Observer | None] = ContextVar("observer", default=None)


def _forward_missing(self: Module, *inputs: Tensor) -> Tensor:
    """The output for the inputs; every subclass defines it."""
    name = type(self).__name__
    raise ArgumentError(
        explain(
            f"{name} was called but does not define forward",
            "forward computes the output",
            f"Write def forward(self, x) in {name}.",
        )
    )


class Module(Noted):
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
    """

    training: bool = True
    forward: Callable[..., Tensor] = _forward_missing

    def __call__(self, *inputs: TensorLike) -> Tensor:
        """The output of `forward`, for Tensors or anything that becomes one."""
        output = self.forward(*(x if isinstance(x, Tensor) else tensor(x) for x in inputs))
        observer = _observer.get()
        if observer is not None:
            observer(self, output)
        return output

    def predict(self, X: Any, *, backend: str = "auto") -> Array:
        """The outputs (samples, …) for inputs (samples, …), in evaluation mode, about a thousand samples at a time.

        The model is compiled anew in every call; `Trainer.predict` keeps its programs.

        Args:
            X: numbers; converted to the dtype of the parameters.
            backend: "auto", or the name of one.

        Raises:
            DataError, ShapeError: inputs that do not fit. ArgumentError: an unknown backend.
        """
        from chainrule.nn import forward  # noqa: PLC0415 -- it knows Module

        return forward.Forward(self, backends.get(backend)).predict(forward.inputs_array(self, X))

    # ---------------------------------------------------------------------------------------- what it is made of
    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, list | tuple) and any(isinstance(v, Module) for v in value):
            raise ArgumentError(
                explain(
                    f"{type(self).__name__}.{name} was set to a {type(value).__name__} of layers",
                    "layers in lists would not be seen by parameters() and state_dict()",
                    f"Write self.{name} = nn.Sequential(*layers).",
                )
            )
        held = attributes(self).get(name)
        if isinstance(held, Tensor) and value is not None and not isinstance(value, Tensor):
            raise ArgumentError(
                explain(
                    f"{type(self).__name__}.{name} was set to a {type(value).__name__}",
                    "it is a Tensor, which would be lost for parameters() and state_dict()",
                    f"Write .{name}.assign(values) for other values, or .{name} = cr.parameter(values) for another Tensor.",
                )
            )
        super().__setattr__(name, value)
        self._name(name, value, "")

    def children(self) -> dict[str, Module]:
        """The Modules directly below, by attribute name."""
        return {name: value for name, value in vars(self).items() if isinstance(value, Module)}

    def own_tensors(self) -> dict[str, Tensor]:
        """The Tensors directly in it, by attribute name."""
        return {name: value for name, value in vars(self).items() if isinstance(value, Tensor)}

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """This Module (named "") and all below it, each once, with qualified names such as "0.inner"."""
        yield from _once(self._walk(prefix))

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
        """A copy of every parameter and buffer, by qualified name."""
        return {name: np.array(t.numpy()) for name, t in self._named_tensors()}

    def load_state_dict(self, state: Mapping[str, TensorLike]) -> None:
        """Assign every parameter and buffer; nothing is changed unless all fit.

        Args:
            state: an array per qualified name, as `state_dict` gives.

        Raises:
            ArgumentError: naming every entry that is missing, unexpected, or of another shape or kind.
        """
        own = dict(self._named_tensors())
        problems = [f"missing {name} {list(t.shape)}" for name, t in own.items() if name not in state]
        problems += [f"unexpected {name}" for name in state if name not in own]
        arrays = {name: np.asarray(state[name]) for name in own if name in state}
        for name, array in arrays.items():
            if array.shape != own[name].shape:
                problems.append(f"{name} has the shape {list(array.shape)} where the model has {list(own[name].shape)}")
            elif not np.can_cast(array.dtype, own[name].dtype, casting="same_kind"):
                problems.append(f"{name} has the dtype {array.dtype} where the model has {own[name].dtype}")
        if problems:
            raise ArgumentError(
                explain(
                    f"the state does not fit this {type(self).__name__}: {'; '.join(problems)}",
                    "every parameter and buffer needs one entry of its shape",
                    "Build the model with the settings that the state was saved with. Nothing was loaded.",
                )
            )
        for name, array in arrays.items():
            own[name].assign(array)

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


def _once(pairs: Iterator[tuple[str, T]]) -> Iterator[tuple[str, T]]:
    """Pairs whose second part did not come before; compared by identity, as == on Tensors is elementwise."""
    seen: set[int] = set()
    for name, thing in pairs:
        if id(thing) not in seen:
            seen.add(id(thing))
            yield name, thing


@contextmanager
def modes_kept(model: Module) -> Iterator[None]:
    """Afterwards every Module has the mode (training or evaluation) that it had before."""
    modes = [(module, module.training) for _, module in model.named_modules()]
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


@contextmanager
def observing(observer: Observer) -> Iterator[None]:
    """Within it `observer(module, output)` is called after every Module's forward, inner Modules first."""
    token = _observer.set(observer)
    try:
        yield
    finally:
        _observer.reset(token)
