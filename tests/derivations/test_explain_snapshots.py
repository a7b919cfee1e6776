"""The worked network derived, word for word, in both languages. Change the snapshots only with an eye on the page they make."""

from __future__ import annotations

from pathlib import Path

import pytest

from chainrule.derivations import explain
from chainrule.language import LANGUAGES
from worked_network import worked_network

SNAPSHOTS = Path(__file__).parent / "snapshots"


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("form", ["path", "graph"])
@pytest.mark.parametrize("ending", ["txt", "tex"])
def test_path_form(form: str, language: str, ending: str) -> None:
    output, _ = worked_network()
    found = explain(output, ["w13", "x1"], form=form, language=language)
    text = found.to_text() if ending == "txt" else found.to_latex()
    assert text == (SNAPSHOTS / f"worked-network-{form}-{language}.{ending}").read_text(encoding="utf-8")
