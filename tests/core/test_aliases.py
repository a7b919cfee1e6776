"""Names of PyTorch and NumPy that are names here give what they give there, and gradients pass."""

import inspect
import re
import runpy
from pathlib import Path

import numpy as np
import pytest

import chainrule as cr
from chainrule import aliases
from chainrule.errors import ArgumentError, CallError, CaptureError, DTypeError, ShapeError

rng = np.random.default_rng(5)
A, B = rng.normal(size=(3, 4)), rng.normal(size=(4, 3))
ROW, OTHER = rng.uniform(0.5, 1.5, size=4), rng.uniform(0.5, 1.5, size=4)
STACK, STACKED = rng.normal(size=(2, 3, 4)), rng.normal(size=(2, 4, 3))
ABOVE = rng.uniform(0.5, 1.5, size=(3, 4))  # positive, for logarithms and the like
IMAGES, SIGNAL = rng.normal(size=(2, 3, 6, 6)), rng.normal(size=(2, 3, 8))
ODD = np.array([1.5, np.nan, np.inf, -np.inf, 0.0])
HOLES = np.array([[0.0, 1.0], [0.0, 0.0]])
MASK, PLACES = A > 0.0, np.array([2, 0, 2])
ALONG = np.array([[3, 0], [1, 1], [2, 0]])

