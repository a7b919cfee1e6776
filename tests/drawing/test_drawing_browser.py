"""Pictures in a real browser: no console message, nothing fetched."""

from __future__ import annotations

from pathlib import Path

import pytest
from drawing_cases import CASES

from browser import CHROMIUM, opened

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
    pytest.mark.slow,
]


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("kind", CASES)
def test_a_page_with_a_picture_and_its_image(tmp_path: Path, kind: str, language: str) -> None:
    pytest.importorskip("graphlay", reason="pictures of graphs are laid out by graphlay")
    picture = CASES[kind](language=language)
    page = picture.to_html().replace("</body>", f"{picture.to_img()}</body>")
    dom, said = opened(page, tmp_path)
    assert "CONSOLE" not in said
    assert dom.split("<title>")[1].split("</title>")[0].split("|")[0] == "0"
