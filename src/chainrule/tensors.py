"""Tensors: nodes with NumPy's manners.

Every operation on Tensors applies a primitive to their nodes. When the values are known it is computed at once; inside a
function that is being captured (`chainrule.compile`) only the graph grows. The code is the same.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from chainrule import autodiff, checks, elsewhere, ir, ops
from chainrule.conversions import as_numpy, foreign, is_number
from chainrule.errors import ArgumentError, CallError, CaptureError, DTypeError, GradientError, ShapeError, message
from chainrule.ir import Array, DType, Node, Scalar, Shape
from chainrule.recording import current_recorder, is_capturing, is_recording
from chainrule.states import Holder

TensorLike = Any  # a Tensor, a NumPy array, a Python number, or nested lists of numbers


class _Asking:
    """Tells those who remember which Tensors ask for gradients that some Tensor may do otherwise."""

    last: object = None


_MOST_AXES = 64  # of an array of NumPy
_owners: weakref.WeakKeyDictionary[Node, weakref.ref[Tensor]] = weakref.WeakKeyDictionary()


class Tensor(Holder):
    """An array that remembers how it was computed.

    Operators, indexing and mixing with NumPy arrays follow NumPy, promotion of dtypes included; Python numbers are weak.
    NumPy's functions of a Tensor pass gradients or refuse. So does what makes it an array: `np.asarray(x)`, `np.array([x, y])`
    (write `cr.stack([x, y])`), `array.dot(x)` (write `array @ x`), `array[i] = x`, `np.vectorize(f)(x)`, DLPack. It is refused
    for parameters and what was computed from them, except within `no_grad`; other Tensors are data, and become arrays.
    `x.numpy()`, `x.tolist()`, `x.item()` and `float(x)` read the value, and no gradient passes. Functions of `math` and
    `array[i] = x` for a single number call `float(x)`, too: write `cr.sin(x)` for `math.sin(x)`, and `cr.stack` of numbers.

    Values do not change in place, except by `assign`: `x += 1` gives the name x to a new Tensor, and is refused for parameters.
    """

    __slots__ = ("__weakref__", "_grad", "_home", "_is_parameter", "_requires_grad")

    def __init__(self, node: Node, *, requires_grad: bool = False) -> None:
        self._node, self._variable, self.group = node, None, None  # see `Holder`
        self._home = current_recorder()
        self._grad: Tensor | None = None
        self._is_parameter = self._requires_grad = requires_grad
        if requires_grad:
            _owners[node] = weakref.ref(self)

    # ---------------------------------------------------------------------------------------- what it is
    @property
    def node(self) -> Node:
        """The node in the graph that this Tensor stands for."""
        recorder = current_recorder()
        return self._own_node() if recorder is None or self._home is recorder else recorder.read(self)

    @property
    def shape(self) -> Shape:
        """Size of every axis."""
        return self._node.shape

    @property
    def dtype(self) -> DType:
        """Type of the elements."""
        return self._node.dtype

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self._node.ndim

    @property
    def size(self) -> int:
        """Number of elements."""
        return elsewhere.Size(self._node.size)

    @property
    def name(self) -> str | None:
        """What it is called in graphs, formulas and explanations."""
        return self._node.name

    @property
    def T(self) -> Tensor:  # noqa: N802 -- NumPy's name
        """The axes in reverse order."""
        return self.transpose()

    @property
    def requires_grad(self) -> bool:
        """Whether `backward` leaves a gradient in `grad`. False freezes a parameter: it gets none, and no optimiser moves it.

        Raises (when set to True):
            DTypeError: the Tensor is not floating.
        """
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        checks.kind(
            value, (bool, np.bool_), "requires_grad was set to {}", "it is True or False", "Write x.requires_grad = True."
        )
        if value and self.dtype.kind != "f":
            raise _no_gradient_for(self.dtype)
        self._requires_grad = bool(value)
        _Asking.last = object()
        self._is_parameter |= self._requires_grad
        if value:
            _owners[self._node] = weakref.ref(self)

    @property
    def is_parameter(self) -> bool:
        """Whether it is there to be learnt: it asks for a gradient, or did so before it was frozen."""
        return self._is_parameter

    @property
    def mT(self) -> Tensor:  # noqa: N802 -- the array API's name
        """The last two axes exchanged: the transpose of every matrix in a stack."""
        return self.swapaxes(-2, -1)

    @property
    def grad(self) -> Tensor | None:
        """The gradient that `backward` left here, of this shape and dtype; None before."""
        recorder = current_recorder()
        if recorder is not None and self._home is not recorder:
            return recorder.gradients.get(self)
        return self._grad

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if value is not None and (not isinstance(value, Tensor) or value.shape != self.shape):
            given = f"a Tensor of shape {value.shape}" if isinstance(value, Tensor) else checks.described(value)
            expected = f"it is None, or a Tensor of shape {self.shape}"
            raise ArgumentError(message(f"grad was set to {given}", expected, "Write x.grad = cr.tensor(values), or None."))
        recorder = current_recorder()
        if recorder is None or self._home is recorder:
            self._grad = value
        elif value is None:
            recorder.gradients.pop(self, None)
        else:
            recorder.gradients[self] = value

    @property
    def is_known(self) -> bool:
        """Whether it has a value; it has none yet if it was made in a function that is being captured."""
        return self._node.value is not None or self._variable is not None

    def named(self, name: str) -> Tensor:
        """Call this Tensor `name`, and return it."""
        self.node.name = name
        return self

    def formula(self, style: ops.written.Style = "text") -> str:
        """The calculation that gave this Tensor, from the named ones, in "text" or "latex"."""
        return ops.formula(self.node, style)

    # ---------------------------------------------------------------------------------------- its value
    def numpy(self) -> Array:
        """The value as a read-only view; copy it to change it.

        Raises:
            CaptureError: inside a function that is being compiled, where there is no value yet.
        """
        value = self.node.value
        if value is None:
            raise CaptureError(
                message(
                    f"the value of {self!r} was asked for while its function is being compiled",
                    "a compiled function runs the same operations for every input, so Python cannot look at values in it",
                    "Use where(condition, a, b) in place of if, or compute this part outside the compiled function.",
                )
            )
        view = value.view()
        view.flags.writeable = False
        return view

    def item(self) -> Scalar:
        """The value of a Tensor with one element, as a Python number.

        Raises:
            ShapeError: it has more or fewer elements.
        """
        if self.size != 1:
            raise ShapeError(
                message(f"item was asked of a Tensor of shape {self.shape}", "it must hold one element", "Index it first.")
            )
        number: Scalar = self.numpy().item()
        return number

    def tolist(self) -> Any:
        """The value as nested lists of Python numbers."""
        return self.numpy().tolist()

    def assign(self, value: TensorLike) -> None:
        """Replace the value. What was computed from the old value keeps it.

        Args:
            value: an array of this shape; converted to this dtype unless that would lose its kind (float to int).

        Raises:
            ShapeError, DTypeError: it does not fit.
        """
        node = value.node if isinstance(value, Tensor) else ir.constant(_as_array(value))
        if node.shape != self.shape:
            raise ShapeError(
                message(
                    f"a value of shape {node.shape} was assigned to {self._label()} of shape {self.shape}",
                    "shapes must be equal",
                    "Reshape the value, or make a new Tensor.",
                )
            )
        if not np.can_cast(node.dtype, self.dtype, casting="same_kind"):
            raise DTypeError(
                message(
                    f"a value of dtype {node.dtype} was assigned to {self._label()} of dtype {self.dtype}",
                    "it must be of the same kind",
                    "Convert it with astype.",
                )
            )
        node = ops.elementwise.to_dtype(node, self.dtype)
        recorder = current_recorder()
        if recorder is not None and self._home is not recorder:
            recorder.write(self, node)
            return
        self._replace(_fresh(node, self.name))

    def _set_node(self, node: Node) -> None:
        self._node = node
        if self._requires_grad:
            _owners[node] = weakref.ref(self)

    def detach(self) -> Tensor:
        """The same value without its history: no gradient passes back."""
        return Tensor(_without_history(self.node))

    def _label(self) -> str:
        return f"the Tensor {self.name!r}" if self.name else "a Tensor"

    def __repr__(self) -> str:
        name = f", name={self.name!r}" if self.name else ""
        grad = ", requires_grad=True" if self.requires_grad else ""
        value = self._own_node().value
        if value is None:
            return f"Tensor(<to be computed>, shape={self.shape}, dtype={self.dtype}{name})"
        shape = f", shape={self.shape}" if value.size > 1000 else ""
        return f"Tensor({np.array2string(value, separator=', ', prefix='Tensor(')}{shape}, dtype={self.dtype}{name}{grad})"

    def __reduce__(self) -> tuple[Callable[..., Tensor], tuple[Any, ...]]:
        """For copies and pickles: value, name and gradient.

        Raises:
            ArgumentError: it was computed from Tensors that ask for gradients, which would not pass through a copy.
        """
        node = self.node
        if node.inputs and any(_owner(n) is not None for n in ir.topological([node])):
            raise ArgumentError(
                message(
                    f"{self!r} was to be copied or pickled",
                    "it was computed from Tensors that ask for gradients, and a copy would not remember how",
                    "Use the Tensor itself, or copy x.detach().",
                )
            )
        gradient = None if self.grad is None else np.array(self.grad.numpy())
        return _restored, (np.array(self.numpy()), self.name, self.is_parameter, self.requires_grad, gradient)

    def __format__(self, spec: str) -> str:
        if not spec:
            return str(self)
        if self.size != 1:
            raise CallError(
                message(
                    f"a Tensor of shape {self.shape} was written with {spec!r}", "it must hold one element", "Index it first."
                )
            )
        return format(self.item(), spec)

    def __len__(self) -> int:
        if not self.shape:
            raise ShapeError("a Tensor without axes has no length; use .size for the number of elements.")
        return self.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.array(self._data(), dtype=dtype, copy=copy)

    def __dlpack__(self, **settings: Any) -> Any:
        # DLPack has no read-only arrays in its common version, so a copy is what can be handed out safely.
        return self._data().copy().__dlpack__(**settings)

    def _data(self) -> Array:
        """The value for who did not ask for it by name.

        Raises:
            ArgumentError: it takes part in a gradient, which would be cut. CaptureError: see `numpy`.
        """
        value = self.numpy()
        if is_recording() and _takes_part(self.node):
            raise ArgumentError(
                message(
                    f"{self._label()} of shape {self.shape} was to become an array (np.asarray, np.array([…]), array[i] = …)",
                    "it takes part in a gradient, which does not pass through an array",
                    "Compute with functions of chainrule, as in cr.stack([…]) and array @ x; or read the value: x.numpy().",
                )
            )
        return value

    def __dlpack_device__(self) -> tuple[int, int]:
        return 1, 0

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __bool__(self) -> bool:
        return bool(self.item())

    def __index__(self) -> int:
        if self.dtype.kind not in "iu":
            raise DTypeError(message(f"{self!r} was used as an index", "an index is an integer", "Convert it with astype."))
        return int(self.item())

    __hash__ = object.__hash__

    # ---------------------------------------------------------------------------------------- gradients
    def backward(self, gradient: TensorLike = None) -> None:
        """Leave in `grad` of every Tensor with requires_grad the gradient of this one, added to what is there.

        Args:
            gradient: upstream gradient of this shape; may be left out for a scalar, where it is 1.

        Raises:
            GradientError: not a scalar and no `gradient` given; nothing to leave a gradient in; a way without derivative.
        """
        node = self.node
        seed = _seed(self, gradient)
        order = ir.topological([node], stop=lambda n: n.op == "stop_gradient")
        starts = (n for n in order if not n.inputs or n.op == "stop_gradient")
        leaves = [(n, owner) for n in starts if (owner := _owner(n)) is not None]
        if not leaves:
            # A parameter that nobody holds any longer does not ask either; step in its way is the better reason.
            variables = [n for n in ir.topological([node]) if n.op == "variable"]
            raise autodiff.in_the_way(node, variables) or GradientError(
                message(
                    f"backward was called on {self!r}",
                    "nothing that it was computed from asks for a gradient",
                    "Make the inputs with cr.parameter(...) or cr.tensor(..., requires_grad=True); "
                    "inside cr.no_grad nothing is recorded.",
                )
            )
        found = autodiff.gradient(node, [leaf for leaf, _ in leaves], seed)
        for (_, owner), g in zip(leaves, found, strict=True):
            if g is not None:
                new = Tensor(_without_history(g))
                owner.grad = new if owner.grad is None else (owner.grad + new).detach()

    # ---------------------------------------------------------------------------------------- operators
    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *operands: TensorLike, **settings: Any) -> Tensor:
        """`np.sin(tensor)` and `array + tensor` are our operations, so that gradients pass through them.

        Raises:
            ArgumentError: a function of NumPy that has no counterpart here, or that is to write into an array.
        """
        called = ufunc.__name__ if method == "__call__" else f"{ufunc.__name__}.{method}"
        name = {"absolute": "abs", "bitwise_and": "&", "bitwise_or": "|", "invert": "~"}.get(called, called)
        ours = _numpy.universal.get(name)
        allowed = {"axis", "keepdims"} if method == "reduce" else set()
        if set(settings) - allowed or (ours is None and name not in ops.PRIMITIVES and name not in _BITWISE):
            raise _no_counterpart(called, settings)
        if ours is not None:
            return ours(*operands, **settings)
        return _logical(_BITWISE[name], name, *operands) if name in _BITWISE else apply(name, *operands)

    def __array_function__(self, function: Callable[..., Any], types: Any, args: Any, kwargs: Mapping[str, Any]) -> Any:
        """`np.sum(tensor)` and the like; see `chainrule.numpy_functions`."""
        return _numpy.called(function, args, kwargs)

    def __add__(self, other: TensorLike) -> Tensor:
        return apply("add", self, other)

    def __radd__(self, other: TensorLike) -> Tensor:
        return apply("add", other, self)

    def __sub__(self, other: TensorLike) -> Tensor:
        return apply("subtract", self, other)

    def __rsub__(self, other: TensorLike) -> Tensor:
        return apply("subtract", other, self)

    def __mul__(self, other: TensorLike) -> Tensor:
        return apply("multiply", self, other)

    def __rmul__(self, other: TensorLike) -> Tensor:
        return apply("multiply", other, self)

    def __truediv__(self, other: TensorLike) -> Tensor:
        return apply("divide", self, other)

    def __rtruediv__(self, other: TensorLike) -> Tensor:
        return apply("divide", other, self)

    def __pow__(self, other: TensorLike) -> Tensor:
        return apply("power", self, other)

    def __rpow__(self, other: TensorLike) -> Tensor:
        return apply("power", other, self)

    # `w -= step` gives the name w to a new Tensor. Who writes it for a parameter wants to change the parameter.
    def __iadd__(self, other: TensorLike) -> Tensor:
        return apply("add", self._unless_parameter("+"), other)

    def __isub__(self, other: TensorLike) -> Tensor:
        return apply("subtract", self._unless_parameter("-"), other)

    def __imul__(self, other: TensorLike) -> Tensor:
        return apply("multiply", self._unless_parameter("*"), other)

    def __itruediv__(self, other: TensorLike) -> Tensor:
        return apply("divide", self._unless_parameter("/"), other)

    def __ipow__(self, other: TensorLike) -> Tensor:
        return apply("power", self._unless_parameter("**"), other)

    def __imatmul__(self, other: TensorLike) -> Tensor:
        return apply("matmul", self._unless_parameter("@"), other)

    def _unless_parameter(self, sign: str) -> Tensor:
        if not self.is_parameter:
            return self
        name = self.name if self.name and self.name.isidentifier() else "w"
        raise ArgumentError(
            message(
                f"{name} {sign}= … was written for {self._label()}, a parameter",
                "that would make a new Tensor, and leave the parameter as it is",
                f"Write {name}.assign({name} {sign} …) within cr.no_grad() to change it, or name the result otherwise.",
            )
        )

    def __matmul__(self, other: TensorLike) -> Tensor:
        return apply("matmul", self, other)

    def __rmatmul__(self, other: TensorLike) -> Tensor:
        return apply("matmul", other, self)

    def __floordiv__(self, other: TensorLike) -> Tensor:
        raise _no_operator("//", "cr.floor(a / b)")

    def __rfloordiv__(self, other: TensorLike) -> Tensor:
        raise _no_operator("//", "cr.floor(a / b)")

    def __mod__(self, other: TensorLike) -> Tensor:
        raise _no_operator("%", "a - b * cr.floor(a / b)")

    def __rmod__(self, other: TensorLike) -> Tensor:
        raise _no_operator("%", "a - b * cr.floor(a / b)")

    def __divmod__(self, other: TensorLike) -> Tensor:
        raise _no_operator("divmod", "cr.floor(a / b) and a - b * cr.floor(a / b)")

    def __xor__(self, other: TensorLike) -> Tensor:
        raise _no_operator("^", "a != b for truth values, a ** b for powers")

    def __round__(self, digits: int = 0) -> Tensor:
        raise _no_operator("round", "np.round(x.numpy()); its derivative is 0 everywhere")

    def __pos__(self) -> Tensor:
        return self

    def __neg__(self) -> Tensor:
        return apply("negative", self)

    def __abs__(self) -> Tensor:
        return apply("abs", self)

    def __invert__(self) -> Tensor:
        return _logical("logical_not", "~", self)

    def __and__(self, other: TensorLike) -> Tensor:
        return _logical("logical_and", "&", self, other)

    def __rand__(self, other: TensorLike) -> Tensor:
        return _logical("logical_and", "&", other, self)

    def __or__(self, other: TensorLike) -> Tensor:
        return _logical("logical_or", "|", self, other)

    def __ror__(self, other: TensorLike) -> Tensor:
        return _logical("logical_or", "|", other, self)

    def __eq__(self, other: object) -> Tensor:  # type: ignore[override]
        return apply("equal", self, other)

    def __ne__(self, other: object) -> Tensor:  # type: ignore[override]
        return apply("not_equal", self, other)

    def __lt__(self, other: TensorLike) -> Tensor:
        return apply("less", self, other)

    def __le__(self, other: TensorLike) -> Tensor:
        return apply("less_equal", self, other)

    def __gt__(self, other: TensorLike) -> Tensor:
        return apply("greater", self, other)

    def __ge__(self, other: TensorLike) -> Tensor:
        return apply("greater_equal", self, other)

    def __getitem__(self, key: Any) -> Tensor:
        items = tuple(k.node if isinstance(k, Tensor) else k for k in (key if isinstance(key, tuple) else (key,)))
        return result(ops.indexing.index(self.node, items))

    def __setitem__(self, key: Any, value: Any) -> None:
        raise CallError(
            message(
                f"a part of {self._label()} was set, x[…] = value",
                "values are never changed in place, as gradients need them",
                "Make a new Tensor with cr.where(mask, value, x), or give x a whole new value with x.assign(array).",
            )
        )

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # looked for by Python and NumPy in everything
            raise AttributeError(name)
        if name in ops.PRIMITIVES and name not in elsewhere.TENSOR:
            raise elsewhere.missing("a Tensor", name, (), {name: f"Write cr.{name}(x)"})
        raise elsewhere.missing("a Tensor", name, dir(type(self)), elsewhere.TENSOR)

    # ---------------------------------------------------------------------------------------- methods
    def astype(self, dtype: Any) -> Tensor:
        """The same values as another dtype."""
        return result(ops.elementwise.to_dtype(self.node, ir.as_dtype(dtype)))

    def sum(self, axis: int | Sequence[int] | None = None, *, keepdims: bool = False) -> Tensor:
        """Σ x over `axis` (all axes if None)."""
        return apply("sum", self, axis=axis, keepdims=keepdims)

    def mean(self, axis: int | Sequence[int] | None = None, *, keepdims: bool = False) -> Tensor:
        """Mean over `axis` (all axes if None)."""
        return apply("mean", self, axis=axis, keepdims=keepdims)

    def var(self, axis: int | Sequence[int] | None = None, *, keepdims: bool = False, correction: int = 0) -> Tensor:
        """Variance over `axis` (all axes if None), divided by n − correction."""
        return apply("var", self, axis=axis, keepdims=keepdims, correction=correction)

    def std(self, axis: int | Sequence[int] | None = None, *, keepdims: bool = False, correction: int = 0) -> Tensor:
        """Square root of `var`; where it is 0 the gradient is taken to be 0."""
        return root(self.var(axis, keepdims=keepdims, correction=correction))

    def prod(self, axis: int | Sequence[int] | None = None, *, keepdims: bool = False) -> Tensor:
        """Π x over `axis` (all axes if None)."""
        return apply("prod", self, axis=axis, keepdims=keepdims)

    def max(self, axis: int | Sequence[int] | None = None, *, keepdims: bool = False) -> Tensor:
        """Largest element over `axis` (all axes if None)."""
        return apply("max", self, axis=axis, keepdims=keepdims)

    def min(self, axis: int | Sequence[int] | None = None, *, keepdims: bool = False) -> Tensor:
        """Smallest element over `axis` (all axes if None)."""
        return apply("min", self, axis=axis, keepdims=keepdims)

    def argmax(self, axis: int | None = None, *, keepdims: bool = False) -> Tensor:
        """Position of the largest element along `axis` (in the flattened array if None), int64."""
        return apply("argmax", self, axis=axis, keepdims=keepdims)

    def argmin(self, axis: int | None = None, *, keepdims: bool = False) -> Tensor:
        """Position of the smallest element along `axis` (in the flattened array if None), int64."""
        return apply("argmin", self, axis=axis, keepdims=keepdims)

    def reshape(self, *shape: int | Sequence[int]) -> Tensor:
        """The elements in order in another shape; one axis may be -1."""
        return apply("reshape", self, shape=shape[0] if len(shape) == 1 else shape)

    def transpose(self, *axes: int | Sequence[int]) -> Tensor:
        """The axes in another order; reversed if none is given."""
        if not axes:
            return apply("transpose", self)
        return apply("transpose", self, axes=axes[0] if len(axes) == 1 and not isinstance(axes[0], int) else axes)

    def flatten(self) -> Tensor:
        """The elements in order along one axis."""
        return self.reshape(-1)

    def swapaxes(self, axis1: int, axis2: int) -> Tensor:
        """Two axes exchanged."""
        first, second = (ops.primitive.normalise_axis(a, self.ndim, "swapaxes") for a in (axis1, axis2))
        order = list(range(self.ndim))
        order[first], order[second] = second, first
        return apply("transpose", self, axes=order)

    def clip(self, low: float | None = None, high: float | None = None) -> Tensor:
        """min(max(x, low), high); None leaves that side open."""
        return apply("clip", self, low=low, high=high)

    def squeeze(self, axis: int | Sequence[int] | None = None) -> Tensor:
        """Without axes of size 1 (all of them if None)."""
        return apply("squeeze", self, axis=axis)


class Number(Tensor):
    """A Python number given to a function that is being captured. It is weak, and so is what is made of such numbers alone."""

    __slots__ = ()

    def numpy(self) -> Array:
        """The value, once there is one: see `Tensor.numpy`.

        Raises:
            CaptureError: inside a function that is being compiled.
        """
        if self.node.value is None:
            raise CaptureError(
                message(
                    "the value of a number that is an argument was asked for while its function is being compiled",
                    "the program serves every number, so none can be a setting in it, such as a bound or an axis",
                    "Compute with it: where(condition, a, b) in place of if, minimum(maximum(x, low), high) in place of clip. "
                    "Or bind a number that stays before compiling, cr.compile(functools.partial(f, name=2)).",
                )
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


elsewhere.explain_calls_of_methods(Tensor)


# -------------------------------------------------------------------------------------------- NumPy's functions
class _NumPyFunctions:
    """What NumPy's functions and universal functions do with Tensors; `chainrule.numpy_functions` says it."""

    called: Callable[..., Any]
    universal: Mapping[str, Callable[..., Tensor]]


