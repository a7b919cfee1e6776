"""A scalar for every primitive, to be differentiated, derived and drawn."""

from __future__ import annotations

import numpy as np

import chainrule as cr
from chainrule import ops
from chainrule.tensors import Tensor, apply


def scalar_of(name: str, seed: int) -> tuple[Tensor, list[Tensor]]:
    """A scalar that goes through one primitive, and the floating inputs of a random case."""
    rng = np.random.default_rng(seed)
    case = ops.PRIMITIVES[name].cases(rng)
    inputs = [cr.tensor(a, name=f"x{k}") for k, a in enumerate(case.inputs)]
    y = apply(name, *inputs, **case.attributes)
    if y.dtype.kind != "f":
        y = y.astype(np.float64)
    return (y * rng.uniform(0.5, 1.5, size=y.shape)).sum(), [x for x in inputs if x.dtype.kind == "f"]
