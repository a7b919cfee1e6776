"""How far a right calculation can be off because intermediate results were rounded.

A number follows from earlier ones as they were written, and from steps in between, each of which may be rounded:

    q = q(written values) + Δ,   |Δ| ≤ Σ |∂q/∂v| · ½ unit(v)   over the values v in between, to first order

with one unit in the last digit that is kept of v. Values that were written stand as they are and add nothing. The gradient is a
graph, and so is everything else that can be claimed, so one rule serves all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from chainrule import autodiff, ir
from chainrule.derivations.formulas import uniform
from chainrule.derivations.noise import leaf_sizes, sizes_of_terms
from chainrule.derivations.symbols import derivative_name
from chainrule.derivations.update import moments, stepped
from chainrule.errors import ChainruleError
from chainrule.grading.quantities import Quantity, World, parameters
from chainrule.ir import LEAVES, Array, Node, topological
from chainrule.ops.indexing import index as take
from chainrule.ops.primitive import facts, lookup

_MOST_NODES = 3000
_MOST_ELEMENTS = 64  # whose noise is followed
_DEVIATIONS = 5.0  # standard deviations that rounding of many intermediate results hardly ever exceeds
_MOST_OF_TERMS = 0.5  # that rounding can make of the terms of a value
Values = Mapping[Quantity, Array]


@dataclass(frozen=True)
class Precision:
    """What is kept of an intermediate result: significant digits, and a unit (0.01 for two decimals); the coarser counts.

    The digits after these are rounded or cut off.
    """

    digits: int
    unit: float
    cuts_off: bool = False

    @property
    def share(self) -> float:
        """The largest error in units of the last place: ½, or 1 where digits are cut off."""
        return 1.0 if self.cuts_off else 0.5

    def error(self, size: Array) -> Array:
        """The largest error of numbers of this size."""
        return self.share * np.maximum(_last_digit(size, self.digits), self.unit)


def carried(world: World, quantity: Quantity, kept: Values, precision: Precision) -> tuple[Array, Array] | None:
    """What comes out when some results are carried on as they were written, and how far rounding in between can move it.

    Args:
        world, quantity: what is calculated.
        kept: forward values and gradients of the output, as they were written.
        precision: of every other intermediate result.

    Returns:
        The value and the bound, in the shape of the quantity; None if the calculation is too large or cannot be followed.
    """
    try:
        found = _history(world, quantity, kept, precision)
        if found is None:
            return None
        node, order = found[0], topological([found[0]])
        size = sizes_of_terms(order, leaf_sizes(order)).get(node, np.abs(np.asarray(node.value)))
        return np.asarray(node.value), np.minimum(_bounds(*found, precision), _MOST_OF_TERMS * size)
    except ChainruleError:
        return None


def noise(world: World, quantity: Quantity, where: Array) -> Array:
    """How far a quantity may be off in its dtype, in these of its elements: relative to the terms that it is made of."""
    precision = Precision(np.finfo(quantity.place.node.dtype).precision, 0.0)
    bounds = np.zeros(where.shape)
    if not np.any(where) or np.count_nonzero(where) > _MOST_ELEMENTS:
        return bounds
    try:
        found = _history(world, quantity, {}, precision)
        if found is not None and found[0].shape == where.shape:
            leaves = {
                n: precision.error(np.abs(n.value)) for n in topological([found[0]]) if n.op in LEAVES and n.value is not None
            }
            bounds = _bounds(found[0], leaves | dict(found[1]), precision, where, worst=True)
    except ChainruleError:
        pass  # what cannot be followed has to be 0 exactly
    return np.nan_to_num(bounds, nan=0.0, posinf=0.0)


Errors = Mapping[Node, Array]


def _bounds(node: Node, given: Errors, precision: Precision, where: Array | None = None, *, worst: bool = False) -> Array:
    """The bound per element of a node (0 but for those asked for); `given` has the errors of leaves computed elsewhere.

    Many errors of rounding never all point the same way; those of cutting off do, and the `worst` case is that they do.
    """
    worst = worst or precision.cuts_off
    errors = dict(given)
    for each in topological([node]):
        if each.op not in LEAVES and each.dtype.kind == "f" and not _is_exact(each):
            errors[each] = _own_error(each, precision, worst=worst)
    bounds = np.zeros(node.shape)
    for index in np.ndindex(*node.shape) if where is None else map(tuple, np.argwhere(where).tolist()):
        slopes = autodiff.gradient(take(node, index) if index else node, list(errors))
        # Not a number is the slope of xⁿ by n where x is negative: an exponent is exact.
        with np.errstate(invalid="ignore"):  # 0 · ∞, where something is divided by a value that was written as 0
            parts = [
                np.abs(slope.value) * error
                for slope, error in zip(slopes, errors.values(), strict=True)
                if slope is not None and slope.value is not None
            ]
        bound = sum(float(np.nansum(part)) for part in parts)
        if not worst:
            # An error that lies anywhere within ±e has the variance e²/3.
            bound = min(bound, _DEVIATIONS * np.sqrt(sum(float(np.nansum(part**2)) for part in parts) / 3.0))
        bounds[index] = bound
    return bounds


def _is_exact(node: Node) -> bool:
    """Whether nobody rounds here: a move, a choice, a factor 1 or −1."""
    copied = facts(node).moves is not None or facts(node).exact
    return copied or (node.op == "multiply" and any(uniform(i) in (1.0, -1.0) for i in node.inputs))


def _own_error(node: Node, precision: Precision, *, worst: bool) -> Array:
    """The error in the last digit kept of a node's value, and of the products and partial sums that it adds up.

    The largest in the `worst` case; else the square root of the sum of their squares.
    """
    assert node.value is not None
    error = precision.error(np.abs(node.value))
    if node.op == "matmul":
        a, b = (np.abs(np.asarray(i.value)) for i in node.inputs)
        inner, count = precision.error(np.matmul(a, b)), 2 * (b.shape[-2] if b.ndim > 1 else b.shape[0])
    elif node.op == "sum":
        inner, count = error, node.inputs[0].size // max(node.size, 1)
    else:
        return np.asarray(error)
    return np.asarray(error + count * inner if worst else np.sqrt(error**2 + count * inner**2))


def _last_digit(size: Array, digits: int) -> Array:
    """One unit in the last of so many significant digits."""
    return np.where(size > 0, 10.0 ** (np.floor(np.log10(np.where(size > 0, size, 1.0))) - digits + 1), 0.0)


# -------------------------------------------------------------------------------------------- histories
def _history(world: World, quantity: Quantity, kept: Values, precision: Precision) -> tuple[Node, Errors] | None:
    """The node that computes a quantity from what was written, and the errors of its leaves."""
    if quantity.kind in ("updated", "moment"):
        return _of_step(world, quantity, kept, precision)
    place, calc = quantity.place, world.calc
    backward = [q for q in kept if q.kind == "gradient" and q.output is calc.output]
    written: list[tuple[Node, Quantity]] = [(q.place.node, q) for q in kept if q.kind == "value"]
    node: Node | None = place.node
    if quantity.kind == "gradient":
        assert quantity.output is not None
        sources = [place.node, *(q.place.node for q in backward if quantity.output is calc.output)]
        node, *gradients = autodiff.gradient(quantity.output, sources)
        written += [(g, q) for g, q in zip(gradients, backward, strict=False) if g is not None]
    elif quantity.kind != "value":
        return None
    if node is None:
        return None
    order = topological([node])
    if len(order) > _MOST_NODES:
        return None
    rebuilt = _with_written(order, [(n, q.place.index, kept[q]) for n, q in written])
    return (take(rebuilt, place.index) if place.index else rebuilt), {}


def _with_written(order: list[Node], written: list[tuple[Node, tuple[int, ...] | None, Array]]) -> Node:
    """The last node of a graph, calculated again from values that were written in place of some others."""
    masks: dict[Node, Array] = {}
    values: dict[Node, Array] = {}
    for node, index, value in written:
        assert node.value is not None
        at = ... if index is None else index
        masks.setdefault(node, np.zeros(node.shape, dtype=bool))[at] = True
        values.setdefault(node, np.array(node.value))[at] = value
    new: dict[Node, Node] = {}
    for node in order:
        inputs = tuple(new[i] for i in node.inputs)
        if node.op in LEAVES or all(a is b for a, b in zip(inputs, node.inputs, strict=True)):
            new[node] = node
        else:
            value = lookup(node.op).run(inputs, node.attributes)
            new[node] = Node(node.op, inputs, node.attributes, node.shape, node.dtype, node.name, value)
        if node in masks:
            leaf = ir.variable(values[node].astype(node.dtype), name=node.name)
            new[node] = leaf if np.all(masks[node]) else lookup("where")(ir.constant(masks[node]), leaf, new[node])
    return new[order[-1]]


def _of_step(world: World, quantity: Quantity, kept: Values, precision: Precision) -> tuple[Node, Errors] | None:
    """A parameter or moment after a step: its gradient is a leaf with the error of its own history."""
    place, output = quantity.place, world.calc.output
    if place.node not in parameters(world.calc, world.optimizer):
        return None
    name = derivative_name(output.name or "", place.name)
    gradient = replace(quantity, kind="gradient", output=output, moment=None)
    known = {q: v for q, v in kept.items() if (q.kind, q.place, q.output) == ("gradient", place, output)}
    found = (next(iter(known.values())), np.zeros(())) if known else carried(world, gradient, kept, precision)
    if found is None:
        return None
    upstream = np.array(world.gradient(output, place.node))
    upstream[... if place.index is None else place.index] = found[0]
    if quantity.kind == "moment":
        node = moments(world.calc, place, world.optimizer, upstream)[quantity.moment or ""]
    else:
        node = stepped(world.calc, place, world.optimizer, upstream).node
    return node, {n: found[1] for n in topological([node]) if n.op in LEAVES and n.name == name}
