"""Plain functions as losses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chainrule import checks, functional
from chainrule.capture import capture
from chainrule.errors import ArgumentError, DTypeError, ShapeError
from chainrule.ir import Array, Shape
from chainrule.nn.losses import Loss, refuse_mixed_samples, usual_loss
from chainrule.tensors import Tensor, TensorLike


class FunctionLoss(Loss):
    """A plain function (output, target) as a loss.

    Args:
        function: gives a scalar, or one loss per sample or element, samples along the first axis, whose mean is taken. A scalar
            is the loss of a whole batch, so samples cannot be weighted in it.
    """

    def __init__(self, function: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def elements(self, output: Tensor, target: Tensor) -> Tensor:
        """What the function gives; a scalar once per sample."""
        found = self.function(output, target)
        if not isinstance(found, Tensor) or found.dtype.kind != "f":
            what = f"a Tensor of dtype {found.dtype}" if isinstance(found, Tensor) else f"a {type(found).__name__}"
            raise DTypeError(
                f"the loss {self._name} returned {what}", "it gives a floating Tensor", "Use operations of chainrule."
            )
        refuse_mixed_samples(found, output, target, f"the loss {self._name}")
        if found.ndim == 0:
            return functional.broadcast_to(found, output.shape[:1])
        if found.shape[:1] != output.shape[:1]:
            raise ShapeError(
                f"the loss {self._name} returned the shape {found.shape} for {output.shape[0]} samples",
                "it gives a scalar, or samples along the first axis",
                "Reduce it with .mean(), or keep the first axis.",
            )
        return found

    def check(self, output_shape: Shape, target: TensorLike) -> None:
        """Any targets are taken: what they mean is the function's own affair."""

    def takes_classes(self, output_shape: Shape, target_shape: Shape) -> bool:
        """Targets with fewer axes than outputs are class numbers, but for one number per single output."""
        return len(target_shape) < len(output_shape) and tuple(output_shape[1:]) != (1,)

    def weighs_samples(self, output: Shape, dtype: Any, target: Array) -> bool:
        """Whether the function gives more than a scalar, for outputs of this shape and dtype and targets like these."""
        found = capture(self.function, [(output, dtype, None), (target.shape, target.dtype, None)])
        return found.graph.outputs[0].ndim > 0

    def config(self) -> dict[str, Any]:
        """Raises ArgumentError: a function cannot be written to a file."""
        raise ArgumentError(
            f"the loss {self._name} is a function, which cannot be saved",
            "a saved trainer holds a loss of chainrule.nn",
            "Use save_model for the model alone, or one of the losses of chainrule.nn.",
        )

    @property
    def _name(self) -> str:
        return getattr(self.function, "__name__", type(self.function).__name__)

    def __repr__(self) -> str:
        return f"FunctionLoss({self._name})"


def as_loss(loss: Loss | Callable[[Tensor, Tensor], Tensor]) -> Loss:
    """A loss as it is, a plain function as a `FunctionLoss`.

    Raises:
        ArgumentError: neither, or a class instead of an object.
    """
    if isinstance(loss, Loss):
        return loss
    if isinstance(loss, type) or not callable(loss):
        name = loss.__name__ if isinstance(loss, type) else f"nn.{usual_loss('regression').__name__}"
        given = f"the class {name}" if isinstance(loss, type) else repr(loss)
        raise ArgumentError(f"{given} was given as the loss", "it is a loss of chainrule.nn or a function", f"Write {name}().")
    if type(loss).__module__.startswith("torch."):
        fix = f"Write nn.{type(loss).__name__}() with from chainrule import nn."
        raise ArgumentError(f"{checks.described(loss)} was given as the loss", "it is a loss of chainrule.nn", fix)
    checks.takes(loss, ("output", "target"), "the loss")
    return FunctionLoss(loss)
