"""Pages in a real browser: no console message, nothing fetched, formulas of a sensible size."""

from __future__ import annotations

from pathlib import Path

import pytest

from browser import CHROMIUM, opened
from chainrule.derivations import explain
from chainrule.grading import check
from worked_network import worked_network

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
    pytest.mark.slow,
]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_derivation(tmp_path: Path, language: str) -> None:
    pytest.importorskip("math_core", reason="HTML needs math-core")
    output, _ = worked_network()
    dom, said = opened(explain(output, "x1", form="path", language=language).to_html(), tmp_path)
    requests, width, fits = dom.split("<title>")[1].split("</title>")[0].split("|")
    assert "CONSOLE" not in said
    assert requests == "0"
    assert int(width) > 5
    assert fits == "true"


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_grading_in_a_notebook(tmp_path: Path, language: str) -> None:
    output, _ = worked_network()
    shown = check(output, {"O3": 0.69, "dE/dx5": 0.027, "dE/db": 0.00093}, language=language)._repr_html_()
    head = '<!doctype html><html><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"></head>'
    dom, said = opened(f"{head}<body>{shown}</body></html>", tmp_path)
    requests, _, fits = dom.split("<title>")[1].split("</title>")[0].split("|")
    assert "CONSOLE" not in said
    assert (requests, fits) == ("0", "true")


def test_the_walk_shows_one_step_after_another(tmp_path: Path) -> None:
    pytest.importorskip("math_core", reason="HTML needs math-core")
    output, _ = worked_network()
    page = explain(output, "x1").to_html()
    seen = "[...document.querySelectorAll('.step')].filter(e => e.offsetParent).length"
    probe = f"""<script>addEventListener('load', () => {{
      const counts = [{seen}];
      for (const [from, to] of [[0, 1], [1, 2], [2, 3], [3, 2], [2, 0]]) {{
        const scope = from ? document.getElementById('step-' + from).nextElementSibling.nextElementSibling : document;
        scope.querySelector(`label[for="step-${{to}}"]`).click();
        counts.push({seen});
      }}
      parent.document.body.dataset.seen = counts.join(' ');
    }})</script>"""
    dom, _ = opened(page.replace("</head>", f"{probe}</head>"), tmp_path)
    every = page.count('class="step')
    assert f'data-seen="{every} 1 2 3 2 {every}"' in dom
