"""Update form: one step of an optimiser for a parameter, from the very rule that the optimiser runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from chainrule import autodiff, ir
from chainrule.derivations.backward import cut_out, whole_gradient
from chainrule.derivations.calculations import Calculation, Place, calculation
from chainrule.derivations.derivation import Derivation
from chainrule.derivations.forms import finished
from chainrule.derivations.formulas import tidy
from chainrule.derivations.lines import given_step, value_step
from chainrule.derivations.request import Request
from chainrule.derivations.steps import Section
from chainrule.derivations.symbols import Formula, derivative_name, natural_order, symbol
from chainrule.derivations.words import PHRASES, sentence
from chainrule.errors import ArgumentError
from chainrule.ir import LEAVES, Array, Node, topological
from chainrule.tensors import Tensor

_STATE_SYMBOLS = {
    "momentum_buffer": "v", "exp_avg": "m", "exp_avg_sq": "v", "max_exp_avg_sq": "v_max", "square_avg": "s",
    "grad_avg": "g_avg", "sum": "G", "acc_delta": "u",
}  # fmt: skip


def update_form(request: Request, optimizer: Any) -> Derivation:
    """The gradient and what the optimiser's rule makes of it.

    Raises:
        ArgumentError: no optimiser, or one that does not hold the parameter.
    """
    if optimizer is None:
        raise ArgumentError(
            "the update form was asked for without an optimizer", "it shows an optimiser's step", "Pass optimizer=…."
        )
    sections: list[Section] = []
    results: dict[str, Array] = {}
    for place in request.places:
        section, value = update_section(request, place, optimizer)
        sections.append(section)
        results[f"{place.name}'"] = value
    found = finished(request, "update", sections, results)
    return Derivation(
        _title(request, optimizer),
        found.form,
        found.language,
        found.precision,
        found.output,
        found.wrt,
        found.sections,
        results,
    )


def _title(request: Request, optimizer: Any) -> Formula:
    symbols = [symbol(p.name) for p in request.places]
    return sentence("title-step", request.language, optimizer=optimizer.rule.name, wrt=symbols)


def update_section(request: Request, place: Place, optimizer: Any) -> tuple[Section, Array]:
    """The step for one parameter or one element of it.

    Raises:
        ArgumentError: the optimiser does not hold it.
    """
    new = stepped(request.calc, place, optimizer)
    calc = calculation(new.node, detail="named")
    inner = [n for n in calc.nodes if n in calc.shown and n.op not in LEAVES]
    group, position = _find(request.calc, place, optimizer)
    meanings = {"eta": "eta", "t": "t", **{name: key for key, name in _state_names(place, group.states[position]).items()}}
    notes = {name: sentence(key, request.language) for name, key in meanings.items() if key in PHRASES and name != place.name}
    if autodiff.gradient(request.calc.output, [place.node], ir.constant(np.ones(request.calc.output.shape)))[0] is None:
        notes[derivative_name(request.calc.output.name or "", place.name)] = sentence("no-flow", request.language)
    steps = [given_step(n, request.precision, notes.get(n.name or "")) for n in _used(calc, inner)]
    steps += [value_step(calc, n, request.precision, simplify=True) for n in inner]
    value = calc.output.value
    assert value is not None
    return Section("update", sentence("update", request.language, symbol=symbol(place.name)), tuple(steps)), value


def _used(calc: Calculation, inner: Sequence[Node]) -> list[Node]:
    """The leaves that are left in the formulas of `inner` when these are simplified."""
    found: dict[str, Node] = {}
    for node in inner:
        top, _, _ = cut_out(node, calc.shown)
        top.name = None
        found |= {n.name: n for n in topological([tidy(top)]) if n.op in LEAVES and n.name}
    computed = {n.name for n in inner}
    return [found[name] for name in sorted(found, key=natural_order) if name not in computed]


def moments(calc: Calculation, place: Place, optimizer: Any, gradient: Array | None = None) -> dict[str, Node]:
    """What the optimiser keeps of a parameter after one step, with its history, by its symbol before the step ("m", "v").

    Raises:
        ArgumentError: the optimiser does not hold the parameter.
    """
    group, position = _find(calc, place, optimizer)
    names = set(_state_names(place, group.states[position]).values())
    history = topological([stepped(calc, place, optimizer, gradient).node])
    return {n.name[:-1]: n for n in history if n.name and n.name.endswith("'") and n.name[:-1] in names}


def step_inputs(calc: Calculation, place: Place, optimizer: Any) -> dict[str, Node]:
    """What the step of a parameter is calculated from beside it and its gradient, by symbol: η, t, m, v, ….

    Raises:
        ArgumentError: the optimiser does not hold the parameter.
    """
    gradient = np.zeros(place.node.shape, place.node.dtype)
    group, position = _find(calc, place, optimizer)
    names = {"eta", "t", *_state_names(place, group.states[position]).values()}
    history = topological([stepped(calc, place, optimizer, gradient).node])
    return {n.name: n for n in history if n.op in LEAVES and n.name in names}


def stepped(
    calc: Calculation,
    place: Place,
    optimizer: Any,
    gradient: Array | None = None,
    *,
    rate: float | None = None,
    count: float | None = None,
) -> Tensor:
    """The parameter after one step, as a Tensor with its history.

    Args:
        calc: the calculation that gives the gradient.
        place: the parameter, or one element of it.
        optimizer: that holds it.
        gradient: to be used in place of the calculation's (of the parameter's shape).
        rate: learning rate, in place of the optimiser's.
        count: the number of this step, in place of the optimiser's.

    Raises:
        ArgumentError: the optimiser does not hold it.
        GradientError: the calculation has no gradient by it, or is no number.
    """
    assert calc.output.name is not None and place.node.value is not None
    group, position = _find(calc, place, optimizer)
    if gradient is None:
        gradient = whole_gradient(calc.output, place.node)
    index: Any = ... if place.index is None else place.index
    parameter = _leaf(place.name, place.node.value[index])
    upstream = _leaf(derivative_name(calc.output.name, place.name), gradient[index])
    state = {}
    for key, name in _state_names(place, group.states[position]).items():
        values = group.states[position][key].numpy()
        state[key] = _leaf(name, values[index] if values.shape == place.node.shape else values)
    eta = _leaf("eta", group.settings["lr"].numpy() if rate is None else np.asarray(rate))
    taken = optimizer.state_tensors()["step"].numpy()
    step = _leaf("t", taken + 1.0 if count is None else np.asarray(count, taken.dtype))
    value, after = optimizer.rule.step(upstream, state, parameter, {**group.settings, "lr": eta}, step)
    for key, moment in after.items():
        if moment.node.op not in LEAVES and moment.name is None:
            moment.named(f"{state[key].name}'")
    return value.named(f"{place.name}'") if value is not parameter else (value + 0.0).named(f"{place.name}'")


def _state_names(place: Place, state: Iterable[str]) -> dict[str, str]:
    """The symbol of every moment that an optimiser keeps of a parameter."""
    names: dict[str, str] = {}
    for key in state:
        name = _STATE_SYMBOLS.get(key, key)
        names[key] = name if name not in (place.name, "t", *names.values()) else f"{name}_{key}"
    return names


def _leaf(name: str, value: Array) -> Tensor:
    return Tensor(ir.variable(np.asarray(value), name=name))


def _find(calc: Calculation, place: Place, optimizer: Any) -> tuple[Any, int]:
    copies: dict[Node, Node] = dict(calc.copies)
    for group in optimizer.groups:
        for position, param in enumerate(group.params):
            if copies.get(param.node) is place.node:
                return group, position
    raise ArgumentError(
        f"the optimizer does not hold {place.name}",
        "it must be one of its parameters, with the value that ran",
        "Make the optimizer with this parameter, and explain before the step is taken.",
    )