_numpy = _NumPyFunctions()


def set_numpy_functions(called: Callable[..., Any], universal: Mapping[str, Callable[..., Tensor]]) -> None:
    """Tell Tensors what NumPy's functions are here. Called once, by `chainrule.numpy_functions`, which is above them."""
    _numpy.called, _numpy.universal = called, universal


def _no_operator(sign: str, instead: str) -> CallError:
    return CallError(message(f"{sign} was used on a Tensor", "there is no such operation", f"Write {instead}."))


# -------------------------------------------------------------------------------------------- making and applying
def _as_array(value: Any, dtype: Any = None) -> Array:
    """A copy of the data, so that writing into the original later changes no graph."""
    if _holds_tensors(value):
        raise ArgumentError(
            message(
                "a list with Tensors in it was to become an array",
                "an array does not remember how they were computed, so no gradient would pass",
                "Write cr.stack(list), or take their values with .item() or .numpy().",
            )
        )
    array = np.array(as_numpy(value, None if dtype is None else ir.as_dtype(dtype)))
    ir.as_dtype(array.dtype)
    return array


def _holds_tensors(value: Any, outer: tuple[Any, ...] = ()) -> bool:
    """Whether there are Tensors in nested lists; deeper than arrays have axes, nothing is looked for."""
    if not isinstance(value, list | tuple) or len(outer) > _MOST_AXES:
        return False
    kinds = set(map(type, value))
    if any(issubclass(k, Tensor) for k in kinds):
        return True
    if not kinds & {list, tuple}:
        return False
    outer = checks.within(value, outer, "nested data")
    return any(_holds_tensors(part, outer) for part in value)


