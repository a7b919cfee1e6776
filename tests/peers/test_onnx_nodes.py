"""The tests that ONNX has for single nodes. Making them takes seconds: a slow test."""

import numpy as np
import pytest
from names import ONNX, Different

from chainrule.errors import ChainruleError

onnx = pytest.importorskip("onnx", reason="the node tests come with onnx")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
# Scores of 10,000 in float32: we subtract ln Σ eˣ, which is rounded there; shifted scores would keep more digits.
LESS_EXACT = {"test_logsoftmax_large_number"}
DTYPES = {"bool", "uint8", "int32", "int64", "float32", "float64"}


@pytest.fixture(scope="module")
def cases():
    """Per operation, name, node, inputs and outputs of tests of a single node."""
    from onnx.backend.test.loader import load_model_tests

    found = {name: [] for name in ONNX}
    for case in load_model_tests(kind="node"):
        if case.model is None or len(case.model.graph.node) != 1 or case.model.graph.node[0].op_type not in found:
            continue
        node = case.model.graph.node[0]
        found[node.op_type] += [(case.name, node, inputs, outputs) for inputs, outputs in case.data_sets]
    return found


def _arguments(node, arrays):
    """Its inputs in their places, and its attributes."""
    given = iter(arrays)
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    return [next(given) if name else None for name in node.input], attributes


@pytest.mark.parametrize("name", sorted(ONNX))
def test_nodes(name, cases):
    ran = 0
    for label, node, inputs, outputs in cases[name]:
        if len(node.output) != 1 or any(np.asarray(a).dtype.name not in DTYPES for a in (*inputs, *outputs)):
            continue
        values, attributes = _arguments(node, inputs)
        try:
            found = np.asarray(ONNX[name](*values, **attributes).numpy())
        except (ChainruleError, TypeError, Different):  # what ONNX has and we have not
            continue
        assert found.shape == outputs[0].shape, label
        tolerance = 1e-3 if label in LESS_EXACT else 1e-4
        np.testing.assert_allclose(found, outputs[0], rtol=tolerance, atol=1e-6, err_msg=label)
        ran += 1
    assert ran
