"""The step in which training breaks down: found again, and traced to the first NaN or infinity in it, with the reason.

`Trainer.fit` calls `broken_down` when a loss or a parameter is not finite; `first_breakdown` asks beforehand, on copies.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.backends.reference import REFERENCE
from chainrule.diagnosis.non_finite import NonFinite, first_non_finite
from chainrule.diagnosis.problem import Problem, arrays
from chainrule.diagnosis.reasons import REASONS
from chainrule.errors import ArgumentError
from chainrule.fitting.batches import Batches
from chainrule.fitting.steps import Clipping, FailedStep, Steps
from chainrule.ir import LEAVES, Array, Node, topological
from chainrule.language import COMMA, SEMICOLON, Language, index_of
from chainrule.layers import is_affine
from chainrule.nn import Module
from chainrule.nn.forward import model_dtype
from chainrule.nn.module import observing
from chainrule.ops.primitive import facts, lookup
from chainrule.states import ValuesApart

_BLOWN_UP = 1e3  # weights of networks that learn stay far below
_PLACES = {
    "layer": ("in layer {name}", "在层 {name} 中"),
    "model": ("in the forward pass", "在前向传播中"),
    "loss": ("in the loss", "在损失函数中"),
    "update": ("on the way back to {name}", "在传回 {name} 的途中"),
    "given": ("before anything is computed", "在计算之前"),
}
_SAMPLE = (" for sample {sample}", "，样本 {sample}")
_UNSEEN = (
    "the reference backend computes this step without NaN and infinities, so rounding decides; a little less would be finite",
    "参考后端计算这一步时没有出现 NaN 或无穷大，可见差别只在舍入：数值稍小一点，结果就是有限的",
)


@dataclass(frozen=True)
class Breakdown:
    """The first step of a run that is not finite.

    Attributes:
        epoch, step: where it is, counted from 1.
        loss: of this step; it may be finite where its update is not.
        cause: what made the first NaN or infinity in it; None if the reference backend computes finite numbers.
        place: "layer", "model" (outside of any layer), "loss", "update" (gradient and update), or "given".
        name: path of the layer or parameter; "" for others.
        sample: row of the data set that it belongs to, where the calculation still goes sample by sample.
        weight: the largest size of a parameter before the step.
        rate: learning rate of the first group.
        blown_up: whether steps that were too long are behind it.
    """

    epoch: int
    step: int
    loss: float
    cause: NonFinite | None
    place: str
    name: str
    sample: int | None
    weight: float
    rate: float
    blown_up: bool

    def text(self, language: Language = "en") -> str:
        """Which node it was, what it read, where that is, and why."""
        column = index_of(language)
        if self.cause is None:
            return _UNSEEN[column]
        place = _PLACES[self.place][column].format(name=self.name)
        sample = "" if self.sample is None else _SAMPLE[column].format(sample=self.sample)
        said = f"{place}{sample}{COMMA[column]}{self.cause.text(language)}"
        if self.blown_up and self.weight > _BLOWN_UP:
            said += SEMICOLON[column] + REASONS["blown-up"].text[column].format(weight=f"{self.weight:.3g}")
        return said

    def advice(self, language: Language = "en") -> str:
        """What to do about it."""
        reason = REASONS["blown-up"] if self.blown_up or self.cause is None else self.cause.why
        return reason.fix[index_of(language)].format(rate=f"{self.rate:.3g}")

    def to_dict(self) -> dict[str, Any]:
        """As data that JSON can hold."""
        return {
            "epoch": self.epoch,
            "step": self.step,
            "loss": self.loss if math.isfinite(self.loss) else str(self.loss),
            "cause": None if self.cause is None else self.cause.to_dict(),
            "place": self.place,
            "name": self.name,
            "sample": self.sample,
            "largest_weight": self.weight,
            "learning_rate": self.rate,
            "blown_up": self.blown_up,
        }

    def __str__(self) -> str:
        return f"epoch {self.epoch}, step {self.step}: {self.text()}"


def broken_down(steps: Steps, data: Sequence[Array], failed: FailedStep, *, epoch: int, step: int) -> Breakdown:
    """Replay a step on the reference backend, from the state before it, to the node that makes the first NaN or infinity.

    Args:
        steps: the programs; their state is that before the step.
        data: inputs, targets and sample weights of the whole data set.
        failed: the step.
        epoch, step: its number.
    """
    modules: list[tuple[Module, Node]] = []
    with observing(lambda module, output: modules.append((module, output.node))):
        found = steps.capture_step(data, len(failed.rows), len(failed.rates))
    state = [steps.values.read(tensor) for tensor in found.state]
    paths = {id(p): name for name, p in steps.model.named_parameters()}
    learnt = {leaf: paths[id(p)] for leaf, p in zip(found.graph.state, found.state, strict=True) if id(p) in paths}
    _name(learnt, modules, steps.model)
    updates = {u: learnt[leaf] for leaf, u in zip(found.graph.state, found.graph.updates, strict=True) if leaf in learnt}
    results = list(updates) if math.isfinite(failed.loss) else [found.graph.outputs[0]]
    cause = first_non_finite(found.graph, [*(a[failed.rows] for a in data), failed.rates], state, results=results)
    sizes = [np.abs(a).max() for leaf, a in zip(found.graph.state, state, strict=True) if leaf in learnt and a.size]
    weight = float(max(sizes, default=0.0))
    place, name = ("", "") if cause is None else _place(cause.node, found.graph.outputs[0], modules, updates, steps.model)
    too_long = place == "update" and cause is not None and cause.reason == "overflow"
    return Breakdown(
        epoch=epoch,
        step=step,
        loss=failed.loss,
        cause=cause,
        place=place,
        name=name,
        sample=None if cause is None else _sample(cause, failed.rows),
        weight=weight,
        rate=float(failed.rates[0]),
        blown_up=too_long or (weight > _BLOWN_UP and (epoch, step) != (1, 1)),
    )


def _name(learnt: Mapping[Node, str], modules: Sequence[tuple[Module, Node]], model: Module) -> None:
    """Let formulas call parameters by their path, and what layers give out[path]."""
    paths = {id(module): path for path, module in model.named_modules()}
    given = [(output, f"out[{paths[id(module)]}]") for module, output in modules if paths.get(id(module))]
    for node, name in [*learnt.items(), *((output, name) for output, name in given if output.op not in LEAVES)]:
        node.name = node.name or name


def _place(
    node: Node, loss: Node, modules: Sequence[tuple[Module, Node]], updates: Mapping[Node, str], model: Module
) -> tuple[str, str]:
    """Where in the training step a node lies: see `Breakdown`."""
    if node.op in LEAVES:
        return "given", ""
    paths = {id(module): path for path, module in model.named_modules()}
    for module, output in modules:  # inner ones first
        if node in topological([output]):
            path = paths.get(id(module), "")
            return ("layer", f"{path} ({type(module).__name__})") if path else ("model", "")
    if node in topological([loss]):
        return "loss", ""
    return "update", next(name for update, name in updates.items() if node in topological([update]))


def _sample(cause: NonFinite, rows: Array) -> int | None:
    """The row of the data set whose calculation it is, if all from the inputs to there goes sample by sample."""
    separate, from_data = set[Node](), set[Node]()
    for node in topological([cause.node]):
        read = [i for i in node.inputs if i in from_data]
        if node.op == "input" or read:
            from_data.add(node)
            if node.shape[:1] == rows.shape and separate.issuperset(read) and _row_by_row(node, read):
                separate.add(node)
    return int(rows[cause.place[0]]) if cause.node in separate and not cause.block else None


def _row_by_row(node: Node, read: Sequence[Node]) -> bool:
    """Whether row k of a result comes from rows k only, of what depends on the data."""
    if node.op == "input":
        return True
    if facts(node).moves == "picks" and "step" in node.attributes:
        return bool(node.attributes["step"][0] > 0)
    if is_affine(node):
        return list(read) == [node.inputs[0]]
    return facts(node).moves == "reshapes" or lookup(node.op).elementwise


def first_breakdown(problem: Problem, *, epochs: int = 10, seed: int = 0) -> Breakdown | None:
    """Train on copies, in the order that `Trainer.fit` takes with this seed, until a loss or a parameter is not finite.

    Model, optimiser and random stream are left as they are.

    Args:
        problem: with an optimiser.
        epochs: how often to go through the data at most.
        seed: of the order of the samples.

    Returns:
        Where and why, or None if all stays finite.

    Raises:
        ArgumentError: no optimiser was given.
        DataError, ShapeError: data that does not fit.
    """
    optimizer, model = problem.optimizer, problem.model
    if optimizer is None:
        raise ArgumentError(
            "a run cannot be replayed without an optimiser", "the optimiser takes its steps", "Give Problem one."
        )
    x, t = arrays(problem)
    data = [x, t, np.ones(len(x), model_dtype(model))]
    steps = Steps(model, ValuesApart(REFERENCE), loss=problem.loss, optimizer=optimizer, metrics=[], clipping=Clipping())
    batches = Batches(len(x), problem.batch_size, shuffle=True, seed=seed)
    rates = np.array([[float(group.lr.item()) for group in optimizer.groups]])
    for epoch in range(epochs):
        singles = (rows[None] for part in batches.rows(epoch, 1) for rows in part)
        for number, rows in enumerate(singles, 1):
            failed = steps.first_failed(data, rows, rates, problem.model.parameters())
            if failed is not None:
                return broken_down(steps, data, failed, epoch=epoch + 1, step=number)
    return None
