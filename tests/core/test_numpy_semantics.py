"""Elementwise operations broadcast and promote as NumPy's do, with Tensors, arrays and Python numbers on either side."""

import operator

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from strategies import DTYPES, arrays, broadcasting_pair, small_shapes

import chainrule as cr
from chainrule.errors import ArgumentError, ChainruleError, DTypeError

ARITHMETIC = {"add": operator.add, "subtract": operator.sub, "multiply": operator.mul, "divide": operator.truediv}
COMPARISONS = {
    "equal": operator.eq, "not_equal": operator.ne, "less": operator.lt, "less_equal": operator.le,
    "greater": operator.gt, "greater_equal": operator.ge,
}  # fmt: skip
OPERATORS = ARITHMETIC | COMPARISONS


# Drawing takes most of the time, so what is drawn is given to every function of a table.
EXAMPLES = settings(max_examples=120)


def _numpy(function, *operands):
    """NumPy's result, or None where it refuses or gives a dtype that chainrule does not have (float16)."""
    with np.errstate(all="ignore"):
        try:
            result = np.asarray(function(*operands))
        except (TypeError, ValueError, OverflowError):
            return None
    return result if str(result.dtype) in DTYPES else None


def _equal(ours, theirs, name=""):
    assert ours.dtype == theirs.dtype, name
    assert ours.shape == theirs.shape, name
    np.testing.assert_array_equal(ours.numpy(), theirs, err_msg=name)


@EXAMPLES
@given(pair=broadcasting_pair())
def test_operators_equal_numpys(pair):
    a, b = pair
    for name, function in OPERATORS.items():
        expected = _numpy(function, a, b)
        if expected is None:
            continue
        for left, right in ((cr.tensor(a), cr.tensor(b)), (a, cr.tensor(b)), (cr.tensor(a), b)):
            _equal(function(left, right), expected, name)
        _equal(getattr(cr, name)(a, b), expected, name)


NUMBERS = st.one_of(st.booleans(), st.integers(-9, 9), st.integers(-36, 36).map(lambda n: n / 4))


@EXAMPLES
@given(array=arrays(), number=NUMBERS, left=st.booleans())
def test_python_numbers_are_weak(array, number, left):
    operands = (number, array) if left else (array, number)
    assume(not (array.dtype == np.uint8 and number < 0))
    for name, function in OPERATORS.items():
        expected = _numpy(function, *operands)
        if expected is not None:
            _equal(function(*(cr.tensor(o) if o is array else o for o in operands)), expected, name)


@given(array=arrays(dtype="float32"), number=st.sampled_from([np.float64(0.5), np.float32(0.5), np.int64(2), np.uint8(2)]))
def test_numpy_scalars_are_strong(array, number):
    _equal(cr.tensor(array) * number, np.asarray(array * number))
    _equal(number * cr.tensor(array), np.asarray(number * array))


BINARY = {"maximum": np.maximum, "minimum": np.minimum, "logical_and": np.logical_and, "logical_or": np.logical_or}
UNARY = {
    "negative": np.negative, "sign": np.sign, "square": np.square, "isfinite": np.isfinite, "logical_not": np.logical_not,
    "floor": np.floor, "abs": np.abs, "sqrt": np.sqrt, "exp": np.exp, "log": np.log, "sin": np.sin, "tanh": np.tanh,
    "expm1": np.expm1, "log1p": np.log1p, "cos": np.cos,
}  # fmt: skip


@EXAMPLES
@given(pair=broadcasting_pair())
def test_functions_of_two_equal_numpys(pair):
    for name, function in BINARY.items():
        _equal(getattr(cr, name)(*pair), _numpy(function, *pair), name)


@EXAMPLES
@given(array=arrays())
def test_functions_of_one_equal_numpys(array):
    for name, function in UNARY.items():
        expected = _numpy(function, array)
        # NumPy gives int8 or bool for some functions of booleans; chainrule refuses those.
        if expected is None or (array.dtype == bool and (expected.dtype not in (bool, float) or name in {"abs", "floor"})):
            continue
        if name == "floor" and array.dtype.kind in "iu" and expected.dtype.kind == "f":  # NumPy 2.0
            continue
        _equal(getattr(cr, name)(array), expected, name)


