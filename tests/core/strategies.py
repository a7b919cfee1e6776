"""Hypothesis strategies for arrays, shapes and keys, shared by the core's property tests."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

DTYPES = ["bool", "uint8", "int32", "int64", "float32", "float64"]

shapes = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
small_shapes = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3)
full_shapes = hnp.array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=4)


def elements(dtype):
    """Small numbers, so that integers neither overflow nor lose digits in float32."""
    kind = np.dtype(dtype).kind
    if kind == "b":
        return st.booleans()
    if kind in "iu":
        return st.integers(0 if kind == "u" else -9, 9)
    return st.integers(-36, 36).map(lambda n: n / 4)


@st.composite
def arrays(draw, shape=shapes, dtype=None):
    """An array of a drawn shape and dtype."""
    found = draw(st.sampled_from(DTYPES)) if dtype is None else dtype
    size = draw(shape) if isinstance(shape, st.SearchStrategy) else shape
    return draw(hnp.arrays(found, size, elements=elements(found)))


@st.composite
def broadcasting_pair(draw):
    """Two arrays whose shapes broadcast, of any dtypes."""
    found = draw(hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=3, max_side=3, min_side=0))
    return tuple(draw(arrays(shape)) for shape in found.input_shapes)


@st.composite
def float_array(draw, shape=full_shapes):
    """Distinct float64 numbers of a drawn shape, made from a seed (faster than drawing each)."""
    size = draw(shape) if isinstance(shape, st.SearchStrategy) else shape
    return np.random.default_rng(draw(st.integers(0, 2**32))).normal(size=size)
