"""Initial values of weights.

Every initialiser is a function (shape, rng, dtype) -> array. Weights are laid out (out, in, *kernel), so that

    fan_in  = in · kernel elements         what a unit adds up
    fan_out = out · kernel elements        what an input reaches

`rng` is a `cr.Generator`, a seed for a new one, or None for `cr.random`, which `cr.manual_seed` starts afresh.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

import numpy as np

from chainrule import checks, elsewhere, ir, registry
from chainrule.errors import ArgumentError, ShapeError
from chainrule.generators import Generator, random
from chainrule.ir import Array, DType, Shape
from chainrule.ops.primitive import lookup
from chainrule.tensors import Tensor

Rng = Generator | int | None
Initialiser = Callable[[Shape, Rng, DType], Array]
Init = str | float | Sequence[Any] | Initialiser | Array | Tensor | None  # what the init= of layers takes


INITIALISERS: dict[str, Initialiser] = {}
F = TypeVar("F", bound=Initialiser)


def register_initialiser(function: F) -> F:
    """Enter a function (shape, rng, dtype) -> array into `INITIALISERS`, so that layers take it by its name.

    Raises:
        ArgumentError: it is no such function, has no name, or one that is taken.
    """
    expected, fix = "it is a function with a name", "Write def mine(shape, rng=None, dtype=np.float32): …"
    checks.function(function, "extend.initialiser", fix)
    name = getattr(function, "__name__", "")
    if not name.isidentifier():
        raise ArgumentError(f"an initialiser named {name!r} was registered", expected, fix)
    checks.takes(function, ("shape", "rng", "dtype"), f"the initialiser {name}")
    registry.enter(INITIALISERS, "initialiser", name, function, function)
    return function


def fans(shape: Shape) -> tuple[int, int]:
    """(fan_in, fan_out) of a weight laid out (out, in, *kernel).

    Raises:
        ShapeError: fewer than two axes.
    """
    if len(shape) < 2:
        raise ShapeError(
            f"an initialiser that counts inputs and outputs got the shape {shape}",
            "it takes weights (out, in, *kernel)",
            "Use zeros, normal or constant(value) for vectors.",
        )
    kernel = math.prod(shape[2:])
    return shape[1] * kernel, shape[0] * kernel


def _generator(rng: Rng) -> Generator:
    if rng is None:
        return random
    return rng if isinstance(rng, Generator) else Generator(rng)


def _uniform(shape: Shape, bound: float, rng: Rng, dtype: Any) -> Array:
    """U(−bound, bound)."""
    drawn = _generator(rng).uniform(shape, dtype).numpy()
    return np.asarray((2.0 * drawn - 1.0) * bound, dtype=ir.as_dtype(dtype))


def _normal(shape: Shape, deviation: float, rng: Rng, dtype: Any) -> Array:
    """N(0, deviation²)."""
    return np.asarray(_generator(rng).normal(shape, dtype).numpy() * deviation, dtype=ir.as_dtype(dtype))


@register_initialiser
def zeros(shape: Shape, rng: Rng = None, dtype: Any = np.float32) -> Array:
    """0 everywhere. For biases; weights that start equal stay equal."""
    return np.zeros(shape, ir.as_dtype(dtype))


@register_initialiser
def ones(shape: Shape, rng: Rng = None, dtype: Any = np.float32) -> Array:
    """1 everywhere."""
    return np.ones(shape, ir.as_dtype(dtype))


def constant(value: float) -> Initialiser:
    """An initialiser that gives `value` everywhere."""

    def fill(shape: Shape, rng: Rng = None, dtype: Any = np.float32) -> Array:
        return np.full(shape, value, ir.as_dtype(dtype))

    return fill


def uniform(bound: float) -> Initialiser:
    """An initialiser that draws from U(−bound, bound)."""

    def draw(shape: Shape, rng: Rng = None, dtype: Any = np.float32) -> Array:
        return _uniform(shape, bound, rng, dtype)

    return draw


@register_initialiser
def normal(shape: Shape, rng: Rng = None, dtype: Any = np.float32, *, std: float = 1.0) -> Array:
    """w ~ N(0, std²); the default of Embedding."""
    return _normal(shape, std, rng, dtype)


@register_initialiser
def fan_in_uniform(shape: Shape, rng: Rng = None, dtype: Any = np.float32) -> Array:
    """w ~ U(±1/√fan_in), PyTorch's distribution for Linear and Conv layers, and the default here."""
    return _uniform(shape, 1.0 / math.sqrt(max(fans(shape)[0], 1)), rng, dtype)


@register_initialiser
def xavier_uniform(shape: Shape, rng: Rng = None, dtype: Any = np.float32, *, gain: float = 1.0) -> Array:
    """w ~ U(±gain √(6 / (fan_in + fan_out))), for tanh and sigmoid (Glorot, Bengio 2010)."""
    return _uniform(shape, gain * math.sqrt(6.0 / max(sum(fans(shape)), 1)), rng, dtype)


