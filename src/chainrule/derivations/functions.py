"""The functions of typed formulas: those of `chainrule.functional` by their names, and some as they are called on paper."""

from __future__ import annotations

import difflib
import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

from chainrule import functional
from chainrule.ops import PRIMITIVES, SHIPPED
from chainrule.tensors import Tensor, TensorLike, apply

Bound = Mapping[str, inspect.Parameter]

_NAMES = (
    "abs", "affine", "avg_pool", "batch_norm", "binary_cross_entropy_with_logits", "clip", "concatenate", "conv1d", "conv2d",
    "conv_transpose2d", "cos", "elu", "erf", "exp", "expm1", "flip", "floor", "gelu", "global_avg_pool", "global_max_pool",
    "layer_norm", "leaky_relu", "log", "log1p", "log_softmax", "logsumexp", "matmul", "maximum", "mean", "minimum", "outer",
    "pad", "prod", "relu", "reshape", "sigmoid", "sign", "silu", "sin", "softmax", "softmax_with_loss", "softplus", "sqrt",
    "square", "stack", "step", "sum", "tanh", "transpose", "var", "where", "max_pool",
)  # fmt: skip


def _dot(a: TensorLike, b: TensorLike) -> Tensor:
    """Σ_k a_k b_k."""
    return functional.matmul(a, b)


def _norm(x: TensorLike) -> Tensor:
    """√(Σ x²)."""
    return functional.sqrt(functional.sum(functional.square(x)))


def _std(x: TensorLike, axis: int | None = None) -> Tensor:
    """√(Σ (x − mean)² / n)."""
    return functional.sqrt(functional.var(x, axis))


def _tan(x: TensorLike) -> Tensor:
    """sin x / cos x."""
    return functional.divide(functional.sin(x), functional.cos(x))


def _cosh(x: TensorLike) -> Tensor:
    """(eˣ + e⁻ˣ) / 2."""
    return functional.divide(functional.add(functional.exp(x), functional.exp(functional.negative(x))), 2.0)


def _sinh(x: TensorLike) -> Tensor:
    """(eˣ − e⁻ˣ) / 2."""
    return functional.divide(functional.subtract(functional.exp(x), functional.exp(functional.negative(x))), 2.0)


def _log10(x: TensorLike) -> Tensor:
    """ln x / ln 10."""
    return functional.divide(functional.log(x), math.log(10.0))


def _log2(x: TensorLike) -> Tensor:
    """ln x / ln 2."""
    return functional.divide(functional.log(x), math.log(2.0))


def _flatten(x: TensorLike) -> Tensor:
    """All elements in one vector."""
    return functional.reshape(x, -1)


def _mse(y: TensorLike, t: TensorLike) -> Tensor:
    """The mean of (y − t)²."""
    return functional.mean(functional.square(functional.subtract(y, t)))


def _mae(y: TensorLike, t: TensorLike) -> Tensor:
    """The mean of |y − t|."""
    return functional.mean(functional.abs(functional.subtract(y, t)))


def _cross_entropy(scores: TensorLike, targets: TensorLike) -> Tensor:
    """The mean over samples of −Σ_k t_k ln softmax(a)_k, of scores a, as in PyTorch."""
    loss = functional.softmax_with_loss(scores, targets)
    return functional.mean(loss) if loss.ndim else loss


def _binary_cross_entropy(y: TensorLike, t: TensorLike) -> Tensor:
    """The mean of −(t ln y + (1 − t) ln(1 − y)), of probabilities y."""
    hit = functional.multiply(t, functional.log(y))
    miss = functional.multiply(functional.subtract(1.0, t), functional.log(functional.subtract(1.0, y)))
    return functional.negative(functional.mean(functional.add(hit, miss)))


def _cross_entropy_of_probabilities(y: TensorLike, t: TensorLike) -> Tensor:
    """−Σ_k t_k ln y_k per sample."""
    return functional.negative(functional.sum(functional.multiply(t, functional.log(y)), axis=-1))


@dataclass(frozen=True)
class Function:
    """A function that a formula can call.

    Attributes:
        call: what computes it.
        of_two: what computes it of two values, if that is another function: max(a, b) beside max(x).
    """

    call: Callable[..., Tensor]
    of_two: Callable[[TensorLike, TensorLike], Tensor] | None = None

    @cached_property
    def parameters(self) -> Bound:
        """By name, in order."""
        return inspect.signature(self.call).parameters

    def takes(self) -> str:
        """What it is called with, in words: "x, weight, bias; stride=1, padding=0"."""
        values = ", ".join(n for n, p in self.parameters.items() if is_value(p))
        settings = ", ".join(
            n if p.default is p.empty else f"{n}={p.default}" for n, p in self.parameters.items() if not is_value(p)
        )
        two = " or two values" if self.of_two else ""
        return f"{values}{f' and the settings {settings}' if settings else ''}{two}"


def is_value(parameter: inspect.Parameter) -> bool:
    """Whether a function's parameter is a value that it computes with; else it is a setting, such as an axis."""
    return "TensorLike" in str(parameter.annotation)


def is_many(parameter: inspect.Parameter) -> bool:
    """Whether it is a list of values."""
    return str(parameter.annotation).startswith("Sequence[TensorLike")


FUNCTIONS: dict[str, Function] = {
    **{name: Function(getattr(functional, name)) for name in _NAMES},
    "max": Function(functional.max, functional.maximum),
    "min": Function(functional.min, functional.minimum),
    "ln": Function(functional.log),
    "log10": Function(_log10),
    "log2": Function(_log2),
    "tan": Function(_tan),
    "cosh": Function(_cosh),
    "sinh": Function(_sinh),
    "σ": Function(functional.sigmoid),
    "Σ": Function(functional.sum),
    "dot": Function(_dot),
    "norm": Function(_norm),
    "std": Function(_std),
    "flatten": Function(_flatten),
    "mse": Function(_mse),
    "mae": Function(_mae),
    "cross_entropy": Function(_cross_entropy),
    "binary_cross_entropy": Function(_binary_cross_entropy),
    "max_pool2d": Function(functional.max_pool),
    "avg_pool2d": Function(functional.avg_pool),
}

# Under the names by which formulas are printed.
PRINTED: dict[str, Function] = {
    "BCE": Function(functional.binary_cross_entropy),
    "CE": Function(_cross_entropy_of_probabilities),
    "AvgPool": Function(functional.global_avg_pool),
    "MaxPool": Function(functional.global_max_pool),
    "BatchNorm": Function(functional.batch_norm),
    "LayerNorm": Function(functional.layer_norm),
    "LeakyReLU": Function(functional.leaky_relu),
    "Var": Function(functional.var),
    "stop": Function(functional.stop_gradient),
}


def function_named(name: str) -> Function | None:
    """The function that a formula calls by this name, if there is one: ours, or of one value that somebody registered."""
    found = FUNCTIONS.get(name) or PRINTED.get(name)
    if found is not None or name in SHIPPED or name not in PRIMITIVES or PRIMITIVES[name].partials is None:
        return found

    def registered(x: TensorLike) -> Tensor:
        return apply(name, x)

    return Function(registered)


def meant(name: str) -> str | None:
    """The function whose name is nearest to one that does not exist, if any is near."""
    return next(iter(difflib.get_close_matches(name.lower(), FUNCTIONS, n=1)), None)
