"""What the forms of a derivation share: their names, the title, the forward pass, and what is said at the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from chainrule.derivations.closing import closing_sections
from chainrule.derivations.derivation import Derivation
from chainrule.derivations.lines import given_step, value_step
from chainrule.derivations.request import Request
from chainrule.derivations.steps import Section
from chainrule.derivations.symbols import Formula, natural_order, symbol
from chainrule.derivations.words import sentence
from chainrule.ir import LEAVES, Array

Form = Literal["graph", "path", "matrix", "update", "attribution"]


def title(request: Request) -> Formula:
    """ "How E depends on w13"."""
    assert request.calc.output.name is not None
    output = symbol(request.calc.output.name)
    wrt = [symbol(p.name) for p in request.places]
    return sentence("title", request.language, output=output, wrt=wrt)


def forward_sections(request: Request) -> list[Section]:
    """The given values, and the forward pass."""
    calc, precision = request.calc, request.precision
    shown = [n for n in calc.nodes if n in calc.shown]
    leaves = sorted((n for n in shown if n.op in LEAVES), key=lambda n: natural_order(n.name or ""))
    given = tuple(given_step(n, precision) for n in leaves)
    values = tuple(value_step(calc, n, precision) for n in shown if n.op not in LEAVES)
    sections = [Section("given", sentence("given", request.language), given)] if given else []
    return [*sections, *([Section("forward", sentence("forward", request.language), values)] if values else [])]


def finished(request: Request, form: Form, sections: Sequence[Section], results: Mapping[str, Array]) -> Derivation:
    """A derivation of what was requested, with what there is to say at its end."""
    assert request.calc.output.name is not None
    names = tuple(p.name for p in request.places)
    sections = [*sections, *closing_sections(request, results)]
    return Derivation(
        title(request),
        form,
        request.language,
        request.precision,
        request.calc.output.name,
        names,
        tuple(sections),
        dict(results),
    )
