"""The debug mode: the code of everything stays inside its buffers, at run time; and an access outside is found."""

import numpy as np
import pytest
from comparing import assert_same_run, held_by, in_groups, of_primitives
from test_threads import CONVOLUTIONAL, DENSE, training_step

from chainrule import ir, ops
from chainrule.backends.native import NATIVE, compiler
from chainrule.backends.native.code import object_code
from chainrule.backends.native.plan import lower
from chainrule.errors import ArgumentError, GraphError


@pytest.fixture(autouse=True)
def watched(monkeypatch):
    monkeypatch.setenv("CHAINRULE_CHECK_BOUNDS", "1")
    monkeypatch.setattr(object_code, "_SMALL", 0)  # LLVM's few passes: what is emitted is watched


@pytest.mark.parametrize("names", in_groups(ops.PRIMITIVES, 10), ids=", ".join)
def test_every_primitive(names):
    assert_same_run(*of_primitives(names, range(3)))


@pytest.mark.parametrize("threads", ["1", "3"])
@pytest.mark.parametrize(("layers", "features"), [(DENSE, (70,)), (CONVOLUTIONAL, (3, 10, 10))], ids=["dense", "convolutional"])
def test_training_steps(layers, features, threads, level, monkeypatch):
    monkeypatch.setenv("CHAINRULE_THREADS", threads)
    monkeypatch.setattr(lower, "_WORTH_SHARING", 0)
    monkeypatch.setattr(lower, "_WORTH_THREADS", 0)
    found = training_step(layers, features)
    rng = np.random.default_rng(0)
    tables = [rng.normal(size=(40, *features)).astype(np.float32), rng.integers(0, 4, 40)]
    (losses,) = NATIVE.compile(found.graph).run_steps(tables, rng.integers(0, 40, (4, 13)), [], held_by(found))
    assert np.isfinite(losses).all()


@pytest.mark.parametrize("written", [False, True], ids=["read", "written"])
def test_an_access_outside_is_found_and_does_no_harm(written, monkeypatch):
    """A plan whose buffers claim to be shorter than what their kernel reads or writes."""

    def shrunken(*arguments, **settings):
        plan = lower.lower(*arguments, **settings)
        for step in plan.calls:
            step.buffers[-1 if written else 0].size -= 1
        return plan

    monkeypatch.setattr(compiler, "lower", shrunken)
    x = ir.placeholder("input", (37,), np.float64)
    compiled = NATIVE.compile(ir.Graph((x,), (ops.lookup("exp")(x),)))
    with pytest.raises(GraphError, match=r"exp reaches outside its buffers: this is a defect of chainrule"):
        compiled.run([np.zeros(37)], [])


def test_a_wrong_setting(monkeypatch):
    monkeypatch.setenv("CHAINRULE_CHECK_BOUNDS", "yes")
    x = ir.placeholder("input", (3,), np.float64)
    with pytest.raises(ArgumentError, match=r"CHAINRULE_CHECK_BOUNDS is 'yes'; it is 0 or 1\. Unset it, or set it to 1"):
        NATIVE.compile(ir.Graph((x,), (x + 1.0,)))
