"""Products that skip zeros, against the reference, which multiplies everything."""

import numpy as np
import pytest
from comparing import assert_close, assert_same_run, compiled, planned

import chainrule as cr
from chainrule import ir, nn, ops
from chainrule.backends.native import NATIVE
from chainrule.backends.native.graph import rewrite, zeros
from chainrule.backends.native.plan import lower
from chainrule.backends.native.plan.kernels import Contraction

# rows, columns, depth
SHAPES = {
    "whole strips, blocks and words": (64, 256, 128),
    "nothing a multiple of anything": (61, 203, 83),
    "less than a word": (130, 90, 40),
    "several blocks": (600, 70, 65),
    "few rows": (3, 400, 300),
    "two rows": (2, 400, 300),
}
SHARES = {"half": 0.5, "none": 0.0, "all": 1.0, "few": 0.05, "most": 0.9}


def _product(shape, dtype, *, transposed=False):
    """relu(x) · w + b; transposed, relu(x)ᵀ · w + b, as in a gradient by weights."""
    rows, columns, depth = shape
    x = ir.placeholder("input", (depth, rows) if transposed else (rows, depth), dtype)
    w, b = ir.placeholder("input", (depth, columns), dtype), ir.placeholder("input", (columns,), dtype)
    kept = ops.lookup("maximum")(x, 0.0)
    left = ops.lookup("transpose")(kept, axes=(1, 0)) if transposed else kept
    return ir.Graph((x, w, b), (left @ w + b,))


def _arrays(graph, share, seed=0):
    rng = np.random.default_rng(seed)
    x, w, b = (rng.normal(size=leaf.shape).astype(leaf.dtype) for leaf in graph.inputs)
    return [np.where(rng.random(x.shape) < share, np.abs(x) + 0.1, -np.abs(x)).astype(x.dtype), w, b]


def _contractions(graph):
    return [s.kernel for s in planned(graph).calls if isinstance(s.kernel, Contraction)]


@pytest.fixture
def always(monkeypatch):
    """Skip zeros wherever there may be some, however small the product."""
    monkeypatch.setattr(rewrite.costs, "skipping_pays", lambda *sizes, share, **_: share <= 0.5)


@pytest.mark.parametrize("transposed", [False, True], ids=["as it is", "transposed"])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_products(dtype, shape, transposed, level, always):
    graph = _product(shape, dtype, transposed=transposed)
    (kernel,) = _contractions(graph)
    assert kernel.tiling.skipping
    assert_same_run(graph, _arrays(graph, 0.5))


@pytest.mark.parametrize("transposed", [False, True], ids=["as it is", "transposed"])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_the_code_stays_inside_its_buffers(shape, transposed, level, always, monkeypatch):
    monkeypatch.setenv("CHAINRULE_CHECK_BOUNDS", "1")
    monkeypatch.setattr(lower, "_WORTH_THREADS", 0)
    monkeypatch.setenv("CHAINRULE_THREADS", "3")
    graph = _product(shape, np.float32, transposed=transposed)
    assert_same_run(graph, _arrays(graph, 0.5))


@pytest.mark.parametrize("share", SHARES.values(), ids=SHARES)
def test_any_share_of_zeros(share, level, always):
    graph = _product((151, 203, 170), np.float32)
    assert_same_run(graph, _arrays(graph, share))


