"""The table of layers, and models written down as JSON and made from it again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from chainrule import checks, registry
from chainrule.errors import ArgumentError, ModelFileError
from chainrule.nn.module import Module

M = TypeVar("M", bound=type[Module])

LAYERS: dict[str, type[Module]] = {}


def register_layer(cls: M) -> M:
    """Enter a Module class into `LAYERS`, so that models with it can be saved and loaded. Use it as a decorator.

    The class must keep its constructor's arguments as attributes of the same names (see `Module.config`).

    Raises:
        ArgumentError: it is no such class, or the name is taken by another one.
    """
    checks.subclass(cls, Module, "extend.layer")
    registry.enter(LAYERS, "layer", cls.__name__, cls, cls)
    return cls


def to_config(model: Module) -> dict[str, Any]:
    """A model as JSON-able data: {"layer": name, setting: value, …, "children": {name: …}}. Weights are in `state_dict`.

    Raises:
        ArgumentError: a layer that is not in `LAYERS`, settings that JSON does not have, or one layer in two places.
    """
    _refuse_shared(model)
    return _written(model)


def _refuse_shared(model: Module) -> None:
    paths = [path for path, _ in model._walk("")]
    distinct = {path for path, _ in model.named_modules()}
    again = [path for path in paths if path not in distinct]
    if again:
        raise ArgumentError(
            f"the layer {again[0]!r} occurs in two places of the model",
            "a model with shared layers cannot be saved whole, as loading it would make two layers of one",
            "Save its state_dict, and load that into a model built by your own code.",
        )


def _written(module: Module) -> dict[str, Any]:
    name = type(module).__name__
    if LAYERS.get(name) is not type(module):
        raise ArgumentError(
            f"the layer {name} is not known to chainrule",
            "a saved model holds no code, so every layer in it must be in chainrule.nn.LAYERS",
            f"Decorate the class with @extend.layer, or load its state_dict into a {name} built by your own code.",
        )
    found = {"layer": name, **module.config()}
    parts = module.parts()
    return found | {"children": {key: _written(part) for key, part in parts.items()}} if parts else found


def from_config(config: Mapping[str, Any]) -> Module:
    """The model that `to_config` wrote, with freshly drawn weights (from `cr.random`); no code from the data is run.

    Raises:
        ModelFileError: an unknown layer, or settings that a layer does not take.
    """
    if not isinstance(config, Mapping) or not isinstance(config.get("layer"), str):
        raise ModelFileError(
            f"a layer is described by {config!r}",
            'it must be an object with the name of the layer: {"layer": "Linear", …}',
            "The file was altered or is not a chainrule model.",
        )
    settings = {key: value for key, value in config.items() if key not in ("layer", "children")}
    cls = LAYERS.get(config["layer"])
    if cls is None:
        raise ModelFileError(
            f"the model has a layer {config['layer']!r}",
            f"the layers known here are {', '.join(sorted(LAYERS))}",
            "Import the module that registers it (with @extend.layer) before loading, or name it with --extension.",
        )
    children = config.get("children", {})
    if not isinstance(children, Mapping):
        raise ModelFileError(
            f"the children of {config['layer']} are {children!r}", "they must be an object", "The file was altered."
        )
    return cls.from_parts(settings, {name: from_config(child) for name, child in children.items()})
