"""What names and keywords of PyTorch and NumPy are called in chainrule, for the errors of users who type them first."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from types import FunctionType
from typing import Any, NoReturn, TypeVar

from chainrule.errors import CallError, MissingName

R = TypeVar("R")
C = TypeVar("C", bound=Callable[..., Any])

_ON_HOST = "Arrays live in the memory of this machine; leave it out"
_FIT = "Write cr.Trainer(model, loss, optimizer).fit(X, y, batch_size=32), which makes the batches"
_ASSIGN = "Make a new Tensor, or write x.assign(value)"

TENSOR: Mapping[str, str] = {
    "add_": _ASSIGN,
    "argsort": "Write np.argsort(x)",
    "bool": "Write x.astype(bool)",
    "cast": "Write x.astype(dtype)",
    "contiguous": "Values always are; leave it out",
    "copy_": "Write x.assign(value)",
    "cpu": _ON_HOST,
    "cuda": _ON_HOST,
    "cumsum": "Write np.tri(n) @ x",
    "data": "Read x.numpy(), or write x.assign(value)",
    "device": _ON_HOST,
    "fill_": _ASSIGN,
    "grad_fn": "Read x.formula(), or x.node",
    "half": "Numbers are float32 or float64; write x.astype('float32')",
    "int": "Write x.astype('int32')",
    "is_leaf": "Write not x.node.inputs",
    "mul_": _ASSIGN,
    "repeat": "Write x.tile(repeats) for PyTorch's repeat, x.repeat_interleave(n, axis) for NumPy's",
    "retain_grad": "Write cr.grad(E, [x])",
    "round": "Write np.round(x.numpy()); its derivative is 0 everywhere",
    "sub_": _ASSIGN,
    "sort": "Write cr.take_along_axis(x, np.argsort(x, axis), axis)",
    "take": "Write cr.take(x, indices)",
    "topk": "Write np.argsort(x), and cr.gather",
    "zero_": _ASSIGN,
}
FUNCTIONS: Mapping[str, str] = {
    "DataLoader": _FIT,
    "adaptive_avg_pool2d": "Write cr.global_avg_pool(x)",
    "argsort": "Write np.argsort(x)",
    "autograd": "Write cr.grad(E, [w])",
    "bool": "Write bool, or np.bool_",
    "cross_entropy": "Write nn.functional.cross_entropy(output, target)",
    "cuda": _ON_HOST,
    "cumsum": "Write np.tri(n) @ x",
    "device": _ON_HOST,
    "dropout": "Write nn.functional.dropout(x, p)",
    "float": "Write 'float32', or np.float32",
    "floor_divide": "Write cr.floor(a / b)",
    "inference_mode": "Write with cr.no_grad(): …",
    "linear": "Write nn.functional.linear(x, weight, bias)",
    "load": "Write cr.load_model(path)",
    "long": "Write np.int64",
    "mse_loss": "Write nn.functional.mse_loss(output, target)",
    "ndarray": "Write cr.Tensor",
    "nll_loss": "Write nn.functional.nll_loss(output, target)",
    "remainder": "Write a - b * cr.floor(a / b)",
    "round": "Write np.round(x.numpy()); its derivative is 0 everywhere",
    "save": "Write cr.save_model(model, path)",
    "sort": "Write cr.take_along_axis(x, np.argsort(x, axis), axis)",
    "topk": "Write np.argsort(x), and cr.take_along_axis",
    "trunc": "Write cr.sign(x) * cr.floor(cr.abs(x))",
    "utils": _FIT,
    "value_and_gradient": "Write cr.value_and_grad(f)",
}
LAYERS: Mapping[str, str] = {
    "AdaptiveAvgPool1d": "Write nn.GlobalAvgPool()",
    "AdaptiveAvgPool2d": "Write nn.GlobalAvgPool()",
    "AdaptiveMaxPool2d": "Write nn.GlobalMaxPool()",
    "DataParallel": "Trainer(threads=…) uses the processors of this machine",
    "ParameterList": "Assign the parameters to attributes of a Module",
    "SmoothL1Loss": "Write nn.HuberLoss()",
    "Upsample": "Write nn.ConvTranspose2d",
    "utils": "Write optim.clip_grad_norm_, or Trainer(clip_norm=…)",
}
MODULE: Mapping[str, str] = {
    "append": "Write nn.Sequential(*model, layer)",
    "bfloat16": "Make the layers with dtype='float32' or dtype='float64'",
    "compile": "Write cr.compile(model)",
    "cpu": _ON_HOST,
    "cuda": _ON_HOST,
    "double": "Make the layers with dtype='float64'",
    "fit": "Write cr.Trainer(model, loss, optimizer).fit(X, y)",
    "float": "Make the layers with dtype='float32'",
    "half": "Make the layers with dtype='float32'",
    "register_forward_hook": "Write with nn.observing(function): …",
    "save": "Write cr.save_model(model, path)",
    "summary": "Write cr.summary(model, shape)",
    "to": "Give layers dtype= where they are made; " + _ON_HOST.lower(),
}
OPTIMIZER: Mapping[str, str] = {
    "add_param_group": "Give all groups when it is made: [{'params': …, 'lr': …}, …]",
    "defaults": "Read optimizer.groups",
    "param_groups": "Read optimizer.groups, and set a rate with group.lr.assign(0.1) or optimizer.lr = 0.1",
    "state": "Read optimizer.state_tensors()",
}
OPTIMIZERS: Mapping[str, str] = {
    "LBFGS": "Use optim.Adam",
    "NAdam": "Use optim.Adam, or optim.SGD(nesterov=True)",
    "RAdam": "Use optim.Adam with optim.LinearLR",
}
LOSS: Mapping[str, str] = {
    "backward": "Write loss(outputs, targets).backward()",
    "item": "Write loss(outputs, targets).item()",
}
DATA: Mapping[str, str] = {
    "DataLoader": _FIT,
    "TensorDataset": "Give the arrays to cr.Trainer(model, loss, optimizer).fit(X, y)",
    "random_split": "Write split_rows(len(X), validation_share, seed)",
}
TRAINER: Mapping[str, str] = {
    "compile": "Give loss, optimizer and metrics to Trainer",
    "optimizers": "Read trainer.optimizer",
    "save": "Write cr.save_trainer(trainer, path)",
    "train": "Write trainer.fit(X, y)",
    "test": "Write trainer.evaluate(X, y)",
}
# Parameters of scikit-learn's MLPClassifier and MLPRegressor, and those of chainrule's estimators that take their place.
ESTIMATOR: Mapping[str, str] = {
    "alpha": "l2",
    "early_stopping": "patience",
    "hidden_layer_sizes": "hidden",
    "learning_rate_init": "learning_rate",
    "max_iter": "epochs",
    "n_iter_no_change": "patience",
    "solver": "optimizer",
    "validation_fraction": "validation",
}
# Keywords that mean what one of ours means, the first that a function has, and are taken for it.
SAME: Mapping[str, str] = {
    "A": "x",
    "a": "x",
    "a_max": "high",
    "a_min": "low",
    "arr": "x",
    "arrays": "tensors",
    "ddof": "correction",
    "dim": "axis",
    "dims": "axes axis",
    "end": "stop",
    "fill_value": "value",
    "input": "x a",
    "keepdim": "keepdims",
    "kernel_size": "window",
    "m": "x",
    "max": "high",
    "min": "low",
    "negative_slope": "slope",
    "num": "count",
    "other": "b",
    "reps": "repeats",
    "size": "shape",
    "steps": "count",
}
# Functions of which PyTorch's gives something else with a keyword of `SAME`.
_UNLIKE: Mapping[tuple[str, str], str] = {
    (name, "dim"): f"PyTorch's {name} gives values and positions; write axis= for the values, and arg{name} for the positions"
    for name in ("max", "min")
}
# Keywords that mean something else, or need another value.
_KEYWORDS: Mapping[str, str] = {"axes": "axis", "dim0": "axes", "learning_rate": "lr", "unbiased": "correction"}
_ARGUMENTS: Mapping[str, str] = {
    "create_graph": "Leave it out: gradients of cr.grad are graphs, and can be differentiated again",
    "device": _ON_HOST,
    "error_if_nonfinite": "Leave it out, and look at the norm that is returned",
    "norm_type": "Leave it out: the norm is the Euclidean one, √(Σ g²)",
    "requires_grad": "Write cr.tensor(data, requires_grad=True), or cr.parameter(data)",
    "retain_graph": "Leave it out: graphs are kept, and backward can be called again",
    "set_to_none": "Leave it out: zero_grad sets gradients to None",
}


class Size(int):
    """A number of elements that says what to write to those who call it, as `x.size()` is called in PyTorch."""

    def __call__(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Raises CallError."""
        raise CallError(
            "the size of a Tensor was called, x.size()",
            "x.size is its number of elements, as in NumPy",
            "Write x.shape for the lengths of all axes, or x.shape[axis] for one.",
        )


