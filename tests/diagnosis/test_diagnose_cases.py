"""Every planted ailment is named first, nothing is found in healthy runs, and suggested changes help."""

import json

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="the cases use scikit-learn's data sets")

from bench.diagnosis import error_rate, random_healthy, relative_loss
from bench.diagnosis_cases import AILMENTS, HEALTHY
from bench.diagnosis_trained import AFTER_TRAINING

from chainrule.diagnosis import RULES, diagnose_problem

by_name = pytest.mark.parametrize("case", [*AILMENTS, *AFTER_TRAINING, *HEALTHY], ids=lambda case: case.name)
QUICK = ["NaN in a weight", "vanishing sigmoid stack", "zero initialisation", "dead ReLU: biases of −10", "huge targets",
         "learning rate × 1000", "learning rate ÷ 10000", "softmax before CrossEntropyLoss", "a feature × 1000",
         "weight decay of 1", "rank-collapsed layer", "exploding initialisation"]  # fmt: skip


@by_name
def test_the_first_finding_is_what_was_planted(case):
    diagnosis = diagnose_problem(case.build(1), seed=1)
    assert (diagnosis[0].kind if diagnosis else None) == case.kind
    json.dumps(diagnosis.to_dict(), allow_nan=False)
    for text in (str(diagnosis), str(diagnosis.in_language("zh"))):
        assert text and "{" not in text


def test_every_rule_has_a_planted_case():
    assert {rule.kind for rule in RULES} == {case.kind for case in (*AILMENTS, *AFTER_TRAINING)}


@pytest.mark.parametrize("case", [case for case in AILMENTS if case.name in QUICK], ids=lambda case: case.name)
def test_the_suggested_change_helps(case):
    ill = case.build(0)
    remedy = diagnose_problem(ill)[0].remedy
    assert remedy is not None
    cured = remedy.apply(ill)
    judge = relative_loss if type(cured.loss) is type(ill.loss) else error_rate
    assert judge(cured) < judge(case.build(0))


@pytest.mark.parametrize("seed", range(6))
def test_nothing_is_found_in_random_problems_that_learn(seed):
    found = random_healthy(seed)
    assert relative_loss(found) < 0.6
    assert [f.kind for f in diagnose_problem(random_healthy(seed))] == []


@pytest.mark.parametrize("case", [AILMENTS[2], HEALTHY[-1]], ids=lambda case: case.name)
def test_a_diagnosis_is_the_same_every_time(case):
    first, second = (diagnose_problem(case.build(0)).to_dict() for _ in range(2))
    assert first == second


def test_the_cases_differ_from_seed_to_seed():
    a, b = (np.asarray(HEALTHY[0].build(seed).model.state_dict()["0.weight"]) for seed in (0, 1))
    assert (a != b).any()
