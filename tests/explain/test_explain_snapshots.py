"""M6's path form, word for word, in both languages. Change these files only with an eye on the page they make."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_explain_missions import m6

from chainrule.explain import explain
from chainrule.explain.language import LANGUAGES

SNAPSHOTS = Path(__file__).parent / "snapshots"


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("form", ["path", "graph"])
@pytest.mark.parametrize("ending", ["txt", "tex"])
def test_m6(form: str, language: str, ending: str) -> None:
    output, _ = m6()
    found = explain(output, ["w13", "x1"], form=form, language=language)
    text = found.to_text() if ending == "txt" else found.to_latex()
    assert text == (SNAPSHOTS / f"m6-{form}-{language}.{ending}").read_text(encoding="utf-8")
