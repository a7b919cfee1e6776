"""The report of a run: what it shows for every kind of task, in both languages, without anything from outside."""

import base64
import html
import importlib.util
import re
import shutil
import subprocess
import sys
import zlib
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.data import ImageSet, Table
from chainrule.errors import OutputError
from chainrule.fitting.metrics import METRICS
from chainrule.job import Config, Predictor, PreparedData, train
from chainrule.job.folders import REPORT_FILE
from chainrule.job.report import quality, report_html, words, write_report
from chainrule.job.report.sample import picture, sample_section, worst_row

CHROMIUM = shutil.which("chromium")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--enable-logging=stderr", "--v=0",
)  # fmt: skip
NASTY = '<script>alert("&\'{x}$")</script>'
TASKS = ("binary", "multiclass", "regression", "pictures", "colours", "few", "plain")
needs_math = pytest.mark.skipif(importlib.util.find_spec("math_core") is None, reason="formulas need math-core")
needs_layout = pytest.mark.skipif(importlib.util.find_spec("graphlay") is None, reason="drawings need graphlay")


def table(n=60, labels=("no", "yes"), nasty="b"):
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=n), np.where(rng.uniform(size=n) < 0.5, "low", "high")
    score = np.argsort(np.argsort(a + (b == "high"))) * len(labels) // n
    columns = {"a": a, nasty: b, "number": 3 * a + 100, "constant": np.ones(n), "answer": np.array(labels)[score]}
    return Table.from_columns(columns, "the table")


def pictures(channels, n=40):
    X = np.random.default_rng(0).integers(0, 255, (n, channels, 8, 8)).astype(np.uint8)
    return ImageSet(X, np.arange(n) % 3, ["ant", "bee", "cat"])


def problem_of(task):
    settings = {"epochs": 2, "patience": 1, "exclude": ("constant",), "backend": "reference"}
    if task in ("pictures", "colours"):
        config = Config(epochs=1, hidden=(4,), backend="reference")
        return PreparedData.of(pictures(1 if task == "pictures" else 3), config), config
    config = Config(**settings | {"hidden": () if task == "plain" else (5,)})
    three = ("red", "green", "blue")
    data = table(12 if task == "few" else 60, three if task in ("multiclass", "plain") else ("no", "yes"))
    return PreparedData.of(data, replace(config, target="number" if task == "regression" else "answer")), config


class Reports(dict):
    """Problem, result and report of every kind of task, each made when the first test asks for it."""

    def __missing__(self, task):
        problem, config = problem_of(task)
        result = train(problem, config)
        self[task] = problem, result, report_html(result, problem)
        return self[task]


@pytest.fixture(scope="session")
def reports():
    return Reports()


class Seen(HTMLParser):
    """Checks nesting, and gathers tags, attributes, and the text that each language shows."""

    VOID = frozenset({"meta", "input", "img"})

    def __init__(self):
        super().__init__()
        self.open, self.attributes, self.tags, self.text = [], [], [], {"en": "", "zh-Hans": ""}

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in self.VOID:
            self.open.append((tag, dict(attrs).get("lang")))

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        if "style" in [tag for tag, _ in self.open]:
            return
        languages = {language for tag, language in self.open if tag != "html"} & set(self.text)
        for language in languages or self.text:
            self.text[language] += data


def seen(page):
    parser = Seen()
    parser.feed(page)
    parser.close()
    assert not parser.open
    return parser


# ---------------------------------------------------------------------------------------- what it shows
@needs_math
@needs_layout
@pytest.mark.parametrize("task", TASKS)
def test_every_section_is_there_in_both_languages(reports, task):
    problem, result, page = reports[task]
    parser = seen(page)
    for k, text in enumerate(parser.text.values()):
        for key in (
            "data",
            "settings",
            "curves",
            "quality",
            "network",
            "flow",
            "diagnosis",
            "layer-numbers",
            "sample",
            "one-weight",
            "baseline",
        ):
            assert words.PHRASES[key][k] in text, key
        for value in result.metrics.values():
            assert f"{value:.4f}" in text
        assert f"{nn.summary(result.predictor.model, problem.X.shape[1:]).parameters:,}" in text
        assert words.PHRASES["missing-package"][k][:8] not in text
        assert words.PHRASES["not-made"][k][:8] not in text
    assert parser.tags.count("math") > 20
    drawings = parser.attributes.count(("class", "chart"))
    assert drawings >= 2 * len(["loss", "lr"])  # in two languages


@needs_math
def test_the_chinese_text_has_no_english_sentence_left(reports):
    for _, _, page in map(reports.__getitem__, TASKS):
        text = seen(page).text["zh-Hans"]
        assert not re.search(r"\b(the|of|rows|and|is|left|gradient|layer)\b", text.replace("the data", ""))


