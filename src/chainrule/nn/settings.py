"""Constructor arguments as JSON-able settings, and objects made from them again.

Layers and losses keep every argument of their constructor as an attribute of the same name, as scikit-learn's estimators do.
That is all that is needed to write one down and to make it again without running code from a file.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np

from chainrule import checks
from chainrule.errors import ArgumentError, ChainruleError, DTypeError, ModelFileError
from chainrule.ir import DType, as_dtype

T = TypeVar("T")


def argument_names(cls: type) -> list[str]:
    """Names of the constructor's arguments, without `*args` and `**kwargs`."""
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [name for name, p in inspect.signature(cls).parameters.items() if p.kind not in variadic]


def defaults(cls: type) -> dict[str, Any]:
    """Default values of the constructor's arguments that have one, as JSON-able values."""
    found = {name: p.default for name, p in inspect.signature(cls).parameters.items()}
    return {name: value for name, value in found.items() if value is not inspect.Parameter.empty}


def as_json(owner: object, name: str, value: Any) -> Any:
    """A setting as a JSON-able value: tuples and arrays become lists, dtypes their names.

    Raises:
        ArgumentError: a value that JSON does not have.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.dtype):
        return value.name
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, list | tuple):
        return [as_json(owner, name, v) for v in value]
    if isinstance(value, Mapping) and all(isinstance(k, str) for k in value):
        return {k: as_json(owner, name, v) for k, v in value.items()}
    raise ArgumentError(
        f"the setting {name} of {type(owner).__name__} is a {type(value).__name__}",
        "a model can be saved only if its settings are numbers, strings, booleans, lists and dicts",
        f"Define config() on {type(owner).__name__} so that it returns such values.",
    )


def settings_of(owner: object, names: list[str]) -> dict[str, Any]:
    """The attributes of those names, as JSON-able values.

    Raises:
        ArgumentError: an argument that was not kept, or one that JSON does not have.
    """
    for name in names:
        if not hasattr(owner, name):
            cls = type(owner).__name__
            raise ArgumentError(
                f"{cls} takes the argument {name!r} but has no attribute of that name",
                "a model can be saved only if its layers keep their arguments",
                f"Write self.{name} = {name} in {cls}.__init__, or define config() on {cls}.",
            )
    return {name: as_json(owner, name, getattr(owner, name)) for name in names}


def construct(cls: type[T], what: str, *args: Any, **settings: Any) -> T:
    """`cls(*args, **settings)` with settings from a file.

    Raises:
        ModelFileError: the constructor does not take them.
    """
    try:
        inspect.signature(cls).bind(*args, **settings)
        return cls(*args, **settings)
    except (ChainruleError, TypeError, ValueError) as error:
        raise ModelFileError(
            f"the {what} {cls.__name__} cannot be made from the settings in the model file ({error})",
            f"they must be arguments that {cls.__name__} takes",
            "The file was altered or comes from another version; save the model again.",
        ) from error


def call_text(owner: object, settings: Mapping[str, Any]) -> str:
    """`Name(setting=value, …)` with the settings that differ from the defaults."""
    usual = defaults(type(owner))
    shown = {k: v for k, v in settings.items() if k not in usual or as_json(owner, k, usual[k]) != v}
    return f"{type(owner).__name__}({', '.join(f'{k}={v!r}' for k, v in shown.items())})"


# -------------------------------------------------------------------------------------------- checks
def float_dtype(dtype: Any, layer: str) -> DType:
    """The dtype of parameters.

    Raises:
        DTypeError: not a floating one.
    """
    found = as_dtype(dtype)
    if found.kind != "f":
        raise DTypeError(f"{layer} got dtype={found}", "parameters are float32 or float64", "Choose one of them.")
    return found


def positive(layer: str, **sizes: int) -> None:
    """Refuse sizes that are not integers ≥ 1.

    Raises:
        ArgumentError: naming the setting.
    """
    for name, value in sizes.items():
        checks.whole(layer, name, value, 1)