@register_initialiser
def xavier_normal(shape: Shape, rng: Rng = None, dtype: Any = np.float32, *, gain: float = 1.0) -> Array:
    """w ~ N(0, gain² · 2 / (fan_in + fan_out)), for tanh and sigmoid (Glorot, Bengio 2010)."""
    return _normal(shape, gain * math.sqrt(2.0 / max(sum(fans(shape)), 1)), rng, dtype)


@register_initialiser
def he_uniform(shape: Shape, rng: Rng = None, dtype: Any = np.float32) -> Array:
    """w ~ U(±√(6 / fan_in)), for ReLU (He et al. 2015)."""
    return _uniform(shape, math.sqrt(6.0 / max(fans(shape)[0], 1)), rng, dtype)


@register_initialiser
def he_normal(shape: Shape, rng: Rng = None, dtype: Any = np.float32) -> Array:
    """w ~ N(0, 2 / fan_in), for ReLU (He et al. 2015)."""
    return _normal(shape, math.sqrt(2.0 / max(fans(shape)[0], 1)), rng, dtype)


@register_initialiser
def lecun_uniform(shape: Shape, rng: Rng = None, dtype: Any = np.float32) -> Array:
    """w ~ U(±√(3 / fan_in)), which keeps the variance of linear units (LeCun et al. 1998, "Efficient BackProp")."""
    return _uniform(shape, math.sqrt(3.0 / max(fans(shape)[0], 1)), rng, dtype)


@register_initialiser
def lecun_normal(shape: Shape, rng: Rng = None, dtype: Any = np.float32) -> Array:
    """w ~ N(0, 1 / fan_in), which keeps the variance of linear units (LeCun et al. 1998, "Efficient BackProp")."""
    return _normal(shape, math.sqrt(1.0 / max(fans(shape)[0], 1)), rng, dtype)


@register_initialiser
def orthogonal(shape: Shape, rng: Rng = None, dtype: Any = np.float32, *, gain: float = 1.0) -> Array:
    """gain · Q with orthonormal rows or columns, whichever are fewer, uniform among such Q (Saxe et al. 2014).

    Q comes from the QR decomposition of a normal matrix (out, in · kernel), with R's diagonal made positive (Mezzadri 2007).
    """
    rows, columns = shape[0], fans(shape)[0]
    drawn = _generator(rng).normal((max(rows, columns), min(rows, columns)), np.float64).numpy()
    q, r = np.linalg.qr(drawn)
    q = q * np.where(np.diagonal(r) < 0, -1.0, 1.0)
    return np.asarray(gain * (q if rows >= columns else q.T).reshape(shape), dtype=ir.as_dtype(dtype))


def fitting(activation: str | None) -> str:
    """The name of the initialiser for the weights of a layer that an activation function follows, a primitive, or none.

    Glorot's for one that is flat on both sides, as σ and tanh are; He's for the others, the ReLU family; LeCun's for none.
    """
    if activation is None:
        return lecun_uniform.__name__
    known = lookup(activation).facts.activation
    return (xavier_uniform if known is not None and known.saturates else he_normal).__name__


_UNDRAWN: ContextVar[bool] = ContextVar("undrawn", default=False)


@contextmanager
def undrawn() -> Iterator[None]:
    """Within it layers are made without values: their Tensors have shapes but no memory, until they are assigned to."""
    token = _UNDRAWN.set(True)
    try:
        yield
    finally:
        _UNDRAWN.reset(token)


def made(init: Init, default: Initialiser, shape: Shape, dtype: DType, *, learnt: bool = True) -> Tensor:
    """A parameter of a layer, or a buffer if it is not learnt, with its initial value; see `initial` and `undrawn`."""
    if _UNDRAWN.get():
        _check_name(init)
        value = np.broadcast_to(np.zeros((), dtype), shape)
    else:
        value = initial(init, default, shape, dtype)
    return Tensor(ir.variable(value), requires_grad=learnt)


def _check_name(init: Init) -> None:
    if isinstance(init, str) and init not in INITIALISERS:
        raise ArgumentError(
            f"init={init!r} was given", f"the initialisers are {', '.join(INITIALISERS)}", "Choose one of them."
        )


