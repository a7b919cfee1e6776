"""Random graphs on both backends: ordinary ones with their gradients, and wild ones, whose refusals are compared as well."""

import sys
from pathlib import Path

import numpy as np
import pytest
from comparing import assert_same_run
from hypothesis import HealthCheck, given, settings
from native_levels import LEVELS
from wild_comparing import differences

from chainrule.backends.native import compiler

sys.path.append(str(Path(__file__).parents[1] / "core"))
from random_graphs import random_graph, wild_graph

TOGETHER = 20  # wild graphs in one program, most of whose cost is its compilation
PROGRAMS = 12  # by default: 240 graphs in some 6 seconds


@given(random_graph())
@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_random_graphs(drawn):
    graph, arrays = drawn
    assert_same_run(graph, arrays)


def _wild(program):
    return [wild_graph(np.random.default_rng([program, k])) for k in range(TOGETHER)]


@pytest.mark.parametrize("program", range(PROGRAMS))
def test_wild_graphs(program, monkeypatch):
    """Values of every node, and refusals, at every vector length in turn; with LLVM's few passes, which take less time."""
    monkeypatch.setenv("CHAINRULE_CPU", LEVELS[program % len(LEVELS)])
    monkeypatch.setattr(compiler, "_SMALL", 0)
    assert differences(_wild(program)) == []


@pytest.mark.slow
@pytest.mark.parametrize("program", range(100, 150))
def test_many_wild_graphs(program, level):
    """1,000 graphs at every vector length."""
    assert differences(_wild(program)) == []