@pytest.mark.parametrize("table_of", [words.PHRASES, words.SETTINGS])
def test_both_languages_have_every_phrase_with_the_same_blanks(table_of):
    for english, chinese in table_of.values():
        assert set(re.findall(r"\{\w+\}", english)) == set(re.findall(r"\{\w+\}", chinese))
        assert re.search("[一-鿿]", chinese) or (english == chinese and english in ("R²", "ΔW / W", "‖δ‖"))


def test_every_setting_and_every_measure_has_a_name():
    assert set(words.SETTINGS) == set(Config.__dataclass_fields__)
    assert {"accuracy", "balanced_accuracy", "log_loss", "mae", "rmse", "r2"} <= set(words.PHRASES) | set(METRICS)
    assert all(metric.title for metric in METRICS.values())


TREATMENTS = (
    "standardised after arsinh (heavy tails); missing filled with the median and marked",
    "0 or 1, standardised",
    "days since 1970-01-01, standardised",
    "days since 1970-01-01, standardised; beside it hour, weekday, month; 1,034 cells say '?'; 2 more words mean missing",
    "time of day, standardised; beside it hour; 1 cell says '?'",
    "standardised; in '%'; '1' is 1",
    "standardised; '007' may be a code: --kind '3=7' reads words",
    "standardised; few different large numbers, which may be codes: --kind '3=7' reads words",
    "standardised; numbers of so many digits are rounded, and may be codes: --kind '3=7' leaves them out",
    "standardised; these may be dates: --kind '3=7' reads them",
    "left out: numbers in '%' and without a unit and in '$'",
    "left out: 661 of 891 cells are numbers, and '-', '?' are not",
    "left out: dates that could be day/month/year or month/day/year: name the order with --kind '3=7'",
    "one-hot, 7 categories, 12 rare ones pooled; missing is a category",
    "left out: it identifies rows",
    "left out: it has too many different values",
    "left out: it has no values in the training rows",
    "left out: excluded",
    "val_loss did not improve for 5 epochs; the best was epoch 12",
    "interrupted",
)


@pytest.mark.parametrize("text", TREATMENTS)
def test_what_is_done_with_columns_is_translated(text):
    english, chinese = (html.unescape(part) for part in re.findall(r'lang="[\w-]+">(.*?)</span>', words.translated(text)))
    assert english == text
    assert not re.search(
        "[a-z]{2,}", re.sub("arsinh|val_loss|--kind|(day|month|year)[/.](day|month|year)[/.](day|month|year)", "", chinese)
    )


def test_counts_in_the_confusion_matrix_are_those_of_the_answers(reports):
    problem, result, page = reports["multiclass"]
    answers = result.predictor.model.predict(problem.X_held).argmax(axis=1)
    matrix = page.split('<table class="confusion">')[1].split("</table>")[0]
    rows = [re.findall(r"<td[^>]*>(\d*)</td>", row) for row in matrix.split("<tr>")[2:]]
    counts = np.zeros((3, 3), int)
    np.add.at(counts, (problem.y_held, answers), 1)
    assert [[int(n or 0) for n in row] for row in rows] == counts.tolist()


def test_residuals_have_a_point_per_held_out_row(reports):
    problem, _, page = reports["regression"]
    drawings = [base64.b64decode(d).decode() for d in re.findall(r"data:image/svg\+xml;base64,([\w+/=]+)", page)]
    assert sum(drawing.count(" scattered") for drawing in drawings) == 2 * len(problem.X_held)
    assert 'class="confusion"' not in page


def test_rows_that_were_not_held_out_are_not_called_so(reports):
    text = seen(reports["few"][2]).text["en"]
    assert "too few to hold any out" in text
    assert "On the 12 training rows" in text
    assert "Training row " in text
    assert "held-out" not in text


@needs_math
def test_the_derived_weight_has_the_gradient_that_training_computes(reports):
    problem, result, page = reports["regression"]
    row = worst_row(result, problem, result.predictor.model.predict(problem.X_held))
    model = result.predictor.model.eval()
    target = problem.y_held[row : row + 1, None]
    loss = nn.MSELoss()(model(cr.tensor(problem.X_held[row : row + 1])), target)
    (gradient,) = cr.grad(loss, [model.parameters()[0]])
    largest = gradient.numpy().flat[np.abs(gradient.numpy()).argmax()]
    last = page.split('<div class="step">')[-1]
    shown = re.sub("<[^>]*>", "", last).replace("−", "-").split("=")[-1]
    assert float(shown) == pytest.approx(float(largest), rel=2e-3)


