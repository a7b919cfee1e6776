"""How good `chainrule train` is with no options, next to scikit-learn's MLP with a scaled pipeline.

    python -m bench.accuracy

Repeated 5-fold cross-validation with the same folds and the same columns for all. The score is accuracy for classes and
R² for numbers. scikit-learn runs with its defaults, with max_iter=1000, and for numbers also with a standardised target.
A difference is paired: ours minus theirs, fold by fold, against each of theirs. Writes `bench/results/accuracy.json`,
without the seconds of a fit: `bench.wall` measures those with care.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.metrics import log_loss, r2_score
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from bench.environment import machine
from chainrule.data import FeatureEncoder, Table, TargetEncoder, read_table
from chainrule.data.builtin_sets import TARGET, builtin
from chainrule.ir import Array
from chainrule.job import PreparedData, train
from chainrule.job.config import Config

TITANIC = Path(__file__).resolve().parents[2] / "shared" / "data" / "titanic" / "titanic.csv"
RESULTS = Path(__file__).with_name("results") / "accuracy.json"
SETS = ("iris", "wine", "digits", "breast_cancer", "diabetes", "titanic")
OURS = "chainrule"
DIFFERENCES = {"score": "ours − this, score", "log_loss": "ours − this, log loss"}

Scores = dict[str, float]  # of one fit: score, log_loss (for classes), seconds
Runs = dict[str, list[Scores]]  # by method, one entry per repeat and fold
Summary = dict[str, dict[str, tuple[float, float]]]  # by method and measure: mean and standard error over repeats and folds


@dataclass(frozen=True)
class Task:
    """A table, the column to predict, and both as scikit-learn takes them.

    Attributes:
        X: float64 (n, columns): numbers, or codes of words; NaN where missing. The columns that chainrule uses.
        y: (n,) class indices or numbers.
        words: which columns of X hold codes.
        regression: whether y holds numbers.
    """

    table: Table
    target: str
    X: Array
    y: Array
    words: list[int]
    regression: bool

    @staticmethod
    def load(name: str, titanic: Path = TITANIC) -> Task:
        """The set called `name`, one of SETS; `titanic` is the file of that one."""
        table, target = (read_table(titanic), "Survived") if name == "titanic" else (builtin(name).to_table(), TARGET)
        encoder = TargetEncoder.fit(table[target])
        regression = encoder.task == "regression"
        columns = [table[name] for name in FeatureEncoder.fit(table, target).kinds]
        X = np.stack([np.where(column.missing, np.nan, column.values) for column in columns], axis=1)
        y = table[target].values if regression else encoder.encode(table[target])
        words = [n for n, column in enumerate(columns) if column.categories is not None]
        return Task(table, target, X, y, words, regression)

    def folds(self, repeat: int) -> Iterator[tuple[Array, Array]]:
        """Rows to train on and to hold out, five times; the shares of the classes are kept."""
        kind = KFold if self.regression else StratifiedKFold
        yield from kind(5, shuffle=True, random_state=repeat).split(self.X, self.y)


def ours(task: Task, fold: tuple[Array, Array], repeat: int) -> Scores:
    """What `chainrule train` does, but for the choice of the held-out rows."""
    config = Config(seed=repeat)
    started = time.perf_counter()
    # The rows that are judged must choose nothing: `chainrule train` may go back to the epoch that is best on held-out rows.
    problem = replace(PreparedData.of(task.table, replace(config, target=task.target), split=fold), held_out=False)
    metrics = train(problem, config).metrics
    seconds = time.perf_counter() - started
    if task.regression:
        return {"score": metrics["r2"], "seconds": seconds}
    return {"score": metrics["accuracy"], "log_loss": metrics["log_loss"], "seconds": seconds}


def theirs(task: Task, fold: tuple[Array, Array], repeat: int, *, scale_target: bool = False, **settings: Any) -> Scores:
    """scikit-learn's MLP after scaling; missing values imputed, words one-hot."""
    rows, held = fold
    numbers = [n for n in range(task.X.shape[1]) if n not in task.words]
    scale = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    encode = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore"))
    prepare = ColumnTransformer([("numbers", scale, numbers), ("words", encode, task.words)])
    network = (MLPRegressor if task.regression else MLPClassifier)(random_state=repeat, **settings)
    if scale_target:
        network = TransformedTargetRegressor(network, transformer=StandardScaler())
    model = make_pipeline(prepare, network)
    started = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(task.X[rows], task.y[rows])
    seconds = time.perf_counter() - started
    if task.regression:
        return {"score": r2_score(task.y[held], model.predict(task.X[held])), "seconds": seconds}
    probabilities = model.predict_proba(task.X[held])
    accuracy = float(np.mean(probabilities.argmax(axis=1) == task.y[held]))
    return {"score": accuracy, "log_loss": log_loss(task.y[held], probabilities), "seconds": seconds}


