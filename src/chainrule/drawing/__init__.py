"""Draw graphs, networks, learning curves, decision regions and the flow of gradients.

dispatch      `draw`: one function for every picture
picture       `Drawing`: SVG, PNG, a page; light and dark
graph         the graph of a calculation
  flowing       values forward, gradients back, along its arrows
  folding       which nodes of a large graph are shown
  scene         boxes and arrows, laid out
    rows          a wide picture broken into rows
network       units and weights; layers of a calculation
model         a Module
curves        learning curves
regions       decision regions
flow          gradient flow
  chart         axes, curves, points
shapes        the SVG shapes that all of them are made of
words         every word, in English and Chinese
"""

from chainrule.drawing.dispatch import draw
from chainrule.drawing.picture import Drawing

__all__ = ["Drawing", "draw"]