# A call f(x, …) by name and its arguments as arrays; floating ones are differentiated by. `m` has the function of that name.
# Where both PyTorch and NumPy have the name, it is compared with both.
CALLS = {
    "absolute": (lambda m, x: m.absolute(x), A),
    "all": (lambda m, x: m.all(x, 1), HOLES),
    "allclose": (lambda m, x: m.allclose(x, x + 1e-9), A),
    "amax": (lambda m, x: m.amax(x, 1), A),
    "amin": (lambda m, x: m.amin(x, 1), A),
    "any": (lambda m, x: m.any(x, 1), HOLES),
    "array": (lambda m, x: m.array([1.0, 2.0]), A),
    "as_tensor": (lambda m, x: m.as_tensor([1.0, 2.0], dtype=x.dtype), A),
    "asarray": (lambda m, x: m.asarray([1, 2]), A),
    "average": (lambda m, x: m.average(x, 0), A),
    "atleast_1d": (lambda m, x: m.atleast_1d(x), A),
    "atleast_2d": (lambda m, x: m.atleast_2d(x), ROW),
    "avg_pool1d": (lambda m, x: m.avg_pool1d(x, 2, 2, 1), SIGNAL),
    "avg_pool2d": (lambda m, x: m.avg_pool2d(x, kernel_size=(2, 3), stride=1), IMAGES),
    "bmm": (lambda m, x, y: m.bmm(x, y), STACK, STACKED),
    "cat": (lambda m, x, y: m.cat([x, y], dim=1), A, ABOVE),
    "ceil": (lambda m, x: m.ceil(x * 3), A),
    "chunk": (lambda m, x: m.chunk(x, 3, dim=1), A),
    "clamp": (lambda m, x: m.clamp(x, min=-0.5, max=0.5), A),
    "clone": (lambda m, x: m.clone(x) * x, A),
    "column_stack": (lambda m, x, y: m.column_stack([x, y]), ROW, OTHER),
    "concat": (lambda m, x, y: m.concat([x, y]), A, ABOVE),
    "copy": (lambda m, x: m.copy(x) * 2.0, A),
    "cosh": (lambda m, x: m.cosh(x), A),
    "deg2rad": (lambda m, x: m.deg2rad(x), A),
    "degrees": (lambda m, x: m.degrees(x), A),
    "diagonal": (lambda m, x: m.diagonal(x, 1), A),
    "diff": (lambda m, x: m.diff(x, 2), A),
    "div": (lambda m, x, y: m.div(x, y), A, ABOVE),
    "dot": (lambda m, x, y: m.dot(x, y), ROW, OTHER),
    "eq": (lambda m, x: m.eq(x, 0.0), HOLES),
    "exp2": (lambda m, x: m.exp2(x), A),
    "fabs": (lambda m, x: m.fabs(x), A),
    "flatten": (lambda m, x: m.flatten(x, start_dim=1), STACK),
    "fliplr": (lambda m, x: m.fliplr(x), A),
    "flipud": (lambda m, x: m.flipud(x), A),
    "float_power": (lambda m, x, y: m.float_power(x, y), ROW, OTHER),
    "ge": (lambda m, x: m.ge(x, 0.0), HOLES),
    "gt": (lambda m, x: m.gt(x, 0.0), HOLES),
    "hstack": (lambda m, x, y: m.hstack([x, y]), A, ABOVE),
    "hypot": (lambda m, x, y: m.hypot(x, y), A, ABOVE),
    "index_select": (lambda m, x, i: m.index_select(x, 1, i), A, PLACES),
    "inner": (lambda m, x, y: m.inner(x, y), A, ABOVE),
    "isinf": (lambda m, x: m.isinf(x), ODD),
    "isnan": (lambda m, x: m.isnan(x), ODD),
    "le": (lambda m, x: m.le(x, 0.0), HOLES),
    "log10": (lambda m, x: m.log10(x), ABOVE),
    "log2": (lambda m, x: m.log2(x), ABOVE),
    "logaddexp": (lambda m, x, y: m.logaddexp(x, y), A, ABOVE),
    "logaddexp2": (lambda m, x, y: m.logaddexp2(x, y), A, ABOVE),
    "lt": (lambda m, x: m.lt(x, 1.0), HOLES),
    "masked_fill": (lambda m, x, mask: m.masked_fill(x, mask, -2.0), A, MASK),
    "matrix_transpose": (lambda m, x: m.matrix_transpose(x), STACK),
    "max_pool1d": (lambda m, x: m.max_pool1d(x, 3, 2, 1), SIGNAL),
    "max_pool2d": (lambda m, x: m.max_pool2d(x, kernel_size=2), IMAGES),
    "meshgrid": (lambda m, x, y: m.meshgrid(x, y, indexing="xy"), ROW, A[:, 0]),
    "mm": (lambda m, x, y: m.mm(x, y), A, B),
    "moveaxis": (lambda m, x: m.moveaxis(x, 0, 2), STACK),
    "mul": (lambda m, x, y: m.mul(x, y), A, ABOVE),
    "mv": (lambda m, x, y: m.mv(x, y), A, ROW),
    "nan_to_num": (lambda m, x: m.nan_to_num(x, nan=7.0), ODD),
    "ne": (lambda m, x: m.ne(x, 0.0), HOLES),
    "neg": (lambda m, x: m.neg(x), A),
    "norm": (lambda m, x: m.norm(x, dim=1), A),
    "numel": (lambda m, x: m.numel(x), A),
    "pow": (lambda m, x, y: m.pow(x, y), ROW, OTHER),
    "ptp": (lambda m, x: m.ptp(x, 0), A),
    "rad2deg": (lambda m, x: m.rad2deg(x), A),
    "radians": (lambda m, x: m.radians(x), A),
    "ravel": (lambda m, x: m.ravel(x), A),
    "reciprocal": (lambda m, x: m.reciprocal(x), ABOVE),
    "repeat": (lambda m, x: m.repeat(x, [1, 0, 2], axis=0), A),
    "repeat_interleave": (lambda m, x: m.repeat_interleave(x, 2, dim=1), A),
    "roll": (lambda m, x: m.roll(x, 1, 0), A),
    "sinh": (lambda m, x: m.sinh(x), A),
    "sub": (lambda m, x, y: m.sub(x, y), A, ABOVE),
    "swapaxes": (lambda m, x: m.swapaxes(x, 0, 2), STACK),
    "t": (lambda m, x: m.t(x), A),
    "take": (lambda m, x, i: m.take(x, i), A, PLACES),
    "take_along_axis": (lambda m, x, i: m.take_along_axis(x, i, axis=1), A, ALONG),
    "tan": (lambda m, x: m.tan(x), A * 0.3),
    "tensordot": (lambda m, x, y: m.tensordot(x, y, 1), A, B),
    "tile": (lambda m, x: m.tile(x, (2, 1, 2)), A),
    "trace": (lambda m, x: m.trace(x), A),
    "tril": (lambda m, x: m.tril(x, -1), A),
    "triu": (lambda m, x: m.triu(x, 1), A),
    "unbind": (lambda m, x: m.unbind(x, dim=1), A),
    "unsqueeze": (lambda m, x: m.unsqueeze(x, -1), A),
    "unstack": (lambda m, x: m.unstack(x, axis=1), A),
    "vdot": (lambda m, x, y: m.vdot(x, y), ROW, OTHER),
    "vstack": (lambda m, x, y: m.vstack([x, y]), A, ABOVE),
}
# Without arrays to compare: these make Tensors of data, or draw.
APART = {"Parameter", "astype", "from_numpy", "rand", "randint", "randn", "randperm"}


