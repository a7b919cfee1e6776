"""Modules made of Modules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self

from chainrule import checks
from chainrule.errors import ArgumentError, CallError, ModelFileError, ShapeError
from chainrule.nn.module import Module
from chainrule.nn.table import register_layer
from chainrule.ops.primitive import integer
from chainrule.tensors import Tensor


def _check_module(owner: str, value: object) -> Module:
    if isinstance(value, Module):
        return value
    name = value.__name__ if isinstance(value, type) else type(value).__name__
    fix = f"Write nn.{name}(...) with its settings." if isinstance(value, type) else "Use layers such as nn.Linear(4, 3)."
    raise ArgumentError(f"{owner} got {value!r}", "it is made of Modules", fix)


def _fixed(given: str, instead: str) -> CallError:
    return CallError(given, "the number of its layers cannot change", f"Write nn.{instead}.")


class Numbered(Module):
    """Base of Modules that hold others by number: "0", "1", ….

    `model[0]` is the first one, `len(model)` their number; `model[0] = layer` puts another one in its place.
    """

    def __iter__(self) -> Iterator[Module]:
        return iter(self.children().values())

    def __len__(self) -> int:
        return len(self.children())

    def __getitem__(self, index: int) -> Module:
        return list(self)[index if isinstance(index, slice) else self._place(index)]

    def __setitem__(self, index: int, layer: Module) -> None:
        setattr(self, list(self.children())[self._place(index)], _check_module(type(self).__name__, layer))

    def _place(self, index: int) -> int:
        """A position from 0; its type is looked at first."""
        name = type(self).__name__
        found = integer(index, name, "index")
        if not -len(self) <= found < len(self):
            raise ArgumentError(
                f"layer {found} of a {name} was asked for", f"it has {len(self)}", "Count from 0, or from the end with -1."
            )
        return found


@register_layer
class Sequential(Numbered):
    """Layers one after another: y = fₙ(… f₂(f₁(x))).

    Args:
        layers: Modules; their names are "0", "1", ….

    `model[0]` is the first layer, `len(model)` their number; `model[0] = layer` puts another one in its place.
    """

    def __init__(self, *layers: Module) -> None:
        for k, layer in enumerate(layers):
            setattr(self, str(k), _check_module("Sequential", layer))

    def forward(self, x: Tensor) -> Tensor:
        """The output of the last layer; x itself if there is none."""
        for layer in self:
            x = layer(x)
        return x

    def __delitem__(self, index: int) -> None:
        raise _fixed(f"layer {index!r} of a Sequential cannot be deleted", "Sequential(*[layer for layer in model if …])")

    def __add__(self, other: object) -> Module:
        raise _fixed(f"a Sequential + {checks.described(other)} was written", "Sequential(*first, *second)")

    def parts(self) -> dict[str, Module]:
        """Every layer."""
        return self.children()

    @classmethod
    def from_parts(cls, config: Mapping[str, Any], parts: Mapping[str, Module]) -> Module:
        """A Sequential of `parts` in order."""
        if config:
            raise ModelFileError(
                f"Sequential has the settings {list(config)}", "it takes none", "The file was altered; save it again."
            )
        return cls(*parts.values())


@register_layer
class Residual(Module):
    """y = shortcut(x) + inner(x), with shortcut(x) = x unless given (He et al. 2016, "Deep residual learning").

    Args:
        inner: the Module that learns the difference from x.
        shortcut: makes x fit where `inner` changes the shape; a 1 × 1 convolution or a Linear, say.

    Raises (when called):
        ShapeError: both ways give different shapes.
    """

    def __init__(self, inner: Module, shortcut: Module | None = None) -> None:
        self.inner = _check_module("Residual", inner)
        self.shortcut = None if shortcut is None else _check_module("Residual", shortcut)

    def forward(self, x: Tensor) -> Tensor:
        """The sum of both ways."""
        y = self.inner(x)
        past = x if self.shortcut is None else self.shortcut(x)
        if y.shape != past.shape:
            raise ShapeError(
                f"Residual got {y.shape} from its inner Module and {past.shape} past it",
                "both are added and must have one shape",
                "Give shortcut= a Module that maps x to the shape of inner(x).",
            )
        return past + y


def _not_called(self: Module, *inputs: Tensor) -> Tensor:
    """Raises CallError: what only holds Modules does not say what to compute with them."""
    name = type(self).__name__
    raise CallError(
        f"a {name} was called",
        "it holds Modules and does not say how they follow one another",
        "Call those, or use Sequential.",
    )


class ModuleList(Numbered):
    """Modules in a list, for a Module whose `forward` calls them: parameters, states and modes reach into it.

    Args:
        layers: Modules; their names are "0", "1", ….

    It is saved as a part of the Module that makes it.
    """

    forward = _not_called

    def __init__(self, layers: Iterable[Module] = ()) -> None:
        self.extend(layers)

    def append(self, layer: Module) -> Self:
        """Put a Module at the end; returns itself."""
        setattr(self, str(len(self)), _check_module("ModuleList", layer))
        return self

    def extend(self, layers: Iterable[Module]) -> Self:
        """Put Modules at the end; returns itself."""
        for layer in checks.listed(layers, "ModuleList got {}", "it takes a list of Modules", "Write nn.ModuleList([layer])."):
            self.append(layer)
        return self

    def __delitem__(self, index: int) -> None:
        raise _fixed(f"layer {index!r} of a ModuleList cannot be deleted", "ModuleList([layer for layer in layers if …])")


class ModuleDict(Module):
    """Modules by name, for a Module whose `forward` calls them: parameters, states and modes reach into it.

    Args:
        layers: Modules by names that are identifiers and no attributes of a ModuleDict.

    It is saved as a part of the Module that makes it.
    """

    forward = _not_called

    def __init__(self, layers: Mapping[str, Module] | None = None) -> None:
        given = checks.kind(layers or {}, Mapping, "ModuleDict got {}", "it takes a dict of Modules", "Write {'name': layer}.")
        for name, layer in given.items():
            self[name] = layer

    def __getitem__(self, name: str) -> Module:
        found = self.children().get(name)
        if found is None:
            names = ", ".join(self.children()) or "none"
            raise ArgumentError(
                f"the layer {name!r} of a ModuleDict was asked for", f"its layers are {names}", "Check the name."
            )
        return found

    def __setitem__(self, name: str, layer: Module) -> None:
        if not isinstance(name, str) or not name.isidentifier() or hasattr(ModuleDict, name):
            raise ArgumentError(
                f"a layer of a ModuleDict was named {name!r}",
                "its name is an identifier, and no attribute of a ModuleDict",
                "Choose another name.",
            )
        setattr(self, name, _check_module("ModuleDict", layer))

    def __iter__(self) -> Iterator[str]:
        return iter(self.children())

    def __len__(self) -> int:
        return len(self.children())

    def __contains__(self, name: object) -> bool:
        return name in self.children()

    def keys(self) -> list[str]:
        """The names, in the order of assignment."""
        return list(self.children())

    def values(self) -> list[Module]:
        """The Modules, in the order of assignment."""
        return list(self.children().values())

    def items(self) -> list[tuple[str, Module]]:
        """Names and Modules, in the order of assignment."""
        return list(self.children().items())
