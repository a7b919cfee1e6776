"""Views against NumPy: chains of moves over one array, as strides or as nothing at all."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from chainrule import ir, ops
from chainrule.backends.native.graph.views import view_of

START = np.arange(2 * 3 * 4 * 6).reshape(2, 3, 4, 6)


def _move(node, draw):
    """One more move of a random kind."""
    kind = draw(st.sampled_from(["reshape", "transpose", "slice", "flip", "broadcast_to", "windows"]))
    shape = node.shape
    if kind == "reshape":
        flat = [n for n in shape if n != 1]
        if draw(st.booleans()) and len(flat) > 1:
            return ops.lookup("reshape")(node, shape=(flat[0] * flat[1], *flat[2:]))
        split = [part for n in flat for part in ((2, n // 2) if n % 2 == 0 and draw(st.booleans()) else (n,))]
        return ops.lookup("reshape")(node, shape=(*split, 1))
    if kind == "transpose":
        return ops.lookup("transpose")(node, axes=draw(st.permutations(range(len(shape)))))
    if kind == "flip":
        return ops.lookup("flip")(node, axis=draw(st.integers(0, len(shape) - 1)))
    if kind == "broadcast_to":
        return ops.lookup("broadcast_to")(node, shape=(2, *shape))
    if kind == "windows":
        return ops.lookup("windows")(node, size=(1,), stride=1)
    start = [draw(st.integers(0, n - 1)) for n in shape]
    return ops.lookup("slice")(node, start, shape, [draw(st.integers(1, 2)) for _ in shape])


@st.composite
def _moved(draw):
    node = ir.placeholder("input", START.shape, START.dtype)
    moves = []
    for _ in range(draw(st.integers(1, 5))):
        if node.size > 2000 or node.ndim > 6:
            break
        node = _move(node, draw)
        moves.append(node)
    return moves


def _value(node):
    return START if node.op == "input" else ops.lookup(node.op).evaluate(_value(node.inputs[0]), **node.attributes)


@given(_moved())
@settings(max_examples=150, deadline=None)
def test_strides_give_the_same_elements(moves):
    node = moves[-1]
    view = view_of(node)
    wanted = np.asarray(_value(node))
    if view is None:
        # Then NumPy cannot do without a copy either.
        assert not np.shares_memory(wanted, START)
        return
    flat = START.reshape(-1)
    index = view.offset + sum(
        np.arange(n).reshape(-1, *(1,) * (len(view.shape) - a - 1)) * s
        for a, (n, s) in enumerate(zip(view.shape, view.strides, strict=True))
    )
    np.testing.assert_array_equal(np.broadcast_to(flat[index], view.shape), wanted)
