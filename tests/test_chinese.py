"""Chinese texts have the punctuation of Chinese: full-width, and without blanks around it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src" / "chainrule"
HALF_WIDTH = re.compile(
    r"[一-鿿”）][ ]?[,;:]|[,;:][ ]?[一-鿿“]|[一-鿿”][ ]?\((?![A-Za-z])|\([一-鿿]|[一-鿿] “|” [一-鿿]|[，；：、。] "
)
DOCUMENTS = [SOURCE.parents[1] / "README.zh-CN.md", *sorted((SOURCE.parents[1] / "docs").rglob("*.md"))]


def _texts(path: Path) -> list[str]:
    """The texts in a module that hold Chinese, apart from words that are looked for in data."""
    constants = (n.value for n in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(n, ast.Constant))
    return [text for text in constants if isinstance(text, str) and re.search("[一-鿿]", text)]


SPEAKING = [p for p in sorted(SOURCE.rglob("*.py")) if "data" not in p.relative_to(SOURCE).parts and _texts(p)]


@pytest.mark.parametrize("path", SPEAKING, ids=lambda path: str(path.relative_to(SOURCE)))
def test_punctuation_of_messages(path: Path) -> None:
    assert [text for text in _texts(path) if HALF_WIDTH.search(text)] == []


@pytest.mark.parametrize("page", DOCUMENTS, ids=lambda page: page.name)
def test_punctuation_of_pages(page: Path) -> None:
    text = re.sub(r"```.*?```|`[^`\n]*`|^    .*$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    assert [line for line in text.splitlines() if HALF_WIDTH.search(line)] == []
