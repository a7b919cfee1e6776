"""One of each, added by a user in ten lines or fewer, goes through everything that ours do."""

import inspect
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import chainrule as cr
from chainrule import extend, nn, ops, optim
from chainrule.cli import main
from chainrule.errors import ArgumentError, ModelFileError
from chainrule.ir import topological
from chainrule.layers import layers_of_calculation
from chainrule.testing import check_primitive
from kept_tables import kept_tables

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def mine():
    """The extension, imported as `chainrule --extension my_extension` does in its folder; gone afterwards."""
    with kept_tables(), pytest.MonkeyPatch.context() as patch:
        patch.chdir(HERE)
        extend.load("my_extension")
        yield sys.modules["my_extension"]
    del sys.modules["my_extension"]


def _xy(rows=60):
    x = np.random.default_rng(0).normal(size=(rows, 3)).astype(np.float32)
    return x, (x[:, :1] - 0.5 * x[:, 1:2]).astype(np.float32)


def _trainer(mine):
    cr.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(3, 8), mine.Mish(), mine.Scale(8), nn.Linear(8, 8, init="small"), mine.Mish(), nn.Linear(8, 1)
    )
    optimizer = mine.SignDescent(model.parameters(), lr=0.002)
    return cr.Trainer(model, mine.LogCosh(), optimizer, metrics=["close"], backend="counting")


def test_each_takes_ten_lines_or_fewer(mine):
    source = inspect.getsource(mine).split("\n\n\n")
    for part in source[1:]:
        assert len(part.strip().splitlines()) <= 10, part


@pytest.mark.parametrize("seed", range(3))
def test_the_derived_partial_is_that_of_the_body(mine, seed):
    check_primitive(ops.PRIMITIVES["mish"], seed)


def test_they_train(mine):
    trainer, (x, y) = _trainer(mine), _xy()
    compiled = mine.counting.compiled
    history = trainer.fit(x, y, epochs=30, batch_size=20, progress=False)
    assert history["loss"][-1] < 0.2 * history["loss"][0]
    assert history["close"][-1] > history["close"][0]
    assert mine.counting.compiled > compiled


def test_they_are_saved_and_loaded(mine, tmp_path):
    trainer, (x, y) = _trainer(mine), _xy()
    trainer.fit(x, y, epochs=2, progress=False, callbacks=[cr.LearningRate(mine.InverseRootLR())])
    assert trainer.history["lr"] == pytest.approx([0.002, 0.002 / 2**0.5])
    cr.save_trainer(trainer, tmp_path / "t.safetensors")
    again = cr.load_trainer(tmp_path / "t.safetensors")
    assert (type(again.loss), type(again.optimizer)) == (mine.LogCosh, mine.SignDescent)
    assert [type(layer) for layer in again.model] == [type(layer) for layer in trainer.model]
    assert [layer.init for layer in again.model if isinstance(layer, nn.Linear)] == [None, "small", None]
    for each in (trainer, again):
        each.fit(x, y, epochs=2, progress=False, callbacks=[cr.LearningRate(mine.InverseRootLR())])
    assert np.array_equal(trainer.predict(x), again.predict(x))


def test_an_initialiser_and_a_schedule_are_asked_by_name(mine):
    wanted = mine.small((4, 3), 7)
    assert np.array_equal(nn.INITIALISERS["small"]((4, 3), 7), wanted)
    assert optim.SCHEDULES["InverseRootLR"]().config() == mine.InverseRootLR().config()


def test_they_are_explained_and_graded(mine):
    x = cr.tensor([0.35, 0.9], name="x")
    W1 = cr.parameter([[0.1, 0.8], [0.4, 0.6]], name="W1")
    w2 = cr.parameter([0.3, 0.9], name="w2")
    z = (W1 @ x).named("z")
    h = mine.Mish()(z).named("h")
    E = mine.LogCosh(reduction="sum")((w2 @ h).named("o").reshape(1, 1), cr.tensor([[0.5]])).named("E")
    (first, _) = layers_of_calculation(topological([E.node]), {W1.node, w2.node})
    assert first.function == "mish"
    text = str(cr.explain(E, W1[0, 0], form="path"))
    assert "mish" in text
    matrix = str(cr.explain(E, W1, form="matrix"))
    assert "error term of layer 1" in matrix
    (gradient,) = cr.grad(E, [W1])
    assert cr.check(E, {"h[0]": float(h.numpy()[0]), "dE/dW1[0, 0]": float(gradient.numpy()[0, 0])}).correct


