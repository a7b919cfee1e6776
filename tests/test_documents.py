"""The documents are true: their Python runs, commands are those of CI, names exist, and figures are those of the benchmarks."""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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


# ------------------------------------------------------------------------------------------------ figures
def _results(name: str) -> Any:
    return json.loads((ROOT / "bench" / "results" / f"{name}.json").read_text(encoding="utf-8"))


def _digits(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def _signed(value: float, digits: int) -> str:
    return f"{value:+.{digits}f}".replace("-", "−")


def _speed() -> Iterator[list[str]]:
    systems = ("chainrule", "PyTorch", "torch.compile", "scikit-learn", "JAX jit", "JAX scan")
    for job in _results("training")["jobs"]:
        times = [_digits(1e6 * job["systems"][s]["median"]) if s in job["systems"] else "–" for s in systems]
        yield [job["job"], *times, f"{job['ratio']:.2f}", f"{100 * job['share_of_peak']['chainrule']:.0f} %"]


def _memory() -> Iterator[list[str]]:
    systems = ("chainrule", "PyTorch", "torch.compile", "scikit-learn", "JAX jit", "JAX scan")
    for job in _results("training")["jobs"]:
        yield [job["job"], *(f"{job['systems'][s]['peak_bytes'] / 1e6:.0f}" if s in job["systems"] else "–" for s in systems)]


def _quality() -> Iterator[list[str]]:
    for name, found in _results("accuracy").items():
        ours, *theirs = (found["mean and standard error"][m] for m in ("chainrule", "sklearn", "sklearn max_iter=1000"))
        cells = [f"{ours['score'][0]:.3f}".replace("-", "−")]
        for other in theirs:
            mean, error = other["ours − this, score"]
            cells += [f"{other['score'][0]:.3f}".replace("-", "−"), f"{_signed(mean, 4)} ± {error:.4f}"]
        yield [{"titanic": "Titanic"}.get(name, name), "R²" if name == "diabetes" else "accuracy", *cells]


def _wall() -> Iterator[list[str]]:
    for name, runs in _results("wall")["runs"].items():
        yield [name, *(f"{statistics.median(run['seconds'] for run in found):.2f}" for found in runs.values())]


def _calls() -> Iterator[list[str]]:
    for name, found in _results("calls")["seconds"].items():
        if "call" in found:
            yield [name, f"{1e6 * found['call']:.1f}", f"{1e6 * found['program']:,.1f}"]


def _compiling() -> Iterator[list[str]]:
    for name, found in _results("compiling")["seconds"].items():
        stages = sum(seconds for stage, seconds in found["warm"].items() if stage != "whole")  # the rest is the first access
        yield [name, *(f"{1e3 * seconds:,.0f}" for seconds in (found["cold"]["whole"], found["warm"]["whole"], stages))]


FIGURES = {
    "speed": (_speed, ["README.md", "README.zh-CN.md"]),
    "quality": (_quality, ["README.md", "README.zh-CN.md"]),
    "memory": (_memory, ["bench/README.md"]),
    "wall": (_wall, ["bench/README.md"]),
    "calls": (_calls, ["bench/README.md"]),
    "compiling": (_compiling, ["bench/README.md"]),
}


@pytest.mark.parametrize(("table", "page"), [(table, page) for table, (_, pages) in FIGURES.items() for page in pages])
def test_figures_are_those_that_the_benchmarks_wrote(table: str, page: str) -> None:
    lines = (ROOT / page).read_text(encoding="utf-8").splitlines()
    for cells in FIGURES[table][0]():
        assert any(line.startswith(f"| {' | '.join(cells)} |") for line in lines), f"{page} has no line with {cells}"
