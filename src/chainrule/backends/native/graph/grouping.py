"""Which nodes are computed together: a graph becomes a list of groups, each of which becomes one kernel (or a few).

A node joins a group where its operands are still in registers: elementwise nodes over one domain share a loop, a reduction runs
along in the loop that computes its operand, and what is done to the elements of a product joins the product's tiles. All a node
reads from memory must come from earlier groups. The order of groups is the order in which they run.

State is written in place. So a group may write a state only when every other group that reads the old value runs before it, and
only after all outputs are known, because a step whose first output is not finite must leave the state alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from chainrule.backends.native.graph.forms import INSTRUCTIONS
from chainrule.backends.native.graph.views import MOVES, View, stripped, view_of
from chainrule.ir import LEAVES, Graph, Node, Shape, topological
from chainrule.ops.elementwise import EXPONENTS
from chainrule.ops.requirement import Limits, limits_of, positions

REDUCTIONS = frozenset(["sum", "prod", "max", "min", "argmax", "argmin"])
ASSEMBLIES = frozenset(["concatenate", "windows_sum", "scatter_add", "accumulate"])
_IN_REGISTERS = INSTRUCTIONS | {"gather", "contract"}
KNOWN = _IN_REGISTERS | REDUCTIONS | ASSEMBLIES | frozenset(["matmul", "convolution", "pad", "uniform", *MOVES, *LEAVES])

Kind = Literal["nest", "contraction", "assembly", "draw", "check"]
Result = tuple[Literal["output", "state"], int]


@dataclass(eq=False)
class Group:
    """Nodes that are computed together.

    Attributes:
        kind: what kind of kernel it becomes.
        domain: the indices that it runs over, without axes of size 1.
        nodes: in the order of computation.
        sinks: values that go to outputs or state, with where they go.
        reduced: the axes of the domain that its reductions run over, if it has any.
        check: the values and their limits, for a check.
    """

    kind: Kind
    domain: Shape
    nodes: list[Node] = field(default_factory=list)
    sinks: list[tuple[Node, Result]] = field(default_factory=list)
    reduced: frozenset[int] | None = None
    check: tuple[Node, Limits] | None = None


def view(node: Node) -> View:
    """The node as a view of a buffer, which it is after `rewrite.prepare`."""
    found = view_of(node)
    assert found is not None, f"{node!r} cannot be a view; a copy is missing"
    return found


def reduced_axes(node: Node) -> frozenset[int]:
    """The axes that a reduction runs over, counted in the domain of its operand, which has no axes of size 1."""
    shape = node.inputs[0].shape
    kept = [a for a, n in enumerate(shape) if n != 1]
    return frozenset(kept.index(a) for a in node.attributes["axis"] if shape[a] != 1)


@dataclass(frozen=True)
class Groups:
    """A graph cut into groups.

    Attributes:
        graph: in its prepared form.
        groups: in the order in which they run.
        before_state: how many of them run before state may be written.
    """

    graph: Graph
    groups: list[Group]
    before_state: int


def group_graph(graph: Graph) -> Groups:
    """Cut a prepared graph into groups."""
    return _Grouping(graph).run()


class _Grouping:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.groups: list[Group] = []
        self.group_of: dict[Node, int] = {}
        self.waiting: set[Node] = set()
        self.checks: dict[tuple[Node, float, float, float | None], int] = {}
        self.readers: dict[Node, set[int]] = {}  # per node in memory, the groups that read it
        self.reads: dict[Node, dict[int, bool]] = {}  # per leaf, the groups that read it: True if only element by element

    def run(self) -> Groups:
        self._assign_numbers()
        self._assign_all(topological(self.graph.outputs))
        for k, node in enumerate(self.graph.outputs):
            self._sink(node, ("output", k), 0)
        pending = [(s, u, k) for k, (s, u) in enumerate(zip(self.graph.state, self.graph.updates, strict=True)) if s is not u]
        # The deepest updates first: they need the gradients of all layers after theirs, so each weight is read for
        # those before its own gradient is made, and can be overwritten as soon as that one is known.
        depth = _depths(self.graph)
        nodes = topological(u for _, u, _ in sorted(pending, key=lambda p: -depth[p[1]]))
        self._check_all(nodes)
        before_state = 1 + max([g for g in range(len(self.groups)) if self._needed_first(g)], default=-1)
        self._assign_all(nodes)
        # Whatever reads a state is assigned before groups are found for writing it.
        for base in (view(u).base for _, u, _ in pending):
            if base in self.waiting:
                self._assign(base)
        for s, u, k in pending:
            earliest = max([g + (not alike) for g, alike in self.reads.get(s, {}).items()], default=0)
            self._sink(u, ("state", k), max(before_state, earliest))
        return Groups(self.graph, self.groups, before_state)

    def _needed_first(self, group: int) -> bool:
        return self.groups[group].kind == "check" or any(kind == "output" for _, (kind, _) in self.groups[group].sinks)

    def _assign_numbers(self) -> None:
        """Single numbers that depend on leaves only (bias corrections of moments, say) are computed first, for all groups."""
        known: set[Node] = set()
        for node in self.graph.nodes():
            simple = node.size == 1 and (node.op in INSTRUCTIONS or node.op in MOVES)
            if node.op in LEAVES or (simple and known.issuperset(node.inputs)):
                known.add(node)
        self._assign_all(n for n in self.graph.nodes() if n in known and n.size == 1)

    def _assign_all(self, nodes: Iterable[Node]) -> None:
        """Assign nodes to groups, in an order where operands come first.

        An elementwise node waits for its first reader if all it reads are leaves and at most one node that is in memory anyway:
        to compute it there (the mask of a ReLU, from its output) costs less than to keep it until then.
        """
        for node in nodes:
            limits = _limits(node)
            if limits is not None:
                self._check_limits(node, limits)
            if node.op in LEAVES or node.op in MOVES or node in self.group_of:
                continue
            if node.size > 1 and node.op in INSTRUCTIONS and self._can_wait(node):
                self.waiting.add(node)
            else:
                self._assign(node)

    def _can_wait(self, node: Node) -> bool:
        computed = {found.base for _, found in self._reads(node) if found.base.op not in LEAVES and found.base.size > 1}
        return len(computed) <= 1 and computed <= self.readers.keys()

    def _settle(self, reader: Node) -> None:
        """Assign the waiting nodes that a reader does not take element by element, since it needs them in memory."""
        for operand in reader.inputs:
            found = view(operand)
            if found.base in self.waiting:
                if self._in_register(reader, found):
                    self._settle(found.base)
                else:
                    self._assign(found.base)

    def _reads(self, reader: Node) -> Iterator[tuple[Node, View]]:
        """What a node reads, with who reads it: itself, or a waiting node that will be computed along with it."""
        for operand in reader.inputs:
            found = view(operand)
            if found.base in self.waiting:
                yield from self._reads(found.base)
            else:
                yield reader, found

    def _check_all(self, nodes: Iterable[Node]) -> None:
        """Checks of values that only updates need are made with the outputs, before any state is written."""
        for node in nodes:
            limits = _limits(node)
            if limits is not None:
                self._assign_all(topological(node.inputs[1:]))
                self._check_limits(node, limits)
            elif node.op in ("gather", "scatter_add") and node not in self.group_of:
                self._assign_all(topological(node.inputs[1:]))
                self._settle(node)
                self._check_positions(node)

    # ---------------------------------------------------------------------------------------- nodes
    def _assign(self, node: Node) -> None:
        self.waiting.discard(node)
        self._settle(node)
        if node.op in ("gather", "scatter_add"):
            self._check_positions(node)
        if node.op in REDUCTIONS:
            self._join(node, computed_over(node), reduced_axes(node))
        elif node.op == "place" or (node.op in _IN_REGISTERS and node.op != "contract"):
            self._join(node, computed_over(node), None)
        else:
            kinds: dict[str, Kind] = {"contract": "contraction", "uniform": "draw"}
            self._add(node, self._new(kinds.get(node.op, "assembly"), stripped(node.shape)))

    def _check_positions(self, node: Node) -> None:
        target = node.inputs[0].shape if node.op == "gather" else node.attributes["shape"]
        for index, axis in zip(node.inputs[1:], node.attributes["axes"], strict=True):
            self._check(index, positions(node.op, target[axis]))

    def _check_limits(self, node: Node, limits: Limits) -> None:
        base = view(node.inputs[1]).base
        if base in self.waiting:
            self._assign(base)
        self._check(node.inputs[1], limits)

    def _check(self, values: Node, limits: Limits) -> int:
        """The group that checks values; one for all who want the same."""
        key = (values, limits.low, limits.high, limits.also)
        if key not in self.checks:
            self.checks[key] = self._new("check", stripped(values.shape))
            self.groups[-1].check = (values, limits)
            self._note_read(values, self.checks[key], values)
        return self.checks[key]

    def _new(self, kind: Kind, domain: Shape) -> int:
        self.groups.append(Group(kind, domain))
        return len(self.groups) - 1

    def _add(self, node: Node, group: int) -> None:
        """Compute a node in a group, after the waiting nodes that it takes along."""
        for operand in node.inputs:
            base = view(operand).base
            if base in self.waiting:
                self.waiting.discard(base)
                self._add(base, group)
        self.groups[group].nodes.append(node)
        self.group_of[node] = group
        for operand in node.inputs:
            self._note_read(operand, group, node)

    def _note_read(self, operand: Node, group: int, reader: Node) -> None:
        found = view(operand)
        if found.base.op != "constant" and self.group_of.get(found.base) != group:
            self.readers.setdefault(found.base, set()).add(group)
        if found.base.op in ("input", "variable"):
            alike = self.groups[group].kind in ("nest", "contraction") and element_by_element(reader, found)
            known = self.reads.setdefault(found.base, {})
            known[group] = known.get(group, True) and alike

    def _join(self, node: Node, domain: Shape, reduced: frozenset[int] | None) -> None:
        found = None if _transposes(node) else self._host(node, domain, reduced, self._earliest(node))
        group = self._new("nest", domain) if found is None else found
        if reduced is not None:
            self.groups[group].reduced = reduced
        self._add(node, group)

    def _earliest(self, node: Node) -> int:
        """The first group that a node could be in: after its operands, or with them where they are in registers."""
        earliest = 0
        for reader, found in self._reads(node):
            if found.base in self.group_of:
                earliest = max(earliest, self.group_of[found.base] + (not self._in_register(reader, found)))
        if node.op == "gather":
            sizes = (node.inputs[0].shape[a] for a in node.attributes["axes"])
            checks = (self._check(i, positions("gather", n)) for i, n in zip(node.inputs[1:], sizes, strict=True))
            earliest = max(earliest, *(check + 1 for check in checks))
        return earliest

    def _in_register(self, node: Node, operand: View) -> bool:
        return operand.base.op in _IN_REGISTERS and node.op != "gather" and element_by_element(node, operand)

    def _host(self, node: Node, domain: Shape, reduced: frozenset[int] | None, earliest: int) -> int | None:
        """The group to join: one that has an operand in registers, else one that reads the same memory."""
        reads = list(self._reads(node))
        bases = {found.base for _, found in reads}
        # Strided loads and several stores take long beside the small blocks in which the epilogue of a product runs.
        scattered = any(found.base.op not in LEAVES and found.strides[-1:] > (1,) for _, found in reads)
        scattered = scattered or (node.op == "place" and len(node.inputs) > 1)
        for index in range(earliest, len(self.groups)):
            group = self.groups[index]
            if group.domain != domain or group.kind not in ("nest", "contraction") or any(map(_transposes, group.nodes)):
                continue
            if group.kind == "contraction" and scattered:
                continue
            if reduced is not None and (group.kind == "contraction" or group.reduced not in (None, reduced)):
                continue
            if reduced is not None and (node.op.startswith("arg") or any(n.op.startswith("arg") for n in group.nodes)):
                continue
            computed = any(self.group_of.get(b) == index for b in bases)
            read = group.kind == "nest" and any(index in self.readers.get(b, ()) for b in bases)
            read = read and not any(n.op == "place" and n.attributes["staged"] for n in group.nodes)
            if computed or read or (domain == () and group.kind == "nest"):
                return index
        return None

    # ---------------------------------------------------------------------------------------- results
    def _sink(self, node: Node, result: Result, earliest: int) -> None:
        base = view(node).base
        if base in self.waiting:  # an output that only moves or scales leaves
            self._assign(base)
        marker = Node("copy", (node,), {}, node.shape, node.dtype)
        domain = stripped(node.shape)
        group = self._host(marker, domain, None, max(earliest, self._earliest(marker)))
        if group is None or (result[0] == "state" and not self._takes_state(group, base)):
            group = self._new("nest", domain)
        self.groups[group].sinks.append((node, result))
        self._note_read(node, group, marker)

    def _takes_state(self, group: int, base: Node) -> bool:
        """Whether state may be written by a group: it computes the new value, or does nothing but such writing."""
        return self.group_of.get(base) == group or not self.groups[group].nodes


def computed_over(node: Node) -> Shape:
    """The indices at which an elementwise node, a reduction or a `place` is computed."""
    return stripped(node.inputs[0].shape if node.op in REDUCTIONS or node.op == "place" else node.shape)


def _limits(node: Node) -> Limits | None:
    """What the second operand must lie within, if that is to be checked: of `require`, and exponents of integers."""
    if node.op == "require":
        return limits_of(node)
    if node.op != "power" or node.dtype.kind != "i":
        return None
    known = node.inputs[1].value
    return EXPONENTS if known is None or bool((known < 0).any()) else None


def _transposes(node: Node) -> bool:
    """Whether a node is a copy in another order, which is best done by itself."""
    return node.op == "copy" and not view(node.inputs[0]).plain


def element_by_element(reader: Node, operand: View) -> bool:
    """Whether the reader needs only the element at its own index."""
    if reader.op not in INSTRUCTIONS and reader.op not in REDUCTIONS and reader.op != "place":
        return False
    return operand.plain and computed_over(reader) == stripped(operand.shape) == stripped(operand.base.shape)


def _depths(graph: Graph) -> dict[Node, int]:
    depth: dict[Node, int] = {}
    for node in graph.nodes():
        depth[node] = 1 + max((depth[i] for i in node.inputs), default=0)
    return depth
