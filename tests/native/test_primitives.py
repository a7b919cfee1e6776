"""Every primitive of the table, on its own random cases, in both dtypes, at every vector length."""

from itertools import product

import numpy as np
import pytest
from comparing import assert_same_run, compiled, in_groups, of_primitives
from native_levels import LEVELS

from chainrule import ir, ops
from chainrule.backends.native.code import object_code
from chainrule.backends.native.code.instructions import RULES
from chainrule.backends.native.graph.forms import INSTRUCTIONS


def _id(part):
    return part if isinstance(part, str) else ", ".join(part)


ALL_PASSES = object_code._SMALL
# Several primitives to a program, made with LLVM's few passes; with -m slow each in one of its own, made as users' are.
TOGETHER = [(names, level) for level in LEVELS for names in in_groups(ops.PRIMITIVES, 10)]
ALONE = [pytest.param([name], LEVELS[0], marks=pytest.mark.slow) for name in ops.PRIMITIVES]


@pytest.mark.parametrize(("names", "level"), [*TOGETHER, *ALONE], indirect=["level"], ids=_id)
def test_agrees_with_the_reference(names, level, monkeypatch):
    monkeypatch.setattr(object_code, "_SMALL", ALL_PASSES if len(names) == 1 else 0)
    first = 2 * LEVELS.index(level)
    assert_same_run(*of_primitives(names, (first, first + 1), (np.float64, np.float32)))


def test_every_instruction_has_a_rule():
    assert RULES.keys() == INSTRUCTIONS


ELEMENTWISE = sorted(INSTRUCTIONS & ops.PRIMITIVES.keys())


@pytest.mark.parametrize(
    ("names", "level"),
    [*(([name], LEVELS[0]) for name in ELEMENTWISE), *product(in_groups(ELEMENTWISE, 4), LEVELS[1:])],
    indirect=["level"],
    ids=_id,
)
def test_elementwise_over_whole_vectors_and_tails(names, level):
    """Sizes around the vector lengths, one operand broadcast along the rows, another one along the columns."""
    inputs, outputs, arrays = [], [], []
    for name, dtype in product(names, (np.float64, np.float32)):
        primitive, rng = ops.PRIMITIVES[name], np.random.default_rng(1)
        case = primitive.cases(rng)
        shapes = [(3, 37), (37,), (3, 1)][: len(case.inputs)]
        own = [
            rng.uniform(0.4, 0.9, size=s).astype(dtype) if a.dtype.kind == "f" else rng.integers(0, 2, s).astype(a.dtype)
            for s, a in zip(shapes, case.inputs, strict=True)
        ]
        leaves = [ir.placeholder("input", a.shape, a.dtype) for a in own]
        outputs.append(primitive(*leaves, **case.attributes))
        inputs += leaves
        arrays += own
    assert_same_run(ir.Graph(tuple(inputs), tuple(outputs)), arrays)


INTEGERS = ["add", "subtract", "multiply", "negative", "abs", "sign", "maximum", "minimum", "floor", "square", "power"]
COMPARISONS = ["equal", "not_equal", "less", "less_equal", "greater", "greater_equal", "logical_and", "logical_or"]


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64"])
def test_integers(dtype, level):
    rng = np.random.default_rng(0)
    low = 0 if dtype == "uint8" else -5
    a, b = rng.integers(low, 6, (2, 3, 11)).astype(dtype)
    x, y = (ir.placeholder("input", a.shape, dtype) for _ in range(2))
    unary = {"negative", "abs", "sign", "floor", "square"}
    names = [n for n in (*INTEGERS, *COMPARISONS) if not (dtype == "uint8" and n in ("negative", "power"))]
    # Whole powers need exponents ≥ 0.
    second = {"power": ops.lookup("abs")(y)}
    outputs = [ops.lookup(n)(x) if n in unary else ops.lookup(n)(x, second.get(n, y)) for n in names]
    outputs += [ops.lookup(n)(x, axis=1) for n in ("sum", "prod", "max", "min", "argmax", "argmin")]
    assert_same_run(ir.Graph((x, y), tuple(outputs)), [a, b])


