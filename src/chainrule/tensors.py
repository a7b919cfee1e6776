"""Tensors: nodes with NumPy's manners.

Every operation on Tensors applies a primitive to their nodes. When the values are known it is computed at once; inside a
function that is being captured (`chainrule.compile`) only the graph grows. The code is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NoReturn

import numpy as np

from chainrule import elsewhere, ir, ops
from chainrule.checks import described
from chainrule.conversions import foreign
from chainrule.errors import ArgumentError, CallError, CaptureError, DTypeError, ShapeError
from chainrule.ir import Array, DType, Node, Scalar, Shape
from chainrule.learnable import Learnable, asks_for_gradient, check_floating, gradients_of_owners, takes_part
from chainrule.operands import as_array, as_operand, fresh, kept, leaf, setting, without_history
from chainrule.recording import current_recorder, is_capturing, is_recording

TensorLike = Any  # a Tensor, a NumPy array, a Python number, or nested lists of numbers


def _operator(op: str) -> Callable[[Tensor, TensorLike], Tensor]:
    return lambda self, other: apply(op, self, other)


def _reflected(op: str) -> Callable[[Tensor, TensorLike], Tensor]:
    return lambda self, other: apply(op, other, self)


def _assigning(op: str, sign: str) -> Callable[[Tensor, TensorLike], Tensor]:
    """`w -= step` gives the name w to a new Tensor. Who writes it for a parameter wants to change the parameter."""

    def operator(self: Tensor, other: TensorLike) -> Tensor:
        if not self.is_parameter:
            return apply(op, self, other)
        name = self.name if self.name and self.name.isidentifier() else "w"
        raise ArgumentError(
            f"{name} {sign}= … was written for {self._label()}, a parameter",
            "that would make a new Tensor, and leave the parameter as it is",
            f"Write {name}.assign({name} {sign} …) within cr.no_grad() to change it, or name the result otherwise.",
        )

    return operator


def _refused(sign: str, instead: str) -> Callable[..., NoReturn]:
    def operator(self: Tensor, *others: TensorLike) -> NoReturn:
        raise CallError(f"{sign} was used on a Tensor", "there is no such operation", f"Write {instead}.")

    return operator


class Tensor(Learnable):
    """An array that remembers how it was computed.

    Operators, indexing and mixing with NumPy arrays follow NumPy, promotion of dtypes included; Python numbers are weak.
    NumPy's functions of a Tensor pass gradients or refuse. So does what makes it an array: `np.asarray(x)`, `np.array([x, y])`
    (write `cr.stack([x, y])`), `array.dot(x)` (write `array @ x`), `array[i] = x`, `np.vectorize(f)(x)`, DLPack. It is refused
    for parameters and what was computed from them, except within `no_grad`; other Tensors are data, and become arrays.
    `x.numpy()`, `x.tolist()`, `x.item()` and `float(x)` read the value, and no gradient passes. Functions of `math` and
    `array[i] = x` for a single number call `float(x)`, too: write `cr.sin(x)` for `math.sin(x)`, and `cr.stack` of numbers.

    Values do not change in place, except by `assign`: `x += 1` gives the name x to a new Tensor, and is refused for parameters.
    """

    __slots__ = ()

    def __init__(self, node: Node, *, requires_grad: bool = False) -> None:
        self._node, self._variable, self.group = node, None, None  # see `Holder`
        self._home = home = current_recorder()
        if home is not None:
            home.made(node)
        self._grad: Tensor | None = None
        self._is_parameter = self._requires_grad = requires_grad
        if requires_grad:
            self._note_owner()

    # ---------------------------------------------------------------------------------------- what it is
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
            given = f"a Tensor of shape {value.shape}" if isinstance(value, Tensor) else described(value)
            expected = f"it is None, or a Tensor of shape {self.shape}"
            raise ArgumentError(f"grad was set to {given}", expected, "Write x.grad = cr.tensor(values), or None.")
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
                f"the value of {self!r} was asked for while its function is being compiled",
                "a compiled function runs the same operations for every input, so Python cannot look at values in it",
                "Use where(condition, a, b) in place of if, or compute this part outside the compiled function.",
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
                f"item was called on a Tensor of shape {self.shape}", "it must hold one element", "Index it first."
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
        node = value.node if isinstance(value, Tensor) else ir.constant(as_array(value))
        if node.shape != self.shape:
            raise ShapeError(
                f"a value of shape {node.shape} was assigned to {self._label()} of shape {self.shape}",
                "shapes must be equal",
                "Reshape the value, or make a new Tensor.",
            )
        if not np.can_cast(node.dtype, self.dtype, casting="same_kind"):
            raise DTypeError(
                f"a value of dtype {node.dtype} was assigned to {self._label()} of dtype {self.dtype}",
                "it must be of the same kind",
                "Convert it with astype.",
            )
        node = ops.promotion.to_dtype(node, self.dtype)
        recorder = current_recorder()
        if recorder is not None and self._home is not recorder:
            recorder.write(self, node)
            return
        self._replace(fresh(node, self.name))

    def detach(self) -> Tensor:
        """The same value without its history: no gradient passes back."""
        return Tensor(without_history(self.node))

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
        if node.inputs and any(map(asks_for_gradient, ir.topological([node]))):
            raise ArgumentError(
                f"{self!r} cannot be copied or pickled",
                "it was computed from Tensors that ask for gradients, and a copy would not remember how",
                "Use the Tensor itself, or copy x.detach().",
            )
        gradient = None if self.grad is None else np.array(self.grad.numpy())
        return _restored, (np.array(self.numpy()), self.name, self.is_parameter, self.requires_grad, gradient)

    def __format__(self, spec: str) -> str:
        if not spec:
            return str(self)
        if self.size != 1:
            raise CallError(
                f"a Tensor of shape {self.shape} was written with {spec!r}", "it must hold one element", "Index it first."
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
        if is_recording() and takes_part(self.node):
            raise ArgumentError(
                f"{self._label()} of shape {self.shape} cannot become an array (np.asarray, np.array([…]), array[i] = …)",
                "it takes part in a gradient, which does not pass through an array",
                "Compute with functions of chainrule, as in cr.stack([…]) and array @ x; or read the value: x.numpy().",
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
            raise DTypeError(f"{self!r} was used as an index", "an index is an integer", "Convert it with astype.")
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
        for owner, g in gradients_of_owners(self, gradient):
            new = Tensor(g)
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

    __add__, __radd__ = _operator("add"), _reflected("add")
    __sub__, __rsub__ = _operator("subtract"), _reflected("subtract")
    __mul__, __rmul__ = _operator("multiply"), _reflected("multiply")
    __truediv__, __rtruediv__ = _operator("divide"), _reflected("divide")
    __pow__, __rpow__ = _operator("power"), _reflected("power")
    __matmul__, __rmatmul__ = _operator("matmul"), _reflected("matmul")

    __iadd__ = _assigning("add", "+")
    __isub__ = _assigning("subtract", "-")
    __imul__ = _assigning("multiply", "*")
    __itruediv__ = _assigning("divide", "/")
    __ipow__ = _assigning("power", "**")
    __imatmul__ = _assigning("matmul", "@")

    __floordiv__ = __rfloordiv__ = _refused("//", "cr.floor(a / b)")
    __mod__ = __rmod__ = _refused("%", "a - b * cr.floor(a / b)")
    __divmod__ = _refused("divmod", "cr.floor(a / b) and a - b * cr.floor(a / b)")
    __xor__ = _refused("^", "a != b for truth values, a ** b for powers")
    __round__ = _refused("round", "np.round(x.numpy()); its derivative is 0 everywhere")

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

    __eq__ = _operator("equal")  # type: ignore[assignment]
    __ne__ = _operator("not_equal")  # type: ignore[assignment]
    __lt__ = _operator("less")
    __le__ = _operator("less_equal")
    __gt__ = _operator("greater")
    __ge__ = _operator("greater_equal")

    def __getitem__(self, key: Any) -> Tensor:
        items = tuple(k.node if isinstance(k, Tensor) else k for k in (key if isinstance(key, tuple) else (key,)))
        return result(ops.indexing.index(self.node, items))

    def __setitem__(self, key: Any, value: Any) -> None:
        raise CallError(
            f"a part of {self._label()} was set, x[…] = value",
            "values are never changed in place, as gradients need them",
            "Make a new Tensor with cr.where(mask, value, x), or give x a whole new value with x.assign(array).",
        )

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # looked for by Python and NumPy in everything
            raise AttributeError(name)
        if not isinstance(self._node, Node):
            given = described(self._node)
            raise ArgumentError(f"Tensor got {given}", "it stands for a node of a graph", "Write cr.tensor(data).")
        if name in ops.PRIMITIVES and name not in elsewhere.TENSOR:
            raise elsewhere.missing("a Tensor", name, (), {name: f"Write cr.{name}(x)"})
        raise elsewhere.missing("a Tensor", name, dir(type(self)), elsewhere.TENSOR)

    # ---------------------------------------------------------------------------------------- methods
    def astype(self, dtype: Any) -> Tensor:
        """The same values as another dtype."""
        return result(ops.promotion.to_dtype(self.node, ir.as_dtype(dtype)))

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
        """The axes in another order; reversed if none is given.

        Two numbers exchange these two axes of more than two, as in PyTorch: transpose(-2, -1).

        Raises:
            ArgumentError: transpose(0, 1) of a matrix, which NumPy leaves as it is and PyTorch transposes.
        """
        if not axes:
            return apply("transpose", self)
        match axes:
            case (int(first), int(second)):
                return self._with_axes_exchanged(first, second)
        return apply("transpose", self, axes=axes[0] if len(axes) == 1 and not isinstance(axes[0], int) else axes)

    def _with_axes_exchanged(self, axis1: int, axis2: int) -> Tensor:
        """What transpose(axis1, axis2) means in NumPy and PyTorch."""
        first, second = (ops.primitive.normalise_axis(a, self.ndim, "transpose") for a in (axis1, axis2))
        if self.ndim == 2 and first < second:
            raise ArgumentError(
                f"transpose({axis1}, {axis2}) was written for a matrix",
                "NumPy leaves it as it is, PyTorch transposes it",
                "Write x.T for the transpose.",
            )
        return self.swapaxes(first, second)

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


# -------------------------------------------------------------------------------------------- making and applying
def _restored(value: Array, name: str | None, is_parameter: bool, requires_grad: bool, gradient: Array | None) -> Tensor:
    """The Tensor that was copied or pickled."""
    found = Tensor(leaf(value, name), requires_grad=is_parameter)
    found.requires_grad = requires_grad
    found.grad = None if gradient is None else Tensor(leaf(gradient, None))
    return found


def computed(array: Array) -> Tensor:
    """A Tensor of an array that a program has computed, which nobody else has."""
    return Tensor(Node("variable", (), {}, array.shape, array.dtype, None, array))


def result(node: Node) -> Tensor:
    """The Tensor of a node that an operation gave; without its history inside `no_grad`."""
    return Tensor(kept(node))


def apply(op: str, *operands: TensorLike, **attributes: Any) -> Tensor:
    """Apply the primitive named `op` to Tensors, arrays or numbers."""
    if attributes and is_capturing():
        attributes = {key: setting(value) for key, value in attributes.items()}
    return result(ops.lookup(op)(*map(as_operand, operands), **attributes))


_BITWISE = {"&": "logical_and", "|": "logical_or", "~": "logical_not"}


def _no_counterpart(name: str, settings: Mapping[str, Any]) -> ArgumentError:
    if "out" in settings:
        return ArgumentError(
            f"np.{name} cannot write a Tensor into an array (out=, or array += tensor)",
            "an array does not remember how it was computed",
            "Make a new value, total = total + tensor, or use tensor.numpy().",
        )
    given = f"np.{name} was called with a Tensor" + (f" and {', '.join(settings)}" if settings else "")
    return ArgumentError(
        given,
        "of NumPy's functions those take Tensors that chainrule has by the same name, such as sin, exp and maximum",
        "Use the functions of chainrule (cr.…), or tensor.numpy() where no gradient is needed.",
    )


def root(x: Tensor) -> Tensor:
    """√x for sums of squares: where they are 0 the gradient is taken to be 0, not infinite."""
    nothing = x == 0.0
    return apply("where", nothing, 0.0, apply("sqrt", apply("where", nothing, 1.0, x)))


def _logical(op: str, sign: str, *operands: TensorLike) -> Tensor:
    """An operator that is bitwise in NumPy, for the dtype where that is the same."""
    found = [*map(tensor_of, operands)]
    for operand in found:
        if operand.dtype != np.bool_:
            raise DTypeError(
                f"{sign} got a Tensor of dtype {operand.dtype}", "it takes booleans", f"Compare first, or use cr.{op}."
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
    array = as_array(source, dtype)
    if requires_grad:
        check_floating(array.dtype)
    return Tensor(leaf(array, name), requires_grad=requires_grad)


def tensor_of(value: TensorLike) -> Tensor:
    """The value as a Tensor; itself if it is one."""
    return value if isinstance(value, Tensor) else tensor(value)


@elsewhere.explaining_calls
def parameter(data: TensorLike, dtype: Any = None, *, name: str | None = None) -> Tensor:
    """A Tensor to be learnt: `backward` leaves its gradient in `grad`. Integers become float64. See `tensor`."""
    array = as_array(data.numpy() if isinstance(data, Tensor) else data, dtype)
    return tensor(array if array.dtype.kind == "f" else array.astype(np.float64), name=name, requires_grad=True)


@elsewhere.explaining_calls
def from_dlpack(source: Any) -> Tensor:
    """A Tensor with a copy of the data of any array that speaks DLPack (PyTorch, JAX, CuPy on the host, …)."""
    try:
        array = np.from_dlpack(source)
    except (AttributeError, BufferError, RuntimeError, TypeError) as error:
        raise foreign(source, error) from None
    return tensor(array)