def methods(regression: bool) -> dict[str, Callable[[Task, tuple[Array, Array], int], Scores]]:
    """What is compared, by name."""

    def peer(**settings: Any) -> Callable[[Task, tuple[Array, Array], int], Scores]:
        return lambda task, fold, repeat: theirs(task, fold, repeat, **settings)

    found = {OURS: ours, "sklearn": peer(), "sklearn max_iter=1000": peer(max_iter=1000)}
    if regression:
        found["sklearn, target scaled"] = peer(scale_target=True)
    return found


def measure(task: Task, repeats: int) -> Runs:
    """Every method on every fold of every repeat."""
    compared = methods(task.regression)
    runs: Runs = {method: [] for method in compared}
    for repeat in range(repeats):
        for fold in task.folds(repeat):
            for method, run in compared.items():
                runs[method].append(run(task, fold, repeat))
    return runs


def summary(runs: Runs) -> Summary:
    """Mean and standard error of all measures, by method; for scikit-learn's also of ours minus theirs, fold by fold."""
    found: Summary = {}
    for method, scores in runs.items():
        found[method] = {key: mean_and_error([fit[key] for fit in scores]) for key in scores[0]}
        if method != OURS:
            for key, name in DIFFERENCES.items():
                if key in scores[0]:
                    differences = [our[key] - their[key] for our, their in zip(runs[OURS], scores, strict=True)]
                    found[method][name] = mean_and_error(differences)
    return found


def mean_and_error(values: Sequence[float]) -> tuple[float, float]:
    """Mean and standard error of values taken as independent (folds share training rows, so it is a little too small)."""
    mean, error = float(np.mean(values)), float(np.std(values, ddof=1) / len(values) ** 0.5)
    return round(mean, 5), round(error, 5)


COLUMNS = {
    "score": "{:.4f} ± {:.4f}",
    "log_loss": "{:.4f} ± {:.4f}",
    DIFFERENCES["score"]: "{:+.4f} ± {:.4f}",
    DIFFERENCES["log_loss"]: "{:+.4f} ± {:.4f}",
    "seconds": "{:.2f}",
}


def as_table(sets: Mapping[str, Summary]) -> str:
    """A line per set and method, in aligned columns."""
    lines = [("set", "method", *COLUMNS)]
    for name, methods in sets.items():
        for method, found in methods.items():
            lines.append((name, method, *(form.format(*found[key]) if key in found else "" for key, form in COLUMNS.items())))
    widths = [max(len(line[n]) for line in lines) for n in range(len(lines[0]))]
    return "\n".join("  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.accuracy", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--repeats", type=int, default=20, help="how often to draw five folds [default: 20]")
    parser.add_argument("--sets", nargs="+", choices=SETS, default=SETS, metavar="SET", help=f"of {', '.join(SETS)}")
    parser.add_argument("--titanic", type=Path, default=TITANIC, metavar="CSV", help=f"where Titanic is [default: {TITANIC}]")
    parser.add_argument(
        "--out", type=Path, default=RESULTS, metavar="PATH", help="the JSON file to write; sets not run stay in it"
    )
    options = parser.parse_args()
    results: dict[str, Any] = json.loads(options.out.read_text(encoding="utf-8")) if options.out.exists() else {}
    sets: dict[str, Summary] = {}
    for name in options.sets:
        if name == "titanic" and not options.titanic.exists():
            print(f"titanic is left out: {options.titanic} is missing.")
            continue
        sets[name] = summary(measure(Task.load(name, options.titanic), options.repeats))
        print(as_table({name: sets[name]}), flush=True)
        measured = {method: {k: v for k, v in found.items() if k != "seconds"} for method, found in sets[name].items()}
        results[name] = {"repeats": options.repeats, "machine": machine(), "mean and standard error": measured}
        options.out.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"\n{as_table(sets)}\nWritten: {options.out}")


if __name__ == "__main__":
    main()
