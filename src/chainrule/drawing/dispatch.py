"""`draw`: one function for every picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Literal, get_args

from chainrule.derivations import At, Blocks, calculation, caller_variables
from chainrule.diagnosis import Diagnosis, Problem
from chainrule.diagnosis.measuring import Measurements
from chainrule.drawing.curves import history_drawing
from chainrule.drawing.flow import flow_drawing
from chainrule.drawing.graph import graph_drawing
from chainrule.drawing.model import model_drawing
from chainrule.drawing.network import network_drawing
from chainrule.drawing.picture import Drawing, Look, Theme, check_theme
from chainrule.drawing.regions import regions_drawing
from chainrule.errors import ArgumentError
from chainrule.fitting.history import History
from chainrule.language import Language, index_of
from chainrule.nn import Loss, Module
from chainrule.tensors import Tensor

Kind = Literal["graph", "network", "curves", "regions", "gradient-flow"]
Detail = Literal["all", "named", "auto", "layers"]
KINDS: dict[type, tuple[Kind, ...]] = {
    Tensor: ("graph", "network"),
    Module: ("network", "regions", "gradient-flow"),
    History: ("curves",),
    Diagnosis: ("gradient-flow",),
}


def draw(
    subject: Tensor | Module | History | Diagnosis,
    X: Any = None,
    y: Any = None,
    *,
    kind: Kind | None = None,
    loss: Loss | None = None,
    classes: Sequence[str] | None = None,
    detail: Detail = "all",
    blocks: Blocks = "whole",
    at: At | None = None,
    gradients: bool = True,
    precision: int = 4,
    theme: Theme = "auto",
    language: Language = "en",
) -> Drawing:
    """Draw a calculation, a network, a training run, decision regions, or the flow of gradients.

    =====================================  ===============  ==============================================================
    call                                   kind             picture
    =====================================  ===============  ==============================================================
    draw(E)                                "graph"          the graph of a Tensor: values above its arrows, gradients below
    draw(E, kind="network")                "network"        the units and weights of a calculation in layers
    draw(model), draw(model, X)            "network"        units and weights of up to 16 units a layer; else layers with
                                                            shapes and parameters (pictures and sequences need X); units
                                                            hold their values if X is a single sample
    draw(model, X, y)                      "regions"        for X of shape (n, 2): the answer all over the plane, and the data
    draw(model, X, y, loss=loss)           "gradient-flow"  size of weights and gradients per layer, and what happens to
    draw(diagnosis)                                         δ = ∂C/∂z between layers, as `diagnose` measures them
    draw(history)                          "curves"         learning curves, the best epoch marked
    =====================================  ===============  ==============================================================

    Args:
        subject: what is drawn.
        X, y: inputs (n, …) and targets (n,) or (n, …), for a network.
        kind: the kind of picture, if it is not the one that the arguments stand for.
        loss: from `chainrule.nn`, for gradient flow.
        classes: names of the classes, for decision regions.
        detail: of a graph: "all" draws every operation, "named" only the named values, "auto" the named ones if there are any,
            "layers" a box per layer. A graph with more than 300 nodes is folded by itself: to its layers and named values, or
            if it has neither, to slices.
        blocks: of a graph: "whole" draws blocks such as affine as one node, "expanded" unfolds them; or the names of those to
            unfold, ["softmax", "affine"] say.
        at: of a graph: values for leaves, as in `explain`.
        gradients: whether ∂output/∂… is written below the arrows of a graph.
        precision: significant digits of the numbers.
        theme: "light", "dark", or "auto", which follows the reader's setting (a PNG is light then).
        language: of the words in the picture, "en" or "zh".

    Returns:
        A `Drawing`: see `to_svg`, `to_png`, `save`; a notebook shows it by itself.

    Raises:
        ArgumentError: an unknown option; a kind that the subject does not have, or arguments that it needs and were not given;
            no layers where some were asked for.
        ShapeError, DataError: data that does not fit the model.
        MissingDependency: graphlay, which lays out graphs, is not installed.
    """
    check_theme(theme)
    index_of(language)
    kind, look = _kind(subject, kind, y, loss), Look(theme, language, precision)
    if isinstance(subject, Tensor):
        _check_detail(detail)
        shown = "all" if detail == "layers" or kind == "network" else detail
        calc = calculation(subject.node, at=at, blocks=blocks, detail=shown, variables=caller_variables(1))
        if kind == "network":
            return network_drawing(calc, look)
        return graph_drawing(calc, look, layers=detail == "layers", gradients=gradients)
    if isinstance(subject, Module):
        return _of_model(subject, kind, look, {"X": X, "y": y, "loss": loss}, classes)
    return history_drawing(subject, look) if isinstance(subject, History) else flow_drawing(subject.layers, look)


def _of_model(model: Module, kind: Kind, look: Look, given: Mapping[str, Any], classes: Sequence[str] | None) -> Drawing:
    X, y, loss = given["X"], given["y"], given["loss"]
    if kind == "network":
        return model_drawing(model, X, look)
    if kind == "regions":
        _check_given(kind, "draw(model, X, y)", {"X": X, "y": y})
        return regions_drawing(model, X, y, look, classes)
    _check_given(kind, "draw(model, X, y, loss=loss)", given)
    measured = Measurements(Problem(model, loss, X, y), seed=0)
    return flow_drawing([asdict(layer) for layer in measured.layers], look)


def _kind(subject: object, kind: str | None, y: Any, loss: object) -> Kind:
    """The kind of picture that was asked for, or that the arguments stand for.

    Raises:
        ArgumentError: the subject has no such picture, or none at all.
    """
    kinds = next((kinds for cls, kinds in KINDS.items() if isinstance(subject, cls)), None)
    if kinds is None:
        raise ArgumentError(
            f"draw got a {type(subject).__name__}",
            "it takes a Tensor, a Module, a History or a Diagnosis",
            "Pass the last Tensor of a calculation, a network, or what Trainer.fit or cr.diagnose returned.",
        )
    if kind is None and isinstance(subject, Module):
        return "gradient-flow" if loss is not None else "regions" if y is not None else "network"
    if kind is None:
        return kinds[0]
    for each in kinds:
        if each == kind:
            return each
    name = next(cls.__name__ for cls in KINDS if isinstance(subject, cls))
    raise ArgumentError(
        f"the kind {kind!r} was asked for", f"the kinds for a {name} are {', '.join(kinds)}", "Choose one of them."
    )


def _check_detail(detail: str) -> None:
    if detail not in get_args(Detail):
        raise ArgumentError(
            f"the detail {detail!r} was asked for", f"there are {', '.join(get_args(Detail))}", "Choose one of them."
        )


def _check_given(kind: Kind, call: str, arguments: Mapping[str, object]) -> None:
    missing = [name for name, value in arguments.items() if value is None]
    if missing:
        given = f"a picture of the kind {kind!r} was asked for without {' and '.join(missing)}"
        raise ArgumentError(given, "it needs all of them", f"Write {call}.")
