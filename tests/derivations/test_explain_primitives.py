"""Every primitive and block, at birth: what is explained is what ran."""

from __future__ import annotations

import json

import numpy as np
import pytest
from derivation_checks import re_evaluated

import chainrule as cr
from chainrule import ops
from chainrule.derivations import explain
from chainrule.derivations.render.html import math
from chainrule.errors import GradientError
from chainrule.language import LANGUAGES
from primitive_scalars import scalar_of

BLOCKS = ["whole", "expanded"]


@pytest.mark.parametrize("blocks", BLOCKS)
@pytest.mark.parametrize("name", sorted(ops.PRIMITIVES))
def test_graph_form_gives_the_gradient_that_ran(name: str, blocks: str) -> None:
    output, inputs = scalar_of(name, seed=1)
    record = ops.PRIMITIVES[name]
    try:
        expected = cr.grad(output, inputs)
    except GradientError:
        expected = ()
    if not inputs or not expected:
        with pytest.raises(GradientError):
            explain(output, inputs or None, blocks=blocks)
        assert record.not_differentiable or not inputs or output.dtype.kind != "f"
        return
    found = explain(output, inputs, blocks=blocks, detail="all")
    for x, g in zip(inputs, expected, strict=True):
        assert x.name is not None
        np.testing.assert_allclose(found.results[x.name], g.numpy(), rtol=1e-12, atol=1e-14)
    re_evaluated(found)
    json.dumps(found.to_dict())


@pytest.mark.parametrize("blocks", BLOCKS)
@pytest.mark.parametrize("name", sorted(n for n, p in ops.PRIMITIVES.items() if not p.not_differentiable))
def test_path_form_gives_the_gradient_that_ran(name: str, blocks: str) -> None:
    output, inputs = scalar_of(name, seed=2)
    inputs = [x for x in inputs if x.size]
    if not inputs or sum(x.size for x in inputs) > 60:
        pytest.skip("no input of a size that fits on paper")
    expected = cr.grad(output, inputs)
    for x, g in zip(inputs, expected, strict=True):
        index = tuple(n - 1 for n in x.shape)
        try:
            found = explain(output, x[index] if index else x, form="path", blocks=blocks, detail="all")
        except cr.errors.ArgumentError as error:
            assert "paths" in str(error) or "local derivatives" in str(error)
            continue
        np.testing.assert_allclose(found.value, g.numpy()[index], rtol=1e-12, atol=1e-14)
        re_evaluated(found)


@pytest.mark.parametrize("name", sorted(n for n, p in ops.PRIMITIVES.items() if not p.not_differentiable))
def test_every_language_and_format_exists(name: str) -> None:
    pytest.importorskip("math_core", reason="formulas are parsed with math-core")
    output, inputs = scalar_of(name, seed=3)
    if not inputs:
        pytest.skip("no floating input")
    texts = {}
    for language in LANGUAGES:
        found = explain(output, inputs, language=language, detail="all")
        texts[language] = found.to_text()
        assert found.to_markdown() and found.to_latex() and "<math" in found.to_html()
        for step in found.steps():
            for formula in (step.symbol, *step.equations, *(p.formula for p in step.parts)):
                assert formula.text
                assert math(formula.latex)
                assert formula.latex.count("{") == formula.latex.count("}")
                assert formula.latex.count(r"\left") == formula.latex.count(r"\right")
    assert texts["en"] != texts["zh"]
