"""Activation functions as layers. Their equations and derivatives are those of the primitives of the same names."""

from __future__ import annotations

from chainrule import checks, functional
from chainrule.nn.module import Module
from chainrule.nn.table import register_layer
from chainrule.tensors import Tensor


@register_layer
class Identity(Module):
    """y = x."""

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return x


@register_layer
class ReLU(Module):
    """y = max(x, 0); at 0 the derivative is taken to be 0."""

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return functional.relu(x)


@register_layer
class LeakyReLU(Module):
    """y = x where x > 0, else negative_slope · x (Maas et al. 2013)."""

    def __init__(self, negative_slope: float = 0.01) -> None:
        self.negative_slope = checks.real("LeakyReLU", "negative_slope", negative_slope)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return functional.leaky_relu(x, slope=self.negative_slope)


@register_layer
class ELU(Module):
    """y = x where x > 0, else alpha (eˣ − 1) (Clevert et al. 2016)."""

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = checks.real("ELU", "alpha", alpha)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return functional.elu(x, alpha=self.alpha)


@register_layer
class GELU(Module):
    """y = x Φ(x), Φ the distribution function of N(0, 1), exactly (Hendrycks, Gimpel 2016)."""

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return functional.gelu(x)


@register_layer
class SiLU(Module):
    """y = x σ(x), also called swish (Hendrycks, Gimpel 2016)."""

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return functional.silu(x)


@register_layer
class Sigmoid(Module):
    """y = σ(x) = 1 / (1 + e⁻ˣ)."""

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return functional.sigmoid(x)


@register_layer
class Tanh(Module):
    """y = tanh x."""

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return functional.tanh(x)


@register_layer
class Softplus(Module):
    """y = ln(1 + eˣ), without overflow."""

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return functional.softplus(x)


@register_layer
class Softmax(Module):
    """y_k = e^{x_k} / Σ_j e^{x_j} along `dim`. For training leave it out and use CrossEntropyLoss on the scores."""

    def __init__(self, dim: int = -1) -> None:
        self.dim = int(dim)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return functional.softmax(x, axis=self.dim)


@register_layer
class LogSoftmax(Module):
    """y_k = x_k − ln Σ_j e^{x_j} along `dim`."""

    def __init__(self, dim: int = -1) -> None:
        self.dim = int(dim)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return functional.log_softmax(x, axis=self.dim)


@register_layer
class Step(Module):
    """y = 0, ½ or 1 where x < 0, = 0 or > 0: the neuron of McCulloch and Pitts (1943).

    It can be used, not trained: its derivative is 0 everywhere, and `backward` says so.
    """

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return functional.step(x)