def _as_operand(value: TensorLike) -> ops.primitive.Operand:
    if isinstance(value, Number):
        return ops.primitive.Weak(value.node)
    if isinstance(value, Tensor):
        return value.node
    if _holds_tensors(value):
        return apply("stack", *value).node
    if is_number(value):
        number: Scalar = value
        return number
    return ir.constant(_as_array(value))


def _without_history(node: Node) -> Node:
    return ops.elementwise.stop_gradient(node) if node.value is None else ir.constant(node.value, name=node.name)


def _leaf(array: Array, name: str | None) -> Node:
    """A leaf with a value. What is made within a captured function is no state of it, but part of the graph."""
    return ir.constant(array, name=name) if is_capturing() else ir.variable(array, name=name)


def _restored(value: Array, name: str | None, is_parameter: bool, requires_grad: bool, gradient: Array | None) -> Tensor:
    """The Tensor that was copied or pickled."""
    found = Tensor(_leaf(value, name), requires_grad=is_parameter)
    found.requires_grad = requires_grad
    found.grad = None if gradient is None else Tensor(_leaf(gradient, None))
    return found


def _fresh(node: Node, name: str | None) -> Node:
    """A node with the value of another and no history: what a Tensor stands for after `assign`."""
    if node.value is not None:
        return _leaf(np.asarray(node.value, order="C"), name)  # nobody writes into values, so they can be shared
    fresh = ops.elementwise.stop_gradient(node)
    fresh.name = name
    return fresh


