"""What is said where an optional package is missing."""

import sys

import pytest

import chainrule as cr
from chainrule import frames
from chainrule.errors import MissingDependency


def test_estimators_say_that_scikit_learn_is_missing_or_old(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("chainrule.estimators")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "sklearn.utils.validation", None)
    with pytest.raises(MissingDependency) as caught:
        cr.__getattr__("estimators")
    assert str(caught.value).startswith("chainrule.estimators needs the package scikit-learn ≥ 1.6, which is not installed")
    assert 'pip install "chainrule[sklearn]"' in str(caught.value)


def test_frames_say_that_pyarrow_is_missing(monkeypatch):
    table = pytest.importorskip("pyarrow").table({"a": [1, 2]})
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingDependency, match="Reading tables needs the package pyarrow"):
        frames.matrix(table)
