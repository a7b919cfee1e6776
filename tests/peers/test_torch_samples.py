"""The samples that PyTorch tests its operations, layers and optimisers with. Importing them takes seconds: slow tests."""

import warnings

import numpy as np
import pytest
from names import TORCH, Different

import chainrule as cr
from chainrule import nn, optim
from chainrule.errors import ChainruleError

torch = pytest.importorskip("torch", reason="PyTorch's samples come with it")
pytest.importorskip("expecttest", reason="PyTorch's test samples need expecttest")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

DTYPES = ["float64", "float32", "int64", "bool"]
TOLERANCE = {"float64": 1e-9, "float32": 2e-4}
LAYERS = ["AvgPool1d", "AvgPool2d", "BatchNorm1d", "BatchNorm2d", "BCELoss", "BCEWithLogitsLoss", "Conv1d", "Conv2d"]
LAYERS += ["ConvTranspose2d", "CrossEntropyLoss", "ELU", "Embedding", "GELU", "HuberLoss", "KLDivLoss", "L1Loss", "LayerNorm"]
LAYERS += ["LeakyReLU", "Linear", "LogSoftmax", "MaxPool1d", "MaxPool2d", "MSELoss", "NLLLoss", "ReLU", "SiLU", "Sigmoid"]
LAYERS += ["Softmax", "Softplus", "Tanh"]
NOT_OURS = (ChainruleError, TypeError, ValueError, Different)  # what PyTorch has and we have not


def _database(module, name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return getattr(pytest.importorskip(f"torch.testing._internal.{module}"), name)


def _ours(value):
    """Tensors as arrays, in lists and tuples too."""
    if isinstance(value, torch.Tensor):
        return value.detach().numpy()
    if isinstance(value, torch.Size):
        return tuple(value)
    return type(value)(map(_ours, value)) if isinstance(value, list | tuple) else value


def _agree(found, wanted, dtype):
    found, wanted = np.asarray(found.numpy()), wanted.detach().numpy()
    assert found.shape == wanted.shape
    tolerance = TOLERANCE.get(dtype, 1e-6)
    np.testing.assert_allclose(found, wanted, rtol=tolerance, atol=tolerance)


def _samples(info, dtype):
    if getattr(torch, dtype) not in info.supported_dtypes("cpu"):
        return []
    torch.manual_seed(0)
    return list(info.sample_inputs("cpu", getattr(torch, dtype), requires_grad=False))


@pytest.mark.parametrize("name", sorted(TORCH))
def test_operations(name):
    ran = 0
    for info in _database("common_methods_invocations", "op_db"):
        if info.name != name:
            continue
        for dtype in DTYPES:
            for sample in _samples(info, dtype):
                values = [np.asarray(sample.input) if isinstance(sample.input, torch.Tensor) else _ours(sample.input)]
                values += [_ours(a) for a in sample.args]
                try:
                    found = TORCH[name](*values, **{k: _ours(v) for k, v in sample.kwargs.items()})
                except NOT_OURS:
                    continue
                _agree(found, info.op(sample.input, *sample.args, **sample.kwargs), dtype)
                ran += 1
    assert ran


def _plain(value):
    return value.item() if isinstance(value, torch.Tensor) and value.ndim == 0 else _ours(value)


@pytest.mark.parametrize("name", LAYERS)
def test_layers(name):
    ran = 0
    (info,) = [m for m in _database("common_modules", "module_db") if m.module_cls.__name__ == name]
    torch.manual_seed(0)
    inputs = info.module_inputs_func(info, device="cpu", dtype=torch.float64, requires_grad=False, training=True)
    for sample in inputs:
        given = sample.constructor_input
        try:
            settings = {k: _plain(v) for k, v in given.kwargs.items()}
            ours = getattr(nn, name)(*map(_plain, given.args), **settings)
            if hasattr(ours, "load_state_dict"):
                theirs = info.module_cls(*given.args, **given.kwargs).double()
                ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items() if k != "num_batches_tracked"})
            else:
                theirs = info.module_cls(*given.args, **given.kwargs)
            found = ours(*map(_ours, sample.forward_input.args))
        except NOT_OURS:
            continue
        wanted = theirs(*sample.forward_input.args, **sample.forward_input.kwargs)
        if wanted.ndim == 0 and wanted.isnan():  # the mean over targets that are all ignored, which is 0 here
            wanted = torch.zeros(())
        _agree(found, wanted, "float32")  # our layers hold float32
        ran += 1
    assert ran


@pytest.mark.parametrize("name", optim.OPTIMIZERS)
def test_optimisers(name):
    ran = 0
    (info,) = [o for o in _database("common_optimizers", "optim_db") if o.optim_cls.__name__ == name]
    rng = np.random.default_rng(0)
    start, gradients = rng.normal(size=(3, 4)), rng.normal(size=(6, 3, 4))
    for sample in info.optim_inputs_func("cpu", torch.float64):
        ours, theirs = cr.parameter(start), torch.nn.Parameter(torch.tensor(start))
        try:
            mine = optim.OPTIMIZERS[name]([ours], **{k: _plain(v) for k, v in sample.kwargs.items()})
        except NOT_OURS:
            continue
        other = info.optim_cls([theirs], **sample.kwargs)
        for gradient in gradients:
            mine.zero_grad()
            (ours * gradient).sum().backward()
            mine.step()
            theirs.grad = torch.tensor(gradient)
            other.step()
        np.testing.assert_allclose(ours.numpy(), theirs.detach().numpy(), rtol=1e-7, atol=1e-12, err_msg=sample.desc)
        ran += 1
    assert ran
