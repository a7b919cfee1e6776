"""Faults in homework files are told in a sentence, and one claim that cannot be read leaves the others graded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from chainrule.derivations import expression
from chainrule.errors import ArgumentError
from chainrule.grading import check, read_homework

SMALL = {"formula": "y = w*x", "given": {"w": 2, "x": 3}, "claims": {"y": 6}}
NETWORK = {"given": {"W1": [[1]], "x": [1], "t": [1]}, "claims": {"E": 1}}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (SMALL | {"optimizer": {"name": ["SGD"]}}, "names the optimizer ['SGD']; there are"),
        (SMALL | {"optimizer": {"name": "SGD", "parameters": [["w"]]}}, "names the parameter ['w']; there are w, x."),
        (SMALL | {"optimizer": {"name": "SGD", "parameters": 3}}, "names the parameter 3; there are w, x."),
        (NETWORK | {"network": {"activations": ["relu"], "loss": ["a"]}}, "it has activations, a list with one name per layer"),
        (NETWORK | {"network": {"activations": [1]}}, "it has activations, a list with one name per layer"),
        (SMALL | {"given": {"w": [], "x": 3}}, "gives w = []; a given value is a finite number or a list of these"),
    ],
)
def test_what_is_of_another_kind_is_refused(tmp_path: Path, data: dict[str, Any], words: str) -> None:
    file = tmp_path / "homework.json"
    file.write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(ArgumentError) as caught:
        read_homework(file).grade()
    assert words in str(caught.value)


def test_a_single_parameter_may_stand_without_brackets(tmp_path: Path) -> None:
    file = tmp_path / "homework.json"
    data = {"formula": "y = w13*x", "given": {"w13": 2, "x": 3}, "claims": {"w13'": -1}}
    file.write_text(json.dumps(data | {"optimizer": {"name": "SGD", "lr": 1, "parameters": "w13"}}), encoding="utf-8")
    assert read_homework(file).grade().correct


def test_a_name_that_comes_twice_in_json_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "homework.json"
    file.write_text('{"formula": "y = w*x", "given": {"w": 2, "x": 3}, "claims": {"y": 5, "y": 6}}', encoding="utf-8")
    with pytest.raises(ArgumentError, match="has 'y' twice; a name comes once"):
        read_homework(file)


@pytest.mark.parametrize("formula", ["reshape(x, (2, 2))", "x @ x @ x", "sum(x, axis=9)", "x[7]"])
def test_a_formula_that_does_not_fit_leaves_the_others_graded(formula: str) -> None:
    output = expression("n = layer_norm(x, g, b); E = sum(n*n)", x=[1.0, 2.0, 4.0], g=[1.0, 1.0, 1.0], b=[0.0, 0.0, 0.0])
    grading = check(output, {"E": formula, "nothing": formula, "n": "layer_norm(x, g, b)"})
    assert [f.verdict for f in grading.values()] == ["wrong", "not-graded", "right"], str(grading)


def test_an_array_without_elements() -> None:
    output = expression("y = w*x; E = sum(y)", w=[], x=3.0)
    assert check(output, {"y": 6})["y"].verdict == "wrong"
    assert check(output, {"y": []})["y"].verdict == "right"