def test_booleans(level):
    a, b = np.random.default_rng(0).random((2, 5, 19)) < 0.5
    x, y = (ir.placeholder("input", a.shape, bool) for _ in range(2))
    names = ("add", "multiply", "maximum", "minimum", "logical_and", "logical_or", "equal", "not_equal")
    outputs = [ops.lookup(n)(x, y) for n in names]
    outputs += [ops.lookup("logical_not")(x), ops.lookup("isfinite")(x), ops.lookup("max")(x, axis=0)]
    outputs += [ops.lookup("sum")(x, axis=1), ops.lookup("where")(x, y, x)]
    assert_same_run(ir.Graph((x, y), tuple(outputs)), [a, b])


@pytest.mark.parametrize("source", ir.DTYPES, ids=str)
def test_casts(source, level):
    x = np.random.default_rng(0).uniform(0, 100, (3, 21)).astype(source)
    leaf = ir.placeholder("input", x.shape, source)
    outputs = tuple(ops.lookup("cast")(leaf, dtype=d) for d in ir.DTYPES)
    assert_same_run(ir.Graph((leaf,), outputs), [x])


@pytest.mark.parametrize("shape", [(5, 3, 70), (2, 70, 3), (1, 1, 1), (70, 1, 2)])
def test_reductions_along_any_axes(shape, level):
    rng = np.random.default_rng(0)
    inputs, outputs, arrays = [], [], []
    for dtype in (np.float64, np.float32):
        arrays.append(rng.uniform(0.9, 1.1, shape).astype(dtype))
        inputs.append(ir.placeholder("input", shape, dtype))
        outputs += [ops.lookup("sum")(inputs[-1], axis=a) for a in (0, 1, 2, (0, 1), (0, 2), (1, 2), None)]
        outputs += [ops.lookup(n)(inputs[-1], axis=a, keepdims=True) for n in ("prod", "max", "min") for a in (0, (0, 2), 2)]
        outputs += [ops.lookup(n)(inputs[-1], axis=a) for n in ("argmax", "argmin") for a in range(3)]
    assert_same_run(ir.Graph(tuple(inputs), tuple(outputs)), arrays)


def test_not_a_number_in_extremes_and_positions(level):
    x = np.random.default_rng(0).normal(size=(4, 40))
    x[1, 7] = x[1, 30] = x[2, 0] = np.nan
    x[3, 5], x[3, 6] = np.inf, -np.inf
    leaf = ir.placeholder("input", x.shape, x.dtype)
    outputs = [ops.lookup(n)(leaf, axis=a) for n in ("max", "min", "argmax", "argmin", "logsumexp") for a in (0, 1)]
    outputs += [ops.lookup("maximum")(leaf, 0.0), ops.lookup("maximum")(leaf, ops.lookup("negative")(leaf))]
    outputs += [ops.lookup("minimum")(0.5, leaf), ops.lookup("sign")(leaf), ops.lookup("isfinite")(leaf)]
    assert_same_run(ir.Graph((leaf,), tuple(outputs)), [x])


def _masks(x):
    """Results beside a maximum with 0, in an order that a graph does not have by itself."""
    greater, maximum = ops.lookup("greater"), ops.lookup("maximum")
    zeros = ir.constant(np.zeros((2, *x.shape), x.dtype))
    return {
        "a mask first": (greater(x, 0.0), maximum(x, 0.0)),
        "two masks, twice the maximum": (greater(x, 0.0), maximum(x, 0.0), greater(x, 0.0), maximum(x, 0.0)),
        "the input and a constant": (greater(x, 0.0), x, ir.constant(np.ones(3)), maximum(x, 0.0), x),
        "a maximum of more": (greater(x, 0.0), maximum(x, zeros)),
        "a mask of more": (greater(x, zeros), maximum(x, 0.0)),
        "a mask that is used": (greater(x, 0.0) * x, maximum(x, 0.0) * x, greater(maximum(x, 0.0), 0.0)),
    }


