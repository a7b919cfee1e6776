"""Every public function of NumPy that takes an array: with a Tensor it passes gradients, or refuses by name."""

import contextlib
import inspect
import math
import operator
import random

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ArgumentError, CallError, CaptureError, ChainruleError
from chainrule.numpy_functions import OURS, READS, UNIVERSAL, called

PLACES = {"np": np, "np.linalg": np.linalg, "np.fft": np.fft}
# They turn their arguments into arrays or numbers without asking them, as np.asarray(tensor) does: see the docstring of Tensor.
CONVERT = {
    "arange", "array", "asanyarray", "asarray", "asarray_chkfinite", "ascontiguousarray", "asfortranarray", "asmatrix",
    "bmat", "frombuffer", "fromiter", "from_dlpack", "full", "require", "bartlett", "blackman", "hamming", "hanning", "kaiser",
    "isscalar", "iterable", "info", "isfortran", "typename", "eye", "identity", "tri", "row_stack", "format_float_positional",
    "format_float_scientific", "mintypecode", "busday_count", "set_printoptions",
}  # fmt: skip
# They do not take arrays of numbers.
OTHERS = {
    "busday_offset", "is_busday", "printoptions", "test", "show_config", "show_runtime", "fromfile", "load", "loadtxt",
    "save", "savetxt", "savez", "savez_compressed",
}  # fmt: skip


def _functions():
    for place, module in PLACES.items():
        for name in sorted(vars(module)):
            value = getattr(module, name)
            if not name.startswith("_") and name not in OTHERS and callable(value) and not isinstance(value, type | np.ufunc):
                yield f"{place}.{name}", value


FUNCTIONS = dict(_functions())
UFUNCS = {name: f for name, f in sorted(vars(np).items()) if isinstance(f, np.ufunc)}

X = np.array([[0.3, 0.9], [0.7, 0.4]])
Y = np.array([[0.8, 0.2], [0.6, 1.1]])
# Calls that functions of arrays may have; x stands for the array or Tensor. The first that NumPy takes is tried.
CALLS = (
    lambda f, x: f(X > 0.5, x, Y) if f is np.where else f(x),
    lambda f, x: f(x, Y),
    lambda f, x: f([x, Y]),
    lambda f, x: f(x, 0),
    lambda f, x: f(x, 1),
    lambda f, x: f(x, (1, 0)),
    lambda f, x: f(x, 0, 1),
    lambda f, x: f(x, 0.0, 0.5),
    lambda f, x: f(x, [0, 1]),
    lambda f, x: f("ij,jk->ik", x, Y),
    lambda f, x: f(x[0]),
    lambda f, x: f(x[0], Y[0]),
    lambda f, x: f(x, np.float64),
    lambda f, x: f(x, (4,)),
    lambda f, x: f(x, [X > 0.5], [0.0]),
    lambda f, x: f([X > 0.5], [x]),
    lambda f, x: f(np.zeros((2, 2)), x),
    lambda f, x: f(np.zeros((2, 2)), X > 0.5, x),
    lambda f, x: f(np.zeros((2, 2)), [0, 1], x),
    lambda f, x: f(x, np.zeros((2, 2), int), 0),
    lambda f, x: f(x, np.zeros((2, 2), int), Y, 0),
    lambda f, x: f(np.sum, 0, x),
    lambda f, x: f(np.sum, x, 0),
    lambda f, x: f(x[0], X[0], Y[0]),
    lambda f, x: f(x, 0, X[0], 0),
    lambda f, x: f(x, 2, 3),
    lambda f, x: f(x, (3, 2, 2)),
)  # fmt: skip


def _call(function):
    with np.errstate(all="ignore"):
        for call in CALLS:
            try:
                call(function, X.copy())
            except Exception:
                continue
            return call
    return None


def _parts(found):
    return [p for each in found for p in _parts(each)] if isinstance(found, list | tuple) else [found]


