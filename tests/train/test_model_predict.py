"""model.predict(X): outputs in evaluation mode, without a trainer."""

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn

X = np.random.default_rng(0).normal(size=(2500, 3))


def model():
    cr.manual_seed(0)
    return nn.Sequential(
        nn.Linear(3, 5, dtype="float64"), nn.BatchNorm1d(5, dtype="float64"), nn.Dropout(0.5), nn.Linear(5, 2, dtype="float64")
    )


@pytest.mark.parametrize("backend", ["auto", "reference"])
def test_it_is_the_model_in_evaluation_mode(backend):
    m = model()
    draws = cr.random.state.numpy().copy()
    found = m.predict(X, backend=backend)
    assert m.training
    np.testing.assert_array_equal(cr.random.state.numpy(), draws)
    np.testing.assert_allclose(found, m.eval()(X).numpy(), rtol=1e-12)


def test_it_equals_that_of_a_trainer_and_sees_new_weights():
    m = model()
    trainer = cr.Trainer(m, nn.CrossEntropyLoss(), cr.optim.SGD(m.parameters()))
    before = m.predict(X)
    trainer.fit(X, (X[:, 0] > 0).astype(int), epochs=1, progress=False)
    np.testing.assert_array_equal(m.predict(X.tolist()), trainer.predict(X))
    assert not np.array_equal(m.predict(X), before)


def test_data_that_does_not_fit():
    with pytest.raises(cr.errors.DataError, match=r"X holds nan at index \(0, 1\); every value must be finite"):
        model().predict([[1.0, np.nan, 2.0]])
    with pytest.raises(cr.errors.ShapeError, match=r"\(1, 2\)"):
        model().predict([[1.0, 2.0]])
    with pytest.raises(cr.errors.ArgumentError, match="the backend 'gpu' was asked for"):
        model().predict(X, backend="gpu")