def asking() -> object:
    """Another object whenever `requires_grad` of some Tensor has been set."""
    return _Asking.last


def computed(array: Array) -> Tensor:
    """A Tensor of an array that a program has computed, which nobody else has."""
    return Tensor(Node("variable", (), {}, array.shape, array.dtype, None, array))


def result(node: Node) -> Tensor:
    """The Tensor of a node that an operation gave; without its history inside `no_grad`."""
    return Tensor(node if is_recording() else _without_history(node))


def apply(op: str, *operands: TensorLike, **attributes: Any) -> Tensor:
    """Apply the primitive named `op` to Tensors, arrays or numbers."""
    if attributes and is_capturing():  # a setting has to be known; asking a Number for its value says what to do
        attributes = {key: value.item() if isinstance(value, Number) else value for key, value in attributes.items()}
    return result(ops.lookup(op)(*map(_as_operand, operands), **attributes))


def _no_gradient_for(dtype: DType) -> DTypeError:
    return DTypeError(
        message(
            f"a gradient was asked for a Tensor of dtype {dtype}",
            "only floating Tensors have gradients",
            "Write the numbers with a decimal point, or give dtype='float64'.",
        )
    )


_BITWISE = {"&": "logical_and", "|": "logical_or", "~": "logical_not"}


def _no_counterpart(name: str, settings: Mapping[str, Any]) -> ArgumentError:
    if "out" in settings:
        return ArgumentError(
            message(
                f"np.{name} was to write a Tensor into an array (out=, or array += tensor)",
                "an array does not remember how it was computed",
                "Make a new value, total = total + tensor, or use tensor.numpy().",
            )
        )
    given = f"np.{name} was called with a Tensor" + (f" and {', '.join(settings)}" if settings else "")
    return ArgumentError(
        message(
            given,
            "of NumPy's functions those take Tensors that chainrule has by the same name, such as sin, exp and maximum",
            "Use the functions of chainrule (cr.…), or tensor.numpy() where no gradient is needed.",
        )
    )


