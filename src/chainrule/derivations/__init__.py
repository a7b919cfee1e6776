"""Show the work: derive gradients.

derive        `explain`: the gradient of a value by others, as steps (see `Derivation`)
  request, calculation      what was asked for; the graph with values and names
  backward, lines           the backward pass, term by term; one line of a derivation
  elements, paths           single elements of arrays; one product per path
  matrix, update, attribution     the other forms
  closing                   kinks and values that are not finite
  formulas, symbols         simplifying and writing formulas; names and numbers
expressions   `expression`: a graph from a typed formula
  functions                 the functions that such a formula can call
render        text, Markdown, LaTeX, HTML
language      every word, in English and Chinese
"""

from chainrule.derivations.derivation import Derivation
from chainrule.derivations.derive import explain
from chainrule.derivations.expressions import expression

__all__ = ["Derivation", "explain", "expression"]
