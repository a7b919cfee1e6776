"""Convolution and pooling layers on (batch, channels, *spatial)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from chainrule import functional
from chainrule.errors import ArgumentError, ShapeError
from chainrule.nn import settings
from chainrule.nn.dense import Affine
from chainrule.nn.init import Init
from chainrule.nn.module import Module
from chainrule.nn.table import register_layer
from chainrule.ops.convolution import padding_pairs, per_axis
from chainrule.tensors import Tensor

Sizes = int | Sequence[int]
Padding = int | Sequence[Any] | Literal["same", "valid"]

_LAYOUTS = {1: "(batch, channels, length)", 2: "(batch, channels, height, width)"}


def _check_input(layer: Module, x: Tensor, spatial: int, channels: int | None = None) -> Tensor:
    if x.ndim != spatial + 2 or channels not in (None, x.shape[1]):
        wanted = f" with in_channels = {channels} channels" if channels is not None else ""
        raise ShapeError(
            f"{layer!r} got an input of shape {x.shape}",
            f"it takes {_LAYOUTS[spatial]}{wanted}",
            "Add a missing axis with expand_dims or reshape, and check the channels.",
        )
    return x


def _check_groups(layer: str, in_channels: int, out_channels: int, groups: int) -> None:
    settings.positive(layer, in_channels=in_channels, out_channels=out_channels, groups=groups)
    if in_channels % groups or out_channels % groups:
        raise ArgumentError(
            f"{layer} got in_channels={in_channels}, out_channels={out_channels}, groups={groups}",
            "both channels must be multiples of groups",
            "Choose another number of groups.",
        )


def _sizes(value: Sizes, spatial: int, layer: str, setting: str, least: int = 1) -> Sizes:
    """A checked setting: one number, or one per spatial axis."""
    if not np.all([isinstance(v, int | np.integer) for v in np.atleast_1d(np.asarray(value, object))]):
        raise ArgumentError(
            f"{layer} got {setting}={value!r}", "it takes an integer, or one per spatial axis", "Check the setting."
        )
    checked = per_axis(value, spatial, layer, setting, least)
    return checked[0] if isinstance(value, int | np.integer) else checked


def _padding(padding: Padding, spatial: int, layer: str) -> Any:
    if isinstance(padding, str):
        if padding in ("same", "valid"):
            return padding
        raise ArgumentError(f"{layer} got padding={padding!r}", "it takes numbers, 'same' or 'valid'", "Check the spelling.")
    pairs = padding_pairs(padding, spatial, layer, least=0)
    return pairs[0][0] if isinstance(padding, int | np.integer) else pairs


class Convolution(Affine):
    """Base of Conv1d and Conv2d: cross-correlation of every channel with learnt kernels, plus a bias per output channel.

    Args:
        in_channels, out_channels: sizes of the channel axis before and after.
        kernel_size: one size, or one per spatial axis; so too stride and dilation.
        stride: steps between outputs.
        padding: zeros around the input: a number, one per spatial axis, one pair (before, after) per spatial axis,
            "valid" (none), or "same" (as many as keep the size, with stride 1).
        dilation: steps between kernel elements.
        groups: channels are split into so many parts that do not mix.
        bias: whether there is one.
        init, bias_init: initialisers; U(±1/√fan_in) by default, as in PyTorch.
        dtype: of the parameters.

    Attributes:
        weight: (out_channels, in_channels / groups, *kernel_size).
        bias: (out_channels,), or None.

    Each spatial size becomes ⌊(size + padding − dilation (kernel − 1) − 1) / stride⌋ + 1, padding counted on both sides.
    """

    spatial: int

    def __init__(  # noqa: PLR0917 -- PyTorch's order
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Padding = 0,
        dilation: Sizes = 1,
        groups: int = 1,
        bias: bool = True,
        *,
        init: Init = None,
        bias_init: Init = None,
        dtype: Any = "float32",
    ) -> None:
        name = type(self).__name__
        _check_groups(name, in_channels, out_channels, groups)
        self.in_channels, self.out_channels, self.groups = int(in_channels), int(out_channels), int(groups)
        self.kernel_size = _sizes(kernel_size, self.spatial, name, "kernel_size")
        self.stride = _sizes(stride, self.spatial, name, "stride")
        self.dilation = _sizes(dilation, self.spatial, name, "dilation")
        self.padding = _padding(padding, self.spatial, name)
        if self.padding == "same" and np.any(np.asarray(self.stride) != 1):
            raise ArgumentError(
                f"{name} got padding='same' with stride={stride}", "the stride must be 1", "Give numbers as padding."
            )
        shape = (self.out_channels, self.in_channels // self.groups, *per_axis(kernel_size, self.spatial, name, "kernel_size"))
        self.make_parameters(shape, self.out_channels, bias=bias, init=init, bias_init=bias_init, dtype=dtype)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, in_channels, *spatial) to (batch, out_channels, *spatial)."""
        x = _check_input(self, x, self.spatial, self.in_channels)
        convolve = functional.conv1d if self.spatial == 1 else functional.conv2d
        return convolve(
            x,
            self.weight,
            self.bias,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            groups=self.groups,
        )


@register_layer
class Conv1d(Convolution):
    """Convolution over one axis: (batch, in_channels, length). See `Convolution`."""

    spatial = 1


