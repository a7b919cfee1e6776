"""What people write first, and what they give by mistake: each is an error of ours that says what to write."""

import io

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.errors import ArgumentError, CallError, ChainruleError, DataError, DTypeError, ShapeError

X, Y = np.ones((4, 3)), np.zeros((4, 2))
IMAGE, KERNEL = np.ones((1, 1, 5, 5)), np.ones((1, 1, 3, 3))
MASKED = np.ma.array([1.0, 2.0], mask=[True, False])
RAGGED = [[1.0, 2.0], [3.0]]


def _model():
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))


def _adam():
    return optim.Adam(_model().parameters())


def _trainer(model=None, loss=None, optimizer=None, **settings):
    model = model or _model()
    return cr.Trainer(model, loss or nn.MSELoss(), optimizer or optim.Adam(model.parameters()), **settings)


def _fit(trainer=None, **settings):
    (trainer or _trainer()).fit(X, Y, epochs=1, progress=False, **settings)


def _torch():
    return pytest.importorskip("torch")


def _w():
    return cr.parameter([1.0, 2.0])


def _compiled():
    return cr.compile(lambda a, b: a + b, backend="reference")


CASES = {
    # models
    "deleting a layer": (lambda: _model().__delitem__(0), CallError, "Write nn.Sequential(*[layer for layer in model if …])."),
    "a layer by name": (lambda: _model()["0"], ArgumentError, "got index='0'; it takes integers"),
    "a layer too far": (lambda: _model()[3], ArgumentError, "it has 3. Count from 0"),
    "adding models": (lambda: _model() + _model(), CallError, "Write nn.Sequential(*first, *second)."),
    "setting no layer": (lambda: _model().__setitem__(0, 3), ArgumentError, "it is made of Modules"),
    "summary without shape": (lambda: cr.summary(_model()), CallError, "it takes model, input_shape"),
    "summary of a number": (lambda: cr.summary(3, (3,)), ArgumentError, "Write cr.summary(model, (3,))."),
    # optimisers
    "rate of a group": (lambda: setattr(_adam().groups[0], "lr", 0.3), ArgumentError, "Write group.lr.assign(0.1)."),
    "group as a dict": (lambda: _adam().groups[0]["lr"], CallError, "Write group.lr"),
    "setting a group as a dict": (lambda: _adam().groups[0].__setitem__("eps", 1), CallError, "Write group.settings['eps']."),
    "clipping a number": (lambda: optim.clip_grad_norm_(3, 1.0), ArgumentError, "Write model.parameters()."),
    "clipping at a text": (lambda: optim.clip_grad_norm_([_w()], "a"), ArgumentError, "max_norm='a'; it must be a number"),
    "schedule of a number": (lambda: optim.Scheduler(3, optim.StepLR(2)), ArgumentError, "it takes an optimiser first"),
    "scheduler of a number": (lambda: optim.Scheduler(_adam(), 3), ArgumentError, "it takes a schedule second"),
    "steps of a schedule": (lambda: optim.StepLR("a"), ArgumentError, "StepLR got step_size='a'; it must be an integer"),
    # trainers
    "optimiser by name": (lambda: _trainer(optimizer="adam"), ArgumentError, "Write optim.Adam(model.parameters())."),
    "class of optimisers": (
        lambda: _trainer(optimizer=optim.Adam),
        ArgumentError,
        "Trainer got the class Adam as its optimizer",
    ),
    "PyTorch's optimiser": (
        lambda: _trainer(optimizer=_torch().optim.Adam([_torch().zeros(1, requires_grad=True)])),
        ArgumentError,
        "Trainer got an Adam of PyTorch as its optimizer",
    ),
    "no model": (lambda: cr.Trainer(None, nn.MSELoss(), _adam()), ArgumentError, "Trainer got None as its model"),
    "PyTorch's loss": (lambda: _trainer(loss=_torch().nn.MSELoss()), ArgumentError, "Write nn.MSELoss()"),
    "loss of one": (lambda: _trainer(loss=lambda a: a), ArgumentError, "Write def f(output, target): …"),
    "metric of one": (lambda: _trainer(metrics=[lambda a: a]), ArgumentError, "Write def f(output, target): …"),
    "metric that gives a text": (
        lambda: _fit(_trainer(metrics=[lambda a, b: "x"])),
        ArgumentError,
        "the metric lambda returned 'x'; it gives a Tensor",
    ),
    "metric that gives nothing": (lambda: _fit(_trainer(metrics=[lambda a, b: None])), ArgumentError, "returned None"),
    "metrics that are none": (lambda: _trainer(metrics=3), ArgumentError, "Write metrics=['accuracy']."),
    "clip_norm": (lambda: _trainer(clip_norm="a"), ArgumentError, "clip_norm='a'; it must be a number"),
    "one callback": (lambda: _fit(callbacks=cr.EarlyStopping()), ArgumentError, "Write callbacks=[cr.EarlyStopping("),
    "callbacks of no kind": (lambda: _fit(callbacks=3), ArgumentError, "fit got 3 in callbacks"),
    "function as callback": (lambda: _fit(callbacks=[lambda e: None]), ArgumentError, "fit got a function in callbacks"),
    "class as callback": (lambda: _fit(callbacks=[cr.EarlyStopping]), ArgumentError, "fit got the class EarlyStopping"),
    "batch_size": (lambda: _fit(batch_size="a"), ArgumentError, "fit got batch_size='a'; it must be an integer ≥ 1"),
    "half a batch_size": (lambda: _fit(batch_size=2.5), ArgumentError, "fit got batch_size=2.5"),
    "monitor first": (lambda: cr.EarlyStopping("val_loss"), ArgumentError, "Write EarlyStopping(5, 'val_loss')."),
    "patience": (lambda: cr.EarlyStopping(patience=2.5), ArgumentError, "patience=2.5; it must be an integer ≥ 1"),
    "min_delta": (lambda: cr.EarlyStopping(min_delta="a"), ArgumentError, "min_delta='a'; it must be a number"),
    "monitor": (lambda: cr.EarlyStopping(monitor=3), ArgumentError, "Write monitor='val_loss'."),
    "averaging": (lambda: cr.WeightAveraging("a"), ArgumentError, "after='a'; it must be an integer ≥ 0"),
    "learning rate": (lambda: cr.LearningRate(0.1), ArgumentError, "Write cr.LearningRate(optim.StepLR(step_size=10))."),
    # states and files
    "no state": (lambda: _model().load_state_dict(None), ArgumentError, "load_state_dict got None"),
    "ragged state": (lambda: _model().load_state_dict({"0.weight": RAGGED}, strict=False), ShapeError, "rows of one length"),
    "no state of an optimiser": (lambda: _adam().load_state_dict(None), ArgumentError, "load_state_dict got None"),
    "ragged state of an optimiser": (
        lambda: _adam().load_state_dict(dict.fromkeys(_adam().state_dict(), RAGGED)),
        ShapeError,
        "rows of one length",
    ),
    "no path": (lambda: cr.save_model(_model(), None), ArgumentError, "the file to write is None"),
    "open file": (lambda: cr.save_model(_model(), io.StringIO()), ArgumentError, "the file to write is a StringIO"),
    "model that is none": (lambda: cr.save_model(3, "m"), ArgumentError, "Write cr.save_model(model, path)."),
    "loading nothing": (lambda: cr.load_model(None), ArgumentError, "the file to read is None"),
    "loading an open file": (lambda: cr.load_model(io.StringIO()), ArgumentError, "the file to read is a StringIO"),
    "checkpoint": (lambda: cr.Checkpoint(5), ArgumentError, "the path of a Checkpoint is 5"),
    "every": (lambda: cr.Checkpoint("c", "a"), ArgumentError, "every='a'; it must be an integer ≥ 1"),
    "log": (lambda: cr.CSVLog(None), ArgumentError, "the path of a CSVLog is None"),
    # Tensors
    "PyTorch's parameter": (
        lambda: cr.tensor(_torch().ones(3, requires_grad=True)),
        ArgumentError,
        "Write cr.tensor(x.detach().cpu())",
    ),
    "shape of a Tensor of a list": (lambda: cr.Tensor([1.0]).shape, ArgumentError, "Write cr.tensor(data)."),
    "sum of a Tensor of an array": (lambda: cr.Tensor(np.ones(2)) + 1.0, ArgumentError, "Write cr.tensor(data)."),
    "printed Tensor of a list": (lambda: repr(cr.Tensor([1.0])), ArgumentError, "Tensor got a list; it stands for a node"),
    "no DLPack": (lambda: cr.from_dlpack(3), ArgumentError, "cr.tensor(data) for what has no DLPack"),
    "masked": (lambda: cr.tensor(MASKED), ArgumentError, "Fill them, array.filled(value)"),
    "masked operand": (lambda: _w() + MASKED, ArgumentError, "Fill them, array.filled(value)"),
    "requires_grad": (lambda: setattr(_w(), "requires_grad", "a"), ArgumentError, "it is True or False"),
    "grad": (lambda: setattr(_w(), "grad", "a"), ArgumentError, "grad was set to 'a'"),
    "grad of another shape": (lambda: setattr(_w(), "grad", cr.tensor([1.0])), ArgumentError, "a Tensor of shape (2,)"),
    # functions
    "grad of a number": (lambda: cr.grad(1.0, [_w()]), ArgumentError, "grad got 1.0 to differentiate"),
    "grad of a function": (lambda: cr.grad(lambda x: x, [_w()]), ArgumentError, "cr.value_and_grad(f)(w) for a function"),
    "grad by a number": (lambda: cr.grad(_w().sum(), [1.0]), ArgumentError, "Write cr.grad(E, [w])."),
    "grad by nothing": (lambda: cr.grad(_w().sum(), None), ArgumentError, "Write cr.grad(E, [w])."),
    "jacobian of a Tensor": (lambda: cr.jacobian(_w(), _w()), ArgumentError, "Write cr.jacobian(f, x)."),
    "jacobian of a constant": (lambda: cr.jacobian(lambda x: 3, _w()), ArgumentError, "the function returned 3"),
    "hessian of a Tensor": (lambda: cr.hessian(_w(), _w()), ArgumentError, "Write cr.hessian(f, x)."),
    "value_and_grad of a number": (lambda: cr.value_and_grad(3), ArgumentError, "Write cr.value_and_grad(f)(x)."),
    "value_and_grad of too much": (lambda: cr.value_and_grad(lambda x: x)(1.0, 2.0), CallError, "it takes x"),
    "compiling nothing": (lambda: cr.compile(), CallError, "it takes function, backend, threads"),  # noqa: PLW0108 -- the call
    "compiling a number": (lambda: cr.compile(3), ArgumentError, "Write cr.compile(f)"),
    "compiled with too little": (lambda: _compiled()([1.0]), CallError, "missing a required argument: 'b'"),
    "compiled with too much": (lambda: _compiled()([1.0], [1.0], [1.0]), CallError, "it takes a, b"),
    "full of text": (lambda: cr.full((2,), "a"), ArgumentError, "full((2,), 'a') cannot be made"),
    "full of nothing": (lambda: cr.full((2,), None), ArgumentError, "Write 0.0, or float('nan')."),
    "arange without a step": (lambda: cr.arange(0, 3, 0), ArgumentError, "the step not 0"),
    "arange to a text": (lambda: cr.arange("a"), ArgumentError, "start, stop and step are numbers"),
    "arange to nothing": (lambda: cr.arange(None), ArgumentError, "start, stop and step are numbers"),
    "linspace of fewer than none": (lambda: cr.linspace(0, 1, -1), ArgumentError, "count=-1; it must be an integer ≥ 0"),
    "linspace of a half": (lambda: cr.linspace(0, 1, 2.5), ArgumentError, "count=2.5"),
    "linspace from a text": (lambda: cr.linspace("a", 1), ArgumentError, "start and stop are numbers"),
    "negative eye": (lambda: cr.eye(-1), ShapeError, "no size may be negative"),
    "half an eye": (lambda: cr.eye(2.5), ArgumentError, "eye got shape=2.5"),
    "stack of a number": (lambda: cr.stack(5), ArgumentError, "Write cr.stack([x, y])."),
    "concatenate a number": (lambda: cr.concatenate(5), ArgumentError, "Write cr.concatenate([x, y])."),
    "conv2d that crops": (lambda: cr.conv2d(IMAGE, KERNEL, padding=-1), ArgumentError, "it takes one integer ≥ 0"),
    "conv2d that crops a side": (lambda: cr.conv2d(IMAGE, KERNEL, padding=((-1, 0), 0)), ArgumentError, "one integer ≥ 0"),
    "layer that crops": (lambda: nn.Conv2d(1, 1, 3, padding=-1), ArgumentError, "Conv2d got padding=-1"),
    "ignore_index": (lambda: nn.CrossEntropyLoss(ignore_index="a"), ArgumentError, "ignore_index='a'; it must be an integer"),
    "ignore_index of distributions": (
        lambda: nn.CrossEntropyLoss(ignore_index=1)(Y, np.full((4, 2), 0.5)),
        ArgumentError,
        "Give class numbers, or leave out ignore_index",
    ),
}


