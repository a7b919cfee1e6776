"""Random graphs on both backends: ordinary ones with their gradients, and extreme ones, whose refusals are compared as well."""

import numpy as np
import pytest
from comparing import assert_same_run
from comparing_values import differences
from hypothesis import HealthCheck, given, settings
from native_levels import LEVELS

from chainrule.backends.native.code import object_code
from random_graphs import extreme_graph, random_graph

TOGETHER = 20  # extreme graphs in one program, most of whose cost is its compilation
PROGRAMS = 3  # by default: 60 graphs, at every vector length that there is


def _random_graphs(count):
    @given(random_graph())
    @settings(
        max_examples=count,
        deadline=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
    def run(drawn):
        graph, arrays = drawn
        assert_same_run(graph, arrays)

    run()


@pytest.mark.parametrize("count", [6, pytest.param(25, marks=pytest.mark.slow)])
def test_random_graphs(count):
    _random_graphs(count)


def _extreme(program):
    return [extreme_graph(np.random.default_rng([program, k])) for k in range(TOGETHER)]


@pytest.mark.parametrize("program", [*range(PROGRAMS), *(pytest.param(k, marks=pytest.mark.slow) for k in range(PROGRAMS, 12))])
def test_extreme_graphs(program, monkeypatch):
    """Values of every node, and refusals, at every vector length in turn; with LLVM's few passes, which take less time."""
    monkeypatch.setenv("CHAINRULE_CPU", LEVELS[program % len(LEVELS)])
    monkeypatch.setattr(object_code, "_SMALL", 0)
    assert differences(_extreme(program)) == []


@pytest.mark.slow
@pytest.mark.fuzz
@pytest.mark.parametrize("program", range(100, 150))
def test_many_extreme_graphs(program, level):
    """1,000 graphs at every vector length."""
    assert differences(_extreme(program)) == []