def _values(found):
    if isinstance(found, list | tuple):
        return [_values(part) for part in found]
    return found.numpy() if isinstance(found, cr.Tensor) else np.asarray(found)


def _compared(ours, theirs):
    assert isinstance(ours, list) == isinstance(theirs, list)
    for own, their in zip(*(each if isinstance(each, list) else [each] for each in (ours, theirs)), strict=True):
        assert own.shape == their.shape
        assert own.dtype.kind == their.dtype.kind
        np.testing.assert_allclose(own, their, rtol=1e-12)


def test_every_name_is_tried():
    assert set(CALLS) | APART == set(aliases.FUNCTIONS)


def _tensors(arrays):
    return [cr.parameter(a) if a.dtype.kind == "f" else cr.tensor(a) for a in arrays]


@pytest.mark.parametrize("name", CALLS)
def test_values_are_numpys(name):
    call, *arrays = CALLS[name]
    if not hasattr(np, name):
        pytest.skip("NumPy has no such name")
    _compared(_values(call(cr, *_tensors(arrays))), _values(call(np, *arrays)))


@pytest.mark.parametrize("name", CALLS)
def test_values_are_pytorchs(name):
    torch = pytest.importorskip("torch")
    call, *arrays = CALLS[name]
    places = [place for place in (torch, torch.nn.functional) if hasattr(place, name)]
    assert places or hasattr(np, name)
    for place in places:
        _compared(_values(call(cr, *_tensors(arrays))), _values(call(place, *map(torch.tensor, arrays))))


def _as_one(found):
    parts = found if isinstance(found, tuple) else (found,)
    return cr.concat([cr.ravel(part) for part in parts])


def _is_differentiable(name):
    call, *arrays = CALLS[name]
    found = call(cr, *_tensors(arrays))
    parts = found if isinstance(found, tuple) else (found,)
    return all(isinstance(part, cr.Tensor) and part.node.inputs and part.dtype.kind == "f" for part in parts)


@pytest.mark.parametrize("name", [name for name in CALLS if _is_differentiable(name)])
def test_gradients_pass(name):
    call, *arrays = CALLS[name]
    finite = [np.where(np.isfinite(a), a, 0.5) if a.dtype.kind == "f" else a for a in arrays]
    cr.testing.gradcheck(lambda *tensors: _as_one(call(cr, *tensors)), finite, order=1)


def test_gradients_are_0_where_nan_to_num_replaces():
    x = cr.parameter(ODD)
    (g,) = cr.grad(cr.nan_to_num(x).sum(), [x])
    assert g.tolist() == [1.0, 0.0, 0.0, 0.0, 1.0]


# ------------------------------------------------------------------------------------------------ methods
class _Methods:
    """Calls x.name(…) where a call is written m.name(x, …)."""

    def __getattr__(self, name):
        return lambda x, *args, **kwargs: getattr(x, name)(*args, **kwargs)


def _elementwise(name, count):
    return lambda m, *tensors: getattr(m, name)(*tensors[:count])


