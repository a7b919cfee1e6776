"""What eager code refuses because of values, compiled code refuses with the same words, and leaves its state as it was."""

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.errors import ArgumentError

BACKENDS = ("reference", "native")
SCORES = np.random.default_rng(0).normal(size=(4, 3))
HALF, LABELS = np.full((4, 3), 0.5), np.array([0, 1, 2, 1])

# What is called, what it takes, and what it does not.
REFUSED = {
    "class too large": (nn.CrossEntropyLoss(), (SCORES, LABELS), (SCORES, LABELS + 1)),
    "class negative": (nn.CrossEntropyLoss(), (SCORES, LABELS), (SCORES, LABELS - 1)),
    "class -100": (nn.CrossEntropyLoss(), (SCORES, LABELS), (SCORES, np.where(LABELS == 1, -100, LABELS))),
    "class beside an ignored one": (
        nn.CrossEntropyLoss(ignore_index=-100),
        (SCORES, np.array([0, -100, 2, 1])),
        (SCORES, np.array([0, -100, 3, 1])),
    ),
    "class of 32 bits": (nn.CrossEntropyLoss(), (SCORES, LABELS.astype("int32")), (SCORES, LABELS.astype("int32") + 1)),
    "class of 8 bits": (nn.CrossEntropyLoss(), (SCORES, LABELS.astype("uint8")), (SCORES, LABELS.astype("uint8") + 1)),
    "class per pixel": (
        nn.CrossEntropyLoss(weight=[1.0, 2.0, 3.0], label_smoothing=0.1),
        (np.zeros((1, 3, 2, 2)), np.array([[[0, 1], [2, 0]]])),
        (np.zeros((1, 3, 2, 2)), np.array([[[0, 1], [3, 0]]])),
    ),
    "distribution": (nn.CrossEntropyLoss(), (SCORES, HALF), (SCORES, HALF * 3)),
    "class of log-probabilities": (nn.NLLLoss(), (SCORES, LABELS), (SCORES, LABELS + 1)),
    "class of log-probabilities from the end": (nn.NLLLoss(), (SCORES, LABELS), (SCORES, LABELS - 1)),
    "class of log-probabilities beside an ignored one": (
        nn.NLLLoss(ignore_index=7),
        (SCORES, np.array([0, 7, 2, 1])),
        (SCORES, np.array([0, 8, 2, 1])),
    ),
    "output of BCELoss": (nn.BCELoss(), (HALF, HALF), (HALF * 3, HALF)),
    "negative output of BCELoss": (nn.BCELoss(), (HALF, HALF), (HALF - 1, HALF)),
    "output of BCELoss that is no number": (nn.BCELoss(), (HALF, HALF), (HALF * np.nan, HALF)),
    "float32 output of BCELoss": (nn.BCELoss(), (HALF.astype("float32"), HALF), (HALF.astype("float32") * 3, HALF)),
    "target of BCELoss": (nn.BCELoss(), (HALF, HALF), (HALF, HALF * 3)),
    "whole target of BCELoss": (nn.BCELoss(), (HALF, np.eye(4, 3, dtype=int)), (HALF, np.eye(4, 3, dtype=int) * 2)),
    "target of BCEWithLogitsLoss": (nn.BCEWithLogitsLoss(pos_weight=2.0), (SCORES, HALF), (SCORES, -HALF)),
    "target of HingeLoss": (nn.HingeLoss(), (SCORES, np.sign(SCORES)), (SCORES, np.eye(4, 3))),
    "target of KLDivLoss": (nn.KLDivLoss(), (SCORES, HALF), (SCORES, HALF * 4)),
    "log-target of KLDivLoss": (nn.KLDivLoss(log_target=True), (SCORES, np.full((4, 3), -np.inf)), (SCORES, HALF)),
    "one_hot": (lambda x, i: cr.one_hot(i, 3) * x, (SCORES, LABELS), (SCORES, LABELS + 1)),
    "one_hot of a negative number": (lambda x, i: cr.one_hot(i, 3) * x, (SCORES, LABELS), (SCORES, LABELS - 1)),
    "embedding": (lambda x, i: cr.embedding(i, x), (SCORES, LABELS), (SCORES, LABELS + 2)),
    "gather": (cr.gather, (SCORES, LABELS), (SCORES, LABELS - 5)),
    "index": (lambda x, i: x[:, i], (SCORES, LABELS), (SCORES, LABELS + 1)),
}  # fmt: skip


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("case", REFUSED)
def test_compiled_code_refuses_what_eager_code_refuses(case, backend):
    function, taken, refused = REFUSED[case]
    count, w = cr.tensor(0), cr.parameter(1.0)

    def step(x, target):
        count.assign(count + 1)
        w.grad = None
        value = function(x * w.astype(x.dtype), target)
        value.sum().backward()
        with cr.no_grad():
            w.assign(w - 0.0 * w.grad)
        return value

    with pytest.raises(ArgumentError) as eager:
        function(cr.tensor(refused[0]), cr.tensor(refused[1]))
    compiled = cr.compile(step, backend=backend)
    for _ in range(2):  # a refusal is no reason not to go on
        np.testing.assert_allclose(compiled(*taken).numpy(), function(*map(cr.tensor, taken)).numpy(), rtol=1e-6)
        before = count.item()
        with pytest.raises(ArgumentError) as found:
            compiled(*refused)
        assert str(found.value) == str(eager.value)
        assert count.item() == before


