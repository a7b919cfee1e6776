"""chainrule explain, check and draw, from the shell."""

import json
import re
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from click.testing import CliRunner

from chainrule.cli import main
from chainrule.cli.explain import PICTURES
from chainrule.drawing.dispatch import Kind

TWO_SIGMOID_UNITS = (
    "x3 = x1*w13 + x2*w23; x4 = x1*w14 + x2*w24; O3 = sigmoid(x3); O4 = sigmoid(x4); "
    "x5 = w35*O3 + w45*O4; O5 = sigmoid(x5); E = 0.5*(O5 - t5)**2"
)
GIVEN = ["x1=0.35", "x2=0.9", "w13=0.1", "w14=0.4", "w23=0.8", "w24=0.6", "w35=0.3", "w45=0.9", "t5=0.5"]


def run(*arguments, code=0):
    result = CliRunner().invoke(main, list(arguments))
    assert result.exit_code == code, result.output + result.stderr
    return result


def test_one_gradient_is_derived_as_a_product_along_its_path():
    text = run("explain", TWO_SIGMOID_UNITS, *GIVEN, "--wrt", "w13", "--form", "path").output
    assert "(O₅ - t₅) · O₅(1 - O₅) · w₃₅ · O₃(1 - O₃) · x₁" in text
    assert "0.00092907" in text


@pytest.mark.parametrize("formula", ["-log(y)", "-(y*2)", "-.5*y", "-0.5*y"])
def test_a_formula_may_begin_with_a_minus(formula):
    assert "∂E/∂y" in run("explain", formula, "y=0.3").output
    assert "Usage" in run("explain", "--help").output


def test_an_update_shows_the_rule_and_the_new_value():
    text = run("explain", TWO_SIGMOID_UNITS, *GIVEN, "--wrt", "w35", "--form", "update", "--lr", "1").output
    assert "w₃₅ - η · ∂E/∂w₃₅" in text
    assert "0.272326" in text


def test_explanations_speak_chinese():
    assert "反向传播" in run("explain", TWO_SIGMOID_UNITS, *GIVEN, "--language", "zh").output


@pytest.mark.parametrize("suffix", [".html", ".md", ".tex", ".txt", ".json"])
def test_a_derivation_is_written_in_the_format_of_the_file_name(tmp_path, suffix):
    file = tmp_path / f"page{suffix}"
    assert f"Written to {file}" in run("explain", "(w*x - t)**2", "w=2", "x=3", "t=5", "--out", str(file)).output
    content = file.read_text(encoding="utf-8")
    assert content
    assert suffix != ".json" or json.loads(content)["schema"] == "chainrule/derivation/1"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["foo(x)", "x=1"], "the formula has the function 'foo'"),
        (["x*y", "x=1"], "the formula uses 'y', which has no value"),
        (["x", "x=__import__('os')"], "a value is NAME=NUMBER"),
        (["x", "x"], "a value is NAME=NUMBER"),
        (["x + 1", "x=1", "z=2"], "the formula does not use that name"),
        (["x + 1", "x=1", "--wrt", "q"], "q"),
        (["x + 1", "x=1e999"], "a value is NAME=NUMBER"),
        (["x + 1", "x=['a']"], "a value is NAME=NUMBER"),
        (["x + 1", "x=" + "[" * 500 + "1" + "]" * 500], "a value is NAME=NUMBER"),
        (["x + 1", "x=[[1],[2,3]]"], "numbers in rows of one length"),
        (["x + 1", "x=1", "-p"], "No such option '-p'"),
        (["x + 1", "x=1", "--wtr", "x"], "No such option '--wtr'"),
    ],
)
def test_bad_formulas_and_values_are_explained(arguments, text):
    error = run("explain", *arguments, code=2).stderr
    assert text in error
    assert "Traceback" not in error


def test_the_template_is_all_right_and_a_slip_in_it_is_named(tmp_path):
    file = tmp_path / "homework.toml"
    file.write_text(run("check", "--new").output, encoding="utf-8")
    assert run("check", str(file)).output.count("✓") == 6

    file.write_text(file.read_text(encoding="utf-8").replace('"dE/dx5" = 0.0407', '"dE/dx5" = 0.027'), encoding="utf-8")
    assert "a factor O₄ too many" in run("check", str(file), code=1).output
    report = json.loads(run("check", str(file), "--json", code=1).output)
    assert report["first_wrong"] == "dE/dx5"
    assert report["claims"]["dE/dx5"]["kind"] == "equals-other-quantity"


def test_check_says_what_it_needs(tmp_path):
    assert "chainrule check --new" in run("check", code=2).stderr
    assert "there is no such file" in run("check", str(tmp_path / "none.toml"), code=2).stderr


def test_a_drawing_shows_values_and_gradients(tmp_path):
    file = tmp_path / "car.svg"
    run("draw", "price * tax * count", "price=20", "tax=1.1", "count=2", "--out", str(file))
    picture = file.read_text(encoding="utf-8")
    assert picture.startswith("<svg")
    assert "2.2" in picture
    assert "could not be written" in run("draw", "x*x", "x=2", "--out", str(tmp_path / "no" / "x.svg"), code=2).stderr
    run("draw", "softmax(x)[0]", "x=[1,2]", "--expand", "--language", "zh", "--theme", "dark", "--out", str(file))
    unfolded = file.read_text(encoding="utf-8")
    assert "exp" in unfolded
    assert "线上方" in unfolded
    assert "#15181c" in unfolded
    assert "prefers-color-scheme" not in unfolded


