"""`explain`: the gradient of one value by others, derived from the nodes that ran."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from chainrule import autodiff
from chainrule.derivations.arguments import Wrt, check_optimizer, check_options, check_output, listed_wrt
from chainrule.derivations.attribution import attribution_form
from chainrule.derivations.backward import Gradient, backward
from chainrule.derivations.calculations import (
    At,
    Blocks,
    Calculation,
    Detail,
    Place,
    calculation,
    caller_variables,
    place_named,
    place_of,
)
from chainrule.derivations.derivation import Derivation
from chainrule.derivations.forms import Form, finished, forward_sections
from chainrule.derivations.lines import gradient_step
from chainrule.derivations.matrix import matrix_form
from chainrule.derivations.paths import path_section
from chainrule.derivations.request import Request
from chainrule.derivations.steps import Section, Step
from chainrule.derivations.symbols import derivative_name, natural_order, symbol
from chainrule.derivations.update import update_form
from chainrule.derivations.words import sentence
from chainrule.errors import GradientError
from chainrule.ir import Array, Node, topological
from chainrule.language import Language
from chainrule.tensors import Tensor


def explain(
    output: Tensor,
    wrt: Wrt = None,
    *,
    at: At | None = None,
    form: Form = "graph",
    language: Language = "en",
    precision: int = 6,
    blocks: Blocks = "whole",
    detail: Detail = "auto",
    most: int = 12,
    optimizer: Any = None,
) -> Derivation:
    """Derive ∂output/∂wrt step by step, with symbols and numbers, from the graph that ran.

    Args:
        output: what is differentiated; a scalar (form "graph" takes any shape, with upstream gradient 1 everywhere).
        wrt: Tensors of the calculation, elements such as `w[0, 1]`, or names; all that are given (not constant) if left out,
            or all that `optimizer` holds.
        at: values for leaves, by name or Tensor, in place of those that ran.
        form: "graph" (forward table, then backward node by node), "path" (one product per path, for one number), "matrix"
            (layers: z, a, δ and the gradients of W and b), "update" (a step of `optimizer`), or "attribution" (heuristics).
        language: "en" or "zh".
        precision: significant digits shown; everything is computed in full.
        blocks: "whole" keeps blocks such as affine as one step, "expanded" shows their bodies; or the names of those to expand.
        detail: "all" shows every node, "named" those with names, "auto" the named ones if intermediate results have names.
        most: how many paths or terms are listed before the rest is summed.
        optimizer: for form "update": an optimiser of `chainrule.optim` that holds the parameters.

    Returns:
        A `Derivation`; print it, or see its `to_latex`, `to_markdown`, `to_html`, `to_dict`.

    Raises:
        ArgumentError: an unknown form, language, name or option.
        GradientError: `output` does not depend on `wrt`, or only through something without a derivative.
    """
    check_output(output)
    check_options(form=form, language=language, precision=precision, blocks=blocks, detail=detail, most=most)
    check_optimizer(optimizer, "explain")
    variables = caller_variables(1)
    wanted = listed_wrt(wrt)
    order = topological([output.node])
    known = set(order)
    nodes = [place_of(w.node, known, _describe(w)) if isinstance(w, Tensor) else None for w in wanted]
    calc = calculation(
        output.node, at=at, blocks=blocks, detail=detail, variables=variables, keep=[p.node for p in nodes if p is not None]
    )
    places = [
        place_named(str(w), calc) if p is None else Place(calc.copies[p.node], p.index)
        for w, p in zip(wanted, nodes, strict=True)
    ]
    held = () if form != "update" or optimizer is None else _held(calc, optimizer)
    chosen = tuple(places) or held
    request = Request(calc, chosen or _free_leaves(calc), bool(chosen), language, precision, most)
    for place in request.places:
        check_depends(calc, place)
    return _FORMS[form](request, optimizer)


# What makes a derivation of each form; the optimiser is for form "update" alone.
_FORMS: Mapping[Form, Callable[[Request, Any], Derivation]] = {
    "graph": lambda request, _: graph_form(request),
    "path": lambda request, _: path_form(request),
    "matrix": lambda request, _: matrix_form(request),
    "attribution": lambda request, _: attribution_form(request),
    "update": update_form,
}


def _describe(tensor: Tensor) -> str:
    return f"the Tensor {tensor.name!r}" if tensor.name else f"a Tensor of shape {tensor.shape}"


def _held(calc: Calculation, optimizer: Any) -> tuple[Place, ...]:
    """The parameters of an optimiser that the calculation uses."""
    params = [p.node for group in optimizer.groups for p in group.params]
    return tuple(Place(calc.copies[p]) for p in params if p in calc.copies)


def _free_leaves(calc: Calculation) -> tuple[Place, ...]:
    """All floating leaves that are not constants and that the output depends on differentiably."""
    leaves = [n for n in calc.nodes if n.op in ("variable", "input") and n.dtype.kind == "f"]
    found = autodiff.gradient(calc.output, leaves, None if calc.output.size == 1 else _ones(calc.output)) if leaves else []
    kept = tuple(Place(leaf) for leaf, g in zip(leaves, found, strict=True) if g is not None)
    kept = tuple(sorted(kept, key=lambda place: natural_order(place.name)))
    if not kept:
        raise GradientError(
            "this calculation has nothing to differentiate with respect to",
            "at least one floating Tensor must go into it",
            "Make the inputs with cr.tensor(...) or cr.parameter(...).",
        )
    return kept


def _ones(node: Node) -> Node:
    return Node("constant", (), {}, node.shape, node.dtype, None, np.ones(node.shape, node.dtype))


def check_depends(calc: Calculation, place: Place) -> None:
    """Refuse a place that the output does not depend on differentiably.

    Raises:
        GradientError: naming both.
    """
    if place.node is not calc.output:
        autodiff.zero_or_error(calc.output, place.node, lambda node: repr(node.name) if node.name else repr(node))
    if place.node.dtype.kind != "f":
        raise GradientError(
            f"a gradient with respect to {place.name} of dtype {place.node.dtype} was asked for",
            "it must be floating",
            "Use astype.",
        )


def element_step(gradient: Gradient, place: Place, request: Request) -> Step:
    """One element of a gradient."""
    assert place.index is not None and request.calc.output.name is not None
    name = derivative_name(request.calc.output.name, place.name)
    value = gradient.value[place.index]
    return Step("element", name, symbol(name), (), value, request.precision, sentence("chosen", request.language))


def graph_form(request: Request) -> Derivation:
    """Forward table, then backward node by node."""
    found = backward(request.calc, [p.node for p in request.places])
    steps = [gradient_step(request.calc, g, request.language, request.precision) for g in found]
    by_node = {g.node: g for g in found}
    elements = tuple(element_step(by_node[p.node], p, request) for p in request.places if p.index is not None)
    heading, rule = sentence("backward", request.language), sentence("product", request.language)
    sections = [*forward_sections(request), Section("backward", heading, tuple(steps), rule)]
    sections += [Section("element", sentence("element", request.language, symbol=s.symbol), (s,)) for s in elements]
    results = {p.name: by_node[p.node].value[p.index or ...] for p in request.places}
    return finished(request, "graph", sections, results)


def path_form(request: Request) -> Derivation:
    """Forward table, then one product per path."""
    sections = forward_sections(request)
    results: dict[str, Array] = {}
    for place in request.places:
        section, total = path_section(request, place)
        sections.append(section)
        results[place.name] = np.asarray(total)
    return finished(request, "path", sections, results)
