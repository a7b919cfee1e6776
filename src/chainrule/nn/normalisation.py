"""Batch and layer normalisation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from chainrule import checks, functional
from chainrule.errors import ArgumentError, ShapeError
from chainrule.nn import init as initialisers
from chainrule.nn import settings
from chainrule.nn.module import Module
from chainrule.nn.table import register_layer
from chainrule.recording import no_grad
from chainrule.tensors import Tensor


class BatchNorm(Module):
    """Base of BatchNorm1d and BatchNorm2d: y = (x − mean) / √(var + eps) · weight + bias, per channel (axis 1).

    Ioffe, Szegedy 2015. In training mean and variance are the batch's, and the running ones follow:
    running ← (1 − momentum) running + momentum · batch's, with the unbiased variance (n − 1). In use the running ones serve.

    Args:
        num_features: number of channels.
        eps: added to the variance.
        momentum: how fast the running statistics follow, from 0 to 1.
        dtype: of parameters and statistics.

    Attributes:
        weight, bias: parameters (num_features,), 1 and 0 at first.
        running_mean, running_var: buffers (num_features,), 0 and 1 at first.

    Raises (when called):
        ShapeError: wrong axes or channels; in training, a single value per channel, which has no variance.
    """

    not_kept = frozenset(["num_batches_tracked"])  # PyTorch counts batches; with a fixed momentum it plays no part
    axes: ClassVar[tuple[int, ...]] = ()  # numbers of axes that the input may have
    layout: ClassVar[str] = ""

    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float = 0.1, *, dtype: Any = "float32") -> None:
        name = type(self).__name__
        settings.positive(name, num_features=num_features)
        self.eps, self.momentum = checks.real(name, "eps", eps), checks.real(name, "momentum", momentum)
        if not self.eps > 0 or not 0 <= self.momentum <= 1:
            raise ArgumentError(
                f"{name} got eps={eps} and momentum={momentum}", "eps is > 0 and momentum from 0 to 1", "Check them."
            )
        self.num_features = int(num_features)
        self.dtype = settings.float_dtype(dtype, name)
        shape = (self.num_features,)
        self.weight = initialisers.made(None, initialisers.ones, shape, self.dtype)
        self.bias = initialisers.made(None, initialisers.zeros, shape, self.dtype)
        self.running_mean = initialisers.made(None, initialisers.zeros, shape, self.dtype, learnt=False)
        self.running_var = initialisers.made(None, initialisers.ones, shape, self.dtype, learnt=False)

    def forward(self, x: Tensor) -> Tensor:
        """An output of the input's shape."""
        if x.ndim not in self.axes or x.shape[1] != self.num_features:
            raise ShapeError(
                f"{self!r} got an input of shape {x.shape}",
                f"it takes {self.layout} with num_features = {self.num_features} channels",
                "Check num_features and the axes of the input.",
            )
        if not self.training:
            return functional.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        count = x.size // self.num_features
        if count < 2:
            raise ShapeError(
                f"{self!r} got an input of shape {x.shape} in training",
                "the variance needs more than one value per channel",
                "Use a batch_size that leaves no batch of one sample, or model.eval() outside of training.",
            )
        over = (0, *range(2, x.ndim))
        mean, var = x.mean(over), x.var(over)
        self._follow(mean, var * (count / (count - 1)))
        return functional.batch_norm(x, mean, var, self.weight, self.bias, eps=self.eps)

    def _follow(self, mean: Tensor, unbiased_var: Tensor) -> None:
        with no_grad():
            self.running_mean.assign((1.0 - self.momentum) * self.running_mean + self.momentum * mean.detach())
            self.running_var.assign((1.0 - self.momentum) * self.running_var + self.momentum * unbiased_var.detach())


@register_layer
class BatchNorm1d(BatchNorm):
    """Batch normalisation of (n, channels) or (n, channels, length). See `BatchNorm`."""

    axes = (2, 3)
    layout = "(n, channels) or (n, channels, length)"


@register_layer
class BatchNorm2d(BatchNorm):
    """Batch normalisation of (n, channels, height, width). See `BatchNorm`."""

    axes = (4,)
    layout = "(n, channels, height, width)"


@register_layer
class LayerNorm(Module):
    """y = (x − mean) / √(var + eps) · weight + bias, over the last axes of each sample (Ba, Kiros, Hinton 2016).

    Args:
        normalized_shape: sizes of the last axes, or of the last one.
        eps: added to the variance.
        dtype: of the parameters.

    Attributes:
        weight, bias: parameters of shape normalized_shape, 1 and 0 at first.
    """

    def __init__(self, normalized_shape: int | Sequence[int], eps: float = 1e-5, *, dtype: Any = "float32") -> None:
        given = (normalized_shape,) if isinstance(normalized_shape, int | np.integer) else normalized_shape
        sizes = checks.listed(given, "LayerNorm got {}", "it takes sizes", "Write LayerNorm(64), or LayerNorm((8, 8)).")
        for size in sizes:
            settings.positive("LayerNorm", normalized_shape=size)
        self.normalized_shape, self.eps = tuple(int(n) for n in sizes), checks.real("LayerNorm", "eps", eps)
        if not sizes or not self.eps > 0:
            raise ArgumentError(
                f"LayerNorm got normalized_shape={normalized_shape} and eps={eps}",
                "it takes at least one axis, and eps > 0",
                "Check them.",
            )
        self.dtype = settings.float_dtype(dtype, "LayerNorm")
        self.weight = initialisers.made(None, initialisers.ones, self.normalized_shape, self.dtype)
        self.bias = initialisers.made(None, initialisers.zeros, self.normalized_shape, self.dtype)

    def forward(self, x: Tensor) -> Tensor:
        """An output of the input's shape."""
        if x.shape[x.ndim - len(self.normalized_shape) :] != self.normalized_shape or x.ndim < len(self.normalized_shape):
            raise ShapeError(
                f"{self!r} got an input of shape {x.shape}",
                f"its last axes must be {self.normalized_shape}",
                "Check normalized_shape.",
            )
        return functional.layer_norm(x, self.weight, self.bias, eps=self.eps)