@given(pair=broadcasting_pair())
def test_power_equals_numpys(pair):
    a, b = pair
    expected = _numpy(np.power, a, b)
    assume(expected is not None and a.size)  # NumPy lets a negative integer power of nothing pass
    found = cr.tensor(a) ** b
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found.numpy(), expected)


@given(condition=arrays(dtype="bool", shape=st.just((2, 3))), a=arrays(shape=st.just((2, 1))), b=arrays(shape=st.just((3,))))
def test_where_equals_numpys(condition, a, b):
    _equal(cr.where(condition, a, b), np.where(condition, a, b))


@given(array=arrays(), low=NUMBERS, high=NUMBERS)
def test_clip_equals_numpys(array, low, high):
    assume(array.dtype != bool and not (array.dtype == np.uint8 and min(low, high) < 0))
    _equal(cr.clip(array, low, high), np.minimum(np.maximum(array, low), high))


@pytest.mark.parametrize("name", ["relu", "clip", "square", "step", "leaky_relu", "gelu", "mean", "max_pool", "avg_pool"])
def test_value_has_the_dtype_that_the_rule_says(name):
    settings = {"max_pool": {"window": 2, "padding": 1}, "avg_pool": {"window": 2}, "clip": {"low": 0.5}}.get(name, {})
    result = getattr(cr, name)(np.arange(16, dtype=np.int64).reshape(1, 1, 4, 4), **settings)
    assert result.dtype == result.numpy().dtype
    kept = {"relu", "square"}
    assert result.dtype == (np.int64 if name in kept else np.float64)


@EXAMPLES
@given(array=arrays(small_shapes), data=st.data(), keepdims=st.booleans())
def test_reductions_equal_numpys(array, data, keepdims):
    one = data.draw(st.one_of(st.none(), st.integers(-array.ndim, array.ndim - 1)) if array.ndim else st.none())
    several = tuple(data.draw(st.sets(st.integers(0, array.ndim - 1)))) if array.ndim and data.draw(st.booleans()) else one
    for name in ("sum", "prod", "max", "min", "mean", "var", "argmax", "argmin"):
        axis = one if name in {"argmax", "argmin"} else several
        settings = {"axis": axis, "keepdims": keepdims}
        reduced = range(array.ndim) if axis is None else np.atleast_1d(np.array(axis, dtype=int))
        if name not in {"sum", "prod"} and any(array.shape[a] == 0 for a in reduced):
            with pytest.raises(ChainruleError, match=f"{name} got the shape .*; it needs at least one element"):
                getattr(cr, name)(array, **settings)
            continue
        expected = np.asarray(getattr(np, name)(array, **settings))
        if expected.dtype == np.uint64 and not np.all(expected < 2**62):  # chainrule's largest integers are int64
            continue
        found = getattr(cr, name)(array, **settings)
        assert found.shape == expected.shape, name
        kind = "int64" if expected.dtype.kind in "iu" and name in {"sum", "prod"} else str(expected.dtype)
        assert str(found.dtype) == kind, name
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5, atol=1e-5, err_msg=name)


def test_sum_of_small_integers_does_not_overflow():
    assert cr.sum(np.full(1000, 255, np.uint8)).item() == 255_000


