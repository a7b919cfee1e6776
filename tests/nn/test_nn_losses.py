"""Every loss: gradients against differences, values and gradients against PyTorch, sample weights, captured against eager."""

from __future__ import annotations

import inspect
import json
import re

import nn_cases
import numpy as np
import pytest
from nn_cases import DISTRIBUTION, LABELS, LOSS_CASES, REAL, LossCase

import chainrule as cr
from chainrule import nn
from chainrule.nn.losses import trusting
from chainrule.testing import gradcheck

CASES = [pytest.param(c, id=str(c)) for c in LOSS_CASES]
REDUCTIONS = ("mean", "sum", "none")


def test_every_loss_has_a_case():
    assert {c.name for c in LOSS_CASES} == set(nn.LOSSES)
    assert {c.name for c in LOSS_CASES if c.torch is None} == set(nn_cases.NO_LOSS_COUNTERPART)
    assert set(nn.LOSSES) <= set(nn.__all__)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_gradcheck(case: LossCase, reduction: str):
    loss = case.make(reduction=reduction)
    gradcheck(lambda output: loss(output, case.target), [case.output], order=2)


def torch_value_and_gradient(case: LossCase, reduction: str) -> tuple[np.ndarray, np.ndarray]:
    torch = pytest.importorskip("torch", reason="values are compared with PyTorch's")
    output = torch.tensor(case.output, requires_grad=True)
    value = case.torch(torch, output, torch.tensor(case.target), reduction)
    value.sum().backward()
    return value.detach().numpy(), output.grad.numpy()


