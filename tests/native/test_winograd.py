"""Convolutions by Winograd's transformations, in stages: against the reference, and where they are used."""

import math

import numpy as np
import pytest
from comparing import assert_close, assert_same_run, compiled, held, held_by, planned, values

import chainrule as cr
from chainrule.backends.native.graph import winograd
from chainrule.backends.native.plan import lower
from chainrule.backends.native.plan.kernels import Contraction, Staged
from chainrule.backends.reference import REFERENCE
from chainrule.capture import capture

# images, channels, output channels, rows, columns
SHAPES = {
    "a stage per image": (4, 16, 32, 16, 16),
    "as many images as output channels": (16, 24, 16, 8, 8),
    "nothing a multiple of a vector": (5, 17, 19, 14, 10),
    "one image": (1, 16, 20, 8, 8),
    "several images in a stage": (32, 24, 16, 8, 8),
    "several stages for an image": (2, 40, 40, 24, 24),
    "rows that cannot be cut": (3, 32, 32, 26, 26),
}


def _training_step(images, channels, out, rows, columns, dtype):
    """Captured: the result, both gradients, and an update of the weights."""
    rng = np.random.default_rng(0)
    weights = cr.parameter(rng.normal(size=(out, channels, 3, 3)).astype(dtype), name="W")

    def step(x, t):
        y = cr.conv2d(x, weights, padding=1)
        error = ((y - t) ** 2).mean()
        by_weights, by_input = cr.grad(error, [weights, x])
        weights.assign(weights - 0.1 * by_weights)
        return error, y, by_weights, by_input

    shapes = ((images, channels, rows, columns), (images, out, rows, columns))
    found = capture(step, [(shape, dtype, name) for shape, name in zip(shapes, "xt", strict=True)])
    return found, [rng.normal(size=shape).astype(dtype) for shape in shapes]


def _staged(plan):
    return [s.kernel for s in plan.calls if isinstance(s.kernel, Staged)]


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_agrees_with_the_reference(shape, dtype, level):
    found, arrays = _training_step(*shape, dtype)
    assert_same_run(found.graph, arrays, values(held_by(found)))


def test_rounding_stays_small():
    """In float32, against the reference in float64: below 2e-6 of the largest element."""
    found, arrays = _training_step(16, 64, 64, 16, 16, np.float32)
    exact, _ = _training_step(16, 64, 64, 16, 16, np.float64)
    weights = [w.numpy().astype(np.float32) for w in exact.state]
    rounded = compiled(found.graph).run(arrays, held(*weights))
    wide, wide_weights = ([a.astype(np.float64) for a in part] for part in (arrays, weights))
    wanted = REFERENCE.compile(exact.graph).run(wide, held(*wide_weights))
    for ours, theirs in zip(rounded, wanted, strict=True):
        assert np.abs(ours - theirs).max() < 2e-6 * np.abs(theirs).max()


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_takes_less_arithmetic(shape):
    found, _ = _training_step(*shape, np.float32)
    kernels = [s.kernel for s in planned(found.graph).calls]
    kernels = [part for k in kernels for part in (k.kernels if isinstance(k, Staged) else [k])]
    assert [k for k in kernels if isinstance(k, Contraction)], "the products over channels"
    assert all(k.batch[-1] == 16 for k in kernels if isinstance(k, Contraction))


@pytest.mark.parametrize(
    "shape", [(4, 3, 32, 16, 16), (4, 32, 8, 16, 16), (4, 16, 16, 15, 16), (4, 16, 16, 4, 4)],
    ids=["few channels", "few output channels", "odd rows", "small images"],
)  # fmt: skip
def test_is_left_out_where_it_does_not_pay(shape):
    found, arrays = _training_step(*shape, np.float64)
    assert not _staged(planned(found.graph))
    assert_same_run(found.graph, arrays, values(held_by(found)))


@pytest.mark.parametrize("shape", [(32, 32, 32, 16, 16), (8, 32, 32, 32, 32)], ids=["whole images", "pieces of images"])
def test_transformed_images_are_never_all_in_memory(shape):
    found, _ = _training_step(*shape, np.float32)
    plan = planned(found.graph)
    transformed = 16 * math.prod(shape[:2] + shape[3:])  # bytes of all images, each place of a tile in a matrix of its own
    largest = max(b.bytes for s in plan.calls for b in s.buffers if b.storage == "arena" and not b.kept)
    assert len(_staged(plan)) == 3
    assert largest < transformed / 2


def test_same_bits_with_any_number_of_threads(monkeypatch):
    monkeypatch.setattr(lower, "_WORTH_SHARING", 0)
    monkeypatch.setattr(lower, "_WORTH_THREADS", 0)
    found, arrays = _training_step(8, 16, 24, 8, 8, np.float32)
    results = []
    for count in (1, 2, 3, 4):
        monkeypatch.setenv("CHAINRULE_THREADS", str(count))
        state = held_by(found)
        results.append([*compiled(found.graph).run(arrays, state), *values(state)])
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_no_access_outside(monkeypatch):
    monkeypatch.setenv("CHAINRULE_CHECK_BOUNDS", "1")
    found, arrays = _training_step(3, 17, 16, 10, 8, np.float32)
    assert_same_run(found.graph, arrays, values(held_by(found)))


def test_second_derivatives():
    rng = np.random.default_rng(0)

    def second(x, w):
        (first,) = cr.grad((cr.conv2d(x, w, padding=1) ** 3).sum(), [w])
        return cr.grad((first**2).sum(), [x, w])

    shapes = ((2, 16, 8, 8), (16, 16, 3, 3))
    found = capture(second, [(shape, np.float64, name) for shape, name in zip(shapes, "xw", strict=True)])
    arrays = [rng.normal(size=shape) for shape in shapes]
    for ours, theirs in zip(compiled(found.graph).run(arrays, []), REFERENCE.compile(found.graph).run(arrays, []), strict=True):
        assert_close(ours, theirs)


def test_the_matrices_make_a_convolution():
    """Aᵀ[(G g Gᵀ) ⊙ (Bᵀ d B)]A against its definition, in exact halves."""
    rng = np.random.default_rng(0)
    d, g = rng.integers(-8, 9, (4, 4)), rng.integers(-8, 9, (3, 3))
    bt, G, at = (np.array(m) for m in (winograd._INPUT, winograd._KERNEL, winograd._OUTPUT))
    wanted = [[(d[i : i + 3, j : j + 3] * g).sum() for j in range(2)] for i in range(2)]
    np.testing.assert_array_equal(at @ ((G @ g @ G.T) * (bt @ d @ bt.T)) @ at.T, wanted)