ONE = ["abs", "cos", "erf", "exp", "expm1", "floor", "isfinite", "log", "log1p", "negative", "relu", "sigmoid", "sign", "sin"]
ONE += ["sqrt", "square", "tanh"]
TWO = ["add", "divide", "greater", "greater_equal", "less", "less_equal", "maximum", "minimum", "multiply", "not_equal"]
TWO += ["power", "subtract"]
# Methods that are no functions, and functions whose methods take other arguments.
METHODS = {
    **{name: (_elementwise(name, 1), ABOVE) for name in ONE},
    **{name: (_elementwise(name, 2), ABOVE, A + 2.0) for name in TWO},
    "broadcast_to": (lambda m, x: m.broadcast_to(x, (2, 3, 4)), A),
    "dim": (lambda m, x: m.dim(x), A),
    "double": (lambda m, x: m.double(x), A),
    "expand": (lambda m, x: m.expand(x, 2, -1, 4), A[:1]),
    "expand_as": (lambda m, x, y: m.expand_as(x, y), A[:1], A),
    "flip": (lambda m, x: m.flip(x, 1), A),
    "float": (lambda m, x: m.float(x), A),
    "log_softmax": (lambda m, x: m.log_softmax(x, dim=-1), A),
    "logical_and": (_elementwise("logical_and", 2), MASK, ~MASK),
    "logical_not": (_elementwise("logical_not", 1), MASK),
    "logical_or": (_elementwise("logical_or", 2), MASK, ~MASK),
    "logsumexp": (lambda m, x: m.logsumexp(x, dim=0, keepdim=True), A),
    "long": (lambda m, x: m.long(x), A),
    "matmul": (_elementwise("matmul", 2), A, B),
    "outer": (_elementwise("outer", 2), ROW, OTHER),
    "permute": (lambda m, x: m.permute(x, 2, 0, 1), STACK),
    "requires_grad_": (lambda m, x: m.requires_grad_(x).detach() * 2.0, A),
    "reshape_as": (lambda m, x, y: m.reshape_as(x, y), A, B),
    "softmax": (lambda m, x: m.softmax(x, dim=0), A),
    "to": (lambda m, x, y: m.to(x, y.dtype), A, A.astype(np.float32)),
    "type_as": (lambda m, x, y: m.type_as(x, y), A, A.astype(np.float32)),
    "view": (lambda m, x: m.view(x, 2, -1), A),
    "view_as": (lambda m, x, y: m.view_as(x, y), A, B),
    # of Tensor itself, as PyTorch writes them
    "std": (lambda m, x: m.std(x, dim=1, correction=1), A),
    "mean": (lambda m, x: m.mean(x, dim=(0, 1), keepdim=True), A),
    "transpose": (lambda m, x: m.transpose(x, -2, -1), STACK),
}
# PyTorch's Tensors have no such methods; `type` there takes the name of a type, too.
OWN_METHODS = {"elu", "expand_dims", "gelu", "leaky_relu", "silu", "softplus", "type"}
METHOD_CALLS = {name: METHODS.get(name) or CALLS[name] for name in sorted({*aliases.METHODS, *METHODS} - OWN_METHODS)}


@pytest.mark.parametrize("name", METHOD_CALLS)
def test_methods_give_what_pytorchs_do(name):
    torch = pytest.importorskip("torch")
    call, *arrays = METHOD_CALLS[name]
    in_torch = hasattr(torch.Tensor, name)  # otherwise it has the name of NumPy's function
    theirs = call(_Methods(), *map(torch.tensor, arrays)) if in_torch else call(np, *arrays)
    _compared(_values(call(_Methods(), *_tensors(arrays))), _values(theirs))


@pytest.mark.parametrize("name", sorted({*aliases.METHODS} & {*aliases.FUNCTIONS}))
def test_a_method_is_the_function(name):
    assert aliases.METHODS[name] is getattr(cr.Tensor, name)
    if name not in ("flatten", "permute"):
        assert inspect.unwrap(aliases.METHODS[name]) is inspect.unwrap(getattr(cr, name))


def test_the_package_lists_its_public_names_and_no_others():
    assert dir(cr) == sorted({*cr.__all__, *aliases.FUNCTIONS})
    assert all(not name.startswith("_") for name in dir(cr) if name != "__version__")
    assert all(hasattr(cr, name) for name in dir(cr))


@pytest.mark.parametrize("name", aliases.FUNCTIONS)
def test_every_name_has_a_docstring_and_explains_wrong_calls(name):
    assert inspect.getdoc(getattr(cr, name))
    with pytest.raises(CallError, match="was called wrongly"):
        getattr(cr, name)(no_such_argument=1)