@register_layer
class Conv2d(Convolution):
    """Convolution over two axes: (batch, in_channels, height, width). See `Convolution`."""

    spatial = 2


@register_layer
class ConvTranspose2d(Affine):
    """The adjoint of Conv2d, which makes images larger: (batch, in_channels, height, width).

    Args:
        in_channels, out_channels: sizes of the channel axis before and after.
        kernel_size: one size, or one per axis; so too the others.
        stride, padding, dilation: of the convolution that this is the adjoint of.
        output_padding: rows and columns added at the end of the output.
        groups: channels are split into so many parts that do not mix.
        bias: whether there is one.
        init, bias_init: initialisers; U(±1/√fan_in) by default, with PyTorch's fan_in,
            out_channels / groups · kernel elements.
        dtype: of the parameters.

    Attributes:
        weight: (in_channels, out_channels / groups, rows, columns).
        bias: (out_channels,), or None.

    Each spatial size becomes (size − 1) stride − 2 padding + dilation (kernel − 1) + output_padding + 1.
    """

    def __init__(  # noqa: PLR0917 -- PyTorch's order
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Sizes = 0,
        output_padding: Sizes = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Sizes = 1,
        *,
        init: Init = None,
        bias_init: Init = None,
        dtype: Any = "float32",
    ) -> None:
        name = "ConvTranspose2d"
        _check_groups(name, in_channels, out_channels, groups)
        self.in_channels, self.out_channels, self.groups = int(in_channels), int(out_channels), int(groups)
        self.kernel_size = _sizes(kernel_size, 2, name, "kernel_size")
        self.stride = _sizes(stride, 2, name, "stride")
        self.dilation = _sizes(dilation, 2, name, "dilation")
        self.padding = _sizes(padding, 2, name, "padding", 0)
        self.output_padding = _sizes(output_padding, 2, name, "output_padding", 0)
        shape = (self.in_channels, self.out_channels // self.groups, *per_axis(kernel_size, 2, name, "kernel_size"))
        self.make_parameters(shape, self.out_channels, bias=bias, init=init, bias_init=bias_init, dtype=dtype)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, in_channels, height, width) to (batch, out_channels, height, width)."""
        return functional.conv_transpose2d(
            _check_input(self, x, 2, self.in_channels),
            self.weight,
            self.bias,
            stride=self.stride,
            padding=self.padding,
            output_padding=self.output_padding,
            dilation=self.dilation,
            groups=self.groups,
        )


class Pooling(Module):
    """Base of the pooling layers with a window.

    Args:
        kernel_size: size of the window: one, or one per spatial axis; so too the others.
        stride: steps between windows; kernel_size if left out.
        padding: elements around the input, at most half the window.
    """

    symbol = "p^{}"
    spatial: int

    def __init__(self, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0) -> None:
        name = type(self).__name__
        self.kernel_size = _sizes(kernel_size, self.spatial, name, "kernel_size")
        self.stride = None if stride is None else _sizes(stride, self.spatial, name, "stride")
        self.padding = _sizes(padding, self.spatial, name, "padding", 0)
        if np.any(2 * np.asarray(padding) > np.asarray(kernel_size)):
            raise ArgumentError(
                f"{name} got kernel_size={kernel_size} and padding={padding}",
                "padding may be at most half the window",
                "Use less padding.",
            )


class MaxPool(Pooling):
    """Largest element of every window; at ties the gradient goes to the first. See `Pooling`.

    Args:
        kernel_size, stride, padding: as in `Pooling`; padding is −∞.
        dilation: steps between the elements of a window.
    """

    def __init__(self, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0, dilation: Sizes = 1) -> None:
        super().__init__(kernel_size, stride, padding)
        self.dilation = _sizes(dilation, self.spatial, type(self).__name__, "dilation")

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, *spatial) with smaller spatial sizes."""
        x = _check_input(self, x, self.spatial)
        return functional.max_pool(x, self.kernel_size, self.stride, self.padding, self.dilation)


class AvgPool(Pooling):
    """Mean of every window; padding counts as zeros. See `Pooling`."""

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, *spatial) with smaller spatial sizes."""
        x = _check_input(self, x, self.spatial)
        return functional.avg_pool(x, self.kernel_size, self.stride, self.padding)


@register_layer
class MaxPool1d(MaxPool):
    """Largest element of every window of (batch, channels, length). See `MaxPool`."""

    spatial = 1


@register_layer
class MaxPool2d(MaxPool):
    """Largest element of every window of (batch, channels, height, width). See `MaxPool`."""

    spatial = 2


@register_layer
class AvgPool1d(AvgPool):
    """Mean of every window of (batch, channels, length). See `AvgPool`."""

    spatial = 1


@register_layer
class AvgPool2d(AvgPool):
    """Mean of every window of (batch, channels, height, width). See `AvgPool`."""

    spatial = 2


@register_layer
class GlobalMaxPool(Module):
    """Largest element per channel: (batch, channels, *spatial) to (batch, channels)."""

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return functional.global_max_pool(x)


@register_layer
class GlobalAvgPool(Module):
    """Mean per channel: (batch, channels, *spatial) to (batch, channels)."""

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return functional.global_avg_pool(x)