def root(x: Tensor) -> Tensor:
    """√x for sums of squares: where they are 0 the gradient is taken to be 0, not infinite."""
    nothing = x == 0.0
    return apply("where", nothing, 0.0, apply("sqrt", apply("where", nothing, 1.0, x)))


def _logical(op: str, sign: str, *operands: TensorLike) -> Tensor:
    """An operator that is bitwise in NumPy, for the dtype where that is the same."""
    found = [o if isinstance(o, Tensor) else tensor(o) for o in operands]
    for operand in found:
        if operand.dtype != np.bool_:
            raise DTypeError(
                message(f"{sign} got a Tensor of dtype {operand.dtype}", "it takes booleans", f"Compare first, or use cr.{op}.")
            )
    return apply(op, *found)


@elsewhere.explaining_calls
def tensor(data: TensorLike, dtype: Any = None, *, name: str | None = None, requires_grad: bool = False) -> Tensor:
    """A Tensor holding a copy of `data`.

    Args:
        data: numbers, nested lists, a NumPy array, or anything that has DLPack or becomes an array.
        dtype: element type; NumPy's choice if left out, so that [0.5] is float64.
        name: what it is called in graphs and explanations.
        requires_grad: whether `backward` leaves a gradient in it; floats only.

    Raises:
        ShapeError, DTypeError: rows of different lengths; an element type chainrule does not compute with.
    """
    source = data.numpy() if isinstance(data, Tensor) else data
    array = _as_array(source, dtype)
    if requires_grad and array.dtype.kind != "f":
        raise _no_gradient_for(array.dtype)
    return Tensor(_leaf(array, name), requires_grad=requires_grad)


