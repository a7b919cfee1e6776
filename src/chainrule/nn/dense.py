"""Linear, Embedding, Flatten, Dropout."""

from __future__ import annotations

import math
from typing import Any

from chainrule import checks, functional
from chainrule.errors import ArgumentError, ShapeError
from chainrule.generators import random
from chainrule.ir import Shape
from chainrule.nn import init as initialisers
from chainrule.nn import settings
from chainrule.nn.init import Init
from chainrule.nn.module import Module
from chainrule.nn.table import register_layer
from chainrule.tensors import Tensor


class Affine(Module):
    """Base of the layers with a weight (out, in, *kernel) and, if wanted, a bias.

    Attributes:
        weight: parameter.
        bias: parameter of one axis, or None.
    """

    symbol = "z^{}"

    weight: Tensor
    bias: Tensor | None

    def make_parameters(self, shape: Shape, outputs: int, *, bias: bool, init: Init, bias_init: Init, dtype: Any) -> None:
        """Draw weight and bias; both from U(±1/√fan_in) by default, as in PyTorch."""
        self.init, self.bias_init = initialisers.kept_name(init), initialisers.kept_name(bias_init)
        self.dtype = settings.float_dtype(dtype, type(self).__name__)
        self.weight = initialisers.made(init, initialisers.fan_in_uniform, shape, self.dtype)
        default = initialisers.uniform(1.0 / math.sqrt(max(initialisers.fans(shape)[0], 1)))
        self.bias = initialisers.made(bias_init, default, (outputs,), self.dtype) if bias else None

    def config(self) -> dict[str, Any]:
        """See `Module.config`; the argument bias says whether there is one."""
        names = settings.argument_names(type(self))
        found = settings.settings_of(self, [n for n in names if n != "bias"])
        return {n: self.bias is not None if n == "bias" else found[n] for n in names}


@register_layer
class Linear(Affine):
    """y = x Wᵀ + b on the last axis: (…, in_features) to (…, out_features), as the affine block.

    Args:
        in_features, out_features: sizes of the last axis.
        bias: whether there is a b.
        init: initialiser of the weight (name, function, array or number); U(±1/√in_features) by default, as in PyTorch.
            For deep networks choose by what follows: "he_normal" before ReLU, "xavier_uniform" before tanh and sigmoid.
        bias_init: initialiser of b; U(±1/√in_features) by default.
        dtype: of the parameters.

    Attributes:
        weight: W, of shape (out_features, in_features).
        bias: b, of shape (out_features,), or None.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        init: Init = None,
        bias_init: Init = None,
        dtype: Any = "float32",
    ) -> None:
        settings.positive("Linear", in_features=in_features, out_features=out_features)
        self.in_features, self.out_features = int(in_features), int(out_features)
        shape = (self.out_features, self.in_features)
        self.make_parameters(shape, self.out_features, bias=bias, init=init, bias_init=bias_init, dtype=dtype)

    def forward(self, x: Tensor) -> Tensor:
        """(…, in_features) to (…, out_features)."""
        if x.shape[-1:] != (self.in_features,):
            raise ShapeError(
                f"{self!r} got an input of shape {x.shape}",
                f"its last axis must have in_features = {self.in_features} elements",
                "Check the number of features, or put nn.Flatten() before it.",
            )
        return x @ self.weight.T if self.bias is None else functional.affine(x, self.weight.T, self.bias)


@register_layer
class Embedding(Module):
    """y = weight[index]: a learnt vector per integer, (…,) to (…, embedding_dim).

    Args:
        num_embeddings: number of entries; indices go from 0 to num_embeddings − 1.
        embedding_dim: size of each vector.
        init: initialiser of the weight; N(0, 1) by default, as in PyTorch.
        dtype: of the weight.

    Attributes:
        weight: of shape (num_embeddings, embedding_dim).

    Raises (when called):
        DTypeError: indices that are not integers. ArgumentError: an index outside the entries.
    """

    reads_positions = True

    def __init__(self, num_embeddings: int, embedding_dim: int, *, init: Init = None, dtype: Any = "float32") -> None:
        settings.positive("Embedding", num_embeddings=num_embeddings, embedding_dim=embedding_dim)
        self.num_embeddings, self.embedding_dim = int(num_embeddings), int(embedding_dim)
        self.init = initialisers.kept_name(init)
        self.dtype = settings.float_dtype(dtype, "Embedding")
        shape = (self.num_embeddings, self.embedding_dim)
        self.weight = initialisers.made(init, initialisers.normal, shape, self.dtype)

    def forward(self, x: Tensor) -> Tensor:
        """(…,) to (…, embedding_dim)."""
        return functional.embedding(x, self.weight)


@register_layer
class Flatten(Module):
    """Axes from `start_dim` to `end_dim` as one: (n, c, h, w) to (n, c · h · w) by default."""

    symbol = "f"

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        self.start_dim = checks.index("Flatten", "start_dim", start_dim)
        self.end_dim = checks.index("Flatten", "end_dim", end_dim)

    def forward(self, x: Tensor) -> Tensor:
        """The same elements with fewer axes."""
        first, last = (d + x.ndim if d < 0 else d for d in (self.start_dim, self.end_dim))
        if not 0 <= first <= last < x.ndim:
            raise ShapeError(
                f"{self!r} got an input of shape {x.shape}",
                f"it must have the axes from {self.start_dim} to {self.end_dim}",
                "Check start_dim and end_dim, or leave out Flatten.",
            )
        return x.reshape((*x.shape[:first], math.prod(x.shape[first : last + 1]), *x.shape[last + 1 :]))


@register_layer
class Dropout(Module):
    """In training each element is set to 0 with probability p, and the others multiplied by 1 / (1 − p); else the identity.

    Srivastava et al. 2014, in its inverted form. The draws come from `cr.random`.

    Args:
        p: probability of setting to 0, with 0 ≤ p < 1.
    """

    def __init__(self, p: float = 0.5) -> None:
        self.p = checks.real("Dropout", "p", p)
        if not 0.0 <= self.p < 1.0:
            raise ArgumentError(f"Dropout got p={p}", "it is a probability with 0 ≤ p < 1", "Try p=0.5.")

    def forward(self, x: Tensor) -> Tensor:
        """An output of the input's shape."""
        if not self.training or self.p == 0.0:
            return x
        return x * random.dropout_mask(x.shape, self.p, x.dtype)


def dropouts(model: Module) -> list[Dropout]:
    """The layers of a model that leave units out at random."""
    return [module for _, module in model.named_modules() if isinstance(module, Dropout)]