def _slopes(call, function):
    """d Σ w y / dx by central differences on arrays, and the gradient that passes through Tensors."""
    x = cr.parameter(X)
    found = _parts(call(function, x))
    weights = [np.cos(np.arange(1.0, p.size + 1)).reshape(p.shape) for p in found]

    def total(array):
        return sum(float((w * y).sum()) for w, y in zip(weights, _parts(call(function, array)), strict=True))

    steps = [np.where(np.arange(4).reshape(2, 2) == k, 1e-6, 0.0) for k in range(4)]
    expected = np.array([(total(X + h) - total(X - h)) / 2e-6 for h in steps]).reshape(2, 2)
    (g,) = cr.grad(sum((w * y).sum() for w, y in zip(weights, found, strict=True)) + 0.0 * x.sum(), [x])
    return expected, g.numpy()


def _passes_or_refuses(call, function, name):
    try:
        found = call(function, cr.parameter(X))
    except ChainruleError as error:
        assert name in str(error), error
        return
    parts = _parts(found)
    assert all(isinstance(p, cr.Tensor) for p in parts), f"{name} gave {found!r}"
    for ours, theirs in zip(parts, _parts(call(function, X)), strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-12)
    if parts[0].dtype.kind == "f":
        np.testing.assert_allclose(*_slopes(call, function), atol=1e-7)


@pytest.mark.parametrize("path", FUNCTIONS)
def test_every_function_passes_gradients_or_refuses(path):
    function, name = FUNCTIONS[path], path.rpartition(".")[2]
    call = None if name in CONVERT else _call(function)
    if call is None or function in READS:
        assert function not in OURS
        return
    with np.errstate(all="ignore"):
        _passes_or_refuses(call, function, name)


@pytest.mark.parametrize("method", ["__call__", "reduce", "accumulate", "outer", "at", "reduceat"])
@pytest.mark.parametrize("name", UFUNCS)
def test_every_universal_function_passes_gradients_or_refuses(name, method):
    function = UFUNCS[name]
    called = function if method == "__call__" else getattr(function, method)
    calls = [lambda f, x: f(x), lambda f, x: f(x, Y), lambda f, x: f(x, [0])] if method != "at" else [lambda f, x: f(x, [0], Y)]
    with np.errstate(all="ignore"):
        for call in calls:
            try:
                call(called, X.copy())
            except Exception:
                continue
            _passes_or_refuses(call, called, function.__name__)
            return


def test_the_table_is_tried():
    """Functions with a counterpart are called by the test above, or below with arguments of their own."""
    tried = {f for path, f in FUNCTIONS.items() if path.rpartition(".")[2] not in CONVERT and _call(f) is not None}
    assert set(OURS) <= tried
    assert {name for name in UNIVERSAL if "." not in name} <= set(UFUNCS)


