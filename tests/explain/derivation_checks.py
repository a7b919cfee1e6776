"""Checks of derivations that several tests share."""

from __future__ import annotations

import numpy as np

from chainrule.explain import Derivation


def re_evaluated(derivation: Derivation) -> None:
    """Every step's number follows from the numbers that it shows."""
    for step in derivation.steps():
        for part in step.parts:
            if part.rule == "product":
                product = np.asarray(1.0)
                for factor in part.factors:
                    product = product * factor.value
                np.testing.assert_allclose(np.broadcast_to(product, part.value.shape), part.value, rtol=1e-12, atol=1e-300)
        if step.parts and step.kind in ("gradient", "sum", "path", "element"):
            assert step.value is not None
            total = sum(part.value for part in step.parts)
            np.testing.assert_allclose(total, step.value, rtol=1e-12, atol=1e-15)