@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides the total loss:UserWarning")
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_equals_torch(case: LossCase, reduction: str):
    expected, gradient = torch_value_and_gradient(case, reduction)
    output = cr.tensor(case.output, requires_grad=True)
    value = case.make(reduction=reduction)(output, case.target)
    value.sum().backward()
    assert value.shape == expected.shape
    np.testing.assert_allclose(value.numpy(), expected, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(output.grad.numpy(), gradient, rtol=1e-10, atol=1e-10)


def test_batchmean_equals_torch():
    torch = pytest.importorskip("torch", reason="values are compared with PyTorch's")
    o = nn_cases.log_softmax(REAL)
    expected = torch.nn.KLDivLoss(reduction="batchmean")(torch.tensor(o), torch.tensor(DISTRIBUTION)).item()
    loss = nn.KLDivLoss(reduction="batchmean")
    assert loss(o, DISTRIBUTION).item() == pytest.approx(expected, rel=1e-12)
    losses, weights = loss.terms(o, DISTRIBUTION)
    assert (losses.sum() / weights.sum()).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_terms_give_the_mean_and_the_sum(case: LossCase):
    n = len(case.output)
    losses, weights = case.make(reduction="mean").terms(case.output, case.target)
    assert losses.shape == weights.shape == (n,)
    expected = case.make(reduction="mean")(case.output, case.target).item()
    assert (losses.sum() / weights.sum()).item() == pytest.approx(expected, rel=1e-12)
    losses, _ = case.make(reduction="sum").terms(case.output, case.target)
    assert losses.sum().item() == pytest.approx(case.make(reduction="sum")(case.output, case.target).item(), rel=1e-12)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_a_sample_weight_of_k_is_the_sample_k_times(case: LossCase, reduction: str):
    counts = np.arange(len(case.output)) % 4
    repeated = np.repeat(np.arange(len(counts)), counts)
    loss = case.make(reduction=reduction)
    weighted = loss(case.output, case.target, counts)
    assert weighted.item() == pytest.approx(loss(case.output[repeated], case.target[repeated]).item(), rel=1e-12)
    losses, weights = loss.terms(case.output, case.target)
    total = (counts * losses).sum() / ((counts * weights).sum() if reduction == "mean" else 1.0)
    assert weighted.item() == pytest.approx(total.item(), rel=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_sample_weights_without_reduction(case: LossCase):
    s = np.linspace(0.5, 2.0, len(case.output))
    loss = case.make(reduction="none")
    plain = loss(case.output, case.target).numpy()
    expected = plain * s.reshape(-1, *(1,) * (plain.ndim - 1))
    np.testing.assert_allclose(loss(case.output, case.target, s).numpy(), expected, rtol=1e-13)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_captured_equals_eager(case: LossCase, reduction: str):
    loss = case.make(reduction=reduction)
    s = np.linspace(0.5, 2.0, len(case.output))

    def step(output: cr.Tensor, target: cr.Tensor) -> tuple[cr.Tensor, ...]:
        value, weighted = loss(output, target), loss(output, target, s)
        (g,) = cr.grad(value.sum() + weighted.sum(), [output])
        return value, weighted, g, *loss.terms(output, target)

    expected = step(cr.tensor(case.output), cr.tensor(case.target))
    for a, b in zip(cr.compile(step)(case.output, case.target), expected, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_config_round_trip(case: LossCase, reduction: str):
    loss = case.make(reduction=reduction)
    config = json.loads(json.dumps(loss.config()))
    again = nn.loss_from_config(config)
    assert type(again) is type(loss) and again.config() == config and repr(again) == repr(loss)
    np.testing.assert_array_equal(again(case.output, case.target).numpy(), loss(case.output, case.target).numpy())


@pytest.mark.parametrize("case", CASES)
def test_float32_stays_float32(case: LossCase):
    loss = case.make()
    value = loss(case.output.astype(np.float32), case.target, np.ones(len(case.output)))
    assert value.dtype == np.float32
    assert all(t.dtype == np.float32 for t in loss.terms(case.output.astype(np.float32), case.target))
    assert value.item() == pytest.approx(loss(case.output, case.target).item(), rel=1e-5)


@pytest.mark.parametrize("name", sorted(nn.LOSSES))
def test_settings_have_torch_defaults(name: str):
    torch = pytest.importorskip("torch", reason="defaults are compared with PyTorch's")
    other = getattr(torch.nn, name, None)
    if other is None:
        return
    theirs = {k: p.default for k, p in inspect.signature(other).parameters.items()}
    for setting, parameter in inspect.signature(nn.LOSSES[name]).parameters.items():
        if setting != "ignore_index":  # None here; the docstring says why
            assert parameter.default == theirs[setting], setting


def test_half_squared_error_is_the_founding_error():
    output = cr.tensor([0.6902834929], requires_grad=True)
    E = nn.HalfSquaredError()(output, [0.5])
    E.backward()
    assert E.item() == pytest.approx(0.0181039038, abs=1e-10)
    assert output.grad.item() == pytest.approx(0.6902834929 - 0.5)
    o, t = np.array([[1.0, 2.0], [3.0, 5.0]]), np.zeros((2, 2))
    assert nn.HalfSquaredError()(o, t).item() == 19.5
    assert nn.HalfSquaredError("mean")(o, t).item() == 9.75


def test_cross_entropy_gradient_is_y_minus_t():
    a = cr.tensor([[0.3, 2.9, 4.0]], requires_grad=True)
    L = nn.CrossEntropyLoss()(a, [2])
    L.backward()
    assert L.item() == pytest.approx(0.3057144648, abs=1e-10)
    np.testing.assert_allclose(a.grad.numpy(), [[0.0182112733, 0.2451918129, -0.2634030862]], atol=1e-10)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_bce_clamps_logarithms_as_torch_does(dtype: str):
    torch = pytest.importorskip("torch", reason="values are compared with PyTorch's")
    o, t = np.array([0.0, 1.0, 0.0, 1.0, 1e-7, 0.5], dtype), np.array([1.0, 0.0, 0.0, 1.0, 1.0, 0.25], dtype)
    expected = torch.nn.BCELoss(reduction="none")(torch.tensor(o), torch.tensor(t)).numpy()
    output = cr.tensor(o, requires_grad=True)
    value = nn.BCELoss(reduction="none")(output, t)
    np.testing.assert_allclose(value.numpy(), expected, rtol=1e-6)
    value.sum().backward()
    assert np.isfinite(output.grad.numpy()).all()


def test_a_nan_score_stays_nan_in_a_training_step():
    """There the trainer finds out, and says where it came from."""
    with trusting("targets"):
        assert np.isnan(nn.BCELoss()(cr.sigmoid([np.nan, 0.5]), np.array([1.0, 0.0])).item())


def test_large_scores_do_not_overflow():
    z = np.array([[1000.0, -1000.0], [-1000.0, 1000.0]], np.float32)
    assert nn.CrossEntropyLoss()(z, [1, 1]).item() == 1000.0
    assert nn.BCEWithLogitsLoss()(z, np.eye(2)).item() == 0.0
    assert nn.BCEWithLogitsLoss(pos_weight=2.0)(z, 1 - np.eye(2)).item() == 1500.0


def test_ignored_targets_send_no_gradient():
    a = cr.tensor(REAL, requires_grad=True)
    nn.CrossEntropyLoss(ignore_index=2)(a, LABELS).backward()
    np.testing.assert_array_equal(a.grad.numpy()[LABELS == 2], 0.0)
    assert (a.grad.numpy()[LABELS != 2] != 0.0).all()


def test_an_ignored_minus_infinity_does_not_spoil_nll():
    o = np.log([[0.25, 0.75], [0.0, 1.0]], where=[[True, True], [False, True]], out=np.full((2, 2), -np.inf))
    output = cr.tensor(o, requires_grad=True)
    value = nn.NLLLoss(ignore_index=0)(output, [1, 0])
    value.backward()
    assert value.item() == pytest.approx(-np.log(0.75))
    np.testing.assert_array_equal(output.grad.numpy(), [[0.0, -1.0], [0.0, 0.0]])


# -------------------------------------------------------------------------------------------- wrong use
HALF = np.full((4, 3), 0.5)
ERRORS = [
    (
        lambda: nn.MSELoss()(HALF[:, :1], HALF[:, 0]),
        cr.errors.ShapeError,
        "MSELoss got outputs of shape (4, 1) and targets of shape (4,); both "
        "must have one shape. Reshape the targets, for example (n,) to (n, 1), or change the size of the last layer.",
    ),
    (
        lambda: nn.MSELoss()(HALF, HALF[:3]),
        cr.errors.ShapeError,
        "MSELoss got 4 outputs and 3 targets; each sample needs one of each.",
    ),
    (lambda: nn.CrossEntropyLoss()(HALF, [0, 1]), cr.errors.ShapeError, "CrossEntropyLoss got 4 outputs and 2 targets"),
    (
        lambda: nn.L1Loss()(np.ones((4, 3), int), HALF),
        cr.errors.DTypeError,
        "L1Loss got outputs of dtype int64; they must be floating.",
    ),
    (lambda: nn.MSELoss("average"), cr.errors.ArgumentError, "MSELoss got reduction='average'; it takes mean, sum, none."),
    (lambda: nn.MSELoss("batchmean"), cr.errors.ArgumentError, "MSELoss got reduction='batchmean'"),
    (lambda: nn.HuberLoss(delta=0.0), cr.errors.ArgumentError, "HuberLoss got delta=0.0; it must be > 0."),
    (lambda: nn.HingeLoss(margin=-1.0), cr.errors.ArgumentError, "HingeLoss got margin=-1.0; it must be > 0."),
    (
        lambda: nn.BCELoss()(HALF + 1, HALF),
        cr.errors.ArgumentError,
        "BCELoss got outputs such as 1.5; they must be from 0 to 1. Put nn.Sigmoid() last, or use BCEWithLogitsLoss.",
    ),
    (
        lambda: nn.BCELoss()(HALF, HALF * 4),
        cr.errors.ArgumentError,
        "BCELoss got targets such as 2; they must be from 0 to 1. Encode the two classes as 0 and 1.",
    ),
    (
        lambda: nn.BCEWithLogitsLoss()(HALF, HALF - 1),
        cr.errors.ArgumentError,
        "BCEWithLogitsLoss got targets such as -0.5",
    ),
    (
        lambda: nn.BCEWithLogitsLoss(pos_weight=[1, 2])(HALF, HALF),
        cr.errors.ShapeError,
        "has 2 pos_weights for outputs of shape (4, 3)",
    ),
    (
        lambda: nn.BCEWithLogitsLoss(pos_weight=[1, -2]),
        cr.errors.ArgumentError,
        "got pos_weight=[1, -2]; it is a list of numbers ≥ 0.",
    ),
    (
        lambda: nn.HingeLoss()(HALF, np.eye(4, 3)),
        cr.errors.ArgumentError,
        "HingeLoss got targets such as 0; they must be −1 or 1. Write 2 * t - 1 for targets of 0 and 1.",
    ),
    (
        lambda: nn.CrossEntropyLoss()(HALF, [0, 1, 3, 2]),
        cr.errors.ArgumentError,
        "CrossEntropyLoss got the class number 3 for outputs with 3 classes; class numbers go from 0 to 2.",
    ),
    (lambda: nn.CrossEntropyLoss()(HALF, [0, 1, -100, 2]), cr.errors.ArgumentError, "class number -100"),
    (lambda: nn.NLLLoss(ignore_index=7)(HALF, [0, 1, 7, 8]), cr.errors.ArgumentError, "NLLLoss got the class number 8"),
    (
        lambda: nn.CrossEntropyLoss()(HALF, [0.0, 1.0, 1.0, 2.0]),
        cr.errors.DTypeError,
        "CrossEntropyLoss got targets of dtype float64 and shape "
        "(4,); class numbers are integers from 0 to 2. Convert them with astype('int64').",
    ),
    (
        lambda: nn.CrossEntropyLoss()(HALF, np.zeros((4, 1), int)),
        cr.errors.ShapeError,
        "outputs of shape (4, 3) and class numbers of shape (4, 1); class numbers have the shape (n,).",
    ),
    (
        lambda: nn.CrossEntropyLoss()(HALF, HALF[:, :2]),
        cr.errors.ShapeError,
        "outputs of shape (4, 3) and distributions of shape (4, 2)",
    ),
    (
        lambda: nn.CrossEntropyLoss()(HALF, HALF * 3),
        cr.errors.ArgumentError,
        "CrossEntropyLoss got distributions such as 1.5",
    ),
    (
        lambda: nn.CrossEntropyLoss()(HALF[0], 1),
        cr.errors.ShapeError,
        "outputs of shape (3,); they are (n, C, …): samples, then classes.",
    ),
    (
        lambda: nn.CrossEntropyLoss(weight=[1, 2])(HALF, LABELS),
        cr.errors.ShapeError,
        "has 2 class weights for 3 classes; it takes one each.",
    ),
    (lambda: nn.CrossEntropyLoss("sum"), cr.errors.ArgumentError, "CrossEntropyLoss got weight='sum'; it is a list of numbers"),
    (lambda: nn.CrossEntropyLoss(2.0), cr.errors.ArgumentError, "CrossEntropyLoss got weight=2.0; it is a list of numbers"),
    (lambda: nn.HuberLoss(delta="big"), cr.errors.ArgumentError, "HuberLoss got delta='big'; it must be a number."),
    (lambda: nn.CrossEntropyLoss(weight=[1, np.nan, 1]), cr.errors.ArgumentError, "it is a list of numbers ≥ 0"),
    (lambda: nn.CrossEntropyLoss(label_smoothing=2.0), cr.errors.ArgumentError, "label_smoothing=2.0; it is from 0 to 1."),
    (
        lambda: nn.KLDivLoss()(HALF, HALF * 4),
        cr.errors.ArgumentError,
        "KLDivLoss got targets such as 2; they must be from 0 to 1.",
    ),
    (
        lambda: nn.KLDivLoss(log_target=True)(HALF, HALF),
        cr.errors.ArgumentError,
        "KLDivLoss got targets such as 0.5; they must be from -inf to 0.",
    ),
    (
        lambda: nn.MSELoss()(HALF, HALF, np.ones(3)),
        cr.errors.ShapeError,
        "sample_weight has the shape (3,) for losses of shape (4, 3)",
    ),
    (
        lambda: nn.loss_from_config({"loss": "MyLoss"}),
        cr.errors.ModelFileError,
        "the model has the loss 'MyLoss'; the losses known here are CrossEntropyLoss, ",
    ),
    (
        lambda: nn.loss_from_config({"loss": "HuberLoss", "deltta": 1}),
        cr.errors.ModelFileError,
        "the loss HuberLoss cannot be made from the settings in the model file (got an unexpected keyword argument 'deltta')",
    ),
    (lambda: nn.loss_from_config([]), cr.errors.ModelFileError, "the model has the loss None"),
]


@pytest.mark.parametrize(("call", "error", "text"), ERRORS, ids=[text[:40] for _, _, text in ERRORS])
def test_wrong_use(call, error, text):
    with pytest.raises(error, match=re.escape(text)):
        call()


def test_check_takes_the_whole_target_array_once():
    loss = nn.CrossEntropyLoss()
    loss.check((2, 3), np.array([0, 1, 2, 2, 1]))  # outputs of a batch of 2, targets of 5 samples
    with pytest.raises(cr.errors.ArgumentError, match="the class number 3"):
        loss.check((2, 3), np.array([0, 1, 2, 2, 3]))
    with pytest.raises(cr.errors.ShapeError, match=r"outputs of shape \(2, 1\) and targets of shape \(5,\)"):
        nn.MSELoss().check((2, 1), np.zeros(5))


@pytest.mark.parametrize(
    ("name", "output", "target", "classes"),
    [
        ("CrossEntropyLoss", (4, 3), (4,), True),
        ("CrossEntropyLoss", (4, 3, 2), (4, 2), True),
        ("CrossEntropyLoss", (4, 3), (4, 3), False),
        ("NLLLoss", (4, 3), (4,), True),
        ("MSELoss", (4, 1), (4, 1), False),
        ("BCEWithLogitsLoss", (4,), (4,), False),
    ],
)
def test_which_targets_are_class_numbers(name: str, output: tuple[int, ...], target: tuple[int, ...], classes: bool):
    assert nn.LOSSES[name]().takes_classes(output, target) is classes


def test_threshold_is_where_the_loss_is_undecided():
    """At the threshold an output is as far from both classes."""
    for name, low in [("BCELoss", 0), ("BCEWithLogitsLoss", 0), ("MSELoss", 0), ("HingeLoss", -1)]:
        loss = nn.LOSSES[name]()
        at = np.array([loss.threshold])
        assert loss(at, np.array([float(low)])).item() == pytest.approx(loss(at, np.array([1.0])).item())


@pytest.mark.parametrize("compiled", [False, True])
def test_bce_unlearns_what_is_wrong_with_certainty_as_torch_does(compiled):
    torch = pytest.importorskip("torch", reason="gradients are compared with PyTorch's")
    p, t = np.array([0.0, 1.0, 0.0, 0.0, 1e-300, 0.3]), np.array([1.0, 0.0, 0.3, 0.0, 1.0, 0.7])
    output = torch.tensor(p, requires_grad=True)
    torch.nn.BCELoss(reduction="sum")(output, torch.tensor(t)).backward()

    def gradient(o):
        return cr.grad(nn.BCELoss("sum")(o, t), [o])[0]

    found = (cr.compile(gradient) if compiled else gradient)(cr.tensor(p))
    np.testing.assert_allclose(found.numpy(), output.grad.numpy(), rtol=1e-7)  # PyTorch's 1e-12 is a float32


def test_an_infinite_difference_has_the_slope_of_huber():
    o = cr.tensor([0.0, 5.0, 0.3])
    (gradient,) = cr.grad(nn.HuberLoss("sum")(o, np.array([np.inf, 1.0, 0.0])), [o])
    np.testing.assert_allclose(gradient.numpy(), [-1.0, 1.0, 0.3])
