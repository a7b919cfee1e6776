"""Other libraries' names for what is here: one table, from which functions of `chainrule` and methods of Tensors are made.

A name is one entry of a table below. NumPy's functions that take Tensors (`chainrule.numpy_functions`) need none: they are
functions of `chainrule` under their own names. `docs/names.md` lists all names, and `tests/core/test_aliases.py` compares them
with PyTorch and NumPy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from chainrule import composites, creation, elsewhere, functional, numpy_functions
from chainrule.numpy_functions import OURS, UNIVERSAL
from chainrule.tensors import Tensor, parameter, tensor, tensor_of

Function = Callable[..., Any]


def _from_numpy() -> dict[str, Function]:
    """The counterparts of NumPy's functions under NumPy's names, but for names that we have."""
    found = {f.__name__: ours for f, ours in OURS.items() if f.__module__ == "numpy"}
    found |= {name: ours for name, ours in UNIVERSAL.items() if "." not in name and ours is not tensor_of}
    return {name: ours for name, ours in found.items() if name not in vars(functional) and name not in vars(creation)}


def _entered(name: str, function: Function) -> Function:
    """The function; a counterpart of NumPy's, which has no public name yet, gets this one, and explains wrong arguments."""
    if not function.__module__.startswith(numpy_functions.__name__):
        return function
    function.__name__ = function.__qualname__ = name
    function.__module__ = "chainrule"  # where it is found, so that it can be pickled
    function.__doc__ = function.__doc__ or f"np.{name}, through which gradients pass."
    return elsewhere.explaining_calls(function)


def _table(entries: Mapping[str, Function]) -> Mapping[str, Function]:
    return {name: _entered(name, function) for name, function in sorted(entries.items())}


# -------------------------------------------------------------------------------------------- functions
FUNCTIONS = _table(
    _from_numpy()
    | {
        "Parameter": parameter,
        "absolute": functional.abs,
        "all": composites.all,
        "allclose": composites.allclose,
        "any": composites.any,
        "array": tensor,
        "as_tensor": tensor,
        "asarray": tensor,
        "avg_pool1d": composites.avg_pool1d,
        "avg_pool2d": composites.avg_pool2d,
        "bmm": functional.matmul,
        "cat": functional.concatenate,
        "chunk": composites.chunk,
        "clamp": functional.clip,
        "clone": composites.clone,
        "concat": functional.concatenate,
        "div": functional.divide,
        "eq": functional.equal,
        "flatten": composites.flatten,
        "from_numpy": tensor,
        "ge": functional.greater_equal,
        "gt": functional.greater,
        "index_select": composites.index_select,
        "le": functional.less_equal,
        "lt": functional.less,
        "masked_fill": composites.masked_fill,
        "max_pool1d": composites.max_pool1d,
        "max_pool2d": composites.max_pool2d,
        "mm": functional.matmul,
        "mul": functional.multiply,
        "mv": functional.matmul,
        "nan_to_num": composites.nan_to_num,
        "ne": functional.not_equal,
        "neg": functional.negative,
        "norm": OURS[np.linalg.norm],
        "numel": composites.numel,
        "pow": functional.power,
        "rand": composites.rand,
        "randint": composites.randint,
        "randn": composites.randn,
        "randperm": composites.randperm,
        "repeat_interleave": composites.repeat,
        "sub": functional.subtract,
        "t": composites.t,
        "unbind": composites.unbind,
        "unsqueeze": functional.expand_dims,
    }
)

# -------------------------------------------------------------------------------------------- dtypes and constants
CONSTANTS: Mapping[str, Any] = {
    name: getattr(np, name) for name in ("e", "float32", "float64", "inf", "int32", "int64", "nan", "newaxis", "pi", "uint8")
}

# -------------------------------------------------------------------------------------------- methods of Tensors
_SAME_NAME = [
    "abs", "absolute", "add", "all", "allclose", "amax", "amin", "any", "bmm", "broadcast_to", "ceil", "chunk", "clamp",
    "clone", "cos", "cosh", "deg2rad", "diagonal", "diff", "div", "divide", "dot", "elu", "eq", "erf", "exp",
    "exp2", "expand_dims", "expm1", "flip", "floor", "ge", "gelu", "greater", "greater_equal", "gt", "hypot",
    "index_select", "inner", "isfinite", "isinf", "isnan", "le", "leaky_relu", "less", "less_equal", "log", "log10",
    "log1p", "log2", "log_softmax", "logaddexp", "logical_and", "logical_not", "logical_or", "logsumexp", "lt",
    "masked_fill", "matmul", "maximum", "minimum", "mm", "moveaxis", "mul", "multiply", "mv", "nan_to_num", "ne", "neg",
    "negative", "norm", "not_equal", "numel", "outer", "pow", "power", "rad2deg", "ravel", "reciprocal", "relu",
    "repeat_interleave", "roll", "sigmoid", "sign", "silu", "sin", "sinh", "softmax", "softplus", "sqrt", "square",
    "sub", "subtract", "t", "take_along_axis", "tan", "tanh", "tile", "trace", "tril", "triu", "unbind",
    "unsqueeze", "vdot",
]  # fmt: skip

METHODS = _table(
    {name: FUNCTIONS[name] if name in FUNCTIONS else getattr(functional, name) for name in _SAME_NAME}
    | {
        "copy": composites.clone,
        "dim": composites.dim,
        "double": composites.double,
        "expand": composites.expand,
        "expand_as": composites.expand_as,
        "flatten": composites.flatten,
        "float": composites.single,
        "long": composites.long,
        "permute": composites.permute,
        "requires_grad_": composites.requires_grad_,
        "reshape_as": composites.view_as,
        "to": composites.to,
        "type": composites.to,
        "type_as": composites.to,
        "view": composites.view,
        "view_as": composites.view_as,
    }
)
for _name, _method in METHODS.items():
    setattr(Tensor, _name, _method)
