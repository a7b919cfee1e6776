"""Show the work: derive gradients, grade hand calculations.

derive        `explain`: the gradient of a value by others, as steps (see `Derivation`)
  request, calculation                                    what was asked for; the graph with values and names
  backward, lines                                         the backward pass, term by term; one line of a derivation
  elements, paths                                         single elements of arrays; one product per path
  matrix, update, attribution                             the other forms
  formulas, symbols                                       simplifying and writing formulas; names and numbers
expression    `expression`: a graph from a typed formula
grader        `check`: hand calculations graded (see `Grading`)
  quantities, written                                     what names stand for; numbers with the precision of their digits
  rounding                                                what rounding of intermediate results can do
  slip                                                    what a slip is, and which of several is named
  gradient_slips, mixed_up_slips                          slips in a gradient; of these, one thing taken for another
  forward_slips                                           slips in a forward value
  update_slips, array_slips                               slips in a step; in whole arrays
  kinks                                                   where a derivative is a convention
  formula_claims                                          claims that are formulas
  homework                                                a calculation in a file
render        text, Markdown, LaTeX, HTML
language      every word, in English and Chinese
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from chainrule.explain.derivation import Derivation
from chainrule.explain.derive import explain
from chainrule.explain.expression import expression

if TYPE_CHECKING:
    from chainrule.explain.grader import check
    from chainrule.explain.grading import Finding, Grading
    from chainrule.explain.homework import Homework, read_homework

__all__ = [
    "Derivation",
    "Finding",
    "Grading",
    "Homework",
    "check",
    "explain",
    "expression",
    "read_homework",
]

# Grading is loaded when it is first used, so that `import chainrule` stays quick.
_LATER = {
    "Finding": "grading",
    "Grading": "grading",
    "Homework": "homework",
    "check": "grader",
    "read_homework": "homework",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
    return found
