"""Random graphs with their gradients, on both backends."""

import sys
from pathlib import Path

from comparing import assert_same_run
from hypothesis import HealthCheck, given, settings

sys.path.append(str(Path(__file__).parents[1] / "core"))
from random_graphs import random_graph


@given(random_graph())
@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_random_graphs(drawn):
    graph, arrays = drawn
    assert_same_run(graph, arrays)
