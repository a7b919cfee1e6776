"""All LaTeX that explanations write goes through TeX itself, without one error or missing character."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import chainrule as cr
from chainrule import ops
from chainrule.derivations import Derivation, explain
from chainrule.errors import ChainruleError
from chainrule.grading import read_homework
from chainrule.language import LANGUAGES, Language
from chainrule.optim import OPTIMIZERS
from primitive_scalars import scalar_of

_HOMEWORK = Path(__file__).parents[2] / "examples" / "homework"
_DOCUMENTS: dict[Language, tuple[str, str]] = {
    "en": ("pdflatex", r"\documentclass{article}\usepackage{amsmath}"),
    "zh": ("xelatex", r"\documentclass[fontset=fandol]{ctexart}\usepackage{amsmath}"),
}


def of_primitives(language: Language) -> Iterator[Derivation]:
    """Every primitive and block, whole and expanded, in the forms graph and path."""
    for name in sorted(n for n, p in ops.PRIMITIVES.items() if not p.not_differentiable):
        output, inputs = scalar_of(name, seed=1)
        for x in [x for x in inputs if x.size][:1]:
            for blocks in ("whole", "expanded"):
                yield explain(output, inputs, blocks=blocks, detail="all", language=language)
                try:
                    yield explain(output, x[(0,) * x.ndim] if x.ndim else x, form="path", blocks=blocks, language=language)
                except ChainruleError as error:
                    assert "local derivatives" in str(error) or "paths" in str(error)


def of_examples(language: Language) -> Iterator[Derivation]:
    """The worked examples; an optimiser's step of each kind; layers; and sharing out an error."""
    for file in sorted(_HOMEWORK.glob("*.toml")):
        built = read_homework(file).build()
        yield explain(built[0], language=language, precision=11)
        yield explain(built[0], language=language, detail="all")
    for optimizer in OPTIMIZERS.values():
        w = cr.parameter([[0.1, -2e-9], [0.3, 0.4]], name="W_out")
        output = (cr.tanh(w @ cr.tensor([1.0, 2e12], name="x_1")) ** 2).sum()
        yield explain(output, form="update", optimizer=optimizer([w], lr=0.1, weight_decay=1 / 3), language=language)
    w1, w2 = cr.parameter([[0.1, 0.2], [0.3, 0.4]]), cr.parameter([[0.5, 0.6]])
    output = (w2 @ cr.sigmoid(w1 @ cr.tensor([1.0, 2.0]))).sum()
    yield explain(output, w1[0, 1], form="matrix", language=language)
    yield explain(output, form="attribution", language=language)
    odd = cr.parameter(np.ones((20, 3)), name=f"{'权重' if language == 'zh' else 'w'} {{50%}} #1_&$^~\\")
    yield explain((odd * np.inf).sum(), odd, language=language)


@pytest.mark.slow
@pytest.mark.parametrize("language", LANGUAGES)
def test_tex_understands_everything(language: Language, tmp_path: Path) -> None:
    program, head = _DOCUMENTS[language]
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed (Debian: texlive-latex-base; for Chinese texlive-xetex, texlive-lang-chinese)")
    derivations = [*of_primitives(language), *of_examples(language)]
    text = "\n".join([head, r"\begin{document}", *(d.to_latex() for d in derivations), r"\end{document}"])
    (tmp_path / "all.tex").write_text(text, encoding="utf-8")
    command = [program, "-interaction=nonstopmode", "-file-line-error", "-no-shell-escape", "all.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=500, check=False)
    log = (tmp_path / "all.log").read_text(encoding="utf-8", errors="replace")
    wrong = [line for line in log.splitlines() if re.match(r"!|\./all\.tex:\d+:|Missing character", line)]
    assert not wrong, "\n".join(wrong[:10])
    assert done.returncode == 0
    assert len(derivations) > 200
