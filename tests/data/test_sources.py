"""Built-in data sets, and `load`, which finds the right reader."""

import os
import subprocess
import sys

import numpy as np
import pytest

import chainrule.data
from chainrule.data import BUILTIN, Dataset, FeatureEncoder, ImageSet, Table, TargetEncoder, builtin, load
from chainrule.data.shipped import SHIPPED
from chainrule.errors import DataError, MissingDependency
from chainrule.job import Config
from chainrule.job.inputs import encoder_for

RANDOM = ["quadrants", "circles", "moons", "spirals", "gaussians"]


@pytest.mark.parametrize("name", BUILTIN)
def test_builtin_sets_are_well_formed(name):
    data = builtin(name, seed=1)
    n, d = data.X.shape
    assert data.X.dtype == np.float32
    assert data.y.shape == (n,)
    assert len(data.feature_names) == d
    assert data.description
    if data.classes is None:
        assert data.y.dtype == np.float32
    else:
        assert data.y.dtype == np.int64
        assert np.unique(data.y).tolist() == list(range(len(data.classes)))
    if data.image_shape:
        assert np.prod(data.image_shape) == d
    np.testing.assert_array_equal(builtin(name, seed=1).X, data.X)


@pytest.mark.parametrize("name", RANDOM)
def test_seeds_differ(name):
    assert not np.array_equal(builtin(name, 0).X, builtin(name, 1).X)


@pytest.mark.parametrize("name", BUILTIN)
def test_builtin_sets_are_tables_too(name):
    table = builtin(name).to_table()
    encoder = TargetEncoder.fit(table["target"])
    y = encoder.encode(table["target"])
    X = FeatureEncoder.fit(table, "target").transform(table)
    assert np.isfinite(X).all()
    data = builtin(name)
    if data.classes is None:
        np.testing.assert_allclose(encoder.decode(y), data.y, rtol=1e-4)
    else:
        assert encoder.decode(np.eye(len(data.classes))[y]).tolist() == [data.classes[k] for k in data.y]


@pytest.mark.parametrize(
    ("name", "row_classes"),
    [("and", "0001"), ("or", "0111"), ("xor", "0110"), ("nand", "1110"), ("nor", "1000"), ("xnor", "1001")],
)
def test_truth_tables(name, row_classes):
    data = builtin(name)
    assert data.X.tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]
    assert "".join(map(str, data.y)) == row_classes


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_tables_are_those_of_scikit_learn(name):
    datasets = pytest.importorskip("sklearn.datasets", reason="is what they are compared with")
    bunch, data = getattr(datasets, f"load_{name}")(), builtin(name)
    X = bunch.data.astype(np.float32)
    np.testing.assert_array_equal(data.X, X / 16 if name == "digits" else X)
    np.testing.assert_array_equal(data.y, bunch.target)
    assert data.feature_names == [str(feature) for feature in bunch.feature_names]
    assert data.classes == (None if name == "diabetes" else [str(label) for label in bunch.target_names])


def test_a_scikit_learn_without_the_table_says_so(tmp_path, monkeypatch):
    (tmp_path / "sklearn").mkdir()
    (tmp_path / "sklearn" / "__init__.py").write_text("raise AssertionError('reading a table does not import it')")
    monkeypatch.delitem(sys.modules, "sklearn", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MissingDependency, match=r"iris\.csv is not there.*pip install 'scikit-learn>=1\.5,<1\.10'"):
        builtin("iris")


def test_quadrants_are_numbered_counter_clockwise():
    data = builtin("quadrants")
    angle = np.arctan2(data.X[:, 1], data.X[:, 0]) % (2 * np.pi)
    np.testing.assert_array_equal(data.y, (angle // (np.pi / 2)).astype(int))


def test_load_dispatches(tmp_path):
    table = tmp_path / "t.csv"
    table.write_text("a;b\n1;2\n")
    archive = tmp_path / "a.npz"
    np.savez(archive, X=np.zeros((2, 3, 3)), y=[0, 1])
    assert isinstance(load("xor"), Dataset)
    assert isinstance(load(archive), ImageSet)
    assert isinstance(load(table, target="b", delimiter=";", kinds={"a": "categorical"}), Table)
    np.testing.assert_array_equal(load("moons", seed=3).X, builtin("moons", 3).X)


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        ("xorr", None, "'xorr' is neither a file or folder here nor a built-in data set.*iris.*Did you mean 'xor'"),
        ("qqqq", None, "Check the spelling"),
        ("iris", "species", "the target is 'species'; a built-in data set has the target 'target'"),
        ("t.csv", "c", "no column 'c'; its columns are aa, b"),
        ("a.npz", "c", "pictures have labels, not columns"),
        ("u.csv", None, r"u\.csv does not exist.*Did you mean 't\.csv'"),
    ],
)
def test_load_errors(tmp_path, monkeypatch, source, target, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.csv").write_text("aa,b\n1,2\n")
    np.savez(tmp_path / "a.npz", X=np.zeros((2, 3, 3)), y=[0, 1])
    with pytest.raises(DataError, match=message):
        load(source, target)


@pytest.mark.parametrize(
    ("package", "call"), [("sklearn", lambda path: builtin("iris")), ("pyarrow", lambda path: load(path / "t.csv"))]
)
def test_absent_packages_say_how_to_install_them(tmp_path, monkeypatch, package, call):
    (tmp_path / "t.csv").write_text("a\n1\n")
    for name in [name for name in sys.modules if name.startswith("chainrule.data.reading")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr(chainrule.data, "reading", raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingDependency, match=r'pip install "chainrule\[app\]"'):
        call(tmp_path)


def test_importing_imports_nothing_optional():
    code = "import sys, chainrule.data; print({'pyarrow', 'sklearn', 'PIL'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_every_export_is_there_and_documented():
    assert all(getattr(chainrule.data, name).__doc__ for name in chainrule.data.__all__)


@pytest.mark.parametrize("name", ["pipe", "pipe.csv", "pipe.npz", os.devnull])
def test_pipes_and_devices_are_not_read(tmp_path, name):
    path = tmp_path / name  # that of the device, whose name is absolute
    if name != os.devnull:
        os.mkfifo(path)
    encoder = encoder_for(path)  # does not wait for a writer
    for read in (load, lambda path: encoder.read(path, Config())):
        with pytest.raises(DataError, match=f"{name} is a pipe or a device; a regular file was expected.*into a file"):
            read(path)