def test_the_page_of_names_is_up_to_date():
    pytest.importorskip("torch")
    script = Path(__file__).parents[2] / "docs" / "make_names.py"
    made = runpy.run_path(str(script))
    assert script.with_name("names.md").read_text("utf-8") == made["page"](), "run python docs/make_names.py"


# ------------------------------------------------------------------------------------------------ apart
def test_a_clone_keeps_its_value():
    w = cr.parameter([1.0, 2.0])
    before = w.clone()
    w.assign([5.0, 6.0])
    assert before.tolist() == [1.0, 2.0]
    assert not before.requires_grad
    y = (w.clone() * 3.0).sum()
    y.backward()
    assert w.grad.tolist() == [3.0, 3.0]
    assert np.copy(w) is not w


def test_tensors_of_data():
    assert cr.Parameter([1, 2]).is_parameter
    assert cr.from_numpy(A).dtype == np.float64
    assert cr.astype(cr.tensor(A), "float32").dtype == np.float32
    assert cr.tensor(A).to("cpu").dtype == np.float64


def test_random_numbers_come_from_the_librarys_stream():
    def drawn():
        cr.manual_seed(3)
        return [cr.rand(2, 3), cr.randn((4,)), cr.randint(3, 9, (50,)), cr.randint(10, (2, 2)), cr.randint(5), cr.randperm(20)]

    first, again = drawn(), drawn()
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())
    assert [t.shape for t in first] == [(2, 3), (4,), (50,), (2, 2), (), (20,)]
    assert {t.dtype.kind for t in first[2:]} == {"i"}
    assert set(first[2].tolist()) == set(range(3, 9))
    assert sorted(first[-1].tolist()) == list(range(20)) != first[-1].tolist()
    assert cr.Generator(1).permutation(0).tolist() == []


def test_random_integers_in_compiled_code_move_the_stream_on():
    compiled = cr.compile(lambda x: x + cr.randint(1000, (5,)), backend="reference")
    cr.manual_seed(1)
    expected = [cr.randint(1000, (5,)).tolist() for _ in range(2)]
    cr.manual_seed(1)
    assert [compiled(np.zeros(5, np.int64)).tolist() for _ in range(2)] == expected
    with pytest.raises(CaptureError):
        cr.compile(lambda x: x + cr.randperm(5), backend="reference")(np.zeros(5))


REFUSED = {
    "limits": (lambda: cr.randint(3, 3), ArgumentError, "integers from 3 to below 3 were asked for"),
    "half a limit": (lambda: cr.randint(2.5), ArgumentError, "the limits are integers"),
    "half a permutation": (lambda: cr.randperm(2.5), ArgumentError, "permutation got count=2.5"),
    "indexing": (lambda: cr.meshgrid(ROW, ROW, indexing="ji"), ArgumentError, "it is 'xy' or 'ij'"),
    "repeats": (lambda: cr.repeat(A, [1, 2], 0), ArgumentError, "one for each element"),
    "chunks": (lambda: cr.chunk(A, 0), ArgumentError, "chunks=0; it must be an integer ≥ 1"),
    "flattened backwards": (lambda: cr.flatten(STACK, 2, 1), ArgumentError, "must not come after the last"),
    "axes of indices": (lambda: cr.take_along_axis(A, PLACES, 1), ShapeError, "both have as many axes"),
    "t of a stack": (lambda: cr.t(STACK), ShapeError, "it takes at most two axes"),
    "pool of one image": (lambda: cr.max_pool2d(IMAGES[0], 2), ShapeError, "it takes 4 axes"),
    "max along dim": (lambda: cr.tensor(A).max(dim=1), CallError, "PyTorch's max gives values and positions"),
    "transpose of a matrix": (lambda: cr.tensor(A).transpose(-2, -1), ArgumentError, "PyTorch transposes it. Write x.T"),
    "device": (lambda: cr.tensor(A).to("cuda"), DTypeError, "the dtype cuda was given"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_refused(case):
    call, error, text = REFUSED[case]
    with pytest.raises(error, match=re.escape(text)):
        call()
