"""Modules made of Modules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

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


def _fixed(given: str, layers: str) -> CallError:
    return CallError(given, "the number of its layers cannot change", f"Write nn.Sequential(*{layers}).")


@register_layer
class Sequential(Module):
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

    def __iter__(self) -> Iterator[Module]:
        return iter(self.children().values())

    def __len__(self) -> int:
        return len(self.children())

    def __getitem__(self, index: int) -> Module:
        return list(self)[index if isinstance(index, slice) else self._place(index)]

    def __setitem__(self, index: int, layer: Module) -> None:
        setattr(self, list(self.children())[self._place(index)], _check_module("Sequential", layer))

    def __delitem__(self, index: int) -> None:
        raise _fixed(f"layer {index!r} of a Sequential cannot be deleted", "[layer for layer in model if …]")

    def __add__(self, other: object) -> Module:
        raise _fixed(f"a Sequential + {checks.described(other)} was written", "first, *second")

    def _place(self, index: int) -> int:
        """A position from 0; its type is looked at first."""
        found = integer(index, "Sequential", "index")
        if not -len(self) <= found < len(self):
            raise ArgumentError(
                f"layer {found} of a Sequential was asked for", f"it has {len(self)}", "Count from 0, or from the end with -1."
            )
        return found

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