@pytest.fixture(scope="session")
def moons(tmp_path_factory):
    """The folder of a run on points in the plane."""
    folder = tmp_path_factory.mktemp("runs") / "moons-1"
    options = ["--hidden", "5", "--epochs", "4", "--patience", "1", "--backend", "reference", "--no-progress"]
    run("train", "moons", *options, "--out", str(folder))
    return folder


@pytest.mark.parametrize("suffix", [".svg", ".png", ".html"])
@pytest.mark.parametrize("kind", ["network", "curves", "regions", "gradient-flow"])
def test_pictures_of_a_run(moons, tmp_path, kind, suffix, request):
    if suffix == ".png":
        request.getfixturevalue("needs_png")
    file = tmp_path / f"picture{suffix}"
    data = [] if kind in ("network", "curves") else ["--data", "moons"]
    assert f"Drawn to {file}." in run("draw", str(moons), "--kind", kind, *data, "--out", str(file)).output
    starts = {".svg": b"<svg", ".png": b"\x89PNG", ".html": b"<!doctype html>"}
    assert file.read_bytes().startswith(starts[suffix])


def test_a_run_is_drawn_as_its_network_beside_the_caller(moons, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run("draw", str(moons), "--language", "zh")
    picture = Path("network.svg").read_text(encoding="utf-8")
    assert "正权重" in picture
    assert "ReLU" in picture
    run("draw", str(moons / "model.safetensors"), "--out", "model.svg")
    assert "positive weight" in Path("model.svg").read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", ["classes", "numbers"])
def test_regions_are_in_the_units_of_the_table(tmp_path, kind):
    rng = np.random.default_rng(0)
    height, income = rng.normal(170.0, 10.0, 80), np.exp(rng.normal(10.0, 3.0, 80))
    answers = np.where(height > 170, "tall", "short") if kind == "classes" else 1000.0 + 3.0 * height
    rows = [f"{h:.1f},{i if k else ''},{a}" for k, (h, i, a) in enumerate(zip(height, income, answers, strict=True))]
    data = tmp_path / "people.csv"
    data.write_text("height_cm,income,answer\n" + "\n".join(rows), encoding="utf-8")
    folder, file = tmp_path / "run", tmp_path / "regions.svg"
    options = ["--hidden", "8", "--epochs", "30", "--backend", "reference", "--no-progress", "--seed", "1"]
    run("train", str(data), "-t", "answer", *options, "--out", str(folder))
    run("draw", str(folder), "--kind", "regions", "--data", str(data), "--out", str(file))
    drawn = set(re.findall(r"<text[^>]*>([^<]+)</text>", file.read_text(encoding="utf-8")))
    # The axis of income, which has heavy tails, is logarithmic; the row without one is left out.
    assert {"height_cm", "income", "160", "180", "100", "10000"} <= drawn
    assert {"short", "tall"} <= drawn if kind == "classes" else {"1450", "1500", "1550"} <= drawn
    assert file.read_text(encoding="utf-8").count("<circle") == 79 + (3 if kind == "classes" else 0)
    report = (folder / "report.html").read_text(encoding="utf-8")
    assert "The answers all over the plane" in report
    assert "整个平面上的预测" in report


def test_draw_says_what_it_needs(moons, tmp_path):
    def said(*arguments):
        return run("draw", *arguments, "--out", str(tmp_path / "x.svg"), code=2).stderr

    assert "Add --data DATA" in said(str(moons), "--kind", "regions")
    assert "the kinds for a run are network, curves, regions, gradient-flow" in said(str(moons), "--kind", "graph")
    assert "a run has its values" in said(str(moons), "x=1")
    for kind in ("curves", "gradient-flow"):
        wrong = said(str(moons / "model.safetensors"), "--kind", kind, "--data", "moons")
        assert wrong.endswith(f"it also needs the settings and the history of the run. Name the folder of the run: {moons}\n")
    assert "the model file runs/none-1 could not be read" in said("runs/none-1")
    assert "the kinds for a Tensor are graph, network" in said("x*x", "x=2", "--kind", "curves")
    assert "pictures are written as .svg, .png or .html" in run("draw", "x*x", "x=2", "--out", "x.gif", code=2).stderr
    assert "chainrule draw runs/iris-1 --kind curves" in run("draw", "--help").output


def test_the_exit_code_of_check(tmp_path):
    """0: all right; 1: something is wrong; 3: nothing is wrong, but a name is not in the calculation."""
    file = tmp_path / "homework.toml"
    text = 'formula = "E = w*x"\n[given]\nw = 1\nx = 2\n[claims]\n'
    for claims, code in (
        ('"∂E/∂w" = "2"', 0), ('"∂E/∂w" = 2\nE = 2.0', 0), ('"∂E/∂v" = 2\nE = 2', 3), ("E = 3\nF = 2", 1), ("F = 2", 3),
        ("E = 0", 1),
    ):  # fmt: skip
        file.write_text(text + claims, encoding="utf-8")
        run("check", str(file), code=code)


def test_the_command_line_offers_every_kind_of_drawing():
    assert get_args(Kind) == PICTURES  # repeated, as what draws takes a while to load