def test_the_bits_do_not_depend_on_the_number_of_threads(always, monkeypatch):
    monkeypatch.setattr(lower, "_WORTH_THREADS", 0)
    for shape in ((700, 40, 170), (701, 40, 170), (50, 640, 170)):
        graph = _product(shape, np.float32)
        arrays = _arrays(graph, 0.5)
        found = []
        for threads in ("1", "2", "3", "4"):
            monkeypatch.setenv("CHAINRULE_THREADS", threads)
            program = NATIVE.compile(graph)
            assert all(s.kernel.tiling.skipping for s in program.plan.calls if isinstance(s.kernel, Contraction))
            found.append(program.run(arrays, [])[0])
        assert all(np.array_equal(found[0], other) for other in found[1:])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("number", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("place", [(0, 0), (82, 202), (82, 3)], ids=str)
def test_zero_times_what_is_not_finite_is_not_a_number(place, number, dtype, level, always):
    graph = _product((61, 203, 83), dtype)
    x, w, b = _arrays(graph, 0.5)
    x[:] = -1.0
    w[place] = number
    (found,) = compiled(graph).run([x, w, b], [])
    assert np.isnan(found[:, place[1]]).all()
    assert_close(np.delete(found, place[1], 1), np.delete(np.broadcast_to(b, found.shape), place[1], 1))


def test_what_is_not_finite_in_the_factor_with_zeros(level, always):
    graph = _product((61, 203, 83), np.float32)
    x, w, b = _arrays(graph, 0.5)
    x[3, 4], x[5, 6] = np.inf, np.nan
    assert_same_run(graph, [x, w, b])


@pytest.mark.parametrize(("threads", "watched"), [("1", "0"), ("3", "1")], ids=["one thread", "three threads, watched"])
@pytest.mark.parametrize("sizes", [(70, 90, 600), (130, 300, 210)], ids=str)
def test_the_factor_on_the_right_has_the_zeros(sizes, threads, watched, level, always, monkeypatch):
    """A gradient by weights of which the inputs have zeros: made transposed, and its update with it."""
    monkeypatch.setenv("CHAINRULE_CHECK_BOUNDS", watched)
    monkeypatch.setattr(lower, "_WORTH_THREADS", 0)
    monkeypatch.setenv("CHAINRULE_THREADS", threads)
    batch, outputs, inputs = sizes
    g, x = (ir.placeholder("input", (batch, n), np.float32) for n in (outputs, inputs))
    w, m = (ir.placeholder("variable", (outputs, inputs), np.float32) for _ in range(2))
    momentum = 0.9 * m + ops.lookup("transpose")(g, axes=(1, 0)) @ ops.lookup("maximum")(x, 0.0)
    graph = ir.Graph((g, x), (ops.lookup("sum")(x),), (w, m), (w - 0.1 * momentum, momentum))
    (kernel,) = _contractions(graph)
    assert kernel.tiling.skipping
    assert kernel.transposed
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=leaf.shape).astype(np.float32) for leaf in graph.inputs]
    assert_same_run(graph, arrays, [rng.normal(size=(outputs, inputs)).astype(np.float32) for _ in range(2)])


def test_a_network_of_relus_skips_what_comes_after_the_first():
    """Forward after the first ReLU, back to the first layer, and the gradients by all weights but those of few outputs."""
    cr.manual_seed(0)
    model = nn.Sequential(nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 160), nn.ReLU(), nn.Linear(160, 3))
    trainer = cr.Trainer(model, nn.CrossEntropyLoss(), cr.optim.Adam(model.parameters()), backend="native")
    rng = np.random.default_rng(0)
    text = trainer.profile(rng.normal(size=(64, 256)).astype(np.float32), rng.integers(0, 3, 64), batch_size=64, steps=1)
    products = [line for line in text.splitlines() if "product" in line and "[" in line]
    assert ["zeros skipped" in line for line in products] == [False, True, False, False, True, True, True, False]


def test_tables_of_numbers_are_not_expected_to_have_zeros():
    known = {}
    x = ir.placeholder("input", (8, 8), np.float32)
    assert zeros.share_of_nonzeros(x, known) == 1.0
    assert zeros.share_of_nonzeros(ops.lookup("tanh")(x), known) == 1.0
    assert zeros.share_of_nonzeros(ops.lookup("maximum")(x, 1.0), known) == 1.0


def test_where_zeros_are_expected():
    x = ir.placeholder("input", (8, 8), np.float32)
    relu = ops.lookup("maximum")(x, 0.0)
    mask = ops.lookup("cast")(ops.lookup("greater")(x, 0.0), dtype=np.float32)
    for node in (relu, mask, x * mask, ops.lookup("transpose")(relu, axes=(1, 0)), relu / 3.0):
        assert zeros.share_of_nonzeros(node, {}) == 0.5
    assert zeros.share_of_nonzeros(relu + x, {}) == 1.0


def test_agreement_over_a_training_run(always):
    """Masks from ReLUs and from dropout, many steps."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(96, 40)), rng.integers(0, 4, 96)

    def losses(backend):
        cr.manual_seed(0)
        model = nn.Sequential(nn.Linear(40, 70), nn.ReLU(), nn.Dropout(0.6), nn.Linear(70, 33), nn.ReLU(), nn.Linear(33, 4))
        trainer = cr.Trainer(model, nn.CrossEntropyLoss(), cr.optim.Adam(model.parameters()), backend=backend)
        return np.asarray(trainer.fit(x.astype(np.float32), y, epochs=10, batch_size=16, progress=False).step_loss)

    np.testing.assert_allclose(losses("native"), losses("reference"), rtol=2e-3)