ITSELF: list = [1.0]
ITSELF.append(ITSELF)
TWICE: list = []
TWICE += [TWICE, TWICE]
DEEP: list = [1.0]
for _ in range(3000):
    DEEP = [DEEP]


def _returns_itself(x):
    found = {"x": x, "all": []}
    found["all"].append(found)
    return found


CASES |= {
    "list in itself": (lambda: cr.tensor(ITSELF), ArgumentError, "nested data holds a list that contains itself"),
    "list in itself twice": (lambda: cr.tensor(TWICE), ArgumentError, "contains itself; its parts have no end"),
    "list in itself as parameter": (lambda: cr.parameter(ITSELF), ArgumentError, "contains itself"),
    "list in itself assigned": (lambda: _w().assign(ITSELF), ArgumentError, "contains itself"),
    "list in itself as operand": (lambda: _w() + ITSELF, ArgumentError, "contains itself"),
    "list in itself of NumPy": (lambda: np.stack([_w(), ITSELF]), ArgumentError, "contains itself"),
    "list in itself as argument": (lambda: _compiled()(ITSELF, ITSELF), ArgumentError, "contains itself"),
    "list in itself as weights": (lambda: nn.MSELoss()(Y, Y, ITSELF), ArgumentError, "contains itself"),
    "list in itself in a formula": (lambda: cr.expression("w*2", w=ITSELF), ArgumentError, "contains itself"),
    "list in itself as column": (
        lambda: cr.data.Table.from_columns({"a": ITSELF}),
        DataError,
        "column 'a' of the table could not become an array",
    ),
    "list in itself as shape": (lambda: _w().reshape(ITSELF), ArgumentError, "it takes integers here"),
    "list in itself as axis": (lambda: _w().sum(axis=ITSELF), ArgumentError, "it takes integers here"),
    "ragged shape": (lambda: _w().reshape(RAGGED), ArgumentError, "it takes integers here"),
    "dict in itself as result": (
        lambda: cr.compile(_returns_itself)([1.0]),
        ArgumentError,
        "the result of a compiled function holds a dict that contains itself",
    ),
    "list that is deeper than Python": (lambda: cr.tensor(DEEP), DTypeError, "list data could not become an array"),
}


@pytest.mark.parametrize(("call", "error", "text"), CASES.values(), ids=CASES)
def test_first_tries_and_mistakes_say_what_to_write(call, error, text):
    with pytest.raises(error) as caught:
        call()
    assert isinstance(caught.value, ChainruleError)
    assert text in str(caught.value)


def test_a_layer_can_be_put_in_the_place_of_another():
    model = _model()
    model[-2] = nn.Tanh()
    assert [type(layer).__name__ for layer in model] == ["Linear", "Tanh", "Linear"]
    assert list(model.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]


def test_a_summary_takes_a_single_size():
    assert cr.summary(_model(), 3).rows == cr.summary(_model(), (3,)).rows


def test_a_masked_array_without_gaps_is_an_array():
    assert cr.tensor(np.ma.array([1.0, 2.0])).tolist() == [1.0, 2.0]
