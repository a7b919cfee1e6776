"""Diagnosing: measure, then let every rule judge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from chainrule.diagnosis.data_rules import RULES as DATA_RULES
from chainrule.diagnosis.findings import Diagnosis, Measured
from chainrule.diagnosis.learning_rules import RULES as LEARNING_RULES
from chainrule.diagnosis.measuring import Measurements
from chainrule.diagnosis.network_rules import RULES as NETWORK_RULES
from chainrule.diagnosis.problem import Problem
from chainrule.diagnosis.remedies import Remedy
from chainrule.diagnosis.rule import Rule, Sign
from chainrule.fitting.history import History
from chainrule.language import Language, index_of
from chainrule.nn import Loss, Module
from chainrule.nn.function_loss import as_loss
from chainrule.nn.losses import trusting
from chainrule.optim import Optimizer

RULES: tuple[Rule, ...] = tuple(sorted((*NETWORK_RULES, *DATA_RULES, *LEARNING_RULES), key=lambda rule: rule.urgency))


def diagnose(
    model: Module,
    loss: Loss,
    X: Any,
    y: Any,
    *,
    optimizer: Optimizer | None = None,
    validation_data: tuple[Any, Any] | None = None,
    history: History | None = None,
    seed: int = 0,
    batch_size: int = 32,
    language: Language = "en",
) -> Diagnosis:
    """Why a network does not learn, in numbers; nothing is found where it learns well.

    The model can be in any state: fresh, half trained, or ruined. One forward and one backward pass over up to 256 samples are
    measured, and short runs are made on copies. Model, optimiser, modes and random stream are left as they are, bit for bit.

    Args:
        model: the network.
        loss: from `chainrule.nn`.
        X: inputs (samples, …), numbers.
        y: targets (samples,) or (samples, …), as the loss takes them.
        optimizer: over the model's parameters; without one its settings are not judged, and short runs use Adam.
        validation_data: (X, y) that the model did not learn from, to see overfitting.
        history: of the training so far, as `Trainer.fit` returns it.
        seed: of the sample and of the short runs.
        batch_size: samples per step of the short runs.
        language: of the findings, "en" or "zh".

    Returns:
        The findings, worst first: what breaks the calculation, then what is asked for, the data, the network, the settings, and
        what comes out. Within a group causes stand before their effects.

    Raises:
        DataError, ShapeError, ArgumentError: data that does not fit, or a language that is not known.
        GradientError: a loss that cannot be differentiated.
    """
    return diagnose_problem(
        Problem(model, as_loss(loss), X, y, optimizer, validation_data, history, batch_size), seed=seed, language=language
    )


def diagnose_problem(problem: Problem, *, seed: int = 0, language: Language = "en") -> Diagnosis:
    """`diagnose` for a `Problem`, such as a remedy returns. Raises as `diagnose` does."""
    index_of(language)
    with trusting("targets", "outputs"):  # outputs that a loss would refuse are among what is found
        measured = Measurements(problem, seed)
        layers = tuple(asdict(numbers) for numbers in measured.layers)
        return Diagnosis(_judged(measured), Measured(layers, measured.loss, measured.expected, len(RULES)), language)


def _judged(measured: Measurements) -> Sequence[tuple[Rule, Sign]]:
    found: list[tuple[Rule, Sign]] = []
    for rule in RULES:
        if not (rule.alone and found):
            found += [(rule, _from_new_weights(measured, sign)) for sign in rule.examine(measured)]
    return found


def _from_new_weights(measured: Measurements, sign: Sign) -> Sign:
    """With new weights where a trained network is to learn from data on another scale, which its own do not fit."""
    actions = [action for action, _ in sign.remedy.changes] if sign.remedy else []
    if sign.remedy is None or not measured.trained or not set(actions) & {"standardise-inputs", "standardise-targets"}:
        return sign
    again = ("reinitialise", {"parameters": measured.initialisers})
    return replace(sign, remedy=Remedy((again, *sign.remedy.changes)))
