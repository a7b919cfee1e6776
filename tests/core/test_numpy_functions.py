"""Every public function of NumPy that takes an array: with a Tensor it passes gradients, or refuses by name."""

import math
import operator

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ArgumentError, CallError, CaptureError, ChainruleError
from chainrule.numpy_functions import OURS, READS, UNIVERSAL

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
