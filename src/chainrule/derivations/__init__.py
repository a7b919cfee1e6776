"""Show the work: derive gradients.

derive        `explain`: the gradient of a value by others, as steps (see `Derivation`)
  request, calculations     what was asked for; the graph with values and names
  backward, lines           the backward pass, term by term; one line of a derivation
  elements, paths           single elements of arrays; one product per path
  matrix, update, attribution     the other forms
  closing                   kinks and values that are not finite
  formulas, symbols         simplifying and writing formulas; names and numbers
expressions   `expression`: a graph from a typed formula
  functions                 the functions that such a formula can call
render        text, Markdown, LaTeX, HTML
words         every phrase, in English and Chinese
"""

from chainrule.derivations.calculations import At, Blocks, Calculation, calculation, caller_variables, is_plain_constant
from chainrule.derivations.derivation import Derivation
from chainrule.derivations.derive import explain
from chainrule.derivations.expressions import expression
from chainrule.derivations.formulas import write
from chainrule.derivations.matrix import find_layers, in_layer_notation
from chainrule.derivations.symbols import number, symbol

__all__ = [
    "At",
    "Blocks",
    "Calculation",
    "Derivation",
    "calculation",
    "caller_variables",
    "explain",
    "expression",
    "find_layers",
    "in_layer_notation",
    "is_plain_constant",
    "number",
    "symbol",
    "write",
]