def test_the_trained_network_is_left_as_it_was(reports):
    problem, result, page = reports["binary"]
    before, names = result.predictor.model.state_dict(), [p.name for p in result.predictor.model.parameters()]
    assert report_html(result, problem) == page
    assert [p.name for p in result.predictor.model.parameters()] == names
    for name, value in result.predictor.model.state_dict().items():
        np.testing.assert_array_equal(value, before[name])


# ---------------------------------------------------------------------------------------- what users typed
@needs_math
def test_names_and_labels_are_escaped():
    config = Config(target="answer", epochs=1, hidden=(3,), backend="reference")
    problem = PreparedData.of(table(labels=(NASTY, "<b>"), nasty=NASTY), replace(config, target="answer"), f"x{NASTY}.csv")
    parser = seen(report_html(train(problem, config), problem))
    assert not {"script", "b"} & set(parser.tags)
    for text in parser.text.values():
        assert text.count(NASTY) > 5


@pytest.mark.usefixtures("in_short")
def test_many_columns_and_classes_are_summed_up():
    rng = np.random.default_rng(0)
    columns = {f"column {k}": rng.normal(size=300) for k in range(40)}
    columns["answer"] = np.array([f"class {k}" for k in range(30)] * 10)
    config = Config(target="answer", epochs=1, hidden=(3,), task="classification", backend="reference")
    problem = PreparedData.of(Table.from_columns(columns, "t"), replace(config, target="answer"))
    page = report_html(train(problem, config), problem)
    assert "column 0, column 1, …, column 39" in page
    assert "column 20" not in page.split('id="sample"')[0]
    assert words.PHRASES["confused"][0] in page
    assert 'class="confusion"' not in page


# ---------------------------------------------------------------------------------------- alone, and when something is missing
@pytest.mark.parametrize("task", TASKS)
def test_nothing_comes_from_outside(reports, task):
    page = reports[task][2]
    parser = seen(page)
    for name, value in parser.attributes:
        if name in ("src", "href"):
            assert value.startswith(("data:", "#"))
    drawings = [base64.b64decode(d).decode() for d in re.findall(r"data:image/svg\+xml;base64,([\w+/=]+)", page)]
    for text in (page, *drawings):
        assert not re.search(r"(https?:)?//(?!www\.w3\.org/(2000/svg|1998/Math))\w+\.\w", re.sub(r"base64,[\w+/=]+", "", text))
    assert not {"script", "link", "iframe"} & set(parser.tags)


@pytest.mark.usefixtures("in_short")
@pytest.mark.parametrize(
    "package, left, gone",
    [("math_core", 'alt="Network"', "<math"), ("graphlay", "<math", 'alt="Network"')],
    ids=["math-core", "graphlay"],
)
def test_without_optional_packages_the_rest_is_written(monkeypatch, package, left, gone):
    pytest.importorskip({"math_core": "graphlay", "graphlay": "math_core"}[package], reason="one of the two must be there")
    from chainrule.derivations.render import html

    html._converter.cache_clear()
    monkeypatch.setitem(sys.modules, package, None)
    problem, config = problem_of("pictures")
    page = report_html(train(problem, config), problem)
    html._converter.cache_clear()
    assert left in page
    assert gone not in page
    for text in seen(page).text.values():
        assert package.replace("_", "-") in text
        assert 'pip install "chainrule[app]"' in text


@pytest.mark.usefixtures("in_short")
def test_a_part_that_cannot_be_made_says_why(monkeypatch):
    def refused(*args, **kwargs):
        raise cr.errors.GradientError("no derivative <here>")

    monkeypatch.setattr("chainrule.job.report.sample.explain", refused)
    problem, config = problem_of("binary")
    text = seen(report_html(train(problem, config), problem)).text
    assert "This part could not be made: no derivative <here>" in text["en"]
    assert "无法生成这一部分：no derivative <here>" in text["zh-Hans"]


@pytest.mark.usefixtures("in_short")
def test_a_run_writes_it_after_the_model(tmp_path, monkeypatch):
    problem, config = problem_of("binary")
    result = train(problem, config, tmp_path)
    assert (tmp_path / REPORT_FILE).read_text(encoding="utf-8") == report_html(result, problem)

    def broken(*args):
        raise RuntimeError("planted")

    monkeypatch.setattr("chainrule.job.report.report_html", broken)
    other = tmp_path / "other"
    other.mkdir()
    with pytest.raises(RuntimeError, match="planted"):
        train(problem, config, other)
    Predictor.load(other)
    assert not (other / REPORT_FILE).exists()


def test_a_page_that_cannot_be_written_is_an_error(reports, tmp_path):
    problem, result, _ = reports["plain"]
    with pytest.raises(OutputError, match="could not be written"):
        write_report(result, problem, tmp_path / "missing" / "r.html")


