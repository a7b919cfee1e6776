"""What a model is made of, as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule import checks, elsewhere
from chainrule.capture import capture
from chainrule.ir import Shape
from chainrule.nn.modes import in_mode
from chainrule.nn.module import Module, observing
from chainrule.ops.primitive import as_shape
from chainrule.tensors import Tensor


@dataclass(frozen=True)
class Row:
    """One Module of a model.

    Attributes:
        path: qualified name; "" for the model itself.
        layer: its class.
        output_shape: of its output, the batch axis included.
        parameters: number of parameters directly in it.
    """

    path: str
    layer: str
    output_shape: Shape
    parameters: int


@dataclass(frozen=True)
class Summary:
    """Layers, shapes and sizes of a model; `str` of it is a table.

    Attributes:
        rows: every Module that ran and has no children, or parameters of its own, in the order in which they ran.
        parameters: number of elements of the parameters.
        frozen: how many of them are not learnt now (`requires_grad = False`).
        buffers: number of elements kept but not learnt.
        bytes: size of both in memory.
    """

    rows: tuple[Row, ...]
    parameters: int
    buffers: int
    bytes: int
    frozen: int = 0

    def __str__(self) -> str:
        head = ("Layer", "Output shape", "Parameters")
        cells = [(f"{r.path} {r.layer}".strip(), str(r.output_shape), f"{r.parameters:,}") for r in self.rows]
        a, b, c = (max(len(row[k]) for row in [head, *cells]) for k in range(3))
        lines = [f"{x:<{a}}  {y:<{b}}  {z:>{c}}" for x, y, z in [head, *cells]]
        rule = "─" * (a + b + c + 4)
        frozen = f", {self.frozen:,} of them frozen" if self.frozen else ""
        buffers = f", {self.buffers:,} in buffers" if self.buffers else ""
        last = f"{self.parameters:,} parameters{frozen}{buffers}; {self.bytes:,} bytes"
        return "\n".join([lines[0], rule, *lines[1:], rule, last])

    def __repr__(self) -> str:
        return str(self)


@elsewhere.explaining_calls
def summary(model: Module, input_shape: int | Sequence[int], batch: int = 1, dtype: Any = np.float32) -> Summary:
    """Layers, output shapes and parameter counts of a model. Nothing is computed: the model runs on shapes alone.

    Args:
        model: any Module of one input.
        input_shape: of one sample, without the batch axis.
        batch: number of samples.
        dtype: of the input; "int64" for models that begin with an Embedding.

    Raises:
        ShapeError: the input does not fit a layer, which is named.
    """
    checks.kind(model, Module, "summary got {} as the model", "it takes a Module", "Write cr.summary(model, (3,)).")
    sample = as_shape(input_shape, "summary")
    ran: list[tuple[Module, Shape]] = []
    with in_mode(model, training=False), observing(lambda module, output: ran.append((module, output.shape))):
        capture(model, [((batch, *sample), dtype, "x")])
    return Summary(_rows(model, ran), *_sizes(model))


def _rows(model: Module, ran: Sequence[tuple[Module, Shape]]) -> tuple[Row, ...]:
    paths = {id(module): path for path, module in model.named_modules()}
    own = {id(m): sum(t.size for t in m.own_tensors().values() if t.is_parameter) for m, _ in ran}
    return tuple(
        Row(paths.get(id(module), ""), type(module).__name__, shape, own[id(module)])
        for module, shape in ran
        if own[id(module)] or not module.children()
    )


def _sizes(model: Module) -> tuple[int, int, int, int]:
    def count(tensors: Sequence[Tensor]) -> int:
        return sum(t.size for t in tensors)

    parameters, buffers = model.parameters(), model.buffers()
    frozen = [p for p in parameters if not p.requires_grad]
    size = sum(t.size * t.dtype.itemsize for t in [*parameters, *buffers])
    return count(parameters), count(buffers), size, count(frozen)