@pytest.mark.parametrize("name", _masks(ir.placeholder("input", (37,), np.float64)))
def test_masks_beside_a_maximum(name):
    x = ir.placeholder("input", (37,), np.float64)
    values = np.random.default_rng(0).normal(size=37)
    values[:4] = [0.0, -0.0, np.nan, -np.inf]
    assert_same_run(ir.Graph((x,), _masks(x)[name]), [values])


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64"])
def test_products_of_integers(dtype):
    """Modulo the size of the type, as vectors and as matrices."""
    rng = np.random.default_rng(0)
    arrays = [rng.integers(0, np.iinfo(dtype).max, shape).astype(dtype) for shape in [(5,), (5,), (3, 5), (5, 4)]]
    a, b, c, d = (ir.placeholder("input", v.shape, dtype) for v in arrays)
    outputs = (a @ b, c @ a, a @ d, c @ d)
    assert_same_run(ir.Graph((a, b, c, d), outputs), arrays)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_quotients_by_a_single_number(dtype):
    """Known when code is made, or given; of any size."""
    limits = np.finfo(dtype)
    numbers = [0.0, -0.0, 3.0, np.inf, np.nan, limits.smallest_subnormal, limits.tiny / 4, limits.max, limits.max / 4]
    values = np.array([0.0, -0.0, 1.0, -5.0, limits.smallest_subnormal, limits.tiny, limits.max, np.inf, np.nan], dtype)
    x, c = ir.placeholder("input", values.shape, dtype), ir.placeholder("input", (len(numbers),), dtype)
    divisors = np.array(numbers, dtype)
    single = [ops.lookup("slice")(c, (k,), (k + 1,), (1,)) for k in range(len(numbers))]
    outputs = [x / d for d in single] + [x / ir.constant(d) for d in divisors]
    with np.errstate(all="ignore"):
        wanted = [values / d for d in divisors] * 2
    for found, exact in zip(compiled(ir.Graph((x, c), tuple(outputs))).run([values, divisors], []), wanted, strict=True):
        np.testing.assert_allclose(found, exact, rtol=4 * limits.eps, atol=float(limits.smallest_subnormal))
        np.testing.assert_array_equal(np.signbit(found[exact == 0]), np.signbit(exact[exact == 0]))


@pytest.mark.parametrize("columns", [33, 34, 37, 41])
def test_bytes_at_the_end_of_a_row(columns, level):
    """Numbers cut to a byte, beside wider ones: nothing is written behind a row's last element."""
    x = ir.placeholder("input", (5, columns), np.float32)
    cut = ops.lookup("cast")(x, dtype=np.dtype(np.uint8))
    wide = ops.lookup("cast")(x, dtype=np.dtype(np.float64))
    graph = ir.Graph((x,), (ops.lookup("pad")(cut, widths=((1, 2), (1, 1))), wide, cut))
    assert_same_run(graph, [np.full(x.shape, -1, np.float32)])


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64"])
def test_casts_of_what_an_integer_cannot_hold(dtype, level):
    """As NumPy casts here, and what is computed from the result, too."""
    numbers = [
        np.nan,
        np.inf,
        -np.inf,
        300.7,
        -1.5,
        -5.9,
        2.0**31,
        -(2.0**31),
        3e9,
        -3e9,
        2.0**63,
        -(2.0**63),
        1e300,
        2147483647.5,
    ]
    x = ir.placeholder("input", (len(numbers),), np.float64)
    whole = ir.placeholder("input", (3,), np.int64)
    cut = ops.lookup("cast")(x, dtype=np.dtype(dtype))
    again = ops.lookup("cast")(ops.lookup("cast")(whole, dtype=np.dtype(np.float64)), dtype=np.dtype(dtype))
    outputs = (cut, ops.lookup("less")(cut * 1.0, -98.0), again)
    arrays = [np.array(numbers), np.array([2**63 - 1, -(2**63), 2**40])]
    with np.errstate(invalid="ignore"):
        assert_same_run(ir.Graph((x, whole), outputs), arrays)
