"""The documents are true: their Python runs, their commands are those that CI runs, and what they name exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kept_tables import kept_tables

ROOT = Path(__file__).resolve().parents[1]
PAGES = [*sorted((ROOT / "docs").rglob("*.md")), ROOT / "README.md", ROOT / "README.zh-CN.md", ROOT / "CONTRIBUTING.md"]
WITH_CODE = [page for page in PAGES if "```python" in page.read_text(encoding="utf-8")]


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", WITH_CODE, ids=name)
def test_the_python_of_a_page_runs_from_top_to_bottom(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code = "\n".join(re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL))
    with kept_tables():
        exec(compile(code, str(page), "exec", dont_inherit=True), {"__name__": "__page__"})


@pytest.mark.parametrize("page", ["README.md", "README.zh-CN.md"])
def test_what_the_readme_says_is_printed_is_printed(page: str, capsys: pytest.CaptureFixture[str]) -> None:
    founding = next(c for c in re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL))
    later = re.search(r"```python\n(print\(cr\.explain.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)
    update = re.search(r"```python\n(E\.backward.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)
    assert later and update
    code = founding + later[1] + update[1]
    exec(code, {"__name__": "__page__"})
    printed = " ".join(capsys.readouterr().out.split())
    said = re.findall(r"^print\(.*\)  # (.*)$|^# ([^…\n]+)$", code, re.MULTILINE)
    assert len(said) >= 9
    for beside, below in said:
        assert " ".join((beside or below).split()) in printed


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_and_files_that_a_page_names_exist(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
        assert (page.parent / target).exists(), f"{name(page)} links to {target}"
    for target in re.findall(r"`((?:src|tests|bench|docs|examples)/[\w./-]+)`", text):
        assert (ROOT / target).exists(), f"{name(page)} names {target}"


@pytest.mark.parametrize("page", ["README.md", "README.zh-CN.md"])
def test_ci_runs_the_command_that_the_readme_gives_for_the_tests(page: str) -> None:
    commands = re.findall(r"^    (python3 -m venv .*)$", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE)
    assert len(commands) == 2
    assert commands[1].replace("pip install", "pip install --quiet") in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_the_two_readmes_have_the_same_sections_and_code() -> None:
    english, chinese = ((ROOT / page).read_text(encoding="utf-8") for page in ("README.md", "README.zh-CN.md"))
    assert english.count("\n## ") == chinese.count("\n## ")
    assert re.findall(r"```\w+", english) == re.findall(r"```\w+", chinese)