def missing(owner: str, name: str, known: Iterable[str], instead: Mapping[str, str]) -> MissingName:
    """The error for a name that is not there: what to write in its place, from a table or by likeness.

    Args:
        owner: what has no such name ("a Tensor", "chainrule.nn").
        name: what was asked for.
        known: the names that there are.
        instead: instructions by name.
    """
    fix = instead.get(name)
    if fix is None:
        names = [k for k in known if not k.startswith("_")]
        by_small = {k.lower(): k for k in names}
        near = difflib.get_close_matches(name.lower(), by_small, n=1, cutoff=0.7)
        fix = f"Did you mean {by_small[near[0]]}?" if near else "Look at the README for what there is"
    end = "" if fix.endswith("?") else "."
    error = MissingName(f"{owner} has no {name!r}", "names follow NumPy and PyTorch", fix + end)
    error.name = name
    return error


def explaining_calls(function: C, keywords: Mapping[str, str] = _KEYWORDS) -> C:
    """The function, whose wrong arguments are a CallError that says what it takes; keywords of `SAME` are no wrong ones.

    Args:
        function: with the arguments that it takes.
        keywords: what arguments of other libraries are called here.
    """

    @wraps(function)
    def explained(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except TypeError as error:
            wrong = _wrong_arguments(function, args, kwargs, keywords)
            translated = None if wrong is None else _translated(function, args, kwargs)
            if translated is None:
                raise wrong or error from None
        return function(*args, **translated)  # nothing has run yet, as the arguments were refused

    return explained  # type: ignore[return-value]


def called(function: Callable[..., R], *args: Any) -> R:
    """What a function of a user gives; wrong arguments are a CallError that says what it takes."""
    try:
        return function(*args)
    except TypeError as error:
        raise _wrong_arguments(function, args, {}) or error from None


def _translated(function: Callable[..., Any], args: Any, kwargs: Mapping[str, Any]) -> dict[str, Any] | None:
    """The keywords with ours in place of those of the same meaning, if the function takes them."""
    signature = inspect.signature(function)
    takes = signature.parameters
    if any((function.__name__, keyword) in _UNLIKE for keyword in kwargs):
        return None

    def ours(keyword: str) -> str:
        meant = () if keyword in takes else SAME.get(keyword, "").split()
        return next((name for name in meant if name in takes), keyword)

    translated = {ours(keyword): value for keyword, value in kwargs.items()}
    try:
        signature.bind(*args, **translated)
    except TypeError:
        return None
    return translated if len(translated) == len(kwargs) else None


def _wrong_arguments(
    function: Callable[..., Any], args: Any, kwargs: Mapping[str, Any], keywords: Mapping[str, str] = _KEYWORDS
) -> CallError | None:
    try:
        signature = inspect.signature(function)
    except ValueError:  # written in C, without one
        return None
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        takes = [name for name in signature.parameters if name != "self"]
        name = getattr(function, "__name__", "")
        translated = [f"{_UNLIKE[name, k]}." for k in kwargs if (name, k) in _UNLIKE]
        translated += [f"Write {keywords[k]}= in place of {k}=." for k in kwargs if keywords.get(k) in takes]
        translated += [f"{_ARGUMENTS[k]}." for k in kwargs if k in _ARGUMENTS and k not in takes]
        expected = f"it takes {', '.join(takes) or 'no arguments'}"
        return CallError(
            f"{_called(function, args)} was called wrongly ({error})", expected, next(iter(translated), "Check the call.")
        )
    return None


_CALLS = ("__init__", "__call__", "forward")  # what runs when a class or its object is called


class Explaining:
    """Base of classes that explain wrong arguments of their constructors, and of calls of their objects."""

    # Not `__new__`: up to Python 3.11.3, inspect.signature of a class prefers it to an `__init__` that the class inherits.
    def __init__(self, *args: Any, **settings: Any) -> None:
        """Refuses arguments for a class without a constructor of its own."""
        if args or settings:
            name, given = type(self).__name__, ", ".join([*map(repr, args), *(f"{k}={v!r}" for k, v in settings.items())])
            raise CallError(f"{name} got {given}", "it takes no arguments", f"Write {name}().")
        super().__init__()

    def __init_subclass__(cls, **settings: Any) -> None:
        super().__init_subclass__(**settings)
        for name in _CALLS:
            if isinstance(vars(cls).get(name), FunctionType):
                setattr(cls, name, explaining_calls(vars(cls)[name]))


def _called(function: Callable[..., Any], args: Sequence[Any]) -> str:
    """What is written to call a function; for the constructor of a class and what its objects do when called, the class."""
    name = getattr(function, "__name__", type(function).__name__)
    if name == "forward" and args:  # it may be inherited
        return type(args[0]).__name__
    return function.__qualname__.split(".")[-2] if name in _CALLS and "." in function.__qualname__ else name


def explain_calls_of_methods(cls: type) -> None:
    """Let the constructor and the public methods of a class explain wrong arguments."""
    for name, method in list(vars(cls).items()):
        if isinstance(method, FunctionType) and (name == "__init__" or not name.startswith("_")):
            setattr(cls, name, explaining_calls(method))
