"""Activation functions as layers. Their equations and derivatives are those of the primitives that they apply."""

from __future__ import annotations

from typing import Any, ClassVar

from chainrule import checks
from chainrule.nn.module import Module
from chainrule.nn.table import LAYERS, register_layer
from chainrule.ops.primitive import Primitive, lookup
from chainrule.tensors import Tensor, apply


class Activation(Module):
    """Base of the layers that apply one primitive, an activation function.

    Attributes:
        function: the name of the primitive.
    """

    function: ClassVar[str]
    symbol = "a^{}"

    def forward(self, x: Tensor) -> Tensor:
        """σ(x), of the shape of x."""
        return apply(self.function, x, **self.attributes())

    def attributes(self) -> dict[str, Any]:
        """The settings of the primitive."""
        return {}


def activation_layers() -> dict[str, type[Activation]]:
    """The activation functions of single units that can be learnt through, as layers, by the names of their primitives."""
    found: dict[str, type[Activation]] = {}
    for cls in LAYERS.values():
        if issubclass(cls, Activation):
            found.setdefault(cls.function, cls)  # a subclass of ReLU that was registered does not take its place
    return {name: cls for name, cls in found.items() if _fits_hidden_layers(lookup(name))}


def _fits_hidden_layers(function: Primitive) -> bool:
    known = function.facts.activation
    return function.elementwise and not function.not_differentiable and known is not None


@register_layer
class Identity(Module):
    """y = x."""

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return x


@register_layer
class ReLU(Activation):
    """y = max(x, 0); at 0 the derivative is taken to be 0."""

    function = "relu"


@register_layer
class LeakyReLU(Activation):
    """y = x where x > 0, else negative_slope · x (Maas et al. 2013)."""

    function = "leaky_relu"

    def __init__(self, negative_slope: float = 0.01) -> None:
        self.negative_slope = checks.real("LeakyReLU", "negative_slope", negative_slope)

    def attributes(self) -> dict[str, Any]:
        """See `Activation`."""
        return {"slope": self.negative_slope}


@register_layer
class ELU(Activation):
    """y = x where x > 0, else alpha (eˣ − 1) (Clevert et al. 2016)."""

    function = "elu"

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = checks.real("ELU", "alpha", alpha)

    def attributes(self) -> dict[str, Any]:
        """See `Activation`."""
        return {"alpha": self.alpha}


@register_layer
class GELU(Activation):
    """y = x Φ(x), Φ the distribution function of N(0, 1), exactly (Hendrycks, Gimpel 2016)."""

    function = "gelu"


@register_layer
class SiLU(Activation):
    """y = x σ(x), also called swish (Hendrycks, Gimpel 2016)."""

    function = "silu"


@register_layer
class Sigmoid(Activation):
    """y = σ(x) = 1 / (1 + e⁻ˣ)."""

    function = "sigmoid"


@register_layer
class Tanh(Activation):
    """y = tanh x."""

    function = "tanh"


@register_layer
class Softplus(Activation):
    """y = ln(1 + eˣ), without overflow."""

    function = "softplus"


@register_layer
class Softmax(Activation):
    """y_k = e^{x_k} / Σ_j e^{x_j} along `dim`. For training leave it out and use CrossEntropyLoss on the scores."""

    function = "softmax"

    def __init__(self, dim: int = -1) -> None:
        self.dim = checks.index(type(self).__name__, "dim", dim)

    def attributes(self) -> dict[str, Any]:
        """See `Activation`."""
        return {"axis": self.dim}


@register_layer
class LogSoftmax(Activation):
    """y_k = x_k − ln Σ_j e^{x_j} along `dim`."""

    function = "log_softmax"

    def __init__(self, dim: int = -1) -> None:
        self.dim = checks.index(type(self).__name__, "dim", dim)

    def attributes(self) -> dict[str, Any]:
        """See `Activation`."""
        return {"axis": self.dim}


@register_layer
class Step(Activation):
    """y = 0, ½ or 1 where x < 0, = 0 or > 0: the neuron of McCulloch and Pitts (1943).

    It can be used, not trained: its derivative is 0 everywhere, and `backward` says so.
    """

    function = "step"