MORE = {
    "sum of an axis": lambda x: np.sum(x, axis=0, keepdims=True),
    "sum by position": lambda x: np.sum(x, 1),
    "var with ddof": lambda x: np.var(x, axis=1, ddof=1),
    "std with correction": lambda x: np.std(x, correction=1),
    "average with weights": lambda x: np.average(x, axis=0, weights=Y),
    "where, the other side": lambda x: np.where(X > 0.5, 0.0, x),
    "clip with arrays": lambda x: np.clip(x, Y * 0.5, 0.8),
    "clip with keywords": lambda x: np.clip(x, max=0.8),
    "concatenate, flattened": lambda x: np.concatenate([x, Y], axis=None),
    "hstack of vectors": lambda x: np.hstack([x[0], 1.0, x[1]]),
    "vstack of vectors": lambda x: np.vstack([x[0], Y[1]]),
    "column_stack of vectors": lambda x: np.column_stack([x[0], Y[1]]),
    "stack along the last axis": lambda x: np.stack([Y, x], axis=-1),
    "moveaxis": lambda x: np.moveaxis(np.stack([x, Y, x]), 0, 2),
    "diagonal below": lambda x: np.diagonal(x, -1),
    "roll along an axis": lambda x: np.roll(x, 1, axis=0),
    "second differences": lambda x: np.diff(np.concatenate([x, x**2]), n=2, axis=0),
    "take along an axis": lambda x: np.take(x, [[1, 0], [0, 0]], axis=1),
    "dot of stacks": lambda x: np.dot(np.stack([x, Y]), np.stack([Y, x, Y])),
    "inner of stacks": lambda x: np.inner(np.stack([x, Y]), Y),
    "tensordot, axes by pair": lambda x: np.tensordot(x, Y, ([0, 1], [1, 0])),
    "tensordot, one axis": lambda x: np.tensordot(Y, x, 1),
    "norm of rows": lambda x: np.linalg.norm(x, axis=1),
    "norm, p = 1": lambda x: np.linalg.norm(x, 1, axis=0),
    "norm, p = 3": lambda x: np.linalg.norm(x, 3, axis=0, keepdims=True),
    "norm, p = ∞": lambda x: np.linalg.norm(x[0], np.inf),
    "norm, fro": lambda x: np.linalg.norm(x, "fro"),
    "pad": lambda x: np.pad(x, ((1, 0), (0, 2)), constant_values=3.0),
    "add.reduce": lambda x: np.add.reduce(x, axis=1),
    "multiply.reduce over all": lambda x: np.multiply.reduce(x, axis=None, keepdims=True),
    "array @ tensor": lambda x: Y @ x,
    "average by position": lambda x: np.average(x, axis=1, weights=[1.0, 3.0]),
    "roll of two axes": lambda x: np.roll(np.concatenate([x, Y, x**2]), (1, -2), axis=(1, 0)),
    "roll twice, flattened": lambda x: np.roll(x, (1, 2)),
    "tril of a vector": lambda x: np.tril(x[0]),
    "triu of a vector": lambda x: np.triu(x[0], 1),
    "differences, none": lambda x: np.diff(x, n=0),
    "tensordot, no axes": lambda x: np.tensordot(x, Y, 0),
    "norm, p = 1.5": lambda x: np.linalg.norm(x, 1.5, axis=1),
    "norm, p = -1": lambda x: np.linalg.norm(x[0], -1),
    "norm, f": lambda x: np.linalg.norm(x, "f"),
    "hypot with a number": lambda x: np.hypot(x, 2.0),
    "builtin sum": lambda x: sum([x, Y, x[0]]),
    "builtin abs": lambda x: abs(x - 0.5),
    "builtin pow": lambda x: pow(x, 3),
    "list of Tensors as an operand": lambda x: x @ [x[0, 0], 2.0] if isinstance(x, cr.Tensor) else x @ np.array([x[0, 0], 2.0]),
}  # fmt: skip


@pytest.mark.parametrize("name", MORE)
def test_arguments_as_numpy_has_them(name):
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(cr.tensor(X).numpy(), X)
        value = MORE[name](cr.tensor(X))
        np.testing.assert_allclose(value.numpy(), MORE[name](X), rtol=1e-12)
        np.testing.assert_allclose(*_slopes(lambda f, x: f(x), MORE[name]), atol=1e-7)


