"""Python numbers that are arguments of functions that are being captured."""

from __future__ import annotations

from collections.abc import Callable

from chainrule.conversions import is_number
from chainrule.errors import CaptureError
from chainrule.ir import Array, Scalar
from chainrule.ops.primitive import Weak
from chainrule.tensors import Tensor, TensorLike


class Number(Tensor):
    """A Python number given to a function that is being captured. It is weak, and so is what is made of such numbers alone."""

    __slots__ = ()

    def _operand(self) -> Weak:
        return Weak(self.node)

    def _setting(self) -> Scalar:
        return self.item()

    def numpy(self) -> Array:
        """The value, once there is one: see `Tensor.numpy`.

        Raises:
            CaptureError: inside a function that is being compiled.
        """
        if self.node.value is None:
            raise CaptureError(
                "the value of a number that is an argument was asked for while its function is being compiled",
                "the program serves every number, so none can be a setting in it, such as a bound or an axis",
                "Compute with it: where(condition, a, b) in place of if, minimum(maximum(x, low), high) in place of clip. "
                "Or bind a number that stays before compiling, cr.compile(functools.partial(f, name=2)).",
            )
        return super().numpy()


def _of_numbers(name: str) -> Callable[..., Tensor]:
    plain = getattr(Tensor, name)

    def operator(self: Number, *others: TensorLike) -> Tensor:
        found: Tensor = plain(self, *others)
        return Number(found.node) if all(isinstance(o, Number) or is_number(o) for o in others) else found

    return operator


for _name in ("add", "sub", "mul", "truediv", "pow"):
    for _side in ("", "r"):
        setattr(Number, f"__{_side}{_name}__", _of_numbers(f"__{_side}{_name}__"))
for _name in ("neg", "abs", "eq", "ne", "lt", "le", "gt", "ge"):
    setattr(Number, f"__{_name}__", _of_numbers(f"__{_name}__"))
