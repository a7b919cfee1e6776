"""Python numbers are weak, in eager code and as arguments of compiled functions alike; NumPy's own are not."""

import enum
import operator

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ArgumentError, CaptureError

BACKENDS = ("reference", "native")
FEW = (("float", "float32"), ("integer", "int32"))
NUMBERS = {
    "float": 0.5,
    "integer": 3,
    "bool": True,
    "float64": np.float64(0.5),
    "float32": np.float32(0.5),
    "int64": np.int64(3),
}
ARRAYS = {d: np.array([1, 2, 3], d) for d in ("float32", "float64", "int64", "int32", "uint8")}
OPERATORS = {f.__name__: f for f in (operator.add, operator.sub, operator.mul, operator.truediv, operator.gt, operator.eq)}


# Without booleans, as True + True is Python's. Programs differ by what is captured, which is the same for every backend.
CASES = [
    pytest.param(kind, dtype, backend, marks=() if backend == "reference" or (kind, dtype) in FEW else pytest.mark.slow)
    for backend in BACKENDS
    for dtype in ARRAYS
    for kind in NUMBERS
    if kind != "bool"
]


def functions_of(x, a):
    """What users do with a number: meet a Tensor on either side, be calculated with first, choose."""
    yield from (f(x, a) for f in OPERATORS.values())
    yield from (f(a, x) for f in OPERATORS.values())
    yield (2 * a + 1) * x
    yield x * (a / 2)
    yield x.astype("float32") * -a
    yield cr.where(x > 1, x, a)
    yield cr.maximum(x, a)
    yield x * (abs(a) + a)
    yield cr.where(a > 1, x, x)


@pytest.mark.parametrize("kind, dtype, backend", CASES)
def test_dtypes_and_values_are_those_of_eager_code(kind, dtype, backend):
    x, a = ARRAYS[dtype], NUMBERS[kind]
    expected = list(functions_of(cr.tensor(x), a))
    found = cr.compile(lambda x, a: list(functions_of(x, a)), backend=backend)(x, a)
    for k, (f, e) in enumerate(zip(found, expected, strict=True)):
        assert f.dtype == e.dtype, k
        np.testing.assert_allclose(f.numpy(), e.numpy(), rtol=1e-6, err_msg=str(k))


@pytest.mark.parametrize("dtype", ARRAYS)
@pytest.mark.parametrize("kind", NUMBERS)
@pytest.mark.parametrize("name", ["add", "mul", "truediv"])
def test_dtypes_are_those_of_numpy(name, kind, dtype):
    x, a, f = ARRAYS[dtype], NUMBERS[kind], OPERATORS[name]
    assert f(cr.tensor(x), a).dtype == f(x, a).dtype or (name, dtype) == ("truediv", "uint8")
    assert cr.compile(f, backend="reference")(x, a).dtype == f(cr.tensor(x), a).dtype


def test_another_number_runs_the_same_program():
    runs = []

    def scaled(x, a):
        runs.append(1)
        return x * a

    f, x = cr.compile(scaled), np.ones(2, np.float32)
    assert [f(x, a).tolist() for a in (0.5, 2.0, -1.0)] == [[0.5, 0.5], [2.0, 2.0], [-1.0, -1.0]]
    assert len(runs) == 1
    assert f(x, 2).dtype == np.float32
    assert f(x, np.float64(2)).dtype == np.float64
    assert len(runs) == 3


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_number_that_the_dtype_cannot_hold(backend):
    x = np.array([1, 2], np.uint8)
    f = cr.compile(operator.add, backend=backend)
    assert f(x, 3).tolist() == [4, 5]
    with pytest.raises(ArgumentError) as eager:
        cr.tensor(x) + 300
    with pytest.raises(ArgumentError) as compiled:
        f(x, 300)
    assert str(compiled.value) == str(eager.value)


def test_a_number_cannot_be_a_setting():
    with pytest.raises(CaptureError, match="was asked for while its function is being compiled"):
        cr.compile(cr.leaky_relu)(np.ones(2), 0.5)


X32 = cr.tensor(np.linspace(0.5, 3.0, 6, dtype=np.float32).reshape(2, 3))


class Two(enum.IntEnum):
    ONE = 1


class Meters(float):
    pass


@pytest.mark.parametrize("number", [X32.size, Two.ONE, Meters(2.0)], ids=["size", "member", "float"])
@pytest.mark.parametrize("how", [operator.truediv, operator.sub, cr.maximum, lambda x, n: cr.clip(x, 0, n)])
def test_numbers_of_derived_classes_are_weak(how, number):
    found = how(X32, number)
    assert found.dtype == np.float32
    plain = how(X32, int(number) if isinstance(number, int) else float(number))
    np.testing.assert_array_equal(found.numpy(), plain.numpy())