P = np.arange(12.0).reshape(3, 4)
# What NumPy refuses, too, or rounds to an integer.
# An axis that does not exist, or is none, is refused by every function that has one.
REFUSED = {
    **{
        f"{name}, axis {axis!r}": (lambda p, call=call, axis=axis: call(p, axis), "ax[ei]s", f"{axis!r}")
        for name, call in {
            "average": lambda p, axis: np.average(p, axis, weights=[1.0, 2.0, 3.0]),
            "diagonal": lambda p, axis: np.diagonal(p, 0, axis, 1),
            "diff": lambda p, axis: np.diff(p, axis=axis),
            "moveaxis": lambda p, axis: np.moveaxis(p, axis, 0),
            "moveaxis to": lambda p, axis: np.moveaxis(p, 0, axis),
            "norm": lambda p, axis: np.linalg.norm(p, axis=axis),
            "norm, p = 3": lambda p, axis: np.linalg.norm(p, 3, axis=axis),
            "roll": lambda p, axis: np.roll(p, 1, axis),
            "take": lambda p, axis: np.take(p, 0, axis),
            "tensordot": lambda p, axis: np.tensordot(p, p, ([axis], [0])),
            "trace": lambda p, axis: np.trace(p, 0, 0, axis),
            **({"unstack": lambda p, axis: np.unstack(p, axis=axis)} if hasattr(np, "unstack") else {}),
        }.items()
        for axis in (9, -3, "a", 0.5)
    },
    "diagonal, one axis twice": (lambda p: np.diagonal(p, 0, 1, -1), "diagonal", "each axis can be named once"),
    "diagonal, offset": (lambda p: np.diagonal(p, "a"), "diagonal", "offset='a'"),
    "moveaxis, two to one": (lambda p: np.moveaxis(p, (0, 1), 0), "moveaxis", "one place for each axis"),
    "moveaxis, one twice": (lambda p: np.moveaxis(p, (0, 0), (0, 1)), "moveaxis", "each axis can be named once"),
    "diff, n = -1": (lambda p: np.diff(p, n=-1), "diff", "n=-1"),
    "diff, n = 'a'": (lambda p: np.diff(p, "a"), "diff", "n='a'"),
    "roll, by a half": (lambda p: np.roll(p, 0.5), "roll", "shift=0.5"),
    "roll, shifts": (lambda p: np.roll(p, (1, 2, 3), axis=(0, 1)), "roll", "one shift for each axis"),
    "take, a half": (lambda p: np.take(p, 0.5), "gather", "indices must be integers"),
    "take, too far": (lambda p: np.take(p, 9, axis=0), "gather", "the index 9"),
    "tril of a number": (lambda p: np.tril(p[0, 0]), "tril", "without axes"),
    "triu, k": (lambda p: np.triu(p, 0.5), "triu", "k=0.5"),
    "pad, a half": (lambda p: np.pad(p, 1.5), "pad", "it takes integers here"),
    "pad, a text": (lambda p: np.pad(p, "a"), "pad", "it takes integers here"),
    "pad, three": (lambda p: np.pad(p, (1, 2, 3)), "pad", r"pad_width=\(1, 2, 3\) for the shape \(3, 4\)"),
    "pad, negative": (lambda p: np.pad(p, -1), "pad", "counts ≥ 0"),
    "norm, a text": (lambda p: np.linalg.norm(p[0], "q"), "norm", "ord='q'; it must be a number"),
    "norm, a text for a matrix": (lambda p: np.linalg.norm(p, "q"), "norm", "ord='q' for 2 axes"),
    "norm of a cube": (lambda p: np.linalg.norm(p[None], axis=(0, 1, 2)), "norm", "ord=None for 3 axes"),
    "tensordot, too many": (lambda p: np.tensordot(p, p.T, 5), "tensordot", "axes=5"),
    "tensordot, negative": (lambda p: np.tensordot(p, p, -1), "tensordot", "axes=-1"),
    "tensordot, a text": (lambda p: np.tensordot(p, p, "a"), "tensordot", "axes='a'"),
    "tensordot, sizes": (lambda p: np.tensordot(p, p, 1), "tensordot", "of equal sizes"),
    "tensordot, two with one": (lambda p: np.tensordot(p, p, ([0, 1], [0])), "tensordot", "of equal sizes"),
    "tensordot, three lists": (lambda p: np.tensordot(p, p, ([0], [0], [0])), "tensordot", "Give their number"),
    "average, weights of nothing": (lambda p: np.average(p, weights=p * 0.0), "average", "weights that sum to 0"),
    "average, one column of nothing": (lambda p: np.average(p, 0, p), "average", "weights that sum to 0"),
    "average, weights of another shape": (lambda p: np.average(p, weights=[1.0, 2.0]), "average", r"shape \(2,\)"),
    "var, ddof and correction": (lambda p: np.var(p, ddof=1, correction=0), "var", "two names of one setting"),
    "std, ddof and correction": (lambda p: np.std(p, ddof=1, correction=1), "std", "two names of one setting"),
    "clip, bounds twice": (lambda p: np.clip(p, 0.0, 1.0, max=0.5), "clip", "the same bounds"),
    "copy of two": (lambda p: np.copy([p, p]), "cannot become an array", "cr.stack"),
    "multi_dot of one": (lambda p: np.linalg.multi_dot([p]), "multi_dot", "it takes two or more"),
    "outer of matrices": (lambda p: np.linalg.outer(p, p), "outer", "it takes two vectors"),
    "vdot with a number": (lambda p: np.vdot(p, 1.0), "dot product", r"shapes \(12,\) and \(1,\)"),
    "vecdot with a number": (lambda p: np.linalg.vecdot(p, 1.0), "vecdot", "axis -1; its input has 0 axes. Leave it out"),
    "where without axes": (lambda p: np.where(p[0, 0]), "where", "without axes"),
    "sum, True": (lambda p: np.sum(p, True), "sum", "axis=True; it takes integers"),
    "sum, keepdims": (lambda p: np.sum(p, 0, keepdims="a"), "sum", "keepdims='a'; it is True or False"),
    "full_like, dtype": (lambda p: np.full_like(p, 0.0, dtype="ij,jk->ik"), "dtype ij", "chainrule computes with"),
    "var, ddof": (lambda p: np.var(p, ddof="a"), "var", "correction='a'; it takes a number"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_has_no_meaning_is_refused_in_a_sentence(case):
    call, name, text = REFUSED[case]
    with pytest.raises(ChainruleError, match=f"(?s){name}.*{text}|{text}.*{name}"):
        call(cr.parameter(P * (np.arange(4) > 0)))


ANYTHING = (0, 1, -1, 2, 9, -9, 0.5, "a", b"x", None, True, (0, 1), (1, 0), [0], (0, 0), [0, 1, 2], [[0], [0, 1]], (), {},
            np.nan, np.inf, np.arange(3), np.ones((2, 2)), np.int64(1), np.float32, "ij,jk->ik")  # fmt: skip
SHAPES = [(), (3,), (2, 2), (2, 3), (1, 2, 3), (0,), (2, 0)]


@pytest.mark.filterwarnings("ignore")  # of NumPy, about texts that name types
@pytest.mark.parametrize("path", [path for path, function in FUNCTIONS.items() if function in OURS])
def test_anything_gives_a_result_or_a_chainrule_error(path):
    function, rng = FUNCTIONS[path], random.Random(path)
    names = list(inspect.signature(OURS[function]).parameters)[1:]
    for _ in range(40):
        shape, dtype = rng.choice(SHAPES), rng.choice(["float64", "int64", "bool", "uint8"])
        x = cr.tensor(np.ones(shape, dtype))
        args = [rng.choice([x, x, x, [x, x], [x], (x, 1)]), *rng.choices([*ANYTHING, x], k=rng.randint(0, 3))]
        kwargs = {name: rng.choice([*ANYTHING, x]) for name in rng.sample(names, min(len(names), rng.randint(0, 2)))}
        with contextlib.suppress(ChainruleError), np.errstate(all="ignore"):
            called(function, args, kwargs)


def test_weights_that_sum_to_nothing_are_refused_when_compiled_code_runs():
    average = cr.compile(lambda x, w: np.average(x, weights=w))
    assert average(X[0], Y[0]).item() == pytest.approx(np.average(X[0], weights=Y[0]))
    with pytest.raises(ArgumentError, match="weights that sum to 0"):
        average(X[0], np.array([1.0, -1.0]))


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int32", "int64", "float32"])
@pytest.mark.parametrize("name", ["vdot", "tril", "triu", "diff", "roll", "pad", "diagonal", "hypot", "logaddexp", "average"])
def test_dtypes_are_those_of_numpy(name, dtype):
    if (name, dtype) == ("logaddexp", "bool"):
        pytest.skip("chainrule subtracts no booleans, and says so")
    function, array = getattr(np, name), np.array([[1, 0, 1], [0, 1, 1], [0, 1, 0]], dtype)
    second = {"roll": (1,), "pad": (1,), "hypot": (array,), "logaddexp": (array,), "vdot": (array,)}.get(name, ())
    ours, theirs = function(cr.tensor(array), *second), function(array, *second)
    if name in ("hypot", "logaddexp") and dtype in ("bool", "uint8"):
        theirs = theirs.astype(np.float64)  # float16 in NumPy
        np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-3)
    else:
        np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-6)
    assert ours.dtype == theirs.dtype


