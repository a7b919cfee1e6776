"""Convolutions that step over their input, and the way back from them: phase by phase, against the reference."""

import numpy as np
import pytest
from comparing import assert_same_run, planned

import chainrule as cr
from chainrule import ir, ops
from chainrule.backends.native.plan.kernels import work
from chainrule.capture import capture

# input, weights (out, in / groups, …), stride, padding, groups
STRIDED = {
    "two rows and columns": ((2, 3, 8, 12), (4, 3, 3, 3), 2, 1, 1),
    "steps that leave a rest": ((2, 3, 9, 11), (4, 3, 3, 3), 2, 1, 1),
    "steps wider than the kernel": ((2, 3, 9, 9), (4, 3, 2, 2), 3, 0, 1),
    "single weights": ((2, 4, 8, 8), (6, 4, 1, 1), 2, 0, 1),
    "other steps along each axis": ((2, 3, 8, 9), (4, 3, 4, 3), (2, 3), (1, 0), 1),
    "groups": ((2, 6, 8, 8), (4, 3, 3, 3), 2, 1, 2),
    "more padding than the kernel": ((1, 2, 6, 6), (3, 2, 3, 3), 2, 3, 1),
}


@pytest.mark.parametrize("case", STRIDED.values(), ids=STRIDED)
def test_gradients_of_strided_convolutions(case, level):
    shape, kernel, stride, padding, groups = case

    def gradients(x, w):
        y = cr.conv2d(x, w, stride=stride, padding=padding, groups=groups)
        return y, *cr.grad((y**2).sum(), [x, w])

    found = capture(gradients, [(shape, np.float64, "x"), (kernel, np.float64, "w")])
    rng = np.random.default_rng(0)
    assert_same_run(found.graph, [rng.normal(size=shape), rng.normal(size=kernel)])


# size, kernel, stride, padding, output padding
TRANSPOSED = [(5, 4, 2, 0, 0), (8, 3, 2, 1, 1), (5, 4, 3, 1, 2), (6, 1, 2, 0, 1), (4, 5, 4, 2, 3), (7, 2, 3, 0, 0)]


@pytest.mark.parametrize(("size", "kernel", "stride", "padding", "output_padding"), TRANSPOSED)
def test_transposed_convolutions(size, kernel, stride, padding, output_padding, level):
    x, w = (ir.placeholder("input", s, np.float64) for s in ((2, 3, size, size), (3, 4, kernel, kernel)))
    y = ops.lookup("conv_transpose")(x, w, stride=stride, padding=padding, output_padding=output_padding)
    rng = np.random.default_rng(0)
    assert_same_run(ir.Graph((x, w), (y,)), [rng.normal(size=x.shape), rng.normal(size=w.shape)])


def test_zeros_between_elements_are_not_multiplied():
    x, w = (ir.placeholder("input", s, np.float32) for s in ((4, 8, 8, 8), (8, 8, 3, 3)))
    y = ops.lookup("convolution")(x, w, padding=((1, 2), (1, 2)), input_dilation=2)
    assert y.shape == (4, 8, 16, 16)
    products = 9 * 8 * (4 * 8 * 8 * 8)  # of the weights with the input, each at every place of the input
    assert sum(work(s.kernel) for s in planned(ir.Graph((x, w), (y,))).calls) <= 2 * products