@elsewhere.explaining_calls
def parameter(data: TensorLike, dtype: Any = None, *, name: str | None = None) -> Tensor:
    """A Tensor to be learnt: `backward` leaves its gradient in `grad`. Integers become float64. See `tensor`."""
    array = _as_array(data.numpy() if isinstance(data, Tensor) else data, dtype)
    return tensor(array if array.dtype.kind == "f" else array.astype(np.float64), name=name, requires_grad=True)


@elsewhere.explaining_calls
def from_dlpack(source: Any) -> Tensor:
    """A Tensor with a copy of the data of any array that speaks DLPack (PyTorch, JAX, CuPy on the host, …)."""
    try:
        array = np.from_dlpack(source)
    except (AttributeError, BufferError, RuntimeError, TypeError) as error:
        raise foreign(source, error) from None
    return tensor(array)


# -------------------------------------------------------------------------------------------- gradients as functions
def _owner(leaf: Node) -> Tensor | None:
    recorder = current_recorder()
    if recorder is not None:
        found = recorder.owner(leaf)
        if found is not None:
            return found if found.requires_grad else None
    reference = _owners.get(leaf)
    owner = reference() if reference is not None else None
    return owner if owner is not None and owner.requires_grad else None


_differentiated: ContextVar[frozenset[Node]] = ContextVar("differentiated", default=frozenset())