REFUSED = {
    "booleans": (lambda: -cr.tensor([True]), DTypeError, "negative got booleans; it takes numbers"),
    "float16": (lambda: cr.tensor(np.ones(2, np.float16)), DTypeError, "float16 was given; chainrule computes with bool"),
    "complex": (lambda: cr.tensor(1.0) + 1j, DTypeError, "complex128"),
    "text": (lambda: cr.tensor(1.0) + "a", DTypeError, "chainrule computes with"),
    "None": (lambda: cr.tensor(1.0) + None, DTypeError, "the dtype object was given"),
    "too large": (lambda: cr.tensor(np.ones(2, np.uint8)) + 300, ArgumentError, "add got a number that uint8 cannot hold"),
    "too large data": (lambda: cr.tensor([300], dtype="uint8"), DTypeError, "numbers that the dtype can hold"),
    "ragged": (lambda: cr.tensor([[1], [1, 2]]), ChainruleError, "in rows of one length"),
    "negative integer power": (lambda: cr.tensor([2]) ** -1, ArgumentError, "negative integer exponent.*Use a float base"),
    "bitwise": (lambda: cr.tensor([2]) & 1, DTypeError, "& got a Tensor of dtype int64; it takes booleans"),
    "bitwise not": (lambda: ~cr.tensor([2]), DTypeError, "~ got a Tensor of dtype int64"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refused_dtypes(case):
    call, error, text = REFUSED[case]
    with pytest.raises(error, match=text):
        call()


def test_boolean_operators():
    a, b = np.array([True, True, False]), np.array([True, False, False])
    np.testing.assert_array_equal((cr.tensor(a) & b).numpy(), a & b)
    np.testing.assert_array_equal((a | cr.tensor(b)).numpy(), a | b)
    np.testing.assert_array_equal((a & cr.tensor(b)).numpy(), a & b)
    np.testing.assert_array_equal((~cr.tensor(a)).numpy(), ~a)


@pytest.mark.parametrize("name", ["sin", "exp", "absolute", "tanh", "floor", "square", "isfinite", "negative"])
def test_numpys_functions_take_tensors(name):
    x = cr.parameter([0.5, -1.25])
    found = getattr(np, name)(x)
    assert isinstance(found, cr.Tensor)
    _equal(found, getattr(np, name)(x.numpy()))


def test_gradients_pass_through_numpys_functions():
    x = cr.parameter([0.5, 1.25])
    np.multiply(np.array([2.0, 3.0]), np.sin(x)).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), [2.0, 3.0] * np.cos(x.numpy()), rtol=1e-15)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (np.arctan, "np.arctan was called with a Tensor; of NumPy's functions those take Tensors that chainrule has"),
        (np.add.accumulate, "np.add.accumulate was called with a Tensor"),
        (lambda x: np.sin(x, where=[True]), "np.sin was called with a Tensor and where"),
        (lambda x: np.sqrt(x, out=np.zeros(1)), "np.sqrt cannot write a Tensor into an array"),
    ],
)
def test_other_functions_of_numpy_say_what_to_do(call, words):
    with pytest.raises(ArgumentError) as caught:
        call(cr.parameter([1.0]))
    assert words in str(caught.value)
    assert "numpy()" in str(caught.value)


SWAPPED = np.arange(3.0).astype(np.dtype("f8").newbyteorder("S"))
INDICES = np.array([2, 0]).astype(np.dtype("i8").newbyteorder("S"))
TAKING = {
    "tensor": cr.tensor,
    "parameter": cr.parameter,
    "list": lambda a: cr.tensor([a, a]),
    "operator": lambda a: cr.tensor(np.ones(3)) + a,
    "function": cr.exp,
    "compiled": cr.compile(lambda a: a * 2.0, backend="reference"),
    "compiled, native": cr.compile(lambda a: a * 2.0),
    "value_and_grad": lambda a: cr.value_and_grad(lambda x: (x * x).sum())(a)[1][0],
    "layer": cr.nn.ReLU(),
    "index": lambda a: cr.tensor(a)[INDICES.astype("i8") if a.dtype.isnative else INDICES],
}


@pytest.mark.parametrize("name", TAKING)
def test_arrays_in_the_other_byte_order_are_taken(name):
    found, same = TAKING[name](SWAPPED), TAKING[name](SWAPPED.astype("f8"))
    assert found.dtype.isnative
    np.testing.assert_array_equal(found.numpy(), same.numpy(), strict=True)


def test_captured_arrays_in_the_other_byte_order_are_taken():
    found = cr.compile(lambda a: a + SWAPPED, backend="reference")(np.ones(3))
    assert found.tolist() == [1.0, 2.0, 3.0]
