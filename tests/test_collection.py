"""Every process collects the same tests, whatever its environment: pytest-xdist runs nothing at all where workers differ."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def collected(**environment):
    command = [sys.executable, "-m", "pytest", "-n0", "-o", "addopts=", "--collect-only", "-q", "-p", "no:cacheprovider"]
    found = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, encoding="utf-8", check=False
    )
    assert found.returncode == 0, found.stdout + found.stderr
    return [line for line in found.stdout.splitlines() if "::" in line]


@pytest.mark.slow
def test_every_process_collects_the_same_tests():
    """The two collections also run in different seconds, so that no id may hold the time."""
    first = collected(PYTHONHASHSEED="1", TZ="Pacific/Kiritimati", LC_ALL="C", PYTHONUTF8="1")
    second = collected(PYTHONHASHSEED="2", TZ="America/Adak", LC_ALL="C.UTF-8")
    assert len(first) > 1000
    assert first == second


def test_every_folder_of_tests_finds_what_it_imports():
    """Run by itself, a folder sees its own modules and those beside this one, and not what another folder has."""
    tests = Path(__file__).parent
    places = {path.stem: path.parent for path in tests.rglob("*.py")}
    for path in tests.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module in places:
                assert places[node.module] in (path.parent, tests), f"{path.name} imports {node.module} of another folder"
