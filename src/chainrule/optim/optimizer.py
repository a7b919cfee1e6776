"""Optimisers as objects: they hold a rule's state and settings, and assign to parameters what the rule says.

In the equations W is a parameter, dW = ∂C/∂W its gradient, reg = weight_decay, η = lr, t = 1, 2, … the step; squares, roots
and quotients are taken element by element. All state is made in the constructor, so that captured steps see it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, TypeVar

import numpy as np

from chainrule import checks, elsewhere, registry
from chainrule.conversions import as_numpy
from chainrule.errors import ArgumentError, CallError, DTypeError, ShapeError
from chainrule.ir import Array
from chainrule.optim.rules import RULES, Rule, State
from chainrule.reads import Noted, attributes
from chainrule.recording import no_grad
from chainrule.tensors import Tensor, tensor

_SAVED_STATE = "Give what state_dict() of such an optimiser returned."
Parameters = Iterable[Tensor] | Iterable[tuple[str, Tensor]] | Iterable[Mapping[str, Any]]


@dataclass(eq=False)
class Group(Noted):
    """Parameters with the same settings.

    Attributes:
        names, params, states: per parameter its name in checkpoints, the Tensor, and what the rule keeps for it.
        settings: the hyperparameters; `lr` among them is the Tensor `lr`.
    """

    names: tuple[str, ...]
    params: tuple[Tensor, ...]
    states: tuple[State, ...]
    settings: Mapping[str, Any]

    @property
    def lr(self) -> Tensor:
        """The learning rate η, a Tensor float64[]: assign to it to change the rate, inside a compiled function too."""
        found: Tensor = self.settings["lr"]
        return found

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in self.__dataclass_fields__ or name in attributes(self):
            write = "group.lr.assign(0.1)" if name == "lr" else "a new optimiser with these settings"
            raise ArgumentError(f"{name} of a group was set", "settings of a group cannot be assigned", f"Write {write}.")
        super().__setattr__(name, value)

    def __getitem__(self, key: str) -> Any:
        write = "group.lr, and group.lr.assign(0.1) to set it" if key == "lr" else f"group.settings[{key!r}]"
        raise CallError(f"group[{key!r}] was written", "a group is not a dict", f"Write {write}.")

    def __setitem__(self, key: str, value: Any) -> None:
        self[key]


class Optimizer(Noted, elsewhere.Explaining):
    """A rule at work on parameters. The classes below have one built in; this one takes any `Rule`.

    While a parameter is frozen (`requires_grad = False`) it stays as it is, and so do its moments.

    One step count serves all parameters. (PyTorch counts per parameter, which differs for one that gets its first gradient
    after the first step.)

    Args:
        params: parameters, (name, Tensor) pairs, or groups {"params": Tensors or pairs, "lr": …, …} that
            override settings. The names are those in checkpoints; without them it is the position "0", "1", ….
        rule: what to do with a gradient.
        settings: every hyperparameter of the rule, by name.

    Attributes:
        rule: as given.
        groups: the groups of parameters, one if none were given.
        variants: names on the command line beside its own, each with the settings that it stands for.
        usual_lr: the learning rate that `chainrule train` begins with.

    Raises:
        ArgumentError: no parameters, a Tensor that is none, one given twice, or a setting out of its range.
    """

    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = MappingProxyType({})
    usual_lr: ClassVar[float] = 0.05

    def __init__(self, params: Parameters, rule: Rule, **settings: Any) -> None:
        self.rule = rule
        descriptions = _as_groups(params, rule.name)
        members = _named([list(_entries(d["params"], rule.name)) for d in descriptions], rule.name)
        self._count = tensor(0.0, name="step")
        self.groups = tuple(
            self._group(k, names, settings | {key: v for key, v in d.items() if key != "params"})
            for k, (names, d) in enumerate(zip(members, descriptions, strict=True))
        )

    def _group(self, index: int, members: Mapping[str, Tensor], settings: Mapping[str, Any]) -> Group:
        checked = self.rule.checked(settings)
        checked["lr"] = tensor(checked["lr"], name=f"lr.{index}")
        states = tuple(self.rule.begin(p, checked) for p in members.values())
        for name, state in zip(members, states, strict=True):
            for key, moment in state.items():
                moment.named(f"{name}.{key}")
        return Group(tuple(members), tuple(members.values()), states, checked)

    # ---------------------------------------------------------------------------------------- learning
    def step(self) -> None:
        """Give every parameter that has a gradient its new value; the others, those frozen, and their state are left alone."""
        updated = [
            (param, gradient, state, group.settings)
            for group in self.groups
            for param, state in zip(group.params, group.states, strict=True)
            if param.requires_grad and (gradient := param.grad) is not None
        ]
        if not updated:
            return
        with no_grad():
            self._count.assign(self._count + 1.0)
            for param, gradient, state, settings in updated:
                value, new = self.rule.step(gradient, state, param, settings, self._count)
                param.assign(value)
                for key, moment in state.items():
                    moment.assign(new[key])

    def zero_grad(self) -> None:
        """Forget the gradients: set them to None."""
        for group in self.groups:
            for param in group.params:
                param.grad = None

    @property
    def lr(self) -> float:
        """The learning rate of the first group; setting it sets it for all groups."""
        return float(self.groups[0].lr.item())

    @lr.setter
    def lr(self, value: float) -> None:
        rate = self.rule.value("lr", value)
        for group in self.groups:
            group.lr.assign(rate)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        raise elsewhere.missing(f"the optimiser {type(self).__name__}", name, dir(type(self)), elsewhere.OPTIMIZER)

    # ---------------------------------------------------------------------------------------- checkpoints
    def state_tensors(self) -> dict[str, Tensor]:
        """The Tensors that a checkpoint holds: "step", "lr.<group>", and "<parameter>.<moment>"."""
        found = {"step": self._count}
        for k, group in enumerate(self.groups):
            found[f"lr.{k}"] = group.lr
            found |= {f"{name}.{key}": m for name, s in zip(group.names, group.states, strict=True) for key, m in s.items()}
        return found

    def state_dict(self) -> dict[str, Array]:
        """Copies of the values of `state_tensors`."""
        return {name: np.array(t.numpy()) for name, t in self.state_tensors().items()}

    def load_state_dict(self, arrays: Mapping[str, Array]) -> None:
        """Take the values of a `state_dict`, bit by bit; nothing changes if they do not fit.

        Raises:
            ArgumentError: an entry is missing or unknown. ShapeError, DTypeError: one is of another shape or dtype.
        """
        arrays = checks.kind(arrays, Mapping, "load_state_dict got {}", "it takes a mapping from names to arrays", _SAVED_STATE)
        tensors = self.state_tensors()
        _check_entries(self.rule.name, tensors, arrays)
        for name, target in tensors.items():
            target.assign(arrays[name])

    def config(self) -> dict[str, Any]:
        """Name and present settings, with the parameters by name, as JSON can hold them; see `from_config`."""
        return {"name": self.rule.name, "groups": [_group_config(group) for group in self.groups]}


elsewhere.explain_calls_of_methods(Optimizer)


def _listed(params: Any, name: str) -> list[Any]:
    if isinstance(params, Tensor | Mapping | str) or not isinstance(params, Iterable):
        raise ArgumentError(
            f"{name} got a {type(params).__name__} for its parameters",
            "it takes a list of Tensors, of (name, Tensor) pairs, or of groups",
            f"Write {name}([W, b]), or {name}(model.parameters()).",
        )
    return list(params)


def _as_groups(params: Any, name: str) -> list[Mapping[str, Any]]:
    """What the user gave, as descriptions of groups."""
    entries = _listed(params, name)
    if not any(isinstance(e, Mapping) for e in entries):
        return [{"params": entries}]
    for entry in entries:
        if not isinstance(entry, Mapping) or "params" not in entry:
            raise ArgumentError(
                f"{name} got a group without the key 'params'" if isinstance(entry, Mapping) else f"{name} got a mixed list",
                "each group is a dict like {'params': [W], 'lr': 0.1}",
                "Write all parameters in groups, or none.",
            )
    return entries


def _entries(params: Any, name: str) -> Iterator[tuple[str | None, Tensor]]:
    """Names, where they were given, and Tensors of one group."""
    for entry in [params] if isinstance(params, Tensor) else _listed(params, name):
        label, param = entry if isinstance(entry, tuple) and len(entry) == 2 else (None, entry)
        if not isinstance(param, Tensor) or not isinstance(label, str | None):
            raise ArgumentError(
                f"{name} got a {type(param).__name__} among its parameters",
                "they are Tensors, or (name, Tensor) pairs",
                "Make it with cr.parameter(...).",
            )
        if not param.is_parameter:
            raise ArgumentError(
                f"{name} got a Tensor of shape {param.shape} with requires_grad=False",
                "an optimiser can only change Tensors that get a gradient",
                "Make it with cr.parameter(...), or leave it out.",
            )
        yield label, param


def _named(groups: list[list[tuple[str | None, Tensor]]], name: str) -> list[dict[str, Tensor]]:
    """The parameters of every group by name; the position, counted over all groups, where no name was given."""
    seen: set[str] = set()
    tensors: set[int] = set()
    found: list[dict[str, Tensor]] = []
    for group in groups:
        if not group:
            raise ArgumentError(
                f"{name} got no parameters", "it needs at least one", "Check that the model has layers with weights."
            )
        found.append({})
        for label, param in group:
            key = str(len(seen)) if label is None else label
            if key in seen or id(param) in tensors:
                raise ArgumentError(
                    f"{name} got the parameter {key!r} twice", "each belongs to one group, once", "Leave out one."
                )
            seen.add(key)
            tensors.add(id(param))
            found[-1][key] = param
    return found


def _check_entries(name: str, tensors: Mapping[str, Tensor], arrays: Mapping[str, Array]) -> None:
    for verb, keys in (("lacks", tensors.keys() - arrays.keys()), ("has the unknown", arrays.keys() - tensors.keys())):
        if keys:
            raise ArgumentError(
                f"the state given to {name} {verb} {', '.join(map(repr, sorted(keys)))}",
                "it must come from an optimiser of the same kind, with the same settings and parameter names",
                "Make the optimiser as it was when the state was saved.",
            )
    for key, target in tensors.items():
        array = as_numpy(arrays[key])
        for what, given, expected, kind in (
            ("shape", array.shape, target.shape, ShapeError),
            ("dtype", array.dtype, target.dtype, DTypeError),
        ):
            if given != expected:
                raise kind(
                    f"the entry {key!r} of the state given to {name} has {what} {given}",
                    f"it must have {what} {expected}",
                    "Load it into the optimiser of the same model.",
                )


def _group_config(group: Group) -> dict[str, Any]:
    settings = {key: list(value) if isinstance(value, tuple) else value for key, value in group.settings.items()}
    return {"params": list(group.names), **settings, "lr": float(group.lr.item())}


C = TypeVar("C", bound=type[Optimizer])

OPTIMIZERS: dict[str, type[Optimizer]] = {}


def register_optimizer(rule: Rule) -> Callable[[C], C]:
    """A decorator for an Optimizer class: enters it into `OPTIMIZERS` and its rule into `RULES`, so that it can be saved.

    The class takes the parameters and the settings of the rule, each with a default.

    Raises:
        ArgumentError: the name, also that on the command line, is taken by another class, or is not that of the rule.
    """

    def enter(cls: C) -> C:
        if cls.__name__ != rule.name:
            raise ArgumentError(
                f"the optimiser {cls.__name__} has a rule named {rule.name}",
                "both must have the same name",
                "Rename one of them.",
            )
        others = (other for other in OPTIMIZERS.values() if other.__name__ != rule.name)
        registry.check_commands("optimiser", _commands(cls), (name for other in others for name in _commands(other)))
        registry.enter(OPTIMIZERS, "optimiser", rule.name, cls, cls)
        RULES[rule.name] = rule
        return cls

    return enter


def commands() -> dict[str, tuple[type[Optimizer], Mapping[str, Any]]]:
    """What can be chosen on the command line: name to optimiser and settings."""
    return {name: (cls, settings) for cls in OPTIMIZERS.values() for name, settings in _commands(cls).items()}


def _commands(cls: type[Optimizer]) -> dict[str, Mapping[str, Any]]:
    """The names of an optimiser on the command line, with the settings that each stands for."""
    return {name.lower(): settings for name, settings in {cls.__name__: {}, **cls.variants}.items()}


def from_config(config: Mapping[str, Any], params: Iterable[Tensor] | Iterable[tuple[str, Tensor]]) -> Optimizer:
    """An optimiser with the settings of a `config()`, its state fresh.

    Args:
        config: what `Optimizer.config` gave.
        params: all parameters, under the names that `config` has; without names the position counts.

    Raises:
        ArgumentError: an unknown optimiser, or parameters under other names.
    """
    name, groups = config.get("name"), config.get("groups", [])
    if name not in OPTIMIZERS:
        raise ArgumentError(
            f"the optimiser {name!r} was asked for", f"there are {', '.join(OPTIMIZERS)}", "Check the spelling."
        )
    (given,) = _named([list(_entries(params, name))], name)
    wanted = [key for group in groups for key in group["params"]]
    if sorted(wanted) != sorted(given):
        raise ArgumentError(
            f"the parameters {', '.join(given)} were given with a configuration of {name}",
            f"it is for {', '.join(wanted)}",
            "Give the parameters of the same model, as (name, Tensor) pairs if they had names.",
        )
    make: Any = OPTIMIZERS[name]
    found: Optimizer = make([{**group, "params": [(key, given[key]) for key in group["params"]]} for group in groups])
    return found