def test_sums_of_bytes_are_int64_as_there_is_no_uint64():
    assert [f(cr.tensor([200, 100], "uint8")).dtype for f in (np.sum, np.prod, cr.sum)] == [np.int64] * 3


INF = np.inf
PAIRS = [(INF, INF), (-INF, -INF), (INF, -INF), (-INF, INF), (INF, 1.0), (1.0, -INF), (-INF, 1.0), (np.nan, 1.0), (INF, np.nan),
         (1.0, 1.0), (0.0, -40.0), (3.0, 1e300), (-1e300, 3.0), (0.0, 0.0)]  # fmt: skip


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("name", ["logaddexp", "logaddexp2"])
def test_sums_of_exponentials_at_ties_and_infinities(name, compiled):
    function, (a, b) = UFUNCS[name], np.array(PAIRS).T

    def value_and_slopes(a, b):
        y = function(a, b)
        return y, *cr.grad(y.sum(), [a, b])

    y, da, db = (cr.compile(value_and_slopes) if compiled else value_and_slopes)(*map(cr.tensor, (a, b)))
    with np.errstate(invalid="ignore"):
        np.testing.assert_allclose(y.numpy(), function(a, b), rtol=1e-14)
    numbers = ~np.isnan(y.numpy())
    np.testing.assert_allclose((da + db).numpy()[numbers], 1.0, rtol=1e-14)
    assert da.numpy()[[0, 1, 2, 3, 4, 9]].tolist() == [0.5, 0.5, 1.0, 0.0, 1.0, 0.5]