def test_an_update_is_explained(mine):
    w = cr.parameter(2.0, name="w")
    text = str(cr.explain((w * 3.0 - 5.0) ** 2, w, form="update", optimizer=mine.SignDescent([("w", w)], lr=0.5)))
    assert "1.5" in text


def test_they_are_diagnosed(mine):
    trainer, (x, y) = _trainer(mine), _xy()
    found = cr.diagnose(trainer.model, trainer.loss, x, y, optimizer=trainer.optimizer)
    assert [layer["activation"] for layer in found.measured.layers] == ["mish", "mish", None]
    far = cr.diagnose(trainer.model, trainer.loss, x, 1000.0 + y, optimizer=trainer.optimizer)
    assert "unscaled-targets" in {finding.kind for finding in far}  # the loss says that its targets are numbers


def test_they_are_drawn(mine):
    trainer, (x, _) = _trainer(mine), _xy()
    assert "mish" in cr.draw(trainer.model(x[:1])).to_svg()
    assert "Mish" in cr.draw(trainer.model, x).to_svg()


def _chainrule(*arguments):
    found = CliRunner().invoke(main, ["--extension", "my_extension", *map(str, arguments)], catch_exceptions=False)
    assert found.exit_code in (0, 1), found.output
    return found.output


def test_the_command_line_offers_them(mine, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    x, y = _xy(80)
    np.savetxt("t.csv", np.hstack([x, y]), delimiter=",", header="a,b,c,answer", comments="")
    options = [
        "--activation",
        "mish",
        "--loss",
        "log-cosh",
        "--optimizer",
        "signdescent",
        "--backend",
        "counting",
        "--schedule",
        "inverse-root",
    ]
    _chainrule("train", "t.csv", "-t", "answer", *options, "--hidden", "8", "--epochs", "3", "--out", "run", "--no-progress")
    assert "close" in Path("run/history.csv").read_text("utf-8").splitlines()[0]
    assert "answer" in _chainrule("predict", "run", "t.csv")
    assert "rmse" in json.loads(_chainrule("evaluate", "run", "t.csv", "--json"))
    _chainrule("diagnose", "run", "t.csv")
    _chainrule("draw", "run", "--out", "network.svg")
    _chainrule("resume", "run", "--epochs", "4", "--no-progress")
    assert "mish" in _chainrule("explain", "mish(w*x)", "w=2", "x=3", "--wrt", "w")
    assert "mish" in _chainrule("train", "--help")


def test_what_is_not_there_is_refused(mine, tmp_path):
    with pytest.raises(ArgumentError, match=r"a second loss named LogCosh was registered; the name belongs to my_extension"):
        extend.loss(type("LogCosh", (nn.Loss,), {"__module__": "elsewhere"}))
    with pytest.raises(ArgumentError, match="a backend named native was registered"):
        extend.backend("native", mine.Counting())
    with pytest.raises(ArgumentError, match="an activation named 'Mish' was registered"):
        extend.activation("Mish", lambda x: x)
    with pytest.raises(ArgumentError, match="the extension 'no_such_module' could not be imported"):
        extend.load("no_such_module")
    with pytest.raises(ModelFileError, match="the model has the loss 'Gone'"):
        nn.loss_from_config({"loss": "Gone"})


def test_installed_packages_name_theirs_as_entry_points(tmp_path, monkeypatch):
    (tmp_path / "their_layers.py").write_text("from chainrule import extend, nn\n\n@extend.layer\nclass Their(nn.ReLU): ...\n")
    information = tmp_path / "theirs-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text("[chainrule.extensions]\ntheirs = their_layers\n")
    monkeypatch.syspath_prepend(tmp_path)
    with kept_tables():
        assert "theirs" in extend.load_installed()
        assert nn.LAYERS["Their"].__module__ == "their_layers"
        assert "Their" in str(nn.to_config(nn.Sequential(nn.LAYERS["Their"]())))
    del sys.modules["their_layers"]
