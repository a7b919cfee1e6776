"""The examples in the docstrings run."""

import doctest

import pytest

from chainrule.estimators import classifier, regressor


@pytest.mark.parametrize("module", [classifier, regressor], ids=["classifier", "regressor"])
def test_the_example_runs(module):
    found = doctest.testmod(module)
    assert found.attempted > 3
    assert not found.failed