def initial(init: Init, default: Initialiser, shape: Shape, dtype: DType) -> Array:
    """The initial value of a parameter.

    Args:
        init: a name in `INITIALISERS`, a function (shape, rng, dtype) -> array, an array of this shape, a number for every
            element, or None for `default`.

    Raises:
        ArgumentError: an unknown name. ShapeError: an array of another shape.
    """
    _check_name(init)
    if isinstance(init, int | float):
        return np.full(shape, init, dtype)
    function = default if init is None else INITIALISERS[init] if isinstance(init, str) else init
    value = function(shape, None, dtype) if callable(function) else function
    try:
        array = np.array(value, dtype=dtype)
    except (TypeError, ValueError):
        raise ArgumentError(
            f"init={init!r} was given", "it is a name, a function, a number, or an array of numbers", "Check the value."
        ) from None
    if array.shape != shape:
        raise ShapeError(
            f"init gave an array of shape {array.shape}",
            f"the parameter has the shape {shape}",
            "Weights are laid out (out, in, *kernel); transpose or reshape the array.",
        )
    return array


def kept_name(init: Init) -> str | None:
    """What a layer writes down of its initialiser: its name; arrays and functions are left out, as weights are saved anyway."""
    return init if isinstance(init, str) else None


# -------------------------------------------------------------------------------------------- in place, as in PyTorch
_GAINS: dict[str, Callable[[float], float]] = {
    "leaky_relu": lambda slope: math.sqrt(2.0 / (1.0 + slope**2)),
    "linear": lambda slope: 1.0,
    "relu": lambda slope: math.sqrt(2.0),
}


def _assigned(w: Tensor, value: Array) -> Tensor:
    w.assign(value)
    return w


def zeros_(w: Tensor) -> Tensor:
    """Give a parameter the value 0 everywhere, and return it."""
    return _assigned(w, zeros(w.shape, None, w.dtype))


def ones_(w: Tensor) -> Tensor:
    """Give a parameter the value 1 everywhere, and return it."""
    return _assigned(w, ones(w.shape, None, w.dtype))


def constant_(w: Tensor, val: float) -> Tensor:
    """Give a parameter the value `val` everywhere, and return it."""
    return _assigned(w, constant(val)(w.shape, None, w.dtype))


def uniform_(w: Tensor, a: float = 0.0, b: float = 1.0) -> Tensor:
    """Draw the elements of a parameter from U(a, b), and return it."""
    return _assigned(w, _uniform(w.shape, (b - a) / 2.0, None, w.dtype) + (a + b) / 2.0)


def normal_(w: Tensor, mean: float = 0.0, std: float = 1.0) -> Tensor:
    """Draw the elements of a parameter from N(mean, std²), and return it."""
    return _assigned(w, _normal(w.shape, std, None, w.dtype) + mean)


def xavier_uniform_(w: Tensor, gain: float = 1.0) -> Tensor:
    """Draw the elements of a weight as `xavier_uniform` does, and return it."""
    return _assigned(w, xavier_uniform(w.shape, None, w.dtype, gain=gain))


def xavier_normal_(w: Tensor, gain: float = 1.0) -> Tensor:
    """Draw the elements of a weight as `xavier_normal` does, and return it."""
    return _assigned(w, xavier_normal(w.shape, None, w.dtype, gain=gain))


def kaiming_uniform_(w: Tensor, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu") -> Tensor:
    """Draw the elements of a weight from U(±gain √(3 / fan)), and return it; `he_uniform` unless arguments say otherwise.

    Args:
        a: negative slope of the leaky ReLU that follows, of which the gain is √(2 / (1 + a²)).
        mode: "fan_in" or "fan_out".
        nonlinearity: "leaky_relu", "relu" (gain √2) or "linear" (gain 1).
    """
    return _assigned(w, _uniform(w.shape, math.sqrt(3.0) * _kaiming_deviation(w.shape, a, mode, nonlinearity), None, w.dtype))


def kaiming_normal_(w: Tensor, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu") -> Tensor:
    """Draw the elements of a weight from N(0, gain² / fan), and return it; see `kaiming_uniform_`."""
    return _assigned(w, _normal(w.shape, _kaiming_deviation(w.shape, a, mode, nonlinearity), None, w.dtype))


def _kaiming_deviation(shape: Shape, a: float, mode: str, nonlinearity: str) -> float:
    if mode not in ("fan_in", "fan_out") or nonlinearity not in _GAINS:
        raise ArgumentError(
            f"an initialiser got mode={mode!r} and nonlinearity={nonlinearity!r}",
            f"the modes are fan_in and fan_out, the nonlinearities {', '.join(_GAINS)}",
            "Choose among them.",
        )
    return _GAINS[nonlinearity](a) / math.sqrt(max(fans(shape)[mode == "fan_out"], 1))


def orthogonal_(w: Tensor, gain: float = 1.0) -> Tensor:
    """Draw a weight as `orthogonal` does, and return it."""
    return _assigned(w, orthogonal(w.shape, None, w.dtype, gain=gain))


def __getattr__(name: str) -> Any:
    raise elsewhere.missing("chainrule.nn.init", name, globals(), {})