@contextmanager
def differentiated(points: Sequence[Tensor]) -> Iterator[None]:
    """Within it a function of these points runs, whose gradients by them will be asked for."""
    token = _differentiated.set(_differentiated.get().union(p.node for p in points))
    try:
        yield
    finally:
        _differentiated.reset(token)


def _takes_part(node: Node) -> bool:
    """Whether a gradient may pass through it: to what asks for one, or to a point at which a function is differentiated."""
    if node.dtype.kind != "f":
        return False
    points = _differentiated.get()
    return any(n in points or _owner(n) is not None for n in ir.topological([node], stop=lambda n: n.op == "stop_gradient"))


def asks_for_gradient(leaf: Node) -> bool:
    """Whether a leaf is the value of a Tensor with `requires_grad`, as parameters are."""
    return _owner(leaf) is not None


def _seed(output: Tensor, gradient: TensorLike) -> Node | None:
    if output.dtype.kind != "f":
        raise GradientError(
            message(f"the gradient of a Tensor of dtype {output.dtype} was asked for", "it must be floating", "Use astype.")
        )
    if gradient is None:
        if output.size != 1:
            raise GradientError(
                message(
                    f"the gradient of a Tensor of shape {output.shape} was asked for",
                    "it must be a scalar unless the upstream gradient is given",
                    "Reduce it with .sum() or .mean(), or pass gradient= of the same shape.",
                )
            )
        return None
    operand = _as_operand(gradient)
    seed = ops.elementwise.to_dtype(operand if isinstance(operand, Node) else ir.constant(operand), output.dtype)
    if seed.shape != output.shape:
        raise ShapeError(
            message(
                f"an upstream gradient of shape {seed.shape} was given for a Tensor of shape {output.shape}",
                "both must have one shape",
                "Broadcast or reshape it.",
            )
        )
    return seed