@pytest.mark.parametrize(("name", "at_tie"), [("logaddexp", 0.25), ("logaddexp2", 0.25 * math.log(2.0))])
def test_second_derivatives_of_sums_of_exponentials(name, at_tie):
    function, s = UFUNCS[name], np.array([[1.0, -1.0], [-1.0, 1.0]])
    np.testing.assert_allclose(cr.hessian(lambda v: function(v[0], v[1]), [1.0, 1.0]).numpy(), at_tie * s, rtol=1e-12)
    near = [cr.hessian(lambda v: function(v[0], v[1]), [1.0, 1.0 + d]).numpy() for d in (-1e-9, 1e-9)]
    np.testing.assert_allclose(near, [at_tie * s] * 2, rtol=1e-8)


@pytest.mark.parametrize("p", [3, 1.5, 1, 0.5, 4, 2, -1])
def test_norms_of_nothing_have_no_slope(p):
    for function in (lambda x: np.linalg.norm(x, p), lambda x: np.linalg.vector_norm(x, ord=p)):
        x = cr.parameter([0.0, 0.0])
        y = function(x)
        y.backward()
        assert (y.item(), x.grad.tolist()) == (0.0, [0.0, 0.0])
    x = cr.parameter([0.0, -2.0])
    y = np.linalg.norm(x, p)
    y.backward()
    with np.errstate(divide="ignore"):
        assert y.item() == pytest.approx(np.linalg.norm(x.numpy(), p))
    np.testing.assert_allclose(x.grad.numpy(), [0.0, 0.0 if p < 0 else -1.0], atol=1e-12)


@pytest.mark.parametrize("scale", [1.0, 1e200, 1e308, 1e-200, 1e-307, 5e-324, 0.0])
def test_hypot_at_every_scale(scale):
    a, b = np.array([3.0, 0.0, 1.0, -1.0]) * (scale / 4), np.array([-4.0, 2.0, 0.0, 1.0]) * (scale / 4)
    x, y = cr.parameter(a), cr.parameter(b)
    found = np.hypot(x, y)
    np.testing.assert_allclose(found.numpy(), np.hypot(a, b), rtol=1e-15)
    found.sum().backward()
    if scale > 1e-320:
        np.testing.assert_allclose(x.grad.numpy(), np.array([0.6, 0.0, 1.0, -(0.5**0.5)]), rtol=1e-12)
        np.testing.assert_allclose(y.grad.numpy(), np.array([-0.8, 1.0, 0.0, 0.5**0.5]), rtol=1e-12)
    else:
        assert np.isfinite([x.grad.numpy(), y.grad.numpy()]).all()


def test_hypot_of_infinities_and_float32():
    assert cr.compile(np.hypot)(np.array([3.0]), np.array([4.0])).item() == pytest.approx(5.0, rel=1e-15)
    assert np.hypot(cr.tensor([INF, 1.0, -INF]), [1.0, INF, INF]).tolist() == [INF] * 3
    found = np.hypot(cr.tensor([3e30], "float32"), 4e30)
    assert (found.dtype, found.item()) == (np.float32, pytest.approx(5e30, rel=1e-6))


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda x: np.sum(x, dtype=np.float32), "dtype"),
        (lambda x: np.mean(x, where=X > 0.5), "where"),
        (lambda x: np.linalg.norm(x, 2), "ord=2 for 2 axes"),
        (np.cumsum, "np.tri(n) @ x"),
        (lambda x: np.copyto(np.zeros((2, 2)), x), "x.assign"),
        (np.linalg.inv, "np.linalg.inv was called with a Tensor"),
        (np.fft.fft, "np.fft.fft was called with a Tensor"),
        (lambda x: np.add(x, 1.0, out=np.zeros((2, 2))), "total = total + tensor"),
        (lambda x: operator.iadd(np.zeros((2, 2)), x), "total = total + tensor"),
        (lambda x: cr.tensor([x, x]), "cr.stack"),
        (lambda x: cr.parameter([[x[0, 0], 1.0]]), "cr.stack"),
        (lambda x: x.__setitem__((0, 0), 1.0), "cr.where(mask, value, x)"),
        (lambda x: x // 2.0, "cr.floor(a / b)"),
        (round, "np.round(x.numpy())"),
    ],
)
def test_what_would_cut_a_gradient_is_refused(call, text):
    with pytest.raises((ArgumentError, CallError)) as caught:
        call(cr.parameter(X))
    assert text in str(caught.value)


