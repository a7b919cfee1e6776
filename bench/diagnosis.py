"""How well `diagnose` names what is wrong: planted ailments, and healthy runs in which nothing is, before and after training.

    python -m bench.diagnosis [--seeds 3] [--trained-seeds 1] [--drawn 100] [--only TEXT]

Each planted case is a problem that would learn well, made ill in one way, and diagnosed at its start or after it was trained.
Healthy networks are those of a table, fresh, and trained ones: every built-in set with a dozen architectures. Counted is how
often the first finding names that ailment, on how many healthy problems anything is found, and whether the suggested change,
applied, helps: whether after the same number of steps the loss is lower, in units of the best constant prediction's loss, so
that other targets can be compared (the error rate, where the loss itself is changed). Cases drawn at random, on which no
threshold was chosen, are counted apart. The figures go to `bench/results/diagnosis.json`.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import chainrule as cr
from bench.diagnosis_cases import AILMENTS, HEALTHY, Case, changed, constant_column, data, fill, mlp, scaled_column, shuffled
from bench.diagnosis_trained import AFTER_TRAINING, TRAINED, NotLearntError
from chainrule import nn, optim
from chainrule.diagnosis import Problem, diagnose_problem
from chainrule.fitting.metrics import is_right
from chainrule.train import Trainer

STEPS = 60


# -------------------------------------------------------------------------------------------- drawn at random
SETS = ("iris", "wine", "digits", "breast_cancer", "diabetes", "moons", "circles", "quadrants", "gaussians")


def random_healthy(seed: int) -> Problem:
    """A problem with a random set, architecture, optimiser and usual rate, the first from this seed on that learns well."""
    for attempt in range(100):
        rng = np.random.default_rng([seed, attempt])
        draw = [int(n) for n in rng.integers(0, 2**31, 2)]
        if relative_loss(_random_problem(np.random.default_rng(draw))) < 0.6:
            return _random_problem(np.random.default_rng(draw))
    raise RuntimeError("no random problem learnt well")


def _random_problem(rng: np.random.Generator) -> Problem:
    name, seed = str(rng.choice(SETS)), int(rng.integers(1000))
    X, y = data(name, seed)
    outputs = 1 if y.dtype.kind == "f" else int(y.max()) + 1
    loss: nn.Loss = nn.MSELoss() if outputs == 1 else nn.CrossEntropyLoss()
    if outputs == 2 and rng.random() < 0.5:
        outputs, loss = 1, nn.BCEWithLogitsLoss()
    hidden = [int(rng.choice([12, 24, 48])) for _ in range(rng.integers(1, 4))]
    activation = [nn.ReLU, nn.Tanh, nn.GELU, nn.ELU][rng.integers(4)]
    init = [None, "he_normal", "xavier_uniform"][rng.integers(3)]
    model = mlp([X.shape[1], *hidden, outputs], activation, seed, init=init)
    rule, low, high = [
        (optim.SGD, 0.02, 0.2),
        (optim.Adam, 1e-3, 2e-2),
        (optim.AdamW, 1e-3, 2e-2),
        (optim.RMSprop, 1e-3, 1e-2),
    ][rng.integers(4)]
    rate = float(np.exp(rng.uniform(np.log(low), np.log(high))))
    return Problem(model, loss, X, y, rule(model.parameters(), lr=rate), batch_size=int(rng.choice([16, 32, 64])))


def _rate_times(factor: float) -> Callable[[Problem], Problem]:
    def change(found: Problem) -> Problem:
        assert found.optimizer is not None
        found.optimizer.lr *= factor
        return found

    return change


def _first_weight_nan(found: Problem) -> Problem:
    W = np.array(found.model.state_dict()["0.weight"])
    W[0, 0] = np.nan
    return fill(found, p0_weight=W)


def _all_zero(found: Problem) -> Problem:
    return fill(found, **{f"p{name.replace('.', '_')}": 0 for name, _ in found.model.named_parameters()})


def _all_equal(found: Problem) -> Problem:
    return fill(found, **{f"p{name.replace('.', '_')}": 0.1 for name, _ in found.model.named_parameters()})


PLANTS: tuple[tuple[str, Callable[[Problem], Problem]], ...] = (
    ("learning-rate-too-high", _rate_times(1000.0)),
    ("learning-rate-too-low", _rate_times(1e-4)),
    ("unscaled-inputs", lambda p: changed(p, X=scaled_column(1, 1000.0))),
    ("constant-feature", lambda p: changed(p, X=constant_column(0, 30.0))),
    ("unrelated-labels", lambda p: changed(p, y=shuffled(1))),
    ("symmetric-units", _all_equal),
    ("zero-initialisation", _all_zero),
    ("non-finite-parameter", _first_weight_nan),
)


def harmed(plant: Callable[[Problem], Problem], seed: int) -> Problem:
    """A random problem with the ailment, the first from this seed on that it really harms: a network may learn at any rate."""
    for offset in range(0, 100_000, 1000):
        if relative_loss(plant(random_healthy(seed + offset))) > relative_loss(random_healthy(seed + offset)) + 0.05:
            return plant(random_healthy(seed + offset))
    raise RuntimeError("the ailment harms no problem")


def drawn_cases(count: int) -> tuple[list[Case], list[Case]]:
    """As many random problems with one ailment each, and random healthy ones."""
    ill = []
    for k in range(count):
        kind, plant = PLANTS[k % len(PLANTS)]
        ill.append(Case(f"random {k}", kind, lambda s, k=k, plant=plant: harmed(plant, 700_000 + k)))
    return ill, [Case(f"random {k}", None, lambda s, k=k: random_healthy(300_000 + k)) for k in range(count)]


# -------------------------------------------------------------------------------------------- measuring
def after_training(found: Problem) -> Trainer | None:
    """The problem trained for `STEPS` steps; None if the loss became infinite."""
    trainer = Trainer(found.model, found.loss, found.optimizer or optim.Adam(found.model.parameters()), backend="reference")
    epochs = max(1, round(STEPS * found.batch_size / len(found.X)))
    try:
        trainer.fit(found.X, found.y, epochs=epochs, batch_size=found.batch_size, progress=False)
    except cr.errors.TrainingError:
        return None
    return trainer


def relative_loss(found: Problem) -> float:
    """The loss after training, by that of the best constant prediction."""
    trainer = after_training(found)
    if trainer is None:
        return float("inf")
    output = trainer.predict(found.X)
    y = np.asarray(found.y).reshape(output.shape) if np.size(found.y) == output.size else np.asarray(found.y)
    expected = found.loss.untrained(output.shape, y)
    return trainer.evaluate(found.X, found.y)["loss"] / expected.constant if expected else float("inf")


def error_rate(found: Problem) -> float:
    """The share of samples that are given the wrong class after training."""
    trainer = after_training(found)
    if trainer is None:
        return 1.0
    output, y = trainer.predict(found.X), np.asarray(found.y)
    right = is_right(cr.tensor(output), cr.tensor(y if y.ndim > 1 or output.shape[1] > 1 else y[:, None]), found.loss)
    return 1.0 - float(right.numpy().mean())


def helps(case: Case, seed: int) -> tuple[str, float, float] | None:
    """What is compared, and its value without and with the suggested change; None where there is none to make.

    It is the relative loss, or the error rate where the change is one of the loss.
    """
    ill = case.build(seed)
    diagnosis = diagnose_problem(ill, seed=seed)
    if not diagnosis or diagnosis[0].remedy is None:
        return None
    cured = diagnosis[0].remedy.apply(ill)
    other_loss = type(cured.loss) is not type(ill.loss)
    measure = error_rate if other_loss else relative_loss
    return "error rate" if other_loss else "relative loss", measure(case.build(seed)), measure(cured)


def measure(case: Case, seed: int) -> dict[str, Any]:
    found = case.build(seed)
    start = time.perf_counter()
    diagnosis = diagnose_problem(found, seed=seed)
    seconds = time.perf_counter() - start
    kinds = [finding.kind for finding in diagnosis]
    right = (kinds[0] if kinds else None) == case.kind
    return {"seed": seed, "right": right, "found": kinds, "seconds": round(seconds, 3)}


def report(cases: Sequence[Case], seeds: int, *, remedies: bool) -> list[dict[str, Any]]:
    rows = []
    for case in cases:
        try:
            runs = [measure(case, seed) for seed in range(seeds)]
        except NotLearntError:
            print(f"left out: {case.name}", flush=True)
            continue
        right = sum(run["right"] for run in runs)
        row: dict[str, Any] = {"case": case.name, "planted": case.kind, "right": right, "of": seeds, "runs": runs}
        found = "; ".join(", ".join(run["found"][:3]) or "-" for run in runs)
        text = f"{right}/{seeds}  {case.name:<42} {case.kind or '-':<24} {found}"
        if remedies and (effect := helps(case, 0)):
            row["compared"], row["without"], row["with"] = effect
            row["helps"] = row["with"] < row["without"]
            verdict = "" if row["helps"] else "  DOES NOT HELP"
            text += f"  | {effect[0]}: {effect[1]:.3g} → {effect[2]:.3g}{verdict}"
        print(text, f"({max(run['seconds'] for run in runs):.2f} s)", flush=True)
        rows.append(row)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--trained-seeds", type=int, default=1, help="seeds of the trained healthy networks")
    parser.add_argument("--drawn", type=int, default=100, help="random healthy problems, and as many random ailments")
    parser.add_argument("--only", default="", help="cases whose name has this in it")
    options = parser.parse_args()
    ill, later, well, trained_well = (
        report([case for case in table if options.only in case.name], seeds, remedies=table in (AILMENTS, AFTER_TRAINING))
        for table, seeds in (
            (AILMENTS, options.seeds),
            (AFTER_TRAINING, options.seeds),
            (HEALTHY, options.seeds),
            (TRAINED, options.trained_seeds),
        )
    )
    drawn_ill, drawn_well = (report(cases, 1, remedies=False) for cases in drawn_cases(options.drawn))
    changes = [row for row in [*ill, *later] if "helps" in row]
    result = {
        "ailments": len(ill),
        "named_first": sum(row["right"] for row in ill),
        "of": options.seeds * len(ill),
        "ailments_after_training": len(later),
        "after_training_named_first": sum(row["right"] for row in later),
        "after_training_of": options.seeds * len(later),
        "healthy": len(well),
        "false_alarms": options.seeds * len(well) - sum(row["right"] for row in well),
        "healthy_trained": len(trained_well),
        "healthy_trained_runs": options.trained_seeds * len(trained_well),
        "healthy_trained_false_alarms": options.trained_seeds * len(trained_well) - sum(row["right"] for row in trained_well),
        "drawn_ailments": len(drawn_ill),
        "drawn_named_first": sum(row["right"] for row in drawn_ill),
        "drawn_healthy": len(drawn_well),
        "drawn_false_alarms": sum(not row["right"] for row in drawn_well),
        "changes": len(changes),
        "changes_that_help": sum(row["helps"] for row in changes),
        "slowest_seconds": max(
            (run["seconds"] for row in [*ill, *later, *well, *trained_well] for run in row["runs"]), default=0.0
        ),
    }
    print(json.dumps(result, indent=2))
    if not options.only:
        target = Path(__file__).parent / "results" / "diagnosis.json"
        target.parent.mkdir(exist_ok=True)
        full = {**result, "cases": [*ill, *later, *well, *trained_well], "drawn": [*drawn_ill, *drawn_well]}
        target.write_text(json.dumps(full, indent=1, ensure_ascii=False).replace("Infinity", '"inf"') + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