def _describe(node: Node) -> str:
    return repr(node.name) if node.name else f"a Tensor of shape {node.shape}"


_DIFFERENTIATE = "Write cr.grad(E, [w]) with E = f(w), or cr.value_and_grad(f)(w) for a function."


@elsewhere.explaining_calls
def grad(output: Tensor, wrt: Sequence[Tensor], gradient: TensorLike = None) -> tuple[Tensor, ...]:
    """∂output/∂w for every Tensor w, each of w's shape and dtype; they can be differentiated again.

    Args:
        output: a floating Tensor; a scalar unless `gradient` is given.
        wrt: floating Tensors that `output` was computed from, at the start or on the way.
        gradient: upstream gradient of the output's shape.

    Raises:
        GradientError: `output` does not depend on one of them, or only through something without a derivative.
    """
    if isinstance(wrt, Tensor):
        raise ArgumentError(message("grad got one Tensor for wrt", "it takes a list of Tensors", "Write cr.grad(E, [w])."))
    checks.kind(output, Tensor, "grad got {} to differentiate", "it takes the Tensor that was computed", _DIFFERENTIATE)
    for w in checks.each(wrt, Tensor, "grad got {} for wrt", "it takes a list of Tensors", "Write cr.grad(E, [w])."):
        if w.dtype.kind != "f":
            raise GradientError(
                message(f"a gradient by a Tensor of dtype {w.dtype} was asked for", "it must be floating", "Use astype.")
            )
    sources = [w.node for w in wrt]
    found = autodiff.gradient(output.node, sources, _seed(output, gradient))
    return tuple(
        Tensor(g if g is not None else autodiff.zero_or_error(output.node, source, _describe))
        for g, source in zip(found, sources, strict=True)
    )