@pytest.mark.parametrize("backend", BACKENDS)
def test_only_an_update_needs_the_value_that_is_refused(backend):
    w = cr.parameter([0.1, 0.2, 0.3])
    optimizer = optim.SGD([w], lr=0.1)

    def step(labels):
        optimizer.zero_grad()
        nn.CrossEntropyLoss()(w.reshape(1, 3), labels).backward()
        optimizer.step()

    compiled = cr.compile(step, backend=backend)
    compiled(np.array([1]))
    before = w.tolist()
    with pytest.raises(ArgumentError, match="got the class number 3 for outputs with 3 classes"):
        compiled(np.array([3]))
    assert w.tolist() == before


def test_a_training_step_does_not_look_at_targets_again():
    """The trainer has checked the whole target array; outputs that may be outside are looked at in every step."""
    X, y = np.random.default_rng(0).normal(size=(8, 3)), np.arange(8) % 2

    def ops_of(loss, *ending):
        model = nn.Sequential(nn.Linear(3, 2), *ending)
        trainer = cr.Trainer(model, loss, optim.SGD(model.parameters(), lr=0.1))
        targets = y if isinstance(loss, nn.CrossEntropyLoss) else np.eye(2)[y]
        data = trainer._data(X, targets)
        return {node.op for node in trainer._steps.capture_step(data, 8, 1).graph.nodes()}

    assert "require" not in ops_of(nn.CrossEntropyLoss())
    assert "require" not in ops_of(nn.BCEWithLogitsLoss())
    assert "require" not in ops_of(nn.BCELoss(), nn.Sigmoid())
    assert "require" in ops_of(nn.BCELoss())


@pytest.mark.parametrize("backend", BACKENDS)
def test_fit_refuses_outputs_that_are_no_probabilities(backend):
    model = nn.Sequential(nn.Linear(1, 1, init=1.0, bias_init=0.0))
    trainer = cr.Trainer(model, nn.BCELoss(), optim.SGD(model.parameters(), lr=0.1), backend=backend)
    with pytest.raises(ArgumentError, match=r"BCELoss got outputs such as 2; they must be from 0 to 1\. Put nn\.Sigmoid"):
        trainer.fit([[0.5], [2.0]], [0.0, 1.0], progress=False)
    assert model[0].weight.item() == 1.0