# ---------------------------------------------------------------------------------------- small functions
def test_a_picture_is_a_png_of_its_pixels():
    pixels = np.arange(12.0).reshape(1, 3, 4)
    png = base64.b64decode(re.search(r"base64,([\w+/=]+)", picture(pixels)).group(1))
    assert png[16:24] == (4).to_bytes(4, "big") + (3).to_bytes(4, "big")
    start = png.index(b"IDAT") + 4
    rows = np.frombuffer(zlib.decompress(png[start : png.index(b"IEND") - 8]), np.uint8).reshape(3, 5)
    np.testing.assert_array_equal(rows[:, 1:], np.round(pixels[0] * 255 / 11))


# ---------------------------------------------------------------------------------------- in a browser
@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
@needs_math
@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("task", ["pictures", "plain", "regression"])
def test_a_browser_shows_it(reports, tmp_path: Path, task, language):
    # The page says itself what it asked for, which language it shows and whether it fits a phone; the script is the test's.
    # A window of Chromium is at least 500 wide, so the page stands in a frame.
    probe = (
        f"<script>addEventListener('load', () => {{ document.getElementById('{language}').click();"
        "const shown = l => [...document.querySelectorAll(`[lang=${l}]`)].filter(e => e.getClientRects().length).length;"
        "parent.document.title = [performance.getEntriesByType('resource').filter(e => !e.name.startsWith('data:')).length,"
        "document.documentElement.scrollWidth - document.documentElement.clientWidth,"
        "shown('en') > 1, shown('zh-Hans') > 0].join('|'); })</script>"
    )
    page = html.escape(reports[task][2].replace("</head>", f"{probe}</head>"))
    file = tmp_path / "page.html"
    frame = f'<iframe width="375" height="800" style="border: 0" srcdoc="{page}"></iframe>'
    file.write_text(f"<!doctype html><meta charset='utf-8'><title></title>{frame}", encoding="utf-8")
    command = [CHROMIUM, *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", file.as_uri()]
    result = subprocess.run(command, capture_output=True, text=True, timeout=500, check=True)
    english, chinese = ("true", "false") if language == "en" else ("false", "true")
    assert result.stdout.split("<title>")[1].split("</title>")[0] == f"0|0|{english}|{chinese}"
    assert "CONSOLE" not in result.stderr


# ---------------------------------------------------------------------------------------- what a report costs
def test_of_many_classes_those_confused_most_are_listed_and_no_square_is_made(monkeypatch):
    truth, answers = np.array([3, 3, 3, 900, 900, 7]), np.array([5, 5, 3, 1, 1, 8])
    made = []
    monkeypatch.setattr(np, "zeros", lambda shape, *a, own=np.zeros, **k: made.append(np.prod(shape)) or own(shape, *a, **k))
    found = quality._pairs(truth, answers, [f"c{k}" for k in range(1000)])
    assert re.findall(r"<td[^>]*>(\w+)</td>", found) == ["c3", "c5", "2", "c900", "c1", "2", "c7", "c8", "1"]
    assert max(made, default=0) < 1000


def test_answers_over_the_plane_are_taken_a_part_at_a_time(monkeypatch):
    from chainrule.drawing import regions
    from chainrule.nn.forward import Forward

    asked = []
    monkeypatch.setattr(Forward, "predict", lambda self, x, own=Forward.predict: asked.append(len(x)) or own(self, x))
    cr.manual_seed(0)
    model = nn.Linear(2, 3)
    points = np.random.default_rng(0).normal(size=(20, 2)).astype(np.float32)
    cr.draw(model, points, np.arange(20) % 3)
    assert sum(asked) == regions._PIXELS**2 + 20
    assert max(asked) <= regions._AT_ONCE


def test_short_runs_of_large_and_deep_networks_are_bounded():
    from chainrule.diagnosis.trials import Trials

    def steps_and_samples(products, layers, batch):
        model = nn.Linear(2, 1)
        data = (np.zeros((5000, 2), np.float32), np.zeros((5000, 1), np.float32), np.ones(5000, np.float32))
        trials = Trials(
            model, nn.MSELoss(), cr.optim.Adam(model.parameters()), data,
            rate=0.1, batch_size=batch, judged=10, seed=0, products=products, layers=layers,
        )  # fmt: skip
        return trials._rows.shape

    assert steps_and_samples(100, 3, 128) == (100, 128)
    assert steps_and_samples(1e7, 3, 4096) == (20, 16)
    assert steps_and_samples(100, 200, 32) == (20, 32)


def test_a_deep_network_is_not_derived():
    rows = table(30)
    config = Config(epochs=1, hidden=(2,) * 21, backend="reference")
    problem = PreparedData.of(rows, replace(config, target="answer"))
    result = train(problem, config)
    outputs = result.predictor.model.predict(problem.X_held, backend="reference")
    assert "The network has 22 layers" in sample_section(result, problem, outputs).body
