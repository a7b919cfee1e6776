"""Layers and losses without parameters of their own, under the names of `torch.nn.functional`: one table.

A loss takes the settings of its class: `cross_entropy(output, target, reduction="sum")` is
`nn.CrossEntropyLoss(reduction="sum")(output, target)`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chainrule import composites, elsewhere, functional
from chainrule.nn import losses
from chainrule.nn.dense import Dropout
from chainrule.tensors import Tensor, TensorLike, tensor_of


def linear(x: TensorLike, weight: TensorLike, bias: TensorLike | None = None) -> Tensor:
    """x Wᵀ + b with x (…, in), weight (out, in), bias (out,)."""
    transposed = tensor_of(weight).T
    return functional.matmul(x, transposed) if bias is None else functional.affine(x, transposed, bias)


def dropout(x: TensorLike, p: float = 0.5, training: bool = True) -> Tensor:
    """x with elements set to 0 with probability p, and the others divided by 1 − p; x itself unless `training`."""
    return Dropout(p).train(training)(x)


def _of_loss(cls: type[losses.Loss], name: str) -> Callable[..., Tensor]:
    def function(output: TensorLike, target: TensorLike, **settings: Any) -> Tensor:
        return cls(**settings)(output, target)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"`nn.{cls.__name__}` with these settings, of an output and a target."
    return function


_LOSSES = {
    "binary_cross_entropy": losses.BCELoss,
    "binary_cross_entropy_with_logits": losses.BCEWithLogitsLoss,
    "cross_entropy": losses.CrossEntropyLoss,
    "huber_loss": losses.HuberLoss,
    "kl_div": losses.KLDivLoss,
    "l1_loss": losses.L1Loss,
    "mse_loss": losses.MSELoss,
    "nll_loss": losses.NLLLoss,
}
FUNCTIONS: dict[str, Callable[..., Tensor]] = {
    "avg_pool1d": composites.avg_pool1d,
    "avg_pool2d": composites.avg_pool2d,
    "conv1d": functional.conv1d,
    "conv2d": functional.conv2d,
    "conv_transpose2d": functional.conv_transpose2d,
    "dropout": dropout,
    "elu": functional.elu,
    "embedding": functional.embedding,
    "gelu": functional.gelu,
    "leaky_relu": functional.leaky_relu,
    "linear": linear,
    "log_softmax": functional.log_softmax,
    "max_pool1d": composites.max_pool1d,
    "max_pool2d": composites.max_pool2d,
    "relu": functional.relu,
    "sigmoid": functional.sigmoid,
    "silu": functional.silu,
    "softmax": functional.softmax,
    "softplus": functional.softplus,
    "tanh": functional.tanh,
    **{name: _of_loss(cls, name) for name, cls in _LOSSES.items()},
}
globals().update({name: elsewhere.explaining_calls(function) for name, function in FUNCTIONS.items()})


def __dir__() -> list[str]:
    """The public names."""
    return sorted(FUNCTIONS)


def __getattr__(name: str) -> Any:
    raise elsewhere.missing("chainrule.nn.functional", name, FUNCTIONS, elsewhere.FUNCTIONS)