def test_values_are_read_where_there_is_no_gradient_to_lose():
    x = cr.parameter(X)
    assert np.allclose(x, X)
    assert np.array_equal(x, X)
    assert np.shape(x) == (2, 2)
    assert np.argsort(x[0]).tolist() == [0, 1]
    assert [found.tolist() for found in np.where(x > 0.5)] == [[0, 1], [1, 0]]
    assert np.unique(cr.tensor([2, 1, 2])).tolist() == [1, 2]
    for data in (cr.tensor(X), cr.tensor(X) * 1.0, x.detach(), cr.stop_gradient(x)):
        np.testing.assert_array_equal(data, X)
    assert np.asarray(x > 0.5).tolist() == (X > 0.5).tolist()
    with cr.no_grad():
        np.testing.assert_array_equal(x, X)


def _set(value, place=slice(0, 2)):
    array = np.zeros(2)
    array[place] = value


INTO_ARRAYS = {
    "np.asarray": np.asarray,
    "np.array of a list": lambda x: np.array([x, x]),
    "np.sum of a list": lambda x: np.sum([x, x]),
    "np.r_": lambda x: np.r_[x, x],
    "np.c_": lambda x: np.c_[x, x],
    "array.dot": Y[0].dot,
    "array[i] = x": _set,
    "array[i] = list": lambda x: _set([x[0], x[1]]),
    "np.vectorize": np.vectorize(lambda v: v),
    "np.testing": lambda x: np.testing.assert_array_equal(x, x),
    "DLPack": np.from_dlpack,
}
W = cr.parameter([0.3, 0.9], name="w")
TAKING_PART = {
    "a parameter": lambda f: f(W),
    "what was computed from one": lambda f: f(W * 2.0),
    "a point of value_and_grad": lambda f: cr.value_and_grad(lambda x: (f(x * 1.0), x.sum())[1])(X[0]),
    "a point of jacobian": lambda f: cr.jacobian(lambda x: (f(x), x)[1], X[0]),
    "a point of hessian": lambda f: cr.hessian(lambda x: (f(x), x.sum())[1], X[0]),
}


@pytest.mark.parametrize("tensor", TAKING_PART)
@pytest.mark.parametrize("form", INTO_ARRAYS)
def test_what_takes_part_in_a_gradient_becomes_no_array_in_silence(form, tensor):
    with pytest.raises(ArgumentError, match=r"cannot become an array .* read the value: x\.numpy\(\)"):
        TAKING_PART[tensor](INTO_ARRAYS[form])


@pytest.mark.parametrize("form", INTO_ARRAYS)
def test_nothing_becomes_an_array_while_a_function_is_captured(form):
    for function in (lambda x: (INTO_ARRAYS[form](x), x)[1], lambda x: (INTO_ARRAYS[form](W), x)[1]):
        with pytest.raises(CaptureError, match="while its function is being compiled"):
            cr.compile(function)(X[0])


def test_values_are_read_by_name():
    x = cr.parameter(X) * 1.0
    assert x.numpy().tolist() == x.tolist() == X.tolist()
    assert x[0, 0].item() == float(x[0, 0]) == 0.3
    assert math.sqrt(x[0, 0]) == math.sqrt(0.3)


def test_gradients_pass_in_compiled_functions_too():
    def slope(x):
        return cr.grad(np.linalg.norm(np.where(x > 0.5, np.dot(x, Y), 0.0)), [x])[0]

    np.testing.assert_allclose(cr.compile(slope)(X).numpy(), slope(cr.tensor(X)).numpy(), rtol=1e-12)
